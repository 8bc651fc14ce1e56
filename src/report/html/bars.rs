//! Bars of one colour and one height in a lane, as one path: a horizontal line for each, as thick as the bars are high. Ten
//! thousand operations stand on a page several times, so each has few bytes.

use std::fmt::Write;

use maud::{Markup, html};

/// The whole time is so many units.
pub(super) const UNITS: f64 = 100_000.0;

#[derive(Debug, Default)]
pub(super) struct Bars {
    path: String,
    /// Where the pen is: units, and half pixels.
    pen: Option<(i64, i64)>,
}

impl Bars {
    /// A bar from there to there, its upper edge at `top`.
    pub(super) fn add(&mut self, (from, to): (f64, f64), top: usize, height: usize) {
        let (from, to) = (from.round() as i64, to.round() as i64);
        let (width, middle) = ((to - from).max(1), (2 * top + height) as i64);
        // A string takes what is written to it.
        let _ = match self.pen {
            Some((x, y)) => write!(self.path, "m{} {}h{width}", from - x, (middle - y) as f64 / 2.0),
            None => write!(self.path, "M{from} {}h{width}", middle as f64 / 2.0),
        };
        self.pen = Some((from + width, middle));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.path.is_empty()
    }

    pub(super) fn draw(&self, height: usize, paint: &str, opacity: &str) -> Markup {
        html! { @if !self.is_empty() { path d=(self.path) fill="none" stroke=(paint) stroke-width=(height) stroke-opacity=(opacity) {} } }
    }

    /// With what a pointer that rests on them is told.
    pub(super) fn titled(&self, height: usize, paint: &str, title: &str) -> Markup {
        html! { path d=(self.path) fill="none" stroke=(paint) stroke-width=(height) { title { (title) } } }
    }
}
