//! The private Dovecot itself: does its record say what a client did that speaks raw bytes? And what does it do to a
//! client whose session it refuses or ends? What other tests emulate and rely on is recorded here.

use crate::support::dovecot::{KICKED, PrivateDovecot, signal};
use crate::support::dovecot_log::{End, Log};
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
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, server.imap_port())).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut client = Self { stream: BufReader::new(stream), tags: 0 };
        let greeting = client.line();
        assert!(greeting.starts_with("* OK "), "{greeting}");
        client
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
        assert!(written > 0);
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

#[test]
fn a_server_ends_with_the_process_it_was_started_for() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/servers");
    let parent = tempfile::tempdir().unwrap();
    let directory = parent.path().join("server");
    std::fs::set_permissions(parent.path(), std::os::unix::fs::PermissionsExt::from_mode(0o711)).unwrap();
    let mut owner = Command::new("sleep").arg("600").spawn().unwrap();
    let up =
        Command::new(script).args(["up", "--while-pid", &owner.id().to_string()]).arg(&directory).output().unwrap();
    assert!(up.status.success(), "{}", String::from_utf8_lossy(&up.stderr));
    let printed = String::from_utf8(up.stdout).unwrap();
    let group = printed.lines().find_map(|line| line.strip_prefix("PID=")).unwrap().parse().unwrap();
    assert!(processes_of(group, &directory) > 5);
    owner.kill().unwrap(); // and isn't waited for yet: a zombie counts as gone
    let until = Instant::now() + SOON;
    while processes_of(group, &directory) > 0 || directory.exists() {
        assert!(Instant::now() < until, "it lives on");
        std::thread::sleep(Duration::from_millis(20));
    }
    owner.wait().unwrap();
}

/// Those of the process group, and those that name the directory in their arguments (as the watch does).
fn processes_of(group: u32, directory: &Path) -> usize {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let alive = processes.filter(|process| {
        let stat = std::fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let arguments = std::fs::read_to_string(process.path().join("cmdline")).unwrap_or_default();
        let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        fields[0] != "Z"
            && (fields.get(2) == Some(&group.to_string().as_str()) || arguments.contains(directory.to_str().unwrap()))
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
