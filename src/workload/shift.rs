//! The operations of one worker or task, one after the other: each is issued, served and written down.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::plan::Step;
use super::recording::{Recorded, Recording, commands};
use super::worker::Floor;
use crate::allocator::{Connection, Decision, Error, Lease, Mode, Refusal};
use crate::protocol::{self, DialFailure, Failure, FailureKind, ImapOperation, Job, MailConnection, Stage};
use crate::record::{Asked, Lock, Operation, Selection, TaskId, What, WorkerId};

/// One worker's or task's way through its steps.
pub(super) struct Shift {
    /// Who goes it: `w0`, `t7`.
    who: String,
    steps: Box<dyn Iterator<Item = Step> + Send>,
    /// So many operations at most, and none after that moment.
    most: u64,
    until: Option<Instant>,
    issued: u64,
    /// Passed with every operation.
    pub(super) independent: Option<Connection<Recording>>,
    scratch: Scratch,
}

/// The mailbox that appends make and remove.
struct Scratch {
    mailbox: String,
    /// The last append could not remove it.
    left: bool,
}

impl Shift {
    /// `number` decides the steps.
    pub(super) fn new(floor: &Floor, number: u32, who: impl Display) -> Self {
        let (most, until) = match floor.plan.asked {
            Asked::Operations(most) => (most, None),
            Asked::Duration(duration) => (u64::MAX, Some(Instant::now() + duration)),
        };
        let mailbox = format!("mailconn-{}-{who}", floor.setup.run_id);
        Self {
            who: who.to_string(),
            steps: Box::new(floor.plan.steps(number)),
            most,
            until,
            issued: 0,
            independent: None,
            scratch: Scratch { mailbox, left: false },
        }
    }

    /// Whether there is something left to do, and time to do it.
    pub(super) fn goes_on(&self, floor: &Floor) -> bool {
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        self.missing() > 0 && !over && floor.control.interrupted().is_none()
    }

    /// How many operations were issued.
    pub(super) const fn issued(&self) -> u64 {
        self.issued
    }

    /// How many may still be issued.
    pub(super) const fn missing(&self) -> u64 {
        self.most.saturating_sub(self.issued)
    }

    /// The rest before the next operation; there is none after the last.
    pub(super) fn pause(&self, floor: &Floor) -> Duration {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        if self.missing() == 0 { Duration::ZERO } else { floor.plan.pause.min(left) }
    }

    /// The scratch mailbox, if it may still be on the server.
    pub(super) fn left_mailbox(&self) -> Option<String> {
        self.scratch.left.then(|| self.scratch.mailbox.clone())
    }

    /// Issues the next operation on this thread, that worker's, and writes it down; false if it got no connection, and
    /// its like should stop.
    pub(super) fn issue(&mut self, floor: &Floor, worker: WorkerId, task: Option<TaskId>) -> bool {
        let Some(step) = self.steps.next() else { return false };
        self.issued += 1;
        let passed = self.independent.as_ref();
        let mut operation = Operation {
            worker,
            task,
            number: 0,
            name: step.operation.name(),
            mailbox: step.mailbox,
            issued_after: 0,
            issued_at: Duration::ZERO,
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
        let set_mode = |mode| floor.client.set_mode(mode);
        floor.switching.issue(set_mode, || {
            operation.issued_after = floor.recorder.recorded();
            operation.issued_at = floor.recorder.now();
            // Asked before the lease: what the rule looked at counts even if no connection comes of it, and a client that
            // is closed meanwhile has no default connection any more.
            if let Ok(Decision { mode, had_default, reason }) = floor.client.decide(passed.is_some()) {
                operation.mode = mode;
                operation.had_default = had_default;
                operation.reason = Some(reason);
            }
        });
        let goes_on = match lease(floor, passed, operation.mode) {
            // The time ran out while it stood in line: it is not begun, so it was not issued.
            Ok(lease) if !lease.assignment().opened && self.until.is_some_and(|until| Instant::now() >= until) => {
                return false;
            }
            Ok(lease) if floor.plan.lock == Lock::Command && step.operation.selects() => {
                serve_by_command(floor, step, lease, passed, &mut operation)
            }
            Ok(lease) => {
                self.serve(floor, step, lease, &mut operation);
                true
            }
            Err(error) => not_served(floor, error, operation.issued_at, &mut operation),
        };
        floor.recorder.record(What::Operation(Box::new(operation)));
        goes_on
    }

    fn serve(&mut self, floor: &Floor, step: Step, mut lease: Lease<Recording>, operation: &mut Operation) {
        let leased_at = assigned(floor, &lease, operation);
        let mailbox = step.mailbox.and_then(|index| floor.plan.mailboxes.get(usize::from(index)));
        let letters = floor.setup.letters.as_ref().filter(|_| step.operation.writes());
        let letter = letters.map(|letters| letters.letter(&self.who, self.issued));
        let mailbox =
            if step.operation.writes() { self.scratch.mailbox.as_str() } else { mailbox.map_or("", String::as_str) };
        let Recorded { mail, .. } = &mut *lease;
        let outcome = mail.run(step.operation, &Job { mailbox, letter: letter.as_ref() });
        operation.service = floor.recorder.now() - leased_at;
        operation.outcome = outcome.map_err(Box::new);
        operation.local_port = Some(mail.established().local_port);
        operation.commands = commands(mail.commands());
        operation.answered_by = mail.answered_by().cloned();
        if let (MailConnection::Imap(imap), true) = (&*mail, step.operation.writes()) {
            self.scratch.left = imap.left_behind().unwrap_or(self.scratch.left);
        }
    }
}

/// The mode is the one that the operation was issued under, though another may be in force by now.
fn lease(
    floor: &Floor,
    passed: Option<&Connection<Recording>>,
    mode: Mode,
) -> Result<Lease<Recording>, Error<DialFailure>> {
    match passed {
        Some(connection) => floor.client.lease_on(connection),
        None => floor.client.lease_under(mode),
    }
}

/// Writes down what the operation was given, and looked at to be given it; returns when that was.
fn assigned(floor: &Floor, lease: &Lease<Recording>, operation: &mut Operation) -> Duration {
    let assigned = *lease.assignment();
    // Its mode is the one it was issued under, though another may be in force when a passed connection is leased.
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
    floor: &Floor,
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
    let mut second = match lease(floor, passed, operation.mode) {
        Ok(second) => second,
        Err(error) => return not_served(floor, error, before, operation),
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

/// No connection was given. Whatever the reason, a dial that failed or found no room ends the worker: it would fare no
/// better with the next operation, and would only burden the server.
fn not_served(floor: &Floor, error: Error<DialFailure>, asked_at: Duration, operation: &mut Operation) -> bool {
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

pub(super) fn failure_of(floor: &Floor, error: Error<DialFailure>) -> Failure {
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
