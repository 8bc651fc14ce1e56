//! How what a command did is told and judged, for each command that dials and keeps its events.

use clap::Args;

use super::choices;
use super::gates::GateArgs;
use super::output::OutputArgs;
use super::reach::TranscriptArgs;
use mailconn::event::Severity;
use mailconn::report::ProgressKind;

/// The flags on the report.
#[derive(Debug, Args)]
pub struct ReportingArgs {
    /// What is written, and where.
    #[command(flatten)]
    pub output: OutputArgs,
    /// Which findings make the exit code 1: some of hazard, leak, fault and advice, or none
    ///
    /// It does not change other exit codes: 6 for a limit, 7 for a broken invariant, 1 for failed operations.
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
    /// Progress on standard error: how far a run is, or each attempt of a probe
    ///
    /// never keeps what is said before the first dial, such as what a probe may cost.
    #[arg(long, value_parser = choices::progress(), default_value = "auto", help_heading = "Report")]
    pub progress: ProgressKind,
}
