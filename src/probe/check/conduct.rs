//! Opens one connection, works, and signs out, on a thread of its own that tells each event.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Check, CheckEvent, CheckHeader};
use crate::allocator::{ConnectionId, SessionId};
use crate::event::Micros;
use crate::probe::Stop;
use crate::protocol::{
    Failure, FailureKind, ImapOperation, Job, MailConnector, Operation, Pop3Operation, Protocol, Settings,
    SmtpOperation, Stage,
};
use crate::report::Anonymizer;

/// More than the events of any check: the thread that dials never waits for the one that reports.
const EVENTS: usize = 256;
/// How soon a stop is noticed.
const SLICE: Duration = Duration::from_millis(20);
/// How long a stop waits for the dial: a command that fetches the token cannot be called back.
const GRACE: Duration = Duration::from_secs(2);
/// How long the server may take to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// The mailbox that every account has (RFC 3501 §5.1).
const INBOX: &str = "INBOX";
/// The only session of a check.
const SESSION: SessionId = SessionId { connection: ConnectionId(0), number: 1 };

/// Checks the server of `settings`. `tell` gets the check after each event, how long the event took, and the event;
/// `stop` says whether to end early. With `names`, others stand in what is told and returned; the header has them already.
///
/// # Errors
/// The check's thread cannot be started.
pub fn check(
    header: CheckHeader,
    settings: Settings,
    names: Option<&Anonymizer>,
    stop: impl Fn() -> Option<Stop>,
    mut tell: impl FnMut(&Check, Micros, &CheckEvent),
) -> io::Result<Check> {
    let (told, events) = sync_channel(EVENTS);
    let sender = Sender { clock: Instant::now(), told };
    let watch = sender.clone();
    let connector = Arc::new(MailConnector::new(Settings {
        ask_again: true,
        watch: Some(Arc::new(move |event| watch.tell(event.into()))),
        ..settings
    }));
    let (dialler, protocol) = (Arc::clone(&connector), header.protocol);
    thread::Builder::new().name("check".to_owned()).spawn(move || carry_out(&dialler, protocol, &sender))?;
    let mut check = Check::new(header);
    loop {
        let told = events.recv_timeout(SLICE);
        if let Some(Stop { since, signal }) = stop() {
            if signal.is_some() && check.interrupted.is_none() {
                check.interrupted = signal;
                connector.cancel();
            }
            if since.elapsed() > GRACE {
                return Ok(check);
            }
        }
        match told {
            Ok(Some((at, event))) => {
                let event = match names {
                    Some(names) => event.anonymous(names),
                    None => event,
                };
                let took = check.see(at, &event);
                tell(&check, took, &event);
            }
            Ok(None) | Err(RecvTimeoutError::Disconnected) => return Ok(check),
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
}

/// What the thread tells: an event and its time, or that there are no more.
type Told = Option<(Duration, CheckEvent)>;

#[derive(Clone)]
struct Sender {
    clock: Instant,
    told: SyncSender<Told>,
}

impl Sender {
    fn tell(&self, event: CheckEvent) {
        // Nobody listens to a check that was given up.
        let _ = self.told.send(Some((self.clock.elapsed(), event)));
    }
}

/// Tells the end, also after a panic. The connector keeps one too, so that the channel does not close by itself.
struct Ends<'sender>(&'sender Sender);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = "the check panicked; this is a defect of mailconn";
            self.0.tell(CheckEvent::Failed(Failure::new(FailureKind::Internal, Stage::Operation, message)));
        }
        let _ = self.0.told.send(None);
    }
}

fn carry_out(connector: &MailConnector, protocol: Protocol, sender: &Sender) {
    let _ends = Ends(sender);
    let mut connection = match connector.dial(SESSION) {
        Ok(connection) => connection,
        Err(failed) => return sender.tell(CheckEvent::Failed(*failed.failure)),
    };
    if let Some(label) = connection.established().label.clone() {
        sender.tell(CheckEvent::Labelled(label));
    }
    for &operation in first_operations(protocol) {
        let mailbox = operation.needs_mailbox().then_some(INBOX);
        let job = Job { mailbox: mailbox.unwrap_or_default(), ..Job::default() };
        match connection.run(operation, &job) {
            Ok(items) => sender.tell(CheckEvent::Ran { operation, mailbox, items }),
            Err(failure) => {
                sender.tell(CheckEvent::Failed(failure));
                break;
            }
        }
    }
    if !connection.is_broken() {
        sender.tell(match connection.logout(Instant::now() + GOODBYE) {
            Ok(()) => CheckEvent::SignedOut,
            Err(failure) => CheckEvent::Failed(failure),
        });
    }
}

/// What shows at the least cost that the account works. Some servers accept a sign-in and fail when a mailbox is first
/// looked at (Exchange Online: "User is authenticated but not connected").
const fn first_operations(protocol: Protocol) -> &'static [Operation] {
    match protocol {
        Protocol::Imap => &[Operation::Imap(ImapOperation::Noop), Operation::Imap(ImapOperation::Status)],
        Protocol::Smtp => &[Operation::Smtp(SmtpOperation::Verify)],
        Protocol::Pop3 => &[Operation::Pop3(Pop3Operation::Stat)],
    }
}
