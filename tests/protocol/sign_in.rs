//! Signing in: carefully, once, and labelled.

use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::allocator::{ConnectionId, Connector, SessionId};
use mailconn::protocol::FailureKind::{
    AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerUnavailable,
    Timeout,
};
use mailconn::protocol::{ImapConnector, ImapOperation, Secret, Settings, Stage, Verb};

use super::scripted::{GREETING, Server, session};

#[test]
fn a_session_labels_itself_and_tells_what_it_wrote() {
    let server = Server::replying(&["{t} OK\r\n"]);
    let connector = server.connector();
    let mut connection = connector.dial(SessionId { connection: ConnectionId(3), number: 2 }).unwrap();
    assert_eq!(connection.established().label.as_deref(), Some("#3.2"));
    let setup: Vec<_> = connection.established().commands.iter().map(|c| format!("a{} {}", c.tag.0, c.verb)).collect();
    assert_eq!(setup, ["a1 LOGIN", "a2 ID"]);
    connection.run(ImapOperation::Noop, "").unwrap();
    let unit: Vec<_> = connection.commands().iter().map(|c| format!("a{} {}", c.tag.0, c.verb)).collect();
    assert_eq!(unit, ["a3 NOOP"]);
    connection.logout(Instant::now() + Duration::from_secs(1)).unwrap();
    let heard = server.heard();
    assert_eq!(heard[0], "a1 LOGIN \"joe\" \"s3cret\"");
    assert!(heard[1].contains(r##""x-mailconn-run" "run-1" "x-mailconn-session" "#3.2")"##), "{heard:?}");
    assert_eq!(heard[3], "a4 LOGOUT");
}

#[test]
fn two_dials_with_a_wrong_password_cost_one_sign_in_nextcloud_mail_9156() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        while let Some(line) = peer.line() {
            let (tag, verb) = line.split_once(' ').unwrap();
            thread::sleep(Duration::from_millis(100));
            if verb == "LOGOUT" {
                peer.send(&format!("* BYE\r\n{tag} OK\r\n"));
                return;
            }
            peer.send(&format!("{tag} NO [AUTHENTICATIONFAILED] no\r\n"));
        }
    });
    let connector = Arc::new(server.connector());
    let start = Arc::new(Barrier::new(4));
    let dials: Vec<_> = (0..4)
        .map(|number| {
            let (connector, start) = (Arc::clone(&connector), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                connector.dial(session(number)).err().unwrap()
            })
        })
        .collect();
    let failures: Vec<_> = dials.into_iter().map(|dial| dial.join().unwrap()).collect();
    for failure in &failures {
        assert_eq!((failure.failure.kind, failure.failure.stage), (AuthInvalid, Stage::Auth), "{failure}");
        assert_eq!(failure.failure.server_line.as_deref(), Some("NO [AUTHENTICATIONFAILED] no"));
    }
    assert_eq!(failures.iter().filter(|failure| failure.sign_in_attempted).count(), 1);
    assert_eq!(server.heard_verb("LOGIN"), 1);
    assert_eq!(server.heard_verb("LOGOUT"), 1, "it leaves politely");
    let connections = server.accepted();
    assert_eq!(connections, 1, "until the first is let in nobody else dials");
    let late = connector.dial(session(9)).err().unwrap();
    assert_eq!((late.failure.kind, late.local_port), (AuthInvalid, None));
    assert!(late.failure.message.starts_with("not tried: "), "{late}");
    assert_eq!(server.accepted(), connections, "no connection is opened in vain");
}

