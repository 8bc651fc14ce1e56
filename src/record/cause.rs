//! What a run's conclusion rests on: which of its failures, which of its findings.

use super::failures::FailureRow;
use super::run::{Run, What};
use super::summary::Summary;
use super::verdict::{Conclusion, Finding};
use crate::protocol::failure::gives_no_reason;
use crate::protocol::{FailureKind, Stage};

/// In words; none where the conclusion's own sentence says it all.
pub(super) fn of(run: &Run, summary: &Summary, findings: &[Finding], conclusion: Conclusion) -> Option<String> {
    match conclusion {
        Conclusion::Failed => {
            let parts: Vec<String> =
                [operations(summary), refused_creations(run), failed_creations(run), failing(run, findings)]
                    .into_iter()
                    .flatten()
                    .collect();
            (!parts.is_empty()).then(|| parts.join("; "))
        }
        Conclusion::NotConnected if summary.opened > 0 => {
            let dials = summary.sessions.len();
            let failed = dials - summary.opened;
            Some(format!("{failed} of {dials} connections could not be opened"))
        }
        Conclusion::SignInRefused => {
            let none = |row: &FailureRow| row.kind == FailureKind::AuthUnsupported;
            let only = summary.failures.iter().filter(|row| row.stage == Stage::Auth).all(none);
            (only && summary.failures.iter().any(none))
                .then(|| "there was nothing to sign in with, or no way that both sides know".to_owned())
        }
        Conclusion::Limited => {
            let met = |kind| summary.failures.iter().any(|row| row.kind == kind);
            let found = |ids: &[&str]| findings.iter().any(|finding| ids.contains(&finding.id));
            let connections = met(FailureKind::LimitConnections) || found(&["MC030", "MC032", "MC033"]);
            let rate = met(FailureKind::LimitRate) || found(&["MC031"]);
            let words = |row: &FailureRow| {
                row.kind == FailureKind::LimitConnections
                    && !gives_no_reason(row.server_line.as_deref(), &row.further_lines)
            };
            let stated = summary.failures.iter().any(words) || found(&["MC032", "MC033"]);
            match (connections, rate) {
                (true, false) if found(&["MC033"]) && !found(&["MC030", "MC032"]) => {
                    Some("the maildrop was locked by another connection".to_owned())
                }
                (true, false) if !stated => Some("probably refused by a connection limit".to_owned()),
                (false, true) => Some("throttled by the server".to_owned()),
                (true, true) => Some("refused by a connection limit, and throttled".to_owned()),
                _ => None,
            }
        }
        _ => None,
    }
}

fn operations(summary: &Summary) -> Option<String> {
    match summary.operations.failed {
        0 => None,
        1 => Some("1 operation failed".to_owned()),
        failed => Some(format!("{failed} operations failed")),
    }
}

/// Creations by hand that a rule forbade: no operation carries that failure.
fn refused_creations(run: &Run) -> Option<String> {
    match creations(run).filter(|kind| *kind == FailureKind::Refused).count() {
        0 => None,
        1 => Some("the creation of a connection was refused".to_owned()),
        refused => Some(format!("the creation of {refused} connections was refused")),
    }
}

/// Those for which there was no room, or no answer.
fn failed_creations(run: &Run) -> Option<String> {
    let mut kinds: Vec<FailureKind> =
        creations(run).filter(|kind| !matches!(kind, FailureKind::Refused | FailureKind::Internal)).collect();
    let failed = kinds.len();
    kinds.sort_unstable();
    kinds.dedup();
    let kinds = kinds.into_iter().map(FailureKind::name).collect::<Vec<_>>().join(", ");
    match failed {
        0 => None,
        1 => Some(format!("a connection could not be created ({kinds})")),
        failed => Some(format!("{failed} connections could not be created ({kinds})")),
    }
}

fn creations(run: &Run) -> impl Iterator<Item = FailureKind> {
    run.entries.iter().filter_map(|entry| match &entry.what {
        What::Stopped { failure, .. } | What::TaskStopped { failure, .. } => Some(failure.as_deref()?.kind),
        _ => None,
    })
}

/// The findings that fail the run by what it was told.
fn failing(run: &Run, findings: &[Finding]) -> Option<String> {
    let failing: Vec<&Finding> = findings.iter().filter(|finding| run.header.fail_on.holds(finding.severity)).collect();
    let ids: Vec<&str> = failing.iter().map(|finding| finding.id).collect();
    let mut severities: Vec<&str> = failing.iter().map(|finding| finding.severity.name()).collect();
    severities.dedup();
    match failing.len() {
        0 => None,
        1 => Some(format!("{} fails the run (--fail-on {})", ids.join(", "), severities.join(","))),
        _ => Some(format!("{} fail the run (--fail-on {})", ids.join(", "), severities.join(","))),
    }
}
