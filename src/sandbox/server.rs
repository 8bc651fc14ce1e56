//! Accepts connections, gives each a thread, and ends them all when it is told to.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::faults::Outlet;
use super::imap::{self, Surroundings, Wire};
use super::limits::Limits;
use super::mailbox::Accounts;
use super::witness::{SessionRecord, SessionWitness, Witness};

/// How long a write may wait for a client that does not read.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// How long a session that the server has ended waits for the client to close too.
const LINGER: Duration = Duration::from_millis(500);

/// The pause after a connection could not be accepted, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long a sandbox that is dropped rather than stopped takes for it.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// A session parses and replies; it needs no deep stack, and there may be thousands.
const STACK: usize = 512 * 1024;

/// How a sandbox behaves.
pub struct Options {
    /// Who may sign in. Each has INBOX, Archive and Sent, with messages that say where they are.
    pub users: Vec<User>,
    /// How many connections a user may have open from one address; `None` for no limit.
    pub connections_per_user: Option<usize>,
    /// How late each reply is.
    pub latency: Duration,
}

impl Default for Options {
    /// One user, `user` with the password `secret`; no limit, no latency.
    fn default() -> Self {
        Self { users: vec![User::new("user", "secret")], connections_per_user: None, latency: Duration::ZERO }
    }
}

/// Someone who may sign in. There is no way to get the password out again.
#[derive(Clone)]
pub struct User {
    pub(super) name: String,
    pub(super) password: String,
}

impl User {
    /// A user with this name and password.
    pub fn new(name: impl Into<String>, password: impl Into<String>) -> Self {
        Self { name: name.into(), password: password.into() }
    }
}

/// A running server. Dropping it stops it; [`Sandbox::stop`] does so within a deadline and hands over the record.
pub struct Sandbox {
    address: SocketAddr,
    /// Shared with the accepting thread, so that stopping can end its wait.
    listener: Arc<TcpListener>,
    shared: Arc<Shared>,
    /// Taken by whoever stops first.
    accepting: Option<JoinHandle<Vec<Running>>>,
}

/// What all sessions share.
struct Shared {
    accounts: Accounts,
    limits: Arc<Limits>,
    witness: Witness,
    latency: Duration,
    /// Set once, by [`Sandbox::stop`]; read by every session between commands.
    stopping: Arc<AtomicBool>,
}

/// A session's thread, and a way to its socket that does not keep the socket open.
struct Running {
    thread: JoinHandle<()>,
    socket: Weak<TcpStream>,
}

