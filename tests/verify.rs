//! The file of a run, doctored: no event can be taken out, put in, moved or changed without being noticed.

mod hazards;
mod lies;
mod moved;
pub mod scenarios;
mod traces;
mod written;
