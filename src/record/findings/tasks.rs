//! What tasks do to each other through the threads they share (H1).

use std::collections::BTreeSet;

use super::EVIDENCE;
use crate::record::run::{Executor, Run};
use crate::record::summary::Summary;
use crate::record::tasks::{TaskUse, Whose};
use crate::record::verdict::{Finding, Severity};

/// So many of a task's connections are listed.
const PLACES: usize = 3;

pub(super) fn find(run: &Run, summary: &Summary) -> impl Iterator<Item = Finding> {
    [inherited(run, summary), scattered(run, summary)].into_iter().flatten()
}

/// The operations' numbers, by which they are found in the record.
fn numbers(used: &TaskUse) -> String {
    match used.numbers {
        (first, last) if first == last => format!("number {first}"),
        (first, last) => format!("numbers {first} to {last}"),
    }
}

/// MC010.
fn inherited(run: &Run, summary: &Summary) -> Option<Finding> {
    let names = &run.header.names;
    let mut operations = 0;
    let (mut heirs, mut refused) = (0_u64, 0_u64);
    let mut left = BTreeSet::new();
    let mut evidence = Vec::new();
    for row in &summary.tasks {
        let before = operations;
        for (connection, used) in row.defaults() {
            let Whose::Inherited(creator) = used.whose else { continue };
            operations += used.operations;
            left.insert(connection);
            if evidence.len() < EVIDENCE {
                let thread = used.owner.map(|worker| format!(" on {}", names.worker(worker))).unwrap_or_default();
                let own = if row.refused == Some(connection) { "; refused one of its own by C3" } else { "" };
                evidence.push(format!(
                    "{}: {} operation(s) ({}) on {connection}, created{thread} by {}{own}",
                    names.task(row.task),
                    used.operations,
                    numbers(used),
                    names.task(creator)
                ));
            }
        }
        if operations > before {
            heirs += 1;
            refused += u64::from(row.refused.is_some());
        }
    }
    let denied = match refused {
        0 => String::new(),
        _ => format!("{refused} of these tasks asked for one of their own and were refused (C3); "),
    };
    let cure = match run.header.executor {
        // Several tasks are under way at once, and take turns on each thread.
        Executor::Tasks => "do each task's operations in one blocking section that disposes its default at the end",
        Executor::Threads | Executor::Pool => "dispose the default at the end of the task that created it",
    };
    let sentence = format!(
        "{operations} operation(s) of {heirs} task(s) ran on {} default connection(s) that another task had created \
         before: a thread outlives its task and keeps its default for the next one (H1); {denied}{cure} \
         (--dispose task; in code Client::thread_scope), or pass independent connections",
        left.len()
    );
    (operations > 0).then_some(Finding {
        id: "MC010",
        severity: Severity::Hazard,
        count: operations,
        sentence,
        evidence,
    })
}

/// MC011.
fn scattered(run: &Run, summary: &Summary) -> Option<Finding> {
    let names = &run.header.names;
    let (mut count, mut operations, mut most) = (0_u64, 0_u64, 0);
    let mut evidence = Vec::new();
    for row in &summary.tasks {
        let owners: BTreeSet<_> = row.defaults().filter_map(|(_, used)| used.owner).collect();
        if owners.len() < 2 {
            continue;
        }
        count += 1;
        operations += row.defaults().map(|(_, used)| used.operations).sum::<u64>();
        most = most.max(row.defaults().count());
        if evidence.len() < EVIDENCE {
            let places = row.defaults().map(|(connection, used)| {
                let thread = used.owner.map(|worker| format!(" on {}", names.worker(worker))).unwrap_or_default();
                format!("{} operation(s) ({}) on {connection}{thread}", used.operations, numbers(used))
            });
            let mut places: Vec<String> = places.collect();
            let more = places.len().saturating_sub(PLACES);
            places.truncate(PLACES);
            if more > 0 {
                places.push(format!("and on {more} more"));
            }
            evidence.push(format!("{}: {}", names.task(row.task), places.join(", ")));
        }
    }
    let sentence = format!(
        "{operations} operation(s) of {count} task(s) were spread over several default connections, up to {most} for one \
         task: it changed threads between operations, and a default belongs to a thread (H1); do a task's operations in \
         one blocking section (--dispose task does), or pass an independent connection along with the task"
    );
    (count > 0).then_some(Finding { id: "MC011", severity: Severity::Hazard, count, sentence, evidence })
}
