//! The serialised shapes, read back. What a later version may have added beside them is passed over.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::shape;
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{self, FailureKind, Mechanism, Protocol, TlsDetails, Verb};
use crate::record::{
    Answer, Asked, Closed, Command, Dispose, End, Executor, FailOn, Failure, Header, HowClosed, Lock, OpenFailed,
    Opened, Operation, Phases, Role, Selection, Severity, Stage, Switch, TaskId, What, WitnessedCommand,
    WitnessedSession, WorkerId,
};

/// What every line has.
#[derive(Deserialize)]
pub(super) struct Envelope {
    pub(super) seq: u64,
    pub(super) event: String,
    pub(super) at_us: u64,
    pub(super) time: String,
}

impl Envelope {
    pub(super) fn read(line: &[u8]) -> Result<Self, String> {
        shape(line)
    }
}

#[derive(Deserialize)]
pub(super) struct RunStart {
    pub(super) schema_version: u64,
    tool_version: String,
    run_id: String,
    started: String,
    server: String,
    protocol: String,
    certificates_verified: bool,
    mode: String,
    threads: usize,
    seed: u64,
    asked: AskedShape,
    mix: String,
    mailboxes: Vec<String>,
    max_connections: Option<usize>,
    workers: Vec<RoleShape>,
    /// Files written before there was a choice do not say; they did as is done by default.
    lock: Option<String>,
    fail_on: Option<Vec<String>>,
    executor: Option<String>,
    dispose: Option<String>,
    #[serde(default)]
    tasks: Vec<TaskRoleShape>,
    #[serde(default)]
    switches: Vec<SwitchShape>,
}

#[derive(Deserialize)]
struct TaskRoleShape {
    task: String,
    creates_default: bool,
    creates_independent: bool,
}

#[derive(Deserialize)]
struct SwitchShape {
    after: u64,
    mode: String,
}

#[derive(Deserialize)]
struct AskedShape {
    operations_per_worker: Option<u64>,
    duration_us: Option<u64>,
}

#[derive(Deserialize)]
struct RoleShape {
    worker: String,
    creates_default: bool,
    creates_independent: bool,
}

impl RunStart {
    /// What was asked for, the version of mailconn that ran, and what is odd about it, if anything is.
    pub(super) fn header(self) -> Result<(Header, String, Option<String>), String> {
        let started = humantime::parse_rfc3339(&self.started).map_err(|error| format!("started: {error}"))?;
        let asked = match (self.asked.operations_per_worker, self.asked.duration_us) {
            (Some(operations), None) => Asked::Operations(operations),
            (None, Some(duration)) => Asked::Duration(Duration::from_micros(duration)),
            _ => return Err("asked: operations or a duration, one of the two".to_owned()),
        };
        let numbered = (0u32..).zip(&self.workers).all(|(number, role)| role.worker == format!("w{number}"));
        let tasks_numbered = (0u32..).zip(&self.tasks).all(|(number, role)| role.task == format!("t{number}"));
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let odd = if self.threads != self.workers.len() {
            Some(format!("{} threads, and {} workers", self.threads, self.workers.len()))
        } else if !numbered {
            Some("workers are not numbered from w0".to_owned())
        } else if !tasks_numbered {
            Some("tasks are not numbered from t0".to_owned())
        } else if self.run_id.len() != 12 || !self.run_id.chars().all(hex) {
            Some("run_id is not 12 hexadecimal digits".to_owned())
        } else {
            None
        };
        let role = |role: RoleShape| Role {
            creates_default: role.creates_default,
            creates_independent: role.creates_independent,
        };
        let task_role = |role: TaskRoleShape| Role {
            creates_default: role.creates_default,
            creates_independent: role.creates_independent,
        };
        let switch = |switch: SwitchShape| {
            Ok::<_, String>(Switch { after: switch.after, mode: named(Mode::ALL, Mode::name, &switch.mode)? })
        };
        let executors = [Executor::Threads, Executor::Pool, Executor::Tasks];
        let executor = self.executor.map(|name| named(executors, Executor::name, &name)).transpose()?;
        let dispose =
            self.dispose.map(|name| named([Dispose::Never, Dispose::Task], Dispose::name, &name)).transpose()?;
        let header = Header {
            run_id: self.run_id,
            // The record's own field is of who makes the record, and that is this version now.
            tool_version: env!("CARGO_PKG_VERSION"),
            started,
            server: self.server,
            protocol: named(Protocol::ALL, Protocol::name, &self.protocol)?,
            insecure: !self.certificates_verified,
            mode: named(Mode::ALL, Mode::name, &self.mode)?,
            switches: self.switches.into_iter().map(switch).collect::<Result<_, _>>()?,
            workers: self.workers.into_iter().map(role).collect(),
            executor: executor.unwrap_or_default(),
            tasks: self.tasks.into_iter().map(task_role).collect(),
            dispose: dispose.unwrap_or_default(),
            asked,
            mix: self.mix,
            mailboxes: self.mailboxes,
            seed: self.seed,
            max_connections: self.max_connections,
            lock: self
                .lock
                .map_or(Ok(Lock::default()), |name| named([Lock::Unit, Lock::Command], Lock::name, &name))?,
            fail_on: self.fail_on.map_or(Ok(FailOn::default()), fail_on)?,
        };
        Ok((header, self.tool_version, odd))
    }
}

