//! One operation, from its issue to the record: what the rule looked at, what it was given, and what came of it.

use std::time::Duration;

use super::control::Control;
use super::recorder::Recorder;
use super::recording::{Recording, commands};
use crate::allocator::{Client, Connection, Decision, Error, Lease, Refusal};
use crate::protocol::{DialFailure, Failure, FailureKind, MailConnection, Stage, Verb};
use crate::record::{Operation, TaskId, What, WorkerId};

/// Whose connections an operation is to use, and where it is written down.
#[derive(Clone, Copy)]
pub(super) struct Issuer<'a> {
    pub(super) client: &'a Client<Recording>,
    pub(super) recorder: &'a Recorder,
    pub(super) control: &'a Control,
    pub(super) worker: WorkerId,
    pub(super) task: Option<TaskId>,
}

/// An operation that is on its way to the record.
pub(super) struct Issued<'a> {
    by: Issuer<'a>,
    passed: Option<&'a Connection<Recording>>,
    pub(super) operation: Operation,
    /// When it asked for the connection that it is to have next.
    asked_at: Duration,
}

impl<'a> Issuer<'a> {
    /// Issues one now, on this thread, which is that worker's.
    pub(super) fn issue(
        self,
        name: &'static str,
        mailbox: Option<u16>,
        passed: Option<&'a Connection<Recording>>,
    ) -> Issued<'a> {
        let mut operation = Operation {
            worker: self.worker,
            task: self.task,
            number: 0,
            name,
            mailbox,
            issued_after: self.recorder.recorded(),
            issued_at: self.recorder.now(),
            mode: self.client.mode(),
            had_default: false,
            passed: passed.map(Connection::id),
            reason: None,
            session: None,
            opened: false,
            local_port: None,
            commands: Box::default(),
            failed_command: None,
            wait: Duration::ZERO,
            dial: Duration::ZERO,
            service: Duration::ZERO,
            outcome: Ok(0),
            answered_by: None,
            relied_on: None,
        };
        // Asked before the lease: what the rule looked at counts even if no connection comes of it, and a client that is
        // closed meanwhile has no default connection any more.
        if let Ok(Decision { mode, had_default, reason }) = self.client.rule(passed.is_some()) {
            operation.mode = mode;
            operation.had_default = had_default;
            operation.reason = Some(reason);
        }
        Issued { by: self, passed, asked_at: operation.issued_at, operation }
    }
}

impl Issued<'_> {
    /// Asks for its connection, under the mode that it was issued under, though another may be in force by now; and writes
    /// down what it was given, and looked at to be given it.
    pub(super) fn lease(&mut self) -> Result<Lease<Recording>, Error<DialFailure>> {
        let lease = self.lease_again()?;
        let assigned = lease.assignment();
        self.operation.had_default = assigned.had_default;
        self.operation.reason = Some(assigned.reason);
        Ok(lease)
    }

    /// The same once more, for its next command: what the rule looked at stands as it was, so it is due the same one.
    pub(super) fn lease_again(&mut self) -> Result<Lease<Recording>, Error<DialFailure>> {
        self.operation.local_port = None;
        if self.operation.session.is_some() {
            self.asked_at = self.by.recorder.now();
        }
        let lease = match self.passed {
            Some(connection) => self.by.client.lease_on(connection),
            None => self.by.client.lease_under(self.operation.mode),
        }?;
        let assigned = *lease.assignment();
        self.operation.session = Some(assigned.session);
        self.operation.wait += assigned.waited;
        if assigned.opened {
            self.dialled(assigned.waited);
        }
        Ok(lease)
    }

    /// It had its connection since then, and this is what came of that.
    pub(super) fn served(&mut self, since: Duration, mail: &MailConnection, outcome: Result<u32, Failure>) {
        self.operation.service += (self.by.recorder.now() - since).saturating_sub(mail.lingered());
        self.operation.outcome = outcome.map_err(Box::new);
        self.operation.local_port = Some(mail.established().local_port);
        self.operation.commands = commands(mail.commands());
        let failed = mail.failed_command().filter(|_| self.operation.outcome.is_err());
        self.operation.failed_command = failed.map(Verb::name);
        self.operation.answered_by = mail.answered_by().cloned();
    }

    /// It got no connection, for that reason.
    pub(super) fn not_served(&mut self, error: &Error<DialFailure>) {
        match error {
            Error::Connect { session, waited, .. } => {
                self.operation.session = Some(*session);
                self.operation.wait += *waited;
                self.dialled(*waited);
            }
            Error::WaitTimeout { waited, .. } => self.operation.wait += *waited,
            Error::Refused(_) => {}
        }
        self.operation.outcome = Err(Box::new(failure_of(self.by.control, error)));
    }

    fn dialled(&mut self, waited: Duration) {
        self.operation.opened = true;
        self.operation.dial += (self.by.recorder.now() - self.asked_at).saturating_sub(waited);
    }

    /// Over: it is written down.
    pub(super) fn record(self) {
        self.by.recorder.record(What::Operation(Box::new(self.operation)));
    }
}

/// The failure that the record has of whatever got no connection.
pub(super) fn failure_of(control: &Control, error: &Error<DialFailure>) -> Failure {
    let message = error.to_string();
    match error {
        // The interruption closed the client under it: no fault of the rules.
        Error::Refused(Refusal::ClientClosed) if control.interrupted().is_some() => {
            let message = "the run was interrupted while it waited for its connection";
            Failure::new(FailureKind::Disposed, Stage::Wait, message)
        }
        Error::Connect { error, .. } => (*error.failure).clone(),
        Error::WaitTimeout { .. } => Failure::new(FailureKind::WaitTimeout, Stage::Wait, message),
        Error::Refused(Refusal::Disposed { .. } | Refusal::ClientClosed) => {
            Failure::new(FailureKind::Disposed, Stage::Wait, message)
        }
        Error::Refused(_) => Failure::new(FailureKind::Refused, Stage::Wait, message),
    }
}
