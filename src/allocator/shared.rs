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
    /// A thread remembers its default connection's slot, and a lease holds its own: neither keeps the client alive.
    pub(super) slot: Arc<Slot<C>>,
    pub(super) shared: Arc<Shared<C>>,
}

/// A seat that finds its way back to its place, whatever happens to the thread that has it.
pub(super) struct Seated<'a, C: Connector> {
    slot: &'a Slot<C>,
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

    #[inline]
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

    /// Refuses by that rule; of a closed client by D4, which comes before any other.
    pub(super) fn refuse(&self, refusal: Refusal, thread: ThreadId) -> Error<C::Error> {
        let refusal = self.first_rule(refusal);
        self.tell(&Event::Refused { refusal, thread });
        Error::Refused(refusal)
    }

    /// The rule that refuses where `refusal` would: D4 once the client is closed.
    pub(super) fn first_rule(&self, refusal: Refusal) -> Refusal {
        if lock(&self.places).closed { Refusal::ClientClosed } else { refusal }
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
        let member = Arc::new(Member { slot: Arc::new(Slot::new(connection, kind)), shared: Arc::clone(self) });
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

    /// How many stand in line for any of the places but main.
    pub(super) fn waiting(&self) -> usize {
        let members: Vec<_> = lock(&self.places).open.values().cloned().collect();
        members.iter().map(|member| member.slot.waiting()).sum()
    }

    /// Refuses new places from now on, and hands over those there are.
    pub(super) fn close_places(&self) -> Vec<Arc<Member<C>>> {
        let mut places = lock(&self.places);
        places.closed = true;
        std::mem::take(&mut places.open).into_values().collect()
    }

    /// What names this client for as long as any of its places lives.
    pub(super) fn address(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self).addr()
    }

    pub(super) fn close_session(&self, session: Session<C>, deadline: Instant) {
        let Session { id, connection, permit, .. } = session;
        let closed = call_out(|| self.connector.close(connection, deadline)).is_some();
        self.tell(&if closed { Event::Closed { session: id } } else { Event::Discarded { session: id } });
        drop(permit);
    }

    fn discard_session(&self, session: Session<C>) {
        let Session { id, connection, permit, .. } = session;
        call_out(|| self.connector.discard(connection));
        self.tell(&Event::Discarded { session: id });
        drop(permit);
    }

    /// Takes a place's seat in turn, and opens a session if there is none.
    #[inline]
    pub(super) fn seat(
        self: &Arc<Self>,
        slot: &Slot<C>,
        thread: ThreadId,
        patience: &mut Patience,
    ) -> Result<(Seat<C>, bool), Error<C::Error>> {
        let seat = slot.take(thread, patience).map_err(|no| self.no_seat(slot.id, &no, thread, patience))?;
        if seat.session.is_some() {
            return Ok((seat, false));
        }
        self.open(slot, seat, thread, patience)
    }

    #[cold]
    fn open(
        self: &Arc<Self>,
        slot: &Slot<C>,
        seat: Seat<C>,
        thread: ThreadId,
        patience: &mut Patience,
    ) -> Result<(Seat<C>, bool), Error<C::Error>> {
        let mut seated = Seated { slot, seat: Some(seat) };
        seated.open(self, thread, patience)?;
        Ok((seated.keep(), true))
    }

    #[cold]
    fn no_seat(&self, connection: ConnectionId, no: &NoSeat, thread: ThreadId, patience: &Patience) -> Error<C::Error> {
        match no {
            NoSeat::AlreadyLeased => self.refuse(Refusal::AlreadyLeased { connection }, thread),
            NoSeat::Disposed => self.refuse(Refusal::Disposed { connection }, thread),
            NoSeat::Timeout => {
                Error::WaitTimeout { awaited: Awaited::Connection(connection), waited: patience.waited() }
            }
        }
    }

    /// Ends a place, and closes the session that lies idle in it by `deadline`; false if it had ended before.
    pub(super) fn dispose(&self, slot: &Slot<C>, cause: Disposal, deadline: Instant) -> bool {
        match self.retire(slot, cause) {
            Disposed::Before => false,
            Disposed::Now { idle } => {
                if let Some(session) = idle {
                    self.close_session(*session, deadline);
                }
                true
            }
        }
    }

    /// Ends a place and leaves its idle session to the caller.
    pub(super) fn retire(&self, slot: &Slot<C>, cause: Disposal) -> Disposed<C> {
        let disposed = slot.dispose();
        if matches!(disposed, Disposed::Now { .. }) {
            lock(&self.places).open.remove(&slot.id);
            self.tell(&Event::Disposed { connection: slot.id, cause });
        }
        disposed
    }
}

