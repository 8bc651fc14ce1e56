//! What a failure says of the session that it befell, to a probe.

use crate::judge::{has_words, is_limit, is_refused_sign_in};
use crate::protocol::{Failure, FailureKind, Stage};

/// Whether a limit of the server can be why a dial failed: the server says so, or lets nobody in any more while others are held,
/// whatever it says.
pub(crate) fn may_be_limit(failure: &Failure, sign_in_attempted: bool, holds_others: bool) -> bool {
    use FailureKind::{Disposed, Dns, Internal, LocalResources, TlsCertificate};
    let is_other = failure.stage == Stage::Wait
        || is_refused_sign_in(failure, sign_in_attempted)
        || is_no_mail_server(failure)
        || matches!(failure.kind, Disposed | Dns | Internal | LocalResources | TlsCertificate);
    !is_other && (holds_others || is_limit(failure.kind))
}

/// Whether the server's words say that there are too many, or that they come too often. Whatever else it says or does may be
/// chance, the first time.
pub(super) fn is_told(failure: &Failure) -> bool {
    is_limit(failure.kind) && has_words(failure)
}

/// Whether what answered greets in no way of mail: neither in its own protocol, nor by a refusal of another.
fn is_no_mail_server(failure: &Failure) -> bool {
    let line = failure.server_line.as_deref().unwrap_or_default().to_ascii_uppercase();
    let is_reply = line.starts_with(['4', '5']) && line.bytes().take_while(u8::is_ascii_digit).count() == 3;
    let refuses = is_reply || ["* BYE", "* NO", "* BAD", "-ERR"].iter().any(|word| line.starts_with(word));
    // Its words may be of trouble: `HTTP/1.1 503 Service Unavailable`.
    let is_greeting = failure.stage == Stage::Greeting
        && matches!(failure.kind, FailureKind::Greeting | FailureKind::ServerUnavailable)
        && !line.is_empty();
    is_greeting && !refuses
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
