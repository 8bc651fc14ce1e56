//! How a run is told to end early, from another thread: at the next operation, and no sleep keeps it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// Tells a run to stop. Shared between the run and whoever may interrupt it.
#[derive(Debug, Default)]
pub struct Control {
    interrupted: Mutex<Option<(i32, Instant)>>,
    changed: Condvar,
    /// The same for tasks, which must not block their thread.
    told: Notify,
}

impl Control {
    /// Ends the run early: operations under way may finish, none is issued. `signal` goes into the report.
    pub fn interrupt(&self, signal: i32) {
        let mut interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        interrupted.get_or_insert_with(|| (signal, Instant::now()));
        self.changed.notify_all();
        self.told.notify_waiters();
    }

    /// The signal that ended the run, and when.
    #[must_use]
    pub fn interrupted(&self) -> Option<(i32, Instant)> {
        *self.interrupted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rests for `pause`; false if the run was interrupted meanwhile.
    pub(super) fn rest(&self, pause: Duration) -> bool {
        let interrupted = self.interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self.changed.wait_timeout_while(interrupted, pause, |interrupted| interrupted.is_none());
        rested.unwrap_or_else(PoisonError::into_inner).0.is_none()
    }

    /// The same for an asynchronous task, whose thread goes on with others meanwhile.
    pub(super) async fn rest_asynchronously(&self, pause: Duration) -> bool {
        // Told of what happens from here on, whether it is polled by then or not.
        let told = self.told.notified();
        self.interrupted().is_none() && tokio::time::timeout(pause, told).await.is_err()
    }
}
