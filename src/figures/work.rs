//! How much was done, by whom, on which connections, at what cost.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::times::{Durations, Spreads};
use crate::allocator::{ConnectionId, Kind, Reason};
use crate::event::{Counts, CutOff, Event, Micros, Operation, Role, What, WorkerId};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::Failure;

/// What one worker did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct WorkerRow {
    /// The worker.
    pub worker: WorkerId,
    /// Its part in the run.
    #[serde(flatten)]
    pub role: Role,
    /// Its operations. Where it serves tasks, nothing is asked of the worker itself.
    pub operations: Counts,
    /// The connections they ran on, with what each is.
    #[serde(flatten, serialize_with = "connections_and_kinds")]
    #[schemars(with = "ConnectionsAndKinds<'_>")]
    pub connections: BTreeMap<ConnectionId, Kind>,
    /// How many operations had each reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// What they waited and were served, and the dials that it needed.
    #[serde(flatten)]
    pub spreads: Spreads,
    /// Why the worker stopped early, if it did.
    pub stopped: Option<Failure>,
}

#[derive(Serialize, JsonSchema)]
struct ConnectionsAndKinds<'a> {
    /// The connections that they ran on.
    connections: Vec<&'a ConnectionId>,
    /// What each of those is, by its name.
    kinds: BTreeMap<String, &'a Kind>,
}

fn connections_and_kinds<S: Serializer>(of: &BTreeMap<ConnectionId, Kind>, to: S) -> Result<S::Ok, S::Error> {
    let kinds = of.iter().map(|(connection, kind)| (connection.to_string(), kind)).collect();
    ConnectionsAndKinds { connections: of.keys().collect(), kinds }.serialize(to)
}

/// The work of a run.
#[derive(Debug, Default)]
pub struct Work {
    /// Waits of all operations, dials of all sessions, service times of all operations that reached a server.
    pub(super) all: Durations,
    /// Those that stood in line when the time was over, and were not begun: their waits count, they themselves do not.
    pub cut_off: CutOff,
    ok: u64,
    failed: u64,
    workers: BTreeMap<WorkerId, OfWorker>,
    /// When the first operation had its connection, and when the last one gave it back.
    began: Option<Micros>,
    over: Micros,
    /// When the last session was there.
    connected: Micros,
}

/// One worker's work.
#[derive(Debug, Default)]
struct OfWorker {
    ok: u64,
    failed: u64,
    not_issued: u64,
    connections: BTreeMap<ConnectionId, Kind>,
    reasons: BTreeMap<&'static str, u64>,
    durations: Durations,
    stopped: Option<Failure>,
}

impl Analysis for Work {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::Operation(operation) => self.operation(operation, known),
            What::SessionOpened(opened) => {
                let dial = event.at - opened.began_us;
                self.all.dial.add(dial);
                self.connected = self.connected.max(event.at);
                if let Some(worker) = opened.worker {
                    self.workers.entry(worker).or_default().durations.dial.add(dial);
                }
            }
            What::WorkerStopped(stopped) => {
                let done = self.workers.entry(stopped.worker).or_default();
                done.not_issued = done.not_issued.saturating_add(stopped.not_issued);
                done.stopped = stopped.failure.as_deref().cloned().or_else(|| done.stopped.take());
            }
            What::WorkerEnded(ended) if ended.not_begun > 0 => {
                self.cut_off.operations = self.cut_off.operations.saturating_add(ended.not_begun);
                self.cut_off.longest = self.cut_off.longest.max(ended.not_begun_wait_us);
                self.workers.entry(ended.worker).or_default().durations.wait.add(ended.not_begun_wait_us);
                self.all.wait.add(ended.not_begun_wait_us);
            }
            _ => {}
        }
    }
}

impl Work {
    /// From the beginning of the first operation that a session carried to the end of the last: neither the first dial nor
    /// the goodbyes are in it.
    #[must_use]
    pub fn worked(&self) -> Micros {
        self.began.map_or(Micros::ZERO, |began| self.over.saturating_sub(began))
    }

    /// How much of that had passed when the last session was there.
    #[must_use]
    pub fn connecting(&self) -> Micros {
        self.began.map_or(Micros::ZERO, |began| self.connected.saturating_sub(began))
    }

    /// How many operations have ended, and how many of them failed.
    #[must_use]
    pub const fn ended(&self) -> (u64, u64) {
        (self.ok + self.failed, self.failed)
    }

    /// A row for each worker, in their order.
    #[must_use]
    pub fn rows(&self, known: &Ledger) -> Vec<WorkerRow> {
        let Some(start) = known.start() else { return Vec::new() };
        let serves_tasks = !start.tasks.is_empty();
        let asked = start.asked.filter(|_| !serves_tasks);
        let nothing = OfWorker::default();
        let row = |worker: WorkerId| {
            let role = start.workers.get(worker.0).map(|it| it.role).unwrap_or_default();
            let done = self.workers.get(&worker).unwrap_or(&nothing);
            // A task that stops leaves its thread to the next one.
            let number = asked.and_then(|asked| asked.of(worker.0, start.workers.len()));
            done.row(worker, role, number, !serves_tasks)
        };
        (0..).map(WorkerId).take(start.workers.len()).map(row).collect()
    }

    fn operation(&mut self, operation: &Operation, known: &Ledger) {
        let done = self.workers.entry(operation.worker).or_default();
        if let Some(connection) = operation.connection {
            let kind = || known.place(connection).map_or(Kind::Main, |place| place.kind);
            done.connections.entry(connection).or_insert_with(kind);
        }
        *done.reasons.entry(operation.reason.map_or("refused", Reason::name)).or_default() += 1;
        done.durations.wait.add(operation.wait_us);
        self.all.wait.add(operation.wait_us);
        if operation.local_port.is_some() {
            done.durations.service.add(operation.service_us);
            self.all.service.add(operation.service_us);
            let (began, over) = operation.in_use();
            self.began = Some(self.began.map_or(began, |first| first.min(began)));
            self.over = self.over.max(over);
        }
        match &operation.failure {
            None => {
                self.ok += 1;
                done.ok += 1;
            }
            Some(failure) => {
                self.failed += 1;
                done.failed += 1;
                if operation.local_port.is_none() {
                    done.stopped = Some((**failure).clone());
                }
            }
        }
    }
}

impl OfWorker {
    fn row(&self, worker: WorkerId, role: Role, asked: Option<u64>, may_stop: bool) -> WorkerRow {
        let operations = Counts::of(asked, self.ok, self.failed);
        let early = self.not_issued > 0 || asked.is_none_or(|asked| operations.issued < asked);
        WorkerRow {
            worker,
            role,
            operations,
            connections: self.connections.clone(),
            reasons: self.reasons.clone(),
            spreads: self.durations.spreads(),
            stopped: self.stopped.clone().filter(|_| early && may_stop),
        }
    }
}
