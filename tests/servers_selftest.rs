//! The private Dovecot and Postfix themselves: does their record say what a client did that speaks raw bytes? And what do
//! they do to a client whose session they refuse or end? What other tests emulate and rely on is recorded here.

use crate::support::dovecot::{KICKED, PrivateDovecot, signal};
use crate::support::dovecot_log::{End, Log, Protocol};
use crate::support::postfix_log::Count;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::io::{BufRead as _, BufReader, ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(10);

/// A client with no idea of IMAP but tags: the test decides each byte.
struct RawClient {
    stream: BufReader<TcpStream>,
    tags: u32,
}

impl RawClient {
    fn connect(server: &PrivateDovecot) -> Self {
        let (client, greeting) = Self::dial(server.imap_port());
        assert!(greeting.starts_with("* OK "), "{greeting}");
        client
    }

    fn dial(port: u16) -> (Self, String) {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut client = Self { stream: BufReader::new(stream), tags: 0 };
        let greeting = client.line();
        (client, greeting)
    }

    fn pop3_signed_in(server: &PrivateDovecot, user: &str) -> Self {
        let (mut client, greeting) = Self::dial(server.pop3_port());
        assert!(greeting.starts_with("+OK "), "{greeting}");
        assert_eq!(client.ask(&format!("USER {user}")), "+OK\r\n");
        let password = std::fs::read_to_string(server.password_file()).unwrap();
        assert_eq!(client.ask(&format!("PASS {password}")), "+OK Logged in.\r\n");
        client
    }

    /// Has said EHLO by this name, and signed in.
    fn smtp_signed_in(server: &PrivateDovecot, name: &str, user: &str) -> Self {
        let (mut client, greeting) = Self::dial(server.smtp_port());
        assert!(greeting.starts_with("220 localhost ESMTP"), "{greeting}");
        client.send(&format!("EHLO {name}\r\n"));
        while !client.line().starts_with("250 ") {}
        let password = std::fs::read_to_string(server.password_file()).unwrap();
        let response = BASE64_STANDARD.encode(format!("\0{user}\0{password}"));
        assert_eq!(client.ask(&format!("AUTH PLAIN {response}")), "235 2.7.0 Authentication successful\r\n");
        client
    }

    /// One line, in a protocol without tags, and the first of its reply.
    fn ask(&mut self, line: &str) -> String {
        self.send(&format!("{line}\r\n"));
        self.line()
    }

    fn signed_in(server: &PrivateDovecot, user: &str) -> Self {
        let mut client = Self::connect(server);
        let reply = client.sign_in(server, user);
        assert!(reply.contains(" OK "), "{reply}");
        client
    }

    fn sign_in(&mut self, server: &PrivateDovecot, user: &str) -> String {
        let password = std::fs::read_to_string(server.password_file()).unwrap();
        self.command(&format!("LOGIN {user} {password}")).pop().unwrap()
    }

    fn port(&self) -> u16 {
        self.stream.get_ref().local_addr().unwrap().port()
    }

    fn send(&mut self, text: &str) {
        self.stream.get_ref().write_all(text.as_bytes()).unwrap();
    }

    /// The next line; empty at the end of the connection, which the server may also reset.
    fn line(&mut self) -> String {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Err(error) if error.kind() == ErrorKind::ConnectionReset => line.clear(),
            result => _ = result.unwrap(),
        }
        line
    }

    fn rest(&mut self) -> Vec<String> {
        std::iter::from_fn(|| Some(self.line()).filter(|line| !line.is_empty())).collect()
    }

    /// The reply's lines up to the tagged one, which is the last.
    fn command(&mut self, text: &str) -> Vec<String> {
        self.tags += 1;
        let tag = format!("a{}", self.tags);
        self.send(&format!("{tag} {text}\r\n"));
        let mut lines = Vec::new();
        loop {
            let line = self.line();
            let is_last = line.is_empty() || line.starts_with(&format!("{tag} "));
            lines.push(line);
            if is_last {
                return lines;
            }
        }
    }
}

/// The server's record once this connection's session has ended.
fn after_end_of(server: &PrivateDovecot, client: &RawClient) -> (Log, End) {
    let port = client.port();
    let mut log = server.wait_for(SOON, |log| log.on_port(port).is_some_and(|session| session.end.is_some()));
    let session = log.sessions.iter_mut().find(|session| session.client_port == port);
    let end = session.and_then(|session| session.end.take()).unwrap();
    (log, end)
}

fn process_of(server: &PrivateDovecot, client: &RawClient) -> u32 {
    let port = client.port();
    let log = server.wait_for(SOON, |log| log.on_port(port).is_some());
    log.on_port(port).unwrap().pid
}

