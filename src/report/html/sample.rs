//! Samples that are in step with nothing.
//!
//! Threads take turns, and so do mailboxes and kinds of operations: every n-th operation may always be the same thread's. So what
//! is kept is chosen by a number that is drawn for it, the same in each reading of a file.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

/// What is drawn for the n-th: those with low ranks are kept.
pub(super) fn rank(number: u64) -> u64 {
    BuildHasherDefault::<DefaultHasher>::new().hash_one(number)
}

/// The highest rank that is kept. It only sinks: whoever is below it now always was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Highest(u64);

impl Default for Highest {
    fn default() -> Self {
        Self(u64::MAX)
    }
}

impl Highest {
    pub(super) const fn keeps(self, rank: u64) -> bool {
        rank <= self.0
    }

    /// Sinks until no more than `room` of these ranks are kept.
    pub(super) fn sink(&mut self, ranks: impl Iterator<Item = u64>, room: usize) {
        let mut ranks: Vec<u64> = ranks.collect();
        if ranks.len() > room {
            ranks.sort_unstable();
            self.0 = self.0.min(ranks[room].saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Highest, rank};

    #[test]
    fn a_sample_has_its_share_of_everything_that_takes_turns_and_of_every_stretch() {
        const ALL: u64 = 40_000;
        let mut highest = Highest::default();
        highest.sink((0..ALL).map(rank), 5_000);
        let kept: Vec<u64> = (0..ALL).filter(|number| highest.keeps(rank(*number))).collect();
        assert_eq!(kept.len(), 5_000);
        for turns in [2, 3, 4, 7, 8, 16, 32, 40] {
            for turn in 0..turns {
                let share =
                    kept.iter().filter(|number| *number % turns == turn).count() as f64 * turns as f64 / 5_000.0;
                assert!((0.75..1.25).contains(&share), "turn {turn} of {turns}: {share}");
            }
        }
        for stretch in 0..20 {
            let share = kept.iter().filter(|number| *number / (ALL / 20) == stretch).count();
            assert!((190..310).contains(&share), "stretch {stretch}: {share}");
        }
    }
}
