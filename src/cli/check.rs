//! `mailconn check`: one connection, told step by step.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};

use super::args::CheckArgs;
use super::interrupt::Interrupts;
use super::settings::{self, Server};
use super::stderr;
use super::target::Target;
use super::writer::{self, Writer};
use mailconn::allocator::{ConnectionId, SessionId};
use mailconn::protocol::{
    self, Credentials, DialEvent, Failure, FailureKind, ImapOperation, Job, MailConnector, Operation, Pop3Operation,
    Protocol, SmtpOperation, Stage, Transcripts,
};
use mailconn::record::{Check, CheckHeader, Happened};
use mailconn::report::{self, Format, Output};
use mailconn::sandbox::Maildrops;
use mailconn::workload::Control;

/// More than the steps of any check: who dials never waits for who writes.
const STEPS: usize = 256;
/// How soon an interruption is noticed.
const SLICE: Duration = Duration::from_millis(20);
/// For how long an interruption waits for the dial: a command that fetches the token cannot be called back.
const GRACE: Duration = Duration::from_secs(2);
/// For how long the server may take to answer the goodbye.
const GOODBYE: Duration = Duration::from_secs(5);
/// The mailbox that every account has (RFC 3501 §5.1).
const INBOX: &str = "INBOX";
/// The session that is opened: it is all there is.
const SESSION: SessionId = SessionId { connection: ConnectionId(0), number: 1 };
/// What failed, if the report could not be written.
const WRITING: &str = "writing the report";

/// Checks, tells, and says with what code to exit.
///
/// # Errors
/// Nothing could be checked, or the report could not be written: one line.
pub fn check(args: &CheckArgs) -> Result<u8> {
    let server = settings::server(args.url.as_deref(), "URL", &args.reach)?;
    let ehlo = settings::ehlo(&args.reach)?;
    let connect_timeout = settings::connect_timeout(&args.reach, server.protocol());
    let by_token = matches!(&server, Server::Real { credentials: Some(Credentials::Token(_)), .. });
    let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
    let directory = args.transcripts.transcript.as_deref();
    let transcripts = directory.map(|directory| Transcripts::create(directory, &run_id));
    let transcripts = transcripts.transpose().context("--transcript")?.map(Arc::new);
    let Target { account, name, sandbox } = Target::of(server, Maildrops::Locked)?;
    if account.tls.as_ref().is_some_and(|tls| !tls.verifies()) {
        stderr::complain(stderr::UNVERIFIED);
    }
    let endpoint = &account.endpoint;
    let header = CheckHeader {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id,
        started: SystemTime::now(),
        server: if sandbox.is_some() { format!("{name} ({endpoint})") } else { name },
        protocol: endpoint.protocol,
        security: endpoint.security,
        signs_in: endpoint.signs_in(),
        by_token,
    };
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let mut screen = (args.format != Format::Json).then(|| Screen::open(&Output::Stdout, &control)).transpose()?;
    if let Some(screen) = &mut screen {
        screen.show(&report::check_begins(&header));
    }
    let (told, steps) = sync_channel(STEPS);
    // All that is not the server's is done: the first step's time is the first step's.
    let teller = Teller { clock: Instant::now(), told };
    let watch = teller.clone();
    let connector = Arc::new(MailConnector::new(protocol::Settings {
        connect_timeout,
        operation_timeout: args.reach.timeout,
        run_id: header.run_id.clone(),
        ehlo,
        ask_again: true,
        transcripts: transcripts.clone(),
        watch: Some(Arc::new(move |event| watch.dial(event))),
        ..account
    }));
    let (dialler, protocol) = (Arc::clone(&connector), header.protocol);
    thread::Builder::new()
        .name("check".to_owned())
        .spawn(move || carry_out(&dialler, protocol, &teller))
        .context("starting the check's thread")?;
    let mut check = Check::new(header);
    follow(&mut check, &steps, &connector, &control, |check| {
        if let Some(screen) = &mut screen {
            screen.show(&report::check_step(check));
        }
    });
    match screen {
        Some(mut screen) => {
            screen.show(&report::check_ends(&check));
            screen.close()?;
        }
        None => {
            told_whole(writer::write_whole(&Output::Stdout, &report::check_json(&check), &control))?;
        }
    }
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        stderr::complain(&failure);
    }
    Ok(check.conclusion().exit_code())
}

