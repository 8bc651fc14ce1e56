//! A scenario as it goes on: a JSON object on each line.

use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::protocol::{Failure, Protocol};
use crate::record::{Did, Outcome, Scenario, StepDone};
use crate::report::shapes::{AgreementShape, FailureShape, FindingShape, SCHEMA_VERSION, finding};
use crate::report::words::{us, wall};

/// Puts a scenario into lines as it happens, each with `seq`, `event`, `at_us` (since the start, monotonic) and `time`
/// (wall): `scenario-start`, a `step` for each, those that speak of findings last, and `scenario-end`.
#[derive(Debug)]
pub struct ScenarioLines {
    started: SystemTime,
    next: u64,
}

impl ScenarioLines {
    /// Of a scenario that began then.
    #[must_use]
    pub const fn new(started: SystemTime) -> Self {
        Self { started, next: 0 }
    }

    /// `scenario-start`.
    #[must_use]
    pub fn start(&mut self, name: &str, server: &str, protocol: Protocol) -> String {
        let (tool_version, protocol) = (env!("CARGO_PKG_VERSION"), protocol.name());
        let body = Start { schema_version: SCHEMA_VERSION, tool_version, name, server, protocol };
        self.line("scenario-start", Duration::ZERO, &body)
    }

    /// A step that was done.
    #[must_use]
    pub fn step(&mut self, step: &StepDone) -> String {
        self.line("step", step.at, &StepShape::from(step))
    }

    /// What was expected of the findings, then `scenario-end`.
    #[must_use]
    pub fn end(&mut self, scenario: &Scenario, outcome: &Outcome) -> String {
        let at = scenario.clients.iter().map(|(_, run)| run.end.elapsed).max().unwrap_or_default();
        let findings: String = outcome.findings.iter().map(|step| self.step(step)).collect();
        findings + &self.line("scenario-end", at, &EndShape::new(scenario, outcome))
    }

    fn line(&mut self, event: &'static str, at: Duration, body: &impl Serialize) -> String {
        let line = Line { seq: self.next, event, at_us: us(at), time: wall(self.started + at), body };
        self.next += 1;
        // Only a map whose keys are no text fails to be written, and there is none.
        serde_json::to_string(&line).unwrap_or_default() + "\n"
    }
}

#[derive(Serialize)]
struct Line<'a, T> {
    seq: u64,
    event: &'static str,
    at_us: u64,
    time: String,
    #[serde(flatten)]
    body: &'a T,
}

#[derive(Serialize)]
struct Start<'a> {
    schema_version: u32,
    tool_version: &'static str,
    name: &'a str,
    server: &'a str,
    protocol: &'static str,
}

#[derive(Serialize)]
struct StepShape<'a> {
    line: usize,
    text: &'a str,
    thread: Option<&'a str>,
    task: Option<&'a str>,
    took_us: u64,
    held: bool,
    expected: Option<&'a str>,
    /// What happened instead.
    happened: Option<&'a str>,
    did: Vec<DidShape<'a>>,
}

impl<'a> From<&'a StepDone> for StepShape<'a> {
    fn from(step: &'a StepDone) -> Self {
        Self {
            line: step.line,
            text: &step.text,
            thread: step.thread.as_deref(),
            task: step.task.as_deref(),
            took_us: us(step.took),
            held: step.held(),
            expected: step.expected.as_deref(),
            happened: step.instead.as_deref(),
            did: step.did.iter().map(DidShape::from).collect(),
        }
    }
}

/// Each with `what`: `ran`, `created`, `disposed`, `nothing`, `refused`, `failed`, `panics`, `noted`.
#[derive(Serialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum DidShape<'a> {
    Ran {
        operation: &'static str,
        connection: String,
        session: String,
        name: Option<&'a str>,
        reason: &'static str,
        from: Option<&'a str>,
        items: Option<u32>,
        failure: Option<FailureShape<'a>>,
    },
    Created {
        connection: String,
        name: Option<&'a str>,
    },
    Disposed {
        connection: String,
    },
    Nothing,
    Refused {
        rule: &'static str,
        message: &'a str,
    },
    Failed {
        session: Option<String>,
        failure: FailureShape<'a>,
    },
    Panics {
        message: &'a str,
    },
    Noted {
        text: &'a str,
    },
}

impl<'a> From<&'a Did> for DidShape<'a> {
    fn from(did: &'a Did) -> Self {
        let shape = |failure: &'a Failure| FailureShape::from(failure);
        match did {
            Did::Ran(used) => Self::Ran {
                operation: used.operation,
                connection: used.session.connection.to_string(),
                session: used.session.to_string(),
                name: used.name.as_deref(),
                reason: used.reason.name(),
                from: used.from.as_deref(),
                items: used.outcome.as_ref().ok().copied(),
                failure: used.outcome.as_ref().err().map(shape),
            },
            Did::Created { connection, name } => {
                Self::Created { connection: connection.to_string(), name: name.as_deref() }
            }
            Did::Disposed { connection } => Self::Disposed { connection: connection.to_string() },
            Did::Nothing => Self::Nothing,
            Did::Refused { rule, message } => Self::Refused { rule, message },
            Did::Failed { session, failure } => {
                Self::Failed { session: session.map(|session| session.to_string()), failure: shape(failure) }
            }
            Did::Panicked(message) => Self::Panics { message },
            Did::Noted(text) => Self::Noted { text },
        }
    }
}

#[derive(Serialize)]
struct EndShape<'a> {
    steps: usize,
    failed: usize,
    interrupted: Option<i32>,
    clients: Vec<ClientShape<'a>>,
    exit_code: u8,
}

impl<'a> EndShape<'a> {
    fn new(scenario: &'a Scenario, outcome: &'a Outcome) -> Self {
        let clients = scenario.clients.iter().zip(&outcome.verdicts);
        Self {
            steps: scenario.steps.len() + outcome.findings.len(),
            failed: outcome.failed,
            interrupted: scenario.interrupted,
            clients: clients
                .map(|((name, run), verdict)| ClientShape {
                    name,
                    run_id: &run.header.run_id,
                    rules: verdict.rules.into(),
                    witness: verdict.witness.map(Into::into),
                    findings: verdict.findings.iter().map(finding).collect(),
                    still_open: run.end.still_open,
                })
                .collect(),
            exit_code: outcome.exit_code,
        }
    }
}

#[derive(Serialize)]
struct ClientShape<'a> {
    name: &'a str,
    run_id: &'a str,
    rules: AgreementShape,
    witness: Option<AgreementShape>,
    findings: Vec<FindingShape<'a>>,
    still_open: usize,
}
