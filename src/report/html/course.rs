//! What is kept of one client's events: all that a picture of them needs, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::busy::Busy;
use super::histogram::Histogram;
use crate::allocator::{ConnectionId, Kind, Mode, Reason, SessionId};
use crate::event::{Event, HowClosed, Leaves, Micros, Operation, RunStart, TaskId, What, WitnessedCommand, Word, WorkerId};
use crate::judge::{Elsewhere, elsewhere};
use crate::protocol::Failure;

/// The most operations that are kept one by one.
pub(super) const DETAIL: usize = 10_000;
/// Of more than that, so many of those that failed or came from the wrong mailbox are kept, the first ones.
const TELLING: usize = 3_000;
/// And so many of the slowest.
const SLOWEST: usize = 2_000;
/// When there are too many, they are thinned out to fewer than this.
const THINNED: usize = 7_500;
/// The most sessions, refusals and changes of what is selected that are kept.
const KEPT: usize = 4_000;
/// The most lanes whose use is counted where not every operation is kept.
const LANES: usize = 256;

/// An operation.
#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) number: u64,
    pub(super) worker: WorkerId,
    pub(super) task: Option<TaskId>,
    pub(super) name: Word,
    pub(super) mode: Mode,
    pub(super) reason: Option<Reason>,
    pub(super) mailbox: Option<Arc<str>>,
    /// Where its reply came from, if that was elsewhere.
    pub(super) elsewhere: Option<Box<str>>,
    /// The session that carried it; none if none did.
    pub(super) session: Option<SessionId>,
    /// The connection that it was given.
    pub(super) connection: Option<ConnectionId>,
    pub(super) issued: Micros,
    pub(super) wait: Micros,
    pub(super) dial: Micros,
    pub(super) service: Micros,
    pub(super) failure: Option<Box<Failure>>,
}

impl Op {
    /// From when to when a session carried it.
    pub(super) fn in_use(&self) -> (Micros, Micros) {
        let began = self.issued + self.wait + self.dial;
        (began, began + self.service)
    }

    /// Whether a picture without it would hide something.
    pub(super) fn is_telling(&self) -> bool {
        self.failure.is_some() || self.elsewhere.is_some()
    }

    fn took(&self) -> Micros {
        self.wait + self.dial + self.service
    }
}

/// A session.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) session: SessionId,
    pub(super) began: Micros,
    pub(super) signed_in: Micros,
    pub(super) closed: Option<(Micros, HowClosed)>,
    pub(super) failure: Option<Failure>,
}

/// A session that could not be opened.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) session: SessionId,
    pub(super) at: Micros,
    pub(super) failure: Failure,
}

/// What is selected on a connection from a moment on.
#[derive(Clone, Debug)]
pub(super) struct Selected {
    pub(super) since: Micros,
    pub(super) mailbox: Option<Arc<str>>,
}

/// The courses of a run, or of a scenario's clients, by their names.
pub(super) type Courses = BTreeMap<String, Course>;

/// One client's.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) start: Option<Arc<RunStart>>,
    /// In the order of their ends.
    pub(super) operations: Vec<Op>,
    /// How many there were.
    pub(super) seen: u64,
    /// How many of them are telling.
    pub(super) telling: u64,
    /// Of those that are not telling and not slow, one of so many is kept.
    pub(super) each: u64,
    /// The slow ones are those that took longer.
    slow: Micros,
    pub(super) sessions: Vec<Span>,
    pub(super) refusals: Vec<Refusal>,
    /// How many sessions and refusals are not kept.
    pub(super) other_sessions: u64,
    pub(super) kinds: BTreeMap<ConnectionId, (Kind, Option<WorkerId>)>,
    pub(super) selected: BTreeMap<ConnectionId, Vec<Selected>>,
    selections: usize,
    ports: BTreeMap<u16, SessionId>,
    /// The last EXAMINE of each port, and what was selected before it.
    examined: BTreeMap<u16, Micros>,
    pub(super) modes: Vec<(Micros, Mode)>,
    /// How busy each connection was, and each worker.
    pub(super) of_connections: Busy<ConnectionId>,
    pub(super) of_workers: Busy<WorkerId>,
    /// How many stood in line for each connection.
    pub(super) lines: Busy<ConnectionId>,
    pub(super) waits: Histogram,
    pub(super) services: Histogram,
    pub(super) end: Micros,
}

impl Course {
    pub(super) fn of(start: &RunStart) -> Self {
        let kinds = [(ConnectionId::MAIN, (Kind::Main, None))].into();
        let modes = vec![(Micros::ZERO, start.mode)];
        Self { start: Some(Arc::new(start.clone())), each: 1, kinds, modes, ..Self::default() }
    }

    /// Whether every operation is kept.
    pub(super) fn is_whole(&self) -> bool {
        self.seen == self.operations.len() as u64
    }

