//! Where the secret comes from: each source signs in, each trouble is one line, and nothing repeats the secret.

use std::fs::{File, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::process::{Ended, PASSWORD, end, eventually, mailconn, obey, shell};
use crate::protocol::scripted::{GREETING, Server};
use crate::support::unconfigured;

/// Not what `process` looks for in every output: so that this file's tests fail by their own eyes.
const CANARY: &str = "kanari-Vogel_7391";

/// No piece of the canary: neither in the clear nor in base64, wherever it begins there.
#[track_caller]
fn tells_nothing(ended: &Ended) {
    for text in [&ended.stdout, &ended.stderr] {
        assert!(!text.contains(CANARY), "a secret is out: {text}");
        for before in ["", "x", "xx"] {
            let encoded = STANDARD.encode(format!("{before}{CANARY}"));
            assert!(!text.contains(&encoded[4..encoded.len() - 4]), "a secret is out: {text}");
        }
    }
}

/// A server that knows joe by the canary, and says what it heard if it was another word.
fn knows_the_canary() -> Server {
    Server::start(|peer| {
        peer.send(GREETING);
        let Some(line) = peer.line() else { return };
        let (tag, command) = line.split_once(' ').unwrap();
        if command == format!("LOGIN \"joe\" \"{CANARY}\"") {
            peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"));
        } else {
            peer.send(&format!("{tag} NO [AUTHENTICATIONFAILED] no\r\n"));
        }
        obey(peer);
    })
}

fn against(url: &str, args: &[&str]) -> Command {
    let work = ["run", "-n", "1", "-t", "2", "--ops", "noop", "--server", url];
    mailconn(work.iter().chain(args))
}

#[track_caller]
fn signs_in(server: &Server, command: &mut Command) -> Ended {
    let before = server.heard_verb("LOGIN");
    let ended = end(command);
    tells_nothing(&ended);
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(server.heard_verb("LOGIN") > before);
    ended
}

/// A server that must never hear of it.
struct Unheard(TcpListener);

impl Unheard {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    fn command(&self, args: &[&str]) -> Command {
        against(&format!("imap://joe@{}", self.0.local_addr().unwrap()), args)
    }

    #[track_caller]
    fn refuses(&self, args: &[&str], cure: &str) -> Ended {
        self.refuses_command(&mut self.command(args), cure)
    }

    #[track_caller]
    fn refuses_command(&self, command: &mut Command, cure: &str) -> Ended {
        let ended = end(command);
        let said = &ended.stderr;
        assert_eq!((ended.code, ended.stdout.as_str()), (2, ""), "{said}");
        assert!(said.ends_with('\n') && said.lines().count() == 1, "one line: {said:?}");
        assert!(said.starts_with("mailconn: ") && said.contains(cure), "{said:?} should say {cure:?}");
        tells_nothing(&ended);
        assert!(self.0.accept().is_err(), "it was dialled");
        ended
    }
}

fn file(directory: &Path, name: &str, text: &str, mode: u32) -> PathBuf {
    let path = directory.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
    path
}

#[test]
fn each_source_signs_in_and_nothing_repeats_the_secret() {
    let server = knows_the_canary();
    let url = format!("imap://joe@{}", server.address);
    let directory = tempfile::tempdir().unwrap();
    let path = file(directory.path(), "password", &format!("{CANARY}\r\n"), 0o600);
    let path = path.to_str().unwrap();
    let echo = format!("echo {CANARY}");
    for format in ["table", "json", "ndjson"] {
        let run = |args: &[&str]| against(&url, &[&["--format", format], args].concat());
        let quiet = |ended: Ended| assert_eq!(ended.stderr, "");
        quiet(signs_in(&server, run(&[]).env("MAILCONN_PASSWORD", CANARY)));
        quiet(signs_in(&server, &mut run(&["--password-file", path])));
        quiet(signs_in(&server, &mut run(&["--password-command", &echo])));
        quiet(signs_in(&server, run(&["--password-stdin"]).stdin(File::open(path).unwrap())));
        // A flag comes before the environment.
        quiet(signs_in(&server, run(&["--password-command", &echo]).env("MAILCONN_PASSWORD", "another")));
    }
}

#[test]
fn standard_input_and_process_substitution_may_take_their_time() {
    let server = knows_the_canary();
    let run = format!("{{}} run -n 1 -t 1 --ops noop --server imap://joe@{}", server.address);
    signs_in(&server, &mut shell(&format!("(sleep 0.1; echo {CANARY}; echo more) | {run} --password-stdin")));
    signs_in(&server, &mut shell(&format!("{run} --password-file <(sleep 0.1; echo {CANARY})")));
    signs_in(&server, &mut shell(&format!("printf {CANARY} | {run} --password-stdin")));
}

#[test]
fn of_what_a_command_writes_the_first_line_counts() {
    let server = knows_the_canary();
    let url = format!("imap://joe@{}", server.address);
    for command in [
        format!("echo {CANARY}; echo user: joe; echo and more"),
        format!("printf {CANARY}"),
        format!("printf '{CANARY}\\r\\n'"),
        "printf kanari; sleep 0.05; printf -- '-Vogel_7391\\n'".to_owned(),
        // It closes its output before its end.
        format!("echo {CANARY}; exec >&-; sleep 0.05"),
        // Nothing comes of standard input.
        format!("cat; echo {CANARY}"),
    ] {
        signs_in(&server, &mut against(&url, &["--password-command", &command]));
    }
}

#[test]
fn what_a_command_leaves_running_is_not_waited_for() {
    let server = knows_the_canary();
    let directory = tempfile::tempdir().unwrap();
    let number = directory.path().join("number");
    // It holds the command's output open.
    let command = format!("sleep 300 2>&- & echo $! >{}; echo {CANARY}", number.display());
    let url = format!("imap://joe@{}", server.address);
    signs_in(&server, &mut against(&url, &["--password-command", &command]));
    let number = std::fs::read_to_string(&number).unwrap();
    assert!(Command::new("kill").arg(number.trim()).status().unwrap().success(), "nor is it ended");
}

#[test]
fn a_command_that_brings_no_password_is_told_in_one_line_before_anything_is_dialled() {
    let server = Unheard::new();
    for (command, cure) in [
        (format!("echo {CANARY}; exit 3"), "--password-command failed (exit status: 3); run it by hand"),
        (format!("echo {CANARY}; kill -9 $$"), "--password-command failed (signal: 9"),
        ("true".to_owned(), "--password-command: there is no secret on the first line"),
        (format!("echo; echo {CANARY}"), "there is no secret on the first line"),
        (format!("printf '{CANARY}\\377'"), "not UTF-8"),
        (format!("printf '{CANARY}\\0'"), "a NUL character"),
        (format!("while :; do printf {CANARY}; done"), "--password-command: too long for a password"),
    ] {
        server.refuses(&["--password-command", &command], cure);
    }
    // What it says on standard error is for the person before the terminal.
    let ended = end(&mut server.command(&["--password-command", "echo locked >&2; exit 1"]));
    assert!(ended.stderr.starts_with("locked\nmailconn: --password-command failed"), "{}", ended.stderr);
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_that_it_started() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let numbers = directory.path().join("numbers");
    let command = format!("echo $$ >{0}; sleep 300 & echo $! >>{0}; wait; echo {CANARY}", numbers.display());
    let args = ["--connect-timeout", "400ms", "--password-command", &command];
    let ended = server.refuses(&args, "--password-command took longer than --connect-timeout allows, and was stopped");
    assert!(ended.took >= Duration::from_millis(400) && ended.took < Duration::from_secs(20), "{:?}", ended.took);
    let started = std::fs::read_to_string(&numbers).unwrap();
    assert_eq!(started.lines().count(), 2);
    for number in started.lines() {
        let stat = format!("/proc/{number}/stat");
        // Whoever adopts it may not have buried it yet.
        eventually("it still runs", || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z ")));
    }
    // It writes without end, but too little to be too much.
    let drip = format!("while :; do printf x; sleep 0.01; done; echo {CANARY}");
    server.refuses(&["--connect-timeout", "200ms", "--password-command", &drip], "took longer");
}

#[test]
fn no_command_inherits_the_password_of_the_environment() {
    let server = knows_the_canary();
    let url = format!("imap://joe@{}", server.address);
    let directory = tempfile::tempdir().unwrap();
    let seen = directory.path().join("seen");
    let command = format!("tr '\\0' '\\n' </proc/self/environ >{}; echo {CANARY}", seen.display());
    let mut run = against(&url, &["--password-command", &command]);
    signs_in(&server, run.env("MAILCONN_PASSWORD", PASSWORD).env("ANOTHER", "kept"));
    let seen = std::fs::read_to_string(seen).unwrap();
    assert!(seen.contains("ANOTHER=kept") && !seen.contains("MAILCONN_PASSWORD") && !seen.contains(PASSWORD));
}

#[test]
fn a_file_that_others_can_read_is_warned_of_and_one_that_they_can_write_is_refused() {
    let server = knows_the_canary();
    let url = format!("imap://joe@{}", server.address);
    let directory = tempfile::tempdir().unwrap();
    for mode in [0o640, 0o604, 0o644] {
        let path = file(directory.path(), "password", CANARY, mode);
        let ended = signs_in(&server, &mut against(&url, &["--password-file", path.to_str().unwrap()]));
        let warning =
            format!("mailconn: WARNING: --password-file {}: other users can read it; chmod 600 it\n", path.display());
        assert_eq!(ended.stderr, warning, "{mode:o}");
    }
    let unheard = Unheard::new();
    for mode in [0o620, 0o602, 0o666] {
        let path = file(directory.path(), "password", CANARY, mode);
        unheard.refuses(&["--password-file", path.to_str().unwrap()], "other users can write it");
    }
}

#[test]
fn a_source_that_never_speaks_is_not_waited_for_without_end() {
    let server = Unheard::new();
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let patience = ["--connect-timeout", "200ms"];
    let args = [patience.as_slice(), &["--password-file", fifo.to_str().unwrap()]].concat();
    server.refuses(&args, "nothing more came within --connect-timeout");

    let args = [patience.as_slice(), &["--password-stdin"]].concat();
    let started = Instant::now();
    let (silent, mut open) = std::io::pipe().unwrap();
    open.write_all(CANARY.as_bytes()).unwrap();
    let mut command = server.command(&args);
    server.refuses_command(command.stdin(silent), "--password-stdin: nothing more came within --connect-timeout");
    drop(open);
    assert!(started.elapsed() < Duration::from_secs(20));
}

#[test]
fn standard_input_must_hold_a_password() {
    let server = Unheard::new();
    for (text, cure) in [
        (b"".as_slice(), "--password-stdin: there is no secret on the first line"),
        (b"\nsecond\n", "no secret on the first line"),
        (b"\xff\n", "not UTF-8"),
    ] {
        let (input, mut output) = std::io::pipe().unwrap();
        output.write_all(text).unwrap();
        drop(output);
        server.refuses_command(server.command(&["--password-stdin"]).stdin(input), cure);
    }
    server.refuses_command(server.command(&["--password-stdin"]).stdin(File::open("/dev/zero").unwrap()), "too long");
}

/// The command on a terminal, which script(1) gives it. What it shows begins with the terminal's name and ends with the
/// command's exit code.
pub fn on_a_terminal(command: &Command) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let mut script = Command::new("script");
    script.args(["-qec", &format!("tty; {}; echo code $?", quoted.join(" ")), "/dev/null"]);
    unconfigured(&mut script);
    script
}

#[test]
fn a_terminal_as_standard_input_is_refused_with_the_cure() {
    let server = Unheard::new();
    let said = on_a_terminal(&server.command(&["--password-stdin"])).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("--password-stdin: standard input is a terminal; leave the flag out"), "{said}");
    assert!(said.contains("code 2"), "{said}");
    assert!(server.0.accept().is_err(), "it was dialled");
}

