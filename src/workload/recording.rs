//! A connector that writes down what it does: each session's dial and end, with what only the socket knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::breaker::Breaker;
use super::recorder::Recorder;
use crate::allocator::{Client, Connector, Mode, SessionId};
use crate::event::{Command, HowClosed, Micros, SessionClosed, SessionOpened, SessionRefused, Tag};
use crate::protocol::{self, DialFailure, Failure, FailureKind, MailConnection, MailConnector};

pub(crate) struct Recording {
    pub(crate) connector: Arc<MailConnector>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) breaker: Breaker,
}

pub(crate) struct Recorded {
    session: SessionId,
    pub(crate) mail: MailConnection,
    /// From the beginning of its dial until it was signed in, as it is recorded.
    pub(crate) dial_took: Micros,
    /// The last command's tag, as far as it was looked at: the connection knows those of its last unit only.
    carried: u32,
}

impl Recorded {
    fn look(&mut self) {
        let last = self.mail.commands().last().map_or(0, |command| command.tag.0);
        self.carried = self.carried.max(last);
    }
}

/// A client whose connections are recorded.
pub(crate) fn client(
    recording: Recording,
    mode: Mode,
    wait_timeout: Duration,
    max_connections: Option<usize>,
) -> Client<Recording> {
    let recorder = Arc::clone(&recording.recorder);
    let builder = Client::builder(recording).mode(mode).lease_timeout(wait_timeout).observer(recorder);
    match max_connections {
        Some(max) => builder.max_connections(max),
        None => builder,
    }
    .build()
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
        match self.breaker.is_hopeless().map_or_else(|| self.connector.dial(session), Err) {
            Ok(mail) => {
                self.breaker.answered();
                let established = mail.established();
                let (began, signed_in) =
                    (Micros::from(began), self.recorder.since_start(established.signed_in_at).into());
                self.recorder.record(Box::new(SessionOpened {
                    connection: session.connection,
                    session,
                    worker,
                    began_us: began,
                    local_port: established.local_port,
                    label: established.label.clone(),
                    tls: established.tls.as_ref().map(Into::into),
                    signed_in_by: established.signed_in_by,
                    signed_in_us: signed_in,
                    dial_us: (&established.phases).into(),
                    commands: commands(&mail, &established.commands),
                }));
                let carried = established.commands.last().map_or(0, |command| command.tag.0);
                Ok(Recorded { session, mail, dial_took: signed_in - began, carried })
            }
            Err(failed) => {
                self.breaker.failed(&failed);
                self.recorder.record(Box::new(SessionRefused {
                    connection: session.connection,
                    session,
                    worker,
                    local_port: failed.local_port,
                    dial_us: (&*failed.phases).into(),
                    took_us: self.recorder.now().saturating_sub(began).into(),
                    sign_in_attempted: failed.sign_in_attempted,
                    open: 0,
                    dialling: self.recorder.dialling.load(Ordering::Relaxed).saturating_sub(1),
                    failed_us: self.recorder.since_start(failed.failed_at).max(began).into(),
                    failure: (*failed.failure).clone(),
                }));
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
            Ok(()) => (HowClosed::LoggedOut, None),
            Err(failure) if !connection.mail.commands().is_empty() => (HowClosed::NoLogout, Some(failure)),
            Err(failure) => unsaid(failure),
        };
        self.ended(connection, how);
    }

    fn discard(&self, connection: Recorded) {
        self.ended(connection, (HowClosed::Discarded, None));
    }
}

impl Recording {
    fn ended(&self, mut connection: Recorded, (closed, failure): (HowClosed, Option<Failure>)) {
        connection.look();
        let Recorded { session, mail, carried, .. } = connection;
        let sent_last = match closed {
            HowClosed::Discarded => Box::default(),
            _ => commands(&mail, mail.commands()),
        };
        let traffic = mail.bytes();
        drop(mail);
        self.recorder.record(Box::new(SessionClosed {
            connection: session.connection,
            session,
            closed,
            bytes_sent: traffic.sent,
            bytes_received: traffic.received,
            commands: sent_last,
            carried,
            failure,
        }));
    }
}

/// How a session ended whose goodbye never left.
fn unsaid(failure: Failure) -> (HowClosed, Option<Failure>) {
    use FailureKind::{Closed, LimitConnections, LimitRate, Protocol, ServerBye, ServerUnavailable};
    match failure.kind {
        // There was nobody to say goodbye to.
        Closed | ServerBye | LimitConnections | LimitRate | ServerUnavailable => (HowClosed::HungUp, Some(failure)),
        // What the server had said unasked is out of step: the session was broken.
        Protocol => (HowClosed::Discarded, None),
        _ => (HowClosed::NoLogout, Some(failure)),
    }
}

/// The commands of that connection as its socket saw them, in an event's terms.
pub(crate) fn commands(mail: &MailConnection, sent: &[protocol::Command]) -> Box<[Command]> {
    let imap = matches!(mail, MailConnection::Imap(_));
    let command = |it: &protocol::Command| Command { tag: Tag { number: it.tag.0, imap }, verb: it.verb.name() };
    sent.iter().map(command).collect()
}
