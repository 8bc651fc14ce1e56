//! The words of failures, each once on a page: a server says the same to ten thousand operations.

use std::collections::BTreeMap;

use crate::protocol::Failure;

/// The most bytes of them.
const MOST: usize = 100_000;

#[derive(Debug, Default)]
pub(super) struct Texts {
    /// Whose mark says it.
    said: BTreeMap<String, String>,
    length: usize,
}

impl Texts {
    /// What failed in full, or where that is said.
    pub(super) fn of(&mut self, failure: &Failure, whose: &str) -> String {
        let full = failure.to_string();
        let short = format!("{} at {}", failure.kind, failure.stage);
        match self.said.get(&full) {
            Some(before) if before == whose => format!("{short}, in the words of its mark above"),
            Some(before) => format!("{short}, in the words of {before}"),
            None if self.length + full.len() > MOST => short,
            None => {
                self.length += full.len();
                self.said.insert(full.clone(), whose.to_owned());
                full
            }
        }
    }
}
