//! The server hung up on connections that nobody used.

use std::collections::BTreeMap;

use crate::allocator::SessionId;
use crate::event::{Event, HowClosed, Micros, Operation, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::judge::refusals::said;
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Failure, FailureKind, Stage, refusal};

/// Who is hung up on sooner need not use its connections more often, unless the server says that it does so for idling.
const AN_IDLE_TIME_OUT: Micros = Micros(1_000_000);
/// What was over that soon after its last use was ended within it: nobody had left it unused.
const UNUSED: Micros = Micros(1000);
/// The number of uses between two searches for sessions that are over.
const SWEEP_AFTER: usize = 256;

pub const SPEC: Spec = Spec {
    id: "MC042",
    severity: Severity::Advice,
    article: Article {
        title: "the server hung up on connections that nobody used",
        means: "A server ends what lies idle for too long: after 30 minutes in IMAP (RFC 9051 allows no less), 5 to 10 \
                in SMTP and POP3, often sooner behind a firewall. Some say so (BYE, 421), some just close. It is found \
                when the connection is wanted next: the operation then fails as server-bye or closed, and a goodbye can \
                no longer be said. So the time that is named is an upper bound.",
        example: || sentence(2, (Micros(3_000_000), Micros(3_000_000)), true),
        cure: "Client: open a connection when there is work and dispose it when there is none, or let each say NOOP \
               more often than the server's time. Code that uses one that lay idle must be ready to open it again. It \
               fails no run unless --fail-on has advice.",
        rules: &["B1", "B2"],
        met: &["lettre/lettre#743"],
    },
    detector: || Box::<Detects>::default(),
};

/// When the server hung up is not known, only when that was found: at the next operation, or at the goodbye.
#[derive(Debug, Default)]
struct Detects {
    evidence: Evidence,
    /// For how long they had lain idle: the shortest time, and the longest.
    idle: Option<(Micros, Micros)>,
    says_idle: bool,
    /// When each session was used last, as long as an operation can speak of it.
    used: BTreeMap<SessionId, Micros>,
    uses: usize,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => drop(self.uses(opened.session, event.at, known)),
            What::Operation(operation) => {
                let Some(session) = operation.session.filter(|_| operation.local_port.is_some()) else { return };
                let since = self.uses(session, event.at, known);
                let had_it = operation.in_use().0;
                if let Some(failure) = operation.failure.as_deref().filter(|failure| was_gone(operation, failure)) {
                    self.found(session, had_it - since, failure);
                }
            }
            What::SessionClosed(closed) if closed.closed == HowClosed::HungUp => {
                if let Some(failure) = &closed.failure {
                    let since = self.used.get(&closed.session).copied().unwrap_or_default();
                    self.found(closed.session, event.at - since, failure);
                }
            }
            _ => {}
        }
    }
}

impl Detects {
    /// It is used: when it was used before.
    fn uses(&mut self, session: SessionId, at: Micros, known: &Ledger) -> Micros {
        self.uses += 1;
        if self.uses >= SWEEP_AFTER.max(self.used.len()) {
            self.uses = 0;
            self.used.retain(|session, _| known.session(*session).is_some());
        }
        self.used.insert(session, at).unwrap_or_default()
    }

    fn found(&mut self, session: SessionId, idle: Micros, failure: &Failure) {
        use FailureKind::{LimitConnections, LimitRate};
        // A goodbye that names a limit has another reason.
        let line = failure.server_line.as_deref().unwrap_or_default();
        let says = refusal(line.as_bytes(), Stage::Operation).kind;
        if idle < UNUSED || [failure.kind, says].iter().any(|kind| matches!(kind, LimitConnections | LimitRate)) {
            return;
        }
        let (shortest, longest) = self.idle.unwrap_or((idle, idle));
        self.idle = Some((shortest.min(idle), longest.max(idle)));
        self.says_idle |= is_for_idling(failure);
        self.evidence.add(|| format!("{session} after {idle:.1} at most: {}", said(failure)));
    }
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        let idle = self.idle?;
        self.evidence.says(|| sentence(self.evidence.count, idle, self.says_idle))
    }
}

fn sentence(connections: u64, (shortest, longest): (Micros, Micros), says_idle: bool) -> String {
    let after = match (format!("{shortest:.1}"), format!("{longest:.1}")) {
        (shortest, longest) if shortest == longest => longest,
        (shortest, longest) => format!("{shortest} to {longest}"),
    };
    let cure = if longest < AN_IDLE_TIME_OUT && !says_idle {
        "too soon for an idle time-out: the server's log may say why"
    } else {
        "use them more often than that (a NOOP does), or close what lies idle and open it when it is needed"
    };
    format!("the server hung up on {} connection(s) that nobody used, after {after} at most; {cure}", count(connections))
}

pub(in crate::judge) fn is_for_idling(failure: &Failure) -> bool {
    let line = failure.server_line.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["idle", "autologout", "inactiv", "timeout", "timed out"].iter().any(|word| line.contains(word))
}

/// Whether its connection had ended before it said a word, in an earlier lease of its own or in this one.
fn was_gone(operation: &Operation, failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::Closed | FailureKind::ServerBye)
        && operation.commands.is_empty()
        && operation.relied_on.as_ref().is_none_or(|selection| selection.commands.is_empty())
}
