//! `mailconn compare`: several ways to run, in rounds.

mod order;
mod run;
mod usage;
