//! One JSON document.

pub(super) mod comparison;

use std::io::{self, Write};
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::format::{Form, Render, Spec};
use super::model::{Report, RunReport, ScenarioReport, Told};
use crate::allocator::Mode;
use crate::event::{
    Asked, Baseline, Gated, Lock, Micros, Probe, SandboxOptions, ScenarioEnd, ScenarioStart, Severity, Step, Stretches, Switch, TaskRole, Wall,
};
use crate::figures::Results;
use crate::judge::Attempt;
use crate::protocol::Protocol;

pub(super) const SPEC: Spec =
    Spec { name: "json", purpose: "One document, at the end", ending: Some("json"), form: Form::Whole(&Json) };

/// The version of the documents' form. Fields may be added under one number; none is renamed or taken away.
pub const SCHEMA_VERSION: u32 = 1;

/// One JSON document, indented, with a newline at its end: of one run or comparison an object, of scenarios `{"scenarios": […]}`, else
/// `{"reports": […]}`.
///
/// Scripts depend on its names: under one `schema_version` names are added, never renamed.
struct Json;

impl Render for Json {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let only_scenarios = report.told.iter().all(|told| matches!(told, Told::Scenario(_)));
        let documents = report.told.iter().map(ToldShape::from);
        let document = match report.told.as_slice() {
            [Told::Run(run)] => AnyDocument::Run(run_shape(run)),
            [Told::Comparison(of)] => AnyDocument::Comparison(comparison::document(of)),
            _ if only_scenarios => AnyDocument::Scenarios(Scenarios { scenarios: documents.collect() }),
            _ => AnyDocument::Reports(Reports { reports: documents.collect() }),
        };
        out.write_all(&indented(&document))
    }
}

/// The document of one of them, for a format that takes it apart.
pub(super) fn document(told: &Told) -> serde_json::Result<Value> {
    serde_json::to_value(ToldShape::from(told))
}

/// A run, a comparison, scenarios, or what several files hold.
#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[expect(clippy::large_enum_variant, reason = "there is one")]
pub(super) enum AnyDocument<'a> {
    Run(Document<'a>),
    Comparison(comparison::Document<'a>),
    Scenarios(Scenarios<'a>),
    Reports(Reports<'a>),
}

/// The document of `mailconn scenario`.
#[derive(Serialize, JsonSchema)]
pub(super) struct Scenarios<'a> {
    /// One after the other.
    #[schemars(with = "Vec<ScenarioShape<'_>>")]
    scenarios: Vec<ToldShape<'a>>,
}

/// The document of several files that are not all scenarios.
#[derive(Serialize, JsonSchema)]
pub(super) struct Reports<'a> {
    /// One for each file.
    reports: Vec<ToldShape<'a>>,
}

#[derive(Serialize, JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
enum ToldShape<'a> {
    Run(Box<Document<'a>>),
    Scenario(Box<ScenarioShape<'a>>),
    Comparison(Box<comparison::Document<'a>>),
}

impl<'a> From<&'a Told> for ToldShape<'a> {
    fn from(told: &'a Told) -> Self {
        match told {
            Told::Run(run) => Self::Run(Box::new(run_shape(run))),
            Told::Scenario(scenario) => Self::Scenario(Box::new(scenario_shape(scenario))),
            Told::Comparison(of) => Self::Comparison(Box::new(comparison::document(of))),
        }
    }
}

/// A scenario: what its `scenario-start` and `scenario-end` say, and its steps in `done`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Scenario")]
struct ScenarioShape<'a> {
    #[serde(flatten)]
    start: ScenarioStart,
    /// The steps that were done.
    done: &'a [Step],
    #[serde(flatten)]
    end: Option<&'a ScenarioEnd>,
}

fn scenario_shape(scenario: &ScenarioReport) -> ScenarioShape<'_> {
    let ScenarioReport { start, steps, end, .. } = scenario;
    ScenarioShape { start: ScenarioStart { schema_version: SCHEMA_VERSION, ..start.clone() }, done: steps, end: end.as_ref() }
}

/// A document as bytes, indented, with a newline at its end.
pub(crate) fn indented(document: &impl Serialize) -> Vec<u8> {
    #[expect(clippy::expect_used, reason = "string keys and plain numbers: nothing in a document can fail to serialise")]
    let mut bytes = serde_json::to_vec_pretty(document).expect("the document serialises");
    bytes.push(b'\n');
    bytes
}

