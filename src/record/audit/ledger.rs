//! What became of connections: created, opened, used, closed, disposed, each in its time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Audit, BYTES, CAP, CONNECTIONS, DIALS, HEADER, SESSIONS, TAGS, THREADS, TURNS, WITNESS};
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::protocol::{Failure, FailureKind, Phases, Protocol};
use crate::record::run::{
    Closed, Command, Dispose, Entry, Executor, Header, HowClosed, Operation, Run, Selection, TaskId, What, WorkerId,
};

/// What is lost when a time is cut to whole microseconds, twice.
const GRAIN: Duration = Duration::from_micros(2);

pub(super) fn check(run: &Run, audit: &mut Audit) {
    let mut ledger = Ledger::of(run);
    for entry in &run.entries {
        ledger.entry(entry, audit);
    }
    ledger.places_end(audit);
    ledger.sessions_end(audit);
    ledger.operations_dialled(audit);
    ledger.was_seen(audit);
    ledger.within_the_cap(audit);
}

struct Ledger<'a> {
    run: &'a Run,
    protocol: Protocol,
    places: BTreeMap<ConnectionId, Place>,
    sessions: BTreeMap<SessionId, Session<'a>>,
    /// The operations of each worker, in order.
    issued: BTreeMap<WorkerId, Vec<(&'a Entry, &'a Operation)>>,
    /// Why each worker, or the tasks that began there, could not create its connection; in order.
    stopped: BTreeMap<WorkerId, Vec<(u64, &'a Failure)>>,
    open: BTreeSet<SessionId>,
    /// The places that each worker has created, and nobody disposed.
    alive: BTreeMap<WorkerId, BTreeSet<ConnectionId>>,
    /// Those that were disposed by a call which has not returned: their session is not closed.
    closing: BTreeSet<ConnectionId>,
    mode: Mode,
    /// The entry by which the client's close had begun.
    client_closed: Option<u64>,
}

struct Place {
    kind: Kind,
    worker: Option<WorkerId>,
    /// The task that it was created for.
    task: Option<TaskId>,
    by_hand: bool,
    created: Option<u64>,
    /// When that was.
    since: Duration,
    disposed: Option<(u64, Disposal)>,
    /// Sessions dialled so far.
    dials: u32,
    /// The last of them, if it is not seen to have ended.
    live: Option<SessionId>,
    /// When the last of them ended.
    ended: Duration,
}

/// What is known of a session that was opened.
struct Session<'a> {
    opened: &'a Entry,
    setup: &'a [Command],
    closed: Option<(&'a Entry, &'a Closed)>,
    operations: Vec<(&'a Entry, &'a Operation)>,
    /// What operations selected there in a lease of its own (`--lock command`), before the one that read.
    selections: Vec<(&'a Entry, &'a Operation, &'a Selection)>,
}

impl<'a> Ledger<'a> {
    fn of(run: &'a Run) -> Self {
        let main = Place {
            kind: Kind::Main,
            worker: None,
            task: None,
            by_hand: false,
            created: Some(0),
            since: Duration::ZERO,
            disposed: None,
            dials: 0,
            live: None,
            ended: Duration::ZERO,
        };
        let mut ledger = Self {
            run,
            protocol: run.header.protocol,
            places: BTreeMap::from([(ConnectionId::MAIN, main)]),
            sessions: BTreeMap::new(),
            issued: BTreeMap::new(),
            stopped: BTreeMap::new(),
            open: BTreeSet::new(),
            alive: BTreeMap::new(),
            closing: BTreeSet::new(),
            mode: run.header.mode,
            client_closed: None,
        };
        let mut began_on = BTreeMap::new();
        // What a dial belongs to comes after it.
        for entry in &run.entries {
            match &entry.what {
                What::Operation(operation) => {
                    ledger.issued.entry(operation.worker).or_default().push((entry, operation));
                }
                What::Stopped { worker, failure: Some(failure), .. } => {
                    ledger.stopped.entry(*worker).or_default().push((entry.seq, failure));
                }
                What::TaskStarted { task, worker } => {
                    began_on.insert(*task, *worker);
                }
                What::TaskStopped { task, failure: Some(failure), .. } => {
                    if let Some(worker) = began_on.get(task) {
                        ledger.stopped.entry(*worker).or_default().push((entry.seq, failure));
                    }
                }
                _ => {}
            }
        }
        ledger
    }

