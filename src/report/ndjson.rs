//! The record as it grows: a JSON object on each line.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::json::AskedShape;
use super::shapes::{CommandShape, DialShape, FailureShape, SCHEMA_VERSION, TlsShape, TotalsShape, commands, tls};
use super::words::{to_the_microsecond, us, wall};
use crate::protocol::Protocol;
use crate::record::{
    Closed, Entry, Header, HowClosed, OpenFailed, Opened, Operation, Run, Summary, Verdict, What, WitnessedSession,
};

/// Writes a run as it happens, each line a JSON object with `seq`, `event`, `at_us` (since the start, monotonic) and
/// `time` (wall).
///
/// `seq` counts the file's lines from 0: `run-start` is 0, the record's entry `n` is `n + 1`, and the server's own record
/// and `run-end` follow. An operation's `issued_after` counts the entries there were when it was issued, so it is the `seq`
/// of the last line that the operation could know of. A file without `run-end` is that of a run which did not end.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    started: SystemTime,
    mailboxes: Vec<String>,
    protocol: Protocol,
    /// The next line's number.
    next: u64,
    /// A batch is written in one go: no reader sees half a line, and a line costs no system call of its own.
    batch: Vec<u8>,
}

impl<W: Write> Ndjson<W> {
    /// Begins the file with `run-start`: all that was asked for.
    ///
    /// # Errors
    /// What `out` answers; whether a reader that has gone away matters is the caller's to say.
    pub fn start(out: W, header: &Header) -> io::Result<Self> {
        let mut file = Self {
            out,
            started: to_the_microsecond(header.started),
            mailboxes: header.mailboxes.clone(),
            protocol: header.protocol,
            next: 0,
            batch: Vec::new(),
        };
        file.line("run-start", Duration::ZERO, &RunStart::new(header))?;
        file.flush()?;
        Ok(file)
    }

    /// Adds what happened since, and flushes it.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn entries(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            self.next = entry.seq + 1;
            self.entry(entry)?;
        }
        self.flush()
    }

    /// Ends the file: the server's own record, where it can be had, then `run-end`.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn end(mut self, run: &Run, summary: &Summary, verdict: &Verdict) -> io::Result<W> {
        let at = run.end.elapsed;
        for session in run.witness.iter().flatten() {
            self.line("witness-session", at, &WitnessSession::from(session))?;
            self.flush()?;
        }
        self.line("run-end", at, &TotalsShape::new(run, summary, verdict))?;
        self.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let at = entry.at;
        match &entry.what {
            What::Created { connection, kind, worker, task, by_hand } => {
                let body = ConnectionCreated {
                    connection: connection.to_string(),
                    kind: kind.name(),
                    worker: worker.map(|worker| worker.to_string()),
                    task: task.map(|task| task.to_string()),
                    by_hand: *by_hand,
                };
                self.line("connection-created", at, &body)
            }
            What::Opened(opened) => self.line("session-opened", at, &SessionOpened::new(self.protocol, opened)),
            What::OpenFailed(failed) => self.line("session-refused", at, &SessionRefused::from(&**failed)),
            What::Closed(closed) => self.line("session-closed", at, &SessionClosed::new(self.protocol, closed)),
            What::Disposed { connection, cause } => {
                let body = ConnectionDisposed { connection: connection.to_string(), cause: cause.name() };
                self.line("connection-disposed", at, &body)
            }
            What::ModeChanged { from, to } => {
                self.line("mode-changed", at, &ModeChanged { from: from.name(), to: to.name() })
            }
            What::Operation(operation) => {
                let mailbox = operation.mailbox.and_then(|index| self.mailboxes.get(usize::from(index)).cloned());
                self.line("operation", at, &OperationShape::new(self.protocol, operation, mailbox))
            }
            What::LeftMailbox { worker, mailbox } => {
                self.line("mailbox-left", at, &MailboxLeft { worker: worker.to_string(), mailbox })
            }
            What::Stopped { worker, not_issued, failure } => {
                let body = WorkerStopped {
                    worker: worker.to_string(),
                    not_issued: *not_issued,
                    failure: failure.as_deref().map(Into::into),
                };
                self.line("worker-stopped", at, &body)
            }
            What::TaskStarted { task, worker } => {
                let body = TaskStarted { task: task.to_string(), worker: worker.to_string() };
                self.line("task-started", at, &body)
            }
            What::DefaultRefused { task, worker, existing } => {
                let body = DefaultRefused {
                    task: task.to_string(),
                    worker: worker.to_string(),
                    existing: existing.to_string(),
                    rule: "C3",
                };
                self.line("default-refused", at, &body)
            }
            What::TaskStopped { task, not_issued, failure } => {
                let body = TaskStopped {
                    task: task.to_string(),
                    not_issued: *not_issued,
                    failure: failure.as_deref().map(Into::into),
                };
                self.line("task-stopped", at, &body)
            }
            What::TaskEnded { task } => self.line("task-ended", at, &TaskEnded { task: task.to_string() }),
        }
    }

    fn line(&mut self, event: &'static str, at: Duration, body: &impl Serialize) -> io::Result<()> {
        let time = self.started.checked_add(at).unwrap_or(self.started);
        let line = Line { seq: self.next, event, at_us: us(at), time: wall(time), body };
        serde_json::to_writer(&mut self.batch, &line)?;
        self.batch.push(b'\n');
        self.next += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.batch);
        self.batch.clear();
        written?;
        self.out.flush()
    }
}

