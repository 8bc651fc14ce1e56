//! What happened in a run, as plain data: a header, then one numbered entry after the other.
//!
//! Everything that is said about a run, by a report or by the verdict, is said from this alone.

use std::fmt;
use std::time::{Duration, SystemTime};

use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::event::share;
pub use crate::event::{Dispose, Executor, Lock, Role, Switch, TaskId, WorkerId};
use crate::protocol::{Answer, Failure, FailureKind, Phases, Protocol, TlsDetails};

/// One run, whole.
#[derive(Clone, Debug)]
pub struct Run {
    /// What was asked for.
    pub header: Header,
    /// What happened, in order: entry `n` has `seq` n.
    pub entries: Vec<Entry>,
    /// How it ended.
    pub end: End,
    /// The server's own record, where it can be had.
    pub witness: Option<Vec<WitnessedSession>>,
}

/// What was asked for.
#[derive(Clone, Debug)]
pub struct Header {
    /// Names the run in labels, logs and reports: 12 hexadecimal digits.
    pub run_id: String,
    /// The version of mailconn that ran.
    pub tool_version: String,
    /// When it began; every entry's time counts from here.
    pub started: SystemTime,
    /// The server, without secrets: `sandbox` or `imaps://user@host:993`.
    pub server: String,
    /// What was spoken.
    pub protocol: Protocol,
    /// The server is spoken to under TLS: without it there is no certificate to verify.
    pub tls: bool,
    /// Certificates were not verified, as was asked for.
    pub insecure: bool,
    /// The mode at the start.
    pub mode: Mode,
    /// When it was to be set anew, ascending.
    pub switches: Vec<Switch>,
    /// What each worker was told to do; their number is the number of threads.
    pub workers: Vec<Role>,
    /// Who does the work.
    pub executor: Executor,
    /// What each task was told to do; none if the workers do the work themselves.
    pub tasks: Vec<Role>,
    /// What becomes of a thread's default connection when a task ends.
    pub dispose: Dispose,
    /// How much was asked for.
    pub asked: Asked,
    /// The weights of the operations, as given: `noop=3,status=1,fetch=1`.
    pub mix: String,
    /// The mailboxes operations choose from.
    pub mailboxes: Vec<String>,
    /// The seed of every worker's choices.
    pub seed: u64,
    /// The cap on connections, if one was set.
    pub max_connections: Option<usize>,
    /// For how long an operation has its connection.
    pub lock: Lock,
    /// What workers and tasks are called, where somebody named them.
    pub names: Names,
    /// A scenario said what to do, step by step: nothing was asked of the workers in advance, and they may do whatever the
    /// rules allow.
    pub scripted: bool,
}

/// What workers and tasks are called, each list in the order of their numbers; empty where they go by these: `w0`, `t0`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The workers.
    pub workers: Vec<String>,
    /// The tasks.
    pub tasks: Vec<String>,
}

impl Names {
    /// What that worker is called.
    #[must_use]
    pub fn worker(&self, worker: WorkerId) -> impl fmt::Display {
        Called { name: self.workers.get(worker.0 as usize).map(String::as_str), number: worker }
    }

