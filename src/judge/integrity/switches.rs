//! The mode changed when it was to, and at no other time (M1).
//!
//! The workers share a count of what they issue, and the one that issues the first operation after a switch sets the mode
//! before anybody issues another. So an operation that knows of the change was issued after it, and every other before.

use super::checks::{Checks, Rule};
use super::seen::Seen;
use crate::allocator::Mode;
use crate::event::{Micros, Operation, RunStart, What};
use crate::protocol::{Failure, FailureKind};

/// The changes so far.
#[derive(Debug, Default)]
pub(super) struct Switches {
    changes: Vec<Change>,
    issued: u64,
    /// Operations that were issued, and counted, and are not written down: not begun, or lost with a worker that panicked.
    unseen: u64,
    /// Workers and tasks that stopped: in a run that was interrupted, each may have had one in line that counts as not issued.
    stopped: u64,
}

#[derive(Debug)]
struct Change {
    seq: u64,
    at: Micros,
    to: Mode,
    /// Operations that were issued before it.
    issued: u64,
}

impl Switches {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        // A scenario's steps set it whenever they like.
        if seen.start.scripted {
            return;
        }
        match seen.what {
            What::ModeChanged(it) => {
                let number = self.changes.len();
                let switch = seen.start.switches.get(number);
                let holds = switch.is_some_and(|switch| switch.mode == it.to);
                seen.check(Rule::Switches, holds, || format!("nobody asked for a change to {} then", it.to));
                // What nobody asked for is not kept either.
                if number <= seen.start.switches.len() {
                    self.changes.push(Change { seq: seen.seq, at: seen.at, to: it.to, issued: self.issued });
                }
            }
            What::Operation(operation) => self.operation(seen, operation),
            What::WorkerEnded(it) => self.unseen = self.unseen.saturating_add(it.not_begun),
            What::WorkerStopped(it) => self.lost(it.failure.as_deref()),
            What::TaskStopped(it) => self.lost(it.failure.as_deref()),
            _ => {}
        }
    }

    fn lost(&mut self, failure: Option<&Failure>) {
        self.stopped += 1;
        self.unseen += u64::from(failure.is_some_and(|failure| failure.kind == FailureKind::Internal));
    }

    fn operation(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        self.issued += 1;
        let knew = self.changes.partition_point(|change| change.seq < operation.issued_after);
        for change in self.changes.iter_mut().skip(knew) {
            change.issued += 1;
        }
        if seen.start.switches.is_empty() && self.changes.is_empty() {
            return;
        }
        let mode = knew.checked_sub(1).and_then(|last| self.changes.get(last)).map_or(seen.start.mode, |it| it.to);
        let next = self.changes.get(knew).map(|change| change.at);
        let holds = operation.mode == mode && next.is_none_or(|next| operation.issued_at_us <= next);
        seen.check(Rule::Switches, holds, || {
            format!("operation {} was issued under {mode}, it says {}", operation.number, operation.mode)
        });
    }

    pub(super) fn end(&mut self, start: &RunStart, interrupted: bool, checks: &mut Checks) {
        let unseen = if interrupted { self.unseen.saturating_add(self.stopped) } else { self.unseen };
        for (number, switch) in start.switches.iter().enumerate() {
            let Some(change) = self.changes.get(number) else {
                checks.check(Rule::Switches, None, start.scripted || self.issued <= switch.after, || {
                    let (mode, after, issued) = (switch.mode, switch.after, self.issued);
                    format!("{mode} was to come after {after} operations, it never came; {issued} were issued")
                });
                continue;
            };
            let issued = change.issued;
            let holds = (issued..=issued.saturating_add(unseen)).contains(&switch.after);
            checks.check(Rule::Switches, change.seq, holds, || {
                let (mode, after) = (switch.mode, switch.after);
                format!("{mode} was to come after {after} operations, {issued} were issued before it")
            });
        }
    }
}
