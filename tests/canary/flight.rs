//! Runs and checks against servers that repeat the sign-in: no output, no report and no transcript does.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use mailconn::protocol::Protocol;
use tempfile::TempDir;

use super::echo::{Echo, MANNERS, Manner};
use super::forms::{Eye, ODD, PLAIN, TOKEN};
use crate::cli::process::{Ended, end, eventually, mailconn, start};

/// What IMAP's LOGIN can carry, escaped.
const QUOTED: &str = "Goldammer-2c88\"\\x e_41d7";

/// What the server offers, and what is given for it.
const WAYS: [(Protocol, &str, &str); 15] = [
    (Protocol::Imap, "", QUOTED),
    (Protocol::Imap, "PLAIN", ODD),
    (Protocol::Imap, "LOGIN", ODD),
    (Protocol::Imap, "XOAUTH2", TOKEN),
    (Protocol::Imap, "OAUTHBEARER", TOKEN),
    (Protocol::Imap, "PLAIN", PLAIN),
    (Protocol::Smtp, "PLAIN", ODD),
    (Protocol::Smtp, "LOGIN", PLAIN),
    (Protocol::Smtp, "XOAUTH2", TOKEN),
    (Protocol::Smtp, "OAUTHBEARER", TOKEN),
    (Protocol::Pop3, "", ODD),
    (Protocol::Pop3, "PLAIN", PLAIN),
    (Protocol::Pop3, "LOGIN", ODD),
    (Protocol::Pop3, "XOAUTH2", TOKEN),
    (Protocol::Pop3, "OAUTHBEARER", TOKEN),
];

const FORMATS: [&[&str]; 7] = [
    &["--format", "table", "--each"],
    &[
        "-o",
        "-",
        "-o",
        "told.html",
        "-o",
        "told.md",
        "-o",
        "told.csv",
        "-o",
        "told.xml",
        "--trace-events",
        "told.trace",
    ],
    &["--format", "json", "-o", "report"],
    &["--format", "ndjson"],
    &["--format", "table", "-o", "report"],
    &["--format", "json"],
    &["--format", "ndjson", "-o", "report"],
];

/// A directory of its own for each process, in which nothing but what it wrote may stand at the end.
pub struct Nest {
    directory: TempDir,
    secret: PathBuf,
    _elsewhere: TempDir,
}

impl Nest {
    pub fn with(secret: &str) -> Self {
        let elsewhere = TempDir::new().unwrap();
        let path = elsewhere.path().join("secret");
        fs::write(&path, secret).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        Self { directory: TempDir::new().unwrap(), secret: path, _elsewhere: elsewhere }
    }

    /// The file that holds the secret.
    pub fn secret(&self) -> &Path {
        &self.secret
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = mailconn(words);
        command.current_dir(&self.directory).env("RUST_BACKTRACE", "full");
        command
    }

    /// Where the secret came out: in what was said, in what was written, in a file's name.
    pub fn leaks(&self, of: &str, ended: &Ended, eye: &Eye) -> Vec<String> {
        let said = [("stdout", &ended.stdout), ("stderr", &ended.stderr)];
        let mut leaks: Vec<_> =
            said.iter().filter_map(|(name, text)| eye.leak(&format!("{of}: {name}"), text.as_bytes())).collect();
        for (path, bytes) in self.files() {
            let name = path.strip_prefix(&self.directory).unwrap().display().to_string();
            leaks.extend(eye.leak(&format!("{of}: a name"), name.as_bytes()));
            leaks.extend(eye.leak(&format!("{of}: {name}"), &bytes));
        }
        leaks
    }

    #[track_caller]
    pub fn is_clean(&self, of: &str, ended: &Ended, eye: &Eye) {
        assert_eq!(self.leaks(of, ended, eye), [""; 0]);
    }

    /// Every file.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let (mut files, mut folders) = (Vec::new(), vec![self.directory.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push((path.clone(), fs::read(&path).unwrap()));
                }
            }
        }
        files
    }
}

