//! The lines of a run's file: a shape each, in which it is written and read back.
//!
//! What a later version may have added to a line is passed over.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::names::{Named, Us};
use super::shapes::{AskedShape, DialShape, FailureShape, SCHEMA_VERSION, TlsShape, TotalsShape, tls};
use super::words::wall;
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{self, Mechanism, Protocol, TlsDetails, Verb};
use crate::record::{
    Answer, Closed, Command, Dispose, Executor, FailOn, Failure, HALVES, Header, HowClosed, Lock, Names, OpenFailed,
    Opened, Operation, Role, Selection, Severity, Switch, TaskId, What, WitnessedCommand, WitnessedSession, WorkerId,
};

/// A line's shape.
pub(super) trait Event {
    /// What the line says that it is of.
    const NAME: &'static str;
}

macro_rules! events {
    ($($shape:ty, $name:literal;)+) => {$(
        impl Event for $shape {
            const NAME: &'static str = $name;
        }
    )+};
}

events! {
    RunStart<'_>, "run-start";
    ConnectionCreated, "connection-created";
    SessionOpened<'_>, "session-opened";
    SessionRefused<'_>, "session-refused";
    SessionClosed<'_>, "session-closed";
    ConnectionDisposed, "connection-disposed";
    ModeChanged, "mode-changed";
    OperationShape<'_>, "operation";
    MailboxLeft<'_>, "mailbox-left";
    WorkerStopped<'_>, "worker-stopped";
    TaskStarted, "task-started";
    DefaultRefused<'_>, "default-refused";
    TaskStopped<'_>, "task-stopped";
    TaskEnded, "task-ended";
    WorkerEnded, "worker-ended";
    WitnessSession<'_>, "witness-session";
    TotalsShape<'_>, "run-end";
}

/// A line, in its shape.
pub(super) fn read<'a, T: Deserialize<'a>>(line: &'a [u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

/// What every line has, before its own.
#[derive(Serialize, Deserialize)]
pub(super) struct Envelope<'a> {
    pub(super) seq: u64,
    pub(super) event: Cow<'a, str>,
    pub(super) at_us: Us,
    pub(super) time: Cow<'a, str>,
}

/// The record's word for an operation: its protocol's, or a scenario's for half a unit.
pub(super) fn operation(protocol: Protocol, said: &str) -> Result<&'static str, String> {
    let half = HALVES.into_iter().find(|half| *half == said && protocol == Protocol::Imap);
    half.map_or_else(|| Ok(protocol::Operation::parse(protocol, said).map_err(|error| error.to_string())?.name()), Ok)
}

