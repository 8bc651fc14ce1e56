//! A scenario that was read: its names are numbers, its lines are steps, and whatever can be wrong in a text was not.

use std::sync::Arc;
use std::time::Duration;

use super::faults::{ServerFault, SessionFault};
use crate::allocator::Mode;
use crate::event::Expectation;
use crate::protocol::{Operation, Protocol};

/// A scenario, read and checked; see [`grammar`](super::grammar).
#[derive(Clone, Debug)]
pub struct Script {
    pub(super) name: String,
    pub(super) protocol: Protocol,
    /// Threads by their names, pools' among them (`P.1`).
    pub(super) threads: Vec<String>,
    pub(super) clients: Vec<ClientPlan>,
    /// The names of independent connections, one for each `create`.
    pub(super) connections: Vec<String>,
    /// Which client creates each of them.
    pub(super) owners: Vec<usize>,
    pub(super) mailboxes: Vec<Arc<str>>,
    /// Tasks by their names; those of a single line are called after their pool and line: `P:8`.
    pub(super) tasks: Vec<String>,
    pub(super) steps: Vec<Step>,
    /// The first line that only the sandbox can serve.
    pub(super) needs_sandbox: Option<usize>,
    pub(super) writes: bool,
    /// The users that clients sign in as, with the lines that say so.
    pub(super) users: Vec<(usize, String)>,
}

/// A client as it is to be made.
#[derive(Clone, Debug)]
pub(super) struct ClientPlan {
    pub(super) name: String,
    pub(super) mode: Mode,
    pub(super) max_connections: Option<usize>,
    pub(super) wait_timeout: Option<Duration>,
    pub(super) operation_timeout: Option<Duration>,
    pub(super) connect_timeout: Option<Duration>,
    pub(super) wrong_password: bool,
    /// Whom it signs in as, if not as the server's usual user.
    pub(super) user: Option<String>,
}

/// One line.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) line: usize,
    /// As it was written, without its comment.
    pub(super) text: String,
    pub(super) kind: StepKind,
}

/// What a line does.
#[derive(Clone, Debug)]
pub(super) enum StepKind {
    /// It only names something; this is what to say of it.
    Named(String),
    MakeClient(usize),
    Thread(ThreadStep),
    /// The thread does it while the scenario goes on.
    Begin(ThreadStep),
    /// Waits for what that thread began.
    Finish {
        thread: usize,
        expected: Option<Expected>,
    },
    Parallel(Vec<Step>),
    SetMode {
        clients: Vec<usize>,
        mode: Mode,
    },
    Exit {
        thread: usize,
    },
    Close {
        client: usize,
    },
    /// The scenario lets go of it: threads that use it are its last holders.
    Drop {
        client: usize,
    },
    Pause(Duration),
    Fault(Fault),
    /// Its independent connections are known when it is reached.
    Expect(Expectation),
}

/// What one thread does in one step.
#[derive(Clone, Debug)]
pub(super) struct ThreadStep {
    pub(super) thread: usize,
    /// The task that does it, on a pool's thread.
    pub(super) task: Option<u32>,
    /// The task is over afterwards, or on another thread: this one lets go of the handles and leases it keeps.
    pub(super) lets_go: bool,
    /// The task is over afterwards.
    pub(super) ends: bool,
    pub(super) actions: Vec<Action>,
    pub(super) expected: Option<Expected>,
}

#[derive(Clone, Debug)]
pub(super) struct Action {
    pub(super) client: usize,
    pub(super) kind: ActionKind,
}

/// What a thread can be told to do. Connections and mailboxes are indices into the script's.
#[derive(Clone, Debug)]
pub(super) enum ActionKind {
    Create(usize),
    CreateDefault(Option<String>),
    /// The named default, or every one that this thread holds.
    Leave(Option<String>),
    Dispose(usize),
    /// The handle of a default, by its name.
    DisposeHandle(String),
    DisposeDefault,
    Unit {
        unit: Unit,
        via: Option<usize>,
        /// Its connection is kept.
        hold: bool,
    },
    /// Asks which connection a unit would use, and uses none.
    Would {
        via: Option<usize>,
    },
    Release,
    SetMode(Mode),
    Pause(Duration),
    /// From here to the end of the line; first in it.
    Scope,
    Panic,
}

/// What is done on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// A whole unit of the protocol.
    Whole(Operation, Option<u16>),
    /// IMAP: selects a mailbox, and no more.
    Select(u16),
    /// IMAP: fetches from whatever is selected.
    FetchSelected,
}

/// What should come of a thread's step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expected {
    /// As it was written.
    pub(super) text: String,
    pub(super) expectation: Expectation,
}

/// What the server is told to do.
#[derive(Clone, Debug)]
pub(super) enum Fault {
    Session(Target, SessionFault),
    Server(ServerFault),
}

/// Whose open session.
#[derive(Clone, Debug)]
pub(super) struct Target {
    pub(super) client: usize,
    pub(super) which: Which,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Which {
    Main,
    Connection(usize),
    DefaultOf(usize),
}

impl Script {
    /// The client's name, where there are several: their connections have the same numbers.
    pub(super) fn whose(&self, client: usize) -> Option<String> {
        let several = self.clients.len() > 1;
        self.clients.get(client).filter(|_| several).map(|plan| plan.name.clone())
    }

    /// The same as the beginning of a phrase: `A `.
    pub(super) fn of(&self, client: usize) -> String {
        self.whose(client).map_or_else(String::new, |name| format!("{name} "))
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The first line that needs the sandbox, since it asks the server for a fault.
    #[must_use]
    pub const fn needs_sandbox(&self) -> Option<usize> {
        self.needs_sandbox
    }

    /// The users that its clients ask for, each with the line that does: a real server's URL names one alone.
    pub fn users(&self) -> impl Iterator<Item = (usize, &str)> {
        self.users.iter().map(|(line, user)| (*line, user.as_str()))
    }

    /// The protocol that it is performed by.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Whether it leaves something on the server.
    #[must_use]
    pub const fn writes(&self) -> bool {
        self.writes
    }

    /// The most connections that can be open at once: no step opens more than one.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.connections.len() + (self.threads.len() + 1) * self.clients.len()
    }
}

impl ActionKind {
    /// Whether it asks the client itself, not a handle of one of its connections.
    pub(super) const fn asks_the_client(&self) -> bool {
        use ActionKind::{Create, CreateDefault, DisposeDefault, Scope, SetMode, Unit, Would};
        matches!(self, Create(_) | CreateDefault(_) | DisposeDefault | Unit { .. } | Would { .. } | SetMode(_) | Scope)
    }

    /// Whether something comes of it that can be expected.
    pub(super) const fn has_result(&self) -> bool {
        !matches!(self, Self::Leave(_) | Self::Release | Self::SetMode(_) | Self::Pause(_) | Self::Scope)
    }

    /// The word for it.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::CreateDefault(_) => "create-default",
            Self::Leave(_) => "leave",
            Self::Dispose(_) | Self::DisposeHandle(_) => "dispose",
            Self::DisposeDefault => "dispose-default",
            Self::Unit { hold: true, .. } => "hold",
            Self::Unit { unit, .. } => unit.name(),
            Self::Would { .. } => "would",
            Self::Release => "release",
            Self::SetMode(_) => "mode",
            Self::Pause(_) => "pause",
            Self::Scope => "scope",
            Self::Panic => "panic",
        }
    }
}
