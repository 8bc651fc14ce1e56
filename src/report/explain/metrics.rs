//! The table of metrics, from the table that gates are read by.

use crate::figures::NEEDED;
use crate::judge::{METRICS, Metric, MetricUnit, keyed};
use crate::report::layout::Layout;

/// The first figure of a spread, and the one that its row shows.
const FIRST: &str = ".n";
const SHOWN: &str = "p95";

/// A row of the table: a metric, or all that one spread is given by.
struct Row {
    /// Its place among others: that of the run, of an operation …
    scope: &'static str,
    name: String,
    unit: &'static str,
    means: String,
}

/// Every metric with that in its name, or in that of its rows: its name, its unit, its meaning. None if there is none.
pub(super) fn table(part: &str) -> Option<String> {
    let rows: Vec<Row> = METRICS.iter().filter_map(row).filter(|row| is_about(row, part)).collect();
    let section = |rows: &[Row]| {
        let width = rows.iter().map(|row| row.name.len()).max().unwrap_or_default();
        Layout::PLAIN
            .labelled(rows.iter().map(|row| (format!("{:<width$}  {:<12} ", row.name, row.unit), row.means.clone())))
    };
    let sections = rows.chunk_by(|one, next| one.scope == next.scope).map(section);
    let parts: Vec<String> = part.is_empty().then(beginning).into_iter().chain(sections).collect();
    (!rows.is_empty()).then(|| parts.join("\n"))
}

fn beginning() -> String {
    let needed =
        NEEDED.iter().filter(|(_, needed)| *needed > 1).map(|(figure, needed)| format!("{figure} of {needed}"));
    let needed: Vec<String> = needed.collect();
    let lists = keyed().map(|(row, list)| (format!("  {row:<20} "), format!("a row of {list}")));
    Layout::PLAIN.paragraph(
        "What a gate can be about: 'METRIC OPERATOR NUMBER' (--fail-if, or a line of a --gates file) fails the run where that is \
         so, OPERATOR being one of > >= < <= == !=. 'METRIC regressed > 10%' compares with an earlier run: mailconn explain \
         regressed. A comparison has gates on ratios and verdicts, too: mailconn explain gate. mailconn explain metrics PART shows \
         those with PART for a word in their name, as in mailconn explain metrics service.",
    ) + "\n"
        + &Layout::PLAIN.paragraph(
            "A name is the figure's place in the JSON document (mailconn run --format json), without _us. With a key in brackets \
             it is in one row of a list there, by its own name:",
        )
        + &Layout::PLAIN.labelled(lists)
        + "\n"
        + &Layout::PLAIN.paragraph(&format!(
            "wait, dial and service are spreads, each with n (how many were measured), p50 to p99.9 (p95: 95 % took no longer) and \
             max (the longest). A percentile of too few is not measured, and fails its gate: {} at least. Under a duration, wait \
             counts those too that stood in line when the time ran out.",
            needed.join(", ")
        ))
}

/// Whether its name has those words, whole ones: `ratio` is none of `operations`. One of several is meant by one.
fn is_about(row: &Row, part: &str) -> bool {
    let (name, part) = (row.name.to_lowercase(), part.to_lowercase());
    let is_end = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric());
    name.match_indices(&part).any(|(at, _)| {
        let (before, behind) = (&name[..at], &name[at + part.len()..]);
        let begins = !before.ends_with(|c: char| c.is_alphanumeric()) || !part.starts_with(char::is_alphanumeric);
        let ends =
            is_end(behind) || behind.strip_prefix('s').is_some_and(is_end) || !part.ends_with(char::is_alphanumeric);
        begins && ends
    })
}

/// None of the figures of a spread that stand in the row of its first.
fn row(metric: &Metric) -> Option<Row> {
    let name = metric.example();
    let figure = NEEDED.iter().find(|(figure, _)| name.ends_with(&format!(".{figure}")));
    let spread = name.strip_suffix(FIRST);
    let is_spread = |figure: &str| {
        METRICS.iter().any(|it| it.example() == format!("{}{FIRST}", &name[..name.len() - figure.len() - 1]))
    };
    if figure.is_some_and(|(figure, _)| is_spread(figure)) {
        return None;
    }
    // What was found and what failed has rows of its own kind, and is of the run.
    let scope = metric.name.split_once("[].").map_or("", |(row, _)| row);
    let scope = keyed().map(|(row, _)| row).find(|row| row.split('[').next() == Some(scope)).unwrap_or_default();
    let scope = if ["findings", "failures"].iter().any(|row| scope.starts_with(row)) { "" } else { scope };
    let Some(spread) = spread else {
        return Some(Row { scope, name, unit: takes(metric.unit), means: metric.means.clone() });
    };
    let others = NEEDED.iter().map(|(figure, _)| *figure).filter(|figure| *figure != SHOWN);
    let others: String = others.map(|figure| format!(" .{figure}")).collect();
    let means = metric.means.split(": ").next().unwrap_or_default();
    let means = format!("{means}; also {FIRST}{others}");
    Some(Row { scope, name: format!("{spread}.{SHOWN}"), unit: takes(MetricUnit::Time), means })
}

/// What a gate takes for a number of it.
const fn takes(unit: MetricUnit) -> &'static str {
    match unit {
        MetricUnit::Count => "count",
        MetricUnit::Time => "time (ms, s)",
        MetricUnit::Bytes => "bytes",
        MetricUnit::Rate => "per second",
    }
}
