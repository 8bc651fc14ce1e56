//! `--log`: a line for each session event, on standard output.
//!
//! Sessions hand their lines to a queue of [`WAITING`] and never wait: what finds no room is lost, and counted. A thread
//! of its own writes them, and ends when nobody reads.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};

use super::line::{Line, Logged};
use mailconn::sandbox::{CloseCause, SessionEvent, SessionEventKind, Watch};

/// The most lines that may wait for the writer.
const WAITING: usize = 4096;
/// What is still to be written at the end is given so much time.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// A log to be.
pub struct Log {
    queue: SyncSender<String>,
    lines: Receiver<String>,
    lost: Arc<AtomicU64>,
    json: bool,
}

/// A log being written.
pub struct Writing {
    thread: JoinHandle<()>,
    lost: Arc<AtomicU64>,
}

impl Log {
    /// Takes lines from now on; they are written when [`Log::write`] is called.
    pub fn new(json: bool) -> Self {
        let (queue, lines) = sync_channel(WAITING);
        Self { queue, lines, lost: Arc::default(), json }
    }

    /// What the sandbox tells its events to.
    pub fn watch(&self) -> Watch {
        let (queue, lost) = (self.queue.clone(), Arc::clone(&self.lost));
        let line = if self.json { json_line } else { line };
        Arc::new(move |event| {
            if let Err(TrySendError::Full(_)) = queue.try_send(line(SystemTime::now(), event)) {
                lost.fetch_add(1, Ordering::Relaxed);
            }
        })
    }

    /// Starts to write, until the sandbox is gone or nobody reads.
    ///
    /// # Errors
    /// The system has no thread.
    pub fn write(self) -> io::Result<Writing> {
        let Self { queue, lines, lost, json } = self;
        drop(queue);
        let counts = Arc::clone(&lost);
        let thread = thread::Builder::new().name("log".to_owned()).spawn(move || {
            // A closed stdout is no error: its reader wants no more.
            let _ = write_all(&lines, &counts, json);
        })?;
        Ok(Writing { thread, lost })
    }
}

impl Writing {
    /// Waits a moment for what is still to be written; a reader who does not read is left. How many lines were lost
    /// without a word, if any.
    pub fn end(self) -> Option<u64> {
        let deadline = Instant::now() + LAST_WORDS;
        while !self.thread.is_finished() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
        }
        Some(self.lost.load(Ordering::Relaxed)).filter(|lost| *lost > 0)
    }
}

fn write_all(lines: &Receiver<String>, lost: &AtomicU64, json: bool) -> io::Result<()> {
    let mut out = io::stdout();
    for line in lines {
        out.write_all(line.as_bytes())?;
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let told = if json {
                Line::Lost { lines: lost }.text()
            } else {
                format!("({lost} line(s) lost: they came faster than they were read)\n")
            };
            out.write_all(told.as_bytes())?;
        }
        out.flush()?;
    }
    Ok(())
}

fn line(now: SystemTime, event: &SessionEvent) -> String {
    let SessionEvent { session, protocol, peer, .. } = event;
    format!("{} #{session} {protocol} {peer} {}\n", time(now), words(&event.kind))
}

/// The same for programs.
fn json_line(now: SystemTime, event: &SessionEvent) -> String {
    let SessionEvent { session, protocol, peer, kind } = event;
    let line = match kind {
        SessionEventKind::Opened => Line::Opened,
        SessionEventKind::Encrypted => Line::Encrypted,
        SessionEventKind::NotEncrypted { .. } => Line::NotEncrypted,
        SessionEventKind::SignedIn { .. } => Line::SignedIn,
        SessionEventKind::Refused { .. } => Line::Refused,
        SessionEventKind::Delivered { .. } => Line::Delivered,
        SessionEventKind::Closed { .. } => Line::Closed,
        _ => Line::Other,
    };
    let logged = Logged {
        time: time(now),
        session: *session,
        protocol: protocol.to_string(),
        peer: peer.to_string(),
        text: words(kind),
    };
    line(logged).text()
}

fn time(now: SystemTime) -> String {
    DateTime::<Utc>::from(now).format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

/// What a client sent is escaped: it must not write lines of its own.
fn words(kind: &SessionEventKind) -> String {
    match kind {
        SessionEventKind::Opened => "opened".to_owned(),
        SessionEventKind::Encrypted => "encrypted".to_owned(),
        SessionEventKind::NotEncrypted { reason } => format!("TLS failed: {reason}"),
        SessionEventKind::SignedIn { user } => format!("signed in as {}", user.escape_debug()),
        SessionEventKind::Refused { words } => format!("refused: {}", words.escape_debug()),
        SessionEventKind::Delivered { message_id, recipients } => {
            format!("delivered {} to {recipients}", message_id.escape_debug())
        }
        SessionEventKind::Closed { cause, commands } => {
            let cause = match cause {
                CloseCause::Logout => "signed out",
                CloseCause::EndOfStream => "the client hung up",
                CloseCause::Reset => "the connection broke",
                CloseCause::Refused => "too many connections",
                CloseCause::Supplanted => "a newer connection took its place",
                CloseCause::Server => "ended by the server",
                CloseCause::Fault => "ended by a fault that was asked for",
            };
            format!("closed: {cause}, {commands} command(s)")
        }
        other => format!("{other:?}").escape_debug().to_string(),
    }
}
