//! Whether a variant's failed operations are its own doing: a server that fails now and then fails the fastest variant most
//! often, since that does the most.

use super::{Comparison, Tried};
use crate::event::WARM_UP;
use crate::figures::chance::at_least;

/// A variant of which a greater part of all operations fails does not work here, whatever the others do.
const WORKS: f64 = 0.01;

/// More failures than chance gives that rarely are no chance.
const RARE: f64 = 0.01;

impl Comparison {
    /// What was tried in its runs that speak for themselves: of a variant, or of all. The warm-up is none of them if there are
    /// rounds that count.
    #[must_use]
    pub fn tried(&self, variant: Option<usize>, rounds: &[u32]) -> Tried {
        let counts = |at: usize| {
            let run = &self.runs[at];
            variant.is_none_or(|it| it == run.variant)
                && (rounds.is_empty() || run.round != WARM_UP)
                && !run.was_interrupted
                && self.suffered(at).is_none()
        };
        let runs = (0..self.runs.len()).filter(|at| counts(*at));
        runs.map(|at| self.runs[at].tried).fold(Tried::default(), Tried::plus)
    }

    /// Whether the variant's failures may be chance: few of its operations failed, and no greater part than of the others'.
    #[must_use]
    pub fn fails_by_chance(&self, variant: usize, rounds: &[u32]) -> bool {
        is_chance(self.tried(Some(variant), rounds), self.tried(None, rounds))
    }
}

/// By what was tried of one, and of all with it.
fn is_chance(its: Tried, all: Tried) -> bool {
    let part = |of: u64, whole: u64| of as f64 / whole.max(1) as f64;
    part(its.failed, its.all) <= WORKS && at_least(its.failed, all.failed, part(its.all, all.all)) >= RARE
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where one fails as often as the other, it is the server; where one alone does, it is that one.
    #[test]
    fn failures_are_a_variants_own_if_they_are_many_or_more_than_those_of_others() {
        let tried = |(failed, all)| Tried { all, failed };
        for (its, others, chance) in [
            ((2, 82_000), (2, 81_000), true),
            ((9, 400_000), (1, 40_000), true),
            ((1, 40_000), (9, 400_000), true),
            ((6, 400_000), (0, 400_000), true),
            ((7, 400_000), (0, 400_000), false),
            ((3, 20_000), (1, 380_000), false),
            ((10, 1_000), (10, 1_000), true),
            ((11, 1_000), (11, 1_000), false),
            ((1, 48), (0, 48), false),
            ((0, 48), (7, 48), true),
            ((0, 0), (0, 0), true),
        ] {
            let its = tried(its);
            assert_eq!(is_chance(its, its.plus(tried(others))), chance, "{its:?} {others:?}");
        }
    }
}
