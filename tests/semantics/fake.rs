//! A server that exists only in memory: it writes down what is done to its connections, and fails, stalls or panics
//! where a test says so.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle, ThreadId};
use std::time::{Duration, Instant};

use mailconn::allocator::{Builder, Connection, Connector, Error, Event, Mode, Refusal, SessionId};

pub type Client = mailconn::allocator::Client<Fake>;

/// Longer than anything here takes on a busy machine; a test that waits so long has failed.
pub const LONG: Duration = Duration::from_secs(20);

/// What was done to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    Connected,
    Closed,
    Discarded,
    /// Dropped by someone who told the connector nothing.
    Lost,
}

#[derive(Clone, Copy, Debug)]
pub struct Act {
    pub deed: Deed,
    pub session: SessionId,
    pub thread: ThreadId,
    pub at: Instant,
    /// What a close was allowed.
    pub deadline: Option<Instant>,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Trouble(pub &'static str);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Trouble {}

type OnConnect = dyn Fn(SessionId) -> Result<(), Trouble> + Send + Sync;
type OnGone = dyn Fn(SessionId, Instant) + Send + Sync;

/// The test's view of the server; the client gets a [`Fake`].
#[derive(Clone)]
pub struct Server(Arc<World>);

struct World {
    acts: Mutex<Vec<Act>>,
    acted: Condvar,
    on_connect: Mutex<Arc<OnConnect>>,
    on_close: Mutex<Arc<OnGone>>,
    on_discard: Mutex<Arc<OnGone>>,
}

/// The connector; when it is dropped, its client is gone for good.
pub struct Fake(Arc<World>);

/// A connection. What it has selected is what the last user selected, as in IMAP.
pub struct Wire {
    pub session: SessionId,
    pub selected: u64,
    pub broken: bool,
    pub panics_when_judged: bool,
    told: bool,
    world: Arc<World>,
}

pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub fn new() -> Self {
        Self(Arc::new(World {
            acts: Mutex::new(Vec::new()),
            acted: Condvar::new(),
            on_connect: Mutex::new(Arc::new(|_| Ok(()))),
            on_close: Mutex::new(Arc::new(|_, _| ())),
            on_discard: Mutex::new(Arc::new(|_, _| ())),
        }))
    }

    pub fn builder(&self) -> Builder<Fake> {
        Client::builder(Fake(Arc::clone(&self.0))).lease_timeout(LONG).close_timeout(LONG)
    }

    pub fn client(&self, mode: Mode) -> Client {
        self.builder().mode(mode).build()
    }

    /// From now on every dial does this first.
    pub fn on_connect(&self, script: impl Fn(SessionId) -> Result<(), Trouble> + Send + Sync + 'static) {
        *lock(&self.0.on_connect) = Arc::new(script);
    }

    pub fn on_close(&self, script: impl Fn(SessionId, Instant) + Send + Sync + 'static) {
        *lock(&self.0.on_close) = Arc::new(script);
    }

    pub fn on_discard(&self, script: impl Fn(SessionId) + Send + Sync + 'static) {
        *lock(&self.0.on_discard) = Arc::new(move |session, _| script(session));
    }

    /// Every session to which this was done, in order.
    pub fn all(&self, deed: Deed) -> Vec<String> {
        self.acts().iter().filter(|act| act.deed == deed).map(|act| act.session.to_string()).collect()
    }

    pub fn acts(&self) -> Vec<Act> {
        lock(&self.0.acts).clone()
    }

    /// The first time that this was done to that session.
    pub fn act(&self, deed: Deed, session: &str) -> Act {
        let acts = self.acts();
        let found = acts.iter().find(|act| act.deed == deed && act.session.to_string() == session);
        *found.unwrap_or_else(|| panic!("{session} was not {deed:?}: {acts:#?}"))
    }

    /// The sessions that are open now.
    pub fn open(&self) -> Vec<String> {
        still_open(&lock(&self.0.acts))
    }

    /// Waits until exactly these sessions are open.
    pub fn wait_until_open(&self, sessions: &[&str]) {
        let acts = lock(&self.0.acts);
        let (acts, late) = self.0.acted.wait_timeout_while(acts, LONG, |acts| still_open(acts) != sessions).unwrap();
        assert!(!late.timed_out(), "open: {:?}, expected {sessions:?}", still_open(&acts));
    }

    /// Whether the connector was dropped, and with it the inside of its client. (The tests keep one reference.)
    pub fn connector_is_gone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }
}

fn still_open(acts: &[Act]) -> Vec<String> {
    let mut open = BTreeMap::new();
    for act in acts {
        match act.deed {
            Deed::Connected => assert!(open.insert(act.session, ()).is_none(), "{} was dialled twice", act.session),
            _ => assert!(open.remove(&act.session).is_some(), "{} went twice", act.session),
        }
    }
    open.keys().map(ToString::to_string).collect()
}

impl World {
    fn note(&self, deed: Deed, session: SessionId, deadline: Option<Instant>) {
        let thread = thread::current().id();
        lock(&self.acts).push(Act { deed, session, thread, at: Instant::now(), deadline });
        self.acted.notify_all();
    }
}

impl Connector for Fake {
    type Connection = Wire;
    type Error = Trouble;

