//! A line of waiting threads: first come, first served, by direct hand-over (rule W1).
//!
//! What is waited for goes from one thread's hands into the next one's, so no newcomer can snatch it on the way and
//! nobody is woken in vain. The line lives inside the lock of whatever it waits for; a thread stands in it at most
//! once, so it is never longer than there are threads.

use std::collections::VecDeque;
use std::time::Instant;

use super::sync::{Arc, Condvar, Mutex, Patience, ThreadId, has_come, lock, wait_until};

pub(super) struct Line<T> {
    waiting: VecDeque<Arc<Ticket<T>>>,
}

/// One thread's place in a line.
pub(super) struct Ticket<T> {
    /// Who waits: it becomes the holder of what it is handed.
    thread: ThreadId,
    /// Written once by whoever serves the line, under the line's lock; read by the waiting thread.
    answer: Mutex<Option<Answer<T>>>,
    turn: Condvar,
}

/// The thread that was served: it has what it waited for, and may not know it yet.
///
/// To be woken outside the line's lock: waking is a system call, and those who come meanwhile would wait for it.
#[must_use = "the thread sleeps until it is woken"]
pub(super) struct Served<T>(Arc<Ticket<T>>);

impl<T> Served<T> {
    pub(super) fn thread(&self) -> ThreadId {
        self.0.thread
    }

    pub(super) fn wake(self) {
        self.0.turn.notify_one();
    }
}

pub(super) enum Answer<T> {
    /// What was waited for.
    Served(T),
    /// It will never come: its place was disposed.
    Dismissed,
}

impl<T> Line<T> {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new() }
    }

    /// How many stand in it.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    pub(super) fn join(&mut self, thread: ThreadId) -> Arc<Ticket<T>> {
        let ticket = Arc::new(Ticket { thread, answer: Mutex::new(None), turn: Condvar::new() });
        self.waiting.push_back(Arc::clone(&ticket));
        ticket
    }

    /// Hands `thing` to the first in line, who is still to be woken; gives it back when nobody waits.
    #[inline]
    pub(super) fn serve(&mut self, thing: T) -> Result<Served<T>, T> {
        match self.waiting.pop_front() {
            Some(ticket) => {
                ticket.answer(Answer::Served(thing));
                Ok(Served(ticket))
            }
            None => Err(thing),
        }
    }

    pub(super) fn dismiss_all(&mut self) {
        for ticket in self.waiting.drain(..) {
            ticket.answer(Answer::Dismissed);
            ticket.turn.notify_one();
        }
    }

    /// Steps out of the line after a deadline; false if the ticket was answered meanwhile.
    fn leave(&mut self, ticket: &Arc<Ticket<T>>) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|other| !Arc::ptr_eq(other, ticket));
        self.waiting.len() < before
    }
}

impl<T> Ticket<T> {
    fn answer(&self, answer: Answer<T>) {
        *lock(&self.answer) = Some(answer);
    }

    fn wait(&self, deadline: Instant) -> Option<Answer<T>> {
        let mut answer = lock(&self.answer);
        while answer.is_none() && !has_come(deadline) {
            answer = wait_until(&self.turn, answer, deadline);
        }
        answer.take()
    }
}

/// Waits for a ticket's answer as long as patience lasts; none means that the thread has left the line.
///
/// `inside` finds the line behind its lock: an answer that comes between the deadline and the leaving counts.
pub(super) fn stand<S, T>(
    ticket: &Arc<Ticket<T>>,
    patience: &mut Patience,
    state: &Mutex<S>,
    inside: impl FnOnce(&mut S) -> &mut Line<T>,
) -> Option<Answer<T>> {
    patience.spend(|deadline| {
        ticket.wait(deadline).or_else(|| {
            let left = inside(&mut lock(state)).leave(ticket);
            if left { None } else { lock(&ticket.answer).take() }
        })
    })
}
