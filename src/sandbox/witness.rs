//! What the server itself saw, as plain data.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::listening::Protocol;
use super::lock;
use super::tls::handshake_failure;

/// One connection, from accept to close.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// Counts accepted connections, from 1.
    pub number: u64,
    /// What was spoken.
    pub protocol: Protocol,
    /// Whether TLS was: from the first byte, or from STARTTLS or STLS on.
    pub tls: bool,
    /// The client's port: with the server's address it names the TCP connection.
    pub peer_port: u16,
    /// The account, once signed in.
    pub user: Option<String>,
    /// What the client calls itself: the fields of its last `ID` command; in SMTP the name of its last EHLO or HELO,
    /// under `ehlo`.
    pub label: Vec<(String, Option<String>)>,
    /// When the connection was accepted.
    pub accepted: Instant,
    /// When and why it ended; `None` while it is open.
    pub closed: Option<(Instant, CloseCause)>,
    /// Every command that has its reply, in the order they were carried out.
    pub commands: Vec<CommandRecord>,
    /// The Message-ID of each message that was taken by SMTP, as its header has it, in the order they were taken.
    /// A message for several users is one.
    pub delivered: Vec<String>,
}

/// One command. It is on record before its reply is written (in IMAP the tagged one), so a client that has the reply
/// can rely on finding it here. DATA is on record before the message is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandRecord {
    /// In IMAP the client's tag; empty where a line had none, or might have been a stray half of a password. In SMTP and
    /// POP3 the command's number on its connection, in decimal, from 1: every command line counts, on both sides of a
    /// handshake, but not the lines of a SASL exchange or of a message.
    pub tag: Box<str>,
    /// The command's name in capitals, `UID FETCH` style; `UNKNOWN` if the server knows no such command.
    pub verb: &'static str,
    /// The mailbox selected when the command ran; for SELECT and EXAMINE the one they selected. None but in IMAP.
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
    /// The client said LOGOUT, or QUIT.
    Logout,
    /// The client closed its side without a word.
    EndOfStream,
    /// The connection broke, or the TLS handshake did.
    Reset,
    /// Too many connections of this user, or from this address.
    Refused,
    /// The server ended it: it is stopping, or the client was silent, flooding or babbling.
    Server,
    /// It was ended on purpose, through [`Faults`](super::Faults): the client may have done nothing wrong.
    Fault,
}

/// Something that happened to a session, for those who watch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEvent {
    /// The session's number: [`SessionRecord::number`].
    pub session: u64,
    /// What it speaks.
    pub protocol: Protocol,
    /// The client's address.
    pub peer: SocketAddr,
    /// What happened.
    pub kind: SessionEventKind,
}

/// What can happen to a session.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEventKind {
    /// It was accepted.
    Opened,
    /// The TLS handshake succeeded.
    Encrypted,
    /// It failed.
    NotEncrypted {
        /// Why, in a sentence.
        reason: String,
    },
    /// Its user signed in.
    SignedIn {
        /// Who.
        user: String,
    },
    /// It was not let in: a wrong password, a limit, a maildrop in use.
    Refused {
        /// The server's words.
        words: String,
    },
    /// It handed over a message, which now is in the mailboxes.
    Delivered {
        /// As the message's header has it.
        message_id: String,
        /// In how many mailboxes.
        recipients: usize,
    },
    /// It is over.
    Closed {
        /// Why.
        cause: CloseCause,
        /// How many commands it had.
        commands: usize,
    },
}

/// Is told of every event as it happens, by the thread it happens to: it must not block.
pub type Watch = Arc<dyn Fn(&SessionEvent) + Send + Sync>;

/// What all sessions came to, by protocol. It does not grow with them.
pub type Totals = BTreeMap<Protocol, TotalsOf>;

