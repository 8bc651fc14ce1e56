//! What a comparison may ask of a server.

use std::time::Duration;

/// What a comparison asks of a server at most, as long as no session breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Runs, those that warm up included.
    pub runs: u64,
    /// Sign-ins of all runs together. Without a user they are dials.
    pub sign_ins: u64,
    /// Connections at once.
    pub connections: usize,
    /// What all rests between runs take together.
    pub rests: Duration,
}

impl Budget {
    /// Of that number of rounds, besides the one that warms up, with that rest between two runs, of variants that have so many
    /// connections at most.
    #[must_use]
    pub fn of(rounds: u32, pace: Duration, connections: &[usize]) -> Self {
        let all = u64::from(rounds) + 1;
        let runs = all.saturating_mul(connections.len() as u64);
        let rests = u32::try_from(runs.saturating_sub(1)).unwrap_or(u32::MAX);
        Self {
            runs,
            sign_ins: all.saturating_mul(connections.iter().sum::<usize>() as u64),
            connections: connections.iter().copied().max().unwrap_or_default(),
            rests: pace.saturating_mul(rests),
        }
    }
}
