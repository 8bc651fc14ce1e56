//! A POP3 maildrop is locked by another connection.

use crate::event::{Event, Severity};
use crate::figures::{Refused, count};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::judge::refusals::{Limit, named};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC033",
    severity: Severity::Limit,
    article: Article {
        title: "a POP3 maildrop is locked by another connection",
        means: "POP3 gives a maildrop to one session at a time (RFC 1939 section 3): the second one is refused, -ERR [IN-USE], \
                often after the server has waited some seconds for the lock. So a connection for each thread cannot work, \
                however generous the server is otherwise. Not every server locks: Dovecot does if pop3_lock_session is \
                yes. It stands in place of MC030.",
        example: || sentence(2, true),
        cure: "Share one connection (use-main) or work with one thread. If nobody else should have it open, look for a client \
               that vanished without QUIT: the lock goes when the server notices. For several readers at a time, use IMAP.",
        rules: &["A1", "B4"],
        met: &["horms/perdition#4", "cyrusimap/cyrus-imapd#706"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    evidence: Evidence,
    /// One of ours was open at one of them.
    ours: bool,
}

impl Analysis for Detects {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for Detects {
    fn refused(&mut self, refused: &Refused, known: &Ledger) {
        if Limit::of(refused, known) == Some(Limit::Locked) {
            self.ours |= refused.dial.open > 0;
            self.evidence.add(|| named(&refused.dial));
        }
    }

    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        self.evidence.says(|| sentence(self.evidence.count, self.ours))
    }
}

fn sentence(times: u64, ours: bool) -> String {
    let cure = if ours {
        "so connections of their own cannot work for several threads; share one (use-main), or use one thread"
    } else {
        "and none of ours was open: another client has it; wait for it, or close it"
    };
    format!("the maildrop was locked by another connection, {} time(s): POP3 gives it one owner at a time, {cure}", count(times))
}
