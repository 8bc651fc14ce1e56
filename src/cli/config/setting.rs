//! One setting, and where it stands.

use std::borrow::Cow;
use std::env;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Arg;
use clap::builder::ValueHint;

/// One setting, and where it stands.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The long name of its flag.
    pub key: String,
    /// What the flag takes; of a flag that takes nothing, `true` or `false`.
    pub values: Vec<OsString>,
    pub source: Source,
}

/// Where a setting stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In the variable of that name.
    Environment(String),
    /// On a line of the file; of a named server, or in the defaults.
    File { path: PathBuf, line: usize, server: Option<String> },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => f.write_str(name),
            Self::File { path, line, .. } => write!(f, "{}:{line}", path.display()),
        }
    }
}

impl Setting {
    /// Its first value.
    pub fn text(&self) -> Result<Cow<'_, str>> {
        let value = self.values.first().map_or(OsStr::new(""), OsString::as_os_str);
        match value.to_str() {
            Some(text) => Ok(text.into()),
            None => bail!("{} is not UTF-8 text", self.source),
        }
    }

    /// All of its values.
    pub fn all(&self) -> String {
        self.values.iter().map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    /// Whether a flag that takes no value is on.
    pub fn is_on(&self) -> bool {
        self.values.first().is_some_and(|value| value == "true" || value == "1")
    }

    /// The same, with its files where the file of settings is: what it names is not looked for in the working directory.
    pub fn placed(mut self, arg: &Arg) -> Self {
        if let (ValueHint::AnyPath, Source::File { path, .. }) = (arg.get_value_hint(), &self.source) {
            let folder = path.parent().unwrap_or(Path::new(""));
            for value in &mut self.values {
                *value = match (Path::new(value).strip_prefix("~"), env::home_dir()) {
                    (Ok(inside), Some(home)) => home.join(inside),
                    _ => folder.join(&*value),
                }
                .into();
            }
        }
        self
    }

    /// What could be typed in its place.
    pub fn words(&self, arg: &Arg) -> Result<Vec<OsString>> {
        self.text()?;
        if arg.is_positional() {
            return Ok(self.values.clone());
        }
        let flag = format!("--{}", self.key);
        if arg.get_action().takes_values() {
            let word = |value: &OsString| [OsStr::new(&flag), OsStr::new("="), value].into_iter().collect();
            return Ok(self.values.iter().map(word).collect());
        }
        let is_off = self.values.first().is_some_and(|value| value == "false" || value == "0");
        match self.values.len() {
            1 if self.is_on() => Ok(vec![flag.into()]),
            1 if is_off => Ok(Vec::new()),
            _ => bail!("{}: {flag} takes no value; write true or false", self.source),
        }
    }
}
