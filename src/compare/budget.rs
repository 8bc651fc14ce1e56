//! What a comparison may ask of a server, and that it asks for no more.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::stop::BUDGET_IS_SPENT;
use crate::workload::Control;

/// Of so many sign-ins one more may be made, in the place of a session that broke.
const ONE_MORE_OF: u64 = 10;

/// What a run of a variant asks for at most, as long as no session breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Connections at once.
    pub connections: usize,
    /// Sessions, one after the other too.
    pub sessions: u64,
}

/// What a comparison asks of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Runs, those that warm up included.
    pub runs: u64,
    /// Sign-ins of all runs together, as long as no session breaks. Without a user they are dials.
    pub sign_ins: u64,
    /// The most that it makes, whatever breaks: it stops before one more.
    pub most: u64,
    /// Connections at once.
    pub connections: usize,
    /// What all rests between runs take together.
    pub rests: Duration,
}

impl Budget {
    /// Of that number of rounds, besides the one that warms up, with that rest between two runs, of variants with those needs.
    #[must_use]
    pub fn of(rounds: u32, pace: Duration, variants: &[Needs]) -> Self {
        let all = u64::from(rounds) + 1;
        let runs = all.saturating_mul(variants.len() as u64);
        let rests = u32::try_from(runs.saturating_sub(1)).unwrap_or(u32::MAX);
        let of_a_round = variants.iter().fold(0_u64, |sum, needs| sum.saturating_add(needs.sessions));
        let sign_ins = all.saturating_mul(of_a_round);
        Self {
            runs,
            sign_ins,
            most: sign_ins.saturating_add(sign_ins.div_ceil(ONE_MORE_OF)),
            connections: variants.iter().map(|needs| needs.connections).max().unwrap_or_default(),
            rests: pace.saturating_mul(rests),
        }
    }
}

/// The dials that are left to a comparison. The first that there is none left for ends its run.
#[derive(Debug)]
pub struct Allowance {
    left: AtomicU64,
    under_way: Mutex<Option<Arc<Control>>>,
}

impl Allowance {
    /// Of that number.
    #[must_use]
    pub fn of(most: u64) -> Arc<Self> {
        Arc::new(Self { left: AtomicU64::new(most), under_way: Mutex::default() })
    }

    /// The next run begins, which that ends.
    pub fn is_for(&self, run: &Arc<Control>) {
        *self.under_way.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(run));
    }

    /// Takes one; false if none is left.
    pub fn take(&self) -> bool {
        let taken = self.left.fetch_update(Ordering::AcqRel, Ordering::Acquire, |left| left.checked_sub(1)).is_ok();
        if !taken && let Some(run) = &*self.under_way.lock().unwrap_or_else(PoisonError::into_inner) {
            run.interrupt(BUDGET_IS_SPENT);
        }
        taken
    }
}
