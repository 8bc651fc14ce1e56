//! The operations of one worker or task, one after the other: each is issued, served and written down.

use std::fmt::Display;
use std::time::{Duration, Instant};

use super::context::Context;
use super::issued::{Issued, Issuer, is_called_off};
use super::plan::Step;
use super::recording::{Recorded, Recording};
use crate::allocator::{Awaited, Connection, Error, Lease};
use crate::event::{Asked, Lock, Selection, TaskId, WorkerId};
use crate::protocol::{self, DialFailure, ImapOperation, Job, Letter, MailConnection};

/// One worker's or task's way through its steps.
pub(super) struct Operations {
    /// Who goes it: `w0`, `t7`.
    who: String,
    steps: Box<dyn Iterator<Item = Step> + Send>,
    /// At most that number of operations, and none after that moment.
    most: u64,
    until: Option<Instant>,
    issued: u64,
    /// Of these, one whose time ran out while it stood in line; and for how long it stood there.
    not_begun: u64,
    not_begun_wait: Duration,
    /// Passed with every operation.
    pub(super) independent: Option<Connection<Recording>>,
    scratch: Scratch,
}

/// The mailbox that appends make and remove.
struct Scratch {
    mailbox: String,
    /// Its whole name, where the last append could not remove it.
    left: Option<String>,
}

impl Operations {
    /// `number` decides the steps.
    pub(super) fn new(context: &Context, number: u32, who: impl Display) -> Self {
        let most = context.plan.operations_of(number).unwrap_or(u64::MAX);
        let until = match context.plan.asked {
            Asked::Duration(duration) => Some(Instant::now() + duration.duration()),
            _ => None,
        };
        let mailbox = format!("mailconn-{}-{who}", context.setup.run_id);
        Self {
            who: who.to_string(),
            steps: Box::new(context.plan.steps(number)),
            most,
            until,
            issued: 0,
            not_begun: 0,
            not_begun_wait: Duration::ZERO,
            independent: None,
            scratch: Scratch { mailbox, left: None },
        }
    }

    /// Whether there is something left to do, and time to do it.
    pub(super) fn goes_on(&self, context: &Context) -> bool {
        let over = self.until.is_some_and(|until| Instant::now() >= until);
        self.missing() > 0 && !over && context.control.interrupted().is_none()
    }

    /// How many operations were issued.
    pub(super) const fn issued(&self) -> u64 {
        self.issued
    }

    /// How many of these were not begun, so not written down, and what they had waited.
    pub(super) const fn not_begun(&self) -> (u64, Duration) {
        (self.not_begun, self.not_begun_wait)
    }

    /// How many may still be issued.
    pub(super) const fn missing(&self) -> u64 {
        self.most.saturating_sub(self.issued)
    }

    /// The rest before the next operation; there is none after the last.
    pub(super) fn pause(&self, context: &Context) -> Duration {
        let left = self.until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
        if self.missing() == 0 { Duration::ZERO } else { context.plan.pause.min(left) }
    }

    /// The scratch mailbox, if it may still be on the server.
    pub(super) fn left_mailbox(&self) -> Option<String> {
        self.scratch.left.clone()
    }

