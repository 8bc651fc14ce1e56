//! The verdict: proof, findings, exit code.

use super::gates;
use crate::report::layout::{Layout, Tone};
use crate::event::{Agreement, Finding, Severity, Witnessed};
use crate::report::model::RunReport;
use crate::report::words::{self, count, many, printable};

/// Said in place of an exit code.
pub(in crate::report) const CUT: &str = "cut: the file ends before its end is told, so what it came to is not known";

pub(super) fn section(layout: Layout, report: &RunReport) -> String {
    let verdict = &report.verdict;
    let rules = rules(verdict.proof.rules, report.start.probe.is_some());
    let witness = witness(verdict.proof.witness);
    let end = match report.exit_code() {
        Some(code) => {
            let exit = layout.whole(&format!("exit {code}: {}{}", report.reason(), whose("run", report.told_again, code)));
            layout.toned(Tone::of(code == 0), &exit)
        }
        None => layout.toned(Tone::Odd, &layout.paragraph(CUT)),
    };
    let unjudged: String = verdict.unjudged.iter().map(|it| layout.paragraph(&printable(it))).collect();
    let findings = layout.marked(verdict.findings.iter().filter(|it| !is_the_result(report, it)).map(finding));
    let gates = gates::section(layout, "", &verdict.gates);
    layout.toned(held(verdict.proof.rules), &layout.paragraph(&rules)) + &layout.toned(agrees(verdict.proof.witness), &layout.paragraph(&witness)) + &unjudged + &findings + &gates + &end
}

/// Whether a probe's result and what to set say all of it. What fails it is said.
fn is_the_result(report: &RunReport, finding: &Finding) -> bool {
    let is_met = report.verdict.probed.as_deref().is_some_and(|probed| probed.limits.met.is_some());
    is_met && finding.severity == Severity::Limit && !report.policy.fails_on(finding.severity)
}

/// Behind an exit code that is told again and is not the one of the process that tells it.
pub(in crate::report) fn whose(subject: &str, told_again: bool, code: u8) -> String {
    if told_again && code != 0 { format!(" (the {subject}'s exit code; this report's is 0)") } else { String::new() }
}

fn held(Agreement { checked, held }: Agreement) -> Tone {
    if checked == 0 { Tone::Plain } else { Tone::of(held == checked) }
}

fn agrees(Witnessed { checked, agreed, .. }: Witnessed) -> Tone {
    if checked == 0 { Tone::Plain } else { Tone::of(agreed == checked) }
}

/// How many operations held to the rules.
pub(in crate::report) fn rules(of: Agreement, is_probe: bool) -> String {
    let Agreement { checked, held } = of;
    // A probe's operations are its looks at what is open.
    let looks = if is_probe { " (the looks at open connections)" } else { "" };
    match checked {
        0 => "rules: no operation to check".to_owned(),
        _ => format!("rules held for {} of {}{looks}", count(held), many(checked, "operation")),
    }
}

/// The server's own record of the operations.
pub(in crate::report) fn witness(witness: Witnessed) -> String {
    let Witnessed { available, checked, agreed, not_compared } = witness;
    match (available, checked, not_compared) {
        (false, ..) => "the server's own record: not available (a real server's log is not read)".to_owned(),
        (true, 0, 0) => "the server's own record: no operation to compare".to_owned(),
        (true, 0, not) => format!("the server's own record: {} could not be compared", many(not, "operation")),
        (true, _, 0) => format!("the server's own record agrees for {} of {}", count(agreed), count(checked)),
        (true, _, not) => {
            let (agreed, checked, not) = (count(agreed), count(checked), count(not));
            format!("the server's own record agrees for {agreed} of {checked}, {not} could not be compared")
        }
    }
}

fn finding(finding: &Finding) -> (Tone, String, String) {
    let times = match finding.count {
        0 | 1 => String::new(),
        more => format!(", {} times", count(more)),
    };
    let mut text = format!("{}{times}: {}", finding.severity.name(), printable(&finding.sentence));
    for piece in words::evidence(&finding.evidence) {
        text += &format!("\n- {piece}");
    }
    let tone = if finding.severity == Severity::Broken { Tone::Bad } else { Tone::Odd };
    (tone, finding.id.clone(), text)
}
