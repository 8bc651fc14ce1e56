//! The stream itself: an event is its own line.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::format::{Form, Live, Spec};
use super::model::Told;
use crate::event::{self, Event, ProbeStep, What, Within};

pub(super) const SPEC: Spec = Spec {
    name: "ndjson",
    purpose: "One line for each event, as it happens",
    form: Form::Live(|| Box::<Stream>::default()),
};

/// Wall-clock times of lines count from the start of their own stream: a run's, a scenario's, or that of its client.
#[derive(Default)]
struct Stream {
    started: BTreeMap<Option<String>, SystemTime>,
    /// The step of a probe that is under way: a probe has no clients.
    step: Option<ProbeStep>,
}

impl Live for Stream {
    fn see(&mut self, client: Option<&str>, event: &Event, text: &mut Vec<u8>) {
        let whose = client.map(str::to_owned);
        if let Some(started) = event::started(&event.what) {
            self.started.insert(whose.clone(), started);
        }
        let started = self.started.get(&whose).copied().unwrap_or(SystemTime::UNIX_EPOCH);
        if let What::ProbeStep(step) = event.what {
            self.step = Some(step);
        }
        event::write(event, started, Within { client, step: self.step }, text);
    }

    fn over(&mut self, _: &Told, _: &mut Vec<u8>) {}
}
