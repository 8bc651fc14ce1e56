//! Who does the work: a thread for each worker, a pool's threads, or asynchronous tasks.
//!
//! Each starts what it needs, lets `collect` collect until all are gone, and joins every thread it started: only then have
//! the threads' own variables been dropped too, and with them the default connections that were left there (D3).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use rayon::ThreadPoolBuilder;
use thiserror::Error;
use tokio::runtime;

use super::context::Context;
use super::task::Task;
use super::worker::work;
use crate::event::{Dispose, Executor, TaskId, TooLong, WorkerId, WorkerStopped};
use crate::protocol::{Failure, FailureKind, Stage};

/// A thread that waits for its next operation is kept: its default connection is what a run of tasks is about. (Tokio lets
/// a blocking thread go after ten seconds without work.)
const KEPT: Duration = Duration::from_secs(366 * 24 * 60 * 60);

/// Why a run could not start.
#[derive(Debug, Error)]
pub enum RunError {
    /// The system gave no more threads.
    #[error("the system gave only {started} of {asked} threads; use fewer --threads, or raise its limit")]
    Threads {
        /// Threads it gave.
        started: usize,
        /// Threads asked for.
        asked: usize,
        /// Its own words.
        source: std::io::Error,
    },
    /// What was asked for has no room in a line.
    #[error(transparent)]
    Start(#[from] TooLong),
}

/// Does the plan's work.
pub(super) fn execute(context: &Arc<Context>, collect: impl FnOnce()) -> Result<(), RunError> {
    match context.plan.executor {
        Executor::Threads => threads(context, collect),
        Executor::Pool => pool(context, collect),
        Executor::Tasks => tasks(context, collect),
    }
}

fn threads(context: &Context, collect: impl FnOnce()) -> Result<(), RunError> {
    thread::scope(|scope| {
        let asked = context.plan.workers.len();
        let mut workers = Vec::with_capacity(asked);
        for (number, _) in (0u32..).zip(&context.plan.workers) {
            match thread::Builder::new().name(format!("w{number}")).spawn_scoped(scope, move || work(context, number)) {
                Ok(worker) => workers.push((WorkerId(number), worker)),
                Err(source) => {
                    context.barrier.start(false);
                    return Err(RunError::Threads { started: workers.len(), asked, source });
                }
            }
        }
        context.barrier.start(true);
        collect();
        for (worker, thread) in workers {
            if thread.join().is_err() {
                context.recorder.record(stopped_by_a_panic(worker));
            }
        }
        Ok(())
    })
}

/// Rayon's pool: no other lets its builder spawn the threads, so that each can be joined.
fn pool(context: &Arc<Context>, collect: impl FnOnce()) -> Result<(), RunError> {
    let asked = context.plan.workers.len();
    let mut threads = Vec::with_capacity(asked);
    let mut refused = None;
    let built = ThreadPoolBuilder::new()
        .num_threads(asked)
        .spawn_handler(|thread| {
            let worker = WorkerId(u32::try_from(thread.index()).unwrap_or(u32::MAX));
            let recorder = Arc::clone(&context.recorder);
            let made = thread::Builder::new().name(worker.to_string()).spawn(move || {
                recorder.introduce(worker);
                thread.run();
            });
            // Its own error holds the system's, and says it twice.
            made.map(|made| threads.push(made)).map_err(|error| refused.insert(error).kind().into())
        })
        .build();
    let made = threads.len();
    let built = built.map(|pool| {
        for (number, _) in (0u32..).zip(&context.plan.tasks) {
            let context = Arc::clone(context);
            pool.spawn_fifo(move || {
                // Written down by the task itself; the thread goes on with the next one, as a pool's do.
                let _ = catch_unwind(AssertUnwindSafe(|| Task::new(&context, TaskId(number)).run()));
            });
        }
        collect();
    });
    // The pool is gone, so its threads end.
    for thread in threads {
        // None of them panics: each task's panic was caught.
        let _ = thread.join();
    }
    built.map_err(|error| {
        let source = refused.unwrap_or_else(|| std::io::Error::other(error));
        RunError::Threads { started: made, asked, source }
    })
}

/// Tokio's runtime, with operations as its manual wants blocking work: each in a `spawn_blocking` of its own, awaited
/// before the next. The task is thereby on any of the blocking threads from one operation to the next, and `w0`, `w1`, …
/// are those threads.
///
/// A task that disposes its default does the whole of its work in one such section: a scope belongs to a thread, so it
/// cannot be held across an await (it is not `Send`: the compiler says so).
fn tasks(context: &Arc<Context>, collect: impl FnOnce()) -> Result<(), RunError> {
    let asked = context.plan.workers.len();
    let drivers = thread::available_parallelism().map_or(1, usize::from).min(asked);
    rehearse(asked, drivers)?;
    let runtime = runtime::Builder::new_multi_thread()
        .worker_threads(drivers)
        .max_blocking_threads(asked)
        .thread_keep_alive(KEPT)
        .thread_name("mailconn-tasks")
        .enable_time()
        .build()
        .map_err(|source| RunError::Threads { started: 0, asked, source })?;
    for (number, _) in (0u32..).zip(&context.plan.tasks) {
        let task = Task::new(context, TaskId(number));
        match context.plan.dispose {
            Dispose::Task => drop(runtime.spawn_blocking(move || task.run())),
            Dispose::Never => drop(runtime.spawn(scattered(Arc::clone(context), task))),
        }
    }
    collect();
    // Waits for its threads' end, and joins them.
    drop(runtime);
    Ok(())
}

/// Makes as many threads as the runtime is about to make, and ends them. The runtime has no error for a thread that the
/// system refuses: it panics.
fn rehearse(asked: usize, drivers: usize) -> Result<(), RunError> {
    let gate = Mutex::new(());
    thread::scope(|scope| {
        let shut = gate.lock();
        let mut made = Vec::with_capacity(drivers + asked);
        let mut refused = None;
        while made.len() < drivers + asked && refused.is_none() {
            match thread::Builder::new().spawn_scoped(scope, || drop(gate.lock())) {
                Ok(thread) => made.push(thread),
                Err(error) => refused = Some(error),
            }
        }
        drop(shut);
        let started = made.len().saturating_sub(drivers);
        for thread in made {
            // Joined one by one: the end of the scope alone does not wait for the system to be rid of them.
            let _ = thread.join();
        }
        refused.map_or(Ok(()), |source| Err(RunError::Threads { started, asked, source }))
    })
}

/// A task whose operations go wherever there is a thread.
async fn scattered(context: Arc<Context>, task: Task) {
    let Some((mut task, mut goes_on)) = blocking(task, Task::begin).await else { return };
    while goes_on {
        let Some(next) = blocking(task, Task::step).await else { return };
        (task, goes_on) = next;
        let pause = task.pause();
        if !(pause.is_zero() || context.control.rest_asynchronously(pause).await) {
            break;
        }
    }
    task.returned();
}

/// A blocking section of a task; none if it panicked there, which is written down by then.
async fn blocking(mut task: Task, section: fn(&mut Task) -> bool) -> Option<(Task, bool)> {
    let section = tokio::task::spawn_blocking(move || {
        let goes_on = section(&mut task);
        (task, goes_on)
    });
    section.await.ok()
}

/// The end of a worker whose thread panicked.
pub(super) fn stopped_by_a_panic(worker: WorkerId) -> WorkerStopped {
    let message = format!("worker {worker} panicked; this is a defect of mailconn");
    let failure = Failure::new(FailureKind::Internal, Stage::Operation, message);
    WorkerStopped { worker, not_issued: 0, failure: Some(Box::new(failure)) }
}
