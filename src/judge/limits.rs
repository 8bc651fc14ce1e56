//! What a probe finds out of a server's limits, from its events alone: its conductor's word counts for nothing.

mod alike;
mod course;
mod ended;
mod failing;
mod kind;
mod next;
mod scope;
mod slow;

use self::course::StepSeen;
use self::slow::is_slow;
use super::refusals::lines;
use super::stated_limit;
use crate::event::{Event, KeptBy, LimitKind, LimitMet, LimitScope, LimitsFound, Micros, Probe, ProbePhase, What};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Endpoint, Failure, Protocol, Stage};

pub(crate) use self::alike::is_alike;
pub use self::course::Attempt;
pub(super) use self::course::Course;
pub(crate) use self::ended::EndedFor;
pub(crate) use self::failing::{falls_silent, is_called_off, refuses_after_all};
pub(crate) use self::kind::{is_lock_of_one, stated as stated_kind, stated_period};
pub(crate) use self::next::{
    Before, DialOutcome, Failed, Goodbye, NextStep, Outcome, SETTLES, most_attempts, most_looks, most_refused,
    next_step, releases,
};
use self::next::{ends_again, longest_wait};

/// A probe, and what it found out.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// What it comes to.
    pub limits: LimitsFound,
    /// Its dials, in order: as many as are kept.
    pub attempts: Vec<Attempt>,
    /// The server's first line, as it is shown.
    pub greeting: Option<String>,
    /// Sessions that the server let in beyond the limit, and ended a moment later, beside those whose step found it.
    pub refused_late: usize,
    /// How much longer the hold must be to tell a count from a rate, where that alone was wanting.
    pub longer_hold: Option<Micros>,
    /// Why the server ended all the sessions that it ended, where that was not for the newest.
    pub(crate) ended_for: Option<EndedFor>,
}

impl Probed {
    /// The first attempt after the count with which so many were open at once, if the count did not come so far. A rate lets more
    /// in after the hold. What the count let in beyond the limit is no such attempt: the server ended it soon.
    pub(crate) fn later_with(&self, open: usize) -> Option<&Attempt> {
        let later = self.attempts.iter().filter(|it| it.step.phase != ProbePhase::Count);
        later.filter(|_| open > self.limits.given).find(|it| it.open >= open)
    }
}

/// A limit that was met.
struct Met {
    limit: LimitMet,
    /// How many connections it gives.
    given: usize,
    /// Whether that is more than the most that it may be. Of a server that ends others, more may be about to end.
    is_settled: bool,
}

/// Follows a probe's steps.
#[derive(Debug, Default)]
pub(super) struct Ramp {
    probe: Option<Probe>,
    protocol: Option<Protocol>,
    /// Who signs in: a server may say for whom it counts.
    user: String,
    greeting: Option<String>,
    course: Course,
}

impl Analysis for Ramp {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::RunStart(start) => {
                self.probe = start.probe;
                self.protocol = Some(start.protocol);
                // The sandbox has one user, who is called so.
                self.user = Endpoint::parse(&start.server, None).map_or_else(|_| "sandbox".to_owned(), |it| it.user);
            }
            _ if self.probe.is_none() => {}
            What::ServerGreeted(greeted) => self.greeting = Some(greeted.line.clone()),
            _ => self.course.see(event, known),
        }
    }
}

impl Ramp {
    /// What was found out so far; none where the run is no probe.
    pub(super) fn found(&self) -> Option<Box<Probed>> {
        let probe = self.probe?;
        let limits = self.limits(&probe);
        Some(Box::new(Probed {
            limits,
            attempts: self.course.attempts().collect(),
            greeting: self.greeting.clone(),
            refused_late: self.course.refused_late(),
            longer_hold: self.longer_hold().filter(|more| *more > Micros::ZERO),
            ended_for: self.course.ended_for(),
        }))
    }

    pub(super) fn attempt_of(&self, step: usize) -> Option<Attempt> {
        self.course.attempt_of(step)
    }

