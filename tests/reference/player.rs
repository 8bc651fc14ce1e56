//! Plays a scenario: each thread of it is one of the system's, and does its steps when told.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mailconn::allocator::{Awaited, Client, Connection, Connector, DefaultConnection, Error, Lease, Refusal};

use super::scenario::{After, CLIENTS, Line, Outcome, Scenario, Session, Step, Terms, letter};
use crate::semantics::fake::lock;

/// How long the requests of a patient client stand in line at the most: longer than a scenario takes.
pub const STANDING: Duration = Duration::from_secs(60);

/// What is behind the clients.
pub trait World: Clone + Send + Sync + 'static {
    type Connector: Connector;

    /// Longer than anything takes that does not wait for another thread.
    const PATIENCE: Duration;
    /// How long a client that has something in use may take to sign out of all the rest.
    const CLOSING: Duration;

    fn client(&self, client: usize, terms: Terms) -> Client<Self::Connector>;

    /// One operation, or the word for its failure.
    fn operate(
        &self,
        client: usize,
        connection: &mut <Self::Connector as Connector>::Connection,
    ) -> Result<(), &'static str>;

    fn cut(&self, client: usize, session: Session, how: mailconn::sandbox::Cut);

    fn refuse_connections(&self, refuse: bool);

    /// Dials begin, and get no further.
    fn hang(&self, hang: bool);

    /// What the server has open for that client.
    fn open(&self, client: usize) -> Vec<Session>;

    /// Sessions that ended, but neither in good order nor because they were cut.
    fn lost(&self) -> Vec<String>;
}

type Job<C> = Box<dyn FnOnce(&mut Own<C>) -> Outcome + Send>;
type Named<C> = Arc<Mutex<BTreeMap<usize, Arc<Connection<C>>>>>;

/// What a thread keeps: it stays there.
struct Own<C: Connector> {
    leases: Vec<Lease<C>>,
    handles: BTreeMap<usize, DefaultConnection<C>>,
}

struct Lane<C: Connector> {
    orders: SyncSender<Job<C>>,
    thread: JoinHandle<()>,
}

struct Player<'a, W: World> {
    world: &'a W,
    clients: [Client<W::Connector>; CLIENTS],
    named: Named<W::Connector>,
    lanes: BTreeMap<usize, Lane<W::Connector>>,
    /// What came of a thread's step, at once or when its turn had come.
    reports: Receiver<(usize, Outcome)>,
    report: Sender<(usize, Outcome)>,
}

/// Plays it; an error says in which line what happened instead.
pub fn play<W: World>(world: &W, scenario: &Scenario) -> Result<(), String> {
    let clients = std::array::from_fn(|client| world.client(client, scenario.terms[client]));
    let (report, reports) = channel();
    let mut player = Player { world, clients, named: Named::default(), lanes: BTreeMap::new(), reports, report };
    for (number, line) in scenario.lines.iter().enumerate() {
        player.line(line).map_err(|wrong| format!("{}{wrong}", scenario.text(number + 1)))?;
    }
    let Player { clients, named, lanes, .. } = player;
    for lane in lanes.into_values() {
        lane.end()?;
    }
    drop(clients);
    drop(named);
    let late = Instant::now() + W::PATIENCE;
    let open = || (0..CLIENTS).flat_map(|client| world.open(client)).collect::<Vec<_>>();
    while !open().is_empty() && Instant::now() < late {
        thread::sleep(A_MOMENT);
    }
    let left = match (open(), world.lost()) {
        (open, lost) if open.is_empty() && lost.is_empty() => return Ok(()),
        (open, lost) => format!("all is over; still open: {open:?}, not signed out: {lost:?}"),
    };
    Err(format!("{}{left}", scenario.text(scenario.lines.len())))
}

const A_MOMENT: Duration = Duration::from_micros(50);

