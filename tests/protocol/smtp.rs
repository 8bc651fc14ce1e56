//! SMTP, against servers that refuse, hang up and talk out of turn.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{ConnectionId, Connector, SessionId};
use mailconn::protocol::FailureKind::{
    self, AuthInvalid, AuthUnsupported, Closed, Disposed, Greeting, LimitConnections, LimitRate, Protocol, ServerBad,
    ServerBye, ServerNo, ServerUnavailable, Timeout,
};
use mailconn::protocol::{
    DialEvent, DialFailure, DialWatch, EhloName, Failure, Letter, MailConnector, Settings, SmtpConnection,
    SmtpConnector, SmtpOperation, Stage, Stationery,
};

use super::scripted::{Rules, Server, session};

const ONE_BY_ONE: (&str, &str) = ("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n");

fn letter(server: &Server) -> Letter {
    let stationery = Stationery::new(&server.settings().endpoint, None, Some("ann@example.org"), "run-1").unwrap();
    stationery.letter("w2", 7)
}

fn send(server: &Server, connection: &mut SmtpConnection) -> Result<u32, Failure> {
    connection.send(&letter(server))
}

fn verbs(connection: &SmtpConnection) -> Vec<&'static str> {
    connection.commands().iter().map(|command| command.verb.name()).collect()
}

fn impatient(server: &Server) -> Settings {
    let short = Duration::from_millis(300);
    Settings { connect_timeout: short, operation_timeout: short, ..server.settings() }
}

fn dial(settings: Settings) -> Result<SmtpConnection, DialFailure> {
    SmtpConnector::new(settings).dial(session(3))
}

/// How the dial fails, and the verbs that the server heard.
#[track_caller]
fn dial_failure(rules: Rules) -> (DialFailure, String) {
    let server = Server::smtp(rules);
    let failure = dial(server.settings()).err().unwrap();
    (failure, server.verbs())
}

/// The session stays usable: the next operations succeed.
#[track_caller]
fn goes_on(connection: &mut SmtpConnection) {
    assert!(!connection.is_broken());
    connection.run(SmtpOperation::Noop).unwrap();
    connection.run(SmtpOperation::Verify).unwrap();
}

#[test]
fn a_message_goes_out_in_two_writes_where_the_server_takes_several_commands_at_once() {
    let server = Server::smtp(&[]);
    let mut connection = server.dial_smtp();
    assert_eq!(connection.established().signed_in_by, Some("PLAIN"));
    let before = connection.bytes().send_calls;
    assert_eq!(send(&server, &mut connection).unwrap(), 1);
    assert_eq!(connection.bytes().send_calls - before, 2);
    assert_eq!(verbs(&connection), ["MAIL", "RCPT", "DATA"]);
    let heard = server.heard();
    let at = heard.iter().position(|line| line.starts_with("MAIL")).unwrap();
    assert_eq!(heard[at..at + 3], ["MAIL FROM:<joe@[127.0.0.1]>", "RCPT TO:<ann@example.org>", "DATA"]);
    assert!(heard.contains(&"Message-ID: <run-1.w2.7@mailconn.invalid>".to_owned()), "{heard:?}");
    assert_eq!(heard.last().unwrap(), ".");
    goes_on(&mut connection);
    connection.logout(Instant::now() + Duration::from_secs(1)).unwrap();
    assert!(server.verbs().ends_with(". NOOP RSET QUIT"), "{}", server.verbs());
}

#[test]
fn a_message_goes_out_command_by_command_where_it_does_not() {
    let server = Server::smtp(&[ONE_BY_ONE]);
    let mut connection = server.dial_smtp();
    let before = connection.bytes().send_calls;
    assert_eq!(send(&server, &mut connection).unwrap(), 1);
    assert_eq!(connection.bytes().send_calls - before, 4);
    goes_on(&mut connection);
}

