//! A session's bytes, in the clear or under TLS.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection};

use super::link::{LINGER, Link};

/// How long a TLS record may wait for a client that takes it piece by piece.
const RECORD_TIME: Duration = Duration::from_secs(60);

/// What carries a session's bytes.
pub(super) struct Wire {
    link: Link,
    /// From the handshake on.
    tls: Option<Box<ServerConnection>>,
}

impl Wire {
    pub fn new(link: Link) -> Self {
        Self { link, tls: None }
    }

    pub fn is_encrypted(&self) -> bool {
        self.tls.is_some()
    }

    /// From now on, a read fails if nothing comes for so long.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.link.set_patience(patience)
    }

    /// The end of the stream, in the middle of whatever was said. Nothing that the client sent is left unread: then the
    /// system would reset the connection.
    pub fn end(self) {
        if self.link.end().is_ok() && self.set_patience(Duration::from_millis(1)).is_ok() {
            let mut discarded = [0; 1024];
            let deadline = Instant::now() + LINGER;
            while matches!((&self.link).read(&mut discarded), Ok(1..)) && Instant::now() < deadline {}
        }
    }

    /// Not even that: the connection is reset when this returns.
    pub fn reset(self) {
        self.link.reset();
    }

    /// Shakes hands. Whatever the client sends from here on is under TLS, or ends the session. Changes the patience.
    pub fn encrypt(&mut self, config: &Arc<ServerConfig>, deadline: Instant) -> io::Result<()> {
        let mut tls = Box::new(ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?);
        // The tickets that let the client resume go out with the end of the handshake.
        while tls.is_handshaking() || tls.wants_write() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            if tls.wants_write() {
                drain(&mut tls, &self.link)?;
            } else {
                self.set_patience(left)?;
                if uninterrupted(|| tls.read_tls(&mut &self.link))? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                digest(&mut tls, &self.link)?;
            }
        }
        self.tls = Some(tls);
        Ok(())
    }

    /// Lets the client read the last reply: closing at once, with something it sent still unread, would reset
    /// the connection and take the reply with it.
    pub fn linger(mut self, stopping: impl Fn() -> bool) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The client may be gone.
            let _ = drain(tls, &self.link);
        }
        let end = Instant::now() + self.link.linger();
        if self.link.end().is_err() {
            return;
        }
        let mut discarded = [0; 1024];
        while let Some(patience) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            if stopping()
                || self.set_patience(patience).is_err()
                || !matches!((&self.link).read(&mut discarded), Ok(1..))
            {
                return;
            }
        }
    }
}

impl Read for Wire {
    /// As with a socket, 0 is the end, said or not: many clients close TLS without a word. Part of a TLS record is
    /// `Interrupted`: a client that sends it byte by byte must not keep its reader from the clock.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return uninterrupted(|| (&self.link).read(buffer));
        };
        if let Some(length) = decrypted(tls, buffer)? {
            return Ok(length);
        }
        uninterrupted(|| tls.read_tls(&mut &self.link))?;
        digest(tls, &self.link)?;
        // What the client does not take now goes out with the next reply.
        drain(tls, &self.link)?;
        decrypted(tls, buffer)?.ok_or_else(|| io::ErrorKind::Interrupted.into())
    }
}

impl Write for Wire {
    /// `WouldBlock` if the client takes nothing for [`GLANCE`](super::link::GLANCE).
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return (&self.link).write(buffer);
        };
        if !drain(tls, &self.link)? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let written = tls.writer().write(buffer)?;
        drain(tls, &self.link)?;
        Ok(written)
    }

    /// Likewise.
    fn flush(&mut self) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            return Ok(());
        };
        if drain(tls, &self.link)? { Ok(()) } else { Err(io::ErrorKind::WouldBlock.into()) }
    }
}

/// What is there to be read, if anything is.
fn decrypted(tls: &mut ServerConnection, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match tls.reader().read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(Some(0)),
        result => result.map(Some),
    }
}

/// Takes in what was read. A client that breaks the protocol is told so.
fn digest(tls: &mut ServerConnection, link: &Link) -> io::Result<()> {
    match tls.process_new_packets() {
        Ok(_) => Ok(()),
        Err(error) => {
            let _ = drain(tls, link);
            Err(io::Error::new(io::ErrorKind::InvalidData, error))
        }
    }
}

/// Sends what TLS has to send; false if the client did not take all of it.
fn drain(tls: &mut ServerConnection, mut link: &Link) -> io::Result<bool> {
    let mut deadline = None;
    while tls.wants_write() {
        if Instant::now() > *deadline.get_or_insert_with(|| Instant::now() + RECORD_TIME) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        match uninterrupted(|| tls.write_tls(&mut link)) {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                return Ok(false);
            }
            result => result?,
        };
    }
    Ok(true)
}

fn uninterrupted(mut call: impl FnMut() -> io::Result<usize>) -> io::Result<usize> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
