//! The one place all replies pass on their way out: here they are late, held back or cut off.

mod grip;
mod outlet;

use std::collections::HashMap;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

pub use self::grip::Cut;
pub(super) use self::grip::{Ending, Grip, is_struck};
pub(super) use self::outlet::Outlet;
use super::limits::Limits;
use super::listening::Protocol;
use super::lock;
use super::options::Maildrops;

/// What can be made to go wrong in a running [`Sandbox`](super::Sandbox), from any thread, while its sessions run.
///
/// A session is named by its client's port ([`SessionRecord::peer_port`](super::SessionRecord::peer_port)). Where
/// several open sessions have it, from different addresses or on different listeners, all of them are meant. A session
/// ended from here has [`CloseCause::Fault`](super::CloseCause::Fault) on record.
///
/// ```
/// use std::{io::Read, net::{TcpListener, TcpStream}};
/// use mailconn::sandbox::{Cut, Options, Sandbox};
///
/// let server = Sandbox::start(TcpListener::bind("127.0.0.1:0")?, Options::default())?;
/// let mut client = TcpStream::connect(server.address())?;
/// let port = client.local_addr()?.port();
/// client.read(&mut [0; 1])?;
/// assert!(server.faults().cut(port, Cut::Fin));
/// client.read_to_end(&mut Vec::new())?;
/// assert!(!server.faults().cut(port, Cut::Fin), "it is over");
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Faults(Arc<Board>);

/// Every open session's grip.
struct Board {
    limits: Arc<Limits>,
    latency: Arc<Latency>,
    /// Read by whoever accepts.
    refuses: AtomicBool,
    /// Read by whoever signs in by POP3.
    locks_maildrops: AtomicBool,
    /// As many entries as there are sessions that have not closed their socket.
    grips: Mutex<HashMap<u16, Vec<Arc<Grip>>>>,
}

/// How late each reply is, of all sessions.
pub(super) struct Latency(AtomicU64);

impl Latency {
    fn set(&self, latency: Duration) {
        self.0.store(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX), Ordering::Release);
    }

    pub(super) fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Acquire))
    }
}

/// A session's entry. It is dropped when the session's socket is closed, whatever closed it.
pub(super) struct Entry {
    board: Arc<Board>,
    port: u16,
    pub grip: Arc<Grip>,
}

impl Faults {
    pub(super) fn new(limits: Arc<Limits>, maildrops: Maildrops, late: Duration) -> Self {
        let latency = Arc::new(Latency(AtomicU64::new(0)));
        latency.set(late);
        let locks_maildrops = AtomicBool::new(maildrops == Maildrops::Locked);
        let (refuses, grips) = (AtomicBool::new(false), Mutex::default());
        Self(Arc::new(Board { limits, latency, refuses, locks_maildrops, grips }))
    }

    /// Cuts the connection, also under TLS or in the middle of a reply; replies that wait to be sent are lost. When this
    /// returns, the end is on record and the cut made. A client that will not read a reply delays it by some
    /// milliseconds. False if no open session has the port.
    pub fn cut(&self, peer_port: u16, how: Cut) -> bool {
        self.end(peer_port, &Ending::Cut(how))
    }

    /// Holds the session's replies back until let go with `false`; commands are read, carried out and put on record
    /// meanwhile. A reply under way is not interrupted. What cannot go on without its reply, such as a TLS handshake,
    /// waits too. False if no open session has the port.
    pub fn stall(&self, peer_port: u16, stalled: bool) -> bool {
        let grips = self.of(peer_port);
        grips.iter().for_each(|grip| grip.stall(stalled));
        !grips.is_empty()
    }

    /// Says goodbye unasked and closes: `* BYE text`, `421 4.3.2 text` or `-ERR text`. It is said between two replies,
    /// in place of those that are late or held back; before a TLS handshake is over nothing can be said. `text` is one
    /// line: what would break it becomes a space. False if no open session has the port.
    pub fn goodbye(&self, peer_port: u16, text: &str) -> bool {
        self.end(peer_port, &Ending::Goodbye(text.replace(char::is_control, " ")))
    }

    /// From now on a new connection is reset as soon as it is accepted, until told otherwise.
    ///
    /// The system has shaken hands by then, so a client's connect succeeds; its first read, or the second write at the
    /// latest, fails with `ECONNRESET` (or `EPIPE`). There is no greeting. On record it is a session without commands.
    pub fn refuse_connections(&self, refuse: bool) {
        self.0.refuses.store(refuse, Ordering::Release);
    }

    /// Puts [`Limit::connections`](super::Limit::connections) in the place of limits that count the same, or takes those away;
    /// nobody who is here has to leave. Other limits stay.
    pub fn limit(&self, connections: Option<usize>) {
        self.0.limits.change(connections);
    }

    /// Changes [`Options::latency`](super::Options::latency) for each reply that is begun from now on, of any session.
    pub fn delay(&self, latency: Duration) {
        self.0.latency.set(latency);
    }

    pub(super) fn latency(&self) -> Arc<Latency> {
        Arc::clone(&self.0.latency)
    }

    /// Changes [`Options::maildrops`](super::Options::maildrops) for those who sign in from now on; a session keeps the lock
    /// that it has, and one that came without goes on without, in nobody's way.
    pub fn maildrops(&self, maildrops: Maildrops) {
        self.0.locks_maildrops.store(maildrops == Maildrops::Locked, Ordering::Release);
    }

    pub(super) fn locks_maildrops(&self) -> bool {
        self.0.locks_maildrops.load(Ordering::Acquire)
    }

    pub(super) fn refuses(&self) -> bool {
        self.0.refuses.load(Ordering::Acquire)
    }

    pub(super) fn enter(&self, port: u16, socket: Weak<TcpStream>) -> Entry {
        let grip = Arc::new(Grip::new(socket));
        lock(&self.0.grips).entry(port).or_default().push(Arc::clone(&grip));
        Entry { board: Arc::clone(&self.0), port, grip }
    }

    fn of(&self, port: u16) -> Vec<Arc<Grip>> {
        lock(&self.0.grips).get(&port).cloned().unwrap_or_default()
    }

    fn end(&self, port: u16, ending: &Ending) -> bool {
        let grips = self.of(port);
        grips.iter().for_each(|grip| grip.end(ending.clone()));
        grips.iter().for_each(|grip| grip.await_end());
        !grips.is_empty()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut grips = lock(&self.board.grips);
        if let Some(here) = grips.get_mut(&self.port) {
            here.retain(|grip| !Arc::ptr_eq(grip, &self.grip));
            if here.is_empty() {
                grips.remove(&self.port);
            }
        }
        drop(grips);
        // Whoever waits for the end finds the session gone.
        self.grip.over();
    }
}

/// The last line of a session, said unasked.
pub(super) fn farewell(protocol: Protocol, text: &str) -> String {
    let before = match protocol {
        Protocol::Imap => "* BYE",
        Protocol::Smtp => "421 4.3.2",
        Protocol::Pop3 => "-ERR",
    };
    format!("{before} {text}")
}
