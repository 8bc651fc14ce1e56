//! The lines of a scenario that are its own: its start, each step, its end. Its clients' runs stand between, each a stream of
//! its own under the client's name: what a client did in a step stands before that step.

use std::time::SystemTime;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::end::{Agreement, Finding, Gated, Policy};
use super::micros::Micros;
use super::model::Word;
use super::named::KNOWN;
use super::{OperationName, Wall, fixed};
use crate::allocator::{ConnectionId, Mode, Reason, Refusal, SessionId};
use crate::protocol::{Failure, FailureKind, Protocol};

/// A scenario begins.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioStart {
    /// The version of the form: 6 in a stream, 1 in a document.
    pub schema_version: u32,
    /// The version of mailconn that performed it.
    pub tool_version: String,
    /// When it began, to the microsecond; every event's time counts from here.
    #[serde(with = "Wall")]
    pub started: SystemTime,
    /// What it is called.
    pub name: String,
    /// The server, without secrets.
    pub server: String,
    /// What was spoken.
    pub protocol: Protocol,
}

/// A step was done. Those that speak of findings are judged at the end.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
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
    /// What decides whether it held, as it is evaluated. None where whoever performed it alone can tell, as when a thread
    /// gave no answer; files of version 2 have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expectation: Option<Expectation>,
    /// How many events of the clients stand before it: what was known when it was evaluated. Files of version 2 do not say it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_before: Option<u64>,
}

/// What should come of a step, or be true when its line is reached.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Expectation {
    /// Every action succeeds: nothing else was written.
    Success,
    /// The last action that has a result comes to one of these, and every other one succeeds.
    Result {
        /// Any of them.
        any_of: Vec<Wanted>,
        /// That mailbox answers.
        from: Option<String>,
        /// It runs on that session of its connection, from 1.
        session: Option<u32>,
    },
    /// These connections of the client are open, and no other.
    Open {
        /// The client's name.
        client: String,
        /// Whether main is.
        main: bool,
        /// Which independent connections are: every one that the scenario has created on that client.
        independent: Vec<Independent>,
        /// How many defaults are, of all threads together.
        defaults: usize,
    },
    /// So many sessions of all clients together are open.
    Sessions {
        /// How many.
        open: usize,
    },
    /// The client has opened so many sessions so far.
    Opened {
        /// The client's name.
        client: String,
        /// How many.
        sessions: usize,
    },
    /// The client has tried to sign in so often so far.
    SignIns {
        /// The client's name.
        client: String,
        /// How often.
        tried: usize,
    },
    /// That mode is in force.
    Mode {
        /// The client's name.
        client: String,
        /// The mode.
        mode: Mode,
    },
    /// The last operations of these threads ended in this order.
    Order {
        /// The threads' names.
        threads: Vec<String>,
    },
    /// When all is over, that finding is there, or is not.
    Finding {
        /// Its stable name.
        id: String,
        /// Whether it is to be there.
        there: bool,
    },
    /// When all is over, there is no finding but advice.
    NoFindings,
}

/// An independent connection, and whether it should be open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Independent {
    /// The name that the scenario gives it.
    pub name: String,
    /// The connection; none if its creation failed.
    pub connection: Option<ConnectionId>,
    /// Whether it should be open.
    pub open: bool,
}

/// What may come of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Wanted {
    /// It succeeds.
    Ok,
    /// It runs, or would run, for that reason.
    Because {
        /// The rule's answer.
        reason: Reason,
    },
    /// It runs, or would run, on that connection, which was passed.
    On {
        /// The name that the scenario gives it.
        name: String,
    },
    /// It opens a connection.
    Opened,
    /// It disposes a connection.
    Disposed,
    /// There is nothing to dispose.
    Nothing,
    /// It panics.
    Panics,
    /// The rules refuse it.
    Refused {
        /// By that rule; by any if none.
        rule: Option<String>,
    },
    /// It fails.
    Fails {
        /// With that word for the failure; with any if none.
        kind: Option<FailureKind>,
    },
}

/// What one action did.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Action {
    /// With whose connections, where there are several clients.
    pub client: Option<String>,
    /// What.
    #[serde(flatten)]
    pub did: Did,
}

/// What one action did: `ran`, `would`, `created`, `disposed`, `nothing`, `refused`, `failed`, `panics`, `counted`, `noted`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Did {
    /// An operation ran on a connection.
    Ran {
        /// Its protocol's word for it; `select` and `fetch-selected` are IMAP's halves of one.
        #[serde(deserialize_with = "fixed::operation")]
        #[schemars(with = "OperationName")]
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
    /// The server counted its open sessions.
    Counted {
        /// How many there were.
        sessions: usize,
    },
    /// Nothing that has a result.
    Noted {
        /// In a few words.
        text: String,
    },
}

/// A scenario is over: what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// What the gates came to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gated>,
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

    /// Whether something is expected of it, by its words or by what it did, that can be evaluated.
    #[must_use]
    pub fn is_judged(&self) -> bool {
        let acts = self.did.iter().any(|action| !matches!(action.did, Did::Noted { .. }));
        acts || self.expected.is_some() || self.text.starts_with("expect ")
    }

    /// The finding that it expects at the end, and whether it is to be there; the finding is none if none at all is to be.
    /// None for any other step. What a file of version 2 says of it is its text.
    #[must_use]
    pub fn of_findings(&self) -> Option<(Option<&str>, bool)> {
        match (&self.expectation, &*self.text.split_whitespace().collect::<Vec<_>>()) {
            (Some(Expectation::Finding { id, there }), _) => Some((Some(id), *there)),
            (Some(Expectation::NoFindings), _) | (None, ["expect", "no", "findings"]) => Some((None, false)),
            (None, ["expect", "finding", id]) => Some((Some(id), true)),
            (None, ["expect", "no", "finding", id]) => Some((Some(id), false)),
            _ => None,
        }
    }
}

impl Did {
    /// Whether the action did what it was told.
    #[must_use]
    pub const fn is_ok(&self) -> bool {
        match self {
            Self::Ran { failure, .. } => failure.is_none(),
            Self::Would { .. }
            | Self::Created { .. }
            | Self::Disposed { .. }
            | Self::Counted { .. }
            | Self::Noted { .. } => true,
            Self::Nothing | Self::Refused { .. } | Self::Failed { .. } | Self::Panics { .. } => false,
        }
    }

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
            Self::Refused { rule, .. } if !Refusal::RULES.contains(&rule.as_str()) => {
                Some(format!("{rule:?} is no rule {KNOWN}"))
            }
            _ => None,
        }
    }
}
