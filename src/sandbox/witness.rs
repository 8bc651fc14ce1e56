//! What the server itself saw, as plain data.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use super::listening::Protocol;
use super::lock;
use super::record::{Record, Session};
use super::tls::handshake_failure;

/// One connection, from accept to close; or a part of it, where the record is taken part by part ([`Record::take`]).
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
    /// When and why it ended; `None` while it is open: of a part, that more parts follow.
    pub closed: Option<(Instant, CloseCause)>,
    /// Every command that has its reply, in the order they were carried out; in a part those since the part before.
    pub commands: Vec<CommandRecord>,
    /// The Message-ID of each message that was taken by SMTP, as its header has it, in the order they were taken.
    /// A message for several users is one. In a part those since the part before.
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
    /// A newer connection has taken its place: it was the oldest of too many.
    Supplanted,
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

/// What is known of all sessions: the record, where one is kept, and what can be counted without it.
pub(super) struct Witness {
    /// None if no record is kept.
    record: Option<Arc<Record>>,
    /// How many there were.
    accepted: AtomicU64,
    /// Sessions accepted and not closed, so that asking for their number costs no lock.
    open: Arc<AtomicUsize>,
    /// Written as sessions begin and end, and when a sign-in is answered; not for each command.
    totals: Arc<Mutex<Totals>>,
    watch: Option<Watch>,
}

/// A session's pen. Dropping it without [`SessionWitness::closed`], as a panic does, still ends the session on record.
pub(super) struct SessionWitness {
    number: u64,
    protocol: Protocol,
    open: Arc<AtomicUsize>,
    totals: Arc<Mutex<Totals>>,
    /// What is known of the session. Written by its thread alone; contended only by those who read the record.
    session: Session,
    /// The record that shares it. None if commands and messages are not put on record.
    record: Option<Arc<Record>>,
    /// How many commands there were.
    commands: AtomicUsize,
    /// By name, where they are not put on record. Its session's thread alone uses it.
    verbs: Mutex<BTreeMap<&'static str, u64>>,
    /// None if nobody watches: then no event is made.
    watched: Option<Watched>,
}

struct Watched {
    watch: Watch,
    protocol: Protocol,
    peer: SocketAddr,
}

impl Witness {
    pub fn new(watch: Option<Watch>, record: Option<Arc<Record>>) -> Self {
        Self { record, accepted: AtomicU64::new(0), open: Arc::default(), totals: Arc::default(), watch }
    }

    /// A client at `peer` was accepted at `listener`.
    pub fn accepted(&self, listener: SocketAddr, peer: SocketAddr, protocol: Protocol) -> SessionWitness {
        let number = self.accepted.fetch_add(1, Ordering::AcqRel) + 1;
        let session = Arc::new(Mutex::new(SessionRecord {
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
        }));
        if let Some(record) = &self.record {
            record.accepted((listener, peer), number, &session);
        }
        self.open.fetch_add(1, Ordering::AcqRel);
        let watched = self.watch.clone().map(|watch| Watched { watch, protocol, peer });
        let witness = SessionWitness {
            number,
            protocol,
            open: Arc::clone(&self.open),
            totals: Arc::clone(&self.totals),
            session,
            record: self.record.clone(),
            commands: AtomicUsize::new(0),
            verbs: Mutex::default(),
            watched,
        };
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

    pub fn record(&self) -> Option<&Arc<Record>> {
        self.record.as_ref()
    }
}

impl SessionWitness {
    pub fn number(&self) -> u64 {
        self.number
    }

    pub fn encrypted(&self) {
        lock(&self.session).tls = true;
        self.tell(|| SessionEventKind::Encrypted);
    }

    pub fn not_encrypted(&self, error: &io::Error) {
        self.totals(|of| of.handshakes_failed += 1);
        self.tell(|| SessionEventKind::NotEncrypted { reason: handshake_failure(error) });
    }

    pub fn signed_in(&self, user: &str) {
        let again = lock(&self.session).user.replace(user.to_owned()).is_some();
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
        lock(&self.session).label = label;
    }

    pub fn command(&self, command: CommandRecord) {
        self.commands.fetch_add(1, Ordering::Relaxed);
        match &self.record {
            Some(record) => record.command(&self.session, command),
            None => *lock(&self.verbs).entry(command.verb).or_default() += 1,
        }
    }

    pub fn delivered(&self, message_id: &str, recipients: usize) {
        if self.record.is_some() {
            lock(&self.session).delivered.push(message_id.to_owned());
        }
        self.totals(|of| of.delivered += 1);
        self.tell(|| SessionEventKind::Delivered { message_id: message_id.to_owned(), recipients });
    }

    /// The first cause given is the one that counts.
    pub fn closed(&self, cause: CloseCause) {
        let mut session = lock(&self.session);
        if session.closed.is_none() {
            let end = Some((Instant::now(), cause));
            match &self.record {
                Some(record) => record.add(&mut session, |session| session.closed = end),
                None => session.closed = end,
            }
            self.open.fetch_sub(1, Ordering::AcqRel);
            let verbs = std::mem::take(&mut *lock(&self.verbs));
            let signed_in = session.user.is_some();
            let counts = signed_in || self.protocol == Protocol::Smtp;
            self.totals(|of| {
                of.open -= 1;
                of.signed_in_now -= u64::from(signed_in);
                match cause {
                    CloseCause::Logout => of.signed_out += 1,
                    CloseCause::EndOfStream | CloseCause::Reset if !counts => of.left_before_sign_in += 1,
                    CloseCause::EndOfStream | CloseCause::Reset => of.without_goodbye += 1,
                    CloseCause::Refused | CloseCause::Supplanted | CloseCause::Server | CloseCause::Fault => {
                        of.ended_by_server += 1;
                    }
                }
                verbs.into_iter().for_each(|(verb, count)| *of.commands.entry(verb).or_default() += count);
            });
            let commands = self.commands.load(Ordering::Relaxed);
            drop(session);
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
