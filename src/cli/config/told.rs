//! `mailconn explain settings`: each setting, its value, and where that comes from.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory};

use super::Invocation;
use super::file::FILE;
use super::keys::{self, PREFIX, TYPED, key, meant, settable, takes_settings, variable};
use super::setting::Source;
use crate::cli::args::Cli;
use crate::cli::complaint::{of_the_parser, without_passwords};
use crate::cli::secrets::PASSWORD;
use crate::cli::stderr::{complain, escaped};

/// Variables that are no flags.
const OTHERS: [&str; 2] = [FILE, PASSWORD];

/// A value of one or more commands.
struct Row {
    key: String,
    value: String,
    from: String,
    commands: Vec<String>,
}

/// The settings of a command with those flags; of every command that takes settings without one. The exit code is 2 if
/// one of them is refused.
///
/// # Errors
/// There is no such command, or the file is not understood: one line.
pub fn settings(config: Option<&Path>, words: &[OsString]) -> Result<(String, u8)> {
    let mut whole = Cli::command();
    whole.build();
    let takers: Vec<&Command> = whole.get_subcommands().filter(|command| takes_settings(command)).collect();
    let asked: Vec<&Command> = match words.first() {
        None => takers.clone(),
        Some(name) => takers.iter().filter(|taker| name == taker.get_name()).copied().collect(),
    };
    let names = || takers.iter().map(|taker| taker.get_name()).collect::<Vec<_>>().join(", ");
    ensure!(!asked.is_empty(), "{:?} takes no settings; {} do", words[0], names());

    let mut rows: Vec<Row> = Vec::new();
    let mut unused = BTreeSet::new();
    let mut head = String::new();
    let mut code = 0;
    for command in &asked {
        let mut typed = vec![OsString::from("mailconn"), command.get_name().into()];
        if let Some(config) = config {
            typed.extend(["--config".into(), config.into()]);
        }
        typed.extend(words.iter().skip(1).cloned());
        let given = Cli::command().ignore_errors(true).try_get_matches_from(&typed).ok();
        let given = given.as_ref().and_then(ArgMatches::subcommand).map(|(_, given)| given);
        let given = given.context("--help and --version have no settings; leave them out")?;
        let invocation = Invocation::new(typed)?;
        if let Some(refused) = refused(&invocation) {
            complain(&format!("{}: {refused}", command.get_name()));
            code = 2;
        }
        for arg in settable(command) {
            let (value, from) = found(arg, given, &invocation);
            add(&mut rows, arg, without_passwords(value, &invocation.words()), from, command);
        }
        unused.extend(invocation.unused.iter().map(|setting| format!("{} ({})", setting.key, setting.source)));
        head = self::head(&invocation);
    }
    Ok((head + &table(&rows) + &notes(&unused), code))
}

/// What the parser refuses. A command that lacks its files is not refused.
fn refused(invocation: &Invocation) -> Option<String> {
    let error = invocation.parse().err().filter(|error| error.kind() != ErrorKind::MissingRequiredArgument)?;
    Some(invocation.with_sources(&of_the_parser(error, &invocation.words())))
}

/// The value that counts, and where it comes from.
fn found(arg: &Arg, given: &ArgMatches, invocation: &Invocation) -> (String, String) {
    let joined = |values: &mut dyn Iterator<Item = String>| values.collect::<Vec<_>>().join(" ");
    let id = arg.get_id().as_str();
    let named = invocation.named.iter().map(|(_, address)| address);
    let configured = named.chain(&invocation.applied).find(|setting| key(arg) == Some(&setting.key));
    if let Some(setting) = configured {
        let from = match &setting.source {
            Source::File { server: Some(name), .. } => format!("@{name}, {}", setting.source),
            source => source.to_string(),
        };
        return (setting.all(), from);
    }
    if given.value_source(id) == Some(ValueSource::CommandLine) {
        let values = given.get_raw(id).into_iter().flatten();
        return (joined(&mut values.map(|value| value.to_string_lossy().into_owned())), "flag".to_owned());
    }
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let said = help.rsplit_once("[default: ").map(|(_, rest)| rest.trim_end_matches(']').to_owned());
    let value = match arg.get_default_values() {
        _ if !arg.get_action().takes_values() => "false".to_owned(),
        [] => said.unwrap_or_else(|| "-".to_owned()),
        values => joined(&mut values.iter().map(|value| value.to_string_lossy().into_owned())),
    };
    (value, String::new())
}

