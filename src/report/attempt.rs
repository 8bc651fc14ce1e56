//! A dial of a probe in a line, as it happens and in the report.

use super::words::span;
use crate::judge::Attempt;
use crate::protocol::{Failure, FailureKind};

/// `count#5      let in after 12 ms, 5 open`.
#[must_use]
pub fn attempt_line(attempt: &Attempt) -> String {
    let took = span(attempt.took_us);
    let how = if attempt.failure.is_none() { "after" } else { "in" };
    let Attempt { step, open, .. } = attempt;
    format!("{:<12} {} {how} {took}, {open} open", step.to_string(), came_to(attempt))
}

/// What is not refused.
pub(super) const FAILED: &str = "failed";
/// What was ended by an interruption is no failure.
pub(super) const CALLED_OFF: &str = "called off";

/// The server refuses; what is no word or deed of it, or is about the password, fails.
pub(super) const fn went(failure: &Failure) -> &'static str {
    use FailureKind::{
        AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, Disposed, Dns, Internal, LocalResources, TlsCertificate,
        TlsHandshake,
    };
    match failure.kind {
        Disposed => CALLED_OFF,
        AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported | Dns | Internal | LocalResources | TlsCertificate
        | TlsHandshake => FAILED,
        _ => "refused",
    }
}

/// `let in`; `refused: limit-connections at auth`; with the sessions that the server ended.
pub(super) fn came_to(attempt: &Attempt) -> String {
    let came = match &attempt.failure {
        None => "let in".to_owned(),
        Some(failure) if went(failure) == CALLED_OFF => format!("{CALLED_OFF} at {}", failure.stage),
        Some(failure) => format!("{}: {} at {}", went(failure), failure.kind, failure.stage),
    };
    let ended = match &*attempt.ended {
        [] => String::new(),
        ended => {
            let ended: Vec<String> = ended.iter().map(ToString::to_string).collect();
            format!("; the server had ended {}", ended.join(", "))
        }
    };
    let silent = attempt.silent.map(|session| format!("; {session} did not answer")).unwrap_or_default();
    came + &ended + &silent
}
