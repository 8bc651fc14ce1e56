//! A probe's steps, one after the other: what each dialled, and what it found of the connections that were open.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::alike::is_alike;
use super::ended::{is_for_idling, is_for_itself};
use super::failing::{falls_silent, is_called_off, is_told, may_be_limit, refuses_after_all};
use super::next::{Before, DialOutcome, Failed, Outcome, met_at, next_step};
use crate::allocator::SessionId;
use crate::event::{Dial, Event, HowClosed, Micros, Probe, ProbePhase, ProbeStep, Release, SessionClosed, What};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Failure, Protocol, Stage};

/// The most steps that are kept: a probe of more says nothing new.
const KEPT: usize = 4096;

/// A dial of a probe, with what its step found of the connections that were open before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Attempt {
    /// The step it belongs to: `count#5`, `release#1`.
    #[serde(serialize_with = "text")]
    #[schemars(with = "String")]
    pub step: ProbeStep,
    /// The session that it was to open.
    pub session: SessionId,
    /// When it began, since the start.
    pub began_us: Micros,
    /// What it took, until it was signed in or refused.
    pub took_us: Micros,
    /// Why it was not let in; null if it was.
    pub failure: Option<Failure>,
    /// How many were open when it began.
    #[serde(skip)]
    pub beside: usize,
    /// Whether it failed so that a limit can be why.
    #[serde(skip)]
    pub was_refused: bool,
    /// How many are open after it, as far as the step found.
    pub open: usize,
    /// The sessions that the server had ended by then, and that were found so in its step.
    pub ended: Vec<SessionId>,
    /// The session that did not answer when it was looked at; null if all did.
    pub silent: Option<SessionId>,
}

fn text<S: Serializer>(step: &ProbeStep, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(step)
}

/// The steps so far.
#[derive(Debug, Default)]
pub(in crate::judge) struct Course {
    steps: Vec<StepSeen>,
    /// By the events that opened them.
    open: BTreeMap<u64, SessionId>,
    /// The session that was just dropped, whether it was the oldest, and how many commands it carried: it broke, and the
    /// operation that broke it is told of next.
    dropped: Option<(SessionId, bool, u32)>,
    /// Every session that the server ended.
    ended: BTreeSet<SessionId>,
}

/// A step, as far as it came.
#[derive(Debug)]
pub(in crate::judge) struct StepSeen {
    pub(in crate::judge) step: ProbeStep,
    /// How many were open when it began, and the last of them.
    pub(super) before: usize,
    newest: Option<SessionId>,
    /// When it closed one itself.
    pub(in crate::judge) closed: Option<Micros>,
    pub(in crate::judge) dial: Option<Dialled>,
    /// The sessions that were found to have been ended by the server, and how.
    pub(super) ended: BTreeMap<SessionId, Failure>,
    /// Of those that a command found so, its number in the session.
    pub(super) by_command: BTreeMap<SessionId, u32>,
    /// Whether each of those was the oldest when it ended.
    ends_oldest: bool,
    /// Whether each of those was newer than all that were left, but the one that was dialled last.
    ends_newest: bool,
    /// The session that did not answer, and why.
    pub(in crate::judge) silent: Option<(SessionId, Failure)>,
}

/// A dial.
#[derive(Debug)]
pub(in crate::judge) struct Dialled {
    pub(in crate::judge) session: SessionId,
    began: Micros,
    pub(super) took: Micros,
    pub(super) phases: Dial,
    failure: Option<Failure>,
    /// How many were open when it came.
    pub(super) beside: usize,
    /// Whether one was just given back.
    gave_one_back: bool,
    sign_in_attempted: bool,
    /// Whether it was signed in, even if it was refused after that.
    was_let_in: bool,
}