#[test]
fn whatever_is_refused_of_a_message_the_session_goes_on_without_it() {
    for (refusing, refusal) in [
        ("MAIL", "553 5.7.1 <joe@example.org>: Sender address rejected: not owned by user joe"),
        ("RCPT", "550 5.1.1 <ann@example.org>: Recipient address rejected: User unknown"),
        ("RCPT", "501 5.1.3 Bad recipient address syntax"),
        ("RCPT", "571 5.7.1 Delivery not authorized, message refused"),
        ("DATA", "451 4.3.0 Error: queue file write error"),
        (".", "552 5.3.4 Error: message file too big"),
    ] {
        for pipelining in ["250-PIPELINING\r\n", ""] {
            let ehlo = format!("250-mx\r\n{pipelining}250 AUTH PLAIN\r\n").leak();
            let rules = vec![(refusing, &*format!("{refusal}\r\n").leak()), ("EHLO", &*ehlo)].leak();
            let server = Server::smtp(rules);
            let mut connection = server.dial_smtp();
            let failure = send(&server, &mut connection).unwrap_err();
            assert_eq!((failure.kind, failure.stage), (ServerNo, Stage::Operation), "{failure}");
            assert_eq!(failure.server_line.as_deref(), Some(refusal));
            assert_eq!(verbs(&connection).last(), Some(&"RSET"));
            goes_on(&mut connection);
            assert_eq!(server.verbs().matches("RSET").count(), 2, "{}", server.verbs());
        }
    }
}

#[test]
fn nobody_gets_a_message_whose_recipient_was_refused_though_the_server_asks_for_it() {
    let server = Server::smtp(&[("RCPT", "550 5.1.1 no such user\r\n"), (".", "554 5.5.1 no valid recipients\r\n")]);
    let mut connection = server.dial_smtp();
    let failure = send(&server, &mut connection).unwrap_err();
    assert_eq!(failure.server_line.as_deref(), Some("550 5.1.1 no such user"));
    assert!(server.verbs().ends_with("MAIL RCPT DATA . RSET"), "{}", server.verbs());
    goes_on(&mut connection);
}

#[test]
fn of_several_refusals_the_first_one_is_told() {
    let server = Server::smtp(&[
        ("MAIL", "550 5.7.60 SMTP; Client does not have permissions to send as this sender\r\n"),
        ("RCPT", "503 5.5.1 Error: need MAIL command\r\n"),
        ("DATA", "503 5.5.1 Error: need RCPT command\r\n"),
    ]);
    let mut connection = server.dial_smtp();
    let failure = send(&server, &mut connection).unwrap_err();
    assert!(failure.server_line.unwrap().starts_with("550 5.7.60"));
    goes_on(&mut connection);
}

#[test]
fn a_session_that_cannot_forget_a_refused_message_is_given_up() {
    let server = Server::smtp(&[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "500 what\r\n")]);
    let mut connection = server.dial_smtp();
    assert_eq!(send(&server, &mut connection).unwrap_err().server_line.as_deref(), Some("550 no"));
    assert!(connection.is_broken());
}

#[test]
fn with_421_the_session_ends_wherever_it_comes_simple_java_mail_430() {
    for (text, kind) in [
        ("421 4.3.2 mx.example.org Service shutting down", ServerUnavailable),
        ("421 4.7.0 mx.example.org Error: too many connections from 192.0.2.1", LimitConnections),
        ("421 4.4.2 Message submission rate for this client has exceeded the configured limit", LimitRate),
    ] {
        let reply = &*format!("{text}\r\n").leak();
        for (at, stage) in [("", Stage::Greeting), ("EHLO", Stage::Greeting), ("AUTH", Stage::Auth)] {
            let (failure, heard) = dial_failure(vec![(at, reply)].leak());
            assert_eq!((failure.failure.kind, failure.failure.stage), (kind, stage), "{at}: {failure}");
            assert_eq!(failure.failure.server_line.as_deref(), Some(text));
            assert!(!heard.contains("QUIT"), "nobody listens any more: {heard}");
        }
        // Later it is one goodbye like others.
        let kind = if kind == ServerUnavailable { ServerBye } else { kind };
        for at in ["MAIL", "RCPT", "DATA", ".", "NOOP"] {
            let server = Server::smtp(vec![(at, reply)].leak());
            let mut connection = server.dial_smtp();
            let failed = if at == "NOOP" {
                connection.run(SmtpOperation::Noop).unwrap_err()
            } else {
                send(&server, &mut connection).unwrap_err()
            };
            assert_eq!((failed.kind, failed.stage), (kind, Stage::Operation), "{at}: {failed}");
            assert_eq!(failed.server_line.as_deref(), Some(text));
            assert!(connection.is_broken());
            let heard = server.verbs();
            assert!(connection.run(SmtpOperation::Noop).is_err() && connection.commands().is_empty());
            assert!(connection.logout(Instant::now() + Duration::from_secs(1)).is_err());
            assert_eq!(server.verbs(), heard, "nothing is said to a server that has left");
        }
    }
}