/// How a document begins, whatever it is about.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Head<'a> {
    /// The version of the documents' form: 1. Under one number fields are added, and none is renamed or taken away.
    schema_version: u32,
    /// The version of mailconn that ran.
    tool_version: &'a str,
    /// Names the run in labels, logs and reports: 12 hexadecimal digits.
    run_id: &'a str,
    /// When it began.
    #[serde(with = "Wall")]
    started: SystemTime,
    /// The server, without secrets: `sandbox` or `imaps://user@host:993`.
    server: &'a str,
    /// What was spoken.
    protocol: Protocol,
}

impl<'a> Head<'a> {
    pub(crate) fn new(
        tool_version: &'a str,
        run_id: &'a str,
        started: SystemTime,
        server: &'a str,
        protocol: Protocol,
    ) -> Self {
        Self { schema_version: SCHEMA_VERSION, tool_version, run_id, started, server, protocol }
    }
}

fn run_shape(report: &RunReport) -> Document<'_> {
    let RunReport { start, ending, summary, verdict, policy, .. } = report;
    let probed = verdict.probed.as_deref();
    Document {
        head: Head::new(&start.tool_version, &start.run_id, start.started, &start.server, start.protocol),
        sandbox: start.sandbox.as_ref(),
        certificates_verified: start.certificates_verified,
        mode: start.mode,
        threads: start.workers.len(),
        seed: start.seed,
        asked: start.asked.into(),
        mix: start.mix.as_deref(),
        mailboxes: start.mailboxes.iter().map(|name| &**name).collect(),
        max_connections: start.max_connections,
        lock: start.lock,
        switches: &start.switches,
        task_roles: (!start.tasks.is_empty()).then_some(&start.tasks),
        fail_on: &policy.fail_on,
        gates: &verdict.gates,
        baseline: policy.baseline.as_ref(),
        left_mailboxes: &summary.left_mailboxes,
        probe: start.probe,
        attempts: probed.map(|probed| &*probed.attempts),
        to_set: report.to_set(),
        results: Results {
            start: Some(start),
            ending: *ending,
            summary,
            findings: &verdict.findings,
            limits: probed.map(|probed| &probed.limits),
            proof: verdict.proof,
            unjudged: &verdict.unjudged,
            exit_code: report.exit_code(),
            wanted: None,
        },
    }
}

/// A run: what was asked for, what was done, what it cost, what was found.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Run")]
pub(super) struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// How the sandbox was to behave; missing where it was not the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a SandboxOptions>,
    /// Null without TLS: nobody showed a certificate.
    certificates_verified: Option<bool>,
    /// The mode at the start.
    mode: Mode,
    /// How many workers there were.
    threads: usize,
    /// The seed of every worker's choices; null where a scenario said what to do.
    seed: Option<u64>,
    /// How much was asked for.
    asked: AskedShape,
    /// The weights of the operations, as given: `noop=3,status=1,fetch=1`; null where a scenario said what to do.
    mix: Option<&'a str>,
    /// The mailboxes operations chose from.
    mailboxes: Vec<&'a str>,
    /// The cap on connections, if one was set.
    max_connections: Option<usize>,
    /// For how long an operation had its connection.
    lock: Lock,
    /// When the mode was to be set anew; missing where it was not.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    switches: &'a [Switch],
    /// What the tasks were told; missing where there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    task_roles: Option<&'a Stretches<TaskRole>>,
    /// Findings of these severities fail the run.
    fail_on: &'a [Severity],
    /// What the gates came to, in their order.
    gates: &'a [Gated],
    /// What gates on what has regressed compare with; missing where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Baseline>,
    /// Scratch mailboxes that may still be on the server.
    left_mailboxes: &'a [String],
    /// How a probe was set up; missing of a run that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    probe: Option<Probe>,
    /// Its dials; missing of a run that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<&'a [Attempt]>,
    /// What to set where it met a limit; missing of a run that is no probe.
    #[serde(skip_serializing_if = "Option::is_none")]
    to_set: Option<Vec<String>>,
    #[serde(flatten)]
    results: Results<'a>,
}

/// How much was asked for: one of these, or none.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "AskedFor")]
struct AskedShape {
    /// So many operations of each worker, or of each task.
    operations_per_worker: Option<u64>,
    /// As many as fit in that time.
    duration_us: Option<Micros>,
    /// So many operations of all workers, or of all tasks, together.
    #[serde(skip_serializing_if = "Option::is_none")]
    operations_in_all: Option<u64>,
}

impl From<Option<Asked>> for AskedShape {
    fn from(asked: Option<Asked>) -> Self {
        match asked {
            Some(Asked::Operations(each)) => Self { operations_per_worker: Some(each), ..Self::default() },
            Some(Asked::InAll(all)) => Self { operations_in_all: Some(all), ..Self::default() },
            Some(Asked::Duration(duration)) => Self { duration_us: Some(duration), ..Self::default() },
            None => Self::default(),
        }
    }
}
