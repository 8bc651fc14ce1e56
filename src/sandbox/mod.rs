//! The mail server in the box: real IMAP, SMTP and POP3 on listeners handed to it, in the clear or under TLS.
//!
//! It keeps its own record of every session and command, and that record is the point of it: what a
//! client says it did can be held against what a server saw. So this room knows nothing of the other
//! rooms of the crate, parses with another library than the client does, and shares no code with it.
//! A witness must not be a relative of the accused.
//!
//! ```
//! use std::{net::TcpListener, time::Duration};
//! use mailconn::sandbox::{Options, Sandbox};
//!
//! let server = Sandbox::start(TcpListener::bind("127.0.0.1:0")?, Options::default())?;
//! let client = std::net::TcpStream::connect(server.address())?;
//! drop(client);
//! let record = server.stop(Duration::from_secs(5));
//! assert!(record.len() <= 1);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! Any number of listeners share the accounts and the record:
//!
//! ```
//! use std::{net::TcpListener, time::Duration};
//! use mailconn::sandbox::{Listening, Options, Protocol, Sandbox, Security};
//!
//! let speaks = [(Protocol::Imap, Security::Tls), (Protocol::Smtp, Security::StartTls)];
//! let listening = speaks.map(|(protocol, security)| {
//!     Ok(Listening { listener: TcpListener::bind("127.0.0.1:0")?, protocol, security })
//! });
//! let listening = listening.into_iter().collect::<std::io::Result<Vec<_>>>()?;
//! let server = Sandbox::serve(listening, Options::default())?;
//! assert_eq!(server.addresses().len(), 2);
//! assert!(server.ca_pem().is_some_and(|pem| pem.starts_with("-----BEGIN CERTIFICATE-----")));
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! # Layout
//! - `server`: accepts, starts a thread per connection, stops and joins every one of them; `options`, `listening`: what
//!   it is asked to be.
//! - `session`: one connection's thread; `channel`, `wire`: its bytes, their deadlines, TLS; `tls`: the certificate.
//! - `link`: how long bytes are under way.
//! - `witness`: what the server itself saw; `record`: where that is kept until it is taken; `transcript`: what went over each session, in files.
//! - `limit`: how many connections there may be; `limits`: who is counted; `words`, `like`: what is said to those who
//!   are too many, and in whose words.
//! - `surroundings`: who is let in; `sasl`: how a password is sent.
//! - `faults`: the one place all replies pass on their way out, and what can be done there from outside.
//! - `inlet`: bytes in, whole commands out, nothing without a bound.
//! - `mailbox`, `message`, `seed`: accounts, their mailboxes, what is in them.
//! - `imap`, `smtp`, `pop3`: one session's conversation.
//!
//! # Invariants
//! - No lock is held while a byte is sent, awaited or delayed.
//! - A command is on record before its reply is written, and a session's end before its socket closes.
//! - Nothing that was taken from the record is kept.
//! - No password reaches the record.
//! - What was said in the clear before a handshake does not count after it.

mod channel;
mod faults;
mod imap;
mod inlet;
mod like;
mod limit;
mod limits;
mod link;
mod listening;
mod mailbox;
mod message;
mod options;
mod pop3;
mod record;
mod sasl;
mod seed;
mod server;
mod session;
mod smtp;
mod surroundings;
mod tls;
mod transcript;
mod wire;
mod witness;
mod words;

pub use faults::{Cut, Faults};
pub use like::{Like, UnknownLike};
pub use limit::{BadLimit, Excess, Limit, LimitStage, Scope};
pub use listening::{Listening, Protocol, Security};
pub use options::{Maildrops, Options, User};
pub use record::Record;
pub use server::{Sandbox, Starved};
pub use transcript::Transcripts;
pub use witness::{
    CloseCause, CommandRecord, CommandStatus, SessionEvent, SessionEventKind, SessionRecord, Totals, TotalsOf, Watch,
};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks even after a panic elsewhere: one broken session must not take the server with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
