//! From a host name to a connected socket, within one deadline and at any time cancellable.

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
use super::live::Live;

/// How soon a dial notices its cancellation.
const SLICE: Duration = Duration::from_millis(50);

/// The addresses of a host. Numeric hosts ask no resolver.
///
/// `getaddrinfo` knows no deadline and cannot be cancelled: it runs in a thread of its own, which is left behind if
/// it outlives the deadline and ends with the resolver's own timeout.
pub(super) fn resolve(host: &str, port: u16, deadline: Instant, live: &Live) -> Result<Vec<SocketAddr>, Failure> {
    live.check(Stage::Resolve)?;
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
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
pub(super) fn connect(addresses: &[SocketAddr], deadline: Instant, live: &Live) -> Result<Arc<TcpStream>, Failure> {
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
                live.register(&socket, Stage::Connect)?;
                return Ok(socket);
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
