//! A task ran on a default connection that an earlier task had left to the thread.

use crate::event::{Event, Severity};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC010",
    severity: Severity::Hazard,
    article: Article {
        title: "a task ran on a default connection that an earlier task had left to the thread",
        means: "A default connection belongs to a thread. In a pool the thread outlives the task, so the next task there finds \
                the connection of the one before: with whatever that one selected, signed in as whoever it was. Nothing \
                fails. A task that creates its own default is refused by C3, because the thread has one already.",
        example: "MC010 hazard, 360 times: 360 operation(s) of 36 task(s) ran on 4 default connection(s) that another task had \
                  created before: a thread outlives its task and keeps its default for the next one (H1); 36 of these tasks \
                  asked for one of their own and were refused (C3); dispose the default at the end of the task that created \
                  it (--dispose task; in code Client::thread_scope), or pass independent connections\n- t4: 10 operation(s) \
                  (numbers 41 to 62) on #1, created on w0 by t0; refused one of its own by C3",
        cure: "Dispose the default at the end of the task that created it, even when the task panics: in code \
               Client::thread_scope, in a run --dispose task. Or pass an independent connection to each operation. Whoever \
               runs the mail server sees the hazard as sessions that outlive the work they were opened for.",
        rules: &["H1", "C3", "D1"],
        met: &["thehyve/fairspace#1582", "chinabugotech/hutool#292", "orientechnologies/orientdb#3006"],
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
