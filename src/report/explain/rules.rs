//! The rules by number, as `src/rules.md` has them, and the truth table from the code that decides.

use crate::allocator::{ConnectionId, Mode, Reason, may_create_default, route};
use crate::report::table::grid::{grid, names, paragraph};

/// The one place where the rules are written: rustdoc's manual includes it too.
const RULES: &str = include_str!("../../rules.md");

/// The part of the file that is about one rule: `### A7`, then blocks with an empty line between them. One block may be a
/// list of `- Label: text`, the others are paragraphs.
pub(super) struct Rule {
    pub(super) number: &'static str,
    blocks: &'static str,
}

/// Every rule, in the order of the file.
pub(super) fn all() -> impl Iterator<Item = Rule> {
    let chapters = RULES.split("\n## ");
    chapters.flat_map(|chapter| chapter.split("\n### ").skip(1)).filter_map(|part| {
        let (number, blocks) = part.split_once('\n')?;
        Some(Rule { number, blocks: blocks.trim() })
    })
}

/// The first paragraph of a rule, which says what it demands.
pub(super) fn text(number: &str) -> Option<String> {
    all().find(|rule| rule.number == number)?.paragraphs().next()
}

impl Rule {
    pub(super) fn paragraphs(&self) -> impl Iterator<Item = String> {
        self.blocks.split("\n\n").filter(|block| !block.starts_with("- ")).map(plain)
    }

    /// The list: what the rule means in practice, words to look up, and who met it.
    pub(super) fn list(&self) -> impl Iterator<Item = (&'static str, String)> {
        let lists = self.blocks.split("\n\n").filter_map(|block| block.strip_prefix("- "));
        let items = lists.flat_map(|list| list.split("\n- "));
        items.filter_map(|item| item.split_once(": ")).map(|(label, text)| (label, plain(text)))
    }
}

/// Markdown as a terminal shows it. The file has no links.
fn plain(text: &str) -> String {
    text.replace(['`', '*'], "").replace("\n  ", " ").replace('\n', " ")
}

/// The truth table: the code that decides, asked for all its inputs.
pub(super) fn table() -> String {
    let yes = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let inputs = Mode::ALL.into_iter().flat_map(|mode| {
        [(true, false), (true, true), (false, true), (false, false)].map(|(passed, has)| (mode, passed, has))
    });
    let rows = inputs.map(|(mode, passed, has)| {
        let reason = route(mode, has, passed);
        vec![mode.name().to_owned(), yes(passed), yes(has), uses(reason).to_owned(), reason.name().to_owned()]
    });
    let columns = [names("mode"), names("passed"), names("default"), names("uses"), names("reason")];
    let mut text =
        paragraph("Which connection an operation uses (A1-A3): was one passed, and has this thread a default?");
    text += "\n";
    text += &grid(&columns, &[], rows);
    text += "\n";
    text += &paragraph("Whether a thread may create a default by hand (C2, C3):");
    text += "\n";
    let rows = Mode::ALL
        .into_iter()
        .flat_map(|mode| [None, Some(ConnectionId(1))].map(|existing| (mode, existing)))
        .map(|(mode, existing)| {
            let answer = match may_create_default(mode, existing) {
                Ok(()) => "created".to_owned(),
                Err(refusal) => format!("refused ({})", refusal.rule()),
            };
            vec![mode.name().to_owned(), yes(existing.is_some()), answer]
        });
    text += &grid(&[names("mode"), names("default"), names("answer")], &[], rows);
    text += "\n";
    let numbers: Vec<_> = all().map(|rule| rule.number).collect();
    text + &paragraph(&format!("Each rule by its number, mailconn explain A7: {}", numbers.join(" ")))
}

const fn uses(reason: Reason) -> &'static str {
    match reason {
        Reason::Explicit => "the passed one",
        Reason::Main => "main",
        Reason::Default => "that default",
        Reason::DefaultCreated => "a default, created first",
    }
}
