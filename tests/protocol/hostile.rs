//! Servers that say strange things, or nothing.

use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{
    self, Closed, Greeting, LimitConnections, Protocol, ServerBye, ServerNo, ServerUnavailable, Timeout,
};
use mailconn::protocol::{DialFailure, ImapConnection, ImapOperation, Settings, Stage};

use super::scripted::{GREETING, Peer, Server, session};

fn impatient(server: &Server) -> Settings {
    let short = Duration::from_millis(300);
    Settings { connect_timeout: short, operation_timeout: short, ..server.settings() }
}

fn dial_failure(script: impl Fn(&mut Peer) + Send + Sync + 'static) -> DialFailure {
    let server = Server::start(script);
    let started = Instant::now();
    let failure = mailconn::protocol::ImapConnector::new(impatient(&server)).dial(session(0)).err().unwrap();
    assert!(started.elapsed() < Duration::from_secs(3), "{failure} after {:?}", started.elapsed());
    assert!(failure.local_port.is_some());
    failure
}

fn verbs(connection: &ImapConnection) -> Vec<&'static str> {
    connection.commands().iter().map(|command| command.verb.name()).collect()
}

#[track_caller]
fn greeting_failure(greeting: &'static [u8], kind: FailureKind) -> DialFailure {
    let failure = dial_failure(move |peer| {
        peer.send_bytes(greeting);
        peer.line();
    });
    assert_eq!((failure.failure.kind, failure.failure.stage), (kind, Stage::Greeting), "{failure}");
    assert!(!failure.sign_in_attempted);
    failure
}

#[test]
fn a_server_that_never_greets_is_a_timeout_at_the_greeting_chatmail_core_3816() {
    let failure = greeting_failure(b"", Timeout);
    assert!(failure.phases.connect.is_some() && failure.phases.greeting.is_none());
}

#[test]
fn a_server_that_closes_at_once_is_closed_at_the_greeting() {
    let failure = dial_failure(|_| {});
    assert_eq!((failure.failure.kind, failure.failure.stage), (Closed, Stage::Greeting), "{failure}");
}

#[test]
fn greetings_that_are_not_imap_say_what_they_look_like() {
    greeting_failure(b"\xff\xfe garbage\r\n", Greeting);
    assert!(greeting_failure(b"220 mail ESMTP\r\n", Greeting).to_string().contains("SMTP"));
    assert!(greeting_failure(b"+OK ready\r\n", Greeting).to_string().contains("POP3"));
    assert_eq!(greeting_failure(b"* OK Dov", Timeout).failure.server_line.as_deref(), Some("* OK Dov"));
}

#[test]
fn a_greeting_that_refuses_for_the_limit_is_a_limit_thunderbird_android_1694() {
    let failure = greeting_failure(b"* BYE [ALERT] Too many simultaneous connections\r\n", LimitConnections);
    assert_eq!(failure.failure.server_line.as_deref(), Some("* BYE [ALERT] Too many simultaneous connections"));
    greeting_failure(b"* BYE maintenance\r\n", ServerUnavailable);
    greeting_failure(b"* BYE go away\r\n", Greeting);
}

#[test]
fn a_line_without_an_end_is_cut_off_with_bounded_memory() {
    let failure = dial_failure(|peer| while peer.send_bytes(&[b'x'; 65536]) {});
    assert!(matches!(failure.failure.kind, Protocol | Timeout), "{failure}");
}

#[test]
fn a_byte_now_and_then_does_not_stretch_the_deadline() {
    let failure = dial_failure(|peer| {
        for byte in GREETING.bytes().cycle() {
            if !peer.send_bytes(&[byte]) {
                return;
            }
            thread::sleep(Duration::from_millis(60));
        }
    });
    assert_eq!(failure.failure.kind, Timeout, "{failure}");

    let server = Server::start(|peer| {
        peer.sign_in();
        peer.line();
        while peer.send("x") {
            thread::sleep(Duration::from_millis(60));
        }
    });
    let mut connection = mailconn::protocol::ImapConnector::new(impatient(&server)).dial(session(0)).unwrap();
    let started = Instant::now();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Timeout, Stage::Operation));
    assert!(started.elapsed() < Duration::from_secs(1));
    assert!(connection.is_broken());
}

