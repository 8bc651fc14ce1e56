//! What happens in a run, event by event: each type is at once what happened and its line in a file.
//!
//! Names are those of the lines. Under one [`SCHEMA_VERSION`] none is renamed.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::micros::Micros;
use super::probe::Probe;
use super::stretches::{Stretches, TaskRole, WorkerRole};
use super::{OperationName, Wall, fixed};
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{Answer, Failure, Phases, Protocol, TlsDetails};

/// The version of the lines' form. Each release that adds an event or a field raises it once.
pub const SCHEMA_VERSION: u32 = 6;

/// A word out of a fixed list. (Serde would take a plain `&'static str` for text that is borrowed from the line.)
pub type Word = &'static str;

/// A worker's number: `w0`, `w1`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerId(pub u32);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("w{}", self.0))
    }
}

/// A task's number, where workers serve tasks: `t0`, `t1`, ….
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskId(pub u32);

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("t{}", self.0))
    }
}

/// Which command of its connection one is: `a12` in IMAP; SMTP and POP3 have no tags, so there their commands are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag {
    /// Grows by one from command to command, from 1.
    pub number: u32,
    /// It stands on the wire, behind an `a`.
    pub imap: bool,
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.imap { "a" } else { "" }, self.number)
    }
}

/// Who does the work of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Executor {
    /// A thread for each worker, from the run's start to its end.
    #[default]
    Threads,
    /// The threads of a pool, each of which serves one task after the other.
    Pool,
    /// Asynchronous tasks, whose operations run on threads that block in their place.
    Tasks,
}

/// What becomes of a thread's default connection when a task ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dispose {
    /// It is left to the thread.
    #[default]
    Never,
    /// The task disposes it, even by a panic.
    Task,
}

/// For how long an operation has its connection to itself (rule A7).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Lock {
    /// From its first command to its last reply: ours.
    #[default]
    Unit,
    /// For each of its commands anew, the naive way: what it selected may not be selected any more when it reads.
    Command,
}

impl Executor {
    /// The executor's name, as in flags: `threads`, `pool`, `tasks`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Threads => "threads",
            Self::Pool => "pool",
            Self::Tasks => "tasks",
        }
    }
}

impl Dispose {
    /// `never`, `task`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Never => "never",
            Self::Task => "task",
        }
    }
}

impl Lock {
    /// `unit` or `command`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unit => "unit",
            Self::Command => "command",
        }
    }
}

/// What was asked for: how a run begins.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunStart {
    /// The version of the lines' form: 6.
    pub schema_version: u32,
    /// The version of mailconn that ran.
    pub tool_version: String,
    /// Names the run in labels, logs and reports: 12 hexadecimal digits.
    pub run_id: String,
    /// When it began, to the microsecond; every event's time counts from here.
    #[serde(with = "Wall")]
    pub started: SystemTime,
    /// The server, without secrets: `sandbox` or `imaps://user@host:993`.
    pub server: String,
    /// How the sandbox was to behave, in a run on it. Files before version 4 do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxOptions>,
    /// What was spoken.
    pub protocol: Protocol,
    /// Whether the server's certificates were verified; null without TLS, where nobody shows one.
    pub certificates_verified: Option<bool>,
    /// The mode at the start.
    pub mode: Mode,
    /// How many workers there are.
    pub threads: usize,
    /// The seed of every worker's choices; null where a scenario said what to do.
    pub seed: Option<u64>,
    /// How much was asked for; null where a scenario said what to do.
    pub asked: Option<Asked>,
    /// The weights of the operations, as given: `noop=3,status=1,fetch=1`; null where a scenario said what to do.
    pub mix: Option<String>,
    /// The mailboxes operations choose from.
    pub mailboxes: Vec<Arc<str>>,
    /// The cap on connections, if one was set.
    pub max_connections: Option<usize>,
    /// For how long an operation has its connection.
    pub lock: Lock,
    /// What each worker was told to do, in the order of their numbers.
    pub workers: Stretches<WorkerRole>,
    /// Who does the work.
    pub executor: Executor,
    /// What becomes of a thread's default connection when a task ends.
    pub dispose: Dispose,
    /// What each task was told to do, in the order of their numbers; none if the workers do the work themselves.
    pub tasks: Stretches<TaskRole>,
    /// When the mode was to be set anew, ascending.
    pub switches: Vec<Switch>,
    /// A scenario said what to do, step by step: nothing was asked of the workers in advance, and they may do whatever the
    /// rules allow.
    pub scripted: bool,
    /// The server's own record is part of the stream: its events may stand between all others.
    pub witnessed: bool,
    /// The run is a probe of the server's limits, set up so: what it does is decided step by step, as by a scenario.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Probe>,
}

