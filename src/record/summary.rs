//! Who used what, at what cost: pure, from a [`Run`] alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hdrhistogram::Histogram;

use super::failures::{FailureRow, Failures};
use super::run::{Closed, Entry, OpenFailed, Opened, Operation, Run, What, WorkerId};
use super::sections::{self, SectionRow};
use super::tasks::{self, TaskRow};
use crate::allocator::{ConnectionId, Kind, Reason, SessionId};
use crate::protocol::Failure;

/// A run in figures.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Operations in all: the sum of the tasks' where there are tasks, else of the workers'.
    pub operations: Counts,
    /// A row for each worker, in their order.
    pub workers: Vec<WorkerRow>,
    /// A row for each task, in their order; none if the workers do the work themselves.
    pub tasks: Vec<TaskRow>,
    /// A row for each stretch of the run between two changes of the mode, in their order: one if there was none.
    pub sections: Vec<SectionRow>,
    /// A row for each session that was dialled, in the order of their dials.
    pub sessions: Vec<SessionRow>,
    /// Each way of failing, most frequent first.
    pub failures: Vec<FailureRow>,
    /// Sessions opened.
    pub opened: usize,
    /// Most sessions open at once.
    pub peak: usize,
    /// Whether main was ever opened.
    pub main_opened: bool,
    /// Those that stood in line when the time was over, and were not begun: their waits count, they themselves do not.
    pub cut_off: CutOff,
    /// From the beginning of the first operation that a session carried to the end of the last: neither the first dial nor
    /// the goodbyes are in it.
    pub worked: Duration,
    /// Waits of all operations.
    pub wait: Latency,
    /// Service times of all operations that reached a server.
    pub service: Latency,
    /// What all operations together waited.
    pub total_wait: Duration,
    /// What all operations together were served.
    pub total_service: Duration,
}

/// Operations: asked = issued + not issued, issued = ok + failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Asked for; under a duration: as many as were issued.
    pub asked: u64,
    /// Begun.
    pub issued: u64,
    /// Succeeded.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Asked for, but never begun.
    pub not_issued: u64,
}

/// Operations that were still waiting when the time ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CutOff {
    /// How many.
    pub operations: u64,
    /// What one of them waited at most.
    pub longest: Duration,
}

/// What one worker did.
#[derive(Clone, Debug)]
pub struct WorkerRow {
    /// The worker.
    pub worker: WorkerId,
    /// Its operations. Where it serves tasks, nothing is asked of the worker itself.
    pub operations: Counts,
    /// The connections they ran on, with what each is.
    pub connections: BTreeMap<ConnectionId, Kind>,
    /// How many operations had each reason.
    pub reasons: BTreeMap<&'static str, u64>,
    /// What they waited.
    pub wait: Latency,
    /// What they were served.
    pub service: Latency,
    /// Why the worker stopped early, if it did.
    pub stopped: Option<Failure>,
}

/// One session's life.
#[derive(Clone, Debug)]
pub struct SessionRow {
    /// The session.
    pub session: SessionId,
    /// What its connection is.
    pub kind: Kind,
    /// The default connection's worker, or the independent one's creator.
    pub owner: Option<WorkerId>,
    /// Why it was opened.
    pub why: WhyOpened,
    /// How the dial went. If it failed, `open` counts as the server does, and at that moment: the sessions that were signed in
    /// by then, though their dials were not over, and none that came to be while the refused one said goodbye.
    pub dial: Result<Opened, OpenFailed>,
    /// Operations it carried.
    pub operations: u64,
    /// Its end; none if it was never seen to end.
    pub closed: Option<Closed>,
}

/// Why a session was opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyOpened {
    /// An operation was the first to need the connection.
    FirstUse,
    /// The connection was created by hand.
    ByHand,
    /// An operation needed the connection after its last session broke, or could not be opened.
    Again,
}

impl WhyOpened {
    /// `first-use`, `by-hand`, `again`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::FirstUse => "first-use",
            Self::ByHand => "by-hand",
            Self::Again => "again",
        }
    }
}

/// A distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// Half were no longer.
    pub p50: Duration,
    /// 99 % were no longer.
    pub p99: Duration,
    /// The longest.
    pub max: Duration,
}

impl Summary {
    /// The figures of a run.
    #[must_use]
    pub fn of(run: &Run) -> Self {
        let mut tally = Tally::default();
        for entry in &run.entries {
            tally.add(entry);
        }
        tally.finish(run)
    }

    /// How many operations a session carried. One that got no connection used none: it counts for no reuse and no rate.
    #[must_use]
    pub fn carried(&self) -> u64 {
        self.sessions.iter().fold(0, |sum, row| sum.saturating_add(row.operations))
    }
}

