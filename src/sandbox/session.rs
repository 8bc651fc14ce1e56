//! One session's thread, from the accepted socket to its last byte.

use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::channel::Channel;
use super::faults::{self, Ending, Entry, Outlet};
use super::imap;
use super::limits::Admission;
use super::link::Link;
use super::listening::{Protocol, Security};
use super::pop3;
use super::server::Shared;
use super::smtp;
use super::surroundings::Surroundings;
use super::wire::Wire;
use super::witness::{CloseCause, SessionWitness};

/// Holds a session to its end, which is on record before its socket closes.
pub(super) fn hold(
    link: Link,
    peer: SocketAddr,
    (protocol, security): (Protocol, Security),
    shared: &Shared,
    (entry, admission): (Entry, Admission),
    witness: &SessionWitness,
) {
    entry.grip.hold();
    link.await_client();
    let stopping = || shared.stopping.load(Ordering::Acquire);
    let outlet = Outlet::new(shared.faults.latency(), Arc::clone(&shared.stopping), Arc::clone(&entry.grip));
    let passwords = || shared.accounts.passwords();
    let transcripts = shared.transcripts.as_ref();
    let transcript = transcripts.map(|to| to.begin(witness.number(), (protocol, peer), passwords()));
    let mut channel = Channel::new(Wire::new(link), outlet, &stopping, transcript, shared.idle_limit);
    let tls = shared.identity.as_ref().map(|identity| &identity.config);
    let (accounts, faults) = (&shared.accounts, &shared.faults);
    let around = Surroundings { accounts, admission, went_on: Cell::new(false), faults, protocol, security, tls, peer };
    let cause = match tls.filter(|_| security == Security::Tls).map(|tls| channel.encrypt(tls)) {
        Some(Err(error)) => {
            witness.not_encrypted(&error);
            drop(around);
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
        Err(_) if matches!(ending, Some(Ending::Supplanted(_))) => CloseCause::Supplanted,
        Err(_) if ending.is_some() => CloseCause::Fault,
        Err(_) if stopping() => CloseCause::Server,
        Err(error) => why(error),
    });
    // Then nothing is half said.
    let between_replies = cause.is_err_and(|error| faults::is_struck(&error));
    match ending {
        Some(Ending::Cut(how)) => channel.cut(how),
        Some(Ending::Goodbye(text)) if between_replies => channel.part_with(&faults::farewell(protocol, &text)),
        Some(Ending::Supplanted(line)) if between_replies => channel.part_with(&line),
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
