//! Clients that others wrote: Python's libraries, curl, swaks, mbsync. None of them may be missing.

use std::fs;
use std::path::Path;
use std::process::Command;

use mailconn::sandbox::{CloseCause, CommandStatus, Options, Protocol, Sandbox, Security};
use tempfile::TempDir;

use super::PATIENCE;
use super::talk::{Talk, serving};
use crate::cli::process::{Ended, end};

/// A client, which reads no one's settings but the test's own.
fn client(program: &str, package: &str, home: &Path) -> Command {
    let version = Command::new(program).arg("--version").output();
    assert!(version.is_ok(), "this test needs {program}: install it, for instance with `apt-get install {package}`");
    let mut command = Command::new(program);
    command.current_dir(home).env("HOME", home).stdin(std::process::Stdio::null());
    command
}

#[track_caller]
fn succeed(command: &mut Command) -> Ended {
    let ended = end(command);
    assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
    ended
}

/// All three protocols, IMAP in the clear beside them, and a place for the client's files, the CA among them.
fn all(security: Security) -> (Sandbox, TempDir) {
    let mut speaks = [Protocol::Imap, Protocol::Smtp, Protocol::Pop3].map(|protocol| (protocol, security)).to_vec();
    speaks.push((Protocol::Imap, Security::Plain));
    let server = serving(&speaks, Options::default());
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("ca.pem"), server.ca_pem().unwrap_or_default()).unwrap();
    (server, home)
}

fn ports(server: &Sandbox) -> [u16; 3] {
    let ports: Vec<_> = server.addresses().iter().map(|address| address.port()).collect();
    ports[..3].try_into().unwrap()
}

/// How many messages the mailbox has, by the listener in the clear.
fn count(server: &Sandbox, mailbox: &str) -> String {
    let mut talk = Talk::to(server.addresses()[3]);
    talk.say(format!("a LOGIN user secret\r\nb STATUS {mailbox} (MESSAGES)\r\nc LOGOUT\r\n"));
    talk.rest().split("(MESSAGES ").nth(1).unwrap().split(')').next().unwrap().to_owned()
}

#[test]
fn pythons_libraries_send_and_find_and_fetch() {
    for (security, name) in [(Security::Plain, "plain"), (Security::StartTls, "starttls"), (Security::Tls, "tls")] {
        let (server, home) = all(security);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/foreign/mail_session.py");
        let ports = ports(&server).map(|port| port.to_string());
        let mut python = client("python3", "python3", home.path());
        succeed(python.args([script, name]).args(ports).args(["user", "ca.pem"]).env("PASSWORD", "secret"));
        let record = server.stop(PATIENCE);
        assert_eq!(record.len(), 5);
        for session in &record {
            assert_eq!((session.closed.unwrap().1, session.tls), (CloseCause::Logout, security != Security::Plain));
            let bad: Vec<_> = session.commands.iter().filter(|c| c.status == CommandStatus::Bad).collect();
            assert!(bad.is_empty(), "{bad:?}");
        }
        assert_eq!(record[0].delivered, ["<smtplib@tests>", "<smtplib.second@tests>"]);
    }
}

#[test]
fn curl_sends_and_fetches_in_each_protocol() {
    for security in [Security::Tls, Security::StartTls] {
        let (server, home) = all(security);
        let [imap, smtp, pop3] = ports(&server);
        let s = if security == Security::Tls { "s" } else { "" };
        // The password is no argument, here neither.
        fs::write(home.path().join("settings"), "user = \"user:secret\"\n").unwrap();
        fs::write(home.path().join("mail"), "Subject: by curl\r\nMessage-ID: <curl@tests>\r\n\r\n.dot\r\n").unwrap();
        let curl = || {
            let mut curl = client("curl", "curl", home.path());
            curl.args(["-sS", "--max-time", "20", "--cacert", "ca.pem", "--ssl-reqd", "-K", "settings"]);
            curl
        };
        let url = format!("smtp{s}://localhost:{smtp}/curl.example");
        succeed(curl().args([&url, "--mail-from", "a@b", "--mail-rcpt", "user@c", "-T", "mail"]));
        let url = format!("imap{s}://localhost:{imap}/INBOX;MAILINDEX=31");
        let fetched = succeed(curl().arg(&url)).stdout;
        assert!(fetched.ends_with("Message-ID: <curl@tests>\r\n\r\n.dot\r\n"), "{fetched}");
        let url = format!("pop3{s}://localhost:{pop3}/31");
        assert_eq!(succeed(curl().arg(&url)).stdout, fetched);
        let url = format!("pop3{s}://localhost:{pop3}/");
        assert_eq!(succeed(curl().arg(&url)).stdout.lines().count(), 31);
        fs::write(home.path().join("settings"), "user = \"user:wrong\"\n").unwrap();
        let url = format!("imap{s}://localhost:{imap}/INBOX");
        assert_eq!(end(curl().arg(&url)).code, 67, "sign-in denied");
        let record = server.stop(PATIENCE);
        assert_eq!(record.iter().filter(|session| session.tls && session.user.is_some()).count(), 4);
        assert_eq!(record[0].label, [("ehlo".to_owned(), Some("curl.example".to_owned()))]);
    }
}

