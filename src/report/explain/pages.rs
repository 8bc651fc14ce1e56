//! Pages of the manual that are read as a whole: the manual's own text.

use super::articles::plain;
use crate::report::layout::Layout;

/// A page, by any of its names.
pub(super) struct Page {
    /// The first one is listed.
    pub(super) names: &'static [&'static str],
    text: &'static str,
}

pub(super) const ALL: [Page; 2] = [
    Page { names: &["ci", "github", "gitlab", "kubernetes", "k8s"], text: include_str!("../../ci.md") },
    Page { names: &["tour"], text: include_str!("../../tour.md") },
];

impl Page {
    pub(super) fn is_called(&self, word: &str) -> bool {
        self.names.iter().any(|name| name.eq_ignore_ascii_case(word))
    }

    /// Paragraphs as a terminal shows them, and commands, files and tables as they are.
    pub(super) fn shown(&self) -> String {
        let parts = self.text.split("```").enumerate().flat_map(|(at, part)| match at % 2 {
            1 => vec![code(part)],
            _ => prose(part),
        });
        parts.collect::<Vec<_>>().join("\n")
    }
}

fn code(block: &str) -> String {
    let (_, lines) = block.split_once('\n').unwrap_or_default();
    lines.lines().map(|line| format!("    {line}\n").replace("    \n", "\n")).collect()
}

fn prose(part: &str) -> Vec<String> {
    part.split("\n\n").map(str::trim).filter(|block| !block.is_empty()).map(shown).collect()
}

/// A heading, a list or a paragraph.
fn shown(block: &str) -> String {
    if let Some(heading) = block.strip_prefix("## ") {
        return format!("{}\n", heading.to_uppercase());
    }
    match block.strip_prefix("- ") {
        Some(list) => Layout::PLAIN.labelled(list.split("\n- ").map(|item| ("-".to_owned(), plain(item)))),
        None => Layout::PLAIN.paragraph(&plain(block)),
    }
}