impl<W: World> Player<'_, W> {
    /// One step, until all has come of it that must, and nothing else.
    fn line(&mut self, line: &Line) -> Result<(), String> {
        let mut to_come: BTreeMap<usize, &Outcome> = line.finished.iter().map(|(thread, it)| (*thread, it)).collect();
        if let Some(thread) = self.step(line)?
            && line.outcome != Outcome::Waits
        {
            to_come.insert(thread, &line.outcome);
        }
        let late = Instant::now() + W::PATIENCE;
        loop {
            let rest = if to_come.is_empty() { A_MOMENT } else { late.saturating_duration_since(Instant::now()) };
            let still = if to_come.is_empty() { self.differs(line) } else { Some(format!("to come are: {to_come:?}")) };
            let Some(still) = still else { return Ok(()) };
            match self.reports.recv_timeout(rest) {
                Ok((thread, outcome)) => match to_come.remove(&thread) {
                    Some(expected) if is_as_expected(&outcome, expected) => {}
                    Some(expected) => return Err(format!("T{thread}: expected {expected:?}, happened {outcome:?}")),
                    None => return Err(format!("T{thread} should wait, but it has come to {outcome:?}")),
                },
                Err(RecvTimeoutError::Timeout) if Instant::now() < late => {}
                Err(error) => return Err(format!("{still} ({error})")),
            }
        }
    }

    /// What is not as it should be after that line, if anything is.
    fn differs(&self, line: &Line) -> Option<String> {
        let wrong = |(client, expected): (usize, &After)| {
            let its = &self.clients[client];
            let (open, held) = (self.world.open(client), its.open_connections());
            let there = After { open, held, waiting: its.waiting(), mode: its.mode() };
            (there != *expected).then(|| format!("of {} expected {expected:?}, there is {there:?}", letter(client)))
        };
        line.after.iter().enumerate().find_map(wrong)
    }

    /// Has it done, and says which thread will report.
    fn step(&mut self, line: &Line) -> Result<Option<usize>, String> {
        match line.step {
            Step::Create { thread, client, name } => {
                let (client, named) = (self.clients[client].clone(), Arc::clone(&self.named));
                self.on(thread, move |_| match client.create_connection() {
                    Ok(connection) => {
                        let id = connection.id().0;
                        lock(&named).insert(name, Arc::new(connection));
                        Outcome::Opened(Session { connection: id, number: 1 })
                    }
                    Err(error) => refused(&error),
                })
            }
            Step::CreateDefault { thread, client, handle } => {
                let client = self.clients[client].clone();
                self.on(thread, move |own| match client.create_default_connection() {
                    Ok(default) => {
                        let id = default.id().0;
                        own.handles.insert(handle, default);
                        Outcome::Opened(Session { connection: id, number: 1 })
                    }
                    Err(error) => refused(&error),
                })
            }
            Step::Leave { thread, handle, .. } => self.on(thread, move |own| {
                own.handles.remove(&handle).unwrap().leave();
                Outcome::Done
            }),
            Step::DisposeHandle { thread, handle, .. } => self.on(thread, move |own| {
                own.handles.remove(&handle).unwrap().dispose();
                Outcome::Done
            }),
            Step::DisposeDefault { thread, client } => {
                let client = self.clients[client].clone();
                self.on(thread, move |_| Outcome::Disposed(client.dispose_default_connection().map(|id| id.0)))
            }
            Step::Dispose { thread, connection } => {
                let connection = Arc::clone(&lock(&self.named)[&connection]);
                self.on(thread, move |_| {
                    connection.dispose();
                    Outcome::Done
                })
            }
            Step::Operate { thread, client, via } => self.operate(thread, client, via, false),
            Step::Hold { thread, client, via } => self.operate(thread, client, via, true),
            Step::Release { thread } => self.on(thread, |own| {
                own.leases.clear();
                Outcome::Done
            }),
            Step::SetMode { thread, client, mode } => {
                let client = self.clients[client].clone();
                self.on(thread, move |_| {
                    client.set_mode(mode);
                    Outcome::Done
                })
            }
            Step::Exit { thread } => self.lanes.remove(&thread).map_or(Ok(None), |lane| lane.end().map(|()| None)),
            Step::Cut { client, session, how, .. } => {
                self.world.cut(client, session, how);
                Ok(None)
            }
            Step::Refuse(refuse) => {
                self.world.refuse_connections(refuse);
                Ok(None)
            }
            Step::Hang(hang) => {
                self.world.hang(hang);
                Ok(None)
            }
            Step::Close { client } => {
                // What is in use is not waited for: its end is another step.
                let in_use = line.after[client].held;
                let patience = if in_use > 0 { W::CLOSING } else { W::PATIENCE };
                match self.clients[client].clone().close(Instant::now() + patience) {
                    left if left == in_use => Ok(None),
                    left => Err(format!("of {} {left} were not closed, {in_use} are in use", letter(client))),
                }
            }
        }
    }

    fn operate(
        &mut self,
        thread: usize,
        client: usize,
        via: Option<usize>,
        keep: bool,
    ) -> Result<Option<usize>, String> {
        let (world, there) = (self.world.clone(), self.clients[client].clone());
        let via = via.map(|name| Arc::clone(&lock(&self.named)[&name]));
        self.on(thread, move |own| {
            let lease = match &via {
                Some(connection) => there.lease_on(connection),
                None => there.lease(),
            };
            let mut lease = match lease {
                Ok(lease) => lease,
                Err(error) => return refused(&error),
            };
            let its = *lease.assignment();
            let session = Session { connection: its.session.connection.0, number: its.session.number };
            let reason = its.reason.name();
            match world.operate(client, &mut lease) {
                Ok(()) => {
                    own.leases.extend(keep.then_some(lease));
                    Outcome::Used { session, reason, opened: its.opened }
                }
                Err(word) => Outcome::Broke { session, reason, word },
            }
        })
    }

    fn on(
        &mut self,
        thread: usize,
        job: impl FnOnce(&mut Own<W::Connector>) -> Outcome + Send + 'static,
    ) -> Result<Option<usize>, String> {
        let lane = self.lanes.entry(thread).or_insert_with(|| Lane::begin(thread, self.report.clone()));
        let sent = lane.orders.try_send(Box::new(job));
        sent.map(|()| Some(thread)).map_err(|_| format!("T{thread} takes no more orders"))
    }
}

