//! A task ran on a default connection that an earlier task had left to the thread.

use std::collections::BTreeSet;

use crate::event::{Event, Executor, Severity};
use crate::figures::{Whose, count};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC010",
    severity: Severity::Hazard,
    article: Article {
        title: "a task ran on a default connection that an earlier task had left to the thread",
        means: "A default connection belongs to a thread. In a pool the thread outlives the task, so the next task \
                there finds the connection of the one before: with the mailbox that it selected, signed in as its user. \
                Nothing fails. A task that creates its own default is refused by C3, because the thread has one \
                already.",
        example: || sentence(Executor::Pool, 360, 36, 4, 36),
        cure: "Dispose the default at the end of the task that created it, even when the task panics: in code \
               Client::thread_scope, in a run --dispose task. Or pass an independent connection to each operation. On \
               the mail server, the hazard shows as sessions that outlive the work they were opened for.",
        rules: &["H1", "C3", "D1"],
        met: &["thehyve/fairspace#1582", "chinabugotech/hutool#292", "orientechnologies/orientdb#3006"],
    },
    detector: || Box::new(ByTheTasks),
};

/// Reads it off the tasks' rows.
#[derive(Debug)]
struct ByTheTasks;

impl Analysis for ByTheTasks {
    fn see(&mut self, _: &Event, _: &Ledger) {}
}

impl Detector for ByTheTasks {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let start = proven.known.start()?;
        let (mut operations, mut heirs, mut refused) = (0, 0_u64, 0_u64);
        let mut left = BTreeSet::new();
        let mut evidence = Evidence::default();
        for row in &proven.summary.tasks {
            let before = operations;
            for (connection, used) in row.defaults() {
                let Whose::Inherited(creator) = used.whose else { continue };
                operations += used.operations;
                left.insert(connection);
                evidence.add(|| {
                    let thread = used.owner.map(|worker| format!(" on {}", start.worker_name(worker)));
                    let own = if row.refused == Some(connection) { "; refused one of its own by C3" } else { "" };
                    format!(
                        "{}: {used} on {connection}, created{} by {}{own}",
                        start.task_name(row.task),
                        thread.unwrap_or_default(),
                        start.task_name(creator)
                    )
                });
            }
            if operations > before {
                heirs += 1;
                refused += u64::from(row.refused.is_some());
            }
        }
        evidence.count = operations;
        evidence.says(|| sentence(start.executor, operations, heirs, left.len(), refused))
    }
}

fn sentence(executor: Executor, operations: u64, heirs: u64, left: usize, refused: u64) -> String {
    let denied = match refused {
        0 => String::new(),
        _ => format!("{} of these tasks asked for one of their own and were refused (C3); ", count(refused)),
    };
    let cure = match executor {
        // Several tasks are under way at once, and take turns on each thread.
        Executor::Tasks => "do each task's operations in one blocking section that disposes its default at the end",
        Executor::Threads | Executor::Pool => "dispose the default at the end of the task that created it",
    };
    let (operations, heirs, left) = (count(operations), count(heirs), count(left as u64));
    format!(
        "{operations} operation(s) of {heirs} task(s) ran on {left} default connection(s) that another task had created \
         before: a thread outlives its task and keeps its default for the next one (H1); {denied}{cure} \
         (--dispose task; in code Client::thread_scope), or pass independent connections"
    )
}
