//! IMAP's LOGIN with a user or a password that no quoted string can carry.

use std::sync::{Arc, Mutex};

use mailconn::protocol::FailureKind::{AuthUnsupported, ServerBad};
use mailconn::protocol::{FailureKind, ImapConnector, Secret, Settings, Transcripts};

use super::scripted::{Peer, Server, session};

/// Each LOGIN: its lines and literals as they came, joined.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server that knows no sign-in but LOGIN, and offers that beside.
fn login_server(offers: &'static str) -> (Server, Heard) {
    let heard = Heard::default();
    let record = Arc::clone(&heard);
    let server = Server::start(move |peer| {
        peer.send(&format!("* OK [CAPABILITY IMAP4rev1{offers}] hi\r\n"));
        let Some(line) = whole(peer) else { return };
        record.lock().unwrap().push(line);
        peer.send("a1 OK [CAPABILITY IMAP4rev1] in\r\n");
        peer.wait_for_close();
    });
    (server, heard)
}

/// A command with its literals: the server's go-ahead is a `|` in it.
fn whole(peer: &mut Peer) -> Option<String> {
    let mut all = String::new();
    loop {
        let line = peer.line()?;
        all += &line;
        let announced = line.strip_suffix('}').and_then(|line| line.rsplit_once('{'));
        let Some((_, length)) = announced else { return Some(all) };
        if !length.ends_with('+') {
            peer.send("+ go on\r\n");
            all += "|";
        }
        all += &peer.bytes(length.trim_end_matches('+').parse().unwrap());
    }
}

fn dial(server: &Server, user: &str, password: &str) -> Result<(), FailureKind> {
    let mut settings = Settings { credentials: Some(Secret::new(password.to_owned()).into()), ..server.settings() };
    user.clone_into(&mut settings.endpoint.user);
    ImapConnector::new(settings).dial(session(0)).map(|_| ()).map_err(|failed| failed.failure.kind)
}

#[test]
fn what_a_quoted_string_cannot_carry_goes_as_a_literal() {
    let long = "x".repeat(5000);
    for (offers, user, password, sent) in [
        ("", "joe", "pässwört", r#"a1 LOGIN "joe" {10}|pässwört"#.to_owned()),
        ("", "jörg", "s3cret", r#"a1 LOGIN {5}|jörg "s3cret""#.to_owned()),
        ("", "jörg", "pässwört", "a1 LOGIN {5}|jörg {10}|pässwört".to_owned()),
        ("", "joe", "two\r\nlines", "a1 LOGIN \"joe\" {10}|two\r\nlines".to_owned()),
        ("", "joe", &long, format!(r#"a1 LOGIN "joe" {{5000}}|{long}"#)),
        (" LITERAL+", "jörg", "pässwört", "a1 LOGIN {5+}jörg {10+}pässwört".to_owned()),
        (" LITERAL+", "joe", &long, format!(r#"a1 LOGIN "joe" {{5000+}}{long}"#)),
        (" LITERAL-", "joe", "pässwört", r#"a1 LOGIN "joe" {10+}pässwört"#.to_owned()),
        (" LITERAL-", "joe", &long, format!(r#"a1 LOGIN "joe" {{5000}}|{long}"#)),
        ("", "joe", r#"a"b\c d"#, r#"a1 LOGIN "joe" "a\"b\\c d""#.to_owned()),
    ] {
        let (server, heard) = login_server(offers);
        assert_eq!(dial(&server, user, password), Ok(()), "{offers} {sent}");
        assert_eq!(*heard.lock().unwrap(), [sent], "{offers}");
    }
}

#[test]
fn a_nul_is_never_sent() {
    let (server, heard) = login_server("");
    assert_eq!(dial(&server, "joe", "a\0b"), Err(AuthUnsupported));
    assert_eq!(*heard.lock().unwrap(), ["a1 LOGOUT"]);
}

#[test]
fn a_server_that_refuses_the_literal_gets_no_password() {
    let server = Server::start(|peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
        peer.answer("{t} BAD no literals here\r\n");
        peer.wait_for_close();
    });
    assert_eq!(dial(&server, "joe", "pässwört"), Err(ServerBad));
    assert_eq!(server.heard()[1..], ["a2 LOGOUT"], "{:?}", server.heard());
}

#[test]
fn commands_are_counted_and_transcripts_hide_the_password_all_the_same() {
    for offers in ["", " LITERAL+"] {
        let (server, _) = login_server(offers);
        let directory = tempfile::tempdir().unwrap();
        let settings = Settings {
            credentials: Some(Secret::new("a9 LOGIN\r\na7 pässwört".to_owned()).into()),
            transcripts: Some(Arc::new(Transcripts::create(directory.path(), "run-1").unwrap())),
            ..server.settings()
        };
        let connection = ImapConnector::new(settings).dial(session(0)).ok().unwrap();
        let commands = &connection.established().commands;
        assert_eq!(commands.iter().map(|command| command.verb.name()).collect::<Vec<_>>(), ["LOGIN"]);
        drop(connection);
        for file in std::fs::read_dir(directory.path()).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            assert!(!text.contains("a7 p") && !text.contains("ssw"), "{text}");
        }
    }
}
