//! One place's life: unopened → opening → idle ⇄ leased → disposed; broken → unopened, for the next session.
//!
//! Whoever has the place's [`Seat`] has the place to itself: to dial, to use, to break. The lock guards only the
//! passing of the seat from hand to hand, never I/O.

use super::capacity::Permit;
use super::connector::Connector;
use super::id::{ConnectionId, SessionId};
use super::line::{Answer, Line, stand};
use super::mode::Kind;
use super::shared::Shared;
use super::sync::atomic::{AtomicBool, Ordering};
use super::sync::{Arc, Mutex, MutexGuard, Patience, ThreadId, lock};

pub(super) struct Slot<C: Connector> {
    pub(super) id: ConnectionId,
    pub(super) kind: Kind,
    /// Mirrors `State::disposed`, so that a thread can ask after its default connection without the lock.
    disposed: AtomicBool,
    state: Mutex<State<C>>,
}

struct State<C: Connector> {
    /// None while a thread has it.
    seat: Option<Seat<C>>,
    /// The thread that has the seat: it must not wait for itself (W3).
    holder: Option<ThreadId>,
    disposed: bool,
    line: Line<Seat<C>>,
}

/// The right to act on a place, and the open session if there is one.
pub(super) struct Seat<C: Connector> {
    pub(super) session: Option<Box<Session<C>>>,
    /// Sessions dialled for this place so far.
    dialled: u32,
}

/// An open connection.
pub(super) struct Session<C: Connector> {
    pub(super) id: SessionId,
    pub(super) connection: C::Connection,
    /// Given back after the connection is gone: fields drop in order.
    pub(super) permit: Permit,
    /// Whose it is: a lease finds its way back by its session, so that it need not count a reference of its own.
    pub(super) shared: Arc<Shared<C>>,
}

pub(super) enum NoSeat {
    AlreadyLeased,
    Disposed,
    Timeout,
}

impl<C: Connector> Seat<C> {
    pub(super) fn next_session(&mut self, connection: ConnectionId) -> SessionId {
        self.dialled += 1;
        SessionId { connection, number: self.dialled }
    }

    /// The session in the seat: the last one dialled.
    #[inline]
    pub(super) const fn session_id(&self, connection: ConnectionId) -> SessionId {
        SessionId { connection, number: self.dialled }
    }
}

impl<C: Connector> Slot<C> {
    pub(super) fn new(id: ConnectionId, kind: Kind) -> Self {
        let seat = Some(Seat { session: None, dialled: 0 });
        let state = Mutex::new(State { seat, holder: None, disposed: false, line: Line::new() });
        Self { id, kind, disposed: AtomicBool::new(false), state }
    }

    #[inline]
    pub(super) fn is_disposed(&self) -> bool {
        self.disposed.load(Ordering::Acquire)
    }

    /// How many stand in line for the seat.
    pub(super) fn waiting(&self) -> usize {
        lock(&self.state).line.len()
    }

    /// Takes the seat, in turn.
    #[inline]
    pub(super) fn take(&self, thread: ThreadId, patience: &mut Patience) -> Result<Seat<C>, NoSeat> {
        let mut state = lock(&self.state);
        match state.seat.take() {
            Some(seat) => {
                state.holder = Some(thread);
                Ok(seat)
            }
            None => self.wait_for_seat(state, thread, patience),
        }
    }

    #[cold]
    fn wait_for_seat(
        &self,
        mut state: MutexGuard<'_, State<C>>,
        thread: ThreadId,
        patience: &mut Patience,
    ) -> Result<Seat<C>, NoSeat> {
        if state.disposed {
            return Err(NoSeat::Disposed);
        }
        if state.holder == Some(thread) {
            return Err(NoSeat::AlreadyLeased);
        }
        let ticket = state.line.join(thread);
        drop(state);
        match stand(&ticket, patience, &self.state, |state| &mut state.line) {
            Some(Answer::Served(seat)) => Ok(seat),
            Some(Answer::Dismissed) => Err(NoSeat::Disposed),
            None => Err(NoSeat::Timeout),
        }
    }

    /// Gives the seat to the next in line, or puts it down. Once the place is disposed nobody may have it: it comes
    /// back, and what is in it is the caller's to close (D5).
    #[inline]
    pub(super) fn give_back(&self, seat: Seat<C>) -> Option<Seat<C>> {
        let mut state = lock(&self.state);
        if state.disposed {
            state.holder = None;
            return Some(seat);
        }
        match state.line.serve(seat) {
            Ok(next) => {
                state.holder = Some(next.thread());
                drop(state);
                next.wake();
            }
            Err(seat) => {
                state.holder = None;
                state.seat = Some(seat);
            }
        }
        None
    }

    /// Ends the place; the first call gets the seat, unless a thread has it.
    pub(super) fn dispose(&self) -> Disposed<C> {
        let mut state = lock(&self.state);
        if std::mem::replace(&mut state.disposed, true) {
            return Disposed::Before;
        }
        self.disposed.store(true, Ordering::Release);
        state.line.dismiss_all();
        Disposed::Now { idle: state.seat.take().and_then(|seat| seat.session) }
    }
}

pub(super) enum Disposed<C: Connector> {
    /// By this call; the session that was idle in it, for the caller to close.
    Now { idle: Option<Box<Session<C>>> },
    /// By an earlier call.
    Before,
}
