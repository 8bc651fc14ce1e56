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
pub struct Serving {
    running: Running,
    out: BufReader<ChildStdout>,
    /// By scheme.
    addresses: BTreeMap<String, SocketAddr>,
    /// All it said, but the URLs.
    said: BTreeMap<String, String>,
}

/// Reads the announcement, of so many lines.
pub fn serving(args: &[&str], lines: usize) -> Serving {
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
    pub fn address(&self, scheme: &str) -> SocketAddr {
        self.addresses[scheme]
    }

    /// Reads its log up to a line that has this in it.
    #[track_caller]
    pub fn wait_for(&mut self, part: &str) {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            assert_ne!(self.out.read_line(&mut line).unwrap(), 0, "it ended, and never said {part}");
        }
    }

    pub fn password(&self) -> String {
        self.said["password"].split(' ').next().unwrap().to_owned()
    }

    fn talk(&self, scheme: &str) -> Talk<TcpStream> {
        Talk::to(self.addresses[scheme])
    }

    /// Ends it, and returns what else it said.
    #[track_caller]
    pub fn end(mut self, signal: &str) -> String {
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
    let summary = server.end("INT");
    for line in ["imap", "       2  connections", "pop3", "smtp", "       1  connections", "commands  LOGIN 2"] {
        assert!(summary.lines().any(|told| told == line), "{line}: {summary}");
    }
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
    let told = server.end("TERM");
    let (log, summary) = told.split_once("\n\n").unwrap();
    assert_eq!(
        summary,
        "pop3\n       1  connections\n       1  at once at most\n       1  ended with QUIT\ncommands  QUIT 1, USER 1\n"
    );
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

#[test]
fn it_keeps_the_limits_that_it_is_given_and_logs_whom_it_turned_away() {
    let args =
        ["--listen", "imap", "--like", "gmail", "--limit", "user=1", "--limit", "total=2@accept,oldest", "--log"];
    let server = serving(&args, 3);
    let sign_in = format!("a LOGIN sandbox {}", server.password());
    let mut first = server.talk("imap");
    first.hear();
    assert!(first.ask(&sign_in).starts_with("a OK"));
    let mut second = server.talk("imap");
    second.hear();
    assert_eq!(second.ask(&sign_in), "a NO [ALERT] Too many simultaneous connections. (Failure)\r\n");
    assert_eq!(second.rest(), "");
    let (mut third, mut fourth) = (server.talk("imap"), server.talk("imap"));
    assert!(third.hear().starts_with("* OK") && fourth.hear().starts_with("* OK"));
    assert_eq!(first.rest(), "* BYE [ALERT] Too many simultaneous connections. (Failure)\r\n");
    let told = server.end("INT");
    for line in [
        "refused: [ALERT] Too many simultaneous connections. (Failure)",
        "closed: too many connections, 1 command(s)",
        "closed: a newer connection took its place, 1 command(s)",
    ] {
        assert!(told.lines().any(|told| told.ends_with(line)), "{line}: {told}");
    }
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
    let complaints: Vec<_> = ended.stderr.lines().collect();
    assert!(complaints[0].ends_with("line(s) of the log were lost: nobody read them"), "{complaints:?}");
    assert!(complaints[1].ends_with("the summary was not printed: nobody read standard output"), "{complaints:?}");
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
        (&["--listen", "imap", "--ca-file", "ca.pem"], "no listener speaks TLS"),
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

/// Connections that a client leaves open, or drops without a goodbye, are the first thing that people look for.
#[test]
fn the_summary_tells_of_connections_that_leak() {
    let server = serving(&["--listen", "imap", "--listen", "imaps"], 5);
    let password = server.password();
    let sign_in = format!("a LOGIN sandbox {password}");
    let signed_in = || {
        let mut talk = server.talk("imap");
        talk.hear();
        assert!(talk.ask(&sign_in).starts_with("a OK"));
        talk
    };
    let kept: Vec<_> = (0..5).map(|_| signed_in()).collect();
    for _ in 0..2 {
        drop(signed_in());
    }
    let mut polite = signed_in();
    polite.say("b NOOP\r\nc NOOP\r\nd LOGOUT\r\n");
    assert!(polite.rest().contains("d OK"));
    let mut wrong = server.talk("imap");
    wrong.hear();
    assert!(wrong.ask("a LOGIN sandbox guess").starts_with("a NO"));
    drop(wrong);
    let mut plain = server.talk("imaps");
    plain.say("this is no TLS\r\n");
    plain.rest_as_bytes();
    // The server sees a little later that a client has gone.
    std::thread::sleep(Duration::from_millis(200));
    // Whether the server saw one go before it saw the next come is its own affair.
    let told = server.end("INT");
    let peaks = [("       7  at", "       6  at"), ("       8  at", "       6  at")];
    let signed_in =
        [("       7  signed in at", "       6  signed in at"), ("       8  signed in at", "       6  signed in at")];
    let told = peaks.iter().chain(&signed_in).fold(told, |told, (seen, due)| told.replace(seen, due));
    assert_eq!(
        told,
        "\nimap\n      10  connections\n       6  at once at most\n       8  signed in\n       6  signed in at once at most\n       \
         1  refused (a wrong password, a limit, a maildrop in use)\n       1  TLS handshakes failed\n       \
         1  ended with LOGOUT\n       2  ended by the client without LOGOUT: servers count these until they notice\n       \
         2  ended by the client before it had signed in\n       5  open at the end: their client never ended them\ncommands  LOGIN 9, NOOP 2, LOGOUT 1\n"
    );
    drop(kept);
}

#[test]
fn for_programs_each_line_is_json() {
    let server = start_unread(&mut mailconn(["sandbox", "--listen", "imaps", "--log", "--format", "json"]));
    let mut server = server;
    let mut out = BufReader::new(server.stdout());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    let listening: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&listening["event"], &listening["users"][0]), (&"listening".into(), &"sandbox".into()));
    let url = listening["urls"][0].as_str().unwrap();
    let address: SocketAddr = url.strip_prefix("imaps://sandbox@").unwrap().parse().unwrap();
    let mut plain = Talk::to(address);
    plain.say("GET / HTTP/1.1\r\n\r\n");
    plain.rest_as_bytes();
    std::thread::sleep(Duration::from_millis(200));
    server.signal("INT");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    let lines: Vec<serde_json::Value> = rest.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<_> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["opened", "not-encrypted", "closed", "summary"]);
    assert_eq!(lines[1]["text"], "TLS failed: what the client sent is not TLS");
    assert_eq!(lines[3]["protocols"]["imap"]["handshakes_failed"], 1);
    assert_eq!(lines[3]["protocols"]["imap"]["connections"], 1);
    assert_eq!(server.end().code, 0);
}