#[test]
fn swaks_sends_under_starttls_and_is_refused_without_it() {
    let (server, home) = all(Security::StartTls);
    let [_, smtp, _] = ports(&server);
    let swaks = |extra: &[&str]| {
        let mut swaks = client("swaks", "swaks", home.path());
        let port = smtp.to_string();
        swaks.args(["--server", "localhost", "--port", &port, "--to", "user", "--from", "a@b", "--timeout", "20"]);
        swaks.args(["--helo", "swaks.example", "--auth-user", "user", "--auth-password", "secret"]).args(extra);
        swaks
    };
    for mechanism in ["PLAIN", "LOGIN"] {
        let tls = ["--tls", "--tls-verify", "--tls-ca-path", "ca.pem", "--auth", mechanism];
        let told = succeed(&mut swaks(&tls)).stdout;
        assert!(told.contains("235 2.7.0") && told.contains("250 2.0.0 Ok: queued as"), "{told}");
    }
    assert_ne!(end(&mut swaks(&["--auth", "PLAIN"])).code, 0, "nobody signs in in the clear");
    assert_eq!(count(&server, "INBOX"), "32");
    let record = server.stop(PATIENCE);
    assert!(record[..2].iter().all(|session| session.tls && session.delivered.len() == 1));
    assert_eq!((record[2].tls, record[2].user.as_deref()), (false, None));
}

#[test]
fn mbsync_keeps_a_maildir_the_same_both_ways() {
    for (security, kind) in [(Security::Tls, "IMAPS"), (Security::StartTls, "STARTTLS")] {
        let (server, home) = all(security);
        let [imap, ..] = ports(&server);
        let settings = format!(
            "IMAPAccount sandbox\nHost localhost\nPort {imap}\nUser user\nPass secret\nSSLType {kind}\n\
             CertificateFile ca.pem\nSystemCertificates no\n\n\
             IMAPStore remote\nAccount sandbox\n\n\
             MaildirStore local\nPath mail/\nInbox mail/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :remote:\nNear :local:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n"
        );
        fs::write(home.path().join("settings"), settings).unwrap();
        fs::create_dir(home.path().join("mail")).unwrap();
        let sync = || succeed(client("mbsync", "isync", home.path()).args(["-c", "settings", "-a"]));
        let local = |mailbox: &str| {
            let directory = home.path().join("mail").join(mailbox);
            ["cur", "new"].iter().flat_map(|part| fs::read_dir(directory.join(part)).unwrap()).count()
        };
        sync();
        assert_eq!(["INBOX", "Archive", "Sent"].map(local), [30, 20, 10]);
        // Two come, one goes, and a mailbox is new.
        let inbox = home.path().join("mail/INBOX");
        for file in ["1.new.example", "2.new.example"] {
            fs::write(inbox.join("new").join(file), "Subject: written here\n\nhello\n").unwrap();
        }
        let gone = fs::read_dir(inbox.join("new")).unwrap().map(|entry| entry.unwrap().path());
        fs::remove_file(
            gone.filter(|path| !path.ends_with("1.new.example") && !path.ends_with("2.new.example")).min().unwrap(),
        )
        .unwrap();
        for part in ["cur", "new", "tmp"] {
            fs::create_dir_all(home.path().join("mail/Projects").join(part)).unwrap();
        }
        fs::write(home.path().join("mail/Projects/cur/3.new.example:2,S"), "Subject: another\n\nx\n").unwrap();
        sync();
        assert_eq!(count(&server, "INBOX"), "31");
        assert_eq!(count(&server, "Projects"), "1");
        let before = server.witness().iter().map(|session| session.commands.len()).sum::<usize>();
        sync();
        assert_eq!(["INBOX", "Archive", "Sent", "Projects"].map(local), [31, 20, 10, 1]);
        let record = server.stop(PATIENCE);
        let verbs: Vec<_> = record.iter().flat_map(|session| &session.commands).skip(before).map(|c| c.verb).collect();
        assert!(!verbs.contains(&"APPEND") && !verbs.contains(&"UID STORE"), "nothing was left to do: {verbs:?}");
        assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Logout));
    }
}
