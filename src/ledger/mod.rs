//! What is true now: a client's mode, its places and who owns them, its sessions and their ports.
//!
//! The one state that a stream of events builds up. It is asked about the past only as far back as an operation reaches
//! that is still under way: what no such operation and no open session can refer to is forgotten, so it does not grow with
//! the run. Nothing here judges.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::allocator::{ConnectionId, Kind, Mode, SessionId};
use crate::event::{Ending, Event, Executor, Micros, RunStart, TaskId, What, WorkerId};

/// So many events can make something forgettable before it is looked for, at least.
const FORGET_AFTER: usize = 256;

const START: Horizon = Horizon { seq: 0, at: Micros::ZERO };

/// Sees each event once, in order, with what is true at that moment.
pub trait Analysis {
    /// `known` has taken the event in already.
    fn see(&mut self, event: &Event, known: &Ledger);

    /// There are no more events.
    fn end(&mut self, known: &Ledger) {
        let _ = known;
    }
}

/// A connection's place.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// What it is.
    pub kind: Kind,
    /// Its owner (default) or creator (independent).
    pub worker: Option<WorkerId>,
    /// The task that created it.
    pub task: Option<TaskId>,
    /// Whether a call created it, not an operation's need.
    pub by_hand: bool,
    /// The event that created it.
    pub created: u64,
    /// The event that disposed it.
    pub disposed: Option<u64>,
}

/// A session that was opened.
#[derive(Clone, Copy, Debug)]
pub struct Session {
    /// Which.
    pub id: SessionId,
    /// The client's port.
    pub local_port: u16,
    /// The event that opened it.
    pub opened: u64,
    /// The event that closed it.
    pub closed: Option<u64>,
}

/// The earliest that something under way can refer to: how many events there were, and when the last of them was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Horizon {
    /// Events with a smaller number are past.
    pub seq: u64,
    /// Whatever is recorded from now on of something that was under way happened no sooner.
    pub at: Micros,
}

/// Whose operations come one after the other: each is issued after the last one ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Line {
    Worker(WorkerId),
    Task(TaskId),
}

/// What is true now of one client.
#[derive(Debug, Default)]
pub struct Ledger {
    start: Option<Arc<RunStart>>,
    ending: Option<Ending>,
    /// Each mode, and how many events there were when it came into force.
    modes: VecDeque<(u64, Mode)>,
    places: BTreeMap<ConnectionId, Place>,
    /// Each worker's default connection, from that event on.
    defaults: BTreeMap<WorkerId, VecDeque<(u64, Option<ConnectionId>)>>,
    sessions: BTreeMap<SessionId, Session>,
    ports: BTreeMap<u16, Vec<SessionId>>,
    open: usize,
    /// How many events there were when the next operation of each line can have been issued, at the earliest.
    horizons: BTreeMap<Line, Horizon>,
    /// Events since the last look that left something behind which can be forgotten some day.
    left: usize,
}

impl Ledger {
    /// Takes the event in. Call it before any analysis sees the event: of a session that ends now all is still known.
    pub fn see(&mut self, event: &Event) {
        if self.left >= FORGET_AFTER.max((self.sessions.len() + self.places.len()) / 2) {
            self.forget();
        }
        match &event.what {
            What::RunStart(start) => self.begin(start),
            What::ConnectionCreated(it) => {
                let place = Place {
                    kind: it.kind,
                    worker: it.worker,
                    task: it.task,
                    by_hand: it.by_hand,
                    created: event.seq,
                    disposed: None,
                };
                self.places.insert(it.connection, place);
                if let (Kind::Default, Some(worker)) = (it.kind, it.worker) {
                    self.defaults.entry(worker).or_default().push_back((event.seq, Some(it.connection)));
                }
            }
            What::ConnectionDisposed(it) => {
                if let Some(place) = self.places.get_mut(&it.connection) {
                    place.disposed = Some(event.seq);
                    if let (Kind::Default, Some(worker)) = (place.kind, place.worker) {
                        self.defaults.entry(worker).or_default().push_back((event.seq, None));
                    }
                }
                self.left += 1;
            }
            What::SessionOpened(it) => {
                let session = Session { id: it.session, local_port: it.local_port, opened: event.seq, closed: None };
                if self.sessions.insert(it.session, session).is_none() {
                    self.open += 1;
                }
                self.ports.entry(it.local_port).or_default().push(it.session);
            }
            What::SessionClosed(it) => {
                if let Some(session) = self.sessions.get_mut(&it.session)
                    && session.closed.replace(event.seq).is_none()
                {
                    self.open -= 1;
                }
                self.left += 1;
            }
            What::ModeChanged(it) => {
                self.modes.push_back((event.seq + 1, it.to));
                self.left += 1;
            }
            What::Operation(it) => {
                let line = it.task.map_or(Line::Worker(it.worker), Line::Task);
                if let Some(horizon) = self.horizons.get_mut(&line) {
                    *horizon = Horizon { seq: event.seq + 1, at: event.at };
                }
            }
            What::RunEnd(it) => self.end(it.ending()),
            What::TaskStarted(it) => {
                self.horizons.insert(Line::Task(it.task), Horizon { seq: event.seq, at: event.at });
            }
            What::TaskEnded(it) => drop(self.horizons.remove(&Line::Task(it.task))),
            What::WorkerEnded(it) => drop(self.horizons.remove(&Line::Worker(it.worker))),
            _ => {}
        }
    }

