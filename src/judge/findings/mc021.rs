//! A new session took the place of a broken one, and the operation relied on the old one's state.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC021",
    severity: Severity::Hazard,
    article: Article {
        title: "a new session took the place of a broken one, and the operation relied on the old one's state",
        means: "When a connection breaks, the next operation there opens a new session: #0 goes on as #0.2. The server knows \
                nothing of the old one: no mailbox is selected. An operation that relies on an earlier SELECT is refused if all \
                goes well. If something else has selected INBOX there by then, another thread or the library's own reconnect, it \
                silently reads INBOX instead. The same befalls a thread whose connection is another one since, for the mode was \
                changed, or its default was created or disposed. Whoever selects anew on the new session relies on nothing old, \
                and is not found.",
        example: "MC021 hazard: 1 operation(s) relied on what an earlier session had selected, and ran on another one, which \
                  knows nothing of it; select again whenever the session has changed, or make it one unit (--lock unit)\n- operation 9 of w1 had Archive selected on #0 and ran on #0.2: BAD No mailbox selected.",
        cure: "Tie what you know of a session to that session: compare Assignment::session before you rely on it, and select \
               again when it has changed. Or select in each unit, as every operation of mailconn does.",
        rules: &["B3", "B2", "A7"],
        met: &["lefcha/imapfilter#2", "neomutt/neomutt#1038", "neomutt/neomutt#1248", "mscdex/node-imap#155"],
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
