//! The stream itself: an event is its own line.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::format::{Form, Live, Spec};
use super::model::Told;
use crate::event::{self, Event, ProbeStep, What, Within};

pub(super) const SPEC: Spec = Spec {
    name: "ndjson",
    purpose: "One line for each event, as it happens",
    ending: Some("ndjson"),
    form: Form::Live(|_| Box::<Stream>::default()),
};

/// A scenario's client, or the runs of a comparison: those come one after the other. Neither where a stream is alone.
type Whose = (Option<String>, bool);

/// Wall-clock times of lines count from the start of their own stream: a run's, a scenario's or that of its client, a
/// comparison's or that of its run.
#[derive(Default)]
struct Stream {
    started: BTreeMap<Whose, SystemTime>,
    /// The step of a probe that is under way: a probe has no clients.
    step: Option<ProbeStep>,
}

impl Live for Stream {
    fn see(&mut self, within: Within<'_>, event: &Event, text: &mut Vec<u8>) {
        let whose = (within.client.map(str::to_owned), within.run.is_some());
        if let Some(started) = event::started(&event.what) {
            self.started.insert(whose.clone(), started);
        }
        let started = self.started.get(&whose).copied().unwrap_or(SystemTime::UNIX_EPOCH);
        if let What::ProbeStep(step) = event.what {
            self.step = Some(step);
        }
        event::write(event, started, Within { step: self.step, ..within }, text);
    }

    fn over(&mut self, _: &Told, _: &mut Vec<u8>) {}
}
