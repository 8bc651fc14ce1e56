//! Did each operation use the connection that rules A1–A3 give it, to itself as a unit (A7)?
//!
//! A second opinion: this file knows the specification's table on its own, in literals, and takes what the rule looks
//! at from the recorded events and the connection from the socket that carried the bytes. It never asks the allocator.

use std::collections::BTreeMap;

use super::run::{Entry, Header, Lock, Names, Operation, Run, What, WorkerId};
use super::verdict::{Agreement, Wrong};
use crate::allocator::{ConnectionId, Kind, Mode, SessionId};
use crate::protocol::Protocol;

/// The connection that an operation must use.
#[derive(Clone, Copy)]
enum Due {
    Passed,
    Main,
    OwnDefault,
    NewDefault,
}

/// The specification's table: mode, had a default, passed one → the connection, and the reason's name.
#[rustfmt::skip]
const TABLE: [(Mode, bool, bool, Due, &str); 12] = [
    (Mode::UseMain,          false, true,  Due::Passed,     "explicit"),
    (Mode::UseMain,          true,  true,  Due::Passed,     "explicit"),
    (Mode::UseMain,          true,  false, Due::Main,       "main"),
    (Mode::UseMain,          false, false, Due::Main,       "main"),
    (Mode::UseDefault,       false, true,  Due::Passed,     "explicit"),
    (Mode::UseDefault,       true,  true,  Due::Passed,     "explicit"),
    (Mode::UseDefault,       true,  false, Due::OwnDefault, "default"),
    (Mode::UseDefault,       false, false, Due::NewDefault, "default-created"),
    (Mode::UseMainOrDefault, false, true,  Due::Passed,     "explicit"),
    (Mode::UseMainOrDefault, true,  true,  Due::Passed,     "explicit"),
    (Mode::UseMainOrDefault, true,  false, Due::OwnDefault, "default"),
    (Mode::UseMainOrDefault, false, false, Due::Main,       "main"),
];

/// How many operations had the right connection, and what is wrong with the others.
pub(super) fn check(run: &Run) -> (Agreement, Vec<Wrong>) {
    let ledger = Ledger::of(run);
    let mut agreement = Agreement::default();
    let mut broken = Vec::new();
    for (entry, operation) in run.operations() {
        agreement.checked += 1;
        match ledger.judge(&run.header, entry, operation) {
            Ok(()) => agreement.held += 1,
            Err(wrong) => {
                let sentence =
                    format!("operation {} of {}: {wrong}", operation.number, run.header.names.worker(operation.worker));
                broken.push(Wrong { entry: Some(entry.seq), sentence });
            }
        }
    }
    (agreement, broken)
}

/// What the events say was true, and when.
struct Ledger {
    /// Each mode, and how many entries there were when it came into force.
    modes: Vec<(u64, Mode)>,
    places: BTreeMap<ConnectionId, Place>,
    /// Each worker's default connection, from that entry on.
    defaults: BTreeMap<WorkerId, Vec<(u64, Option<ConnectionId>)>>,
    sockets: BTreeMap<u16, Vec<Socket>>,
    names: Names,
}

struct Place {
    kind: Kind,
    worker: Option<WorkerId>,
    by_hand: bool,
    created: u64,
}

/// The use of a port by one session.
struct Socket {
    session: SessionId,
    opened: u64,
    closed: u64,
}

impl Ledger {
    fn of(run: &Run) -> Self {
        let main = Place { kind: Kind::Main, worker: None, by_hand: false, created: 0 };
        let mut ledger = Self {
            modes: vec![(0, run.header.mode)],
            places: BTreeMap::from([(ConnectionId::MAIN, main)]),
            defaults: BTreeMap::new(),
            sockets: BTreeMap::new(),
            names: run.header.names.clone(),
        };
        let mut ports: BTreeMap<SessionId, u16> = BTreeMap::new();
        for entry in &run.entries {
            match &entry.what {
                What::Created { connection, kind, worker, by_hand, .. } => {
                    let place = Place { kind: *kind, worker: *worker, by_hand: *by_hand, created: entry.seq };
                    ledger.places.insert(*connection, place);
                    if let (Kind::Default, Some(worker)) = (kind, worker) {
                        ledger.defaults.entry(*worker).or_default().push((entry.seq, Some(*connection)));
                    }
                }
                What::Disposed { connection, .. } => {
                    if let Some(Place { kind: Kind::Default, worker: Some(worker), .. }) = ledger.places.get(connection)
                    {
                        ledger.defaults.entry(*worker).or_default().push((entry.seq, None));
                    }
                }
                What::Opened(opened) => {
                    ports.insert(opened.session, opened.local_port);
                    let socket = Socket { session: opened.session, opened: entry.seq, closed: u64::MAX };
                    ledger.sockets.entry(opened.local_port).or_default().push(socket);
                }
                What::Closed(closed) => {
                    let sockets = ports.get(&closed.session).and_then(|port| ledger.sockets.get_mut(port));
                    let socket = sockets.and_then(|all| all.iter_mut().find(|socket| socket.session == closed.session));
                    if let Some(socket) = socket {
                        socket.closed = entry.seq;
                    }
                }
                What::ModeChanged { to, .. } => ledger.modes.push((entry.seq + 1, *to)),
                // What a thread's default is remains a question of the thread, whichever task it serves.
                What::TaskStarted { .. }
                | What::DefaultRefused { .. }
                | What::TaskStopped { .. }
                | What::TaskEnded { .. }
                | What::WorkerEnded { .. }
                | What::OpenFailed(_)
                | What::Operation(_)
                | What::LeftMailbox { .. }
                | What::Stopped { .. } => {}
            }
        }
        ledger
    }

