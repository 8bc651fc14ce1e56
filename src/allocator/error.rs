//! What an operation can be told instead of a connection.

use std::fmt;
use std::time::Duration;

use super::id::{ConnectionId, SessionId};

/// Why a [`Client`](super::Client) gave no connection. `E` is the connector's own error.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error<E> {
    /// The rules forbid it; no server was asked.
    Refused(Refusal),
    /// No connection became free in time (rules W1 and W2).
    WaitTimeout {
        /// What was waited for.
        awaited: Awaited,
        /// How long: from the start of the wait to its end.
        waited: Duration,
    },
    /// The connection could not be opened.
    Connect {
        /// The session that was dialled.
        session: SessionId,
        /// How long the request had stood in line before the dial.
        waited: Duration,
        /// The connector's answer.
        error: E,
    },
}

/// What a thread waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaited {
    /// A connection that another operation is using (rule W1).
    Connection(ConnectionId),
    /// Room for one more connection under `max_connections` (rule W2).
    Capacity {
        /// The cap in force.
        max_connections: usize,
    },
}

/// A use that the rules forbid. Its text says the rule and the cure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal {
    /// C2: use-main knows no default connections.
    DefaultUnderUseMain,
    /// C2: use-default creates default connections itself.
    DefaultUnderUseDefault,
    /// C3: this thread has its default connection already.
    DefaultExists {
        /// The one it has; it goes on working.
        existing: ConnectionId,
    },
    /// W3: this thread holds that connection already.
    AlreadyLeased {
        /// The connection it holds.
        connection: ConnectionId,
    },
    /// D2: the connection was disposed, or broke.
    Disposed {
        /// The connection that is no more.
        connection: ConnectionId,
    },
    /// D4: the client was closed.
    ClientClosed,
    /// D6: the connection belongs to another client.
    ForeignConnection {
        /// Its name in that client.
        connection: ConnectionId,
    },
    /// D3: the thread is ending and its default connection is gone.
    ThreadEnding,
}

impl Refusal {
    /// The numbers of all rules that refuse something.
    pub const RULES: [&'static str; 7] = ["C2", "C3", "D2", "D3", "D4", "D6", "W3"];

    /// The number of the rule that refuses.
    #[must_use]
    pub const fn rule(&self) -> &'static str {
        match self {
            Self::DefaultUnderUseMain | Self::DefaultUnderUseDefault => "C2",
            Self::DefaultExists { .. } => "C3",
            Self::AlreadyLeased { .. } => "W3",
            Self::Disposed { .. } => "D2",
            Self::ClientClosed => "D4",
            Self::ForeignConnection { .. } => "D6",
            Self::ThreadEnding => "D3",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "refused ({}): ", self.rule())?;
        match self {
            Self::DefaultUnderUseMain => f.write_str(
                "use-main has no default connections; create an independent connection and pass it, or use \
                 use-main-or-default",
            ),
            Self::DefaultUnderUseDefault => f.write_str(
                "use-default creates each thread's default connection itself; leave the creation out, or use \
                 use-main-or-default",
            ),
            Self::DefaultExists { existing } => {
                write!(f, "this thread already has the default connection {existing}; use it, or dispose it first")
            }
            Self::AlreadyLeased { connection } => write!(
                f,
                "this thread already holds {connection}; end that operation first, or pass another connection"
            ),
            Self::Disposed { connection } => {
                write!(f, "{connection} is no more: it was disposed, or it broke; create a new connection")
            }
            Self::ClientClosed => f.write_str("the client was closed; build a new one"),
            Self::ForeignConnection { connection } => {
                write!(f, "{connection} belongs to another client; pass a connection that this client created")
            }
            Self::ThreadEnding => {
                f.write_str("this thread is ending; use the client before the thread's own variables are dropped")
            }
        }
    }
}

impl std::error::Error for Refusal {}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::WaitTimeout { awaited: Awaited::Connection(connection), waited } => write!(
                f,
                "waited {waited:.1?} for {connection}, which other operations kept; allow a longer wait, or give \
                 threads connections of their own"
            ),
            Self::WaitTimeout { awaited: Awaited::Capacity { max_connections }, waited } => write!(
                f,
                "waited {waited:.1?} for one of {max_connections} connections; dispose connections that idle, use \
                 fewer threads, or raise the cap if the server allows more"
            ),
            Self::Connect { session, error, .. } => write!(f, "{session} could not be opened: {error}"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for Error<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Refused(refusal) => Some(refusal),
            Self::WaitTimeout { .. } => None,
            Self::Connect { error, .. } => Some(error),
        }
    }
}

impl<E> From<Refusal> for Error<E> {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
