//! One session's thread, from the accepted socket to its last byte.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::channel::Channel;
use super::faults::Outlet;
use super::imap;
use super::listening::{Protocol, Security};
use super::pop3;
use super::server::Shared;
use super::smtp;
use super::surroundings::Surroundings;
use super::wire::Wire;
use super::witness::{CloseCause, SessionWitness};

/// How long a write may wait for a client that does not read.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);

/// Holds a session to its end, which is on record before its socket closes.
pub(super) fn hold(
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    (protocol, security): (Protocol, Security),
    shared: &Shared,
    witness: &SessionWitness,
) {
    // Without these a reply is late or a write waits long, but the session works.
    let _ = socket.set_nodelay(true);
    let _ = socket.set_write_timeout(Some(WRITE_PATIENCE));
    let stopping = || shared.stopping.load(Ordering::Acquire);
    let outlet = Outlet::new(shared.latency, Arc::clone(&shared.stopping));
    let mut channel = Channel::new(Wire::new(socket), outlet, &stopping, shared.idle_limit);
    let tls = shared.identity.as_ref().map(|identity| &identity.config);
    let around = Surroundings { accounts: &shared.accounts, limits: &shared.limits, protocol, security, tls, peer };
    let cause = match tls.filter(|_| security == Security::Tls).map(|tls| channel.encrypt(tls)) {
        Some(Err(error)) => Err(error),
        encrypted => {
            if encrypted.is_some() {
                witness.encrypted();
            }
            match protocol {
                Protocol::Imap => imap::converse(&mut channel, around, witness),
                Protocol::Smtp => smtp::converse(&mut channel, around, witness),
                Protocol::Pop3 => pop3::converse(&mut channel, around, witness),
            }
        }
    };
    witness.closed(match cause {
        Ok(cause) => cause,
        Err(_) if stopping() => CloseCause::Server,
        Err(error) => why(&error),
    });
    channel.close();
}

fn why(error: &io::Error) -> CloseCause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CloseCause::EndOfStream,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => CloseCause::Server,
        _ => CloseCause::Reset,
    }
}