#[test]
fn port_session_label_and_transcript_name_the_same_connection() {
    let server = PrivateDovecot::start();
    let mut clients: Vec<_> = (3..6).map(|number| (number, RawClient::signed_in(&server, "u1"))).collect();
    let mut processes = server.imap_pids();
    for (number, client) in &mut clients {
        client.command(&format!(r##"ID ("name" "mailconn" "x-mailconn-session" "#{number}")"##));
        let examined = client.command("EXAMINE Archive");
        assert!(examined.contains(&"* 20 EXISTS\r\n".to_owned()), "{examined:?}");
        let fetched = client.command(&format!("fetch {number} (BODY.PEEK[])"));
        let subject = format!("Subject: Archive message {number} of u1\r\n");
        assert!(fetched.contains(&subject), "{fetched:?}");
    }
    // A command that arrives in pieces, with a literal that looks like a command.
    let (_, client) = &mut clients[0];
    client.send("x1 APPE");
    std::thread::sleep(Duration::from_millis(50));
    client.send("ND Sent {16}\r\n");
    assert_eq!(client.line(), "+ OK\r\n");
    client.send("x2 NOOP\r\nSubject\r\n");
    assert!(client.line().starts_with("x1 OK "));
    for (_, client) in &mut clients {
        let goodbye = client.command("LOGOUT");
        assert_eq!(goodbye[0], "* BYE Logging out\r\n");
        assert_eq!(client.line(), "");
    }

    let log = server.wait_for(SOON, |log| log.sessions.iter().filter(|session| session.end.is_some()).count() == 3);
    for (number, client) in &clients {
        let session = log.on_port(client.port()).unwrap();
        let labelled = log.labelled("x-mailconn-session", &format!("#{number}")).unwrap();
        assert_eq!(session.session_id, labelled.session_id);
        assert_eq!(session.label("name"), Some("mailconn"));
        assert_eq!((session.user.as_str(), session.method.as_str(), session.tls), ("u1", "PLAIN", false));
        let mut expected = vec![
            format!(r##"ID ("name" "mailconn" "x-mailconn-session" "#{number}")"##),
            "EXAMINE Archive".to_owned(),
            format!("FETCH {number} (BODY.PEEK[])"),
        ];
        if *number == 3 {
            expected.push("APPEND Sent {16}\r\nx2 NOOP\r\nSubject".to_owned());
        }
        expected.push("LOGOUT".to_owned());
        assert_eq!(session.command_lines(), expected);

        let tags: Vec<_> = session.commands.iter().map(|command| command.tag.as_str()).collect();
        let answered: Vec<_> = session.replies.iter().map(|reply| reply.tag.as_str()).collect();
        assert_eq!(answered[0], "a1", "the sign-in");
        assert_eq!(answered[1..], tags);
        assert!(session.replies.iter().all(|reply| reply.status == "OK"));
        assert!(session.replies.iter().any(|reply| reply.text.starts_with("Fetch completed")));
        for (command, reply) in session.commands.iter().zip(&session.replies[1..]) {
            assert!(command.at <= reply.at, "{command:?} {reply:?}");
        }

        // Read after the sign-in: each command, its tag before it, its line end after it, but for that of LOGOUT.
        let lines = session.command_lines();
        let sent: usize =
            session.commands.iter().zip(lines).map(|(command, line)| command.tag.len() + line.len() + 3).sum();
        let end = session.end.as_ref().unwrap();
        assert_eq!(end.reason, "Logged out");
        let (read, written) = end.bytes.unwrap();
        assert_eq!(read, sent as u64 - 2);
        // Transcripts stand in where the log has lost that line.
        assert_eq!((read + 2, written), session.transcribed);
    }
    processes.sort_unstable();
    let mut logged: Vec<_> = log.sessions.iter().map(|session| session.pid).collect();
    logged.sort_unstable();
    assert_eq!(processes, logged);
}

#[test]
fn an_id_sent_before_the_sign_in_belongs_to_the_session_too() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::connect(&server);
    client.command(r##"ID ("x-mailconn-session" "#7")"##);
    client.sign_in(&server, "u2");
    let port = client.port();
    let log = server.wait_for(SOON, |log| log.on_port(port).is_some());
    assert_eq!(log.labelled("x-mailconn-session", "#7").unwrap().client_port, port);
}

#[test]
fn every_user_has_mailboxes_that_name_themselves() {
    let server = PrivateDovecot::start();
    for user in server.users() {
        let mut client = RawClient::signed_in(&server, user);
        for (mailbox, count) in [("INBOX", 30), ("Archive", 20), ("Sent", 10)] {
            let examined = client.command(&format!("EXAMINE {mailbox}"));
            assert!(examined.contains(&format!("* {count} EXISTS\r\n")), "{user} {mailbox} {examined:?}");
            let fetched = client.command(&format!("FETCH {count} BODY.PEEK[TEXT]")).concat();
            let text = format!("This is message {count} of {count} in the mailbox {mailbox} of {user}.\r\n");
            assert!(fetched.contains(&text), "{fetched}");
        }
    }
}

#[test]
fn each_wrong_password_is_one_refused_sign_in() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::connect(&server);
    for _ in 0..2 {
        let reply = client.command("LOGIN u1 wrong");
        assert_eq!(reply.len(), 1);
        assert!(reply[0].ends_with("NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"), "{reply:?}");
    }
    assert!(client.command("LOGIN nobody wrong")[0].contains("NO [AUTHENTICATIONFAILED]"));
    // The connection lives on, and so may its session begin.
    assert!(client.sign_in(&server, "u1").contains(" OK "));

    let log = server.wait_for(SOON, |log| log.sessions.len() == 1 && log.refused_sign_ins.len() == 3);
    let refused: Vec<_> = log.refused_sign_ins.iter().map(|r| (r.user.as_str(), r.reason.as_str())).collect();
    assert_eq!(refused, [("u1", "Password mismatch"), ("u1", "Password mismatch"), ("nobody", "unknown user")]);
    assert!(log.refused_sign_ins.iter().all(|r| r.session_id == log.sessions[0].session_id));
    assert!(log.turned_away.is_empty());
}

#[test]
fn a_password_of_ones_own_replaces_the_usual_one() {
    let server = PrivateDovecot::builder().set("PASSWORD", "other").start();
    let mut client = RawClient::connect(&server);
    assert!(client.sign_in(&server, "u1").contains(" OK "));
}

#[test]
fn the_limit_refuses_by_name_and_closes_the_connection() {
    let server = PrivateDovecot::builder().max_connections(3).start();
    let mut held: Vec<_> = (0..3).map(|_| RawClient::signed_in(&server, "u1")).collect();
    let mut refused = RawClient::connect(&server);
    let reply = refused.sign_in(&server, "u1");
    assert_eq!(
        reply,
        "a1 NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)\r\n"
    );
    // The server closes it at once: no second attempt, not even for another user, without dialling again.
    assert_eq!(refused.line(), "");
    // It counts per user.
    RawClient::signed_in(&server, "u2");

    let log = server.wait_for(SOON, |log| log.limit_refusals().count() == 1 && log.sessions.len() == 4);
    let turned_away = log.limit_refusals().next().unwrap();
    assert_eq!((turned_away.user.as_str(), turned_away.client_port), ("u1", refused.port()));
    assert!(log.sessions.iter().all(|session| session.session_id != turned_away.session_id));
    assert!(log.refused_sign_ins.is_empty(), "a limit is no wrong password");

    held[0].command("LOGOUT");
    after_end_of(&server, &held[0]);
    let until = Instant::now() + SOON;
    while !RawClient::connect(&server).sign_in(&server, "u1").contains(" OK ") {
        assert!(Instant::now() < until, "the place of the one that left stays taken");
    }
}

#[test]
fn a_hundred_connections_of_one_user_fit() {
    let server = PrivateDovecot::start();
    let clients: Vec<_> = (0..100).map(|_| RawClient::signed_in(&server, "u1")).collect();
    assert_eq!(server.imap_pids().len(), clients.len());
}

#[test]
fn a_connection_that_never_signs_in_is_recorded() {
    let server = PrivateDovecot::start();
    let port = {
        let client = RawClient::connect(&server);
        client.port()
    };
    let log = server.wait_for(SOON, |log| !log.turned_away.is_empty());
    assert_eq!(log.turned_away[0].client_port, port);
    assert!(log.turned_away[0].reason.starts_with("Connection closed (no auth attempts"));
    assert_eq!(log.limit_refusals().count(), 0);
}

#[test]
fn tls_is_verified_by_its_own_authority() {
    let server = PrivateDovecot::start();
    let script = "
import imaplib, ssl, sys
port, starttls_port, ca, password = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], open(sys.argv[4]).read()
context = ssl.create_default_context(cafile=ca)
first = imaplib.IMAP4_SSL('localhost', port, ssl_context=context)
second = imaplib.IMAP4('127.0.0.1', starttls_port)
second.starttls(context)
for number, imap in enumerate((first, second)):
    imap.login('u%d' % (number + 1), password)
    imap.select('Archive', readonly=True)
    imap.logout()
try:
    imaplib.IMAP4_SSL('localhost', port, ssl_context=ssl.create_default_context())
    sys.exit('accepted without its authority')
except ssl.SSLCertVerificationError:
    pass
";
    let output = Command::new("python3")
        .args(["-c", script, &server.imaps_port().to_string(), &server.imap_port().to_string()])
        .args([server.ca_file(), server.password_file()])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let log = server.wait_for(SOON, |log| {
        log.sessions.iter().filter(|session| session.end.is_some()).count() == 2 && log.turned_away.len() == 1
    });
    for session in &log.sessions {
        assert!(session.tls, "{session:?}");
        assert_eq!(session.command_lines(), ["EXAMINE Archive", "LOGOUT"], "{session:?}");
    }
}

#[test]
fn two_servers_side_by_side_keep_their_own_records() {
    let (one, other) = (PrivateDovecot::start(), PrivateDovecot::start());
    RawClient::signed_in(&one, "u1").command("LOGOUT");
    RawClient::signed_in(&other, "u2").command("LOGOUT");
    for (server, user) in [(&one, "u1"), (&other, "u2")] {
        let log = server.wait_for(SOON, |log| log.sessions.len() == 1);
        assert_eq!(log.sessions[0].user, user);
    }
    let port = one.imap_port();
    drop(one);
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
    RawClient::signed_in(&other, "u3");
}

#[test]
fn a_dropped_server_leaves_no_process_and_no_directory() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::signed_in(&server, "u1");
    // Not even one that can't hear the signal that ends it.
    signal(process_of(&server, &client), "STOP");
    let directory = server.ca_file().parent().and_then(Path::parent).unwrap().to_owned();
    let group = server.pid();
    assert!(processes_of(group, &directory) > 5);
    drop(server);
    assert_eq!(processes_of(group, &directory), 0);
    assert!(!directory.exists());
    assert_eq!(client.rest().pop().as_deref(), Some(KICKED));
}

