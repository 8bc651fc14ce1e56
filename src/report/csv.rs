//! One long table: each value of the JSON document in a row of its own, for spreadsheets and data frames.
//!
//! Long, since a report tells of connections, workers, operations, dials and rounds, which share no columns: one filter on
//! `section` and one pivot of `metric` make the wide table of any of them, and no figure has to be left out.

use std::io::{self, Write};

use csv::Writer;
use serde_json::{Map, Value};

use super::format::{Form, Render, Spec};
use super::json;
use super::model::{Report, Told};

pub(super) const SPEC: Spec = Spec {
    name: "csv",
    purpose: "One table for spreadsheets, at the end: a row for each value of the JSON document",
    ending: Some("csv"),
    form: Form::Whole(&Csv),
};

const COLUMNS: [&str; 10] = ["report", "kind", "section", "row", "name", "variant", "round", "metric", "value", "unit"];

/// What names the row of a section, the best name first.
const NAMES: [&str; 14] = [
    "session",
    "connection",
    "worker",
    "task",
    "id",
    "gate",
    "operation",
    "step",
    "line",
    "run_id",
    "variant",
    "name",
    "mode",
    "kind",
];

struct Csv;

impl Render for Csv {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let mut csv = Writer::from_writer(out);
        csv.write_record(COLUMNS)?;
        for (at, told) in report.told.iter().enumerate() {
            let kind = match told {
                Told::Run(run) if run.start.probe.is_some() => "limits",
                Told::Run(_) => "run",
                Told::Scenario(_) => "scenario",
                Told::Comparison(_) => "comparison",
            };
            let document = json::document(told)?;
            let own = Place { report: at + 1, kind, section: kind, row: None };
            for (section, value) in document.as_object().into_iter().flatten() {
                match value {
                    Value::Object(_) => own.of(section).values(String::new(), value, &mut csv)?,
                    Value::Array(rows) if rows.iter().all(Value::is_object) => {
                        for (at, row) in rows.iter().enumerate() {
                            let place = Place { row: row.as_object().map(|row| (at + 1, row)), ..own.of(section) };
                            place.values(String::new(), row, &mut csv)?;
                        }
                    }
                    _ => own.values(section.clone(), value, &mut csv)?,
                }
            }
        }
        csv.flush()
    }
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place<'a> {
    report: usize,
    kind: &'a str,
    section: &'a str,
    /// The row of the section, from 1.
    row: Option<(usize, &'a Map<String, Value>)>,
}

impl<'a> Place<'a> {
    const fn of(self, section: &'a str) -> Self {
        Self { section, ..self }
    }

    /// A row for each value in it. What is deeper has a metric of several words: `wait_us.p50`, `connections.1`.
    fn values(self, metric: String, value: &Value, csv: &mut Writer<impl Write>) -> io::Result<()> {
        let below = |name: &str| if metric.is_empty() { name.to_owned() } else { format!("{metric}.{name}") };
        match value {
            Value::Object(all) => all.iter().try_for_each(|(name, value)| self.values(below(name), value, csv)),
            Value::Array(all) => {
                all.iter().enumerate().try_for_each(|(at, value)| self.values(below(&(at + 1).to_string()), value, csv))
            }
            value => self.one(&metric, value, csv),
        }
    }

    fn one(self, metric: &str, value: &Value, csv: &mut Writer<impl Write>) -> io::Result<()> {
        let of_row = |name: &str| self.row.and_then(|(_, row)| row.get(name)).map(cell);
        let name = NAMES.iter().find_map(|name| of_row(name).filter(|it| !it.is_empty()));
        csv.write_record([
            self.report.to_string(),
            self.kind.to_owned(),
            inert(self.section),
            self.row.map(|(at, _)| at.to_string()).unwrap_or_default(),
            name.unwrap_or_default(),
            of_row("variant").unwrap_or_default(),
            of_row("round").unwrap_or_default(),
            inert(metric),
            cell(value),
            unit(metric, value).to_owned(),
        ])?;
        Ok(())
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(is) => is.to_string(),
        Value::String(text) => inert(text),
        _ => String::new(),
    }
}

/// Text that no spreadsheet takes for a formula: an apostrophe stands before what it would.
fn inert(text: &str) -> String {
    let begins = text.trim_start().chars().next();
    let is_formula = matches!(begins, Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}'));
    let is_control = text.starts_with(['\t', '\r', '\n']);
    if is_formula || is_control { format!("'{text}") } else { text.to_owned() }
}

/// What a number is measured in; nothing of what counts, or is no number.
fn unit(metric: &str, value: &Value) -> &'static str {
    let is = |ending: &str| metric.split('.').any(|word| word.ends_with(ending));
    match value {
        Value::Number(_) if metric == "n" || metric.ends_with(".n") => "",
        Value::Number(_) if is("_us") => "us",
        Value::Number(_) if is("_per_second") => "per second",
        Value::Number(_) if is("bytes_sent") || is("bytes_received") => "bytes",
        _ => "",
    }
}
