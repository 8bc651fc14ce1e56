//! Transcripts: all of a session, no secret, and never in its way.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::protocol::{
    ImapConnector, ImapOperation, Pop3Connector, Protocol, Secret, Security, Settings, SmtpConnector, Transcripts,
};
use tempfile::TempDir;

use super::scripted::{GREETING, Server, session};
use super::tls::{authority, serve};
use crate::cli::process::mailconn;

const PASSWORD: &str = "cana\"ry-Pa55";

/// Each transcript in the directory.
#[track_caller]
fn transcripts(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The one transcript there is, without its times, which are looked at here.
#[track_caller]
fn lines(directory: &Path) -> Vec<String> {
    let all = transcripts(directory);
    assert_eq!(all.len(), 1, "{all:?}");
    let mut last = String::new();
    let without_time = |line: &str| {
        let (time, line) = line.split_once(' ').unwrap();
        assert!(time.len() == "2026-11-24T06:20:01.123456Z".len() && time.ends_with('Z'), "{time}");
        assert!(*time >= *last, "{last}, then {time}");
        time.clone_into(&mut last);
        line.to_owned()
    };
    all[0].1.lines().map(without_time).collect()
}

fn with_transcripts(server: &Server, directory: &Path) -> Settings {
    Settings { transcripts: Some(Arc::new(Transcripts::create(directory, "run-1").unwrap())), ..server.settings() }
}

/// No form in which the password is ever sent.
#[track_caller]
fn tells_no_password(directory: &Path) {
    for (path, text) in transcripts(directory) {
        assert!(!text.contains("ry-Pa55"), "{}: {text}", path.display());
        for before in ["", "x", "xx", "\0joe\0", "joe\0joe\0"] {
            let encoded = STANDARD.encode(format!("{before}{PASSWORD}"));
            let piece = &encoded[before.len() * 4 / 3 + 4..encoded.len() - 4];
            assert!(!text.contains(piece), "{}: {text}", path.display());
        }
    }
}

#[test]
fn a_transcript_has_both_sides_in_order_and_what_happened() {
    let server = Server::replying(&["* 3 EXISTS\r\n{t} OK \x1b[31m\u{202e}fine \\xff\r\n", "{t} OK\r\n"]);
    let directory = TempDir::new().unwrap();
    let connector = ImapConnector::new(with_transcripts(&server, directory.path()));
    let mut connection = connector.dial(session(3)).unwrap();
    let port = connection.established().local_port;
    connection.run(ImapOperation::Noop, "").unwrap();
    // It can be read while the session goes on.
    assert!(lines(directory.path()).last().unwrap().starts_with("S: a3 OK"));
    connection.logout(Instant::now() + Duration::from_secs(1)).unwrap();
    drop(connection);
    let lines = lines(directory.path());
    assert_eq!(lines[0], format!("-- connected to {} from port {port}", server.address));
    let said: Vec<_> = lines[1..8].iter().map(String::as_str).collect();
    assert_eq!(
        said,
        [
            "S: * OK [CAPABILITY IMAP4rev1 ID] ready",
            "C: a1 LOGIN ***",
            "S: a1 OK [CAPABILITY IMAP4rev1 ID] in",
            "C: a2 ID (\"name\" \"mailconn\" \"version\" \"0.1.0\" \"x-mailconn-run\" \"run-1\" \"x-mailconn-session\" \"#3\")",
            "S: * ID NIL",
            "S: a2 OK",
            "C: a3 NOOP",
        ]
    );
    assert_eq!(lines[8..11], ["S: * 3 EXISTS", "S: a3 OK \\u{1b}[31m\\u{202e}fine \\xff", "C: a4 LOGOUT"]);
    let sent: usize = server.heard().iter().map(|line| line.len() + 2).sum();
    let end = lines.last().unwrap();
    assert!(end.starts_with("-- ") && end.contains(&format!("{sent} bytes sent, ")), "{end}");
}

#[test]
fn who_closed_is_told_and_a_line_cut_short_is_shown() {
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.line();
        peer.send("* 1 EXI");
    });
    let directory = TempDir::new().unwrap();
    let connector = ImapConnector::new(with_transcripts(&server, directory.path()));
    let mut connection = connector.dial(session(0)).unwrap();
    connection.run(ImapOperation::Noop, "").unwrap_err();
    drop(connection);
    let lines = lines(directory.path());
    assert_eq!(lines[lines.len() - 3..lines.len() - 1], ["S: * 1 EXI", "-- closed by the server"]);
    assert!(lines.last().unwrap().starts_with("-- ") && !lines.last().unwrap().contains("closed by us"));
}

