//! What a server can be told to do wrong.

use std::time::Duration;

/// What a server can do wrong to one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionFault {
    /// It closes the connection in order (FIN).
    Close,
    /// It resets the connection (RST).
    Reset,
    /// It says nothing more.
    Stall,
    /// It goes on.
    Resume,
    /// It says goodbye with that text, and ends the session.
    Bye(String),
}

/// What a server can do from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServerFault {
    /// It refuses new connections, or takes them again.
    RefuseConnections(bool),
    /// The most connections that it takes of each user; none for any number.
    LimitConnections(Option<usize>),
    /// Every reply is so late.
    Delay(Duration),
    /// A POP3 session has its maildrop to itself, from the next one on, or shares it.
    LockMaildrops(bool),
}

/// A server that can be told to misbehave: the sandbox.
pub trait Faults {
    /// Does it to the session of the client's port; false if there is none.
    fn on_session(&self, port: u16, fault: &SessionFault) -> bool;
    /// Does it from now on.
    fn on_server(&self, fault: &ServerFault);
    /// How many sessions the server has open now.
    fn open_sessions(&self) -> usize;
}