    fn begin(&mut self, start: &RunStart) {
        let main = Place { kind: Kind::Main, worker: None, task: None, by_hand: false, created: 0, disposed: None };
        self.modes = [(0, start.mode)].into();
        self.places = [(ConnectionId::MAIN, main)].into();
        // Where others do the work a worker has none under way by itself, and a scenario says nothing of what comes.
        if start.executor == Executor::Threads || start.scripted {
            let workers = (0..).map(WorkerId).take(start.workers.len());
            self.horizons = workers.map(|worker| (Line::Worker(worker), START)).collect();
        }
        self.start = Some(Arc::new(start.clone()));
    }

    /// Forgets what no operation under way and no open session can refer to.
    fn forget(&mut self) {
        self.left = 0;
        let horizon = self.horizon().seq;
        let past = |seq: Option<u64>| seq.is_some_and(|seq| seq < horizon);
        let ports = &mut self.ports;
        self.sessions.retain(|id, session| {
            let forgotten = past(session.closed);
            if forgotten && let Some(of_port) = ports.get_mut(&session.local_port) {
                of_port.retain(|other| other != id);
                if of_port.is_empty() {
                    ports.remove(&session.local_port);
                }
            }
            !forgotten
        });
        self.places.retain(|_, place| !past(place.disposed));
        self.defaults.retain(|_, timeline| {
            while timeline.get(1).is_some_and(|(since, _)| *since < horizon) {
                timeline.pop_front();
            }
            timeline.len() > 1 || !matches!(timeline.front(), Some((since, None)) if *since < horizon)
        });
        while self.modes.get(1).is_some_and(|(since, _)| *since <= horizon) {
            self.modes.pop_front();
        }
    }

    /// The earliest that an operation under way can refer to. In a scenario that is its start.
    #[must_use]
    pub fn horizon(&self) -> Horizon {
        if self.start.as_ref().is_none_or(|start| start.scripted) {
            return START;
        }
        let end = Horizon { seq: u64::MAX, at: Micros(u64::MAX) };
        self.horizons.values().copied().min().unwrap_or(end)
    }

    /// What was asked for; none before the stream begins.
    #[must_use]
    pub fn start(&self) -> Option<&Arc<RunStart>> {
        self.start.as_ref()
    }

    /// The run is over. Call it before its analyses end: the event that says so tells what they came to.
    pub fn end(&mut self, ending: Ending) {
        self.ending = Some(ending);
    }

    /// How it ended; none before.
    #[must_use]
    pub const fn ending(&self) -> Option<Ending> {
        self.ending
    }

    /// Whether a signal ended it early.
    #[must_use]
    pub fn interrupted(&self) -> bool {
        self.ending.is_some_and(|ending| ending.interrupted.is_some())
    }

    /// A connection's place.
    #[must_use]
    pub fn place(&self, connection: ConnectionId) -> Option<&Place> {
        self.places.get(&connection)
    }

    /// A session that was opened.
    #[must_use]
    pub fn session(&self, session: SessionId) -> Option<&Session> {
        self.sessions.get(&session)
    }

    /// The sessions that had the port, one after the other.
    pub fn on_port(&self, port: u16) -> impl Iterator<Item = &Session> {
        self.ports.get(&port).into_iter().flatten().filter_map(|id| self.sessions.get(id))
    }

    /// The sessions that are open.
    pub fn open_sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values().filter(|session| session.closed.is_none())
    }

    /// How many sessions are open.
    #[must_use]
    pub const fn open(&self) -> usize {
        self.open
    }

    /// The worker's default connection before that event.
    #[must_use]
    pub fn default_of(&self, worker: WorkerId, before: u64) -> Option<ConnectionId> {
        let timeline = self.defaults.get(&worker)?;
        timeline.iter().rev().find(|(since, _)| *since < before).and_then(|(_, connection)| *connection)
    }

    /// The mode in force.
    #[must_use]
    pub fn mode(&self) -> Option<Mode> {
        self.modes.back().map(|(_, mode)| *mode)
    }

    /// Whether `mode` was in force at any time between two events.
    #[must_use]
    pub fn mode_was(&self, mode: Mode, from: u64, to: u64) -> bool {
        let last_before = self.modes.iter().rposition(|(since, _)| *since <= from).unwrap_or(0);
        self.modes.iter().skip(last_before).take_while(|(since, _)| *since <= to).any(|(_, was)| *was == mode)
    }

    /// How many things it remembers: what its memory grows with.
    #[must_use]
    pub fn remembered(&self) -> usize {
        let defaults: usize = self.defaults.values().map(VecDeque::len).sum();
        self.places.len() + self.sessions.len() + self.modes.len() + self.horizons.len() + defaults
    }
}