#[test]
fn a_long_line_is_cut_and_its_rest_counted() {
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.answer(&format!("* OK {}\r\n{{t}} OK\r\n", "x".repeat(100_000)));
    });
    let directory = TempDir::new().unwrap();
    let connector = ImapConnector::new(with_transcripts(&server, directory.path()));
    connector.dial(session(0)).unwrap().run(ImapOperation::Noop, "").unwrap();
    let lines = lines(directory.path());
    let long = lines.iter().find(|line| line.contains("xxx")).unwrap();
    assert!(long.len() < 4200 && long.ends_with("x … (95911 more bytes)"), "{}", &long[long.len() - 60..]);
    assert!(lines.contains(&"S: a3 OK".to_owned()));
}

#[test]
fn only_the_owner_may_read_and_nothing_is_written_over() {
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("made/here");
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.wait_for_close();
    });
    let connector = ImapConnector::new(with_transcripts(&server, &directory));
    for _ in 0..3 {
        drop(connector.dial(session(3)).unwrap());
    }
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&directory), 0o700);
    let files = transcripts(&directory);
    let names: Vec<_> = files.iter().map(|(path, _)| path.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["run-1-c3-1-2.txt", "run-1-c3-1-3.txt", "run-1-c3-1.txt"]);
    for (path, text) in &files {
        assert_eq!(mode(path), 0o600);
        assert_eq!(text.matches("LOGIN").count(), 1);
    }
}

#[test]
fn no_sign_in_of_any_protocol_leaves_its_password_in_a_transcript() {
    // Each server repeats what it refuses, as some do.
    let imap_login = Server::start(|peer| {
        peer.send(GREETING);
        let line = peer.line().unwrap();
        peer.send(&format!("* OK you said {line}\r\na1 NO [AUTHENTICATIONFAILED] {line}\r\n"));
        peer.wait_for_close();
    });
    let imap_plain = Server::start(|peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED AUTH=PLAIN] hi\r\n");
        let line = peer.line().unwrap();
        let line = if line.ends_with("PLAIN") {
            peer.send("+ \r\n");
            peer.line().unwrap()
        } else {
            line
        };
        peer.send(&format!("* OK you said {line}\r\na1 NO [AUTHENTICATIONFAILED] {line}\r\n"));
        peer.wait_for_close();
    });
    let smtp = Server::start(|peer| {
        peer.send("220 hi\r\n");
        peer.line();
        peer.send("250-me\r\n250 AUTH PLAIN\r\n");
        let line = peer.line().unwrap();
        peer.send(&format!("535-{line}\r\n535 no\r\n"));
        peer.line();
    });
    let pop3 = Server::start(|peer| {
        peer.send("+OK hi\r\n");
        while let Some(line) = peer.line() {
            let reply = if line.starts_with("USER") { "+OK\r\n".to_owned() } else { format!("-ERR {line}\r\n") };
            peer.send(&reply);
        }
    });
    for (server, protocol) in
        [(imap_login, Protocol::Imap), (imap_plain, Protocol::Imap), (smtp, Protocol::Smtp), (pop3, Protocol::Pop3)]
    {
        let directory = TempDir::new().unwrap();
        let mut settings = with_transcripts(&server, directory.path());
        settings.credentials = Some(Secret::new(PASSWORD.to_owned()).into());
        settings.endpoint.protocol = protocol;
        let failure = match protocol {
            Protocol::Imap => ImapConnector::new(settings).dial(session(0)).err(),
            Protocol::Smtp => SmtpConnector::new(settings).dial(session(0)).err(),
            Protocol::Pop3 => Pop3Connector::new(settings).dial(session(0)).err(),
        };
        let failure = failure.unwrap();
        assert!(failure.sign_in_attempted, "{failure}");
        let heard = server.heard().join("\n");
        let plain = STANDARD.encode(format!("\0joe\0{PASSWORD}"));
        assert!(heard.contains("ry-Pa55") || heard.contains(&plain), "it was sent: {heard}");
        tells_no_password(directory.path());
        let text = lines(directory.path()).join("\n");
        let shown = ["C: a1 LOGIN ***", "C: a1 AUTHENTICATE PLAIN", "C: AUTH PLAIN ***", "C: PASS ***"];
        assert!(shown.iter().any(|line| text.contains(line)), "{text}");
        assert!(text.matches("***").count() >= 2, "said and repeated: {text}");
    }
}