/// The test is its own test process too: run again with the variable set, it starts a server and waits to be killed.
#[test]
fn a_server_ends_with_the_process_that_started_it() {
    const NAMES_A_FILE: &str = "MAILCONN_TEST_STARTS_A_SERVER";
    if let Some(file) = std::env::var_os(NAMES_A_FILE) {
        let server = PrivateDovecot::builder().postfix().start();
        let directory = server.ca_file().parent().and_then(Path::parent).unwrap();
        let half_written = Path::new(&file).with_extension("new");
        std::fs::write(&half_written, format!("{} {}", server.pid(), directory.display())).unwrap();
        std::fs::rename(half_written, file).unwrap();
        std::thread::sleep(60 * SOON);
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server");
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "servers_selftest::a_server_ends_with_the_process_that_started_it", "--nocapture"])
        .env(NAMES_A_FILE, &file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let until = Instant::now() + 3 * SOON;
    while !file.exists() {
        assert!(Instant::now() < until && owner.try_wait().unwrap().is_none(), "it starts no server");
        std::thread::sleep(Duration::from_millis(20));
    }
    let started = std::fs::read_to_string(&file).unwrap();
    let (group, directory) = started.split_once(' ').unwrap();
    let (group, directory) = (group.parse().unwrap(), Path::new(directory));
    assert!(processes_of(group, directory) > 5);
    owner.kill().unwrap(); // and isn't waited for yet: a zombie holds nothing
    let until = Instant::now() + SOON;
    while processes_of(group, directory) > 0 || directory.exists() {
        assert!(Instant::now() < until, "it lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
    owner.wait().unwrap();
}

#[test]
fn the_script_starts_again_where_it_left_and_keeps_out_of_what_is_not_its_own() {
    let script = |action: &str, directory: &Path| {
        let output = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers"))
            .arg(action)
            .arg(directory)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let parent = tempfile::tempdir().unwrap();
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let directory = parent.path().join("server");
    assert_eq!(script("up", &directory), (0, String::new()));
    let authority = std::fs::read(directory.join("tls/ca.pem")).unwrap();
    let (code, said) = script("up", &directory);
    assert!(code == 1 && said.contains("is up already"), "{code} {said}");
    assert_eq!(script("down", &directory), (0, String::new()));
    assert_eq!(script("down", &directory), (0, String::new()), "nothing is left to stop");
    assert_eq!(script("up", &directory), (0, String::new()));
    assert_ne!(std::fs::read(directory.join("tls/ca.pem")).unwrap(), authority, "its own are made anew");
    assert_eq!(script("down", &directory), (0, String::new()));

    std::fs::write(parent.path().join("letter"), "mine").unwrap();
    let (code, said) = script("up", parent.path());
    assert!(code == 2 && said.contains("holds something else"), "{code} {said}");
    assert_eq!(std::fs::read_to_string(parent.path().join("letter")).unwrap(), "mine");
}

/// Those of the process group, and those that name the directory in their arguments (as what stops it does) or in their
/// environment (as all of Postfix does).
fn processes_of(group: u32, directory: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let alive = processes.filter(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let text = |file| std::fs::read(process.path().join(file)).unwrap_or_default();
        let words = String::from_utf8_lossy(&[text("cmdline"), text("environ")].concat()).into_owned();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        fields[0] != "Z"
            && (fields.get(2) == Some(&group.to_string().as_str()) || words.contains(directory.to_str().unwrap()))
    });
    alive.count()
}

#[test]
fn a_kick_says_goodbye_to_an_idle_session_and_to_one_mid_literal() {
    let server = PrivateDovecot::start();
    let mut idle = RawClient::signed_in(&server, "u1");
    let mut appending = RawClient::signed_in(&server, "u1");
    let mut bystander = RawClient::signed_in(&server, "u2");
    appending.send("x APPEND INBOX {100}\r\n");
    assert_eq!(appending.line(), "+ OK\r\n");
    server.kick("u1");
    // An operation that waits for its client is given up without a tagged reply.
    for client in [&mut idle, &mut appending] {
        assert_eq!(client.rest(), [KICKED]);
        let (_, end) = after_end_of(&server, client);
        assert_eq!(end.reason, "Server shutting down.");
        assert!(end.bytes.is_some());
    }
    assert!(bystander.command("NOOP")[0].contains(" OK "));
}

/// A kick can't come in the middle of what a process is doing: it finishes the command it has got, then says goodbye.
#[test]
fn a_kick_lets_a_command_that_has_arrived_finish_first() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::signed_in(&server, "u1");
    client.command("EXAMINE Archive");
    let pid = process_of(&server, &client);
    signal(pid, "STOP");
    client.send("x FETCH 1:20 BODY.PEEK[TEXT]\r\n");
    server.kick("u1");
    signal(pid, "CONT");
    let lines = client.rest();
    let [.., tagged, goodbye] = &lines[..] else { panic!("{lines:?}") };
    assert!(tagged.starts_with("x OK Fetch completed"), "{tagged}");
    assert_eq!(goodbye, KICKED);
}

/// Hold a session's process, send the command, kill the process: the client has sent all and hears nothing.
#[test]
fn a_killed_process_ends_an_operation_without_a_word() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::signed_in(&server, "u1");
    client.command("EXAMINE Archive");
    let pid = process_of(&server, &client);
    signal(pid, "STOP");
    client.send("x FETCH 1:20 BODY.PEEK[TEXT]\r\n");
    signal(pid, "KILL");
    // Reset, as what it sent was never read; a killed process that has read everything closes in the ordinary way.
    assert_eq!(client.rest(), [""; 0]);
    let (log, end) = after_end_of(&server, &client);
    assert_eq!(end, End { reason: "killed with signal 9".to_owned(), bytes: None });
    let session = log.on_port(client.port()).unwrap();
    assert_eq!(session.command_lines(), ["EXAMINE Archive"], "what it never read isn't in its transcript");
    assert_eq!(server.imap_pids(), [0; 0], "its place is free");
}

