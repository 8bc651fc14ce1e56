//! Where workers meet: to start together, and to keep what they hold until all are done.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Waits between two looks at whether the run was interrupted are no longer than this.
const LOOK: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(super) struct Meeting {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    started: Option<bool>,
    /// Workers that have issued their last operation, or died.
    done: usize,
    /// Workers that have nothing left to give back.
    gone: usize,
}

impl Meeting {
    /// Lets the workers start; or tells them to go home, if not all of them could be made.
    pub(super) fn start(&self, go: bool) {
        self.state().started = Some(go);
        self.changed.notify_all();
    }

    pub(super) fn wait_for_start(&self) -> bool {
        let mut state = self.state();
        loop {
            if let Some(go) = state.started {
                return go;
            }
            state = self.wait(state);
        }
    }

    /// This worker is done, now or when the returned value is dropped.
    pub(super) fn attend(&self) -> Attendance<'_> {
        Attendance { meeting: self, done: false }
    }

    pub(super) fn all_gone(&self, of: usize, wait: Duration) -> bool {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, wait, |state| state.gone < of);
        waited.unwrap_or_else(PoisonError::into_inner).0.gone >= of
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed.wait_timeout(state, LOOK).unwrap_or_else(PoisonError::into_inner).0
    }
}

/// One worker's presence; a panic ends it too, so that nobody waits for the dead.
pub(super) struct Attendance<'a> {
    meeting: &'a Meeting,
    done: bool,
}

impl Attendance<'_> {
    /// Waits until all `of` workers are done, or `enough` says so.
    pub(super) fn wait_for_all(&mut self, of: usize, enough: impl Fn() -> bool) {
        let mut state = self.meeting.state();
        state.done += 1;
        self.done = true;
        self.meeting.changed.notify_all();
        while state.done < of && !enough() {
            state = self.meeting.wait(state);
        }
    }
}

impl Drop for Attendance<'_> {
    fn drop(&mut self) {
        let mut state = self.meeting.state();
        if !self.done {
            state.done += 1;
        }
        state.gone += 1;
        drop(state);
        self.meeting.changed.notify_all();
    }
}
