//! A connection was discarded in the middle of a reply.

use crate::event::{Event, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::FailureKind;

pub const SPEC: Spec = Spec {
    id: "MC041",
    severity: Severity::Fault,
    article: Article {
        title: "a connection was discarded in the middle of a reply",
        means: "The server did not finish a reply in time, or what came was not the protocol. The rest of it may still \
                arrive: the next operation on the connection would read it as its own answer, which is how one caller \
                gets another one's mail. So mailconn discards it, as it must. The finding is about why the server did \
                not finish.",
        example: || sentence(1),
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
        self.evidence.says(|| sentence(self.evidence.count))
    }
}

fn sentence(connections: u64) -> String {
    format!(
        "{} connection(s) were discarded in the middle of a reply, as they must be; find out why the server did not \
         finish it",
        count(connections)
    )
}
