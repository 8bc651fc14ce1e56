//! IMAP's unit that writes: a scratch mailbox made, written to and removed.

use mailconn::protocol::FailureKind::{Closed, Protocol, ServerBye, ServerNo};
use mailconn::protocol::{
    Failure, ImapConnection, ImapOperation, Job, Letter, MailConnection, Operation, Stage, Stationery,
};

use super::scripted::{Peer, Server};

const SCRATCH: &str = "mailconn-run-1-w0";

fn letter(server: &Server) -> Letter {
    Stationery::new(&server.settings().endpoint, None, None, "run-1").unwrap().letter("w0", 0)
}

/// Answers command after command with these replies; a reply with a `+` takes a literal and the next reply answers it.
fn answering(peer: &mut Peer, replies: &[&str]) {
    peer.sign_in();
    let mut tag = String::new();
    for reply in replies {
        if let Some(literal) = reply.strip_prefix("literal ") {
            // An empty line ends the message's header, and one behind its body the command.
            for _ in 0..2 {
                while peer.line().is_some_and(|line| !line.is_empty()) {}
            }
            peer.send(&literal.replace("{t}", &tag));
            continue;
        }
        let Some(line) = peer.line() else { return };
        line.split(' ').next().unwrap().clone_into(&mut tag);
        if reply.is_empty() || !peer.send(&reply.replace("{t}", &tag)) {
            return;
        }
    }
    peer.wait_for_close();
}

fn server(replies: &'static [&'static str]) -> Server {
    Server::start(move |peer| answering(peer, replies))
}

fn append(server: &Server, connection: &mut ImapConnection) -> Result<u32, Failure> {
    connection.append(SCRATCH, &letter(server))
}

fn commands(connection: &ImapConnection) -> String {
    connection.commands().iter().map(|command| command.verb.name()).collect::<Vec<_>>().join(" ")
}

const OK: &str = "{t} OK done\r\n";

#[test]
fn a_unit_makes_its_mailbox_writes_to_it_and_removes_it() {
    let server = server(&[OK, "+ go on\r\n", "literal {t} OK [APPENDUID 1 1] done\r\n", OK]);
    let mut connection = server.dial().unwrap();
    assert_eq!(append(&server, &mut connection).unwrap(), 1);
    assert_eq!(commands(&connection), "CREATE APPEND DELETE");
    assert!(connection.left_behind() == Some(false) && !connection.is_broken());
    let heard = server.heard();
    assert!(heard.contains(&format!("a3 CREATE \"{SCRATCH}\"")), "{heard:?}");
    assert!(heard.iter().any(|line| line.starts_with(&format!("a4 APPEND \"{SCRATCH}\" () {{"))), "{heard:?}");
    assert!(heard.contains(&"Message-ID: <run-1.w0.0@mailconn.invalid>".to_owned()), "{heard:?}");
    assert_eq!(heard.last().unwrap(), &format!("a5 DELETE \"{SCRATCH}\""));
}

#[test]
fn what_the_server_says_before_it_asks_for_the_message_does_no_harm() {
    let server = server(&[
        OK,
        "* 3 EXISTS\r\n* OK [ALERT] nearly full\r\n* NO quota at 98 %\r\n+ go on\r\n",
        "literal * 1 EXISTS\r\n{t} OK done\r\n",
        OK,
        OK,
    ]);
    let mut connection = server.dial().unwrap();
    assert_eq!(append(&server, &mut connection).unwrap(), 1);
    connection.run(ImapOperation::Noop, "").unwrap();
    assert_eq!(connection.left_behind(), Some(false));
}

#[test]
fn where_the_message_is_refused_the_mailbox_is_removed_all_the_same() {
    for (replies, shown) in [
        (&[OK, "{t} NO [TRYCREATE] no such mailbox\r\n", OK, OK][..], "NO [TRYCREATE] no such mailbox"),
        (&[OK, "{t} NO [OVERQUOTA] Quota exceeded\r\n", OK, OK], "NO [OVERQUOTA] Quota exceeded"),
        (&[OK, "+ go on\r\n", "literal {t} NO [OVERQUOTA] full\r\n", OK, OK], "NO [OVERQUOTA] full"),
    ] {
        let server = server(replies);
        let mut connection = server.dial().unwrap();
        let failure = append(&server, &mut connection).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (ServerNo, Stage::Operation), "{failure}");
        assert_eq!(failure.server_line.as_deref(), Some(shown));
        assert_eq!(commands(&connection), "CREATE APPEND DELETE");
        assert_eq!(connection.left_behind(), Some(false));
        connection.run(ImapOperation::Noop, "").unwrap();
    }
}

#[test]
fn a_mailbox_that_could_not_be_removed_is_left_behind() {
    let server = server(&[OK, "+\r\n", "literal {t} OK\r\n", "{t} NO in use\r\n", OK]);
    let mut connection = server.dial().unwrap();
    assert_eq!(append(&server, &mut connection).unwrap_err().server_line.as_deref(), Some("NO in use"));
    assert!(connection.left_behind() == Some(true) && !connection.is_broken());
    connection.run(ImapOperation::Noop, "").unwrap();
}

#[test]
fn a_session_cut_after_the_mailbox_was_made_leaves_it_behind() {
    for (replies, kind) in [
        (&[""][..], Closed),
        (&[OK, ""], Closed),
        (&[OK, "* BYE shutting down\r\n", ""], ServerBye),
        (&[OK, "+\r\n", "literal what?\r\n"], Protocol),
        (&[OK, "{t} NO no\r\n", ""], ServerNo),
    ] {
        let server = server(replies);
        let mut connection = server.dial().unwrap();
        let failure = append(&server, &mut connection).unwrap_err();
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(connection.left_behind() == Some(true) && connection.is_broken());
        append(&server, &mut connection).unwrap_err();
        assert_eq!(connection.left_behind(), None, "a unit that could do nothing changes nothing");
    }
}

#[test]
fn a_mailbox_that_was_left_is_taken_as_it_is_found() {
    for there in ["{t} NO [ALREADYEXISTS] Mailbox already exists\r\n", "{t} NO Mailbox exists.\r\n"] {
        let server = Server::start(move |peer| answering(peer, &[there, "{t} NO no\r\n", OK, OK]));
        let mut connection = server.dial().unwrap();
        let failure = append(&server, &mut connection).unwrap_err();
        assert_eq!(failure.server_line.as_deref(), Some("NO no"));
        assert_eq!(commands(&connection), "CREATE APPEND DELETE");
        assert_eq!(connection.left_behind(), Some(false));
        connection.run(ImapOperation::Noop, "").unwrap();
    }
}

#[test]
fn a_mailbox_that_cannot_be_made_is_not_written_to() {
    let server = server(&["{t} NO [NOPERM] Permission denied\r\n", OK]);
    let mut connection = MailConnection::Imap(server.dial().unwrap());
    let letter = letter(&server);
    let job = Job { mailbox: SCRATCH, letter: Some(&letter) };
    let failure = connection.run(Operation::Imap(ImapOperation::Append), &job).unwrap_err();
    assert_eq!(failure.server_line.as_deref(), Some("NO [NOPERM] Permission denied"));
    assert!(!connection.is_broken());
    let MailConnection::Imap(connection) = connection else { unreachable!("it is one of IMAP") };
    assert_eq!(connection.left_behind(), None, "what an earlier unit left is there still");
}
