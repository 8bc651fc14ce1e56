//! What goes over each session, a file each: for people who try their own client on the server.
//!
//! One line a line: its time, `C:` for the client's, `S:` for the server's, `--` for what happened. What may be a password is
//! `***`, and so is each user's own. Control characters and bytes that are no text are escaped.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
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
    /// What the users sign in with, as lines show it.
    passwords: Vec<Form>,
    /// A sign-in was refused: a client that did not wait for that says more of it.
    was_refused: bool,
    /// IMAP: what such lines begin with, which the server takes for tags.
    stray: Vec<String>,
    /// SMTP and POP3: replies that are still to come, the greeting first. The last one is the sign-in's.
    owed: u32,
}

/// A password, or a text in base64 that holds one.
struct Form {
    text: String,
    /// It is hidden wherever a client says it. Another one may be the name of something.
    is_odd: bool,
    /// A client said it: the server may repeat it. Otherwise the word is its own.
    was_said: bool,
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

    pub(super) fn begin<'users>(
        &self,
        number: u64,
        (protocol, peer): (Protocol, SocketAddr),
        passwords: impl Iterator<Item = (&'users str, &'users [u8])>,
    ) -> Transcript<'_> {
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
            passwords: passwords.flat_map(|(user, password)| forms(user, password)).collect(),
            was_refused: false,
            stray: Vec::new(),
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
            let shown = if self.is_in_literal(&line, taken) {
                self.without_passwords(shown(&line), false)
            } else {
                self.without_secrets(&line)
            };
            self.line("C:", &shown);
        }
    }

    /// Bytes that the server says.
    pub fn server(&mut self, bytes: &[u8]) {
        self.server.extend_from_slice(bytes);
        while let Some(line) = whole_line(&mut self.server) {
            self.learn(&line);
            let shown = self.answer(&line);
            self.line("S:", &shown);
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
            (_, State::Message) => self.without_passwords(text, false),
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
            (verb, _) if self.was_refused && !HARMLESS.contains(&verb) && !LATER.contains(&verb) && text != "DONE" => {
                if self.protocol == Protocol::Imap {
                    self.stray.extend(text.split(' ').next().map(str::to_owned));
                }
                "***".to_owned()
            }
            (verb, _) => {
                let names_nothing = NAMELESS.contains(&verb);
                let head = head();
                let rest = text[head.len()..].to_owned();
                head + &self.without_passwords(rest, names_nothing)
            }
        }
    }

    /// What the server says, which may repeat what the client said.
    fn answer(&self, line: &[u8]) -> String {
        let text = shown(line);
        let tag = text.split(' ').next().filter(|tag| self.stray.iter().any(|stray| stray == tag)).map_or(0, str::len);
        let mut rest = text[tag..].to_owned();
        for form in self.passwords.iter().filter(|form| form.was_said) {
            hide(&mut rest, &form.text);
        }
        if tag > 0 { format!("***{rest}") } else { rest }
    }

    /// The text without the users' passwords; without those that may be the name of something too, where it names nothing.
    fn without_passwords(&mut self, mut text: String, names_nothing: bool) -> String {
        for form in self.passwords.iter_mut().filter(|form| form.is_odd || names_nothing) {
            form.was_said |= hide(&mut text, &form.text);
        }
        text
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
            (State::SigningIn { again }, Some(false)) => {
                self.was_refused = true;
                if again { State::SignedIn } else { State::Stranger }
            }
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
                let text = if direction == "C:" { self.without_secrets(&rest) } else { self.answer(&rest) };
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

/// Commands of a client that has signed in.
const LATER: [&str; 32] = [
    "SELECT",
    "EXAMINE",
    "CREATE",
    "DELETE",
    "RENAME",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "LSUB",
    "XLIST",
    "STATUS",
    "APPEND",
    "CHECK",
    "CLOSE",
    "UNSELECT",
    "EXPUNGE",
    "SEARCH",
    "FETCH",
    "STORE",
    "COPY",
    "MOVE",
    "SORT",
    "THREAD",
    "UID",
    "IDLE",
    "NAMESPACE",
    "ENABLE",
    "RETR",
    "DELE",
    "TOP",
    "UIDL",
    "LAST",
    "EXPN",
];

/// Commands that name no mailbox and no host.
const NAMELESS: [&str; 14] = [
    "NOOP",
    "VRFY",
    "EXPN",
    "HELP",
    "RSET",
    "QUIT",
    "CAPABILITY",
    "LOGOUT",
    "CAPA",
    "STAT",
    "CHECK",
    "CLOSE",
    "STARTTLS",
    "STLS",
];

/// What a client says of that password: itself, and the answers of both mechanisms.
fn forms(user: &str, password: &[u8]) -> Vec<Form> {
    let plain = shown(password);
    let is_odd = plain.len() >= 6 && !plain.chars().all(char::is_alphabetic);
    let texts = [password.to_vec(), [b"\0", user.as_bytes(), b"\0", password].concat()];
    let encoded = texts.map(|text| STANDARD_NO_PAD.encode(text)).map(|text| Form {
        is_odd: text.len() >= 6,
        text,
        was_said: false,
    });
    encoded
        .into_iter()
        .chain([Form { text: plain, is_odd, was_said: false }])
        .filter(|form| !form.text.is_empty())
        .collect()
}

/// Hides that word wherever it stands, and says whether it does.
fn hide(text: &mut String, word: &str) -> bool {
    let apart = |c: Option<char>| !c.is_some_and(char::is_alphanumeric);
    let (mut from, mut found) = (0, false);
    while let Some(at) = text[from..].find(word).map(|at| from + at) {
        let end = at + word.len();
        from = end;
        if apart(text[..at].chars().next_back()) && apart(text[end..].chars().next()) {
            text.replace_range(at..end, "***");
            (from, found) = (at + 3, true);
        }
    }
    found
}

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
