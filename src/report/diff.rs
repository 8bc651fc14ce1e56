//! Two runs side by side: first what they came to and the settings in which they differ, then their figures.

use schemars::JsonSchema;
use serde::Serialize;

use super::json::{SCHEMA_VERSION, indented};
use super::layout::{Layout, figures, names, words};
use super::words::printable;
use crate::judge::{Earlier, METRICS};

/// A figure that one of the runs has, or both.
#[derive(Serialize, JsonSchema)]
struct Figure {
    /// Its name, as gates have it.
    metric: &'static str,
    /// What it is measured in.
    unit: &'static str,
    /// Of both runs; null where one has none.
    values: [Option<f64>; 2],
    /// By how many per cent of the first value the second is more; null where there is nothing to compare with.
    change_percent: Option<f64>,
    #[serde(skip)]
    shown: [String; 2],
}

/// The figures of the runs themselves, not of their rows: a worker of one is no worker of the other.
fn compared(one: &Earlier, other: &Earlier) -> impl Iterator<Item = Figure> {
    let of_run = METRICS.iter().filter(|metric| !metric.name.contains("[]"));
    of_run.filter_map(move |metric| {
        let both = [one, other].map(|run| run.shown(metric));
        let values = both.each_ref().map(|figure| figure.as_ref().map(|(value, _)| *value));
        let change_percent = match values {
            [Some(one), Some(other)] => (one > 0.0).then(|| (other - one) / one * 100.0),
            [None, None] => return None,
            _ => None,
        };
        let shown = both.map(|figure| figure.map_or_else(|| "-".to_owned(), |(_, shown)| shown));
        Some(Figure { metric: &metric.name, unit: metric.unit.name(), values, change_percent, shown })
    })
}

/// The exit codes, what two probes found, the findings and failures in which they differ, each by its name.
fn outcomes(one: &Earlier, other: &Earlier) -> Vec<Outcome> {
    let codes = [one, other].map(|run| run.exit_code().map_or_else(|| "not told".to_owned(), |code| code.to_string()));
    let exit = (codes[0] != codes[1]).then_some(Outcome { name: "exit_code".to_owned(), values: codes });
    let counts = one.counts().zip(other.counts()).filter_map(|((name, one), (_, other))| {
        let values = [one, other].map(|count| count.map_or_else(|| "not seen".to_owned(), |count| count.to_string()));
        (one.unwrap_or(0) != other.unwrap_or(0)).then_some(Outcome { name, values })
    });
    let found = one.found().zip(other.found()).filter(|((_, one), (_, other))| one != other);
    let found = found.map(|((name, one), (_, other))| {
        let values = [one, other].map(|value| value.unwrap_or_else(|| "none".to_owned()));
        Outcome { name: name.to_owned(), values }
    });
    exit.into_iter().chain(found).chain(counts).collect()
}

fn settings(one: &Earlier, other: &Earlier) -> Vec<Setting> {
    let differs = one.differs_from(other).into_iter();
    differs.map(|it| Setting { setting: it.what, values: [it.one, it.other] }).collect()
}

/// For people, at most 80 columns wide.
#[must_use]
pub fn diff_text(layout: Layout, one: &Earlier, other: &Earlier) -> String {
    let mut text =
        layout.paragraph(&format!("A is run {}, B is run {}", printable(one.run_id()), printable(other.run_id())));
    let (outcomes, settings) = (outcomes(one, other), settings(one, other));
    if outcomes.is_empty() {
        let code =
            one.exit_code().map_or_else(|| "no exit code that is told".to_owned(), |code| format!("exit {code}"));
        text += &layout.paragraph(&format!("both came to {code}, with the same findings and failures"));
    }
    if settings.is_empty() {
        text += &layout.paragraph("all settings are the same");
    }
    let outcomes = outcomes.into_iter().map(|it| (it.name, it.values));
    let settings = settings.into_iter().map(|it| (it.setting, it.values));
    let differing = outcomes.chain(settings).map(|(what, [one, other])| vec![what, printable(&one), printable(&other)]);
    let differing = layout.grid(&[names("differs"), words("A"), words("B")], &[], differing);
    let is_nought = |figure: &Figure| figure.values.iter().all(|value| value.is_none_or(|value| value == 0.0));
    let rows = compared(one, other).filter(|figure| !is_nought(figure)).map(|figure| {
        let change = figure.change_percent.map_or_else(String::new, |change| format!("{change:+.1}%"));
        let [one, other] = figure.shown;
        vec![figure.metric.to_owned(), one, other, change]
    });
    let figures = layout.grid(&[names("figure"), figures("A"), figures("B"), figures("change")], &[], rows);
    [text, differing, figures].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

/// Two runs side by side.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Diff")]
pub(super) struct DiffShape<'a> {
    /// The version of the documents' form: 1. Under one number fields are added, and none is renamed or taken away.
    schema_version: u32,
    /// The version of mailconn that wrote this.
    tool_version: &'static str,
    /// The runs.
    run_ids: [&'a str; 2],
    /// The exit code, what was found of limits, findings and failures in which they differ.
    outcomes: Vec<Outcome>,
    /// The settings in which they differ.
    differs: Vec<Setting>,
    /// The figures that one of the runs has, or both.
    figures: Vec<Figure>,
}

/// Something that came out otherwise.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Differs")]
struct Outcome {
    /// Its name: `exit_code`, a finding, a failure.
    name: String,
    /// In words, of both runs.
    values: [String; 2],
}

/// A setting in which they differ.
#[derive(Serialize, JsonSchema)]
struct Setting {
    /// Its name.
    setting: String,
    /// As each has it.
    values: [String; 2],
}

/// One JSON object, indented, with a newline at its end.
#[must_use]
pub fn diff_json(one: &Earlier, other: &Earlier) -> Vec<u8> {
    indented(&DiffShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        run_ids: [one.run_id(), other.run_id()],
        outcomes: outcomes(one, other),
        differs: settings(one, other),
        figures: compared(one, other).collect(),
    })
}