/// The findings that fail the run.
fn fail_on(names: Vec<String>) -> Result<FailOn, String> {
    names.iter().try_fold(FailOn::NONE, |mut on, name| {
        match named(Severity::ALL, Severity::name, name)? {
            Severity::Hazard => on.hazard = true,
            Severity::Leak => on.leak = true,
            Severity::Fault => on.fault = true,
            Severity::Advice => on.advice = true,
            Severity::Broken | Severity::Limit => return Err(format!("fail_on: {name} is not up to anyone")),
        }
        Ok(on)
    })
}

/// How the run ended, as far as its last line says.
pub(super) fn end(claims: &Value) -> End {
    End {
        elapsed: Duration::from_micros(claims["elapsed_us"].as_u64().unwrap_or_default()),
        interrupted: claims["interrupted"].as_i64().and_then(|signal| i32::try_from(signal).ok()),
        still_open: claims["connections"]["still_open"]
            .as_u64()
            .map_or(0, |open| usize::try_from(open).unwrap_or(usize::MAX)),
    }
}

/// Whether there was a server's record, be it empty.
pub(super) fn says_witness(claims: &Value) -> bool {
    claims["verdict"]["witness"]["available"] == Value::Bool(true)
}

/// An entry's event.
pub(super) fn what(header: &Header, event: &str, line: &[u8]) -> Result<What, String> {
    match event {
        "connection-created" => shape::<ConnectionCreated>(line)?.what(),
        "session-opened" => shape::<SessionOpened>(line)?.what(header.protocol),
        "session-refused" => shape::<SessionRefused>(line)?.what(),
        "session-closed" => shape::<SessionClosed>(line)?.what(header.protocol),
        "connection-disposed" => shape::<ConnectionDisposed>(line)?.what(),
        "mode-changed" => shape::<ModeChanged>(line)?.what(),
        "operation" => shape::<OperationShape>(line)?.what(header),
        "mailbox-left" => shape::<MailboxLeft>(line)?.what(),
        "worker-stopped" => shape::<WorkerStopped>(line)?.what(),
        "task-started" => shape::<TaskStarted>(line)?.what(),
        "default-refused" => shape::<DefaultRefused>(line)?.what(),
        "task-stopped" => shape::<TaskStopped>(line)?.what(),
        "task-ended" => Ok(What::TaskEnded { task: task(&shape::<TaskEnded>(line)?.task)? }),
        other => Err(format!("not understood by this version: an event {other:?}")),
    }
}

