//! The verdict on runs that were tampered with, on the way or afterwards: what must not go unseen is seen.

mod doctored;
mod examples;
mod findings;
mod mailboxes;
mod proxy;
pub mod real;
mod switches;
mod table;
mod tasks;
