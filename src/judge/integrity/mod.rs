//! Can it have been so? A stored stream that was changed afterwards, or lost a line, contradicts itself somewhere.
//!
//! What each thread did is in its own order; a place is created, opened, used and disposed; the tags of a session leave no
//! hole: whoever takes one event out, puts one in or moves one has to change others too. Each event is held against what came
//! before it, and what no event to come can refer to is forgotten.

mod cap;
mod checks;
mod lines;
mod places;
mod probe;
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

use crate::event::{Event, Role};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::Protocol;

use cap::Cap;
use places::Places;
use probe::Conduct;
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
    conduct: Conduct,
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
        let Self { checks, work, places, wires, witnessed, cap, switches, refusals, conduct } = self;
        let seen = &mut Seen { seq: event.seq, at: event.at, what: &event.what, start: &start, known, checks };
        work.see(seen);
        places.see(seen);
        wires.see(seen, places);
        witnessed.see(seen);
        cap.see(seen);
        switches.see(seen);
        refusals.see(seen);
        conduct.see(seen, event);
    }

    fn end(&mut self, known: &Ledger) {
        let Some(start) = known.start().map(Arc::clone) else { return };
        let Self { checks, work, places, wires, witnessed, cap, switches, .. } = self;
        work.end(&start, known, checks);
        wires.end(&start, known, places, checks);
        witnessed.end(known.ending().map(|it| it.elapsed), checks);
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
        let scheme = match start.server.strip_prefix("sandbox") {
            Some("") => Protocol::Imap.name(),
            Some(scheme) => scheme.trim_start_matches('+'),
            None => start.server.split("://").next().unwrap_or_default(),
        };
        checks.check(Rule::Header, None, scheme.trim_end_matches('s') == start.protocol.name(), || {
            format!("the server was {}, and {} was spoken", start.server, start.protocol.name())
        });
        let names = start.workers.entries().map(|it| &it.name).chain(start.tasks.entries().map(|it| &it.name));
        let has_name = names.flatten().next().is_some();
        let mut roles = start.workers.entries().map(|it| it.role).chain(start.tasks.entries().map(|it| it.role));
        let fits = match (start.scripted, start.probe) {
            (true, Some(_)) => !has_name && roles.all(|role| role == Role::default()),
            (true, None) => roles.all(|role| role == Role::default()),
            (false, _) => !has_name,
        };
        checks.check(Rule::Header, None, fits, || {
            "only a scenario's workers and tasks have names, and only a run's are told what to create".to_owned()
        });
        checks.settle(known.interrupted());
    }
}
