//! The table of metrics and the JSON document: each figure of one is in the other, with the same value.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mailconn::event::{Baseline, Policy};
use mailconn::judge::{Content, METRICS, MetricUnit, Stored};
use mailconn::report::{Format, RunReport};
use serde_json::Value;

use crate::cli::process::{end, mailconn};
use crate::golden;
use crate::limits::written::probes;
use crate::support::tool::in_format;
use crate::verify::traces::file_of;

/// The figures that a spread is given by.
const SPREAD: [&str; 7] = [".n", ".p50", ".p90", ".p95", ".p99", ".p99.9", ".max"];

/// The numbers of the document that no gate can be about, and why.
const NOT_GATEABLE: [(&str, &str); 14] = [
    ("schema_version", "it is the form's"),
    ("threads", "asked for"),
    ("seed", "asked for"),
    ("sandbox", "asked for"),
    ("max_connections", "asked for"),
    ("probe", "asked for"),
    ("attempts", "dials of a probe, which have no name of their own; `limits` says what they came to"),
    ("asked", "asked for; `operations.asked` says what that came to"),
    ("switches", "asked for"),
    ("interrupted", "a signal's name"),
    ("session[].local_port", "the name of one end of a connection"),
    ("exit_code", "decided by gates"),
    ("gates", "decided by gates"),
    ("baseline", "another run's"),
];

/// Arrays of the document with the name that their rows have in a metric, and the field that tells them apart.
const ROWS: [(&str, &str, &str); 8] = [
    ("by_operation", "operation", "operation"),
    ("workers", "worker", "worker"),
    ("by_connection", "connection", "connection"),
    ("tasks", "task", "task"),
    ("sections", "section", ""),
    ("sessions", "session", "session"),
    ("findings", "findings", "id"),
    ("failures", "failures", "kind"),
];

/// The numbers of a document, each by the name that its metric has, or would have; of two with one name the sum.
fn figures(value: &Value, name: &str, found: &mut BTreeMap<String, Option<f64>>) {
    let below = |field: &str| if name.is_empty() { field.to_owned() } else { format!("{name}.{field}") };
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                let field = field.strip_suffix("_us").unwrap_or(field);
                let is_named =
                    ["reasons", "connections"].contains(&name.rsplit('.').next().unwrap()) && name.contains('.');
                if is_named {
                    figures(value, &format!("{name}[{field}]"), found);
                } else if let Some((_, row, key)) = ROWS.iter().find(|(array, ..)| *array == field && value.is_array())
                {
                    for (at, value) in value.as_array().unwrap().iter().enumerate() {
                        let key = value[*key].as_str().map_or_else(|| at.to_string(), str::to_owned);
                        figures(value, &below(&format!("{row}[{key}]")), found);
                    }
                } else {
                    figures(value, &below(field), found);
                }
            }
        }
        Value::Number(number) => {
            let sum = found.entry(name.to_owned()).or_default();
            *sum = Some(sum.unwrap_or_default() + number.as_f64().unwrap());
        }
        Value::Array(values) => {
            for (at, value) in values.iter().enumerate() {
                figures(value, &format!("{name}[{at}]"), found);
            }
        }
        Value::Null => drop(found.entry(name.to_owned()).or_default()),
        _ => {}
    }
}

fn pattern(name: &str) -> String {
    let mut inside = false;
    name.chars()
        .filter(|c| {
            inside = (inside || *c == '[') && *c != ']';
            !inside || *c == '['
        })
        .collect()
}

