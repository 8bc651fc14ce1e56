//! Scenarios: what can be said in one, and what the shipped ones show.

mod grammar;
mod random;
mod selected;
pub mod shipped;
mod stream;
mod telling;
mod words;
