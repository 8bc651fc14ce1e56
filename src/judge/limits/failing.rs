//! What a failure says of the session that it befell, to a probe.

use crate::judge::{is_limit, is_refused_sign_in};
use crate::protocol::{Failure, FailureKind, Stage};

/// Whether a limit of the server can be why a dial failed: the server says so, or lets nobody in any more while others are held,
/// whatever it says.
pub(crate) fn may_be_limit(failure: &Failure, sign_in_attempted: bool, holds_others: bool) -> bool {
    use FailureKind::{Disposed, Dns, Internal, LocalResources, TlsCertificate};
    let is_other = failure.stage == Stage::Wait
        || is_refused_sign_in(failure, sign_in_attempted)
        || matches!(failure.kind, Disposed | Dns | Internal | LocalResources | TlsCertificate);
    !is_other && (holds_others || is_limit(failure.kind))
}

/// Whether the first command of a session that was let in was refused in place of its dial: the server ended the session with
/// it, or says that it does not serve it.
pub(crate) const fn refuses_after_all(kind: FailureKind, ended: bool) -> bool {
    use FailureKind::{Disposed, Internal, LocalResources, Protocol, ServerBad, ServerUnavailable, Timeout};
    if ended {
        !matches!(kind, Disposed | Internal | LocalResources | Protocol | Timeout)
    } else {
        is_limit(kind) || matches!(kind, ServerBad | ServerUnavailable)
    }
}

/// Whether the session whose command failed so, and which is given up for that, may live on: nobody knows what the server holds.
pub(crate) const fn falls_silent(kind: FailureKind) -> bool {
    !refuses_after_all(kind, true) && !matches!(kind, FailureKind::Disposed)
}

/// Whether this client ended the dial or the command itself: it was interrupted.
pub(crate) fn is_called_off(failure: &Failure) -> bool {
    failure.kind == FailureKind::Disposed
}
