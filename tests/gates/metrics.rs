//! The table of metrics and the JSON document: each figure of one is in the other, with the same value.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mailconn::event::Policy;
use mailconn::judge::{Content, METRICS, Stored};
use mailconn::report::{Format, RunReport};
use serde_json::Value;

use crate::cli::process::{end, mailconn};
use crate::golden;
use crate::support::tool::in_format;
use crate::verify::traces::file_of;

/// Numbers of the document that are no figures of the run: what was asked for, names, and what the figures came to.
const NO_FIGURES: [&str; 9] =
    ["schema_version", "threads", "seed", "sandbox", "max_connections", "interrupted", "exit_code", "gates", "asked"];

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

/// The figures of a document, each by the name of its metric; of two with one name the sum.
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
                } else if NO_FIGURES.contains(&&*below(field)) || field == "local_port" {
                    continue;
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
    let mut seen = BTreeSet::new();
    for file in stored.chain(fresh.map(file_of)) {
        let Content::Run(run) = Stored::read(file.as_bytes(), |_| ()).unwrap().content else { continue };
        let report = RunReport::of(&run.judge, run.policy()).unwrap();
        let document: Value = serde_json::from_str(&in_format(Format::Json, &report)).unwrap();
        let mut found = BTreeMap::new();
        figures(&document, "", &mut found);
        // Null may stand for a text or a list too: those of a name that is no metric's.
        found.retain(|name, value| value.is_some() || METRICS.iter().any(|metric| metric.name == pattern(name)));
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
            assert_eq!(measured, *value, "{name}: {}", gated.sentence);
            assert_eq!(gated.failed, value.is_none_or(|value| value > 0.0), "{name}: {}", gated.sentence);
        }
    }
    let all: BTreeSet<String> = METRICS.iter().map(|metric| metric.name.clone()).collect();
    assert_eq!(all.len(), METRICS.len(), "each name once");
    let unseen: Vec<_> = all.difference(&seen).collect();
    assert!(unseen.is_empty(), "metrics that no document has: {unseen:#?}");
}

#[test]
fn explain_lists_each_metric_with_its_unit_and_its_meaning() {
    let told = end(&mut mailconn(["explain", "metrics"]));
    assert_eq!((told.code, &*told.stderr), (0, ""));
    assert!(told.stdout.lines().all(|line| line.chars().count() <= 80), "{}", told.stdout);
    let mut rows: BTreeMap<&str, String> = BTreeMap::new();
    let mut name = "";
    for line in told.stdout.lines().filter(|line| !line.is_empty()) {
        if !line.starts_with(' ') {
            name = line.split(' ').next().unwrap();
        }
        *rows.entry(name).or_default() += &format!("{line} ");
    }
    for metric in METRICS.iter() {
        let row = rows[&*metric.example()].split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(row, format!("{} {} {}", metric.example(), metric.unit.name(), metric.means));
    }
}
