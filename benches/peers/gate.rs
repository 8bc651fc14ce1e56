//! Ways to share one connection between threads, each as good as its kind gets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};

/// First come, first served: the turn goes from one thread's hands into the next one's, and nobody else is woken.
#[derive(Default)]
pub struct FairGate {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: bool,
    line: VecDeque<Arc<Turn>>,
}

/// A thread's place in the line, used again and again.
pub struct Turn {
    thread: Thread,
    come: AtomicBool,
}

impl Turn {
    pub fn of_this_thread() -> Arc<Self> {
        Arc::new(Self { thread: thread::current(), come: AtomicBool::new(false) })
    }
}

impl FairGate {
    pub fn enter(&self, turn: &Arc<Turn>) {
        {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if !state.taken {
                state.taken = true;
                return;
            }
            state.line.push_back(Arc::clone(turn));
        }
        while !turn.come.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }

    pub fn leave(&self) {
        let next = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let next = state.line.pop_front();
            state.taken = next.is_some();
            next
        };
        if let Some(next) = next {
            next.come.store(true, Ordering::Release);
            next.thread.unpark();
        }
    }
}