    fn judge(&self, header: &Header, entry: &Entry, operation: &Operation) -> Result<(), String> {
        let Header { protocol, lock, .. } = *header;
        let had = self.default_of(operation.worker, operation.issued_after);
        if operation.had_default != had.is_some() {
            let had = had.map_or_else(|| "none".to_owned(), |had| had.to_string());
            return Err(format!("it claims had_default={}, the events say {had}", operation.had_default));
        }
        if !self.mode_was(operation.mode, operation.issued_after, entry.seq) {
            return Err(format!("it claims the mode {}, which was not in force", operation.mode));
        }
        let (due, reason) = due(operation.mode, had.is_some(), operation.passed.is_some())
            .ok_or_else(|| "the table has no such row".to_owned())?;
        if operation.reason.map(|reason| reason.name()) != Some(reason) {
            let said = operation.reason.map_or("none", |it| it.name());
            return Err(format!("the reason must be {reason}, it says {said}"));
        }
        if operation.outcome.is_ok() && (operation.local_port.is_none() || operation.commands.is_empty()) {
            return Err("it claims success, yet no socket carried a command of it".to_owned());
        }
        is_one_unit(protocol, lock, operation)?;
        // A lease of its own that came before was due the same connection.
        if let Some(earlier) = operation.relied_on.as_deref().filter(|selection| !selection.commands.is_empty()) {
            self.carried(earlier.local_port, Some(earlier.session), operation, entry.seq)?;
            self.is_due(due, earlier.session.connection, had, entry, operation)?;
        }
        if let Some(port) = operation.local_port {
            self.carried(port, operation.session, operation, entry.seq)?;
        }
        let used = operation.session.map(|session| session.connection);
        used.map_or(Ok(()), |used| self.is_due(due, used, had, entry, operation))
    }

    /// Whether the session that the operation claims is the one that its bytes went over.
    fn carried(&self, port: u16, claimed: Option<SessionId>, operation: &Operation, until: u64) -> Result<(), String> {
        let session = self.carried_by(port, claimed, operation, until).ok_or_else(|| {
            format!("its bytes went over port {port}, which belonged to none of this run's sessions then")
        })?;
        if Some(session) != claimed {
            let claimed = claimed.map_or_else(|| "none".to_owned(), |session| session.to_string());
            return Err(format!("it claims session {claimed}, its bytes went over port {port}, {session}'s"));
        }
        Ok(())
    }

    fn is_due(
        &self,
        due: Due,
        used: ConnectionId,
        had: Option<ConnectionId>,
        entry: &Entry,
        operation: &Operation,
    ) -> Result<(), String> {
        let place = self.places.get(&used).ok_or_else(|| format!("{used} was never created"))?;
        let (holds, expected) = match due {
            Due::Main => (used == ConnectionId::MAIN, "main (#0)".to_owned()),
            Due::Passed => (
                Some(used) == operation.passed && place.kind == Kind::Independent,
                operation.passed.map_or_else(String::new, |passed| format!("the independent {passed} it was passed")),
            ),
            Due::OwnDefault => (
                Some(used) == had && place.kind == Kind::Default,
                had.map_or_else(String::new, |had| format!("its thread's default {had}")),
            ),
            Due::NewDefault => (
                place.kind == Kind::Default
                    && place.worker == Some(operation.worker)
                    && !place.by_hand
                    && (operation.issued_after..entry.seq).contains(&place.created),
                "a default created for it".to_owned(),
            ),
        };
        if holds {
            return Ok(());
        }
        let owner = place.worker.map(|worker| format!(" of {}", self.names.worker(worker))).unwrap_or_default();
        Err(format!("{} wants {expected}, it ran on {used} ({}{owner})", operation.mode, place.kind))
    }

