//! Holds what happened against what was expected, and says both.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::ledger::{defaults, open};
use super::{Conductor, Judged, is_kind};
use crate::allocator::{ConnectionId, Reason, SessionId};
use crate::event::{What, WorkerId};
use crate::record::Did;
use crate::scenario::lane::{Report, Room};
use crate::scenario::script::{Expectation, Expected, Wanted};

/// A closed connection reaches the server's thread a moment later.
const SETTLING: Duration = Duration::from_secs(2);

impl Conductor<'_> {
    /// Whatever was not expected must have succeeded, before a panic too: what it was to prove came before it.
    pub(super) fn judge(&self, report: &Report, whose: &[Option<String>], expected: Option<&Expected>) -> Judged {
        let Report { did, names, .. } = report;
        let name = |at: usize| names.get(at).copied().unwrap_or_default();
        let told = |at: usize, did: &Did| {
            let told = did.of(whose.get(at).and_then(Option::as_deref)).to_string();
            // Of several actions it must be seen which one it was.
            match did {
                Did::Nothing | Did::Refused { .. } | Did::Failed { .. } if names.len() > 1 => {
                    format!("{}: {told}", name(at))
                }
                _ => told,
            }
        };
        let last = did.iter().rposition(|did| !matches!(did, Did::Noted(_)));
        let unexpected =
            did.iter().enumerate().find(|(at, did)| !succeeded(did) && (expected.is_none() || Some(*at) != last));
        if let Some((at, did)) = unexpected {
            let other = expected.and(last).map(|last| format!("; => speaks of {}", name(last))).unwrap_or_default();
            return Judged::not("success", told(at, did) + &other);
        }
        let Some(expected) = expected else { return Judged::held() };
        let last = last.and_then(|last| Some((last, did.get(last)?)));
        let holds = last.is_some_and(|(_, did)| {
            expected.any_of.iter().any(|wanted| self.is(did, wanted)) && is_where(did, expected)
        });
        let happened = || last.map_or_else(|| "nothing".to_owned(), |(at, did)| told(at, did));
        Judged { expected: Some(expected.text.clone()), instead: (!holds).then(happened) }
    }

    fn is(&self, did: &Did, wanted: &Wanted) -> bool {
        let ran = |reason: Reason| match did {
            Did::Ran(used) => used.outcome.is_ok() && used.reason == reason,
            Did::Would { reason: would, .. } => *would == reason,
            _ => false,
        };
        match wanted {
            Wanted::Ok => succeeded(did),
            Wanted::Main => ran(Reason::Main),
            Wanted::Default => ran(Reason::Default),
            Wanted::DefaultCreated => ran(Reason::DefaultCreated),
            Wanted::Explicit => ran(Reason::Explicit),
            Wanted::Connection(number) => {
                let id = self.floor.connection(*number).map(|connection| connection.id());
                let on = match did {
                    Did::Ran(used) => Some(used.session.connection),
                    Did::Would { passed, .. } => passed.as_ref().map(|(connection, _)| *connection),
                    _ => None,
                };
                ran(Reason::Explicit) && on == id
            }
            Wanted::Opened => matches!(did, Did::Created { .. }),
            Wanted::Disposed => matches!(did, Did::Disposed { .. }),
            Wanted::Nothing => matches!(did, Did::Nothing),
            Wanted::Panics => matches!(did, Did::Panicked(_)),
            Wanted::Refused(wanted) => {
                matches!(did, Did::Refused { rule, .. } if wanted.is_none_or(|wanted| wanted == *rule))
            }
            Wanted::Fails(kind) => match did {
                Did::Failed { failure, .. } => is_kind(failure.kind, *kind),
                Did::Ran(used) => used.outcome.as_ref().is_err_and(|failure| is_kind(failure.kind, *kind)),
                _ => false,
            },
        }
    }

    pub(super) fn expect(&mut self, expectation: &Expectation) -> (Vec<Did>, Judged) {
        let (expected, happened) = match expectation {
            Expectation::Open { client, main, connections, defaults } => {
                self.what_is_open(*client, *main, connections, *defaults)
            }
            Expectation::Sessions(sessions) => (many(*sessions, "session"), many(self.sessions(*sessions), "session")),
            Expectation::Opened { client, sessions } => {
                let events = self.events(*client).iter();
                let opened = events.filter(|event| matches!(event.what, What::SessionOpened(_))).count();
                (format!("{sessions} opened"), format!("{opened} opened"))
            }
            Expectation::SignIns { client, tried } => {
                let tries = self.events(*client).iter().filter(|event| match &event.what {
                    What::SessionOpened(opened) => opened.signed_in_by.is_some(),
                    What::SessionRefused(refused) => refused.sign_in_attempted,
                    _ => false,
                });
                (many(*tried, "sign-in"), many(tries.count(), "sign-in"))
            }
            Expectation::Mode { client, mode } => {
                let set = self.room(*client).and_then(Room::client).map(|client| client.mode().to_string());
                (mode.to_string(), set.unwrap_or_default())
            }
            Expectation::Order(threads) => self.order_of(threads),
            // Judged when all is over.
            Expectation::Finding { .. } | Expectation::NoFindings => return (Vec::new(), Judged::held()),
        };
        let instead = (expected != happened).then(|| happened.clone());
        (vec![Did::Noted(happened)], Judged { expected: Some(expected), instead })
    }

    /// Both in the same words and order: main, independent connections by number, how many defaults.
    fn what_is_open(&mut self, client: usize, main: bool, connections: &[usize], expected: usize) -> (String, String) {
        let named: Vec<(ConnectionId, String)> = (0..self.floor.connections.len())
            .filter(|number| self.floor.script.owners.get(*number) == Some(&client))
            .filter_map(|number| {
                let name = self.floor.script.connections.get(number)?.clone();
                Some((self.floor.connection(number)?.id(), name))
            })
            .collect();
        let wanted = self.floor.script.connections.iter().enumerate();
        let wanted = wanted.filter(|(number, _)| connections.contains(number)).map(|(_, name)| name.clone());
        let wanted = list(main, wanted.collect(), expected);
        let events = self.events(client);
        let defaults = defaults(events);
        let open: Vec<ConnectionId> = open(events).into_keys().map(|session| session.connection).collect();
        let independent = named.into_iter().filter(|(id, _)| open.contains(id)).map(|(_, name)| name).collect();
        let of_threads = open.iter().filter(|id| defaults.contains(id)).count();
        (wanted, list(open.contains(&ConnectionId::MAIN), independent, of_threads))
    }

    /// As the server counts, where it can be asked: it is given a moment to come to the number that is expected.
    fn sessions(&mut self, expected: usize) -> usize {
        if let Some(server) = self.stage.provocateur {
            let by = Instant::now() + SETTLING;
            while server.open_sessions() != expected && Instant::now() < by {
                std::thread::sleep(Duration::from_millis(2));
            }
            return server.open_sessions();
        }
        (0..self.events.len()).map(|client| open(self.events(client)).len()).sum()
    }

    fn order_of(&mut self, threads: &[usize]) -> (String, String) {
        let mut last: Vec<LastOperation> = Vec::new();
        for client in 0..self.events.len() {
            for event in self.events(client) {
                let What::Operation(operation) = &event.what else { continue };
                let Some(&thread) = threads.iter().find(|thread| is_worker(**thread, operation.worker)) else {
                    continue;
                };
                last.retain(|other| other.thread != thread);
                let session = operation.session.map(|session| (client, session));
                let first = session.zip(operation.commands.first().map(|command| command.tag.number));
                last.push(LastOperation { seq: event.seq, thread, first });
            }
        }
        in_order(&mut last);
        let name = |thread: &usize| self.floor.script.threads.get(*thread).cloned().unwrap_or_default();
        let names = |threads: Vec<&usize>| threads.into_iter().map(name).collect::<Vec<_>>().join(" ");
        (names(threads.iter().collect()), names(last.iter().map(|last| &last.thread).collect()))
    }
}