impl<C: Connector> Member<C> {
    /// Ends this place: see [`Shared::dispose`].
    pub(super) fn dispose(&self, cause: Disposal, deadline: Instant) -> bool {
        self.shared.dispose(&self.slot, cause, deadline)
    }

    /// Ends this place and leaves its idle session to the caller.
    pub(super) fn retire(&self, cause: Disposal) -> Disposed<C> {
        self.shared.retire(&self.slot, cause)
    }
}

/// Takes back the seat of a healthy session.
#[inline]
pub(super) fn put_down<C: Connector>(slot: &Slot<C>, seat: Seat<C>) {
    if let Some(seat) = slot.give_back(seat) {
        close_late(seat);
    }
}

/// The place was disposed meanwhile (D5): what was in use is closed now that its operation has ended.
#[cold]
fn close_late<C: Connector>(seat: Seat<C>) {
    if let Some(session) = seat.session {
        let shared = Arc::clone(&session.shared);
        shared.close_session(*session, shared.close_by());
    }
}

/// Takes a used seat back. A broken session is dropped here, and with it an independent connection (B1, B2).
#[inline]
pub(super) fn check_in<C: Connector>(slot: &Slot<C>, mut seat: Seat<C>, broken: bool) {
    let healthy = |session: &mut Session<C>| {
        let Session { connection, shared, .. } = session;
        call_out(|| shared.connector.has_broken(connection)) == Some(false)
    };
    if !broken && seat.session.as_deref_mut().is_some_and(healthy) {
        put_down(slot, seat);
    } else {
        check_in_broken(slot, seat);
    }
}

#[cold]
fn check_in_broken<C: Connector>(slot: &Slot<C>, seat: Seat<C>) {
    let mut seated = Seated { slot, seat: Some(seat) };
    let Some(session) = seated.seat.as_mut().and_then(|seat| seat.session.take()) else { return };
    let shared = Arc::clone(&session.shared);
    if slot.kind == Kind::Independent {
        shared.retire(slot, Disposal::Broken);
    }
    shared.discard_session(*session);
}

impl<C: Connector> Seated<'_, C> {
    fn open(
        &mut self,
        shared: &Arc<Shared<C>>,
        thread: ThreadId,
        patience: &mut Patience,
    ) -> Result<(), Error<C::Error>> {
        let Some(seat) = self.seat.as_mut() else { return Ok(()) };
        let permit = match shared.capacity.acquire(thread, patience) {
            Ok(permit) => permit,
            Err(NoPermit::Closed) => return Err(shared.refuse(Refusal::ClientClosed, thread)),
            Err(NoPermit::Timeout { max_connections }) => {
                let awaited = Awaited::Capacity { max_connections };
                return Err(Error::WaitTimeout { awaited, waited: patience.waited() });
            }
        };
        let session = seat.next_session(self.slot.id);
        shared.tell(&Event::Opening { session, thread });
        match catch_unwind(AssertUnwindSafe(|| shared.connector.connect(session))) {
            Ok(Ok(connection)) => {
                shared.tell(&Event::Opened { session });
                let shared = Arc::clone(shared);
                seat.session = Some(Box::new(Session { id: session, connection, permit, shared }));
                Ok(())
            }
            Ok(Err(error)) => {
                shared.tell(&Event::OpenFailed { session });
                Err(Error::Connect { session, waited: patience.waited(), error })
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
        if let Some(seat) = self.seat.take() {
            put_down(self.slot, seat);
        }
    }
}

/// Tells the observer or gives a connection away; none if the other side panicked.
///
/// Most of these calls are made while a lease, a handle or a thread goes, where a panic would abort, or leave the rest
/// undone: the panic hook has told of it, and it goes no further.
#[inline]
fn call_out<R>(call: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(call)).ok()
}
