//! Rates and counts that a run comes to: they are computed here and nowhere else.

use std::time::Duration;

use super::summary::Summary;

/// How far a run has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Operations that have ended.
    pub operations: u64,
    /// Those of them that failed.
    pub failed: u64,
    /// Connections that are open.
    pub open: usize,
}

/// How many a second; none if no time has passed.
#[must_use]
pub fn rate(number: u64, over: impl Into<Duration>) -> Option<f64> {
    let seconds = over.into().as_secs_f64();
    (seconds > 0.0).then(|| number as f64 / seconds)
}

impl Summary {
    /// Operations a second, from the beginning of the first to the end of the last, in thousandths: JSON gives so few digits
    /// back as they were. None if there were none.
    #[must_use]
    pub fn rate(&self) -> Option<f64> {
        rate(self.carried, self.worked).map(|rate| (rate * 1e3).round() / 1e3)
    }

    /// Operations that a connection carried on average; none if none was opened.
    #[must_use]
    pub fn carried_by_each(&self) -> Option<f64> {
        let opened = self.connections.opened;
        (opened > 0).then(|| self.carried as f64 / opened as f64)
    }

    /// The operations of the busiest worker, and of the idlest; none without workers.
    #[must_use]
    pub fn busiest_and_idlest(&self) -> Option<(u64, u64)> {
        let issued = self.workers.iter().map(|row| row.operations.issued);
        issued.clone().max().zip(issued.min())
    }
}
