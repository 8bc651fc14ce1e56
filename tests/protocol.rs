//! The mail protocols against servers that misbehave: each says what it says, byte by byte, in the test itself.

mod endpoints;
mod hostile;
mod refusals;
pub mod scripted;
mod sign_in;
mod sockets;
pub mod tls;
mod transcripts;
