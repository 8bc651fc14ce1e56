//! The file of settings: named servers and defaults, in TOML.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::slice;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::fs::OFlags;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, SERVER, TYPED, meant};
use super::setting::{Setting, Source};
use crate::cli::complaint::{sounds_secret, without_passwords};

/// The variable that names the file.
pub const FILE: &str = "MAILCONN_CONFIG";
/// A file of settings is no longer, in bytes.
const MOST_BYTES: u64 = 1 << 16;
/// What a server's address is called there.
const URL: &str = "url";
const TABLES: &str = "settings stand under [defaults] or [servers.NAME]";

/// What the file says.
#[derive(Default)]
pub struct ConfigFile {
    /// Where it is, or would be; none where no place is known.
    pub path: Option<PathBuf>,
    /// Whether it is there.
    pub is_there: bool,
    /// For every server.
    pub defaults: Vec<Setting>,
    /// For the server of that name; each has a [`SERVER`].
    pub servers: BTreeMap<String, Vec<Setting>>,
}

impl ConfigFile {
    /// Reads the file of that name, else the environment's, else the one at the usual place, if there is one.
    ///
    /// # Errors
    /// It cannot be read, or is not understood: one line.
    pub fn read(named: Option<&Path>) -> Result<Self> {
        let variable = env::var_os(FILE).filter(|path| !path.is_empty()).map(PathBuf::from);
        let named = named.map(|path| ("--config", path.to_owned())).or_else(|| Some((FILE, variable?)));
        if let Some((by, path)) = named {
            let text = text(&path).with_context(|| by.to_owned())?;
            return Self::parse(&text, path);
        }
        match usual_place() {
            // What cannot be found, in a home of somebody else for one, is not there.
            Some(path) if fs::metadata(&path).is_ok() => Self::parse(&text(&path)?, path),
            path => Ok(Self { path, ..Self::default() }),
        }
    }

    /// The settings of the server of that name.
    ///
    /// # Errors
    /// There is none: what there is, and what may have been meant.
    pub fn server(&self, name: &str) -> Result<&[Setting]> {
        if let Some(settings) = self.servers.get(name) {
            return Ok(settings);
        }
        let path = self.path.as_deref().unwrap_or(Path::new("config.toml")).display();
        ensure!(
            self.is_there,
            "no server has a name, since there is no {path}; give the URL, or write [servers.{name}] there"
        );
        let names: Vec<_> = self.servers.keys().map(|name| format!("@{name}")).collect();
        ensure!(!names.is_empty(), "{path} names no server; write [servers.{name}] there, or give the URL");
        let meant = meant(name, self.servers.keys().map(String::as_str));
        let meant = meant.map_or_else(String::new, |name| format!("; did you mean @{name}?"));
        bail!("{path} names no such server: there is {}{meant}", names.join(", "))
    }

    fn parse(text: &str, path: PathBuf) -> Result<Self> {
        let reader = Reader { text, path: &path, known: keys::all() };
        let mut file = Self { is_there: true, ..Self::default() };
        let root = DeTable::parse(text).map_err(|error| {
            // Its own text would quote the line, which may hold a secret.
            let at = error.span().map_or(0, |span| span.start);
            anyhow!("{}: {}", reader.place(at), error.message().lines().collect::<Vec<_>>().join(" "))
        })?;
        for (key, value) in root.get_ref() {
            let at = reader.place(key.span().start);
            match (&**key.get_ref(), value.get_ref()) {
                ("defaults", DeValue::Table(table)) => file.defaults = reader.settings(table, None)?,
                ("servers", DeValue::Table(table)) => {
                    for (name, value) in table {
                        let at = reader.place(name.span().start);
                        let DeValue::Table(table) = value.get_ref() else { bail!("{at}: {TABLES}") };
                        let settings = reader.settings(table, Some(name.get_ref()))?;
                        ensure!(
                            settings.iter().any(|setting| setting.key == SERVER),
                            "{at}: this server has no {URL}; write {URL} = \"imaps://user@host\""
                        );
                        file.servers.insert(name.get_ref().to_string(), settings);
                    }
                }
                (name, DeValue::Table(_)) => bail!("{at}: there is no table {name:?}; {TABLES}"),
                (name, _) => {
                    reader.key(name, &at, None)?;
                    bail!("{at}: {TABLES}")
                }
            }
        }
        file.path = Some(path);
        Ok(file)
    }
}

