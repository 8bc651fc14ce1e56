//! The command itself, as a person or a script runs it: arguments in, a report and an exit code out.

mod bytes;
mod check;
mod claims;
mod connections;
mod cures;
mod endings;
mod executors;
mod explain;
mod idle;
mod interrupts;
mod limits;
mod locks;
mod many;
mod names;
mod output;
mod patience;
pub mod process;
mod reach;
mod refusals;
pub mod secrets;
mod stalled;
mod switches;
mod tokens;
mod unasked;
mod usage;
mod verify;
mod written;
