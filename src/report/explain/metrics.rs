//! The table of metrics, from the table that gates are read by.

use crate::judge::METRICS;
use crate::report::table::grid::{labelled, paragraph};

/// Every metric: its name, its unit, its meaning.
pub(super) fn table() -> String {
    let mut text = paragraph(
        "What a gate can be about (--fail-if 'METRIC OPERATOR NUMBER'; OPERATOR is one of > >= < <= == !=). A time has a unit, \
         as in 200ms. A name is the figure's place in the JSON document, without _us; the key in brackets picks one row.",
    );
    let mut scope = "";
    for metric in METRICS.iter() {
        // What was found and what failed has rows of its own kind, and is of the run.
        let row = metric.name.split_once("[].").map_or("", |(row, _)| row);
        let row = if ["findings", "failures"].contains(&row) { "" } else { row };
        if row != scope {
            scope = row;
            text.push('\n');
        }
        let unit = metric.unit.name();
        let name = format!("{:<31} {unit:<10} ", metric.example());
        text += &labelled([(name, metric.means.clone())]);
    }
    text
}