    fn entry(&mut self, entry: &'a Entry, audit: &mut Audit) {
        let seq = Some(entry.seq);
        self.before_the_client_was_closed(entry, audit);
        match &entry.what {
            What::Created { connection, kind, worker, task, by_hand } => {
                let new = !self.places.contains_key(connection);
                audit.check(CONNECTIONS, seq, new, || format!("{connection} had been created before"));
                audit.check(CONNECTIONS, seq, *kind != Kind::Main && worker.is_some(), || {
                    format!("{connection} was created by nobody")
                });
                let alive = worker.and_then(|worker| self.alive.get(&worker)).into_iter().flatten();
                let mut others = alive.filter_map(|other| Some((*other, self.places.get(other)?)));
                let waiting =
                    others.clone().find(|(_, place)| place.by_hand && place.dials == 0).map(|(other, _)| other);
                let second = *kind == Kind::Default && others.any(|(_, place)| place.kind == Kind::Default);
                audit.check(CONNECTIONS, seq, !second, || {
                    format!("{connection} is a second default of its thread (C3)")
                });
                self.needed(entry, *connection, *worker, *task, *by_hand, audit);
                audit.check(DIALS, seq, waiting.is_none(), || {
                    let other = waiting.unwrap_or(*connection);
                    format!("{connection} was created before {other}, of the same thread, was opened")
                });
                let place = Place {
                    kind: *kind,
                    worker: *worker,
                    task: *task,
                    by_hand: *by_hand,
                    created: seq,
                    since: entry.at,
                    disposed: None,
                    dials: 0,
                    live: None,
                    ended: Duration::ZERO,
                };
                self.places.insert(*connection, place);
                if let Some(worker) = worker {
                    self.alive.entry(*worker).or_default().insert(*connection);
                }
            }
            What::Disposed { connection, cause } => self.disposed(entry, *connection, *cause, audit),
            What::Opened(opened) => {
                self.dialled(entry, opened.session, opened.worker, audit);
                self.phases(entry, opened.session, &opened.phases, Some(opened.began), audit);
                if let Some(place) = self.places.get_mut(&opened.session.connection) {
                    place.live = Some(opened.session);
                }
                let in_time = (opened.began..=entry.at).contains(&opened.signed_in);
                audit.check(DIALS, seq, in_time, || {
                    format!("{} signed in when it was not being dialled", opened.session)
                });
                let label = opened.label.as_ref().is_none_or(|label| {
                    let named = opened.session.to_string();
                    *label == named || self.protocol == Protocol::Smtp
                });
                audit.check(SESSIONS, seq, label, || format!("{} carries another's label", opened.session));
                let way = signed_in_as_sent(opened.signed_in_by, &opened.commands);
                audit.check(SESSIONS, seq, way, || {
                    let said = opened.signed_in_by.unwrap_or("nothing");
                    format!("{} signed in by {said}, its commands say otherwise", opened.session)
                });
                let tls = opened.tls.is_some() == opened.phases.tls.is_some();
                audit.check(SESSIONS, seq, tls, || format!("{} has TLS without its handshake", opened.session));
                self.open.insert(opened.session);
                if let Some(max) = self.run.header.max_connections {
                    let open = self.open.len();
                    audit.check(CAP, seq, open <= max, || format!("{open} are open, {max} are allowed"));
                }
                let session = Session {
                    opened: entry,
                    setup: &opened.commands,
                    closed: None,
                    operations: Vec::new(),
                    selections: Vec::new(),
                };
                self.sessions.insert(opened.session, session);
            }
            What::OpenFailed(failed) => {
                self.dialled(entry, failed.session, failed.worker, audit);
                self.phases(entry, failed.session, &failed.phases, None, audit);
                let open = self.open.len();
                // How long before its line it failed, nobody knows: its thread may have waited for the recorder.
                let in_time = failed.failed <= entry.at;
                audit.check(DIALS, seq, in_time, || format!("{} failed after it was over", failed.session));
                audit.check(DIALS, seq, failed.open == open, || {
                    format!("{} failed when {open} were open, it says {}", failed.session, failed.open)
                });
            }
            What::Closed(closed) => self.closed(entry, closed, audit),
            What::ModeChanged { from, to } => {
                let was = std::mem::replace(&mut self.mode, *to);
                audit.check(CONNECTIONS, seq, was == *from, || format!("the mode was {was}, it says {from}"));
            }
            What::Operation(operation) => self.operation(entry, operation, audit),
            What::WorkerEnded { worker, .. } => {
                self.gave_back(entry, |place| place.worker == Some(*worker), audit);
            }
            What::TaskStarted { task, worker } => {
                let first = |connection| SessionId { connection, number: 1 };
                let waiting = self.alive.get(worker).into_iter().flatten().find(|connection| {
                    let by_hand = self.places.get(connection).is_some_and(|place| place.by_hand);
                    by_hand && !self.sessions.contains_key(&first(**connection))
                });
                audit.check(DIALS, seq, waiting.is_none(), || {
                    let connection = waiting.copied().unwrap_or(ConnectionId::MAIN);
                    let (task, worker) = (self.run.header.names.task(*task), self.name(Some(*worker)));
                    format!("{task} began on {worker} before {connection}, which was being created there, was opened")
                });
            }
            What::TaskEnded { task, .. } => {
                let disposes = self.run.header.dispose == Dispose::Task;
                let its_own = |place: &Place| place.task == Some(*task);
                self.gave_back(entry, |place| its_own(place) && (disposes || place.kind == Kind::Independent), audit);
            }
            What::DefaultRefused { worker, existing, .. } => {
                let alive = self.alive.get(worker).is_some_and(|alive| alive.contains(existing));
                audit.check(CONNECTIONS, seq, alive, || {
                    format!("a default was refused because of {existing}, which was no more")
                });
            }
            _ => {}
        }
    }

