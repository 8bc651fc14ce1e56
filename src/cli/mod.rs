//! The command line: flags in, a report and an exit code out.

mod args;
mod descriptors;
mod exit;
mod interrupt;
mod run;
mod settings;
mod testimony;
mod workers;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use settings::Settings;

/// Runs the command that the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(&error),
    };
    let code = match cli.command {
        Command::Run(args) => Settings::resolve(*args).and_then(run::run),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        eprintln!("mailconn: {}", one_line(&format!("{error:#}")));
        exit::USAGE
    }))
}

/// Help and version are results; anything else is one line that says what is wrong.
fn not_understood(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed stdout is no error of its own.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            eprint!("{error}");
            ExitCode::from(exit::USAGE)
        }
        _ => {
            let text = error.to_string();
            let said = text.split("\n\nUsage:").next().unwrap_or(&text);
            let said = said.split("\n\nFor more information").next().unwrap_or(said);
            let said = one_line(said.strip_prefix("error: ").unwrap_or(said));
            eprintln!("mailconn: {said}; see mailconn run --help");
            ExitCode::from(exit::USAGE)
        }
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