#[derive(Serialize)]
struct Line<'a, B> {
    seq: u64,
    event: &'static str,
    at_us: u64,
    time: String,
    #[serde(flatten)]
    body: &'a B,
}

#[derive(Serialize)]
struct RunStart<'a> {
    schema_version: u32,
    tool_version: &'static str,
    run_id: &'a str,
    started: String,
    server: &'a str,
    protocol: &'static str,
    certificates_verified: bool,
    mode: &'static str,
    threads: usize,
    seed: u64,
    asked: AskedShape,
    mix: &'a str,
    mailboxes: &'a [String],
    max_connections: Option<usize>,
    lock: &'static str,
    fail_on: Vec<&'static str>,
    workers: Vec<RoleShape>,
    executor: &'static str,
    dispose: &'static str,
    tasks: Vec<TaskRoleShape>,
    switches: Vec<SwitchShape>,
}

#[derive(Serialize)]
struct SwitchShape {
    after: u64,
    mode: &'static str,
}

#[derive(Serialize)]
struct TaskRoleShape {
    task: String,
    creates_default: bool,
    creates_independent: bool,
}

#[derive(Serialize)]
struct RoleShape {
    worker: String,
    creates_default: bool,
    creates_independent: bool,
}

impl<'a> RunStart<'a> {
    fn new(header: &'a Header) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: header.tool_version,
            run_id: &header.run_id,
            started: wall(header.started),
            server: &header.server,
            protocol: header.protocol.name(),
            certificates_verified: !header.insecure,
            mode: header.mode.name(),
            threads: header.workers.len(),
            seed: header.seed,
            asked: header.asked.into(),
            mix: &header.mix,
            mailboxes: &header.mailboxes,
            max_connections: header.max_connections,
            lock: header.lock.name(),
            fail_on: header.fail_on.names().collect(),
            workers: header
                .workers
                .iter()
                .enumerate()
                .map(|(number, role)| RoleShape {
                    worker: format!("w{number}"),
                    creates_default: role.creates_default,
                    creates_independent: role.creates_independent,
                })
                .collect(),
            switches: header
                .switches
                .iter()
                .map(|switch| SwitchShape { after: switch.after, mode: switch.mode.name() })
                .collect(),
            executor: header.executor.name(),
            dispose: header.dispose.name(),
            tasks: header
                .tasks
                .iter()
                .enumerate()
                .map(|(number, role)| TaskRoleShape {
                    task: format!("t{number}"),
                    creates_default: role.creates_default,
                    creates_independent: role.creates_independent,
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct ConnectionCreated {
    connection: String,
    kind: &'static str,
    worker: Option<String>,
    task: Option<String>,
    by_hand: bool,
}

#[derive(Serialize)]
struct ConnectionDisposed {
    connection: String,
    cause: &'static str,
}

#[derive(Serialize)]
struct ModeChanged {
    from: &'static str,
    to: &'static str,
}

#[derive(Serialize)]
struct MailboxLeft<'a> {
    worker: String,
    mailbox: &'a str,
}

#[derive(Serialize)]
struct WorkerStopped<'a> {
    worker: String,
    not_issued: u64,
    failure: Option<FailureShape<'a>>,
}

#[derive(Serialize)]
struct TaskStarted {
    task: String,
    worker: String,
}

#[derive(Serialize)]
struct DefaultRefused {
    task: String,
    worker: String,
    existing: String,
    rule: &'static str,
}

#[derive(Serialize)]
struct TaskStopped<'a> {
    task: String,
    not_issued: u64,
    failure: Option<FailureShape<'a>>,
}

#[derive(Serialize)]
struct TaskEnded {
    task: String,
}

#[derive(Serialize)]
struct SessionOpened<'a> {
    connection: String,
    session: String,
    worker: Option<String>,
    began_us: u64,
    local_port: u16,
    label: Option<&'a str>,
    tls: Option<String>,
    tls_details: Option<TlsShape<'a>>,
    signed_in_by: Option<&'static str>,
    dial_us: DialShape,
    commands: Vec<CommandShape>,
}

