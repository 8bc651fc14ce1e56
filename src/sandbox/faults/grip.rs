//! What someone outside holds a session by.

use std::error::Error;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};
use std::{fmt, io};

use crate::sandbox::lock;

/// How long whoever ends a session waits for it: between two glances at its grip a session does nothing that takes long.
const END_TIME: Duration = Duration::from_secs(1);

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cut {
    /// The server closes its side: what it has sent still arrives, then the stream ends. Under TLS it ends without
    /// `close_notify`.
    Fin,
    /// The connection is reset: the client's next read or write fails, and what was under way may be lost.
    Rst,
}

/// How a session is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    Cut(Cut),
    /// One line.
    Goodbye(String),
    /// A newer connection has taken its place. The last line, whole.
    Supplanted(String),
}

/// The session's thread looks here before each reply, while it waits with one, and while a client is slow to take one.
pub struct Grip {
    /// Not kept open by this.
    socket: Weak<TcpStream>,
    /// Changed by whoever makes faults; looked at by the session's thread. Held for no longer than that.
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stalled: bool,
    ending: Option<Ending>,
    /// The session's own thread, once it runs.
    held_by: Option<ThreadId>,
    /// The socket is closed.
    over: bool,
}

impl Grip {
    pub fn new(socket: Weak<TcpStream>) -> Self {
        Self { socket, state: Mutex::default(), changed: Condvar::new() }
    }

    /// The present thread is the session's.
    pub fn hold(&self) {
        lock(&self.state).held_by = Some(thread::current().id());
    }

    pub fn stall(&self, stalled: bool) {
        lock(&self.state).stalled = stalled;
        self.changed.notify_all();
    }

    pub fn is_stalled(&self) -> bool {
        lock(&self.state).stalled
    }

    /// Asks for the session's end. A cut comes before a goodbye: it needs no client that reads.
    pub fn end(&self, ending: Ending) {
        let mut state = lock(&self.state);
        if state.ending.is_none() || matches!(ending, Ending::Cut(_)) {
            state.ending = Some(ending);
        }
        drop(state);
        self.wake();
        // Ends a wait for the client; what the server has to say can still be said.
        if let Some(socket) = self.socket.upgrade() {
            let _ = socket.shutdown(Shutdown::Read);
        }
    }

    /// Returns when the socket is closed, or at once to the session's own thread, which cannot wait for itself.
    pub fn await_end(&self) {
        let end = Instant::now() + END_TIME;
        let mut state = lock(&self.state);
        while !state.over && state.held_by != Some(thread::current().id()) {
            let Some(left) = end.checked_duration_since(Instant::now()) else { return };
            state = self.wait(state, left);
        }
    }

    pub fn ending(&self) -> Option<Ending> {
        lock(&self.state).ending.clone()
    }

    /// The socket is closed.
    pub fn over(&self) {
        lock(&self.state).over = true;
        self.changed.notify_all();
    }

    /// Ends a delay, or a wait to be let go, so that its reason is looked at again.
    pub fn wake(&self) {
        // The lock orders this behind the look that precedes a wait, so that no wait misses it.
        drop(lock(&self.state));
        self.changed.notify_all();
    }

    /// Waits for as long as `on`, given whether the session is stalled, has a time to wait; an error if it is to end.
    pub fn pause(&self, mut on: impl FnMut(bool) -> Option<Duration>) -> io::Result<()> {
        let mut state = lock(&self.state);
        loop {
            if state.ending.is_some() {
                return Err(io::Error::other(Struck));
            }
            let Some(time) = on(state.stalled).filter(|time| !time.is_zero()) else { return Ok(()) };
            state = self.wait(state, time);
        }
    }

    /// An error if the connection is to be cut: that does not wait for the end of a reply.
    pub fn check_cut(&self) -> io::Result<()> {
        if matches!(lock(&self.state).ending, Some(Ending::Cut(_))) { Err(io::Error::other(Struck)) } else { Ok(()) }
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What a session's reads and writes fail with when it is to end.
#[derive(Debug)]
struct Struck;

impl fmt::Display for Struck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session is to end")
    }
}

impl Error for Struck {}

/// Whether the conversation was left because the session is to end, and so between two replies unless it is cut.
pub fn is_struck(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Struck>())
}
