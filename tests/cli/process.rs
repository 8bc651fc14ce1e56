//! The command as a process: started, read, interrupted, and never waited for without end.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use std::os::unix::process::ExitStatusExt;

use serde_json::Value;

use crate::protocol::scripted::Peer;
use crate::support::schemas;
use crate::support::tool::doubts;
use crate::support::unconfigured;

/// No run here takes so long on a busy machine; one that does hangs.
const HANGS: Duration = Duration::from_secs(60);

pub const PASSWORD: &str = "pa55-w0rd-of-joe";

/// How a process ended, and what it said.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
    pub took: Duration,
}

impl Ended {
    /// What it said on stderr beside the reason of its code, which it says where the report is for a program or in a file.
    pub fn complaints(&self) -> String {
        let reason = format!("exit {}: ", self.code);
        let is_reason = |line: &&str| self.code != 0 && line.starts_with("mailconn: ") && line.contains(&reason);
        self.stderr.lines().filter(|line| !is_reason(line)).map(|line| format!("{line}\n")).collect()
    }
}

/// A process under way; killed if it is dropped before its end.
pub struct Running {
    child: Child,
    started: Instant,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<String>>,
}

/// The command with nothing of the test's own environment in it, and no terminal.
pub fn mailconn<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mailconn"));
    command.args(args);
    bare(&mut command);
    command
}

/// The command as a shell starts it: `{}` in the script stands for it.
pub fn shell(script: &str) -> Command {
    let mut command = Command::new("bash");
    command.arg("-c").arg(script.replace("{}", env!("CARGO_BIN_EXE_mailconn")));
    bare(&mut command);
    command
}

fn bare(command: &mut Command) {
    unconfigured(command).env_remove("RUST_BACKTRACE").stdin(Stdio::null());
}

/// `mailconn run` with these arguments, split at blanks.
pub fn run(args: &str) -> Ended {
    end(&mut mailconn(["run"].into_iter().chain(args.split_whitespace())))
}

/// The same against a server of the test's own, as joe.
pub fn run_against(server: SocketAddr, args: &str) -> Ended {
    end(&mut against(server, args))
}

