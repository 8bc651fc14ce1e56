//! The server's own record disagrees with ours.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC002",
    severity: Severity::Broken,
    article: Article {
        title: "the server's own record disagrees with ours",
        means: "The server in the box writes down every command of every connection, and shares no code with the client. The \
                two records are joined by the client's port and the command's tag: each command of ours must be there once, \
                with its verb, in its mailbox, at its time, and nothing else may be. Something between the two mixed \
                connections up (a proxy, a load balancer), or one of the records is wrong.",
        example: || SENTENCE.to_owned(),
        cure: "Take what is between out of the way and run it again. If it stays, keep the run's --format ndjson and report it.",
        rules: &["A6", "A7"],
        met: &["phpredis/phpredis#2336"],
    },
    detector: || Box::new(ByTheWitness),
};

const SENTENCE: &str = "the server's own record disagrees with ours; something between us and the server mixed connections \
                        up, or one of the records is wrong";

/// Repeats what [`Witness`](crate::judge::Witness) says.
#[derive(Debug)]
struct ByTheWitness;

impl Analysis for ByTheWitness {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for ByTheWitness {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let mut evidence = Evidence::default();
        evidence.extend(proven.witness.wrong.iter().map(|wrong| wrong.sentence.clone()));
        evidence.count = proven.witness.disagreements;
        evidence.says(|| SENTENCE.to_owned())
    }
}
