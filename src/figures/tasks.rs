//! Which task's operations ran on whose connections.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::allocator::{ConnectionId, Kind};
use crate::event::{Counts, Event, Operation, TaskId, What, WorkerId};
use crate::ledger::{Analysis, Ledger, Place};
use crate::protocol::Failure;

/// What one task did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct TaskRow {
    /// The task.
    pub task: TaskId,
    /// The threads that its operations ran on, in their order.
    pub workers: Vec<WorkerId>,
    /// Its operations.
    pub operations: Counts,
    /// The connections that carried them, in their order.
    #[serde(flatten, serialize_with = "connections")]
    #[schemars(with = "Used")]
    pub used: Vec<(ConnectionId, TaskUse)>,
    /// The default connection that its thread had already when it was to create one (C3).
    #[serde(rename = "default_refused")]
    pub refused: Option<ConnectionId>,
    /// Why it stopped early, if it did.
    pub stopped: Option<Box<Failure>>,
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

/// Operations of one task, or of all, by whose connection carried them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct OperationsOn {
    /// The client's main connection.
    pub main: u64,
    /// A default connection that the task itself had created.
    pub own_default: u64,
    /// A default connection that another task had created.
    pub inherited_default: u64,
    /// A default connection that no task created.
    pub thread_default: u64,
    /// An independent one, passed by hand.
    pub independent: u64,
}

impl OperationsOn {
    /// Of tasks that used these.
    pub(super) fn of<'a>(used: impl IntoIterator<Item = &'a (ConnectionId, TaskUse)>) -> Self {
        let mut on = Self::default();
        for (_, used) in used {
            let count = match used.whose {
                Whose::Main => &mut on.main,
                Whose::Own => &mut on.own_default,
                Whose::Inherited(_) => &mut on.inherited_default,
                Whose::Thread => &mut on.thread_default,
                Whose::Independent => &mut on.independent,
            };
            *count += used.operations;
        }
        on
    }
}

#[derive(Serialize, JsonSchema)]
struct Used {
    /// On whose connections its operations ran.
    operations_on: OperationsOn,
    /// How many of them each connection carried, by the connections' names.
    connections: BTreeMap<String, u64>,
}

fn connections<S: Serializer>(used: &[(ConnectionId, TaskUse)], to: S) -> Result<S::Ok, S::Error> {
    let carried = used.iter().map(|(connection, used)| (connection.to_string(), used.operations));
    Used { operations_on: OperationsOn::of(used), connections: carried.collect() }.serialize(to)
}

impl TaskRow {
    /// How many of its operations ran on connections of the kind that `whose` picks.
    pub fn on(&self, whose: impl Fn(Whose) -> bool) -> u64 {
        self.used.iter().filter(|(_, used)| whose(used.whose)).map(|(_, used)| used.operations).sum()
    }

    /// The default connections that carried its operations.
    pub fn defaults(&self) -> impl Iterator<Item = (ConnectionId, &TaskUse)> {
        let is_default = |whose| matches!(whose, Whose::Own | Whose::Inherited(_) | Whose::Thread);
        self.used.iter().filter(move |(_, used)| is_default(used.whose)).map(|(connection, used)| (*connection, used))
    }
}

/// How many operations, with the numbers by which they are found in the stream.
impl fmt::Display for TaskUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} operation(s) ", self.operations)?;
        match self.numbers {
            (first, last) if first == last => write!(f, "(number {first})"),
            (first, last) => write!(f, "(numbers {first} to {last})"),
        }
    }
}

/// The tasks of a run.
#[derive(Debug, Default)]
pub struct Tasks {
    tasks: Vec<OfTask>,
}

/// What one task has done. There are a hundred thousand of them: most ran on one thread and one connection, so lists take less
/// than maps would.
#[derive(Clone, Debug, Default)]
struct OfTask {
    workers: Vec<WorkerId>,
    ok: u64,
    failed: u64,
    used: Vec<(ConnectionId, TaskUse)>,
    refused: Option<ConnectionId>,
    stopped: Option<Box<Failure>>,
}

impl Analysis for Tasks {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::RunStart(start) => self.tasks = vec![OfTask::default(); start.tasks.len()],
            What::Operation(operation) => {
                let place = operation.connection.and_then(|connection| known.place(connection));
                if let Some(task) = operation.task
                    && let Some(done) = self.of(task)
                {
                    done.operation(task, operation, place);
                }
            }
            What::DefaultRefused(refused) => {
                if let Some(done) = self.of(refused.task) {
                    done.refused = Some(refused.existing);
                }
            }
            What::TaskStopped(stopped) => {
                if let (Some(failure), Some(done)) = (&stopped.failure, self.of(stopped.task)) {
                    done.stopped = Some(failure.clone());
                }
            }
            _ => {}
        }
    }
}

impl Tasks {
    /// A row for each task, in their order.
    pub fn rows(&self, known: &Ledger) -> impl Iterator<Item = TaskRow> {
        let asked = known.start().and_then(|start| start.asked);
        let of = move |task: TaskId| asked.and_then(|asked| asked.of(task.0, self.tasks.len()));
        (0..).map(TaskId).zip(&self.tasks).map(move |(task, done)| done.row(task, of(task)))
    }

    fn of(&mut self, task: TaskId) -> Option<&mut OfTask> {
        self.tasks.get_mut(usize::try_from(task.0).ok()?)
    }
}

impl OfTask {
    fn operation(&mut self, task: TaskId, operation: &Operation, place: Option<&Place>) {
        if let Err(at) = self.workers.binary_search(&operation.worker) {
            self.workers.insert(at, operation.worker);
        }
        match &operation.failure {
            None => self.ok += 1,
            Some(failure) => {
                self.failed += 1;
                if operation.local_port.is_none() {
                    self.stopped = Some(failure.clone());
                }
            }
        }
        let (Some(connection), Some(place), Some(_)) = (operation.connection, place, operation.local_port) else {
            return;
        };
        let whose = match (place.kind, place.task) {
            (Kind::Main, _) => Whose::Main,
            (Kind::Independent, _) => Whose::Independent,
            (Kind::Default, Some(creator)) if creator == task => Whose::Own,
            (Kind::Default, Some(creator)) => Whose::Inherited(creator),
            (Kind::Default, None) => Whose::Thread,
        };
        let number = operation.number;
        match self.used.binary_search_by_key(&connection, |(connection, _)| *connection) {
            Ok(at) => {
                let (_, used) = &mut self.used[at];
                used.operations += 1;
                used.numbers = (used.numbers.0.min(number), used.numbers.1.max(number));
            }
            Err(at) => {
                if self.used.is_empty() {
                    self.used.reserve_exact(1);
                }
                let used = TaskUse { whose, owner: place.worker, operations: 1, numbers: (number, number) };
                self.used.insert(at, (connection, used));
            }
        }
    }

    fn row(&self, task: TaskId, asked: Option<u64>) -> TaskRow {
        let operations = Counts::of(asked, self.ok, self.failed);
        TaskRow {
            task,
            workers: self.workers.clone(),
            operations,
            used: self.used.clone(),
            refused: self.refused,
            stopped: self.stopped.clone().filter(|_| operations.not_issued > 0),
        }
    }
}