#[test]
fn what_came_while_idle_is_never_taken_for_an_answer_lettre_743() {
    for (unasked, kind) in [
        ("421 4.4.2 mx.example.org Error: timeout exceeded\r\n", ServerBye),
        ("421-4.4.2 Idle\r\n421 4.4.2 timeout\r\n", ServerBye),
        ("451 timeout (#4.4.2)\r\n", ServerBye),
        ("421 too many connections\r\n", LimitConnections),
        ("250 2.0.0 ok\r\n", Protocol),
        ("220 mx ESMTP\r\n", Protocol),
        ("what?\r\n", Protocol),
    ] {
        for stays in [true, false] {
            let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", move |peer| {
                peer.send("220 hi\r\n");
                peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
                peer.answer("235 in\r\n");
                peer.answer(&format!("250 ok\r\n{unasked}"));
                while stays && peer.line().is_some() {}
            });
            let mut connection = server.dial_smtp();
            connection.run(SmtpOperation::Noop).unwrap();
            assert!(!connection.is_broken(), "the operation itself succeeded");
            let failure = send(&server, &mut connection).unwrap_err();
            assert_eq!((failure.kind, failure.stage), (kind, Stage::Operation), "{unasked:?}: {failure}");
            assert!(failure.server_line.is_some() && connection.is_broken());
            assert!(!server.verbs().contains("MAIL"), "nothing was said any more");
        }
    }
}

#[test]
fn an_old_goodbye_is_told_when_the_next_message_is_due_filtermail_143() {
    let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", |peer| {
        peer.send("220 hi\r\n");
        peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
        peer.answer("235 in\r\n");
        peer.send("421 4.4.2 Idle timeout\r\n");
    });
    let mut connection = server.dial_smtp();
    thread::sleep(Duration::from_millis(50));
    let failure = send(&server, &mut connection).unwrap_err();
    assert_eq!(
        (failure.kind, failure.server_line.as_deref()),
        (ServerBye, Some("421 4.4.2 Idle timeout")),
        "{failure}"
    );
}

#[test]
fn a_server_that_closed_is_noticed_at_once() {
    let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", |peer| {
        peer.send("220 hi\r\n");
        peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
        peer.answer("235 in\r\n");
    });
    let mut connection = server.dial_smtp();
    thread::sleep(Duration::from_millis(200));
    let started = Instant::now();
    let failure = send(&server, &mut connection).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Closed, Stage::Operation), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(connection.is_broken() && connection.commands().is_empty());

    for at in ["NOOP", "MAIL", "DATA", "."] {
        let server = Server::smtp(vec![(at, "")].leak());
        let mut connection = server.dial_smtp();
        let failure = if at == "NOOP" {
            connection.run(SmtpOperation::Noop).unwrap_err()
        } else {
            send(&server, &mut connection).unwrap_err()
        };
        assert_eq!(failure.kind, Closed, "{at}: {failure}");
    }
}

#[test]
fn a_reply_is_told_in_one_line_however_many_it_has() {
    let server = Server::smtp(&[(
        "NOOP",
        "550-5.7.1 [192.0.2.1] Our system has detected\r\n550-5.7.1 that this is spam.\r\n550 5.7.1 See a.b.c d\r\n",
    )]);
    let mut connection = server.dial_smtp();
    let failure = connection.run(SmtpOperation::Noop).unwrap_err();
    let shown = "550 5.7.1 [192.0.2.1] Our system has detected that this is spam. See a.b.c d";
    assert_eq!(failure.server_line.as_deref(), Some(shown));
    goes_on_after_verify(&mut connection);
}

#[track_caller]
fn goes_on_after_verify(connection: &mut SmtpConnection) {
    connection.run(SmtpOperation::Verify).unwrap();
    assert!(!connection.is_broken());
}

#[test]
fn codes_stand_alone_or_past_the_rfc_and_are_understood() {
    for (reply, kind) in [
        ("250\r\n", None),
        ("250-\r\n250\r\n", None),
        ("250 caf\u{e9} \u{fc}\r\n", None),
        ("250 bare line end\n", None),
        ("571 no\r\n", Some(ServerNo)),
        ("502 5.5.2 Error: command not recognized\r\n", Some(ServerBad)),
        ("530 5.7.0 Must issue a STARTTLS command first\r\n", Some(AuthUnsupported)),
        ("432 4.3.2 Concurrent connections limit exceeded\r\n", Some(LimitConnections)),
    ] {
        let server = Server::smtp(vec![("NOOP", reply)].leak());
        let mut connection = server.dial_smtp();
        let done = connection.run(SmtpOperation::Noop);
        assert_eq!(done.as_ref().err().map(|failure| failure.kind), kind, "{reply:?}: {done:?}");
        goes_on_after_verify(&mut connection);
    }
}

