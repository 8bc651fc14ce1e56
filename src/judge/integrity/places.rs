//! What became of connections: created, dialled, closed, disposed, each in its time and because somebody needed it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::checks::{Checks, Rule};
use super::seen::{GRAIN, Seen, began, selected};
use crate::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use crate::event::{
    ConnectionCreated, Dial, Dispose, Executor, HowClosed, Micros, Operation, SessionClosed, SessionOpened, TaskId,
    What, WorkerId,
};
use crate::protocol::{Failure, FailureKind, Protocol};

/// All connections that something to come can refer to.
#[derive(Debug, Default)]
pub(super) struct Places {
    lives: BTreeMap<ConnectionId, Life>,
    /// Those of each worker that nobody disposed.
    alive: HashMap<WorkerId, BTreeSet<ConnectionId>>,
    /// Those that were created for each task which is not over.
    of_task: HashMap<TaskId, Vec<ConnectionId>>,
    /// Those that were disposed by a call which has not returned: their session is not closed.
    closing: BTreeSet<ConnectionId>,
    /// What each worker's next operation must have needed.
    needs: HashMap<WorkerId, Vec<Need>>,
    /// Every connection up to that number was created, and a few beyond.
    up_to: u32,
    beyond: BTreeSet<u32>,
    mode: Option<Mode>,
    /// The event by which the client's close had begun.
    client_closed: Option<u64>,
}

/// A connection's life.
#[derive(Debug)]
pub(super) struct Life {
    kind: Kind,
    worker: Option<WorkerId>,
    by_hand: bool,
    /// Its first event, and when that was.
    created: u64,
    since: Micros,
    pub(super) disposed: Option<(u64, Disposal)>,
    /// Sessions dialled so far.
    dials: u32,
    opened: bool,
    /// The last of them, if it is not seen to have ended.
    live: Option<SessionId>,
    /// When the last of them ended.
    ended: Micros,
    /// Sessions of which something may be told yet.
    pub(super) sessions: u32,
}

/// What came about because of an operation that is not told of yet.
#[derive(Debug)]
enum Need {
    /// A default connection was created for it.
    Created { seq: u64, at: Micros, connection: ConnectionId, task: Option<TaskId> },
    /// A session was dialled for it.
    Dialled { seq: u64, at: Micros, began: Micros, session: SessionId, failure: Option<Failure> },
}

impl Places {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        self.before_the_client_was_closed(seen);
        match seen.what {
            What::RunStart(start) => {
                self.mode = Some(start.mode);
                let main = Life::new(Kind::Main, None, false, seen);
                self.lives.insert(ConnectionId::MAIN, main);
            }
            What::ConnectionCreated(it) => self.created(seen, it),
            What::ConnectionDisposed(it) => self.disposed(seen, it.connection, it.cause),
            What::SessionOpened(it) => self.opened(seen, it),
            What::SessionRefused(it) => {
                self.dialled(seen, it.session, it.worker, began(seen.at, seen.what), Some(&it.failure));
                phases(seen, it.session, &it.dial_us, Micros::ZERO);
                // How long before its line it failed, nobody knows: its thread may have waited for the recorder.
                seen.check(Rule::Dials, it.failed_us <= seen.at, || format!("{} failed after it was over", it.session));
                let open = seen.known.open();
                seen.check(Rule::Dials, it.open == open, || {
                    format!("{} failed when {open} were open, it says {}", it.session, it.open)
                });
            }
            What::SessionClosed(it) => self.closed(seen, it),
            What::ModeChanged(it) => {
                let was = self.mode.replace(it.to);
                let mode = was.unwrap_or(it.from);
                seen.check(Rule::Connections, mode == it.from, || format!("the mode was {mode}, it says {}", it.from));
            }
            What::Operation(operation) => self.operation(seen, operation),
            What::WorkerEnded(it) => {
                let alive = self.alive.get(&it.worker).and_then(BTreeSet::first).copied();
                let closing = || self.closing.iter().copied().find(|id| self.is_of(*id, it.worker));
                gave_back(seen, alive.or_else(closing));
            }
            What::TaskStarted(it) => {
                let waiting = self.waiting(it.worker, |life| !life.opened);
                seen.check(Rule::Dials, waiting.is_none(), || {
                    let connection = waiting.unwrap_or(ConnectionId::MAIN);
                    let (task, worker) = (seen.start.task_name(it.task), seen.start.worker_name(it.worker));
                    format!("{task} began on {worker} before {connection}, which was being created there, was opened")
                });
            }
            What::TaskEnded(it) => {
                let disposes = seen.start.dispose == Dispose::Task;
                let mut its_own = self.of_task.remove(&it.task).unwrap_or_default().into_iter();
                let kept = its_own.find(|id| {
                    let open = |life: &Life| life.disposed.is_none() || self.closing.contains(id);
                    let due = |life: &&Life| disposes || life.kind == Kind::Independent;
                    self.lives.get(id).filter(due).is_some_and(open)
                });
                gave_back(seen, kept);
            }
            What::DefaultRefused(it) => {
                let alive = self.alive.get(&it.worker).is_some_and(|alive| alive.contains(&it.existing));
                seen.check(Rule::Connections, alive, || {
                    format!("a default was refused because of {}, which was no more", it.existing)
                });
            }
            _ => {}
        }
    }
}

