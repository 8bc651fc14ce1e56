//! A scenario: its steps, and what was checked of each client.

use super::suite::{How, Suite, finding};
use crate::event::Step;
use crate::judge::Steps;
use crate::report::model::ScenarioReport;
use crate::report::scenario::{beside, is_told, why};
use crate::report::words::{printable, wall};

pub(super) fn suite(report: &ScenarioReport) -> Suite {
    let ScenarioReport { start, steps, proofs, end, .. } = report;
    let properties = [
        ("server", &*start.server),
        ("protocol", start.protocol.name()),
        ("started", &wall(start.started)),
        ("mailconn", &start.tool_version),
    ];
    let mut suite = Suite::new(&format!("scenario {}", start.name), start.started, properties);
    suite.took = steps.iter().map(|step| step.took_us.duration()).sum();
    for step in steps {
        suite.add(&format!("{}: {}", step.line, step.text), how(step)).took = Some(step.took_us.duration());
    }
    let Some(end) = end else { return suite };
    let of_all = Steps::of(steps);
    let failing = of_all.failing(end);
    for (client, proof) in end.clients.iter().zip(proofs) {
        let whose = if client.name.is_empty() { String::new() } else { format!("{}: ", client.name) };
        suite.add_checked(&whose, *proof, false);
        for found in client.findings.iter().filter(|it| is_told(it, &of_all)) {
            let how = finding(found, failing.contains_key(&*found.id));
            suite.add(&format!("{whose}{}", found.id), how);
        }
        suite.add_gates(&whose, &client.gates);
    }
    suite
}

fn how(step: &Step) -> How {
    let why = step.did.iter().filter_map(why).map(|why| printable(&why));
    let did: Vec<String> = Some(beside(step)).into_iter().chain(why).filter(|it| !it.is_empty()).collect();
    let more = did.join("\n");
    match &step.happened {
        Some(happened) => {
            let expected = step.expected.as_deref().unwrap_or("success");
            let message = format!("expected: {}; happened: {}", printable(expected), printable(happened));
            How::Failed { kind: "step".to_owned(), message, more }
        }
        None => How::Held(more),
    }
}
