//! An operation did not run on the connection that the rules give it.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC001",
    severity: Severity::Broken,
    article: Article {
        title: "an operation did not run on the connection that the rules give it",
        means: "mailconn knows the table of the rules twice: once where connections are assigned, once where a run is \
                judged. For each operation the judge takes what the rule looks at (the mode, whether the thread had a \
                default, what was passed) and compares the connection that the rule gives with the socket that carried \
                the operation's bytes. Either they differ, or the commands of one operation were not one unit. This is \
                a fault of mailconn's own, whatever the server did.",
        example: || SENTENCE.to_owned(),
        cure: "Do not trust the rest of the report. Run it again with --format ndjson, keep that file, and report it: each line \
               holds what the rule looked at, so the fault can be found from it.",
        rules: &["A1", "A2", "A3", "A7"],
        met: &["redis/redis-py#2632", "vert-x3/vertx-redis-client#394"],
    },
    detector: || Box::new(ByTheRules),
};

const SENTENCE: &str =
    "operations did not run on the connection that the rules give them; this is mailconn's own fault";

/// Repeats what [`Rules`](crate::judge::Rules) says.
#[derive(Debug)]
struct ByTheRules;

impl Analysis for ByTheRules {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for ByTheRules {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let mut evidence = Evidence::default();
        evidence.extend(proven.rules.wrong.iter().map(|wrong| wrong.sentence.clone()));
        evidence.count = proven.rules.agreement.checked - proven.rules.agreement.held;
        evidence.says(|| SENTENCE.to_owned())
    }
}
