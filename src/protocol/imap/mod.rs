//! IMAP (RFC 3501), through the `imap` crate, whose defects are fenced off where its bytes pass.
//!
//! The crate numbers the commands, writes them and matches the tagged replies. It never sees an untagged line: those
//! reach it only through parsers that panic on some (`INTERNALDATE NIL`, 8-bit METADATA), recurse without bound on
//! others (BODYSTRUCTURE), give up on many (ESEARCH, 8-bit text, a bare LF) and cost sixteen times a plain scan. They
//! are read in `reader.rs` instead, on their way from the socket, without being kept. What comes before the sign-in
//! (greeting, STARTTLS, CAPABILITY, a LOGOUT at the gate) is said without the crate, which can neither upgrade a
//! stream nor log out before it has logged in.

mod connection;
mod connector;
mod home;
mod opening;
mod reader;
mod reply;
mod scratch;
mod text;
mod wire;
mod written;

pub use connection::ImapConnection;
pub use connector::ImapConnector;
pub use reply::{Answer, Reply};
pub use scratch::Scratch;
pub(crate) use text::mailbox as mailbox_as_sent;