fn python(script: &str, arguments: &[&str]) -> String {
    let output = Command::new("python3").args(["-c", script]).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_pop3_session_is_recorded_as_an_imap_session_is() {
    let server = PrivateDovecot::start();
    let mut client = RawClient::pop3_signed_in(&server, "u1");
    let size = client.ask("LIST 30");
    assert!(size.starts_with("+OK 30 "), "{size}");
    client.send("retr 30\r\n");
    let message: Vec<_> = std::iter::from_fn(|| Some(client.line()).filter(|line| line != ".\r\n")).collect();
    assert!(message.contains(&"Subject: INBOX message 30 of u1\r\n".to_owned()), "{message:?}");
    assert_eq!(client.ask("DELE"), "-ERR Invalid message number: \r\n");
    assert_eq!(client.ask("QUIT"), "+OK Logging out.\r\n");

    let (log, end) = after_end_of(&server, &client);
    let session = log.on_port(client.port()).unwrap();
    assert_eq!((session.protocol, session.user.as_str(), session.tls), (Protocol::Pop3, "u1", false));
    assert_eq!(session.command_lines(), ["LIST 30", "RETR 30", "DELE", "QUIT"]);
    let statuses: Vec<_> = session.replies.iter().map(|reply| reply.status.as_str()).collect();
    assert_eq!(statuses, ["+OK", "+OK", "+OK", "-ERR", "+OK"], "the first answers the sign-in");
    assert_eq!(end.reason, "Logged out");
    assert_eq!(end.bytes.unwrap().0, "LIST 30\r\nretr 30\r\nDELE\r\nQUIT\r\n".len() as u64);
}

#[test]
fn the_limit_on_connections_holds_for_pop3_too() {
    let server = PrivateDovecot::builder().max_connections(2).start();
    let _held: Vec<_> = (0..2).map(|_| RawClient::pop3_signed_in(&server, "u1")).collect();
    // A POP3 session is counted a little after its client has been told that it is signed in.
    let until = Instant::now() + SOON;
    while server.doveadm(&["who", "-1"]).lines().filter(|line| line.contains(" pop3 ")).count() < 2 {
        assert!(Instant::now() < until, "two sessions are never counted");
    }
    let (mut refused, _) = RawClient::dial(server.pop3_port());
    refused.ask("USER u1");
    assert_eq!(
        refused.ask("PASS pw"),
        "-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=2)\r\n"
    );
    let log = server.wait_for(SOON, |log| log.limit_refusals().count() == 1);
    let turned_away = log.limit_refusals().next().unwrap();
    assert_eq!((turned_away.protocol, turned_away.client_port), (Protocol::Pop3, refused.port()));
}

/// Dovecot waits ten seconds for the owner to leave: a client's deadline for a sign-in must be longer.
#[test]
fn a_locked_maildrop_has_one_owner_at_a_time() {
    let server = PrivateDovecot::builder().pop3_lock().start();
    let mut owner = RawClient::pop3_signed_in(&server, "u1");
    let (mut other, _) = RawClient::dial(server.pop3_port());
    other.stream.get_ref().set_read_timeout(Some(2 * SOON)).unwrap();
    other.ask("USER u1");
    assert_eq!(other.ask("PASS pw"), "-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n");
    assert_eq!(other.line(), "");
    let (_, end) = after_end_of(&server, &other);
    assert_eq!(end.reason, "Couldn't lock POP3 session");
    assert!(owner.ask("NOOP").starts_with("+OK"));
    RawClient::pop3_signed_in(&server, "u2");
}

#[test]
fn what_smtp_accepts_is_seen_by_imap_and_by_pop3() {
    let server = PrivateDovecot::builder().postfix().start();
    let script = "
import smtplib, ssl, sys
port, ca, password = int(sys.argv[1]), sys.argv[2], open(sys.argv[3]).read()
smtp = smtplib.SMTP_SSL('localhost', port, local_hostname='tls.example', context=ssl.create_default_context(cafile=ca))
smtp.login('u1', password)
text = 'Subject: hello\\r\\nMessage-ID: <hello@localhost>\\r\\n\\r\\nHello.\\r\\n'
assert smtp.sendmail('u1@localhost', ['u1', 'u2@localhost'], text) == {}
smtp.quit()
";
    let files = [server.ca_file(), server.password_file()].map(|path| path.to_str().unwrap().to_owned());
    python(script, &[&server.smtps_port().to_string(), &files[0], &files[1]]);
    let log =
        server.wait_for_postfix(SOON, |log| log.messages.iter().map(|message| message.sent()).sum::<usize>() == 2);
    let session = log.named("tls.example").unwrap();
    assert_eq!(session.tls.as_deref(), Some("TLSv1.3"));
    assert_eq!(session.signed_in, Some(("PLAIN".to_owned(), "u1".to_owned())));
    let [message] = log.messages_of(session)[..] else { panic!("{log:?}") };
    assert_eq!(message.message_id.as_deref(), Some("<hello@localhost>"));
    let recipients: Vec<_> = message.deliveries.iter().map(|delivery| delivery.recipient.as_str()).collect();
    assert_eq!(recipients, ["u1@localhost", "u2@localhost"]);

    for user in ["u1", "u2"] {
        let mut imap = RawClient::signed_in(&server, user);
        imap.command("EXAMINE INBOX");
        let found = imap.command("SEARCH HEADER Message-ID <hello@localhost>");
        assert_eq!(found[0], "* SEARCH 31\r\n", "once, after those that were there");
        let mut pop3 = RawClient::pop3_signed_in(&server, user);
        assert!(pop3.ask("STAT").starts_with("+OK 31 "));
    }
}

#[test]
fn postfix_counts_the_commands_of_each_connection() {
    let server = PrivateDovecot::builder().postfix().start();
    let mut clients = ["run1-s1.example", "run1-s2.example"].map(|name| RawClient::smtp_signed_in(&server, name, "u3"));
    for (number, client) in clients.iter_mut().enumerate() {
        for message in 0..=number {
            assert!(client.ask("MAIL FROM:<u3@localhost>").starts_with("250 "));
            assert_eq!(
                client.ask("RCPT TO:<nobody@localhost>"),
                "550 5.1.1 <nobody@localhost>: Recipient address rejected: User unknown in local recipient table\r\n"
            );
            assert_eq!(
                client.ask("RCPT TO:<u3@example.org>"),
                "554 5.7.1 <u3@example.org>: Relay access denied\r\n",
                "no mail leaves this machine"
            );
            assert!(client.ask("RCPT TO:<u3@localhost>").starts_with("250 "));
            assert!(client.ask("DATA").starts_with("354 "));
            let text = format!("Message-ID: <{number}.{message}@localhost>\r\n\r\nHello.\r\n.");
            assert!(client.ask(&text).starts_with("250 2.0.0 Ok: queued as "));
        }
        assert_eq!(client.ask("QUIT"), "221 2.0.0 Bye\r\n");
    }
    let log = server.wait_for_postfix(SOON, |log| {
        log.sessions.iter().filter(|session| session.counts.is_some()).count() == 2
            && log.messages.iter().map(|message| message.sent()).sum::<usize>() == 3
    });
    for (number, client) in clients.iter().enumerate() {
        let session = log.on_port(client.port()).unwrap();
        assert_eq!(session.names, [format!("run1-s{}.example", number + 1)]);
        assert_eq!((session.tls.as_deref(), session.lost_after.as_deref()), (None, None));
        let sent = number as u64 + 1;
        let counts = session.counts.as_ref().unwrap();
        assert_eq!(counts["rcpt"], Count { ok: sent, total: 3 * sent });
        assert_eq!(counts["commands"], Count { ok: 3 + 3 * sent, total: 3 + 5 * sent });
        assert_eq!(["auth", "mail", "data", "quit"].map(|name| counts[name].ok), [1, sent, sent, 1]);
        assert_eq!(session.rejects.len() as u64, 2 * sent);
        let expected: Vec<_> = (0..=number).map(|message| Some(format!("<{number}.{message}@localhost>"))).collect();
        let ids: Vec<_> = log.messages_of(session).iter().map(|message| message.message_id.clone()).collect();
        assert_eq!(ids, expected);
    }
}

#[test]
fn postfix_takes_no_mail_from_those_who_have_not_signed_in() {
    let server = PrivateDovecot::builder().postfix().start();
    let (mut client, _) = RawClient::dial(server.smtp_port());
    client.ask("HELO early.example");
    client.ask("MAIL FROM:<u1@localhost>");
    let refused = "554 5.7.1 <u1@localhost>: Recipient address rejected: Access denied";
    assert_eq!(client.ask("RCPT TO:<u1@localhost>"), format!("{refused}\r\n"));
    assert_eq!(client.ask("QUIT"), "221 2.0.0 Bye\r\n");
    let port = client.port();
    let log = server.wait_for_postfix(SOON, |log| log.on_port(port).is_some_and(|session| session.counts.is_some()));
    let session = log.on_port(port).unwrap();
    assert_eq!((session.rejects.as_slice(), &session.signed_in), ([refused.to_owned()].as_slice(), &None));
}

#[test]
fn postfix_refuses_one_connection_too_many_and_one_noop_too_many() {
    let server = PrivateDovecot::builder().postfix().max_smtp_connections(2).set("SMTP_JUNK_LIMIT", "3").start();
    let (mut first, _) = RawClient::dial(server.smtp_port());
    let (_second, _) = RawClient::dial(server.smtp_port());
    let (mut refused, greeting) = RawClient::dial(server.smtp_port());
    assert_eq!(greeting, "421 4.7.0 localhost Error: too many connections from 127.0.0.1\r\n");
    assert_eq!(refused.line(), "");
    // The three allowed, the one that passes the limit, and twenty that count as errors.
    for _ in 0..24 {
        assert_eq!(first.ask("NOOP"), "250 2.0.0 Ok\r\n");
    }
    assert_eq!(first.ask("NOOP"), "421 4.7.0 localhost Error: too many errors\r\n");

    let log = server
        .wait_for_postfix(SOON, |log| log.sessions.iter().filter(|session| session.counts.is_some()).count() == 2);
    let session = log.on_port(first.port()).unwrap();
    assert_eq!((session.too_many_errors_after.as_deref(), session.count("noop")), (Some("NOOP"), Some(24)));
    let over: Vec<_> = log.limit_refusals().map(|session| session.client_port).collect();
    assert_eq!(over, [refused.port()]);
}

#[test]
fn two_servers_with_postfix_side_by_side_leave_nothing_behind() {
    let [one, other] = [(); 2].map(|()| PrivateDovecot::builder().postfix().set("SMTP_SINK", "yes").start());
    let (mut sink, greeting) = RawClient::dial(one.smtp_sink_port());
    assert!(greeting.starts_with("220 "), "{greeting}");
    assert!(sink.ask("HELO sunk.example").starts_with("250 "));
    let client = RawClient::smtp_signed_in(&one, "one.example", "u1");
    let port = client.port();
    assert!(other.postfix_log().named("one.example").is_none());
    one.wait_for_postfix(SOON, |log| log.on_port(port).is_some());
    // Not even a process that can't hear the signal that ends it.
    let directory = one.ca_file().parent().and_then(Path::parent).unwrap().to_owned();
    let master = std::fs::read_to_string(directory.join("postfix-master")).unwrap();
    let master: u32 = master.split(' ').next().unwrap().parse().unwrap();
    signal(master, "STOP");
    let group = one.pid();
    assert!(processes_of(group, &directory) > 8);
    let ports = [one.smtp_port(), one.smtps_port(), one.smtp_sink_port(), one.pop3_port()];
    drop(one);
    assert_eq!(processes_of(group, &directory), 0);
    assert!(!directory.exists());
    assert!(ports.iter().all(|port| TcpStream::connect((Ipv4Addr::LOCALHOST, *port)).is_err()));
    RawClient::smtp_signed_in(&other, "other.example", "u1");
}

#[test]
fn each_wrong_certificate_has_one_thing_wrong_with_it() {
    let script = "
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[1])
for port in sys.argv[2:]:
    try:
        context.wrap_socket(socket.create_connection(('localhost', int(port))), server_hostname='localhost')
        print('accepted')
    except ssl.SSLCertVerificationError as error:
        print(error.verify_message)
";
    for (fault, said) in [
        ("expired", "certificate has expired"),
        ("notyet", "certificate is not yet valid"),
        ("wrongname", "Hostname mismatch, certificate is not valid for 'localhost'."),
        ("unknown", "unable to get local issuer certificate"),
        ("good", "accepted"),
    ] {
        let server = PrivateDovecot::builder().postfix().certificate(fault).start();
        let ports = [server.imaps_port(), server.pop3s_port(), server.smtps_port()].map(|port| port.to_string());
        let printed = python(script, &[server.ca_file().to_str().unwrap(), &ports[0], &ports[1], &ports[2]]);
        assert_eq!(printed.lines().collect::<Vec<_>>(), [said; 3], "{fault}");
    }
}