    /// Whoever ends has nothing left: what it is to give back is disposed, and closed.
    fn gave_back(&self, entry: &Entry, its_own: impl Fn(&Place) -> bool, audit: &mut Audit) {
        let kept = self.places.iter().find(|(connection, place)| {
            its_own(place) && (place.disposed.is_none() || self.closing.contains(connection))
        });
        let holds = kept.is_none() || self.run.end.interrupted.is_some() || self.run.header.scripted;
        audit.check(CONNECTIONS, Some(entry.seq), holds, || {
            let connection = kept.map_or(ConnectionId::MAIN, |(connection, _)| *connection);
            format!("whoever was to dispose {connection} ended without")
        });
    }

    /// A run that is not interrupted closes its client when every thread has ended.
    fn before_the_client_was_closed(&mut self, entry: &Entry, audit: &mut Audit) {
        let by_a_thread = match &entry.what {
            // In a scenario threads go on, and are refused; what they had begun before may end.
            What::Operation(operation) if self.run.header.scripted => {
                operation.outcome.is_ok() && self.client_closed.is_some_and(|closed| operation.issued_after > closed)
            }
            What::ModeChanged { .. } | What::Opened(_) | What::Disposed { .. } if self.run.header.scripted => false,
            What::Created { .. } | What::Opened(_) | What::OpenFailed(_) | What::Operation(_) => true,
            What::LeftMailbox { .. } | What::ModeChanged { .. } => true,
            What::TaskStarted { .. }
            | What::DefaultRefused { .. }
            | What::TaskEnded { .. }
            | What::WorkerEnded { .. } => !self.run.header.scripted,
            What::Stopped { failure, .. } => failure.as_ref().is_none_or(|it| it.kind != FailureKind::Internal),
            What::Disposed { cause: Disposal::ClientClosed, .. } => {
                let closing = self.closing.first().filter(|_| self.run.end.interrupted.is_none());
                audit.check(THREADS, Some(entry.seq), closing.is_none(), || {
                    let connection = closing.copied().unwrap_or(ConnectionId::MAIN);
                    format!("the client was closed while a thread was still closing {connection}")
                });
                false
            }
            What::Disposed { .. } => true,
            _ => false,
        };
        if let What::Disposed { cause: Disposal::ClientClosed, .. } = &entry.what {
            self.client_closed.get_or_insert(entry.seq);
        } else if by_a_thread {
            let holds = self.client_closed.is_none() || self.run.end.interrupted.is_some();
            audit.check(THREADS, Some(entry.seq), holds, || "a thread did it after the client was closed".to_owned());
        }
    }

    /// An implicit default is created for an operation, a connection by hand before any.
    fn needed(
        &self,
        entry: &Entry,
        connection: ConnectionId,
        worker: Option<WorkerId>,
        task: Option<TaskId>,
        by_hand: bool,
        audit: &mut Audit,
    ) {
        let next = self.next_of(worker, entry.seq);
        let holds = if by_hand {
            next.is_none_or(|(_, operation)| operation.issued_after > entry.seq)
        } else {
            next.is_some_and(|(_, operation)| {
                operation.issued_after <= entry.seq
                    && operation.issued_at <= entry.at
                    && operation.reason == Some(Reason::DefaultCreated)
                    && operation.task == task
            })
        };
        audit.check(DIALS, Some(entry.seq), holds, || {
            let how = if by_hand { "by hand, in the middle of an operation" } else { "for no operation" };
            format!("{connection} was created {how}")
        });
    }

    /// The first operation of a worker that ended after that entry.
    fn next_of(&self, worker: Option<WorkerId>, seq: u64) -> Option<(&'a Entry, &'a Operation)> {
        let issued = self.issued.get(&worker?)?;
        issued.get(issued.partition_point(|(entry, _)| entry.seq <= seq)).copied()
    }

