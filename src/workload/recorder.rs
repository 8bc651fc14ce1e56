//! Where everything that happens in a run is written down, in one order.
//!
//! Threads only append to a list; one collector takes the list away now and then and does the slow work. So recording
//! costs an operation a lock and a push, and wakes nobody.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use crate::allocator::{self, Observer};
use crate::event::{
    ConnectionCreated, ConnectionDisposed, Event, Micros, ModeChanged, RunStart, TaskId, What, WorkerId,
};

/// The most events that may wait for the collector; then recording waits for it. The wait ends with the collector's own,
/// which is shorter, or when the bound is lifted.
const BOUND: usize = 1 << 13;
/// The longest wait all the same: a collector that is gone must not keep the workers for ever.
const PATIENCE: Duration = Duration::from_secs(120);

thread_local! {
    /// The task that this thread serves now: what is created here is created for it.
    static TASK: Cell<Option<TaskId>> = const { Cell::new(None) };
    /// The run that this thread works for: its time is added when the thread ends.
    static SPENT: RefCell<Spent> = const { RefCell::new(Spent(None)) };
}

/// Where the processor time of this thread is added up when it ends.
struct Spent(Option<Arc<AtomicU64>>);

impl Drop for Spent {
    fn drop(&mut self) {
        if let Some(spent) = &self.0 {
            let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
            let micros = time.tv_sec.unsigned_abs() * 1_000_000 + time.tv_nsec.unsigned_abs() / 1_000;
            spent.fetch_add(micros, Ordering::Relaxed);
        }
    }
}

/// This thread serves a task until the value is dropped.
pub(crate) struct Serving {
    before: Option<TaskId>,
}

impl Serving {
    pub(crate) fn task(task: TaskId) -> Self {
        Self { before: TASK.replace(Some(task)) }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        TASK.set(self.before);
    }
}

pub(crate) struct Recorder {
    started: Instant,
    fresh: Mutex<Fresh>,
    drained: Condvar,
    /// The collector has no more time, or is the one who records: nobody waits for it. Changed under the lock of `fresh`.
    lifted: AtomicBool,
    /// The run is over: what happens from now on is not recorded. Changed under the lock of `fresh`.
    frozen: AtomicBool,
    /// How many events there are: the next one's `seq`. Changed under the lock of `fresh`, read without it.
    recorded: AtomicU64,
    /// How many of them are operations; changed under the lock of `fresh`.
    operations: AtomicU64,
    /// Sessions open now: what was recorded of them comes to that. Changed under the lock of `fresh`.
    open: AtomicUsize,
    /// Dials under way now, for the record of a refusal.
    pub(crate) dialling: AtomicUsize,
    workers: RwLock<HashMap<ThreadId, WorkerId>>,
    /// The processor time of the workers' threads that have ended, in microseconds.
    spent: Arc<AtomicU64>,
}

/// What waits for the collector.
struct Fresh {
    /// Written by every thread that does something, emptied by the collector.
    events: Vec<Event>,
    /// How many threads wait for the collector, and since when there is one.
    waiting: usize,
    since: Option<Instant>,
    /// For how long at least one thread waited, up to `since`.
    held_up: Duration,
}

impl Fresh {
    fn one_waits(&mut self) {
        self.waiting += 1;
        self.since.get_or_insert_with(Instant::now);
    }

    fn one_goes_on(&mut self) {
        self.waiting -= 1;
        if self.waiting == 0 {
            self.held_up += self.since.take().map_or(Duration::ZERO, |since| since.elapsed());
        }
    }
}

impl Recorder {
    /// Of a run that began then: the first event is its start.
    pub(crate) fn new(started: Instant, start: RunStart) -> Self {
        let start = Event { seq: 0, at: Micros::ZERO, what: Box::new(start).into() };
        Self {
            started,
            fresh: Mutex::new(Fresh { events: vec![start], waiting: 0, since: None, held_up: Duration::ZERO }),
            drained: Condvar::new(),
            lifted: AtomicBool::new(false),
            frozen: AtomicBool::new(false),
            recorded: AtomicU64::new(1),
            operations: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            dialling: AtomicUsize::new(0),
            workers: RwLock::new(HashMap::new()),
            spent: Arc::default(),
        }
    }

    /// Writes down what just happened.
    pub(crate) fn record(&self, what: impl Into<What>) {
        let mut what = what.into();
        let mut fresh = self.fresh();
        if fresh.events.len() >= BOUND {
            fresh.one_waits();
            let full = |fresh: &mut Fresh| fresh.events.len() >= BOUND && !self.lifted.load(Ordering::Relaxed);
            fresh = self.drained.wait_timeout_while(fresh, PATIENCE, full).unwrap_or_else(PoisonError::into_inner).0;
            fresh.one_goes_on();
        }
        if self.frozen.load(Ordering::Relaxed) {
            return;
        }
        // Before it counts: nobody knows of an event before the time that stands in it.
        let at = self.now().into();
        let seq = self.recorded.fetch_add(1, Ordering::AcqRel);
        match &mut what {
            What::Operation(operation) => operation.number = self.operations.fetch_add(1, Ordering::Relaxed) + 1,
            What::SessionOpened(_) => drop(self.open.fetch_add(1, Ordering::Relaxed)),
            What::SessionClosed(_) => drop(self.open.fetch_sub(1, Ordering::Relaxed)),
            What::SessionRefused(refused) => refused.open = self.open(),
            _ => {}
        }
        fresh.events.push(Event { seq, at, what });
    }