#[test]
fn a_client_certificate_may_be_required() {
    let server = PrivateDovecot::builder().postfix().client_certificate_required().start();
    let script = "
import imaplib, smtplib, ssl, sys
imaps, smtps, ca, certificate, key = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
def sign_in(context):
    try:
        print(imaplib.IMAP4_SSL('localhost', imaps, ssl_context=context).login('u1', 'pw')[1][0].decode())
        print(smtplib.SMTP_SSL('localhost', smtps, context=context).login('u1', 'pw')[1].decode())
    except imaplib.IMAP4.error as error:
        print(error)
context = ssl.create_default_context(cafile=ca)
sign_in(context)
context.load_cert_chain(certificate, key)
sign_in(context)
";
    let (certificate, key) = server.client_certificate();
    let files = [server.ca_file(), &certificate, &key].map(|path| path.to_str().unwrap());
    let ports = [server.imaps_port(), server.smtps_port()].map(|port| port.to_string());
    let printed = python(script, &[&ports[0], &ports[1], files[0], files[1], files[2]]);
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines[0], r#"b"[ALERT] Client didn't present valid SSL certificate""#);
    assert_eq!(lines[1..], ["Logged in", "2.7.0 Authentication successful"]);
}

fn initial_response(mechanism: &str, user: &str, token_file: &Path) -> String {
    let token = std::fs::read_to_string(token_file).unwrap();
    BASE64_STANDARD.encode(match mechanism {
        "XOAUTH2" => format!("user={user}\x01auth=Bearer {token}\x01\x01"),
        _ => format!("n,a={user},\x01host=localhost\x01port=143\x01auth=Bearer {token}\x01\x01"),
    })
}

