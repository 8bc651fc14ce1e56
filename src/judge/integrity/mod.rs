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
mod seen;
mod steps;
mod switches;
mod wires;
mod witnessed;
mod work;

pub use checks::{Checks, Doubt, Rule, Tested};
pub(super) use lines::{Lines, Whose};
pub(super) use steps::{Told, of_findings};

use std::sync::Arc;

use crate::event::Event;
use crate::ledger::{Analysis, Ledger};

use cap::Cap;
use places::Places;
use refusals::Refusals;
use seen::Seen;
use switches::Switches;
use wires::Wires;
use witnessed::Witnessed;
use work::Work;

/// Holds each event against what came before it.
#[derive(Debug, Default)]
pub struct Integrity {
    checks: Checks,
    work: Work,
    places: Places,
    wires: Wires,
    witnessed: Witnessed,
    cap: Cap,
    switches: Switches,
    refusals: Refusals,
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
        let Self { checks, work, places, wires, witnessed, cap, switches, refusals } = self;
        let seen = &mut Seen { seq: event.seq, at: event.at, what: &event.what, start: &start, known, checks };
        work.see(seen);
        places.see(seen);
        wires.see(seen, places);
        witnessed.see(seen);
        cap.see(seen);
        switches.see(seen);
        refusals.see(seen);
    }

    fn end(&mut self, known: &Ledger) {
        let Some(start) = known.start().map(Arc::clone) else { return };
        let Self { checks, work, places, wires, witnessed, cap, switches, .. } = self;
        work.end(&start, known, checks);
        wires.end(&start, known, places, checks);
        witnessed.end(checks);
        places.end(checks);
        cap.end(&start, checks);
        switches.end(&start, known.interrupted(), checks);
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
