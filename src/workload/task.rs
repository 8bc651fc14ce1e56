//! One task: a share of the work that is not bound to a thread. It creates its default connection where it begins, issues
//! its operations where it is run, and leaves the thread to the next one.

use std::sync::Arc;
use std::time::Duration;

use super::barrier::Participant;
use super::context::Context;
use super::issued::{Issuer, failure_of, is_called_off};
use super::operations::Operations;
use super::plan::Plan;
use super::recorder::Serving;
use crate::allocator::{Error, Refusal};
use crate::event::{Dispose, Executor, MailboxLeft, TaskEnded, TaskId, TaskStarted, TaskStopped, WorkerId};
use crate::protocol::{DialFailure, Failure, FailureKind, Stage};

/// A task that is not over. However it goes, by a panic too, its end is written down when it is dropped.
pub(super) struct Task {
    id: TaskId,
    operations: Operations,
    began: bool,
    /// The thread that it ran on last: one of an asynchronous runtime may drop it, which is none of those that do the work.
    last: Option<WorkerId>,
    /// Why it stopped early: none if an operation carries that failure, or if it has not stopped.
    failure: Option<Failure>,
    /// It came to its end by itself.
    returned: bool,
    context: Arc<Context>,
    /// Dropped last: who waits for all tasks waits for their events too.
    _attendance: Participant,
}

impl Task {
    pub(super) fn new(context: &Arc<Context>, id: TaskId) -> Self {
        let participant = context.barrier.join();
        Self {
            id,
            operations: Operations::new(context, id.0, id),
            began: false,
            last: None,
            failure: None,
            returned: false,
            context: Arc::clone(context),
            _attendance: participant,
        }
    }

    /// Begins on this thread: comes by its connections as its role says. False if it cannot go on.
    pub(super) fn begin(&mut self) -> bool {
        if self.context.control.interrupted().is_some() {
            return false;
        }
        let _serving = Serving::task(self.id);
        self.began = true;
        let worker = self.context.recorder.worker_here();
        self.last = Some(worker);
        self.context.recorder.record(TaskStarted { task: self.id, worker });
        let created = self.create_own();
        let control = &self.context.control;
        let failed = created.err().filter(|error| !is_called_off(control, error));
        self.failure = failed.map(|error| failure_of(control, &error));
        self.failure.is_none()
    }

    fn create_own(&mut self) -> Result<(), Error<DialFailure>> {
        let role = self.context.plan.tasks.get(self.id.0 as usize).copied().unwrap_or_default();
        if role.creates_default {
            let Context { client, recorder, control, .. } = &*self.context;
            let worker = recorder.worker_here();
            let issuer = Issuer { client, recorder, control, worker, task: Some(self.id) };
            match issuer.create_default() {
                // Left to the thread and the next task there: the hazard that a run of tasks is to show (H1).
                Ok(default) => default.leave(),
                Err(Error::Refused(Refusal::DefaultExists { .. })) => {}
                Err(error) => return Err(error),
            }
        }
        if role.creates_independent {
            self.operations.independent = Some(self.context.client.create_connection()?);
        }
        Ok(())
    }

    /// Issues its next operation on this thread; false if it was the last, or got no connection.
    pub(super) fn step(&mut self) -> bool {
        let Self { id, operations, context, last, .. } = self;
        let _serving = Serving::task(*id);
        let worker = context.recorder.worker_here();
        *last = Some(worker);
        operations.goes_on(context) && operations.issue(context, worker, Some(*id)) && operations.goes_on(context)
    }

    /// The rest before its next operation.
    pub(super) fn pause(&self) -> Duration {
        self.operations.pause(&self.context)
    }

    /// Over: nothing of it was cut short by a panic.
    pub(super) fn returned(mut self) {
        self.returned = true;
    }

    /// The whole of it, on this thread.
    pub(super) fn run(mut self) {
        let context = Arc::clone(&self.context);
        let scope = (context.plan.dispose == Dispose::Task).then(|| context.client.thread_scope());
        if self.begin() {
            while self.step() {
                let pause = self.pause();
                if !(pause.is_zero() || context.control.rest(pause)) {
                    break;
                }
            }
        }
        drop(scope);
        self.returned();
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        // Disposed before the task's end is told, and with it.
        self.operations.independent = None;
        if !self.returned {
            let message = format!("task {} panicked; this is a defect of mailconn", self.id);
            self.failure = Some(Failure::new(FailureKind::Internal, Stage::Operation, message));
        }
        let (task, recorder) = (self.id, &self.context.recorder);
        let failure = self.failure.take().map(Box::new);
        if self.operations.missing() > 0 || failure.is_some() {
            recorder.record(TaskStopped { task, not_issued: self.operations.missing(), failure });
        }
        let left = self.operations.left_mailbox().zip(self.last);
        let left_mailbox = left.is_some();
        if let Some((mailbox, worker)) = left {
            recorder.record(MailboxLeft { worker, mailbox });
        }
        if self.began {
            let Plan { executor, dispose, .. } = self.context.plan;
            let worker = self.last.filter(|_| executor == Executor::Pool || dispose == Dispose::Task);
            recorder.record(TaskEnded { task, worker, operations: Some(self.operations.issued()), left_mailbox });
        }
    }
}
