//! A scenario for people: its steps, then the verdict.

use super::layout::{Layout, Tone};
use super::model::ScenarioReport;
use super::table::gates;
use super::table::verdict::{CUT, whose};
use super::words::{evidence, many, origin, printable, signal};
use crate::event::{
    Action, Agreement, ClientEnd, Did, Finding, Gated, Proof, ScenarioEnd, ScenarioStart, Severity, Step, Witnessed,
};
use crate::judge::{Steps, failed_gates};

/// The column of what a step did, as far from the end of a line as usual.
const BESIDE: usize = 56;
const DID: usize = 24;
/// The indent of the lines below a step.
const BELOW: &str = "         ";

impl ScenarioReport {
    /// For people, with an empty line at its end.
    pub(super) fn text(&self, layout: Layout) -> String {
        let steps: String = self.steps.iter().map(|step| scenario_step(layout, step)).collect();
        scenario_begins(layout, &self.start) + &steps + &self.ends(layout)
    }

    /// The verdict, with an empty line at its end.
    pub(super) fn ends(&self, layout: Layout) -> String {
        let Some(end) = &self.end else { return format!("\n{}\n", layout.paragraph(CUT)) };
        let mut text = "\n".to_owned();
        let steps = Steps::of(&self.steps);
        for (client, proof) in end.clients.iter().zip(&self.proofs) {
            let whose = if client.name.is_empty() { String::new() } else { format!("{}: ", printable(&client.name)) };
            text += &layout.paragraph(&format!("{whose}{}", checked(*proof)));
            for finding in client.findings.iter().filter(|it| is_told(it, &steps)) {
                let (id, severity) = (&finding.id, finding.severity.name());
                let finding_of = layout.paragraph(&format!("{whose}{id} {severity}: {}", printable(&finding.sentence)));
                text += &layout.toned(Tone::Odd, &finding_of);
                text += &layout.labelled(evidence(&finding.evidence).map(|piece| ("  ".to_owned(), piece)));
            }
            text += &gates::section(layout, &whose, &client.gates);
        }
        let why = self.reason().unwrap_or_default();
        let whose = whose("scenario", self.told_again, end.exit_code);
        let exit = layout.whole(&format!("exit {}: {why}{whose}", end.exit_code));
        text + &layout.toned(Tone::of(end.exit_code == 0), &exit) + "\n"
    }
}

impl ScenarioReport {
    /// The reason of its exit code; none before its end.
    pub(super) fn reason(&self) -> Option<String> {
        let end = self.end.as_ref()?;
        Some(format!("{}, {}", many(end.steps as u64, "step"), reason_of(&Steps::of(&self.steps), end)))
    }
}

/// A few steps give no figures to advise on, unless the scenario is about that.
pub(super) fn is_told(of: &Finding, steps: &Steps) -> bool {
    of.severity != Severity::Advice || steps.expects(&of.id)
}

/// The reason of its exit code.
pub(super) fn reason_of(steps: &Steps, end: &ScenarioEnd) -> String {
    if let Some(number) = end.interrupted {
        return format!("interrupted by {}: this is as far as it came", signal(number));
    }
    let mut why = Vec::new();
    if steps.failed > 0 {
        why.push(format!("{} not as expected", steps.failed));
    }
    if steps.unmet > 0 {
        why.push(format!("{} of the findings not met", many(steps.unmet as u64, "expectation")));
    }
    let of_client = |client: &ClientEnd| -> Vec<Gated> {
        let whose = if client.name.is_empty() { String::new() } else { format!("{}: ", client.name) };
        client.gates.iter().map(|it| Gated { sentence: format!("{whose}{}", it.sentence), ..it.clone() }).collect()
    };
    let gates: Vec<Gated> = end.clients.iter().flat_map(of_client).collect();
    let nobody = end.clients.is_empty() && !end.judged_by.gates.is_empty();
    let gates =
        failed_gates(&gates).or_else(|| nobody.then(|| "its gates failed: it has no client to measure".to_owned()));
    let all = if why.is_empty() { "all as expected, but " } else { "" };
    let failing = steps.failing(end);
    for (broken, what) in
        [(true, "an invariant of mailconn's own is broken"), (false, "a finding that --fail-on names")]
    {
        let ids = failing.iter().filter(|(_, severity)| (**severity == Severity::Broken) == broken);
        let ids: Vec<&str> = ids.map(|(id, _)| *id).collect();
        if !ids.is_empty() {
            why.push(format!("{what}: {}", ids.join(", ")));
        }
    }
    why.extend(gates);
    if why.is_empty() { "all as expected".to_owned() } else { format!("{all}{}", why.join(", ")) }
}

