//! The lines of a scenario that are its own: its start, each step, its end. Its clients' runs stand between, each a stream of
//! its own under the client's name.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::end::{Agreement, Finding, Policy};
use super::micros::Micros;
use super::model::Word;
use super::{fixed, wall};
use crate::allocator::{ConnectionId, Reason, SessionId};
use crate::protocol::{Failure, Protocol};

/// A scenario begins.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ScenarioStart {
    /// [`SCHEMA_VERSION`](super::SCHEMA_VERSION) of the version that performed it.
    pub schema_version: u32,
    /// The version of mailconn that performed it.
    pub tool_version: String,
    /// When it began, to the microsecond; every event's time counts from here.
    #[serde(with = "wall")]
    pub started: SystemTime,
    /// What it is called.
    pub name: String,
    /// The server, without secrets.
    pub server: String,
    /// What was spoken.
    pub protocol: Protocol,
}

/// A step was done. Those that speak of findings are judged at the end.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Its line in the scenario, from 1.
    pub line: usize,
    /// As it was written, without its comment.
    pub text: String,
    /// The thread that did it, as the scenario names it; of a pool `P.2`.
    pub thread: Option<String>,
    /// The task that did it there, on a pool, as the scenario names it; one without a name after its line: `P:8`.
    pub task: Option<String>,
    /// How long it took.
    pub took_us: Micros,
    /// Whether what was expected happened.
    pub held: bool,
    /// What was expected of it, as written, or understood where nothing was written; none if nothing is.
    pub expected: Option<String>,
    /// What happened instead; there exactly if it did not hold.
    pub happened: Option<String>,
    /// What it did, action by action.
    pub did: Vec<Action>,
}

/// What one action did.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Action {
    /// With whose connections, where there are several clients.
    pub client: Option<String>,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What one action did: `ran`, `would`, `created`, `disposed`, `nothing`, `refused`, `failed`, `panics`, `noted`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Did {
    /// An operation ran on a connection.
    Ran {
        /// Its protocol's word for it; `select` and `fetch-selected` are IMAP's halves of one.
        #[serde(deserialize_with = "fixed::operation")]
        operation: Word,
        /// Where it ran.
        connection: ConnectionId,
        /// On which session of it.
        session: SessionId,
        /// The name that the scenario gives that connection.
        name: Option<String>,
        /// Why there.
        reason: Reason,
        /// The mailbox that answered: the one that the session has selected.
        from: Option<String>,
        /// How many items the server named; there exactly if it succeeded.
        items: Option<u32>,
        /// Why it failed; there exactly if it did.
        failure: Option<Failure>,
    },
    /// It would use that connection: nothing was used.
    Would {
        /// The rule's answer.
        reason: Reason,
        /// The connection that would be passed.
        connection: Option<ConnectionId>,
        /// The name that the scenario gives it.
        name: Option<String>,
    },
    /// A connection was created by hand.
    Created {
        /// The connection.
        connection: ConnectionId,
        /// The name that the scenario gives it.
        name: Option<String>,
    },
    /// A connection was disposed.
    Disposed {
        /// The connection.
        connection: ConnectionId,
    },
    /// There was nothing to dispose, or to leave.
    Nothing,
    /// The rules refused it.
    Refused {
        /// The rule's number.
        rule: String,
        /// The rule and the cure.
        message: String,
    },
    /// It came to no connection.
    Failed {
        /// The session that was dialled in vain, if one was.
        session: Option<SessionId>,
        /// Why.
        failure: Failure,
    },
    /// It panicked.
    Panics {
        /// With that message.
        message: String,
    },
    /// Nothing that has a result.
    Noted {
        /// In a few words.
        text: String,
    },
}

/// A scenario is over: what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScenarioEnd {
    /// How many steps there were.
    pub steps: usize,
    /// How many of them did not hold.
    pub failed: usize,
    /// The number of the signal that ended it early.
    pub interrupted: Option<i32>,
    /// Its clients.
    pub clients: Vec<ClientEnd>,
    /// What the exit code was decided by.
    pub judged_by: Policy,
    /// What the process exited with.
    pub exit_code: u8,
}

/// What one client of a scenario came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientEnd {
    /// The client, as the scenario names it.
    pub name: String,
    /// Names its run in labels and logs.
    pub run_id: String,
    /// Operations whose connection was checked against the rules.
    pub rules: Agreement,
    /// Operations that were compared with the server's own record; none where there is none.
    pub witness: Option<Agreement>,
    /// What was found.
    pub findings: Vec<Finding>,
    /// Connections still open at the end.
    pub still_open: usize,
}

impl Step {
    /// How its fields contradict each other, if they do.
    pub(super) fn odd(&self) -> Option<String> {
        if self.held == self.happened.is_some() {
            return Some("a step that did not hold says what happened instead, and no other does".to_owned());
        }
        self.did.iter().find_map(|action| action.did.odd())
    }
}

impl Did {
    fn odd(&self) -> Option<String> {
        match self {
            Self::Ran { connection, session, .. } if session.connection != *connection => {
                Some(format!("{session} is no session of {connection}"))
            }
            Self::Ran { items, failure, .. } if items.is_some() == failure.is_some() => {
                Some("it has items or a failure, one of them".to_owned())
            }
            Self::Would { reason, connection, name }
                if connection.is_some() != (*reason == Reason::Explicit)
                    || (name.is_some() && connection.is_none()) =>
            {
                Some("a connection is passed exactly where the reason is explicit".to_owned())
            }
            _ => None,
        }
    }
}
