//! What is kept of a run of a comparison: as much of one that took an hour as of one that took a second.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use crate::event::{Connections, Counts, Executor, Micros, RunOf, SessionClosed, SessionRefused, Severity};
use crate::figures::{Spread, Summary};
use crate::judge::findings::OTHER_MAILBOX;
use crate::judge::is_limit;
use crate::judge::metrics::Reading;
use crate::judge::refusals::lines;
use crate::judge::{Judge, Verdict, stated_limit};
use crate::protocol::FailureKind;

/// A run of a comparison.
#[derive(Clone, Debug)]
pub struct ComparedRun {
    /// The place of its variant among all.
    pub variant: usize,
    /// Its round.
    pub round: u32,
    /// Its name.
    pub run_id: String,
    /// What it came to.
    pub exit_code: u8,
    /// Why, where that is not 0.
    pub because: Option<String>,
    /// Its figures.
    pub figures: RunFigures,
    /// What the verdict is about, and what the gates are.
    pub(super) compared: Reading,
    pub(super) gated: Vec<Reading>,
    /// Its server was in the box.
    pub(super) is_on_the_sandbox: bool,
    /// How far away it was, as a round trip.
    pub(super) rtt: Option<Micros>,
    /// A limit of the server was met.
    limited: bool,
    /// One on connections at once.
    refused_more: bool,
    /// Its operations were done by threads, without tasks.
    pub(super) is_on_threads: bool,
    /// A signal ended it.
    pub(super) was_interrupted: bool,
}

/// The figures that are told of each run.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct RunFigures {
    /// Its operations.
    pub operations: Counts,
    /// Operations a second.
    pub operations_per_second: Option<f64>,
    /// What they waited for their connection.
    pub wait_us: Spread,
    /// What they took.
    pub service_us: Spread,
    /// Its connections.
    pub connections: Connections,
    /// Sign-ins that were tried.
    pub sign_ins: u64,
    /// Bytes that were sent, on all connections.
    pub bytes_sent: u64,
    /// Bytes that were received.
    pub bytes_received: u64,
    /// The processor time of the threads that did the work.
    pub cpu_us: Option<Micros>,
    /// How often anything failed.
    pub failures: u64,
    /// Replies that came from another mailbox than was meant.
    pub wrong_mailboxes: u64,
    /// How often each finding was made.
    pub findings: BTreeMap<String, u64>,
    /// Which connection the server refused, where most were open: the 11th, where ten were.
    pub refused_at: Option<usize>,
}

impl RunFigures {
    fn of(summary: &Summary, verdict: &Verdict) -> Self {
        let bytes = |of: fn(&SessionClosed) -> u64| -> u64 {
            summary.sessions.iter().filter_map(|row| row.closed.as_ref()).map(of).sum()
        };
        let findings: BTreeMap<String, u64> =
            verdict.findings.iter().map(|finding| (finding.id.clone(), finding.count.max(1))).collect();
        let refused = summary.sessions.iter().filter_map(|row| row.dial.as_ref().err());
        let by_limit = refused.filter(|refused| refused.failure.kind == FailureKind::LimitConnections);
        Self {
            operations: summary.operations,
            operations_per_second: summary.rate(),
            wait_us: summary.spreads.wait,
            service_us: summary.spreads.service,
            connections: summary.connections,
            sign_ins: summary.sign_ins,
            bytes_sent: bytes(|closed| closed.bytes_sent).saturating_add(summary.rest.bytes_sent),
            bytes_received: bytes(|closed| closed.bytes_received).saturating_add(summary.rest.bytes_received),
            cpu_us: None,
            failures: summary.failures_by_kind.values().sum(),
            wrong_mailboxes: findings.get(OTHER_MAILBOX).copied().unwrap_or_default(),
            findings,
            refused_at: by_limit.map(|refused| allowed(refused) + 1).max(),
        }
    }
}

/// How many the server allows: as many as it says, else as many as were open.
fn allowed(refused: &SessionRefused) -> usize {
    lines(&refused.failure).find_map(stated_limit).map_or(refused.open, |stated| stated as usize)
}

impl ComparedRun {
    /// The figure that the verdict is about; none where the run has none.
    #[must_use]
    pub const fn compared(&self) -> Option<&Number> {
        match &self.compared {
            Reading::Is(number) => Some(number),
            Reading::None(_) => None,
        }
    }

    /// Whether a limit of the server was met.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Whether a signal ended it, or the time for all of it.
    #[must_use]
    pub const fn is_interrupted(&self) -> bool {
        self.was_interrupted
    }

    /// Whether the server refused it one more connection beside those that were open: no rate, which all runs share.
    #[must_use]
    pub const fn is_refused_more(&self) -> bool {
        self.refused_more
    }

    pub(super) fn of(
        (variant, run): (usize, RunOf<'_>),
        judge: &Judge,
        summary: &Summary,
        verdict: &Verdict,
        (compared, gated): (Reading, Vec<Reading>),
    ) -> Self {
        let ending = judge.known().ending().unwrap_or_default();
        let exit_code = verdict.conclusion.exit_code();
        let because = || verdict.because.clone().unwrap_or_else(|| verdict.conclusion.sentence().to_owned());
        let start = judge.known().start();
        let sandbox = start.and_then(|start| start.sandbox.as_ref());
        Self {
            variant,
            is_on_the_sandbox: sandbox.is_some(),
            rtt: sandbox.and_then(|it| it.rtt_us),
            round: run.round,
            run_id: start.map(|start| start.run_id.clone()).unwrap_or_default(),
            exit_code,
            because: (exit_code != 0).then(because),
            figures: RunFigures { cpu_us: ending.cpu, ..RunFigures::of(summary, verdict) },
            compared,
            gated,
            refused_more: summary.failures_by_kind.contains_key(&FailureKind::LimitConnections),
            limited: verdict.findings.iter().any(|finding| finding.severity == Severity::Limit)
                || summary.failures_by_kind.keys().any(|kind| is_limit(*kind)),
            is_on_threads: start.is_some_and(|start| start.executor == Executor::Threads),
            was_interrupted: ending.interrupted.is_some(),
        }
    }
}
