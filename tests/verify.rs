//! The file of a run, doctored: what other events contradict is noticed.

mod causes;
mod hazards;
pub mod lies;
mod moved;
mod numbers;
mod scenarios;
mod stored;
pub mod traces;
mod versions;
mod written;
