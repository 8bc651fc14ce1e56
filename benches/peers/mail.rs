//! NOOPs against a real server: `mailconn run` and its peers, each a process, seen from outside.

use std::env;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;

use super::client::THREADS;

/// NOOPs of each thread: less than a second of work in all. Other work on the machine comes in bursts that last longer; many
/// short measurements give a better median than few long ones.
const OWN: u32 = 6_000;
const SHARED: u32 = 2_000;

/// Whom to dial, as `scripts/servers up` says.
pub struct Server {
    pub port: u16,
    pub user: String,
    pub password: String,
}

impl Server {
    pub fn from_environment() -> Result<Self> {
        let variable = |name: &str| env::var(name).with_context(|| format!("{name} is not set: use scripts/bench"));
        let port = variable("IMAP_PORT")?.parse().context("IMAP_PORT")?;
        Ok(Self { port, user: variable("BENCH_USER")?, password: variable("BENCH_PASSWORD")? })
    }
}

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    Raw,
    Bare,
    RunDefault,
    RunDefaultNdjson,
    SharedFair,
    SharedMutex,
    RunMain,
}

impl Row {
    pub const ALL: [Self; 7] = [
        Self::Raw,
        Self::Bare,
        Self::RunDefault,
        Self::RunDefaultNdjson,
        Self::SharedFair,
        Self::SharedMutex,
        Self::RunMain,
    ];

    const fn operations(self) -> u32 {
        match self {
            Self::Raw | Self::Bare | Self::RunDefault | Self::RunDefaultNdjson => OWN,
            Self::SharedFair | Self::SharedMutex | Self::RunMain => SHARED,
        }
    }

    fn command(self, server: &Server, operations: u32) -> Result<Command> {
        let peer = |peer: &str| -> Result<Command> {
            let mut command = Command::new(env::current_exe()?);
            command.args(["client", peer, &operations.to_string()]);
            Ok(command)
        };
        let mailconn = |mode: &str, more: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_mailconn"));
            command.env("MAILCONN_PASSWORD", &server.password).args(["run", "--mode", mode, "--ops", "noop"]);
            command.args(["--server", &format!("imap://{}@127.0.0.1:{}", server.user, server.port), "--plaintext"]);
            command.args(["-t", &THREADS.to_string(), "-n", &operations.to_string(), "--progress", "never"]);
            command.args(more);
            Ok(command)
        };
        match self {
            Self::Raw => peer("raw"),
            Self::Bare => peer("bare"),
            Self::RunDefault => mailconn("use-default", &["--format", "json"]),
            Self::RunDefaultNdjson => mailconn("use-default", &["--format", "ndjson"]),
            Self::SharedFair => peer("shared-fair"),
            Self::SharedMutex => peer("shared-mutex"),
            Self::RunMain => mailconn("use-main", &["--format", "json"]),
        }
    }

    /// The longest wait for a connection, as the client printed it; and that it did all it was asked to.
    fn longest_wait(self, printed: &[u8], asked: u64) -> Result<Duration> {
        let text = std::str::from_utf8(printed)?;
        let micros = match self {
            Self::RunDefault | Self::RunDefaultNdjson | Self::RunMain => {
                let last = if self == Self::RunDefaultNdjson { text.lines().last().unwrap_or_default() } else { text };
                let report: serde_json::Value = serde_json::from_str(last)?;
                let ok = report.pointer("/operations/ok").and_then(serde_json::Value::as_u64);
                let held = report.pointer("/verdict/rules/held").and_then(serde_json::Value::as_u64);
                ensure!(
                    ok == Some(asked) && held == Some(asked),
                    "of {asked} operations {ok:?} were ok, {held:?} held"
                );
                let workers = report.get("workers").and_then(serde_json::Value::as_array);
                let wait =
                    |worker: &serde_json::Value| worker.pointer("/wait_us/max").and_then(serde_json::Value::as_u64);
                workers.into_iter().flatten().filter_map(wait).max().unwrap_or(0)
            }
            _ => text.trim().parse()?,
        };
        Ok(Duration::from_micros(micros))
    }
}

/// What the operations of one client cost.
#[derive(Clone, Copy)]
pub struct Cost {
    pub operations_per_second: f64,
    /// Of the client alone, user and system.
    pub cpu_us: f64,
    pub longest_wait: Duration,
}

/// One repetition: the costs in the order of [`Row::ALL`].
pub type Round = Vec<Cost>;

/// Measures every client once. Each begins as often as any other after whatever runs before it.
pub fn round(server: &Server, repetition: usize, shorter: u32) -> Result<Round> {
    let mut costs: Vec<Option<Cost>> = vec![None; Row::ALL.len()];
    for turn in 0..Row::ALL.len() {
        let place = (turn + repetition) % Row::ALL.len();
        let row = Row::ALL[place];
        costs[place] = Some(cost(row, server, row.operations() / shorter).with_context(|| format!("{row:?}"))?);
    }
    Ok(costs.into_iter().flatten().collect())
}

/// A process started to issue all its operations, less one started to issue one for each thread: what starting, dialling,
/// signing in and out cost is in both.
fn cost(row: Row, server: &Server, operations: u32) -> Result<Cost> {
    let few = process(row, server, 1)?;
    let many = process(row, server, operations)?;
    let between = f64::from(operations - 1) * THREADS as f64;
    Ok(Cost {
        operations_per_second: between / many.wall.saturating_sub(few.wall).as_secs_f64(),
        cpu_us: many.cpu.saturating_sub(few.cpu).as_secs_f64() * 1e6 / between,
        longest_wait: many.longest_wait,
    })
}

struct Process {
    wall: Duration,
    cpu: Duration,
    longest_wait: Duration,
}

fn process(row: Row, server: &Server, operations: u32) -> Result<Process> {
    let mut command = row.command(server, operations)?;
    let (before, began) = (cpu_of_children()?, Instant::now());
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    let (wall, cpu) = (began.elapsed(), cpu_of_children()?.saturating_sub(before));
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    let longest_wait = row.longest_wait(&output.stdout, u64::from(operations) * THREADS as u64)?;
    Ok(Process { wall, cpu, longest_wait })
}

/// CPU time of all children that have ended, user and system.
fn cpu_of_children() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(u64::try_from(micros)?))
}