impl<'a> SessionOpened<'a> {
    fn new(protocol: Protocol, opened: &'a Opened) -> Self {
        Self {
            connection: opened.session.connection.to_string(),
            session: opened.session.to_string(),
            worker: opened.worker.map(|worker| worker.to_string()),
            began_us: us(opened.began),
            local_port: opened.local_port,
            label: opened.label.as_deref(),
            tls: opened.tls.as_ref().map(tls),
            tls_details: opened.tls.as_ref().map(Into::into),
            signed_in_by: opened.signed_in_by,
            dial_us: (&opened.phases).into(),
            commands: commands(protocol, &opened.commands),
        }
    }
}

#[derive(Serialize)]
struct SessionRefused<'a> {
    connection: String,
    session: String,
    worker: Option<String>,
    local_port: Option<u16>,
    dial_us: DialShape,
    took_us: u64,
    sign_in_attempted: bool,
    open: usize,
    dialling: usize,
    failure: FailureShape<'a>,
}

impl<'a> From<&'a OpenFailed> for SessionRefused<'a> {
    fn from(failed: &'a OpenFailed) -> Self {
        Self {
            connection: failed.session.connection.to_string(),
            session: failed.session.to_string(),
            worker: failed.worker.map(|worker| worker.to_string()),
            local_port: failed.local_port,
            dial_us: (&failed.phases).into(),
            took_us: us(failed.took),
            sign_in_attempted: failed.sign_in_attempted,
            open: failed.open,
            dialling: failed.dialling,
            failure: (&failed.failure).into(),
        }
    }
}

#[derive(Serialize)]
struct SessionClosed<'a> {
    connection: String,
    session: String,
    closed: &'static str,
    bytes_sent: u64,
    bytes_received: u64,
    commands: Vec<CommandShape>,
    failure: Option<FailureShape<'a>>,
}

impl<'a> SessionClosed<'a> {
    fn new(protocol: Protocol, closed: &'a Closed) -> Self {
        Self {
            connection: closed.session.connection.to_string(),
            session: closed.session.to_string(),
            closed: closed.how.name(),
            bytes_sent: closed.sent,
            bytes_received: closed.received,
            commands: commands(protocol, &closed.commands),
            failure: match &closed.how {
                HowClosed::WithoutLogout(failure) => Some(failure.into()),
                HowClosed::LoggedOut | HowClosed::Discarded => None,
            },
        }
    }
}