/// What is counted on the way through the entries.
#[derive(Default)]
struct Tally {
    workers: BTreeMap<WorkerId, WorkerTally>,
    kinds: BTreeMap<ConnectionId, Place>,
    sessions: Vec<SessionRow>,
    /// Where each session is in `sessions`.
    index: BTreeMap<SessionId, usize>,
    open: BTreeSet<SessionId>,
    peak: usize,
    /// The dials that failed: where each is in `sessions`, and how many were open when it was written down.
    refused: Vec<(usize, usize)>,
    /// When sessions were signed in, and when they ended.
    signed_in: Vec<Duration>,
    ended: Vec<Duration>,
    failures: Failures,
    cut_off: CutOff,
    /// When the first operation had its connection, and when the last one gave it back.
    began: Option<Duration>,
    over: Duration,
    wait: Times,
    service: Times,
}

/// A default or independent connection's place.
struct Place {
    kind: Kind,
    owner: Option<WorkerId>,
    by_hand: bool,
}

#[derive(Default)]
struct WorkerTally {
    ok: u64,
    failed: u64,
    not_issued: u64,
    connections: BTreeMap<ConnectionId, Kind>,
    reasons: BTreeMap<&'static str, u64>,
    wait: Times,
    service: Times,
    stopped: Option<Failure>,
}

impl Tally {
    fn add(&mut self, entry: &Entry) {
        match &entry.what {
            What::Created { connection, kind, worker, by_hand, .. } => {
                self.kinds.insert(*connection, Place { kind: *kind, owner: *worker, by_hand: *by_hand });
            }
            What::Opened(opened) => {
                self.open.insert(opened.session);
                self.peak = self.peak.max(self.open.len());
                self.signed_in.push(opened.signed_in);
                self.dialled(opened.session, Ok((**opened).clone()));
            }
            What::OpenFailed(failed) => {
                self.refused.push((self.sessions.len(), self.open.len()));
                self.dialled(failed.session, Err((**failed).clone()));
            }
            What::Closed(closed) => {
                if self.open.remove(&closed.session) {
                    self.ended.push(entry.at);
                }
                if let Some(row) = self.index.get(&closed.session).and_then(|at| self.sessions.get_mut(*at)) {
                    row.closed = Some((**closed).clone());
                }
            }
            What::Operation(operation) => self.operation(operation),
            What::Stopped { worker, not_issued, failure } => {
                let tally = self.workers.entry(*worker).or_default();
                tally.not_issued = tally.not_issued.saturating_add(*not_issued);
                tally.stopped = failure.as_deref().cloned().or_else(|| tally.stopped.take());
                if let Some(failure) = failure {
                    self.failures.add(failure, None);
                }
            }
            What::TaskStopped { failure: Some(failure), .. } => self.failures.add(failure, None),
            What::WorkerEnded { worker, not_begun, not_begun_wait, .. } if *not_begun > 0 => {
                self.cut_off.operations = self.cut_off.operations.saturating_add(*not_begun);
                self.cut_off.longest = self.cut_off.longest.max(*not_begun_wait);
                self.workers.entry(*worker).or_default().wait.add(*not_begun_wait);
                self.wait.add(*not_begun_wait);
            }
            What::TaskStarted { .. }
            | What::DefaultRefused { .. }
            | What::TaskStopped { failure: None, .. }
            | What::TaskEnded { .. }
            | What::WorkerEnded { .. }
            | What::Disposed { .. }
            | What::ModeChanged { .. }
            | What::LeftMailbox { .. } => {}
        }
    }

    /// A server counts a session from its sign-in on, we from the end of its dial; and a refusal is written down when its
    /// goodbye is over. So the count is put right by the times.
    fn open_to_the_server(&mut self) {
        self.signed_in.sort_unstable();
        self.ended.sort_unstable();
        let until = |times: &[Duration], moment| times.partition_point(|time| *time <= moment);
        for (at, written) in &self.refused {
            if let Some(SessionRow { dial: Err(failed), .. }) = self.sessions.get_mut(*at) {
                let there = until(&self.signed_in, failed.failed).saturating_sub(until(&self.ended, failed.failed));
                failed.open = (failed.open + there).saturating_sub(*written);
            }
        }
    }

    fn dialled(&mut self, session: SessionId, dial: Result<Opened, OpenFailed>) {
        let place = self.kinds.get(&session.connection);
        let why = match place {
            _ if session.number > 1 => WhyOpened::Again,
            Some(place) if place.by_hand => WhyOpened::ByHand,
            _ => WhyOpened::FirstUse,
        };
        self.index.insert(session, self.sessions.len());
        self.sessions.push(SessionRow {
            session,
            kind: place.map_or(Kind::Main, |place| place.kind),
            owner: place.and_then(|place| place.owner),
            why,
            dial,
            operations: 0,
            closed: None,
        });
    }

