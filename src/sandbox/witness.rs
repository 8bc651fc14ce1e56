//! What the server itself saw, as plain data.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::lock;

/// One connection, from accept to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Counts accepted connections, from 1.
    pub number: u64,
    /// The client's port: with the server's address it names the TCP connection.
    pub peer_port: u16,
    /// The account, once signed in.
    pub user: Option<String>,
    /// What the client sent with its last `ID` command.
    pub label: Vec<(String, Option<String>)>,
    /// When the connection was accepted.
    pub accepted: Instant,
    /// When and why it ended; `None` while it is open.
    pub closed: Option<(Instant, CloseCause)>,
    /// Every command that has its reply, in the order they were carried out.
    pub commands: Vec<CommandRecord>,
}

/// One command. It is on record before its tagged reply is written, so a client that has the reply
/// can rely on finding it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// The client's tag. Empty where a line had none, or might have been a stray half of a password.
    pub tag: Box<str>,
    /// The command's name in capitals, `UID FETCH` style; `UNKNOWN` if the server knows no such command.
    pub verb: &'static str,
    /// The mailbox selected when the command ran; for SELECT and EXAMINE the one they selected.
    pub selected: Option<Arc<str>>,
    /// When the command had arrived whole.
    pub at: Instant,
    /// How it was answered.
    pub status: CommandStatus,
}

/// The three ways to answer a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandStatus {
    /// Done.
    Ok,
    /// Understood and refused.
    No,
    /// Not understood, or not allowed now.
    Bad,
}

/// Why a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCause {
    /// The client said LOGOUT.
    Logout,
    /// The client closed its side without LOGOUT.
    EndOfStream,
    /// The connection broke.
    Reset,
    /// Too many connections of this user.
    Refused,
    /// The server ended it: it is stopping, or the client was silent, flooding or babbling.
    Server,
}

/// The record of all sessions.
///
/// It grows for as long as the server runs: it is the evidence, and evidence is not dropped.
#[derive(Default)]
pub(super) struct Witness {
    /// Written by the accepting thread, read by whoever asks for a snapshot.
    sessions: Mutex<Vec<Arc<Entry>>>,
    /// Sessions accepted and not closed, so that asking for their number costs no lock.
    open: Arc<AtomicUsize>,
}

struct Entry {
    /// Written by its session's thread alone; contended only by a snapshot.
    record: Mutex<SessionRecord>,
    open: Arc<AtomicUsize>,
}

/// A session's pen. Dropping it without [`SessionWitness::closed`], as a panic does, still ends the session on record.
pub(super) struct SessionWitness(Arc<Entry>);

impl Witness {
    pub fn accepted(&self, peer_port: u16) -> SessionWitness {
        let mut sessions = lock(&self.sessions);
        let entry = Arc::new(Entry {
            record: Mutex::new(SessionRecord {
                number: sessions.len() as u64 + 1,
                peer_port,
                user: None,
                label: Vec::new(),
                accepted: Instant::now(),
                closed: None,
                commands: Vec::new(),
            }),
            open: Arc::clone(&self.open),
        });
        sessions.push(Arc::clone(&entry));
        self.open.fetch_add(1, Ordering::AcqRel);
        SessionWitness(entry)
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub fn snapshot(&self) -> Vec<SessionRecord> {
        let sessions = lock(&self.sessions).clone();
        sessions.iter().map(|entry| lock(&entry.record).clone()).collect()
    }
}

impl SessionWitness {
    pub fn signed_in(&self, user: &str) {
        lock(&self.0.record).user = Some(user.to_owned());
    }

    pub fn labelled(&self, label: Vec<(String, Option<String>)>) {
        lock(&self.0.record).label = label;
    }

    pub fn command(&self, command: CommandRecord) {
        lock(&self.0.record).commands.push(command);
    }

    /// The first cause given is the one that counts.
    pub fn closed(&self, cause: CloseCause) {
        let mut record = lock(&self.0.record);
        if record.closed.is_none() {
            record.closed = Some((Instant::now(), cause));
            self.0.open.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Drop for SessionWitness {
    fn drop(&mut self) {
        self.closed(CloseCause::Server);
    }
}
