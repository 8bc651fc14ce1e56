//! Why a server ended sessions that a probe held, where it did not end them for the newest.

use super::course::{Course, StepSeen};
pub(super) use crate::judge::findings::is_for_idling;
use crate::protocol::Failure;

/// What the server ended all of them for. None of them tells of a limit on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedFor {
    /// They lay idle, by its words.
    Idling,
    /// Nothing that another connection did: each was the only one that was open.
    Itself,
}

/// Whether that is why the server ended the session, by its words or by what was open then.
pub(super) fn is_for_itself(step: &StepSeen, failure: &Failure) -> bool {
    is_for_idling(failure) || step.lost_the_only_one()
}

impl Course {
    /// What the server ended all of them for; none where it ended none, or one that it may have ended for another.
    pub(super) fn ended_for(&self) -> Option<EndedFor> {
        let held = || self.steps().iter().filter(|step| !step.refuses_late());
        let lost = || held().flat_map(|step| step.ended.values().map(move |failure| (step, failure)));
        lost().next()?;
        if lost().all(|(_, failure)| is_for_idling(failure)) {
            return Some(EndedFor::Idling);
        }
        lost().all(|(step, failure)| is_for_itself(step, failure)).then_some(EndedFor::Itself)
    }
}
