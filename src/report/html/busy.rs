//! How much of each stretch of time was used, by whom or by what: in the memory of the stretches, not of the uses.

use std::collections::BTreeMap;

use crate::event::Micros;

/// The stretches that a run is divided into.
pub(super) const STRETCHES: usize = 256;

#[derive(Debug)]
pub(super) struct Busy<K> {
    /// How long each stretch is.
    length: u64,
    used: BTreeMap<K, Box<[u64; STRETCHES]>>,
}

impl<K> Default for Busy<K> {
    fn default() -> Self {
        Self { length: 16, used: BTreeMap::new() }
    }
}

impl<K: Ord + Copy> Busy<K> {
    /// It was in use from then to then. No more than `most` are counted, the first ones.
    pub(super) fn add(&mut self, key: K, began: Micros, ended: Micros, most: usize) {
        if ended <= began || (self.used.len() >= most && !self.used.contains_key(&key)) {
            return;
        }
        while ended.0 / self.length >= STRETCHES as u64 {
            self.lengthen();
        }
        let used = self.used.entry(key).or_insert_with(|| Box::new([0; STRETCHES]));
        for stretch in began.0 / self.length..=ended.0 / self.length {
            let from = began.0.max(stretch * self.length);
            let to = ended.0.min((stretch + 1) * self.length);
            if let Some(used) = used.get_mut(stretch as usize) {
                *used += to.saturating_sub(from);
            }
        }
    }

    /// Whether so many are counted that others may not be.
    pub(super) fn is_full(&self, most: usize) -> bool {
        self.used.len() >= most
    }

    fn lengthen(&mut self) {
        self.length *= 2;
        for used in self.used.values_mut() {
            for at in 0..STRETCHES {
                used[at] = if at < STRETCHES / 2 { used[2 * at] + used[2 * at + 1] } else { 0 };
            }
        }
    }

    /// Each stretch that was used: its beginning, its end, and how many used it on average.
    pub(super) fn of(&self, key: K) -> impl Iterator<Item = (Micros, Micros, f64)> {
        let length = self.length;
        let used = self.used.get(&key).into_iter().flat_map(|used| used.iter().enumerate());
        used.filter(|(_, used)| **used > 0).map(move |(at, used)| {
            let began = at as u64 * length;
            (Micros(began), Micros(began + length), *used as f64 / length as f64)
        })
    }
}
