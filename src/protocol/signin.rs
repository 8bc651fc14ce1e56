//! Careful signing in (rule B6): one at a time until one has succeeded, none after one was refused, and none too soon where
//! the server asks for patience.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::classify::stated_wait;
use super::failure::{Failure, FailureKind, Stage};

/// What all sign-ins to one account pass through.
///
/// Retries with a wrong password get accounts locked and addresses banned (nextcloud/mail#9156): sixteen threads that
/// start together must cost the account one refused sign-in, not sixteen.
#[derive(Default)]
pub struct SignInGate {
    /// Set by the first success: then nobody waits, until the server refuses or asks for patience.
    open: AtomicBool,
    state: Mutex<State>,
    /// Woken whenever `state` changes. Few ever wait here, once per account, so waking all is cheap.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The dial under way.
    holder: Option<u64>,
    /// Those that wait, in the order of their arrival.
    queue: VecDeque<u64>,
    next: u64,
    /// Why nobody may pass any more.
    shut: Option<Failure>,
    /// Why the next one waits.
    hold: Option<Hold>,
    /// How many sign-ins in a row the server was not able, or not willing, to answer now.
    in_a_row: u32,
    /// Counts holds, so that of dials that were under way together only one counts as the next in a row.
    holds: u64,
}

/// The server has asked for patience.
struct Hold {
    until: Instant,
    /// What it said.
    cause: Failure,
}

/// So many of these in a row end all sign-ins.
const PATIENCE: u32 = 3;

/// Nobody who has waited dials with less time than this left.
const TOO_LITTLE: Duration = Duration::from_millis(5);

/// The longest hold where the server states none.
const LONGEST_HOLD: Duration = Duration::from_secs(60);

/// The right to dial and sign in now. Dropped without a verdict, it passes on to the next in the queue.
pub(super) struct Pass<'gate> {
    gate: &'gate SignInGate,
    holds: bool,
    /// The holds there had been when it was given.
    after: u64,
}

impl SignInGate {
    /// A gate through which nobody has passed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Waits for the turn to dial.
    pub(super) fn enter(&self, deadline: Instant) -> Result<Pass<'_>, Failure> {
        let mut state = self.lock();
        let me = state.next;
        state.next += 1;
        state.queue.push_back(me);
        let mut waited = false;
        let answer = loop {
            if let Some(failure) = state.shut.clone() {
                break Err(failure);
            }
            if self.open.load(Ordering::Acquire) {
                break Ok(Pass { gate: self, holds: false, after: state.holds });
            }
            let now = Instant::now();
            let mut until = deadline;
            if let Some(hold) = &state.hold {
                if hold.until >= deadline {
                    break Err(out_of_patience(hold, now));
                }
                until = hold.until.max(now);
            }
            let is_held = until > now && state.hold.is_some();
            let is_late = waited && deadline.saturating_duration_since(now) < TOO_LITTLE;
            if !is_held && !is_late && state.holder.is_none() && state.queue.front() == Some(&me) {
                state.holder = Some(me);
                break Ok(Pass { gate: self, holds: true, after: state.holds });
            }
            let left = if is_held { until } else { deadline }.saturating_duration_since(now);
            if left.is_zero() || is_late {
                let message = "not tried: until one sign-in to this account has succeeded nobody else dials, and the one under \
                               way took all the time; the server is slow, or it hangs";
                break Err(Failure::new(FailureKind::Timeout, Stage::Wait, message));
            }
            waited = true;
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        };
        state.queue.retain(|waiting| *waiting != me);
        drop(state);
        self.changed.notify_all();
        answer
    }

    /// Sends everyone away that waits or comes, with that failure.
    pub(super) fn shut(&self, failure: Failure) {
        let mut state = self.lock();
        state.shut.get_or_insert(failure);
        self.open.store(false, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said to whoever would have to wait past its deadline.
fn out_of_patience(hold: &Hold, now: Instant) -> Failure {
    let left = hold.until.saturating_duration_since(now).as_secs() + 1;
    let message = format!("not tried: after this answer to an earlier sign-in the next one waits {left} s more");
    told(&hold.cause, Stage::Wait, message)
}

/// The refusal of an earlier dial, told to one that was not tried.
fn told(cause: &Failure, stage: Stage, message: String) -> Failure {
    Failure {
        kind: cause.kind,
        stage,
        message,
        server_line: cause.server_line.clone(),
        further_lines: cause.further_lines.clone(),
    }
}

impl Pass<'_> {
    /// The sign-in succeeded: whoever comes now needs no gate.
    pub(super) fn accepted(self) {
        let mut state = self.gate.lock();
        if state.holds == self.after {
            state.in_a_row = 0;
            state.hold = None;
            if state.shut.is_none() {
                self.gate.open.store(true, Ordering::Release);
            }
        }
    }

    /// The server showed within the exchange that it is not to be trusted with another sign-in.
    pub(super) fn distrusted(self, failure: &Failure) {
        self.refused(failure, "");
    }

    /// The dial failed. A refusal of the account ends all further sign-ins to it; where the server is in trouble, or throttles,
    /// the next one waits as long as the server says, else 1, 2, 4 … 60 s; anything else holds nothing back (rule B6).
    /// `with` names what was presented, a password or a token.
    pub(super) fn failed(self, failure: &Failure, with: &str) {
        match failure.kind {
            FailureKind::AuthInvalid => self.refused(failure, &format!(" with this {with}")),
            FailureKind::AuthPolicy | FailureKind::AuthRefused => self.refused(failure, ""),
            FailureKind::ServerUnavailable | FailureKind::LimitRate => self.hold(failure),
            _ => {}
        }
    }

    fn refused(&self, failure: &Failure, only: &str) {
        // What to do is told by the one that was refused.
        let message =
            format!("not tried: an earlier sign-in to this account was refused, and another{only} would be too");
        self.gate.shut(told(failure, Stage::Auth, message));
    }

    fn hold(&self, failure: &Failure) {
        let stated = failure.server_line.as_deref().and_then(stated_wait).map(|wait| wait.duration);
        let mut state = self.gate.lock();
        if state.holds == self.after {
            state.in_a_row += 1;
            state.holds += 1;
        }
        let own = Duration::from_secs(1 << state.in_a_row.saturating_sub(1).min(6)).min(LONGEST_HOLD);
        let until = Instant::now() + stated.unwrap_or(own);
        if state.hold.as_ref().is_none_or(|hold| hold.until < until) {
            state.hold = Some(Hold { until, cause: failure.clone() });
        }
        self.gate.open.store(false, Ordering::Release);
        let is_enough = state.in_a_row >= PATIENCE;
        drop(state);
        if is_enough {
            let message = format!("not tried: {PATIENCE} sign-ins to this account in a row had such an answer");
            self.gate.shut(told(failure, Stage::Wait, message));
        }
        self.gate.changed.notify_all();
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.holds {
            self.gate.lock().holder = None;
            self.gate.changed.notify_all();
        }
    }
}