impl RunStart {
    /// The tag of that number, as this run's protocol has it.
    #[must_use]
    pub fn tag(&self, number: u32) -> Tag {
        Tag { number, imap: self.protocol == Protocol::Imap }
    }

    /// What that worker is called: by its name, if it has one.
    #[must_use]
    pub fn worker_name(&self, worker: WorkerId) -> impl fmt::Display + use<'_> {
        Called { name: self.workers.get(worker.0).and_then(|it| it.name.as_deref()), number: worker }
    }

    /// What that task is called: by its name, if it has one.
    #[must_use]
    pub fn task_name(&self, task: TaskId) -> impl fmt::Display + use<'_> {
        Called { name: self.tasks.get(task.0).and_then(|it| it.name.as_deref()), number: task }
    }
}

/// By its name if it has one.
struct Called<'a, T> {
    name: Option<&'a str>,
    number: T,
}

impl<T: fmt::Display> fmt::Display for Called<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name {
            Some(name) => f.pad(name),
            None => self.number.fmt(f),
        }
    }
}

/// How the sandbox was to behave.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SandboxOptions {
    /// Its limit on connections of a user.
    pub connections: Option<usize>,
    /// Its other limits, as they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<String>,
    /// Whose words it refused in, if not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// Whether a POP3 session had its maildrop to itself.
    pub locks_maildrops: bool,
    /// How late it replied.
    pub latency_us: Micros,
    /// How far away it was, as a round trip, if not on this machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rtt_us: Option<Micros>,
}

/// How a worker or a task comes by its connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Role {
    /// It creates its default connection by hand, first.
    pub creates_default: bool,
    /// It creates an independent connection and passes it with every operation.
    pub creates_independent: bool,
}

/// A change of the mode in the course of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Switch {
    /// When so many operations were issued, of all workers together: those keep their mode.
    pub after: u64,
    /// The mode of those that follow.
    pub mode: Mode,
}

/// How much was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Asked {
    /// So many operations of each worker, or of each task.
    #[serde(rename = "operations_per_worker")]
    Operations(u64),
    /// So many operations of all workers, or of all tasks, together.
    #[serde(rename = "operations_in_all")]
    InAll(u64),
    /// As many as fit.
    #[serde(rename = "duration_us")]
    Duration(Micros),
}

impl Asked {
    /// How many operations that one of so many workers or tasks is asked for; none if it is a duration.
    #[must_use]
    pub const fn of(self, number: u32, among: usize) -> Option<u64> {
        match self {
            Self::Operations(each) => Some(each),
            Self::InAll(all) => Some(share(all, number, among)),
            Self::Duration(_) => None,
        }
    }

    /// How many so many workers or tasks together are asked for; none if it is a duration.
    #[must_use]
    pub const fn of_all(self, among: usize) -> Option<u64> {
        match self {
            Self::Operations(each) => Some(each.saturating_mul(among as u64)),
            Self::InAll(all) => Some(all),
            Self::Duration(_) => None,
        }
    }
}

/// What falls to one of so many workers or tasks of what is asked of all: as much as to the others; where that does not come
/// out even, the first ones do one more.
#[must_use]
pub const fn share(all: u64, number: u32, among: usize) -> u64 {
    match among as u64 {
        0 => 0,
        among => all / among + ((number as u64) < all % among) as u64,
    }
}

/// A connection's place came into being.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionCreated {
    /// The connection.
    pub connection: ConnectionId,
    /// Default or independent.
    pub kind: Kind,
    /// Its owner (default) or creator (independent).
    pub worker: Option<WorkerId>,
    /// The task that created it.
    pub task: Option<TaskId>,
    /// By a call, not by an operation's need.
    pub by_hand: bool,
}

/// A connection's place is no more.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionDisposed {
    /// The connection.
    pub connection: ConnectionId,
    /// Who disposed it.
    pub cause: Disposal,
}

/// The mode was set.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModeChanged {
    /// Until now.
    pub from: Mode,
    /// From now on.
    pub to: Mode,
}

/// A worker's scratch mailbox may still be on the server.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct MailboxLeft {
    /// The worker.
    pub worker: WorkerId,
    /// Its name, as people write it.
    pub mailbox: String,
}

