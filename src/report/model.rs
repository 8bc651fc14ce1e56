//! All that a renderer may know, of one or more runs and scenarios.

use std::sync::Arc;

use super::layout::Layout;
use super::words::concluded;
use super::{comparison, known};
use crate::event::{
    ComparisonEnd, ComparisonEnding, Ending, Event, Policy, Proof, RunEnd, RunStart, ScenarioEnd, ScenarioStart,
    Severity, Step, What,
};
use crate::figures::Summary;
use crate::judge::{Comparison, Conclusion, Judge, Verdict, run_end};
use crate::protocol::Endpoint;

/// Runs and scenarios, in the order in which they are told.
#[derive(Clone, Debug)]
pub struct Report {
    /// How text is laid out.
    pub layout: Layout,
    /// Each of them.
    pub told: Vec<Told>,
}

/// What a report tells of.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Told {
    /// A run.
    Run(Box<RunReport>),
    /// A scenario.
    Scenario(Box<ScenarioReport>),
    /// A comparison.
    Comparison(Box<ComparisonReport>),
}

/// A run: what was asked for, how it ended, its figures, and its verdict by one policy.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// What was asked for.
    pub start: Arc<RunStart>,
    /// How it ended.
    pub ending: Ending,
    /// Whether it did: a stored stream may have been cut.
    pub ended: bool,
    /// Its figures.
    pub summary: Summary,
    /// What was checked and found, and the conclusion.
    pub verdict: Verdict,
    /// The policy of the verdict.
    pub policy: Policy,
    /// Whether it is told from its file, by its own policy: its exit code is not that of the process that tells it.
    pub told_again: bool,
}

impl RunReport {
    /// The exit code of the process that performed it; none if the stream was cut before it says how the run ended.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        self.ended.then(|| self.verdict.conclusion.exit_code())
    }

    /// Its conclusion with the reason. It is not "all held" if a finding was passed by the policy; to a probe a limit is an answer.
    #[must_use]
    pub fn reason(&self) -> String {
        let passed = self.verdict.findings.iter().filter(|finding| finding.severity != Severity::Advice);
        let passed: Vec<&str> = passed.map(|finding| &*finding.id).collect();
        match self.verdict.conclusion {
            Conclusion::Held if !passed.is_empty() && self.verdict.probed.is_none() => {
                format!(
                    "nothing failed; {} fail{} no run with this --fail-on",
                    passed.join(", "),
                    if passed.len() == 1 { "s" } else { "" }
                )
            }
            _ => concluded(&self.verdict),
        }
    }

    /// The report of the run that the judge has seen, by that policy; none if the run never began.
    #[must_use]
    pub fn of(judge: &Judge, policy: Policy) -> Option<Self> {
        let start = Arc::clone(judge.known().start()?);
        let ended = judge.known().ending();
        let (ending, ended) = (ended.unwrap_or_default(), ended.is_some());
        let summary = judge.summary();
        let verdict = judge.verdict(&summary, &policy);
        Some(Self { start, ending, ended, summary, verdict, policy, told_again: false })
    }

    /// What to set where a probe met a limit; none of a run that is no probe.
    #[must_use]
    pub fn to_set(&self) -> Option<Vec<String>> {
        let probed = self.verdict.probed.as_deref()?;
        // The sandbox is no server of the list.
        let host = Endpoint::parse(&self.start.server, None).map(|endpoint| endpoint.host).unwrap_or_default();
        let mut advice = known::advice(&probed.limits, probed.greeting.as_deref(), &host, self.start.protocol);
        advice.extend(self.start.sandbox.as_ref().and_then(|sandbox| known::shared_maildrops(&probed.limits, sandbox)));
        Some(advice)
    }

    /// The event that ends the run.
    #[must_use]
    pub fn run_end(&self) -> RunEnd {
        run_end(self.ending, &self.summary, &self.verdict, self.policy.clone())
    }
}

/// A scenario, as its stream tells it.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// What was performed.
    pub start: ScenarioStart,
    /// Its steps, in order; those that are judged at the end come last.
    pub steps: Vec<Step>,
    /// What was checked of each client, in the order of the clients.
    pub proofs: Vec<Proof>,
    /// Its result; none before its end.
    pub end: Option<ScenarioEnd>,
    /// Whether it is told from its file, by its own policy: its exit code is not that of the process that tells it.
    pub told_again: bool,
}

impl ScenarioReport {
    /// Of a scenario that begins.
    #[must_use]
    pub const fn new(start: ScenarioStart) -> Self {
        Self { start, steps: Vec::new(), proofs: Vec::new(), end: None, told_again: false }
    }

    /// Takes in its next event, or that of a client.
    pub fn see(&mut self, event: &Event) {
        match &event.what {
            What::Step(step) => self.steps.push((**step).clone()),
            What::RunEnd(end) => self.proofs.push(end.verdict),
            What::ScenarioEnd(end) => self.end = Some((**end).clone()),
            _ => {}
        }
    }
}

/// A comparison: its runs, how it ended, and what it comes to by one policy.
#[derive(Clone, Debug)]
pub struct ComparisonReport {
    /// Its runs.
    pub comparison: Comparison,
    /// The rounds that count.
    pub rounds: Vec<u32>,
    /// What they come to.
    pub end: ComparisonEnd,
    /// Whether it ended: a stored stream may have been cut.
    pub ended: bool,
    /// Whether it is told from its file, by its own policy: its exit code is not that of the process that tells it.
    pub told_again: bool,
}

impl ComparisonReport {
    /// Of a comparison that ended so, by that policy.
    #[must_use]
    pub fn new(comparison: Comparison, ending: &ComparisonEnding, policy: &Policy) -> Self {
        let rounds = comparison.whole_rounds(ending);
        let end = comparison.comes_to(&rounds, ending, policy);
        Self { comparison, rounds, end, ended: true, told_again: false }
    }

    /// The exit code of the process that performed it; none if the stream was cut before its end.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        self.ended.then_some(self.end.exit_code)
    }
}

impl Told {
    /// Its exit code with the reason, in one line, where that is not 0.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let code = self.exit_code().filter(|code| *code != 0)?;
        let (whose, why) = match self {
            Self::Run(run) => (String::new(), run.reason()),
            Self::Scenario(scenario) => (format!("scenario {}: ", scenario.start.name), scenario.reason()?),
            Self::Comparison(of) => (String::new(), comparison::reason(&of.comparison, &of.rounds, &of.end)),
        };
        Some(format!("{whose}exit {code}: {why}"))
    }

    /// The exit code of the process that performed it; none if the stream was cut before its end.
    #[must_use]
    pub fn exit_code(&self) -> Option<u8> {
        match self {
            Self::Run(run) => run.exit_code(),
            Self::Scenario(scenario) => scenario.end.as_ref().map(|end| end.exit_code),
            Self::Comparison(comparison) => comparison.exit_code(),
        }
    }

    /// What it could not tell, though nothing fails for it: a sentence for each variant, to be said loudly.
    #[must_use]
    pub fn undecided(&self) -> Vec<String> {
        match self {
            Self::Comparison(of) if of.ended => comparison::undecided(of),
            _ => Vec::new(),
        }
    }
}