#[test]
fn a_command_that_asks_on_the_terminal_is_told_at_once() {
    let server = Unheard::new();
    let args = ["--connect-timeout", "60s", "--password-command", "read word </dev/tty; echo $word"];
    // Standard input is not looked at here: the terminal is the one that everything of its session has.
    let said = on_a_terminal(&server.command(&args)).stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("--password-command: it was stopped, because it asks on the terminal"), "{said}");
    assert!(said.contains("code 2"), "{said}");
    assert!(server.0.accept().is_err(), "it was dialled");
}

#[test]
fn on_a_terminal_it_is_asked_for_and_not_echoed() {
    let server = knows_the_canary();
    let url = format!("imap://joe@{}", server.address);
    let mut command = on_a_terminal(&against(&url, &[]));
    let mut terminal = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
    let mut shown = Vec::new();
    while !shown.ends_with(b"Password for joe: ") {
        let mut byte = [0];
        assert_eq!(screen.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
        shown.push(byte[0]);
    }
    let shown_so_far = String::from_utf8_lossy(&shown);
    let name = shown_so_far.lines().next().unwrap();
    eventually("the terminal still echoes", || {
        let state = Command::new("stty").args(["-a", "-F", name]).output().unwrap();
        String::from_utf8_lossy(&state.stdout).split_whitespace().any(|word| word == "-echo")
    });
    writeln!(keyboard, "{CANARY}").unwrap();
    screen.read_to_end(&mut shown).unwrap();
    assert!(terminal.wait().unwrap().success());
    let shown = String::from_utf8(shown).unwrap();
    assert!(shown.contains("code 0") && !shown.contains(CANARY), "{shown}");
    assert_eq!(server.heard_verb("LOGIN"), 1, "two workers share the main connection");
}

#[test]
fn two_sources_are_one_too_many() {
    let server = Unheard::new();
    let sources: [&[&str]; 4] = [
        &["--password-command", "true"],
        &["--password-file", "/dev/null"],
        &["--password-stdin"],
        &["--token-command", "true"],
    ];
    for (number, one) in sources.iter().enumerate() {
        for other in &sources[number + 1..] {
            server.refuses(&[*one, *other].concat(), "cannot be used with");
        }
    }
}

#[test]
fn sources_and_ways_that_are_none_are_named() {
    let server = Unheard::new();
    server.refuses(
        &["--auth", "kerberos"],
        "possible values: scram-sha-256, plain, login, oauthbearer, xoauth2, user-pass",
    );
    for flags in [&["--password-stdin"][..], &["--password-command", "true"], &["--token-command", "true"]] {
        let ended = end(&mut mailconn(["run"].iter().chain(flags)));
        assert_eq!(ended.code, 2, "{flags:?}");
        assert!(
            ended.stderr.contains("the sandbox") && ended.stderr.contains("name another server"),
            "{}",
            ended.stderr
        );
    }
}