    pub(super) fn see(&mut self, event: &Event) {
        if !matches!(event.what, What::WitnessCommands(_) | What::WitnessSession(_) | What::RunEnd(_)) {
            self.end = self.end.max(event.at);
        }
        match &event.what {
            What::ConnectionCreated(it) if self.kinds.len() < KEPT => {
                self.kinds.insert(it.connection, (it.kind, it.worker));
            }
            What::SessionOpened(it) => {
                self.ports.insert(it.local_port, it.session);
                let (session, began, signed_in) = (it.session, it.began_us, it.signed_in_us);
                self.keep_session(Span { session, began, signed_in, closed: None, failure: None });
            }
            What::SessionRefused(it) if self.refusals.len() < KEPT => {
                let refusal = Refusal { session: it.session, at: it.failed_us, failure: it.failure.clone() };
                self.refusals.push(refusal);
            }
            What::SessionRefused(_) => self.other_sessions += 1,
            What::SessionClosed(it) => {
                if let Some(span) = self.sessions.iter_mut().rev().find(|span| span.session == it.session) {
                    span.closed = Some((event.at, it.closed));
                    span.failure.clone_from(&it.failure);
                }
                if !self.is_witnessed() {
                    self.select(it.connection, event.at, None);
                }
            }
            What::ModeChanged(it) if self.modes.len() < KEPT => self.modes.push((event.at, it.to)),
            What::Operation(it) => self.operation(it),
            What::WitnessCommands(it) => {
                if let Some(session) = self.ports.get(&it.peer_port).copied() {
                    it.commands.iter().for_each(|command| self.witnessed(it.peer_port, session, command));
                }
            }
            _ => {}
        }
    }

    /// Healthy sessions that are over make room for others.
    fn keep_session(&mut self, span: Span) {
        if self.sessions.len() >= KEPT {
            let past = |it: &Span| matches!(it.closed, Some((_, HowClosed::LoggedOut)));
            match self.sessions.iter().rposition(past) {
                Some(at) => drop(self.sessions.remove(at)),
                None => return self.other_sessions += 1,
            }
            self.other_sessions += 1;
        }
        self.sessions.push(span);
    }

    fn is_witnessed(&self) -> bool {
        self.start.as_ref().is_some_and(|start| start.witnessed)
    }

    fn operation(&mut self, it: &Operation) {
        let came_from = elsewhere(it).map(|it| match it {
            Elsewhere::Mailbox(mailbox) => mailbox.into(),
            Elsewhere::Validity { other, .. } => format!("the one with UIDVALIDITY {other}").into(),
        });
        let op = Op {
            number: it.number,
            worker: it.worker,
            task: it.task,
            name: it.name,
            mode: it.mode,
            reason: it.reason,
            mailbox: it.mailbox.clone(),
            elsewhere: came_from,
            session: it.session.filter(|_| it.local_port.is_some()),
            connection: it.connection,
            issued: it.issued_at_us,
            wait: it.wait_us,
            dial: it.dial_us,
            service: it.service_us,
            failure: it.failure.clone(),
        };
        let (began, ended) = op.in_use();
        self.end = self.end.max(ended);
        self.waits.add(op.wait);
        if let Some(connection) = op.connection {
            self.lines.add(connection, op.issued, op.issued + op.wait, LANES);
            if op.session.is_some() {
                self.services.add(op.service);
                self.of_connections.add(connection, began, ended, LANES);
            }
        }
        self.of_workers.add(op.worker, began, ended, LANES);
        if !self.is_witnessed() {
            match (it.connection, it.leaves()) {
                (Some(connection), Leaves::Selected(mailbox)) => self.select(connection, began, Some(mailbox)),
                (Some(connection), Leaves::Nothing) => self.select(connection, began, None),
                _ => {}
            }
        }
        self.keep(op);
    }

    fn keep(&mut self, op: Op) {
        self.seen += 1;
        self.telling += u64::from(op.is_telling());
        let is_kept = match op.is_telling() {
            true => self.telling <= TELLING as u64 || self.each == 1,
            false => op.number.is_multiple_of(self.each) || op.took() > self.slow,
        };
        if is_kept {
            self.operations.push(op);
        }
        if self.operations.len() > DETAIL {
            self.thin_out();
        }
    }

    /// Keeps the first of those that tell something, the slowest, and a few of the others, evenly.
    fn thin_out(&mut self) {
        let mut took: Vec<Micros> = self.operations.iter().filter(|op| !op.is_telling()).map(Op::took).collect();
        took.sort_unstable();
        self.slow = took.len().checked_sub(SLOWEST).and_then(|at| took.get(at)).copied().unwrap_or_default();
        while self.operations.len() > THINNED {
            self.each *= 2;
            let (each, slow, mut telling) = (self.each, self.slow, 0);
            self.operations.retain(|op| match op.is_telling() {
                true => {
                    telling += 1;
                    telling <= TELLING
                }
                false => op.number.is_multiple_of(each) || op.took() > slow,
            });
            if each > 1 << 40 {
                break;
            }
        }
    }

    /// The server's own record says what was selected as it ran each command: since the EXAMINE before it.
    fn witnessed(&mut self, port: u16, session: SessionId, command: &WitnessedCommand) {
        let Some(at) = command.at_us else { return };
        let since = self.examined.get(&port).copied().filter(|_| command.selected.is_some()).unwrap_or(at);
        self.select(session.connection, since, command.selected.clone());
        if command.verb == "EXAMINE" || command.verb == "SELECT" {
            self.examined.insert(port, at);
        }
    }

    fn select(&mut self, connection: ConnectionId, since: Micros, mailbox: Option<Arc<str>>) {
        let of = self.selected.entry(connection).or_default();
        let last = of.last().and_then(|it| it.mailbox.as_ref());
        if last == mailbox.as_ref() || self.selections >= 2 * KEPT {
            return;
        }
        self.selections += 1;
        // What two threads recorded may come out of order.
        let since = of.last().map_or(since, |last| since.max(last.since));
        of.push(Selected { since, mailbox });
    }

    /// Whether what was selected is known to the end.
    pub(super) fn selections_are_whole(&self) -> bool {
        self.selections < 2 * KEPT
    }
}
