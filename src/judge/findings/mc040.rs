//! A healthy connection was left open, or closed without LOGOUT or QUIT.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC040",
    severity: Severity::Leak,
    article: Article {
        title: "a healthy connection was left open, or closed without LOGOUT or QUIT",
        means: "A server counts a session until it is told that it is over, or notices: half an hour of silence in IMAP (RFC \
                3501 says at least that), two hours of TCP keep-alive. Leave enough of them behind and the next sign-in is \
                refused (MC030) while nothing seems to be open. The sandbox's record is asked too: what it still has open is \
                named.",
        example: "MC040 leak: 1 connection(s) were left open or closed without LOGOUT; servers count them against the limit \
                  until they notice\n- #2 was open at the end",
        cure: "Dispose what you create on every path, also where something fails: a handle that goes out of scope does so here. \
               End threads by joining them, and close the client with a deadline. Administrator: doveadm who shows who holds \
               sessions that no program knows of.",
        rules: &["D1", "D3", "D4"],
        met: &["apache/jmeter#198", "MarimerLLC/calendar-mcp#69", "sweetrb/apple-mail-mcp#109", "mscdex/node-imap#882"],
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
