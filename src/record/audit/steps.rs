//! What a scenario's steps say: that each thread did what its record says, and that it was judged by what it did.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Audit, STEPS};
use crate::allocator::{ConnectionId, Disposal, Kind, Reason};
use crate::judge::is_same_mailbox;
use crate::record::run::{Operation, Run, What};
use crate::record::scenario::{Did, Ran, Scenario, StepDone};

/// What is said to have been expected where nothing was written, by the conductor alone: then it did not happen.
const UNWRITTEN: [&str; 6] =
    ["success", "an answer", "the thread's end", "all closed", "an open session", "the sandbox"];

pub(super) fn check(scenario: &Scenario, audit: &mut Audit) {
    let entry = |at: usize| u64::try_from(at).ok();
    for (at, step) in scenario.steps.iter().enumerate() {
        let judged = judged(step);
        audit.check(STEPS, entry(at), judged.is_ok(), || judged.err().unwrap_or_default());
    }
    // What is cut short has told no step of what was under way.
    let whole = scenario.interrupted.is_none()
        && !scenario.steps.iter().any(|step| step.expected.as_deref() == Some("an answer"));
    let mut threads = threads(scenario);
    for (at, step) in scenario.steps.iter().enumerate() {
        let Some(name) = &step.thread else { continue };
        let thread = threads.entry(name.clone()).or_default();
        for did in &step.did {
            let told = thread.told(did, step);
            audit.check(STEPS, entry(at), told.is_ok(), || format!("{name}: {}", told.err().unwrap_or_default()));
        }
    }
    for (name, thread) in &threads {
        let left = [
            thread.operations.len(),
            thread.created.iter().filter(|made| !made.may_have_failed).count(),
            thread.refused.len(),
        ];
        audit.check(STEPS, None, !whole || left == [0; 3], || {
            let [operations, created, refused] = left;
            format!(
                "of {name} the record has {operations} operations, {created} creations and {refused} refusals of a default \
                 that no step tells of"
            )
        });
    }
}

/// What the records say that a thread did, and no step has told of: the next one last.
#[derive(Default)]
struct Thread<'a> {
    operations: Vec<(&'a Run, &'a Operation)>,
    created: Vec<Made>,
    /// The defaults that were in the way of another one for a task.
    refused: Vec<ConnectionId>,
}

/// A connection that was created by hand.
struct Made {
    connection: ConnectionId,
    /// Its client was closed before it was open.
    may_have_failed: bool,
}

/// What threads did, by their names, each thing with its time.
type Timed<T> = BTreeMap<String, Vec<(Duration, T)>>;

/// Of all clients together, in the order of time.
fn threads(scenario: &Scenario) -> BTreeMap<String, Thread<'_>> {
    let mut operations: Timed<(&Run, &Operation)> = BTreeMap::new();
    let mut created: Timed<Made> = BTreeMap::new();
    let mut refused: Timed<ConnectionId> = BTreeMap::new();
    for (_, run) in &scenario.clients {
        let disposed = |of: ConnectionId| {
            run.entries.iter().find_map(|entry| match entry.what {
                What::Disposed { connection, cause } if connection == of => Some(cause),
                _ => None,
            })
        };
        let closing = |what: &What| matches!(what, What::Disposed { cause: Disposal::ClientClosed, .. });
        let before_the_close = || run.entries.iter().take_while(|entry| !closing(&entry.what));
        let opened_in_time = |of: ConnectionId| {
            before_the_close()
                .any(|entry| matches!(&entry.what, What::Opened(opened) if opened.session.connection == of))
        };
        let name = |worker| run.header.names.worker(worker).to_string();
        for entry in &run.entries {
            match &entry.what {
                What::Operation(operation) if operation.local_port.is_some() => {
                    let of_it = operations.entry(name(operation.worker)).or_default();
                    of_it.push((operation.issued_at, (run, operation)));
                }
                What::Created { connection, kind, worker: Some(worker), by_hand: true, .. }
                    if *kind != Kind::Main && disposed(*connection) != Some(Disposal::NeverOpened) =>
                {
                    let may_have_failed = !opened_in_time(*connection);
                    let made = Made { connection: *connection, may_have_failed };
                    created.entry(name(*worker)).or_default().push((entry.at, made));
                }
                What::DefaultRefused { worker, existing, .. } => {
                    refused.entry(name(*worker)).or_default().push((entry.at, *existing));
                }
                _ => {}
            }
        }
    }
    let mut threads: BTreeMap<String, Thread<'_>> = BTreeMap::new();
    for (name, of_it) in operations {
        threads.entry(name).or_default().operations = last_first(of_it);
    }
    for (name, of_it) in created {
        threads.entry(name).or_default().created = last_first(of_it);
    }
    for (name, of_it) in refused {
        threads.entry(name).or_default().refused = last_first(of_it);
    }
    threads
}

