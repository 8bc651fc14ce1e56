//! A probe's steps: each follows from what the ones before it came to, rests as long as it has to, and dials once. What was
//! refused was refused at a stage that its dial came to. What is open has been looked at by then: one that was not asked may have
//! ended long before.

use std::collections::BTreeSet;

use super::checks::Rule;
use super::seen::{Seen, began};
use crate::allocator::SessionId;
use crate::event::{Dial, Event, Micros, Probe, ProbePhase, ProbeStep, SessionRefused, What};
use crate::judge::limits::{Before, Course, NextStep, next_step};
use crate::ledger::Analysis;
use crate::protocol::{Protocol, Stage};

/// What is rested is measured by another clock.
const SLACK: Micros = Micros(50_000);

/// What the probe did so far.
#[derive(Debug, Default)]
pub(super) struct Conduct {
    course: Course,
    step_began: Micros,
    /// What was to come before the dial of the step; none if the step was not due.
    due: Option<Before>,
    /// The sessions that were asked since the step began, or since its dial.
    asked: BTreeSet<SessionId>,
    greeted: bool,
    /// Whether one has signed in without a token. A dial with one may fetch another, and begin anew.
    has_no_token: bool,
}

impl Conduct {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>, event: &Event) {
        if seen.start.probe.is_none() {
            if matches!(seen.what, What::ProbeStep(_) | What::ServerGreeted(_)) {
                seen.check(Rule::Probe, false, || "the run is no probe".to_owned());
            }
            return;
        }
        match seen.what {
            What::RunStart(start) => {
                let is_one = start.probe.is_none_or(|probe| {
                    (1..=Probe::MOST).contains(&probe.max) && probe.hold_us >= Probe::SHORTEST_HOLD
                });
                seen.check(Rule::Probe, is_one, || {
                    format!(
                        "no probe opens 0 connections or more than {}, nor holds for less than {:.1}",
                        Probe::MOST,
                        Probe::SHORTEST_HOLD
                    )
                });
            }
            What::ProbeStep(step) => self.begins(seen, *step),
            What::SessionOpened(opened) => {
                self.has_no_token |= opened.signed_in_by.is_none_or(|by| !matches!(by, "OAUTHBEARER" | "XOAUTH2"));
                self.dials(seen, opened.began_us);
            }
            What::SessionRefused(refused) => {
                self.dials(seen, began(seen.at, seen.what));
                self.refused(seen, refused);
            }
            What::Operation(operation) => self.asked.extend(operation.session),
            What::ServerGreeted(_) => {
                let first = !std::mem::replace(&mut self.greeted, true) && self.course.steps().len() == 1;
                seen.check(Rule::Probe, first, || "the server greets a probe once, in its first step".to_owned());
            }
            _ => {}
        }
        self.course.see(event, seen.known);
    }

    fn begins(&mut self, seen: &mut Seen<'_>, step: ProbeStep) {
        let outcomes = self.course.outcomes(seen.start.protocol);
        let next = outcomes.zip(seen.start.probe).map(|(outcomes, probe)| next_step(&probe, &outcomes));
        let follows = match (next, step.phase) {
            (None, _) => false,
            (Some(None), ProbePhase::End) => step.attempt == 1,
            (Some(next), _) => next.is_some_and(|next| next.step == step),
        };
        seen.check(Rule::Probe, follows, || {
            let last = self.course.steps().last().map_or_else(|| "nothing".to_owned(), |last| last.step.to_string());
            format!("{step} does not follow from {last} and what that came to")
        });
        self.has_looked(seen);
        self.asked.clear();
        self.due = next.flatten().filter(|_| follows).map(|NextStep { before, .. }| before);
        self.step_began = seen.at;
    }

    /// A step looks at the one that it let in, and one of the count at all that are open, if they speak IMAP: a server of the
    /// others may count commands. One that is not served, or does not answer, ends that.
    fn has_looked(&self, seen: &mut Seen<'_>) {
        let Some(step) = self.course.steps().last().filter(|step| step.silent.is_none()) else { return };
        let Some(newest) = step.dial.as_ref().map(|dial| dial.session) else { return };
        let all = step.step.phase == ProbePhase::Count && seen.start.protocol == Protocol::Imap;
        let unasked = self.unasked(|session| all || session == newest);
        seen.check(Rule::Probe, unasked.is_none(), || {
            let session = unasked.map(|session| session.to_string()).unwrap_or_default();
            format!("{} is over, and {session} was not looked at after its dial", step.step)
        });
    }

    /// One that is open, is to be asked, and was not.
    fn unasked(&self, is_due: impl Fn(SessionId) -> bool) -> Option<SessionId> {
        self.course.open().find(|session| is_due(*session) && !self.asked.contains(session))
    }

    fn dials(&mut self, seen: &mut Seen<'_>, began: Micros) {
        let steps = self.course.steps();
        let step = steps.last();
        let is_free = step.is_some_and(|step| step.dial.is_none() && step.step.phase != ProbePhase::End);
        seen.check(Rule::Probe, is_free, || match step {
            Some(step) => format!("{} dials once more, or at all", step.step),
            None => "a probe dials before its first step".to_owned(),
        });
        let silent = step.and_then(|step| step.silent.as_ref());
        seen.check(Rule::Probe, silent.is_none(), || {
            let session = silent.map(|(session, _)| session.to_string()).unwrap_or_default();
            format!("a dial came after {session} was not served, or did not answer")
        });
        let closed = step.is_none_or(|step| !step.step.closes_one() || step.closed.is_some());
        seen.check(Rule::Probe, closed, || "a connection was to be closed before that dial, and none was".to_owned());
        let looks = matches!(self.due, Some(Before::Hold(_))) && seen.start.protocol == Protocol::Imap;
        let unasked = self.unasked(|_| looks && silent.is_none());
        seen.check(Rule::Probe, unasked.is_none(), || {
            let session = unasked.map(|session| session.to_string()).unwrap_or_default();
            format!("a dial came before {session} was looked at")
        });
        self.asked.clear();
        let (Some(step), Some(due)) = (step, self.due) else { return };
        let (since, rest) = match due {
            Before::Rest(rest) | Before::Hold(rest) => (self.step_began, rest),
            Before::Close(_, rest) | Before::SinceClose(rest) => {
                (steps.iter().rev().find_map(|step| step.closed).unwrap_or(self.step_began), rest)
            }
        };
        seen.check(Rule::Probe, began + SLACK >= since + rest, || {
            format!("{} dials at {began:.1}, before it has rested {rest:.1} since {since:.1}", step.step)
        });
    }

    /// A dial that came to no greeting has no answer to its sign-in, and one that sent its credentials had been greeted.
    fn refused(&self, seen: &mut Seen<'_>, it: &SessionRefused) {
        let Dial { connect, tls, greeting, .. } = it.dial_us;
        let stage = it.failure.stage;
        let has_sent = it.sign_in_attempted && self.has_no_token;
        let came_to_it = match stage {
            Stage::Resolve => connect.is_none() && !has_sent,
            // One that was reset as it opened may have been open for a moment.
            Stage::Connect => tls.is_none() && greeting.is_none() && !has_sent,
            Stage::Tls => connect.is_some() && !has_sent,
            // SMTP's EHLO is at that stage, too.
            Stage::Greeting => {
                let is_greeted = greeting.is_some() && seen.start.protocol != Protocol::Smtp;
                connect.is_some() && !is_greeted && !has_sent
            }
            Stage::Auth => greeting.is_some(),
            Stage::Wait | Stage::Operation | Stage::Logout => true,
        };
        seen.check(Rule::Probe, came_to_it, || {
            format!("{} was refused at {stage}, its dial says otherwise", it.session)
        });
    }
}
