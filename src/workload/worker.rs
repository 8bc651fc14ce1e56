//! One worker: comes by its connection as its role says, issues its operations, writes down each.

use std::time::{Duration, Instant};

use super::control::Control;
use super::gate::Meeting;
use super::plan::{Plan, Step};
use super::recorder::Recorder;
use super::recording::{Recorded, Recording, commands};
use super::runner::Setup;
use crate::allocator::{Client, Connection, Decision, Error, Lease, Refusal};
use crate::protocol::{self, DialFailure, Failure, FailureKind, ImapOperation, Job, MailConnection, Stage};
use crate::record::{Asked, Lock, Operation, Selection, What, WorkerId};

/// What all workers of a run share.
pub(super) struct Floor<'a> {
    pub(super) plan: &'a Plan,
    pub(super) setup: &'a Setup,
    pub(super) client: &'a Client<Recording>,
    pub(super) recorder: &'a Recorder,
    pub(super) control: &'a Control,
    pub(super) meeting: &'a Meeting,
}

pub(super) fn work(floor: &Floor<'_>, number: u32) {
    let worker = WorkerId(number);
    floor.recorder.introduce(worker);
    let mut attendance = floor.meeting.attend();
    if !floor.meeting.wait_for_start() {
        return;
    }
    let own = match Own::create(floor, number) {
        Ok(own) => {
            issue_all(floor, number, &own);
            Some(own)
        }
        Err(error) => {
            stopped(floor, worker, 0, Some(failure_of(floor, error)));
            None
        }
    };
    // Everybody keeps what they hold until all are done: so many connections are open at once, not one after the other.
    attendance.wait_for_all();
    drop(own);
    floor.client.dispose_default_connection();
}

/// What a worker created by hand.
struct Own {
    independent: Option<Connection<Recording>>,
}

impl Own {
    fn create(floor: &Floor<'_>, number: u32) -> Result<Self, Error<DialFailure>> {
        let role = floor.plan.workers.get(number as usize).copied().unwrap_or_default();
        if role.creates_default {
            // Left to the thread: it serves every operation there, and the worker disposes it when all are done.
            floor.client.create_default_connection()?.leave();
        }
        let independent = role.creates_independent.then(|| floor.client.create_connection()).transpose()?;
        Ok(Self { independent })
    }
}

fn issue_all(floor: &Floor<'_>, number: u32, own: &Own) {
    let worker = WorkerId(number);
    let (most, until) = match floor.plan.asked {
        Asked::Operations(most) => (most, None),
        Asked::Duration(duration) => (u64::MAX, Some(Instant::now() + duration)),
    };
    let mut issued = 0;
    let mut scratch = Scratch::of(floor, worker);
    for step in floor.plan.steps(number) {
        let over = until.is_some_and(|until| Instant::now() >= until);
        if issued == most || over || floor.control.interrupted().is_some() {
            break;
        }
        issued += 1;
        let errand = Errand { step, number: issued };
        let goes_on = issue(floor, worker, errand, own.independent.as_ref(), until, &mut scratch);
        let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        let pause = floor.plan.pause.min(left);
        let rested = pause.is_zero() || issued == most || floor.control.rest(pause);
        if !goes_on || !rested {
            break;
        }
    }
    if issued < most {
        stopped(floor, worker, issued, None);
    }
    if scratch.left {
        floor.recorder.record(What::LeftMailbox { worker, mailbox: scratch.mailbox });
    }
}

/// The mailbox that a worker's appends make and remove.
struct Scratch {
    mailbox: String,
    /// The last append could not remove it.
    left: bool,
}

impl Scratch {
    fn of(floor: &Floor<'_>, worker: WorkerId) -> Self {
        Self { mailbox: format!("mailconn-{}-{worker}", floor.setup.run_id), left: false }
    }
}

/// One operation that a worker is to do.
#[derive(Clone, Copy)]
struct Errand {
    step: Step,
    /// Which one of the worker's, from 1.
    number: u64,
}

fn stopped(floor: &Floor<'_>, worker: WorkerId, issued: u64, failure: Option<Failure>) {
    let not_issued = match floor.plan.asked {
        Asked::Operations(asked) => asked - issued,
        Asked::Duration(_) if failure.is_none() => return,
        Asked::Duration(_) => 0,
    };
    floor.recorder.record(What::Stopped { worker, not_issued, failure: failure.map(Box::new) });
}