    /// Writes down what somebody else saw by now. It is the collector who says so: nobody waits for it.
    pub(crate) fn record_all(&self, seen: Vec<What>) {
        if !seen.is_empty() {
            self.add(None, seen);
        }
    }

    /// The same, of that time.
    pub(crate) fn record_at(&self, at: Micros, seen: Vec<What>) {
        self.add(Some(at), seen);
    }

    fn add(&self, at: Option<Micros>, seen: Vec<What>) {
        let mut fresh = self.fresh();
        let at = at.unwrap_or_else(|| self.now().into());
        for what in seen {
            let seq = self.recorded.fetch_add(1, Ordering::AcqRel);
            fresh.events.push(Event { seq, at, what });
        }
    }

    /// Takes what is left; nothing is recorded any more.
    pub(crate) fn freeze(&self) -> Vec<Event> {
        let mut fresh = self.fresh();
        self.frozen.store(true, Ordering::Relaxed);
        std::mem::take(&mut fresh.events)
    }

    /// Nobody waits for the collector from now on. The run is at its end: workers issue nothing more, so what is still
    /// recorded is an operation and the end of a connection for each of them.
    pub(crate) fn lift(&self) {
        let fresh = self.fresh();
        self.lifted.store(true, Ordering::Relaxed);
        drop(fresh);
        self.drained.notify_all();
    }

    /// How many sessions are open now.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// How many events there are now: what an operation issued now can know of.
    pub(crate) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Acquire)
    }

    /// The time since the start.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// The same of a moment that has been.
    pub(crate) fn since_start(&self, moment: Instant) -> Duration {
        moment.saturating_duration_since(self.started)
    }

    /// Takes what was recorded since the last call, in exchange for an empty list.
    ///
    /// One with room spares the workers the list's growth, for which all of them would wait.
    pub(crate) fn take(&self, empty: Vec<Event>) -> Vec<Event> {
        let taken = std::mem::replace(&mut self.fresh().events, empty);
        self.drained.notify_all();
        taken
    }

    /// For how long, so far, at least one thread waited for the collector.
    pub(super) fn held_up(&self) -> Duration {
        let fresh = self.fresh();
        fresh.held_up + fresh.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// This thread is that worker from now on.
    pub(crate) fn introduce(&self, worker: WorkerId) {
        self.workers.write().unwrap_or_else(PoisonError::into_inner).insert(thread::current().id(), worker);
        self.spends();
    }

    /// What this thread spends is this run's.
    fn spends(&self) {
        SPENT.with_borrow_mut(|spent| spent.0 = Some(Arc::clone(&self.spent)));
    }

    /// The processor time of the workers' threads that have ended.
    pub(super) fn spent(&self) -> Micros {
        Micros(self.spent.load(Ordering::Relaxed))
    }

    /// Which worker this thread is.
    pub(crate) fn this_worker(&self) -> Option<WorkerId> {
        self.workers.read().unwrap_or_else(PoisonError::into_inner).get(&thread::current().id()).copied()
    }

    /// The same, where a runtime makes the threads: one that is not known yet is the next worker from now on.
    pub(crate) fn worker_here(&self) -> WorkerId {
        self.this_worker().unwrap_or_else(|| {
            let mut workers = self.workers.write().unwrap_or_else(PoisonError::into_inner);
            let next = WorkerId(u32::try_from(workers.len()).unwrap_or(u32::MAX));
            workers.insert(thread::current().id(), next);
            self.spends();
            next
        })
    }

    fn fresh(&self) -> MutexGuard<'_, Fresh> {
        self.fresh.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The allocator's events; those of sessions come with their details from the connector instead.
impl Observer for std::sync::Arc<Recorder> {
    fn on_event(&self, event: &allocator::Event) {
        use allocator::Event::{Created, Disposed, ModeChanged as Changed};
        match *event {
            // Told on the thread that creates it: a default's owner, an independent one's creator.
            Created { connection, kind, by_hand, .. } => {
                // While a thread ends, its own variables are gone; then it serves no task either.
                let task = TASK.try_with(Cell::get).unwrap_or_default();
                self.record(ConnectionCreated { connection, kind, worker: self.this_worker(), task, by_hand });
            }
            Disposed { connection, cause } => self.record(ConnectionDisposed { connection, cause }),
            Changed { from, to } => self.record(ModeChanged { from, to }),
            _ => {}
        }
    }
}