#[derive(Deserialize)]
struct ConnectionCreated {
    connection: String,
    kind: String,
    worker: Option<String>,
    task: Option<String>,
    by_hand: bool,
}

impl ConnectionCreated {
    fn what(self) -> Result<What, String> {
        Ok(What::Created {
            connection: connection(&self.connection)?,
            kind: named([Kind::Main, Kind::Default, Kind::Independent], Kind::name, &self.kind)?,
            worker: self.worker.as_deref().map(worker).transpose()?,
            task: self.task.as_deref().map(task).transpose()?,
            by_hand: self.by_hand,
        })
    }
}

#[derive(Deserialize)]
struct ConnectionDisposed {
    connection: String,
    cause: String,
}

impl ConnectionDisposed {
    fn what(self) -> Result<What, String> {
        use Disposal::{Broken, ByHand, ClientClosed, NeverOpened, ThreadExit};
        let causes = [ByHand, ThreadExit, ClientClosed, NeverOpened, Broken];
        let cause = named(causes, Disposal::name, &self.cause)?;
        Ok(What::Disposed { connection: connection(&self.connection)?, cause })
    }
}

#[derive(Deserialize)]
struct ModeChanged {
    from: String,
    to: String,
}

impl ModeChanged {
    fn what(self) -> Result<What, String> {
        let mode = |name: &str| named(Mode::ALL, Mode::name, name);
        Ok(What::ModeChanged { from: mode(&self.from)?, to: mode(&self.to)? })
    }
}

#[derive(Deserialize)]
struct MailboxLeft {
    worker: String,
    mailbox: String,
}

impl MailboxLeft {
    fn what(self) -> Result<What, String> {
        Ok(What::LeftMailbox { worker: worker(&self.worker)?, mailbox: self.mailbox })
    }
}

#[derive(Deserialize)]
struct WorkerStopped {
    worker: String,
    not_issued: u64,
    failure: Option<FailureShape>,
}

impl WorkerStopped {
    fn what(self) -> Result<What, String> {
        Ok(What::Stopped {
            worker: worker(&self.worker)?,
            not_issued: self.not_issued,
            failure: self.failure.map(FailureShape::failure).transpose()?.map(Box::new),
        })
    }
}

#[derive(Deserialize)]
struct TaskStarted {
    task: String,
    worker: String,
}

impl TaskStarted {
    fn what(self) -> Result<What, String> {
        Ok(What::TaskStarted { task: task(&self.task)?, worker: worker(&self.worker)? })
    }
}

#[derive(Deserialize)]
struct DefaultRefused {
    task: String,
    worker: String,
    existing: String,
    rule: String,
}

impl DefaultRefused {
    fn what(self) -> Result<What, String> {
        if self.rule != "C3" {
            return Err(format!("a default is refused by C3, not by {:?}", self.rule));
        }
        let (task, worker) = (task(&self.task)?, worker(&self.worker)?);
        Ok(What::DefaultRefused { task, worker, existing: connection(&self.existing)? })
    }
}

#[derive(Deserialize)]
struct TaskStopped {
    task: String,
    not_issued: u64,
    failure: Option<FailureShape>,
}

impl TaskStopped {
    fn what(self) -> Result<What, String> {
        Ok(What::TaskStopped {
            task: task(&self.task)?,
            not_issued: self.not_issued,
            failure: self.failure.map(FailureShape::failure).transpose()?.map(Box::new),
        })
    }
}

#[derive(Deserialize)]
struct TaskEnded {
    task: String,
}

#[derive(Deserialize)]
struct SessionOpened {
    connection: String,
    session: String,
    worker: Option<String>,
    began_us: u64,
    local_port: u16,
    label: Option<String>,
    tls: Option<String>,
    tls_details: Option<TlsShape>,
    signed_in_by: Option<String>,
    dial_us: DialShape,
    commands: Vec<CommandShape>,
}

