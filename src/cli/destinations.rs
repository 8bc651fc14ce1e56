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
        all.push(destination(form_of(file, args.format, args.output.len() == 1)?, writable(file)?));
    }
    if all.is_empty() {
        all.push(destination(args.format.unwrap_or(Format::Table), Output::Stdout));
    }
    if let Some(file) = &args.trace_events {
        all.push(destination(Format::TraceEvents, writable(file)?));
    }
    if args.ci == Some(Ci::Github) {
        all.push(destination(Format::Github, Output::Stderr));
        if let Some(summary) = env::var_os(STEP_SUMMARY).filter(|it| !it.is_empty()) {
            all.push(destination(Format::Markdown, Output::EndOf(summary.into())));
        }
    }
    named_once(&all)?;
    let summary = all.iter().map(|it| &it.output).find(|output| matches!(output, Output::EndOf(_)));
    summary.map_or(Ok(()), Output::writable).context(STEP_SUMMARY)?;
    Ok(all)
}

/// Every file that those flags name.
pub fn files(args: &OutputArgs) -> impl Iterator<Item = &PathBuf> {
    args.output.iter().chain(&args.trace_events)
}

/// Whether every one of those files is left as it is; `why` says what it is for.
///
/// # Errors
/// A report would replace one.
pub fn replace_none_of(files: &[PathBuf], why: &str, args: &OutputArgs) -> Result<()> {
    for written in self::files(args).filter(|written| written.as_os_str() != "-") {
        let same = identity(written).and_then(|it| files.iter().find(|file| identity(file) == Some(it)));
        if let Some(same) = same {
            bail!("-o would replace {}, which is {why}; name another file", same.display());
        }
    }
    Ok(())
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
///
/// # Errors
/// Its ending names no form.
pub fn form_of(file: &Path, format: Option<Format>, is_alone: bool) -> Result<Format> {
    let by_ending = file.extension().and_then(|ending| Format::of_ending(ending.to_str()?));
    match (format, by_ending) {
        (Some(format), _) if is_alone => Ok(format),
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
        let Some(Destination { output: first, .. }) = all[..at].iter().find(|it| it.output.is_where(output)) else {
            continue;
        };
        match (first, output) {
            // It is added to what the place shows.
            (Output::Stdout | Output::Stderr, Output::EndOf(_)) => {}
            (Output::Stdout, _) | (_, Output::Stdout) => {
                bail!("standard output can have one report; name a FILE for the others")
            }
            (Output::Stderr, _) | (_, Output::Stderr) => {
                bail!("standard error can have one report; name a FILE for the others")
            }
            (Output::File(first), Output::EndOf(_)) => {
                bail!("{} is the file of {STEP_SUMMARY}; each report needs a file of its own", first.display())
            }
            (Output::File(first) | Output::EndOf(first), Output::File(_) | Output::EndOf(_)) => {
                bail!("{} is named twice; each report needs a file of its own", first.display())
            }
        }
    }
    Ok(())
}
