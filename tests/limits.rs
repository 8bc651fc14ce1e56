//! `mailconn limits`: how many connections a server gives.

mod conducted;
mod doctored;
mod judged;
mod known;
mod run;
mod sandbox;
mod told;
pub mod written;
