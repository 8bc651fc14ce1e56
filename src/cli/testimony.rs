//! The sandbox's own record, as events: the two rooms know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconn::event::What;
use mailconn::observe::{Claim, Testimony};
use mailconn::sandbox::{Record, Sandbox, SessionRecord};
use mailconn::scenario::Seen;
use mailconn::workload::Source;

/// The sandbox, whose record is taken while it runs.
pub struct Witness {
    sandbox: Option<Sandbox>,
    record: Option<Arc<Record>>,
    testimony: Testimony,
    patience: Duration,
}

impl Witness {
    /// `clock` is the run's beginning, `patience` how long the sandbox may take to end.
    pub fn of(sandbox: Sandbox, clock: Instant, patience: Duration) -> Self {
        let record = sandbox.record();
        Self { sandbox: Some(sandbox), record, testimony: Testimony::new(clock), patience }
    }
}

impl Source for Witness {
    fn news(&mut self) -> Vec<What> {
        let parts = self.record.as_ref().map(|record| record.take()).unwrap_or_default();
        parts.into_iter().flat_map(|part| self.testimony.hear(part)).collect()
    }

    fn rest(&mut self) -> Vec<What> {
        let Some(sandbox) = self.sandbox.take() else { return Vec::new() };
        wait_for_ends(&sandbox, self.patience / 2);
        let mut events = self.news();
        let left = sandbox.stop(self.patience / 2);
        events.extend(left.into_iter().flat_map(|part| self.testimony.hear(part)));
        events.extend(self.testimony.end());
        events
    }
}

/// A client's close reaches the server's thread a moment later: what is still open after a moment was left open.
fn wait_for_ends(sandbox: &Sandbox, patience: Duration) {
    let deadline = Instant::now() + patience;
    while sandbox.open_sessions() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops the sandbox, and has each session that it saw as events. `clock` is when the scenario began.
pub fn of(sandbox: Sandbox, clock: Instant, patience: Duration) -> Vec<Seen> {
    wait_for_ends(&sandbox, patience / 2);
    let seen = |session: SessionRecord| {
        let (run_id, port) = (Claim::of(&session).run_id, session.peer_port);
        let mut testimony = Testimony::new(clock);
        let mut events = testimony.hear(session);
        events.extend(testimony.end());
        Seen { run_id, port, events }
    };
    sandbox.stop(patience / 2).into_iter().map(seen).collect()
}
