//! The primitives of this room: std's, or a model checker's under its cfg.
//!
//! Time passes through here too: the model has no clock, so under it a deadline never comes.

use std::time::{Duration, Instant};

#[cfg(not(mailconn_model))]
pub(super) use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak, atomic},
    thread::{self, ThreadId},
    thread_local,
};

#[cfg(mailconn_model)]
pub(super) use {
    shuttle::{
        sync::{Arc, Condvar, Mutex, MutexGuard, Weak, atomic},
        thread::{self, ThreadId},
        thread_local,
    },
    std::sync::PoisonError,
};

/// Locks; a panic in another thread's critical section is that thread's to report, and none of ours leaves a state
/// half-changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sleeps on `condvar` until it is notified or `deadline` has come; spurious wake-ups pass through.
pub(super) fn wait_until<'a, T>(condvar: &Condvar, guard: MutexGuard<'a, T>, deadline: Instant) -> MutexGuard<'a, T> {
    #[cfg(not(mailconn_model))]
    {
        let left = deadline.saturating_duration_since(Instant::now());
        condvar.wait_timeout(guard, left).map_or_else(|poisoned| poisoned.into_inner().0, |(guard, _)| guard)
    }
    #[cfg(mailconn_model)]
    {
        let _ = deadline;
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long one request may stand in line in all, over every line it joins. The clock is read only when it must wait.
pub(super) struct Patience {
    limit: Duration,
    waited: Duration,
}

impl Patience {
    pub(super) const fn new(limit: Duration) -> Self {
        Self { limit, waited: Duration::ZERO }
    }

    /// Runs a wait that ends at the deadline it is given.
    pub(super) fn spend<T>(&mut self, wait: impl FnOnce(Instant) -> T) -> T {
        let began = Instant::now();
        let left = self.limit.saturating_sub(self.waited);
        let result = wait(began.checked_add(left).unwrap_or_else(|| far_future(began)));
        self.waited += began.elapsed();
        result
    }

    /// How long it has stood in line: zero if it never had to.
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }
}

/// Whether the moment has come; in the model it never does.
pub(super) fn has_come(deadline: Instant) -> bool {
    cfg!(not(mailconn_model)) && Instant::now() >= deadline
}

/// A moment nobody lives to see, for limits beyond what the clock can express.
fn far_future(from: Instant) -> Instant {
    from + Duration::from_secs(100 * 365 * 24 * 3600)
}