impl SessionOpened {
    fn what(self, protocol: Protocol) -> Result<What, String> {
        let tls = self.tls_details.map(TlsShape::details);
        if self.tls != tls.as_ref().map(super::super::shapes::tls) {
            return Err("tls and tls_details differ".to_owned());
        }
        Ok(What::Opened(Box::new(Opened {
            session: session(&self.connection, &self.session)?,
            worker: self.worker.as_deref().map(worker).transpose()?,
            began: Duration::from_micros(self.began_us),
            local_port: self.local_port,
            phases: self.dial_us.phases(),
            tls,
            label: self.label,
            signed_in_by: self.signed_in_by.as_deref().map(signed_in_by).transpose()?,
            commands: commands(protocol, self.commands)?,
        })))
    }
}

#[derive(Deserialize)]
struct SessionRefused {
    connection: String,
    session: String,
    worker: Option<String>,
    local_port: Option<u16>,
    dial_us: DialShape,
    took_us: u64,
    sign_in_attempted: bool,
    open: usize,
    dialling: usize,
    failure: FailureShape,
}

impl SessionRefused {
    fn what(self) -> Result<What, String> {
        Ok(What::OpenFailed(Box::new(OpenFailed {
            session: session(&self.connection, &self.session)?,
            worker: self.worker.as_deref().map(worker).transpose()?,
            local_port: self.local_port,
            phases: self.dial_us.phases(),
            took: Duration::from_micros(self.took_us),
            sign_in_attempted: self.sign_in_attempted,
            open: self.open,
            dialling: self.dialling,
            failure: self.failure.failure()?,
        })))
    }
}

#[derive(Deserialize)]
struct SessionClosed {
    connection: String,
    session: String,
    closed: String,
    bytes_sent: u64,
    bytes_received: u64,
    commands: Vec<CommandShape>,
    failure: Option<FailureShape>,
}

impl SessionClosed {
    fn what(self, protocol: Protocol) -> Result<What, String> {
        let how = match (&*self.closed, self.failure) {
            ("logged-out", None) => HowClosed::LoggedOut,
            ("discarded", None) => HowClosed::Discarded,
            ("no-logout", Some(failure)) => HowClosed::WithoutLogout(failure.failure()?),
            (other, failure) => {
                let with = if failure.is_some() { "with" } else { "without" };
                return Err(format!("a session does not end by {other:?} {with} a failure"));
            }
        };
        Ok(What::Closed(Box::new(Closed {
            session: session(&self.connection, &self.session)?,
            how,
            sent: self.bytes_sent,
            received: self.bytes_received,
            commands: commands(protocol, self.commands)?,
        })))
    }
}

#[derive(Deserialize)]
struct OperationShape {
    number: u64,
    worker: String,
    task: Option<String>,
    operation: String,
    mailbox: Option<String>,
    mode: String,
    had_default: bool,
    passed: Option<String>,
    reason: Option<String>,
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
    outcome: String,
    items: Option<u32>,
    failure: Option<FailureShape>,
    answered_by: Option<AnswerShape>,
    relied_on: Option<SelectionShape>,
}

#[derive(Deserialize)]
struct AnswerShape {
    mailbox: Option<Box<str>>,
    uid_validity: Option<u32>,
}

#[derive(Deserialize)]
struct SelectionShape {
    session: String,
    local_port: u16,
    commands: Vec<CommandShape>,
    uid_validity: Option<u32>,
}

impl SelectionShape {
    fn selection(self, protocol: Protocol) -> Result<Selection, String> {
        let of = self.session.split_once('.').map_or(&*self.session, |(connection, _)| connection);
        Ok(Selection {
            session: session(of, &self.session)?,
            local_port: self.local_port,
            commands: commands(protocol, self.commands)?,
            uid_validity: self.uid_validity,
        })
    }
}

