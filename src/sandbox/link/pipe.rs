//! One direction of a link: what is put in at one end can be taken at the other when its time has come.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::sandbox::lock;

/// What is under way weighs no more than this. Linux lets a TCP connection have about as much.
const MOST: usize = 4 << 20;

/// What a part weighs beside its bytes.
const BESIDE: usize = 64;

/// Whether the session is to end, whatever its client does. Nothing takes time from then on.
pub type CalledOff = Arc<dyn Fn() -> bool + Send + Sync>;

/// It has two ends: one thread puts, one thread takes.
pub struct Pipe {
    delay: Duration,
    called_off: CalledOff,
    /// Held for no longer than it takes to copy a part.
    state: Mutex<State>,
    /// Of whatever the other end waits for.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Each with the time at which it can be taken.
    parts: VecDeque<(Instant, Vec<u8>)>,
    /// How much of the first one was taken.
    taken: usize,
    /// Of all parts.
    weight: usize,
    /// What comes behind them: the end of the stream, or an error.
    end: Option<(Instant, Result<(), ErrorKind>)>,
    /// Nobody takes any more, and this is why.
    abandoned: Option<ErrorKind>,
}

impl Pipe {
    pub fn new(delay: Duration, called_off: CalledOff) -> Self {
        Self { delay, called_off, state: Mutex::default(), changed: Condvar::new() }
    }

    /// Puts as much as there is room for, and says how much. Where there is no room it waits that long, then it is `WouldBlock`.
    pub fn put(&self, bytes: &[u8], patience: Duration) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        loop {
            if let Some(why) = state.abandoned {
                return Err(why.into());
            }
            let room = MOST.saturating_sub(state.weight + BESIDE).min(bytes.len());
            if room > 0 {
                // Else the other end waits for an earlier part.
                let is_first = state.parts.is_empty();
                state.weight += room + BESIDE;
                state.parts.push_back((Instant::now() + self.delay, bytes[..room].to_vec()));
                if is_first {
                    self.changed.notify_all();
                }
                return Ok(room);
            }
            if Instant::now() >= until {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.wait(state, Some(until));
        }
    }

    /// Nothing is put any more: the stream ends, or breaks for that reason. Only the first end counts.
    pub fn end(&self, how: Result<(), ErrorKind>) {
        let mut state = lock(&self.state);
        if state.end.is_none() {
            state.end = Some((Instant::now() + self.delay, how));
        }
        self.changed.notify_all();
    }

    /// Takes what has come, 0 bytes at the end of the stream. If nothing comes for that time it is `WouldBlock`.
    pub fn take(&self, buffer: &mut [u8], patience: Option<Duration>) -> io::Result<usize> {
        let until = patience.and_then(|patience| Instant::now().checked_add(patience));
        let mut state = lock(&self.state);
        loop {
            let now = if (self.called_off)() { None } else { Some(Instant::now()) };
            let has_come = |at: Instant| now.is_none_or(|now| at <= now);
            let next = match (state.parts.front().map(|(at, _)| *at), state.end) {
                (Some(at), _) if has_come(at) => {
                    let was_full = state.weight + BESIDE >= MOST;
                    let length = state.take(buffer, has_come);
                    if was_full {
                        self.changed.notify_all();
                    }
                    return Ok(length);
                }
                (None, Some((at, how))) if has_come(at) => return how.map(|()| 0).map_err(io::Error::from),
                (Some(at), _) | (None, Some((at, _))) => Some(at),
                (None, None) => None,
            };
            if state.abandoned.is_some() {
                return Err(ErrorKind::BrokenPipe.into());
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return Err(ErrorKind::WouldBlock.into());
            }
            state = self.wait(state, [next, until].into_iter().flatten().min());
        }
    }

    /// Nobody takes any more, for that reason: what is put fails. Only the first reason counts.
    pub fn abandon(&self, why: ErrorKind) {
        lock(&self.state).abandoned.get_or_insert(why);
        self.changed.notify_all();
    }

    pub fn is_abandoned(&self) -> bool {
        lock(&self.state).abandoned.is_some()
    }

    /// Waits until nobody takes any more, but no longer than this.
    pub fn await_abandoned(&self, patience: Duration) {
        let until = Instant::now() + patience;
        let mut state = lock(&self.state);
        while state.abandoned.is_none() && Instant::now() < until {
            state = self.wait(state, Some(until));
        }
    }

    /// Waits until then, or until it is called off, which the end of the stream tells.
    pub fn wait_until(&self, then: Instant) {
        let mut state = lock(&self.state);
        while Instant::now() < then && !(self.called_off)() {
            state = self.wait(state, Some(then));
        }
    }

    /// Until something has changed, but no longer than that.
    fn wait<'a>(&self, state: MutexGuard<'a, State>, until: Option<Instant>) -> MutexGuard<'a, State> {
        match until {
            None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
            }
        }
    }
}

impl State {
    /// Fills the buffer with what has come.
    fn take(&mut self, buffer: &mut [u8], has_come: impl Fn(Instant) -> bool) -> usize {
        let mut filled = 0;
        while let Some((at, part)) = self.parts.front()
            && has_come(*at)
            && filled < buffer.len()
        {
            let rest = &part[self.taken..];
            let length = rest.len().min(buffer.len() - filled);
            buffer[filled..filled + length].copy_from_slice(&rest[..length]);
            filled += length;
            self.taken += length;
            if self.taken == part.len() {
                self.weight -= part.len() + BESIDE;
                self.taken = 0;
                self.parts.pop_front();
            }
        }
        filled
    }
}
