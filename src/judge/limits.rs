//! What a probe finds out of a server's limits, from its events alone: its conductor's word counts for nothing.

mod course;
mod due;
mod kind;
mod scope;

use self::course::Step;
use super::refusals::{is_lock, lines};
use super::stated_limit;
use crate::event::{Event, KeptBy, LimitKind, LimitMet, Limits, Micros, Probe, ProbePhase, Scope, What};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Endpoint, Failure, Protocol, Stage, stated_wait};

pub use self::course::Attempt;
pub(super) use self::course::Course;
pub(super) use self::due::{may_end, may_follow};
pub(crate) use self::kind::stated as stated_kind;

/// A dial is slow from so many times the median of those before it on, if it also took so much longer than that.
const SLOW: u64 = 3;
const SLOWER_BY: Micros = Micros(1_000_000);
/// So many dials say what is usual.
const SAMPLES: usize = 3;

/// A probe, and what it found out.
#[derive(Clone, Debug, Default)]
pub struct Probed {
    /// What it comes to.
    pub limits: Limits,
    /// Its dials, in order: as many as are kept.
    pub attempts: Vec<Attempt>,
    /// The server's first line, as it is shown.
    pub greeting: Option<String>,
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
                self.user = Endpoint::parse(&start.server, None).map(|it| it.user).unwrap_or_default();
            }
            _ if self.probe.is_none() => {}
            What::ServerGreeted(greeted) => self.greeting = Some(greeted.line.clone()),
            _ => self.course.see(event, known),
        }
    }
}

impl Ramp {
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        self.course.attempts()
    }

    /// What was found out so far; none where the run is no probe.
    pub(super) fn found(&self) -> Option<Box<Probed>> {
        let probe = self.probe?;
        let limits = self.limits(&probe);
        Some(Box::new(Probed { limits, attempts: self.course.attempts(), greeting: self.greeting.clone() }))
    }

    fn limits(&self, probe: &Probe) -> Limits {
        let steps = self.course.steps();
        let dials = || steps.iter().filter(|step| step.dial.is_some());
        let counted = || steps.iter().filter(|step| step.step.phase == ProbePhase::Count);
        let given = counted().map(Step::open_after).max().unwrap_or(0);
        let met = self.met();
        let stopped = dials().find_map(Step::stop).or_else(|| steps.last().and_then(Step::went_away)).cloned();
        let all_let_in = counted().filter(|step| step.was_let_in()).count() >= probe.max;
        let answered = match &met {
            None => stopped.is_none() && all_let_in,
            Some(met) => given == 0 || self.is_looked_into(met, probe),
        };
        Limits {
            answered,
            given,
            attempts: dials().count(),
            refused: dials().filter(|step| !step.was_let_in()).count(),
            met,
            release: self.course.release(ProbePhase::Release),
            bare_close: self.course.release(ProbePhase::BareClose),
            ended: self.course.ended(),
            stopped,
        }
    }

    /// The limit that was met first.
    fn met(&self) -> Option<LimitMet> {
        let counts = self.course.of(ProbePhase::Count);
        for (at, step) in counts.iter().enumerate() {
            if let Some(failure) = step.refusal() {
                return Some(self.refusing(step, failure));
            }
            if let Some(next) = counts.get(at + 1)
                && [*step, next].iter().all(|step| step.lost_another())
            {
                return Some(self.ending(step, next));
            }
        }
        // Once may be anything.
        let (before, [slow, last]) = counts.split_last_chunk()?;
        let stage = slowed_at(last, before)?;
        slowed_at(slow, before).map(|_| self.slowing(slow, stage))
    }

    fn refusing(&self, step: &Step, failure: &Failure) -> LimitMet {
        let kind = match (kind::stated(failure, self.protocol), self.kind_by_trial()) {
            // Another client may have left during the hold, but none gives back what this one did.
            (Some(LimitKind::Rate), LimitKind::Count) => LimitKind::Count,
            (stated, tried) => stated.unwrap_or(tried),
        };
        let scopes = if self.protocol == Some(Protocol::Pop3) && is_lock(failure) {
            vec![Scope::User]
        } else {
            scope::of(failure, &self.user, Some(failure.stage))
        };
        self.limit(step, kind, KeptBy::RefusingNewest, scopes, Some(failure.stage), Some(failure))
    }

    fn ending(&self, step: &Step, next: &Step) -> LimitMet {
        let oldest = step.lost_the_oldest() && next.lost_the_oldest();
        let kept_by = if oldest { KeptBy::EndingOldest } else { KeptBy::EndingAnother };
        let failure = step.ended.values().next();
        let scopes = failure.map_or_else(|| Scope::ALL.to_vec(), |failure| scope::of(failure, &self.user, None));
        self.limit(step, LimitKind::Count, kept_by, scopes, None, failure)
    }

    fn slowing(&self, step: &Step, stage: Stage) -> LimitMet {
        self.limit(step, LimitKind::Unclear, KeptBy::Slowing, Scope::ALL.to_vec(), Some(stage), None)
    }

    fn limit(
        &self,
        step: &Step,
        kind: LimitKind,
        kept_by: KeptBy,
        scopes: Vec<Scope>,
        stage: Option<Stage>,
        failure: Option<&Failure>,
    ) -> LimitMet {
        let lines = || failure.into_iter().flat_map(lines);
        LimitMet {
            kind,
            kept_by,
            scopes,
            stage,
            failure: failure.cloned(),
            stated: lines().find_map(stated_limit),
            stated_wait_us: lines().find_map(stated_wait).map(|wait| wait.duration.into()),
            within_us: self.course.within(step),
            again_within_us: self.let_in_after_the_hold().map(|hold| self.course.within(hold)),
        }
    }

    /// What later attempts prove: one that is let in while all are held says that time had to pass, one that is let in for
    /// another that was given back says that a place was wanting.
    fn kind_by_trial(&self) -> LimitKind {
        let held = self.course.of(ProbePhase::Hold);
        // Of nothing that is held nobody can tell whether others came free.
        let nothing_came_free = held.iter().all(|hold| hold.before > 0 && hold.ended.is_empty());
        if held.iter().any(|hold| hold.was_let_in()) {
            if nothing_came_free { LimitKind::Rate } else { LimitKind::Unclear }
        } else if self.course.of(ProbePhase::Release).iter().any(|step| step.was_let_in()) {
            LimitKind::Count
        } else {
            LimitKind::Unclear
        }
    }

    fn let_in_after_the_hold(&self) -> Option<&Step> {
        self.course.of(ProbePhase::Hold).into_iter().find(|hold| hold.was_let_in())
    }

    /// Whether all was done that could tell its kind. A rate that is told in words is not met again and again.
    fn is_looked_into(&self, met: &LimitMet, probe: &Probe) -> bool {
        let tried = |phase| self.course.of(phase).iter().filter(|step| step.refusal().is_some()).count();
        met.kept_by != KeptBy::RefusingNewest
            || self.kind_by_trial() != LimitKind::Unclear
            || met.stated_wait_us.is_some_and(|wait| wait > probe.hold_us)
            || self.course.of(ProbePhase::Hold).iter().any(|hold| hold.was_let_in())
            || tried(ProbePhase::Release) > 1
            || (met.kind == LimitKind::Rate && tried(ProbePhase::Hold) > 0)
    }
}

