//! What happens in a scenario, as one stream: its own events and its clients', judged and told as they happen.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::event::{Ending, Event, Micros, Policy, ScenarioEnd, ScenarioStart, Step, What};
use crate::judge::expectations::{Client, Evaluation, evaluate};
use crate::judge::{Judge, Steps, Verdict, client_end, run_end};
use crate::workload::Recorder;

/// Called with the next events: those of the named client, or of the scenario itself.
pub type Audience<'a> = dyn FnMut(Option<&str>, &[Event]) + 'a;

/// A session as the server recorded it.
#[derive(Debug)]
pub struct Seen {
    /// The client's run, if the session says whose it is.
    pub run_id: Option<String>,
    /// The client's port.
    pub port: u16,
    /// What the server read on it, and how it ended.
    pub events: Vec<What>,
}

pub(super) struct Stream<'a> {
    audience: &'a mut Audience<'a>,
    /// The next number of the scenario's own events, and how many its clients told of.
    next: u64,
    of_clients: u64,
    steps: Steps,
    /// Those whose lines were reached, by their numbers.
    clients: Vec<Option<Followed>>,
}

/// A client as its stream goes by.
struct Followed {
    name: String,
    run_id: String,
    recorder: Arc<Recorder>,
    judge: Judge,
    /// Every port that it dialled from.
    ports: BTreeSet<u16>,
    ending: Ending,
    verdict: Option<Verdict>,
}

impl<'a> Stream<'a> {
    pub(super) fn begin(start: ScenarioStart, clients: usize, audience: &'a mut Audience<'a>) -> Self {
        let clients = (0..clients).map(|_| None).collect();
        let mut stream = Self { audience, next: 0, of_clients: 0, steps: Steps::default(), clients };
        stream.tell(Micros::ZERO, Box::new(start).into());
        stream
    }

    /// From now on that client is followed.
    pub(super) fn follow(&mut self, number: usize, name: &str, run_id: String, recorder: &Arc<Recorder>) {
        if let Some(place) = self.clients.get_mut(number) {
            *place = Some(Followed {
                name: name.to_owned(),
                run_id,
                recorder: Arc::clone(recorder),
                judge: Judge::default(),
                ports: BTreeSet::new(),
                ending: Ending::default(),
                verdict: None,
            });
        }
    }

    /// Takes in what was recorded by now.
    pub(super) fn collect(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            let fresh = client.recorder.take(Vec::new());
            self.of_clients += client.see(&fresh, self.audience);
        }
    }

    /// What is known of that client by now.
    pub(super) fn judge(&mut self, client: usize) -> Option<&Judge> {
        self.collect();
        self.clients.get(client)?.as_ref().map(|client| &client.judge)
    }

    /// What the step came to, by what is known now.
    pub(super) fn evaluate(&mut self, step: &Step) -> Option<Evaluation> {
        self.collect();
        let clients: Vec<Client<'_>> = self.clients.iter().flatten().map(Followed::known).collect();
        evaluate(step, &clients)
    }

    /// A step was done, which began then.
    pub(super) fn done(&mut self, at: Micros, mut step: Step) {
        // An evaluation from the file must know what was known when the step was evaluated, and no more.
        if step.expectation.is_none() {
            self.collect();
        }
        step.events_before = Some(self.of_clients);
        self.steps.see(&step);
        self.tell(at, Box::new(step).into());
    }

    pub(super) const fn steps(&self) -> &Steps {
        &self.steps
    }

    /// The client is closed, and nothing is recorded any more. `open` connections are left, if the number is known.
    pub(super) fn close(&mut self, client: usize, interrupted: Option<i32>, open: Option<usize>) {
        let Some(client) = self.clients.get_mut(client).and_then(Option::as_mut) else { return };
        let left = client.recorder.freeze();
        self.of_clients += client.see(&left, self.audience);
        let still_open = open.unwrap_or_else(|| client.judge.known().open());
        client.ending = Ending { elapsed: client.recorder.now().into(), interrupted, still_open, ..Ending::default() };
    }

    /// Each client's stream ends with what the server saw of it, and what it all comes to. A session that nobody claims goes
    /// to the first client, whose verdict then says so.
    pub(super) fn end_clients(&mut self, seen: Vec<Seen>, judged_by: &Policy) {
        let mut shares: Vec<Vec<What>> = self.clients.iter().map(|_| Vec::new()).collect();
        for session in seen {
            let is_of = |client: &Option<Followed>| client.as_ref().is_some_and(|client| client.has(&session));
            let first = self.clients.iter().position(Option::is_some);
            let owner = self.clients.iter().position(is_of).or(first);
            if let Some(share) = owner.and_then(|owner| shares.get_mut(owner)) {
                share.extend(session.events);
            }
        }
        for (client, share) in self.clients.iter_mut().zip(shares) {
            if let Some(client) = client {
                self.of_clients += client.end(share, judged_by, self.audience);
            }
        }
    }

    /// When the last client ended.
    pub(super) fn ended(&self) -> Micros {
        self.clients.iter().flatten().map(|client| client.ending.elapsed).max().unwrap_or_default()
    }

    /// The scenario is over: what it comes to.
    pub(super) fn end(mut self, interrupted: Option<i32>, judged_by: Policy) -> ScenarioEnd {
        let end = |client: &Followed| {
            let verdict = client.verdict.as_ref()?;
            Some(client_end(&client.name, &client.run_id, verdict, client.ending.still_open))
        };
        let clients = self.clients.iter().flatten().filter_map(end).collect();
        let end = self.steps.end(clients, interrupted, judged_by);
        self.tell(self.ended(), Box::new(end.clone()).into());
        end
    }

    fn tell(&mut self, at: Micros, what: What) {
        let event = Event { seq: self.next, at, what };
        self.next += 1;
        (self.audience)(None, &[event]);
    }
}

impl Followed {
    fn known(&self) -> Client<'_> {
        let findings = self.verdict.as_ref().map_or(&[][..], |verdict| &verdict.findings);
        Client { name: &self.name, judge: &self.judge, findings }
    }

    /// Sees them and passes them on; says how many they are.
    fn see(&mut self, events: &[Event], audience: &mut Audience<'_>) -> u64 {
        for event in events {
            self.judge.see(event);
            match &event.what {
                What::SessionOpened(opened) => drop(self.ports.insert(opened.local_port)),
                What::SessionRefused(refused) => self.ports.extend(refused.local_port),
                _ => {}
            }
        }
        if !events.is_empty() {
            audience(Some(&self.name), events);
        }
        events.len() as u64
    }

    fn has(&self, session: &Seen) -> bool {
        match &session.run_id {
            Some(run_id) => *run_id == self.run_id,
            None => self.ports.contains(&session.port),
        }
    }

    fn end(&mut self, seen: Vec<What>, judged_by: &Policy, audience: &mut Audience<'_>) -> u64 {
        self.recorder.record_at(self.ending.elapsed, seen);
        let seen = self.recorder.freeze();
        let seen = self.see(&seen, audience);
        self.judge.end(self.ending);
        let summary = self.judge.summary();
        let verdict = self.judge.verdict(&summary, judged_by);
        let end = run_end(self.ending, &summary, &verdict, judged_by.clone());
        let (seq, at) = (self.recorder.recorded(), self.ending.elapsed);
        audience(Some(&self.name), &[Event { seq, at, what: Box::new(end).into() }]);
        self.verdict = Some(verdict);
        seen + 1
    }
}
