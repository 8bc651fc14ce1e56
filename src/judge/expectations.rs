//! Whether a step came to what its scenario expects: evaluated when the step is done, and again from its file.

use std::collections::{BTreeMap, BTreeSet};

use super::Judge;
use super::witness::is_same_mailbox;
use crate::allocator::{ConnectionId, Kind, Mode, Reason, SessionId};
use crate::event::{
    Action, Did, Event, Expectation, Finding, Independent, Micros, Severity, Step, Wanted, What, WorkerId,
};
use crate::figures::count;
use crate::ledger::{Analysis, Ledger};

/// One client, as far as its stream had come when the step was done.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its name; empty if it has none.
    pub name: &'a str,
    /// What is known of it.
    pub judge: &'a Judge,
    /// What was found, when all is over.
    pub findings: &'a [Finding],
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Evaluation {
    /// To what was expected.
    AsExpected,
    /// An action did not succeed that had to, at that place.
    Failed(usize),
    /// The action that has the result came to something else: at that place, if there is one.
    Otherwise(Option<usize>),
    /// What is true, in the words of what should be.
    State {
        /// What should be true.
        expected: String,
        /// What is.
        found: String,
        /// Whether that will do.
        held: bool,
    },
}

impl Evaluation {
    /// Whether it came to what was expected.
    #[must_use]
    pub const fn held(&self) -> bool {
        matches!(self, Self::AsExpected | Self::State { held: true, .. })
    }
}

/// What the step came to, with all clients as they were when it was done; none if its expectation is not on record.
#[must_use]
pub fn evaluate(step: &Step, clients: &[Client<'_>]) -> Option<Evaluation> {
    let named = |name: &str| clients.iter().find(|client| client.name == name).map(|client| client.judge);
    let did = &step.did;
    Some(match step.expectation.as_ref()? {
        Expectation::Success => match did.iter().position(|action| !action.did.is_ok()) {
            Some(at) => Evaluation::Failed(at),
            None => Evaluation::AsExpected,
        },
        Expectation::Result { any_of, from, session } => result(did, any_of, from.as_deref(), *session),
        Expectation::Open { client, main, independent, defaults } => {
            let names = independent.iter().filter(|it| it.open).map(|it| it.name.clone());
            let expected = listed(*main, names.collect(), *defaults);
            let open = named(client).map_or_else(|| listed(false, Vec::new(), 0), |it| open(it.known(), independent));
            Evaluation::same(expected, open)
        }
        Expectation::Sessions { open } => {
            let counted = did.iter().find_map(|action| match action.did {
                Did::Counted { sessions } => Some(sessions),
                _ => None,
            });
            let known = || clients.iter().map(|client| client.judge.known().open()).sum();
            Evaluation::same(many(*open, "session"), many(counted.unwrap_or_else(known), "session"))
        }
        Expectation::Opened { client, sessions } => {
            let opened = named(client).map_or(0, |judge| judge.progress.opened);
            Evaluation::same(format!("{sessions} opened"), format!("{opened} opened"))
        }
        Expectation::SignIns { client, tried } => {
            let known = named(client).map_or(0, |judge| judge.progress.sign_ins);
            Evaluation::same(many(*tried, "sign-in"), many(known, "sign-in"))
        }
        Expectation::Mode { client, mode } => {
            let set = named(client).and_then(|judge| judge.known().mode());
            Evaluation::same(mode.name().to_owned(), set.map_or_else(String::new, |set: Mode| set.name().to_owned()))
        }
        Expectation::Order { threads } => Evaluation::same(threads.join(" "), order(threads, clients).join(" ")),
        Expectation::Finding { id, there } => {
            let found: Vec<&Finding> = clients.iter().flat_map(|client| client.findings).collect();
            let held = found.iter().any(|finding| finding.id == *id) == *there;
            let expected = if *there { id.clone() } else { format!("no {id}") };
            let named = |finding: &&&Finding| finding.severity != Severity::Advice || finding.id == *id;
            let found: Vec<&Finding> = found.iter().filter(named).copied().collect();
            Evaluation::State { expected, found: found_in_words(&found), held }
        }
        Expectation::NoFindings => {
            // How much was waited, or how often a connection was used again, is no matter of a few steps.
            let all = clients.iter().flat_map(|client| client.findings);
            let found: Vec<&Finding> = all.filter(|finding| finding.severity != Severity::Advice).collect();
            let held = found.is_empty();
            Evaluation::State { expected: "no findings".to_owned(), found: found_in_words(&found), held }
        }
    })
}

impl Evaluation {
    fn same(expected: String, found: String) -> Self {
        let held = expected == found;
        Self::State { expected, found, held }
    }
}

/// An action before the one that has the result must have succeeded, before a panic too: what the line was to prove came
/// before it.
fn result(did: &[Action], any_of: &[Wanted], from: Option<&str>, session: Option<u32>) -> Evaluation {
    let last = did.iter().rposition(|action| !matches!(action.did, Did::Noted { .. }));
    let failed = did.iter().enumerate().find(|(at, action)| Some(*at) != last && !action.did.is_ok());
    if let Some((at, _)) = failed {
        return Evaluation::Failed(at);
    }
    let holds = last
        .and_then(|last| did.get(last))
        .is_some_and(|Action { did, .. }| any_of.iter().any(|wanted| is(did, wanted)) && is_where(did, from, session));
    if holds { Evaluation::AsExpected } else { Evaluation::Otherwise(last) }
}

fn is(did: &Did, wanted: &Wanted) -> bool {
    let runs = |due: Reason| match did {
        Did::Ran { reason, failure, .. } => failure.is_none() && *reason == due,
        Did::Would { reason, .. } => *reason == due,
        _ => false,
    };
    match wanted {
        Wanted::Ok => did.is_ok(),
        Wanted::Because { reason } => runs(*reason),
        Wanted::On { name: due } => {
            let (Did::Ran { name, .. } | Did::Would { name, .. }) = did else { return false };
            runs(Reason::Explicit) && name.as_ref() == Some(due)
        }
        Wanted::Opened => matches!(did, Did::Created { .. }),
        Wanted::Disposed => matches!(did, Did::Disposed { .. }),
        Wanted::Nothing => matches!(did, Did::Nothing),
        Wanted::Panics => matches!(did, Did::Panics { .. }),
        Wanted::Refused { rule: due } => {
            matches!(did, Did::Refused { rule, .. } if due.as_ref().is_none_or(|due| due == rule))
        }
        Wanted::Fails { kind } => {
            let (Did::Failed { failure, .. } | Did::Ran { failure: Some(failure), .. }) = did else { return false };
            kind.is_none_or(|kind| kind == failure.kind)
        }
    }
}

/// Whether it ran on the session, and was answered from the mailbox, that was expected.
fn is_where(did: &Did, mailbox: Option<&str>, number: Option<u32>) -> bool {
    let Did::Ran { session, from, .. } = did else { return mailbox.is_none() && number.is_none() };
    number.is_none_or(|number| number == session.number)
        && mailbox.is_none_or(|mailbox| from.as_ref().is_some_and(|from| is_same_mailbox(from, mailbox)))
}

/// What is open of a client, in the words of [`listed`].
fn open(known: &Ledger, independent: &[Independent]) -> String {
    let open: BTreeSet<ConnectionId> = known.open_sessions().map(|session| session.id.connection).collect();
    let is_open = |it: &&Independent| it.connection.is_some_and(|connection| open.contains(&connection));
    let names = independent.iter().filter(is_open).map(|it| it.name.clone()).collect();
    let is_default = |id: &&ConnectionId| known.place(**id).is_some_and(|place| place.kind == Kind::Default);
    listed(open.contains(&ConnectionId::MAIN), names, open.iter().filter(is_default).count())
}

/// `main k 2-default`, or `nothing`.
fn listed(main: bool, independent: Vec<String>, defaults: usize) -> String {
    let main = main.then(|| "main".to_owned());
    let defaults = (defaults > 0).then(|| format!("{defaults}-default"));
    let all: Vec<String> = main.into_iter().chain(independent).chain(defaults).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
}

fn found_in_words(found: &[&Finding]) -> String {
    let ids: Vec<&str> = found.iter().map(|finding| &*finding.id).collect();
    if ids.is_empty() { "no findings".to_owned() } else { format!("found {}", ids.join(", ")) }
}

fn many(number: usize, thing: &str) -> String {
    format!("{} {thing}{}", count(number as u64), if number == 1 { "" } else { "s" })
}

/// What expectations ask of a scenario's client, beyond what is true now.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Sessions opened so far.
    opened: usize,
    /// Sign-ins tried so far.
    sign_ins: usize,
    /// The last operation of each thread.
    last: BTreeMap<WorkerId, Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Micros,
    seq: u64,
    /// Its session, and the tag of its first command there, if it sent any.
    first: Option<(SessionId, u32)>,
}

