//! What a run comes to: every exit code, and the words for it.

use std::collections::{BTreeMap, BTreeSet};

use super::finding::Proven;
use super::gates::{any_failed, failed_gates};
use super::limits::{EndedFor, Probed};
use super::refusals::{is_limit, is_refused_sign_in};
use crate::allocator::ConnectionId;
use crate::event::{
    ComparisonEnding, Event, Finding, Gated, KeptBy, LimitKind, LimitMet, Policy, SessionRefused, Severity, What,
    WhyStopped,
};
use crate::figures::{FailureRow, count};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::failure::gives_no_reason;
use crate::protocol::{Failure, FailureKind, Stage};

/// The result of a run, for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Conclusion {
    /// 0: all held.
    Held,
    /// 1: operations failed, or a finding fails the run ([`Policy`]).
    Failed,
    /// 3: nothing else failed, and a gate did ([`Policy`]).
    GateFailed,
    /// 4: no connection came to be: network, TLS, greeting, or a sign-in that had no answer.
    NotConnected,
    /// 5: sign-in refused.
    SignInRefused,
    /// 6: a limit of the server: on connections, or on how much and how often.
    Limited,
    /// 7: our own invariant is broken.
    Broken,
    /// 129, 130 or 143: interrupted by that signal.
    Interrupted(i32),
}

impl Conclusion {
    /// What a run comes to in which nothing else fails, where a server said so: at a first dial, up to the sign-in.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> Self {
        let is_dial = failure.stage <= Stage::Wait;
        if is_dial && is_refused_sign_in(failure, true) {
            Self::SignInRefused
        } else if is_limit(failure.kind) {
            Self::Limited
        } else if is_dial {
            Self::NotConnected
        } else {
            Self::Failed
        }
    }

    /// The process's exit code for it.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        match self {
            Self::Held => 0,
            Self::Failed => 1,
            Self::GateFailed => 3,
            Self::NotConnected => 4,
            Self::SignInRefused => 5,
            Self::Limited => 6,
            Self::Broken => 7,
            Self::Interrupted(1) => 129,
            Self::Interrupted(15) => 143,
            Self::Interrupted(_) => 130,
        }
    }

    /// What it means, in a few words.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Held => "all held",
            Self::Failed => "operations failed, or a finding fails the run",
            Self::GateFailed => "a gate failed",
            Self::NotConnected => "no connection came to be",
            Self::SignInRefused => "sign-in refused",
            Self::Limited => "refused by a connection limit",
            Self::Broken => "an invariant of ours is broken",
            Self::Interrupted(_) => "interrupted",
        }
    }
}

/// Of two exit codes, the one that counts: that of the conclusion that is reached first.
#[must_use]
pub fn first_of(one: u8, other: u8) -> u8 {
    let rank = |code: u8| [143, 130, 129, 7, 5, 6, 4, 1, 3].iter().position(|it| *it == code).unwrap_or(usize::MAX);
    if rank(other) < rank(one) { other } else { one }
}

/// The exit code of a comparison, of those of its runs: the one that counts. One that came to nothing failed. A gate that
/// failed and a decision that is wanting count last.
pub(super) fn of_comparison(
    runs: impl Iterator<Item = u8>,
    ending: &ComparisonEnding,
    is_empty: bool,
    fails: bool,
) -> u8 {
    let interrupted = ending.interrupted.map(Conclusion::Interrupted);
    let stopped = ending.stopped.as_ref().and_then(|stopped| match stopped.why {
        WhyStopped::Limit => Some(Conclusion::Limited),
        WhyStopped::SignIn => Some(Conclusion::SignInRefused),
        WhyStopped::Failed => Some(Conclusion::Failed),
        WhyStopped::Time | WhyStopped::SignIns | WhyStopped::Signal => None,
    });
    let empty = is_empty.then_some(Conclusion::Failed);
    let own = [interrupted, stopped, empty, fails.then_some(Conclusion::GateFailed)].into_iter().flatten();
    runs.chain(own.map(Conclusion::exit_code)).fold(0, first_of)
}