/// A worker stopped before it had done all it was asked to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkerStopped {
    /// The worker.
    pub worker: WorkerId,
    /// Operations asked of it that were not issued; 0 if it was asked for a duration.
    pub not_issued: u64,
    /// Why, if a connection of its own could not be created by hand: no operation carries that failure.
    pub failure: Option<Box<Failure>>,
}

/// A task began.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TaskStarted {
    /// The task.
    pub task: TaskId,
    /// The thread it began on; it may go on elsewhere.
    pub worker: WorkerId,
}

/// A task was to create its thread's default connection, and the thread had one already: it goes on with that.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct DefaultRefused {
    /// The task.
    pub task: TaskId,
    /// The thread.
    pub worker: WorkerId,
    /// The default connection that the thread had.
    pub existing: ConnectionId,
    /// The rule that refuses it.
    pub rule: DefaultRule,
}

/// The rule that refuses a second default connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DefaultRule {
    /// One for each thread.
    C3,
}

/// A task ended before it had done all it was asked to, or was never begun.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TaskStopped {
    /// The task.
    pub task: TaskId,
    /// Operations asked of it that were not issued.
    pub not_issued: u64,
    /// Why, if no operation carries that failure: a connection of its own could not be created, or it panicked.
    pub failure: Option<Box<Failure>>,
}

/// A task ended, and has nothing left to give back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct TaskEnded {
    /// The task.
    pub task: TaskId,
    /// The thread that it had to itself from its beginning; none if it went from thread to thread.
    pub worker: Option<WorkerId>,
    /// How many operations it wrote down; none where nobody counts, in a scenario.
    pub operations: Option<u64>,
    /// Its scratch mailbox may still be on the server.
    pub left_mailbox: bool,
}

/// A worker that did the work itself ended, and has nothing left to give back.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WorkerEnded {
    /// The worker.
    pub worker: WorkerId,
    /// How many operations it wrote down.
    pub operations: u64,
    /// Operations that were issued and not begun, as the time ran out while they stood in line: 1 at most.
    pub not_begun: u64,
    /// What they had waited by then.
    pub not_begun_wait_us: Micros,
    /// Its scratch mailbox may still be on the server.
    pub left_mailbox: bool,
}

/// What each phase of a dial took; none for a phase that it did not come to, or does not have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Dial {
    /// Turning the name into addresses.
    pub resolve: Option<Micros>,
    /// Opening the TCP connection.
    pub connect: Option<Micros>,
    /// The TLS handshake; with STARTTLS from the command on.
    pub tls: Option<Micros>,
    /// Waiting for the server's first line.
    pub greeting: Option<Micros>,
    /// From asking what the server can do to being signed in, without the wait for earlier sign-ins (rule B6).
    pub sign_in: Option<Micros>,
}

impl From<&Phases> for Dial {
    fn from(phases: &Phases) -> Self {
        let Phases { resolve, connect, tls, greeting, sign_in } = *phases;
        let [resolve, connect, tls, greeting, sign_in] =
            [resolve, connect, tls, greeting, sign_in].map(|time| time.map(Micros::from));
        Self { resolve, connect, tls, greeting, sign_in }
    }
}

/// What TLS agreed on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TlsAgreed {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// Whether an earlier session was taken up again, without a certificate exchange.
    pub resumed: bool,
}

impl From<&TlsDetails> for TlsAgreed {
    fn from(tls: &TlsDetails) -> Self {
        Self { version: tls.version.clone(), cipher: tls.cipher.clone(), resumed: tls.resumed }
    }
}

/// In one line: `TLSv1.3, TLS13_AES_256_GCM_SHA384`.
impl fmt::Display for TlsAgreed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.version, self.cipher)
    }
}

/// A session was opened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionOpened {
    /// The session's place.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionId,
    /// Whose operation or creation needed it.
    pub worker: Option<WorkerId>,
    /// When its dial began, since the start.
    pub began_us: Micros,
    /// The client's port: what the server's record knows the session by.
    pub local_port: u16,
    /// The label that the server accepted, if it takes one.
    pub label: Option<String>,
    /// What TLS agreed on; none without TLS.
    pub tls: Option<TlsAgreed>,
    /// How it signed in: a SASL mechanism's name, or the protocol's own command; none where nobody had to.
    #[serde(deserialize_with = "fixed::or_null::signed_in_by")]
    pub signed_in_by: Option<Word>,
    /// When it was signed in, since the start: from then on the server counts it.
    pub signed_in_us: Micros,
    /// What each phase of the dial took.
    pub dial_us: Dial,
    /// The commands that were sent to set it up.
    pub commands: Box<[Command]>,
}

