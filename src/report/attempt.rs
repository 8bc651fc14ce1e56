//! A dial of a probe in a line, as it happens and in the report.

use super::words::span;
use crate::judge::Attempt;
use crate::protocol::FailureKind;

/// `count#5      let in after 12 ms, 5 open; the server had ended #1`.
#[must_use]
pub fn attempt_line(attempt: &Attempt) -> String {
    let took = span(attempt.took_us);
    let how = if attempt.failure.is_none() { "after" } else { "in" };
    let Attempt { step, open, .. } = attempt;
    format!("{:<12} {} {how} {took}, {open} open{}", step.to_string(), dial_came_to(attempt), of_others(attempt))
}

/// A limit can be why.
pub(super) const REFUSED: &str = "refused";
/// None can.
pub(super) const FAILED: &str = "failed";
/// What was ended by an interruption is no failure.
pub(super) const CALLED_OFF: &str = "called off";

/// How it failed; none if it was let in.
pub(super) fn went(attempt: &Attempt) -> Option<&'static str> {
    let failure = attempt.failure.as_ref()?;
    Some(match failure.kind {
        FailureKind::Disposed => CALLED_OFF,
        _ if attempt.was_refused => REFUSED,
        _ => FAILED,
    })
}

/// `let in`; `refused: limit-connections at auth`; with what became of the sessions that were open.
pub(super) fn came_to(attempt: &Attempt) -> String {
    dial_came_to(attempt) + &of_others(attempt)
}

fn dial_came_to(attempt: &Attempt) -> String {
    match attempt.failure.as_ref().zip(went(attempt)) {
        None => "let in".to_owned(),
        Some((failure, CALLED_OFF)) => format!("{CALLED_OFF} at {}", failure.stage),
        Some((failure, went)) => format!("{went}: {} at {}", failure.kind, failure.stage),
    }
}

/// Those that the server ended, and the one that did not answer.
fn of_others(attempt: &Attempt) -> String {
    let ended = match &*attempt.ended {
        [] => String::new(),
        ended => {
            let ended: Vec<String> = ended.iter().map(ToString::to_string).collect();
            format!("; the server had ended {}", ended.join(", "))
        }
    };
    let silent = attempt.silent.map(|session| format!("; {session} did not answer")).unwrap_or_default();
    ended + &silent
}