impl Life {
    const fn new(kind: Kind, worker: Option<WorkerId>, by_hand: bool, seen: &Seen<'_>) -> Self {
        Self {
            kind,
            worker,
            by_hand,
            created: seen.seq,
            since: seen.at,
            disposed: None,
            dials: 0,
            opened: false,
            live: None,
            ended: Micros::ZERO,
            sessions: 0,
        }
    }
}

impl Places {
    pub(super) fn life(&mut self, connection: ConnectionId) -> Option<&mut Life> {
        self.lives.get_mut(&connection)
    }

    /// Forgets what no operation under way can refer to.
    pub(super) fn forget(&mut self, horizon: u64) {
        self.lives.retain(|_, life| life.sessions > 0 || life.disposed.is_none_or(|(seq, _)| seq >= horizon));
    }

    pub(super) fn end(&mut self, checks: &mut Checks) {
        for (connection, life) in &self.lives {
            checks.check(Rule::Connections, life.created, life.disposed.is_some(), || {
                format!("{connection} was never disposed")
            });
        }
        if let Some(number) = self.beyond.first() {
            checks.check(Rule::Connections, None, false, || format!("#{} is missing before #{number}", number - 1));
        }
        for need in std::mem::take(&mut self.needs).into_values().flatten() {
            let sentence = || "no operation says that it needed that".to_owned();
            match need {
                // Called off before it was dialled, an operation counts as not issued.
                Need::Created { seq, .. } => checks.check_unless_interrupted(Rule::Dials, seq, false, sentence),
                Need::Dialled { seq, .. } => checks.check(Rule::Dials, seq, false, sentence),
            }
        }
    }

    fn is_of(&self, connection: ConnectionId, worker: WorkerId) -> bool {
        self.lives.get(&connection).is_some_and(|life| life.worker == Some(worker))
    }

    /// A connection of the worker that is being created by hand.
    fn waiting(&self, worker: WorkerId, is_waiting: impl Fn(&Life) -> bool) -> Option<ConnectionId> {
        let mut alive = self.alive.get(&worker).into_iter().flatten().copied();
        alive.find(|id| self.lives.get(id).is_some_and(|life| life.by_hand && is_waiting(life)))
    }

    /// A run that is not interrupted closes its client when every thread has ended.
    fn before_the_client_was_closed(&mut self, seen: &mut Seen<'_>) {
        let scripted = seen.start.scripted;
        let by_a_thread = match seen.what {
            // In a scenario threads go on, and are refused; what they had begun before may end.
            What::Operation(operation) if scripted => {
                operation.is_ok() && self.client_closed.is_some_and(|closed| operation.issued_after > closed)
            }
            What::ConnectionDisposed(it) if it.cause == Disposal::ClientClosed => {
                let closing = self.closing.first().copied();
                seen.check_unless_interrupted(Rule::Threads, closing.is_none(), || {
                    let connection = closing.unwrap_or(ConnectionId::MAIN);
                    format!("the client was closed while a thread was still closing {connection}")
                });
                self.client_closed.get_or_insert(seen.seq);
                false
            }
            What::ModeChanged(_) | What::SessionOpened(_) | What::ConnectionDisposed(_) => !scripted,
            What::TaskStarted(_) | What::DefaultRefused(_) | What::TaskEnded(_) | What::WorkerEnded(_) => !scripted,
            What::ConnectionCreated(_) | What::SessionRefused(_) | What::Operation(_) | What::MailboxLeft(_) => true,
            What::WorkerStopped(it) => it.failure.as_ref().is_none_or(|it| it.kind != FailureKind::Internal),
            _ => false,
        };
        if by_a_thread {
            seen.check_unless_interrupted(Rule::Threads, self.client_closed.is_none(), || {
                "a thread did it after the client was closed".to_owned()
            });
        }
    }