impl<C: Connector> Lane<C> {
    fn begin(number: usize, report: Sender<(usize, Outcome)>) -> Self {
        let (orders, to_do) = sync_channel::<Job<C>>(1);
        let thread = thread::spawn(move || {
            let mut own = Own { leases: Vec::new(), handles: BTreeMap::new() };
            for job in to_do {
                let _ = report.send((number, job(&mut own)));
            }
        });
        Self { orders, thread }
    }

    /// The thread ends, and with it what belongs to it.
    fn end(self) -> Result<(), String> {
        drop(self.orders);
        self.thread.join().map_err(|_| "a thread panicked".to_owned())
    }
}

fn is_as_expected(outcome: &Outcome, expected: &Outcome) -> bool {
    match (outcome, expected) {
        (Outcome::Refused([rule], about), Outcome::Refused(rules, expected)) => {
            rules.contains(rule) && (rules.len() > 1 || about == expected)
        }
        (outcome, expected) => outcome == expected,
    }
}

fn refused<E>(error: &Error<E>) -> Outcome {
    match error {
        Error::Refused(refusal) => {
            let about = match refusal {
                Refusal::DefaultExists { existing } => Some(existing.0),
                Refusal::Disposed { connection }
                | Refusal::ForeignConnection { connection }
                | Refusal::AlreadyLeased { connection } => Some(connection.0),
                _ => None,
            };
            let rules: &'static [&'static str] = match refusal.rule() {
                "C2" => &["C2"],
                "C3" => &["C3"],
                "D2" => &["D2"],
                "D4" => &["D4"],
                "D6" => &["D6"],
                "W3" => &["W3"],
                // No scenario here can have it.
                _ => &["another rule"],
            };
            Outcome::Refused(rules, about)
        }
        Error::Connect { session, .. } => {
            Outcome::NotOpened(Session { connection: session.connection.0, number: session.number })
        }
        Error::WaitTimeout { awaited, .. } => Outcome::TimedOut(match awaited {
            Awaited::Connection(connection) => Some(connection.0),
            Awaited::Capacity { .. } => None,
        }),
        _ => Outcome::Refused(&["another reason"], None),
    }
}
