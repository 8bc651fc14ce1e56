//! Plays a scenario: each thread of it is one of the system's, and does its steps when told.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use mailconn::allocator::{Client, Connection, Connector, DefaultConnection, Error, Mode, Refusal};

use super::scenario::{After, CLIENTS, Line, Outcome, Scenario, Session, Step, letter};

/// Nothing here waits for anything; what does nevertheless is wrong.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// What is behind the clients.
pub trait World: Clone + Send + Sync + 'static {
    type Connector: Connector;

    fn client(&self, client: usize, mode: Mode) -> Client<Self::Connector>;

    /// One operation, or the word for its failure.
    fn operate(
        &self,
        client: usize,
        connection: &mut <Self::Connector as Connector>::Connection,
    ) -> Result<(), &'static str>;

    fn cut(&self, client: usize, session: Session, how: mailconn::sandbox::Cut);

    fn refuse_connections(&self, refuse: bool);

    /// What the server has open for that client, once it is this or patience is at an end.
    fn open(&self, client: usize, expected: &[Session]) -> Vec<Session>;

    /// Sessions that ended, but neither in good order nor because they were cut.
    fn lost(&self) -> Vec<String>;
}

type Job<C> = Box<dyn FnOnce(&mut Handles<C>) -> Outcome + Send>;
/// A thread's own: they stay on it.
type Handles<C> = BTreeMap<usize, DefaultConnection<C>>;

struct Lane<C: Connector> {
    orders: SyncSender<Job<C>>,
    reports: Receiver<Outcome>,
    thread: JoinHandle<()>,
}

struct Player<'a, W: World> {
    world: &'a W,
    clients: [Client<W::Connector>; CLIENTS],
    named: BTreeMap<usize, Arc<Connection<W::Connector>>>,
    lanes: BTreeMap<usize, Lane<W::Connector>>,
}

/// Plays it; an error says in which line what happened instead.
pub fn play<W: World>(world: &W, scenario: &Scenario) -> Result<(), String> {
    let clients = std::array::from_fn(|client| world.client(client, scenario.modes[client]));
    let mut player = Player { world, clients, named: BTreeMap::new(), lanes: BTreeMap::new() };
    for (number, line) in scenario.lines.iter().enumerate() {
        player.line(line).map_err(|wrong| format!("{}{wrong}", scenario.text(number + 1)))?;
    }
    let Player { clients, named, lanes, .. } = player;
    for lane in lanes.into_values() {
        lane.end()?;
    }
    drop(clients);
    drop(named);
    for client in 0..CLIENTS {
        let open = world.open(client, &[]);
        if !open.is_empty() {
            return Err(format!("{}all is over, and these are open: {open:?}", scenario.text(scenario.lines.len())));
        }
    }
    let lost = world.lost();
    if !lost.is_empty() {
        return Err(format!("{}these were not signed out: {lost:?}", scenario.text(scenario.lines.len())));
    }
    Ok(())
}

