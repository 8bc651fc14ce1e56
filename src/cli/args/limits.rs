//! The flags of `mailconn limits`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::choices;
use super::gates::GateArgs;
use super::reach::{ServerArgs, TranscriptArgs};
use super::times::{duration, positive};
use mailconn::event::Severity;
use mailconn::report::{Format, ProgressKind};

/// The flags of `mailconn limits`.
#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// imaps://user@host[:port], imap:// for STARTTLS, likewise smtp and pop3; or sandbox, sandbox+smtps and so on
    /// [default: $MAILCONN_SERVER, else sandbox]
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
    /// Exit 6 if the server gives fewer than N connections; with --max N it asks for no more than that
    #[arg(long, value_name = "N", help_heading = "Probe")]
    pub need: Option<usize>,
    /// Probe a provider that is known to block accounts for what looks unusual
    #[arg(long, help_heading = "Probe")]
    pub yes: bool,

    /// How to reach it.
    #[command(flatten)]
    pub reach: ServerArgs,

    /// The report: text for people, one JSON document, or a line of JSON for each event as it happens
    #[arg(
        long,
        value_parser = choices::formats(Format::ALL),
        default_value = "table",
        help_heading = "Report"
    )]
    pub format: Format,
    /// Write the report to FILE instead of standard output, which - stands for
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Option<PathBuf>,
    /// Which findings make the exit code 1: some of hazard, leak, fault and advice, or none
    #[arg(
        long,
        value_parser = choices::severities(),
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "hazard,leak,fault",
        help_heading = "Report"
    )]
    pub fail_on: Vec<Option<Severity>>,
    /// Which figures fail it.
    #[command(flatten)]
    pub gates: GateArgs,
    /// Where the transcripts go.
    #[command(flatten)]
    pub transcripts: TranscriptArgs,
    /// A line on standard error for each attempt; never leaves what the probe may cost, and what is known of the server
    #[arg(long, value_parser = choices::progress(), default_value = "auto", help_heading = "Report")]
    pub progress: ProgressKind,
}
