//! Which threads wait for a connection. A step that begins is over once its thread stands in line or dials.

use std::sync::{Mutex, PoisonError};

/// The state of each thread.
#[derive(Debug)]
pub(super) struct ThreadStates(Mutex<State>);

#[derive(Debug)]
struct State {
    threads: Vec<ThreadState>,
    /// The number of changes: two looks with the same number saw the same.
    changes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ThreadState {
    /// It was told to begin, and has not reached an action.
    Starting,
    /// It waits for a connection of that client: it stands in line or dials, or will in a moment.
    Waiting(usize),
    /// It has its connection, was refused, or needs none.
    Running,
}

/// Whether a thread has begun what it was told to begin.
pub(super) enum Begun {
    /// It has not reached its first action.
    No,
    /// It waits for a connection of that client; `together` threads do, this one included.
    Waiting { client: usize, together: usize, changes: u64 },
    /// It has had an answer.
    Yes,
}

impl ThreadStates {
    pub(super) fn new(threads: usize) -> Self {
        Self(Mutex::new(State { threads: vec![ThreadState::Running; threads], changes: 0 }))
    }

    /// That thread is told to begin something.
    pub(super) fn starts(&self, thread: usize) {
        self.set(thread, ThreadState::Starting);
    }

    /// That thread needs a connection of this client.
    pub(super) fn waits_for(&self, thread: usize, client: usize) {
        self.set(thread, ThreadState::Waiting(client));
    }

    /// That thread has its answer, or needs no connection.
    pub(super) fn runs(&self, thread: usize) {
        self.set(thread, ThreadState::Running);
    }

    pub(super) fn begun(&self, thread: usize) -> Begun {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.threads.get(thread) {
            Some(ThreadState::Starting) => Begun::No,
            Some(&waiting @ ThreadState::Waiting(client)) => {
                let together = state.threads.iter().filter(|other| **other == waiting).count();
                Begun::Waiting { client, together, changes: state.changes }
            }
            Some(ThreadState::Running) | None => Begun::Yes,
        }
    }

    /// Whether nothing changed since then.
    pub(super) fn stood_still(&self, changes: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changes == changes
    }

    fn set(&self, thread: usize, to: ThreadState) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.changes += 1;
        if let Some(thread) = state.threads.get_mut(thread) {
            *thread = to;
        }
    }
}
