//! What a client, its handles and its leases share: how a place is opened, given back and disposed.
//!
//! No lock is held in this file while the connector or the observer runs.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use super::capacity::{Capacity, NoPermit};
use super::connector::Connector;
use super::error::{Awaited, Error, Refusal};
use super::event::{Disposal, Event, Observer};
use super::id::ConnectionId;
use super::mode::{Kind, Mode};
use super::slot::{Disposed, NoSeat, Seat, Session, Slot};
use super::sync::atomic::{AtomicU8, AtomicU32, Ordering};
use super::sync::{Arc, Mutex, Patience, ThreadId, after, lock};
use super::thread::Place;

pub(super) struct Shared<C: Connector> {
    pub(super) connector: C,
    observer: Option<Box<dyn Observer>>,
    /// Read by every lease, set from any thread (M1); holds a [`Mode`]'s index in [`Mode::ALL`].
    mode: AtomicU8,
    /// How long one request may wait, for a connection and for room together.
    pub(super) wait_timeout: Duration,
    /// How long a disposal may take to sign out.
    close_timeout: Duration,
    pub(super) capacity: Arc<Capacity>,
    /// #0 is main's.
    next_id: AtomicU32,
    /// All places but main's, so that closing the client finds them.
    places: Mutex<Places<C>>,
}

struct Places<C: Connector> {
    /// In the order of their names, so that a close tells of them in the same order every time.
    open: BTreeMap<ConnectionId, Arc<Member<C>>>,
    /// Set once, by the client's close: no place is added after it.
    closed: bool,
}

/// A place and the client it belongs to. The client's close breaks the circle.
pub(super) struct Member<C: Connector> {
    pub(super) slot: Slot<C>,
    pub(super) shared: Arc<Shared<C>>,
}

/// A seat that finds its way back to its place, whatever happens to the thread that has it.
pub(super) struct Seated<'a, C: Connector> {
    member: &'a Member<C>,
    /// None once it was handed on.
    seat: Option<Seat<C>>,
}

impl<C: Connector> Shared<C> {
    pub(super) fn new(
        connector: C,
        observer: Option<Box<dyn Observer>>,
        mode: Mode,
        wait_timeout: Duration,
        close_timeout: Duration,
        max_connections: Option<usize>,
    ) -> Self {
        Self {
            connector,
            observer,
            mode: AtomicU8::new(mode as u8),
            wait_timeout,
            close_timeout,
            capacity: Capacity::new(max_connections),
            next_id: AtomicU32::new(ConnectionId::MAIN.0 + 1),
            places: Mutex::new(Places { open: BTreeMap::new(), closed: false }),
        }
    }

    pub(super) fn mode(&self) -> Mode {
        Mode::ALL[usize::from(self.mode.load(Ordering::Acquire))]
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        let from = Mode::ALL[usize::from(self.mode.swap(mode as u8, Ordering::AcqRel))];
        self.tell(&Event::ModeChanged { from, to: mode });
    }

    pub(super) fn tell(&self, event: &Event) {
        if let Some(observer) = &self.observer {
            call_out(|| observer.on_event(event));
        }
    }

    pub(super) fn refuse(&self, refusal: Refusal, thread: ThreadId) -> Error<C::Error> {
        self.tell(&Event::Refused { refusal, thread });
        Error::Refused(refusal)
    }

    pub(super) fn close_by(&self) -> Instant {
        after(self.close_timeout)
    }

    /// A new place, known to the client, with no session yet.
    pub(super) fn add(
        self: &Arc<Self>,
        kind: Kind,
        thread: ThreadId,
        by_hand: bool,
    ) -> Result<Arc<Member<C>>, Refusal> {
        if lock(&self.places).closed {
            return Err(Refusal::ClientClosed);
        }
        let connection = ConnectionId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let member = Arc::new(Member { slot: Slot::new(connection, kind), shared: Arc::clone(self) });
        // Told before the client's close can find the place: its `Disposed` comes after its `Created`.
        self.tell(&Event::Created { connection, kind, thread, by_hand });
        if self.admit(&member) {
            Ok(member)
        } else {
            member.retire(Disposal::ClientClosed);
            Err(Refusal::ClientClosed)
        }
    }

    fn admit(&self, member: &Arc<Member<C>>) -> bool {
        let mut places = lock(&self.places);
        if !places.closed {
            places.open.insert(member.slot.id, Arc::clone(member));
        }
        !places.closed
    }

    /// Refuses new places from now on, and hands over those there are.
    pub(super) fn close_places(&self) -> Vec<Arc<Member<C>>> {
        let mut places = lock(&self.places);
        places.closed = true;
        std::mem::take(&mut places.open).into_values().collect()
    }

    /// Why a place that is no more cannot be used.
    pub(super) fn gone(&self, connection: ConnectionId) -> Refusal {
        if lock(&self.places).closed { Refusal::ClientClosed } else { Refusal::Disposed { connection } }
    }

    /// What names this client for as long as any of its places lives.
    pub(super) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    pub(super) fn close_session(&self, session: Session<C>, deadline: Instant) {
        let Session { id, connection, permit } = session;
        let closed = call_out(|| self.connector.close(connection, deadline)).is_some();
        self.tell(&if closed { Event::Closed { session: id } } else { Event::Discarded { session: id } });
        drop(permit);
    }

    fn discard_session(&self, session: Session<C>) {
        let Session { id, connection, permit } = session;
        call_out(|| self.connector.discard(connection));
        self.tell(&Event::Discarded { session: id });
        drop(permit);
    }
}

