//! `mailconn limits`: how many connections a server gives.

mod judged;
mod known;
mod run;
mod sandbox;
mod told;
pub mod written;