impl Analysis for Course {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::ProbeStep(step) if self.steps.len() < KEPT => {
                self.steps.push(StepSeen {
                    step: *step,
                    before: self.open.len(),
                    newest: self.open.last_key_value().map(|(_, session)| *session),
                    closed: None,
                    dial: None,
                    ended: BTreeMap::new(),
                    by_command: BTreeMap::new(),
                    ends_oldest: true,
                    ends_newest: false,
                    silent: None,
                });
            }
            What::SessionOpened(it) => {
                self.dialled(Dialled {
                    session: it.session,
                    began: it.began_us,
                    took: it.signed_in_us - it.began_us,
                    phases: it.dial_us,
                    failure: None,
                    beside: self.open.len(),
                    gave_one_back: self.gave_one_back(),
                    sign_in_attempted: true,
                    was_let_in: true,
                });
                self.open.insert(event.seq, it.session);
            }
            What::SessionRefused(it) => {
                let began = event.at - it.took_us;
                self.dialled(Dialled {
                    session: it.session,
                    began,
                    took: it.failed_us - began,
                    phases: it.dial_us,
                    failure: Some(it.failure.clone()),
                    beside: it.open,
                    gave_one_back: self.gave_one_back(),
                    sign_in_attempted: it.sign_in_attempted,
                    was_let_in: false,
                });
            }
            What::Operation(it) => {
                if let (Some(failure), Some(session)) = (&it.failure, it.session) {
                    self.looked_at(session, failure);
                }
            }
            What::SessionClosed(it) => {
                let is_oldest = self.open.first_key_value().is_some_and(|(_, oldest)| *oldest == it.session);
                self.closed(it, event.at, is_oldest);
                self.dropped = Some((it.session, is_oldest, it.carried)).filter(|_| it.closed == HowClosed::Discarded);
                if let Some(session) = known.session(it.session) {
                    self.open.remove(&session.opened);
                }
            }
            _ => {}
        }
    }
}

impl Course {
    pub(in crate::judge) fn steps(&self) -> &[StepSeen] {
        &self.steps
    }

    /// The sessions that are open now, the oldest first.
    pub(in crate::judge) fn open(&self) -> impl Iterator<Item = SessionId> {
        self.open.values().copied()
    }

    /// What each step came to; none if one of them has not dialled, or was the last of all.
    pub(in crate::judge) fn outcomes(&self, protocol: Protocol) -> Option<Vec<Outcome>> {
        self.steps.iter().map(|step| step.outcome(protocol)).collect()
    }

    /// Whether all was done that the rule asks for.
    pub(super) fn is_whole(&self, probe: &Probe, protocol: Protocol) -> bool {
        let steps = self.steps.iter().filter(|step| step.step.phase != ProbePhase::End);
        let outcomes: Option<Vec<_>> = steps.map(|step| step.outcome(protocol)).collect();
        outcomes.is_some_and(|outcomes| next_step(probe, &outcomes).is_none())
    }

    pub(super) fn of(&self, phase: ProbePhase) -> Vec<&StepSeen> {
        self.steps.iter().filter(|step| step.step.phase == phase).collect()
    }

    /// How many sessions the server ended while they were held, without those that it refused late.
    pub(super) fn ended(&self) -> usize {
        self.ended.len() - self.refused_late()
    }

    /// How many sessions the server let in beyond its limit, and ended a moment later.
    pub(super) fn refused_late(&self) -> usize {
        self.steps.iter().filter(|step| step.refuses_late()).map(|step| step.ended.len()).sum()
    }

    pub(super) fn attempts(&self) -> impl DoubleEndedIterator<Item = Attempt> {
        self.steps.iter().filter_map(StepSeen::attempt)
    }

    /// What came of the dial of that step, counted from 0.
    pub(super) fn attempt_of(&self, step: usize) -> Option<Attempt> {
        self.steps.get(step)?.attempt()
    }

    /// What came before the dial of that step, counted from 0, by those before it.
    pub(super) fn before(&self, step: usize, probe: &Probe, protocol: Protocol) -> Option<Before> {
        let outcomes: Option<Vec<_>> = self.steps.get(..step)?.iter().map(|step| step.outcome(protocol)).collect();
        next_step(probe, &outcomes?).map(|next| next.before)
    }

    /// From the beginning of the first dial to the end of that step's.
    pub(super) fn within(&self, step: &StepSeen) -> Micros {
        let first = self.steps.iter().find_map(|step| step.dial.as_ref()).map(|dial| dial.began);
        step.dial.as_ref().map(|dial| dial.began + dial.took - first.unwrap_or_default()).unwrap_or_default()
    }

    /// The step that met the limit by a refusal, and all that follow.
    pub(super) fn since_refusal(&self) -> &[StepSeen] {
        let refused = |step: &StepSeen| {
            let refusal = step.refusal().filter(|_| step.step.phase == ProbePhase::Count)?;
            Some(is_told(refusal) || step.refuses_late())
        };
        met_at(self.steps.iter().map(refused)).and_then(|at| self.steps.get(at..)).unwrap_or_default()
    }

