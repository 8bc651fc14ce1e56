//! A scenario: its steps, and what was checked of each client.

use quick_junit::TestSuite;

use super::cases::{How, case, checked, finding, gate, suite as begin};
use crate::event::Step;
use crate::judge::Steps;
use crate::report::model::ScenarioReport;
use crate::report::scenario::{beside, is_told, why};
use crate::report::words::{printable, wall};

pub(super) fn suite(report: &ScenarioReport) -> TestSuite {
    let ScenarioReport { start, steps, proofs, end, .. } = report;
    let properties = [
        ("server", &*start.server),
        ("protocol", start.protocol.name()),
        ("started", &wall(start.started)),
        ("mailconn", &start.tool_version),
    ];
    let mut suite = begin(&format!("scenario {}", start.name), start.started, &properties);
    suite.set_time(steps.iter().map(|step| step.took_us.duration()).sum());
    for step in steps {
        let mut case = case(&suite, &format!("{}: {}", step.line, step.text), how(step));
        case.set_time(step.took_us.duration());
        suite.add_test_case(case);
    }
    let Some(end) = end else { return suite };
    let of_all = Steps::of(steps);
    let failing = of_all.failing(end);
    for (client, proof) in end.clients.iter().zip(proofs) {
        let whose = if client.name.is_empty() { String::new() } else { format!("{}: ", client.name) };
        checked(&mut suite, &whose, *proof, false);
        for found in client.findings.iter().filter(|it| is_told(it, &of_all)) {
            let how = finding(found, failing.contains_key(&*found.id));
            suite.add_test_case(case(&suite, &format!("{whose}{}", found.id), how));
        }
        for gated in &client.gates {
            suite.add_test_case(case(&suite, &format!("{whose}gate {}", gated.gate), gate(gated)));
        }
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
            How::Failed { kind: "step", message, more }
        }
        None => How::Held(more),
    }
}
