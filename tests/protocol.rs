//! The mail protocols against servers that misbehave: each says what it says, byte by byte, in the test itself.

mod append;
mod endpoints;
mod garbled;
mod hostile;
mod letters;
mod literals;
mod naive;
mod pop3;
mod refusals;
mod sasl_sign_in;
pub mod scripted;
mod sign_in;
mod smtp;
mod sockets;
pub mod tls;
mod tokens;
mod transcripts;
mod unasked;
mod upgrade;