#[test]
fn a_sign_in_that_was_refused_is_the_last_and_trouble_ends_them_after_three() {
    for (refusal, kind, sign_ins) in [
        ("NO Invalid login or password, try again later", AuthInvalid, 1),
        ("NO not today", AuthRefused, 1),
        ("NO your account is locked", AuthPolicy, 1),
        // One at a time, a second and two apart.
        ("NO [AUTHENTICATIONFAILED] Too many failed login attempts", LimitRate, 3),
        ("NO [UNAVAILABLE] no directory", ServerUnavailable, 3),
        // These say nothing of the account.
        ("NO [PRIVACYREQUIRED] use TLS", AuthUnsupported, 8),
        ("BAD what", ServerBad, 8),
    ] {
        let server = Server::start(move |peer| {
            peer.send(GREETING);
            peer.answer(&format!("{{t}} {refusal}\r\n"));
            peer.wait_for_close();
        });
        let (connector, start) = (server.connector(), Barrier::new(8));
        thread::scope(|scope| {
            for number in 0..8 {
                let (connector, start) = (&connector, &start);
                scope.spawn(move || {
                    start.wait();
                    let failure = connector.dial(session(number)).err().unwrap();
                    assert_eq!(failure.failure.kind, kind, "{failure}");
                    assert!(matches!(failure.failure.stage, Stage::Auth | Stage::Wait), "{failure}");
                    assert_eq!(failure.failure.server_line.as_deref(), Some(refusal));
                    assert!(failure.sign_in_attempted || failure.failure.message.starts_with("not tried: "));
                });
            }
        });
        assert_eq!(server.heard_verb("LOGIN"), sign_ins, "{refusal}");
    }
}

#[test]
fn a_limit_is_no_wrong_password_and_the_next_dial_may_try() {
    let server = Server::start(|peer| {
        if peer.number == 0 {
            peer.send(GREETING);
            peer.answer("{t} NO [LIMIT] Maximum number of connections from user+IP exceeded\r\n");
            peer.wait_for_close();
        } else {
            peer.sign_in();
            peer.wait_for_close();
        }
    });
    let connector = server.connector();
    let failure = connector.dial(session(0)).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (LimitConnections, Stage::Auth), "{failure}");
    assert!(failure.sign_in_attempted);
    let connection = connector.dial(session(1)).unwrap();
    connector.close(connection, Instant::now() + Duration::from_secs(1));
}

#[test]
fn goodbye_with_the_refusal_still_shuts_the_gate() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.answer("* BYE too many mistakes\r\n{t} NO [AUTHENTICATIONFAILED] no\r\n");
    });
    let connector = server.connector();
    assert_eq!(connector.dial(session(0)).err().unwrap().failure.kind, AuthInvalid);
    assert!(!connector.dial(session(1)).err().unwrap().sign_in_attempted);
}

#[test]
fn a_sign_in_that_hangs_holds_the_others_only_until_their_deadline() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.line();
        peer.line();
    });
    let connector =
        Arc::new(ImapConnector::new(Settings { connect_timeout: Duration::from_millis(300), ..server.settings() }));
    let started = Instant::now();
    thread::scope(|scope| {
        for number in 0..3 {
            let connector = Arc::clone(&connector);
            scope.spawn(move || {
                let failure = connector.dial(session(number)).err().unwrap();
                let stage = if failure.sign_in_attempted { Stage::Auth } else { Stage::Wait };
                assert_eq!((failure.failure.kind, failure.failure.stage), (Timeout, stage), "{failure}");
            });
        }
    });
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
}

fn heard_with(user: &str, password: &str, capabilities: &'static str) -> (Result<(), AuthFailure>, Vec<String>) {
    let server = Server::start(move |peer| {
        peer.send(&format!("* OK [CAPABILITY {capabilities}] hi\r\n"));
        while let Some(line) = peer.line() {
            match line.split_once(' ') {
                Some((_, "AUTHENTICATE PLAIN")) => {
                    peer.send("+ \r\n");
                    peer.line();
                    peer.send("a1 OK [CAPABILITY IMAP4rev1] in\r\n");
                }
                Some((tag, "LOGOUT")) => {
                    peer.send(&format!("{tag} OK\r\n"));
                }
                Some((tag, _)) => {
                    peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"));
                }
                None => return,
            }
        }
    });
    let mut settings = server.settings();
    settings.endpoint.user = user.into();
    settings.credentials = Some(Secret::new(password.into()).into());
    let done = ImapConnector::new(settings).dial(session(0));
    let done = done.map(|connection| {
        let setup: Vec<_> = connection.established().commands.iter().map(|command| command.verb).collect();
        assert!(setup.len() == 1 && matches!(setup[0], Verb::LOGIN | Verb::AUTHENTICATE), "{setup:?}");
    });
    (done.map_err(|failure| (failure.failure.kind, failure.sign_in_attempted)), server.heard())
}

