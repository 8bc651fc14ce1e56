//! Did each operation use the connection that rules A1–A3 give it, to itself as a unit (A7)?
//!
//! A second opinion: this file knows the specification's table on its own, in literals, and takes what the rule looks at
//! from the events and the connection from the socket that carried the bytes. It never asks the allocator.

use super::{EVIDENCE, Unit, Wrong};
use crate::allocator::{ConnectionId, Kind, Mode, SessionId};
use crate::event::{Agreement, Command, Event, Lock, Operation, RunStart, What};
use crate::ledger::{Analysis, Ledger, Session};
use crate::protocol::Protocol;

/// The connection that an operation must use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// The independent one that was passed.
    Passed,
    /// Main.
    Main,
    /// The default that the thread had.
    OwnDefault,
    /// A default that is created for it.
    NewDefault,
}

/// A row of the table: mode, had a default, passed one → the connection, and the reason's name.
pub type Row = (Mode, bool, bool, Due, &'static str);

/// The specification's table.
#[rustfmt::skip]
pub static TABLE: [Row; 12] = [
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

/// How many operations had the right connection, and what is wrong with the first of the others.
#[derive(Debug)]
pub struct Rules {
    table: &'static [Row],
    /// Operations that were judged.
    pub agreement: Agreement,
    /// What is wrong with the others, as far as it is kept.
    pub wrong: Vec<Wrong>,
}

impl Default for Rules {
    fn default() -> Self {
        Self::by(&TABLE)
    }
}

impl Rules {
    /// By another table: how a test shows that a wrong one is seen.
    #[must_use]
    pub const fn by(table: &'static [Row]) -> Self {
        Self { table, agreement: Agreement { checked: 0, held: 0 }, wrong: Vec::new() }
    }
}

impl Analysis for Rules {
    fn see(&mut self, event: &Event, known: &Ledger) {
        let (What::Operation(operation), Some(start)) = (&event.what, known.start()) else { return };
        self.agreement.checked += 1;
        let judged = Judged { table: self.table, start, known, operation, until: event.seq };
        match judged.judge() {
            Ok(()) => self.agreement.held += 1,
            Err(wrong) if self.wrong.len() < EVIDENCE => {
                let worker = start.worker_name(operation.worker);
                let sentence = format!("operation {} of {worker}: {wrong}", operation.number);
                self.wrong.push(Wrong { seq: Some(event.seq), sentence });
            }
            Err(_) => {}
        }
    }
}

struct Judged<'a> {
    table: &'static [Row],
    start: &'a RunStart,
    known: &'a Ledger,
    operation: &'a Operation,
    /// The event of its end.
    until: u64,
}

impl Judged<'_> {
    fn judge(&self) -> Result<(), String> {
        let Self { table, start, known, operation, until } = *self;
        let had = known.default_of(operation.worker, operation.issued_after);
        if operation.had_default != had.is_some() {
            let had = had.map_or_else(|| "none".to_owned(), |had| had.to_string());
            return Err(format!("it claims had_default={}, the events say {had}", operation.had_default));
        }
        if !known.mode_was(operation.mode, operation.issued_after, until) {
            return Err(format!("it claims the mode {}, which was not in force", operation.mode));
        }
        let cell = (operation.mode, had.is_some(), operation.passed.is_some());
        let row = table.iter().find(|row| (row.0, row.1, row.2) == cell);
        let &(.., due, reason) = row.ok_or_else(|| "the table has no such row".to_owned())?;
        if operation.reason.map(|reason| reason.name()) != Some(reason) {
            let said = operation.reason.map_or("none", |it| it.name());
            return Err(format!("the reason must be {reason}, it says {said}"));
        }
        if operation.is_ok() && (operation.local_port.is_none() || operation.commands.is_empty()) {
            return Err("it claims success, yet no socket carried a command of it".to_owned());
        }
        is_one_unit(start.protocol, start.lock, operation)?;
        // A lease of its own that came before was due the same connection.
        if let Some(earlier) = operation.relied_on.as_deref().filter(|selection| !selection.commands.is_empty()) {
            self.carried(earlier.local_port, Some(earlier.session))?;
            self.is_due(due, earlier.session.connection, had)?;
        }
        if let Some(port) = operation.local_port {
            self.carried(port, operation.session)?;
        }
        operation.connection.map_or(Ok(()), |used| self.is_due(due, used, had))
    }

    /// Whether the session that the operation claims is the one that its bytes went over.
    fn carried(&self, port: u16, claimed: Option<SessionId>) -> Result<(), String> {
        let session = self.carried_by(port, claimed).ok_or_else(|| {
            format!("its bytes went over port {port}, which belonged to none of this run's sessions then")
        })?;
        if Some(session) != claimed {
            let claimed = claimed.map_or_else(|| "none".to_owned(), |session| session.to_string());
            return Err(format!("it claims session {claimed}, its bytes went over port {port}, {session}'s"));
        }
        Ok(())
    }

    /// The session that had the port while the operation was under way. Two can have had it, one after the other: then the
    /// one that is claimed, if it is among them.
    fn carried_by(&self, port: u16, claimed: Option<SessionId>) -> Option<SessionId> {
        let had_it = |session: &&Session| {
            session.opened < self.until && session.closed.is_none_or(|closed| closed >= self.operation.issued_after)
        };
        let mut sessions = self.known.on_port(port).filter(had_it).map(|session| session.id);
        let first = sessions.next()?;
        let claimed = sessions.find(|session| Some(*session) == claimed);
        Some(claimed.unwrap_or(first))
    }

    fn is_due(&self, due: Due, used: ConnectionId, had: Option<ConnectionId>) -> Result<(), String> {
        let Self { start, known, operation, until, .. } = *self;
        let place = known.place(used).ok_or_else(|| format!("{used} was never created"))?;
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
                    && (operation.issued_after..until).contains(&place.created),
                "a default created for it".to_owned(),
            ),
        };
        if holds {
            return Ok(());
        }
        let owner = place.worker.map(|worker| format!(" of {}", start.worker_name(worker))).unwrap_or_default();
        Err(format!("{} wants {expected}, it ran on {used} ({}{owner})", operation.mode, place.kind))
    }
}

