//! Connections were opened for hardly more than an operation each.

use crate::event::{Event, Severity};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC051",
    severity: Severity::Advice,
    article: Article {
        title: "connections were opened for hardly more than an operation each",
        means: "Opening a connection costs several round trips (TCP, TLS, greeting, sign-in), and on the server a \
                process and a password check: ten to a hundred times an operation. Here hardly any connection was used \
                twice: more were opened than half the number of operations. To a server's log it looks like an attack, \
                and some throttle it (MC031).",
        example: || sentence(3, 3),
        cure: "Keep a connection for as long as there is work, and dispose it then; in a pool, one for each thread, not one for \
               each task, where the account is always the same. It fails no run unless --fail-on has advice.",
        rules: &["C4", "D1"],
        met: &[
            "nextcloud/mail#10039",
            "nextcloud/mail#6175",
            "s-morgan-jeffries/apple-mail-fast-mcp#75",
            "asherp/nostr-mail#78",
        ],
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
        let summary = proven.summary;
        let (carried, opened) = (summary.carried, summary.connections.opened);
        // A session that broke, or that the server ended, was not given up by anybody here.
        let by_choice = opened.saturating_sub(summary.opened_again) as u64;
        if carried < 2 || by_choice < 2 || by_choice.saturating_mul(2) <= carried {
            return None;
        }
        let mut evidence = Evidence::default();
        evidence.add(|| format!("{} opened, {} operations", count(opened as u64), count(carried)));
        evidence.says(|| sentence(opened, carried))
    }
}

fn sentence(opened: usize, carried: u64) -> String {
    let (opened, carried) = (count(opened as u64), count(carried));
    format!(
        "{opened} connections were opened for {carried} operations: hardly any was used twice; keep connections for longer, or \
         share one (use-main)"
    )
}
