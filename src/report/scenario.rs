//! A scenario, told step by step while it goes on, and what it comes to at its end.

mod ndjson;

use super::table::grid::paragraph;
use super::words::{many, printable, signal};
use crate::record::{Agreement, Outcome, Scenario, Severity, StepDone, Verdict};

pub use ndjson::ScenarioLines;

/// What a step did begins in this column.
const BESIDE: usize = 52;

/// The first line, before anything happens.
#[must_use]
pub fn scenario_begins(name: &str, server: &str) -> String {
    paragraph(&format!("scenario {} on {}", printable(name), printable(server)))
}

/// A step as it was written, and beside it what it did; below it, where that is not what was expected, both.
#[must_use]
pub fn scenario_step(step: &StepDone) -> String {
    let did: Vec<String> =
        step.did.iter().map(|did| printable(&did.to_string())).filter(|did| !did.is_empty()).collect();
    let mark = if step.held() { ' ' } else { '!' };
    let written = format!("{mark}{:>4}  {}", step.line, printable(&step.text));
    let mut text = written;
    if !did.is_empty() {
        let width = text.chars().count();
        text.push_str(&" ".repeat(BESIDE.saturating_sub(width).max(2)));
        text.push_str(&did.join("; "));
    }
    text.push('\n');
    if let Some(instead) = &step.instead {
        let expected = step.expected.as_deref().unwrap_or("success");
        text.push_str(&format!("       expected: {}\n       happened: {}\n", printable(expected), printable(instead)));
    }
    text
}

/// What it comes to.
#[must_use]
pub fn scenario_ends(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text: String = outcome.findings.iter().map(scenario_step).collect();
    text.push('\n');
    for ((name, _), verdict) in scenario.clients.iter().zip(&outcome.verdicts) {
        let whose = if name.is_empty() { String::new() } else { format!("{}: ", printable(name)) };
        text += &paragraph(&format!("{whose}{}", judged(verdict)));
        // A few steps give no figures to advise on.
        for finding in verdict.findings.iter().filter(|finding| finding.severity != Severity::Advice) {
            let (id, severity) = (finding.id, finding.severity.name());
            text += &paragraph(&format!("{whose}{id} {severity}: {}", printable(&finding.sentence)));
            text.extend(finding.evidence.iter().map(|line| paragraph(&format!("  {}", printable(line)))));
        }
    }
    let steps = many((scenario.steps.len() + outcome.findings.len()) as u64, "step");
    let held = match (outcome.failed, scenario.interrupted) {
        (_, Some(number)) => format!("interrupted by {}: this is as far as it came", signal(number)),
        (0, None) => "all as expected".to_owned(),
        (failed, None) => format!("{failed} not as expected"),
    };
    text + &paragraph(&format!("exit {}: {steps}, {held}", outcome.exit_code))
}

/// `rules held in 7 of 7 operations; the server's own record agrees on 7 of 7`.
fn judged(verdict: &Verdict) -> String {
    let of = |agreement: Agreement| format!("{} of {}", agreement.held, agreement.checked);
    let rules = format!("the rules held in {} operations", of(verdict.rules));
    match verdict.witness {
        Some(witness) => format!("{rules}; the server's own record agrees on {}", of(witness)),
        None => rules,
    }
}
