//! The worst that a run met, of what speaks against its variant.

use crate::figures::Summary;
use crate::judge::findings::{CONNECTIONS, LOCKED, MAIN_SHUT_OUT, OTHER_MAILBOX, THROTTLED};
use crate::judge::{Conclusion, Verdict};
use crate::protocol::FailureKind;

/// The worst that a run met, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Trouble {
    /// An invariant of ours is broken.
    Broken,
    /// A reply came from another mailbox than was meant.
    OtherMailbox,
    /// A sign-in was refused.
    SignInRefused,
    /// Another connection had the maildrop locked.
    Locked,
    /// The server refused one more connection at once.
    Connections,
    /// The server throttled.
    Throttled,
    /// Operations failed, or connections did not come to be.
    Failures,
    /// Nothing more came of it until the time for all was over.
    Hung,
}

impl Trouble {
    /// What that run met.
    pub(super) fn of(summary: &Summary, verdict: &Verdict) -> Option<Self> {
        let found = |ids: &[&str]| verdict.findings.iter().any(|finding| ids.contains(&&*finding.id));
        let failed_by = |kind| summary.failures_by_kind.contains_key(&kind);
        // What a signal ends may fail for that.
        let is_cut = matches!(verdict.conclusion, Conclusion::Interrupted(_));
        let failed = summary.operations.failed > 0 || summary.refused > 0 || !summary.failures.is_empty();
        let all = [
            (Self::Broken, verdict.conclusion == Conclusion::Broken),
            (Self::OtherMailbox, found(&[OTHER_MAILBOX])),
            (Self::SignInRefused, verdict.conclusion == Conclusion::SignInRefused),
            (Self::Locked, found(&[LOCKED]) && !found(&[CONNECTIONS, MAIN_SHUT_OUT])),
            (Self::Connections, found(&[CONNECTIONS, MAIN_SHUT_OUT]) || failed_by(FailureKind::LimitConnections)),
            (Self::Throttled, found(&[THROTTLED]) || failed_by(FailureKind::LimitRate)),
            (Self::Failures, failed && !is_cut),
        ];
        all.into_iter().find_map(|(trouble, is_met)| is_met.then_some(trouble))
    }
}
