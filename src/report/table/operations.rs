//! A row for every operation.

use super::fold::fold;
use super::grid::{Over, figures, grid, names, paragraph, words};
use crate::record::{Operation, Run, Summary};
use crate::report::words::{count, many, ms, printable};

/// Where tasks have their column, if there are any.
const TASK: usize = 2;

pub(super) fn section(run: &Run, summary: &Summary, most: Option<usize>) -> String {
    let operations: Vec<&Operation> = run.operations().map(|(_, operation)| operation).collect();
    if operations.is_empty() {
        return String::new();
    }
    let shown = fold(operations.len(), most, |index| {
        let operation = operations[index];
        (operation.outcome.is_err(), operation.wait + operation.dial + operation.service)
    });
    let mut columns = vec![
        figures("no"),
        words("worker"),
        words("task"),
        words("op"),
        words("session"),
        names("reason"),
        figures("wait").after(2),
        figures("dial"),
        figures("service"),
        words("outcome"),
    ];
    let tasks = !run.header.tasks.is_empty();
    if !tasks {
        columns.remove(TASK);
    }
    let last = columns.len() - 2;
    let over = [Over { columns: last - 2..=last, title: "ms" }];
    let rows = shown.iter().map(|&index| {
        let mut cells = row(run, operations[index]);
        if !tasks {
            cells.remove(TASK);
        }
        cells
    });
    let mut text = grid(&columns, &over, rows);
    let rest = operations.len() - shown.len();
    if rest > 0 {
        let failed = shown.iter().filter(|&&index| operations[index].outcome.is_err()).count() as u64;
        let failed = summary.operations.failed.saturating_sub(failed);
        let (rest, failed) = (many(rest as u64, "more operation"), count(failed));
        text += &paragraph(&format!("... {rest}, {failed} failed (--format ndjson lists all)"));
    }
    text
}

fn row(run: &Run, operation: &Operation) -> Vec<String> {
    let none = || "-".to_owned();
    let mailbox = operation.mailbox.and_then(|index| run.header.mailboxes.get(usize::from(index)));
    vec![
        operation.number.to_string(),
        operation.worker.to_string(),
        operation.task.map_or_else(none, |task| task.to_string()),
        mailbox
            .map_or_else(|| operation.name.to_owned(), |mailbox| format!("{} {}", operation.name, printable(mailbox))),
        operation.session.map_or_else(none, |session| session.to_string()),
        operation.reason.map_or_else(none, |reason| reason.to_string()),
        ms(operation.wait),
        if operation.opened { ms(operation.dial) } else { none() },
        ms(operation.service),
        match &operation.outcome {
            Ok(0) => "ok".to_owned(),
            Ok(items) => format!("ok, {}", count(u64::from(*items))),
            Err(failure) => format!("{} at {}", failure.kind.name(), failure.stage.name()),
        },
    ]
}