#[test]
fn what_is_no_reply_to_the_command_breaks_the_session() {
    for (command, reply) in [
        ("NOOP", "what?\r\n"),
        ("NOOP", "99 no\r\n"),
        ("NOOP", "2500 x\r\n"),
        ("NOOP", "199 x\r\n"),
        ("NOOP", "600 x\r\n"),
        ("NOOP", "25\r\n"),
        ("NOOP", "\r\n"),
        ("NOOP", "250-a\r\n251 b\r\n"),
        ("NOOP", "250-a\r\nb\r\n"),
        ("NOOP", "354 go ahead\r\n"),
        ("MAIL", "354 go ahead\r\n"),
        ("RCPT", "334 \r\n"),
        ("DATA", "250 ok\r\n"),
        (".", "354 go ahead\r\n"),
    ] {
        let server = Server::smtp(vec![(command, reply)].leak());
        let mut connection = server.dial_smtp();
        let failure = if command == "NOOP" {
            connection.run(SmtpOperation::Noop).unwrap_err()
        } else {
            send(&server, &mut connection).unwrap_err()
        };
        assert_eq!((failure.kind, failure.stage), (Protocol, Stage::Operation), "{command} {reply:?}: {failure}");
        assert!(connection.is_broken());
        assert!(!server.verbs().contains("RSET"), "{}", server.verbs());
    }
}

#[test]
fn replies_without_end_are_cut_off_in_time_and_memory() {
    type Endless = fn(&mut super::scripted::Peer) -> bool;
    let endless: [(Endless, &[FailureKind]); 4] = [
        (|peer| peer.send("250-more\r\n"), &[Protocol]),
        (|peer| peer.send_bytes(&[b'x'; 65536]), &[Protocol, Timeout]),
        (
            |peer| {
                thread::sleep(Duration::from_millis(40));
                peer.send("2")
            },
            &[Timeout],
        ),
        (
            |peer| {
                thread::sleep(Duration::from_millis(40));
                peer.send("250-x\r\n")
            },
            &[Timeout],
        ),
    ];
    for (number, (more, kinds)) in endless.into_iter().enumerate() {
        for before_sign_in in [true, false] {
            let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", move |peer| {
                peer.send("220 hi\r\n");
                if !before_sign_in {
                    peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
                    peer.answer("235 in\r\n");
                }
                peer.line();
                while more(peer) {}
            });
            let started = Instant::now();
            let failure = match dial(impatient(&server)) {
                Ok(mut connection) => {
                    let failure = connection.run(SmtpOperation::Noop).unwrap_err();
                    assert!(connection.is_broken());
                    failure
                }
                Err(failure) => *failure.failure,
            };
            assert!(kinds.contains(&failure.kind), "{number}: {failure}");
            assert!(started.elapsed() < Duration::from_secs(4), "{number}: {:?}", started.elapsed());
        }
    }
}

#[test]
fn a_server_that_knows_no_ehlo_is_greeted_the_old_way() {
    for refusal in ["500 5.5.1 what\r\n", "502 5.5.2 Error: command not recognized\r\n"] {
        let rules = vec![("EHLO", refusal), ("HELO", "250 mx\r\n")].leak();
        let server = Server::smtp(rules);
        let mut settings = server.settings();
        settings.endpoint.user.clear();
        let connection = dial(settings).unwrap();
        assert_eq!(server.heard(), ["EHLO [127.0.0.1]", "HELO [127.0.0.1]"]);
        let setup: Vec<_> = connection.established().commands.iter().map(|command| command.verb.name()).collect();
        assert_eq!(setup, ["EHLO", "HELO"]);
        let failure = dial(server.settings()).err().unwrap();
        assert_eq!(failure.failure.kind, AuthUnsupported, "a server without extensions signs nobody in: {failure}");
    }
}

#[test]
fn a_session_is_called_as_is_asked_for() {
    let server = Server::smtp(&[]);
    let third = SessionId { connection: ConnectionId(3), number: 2 };
    for (ehlo, heard, label) in [
        (EhloName::Address, "EHLO [127.0.0.1]", None),
        (EhloName::Name("mail.example.org".into()), "EHLO mail.example.org", None),
        (EhloName::Label, "EHLO c3-2.rrun-1.mailconn.invalid", Some("c3-2.rrun-1.mailconn.invalid")),
    ] {
        let before = server.heard().len();
        let connection = SmtpConnector::new(Settings { ehlo, ..server.settings() }).dial(third).unwrap();
        assert_eq!(server.heard()[before], heard);
        assert_eq!(connection.established().label.as_deref(), label);
    }
}