    /// Why the worker, or the first task to stop after that entry of those that began there, did.
    fn stop_after(&self, worker: Option<WorkerId>, seq: u64) -> Option<&'a Failure> {
        let stops = self.stopped.get(&worker?)?;
        stops.iter().find(|(stopped, _)| *stopped > seq).map(|(_, failure)| *failure)
    }

    fn name(&self, worker: Option<WorkerId>) -> String {
        worker.map_or_else(|| "nobody".to_owned(), |worker| self.run.header.names.worker(worker).to_string())
    }

    /// Whether only its creator's thread can dispose it by hand: an asynchronous task takes its own along.
    fn stays_on_its_thread(&self, kind: Kind) -> bool {
        let header = &self.run.header;
        kind == Kind::Default || header.executor != Executor::Tasks || header.dispose == Dispose::Task
    }

    fn dialled(&mut self, entry: &Entry, session: SessionId, worker: Option<WorkerId>, audit: &mut Audit) {
        let seq = Some(entry.seq);
        let place = self.places.get_mut(&session.connection);
        audit.check(SESSIONS, seq, place.is_some(), || format!("{} was never created", session.connection));
        let Some(place) = place else { return };
        place.dials += 1;
        let (due, live) = (place.dials, place.live.take());
        let (by_hand, owner, kind, gone) = (place.by_hand, place.worker, place.kind, place.disposed.is_some());
        let since = place.since;
        if self.run.end.interrupted.is_none() {
            audit.check(SESSIONS, seq, !gone, || format!("{session} was dialled when its connection was disposed"));
        }
        let ended = place.ended;
        if let What::Opened(opened) = &entry.what {
            audit.check(SESSIONS, seq, ended <= opened.began, || {
                format!("the dial of {session} began at {:?}, the session before ended at {ended:?}", opened.began)
            });
        }
        audit.check(SESSIONS, seq, session.number == due, || {
            format!("this is dial {due} of {}, it says {session}", session.connection)
        });
        audit.check(SESSIONS, seq, live.is_none(), || format!("{session} was dialled while its connection was open"));
        audit.check(SESSIONS, seq, kind != Kind::Default || owner == worker, || {
            format!("{session} is another thread's default, dialled by {}", self.name(worker))
        });
        let began = began(entry);
        audit.check(DIALS, seq, since <= began + GRAIN, || {
            format!("the dial of {session} began at {began:?}, its connection was created at {since:?}")
        });
        let next = self.next_of(worker, entry.seq);
        let for_it = next.filter(|(_, operation)| operation.opened && asked_for(operation, session));
        let since = self.places.get(&session.connection).and_then(|place| place.created).unwrap_or_default();
        let holds = match for_it {
            Some((_, operation)) => operation.issued_after <= entry.seq,
            // By hand: between the creation and the thread's next operation.
            None => {
                by_hand
                    && session.number == 1
                    && owner == worker
                    && next.is_none_or(|(_, operation)| operation.issued_after > entry.seq)
                    && since < entry.seq
            }
        };
        audit.check(DIALS, seq, holds, || {
            format!("{session} was dialled by {}, which no operation of it says", self.name(worker))
        });
        if let What::OpenFailed(failed) = &entry.what {
            let told = match for_it {
                Some((_, operation)) => operation.outcome.as_ref().err().map(|failure| &**failure),
                None if self.run.header.scripted => Some(&failed.failure),
                None => self.stop_after(worker, entry.seq),
            };
            // What was interrupted is told in the words of the interruption.
            let holds = told.is_some_and(|told| *told == failed.failure) || self.run.end.interrupted.is_some();
            audit.check(DIALS, seq, holds, || {
                let told = told.map_or_else(|| "nothing".to_owned(), ToString::to_string);
                format!("{session} failed with {}, whoever needed it says {told}", failed.failure)
            });
        }
    }

    fn phases(&self, entry: &Entry, session: SessionId, phases: &Phases, began: Option<Duration>, audit: &mut Audit) {
        let Phases { resolve, connect, tls, greeting, sign_in } = phases;
        let took = [resolve, connect, tls, greeting, sign_in].into_iter().flatten().sum::<Duration>();
        let ends = began.unwrap_or_default().saturating_add(took);
        audit.check(DIALS, Some(entry.seq), ends <= entry.at, || {
            format!("{session} was opened at {:?}, its phases end at {ends:?}", entry.at)
        });
    }

    fn disposed(&mut self, entry: &Entry, connection: ConnectionId, cause: Disposal, audit: &mut Audit) {
        let seq = Some(entry.seq);
        let first = SessionId { connection, number: 0 };
        let opened = self.sessions.range(first..).next().is_some_and(|(session, _)| session.connection == connection);
        let place = self.places.get_mut(&connection);
        audit.check(CONNECTIONS, seq, place.is_some(), || format!("{connection} was never created"));
        let Some(place) = place else { return };
        let before = place.disposed.replace((entry.seq, cause));
        audit.check(CONNECTIONS, seq, before.is_none(), || format!("{connection} had been disposed before"));
        let (kind, interrupted) = (place.kind, self.run.end.interrupted.is_some());
        let holds = match cause {
            Disposal::ByHand => kind != Kind::Main,
            // An independent one is no thread's (K3).
            Disposal::ThreadExit => kind == Kind::Default,
            // Every thread has ended by then, and taken its own along (D3).
            Disposal::ClientClosed => kind == Kind::Main || interrupted || self.run.header.scripted,
            Disposal::NeverOpened => kind != Kind::Main && !opened,
            // It is dropped as soon as its place is no more.
            Disposal::Broken => kind == Kind::Independent && (place.live.is_some() || interrupted),
        };
        audit.check(CONNECTIONS, seq, holds, || format!("{connection}, a {kind} one, was disposed: {}", cause.name()));
        let (worker, by_hand, live) = (place.worker, place.by_hand, place.live.is_some());
        let Header { executor, dispose, scripted, .. } = self.run.header;
        let left = executor != Executor::Threads && dispose == Dispose::Never && !scripted;
        audit.check(HEADER, seq, !(left && kind == Kind::Default && cause == Disposal::ByHand), || {
            format!("{connection} was to be left to its thread, and was disposed by hand")
        });
        if cause == Disposal::NeverOpened {
            let seq = entry.seq;
            let next = self.next_of(worker, seq);
            let stopped = self.stop_after(worker, seq);
            let holds = match by_hand {
                // A step of the scenario says so, in the record of its steps.
                true => stopped.is_some() || self.run.header.scripted,
                false => next.is_some_and(|(_, operation)| {
                    operation.issued_after <= seq && operation.reason == Some(Reason::DefaultCreated)
                }),
            };
            audit.check(CONNECTIONS, Some(seq), holds || self.run.end.interrupted.is_some(), || {
                format!("{connection} was never opened, and {} does not say so", self.name(worker))
            });
        }
        let stays = self.stays_on_its_thread(kind);
        let same_thread = |other: &&ConnectionId| {
            let of_it = |place: &Place| place.worker == worker && self.stays_on_its_thread(place.kind);
            stays && self.places.get(other).is_some_and(of_it)
        };
        let closing = self.closing.iter().find(same_thread).copied();
        let holds = cause != Disposal::ByHand || closing.is_none() || self.run.end.interrupted.is_some();
        audit.check(CONNECTIONS, seq, holds, || {
            let other = closing.unwrap_or(connection);
            format!("{connection} was disposed before {other}, of the same thread, was closed")
        });
        if let Some(alive) = worker.and_then(|worker| self.alive.get_mut(&worker)) {
            alive.remove(&connection);
        }
        // In a scenario another thread may have it still, and close it when it gives it back (D5).
        let by_its_thread = matches!(cause, Disposal::ByHand | Disposal::ThreadExit);
        if by_its_thread && live && !self.run.header.scripted {
            self.closing.insert(connection);
        }
    }

    fn closed(&mut self, entry: &'a Entry, closed: &'a Closed, audit: &mut Audit) {
        let seq = Some(entry.seq);
        let session = closed.session;
        self.open.remove(&session);
        if let Some(place) = self.places.get_mut(&session.connection) {
            place.live = place.live.filter(|live| *live != session);
            place.ended = entry.at;
            self.closing.remove(&session.connection);
            // What is healthy is closed because its place is no more.
            let healthy = !matches!(closed.how, HowClosed::Discarded);
            if healthy && self.run.end.interrupted.is_none() {
                audit.check(SESSIONS, seq, place.disposed.is_some(), || {
                    format!("{session} was closed before {} was disposed", session.connection)
                });
            }
        }
        let silent = !matches!(closed.how, HowClosed::HungUp(_)) || closed.commands.is_empty();
        audit.check(SESSIONS, seq, silent, || format!("{session} was hung up on, and said goodbye"));
        let known = self.sessions.get_mut(&session);
        audit.check(SESSIONS, seq, known.is_some(), || format!("{session} ended, and was never opened"));
        let Some(known) = known else { return };
        let before = known.closed.replace((entry, closed));
        audit.check(SESSIONS, seq, before.is_none(), || format!("{session} had ended before"));
    }

    fn operation(&mut self, entry: &'a Entry, operation: &'a Operation, audit: &mut Audit) {
        let seq = Some(entry.seq);
        let number = operation.number;
        if let Some(earlier) = operation.relied_on.as_deref() {
            let known = self.sessions.get_mut(&earlier.session);
            audit.check(SESSIONS, seq, known.is_some(), || {
                format!("operation {number} relied on {}, which was not open", earlier.session)
            });
            if let Some(known) = known.filter(|_| !earlier.commands.is_empty()) {
                known.selections.push((entry, operation, earlier));
            }
        }
        let Some(session) = operation.session.filter(|_| operation.local_port.is_some()) else { return };
        let known = self.sessions.get_mut(&session);
        audit.check(SESSIONS, seq, known.is_some(), || {
            format!("operation {number} ran on {session}, which was not open")
        });
        if let Some(known) = known {
            known.operations.push((entry, operation));
        }
    }

    fn places_end(&self, audit: &mut Audit) {
        let mut due = 0;
        for (connection, place) in &self.places {
            let seq = place.created.filter(|_| *connection != ConnectionId::MAIN);
            audit.check(CONNECTIONS, seq, connection.0 == due, || format!("#{due} is missing before {connection}"));
            due = connection.0.saturating_add(1);
            audit.check(CONNECTIONS, seq, place.disposed.is_some(), || format!("{connection} was never disposed"));
            // A scenario closes a client while somebody waits for room to open one.
            let closed_first = self.run.header.scripted && matches!(place.disposed, Some((_, Disposal::ClientClosed)));
            let never = matches!(place.disposed, Some((_, Disposal::NeverOpened)));
            let opened = self.sessions.contains_key(&SessionId { connection: *connection, number: 1 });
            if place.by_hand {
                let failed = place.worker.is_some_and(|worker| self.stopped.contains_key(&worker));
                audit.check(
                    DIALS,
                    seq,
                    opened != (never || failed) || (opened && failed && !never) || closed_first,
                    || format!("{connection} was created by hand, and neither opened nor failed to"),
                );
            }
        }
    }

    fn sessions_end(&mut self, audit: &mut Audit) {
        let interrupted = self.run.end.interrupted.is_some();
        let mut unclosed = 0;
        for (session, known) in &mut self.sessions {
            let first = |operation: &Operation| operation.commands.first().map_or(u32::MAX, |command| command.tag);
            known.operations.sort_by_key(|(entry, operation)| (first(operation), entry.seq));
            known.tags(*session, audit);
            known.turns(*session, audit);
            match known.closed {
                None => unclosed += 1,
                Some((entry, closed)) => {
                    known.bytes(self.protocol, closed, audit);
                    for (used, operation) in &known.operations {
                        let broke = matches!(closed.how, HowClosed::Discarded);
                        let holds = interrupted
                            || if broke { operation.issued_after <= entry.seq } else { used.seq < entry.seq };
                        audit.check(SESSIONS, Some(entry.seq), holds, || {
                            format!("{session} ended before operation {} on it", operation.number)
                        });
                    }
                    // Whoever finds it broken drops it before anything else; or it is found when it is to be closed.
                    let disposed = self.places.get(&session.connection).and_then(|place| place.disposed);
                    let to_be_closed =
                        disposed.is_some_and(|(seq, cause)| seq < entry.seq && cause != Disposal::Broken);
                    let last = known.last();
                    let by_last = last.is_some_and(|(used, operation)| {
                        let during = operation.issued_after..used.seq;
                        let broken =
                            disposed.is_none_or(|(seq, cause)| cause != Disposal::Broken || during.contains(&seq));
                        // A naive one that selected there may have gone on elsewhere.
                        let gave_up = operation.outcome.is_err() || operation.session != Some(*session);
                        during.contains(&entry.seq) && broken && gave_up
                    });
                    let broke =
                        last.is_some_and(|(_, operation)| operation.session == Some(*session) && breaks(operation));
                    let holds = by_last || (to_be_closed && !broke) || !matches!(closed.how, HowClosed::Discarded);
                    // A scenario's thread that keeps its connection finds it broken when it gives it back.
                    let kept = self.run.header.scripted && !broke;
                    audit.check(SESSIONS, Some(entry.seq), interrupted || holds || kept, || {
                        format!("{session} was discarded, neither by the operation that broke it nor at its end")
                    });
                }
            }
        }
        let still_open = self.run.end.still_open;
        audit.check(SESSIONS, None, unclosed <= still_open, || {
            format!("{still_open} were still open at the end, {unclosed} never ended")
        });
    }

    /// An operation that says it opened its session did.
    fn operations_dialled(&self, audit: &mut Audit) {
        let mut dials: BTreeMap<SessionId, &Entry> = BTreeMap::new();
        for entry in &self.run.entries {
            match &entry.what {
                What::Opened(opened) => drop(dials.insert(opened.session, entry)),
                What::OpenFailed(failed) => drop(dials.insert(failed.session, entry)),
                _ => {}
            }
        }
        for (entry, operation) in self.run.operations().filter(|(_, operation)| operation.opened) {
            let Some(session) = operation.session else { continue };
            let holds = asked(operation).any(|(session, leased)| {
                dials.get(&session).is_some_and(|dial| {
                    let during = operation.issued_after..entry.seq;
                    let after_issue = began(dial) + GRAIN >= operation.issued_at;
                    during.contains(&dial.seq) && after_issue && leased.is_none_or(|leased| dial.at <= leased)
                })
            });
            audit.check(DIALS, Some(entry.seq), holds, || {
                format!("operation {} opened {session}; there is no such dial in its time", operation.number)
            });
        }
        for (entry, operation) in self.run.operations().filter(|(_, it)| it.reason == Some(Reason::DefaultCreated)) {
            let created = operation.session.and_then(|session| self.places.get(&session.connection)?.created);
            let holds = created.is_none_or(|created| (operation.issued_after..entry.seq).contains(&created));
            audit.check(DIALS, Some(entry.seq), holds, || {
                format!("operation {} created its default connection, which is older", operation.number)
            });
        }
    }

    /// Connections being dialled count as those that are open do.
    fn within_the_cap(&self, audit: &mut Audit) {
        let Some(max) = self.run.header.max_connections else { return };
        let mut begun = Vec::new();
        let mut over = Vec::new();
        for entry in &self.run.entries {
            match &entry.what {
                What::Opened(_) => begun.push((began(entry), entry.seq)),
                // Reckoned, so to within that: see `began`.
                What::OpenFailed(_) => {
                    begun.push((began(entry) + GRAIN, entry.seq));
                    over.push(entry.at);
                }
                What::Closed(_) => over.push(entry.at),
                _ => {}
            }
        }
        begun.sort_unstable();
        for (count, (at, seq)) in (1..).zip(&begun) {
            // In the order of entries they are by time.
            let taken = count - over.partition_point(|over| over <= at).min(count);
            audit.check(CAP, Some(*seq), taken <= max, || {
                format!("a dial began at {at:?}: then {taken} were open or being dialled, {max} are allowed")
            });
        }
    }

    /// A dial that the server answered is in its record, whatever came of it.
    fn was_seen(&self, audit: &mut Audit) {
        let Some(witness) = self.run.witness.as_ref().filter(|_| self.run.end.interrupted.is_none()) else { return };
        let mut seen: BTreeMap<u16, usize> = BTreeMap::new();
        for session in witness {
            *seen.entry(session.peer_port).or_default() += 1;
        }
        for entry in &self.run.entries {
            let port = match &entry.what {
                What::Opened(opened) => Some(opened.local_port),
                What::OpenFailed(failed) if failed.sign_in_attempted || failed.phases.greeting.is_some() => {
                    failed.local_port
                }
                _ => None,
            };
            if let Some(port) = port {
                let left = seen.entry(port).or_default();
                audit
                    .check(WITNESS, Some(entry.seq), *left > 0, || format!("the server saw no session on port {port}"));
                *left = left.saturating_sub(1);
            }
        }
    }
}

