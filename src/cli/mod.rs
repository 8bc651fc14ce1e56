//! The command line: flags in, a report and an exit code out.

mod args;
mod baseline;
mod check;
mod compare;
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
mod testimony;
mod verify;
mod work;
mod workers;
mod writer;

use std::process::ExitCode;

use clap::error::{ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};

use args::{Cli, Command};
use stderr::{complain, escaped, say};

/// Runs the command that the process was called with.
#[must_use]
pub fn run() -> ExitCode {
    interrupt::shield();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return not_understood(error),
    };
    let code = match cli.command {
        Command::Run(args) => run::run(*args),
        Command::Sandbox(args) => sandbox::serve(&args),
        Command::Check(args) => check::check(&args),
        Command::Limits(args) => limits::limits(*args),
        Command::Compare(args) => compare::compare(*args),
        Command::Explain(args) => explain::explain(&args),
        Command::Scenario(args) => scenario::scenario(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Report(args) => report::report(&args),
        Command::Diff(args) => diff::diff(&args),
        Command::Schema(args) => schema::schema(args.name),
        Command::Completions(args) => generated::completions(args.shell),
        Command::Man(args) => generated::man(args.command.as_deref()),
    };
    ExitCode::from(code.unwrap_or_else(|error| {
        complain(&without_passwords(format!("{error:#}")));
        exit::USAGE
    }))
}

/// Help and version are results; anything else is one line that says what is wrong.
fn not_understood(mut error: clap::Error) -> ExitCode {
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
            escape_values(&mut error);
            let text = error.to_string();
            let command = subcommand();
            let help =
                command.as_ref().map_or_else(|| "mailconn --help".to_owned(), |it| format!("mailconn {it} --help"));
            if text.contains("://") && arguments().any(|argument| userinfo(&argument).is_some()) {
                let named = if matches!(command.as_deref(), Some("check" | "limits")) {
                    "by its URL"
                } else {
                    "with --server URL"
                };
                complain(&format!("a server is named {named}, and a password never belongs in it; see {help}"));
                return ExitCode::from(exit::USAGE);
            }
            let text = without_passwords(without_values_of_secrets(text));
            let said = text.split("\n\nUsage:").next().unwrap_or(&text);
            let said = said.split("\n\nFor more information").next().unwrap_or(said);
            let said = one_line(said.strip_prefix("error: ").unwrap_or(said));
            complain(&format!("{said}; see {help}"));
            ExitCode::from(exit::USAGE)
        }
    }
}

/// The subcommand that was meant, if it is one.
fn subcommand() -> Option<String> {
    let known = Cli::command();
    arguments().next().filter(|argument| known.find_subcommand(argument).is_some())
}

/// Escapes the values that a message of clap's repeats: clap would leave some out, and has lines of its own.
fn escape_values(error: &mut clap::Error) {
    let strings = error.context().filter_map(|(kind, value)| match value {
        ContextValue::String(value) => Some((kind, ContextValue::String(escaped(value)))),
        _ => None,
    });
    for (kind, value) in strings.collect::<Vec<_>>() {
        error.insert(kind, value);
    }
}

fn arguments() -> impl Iterator<Item = String> {
    std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned())
}

/// What stands before the host in an argument that is or holds a URL, or was to be one: a password, perhaps.
fn userinfo(argument: &str) -> Option<&str> {
    let rest = match argument.split_once("://") {
        Some((_, rest)) => rest,
        None if argument.starts_with('-') => argument.split_once('=')?.1,
        None => argument,
    };
    rest.rsplit_once('@').map(|(userinfo, _)| userinfo)
}

/// No complaint repeats a password out of a URL, whatever flag or variable it was given to.
fn without_passwords(mut text: String) -> String {
    let server = std::env::var_os(settings::SERVER).map(|url| url.to_string_lossy().into_owned());
    for argument in arguments().chain(server) {
        if let Some(userinfo) = userinfo(&argument).filter(|userinfo| userinfo.contains(':')) {
            for written in [userinfo, &userinfo.escape_debug().to_string(), &escaped(userinfo)] {
                text = text.replace(written, "…");
            }
        }
    }
    text
}

/// Nor a value where none belongs, if its flag sounds like a secret's: `--password-stdin=…`, `--password-stdin …`.
fn without_values_of_secrets(mut text: String) -> String {
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        ["pass", "pasw", "token", "secret"].iter().any(|word| name.contains(word))
    };
    let mut behind_secret = false;
    for argument in arguments() {
        let value = match argument.split_once('=') {
            Some((name, value)) if is_secret(name) => Some(value),
            _ => behind_secret.then_some(argument.as_str()),
        };
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            for value in [value, &escaped(value)] {
                text = text.replace(&format!("'{value}'"), "'…'").replace(&format!("={value}'"), "=…'");
            }
        }
        behind_secret = argument.starts_with('-') && is_secret(&argument);
    }
    text
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
