//! The sandbox's own record, as plain rows for the verdict: the two rooms know nothing of each other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconn::event::What;
use mailconn::observe::{Claim, Testimony};
use mailconn::record::{WitnessedCommand, WitnessedSession};
use mailconn::sandbox::{CloseCause, Record, Sandbox, SessionRecord};
use mailconn::workload::Source;

/// The sandbox, whose record is taken while it runs.
pub struct Witness {
    sandbox: Option<Sandbox>,
    record: Option<Arc<Record>>,
    testimony: Testimony,
    patience: Duration,
}

impl Witness {
    /// `clock` is when the run begins; the sandbox has so long to end.
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

/// Stops the sandbox and takes down what it saw. `clock` is when the run began.
pub fn of(sandbox: Sandbox, clock: Instant, patience: Duration) -> Vec<WitnessedSession> {
    wait_for_ends(&sandbox, patience / 2);
    sandbox.stop(patience / 2).into_iter().map(|session| row(session, clock)).collect()
}

fn row(session: SessionRecord, clock: Instant) -> WitnessedSession {
    let Claim { run_id, label } = Claim::of(&session);
    let cause = session.closed.as_ref().map(|(_, cause)| cause);
    WitnessedSession {
        peer_port: session.peer_port,
        run_id,
        label,
        logged_out: matches!(cause, Some(CloseCause::Logout)),
        open: matches!(cause, None | Some(CloseCause::Server)),
        commands: session
            .commands
            .iter()
            .map(|command| WitnessedCommand {
                tag: command.tag.to_string(),
                verb: command.verb.to_owned(),
                selected: command.selected.as_deref().map(str::to_owned),
                at: Some(command.at.saturating_duration_since(clock)),
            })
            .collect(),
    }
}
