//! All that a renderer may know of a run.

use std::sync::Arc;

use super::table::OperationRows;
use crate::event::{Ending, Policy, RunEnd, RunStart, What};
use crate::figures::Summary;
use crate::judge::{Judge, Verdict, run_end};
use crate::record::Run;

/// A run to be told: what was asked for, how it ended, its figures, and what it comes to by which policy.
#[derive(Clone, Debug)]
pub struct Report {
    /// What was asked for.
    pub start: Arc<RunStart>,
    /// How it ended.
    pub ending: Ending,
    /// Its figures.
    pub summary: Summary,
    /// What it comes to.
    pub verdict: Verdict,
    /// What it was judged by.
    pub policy: Policy,
}

impl Report {
    /// Of the run that the judge has seen, judged by that policy; none if it never began.
    #[must_use]
    pub fn of(judge: &Judge, policy: Policy) -> Option<Self> {
        let start = Arc::clone(judge.known().start()?);
        let ending = judge.known().ending().unwrap_or_default();
        let summary = judge.summary();
        let verdict = judge.verdict(&summary, &policy);
        Some(Self { start, ending, summary, verdict, policy })
    }

    /// The event that ends the run.
    #[must_use]
    pub fn run_end(&self) -> RunEnd {
        run_end(self.ending, &self.summary, &self.verdict, self.policy.clone())
    }

    /// Of a run that was recorded, judged by that policy; none if it never began.
    #[must_use]
    pub fn of_run(run: &Run, policy: Policy) -> Option<Self> {
        Self::of(&run.judge(), policy)
    }
}

/// A row for each operation of a run that was recorded, and an empty line at the end.
#[must_use]
pub fn each(run: &Run) -> String {
    let mut rows: Option<OperationRows> = None;
    let mut text = String::new();
    for event in run.happened() {
        match (event.what, &rows) {
            (What::RunStart(start), _) => text += &rows.insert(OperationRows::new(&start)).begin(),
            (What::Operation(operation), Some(rows)) => text += &rows.row(&operation),
            _ => {}
        }
    }
    text + "\n"
}
