//! A comparison: its runs, what is told of each variant, and its gates.

use super::suite::{How, Suite, on};
use crate::event::{ComparisonVerdict, Decision};
use crate::judge::{ComparedRun, Conclusion};
use crate::report::comparison::{choice, round, verdict};
use crate::report::model::ComparisonReport;
use crate::report::words::{printable, wall};

pub(super) fn suite(report: &ComparisonReport) -> Suite {
    let ComparisonReport { comparison, end, .. } = report;
    let start = comparison.start();
    let (seed, choice) = (start.seed.to_string(), choice(report));
    let properties = [
        ("server", &*start.server),
        ("protocol", start.protocol.name()),
        ("started", &wall(start.started)),
        ("metric", &start.metric),
        ("seed", &seed),
        ("choice", &choice),
        ("mailconn", &start.tool_version),
    ];
    let mut suite = Suite::new(&format!("comparison on {}", on(&start.server)), start.started, properties);
    suite.took = end.elapsed_us.duration();
    for run in comparison.runs() {
        let variant = start.variants.get(run.variant).map_or("", |it| &it.name);
        suite.add(&format!("{variant} in {}", round(run.round)), of_run(report, run));
    }
    for told in &end.verdicts {
        let name = format!("{} against {}", told.variant, start.reference);
        suite.add(&name, of_verdict(report, told));
    }
    suite.add_gates("", &end.gates);
    suite
}

fn of_run(report: &ComparisonReport, run: &ComparedRun) -> How {
    let because = printable(run.because.as_deref().unwrap_or_default());
    match run.exit_code {
        0 => How::Held(because),
        // The comparison's own time was over, or it was interrupted.
        code if code >= Conclusion::Interrupted(1).exit_code() || report.exit_code() == Some(0) => {
            How::Skipped(because)
        }
        code => How::failed("run", format!("exit {code}: {because}")),
    }
}

/// What cannot be told fails it only where it was asked for a decision.
fn of_verdict(report: &ComparisonReport, told: &ComparisonVerdict) -> How {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let said = verdict(report, told);
    let is_open = || comparison.is_open(told, rounds);
    match told.decision {
        Decision::CannotTell if end.judged_by.require_decision && is_open() => How::failed("decision", said),
        Decision::CannotTell => How::Skipped(said),
        _ => How::Held(said),
    }
}