impl<'a> Session<'a> {
    /// The operation that had it last.
    fn last(&self) -> Option<(&'a Entry, &'a Operation)> {
        let first = |commands: &[Command]| commands.first().map_or(u32::MAX, |command| command.tag);
        let whole = self.operations.iter().map(|(entry, operation)| (first(&operation.commands), *entry, *operation));
        let earlier = self.selections.iter().map(|(entry, operation, it)| (first(&it.commands), *entry, *operation));
        let last = whole.chain(earlier).max_by_key(|(tag, entry, _)| (*tag, entry.seq));
        last.map(|(_, entry, operation)| (entry, operation))
    }

    /// From 1, through the set-up, the operations and the goodbye.
    fn tags(&self, session: SessionId, audit: &mut Audit) {
        let mut due = 1;
        let mut follow = |entry: &Entry, commands: &[Command], what: &str| {
            for command in commands {
                let (tag, verb) = (command.tag, command.verb);
                audit.check(TAGS, Some(entry.seq), tag == due, || {
                    format!("command {due} of {session} is due, {verb} of {what} is number {tag}")
                });
                due = tag.saturating_add(1);
            }
        };
        follow(self.opened, self.setup, "the sign-in");
        let last = self.operations.iter().map(|(entry, operation)| (*entry, *operation, &*operation.commands));
        let earlier = self.selections.iter().map(|(entry, operation, it)| (*entry, *operation, &*it.commands));
        let mut leases: Vec<_> = last.chain(earlier).collect();
        leases.sort_by_key(|(entry, _, commands)| (commands.first().map_or(u32::MAX, |it| it.tag), entry.seq));
        for (entry, operation, commands) in leases {
            follow(entry, commands, &format!("operation {}", operation.number));
        }
        if let Some((entry, closed)) = self.closed {
            follow(entry, &closed.commands, "the goodbye");
            audit.check(TAGS, Some(entry.seq), closed.carried.checked_add(1) == Some(due), || {
                format!("{session} carried {} commands, {} are written down", closed.carried, due - 1)
            });
        }
    }

