//! What shapes the work: the same flags for a run and for each variant of a comparison.

use std::time::Duration;

use clap::Args;

use super::choices;
use super::times::{duration, positive};
use crate::cli::operations;
use mailconn::allocator::Mode;
use mailconn::event::{Dispose, Executor, Lock, Switch};
use mailconn::protocol::Operation;

/// The flags that shape the work. The seed is none of them: variants that are compared do the same work.
#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Which connection operations use
    #[arg(
        long,
        value_parser = choices::modes(),
        ignore_case = true,
        default_value = "use-main-or-default",
        help_heading = "Connections"
    )]
    pub mode: Mode,
    /// Set the mode once all workers together have issued N operations, as in 500=use-main; repeatable, ascending
    #[arg(long, value_name = "N=MODE", value_parser = choices::switch, help_heading = "Connections")]
    pub switch_mode: Vec<Switch>,
    /// Who does the work
    ///
    /// A pool's threads, and those that asynchronous operations block, outlive their tasks: what a task leaves on its thread
    /// is there for the next one.
    #[arg(
        long,
        value_parser = choices::executors(),
        default_value = "threads",
        help_heading = "Connections"
    )]
    pub executor: Executor,
    /// Workers, a thread each
    #[arg(short, long, value_name = "N", default_value_t = 4, help_heading = "Connections")]
    pub threads: u32,
    /// With --executor pool or tasks: tasks, each of which does --operations [default: 10 for each thread]
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub tasks: Option<u32>,
    /// With --executor pool or tasks: what becomes of the default connection at a task's end [default: never]
    #[arg(long, value_parser = choices::disposals(), value_name = "WHEN", help_heading = "Connections")]
    pub dispose: Option<Dispose>,
    /// Workers that create their default connection by hand: all, none, half, or a list like w0,w2-w5; where there are
    /// tasks, each does at its start: all, none, half, or t0,t2-t5
    #[arg(long, value_name = "LIST", default_value = "none", help_heading = "Connections")]
    pub default_for: String,
    /// Workers that create an independent connection and pass it with each operation (LIST as above)
    #[arg(long, value_name = "LIST", default_value = "none", help_heading = "Connections")]
    pub independent_for: String,
    /// For how long an operation has its connection to itself
    #[arg(
        long,
        value_parser = choices::locks(),
        default_value = "unit",
        help_heading = "Connections",
        long_help = operations::help_of_lock()
    )]
    pub lock: Lock,
    /// The most connections open or being dialled at once; more wait
    ///
    /// In use-default a worker keeps its connection until all workers are done. With N below --threads, the other workers
    /// wait until --wait-timeout, and fail.
    #[arg(long, value_name = "N", help_heading = "Connections")]
    pub max_connections: Option<usize>,

    /// Operations for each worker, or each task [default: 100; on a named SMTP server without send 8 in all]
    ///
    /// Exim ends a session after ten commands without mail (smtp_accept_max_nonmail), Postfix after about a hundred. A
    /// number that is given here is used as it is.
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration", help_heading = "Work")]
    pub operations: Option<u64>,
    /// Work for this time instead, like 10s or 2m
    #[arg(long, value_name = "TIME", value_parser = positive, help_heading = "Work")]
    pub duration: Option<Duration>,
    /// Operations and their weights, like noop=3,fetch; a bare name counts 1 [default: depends on the protocol]
    #[arg(long, value_name = "MIX", help_heading = "Work", long_help = operations::help())]
    pub ops: Option<String>,
    /// Allow operations that write
    #[arg(
        long,
        help_heading = "Work",
        help = format!("Allow operations that write: {}", operations::in_words("and", Operation::writes))
    )]
    pub allow_writes: bool,
    /// The sender of send, on the envelope and in the message [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub from: Option<String>,
    /// The recipient of send [default: the user who signs in]
    #[arg(long, value_name = "ADDRESS", help_heading = "Work")]
    pub to: Option<String>,
    /// IMAP: a mailbox to work on; repeatable [default: INBOX]
    #[arg(long, value_name = "NAME", help_heading = "Work")]
    pub mailbox: Vec<String>,
    /// IMAP: append makes its mailbox under NAME [default: in the personal namespace, if the server has one]
    #[arg(long, value_name = "NAME", help_heading = "Work")]
    pub scratch_under: Option<String>,
    /// How long a worker rests between two operations
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "0s", help_heading = "Work")]
    pub pause: Duration,

    /// How long an operation may wait for its connection
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "60s", help_heading = "Deadlines")]
    pub wait_timeout: Duration,
}
