//! How long things took: a distribution in the memory of its different lengths, not of their number or their range.
//!
//! Each worker, operation and connection has three of them. A histogram with a place for each length that could be takes
//! 30 KiB and more; most of these see a few hundred lengths.

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Latency, Micros};

/// Lengths are told apart to three significant digits: exactly below 2,048 µs, beyond to 1,024 steps for each doubling.
const STEPS: u32 = 10;

/// A distribution that grows as it is fed.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// The number of each step that has any, ascending, and how many it has.
    steps: Vec<(u32, u32)>,
    number: u64,
    max: Micros,
    total: Micros,
}

/// The outline of a distribution. A percentile of too few is null: p90 needs 10, p95 20, p99 100, p99.9 1000.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spread {
    /// How many there were.
    pub n: u64,
    /// Half were no longer.
    pub p50: Option<Micros>,
    /// 90 % were no longer.
    pub p90: Option<Micros>,
    /// 95 % were no longer.
    pub p95: Option<Micros>,
    /// 99 % were no longer.
    pub p99: Option<Micros>,
    /// 99.9 % were no longer.
    #[serde(rename = "p99.9")]
    pub p999: Option<Micros>,
    /// The longest; none if there were none.
    pub max: Option<Micros>,
}

/// How many each figure of a [`Spread`] needs.
pub const NEEDED: [(&str, u64); 6] = [("p50", 1), ("p90", 10), ("p95", 20), ("p99", 100), ("p99.9", 1000), ("max", 1)];

impl Times {
    /// One took so long.
    pub fn add(&mut self, time: Micros) {
        self.number += 1;
        self.total += time;
        self.max = self.max.max(time);
        let step = step(time.0);
        match self.steps.binary_search_by_key(&step, |(step, _)| *step) {
            Ok(at) => self.steps[at].1 = self.steps[at].1.saturating_add(1),
            Err(at) => self.steps.insert(at, (step, 1)),
        }
    }

    /// All together.
    #[must_use]
    pub const fn total(&self) -> Micros {
        self.total
    }

    /// Its outline in three figures, however few there were.
    #[must_use]
    pub fn latency(&self) -> Latency {
        Latency { p50: self.at(0.5), p99: self.at(0.99), max: self.max }
    }

    /// Its outline.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let [p50, p90, p95, p99, p999, max] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0].map(|part| self.at(part));
        let [of_50, of_90, of_95, of_99, of_999, of_max] = NEEDED.map(|(_, needed)| self.number >= needed);
        Spread {
            n: self.number,
            p50: of_50.then_some(p50),
            p90: of_90.then_some(p90),
            p95: of_95.then_some(p95),
            p99: of_99.then_some(p99),
            p999: of_999.then_some(p999),
            max: of_max.then_some(max),
        }
    }

    /// The length that this part of them did not exceed.
    fn at(&self, part: f64) -> Micros {
        let due = ((part * self.number as f64).ceil() as u64).max(1);
        let mut passed = 0;
        let found = self.steps.iter().find(|(_, number)| {
            passed += u64::from(*number);
            passed >= due
        });
        found.map_or(self.max, |(step, _)| Micros(longest(*step)).min(self.max))
    }
}

/// The number of the step of that length: they ascend with the lengths.
const fn step(length: u64) -> u32 {
    let doublings = (u64::BITS - length.leading_zeros()).saturating_sub(STEPS + 1);
    (doublings << STEPS) + (length >> doublings) as u32
}

/// The longest length of that step.
const fn longest(step: u32) -> u64 {
    let doublings = (step >> STEPS).saturating_sub(1);
    let shortest = ((step - (doublings << STEPS)) as u64) << doublings;
    shortest | ((1 << doublings) - 1)
}

/// Waits, dials and service times.
#[derive(Clone, Debug, Default)]
pub(super) struct Durations {
    pub(super) wait: Times,
    pub(super) dial: Times,
    pub(super) service: Times,
}

/// What operations waited for their connection, what the dials of sessions took that were opened, and what operations
/// were served that reached a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Spreads {
    /// The waits.
    #[serde(rename = "wait_us")]
    pub wait: Spread,
    /// The dials, each from its beginning until its session was open.
    #[serde(rename = "dial_us")]
    pub dial: Spread,
    /// The service times.
    #[serde(rename = "service_us")]
    pub service: Spread,
}

impl Durations {
    pub(super) fn spreads(&self) -> Spreads {
        Spreads { wait: self.wait.spread(), dial: self.dial.spread(), service: self.service.spread() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_length_is_in_one_step_to_three_digits() {
        let mut last = (0, 0);
        for length in (0..5000).chain((13..64).flat_map(|bit| [(1 << bit) - 1, 1 << bit, (1 << bit) + 1])) {
            let step = step(length);
            assert!(length <= longest(step) && longest(step) - length <= length / 1000, "{length}: {}", longest(step));
            assert!(length < 2048 || step >= last.1, "{length} after {last:?}");
            last = (length, step);
        }
        assert_eq!((longest(step(u64::MAX)), longest(step(2047)), longest(step(2048))), (u64::MAX, 2047, 2049));
    }

    #[test]
    fn a_percentile_needs_enough_of_them() {
        let mut times = Times::default();
        assert_eq!(times.spread(), Spread::default());
        let mut came = Vec::new();
        for number in 1..=1000 {
            times.add(Micros(number));
            let Spread { p50, p90, p95, p99, p999, max, .. } = times.spread();
            came.push([p50, p90, p95, p99, p999, max].map(|figure| figure.is_some()));
        }
        for (at, (_, needed)) in NEEDED.into_iter().enumerate() {
            assert_eq!(came.iter().position(|came| came[at]), Some(needed as usize - 1));
        }
        let all = times.spread();
        assert_eq!([all.p50, all.p95, all.p999, all.max], [500, 950, 999, 1000].map(|at| Some(Micros(at))));
    }
}
