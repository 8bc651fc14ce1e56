//! A probe's steps: each follows from what the ones before it came to, and dials once.

use super::checks::Rule;
use super::seen::Seen;
use crate::event::{Event, Micros, Probe, ProbePhase, ProbeStep, What};
use crate::judge::limits::{Course, may_end, may_follow};
use crate::ledger::Analysis;

/// What is rested is measured by another clock.
const SLACK: Micros = Micros(50_000);

/// How long the probe rests in that step before it dials, at least.
const fn rest(probe: &Probe, step: ProbeStep) -> Micros {
    match (step.phase, step.attempt) {
        (ProbePhase::Count, 2..) => probe.pace_us,
        (ProbePhase::Hold, _) => probe.hold_us,
        (ProbePhase::Release | ProbePhase::BareClose, 1) => Micros(2_000_000),
        _ => Micros(0),
    }
}

/// What the probe did so far.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    course: Course,
    step_began: Micros,
    greeted: bool,
}

impl Conduct {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>, event: &Event) {
        let Some(probe) = seen.start.probe else {
            if matches!(seen.what, What::ProbeStep(_) | What::ServerGreeted(_)) {
                seen.check(Rule::Probe, false, || "the run is no probe".to_owned());
            }
            return;
        };
        match seen.what {
            What::ProbeStep(step) => self.begins(seen, &probe, *step),
            What::SessionOpened(opened) => self.dials(seen, &probe, opened.began_us),
            What::SessionRefused(refused) => self.dials(seen, &probe, event.at - refused.took_us),
            What::ServerGreeted(_) => {
                let first = !std::mem::replace(&mut self.greeted, true) && self.course.steps().len() == 1;
                seen.check(Rule::Probe, first, || "the server greets a probe once, in its first step".to_owned());
            }
            _ => {}
        }
        if matches!(seen.what, What::ProbeStep(_)) {
            self.step_began = event.at;
        }
        self.course.see(event, seen.known);
    }

    fn begins(&self, seen: &mut Seen<'_>, probe: &Probe, step: ProbeStep) {
        let steps = self.course.steps();
        let last = steps.last();
        let follows = match step.phase {
            ProbePhase::End => step.attempt == 1 && may_end(probe, steps),
            _ => may_follow(probe, steps, step),
        };
        seen.check(Rule::Probe, follows, || {
            let last = last.map_or_else(|| "nothing".to_owned(), |last| last.step.to_string());
            format!("{step} does not follow from {last} and what that came to")
        });
    }

    fn dials(&self, seen: &mut Seen<'_>, probe: &Probe, began: Micros) {
        let rested = began - self.step_began + SLACK;
        if let Some(step) = self.course.steps().last().map(|step| step.step) {
            let due = rest(probe, step);
            seen.check(Rule::Probe, rested >= due, || format!("{step} dials before it has rested {due:.1}"));
        }
        let step = self.course.steps().last();
        let is_free = step.is_some_and(|step| step.dial.is_none() && step.step.phase != ProbePhase::End);
        seen.check(Rule::Probe, is_free, || match step {
            Some(step) => format!("{} dials once more, or at all", step.step),
            None => "a probe dials before its first step".to_owned(),
        });
        let closed = step.is_none_or(|step| !step.step.closes_one() || step.closed.is_some());
        seen.check(Rule::Probe, closed, || "a connection was to be closed before that dial, and none was".to_owned());
    }
}
