//! What goes over each session, a file each: for people who try their own client on the server.
//!
//! One line a line: its time, `C:` for the client's, `S:` for the server's, `--` for what happened. What may be a password is
//! `***`. Control characters and bytes that are no text are escaped.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::listening::Protocol;
use super::lock;

/// The longest file, in bytes.
const MAX_FILE: usize = 64 << 20;
/// So many bytes of a line are kept.
const MAX_LINE: usize = 4096;

/// The directory of a server's transcripts.
pub struct Transcripts {
    directory: PathBuf,
    /// Why the first file that is not whole is not.
    failed: Mutex<Option<String>>,
}

/// One session's file.
pub(super) struct Transcript<'a> {
    to: &'a Transcripts,
    path: PathBuf,
    /// None once it could not be written, or is full.
    file: Option<BufWriter<File>>,
    written: usize,
    protocol: Protocol,
    /// The pieces of lines that have not ended yet.
    client: Vec<u8>,
    server: Vec<u8>,
    state: State,
    /// IMAP: the tag of the sign-in under way, and a space.
    tag: Vec<u8>,
    /// IMAP: the bytes of a literal that are still to come; 0 where the rest of its command is.
    literal: Option<usize>,
    /// SMTP and POP3: replies that are still to come, the greeting first. The last one is the sign-in's.
    owed: u32,
}

/// What the client's next line may hold.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// A command of a client that has not signed in.
    Stranger,
    /// The rest of a sign-in, whoever the client was before.
    SigningIn {
        again: bool,
    },
    /// A message, which SMTP takes from strangers too.
    Message,
    SignedIn,
}

impl Transcripts {
    /// Makes sure that files can be created in the directory, which is made if it is missing, for its owner alone. A file is
    /// named after the session's number, its protocol and the client's port: `00017-imap-57874.txt`. None is written over.
    ///
    /// # Errors
    /// The system's reason.
    pub fn create(directory: &Path) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        tempfile::tempfile_in(directory)?;
        Ok(Self { directory: directory.to_owned(), failed: Mutex::default() })
    }

    /// Why a transcript is missing or not whole, if one is: of the first.
    pub fn failure(&self) -> Option<String> {
        lock(&self.failed).clone()
    }

    pub(super) fn begin(&self, number: u64, protocol: Protocol, peer: SocketAddr) -> Transcript<'_> {
        let path =
            self.directory.join(format!("{number:05}-{}-{}.txt", protocol.to_string().to_lowercase(), peer.port()));
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
        let mut transcript = Transcript {
            to: self,
            path,
            file: None,
            written: 0,
            protocol,
            client: Vec::new(),
            server: Vec::new(),
            state: State::Stranger,
            tag: Vec::new(),
            literal: None,
            owed: 1,
        };
        match file {
            Ok(file) => transcript.file = Some(BufWriter::new(file)),
            Err(error) => transcript.failed(&error),
        }
        transcript.line("--", &format!("connected from {peer}"));
        transcript
    }
}

