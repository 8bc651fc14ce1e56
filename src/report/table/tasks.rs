//! Whose connections the tasks' operations ran on.

use std::collections::{BTreeMap, BTreeSet};

use super::ranges::ranges;
use crate::report::layout::{Layout, Tone, figures, names};
use crate::figures::{Summary, TaskRow, Whose};
use crate::report::words::{figure, many};

type Picks = fn(Whose) -> bool;

const WHOSE: [(&str, Picks); 5] = [
    ("main", |whose| whose == Whose::Main),
    ("the task's own default", |whose| whose == Whose::Own),
    ("another task's default", |whose| matches!(whose, Whose::Inherited(_))),
    ("the thread's default, of no task", |whose| whose == Whose::Thread),
    ("independent", |whose| whose == Whose::Independent),
];

pub(super) fn section(layout: Layout, summary: &Summary) -> String {
    let rows = WHOSE.iter().filter_map(|(name, whose)| row(&summary.tasks, name, *whose));
    let columns = [names("tasks-ran-on"), figures("ops"), figures("tasks"), figures("connections")];
    layout.grid(&columns, &[], rows) + &stops(layout, &summary.tasks)
}

fn row(tasks: &[TaskRow], name: &str, whose: Picks) -> Option<Vec<String>> {
    let (mut operations, mut of, mut connections) = (0_u64, 0_u64, BTreeSet::new());
    for task in tasks {
        let on = task.on(whose);
        operations += on;
        of += u64::from(on > 0);
        connections.extend(task.used.iter().filter(|(_, used)| whose(used.whose)).map(|(connection, _)| *connection));
    }
    (operations > 0).then(|| vec![name.to_owned(), figure(operations), figure(of), figure(connections.len() as u64)])
}

/// The tasks that stopped early, and why.
fn stops(layout: Layout, tasks: &[TaskRow]) -> String {
    let mut stops: BTreeMap<String, (Vec<u32>, u64)> = BTreeMap::new();
    for row in tasks.iter().filter(|row| row.operations.not_issued > 0) {
        let why = row.stopped.as_ref().map(|failure| format!(" by {} at {}", failure.kind, failure.stage));
        let (numbers, not_issued) = stops.entry(why.unwrap_or_default()).or_default();
        numbers.push(row.task.0);
        *not_issued = not_issued.saturating_add(row.operations.not_issued);
    }
    layout.marked(stops.into_iter().map(|(why, (numbers, not_issued))| {
        let missing = many(not_issued, "operation");
        (Tone::Bad, "stopped:".to_owned(), format!("{}{why}; {missing} not issued", ranges('t', numbers)))
    }))
}
