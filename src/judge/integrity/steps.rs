//! What a scenario's steps say: that each thread did what its client's stream tells of, and that it was judged by what came of it.
//!
//! The steps come first in a file, then the clients' streams: what a step says is kept until the stream comes to it.

use std::collections::{HashMap, VecDeque};

use super::{Checks, Rule};
use crate::allocator::{ConnectionId, Disposal};
use crate::event::{Did, Event, Expectation, Micros, Operation, RunStart, Step, What, WorkerId};
use crate::judge::Judge;
use crate::judge::expectations::{Client, evaluate};

/// The steps of a scenario, and what of them its streams have not told yet.
#[derive(Debug, Default)]
pub(in crate::judge) struct Told {
    /// What each thread did, by the client where there are several, in order.
    threads: HashMap<(Option<String>, String), Thread>,
    states: Vec<State>,
    /// A thread gave no answer: what it did is told by no step.
    unanswered: bool,
    client_closed: bool,
    checks: Checks,
}

/// What a thread did.
#[derive(Debug, Default)]
struct Thread {
    ran: VecDeque<Deed>,
    created: VecDeque<Deed>,
    /// The defaults that were in the way of another one.
    refused: VecDeque<Deed>,
}

#[derive(Debug)]
struct Deed {
    line: u64,
    task: Option<String>,
    did: Did,
}

/// What was expected to be true of a client, and whether it was at some moment while the step lasted.
#[derive(Debug)]
struct State {
    line: u64,
    step: Step,
    began: Micros,
    passed: bool,
    agreed: bool,
}

impl Told {
    /// The next step, which began then.
    pub(in crate::judge) fn step(&mut self, line: u64, began: Micros, step: &Step) {
        self.unanswered |= step.expectation.is_none() && !step.held;
        match &step.expectation {
            None | Some(Expectation::Finding { .. } | Expectation::NoFindings) => {}
            Some(Expectation::Success | Expectation::Result { .. }) => judged(line, step, &[], &mut self.checks),
            Some(_) => self.states.push(State { line, step: step.clone(), began, passed: false, agreed: false }),
        }
        let Some(name) = &step.thread else { return };
        for action in &step.did {
            let thread = self.threads.entry((action.client.clone(), name.clone())).or_default();
            let deeds = match &action.did {
                Did::Ran { .. } => &mut thread.ran,
                Did::Created { .. } => &mut thread.created,
                Did::Refused { rule, .. } if rule == "C3" => &mut thread.refused,
                _ => continue,
            };
            deeds.push_back(Deed { line, task: step.task.clone(), did: action.did.clone() });
        }
    }

    /// The client's judge is about to see what happened then; none if it has seen all.
    pub(in crate::judge) fn before(&mut self, name: &str, judge: &Judge, at: Option<Micros>) {
        let client = [Client { name, judge, findings: &[] }];
        for state in self.states.iter_mut().filter(|state| !state.passed && state.is_of(name)) {
            if at.is_none_or(|at| at >= state.began) {
                state.agreed |= evaluate(&state.step, &client).is_none_or(|came| came.held() == state.step.held);
                state.passed = at.is_none_or(|at| at > state.began + state.step.took_us);
            }
        }
    }

    /// The client's judge has seen the event.
    pub(in crate::judge) fn see(&mut self, name: &str, judge: &Judge, line: u64, event: &Event) {
        let Some(start) = judge.known().start() else { return };
        match &event.what {
            What::RunStart(_) => self.client_closed = false,
            What::ConnectionDisposed(it) => self.client_closed |= it.cause == Disposal::ClientClosed,
            What::Operation(operation) if operation.local_port.is_some() => {
                let deed = self.thread(name, start, operation.worker).and_then(|thread| thread.ran.pop_front());
                self.must(deed.is_some(), line, operation.worker, start);
                let Some(deed) = deed else { return };
                let task = operation.task.map(|task| start.task_name(task).to_string());
                // A line that finishes something does not say whose it is.
                let holds = same(&deed.did, operation) && (deed.task.is_none() || deed.task == task);
                self.checks.check(Rule::Steps, deed.line, holds, || {
                    format!("the step says something else than operation {} of line {line}", operation.number)
                });
            }
            What::SessionOpened(it) if it.session.number == 1 => {
                let place = judge.known().place(it.connection).filter(|place| place.by_hand);
                let Some(worker) = place.and_then(|place| place.worker) else { return };
                let closed = self.client_closed;
                let created = self.thread(name, start, worker).map(|thread| &mut thread.created);
                let is_it =
                    |deed: &Deed| matches!(deed.did, Did::Created { connection, .. } if connection == it.connection);
                let told = created.and_then(|created| created.front().is_some_and(is_it).then(|| created.pop_front()));
                // Whoever was closed meanwhile may not have it.
                self.must(told.is_some() || closed, line, worker, start);
            }
            What::DefaultRefused(it) => {
                let refused = self.thread(name, start, it.worker).map(|thread| &mut thread.refused);
                let told = refused.and_then(|refused| {
                    let at = refused.iter().position(|deed| names(&deed.did, it.existing))?;
                    refused.remove(at)
                });
                self.must(told.is_some(), line, it.worker, start);
            }
            _ => {}
        }
    }