    /// The worker's default connection before entry `seq`.
    fn default_of(&self, worker: WorkerId, seq: u64) -> Option<ConnectionId> {
        let timeline = self.defaults.get(&worker)?;
        timeline.iter().rev().find(|(since, _)| *since < seq).and_then(|(_, connection)| *connection)
    }

    /// Whether `mode` was in force at any time between two entries.
    fn mode_was(&self, mode: Mode, from: u64, to: u64) -> bool {
        let last_before = self.modes.iter().rposition(|(since, _)| *since <= from).unwrap_or(0);
        self.modes.iter().skip(last_before).take_while(|(since, _)| *since <= to).any(|(_, was)| *was == mode)
    }

    /// The session that had the port while the operation was under way. Two can have had it, one after the other: then
    /// the one that is claimed, if it is among them.
    fn carried_by(
        &self,
        port: u16,
        claimed: Option<SessionId>,
        operation: &Operation,
        until: u64,
    ) -> Option<SessionId> {
        let had_it = |socket: &&Socket| socket.opened < until && socket.closed >= operation.issued_after;
        let mut sessions = self.sockets.get(&port)?.iter().filter(had_it).map(|socket| socket.session);
        let first = sessions.next()?;
        let claimed = sessions.find(|session| Some(*session) == claimed);
        Some(claimed.unwrap_or(first))
    }
}

/// A7: its commands are those of its unit, one right after the other on their connection. A broken unit may end early,
/// and an empty mailbox has nothing to fetch.
///
/// Under the lock for a command others may come between, from lease to lease: that is what such a run shows, and MC020
/// says what came of it.
fn is_one_unit(protocol: Protocol, lock: Lock, operation: &Operation) -> Result<(), String> {
    let unit: &[&str] = match (protocol, operation.name) {
        (_, "noop") => &["NOOP"],
        (Protocol::Imap | Protocol::Pop3, "list") => &["LIST"],
        (Protocol::Imap, "status") => &["STATUS"],
        (Protocol::Imap, "fetch") => &["EXAMINE", "FETCH"],
        (Protocol::Imap, "search") => &["EXAMINE", "SEARCH"],
        // The naive use, in halves.
        (Protocol::Imap, "select") => &["EXAMINE"],
        (Protocol::Imap, "fetch-selected") => &["FETCH"],
        (Protocol::Imap, "search-selected") => &["SEARCH"],
        (Protocol::Imap, "append") => &["CREATE", "APPEND", "DELETE"],
        (Protocol::Smtp, "verify") => &["RSET"],
        (Protocol::Smtp, "send") => &["MAIL", "RCPT", "DATA"],
        (Protocol::Pop3, "stat") => &["STAT"],
        (Protocol::Pop3, "retrieve") => &["STAT", "TOP"],
        (protocol, other) => return Err(format!("{protocol} has no operation {other}")),
    };
    let failed = operation.outcome.is_err();
    let all = || operation.leases().flat_map(|lease| lease.commands).map(|command| command.verb);
    let may_be_short = failed || (matches!(operation.name, "fetch" | "retrieve") && all().count() == 1);
    let mut sent: Vec<&str> = all().collect();
    match sent.last_mut() {
        // A message that was refused is forgotten within its unit.
        Some(&mut "RSET") if failed && operation.name == "send" => {
            sent.pop();
        }
        // How a message's beginning is read where the server knows no TOP.
        Some(verb) if *verb == "RETR" && operation.name == "retrieve" => *verb = "TOP",
        _ => {}
    }
    if !unit.starts_with(&sent) || (sent.len() < unit.len() && !may_be_short) {
        let sent: Vec<&str> = all().collect();
        return Err(format!("a {} is {}, it sent {}", operation.name, unit.join(" "), sent.join(" ")));
    }
    if lock == Lock::Unit && operation.leases().count() > 1 {
        return Err("it gave its connection back between the commands of its unit (A7)".to_owned());
    }
    let tags = || operation.commands.iter().map(|command| command.tag);
    if tags().zip(tags().skip(1)).any(|(tag, next)| tag.checked_add(1) != Some(next)) {
        return Err("another command came between those of its unit (A7)".to_owned());
    }
    Ok(())
}

fn due(mode: Mode, had_default: bool, passed: bool) -> Option<(Due, &'static str)> {
    let row = TABLE.iter().find(|row| (row.0, row.1, row.2) == (mode, had_default, passed));
    row.map(|row| (row.3, row.4))
}
