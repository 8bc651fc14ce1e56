//! `mailconn limits`: how many connections a server gives.

mod judged;
mod told;
mod written;
