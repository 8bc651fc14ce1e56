//! `mailconn limits`: how many connections a server gives.

mod judged;
mod run;
mod told;
mod written;
