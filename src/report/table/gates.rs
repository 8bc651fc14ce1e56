//! A line for each gate: whether it failed, and the figure.

use super::grid::paragraph;
use crate::event::Gated;
use crate::report::words::printable;

/// The gates of a client, which `whose` names in front of each line.
pub(in crate::report) fn section(whose: &str, gates: &[Gated]) -> String {
    gates.iter().map(|gated| paragraph(&line(whose, gated))).collect()
}

fn line(whose: &str, gated: &Gated) -> String {
    let Gated { gate, failed, sentence, .. } = gated;
    let how = if *failed { "FAILED" } else { "passed" };
    format!("{whose}gate {how}: {} ({})", printable(gate), printable(sentence))
}
