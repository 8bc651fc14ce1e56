//! The socket below: its cost, its deadlines, its cancellation.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{ConnectRefused, ConnectTimeout, Disposed, Dns};
use mailconn::protocol::{ImapConnector, ImapOperation, Settings, Stage};

use super::scripted::{Server, session, settings};

#[test]
fn a_noop_costs_one_send_and_one_receive() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.answer("{t} OK done\r\n") {}
    });
    let mut connection = server.dial().unwrap();
    let before = connection.bytes();
    for _ in 0..100 {
        connection.run(ImapOperation::Noop, "").unwrap();
    }
    let after = connection.bytes();
    assert_eq!(after.send_calls - before.send_calls, 100);
    assert_eq!(after.receive_calls - before.receive_calls, 100);
    // "a3 NOOP" to "a9 NOOP" and their line ends, then two digits, then three.
    assert_eq!(after.sent - before.sent, 7 * 9 + 90 * 10 + 3 * 11);
}

#[test]
fn nobody_listening_and_no_such_name_are_told_apart() {
    let nobody = { TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap() };
    let failure = ImapConnector::new(settings(nobody)).dial(session(0)).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (ConnectRefused, Stage::Connect), "{failure}");
    assert!(failure.phases.resolve.is_some() && failure.phases.connect.is_none());

    let mut unknown = settings(nobody);
    unknown.endpoint.host = "no-such-host.invalid".into();
    let failure = ImapConnector::new(unknown).dial(session(0)).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (Dns, Stage::Resolve), "{failure}");
}

/// A listener whose backlog is full: the kernel drops further SYNs, as a firewall does.
fn black_hole() -> (SocketAddr, impl Sized) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let fillers: Vec<_> = (0..4)
        .map(|_| {
            let filler = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
            filler.set_nonblocking(true).unwrap();
            let _ = filler.connect(&address.into());
            filler
        })
        .collect();
    thread::sleep(Duration::from_millis(50));
    (address, (socket, fillers))
}

#[test]
fn packets_that_vanish_are_a_connect_timeout_by_the_deadline() {
    let (address, _held) = black_hole();
    let started = Instant::now();
    let failure = ImapConnector::new(Settings { connect_timeout: Duration::from_millis(300), ..settings(address) })
        .dial(session(0))
        .err()
        .unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (ConnectTimeout, Stage::Connect), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn cancelling_ends_a_connect_under_way() {
    let (address, _held) = black_hole();
    let connector = Arc::new(ImapConnector::new(settings(address)));
    let dialling = {
        let connector = Arc::clone(&connector);
        thread::spawn(move || connector.dial(session(0)).err().unwrap())
    };
    thread::sleep(Duration::from_millis(100));
    let started = Instant::now();
    connector.cancel();
    assert_eq!(dialling.join().unwrap().failure.kind, Disposed);
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
    assert_eq!(connector.dial(session(1)).err().unwrap().failure.kind, Disposed);
}

#[test]
fn cancelling_ends_what_blocks_on_a_read_and_who_waits_to_sign_in() {
    let server = Server::start(|peer| {
        if peer.number == 0 {
            peer.sign_in();
        } else {
            peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
        }
        while peer.line().is_some() {}
    });
    let connector = Arc::new(server.connector());
    let mut connection = connector.dial(session(0)).unwrap();
    let blocked = thread::spawn(move || connection.run(ImapOperation::Noop, "").unwrap_err());
    let dials: Vec<_> = (1..3)
        .map(|number| {
            let connector = Arc::clone(&connector);
            thread::spawn(move || connector.dial(session(number)).err().unwrap())
        })
        .collect();
    thread::sleep(Duration::from_millis(150));
    let started = Instant::now();
    connector.cancel();
    assert_eq!(blocked.join().unwrap().kind, Disposed);
    for dial in dials {
        assert_eq!(dial.join().unwrap().failure.kind, Disposed);
    }
    assert!(started.elapsed() < Duration::from_millis(500), "{:?}", started.elapsed());
}
