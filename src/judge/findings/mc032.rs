//! Main could not open, because other connections of this client hold every slot.

use crate::event::{Event, Severity};
use crate::figures::count;
use crate::figures::Refused;
use crate::judge::finding::{Allowed, Article, Detector, Evidence, Found, Proven, Spec};
use crate::judge::refusals::{Limit, named};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC032",
    severity: Severity::Limit,
    article: Article {
        title: "main could not open, because other connections of this client hold every slot",
        means: "Main opens at its first use. If the defaults and independent connections of the same client have taken all that \
                the server allows by then, main is refused: the client has locked itself out, and every thread without a \
                default fails. It stands in place of MC030.",
        example: || sentence(3),
        cure: "Run one operation on main before other connections are created, or create one fewer than the limit. Where \
               nobody needs main, use-default never opens it.",
        rules: &["C4", "A4", "B4"],
        met: &["mscdex/node-imap#882", "maathimself/mailflow#384"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    evidence: Evidence,
    /// How many of ours were open at most.
    open: usize,
}

impl Analysis for Detects {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for Detects {
    fn refused(&mut self, refused: &Refused, known: &Ledger) {
        if Limit::of(refused, known) == Some(Limit::MainShutOut) {
            self.open = self.open.max(refused.dial.open);
            self.evidence.add(|| named(&refused.dial));
        }
    }

    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        self.evidence.says(|| sentence(self.open))
    }

    fn allowed(&self) -> Option<Allowed> {
        (!self.evidence.is_empty()).then_some(Allowed { ours: Some(self.open), ..Allowed::default() })
    }
}

fn sentence(open: usize) -> String {
    format!(
        "main could not open: {} other connection(s) of this client hold every slot of the server; use main before \
         creating others, or keep one slot free for it",
        count(open as u64)
    )
}
