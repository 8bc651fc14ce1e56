//! GitHub's Markdown, read by a parser of it: tables have equal rows, only our own tags get through, nothing links anywhere,
//! and it has room in a comment.

use comrak::nodes::NodeValue;
use comrak::{Arena, Options, parse_document};

use super::{HOSTILE, golden, told, told_of_hostile};
use crate::cli::process::{PASSWORD, end, mailconn};
use crate::golden::stored;

/// The tags that reports write.
const TAGS: [&str; 8] =
    ["<details>", "<details open>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<br>"];

/// What GitHub reads beyond CommonMark, and what else it makes of text.
fn github() -> Options<'static> {
    let mut options = Options::default();
    let extension = &mut options.extension;
    extension.table = true;
    extension.autolink = true;
    extension.strikethrough = true;
    extension.tasklist = true;
    extension.footnotes = true;
    extension.math_dollars = true;
    extension.math_code = true;
    extension.alerts = true;
    options
}

/// What a page is made of.
#[derive(Default)]
struct Page {
    first: String,
    tables: usize,
    /// Text that is not code, and code.
    text: String,
    code: Vec<String>,
}

fn read(markdown: &str) -> Page {
    let arena = Arena::new();
    let root = parse_document(&arena, markdown, &github());
    let mut page = Page::default();
    for node in root.descendants() {
        let ast = node.data.borrow();
        match &ast.value {
            NodeValue::Table(table) => {
                page.tables += 1;
                assert_eq!(table.num_rows * table.num_columns, table.num_rows * table.alignments.len());
                for row in node.children() {
                    let of = ast_line(markdown, row.data.borrow().sourcepos.start.line);
                    assert_eq!(row.children().count(), table.num_columns, "{of}");
                    // A cell too many would be dropped, one too few filled in.
                    assert_eq!(cells(of), table.num_columns, "{of}");
                }
            }
            NodeValue::HtmlBlock(html) => tags_are_ours(&html.literal),
            NodeValue::HtmlInline(html) => tags_are_ours(html),
            NodeValue::Text(text) => page.text += text,
            NodeValue::SoftBreak | NodeValue::Paragraph | NodeValue::TableCell => page.text += "\n",
            NodeValue::Code(code) => page.code.push(code.literal.clone()),
            NodeValue::Heading(heading) => {
                assert!(heading.level == 3 || heading.level == 4);
                if page.first.is_empty() {
                    page.first = ast_line(markdown, ast.sourcepos.start.line).to_owned();
                }
            }
            NodeValue::Document
            | NodeValue::List(_)
            | NodeValue::Item(_)
            | NodeValue::Strong
            | NodeValue::TableRow(_) => {}
            other => panic!("{other:?} in {markdown}"),
        }
    }
    page
}

fn ast_line(text: &str, line: usize) -> &str {
    text.lines().nth(line - 1).unwrap()
}

/// How many cells the bars of a line make: those that no backslash stands before.
fn cells(line: &str) -> usize {
    line.matches('|').count() - line.matches("\\|").count() - 1
}

fn tags_are_ours(html: &str) {
    // What stands between the tags of a block of HTML is a name of ours.
    for tag in html.split('<').skip(1).map(|rest| format!("<{}>", rest.split('>').next().unwrap())) {
        assert!(TAGS.contains(&&*tag), "{tag} in {html}");
    }
}

/// What GitHub would make something of outside of code, after it has been rendered.
fn is_inert(page: &Page, of: &str) {
    for word in page.text.split(|it: char| it.is_whitespace()) {
        for sign in ["@", "#", "://", "www.", "`", "|", "<script"] {
            assert!(!word.contains(sign), "{of}: {word}");
        }
        assert!(!(word.len() > 2 && word.starts_with(':') && word.ends_with(':')), "{of}: {word}");
    }
}

#[test]
fn each_stored_file_begins_with_its_verdict_and_its_tables_have_equal_rows() {
    for file in stored() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let markdown = told(&file, "markdown");
        let page = read(&markdown);
        assert!(markdown.starts_with(&page.first) && page.first.starts_with("### "), "{name}: {}", page.first);
        assert!(page.tables > 0, "{name}");
        assert!(!markdown.contains("\\n"), "{name}: the end of a terminal's line is none");
        is_inert(&page, &name);
    }
}