impl Sandbox {
    /// Serves on `listener` until [`Sandbox::stop`].
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        let address = listener.local_addr()?;
        listener.set_nonblocking(false)?;
        let listener = Arc::new(listener);
        let shared = Arc::new(Shared {
            accounts: Accounts::new(options.users),
            limits: Arc::new(Limits::new(options.connections_per_user)),
            witness: Witness::default(),
            latency: options.latency,
            stopping: Arc::default(),
        });
        let accepting = {
            let (listener, shared) = (Arc::clone(&listener), Arc::clone(&shared));
            thread::Builder::new().name("sandbox accept".to_owned()).spawn(move || accept(&listener, &shared))?
        };
        Ok(Self { address, listener, shared, accepting: Some(accepting) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The record so far, session by session in the order they were accepted.
    pub fn witness(&self) -> Vec<SessionRecord> {
        self.shared.witness.snapshot()
    }

    /// How many sessions are open: accepted, and not on record as closed.
    pub fn open_sessions(&self) -> usize {
        self.shared.witness.open()
    }

    /// Stops accepting, ends what is open with `* BYE`, joins every thread, and returns the whole record.
    ///
    /// Clients that keep a session from ending in its own way are cut off, so that all is over by the deadline.
    pub fn stop(mut self, deadline: Duration) -> Vec<SessionRecord> {
        self.end(deadline);
        self.shared.witness.snapshot()
    }

    fn end(&mut self, deadline: Duration) {
        let Some(accepting) = self.accepting.take() else {
            return;
        };
        self.shared.stopping.store(true, Ordering::Release);
        self.end_accept();
        accepting.thread().unpark();
        let running = accepting.join().unwrap_or_default();
        // Ends their reading but not their writing: they say goodbye themselves, between two replies.
        for session in &running {
            shut(&session.socket, Shutdown::Read);
            session.thread.thread().unpark();
        }
        let cut = Instant::now().checked_add(deadline / 5 * 4);
        while cut.is_none_or(|cut| Instant::now() < cut) && !running.iter().all(|session| session.thread.is_finished())
        {
            thread::sleep(Duration::from_millis(1));
        }
        for session in &running {
            shut(&session.socket, Shutdown::Both);
        }
        for session in running {
            // A session that panicked has ended on record too.
            let _ = session.thread.join();
        }
    }

    /// Ends the wait for the next connection: where shutting a listener down does not, a connection does.
    fn end_accept(&self) {
        if SockRef::from(&*self.listener).shutdown(Shutdown::Both).is_ok() {
            return;
        }
        let mut address = self.address;
        match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
            IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
            _ => {}
        }
        let _ = TcpStream::connect_timeout(&address, Duration::from_secs(1));
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.end(DROP_DEADLINE);
    }
}

fn shut(socket: &Weak<TcpStream>, how: Shutdown) {
    if let Some(socket) = socket.upgrade() {
        // It may have been closed already.
        let _ = socket.shutdown(how);
    }
}

/// Accepts until the server is stopped, and returns the sessions that may still be running.
fn accept(listener: &TcpListener, shared: &Arc<Shared>) -> Vec<Running> {
    let mut running: Vec<Running> = Vec::new();
    let mut sweep_at = 64;
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Acquire) {
            return running;
        }
        match accepted {
            Ok((stream, peer)) => running.extend(serve(stream, peer, shared)),
            // The next one may be luckier: descriptors come back, and a client that gave up is no one's fault.
            Err(_) => thread::park_timeout(ACCEPT_PAUSE),
        }
        if running.len() >= sweep_at {
            let (over, on): (Vec<_>, Vec<_>) = running.into_iter().partition(|session| session.thread.is_finished());
            for session in over {
                let _ = session.thread.join();
            }
            running = on;
            sweep_at = 64.max(2 * running.len());
        }
    }
}

/// Starts a session's thread. If the system has no thread to give, the connection is closed, and that is on record.
fn serve(stream: TcpStream, peer: SocketAddr, shared: &Arc<Shared>) -> Option<Running> {
    let witness = shared.witness.accepted(peer.port());
    let socket = Arc::new(stream);
    let weak = Arc::downgrade(&socket);
    let shared = Arc::clone(shared);
    let thread = thread::Builder::new()
        .name("sandbox session".to_owned())
        .stack_size(STACK)
        .spawn(move || session(Socket(socket), peer.ip(), &shared, &witness))
        .ok()?;
    Some(Running { thread, socket: weak })
}

fn session(mut socket: Socket, peer: IpAddr, shared: &Shared, witness: &SessionWitness) {
    // Without these a reply is late or a write waits long, but the session works.
    let _ = socket.0.set_nodelay(true);
    let _ = socket.0.set_write_timeout(Some(WRITE_PATIENCE));
    let stopping = || shared.stopping.load(Ordering::Acquire);
    let outlet = Outlet::new(shared.latency, Arc::clone(&shared.stopping));
    let around = Surroundings { accounts: &shared.accounts, limits: &shared.limits, peer, stopping: &stopping };
    imap::converse(&mut socket, outlet, around, witness);
    linger(&mut socket, stopping);
}

/// Lets the client read the last reply: closing at once, with something it sent still unread, would reset
/// the connection and take the reply with it.
fn linger(socket: &mut Socket, stopping: impl Fn() -> bool) {
    let end = Instant::now() + LINGER;
    if socket.0.shutdown(Shutdown::Write).is_err() {
        return;
    }
    let mut discarded = [0; 1024];
    while let Some(patience) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        if stopping() || socket.set_patience(patience).is_err() || !matches!(socket.read(&mut discarded), Ok(1..)) {
            return;
        }
    }
}

/// A session's socket. It is shared with the stopper without a second descriptor.
struct Socket(Arc<TcpStream>);

impl Wire for Socket {
    fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.0.set_read_timeout(Some(patience))
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(buffer)
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        (&*self.0).write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