    fn created(&mut self, seen: &mut Seen<'_>, it: &ConnectionCreated) {
        let ConnectionCreated { connection, kind, worker, task, by_hand } = *it;
        let new = connection.0 > self.up_to && self.beyond.insert(connection.0);
        while self.up_to.checked_add(1).is_some_and(|next| self.beyond.remove(&next)) {
            self.up_to += 1;
        }
        seen.check(Rule::Connections, new, || format!("{connection} had been created before"));
        seen.check(Rule::Connections, kind != Kind::Main && worker.is_some(), || {
            format!("{connection} was created by nobody")
        });
        let Some(worker) = worker else { return };
        let mut others = self.alive.get(&worker).into_iter().flatten().filter_map(|id| self.lives.get(id));
        let second = kind == Kind::Default && others.any(|life| life.kind == Kind::Default);
        seen.check(Rule::Connections, !second, || format!("{connection} is a second default of its thread (C3)"));
        let waiting = self.waiting(worker, |life| life.dials == 0);
        seen.check(Rule::Dials, waiting.is_none(), || {
            let other = waiting.unwrap_or(connection);
            format!("{connection} was created before {other}, of the same thread, was opened")
        });
        if !by_hand {
            let need = Need::Created { seq: seen.seq, at: seen.at, connection, task };
            self.needs.entry(worker).or_default().push(need);
        }
        self.lives.insert(connection, Life::new(kind, Some(worker), by_hand, seen));
        self.alive.entry(worker).or_default().insert(connection);
        if let Some(task) = task {
            self.of_task.entry(task).or_default().push(connection);
        }
    }

    fn opened(&mut self, seen: &mut Seen<'_>, it: &SessionOpened) {
        let session = it.session;
        self.dialled(seen, session, it.worker, it.began_us, None);
        phases(seen, session, &it.dial_us, it.began_us);
        if let Some(life) = self.lives.get_mut(&it.connection) {
            (life.live, life.opened) = (Some(session), true);
            life.sessions += 1;
        }
        let in_time = (it.began_us..=seen.at).contains(&it.signed_in_us);
        seen.check(Rule::Dials, in_time, || format!("{session} signed in when it was not being dialled"));
        let smtp = seen.start.protocol == Protocol::Smtp;
        let label = it.label.as_ref().is_none_or(|label| smtp || *label == session.to_string());
        seen.check(Rule::Sessions, label, || format!("{session} carries another's label"));
        // A mechanism goes with the command that carries one, the protocol's own command by itself.
        let sent = |verbs: &[&str]| it.commands.iter().any(|command| verbs.contains(&command.verb));
        let carried = sent(&["AUTHENTICATE", "AUTH"]);
        let way = it.signed_in_by.map_or_else(|| !carried && !sent(&["LOGIN", "USER"]), |by| carried || sent(&[by]));
        seen.check(Rule::Sessions, way, || {
            format!("{session} signed in by {}, its commands say otherwise", it.signed_in_by.unwrap_or("nothing"))
        });
        let tls = it.tls.is_some() == it.dial_us.tls.is_some();
        seen.check(Rule::Sessions, tls, || format!("{session} has TLS without its handshake"));
        if let Some(max) = seen.start.max_connections {
            let open = seen.known.open();
            seen.check(Rule::Cap, open <= max, || format!("{open} are open, {max} are allowed"));
        }
    }

    fn dialled(
        &mut self,
        seen: &mut Seen<'_>,
        session: SessionId,
        worker: Option<WorkerId>,
        began: Micros,
        failure: Option<&Failure>,
    ) {
        let life = self.lives.get_mut(&session.connection);
        seen.check(Rule::Sessions, life.is_some(), || format!("{} was never created", session.connection));
        let Some(life) = life else { return };
        life.dials = life.dials.saturating_add(1);
        let (due, live) = (life.dials, life.live.take());
        seen.check_unless_interrupted(Rule::Sessions, life.disposed.is_none(), || {
            format!("{session} was dialled when its connection was disposed")
        });
        seen.check(Rule::Sessions, failure.is_some() || life.ended <= began, || {
            format!("the dial of {session} began at {began}, the session before ended at {}", life.ended)
        });
        seen.check(Rule::Sessions, session.number == due, || {
            format!("this is dial {due} of {}, it says {session}", session.connection)
        });
        seen.check(Rule::Sessions, live.is_none(), || format!("{session} was dialled while its connection was open"));
        let name = || worker.map_or_else(|| "nobody".to_owned(), |worker| seen.start.worker_name(worker).to_string());
        let name = name();
        seen.check(Rule::Sessions, life.kind != Kind::Default || life.worker == worker, || {
            format!("{session} is another thread's default, dialled by {name}")
        });
        seen.check(Rule::Dials, life.since <= began + GRAIN, || {
            format!("the dial of {session} began at {began}, its connection was created at {}", life.since)
        });
        // By hand, or for an operation, which is told of later.
        let by_hand = life.by_hand && session.number == 1;
        seen.check(Rule::Dials, worker.is_some() && (!by_hand || life.worker == worker), || {
            format!("{session} was dialled by {name}, who did not need it")
        });
        if let Some(worker) = worker.filter(|_| !by_hand) {
            let (seq, at, failure) = (seen.seq, seen.at, failure.cloned());
            self.needs.entry(worker).or_default().push(Need::Dialled { seq, at, began, session, failure });
        }
    }

