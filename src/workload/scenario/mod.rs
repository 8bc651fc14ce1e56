//! Scenarios: what threads, tasks and the server do, one line after the other, and what should come of it.
//!
//! [`Script::parse`] reads one; [`perform`] runs it on real threads against a real connector. What comes of it is a
//! [`Scenario`](crate::record::Scenario): each step beside what it did, and a run for each client.

mod asking;
mod conductor;
mod error;
mod lane;
mod parse;
mod script;
mod words;

pub use conductor::{Dialling, Provocateur, Stage, perform};
pub use error::ScriptError;
pub use script::{Cut, Script};

/// The grammar, for people: `mailconn scenario --help` prints it.
pub const GRAMMAR: &str = include_str!("grammar.txt");
