//! One word, explained, and how it is laid out.

use crate::event::Severity;

/// One word, explained.
#[derive(Clone, Copy)]
pub(super) struct Article {
    pub(super) name: &'static str,
    /// How bad it is, if it is a finding.
    pub(super) severity: Option<Severity>,
    /// What it is, in one line.
    pub(super) title: &'static str,
    pub(super) means: &'static str,
    /// As a report or a command line shows it; empty if there is nothing to show.
    pub(super) example: &'static str,
    /// What to do about it.
    pub(super) cure: &'static str,
    /// The rules behind it, by number.
    pub(super) rules: &'static [&'static str],
    /// Public threads of people who met it: `owner/repository#number`.
    pub(super) met: &'static [&'static str],
}

impl Article {
    /// Its title, behind its severity.
    pub(super) fn titled(&self) -> String {
        self.severity.map_or_else(String::new, |severity| format!("{}: ", severity.name())) + self.title
    }
}

/// A row of an explanation, under its label.
pub(super) fn row(label: &str, text: &str) -> (String, String) {
    (format!("{label:<11} "), text.to_owned())
}