#[derive(Serialize)]
struct OperationShape<'a> {
    number: u64,
    worker: String,
    task: Option<String>,
    operation: &'static str,
    mailbox: Option<String>,
    mode: &'static str,
    had_default: bool,
    passed: Option<String>,
    reason: Option<&'static str>,
    connection: Option<String>,
    session: Option<String>,
    opened: bool,
    local_port: Option<u16>,
    commands: Vec<CommandShape>,
    issued_after: u64,
    issued_at_us: u64,
    wait_us: u64,
    dial_us: u64,
    service_us: u64,
    outcome: &'static str,
    items: Option<u32>,
    failure: Option<FailureShape<'a>>,
    /// What the reply proves of the mailbox that it came from; null if it read no messages.
    answered_by: Option<AnswerShape<'a>>,
    /// The selection that it relied on, if that was made before it had the connection; null if it selects for itself.
    relied_on: Option<SelectionShape>,
}

#[derive(Serialize)]
struct AnswerShape<'a> {
    mailbox: Option<&'a str>,
    uid_validity: Option<u32>,
}

#[derive(Serialize)]
struct SelectionShape {
    session: String,
    local_port: u16,
    commands: Vec<CommandShape>,
    uid_validity: Option<u32>,
}

impl<'a> OperationShape<'a> {
    fn new(protocol: Protocol, operation: &'a Operation, mailbox: Option<String>) -> Self {
        Self {
            number: operation.number,
            worker: operation.worker.to_string(),
            task: operation.task.map(|task| task.to_string()),
            operation: operation.name,
            mailbox,
            mode: operation.mode.name(),
            had_default: operation.had_default,
            passed: operation.passed.map(|connection| connection.to_string()),
            reason: operation.reason.map(|reason| reason.name()),
            connection: operation.session.map(|session| session.connection.to_string()),
            session: operation.session.map(|session| session.to_string()),
            opened: operation.opened,
            local_port: operation.local_port,
            commands: commands(protocol, &operation.commands),
            issued_after: operation.issued_after,
            issued_at_us: us(operation.issued_at),
            wait_us: us(operation.wait),
            dial_us: us(operation.dial),
            service_us: us(operation.service),
            outcome: if operation.outcome.is_ok() { "ok" } else { "failed" },
            items: operation.outcome.as_ref().ok().copied(),
            failure: operation.outcome.as_ref().err().map(|failure| (&**failure).into()),
            answered_by: operation
                .answered_by
                .as_ref()
                .map(|answer| AnswerShape { mailbox: answer.mailbox.as_deref(), uid_validity: answer.uid_validity }),
            relied_on: operation.relied_on.as_ref().map(|selection| SelectionShape {
                session: selection.session.to_string(),
                local_port: selection.local_port,
                commands: commands(protocol, &selection.commands),
                uid_validity: selection.uid_validity,
            }),
        }
    }
}

#[derive(Serialize)]
struct WitnessSession<'a> {
    peer_port: u16,
    run_id: Option<&'a str>,
    label: Option<&'a str>,
    logged_out: bool,
    open: bool,
    commands: Vec<WitnessCommand<'a>>,
}

#[derive(Serialize)]
struct WitnessCommand<'a> {
    tag: &'a str,
    verb: &'a str,
    selected: Option<&'a str>,
    at_us: Option<u64>,
}

impl<'a> From<&'a WitnessedSession> for WitnessSession<'a> {
    fn from(session: &'a WitnessedSession) -> Self {
        Self {
            peer_port: session.peer_port,
            run_id: session.run_id.as_deref(),
            label: session.label.as_deref(),
            logged_out: session.logged_out,
            open: session.open,
            commands: session
                .commands
                .iter()
                .map(|command| WitnessCommand {
                    tag: &command.tag,
                    verb: &command.verb,
                    selected: command.selected.as_deref(),
                    at_us: command.at.map(us),
                })
                .collect(),
        }
    }
}
