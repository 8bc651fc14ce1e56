//! What tasks do to each other through the threads they share (H1).

use std::collections::BTreeSet;

use super::EVIDENCE;
use crate::record::run::Names;
use crate::record::summary::Summary;
use crate::record::tasks::{TaskRow, Whose};
use crate::record::verdict::{Finding, Severity};

pub(super) fn find(summary: &Summary, names: &Names) -> impl Iterator<Item = Finding> {
    [inherited(&summary.tasks, names), scattered(&summary.tasks, names)].into_iter().flatten()
}

/// MC010.
fn inherited(tasks: &[TaskRow], names: &Names) -> Option<Finding> {
    let mut operations = 0;
    let (mut heirs, mut refused) = (0_u64, 0_u64);
    let mut left = BTreeSet::new();
    let mut evidence = Vec::new();
    for row in tasks {
        let before = operations;
        for (connection, used) in row.defaults() {
            let Whose::Inherited(creator) = used.whose else { continue };
            operations += used.operations;
            left.insert(connection);
            if evidence.len() < EVIDENCE {
                let thread = used.owner.map(|worker| format!(" on {}", names.worker(worker))).unwrap_or_default();
                let own = if row.refused == Some(connection) { "; refused one of its own by C3" } else { "" };
                evidence.push(format!(
                    "{}: {} operation(s) on {connection}, left{thread} by {}{own}",
                    names.task(row.task),
                    used.operations,
                    names.task(creator)
                ));
            }
        }
        if operations > before {
            heirs += 1;
            refused += u64::from(row.refused.is_some());
        }
    }
    let sentence = format!(
        "{operations} operation(s) of {heirs} task(s) ran on {} default connection(s) that another task had created \
         before: a thread outlives its task and keeps its default for the next one (H1); {refused} of these tasks asked \
         for one of their own and were refused (C3); dispose the default at the end of the task that created it \
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
fn scattered(tasks: &[TaskRow], names: &Names) -> Option<Finding> {
    let (mut count, mut operations, mut most) = (0_u64, 0_u64, 0);
    let mut evidence = Vec::new();
    for row in tasks {
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
                format!("{} on {connection}{thread}", used.operations)
            });
            evidence.push(format!("{}: operations {}", names.task(row.task), places.collect::<Vec<_>>().join(", ")));
        }
    }
    let sentence = format!(
        "{operations} operation(s) of {count} task(s) were spread over several default connections, up to {most} for one \
         task: it changed threads between operations, and a default belongs to a thread (H1); do a task's operations in \
         one blocking section (--dispose task does), or pass an independent connection along with the task"
    );
    (count > 0).then_some(Finding { id: "MC011", severity: Severity::Hazard, count, sentence, evidence })
}