fn last_first<T>(mut of_it: Vec<(Duration, T)>) -> Vec<T> {
    of_it.sort_by_key(|(at, _)| *at);
    of_it.into_iter().rev().map(|(_, it)| it).collect()
}

impl Thread<'_> {
    fn told(&mut self, did: &Did, step: &StepDone) -> Result<(), String> {
        match did {
            Did::Ran(ran) => {
                let (run, operation) =
                    self.operations.pop().ok_or_else(|| format!("the record has no further operation: {ran}"))?;
                let task = operation.task.map(|task| run.header.names.task(task).to_string());
                // A line that finishes something does not say whose it is.
                if step.task.is_some() && step.task != task {
                    let said = |task: Option<String>| task.unwrap_or_else(|| "no task".to_owned());
                    let (step, record) = (said(step.task.clone()), said(task));
                    return Err(format!("{step} did it, operation {} is of {record}", operation.number));
                }
                same(ran, operation)
            }
            Did::Created { connection, .. } => loop {
                match self.created.pop() {
                    Some(made) if made.connection == *connection => break Ok(()),
                    Some(made) if made.may_have_failed => {}
                    Some(made) => break Err(format!("it created {connection}, the record has {}", made.connection)),
                    None => break Err(format!("it created {connection}, the record has none")),
                }
            },
            // A thread that serves no task has it on record in its steps alone; a line that finishes something may be of either.
            Did::Refused { rule: "C3", message } => match self.refused.pop() {
                Some(existing) if message.contains(&existing.to_string()) => Ok(()),
                Some(existing) => Err(format!("the record has {existing} in the way of a default: {message}")),
                None if step.task.is_none() => Ok(()),
                None => Err(format!("the record has no such refusal: {message}")),
            },
            _ => Ok(()),
        }
    }
}

fn same(ran: &Ran, operation: &Operation) -> Result<(), String> {
    let proven = operation.answered_by.as_ref().and_then(|answer| answer.mailbox.as_deref());
    let outcome = match (&ran.outcome, &operation.outcome) {
        (Ok(one), Ok(other)) => one == other,
        (Err(one), Err(other)) => *one == **other,
        _ => false,
    };
    let holds = ran.operation == operation.name
        && Some(ran.session) == operation.session
        && Some(ran.reason) == operation.reason
        && (proven.is_none() || ran.from.as_deref() == proven)
        && outcome;
    if holds {
        return Ok(());
    }
    let session = operation.session.map_or_else(|| "nowhere".to_owned(), |session| session.to_string());
    let came = operation.outcome.as_ref().map_or_else(ToString::to_string, |items| format!("{items} items"));
    Err(format!(
        "the step says {ran}, operation {} is {} on {session}, {}: {came}",
        operation.number,
        operation.name,
        operation.reason.map_or("no reason", Reason::name)
    ))
}

