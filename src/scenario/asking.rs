//! Which threads have asked for a connection and have none yet. A step that begins is waited for until its thread stands in
//! line or dials.

use std::sync::{Mutex, PoisonError};

/// What each thread is doing.
#[derive(Debug)]
pub(super) struct Asking(Mutex<State>);

#[derive(Debug)]
struct State {
    threads: Vec<At>,
    /// How often anything changed: two looks with the same number saw the same.
    changes: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    /// It was told to begin, and has not reached an action.
    Told,
    /// It asks that client for a connection: it stands in line or dials, or will in a moment.
    Asks(usize),
    /// It has its connection, was refused, or asks for none.
    Works,
}

/// How far a thread is that was told to begin.
pub(super) enum Come {
    /// Not to its first action.
    No,
    /// It asks that client for a connection; `together` threads do, this one included.
    Asks { client: usize, together: usize, changes: u64 },
    /// It has been answered once.
    Yes,
}

impl Asking {
    pub(super) fn new(threads: usize) -> Self {
        Self(Mutex::new(State { threads: vec![At::Works; threads], changes: 0 }))
    }

    /// That thread is told to begin something.
    pub(super) fn told(&self, thread: usize) {
        self.set(thread, At::Told);
    }

    /// That thread asks this client for a connection.
    pub(super) fn asks(&self, thread: usize, client: usize) {
        self.set(thread, At::Asks(client));
    }

    /// That thread was answered, or asks nobody.
    pub(super) fn works(&self, thread: usize) {
        self.set(thread, At::Works);
    }

    pub(super) fn come(&self, thread: usize) -> Come {
        let state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match state.threads.get(thread) {
            Some(At::Told) => Come::No,
            Some(&at @ At::Asks(client)) => {
                let together = state.threads.iter().filter(|other| **other == at).count();
                Come::Asks { client, together, changes: state.changes }
            }
            Some(At::Works) | None => Come::Yes,
        }
    }

    /// Whether nothing changed since then.
    pub(super) fn stood_still(&self, changes: u64) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).changes == changes
    }

    fn set(&self, thread: usize, at: At) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.changes += 1;
        if let Some(place) = state.threads.get_mut(thread) {
            *place = at;
        }
    }
}
