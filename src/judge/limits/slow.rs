//! When a dial is slow, by those before it.

use crate::event::Micros;

/// A dial is slow from so many times the median of those before it on, if it also took so much longer than that.
const SLOWER: u64 = 3;
const SLOWER_BY: Micros = Micros(1_000_000);
/// Fewer dials do not say what is usual.
const SAMPLES: usize = 3;

/// Whether a dial that took so long was slow, by what those before it took.
pub(super) fn is_slow(took: Micros, before: impl Iterator<Item = Micros>) -> bool {
    let mut before: Vec<Micros> = before.collect();
    before.sort_unstable();
    let usual = before.get(before.len() / 2).filter(|_| before.len() >= SAMPLES);
    usual.is_some_and(|usual| took.0 >= usual.0.saturating_mul(SLOWER) && took >= *usual + SLOWER_BY)
}
