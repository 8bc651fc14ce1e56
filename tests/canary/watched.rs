//! The processes as the kernel sees them, by strace(1): what they are started with, what they read and what they write.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use mailconn::protocol::Protocol;
use tempfile::TempDir;

use super::echo::{Echo, Manner};
use super::flight::Nest;
use super::forms::{Eye, ODD, PLAIN, TOKEN};
use crate::cli::process::{Ended, end};

/// One system call.
#[derive(Debug)]
pub struct Call {
    name: String,
    /// The first argument's file as strace names it: a path, `pipe:[7]`, `TCP:[127.0.0.1:4->127.0.0.1:5]`.
    file: String,
    /// All of the line, its strings decoded.
    bytes: Vec<u8>,
}

/// What one process did, or one thread of it.
pub struct Task {
    calls: Vec<Call>,
}

impl Task {
    /// The programs that it became, in order.
    fn programs(&self) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(|call| call.name == "execve")
    }
}

/// `write(3<TCP:[127.0.0.1:4->127.0.0.1:5]>, "\x61\x62", 2) = 2`. Signals and exits are no calls.
fn call(line: &str) -> Option<Call> {
    let (name, arguments) = line.split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
        return None;
    }
    let file = match arguments.split_once(">, ") {
        Some((first, _)) if !first.contains('"') => first.split_once('<').map_or("", |(_, file)| file),
        _ => "",
    };
    let file = String::from_utf8_lossy(&decoded(file)).into_owned();
    Some(Call { name: name.to_owned(), file, bytes: decoded(line) })
}

