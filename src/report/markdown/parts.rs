//! The parts of a page, as many as have room in a comment.

use std::collections::BTreeMap;

use super::blocks::{details, sheet};
use crate::report::layout::Sheet;
use crate::report::words::count;

/// So many characters are a comment on GitHub.
const COMMENT: usize = 65_536;
/// Of them for the line that says what was left out.
const LEFT_OUT: usize = 536;

/// How soon a part has its room.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Rank {
    /// The verdict on what failed.
    Failed,
    Verdict,
    Found,
    Figures,
    Ledger,
}

/// A part of the page: paragraphs and tables.
pub(super) struct Part {
    name: &'static str,
    rank: Rank,
    text: String,
}

impl Part {
    pub(super) const fn new(rank: Rank, name: &'static str, text: String) -> Self {
        Self { name, rank, text }
    }
}

/// The parts of what failed: its verdict has its room before others.
pub(super) fn failed(parts: Vec<Part>) -> Vec<Part> {
    let raised = |part: Part| match part.rank {
        Rank::Verdict => Part { rank: Rank::Failed, ..part },
        _ => part,
    };
    parts.into_iter().map(raised).collect()
}

/// The parts in their order, without those that have no room.
pub(super) fn bounded(mut parts: Vec<Part>) -> String {
    parts.retain(|part| !part.text.is_empty());
    let mut first: Vec<usize> = (0..parts.len()).collect();
    first.sort_by_key(|at| parts[*at].rank);
    let mut room = COMMENT - LEFT_OUT;
    let mut has_room = vec![false; parts.len()];
    for at in first {
        if let Some(left) = room.checked_sub(parts[at].text.len() + 1) {
            room = left;
            has_room[at] = true;
        }
    }
    let mut left_out: BTreeMap<&str, u64> = BTreeMap::new();
    let mut text = String::new();
    for (part, has_room) in parts.iter().zip(has_room) {
        match has_room {
            true => text += &format!("{}{}", if text.is_empty() { "" } else { "\n" }, part.text),
            false => *left_out.entry(part.name).or_default() += 1,
        }
    }
    if !left_out.is_empty() {
        let names = left_out.iter().map(|(name, times)| match times {
            1 => (*name).to_owned(),
            more => format!("{name} ({})", count(*more)),
        });
        let names = names.collect::<Vec<_>>().join(", ");
        text += &format!(
            "\nLeft out, since a comment has at most {} characters: {names}. `--format json` has all.\n",
            count(COMMENT as u64)
        );
    }
    text
}

/// The sheets, each to be opened.
pub(super) fn ledger(sheets: impl IntoIterator<Item = Sheet>) -> impl Iterator<Item = Part> {
    let sheets = sheets.into_iter().filter(|it| !it.rows.is_empty());
    sheets.map(|it| Part::new(Rank::Ledger, it.title, details(it.title, &sheet(&it), false)))
}
