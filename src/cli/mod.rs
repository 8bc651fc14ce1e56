//! The command line: flags in, a report and an exit code out.

mod anonymize;
mod args;
mod baseline;
mod check;
mod compare;
mod complaint;
mod config;
mod descriptors;
mod destinations;
mod diff;
mod dovecot_log;
mod examples;
mod exit;
mod explain;
mod generated;
mod harness;
mod interrupt;
mod limits;
mod operations;
mod providers;
mod report;
mod run;
mod sandbox;
mod scenario;
mod schema;
mod secrets;
mod settings;
mod stderr;
mod stored;
mod target;
mod teller;
mod terminal;
mod testimony;
mod verify;
mod work;
mod workers;
mod writer;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::CommandFactory;
use clap::error::ErrorKind;

use args::{Cli, Command};
use config::{Invocation, position_of_command};
use stderr::{complain, say};

/// Runs the command that the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    interrupt::shield();
    let invocation = match Invocation::new(std::env::args_os().collect()) {
        Ok(invocation) => invocation,
        Err(error) => {
            complain(&format!("{error:#}"));
            return ExitCode::from(exit::USAGE);
        }
    };
    let cli = match invocation.parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(error, &invocation),
    };
    let layout = terminal::layout(cli.color);
    let code = match cli.command {
        Command::Run(args) => run::run(*args, layout),
        Command::Sandbox(args) => sandbox::serve(&args),
        Command::Check(args) => check::check(&args, layout),
        Command::Limits(args) => limits::limits(*args, layout),
        Command::Compare(args) => compare::compare(*args, layout),
        Command::Explain(args) => explain::explain(&args, cli.config.as_deref()),
        Command::Scenario(args) => scenario::scenario(&args, layout),
        Command::Verify(args) => verify::verify(&args, layout),
        Command::Report(args) => report::report(&args, layout),
        Command::Diff(args) => diff::diff(&args, layout),
        Command::Schema(args) => schema::schema(args.name),
        Command::Completions(args) => generated::completions(args.shell),
        Command::Man(args) => generated::man(args.command.as_deref()),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        let said = invocation.with_sources(&format!("{error:#}"));
        complain(&complaint::without_passwords(said, &invocation.words()));
        exit::USAGE
    }))
}

/// Help and version are results; anything else is one line that says what is wrong.
fn not_understood(error: clap::Error, invocation: &Invocation) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed stdout is no error of its own.
            let _ = error.print();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            say(error);
            ExitCode::from(exit::USAGE)
        }
        _ => {
            let said = complaint::of_the_parser(error, &invocation.words());
            let command = subcommand();
            let help =
                command.as_ref().map_or_else(|| "mailconn --help".to_owned(), |it| format!("mailconn {it} --help"));
            let said = if said.contains("://") && complaint::name_a_user(std::env::args_os()) {
                let by_place = matches!(command.as_deref(), Some("check" | "limits"));
                let named = if by_place { "by its URL" } else { "with --server URL" };
                format!("a server is named {named}, and a password never belongs in it")
            } else {
                invocation.with_sources(&said)
            };
            complain(&format!("{said}; see {help}"));
            ExitCode::from(exit::USAGE)
        }
    }
}

/// The subcommand that was meant, if it is one.
fn subcommand() -> Option<String> {
    let words: Vec<OsString> = std::env::args_os().collect();
    let word = position_of_command(&words).and_then(|at| words[at].to_str())?;
    Cli::command().find_subcommand(word).map(|command| command.get_name().to_owned())
}
