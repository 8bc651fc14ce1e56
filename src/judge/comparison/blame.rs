//! What speaks against a variant: what its runs met, if that was its own doing.

use super::trouble::Trouble;
use super::{ComparedRun, Comparison};
use crate::judge::Allowed;
use crate::protocol::FailureKind;

/// So many times as long as the longest run of its variant a run took that hung.
const HUNG: u64 = 2;

impl Comparison {
    /// The worst that the run at that place met, if it was its variant's own doing.
    #[must_use]
    pub fn trouble(&self, at: usize) -> Option<Trouble> {
        let run = self.runs.get(at)?;
        match run.trouble() {
            Some(Trouble::Connections) if self.was_taken(at) => None,
            Some(Trouble::Throttled) if self.is_shared(at) => None,
            Some(Trouble::SignInRefused | Trouble::Failures) if self.is_of_the_end(at) => None,
            None if self.hung(run) => Some(Trouble::Hung),
            trouble => trouble,
        }
    }

    /// What the run at that place met that was not its variant's doing. It was refused for what came before it, or for other
    /// clients: a connection, or in the end any more operations. Or the server refused the account, or went away.
    #[must_use]
    pub fn suffered(&self, at: usize) -> Option<Trouble> {
        let trouble = self.runs.get(at)?.trouble()?;
        (self.trouble(at) != Some(trouble)).then_some(trouble)
    }

    /// Whether it was cut when it had taken far longer than its variant takes.
    fn hung(&self, run: &ComparedRun) -> bool {
        let whole = self.runs.iter().filter(|it| !it.was_interrupted && it.variant == run.variant);
        let longest = whole.map(|it| it.elapsed.0).max();
        run.was_interrupted && longest.is_some_and(|longest| run.elapsed.0 > longest.saturating_mul(HUNG))
    }

    /// Whether a server that runs share refused the run at that place what it gave one before it, or less than it says that it
    /// allows: the places were taken by sessions of the runs before, which a server may count for a while after their end, or
    /// by other clients.
    fn was_taken(&self, at: usize) -> bool {
        let (before, run) = (&self.runs[..at], &self.runs[at]);
        let stated = run.allowed.and_then(|it| it.stated);
        let given = before.iter().filter(|run| run.trouble().is_none()).map(|run| run.figures.connections.peak).max();
        let was_refused = run.wanted > run.figures.connections.peak;
        self.is_shared(at) && was_refused && stated.or(given).is_some_and(|most| run.wanted <= most)
    }

    /// Whether the server that all variants share began to refuse the account, or went away, in the run at that place. Which
    /// variant's run that was is chance.
    fn is_of_the_end(&self, at: usize) -> bool {
        let runs = &self.runs[at..];
        self.end_of_the_server().is_some() && runs.iter().take(runs.len() - 1).all(ComparedRun::broke)
    }

    /// What of the server ended all, if it was not what a variant did. One in the box is each variant's own.
    #[must_use]
    pub fn end_of_the_server(&self) -> Option<ServersEnd> {
        let (last, before) = self.runs.split_last()?;
        if self.is_on_the_sandbox() {
            return None;
        }
        let worked = |run: &&ComparedRun| run.figures.operations.ok > 0;
        let met_alone = || {
            before.iter().any(|run| worked(&run))
                && !before.iter().filter(worked).any(|run| run.variant == last.variant)
        };
        match last.trouble()? {
            Trouble::SignInRefused => Some(ServersEnd::RefusedTheAccount),
            Trouble::Failures if worked(&last) || !last.broke() => None,
            Trouble::Failures if last.failed_by.iter().all(is_out_of_reach) => Some(ServersEnd::OutOfReach),
            // It may be what this variant alone asks of it.
            Trouble::Failures if met_alone() => None,
            Trouble::Failures => Some(ServersEnd::NoAnswer),
            _ => None,
        }
    }

    /// Whether others ran before it against the same server.
    fn is_shared(&self, at: usize) -> bool {
        at > 0 && !self.is_on_the_sandbox()
    }

    /// What its runs show of a limit on connections, those aside that were refused for others.
    #[must_use]
    pub fn allowed(&self) -> Option<Allowed> {
        let own = self.runs.iter().enumerate().filter(|(at, _)| self.trouble(*at) == Some(Trouble::Connections));
        own.filter_map(|(_, run)| run.allowed).reduce(Allowed::and)
    }

    /// Whether a run of it met that, for whatever reason.
    #[must_use]
    pub fn met(&self, trouble: Trouble) -> bool {
        self.runs.iter().any(|run| run.trouble() == Some(trouble))
    }

    /// Whether its last run hung until the time for all was over.
    #[must_use]
    pub fn hung_at_the_end(&self) -> bool {
        self.runs.len().checked_sub(1).and_then(|at| self.trouble(at)) == Some(Trouble::Hung)
    }
}

/// What a server did to all that came to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServersEnd {
    /// It refused to let the account in.
    RefusedTheAccount,
    /// It could not be reached.
    OutOfReach,
    /// It broke off, or answered nothing.
    NoAnswer,
}

impl ComparedRun {
    /// Whether all that failed in it is what happens where a server goes away, or lets the account in no more.
    fn broke(&self) -> bool {
        use FailureKind::{
            AuthInvalid, AuthPolicy, AuthRefused, Closed, Greeting, ServerBye, ServerUnavailable, Timeout,
            TlsHandshake, WaitTimeout,
        };
        let breaks = |kind: &FailureKind| {
            is_out_of_reach(kind)
                || matches!(
                    kind,
                    AuthInvalid
                        | AuthPolicy
                        | AuthRefused
                        | Closed
                        | Greeting
                        | ServerBye
                        | ServerUnavailable
                        | Timeout
                        | TlsHandshake
                        | WaitTimeout
                )
        };
        self.trouble() == Some(Trouble::Failures) && self.failed_by.iter().all(breaks)
    }
}

const fn is_out_of_reach(kind: &FailureKind) -> bool {
    use FailureKind::{ConnectRefused, ConnectReset, ConnectTimeout, Dns};
    matches!(kind, ConnectRefused | ConnectReset | ConnectTimeout | Dns)
}
