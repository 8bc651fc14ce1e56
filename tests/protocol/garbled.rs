//! Dialogues in which a few bytes went wrong: whatever a server says, a session ends in time and in order.

use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::{
    DialFailure, Failure, FailureKind, Job, MailConnector, Operation, Protocol, Settings, Stationery,
};

use super::scripted::{POP3, Rules, SMTP, Server, session};

fn spoilt(reply: &str, random: &mut fastrand::Rng) -> Vec<u8> {
    let pieces = b"0123459 -+.\r\n\0\xff\xc3=OKERR";
    let mut bytes = reply.as_bytes().to_vec();
    if random.u8(..3) > 0 {
        return bytes;
    }
    for _ in 0..random.usize(1..4) {
        let at = random.usize(..bytes.len());
        match random.u8(..4) {
            0 => bytes.truncate(at.max(1)),
            1 => drop(bytes.remove(at)),
            2 => bytes.insert(at, pieces[random.usize(..pieces.len())]),
            _ => bytes[at] = pieces[random.usize(..pieces.len())],
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A server that answers by these rules, more or less.
fn garbling(protocol: Protocol, rules: Rules) -> Server {
    let random = Mutex::new(fastrand::Rng::with_seed(5321));
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        let mut random = random.lock().unwrap().fork();
        let reply_to = |line: &str| rules.iter().find(|(start, _)| !start.is_empty() && line.starts_with(start));
        peer.send_bytes(&spoilt(rules[0].1, &mut random));
        while let Some(line) = peer.line() {
            // What is no command is a message's line.
            if let Some((_, reply)) = reply_to(&line)
                && !peer.send_bytes(&spoilt(reply, &mut random))
            {
                return;
            }
        }
    })
}

/// One session after the other that runs every operation until it breaks.
fn sessions(server: &Server, settings: impl Fn() -> Settings, count: u32) {
    let letter = Stationery::new(&settings().endpoint, None, Some("ann@example.org"), "run-1").unwrap().letter("w0", 0);
    let job = Job { letter: Some(&letter), ..Job::default() };
    let sound = |failure: &Failure| assert_ne!(failure.kind, FailureKind::Internal, "{failure}");
    for number in 0..count {
        let started = Instant::now();
        match MailConnector::new(settings()).dial(session(number)) {
            Ok(mut connection) => {
                for operation in Operation::all(settings().endpoint.protocol) {
                    if let Err(failure) = connection.run(operation, &job) {
                        sound(&failure);
                        assert!(failure.kind != FailureKind::Protocol || connection.is_broken(), "{failure}");
                    }
                }
                let _ = connection.logout(Instant::now() + Duration::from_millis(50));
            }
            Err(DialFailure { failure, .. }) => sound(&failure),
        }
        // A dial and its goodbye, and each operation.
        assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    }
    assert_eq!(server.accepted(), count as usize);
}

#[test]
fn no_garbled_reply_makes_it_panic_or_hang() {
    thread::scope(|scope| {
        for (protocol, rules) in [(Protocol::Smtp, SMTP), (Protocol::Pop3, POP3)] {
            for _ in 0..4 {
                scope.spawn(move || {
                    let server = garbling(protocol, rules);
                    let short = Duration::from_millis(50);
                    let impatient =
                        || Settings { connect_timeout: short, operation_timeout: short, ..server.settings() };
                    sessions(&server, impatient, 40);
                });
            }
        }
    });
}
