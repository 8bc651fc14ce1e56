//! The record of all sessions: it grows with every command until somebody takes it.
//!
//! Each session's thread writes to that session alone, and the reader visits one session after the other. So putting a
//! command on record costs one lock, which hardly anybody else wants, and wakes nobody.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::lock;
use super::witness::{CommandRecord, SessionRecord};

/// The longest that a command waits for the reader. A reader that is gone must not stop the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// The commands of an open session are counted by so many at a time, since all sessions share the counter.
const GRAIN: usize = 64;

/// A session that is over weighs as much as so many commands.
const SESSION: usize = 4;

/// What every session did, command by command, as far as nobody has taken it yet.
///
/// Nothing is dropped: it is evidence. Where it is taken now and then, by [`Record::take`], the server's memory does not
/// grow with what its clients say.
#[derive(Debug)]
pub struct Record {
    /// By connection, and on each in the order they were accepted: a session may end on record after its successor has
    /// begun. Accepting threads add to it, the reader removes the sessions that are over.
    sessions: Mutex<BTreeMap<(Connection, u64), Session>>,
    /// Past this many commands sessions wait; none if they never do.
    bound: Option<usize>,
    /// Commands on record, and what the sessions that are over weigh; of each open session fewer than [`GRAIN`] are not
    /// counted. Changed under the session's lock, read without.
    waiting: AtomicUsize,
    /// The server is stopping: nobody waits from now on. Changed under the lock of `room`.
    lifted: AtomicBool,
    /// For those who wait. Nothing else happens under it.
    room: Mutex<()>,
    taken: Condvar,
}

/// The listener's address and the client's.
type Connection = (SocketAddr, SocketAddr);

/// What is known of a session: its thread and the record share it.
pub(super) type Session = Arc<Mutex<SessionRecord>>;

impl Record {
    pub(super) fn new(bound: Option<usize>) -> Self {
        Self {
            sessions: Mutex::default(),
            bound,
            waiting: AtomicUsize::new(0),
            lifted: AtomicBool::new(false),
            room: Mutex::new(()),
            taken: Condvar::new(),
        }
    }

    /// Takes what has come on record since the last call: a part of each session that had a command, delivered a message
    /// or ended since, in the order of their numbers.
    ///
    /// The parts of a session, one after the other, are the session: each has the commands since the one before, and what
    /// else is known by now; the last one says how it ended. Where two sessions used one connection's addresses in turn,
    /// the last part of the former comes before the first part of the latter. Nothing that was taken is kept.
    ///
    /// This holds for one reader: where several take parts, nobody has a session whole.
    pub fn take(&self) -> Vec<SessionRecord> {
        let mut parts = Vec::new();
        let mut weight = 0;
        let mut goes_on = None;
        lock(&self.sessions).retain(|(connection, _), session| {
            if goes_on == Some(*connection) {
                return true;
            }
            let mut session = lock(session);
            let is_open = session.closed.is_none();
            weight += weigh(&session);
            if !is_open || !session.commands.is_empty() || !session.delivered.is_empty() {
                parts.push(part(&mut session));
            }
            if is_open {
                goes_on = Some(*connection);
            }
            is_open
        });
        self.waiting.fetch_sub(weight, Ordering::AcqRel);
        drop(lock(&self.room));
        self.taken.notify_all();
        parts.sort_by_key(|session| session.number);
        parts
    }

    /// How many commands and sessions are on record and not taken.
    pub fn waiting(&self) -> usize {
        let sessions = lock(&self.sessions);
        sessions.values().map(|session| lock(session)).map(|session| session.commands.len() + 1).sum()
    }

    pub(super) fn snapshot(&self) -> Vec<SessionRecord> {
        let sessions: Vec<_> = lock(&self.sessions).values().map(Arc::clone).collect();
        let mut records: Vec<_> = sessions.iter().map(|session| lock(session).clone()).collect();
        records.sort_by_key(|record| record.number);
        records
    }

    pub(super) fn accepted(&self, connection: Connection, number: u64, session: &Session) {
        self.wait_for_room();
        lock(&self.sessions).insert((connection, number), Arc::clone(session));
    }

    pub(super) fn command(&self, session: &Mutex<SessionRecord>, command: CommandRecord) {
        self.wait_for_room();
        self.add(&mut lock(session), |session| session.commands.push(command));
    }

    /// Adds to what is on record of the session.
    pub(super) fn add(&self, session: &mut SessionRecord, what: impl FnOnce(&mut SessionRecord)) {
        let before = weigh(session);
        what(session);
        let more = weigh(session) - before;
        if more > 0 {
            self.waiting.fetch_add(more, Ordering::AcqRel);
        }
    }

    /// Nobody waits from now on.
    pub(super) fn lift(&self) {
        let room = lock(&self.room);
        self.lifted.store(true, Ordering::Release);
        drop(room);
        self.taken.notify_all();
    }

    fn wait_for_room(&self) {
        if self.is_full() {
            let room = lock(&self.room);
            let waited = self.taken.wait_timeout_while(room, PATIENCE, |()| self.is_full());
            drop(waited.unwrap_or_else(PoisonError::into_inner));
        }
    }

    fn is_full(&self) -> bool {
        let over = |bound| self.waiting.load(Ordering::Acquire) >= bound;
        self.bound.is_some_and(over) && !self.lifted.load(Ordering::Acquire)
    }
}

/// What it counts for.
fn weigh(session: &SessionRecord) -> usize {
    let commands = session.commands.len();
    if session.closed.is_some() { commands + SESSION } else { commands / GRAIN * GRAIN }
}

/// What there is of the session, without its commands and messages from now on.
fn part(session: &mut SessionRecord) -> SessionRecord {
    let commands = std::mem::take(&mut session.commands);
    let delivered = std::mem::take(&mut session.delivered);
    SessionRecord { commands, delivered, ..session.clone() }
}
