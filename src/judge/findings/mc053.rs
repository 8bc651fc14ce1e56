//! Use-main-or-default without any default connection behaves as use-main does.

use crate::allocator::{Kind, Mode, Reason};
use crate::event::{Event, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC053",
    severity: Severity::Advice,
    article: Article {
        title: "use-main-or-default without any default connection behaves as use-main does",
        means: "Under use-main-or-default a thread has a connection of its own only after it created one by hand; all \
                others use main, one operation at a time. Here no thread created one. A program that expects \
                connections side by side, as the name of the mode suggests, has none.",
        example: || SENTENCE.to_owned(),
        cure: "Create a default connection on each thread that is to have one (C2), choose use-default, which creates them by \
               itself, or leave it: sharing main is right where there is little to do.",
        rules: &["A3", "C2"],
        met: &[],
    },
    detector: || Box::<Detects>::default(),
};

const SENTENCE: &str = "the mode is use-main-or-default, and no thread created a default connection: it behaved as use-main \
                        does; create defaults where threads are to work side by side (--default-for all; in code \
                        create_default_connection), or say use-main";

#[derive(Debug, Default)]
struct Detects {
    /// The mode was another one for a while, or some thread had a default connection.
    differs: bool,
    /// Operations that main carried: where it was never opened the mode made no difference.
    on_main: u64,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, _: &Ledger) {
        match &event.what {
            What::RunStart(start) => self.differs |= start.mode != Mode::UseMainOrDefault,
            What::ModeChanged(_) => self.differs = true,
            What::ConnectionCreated(created) => self.differs |= created.kind == Kind::Default,
            What::Operation(operation) => {
                let carried = operation.session.is_some() && !operation.commands.is_empty();
                self.on_main += u64::from(carried && operation.reason == Some(Reason::Main));
            }
            _ => {}
        }
    }
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        if self.differs || self.on_main == 0 {
            return None;
        }
        let mut evidence = Evidence::default();
        evidence.add(|| format!("{} operation(s) on main", count(self.on_main)));
        evidence.says(|| SENTENCE.to_owned())
    }
}
