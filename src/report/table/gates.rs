//! A line for each gate: whether it failed, and the figure.

use crate::report::layout::{Layout, Tone};
use crate::event::Gated;
use crate::report::words::printable;

/// The gates of a client, which `whose` names in front of each line.
pub(in crate::report) fn section(layout: Layout, whose: &str, gates: &[Gated]) -> String {
    gates.iter().map(|gated| layout.toned(Tone::of(!gated.failed), &layout.whole(&line(whose, gated)))).collect()
}

fn line(whose: &str, Gated { failed, sentence, .. }: &Gated) -> String {
    let how = if *failed { "FAILED" } else { "passed" };
    format!("{whose}gate {how}: {}", printable(sentence))
}
