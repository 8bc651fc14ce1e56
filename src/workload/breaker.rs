//! Whether the server answers at all.
//!
//! Threads that share one connection dial it in turn when it cannot be opened: each would wait its whole deadline for a
//! server that is not there. So until a session has been opened, the first dial that found no answer in time, or a
//! certificate not to be trusted, speaks for those that have not begun.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::protocol::{DialFailure, FailureKind, Phases, Stage};

#[derive(Default)]
pub(crate) struct Breaker {
    /// A session was opened: the server is there.
    reached: AtomicBool,
    unanswered: OnceLock<DialFailure>,
}

impl Breaker {
    /// For a scenario, which asks for each dial by name: none is left out.
    pub(crate) fn of_a_script() -> Self {
        Self { reached: AtomicBool::new(true), ..Self::default() }
    }

    /// Why a dial that begins now is not worth trying.
    pub(crate) fn is_hopeless(&self) -> Option<DialFailure> {
        if self.reached.load(Ordering::Relaxed) { None } else { self.unanswered.get().cloned() }
    }

    pub(crate) fn answered(&self) {
        self.reached.store(true, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, failed: &DialFailure) {
        use FailureKind::{ConnectTimeout, Dns, Timeout, TlsCertificate};
        // A certificate does not get better from one thread to the next.
        let was_tried = failed.failure.stage != Stage::Wait;
        if was_tried && matches!(failed.failure.kind, Dns | ConnectTimeout | Timeout | TlsCertificate) {
            self.unanswered.get_or_init(|| {
                let mut failure = failed.failure.clone();
                failure.message = match failure.kind {
                    Dns => format!("not tried: an earlier dial did not find the server ({})", failure.message),
                    TlsCertificate => format!("not tried: an earlier dial met this certificate ({})", failure.message),
                    _ => format!("not tried: an earlier dial had no answer in time ({})", failure.message),
                };
                DialFailure {
                    failure,
                    phases: Box::new(Phases::default()),
                    local_port: None,
                    sign_in_attempted: false,
                    failed_at: failed.failed_at,
                }
            });
        }
    }
}
