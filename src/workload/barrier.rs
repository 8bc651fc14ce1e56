//! Keeps workers together: they start at once, begin their operations once all have created their connections, where that
//! matters, and keep their connections until all are done. Of tasks it only knows how many are not over.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Each wait has a condition variable of its own that is told once, when what it waits for has come: thousands of workers
/// that were woken whenever one of them is done would spend the run waking each other.
pub(super) struct Barrier {
    /// Workers that are expected.
    of: usize,
    state: Mutex<State>,
    started: Condvar,
    ready: Condvar,
    over: Condvar,
    all_gone: Condvar,
}

#[derive(Default)]
struct State {
    started: Option<bool>,
    /// Workers that have created their connections, or ended before.
    ready: usize,
    /// Workers that have issued their last operation, or ended before.
    done: usize,
    /// Nobody waits for the others any more.
    released: bool,
    /// Workers that have nothing left to give back.
    gone: usize,
}

impl Barrier {
    /// Of that number of workers.
    pub(super) fn of(workers: usize) -> Self {
        Self {
            of: workers,
            state: Mutex::default(),
            started: Condvar::new(),
            ready: Condvar::new(),
            over: Condvar::new(),
            all_gone: Condvar::new(),
        }
    }

    /// Lets the workers start, or end at once if not all of them could be made.
    pub(super) fn start(&self, go: bool) {
        self.state().started = Some(go);
        self.started.notify_all();
    }

    pub(super) fn wait_for_start(&self) -> bool {
        let waited = self.started.wait_while(self.state(), |state| state.started.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).started == Some(true)
    }

    /// This worker is done, now or when the returned value is dropped.
    pub(super) fn join(self: &Arc<Self>) -> Participant {
        Participant { barrier: Arc::clone(self), ready: false, done: false }
    }

    /// No worker waits for the others any more: the run was interrupted.
    pub(super) fn release(&self) {
        self.state().released = true;
        self.ready.notify_all();
        self.over.notify_all();
    }

    /// Whether all workers are gone; waits up to `wait` for it.
    pub(super) fn all_gone(&self, wait: Duration) -> bool {
        let waited = self.all_gone.wait_timeout_while(self.state(), wait, |state| state.gone < self.of);
        waited.unwrap_or_else(PoisonError::into_inner).0.gone >= self.of
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_is_ready(&self) {
        let mut state = self.state();
        state.ready += 1;
        if state.ready == self.of {
            drop(state);
            self.ready.notify_all();
        }
    }

    fn one_is_done(&self) {
        let mut state = self.state();
        state.done += 1;
        if state.done == self.of {
            drop(state);
            self.over.notify_all();
        }
    }
}

/// One worker or task that is not over. Dropping it counts it as over, after a panic too.
pub(super) struct Participant {
    barrier: Arc<Barrier>,
    ready: bool,
    done: bool,
}

impl Participant {
    /// Waits until all workers have created their connections, or the barrier is released.
    pub(super) fn wait_for_all_ready(&mut self) {
        self.ready = true;
        self.barrier.one_is_ready();
        let waiting = |state: &mut State| state.ready < self.barrier.of && !state.released;
        // Poisoned or not: the wait is over, and nothing here reads the state.
        drop(self.barrier.ready.wait_while(self.barrier.state(), waiting));
    }

    /// Waits until all workers are done, or the barrier is released.
    pub(super) fn wait_for_all(&mut self) {
        self.done = true;
        self.barrier.one_is_done();
        let waiting = |state: &mut State| state.done < self.barrier.of && !state.released;
        // Poisoned or not: the wait is over, and nothing here reads the state.
        drop(self.barrier.over.wait_while(self.barrier.state(), waiting));
    }
}

impl Drop for Participant {
    fn drop(&mut self) {
        if !self.ready {
            self.barrier.one_is_ready();
        }
        if !self.done {
            self.barrier.one_is_done();
        }
        let mut state = self.barrier.state();
        state.gone += 1;
        if state.gone == self.barrier.of {
            drop(state);
            self.barrier.all_gone.notify_all();
        }
    }
}
