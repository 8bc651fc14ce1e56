//! The report as one JSON object.

use std::collections::BTreeMap;

use serde::Serialize;

use super::shapes::{
    AskedShape, CountsShape, DialShape, FailureShape, Head, LatencyShape, TlsShape, TotalsShape, indented, tls,
};
use super::words::us;
use crate::record::{FailureRow, Role, Run, SessionRow, Summary, TaskRow, Verdict, Whose, WorkerRow};

/// The report as one JSON object, indented, with a newline at its end.
///
/// `certificates_verified` is null without TLS, where nobody shows a certificate.
///
/// Scripts depend on its names: under one `schema_version` names are added, never renamed.
#[must_use]
pub fn json(run: &Run, summary: &Summary, verdict: &Verdict) -> Vec<u8> {
    let header = &run.header;
    let report = Report {
        head: Head::new(&header.tool_version, &header.run_id, header.started, &header.server, header.protocol),
        certificates_verified: header.certificates_verified(),
        mode: header.mode.name(),
        threads: header.workers.len(),
        seed: header.seed,
        asked: header.asked.into(),
        mix: &header.mix,
        mailboxes: &header.mailboxes,
        max_connections: header.max_connections,
        lock: header.lock.name(),
        fail_on: header.fail_on.names().collect(),
        left_mailboxes: run.left_mailboxes().collect(),
        executor: header.executor.name(),
        dispose: header.dispose.name(),
        operations_on: OperationsOn::of(&summary.tasks),
        tasks: summary.tasks.iter().map(TaskShape::from).collect(),
        sessions: summary.sessions.iter().map(session).collect(),
        workers: summary
            .workers
            .iter()
            .map(|row| worker(row, header.workers.get(row.worker.0 as usize).copied().unwrap_or_default()))
            .collect(),
        failures: summary.failures.iter().map(failure).collect(),
        totals: TotalsShape::new(run, summary, verdict),
    };
    indented(&report)
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    /// Null without TLS: nobody showed a certificate.
    certificates_verified: Option<bool>,
    mode: &'static str,
    threads: usize,
    seed: u64,
    asked: AskedShape,
    mix: &'a str,
    mailboxes: &'a [String],
    max_connections: Option<usize>,
    lock: &'static str,
    fail_on: Vec<&'static str>,
    /// Scratch mailboxes that may still be on the server.
    left_mailboxes: Vec<&'a str>,
    #[serde(flatten)]
    totals: TotalsShape<'a>,
    failures: Vec<FailureRowShape<'a>>,
    workers: Vec<WorkerShape<'a>>,
    executor: &'static str,
    dispose: &'static str,
    /// How many of the tasks' operations ran on whose connections.
    operations_on: OperationsOn,
    /// None if the workers do the work themselves.
    tasks: Vec<TaskShape<'a>>,
    sessions: Vec<SessionShape<'a>>,
}

#[derive(Serialize)]
struct SessionShape<'a> {
    connection: String,
    session: String,
    kind: &'static str,
    /// The worker that a default connection belongs to, or that created an independent one; null for main.
    owner: Option<String>,
    /// The worker whose operation or creation needed the session.
    needed_by: Option<String>,
    /// Why it was dialled.
    reason: &'static str,
    opened: bool,
    local_port: Option<u16>,
    label: Option<&'a str>,
    tls: Option<String>,
    tls_details: Option<TlsShape<'a>>,
    signed_in_by: Option<&'static str>,
    dial_us: DialShape,
    operations: u64,
    bytes_sent: Option<u64>,
    bytes_received: Option<u64>,
    /// Null if it was never opened, or never seen to end.
    closed: Option<&'static str>,
    /// Why its LOGOUT failed, or how the server had hung up before.
    close_failure: Option<FailureShape<'a>>,
    /// Why the dial failed, if it did.
    failure: Option<FailureShape<'a>>,
    /// What a dial that failed took in all, the phase that failed included.
    failed_after_us: Option<u64>,
    /// Connections of this client that were open when the dial failed.
    open_at_failure: Option<usize>,
    sign_in_attempted: bool,
}