    /// How long that step, counted from 0, rests before its dial: after a close, since that.
    pub(super) fn rest_of(&self, step: usize) -> Option<Micros> {
        Some(match self.course.before(step, &self.probe?, self.protocol?)? {
            Before::Rest(rest) | Before::Hold(rest) | Before::Close(_, rest) | Before::SinceClose(rest) => rest,
        })
    }

    fn limits(&self, probe: &Probe) -> LimitsFound {
        let steps = self.course.steps();
        let dials = || steps.iter().filter(|step| step.dial.is_some());
        let counted = || steps.iter().filter(|step| step.step.phase == ProbePhase::Count);
        let met = self.met();
        let ends_by_itself = self.course.ended_for().is_some() && self.course.ended() > 1;
        let silent = steps.iter().find_map(|step| step.silent.as_ref());
        let went_away = || dials().next_back().and_then(|step| self.went_away(step));
        let stopped = dials()
            .find_map(StepSeen::stop)
            .or_else(|| silent.map(|(_, how)| how))
            .filter(|it| !is_called_off(it))
            .or_else(went_away)
            .cloned();
        let all_let_in = counted().filter(|step| step.was_let_in()).count() >= probe.max;
        let answered = match &met {
            // Of those that were let in one after the other, few were open at once. One that ended may be anything.
            None => stopped.is_none() && all_let_in && (!ends_by_itself || self.most_open() >= probe.max),
            Some(met) => {
                silent.is_none() && met.is_settled && (met.given == 0 || self.is_looked_into(&met.limit, probe))
            }
        };
        LimitsFound {
            answered,
            given: met.as_ref().map_or_else(|| self.most_open(), |met| met.given),
            attempts: dials().count(),
            refused: dials().filter(|step| step.refusal().is_some()).count(),
            met: met.map(|met| met.limit),
            release: self.course.release(ProbePhase::Release),
            bare_close: self.course.release(ProbePhase::BareClose),
            ended: self.course.ended(),
            silent: silent.map(|(session, _)| *session),
            stopped,
        }
    }

