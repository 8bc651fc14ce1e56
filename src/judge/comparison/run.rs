//! What is kept of a run of a comparison: as much of one that took an hour as of one that took a second.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::trouble::Trouble;
use crate::allocator::Mode;
use crate::event::{Connections, Counts, Executor, Micros, RunOf, SessionClosed, Severity};
use crate::figures::{Spread, Summary};
use crate::judge::findings::OTHER_MAILBOX;
use crate::judge::is_limit;
use crate::judge::metrics::Reading;
use crate::judge::{Allowed, Judge, Verdict, stated_limit};
use crate::protocol::{FailureKind, Stage};

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
    /// From its start to the close of its last connection.
    pub(super) elapsed: Micros,
    /// What part of its time had passed, from its first operation on, when the last of its connections was there; none where it
    /// opened some in the place of others, or one after the other.
    pub(super) connecting: Option<f64>,
    /// The mode that it began in.
    pub mode: Mode,
    /// A limit of the server was met.
    limited: bool,
    /// What that is, where it is one on connections at once.
    pub(super) allowed: Option<Allowed>,
    /// Dials, those that failed too.
    pub(in crate::judge) dials: u64,
    /// How many connections it was to have at once, as far as it asked for them.
    pub(super) wanted: usize,
    /// The worst that it met.
    trouble: Option<Trouble>,
    /// Each way in which anything failed.
    pub(super) failed_by: BTreeSet<FailureKind>,
    /// What was tried, and what of that failed, but for a limit.
    pub(super) tried: Tried,
    /// Its operations were done by threads, without tasks.
    pub(super) is_on_threads: bool,
    /// A signal ended it.
    pub(super) was_interrupted: bool,
}

/// Operations, and creations of a connection that failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// All of them.
    pub all: u64,
    /// Those that failed, but for a limit or a throttle of the server.
    pub failed: u64,
}

impl Tried {
    fn of(summary: &Summary) -> Self {
        let failures: u64 = summary.failures_by_kind.values().sum();
        let by_a_limit = |(kind, count): (&FailureKind, &u64)| is_limit(*kind).then_some(*count);
        let limited: u64 = summary.failures_by_kind.iter().filter_map(by_a_limit).sum();
        let creations = failures.saturating_sub(summary.operations.failed);
        Self { all: summary.operations.issued.saturating_add(creations), failed: failures - limited }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self { all: self.all.saturating_add(other.all), failed: self.failed.saturating_add(other.failed) }
    }
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
    /// Which connection the server refused, where most were open: the 11th, where it gave ten at once (MC030).
    pub refused_at: Option<usize>,
    /// How many connections the server allows, by its own words, where it refused one.
    pub stated_limit: Option<usize>,
}

impl RunFigures {
    fn of(summary: &Summary, verdict: &Verdict, allowed: Option<Allowed>) -> Self {
        let bytes = |of: fn(&SessionClosed) -> u64| -> u64 {
            summary.sessions.iter().filter_map(|row| row.closed.as_ref()).map(of).sum()
        };
        let findings: BTreeMap<String, u64> =
            verdict.findings.iter().map(|finding| (finding.id.clone(), finding.count.max(1))).collect();
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
            refused_at: allowed.and_then(|it| it.ours).map(|ours| ours.saturating_add(1)),
            stated_limit: allowed.and_then(|it| it.stated),
        }
    }
}

/// What the run shows of a limit on connections. Where the server lets one more in and refuses what comes behind the sign-in, or
/// ends another for it, no refused dial tells how many fit; its words may.
fn allowed(judge: &Judge, summary: &Summary) -> Option<Allowed> {
    let mut behind = summary.failures.iter().filter(|row| {
        row.kind == FailureKind::LimitConnections && matches!(row.stage, Stage::Operation | Stage::Logout)
    });
    let Some(first) = behind.next() else { return judge.allowed() };
    let lines = [first].into_iter().chain(behind).flat_map(|row| row.server_line.iter().chain(&row.further_lines));
    let stated = lines.filter_map(|line| usize::try_from(stated_limit(line)?).ok()).min();
    Some(Allowed { stated, ..Allowed::default() })
}

/// What part of its time had passed when the last of its connections was there, if it opened each once and for all.
fn connecting(summary: &Summary) -> Option<f64> {
    let each_once = summary.connections.opened == summary.connections.peak;
    let worked = summary.worked.0 as f64;
    (each_once && worked > 0.0).then(|| summary.connecting.0 as f64 / worked)
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

    /// The worst that it met; none where all went well, or where it was cut.
    #[must_use]
    pub const fn trouble(&self) -> Option<Trouble> {
        self.trouble
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
        let allowed = allowed(judge, summary);
        let refused = summary.sessions.iter().filter_map(|row| row.dial.as_ref().err());
        let refused: BTreeSet<_> = refused.map(|refused| refused.connection).collect();
        Self {
            variant,
            is_on_the_sandbox: sandbox.is_some(),
            rtt: sandbox.and_then(|it| it.rtt_us),
            round: run.round,
            run_id: start.map(|start| start.run_id.clone()).unwrap_or_default(),
            exit_code,
            because: (exit_code != 0).then(because),
            elapsed: ending.elapsed,
            connecting: connecting(summary),
            mode: start.map_or(Mode::UseMain, |start| start.mode),
            figures: RunFigures { cpu_us: ending.cpu, ..RunFigures::of(summary, verdict, allowed) },
            compared,
            gated,
            allowed,
            dials: summary.connections.opened.saturating_add(summary.refused) as u64,
            wanted: summary.connections.peak.saturating_add(refused.len()),
            trouble: Trouble::of(summary, verdict),
            failed_by: summary.failures_by_kind.keys().copied().collect(),
            tried: Tried::of(summary),
            limited: verdict.findings.iter().any(|finding| finding.severity == Severity::Limit)
                || summary.failures_by_kind.keys().any(|kind| is_limit(*kind)),
            is_on_threads: start.is_some_and(|start| start.executor == Executor::Threads),
            was_interrupted: ending.interrupted.is_some(),
        }
    }
}
