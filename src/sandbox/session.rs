//! One session's thread, from the accepted socket to its last byte.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::channel::Channel;
use super::faults::{self, Ending, Entry, Outlet};
use super::imap;
use super::listening::{Protocol, Security};
use super::pop3;
use super::server::Shared;
use super::smtp;
use super::surroundings::Surroundings;
use super::wire::{self, Wire};
use super::witness::{CloseCause, SessionWitness};

/// Holds a session to its end, which is on record before its socket closes.
pub(super) fn hold(
    socket: Arc<TcpStream>,
    peer: SocketAddr,
    (protocol, security): (Protocol, Security),
    shared: &Shared,
    entry: Entry,
    witness: &SessionWitness,
) {
    entry.grip.hold();
    // Without these a reply is late or a write cannot be ended soon, but the session works.
    let _ = socket.set_nodelay(true);
    let _ = socket.set_write_timeout(Some(wire::GLANCE));
    let stopping = || shared.stopping.load(Ordering::Acquire);
    let outlet = Outlet::new(shared.faults.latency(), Arc::clone(&shared.stopping), Arc::clone(&entry.grip));
    let passwords = || shared.accounts.passwords();
    let transcripts = shared.transcripts.as_ref();
    let transcript = transcripts.map(|to| to.begin(witness.number(), (protocol, peer), passwords()));
    let mut channel = Channel::new(Wire::new(socket), outlet, &stopping, transcript, shared.idle_limit);
    let tls = shared.identity.as_ref().map(|identity| &identity.config);
    let (accounts, limits, faults) = (&shared.accounts, &shared.limits, &shared.faults);
    let around = Surroundings { accounts, limits, faults, protocol, security, tls, peer };
    let cause = match tls.filter(|_| security == Security::Tls).map(|tls| channel.encrypt(tls)) {
        Some(Err(error)) => {
            witness.not_encrypted(&error);
            Err(error)
        }
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
    let ending = entry.grip.ending();
    witness.closed(match &cause {
        Ok(cause) => *cause,
        Err(_) if ending.is_some() => CloseCause::Fault,
        Err(_) if stopping() => CloseCause::Server,
        Err(error) => why(error),
    });
    match ending {
        Some(Ending::Cut(how)) => channel.cut(how),
        Some(Ending::Goodbye(text)) if cause.is_err_and(|error| faults::is_struck(&error)) => {
            // The client may be gone.
            let _ = channel.say_at_once(faults::farewell(protocol, &text));
            channel.close();
        }
        _ => channel.close(),
    }
}

fn why(error: &io::Error) -> CloseCause {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => CloseCause::EndOfStream,
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => CloseCause::Server,
        _ => CloseCause::Reset,
    }
}
