//! Careful signing in (rule B6): one at a time until one has succeeded, none after one was refused, and none too soon where
//! the server asks for patience, or no token could be had.

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
    /// How many dials in a row ended for want of a token that the server takes.
    without_token: u32,
    /// The dial under way waits for its token, not for the server.
    is_fetching: bool,
}

/// The next sign-in must not begin yet.
struct Hold {
    until: Instant,
    /// What the dial before it met.
    cause: Failure,
    why: Why,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The server has asked for patience.
    Patience,
    /// No token could be fetched.
    NoToken,
    /// The server refused the token, or the fetch gave the refused one again.
    TokenRefused,
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
                // Those that come soon after the refusal of a token would be refused too, and are not kept waiting for it.
                let is_waited_out = match hold.why {
                    Why::Patience => true,
                    Why::NoToken => state.without_token < PATIENCE,
                    Why::TokenRefused => false,
                };
                if hold.until >= deadline || (hold.until > now && !is_waited_out) {
                    break Err(hold.told(now));
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
                let message = if state.is_fetching {
                    "not tried: until one sign-in to this account has succeeded nobody else dials, and the one under way took \
                     all the time to fetch its token"
                } else {
                    "not tried: until one sign-in to this account has succeeded nobody else dials, and the one under way took \
                     all the time; the server is slow, or it hangs"
                };
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

    /// Whether a sign-in needs no turn.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// From now on one at a time signs in, as before the first success.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        if self.open.swap(false, Ordering::AcqRel) {
            state.holds += 1;
        }
    }

    /// What was refused is not what signs in from now on: one at a time may try. What the server has asked for it still gets.
    pub(super) fn reopen(&self) {
        let mut state = self.lock();
        state.shut = None;
        state.hold.take_if(|hold| hold.why != Why::Patience);
        state.in_a_row = 0;
        state.without_token = 0;
        state.holds += 1;
        self.open.store(false, Ordering::Release);
        drop(state);
        self.changed.notify_all();
    }

    /// Sends everyone away after that refusal of the account; of what was presented alone, if that `was_wrong`.
    pub(super) fn shut_after(&self, refusal: &Failure, was_wrong: bool) {
        let only = if was_wrong { " with this password" } else { "" };
        // What to do is told by the one that was refused.
        let message =
            format!("not tried: an earlier sign-in to this account was refused, and another{only} would be too");
        self.shut(told(refusal, Stage::Auth, message));
    }

    /// Notes whether the dial that has the turn waits for its token.
    pub(super) fn set_fetching(&self, is_fetching: bool) {
        self.lock().is_fetching = is_fetching;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Hold {
    /// What is said to whoever is not kept waiting, or would have to wait past its deadline.
    fn told(&self, now: Instant) -> Failure {
        let left = self.until.saturating_duration_since(now).as_secs() + 1;
        let (stage, message) = match self.why {
            Why::Patience => (
                Stage::Wait,
                format!("not tried: after this answer to an earlier sign-in the next one waits {left} s more"),
            ),
            Why::NoToken => {
                (Stage::Wait, format!("not tried: {}; none is fetched for {left} s more", self.cause.message))
            }
            Why::TokenRefused => (
                Stage::Auth,
                format!(
                    "not tried: an earlier sign-in to this account was refused, and another with this token would be too; \
                     no other is fetched for {left} s more"
                ),
            ),
        };
        told(&self.cause, stage, message)
    }
}

/// The refusal of an earlier dial, told to one that was not tried.
pub(super) fn told(cause: &Failure, stage: Stage, message: String) -> Failure {
    Failure {
        kind: cause.kind,
        stage,
        message,
        server_line: cause.server_line.clone(),
        further_lines: cause.further_lines.clone(),
    }
}

impl Pass<'_> {
    /// Whether this dial alone may sign in.
    pub(super) const fn is_turn(&self) -> bool {
        self.holds
    }

    /// The sign-in succeeded: whoever comes now needs no gate.
    pub(super) fn accepted(self) {
        let mut state = self.gate.lock();
        if state.holds == self.after {
            state.in_a_row = 0;
            state.without_token = 0;
            state.hold = None;
            if state.shut.is_none() {
                self.gate.open.store(true, Ordering::Release);
            }
        }
    }

    /// The server showed within the exchange that it is not to be trusted with another sign-in.
    pub(super) fn distrusted(self, failure: &Failure) {
        self.gate.shut_after(failure, false);
    }

    /// The dial failed. A refusal of the account ends all further sign-ins to it; where the server is in trouble, or throttles,
    /// the next one waits as long as the server says, else 1, 2, 4 … 60 s; anything else holds nothing back (rule B6). After
    /// the refusal of a token another may be tried, as late as after trouble.
    pub(super) fn failed(self, failure: &Failure, is_token: bool) {
        match failure.kind {
            FailureKind::AuthInvalid | FailureKind::AuthRefused if is_token => {
                self.without_token(failure, Why::TokenRefused);
            }
            FailureKind::AuthInvalid => self.gate.shut_after(failure, true),
            FailureKind::AuthPolicy | FailureKind::AuthRefused => self.gate.shut_after(failure, false),
            FailureKind::ServerUnavailable | FailureKind::LimitRate => self.hold(failure),
            _ => {}
        }
    }

    /// No token could be fetched.
    pub(super) fn had_no_token(self, failure: &Failure) {
        self.without_token(failure, Why::NoToken);
    }

    fn without_token(&self, failure: &Failure, why: Why) {
        let mut state = self.gate.lock();
        // A dial of before says nothing of the token at hand.
        if state.holds == self.after {
            state.without_token += 1;
            state.holds += 1;
            let until = Instant::now() + own_hold(state.without_token);
            if state.hold.as_ref().is_none_or(|hold| hold.until < until) {
                state.hold = Some(Hold { until, cause: failure.clone(), why });
            }
            self.gate.open.store(false, Ordering::Release);
        }
        drop(state);
        self.gate.changed.notify_all();
    }

    fn hold(&self, failure: &Failure) {
        let stated = failure.server_line.as_deref().and_then(stated_wait).map(|wait| wait.duration);
        let mut state = self.gate.lock();
        if state.holds == self.after {
            state.in_a_row += 1;
            state.holds += 1;
        }
        let until = Instant::now() + stated.unwrap_or_else(|| own_hold(state.in_a_row));
        if state.hold.as_ref().is_none_or(|hold| hold.until < until) {
            state.hold = Some(Hold { until, cause: failure.clone(), why: Why::Patience });
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

/// 1, 2, 4 … 60 s.
fn own_hold(in_a_row: u32) -> Duration {
    Duration::from_secs(1 << in_a_row.saturating_sub(1).min(6)).min(LONGEST_HOLD)
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.holds {
            self.gate.lock().holder = None;
            self.gate.changed.notify_all();
        }
    }
}