#[test]
fn under_tls_the_transcript_has_the_plaintext_and_what_tls_agreed_on() {
    let ours = authority("ours");
    let preface = &["* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", "a1 OK begin\r\n"];
    let upgrading = serve(ours.server(|_| {}), preface);
    let directory = TempDir::new().unwrap();
    let mut settings = ours.settings(upgrading, Security::StartTls);
    settings.transcripts = Some(Arc::new(Transcripts::create(directory.path(), "run-1").unwrap()));
    drop(ImapConnector::new(settings).dial(session(0)).unwrap());
    let said = lines(directory.path());
    assert_eq!(said[2..4], ["C: a1 STARTTLS", "S: a1 OK begin"]);
    assert!(said[4].starts_with("-- TLSv1.3 TLS13_") && said[4].ends_with(", localhost verified"), "{}", said[4]);
    assert_eq!(said[5], "C: a2 CAPABILITY");

    let directory = TempDir::new().unwrap();
    let mut settings = ours.settings(serve(authority("theirs").server(|_| {}), &[]), Security::Tls);
    settings.transcripts = Some(Arc::new(Transcripts::create(directory.path(), "run-1").unwrap()));
    assert!(ImapConnector::new(settings).dial(session(0)).is_err());
    let said = lines(directory.path());
    assert!(
        said[1].starts_with("-- the TLS handshake failed: ") && said[1].contains("unknown issuer (CN=theirs)"),
        "{said:?}"
    );
    assert_eq!(said[2], "-- closed by us; 0 bytes sent, 0 received");
}

#[test]
fn a_transcript_that_cannot_be_written_is_told_and_changes_nothing_else() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.answer("{t} OK\r\n") {}
    });
    let parent = TempDir::new().unwrap();
    let directory = parent.path().join("transcripts");
    let transcripts = Arc::new(Transcripts::create(&directory, "run-1").unwrap());
    assert_eq!(transcripts.failure(), None);
    fs::remove_dir(&directory).unwrap();
    let settings = Settings { transcripts: Some(Arc::clone(&transcripts)), ..server.settings() };
    let connector = ImapConnector::new(settings);
    for number in 0..3 {
        connector.dial(session(number)).unwrap().run(ImapOperation::Noop, "").unwrap();
    }
    let failure = transcripts.failure().unwrap();
    assert!(failure.contains("is incomplete: No such file") && failure.ends_with("; and 2 more"), "{failure}");

    let file = parent.path().join("file");
    fs::write(&file, "kept").unwrap();
    for place in [file.clone(), file.join("below"), "/proc/transcripts".into()] {
        let error = Transcripts::create(&place, "run-1").err().unwrap().to_string();
        let expected = format!("no transcript can be written to {}: ", place.display());
        assert!(error.starts_with(&expected) && !error.contains('\n'), "{error}");
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "kept");
}

#[test]
fn a_run_writes_a_transcript_of_each_session_whose_bytes_are_those_of_the_report() {
    let directory = TempDir::new().unwrap();
    let args = ["run", "--server", "sandbox", "--mode", "use-default", "-t", "3", "-n", "20", "--format", "json"];
    let output = mailconn(args).arg("--transcript").arg(directory.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let files = transcripts(directory.path());
    let sessions = report["sessions"].as_array().unwrap();
    assert_eq!((files.len(), sessions.len()), (3, 3));
    for session in sessions {
        let from = format!(" from port {}\n", session["local_port"]);
        let (_, text) = files.iter().find(|(_, text)| text.contains(&from)).unwrap();
        assert_eq!(text.matches(" C: a1 AUTHENTICATE PLAIN ***\n").count(), 1);
        let sent = format!("{} bytes sent, {} received\n", session["bytes_sent"], session["bytes_received"]);
        assert!(text.ends_with(&sent), "{session} against {}", text.lines().last().unwrap());
    }
}