#[test]
fn the_verdict_is_that_of_the_page_for_the_browser() {
    for (name, sign, verdict) in [
        ("lock-command", "❌", "14 of the 40 replies that show their mailbox came from a mailbox other than"),
        ("use-main", "✅", "All held: "),
        ("limits-count", "✅", "3 connections, beside those that other clients hold now"),
        ("comparison", "✅", "Choose use-default: it is 1.52x"),
        ("scenario-not-as-expected", "❌", "4 steps, 1 not as expected"),
    ] {
        let markdown = told(&golden(name), "markdown");
        assert!(markdown.starts_with(&format!("### {sign} {verdict}")), "{name}: {markdown}");
        assert!(markdown.contains("\n**exit "), "{name}");
    }
}

#[test]
fn findings_have_their_cures_and_failed_steps_what_was_expected() {
    let markdown = told(&golden("lock-command"), "markdown");
    for part in [
        "**`MC020`** hazard, 14 times: ",
        "<details><summary>Evidence, what it means, and the cure</summary>\n\n- operation 3 of w3",
        "\n**Cure**: Hold the connection",
        "`mailconn explain MC020`",
    ] {
        assert!(markdown.contains(part), "{part}: {markdown}");
    }
    let markdown = told(&golden("scenario-not-as-expected"), "markdown");
    assert!(
        markdown.contains("| 2 | ❌ `T1 noop => main` | `#1`, default-created<br>expected: main; happened: "),
        "{markdown}"
    );
    assert!(told(&golden("comparison"), "markdown").contains("| ✅ passed | `use-default.service.p50 > 100ms` |"));
    let foot = "\n<sub>mailconn 0.1.0, run `20eab5bad674`, 2026-11-28 05:37:16 UTC</sub>\n";
    assert!(told(&golden("use-main"), "markdown").ends_with(foot), "{foot}");
}

#[test]
fn foreign_words_stay_words() {
    for words in HOSTILE {
        let markdown = told_of_hostile(words, "markdown");
        let page = read(&markdown);
        is_inert(&page, words);
        // A server's line is code, whole; what cannot be printed is written otherwise.
        let printed: String = words
            .trim_end()
            .chars()
            .flat_map(|it| match it {
                '"' | '\'' | '\\' => vec![it],
                other => other.escape_debug().collect(),
            })
            .collect();
        let printed = printed.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(page.code.concat().contains(&printed), "{words:?}: {:?}", page.code);
    }
}

#[test]
fn what_has_no_room_in_a_comment_is_named() {
    let files: Vec<String> = stored().iter().map(|file| file.to_str().unwrap().to_owned()).collect();
    let words = ["report", "--format", "markdown"].map(str::to_owned).into_iter().chain(files.iter().cloned());
    let ended = end(&mut mailconn(words));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let length = ended.stdout.chars().count();
    assert!((60_000..=65_536).contains(&length), "{length} characters");
    let page = read(&ended.stdout);
    let verdicts = |markdown: &str| markdown.lines().filter(|line| line.starts_with("### ")).count();
    let all: usize = stored().iter().map(|file| verdicts(&told(file, "markdown"))).sum();
    assert_eq!(verdicts(&ended.stdout), all, "each verdict has its room");
    assert!(
        page.text.contains("Left out, since a comment has at most 65,536 characters: ")
            && page.text.contains(", Sessions (")
    );
    assert!(!told(&golden("use-main"), "markdown").contains("Left out"));
}

/// The line of a terminal ends somewhere in each of them.
#[test]
fn an_address_is_one_word_however_long_the_line() {
    for length in 1..60 {
        let server = format!("imaps://{}@127.0.0.1:9", "u".repeat(length));
        for command in ["run -n 1 --progress never --server", "limits --max 1 --progress never"] {
            let mut args: Vec<&str> = command.split(' ').collect();
            args.extend([&*server, "--connect-timeout", "2s", "--format", "markdown"]);
            let ended = end(mailconn(args).env("MAILCONN_PASSWORD", PASSWORD));
            assert!(
                ended.stdout.contains(&format!("\n`{server}`")),
                "{command} {length}: {}{}",
                ended.stdout,
                ended.stderr
            );
        }
    }
}
