//! A reply came from a mailbox other than the one its unit selected.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC020",
    severity: Severity::Hazard,
    article: Article {
        title: "a reply came from a mailbox other than the one its unit selected",
        means: "In IMAP a connection has one selected mailbox, and FETCH and SEARCH read whichever that is. If two threads share \
                the connection and it is locked for each command only, the other's EXAMINE comes between ours and our FETCH: \
                the reply is complete, well-formed, and from the wrong mailbox. A client that stores it has filed mail under \
                the wrong folder. The proof is in the reply: mail of the sandbox names its mailbox; elsewhere the UIDVALIDITY \
                of the selection tells.",
        example: "MC020 hazard, 501 times: 501 of the 800 replies that show their mailbox came from a mailbox other than the one that was \
                  asked for, and nothing failed; hold the connection for the whole unit, from its EXAMINE to its last reply \
                  (--lock unit), or give each thread a connection of its own (use-default)\n- operation 3 of w7 on #0 asked for \
                  Sent, each message of its reply says that it is in Archive; operation 8 of w2 had selected Archive there in \
                  between",
        cure: "Hold the connection from the unit's first command to its last reply: one lease, one lock, one transaction. Or \
               give each thread a connection of its own (use-default), which costs the server more sessions. To see it happen: \
               mailconn run --lock command --mode use-main -t 8 --ops fetch --mailbox INBOX --mailbox Archive.",
        rules: &["A7"],
        met: &["postalsys/imapflow#304", "mustang-im/mustang#276", "overseers-desk/courier#82", "ikvk/imap_tools#131"],
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