impl<C: Connector> Member<C> {
    /// Takes this place's seat in turn, and opens a session if there is none.
    pub(super) fn seat(&self, thread: ThreadId, patience: &mut Patience) -> Result<(Seat<C>, bool), Error<C::Error>> {
        let seat = self.slot.take(thread, patience).map_err(|no| self.no_seat(&no, thread, patience))?;
        if seat.session.is_some() {
            return Ok((seat, false));
        }
        let mut seated = Seated { member: self, seat: Some(seat) };
        seated.open(thread, patience)?;
        Ok((seated.keep(), true))
    }

    fn no_seat(&self, no: &NoSeat, thread: ThreadId, patience: &Patience) -> Error<C::Error> {
        let connection = self.slot.id;
        match no {
            NoSeat::AlreadyLeased => self.shared.refuse(Refusal::AlreadyLeased { connection }, thread),
            NoSeat::Disposed => self.shared.refuse(self.shared.gone(connection), thread),
            NoSeat::Timeout => {
                Error::WaitTimeout { awaited: Awaited::Connection(connection), waited: patience.waited() }
            }
        }
    }

    /// Takes back the seat of a session that nobody has used yet.
    pub(super) fn put_down(&self, seat: Seat<C>) {
        drop(Seated { member: self, seat: Some(seat) });
    }

    /// Takes a used seat back. A broken session is dropped here, and with it an independent connection (B1, B2).
    pub(super) fn check_in(&self, seat: Seat<C>, broken: bool) {
        let mut seated = Seated { member: self, seat: Some(seat) };
        let Some(seat) = seated.seat.as_mut() else { return };
        let Some(session) = seat.session.as_mut() else { return };
        if !broken && call_out(|| self.shared.connector.has_broken(&mut session.connection)) == Some(false) {
            return;
        }
        if self.slot.kind == Kind::Independent {
            self.retire(Disposal::Broken);
        }
        if let Some(session) = seat.session.take() {
            self.shared.discard_session(*session);
        }
    }

    /// Ends this place, and closes the session that lies idle in it by `deadline`; false if it had ended before.
    pub(super) fn dispose(&self, cause: Disposal, deadline: Instant) -> bool {
        match self.retire(cause) {
            Disposed::Before => false,
            Disposed::Now { idle } => {
                if let Some(session) = idle {
                    self.shared.close_session(*session, deadline);
                }
                true
            }
        }
    }

    /// Ends this place and leaves its idle session to the caller.
    pub(super) fn retire(&self, cause: Disposal) -> Disposed<C> {
        let disposed = self.slot.dispose();
        if matches!(disposed, Disposed::Now { .. }) {
            lock(&self.shared.places).open.remove(&self.slot.id);
            self.shared.tell(&Event::Disposed { connection: self.slot.id, cause });
        }
        disposed
    }
}

impl<C: Connector> Seated<'_, C> {
    fn open(&mut self, thread: ThreadId, patience: &mut Patience) -> Result<(), Error<C::Error>> {
        let Some(seat) = self.seat.as_mut() else { return Ok(()) };
        let shared = &self.member.shared;
        let permit = match shared.capacity.acquire(thread, patience) {
            Ok(permit) => permit,
            Err(NoPermit::Closed) => return Err(shared.refuse(Refusal::ClientClosed, thread)),
            Err(NoPermit::Timeout { max_connections }) => {
                let awaited = Awaited::Capacity { max_connections };
                return Err(Error::WaitTimeout { awaited, waited: patience.waited() });
            }
        };
        let session = seat.next_session(self.member.slot.id);
        shared.tell(&Event::Opening { session, thread });
        match catch_unwind(AssertUnwindSafe(|| shared.connector.connect(session))) {
            Ok(Ok(connection)) => {
                shared.tell(&Event::Opened { session });
                seat.session = Some(Box::new(Session { id: session, connection, permit }));
                Ok(())
            }
            Ok(Err(error)) => {
                shared.tell(&Event::OpenFailed { session });
                Err(Error::Connect { session, error })
            }
            Err(panic) => {
                shared.tell(&Event::OpenFailed { session });
                resume_unwind(panic)
            }
        }
    }

    /// The thread keeps the seat, to use it.
    fn keep(mut self) -> Seat<C> {
        #[expect(
            clippy::expect_used,
            reason = "`keep` consumes the value, and nothing before it takes the seat for good"
        )]
        self.seat.take().expect("the seat is handed on once")
    }
}

impl<C: Connector> Drop for Seated<'_, C> {
    fn drop(&mut self) {
        let Some(seat) = self.seat.take() else { return };
        // Disposed meanwhile (D5): what was in use is closed now that its operation has ended.
        if let Some(session) = self.member.slot.give_back(seat).and_then(|seat| seat.session) {
            self.member.shared.close_session(*session, self.member.shared.close_by());
        }
    }
}

/// Tells the observer or gives a connection away; none if the other side panicked.
///
/// Most of these calls are made while a lease, a handle or a thread goes, where a panic would abort, or leave the rest
/// undone: the panic hook has told of it, and it goes no further.
fn call_out<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}

impl<C: Connector> Place for Member<C> {
    fn is_disposed(&self) -> bool {
        self.slot.is_disposed()
    }

    fn thread_ends(self: Arc<Self>, deadline: Instant) {
        self.dispose(Disposal::ThreadExit, deadline);
    }
}