/// At which stage the dial was slow, by those before it; none if it was not.
fn slowed_at(step: &Step, before: &[&Step]) -> Option<Stage> {
    let took = |step: &&Step| step.dial.as_ref().filter(|_| step.was_let_in()).map(|dial| dial.took);
    let usual = median(before.iter().filter_map(took)).filter(|_| before.len() >= SAMPLES)?;
    let slow = took(&step)?;
    let is_slow = slow.0 >= usual.0.saturating_mul(SLOW) && slow >= usual + SLOWER_BY;
    let phases = |step: &Step| step.dial.as_ref().map(|dial| dial.phases).unwrap_or_default();
    let last = before.iter().rfind(|step| step.was_let_in()).map(|step| phases(step)).unwrap_or_default();
    let now = phases(step);
    let longer = [
        (Stage::Resolve, now.resolve, last.resolve),
        (Stage::Connect, now.connect, last.connect),
        (Stage::Tls, now.tls, last.tls),
        (Stage::Greeting, now.greeting, last.greeting),
        (Stage::Auth, now.sign_in, last.sign_in),
    ];
    let by = |now: Option<Micros>, last: Option<Micros>| now.unwrap_or_default() - last.unwrap_or_default();
    let stage = longer.into_iter().max_by_key(|(_, now, last)| by(*now, *last)).map(|(stage, ..)| stage);
    stage.filter(|_| is_slow)
}

/// Whether its dial took so much longer than those before it that the probe may have called it slow: that has a clock of its
/// own.
fn took_longer(step: &Step, before: &[Step]) -> bool {
    let took = |step: &Step| step.dial.as_ref().filter(|_| step.was_let_in()).map(|dial| dial.took);
    let usual = median(before.iter().filter_map(took));
    took(step)
        .zip(usual)
        .is_some_and(|(took, usual)| took.0 / 2 >= usual.0 && took.0 >= usual.0.saturating_add(SLOWER_BY.0 / 2))
}

fn median(times: impl Iterator<Item = Micros>) -> Option<Micros> {
    let mut times: Vec<Micros> = times.collect();
    times.sort_unstable();
    times.get(times.len() / 2).copied()
}
