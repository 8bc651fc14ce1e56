//! One worker: comes by its connection as its role says, issues its operations, keeps what it holds until all are done.

use super::floor::Floor;
use super::issued::failure_of;
use super::shift::Shift;
use crate::allocator::Error;
use crate::event::{MailboxLeft, WorkerEnded, WorkerId, WorkerStopped};
use crate::protocol::{DialFailure, Failure};

pub(super) fn work(floor: &Floor, number: u32) {
    let worker = WorkerId(number);
    floor.recorder.introduce(worker);
    let mut attendance = floor.meeting.attend();
    if !floor.meeting.wait_for_start() {
        return;
    }
    let mut shift = Shift::new(floor, number, worker);
    let created = create_own(floor, number, &mut shift);
    if !floor.plan.switches.is_empty() {
        // A mode that is set meanwhile could refuse a default that belongs to the plan (C2).
        attendance.wait_for_all_equipped();
    }
    match created {
        Ok(()) => issue_all(floor, worker, &mut shift),
        Err(error) => stopped(floor, worker, 0, Some(failure_of(&floor.control, &error))),
    }
    // Everybody keeps what they hold until all are done: so many connections are open at once, not one after the other.
    attendance.wait_for_all();
    let ((not_begun, not_begun_wait), left_mailbox) = (shift.not_begun(), shift.left_mailbox().is_some());
    let operations = shift.issued() - not_begun;
    drop(shift);
    floor.client.dispose_default_connection();
    let not_begun_wait_us = not_begun_wait.into();
    floor.recorder.record(WorkerEnded { worker, operations, not_begun, not_begun_wait_us, left_mailbox });
}

fn create_own(floor: &Floor, number: u32, shift: &mut Shift) -> Result<(), Error<DialFailure>> {
    let role = floor.plan.workers.get(number as usize).copied().unwrap_or_default();
    if role.creates_default {
        // Left to the thread: it serves every operation there, and the worker disposes it when all are done.
        floor.client.create_default_connection()?.leave();
    }
    if role.creates_independent {
        shift.independent = Some(floor.client.create_connection()?);
    }
    Ok(())
}

fn issue_all(floor: &Floor, worker: WorkerId, shift: &mut Shift) {
    while shift.goes_on(floor) {
        let served = shift.issue(floor, worker, None);
        let pause = shift.pause(floor);
        if !served || !(pause.is_zero() || floor.control.rest(pause)) {
            break;
        }
    }
    if shift.missing() > 0 {
        stopped(floor, worker, shift.issued(), None);
    }
    if let Some(mailbox) = shift.left_mailbox() {
        floor.recorder.record(MailboxLeft { worker, mailbox });
    }
}

fn stopped(floor: &Floor, worker: WorkerId, issued: u64, failure: Option<Failure>) {
    let not_issued = match floor.plan.operations_of(worker.0) {
        Some(asked) => asked - issued,
        None if failure.is_none() => return,
        None => 0,
    };
    floor.recorder.record(WorkerStopped { worker, not_issued, failure: failure.map(Box::new) });
}
