//! The command itself, run on a private server by a user who reads its streamed report.

use crate::cli::process::is_sound;
use crate::support::dovecot::{PrivateDovecot, signal};
use crate::support::dovecot_log::Session;
use crate::support::unconfigured;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What must come, comes within this, on a busy machine too.
pub const SOON: Duration = Duration::from_secs(20);

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protection {
    Plain,
    StartTls,
    Tls,
}

/// What is spoken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Protocol {
    Imap,
    Smtp,
    Pop3,
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Imap, Self::Smtp, Self::Pop3];

    pub fn url(self, server: &PrivateDovecot, user: &str, protection: Protection) -> String {
        let tls = protection == Protection::Tls;
        let (scheme, port) = match (self, tls) {
            (Self::Imap, false) => ("imap", server.imap_port()),
            (Self::Imap, true) => ("imaps", server.imaps_port()),
            (Self::Smtp, false) => ("smtp", server.smtp_port()),
            (Self::Smtp, true) => ("smtps", server.smtps_port()),
            (Self::Pop3, false) => ("pop3", server.pop3_port()),
            (Self::Pop3, true) => ("pop3s", server.pop3s_port()),
        };
        format!("{scheme}://{user}@127.0.0.1:{port}")
    }
}

/// A `mailconn run` that has yet to start.
pub struct Tool(Command);

/// One that runs.
pub struct Running {
    child: Child,
    dir: TempDir,
}

/// One that has ended.
pub struct Finished {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Tool {
    /// By IMAP, as `user`, whose password is read from the server's file. By AUTHENTICATE PLAIN: its bytes can be counted.
    pub fn on(server: &PrivateDovecot, user: &str, protection: Protection) -> Self {
        Self::speaking(Protocol::Imap, server, user, protection).with("--auth plain")
    }

    /// By any protocol, in the strongest way.
    pub fn speaking(protocol: Protocol, server: &PrivateDovecot, user: &str, protection: Protection) -> Self {
        let mut tool = Self::bare(protocol, server, user, protection);
        tool.0.arg("--password-file").arg(server.password_file());
        tool
    }

    /// The same with nothing to sign in with yet.
    pub fn bare(protocol: Protocol, server: &PrivateDovecot, user: &str, protection: Protection) -> Self {
        Self::dialling(&protocol.url(server, user, protection)).protected(server, protection)
    }

    fn protected(mut self, server: &PrivateDovecot, protection: Protection) -> Self {
        if protection == Protection::StartTls {
            self.0.arg("--starttls");
        }
        if protection != Protection::Plain {
            self.0.arg("--ca-file").arg(server.ca_file());
        }
        self
    }

    /// With those words, and nothing of the test's own environment.
    fn of<A: AsRef<OsStr>>(words: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mailconn"));
        unconfigured(&mut command).args(words);
        Self(command)
    }

    /// To any address, with no password yet.
    pub fn dialling(url: &str) -> Self {
        Self::of(["run", "--server", url])
    }

    /// `mailconn check` in place of a run, by any protocol, in the strongest way.
    pub fn checking(protocol: Protocol, server: &PrivateDovecot, user: &str, protection: Protection) -> Self {
        let tool = Self::checking_url(&protocol.url(server, user, protection));
        tool.protected(server, protection).flag("--password-file", server.password_file())
    }

    /// The same at any address, with no password yet.
    pub fn checking_url(url: &str) -> Self {
        Self::of(["check", url])
    }

    /// `mailconn limits` at any address, with no password yet.
    pub fn probing(url: &str) -> Self {
        Self::of(["limits", url])
    }

    /// `mailconn report` of that stored stream.
    pub fn telling(stored: &Path) -> Self {
        Self::of([OsStr::new("report"), stored.as_os_str()])
    }

    /// `mailconn scenario` with those names.
    pub fn performing(names: &[&str], protocol: Protocol, server: &PrivateDovecot, user: &str) -> Self {
        let url = protocol.url(server, user, Protection::Plain);
        let mut tool = Self::of(["scenario"]);
        tool.0.args(names).args(["--server", &url]);
        tool.flag("--password-file", server.password_file())
    }

    /// More flags, as one would type them.
    pub fn with(mut self, flags: &str) -> Self {
        self.0.args(flags.split_whitespace());
        self
    }

    /// One more flag, whose value may hold anything.
    pub fn flag(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.0.arg(name).arg(value);
        self
    }

    pub fn password(mut self, password: &str) -> Self {
        self.0.env("MAILCONN_PASSWORD", password);
        self
    }

    pub fn start(mut self) -> Running {
        let dir = tempfile::tempdir().unwrap();
        let file = |name| File::create(dir.path().join(name)).unwrap();
        let command = self.0.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap();
        Running { child, dir }
    }

    pub fn finish(self) -> Finished {
        self.start().finish()
    }

