//! In which forms a command tells what happened, and where each of them goes.

use std::path::PathBuf;

use clap::Args;

use super::anonymize::AnonymizeArgs;
use super::choices::{self, Ci};
use mailconn::report::Format;

/// The flags on what is written.
#[derive(Debug, Args)]
pub struct OutputArgs {
    /// The report's form [default: by the ending of FILE, else table]
    #[arg(long, value_parser = choices::formats(Format::ALL), help_heading = "Report")]
    pub format: Option<Format>,
    /// Write the report to FILE instead of standard output, which - stands for; repeatable
    ///
    /// The ending says in which form: .txt is the table, .md Markdown, .xml JUnit's, and .json, .ndjson, .html and .csv are
    /// those. One FILE is written in --format if that is given, whatever its ending; of several, those whose endings say
    /// nothing.
    #[arg(short, long, value_name = "FILE", help_heading = "Report")]
    pub output: Vec<PathBuf>,
    /// Write the course of events to FILE too, for chrome://tracing or ui.perfetto.dev: connections are its processes, workers
    /// its threads
    #[arg(long, value_name = "FILE", help_heading = "Report")]
    pub trace_events: Option<PathBuf>,
    /// Also tell the service that runs the build: an annotation on standard error for each failure and finding, and the report
    /// in Markdown in the step's summary
    ///
    /// The summary is the file that GITHUB_STEP_SUMMARY names; without that variable there are annotations alone.
    #[arg(long, value_parser = choices::services(), help_heading = "Report")]
    pub ci: Option<Ci>,
    /// Whether names are replaced.
    #[command(flatten)]
    pub anonymize: AnonymizeArgs,
}
