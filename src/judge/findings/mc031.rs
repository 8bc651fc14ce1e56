//! The server throttled.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

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
        example: "MC031 limit, 2 times: the server throttled us 2 time(s); ask less often, and wait as long as it says\n- \
                  operation 40: BAD Request is throttled. Suggested Backoff Time: 60000 milliseconds",
        cure: "Wait as long as the server says before anything else is sent, and keep connections open instead of signing in \
               for each operation. Administrator: look at sign-ins for each operation in the log before raising a quota. The \
               exit code is 6.",
        rules: &["B4", "B6"],
        met: &["mscdex/node-imap#523", "mscdex/node-imap#689", "jstedfast/MailKit#1494", "imapsync/imapsync#212"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    evidence: Evidence,
}

impl Analysis for Detects {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        None
    }
}
