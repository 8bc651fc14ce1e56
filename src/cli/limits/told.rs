//! What a probe says on stderr: what it may cost the server before it dials, and each attempt as it happens.

use std::time::Duration;

use crate::cli::harness::Meanwhile;
use crate::cli::stderr;
use mailconn::event::{Event, HowClosed, Probe, ProbePhase, ProbeStep, What};
use mailconn::judge::Judge;
use mailconn::probe::Budget;
use mailconn::protocol::Settings;
use mailconn::report::ProgressKind;

/// Says what the server is asked for at most.
pub fn tell_budget(probe: &Probe, account: &Settings) {
    let Budget { connections, sign_ins, refused, rests } = Budget::of(probe);
    let rests = humantime::format_duration(Duration::from_secs(rests.as_secs().max(1)));
    let dials = if account.endpoint.signs_in() { "sign-ins" } else { "dials" };
    stderr::complain(&format!(
        "{}: at most {connections} connections at once, {sign_ins} {dials}, {refused} refused attempts and {rests} of \
         rests; each is signed out at the end",
        account.endpoint
    ));
}

/// Says each attempt as it happens.
pub struct Attempts {
    kind: ProgressKind,
    step: Option<ProbeStep>,
    hold: Duration,
    open: usize,
}

impl Attempts {
    /// Says nothing where that was asked for.
    pub const fn new(kind: ProgressKind) -> Self {
        Self { kind, step: None, hold: Duration::ZERO, open: 0 }
    }

    /// The line for that event, if it has one.
    fn line(&mut self, event: &Event) -> Option<String> {
        match &event.what {
            What::RunStart(start) => {
                self.hold = start.probe.map_or(Duration::ZERO, |probe| probe.hold_us.duration());
                None
            }
            What::ProbeStep(step) => {
                self.step = Some(*step);
                let hold = humantime::format_duration(self.hold);
                match (step.phase, step.attempt) {
                    (ProbePhase::Hold, _) => Some(format!("holding what is open for {hold}, then one more attempt")),
                    (ProbePhase::Release, 1) => Some("signing out of one, then one more attempt 2s later".to_owned()),
                    (ProbePhase::BareClose, 1) => {
                        Some("closing one without a goodbye, then one more attempt 2s later".to_owned())
                    }
                    (ProbePhase::Release | ProbePhase::BareClose, _) => {
                        Some("one more attempt 30s after the close".to_owned())
                    }
                    (ProbePhase::End, _) => Some("signing out".to_owned()),
                    (ProbePhase::Count, _) => None,
                }
            }
            What::SessionOpened(opened) => {
                let took = event.at.duration().saturating_sub(opened.began_us.duration());
                self.open += 1;
                Some(format!("{}: let in after {} ms; {} open", self.step?, took.as_millis(), self.open))
            }
            What::SessionClosed(closed) => {
                self.open -= 1;
                let ended = closed.failure.as_ref().filter(|_| closed.closed == HowClosed::HungUp)?;
                let said = ended.server_line.as_deref().unwrap_or(&ended.message);
                Some(format!("{}: the server ended {}: {said}", self.step?, closed.session))
            }
            What::SessionRefused(refused) => {
                let failure = &refused.failure;
                let said = failure.server_line.as_deref().unwrap_or(&failure.message);
                Some(format!("{}: {} at {}: {said}", self.step?, failure.kind, failure.stage))
            }
            _ => None,
        }
    }
}

impl Meanwhile for Attempts {
    fn goes_on(&mut self, events: &[Event], _: &Judge) {
        for event in events {
            if let Some(line) = self.line(event).filter(|_| self.kind != ProgressKind::Never) {
                stderr::complain(&line);
            }
        }
    }

    fn finish(&mut self) {}
}
