//! What is kept of one client's events: all that a picture of them needs, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::busy::Busy;
use super::histogram::Histogram;
use super::sample::{Highest, rank};
use crate::allocator::{ConnectionId, Kind, Mode, Reason, SessionId};
use crate::event::{
    Event, HowClosed, Leaves, Micros, Operation, RunStart, TaskId, What, WitnessedCommand, Word, WorkerId,
};
use crate::judge::{Elsewhere, elsewhere};
use crate::protocol::{Failure, FailureKind};

/// The most operations that are kept one by one.
pub(super) const DETAIL: usize = 10_000;
/// When there are more, so many of those that failed or came from the wrong mailbox stay.
const TELLING: usize = 3_000;
/// And so many of the slowest of the others.
const SLOWEST: usize = 2_000;
/// And of the rest as many as make this, all in all.
const THINNED: usize = 7_500;
/// Of each way to fail so many, the first ones, always stay: findings name them as their evidence.
const FIRST: u32 = 10;
/// The most sessions, refusals and changes of the mode that are kept, and of the connections whose kind is known.
const KEPT: usize = 4_000;
/// The most changes of what is selected.
const SELECTIONS: usize = 8_000;
/// The most lanes whose use is counted where not every operation is kept.
pub(super) const LANES: usize = 256;

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
    pub(super) rank: u64,
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
    pub(super) rank: u64,
}

impl Span {
    /// Whether it ended as it should.
    pub(super) const fn is_healthy(&self) -> bool {
        matches!(self.closed, Some((_, HowClosed::LoggedOut)))
    }
}

