//! The one place all replies pass on their way out: here they are late, and here they could be cut or replaced.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A reply that the client does not take within this time breaks the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(60);

/// Replies to pipelined commands leave together, up to about this size.
const BATCH: usize = 64 * 1024;

/// A session's way out. A *reply* is all the server says to one thing the client said (untagged lines
/// and the tagged one, or a continuation), so what happens to a reply happens to the whole of it.
pub(super) struct Outlet {
    latency: Duration,
    /// Set by whoever stops the server, who then unparks this thread: a delay must not outlive the server.
    stopping: Arc<AtomicBool>,
    pending: Vec<u8>,
}

impl Outlet {
    pub fn new(latency: Duration, stopping: Arc<AtomicBool>) -> Self {
        Self { latency, stopping, pending: Vec::new() }
    }

    /// Takes one whole reply and leaves `reply` empty. It is on the wire at the latest after [`Outlet::flush`].
    pub fn pass(&mut self, reply: &mut Vec<u8>, stream: &mut impl Write) -> io::Result<()> {
        self.delay();
        if self.pending.is_empty() {
            std::mem::swap(&mut self.pending, reply);
        } else {
            self.pending.append(reply);
        }
        // A delayed reply leaves at its own time; only prompt ones wait for their neighbours.
        if self.latency.is_zero() && self.pending.len() < BATCH { Ok(()) } else { self.flush(stream) }
    }

    /// Everything passed so far goes out in one write, if the system takes it in one.
    pub fn flush(&mut self, stream: &mut impl Write) -> io::Result<()> {
        let mut rest = self.pending.as_slice();
        let mut deadline = None;
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            if !rest.is_empty() && Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + WRITE_PATIENCE) {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        stream.flush()?;
        self.pending.clear();
        if self.pending.capacity() > 4 * BATCH {
            self.pending.shrink_to(BATCH);
        }
        Ok(())
    }

    fn delay(&self) {
        if self.latency.is_zero() {
            return;
        }
        let start = Instant::now();
        while !self.stopping.load(Ordering::Acquire) {
            let left = self.latency.saturating_sub(start.elapsed());
            if left.is_zero() {
                break;
            }
            thread::park_timeout(left);
        }
    }
}