/// A session could not be opened.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionRefused {
    /// The session's place.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionId,
    /// Whose operation or creation needed it.
    pub worker: Option<WorkerId>,
    /// The client's port, if it came to have one.
    pub local_port: Option<u16>,
    /// What each phase took that was completed.
    pub dial_us: Dial,
    /// What it took in all, the phase that failed included.
    pub took_us: Micros,
    /// Whether credentials were sent.
    pub sign_in_attempted: bool,
    /// Connections of this client that were open then.
    pub open: usize,
    /// Other dials of this client that were under way then: a server counts those that it has answered.
    pub dialling: usize,
    /// When the failure was known, since the start: what is recorded later is its goodbye.
    pub failed_us: Micros,
    /// Why.
    pub failure: Failure,
}

/// A session ended.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct SessionClosed {
    /// The session's place.
    pub connection: ConnectionId,
    /// The session.
    pub session: SessionId,
    /// How it ended.
    pub closed: HowClosed,
    /// Bytes the client sent over its life, below the protocol and above TLS.
    pub bytes_sent: u64,
    /// Bytes it received.
    pub bytes_received: u64,
    /// The commands that ended it: LOGOUT or QUIT, if it was sent.
    pub commands: Box<[Command]>,
    /// How many commands it carried in all: the last one's tag.
    pub carried: u32,
    /// Why it did not end as it should; there exactly if `closed` is `no-logout` or `hung-up`.
    pub failure: Option<Failure>,
}

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HowClosed {
    /// LOGOUT or QUIT, and the server's goodbye.
    LoggedOut,
    /// Healthy, but the goodbye did not succeed: it was said, and answered otherwise or not at all, or could not be said.
    NoLogout,
    /// The server had ended it while nobody used it, so that no goodbye was said.
    HungUp,
    /// Broken, and dropped without a word.
    Discarded,
}

impl HowClosed {
    /// `logged-out`, `no-logout`, `hung-up`, `discarded`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged-out",
            Self::NoLogout => "no-logout",
            Self::HungUp => "hung-up",
            Self::Discarded => "discarded",
        }
    }
}

impl SessionClosed {
    /// Whether LOGOUT or QUIT left for the server, whatever came of it.
    #[must_use]
    pub fn said_goodbye(&self) -> bool {
        self.commands.iter().any(|command| ["LOGOUT", "QUIT"].contains(&command.verb))
    }
}

/// One operation, from its request for a connection to its last reply.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Operation {
    /// Its number among the run's operations, in the order of their ends, from 1.
    pub number: u64,
    /// The thread that issued it.
    pub worker: WorkerId,
    /// The task it belongs to, where workers serve tasks.
    pub task: Option<TaskId>,
    /// Its protocol's word for it: `noop`, `fetch`, `send`, ….
    #[serde(rename = "operation", deserialize_with = "fixed::operation")]
    #[schemars(with = "OperationName")]
    pub name: Word,
    /// The mailbox it works on, one of the run's; none if it needs no mailbox.
    pub mailbox: Option<Arc<str>>,
    /// Input of the rule: the mode.
    pub mode: Mode,
    /// Input of the rule: had this worker's thread a default connection?
    pub had_default: bool,
    /// Input of the rule: the connection passed.
    pub passed: Option<ConnectionId>,
    /// The allocator's answer.
    pub reason: Option<Reason>,
    /// The connection that the allocator gave it.
    pub connection: Option<ConnectionId>,
    /// The session of that connection.
    pub session: Option<SessionId>,
    /// Whether it had to open that session first.
    pub opened: bool,
    /// The socket that carried its bytes: its local port; none if none did.
    pub local_port: Option<u16>,
    /// The commands that the socket carried for it, in order.
    pub commands: Box<[Command]>,
    /// The one of them that the server refused or left unanswered, if it failed so: what follows it tidies up.
    #[serde(deserialize_with = "fixed::or_null::verb")]
    pub failed_command: Option<Word>,
    /// How many events there were when it was issued: what it could know of.
    pub issued_after: u64,
    /// When it was issued, since the start.
    pub issued_at_us: Micros,
    /// What it stood in line for its connection.
    pub wait_us: Micros,
    /// What the dial took, if it had to open its session.
    pub dial_us: Micros,
    /// From its first command to its last reply.
    pub service_us: Micros,
    /// What came of it.
    pub outcome: Outcome,
    /// How many items the server named; there exactly if it succeeded.
    pub items: Option<u32>,
    /// Why it failed; there exactly if it did.
    pub failure: Option<Box<Failure>>,
    /// What its reply proves of the mailbox that it came from; none if it read no messages.
    pub answered_by: Option<Answer>,
    /// The selection that it relied on, if it was made while the operation did not have the connection to itself: before
    /// it, or in an earlier lease of its own (`"lock": "command"`). None if it selects for itself, as one unit.
    pub relied_on: Option<Box<Selection>>,
}

