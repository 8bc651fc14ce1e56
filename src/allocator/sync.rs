//! The primitives of this room: std's, or a model checker's under its cfg.
//!
//! Time passes through here too: the model's threads wake for each other, never for the clock, so under it a deadline
//! has come from the beginning or is too far away to come.

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
#[inline]
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
        let result = wait(later(began, self.limit.saturating_sub(self.waited)));
        self.waited += began.elapsed();
        result
    }

    /// How long it has stood in line: zero if it never had to.
    pub(super) const fn waited(&self) -> Duration {
        self.waited
    }
}

/// Whether the moment has come.
pub(super) fn has_come(deadline: Instant) -> bool {
    Instant::now() >= deadline
}

/// The moment so long from now.
pub(super) fn after(limit: Duration) -> Instant {
    later(Instant::now(), limit)
}

/// Limits beyond what the clock can express end at a moment nobody lives to see.
fn later(from: Instant, limit: Duration) -> Instant {
    from.checked_add(limit).unwrap_or_else(|| from + Duration::from_secs(100 * 365 * 24 * 3600))
}

/// When the first of so many things still to be done in turn should be done, so that each gets its time.
pub(super) fn fair_share(deadline: Instant, in_turn: usize) -> Instant {
    let now = Instant::now();
    let share = deadline.saturating_duration_since(now) / u32::try_from(in_turn).unwrap_or(u32::MAX).max(1);
    now + share.max(Duration::from_millis(1))
}

/// Spawns a scoped thread; none if the system has no more to give.
pub(super) fn spawn_scoped<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    run: impl FnOnce() + Send + 'scope,
) -> Option<thread::ScopedJoinHandle<'scope, ()>> {
    #[cfg(not(mailconn_model))]
    {
        thread::Builder::new().spawn_scoped(scope, run).ok()
    }
    #[cfg(mailconn_model)]
    {
        Some(scope.spawn(run))
    }
}
