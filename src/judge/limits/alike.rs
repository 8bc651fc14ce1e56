//! Whether a later refusal is one of the limit that was met first: another limit, a ban or a server that went away says
//! nothing of it.

use super::kind::stated_in_words;
use crate::event::LimitKind;
use crate::judge::refusals::has_words;
use crate::protocol::{Failure, FailureKind, Stage};

/// What the refusals of one limit have in common. Its numbers, names and identifiers may differ each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Likeness {
    pub(super) kind: FailureKind,
    pub(super) stage: Stage,
    pub(super) has_words: bool,
    pub(super) says: Option<LimitKind>,
}

impl Likeness {
    pub(super) fn of(failure: &Failure) -> Self {
        use FailureKind::{Closed, ConnectReset, LimitConnections};
        let (has_words, says) = (has_words(failure), stated_in_words(failure));
        let (kind, stage) = match failure.kind {
            // How soon a close is noticed is chance, and what it is called depends on how many are open.
            Closed | ConnectReset | LimitConnections if !has_words => {
                (Closed, if failure.stage < Stage::Auth { Stage::Greeting } else { Stage::Operation })
            }
            // A goodbye may be heard of by a command, or by the close.
            kind => (kind, failure.stage.min(Stage::Operation)),
        };
        Self { kind, stage, has_words, says }
    }
}

/// Whether both can be refusals of one limit.
pub(crate) fn is_alike(one: &Failure, other: &Failure) -> bool {
    Likeness::of(one) == Likeness::of(other)
}

#[cfg(test)]
mod tests {
    use super::is_alike;
    use crate::protocol::FailureKind::{
        Closed, ConnectRefused, ConnectReset, LimitConnections, LimitRate, ServerUnavailable, Timeout,
    };
    use crate::protocol::Stage::{Auth, Connect, Greeting, Logout, Operation};
    use crate::protocol::{Failure, FailureKind, Stage};

    #[test]
    fn refusals_of_one_limit_are_alike_and_those_of_two_are_not() {
        let failure = |(kind, stage, line): (FailureKind, Stage, Option<&str>)| Failure {
            server_line: line.map(str::to_owned),
            ..Failure::new(kind, stage, "it was refused")
        };
        let counted = (LimitConnections, Auth, Some("NO Too many open connections (11 of 10 for ann)"));
        let vague = (LimitConnections, Greeting, Some("421 4.7.0 too many connections from 192.0.2.7"));
        let silent = (LimitConnections, Greeting, None);
        for (one, other, alike) in [
            (counted, (LimitConnections, Auth, Some("NO Too many open connections (12 of 10 for ann)")), true),
            (counted, (LimitConnections, Operation, Some("NO Too many open connections")), false),
            (counted, (LimitConnections, Auth, Some("NO no more than 9 connections per minute")), false),
            (counted, (ServerUnavailable, Auth, Some("NO [UNAVAILABLE] Internal error occurred")), false),
            (counted, (ConnectRefused, Connect, None), false),
            (counted, (Closed, Greeting, None), false),
            (vague, (LimitConnections, Greeting, Some("421 4.7.0 too many connections from 192.0.2.8")), true),
            (vague, (LimitRate, Greeting, Some("421 4.7.0 Connection rate limit exceeded")), false),
            (vague, silent, false),
            (silent, (Closed, Greeting, None), true),
            (silent, (ConnectReset, Connect, None), true),
            (silent, (Closed, Operation, None), false),
            (silent, (Timeout, Greeting, None), false),
            ((Timeout, Greeting, None), (Timeout, Greeting, Some("* OK [CAPABILITY IMAP4rev1")), true),
            (
                (LimitConnections, Operation, Some("* BYE Too many")),
                (LimitConnections, Logout, Some("* BYE Too many")),
                true,
            ),
            (silent, (ConnectRefused, Connect, None), false),
        ] {
            assert_eq!(is_alike(&failure(one), &failure(other)), alike, "{one:?} {other:?}");
        }
    }
}