/// The first lines, before anything happens.
pub(super) fn scenario_begins(layout: Layout, start: &ScenarioStart) -> String {
    scenario_heading(layout, start) + &layout.origin(&origin(&start.tool_version, None, start.started))
}

/// Which scenario, and on which server.
pub(super) fn scenario_heading(layout: Layout, start: &ScenarioStart) -> String {
    layout.paragraph(&format!("scenario {} on {}", printable(&start.name), printable(&start.server)))
}

/// A step as it was written, and beside it what it did. Below it: why it failed, and what was expected where something else
/// happened.
pub(super) fn scenario_step(layout: Layout, step: &Step) -> String {
    let did = beside(step);
    let mark = if step.held { ' ' } else { '!' };
    let mut text = format!("{mark}{:>4}  {}", step.line, printable(&step.text));
    if !did.is_empty() {
        let width = text.chars().count();
        text.push_str(&" ".repeat(BESIDE.min(layout.width() - DID).saturating_sub(width).max(2)));
        text.push_str(&did);
    }
    text.push('\n');
    text = layout.toned(if step.held { Tone::Plain } else { Tone::Bad }, &text);
    // What happened instead may say it too.
    let told = |why: &String| step.happened.as_ref().is_some_and(|happened| happened.contains(why));
    for why in step.did.iter().filter_map(why).filter(|why| !told(why)) {
        text.push_str(&layout.labelled([(BELOW.to_owned(), printable(&why))]));
    }
    if let Some(happened) = &step.happened {
        let expected = step.expected.as_deref().unwrap_or("success");
        for (label, what) in [("expected:", expected), ("happened:", happened)] {
            text.push_str(&layout.labelled([(format!("{BELOW}{label}"), printable(what))]));
        }
    }
    text
}

/// What it did, short enough to stand beside it.
pub(super) fn beside(step: &Step) -> String {
    let did: Vec<String> = step.did.iter().map(in_short).filter(|did| !did.is_empty()).collect();
    did.join("; ")
}

fn in_short(Action { client, did }: &Action) -> String {
    let of = client.as_ref().map_or_else(String::new, |client| format!("{} ", printable(client)));
    match did {
        Did::Ran { session, name, reason, from, failure, .. } => {
            let on = match name {
                Some(name) => format!("{of}{session} ({})", printable(name)),
                None => format!("{of}{session}, {reason}"),
            };
            match (failure, from) {
                (Some(failure), _) => format!("{on}: fails {}", failure.kind),
                (None, Some(mailbox)) => format!("{on}, from {}", printable(mailbox)),
                (None, None) => on,
            }
        }
        Did::Would { connection: Some(connection), name: Some(name), .. } => {
            format!("would use {of}{connection} ({})", printable(name))
        }
        Did::Would { connection: Some(connection), reason, .. } => format!("would use {of}{connection}, {reason}"),
        Did::Would { reason, .. } => format!("would use {reason}"),
        Did::Created { connection, .. } => format!("opened {of}{connection}"),
        Did::Disposed { connection } => format!("disposed {of}{connection}"),
        Did::Nothing => "nothing".to_owned(),
        Did::Refused { rule, .. } => format!("refused {rule}"),
        Did::Failed { session: Some(session), failure } => format!("{of}{session}: fails {}", failure.kind),
        Did::Failed { session: None, failure } => format!("fails {}", failure.kind),
        Did::Panics { .. } => "panics".to_owned(),
        Did::Counted { sessions } => many(*sessions as u64, "session"),
        Did::Noted { text } => printable(text),
    }
}

/// Why it was not done: the rule and its cure, the server's own line.
pub(super) fn why(Action { did, .. }: &Action) -> Option<String> {
    match did {
        Did::Refused { message, .. } | Did::Panics { message } => Some(message.clone()),
        Did::Failed { failure, .. } | Did::Ran { failure: Some(failure), .. } => Some(failure.to_string()),
        _ => None,
    }
}

/// `the rules held in 7 of 7 operations; the server's own record agrees on 7 of 7`.
pub(super) fn checked(Proof { rules, witness }: Proof) -> String {
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