#[test]
fn an_alert_inside_examine_leaves_the_session_usable() {
    let server = Server::replying(&[
        "* NO [ALERT] Mailbox is at 98% of quota\r\n* 0 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n{t} OK\r\n",
        "* BAD odd\r\n{t} OK\r\n",
    ]);
    let mut connection = server.dial().unwrap();
    let reply = connection.run(ImapOperation::Fetch, "INBOX").unwrap();
    assert_eq!((reply.items, reply.messages, reply.uid_validity), (0, Some(0), Some(7)));
    assert_eq!(verbs(&connection), ["EXAMINE"], "nothing to fetch in an empty mailbox");
    connection.run(ImapOperation::Noop, "").unwrap();
    assert!(!connection.is_broken());
}

#[test]
fn goodbye_and_a_plain_close_are_told_apart_angus_mail_98() {
    let server = Server::replying(&["* BYE Server shutting down\r\n", ""]);
    let mut connection = server.dial().unwrap();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.kind, ServerBye, "{failure}");
    assert_eq!(failure.server_line.as_deref(), Some("* BYE Server shutting down"));
    assert!(connection.is_broken());

    let server = Server::start(|peer| {
        peer.sign_in();
        peer.line();
    });
    let mut connection = server.dial().unwrap();
    let started = Instant::now();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!((failure.kind, failure.stage), (Closed, Stage::Operation), "{failure}");
    assert!(started.elapsed() < Duration::from_secs(1), "noticed at once");
    assert!(connection.is_broken());
    let again = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(again.kind, Closed);
    assert!(connection.commands().is_empty(), "nothing is written on a broken session");
}

#[test]
fn goodbye_while_idle_is_heard_by_the_next_operation_lettre_743() {
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.send("* BYE Idle timeout\r\n");
    });
    let mut connection = server.dial().unwrap();
    thread::sleep(Duration::from_millis(50));
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.server_line.as_deref(), Some("* BYE Idle timeout"), "{failure}");
    assert_eq!(failure.kind, ServerBye);
}

#[test]
fn goodbye_behind_a_complete_reply_fails_the_next_operation_and_no_other() {
    let server = Server::replying(&["{t} OK\r\n* BYE Server shutting down\r\n", ""]);
    let mut connection = server.dial().unwrap();
    connection.run(ImapOperation::Noop, "").unwrap();
    assert!(!connection.is_broken(), "nobody has been told yet");
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.kind, ServerBye, "{failure}");
    assert!(connection.is_broken());

    let mut connection = server.dial().unwrap();
    connection.run(ImapOperation::Noop, "").unwrap();
    let _ = connection.logout(Instant::now() + Duration::from_secs(1));
    assert!(connection.is_broken());
}

#[test]
fn after_no_and_bad_the_session_goes_on() {
    let server = Server::replying(&[
        "{t} NO [NONEXISTENT] Unknown \"Mailbox\"\r\n",
        "{t} BAD what?\r\n",
        "* STATUS x (MESSAGES 3 UNSEEN 1 UIDNEXT 9)\r\n{t} OK\r\n",
    ]);
    let mut connection = server.dial().unwrap();
    let failure = connection.run(ImapOperation::Status, "x").unwrap_err();
    assert_eq!(failure.kind, ServerNo);
    assert_eq!(failure.server_line.as_deref(), Some("NO [NONEXISTENT] Unknown \"Mailbox\""));
    assert_eq!(connection.run(ImapOperation::Status, "x").unwrap_err().kind, FailureKind::ServerBad);
    let reply = connection.run(ImapOperation::Status, "x").unwrap();
    assert_eq!((reply.items, reply.unseen, reply.uid_next), (3, Some(1), Some(9)));
    assert!(!connection.is_broken());
}

#[test]
fn a_reply_to_another_command_breaks_the_session_async_imap_3() {
    let server = Server::replying(&["a99 OK\r\n"]);
    let mut connection = server.dial().unwrap();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.kind, Protocol, "{failure}");
    assert!(connection.is_broken());
}

#[test]
fn a_reply_left_over_is_never_taken_for_the_next_one_filtermail_143() {
    let server = Server::replying(&["{t} OK\r\na5 NO stale\r\n", "{t} OK\r\n", "{t} OK\r\n"]);
    let mut connection = server.dial().unwrap();
    connection.run(ImapOperation::Noop, "").unwrap();
    // The leftover carries the tag of a command still to come: whatever it is matched to, it is not believed twice.
    let next = connection.run(ImapOperation::Noop, "");
    let after = connection.run(ImapOperation::Noop, "");
    assert!(next.is_err() || after.is_err());
    assert!(connection.is_broken());
}

