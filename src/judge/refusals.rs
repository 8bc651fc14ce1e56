//! Dials that a server refused because of a limit on connections: of which, and in which words.

use crate::allocator::Kind;
use crate::event::SessionRefused;
use crate::figures::Refused;
use crate::ledger::Ledger;
use crate::protocol::{Failure, FailureKind, Protocol};

/// What stood in the way of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// A number of connections, as the server said.
    Stated,
    /// The same, but the server closed without a word: it is called so for what it did.
    ByDeed,
    /// The same, and it was main that found the others of this client in its place.
    MainShutOut,
    /// A maildrop's one owner (RFC 1939 §3), and no number of connections.
    Locked,
}

impl Limit {
    /// The limit that refused the dial, if one did.
    pub(super) fn of(refused: &Refused, known: &Ledger) -> Option<Self> {
        let failure = &refused.dial.failure;
        if failure.kind != FailureKind::LimitConnections {
            None
        } else if known.start().is_some_and(|start| start.protocol == Protocol::Pop3) && is_lock(failure) {
            Some(Self::Locked)
        } else if failure.gives_no_reason() {
            Some(Self::ByDeed)
        } else if refused.kind == Kind::Main && refused.dial.open > 0 {
            Some(Self::MainShutOut)
        } else {
            Some(Self::Stated)
        }
    }
}

/// Every line that the server said of it.
pub(super) fn lines(failure: &Failure) -> impl Iterator<Item = &str> {
    failure.server_line.iter().chain(&failure.further_lines).map(String::as_str)
}

/// Whether a refusal of POP3 is for the maildrop's one owner. Dovecot has one code for both, `[IN-USE]`: its text tells.
pub(crate) fn is_lock(failure: &Failure) -> bool {
    let line = failure.server_line.as_deref().unwrap_or_default().to_ascii_lowercase();
    !line.contains("connections") && (line.contains("[in-use]") || line.contains("lock"))
}

/// A refused dial as a piece of evidence.
pub(super) fn named(dial: &SessionRefused) -> String {
    format!("{} with {} open: {}", dial.session, dial.open, said(&dial.failure))
}

/// What the server said, or else what happened.
pub(super) fn said(failure: &Failure) -> &str {
    let what = failure.message.split(": probably").next().unwrap_or_default();
    failure.server_line.as_deref().unwrap_or(what)
}
