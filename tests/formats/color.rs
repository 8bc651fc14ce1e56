//! Colour and width: where text goes to a terminal, and where not.

use std::path::Path;

use tempfile::tempdir;
use unicode_width::UnicodeWidthStr;

use super::{told_of_hostile, within, written};
use crate::cli::process::{end, mailconn, shell};
use crate::golden::{golden, stored};

/// The text without its colours, and how many there were.
fn bare(text: &str) -> (String, usize) {
    let (mut bare, mut colors) = (String::new(), 0);
    let mut pieces = text.split("\x1b[");
    bare.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        bare.push_str(piece.split_once('m').unwrap().1);
        colors += 1;
    }
    (bare, colors)
}

/// What the command writes to a terminal of so many columns.
fn on_terminal(columns: usize, environment: &str, args: &str) -> String {
    let script = format!("{environment} script -qec 'stty rows 24 cols {columns}; {{}} {args}' /dev/null");
    let ended = end(&mut shell(&script));
    assert_eq!(ended.stderr, "", "{args}");
    ended.stdout.replace("\r\n", "\n")
}

fn reported(file: &Path, flags: &str) -> String {
    let mut args = vec!["report", file.to_str().unwrap()];
    args.extend(flags.split_whitespace());
    end(&mut mailconn(args)).stdout
}

#[test]
fn colour_adds_nothing_to_the_words() {
    for file in stored() {
        let plain = reported(&file, "");
        let (words, colors) = bare(&reported(&file, "--color always"));
        assert_eq!(words, plain, "{}", file.display());
        assert!(!plain.contains('\x1b') && colors >= 2, "{}", file.display());
        let (words, _) = bare(&reported(&file, "--color always --each"));
        assert_eq!(words, reported(&file, "--each"), "{}", file.display());
    }
}

#[test]
fn red_is_what_failed_yellow_what_was_found_and_green_what_held() {
    for (name, line, color) in [
        ("use-default", "exit 0: all held", "32"),
        ("use-default", "rules held for ", "32"),
        ("lock-command", "MC020", "33"),
        ("lock-command", "exit 1: ", "31"),
        ("limit", "exit 6: ", "31"),
        ("limit", "2x", "31"),
    ] {
        let file = golden(name);
        let told = reported(&file, "--color always");
        assert!(told.contains(&format!("\n\x1b[{color}m{line}")), "{name}: {line} in {color}\n{told}");
    }
}

#[test]
fn it_is_for_terminals_unless_somebody_says_otherwise() {
    let run = "run -t 2 -n 2 --progress never";
    let is_colored = |text: &str| text.contains('\x1b');
    for (environment, flag, colored) in [
        ("", "", true),
        ("NO_COLOR=1", "", false),
        ("NO_COLOR=", "", true),
        ("CLICOLOR=0", "", false),
        ("TERM=dumb", "", false),
        ("", "--color never", false),
        ("NO_COLOR=1", "--color always", true),
    ] {
        let environment = format!("TERM=xterm {environment}");
        let text = on_terminal(80, &environment, &format!("{run} {flag}"));
        assert_eq!(is_colored(&text), colored, "{environment} {flag}: {text}");
    }
    for (environment, flag, colored) in [
        ("", "", false),
        ("CLICOLOR_FORCE=1", "", true),
        ("CLICOLOR_FORCE=1", "--color never", false),
        ("", "--color always", true),
    ] {
        let ended = end(&mut shell(&format!("{environment} {{}} {run} {flag}")));
        assert_eq!(is_colored(&ended.stdout), colored, "{environment} {flag}");
    }
}

#[test]
fn no_file_is_in_colour() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -t 2 -n 2 --progress never --color always -o told.txt -o told.json -o told.html");
    for file in ["told.txt", "told.json", "told.html"] {
        assert!(!written(here, file).contains('\x1b'), "{file}");
    }
}

#[test]
fn lines_are_as_wide_as_the_terminal_from_60_to_200_columns() {
    for name in ["lock-command", "limit", "comparison", "pool"] {
        let file = golden(name);
        let report = format!("report {} --color never", file.display());
        let widest = |columns: usize| {
            let told = on_terminal(columns, "", &report);
            told.lines().map(UnicodeWidthStr::width).max().unwrap()
        };
        // The figures of a table stand whole.
        for (columns, most) in [(30, 70), (60, 70), (72, 72), (80, 80), (100, 100), (132, 132), (400, 200)] {
            assert!(widest(columns) <= most, "{name} at {columns}: {}", widest(columns));
        }
        // But for the lines that scripts look for in a pipe.
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let (told, piped) = (on_terminal(80, "", &report), reported(&file, ""));
        assert_eq!(words(&told), words(&piped), "{name}: as in a pipe");
        let is_for_scripts = |line: &&str| ["exit ", "gate "].iter().any(|it| line.starts_with(it));
        for line in piped.lines().filter(|line| !is_for_scripts(line)) {
            assert!(told.lines().any(|told| told == line), "{name}: {line}");
        }
    }
    // A line that scripts look for is broken on a terminal alone.
    let failing = "run -t 2 -n 5 --progress never --color never --fail-if \"service.p99 > 1ms\"";
    let told = on_terminal(60, "", failing);
    let exit = "exit 3: a gate failed: service.p99: n too small: p99 needs\n  100, and there were 10 (fails if > 1ms)";
    assert!(told.contains(exit), "{told}");
    let piped = end(&mut shell(&format!("{{}} {failing}"))).stdout;
    assert!(piped.ends_with(
        "exit 3: a gate failed: service.p99: n too small: p99 needs 100, and there were 10 (fails if > 1ms)\n"
    ));
    let file = golden("lock-command");
    let told = on_terminal(200, "", &format!("report {} --color never", file.display()));
    assert!(told.lines().any(|line| line.width() > 100), "it uses its room\n{told}");
}

#[test]
fn wide_names_and_names_from_right_to_left_stay_in_their_columns() {
    let names = "--mailbox INBOX --mailbox 收件箱你好 --mailbox 'תיבת דואר' --mailbox cafe\u{301}";
    let ended = end(&mut shell(&format!("{{}} run -t 1 -n 20 --seed 3 --ops status {names} --each --progress never")));
    let rows: Vec<&str> = ended.stdout.lines().filter(|line| line.contains("  w0 ")).collect();
    assert!(rows.len() == 20 && rows.iter().any(|row| row.contains("收")), "{}", ended.stdout);
    let at = |row: &&str| row[..row.find(" #").unwrap()].width();
    assert!(rows.iter().all(|row| at(row) == at(&rows[0])), "{}", ended.stdout);
}

#[test]
fn a_letter_and_the_marks_on_it_are_told_as_they_are() {
    // Two characters for a letter, as macOS writes them; and scripts that need marks.
    for name in ["Entwu\u{308}rfe", "हिन्दी", "ข้อความ"] {
        assert!(told_of_hostile(name, "table").contains(name), "{name}");
    }
    for (odd, shown) in [("a\u{202e}b", "a\\u{202e}b"), ("a\u{200b}b", "a\\u{200b}b")] {
        assert!(told_of_hostile(odd, "table").contains(shown), "{shown}");
    }
}
