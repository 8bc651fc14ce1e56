//! The names of connections and of their sessions.

use std::fmt;

/// A connection's name within its client: `#0` is main, the others follow in the order of their creation.
///
/// A name is never used again, not even that of a connection whose first dial failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The main connection of every client.
    pub const MAIN: Self = Self(0);
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("#{}", self.0))
    }
}

/// One session of a connection, from its dial to its close: `#3`, and after a break `#3.2` (rule B3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// The place that the session fills.
    pub connection: ConnectionId,
    /// 1 for the first session dialled for that place.
    pub number: u32,
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.number == 1 { self.connection.fmt(f) } else { f.pad(&format!("{}.{}", self.connection, self.number)) }
    }
}
