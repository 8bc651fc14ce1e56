//! Secrets never leave: a password and a token that nothing else looks like are given in every way there is, to servers
//! that repeat what they hear, and then looked for in all that came out.

mod echo;
mod encrypted;
mod flight;
mod forms;
mod refused;
mod sources;
mod types;
mod watched;
pub mod words;
