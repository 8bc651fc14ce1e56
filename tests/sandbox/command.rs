//! `mailconn sandbox`, as a process: what it prints, whom it serves, and that it ends when asked to.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::ChildStdout;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::talk::{Talk, trusting};
use crate::cli::process::{Running, end, mailconn, start_unread};

/// Two seconds to end all sessions, and something for a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// A server that has said where it is.
struct Serving {
    running: Running,
    out: BufReader<ChildStdout>,
    /// By scheme.
    addresses: BTreeMap<String, SocketAddr>,
    /// All it said, but the URLs.
    said: BTreeMap<String, String>,
}

/// Reads the announcement, of so many lines.
fn serving(args: &[&str], lines: usize) -> Serving {
    let mut running = start_unread(&mut mailconn(["sandbox"].iter().chain(args)));
    let mut out = BufReader::new(running.stdout());
    let (mut addresses, mut said) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..lines {
        let mut line = String::new();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "it ended after {addresses:?} {said:?}");
        let line = line.trim_end();
        match line.split_once("://") {
            Some((scheme, rest)) => {
                let (_, address) = rest.rsplit_once('@').unwrap();
                addresses.insert(scheme.to_owned(), address.parse().unwrap());
            }
            None => {
                let (word, rest) = line.split_once(' ').unwrap();
                said.insert(word.to_owned(), rest.trim().to_owned());
            }
        }
    }
    Serving { running, out, addresses, said }
}

impl Serving {
    fn password(&self) -> String {
        self.said["password"].split(' ').next().unwrap().to_owned()
    }

    fn talk(&self, scheme: &str) -> Talk<TcpStream> {
        Talk::to(self.addresses[scheme])
    }

    /// Ends it, and returns what else it said.
    #[track_caller]
    fn end(mut self, signal: &str) -> String {
        let start = Instant::now();
        self.running.signal(signal);
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        let ended = self.running.end();
        assert_eq!((ended.code, &*ended.stderr), (0, ""));
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        rest
    }
}

#[test]
fn it_serves_all_protocols_to_whom_it_names_until_it_is_told_to_stop() {
    let directory = TempDir::new().unwrap();
    let ca = directory.path().join("ca.pem");
    let server = serving(&["--ca-file", ca.to_str().unwrap()], 9);
    assert_eq!(
        server.addresses.keys().collect::<Vec<_>>(),
        ["imap", "imaps", "pop3", "pop3s", "smtp", "smtps"],
        "{:?}",
        server.said
    );
    assert_eq!(server.said["user"], "sandbox");
    assert!(server.said["password"].ends_with("(made up for this server, and gone with it)"));
    assert_eq!(fs::read_dir(&directory).unwrap().count(), 1, "nothing else is written");
    let password = server.password();
    let config = trusting(&fs::read_to_string(&ca).unwrap());
    let mut talks = Vec::new();
    for (scheme, sign_in, accepted) in [
        ("imaps", format!("a LOGIN sandbox {password}"), "a OK"),
        ("pop3s", format!("USER sandbox\r\nPASS {password}"), "+OK"),
        ("smtps", "EHLO tests".to_owned(), "250-localhost"),
    ] {
        let mut talk = server.talk(scheme).encrypt(&config, "localhost");
        talk.hear();
        let said = talk.ask(&sign_in);
        assert!(said.starts_with(accepted), "{scheme}: {said}");
        talks.push(talk);
    }
    let mut clear = server.talk("imap");
    assert!(!clear.hear().contains("STARTTLS"));
    assert!(clear.ask(&format!("a LOGIN sandbox {password}")).starts_with("a OK"));
    assert_eq!(server.end("INT"), "");
    assert_eq!(clear.rest(), "* BYE Server is stopping.\r\n");
    assert_eq!(talks[0].rest(), "* BYE Server is stopping.\r\n");
}

#[test]
fn the_log_has_a_line_for_each_session_event() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "two words\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let args =
        ["--listen", "pop3", "--starttls", "--user", "bob@x", "--password-file", file.to_str().unwrap(), "--log"];
    let server = serving(&args, 4);
    assert_eq!(server.said["password"], format!("as in {}", file.display()));
    assert!(server.said["ca"].starts_with("not written"));
    let mut talk = server.talk("pop3");
    talk.hear();
    talk.ask("USER bob@x");
    talk.ask("QUIT");
    let peer = format!("127.0.0.1:{}", talk.port());
    let log = server.end("TERM");
    let lines: Vec<_> = log.lines().map(|line| line.split_once(' ').unwrap()).collect();
    let said: Vec<_> = lines.iter().map(|(_, said)| *said).collect();
    assert_eq!(
        said,
        [format!("#1 pop3 {peer} opened"), format!("#1 pop3 {peer} closed: signed out, 2 command(s)")],
        "{log}"
    );
    assert!(
        lines.iter().all(|(time, _)| time.len() == "2026-01-01T00:00:00.000Z".len() && time.ends_with('Z')),
        "{log}"
    );
}

/// So many sessions, each of which leaves two lines.
fn flood(address: SocketAddr, sessions: usize) {
    for _ in 0..sessions {
        let mut talk = Talk::to(address);
        talk.hear();
        assert_eq!(talk.ask("QUIT"), "221 2.0.0 Bye\r\n");
    }
}

#[test]
fn nobody_who_reads_the_log_is_no_reason_to_stop_serving() {
    let Serving { running, out, addresses, .. } = serving(&["--listen", "smtp", "--log"], 3);
    drop(out);
    flood(addresses["smtp"], 20);
    running.signal("INT");
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));

    // This reader is there, and does not read.
    let server = serving(&["--listen", "smtp", "--log"], 3);
    flood(server.addresses["smtp"], 4000);
    let start = Instant::now();
    server.running.signal("INT");
    let ended = server.running.end();
    assert_eq!(ended.code, 0);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    assert!(ended.stderr.ends_with("line(s) of the log were lost: nobody read them\n"), "{:?}", ended.stderr);
}

#[test]
fn what_makes_no_sense_is_one_line_that_names_what_would() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("imap={}", taken.local_addr().unwrap());
    let cases: [(&[&str], &str); 11] = [
        (&["--listen", "gopher"], "there are imap, imaps, smtp, smtps, pop3 and pop3s"),
        (&["--listen", "imap=here"], "as in imap=1143"),
        (&["--listen", "imap=0.0.0.0:0"], "add --expose"),
        (&["--listen", &taken], "cannot listen on"),
        (&["--listen", "imap", "--ca-file", "ca.pem"], "nothing here speaks TLS"),
        (&["--ca-file", "/no/such/directory/ca.pem"], "there is no directory"),
        (&["--user", ""], "--user needs a name"),
        (&["--user", "a", "--user", "a"], "named twice"),
        (&["--user", "a\nb"], "control character"),
        (&["--password-file", "/dev/null"], "it is empty"),
        (&["--latency", "5"], "see mailconn sandbox --help"),
    ];
    for (args, cure) in cases {
        let ended = end(&mut mailconn(["sandbox"].iter().chain(args)));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}");
        assert!(ended.stderr.contains(cure) && ended.stderr.lines().count() == 1, "{args:?}: {:?}", ended.stderr);
    }
}