impl Transcript<'_> {
    /// Something that happened.
    pub fn note(&mut self, what: &str) {
        self.line("--", what);
    }

    /// Bytes that the client sent.
    pub fn client(&mut self, bytes: &[u8]) {
        self.client.extend_from_slice(bytes);
        let mut length = self.client.len();
        while let Some(line) = whole_line(&mut self.client) {
            let taken = length - self.client.len();
            length = self.client.len();
            let shown = if self.is_in_literal(&line, taken) { shown(&line) } else { self.without_secrets(&line) };
            self.line("C:", &shown);
        }
    }

    /// Bytes that the server says.
    pub fn server(&mut self, bytes: &[u8]) {
        self.server.extend_from_slice(bytes);
        while let Some(line) = whole_line(&mut self.server) {
            self.learn(&line);
            self.line("S:", &shown(&line));
        }
    }

    /// IMAP: whether the line is not the first of a command of someone signed in, such as the line of a message. With its end
    /// it is so long.
    fn is_in_literal(&mut self, line: &[u8], length: usize) -> bool {
        if self.protocol != Protocol::Imap || self.state != State::SignedIn {
            return false;
        }
        let is_inside = self.literal.is_some();
        self.literal = match self.literal {
            Some(left @ 1..) if length <= left => Some(left - length),
            _ => announced(line),
        };
        is_inside
    }

    fn without_secrets(&mut self, line: &[u8]) -> String {
        let text = shown(line);
        if matches!(self.state, State::Stranger | State::SignedIn) {
            self.owed = self.owed.saturating_add(1);
        }
        let named = if self.protocol == Protocol::Imap { 1 } else { 0 };
        let mut words = text.split(' ');
        let verb = words.clone().nth(named).unwrap_or_default().to_ascii_uppercase();
        let head = || text.split(' ').take(named + 1).collect::<Vec<_>>().join(" ");
        match (verb.as_str(), self.state) {
            (_, State::SigningIn { .. }) => "***".to_owned(),
            (_, State::Message) => text,
            ("LOGIN" | "AUTHENTICATE" | "AUTH" | "PASS" | "APOP", state) => {
                self.state = State::SigningIn { again: state == State::SignedIn };
                self.tag = [line.split(|byte| *byte == b' ').next().unwrap_or_default(), b" "].concat();
                let mechanism = words.nth(named + 1).filter(|_| matches!(verb.as_str(), "AUTHENTICATE" | "AUTH"));
                let says_more = text.split(' ').count() > named + 1 + usize::from(mechanism.is_some());
                format!(
                    "{}{}{}",
                    head(),
                    mechanism.map(|name| format!(" {name}")).unwrap_or_default(),
                    if says_more { " ***" } else { "" }
                )
            }
            // Half of a password may look like anything else.
            (verb, State::Stranger) if !HARMLESS.contains(&verb) => "***".to_owned(),
            _ => text,
        }
    }

    fn learn(&mut self, line: &[u8]) {
        let is = |status: &str| line.starts_with(status.as_bytes());
        let accepts = match self.protocol {
            // What is tagged otherwise answers another command, which may have come in one piece with the sign-in.
            Protocol::Imap => line.strip_prefix(self.tag.as_slice()).map(|rest| rest.starts_with(b"OK")),
            Protocol::Smtp if is("3") || line.get(3) == Some(&b'-') => None,
            Protocol::Pop3 if !is("+OK") && !is("-ERR") => None,
            Protocol::Smtp | Protocol::Pop3 => {
                self.owed = self.owed.saturating_sub(1);
                (self.owed == 0).then(|| is("235") || is("+OK"))
            }
        };
        self.state = match (self.state, accepts) {
            (State::Stranger, _) if line.starts_with(b"354") => State::Message,
            (State::Message, _) => State::Stranger,
            (State::SigningIn { again }, Some(accepts)) if accepts || again => State::SignedIn,
            (State::SigningIn { .. }, Some(_)) => State::Stranger,
            (state, _) => state,
        };
    }

    fn line(&mut self, direction: &str, text: &str) {
        let Some(file) = &mut self.file else { return };
        let line = format!(
            "{} {direction} {text}\n",
            DateTime::<Utc>::from(SystemTime::now()).format("%Y-%m-%dT%H:%M:%S%.6fZ")
        );
        self.written += line.len();
        let full = self.written > MAX_FILE;
        if let Err(error) = file.write_all(line.as_bytes()) {
            self.failed(&error);
        } else if full {
            self.file = None;
            self.failed(&io::Error::other("it holds 64 MiB"));
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.file = None;
        lock(&self.to.failed)
            .get_or_insert_with(|| format!("the transcript {} is not whole: {error}", self.path.display()));
    }
}

impl Drop for Transcript<'_> {
    fn drop(&mut self) {
        for (direction, rest) in [("C:", std::mem::take(&mut self.client)), ("S:", std::mem::take(&mut self.server))] {
            if !rest.is_empty() {
                let text = if direction == "C:" { self.without_secrets(&rest) } else { shown(&rest) };
                self.line(direction, &format!("{text} (no line end)"));
            }
        }
        self.line("--", "closed");
        if let Some(Err(error)) = self.file.as_mut().map(BufWriter::flush) {
            self.failed(&error);
        }
    }
}

/// Commands of a client that has not signed in, whose arguments are no secret.
const HARMLESS: [&str; 20] = [
    "CAPABILITY",
    "NOOP",
    "LOGOUT",
    "ID",
    "STARTTLS",
    "CAPA",
    "STLS",
    "USER",
    "QUIT",
    "EHLO",
    "HELO",
    "MAIL",
    "RCPT",
    "DATA",
    "RSET",
    "VRFY",
    "BDAT",
    "HELP",
    "STAT",
    "LIST",
];

/// How long the literal is that the line announces: `{12}` or `{12+}`.
fn announced(line: &[u8]) -> Option<usize> {
    let (_, digits) = std::str::from_utf8(line).ok()?.strip_suffix('}')?.rsplit_once('{')?;
    digits.strip_suffix('+').unwrap_or(digits).parse().ok()
}

/// Takes the first line from the front, if a whole one is there; of a longer piece the front is as good as a line.
fn whole_line(bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
    const MOST: usize = 64 * 1024;
    let end = bytes
        .iter()
        .position(|byte| *byte == b'\n')
        .map(|end| end + 1)
        .or((bytes.len() > MOST).then_some(bytes.len()))?;
    let mut line: Vec<u8> = bytes.drain(..end).collect();
    while matches!(line.last(), Some(b'\n' | b'\r')) {
        line.pop();
    }
    Some(line)
}

fn shown(line: &[u8]) -> String {
    let mut text = String::new();
    for chunk in line[..line.len().min(MAX_LINE)].utf8_chunks() {
        text.extend(chunk.valid().chars().flat_map(|letter| {
            let escapes = letter.is_control();
            escapes.then(|| letter.escape_default()).into_iter().flatten().chain((!escapes).then_some(letter))
        }));
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    if line.len() > MAX_LINE {
        text += &format!("… ({} bytes)", line.len());
    }
    text
}
