//! SMTP (RFC 5321) as mail is submitted by it (RFC 6409), over our own socket layer.
//!
//! Addresses and the commands that hold them are the `lettre` crate's. Its transport is not used: that
//! pools connections by itself, hides their sockets, and waits 44 ms for each message (Nagle's algorithm with delayed
//! acknowledgements).

mod connection;
mod connector;
mod ehlo;
mod opening;
mod reply;

pub use connection::SmtpConnection;
pub use connector::SmtpConnector;
pub use ehlo::EhloName;
