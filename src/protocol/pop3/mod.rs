//! POP3 (RFC 1939, 2449, 2595, 5034). No crate speaks it as it is needed here: with NOOP, STLS, a deadline for each unit,
//! and the server's own words.

mod connection;
mod connector;
mod opening;
mod reply;

pub use connection::Pop3Connection;
pub use connector::Pop3Connector;