#[test]
fn replies_that_the_library_cannot_parse_do_no_harm() {
    for reply in [
        "* ESEARCH (TAG \"x\") ALL 1:3\r\n{t} OK\r\n",
        "* OK caf\u{e9} 8-bit\r\n{t} OK f\u{fc}r Sie\r\n",
        "* 1 EXISTS\n{t} OK bare\n",
        "* 99999999999999 EXISTS\r\n{t} OK\r\n",
        "* 1 FETCH (INTERNALDATE NIL)\r\n{t} OK\r\n",
        "* METADATA \"\u{fc}\" (/shared/x)\r\n{t} OK\r\n",
        "* X-FUTURE {6}\r\na1 OK\n end\r\n{t} OK\r\n",
        "* OK some text {3}\r\n{t} OK\r\n",
        "+ idling\r\n{t} OK\r\n",
        "{t} OK\r\n",
    ] {
        let server = Server::start(move |peer| {
            peer.sign_in();
            peer.answer(reply);
            peer.answer("{t} OK\r\n");
            peer.wait_for_close();
        });
        let mut connection = server.dial().unwrap();
        connection.run(ImapOperation::Noop, "").unwrap_or_else(|failure| panic!("{reply:?}: {failure}"));
        connection.run(ImapOperation::Noop, "").unwrap_or_else(|failure| panic!("after {reply:?}: {failure}"));
    }
}

#[test]
fn deep_nesting_does_not_reach_the_stack() {
    let server = Server::start(|peer| {
        peer.sign_in();
        let deep = format!("* 1 FETCH (BODYSTRUCTURE {}\r\n{{t}} OK\r\n", "(".repeat(1 << 20));
        peer.answer(&deep);
        peer.wait_for_close();
    });
    server.dial().unwrap().run(ImapOperation::Noop, "").unwrap();
}

#[test]
fn a_line_that_is_no_imap_breaks_the_session() {
    let server = Server::replying(&["<html>\r\n{t} OK\r\n"]);
    let mut connection = server.dial().unwrap();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!((failure.kind, failure.server_line.as_deref()), (Protocol, Some("<html>")));
    assert!(connection.is_broken());
}

#[test]
fn a_flood_is_cut_off_at_its_bound() {
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.line();
        let lines = "* 1 EXISTS\r\n".repeat(8192);
        while peer.send(&lines) {}
    });
    let mut connection = mailconn::protocol::ImapConnector::new(Settings {
        operation_timeout: Duration::from_secs(60),
        ..server.settings()
    })
    .dial(session(0))
    .unwrap();
    let failure = connection.run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.kind, Protocol, "{failure}");
    assert!(connection.bytes().received < 66 << 20);
}

#[test]
fn fetch_and_search_count_what_they_asked_for() {
    let server = Server::replying(&[
        "* 25 EXISTS\r\n{t} OK [READ-ONLY]\r\n",
        "* 24 FETCH (FLAGS (\\Seen) BODY[HEADER.FIELDS (DATE)] {18}\r\nSubject: a1 OK\r\n\r\n)\r\n* 3 FETCH (FLAGS ())\r\n\
         * 25 FETCH (FLAGS () BODY[HEADER.FIELDS (DATE)] {4}\r\n\r\n\r\n)\r\n{t} OK\r\n",
        "* 25 EXISTS\r\n{t} OK\r\n",
        "* SEARCH 4 5 6\r\n{t} OK\r\n",
        "* LIST () \"/\" INBOX\r\n* LIST () \"/\" {3}\r\na\"b\r\n{t} OK\r\n",
    ]);
    let mut connection = server.dial().unwrap();
    assert_eq!(connection.run(ImapOperation::Fetch, "Entwürfe").unwrap().items, 2);
    assert_eq!(verbs(&connection), ["EXAMINE", "FETCH"]);
    let reply = connection.run(ImapOperation::Search, "INBOX").unwrap();
    assert_eq!((reply.items, reply.unseen), (3, Some(3)));
    assert_eq!(connection.run(ImapOperation::List, "").unwrap().items, 2);
    let heard = server.heard();
    assert!(heard[2].ends_with("EXAMINE \"Entw&APw-rfe\""), "{heard:?}");
    assert!(heard[3].contains("FETCH 6:* (FLAGS BODY.PEEK[HEADER.FIELDS ("), "{heard:?}");
}
