//! A scenario: how many steps went as expected, what was found of each client, and the steps.

use super::blocks::{details, exit, findings, foot, gates, headers, heading, list, paragraph, table};
use super::inert::{At, code, prose};
use super::parts::{Part, Rank};
use crate::event::Step;
use crate::judge::Steps;
use crate::report::layout::Layout;
use crate::report::model::ScenarioReport;
use crate::report::outline::Outline;
use crate::report::scenario::{beside, checked, is_told, scenario_heading, why};
use crate::report::table::verdict::whose;
use crate::report::words::origin;

pub(super) fn parts(report: &ScenarioReport) -> Vec<Part> {
    let ScenarioReport { start, steps, proofs, end, .. } = report;
    let outline = Outline::of_scenario(report);
    let code = end.as_ref().map(|end| end.exit_code);
    let mut text = heading(&outline) + &paragraph(&scenario_heading(Layout::UNBROKEN, start));
    text += &exit(
        code,
        &report.reason().unwrap_or_default(),
        &whose("scenario", report.told_again, code.unwrap_or_default()),
    );
    let clients = || end.iter().flat_map(|end| &end.clients);
    let proofs = clients().zip(proofs).map(|(client, proof)| match &*client.name {
        "" => checked(*proof),
        name => format!("{name}: {}", checked(*proof)),
    });
    text += &list(proofs);
    let of_all = Steps::of(steps);
    let found = findings(clients().flat_map(|client| &client.findings).filter(|it| is_told(it, &of_all)));
    let found = if found.is_empty() { found } else { format!("#### Findings\n{found}") };
    let failed = steps.iter().any(|step| !step.held);
    let steps = table(headers(["line", "step", "what it did"]), steps.iter().map(row));
    vec![
        Part::new(Rank::Verdict, "a verdict", text),
        Part::new(Rank::Found, "findings", found),
        Part::new(Rank::Found, "gates", gates(clients().flat_map(|client| &client.gates))),
        Part::new(if failed { Rank::Found } else { Rank::Figures }, "steps", details("Steps", &steps, failed)),
        Part::new(Rank::Verdict, "a foot", foot(&origin(&start.tool_version, None, start.started))),
    ]
}

fn row(step: &Step) -> Vec<String> {
    let mut did: Vec<String> = Some(beside(step)).into_iter().chain(step.did.iter().filter_map(why)).collect();
    if let Some(happened) = &step.happened {
        did.push(format!("expected: {}; happened: {happened}", step.expected.as_deref().unwrap_or("success")));
    }
    let did: Vec<String> = did.iter().filter(|it| !it.is_empty()).map(|it| prose(it, At::Cell)).collect();
    let mark = if step.held { "" } else { "❌ " };
    vec![step.line.to_string(), format!("{mark}{}", code(&step.text, At::Cell)), did.join("<br>")]
}
