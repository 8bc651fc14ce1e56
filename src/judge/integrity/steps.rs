//! What a scenario's steps say: that each thread did what its client's stream tells of, and that each was judged by what came of it.

use std::collections::{HashMap, HashSet, VecDeque};

use super::{Checks, Rule};
use crate::allocator::{ConnectionId, Disposal, Kind, SessionId};
use crate::event::{Did, Event, Expectation, HALVES, Micros, Operation, RunStart, Step, What, WorkerId};
use crate::judge::Judge;
use crate::judge::expectations::{Client, evaluate};
use crate::protocol::{Failure, FailureKind};

/// What the streams of a scenario's clients tell that steps must tell too. It is as long as the scenario.
#[derive(Debug, Default)]
pub(in crate::judge) struct Told {
    /// By client and thread.
    threads: HashMap<(String, String), Thread>,
    closed: HashSet<String>,
    /// What was created by hand and has not come to a dial, by client.
    undialled: HashSet<(String, ConnectionId)>,
    /// What was disposed, by client: in which line, and whether a step must tell of it.
    disposed: HashMap<(String, ConnectionId), (u64, bool)>,
    /// The last step's line in the scenario, and that of the last which speaks of findings.
    lines: [usize; 2],
    /// When the last step began.
    at: Micros,
    /// Those that began with it: the line of each, when its thread had begun it, and what it took.
    under_way: Vec<(u64, Micros, Micros)>,
    /// When each thread began a step that it finishes later.
    begun: HashMap<String, Micros>,
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
    /// What came to no connection.
    failed: VecDeque<Failed>,
    /// The operations that the rules refused, and in what words.
    forbidden: VecDeque<(u64, String)>,
}

/// An operation, or a creation by hand, that came to no connection.
#[derive(Debug)]
struct Failed {
    line: u64,
    session: Option<SessionId>,
    /// None of a creation that stood in line for room.
    failure: Option<Failure>,
    /// Its client was closed meanwhile: then its step may say that it was refused.
    may_be_refused: bool,
}