/// What the conclusion needs beyond figures and findings.
#[derive(Debug, Default)]
pub(super) struct Grounds {
    /// Connections that are there, and were open once.
    been_open: BTreeSet<ConnectionId>,
    /// Whether a first dial failed, and whether a sign-in was refused at one: what fails after the first is a failed
    /// operation.
    first_dial_failed: bool,
    sign_in_refused: bool,
    /// Connections that could not be created by hand, by the failure: no operation carries it.
    creations: BTreeMap<FailureKind, u64>,
}

impl Analysis for Grounds {
    fn see(&mut self, event: &Event, _: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => drop(self.been_open.insert(opened.connection)),
            What::ConnectionDisposed(disposed) => drop(self.been_open.remove(&disposed.connection)),
            What::SessionRefused(refused) if !self.been_open.contains(&refused.connection) => self.first_dial(refused),
            What::WorkerStopped(stopped) => self.creation(stopped.failure.as_deref()),
            What::TaskStopped(stopped) => self.creation(stopped.failure.as_deref()),
            _ => {}
        }
    }
}

impl Grounds {
    fn first_dial(&mut self, refused: &SessionRefused) {
        self.first_dial_failed = true;
        self.sign_in_refused |= is_refused_sign_in(&refused.failure, refused.sign_in_attempted);
    }

    fn creation(&mut self, failure: Option<&Failure>) {
        if let Some(failure) = failure {
            *self.creations.entry(failure.kind).or_default() += 1;
        }
    }

    /// The first that applies, in this order: interrupted, broken, sign-in, limit, connect, failed, gate.
    pub(super) fn conclude(
        &self,
        proven: &Proven<'_>,
        findings: &[Finding],
        gates: &[Gated],
        policy: &Policy,
    ) -> Conclusion {
        let found = |severity| findings.iter().any(|finding| finding.severity == severity);
        let failures = &proven.summary.failures;
        let failed_by = |is: fn(FailureKind) -> bool| failures.iter().any(|row| is(row.kind));
        if let Some(signal) = proven.known.ending().and_then(|ending| ending.interrupted) {
            Conclusion::Interrupted(signal)
        } else if found(Severity::Broken) || failed_by(|kind| kind == FailureKind::Internal) {
            Conclusion::Broken
        } else if self.sign_in_refused {
            Conclusion::SignInRefused
        } else if found(Severity::Limit) || failed_by(is_limit) {
            Conclusion::Limited
        } else if self.first_dial_failed {
            Conclusion::NotConnected
        } else if proven.summary.operations.failed > 0
            || !failures.is_empty()
            || findings.iter().any(|finding| policy.fails_on(finding.severity))
        {
            Conclusion::Failed
        } else if any_failed(gates) {
            Conclusion::GateFailed
        } else {
            Conclusion::Held
        }
    }