/// What the sessions of one protocol came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TotalsOf {
    /// Connections accepted.
    pub connections: u64,
    /// Most of them open at once.
    pub peak: u64,
    /// Open now; once the server was told to stop, those that were open then.
    pub open: u64,
    /// TLS handshakes that failed.
    pub handshakes_failed: u64,
    /// Sign-ins that were let in.
    pub signed_in: u64,
    /// Sessions that are signed in now.
    pub signed_in_now: u64,
    /// Most of them signed in at once.
    pub signed_in_peak: u64,
    /// Sign-ins and connections that were refused: a wrong password, a limit, a maildrop in use.
    pub refused: u64,
    /// Sessions that ended with LOGOUT or QUIT.
    pub signed_out: u64,
    /// Sessions that the client ended without it, signed in or by SMTP: it hung up, or the connection broke.
    pub without_goodbye: u64,
    /// Sessions of IMAP and POP3 that the client ended without it before anyone had signed in.
    pub left_before_sign_in: u64,
    /// Sessions that the server ended: over a limit, after a client's silence, or as it stopped.
    pub ended_by_server: u64,
    /// Messages taken by SMTP.
    pub delivered: u64,
    /// Commands by name, of sessions that have ended; counted where no record of them is kept. `UNKNOWN` are those that the
    /// server does not know.
    pub commands: BTreeMap<&'static str, u64>,
}

/// The record of all sessions.
///
/// It grows for as long as the server runs: it is the evidence, and evidence is not dropped. Whoever wants none has none
/// kept.
#[derive(Default)]
pub(super) struct Witness {
    /// Written by the accepting threads, read by whoever asks for a snapshot.
    sessions: Mutex<Vec<Arc<Entry>>>,
    /// Whether sessions are put there.
    keeps: bool,
    /// How many there were.
    accepted: AtomicU64,
    /// Sessions accepted and not closed, so that asking for their number costs no lock.
    open: Arc<AtomicUsize>,
    /// Written as sessions begin and end, and when a sign-in is answered; not for each command.
    totals: Arc<Mutex<Totals>>,
    watch: Option<Watch>,
}

struct Entry {
    /// Written by its session's thread alone; contended only by a snapshot.
    record: Mutex<SessionRecord>,
    open: Arc<AtomicUsize>,
    /// Whether commands and messages are put on record.
    keeps: bool,
    /// How many commands there were.
    commands: AtomicUsize,
    /// By name, where they are not put on record. Its session's thread alone uses it.
    verbs: Mutex<BTreeMap<&'static str, u64>>,
}

/// A session's pen. Dropping it without [`SessionWitness::closed`], as a panic does, still ends the session on record.
pub(super) struct SessionWitness {
    number: u64,
    protocol: Protocol,
    totals: Arc<Mutex<Totals>>,
    entry: Arc<Entry>,
    /// None if nobody watches: then no event is made.
    watched: Option<Watched>,
}

struct Watched {
    watch: Watch,
    protocol: Protocol,
    peer: SocketAddr,
}

impl Witness {
    pub fn new(watch: Option<Watch>, keeps: bool) -> Self {
        Self { watch, keeps, ..Self::default() }
    }

    pub fn accepted(&self, peer: SocketAddr, protocol: Protocol) -> SessionWitness {
        let number = self.accepted.fetch_add(1, Ordering::AcqRel) + 1;
        let entry = Arc::new(Entry {
            record: Mutex::new(SessionRecord {
                number,
                protocol,
                tls: false,
                peer_port: peer.port(),
                user: None,
                label: Vec::new(),
                accepted: Instant::now(),
                closed: None,
                commands: Vec::new(),
                delivered: Vec::new(),
            }),
            open: Arc::clone(&self.open),
            keeps: self.keeps,
            commands: AtomicUsize::new(0),
            verbs: Mutex::default(),
        });
        if self.keeps {
            lock(&self.sessions).push(Arc::clone(&entry));
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let watched = self.watch.clone().map(|watch| Watched { watch, protocol, peer });
        let witness = SessionWitness { number, protocol, totals: Arc::clone(&self.totals), entry, watched };
        witness.totals(|of| {
            of.connections += 1;
            of.open += 1;
            of.peak = of.peak.max(of.open);
        });
        witness.tell(|| SessionEventKind::Opened);
        witness
    }

    pub fn open(&self) -> usize {
        self.open.load(Ordering::Acquire)
    }

    pub fn totals(&self) -> Totals {
        lock(&self.totals).clone()
    }

    pub fn snapshot(&self) -> Vec<SessionRecord> {
        let sessions = lock(&self.sessions).clone();
        let mut records: Vec<_> = sessions.iter().map(|entry| lock(&entry.record).clone()).collect();
        records.sort_by_key(|record| record.number);
        records
    }

    /// The whole record, handed over and not copied where its session is over.
    pub fn take(&self) -> Vec<SessionRecord> {
        let sessions = std::mem::take(&mut *lock(&self.sessions));
        let owned = |entry: Arc<Entry>| match Arc::try_unwrap(entry) {
            Ok(entry) => entry.record.into_inner().unwrap_or_else(PoisonError::into_inner),
            Err(shared) => lock(&shared.record).clone(),
        };
        let mut records: Vec<_> = sessions.into_iter().map(owned).collect();
        records.sort_by_key(|record| record.number);
        records
    }
}

impl SessionWitness {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn encrypted(&self) {
        lock(&self.entry.record).tls = true;
        self.tell(|| SessionEventKind::Encrypted);
    }

