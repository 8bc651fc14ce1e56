//! How many connections of one client may exist at once (rule W2): those open and those being dialled.

use std::time::Instant;

use super::line::{Answer, Line, stand};
use super::sync::{Arc, Condvar, Mutex, Patience, ThreadId, has_come, lock, wait_until};

pub(super) struct Capacity {
    /// `max_connections`; none means no cap, but the count is kept all the same.
    limit: Option<usize>,
    state: Mutex<State>,
    /// Notified when the last permit comes back, for whoever closes the client.
    emptied: Condvar,
}

struct State {
    taken: usize,
    /// Newcomers must not overtake those in line, so a permit given back goes straight to the first of them.
    line: Line<()>,
    /// Set when the client is closed: nothing may be dialled any more.
    closed: bool,
}

/// The right to have one connection, from before its dial until after its close.
pub(super) struct Permit(Arc<Capacity>);

pub(super) enum NoPermit {
    Timeout { max_connections: usize },
    Closed,
}

impl Capacity {
    pub(super) fn new(limit: Option<usize>) -> Arc<Self> {
        let state = Mutex::new(State { taken: 0, line: Line::new(), closed: false });
        Arc::new(Self { limit, state, emptied: Condvar::new() })
    }

    pub(super) fn acquire(self: &Arc<Self>, thread: ThreadId, patience: &mut Patience) -> Result<Permit, NoPermit> {
        let ticket = {
            let mut state = lock(&self.state);
            if state.closed {
                return Err(NoPermit::Closed);
            }
            if self.limit.is_none_or(|limit| state.taken < limit) {
                state.taken += 1;
                return Ok(Permit(Arc::clone(self)));
            }
            state.line.join(thread)
        };
        match stand(&ticket, patience, &self.state, |state| &mut state.line) {
            Some(Answer::Served(())) => Ok(Permit(Arc::clone(self))),
            Some(Answer::Dismissed) => Err(NoPermit::Closed),
            None => Err(NoPermit::Timeout { max_connections: self.limit.unwrap_or(usize::MAX) }),
        }
    }

    pub(super) fn taken(&self) -> usize {
        lock(&self.state).taken
    }

    /// How many stand in line for room.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).line.len()
    }

    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        state.closed = true;
        state.line.dismiss_all();
    }

    /// Waits until no connection is left; false if some are at the deadline.
    pub(super) fn wait_until_empty(&self, deadline: Instant) -> bool {
        let mut state = lock(&self.state);
        while state.taken > 0 {
            if has_come(deadline) {
                return false;
            }
            state = wait_until(&self.emptied, state, deadline);
        }
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        match state.line.serve(()) {
            Ok(next) => {
                drop(state);
                next.wake();
            }
            Err(()) => {
                state.taken -= 1;
                if state.taken == 0 {
                    self.0.emptied.notify_all();
                }
            }
        }
    }
}