/// What the line of an entry says.
pub(super) fn what(header: &Header, event: &str, at: Duration, line: &[u8]) -> Result<What, String> {
    match event {
        ConnectionCreated::NAME => Ok(read::<ConnectionCreated>(line)?.into()),
        SessionOpened::NAME => read::<SessionOpened<'_>>(line)?.what(header.protocol),
        SessionRefused::NAME => read::<SessionRefused<'_>>(line)?.what(at),
        SessionClosed::NAME => read::<SessionClosed<'_>>(line)?.what(header.protocol),
        ConnectionDisposed::NAME => Ok(read::<ConnectionDisposed>(line)?.into()),
        ModeChanged::NAME => Ok(read::<ModeChanged>(line)?.into()),
        OperationShape::NAME => read::<OperationShape<'_>>(line)?.what(header),
        MailboxLeft::NAME => Ok(read::<MailboxLeft<'_>>(line)?.into()),
        WorkerStopped::NAME => Ok(read::<WorkerStopped<'_>>(line)?.into()),
        TaskStarted::NAME => Ok(read::<TaskStarted>(line)?.into()),
        DefaultRefused::NAME => read::<DefaultRefused<'_>>(line)?.what(),
        TaskStopped::NAME => Ok(read::<TaskStopped<'_>>(line)?.into()),
        TaskEnded::NAME => Ok(read::<TaskEnded>(line)?.into()),
        WorkerEnded::NAME => Ok(read::<WorkerEnded>(line)?.into()),
        other => Err(format!("not understood by this version: an event {other:?}")),
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct RunStart<'a> {
    pub(super) schema_version: u32,
    pub(super) tool_version: Cow<'a, str>,
    run_id: Cow<'a, str>,
    started: Cow<'a, str>,
    server: Cow<'a, str>,
    protocol: Named<Protocol>,
    /// Null without TLS.
    certificates_verified: Option<bool>,
    mode: Named<Mode>,
    threads: usize,
    seed: u64,
    asked: AskedShape,
    mix: Cow<'a, str>,
    mailboxes: Cow<'a, [String]>,
    max_connections: Option<usize>,
    /// Files written before there was a choice do not say; they did as is done by default. So it is with those below.
    lock: Option<Named<Lock>>,
    fail_on: Option<Vec<Named<Severity>>>,
    workers: Vec<WorkerRole>,
    executor: Option<Named<Executor>>,
    dispose: Option<Named<Dispose>>,
    #[serde(default)]
    tasks: Vec<TaskRole>,
    #[serde(default)]
    switches: Vec<SwitchShape>,
    /// A scenario said what to do, step by step.
    #[serde(default)]
    scripted: bool,
}

#[derive(Serialize, Deserialize)]
struct SwitchShape {
    after: u64,
    mode: Named<Mode>,
}

#[derive(Serialize, Deserialize)]
struct WorkerRole {
    worker: Named<WorkerId>,
    creates_default: bool,
    creates_independent: bool,
}

#[derive(Serialize, Deserialize)]
struct TaskRole {
    task: Named<TaskId>,
    creates_default: bool,
    creates_independent: bool,
}

impl<'a> RunStart<'a> {
    pub(super) fn new(header: &'a Header) -> Self {
        let worker = |(number, role): (u32, &Role)| WorkerRole {
            worker: Named(WorkerId(number)),
            creates_default: role.creates_default,
            creates_independent: role.creates_independent,
        };
        let task = |(number, role): (u32, &Role)| TaskRole {
            task: Named(TaskId(number)),
            creates_default: role.creates_default,
            creates_independent: role.creates_independent,
        };
        let switch = |switch: &Switch| SwitchShape { after: switch.after, mode: Named(switch.mode) };
        let fails = |severity: &Severity| header.fail_on.holds(*severity);
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: Cow::Borrowed(&header.tool_version),
            run_id: Cow::Borrowed(&header.run_id),
            started: Cow::Owned(wall(header.started)),
            server: Cow::Borrowed(&header.server),
            protocol: Named(header.protocol),
            certificates_verified: header.certificates_verified(),
            mode: Named(header.mode),
            threads: header.workers.len(),
            seed: header.seed,
            asked: header.asked.into(),
            mix: Cow::Borrowed(&header.mix),
            mailboxes: Cow::Borrowed(&header.mailboxes),
            max_connections: header.max_connections,
            lock: Some(Named(header.lock)),
            fail_on: Some(Severity::ALL.into_iter().filter(fails).map(Named).collect()),
            workers: (0..).zip(&header.workers).map(worker).collect(),
            executor: Some(Named(header.executor)),
            dispose: Some(Named(header.dispose)),
            tasks: (0..).zip(&header.tasks).map(task).collect(),
            switches: header.switches.iter().map(switch).collect(),
            scripted: header.scripted,
        }
    }

    /// What is odd about it, if anything is.
    pub(super) fn odd(&self) -> Option<String> {
        let workers = (0..).zip(&self.workers).all(|(number, role)| role.worker.0 == WorkerId(number));
        let tasks = (0..).zip(&self.tasks).all(|(number, role)| role.task.0 == TaskId(number));
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if self.threads != self.workers.len() {
            Some(format!("{} threads, and {} workers", self.threads, self.workers.len()))
        } else if !workers {
            Some("workers are not numbered from w0".to_owned())
        } else if !tasks {
            Some("tasks are not numbered from t0".to_owned())
        } else if self.run_id.len() != 12 || !self.run_id.chars().all(hex) {
            Some("run_id is not 12 hexadecimal digits".to_owned())
        } else {
            None
        }
    }

    /// What was asked for.
    pub(super) fn header(self) -> Result<Header, String> {
        let started = humantime::parse_rfc3339(&self.started).map_err(|error| format!("started: {error}"))?;
        let role = |creates_default, creates_independent| Role { creates_default, creates_independent };
        let switch = |switch: SwitchShape| Switch { after: switch.after, mode: switch.mode.0 };
        Ok(Header {
            run_id: self.run_id.into_owned(),
            tool_version: self.tool_version.into_owned(),
            started,
            server: self.server.into_owned(),
            protocol: self.protocol.0,
            tls: self.certificates_verified.is_some(),
            insecure: self.certificates_verified == Some(false),
            mode: self.mode.0,
            switches: self.switches.into_iter().map(switch).collect(),
            workers: self.workers.iter().map(|it| role(it.creates_default, it.creates_independent)).collect(),
            executor: or_default(self.executor),
            tasks: self.tasks.iter().map(|it| role(it.creates_default, it.creates_independent)).collect(),
            dispose: or_default(self.dispose),
            asked: self.asked.try_into()?,
            mix: self.mix.into_owned(),
            mailboxes: self.mailboxes.into_owned(),
            seed: self.seed,
            max_connections: self.max_connections,
            lock: or_default(self.lock),
            fail_on: self.fail_on.map_or(Ok(FailOn::default()), fail_on)?,
            names: Names::default(),
            scripted: self.scripted,
        })
    }
}

fn or_default<T: Default>(said: Option<Named<T>>) -> T {
    said.map(|named| named.0).unwrap_or_default()
}

/// The findings that fail the run.
fn fail_on(severities: Vec<Named<Severity>>) -> Result<FailOn, String> {
    severities.into_iter().try_fold(FailOn::NONE, |mut on, Named(severity)| {
        match severity {
            Severity::Hazard => on.hazard = true,
            Severity::Leak => on.leak = true,
            Severity::Fault => on.fault = true,
            Severity::Advice => on.advice = true,
            Severity::Broken | Severity::Limit => {
                return Err(format!("fail_on: {} is not up to anyone", severity.name()));
            }
        }
        Ok(on)
    })
}

#[derive(Serialize, Deserialize)]
pub(super) struct ConnectionCreated {
    pub(super) connection: Named<ConnectionId>,
    pub(super) kind: Named<Kind>,
    pub(super) worker: Option<Named<WorkerId>>,
    pub(super) task: Option<Named<TaskId>>,
    pub(super) by_hand: bool,
}

impl From<ConnectionCreated> for What {
    fn from(shape: ConnectionCreated) -> Self {
        Self::Created {
            connection: shape.connection.0,
            kind: shape.kind.0,
            worker: plain(shape.worker),
            task: plain(shape.task),
            by_hand: shape.by_hand,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ConnectionDisposed {
    pub(super) connection: Named<ConnectionId>,
    pub(super) cause: Named<Disposal>,
}

impl From<ConnectionDisposed> for What {
    fn from(shape: ConnectionDisposed) -> Self {
        Self::Disposed { connection: shape.connection.0, cause: shape.cause.0 }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct ModeChanged {
    pub(super) from: Named<Mode>,
    pub(super) to: Named<Mode>,
}

impl From<ModeChanged> for What {
    fn from(shape: ModeChanged) -> Self {
        Self::ModeChanged { from: shape.from.0, to: shape.to.0 }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct MailboxLeft<'a> {
    pub(super) worker: Named<WorkerId>,
    pub(super) mailbox: Cow<'a, str>,
}

impl From<MailboxLeft<'_>> for What {
    fn from(shape: MailboxLeft<'_>) -> Self {
        Self::LeftMailbox { worker: shape.worker.0, mailbox: shape.mailbox.into_owned() }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct WorkerStopped<'a> {
    pub(super) worker: Named<WorkerId>,
    pub(super) not_issued: u64,
    pub(super) failure: Option<FailureShape<'a>>,
}

impl From<WorkerStopped<'_>> for What {
    fn from(shape: WorkerStopped<'_>) -> Self {
        let failure = shape.failure.map(Failure::from).map(Box::new);
        Self::Stopped { worker: shape.worker.0, not_issued: shape.not_issued, failure }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct TaskStarted {
    pub(super) task: Named<TaskId>,
    pub(super) worker: Named<WorkerId>,
}

impl From<TaskStarted> for What {
    fn from(shape: TaskStarted) -> Self {
        Self::TaskStarted { task: shape.task.0, worker: shape.worker.0 }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct DefaultRefused<'a> {
    pub(super) task: Named<TaskId>,
    pub(super) worker: Named<WorkerId>,
    pub(super) existing: Named<ConnectionId>,
    pub(super) rule: Cow<'a, str>,
}

impl DefaultRefused<'_> {
    /// The rule that refuses a default.
    pub(super) const RULE: &'static str = "C3";

    fn what(self) -> Result<What, String> {
        if self.rule != Self::RULE {
            return Err(format!("a default is refused by {}, not by {:?}", Self::RULE, self.rule));
        }
        Ok(What::DefaultRefused { task: self.task.0, worker: self.worker.0, existing: self.existing.0 })
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct TaskStopped<'a> {
    pub(super) task: Named<TaskId>,
    pub(super) not_issued: u64,
    pub(super) failure: Option<FailureShape<'a>>,
}

impl From<TaskStopped<'_>> for What {
    fn from(shape: TaskStopped<'_>) -> Self {
        let failure = shape.failure.map(Failure::from).map(Box::new);
        Self::TaskStopped { task: shape.task.0, not_issued: shape.not_issued, failure }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct TaskEnded {
    pub(super) task: Named<TaskId>,
    pub(super) worker: Option<Named<WorkerId>>,
    pub(super) operations: Option<u64>,
    pub(super) left_mailbox: bool,
}

impl From<TaskEnded> for What {
    fn from(shape: TaskEnded) -> Self {
        let TaskEnded { task: Named(task), worker, operations, left_mailbox } = shape;
        Self::TaskEnded { task, worker: plain(worker), operations, left_mailbox }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct WorkerEnded {
    pub(super) worker: Named<WorkerId>,
    pub(super) operations: u64,
    pub(super) not_begun: u64,
    /// Files written before it was asked for do not say.
    pub(super) not_begun_wait_us: Option<Us>,
    pub(super) left_mailbox: bool,
}

impl From<WorkerEnded> for What {
    fn from(shape: WorkerEnded) -> Self {
        let WorkerEnded { worker: Named(worker), operations, not_begun, not_begun_wait_us, left_mailbox } = shape;
        let not_begun_wait = not_begun_wait_us.map_or(Duration::ZERO, |wait| wait.0);
        Self::WorkerEnded { worker, operations, not_begun, not_begun_wait, left_mailbox }
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionOpened<'a> {
    connection: Named<ConnectionId>,
    session: Named<SessionId>,
    worker: Option<Named<WorkerId>>,
    began_us: Us,
    local_port: u16,
    label: Option<Cow<'a, str>>,
    tls: Option<String>,
    tls_details: Option<TlsShape<'a>>,
    signed_in_by: Option<Cow<'a, str>>,
    /// Files written before it was asked for do not say; the dial's begin stands for it then. So with `failed_us` below.
    signed_in_us: Option<Us>,
    dial_us: DialShape,
    commands: Vec<CommandShape<'a>>,
}

impl<'a> SessionOpened<'a> {
    pub(super) fn new(protocol: Protocol, opened: &'a Opened) -> Self {
        Self {
            connection: Named(opened.session.connection),
            session: Named(opened.session),
            worker: opened.worker.map(Named),
            began_us: Us(opened.began),
            local_port: opened.local_port,
            label: opened.label.as_deref().map(Cow::Borrowed),
            tls: opened.tls.as_ref().map(tls),
            tls_details: opened.tls.as_ref().map(Into::into),
            signed_in_by: opened.signed_in_by.map(Cow::Borrowed),
            signed_in_us: Some(Us(opened.signed_in)),
            dial_us: (&opened.phases).into(),
            commands: CommandShape::of(protocol, &opened.commands),
        }
    }

    fn what(self, protocol: Protocol) -> Result<What, String> {
        let details = self.tls_details.map(TlsDetails::from);
        if self.tls != details.as_ref().map(tls) {
            return Err("tls and tls_details differ".to_owned());
        }
        Ok(What::Opened(Box::new(Opened {
            session: session(self.connection, self.session)?,
            worker: plain(self.worker),
            began: self.began_us.0,
            local_port: self.local_port,
            phases: self.dial_us.into(),
            tls: details,
            label: self.label.map(Cow::into_owned),
            signed_in_by: self.signed_in_by.as_deref().map(signed_in_by).transpose()?,
            signed_in: self.signed_in_us.unwrap_or(self.began_us).0,
            commands: CommandShape::read(protocol, self.commands)?,
        })))
    }
}

/// How a session signed in: a mechanism, or the protocol's own command.
fn signed_in_by(name: &str) -> Result<&'static str, String> {
    let mechanism = name.parse::<Mechanism>().ok().map(Mechanism::name).filter(|known| *known == name);
    let own = [Verb::Login, Verb::User].into_iter().map(Verb::name).find(|known| *known == name);
    mechanism.or(own).ok_or_else(|| format!("{name:?} is no way to sign in"))
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionRefused<'a> {
    connection: Named<ConnectionId>,
    session: Named<SessionId>,
    worker: Option<Named<WorkerId>>,
    local_port: Option<u16>,
    dial_us: DialShape,
    took_us: Us,
    sign_in_attempted: bool,
    open: usize,
    dialling: usize,
    /// When the failure was known, before any goodbye.
    failed_us: Option<Us>,
    failure: FailureShape<'a>,
}

impl<'a> SessionRefused<'a> {
    pub(super) fn new(failed: &'a OpenFailed) -> Self {
        Self {
            connection: Named(failed.session.connection),
            session: Named(failed.session),
            worker: failed.worker.map(Named),
            local_port: failed.local_port,
            dial_us: (&failed.phases).into(),
            took_us: Us(failed.took),
            sign_in_attempted: failed.sign_in_attempted,
            open: failed.open,
            dialling: failed.dialling,
            failed_us: Some(Us(failed.failed)),
            failure: (&failed.failure).into(),
        }
    }

    fn what(self, at: Duration) -> Result<What, String> {
        Ok(What::OpenFailed(Box::new(OpenFailed {
            session: session(self.connection, self.session)?,
            worker: plain(self.worker),
            local_port: self.local_port,
            phases: self.dial_us.into(),
            took: self.took_us.0,
            sign_in_attempted: self.sign_in_attempted,
            open: self.open,
            dialling: self.dialling,
            failed: self.failed_us.map_or(at, |failed| failed.0),
            failure: self.failure.into(),
        })))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct SessionClosed<'a> {
    connection: Named<ConnectionId>,
    session: Named<SessionId>,
    closed: Cow<'a, str>,
    bytes_sent: u64,
    bytes_received: u64,
    commands: Vec<CommandShape<'a>>,
    /// How many commands it carried in all.
    carried: u32,
    failure: Option<FailureShape<'a>>,
}

impl<'a> SessionClosed<'a> {
    pub(super) fn new(protocol: Protocol, closed: &'a Closed) -> Self {
        Self {
            connection: Named(closed.session.connection),
            session: Named(closed.session),
            closed: Cow::Borrowed(closed.how.name()),
            bytes_sent: closed.sent,
            bytes_received: closed.received,
            commands: CommandShape::of(protocol, &closed.commands),
            carried: closed.carried,
            failure: closed.how.failure().map(Into::into),
        }
    }

    fn what(self, protocol: Protocol) -> Result<What, String> {
        let how = match (&*self.closed, self.failure) {
            ("logged-out", None) => HowClosed::LoggedOut,
            ("discarded", None) => HowClosed::Discarded,
            ("no-logout", Some(failure)) => HowClosed::WithoutLogout(failure.into()),
            ("hung-up", Some(failure)) => HowClosed::HungUp(failure.into()),
            (other, failure) => {
                let with = if failure.is_some() { "with" } else { "without" };
                return Err(format!("a session does not end by {other:?} {with} a failure"));
            }
        };
        Ok(What::Closed(Box::new(Closed {
            session: session(self.connection, self.session)?,
            how,
            sent: self.bytes_sent,
            received: self.bytes_received,
            commands: CommandShape::read(protocol, self.commands)?,
            carried: self.carried,
        })))
    }
}

#[derive(Serialize, Deserialize)]
pub(super) struct OperationShape<'a> {
    number: u64,
    worker: Named<WorkerId>,
    task: Option<Named<TaskId>>,
    operation: Cow<'a, str>,
    mailbox: Option<Cow<'a, str>>,
    mode: Named<Mode>,
    had_default: bool,
    passed: Option<Named<ConnectionId>>,
    reason: Option<Named<Reason>>,
    connection: Option<Named<ConnectionId>>,
    session: Option<Named<SessionId>>,
    opened: bool,
    local_port: Option<u16>,
    commands: Vec<CommandShape<'a>>,
    /// The one of them at which it failed, if it did; what follows it tidies up.
    failed_command: Option<Cow<'a, str>>,
    issued_after: u64,
    issued_at_us: Us,
    wait_us: Us,
    dial_us: Us,
    service_us: Us,
    outcome: Cow<'a, str>,
    items: Option<u32>,
    failure: Option<FailureShape<'a>>,
    /// What the reply proves of the mailbox that it came from; null if it read no messages.
    answered_by: Option<AnswerShape<'a>>,
    /// The selection that it relied on, if that was made before it had the connection; null if it selects for itself.
    relied_on: Option<SelectionShape<'a>>,
}

#[derive(Serialize, Deserialize)]
struct AnswerShape<'a> {
    mailbox: Option<Cow<'a, str>>,
    uid_validity: Option<u32>,
}

#[derive(Serialize, Deserialize)]
struct SelectionShape<'a> {
    session: Named<SessionId>,
    local_port: u16,
    commands: Vec<CommandShape<'a>>,
    uid_validity: Option<u32>,
}

impl<'a> OperationShape<'a> {
    pub(super) fn new(protocol: Protocol, operation: &'a Operation, mailbox: Option<&'a str>) -> Self {
        let failure = operation.outcome.as_ref().err();
        Self {
            number: operation.number,
            worker: Named(operation.worker),
            task: operation.task.map(Named),
            operation: Cow::Borrowed(operation.name),
            mailbox: mailbox.map(Cow::Borrowed),
            mode: Named(operation.mode),
            had_default: operation.had_default,
            passed: operation.passed.map(Named),
            reason: operation.reason.map(Named),
            connection: operation.session.map(|session| Named(session.connection)),
            session: operation.session.map(Named),
            opened: operation.opened,
            local_port: operation.local_port,
            commands: CommandShape::of(protocol, &operation.commands),
            failed_command: operation.failed_command.map(Cow::Borrowed),
            issued_after: operation.issued_after,
            issued_at_us: Us(operation.issued_at),
            wait_us: Us(operation.wait),
            dial_us: Us(operation.dial),
            service_us: Us(operation.service),
            outcome: Cow::Borrowed(if failure.is_none() { "ok" } else { "failed" }),
            items: operation.outcome.as_ref().ok().copied(),
            failure: failure.map(|failure| (&**failure).into()),
            answered_by: operation.answered_by.as_ref().map(|answer| AnswerShape {
                mailbox: answer.mailbox.as_deref().map(Cow::Borrowed),
                uid_validity: answer.uid_validity,
            }),
            relied_on: operation.relied_on.as_deref().map(|selection| SelectionShape {
                session: Named(selection.session),
                local_port: selection.local_port,
                commands: CommandShape::of(protocol, &selection.commands),
                uid_validity: selection.uid_validity,
            }),
        }
    }

    fn what(self, header: &Header) -> Result<What, String> {
        let protocol = header.protocol;
        let outcome = match (&*self.outcome, self.items, self.failure) {
            ("ok", Some(items), None) => Ok(items),
            ("failed", None, Some(failure)) => Err(Box::new(failure.into())),
            (other, ..) => return Err(format!("outcome {other:?} does not go with its items and its failure")),
        };
        let mailbox = |name: Cow<'_, str>| {
            let at = header.mailboxes.iter().position(|known| *known == name);
            let at = at.ok_or_else(|| format!("{name:?} is none of the run's mailboxes"))?;
            u16::try_from(at).map_err(|_| "too many mailboxes".to_owned())
        };
        let selection = |shape: SelectionShape<'_>| {
            Ok::<_, String>(Box::new(Selection {
                session: shape.session.0,
                local_port: shape.local_port,
                commands: CommandShape::read(protocol, shape.commands)?,
                uid_validity: shape.uid_validity,
            }))
        };
        let answer = |shape: AnswerShape<'_>| Answer {
            mailbox: shape.mailbox.map(|name| name.into_owned().into_boxed_str()),
            uid_validity: shape.uid_validity,
        };
        let session = match (self.connection, self.session) {
            (None, None) => None,
            (Some(connection), Some(of_it)) => Some(session(connection, of_it)?),
            _ => return Err("a connection without its session, or a session without its connection".to_owned()),
        };
        let name = operation(protocol, &self.operation)?;
        Ok(What::Operation(Box::new(Operation {
            worker: self.worker.0,
            task: plain(self.task),
            number: self.number,
            name,
            mailbox: self.mailbox.map(mailbox).transpose()?,
            issued_after: self.issued_after,
            issued_at: self.issued_at_us.0,
            mode: self.mode.0,
            had_default: self.had_default,
            passed: plain(self.passed),
            reason: plain(self.reason),
            session,
            opened: self.opened,
            local_port: self.local_port,
            commands: CommandShape::read(protocol, self.commands)?,
            failed_command: self.failed_command.as_deref().map(verb).transpose()?,
            wait: self.wait_us.0,
            dial: self.dial_us.0,
            service: self.service_us.0,
            outcome,
            answered_by: self.answered_by.map(answer),
            relied_on: self.relied_on.map(selection).transpose()?,
        })))
    }
}

/// A command, its tag as the server saw it.
#[derive(Serialize, Deserialize)]
struct CommandShape<'a> {
    tag: Cow<'a, str>,
    verb: Cow<'a, str>,
}

impl CommandShape<'static> {
    fn of(protocol: Protocol, commands: &[Command]) -> Vec<Self> {
        let shape =
            |command: &Command| Self { tag: Cow::Owned(protocol.tag(command.tag)), verb: Cow::Borrowed(command.verb) };
        commands.iter().map(shape).collect()
    }
}

impl CommandShape<'_> {
    fn read(protocol: Protocol, shapes: Vec<Self>) -> Result<Box<[Command]>, String> {
        let command = |shape: Self| {
            let digits = if protocol == Protocol::Imap { shape.tag.strip_prefix('a') } else { Some(&*shape.tag) };
            let tag = digits.and_then(|digits| digits.parse().ok()).filter(|tag| protocol.tag(*tag) == shape.tag);
            let tag = tag.ok_or_else(|| format!("{:?} is no tag of ours", shape.tag))?;
            Ok(Command { tag, verb: verb(&shape.verb)? })
        };
        shapes.into_iter().map(command).collect()
    }
}

fn verb(name: &str) -> Result<&'static str, String> {
    Verb::named(name).map(Verb::name).ok_or_else(|| format!("{name:?} is no command of ours"))
}

#[derive(Serialize, Deserialize)]
pub(super) struct WitnessSession<'a> {
    peer_port: u16,
    run_id: Option<Cow<'a, str>>,
    label: Option<Cow<'a, str>>,
    logged_out: bool,
    open: bool,
    commands: Vec<WitnessCommand<'a>>,
}

#[derive(Serialize, Deserialize)]
struct WitnessCommand<'a> {
    tag: Cow<'a, str>,
    verb: Cow<'a, str>,
    selected: Option<Cow<'a, str>>,
    at_us: Option<Us>,
}

impl<'a> From<&'a WitnessedSession> for WitnessSession<'a> {
    fn from(session: &'a WitnessedSession) -> Self {
        let command = |command: &'a WitnessedCommand| WitnessCommand {
            tag: Cow::Borrowed(&command.tag),
            verb: Cow::Borrowed(&command.verb),
            selected: command.selected.as_deref().map(Cow::Borrowed),
            at_us: command.at.map(Us),
        };
        Self {
            peer_port: session.peer_port,
            run_id: session.run_id.as_deref().map(Cow::Borrowed),
            label: session.label.as_deref().map(Cow::Borrowed),
            logged_out: session.logged_out,
            open: session.open,
            commands: session.commands.iter().map(command).collect(),
        }
    }
}

impl From<WitnessSession<'_>> for WitnessedSession {
    fn from(session: WitnessSession<'_>) -> Self {
        let command = |command: WitnessCommand<'_>| WitnessedCommand {
            tag: command.tag.into_owned(),
            verb: command.verb.into_owned(),
            selected: command.selected.map(Cow::into_owned),
            at: command.at_us.map(|at| at.0),
        };
        Self {
            peer_port: session.peer_port,
            run_id: session.run_id.map(Cow::into_owned),
            label: session.label.map(Cow::into_owned),
            logged_out: session.logged_out,
            open: session.open,
            commands: session.commands.into_iter().map(command).collect(),
        }
    }
}

fn plain<T>(named: Option<Named<T>>) -> Option<T> {
    named.map(|named| named.0)
}

/// A session, if it is one of that connection.
fn session(of: Named<ConnectionId>, session: Named<SessionId>) -> Result<SessionId, String> {
    let (Named(of), Named(session)) = (of, session);
    if session.connection == of { Ok(session) } else { Err(format!("{session} is no session of {of}")) }
}