/// What came of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It succeeded.
    Ok,
    /// It failed.
    Failed,
}

/// A mailbox's selection on a session, as whoever made it knew it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Selection {
    /// On which session.
    pub session: SessionId,
    /// The socket that carried it: its local port.
    pub local_port: u16,
    /// The commands that made it, if they are this operation's own; no other operation has them.
    pub commands: Box<[Command]>,
    /// The UIDVALIDITY of the mailbox that was selected.
    pub uid_validity: Option<u32>,
}

/// A command as the socket carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// Its tag.
    pub tag: Tag,
    /// `NOOP`, `FETCH`, ….
    #[serde(deserialize_with = "fixed::verb")]
    pub verb: Word,
}

/// What an operation leaves selected on the session that it ran on (rule A7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Its own mailbox.
    Selected(Arc<str>),
    /// No mailbox: one that cannot be selected takes the one before with it (RFC 3501 §6.3.1).
    Nothing,
    /// What was selected before: it selected none, or the session broke before it had.
    Before,
}

impl Operation {
    /// What it came to: how many items the server named, or why it failed.
    ///
    /// # Errors
    /// Its failure.
    pub fn result(&self) -> Result<u32, &Failure> {
        self.failure.as_deref().map_or_else(|| Ok(self.items.unwrap_or_default()), Err)
    }

    /// Whether it succeeded.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        self.failure.is_none()
    }

    /// It came to this.
    pub fn came_to(&mut self, result: Result<u32, Failure>) {
        (self.outcome, self.items, self.failure) = match result {
            Ok(items) => (Outcome::Ok, Some(items), None),
            Err(failure) => (Outcome::Failed, None, Some(Box::new(failure))),
        };
    }

    /// From when to when it had the connection that served it, as far as its times tell.
    #[must_use]
    pub fn in_use(&self) -> (Micros, Micros) {
        let began = self.issued_at_us + self.wait_us + self.dial_us;
        (began, began + self.service_us)
    }

    /// What it leaves selected where it ran.
    #[must_use]
    pub fn leaves(&self) -> Leaves {
        let [first, rest @ ..] = &*self.commands else { return Leaves::Before };
        let Some(mailbox) = self.mailbox.clone().filter(|_| first.verb == "EXAMINE") else { return Leaves::Before };
        match self.result() {
            Ok(_) => Leaves::Selected(mailbox),
            // It came to read, so it had selected.
            Err(_) if !rest.is_empty() => Leaves::Selected(mailbox),
            Err(failure) if failure.ends_its_connection() => Leaves::Before,
            Err(_) => Leaves::Nothing,
        }
    }
}

/// Commands that the server read on one session, in order; what one line has no room for stands in the next.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WitnessCommands {
    /// The client's port, as the server saw it: the session that is open on it.
    pub peer_port: u16,
    /// What it read.
    pub commands: Vec<WitnessedCommand>,
}

/// A command as the server recorded it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WitnessedCommand {
    /// Its tag, as sent; of SMTP and POP3 its number on the connection.
    pub tag: String,
    /// `NOOP`, `FETCH`, ….
    pub verb: Cow<'static, str>,
    /// The mailbox that was selected when it ran.
    pub selected: Option<Arc<str>>,
    /// When the server had read it, since the start of the run, where both sides share a clock.
    pub at_us: Option<Micros>,
}

/// A session is over to the server, or the record was taken while it was open.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct WitnessSession {
    /// The client's port, as the server saw it.
    pub peer_port: u16,
    /// The label that the client sent: its run.
    pub run_id: Option<String>,
    /// The label that the client sent: its session.
    pub label: Option<String>,
    /// Whether the client said LOGOUT or QUIT.
    pub logged_out: bool,
    /// Whether it was still open when the record was taken.
    pub open: bool,
    /// How many commands it read in all.
    pub commands: u64,
}