    pub fn not_encrypted(&self, error: &io::Error) {
        self.totals(|of| of.handshakes_failed += 1);
        self.tell(|| SessionEventKind::NotEncrypted { reason: handshake_failure(error) });
    }

    pub fn signed_in(&self, user: &str) {
        let again = lock(&self.entry.record).user.replace(user.to_owned()).is_some();
        self.totals(|of| {
            of.signed_in += 1;
            of.signed_in_now += u64::from(!again);
            of.signed_in_peak = of.signed_in_peak.max(of.signed_in_now);
        });
        self.tell(|| SessionEventKind::SignedIn { user: user.to_owned() });
    }

    /// `words` are the server's own.
    pub fn refused(&self, words: &str) {
        self.totals(|of| of.refused += 1);
        self.tell(|| SessionEventKind::Refused { words: words.to_owned() });
    }

    pub fn labelled(&self, label: Vec<(String, Option<String>)>) {
        lock(&self.entry.record).label = label;
    }

    pub fn command(&self, command: CommandRecord) {
        self.entry.commands.fetch_add(1, Ordering::Relaxed);
        if self.entry.keeps {
            lock(&self.entry.record).commands.push(command);
        } else {
            *lock(&self.entry.verbs).entry(command.verb).or_default() += 1;
        }
    }

    pub fn delivered(&self, message_id: &str, recipients: usize) {
        if self.entry.keeps {
            lock(&self.entry.record).delivered.push(message_id.to_owned());
        }
        self.totals(|of| of.delivered += 1);
        self.tell(|| SessionEventKind::Delivered { message_id: message_id.to_owned(), recipients });
    }

    /// The first cause given is the one that counts.
    pub fn closed(&self, cause: CloseCause) {
        let mut record = lock(&self.entry.record);
        if record.closed.is_none() {
            record.closed = Some((Instant::now(), cause));
            self.entry.open.fetch_sub(1, Ordering::AcqRel);
            let verbs = std::mem::take(&mut *lock(&self.entry.verbs));
            let signed_in = record.user.is_some();
            let counts = signed_in || self.protocol == Protocol::Smtp;
            self.totals(|of| {
                of.open -= 1;
                of.signed_in_now -= u64::from(signed_in);
                match cause {
                    CloseCause::Logout => of.signed_out += 1,
                    CloseCause::EndOfStream | CloseCause::Reset if !counts => of.left_before_sign_in += 1,
                    CloseCause::EndOfStream | CloseCause::Reset => of.without_goodbye += 1,
                    CloseCause::Refused | CloseCause::Server | CloseCause::Fault => of.ended_by_server += 1,
                }
                verbs.into_iter().for_each(|(verb, count)| *of.commands.entry(verb).or_default() += count);
            });
            let commands = self.entry.commands.load(Ordering::Relaxed);
            drop(record);
            self.tell(|| SessionEventKind::Closed { cause, commands });
        }
    }

    fn totals(&self, change: impl FnOnce(&mut TotalsOf)) {
        change(lock(&self.totals).entry(self.protocol).or_default());
    }

    /// No lock is held: whoever watches may ask for the record.
    fn tell(&self, kind: impl FnOnce() -> SessionEventKind) {
        if let Some(Watched { watch, protocol, peer }) = &self.watched {
            watch(&SessionEvent { session: self.number, protocol: *protocol, peer: *peer, kind: kind() });
        }
    }
}

impl Drop for SessionWitness {
    fn drop(&mut self) {
        self.closed(CloseCause::Server);
    }
}
