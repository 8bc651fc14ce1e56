//! What the run proves.

use super::grid::{labelled, paragraph};
use crate::record::{Agreement, Conclusion, Finding, Severity, Verdict};
use crate::report::words::{self, count, many, printable};

pub(super) fn section(verdict: &Verdict) -> String {
    let rules = match verdict.rules {
        Agreement { checked: 0, .. } => "rules: no operation to check".to_owned(),
        Agreement { checked, held } => format!("rules held for {} of {}", count(held), many(checked, "operation")),
    };
    let witness = match verdict.witness {
        None => "the server's own record: not available (a real server's log is not read)".to_owned(),
        Some(Agreement { checked: 0, .. }) => "the server's own record: no operation to compare".to_owned(),
        Some(Agreement { checked, held }) => {
            format!("the server's own record agrees for {} of {}", count(held), count(checked))
        }
    };
    let end = format!("exit {}: {}", verdict.conclusion.exit_code(), concluded(verdict));
    paragraph(&rules) + &paragraph(&witness) + &labelled(verdict.findings.iter().map(finding)) + &paragraph(&end)
}

/// What the run came to: not that all held if something was found that this run was told to pass.
fn concluded(verdict: &Verdict) -> String {
    let passed: Vec<&str> = verdict
        .findings
        .iter()
        .filter(|finding| finding.severity != Severity::Advice)
        .map(|finding| finding.id)
        .collect();
    match verdict.conclusion {
        Conclusion::Held if !passed.is_empty() => {
            format!("nothing failed; {} fails no run with this --fail-on", passed.join(", "))
        }
        _ => words::concluded(verdict),
    }
}

fn finding(finding: &Finding) -> (String, String) {
    let times = match finding.count {
        0 | 1 => String::new(),
        more => format!(", {} times", count(more)),
    };
    let mut text = format!("{}{times}: {}", finding.severity.name(), printable(&finding.sentence));
    for evidence in &finding.evidence {
        text += &format!("\n- {}", printable(evidence));
    }
    (finding.id.to_owned(), text)
}