/// Takes down what happens until it is over, and tells of it.
fn follow(
    check: &mut Check,
    steps: &Receiver<Told>,
    connector: &MailConnector,
    control: &Control,
    mut tell: impl FnMut(&Check),
) {
    loop {
        let told = steps.recv_timeout(SLICE);
        if let Some(signal) = control.signal()
            && check.interrupted.replace(signal).is_none()
        {
            connector.cancel();
        }
        if control.interrupted().is_some_and(|when| when.elapsed() > GRACE) {
            return;
        }
        match told {
            Ok(Told::Step(at, happened)) => {
                check.add(at, *happened);
                tell(check);
            }
            Ok(Told::Over) => return,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
    }
}

/// What the thread that checks tells the one that writes.
enum Told {
    /// Something happened, then.
    Step(Duration, Box<Happened>),
    /// Nothing more will.
    Over,
}

#[derive(Clone)]
struct Teller {
    clock: Instant,
    told: SyncSender<Told>,
}

/// Says that it is over, also by a panic: whoever writes would wait for ever.
struct Ends<'teller>(&'teller Teller);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            let message = "the check panicked; this is a defect of mailconn";
            self.0.tell(Happened::Failed(Failure::new(FailureKind::Internal, Stage::Operation, message)));
        }
        // Whoever does not listen any more does not wait.
        let _ = self.0.told.send(Told::Over);
    }
}

impl Teller {
    fn tell(&self, happened: Happened) {
        let _ = self.told.send(Told::Step(self.clock.elapsed(), Box::new(happened)));
    }

    fn dial(&self, event: DialEvent<'_>) {
        self.tell(match event {
            DialEvent::Resolved(addresses) => Happened::Resolved(addresses.to_vec()),
            DialEvent::Connected { address, local_port } => Happened::Connected { address, local_port },
            DialEvent::Secured(tls) => Happened::Secured(tls.clone()),
            DialEvent::Greeted(line) => Happened::Greeted(line.to_owned()),
            DialEvent::Offered(offers) => Happened::Offered(offers.clone()),
            DialEvent::SigningIn(by) => Happened::SigningIn(by),
            DialEvent::FirstAnswerRefused(failure) => Happened::FirstAnswerRefused(failure.server_line.clone()),
            DialEvent::TokenRefused => Happened::TokenRefused,
            DialEvent::SignedIn => Happened::SignedIn,
            // What comes to be told is of no use here until it has a line of its own.
            _ => return,
        });
    }
}

/// The check itself: opens a session, works, and signs out.
fn carry_out(connector: &MailConnector, protocol: Protocol, teller: &Teller) {
    let _ends = Ends(teller);
    let mut connection = match connector.dial(SESSION) {
        Ok(connection) => connection,
        Err(failed) => return teller.tell(Happened::Failed(*failed.failure)),
    };
    if let Some(label) = connection.established().label.clone() {
        teller.tell(Happened::Labelled(label));
    }
    for &operation in first_operations(protocol) {
        let mailbox = operation.needs_mailbox().then_some(INBOX);
        let job = Job { mailbox: mailbox.unwrap_or_default(), ..Job::default() };
        match connection.run(operation, &job) {
            Ok(items) => teller.tell(Happened::Ran { operation, mailbox, items }),
            Err(failure) => {
                teller.tell(Happened::Failed(failure));
                break;
            }
        }
    }
    if !connection.is_broken() {
        teller.tell(match connection.logout(Instant::now() + GOODBYE) {
            Ok(()) => Happened::SignedOut,
            Err(failure) => Happened::Failed(failure),
        });
    }
}

/// What shows that the account works, at the least cost. Some servers accept a sign-in and fail when a mailbox is first
/// looked at (Exchange Online: "User is authenticated but not connected").
const fn first_operations(protocol: Protocol) -> &'static [Operation] {
    match protocol {
        Protocol::Imap => &[Operation::Imap(ImapOperation::Noop), Operation::Imap(ImapOperation::Status)],
        Protocol::Smtp => &[Operation::Smtp(SmtpOperation::Verify)],
        Protocol::Pop3 => &[Operation::Pop3(Pop3Operation::Stat)],
    }
}

/// Standard output, written to as things happen.
pub(super) struct Screen {
    /// None once writing failed: what goes on has been told to end, and ends in order.
    out: Option<Writer>,
    failed: Option<io::Error>,
}

impl Screen {
    pub(super) fn open(output: &Output, control: &Arc<Control>) -> Result<Self> {
        let out = Writer::open(output, control).context("opening the report")?;
        Ok(Self { out: Some(out), failed: None })
    }

    pub(super) fn show(&mut self, text: &str) {
        if text.is_empty() {
            return;
        }
        if let Some(out) = &mut self.out
            && let Err(error) = out.write_all(text.as_bytes())
        {
            self.out = None;
            self.failed = Some(error);
        }
    }

    /// Waits until all is written. A reader that went away is no failure.
    pub(super) fn close(self) -> Result<()> {
        let written = match (self.failed, self.out) {
            (Some(error), _) => Err(error),
            (None, Some(out)) => out.finish(),
            (None, None) => Ok(()),
        };
        told_whole(written)
    }
}

/// Whether the report was written. A reader that went away is no failure.
fn told_whole(written: io::Result<()>) -> Result<()> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) if writer::is_unread(&error) => {
            stderr::complain("the report is incomplete: nobody read it");
            Ok(())
        }
        written => written.context(WRITING),
    }
}