#[test]
fn an_ipv6_client_calls_itself_by_an_ipv6_literal() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let server =
        Server::of(mailconn::protocol::Protocol::Smtp, "[::1]:0", |peer| peer.obey(&[], &[("", "220 hi\r\n")]));
    let _ = dial(server.settings());
    assert_eq!(server.heard()[0], "EHLO [IPv6:::1]");
}

#[test]
fn goodbye_is_said_on_every_way_out_of_a_dial() {
    for (rules, kind, stage, heard) in [
        (&[("", "554 5.7.1 No SMTP service here\r\n")][..], Greeting, Stage::Greeting, "QUIT"),
        (&[("", "554 mx Too many connections\r\n")], LimitConnections, Stage::Greeting, "QUIT"),
        (&[("EHLO", "550 5.7.1 go away\r\n")], ServerNo, Stage::Greeting, "EHLO QUIT"),
        (&[("EHLO", "500 what\r\n"), ("HELO", "550 no\r\n")], ServerNo, Stage::Greeting, "EHLO HELO QUIT"),
        (&[("EHLO", "502 what\r\n"), ("HELO", "502 what\r\n")], ServerNo, Stage::Greeting, "EHLO HELO QUIT"),
        (&[("EHLO", "501 5.5.4 Invalid domain\r\n")], ServerNo, Stage::Greeting, "EHLO QUIT"),
        (&[("EHLO", "504 5.5.2 need a full name\r\n")], ServerNo, Stage::Greeting, "EHLO QUIT"),
        (&[("EHLO", "550 too many connections\r\n")], LimitConnections, Stage::Greeting, "EHLO QUIT"),
        (&[("EHLO", "250 mx\r\n")], AuthUnsupported, Stage::Auth, "EHLO QUIT"),
        (&[("AUTH", "535 5.7.8 Error: authentication failed: bad\r\n")], AuthInvalid, Stage::Auth, "EHLO AUTH QUIT"),
        (
            &[("AUTH", "454 4.7.0 Temporary authentication failure\r\n")],
            ServerUnavailable,
            Stage::Auth,
            "EHLO AUTH QUIT",
        ),
        (
            &[("AUTH", "432 4.3.2 Concurrent connections limit exceeded\r\n")],
            LimitConnections,
            Stage::Auth,
            "EHLO AUTH QUIT",
        ),
    ] {
        let (failure, verbs) = dial_failure(rules);
        assert_eq!((failure.failure.kind, failure.failure.stage), (kind, stage), "{failure}");
        assert_eq!(verbs, heard);
        assert!(failure.local_port.is_some());
    }
}

#[test]
fn greetings_that_are_not_smtp_say_what_they_look_like() {
    for (greeting, like) in [("* OK ready\r\n", "IMAP"), ("+OK ready\r\n", "POP3"), ("SSH-2.0-x\r\n", "check host")] {
        let (failure, heard) = dial_failure(vec![("", greeting)].leak());
        assert_eq!((failure.failure.kind, failure.failure.stage), (Greeting, Stage::Greeting), "{failure}");
        assert!(failure.failure.message.contains(like) && heard.is_empty(), "{failure}; heard {heard}");
    }
}

#[test]
fn an_answer_that_came_before_its_question_signs_nobody_in() {
    for rules in [
        &[("", "220 hi\r\n250 AUTH PLAIN\r\n")][..],
        &[("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n235 in\r\n")],
        &[("AUTH", "250 in\r\n")],
    ] {
        let (failure, heard) = dial_failure(rules);
        assert_eq!(failure.failure.kind, Protocol, "{failure}");
        assert!(!heard.contains("QUIT"), "{heard}");
    }
}

#[test]
fn who_names_no_user_is_not_signed_in() {
    let server = Server::smtp(&[]);
    let mut settings = server.settings();
    settings.endpoint.user.clear();
    settings.credentials = None;
    let mut connection = dial(settings).unwrap();
    assert_eq!(connection.established().signed_in_by, None);
    goes_on(&mut connection);
    assert_eq!(server.verbs(), "EHLO NOOP RSET");
}

