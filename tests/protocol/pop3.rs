//! POP3, against servers that refuse, hang up and talk out of turn.

use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{
    self, AuthInvalid, AuthPolicy, AuthUnsupported, Closed, Greeting, LimitConnections, LimitRate, Protocol, ServerBye,
    ServerNo, ServerUnavailable, Timeout,
};
use mailconn::protocol::{DialFailure, Pop3Connection, Pop3Connector, Pop3Operation, Settings, Stage};

use super::scripted::{Rules, Server, session};

fn dial(settings: Settings) -> Result<Pop3Connection, DialFailure> {
    Pop3Connector::new(settings).dial(session(3))
}

#[track_caller]
fn dial_failure(rules: Rules) -> (DialFailure, String) {
    let server = Server::pop3(rules);
    let failure = dial(server.settings()).err().unwrap();
    (failure, server.verbs())
}

fn verbs(connection: &Pop3Connection) -> Vec<&'static str> {
    connection.commands().iter().map(|command| command.verb.name()).collect()
}

#[test]
fn each_operation_counts_what_the_maildrop_holds() {
    let server = Server::pop3(&[]);
    let mut connection = server.dial_pop3();
    assert_eq!(connection.established().signed_in_by, Some("PLAIN"));
    for (operation, items) in
        [(Pop3Operation::Noop, 0), (Pop3Operation::Stat, 2), (Pop3Operation::List, 2), (Pop3Operation::Retrieve, 1)]
    {
        assert_eq!(connection.run(operation).unwrap(), items, "{operation:?}");
    }
    assert_eq!(verbs(&connection), ["STAT", "TOP"]);
    assert_eq!(server.heard().last().unwrap(), "TOP 2 0", "the last message");
    connection.logout(Instant::now() + Duration::from_secs(1)).unwrap();
    assert_eq!(server.verbs(), "CAPA AUTH NOOP STAT LIST STAT TOP QUIT");
}

#[test]
fn an_empty_maildrop_has_nothing_to_list_and_nothing_to_retrieve() {
    let server = Server::pop3(&[("STAT", "+OK 0 0\r\n"), ("LIST", "+OK\r\n.\r\n")]);
    let mut connection = server.dial_pop3();
    assert_eq!(connection.run(Pop3Operation::List).unwrap(), 0);
    assert_eq!(connection.run(Pop3Operation::Retrieve).unwrap(), 0);
    assert_eq!(verbs(&connection), ["STAT"]);
}

#[test]
fn a_server_that_tells_nothing_of_itself_is_asked_the_oldest_way() {
    let server = Server::pop3(&[("CAPA", "-ERR unknown command\r\n")]);
    let mut connection = server.dial_pop3();
    assert_eq!(connection.established().signed_in_by, Some("USER"));
    // A body of RETR, whose lines that begin with dots are no end of it.
    assert_eq!(connection.run(Pop3Operation::Retrieve).unwrap(), 1);
    connection.run(Pop3Operation::Noop).unwrap();
    assert_eq!(server.heard(), ["CAPA", "USER joe", "PASS s3cret", "STAT", "RETR 2", "NOOP"]);
}

#[test]
fn what_the_server_refuses_leaves_the_session_usable() {
    let server = Server::pop3(&[("TOP", "-ERR no such message\r\n"), ("LIST", "-ERR [SYS/TEMP] try again\r\n")]);
    let mut connection = server.dial_pop3();
    for operation in [Pop3Operation::Retrieve, Pop3Operation::List] {
        let failure = connection.run(operation).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (ServerNo, Stage::Operation), "{failure}");
        assert!(!connection.is_broken());
    }
    connection.run(Pop3Operation::Noop).unwrap();
}