/// A file as it is read.
struct Reader<'a> {
    text: &'a str,
    path: &'a Path,
    /// See [`keys::all`].
    known: Vec<(String, bool)>,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.get(..at).unwrap_or_default().matches('\n').count() + 1
    }

    fn place(&self, at: usize) -> String {
        format!("{}:{}", self.path.display(), self.line(at))
    }

    fn settings(&self, table: &DeTable<'_>, server: Option<&str>) -> Result<Vec<Setting>> {
        table.iter().map(|(key, value)| self.setting(key, value, server)).collect()
    }

    fn setting(
        &self,
        key: &Spanned<impl AsRef<str>>,
        value: &Spanned<DeValue<'_>>,
        server: Option<&str>,
    ) -> Result<Setting> {
        let line = self.line(key.span().start);
        let at = self.place(key.span().start);
        let key = self.key(key.get_ref().as_ref(), &at, server)?;
        let values = match value.get_ref() {
            DeValue::Array(values) => values.iter().map(|value| word(value.get_ref())).collect(),
            value => word(value).map(|word| vec![word]),
        };
        let values =
            values.with_context(|| format!("{at}: a setting is a text, a number, true, false, or a list of those"))?;
        let address = values.iter().map(|value| value.to_string_lossy().into_owned()).filter(|_| key == SERVER);
        ensure!(
            address.into_iter().all(|address| without_passwords(address.clone(), slice::from_ref(&address)) == address),
            "{at}: no secret belongs in this file; write the address without its password"
        );
        let source = Source::File { path: self.path.to_owned(), line, server: server.map(str::to_owned) };
        Ok(Setting { key, values, source })
    }

    /// The setting that is called so.
    fn key(&self, name: &str, at: &str, server: Option<&str>) -> Result<String> {
        if server.is_some() && name == URL {
            return Ok(SERVER.to_owned());
        }
        ensure!(server.is_none() || name != SERVER, "{at}: the address of this server is called {URL}");
        if let Some((_, why)) = TYPED.iter().find(|(typed, _)| *typed == name) {
            bail!("{at}: --{name} is for the command line alone: {why}");
        }
        match self.known.iter().find(|(known, _)| known == name) {
            Some((_, true)) if server.is_none() => {
                bail!("{at}: a password is for one server: write {name} under its [servers.NAME]")
            }
            Some(_) => Ok(name.to_owned()),
            None if sounds_secret(name) => {
                bail!("{at}: no secret belongs in this file; name a password-file or a password-command in its place")
            }
            None => {
                let known = self.known.iter().map(|(known, _)| known.as_str());
                let meant = meant(name, known.chain(server.map(|_| URL)));
                let meant = meant.map_or_else(
                    || "mailconn explain settings lists all".to_owned(),
                    |it| format!("did you mean {it}?"),
                );
                bail!("{at}: there is no setting {name:?}; {meant}")
            }
        }
    }
}

/// A value as it would be typed.
fn word(value: &DeValue<'_>) -> Option<OsString> {
    match value {
        DeValue::String(text) => Some(text.as_ref().into()),
        DeValue::Integer(number) => Some(number.to_string().into()),
        DeValue::Float(number) => Some(number.to_string().into()),
        DeValue::Boolean(is_on) => Some(is_on.to_string().into()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// Where the file is by the XDG Base Directory Specification, which has relative paths ignored.
fn usual_place() -> Option<PathBuf> {
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = folder("XDG_CONFIG_HOME").or_else(|| Some(folder("HOME")?.join(".config")))?;
    Some(folder.join("mailconn/config.toml"))
}

fn text(path: &Path) -> Result<String> {
    let name = path.display();
    let reading = || format!("reading {path:?}");
    // Opening a FIFO without a writer would block.
    let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).with_context(reading)?;
    let found = file.metadata().with_context(reading)?;
    ensure!(
        found.is_file() || found.file_type().is_char_device(),
        "{name} is no file; give the path of a file in TOML"
    );
    ensure!(
        !found.is_file() || found.mode() & 0o002 == 0,
        "{name}: other users can write it, and it names commands that run as you; chmod o-w it"
    );
    let mut bytes = Vec::new();
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).with_context(reading)?;
    ensure!(bytes.len() as u64 <= MOST_BYTES, "{name} is too big for settings: more than {MOST_BYTES} bytes");
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.iter().filter(|byte| **byte == b'\n').count() + 1;
        anyhow!("{name}:{line}: not UTF-8 text")
    })?;
    Ok(text)
}
