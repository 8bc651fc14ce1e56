//! Thread identity, and the guard that disposes a thread's default connections when it ends (rule D3).
//!
//! A thread's default connection is found by thread identity alone (C5), so each thread remembers its own: no map to
//! lock, whatever the number of threads. It remembers weakly: a client does not live on in a thread's memory.

use std::any::Any;
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connector::Connector;
use super::slot::Slot;
use super::sync::{Arc, ThreadId, Weak, after, fair_share, thread, thread_local};

/// How long a thread may take to sign its connections out when it ends, all clients together: D3 says "within a
/// second, whatever the server does".
const EXIT_TIMEOUT: Duration = Duration::from_millis(750);

/// The place of a default connection, as the thread sees it: whatever its client's connector.
pub(super) trait Place: Send + Sync {
    /// The thread ends: sign out by `deadline`.
    fn thread_ends(self: Arc<Self>, deadline: Instant);
}

thread_local! {
    static THIS_THREAD: ThisThread = ThisThread { id: thread::current().id(), defaults: RefCell::new(Vec::new()) };
}

struct ThisThread {
    /// Asking the runtime each time would cost more than the rest of a lease.
    id: ThreadId,
    /// At most one per client; entries of dead places go at the next registration.
    defaults: RefCell<Vec<Entry>>,
}

struct Entry {
    /// The client's address. Another client can come to have it later; by then this place is disposed.
    client: usize,
    /// The place's [`Own`], whatever its client's connector.
    own: Rc<dyn Any>,
    place: Weak<dyn Place>,
}

/// What a thread remembers of its default connection: all that a lease needs, and too little to keep the client alive,
/// for a disposed slot is empty.
///
/// A lease of it stays on the thread too, so the two share it without an atomic count.
pub(super) struct Own<C: Connector> {
    pub(super) slot: Arc<Slot<C>>,
}

/// This thread, and the default connection it has.
pub(super) type Looked<C> = (ThreadId, Option<Rc<Own<C>>>);

/// The thread's own variables are gone, or going.
pub(super) struct Ending;

/// This thread's identity, and its default connection with the client at that address.
#[inline]
pub(super) fn look<C: Connector>(client: usize) -> Result<Looked<C>, Ending> {
    let looked = THIS_THREAD.try_with(|this| {
        let defaults = this.defaults.borrow();
        let found = defaults.iter().find(|entry| entry.client == client).map(|entry| Rc::clone(&entry.own));
        let own = found.and_then(|own| own.downcast::<Own<C>>().ok());
        // The place may have been disposed from elsewhere: by its client's close.
        (this.id, own.filter(|own| !own.slot.is_disposed()))
    });
    looked.map_err(|_| Ending)
}

/// This thread's identity, known even while the thread ends.
pub(super) fn id() -> ThreadId {
    THIS_THREAD.try_with(|this| this.id).unwrap_or_else(|_| thread::current().id())
}

/// Remembers this thread's default connection with a client; it replaces a disposed one.
pub(super) fn remember(client: usize, own: Rc<dyn Any>, place: Weak<dyn Place>) -> Result<(), Ending> {
    let remembered = THIS_THREAD.try_with(|this| {
        let mut defaults = this.defaults.borrow_mut();
        defaults.retain(|entry| entry.client != client && entry.place.strong_count() > 0);
        defaults.push(Entry { client, own, place });
    });
    remembered.map_err(|_| Ending)
}

impl Drop for ThisThread {
    fn drop(&mut self) {
        let mut places: Vec<_> = self.defaults.take().into_iter().filter_map(|entry| entry.place.upgrade()).collect();
        if places.is_empty() {
            return;
        }
        let deadline = after(EXIT_TIMEOUT);
        while let Some(place) = places.pop() {
            // One client's server that does not answer must not cost another client's its LOGOUT.
            let share = fair_share(deadline, places.len() + 1);
            // A panic that leaves a thread-local's destructor aborts the process; the connection is dropped either way.
            let _ = catch_unwind(AssertUnwindSafe(|| place.thread_ends(share)));
        }
    }
}
