//! What a probe says on stderr: what it may cost the server before it dials, and each attempt as it happens.

use std::time::Duration;

use humantime::format_duration;

use crate::cli::harness::Meanwhile;
use crate::cli::stderr;
use mailconn::event::{Event, Probe, ProbePhase, ProbeStep, What};
use mailconn::judge::Judge;
use mailconn::probe::Budget;
use mailconn::protocol::{Protocol, Settings};
use mailconn::report::known::{self, Known};
use mailconn::report::{ProgressKind, attempt_line};

/// Says what the server is asked for at most, and what is documented of it. The server in the box has no other clients.
pub fn tell_budget(probe: &Probe, account: &Settings, provider: Option<&Known>, in_the_box: bool) {
    let endpoint = &account.endpoint;
    let Budget { connections, sign_ins, refused, commands, rests } = Budget::of(probe, endpoint.protocol);
    let (dials, whose) =
        if endpoint.signs_in() { ("sign-ins", "of this account") } else { ("dials", "at this address") };
    let meanwhile =
        if in_the_box { String::new() } else { format!("; until it ends, other clients {whose} may be refused") };
    stderr::complain(&format!(
        "{endpoint}: up to about {} (more if the server is slow or asks for a wait), at most {connections} connections at once, \
         {sign_ins} {dials}, {refused} refused attempts, {commands} NOOPs{meanwhile}; all are signed out at the end",
        in_words(rests)
    ));
    tell_documented(provider, endpoint.protocol);
}

/// `1 min 5 s`, in whole seconds.
fn in_words(time: Duration) -> String {
    match (time.as_secs() / 60, time.as_secs() % 60) {
        (0, seconds) => format!("{seconds} s"),
        (minutes, 0) => format!("{minutes} min"),
        (minutes, seconds) => format!("{minutes} min {seconds} s"),
    }
}

fn tell_documented(known: Option<&Known>, protocol: Protocol) {
    if let Some(known) = known {
        stderr::complain(&known.documented(protocol));
    }
}

/// Says each attempt as it happens.
pub struct Attempts {
    is_quiet: bool,
    hold: Duration,
    protocol: Protocol,
    /// What is known of the server was said.
    is_known: bool,
    /// How many steps have begun, and of how many the dial was said.
    begun: usize,
    said: usize,
}

impl Attempts {
    /// Of that probe; none where that was asked for.
    pub fn of(probe: &Probe, protocol: Protocol, is_known: bool, kind: ProgressKind) -> Self {
        let hold = probe.hold_us.duration();
        Self { is_quiet: kind == ProgressKind::Never, hold, protocol, is_known, begun: 0, said: 0 }
    }

    /// Says the dials of the steps that are over.
    fn say(&mut self, judge: &Judge) {
        for step in self.said..self.begun {
            if let Some(attempt) = judge.attempt_of(step) {
                stderr::complain(&attempt_line(&attempt));
            }
        }
        self.said = self.begun;
    }

    fn begins(&mut self, step: ProbeStep, judge: &Judge) {
        self.say(judge);
        let rest = |after: &str| match judge.rest_of(self.begun).filter(|rest| !rest.is_zero()) {
            Some(rest) => format!("{} {after}", format_duration(rest.duration())),
            None => format!("at once {after}"),
        };
        let what = match (step.phase, step.attempt) {
            (ProbePhase::Hold, _) => {
                Some(format!("all are held for {}, then one more attempt", format_duration(self.hold)))
            }
            (ProbePhase::Release, 1) => Some(format!("one signs out, then one more attempt {}", rest("after that"))),
            (ProbePhase::Confirm, _) => {
                Some(format!("one more attempt {}, with nothing given back", rest("after the last")))
            }
            (ProbePhase::Repeat, _) => {
                Some(format!("another one signs out, then one more attempt {}", rest("after that")))
            }
            (ProbePhase::BareClose, 1) => {
                Some(format!("one is closed without a goodbye, then one more attempt {}", rest("after that")))
            }
            (ProbePhase::Release, _) => Some(format!("one more attempt {}", rest("after the sign-out"))),
            (ProbePhase::BareClose, _) => Some(format!("one more attempt {}", rest("after the close"))),
            (ProbePhase::End, _) => self.is_any_open(judge).then(|| "all are signed out".to_owned()),
            (ProbePhase::Count, _) => None,
        };
        self.begun += 1;
        if let Some(what) = what {
            stderr::complain(&format!("{:<12} {what}", step.to_string()));
        }
    }

    /// Whether the last dial left some open.
    fn is_any_open(&self, judge: &Judge) -> bool {
        (0..self.begun).rev().find_map(|step| judge.attempt_of(step)).is_some_and(|attempt| attempt.open > 0)
    }
}

impl Meanwhile for Attempts {
    fn goes_on(&mut self, events: &[Event], judge: &Judge) {
        for event in events {
            match &event.what {
                What::ProbeStep(step) if !self.is_quiet => {
                    self.begins(*step, judge);
                }
                What::ServerGreeted(greeted) if !self.is_known => {
                    tell_documented(known::by_greeting(&greeted.line, self.protocol), self.protocol);
                }
                _ => {}
            }
        }
    }

    fn finish(&mut self, judge: &Judge) {
        if !self.is_quiet {
            self.say(judge);
        }
    }
}
