//! A comparison: what to choose, the verdict on each variant, and the variants side by side.

use super::blocks::{exit, foot, gates, heading, list, paragraph, sheet};
use super::parts::{Part, Rank, ledger};
use crate::report::comparison::{answer, reason, verdict};
use crate::report::layout::Layout;
use crate::report::model::ComparisonReport;
use crate::report::outline::Outline;
use crate::report::table::comparison::{compared, headings, sheets};
use crate::report::table::verdict::whose;
use crate::report::words::origin;

pub(super) fn parts(report: &ComparisonReport) -> Vec<Part> {
    let ComparisonReport { comparison, end, .. } = report;
    let code = report.exit_code();
    let mut text = heading(&Outline::of_comparison(report)) + &paragraph(&answer(report).1);
    text += &paragraph(&compared(report));
    text += &exit(
        code,
        &reason(comparison, &report.rounds, end),
        &whose("comparison", report.told_again, code.unwrap_or_default()),
    );
    text += &list(headings(report));
    let mut sheets = sheets(Layout::UNBROKEN, report).into_iter();
    let verdicts = sheets.next().map(|it| sheet(&it)).unwrap_or_default();
    let verdicts = verdicts + &list(end.verdicts.iter().map(|it| verdict(report, it)));
    let start = comparison.start();
    let mut parts = vec![
        Part::new(Rank::Verdict, "a verdict", text),
        Part::new(Rank::Found, "verdicts", verdicts.trim_start().to_owned()),
        Part::new(Rank::Found, "gates", gates(&end.gates)),
    ];
    parts.extend(ledger(sheets));
    parts.push(Part::new(Rank::Verdict, "a foot", foot(&origin(&start.tool_version, None, start.started))));
    parts
}