    /// What a probe comes to, and why in words where the conclusion alone does not say. A limit that was met is its answer,
    /// and fails nothing.
    pub(super) fn conclude_probe(
        &self,
        probed: &Probed,
        proven: &Proven<'_>,
        findings: &[Finding],
        gates: &[Gated],
        policy: &Policy,
    ) -> (Conclusion, Option<String>) {
        let limits = &probed.limits;
        let is_broken = findings.iter().any(|finding| finding.severity == Severity::Broken)
            || proven.summary.failures.iter().any(|row| row.kind == FailureKind::Internal);
        let failing = failing(findings, policy);
        let is_unread = proven.known.ending().is_some_and(|ending| ending.is_unread);
        if let Some(signal) = proven.known.ending().and_then(|ending| ending.interrupted) {
            (Conclusion::Interrupted(signal), None)
        } else if is_broken {
            (Conclusion::Broken, None)
        } else if self.sign_in_refused {
            let conclusion = Conclusion::SignInRefused;
            let because = match proven.summary.connections.opened {
                0 => self.because(conclusion, proven, findings, gates, policy),
                opened => Some(format!(
                    "sign-in refused, though {} before it were not: perhaps a limit",
                    count(opened as u64)
                )),
            };
            (conclusion, because)
        } else if proven.summary.connections.opened == 0 && limits.met.is_none() {
            (Conclusion::NotConnected, None)
        } else if !limits.answered && is_unread && policy.need.is_none() && failing.is_none() {
            // Whoever went away has seen enough. With `--need` the exit code alone is the answer.
            (Conclusion::Held, None)
        } else if !limits.answered {
            (Conclusion::Failed, Some(unanswered(probed)))
        } else if let Some(need) = policy.need.filter(|need| limits.given < *need && probed.later_with(*need).is_none())
        {
            let given = limits.given;
            let is = |what: fn(&LimitMet) -> bool| limits.met.as_ref().is_some_and(what);
            if is(|met| met.kept_by == KeptBy::Slowing) {
                let slowed = format!("not answered: the server slowed down before {need} were open (--need {need})");
                (Conclusion::Failed, Some(slowed))
            } else {
                let slowly = if is(|met| met.kind == LimitKind::Rate) { "; more slowly, more may come" } else { "" };
                (Conclusion::Limited, Some(format!("{given} of {need} connections were given (--need {need}){slowly}")))
            }
        } else if failing.is_some() {
            (Conclusion::Failed, failing)
        } else if any_failed(gates) {
            (Conclusion::GateFailed, failed_gates(gates))
        } else {
            let later = policy.need.and_then(|need| Some((need, probed.later_with(need)?)));
            let because = later.map(|(need, attempt)| {
                format!("{need} connections were open at once, though not before {} (--need {need})", attempt.step)
            });
            (Conclusion::Held, because.or_else(|| Some("the question was answered".to_owned())))
        }
    }

    /// What the conclusion rests on, in words; none where its own sentence says it all.
    pub(super) fn because(
        &self,
        conclusion: Conclusion,
        proven: &Proven<'_>,
        findings: &[Finding],
        gates: &[Gated],
        policy: &Policy,
    ) -> Option<String> {
        let summary = proven.summary;
        match conclusion {
            Conclusion::Failed => {
                let operations = counted(summary.operations.failed, "1 operation failed", |failed| {
                    format!("{} operations failed", count(failed))
                });
                let parts = [operations, self.refused_creations(), self.failed_creations(), failing(findings, policy)];
                let parts: Vec<String> = parts.into_iter().flatten().collect();
                (!parts.is_empty()).then(|| parts.join("; "))
            }
            Conclusion::NotConnected if summary.connections.opened > 0 => {
                let dials = summary.refused + summary.connections.opened;
                Some(format!(
                    "{} of {} connections could not be opened",
                    count(summary.refused as u64),
                    count(dials as u64)
                ))
            }
            Conclusion::SignInRefused => {
                let none = |row: &FailureRow| row.kind == FailureKind::AuthUnsupported;
                let only = summary.failures.iter().filter(|row| row.stage == Stage::Auth).all(none);
                (only && summary.failures.iter().any(none))
                    .then(|| "there was nothing to sign in with, or no way that both sides know".to_owned())
            }
            Conclusion::Limited => which_limit(&summary.failures, findings).map(str::to_owned),
            Conclusion::GateFailed => failed_gates(gates),
            _ => None,
        }
    }

    /// Creations by hand that a rule forbade.
    fn refused_creations(&self) -> Option<String> {
        let refused = self.creations.get(&FailureKind::Refused).copied().unwrap_or_default();
        counted(refused, "the creation of a connection was refused", |refused| {
            format!("the creation of {} connections was refused", count(refused))
        })
    }

