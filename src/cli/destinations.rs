//! What is written where: each form of the report, and its place.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::args::{Ci, OutputArgs};
use super::stored::identity;
use mailconn::report::{Format, Layout, Output};

/// Names the file whose text GitHub shows with a step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// A report in one form, for one place.
#[derive(Clone, Debug)]
pub struct Destination {
    /// The form.
    pub format: Format,
    /// The place.
    pub output: Output,
    /// How text for people is laid out there.
    pub layout: Layout,
}

/// The destinations that those flags name; standard output, whose layout is given, if they name none.
///
/// # Errors
/// One cannot be written, or is named twice; or an ending stands for no form.
pub fn destinations(args: &OutputArgs, layout: Layout) -> Result<Vec<Destination>> {
    let destination = |format, output| {
        let layout = if output == Output::Stdout { layout } else { Layout::PLAIN };
        Destination { format, output, layout }
    };
    let mut all = Vec::with_capacity(args.output.len() + 1);
    for file in &args.output {
        all.push(destination(form_of(file, args)?, writable(file)?));
    }
    if all.is_empty() {
        all.push(destination(args.format.unwrap_or(Format::Table), Output::Stdout));
    }
    if let Some(file) = &args.trace_events {
        all.push(destination(Format::TraceEvents, writable(file)?));
    }
    named_once(&all)?;
    if args.ci == Some(Ci::Github) {
        all.push(destination(Format::Github, Output::Stderr));
        if let Some(summary) = env::var_os(STEP_SUMMARY).filter(|it| !it.is_empty()) {
            let summary = Output::EndOf(summary.into());
            summary.writable().context(STEP_SUMMARY)?;
            all.push(destination(Format::Markdown, summary));
        }
    }
    Ok(all)
}

/// Every file that those flags name.
pub fn files(args: &OutputArgs) -> impl Iterator<Item = &PathBuf> {
    args.output.iter().chain(&args.trace_events)
}

/// Whether a person sees the result in one of them at once.
pub fn are_seen(all: &[Destination]) -> bool {
    all.iter().any(|it| it.format == Format::Table && it.output == Output::Stdout)
}

/// Whether one of them has that form.
pub fn include(all: &[Destination], format: Format) -> bool {
    all.iter().any(|it| it.format == format)
}

/// One FILE is in the form that is asked for; of several each is in the form of its ending.
fn form_of(file: &Path, args: &OutputArgs) -> Result<Format> {
    let by_ending = file.extension().and_then(|ending| Format::of_ending(ending.to_str()?));
    match (args.format, by_ending) {
        (Some(format), _) if args.output.len() == 1 => Ok(format),
        (_, Some(format)) | (Some(format), None) => Ok(format),
        (None, None) if file.extension().is_none() => Ok(Format::Table),
        (None, None) => {
            let known: Vec<String> = Format::endings().map(|ending| format!(".{ending}")).collect();
            bail!(
                "{}: its ending names no form of the report; end it in one of {}, or give --format",
                file.display(),
                known.join(" ")
            )
        }
    }
}

fn writable(file: &Path) -> Result<Output> {
    let output = if file.as_os_str() == "-" { Output::Stdout } else { Output::File(file.to_owned()) };
    output.writable()?;
    Ok(output)
}

fn named_once(all: &[Destination]) -> Result<()> {
    for (at, Destination { output, .. }) in all.iter().enumerate() {
        let again = |other: &&Destination| match (output, &other.output) {
            (Output::File(one), Output::File(other)) => {
                one == other || (output.is_replaced() && identity(one).is_some_and(|it| identity(other) == Some(it)))
            }
            (one, other) => one == other,
        };
        if let Some(Destination { output, .. }) = all[..at].iter().find(again) {
            match output {
                Output::Stdout => bail!("standard output can have one report; name a FILE for the others"),
                Output::Stderr => bail!("standard error can have one report; name a FILE for the others"),
                Output::File(file) | Output::EndOf(file) => {
                    bail!("{} is named twice; each report needs a file of its own", file.display())
                }
            }
        }
    }
    Ok(())
}