/// Whether the step held exactly if what it did is what was expected: a second opinion, from what is written in it.
fn judged(step: &StepDone) -> Result<(), String> {
    let holds = match step.expected.as_deref() {
        None => step.did.iter().all(succeeded),
        Some(unwritten) if UNWRITTEN.contains(&unwritten) => false,
        Some(expected) if step.thread.is_none() && step.text.starts_with("expect ") => {
            matches!(&step.did[..], [Did::Noted(happened)] if happened == expected)
        }
        Some(expected) => {
            let written = step.text.split_once("=>").map(|(_, expected)| expected.trim());
            if written != Some(expected) {
                return Err(format!("{expected} was expected, which is not what is written"));
            }
            met(&step.did, &words(expected))
        }
    };
    if step.expected.is_none() && step.text.contains("=>") && step.thread.is_some() {
        return Err("what is written there was not expected".to_owned());
    }
    match holds == step.held() {
        true => Ok(()),
        false => {
            let expected = step.expected.as_deref().unwrap_or("success");
            let did: Vec<String> = step.did.iter().map(ToString::to_string).collect();
            let held = if holds { "that held" } else { "that did not hold" };
            Err(format!("{expected} was expected of: {}; {held}, the step says otherwise", did.join("; ")))
        }
    }
}

fn succeeded(did: &Did) -> bool {
    match did {
        Did::Noted(_) | Did::Created { .. } | Did::Disposed { .. } | Did::Would { .. } => true,
        Did::Ran(ran) => ran.outcome.is_ok(),
        Did::Nothing | Did::Refused { .. } | Did::Failed { .. } | Did::Panicked(_) => false,
    }
}

/// Words, and what stands in quotes as one.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in text.split('"').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// Whether the last action that has a result came to one of these, and all others succeeded.
fn met(did: &[Did], expected: &[String]) -> bool {
    let last = did.iter().rposition(|did| !matches!(did, Did::Noted(_)));
    let others = did.iter().enumerate().all(|(at, did)| succeeded(did) || Some(at) == last);
    let Some(did) = last.and_then(|last| did.get(last)).filter(|_| others) else { return false };
    let where_from = expected.iter().position(|word| word == "from" || word == "session").unwrap_or(expected.len());
    let (any_of, place) = expected.split_at(where_from);
    any_of.split(|word| word == "or").any(|wanted| is(did, wanted)) && place.chunks(2).all(|at| is_at(did, at))
}

fn is(did: &Did, wanted: &[String]) -> bool {
    let ran = |reason| match did {
        Did::Ran(ran) => ran.outcome.is_ok() && ran.reason == reason,
        Did::Would { reason: would, .. } => *would == reason,
        _ => false,
    };
    let named = || match did {
        Did::Ran(ran) => ran.name.as_deref(),
        Did::Would { passed, .. } => passed.as_ref().and_then(|(_, name)| name.as_deref()),
        _ => None,
    };
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    match wanted[..] {
        ["ok"] => succeeded(did),
        ["main"] => ran(Reason::Main),
        ["default"] => ran(Reason::Default),
        ["default-created"] => ran(Reason::DefaultCreated),
        ["explicit"] => ran(Reason::Explicit),
        ["opened"] => matches!(did, Did::Created { .. }),
        ["disposed"] => matches!(did, Did::Disposed { .. }),
        ["nothing"] => matches!(did, Did::Nothing),
        ["panics"] => matches!(did, Did::Panicked(_)),
        ["refused"] => matches!(did, Did::Refused { .. }),
        ["refused", by] => matches!(did, Did::Refused { rule, .. } if *rule == by),
        ["fails", ref kind @ ..] => {
            let failure = match did {
                Did::Failed { failure, .. } => Some(failure),
                Did::Ran(ran) => ran.outcome.as_ref().err(),
                _ => None,
            };
            failure.is_some_and(|failure| kind.first().is_none_or(|kind| *kind == failure.kind.name()))
        }
        [name] => ran(Reason::Explicit) && named() == Some(name),
        _ => false,
    }
}

/// `from Archive`, `session 2`.
fn is_at(did: &Did, place: &[String]) -> bool {
    let Did::Ran(ran) = did else { return false };
    match place {
        [word, number] if word == "session" => number.parse() == Ok(ran.session.number),
        [_, mailbox] => ran.from.as_ref().is_some_and(|from| is_same_mailbox(from, mailbox)),
        _ => false,
    }
}
