//! One JSON document.

use std::collections::BTreeMap;

use std::io::{self, Write};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use super::format::{Form, Render, Spec};
use super::model::{Report, RunReport, ScenarioReport, Told};
use super::words::wall;
use crate::allocator::{ConnectionId, Kind, Mode, SessionId};
use crate::event::{
    Asked, Baseline, Connections, Counts, CutOff, Dial, Dispose, Executor, Finding, Gated, HowClosed, Lock, Micros, Proof,
    Role, SandboxOptions, ScenarioEnd, ScenarioStart, Severity, Step, TaskId, TlsAgreed, WorkerId,
};
use crate::figures::{
    ConnectionRow, FailureRow, OperationRow, OperationsOn, Rest, SectionRow, SessionRow, Spreads, TaskRow, WorkerRow,
};
use crate::protocol::{Failure, Protocol};

pub(super) const SPEC: Spec =
    Spec { name: "json", purpose: "One document, at the end", form: Form::Whole(&Json) };

/// The version of the documents' form. Fields may be added under one number; none is renamed or taken away.
pub const SCHEMA_VERSION: u32 = 1;

/// One JSON document, indented, with a newline at its end: of one run an object, of scenarios `{"scenarios": […]}`, else
/// `{"reports": […]}`.
///
/// Scripts depend on its names: under one `schema_version` names are added, never renamed.
struct Json;

impl Render for Json {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let only_scenarios = report.told.iter().all(|told| matches!(told, Told::Scenario(_)));
        let documents = report.told.iter().map(ToldShape::from);
        let bytes = match report.told.as_slice() {
            [Told::Run(run)] => indented(&run_shape(run)),
            _ if only_scenarios => indented(&Scenarios { scenarios: documents.collect() }),
            _ => indented(&Reports { reports: documents.collect() }),
        };
        out.write_all(&bytes)
    }
}

#[derive(Serialize)]
struct Scenarios<'a> {
    scenarios: Vec<ToldShape<'a>>,
}

#[derive(Serialize)]
struct Reports<'a> {
    reports: Vec<ToldShape<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum ToldShape<'a> {
    Run(Box<Document<'a>>),
    Scenario(Box<ScenarioShape<'a>>),
}

impl<'a> From<&'a Told> for ToldShape<'a> {
    fn from(told: &'a Told) -> Self {
        match told {
            Told::Run(run) => Self::Run(Box::new(run_shape(run))),
            Told::Scenario(scenario) => Self::Scenario(Box::new(scenario_shape(scenario))),
        }
    }
}

/// What its `scenario-start` and `scenario-end` say, and its steps in `done`.
#[derive(Serialize)]
struct ScenarioShape<'a> {
    #[serde(flatten)]
    start: ScenarioStart,
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
#[derive(Serialize)]
pub(crate) struct Head<'a> {
    schema_version: u32,
    tool_version: &'a str,
    run_id: &'a str,
    started: String,
    server: &'a str,
    protocol: &'static str,
}

impl<'a> Head<'a> {
    pub(crate) fn new(
        tool_version: &'a str,
        run_id: &'a str,
        started: SystemTime,
        server: &'a str,
        protocol: Protocol,
    ) -> Self {
        let (started, protocol) = (wall(started), protocol.name());
        Self { schema_version: SCHEMA_VERSION, tool_version, run_id, started, server, protocol }
    }
}

