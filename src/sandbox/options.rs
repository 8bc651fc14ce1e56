//! How a sandbox behaves, and who may sign in.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::like::Like;
use super::limit::Limit;
use super::transcript::Transcripts;
use super::witness::Watch;

/// How a sandbox behaves.
pub struct Options {
    /// Who may sign in. Each has INBOX, Archive and Sent, with messages that say where they are.
    pub users: Vec<User>,
    /// How many connections there may be; each of them holds.
    pub limits: Vec<Limit>,
    /// In whose words they refuse, as far as those are known. `None` for the sandbox's own, and for what is unknown: those of
    /// Dovecot, in SMTP of Postfix, for what these two count.
    pub like: Option<Like>,
    /// Whether a POP3 session has its maildrop to itself.
    pub maildrops: Maildrops,
    /// How late each reply is.
    pub latency: Duration,
    /// How far away the clients are, as a round trip: what either side says arrives half of it later, and a session begins one
    /// and a half after its client connects, as on a network. Zero for none: they are on this machine.
    pub rtt: Duration,
    /// How long a client may be silent before the server ends the session, if shorter than what the protocols ask of a
    /// server (IMAP 30 minutes, POP3 10, SMTP 5, and 3 before sign-in). `None` for just that.
    pub idle_limit: Option<Duration>,
    /// Whether the record is kept: what every session did, command by command, until it is taken
    /// ([`Record::take`](super::Record::take)) or the server is stopped. Without it there is no evidence, and the server's
    /// memory does not grow with what its clients say.
    pub keeps_record: bool,
    /// How many commands may be on record and not taken yet, for a record that is taken while the server runs. Past that
    /// clients wait for their replies until it is taken, 5 seconds each at most. `None` for any number.
    pub record_bound: Option<usize>,
    /// Is told of every session event as it happens, by the thread it happens to: it must not block. It may ask for the
    /// record.
    pub watch: Option<Watch>,
    /// Where what goes over each session is written, if anywhere.
    pub transcripts: Option<Arc<Transcripts>>,
}

impl Default for Options {
    /// One user, `user` with the password `secret`; no limit, maildrops are locked, no latency, no distance; the record is kept, without a
    /// bound; nobody watches.
    fn default() -> Self {
        Self {
            users: vec![User::new("user", "secret")],
            limits: Vec::new(),
            like: None,
            maildrops: Maildrops::Locked,
            latency: Duration::ZERO,
            rtt: Duration::ZERO,
            idle_limit: None,
            keeps_record: true,
            record_bound: None,
            watch: None,
            transcripts: None,
        }
    }
}

/// How many POP3 sessions may have the same maildrop open at a time. Servers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Maildrops {
    /// One (RFC 1939, 3): whoever comes second is refused, `-ERR [IN-USE]`.
    Locked,
    /// Any number, as Dovecot has it unless told otherwise (`pop3_lock_session=no`). Each sees what was there when it signed
    /// in, and what one deletes is gone for those who come later.
    Shared,
}

impl FromStr for Maildrops {
    type Err = &'static str;

    fn from_str(name: &str) -> Result<Self, &'static str> {
        match name {
            "locked" => Ok(Self::Locked),
            "shared" => Ok(Self::Shared),
            _ => Err("maildrops are locked or shared"),
        }
    }
}

/// Someone who may sign in. There is no way to get the password out again.
#[derive(Clone)]
pub struct User {
    pub(super) name: String,
    pub(super) password: String,
}

impl User {
    /// A user with this name and password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}