#[test]
fn an_expired_token_is_refused_after_a_challenge_that_says_why() {
    let server = PrivateDovecot::builder().postfix().start();
    for (mechanism, challenge, answer) in [
        ("XOAUTH2", r#"{"status":"401","schemes":"bearer","scope":"mail"}"#, ""),
        ("OAUTHBEARER", r#"{"status":"invalid_token"}"#, "AQ=="),
    ] {
        let challenge = BASE64_STANDARD.encode(challenge);
        let expired = initial_response(mechanism, "u1", &server.expired_token_file("u1"));
        let valid = initial_response(mechanism, "u1", &server.token_file("u1"));

        let mut imap = RawClient::connect(&server);
        assert_eq!(imap.ask(&format!("a AUTHENTICATE {mechanism} {expired}")), format!("+ {challenge}\r\n"));
        assert_eq!(imap.ask(answer), "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");
        assert!(imap.ask(&format!("b AUTHENTICATE {mechanism} {valid}")).starts_with("b OK "), "the same connection");

        let (mut pop3, _) = RawClient::dial(server.pop3_port());
        assert_eq!(pop3.ask(&format!("AUTH {mechanism} {expired}")), format!("+ {challenge}\r\n"));
        assert_eq!(pop3.ask(answer), "-ERR [AUTH] Authentication failed.\r\n");
        assert_eq!(pop3.ask(&format!("AUTH {mechanism} {valid}")), "+OK Logged in.\r\n");

        let (mut smtp, _) = RawClient::dial(server.smtp_port());
        smtp.ask("HELO token.example");
        assert_eq!(smtp.ask(&format!("AUTH {mechanism} {expired}")), format!("334 {challenge}\r\n"));
        assert_eq!(smtp.ask(answer), "535 5.7.8 Error: authentication failed: (reason unavailable)\r\n");
        assert_eq!(smtp.ask(&format!("AUTH {mechanism} {valid}")), "235 2.7.0 Authentication successful\r\n");

        let port = smtp.port();
        let refused = |log: &crate::support::postfix_log::PostfixLog| {
            log.on_port(port).is_some_and(|session| session.refused_sign_ins == [mechanism])
        };
        server.wait_for_postfix(SOON, refused);
    }
    let log = server.wait_for(SOON, |log| log.refused_sign_ins.len() == 4 && log.sessions.len() == 4);
    let said = "oauth2 failed: Local validation failed: Token has expired";
    assert!(
        log.refused_sign_ins.iter().all(|refused| (refused.user.as_str(), refused.reason.as_str()) == ("u1", said))
    );
    let methods: Vec<_> = log.sessions.iter().map(|session| session.method.as_str()).collect();
    assert_eq!(methods, ["XOAUTH2", "XOAUTH2", "OAUTHBEARER", "OAUTHBEARER"]);
}

#[test]
fn a_token_signs_in_only_the_user_it_was_given_to() {
    let server = PrivateDovecot::start();
    let response = initial_response("XOAUTH2", "u2", &server.token_file("u1"));
    let mut imap = RawClient::connect(&server);
    assert!(imap.ask(&format!("a AUTHENTICATE XOAUTH2 {response}")).starts_with("+ "));
    assert_eq!(imap.ask(""), "a NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");
}

#[test]
fn scram_proves_both_sides_knowledge_of_the_password() {
    let server = PrivateDovecot::builder().mechanisms("scram-sha-256").start();
    let script = "
import base64, hashlib, hmac, imaplib, sys
port, password = int(sys.argv[1]), open(sys.argv[2]).read().encode()
sha = lambda key, text: hmac.digest(key, text, 'sha256')
first = b'n=u1,r=clientnonce'
def answer(challenge, state={}):
    if not challenge:
        return b'n,,' + first
    fields = dict(field.split(b'=', 1) for field in challenge.split(b','))
    if b'v' in fields:
        assert base64.b64decode(fields[b'v']) == state['server'], 'the server does not know the password'
        return b''
    salted = hashlib.pbkdf2_hmac('sha256', password, base64.b64decode(fields[b's']), int(fields[b'i']))
    last = b'c=biws,r=' + fields[b'r']
    whole = first + b',' + challenge + b',' + last
    key = sha(salted, b'Client Key')
    signature = sha(hashlib.sha256(key).digest(), whole)
    state['server'] = sha(sha(salted, b'Server Key'), whole)
    return last + b',p=' + base64.b64encode(bytes(a ^ b for a, b in zip(key, signature)))
imap = imaplib.IMAP4('127.0.0.1', port)
print(sorted(word for word in imap.capabilities if word.startswith('AUTH=')))
imap.authenticate('SCRAM-SHA-256', answer)
imap.logout()
";
    let password = server.password_file().to_str().unwrap();
    let offered = python(script, &[&server.imap_port().to_string(), password]);
    assert_eq!(offered, "['AUTH=SCRAM-SHA-256']\n");
    let log = server.wait_for(SOON, |log| log.sessions.len() == 1);
    assert_eq!(log.sessions[0].method, "SCRAM-SHA-256");
}