impl OperationShape {
    fn what(self, header: &Header) -> Result<What, String> {
        const REASONS: [Reason; 4] = [Reason::Explicit, Reason::Main, Reason::Default, Reason::DefaultCreated];
        let outcome = match (&*self.outcome, self.items, self.failure) {
            ("ok", Some(items), None) => Ok(items),
            ("failed", None, Some(failure)) => Err(Box::new(failure.failure()?)),
            (other, ..) => return Err(format!("outcome {other:?} does not go with its items and its failure")),
        };
        let mailbox = match self.mailbox {
            None => None,
            Some(name) => {
                let at = header.mailboxes.iter().position(|known| *known == name);
                let at = at.ok_or_else(|| format!("{name:?} is none of the run's mailboxes"))?;
                Some(u16::try_from(at).map_err(|_| "too many mailboxes".to_owned())?)
            }
        };
        let name = protocol::Operation::parse(header.protocol, &self.operation).map_err(|error| error.to_string())?;
        Ok(What::Operation(Box::new(Operation {
            worker: worker(&self.worker)?,
            task: self.task.as_deref().map(task).transpose()?,
            number: self.number,
            name: name.name(),
            mailbox,
            issued_after: self.issued_after,
            issued_at: Duration::from_micros(self.issued_at_us),
            mode: named(Mode::ALL, Mode::name, &self.mode)?,
            had_default: self.had_default,
            passed: self.passed.as_deref().map(connection).transpose()?,
            reason: self.reason.as_deref().map(|name| named(REASONS, Reason::name, name)).transpose()?,
            session: match (self.connection, self.session) {
                (Some(connection), Some(name)) => Some(session(&connection, &name)?),
                (None, None) => None,
                _ => return Err("a connection without its session, or a session without its connection".to_owned()),
            },
            opened: self.opened,
            local_port: self.local_port,
            commands: commands(header.protocol, self.commands)?,
            wait: Duration::from_micros(self.wait_us),
            dial: Duration::from_micros(self.dial_us),
            service: Duration::from_micros(self.service_us),
            outcome,
            answered_by: self
                .answered_by
                .map(|answer| Answer { mailbox: answer.mailbox, uid_validity: answer.uid_validity }),
            relied_on: self.relied_on.map(|on| on.selection(header.protocol)).transpose()?.map(Box::new),
        })))
    }
}

#[derive(Deserialize)]
pub(super) struct WitnessSession {
    peer_port: u16,
    run_id: Option<String>,
    label: Option<String>,
    logged_out: bool,
    open: bool,
    commands: Vec<WitnessCommand>,
}

#[derive(Deserialize)]
struct WitnessCommand {
    tag: String,
    verb: String,
    selected: Option<String>,
    at_us: Option<u64>,
}

impl From<WitnessSession> for WitnessedSession {
    fn from(session: WitnessSession) -> Self {
        let command = |command: WitnessCommand| WitnessedCommand {
            tag: command.tag,
            verb: command.verb,
            selected: command.selected,
            at: command.at_us.map(Duration::from_micros),
        };
        Self {
            peer_port: session.peer_port,
            run_id: session.run_id,
            label: session.label,
            logged_out: session.logged_out,
            open: session.open,
            commands: session.commands.into_iter().map(command).collect(),
        }
    }
}

#[derive(Deserialize)]
struct FailureShape {
    kind: String,
    stage: String,
    message: String,
    server_line: Option<String>,
}

impl FailureShape {
    fn failure(self) -> Result<Failure, String> {
        Ok(Failure {
            kind: named(FailureKind::ALL, FailureKind::name, &self.kind)?,
            stage: named(Stage::ALL, Stage::name, &self.stage)?,
            message: self.message,
            server_line: self.server_line,
        })
    }
}