    fn connect(&self, session: SessionId) -> Result<Wire, Trouble> {
        let script = Arc::clone(&lock(&self.0.on_connect));
        script(session)?;
        self.0.note(Deed::Connected, session, None);
        let world = Arc::clone(&self.0);
        Ok(Wire { session, selected: 0, broken: false, panics_when_judged: false, told: false, world })
    }

    fn has_broken(&self, wire: &mut Wire) -> bool {
        assert!(!wire.panics_when_judged, "scripted: {} cannot be judged", wire.session);
        wire.broken
    }

    fn close(&self, mut wire: Wire, deadline: Instant) {
        let script = Arc::clone(&lock(&self.0.on_close));
        script(wire.session, deadline);
        wire.told = true;
        self.0.note(Deed::Closed, wire.session, Some(deadline));
    }

    fn discard(&self, mut wire: Wire) {
        let script = Arc::clone(&lock(&self.0.on_discard));
        script(wire.session, Instant::now());
        wire.told = true;
        self.0.note(Deed::Discarded, wire.session, None);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if !self.told {
            self.world.note(Deed::Lost, self.session, None);
        }
    }
}

/// Where a script stops a thread until the test lets it go on.
#[derive(Clone)]
pub struct Gate(Arc<(Mutex<(usize, bool)>, Condvar)>);

impl Gate {
    pub fn new() -> Self {
        Self(Arc::new((Mutex::new((0, false)), Condvar::new())))
    }

    /// Stops until the gate is open.
    pub fn pass(&self) {
        let (state, changed) = &*self.0;
        let mut state = lock(state);
        state.0 += 1;
        changed.notify_all();
        let (_open, late) = changed.wait_timeout_while(state, LONG, |(_, open)| !*open).unwrap();
        assert!(!late.timed_out(), "nobody opened the gate");
    }

    /// Waits until so many have come to the gate.
    pub fn reached_by(&self, count: usize) {
        let (state, changed) = &*self.0;
        let (_state, late) = changed.wait_timeout_while(lock(state), LONG, |(came, _)| *came < count).unwrap();
        assert!(!late.timed_out(), "nobody came to the gate");
    }

    pub fn open(&self) {
        lock(&self.0.0).1 = true;
        self.0.1.notify_all();
    }
}

/// The events of a client, as text, in the order they were told.
#[derive(Clone, Default)]
pub struct Events(Arc<Mutex<Vec<String>>>);

impl Events {
    pub fn observer(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let events = Arc::clone(&self.0);
        move |event| lock(&events).push(text(event))
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

fn text(event: &Event) -> String {
    match event {
        Event::Created { connection, kind, by_hand, .. } => {
            format!("created {connection} {kind}{}", if *by_hand { " by hand" } else { "" })
        }
        Event::Opening { session, .. } => format!("opening {session}"),
        Event::Opened { session } => format!("opened {session}"),
        Event::OpenFailed { session } => format!("failed {session}"),
        Event::Discarded { session } => format!("discarded {session}"),
        Event::Closed { session } => format!("closed {session}"),
        Event::Disposed { connection, cause } => format!("disposed {connection} {}", cause.name()),
        Event::ModeChanged { from, to } => format!("mode {from} -> {to}"),
        Event::Refused { refusal, .. } => format!("refused {}", refusal.rule()),
        other => format!("{other:?}"),
    }
}

/// Uses the connection that the mode assigns, and says which it was and why: `#0 main`.
pub fn served(client: &Client) -> String {
    text_of(client.lease().unwrap().assignment())
}

/// The same for the connection that is passed: `#3 explicit`.
pub fn served_on(client: &Client, on: &Connection<Fake>) -> String {
    text_of(client.lease_on(on).unwrap().assignment())
}

fn text_of(assignment: &mailconn::allocator::Assignment) -> String {
    format!("{} {}", assignment.session, assignment.reason)
}

#[track_caller]
pub fn refusal<T>(result: Result<T, Error<Trouble>>) -> Refusal {
    match result {
        Err(Error::Refused(refusal)) => refusal,
        Err(other) => panic!("failed otherwise: {other}"),
        Ok(_) => panic!("was not refused"),
    }
}

/// Runs `work` on a thread of its own, to the end of the thread.
pub fn on_a_thread<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> R {
    thread::spawn(work).join().unwrap()
}

/// Runs `ask` on a thread of its own, and returns when it stands in line, asleep.
pub fn in_line<R: Send + 'static>(ask: impl FnOnce() -> R + Send + 'static) -> JoinHandle<R> {
    let name = Arc::new(OnceLock::new());
    let thread = thread::spawn({
        let name = Arc::clone(&name);
        move || {
            // Nothing between this line and the wait sleeps.
            let _ = name.set(std::fs::read_link("/proc/thread-self").unwrap_or_default());
            ask()
        }
    });
    until(|| name.get().is_some());
    if cfg!(target_os = "linux") {
        let status = std::path::Path::new("/proc").join(name.get().expect("it has a name by now")).join("stat");
        until(|| {
            let status = std::fs::read_to_string(&status).unwrap_or_else(|_| ") gone".to_owned());
            let state = status.rsplit(") ").next().unwrap_or_default();
            assert!(!state.starts_with("gone"), "it did not have to wait");
            state.starts_with('S')
        });
    } else {
        thread::sleep(Duration::from_millis(100));
    }
    thread
}

/// Waits for something that no event tells.
#[track_caller]
pub fn until(condition: impl Fn() -> bool) {
    let late = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < late, "it never came true");
        thread::sleep(Duration::from_micros(200));
    }
}
