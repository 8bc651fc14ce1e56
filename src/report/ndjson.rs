//! The stream itself: an event is its own line.

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::format::{Form, Live, Spec};
use super::model::Told;
use crate::event::{self, Event};

pub(super) const SPEC: Spec = Spec {
    name: "ndjson",
    purpose: "One line for each event, as it happens",
    form: Form::Live(|| Box::<Stream>::default()),
};

/// Wall-clock times of lines count from the start of their own stream: a run's, a scenario's, or that of its client.
#[derive(Default)]
struct Stream {
    started: BTreeMap<Option<String>, SystemTime>,
}

impl Live for Stream {
    fn see(&mut self, client: Option<&str>, event: &Event, text: &mut Vec<u8>) {
        let whose = client.map(str::to_owned);
        if let Some(started) = event::started(&event.what) {
            self.started.insert(whose.clone(), started);
        }
        let started = self.started.get(&whose).copied().unwrap_or(SystemTime::UNIX_EPOCH);
        event::write(event, started, client, text);
    }

    fn over(&mut self, _: &Told, _: &mut Vec<u8>) {}
}
