//! A stored file, opened.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result};

use super::anonymize::Anonymize;
use super::args::are_of_runs;
use mailconn::event::{NewPolicy, What, Within};
use mailconn::judge::comparison_gate;

/// The file's name and what is in it; `-` is standard input.
///
/// # Errors
/// It cannot be read.
pub fn open(file: &Path) -> Result<(String, Box<dyn Read + Send>)> {
    if file.as_os_str() == "-" {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    }
    let name = file.to_string_lossy().into_owned();
    let opened = File::open(file).with_context(|| format!("cannot read {name}"))?;
    Ok((name, Box::new(opened)))
}

/// The same, with other names in it if that was asked for.
///
/// # Errors
/// It cannot be read.
pub fn open_anonymous(file: &Path, anonymize: &Anonymize) -> Result<(String, Box<dyn Read + Send>)> {
    let (name, from) = open(file)?;
    Ok((name, anonymize.read(from)))
}

/// Whether those gates can judge what begins with this event: a comparison has gates of its own form.
///
/// # Errors
/// One cannot.
pub fn gates_fit(what: &What, within: Within<'_>, new: &NewPolicy) -> Result<()> {
    let gates = new.gates.as_deref().unwrap_or_default();
    match what {
        What::ComparisonStart(start) => gates.iter().try_for_each(|gate| {
            comparison_gate(gate, &start.variants, &start.reference).with_context(|| format!("{gate:?}"))
        }),
        What::RunStart(_) if within.run.is_none() => are_of_runs(gates),
        What::ScenarioStart(_) => are_of_runs(gates),
        _ => Ok(()),
    }
}

/// Which regular file the name stands for, by whatever links: its device and its number there.
pub fn identity(file: &Path) -> Option<(u64, u64)> {
    let file = if file.as_os_str() == "-" { Path::new("/dev/stdin") } else { file };
    fs::metadata(file).ok().filter(fs::Metadata::is_file).map(|file| (file.dev(), file.ino()))
}
