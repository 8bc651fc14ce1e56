//! A dial of a probe in a line, as it happens and in the report.

use super::words::{printable, span};
use crate::judge::Attempt;

/// `count#5  accepted in 12 ms, 5 open`.
#[must_use]
pub fn attempt_line(attempt: &Attempt) -> String {
    format!("{:<12} {}, {} open", attempt.step.to_string(), came_to(attempt), attempt.open)
}

/// `accepted in 12 ms`; `refused in 3 ms, limit-connections at auth: NO [LIMIT] …`.
pub(super) fn came_to(attempt: &Attempt) -> String {
    let took = span(attempt.took_us);
    let came = match &attempt.failure {
        None => format!("accepted in {took}"),
        Some(failure) => {
            let said = failure.server_line.as_deref().unwrap_or(&failure.message);
            format!("refused in {took}, {} at {}: {}", failure.kind, failure.stage, printable(said))
        }
    };
    match &*attempt.ended {
        [] => came,
        ended => {
            let ended: Vec<String> = ended.iter().map(ToString::to_string).collect();
            format!("{came}; the server ended {}", ended.join(", "))
        }
    }
}
