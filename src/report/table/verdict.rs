//! What the run proves.

use super::grid::{labelled, paragraph};
use crate::record::{Agreement, Finding, Verdict};
use crate::report::words::{conclusion, count, many, printable};

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
    let end = format!("exit {}: {}", verdict.conclusion.exit_code(), conclusion(verdict.conclusion));
    paragraph(&rules) + &paragraph(&witness) + &labelled(verdict.findings.iter().map(finding)) + &paragraph(&end)
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
