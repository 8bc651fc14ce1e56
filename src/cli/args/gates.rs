//! Gates: which figures fail a run. The same flags on each command that judges one.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail, ensure};
use clap::Args;

use mailconn::judge::{Gate, MOST_GATES, NoGate, is_of_a_comparison};
use mailconn::report::counted_as;

/// A file of gates is no longer, in bytes.
const MOST_BYTES: u64 = 1 << 16;

/// The flags for gates.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// Exit 3 if that is so and nothing else fails, as in 'service.p95 > 200ms' or 'connections.peak > 10'; repeatable
    ///
    /// METRIC OPERATOR NUMBER, where OPERATOR is one of > >= < <= == !=. mailconn explain metrics lists the metrics, mailconn
    /// explain ci the lines for a build on GitHub, GitLab or Kubernetes. A metric that could not be measured fails its gate. A
    /// scenario's gates are about each of its clients, those of a comparison about its variants (mailconn explain gate); a stored
    /// run is judged by these in place of all of its own.
    #[arg(long, value_name = "GATE", value_parser = gate, allow_hyphen_values = true, help_heading = "Gates")]
    pub fail_if: Vec<String>,
    /// Read gates from FILE too, one a line; lines that begin with # are comments. A stored run is judged by what these two
    /// flags give in place of its own gates
    #[arg(long, value_name = "FILE", help_heading = "Gates")]
    pub gates: Option<PathBuf>,
}

/// The flag for what gates compare with.
#[derive(Debug, Args)]
pub struct BaselineArgs {
    /// An earlier run that gates compare with, its JSON or NDJSON, as in 'service.p95 regressed > 10%'
    ///
    /// mailconn explain regressed says what is worse, mailconn explain baseline which runs are compared: one of another server,
    /// mode, lock, mix or number of threads is refused.
    #[arg(long, value_name = "FILE", help_heading = "Gates")]
    pub baseline: Option<PathBuf>,
}

impl GateArgs {
    /// Whether there are any.
    pub const fn is_empty(&self) -> bool {
        self.fail_if.is_empty() && self.gates.is_none()
    }

    /// All of them, of a run: first those of the flags.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines is no gate of a run.
    pub fn resolve(&self) -> Result<Vec<String>> {
        let gates = self.written()?;
        are_of_runs(&gates)?;
        Ok(gates)
    }

    /// The same, of a run or of a comparison: which of the two the file says that they judge.
    ///
    /// # Errors
    /// The file cannot be read, or one of its lines is no gate.
    pub fn written(&self) -> Result<Vec<String>> {
        let mut gates = self.fail_if.clone();
        if let Some(file) = &self.gates {
            gates.extend(of_file(file)?);
        }
        let flag = if self.fail_if.is_empty() { "--gates" } else { "--fail-if" };
        ensure!(
            gates.len() <= MOST_GATES,
            "{flag}: give at most {MOST_GATES} gates, of --fail-if and --gates together"
        );
        Ok(gates)
    }
}

/// None of them is of a comparison.
///
/// # Errors
/// One is.
pub fn are_of_runs(gates: &[String]) -> Result<()> {
    match gates.iter().find(|gate| is_of_a_comparison(gate)) {
        Some(gate) => bail!("{gate:?} is a gate of a comparison; of a run, write METRIC OPERATOR NUMBER"),
        None => Ok(()),
    }
}

fn of_file(file: &Path) -> Result<Vec<String>> {
    let name = file.display();
    let mut text = String::new();
    File::open(file)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
        .with_context(|| format!("--gates: reading {name}"))?;
    ensure!(text.len() as u64 <= MOST_BYTES, "--gates: {name} is too big for gates: more than {MOST_BYTES} bytes");
    let text = text.trim_start_matches('\u{feff}');
    let lines = text.lines().map(str::trim).zip(1..);
    let gates = lines.filter(|(line, _)| !line.is_empty() && !line.starts_with('#'));
    let gates: Result<Vec<String>> =
        gates.map(|(line, number)| gate(line).map_err(|error| anyhow!("--gates: {name}:{number}: {error}"))).collect();
    let gates = gates?;
    ensure!(
        !gates.is_empty(),
        "--gates: {name} holds no gate, so nothing would fail; write one a line, or leave it out"
    );
    Ok(gates)
}

/// What reports have another word for is found by that, as in `mailconn explain`.
fn gate(text: &str) -> Result<String, String> {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if is_of_a_comparison(&text) {
        return Ok(text);
    }
    let meant = |no: NoGate| match no.unknown().and_then(counted_as) {
        Some(metric) => format!("there is no metric {:?}; did you mean {metric}?", no.unknown().unwrap_or_default()),
        None => no.to_string(),
    };
    Gate::parse(&text).map_err(meant)?;
    Ok(text)
}
