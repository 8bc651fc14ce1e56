//! What a run proves: whether the rules held, whether the server's own record agrees, and what else was found.

use std::collections::BTreeSet;

use super::run::{OpenFailed, Run};
use super::summary::Summary;
use super::{agreement, cause, findings, rules};
use crate::protocol::{Failure, FailureKind, Stage};

/// What a run proves.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// Operations whose connection was checked against the rules, and those that had the right one.
    pub rules: Agreement,
    /// Operations that were compared with the server's own record, and those it confirms; none if it cannot be had.
    pub witness: Option<Agreement>,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What it all comes to.
    pub conclusion: Conclusion,
    /// What that rests on, in words, where the conclusion alone does not say.
    pub because: Option<String>,
}

/// How many of those checked held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Checked.
    pub checked: u64,
    /// Held.
    pub held: u64,
}

/// What does not hold, and at which entry, if it is one's.
pub(super) struct Wrong {
    pub(super) entry: Option<u64>,
    pub(super) sentence: String,
}

impl From<String> for Wrong {
    fn from(sentence: String) -> Self {
        Self { entry: None, sentence }
    }
}

/// Something that the run proves, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Its stable name: `MC030`.
    pub id: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// How often it was found.
    pub count: u64,
    /// What was found, with figures, and the cure: one sentence or two.
    pub sentence: String,
    /// Where: operation numbers, sessions, the server's line; at most a handful.
    pub evidence: Vec<String>,
}

impl Finding {
    /// All there can be, by their names.
    pub const IDS: [&str; 17] = [
        "MC001", "MC002", "MC010", "MC011", "MC020", "MC021", "MC030", "MC031", "MC032", "MC033", "MC040", "MC041",
        "MC042", "MC050", "MC051", "MC052", "MC053",
    ];
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Our own invariant, or the proof of it, is broken.
    Broken,
    /// The server's limit was met.
    Limit,
    /// Mail can be read from, or written to, the wrong place.
    Hazard,
    /// A connection was left behind.
    Leak,
    /// A connection was discarded in the middle of a reply.
    Fault,
    /// It works, at more cost than it needs.
    Advice,
}

/// Which findings fail a run that nothing else fails: hazards, leaks and faults, unless it was told otherwise. A limit and
/// a broken invariant have conclusions of their own, whatever stands here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FailOn {
    /// Mail can be read from, or written to, the wrong place.
    pub hazard: bool,
    /// A connection was left behind.
    pub leak: bool,
    /// A connection was discarded in the middle of a reply.
    pub fault: bool,
    /// It works, at more cost than it needs.
    pub advice: bool,
}

impl Default for FailOn {
    fn default() -> Self {
        Self { hazard: true, leak: true, fault: true, advice: false }
    }
}

impl FailOn {
    /// No finding fails the run.
    pub const NONE: Self = Self { hazard: false, leak: false, fault: false, advice: false };

    /// Whether such a finding fails the run.
    #[must_use]
    pub const fn holds(self, severity: Severity) -> bool {
        match severity {
            Severity::Hazard => self.hazard,
            Severity::Leak => self.leak,
            Severity::Fault => self.fault,
            Severity::Advice => self.advice,
            Severity::Broken | Severity::Limit => false,
        }
    }

    /// Their names, worst first.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Severity::ALL.into_iter().filter(move |severity| self.holds(*severity)).map(Severity::name)
    }
}

pub use crate::judge::Conclusion;

impl Verdict {
    /// The verdict on a run; `summary` is that run's.
    #[must_use]
    pub fn on(run: &Run, summary: &Summary) -> Self {
        let (rules, broken) = rules::check(run);
        let (witness, disagreements) = agreement::check(run).unzip();
        let mut found: Vec<Finding> = findings::broken(
            "MC001",
            "operations did not run on the connection that the rules give them; this is mailconn's own fault",
            broken.into_iter().map(|wrong| wrong.sentence).collect(),
        )
        .into_iter()
        .chain(findings::broken(
            "MC002",
            "the server's own record disagrees with ours; something between us and the server mixed connections up, or \
             one of the records is wrong",
            disagreements.unwrap_or_default().into_iter().map(|wrong| wrong.sentence).collect(),
        ))
        .chain(findings::find(run, summary))
        .collect();
        found.sort_by_key(|finding| finding.severity);
        let conclusion = conclude(run, summary, &found);
        let because = cause::of(run, summary, &found, conclusion);
        Self { rules, witness, findings: found, conclusion, because }
    }
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 6] = [Self::Broken, Self::Limit, Self::Hazard, Self::Leak, Self::Fault, Self::Advice];

    /// `broken`, `limit`, `hazard`, `leak`, `fault`, `advice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Limit => "limit",
            Self::Hazard => "hazard",
            Self::Leak => "leak",
            Self::Fault => "fault",
            Self::Advice => "advice",
        }
    }
}

/// The first that applies, in this order: interrupted, broken, sign-in, limit, connect, failed.
fn conclude(run: &Run, summary: &Summary, findings: &[Finding]) -> Conclusion {
    let found = |severity| findings.iter().any(|finding| finding.severity == severity);
    let kinds = || summary.failures.iter().map(|row| row.kind);
    let first_dials = || failed_first_dials(summary).map(|failed| failed.failure.kind);
    if let Some(signal) = run.end.interrupted {
        Conclusion::Interrupted(signal)
    } else if found(Severity::Broken) || kinds().any(|kind| kind == FailureKind::Internal) {
        Conclusion::Broken
    } else if failed_first_dials(summary).any(|failed| is_refused_sign_in(&failed.failure, failed.sign_in_attempted)) {
        Conclusion::SignInRefused
    } else if found(Severity::Limit) || kinds().any(is_limit) {
        Conclusion::Limited
    } else if first_dials().next().is_some() {
        Conclusion::NotConnected
    } else if summary.operations.failed > 0
        || !summary.failures.is_empty()
        || findings.iter().any(|finding| run.header.fail_on.holds(finding.severity))
    {
        Conclusion::Failed
    } else {
        Conclusion::Held
    }
}

/// The failed dials of places that were never open before: what fails after that is a failed operation.
fn failed_first_dials(summary: &Summary) -> impl Iterator<Item = &OpenFailed> {
    let mut been_open = BTreeSet::new();
    summary.sessions.iter().filter_map(move |row| match &row.dial {
        Ok(_) => {
            been_open.insert(row.session.connection);
            None
        }
        Err(failed) => (!been_open.contains(&row.session.connection)).then_some(failed),
    })
}

/// Whether the server, or we for want of a way, refused the sign-in: whatever it objects to, once it was asked.
pub(super) fn is_refused_sign_in(failure: &Failure, attempted: bool) -> bool {
    use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, ServerBad};
    matches!(failure.kind, AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported)
        || (attempted && failure.stage == Stage::Auth && failure.kind == ServerBad)
}

pub(super) const fn is_limit(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::LimitConnections | FailureKind::LimitRate)
}
