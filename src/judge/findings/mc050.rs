//! Operations spent more time waiting for their connection than using it.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC050",
    severity: Severity::Advice,
    article: Article {
        title: "operations spent more time waiting for their connection than using it",
        means: "Threads that share a connection stand in line for it, first come, first served. Here the line cost more than \
                the work: more threads make it longer, not faster.",
        example: "MC050 advice: operations waited 3.7s for their connection and used it 483.3ms; give threads connections of \
                  their own (use-default), or use fewer threads\n- longest wait 12.6ms",
        cure: "Give threads connections of their own (use-default) as far as the server's limit allows, allow more \
               (--max-connections), or use fewer threads. It fails no run unless --fail-on has advice.",
        rules: &["W1", "W2"],
        met: &["jakartaee/mail-api#514", "mustang-im/mustang#276"],
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
