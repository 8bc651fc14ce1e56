//! A scenario's file as it grows: a JSON object on each line.

use std::time::SystemTime;

use crate::event::{Event, Micros, SCHEMA_VERSION, ScenarioStart, What, Writer};
use crate::protocol::Protocol;
use crate::record::{Outcome, Scenario, StepDone};
use crate::report::words::to_the_microsecond;

/// Puts a scenario into lines as it happens, each an event with `seq`, `event`, `at_us` (since the start, monotonic) and
/// `time` (wall): `scenario-start`, a `step` for each, those that speak of findings last; then each client's run, from its
/// `run-start` to its `run-end` a stream of its own under the client's name; and `scenario-end`.
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
        let start = ScenarioStart {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            started: self.started,
            name: name.to_owned(),
            server: server.to_owned(),
            protocol,
        };
        self.line(Micros::ZERO, Box::new(start).into())
    }

    /// A step that was done.
    #[must_use]
    pub fn step(&mut self, step: &StepDone) -> String {
        self.line(step.at.into(), Box::new(step.step()).into())
    }

    /// What was expected of the findings, the clients' runs, then `scenario-end`.
    #[must_use]
    pub fn end(&mut self, scenario: &Scenario, outcome: &Outcome) -> String {
        let at = scenario.clients.iter().map(|(_, run)| run.end.elapsed).max().unwrap_or_default();
        let mut text: String = outcome.findings.iter().map(|step| self.step(step)).collect();
        for (name, run) in &scenario.clients {
            text += &lines(run.header.started, Some(name), &run.events(&outcome.judged_by));
        }
        text + &self.line(at.into(), Box::new(scenario.end(outcome)).into())
    }

    fn line(&mut self, at: Micros, what: What) -> String {
        let event = Event { seq: self.next, at, what };
        self.next += 1;
        lines(self.started, None, &[event])
    }
}

fn lines(started: SystemTime, client: Option<&str>, events: &[Event]) -> String {
    let mut file = Writer::new(Vec::new(), started, client.map(str::to_owned));
    // Memory takes whatever is written to it, and JSON is text.
    let written = file.write(events).is_ok();
    if written { String::from_utf8(file.into_inner()).unwrap_or_default() } else { String::new() }
}