    /// Each operation began when the one before had ended, as far as the times tell: they tell of operations, not of each
    /// lease of one that has several.
    fn turns(&self, session: SessionId, audit: &mut Audit) {
        let mut free = self.opened.at;
        let naive = |(_, operation): &(&Entry, &Operation)| operation.selected().is_some();
        let naive = !self.selections.is_empty() || self.operations.iter().any(naive);
        let whole = self.operations.iter().filter(|_| !naive);
        for (entry, operation) in whole {
            let began = entry.at.saturating_sub(operation.service) + GRAIN;
            audit.check(TURNS, Some(entry.seq), free <= began, || {
                format!(
                    "operation {} had {session} from {began:?} at the latest, it was taken until {free:?}",
                    operation.number
                )
            });
            free = operation.issued_at + operation.wait + operation.dial + operation.service;
        }
        if let Some((entry, _)) = self.closed {
            audit.check(TURNS, Some(entry.seq), free <= entry.at, || {
                format!("{session} ended at {:?}, it was in use until {free:?}", entry.at)
            });
        }
    }

    fn bytes(&self, protocol: Protocol, closed: &Closed, audit: &mut Audit) {
        let operations = self.operations.iter().flat_map(|(_, operation)| &operation.commands);
        let selections = self.selections.iter().flat_map(|(_, _, earlier)| &earlier.commands);
        let commands = self.setup.iter().chain(operations).chain(selections).chain(&closed.commands);
        let (mut sent, mut received) = (0, 0);
        for command in commands {
            let tag = if protocol == Protocol::Imap { protocol.tag(command.tag).len() as u64 + 1 } else { 0 };
            sent += tag + command.verb.len() as u64 + 2;
            received += 3;
        }
        // What a broken one sent last may never have left, and never been answered.
        let whole = !matches!(closed.how, HowClosed::Discarded);
        let session = closed.session;
        let entry = self.closed.map(|(entry, _)| entry.seq);
        audit.check(BYTES, entry, !whole || closed.sent >= sent, || {
            format!("{session} sent {} bytes, its commands take {sent}", closed.sent)
        });
        audit.check(BYTES, entry, !whole || closed.received + 3 >= received, || {
            format!("{session} received {} bytes, the replies take {received}", closed.received)
        });
    }
}