impl Told {
    /// The client's judge has seen the event of that line.
    pub(in crate::judge) fn see(&mut self, client: &str, judge: &Judge, line: u64, event: &Event) {
        let Some(start) = judge.known().start() else { return };
        if matches!(&event.what, What::ConnectionDisposed(it) if it.cause == Disposal::ClientClosed) {
            self.closed.insert(client.to_owned());
        }
        match &event.what {
            What::Operation(it) if it.local_port.is_some() => {
                let task = it.task.map(|task| start.task_name(task).to_string());
                self.thread(client, start, it.worker).ran.push_back((line, it.clone(), task));
            }
            What::Operation(it) => {
                let Some(failure) = &it.failure else { return };
                let by_rule = matches!(failure.kind, FailureKind::Refused | FailureKind::Disposed);
                let thread = self.thread(client, start, it.worker);
                if by_rule && it.session.is_none() {
                    thread.forbidden.push_back((line, failure.message.clone()));
                } else {
                    let failure = Some((**failure).clone());
                    thread.failed.push_back(Failed { line, session: it.session, failure, may_be_refused: false });
                }
            }
            What::ConnectionCreated(it) if it.by_hand => {
                self.undialled.insert((client.to_owned(), it.connection));
            }
            What::ConnectionDisposed(it) => {
                let place = (client.to_owned(), it.connection);
                let known = judge.known().place(it.connection);
                // What a thread lets go of is a default, and no step tells of that.
                let is_told = it.cause == Disposal::ByHand && known.is_some_and(|it| it.kind == Kind::Independent);
                let was_to_be = self.undialled.remove(&place) && it.cause == Disposal::NeverOpened;
                self.disposed.insert(place, (line, is_told));
                if let Some(worker) = known.and_then(|place| place.worker).filter(|_| was_to_be) {
                    self.failed(client, start, worker, line, None);
                }
            }
            What::SessionRefused(it) if it.session.number == 1 => {
                self.undialled.remove(&(client.to_owned(), it.connection));
                let place = judge.known().place(it.connection).filter(|place| place.by_hand);
                if let Some(worker) = place.and_then(|place| place.worker) {
                    self.failed(client, start, worker, line, Some((it.session, it.failure.clone())));
                }
            }
            What::SessionOpened(it) if it.session.number == 1 => {
                self.undialled.remove(&(client.to_owned(), it.connection));
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

    /// A creation by hand came to nothing.
    fn failed(
        &mut self,
        client: &str,
        start: &RunStart,
        worker: WorkerId,
        line: u64,
        dial: Option<(SessionId, Failure)>,
    ) {
        let may_be_refused = self.closed.contains(client);
        let (session, failure) = dial.unzip();
        self.thread(client, start, worker).failed.push_back(Failed { line, session, failure, may_be_refused });
    }

    fn thread(&mut self, client: &str, start: &RunStart, worker: WorkerId) -> &mut Thread {
        self.threads.entry((client.to_owned(), start.worker_name(worker).to_string())).or_default()
    }

    /// A step was done, with the clients as they were then.
    pub(in crate::judge) fn step(&mut self, line: u64, at: Micros, step: &Step, clients: &[Client<'_>]) {
        let last = &mut self.lines[usize::from(step.of_findings().is_some())];
        self.checks.check(Rule::Steps, line, *last < step.line, || {
            format!("{}: it is line {} of the scenario, and comes behind line {last}", step.text, step.line)
        });
        *last = step.line;
        self.took(at);
        let thread = step.thread.as_deref().unwrap_or_default();
        let began = self.begun.remove(thread).unwrap_or(at);
        if matches!(&*step.did, [action] if matches!(&action.did, Did::Noted { text } if text == "begun")) {
            self.begun.insert(thread.to_owned(), at);
        }
        self.under_way.push((line, began, step.took_us));
        if !matches!(step.expectation, Some(Expectation::Finding { .. } | Expectation::NoFindings)) {
            judged(line, step, clients, &mut self.checks);
        }
    }

    /// The steps before are over by then; unless all of them begin at once.
    pub(in crate::judge) fn took(&mut self, now: Micros) {
        if std::mem::replace(&mut self.at, now) == now {
            return;
        }
        for (line, began, took) in self.under_way.drain(..) {
            self.checks.check(Rule::Steps, line, began + took <= now, || {
                format!("it began at {began} and took {took}, and what came next began at {now}")
            });
        }
    }

    /// All is over.
    pub(in crate::judge) fn end(mut self, steps: &[(u64, Step)], clients: &[Client<'_>], interrupted: bool) -> Checks {
        let mut checks = std::mem::take(&mut self.checks);
        let only = clients.first().map_or("", |client| client.name);
        // A thread that gave no answer has told no step of what it did.
        let unanswered = steps.iter().any(|(_, step)| step.expectation.is_none() && !step.held);
        // Who stands in line for room leaves it before its client's close is written down.
        for (_, thread) in self.threads.iter_mut().filter(|((client, _), _)| self.closed.contains(client)) {
            thread.failed.iter_mut().filter(|it| it.session.is_none()).for_each(|it| it.may_be_refused = true);
        }
        for (line, step) in steps {
            if let Some(step) = of_findings(step) {
                judged(*line, &step, clients, &mut checks);
            }
            let Some(name) = &step.thread else { continue };
            for action in &step.did {
                let client = action.client.as_deref().unwrap_or(only);
                let thread = self.threads.entry((client.to_owned(), name.clone())).or_default();
                let told = match &action.did {
                    Did::Disposed { connection } => {
                        let disposed = self.disposed.get_mut(&(client.to_owned(), *connection));
                        disposed.map(|(_, is_missed)| *is_missed = false).is_some()
                    }
                    did => thread.did(did, step, clients),
                };
                checks.check(Rule::Steps, *line, told, || {
                    format!("{}: {name} did something else, as its client's events tell", step.text)
                });
            }
        }
        for ((_, name), thread) in self.threads {
            let created = thread.created.into_iter().filter(|(.., may_have_failed)| !may_have_failed);
            let ran = thread.ran.into_iter().map(|(line, ..)| line);
            let refused = thread.refused.into_iter().map(|(line, _)| line);
            let failed = thread.failed.into_iter().filter(|it| !it.may_be_refused).map(|it| it.line);
            let forbidden = thread.forbidden.into_iter().map(|(line, _)| line);
            let created = created.map(|(line, ..)| line);
            for line in ran.chain(created).chain(refused).chain(failed).chain(forbidden) {
                checks.check_unless_interrupted(Rule::Steps, line, unanswered, || {
                    format!("no step of {name} tells of that")
                });
            }
        }
        for (line, _) in self.disposed.into_values().filter(|(_, is_missed)| *is_missed) {
            checks.check_unless_interrupted(Rule::Steps, line, unanswered, || "no step tells of that".to_owned());
        }
        checks.settle(interrupted);
        checks
    }
}

impl Thread {
    /// Whether the next thing that it did is what the action says, as far as events tell of such.
    fn did(&mut self, did: &Did, step: &Step, clients: &[Client<'_>]) -> bool {
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
            Did::Failed { session, failure } => loop {
                match self.failed.pop_front() {
                    Some(it) if it.is(*session, failure) => break true,
                    Some(it) if it.may_be_refused => {}
                    _ => break false,
                }
            },
            // A thread that serves no task has it in its steps alone; a line that finishes something may be of either.
            Did::Refused { rule, message } if rule == "C3" => {
                let first = self.refused.iter().position(|(_, existing)| message.contains(&existing.to_string()));
                first.map(|at| self.refused.remove(at)).is_some() || step.task.is_none()
            }
            // A creation that is refused leaves no event behind, nor does a look at the rule.
            Did::Refused { rule, message } => {
                // With several clients the step says whose the connection is.
                let named = clients.iter().map(|client| client.name).filter(|name| !name.is_empty());
                let plain = named.fold(message.clone(), |text, name| text.replace(&format!("{name} #"), "#"));
                if self.forbidden.front().is_some_and(|(_, said)| *said == plain) {
                    self.forbidden.pop_front();
                }
                message.contains(&format!("({rule})"))
            }
            _ => true,
        }
    }
}

impl Failed {
    fn is(&self, session: Option<SessionId>, failure: &Failure) -> bool {
        let known = self.failure.as_ref();
        self.session == session && known.map_or(failure.kind == FailureKind::WaitTimeout, |known| known == failure)
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
        && (from.is_none() || operation.mailbox.is_some() || operation.name == HALVES[1])
        && *items == operation.items
        && failure.as_ref() == operation.failure.as_deref()
}