    fn disposed(&mut self, seen: &mut Seen<'_>, connection: ConnectionId, cause: Disposal) {
        let start = seen.start;
        let life = self.lives.get_mut(&connection);
        seen.check(Rule::Connections, life.is_some(), || format!("{connection} was never created"));
        let Some(life) = life else { return };
        let before = life.disposed.replace((seen.seq, cause));
        seen.check(Rule::Connections, before.is_none(), || format!("{connection} had been disposed before"));
        let Life { kind, worker, by_hand, opened, live, .. } = *life;
        let of_that_kind = match cause {
            Disposal::ByHand => kind != Kind::Main,
            // An independent one is no thread's (K3).
            Disposal::ThreadExit => kind == Kind::Default,
            Disposal::ClientClosed => true,
            Disposal::NeverOpened => kind != Kind::Main && !opened,
            Disposal::Broken => kind == Kind::Independent,
        };
        let sentence = || format!("{connection}, a {kind} one, was disposed: {}", cause.name());
        seen.check(Rule::Connections, of_that_kind, sentence);
        let in_time = match cause {
            // Every thread has ended by then, and taken its own along (D3).
            Disposal::ClientClosed => kind == Kind::Main || start.scripted,
            // It is dropped as soon as its place is no more.
            Disposal::Broken => live.is_some(),
            _ => true,
        };
        seen.check_unless_interrupted(Rule::Connections, in_time, sentence);
        let left = start.executor != Executor::Threads && start.dispose == Dispose::Never && !start.scripted;
        seen.check(Rule::Header, !(left && kind == Kind::Default && cause == Disposal::ByHand), || {
            format!("{connection} was to be left to its thread, and was disposed by hand")
        });
        let failed = matches!(cause, Disposal::NeverOpened | Disposal::ClientClosed);
        seen.check_unless_interrupted(Rule::Dials, !by_hand || opened || failed, || {
            format!("{connection} was created by hand, and neither opened nor failed to")
        });
        if cause == Disposal::NeverOpened && !by_hand {
            // Of one by hand its creator says so.
            let of_it = |need: &Need| matches!(need, Need::Created { connection: id, .. } if *id == connection);
            let needs = worker.and_then(|worker| self.needs.get(&worker));
            let holds = needs.is_some_and(|needs| needs.iter().any(of_it));
            seen.check_unless_interrupted(Rule::Connections, holds, || {
                format!("{connection} was never opened, and no operation says so")
            });
        }
        let stays = |kind| kind == Kind::Default || start.executor != Executor::Tasks || start.dispose == Dispose::Task;
        let same_thread = |id: &&ConnectionId| {
            self.lives.get(id).is_some_and(|life| life.worker == worker && stays(life.kind) && stays(kind))
        };
        let closing = self.closing.iter().find(same_thread).copied();
        seen.check_unless_interrupted(Rule::Connections, cause != Disposal::ByHand || closing.is_none(), || {
            let other = closing.unwrap_or(connection);
            format!("{connection} was disposed before {other}, of the same thread, was closed")
        });
        if let Some(alive) = worker.and_then(|worker| self.alive.get_mut(&worker)) {
            alive.remove(&connection);
        }
        // In a scenario another thread may have it still, and close it when it gives it back (D5).
        let by_its_thread = matches!(cause, Disposal::ByHand | Disposal::ThreadExit);
        if by_its_thread && live.is_some() && !start.scripted {
            self.closing.insert(connection);
        }
    }

