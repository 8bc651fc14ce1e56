//! What lies between a session and its client: a socket, and on request time, as if they were far apart.
//!
//! Whatever one of them says then reaches the other half a round trip later. Each part of it has its own time, so that a
//! long way is no narrow one. A thread for each direction sees to that: nobody else can tell when a part came.

mod pipe;

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

pub(super) use self::pipe::CalledOff;
use self::pipe::Pipe;

/// How long a write waits before it is seen whether it is still wanted.
pub(super) const GLANCE: Duration = Duration::from_millis(20);

/// How long a session that the server has ended waits for the client to close too.
pub(super) const LINGER: Duration = Duration::from_millis(500);

/// A thread that carries bytes needs no deep stack.
const STACK: usize = 128 * 1024;

/// How much it carries at once.
const CARRIED: usize = 16 * 1024;

/// A session's end of it.
pub(super) enum Link {
    Near(Arc<TcpStream>),
    Far(Far),
}

pub(super) struct Far {
    /// Shared with both threads.
    socket: Arc<TcpStream>,
    round_trip: Duration,
    /// When the session begins. A client that is far away is connected after one round trip, and the server learns it half a
    /// one later; on the socket both are connected at once.
    begins: Instant,
    /// How long a read waits.
    patience: Cell<Duration>,
    inward: Arc<Pipe>,
    outward: Arc<Pipe>,
    threads: Vec<JoinHandle<()>>,
}

impl Link {
    /// Over a socket that was accepted now.
    ///
    /// # Errors
    /// The system refused a thread.
    pub fn new(socket: Arc<TcpStream>, round_trip: Duration, called_off: CalledOff) -> io::Result<Self> {
        // Without these a reply is late or a write cannot be ended soon, but the session works.
        let _ = socket.set_nodelay(true);
        let _ = socket.set_write_timeout(Some(GLANCE));
        if round_trip.is_zero() {
            return Ok(Self::Near(socket));
        }
        let delay = round_trip / 2;
        let [inward, outward] =
            [Arc::clone(&called_off), called_off].map(|called_off| Arc::new(Pipe::new(delay, called_off)));
        let (begins, patience) = (Instant::now() + round_trip + delay, Cell::default());
        let mut far = Far { socket, round_trip, begins, patience, inward, outward, threads: Vec::with_capacity(2) };
        far.start()?;
        Ok(Self::Far(far))
    }

    /// Returns when the session begins.
    pub fn await_client(&self) {
        if let Self::Far(far) = self {
            far.inward.wait_until(far.begins);
        }
    }

    /// From now on, a read fails if nothing comes for that time.
    pub fn set_patience(&self, patience: Duration) -> io::Result<()> {
        match self {
            Self::Near(socket) => socket.set_read_timeout(Some(patience)),
            Self::Far(far) => {
                far.patience.set(patience);
                Ok(())
            }
        }
    }

    /// How long a client may take to hear the end of the stream and to close, too.
    pub fn linger(&self) -> Duration {
        LINGER + if let Self::Far(far) = self { far.round_trip } else { Duration::ZERO }
    }

    /// Ends the stream to the client, behind all that was written.
    pub fn end(&self) -> io::Result<()> {
        match self {
            Self::Near(socket) => socket.shutdown(Shutdown::Write),
            Self::Far(far) => {
                far.outward.end(Ok(()));
                Ok(())
            }
        }
    }

    /// Makes the close a reset. If the system will not, the client sees the end of the stream.
    pub fn reset(&self) {
        let (Self::Near(socket) | Self::Far(Far { socket, .. })) = self;
        let _ = reset_when_dropped(socket);
    }
}

impl Read for &Link {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Link::Near(socket) => (&**socket).read(buffer),
            Link::Far(far) => far.inward.take(buffer, Some(far.patience.get())),
        }
    }
}

impl Write for &Link {
    /// `WouldBlock` or `TimedOut` if the client takes nothing for [`GLANCE`].
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Link::Near(socket) => (&**socket).write(bytes),
            Link::Far(far) => far.outward.put(bytes, GLANCE),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Far {
    /// If the system refuses the second thread, the first one ends with the link.
    fn start(&mut self) -> io::Result<()> {
        let (socket, pipe) = (Arc::clone(&self.socket), Arc::clone(&self.inward));
        self.threads.push(spawn(move || carry_in(&socket, &pipe))?);
        let (socket, pipe) = (Arc::clone(&self.socket), Arc::clone(&self.outward));
        self.threads.push(spawn(move || carry_out(&pipe, &socket))?);
        Ok(())
    }
}

impl Drop for Far {
    /// Returns once what was written is with the client, or a client that does not read has had its time.
    fn drop(&mut self) {
        self.outward.end(Err(ErrorKind::BrokenPipe));
        // With fewer threads nobody carries anything out.
        if self.threads.len() == 2 {
            self.outward.await_abandoned(self.round_trip + LINGER);
        }
        for pipe in [&self.outward, &self.inward] {
            pipe.abandon(ErrorKind::BrokenPipe);
        }
        // Ends its thread's wait for the client.
        let _ = self.socket.shutdown(Shutdown::Read);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// Makes the socket's close a reset.
pub(super) fn reset_when_dropped(socket: &TcpStream) -> io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}

fn spawn(work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    thread::Builder::new().name("sandbox link".to_owned()).stack_size(STACK).spawn(work)
}

/// What the client says, until it ends the stream or the session does not listen any more.
fn carry_in(mut socket: &TcpStream, pipe: &Pipe) {
    let mut buffer = [0; CARRIED];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return pipe.end(Ok(())),
            Ok(length) => {
                let mut rest = &buffer[..length];
                while !rest.is_empty() {
                    match pipe.put(rest, LINGER) {
                        Ok(put) => rest = &rest[put..],
                        Err(_) if pipe.is_abandoned() => return,
                        // The session has enough to do.
                        Err(_) => {}
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return pipe.end(Err(error.kind())),
        }
    }
}

/// What the session says, until it ends the stream or the client is gone.
fn carry_out(pipe: &Pipe, socket: &TcpStream) {
    let mut buffer = [0; CARRIED];
    let why = loop {
        match pipe.take(&mut buffer, None) {
            Ok(0) => {
                // The client may be gone.
                let _ = socket.shutdown(Shutdown::Write);
                break ErrorKind::BrokenPipe;
            }
            Ok(length) => {
                if let Err(error) = write(socket, &buffer[..length], pipe) {
                    break error.kind();
                }
            }
            Err(error) => break error.kind(),
        }
    };
    pipe.abandon(why);
}

/// All of it, however slowly the client takes it, unless the session is over.
fn write(mut socket: &TcpStream, mut rest: &[u8], pipe: &Pipe) -> io::Result<()> {
    while !rest.is_empty() {
        match socket.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error)
                if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) && !pipe.is_abandoned() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
