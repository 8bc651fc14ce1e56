//! The streamed report: a thread of its own writes it, so that a reader who does not read holds up that thread alone.
//!
//! Between the run and the writer is a queue of [`WAITING`] pieces. While it is full the run waits, and so do its workers
//! once the recorder is full too: a slow reader slows the run, and costs no memory beyond those bounds. The wait ends when
//! nothing at all could be written for [`PATIENCE`]; then the run goes on without its reader. An interruption ends it at
//! once: what is left then (no more than the recorder held) is kept, and written in the time that is left to the writer.
//! A write that fails, because the reader is gone or the disk is full, ends the run.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context;

use super::stderr;
use mailconn::report::Output;
use mailconn::workload::Control;

/// The longest piece.
const PIECE: usize = 64 * 1024;
/// The most pieces that may wait for the writer.
const WAITING: usize = 16;
/// The bytes of one write: no more than a pipe takes in one go, so that a slow reader is seen to move.
const SIP: usize = 4096;
/// A reader who took nothing for this long does not read.
const PATIENCE: Duration = Duration::from_secs(30);
/// A whole report is written when all is over: its reader may take any time.
const NO_HURRY: Duration = Duration::MAX;
/// The same once the run was interrupted: nobody waits for long then.
const HURRY: Duration = Duration::from_secs(2);
/// An interrupted run waits no longer than this for a reader who reads, but slowly.
const LONGEST_HURRY: Duration = Duration::from_secs(10);
/// The time between two looks of a wait.
const SLICE: Duration = Duration::from_millis(2);

/// Nobody read the report: its end is missing.
#[derive(Debug, thiserror::Error)]
#[error("nobody read it")]
struct Unread;

/// Whether the report that was written so is complete: it is not if nobody read it, which is said on stderr. A reader that
/// went away has read what it wanted.
///
/// # Errors
/// It could not be written.
pub fn is_complete(written: io::Result<()>, output: &Output) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(true),
        Err(error) if is_unread(&error) => {
            stderr::complain("the report is incomplete: nobody read it");
            Ok(false)
        }
        written => written.map(|()| true).with_context(|| output.writing()),
    }
}

fn is_unread(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|error| error.is::<Unread>())
}

/// Takes the report and has it written. Dropped, it leaves the writer behind: a write that blocks cannot be called back.
pub struct Writer {
    queue: SyncSender<Vec<u8>>,
    /// What found no room in the queue: one piece, and after an interruption all the rest.
    backlog: VecDeque<Vec<u8>>,
    thread: Option<JoinHandle<io::Result<()>>>,
    /// When the reader last took something.
    moved: Arc<Mutex<Instant>>,
    control: Arc<Control>,
    patience: Duration,
    /// For how long writes have waited for the reader.
    waited: Duration,
}

/// Writes a whole report. A reader that goes away is no error. Once the run is interrupted, before or meanwhile, a reader
/// who does not read is not waited for.
///
/// # Errors
/// What the system answered, or that nobody reads.
pub fn write_whole(output: &Output, bytes: &[u8], control: &Arc<Control>) -> io::Result<()> {
    if output.is_replaced() {
        return output.write_whole(bytes);
    }
    let written = Writer::start(output, control, NO_HURRY).and_then(|mut writer| {
        writer.write_all(bytes)?;
        writer.finish()
    });
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

impl Writer {
    /// Opens the output; to open a named pipe takes until it has a reader, or the run is interrupted.
    ///
    /// # Errors
    /// What the system answers.
    pub fn open(output: &Output, control: &Arc<Control>) -> io::Result<Self> {
        Self::start(output, control, PATIENCE)
    }

    fn start(output: &Output, control: &Arc<Control>, patience: Duration) -> io::Result<Self> {
        let (queue, pieces) = sync_channel(WAITING);
        let (opened, is_open) = channel();
        let moved = Arc::new(Mutex::new(Instant::now()));
        let (output, moves, stops) = (output.clone(), Arc::clone(&moved), Arc::clone(control));
        let thread = thread::Builder::new().name("report".to_owned()).spawn(move || {
            let out = output.stream()?;
            // Nobody waits for it any more if the run was interrupted.
            let _ = opened.send(());
            write_all(out, &pieces, &moves).inspect_err(|_| stops.give_up())
        })?;
        let control = Arc::clone(control);
        let mut writer = Self {
            queue,
            backlog: VecDeque::new(),
            thread: Some(thread),
            moved,
            control,
            patience,
            waited: Duration::ZERO,
        };
        while writer.control.interrupted().is_none() {
            match is_open.recv_timeout(10 * SLICE) {
                Ok(()) => break,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(writer.why_it_ended()),
            }
        }
        Ok(writer)
    }

    /// Waits until all is written.
    ///
    /// # Errors
    /// What the system answered, or that nobody reads.
    pub fn finish(mut self) -> io::Result<()> {
        let since = Instant::now();
        while !self.pass_on()? {
            self.rest(since)?;
        }
        // The writer ends when it has written what is in the queue and nobody can add to it.
        self.queue = sync_channel(0).0;
        while self.thread.as_ref().is_some_and(|thread| !thread.is_finished()) {
            self.rest(since)?;
        }
        self.ended()
    }

    /// For how long writes have waited for the reader.
    pub const fn waited(&self) -> Duration {
        self.waited
    }

    /// Puts what waits into the queue; false if there is no room.
    fn pass_on(&mut self) -> io::Result<bool> {
        while let Some(piece) = self.backlog.pop_front() {
            match self.queue.try_send(piece) {
                Ok(()) => {}
                Err(TrySendError::Full(piece)) => {
                    self.backlog.push_front(piece);
                    return Ok(false);
                }
                Err(TrySendError::Disconnected(_)) => return Err(self.why_it_ended()),
            }
        }
        Ok(true)
    }

    /// One slice of a wait that began then; an error if that has been long enough.
    fn rest(&self, since: Instant) -> io::Result<()> {
        let moved = since.max(*self.moved.lock().unwrap_or_else(PoisonError::into_inner));
        let over = match self.control.interrupted() {
            None => moved.elapsed() >= self.patience,
            Some(when) => moved.max(when).elapsed() >= HURRY || since.max(when).elapsed() >= LONGEST_HURRY,
        };
        if over {
            return Err(io::Error::other(Unread));
        }
        thread::sleep(SLICE);
        Ok(())
    }

    fn ended(&mut self) -> io::Result<()> {
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(io::Error::other("its writer panicked; this is a defect of mailconn")),
            None => Ok(()),
        }
    }

    /// The writer is gone before its time.
    fn why_it_ended(&mut self) -> io::Error {
        self.ended().err().unwrap_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Writer {
    /// Waits while the queue is full, unless the run was interrupted.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(piece) = bytes.chunks(PIECE).next() else { return Ok(0) };
        self.backlog.push_back(piece.to_vec());
        let since = Instant::now();
        let mut waits = false;
        while !self.pass_on()? && self.control.interrupted().is_none() {
            waits = true;
            self.rest(since)?;
        }
        if waits {
            self.waited += since.elapsed();
        }
        Ok(piece.len())
    }

    /// Each piece is flushed as it is written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write_all(mut out: impl Write, pieces: &Receiver<Vec<u8>>, moved: &Mutex<Instant>) -> io::Result<()> {
    for piece in pieces {
        for sip in piece.chunks(SIP) {
            out.write_all(sip)?;
            *moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
        out.flush()?;
    }
    Ok(())
}
