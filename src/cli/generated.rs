//! `mailconn completions` and `mailconn man`: what is made from the definition of the command line.

use std::io;

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use roff::{Roff, roman};

use super::args::Cli;
use mailconn::report::Output;

/// How the text begins that stands behind the flags in a command's help.
const EXIT_CODES: &str = "Exit codes:\n";
/// How the text begins that stands before them.
const EXAMPLES: &str = "Examples:\n";

/// Prints the completions for that shell.
///
/// # Errors
/// They could not be written.
pub fn completions(shell: Shell) -> Result<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), env!("CARGO_BIN_NAME"), &mut script);
    Output::Stdout.write_whole(&script).context("writing the completions")?;
    Ok(0)
}

/// Prints the manual page of that command; of all of mailconn without one.
///
/// # Errors
/// It could not be written, or there is no such command.
pub fn man(command: Option<&str>) -> Result<u8> {
    let mut whole = Cli::command();
    whole.build();
    let command = match command {
        None => whole,
        Some(name) => {
            let found = whole.find_subcommand(name).cloned();
            found.with_context(|| format!("there is no command {name:?}; see mailconn --help"))?
        }
    };
    let page = page(command).context("rendering the page")?;
    Output::Stdout.write_whole(&page).context("writing the page")?;
    Ok(0)
}

/// The page, with its examples and its exit codes laid out as the help has them.
fn page(command: Command) -> io::Result<Vec<u8>> {
    let text = |it: Option<&clap::builder::StyledStr>| it.map(ToString::to_string).unwrap_or_default();
    let examples = text(command.get_before_help());
    let behind = text(command.get_after_long_help().or_else(|| command.get_after_help()));
    let (notes, codes) = behind.split_once(EXIT_CODES).unwrap_or((&behind, ""));
    let has_options = command.get_arguments().any(|argument| !argument.is_hide_set());
    let has_commands = command.has_subcommands();
    let version = concat!("mailconn ", env!("MAILCONN_VERSION"));
    let man = Man::new(command).source(version).manual("mailconn");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    if has_options {
        man.render_options_section(&mut page)?;
    }
    if has_commands {
        man.render_subcommands_section(&mut page)?;
    }
    for (title, text) in [("NOTES", notes), ("EXAMPLES", examples.trim_start_matches(EXAMPLES)), ("EXIT STATUS", codes)]
    {
        as_it_stands(title, text).to_writer(&mut page)?;
    }
    Ok(page)
}

/// A section whose lines stay as they are.
fn as_it_stands(title: &str, text: &str) -> Roff {
    let mut section = Roff::new();
    if !text.trim().is_empty() {
        section.control("SH", [title]).control("nf", []);
        section.text([roman(text.trim_end())]);
        section.control("fi", []);
    }
    section
}