/// One server, one run and one check of it: where the secret came out.
#[track_caller]
fn fly(number: usize, (protocol, offered, secret): (Protocol, &'static str, &str), manner: Manner) -> Vec<String> {
    let echo = Echo::start(protocol, offered, manner);
    let eye = Eye::for_all(&[secret]);
    let nest = Nest::with(secret);
    let url = format!("{}://joe@{}", protocol.name(), echo.server.address);
    let patience = if manner == Manner::Stalling { "250ms" } else { "20s" };
    let fetch = format!("cat {}", nest.secret().display());
    let source = if secret == TOKEN { ["--token-command", &fetch] } else { ["--connect-timeout", patience] };
    let deadline: &[&str] = if secret == TOKEN { &["--connect-timeout", patience] } else { &[] };
    let of = format!("{protocol} {offered} {manner:?}");

    let work = ["run", "--server", &url, "--mode", "use-default", "-t", "2", "-n", "2", "--ops", "noop"];
    let words = [&work, source.as_slice(), deadline, &["--transcript", "transcripts"], FORMATS[number % FORMATS.len()]]
        .concat();
    let ended = end(nest.command(&words).env("MAILCONN_PASSWORD", secret));
    let mut leaks = nest.leaks(&format!("run {of}"), &ended, &eye);
    assert!(eye.sees(&echo.heard()).is_some(), "{of}: it was never sent: {}{}", ended.stdout, ended.stderr);
    assert!(nest.files().iter().any(|(_, bytes)| bytes.windows(3).any(|three| three == b"***")), "{of}");

    if matches!(manner, Manner::Greeting | Manner::OfferingNext | Manner::Closed) {
        // This server repeats at once what another process sent: whoever hides it there tells the password to all others.
        return leaks;
    }
    let format = ["text", "json"][number / 2 % 2];
    let words = [&["check", &url, "--format", format], source.as_slice(), deadline].concat();
    let ended = end(nest.command(&words).env("MAILCONN_PASSWORD", secret));
    leaks.extend(nest.leaks(&format!("check {of}"), &ended, &eye));
    assert!(echo.repeated() > 0, "{of}: nothing was repeated: {}{}", ended.stdout, ended.stderr);
    leaks
}

#[test]
fn no_report_and_no_transcript_repeats_what_a_server_repeats() {
    // A third of all pairs: each manner with each protocol, each way with a third of the manners.
    let ways = |row| WAYS.iter().skip(row % 3).step_by(3);
    let mut flights: Vec<_> =
        MANNERS.iter().enumerate().flat_map(|(row, manner)| ways(row).map(move |way| (*way, *manner))).collect();
    // Nobody asks again what an SMTP server offers.
    flights.retain(|((protocol, ..), manner)| (*protocol, *manner) != (Protocol::Smtp, Manner::Offering));
    let (next, leaks) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::SeqCst);
                    let Some((way, manner)) = flights.get(number) else { return };
                    leaks.lock().unwrap().extend(fly(number, *way, *manner));
                }
            });
        }
    });
    let leaks = leaks.into_inner().unwrap();
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn a_run_that_is_interrupted_repeats_nothing() {
    for (number, signal) in ["INT", "TERM"].into_iter().enumerate() {
        for (protocol, offered, secret) in [WAYS[1], WAYS[7], WAYS[10]] {
            let echo = Echo::start(protocol, offered, Manner::Stalling);
            let (eye, nest) = (Eye::for_all(&[secret]), Nest::with(secret));
            let url = format!("{}://joe@{}", protocol.name(), echo.server.address);
            let work = ["run", "--server", &url, "-n", "1", "-t", "2", "--transcript", "transcripts"];
            let words = [work.as_slice(), FORMATS[number * 2]].concat();
            let running = start(nest.command(&words).env("MAILCONN_PASSWORD", secret));
            eventually("it signs in", || echo.repeated() > 0);
            running.signal(signal);
            let ended = running.end();
            assert!(ended.code > 128, "{}", ended.code);
            nest.is_clean(&format!("{protocol} {signal}"), &ended, &eye);

            let running = start(nest.command(&["check", &url]).env("MAILCONN_PASSWORD", secret));
            eventually("it signs in", || echo.repeated() > 1);
            thread::sleep(Duration::from_millis(20));
            running.signal(signal);
            nest.is_clean(&format!("check {protocol} {signal}"), &running.end(), &eye);
        }
    }
}

/// Tokens are fetched anew when one is refused as expired: neither of the two may come out.
#[test]
fn a_token_that_is_refused_as_expired_stays_a_secret() {
    let mut leaks = Vec::new();
    for protocol in Protocol::ALL {
        for (number, manner) in [Manner::Refusing, Manner::Greeting, Manner::Wrapping(40)].into_iter().enumerate() {
            let echo = Echo::refusing_first(protocol, "XOAUTH2", manner);
            let second = TOKEN.replace("ya29.", "ya30.").chars().rev().collect::<String>();
            let nest = Nest::with(TOKEN);
            let eye = Eye::for_all(&[TOKEN, &second]);
            let url = format!("{}://joe@{}", protocol.name(), echo.server.address);
            let other = nest.secret().with_file_name("second");
            fs::write(&other, &second).unwrap();
            let fetch = format!("cat {0}; mv -f {1} {0} 2>&- || true", nest.secret().display(), other.display());
            let work = ["run", "--server", &url, "-n", "2", "-t", "1", "--ops", "noop", "--token-command", &fetch];
            let words = [work.as_slice(), &["--transcript", "transcripts"], FORMATS[number]].concat();
            let ended = end(&mut nest.command(&words));
            leaks.extend(nest.leaks(&format!("{protocol} {manner:?}"), &ended, &eye));
            assert!(echo.repeated() > 0 && echo.server.accepted() == 2, "{}{}", ended.stdout, ended.stderr);
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}