    fn operation(&mut self, operation: &Operation) {
        let tally = self.workers.entry(operation.worker).or_default();
        if let Some(session) = operation.session {
            let kind = self.kinds.get(&session.connection).map_or(Kind::Main, |place| place.kind);
            tally.connections.insert(session.connection, kind);
            if operation.local_port.is_some()
                && let Some(row) = self.index.get(&session).and_then(|at| self.sessions.get_mut(*at))
            {
                row.operations += 1;
            }
        }
        *tally.reasons.entry(operation.reason.map_or("refused", Reason::name)).or_default() += 1;
        tally.wait.add(operation.wait);
        self.wait.add(operation.wait);
        if operation.local_port.is_some() {
            tally.service.add(operation.service);
            self.service.add(operation.service);
            let (began, over) = operation.in_use();
            self.began = Some(self.began.map_or(began, |first| first.min(began)));
            self.over = self.over.max(over);
        }
        match &operation.outcome {
            Ok(_) => tally.ok += 1,
            Err(failure) => {
                tally.failed += 1;
                if operation.local_port.is_none() {
                    tally.stopped = Some((**failure).clone());
                }
                self.failures.add(failure, Some(operation));
            }
        }
    }

    fn finish(mut self, run: &Run) -> Summary {
        self.open_to_the_server();
        let tasks = tasks::rows(run);
        let asked =
            |worker: WorkerId| run.header.asked.of(worker.0, run.header.workers.len()).filter(|_| tasks.is_empty());
        let workers: Vec<WorkerRow> = (0u32..)
            .zip(&run.header.workers)
            .map(|(number, _)| {
                let worker = WorkerId(number);
                let mut tally = self.workers.remove(&worker).unwrap_or_default();
                // A task that stops leaves its thread to the next one.
                tally.stopped = tally.stopped.filter(|_| tasks.is_empty());
                tally.row(worker, asked(worker))
            })
            .collect();
        let add = |sum: Counts, counts| sum.plus(counts);
        let operations = if tasks.is_empty() {
            workers.iter().map(|row| row.operations).fold(Counts::default(), add)
        } else {
            tasks.iter().map(|row| row.operations).fold(Counts::default(), add)
        };
        Summary {
            operations,
            opened: self.sessions.iter().filter(|row| row.dial.is_ok()).count(),
            peak: self.peak,
            main_opened: self.sessions.iter().any(|row| row.kind == Kind::Main && row.dial.is_ok()),
            workers,
            tasks,
            sections: sections::rows(run),
            sessions: self.sessions,
            failures: self.failures.rows(&run.header.mailboxes),
            cut_off: self.cut_off,
            worked: self.began.map_or(Duration::ZERO, |began| self.over.saturating_sub(began)),
            wait: self.wait.latency(),
            service: self.service.latency(),
            total_wait: self.wait.total,
            total_service: self.service.total,
        }
    }
}

impl WorkerTally {
    fn row(self, worker: WorkerId, number: Option<u64>) -> WorkerRow {
        let issued = self.ok + self.failed;
        let asked = number.unwrap_or(issued);
        let operations =
            Counts { asked, issued, ok: self.ok, failed: self.failed, not_issued: asked.saturating_sub(issued) };
        WorkerRow {
            worker,
            operations,
            connections: self.connections,
            reasons: self.reasons,
            wait: self.wait.latency(),
            service: self.service.latency(),
            stopped: if self.not_issued > 0 || number.is_none_or(|number| issued < number) {
                self.stopped
            } else {
                None
            },
        }
    }
}

impl Counts {
    const fn plus(self, other: Self) -> Self {
        Self {
            asked: self.asked.saturating_add(other.asked),
            issued: self.issued.saturating_add(other.issued),
            ok: self.ok.saturating_add(other.ok),
            failed: self.failed.saturating_add(other.failed),
            not_issued: self.not_issued.saturating_add(other.not_issued),
        }
    }
}

/// A distribution that grows as it is fed: microseconds to two significant digits, so that thousands of workers fit.
/// Its histogram is none until fed, and where its memory cannot be had.
#[derive(Default)]
struct Times {
    histogram: Option<Histogram<u64>>,
    max: Duration,
    total: Duration,
}

impl Times {
    fn add(&mut self, time: Duration) {
        self.total += time;
        self.max = self.max.max(time);
        if self.histogram.is_none() {
            self.histogram = Histogram::new(2).ok();
        }
        if let Some(histogram) = &mut self.histogram {
            // A histogram that resizes itself refuses no value.
            let _ = histogram.record(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        }
    }

    fn latency(&self) -> Latency {
        let Some(histogram) = &self.histogram else { return Latency::default() };
        let at = |quantile| Duration::from_micros(histogram.value_at_quantile(quantile)).min(self.max);
        Latency { p50: at(0.5), p99: at(0.99), max: self.max }
    }
}
