//! Cuts what the server sends into responses, and keeps the last words of each kind.

use super::reply::Answers;

/// The longest response outside of literals, in bytes: the numbers of half a million found messages fit.
const MAX_LINE: usize = 4 << 20;
/// What is kept of a line, in bytes.
pub(super) const MAX_KEPT: usize = 2048;

/// What is kept of the lines beside a reply.
const MOST_NOTICES: usize = 8;

/// What is looked at of a fetched message, in bytes: the fields that were asked for.
const MAX_LOOKED_AT: usize = 2048;

/// A literal that is longer does not stay in its line, in bytes.
const LONGEST_QUOTED: u64 = 1024;

/// What is kept of a continuation request, in bytes: no mechanism's challenge is longer, in base64.
const MAX_CHALLENGE: usize = 16 << 10;

/// The word of a tagged reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    No,
    Bad,
    Bye,
}

impl Status {
    fn read(text: &[u8]) -> Option<Self> {
        let word = text.split(|byte| *byte == b' ').next()?;
        [(b"OK".as_slice(), Self::Ok), (b"NO", Self::No), (b"BAD", Self::Bad), (b"BYE", Self::Bye)]
            .into_iter()
            .find(|(name, _)| word.eq_ignore_ascii_case(name))
            .map(|(_, status)| status)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Ok => "OK",
            Self::No => "NO",
            Self::Bad => "BAD",
            Self::Bye => "BYE",
        }
    }
}

/// What a session's first line said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Greeting {
    Ok,
    PreAuth,
    Bye,
    /// Not a greeting of IMAP.
    Foreign,
}

/// What the server may say next, besides untagged responses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing: no command is out, or the rest of one that the server asked for is not.
    #[default]
    Nothing,
    /// The tagged reply. A `+` before it asks for nothing.
    Reply,
    /// The tagged reply, or a `+` that asks for the rest of the command.
    ReplyOrRequest,
}

/// What the server sends that is no IMAP, or passes a bound. The text is one line.
pub(super) type Unreadable = &'static str;

/// Reads responses, however the bytes are cut, in memory bounded by one line.
#[derive(Default)]
pub(super) struct Reader {
    /// The response under way, without the contents of its literals.
    line: Vec<u8>,
    /// Bytes of a literal still to pass over.
    literal_left: u64,
    /// The beginning of the fetched message that the response under way brings; empty if it brings none.
    message: Vec<u8>,
    /// Whether the literal under way is one.
    is_message: bool,
    /// Whether the literal under way stays in the line, as the quoted string that it might have been.
    is_quoted: bool,
    pub(super) greeting: Option<Greeting>,
    pub(super) answers: Answers,
    /// The last complete line, as it came, without its line end.
    pub(super) last_line: Vec<u8>,
    /// The last `* BYE` of the session.
    pub(super) bye: Option<Vec<u8>>,
    /// What was said beside the replies of the unit, for people to read: untagged NO and BAD, alerts, and goodbyes.
    pub(super) notices: Vec<Vec<u8>>,
    /// The last tagged line of the unit and what it said.
    pub(super) tagged: Option<(Status, Vec<u8>)>,
    pub(super) due: Due,
    /// The first line that answers nothing: it came before its command had left, or it is no IMAP.
    pub(super) unasked: Option<Vec<u8>>,
    /// How many responses were complete, the greeting among them.
    pub(super) responses: u64,
    /// The text of the last continuation request, while it is waited for.
    pub(super) continuation: Option<Vec<u8>>,
    /// What the `imap` crate gets to read: tagged replies and continuations, without their texts.
    pub(super) for_crate: Vec<u8>,
}

impl Reader {
    /// A new unit begins.
    pub(super) fn begin(&mut self) {
        self.answers = Answers::default();
        self.tagged = None;
        self.notices.clear();
    }

    /// Bytes of a response that is not complete yet.
    pub(super) fn has_partial(&self) -> bool {
        !self.line.is_empty() || self.literal_left > 0
    }

    /// The incomplete response's start, as it came.
    pub(super) fn partial(&self) -> &[u8] {
        kept(&self.line)
    }