fn run_shape(report: &RunReport) -> Document<'_> {
    let RunReport { start, ending, summary, verdict, policy, .. } = report;
    let role = |worker: WorkerId| {
        start.workers.get(worker.0).map(|it| it.role).unwrap_or_default()
    };
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
        fail_on: &policy.fail_on,
        gates: &verdict.gates,
        baseline: policy.baseline.as_ref(),
        left_mailboxes: &summary.left_mailboxes,
        elapsed_us: ending.elapsed,
        interrupted: ending.interrupted,
        operations: summary.operations,
        connections: Connections { still_open: ending.still_open, ..summary.connections },
        spreads: summary.spreads,
        total_wait_us: summary.total_wait,
        total_dial_us: summary.total_dial,
        total_service_us: summary.total_service,
        worked_us: summary.worked,
        operations_per_second: summary.rate(),
        cut_off: summary.cut_off,
        held_up_us: ending.held_up,
        sections: summary.sections.iter().map(SectionShape::from).collect(),
        findings: &verdict.findings,
        verdict: verdict.proof,
        unjudged: &verdict.unjudged,
        exit_code: report.exit_code(),
        failures: &summary.failures,
        other_failures: summary.other_failures,
        workers: summary.workers.iter().map(|row| worker(row, role(row.worker))).collect(),
        by_operation: &summary.by_operation,
        by_connection: &summary.by_connection,
        operations_on_other_connections: summary.on_other_connections,
        executor: start.executor,
        dispose: start.dispose,
        operations_on: OperationsOn::of(&summary.tasks),
        tasks: &summary.tasks,
        sessions: summary.sessions.iter().map(session).collect(),
        other_sessions: summary.rest,
    }
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// How the sandbox was to behave; missing where it was not the server.
    #[serde(skip_serializing_if = "Option::is_none")]
    sandbox: Option<&'a SandboxOptions>,
    /// Null without TLS: nobody showed a certificate.
    certificates_verified: Option<bool>,
    mode: Mode,
    threads: usize,
    seed: Option<u64>,
    asked: AskedShape,
    mix: Option<&'a str>,
    mailboxes: Vec<&'a str>,
    max_connections: Option<usize>,
    lock: Lock,
    fail_on: &'a [Severity],
    /// What the gates came to, in their order.
    gates: &'a [Gated],
    /// What gates on what has regressed compare with; missing where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    baseline: Option<&'a Baseline>,
    /// Scratch mailboxes that may still be on the server.
    left_mailboxes: &'a [String],
    elapsed_us: Micros,
    /// The number of the signal that ended the run early; else null.
    interrupted: Option<i32>,
    operations: Counts,
    connections: Connections,
    /// A percentile of too few is null.
    #[serde(flatten)]
    spreads: Spreads,
    total_wait_us: Micros,
    total_dial_us: Micros,
    total_service_us: Micros,
    /// From the beginning of the first operation to the end of the last. Rates are computed over this time.
    worked_us: Micros,
    /// Over `worked_us`; null if no operation reached a server.
    operations_per_second: Option<f64>,
    /// Operations that were waiting when the time ran out: their waits are in `wait_us`, they are in no count.
    cut_off: CutOff,
    /// For how long workers stood still because the report's reader was slow; missing where the file does not say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_up_us: Option<Micros>,
    /// One for each mode that was in force, in order.
    sections: Vec<SectionShape<'a>>,
    findings: &'a [Finding],
    verdict: Proof,
    /// What could not be judged, and why; missing if nothing was left out.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unjudged: &'a [String],
    /// Null if the stream was cut before the run's end.
    exit_code: Option<u8>,
    failures: &'a [FailureRow],
    /// How often it failed in ways that are not in `failures`, because there were too many.
    other_failures: u64,
    workers: Vec<WorkerShape<'a>>,
    /// One for each kind of operation.
    by_operation: &'a [OperationRow],
    /// One for each connection: the first thousand.
    by_connection: &'a [ConnectionRow],
    /// How many operations were given a connection that is not in `by_connection`.
    operations_on_other_connections: u64,
    executor: Executor,
    dispose: Dispose,
    /// How many of the tasks' operations ran on whose connections.
    operations_on: OperationsOn,
    /// None if the workers do the work themselves.
    #[serde(serialize_with = "tasks")]
    tasks: &'a [TaskRow],
    sessions: Vec<SessionShape<'a>>,
    /// The sums of the sessions that are not in `sessions`.
    other_sessions: Rest,
}

/// How much was asked for: one of these, or none.
#[derive(Default, Serialize)]
struct AskedShape {
    operations_per_worker: Option<u64>,
    duration_us: Option<Micros>,
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

#[derive(Serialize)]
struct SectionShape<'a> {
    mode: Mode,
    /// When the mode came into force.
    began_us: Micros,
    operations: SectionCounts,
    /// How many operations each connection was given to.
    connections: BTreeMap<String, u64>,
    /// How many operations had each reason.
    reasons: &'a BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct SectionCounts {
    issued: u64,
    ok: u64,
    failed: u64,
}

impl<'a> From<&'a SectionRow> for SectionShape<'a> {
    fn from(row: &'a SectionRow) -> Self {
        let given = row.connections.iter().map(|(connection, (_, given))| (connection.to_string(), *given));
        Self {
            mode: row.mode,
            began_us: row.began,
            operations: SectionCounts { issued: row.issued(), ok: row.ok, failed: row.failed },
            connections: given.collect(),
            reasons: &row.reasons,
        }
    }
}

