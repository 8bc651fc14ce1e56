//! The mode changed when it was to, and at no other time (M1).
//!
//! The workers share a count of what they issue, and the one that issues the first operation after a switch sets the mode
//! before anybody issues another. So an operation that knows of the change was issued after it, and every other before.

use super::{Audit, SWITCHES};
use crate::allocator::Mode;
use crate::protocol::FailureKind;
use crate::record::run::{Entry, Run, What};

pub(super) fn check(run: &Run, audit: &mut Audit) {
    // A scenario's steps set it whenever they like.
    if run.header.scripted {
        return;
    }
    let changes: Vec<(&Entry, Mode)> = run.entries.iter().filter_map(change).collect();
    let switches = &run.header.switches;
    let mut issued_after: Vec<u64> = run.operations().map(|(_, operation)| operation.issued_after).collect();
    issued_after.sort_unstable();
    let unseen = unseen(run);
    for (number, (entry, to)) in changes.iter().enumerate() {
        let seq = Some(entry.seq);
        let switch = switches.get(number);
        audit.check(SWITCHES, seq, switch.is_some(), || format!("nobody asked for a change to {to}"));
        let Some(switch) = switch else { continue };
        audit.check(SWITCHES, seq, switch.mode == *to, || {
            format!("after {} operations {} was to come, it is {to}", switch.after, switch.mode)
        });
        let issued = issued_after.partition_point(|after| *after <= entry.seq) as u64;
        let holds = (issued..=issued.saturating_add(unseen)).contains(&switch.after);
        audit.check(SWITCHES, seq, holds, || {
            format!("{to} was to come after {} operations, {issued} were issued before it", switch.after)
        });
    }
    for switch in switches.iter().skip(changes.len()) {
        let issued = issued_after.len() as u64;
        audit.check(SWITCHES, None, issued <= switch.after, || {
            format!(
                "{} was to come after {} operations, it never came; {issued} were issued",
                switch.mode, switch.after
            )
        });
    }
    if changes.is_empty() && switches.is_empty() {
        return;
    }
    for (entry, operation) in run.operations() {
        let knew = changes.partition_point(|(change, _)| change.seq < operation.issued_after);
        let mode = knew.checked_sub(1).and_then(|last| changes.get(last)).map_or(run.header.mode, |(_, mode)| *mode);
        let next = changes.get(knew).map(|(change, _)| change.at);
        let holds = operation.mode == mode && next.is_none_or(|next| operation.issued_at <= next);
        audit.check(SWITCHES, Some(entry.seq), holds, || {
            format!("operation {} was issued under {mode}, it says {}", operation.number, operation.mode)
        });
    }
}

fn change(entry: &Entry) -> Option<(&Entry, Mode)> {
    match entry.what {
        What::ModeChanged { to, .. } => Some((entry, to)),
        _ => None,
    }
}

/// Operations that were issued, and counted, and are not written down: not begun, or lost with a worker that panicked.
fn unseen(run: &Run) -> u64 {
    let of = |entry: &Entry| match &entry.what {
        What::WorkerEnded { not_begun, .. } => *not_begun,
        What::Stopped { failure: Some(failure), .. } | What::TaskStopped { failure: Some(failure), .. } => {
            u64::from(failure.kind == FailureKind::Internal)
        }
        _ => 0,
    };
    run.entries.iter().map(of).fold(0, u64::saturating_add)
}
