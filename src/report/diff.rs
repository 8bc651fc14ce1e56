//! Two runs side by side: first the settings in which they differ, then their figures.

use serde::Serialize;

use super::json::{SCHEMA_VERSION, indented};
use super::table::grid::{figures, grid, names, paragraph, words};
use super::words::printable;
use crate::judge::{Earlier, METRICS, Metric};

/// A figure that one of the runs has, or both.
struct Row {
    metric: &'static Metric,
    one: Option<(f64, String)>,
    other: Option<(f64, String)>,
}

impl Row {
    /// By how many per cent of the one the other is more; none where there is nothing to compare with.
    fn change_percent(&self) -> Option<f64> {
        let ((one, _), (other, _)) = self.one.as_ref().zip(self.other.as_ref())?;
        (*one > 0.0).then(|| (other - one) / one * 100.0)
    }
}

/// The figures of the runs themselves, not of their rows: a worker of one is no worker of the other.
fn rows(one: &Earlier, other: &Earlier) -> impl Iterator<Item = Row> {
    let of_run = METRICS.iter().filter(|metric| !metric.name.contains("[]"));
    let rows = of_run.map(|metric| Row { metric, one: one.shown(metric), other: other.shown(metric) });
    rows.filter(|row| row.one.is_some() || row.other.is_some())
}

/// For people, at most 80 columns wide.
#[must_use]
pub fn diff_text(one: &Earlier, other: &Earlier) -> String {
    let differs = one.differs_from(other);
    let mut text = paragraph(&format!("A is run {}, B is run {}", printable(one.run_id()), printable(other.run_id())));
    if differs.is_empty() {
        text += &paragraph("both of the same protocol, server, TLS, mode, threads and mix");
    }
    let settings =
        differs.iter().map(|it| vec![it.what.to_owned(), printable(&it.one), printable(&it.other)]).collect::<Vec<_>>();
    let differing = grid(&["differs", "A", "B"].map(words), &[], settings);
    let shown = |figure: &Option<(f64, String)>| figure.as_ref().map_or_else(|| "-".to_owned(), |(_, it)| it.clone());
    let is_nought = |figure: &Option<(f64, String)>| figure.as_ref().is_none_or(|(value, _)| *value == 0.0);
    let rows = rows(one, other).filter(|row| !(is_nought(&row.one) && is_nought(&row.other))).map(|row| {
        let change = row.change_percent().map_or_else(String::new, |change| format!("{change:+.1}%"));
        vec![row.metric.name.clone(), shown(&row.one), shown(&row.other), change]
    });
    let figures = grid(&[names("figure"), figures("A"), figures("B"), figures("change")], &[], rows);
    [text, differing, figures].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("\n")
}

#[derive(Serialize)]
struct DiffShape<'a> {
    schema_version: u32,
    tool_version: &'static str,
    /// The runs.
    run_ids: [&'a str; 2],
    /// The settings in which they differ.
    differs: Vec<DifferShape>,
    figures: Vec<FigureShape>,
}

#[derive(Serialize)]
struct DifferShape {
    setting: &'static str,
    values: [String; 2],
}

#[derive(Serialize)]
struct FigureShape {
    metric: &'static str,
    unit: &'static str,
    /// Null where a run has none.
    values: [Option<f64>; 2],
    /// Of the first one; null where there is nothing to compare with.
    change_percent: Option<f64>,
}

/// One JSON object, indented, with a newline at its end.
#[must_use]
pub fn diff_json(one: &Earlier, other: &Earlier) -> Vec<u8> {
    let differs = one.differs_from(other).into_iter();
    let figure = |row: Row| FigureShape {
        metric: &row.metric.name,
        unit: row.metric.unit.name(),
        change_percent: row.change_percent(),
        values: [row.one, row.other].map(|figure| figure.map(|(value, _)| value)),
    };
    indented(&DiffShape {
        schema_version: SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION"),
        run_ids: [one.run_id(), other.run_id()],
        differs: differs.map(|it| DifferShape { setting: it.what, values: [it.one, it.other] }).collect(),
        figures: rows(one, other).map(figure).collect(),
    })
}
