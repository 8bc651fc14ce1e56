//! A message taken apart (RFC 2046), to a bounded depth: a message that nests deeper must not cost the server its stack.

use mail_parser::{Message, MessageParser, MimeHeaders};

/// Parts are taken apart to this depth; deeper in they are plain attachments.
const MAX_DEPTH: usize = 32;

/// A message, or a part of one, as header and body.
#[derive(Clone, Copy)]
pub(in crate::sandbox) struct Piece<'a> {
    pub header: &'a [u8],
    pub body: &'a [u8],
    /// Whether the body is a message of its own.
    pub is_message: bool,
}

/// A part, and what is within it.
pub(super) struct Part<'a> {
    pub piece: Piece<'a>,
    /// Its header alone.
    pub fields: Message<'a>,
    pub inner: Inner<'a>,
}

pub(super) enum Inner<'a> {
    None,
    /// At least one.
    Parts(Vec<Part<'a>>),
    Message(Box<Part<'a>>),
}

impl<'a> Piece<'a> {
    /// For a part that is a message: that message.
    pub fn inner(self) -> Piece<'a> {
        split(self.body)
    }

    /// The header fields with these names, or without them, and the blank line.
    pub fn fields(&self, names: &[&[u8]], but: bool) -> Vec<u8> {
        let mut chosen = Vec::new();
        let mut keep = false;
        for line in self.header.split_inclusive(|&byte| byte == b'\n') {
            if matches!(line, b"\r\n" | b"\n") {
                break;
            }
            if !matches!(line[0], b' ' | b'\t') {
                let name = line.split(|&byte| byte == b':').next().unwrap_or(line).trim_ascii_end();
                keep = names.iter().any(|wanted| wanted.eq_ignore_ascii_case(name)) != but;
            }
            if keep {
                chosen.extend_from_slice(line);
            }
        }
        chosen.extend_from_slice(b"\r\n");
        chosen
    }
}

impl<'a> Part<'a> {
    /// The whole message.
    pub fn of(raw: &'a [u8]) -> Self {
        Self::nested(raw, 0, false)
    }

    fn nested(whole: &'a [u8], depth: usize, in_digest: bool) -> Self {
        let mut piece = split(whole);
        let fields = fields(piece.header);
        let kind = fields.content_type();
        let (main, sub) = kind.map_or(("text", None), |kind| (kind.ctype(), kind.subtype()));
        let encoded = fields
            .content_transfer_encoding()
            .is_some_and(|name| ["base64", "quoted-printable"].iter().any(|one| one.eq_ignore_ascii_case(name)));
        let is_message = match kind {
            None => in_digest,
            Some(_) => main == "message" && matches!(sub, Some("rfc822" | "global")) && !encoded,
        };
        let inner = if depth >= MAX_DEPTH {
            Inner::None
        } else if is_message {
            piece.is_message = true;
            Inner::Message(Box::new(Self::nested(piece.body, depth + 1, false)))
        } else if let Some(boundary) = kind.filter(|_| main == "multipart").and_then(|kind| kind.attribute("boundary"))
        {
            let digest = sub == Some("digest");
            let parts: Vec<_> = sections(piece.body, boundary.as_bytes())
                .into_iter()
                .map(|section| Self::nested(section, depth + 1, digest))
                .collect();
            if parts.is_empty() { Inner::None } else { Inner::Parts(parts) }
        } else {
            Inner::None
        };
        Self { piece, fields, inner }
    }

    /// The part that a section like `2.1` names (RFC 3501 §6.4.5). A message that is not multipart has one part, itself.
    pub fn at(&self, path: &[u32]) -> Option<Piece<'a>> {
        let Some((&number, rest)) = path.split_first() else { return Some(self.piece) };
        let found = match &self.inner {
            Inner::Parts(parts) => parts.get((number as usize).checked_sub(1)?)?,
            _ if number == 1 => self,
            _ => return None,
        };
        match (&found.inner, rest) {
            (_, []) => Some(found.piece),
            (Inner::Message(message), rest) => message.at(rest),
            (Inner::Parts(_), rest) if !std::ptr::eq(found, self) => found.at(rest),
            _ => None,
        }
    }

    /// The parts with nothing within them.
    pub fn leaves(&self) -> Box<dyn Iterator<Item = &Part<'a>> + '_> {
        match &self.inner {
            Inner::None => Box::new(std::iter::once(self)),
            Inner::Parts(parts) => Box::new(parts.iter().flat_map(Part::leaves)),
            Inner::Message(message) => message.leaves(),
        }
    }

    /// Its text, decoded where it is encoded, if it is one with nothing within it. The parser is shown a text and nothing
    /// else: of a message with boundaries within boundaries it makes a panic.
    pub fn text(&self) -> Option<String> {
        let kind = self.fields.content_type();
        if kind.is_some_and(|kind| kind.ctype() != "text") {
            return None;
        }
        let token = |value: &&str| value.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
        let charset = kind.and_then(|kind| kind.attribute("charset")).filter(token);
        let charset = charset.map(|name| format!("; charset={name}")).unwrap_or_default();
        let encoding = self.fields.content_transfer_encoding().filter(token).unwrap_or("8bit");
        let header = format!("Content-Type: text/plain{charset}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n");
        let alone = [header.as_bytes(), self.piece.body].concat();
        MessageParser::default().parse(&alone)?.parts.first()?.text_contents().map(str::to_owned)
    }
}

/// The header read. Of one with no field in it the parser makes a message that panics when asked for any.
pub(super) fn fields(header: &[u8]) -> Message<'_> {
    let read =
        |header| MessageParser::default().parse_headers(header).filter(|read: &Message<'_>| !read.parts.is_empty());
    read(header).or_else(|| read(b"MIME-Version: 1.0\r\n\r\n")).unwrap_or_default()
}

/// The header ends with the first empty line; a message without one is all header.
pub(super) fn split(raw: &[u8]) -> Piece<'_> {
    let mut at = 0;
    for line in raw.split_inclusive(|&byte| byte == b'\n') {
        at += line.len();
        if matches!(line, b"\r\n" | b"\n") {
            break;
        }
    }
    let (header, body) = raw.split_at(at);
    Piece { header, body, is_message: false }
}

/// What stands between the delimiter lines of a multipart body (RFC 2046 §5.1.1). The line end before a delimiter belongs
/// to the delimiter. Without a closing delimiter the last section goes on to the end.
fn sections<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let mut found = Vec::new();
    let mut begins = None;
    let mut at = 0;
    for line in body.split_inclusive(|&byte| byte == b'\n') {
        let next = at + line.len();
        if let Some(rest) = line.strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) {
            let (closes, rest) = rest.strip_prefix(b"--").map_or((false, rest), |rest| (true, rest));
            if rest.trim_ascii().is_empty() {
                found.extend(begins.map(|begins| without_line_end(&body[begins..at.max(begins)])));
                if closes {
                    return found;
                }
                begins = Some(next);
            }
        }
        at = next;
    }
    found.extend(begins.map(|begins| &body[begins..]));
    found
}

fn without_line_end(section: &[u8]) -> &[u8] {
    let section = section.strip_suffix(b"\n").unwrap_or(section);
    section.strip_suffix(b"\r").unwrap_or(section)
}
