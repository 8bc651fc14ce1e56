//! Can it have been so? A stored stream that was changed afterwards, or lost a line, contradicts itself somewhere.

mod checks;
mod lines;

pub use checks::{Checks, Doubt, RULES, Rule, Tested};
pub(super) use checks::{LINES, TABLE, WITNESS};
pub(super) use lines::{Lines, Whose};

use crate::event::Event;
use crate::ledger::{Analysis, Ledger};

/// Holds each event against what came before it.
#[derive(Debug, Default)]
pub struct Integrity {}

impl Analysis for Integrity {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}
