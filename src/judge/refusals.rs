//! Dials that a server refused because of a limit on connections: of which, and in which words.

use crate::allocator::Kind;
use crate::event::SessionRefused;
use crate::figures::Refused;
use crate::ledger::Ledger;
use crate::protocol::{Failure, FailureKind, Protocol, Stage, is_about_a_lock};

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

/// Whether the server said why. The beginning of an answer that came too late says nothing, nor does a greeting.
pub(crate) fn has_words(failure: &Failure) -> bool {
    failure.kind != FailureKind::Timeout && !failure.gives_no_reason()
}

/// Every line in which the server said why.
pub(super) fn lines(failure: &Failure) -> impl Iterator<Item = &str> {
    let said = has_words(failure).then(|| failure.server_line.iter().chain(&failure.further_lines));
    said.into_iter().flatten().map(String::as_str)
}

/// Whether a refusal of POP3 is for the maildrop's one owner. Dovecot has one code for both, `[IN-USE]`: its text tells.
pub(super) fn is_lock(failure: &Failure) -> bool {
    failure.server_line.as_deref().is_some_and(|line| is_about_a_lock(line.as_bytes()))
}

/// Whether the server, or we for want of a way, refused the sign-in: whatever it objects to, once it was asked.
pub(crate) fn is_refused_sign_in(failure: &Failure, attempted: bool) -> bool {
    use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, ServerBad};
    matches!(failure.kind, AuthInvalid | AuthPolicy | AuthRefused | AuthUnsupported)
        || (attempted && failure.stage == Stage::Auth && failure.kind == ServerBad)
}

pub(crate) const fn is_limit(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::LimitConnections | FailureKind::LimitRate)
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
