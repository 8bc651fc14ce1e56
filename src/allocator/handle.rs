//! What a user holds of a connection: a handle, whose drop disposes it (rule D1).
//!
//! Handles hold their place weakly, so a forgotten handle keeps no client alive.

use std::fmt;
use std::marker::PhantomData;

use super::client::Client;
use super::connector::Connector;
use super::event::Disposal;
use super::id::ConnectionId;
use super::shared::{Member, Shared};
use super::sync::{Arc, Weak};

/// An independent connection (rule K3): used only when passed to [`Client::lease_on`]; any thread may.
#[must_use = "dropping the handle disposes the connection"]
pub struct Connection<C: Connector> {
    id: ConnectionId,
    /// Tells another client's connection even after both are gone (D6): a weak reference keeps the address unique.
    shared: Weak<Shared<C>>,
    member: Weak<Member<C>>,
}

impl<C: Connector> Connection<C> {
    pub(super) fn new(member: &Arc<Member<C>>) -> Self {
        Self { id: member.slot.id, shared: Arc::downgrade(&member.shared), member: Arc::downgrade(member) }
    }

    /// The connection's name.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Signs out and closes; a second call does nothing, and any use from now on is refused (D2). While an operation
    /// is using the connection, it is closed when that operation ends (D5).
    pub fn dispose(&self) {
        dispose(&self.member);
    }

    pub(super) fn is_of(&self, client: &Arc<Shared<C>>) -> bool {
        self.shared.as_ptr() == Arc::as_ptr(client)
    }

    pub(super) fn member(&self) -> Option<Arc<Member<C>>> {
        self.member.upgrade()
    }
}

impl<C: Connector> Drop for Connection<C> {
    fn drop(&mut self) {
        self.dispose();
    }
}

/// The default connection (rule K2) that this thread created by hand.
///
/// It belongs to its thread: the handle is not [`Send`].
///
/// ```compile_fail,E0277
/// fn assert_send<T: Send>() {}
/// fn elsewhere<C: mailconn::allocator::Connector>() {
///     assert_send::<mailconn::allocator::DefaultConnection<C>>();
/// }
/// ```
#[must_use = "dropping the handle disposes the connection; `leave` it to the thread if it shall outlive the handle"]
pub struct DefaultConnection<C: Connector> {
    id: ConnectionId,
    member: Weak<Member<C>>,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl<C: Connector> DefaultConnection<C> {
    pub(super) fn new(member: &Arc<Member<C>>) -> Self {
        Self { id: member.slot.id, member: Arc::downgrade(member), stays_on_its_thread: PhantomData }
    }

    /// The connection's name.
    #[must_use]
    pub const fn id(&self) -> ConnectionId {
        self.id
    }

    /// Signs out and closes: from now on the thread is as if it never had a default connection (D1). If it was
    /// disposed before, and even if the thread has another one since, this does nothing.
    pub fn dispose(self) {
        drop(self);
    }

    /// Leaves the connection to its thread: it serves every later use there, until
    /// [`Client::dispose_default_connection`], or until the thread ends.
    ///
    /// In a thread pool that is how one task's connection comes to serve the next task (rule H1).
    pub fn leave(mut self) {
        self.member = Weak::new();
    }
}

impl<C: Connector> Drop for DefaultConnection<C> {
    fn drop(&mut self) {
        dispose(&self.member);
    }
}

fn dispose<C: Connector>(member: &Weak<Member<C>>) {
    if let Some(member) = member.upgrade() {
        member.dispose(Disposal::ByHand, member.shared.close_by());
    }
}

/// Disposes this thread's default connection when the scope ends, by a panic too: the cure for rule H1's hazard.
#[must_use = "the scope ends where this value is dropped"]
pub struct ThreadScope<'a, C: Connector> {
    client: &'a Client<C>,
    stays_on_its_thread: PhantomData<*const ()>,
}

impl<'a, C: Connector> ThreadScope<'a, C> {
    pub(super) const fn new(client: &'a Client<C>) -> Self {
        Self { client, stays_on_its_thread: PhantomData }
    }
}

impl<C: Connector> Drop for ThreadScope<'_, C> {
    fn drop(&mut self) {
        self.client.dispose_default_connection();
    }
}

impl<C: Connector> fmt::Debug for Connection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").field(&self.id).finish()
    }
}

impl<C: Connector> fmt::Debug for DefaultConnection<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DefaultConnection").field(&self.id).finish()
    }
}

impl<C: Connector> fmt::Debug for ThreadScope<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ThreadScope").finish_non_exhaustive()
    }
}
