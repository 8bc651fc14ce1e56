//! The middle of a few measurements, and how far they lie apart.

use std::fmt;

/// Median and quartiles.
#[derive(Clone, Copy)]
pub struct Spread {
    pub median: f64,
    pub low: f64,
    pub high: f64,
}

impl Spread {
    /// Of at least one value.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let at = |quarter: usize| {
            // Between the two neighbours, as spreadsheets do it.
            let place = values.len().saturating_sub(1) * quarter;
            let (below, part) = (place / 4, (place % 4) as f64 / 4.0);
            match (values.get(below), values.get(below + 1)) {
                (Some(low), Some(high)) => low + (high - low) * part,
                (Some(only), None) => *only,
                _ => f64::NAN,
            }
        };
        Self { median: at(2), low: at(1), high: at(3) }
    }
}

/// `0.95 (0.94-0.97)`, with the precision that was asked for.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(2);
        let text = format!("{:.digits$} ({:.digits$}-{:.digits$})", self.median, self.low, self.high);
        f.write_str(&text)
    }
}