#[test]
fn each_figure_of_the_document_is_a_metric_and_each_metric_a_figure_of_it() {
    let fresh =
        ["-t 2 -n 5", "--executor pool -t 2 --tasks 4 --default-for all", "-t 2 -n 3 --mailbox Archive --ops fetch"];
    let stored = golden::stored().into_iter().map(|file| fs::read_to_string(file).unwrap());
    let (mut seen, mut exempt) = (BTreeSet::new(), BTreeSet::new());
    for file in stored.chain(fresh.map(file_of)).chain(probes()) {
        let Content::Run(run) = Stored::read(file.as_bytes(), |_| ()).unwrap().content else { continue };
        let baseline =
            Some(Baseline { run_id: String::new(), figures: [("worked".to_owned(), Some(1.into()))].into() });
        let gates = vec!["worked > 0s".to_owned()];
        let report = RunReport::of(&run.judge, Policy { gates, baseline, ..run.policy() }).unwrap();
        let document: Value = serde_json::from_str(&in_format(Format::Json, &report)).unwrap();
        let mut found = BTreeMap::new();
        figures(&document, "", &mut found);
        // Null may stand for a text or a list too: those of a name that is no metric's.
        if report.verdict.proof.witness.available {
            assert!(found.contains_key("verdict.witness.checked"));
        } else {
            // There is no record, and so nothing that a gate could pass.
            found.retain(|name, _| !name.starts_with("verdict.witness."));
        }
        found.retain(|name, value| value.is_some() || METRICS.iter().any(|metric| metric.name == pattern(name)));
        found.retain(|name, _| {
            let name = pattern(name);
            let is_it =
                |it: &&str| name.strip_prefix(*it).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
            let why_not = NOT_GATEABLE.iter().map(|(it, _)| *it).find(is_it);
            exempt.extend(why_not);
            why_not.is_none()
        });
        let gate = |name: &String| {
            let metric = METRICS.iter().find(|metric| metric.name == pattern(name));
            let metric = metric.unwrap_or_else(|| panic!("{name} is a figure of the document, and no metric"));
            seen.insert(metric.name.clone());
            format!("{name} > {}", if metric.unit.name() == "us" { "0s" } else { "0" })
        };
        let policy = Policy { gates: found.keys().map(gate).collect(), ..Policy::NONE };
        let (verdict, _) = run.comes_to(&policy);
        assert_eq!(verdict.gates.len(), found.len());
        for (gated, (name, value)) in verdict.gates.iter().zip(&found) {
            let measured = gated.value.as_ref().and_then(|value| value.as_f64());
            if name.starts_with("operations_on.") && document["executor"] == "threads" {
                assert!(measured.is_none() && gated.failed, "{name}: {}", gated.sentence);
                continue;
            }
            assert_eq!(measured, *value, "{name}: {}", gated.sentence);
            assert_eq!(gated.failed, value.is_none_or(|value| value > 0.0), "{name}: {}", gated.sentence);
        }
    }
    let all: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.clone()).collect();
    assert_eq!(all.len(), METRICS.len(), "each name once");
    let unseen: Vec<_> = all.difference(&seen).collect();
    assert!(unseen.is_empty(), "metrics that no document has: {unseen:#?}");
    assert_eq!(exempt, NOT_GATEABLE.iter().map(|(it, _)| *it).collect());
}

#[test]
fn explain_lists_each_metric_with_its_unit_and_its_meaning() {
    let told = end(&mut mailconn(["explain", "metrics"]));
    assert_eq!((told.code, &*told.stderr), (0, ""));
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 80), "{}", told.stdout);
    let rows = |text: &str| {
        let mut rows: BTreeMap<String, String> = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines().filter(|line| !line.is_empty()) {
            if !line.starts_with(' ') {
                name = line.split(' ').next().unwrap().to_owned();
            }
            *rows.entry(name.clone()).or_default() += &format!("{line} ");
        }
        rows.into_iter().map(|(name, row)| (name, row.split_whitespace().collect::<Vec<_>>().join(" "))).collect()
    };
    let all: BTreeMap<String, String> = rows(&told.stdout);
    for metric in METRICS.iter() {
        let name = metric.example();
        let Some((spread, figure)) = SPREAD.iter().find_map(|figure| Some((name.strip_suffix(figure)?, figure))) else {
            let takes = if metric.unit == MetricUnit::Time { "time (ms, s)" } else { metric.unit.name() };
            assert_eq!(all[&name], format!("{name} {takes} {}", metric.means));
            continue;
        };
        // All figures of a spread are in one row.
        let row = &all[&format!("{spread}.p95")];
        assert!(format!("{row} ").contains(&format!("{figure} ")), "{name}: {row}");
    }
    assert!(told.stdout.lines().count() < 230, "{}", told.stdout.lines().count());
    let some = end(&mut mailconn(["explain", "metrics", "service"]));
    let some: BTreeMap<String, String> = rows(&some.stdout);
    assert_eq!(some.len(), 5, "{some:?}");
    assert!(some.iter().all(|(name, row)| name.contains("service") && all[name] == *row), "{some:?}");
    // A word is a whole one; the one of several is meant too.
    let some = rows(&end(&mut mailconn(["explain", "metrics", "second"])).stdout);
    assert!(some.len() == 1 && some.contains_key("operations_per_second"), "{some:?}");
    for word in ["operation", "service.p95", "failure"] {
        assert_eq!(end(&mut mailconn(["explain", "metrics", word])).code, 0, "{word}");
    }
    for word in ["xyzzy", "ratio", "era"] {
        let none = end(&mut mailconn(["explain", "metrics", word]));
        assert_eq!((none.code, &*none.stdout, none.stderr.lines().count()), (2, "", 1), "{word}: {}", none.stderr);
    }
}
