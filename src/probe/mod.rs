//! Questions about a server that a few connections answer. [`check`] opens one and tells each step of it; [`limits`] opens
//! one after the other, to see how many the server gives.
//!
//! A check has no client: it dials by itself, through the same connectors.

mod check;
mod limits;

use std::time::Instant;

pub use check::{
    Check, CheckEvent, CheckHeader, Diagnostic, Feature, Level, Phase, Step, check, check_begins, check_ends,
    check_json, check_schema, check_step,
};

pub use limits::{Budget, limits};

/// That a check is to end early.
#[derive(Clone, Copy, Debug)]
pub struct Stop {
    /// Since when.
    pub since: Instant,
    /// The signal that asked for it; none where nobody reads the report any more.
    pub signal: Option<i32>,
}
