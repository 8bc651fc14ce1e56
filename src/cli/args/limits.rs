//! The flags of `mailconn limits`.

use std::time::Duration;

use clap::Args;

use super::reach::ServerArgs;
use super::reporting::ReportingArgs;
use super::times::{duration, positive};
use mailconn::report::known;

/// The providers for which `--yes` is asked.
pub(super) fn asked_for() -> String {
    known::asked_for().collect::<Vec<_>>().join(", ")
}

/// The flags of `mailconn limits`.
#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtps and so on;
    /// or @NAME, a server of config.toml [default: $MAILCONN_SERVER, else sandbox]
    ///
    /// SMTP without a user does not sign in.
    #[arg(value_name = "URL")]
    pub url: Option<String>,

    /// The most connections to open
    #[arg(long, value_name = "N", default_value_t = 32, help_heading = "Probe")]
    pub max: usize,
    /// The rest between two connections [default: 3s; none where the server is on this machine]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Probe")]
    pub pace: Option<Duration>,
    /// After a refusal, how long to hold what is open before one more attempt: longer than the time that a rate is counted
    /// over
    #[arg(long, value_name = "TIME", value_parser = positive, default_value = "61s", help_heading = "Probe")]
    pub hold: Duration,
    /// Find out, too, how soon the server misses a client that left without LOGOUT or QUIT
    ///
    /// It takes up to 32 seconds more, and two more refused attempts.
    #[arg(long, help_heading = "Probe")]
    pub bare_close: bool,
    /// Exit 6 if fewer than N connections are open at once at any time; with --max N it asks for no more than that
    #[arg(long, value_name = "N", help_heading = "Probe")]
    pub need: Option<usize>,
    /// Probe a provider that is known to block accounts for what looks unusual
    #[arg(
        long,
        help_heading = "Probe",
        help = format!("Probe a provider that is known to block accounts for what looks unusual: {}", asked_for())
    )]
    pub yes: bool,

    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// How it is told.
    #[command(flatten)]
    pub reporting: ReportingArgs,
}