/// A session that could not be opened.
#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) session: SessionId,
    pub(super) at: Micros,
    pub(super) failure: Failure,
    pub(super) rank: u64,
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
    /// Which of the telling ones are kept.
    of_telling: Highest,
    /// Which of the others.
    of_others: Highest,
    /// And those of the others that took longer.
    slow: Micros,
    /// How many there were of each way to fail, and how many came from elsewhere, up to [`FIRST`].
    ways: BTreeMap<Option<FailureKind>, u32>,
    pub(super) sessions: Vec<Span>,
    pub(super) refusals: Vec<Refusal>,
    /// How many sessions were opened, and how many refused.
    pub(super) opened: u64,
    pub(super) refused: u64,
    of_healthy: Highest,
    /// Of the sessions that are open or did not end well.
    of_unhealthy: Highest,
    of_refusals: Highest,
    pub(super) kinds: BTreeMap<ConnectionId, (Kind, Option<WorkerId>)>,
    /// How many connections were created.
    pub(super) created: u64,
    pub(super) selected: BTreeMap<ConnectionId, Vec<Selected>>,
    selections: usize,
    /// What was selected is known until then, if not to the end.
    pub(super) selected_until: Option<Micros>,
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
        Self { start: Some(Arc::new(start.clone())), kinds, modes, ..Self::default() }
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
            What::ConnectionCreated(it) => {
                self.created += 1;
                if self.kinds.len() < KEPT {
                    self.kinds.insert(it.connection, (it.kind, it.worker));
                }
            }
            What::SessionOpened(it) => {
                self.ports.insert(it.local_port, it.session);
                let (session, began, signed_in) = (it.session, it.began_us, it.signed_in_us);
                self.opened += 1;
                let rank = rank(self.opened);
                self.sessions.push(Span { session, began, signed_in, closed: None, failure: None, rank });
                self.thin_out_sessions();
            }
            What::SessionRefused(it) => {
                self.refused += 1;
                let rank = rank(self.refused);
                if self.of_refusals.keeps(rank) {
                    self.refusals.push(Refusal {
                        session: it.session,
                        at: it.failed_us,
                        failure: it.failure.clone(),
                        rank,
                    });
                }
                if self.refusals.len() > KEPT {
                    self.of_refusals.sink(self.refusals.iter().map(|it| it.rank), KEPT / 2);
                    self.refusals.retain(|it| self.of_refusals.keeps(it.rank));
                }
            }
            What::SessionClosed(it) => {
                if let Some(at) = self.sessions.iter().rposition(|span| span.session == it.session) {
                    let span = &mut self.sessions[at];
                    span.closed = Some((event.at, it.closed));
                    span.failure.clone_from(&it.failure);
                    if !self.keeps_session(&self.sessions[at]) {
                        self.sessions.remove(at);
                    }
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

    fn keeps_session(&self, span: &Span) -> bool {
        if span.is_healthy() { self.of_healthy.keeps(span.rank) } else { self.of_unhealthy.keeps(span.rank) }
    }

    /// Half of the room is for those that did not end well, or are open.
    fn thin_out_sessions(&mut self) {
        if self.sessions.len() <= KEPT {
            return;
        }
        let (healthy, unhealthy): (Vec<&Span>, Vec<&Span>) = self.sessions.iter().partition(|it| it.is_healthy());
        let room = KEPT / 2;
        self.of_unhealthy.sink(unhealthy.iter().map(|it| it.rank), room);
        let left = (KEPT * 3 / 4).saturating_sub(unhealthy.len().min(room));
        self.of_healthy.sink(healthy.iter().map(|it| it.rank), left);
        let (of_healthy, of_unhealthy) = (self.of_healthy, self.of_unhealthy);
        self.sessions
            .retain(|it| if it.is_healthy() { of_healthy.keeps(it.rank) } else { of_unhealthy.keeps(it.rank) });
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
            rank: rank(it.number),
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

    fn keep(&mut self, mut op: Op) {
        self.seen += 1;
        if op.is_telling() {
            self.telling += 1;
            let known = self.ways.entry(op.failure.as_ref().map(|failure| failure.kind)).or_default();
            if *known < FIRST {
                *known += 1;
                op.rank = 0;
            }
        }
        if self.keeps(&op) {
            self.operations.push(op);
        }
        if self.operations.len() > DETAIL {
            self.thin_out();
        }
    }

    fn keeps(&self, op: &Op) -> bool {
        match op.is_telling() {
            true => self.of_telling.keeps(op.rank),
            false => self.of_others.keeps(op.rank) || op.took() > self.slow,
        }
    }

    /// Keeps some of those that tell something, the slowest of the others, and some of the rest.
    fn thin_out(&mut self) {
        let (telling, others): (Vec<&Op>, Vec<&Op>) = self.operations.iter().partition(|op| op.is_telling());
        let mut took: Vec<Micros> = others.iter().map(|op| op.took()).collect();
        took.sort_unstable();
        let slow = took.len().checked_sub(SLOWEST + 1).map_or(Micros::ZERO, |at| took[at]);
        self.of_telling.sink(telling.iter().map(|op| op.rank), TELLING);
        let room = THINNED - telling.len().min(TELLING) - SLOWEST;
        self.of_others.sink(others.iter().filter(|op| op.took() <= slow).map(|op| op.rank), room);
        self.slow = slow;
        let mut operations = std::mem::take(&mut self.operations);
        operations.retain(|op| self.keeps(op));
        self.operations = operations;
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
        let last = of.last();
        // What two threads recorded may come out of order.
        let since = last.map_or(since, |last| since.max(last.since));
        if last.and_then(|it| it.mailbox.as_ref()) == mailbox.as_ref()
            || self.selected_until.is_some_and(|until| since > until)
        {
            return;
        }
        of.push(Selected { since, mailbox });
        self.selections += 1;
        if self.selections > SELECTIONS {
            self.cut_selections();
        }
    }

    /// Forgets the latest changes of all connections: a stripe that left out some of them would say what is not true.
    fn cut_selections(&mut self) {
        let mut times: Vec<Micros> = self.selected.values().flatten().map(|it| it.since).collect();
        times.sort_unstable();
        let until = times[SELECTIONS * 3 / 4];
        self.selected_until = Some(until);
        self.selected.values_mut().for_each(|of| of.retain(|it| it.since < until));
        self.selections = self.selected.values().map(Vec::len).sum();
    }
}
