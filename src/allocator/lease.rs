//! Exclusive use of one connection for one unit of work (rule A7).

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

use super::connector::Connector;
use super::id::{ConnectionId, SessionId};
use super::mode::{Kind, Mode, Reason};
use super::shared::check_in;
use super::slot::{Seat, Slot};
use super::sync::{Arc, thread};
use super::thread::Own;

/// What the rule looks at, and its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The mode in force.
    pub mode: Mode,
    /// Whether this thread has a default connection.
    pub had_default: bool,
    /// What the rule makes of these.
    pub reason: Reason,
}

/// Which connection an operation got, and everything the rule looked at to choose it (rule A6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The mode in force when it was decided.
    pub mode: Mode,
    /// Whether this thread had a default connection then.
    pub had_default: bool,
    /// The connection that was passed, if one was.
    pub passed: Option<ConnectionId>,
    /// What the rule made of these.
    pub reason: Reason,
    /// What the connection is to its client.
    pub kind: Kind,
    /// The connection, and which of its sessions: an operation that relies on what an earlier session knew (its
    /// selected mailbox) compares them (B3).
    pub session: SessionId,
    /// Whether this operation had to open the session.
    pub opened: bool,
    /// How long it stood in line, for the connection and for room under `max_connections`.
    pub waited: Duration,
}

/// One connection, to this thread alone until the lease is dropped.
///
/// It stays on its thread (W3): a lease is not [`Send`].
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// fn elsewhere<C: mailconn::allocator::Connector>() {
///     assert_send::<mailconn::allocator::Lease<C>>();
/// }
/// ```
///
/// Dropped while its thread panics, it counts the connection as broken: it may be in the middle of a reply (B1).
#[must_use = "a lease that is dropped at once used no connection"]
pub struct Lease<C: Connector> {
    home: Home<C>,
    /// None only while it is dropped.
    seat: Option<Seat<C>>,
    assignment: Assignment,
    broken: bool,
    stays_on_its_thread: PhantomData<*const ()>,
}

/// Where the seat goes back to.
pub(super) enum Home<C: Connector> {
    /// This thread's own default connection: counted without an atomic, for neither leaves the thread.
    Own(Rc<Own<C>>),
    /// One that other threads may ask for.
    Common(Arc<Slot<C>>),
}

impl<C: Connector> Home<C> {
    #[inline]
    pub(super) fn slot(&self) -> &Slot<C> {
        match self {
            Self::Own(own) => &own.slot,
            Self::Common(slot) => slot,
        }
    }
}

impl<C: Connector> Lease<C> {
    #[inline]
    pub(super) fn new(home: Home<C>, seat: Seat<C>, assignment: Assignment) -> Self {
        Self { home, seat: Some(seat), assignment, broken: false, stays_on_its_thread: PhantomData }
    }

    /// Which connection this is, and why.
    pub const fn assignment(&self) -> &Assignment {
        &self.assignment
    }

    /// Ends the lease and drops the connection, which must not be used again (rule B1), whatever
    /// [`Connector::has_broken`] would say.
    pub fn discard(mut self) {
        self.broken = true;
    }
}

impl<C: Connector> Deref for Lease<C> {
    type Target = C::Connection;

    #[expect(clippy::expect_used, reason = "a lease is made with an open session, which only its drop takes away")]
    fn deref(&self) -> &C::Connection {
        &self.seat.as_ref().and_then(|seat| seat.session.as_ref()).expect("a lease has a session").connection
    }
}

impl<C: Connector> DerefMut for Lease<C> {
    #[expect(clippy::expect_used, reason = "a lease is made with an open session, which only its drop takes away")]
    fn deref_mut(&mut self) -> &mut C::Connection {
        &mut self.seat.as_mut().and_then(|seat| seat.session.as_mut()).expect("a lease has a session").connection
    }
}

impl<C: Connector> Drop for Lease<C> {
    #[inline]
    fn drop(&mut self) {
        if let Some(seat) = self.seat.take() {
            check_in(self.home.slot(), seat, self.broken || thread::panicking());
        }
    }
}

impl<C: Connector> fmt::Debug for Lease<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("assignment", &self.assignment).finish_non_exhaustive()
    }
}
