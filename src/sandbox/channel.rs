//! What every session does with its bytes, whatever it speaks: wait for some, answer, wait no longer than allowed.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::faults::Outlet;
use super::inlet::Inlet;
use super::wire::Wire;

/// How long a handshake may take, whatever the client does meanwhile.
const HANDSHAKE_TIME: Duration = Duration::from_secs(30);

/// One session's way in and out.
pub(super) struct Channel<'a> {
    wire: Wire,
    pub inlet: Inlet,
    outlet: Outlet,
    /// Whether the server is being stopped.
    stopping: &'a dyn Fn() -> bool,
    /// How long a client may say nothing, if not as long as it is allowed for the whole of what it has to say.
    idle_limit: Option<Duration>,
    /// How long the present wait may be: the system knows it too.
    patience: Duration,
    /// Looked at between reads, so that a client that sends a byte now and then has no more time.
    deadline: Instant,
}

/// What came of waiting.
pub(super) enum Arrival {
    /// Bytes; look again.
    Bytes,
    /// The client closed its side.
    End,
    /// Nothing, for too long.
    Silence,
    /// The server is being stopped.
    Stop,
}

impl<'a> Channel<'a> {
    pub fn new(wire: Wire, outlet: Outlet, stopping: &'a dyn Fn() -> bool, idle_limit: Option<Duration>) -> Self {
        let (patience, deadline) = (Duration::ZERO, Instant::now());
        Self { wire, inlet: Inlet::new(), outlet, stopping, idle_limit, patience, deadline }
    }

    pub fn is_stopping(&self) -> bool {
        (self.stopping)()
    }

    pub fn is_encrypted(&self) -> bool {
        self.wire.is_encrypted()
    }

    /// The client has so much time from now on.
    pub fn allow(&mut self, time: Duration) -> io::Result<()> {
        let patience = self.idle_limit.map_or(time, |limit| limit.min(time));
        if patience != self.patience {
            self.wire.set_patience(patience)?;
            self.patience = patience;
        }
        self.deadline = Instant::now() + time;
        Ok(())
    }

    /// Takes one whole reply and leaves `reply` empty.
    pub fn pass(&mut self, reply: &mut Vec<u8>) -> io::Result<()> {
        self.outlet.pass(reply, &mut self.wire)
    }

    /// Everything passed so far is sent.
    pub fn flush(&mut self) -> io::Result<()> {
        self.outlet.flush(&mut self.wire)
    }

    /// Sends what there is to send, then waits for more to read.
    pub fn wait(&mut self) -> io::Result<Arrival> {
        self.flush()?;
        if Instant::now() > self.deadline {
            return Ok(Arrival::Silence);
        }
        match self.wire.read(self.inlet.room()) {
            Ok(0) if self.is_stopping() => Ok(Arrival::Stop),
            Ok(0) => Ok(Arrival::End),
            Ok(length) => {
                self.inlet.received(length);
                Ok(Arrival::Bytes)
            }
            // Part of a record: the deadline is looked at before the next one.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Arrival::Bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(Arrival::Silence)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends what there is to send, then shakes hands. The caller has seen to it that nothing is left to read: what
    /// came in the clear must not pass for something said under TLS. [`Channel::allow`] comes next.
    pub fn encrypt(&mut self, config: &Arc<ServerConfig>) -> io::Result<()> {
        self.flush()?;
        self.inlet = Inlet::new();
        let time = self.idle_limit.map_or(HANDSHAKE_TIME, |limit| limit.min(HANDSHAKE_TIME));
        // The handshake has waits of its own: whoever goes on must allow a time anew.
        self.patience = Duration::ZERO;
        self.wire.encrypt(config, Instant::now() + time)
    }

    /// The last word is said.
    pub fn close(self) {
        self.wire.linger(self.stopping);
    }
}
