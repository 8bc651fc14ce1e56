//! Which rows are worth a screen: the first ones show what is usual, the heaviest what is not.

use std::cmp::Reverse;

/// The rows to show, in their order: all of them if they are few, else half of `most` by their weight and half from the
/// start. One row more than `most` is shown too: the line that counts what is missing would take its place.
#[must_use]
pub fn worth_showing<W: Ord>(total: usize, most: Option<usize>, weight: impl Fn(usize) -> W) -> Vec<usize> {
    let Some(most) = most.filter(|most| total > most.saturating_add(1)) else { return (0..total).collect() };
    let mut shown = vec![false; total];
    let mut heaviest: Vec<usize> = (0..total).collect();
    heaviest.sort_by_cached_key(|&row| Reverse(weight(row)));
    for &row in heaviest.iter().take(most / 2) {
        shown[row] = true;
    }
    let mut left = most - most / 2;
    for row in &mut shown {
        if left > 0 && !*row {
            *row = true;
            left -= 1;
        }
    }
    (0..total).filter(|&row| shown[row]).collect()
}
