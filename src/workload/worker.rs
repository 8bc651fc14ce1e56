//! One worker: comes by its connection as its role says, issues its operations, keeps what it holds until all are done.

use super::context::Context;
use super::issued::{failure_of, is_called_off};
use super::operations::Operations;
use crate::allocator::Error;
use crate::event::{MailboxLeft, WorkerEnded, WorkerId, WorkerStopped};
use crate::protocol::{DialFailure, Failure};

pub(super) fn work(context: &Context, number: u32) {
    let worker = WorkerId(number);
    context.recorder.introduce(worker);
    let mut participant = context.barrier.join();
    if !context.barrier.wait_for_start() {
        return;
    }
    let mut operations = Operations::new(context, number, worker);
    let created = create_own(context, number, &mut operations);
    if !context.plan.switches.is_empty() {
        // A mode that is set meanwhile could refuse a default that belongs to the plan (C2).
        participant.wait_for_all_ready();
    }
    match created {
        Ok(()) => issue_all(context, worker, &mut operations),
        Err(error) if is_called_off(&context.control, &error) => stopped(context, worker, 0, None),
        Err(error) => stopped(context, worker, 0, Some(failure_of(&context.control, &error))),
    }
    // Each worker keeps its connections until all are done, so that all of them are open at once.
    participant.wait_for_all();
    let ((not_begun, not_begun_wait), left_mailbox) = (operations.not_begun(), operations.left_mailbox().is_some());
    let issued = operations.issued() - not_begun;
    drop(operations);
    context.client.dispose_default_connection();
    let not_begun_wait_us = not_begun_wait.into();
    context.recorder.record(WorkerEnded { worker, operations: issued, not_begun, not_begun_wait_us, left_mailbox });
}

fn create_own(context: &Context, number: u32, operations: &mut Operations) -> Result<(), Error<DialFailure>> {
    let role = context.plan.workers.get(number as usize).copied().unwrap_or_default();
    if role.creates_default {
        // Left to the thread: it serves every operation there, and the worker disposes it when all are done.
        context.client.create_default_connection()?.leave();
    }
    if role.creates_independent {
        operations.independent = Some(context.client.create_connection()?);
    }
    Ok(())
}

fn issue_all(context: &Context, worker: WorkerId, operations: &mut Operations) {
    while operations.goes_on(context) {
        let served = operations.issue(context, worker, None);
        let pause = operations.pause(context);
        if !served || !(pause.is_zero() || context.control.rest(pause)) {
            break;
        }
    }
    if operations.missing() > 0 {
        stopped(context, worker, operations.issued(), None);
    }
    if let Some(mailbox) = operations.left_mailbox() {
        context.recorder.record(MailboxLeft { worker, mailbox });
    }
}

fn stopped(context: &Context, worker: WorkerId, issued: u64, failure: Option<Failure>) {
    let not_issued = match context.plan.operations_of(worker.0) {
        Some(asked) => asked - issued,
        None if failure.is_none() => return,
        None => 0,
    };
    context.recorder.record(WorkerStopped { worker, not_issued, failure: failure.map(Box::new) });
}
