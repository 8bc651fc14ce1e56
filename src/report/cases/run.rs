//! A run or a probe: what was checked, its operations or its question, every finding there is, and its gates.

use super::suite::{How, Suite, finding, on};
use crate::event::{Finding, LimitsFound, Probe, Severity};
use crate::judge::{ALL, Probed};
use crate::report::layout::Layout;
use crate::report::model::RunReport;
use crate::report::table::limits::facts;
use crate::report::table::limits::words::result;
use crate::report::table::{SCREENFUL, failures};
use crate::report::words::{count, many, printable, wall};

pub(super) fn suite(report: &RunReport) -> Suite {
    let (start, verdict) = (&report.start, &report.verdict);
    let probe = start.probe.zip(verdict.probed.as_deref());
    let server = on(&start.server);
    let name = match probe {
        Some(_) => format!("limits of {server}"),
        None => format!("{} on {server}", start.mode),
    };
    let (seed, code) = (start.seed.map(|it| it.to_string()), report.exit_code().map(|it| it.to_string()));
    let properties = [
        ("server", &*start.server),
        ("protocol", start.protocol.name()),
        ("run_id", &start.run_id),
        ("started", &wall(start.started)),
        ("seed", seed.as_deref().unwrap_or_default()),
        ("exit_code", code.as_deref().unwrap_or_default()),
        ("mailconn", &start.tool_version),
    ];
    let mut suite = Suite::new(&name, start.started, properties);
    suite.took = report.ending.elapsed.duration();
    suite.add_checked("", verdict.proof, probe.is_some());
    match probe {
        Some((probe, probed)) => question(&mut suite, report, probe, probed),
        None => operations(&mut suite, report),
    }
    findings(&mut suite, report);
    suite.add_gates("", &verdict.gates);
    suite
}

fn operations(suite: &mut Suite, report: &RunReport) {
    let summary = &report.summary;
    let (ok, failed) = (many(summary.operations.ok, "operation"), count(summary.operations.failed));
    let said = format!("{ok} ok, {failed} failed");
    let how = match summary.operations.failed > 0 || !summary.failures.is_empty() {
        true => How::Failed {
            kind: "operations".to_owned(),
            message: said,
            more: failures(Layout::UNBROKEN, summary, Some(SCREENFUL)),
        },
        false => How::Held(said),
    };
    suite.add("operations", how);
}

/// How many connections there are, and whether there are as many as needed.
fn question(suite: &mut Suite, report: &RunReport, probe: Probe, probed: &Probed) {
    let LimitsFound { answered, given, .. } = probed.limits;
    let said = result(probed, probe, report.start.protocol);
    let facts = facts(probed, probe, report.start.protocol);
    let facts: Vec<String> = facts.iter().map(|(label, text)| format!("{label}: {text}")).collect();
    let how = match (answered, report.exit_code()) {
        (true, _) => How::Held(format!("{said}\n{}", facts.join("\n"))),
        (false, Some(0)) => How::Skipped(said),
        (false, _) => How::Failed { kind: "question".to_owned(), message: said, more: facts.join("\n") },
    };
    suite.add("how many connections there are", how);
    if let Some(need) = report.policy.need {
        let how = match answered {
            false => How::Skipped("the question was not answered".to_owned()),
            true if given < need => How::failed("need", printable(&report.reason())),
            true => How::Held(format!("{} at once", many(given as u64, "connection"))),
        };
        suite.add(&format!("need {need}"), how);
    }
}

/// Each finding that a run can have, whether it has it or not.
fn findings(suite: &mut Suite, report: &RunReport) {
    let verdict = &report.verdict;
    let is_probe = report.start.probe.is_some();
    let fails = |it: &Finding| {
        let by_itself = it.severity == Severity::Broken || (it.severity == Severity::Limit && !is_probe);
        by_itself || report.policy.fails_on(it.severity)
    };
    for spec in ALL.iter().filter(|spec| !is_probe || spec.severity != Severity::Advice) {
        let found = verdict.findings.iter().find(|it| it.id == spec.id);
        let unjudged = verdict.unjudged.iter().find(|it| it.split(' ').next() == Some(spec.id));
        let how = match (found, unjudged) {
            (Some(found), _) => finding(found, fails(found)),
            (None, Some(why)) => How::Skipped(printable(why)),
            (None, None) => How::held(),
        };
        suite.add(&format!("no {}: {}", spec.id, spec.article.title), how);
    }
    // Those that a later version's file names.
    for found in verdict.findings.iter().filter(|found| ALL.iter().all(|spec| spec.id != found.id)) {
        suite.add(&format!("no {}", found.id), finding(found, fails(found)));
    }
}