#[test]
fn refusals_of_a_sign_in_mean_what_they_say_and_goodbye_is_said() {
    const BASIC: (&str, &str) = ("CAPA", "+OK\r\nUSER\r\n.\r\n");
    for (rules, kind, heard) in [
        (&[BASIC, ("USER", "-ERR unknown user\r\n")][..], AuthInvalid, "CAPA USER QUIT"),
        (&[BASIC, ("PASS", "-ERR [AUTH] Authentication failed.\r\n")], AuthInvalid, "CAPA USER PASS QUIT"),
        (
            &[BASIC, ("PASS", "-ERR [IN-USE] Mailbox is locked by POP server\r\n")],
            LimitConnections,
            "CAPA USER PASS QUIT",
        ),
        (&[BASIC, ("PASS", "-ERR maildrop already locked\r\n")], LimitConnections, "CAPA USER PASS QUIT"),
        (
            &[BASIC, ("PASS", "-ERR [LOGIN-DELAY] minimum time between mail checks\r\n")],
            LimitRate,
            "CAPA USER PASS QUIT",
        ),
        (&[BASIC, ("PASS", "-ERR [SYS/TEMP] Temporary system problem.\r\n")], ServerUnavailable, "CAPA USER PASS QUIT"),
        (&[BASIC, ("PASS", "-ERR [SYS/PERM] POP access is not enabled\r\n")], AuthPolicy, "CAPA USER PASS QUIT"),
        (
            &[
                BASIC,
                ("USER", "-ERR [AUTH] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.\r\n"),
            ],
            AuthUnsupported,
            "CAPA USER QUIT",
        ),
        (&[("CAPA", "+OK\r\nTOP\r\n.\r\n")], AuthUnsupported, "CAPA QUIT"),
        (&[("AUTH", "-ERR [AUTH] no\r\n")], AuthInvalid, "CAPA AUTH QUIT"),
    ] {
        let (failure, verbs) = dial_failure(rules);
        assert_eq!((failure.failure.kind, failure.failure.stage), (kind, Stage::Auth), "{failure}");
        assert_eq!(verbs, heard);
    }
}

#[test]
fn a_locked_maildrop_is_told_as_what_it_is() {
    let (failure, _) =
        dial_failure(&[("AUTH", "-ERR [IN-USE] Unable to lock maildrop: Mailbox is locked by POP server\r\n")]);
    assert!(failure.failure.message.contains("one owner at a time"), "{failure}");
    assert!(failure.failure.message.contains("the password is not the matter"), "{failure}");
}

#[test]
fn greetings_that_refuse_and_greetings_of_others_are_told() {
    for (greeting, kind, heard) in [
        ("-ERR [SYS/TEMP] not now\r\n", ServerUnavailable, "QUIT"),
        ("-ERR not you\r\n", Greeting, "QUIT"),
        ("-ERR Too many connections from your IP\r\n", LimitConnections, "QUIT"),
        ("-ERR Disconnected: Shutting down\r\n", ServerUnavailable, ""),
        ("220 mx ESMTP\r\n", Greeting, ""),
        ("* OK IMAP\r\n", Greeting, ""),
        ("+OKAY\r\n", Greeting, ""),
    ] {
        let (failure, verbs) = dial_failure(vec![("", greeting)].leak());
        assert_eq!((failure.failure.kind, failure.failure.stage), (kind, Stage::Greeting), "{failure}");
        assert_eq!(verbs, heard, "{greeting:?}");
    }
}

fn talkative(reply: &'static str, stays: bool) -> Server {
    Server::of(mailconn::protocol::Protocol::Pop3, "127.0.0.1:0", move |peer| {
        peer.send("+OK ready\r\n");
        peer.answer("+OK\r\nSASL PLAIN\r\n.\r\n");
        peer.answer("+OK in\r\n");
        peer.answer(reply);
        while stays && peer.line().is_some() {}
    })
}

#[test]
fn what_came_while_idle_is_never_taken_for_an_answer_lettre_743() {
    for (reply, kind) in [
        ("+OK\r\n-ERR Disconnected for inactivity.\r\n", ServerBye),
        ("+OK\r\n-ERR so long\r\n", ServerBye),
        ("+OK\r\n-ERR [SYS/TEMP] going down\r\n", ServerBye),
        ("+OK\r\n+OK\r\n", Protocol),
        ("+OK\r\nwhat?\r\n", Protocol),
    ] {
        for stays in [true, false] {
            let server = talkative(reply, stays);
            let mut connection = server.dial_pop3();
            connection.run(Pop3Operation::Noop).unwrap();
            let failure = connection.run(Pop3Operation::Stat).unwrap_err();
            assert_eq!((failure.kind, failure.stage), (kind, Stage::Operation), "{reply:?}: {failure}");
            assert!(connection.is_broken() && failure.server_line.is_some());
            assert!(!server.verbs().contains("STAT"));
        }
    }
}

#[test]
fn a_goodbye_in_place_of_an_answer_ends_the_session() {
    let server = talkative("-ERR Disconnected for inactivity.\r\n", true);
    let mut connection = server.dial_pop3();
    let failure = connection.run(Pop3Operation::Noop).unwrap_err();
    assert_eq!(failure.kind, ServerBye, "{failure}");
    assert!(connection.is_broken());
}