#[derive(Serialize)]
struct SessionShape<'a> {
    connection: ConnectionId,
    session: SessionId,
    kind: Kind,
    /// The worker that a default connection belongs to, or that created an independent one; null for main.
    owner: Option<WorkerId>,
    /// The worker whose operation or creation needed the session.
    needed_by: Option<WorkerId>,
    /// Why it was dialled.
    reason: &'static str,
    opened: bool,
    local_port: Option<u16>,
    label: Option<&'a str>,
    tls: Option<String>,
    tls_details: Option<&'a TlsAgreed>,
    signed_in_by: Option<&'static str>,
    dial_us: Dial,
    operations: u64,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    /// Null if it was never opened, or never seen to end.
    closed: Option<HowClosed>,
    /// Why its LOGOUT failed, or how the server had hung up before.
    close_failure: Option<&'a Failure>,
    /// Why the dial failed, if it did.
    failure: Option<&'a Failure>,
    /// What a dial that failed took in all, the phase that failed included.
    failed_after_us: Option<Micros>,
    /// Connections of this client that were open when the dial failed.
    open_at_failure: Option<usize>,
    sign_in_attempted: bool,
}

fn session(row: &SessionRow) -> SessionShape<'_> {
    let opened = row.dial.as_ref().ok();
    let refused = row.dial.as_ref().err();
    let closed = row.closed.as_ref();
    let (needed_by, local_port, dial_us) = match &row.dial {
        Ok(opened) => (opened.worker, Some(opened.local_port), opened.dial_us),
        Err(refused) => (refused.worker, refused.local_port, refused.dial_us),
    };
    let tls = opened.and_then(|opened| opened.tls.as_ref());
    SessionShape {
        connection: row.session.connection,
        session: row.session,
        kind: row.kind,
        owner: row.owner,
        needed_by,
        reason: row.why.name(),
        opened: opened.is_some(),
        local_port,
        label: opened.and_then(|opened| opened.label.as_deref()),
        tls: tls.map(ToString::to_string),
        tls_details: tls,
        signed_in_by: opened.and_then(|opened| opened.signed_in_by),
        dial_us,
        operations: row.operations,
        bytes_sent: closed.map(|closed| closed.bytes_sent),
        bytes_received: closed.map(|closed| closed.bytes_received),
        closed: closed.map(|closed| closed.closed),
        close_failure: closed.and_then(|closed| closed.failure.as_ref()),
        failure: refused.map(|refused| &refused.failure),
        failed_after_us: refused.map(|refused| refused.took_us),
        open_at_failure: refused.map(|refused| refused.open),
        sign_in_attempted: refused.is_none_or(|refused| refused.sign_in_attempted),
    }
}

#[derive(Serialize)]
struct WorkerShape<'a> {
    worker: WorkerId,
    #[serde(flatten)]
    role: Role,
    operations: Counts,
    /// The connections that carried its operations.
    connections: Vec<ConnectionId>,
    /// The kind of each.
    kinds: BTreeMap<String, Kind>,
    /// How many operations had each reason.
    reasons: &'a BTreeMap<&'static str, u64>,
    #[serde(flatten)]
    spreads: Spreads,
    /// Why it stopped early, if it did.
    stopped: Option<&'a Failure>,
}

fn worker(row: &WorkerRow, role: Role) -> WorkerShape<'_> {
    WorkerShape {
        worker: row.worker,
        role,
        operations: row.operations,
        connections: row.connections.keys().copied().collect(),
        kinds: row.connections.iter().map(|(connection, kind)| (connection.to_string(), *kind)).collect(),
        reasons: &row.reasons,
        spreads: row.spreads,
        stopped: row.stopped.as_ref(),
    }
}

#[derive(Serialize)]
struct TaskShape<'a> {
    task: TaskId,
    /// The threads that its operations ran on.
    workers: &'a [WorkerId],
    operations: Counts,
    operations_on: OperationsOn,
    /// How many operations each connection carried.
    connections: BTreeMap<String, u64>,
    /// The default connection that its thread had already when it was to create one (C3).
    default_refused: Option<ConnectionId>,
    /// Why it stopped early, if it did.
    stopped: Option<&'a Failure>,
}

impl<'a> From<&'a TaskRow> for TaskShape<'a> {
    fn from(row: &'a TaskRow) -> Self {
        Self {
            task: row.task,
            workers: &row.workers,
            operations: row.operations,
            operations_on: OperationsOn::of(std::slice::from_ref(row)),
            connections: row.used.iter().map(|(connection, used)| (connection.to_string(), used.operations)).collect(),
            default_refused: row.refused,
            stopped: row.stopped.as_deref(),
        }
    }
}

/// One after the other: all at once would take as much memory again.
fn tasks<S: Serializer>(rows: &[TaskRow], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().map(TaskShape::from))
}