#[test]
fn a_transcript_has_all_that_was_said_but_passwords() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "Pa55 of many-words\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let to = directory.path().join("transcripts");
    let args = ["--listen", "imap", "--listen", "smtp", "--listen", "pop3", "--password-file", file.to_str().unwrap()];
    let server = serving(&[&args[..], &["--transcript", to.to_str().unwrap()]].concat(), 5);
    let sasl = "AHNhbmRib3gAUGE1NSBvZiBtYW55LXdvcmRz";
    let word = "UGE1NSBvZiBtYW55LXdvcmRz";
    for (scheme, says) in [
        ("imap", "a LOGIN sandbox \"Pa55 of many-words\"\r\nb NOOP\r\n".to_owned()),
        ("imap", "a LOGIN {7+}\r\nsandbox {18+}\r\nPa55 of many-words\r\n".to_owned()),
        ("imap", format!("a AUTHENTICATE PLAIN {sasl}\r\n")),
        ("imap", format!("a AUTHENTICATE PLAIN\r\n{sasl}\r\n")),
        ("imap", "a LOGIN sandbox Pa55\r\nof many-words\r\n".to_owned()),
        (
            "imap",
            format!(
                "a LOGIN sandbox \"Pa55 of many-words\"\r\nb LOGIN sandbox \"Pa55 of many-words\"\r\nc APPEND Sent {{{}+}}\r\nx LOGIN y\r\nkept\r\n\r\n",
                17
            ),
        ),
        ("smtp", format!("EHLO tests\r\nAUTH PLAIN {sasl}\r\n")),
        ("smtp", format!("EHLO tests\r\nAUTH LOGIN\r\nc2FuZGJveA==\r\n{word}\r\nRSET\r\n")),
        ("pop3", "USER sandbox\r\nPASS Pa55 of many-words\r\nSTAT\r\n".to_owned()),
        ("pop3", "Pa55 of many-words\r\n".to_owned()),
    ] {
        let mut talk = server.talk(scheme);
        talk.hear();
        for line in says.split_inclusive("\r\n") {
            talk.say(line);
            // Longer than a busy machine takes to read a line: what comes in one piece with a password is hidden with it.
            std::thread::sleep(Duration::from_millis(60));
        }
        drop(talk);
    }
    std::thread::sleep(Duration::from_millis(200));
    server.end("INT");
    let mut files: Vec<_> = fs::read_dir(&to).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read: Vec<_> = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    assert_eq!(read.len(), 10, "{files:?}");
    let all = read.concat();
    for secret in ["Pa55", "many-words", sasl, word, "UGE1NSBv"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
    assert!(read[0].contains(" C: a LOGIN ***\n") && read[0].contains(" S: a OK ") && read[0].contains(" C: b NOOP\n"));
    assert!(read[2].contains(" C: a AUTHENTICATE PLAIN ***\n"), "{}", read[2]);
    assert!(read[3].contains(" C: a AUTHENTICATE PLAIN\n") && read[3].contains(" S: +"), "{}", read[3]);
    assert!(read[5].contains(" C: kept\n"), "a message is shown: {}", read[5]);
    assert!(read[7].contains(" C: RSET\n"), "{}", read[7]);
    assert!(read[8].contains(" C: USER sandbox\n") && read[8].contains(" C: STAT\n"), "{}", read[8]);
    assert!(read[0].contains(" -- connected from 127.0.0.1:") && read[0].ends_with(" -- closed\n"), "{}", read[0]);
}
