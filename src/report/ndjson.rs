//! The record as it grows: a JSON object on each line.

use std::borrow::Cow;
use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::events::{
    ConnectionCreated, ConnectionDisposed, DefaultRefused, Envelope, Event, MailboxLeft, ModeChanged, OperationShape,
    RunStart, SessionClosed, SessionOpened, SessionRefused, TaskEnded, TaskStarted, TaskStopped, WitnessSession,
    WorkerEnded, WorkerStopped,
};
use super::names::{self, Named, Us};
use super::shapes::TotalsShape;
use super::words::{to_the_microsecond, wall};
use crate::protocol::Protocol;
use crate::record::{Entry, Header, Names, Run, Summary, Verdict, What};

/// Writes a run as it happens, each line a JSON object with `seq`, `event`, `at_us` (since the start, monotonic) and
/// `time` (wall).
///
/// `seq` counts the file's lines from 0: `run-start` is 0, the record's entry `n` is `n + 1`, and the server's own record
/// and `run-end` follow. An operation's `issued_after` counts the entries there were when it was issued, so it is the `seq`
/// of the last line that the operation could know of. A file without `run-end` is that of a run which did not end.
#[derive(Debug)]
pub struct Ndjson<W> {
    out: W,
    started: SystemTime,
    mailboxes: Vec<String>,
    protocol: Protocol,
    /// The number of its `run-start`.
    first: u64,
    /// The next line's number.
    next: u64,
    /// Whose run it is, where it is one of a scenario's clients.
    client: Option<Client>,
    /// A batch is written in one go: no reader sees half a line, and a line costs no system call of its own.
    batch: Vec<u8>,
}

/// One of a scenario's clients, and what the scenario calls its workers and tasks.
#[derive(Debug)]
struct Client {
    name: String,
    names: Names,
}

impl<W: Write> Ndjson<W> {
    /// Begins the file with `run-start`: all that was asked for.
    ///
    /// # Errors
    /// What `out` answers; whether a reader that has gone away matters is the caller's to say.
    pub fn start(out: W, header: &Header) -> io::Result<Self> {
        Self::begin(out, header, 0, None)
    }

    /// Begins the part of a scenario's file that is the run of that client: the same lines, numbered from `first`, each
    /// with the client's name, and workers and tasks called as the scenario calls them.
    pub(super) fn part(out: W, header: &Header, first: u64, client: &str) -> io::Result<Self> {
        Self::begin(out, header, first, Some(Client { name: client.to_owned(), names: header.names.clone() }))
    }

    fn begin(out: W, header: &Header, first: u64, client: Option<Client>) -> io::Result<Self> {
        let mut file = Self {
            out,
            started: to_the_microsecond(header.started),
            mailboxes: header.mailboxes.clone(),
            protocol: header.protocol,
            first,
            next: first,
            client,
            batch: Vec::new(),
        };
        file.line(Duration::ZERO, &RunStart::new(header))?;
        file.flush()?;
        Ok(file)
    }

    /// Adds what happened since, and flushes it.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn entries(&mut self, entries: &[Entry]) -> io::Result<()> {
        for entry in entries {
            self.next = self.first + entry.seq + 1;
            self.entry(entry)?;
        }
        self.flush()
    }

    /// Ends the file: the server's own record, where it can be had, then `run-end`.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn end(mut self, run: &Run, summary: &Summary, verdict: &Verdict) -> io::Result<W> {
        let at = run.end.elapsed;
        for session in run.witness.iter().flatten() {
            self.line(at, &WitnessSession::from(session))?;
            self.flush()?;
        }
        self.line(at, &TotalsShape::new(run, summary, verdict))?;
        self.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        let at = entry.at;
        match &entry.what {
            What::Created { connection, kind, worker, task, by_hand } => {
                let body = ConnectionCreated {
                    connection: Named(*connection),
                    kind: Named(*kind),
                    worker: worker.map(Named),
                    task: task.map(Named),
                    by_hand: *by_hand,
                };
                self.line(at, &body)
            }
            What::Opened(opened) => self.line(at, &SessionOpened::new(self.protocol, opened)),
            What::OpenFailed(failed) => self.line(at, &SessionRefused::new(failed)),
            What::Closed(closed) => self.line(at, &SessionClosed::new(self.protocol, closed)),
            What::Disposed { connection, cause } => {
                self.line(at, &ConnectionDisposed { connection: Named(*connection), cause: Named(*cause) })
            }
            What::ModeChanged { from, to } => self.line(at, &ModeChanged { from: Named(*from), to: Named(*to) }),
            What::Operation(operation) => {
                let mailbox = operation.mailbox.and_then(|index| self.mailboxes.get(usize::from(index)).cloned());
                self.line(at, &OperationShape::new(self.protocol, operation, mailbox.as_deref()))
            }
            What::LeftMailbox { worker, mailbox } => {
                self.line(at, &MailboxLeft { worker: Named(*worker), mailbox: Cow::Borrowed(mailbox) })
            }
            What::Stopped { worker, not_issued, failure } => {
                let failure = failure.as_deref().map(Into::into);
                self.line(at, &WorkerStopped { worker: Named(*worker), not_issued: *not_issued, failure })
            }
            What::TaskStarted { task, worker } => {
                self.line(at, &TaskStarted { task: Named(*task), worker: Named(*worker) })
            }
            What::DefaultRefused { task, worker, existing } => {
                let body = DefaultRefused {
                    task: Named(*task),
                    worker: Named(*worker),
                    existing: Named(*existing),
                    rule: Cow::Borrowed(DefaultRefused::RULE),
                };
                self.line(at, &body)
            }
            What::TaskStopped { task, not_issued, failure } => {
                let failure = failure.as_deref().map(Into::into);
                self.line(at, &TaskStopped { task: Named(*task), not_issued: *not_issued, failure })
            }
            What::TaskEnded { task, worker, operations, left_mailbox } => {
                let (operations, left_mailbox) = (*operations, *left_mailbox);
                self.line(at, &TaskEnded { task: Named(*task), worker: worker.map(Named), operations, left_mailbox })
            }
            What::WorkerEnded { worker, operations, not_begun, not_begun_wait, left_mailbox } => {
                let body = WorkerEnded {
                    worker: Named(*worker),
                    operations: *operations,
                    not_begun: *not_begun,
                    not_begun_wait_us: Some(Us(*not_begun_wait)),
                    left_mailbox: *left_mailbox,
                };
                self.line(at, &body)
            }
        }
    }

    fn line<E: Event + Serialize>(&mut self, at: Duration, body: &E) -> io::Result<()> {
        let time = self.started.checked_add(at).unwrap_or(self.started);
        let (event, time) = (Cow::Borrowed(E::NAME), Cow::Owned(wall(time)));
        let envelope = Envelope { seq: self.next, event, at_us: Us(at), time };
        match &self.client {
            None => serde_json::to_writer(&mut self.batch, &Line { envelope, client: None, body })?,
            Some(Client { name, names }) => {
                let mut body = serde_json::to_value(body)?;
                names::call(&mut body, names);
                serde_json::to_writer(&mut self.batch, &Line { envelope, client: Some(name), body: &body })?;
            }
        }
        self.batch.push(b'\n');
        self.next += 1;
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.batch);
        self.batch.clear();
        written?;
        self.out.flush()
    }
}

#[derive(Serialize)]
struct Line<'a, E> {
    #[serde(flatten)]
    envelope: Envelope<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<&'a str>,
    #[serde(flatten)]
    body: &'a E,
}
