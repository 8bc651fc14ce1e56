//! A violation that a check found.

/// The most pieces of evidence that are kept for each question; all are counted.
pub const EVIDENCE: usize = 12;

/// A violation, and its event if it has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The event's number.
    pub seq: Option<u64>,
    /// What is wrong.
    pub sentence: String,
}