/// strace writes every byte of a string as `\x61`.
fn decoded(line: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = line;
    while let Some((before, escaped)) = rest.split_once("\\x") {
        bytes.extend_from_slice(before.as_bytes());
        bytes.push(u8::from_str_radix(&escaped[..2], 16).unwrap());
        rest = &escaped[2..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// Runs the command under strace, which is there or the test fails: every task, every argument and every byte.
#[track_caller]
pub fn watched(command: &Command) -> (Ended, BTreeMap<String, Task>) {
    let directory = TempDir::new().unwrap();
    let mut strace = Command::new("strace");
    let calls = "trace=execve,read,readv,pread64,recvfrom,recvmsg,write,writev,pwrite64,sendto,sendmsg,sendmmsg,\
                 memfd_create,socket,connect,openat,rename,unlink,mkdir";
    strace.args(["-ff", "-v", "-xx", "-yy", "-s", "1000000", "-e", calls, "-o"]).arg(directory.path().join("task"));
    strace.arg(command.get_program()).args(command.get_args());
    strace.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    let ended = end(&mut strace);
    (ended, tasks(directory.path()))
}

fn tasks(directory: &Path) -> BTreeMap<String, Task> {
    let read = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        Task { calls: text.lines().filter_map(call).collect() }
    };
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.extension().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
}

fn is_ours(program: &Call) -> bool {
    program.bytes.starts_with(format!("execve(\"{}\"", env!("CARGO_BIN_EXE_mailconn")).as_bytes())
}

pub const WRITES: [&str; 6] = ["write", "writev", "pwrite64", "sendto", "sendmsg", "sendmmsg"];
pub const READS: [&str; 5] = ["read", "readv", "pread64", "recvfrom", "recvmsg"];

/// Where the kernel saw the secret, but for the server's socket and the source.
pub fn seen(tasks: &BTreeMap<String, Task>, server: SocketAddr, source: &str, eye: &Eye) -> Vec<String> {
    let mut seen = Vec::new();
    let to_server = format!("->{server}]");
    for (number, task) in tasks {
        // A thread of ours became no program; what a command started became one.
        let is_child = task.programs().any(|program| !is_ours(program));
        for call in &task.calls {
            let Some(leak) = eye.leak(&format!("task {number}, {}", call.name), &call.bytes) else { continue };
            let name = call.name.as_str();
            let allowed = match name {
                // What the test itself gives by the environment.
                "execve" => is_ours(call) && source == "environment",
                _ if is_child && READS.contains(&name) => call.file.ends_with("/secret"),
                _ if is_child && WRITES.contains(&name) => call.file.starts_with("pipe:"),
                _ if WRITES.contains(&name) => call.file.contains(&to_server),
                _ if READS.contains(&name) => call.file.contains(&to_server) || call.file.contains(source),
                _ => false,
            };
            if !allowed {
                seen.push(leak);
            }
        }
    }
    seen
}

pub fn how_often(tasks: &BTreeMap<String, Task>, eye: &Eye, names: &[&str], file: &str) -> usize {
    let calls = tasks.values().flat_map(|task| &task.calls);
    calls
        .filter(|call| names.contains(&&*call.name) && call.file.contains(file) && eye.sees(&call.bytes).is_some())
        .count()
}

#[test]
fn the_secret_goes_from_its_source_to_the_server_and_nowhere_else() {
    for (number, (protocol, mechanism, secret, source)) in [
        (Protocol::Imap, "PLAIN", ODD, "environment"),
        (Protocol::Pop3, "", PLAIN, "environment"),
        (Protocol::Smtp, "LOGIN", ODD, "/secret"),
        (Protocol::Imap, "", PLAIN, "pipe:"),
        (Protocol::Smtp, "XOAUTH2", TOKEN, "pipe:"),
        (Protocol::Pop3, "OAUTHBEARER", TOKEN, "pipe:"),
    ]
    .into_iter()
    .enumerate()
    {
        let (eye, nest) = (Eye::for_all(&[secret]), Nest::with(secret));
        let manner = [Manner::Grudging, Manner::Refusing][number % 2];
        let echo = Echo::start(protocol, mechanism, manner);
        let url = format!("{}://joe@{}", protocol.name(), echo.server.address);
        // In the environment there is another secret, which no command may inherit.
        let fetch = format!("env >/dev/null; cat {}", nest.secret().display());
        let path = nest.secret().to_str().unwrap();
        let flags: &[&str] = match (source, secret) {
            ("environment", _) => &[],
            ("/secret", _) => &["--password-file", path],
            (_, TOKEN) => &["--token-command", &fetch],
            _ => &["--password-command", &fetch],
        };
        for words in [
            &[
                "run",
                "-n",
                "1",
                "-t",
                "2",
                "--ops",
                "noop",
                "--transcript",
                "transcripts",
                "-o",
                "report",
                "--server",
                &url,
            ][..],
            &["check", &url],
        ] {
            let mut command = nest.command(&[words, flags].concat());
            if source == "environment" {
                command.env("MAILCONN_PASSWORD", secret);
            }
            let (ended, tasks) = watched(&command);
            let of = format!("{} {protocol} {mechanism} from {source}: {}", words[0], ended.stderr);
            assert_eq!(seen(&tasks, echo.server.address, source, &eye), [""; 0], "{of}");
            assert!(how_often(&tasks, &eye, &WRITES, &format!("->{}]", echo.server.address)) > 0, "{of}");
            let read = if source == "environment" { "->" } else { source };
            assert!(how_often(&tasks, &eye, &READS, read) > 0, "{of}");
            nest.is_clean(&of, &ended, &eye);
        }
    }
}

#[test]
fn no_command_is_started_with_the_secret_of_the_environment() {
    let echo = Echo::start(Protocol::Imap, "PLAIN", Manner::Grudging);
    let url = format!("imap://joe@{}", echo.server.address);
    for flag in ["--password-command", "--token-command"] {
        let nest = Nest::with(PLAIN);
        let fetch = format!(
            "tr '\\0' '\\n' </proc/self/environ >environment; cat /proc/$PPID/cmdline >line; cat {}",
            nest.secret().display()
        );
        let mut command = nest.command(&["check", &url, flag, &fetch]);
        let (_, tasks) = watched(command.env("MAILCONN_PASSWORD", ODD));
        let eye = Eye::for_all(&[ODD, PLAIN]);
        let (mut ours, mut others) = (0, 0);
        for program in tasks.values().flat_map(Task::programs) {
            if is_ours(program) {
                ours += 1;
                assert!(eye.sees(&program.bytes).is_some(), "strace shows the environment");
            } else {
                others += 1;
                eye.sees_nothing_in(flag, &program.bytes);
            }
        }
        assert!(ours == 1 && others >= 3, "{ours} of ours, {others} of others");
        let files = nest.files();
        assert_eq!(files.len(), 2, "{files:?}");
        for (path, bytes) in files {
            assert!(bytes.len() > 20);
            eye.sees_nothing_in(path.to_str().unwrap(), &bytes);
        }
    }
}

#[test]
fn a_call_is_read_as_strace_writes_it() {
    let read = |line| call(line).map(|call| (call.name, call.file, String::from_utf8(call.bytes).unwrap()));
    let line = r#"write(5<TCP:[127.0.0.1:4->127.0.0.1:5]>, "\x61\x22\x62", 3) = 3"#;
    let (name, file, text) = read(line).unwrap();
    assert_eq!((&*name, &*file), ("write", "TCP:[127.0.0.1:4->127.0.0.1:5]"));
    assert_eq!(text, r#"write(5<TCP:[127.0.0.1:4->127.0.0.1:5]>, "a"b", 3) = 3"#);
    assert_eq!(read(r#"read(0<\x2f\x61>, "", 9) = 0"#).unwrap().1, "/a");
    assert_eq!(read("+++ exited with 0 +++"), None);
    assert_eq!(read("--- SIGCHLD {si_signo=SIGCHLD} ---"), None);
}