    /// Issues the next operation on this thread, that worker's, and writes it down; false if it got no connection, and
    /// its like should stop.
    pub(super) fn issue(&mut self, context: &Context, worker: WorkerId, task: Option<TaskId>) -> bool {
        let Some(step) = self.steps.next() else { return false };
        self.issued += 1;
        let mailbox = step.mailbox.and_then(|index| context.plan.mailboxes.get(usize::from(index)));
        let (client, recorder, control) = (&context.client, &*context.recorder, &*context.control);
        let issuer = Issuer { client, recorder, control, worker, task };
        let passed = self.independent.as_ref();
        let mut issued = context
            .switching
            .issue(|mode| client.set_mode(mode), || issuer.issue(step.operation.name(), mailbox.cloned(), passed));
        let goes_on = match issued.lease() {
            // The time ran out while it stood in line: it is not begun, and not written down.
            Ok(lease) if !lease.assignment().opened && self.until.is_some_and(|until| Instant::now() >= until) => {
                self.not_begun += 1;
                self.not_begun_wait += lease.assignment().waited;
                return false;
            }
            Ok(lease) if context.plan.lock == Lock::Command && step.operation.selects() => {
                serve_by_command(context, step, lease, &mut issued)
            }
            Ok(lease) => {
                let letters = context.setup.letters.as_ref().filter(|_| step.operation.writes());
                let letter = letters.map(|letters| letters.letter(&self.who, self.issued));
                serve(context, step, lease, letter.as_ref(), &mut self.scratch, &mut issued);
                true
            }
            // Called off in line: it counts as not issued.
            Err(error) if is_called_off(control, &error) => {
                self.issued -= 1;
                return false;
            }
            Err(error) => not_served(&error, &mut issued),
        };
        issued.record();
        goes_on
    }
}

fn serve(
    context: &Context,
    step: Step,
    mut lease: Lease<Recording>,
    letter: Option<&Letter>,
    scratch: &mut Scratch,
    issued: &mut Issued<'_>,
) {
    let mailbox = step.mailbox.and_then(|index| context.plan.mailboxes.get(usize::from(index)));
    let mailbox = if step.operation.writes() { scratch.mailbox.as_str() } else { mailbox.map_or("", |name| &**name) };
    let Recorded { mail, .. } = &mut *lease;
    issued.serve(mail, |mail| mail.run(step.operation, &Job { mailbox, letter }));
    if let (MailConnection::Imap(imap), true) = (&*mail, step.operation.writes())
        && let Some(left) = imap.left_behind()
    {
        scratch.left = left.then(|| imap.scratch_mailbox(&scratch.mailbox));
    }
}

/// The naive way: selects in one lease and reads in the next, so that others select in between.
fn serve_by_command(context: &Context, step: Step, mut first: Lease<Recording>, issued: &mut Issued<'_>) -> bool {
    let leased_at = context.recorder.now();
    let session = first.assignment().session;
    let mailbox = step.mailbox.and_then(|index| context.plan.mailboxes.get(usize::from(index)));
    let Recorded { mail, .. } = &mut *first;
    let MailConnection::Imap(imap) = mail else { return true };
    let selected = imap.select(mailbox.map_or("", |name| &**name));
    let local_port = imap.established().local_port;
    let reply = match selected {
        Ok(reply) if !(reply.items == 0 && step.operation == protocol::Operation::Imap(ImapOperation::Fetch)) => reply,
        // It failed, or there is nothing to fetch: no second command is sent.
        ended => {
            issued.served(leased_at, mail, ended.map(|_| 0));
            return true;
        }
    };
    issued.served(leased_at, mail, Ok(0));
    let commands = std::mem::take(&mut issued.operation.commands);
    let selection = Selection { session, local_port, commands, uid_validity: reply.uid_validity };
    issued.operation.relied_on = Some(Box::new(selection));
    drop(first);
    let mut second = match issued.lease_again() {
        Ok(second) => second,
        Err(error) => return not_served(&error, issued),
    };
    let Recorded { mail, .. } = &mut *second;
    issued.serve(mail, |mail| match (mail, step.operation) {
        (MailConnection::Imap(imap), protocol::Operation::Imap(operation)) => {
            imap.run_selected(operation).map(|reply| reply.items)
        }
        // Only operations of IMAP select.
        _ => Ok(0),
    });
    true
}

/// No connection was given. Whatever the reason, a dial that failed or found no room ends the worker: it would fare no
/// better with the next operation, and would only burden the server.
fn not_served(error: &Error<DialFailure>, issued: &mut Issued<'_>) -> bool {
    issued.not_served(error);
    matches!(error, Error::WaitTimeout { awaited: Awaited::Connection(_), .. })
}
