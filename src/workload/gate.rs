//! Where workers meet: to start together, to begin together once all have created what is theirs, where that matters, and
//! to keep what they hold until all are done. Tasks only come and go.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Each wait has a condition variable of its own that is told once, when what it waits for has come: thousands of workers
/// that were woken whenever one of them is done would spend the run waking each other.
pub(super) struct Meeting {
    /// Workers that are expected.
    of: usize,
    state: Mutex<State>,
    started: Condvar,
    equipped: Condvar,
    over: Condvar,
    all_gone: Condvar,
}

#[derive(Default)]
struct State {
    started: Option<bool>,
    /// Workers that have created what is theirs, or died before.
    equipped: usize,
    /// Workers that have issued their last operation, or died.
    done: usize,
    /// Nobody waits for the others any more.
    dissolved: bool,
    /// Workers that have nothing left to give back.
    gone: usize,
}

impl Meeting {
    /// Of so many workers.
    pub(super) fn of(workers: usize) -> Self {
        Self {
            of: workers,
            state: Mutex::default(),
            started: Condvar::new(),
            equipped: Condvar::new(),
            over: Condvar::new(),
            all_gone: Condvar::new(),
        }
    }

    /// Lets the workers start; or tells them to go home, if not all of them could be made.
    pub(super) fn start(&self, go: bool) {
        self.state().started = Some(go);
        self.started.notify_all();
    }

    pub(super) fn wait_for_start(&self) -> bool {
        let waited = self.started.wait_while(self.state(), |state| state.started.is_none());
        waited.unwrap_or_else(PoisonError::into_inner).started == Some(true)
    }

    /// This worker is done, now or when the returned value is dropped.
    pub(super) fn attend(self: &Arc<Self>) -> Attendance {
        Attendance { meeting: Arc::clone(self), equipped: false, done: false }
    }

    /// Sends home whoever waits for the others: the run was interrupted.
    pub(super) fn dissolve(&self) {
        self.state().dissolved = true;
        self.equipped.notify_all();
        self.over.notify_all();
    }

    /// Whether all workers are gone; waits for it so long.
    pub(super) fn all_gone(&self, wait: Duration) -> bool {
        let waited = self.all_gone.wait_timeout_while(self.state(), wait, |state| state.gone < self.of);
        waited.unwrap_or_else(PoisonError::into_inner).0.gone >= self.of
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn one_is_equipped(&self) {
        let mut state = self.state();
        state.equipped += 1;
        if state.equipped == self.of {
            drop(state);
            self.equipped.notify_all();
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

/// One worker's presence; a panic ends it too, so that nobody waits for the dead.
pub(super) struct Attendance {
    meeting: Arc<Meeting>,
    equipped: bool,
    done: bool,
}

impl Attendance {
    /// Waits until all workers have created what is theirs, or the meeting is dissolved.
    pub(super) fn wait_for_all_equipped(&mut self) {
        self.equipped = true;
        self.meeting.one_is_equipped();
        let waiting = |state: &mut State| state.equipped < self.meeting.of && !state.dissolved;
        // Poisoned or not: the wait is over, and nothing here reads the state.
        drop(self.meeting.equipped.wait_while(self.meeting.state(), waiting));
    }

    /// Waits until all workers are done, or the meeting is dissolved.
    pub(super) fn wait_for_all(&mut self) {
        self.done = true;
        self.meeting.one_is_done();
        let waiting = |state: &mut State| state.done < self.meeting.of && !state.dissolved;
        // Poisoned or not: the wait is over, and nothing here reads the state.
        drop(self.meeting.over.wait_while(self.meeting.state(), waiting));
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        if !self.equipped {
            self.meeting.one_is_equipped();
        }
        if !self.done {
            self.meeting.one_is_done();
        }
        let mut state = self.meeting.state();
        state.gone += 1;
        if state.gone == self.meeting.of {
            drop(state);
            self.meeting.all_gone.notify_all();
        }
    }
}
