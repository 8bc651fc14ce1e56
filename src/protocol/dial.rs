//! From a host name to a connected socket, within one deadline and at any time cancellable.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Protocol, Socket, Type};

use super::failure::{Failure, FailureKind, Stage};
use super::live::{Link, Live};

/// How soon a dial notices its cancellation.
const SLICE: Duration = Duration::from_millis(50);

/// Which addresses are dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Those of IPv4.
    V4,
    /// Those of IPv6.
    V6,
}

impl Family {
    /// Whether the address is of this family.
    #[must_use]
    pub const fn has(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }

    const fn flag(self) -> &'static str {
        match self {
            Self::V4 => "-4",
            Self::V6 => "-6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        })
    }
}

/// The addresses of a host, of that family alone where one is given. Numeric hosts ask no resolver.
///
/// `getaddrinfo` knows no deadline and cannot be cancelled: it runs in a thread of its own, which is left behind if
/// it outlives the deadline and ends with the resolver's own timeout.
pub(super) fn resolve(
    host: &str,
    port: u16,
    family: Option<Family>,
    deadline: Instant,
    live: &Live,
) -> Result<Vec<SocketAddr>, Failure> {
    live.check(Stage::Resolve)?;
    let addresses = match host.parse::<IpAddr>() {
        Ok(address) => vec![SocketAddr::new(address, port)],
        Err(_) => of_name(host, port, deadline, live)?,
    };
    let Some(family) = family else { return Ok(addresses) };
    let (fit, others): (Vec<_>, Vec<_>) = addresses.into_iter().partition(|address| family.has(address.ip()));
    match others.first() {
        Some(other) if fit.is_empty() => {
            let (flag, other) = (family.flag(), other.ip());
            let message = format!(
                "{host} has no {family} address ({other} is none), and {flag} allows no other; leave {flag} out"
            );
            Err(Failure::new(FailureKind::Dns, Stage::Resolve, message))
        }
        _ => Ok(fit),
    }
}

fn of_name(host: &str, port: u16, deadline: Instant, live: &Live) -> Result<Vec<SocketAddr>, Failure> {
    let (answer, answered) = mpsc::sync_channel(1);
    let name = host.to_owned();
    thread::Builder::new()
        .name("resolver".to_owned())
        .spawn(move || {
            let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect::<Vec<_>>);
            // Nobody listens any more when the deadline came first.
            let _ = answer.send(found);
        })
        .map_err(|error| {
            let message = format!("no thread for the name resolution ({error}); raise the limit on threads");
            Failure::new(FailureKind::LocalResources, Stage::Resolve, message)
        })?;
    loop {
        live.check(Stage::Resolve)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            let message = format!("the name {host} did not resolve in time; check the network and the resolver");
            return Err(Failure::new(FailureKind::Dns, Stage::Resolve, message));
        }
        match answered.recv_timeout(left.min(SLICE)) {
            Ok(Ok(addresses)) if !addresses.is_empty() => return Ok(addresses),
            Ok(Ok(_)) => {
                let message = format!("the name {host} has no address; check its spelling");
                return Err(Failure::new(FailureKind::Dns, Stage::Resolve, message));
            }
            Ok(Err(error)) => {
                let local = Failure::from_io(&error, Stage::Resolve);
                if local.kind == FailureKind::LocalResources {
                    return Err(local);
                }
                let message = format!("the name {host} does not resolve ({error}); check its spelling");
                return Err(Failure::new(FailureKind::Dns, Stage::Resolve, message));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(FailureKind::Internal, Stage::Resolve, "the name resolution broke off"));
            }
        }
    }
}

/// Connects to the first address that answers, each having its share of the time that is left: one that swallows
/// packets must not use up the others' chance.
pub(super) fn connect(
    addresses: &[SocketAddr],
    deadline: Instant,
    live: &Live,
) -> Result<(Arc<TcpStream>, Arc<Link>), Failure> {
    let mut last = Failure::new(FailureKind::ConnectTimeout, Stage::Connect, "no time was left to connect");
    for (tried, address) in addresses.iter().enumerate() {
        live.check(Stage::Connect)?;
        let now = Instant::now();
        let left = deadline.saturating_duration_since(now);
        if left.is_zero() {
            break;
        }
        let others = u32::try_from(addresses.len() - tried).unwrap_or(u32::MAX);
        match connect_one(*address, now + left / others, live) {
            Ok(socket) => {
                let socket = Arc::new(socket);
                let link = live.register(&socket, Stage::Connect)?;
                return Ok((socket, link));
            }
            Err(error) => {
                last = Failure::from_io(&error, Stage::Connect);
                if last.kind == FailureKind::LocalResources {
                    return Err(last);
                }
                last.message = format!("{address}: {}", last.message);
            }
        }
    }
    live.check(Stage::Connect)?;
    Err(last)
}

fn connect_one(address: SocketAddr, deadline: Instant, live: &Live) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::INPROGRESS | Errno::INTR)) => {
            await_connect(&socket, deadline, live)?;
        }
        Err(error) => return Err(error),
    }
    socket.set_nonblocking(false)?;
    // A command is one small write that waits for its answer: Nagle's algorithm would only add delayed-ACK pauses.
    socket.set_tcp_nodelay(true)?;
    let socket = TcpStream::from(socket);
    // Two ephemeral ports that dial each other's number meet themselves: a connection to nobody.
    if socket.local_addr()? == socket.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(socket)
}

fn await_connect(socket: &Socket, deadline: Instant, live: &Live) -> io::Result<()> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() || live.is_cancelled() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let wait = left.min(SLICE);
        let timeout = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().max(1_000_000).into() };
        let mut ready = [PollFd::new(socket, PollFlags::OUT)];
        match poll(&mut ready, Some(&timeout)) {
            Ok(0) | Err(Errno::INTR) => {}
            Ok(_) => return socket.take_error()?.map_or(Ok(()), Err),
            Err(errno) => return Err(errno.into()),
        }
    }
}