#[test]
fn each_operation_says_its_own_command() {
    let server = Server::smtp(&[]);
    let mut connection = server.dial_smtp();
    connection.run(SmtpOperation::Noop).unwrap();
    assert_eq!(verbs(&connection), ["NOOP"]);
    connection.run(SmtpOperation::Verify).unwrap();
    assert_eq!(verbs(&connection), ["RSET"]);
}

#[test]
fn signing_out_ends_by_its_deadline_whatever_the_server_does() {
    let server = Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", |peer| {
        peer.send("220 hi\r\n");
        peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
        peer.answer("235 in\r\n");
        while peer.line().is_some() {}
    });
    let mut connection = server.dial_smtp();
    let started = Instant::now();
    let failure = connection.logout(started + Duration::from_millis(200)).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Timeout, Stage::Logout));
    assert!(started.elapsed() < Duration::from_secs(1));
    let connector = SmtpConnector::new(server.settings());
    let connection = connector.dial(session(0)).unwrap();
    connector.close(connection, Instant::now() + Duration::from_millis(200));
    assert_eq!(server.verbs().matches("QUIT").count(), 2);
}

#[test]
fn addresses_beyond_ascii_are_sent_only_to_servers_that_take_them() {
    for (ehlo, heard) in [
        ("250-mx\r\n250-SMTPUTF8\r\n250-8BITMIME\r\n250 AUTH PLAIN\r\n", true),
        ("250-mx\r\n250 AUTH PLAIN\r\n", false),
    ] {
        let server = Server::smtp(vec![("EHLO", ehlo)].leak());
        let mut connection = server.dial_smtp();
        let stationery =
            Stationery::new(&server.settings().endpoint, None, Some("jürgen@example.org"), "run-1").unwrap();
        let sent = connection.send(&stationery.letter("w0", 0));
        assert_eq!(sent.is_ok(), heard, "{sent:?}");
        let mail = server.heard().into_iter().find(|line| line.starts_with("MAIL"));
        assert_eq!(mail.is_some_and(|line| line.contains("SMTPUTF8") && line.contains("BODY=8BITMIME")), heard);
        goes_on(&mut connection);
    }
}

#[test]
fn cancelling_ends_what_waits_for_a_reply() {
    for (protocol, greeting) in
        [(mailconn::protocol::Protocol::Smtp, "220 hi\r\n"), (mailconn::protocol::Protocol::Pop3, "+OK hi\r\n")]
    {
        let server = Server::of(protocol, "127.0.0.1:0", move |peer| {
            peer.send(greeting);
            while peer.line().is_some() {}
        });
        let connector = MailConnector::new(server.settings());
        let started = Instant::now();
        thread::scope(|scope| {
            let dial = scope.spawn(|| connector.dial(session(0)).err().unwrap());
            while server.heard().is_empty() && started.elapsed() < Duration::from_secs(2) {
                thread::sleep(Duration::from_millis(5));
            }
            connector.cancel();
            let failure = dial.join().unwrap().failure;
            assert_eq!((failure.kind, failure.stage), (Disposed, Stage::Auth), "{failure}");
        });
        assert!(started.elapsed() < Duration::from_secs(2));
    }
}

#[test]
fn a_dial_tells_each_phase_as_it_happens() {
    for (server, greeting, offered) in
        [(Server::smtp(&[]), "220 mx.example.org ESMTP", 2), (Server::pop3(&[]), "+OK ready", 3)]
    {
        let told = Arc::new(Mutex::new(Vec::new()));
        let tell = Arc::clone(&told);
        let watch: DialWatch = Arc::new(move |event| {
            let text = match event {
                DialEvent::Resolved(addresses) => format!("resolved {}", addresses.len()),
                DialEvent::Connected { .. } => "connected".to_owned(),
                DialEvent::Greeted(line) => format!("greeted {line}"),
                DialEvent::Offered(offered) => format!("offered {}", offered.iter().count()),
                DialEvent::SigningIn(by) => format!("signing in by {by}"),
                DialEvent::SignedIn => "signed in".to_owned(),
                other => format!("{other:?}"),
            };
            tell.lock().unwrap().push(text);
        });
        let settings = Settings { watch: Some(watch), ..server.settings() };
        MailConnector::new(settings).dial(session(0)).unwrap();
        assert_eq!(
            *told.lock().unwrap(),
            [
                "resolved 1".to_owned(),
                "connected".to_owned(),
                format!("greeted {greeting}"),
                format!("offered {offered}"),
                "signing in by PLAIN".to_owned(),
                "signed in".to_owned(),
            ]
        );
    }
}
