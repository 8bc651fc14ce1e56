//! A connection was discarded in the middle of a reply.

use crate::event::{Event, Severity, What};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::FailureKind;

pub const SPEC: Spec = Spec {
    id: "MC041",
    severity: Severity::Fault,
    article: Article {
        title: "a connection was discarded in the middle of a reply",
        means: "The server did not finish a reply in time, or what came was not the protocol. The rest of it may still arrive: \
                whoever used the connection again would read it as the answer to the next command, which is how one caller \
                gets another one's mail. So mailconn discards it, as it must. The finding is about why the server did not \
                finish.",
        example: "MC041 fault: 1 connection(s) were discarded in the middle of a reply, as they must be; find out why the \
                  server did not finish it\n- operation 31 on #0: timeout at operation: no whole answer in time; the server or \
                  the network is slow, or it hangs",
        cure: "Client: never use a connection again after a timeout, whatever the library offers. Find the slow command with \
               --transcript DIR, and give long ones a longer --timeout. Administrator: look for the session by its label or \
               port at that time; a search without an index and a full disk are usual.",
        rules: &["B1", "B5"],
        met: &["overseers-desk/courier#82", "chatmail/core#3816", "chatmail/core#3827", "chatmail/async-imap#3"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    evidence: Evidence,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, _: &Ledger) {
        let What::Operation(operation) = &event.what else { return };
        if let (Some(failure), Some(session), Some(_)) = (&operation.failure, operation.session, operation.local_port)
            && matches!(failure.kind, FailureKind::Timeout | FailureKind::Protocol)
        {
            self.evidence.add(|| format!("operation {} on {session}: {failure}", operation.number));
        }
    }
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        self.evidence.says(|| {
            format!(
                "{} connection(s) were discarded in the middle of a reply, as they must be; find out why the server did not \
                 finish it",
                self.evidence.count
            )
        })
    }
}
