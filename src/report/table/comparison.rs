//! A comparison: first what to choose, then the variants side by side, then what was not the same in each round.

use serde_json::Number;

use super::gates;
use crate::report::layout::{Layout, Over, Sheet, figures, names, words};
use super::verdict::{CUT, whose};
use crate::event::{ComparisonVerdict, Micros};
use crate::judge::{Counted, VariantFigures};
use crate::report::comparison::{USUAL, choice, interval, percent, reason, times, verdict, why_stopped};
use crate::report::model::ComparisonReport;
use crate::report::words::{count, many, ms, origin, per_second, printable, short, span};

pub(in crate::report) fn table(layout: Layout, report: &ComparisonReport) -> String {
    let end = &report.end;
    let start = report.comparison.start();
    let heading = layout.paragraph(&compared(report)) + &layout.origin(&origin(&start.tool_version, None, start.started));
    let headings: String = headings(report).iter().map(|line| layout.paragraph(line)).collect();
    let mut parts = vec![layout.paragraph(&choice(report)), heading + &headings];
    parts.extend(sheets(layout, report).iter().map(|sheet| sheet.text(layout)));
    let sentences: String = end.verdicts.iter().map(|it| layout.paragraph(&verdict(report, it))).collect();
    parts.push(sentences + &uneven(layout, &rows(report)));
    parts.push(gates::section(layout, "", &end.gates) + &conclusion(layout, report));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// Each variant, and its figures.
fn rows(report: &ComparisonReport) -> Vec<(String, VariantFigures)> {
    let ComparisonReport { comparison, rounds, .. } = report;
    let variants = comparison.start().variants.iter().enumerate();
    variants.map(|(at, variant)| (printable(&variant.name), comparison.figures_of(at, rounds))).collect()
}

/// The variants side by side, if there was a whole round.
pub(in crate::report) fn sheets(layout: Layout, report: &ComparisonReport) -> Vec<Sheet> {
    if report.rounds.is_empty() {
        return Vec::new();
    }
    let rows = rows(report);
    vec![speeds(report, &rows).with(disagreeing(layout, report)), latencies(layout, &rows), costs(layout, &rows)]
}

/// What was compared, and how.
pub(in crate::report) fn compared(report: &ComparisonReport) -> String {
    let (start, end) = (report.comparison.start(), &report.end);
    let all = many(u64::from(start.rounds), "round");
    let rounds = if end.rounds == start.rounds { all } else { format!("{} of {all}", end.rounds) };
    let variants = start.variants.len() as u64;
    let far = report.comparison.rtt().map_or_else(String::new, |rtt| format!(" (rtt {})", span(rtt)));
    // How long it took is not known of one that was cut.
    let took = if report.ended { format!("; {}", span(end.elapsed_us)) } else { String::new() };
    format!(
        "{}{far}, {} in {rounds} after a warm-up, {}, noise {}, seed {}{took}",
        printable(&start.server),
        many(variants, "variant"),
        printable(&start.metric),
        percent(start.noise),
        start.seed,
    )
}

/// What each variant is, and what to know of all of them.
pub(in crate::report) fn headings(report: &ComparisonReport) -> Vec<String> {
    let variants = report.comparison.start().variants.iter().filter(|it| it.name != it.arguments);
    let mut lines: Vec<String> =
        variants.map(|it| format!("{}: {}", printable(&it.name), printable(&it.arguments))).collect();
    lines.extend(report.end.stopped.as_ref().map(|stopped| format!("stopped early: {}", why_stopped(&report.comparison, stopped))));
    lines.extend(few_operations(report));
    if report.comparison.is_on_loopback() {
        lines.push(
            "the sandbox is on this machine, where a connection costs nearly nothing: --rtt 80ms shows what a server so far \
             away makes of it"
                .to_owned(),
        );
    }
    lines
}

/// That a rate is coarse, and a ratio with it, where a run is a few operations long.
fn few_operations(report: &ComparisonReport) -> Option<String> {
    const ENOUGH: u64 = 10;
    let counted = rows(report).into_iter().filter_map(|(name, figures)| Some((figures.operations?, name)));
    let (least, name) = counted.min_by_key(|(operations, _)| *operations).filter(|(least, _)| *least < ENOUGH)?;
    let did = many(least, "operation");
    Some(format!(
        "{name} did {did} in a run: too few for its rate, so its ratio may be far off; let runs last longer (--duration, -n)"
    ))
}

/// The metric, and what comes of it.
fn speeds(report: &ComparisonReport, rows: &[(String, VariantFigures)]) -> Sheet {
    let ComparisonReport { comparison, rounds, .. } = report;
    let its_own = comparison.start().metric != USUAL;
    let of = |name: &str| report.end.verdicts.iter().find(|it| printable(&it.variant) == name);
    let rows = rows.iter().enumerate().map(|(at, (name, figures))| {
        let mut row = vec![name.clone(), figures.rate.map_or_else(|| "-".to_owned(), per_second)];
        if its_own {
            row.push(comparison.middle_shown(at, rounds).unwrap_or_else(|| "-".to_owned()));
        }
        match of(name) {
            None => row.extend(["1x".to_owned(), String::new(), "the reference".to_owned()]),
            Some(it) => row.extend([
                it.ratio.as_ref().map_or_else(|| "-".to_owned(), times),
                interval(it).unwrap_or_default(),
                it.decision.name().to_owned(),
            ]),
        }
        row
    });
    let mut columns = vec![words("variant"), figures("rate")];
    if its_own {
        columns.push(figures("median"));
    }
    columns.extend([figures("ratio"), names("interval").after(2), words("verdict")]);
    Sheet::new("Verdicts", columns, [], rows)
}

/// The variants whose ratio says something else than the medians beside it: they are outside of its interval or, where it has
/// none, far from it; or on the other side of the reference's.
fn disagreeing(layout: Layout, report: &ComparisonReport) -> String {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let start = comparison.start();
    let median = |name: &str| {
        let at = start.variants.iter().position(|it| it.name == name)?;
        comparison.middle(at, rounds).filter(|median| *median > 0.0)
    };
    let Some(reference) = median(&start.reference) else { return String::new() };
    let differs = |it: &&ComparisonVerdict| {
        let [ratio, low, high] = [&it.ratio, &it.low, &it.high].map(|it| it.as_ref().and_then(Number::as_f64));
        let medians = median(&it.variant).map(|its| its / reference);
        medians.zip(ratio).is_some_and(|(medians, ratio)| {
            let apart = (medians / ratio).ln().abs();
            let is_outside = low.is_some_and(|low| medians < low) || high.is_some_and(|high| medians > high);
            let is_opposite = (medians - 1.0) * (ratio - 1.0) < 0.0 && apart > 0.01;
            is_outside || is_opposite || low.is_none() && high.is_none() && apart > 0.05
        })
    };
    let names: Vec<String> = end.verdicts.iter().filter(differs).map(|it| printable(&it.variant)).collect();
    let what = if start.metric == USUAL { "rate" } else { "median" };
    match names.is_empty() {
        true => String::new(),
        false => layout.paragraph(&format!(
            "{}: the {what} is the middle of all rounds, the ratio is taken within each, and the rounds differ",
            names.join(", ")
        )),
    }
}

/// Waits and service times.
fn latencies(layout: Layout, rows: &[(String, VariantFigures)]) -> Sheet {
    let time = |time: &Option<Micros>| time.map_or_else(|| "-".to_owned(), ms);
    let is_missing = rows.iter().any(|(_, of)| of.wait.iter().chain(&of.service).any(Option::is_none));
    let few = if is_missing { layout.paragraph("-: n too small in a round; p95 needs 20, p99 100") } else { String::new() };
    let rows = rows.iter().map(|(name, of)| {
        [name.clone()].into_iter().chain(of.wait.iter().chain(&of.service).map(time)).collect::<Vec<_>>()
    });
    let columns = [
        words("variant"),
        figures("p50"),
        figures("p95"),
        figures("p99"),
        figures("p50").after(3),
        figures("p95"),
        figures("p99"),
    ];
    let over = [Over { columns: 1..=3, title: "wait ms" }, Over { columns: 4..=6, title: "service ms" }];
    Sheet::new("Times", columns, over, rows).with(few)
}

/// What it costs, and what went wrong.
fn costs(layout: Layout, rows: &[(String, VariantFigures)]) -> Sheet {
    let none = || "-".to_owned();
    let table = rows.iter().map(|(name, of)| {
        let [opened, peak, sign_ins, wrong, failed] = match &of.counts {
            Some(counts) => counts.each_ref().map(range),
            None => [none(), none(), none(), none(), none()],
        };
        let findings: Vec<&str> = of.findings.keys().map(|id| &**id).collect();
        vec![
            name.clone(),
            of.operations.map_or_else(none, short),
            opened,
            peak,
            sign_ins,
            of.bytes.map_or_else(none, |(sent, _)| short(sent)),
            of.bytes.map_or_else(none, |(_, received)| short(received)),
            of.cpu.map_or_else(none, ms),
            failed,
            wrong,
            findings.join(" "),
        ]
    });
    let columns = [
        words("variant"),
        figures("ops"),
        figures("opened"),
        figures("peak"),
        figures("sign-ins"),
        figures("out"),
        figures("in"),
        figures("cpu"),
        figures("failed"),
        figures("wrong"),
        words("findings"),
    ];
    let over = [Over { columns: 5..=6, title: "bytes" }, Over { columns: 7..=7, title: "ms" }];
    Sheet::new("Costs", columns, over, table).with(unequal(layout, rows))
}

/// That what is of a run is not of the same work, where it is not.
fn unequal(layout: Layout, rows: &[(String, VariantFigures)]) -> String {
    let operations = || rows.iter().filter_map(|(_, of)| of.operations);
    match operations().min().zip(operations().max()) {
        Some((least, most)) if most - least > least / 10 => {
            layout.paragraph("bytes and cpu are those of a run; a run of one variant did more operations (ops) than one of another")
        }
        _ => String::new(),
    }
}

/// `8`, or `7-8` where it is not the same in each round.
pub(in crate::report) fn range(of: &Counted) -> String {
    match (of.least(), of.most()) {
        (least, most) if least == most => most.to_string(),
        (least, most) => format!("{least}-{most}"),
    }
}

/// The counts that are not the same in each round.
fn uneven(layout: Layout, rows: &[(String, VariantFigures)]) -> String {
    const NAMED: usize = 5;
    let mut text = String::new();
    for (name, of) in rows {
        for it in of.counts.iter().flatten().filter(|it| !it.others.is_empty()) {
            let others = it.others.iter().take(NAMED).map(|(round, value)| format!("{} in round {round}", count(*value)));
            let mut others: Vec<String> = others.collect();
            if it.others.len() > NAMED {
                others.push(format!("others in {} more", it.others.len() - NAMED));
            }
            text += &layout.paragraph(&format!("{name}: {} {}, but {}", it.what, count(it.usual), others.join(", ")));
        }
    }
    text
}

fn conclusion(layout: Layout, report: &ComparisonReport) -> String {
    match report.exit_code() {
        Some(code) => {
            let whose = whose("comparison", report.told_again, code);
            layout.whole(&format!("exit {code}: {}{whose}", reason(&report.comparison, &report.rounds, &report.end)))
        }
        None => layout.paragraph(CUT),
    }
}
