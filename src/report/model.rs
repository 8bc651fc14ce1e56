//! All that a renderer may know.

use std::sync::Arc;

use crate::event::{Ending, Policy, RunEnd, RunStart, ScenarioEnd, ScenarioStart, Step};
use crate::figures::Summary;
use crate::judge::{Judge, Steps, Verdict, client_end, run_end};

/// Runs and scenarios, in the order in which they are told.
#[derive(Clone, Debug, Default)]
pub struct Report {
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
}

/// A run: what was asked for, how it ended, its figures, and what it comes to by which policy.
#[derive(Clone, Debug)]
pub struct RunReport {
    /// What was asked for.
    pub start: Arc<RunStart>,
    /// How it ended.
    pub ending: Ending,
    /// Its figures.
    pub summary: Summary,
    /// What it comes to.
    pub verdict: Verdict,
    /// What it was judged by.
    pub policy: Policy,
}

impl RunReport {
    /// Of the run that the judge has seen, judged by that policy; none if it never began.
    #[must_use]
    pub fn of(judge: &Judge, policy: Policy) -> Option<Self> {
        let start = Arc::clone(judge.known().start()?);
        let ending = judge.known().ending().unwrap_or_default();
        let summary = judge.summary();
        let verdict = judge.verdict(&summary, &policy);
        Some(Self { start, ending, summary, verdict, policy })
    }

    /// The event that ends the run.
    #[must_use]
    pub fn run_end(&self) -> RunEnd {
        run_end(self.ending, &self.summary, &self.verdict, self.policy.clone())
    }
}

/// A scenario: its steps, the runs of its clients, and what it comes to by which policy.
#[derive(Clone, Debug)]
pub struct ScenarioReport {
    /// How it began.
    pub start: ScenarioStart,
    /// Its steps in order, those about findings last.
    pub steps: Vec<Step>,
    /// The same, counted.
    pub counted: Steps,
    /// The runs of its clients, by their names; a name is empty where there is one client.
    pub clients: Vec<(String, RunReport)>,
    /// What it comes to.
    pub end: ScenarioEnd,
}

impl ScenarioReport {
    /// Of these steps and these runs, all judged by that policy. `interrupted` is the signal that ended it early.
    #[must_use]
    pub fn of(
        start: ScenarioStart,
        steps: Vec<Step>,
        clients: Vec<(String, RunReport)>,
        interrupted: Option<i32>,
        policy: Policy,
    ) -> Self {
        let counted = Steps::of(&steps);
        let ends =
            clients.iter().map(|(name, run)| client_end(name, &run.start.run_id, &run.verdict, run.ending.still_open));
        let end = counted.end(ends.collect(), interrupted, policy);
        Self { start, steps, counted, clients, end }
    }
}

impl Told {
    /// The code with which the process exits that performed it.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Run(run) => run.verdict.conclusion.exit_code(),
            Self::Scenario(scenario) => scenario.end.exit_code,
        }
    }
}
