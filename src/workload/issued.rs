//! One operation, from its issue to its event: what the rule looked at, what it was given, and what came of it. Workers,
//! tasks and the threads of a scenario all do it in this way.

use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use super::recorder::Recorder;
use super::recording::{Recording, commands};
use crate::allocator::{Client, Connection, Decision, DefaultConnection, Error, Lease, Refusal, SessionId};
use crate::event::{DefaultRefused, DefaultRule, Micros, Operation, Outcome, TaskId, WorkerId};
use crate::protocol::{DialFailure, Failure, FailureKind, MailConnection, Stage, Verb};

/// Whose connections an operation is to use, and where it is written down.
#[derive(Clone, Copy)]
pub(crate) struct Issuer<'a> {
    pub(crate) client: &'a Client<Recording>,
    pub(crate) recorder: &'a Recorder,
    pub(crate) control: &'a Control,
    pub(crate) worker: WorkerId,
    pub(crate) task: Option<TaskId>,
}

/// An operation on its way to being written down.
pub(crate) struct Issued<'a> {
    by: Issuer<'a>,
    passed: Option<&'a Connection<Recording>>,
    pub(crate) operation: Operation,
    /// When it asked for the connection that it is to have next.
    asked_at: Duration,
    /// What it took so far, lease by lease; cut to microseconds in sum.
    wait: Duration,
    dial: Duration,
    service: Duration,
}

impl<'a> Issuer<'a> {
    /// Issues one now, on this thread, which is that worker's.
    pub(crate) fn issue(
        self,
        name: &'static str,
        mailbox: Option<Arc<str>>,
        passed: Option<&'a Connection<Recording>>,
    ) -> Issued<'a> {
        let issued_after = self.recorder.recorded();
        let asked_at = self.recorder.now();
        let mut operation = Operation {
            number: 0,
            worker: self.worker,
            task: self.task,
            name,
            mailbox,
            mode: self.client.mode(),
            had_default: false,
            passed: passed.map(Connection::id),
            reason: None,
            connection: None,
            session: None,
            opened: false,
            local_port: None,
            commands: Box::default(),
            failed_command: None,
            issued_after,
            issued_at_us: asked_at.into(),
            wait_us: Micros::ZERO,
            dial_us: Micros::ZERO,
            service_us: Micros::ZERO,
            outcome: Outcome::Ok,
            items: Some(0),
            failure: None,
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
        let none = Duration::ZERO;
        Issued { by: self, passed, operation, asked_at, wait: none, dial: none, service: none }
    }

    /// Creates this thread's default connection by hand. That a task finds one there is written down.
    ///
    /// # Errors
    /// The rules refuse it, or it could not be opened.
    pub(crate) fn create_default(self) -> Result<DefaultConnection<Recording>, Error<DialFailure>> {
        let created = self.client.create_default_connection();
        if let (Err(Error::Refused(Refusal::DefaultExists { existing })), Some(task)) = (&created, self.task) {
            let (worker, existing, rule) = (self.worker, *existing, DefaultRule::C3);
            self.recorder.record(DefaultRefused { task, worker, existing, rule });
        }
        created
    }
}

impl Issued<'_> {
    /// Asks for its connection, under the mode that it was issued under, though another may be in force by now; and writes
    /// down what it was given, and looked at to be given it.
    pub(crate) fn lease(&mut self) -> Result<Lease<Recording>, Error<DialFailure>> {
        let lease = self.lease_again()?;
        let assigned = lease.assignment();
        self.operation.had_default = assigned.had_default;
        self.operation.reason = Some(assigned.reason);
        Ok(lease)
    }

    /// The same once more, for its next command: what the rule looked at stands as it was, so it is due the same one.
    pub(crate) fn lease_again(&mut self) -> Result<Lease<Recording>, Error<DialFailure>> {
        self.operation.local_port = None;
        if self.operation.session.is_some() {
            self.asked_at = self.by.recorder.now();
        }
        let lease = match self.passed {
            Some(connection) => self.by.client.lease_on(connection),
            None => self.by.client.lease_under(self.operation.mode),
        }?;
        let assigned = *lease.assignment();
        self.is_given(assigned.session);
        self.wait += assigned.waited;
        if assigned.opened {
            self.dialled(assigned.waited);
        }
        Ok(lease)
    }

    /// Does it on the connection that it was given, and takes down what came of it.
    pub(crate) fn serve(
        &mut self,
        mail: &mut MailConnection,
        operate: impl FnOnce(&mut MailConnection) -> Result<u32, Failure>,
    ) {
        let leased_at = self.by.recorder.now();
        let outcome = operate(mail);
        self.served(leased_at, mail, outcome);
    }

    /// It had its connection since then, and this is what came of that.
    pub(crate) fn served(&mut self, since: Duration, mail: &MailConnection, outcome: Result<u32, Failure>) {
        self.service += (self.by.recorder.now() - since).saturating_sub(mail.lingered());
        self.operation.came_to(outcome);
        self.operation.local_port = Some(mail.established().local_port);
        self.operation.commands = commands(mail, mail.commands());
        let failed = mail.failed_command().filter(|_| !self.operation.is_ok());
        self.operation.failed_command = failed.map(Verb::name);
        self.operation.answered_by = mail.answered_by().cloned();
    }

    /// It got no connection, for that reason.
    pub(crate) fn not_served(&mut self, error: &Error<DialFailure>) {
        match error {
            Error::Connect { session, waited, .. } => {
                self.is_given(*session);
                self.wait += *waited;
                self.dialled(*waited);
            }
            Error::WaitTimeout { waited, .. } => self.wait += *waited,
            Error::Refused(_) => {}
        }
        self.operation.came_to(Err(failure_of(self.by.control, error)));
    }

    fn is_given(&mut self, session: SessionId) {
        self.operation.connection = Some(session.connection);
        self.operation.session = Some(session);
    }

    fn dialled(&mut self, waited: Duration) {
        self.operation.opened = true;
        self.dial += (self.by.recorder.now() - self.asked_at).saturating_sub(waited);
    }

    /// Over: it is written down.
    pub(crate) fn record(mut self) {
        let Self { by, wait, dial, service, .. } = self;
        self.operation.wait_us = wait.into();
        self.operation.dial_us = dial.into();
        self.operation.service_us = service.into();
        by.recorder.record(Box::new(self.operation));
    }
}

/// Whether the run was called off while somebody stood in line: whoever waited for that did not fail, it was not served.
pub(super) fn is_called_off(control: &Control, error: &Error<DialFailure>) -> bool {
    matches!(error, Error::Refused(Refusal::ClientClosed)) && control.interrupted().is_some()
}

/// The failure that is written down of whatever got no connection.
pub(crate) fn failure_of(control: &Control, error: &Error<DialFailure>) -> Failure {
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
