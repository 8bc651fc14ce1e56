//! Scenarios: what threads, tasks and the server do, one line after the other, and what should come of it.
//!
//! [`Script::parse`] reads one; [`perform`] runs it on real threads against a real connector. What happens is one stream of
//! events, judged as it goes by: the scenario's own, and those of each client.

mod client;
mod context;
mod error;
mod faults;
mod injected;
mod interpreter;
mod parse;
mod script;
mod stream;
mod thread;
mod thread_states;
mod threads;
mod told;
mod words;

pub use error::ScriptError;
pub use faults::{Faults, ServerFault, SessionFault};
pub use interpreter::{ClientSetup, Performed, Setup, perform};
pub use script::Script;
pub use stream::{Audience, Seen};

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
