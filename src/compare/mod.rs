//! Several ways to run, in rounds: which run comes when, on which seed, and when it is enough.
//!
//! A round runs every variant once on the same work. What the rounds show is judged elsewhere.

mod budget;
mod conduct;
mod order;
mod stop;

pub use budget::Budget;
pub use conduct::{Halt, Rounds, Turn, conduct};
pub use order::{order, seed_of};
pub use stop::{TIME_IS_OVER, why_stop};