/// A7: its commands are those of its unit, one right after the other on their connection. A broken unit may end early, and
/// an empty mailbox has nothing to fetch.
///
/// Under the lock for a command others may come between, from lease to lease: that is what such a run shows, and MC020 says
/// what came of it.
fn is_one_unit(protocol: Protocol, lock: Lock, operation: &Operation) -> Result<(), String> {
    let unit = Unit::of(protocol, operation.name);
    let unit = unit.ok_or_else(|| format!("{protocol} has no operation {}", operation.name))?;
    let failed = !operation.is_ok();
    let earlier = operation.relied_on.as_deref().map_or(&[][..], |selection| &selection.commands);
    let last: &[Command] = &operation.commands;
    let leases = usize::from(!earlier.is_empty()) + usize::from(operation.session.is_some() && !last.is_empty());
    let all = || earlier.iter().chain(last).map(|command| command.verb);
    let may_be_short = failed || (unit.may_find_nothing && all().count() == 1);
    let mut sent: Vec<&str> = all().collect();
    if let (Some(sent_last), Some(due_last)) = (sent.last_mut(), unit.verbs.last()) {
        if unit.in_place_of_last == Some(sent_last) {
            *sent_last = due_last;
        } else if failed && unit.after_a_refusal == Some(sent_last) {
            sent.pop();
        }
    }
    if !unit.verbs.starts_with(&sent) || (sent.len() < unit.verbs.len() && !may_be_short) {
        let sent: Vec<&str> = all().collect();
        return Err(format!("a {} is {}, it sent {}", operation.name, unit.verbs.join(" "), sent.join(" ")));
    }
    if lock == Lock::Unit && leases > 1 {
        return Err("it gave its connection back between the commands of its unit (A7)".to_owned());
    }
    let tags = || last.iter().map(|command| command.tag.number);
    if tags().zip(tags().skip(1)).any(|(tag, next)| tag.checked_add(1) != Some(next)) {
        return Err("another command came between those of its unit (A7)".to_owned());
    }
    Ok(())
}