    /// Runs to the end with a streamed report.
    pub fn streamed(self) -> (Finished, Report) {
        let finished = self.with("--format ndjson").finish();
        let report = finished.report();
        (finished, report)
    }
}

impl Running {
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    pub fn finish(self) -> Finished {
        self.finish_within(SOON)
    }

    pub fn finish_within(mut self, time: Duration) -> Finished {
        let until = Instant::now() + time;
        while self.child.try_wait().unwrap().is_none() {
            if Instant::now() >= until {
                self.child.kill().unwrap();
                let said = [self.read("stdout"), self.read("stderr")];
                panic!("it runs on after {time:?}; so far: {said:#?}");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let code = code(self.child.wait().unwrap());
        Finished { code, stdout: self.read("stdout"), stderr: self.read("stderr") }
    }

    fn read(&self, name: &str) -> String {
        let path: PathBuf = self.dir.path().join(name);
        std::fs::read_to_string(path).unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed; then nothing of it shall stay behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| panic!("no exit code but {status}"))
}

impl Finished {
    pub fn report(&self) -> Report {
        Report::read(&self.stdout)
    }

    /// The table without its line breaks and columns.
    pub fn words(&self) -> String {
        self.stdout.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }
}

/// A streamed report, whole.
#[derive(Debug)]
pub struct Report(Vec<Value>);

impl Report {
    fn read(text: &str) -> Self {
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(text.ends_with('\n') && !lines.is_empty(), "half a report: {text:?}");
        for (number, line) in lines.iter().enumerate() {
            assert_eq!(line["seq"], number, "a line is missing");
        }
        assert_eq!(lines[lines.len() - 1]["event"], "run-end");
        is_sound(text);
        Self(lines)
    }

    pub fn events(&self, name: &str) -> impl Iterator<Item = &Value> {
        self.0.iter().filter(move |line| line["event"] == name)
    }

    /// All that was asked for.
    pub fn run_id(&self) -> &str {
        self.0[0]["run_id"].as_str().unwrap()
    }

    /// What it all came to.
    pub fn totals(&self) -> &Value {
        &self.0[self.0.len() - 1]
    }

    /// The operations that failed.
    pub fn failed(&self) -> impl Iterator<Item = &Value> {
        self.events("operation").filter(|operation| operation["outcome"] == "failed")
    }
}

/// issued = ok + failed, and asked = issued + not issued.
pub fn assert_sums_hold(totals: &Value) {
    let count = |name: &str| totals["operations"][name].as_u64().unwrap();
    assert_eq!(count("issued"), count("ok") + count("failed"), "{totals:#}");
    assert_eq!(count("asked"), count("issued") + count("not_issued"), "{totals:#}");
}

/// What was found, but for advice: that depends on how busy the machine is.
pub fn finding_ids(totals: &Value) -> Vec<&str> {
    let findings = totals["findings"].as_array().unwrap().iter().filter(|finding| finding["severity"] != "advice");
    findings.map(|finding| finding["id"].as_str().unwrap()).collect()
}

/// Suspends these sessions' processes at a moment when each has a command that it has not read: its client waits.
///
/// A process may be caught between reading and answering, and that can't be seen from outside: then it goes on for a
/// moment and is caught again.
pub fn hold_up(server: &PrivateDovecot, sessions: &[&Session]) {
    let until = Instant::now() + SOON;
    for session in sessions {
        signal(session.pid, "STOP");
    }
    for session in sessions {
        hold_up_process(session.pid, server.imap_port(), session.client_port, until);
    }
}

/// The same for the process that serves one session, on any server.
pub fn hold_up_process(pid: u32, server_port: u16, client_port: u16, until: Instant) {
    signal(pid, "STOP");
    // On a busy machine it takes a while until the process gets to run at all.
    let mut moment = Duration::from_millis(3);
    while !has_unread_command(pid, server_port, client_port, Duration::from_millis(200)) {
        assert!(is_alive(pid), "the run was over before port {client_port} could be held up");
        assert!(Instant::now() < until, "no command comes on port {client_port}");
        signal(pid, "CONT");
        std::thread::sleep(moment);
        signal(pid, "STOP");
        moment = (moment * 2).min(Duration::from_millis(50));
    }
}

fn has_unread_command(pid: u32, server_port: u16, client_port: u16, patience: Duration) -> bool {
    let until = Instant::now() + patience;
    loop {
        if is_suspended(pid) && unread_bytes(server_port, client_port) > 0 {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn is_alive(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}

fn is_suspended(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('T'))
}

/// Bytes from the client that the server's process has not read. Without TLS that process has the socket itself.
fn unread_bytes(server_port: u16, client_port: u16) -> u64 {
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let here = |port| format!("0100007F:{port:04X}");
    let (local, remote) = (here(server_port), here(client_port));
    let fields = sockets.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut ours = fields.filter(|field| field.get(1..3) == Some(&[&*local, &*remote]));
    let queues = ours.next().map(|field| field[4].to_owned()).unwrap_or_default();
    queues.split_once(':').map_or(0, |(_, unread)| u64::from_str_radix(unread, 16).unwrap())
}