    fn closed(&mut self, seen: &mut Seen<'_>, it: &SessionClosed) {
        let session = it.session;
        if let Some(life) = self.lives.get_mut(&it.connection) {
            life.live = life.live.filter(|live| *live != session);
            life.ended = seen.at;
            self.closing.remove(&it.connection);
            // What is healthy is closed because its place is no more.
            let holds = it.closed == HowClosed::Discarded || life.disposed.is_some();
            seen.check_unless_interrupted(Rule::Sessions, holds, || {
                format!("{session} was closed before {} was disposed", it.connection)
            });
        }
        let silent = it.closed != HowClosed::HungUp || it.commands.is_empty();
        seen.check(Rule::Sessions, silent, || format!("{session} was hung up on, and said goodbye"));
    }

    /// What came about since the thread's last operation was needed by this one, and by none else.
    fn operation(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        let mut needs = self.needs.get_mut(&operation.worker).map(std::mem::take).unwrap_or_default();
        let number = operation.number;
        for need in &needs {
            match need {
                Need::Created { seq, at, connection, task } => {
                    let holds = operation.issued_after <= *seq
                        && operation.issued_at_us <= *at
                        && operation.reason == Some(Reason::DefaultCreated)
                        && operation.task == *task;
                    seen.checks
                        .check(Rule::Dials, *seq, holds, || format!("{connection} was created for no operation"));
                }
                Need::Dialled { seq, session, failure, .. } => {
                    let for_it = operation.opened && asked(operation).any(|(asked, _)| asked == *session);
                    let holds = for_it && operation.issued_after <= *seq;
                    seen.checks.check(Rule::Dials, *seq, holds, || {
                        format!("{session} was dialled, which operation {number} of that thread does not say")
                    });
                    if let Some(failure) = failure {
                        // What was interrupted is told in the words of the interruption.
                        let told = operation.failure.as_deref() == Some(failure);
                        seen.checks.check_unless_interrupted(Rule::Dials, *seq, told, || {
                            format!("{session} failed with {failure}, operation {number} needed it and says otherwise")
                        });
                    }
                }
            }
        }
        if operation.opened && operation.session.is_some() {
            let during = operation.issued_after..seen.seq;
            let holds = asked(operation).any(|(asked, leased)| {
                needs.iter().any(|need| match need {
                    Need::Dialled { seq, at, began, session, .. } => {
                        let after_issue = *began + GRAIN >= operation.issued_at_us;
                        let in_time = leased.is_none_or(|leased| *at <= leased);
                        *session == asked && during.contains(seq) && after_issue && in_time
                    }
                    Need::Created { .. } => false,
                })
            });
            seen.check(Rule::Dials, holds, || {
                format!("operation {number} opened its session; there is no such dial in its time")
            });
        }
        if operation.reason == Some(Reason::DefaultCreated) {
            let of_it = |need: &Need| matches!(need, Need::Created { .. });
            let holds = operation.session.is_none() || needs.iter().any(of_it);
            seen.check(Rule::Dials, holds, || {
                format!("operation {number} created its default connection, which is older or never came")
            });
        }
        needs.clear();
        if let Some(kept) = self.needs.get_mut(&operation.worker) {
            *kept = needs;
        }
    }
}

/// Whoever ends has nothing left: what it is to give back is disposed, and closed.
fn gave_back(seen: &mut Seen<'_>, kept: Option<ConnectionId>) {
    let holds = kept.is_none() || seen.start.scripted;
    seen.check_unless_interrupted(Rule::Connections, holds, || {
        let connection = kept.unwrap_or(ConnectionId::MAIN);
        format!("whoever was to dispose {connection} ended without")
    });
}

fn phases(seen: &mut Seen<'_>, session: SessionId, phases: &Dial, began: Micros) {
    let Dial { resolve, connect, tls, greeting, sign_in } = *phases;
    let ends = began + [resolve, connect, tls, greeting, sign_in].into_iter().flatten().sum::<Micros>();
    let at = seen.at;
    seen.check(Rule::Dials, ends <= at, || format!("{session} was opened at {at}, its phases end at {ends}"));
}

/// The sessions that an operation asked for, and when it had each at the latest, if its times tell. A naive one asks a second
/// time, when it has selected: what passes between its leases nobody measures.
fn asked(operation: &Operation) -> impl Iterator<Item = (SessionId, Option<Micros>)> {
    let leased = operation.issued_at_us + operation.wait_us + operation.dial_us + GRAIN;
    let selected = selected(operation);
    let last = operation.session.map(|session| {
        let once = selected.is_none_or(|first| first.session == session && operation.local_port.is_some());
        (session, once.then_some(leased))
    });
    selected.map(|first| (first.session, Some(leased))).into_iter().chain(last)
}
