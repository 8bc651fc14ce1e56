//! In which order the variants of a round run, and on which seed.

use crate::event::WARM_UP;

/// Neighbouring rounds get unrelated numbers.
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;
/// The seeds of runs are short, as are those that a run chooses itself: one is typed again to repeat it.
const SEEDS: u64 = 1_000_000;

/// The variants, by their numbers, in the order in which that round runs them. The warm-up runs them as they were named.
///
/// Rounds form blocks of as many as there are variants. In a block each variant has each place once: what a server does to
/// whoever comes first, it does to all alike. Within that, the seed decides.
#[must_use]
pub fn order(seed: u64, variants: usize, round: u32) -> Vec<usize> {
    let mut order: Vec<usize> = (0..variants).collect();
    let Some(place) = round.checked_sub(WARM_UP + 1).filter(|_| variants > 0) else { return order };
    let (block, place) = (place as usize / variants, place as usize % variants);
    let mut choose = fastrand::Rng::with_seed(seed ^ (block as u64 + 1).wrapping_mul(SPREAD));
    choose.shuffle(&mut order);
    let mut turns: Vec<usize> = (0..variants).collect();
    choose.shuffle(&mut turns);
    order.rotate_left(turns[place]);
    order
}

/// The seed of every run of that round.
#[must_use]
pub fn seed_of(seed: u64, round: u32) -> u64 {
    fastrand::Rng::with_seed(seed ^ u64::from(round).wrapping_mul(SPREAD).rotate_left(32)).u64(..SEEDS)
}
