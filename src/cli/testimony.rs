//! The sandbox's own record, as plain rows for the verdict: the two rooms know nothing of each other.

use std::time::{Duration, Instant};

use mailconn::observe::Claim;
use mailconn::record::{WitnessedCommand, WitnessedSession};
use mailconn::sandbox::{CloseCause, Sandbox, SessionRecord};

/// Stops the sandbox and takes down what it saw. `clock` is when the run began.
pub fn of(sandbox: Sandbox, clock: Instant, patience: Duration) -> Vec<WitnessedSession> {
    // A client's close reaches the server's thread a moment later: what is still open after a moment was left open.
    let deadline = Instant::now() + patience / 2;
    while sandbox.open_sessions() > 0 && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(2));
    }
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