#[test]
fn a_server_that_closed_is_noticed_at_once() {
    let server = talkative("+OK\r\n", false);
    let mut connection = server.dial_pop3();
    connection.run(Pop3Operation::Noop).unwrap();
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    let failure = connection.run(Pop3Operation::Noop).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Closed, Stage::Operation), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(1) && connection.is_broken());
    assert!(connection.logout(Instant::now() + Duration::from_secs(1)).is_err());
    assert!(!server.verbs().contains("QUIT"));
}

#[test]
fn what_is_no_reply_to_the_command_breaks_the_session() {
    for (operation, rules) in [
        (Pop3Operation::Noop, &[("NOOP", "what?\r\n")][..]),
        (Pop3Operation::Noop, &[("NOOP", "+OKAY\r\n")]),
        (Pop3Operation::Noop, &[("NOOP", "+ go on\r\n")]),
        (Pop3Operation::Noop, &[("NOOP", "\r\n")]),
        (Pop3Operation::Stat, &[("STAT", "+OK\r\n")]),
        (Pop3Operation::Stat, &[("STAT", "+OK many 1\r\n")]),
        (Pop3Operation::Stat, &[("STAT", "+OK 99999999999 1\r\n")]),
        (Pop3Operation::List, &[("LIST", "+OK\r\n1 120\r\nSubject: hi\r\n.\r\n")]),
    ] {
        let server = Server::pop3(rules);
        let mut connection = server.dial_pop3();
        let failure = connection.run(operation).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (Protocol, Stage::Operation), "{rules:?}: {failure}");
        assert!(connection.is_broken());
    }
}

#[test]
fn replies_without_end_are_cut_off_in_time_and_memory() {
    type Endless = fn(&mut super::scripted::Peer) -> bool;
    let endless: [(Endless, &[FailureKind]); 3] = [
        (|peer| peer.send(&"x\r\n".repeat(4096)), &[Protocol, Timeout]),
        (|peer| peer.send_bytes(&[b'x'; 65536]), &[Protocol, Timeout]),
        (
            |peer| {
                thread::sleep(Duration::from_millis(40));
                peer.send("x\r\n")
            },
            &[Timeout],
        ),
    ];
    for (number, (more, kinds)) in endless.into_iter().enumerate() {
        let server = Server::of(mailconn::protocol::Protocol::Pop3, "127.0.0.1:0", move |peer| {
            peer.send("+OK ready\r\n");
            peer.answer("+OK\r\nSASL PLAIN\r\n.\r\n");
            peer.answer("+OK in\r\n");
            peer.answer("+OK 1 1\r\n");
            peer.answer("+OK\r\n");
            while more(peer) {}
        });
        let settings = Settings { operation_timeout: Duration::from_millis(500), ..server.settings() };
        let mut connection = dial(settings).unwrap();
        let started = Instant::now();
        let failure = connection.run(Pop3Operation::Retrieve).unwrap_err();
        assert!(kinds.contains(&failure.kind), "{number}: {failure}");
        assert!(started.elapsed() < Duration::from_secs(3), "{number}: {:?}", started.elapsed());
        assert!(connection.is_broken());
    }
    let server = Server::of(mailconn::protocol::Protocol::Pop3, "127.0.0.1:0", |peer| {
        peer.send("+OK ready\r\n");
        peer.answer("+OK\r\n");
        while peer.send(&"X\r\n".repeat(4096)) {}
    });
    let settings = Settings { connect_timeout: Duration::from_millis(500), ..server.settings() };
    let started = Instant::now();
    let failure = dial(settings).err().unwrap();
    assert!(matches!(failure.failure.kind, Protocol | Timeout), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(3));
}

#[test]
fn what_could_not_be_updated_at_the_end_is_told() {
    let server = Server::pop3(&[("QUIT", "-ERR some deleted messages not removed\r\n")]);
    let mut connection = server.dial_pop3();
    let failure = connection.logout(Instant::now() + Duration::from_secs(1)).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (ServerNo, Stage::Logout), "{failure}");
    assert_eq!(failure.server_line.as_deref(), Some("-ERR some deleted messages not removed"));
    assert!(!failure.message.contains("goes on"), "{failure}");
    assert!(connection.is_broken());
}

#[test]
fn signing_out_ends_by_its_deadline_whatever_the_server_does() {
    let server = talkative("+OK\r\n", true);
    let mut connection = server.dial_pop3();
    connection.run(Pop3Operation::Noop).unwrap();
    let started = Instant::now();
    let failure = connection.logout(started + Duration::from_millis(200)).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Timeout, Stage::Logout));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(server.verbs().ends_with("QUIT"));
}
