//! What does not hold, as the checks tell it.

/// So many pieces of evidence are kept for each question; how many there were is counted.
pub const EVIDENCE: usize = 12;

/// What does not hold, and at which event, if it is one's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The event's number.
    pub seq: Option<u64>,
    /// What is wrong.
    pub sentence: String,
}
