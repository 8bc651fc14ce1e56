//! Accepts connections, gives each a thread, and ends them all when it is told to.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::faults::{Faults, Grip};
use super::limit::Limit;
use super::limits::Limits;
use super::link::{self, CalledOff, Link};
use super::listening::{Listening, Protocol, Security};
use super::mailbox::Accounts;
use super::options::Options;
use super::record::Record;
use super::session;
use super::tls::Identity;
use super::transcript::Transcripts;
use super::witness::{CloseCause, SessionRecord, Totals, Witness};

/// The pause after a connection could not be accepted, as when there are no descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);

/// How long a sandbox that is dropped rather than stopped takes for it.
const DROP_DEADLINE: Duration = Duration::from_secs(2);

/// The shortest time the system can wait for: none at all would be for ever.
const SHORTEST_IDLE: Duration = Duration::from_millis(1);

/// A session parses and replies; it needs no deep stack, and there may be thousands.
const STACK: usize = 512 * 1024;

/// A running server. Dropping it stops it; [`Sandbox::stop`] does so within a deadline and hands over the record.
pub struct Sandbox {
    /// Where it listens, in the order given; at least one.
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    /// One for each listener; taken by whoever stops first.
    accepting: Vec<Accepting>,
}

/// What all sessions share.
pub(super) struct Shared {
    pub accounts: Accounts,
    pub limits: Arc<Limits>,
    pub faults: Faults,
    pub witness: Witness,
    /// The ports of clients that were dropped for want of a thread.
    starved: Arc<Starved>,
    pub idle_limit: Option<Duration>,
    pub rtt: Duration,
    pub transcripts: Option<Arc<Transcripts>>,
    /// Made if any listener speaks TLS.
    pub identity: Option<Identity>,
    /// Set once, by [`Sandbox::stop`]; read by every session between commands.
    pub stopping: Arc<AtomicBool>,
}

/// Which clients were dropped because the system gave their sessions no thread.
#[derive(Debug, Default)]
pub struct Starved(Mutex<BTreeMap<u16, String>>);

impl Starved {
    /// Why the client on that port was dropped, if that is why.
    pub fn why(&self, port: u16) -> Option<String> {
        self.ports().get(&port).cloned()
    }

    fn ports(&self) -> MutexGuard<'_, BTreeMap<u16, String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A thread that accepts, and its listener: shared with it, so that stopping can end its wait.
struct Accepting {
    listener: Arc<TcpListener>,
    address: SocketAddr,
    thread: JoinHandle<Vec<Running>>,
}

/// A session's thread, and ways to wake it and to its socket that do not keep the socket open.
struct Running {
    thread: JoinHandle<()>,
    grip: Arc<Grip>,
    socket: Weak<TcpStream>,
}

impl Sandbox {
    /// Serves IMAP, in the clear, on `listener` until [`Sandbox::stop`].
    ///
    /// # Errors
    /// The system refused a thread, or the listener has no address.
    pub fn start(listener: TcpListener, options: Options) -> io::Result<Self> {
        Self::serve(vec![Listening { listener, protocol: Protocol::Imap, security: Security::Plain }], options)
    }

    /// Serves on all listeners until [`Sandbox::stop`]: the same accounts behind them, one record of them all.
    ///
    /// # Errors
    /// There is no listener, or a limit that no server can keep ([`Limit::check`]); one has no address, the system refused a thread, or no certificate could be made.
    pub fn serve(listening: Vec<Listening>, options: Options) -> io::Result<Self> {
        let addresses = listening.iter().map(|one| one.listener.local_addr()).collect::<io::Result<Vec<_>>>()?;
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there is nothing to listen on"));
        }
        options
            .limits
            .iter()
            .try_for_each(Limit::check)
            .map_err(|bad| io::Error::new(io::ErrorKind::InvalidInput, bad))?;
        let encrypts = listening.iter().any(|one| one.security != Security::Plain);
        let identity = encrypts.then(|| Identity::new(addresses.iter().map(SocketAddr::ip))).transpose()?;
        let limits = Arc::new(Limits::new(options.limits, options.like));
        let record = options.keeps_record.then(|| Arc::new(Record::new(options.record_bound)));
        let shared = Arc::new(Shared {
            accounts: Accounts::new(options.users),
            faults: Faults::new(Arc::clone(&limits), options.maildrops, options.latency),
            limits,
            witness: Witness::new(options.watch, record),
            starved: Arc::default(),
            idle_limit: options.idle_limit.map(|limit| limit.max(SHORTEST_IDLE)),
            rtt: options.rtt,
            transcripts: options.transcripts,
            identity,
            stopping: Arc::default(),
        });
        let mut sandbox = Self { addresses, shared, accepting: Vec::with_capacity(listening.len()) };
        // If one fails, those before it are stopped by the drop.
        for (Listening { listener, protocol, security }, address) in
            listening.into_iter().zip(sandbox.addresses.clone())
        {
            listener.set_nonblocking(false)?;
            let listener = Arc::new(listener);
            let (accepts, shared) = (Arc::clone(&listener), Arc::clone(&sandbox.shared));
            let thread = thread::Builder::new()
                .name("sandbox accept".to_owned())
                .spawn(move || accept(&accepts, address, (protocol, security), &shared))?;
            sandbox.accepting.push(Accepting { listener, address, thread });
        }
        Ok(sandbox)
    }

