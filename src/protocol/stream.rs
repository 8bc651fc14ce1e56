//! One socket layer for every protocol: plain or TLS, under an absolute deadline, counted.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::net::{RecvFlags, recv};
use rustls::pki_types::ServerName;
use rustls::{ClientConnection, HandshakeKind};

use super::failure::why;
use super::tls::{Certificate, Tls, late_refusal};
use super::transcript::Transcript;

/// What went over one connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bytes of the protocol that were written: below TLS the plaintext, as servers count them.
    pub sent: u64,
    /// Bytes of the protocol that were read, counted alike.
    pub received: u64,
    /// System calls that wrote, TLS handshake included.
    pub send_calls: u64,
    /// System calls that read, TLS handshake included.
    pub receive_calls: u64,
}

/// What TLS agreed on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsDetails {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: String,
    /// The cipher suite's IANA name.
    pub cipher: String,
    /// Whether an earlier session was taken up again, without a certificate exchange.
    pub resumed: bool,
    /// The name that was asked for; it went to the server as SNI unless it is an address.
    pub server_name: String,
    /// Whether the certificate was verified for that name: not if the user waived it.
    pub verified: bool,
    /// What the server's certificate says; only where somebody watches the dial, because reading it takes time. Of a
    /// session that was taken up again it is the earlier one's.
    pub certificate: Option<Certificate>,
}

/// A TCP socket whose reads and writes all end by one deadline, however many there are.
struct Socket {
    /// Shared, so that cancelling needs no second descriptor.
    tcp: Arc<TcpStream>,
    deadline: Instant,
    /// The kernel's timeouts as last set: setting them costs a system call, so they are left alone while they do.
    read_timeout: Option<Duration>,
    write_timeout: Option<Duration>,
    send_calls: u64,
    receive_calls: u64,
    /// Reads take what is there and do not wait.
    at_once: bool,
}

