//! What ends a comparison before all its rounds are done.

use std::time::{Duration, Instant};

use crate::event::WhyStopped;
use crate::judge::Conclusion;
use crate::report::RunReport;

/// The signal of a timer (SIGALRM). A run that the time for all of it cuts is told as one that this signal interrupted.
pub const TIME_IS_OVER: i32 = 14;

/// The signal of a resource that is used up (SIGXCPU). A run that would have needed one more sign-in than all of it may make is
/// told as one that this signal interrupted.
pub const BUDGET_IS_SPENT: i32 = 24;

/// Why nothing may follow that run, if so. Failed operations are described, and end nothing as long as some succeeded.
#[must_use]
pub fn why_stop(run: &RunReport) -> Option<WhyStopped> {
    let nothing_done = run.summary.operations.ok == 0;
    match run.verdict.conclusion {
        Conclusion::Interrupted(TIME_IS_OVER) => Some(WhyStopped::Time),
        Conclusion::Interrupted(BUDGET_IS_SPENT) => Some(WhyStopped::SignIns),
        Conclusion::Interrupted(_) => Some(WhyStopped::Signal),
        Conclusion::Limited => Some(WhyStopped::Limit),
        Conclusion::SignInRefused => Some(WhyStopped::SignIn),
        Conclusion::Broken => Some(WhyStopped::Failed),
        // Its sessions would be in the way of the next run.
        _ if nothing_done || run.ending.still_open > 0 => Some(WhyStopped::Failed),
        _ => None,
    }
}

/// The time for all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    /// When it is over.
    pub(super) until: Option<Instant>,
    /// What the longest round took so far.
    longest: Duration,
}

impl Bound {
    /// From `now` on.
    pub(super) fn of(bound: Option<Duration>, now: Instant) -> Self {
        Self { until: bound.and_then(|bound| now.checked_add(bound)), longest: Duration::ZERO }
    }

    /// As much of that time as is left.
    pub(super) fn part_of(&self, time: Duration) -> Duration {
        self.until.map_or(time, |until| time.min(until.saturating_duration_since(Instant::now())))
    }

    pub(super) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| Instant::now() >= until)
    }

    pub(super) fn saw(&mut self, round: Duration) {
        self.longest = self.longest.max(round);
    }

    /// Whether a round that begins now would end in time, if it takes no longer than the longest so far.
    pub(super) fn has_room(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| now < until && self.longest <= until - now)
    }
}