    /// The same as of the step, but that SMTP and POP3 sessions lie idle while they are held: a server that ends those, and answers
    /// the next dial, had told by then what it counts.
    fn went_away<'a>(&self, step: &'a StepSeen) -> Option<&'a Failure> {
        let first = self.course.since_refusal().first().and_then(StepSeen::refusal);
        let counts = first.and_then(|failure| kind::stated(failure, self.protocol, self.most_open()));
        let answers = step.was_let_in() || self.course.refused_again(step).is_some();
        let lay_idle = step.step.phase == ProbePhase::Hold && self.protocol != Some(Protocol::Imap) && answers;
        step.went_away().filter(|_| !(lay_idle && counts == Some(LimitKind::Count)))
    }

    fn most_open(&self) -> usize {
        self.course.of(ProbePhase::Count).into_iter().map(StepSeen::open_after).max().unwrap_or(0)
    }

    /// The limit that was met first.
    fn met(&self) -> Option<Met> {
        let counts = self.course.of(ProbePhase::Count);
        if counts.iter().any(|step| step.went_away().is_some()) {
            return None;
        }
        self.ending(&counts).or_else(|| self.refusing()).or_else(|| {
            // One may be anything.
            let (before, [slow, last]) = counts.split_last_chunk()?;
            let stage = slowed_at(last, before)?;
            slowed_at(slow, before)?;
            let limit =
                self.limit(slow, LimitKind::Unclear, KeptBy::Slowing, LimitScope::ALL.to_vec(), Some(stage), None);
            Some(Met { limit, given: self.most_open(), is_settled: true })
        })
    }

    /// The server ends others for those that are let in.
    fn ending(&self, counts: &[&StepSeen]) -> Option<Met> {
        let let_in: Vec<&StepSeen> = counts.iter().copied().filter(|step| step.was_let_in()).collect();
        let lost = |step: &StepSeen| if step.lost_another() { step.ended.len() } else { 0 };
        if self.course.ended_by_command_of().is_some() {
            return None;
        }
        let before = |step: &StepSeen| step.dial.as_ref().map_or(0, |dial| dial.beside);
        let met = |first: &StepSeen, last: &StepSeen, given, is_settled| {
            let oldest = first.lost_the_oldest() && last.lost_the_oldest();
            let kept_by = if oldest { KeptBy::EndingOldest } else { KeptBy::EndingAnother };
            let failure = first.ended.values().next();
            let scopes =
                failure.map_or_else(|| LimitScope::ALL.to_vec(), |failure| scope::of(failure, &self.user, None));
            let limit = self.limit(first, LimitKind::Count, kept_by, scopes, None, failure);
            Some(Met { limit, given, is_settled })
        };
        for (at, last) in let_in.iter().enumerate() {
            // The ends of the first step may have come late, after many more were let in: where as many are let in as end, all
            // had come.
            if let Some(steps) = ends_again(let_in[..=at].iter().rev().map(|step| lost(step))) {
                return met(let_in[at - steps], last, before(last), true);
            }
        }
        // Of those that ended for one, a second time comes only after as many were let in: there were too few.
        let at = let_in.iter().rposition(|step| lost(step) > 0)?;
        let (last, is_open) = (let_in[at], let_in.len() - at <= lost(let_in[at]));
        if !self.course.since_refusal().is_empty() {
            // Another limit was in the way of it.
            let is_told = is_open && last.says_that_it_ends_the_oldest();
            return is_told.then(|| met(last, last, before(last), true))?;
        }
        if let Some(&[first, last]) = let_in.windows(2).rfind(|both| both.iter().all(|step| lost(step) > 0)) {
            return met(first, last, last.open_after(), false);
        }
        (is_open && lost(last) > 1).then(|| met(last, last, before(last), false))?
    }

    /// The server refuses the newest.
    fn refusing(&self) -> Option<Met> {
        let step = self.course.since_refusal().first()?;
        let failure = step.refusal()?;
        let given = if step.refuses_late() { step.open_after() } else { self.most_open() };
        let kind = kind::stated(failure, self.protocol, given).unwrap_or_else(|| self.kind_by_trial());
        let scopes = if is_lock_of_one(failure, self.protocol, given) {
            vec![LimitScope::User]
        } else {
            scope::of(failure, &self.user, Some(failure.stage))
        };
        let limit = self.limit(step, kind, KeptBy::RefusingNewest, scopes, Some(failure.stage), Some(failure));
        Some(Met { limit, given, is_settled: true })
    }

    fn limit(
        &self,
        step: &StepSeen,
        kind: LimitKind,
        kept_by: KeptBy,
        scopes: Vec<LimitScope>,
        stage: Option<Stage>,
        failure: Option<&Failure>,
    ) -> LimitMet {
        let waits =
            || self.course.steps().iter().filter_map(|step| longest_wait(self.course.refused_again(step)?)).max();
        LimitMet {
            kind,
            kept_by,
            scopes,
            stage,
            failure: failure.cloned(),
            stated: failure.into_iter().flat_map(lines).find_map(stated_limit),
            stated_wait_us: failure.and_then(longest_wait).max(waits()),
            within_us: self.course.within(step),
            again_within_us: self.let_in_by_time().map(|step| self.course.within(step)),
        }
    }

    /// What later attempts prove. One more that is let in than were given back says that time has passed, or that other clients
    /// have left. A count is proved where one was let in each time that one was given back, and none where none was, if no rate
    /// could have given these places by then.
    fn kind_by_trial(&self) -> LimitKind {
        // Of nothing that is held, or where the server ended some, nobody can tell whether others came free.
        let nothing_came_free = self.course.since_refusal().iter().all(|step| match step.step.phase {
            ProbePhase::Hold => step.ended.is_empty() && step.before > 0,
            ProbePhase::Count | ProbePhase::Release | ProbePhase::Confirm | ProbePhase::Repeat => {
                step.ended_while_held() == 0
            }
            ProbePhase::BareClose | ProbePhase::End => true,
        });
        let tried = |phase| self.course.of(phase).into_iter().find(|step| step.dial.is_some());
        let again = |step: &StepSeen| self.course.refused_again(step).is_some();
        match (tried(ProbePhase::Hold), tried(ProbePhase::Confirm)) {
            _ if !nothing_came_free => LimitKind::Unclear,
            (Some(_), Some(confirm)) if confirm.was_let_in() => LimitKind::Rate,
            (Some(hold), Some(confirm))
                if again(hold) && again(confirm) && self.longer_hold() == Some(Micros::ZERO) =>
            {
                LimitKind::Count
            }
            _ => LimitKind::Unclear,
        }
    }

    /// How much longer the hold must be for the places that were let in after two goodbyes to be none of a rate's; none where it
    /// did not come to that, or where no hold is long enough.
    ///
    /// A rate that gave no place from the first refusal to the last one before the goodbye was answered gives one in that time
    /// at most: the second was let in sooner than that again. One that gives a few at once, and has given those to the two that
    /// were let in, is excluded by the order, or by a limit of more.
    fn longer_hold(&self) -> Option<Micros> {
        let of = |phase| self.course.of(phase);
        let repeat = of(ProbePhase::Repeat).into_iter().find(|step| step.was_let_in())?;
        let confirm = of(ProbePhase::Confirm).into_iter().next()?;
        let (_, met) = self.course.since_refusal().first()?.dialled()?;
        let refused = |step: &&StepSeen| self.course.refused_again(step).is_some();
        let (last, _) = of(ProbePhase::Hold).into_iter().chain(of(ProbePhase::Release)).rfind(refused)?.dialled()?;
        let ((_, again), (confirmed, _)) = (repeat.dialled()?, confirm.dialled()?);
        // Two were let in before one was refused.
        let gave_two = again < confirmed;
        (!gave_two || self.most_open() > 2).then(|| (again - last) - (last - met))
    }

    /// The dial that shows that time alone had to pass.
    fn let_in_by_time(&self) -> Option<&StepSeen> {
        let let_in = |phase| self.course.of(phase).into_iter().find(|step| step.was_let_in());
        // The one that confirms comes at once.
        let_in(ProbePhase::Hold).or_else(|| let_in(ProbePhase::Confirm).and_then(|_| let_in(ProbePhase::Release)))
    }

    /// Whether its kind is known, or all was done that could tell it.
    fn is_looked_into(&self, met: &LimitMet, probe: &Probe) -> bool {
        let let_in = |phase| self.course.of(phase).iter().any(|step| step.was_let_in());
        let is_stopped = self.course.steps().iter().any(|step| step.stop().is_some());
        let went_away = self.course.of(ProbePhase::Hold).iter().any(|step| self.went_away(step).is_some());
        let is_whole = self.protocol.is_some_and(|protocol| self.course.is_whole(probe, protocol));
        match met.kept_by {
            KeptBy::Slowing | KeptBy::EndingOldest | KeptBy::EndingAnother => true,
            KeptBy::RefusingNewest => {
                self.kind_by_trial() != LimitKind::Unclear
                    || (met.kind == LimitKind::Count && let_in(ProbePhase::Release))
                    || (is_whole && !is_stopped && !went_away)
            }
        }
    }
}

/// At which stage the dial was slow, by those before it; none if it was not.
fn slowed_at(step: &StepSeen, before: &[&StepSeen]) -> Option<Stage> {
    let let_in =
        |step: &&StepSeen| step.dial.as_ref().filter(|_| step.was_let_in()).map(|dial| (dial.took, dial.phases));
    let (took, now) = let_in(&step)?;
    if !is_slow(took, before.iter().filter_map(let_in).map(|(took, _)| took)) {
        return None;
    }
    let (_, last) = before.iter().rev().find_map(let_in).unwrap_or_default();
    let longer = [
        (Stage::Resolve, now.resolve, last.resolve),
        (Stage::Connect, now.connect, last.connect),
        (Stage::Tls, now.tls, last.tls),
        (Stage::Greeting, now.greeting, last.greeting),
        (Stage::Auth, now.sign_in, last.sign_in),
    ];
    let by = |now: Option<Micros>, last: Option<Micros>| now.unwrap_or_default() - last.unwrap_or_default();
    longer.into_iter().max_by_key(|(_, now, last)| by(*now, *last)).map(|(stage, ..)| stage)
}
