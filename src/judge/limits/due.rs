//! Which step of a probe may follow, from what the ones before it came to.

use super::course::Step;
use super::took_longer;
use crate::event::{Probe, ProbePhase, ProbeStep};
use crate::protocol::{Failure, FailureKind, stated_wait};

/// Whether that step, which is not the last, may follow.
pub(in crate::judge) fn may_follow(probe: &Probe, steps: &[Step], next: ProbeStep) -> bool {
    use ProbePhase::{BareClose, Count, End, Hold, Release};
    let Some(last) = steps.last() else { return next == ProbeStep { phase: Count, attempt: 1 } };
    let refused = last.refusal().is_some();
    let number = match (last.step.phase, next.phase) {
        (Count, Count) if last.was_let_in() && (last.step.attempt < probe.max || !last.ended.is_empty()) => {
            last.step.attempt + 1
        }
        (Release, Release) | (BareClose, BareClose) if refused && last.step.attempt == 1 => 2,
        (Count, Hold) | (Hold, Release) if refused => 1,
        (Release, BareClose) if last.was_let_in() && probe.bare_close => 1,
        (Count | Hold | Release | BareClose | End, _) => 0,
    };
    next.attempt == number
}

/// Whether there is nothing left to do but to sign out.
pub(in crate::judge) fn may_end(probe: &Probe, steps: &[Step]) -> bool {
    use ProbePhase::{BareClose, Count, End, Hold, Release};
    let Some((last, before)) = steps.split_last() else { return false };
    if last.dial.is_none() {
        return false;
    }
    let has_to_wait = |failure: &Failure| {
        let wait = failure.server_line.as_deref().and_then(stated_wait);
        wait.is_some_and(|wait| wait.duration > probe.hold_us.duration())
    };
    if last.stop().is_some() || last.refusal().is_some_and(has_to_wait) {
        return true;
    }
    match (last.step.phase, last.was_let_in()) {
        (Count, true) => {
            let confirmed = !last.ended.is_empty() && before.last().is_some_and(|before| !before.ended.is_empty());
            let slow_again = || {
                before.split_last().is_some_and(|(slow, before)| [slow, last].iter().all(|it| took_longer(it, before)))
            };
            let all_ended = last.ended.len() > 1 && last.open_after() <= 1;
            (last.step.attempt >= probe.max && last.ended.is_empty()) || confirmed || all_ended || slow_again()
        }
        (Release, let_in) => {
            if let_in {
                !probe.bare_close
            } else {
                last.step.attempt == 2
            }
        }
        (BareClose, let_in) => let_in || last.step.attempt == 2,
        (Hold, true) => true,
        (Hold, false) if last.refusal().is_some_and(|failure| failure.kind == FailureKind::LimitRate) => true,
        (Count | Hold, false) => last.open_after() == 0,
        (End, _) => false,
    }
}
