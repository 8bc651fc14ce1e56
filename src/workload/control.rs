//! How a run is told to end early, from another thread: at the next operation, and no sleep keeps it.

use std::sync::{Arc, Condvar, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Tells a run to stop. The run shares it with the code that may interrupt it.
#[derive(Debug, Default)]
pub struct Control {
    stopped: Mutex<Option<Stop>>,
    changed: Condvar,
    /// The same for tasks, which must not block their thread.
    told: Notify,
    /// That of the run under way, where this one is for several runs: what ends them all ends it.
    under_way: Mutex<Weak<Self>>,
}

/// Why a run ends early, and since when.
#[derive(Clone, Copy, Debug)]
struct Stop {
    /// None if its report cannot be written any more.
    signal: Option<i32>,
    at: Instant,
}

impl Control {
    /// For the next of several runs that `all` ends: what ends them all ends this one, and not the other way round.
    #[must_use]
    pub fn of_the_next(all: &Self) -> Arc<Self> {
        let next = Arc::new(Self::default());
        *all.under_way.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&next);
        if let Some(Stop { signal, .. }) = all.stopped() {
            next.stop(signal);
        }
        next
    }

    /// Ends the run early: operations under way may finish, none is issued. `signal` goes into the report.
    pub fn interrupt(&self, signal: i32) {
        self.stop(Some(signal));
    }

    /// Ends the run early in the same way, because its report cannot be written any more.
    pub fn give_up(&self) {
        self.stop(None);
    }

    fn stop(&self, signal: Option<i32>) {
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = stopped.get_or_insert_with(|| Stop { signal, at: Instant::now() });
        stop.signal = stop.signal.or(signal);
        self.changed.notify_all();
        drop(stopped);
        self.told.notify_waiters();
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
        if let Some(under_way) = under_way {
            under_way.stop(signal);
        }
    }

    /// When the run was told to end early, by a signal or for want of a reader.
    #[must_use]
    pub fn interrupted(&self) -> Option<Instant> {
        self.stopped().map(|stop| stop.at)
    }

    /// The first signal that told it so.
    #[must_use]
    pub fn signal(&self) -> Option<i32> {
        self.stopped().and_then(|stop| stop.signal)
    }

    fn stopped(&self) -> Option<Stop> {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rests for `pause`; false if the run was interrupted meanwhile.
    pub(crate) fn rest(&self, pause: Duration) -> bool {
        let stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self.changed.wait_timeout_while(stopped, pause, |stopped| stopped.is_none());
        rested.unwrap_or_else(PoisonError::into_inner).0.is_none()
    }

    /// The same for an asynchronous task, whose thread goes on with others meanwhile.
    pub(super) async fn rest_asynchronously(&self, pause: Duration) -> bool {
        // Told of what happens from here on, whether it is polled by then or not.
        let told = self.told.notified();
        self.interrupted().is_none() && tokio::time::timeout(pause, told).await.is_err()
    }
}
