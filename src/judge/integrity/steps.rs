//! What a scenario's steps say: that each thread did what its client's stream tells of, and that each was judged by what came of it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Checks, Rule};
use crate::allocator::{ConnectionId, Disposal};
use crate::event::{Did, Event, Expectation, Operation, RunStart, Step, What, WorkerId};
use crate::judge::Judge;
use crate::judge::expectations::{Client, evaluate};

/// What the streams of a scenario's clients tell that steps must tell too. It is as long as the scenario.
#[derive(Debug, Default)]
pub(in crate::judge) struct Told {
    /// By client and thread.
    threads: HashMap<(String, String), Thread>,
    closed: HashSet<String>,
    checks: Checks,
}

/// What a thread did on a client, in order, each with its line.
#[derive(Debug, Default)]
struct Thread {
    ran: VecDeque<(u64, Box<Operation>, Option<String>)>,
    /// A connection by hand, and whether its client was closed before it was open: then its step may say that it failed.
    created: VecDeque<(u64, ConnectionId, bool)>,
    /// The default that was in the way of another one for a task.
    refused: Vec<(u64, ConnectionId)>,
}

impl Told {
    /// The client's judge has seen the event of that line.
    pub(in crate::judge) fn see(&mut self, client: &str, judge: &Judge, line: u64, event: &Event) {
        let Some(start) = judge.known().start() else { return };
        match &event.what {
            What::ConnectionDisposed(it) if it.cause == Disposal::ClientClosed => {
                self.closed.insert(client.to_owned());
            }
            What::Operation(it) if it.local_port.is_some() => {
                let task = it.task.map(|task| start.task_name(task).to_string());
                self.thread(client, start, it.worker).ran.push_back((line, it.clone(), task));
            }
            What::SessionOpened(it) if it.session.number == 1 => {
                let place = judge.known().place(it.connection).filter(|place| place.by_hand);
                if let Some(worker) = place.and_then(|place| place.worker) {
                    let may_have_failed = self.closed.contains(client);
                    self.thread(client, start, worker).created.push_back((line, it.connection, may_have_failed));
                }
            }
            What::DefaultRefused(it) => self.thread(client, start, it.worker).refused.push((line, it.existing)),
            _ => {}
        }
    }

    fn thread(&mut self, client: &str, start: &RunStart, worker: WorkerId) -> &mut Thread {
        self.threads.entry((client.to_owned(), start.worker_name(worker).to_string())).or_default()
    }

    /// A step was done, with the clients as they were then.
    pub(in crate::judge) fn step(&mut self, line: u64, step: &Step, clients: &[Client<'_>]) {
        if !matches!(step.expectation, Some(Expectation::Finding { .. } | Expectation::NoFindings)) {
            judged(line, step, clients, &mut self.checks);
        }
    }

    /// All is over.
    pub(in crate::judge) fn end(mut self, steps: &[(u64, Step)], clients: &[Client<'_>], interrupted: bool) -> Checks {
        let mut checks = std::mem::take(&mut self.checks);
        let only = clients.first().map_or("", |client| client.name);
        // A thread that gave no answer has told no step of what it did.
        let unanswered = steps.iter().any(|(_, step)| step.expectation.is_none() && !step.held);
        for (line, step) in steps {
            if let Some(step) = of_findings(step) {
                judged(*line, &step, clients, &mut checks);
            }
            let Some(name) = &step.thread else { continue };
            for action in &step.did {
                let client = action.client.as_deref().unwrap_or(only);
                let thread = self.threads.entry((client.to_owned(), name.clone())).or_default();
                let told = thread.did(&action.did, step);
                checks.check(Rule::Steps, *line, told, || {
                    format!("{}: {name} did something else, as its client's events tell", step.text)
                });
            }
        }
        for ((_, name), thread) in self.threads {
            let created = thread.created.into_iter().filter(|(.., may_have_failed)| !may_have_failed);
            let ran = thread.ran.into_iter().map(|(line, ..)| line);
            let refused = thread.refused.into_iter().map(|(line, _)| line);
            for line in ran.chain(created.map(|(line, ..)| line)).chain(refused) {
                checks.check_unless_interrupted(Rule::Steps, line, unanswered, || {
                    format!("no step of {name} tells of that")
                });
            }
        }
        checks.settle(interrupted);
        checks
    }
}

impl Thread {
    /// Whether the next thing that it did is what the action says, as far as events tell of such.
    fn did(&mut self, did: &Did, step: &Step) -> bool {
        match did {
            Did::Ran { .. } => self.ran.pop_front().is_some_and(|(_, operation, task)| {
                // A line that finishes something does not say whose it is.
                same(did, &operation) && (step.task.is_none() || step.task == task)
            }),
            Did::Created { connection, .. } => loop {
                match self.created.pop_front() {
                    Some((_, created, _)) if created == *connection => break true,
                    Some((.., true)) => {}
                    _ => break false,
                }
            },
            // A thread that serves no task has it in its steps alone; a line that finishes something may be of either.
            Did::Refused { rule, message } if rule == "C3" => {
                let first = self.refused.iter().position(|(_, existing)| message.contains(&existing.to_string()));
                first.map(|at| self.refused.remove(at)).is_some() || step.task.is_none()
            }
            _ => true,
        }
    }
}

/// A step that speaks of findings, with its expectation, which files of version 2 have in its text alone.
pub(in crate::judge) fn of_findings(step: &Step) -> Option<Step> {
    let (id, there) = step.of_findings()?;
    let finding = |id: &str| Expectation::Finding { id: id.to_owned(), there };
    Some(Step { expectation: Some(id.map_or(Expectation::NoFindings, finding)), ..step.clone() })
}

/// Whether the step held exactly if what came of it is what was expected.
fn judged(line: u64, step: &Step, clients: &[Client<'_>], checks: &mut Checks) {
    let Some(came) = evaluate(step, clients) else { return };
    checks.check(Rule::Steps, line, came.held() == step.held, || {
        let expected = step.expected.as_deref().unwrap_or("success");
        let held = if came.held() { "held" } else { "did not hold" };
        format!("{}: {expected} was expected, which {held}; the step says otherwise", step.text)
    });
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