/// Issues one operation and writes it down; false if the worker cannot get a connection and should stop.
fn issue(
    floor: &Floor<'_>,
    worker: WorkerId,
    errand: Errand,
    passed: Option<&Connection<Recording>>,
    until: Option<Instant>,
    scratch: &mut Scratch,
) -> bool {
    let step = errand.step;
    let mut operation = Operation {
        worker,
        number: 0,
        name: step.operation.name(),
        mailbox: step.mailbox,
        issued_after: floor.recorder.recorded(),
        issued_at: floor.recorder.now(),
        mode: floor.plan.mode,
        had_default: false,
        passed: passed.map(Connection::id),
        reason: None,
        session: None,
        opened: false,
        local_port: None,
        commands: Box::default(),
        wait: Duration::ZERO,
        dial: Duration::ZERO,
        service: Duration::ZERO,
        outcome: Ok(0),
        answered_by: None,
        relied_on: None,
    };
    // Asked before the lease: what the rule looked at counts even if no connection comes of it, and a client that is
    // closed meanwhile has no default connection any more.
    if let Ok(Decision { mode, had_default, reason }) = floor.client.decide(passed.is_some()) {
        operation.mode = mode;
        operation.had_default = had_default;
        operation.reason = Some(reason);
    }
    let goes_on = match lease(floor, passed) {
        // The time ran out while it stood in line: it is not begun, so it was not issued.
        Ok(lease) if !lease.assignment().opened && until.is_some_and(|until| Instant::now() >= until) => return false,
        Ok(lease) if floor.plan.lock == Lock::Command && step.operation.selects() => {
            serve_by_command(floor, step, lease, passed, &mut operation)
        }
        Ok(lease) => {
            serve(floor, errand, lease, &mut operation, scratch);
            true
        }
        Err(error) => not_served(floor, error, operation.issued_at, &mut operation),
    };
    floor.recorder.record(What::Operation(Box::new(operation)));
    goes_on
}

fn lease(floor: &Floor<'_>, passed: Option<&Connection<Recording>>) -> Result<Lease<Recording>, Error<DialFailure>> {
    match passed {
        Some(connection) => floor.client.lease_on(connection),
        None => floor.client.lease(),
    }
}

/// Writes down what the operation was given, and looked at to be given it; returns when that was.
fn assigned(floor: &Floor<'_>, lease: &Lease<Recording>, operation: &mut Operation) -> Duration {
    let assigned = *lease.assignment();
    operation.mode = assigned.mode;
    operation.had_default = assigned.had_default;
    operation.reason = Some(assigned.reason);
    operation.session = Some(assigned.session);
    operation.opened = assigned.opened;
    operation.wait = assigned.waited;
    let leased_at = floor.recorder.now();
    if assigned.opened {
        operation.dial = (leased_at - operation.issued_at).saturating_sub(assigned.waited);
    }
    leased_at
}