#[derive(Deserialize)]
struct DialShape {
    resolve: Option<u64>,
    connect: Option<u64>,
    tls: Option<u64>,
    greeting: Option<u64>,
    sign_in: Option<u64>,
}

impl DialShape {
    fn phases(self) -> Phases {
        let time = |us: Option<u64>| us.map(Duration::from_micros);
        Phases {
            resolve: time(self.resolve),
            connect: time(self.connect),
            tls: time(self.tls),
            greeting: time(self.greeting),
            sign_in: time(self.sign_in),
        }
    }
}

#[derive(Deserialize)]
struct TlsShape {
    version: String,
    cipher: String,
    resumed: bool,
}

impl TlsShape {
    fn details(self) -> TlsDetails {
        // A run's file says no more of it.
        TlsDetails {
            version: self.version,
            cipher: self.cipher,
            resumed: self.resumed,
            server_name: String::new(),
            verified: false,
            certificate: None,
        }
    }
}

#[derive(Deserialize)]
struct CommandShape {
    tag: String,
    verb: String,
}

fn commands(protocol: Protocol, shapes: Vec<CommandShape>) -> Result<Box<[Command]>, String> {
    let command = |shape: CommandShape| {
        let digits = if protocol == Protocol::Imap { shape.tag.strip_prefix('a') } else { Some(&*shape.tag) };
        let tag = digits.and_then(number).filter(|tag| protocol.tag(*tag) == shape.tag);
        let tag = tag.ok_or_else(|| format!("{:?} is no tag of ours", shape.tag))?;
        let verb = Verb::named(&shape.verb).ok_or_else(|| format!("{:?} is no command of ours", shape.verb))?;
        Ok(Command { tag, verb: verb.name() })
    };
    shapes.into_iter().map(command).collect()
}

/// How a session signed in: a mechanism, or the protocol's own command.
fn signed_in_by(name: &str) -> Result<&'static str, String> {
    let mechanism = name.parse::<Mechanism>().ok().map(Mechanism::name).filter(|known| *known == name);
    let own = [Verb::Login, Verb::User].into_iter().map(Verb::name).find(|known| *known == name);
    mechanism.or(own).ok_or_else(|| format!("{name:?} is no way to sign in"))
}

fn named<T: Copy>(all: impl IntoIterator<Item = T>, name: impl Fn(T) -> &'static str, said: &str) -> Result<T, String> {
    let found = all.into_iter().find(|it| name(*it) == said);
    found.ok_or_else(|| format!("{said:?} is no word that this version knows there"))
}

fn number(digits: &str) -> Option<u32> {
    digits.parse().ok()
}

/// `#3`.
fn connection(name: &str) -> Result<ConnectionId, String> {
    let id = name.strip_prefix('#').and_then(number).map(ConnectionId).filter(|id| id.to_string() == name);
    id.ok_or_else(|| format!("{name:?} is no connection's name"))
}

/// `#3`, `#3.2`.
fn session(of: &str, name: &str) -> Result<SessionId, String> {
    let (place, nth) = name.split_once('.').map_or((name, Some(1)), |(place, nth)| (place, number(nth)));
    let connection = connection(place)?;
    let id = nth.map(|number| SessionId { connection, number });
    let id = id.filter(|id| id.number > 0 && id.to_string() == name && id.connection.to_string() == of);
    id.ok_or_else(|| format!("{name:?} is no session's name, or not one of {of}"))
}

/// `w3`.
fn worker(name: &str) -> Result<WorkerId, String> {
    let id = name.strip_prefix('w').and_then(number).map(WorkerId).filter(|id| id.to_string() == name);
    id.ok_or_else(|| format!("{name:?} is no worker's name"))
}

/// `t3`.
fn task(name: &str) -> Result<TaskId, String> {
    let id = name.strip_prefix('t').and_then(number).map(TaskId).filter(|id| id.to_string() == name);
    id.ok_or_else(|| format!("{name:?} is no task's name"))
}