    /// Those for which there was no room, or no answer.
    fn failed_creations(&self) -> Option<String> {
        let by_rule = |kind: &FailureKind| matches!(kind, FailureKind::Refused | FailureKind::Internal);
        let failed: Vec<_> = self.creations.iter().filter(|(kind, _)| !by_rule(kind)).collect();
        let kinds = failed.iter().map(|(kind, _)| kind.name()).collect::<Vec<_>>().join(", ");
        counted(
            failed.iter().map(|(_, count)| **count).sum(),
            &format!("a connection could not be created ({kinds})"),
            |failed| format!("{} connections could not be created ({kinds})", count(failed)),
        )
    }
}

/// Why a probe found no answer.
fn unanswered(probed: &Probed) -> String {
    let limits = &probed.limits;
    let why = match (&limits.stopped, &limits.met, probed.ended_for) {
        (Some(failure), _, _) => format!("it ended with {} at {}", failure.kind, failure.stage),
        (None, Some(met), _) if matches!(met.kept_by, KeptBy::EndingOldest | KeptBy::EndingAnother) => {
            "the server ended others; how many it leaves was not seen".to_owned()
        }
        (None, Some(_), _) => "it ended before it could tell what the limit counts".to_owned(),
        (None, None, Some(ended_for)) => ended_by_itself(ended_for, limits.ended),
        (None, None, None) => "it ended before it met a limit, or its --max".to_owned(),
    };
    format!("not answered: {why}")
}

fn ended_by_itself(ended_for: EndedFor, ended: usize) -> String {
    let ended = count(ended as u64);
    match ended_for {
        EndedFor::Idling => format!("the server ended {ended} of them for lying idle"),
        EndedFor::Commands => format!("the server ended {ended} of them for their commands"),
        EndedFor::CommandOf(number) => format!("the server ended {ended}, each by command {number} of it"),
        EndedFor::Itself => format!("the server ended {ended} by itself before the next one came"),
    }
}

fn counted(count: u64, one: &str, many: impl Fn(u64) -> String) -> Option<String> {
    match count {
        0 => None,
        1 => Some(one.to_owned()),
        count => Some(many(count)),
    }
}

/// The findings that fail the run by the policy.
fn failing(findings: &[Finding], policy: &Policy) -> Option<String> {
    let failing: Vec<&Finding> = findings.iter().filter(|finding| policy.fails_on(finding.severity)).collect();
    let ids = failing.iter().map(|finding| &*finding.id).collect::<Vec<_>>().join(", ");
    let mut severities: Vec<&str> = failing.iter().map(|finding| finding.severity.name()).collect();
    severities.dedup();
    let severities = severities.join(",");
    match failing.len() {
        0 => None,
        1 => Some(format!("{ids} fails the run (--fail-on {severities})")),
        _ => Some(format!("{ids} fail the run (--fail-on {severities})")),
    }
}

fn which_limit(failures: &[FailureRow], findings: &[Finding]) -> Option<&'static str> {
    use super::findings::{CONNECTIONS, LOCKED, MAIN_SHUT_OUT, THROTTLED};
    let met = |kind| failures.iter().any(|row| row.kind == kind);
    let found = |ids: &[&str]| findings.iter().any(|finding| ids.contains(&&*finding.id));
    let connections = met(FailureKind::LimitConnections) || found(&[CONNECTIONS, MAIN_SHUT_OUT, LOCKED]);
    let rate = met(FailureKind::LimitRate) || found(&[THROTTLED]);
    let words = |row: &FailureRow| {
        row.kind == FailureKind::LimitConnections && !gives_no_reason(row.server_line.as_deref(), &row.further_lines)
    };
    let stated = failures.iter().any(words) || found(&[MAIN_SHUT_OUT, LOCKED]);
    match (connections, rate) {
        (true, false) if found(&[LOCKED]) && !found(&[CONNECTIONS, MAIN_SHUT_OUT]) => {
            Some("the maildrop was locked by another connection")
        }
        (true, false) if !stated => Some("probably refused by a connection limit"),
        (false, true) => Some("throttled by the server"),
        (true, true) => Some("refused by a connection limit, and throttled"),
        _ => None,
    }
}