    /// Why the step's dial was refused, if that is like the refusal of the limit that was met: else it says nothing of that.
    pub(super) fn refused_again<'a>(&self, step: &'a StepSeen) -> Option<&'a Failure> {
        let first = self.since_refusal().first().and_then(StepSeen::refusal);
        step.refusal().filter(|failure| first.is_some_and(|first| is_alike(first, failure)))
    }

    /// What became of the dials after the first step of the phase closed a connection.
    pub(super) fn release(&self, phase: ProbePhase) -> Option<Release> {
        let steps = self.of(phase);
        let closed = steps.first()?.closed?;
        let after = |step: &&StepSeen| step.dial.as_ref().map(|dial| dial.began + dial.took - closed);
        let let_in = steps.iter().find(|step| step.was_let_in()).and_then(after);
        let refused = steps.iter().rfind(|step| self.refused_again(step).is_some()).and_then(after);
        Some(Release { free_after_us: let_in, taken_after_us: refused })
    }

    fn dialled(&mut self, dial: Dialled) {
        if let Some(step) = self.steps.last_mut() {
            step.dial.get_or_insert(dial);
        }
    }

    /// Whether a dial that fails then may fail for one that was just given back.
    fn gave_one_back(&self) -> bool {
        self.steps.last().is_some_and(|step| step.step.gave_one_back())
    }

    /// Whether it is the one that was let in just now: then it was refused, after its sign-in. Exchange Online refuses its first
    /// command.
    fn refuses_newest(&mut self, session: SessionId, how: &Failure) -> bool {
        let newest = self.steps.last_mut().and_then(|step| step.dial.as_mut());
        let Some(dial) = newest.filter(|dial| dial.session == session) else { return false };
        dial.failure.get_or_insert_with(|| while_open(how));
        true
    }

    /// Its command failed.
    fn looked_at(&mut self, session: SessionId, how: &Failure) {
        let dropped = self.dropped.filter(|(it, ..)| *it == session);
        if refuses_after_all(how.kind, dropped.is_some()) {
            if !self.refuses_newest(session, how)
                && let Some((_, is_oldest, carried)) = dropped
            {
                self.lost(session, how, is_oldest);
                if let Some(step) = self.steps.last_mut() {
                    step.by_command.insert(session, carried);
                }
            } else if dropped.is_none()
                && let Some(step) = self.steps.last_mut()
                && step.dial.as_ref().is_none_or(|dial| dial.session != session)
            {
                // It lives on, and is not served: the server has had enough of it.
                step.silent.get_or_insert_with(|| (session, how.clone()));
            }
        } else if dropped.is_some()
            // One that was called off had not answered either.
            && (falls_silent(how.kind) || is_called_off(how))
            && let Some(step) = self.steps.last_mut()
        {
            step.silent.get_or_insert_with(|| (session, how.clone()));
        }
    }

    /// The server ended one that was held.
    fn lost(&mut self, session: SessionId, how: &Failure, is_oldest: bool) {
        if self.ended.insert(session)
            && let Some(step) = self.steps.last_mut()
        {
            step.ended.insert(session, while_open(how));
            step.ends_oldest &= is_oldest;
            let dialled = step.dial.as_ref().map(|dial| dial.session);
            let newest_left = self.open.values().rfind(|it| **it != session && Some(**it) != dialled);
            step.ends_newest = newest_left.is_some_and(|newest| Some(newest) < step.ended.keys().next());
        }
    }

    fn closed(&mut self, it: &SessionClosed, at: Micros, is_oldest: bool) {
        let Some(step) = self.steps.last_mut() else { return };
        let is_its_own = step.newest == Some(it.session);
        if step.step.closes_one() && is_its_own {
            step.closed = Some(at);
        }
        let by_design = step.step.leaves_without_a_word() && is_its_own;
        let failure = it.failure.as_ref().filter(|_| it.closed == HowClosed::HungUp);
        if let Some(failure) = failure.filter(|_| !by_design)
            && !self.refuses_newest(it.session, failure)
        {
            self.lost(it.session, failure, is_oldest);
        }
    }
}

/// The goodbye of a session is where this client hears of its end: it was ended before that.
fn while_open(how: &Failure) -> Failure {
    Failure { stage: how.stage.min(Stage::Operation), ..how.clone() }
}

impl StepSeen {
    pub(super) fn was_let_in(&self) -> bool {
        self.dial.as_ref().is_some_and(|dial| dial.failure.is_none())
    }

