//! What every session does with its bytes, whatever it speaks: wait for some, answer, wait no longer than allowed.

use std::io::{self, Read};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ServerConfig;

use super::faults::{Cut, Outlet};
use super::inlet::Inlet;
use super::link::GLANCE;
use super::tls::handshake_failure;
use super::transcript::Transcript;
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
    transcript: Option<Transcript<'a>>,
    /// How long a client may say nothing, if not as long as it is allowed for the whole of what it has to say.
    idle_limit: Option<Duration>,
    /// How long the present wait may be.
    patience: Duration,
    /// What the system was told of it.
    set: Duration,
    /// Looked at between reads, so that a client that sends a byte now and then has no more time.
    deadline: Instant,
}

/// What came of waiting.
pub(super) enum Arrival {
    /// Bytes, or a reply that is no longer held back; look again.
    Bytes,
    /// The client closed its side.
    End,
    /// Nothing, for too long.
    Silence,
    /// The server is being stopped.
    Stop,
}

impl<'a> Channel<'a> {
    pub fn new(
        wire: Wire,
        outlet: Outlet,
        stopping: &'a dyn Fn() -> bool,
        transcript: Option<Transcript<'a>>,
        idle_limit: Option<Duration>,
    ) -> Self {
        let (patience, set, deadline) = (Duration::ZERO, Duration::ZERO, Instant::now());
        Self { wire, inlet: Inlet::new(), outlet, stopping, transcript, idle_limit, patience, set, deadline }
    }

    pub fn is_stopping(&self) -> bool {
        (self.stopping)()
    }

    pub fn is_encrypted(&self) -> bool {
        self.wire.is_encrypted()
    }

    /// The client has so much time from now on.
    pub fn allow(&mut self, time: Duration) -> io::Result<()> {
        self.patience = self.idle_limit.map_or(time, |limit| limit.min(time));
        self.set_patience(self.patience)?;
        self.deadline = Instant::now() + time;
        Ok(())
    }

    fn set_patience(&mut self, patience: Duration) -> io::Result<()> {
        if patience != self.set {
            self.wire.set_patience(patience)?;
            self.set = patience;
        }
        Ok(())
    }

    /// Takes one whole reply and leaves `reply` empty.
    pub fn pass(&mut self, reply: &mut Vec<u8>) -> io::Result<()> {
        if let Some(transcript) = &mut self.transcript {
            transcript.server(reply);
        }
        self.outlet.pass(reply, self.deadline, &mut self.wire)
    }

    /// Everything passed so far is sent, once it is not held back.
    pub fn flush(&mut self) -> io::Result<()> {
        self.outlet.flush(self.deadline, &mut self.wire)
    }

    /// This is the last word, instead of what was passed and not sent.
    pub fn part_with(mut self, line: &str) {
        let line = format!("{line}\r\n").into_bytes();
        if let Some(transcript) = &mut self.transcript {
            transcript.server(&line);
        }
        // The client may be gone.
        let _ = self.outlet.say_at_once(line, &mut self.wire);
        self.close();
    }

    /// Sends what there is to send and not held back, then waits for more to read.
    pub fn wait(&mut self) -> io::Result<Arrival> {
        self.outlet.flush_unless_held(&mut self.wire)?;
        if Instant::now() > self.deadline {
            return Ok(Arrival::Silence);
        }
        let holds = self.outlet.holds();
        self.set_patience(if holds { self.patience.min(GLANCE) } else { self.patience })?;
        let room = self.inlet.room();
        let read = self.wire.read(room);
        if let (Some(transcript), Ok(length)) = (&mut self.transcript, &read) {
            transcript.client(&room[..*length]);
        }
        if matches!(read, Ok(0)) {
            // Whoever ends a session ends its reading first.
            self.outlet.check()?;
        }
        match read {
            Ok(0) if self.is_stopping() => Ok(Arrival::Stop),
            Ok(0) => Ok(Arrival::End),
            Ok(length) => {
                self.inlet.received(length);
                Ok(Arrival::Bytes)
            }
            // Part of a record: the deadline is looked at before the next one.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Arrival::Bytes),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(if holds { Arrival::Bytes } else { Arrival::Silence })
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
        self.set = Duration::ZERO;
        let shaken = self.wire.encrypt(config, Instant::now() + time);
        if let Some(transcript) = &mut self.transcript {
            match &shaken {
                Ok(()) => transcript.note("TLS from here on"),
                Err(error) => transcript.note(&format!("the TLS handshake failed: {}", handshake_failure(error))),
            }
        }
        shaken
    }

    /// The last word is said.
    pub fn close(self) {
        self.wire.linger(self.stopping);
    }

    /// No last word.
    pub fn cut(self, how: Cut) {
        match how {
            Cut::Fin => self.wire.end(),
            Cut::Rst => self.wire.reset(),
        }
    }
}
