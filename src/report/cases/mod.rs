//! What a report promises, as cases that hold or fail: a suite of each run, scenario and comparison.
//!
//! Names stay the same from run to run, and figures stand in what a case says: the history of a case can be kept. The last
//! case of a suite is the exit code, so that what exits with another code than 0 is never green.

mod comparison;
mod run;
mod scenario;
mod suite;

pub(super) use suite::{Case, How, Suite};

use super::model::{Report, Told};
use super::table::verdict::CUT;
use super::words::printable;

/// What a suite came to: its last case.
pub(super) const OUTCOME: &str = "exit code";

/// A suite for each of them.
pub(super) fn suites(report: &Report) -> impl Iterator<Item = Suite> {
    report.told.iter().map(|told| {
        let mut suite = match told {
            Told::Run(run) => run::suite(run),
            Told::Scenario(scenario) => scenario::suite(scenario),
            Told::Comparison(comparison) => comparison::suite(comparison),
        };
        suite.add(OUTCOME, outcome(told));
        suite
    })
}

/// What the process came to. Where that is not known all of it is an error.
fn outcome(told: &Told) -> How {
    match (told.exit_code(), told.reason()) {
        (Some(0), _) => How::held(),
        (Some(code), reason) => {
            let code = format!("exit {code}");
            let reason = reason.map_or_else(|| code.clone(), |reason| printable(&reason));
            How::failed(code, reason)
        }
        (None, _) => How::Cut(CUT),
    }
}