/// The naive way: selects in one lease and reads in the next, so that others select in between.
fn serve_by_command(
    floor: &Floor<'_>,
    step: Step,
    mut first: Lease<Recording>,
    passed: Option<&Connection<Recording>>,
    operation: &mut Operation,
) -> bool {
    let leased_at = assigned(floor, &first, operation);
    let mailbox = step.mailbox.and_then(|index| floor.plan.mailboxes.get(usize::from(index)));
    let Recorded { mail, .. } = &mut *first;
    let MailConnection::Imap(imap) = mail else { return true };
    let selected = imap.select(mailbox.map_or("", String::as_str));
    operation.service = floor.recorder.now() - leased_at;
    let (port, sent) = (imap.established().local_port, commands(imap.commands()));
    operation.local_port = Some(port);
    let reply = match selected {
        Ok(reply) if !(reply.items == 0 && step.operation == protocol::Operation::Imap(ImapOperation::Fetch)) => reply,
        // It failed, or there is nothing to fetch: no second command is sent.
        ended => {
            operation.commands = sent;
            operation.outcome = ended.map(|_| 0).map_err(Box::new);
            return true;
        }
    };
    let session = first.assignment().session;
    let selection = Selection { session, local_port: port, commands: sent, uid_validity: reply.uid_validity };
    operation.relied_on = Some(Box::new(selection));
    drop(first);
    operation.local_port = None;
    let before = floor.recorder.now();
    let mut second = match lease(floor, passed) {
        Ok(second) => second,
        Err(error) => {
            return not_served(floor, error, before, operation);
        }
    };
    let again = *second.assignment();
    // What the rule looked at stands as the first lease had it: the second is due the same connection.
    let leased_at = floor.recorder.now();
    operation.session = Some(again.session);
    operation.wait += again.waited;
    if again.opened {
        operation.opened = true;
        operation.dial += (leased_at - before).saturating_sub(again.waited);
    }
    let Recorded { mail, .. } = &mut *second;
    let MailConnection::Imap(imap) = mail else { return true };
    let read = match step.operation {
        protocol::Operation::Imap(ImapOperation::Search) => imap.search_selected(),
        _ => imap.fetch_selected(),
    };
    operation.service += floor.recorder.now() - leased_at;
    operation.outcome = read.map(|reply| reply.items).map_err(Box::new);
    operation.local_port = Some(imap.established().local_port);
    operation.commands = commands(imap.commands());
    operation.answered_by = imap.answered_by().cloned();
    true
}

fn serve(
    floor: &Floor<'_>,
    errand: Errand,
    mut lease: Lease<Recording>,
    operation: &mut Operation,
    scratch: &mut Scratch,
) {
    let leased_at = assigned(floor, &lease, operation);
    let Errand { step, number } = errand;
    let mailbox = step.mailbox.and_then(|index| floor.plan.mailboxes.get(usize::from(index)));
    let letters = floor.setup.letters.as_ref().filter(|_| step.operation.writes());
    let letter = letters.map(|letters| letters.letter(operation.worker.0, number));
    let mailbox = if step.operation.writes() { scratch.mailbox.as_str() } else { mailbox.map_or("", String::as_str) };
    let Recorded { mail, .. } = &mut *lease;
    let outcome = mail.run(step.operation, &Job { mailbox, letter: letter.as_ref() });
    operation.service = floor.recorder.now() - leased_at;
    operation.outcome = outcome.map_err(Box::new);
    operation.local_port = Some(mail.established().local_port);
    operation.commands = commands(mail.commands());
    operation.answered_by = mail.answered_by().cloned();
    if let (MailConnection::Imap(imap), true) = (&*mail, step.operation.writes()) {
        scratch.left = imap.left_behind().unwrap_or(scratch.left);
    }
}

/// No connection was given. Whatever the reason, a dial that failed or found no room ends the worker: it would fare no
/// better with the next operation, and would only burden the server.
fn not_served(floor: &Floor<'_>, error: Error<DialFailure>, asked_at: Duration, operation: &mut Operation) -> bool {
    let goes_on = match &error {
        Error::Connect { session, waited, .. } => {
            operation.session = Some(*session);
            operation.opened = true;
            operation.wait += *waited;
            operation.dial += (floor.recorder.now() - asked_at).saturating_sub(*waited);
            false
        }
        Error::WaitTimeout { waited, awaited } => {
            operation.wait += *waited;
            matches!(awaited, crate::allocator::Awaited::Connection(_))
        }
        _ => false,
    };
    operation.outcome = Err(Box::new(failure_of(floor, error)));
    goes_on
}

fn failure_of(floor: &Floor<'_>, error: Error<DialFailure>) -> Failure {
    let message = error.to_string();
    match error {
        // The interruption closed the client under it: no fault of the rules.
        Error::Refused(Refusal::ClientClosed) if floor.control.interrupted().is_some() => {
            let message = "the run was interrupted while it waited for its connection";
            Failure::new(FailureKind::Disposed, Stage::Wait, message)
        }
        Error::Connect { error, .. } => error.failure,
        Error::WaitTimeout { .. } => Failure::new(FailureKind::WaitTimeout, Stage::Wait, message),
        Error::Refused(Refusal::Disposed { .. } | Refusal::ClientClosed) => {
            Failure::new(FailureKind::Disposed, Stage::Wait, message)
        }
        _ => Failure::new(FailureKind::Refused, Stage::Wait, message),
    }
}
