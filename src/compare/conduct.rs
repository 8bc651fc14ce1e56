//! One run after the other, round by round.

use std::time::{Duration, Instant};

use super::stop::Bound;
use crate::event::{WARM_UP, WhyStopped};
use crate::judge::{order, seed_of};
use crate::workload::Control;

/// What is to be done.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// How many variants there are.
    pub variants: usize,
    /// Rounds, besides the one that warms up.
    pub rounds: u32,
    /// Decides the order, and the seed of each round's runs.
    pub seed: u64,
    /// The rest between two runs.
    pub pace: Duration,
    /// The time for all of it.
    pub bound: Option<Duration>,
}

/// A run whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The variant's number.
    pub variant: usize,
    /// The round.
    pub round: u32,
    /// Which of the round's runs it is, from 0.
    pub place: usize,
    /// The seed of the run, the same for all variants of the round.
    pub seed: u64,
    /// When the run must be over.
    pub until: Option<Instant>,
}

/// Where a comparison ended before all rounds were done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halt {
    /// Why.
    pub why: WhyStopped,
    /// The number of the variant whose run it was; none between two runs.
    pub variant: Option<usize>,
    /// The round that was under way, or was to begin.
    pub round: u32,
}

/// Has each run done when its turn comes, until `run` says why nothing may follow, `control` ends it, or the time does. A
/// round for which there may be too little time is not begun.
///
/// # Errors
/// That of a run.
pub fn conduct<E>(
    rounds: &Rounds,
    control: &Control,
    mut run: impl FnMut(Turn) -> Result<Option<WhyStopped>, E>,
) -> Result<Option<Halt>, E> {
    let mut bound = Bound::of(rounds.bound, Instant::now());
    for round in WARM_UP..=rounds.rounds {
        let began = Instant::now();
        if !bound.has_room(began) {
            return Ok(Some(Halt { why: WhyStopped::Time, variant: None, round }));
        }
        let seed = seed_of(rounds.seed, round);
        for (place, variant) in order(rounds.seed, rounds.variants, round).into_iter().enumerate() {
            let is_first = round == WARM_UP && place == 0;
            let halt = |why| Ok(Some(Halt { why, variant: None, round }));
            if !control.rest(if is_first { Duration::ZERO } else { bound.part_of(rounds.pace) }) {
                return halt(WhyStopped::Signal);
            }
            if bound.is_over() {
                return halt(WhyStopped::Time);
            }
            let turn = Turn { variant, round, place, seed, until: bound.until };
            if let Some(why) = run(turn)? {
                return Ok(Some(Halt { why, variant: Some(variant), round }));
            }
        }
        bound.saw(began.elapsed());
    }
    Ok(None)
}