fn session(row: &SessionRow) -> SessionShape<'_> {
    let opened = row.dial.as_ref().ok();
    let failed = row.dial.as_ref().err();
    let closed = row.closed.as_ref();
    SessionShape {
        connection: row.session.connection.to_string(),
        session: row.session.to_string(),
        kind: row.kind.name(),
        owner: row.owner.map(|worker| worker.to_string()),
        needed_by: match &row.dial {
            Ok(opened) => opened.worker,
            Err(failed) => failed.worker,
        }
        .map(|worker| worker.to_string()),
        reason: row.why.name(),
        opened: opened.is_some(),
        local_port: match &row.dial {
            Ok(opened) => Some(opened.local_port),
            Err(failed) => failed.local_port,
        },
        label: opened.and_then(|opened| opened.label.as_deref()),
        tls: opened.and_then(|opened| opened.tls.as_ref()).map(tls),
        tls_details: opened.and_then(|opened| opened.tls.as_ref()).map(Into::into),
        signed_in_by: opened.and_then(|opened| opened.signed_in_by),
        dial_us: match &row.dial {
            Ok(opened) => (&opened.phases).into(),
            Err(failed) => (&failed.phases).into(),
        },
        operations: row.operations,
        bytes_sent: closed.map(|closed| closed.sent),
        bytes_received: closed.map(|closed| closed.received),
        closed: closed.map(|closed| closed.how.name()),
        close_failure: closed.and_then(|closed| closed.how.failure()).map(Into::into),
        failure: failed.map(|failed| (&failed.failure).into()),
        failed_after_us: failed.map(|failed| us(failed.took)),
        open_at_failure: failed.map(|failed| failed.open),
        sign_in_attempted: failed.is_none_or(|failed| failed.sign_in_attempted),
    }
}

#[derive(Serialize)]
struct WorkerShape<'a> {
    worker: String,
    creates_default: bool,
    creates_independent: bool,
    operations: CountsShape,
    /// The connections that carried its operations.
    connections: Vec<String>,
    /// What each of them is.
    kinds: BTreeMap<String, &'static str>,
    /// How many operations had each reason.
    reasons: &'a BTreeMap<&'static str, u64>,
    wait_us: LatencyShape,
    service_us: LatencyShape,
    /// Why it stopped early, if it did.
    stopped: Option<FailureShape<'a>>,
}

fn worker(row: &WorkerRow, role: Role) -> WorkerShape<'_> {
    WorkerShape {
        worker: row.worker.to_string(),
        creates_default: role.creates_default,
        creates_independent: role.creates_independent,
        operations: (&row.operations).into(),
        connections: row.connections.keys().map(ToString::to_string).collect(),
        kinds: row.connections.iter().map(|(connection, kind)| (connection.to_string(), kind.name())).collect(),
        reasons: &row.reasons,
        wait_us: (&row.wait).into(),
        service_us: (&row.service).into(),
        stopped: row.stopped.as_ref().map(Into::into),
    }
}

/// Operations of one task, or of all, by whose connection carried them.
#[derive(Serialize)]
struct OperationsOn {
    main: u64,
    own_default: u64,
    /// A default connection that another task had created.
    inherited_default: u64,
    /// A default connection that no task created.
    thread_default: u64,
    independent: u64,
}

impl OperationsOn {
    fn of(rows: &[TaskRow]) -> Self {
        let on = |whose: fn(Whose) -> bool| rows.iter().map(|row| row.on(whose)).sum();
        Self {
            main: on(|whose| whose == Whose::Main),
            own_default: on(|whose| whose == Whose::Own),
            inherited_default: on(|whose| matches!(whose, Whose::Inherited(_))),
            thread_default: on(|whose| whose == Whose::Thread),
            independent: on(|whose| whose == Whose::Independent),
        }
    }
}

#[derive(Serialize)]
struct TaskShape<'a> {
    task: String,
    /// The threads that its operations ran on.
    workers: Vec<String>,
    operations: CountsShape,
    operations_on: OperationsOn,
    /// How many operations each connection carried.
    connections: BTreeMap<String, u64>,
    /// The default connection that its thread had already when it was to create one (C3).
    default_refused: Option<String>,
    /// Why it stopped early, if it did.
    stopped: Option<FailureShape<'a>>,
}

impl<'a> From<&'a TaskRow> for TaskShape<'a> {
    fn from(row: &'a TaskRow) -> Self {
        Self {
            task: row.task.to_string(),
            workers: row.workers.iter().map(ToString::to_string).collect(),
            operations: (&row.operations).into(),
            operations_on: OperationsOn::of(std::slice::from_ref(row)),
            connections: row.used.iter().map(|(connection, used)| (connection.to_string(), used.operations)).collect(),
            default_refused: row.refused.map(|connection| connection.to_string()),
            stopped: row.stopped.as_ref().map(Into::into),
        }
    }
}

#[derive(Serialize)]
struct FailureRowShape<'a> {
    kind: &'static str,
    stage: &'static str,
    count: u64,
    /// The operation that failed, if a connection carried it; its command; its mailbox.
    operation: Option<&'static str>,
    command: Option<&'static str>,
    mailbox: Option<&'a str>,
    message: &'a str,
    server_line: Option<&'a str>,
    further_lines: &'a [String],
}

fn failure(row: &FailureRow) -> FailureRowShape<'_> {
    FailureRowShape {
        kind: row.kind.name(),
        stage: row.stage.name(),
        count: row.count,
        operation: row.operation,
        command: row.command,
        mailbox: row.mailbox.as_deref(),
        message: &row.message,
        server_line: row.server_line.as_deref(),
        further_lines: &row.further_lines,
    }
}
