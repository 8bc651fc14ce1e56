//! One task's operations ran on several default connections, because it changed threads.

use std::collections::BTreeSet;

use crate::event::{Event, Severity};
use crate::figures::{TaskUse, count};
use crate::judge::finding::{Article, Detector, Evidence, Found, Proven, Spec};
use crate::ledger::{Analysis, Ledger};

/// The most of a task's connections that are listed.
const LISTED: usize = 3;

pub const SPEC: Spec = Spec {
    id: "MC011",
    severity: Severity::Hazard,
    article: Article {
        title: "one task's operations ran on several default connections, because it changed threads",
        means: "An asynchronous task may go on on another thread after each wait. A default connection is found by thread \
                alone, so the task finds another connection there, or none, and what it knew of the first (a selected \
                mailbox, an open transaction) is not true of the second.",
        example: || sentence(120, 12, 3),
        cure: "Give the task an independent connection and pass it with each operation: it goes where the task goes. Or do all \
               operations of the task in one blocking section, on one thread.",
        rules: &["H1", "K2", "K3"],
        met: &["django/django#18408", "PostHog/posthog#57839"],
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
        let (mut operations, mut most) = (0_u64, 0);
        let mut evidence = Evidence::default();
        for row in &proven.summary.tasks {
            let owners: BTreeSet<_> = row.defaults().filter_map(|(_, used)| used.owner).collect();
            if owners.len() < 2 {
                continue;
            }
            operations += row.defaults().map(|(_, used)| used.operations).sum::<u64>();
            most = most.max(row.defaults().count());
            evidence.add(|| {
                let place = |(connection, used): (_, &TaskUse)| {
                    let thread = used.owner.map(|worker| format!(" on {}", start.worker_name(worker)));
                    format!("{used} on {connection}{}", thread.unwrap_or_default())
                };
                let mut places: Vec<String> = row.defaults().take(LISTED).map(place).collect();
                let more = row.defaults().count().saturating_sub(LISTED);
                if more > 0 {
                    places.push(format!("and on {more} more"));
                }
                format!("{}: {}", start.task_name(row.task), places.join(", "))
            });
        }
        evidence.says(|| sentence(operations, evidence.count, most))
    }
}

fn sentence(operations: u64, tasks: u64, most: usize) -> String {
    let (operations, tasks) = (count(operations), count(tasks));
    format!(
        "{operations} operation(s) of {tasks} task(s) were spread over several default connections, up to {most} for one \
         task: it changed threads between operations, and a default belongs to a thread (H1); do a task's operations \
         in one blocking section (--dispose task does), or pass an independent connection along with the task"
    )
}
