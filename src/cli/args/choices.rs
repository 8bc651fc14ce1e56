//! The words that a run's flags choose from.

use clap::ValueEnum;

use mailconn::allocator::{Mode, UnknownMode};
use mailconn::event::{Dispose, Executor, Lock, Switch};
use mailconn::report::Format;

/// `--mode`.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[expect(clippy::enum_variant_names, reason = "the flag's words are the field's: use-main, use-default, …")]
pub enum ModeArg {
    /// Every thread shares the main connection
    #[value(aliases = ["UseMain", "ConnectionAsgmtType.UseMain"])]
    UseMain,
    /// Each thread has a default connection of its own
    #[value(aliases = ["UseDefault", "ConnectionAsgmtType.UseDefault"])]
    UseDefault,
    /// A thread's default connection if it created one, else main
    #[value(aliases = ["UseMainOrDefault", "ConnectionAsgmtType.UseMainOrDefault"])]
    UseMainOrDefault,
}

impl From<ModeArg> for Mode {
    fn from(mode: ModeArg) -> Self {
        match mode {
            ModeArg::UseMain => Self::UseMain,
            ModeArg::UseDefault => Self::UseDefault,
            ModeArg::UseMainOrDefault => Self::UseMainOrDefault,
        }
    }
}

/// `--lock`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum LockArg {
    /// From its first command to its last reply
    Unit,
    /// For each of its commands anew
    Command,
}

impl From<LockArg> for Lock {
    fn from(lock: LockArg) -> Self {
        match lock {
            LockArg::Unit => Self::Unit,
            LockArg::Command => Self::Command,
        }
    }
}

/// One word of `--fail-on`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FailOnArg {
    /// Mail can be read from, or written to, the wrong place
    Hazard,
    /// A connection was left behind
    Leak,
    /// A connection was discarded in the middle of a reply
    Fault,
    /// It works, at more cost than it needs
    Advice,
    /// No finding
    None,
}

/// `--executor`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ExecutorArg {
    /// A thread for each worker, from the start to the end
    Threads,
    /// A thread pool: each of its threads does one task after the other
    Pool,
    /// Asynchronous tasks, each operation in a blocking section of its own, on any of the threads
    Tasks,
}

impl From<ExecutorArg> for Executor {
    fn from(executor: ExecutorArg) -> Self {
        match executor {
            ExecutorArg::Threads => Self::Threads,
            ExecutorArg::Pool => Self::Pool,
            ExecutorArg::Tasks => Self::Tasks,
        }
    }
}

/// `--dispose`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum DisposeArg {
    /// It is left to the thread, and serves the next task there
    Never,
    /// The task disposes it, even if it panics; an asynchronous one then does all of its work in one blocking section
    Task,
}

impl From<DisposeArg> for Dispose {
    fn from(dispose: DisposeArg) -> Self {
        match dispose {
            DisposeArg::Never => Self::Never,
            DisposeArg::Task => Self::Task,
        }
    }
}

/// `--format`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatArg {
    /// For people
    Table,
    /// One document, at the end
    Json,
    /// One line for each event, as it happens
    Ndjson,
}

impl From<FormatArg> for Format {
    fn from(format: FormatArg) -> Self {
        match format {
            FormatArg::Table => Self::Table,
            FormatArg::Json => Self::Json,
            FormatArg::Ndjson => Self::Ndjson,
        }
    }
}

/// `--progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    /// A live line on a terminal, else a plain line every few seconds
    Auto,
    /// None
    Never,
}

/// `500=use-main`.
pub(super) fn switch(text: &str) -> Result<Switch, String> {
    let (after, mode) = text.split_once('=').ok_or_else(|| "write N=MODE, like 500=use-main".to_owned())?;
    let after = after.parse().ok().filter(|after| *after > 0);
    let after =
        after.ok_or_else(|| "N is a number of operations, at least 1; --mode sets the first mode".to_owned())?;
    let mode = mode.parse().map_err(|unknown: UnknownMode| unknown.to_string())?;
    Ok(Switch { after, mode })
}