pub fn against(server: SocketAddr, args: &str) -> Command {
    let url = format!("imap://joe@{server}");
    let mut command = mailconn(["run", "--server", &url].into_iter().chain(args.split_whitespace()));
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

pub fn end(command: &mut Command) -> Ended {
    start(command).end()
}

pub fn start(command: &mut Command) -> Running {
    let mut running = start_unread(command);
    running.stdout = running.child.stdout.take().map(read_all);
    running
}

/// Leaves stdout to the test.
pub fn start_unread(command: &mut Command) -> Running {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = child.stderr.take().map(read_all);
    Running { child, started: Instant::now(), stdout: None, stderr }
}

fn read_all(mut from: impl Read + Send + 'static) -> JoinHandle<String> {
    thread::spawn(move || {
        let mut text = Vec::new();
        from.read_to_end(&mut text).unwrap();
        String::from_utf8(text).expect("all output is UTF-8")
    })
}

impl Running {
    pub fn stdout(&mut self) -> std::process::ChildStdout {
        self.child.stdout.take().unwrap()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// The time that it has computed so far.
    pub fn worked(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name in brackets; in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(10 * ticks)
    }

    /// Sends `INT` or `TERM`.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([format!("-{name}"), self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    #[track_caller]
    pub fn end(mut self) -> Ended {
        let status = self.wait();
        let took = self.started.elapsed();
        let text = |reader: Option<JoinHandle<String>>| reader.map_or_else(String::new, |it| it.join().unwrap());
        let (stdout, stderr) = (text(self.stdout.take()), text(self.stderr.take()));
        assert!(!stderr.contains("panicked") && !stdout.contains("panicked"), "{stdout}\n{stderr}");
        assert!(!stderr.contains(PASSWORD) && !stdout.contains(PASSWORD), "a secret is out: {stdout}\n{stderr}");
        schemas::fit(&stdout);
        let code = status.code().unwrap_or_else(|| panic!("killed by signal {:?}: {stderr}", status.signal()));
        Ended { code, stdout, stderr, took }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(self.started.elapsed() < HANGS, "it hangs");
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already, unless the test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    /// The JSON report, its sums checked.
    #[track_caller]
    pub fn json(&self) -> Value {
        let report: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error}: code {}, {:?}, {:?}", self.code, self.stdout, self.stderr));
        assert_eq!(report["exit_code"], self.code, "{report:#}");
        balanced(&report["operations"]);
        let mut sum = BTreeMap::new();
        let tasks = list(&report["tasks"]);
        // Where there are tasks, it is them that operations are asked of.
        for doer in if tasks.is_empty() { list(&report["workers"]) } else { tasks } {
            balanced(&doer["operations"]);
            for (name, value) in doer["operations"].as_object().unwrap() {
                *sum.entry(name.as_str()).or_insert(0) += number(value);
            }
        }
        for (name, value) in report["operations"].as_object().unwrap() {
            assert_eq!(number(value), sum[name.as_str()], "{name}: the rows of workers or tasks must add up");
        }
        assert_eq!(report["verdict"]["rules"]["checked"], report["operations"]["issued"]);
        assert_eq!(report["verdict"]["rules"]["held"], report["operations"]["issued"], "{report:#}");
        assert_eq!(report["verdict"]["witness"]["checked"], report["verdict"]["witness"]["agreed"], "{report:#}");
        report
    }

    /// The lines of an NDJSON report: each has its number, and the last is the run's end.
    #[track_caller]
    pub fn events(&self) -> Vec<Value> {
        events(&self.stdout)
    }
}

#[track_caller]
pub fn events(text: &str) -> Vec<Value> {
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = crate::support::folded::fold(events);
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["seq"], number, "{event}");
    }
    assert_eq!(events.first().unwrap()["event"], "run-start");
    assert_eq!(events.last().unwrap()["event"], "run-end");
    let end = &events.last().unwrap()["operations"];
    balanced(end);
    assert_eq!(of_kind(&events, "operation").count() as u64, number(&end["issued"]));
    let stopped = of_kind(&events, "worker-stopped").chain(of_kind(&events, "task-stopped"));
    let not_issued: u64 = stopped.map(|event| number(&event["not_issued"])).sum();
    assert_eq!(not_issued, number(&end["not_issued"]), "whoever stopped says what it left undone");
    is_sound(text);
    events
}

/// Every file of a run is: its own record bears out all it says.
#[track_caller]
pub fn is_sound(text: &str) {
    assert_eq!(doubts(text.as_bytes()), [""; 0], "{text}");
}

pub fn of_kind<'a>(events: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    events.iter().filter(move |event| event["event"] == kind)
}

#[track_caller]
fn balanced(operations: &Value) {
    let of = |name| number(&operations[name]);
    assert_eq!(of("issued"), of("ok") + of("failed"), "{operations}");
    assert_eq!(of("asked"), of("issued") + of("not_issued"), "{operations}");
}

#[track_caller]
pub fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[track_caller]
pub fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("{value} is no list"))
}

pub fn findings(report: &Value) -> Vec<&str> {
    list(&report["findings"]).iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

/// `wait-timeout at wait` → how often.
pub fn failures(report: &Value) -> BTreeMap<String, u64> {
    let name = |row: &Value| format!("{} at {}", row["kind"].as_str().unwrap(), row["stage"].as_str().unwrap());
    list(&report["failures"]).iter().map(|row| (name(row), number(&row["count"]))).collect()
}

/// Answers every command with OK until the client leaves.
pub fn obey(peer: &mut Peer) {
    while let Some(line) = peer.line() {
        let (tag, command) = line.split_once(' ').unwrap();
        let farewell = if command == "LOGOUT" { "* BYE bye\r\n" } else { "" };
        if !peer.send(&format!("{farewell}{tag} OK done\r\n")) || !farewell.is_empty() {
            return;
        }
    }
}

/// Waits until `holds`, which must be soon.
#[track_caller]
pub fn eventually(what: &str, holds: impl Fn() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(20), "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}
