//! The server throttled.

use crate::event::{Event, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::judge::refusals::said;
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{FailureKind, is_about_a_session};

pub const SPEC: Spec = Spec {
    id: "MC031",
    severity: Severity::Limit,
    article: Article {
        title: "the server throttled",
        means: "The server answers, and says that this client asks too much or too often: Exchange Online's \"Request is \
                throttled. Suggested Backoff Time: N milliseconds\", a 4.7.0 of SMTP. A new connection does not help; signing \
                in again and again is often the cause. Or it ends a session that had too many commands without mail, as Exim \
                does after ten (smtp_accept_max_nonmail), or too many errors: there a new connection helps, and fewer \
                operations a session.",
        example: || sentence(2, true),
        cure: "Wait as long as the server says before anything else is sent, and keep connections open instead of signing in \
               for each operation. Administrator: look at sign-ins for each operation in the log before raising a quota.",
        rules: &["B4", "B6"],
        met: &["mscdex/node-imap#523", "mscdex/node-imap#689", "jstedfast/MailKit#1494", "imapsync/imapsync#212"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    dials: Evidence,
    operations: Evidence,
    /// One of them is about more than a session that had too much.
    throttles: bool,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, _: &Ledger) {
        let (evidence, failure, whose) = match &event.what {
            What::SessionRefused(dial) => (&mut self.dials, &dial.failure, dial.session.to_string()),
            What::Operation(operation) if operation.local_port.is_some() => {
                let Some(failure) = &operation.failure else { return };
                (&mut self.operations, &**failure, format!("operation {}", operation.number))
            }
            _ => return,
        };
        if failure.kind == FailureKind::LimitRate {
            let piece = format!("{whose}: {}", said(failure));
            self.throttles |= !is_about_a_session(&piece.to_lowercase());
            evidence.add(|| piece);
        }
    }
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        let mut evidence = self.dials.clone();
        evidence.join(&self.operations);
        evidence.says(|| sentence(evidence.count, self.throttles))
    }
}

fn sentence(times: u64, throttles: bool) -> String {
    let times = count(times);
    if throttles {
        format!("the server throttled us {times} time(s); ask less often, and wait as long as it says")
    } else {
        format!(
            "the server ended {times} session(s) that had too many commands or errors; do fewer operations a session, or see \
             what it refused before"
        )
    }
}
