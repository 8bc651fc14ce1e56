//! Messages to Postfix's `smtp-sink`: `mailconn run`, Postfix's own `smtp-source` and stock lettre, each a process.

use std::env;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use lettre::message::Message;
use lettre::{SmtpTransport, Transport};

use super::client::THREADS;

/// Messages of all sessions together.
const MESSAGES: u32 = 16_000;
/// Stock lettre waits 44 ms for each: as many as it sends in about a second.
const FEW: u32 = 160;
/// What smtp-source sends as a message's text: with its header as long as a letter of mailconn's.
const TEXT: &str = "420";

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Row {
    SmtpSource,
    Run,
    Lettre,
}

impl Row {
    pub const ALL: [Self; 3] = [Self::SmtpSource, Self::Run, Self::Lettre];

    const fn messages(self) -> u32 {
        match self {
            Self::SmtpSource | Self::Run => MESSAGES,
            Self::Lettre => FEW,
        }
    }

    fn command(self, sink: &str, messages: u32) -> Result<Command> {
        let sessions = THREADS.to_string();
        let each = (messages / THREADS as u32).to_string();
        let mut command = match self {
            Self::SmtpSource => Command::new("smtp-source"),
            Self::Run => Command::new(env!("CARGO_BIN_EXE_mailconn")),
            Self::Lettre => Command::new(env::current_exe()?),
        };
        match self {
            Self::SmtpSource => {
                let path = format!("{}:/usr/sbin", env::var("PATH").unwrap_or_default());
                command.env("PATH", path).args(["-d", "-s", &sessions, "-m", &messages.to_string(), "-l", TEXT]);
                command.args(["-f", "bench@example.org", "-t", "bench@example.org", &format!("inet:{sink}")]);
            }
            Self::Run => {
                command.args(["run", "--mode", "use-default", "--server", &format!("smtp://{sink}"), "--plaintext"]);
                command.args(["-t", &sessions, "-n", &each, "--ops", "send", "--allow-writes"]);
                command.args(["--to", "bench@example.org", "--format", "json", "--progress", "never"]);
            }
            Self::Lettre => {
                command.args(["lettre", &each]);
            }
        }
        Ok(command)
    }
}

/// Where `smtp-sink` listens, as `scripts/servers up` says.
pub fn sink() -> Result<String> {
    let port = env::var("SMTP_SINK_PORT").context("SMTP_SINK_PORT is not set: use scripts/bench")?;
    Ok(format!("127.0.0.1:{port}"))
}

/// Messages a second, in the order of [`Row::ALL`].
pub type Round = Vec<f64>;

/// Measures every client once, as `mail::round` does.
pub fn round(sink: &str, repetition: usize, shorter: u32) -> Result<Round> {
    let mut rates = vec![0.0; Row::ALL.len()];
    for turn in 0..Row::ALL.len() {
        let place = (turn + repetition) % Row::ALL.len();
        let row = Row::ALL[place];
        rates[place] = rate(row, sink, row.messages() / shorter).with_context(|| format!("{row:?}"))?;
    }
    Ok(rates)
}

/// A process that sends all, less one that sends one message on each session.
fn rate(row: Row, sink: &str, messages: u32) -> Result<f64> {
    let few = wall(row, sink, THREADS as u32)?;
    let many = wall(row, sink, messages)?;
    Ok(f64::from(messages - THREADS as u32) / many.saturating_sub(few).as_secs_f64())
}

fn wall(row: Row, sink: &str, messages: u32) -> Result<Duration> {
    let mut command = row.command(sink, messages)?;
    let began = Instant::now();
    let output =
        command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().with_context(|| format!("{command:?}"))?;
    let wall = began.elapsed();
    ensure!(output.status.success(), "{command:?}: {}", output.status);
    if row == Row::Run {
        let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
        let ok = report.pointer("/operations/ok").and_then(serde_json::Value::as_u64);
        let held = report.pointer("/verdict/rules/held").and_then(serde_json::Value::as_u64);
        let all = Some(u64::from(messages));
        ensure!(ok == all && held == all, "of {messages} messages {ok:?} were sent, {held:?} held");
    }
    Ok(wall)
}

/// Stock lettre, with the pool that it comes with, as its manual says: one transport, shared by all threads.
pub fn lettre(messages: u32) -> Result<()> {
    let sink = sink()?;
    let (host, port) = sink.split_once(':').context("the sink has a port")?;
    let transport = SmtpTransport::builder_dangerous(host).port(port.parse()?).build();
    let message = Message::builder()
        .from("bench@example.org".parse()?)
        .to("bench@example.org".parse()?)
        .subject("bench")
        .body("x".repeat(300))?;
    thread::scope(|scope| {
        let send = || -> Result<()> {
            for _ in 0..messages {
                transport.send(&message)?;
            }
            Ok(())
        };
        let threads: Vec<_> = (0..THREADS).map(|_| scope.spawn(send)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| anyhow!("a thread panicked"))?)
    })
}