    /// Where it listens: the first address, if there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Where it listens, in the order of the listeners.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The certificate, in PEM, of the authority that signed the server's own; `None` if no listener speaks TLS.
    ///
    /// The server's is for `localhost`, `127.0.0.1`, `::1` and the listeners' addresses. Both are made anew for each
    /// server.
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.identity.as_ref().map(|identity| identity.ca_pem.as_str())
    }

    /// What can be made to go wrong in it.
    pub fn faults(&self) -> Faults {
        self.shared.faults.clone()
    }

    /// Which clients were dropped for want of a thread, now and later.
    pub fn starved(&self) -> Arc<Starved> {
        Arc::clone(&self.shared.starved)
    }

    /// The record so far, session by session in the order they were accepted; what was taken of it is not there.
    pub fn witness(&self) -> Vec<SessionRecord> {
        self.shared.witness.record().map(|record| record.snapshot()).unwrap_or_default()
    }

    /// The record, to take it part by part while the server runs; `None` if none is kept.
    pub fn record(&self) -> Option<Arc<Record>> {
        self.shared.witness.record().map(Arc::clone)
    }

    /// How many sessions are open: accepted, and not on record as closed.
    pub fn open_sessions(&self) -> usize {
        self.shared.witness.open()
    }

    /// Stops accepting, ends what is open with a goodbye, joins every thread, and returns the whole record, or what nobody
    /// has taken of it. A session that was open has [`CloseCause::Server`] there.
    ///
    /// Clients that keep a session from ending in its own way are cut off, so that all is over by the deadline.
    pub fn stop(mut self, deadline: Duration) -> Vec<SessionRecord> {
        self.end(deadline);
        self.shared.witness.record().map(|record| record.take()).unwrap_or_default()
    }

    /// The same for a server that keeps no record: returns what all sessions came to, and as `open` those that were open
    /// when this was called.
    pub fn stop_with_totals(mut self, deadline: Duration) -> Totals {
        let open: Vec<_> = self.shared.witness.totals().into_iter().map(|(protocol, of)| (protocol, of.open)).collect();
        self.end(deadline);
        let mut totals = self.shared.witness.totals();
        for (protocol, open) in open {
            totals.entry(protocol).or_default().open = open;
        }
        totals
    }

    fn end(&mut self, deadline: Duration) {
        self.shared.stopping.store(true, Ordering::Release);
        if let Some(record) = self.shared.witness.record() {
            record.lift();
        }
        let accepting = std::mem::take(&mut self.accepting);
        let mut running = Vec::new();
        for one in accepting {
            one.end_wait();
            one.thread.thread().unpark();
            running.extend(one.thread.join().unwrap_or_default());
        }
        // Ends their reading but not their writing: they say goodbye themselves, between two replies.
        for session in &running {
            shut(&session.socket, Shutdown::Read);
            session.grip.wake();
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
}

impl Accepting {
    /// Ends the wait for the next connection: where shutting a listener down does not, a connection does.
    fn end_wait(&self) {
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
fn accept(
    listener: &TcpListener,
    address: SocketAddr,
    speaks: (Protocol, Security),
    shared: &Arc<Shared>,
) -> Vec<Running> {
    let mut running: Vec<Running> = Vec::new();
    let mut sweep_at = 64;
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Acquire) {
            return running;
        }
        match accepted {
            Ok((stream, peer)) => running.extend(serve(stream, (address, peer), speaks, shared)),
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
fn serve(
    stream: TcpStream,
    (listener, peer): (SocketAddr, SocketAddr),
    speaks: (Protocol, Security),
    shared: &Arc<Shared>,
) -> Option<Running> {
    let socket = Arc::new(stream);
    let weak = Arc::downgrade(&socket);
    // Before it counts as open: a session that is seen can be ended.
    let entry = shared.faults.enter(peer.port(), Weak::clone(&weak));
    let witness = shared.witness.accepted(listener, peer, speaks.0);
    if shared.faults.refuses() {
        witness.closed(CloseCause::Fault);
        // If the system will not, the client sees the end of the stream at once.
        let _ = link::reset_when_dropped(&socket);
        return None;
    }
    let grip = Arc::clone(&entry.grip);
    let admission = match shared.limits.accept((speaks.0, peer.ip()), &grip) {
        Ok(admission) => admission,
        Err(limit) => {
            witness.refused(&format!("closed without a word, by the limit {limit}"));
            witness.closed(CloseCause::Refused);
            return None;
        }
    };
    let (stopping, ending) = (Arc::clone(&shared.stopping), Arc::clone(&grip));
    let called_off: CalledOff = Arc::new(move || stopping.load(Ordering::Acquire) || ending.ending().is_some());
    let opened = Link::new(Arc::clone(&socket), shared.rtt, called_off);
    let (shared, starved) = (Arc::clone(shared), Arc::clone(&shared.starved));
    let thread = opened.and_then(|link| {
        thread::Builder::new()
            .name("sandbox session".to_owned())
            .stack_size(STACK)
            .spawn(move || session::hold(link, peer, speaks, &shared, (entry, admission), &witness))
    });
    match thread {
        Ok(thread) => {
            starved.ports().remove(&peer.port());
            Some(Running { thread, grip, socket: weak })
        }
        Err(error) => {
            // Said before the client can see that it was dropped.
            starved.ports().insert(peer.port(), format!("the sandbox got no thread for the connection ({error})"));
            drop(socket);
            None
        }
    }
}
