//! How long things took: a distribution in the memory of its range, not of its numbers.

use hdrhistogram::Histogram;

use crate::event::{Latency, Micros};

/// Significant digits: 70 KiB where the longest took a minute, 30 KiB where it took a tenth of a second.
const DIGITS: u8 = 3;

/// A distribution that grows as it is fed. Its histogram is none until fed, and where its memory cannot be had.
#[derive(Clone, Debug, Default)]
pub struct Times {
    histogram: Option<Histogram<u32>>,
    max: Micros,
    total: Micros,
}

impl Times {
    /// One took so long.
    pub fn add(&mut self, time: Micros) {
        self.total += time;
        self.max = self.max.max(time);
        if self.histogram.is_none() {
            self.histogram = Histogram::new(DIGITS).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            // A histogram that resizes itself refuses no value.
            let _ = histogram.record(time.0);
        }
    }

    /// All together.
    #[must_use]
    pub const fn total(&self) -> Micros {
        self.total
    }

    /// Its outline.
    #[must_use]
    pub fn latency(&self) -> Latency {
        let Some(histogram) = &self.histogram else { return Latency::default() };
        let at = |quantile| Micros(histogram.value_at_quantile(quantile)).min(self.max);
        Latency { p50: at(0.5), p99: at(0.99), max: self.max }
    }
}
