//! Gates: figures that fail a run, from the flag to the exit code.

mod baseline;
mod exits;
mod grammar;
mod metrics;
mod rows;
