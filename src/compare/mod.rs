//! Several ways to run, in rounds: which run comes when, on which seed, and when it is enough.
//!
//! A round runs every variant once on the same work. What the rounds show is judged elsewhere.

mod budget;
mod conduct;
mod stop;

use std::ops::RangeInclusive;

use crate::figures::paired::{MOST_ROUNDS, fewest_rounds};

pub use budget::{Allowance, Budget, Needs};
pub use conduct::{Halt, Rounds, Turn, conduct};
pub use stop::{BUDGET_IS_SPENT, TIME_IS_OVER, why_stop};

/// How many rounds a comparison of that number of variants may have: fewer decide nothing, however the variants differ.
#[must_use]
pub fn rounds_of(variants: usize) -> RangeInclusive<u32> {
    fewest_rounds(u32::try_from(variants.saturating_sub(1)).unwrap_or(u32::MAX))..=MOST_ROUNDS
}
