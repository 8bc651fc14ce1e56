//! What the help and the complaints say of the operations: read off their table.

use mailconn::protocol::{Operation, Protocol};
use mailconn::workload::Mix;

/// What the command line's help says of --ops.
pub fn help() -> String {
    let mut text =
        "Operations and their weights, like noop=3,fetch; a bare name counts 1 [default: depends on the protocol]\n"
            .to_owned();
    let longest = Operation::ALL.iter().map(|operation| operation.name().len()).max().unwrap_or_default();
    for protocol in Protocol::ALL {
        text += &format!("\n{protocol}, by default {}:\n", Mix::usual(protocol));
        for operation in Operation::all(protocol) {
            text += &format!("  {operation:longest$}  {}\n", operation.spec().about);
        }
    }
    text + &format!("\n{} need --allow-writes.", in_words("and", Operation::writes))
}

/// What it says of --lock.
pub fn help_of_lock() -> String {
    format!(
        "For how long an operation has its connection to itself\n\n\
         command is the naive lock, and shows how it fails: between one operation's EXAMINE and its FETCH another operation may \
         select its own mailbox on the same connection, and the reply comes from there (MC020). It needs IMAP, and {}.",
        in_words("or", Operation::selects)
    )
}

/// Whether a scenario has it, and it writes.
pub fn are_writing_steps(operation: Operation) -> bool {
    operation.writes() && operation.spec().is_step()
}

/// The names of those operations, each once: `append and send`.
pub fn in_words(and: &str, are_meant: impl Fn(Operation) -> bool) -> String {
    let mut names: Vec<&str> = Vec::new();
    for operation in Operation::ALL.iter().filter(|operation| are_meant(**operation)) {
        if !names.contains(&operation.name()) {
            names.push(operation.name());
        }
    }
    match &*names {
        [first @ .., last] if !first.is_empty() => format!("{} {and} {last}", first.join(", ")),
        _ => names.concat(),
    }
}