    pub(super) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Unreadable> {
        while !bytes.is_empty() {
            if self.literal_left > 0 {
                let skip = usize::try_from(self.literal_left).unwrap_or(usize::MAX).min(bytes.len());
                self.literal_left -= skip as u64;
                if self.is_message {
                    let room = MAX_LOOKED_AT.saturating_sub(self.message.len());
                    self.message.extend_from_slice(&bytes[..skip.min(room)]);
                }
                if self.is_quoted {
                    self.quote(&bytes[..skip]);
                }
                bytes = &bytes[skip..];
                continue;
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let (piece, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
            if self.line.len() + piece.len() > MAX_LINE {
                return Err("a line of the reply is longer than 4 MiB; this is no mail server, or a hostile one");
            }
            self.line.extend_from_slice(piece);
            if end.is_none() {
                break;
            }
            bytes = &rest[1..];
            if self.line.last() == Some(&b'\r') {
                self.line.pop();
            }
            match announced_literal(&self.line) {
                Some(length) => {
                    self.literal_left = length;
                    self.is_message = is_fetch(&self.line);
                    self.is_quoted = length <= LONGEST_QUOTED && is_namespace(&self.line);
                    if self.is_quoted {
                        let announcement = self.line.iter().rposition(|byte| *byte == b'{');
                        self.line.truncate(announcement.unwrap_or(self.line.len()));
                        self.line.push(b'"');
                        self.quote(b"");
                    } else {
                        self.line.push(b' ');
                    }
                }
                None => self.complete()?,
            }
        }
        Ok(())
    }

    /// Adds to the quoted string at the end of the line, and ends it with its literal.
    fn quote(&mut self, content: &[u8]) {
        for byte in content {
            if matches!(byte, b'"' | b'\\') {
                self.line.push(b'\\');
            }
            self.line.push(*byte);
        }
        if self.literal_left == 0 {
            self.line.push(b'"');
        }
    }

    fn complete(&mut self) -> Result<(), Unreadable> {
        self.responses += 1;
        let line = std::mem::take(&mut self.line);
        let result = self.response(&line);
        self.last_line.clear();
        self.last_line.extend_from_slice(kept(&line));
        // The buffer goes back for the next line, unless this one was huge.
        self.line = line;
        self.line.clear();
        self.line.shrink_to(64 << 10);
        result
    }

    fn response(&mut self, line: &[u8]) -> Result<(), Unreadable> {
        if self.greeting.is_none() {
            self.greeting = Some(read_greeting(line));
        }
        if let Some(untagged) = line.strip_prefix(b"* ") {
            if untagged.split(|byte| *byte == b' ').next().is_some_and(|word| word.eq_ignore_ascii_case(b"BYE")) {
                self.bye = Some(kept(line).to_vec());
            }
            if is_notice(untagged) {
                // The last one tells most.
                self.notices.truncate(MOST_NOTICES - 1);
                self.notices.push(kept(line).to_vec());
            }
            self.answers.untagged(untagged);
            if !self.message.is_empty() {
                self.answers.message(&self.message);
                self.message.clear();
            }
            return Ok(());
        }
        if self.due == Due::Nothing {
            self.unasked.get_or_insert_with(|| kept(line).to_vec());
            return Ok(());
        }
        // Some servers leave out the blank, but then there is no text either.
        if line == b"+" || line.starts_with(b"+ ") {
            if self.due == Due::ReplyOrRequest {
                self.due = Due::Nothing;
            }
            // Without its text, which would have to be base64 for the crate to bear it.
            self.for_crate.extend_from_slice(b"+\r\n");
            let text = line[1..].strip_prefix(b" ").unwrap_or_default();
            self.continuation = Some(text[..text.len().min(MAX_CHALLENGE)].to_vec());
            return Ok(());
        }
        let read = line.iter().position(|byte| *byte == b' ').and_then(|space| {
            let tag = &line[..space];
            let plain = !tag.is_empty() && tag.len() <= 32 && tag.iter().all(u8::is_ascii_alphanumeric);
            Status::read(&line[space + 1..]).filter(|_| plain).map(|status| (tag, status))
        });
        match read {
            Some((tag, status)) => {
                self.due = Due::Nothing;
                self.for_crate.extend_from_slice(tag);
                self.for_crate.push(b' ');
                self.for_crate.extend_from_slice(status.name().as_bytes());
                self.for_crate.extend_from_slice(b"\r\n");
                self.answers.code(line);
                self.tagged = Some((status, kept(line).to_vec()));
                Ok(())
            }
            None => Err("a line of the reply is not IMAP"),
        }
    }
}

fn read_greeting(line: &[u8]) -> Greeting {
    match line.strip_prefix(b"* ") {
        Some(rest) if starts_with(rest, b"OK") => Greeting::Ok,
        Some(rest) if starts_with(rest, b"PREAUTH") => Greeting::PreAuth,
        Some(rest) if starts_with(rest, b"BYE") => Greeting::Bye,
        _ => Greeting::Foreign,
    }
}

/// `… {120}` at the end of a response that carries strings. Human-readable text may end like that by chance.
fn announced_literal(line: &[u8]) -> Option<u64> {
    let digits = line.strip_suffix(b"}")?;
    let open = digits.iter().rposition(|byte| *byte == b'{')?;
    let digits = &digits[open + 1..];
    let untagged = line.strip_prefix(b"* ")?;
    let is_text = ["OK", "NO", "BAD", "BYE", "PREAUTH"].iter().any(|word| {
        starts_with(untagged, word.as_bytes()) && untagged.get(word.len()).is_none_or(|next| *next == b' ')
    });
    if is_text || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    // A length past all bounds stays one: the cap on a unit's bytes ends it.
    Some(std::str::from_utf8(digits).ok()?.parse().unwrap_or(u64::MAX))
}

/// Whether an untagged response is for people to read: a goodbye, a refusal or warning, or one that must be shown to the
/// user (RFC 9051 §7.1). WEBALERT is Gmail's: the page to open before the next sign-in.
fn is_notice(untagged: &[u8]) -> bool {
    let mut words = untagged.split(|byte| *byte == b' ');
    let status = words.next().unwrap_or_default();
    let is = |names: &[&[u8]]| names.iter().any(|name| status.eq_ignore_ascii_case(name));
    let alerts = |code: &[u8]| starts_with(code, b"[ALERT]") || starts_with(code, b"[WEBALERT");
    is(&[b"NO", b"BAD", b"BYE"]) || (is(&[b"OK"]) && words.next().is_some_and(alerts))
}

/// Whether a response names mailboxes whose names are wanted: the prefix of a namespace.
fn is_namespace(line: &[u8]) -> bool {
    line.strip_prefix(b"* ").is_some_and(|untagged| starts_with(untagged, b"NAMESPACE "))
}

fn is_fetch(line: &[u8]) -> bool {
    line.split(|byte| *byte == b' ').nth(2).is_some_and(|word| word.eq_ignore_ascii_case(b"FETCH"))
}

fn starts_with(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word))
}

fn kept(line: &[u8]) -> &[u8] {
    &line[..line.len().min(MAX_KEPT)]
}
