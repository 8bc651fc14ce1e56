//! What the server ended while nobody used it.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{finding, said};
use crate::allocator::SessionId;
use crate::protocol::{Failure, FailureKind};
use crate::record::run::{HowClosed, Operation, Run, What};
use crate::record::verdict::{Finding, Severity};

/// Who is hung up on sooner need not use its connections more often, unless the server says that it does so for idling.
const AN_IDLE_TIME_OUT: Duration = Duration::from_secs(1);
/// What was over that soon after its last use was ended within it: nobody had left it unused.
const UNUSED: Duration = Duration::from_millis(1);

/// MC042. When the server hung up is not known, only when that was found: at the next operation, or at the goodbye.
pub(super) fn hung_up(run: &Run) -> Option<Finding> {
    let mut used: BTreeMap<SessionId, Duration> = BTreeMap::new();
    let (mut evidence, mut shortest, mut longest) = (Vec::new(), Duration::MAX, Duration::ZERO);
    let mut says_idle = false;
    for entry in &run.entries {
        let found = match &entry.what {
            What::Opened(opened) => {
                used.insert(opened.session, entry.at);
                None
            }
            What::Operation(operation) => {
                let Some(session) = operation.session.filter(|_| operation.local_port.is_some()) else { continue };
                let since = used.insert(session, entry.at);
                let had_it = operation.issued_at.saturating_add(operation.wait).saturating_add(operation.dial);
                let failure = operation.outcome.as_ref().err().filter(|_| was_gone(operation));
                failure.map(|failure| (session, since, had_it, &**failure))
            }
            What::Closed(closed) => match &closed.how {
                HowClosed::HungUp(failure) => {
                    Some((closed.session, used.get(&closed.session).copied(), entry.at, failure))
                }
                _ => None,
            },
            _ => None,
        };
        if let Some((session, since, found, failure)) = found {
            let idle = found.saturating_sub(since.unwrap_or_default());
            if idle < UNUSED {
                continue;
            }
            says_idle |= is_for_idling(failure);
            (shortest, longest) = (shortest.min(idle), longest.max(idle));
            evidence.push(format!("{session} after {idle:.1?} at most: {}", said(failure)));
        }
    }
    let after = match (format!("{shortest:.1?}"), format!("{longest:.1?}")) {
        (shortest, longest) if shortest == longest => longest,
        (shortest, longest) => format!("{shortest} to {longest}"),
    };
    let cure = if longest < AN_IDLE_TIME_OUT && !says_idle {
        "too soon for an idle time-out: the server's log may say why"
    } else {
        "use them more often than that (a NOOP does), or close what lies idle and open it when it is needed"
    };
    let sentence = format!(
        "the server hung up on {} connection(s) that nobody used, after {after} at most; {cure}",
        evidence.len()
    );
    finding("MC042", Severity::Advice, sentence, evidence)
}

fn is_for_idling(failure: &Failure) -> bool {
    let line = failure.server_line.as_deref().unwrap_or_default().to_ascii_lowercase();
    ["idle", "autologout", "inactiv", "timeout", "timed out"].iter().any(|word| line.contains(word))
}

/// Whether its connection had ended before it said a word, in an earlier lease of its own or in this one.
fn was_gone(operation: &Operation) -> bool {
    let gone = |kind| matches!(kind, FailureKind::Closed | FailureKind::ServerBye);
    operation.commands.is_empty()
        && operation.relied_on.as_ref().is_none_or(|selection| selection.commands.is_empty())
        && operation.outcome.as_ref().is_err_and(|failure| gone(failure.kind))
}