/// The kernel's timeout to set so that a call ends near the deadline; `None` when the one in force will do.
///
/// One that is a little too long ends that little too late; one that is too short only costs a turn of the loop,
/// unless it is so short that the turns add up.
fn timeout_to_set(in_force: Option<Duration>, deadline: Instant) -> io::Result<Option<Duration>> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let longest = left + left / 16 + Duration::from_millis(10);
    match in_force {
        Some(timeout) if timeout <= longest && timeout >= left / 2 => Ok(None),
        _ => Ok(Some(left.max(Duration::from_millis(1)))),
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at_once {
            self.receive_calls += 1;
            return Ok(recv(&*self.tcp, buffer, RecvFlags::DONTWAIT)?.0);
        }
        loop {
            if let Some(timeout) = timeout_to_set(self.read_timeout, self.deadline)? {
                self.tcp.set_read_timeout(Some(timeout))?;
                self.read_timeout = Some(timeout);
            }
            self.receive_calls += 1;
            match (&*self.tcp).read(buffer) {
                Err(error) if is_pause(&error) => {}
                done => return done,
            }
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        loop {
            if let Some(timeout) = timeout_to_set(self.write_timeout, self.deadline)? {
                self.tcp.set_write_timeout(Some(timeout))?;
                self.write_timeout = Some(timeout);
            }
            self.send_calls += 1;
            match (&*self.tcp).write(buffer) {
                Err(error) if is_pause(&error) => {}
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Socket {
    /// Why the other side closed while we wrote, if it said so before: the answer to the write that failed is in the
    /// queue for reading.
    fn last_alert(&mut self, connection: &mut ClientConnection, failed: &io::Error) -> Option<rustls::Error> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        if !matches!(failed.kind(), BrokenPipe | ConnectionAborted | ConnectionReset) {
            return None;
        }
        self.at_once = true;
        let mut alert = None;
        while alert.is_none() && matches!(connection.read_tls(self), Ok(1..)) {
            alert = connection.process_new_packets().err();
        }
        self.at_once = false;
        alert
    }
}

fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}

/// A connected stream, plain or TLS. Reads return 0 when the other side has closed, cleanly or not.
pub(super) struct Stream {
    socket: Socket,
    tls: Option<Box<Secured>>,
    sent: u64,
    received: u64,
    /// Hears of all that is read and written, where somebody wants to read it later.
    transcript: Option<Box<Transcript>>,
}

/// TLS over the socket.
struct Secured {
    connection: ClientConnection,
    settings: Tls,
    name: ServerName<'static>,
    /// How much had been read when it began.
    received_before: u64,
}

impl Secured {
    /// The error, or what it means if the server has said nothing yet under TLS: it may refuse us only now.
    fn meaning(&self, error: rustls::Error, received: u64) -> io::Error {
        let silent = received == self.received_before;
        match late_refusal(&error, &self.settings, &self.name).filter(|_| silent) {
            Some(refusal) => io::Error::new(io::ErrorKind::InvalidData, refusal),
            None => invalid(error),
        }
    }
}

impl Stream {
    pub(super) fn new(tcp: Arc<TcpStream>, deadline: Instant) -> Self {
        let socket = Socket {
            tcp,
            deadline,
            read_timeout: None,
            write_timeout: None,
            send_calls: 0,
            receive_calls: 0,
            at_once: false,
        };
        Self { socket, tls: None, sent: 0, received: 0, transcript: None }
    }

    /// From now on everything goes into that transcript too.
    pub(super) fn set_transcript(&mut self, transcript: Option<Transcript>) {
        self.transcript = transcript.map(Box::new);
    }

    pub(super) fn transcript(&mut self) -> Option<&mut Transcript> {
        self.transcript.as_deref_mut()
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.tcp.local_addr()
    }

    /// By when every read and write from now on must have ended.
    pub(super) fn set_deadline(&mut self, deadline: Instant) {
        self.socket.deadline = deadline;
    }

    pub(super) fn traffic(&self) -> Traffic {
        Traffic {
            sent: self.sent,
            received: self.received,
            send_calls: self.socket.send_calls,
            receive_calls: self.socket.receive_calls,
        }
    }

    /// Runs the whole TLS handshake now, so that a bad certificate fails here and not in the first command.
    ///
    /// The caller has made sure that nothing read before remains unread.
    pub(super) fn start_tls(&mut self, settings: &Tls, name: ServerName<'static>) -> io::Result<()> {
        let mut connection = ClientConnection::new(Arc::clone(settings.config()), name.clone()).map_err(invalid)?;
        while connection.is_handshaking() || connection.wants_write() {
            if let Err(error) = connection.complete_io(&mut self.socket) {
                return Err(self.socket.last_alert(&mut connection, &error).map_or(error, invalid));
            }
        }
        let settings = settings.clone();
        self.tls = Some(Box::new(Secured { connection, settings, name, received_before: self.received }));
        Ok(())
    }

    /// Reads what has arrived, without waiting: `WouldBlock` where nothing has. 0 when the other side has closed.
    pub(super) fn read_ready(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.at_once = true;
        let read = self.read(buffer);
        self.socket.at_once = false;
        read
    }

    /// What TLS agreed on; the certificate is read only if it is wanted.
    pub(super) fn tls_details(&self, certificate: bool) -> Option<TlsDetails> {
        let Secured { connection, settings, name, .. } = self.tls.as_deref()?;
        let version = connection.protocol_version();
        let shown = connection.peer_certificates().and_then(<[_]>::first).filter(|_| certificate);
        Some(TlsDetails {
            version: version.map(|version| format!("{version:?}").replace('_', ".")).unwrap_or_default(),
            cipher: connection
                .negotiated_cipher_suite()
                .map(|suite| format!("{:?}", suite.suite()))
                .unwrap_or_default(),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            server_name: name.to_str().into_owned(),
            verified: settings.verifies(),
            certificate: shown.and_then(|der| Certificate::read(der)),
        })
    }

    /// Ends the connection politely below the protocol, without waiting for the other side.
    pub(super) fn close(&mut self) {
        self.socket.deadline = Instant::now() + Duration::from_millis(100);
        if let Some(tls) = self.tls.as_deref_mut() {
            tls.connection.send_close_notify();
            // The session is over either way; this only spares the server a "truncated" in its log.
            let _ = tls.connection.write_tls(&mut self.socket);
        }
        let _ = self.socket.tcp.shutdown(Shutdown::Both);
        self.transcript = None;
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return self.socket.read(buffer);
        };
        loop {
            let connection = &mut tls.connection;
            match connection.reader().read(buffer) {
                Ok(count) => return Ok(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                Err(error) => return Err(error),
            }
            while connection.wants_write() {
                connection.write_tls(&mut self.socket)?;
            }
            connection.read_tls(&mut self.socket)?;
            if let Err(error) = connection.process_new_packets() {
                // The alert that tells the other side why; the error stands either way.
                let _ = connection.write_tls(&mut self.socket);
                return Err(tls.meaning(error, self.received));
            }
        }
    }

    fn send(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let Some(tls) = self.tls.as_deref_mut() else {
            return self.socket.write(buffer);
        };
        let count = tls.connection.writer().write(buffer)?;
        while tls.connection.wants_write() {
            if let Err(error) = tls.connection.write_tls(&mut self.socket) {
                let alert = self.socket.last_alert(&mut tls.connection, &error);
                return Err(alert.map_or(error, |alert| tls.meaning(alert, self.received)));
            }
        }
        Ok(count)
    }
}

fn invalid(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let done = self.receive(buffer);
        self.received += *done.as_ref().unwrap_or(&0) as u64;
        if let Some(transcript) = &mut self.transcript {
            match &done {
                Ok(0) if !buffer.is_empty() => transcript.closed_by_server(),
                Ok(count) => transcript.heard(&buffer[..*count], *count < buffer.len()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => transcript.broke("reading", &why(error)),
            }
        }
        done
    }
}

impl Write for Stream {
    /// Returns only when the bytes are with the kernel: what was counted as written has left this process.
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let done = self.send(buffer);
        self.sent += *done.as_ref().unwrap_or(&0) as u64;
        if let Some(transcript) = &mut self.transcript {
            match &done {
                Ok(count) => transcript.said(&buffer[..*count]),
                Err(error) => transcript.broke("writing", &why(error)),
            }
        }
        done
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