fn add(rows: &mut Vec<Row>, arg: &Arg, value: String, from: String, command: &Command) {
    let key = key(arg).unwrap_or_default();
    let name = command.get_name().to_owned();
    let same = rows.iter_mut().find(|row| row.key == key && row.value == value && row.from == from);
    match same {
        Some(row) => row.commands.push(name),
        None => {
            // One setting's rows stand together.
            let at = rows.iter().rposition(|row| row.key == key).map_or(rows.len(), |at| at + 1);
            rows.insert(at, Row { key: key.to_owned(), value, from, commands: vec![name] });
        }
    }
}

/// The file, and the servers it names.
fn head(invocation: &Invocation) -> String {
    let file = &invocation.file;
    let path = match &file.path {
        Some(path) if file.is_there => path.display().to_string(),
        Some(path) => format!("none: there is no {}", path.display()),
        None => "none: neither XDG_CONFIG_HOME nor HOME is set".to_owned(),
    };
    let servers: Vec<_> = file.servers.keys().map(|name| format!("@{name}")).collect();
    let servers = if servers.is_empty() { String::new() } else { format!("servers  {}\n", servers.join(" ")) };
    format!("file     {path}\n{servers}")
}

fn table(all: &[Row]) -> String {
    let (set, built_in): (Vec<&Row>, Vec<&Row>) = all.iter().partition(|row| !row.from.is_empty());
    let width = all.iter().map(|row| row.key.len()).max().unwrap_or(0);
    let wide = set.iter().map(|row| row.value.chars().count()).max().unwrap_or(0).min(40);
    let mut text = String::new();
    for (title, rows) in [("Set:", set), ("Built in:", built_in)] {
        if rows.is_empty() {
            continue;
        }
        let _ = write!(text, "\n{title}\n");
        for row in rows {
            let differs = all.iter().any(|other| other.key == row.key && other.commands != row.commands);
            let only = if differs { format!("  ({})", row.commands.join(", ")) } else { String::new() };
            let line = format!("  {:width$}  {:wide$}  {}", row.key, escaped(&row.value), row.from);
            let _ = writeln!(text, "{}{only}", line.trim_end());
        }
    }
    text
}

/// What is not used here, what cannot be configured, and variables that look like settings and are none.
fn notes(unused: &BTreeSet<String>) -> String {
    let mut text = String::new();
    let mut note = |said: String| text += &format!("\n{said}\n");
    if !unused.is_empty() {
        let unused = unused.iter().cloned().collect::<Vec<_>>().join(", ");
        note(format!("Not used here: {unused}\nAnother setting comes before it, or this command has no use for it."));
    }
    let typed: Vec<_> = TYPED.iter().map(|(name, _)| format!("--{name}")).collect();
    note(format!("On the command line alone: {}", typed.join(" ")));
    let known: Vec<String> = keys::all().into_iter().map(|(key, _)| variable(&key)).collect();
    let names = env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    let names: BTreeSet<String> = names.filter(|name| name.starts_with(PREFIX)).collect();
    for name in names.iter().filter(|name| !known.contains(*name) && !OTHERS.contains(&name.as_str())) {
        // What they all begin with would make them all alike.
        let meant = meant(&name[PREFIX.len()..], known.iter().map(|known| &known[PREFIX.len()..]));
        let meant = meant.map_or_else(String::new, |it| format!("; did you mean {PREFIX}{it}?"));
        note(format!("{} sets nothing{meant}", escaped(name)));
    }
    text
}
