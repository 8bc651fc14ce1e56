//! Why a server ended sessions that a probe held, where it did not end them for the newest.

use super::course::{Course, StepSeen};
use super::failing::is_told;
pub(super) use crate::judge::findings::is_for_idling;
use crate::judge::refusals::lines;
use crate::protocol::Failure;

/// What the server ended all of them for. None of them tells of a limit on connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndedFor {
    /// They lay idle, by its words.
    Idling,
    /// They had too many commands, by its words: the looks at them are commands.
    Commands,
    /// That or another connection: each was ended by its command of that number, and without a word of a limit.
    CommandOf(u32),
    /// Nothing that another connection did: each was the only one that was open.
    Itself,
}

/// Whether that is why the server ended the session, by its words or by what was open then.
pub(super) fn is_for_itself(step: &StepSeen, failure: &Failure) -> bool {
    is_for_idling(failure) || is_for_commands(failure) || step.lost_the_only_one()
}

/// `* BYE too many commands`.
fn is_for_commands(failure: &Failure) -> bool {
    lines(failure).any(|line| {
        let line = line.to_ascii_lowercase();
        line.contains("commands") && !line.contains("connection")
    })
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
        if lost().all(|(_, failure)| is_for_commands(failure)) {
            return Some(EndedFor::Commands);
        }
        if let Some(number) = self.ended_by_command_of() {
            return Some(EndedFor::CommandOf(number));
        }
        lost().all(|(step, failure)| is_for_itself(step, failure)).then_some(EndedFor::Itself)
    }

    /// The number of the command that ended each of those that were lost, if it is the same of several. A server that ends one
    /// for the newest does not wait for a command of it.
    pub(super) fn ended_by_command_of(&self) -> Option<u32> {
        let held = self.steps().iter().filter(|step| !step.refuses_late());
        let mut lost = held.flat_map(|step| {
            step.ended
                .iter()
                .map(move |(session, failure)| step.by_command.get(session).copied().filter(|_| !is_told(failure)))
        });
        let first = lost.next()??;
        let mut others = lost.peekable();
        (others.peek().is_some() && others.all(|number| number == Some(first))).then_some(first)
    }
}
