//! Operations spent more time waiting for their connection than using it.

use std::collections::HashMap;

use crate::allocator::ConnectionId;
use crate::event::{Event, Micros, RunStart, Severity, What};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::Protocol;

/// Less waiting than that in all is none.
const LEAST: Micros = Micros(1000);

pub const SPEC: Spec = Spec {
    id: "MC050",
    severity: Severity::Advice,
    article: Article {
        title: "operations spent more time waiting for their connection than using it",
        means: "Threads that share a connection stand in line for it, first come, first served. Here the line cost more than \
                the work: more threads make it longer, not faster. Waiting for a connection that is being opened \
                counts, too: where that was the most of it, the finding says so.",
        example: || sentence(Micros(3_700_000), Micros(483_300), Cure::UseDefault),
        cure: "Give threads connections of their own (use-default) as far as the server's limit allows, allow more \
               (--max-connections), or use fewer threads. It fails no run unless --fail-on has advice.",
        rules: &["W1", "W2"],
        met: &["jakartaee/mail-api#514", "mustang-im/mustang#276"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    /// When the dial of the session that each connection has now began, and when it was over.
    dials: HashMap<ConnectionId, (Micros, Micros)>,
    /// How much of the waiting was for another operation's dial.
    for_dials: Micros,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, _: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => {
                self.dials.insert(opened.connection, (opened.began_us, opened.signed_in_us));
            }
            What::SessionClosed(closed) => drop(self.dials.remove(&closed.session.connection)),
            What::Operation(operation) => {
                let dial = operation.connection.and_then(|connection| self.dials.get(&connection));
                let Some((began, over)) = dial else { return };
                let issued = operation.issued_at_us;
                let until = (*over).min(issued + operation.wait_us);
                self.for_dials += until.saturating_sub((*began).max(issued));
            }
            _ => {}
        }
    }
}

impl Detector for Detects {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let (start, summary) = (proven.known.start()?, proven.summary);
        let (wait, service) = (summary.total_wait, summary.total_service);
        if service.is_zero() || wait <= service || wait < LEAST {
            return None;
        }
        let mut evidence = Evidence::default();
        evidence.add(|| format!("longest wait {:.1}", summary.wait.max));
        let in_line = wait.saturating_sub(self.for_dials);
        let cure = if in_line <= service { Cure::WorkLonger(self.for_dials) } else { cure(start) };
        evidence.says(|| sentence(wait, service, cure))
    }
}

fn cure(start: &RunStart) -> Cure {
    match start.max_connections {
        _ if start.protocol == Protocol::Pop3 => Cure::Pop3,
        Some(max) => Cure::Cap(max),
        None => Cure::UseDefault,
    }
}

/// What would make the waiting less.
enum Cure {
    /// That much of it was for dials of other operations.
    WorkLonger(Micros),
    Pop3,
    Cap(usize),
    UseDefault,
}

fn sentence(wait: Micros, service: Micros, cure: Cure) -> String {
    let cure = match cure {
        Cure::WorkLonger(dials) => {
            format!("for {dials:.1} of it the connection was being opened: that is paid once, and weighs less in a longer run")
        }
        Cure::Pop3 => {
            "use fewer threads, or connections of their own (use-default) where the server does not lock the maildrop"
                .to_owned()
        }
        Cure::Cap(max) => format!("use fewer threads, or more than {max} connections if the server allows them"),
        Cure::UseDefault => "give threads connections of their own (use-default), or use fewer threads".to_owned(),
    };
    format!("operations waited {wait:.1} for their connection and used it {service:.1}; {cure}")
}
