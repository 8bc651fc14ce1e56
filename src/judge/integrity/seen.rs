//! What each check of an event is given.

use super::checks::{Checks, Rule};
use crate::event::{Micros, Operation, RunStart, Selection, What};
use crate::ledger::Ledger;

/// What is lost when a time is cut to whole microseconds, twice.
pub(super) const GRAIN: Micros = Micros(2);

/// An event, with all that it is held against.
pub(super) struct Seen<'a> {
    pub(super) seq: u64,
    pub(super) at: Micros,
    pub(super) what: &'a What,
    pub(super) start: &'a RunStart,
    pub(super) known: &'a Ledger,
    pub(super) checks: &'a mut Checks,
}

impl Seen<'_> {
    pub(super) fn check(&mut self, rule: Rule, holds: bool, sentence: impl FnOnce() -> String) {
        self.checks.check(rule, self.seq, holds, sentence);
    }

    pub(super) fn check_unless_interrupted(&mut self, rule: Rule, holds: bool, sentence: impl FnOnce() -> String) {
        self.checks.check_unless_interrupted(rule, self.seq, holds, sentence);
    }
}

/// When the dial that is told of then began: that of a refused one is reckoned from what it took, to within [`GRAIN`].
pub(super) fn began(at: Micros, what: &What) -> Micros {
    match what {
        What::SessionOpened(opened) => opened.began_us,
        What::SessionRefused(refused) => at - refused.took_us,
        _ => at,
    }
}

/// What an operation selected in a lease of its own, before the one in which it was to read.
pub(super) fn selected(operation: &Operation) -> Option<&Selection> {
    operation.relied_on.as_deref().filter(|selection| !selection.commands.is_empty())
}
