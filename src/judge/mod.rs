//! What a stream of events proves. Each question is an [`Analysis`](crate::ledger::Analysis), which sees each event once.

mod rules;
mod witness;

pub use rules::Rules;
pub use witness::Witness;

/// How many of those checked held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Agreement {
    /// Checked.
    pub checked: u64,
    /// Held.
    pub held: u64,
}

/// What does not hold, and at which event, if it is one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The event's number.
    pub seq: Option<u64>,
    /// What is wrong.
    pub sentence: String,
}

/// So many pieces of evidence are kept for each question; how many there were is counted.
pub const EVIDENCE: usize = 12;
