//! Careful signing in (rule B6): one at a time until one has succeeded, and none after one was refused.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::failure::{Failure, FailureKind, Stage};

/// What all sign-ins to one account pass through.
///
/// Retries with a wrong password get accounts locked and addresses banned (nextcloud/mail#9156): sixteen threads that
/// start together must cost the account one refused sign-in, not sixteen.
#[derive(Default)]
pub struct SignInGate {
    /// Set by the first success; while it is set nobody takes the lock.
    open: AtomicBool,
    state: Mutex<State>,
    /// Woken whenever `state` changes. Few ever wait here, once per account, so waking all is cheap.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// The sign-in under way.
    holder: Option<u64>,
    /// Those that wait, in the order of their arrival.
    queue: VecDeque<u64>,
    next: u64,
    /// Why nobody may pass any more.
    shut: Option<Failure>,
}

/// The right to sign in now. Dropped without a verdict, it passes on to the next in the queue.
pub(super) struct Pass<'gate> {
    gate: &'gate SignInGate,
    holds: bool,
}

impl SignInGate {
    /// A gate through which nobody has passed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The failure of whoever asks now, if the gate is shut.
    pub(super) fn is_shut(&self) -> Option<Failure> {
        if self.open.load(Ordering::Acquire) { None } else { self.lock().shut.clone() }
    }

    /// Waits for the turn to sign in.
    pub(super) fn enter(&self, deadline: Instant) -> Result<Pass<'_>, Failure> {
        if self.open.load(Ordering::Acquire) {
            return Ok(Pass { gate: self, holds: false });
        }
        let mut state = self.lock();
        let me = state.next;
        state.next += 1;
        state.queue.push_back(me);
        loop {
            if self.open.load(Ordering::Acquire) {
                state.queue.retain(|waiting| *waiting != me);
                return Ok(Pass { gate: self, holds: false });
            }
            if let Some(failure) = state.shut.clone() {
                state.queue.retain(|waiting| *waiting != me);
                return Err(failure);
            }
            if state.holder.is_none() && state.queue.front() == Some(&me) {
                state.queue.pop_front();
                state.holder = Some(me);
                return Ok(Pass { gate: self, holds: true });
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                state.queue.retain(|waiting| *waiting != me);
                drop(state);
                self.changed.notify_all();
                let message = "not tried: an earlier sign-in to this account took all the time there was; the server is slow, \
                               or it hangs";
                return Err(Failure::new(FailureKind::Timeout, Stage::Auth, message));
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
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

/// Whether a sign-in that failed like this was refused, so that no other may be tried (rule B6).
///
/// Whatever a server objects to, it answers the next attempt alike, or locks the account for it. Not so a limit on
/// connections, which passes when one closes; and where nothing was said to user and password, nothing was refused.
const fn ends_sign_ins(kind: FailureKind) -> bool {
    use FailureKind::{
        AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, LimitRate, ServerBad, ServerNo, ServerUnavailable,
    };
    matches!(
        kind,
        AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported | LimitRate | ServerNo | ServerBad | ServerUnavailable
    )
}

impl Pass<'_> {
    /// The sign-in succeeded: whoever comes now needs no gate.
    pub(super) fn accepted(self) {
        if self.holds && self.gate.lock().shut.is_none() {
            self.gate.open.store(true, Ordering::Release);
        }
    }

    /// The server showed within the exchange that it is not to be trusted with another sign-in.
    pub(super) fn distrusted(self, failure: &Failure) {
        self.end(failure, "");
    }

    /// The sign-in failed: if the server refused it nobody else shall try, and all are told the same.
    /// `with` names what was presented, a password or a token.
    pub(super) fn failed(self, failure: &Failure, with: &str) {
        if !ends_sign_ins(failure.kind) {
            return;
        }
        let only = if failure.kind == FailureKind::AuthInvalid { format!(" with this {with}") } else { String::new() };
        self.end(failure, &only);
    }

    fn end(self, failure: &Failure, only: &str) {
        self.gate.shut(Failure {
            kind: failure.kind,
            stage: Stage::Auth,
            // What to do is told by the one that was refused.
            message: format!(
                "not tried: an earlier sign-in to this account was refused, and another{only} would be too"
            ),
            server_line: failure.server_line.clone(),
            further_lines: failure.further_lines.clone(),
        });
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