type AuthFailure = (mailconn::protocol::FailureKind, bool);

#[test]
fn credentials_never_break_a_line() {
    let (done, heard) = heard_with("joe", "a\"b\\c d", "IMAP4rev1");
    assert_eq!((done, heard[0].as_str()), (Ok(()), r#"a1 LOGIN "joe" "a\"b\\c d""#));

    let (done, heard) = heard_with("joe", "pässwort", "IMAP4rev1 AUTH=PLAIN");
    assert_eq!((done, heard[0].as_str()), (Ok(()), "a1 AUTHENTICATE PLAIN"));
    assert_eq!(heard[1], "AGpvZQBww6Rzc3dvcnQ=");

    let refused = Err((AuthUnsupported, false));
    for capabilities in ["IMAP4rev1", "IMAP4rev1 AUTH=PLAIN"] {
        let (done, heard) = heard_with("joe", "a\0b", capabilities);
        assert_eq!((done, heard), (refused, vec!["a1 LOGOUT".to_owned()]));
    }
}

/// What a failed dial shows of a server that refuses with the line it was sent.
fn shown_of_echo(password: &str, capabilities: &'static str, reply: &'static str) -> String {
    let server = Server::start(move |peer| {
        peer.send(&format!("* OK [CAPABILITY {capabilities}] hi\r\n"));
        let mut line = peer.line().unwrap();
        if line.ends_with("AUTHENTICATE PLAIN") {
            peer.send("+ \r\n");
            line = peer.line().unwrap();
        }
        peer.send(&reply.replace("{line}", &line));
        peer.wait_for_close();
    });
    let credentials = Some(Secret::new(password.into()).into());
    let connect_timeout = Duration::from_millis(500);
    let connector = ImapConnector::new(Settings { credentials, connect_timeout, ..server.settings() });
    let failure = connector.dial(session(0)).err().unwrap().failure;
    let later = connector.dial(session(1)).err().unwrap().failure;
    assert_eq!(later.server_line, failure.server_line);
    failure.server_line.unwrap()
}

#[test]
fn a_password_that_the_server_repeats_is_masked() {
    const CANARY: &str = r#"can"ary\s3"#;
    for (capabilities, reply, shown) in [
        ("IMAP4rev1", "a1 NO bad: {line}\r\n", r#"NO bad: a1 LOGIN "joe" "***""#),
        ("IMAP4rev1", "a1 NO can\"ary\\s3, Y2FuImFyeVxzMw== or Y2FuImFyeVxzMw?\r\n", "NO ***, ***== or ***?"),
        ("IMAP4rev1", "* BYE bad: {line}\r\n", r#"* BYE bad: a1 LOGIN "joe" "***""#),
        ("IMAP4rev1", "{line}\r\n", r#"a1 LOGIN "joe" "***""#),
        ("IMAP4rev1", "* NO [ALERT] {line}\r\n", r#"* NO [ALERT] a1 LOGIN "joe" "***""#),
        ("IMAP4rev1", "a1 NO can\"ary", "NO ***"),
        ("IMAP4rev1 LOGINDISABLED AUTH=PLAIN", "a1 NO bad: {line}\r\n", "NO bad: ***"),
    ] {
        assert_eq!(shown_of_echo(CANARY, capabilities, reply), shown, "{reply}");
    }
}

#[test]
fn a_password_that_lies_across_the_end_of_what_is_kept_is_masked() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        let password = "0123456789".repeat(100);
        peer.answer(&format!("{{t}} NO {password} {password} {password}\r\n"));
        peer.wait_for_close();
    });
    let credentials = Some(Secret::new("0123456789".repeat(100)).into());
    let failure = ImapConnector::new(Settings { credentials, ..server.settings() }).dial(session(0)).err().unwrap();
    assert_eq!(failure.failure.server_line.as_deref(), Some("NO *** *** ***"));
}

#[test]
fn a_short_password_is_masked_as_a_word_and_leaves_the_line_readable() {
    for (password, reply, shown) in [
        ("", "a1 NO bad: {line}\r\n", r#"NO bad: a1 LOGIN "joe" """#),
        ("o", "a1 NO no login of joe: {line}\r\n", r#"NO no login of joe: a1 LOGIN "joe" ***"#),
        ("o", "a1 NO LOGIN joe o\r\n", "NO LOGIN joe ***"),
        ("NO", "a1 NO {line}\r\n", r#"NO a1 LOGIN "joe" ***"#),
        (r#"\""#, "a1 NO {line}\r\n", r#"NO a1 LOGIN "joe" ***"#),
    ] {
        assert_eq!(shown_of_echo(password, "IMAP4rev1", reply), shown);
    }
}

#[test]
fn a_password_is_masked_after_the_sign_in_too() {
    let server = Server::replying(&["{t} NO s3cret\r\n", "* BYE s3cret\r\n", ""]);
    let mut connection = server.dial().unwrap();
    for shown in ["NO ***", "* BYE ***"] {
        let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
        assert_eq!(failure.server_line.as_deref(), Some(shown));
    }
    let failure = connection.logout(Instant::now() + Duration::from_secs(1)).unwrap_err();
    assert_eq!(failure.server_line.as_deref(), Some("* BYE ***"));
}

#[test]
fn where_login_is_disabled_plain_is_used_or_nothing() {
    let (done, heard) = heard_with("joe", "x", "IMAP4rev1 LOGINDISABLED AUTH=PLAIN");
    assert_eq!((done, heard[0].as_str()), (Ok(()), "a1 AUTHENTICATE PLAIN"));
    let (done, heard) = heard_with("joe", "x", "IMAP4rev1 LOGINDISABLED AUTH=GSSAPI");
    assert_eq!((done, heard), (Err((AuthUnsupported, false)), vec!["a1 LOGOUT".to_owned()]));
}

#[test]
fn a_server_that_signs_in_by_itself_is_sent_no_password() {
    let server = Server::start(|peer| {
        peer.send("* PREAUTH [CAPABILITY IMAP4rev1 ID] welcome joe\r\n");
        peer.answer("{t} OK\r\n");
        peer.answer("{t} OK\r\n");
    });
    let mut connection = server.dial().unwrap();
    connection.run(ImapOperation::Noop, "").unwrap();
    assert_eq!((server.heard_verb("LOGIN"), server.heard_verb("ID"), server.heard_verb("NOOP")), (0, 1, 1));
}

#[test]
fn capabilities_are_asked_for_only_where_the_server_did_not_say_them() {
    let server = Server::start(|peer| {
        peer.send("* OK hi\r\n");
        peer.answer("* CAPABILITY IMAP4rev1\r\n{t} OK\r\n");
        peer.answer("{t} OK in\r\n");
        peer.answer("* CAPABILITY IMAP4rev1 ID\r\n{t} OK\r\n");
        peer.answer("{t} NO not now\r\n");
    });
    let connection = server.dial().unwrap();
    let setup: Vec<_> = connection.established().commands.iter().map(|c| format!("a{} {}", c.tag.0, c.verb)).collect();
    assert_eq!(setup, ["a1 CAPABILITY", "a2 LOGIN", "a3 CAPABILITY", "a4 ID"]);
    assert_eq!(connection.established().label.as_deref(), None, "a label that was refused is none");
}

/// A label may be refused; a limit that is met there, and ends the session, is why there is none.
#[test]
fn a_limit_in_answer_to_the_label_keeps_its_words() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1 ID] in\r\n");
        peer.answer("{t} NO [LIMIT] Too many connections of this user\r\n");
    });
    let failed = server.dial().err().unwrap().failure;
    assert_eq!(failed.kind, LimitConnections);
    assert_eq!(failed.server_line.as_deref(), Some("NO [LIMIT] Too many connections of this user"));
}

#[test]
fn logging_out_ends_by_its_deadline_whatever_the_server_does() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    let mut connection = server.dial().unwrap();
    let started = Instant::now();
    let failure = connection.logout(started + Duration::from_millis(200)).unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Timeout, Stage::Logout));
    assert!(started.elapsed() < Duration::from_secs(1));
}
