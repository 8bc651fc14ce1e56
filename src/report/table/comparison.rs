//! A comparison: first what to choose, then the variants side by side, then what was not the same in each round.

use serde_json::Number;

use super::gates;
use crate::report::layout::{Layout, Over, figures, names, whole, words};
use super::verdict::{CUT, whose};
use crate::event::{ComparisonVerdict, Micros};
use crate::judge::{Counted, VariantFigures};
use crate::report::comparison::{choice, interval, percent, reason, times, verdict, why_stopped};
use crate::report::model::ComparisonReport;
use crate::report::words::{count, many, ms, per_second, printable, short, span};

pub(in crate::report) fn table(layout: Layout, report: &ComparisonReport) -> String {
    let ComparisonReport { comparison, end, .. } = report;
    let rounds = comparison.whole_rounds(&end.ending());
    let variants = &comparison.start().variants;
    let rows: Vec<(String, VariantFigures)> = variants
        .iter()
        .enumerate()
        .map(|(at, variant)| (printable(&variant.name), comparison.figures_of(at, &rounds)))
        .collect();
    let mut parts = vec![layout.paragraph(&choice(report)), heading(layout, report)];
    if !rounds.is_empty() {
        parts.push(speeds(layout, report, &rows, &rounds) + &disagreeing(layout, report, &rows));
        parts.push(latencies(layout, &rows));
        parts.push(costs(layout, &rows));
    }
    let sentences: String = end.verdicts.iter().map(|it| layout.paragraph(&verdict(report, it))).collect();
    parts.push(sentences + &uneven(layout, &rows));
    parts.push(gates::section(layout, "", &end.gates) + &conclusion(layout, report));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What was compared, and how.
fn heading(layout: Layout, report: &ComparisonReport) -> String {
    let (start, end) = (report.comparison.start(), &report.end);
    let all = many(u64::from(start.rounds), "round");
    let rounds = if end.rounds == start.rounds { all } else { format!("{} of {all}", end.rounds) };
    let variants = start.variants.len() as u64;
    let mut text = layout.paragraph(&format!(
        "{}, {} in {rounds} after a warm-up, {}, noise {}, seed {}; {}",
        printable(&start.server),
        many(variants, "variant"),
        printable(&start.metric),
        percent(start.noise),
        start.seed,
        span(end.elapsed_us),
    ));
    headings(report).iter().for_each(|line| text += &layout.paragraph(line));
    text
}

/// What each variant is, and what to know of all of them.
pub(in crate::report) fn headings(report: &ComparisonReport) -> Vec<String> {
    let variants = report.comparison.start().variants.iter().filter(|it| it.name != it.arguments);
    let mut lines: Vec<String> =
        variants.map(|it| format!("{}: {}", printable(&it.name), printable(&it.arguments))).collect();
    lines.extend(report.end.stopped.as_ref().map(|stopped| format!("stopped early: {}", why_stopped(stopped))));
    if report.comparison.is_on_loopback() {
        lines.push(
            "the sandbox is on this machine, where a connection costs nearly nothing: --rtt 80ms shows what a server so far \
             away makes of it"
                .to_owned(),
        );
    }
    lines
}

/// The metric, and what comes of it.
fn speeds(layout: Layout, report: &ComparisonReport, rows: &[(String, VariantFigures)], rounds: &[u32]) -> String {
    let comparison = &report.comparison;
    let its_own = comparison.start().metric != "operations_per_second";
    let of = |name: &str| report.end.verdicts.iter().find(|it| printable(&it.variant) == name);
    let rows = rows.iter().enumerate().map(|(at, (name, figures))| {
        let mut row = vec![name.clone(), figures.rate.map_or_else(|| "-".to_owned(), per_second)];
        if its_own {
            row.push(comparison.middle(at, rounds).unwrap_or_else(|| "-".to_owned()));
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
    layout.grid(&columns, &[], rows)
}

/// The variants whose ratio says something else than the rates beside it.
fn disagreeing(layout: Layout, report: &ComparisonReport, rows: &[(String, VariantFigures)]) -> String {
    let rate = |name: &str| rows.iter().find(|(its, _)| its == name).and_then(|(_, of)| of.rate);
    let Some(reference) = rate(&printable(&report.comparison.start().reference)) else { return String::new() };
    let differs = |it: &&ComparisonVerdict| {
        let medians = rate(&printable(&it.variant)).map(|its| its / reference);
        let bounds = it.low.as_ref().and_then(Number::as_f64).zip(it.high.as_ref().and_then(Number::as_f64));
        medians.zip(bounds).is_some_and(|(medians, (low, high))| !(low..=high).contains(&medians))
    };
    let names: Vec<String> = report.end.verdicts.iter().filter(differs).map(|it| printable(&it.variant)).collect();
    let is_rate = report.comparison.start().metric == "operations_per_second";
    match names.is_empty() || !is_rate {
        true => String::new(),
        false => layout.paragraph(&format!(
            "{}: the ratio is taken within each round, the rate is the median of all, and the rounds differ",
            names.join(", ")
        )),
    }
}

/// Waits and service times.
fn latencies(layout: Layout, rows: &[(String, VariantFigures)]) -> String {
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
    layout.grid(&columns, &over, rows) + &few
}

/// What it costs, and what went wrong.
fn costs(layout: Layout, rows: &[(String, VariantFigures)]) -> String {
    let none = || "-".to_owned();
    let rows = rows.iter().map(|(name, of)| {
        let [opened, peak, sign_ins, wrong, failed] = match &of.counts {
            Some(counts) => counts.each_ref().map(range),
            None => [none(), none(), none(), none(), none()],
        };
        let findings: Vec<&str> = of.findings.keys().map(|id| &**id).collect();
        vec![
            name.clone(),
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
    layout.grid(&columns, &[Over { columns: 4..=5, title: "bytes" }], rows)
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
            whole(&format!("exit {code}: {}{whose}", reason(&report.comparison, &report.end)))
        }
        None => layout.paragraph(CUT),
    }
}
