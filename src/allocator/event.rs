//! What happens to connections, told to whoever wants to know.

use super::error::Refusal;
use super::id::{ConnectionId, SessionId};
use super::mode::{Kind, Mode};
use super::sync::ThreadId;

/// Hears of every change in the life of a client's connections.
///
/// Called on the thread that caused the event, with no lock held, and before anyone else can profit from it: a
/// connection's `Opened` is told before its first use, its `Closed` before its room is given to another. An observer
/// should be quick, and must not use the client. A panic in it goes no further than the panic hook.
pub trait Observer: Send + Sync + 'static {
    /// One event. Using a connection is not one: its [`Lease`](super::Lease) tells all there is to know.
    fn on_event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync + 'static> Observer for F {
    fn on_event(&self, event: &Event) {
        self(event);
    }
}

/// A change in the life of a client's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A connection's place came into being. (Main's exists as long as its client: it is never told.)
    Created {
        /// Its name.
        connection: ConnectionId,
        /// Default or independent.
        kind: Kind,
        /// The thread that a default connection belongs to, or that created an independent one.
        thread: ThreadId,
        /// Created by a call (C1, C2), not by an operation's need (A2).
        by_hand: bool,
    },
    /// A session is about to be dialled.
    Opening {
        /// The session.
        session: SessionId,
        /// The thread whose operation or creation needs it.
        thread: ThreadId,
    },
    /// The dial succeeded.
    Opened {
        /// The session.
        session: SessionId,
    },
    /// The dial failed.
    OpenFailed {
        /// The session.
        session: SessionId,
    },
    /// The session broke and was dropped without another word (B1), or the connector panicked while it closed it.
    Discarded {
        /// The session.
        session: SessionId,
    },
    /// A healthy session was handed to the connector to be closed, and is closed.
    Closed {
        /// The session.
        session: SessionId,
    },
    /// The place is no more. A session of it that is in use is closed when its operation ends (D5).
    Disposed {
        /// The connection.
        connection: ConnectionId,
        /// Who disposed it.
        cause: Disposal,
    },
    /// The client's mode was set (M1).
    ModeChanged {
        /// The mode until now.
        from: Mode,
        /// The mode from now on.
        to: Mode,
    },
    /// A use was refused by the rules.
    Refused {
        /// The rule and the cure.
        refusal: Refusal,
        /// The thread that asked.
        thread: ThreadId,
    },
}

/// Who disposed a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disposal {
    /// A call, or the drop of its handle (D1).
    ByHand,
    /// Its thread ended (D3).
    ThreadExit,
    /// Its client was closed (D4).
    ClientClosed,
    /// Its first dial failed, and nothing is left behind (C4).
    NeverOpened,
    /// An independent connection broke (B2).
    Broken,
}

impl Disposal {
    /// The cause's name: `by-hand`, `thread-exit`, `client-closed`, `never-opened`, `broken`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ByHand => "by-hand",
            Self::ThreadExit => "thread-exit",
            Self::ClientClosed => "client-closed",
            Self::NeverOpened => "never-opened",
            Self::Broken => "broken",
        }
    }
}
