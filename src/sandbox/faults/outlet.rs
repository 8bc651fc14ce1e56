//! A session's way out.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::{Grip, Latency};

/// A reply that the client does not take within this time breaks the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Replies to pipelined commands leave together, up to about this size.
const BATCH: usize = 64 * 1024;

/// Replies held back are no more than this and one more: then the session waits.
const MAX_HELD: usize = 16 * BATCH;

/// A *reply* is all the server says to one thing the client said (untagged lines and the tagged one, or a
/// continuation), so what happens to a reply happens to the whole of it.
pub struct Outlet {
    latency: Arc<Latency>,
    /// Set by whoever stops the server, who then wakes the grip: nothing is late or held back longer than that.
    stopping: Arc<AtomicBool>,
    grip: Arc<Grip>,
    pending: Vec<u8>,
}

impl Outlet {
    pub fn new(latency: Arc<Latency>, stopping: Arc<AtomicBool>, grip: Arc<Grip>) -> Self {
        Self { latency, stopping, grip, pending: Vec::new() }
    }

    /// Takes one whole reply and leaves `reply` empty. It is on the wire at the latest after [`Outlet::flush`].
    pub fn pass(&mut self, reply: &mut Vec<u8>, deadline: Instant, stream: &mut impl Write) -> io::Result<()> {
        self.delay()?;
        if self.pending.is_empty() {
            std::mem::swap(&mut self.pending, reply);
        } else {
            self.pending.append(reply);
        }
        // A delayed reply leaves at its own time; only prompt ones wait for their neighbours.
        if self.latency.get().is_zero() && self.pending.len() < BATCH {
            Ok(())
        } else if self.pending.len() < MAX_HELD {
            self.flush_unless_held(stream)
        } else {
            self.flush(deadline, stream)
        }
    }

    /// Everything passed so far goes out in one write, if the system takes it in one; not before it is let go, and not
    /// after the deadline if it is not.
    pub fn flush(&mut self, deadline: Instant, stream: &mut impl Write) -> io::Result<()> {
        if !self.pending.is_empty() {
            let stopping = || self.stopping.load(Ordering::Acquire);
            let left =
                |stalled: bool| (stalled && !stopping()).then(|| deadline.saturating_duration_since(Instant::now()));
            self.grip.pause(left)?;
            if self.holds() {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.write(stream)
    }

    /// The same, but replies that are held back stay.
    pub fn flush_unless_held(&mut self, stream: &mut impl Write) -> io::Result<()> {
        self.check()?;
        if self.holds() { Ok(()) } else { self.write(stream) }
    }

    /// An error if the session is to end.
    pub fn check(&self) -> io::Result<()> {
        self.grip.pause(|_| None)
    }

    /// Whether there are replies, and they are held back.
    pub fn holds(&self) -> bool {
        !self.pending.is_empty() && self.grip.is_stalled() && !self.stopping.load(Ordering::Acquire)
    }

    /// Says this instead of what was passed and not sent; not held back.
    pub fn say_at_once(&mut self, line: Vec<u8>, stream: &mut impl Write) -> io::Result<()> {
        self.pending = line;
        self.write(stream)
    }

    fn write(&mut self, stream: &mut impl Write) -> io::Result<()> {
        let mut rest = self.pending.as_slice();
        let mut deadline = None;
        loop {
            let tried = if rest.is_empty() { stream.flush().map(|()| None) } else { stream.write(rest).map(Some) };
            match tried {
                Ok(None) => break,
                Ok(Some(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(Some(written)) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // The client does not read just now.
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    self.grip.check_cut()?;
                }
                Err(error) => return Err(error),
            }
            if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + WRITE_PATIENCE) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.pending.clear();
        if self.pending.capacity() > 4 * BATCH {
            self.pending.shrink_to(BATCH);
        }
        Ok(())
    }

    fn delay(&self) -> io::Result<()> {
        let start = Instant::now();
        self.grip.pause(|_| {
            let latency = self.latency.get();
            let late = !latency.is_zero() && !self.stopping.load(Ordering::Acquire);
            late.then(|| latency.saturating_sub(start.elapsed()))
        })
    }
}
