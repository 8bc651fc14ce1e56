//! Which task's operations ran on whose connections: pure, from a [`Run`] alone.

use std::collections::{BTreeMap, BTreeSet};

use super::run::{Operation, Run, TaskId, What, WorkerId};
use super::summary::Counts;
use crate::allocator::{ConnectionId, Kind};
use crate::protocol::Failure;

/// What one task did.
#[derive(Clone, Debug)]
pub struct TaskRow {
    /// The task.
    pub task: TaskId,
    /// The threads that its operations ran on.
    pub workers: BTreeSet<WorkerId>,
    /// Its operations.
    pub operations: Counts,
    /// The connections that carried them.
    pub used: BTreeMap<ConnectionId, TaskUse>,
    /// The default connection that its thread had already when it was to create one (C3).
    pub refused: Option<ConnectionId>,
    /// Why it stopped early, if it did.
    pub stopped: Option<Failure>,
}

/// A task's use of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TaskUse {
    /// Whose it is, as the task sees it.
    pub whose: Whose,
    /// The thread that a default connection belongs to, or that created an independent one.
    pub owner: Option<WorkerId>,
    /// The task's operations that it carried.
    pub operations: u64,
    /// The numbers of the first and the last of them.
    pub numbers: (u64, u64),
}

/// Whose a connection is, as one task sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Whose {
    /// The client's: main.
    Main,
    /// A default connection that the task itself created, by hand or by an operation's need.
    Own,
    /// A default connection that was there before the task came to the thread: that task created it.
    Inherited(TaskId),
    /// A default connection that the thread has from no task.
    Thread,
    /// An independent one, passed by hand.
    Independent,
}

impl TaskRow {
    /// How many of its operations ran on connections of the kind that `whose` picks.
    pub fn on(&self, whose: impl Fn(Whose) -> bool) -> u64 {
        self.used.values().filter(|used| whose(used.whose)).map(|used| used.operations).sum()
    }

    /// The default connections that carried its operations.
    pub fn defaults(&self) -> impl Iterator<Item = (ConnectionId, &TaskUse)> {
        let is_default = |whose| matches!(whose, Whose::Own | Whose::Inherited(_) | Whose::Thread);
        self.used.iter().filter(move |(_, used)| is_default(used.whose)).map(|(connection, used)| (*connection, used))
    }
}

/// Where a connection came from.
#[derive(Clone, Copy)]
struct Origin {
    kind: Kind,
    worker: Option<WorkerId>,
    task: Option<TaskId>,
}

#[derive(Clone, Default)]
struct Tally {
    workers: BTreeSet<WorkerId>,
    ok: u64,
    failed: u64,
    used: BTreeMap<ConnectionId, TaskUse>,
    refused: Option<ConnectionId>,
    stopped: Option<Failure>,
}

/// A row for each task of the run, in their order.
pub(super) fn rows(run: &Run) -> Vec<TaskRow> {
    let mut tallies = vec![Tally::default(); run.header.tasks.len()];
    let main = Origin { kind: Kind::Main, worker: None, task: None };
    let mut origins = BTreeMap::from([(ConnectionId::MAIN, main)]);
    for entry in &run.entries {
        match &entry.what {
            What::Created { connection, kind, worker, task, .. } => {
                origins.insert(*connection, Origin { kind: *kind, worker: *worker, task: *task });
            }
            What::Operation(operation) => {
                if let Some((task, tally)) = operation.task.and_then(|task| Some((task, of(&mut tallies, task)?))) {
                    tally.operation(task, operation, &origins);
                }
            }
            What::DefaultRefused { task, existing, .. } => {
                if let Some(tally) = of(&mut tallies, *task) {
                    tally.refused = Some(*existing);
                }
            }
            What::TaskStopped { task, failure: Some(failure), .. } => {
                if let Some(tally) = of(&mut tallies, *task) {
                    tally.stopped = Some((**failure).clone());
                }
            }
            _ => {}
        }
    }
    let asked = |task: TaskId| run.header.asked.of(task.0, run.header.tasks.len());
    (0u32..).map(TaskId).zip(tallies).map(|(task, tally)| tally.row(task, asked(task))).collect()
}

fn of(tallies: &mut [Tally], task: TaskId) -> Option<&mut Tally> {
    tallies.get_mut(usize::try_from(task.0).ok()?)
}

impl Tally {
    fn operation(&mut self, task: TaskId, operation: &Operation, origins: &BTreeMap<ConnectionId, Origin>) {
        self.workers.insert(operation.worker);
        match &operation.outcome {
            Ok(_) => self.ok += 1,
            Err(failure) => {
                self.failed += 1;
                if operation.local_port.is_none() {
                    self.stopped = Some((**failure).clone());
                }
            }
        }
        let Some(session) = operation.session.filter(|_| operation.local_port.is_some()) else { return };
        let Some(origin) = origins.get(&session.connection) else { return };
        let whose = match (origin.kind, origin.task) {
            (Kind::Main, _) => Whose::Main,
            (Kind::Independent, _) => Whose::Independent,
            (Kind::Default, Some(creator)) if creator == task => Whose::Own,
            (Kind::Default, Some(creator)) => Whose::Inherited(creator),
            (Kind::Default, None) => Whose::Thread,
        };
        let number = operation.number;
        let used = TaskUse { whose, owner: origin.worker, operations: 0, numbers: (number, number) };
        let used = self.used.entry(session.connection).or_insert(used);
        used.operations += 1;
        used.numbers = (used.numbers.0.min(number), used.numbers.1.max(number));
    }

    fn row(self, task: TaskId, asked: Option<u64>) -> TaskRow {
        let issued = self.ok + self.failed;
        let asked = asked.unwrap_or(issued);
        let not_issued = asked.saturating_sub(issued);
        let operations = Counts { asked, issued, ok: self.ok, failed: self.failed, not_issued };
        let stopped = self.stopped.filter(|_| not_issued > 0);
        let Self { workers, used, refused, .. } = self;
        TaskRow { task, workers, operations, used, refused, stopped }
    }
}
