//! A row for each worker.

use std::collections::BTreeMap;

use super::ranges::ranges;
use crate::report::layout::{Layout, Over, Sheet, Tone, figures, words};
use crate::figures::{Spreads, Summary, WorkerRow, worth_showing};
use crate::report::words::{count, figure, many, ms};

pub(super) fn sheet(layout: Layout, summary: &Summary, most: Option<usize>) -> Sheet {
    let workers = &summary.workers;
    let troubled = |row: &WorkerRow| row.stopped.is_some() || row.operations.failed > 0;
    let shown =
        worth_showing(workers.len(), most, |index| (troubled(&workers[index]), workers[index].spreads.wait.max));
    // Of too few there is no p99: where no worker has one, the longest is shown instead.
    let has_p99 = shown.iter().any(|&index| workers[index].spreads.wait.p99.is_some());
    let mut columns = vec![words("worker"), words("connection"), words("reason"), figures("ops"), figures("failed")];
    let first = columns.len();
    columns.push(figures("p50").after(3));
    columns.extend(has_p99.then(|| figures("p99")));
    columns.push(figures("max"));
    let last = columns.len() - 1;
    // Room for the title, even over short figures.
    columns.extend([figures("p50").after(5), figures(if has_p99 { "p99" } else { "max" })]);
    let over = [
        Over { columns: first..=last, title: "wait ms" },
        Over { columns: last + 1..=last + 2, title: "service ms" },
    ];
    let rows = shown.iter().map(|&index| row(&workers[index], has_p99));
    Sheet::new("Workers", columns, over, rows).with(folded(layout, workers, &shown) + &stops(layout, workers))
}

fn row(row: &WorkerRow, has_p99: bool) -> Vec<String> {
    let mut cells = vec![
        row.worker.to_string(),
        connections(row),
        reasons(row),
        figure(row.operations.issued),
        figure(row.operations.failed),
    ];
    let Spreads { wait, service, .. } = row.spreads;
    let mut times = vec![wait.p50];
    times.extend(has_p99.then_some(wait.p99));
    times.extend([wait.max, service.p50, if has_p99 { service.p99 } else { service.max }]);
    cells.extend(times.into_iter().map(|time| time.map_or_else(|| "-".to_owned(), ms)));
    cells
}

/// `#1 default`; of many only the first.
fn connections(row: &WorkerRow) -> String {
    const MOST: usize = 3;
    let mut names: Vec<String> =
        row.connections.iter().take(MOST).map(|(connection, kind)| format!("{connection} {kind}")).collect();
    match row.connections.len() {
        0 => return "-".to_owned(),
        all if all > MOST => names.push(format!("{} more", all - MOST)),
        _ => {}
    }
    names.join(", ")
}

/// `main`; if there were several `default, 1 new` or `default 60, main 40`.
fn reasons(row: &WorkerRow) -> String {
    let mut reasons: Vec<(&str, u64)> = row.reasons.iter().map(|(&reason, &count)| (reason, count)).collect();
    match *reasons.as_slice() {
        [] => "-".to_owned(),
        [(only, _)] => only.to_owned(),
        [("default", _), ("default-created", created)] => format!("default, {} new", count(created)),
        _ => {
            reasons.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
            reasons.iter().map(|&(reason, of)| format!("{reason} {}", count(of))).collect::<Vec<_>>().join(", ")
        }
    }
}

/// A count of the rows left out.
fn folded(layout: Layout, workers: &[WorkerRow], shown: &[usize]) -> String {
    let mut hidden = shown.iter().copied().peekable();
    let (mut rows, mut issued, mut failed) = (0, 0_u64, 0_u64);
    for (index, row) in workers.iter().enumerate() {
        if hidden.next_if_eq(&index).is_none() {
            rows += 1;
            issued = issued.saturating_add(row.operations.issued);
            failed = failed.saturating_add(row.operations.failed);
        }
    }
    if rows == 0 {
        return String::new();
    }
    let (rows, issued, failed) = (many(rows, "more worker"), many(issued, "operation"), count(failed));
    layout.paragraph(&format!(
        "... {rows}: {issued}, {failed} failed (--format json lists all); shown are the first, and those that failed or \
         waited longest"
    ))
}

/// The workers that stopped early, and why.
fn stops(layout: Layout, workers: &[WorkerRow]) -> String {
    let mut stops: BTreeMap<(&str, &str), (Vec<u32>, u64)> = BTreeMap::new();
    for row in workers {
        if let Some(failure) = &row.stopped {
            let (numbers, not_issued) = stops.entry((failure.kind.name(), failure.stage.name())).or_default();
            numbers.push(row.worker.0);
            *not_issued = not_issued.saturating_add(row.operations.not_issued);
        }
    }
    layout.marked(stops.into_iter().map(|((kind, stage), (numbers, not_issued))| {
        let missing = match not_issued {
            0 => String::new(),
            number => format!("; {} not issued", many(number, "operation")),
        };
        (Tone::Bad, "stopped:".to_owned(), format!("{} by {kind} at {stage}{missing}", ranges('w', numbers)))
    }))
}
