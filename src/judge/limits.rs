//! What a probe finds out of a server's limits, from its events alone.

use crate::event::{Event, Limits, Probe, What};
use crate::ledger::{Analysis, Ledger};

/// Follows a probe's steps.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    probe: Option<Probe>,
}

impl Analysis for Ramp {
    fn see(&mut self, event: &Event, _: &Ledger) {
        if let What::RunStart(start) = &event.what {
            self.probe = start.probe;
        }
    }
}

impl Ramp {
    /// What was found out so far; none where the run is no probe.
    pub(super) fn found(&self) -> Option<Box<Limits>> {
        self.probe.map(|_| Box::new(Limits::default()))
    }
}
