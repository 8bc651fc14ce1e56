//! The server hung up on connections that nobody used.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC042",
    severity: Severity::Advice,
    article: Article {
        title: "the server hung up on connections that nobody used",
        means: "A server ends what lies idle for too long: after 30 minutes in IMAP (RFC 9051 allows no less), 5 to 10 in SMTP \
                and POP3, often sooner behind a firewall. Some say so (BYE, 421), some just close. It is found when the \
                connection is wanted next: the operation then fails as server-bye or closed, and a goodbye has nobody to \
                be said to. So the time that is named is an upper bound.",
        example: "MC042 advice: the server hung up on 2 connection(s) that nobody used, after 3.0s at most; use them more often \
                  than that (a NOOP does), or close what lies idle and open it when it is needed\n- #1 after 3.0s at most: BYE \
                  Autologout; idle for too long",
        cure: "Client: open a connection when there is work and dispose it when there is none, or let each say NOOP more often \
               than the server's time. Whoever uses one that lay idle must be ready to open it again. It fails no run unless \
               --fail-on has advice.",
        rules: &["B1", "B2"],
        met: &["lettre/lettre#743"],
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