    /// What that task is called.
    #[must_use]
    pub fn task(&self, task: TaskId) -> impl fmt::Display {
        Called { name: self.tasks.get(task.0 as usize).map(String::as_str), number: task }
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

/// How much was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// So many operations of each worker, or of each task.
    Operations(u64),
    /// So many operations of all workers, or of all tasks, together: see [`share`].
    InAll(u64),
    /// As many as fit.
    Duration(Duration),
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

/// How a run ended.
#[derive(Clone, Debug, Default)]
pub struct End {
    /// From the start to the close of the last connection.
    pub elapsed: Duration,
    /// The signal that ended it early: 2 (SIGINT) or 15 (SIGTERM).
    pub interrupted: Option<i32>,
    /// Connections still open when all was over.
    pub still_open: usize,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Entry {
    /// 0, 1, 2, …: the order in which things happened; what a thread did itself is in its own order.
    pub seq: u64,
    /// When, since the start (monotonic).
    pub at: Duration,
    /// What.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum What {
    /// A connection's place came into being.
    Created {
        /// The connection.
        connection: ConnectionId,
        /// Default or independent.
        kind: Kind,
        /// Its owner (default) or creator (independent).
        worker: Option<WorkerId>,
        /// The task that created it.
        task: Option<TaskId>,
        /// By a call, not by an operation's need.
        by_hand: bool,
    },
    /// A session was opened.
    Opened(Box<Opened>),
    /// A session could not be opened.
    OpenFailed(Box<OpenFailed>),
    /// A session ended.
    Closed(Box<Closed>),
    /// A connection's place is no more.
    Disposed {
        /// The connection.
        connection: ConnectionId,
        /// Who disposed it.
        cause: Disposal,
    },
    /// The mode was set.
    ModeChanged {
        /// Until now.
        from: Mode,
        /// From now on.
        to: Mode,
    },
    /// An operation ended.
    Operation(Box<Operation>),
    /// A worker's scratch mailbox may still be on the server.
    LeftMailbox {
        /// The worker.
        worker: WorkerId,
        /// Its name, as people write it.
        mailbox: String,
    },
    /// A worker stopped before it had done all it was asked to.
    Stopped {
        /// The worker.
        worker: WorkerId,
        /// Operations asked of it that were not issued; 0 if it was asked for a duration.
        not_issued: u64,
        /// Why, if a connection of its own could not be created by hand: no operation carries that failure.
        failure: Option<Box<Failure>>,
    },
    /// A task began.
    TaskStarted {
        /// The task.
        task: TaskId,
        /// The thread it began on; it may go on elsewhere.
        worker: WorkerId,
    },
    /// A task was to create its thread's default connection, and the thread had one already (C3): it goes on with that.
    DefaultRefused {
        /// The task.
        task: TaskId,
        /// The thread.
        worker: WorkerId,
        /// The default connection that the thread had.
        existing: ConnectionId,
    },
    /// A task ended before it had done all it was asked to, or was never begun.
    TaskStopped {
        /// The task.
        task: TaskId,
        /// Operations asked of it that were not issued.
        not_issued: u64,
        /// Why, if no operation carries that failure: a connection of its own could not be created, or it panicked.
        failure: Option<Box<Failure>>,
    },
    /// A task ended, and has nothing left to give back.
    TaskEnded {
        /// The task.
        task: TaskId,
        /// The thread that it had to itself from its beginning; none if it went from thread to thread.
        worker: Option<WorkerId>,
        /// How many operations it wrote down; none where nobody counts, in a scenario.
        operations: Option<u64>,
        /// Its scratch mailbox may still be on the server.
        left_mailbox: bool,
    },
    /// A worker that did the work itself ended, and has nothing left to give back.
    WorkerEnded {
        /// The worker.
        worker: WorkerId,
        /// How many operations it wrote down.
        operations: u64,
        /// Operations that were issued and not begun, as the time ran out while they stood in line: 1 at most.
        not_begun: u64,
        /// What they had waited by then.
        not_begun_wait: Duration,
        /// Its scratch mailbox may still be on the server.
        left_mailbox: bool,
    },
}

/// A session that was opened.
#[derive(Clone, Debug)]
pub struct Opened {
    /// The session.
    pub session: SessionId,
    /// Whose operation or creation needed it.
    pub worker: Option<WorkerId>,
    /// When its dial began, since the start.
    pub began: Duration,
    /// The client's port: what the server's record knows the session by.
    pub local_port: u16,
    /// What each phase of the dial took.
    pub phases: Phases,
    /// What TLS agreed on; none without TLS.
    pub tls: Option<TlsDetails>,
    /// The label that the server accepted, if it takes one.
    pub label: Option<String>,
    /// How it signed in: a SASL mechanism's name, or the protocol's own command; none where nobody had to.
    pub signed_in_by: Option<&'static str>,
    /// When it was signed in, since the start: from then on the server counts it.
    pub signed_in: Duration,
    /// The commands that were sent to set it up.
    pub commands: Box<[Command]>,
}

/// A session that could not be opened.
#[derive(Clone, Debug)]
pub struct OpenFailed {
    /// The session.
    pub session: SessionId,
    /// Whose operation or creation needed it.
    pub worker: Option<WorkerId>,
    /// The client's port, if it came to have one.
    pub local_port: Option<u16>,
    /// What each phase took that was completed.
    pub phases: Phases,
    /// What it took in all, the phase that failed included.
    pub took: Duration,
    /// Whether credentials were sent.
    pub sign_in_attempted: bool,
    /// Connections of this client that were open then.
    pub open: usize,
    /// Other dials of this client that were under way then: a server counts those that it has answered.
    pub dialling: usize,
    /// When the failure was known, since the start: what is recorded later is its goodbye.
    pub failed: Duration,
    /// Why.
    pub failure: Failure,
}

/// A session's end.
#[derive(Clone, Debug)]
pub struct Closed {
    /// The session.
    pub session: SessionId,
    /// How it ended.
    pub how: HowClosed,
    /// Bytes the client sent over its life, below the protocol and above TLS.
    pub sent: u64,
    /// Bytes it received.
    pub received: u64,
    /// The commands that ended it: LOGOUT or QUIT, if it was sent.
    pub commands: Box<[Command]>,
    /// How many commands it carried in all: the last one's tag.
    pub carried: u32,
}

/// How a session ended.
#[derive(Clone, Debug)]
pub enum HowClosed {
    /// LOGOUT or QUIT, and the server's goodbye.
    LoggedOut,
    /// Healthy, but the goodbye did not succeed: it was said, and answered otherwise or not at all, or could not be said.
    WithoutLogout(Failure),
    /// The server had ended it while nobody used it, so that no goodbye was said.
    HungUp(Failure),
    /// Broken, and dropped without a word.
    Discarded,
}

impl HowClosed {
    /// Why it did not end as it should, where that is known.
    #[must_use]
    pub const fn failure(&self) -> Option<&Failure> {
        match self {
            Self::WithoutLogout(failure) | Self::HungUp(failure) => Some(failure),
            Self::LoggedOut | Self::Discarded => None,
        }
    }
}

/// One operation, from its request for a connection to its last reply.
#[derive(Clone, Debug)]
pub struct Operation {
    /// The thread that issued it.
    pub worker: WorkerId,
    /// The task it belongs to, where workers serve tasks.
    pub task: Option<TaskId>,
    /// Its number among the run's operations, in the order of their ends, from 1.
    pub number: u64,
    /// Its protocol's word for it: `noop`, `fetch`, `send`, ….
    pub name: &'static str,
    /// The mailbox it works on, an index into the header's; none if it needs no mailbox.
    pub mailbox: Option<u16>,
    /// How many entries there were when it was issued: what it could know of.
    pub issued_after: u64,
    /// When it was issued, since the start.
    pub issued_at: Duration,
    /// Input of the rule: the mode.
    pub mode: Mode,
    /// Input of the rule: had this worker's thread a default connection?
    pub had_default: bool,
    /// Input of the rule: the connection passed.
    pub passed: Option<ConnectionId>,
    /// The allocator's answer.
    pub reason: Option<Reason>,
    /// The session that the allocator gave it.
    pub session: Option<SessionId>,
    /// Whether it had to open that session first.
    pub opened: bool,
    /// The socket that carried its bytes: its local port; none if none did.
    pub local_port: Option<u16>,
    /// The commands that the socket carried for it, in order.
    pub commands: Box<[Command]>,
    /// The one of them that the server refused or left unanswered, if it failed so: what follows it tidies up.
    pub failed_command: Option<&'static str>,
    /// What it stood in line for its connection.
    pub wait: Duration,
    /// What the dial took, if it had to open its session.
    pub dial: Duration,
    /// From its first command to its last reply.
    pub service: Duration,
    /// What came of it: how many items the server named, or why it failed.
    pub outcome: Result<u32, Box<Failure>>,
    /// What its reply proves of the mailbox that it came from; none if it read no messages.
    pub answered_by: Option<Answer>,
    /// The selection that it relied on, if it was made while the operation did not have the connection to itself: before
    /// it, or in an earlier lease of its own ([`Lock::Command`]). None if it selects for itself, as one unit.
    pub relied_on: Option<Box<Selection>>,
}

/// A mailbox's selection on a session, as whoever made it knew it.
#[derive(Clone, Debug, PartialEq, Eq)]
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

/// What an operation leaves selected on the session that it ran on (rule A7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaves {
    /// Its own mailbox, an index into the header's.
    Selected(u16),
    /// No mailbox: one that cannot be selected takes the one before with it (RFC 3501 §6.3.1).
    Nothing,
    /// What was selected before: it selected none, or the session broke before it had.
    Before,
}

impl Header {
    /// Whether the server's certificates were verified; none where there is no TLS, so that nobody showed one.
    #[must_use]
    pub fn certificates_verified(&self) -> Option<bool> {
        self.tls.then_some(!self.insecure)
    }
}

impl Operation {
    /// What it leaves selected where it ran.
    #[must_use]
    pub fn leaves(&self) -> Leaves {
        use FailureKind::{Closed, Disposed, Internal, Protocol, ServerBye, Timeout};
        let [first, rest @ ..] = &*self.commands else { return Leaves::Before };
        let Some(mailbox) = self.mailbox.filter(|_| first.verb == "EXAMINE") else { return Leaves::Before };
        match &self.outcome {
            Ok(_) => Leaves::Selected(mailbox),
            // It came to read, so it had selected.
            Err(_) if !rest.is_empty() => Leaves::Selected(mailbox),
            Err(failure) => match failure.kind {
                Closed | Disposed | Internal | Protocol | ServerBye | Timeout => Leaves::Before,
                _ => Leaves::Nothing,
            },
        }
    }
}

/// A command as the socket carried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// Its tag's number: 12 for `a12`. SMTP and POP3 have no tags: there it counts the connection's commands.
    pub tag: u32,
    /// `NOOP`, `FETCH`, ….
    pub verb: &'static str,
}

/// A session as the server recorded it.
#[derive(Clone, Debug)]
pub struct WitnessedSession {
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
    /// Every command, in order.
    pub commands: Vec<WitnessedCommand>,
}

/// A command as the server recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessedCommand {
    /// Its tag, as sent; of SMTP and POP3 its number on the connection.
    pub tag: String,
    /// `NOOP`, `FETCH`, ….
    pub verb: String,
    /// The mailbox that was selected when it ran.
    pub selected: Option<String>,
    /// When the server had read it, since the start of the run, where both sides share a clock.
    pub at: Option<Duration>,
}

impl Run {
    /// The operations, in the order of their ends.
    pub fn operations(&self) -> impl Iterator<Item = (&Entry, &Operation)> {
        self.entries.iter().filter_map(|entry| match &entry.what {
            What::Operation(operation) => Some((entry, &**operation)),
            _ => None,
        })
    }
}
