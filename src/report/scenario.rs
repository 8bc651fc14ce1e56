//! A scenario, told step by step while it goes on, and what it comes to at its end.

mod ndjson;

use super::table::grid::{labelled, paragraph};
use super::words::{many, printable, signal};
use crate::event::{Agreement, Proof, Severity, Witnessed};
use crate::protocol::Failure;
use crate::record::{Did, Outcome, Scenario, StepDone};

pub use ndjson::ScenarioLines;

/// What a step did begins in this column.
const BESIDE: usize = 56;
/// What stands below a step begins so far to the right.
const BELOW: &str = "         ";

/// The first line, before anything happens.
#[must_use]
pub fn scenario_begins(name: &str, server: &str) -> String {
    paragraph(&format!("scenario {} on {}", printable(name), printable(server)))
}

/// A step as it was written, and beside it what it did; below it why, where it failed, and what was expected, where that
/// is not what happened.
#[must_use]
pub fn scenario_step(step: &StepDone) -> String {
    let did: Vec<String> = step
        .did
        .iter()
        .enumerate()
        .map(|(at, did)| in_short(did, whose(step, at)))
        .filter(|did| !did.is_empty())
        .collect();
    let mark = if step.held() { ' ' } else { '!' };
    let mut text = format!("{mark}{:>4}  {}", step.line, printable(&step.text));
    if !did.is_empty() {
        let width = text.chars().count();
        text.push_str(&" ".repeat(BESIDE.saturating_sub(width).max(2)));
        text.push_str(&did.join("; "));
    }
    text.push('\n');
    // What happened instead says it too.
    let told = |why: &String| step.instead.as_ref().is_some_and(|instead| instead.contains(why));
    for why in step.did.iter().filter_map(why).filter(|why| !told(why)) {
        text.push_str(&labelled([(BELOW.to_owned(), printable(&why))]));
    }
    if let Some(instead) = &step.instead {
        let expected = step.expected.as_deref().unwrap_or("success");
        for (label, what) in [("expected:", expected), ("happened:", instead)] {
            text.push_str(&labelled([(format!("{BELOW}{label}"), printable(what))]));
        }
    }
    text
}

/// The client of that action, where there are several.
fn whose(step: &StepDone, at: usize) -> Option<&str> {
    step.whose.get(at)?.as_deref()
}

/// What an action did, so short that it fits beside it.
fn in_short(did: &Did, client: Option<&str>) -> String {
    let of = client.map_or_else(String::new, |client| format!("{} ", printable(client)));
    let failed = |failure: &Failure| format!("fails {}", failure.kind);
    match did {
        Did::Ran(used) => {
            let on = match &used.name {
                Some(name) => format!("{of}{} ({name})", used.session),
                None => format!("{of}{}, {}", used.session, used.reason),
            };
            let from = used.from.as_ref().map(|mailbox| format!(", from {}", printable(mailbox))).unwrap_or_default();
            match &used.outcome {
                Ok(_) => format!("{on}{from}"),
                Err(failure) => format!("{on}: {}", failed(failure)),
            }
        }
        Did::Refused { rule, .. } => format!("refused {rule}"),
        Did::Failed { session: Some(session), failure } => format!("{of}{session}: {}", failed(failure)),
        Did::Failed { session: None, failure } => failed(failure),
        Did::Panicked(_) => "panics".to_owned(),
        Did::Would { passed: Some((connection, Some(name))), .. } => format!("would use {of}{connection} ({name})"),
        Did::Noted(_) | Did::Created { .. } | Did::Disposed { .. } | Did::Would { .. } | Did::Nothing => {
            printable(&did.of(client).to_string())
        }
    }
}

/// Why it was not done: the rule and its cure, the server's own line.
fn why(did: &Did) -> Option<String> {
    match did {
        Did::Refused { message, .. } | Did::Panicked(message) => Some(message.clone()),
        Did::Failed { failure, .. } => Some(failure.to_string()),
        Did::Ran(used) => used.outcome.as_ref().err().map(Failure::to_string),
        Did::Noted(_) | Did::Created { .. } | Did::Disposed { .. } | Did::Would { .. } | Did::Nothing => None,
    }
}

/// What it comes to.
#[must_use]
pub fn scenario_ends(scenario: &Scenario, outcome: &Outcome) -> String {
    let mut text: String = outcome.findings.iter().map(scenario_step).collect();
    text.push('\n');
    for ((name, _), verdict) in scenario.clients.iter().zip(&outcome.verdicts) {
        let whose = if name.is_empty() { String::new() } else { format!("{}: ", printable(name)) };
        text += &paragraph(&format!("{whose}{}", judged(verdict.proof)));
        // A few steps give no figures to advise on.
        for finding in verdict.findings.iter().filter(|finding| finding.severity != Severity::Advice) {
            let (id, severity) = (&finding.id, finding.severity.name());
            text += &paragraph(&format!("{whose}{id} {severity}: {}", printable(&finding.sentence)));
            text += &labelled(finding.evidence.iter().map(|line| ("  ".to_owned(), printable(line))));
        }
    }
    let steps = many((scenario.steps.len() + outcome.findings.len()) as u64, "step");
    text + &paragraph(&format!("exit {}: {steps}, {}", outcome.exit_code, why_so(scenario, outcome)))
}

/// What its exit code is for: steps, what was expected of the findings, the findings themselves.
pub(super) fn why_so(scenario: &Scenario, outcome: &Outcome) -> String {
    if let Some(number) = scenario.interrupted {
        return format!("interrupted by {}: this is as far as it came", signal(number));
    }
    let steps = scenario.steps.iter().filter(|step| !step.held()).count();
    let at_the_end = outcome.findings.iter().filter(|step| !step.held()).count();
    let mut why = Vec::new();
    if steps > 0 {
        why.push(format!("{steps} not as expected"));
    }
    if at_the_end > 0 {
        why.push(format!("{} of the findings not met", many(at_the_end as u64, "expectation")));
    }
    let all = if why.is_empty() { "all as expected, but " } else { "" };
    let is_broken = |id: &str| {
        let mut found = outcome.verdicts.iter().flat_map(|verdict| &verdict.findings);
        found.any(|finding| finding.id == id && finding.severity == Severity::Broken)
    };
    let (broken, named): (Vec<&str>, Vec<&str>) =
        outcome.failing.iter().map(String::as_str).partition(|id| is_broken(id));
    for (what, ids) in [("an invariant of mailconn's own is broken", broken), ("a finding that --fail-on names", named)]
    {
        if !ids.is_empty() {
            why.push(format!("{what}: {}", ids.join(", ")));
        }
    }
    if why.is_empty() { "all as expected".to_owned() } else { format!("{all}{}", why.join(", ")) }
}

/// `rules held in 7 of 7 operations; the server's own record agrees on 7 of 7`.
fn judged(Proof { rules, witness }: Proof) -> String {
    let Agreement { checked, held } = rules;
    let rules = format!("the rules held in {held} of {checked} operations");
    let Witnessed { available, checked, agreed, not_compared } = witness;
    match (available, not_compared) {
        (false, _) => rules,
        (true, 0) => format!("{rules}; the server's own record agrees on {agreed} of {checked}"),
        (true, not) => {
            format!("{rules}; the server's own record agrees on {agreed} of {checked}, {not} could not be compared")
        }
    }
}
