//! Connections were held and hardly used.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC052",
    severity: Severity::Advice,
    article: Article {
        title: "connections were held and hardly used",
        means: "Each connection costs the server a process or its like, and one of the account's few places, whether it is used \
                or not. Of those held here most lay idle most of the time, so that fewer would have served as well. It is \
                looked for in runs of two seconds and more: a connection counts as held from its opening to its last use, and \
                so many would have done as were in use at once, but for one hundredth of the time.",
        example: "MC052 advice: 8 connections were held for most of 10.0s and used for 0.3 % of that time; more than 1 at once \
                  for hardly any of it: one that is shared would have done (use-main)\n- 8 held, 3 in use at once at most",
        cure: "Share one (use-main), give a connection of its own only to threads that are busy, or dispose a default when its \
               thread rests. It fails no run unless --fail-on has advice.",
        rules: &["A1", "A2", "D1"],
        met: &["nextcloud/mail#10039"],
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
