//! Can it have been so? A stored stream that was changed afterwards, or lost a line, contradicts itself somewhere.
//!
//! What each thread did is in its own order; a place is created, opened, used and disposed; the tags of a session leave no
//! hole: whoever takes one event out, puts one in or moves one has to change others too. Each event is held against what came
//! before it, and what no event to come can refer to is forgotten.

mod cap;
mod checks;
mod lines;
mod places;
mod refusals;
mod steps;
mod switches;
mod wires;
mod work;

pub use checks::{Checks, Doubt, Rule, Tested};
pub(super) use lines::{Lines, Whose};
pub(super) use steps::{Told, of_findings};

use std::sync::Arc;

use crate::event::{Event, Micros, Operation, RunStart, What};
use crate::ledger::{Analysis, Ledger};

use cap::Cap;
use places::Places;
use refusals::Refusals;
use switches::Switches;
use wires::Wires;
use work::Work;

/// What is lost when a time is cut to whole microseconds, twice.
const GRAIN: Micros = Micros(2);

/// Holds each event against what came before it.
#[derive(Debug, Default)]
pub struct Integrity {
    checks: Checks,
    work: Work,
    places: Places,
    wires: Wires,
    cap: Cap,
    switches: Switches,
    refusals: Refusals,
}

/// An event, with all that it is held against.
struct Seen<'a> {
    seq: u64,
    at: Micros,
    what: &'a What,
    start: &'a RunStart,
    known: &'a Ledger,
    checks: &'a mut Checks,
}

impl Seen<'_> {
    fn check(&mut self, rule: Rule, holds: bool, sentence: impl FnOnce() -> String) {
        self.checks.check(rule, self.seq, holds, sentence);
    }

    fn check_unless_interrupted(&mut self, rule: Rule, holds: bool, sentence: impl FnOnce() -> String) {
        self.checks.check_unless_interrupted(rule, self.seq, holds, sentence);
    }
}

impl Integrity {
    /// What it came to: doubts are of events, by their numbers.
    pub(super) const fn checks(&self) -> &Checks {
        &self.checks
    }
}

impl Analysis for Integrity {
    fn see(&mut self, event: &Event, known: &Ledger) {
        let Some(start) = known.start().map(Arc::clone) else { return };
        let Self { checks, work, places, wires, cap, switches, refusals } = self;
        let seen = &mut Seen { seq: event.seq, at: event.at, what: &event.what, start: &start, known, checks };
        work.see(seen);
        places.see(seen);
        wires.see(seen, places);
        cap.see(seen);
        switches.see(seen);
        refusals.see(seen);
    }

    fn end(&mut self, known: &Ledger) {
        let Some(start) = known.start().map(Arc::clone) else { return };
        let Self { checks, work, places, wires, cap, switches, .. } = self;
        work.end(&start, known, checks);
        wires.end(&start, known, places, checks);
        places.end(checks);
        cap.end(&start, checks);
        switches.end(&start, checks);
        let by_sandbox = start.server.starts_with("sandbox");
        if by_sandbox != start.witnessed {
            checks.check(Rule::Witness, None, false, || {
                format!(
                    "the server was {}: its own record must be there if and only if it is the sandbox",
                    start.server
                )
            });
        }
        checks.settle(known.interrupted());
    }
}

/// What an operation selected in a lease of its own, before the one in which it was to read.
fn selected(operation: &Operation) -> Option<&crate::event::Selection> {
    operation.relied_on.as_deref().filter(|selection| !selection.commands.is_empty())
}
