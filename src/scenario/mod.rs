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

use crate::protocol::{OperationSpec, Protocol};

/// The grammar's lines are no longer.
const COLUMNS: usize = 80;

/// The grammar, for people: `mailconn scenario --help` prints it.
#[must_use]
pub fn grammar() -> String {
    let units: String = Protocol::ALL.into_iter().map(units).collect();
    include_str!("grammar.txt").replace("UNITS\n", &units)
}

/// The units of the protocol, in as few lines as they have room in.
fn units(protocol: Protocol) -> String {
    let mut lines = vec![format!("    {}:", protocol.name())];
    for spec in OperationSpec::steps(protocol) {
        let words = spec.args.iter().fold(spec.name.to_owned(), |words, arg| words + " " + arg.name());
        match lines.last_mut() {
            Some(line) if line.chars().count() + words.chars().count() + 2 <= COLUMNS => *line += &format!("  {words}"),
            _ => lines.push(format!("           {words}")),
        }
    }
    lines.iter().map(|line| format!("{line}\n")).collect()
}