/// A thread's last operation.
struct LastOperation {
    seq: u64,
    thread: usize,
    /// Its first command, if it sent any: its client's session, and its tag there.
    first: Option<((usize, SessionId), u32)>,
}

/// In the order of their ends. Operations are written down when they have given their connection back, and the next one
/// there may be faster: those of one session go by what went over its wire.
fn in_order(operations: &mut [LastOperation]) {
    operations.sort_by_key(|operation| operation.seq);
    let sessions: BTreeSet<(usize, SessionId)> =
        operations.iter().filter_map(|it| it.first).map(|(session, _)| session).collect();
    for session in sessions {
        let tag = |operation: &LastOperation| operation.first.filter(|(on, _)| *on == session).map(|(_, tag)| tag);
        let places: Vec<usize> = (0..operations.len()).filter(|&place| tag(&operations[place]).is_some()).collect();
        let mut carried: Vec<(Option<u32>, usize)> =
            places.iter().map(|&place| (tag(&operations[place]), operations[place].thread)).collect();
        carried.sort_unstable();
        for (place, (_, thread)) in places.into_iter().zip(carried) {
            operations[place].thread = thread;
        }
    }
}

fn is_worker(thread: usize, worker: WorkerId) -> bool {
    u32::try_from(thread).is_ok_and(|thread| WorkerId(thread) == worker)
}

fn many(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

fn list(main: bool, independent: Vec<String>, defaults: usize) -> String {
    let main = main.then(|| "main".to_owned());
    let defaults = (defaults > 0).then(|| format!("{defaults}-default"));
    let all: Vec<String> = main.into_iter().chain(independent).chain(defaults).collect();
    if all.is_empty() { "nothing".to_owned() } else { all.join(" ") }
}

/// Whether it did what it was told, of its own account.
fn succeeded(did: &Did) -> bool {
    match did {
        Did::Noted(_) | Did::Created { .. } | Did::Disposed { .. } | Did::Would { .. } => true,
        Did::Ran(used) => used.outcome.is_ok(),
        Did::Nothing | Did::Refused { .. } | Did::Failed { .. } | Did::Panicked(_) => false,
    }
}

/// Whether it ran in the session, and was answered from the mailbox, that was expected.
fn is_where(did: &Did, expected: &Expected) -> bool {
    let same = |from: &String, mailbox: &String| {
        from == mailbox || (from.eq_ignore_ascii_case("INBOX") && mailbox.eq_ignore_ascii_case("INBOX"))
    };
    let Did::Ran(used) = did else { return expected.from.is_none() && expected.session.is_none() };
    expected.session.is_none_or(|session| session == used.session.number)
        && expected.from.as_ref().is_none_or(|mailbox| used.from.as_ref().is_some_and(|from| same(from, mailbox)))
}