impl<W: World> Player<'_, W> {
    fn line(&mut self, line: &Line) -> Result<(), String> {
        let outcome = self.step(&line.step)?;
        let as_expected = match (&outcome, &line.outcome) {
            (Outcome::Refused([rule], about), Outcome::Refused(rules, expected)) => {
                rules.contains(rule) && (rules.len() > 1 || about == expected)
            }
            (outcome, expected) => outcome == expected,
        };
        if !as_expected {
            return Err(format!("expected {:?}, happened {outcome:?}", line.outcome));
        }
        for (client, expected) in line.after.iter().enumerate() {
            let its = &self.clients[client];
            let open = self.world.open(client, &expected.open);
            let after = After { open, held: its.open_connections(), mode: its.mode() };
            if after != *expected {
                return Err(format!("of {} expected {expected:?}, there is {after:?}", letter(client)));
            }
        }
        Ok(())
    }

    fn step(&mut self, step: &Step) -> Result<Outcome, String> {
        match *step {
            Step::Create { thread, client, name } => {
                let (there, slot) = (self.clients[client].clone(), Arc::new(std::sync::OnceLock::new()));
                let made = Arc::clone(&slot);
                let outcome = self.on(thread, move |_| match there.create_connection() {
                    Ok(connection) => {
                        let id = connection.id().0;
                        let _ = made.set(connection);
                        Outcome::Opened(Session { connection: id, number: 1 })
                    }
                    Err(error) => refused(&error),
                })?;
                if let Some(connection) = Arc::into_inner(slot).and_then(std::sync::OnceLock::into_inner) {
                    self.named.insert(name, Arc::new(connection));
                }
                Ok(outcome)
            }
            Step::CreateDefault { thread, client, handle } => {
                let client = self.clients[client].clone();
                self.on(thread, move |handles| match client.create_default_connection() {
                    Ok(default) => {
                        let id = default.id().0;
                        handles.insert(handle, default);
                        Outcome::Opened(Session { connection: id, number: 1 })
                    }
                    Err(error) => refused(&error),
                })
            }
            Step::Leave { thread, handle, .. } => self.on(thread, move |handles| {
                handles.remove(&handle).unwrap().leave();
                Outcome::Done
            }),
            Step::DisposeHandle { thread, handle, .. } => self.on(thread, move |handles| {
                handles.remove(&handle).unwrap().dispose();
                Outcome::Done
            }),
            Step::DisposeDefault { thread, client } => {
                let client = self.clients[client].clone();
                self.on(thread, move |_| Outcome::Disposed(client.dispose_default_connection().map(|id| id.0)))
            }
            Step::Dispose { thread, connection } => {
                let connection = Arc::clone(&self.named[&connection]);
                self.on(thread, move |_| {
                    connection.dispose();
                    Outcome::Done
                })
            }
            Step::Operate { thread, client, via } => {
                let (world, there) = (self.world.clone(), self.clients[client].clone());
                let via = via.map(|name| Arc::clone(&self.named[&name]));
                self.on(thread, move |_| operate(&world, client, &there, via.as_deref()))
            }
            Step::SetMode { thread, client, mode } => {
                let client = self.clients[client].clone();
                self.on(thread, move |_| {
                    client.set_mode(mode);
                    Outcome::Done
                })
            }
            Step::Exit { thread } => {
                if let Some(lane) = self.lanes.remove(&thread) {
                    lane.end()?;
                }
                Ok(Outcome::Done)
            }
            Step::Cut { client, session, how, .. } => {
                self.world.cut(client, session, how);
                Ok(Outcome::Done)
            }
            Step::Refuse(refuse) => {
                self.world.refuse_connections(refuse);
                Ok(Outcome::Done)
            }
            Step::Close { client } => match self.clients[client].clone().close(Instant::now() + PATIENCE) {
                0 => Ok(Outcome::Done),
                left => Err(format!("{left} connection(s) were not closed")),
            },
        }
    }

    fn on(
        &mut self,
        thread: usize,
        job: impl FnOnce(&mut Handles<W::Connector>) -> Outcome + Send + 'static,
    ) -> Result<Outcome, String> {
        let lane = self.lanes.entry(thread).or_insert_with(Lane::begin);
        // A thread that panicked takes no order, and gives no report.
        let _ = lane.orders.send(Box::new(job));
        lane.reports.recv_timeout(4 * PATIENCE).map_err(|error| format!("T{thread} does not come back: {error}"))
    }
}

impl<C: Connector> Lane<C> {
    fn begin() -> Self {
        let (orders, to_do) = sync_channel::<Job<C>>(1);
        let (done, reports) = sync_channel(1);
        let thread = thread::spawn(move || {
            let mut handles = Handles::new();
            for job in to_do {
                let _ = done.send(job(&mut handles));
            }
        });
        Self { orders, reports, thread }
    }

    /// The thread ends, and with it what belongs to it.
    fn end(self) -> Result<(), String> {
        drop(self.orders);
        self.thread.join().map_err(|_| "a thread panicked".to_owned())
    }
}

fn operate<W: World>(
    world: &W,
    client: usize,
    there: &Client<W::Connector>,
    via: Option<&Connection<W::Connector>>,
) -> Outcome {
    let lease = match via {
        Some(connection) => there.lease_on(connection),
        None => there.lease(),
    };
    match lease {
        Ok(mut lease) => {
            let its = *lease.assignment();
            let session = Session { connection: its.session.connection.0, number: its.session.number };
            let reason = its.reason.name();
            match world.operate(client, &mut lease) {
                Ok(()) => Outcome::Used { session, reason, opened: its.opened },
                Err(word) => Outcome::Broke { session, reason, word },
            }
        }
        Err(error) => refused(&error),
    }
}

fn refused<E>(error: &Error<E>) -> Outcome {
    match error {
        Error::Refused(refusal) => {
            let about = match refusal {
                Refusal::DefaultExists { existing } => Some(existing.0),
                Refusal::Disposed { connection } | Refusal::ForeignConnection { connection } => Some(connection.0),
                _ => None,
            };
            let rules: &'static [&'static str] = match refusal.rule() {
                "C2" => &["C2"],
                "C3" => &["C3"],
                "D2" => &["D2"],
                "D4" => &["D4"],
                "D6" => &["D6"],
                // No scenario here can have it.
                _ => &["another rule"],
            };
            Outcome::Refused(rules, about)
        }
        Error::Connect { session, .. } => {
            Outcome::NotOpened(Session { connection: session.connection.0, number: session.number })
        }
        _ => Outcome::Refused(&["a wait"], None),
    }
}
