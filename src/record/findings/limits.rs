//! How many connections a server allows: by its own words, or by what it does without any.

use std::time::Duration;

use crate::protocol::{FailureKind, Stage};
use crate::record::run::{OpenFailed, Run, What};
use crate::record::summary::{SessionRow, Summary};

/// Whether a dial is called a limit for what the server did, and not for its words.
pub(super) fn is_by_deed(failed: &OpenFailed) -> bool {
    failed.failure.kind == FailureKind::LimitConnections && failed.failure.gives_no_reason()
}

/// Whether the server answered on a connection of ours after that moment.
pub(super) fn answered_after(run: &Run, summary: &Summary, moment: Duration) -> bool {
    let mut ok = run.operations().filter(|(_, operation)| operation.outcome.is_ok());
    let signed_in = || summary.sessions.iter().filter_map(|row| row.dial.as_ref().ok()).map(|opened| opened.signed_in);
    ok.any(|(entry, _)| entry.at > moment) || signed_in().any(|at| at > moment)
}

/// Dials that were closed before a word was said, while others of ours were open that still answered afterwards; nobody had
/// seen that by then.
pub(super) fn closed_without_a_word<'a>(run: &Run, summary: &'a Summary) -> Vec<(&'a SessionRow, &'a OpenFailed)> {
    let answered_last =
        run.operations().filter(|(_, operation)| operation.outcome.is_ok()).map(|(entry, _)| entry.at).max();
    let failed = summary.sessions.iter().filter_map(|row| Some((row, row.dial.as_ref().err()?)));
    let closed = |failed: &OpenFailed| {
        failed.failure.kind == FailureKind::Closed
            && (failed.failure.stage == Stage::Tls
                || failed.failure.stage == Stage::Greeting && failed.phases.greeting.is_none())
            && failed.failure.server_line.is_none()
    };
    let mut wordless: Vec<_> = failed
        .filter(|(_, failed)| {
            closed(failed) && failed.open > 0 && answered_last.is_some_and(|last| last > failed.failed)
        })
        .collect();
    // A server that hung up on those as well was not counting: it went away.
    let lost = run.entries.iter().any(|entry| match &entry.what {
        What::Operation(operation) => operation.outcome.as_ref().is_err_and(|failure| {
            matches!(failure.kind, FailureKind::Closed | FailureKind::ServerBye | FailureKind::Timeout)
                && failure.stage == Stage::Operation
        }),
        _ => false,
    });
    if lost {
        wordless.clear();
    }
    wordless
}

/// The dials of ours that were under way at moments, and ended well: whether the server had let them in by then is not known.
pub(super) struct BeingOpened {
    began: Vec<Duration>,
    signed_in: Vec<Duration>,
}

impl BeingOpened {
    pub(super) fn of(summary: &Summary) -> Self {
        let opened = || summary.sessions.iter().filter_map(|row| row.dial.as_ref().ok());
        let mut began: Vec<Duration> = opened().map(|opened| opened.began).collect();
        let mut signed_in: Vec<Duration> = opened().map(|opened| opened.signed_in).collect();
        began.sort_unstable();
        signed_in.sort_unstable();
        Self { began, signed_in }
    }

    pub(super) fn at(&self, moment: Duration) -> usize {
        let until = |times: &[Duration]| times.partition_point(|time| *time <= moment);
        until(&self.began).saturating_sub(until(&self.signed_in))
    }
}