/// A mechanism goes with the command that carries one, the protocol's own command by itself.
fn signed_in_as_sent(by: Option<&str>, commands: &[Command]) -> bool {
    let sent = |verbs: &[&str]| commands.iter().any(|command| verbs.contains(&command.verb));
    let carried = sent(&["AUTHENTICATE", "AUTH"]);
    by.map_or_else(|| !carried && !sent(&["LOGIN", "USER"]), |by| carried || sent(&[by]))
}

/// When the dial that the entry is of began: that of a refused one is reckoned from what it took, to within [`GRAIN`].
fn began(dial: &Entry) -> Duration {
    match &dial.what {
        What::Opened(opened) => opened.began,
        What::OpenFailed(failed) => dial.at.saturating_sub(failed.took),
        _ => dial.at,
    }
}

/// The sessions that an operation asked for, and when it had each at the latest, if its times tell. A naive one asks a second
/// time, when it has selected: what passes between its leases nobody measures.
fn asked(operation: &Operation) -> impl Iterator<Item = (SessionId, Option<Duration>)> {
    let leased = operation.issued_at + operation.wait + operation.dial + GRAIN;
    let selected = operation.selected();
    let last = operation.session.map(|session| {
        let once = selected.is_none_or(|first| first.session == session && operation.local_port.is_some());
        (session, once.then_some(leased))
    });
    selected.map(|first| (first.session, Some(leased))).into_iter().chain(last)
}

fn asked_for(operation: &Operation, session: SessionId) -> bool {
    asked(operation).any(|(asked, _)| asked == session)
}

fn breaks(operation: &Operation) -> bool {
    use FailureKind::{Closed, Protocol, ServerBye, Timeout};
    let kind = operation.outcome.as_ref().err().map(|failure| failure.kind);
    kind.is_some_and(|kind| matches!(kind, Closed | Protocol | ServerBye | Timeout))
}
