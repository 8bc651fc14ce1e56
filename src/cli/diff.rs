//! `mailconn diff`: two runs side by side.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::args::DiffArgs;
use super::stderr::complain;
use super::stored::open;
use mailconn::judge::Earlier;
use mailconn::report::{Format, Layout, Output, diff_json, diff_text};

/// Tells in what the runs of two files differ.
///
/// # Errors
/// A file holds no run, or the report could not be written: one line.
pub fn diff(args: &DiffArgs, layout: Layout) -> Result<u8> {
    let are_stdin = [&args.one, &args.other].iter().all(|file| file.as_os_str() == "-");
    ensure!(!are_stdin, "- is standard input, and can be read once");
    let (one, other) = (read(&args.one)?, read(&args.other)?);
    let bytes = match args.format == Format::Json {
        true => diff_json(&one, &other),
        false => diff_text(layout, &one, &other).into_bytes(),
    };
    Output::Stdout.write_whole(&bytes).context("writing the report")?;
    Ok(0)
}

fn read(file: &Path) -> Result<Earlier> {
    let (name, from) = open(file)?;
    let run = Earlier::read(from, &[]).with_context(|| name.clone())?;
    if let Some(flaw) = run.flaw() {
        complain(&format!("{name}: {flaw}"));
    }
    Ok(run)
}
