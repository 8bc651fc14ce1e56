//! A connector that writes down what it does: each session's dial and end, with what only the socket knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use super::reach::Reach;
use super::recorder::Recorder;
use crate::allocator::{Connector, SessionId};
use crate::protocol::{self, DialFailure, Failure, FailureKind, MailConnection, MailConnector};
use crate::record::{Closed, Command, HowClosed, OpenFailed, Opened, What};

pub(super) struct Recording {
    pub(super) connector: Arc<MailConnector>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) reach: Reach,
}

pub(super) struct Recorded {
    session: SessionId,
    pub(super) mail: MailConnection,
    /// The last command's tag, as far as it was looked at: the connection knows those of its last unit only.
    carried: u32,
}

impl Recorded {
    fn look(&mut self) {
        let last = self.mail.commands().last().map_or(0, |command| command.tag.0);
        self.carried = self.carried.max(last);
    }
}

/// A dial under way, counted for as long as this lives.
struct UnderWay<'a>(&'a AtomicUsize);

impl<'a> UnderWay<'a> {
    fn one(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Connector for Recording {
    type Connection = Recorded;
    type Error = DialFailure;

    fn connect(&self, session: SessionId) -> Result<Recorded, DialFailure> {
        let worker = self.recorder.this_worker();
        let began = self.recorder.now();
        let _under_way = UnderWay::one(&self.recorder.dialling);
        match self.reach.is_hopeless().map_or_else(|| self.connector.dial(session), Err) {
            Ok(mail) => {
                self.reach.answered();
                let established = mail.established();
                self.recorder.record(What::Opened(Box::new(Opened {
                    session,
                    worker,
                    began,
                    local_port: established.local_port,
                    phases: established.phases,
                    tls: established.tls.clone(),
                    label: established.label.clone(),
                    signed_in_by: established.signed_in_by,
                    signed_in: self.recorder.since_start(established.signed_in_at),
                    commands: commands(&established.commands),
                })));
                let carried = established.commands.last().map_or(0, |command| command.tag.0);
                Ok(Recorded { session, mail, carried })
            }
            Err(failed) => {
                self.reach.failed(&failed);
                self.recorder.record(What::OpenFailed(Box::new(OpenFailed {
                    session,
                    worker,
                    local_port: failed.local_port,
                    phases: *failed.phases,
                    took: self.recorder.now().saturating_sub(began),
                    sign_in_attempted: failed.sign_in_attempted,
                    open: 0,
                    dialling: self.recorder.dialling.load(Ordering::Relaxed).saturating_sub(1),
                    failed: self.recorder.since_start(failed.failed_at).max(began),
                    failure: (*failed.failure).clone(),
                })));
                Err(failed)
            }
        }
    }

    fn has_broken(&self, connection: &mut Recorded) -> bool {
        connection.look();
        connection.mail.is_broken()
    }

    fn close(&self, mut connection: Recorded, deadline: Instant) {
        let how = match connection.mail.logout(deadline) {
            Ok(()) => HowClosed::LoggedOut,
            Err(failure) if !connection.mail.commands().is_empty() => HowClosed::WithoutLogout(failure),
            Err(failure) => unsaid(failure),
        };
        self.ended(connection, how);
    }

    fn discard(&self, connection: Recorded) {
        self.ended(connection, HowClosed::Discarded);
    }
}

impl Recording {
    fn ended(&self, mut connection: Recorded, how: HowClosed) {
        connection.look();
        let Recorded { session, mail, carried } = connection;
        let sent_last = match how {
            HowClosed::Discarded => Box::default(),
            _ => commands(mail.commands()),
        };
        let traffic = mail.bytes();
        drop(mail);
        self.recorder.record(What::Closed(Box::new(Closed {
            session,
            how,
            sent: traffic.sent,
            received: traffic.received,
            commands: sent_last,
            carried,
        })));
    }
}

/// How a session ended whose goodbye never left.
fn unsaid(failure: Failure) -> HowClosed {
    use FailureKind::{Closed, LimitConnections, LimitRate, Protocol, ServerBye, ServerUnavailable};
    match failure.kind {
        // There was nobody to say goodbye to.
        Closed | ServerBye | LimitConnections | LimitRate | ServerUnavailable => HowClosed::HungUp(failure),
        // What the server had said unasked is out of step: the session was broken.
        Protocol => HowClosed::Discarded,
        _ => HowClosed::WithoutLogout(failure),
    }
}

/// The commands as the socket saw them, in the record's own terms.
pub(super) fn commands(sent: &[protocol::Command]) -> Box<[Command]> {
    sent.iter().map(|command| Command { tag: command.tag.0, verb: command.verb.name() }).collect()
}