impl Analysis for Progress {
    fn see(&mut self, event: &Event, known: &Ledger) {
        if known.start().is_none_or(|start| !start.scripted) {
            return;
        }
        match &event.what {
            What::SessionOpened(opened) => {
                self.opened += 1;
                self.sign_ins += usize::from(opened.signed_in_by.is_some());
            }
            What::SessionRefused(refused) => self.sign_ins += usize::from(refused.sign_in_attempted),
            What::Operation(operation) => {
                let first = operation.session.zip(operation.commands.first().map(|command| command.tag.number));
                self.last.insert(operation.worker, Last { at: event.at, seq: event.seq, first });
            }
            _ => {}
        }
    }
}

/// Those of the threads that issued an operation, in the order in which their last ones ended.
fn order<'a>(threads: &'a [String], clients: &[Client<'_>]) -> Vec<&'a str> {
    let mut last: Vec<(&str, usize, Last)> = Vec::new();
    for thread in threads {
        let of_client = |(number, client): (usize, &Client<'_>)| {
            let workers = &client.judge.known().start()?.workers;
            let worker = workers.entries().find(|role| role.name.as_ref() == Some(thread))?.worker;
            client.judge.progress.last.get(&worker).map(|last| (number, *last))
        };
        let latest = clients.iter().enumerate().filter_map(of_client).max_by_key(|(_, last)| (last.at, last.seq));
        last.extend(latest.map(|(number, latest)| (thread.as_str(), number, latest)));
    }
    last.sort_by_key(|(_, _, last)| (last.at, last.seq));
    by_tags(&mut last);
    last.into_iter().map(|(thread, ..)| thread).collect()
}

/// Operations are recorded when they have given their connection back, and the next one there may be faster: those of one
/// session go by what went over its wire.
fn by_tags(operations: &mut [(&str, usize, Last)]) {
    type Session = (usize, SessionId);
    let on = |(_, client, last): &(&str, usize, Last)| last.first.map(|(session, tag)| ((*client, session), tag));
    let mut places: BTreeMap<Session, Vec<(u32, usize)>> = BTreeMap::new();
    for (place, operation) in operations.iter().enumerate() {
        if let Some((session, tag)) = on(operation) {
            places.entry(session).or_default().push((tag, place));
        }
    }
    let ended = operations.to_vec();
    for of_session in places.into_values() {
        let free = of_session.iter().map(|(_, place)| *place).collect::<Vec<_>>();
        let mut carried = of_session;
        carried.sort_unstable();
        for (place, (_, from)) in free.into_iter().zip(carried) {
            operations[place] = ended[from];
        }
    }
}