    /// All streams are over.
    pub(in crate::judge) fn end(self, steps: &[(u64, Step)], clients: &[Client<'_>], interrupted: bool) -> Checks {
        let mut checks = self.checks;
        for State { line, step, passed, agreed, .. } in self.states {
            let of_all = matches!(step.expectation, Some(Expectation::Sessions { .. } | Expectation::Order { .. }));
            let holds = agreed || !passed || (of_all && clients.len() != 1);
            checks.check(Rule::Steps, line, holds, || not_so(&step));
        }
        for (line, step) in steps {
            if let Some((id, there)) = step.of_findings() {
                let finding = |id: &str| Expectation::Finding { id: id.to_owned(), there };
                let expectation = Some(id.map_or(Expectation::NoFindings, finding));
                judged(*line, &Step { expectation, ..step.clone() }, clients, &mut checks);
            }
        }
        for ((_, name), thread) in self.threads {
            // A thread that serves no task has refusals of a second default on record in its steps alone.
            let refused = thread.refused.into_iter().filter(|deed| deed.task.is_some());
            for deed in thread.ran.into_iter().chain(thread.created).chain(refused) {
                checks.check(Rule::Steps, deed.line, false, || format!("{name}: the record does not tell of that"));
            }
        }
        checks.settle(interrupted);
        checks
    }

    fn thread(&mut self, client: &str, start: &RunStart, worker: WorkerId) -> Option<&mut Thread> {
        let name = start.worker_name(worker).to_string();
        let of_client = (Some(client.to_owned()), name);
        if self.threads.contains_key(&of_client) {
            return self.threads.get_mut(&of_client);
        }
        self.threads.get_mut(&(None, of_client.1))
    }

    /// What is cut short has told no step of what was under way.
    fn must(&mut self, told: bool, line: u64, worker: WorkerId, start: &RunStart) {
        self.checks.check_unless_interrupted(Rule::Steps, line, told || self.unanswered, || {
            format!("no step of {} tells of that", start.worker_name(worker))
        });
    }
}

impl State {
    fn is_of(&self, name: &str) -> bool {
        use Expectation::{Mode, Open, Opened, SignIns};
        match self.step.expectation.as_ref() {
            Some(Open { client, .. } | Opened { client, .. } | SignIns { client, .. } | Mode { client, .. }) => {
                client == name
            }
            _ => true,
        }
    }
}

/// Whether the step held exactly if what came of it is what was expected.
fn judged(line: u64, step: &Step, clients: &[Client<'_>], checks: &mut Checks) {
    let came = evaluate(step, clients);
    checks.check(Rule::Steps, line, came.is_none_or(|came| came.held() == step.held), || not_so(step));
}

fn not_so(step: &Step) -> String {
    let expected = step.expected.as_deref().unwrap_or("success");
    format!(
        "{}: {expected} was expected; it {}, as far as the record tells",
        step.text,
        if step.held { "did not hold" } else { "held" }
    )
}

fn names(did: &Did, existing: ConnectionId) -> bool {
    matches!(did, Did::Refused { message, .. } if message.contains(&existing.to_string()))
}

fn same(did: &Did, operation: &Operation) -> bool {
    let Did::Ran { operation: name, session, reason, from, items, failure, .. } = did else { return false };
    let proven = operation.answered_by.as_ref().and_then(|answer| answer.mailbox.as_deref());
    *name == operation.name
        && Some(*session) == operation.session
        && Some(*reason) == operation.reason
        && (proven.is_none() || from.as_deref() == proven)
        && *items == operation.items
        && failure.as_ref() == operation.failure.as_deref()
}
