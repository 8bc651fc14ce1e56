//! A probe's steps: each follows from what the ones before it came to, and dials once.

use super::checks::Rule;
use super::seen::Seen;
use crate::event::{Event, Probe, ProbePhase, ProbeStep, What};
use crate::judge::limits::{Course, may_end, may_follow};
use crate::ledger::Analysis;

/// What the probe did so far.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    course: Course,
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
            What::SessionOpened(_) | What::SessionRefused(_) => self.dials(seen),
            What::ServerGreeted(_) => {
                let first = !std::mem::replace(&mut self.greeted, true) && self.course.steps().len() == 1;
                seen.check(Rule::Probe, first, || "the server greets a probe once, in its first step".to_owned());
            }
            _ => {}
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

    fn dials(&self, seen: &mut Seen<'_>) {
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