    /// Why its dial was refused, if that can be a limit.
    pub(super) fn refusal(&self) -> Option<&Failure> {
        self.dial.as_ref().and_then(|dial| dial.failure.as_ref().filter(|failure| dial.is_limit(failure)))
    }

    /// Why its dial failed, if that is no limit: the probe ends there.
    pub(super) fn stop(&self) -> Option<&Failure> {
        self.dial.as_ref().and_then(|dial| dial.failure.as_ref().filter(|failure| !dial.is_limit(failure)))
    }

    /// How many of its phase are open after it: those that it found ended were not, when its own came.
    pub(super) fn open_after(&self) -> usize {
        let more = usize::from(self.was_let_in());
        (self.before + more).saturating_sub(self.ended.len() + usize::from(self.closed.is_some()))
    }

    /// Sessions that were held, and that it found ended.
    pub(super) fn ended_while_held(&self) -> usize {
        if self.refuses_late() { 0 } else { self.ended.len() }
    }

    /// Whether its dial was let in, and cost another its place. A server that ends all of several went away.
    pub(super) fn lost_another(&self) -> bool {
        let lost = self.ended.values().filter(|failure| !is_for_itself(self, failure)).count();
        self.was_let_in() && lost > 0 && (lost < self.before || self.before == 1)
    }

    /// Whether the server ended the only one that was open, before another one came.
    pub(super) fn lost_the_only_one(&self) -> bool {
        self.before == 1 && self.dial.as_ref().is_some_and(|dial| dial.beside == 0)
    }

    /// Whether the oldest was ended for the one that was let in, in words of a limit.
    pub(super) fn says_that_it_ends_the_oldest(&self) -> bool {
        self.lost_another() && self.ends_oldest && self.ended.values().all(is_told)
    }

    /// When its dial began, and when that was over.
    pub(super) fn dialled(&self) -> Option<(Micros, Micros)> {
        self.dial.as_ref().map(|dial| (dial.began, dial.began + dial.took))
    }

    /// Whether its dial was let in and ended itself a moment later, as those before it that came beyond the same limit.
    pub(super) fn refuses_late(&self) -> bool {
        self.ends_newest && self.refusal().is_some() && self.dial.as_ref().is_some_and(|dial| dial.was_let_in)
    }

    pub(super) const fn lost_the_oldest(&self) -> bool {
        self.ends_oldest
    }

    /// In what way the server ended all that were open: it went away, unless it says that they lay idle. One that is ended for
    /// the newest may be the oldest.
    pub(super) fn went_away(&self) -> Option<&Failure> {
        let all = self.ended.len() >= self.before && (self.before > 1 || !self.was_let_in());
        self.ended.values().find(|failure| !is_for_idling(failure)).filter(|_| all)
    }

    fn attempt(&self) -> Option<Attempt> {
        let dial = self.dial.as_ref()?;
        Some(Attempt {
            step: self.step,
            session: dial.session,
            began_us: dial.began,
            took_us: dial.took,
            failure: dial.failure.clone(),
            beside: dial.beside,
            was_refused: self.refusal().is_some(),
            open: self.open_after(),
            ended: self.ended.keys().copied().collect(),
            silent: self.silent.as_ref().map(|(session, _)| *session),
        })
    }

    fn outcome(&self, protocol: Protocol) -> Option<Outcome> {
        let came_to = match self.dial.as_ref().map(|dial| (dial, &dial.failure)) {
            None if self.silent.is_some() => DialOutcome::Withheld,
            None => return None,
            Some((dial, None)) => DialOutcome::LetIn { took: dial.took },
            Some((dial, Some(failure))) => {
                let Dialled { sign_in_attempted, beside, gave_one_back, .. } = *dial;
                let mut failed = Failed::of(failure, sign_in_attempted, beside, gave_one_back, Some(protocol));
                failed.is_told |= self.refuses_late();
                DialOutcome::Failed(failed)
            }
        };
        Some(Outcome {
            step: self.step,
            dial: came_to,
            open: self.open_after(),
            ended: self.ended_while_held(),
            is_silent: self.silent.is_some(),
        })
    }
}

impl Dialled {
    fn is_limit(&self, failure: &Failure) -> bool {
        may_be_limit(failure, self.sign_in_attempted, self.beside > 0 || self.gave_one_back)
    }
}
