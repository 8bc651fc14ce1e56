//! Operations spent more time waiting for their connection than using it.

use crate::event::{Event, Micros, Severity};
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
                the work: more threads make it longer, not faster.",
        example: || sentence(Micros(3_700_000), Micros(483_300), Protocol::Imap, None),
        cure: "Give threads connections of their own (use-default) as far as the server's limit allows, allow more \
               (--max-connections), or use fewer threads. It fails no run unless --fail-on has advice.",
        rules: &["W1", "W2"],
        met: &["jakartaee/mail-api#514", "mustang-im/mustang#276"],
    },
    detector: || Box::new(ByTheFigures),
};

/// Reads it off the figures.
#[derive(Debug)]
struct ByTheFigures;

impl Analysis for ByTheFigures {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for ByTheFigures {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let (start, summary) = (proven.known.start()?, proven.summary);
        let (wait, service) = (summary.total_wait, summary.total_service);
        if service.is_zero() || wait <= service || wait < LEAST {
            return None;
        }
        let mut evidence = Evidence::default();
        evidence.add(|| format!("longest wait {:.1}", summary.wait.max));
        evidence.says(|| sentence(wait, service, start.protocol, start.max_connections))
    }
}

fn sentence(wait: Micros, service: Micros, protocol: Protocol, max_connections: Option<usize>) -> String {
    let cure = match max_connections {
        _ if protocol == Protocol::Pop3 => {
            "use fewer threads, or connections of their own (use-default) where the server does not lock the maildrop"
                .to_owned()
        }
        Some(max) => format!("use fewer threads, or more than {max} connections if the server allows them"),
        None => "give threads connections of their own (use-default), or use fewer threads".to_owned(),
    };
    format!("operations waited {wait:.1} for their connection and used it {service:.1}; {cure}")
}
