//! A scenario as it goes on: a JSON object on each line.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::shapes::{EndShape, Start, StepShape};
use crate::protocol::Protocol;
use crate::record::{Outcome, Run, Scenario, StepDone, Summary, Verdict};
use crate::report::Ndjson;
use crate::report::events::{Envelope, Event};
use crate::report::names::Us;
use crate::report::words::{to_the_microsecond, wall};

/// Puts a scenario into lines as it happens, each with `seq`, `event`, `at_us` (since the start, monotonic) and `time`
/// (wall): `scenario-start`, a `step` for each, those that speak of findings last; then each client's run, from its
/// `run-start` to its `run-end` the lines of a run's file with the client's name; and `scenario-end`.
#[derive(Debug)]
pub struct ScenarioLines {
    started: SystemTime,
    next: u64,
}

impl ScenarioLines {
    /// Of a scenario that began then.
    #[must_use]
    pub fn new(started: SystemTime) -> Self {
        Self { started: to_the_microsecond(started), next: 0 }
    }

    /// `scenario-start`.
    #[must_use]
    pub fn start(&mut self, name: &str, server: &str, protocol: Protocol) -> String {
        self.line(Duration::ZERO, &Start::new(wall(self.started), name, server, protocol))
    }

    /// A step that was done.
    #[must_use]
    pub fn step(&mut self, step: &StepDone) -> String {
        self.line(step.at, &StepShape::from(step))
    }

    /// What was expected of the findings, the clients' runs, then `scenario-end`.
    #[must_use]
    pub fn end(&mut self, scenario: &Scenario, outcome: &Outcome) -> String {
        let at = scenario.clients.iter().map(|(_, run)| run.end.elapsed).max().unwrap_or_default();
        let mut text: String = outcome.findings.iter().map(|step| self.step(step)).collect();
        for ((name, run), verdict) in scenario.clients.iter().zip(&outcome.verdicts) {
            text += &self.run(name, run, verdict);
        }
        text + &self.line(at, &EndShape::new(scenario, outcome))
    }

    fn run(&mut self, client: &str, run: &Run, verdict: &Verdict) -> String {
        let written = || {
            let mut part = Ndjson::part(Vec::new(), &run.header, self.next, client)?;
            part.entries(&run.entries)?;
            part.end(run, &Summary::of(run), verdict)
        };
        // Memory takes whatever is written to it.
        let text = written().map(String::from_utf8).unwrap_or_else(|_| Ok(String::new())).unwrap_or_default();
        self.next += text.lines().count() as u64;
        text
    }

    fn line<E: Event + Serialize>(&mut self, at: Duration, body: &E) -> String {
        let envelope =
            Envelope { seq: self.next, event: E::NAME.into(), at_us: Us(at), time: wall(self.started + at).into() };
        self.next += 1;
        // Only a map whose keys are no text fails to be written, and there is none.
        serde_json::to_string(&Line { envelope, body }).unwrap_or_default() + "\n"
    }
}

#[derive(Serialize)]
struct Line<'a, E> {
    #[serde(flatten)]
    envelope: Envelope<'a>,
    #[serde(flatten)]
    body: &'a E,
}
