//! A stored file, opened.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result};

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
