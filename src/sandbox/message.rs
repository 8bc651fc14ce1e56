//! One message, and the views of it that IMAP can ask for.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset};
use imap_codec::imap_types::body::{BasicFields, Body, BodyStructure, SpecificFields};
use imap_codec::imap_types::core::{IString, NString, Vec1};
use imap_codec::imap_types::envelope::{Address, Envelope};
use mail_parser::{HeaderName, MessageParser, MimeHeaders, PartType};

/// Messages within messages are described to this depth; further in they are plain attachments.
const MAX_NESTING: usize = 8;

/// A message as it was delivered. It never changes: what changes is kept beside it, in its mailbox.
pub(super) struct Message {
    raw: Box<[u8]>,
    received: DateTime<FixedOffset>,
}

/// A message, or a part of one, as header and body.
#[derive(Clone, Copy)]
pub(super) struct Piece<'a> {
    pub header: &'a [u8],
    pub body: &'a [u8],
    /// Whether the body is a message of its own.
    pub is_message: bool,
}

impl Message {
    pub fn new(raw: &[u8], received: DateTime<FixedOffset>) -> Self {
        Self { raw: raw.into(), received }
    }

    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn received(&self) -> DateTime<FixedOffset> {
        self.received
    }

    /// The whole of it; the blank line belongs to the header.
    pub fn piece(&self) -> Piece<'_> {
        split(&self.raw)
    }

    /// The part a section like `2.1` names.
    pub fn part(&self, path: &[u32]) -> Option<Piece<'_>> {
        part(&self.raw, path, 0)
    }

    pub fn envelope(&self) -> Envelope<'static> {
        envelope(&self.raw)
    }

    pub fn structure(&self) -> BodyStructure<'static> {
        structure(&self.raw, 0)
    }

    /// A header field's value as it reads, decoded, for searching.
    pub fn header_contains(&self, name: &str, needle: &str) -> bool {
        let Some(parsed) = MessageParser::default().parse_headers(self.raw()) else {
            return false;
        };
        parsed
            .headers_raw()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .any(|(_, value)| contains(value, needle))
            || (name.eq_ignore_ascii_case("subject")
                && parsed.subject().is_some_and(|subject| contains(subject, needle)))
    }

    /// Whether the text, decoded where it is encoded, has this in it.
    pub fn body_contains(&self, needle: &str) -> bool {
        if contains(&String::from_utf8_lossy(self.piece().body), needle) {
            return true;
        }
        let Some(parsed) = MessageParser::default().parse(self.raw()) else {
            return false;
        };
        parsed.parts.iter().any(|part| part.text_contents().is_some_and(|text| contains(text, needle)))
    }

    pub fn text_contains(&self, needle: &str) -> bool {
        contains(&String::from_utf8_lossy(self.piece().header), needle) || self.body_contains(needle)
    }

    /// The day of the Date field, for the SENT searches.
    pub fn sent(&self) -> Option<chrono::NaiveDate> {
        let parsed = MessageParser::default().parse_headers(self.raw())?;
        let date = parsed.date()?;
        chrono::NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
    }
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

/// The time, to the second.
pub(super) fn now() -> DateTime<FixedOffset> {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    DateTime::from_timestamp(i64::try_from(seconds).unwrap_or_default(), 0).unwrap_or_default().fixed_offset()
}

fn contains(text: &str, needle: &str) -> bool {
    text.to_lowercase().contains(&needle.to_lowercase())
}

/// The header ends with the first empty line; a message without one is all header.
fn split(raw: &[u8]) -> Piece<'_> {
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

fn part<'a>(raw: &'a [u8], path: &[u32], nesting: usize) -> Option<Piece<'a>> {
    if nesting > MAX_NESTING {
        return None;
    }
    let parsed = MessageParser::default().parse(raw)?;
    let mut at = 0;
    for (depth, &number) in path.iter().enumerate() {
        match &parsed.parts.get(at)?.body {
            PartType::Multipart(parts) => at = *parts.get((number as usize).checked_sub(1)?)? as usize,
            PartType::Message(_) if depth > 0 => {
                let inner = span(raw, parsed.parts.get(at)?).body;
                return part(inner, &path[depth..], nesting + 1);
            }
            // A message that is not multipart has one part, itself.
            _ if depth == 0 && number == 1 => {}
            _ => return None,
        }
    }
    Some(span(raw, parsed.parts.get(at)?))
}

fn span<'a>(raw: &'a [u8], part: &mail_parser::MessagePart<'_>) -> Piece<'a> {
    let slice = |from: u32, to: u32| raw.get(from as usize..to as usize).unwrap_or_default();
    Piece {
        header: slice(part.offset_header, part.offset_body),
        body: slice(part.offset_body, part.offset_end),
        is_message: matches!(part.body, PartType::Message(_)),
    }
}

/// A string as IMAP can carry it: NUL has no place in it.
fn string(text: impl Into<Vec<u8>>) -> IString<'static> {
    let mut bytes = text.into();
    bytes.retain(|&byte| byte != 0);
    IString::try_from(bytes)
        .unwrap_or_else(|_| IString::Literal(imap_codec::imap_types::core::Literal::unvalidated(Vec::new())))
}

fn nstring(text: Option<impl Into<Vec<u8>>>) -> NString<'static> {
    NString(text.map(string))
}

fn envelope(raw: &[u8]) -> Envelope<'static> {
    let parsed = MessageParser::default().parse_headers(raw).unwrap_or_default();
    // As it stands in the header, unfolded: decoding it is the client's business.
    let verbatim = |name: HeaderName<'static>| {
        nstring(parsed.header_raw(name).map(|value| value.trim().replace("\r\n", "").replace('\n', "")))
    };
    let addresses = |field: Option<&mail_parser::Address<'_>>| -> Vec<Address<'static>> {
        field.into_iter().flat_map(|list| list.iter()).map(address).collect()
    };
    let or_from = |list: Vec<Address<'static>>| {
        if list.is_empty() { addresses(parsed.from()) } else { list }
    };
    Envelope {
        date: verbatim(HeaderName::Date),
        subject: verbatim(HeaderName::Subject),
        from: addresses(parsed.from()),
        sender: or_from(addresses(parsed.sender())),
        reply_to: or_from(addresses(parsed.reply_to())),
        to: addresses(parsed.to()),
        cc: addresses(parsed.cc()),
        bcc: addresses(parsed.bcc()),
        in_reply_to: verbatim(HeaderName::InReplyTo),
        message_id: verbatim(HeaderName::MessageId),
    }
}

fn address(address: &mail_parser::Addr<'_>) -> Address<'static> {
    let (mailbox, host) = match address.address() {
        Some(full) => match full.rsplit_once('@') {
            Some((mailbox, host)) => (Some(mailbox), Some(host)),
            None => (Some(full), None),
        },
        None => (None, None),
    };
    Address { name: nstring(address.name()), adl: NString::NIL, mailbox: nstring(mailbox), host: nstring(host) }
}

fn structure(raw: &[u8], nesting: usize) -> BodyStructure<'static> {
    match MessageParser::default().parse(raw) {
        Some(parsed) if nesting <= MAX_NESTING => part_structure(raw, &parsed, 0, nesting),
        _ => single(
            raw.len(),
            BasicFieldsOf::default(),
            SpecificFields::Basic { r#type: string("application"), subtype: string("octet-stream") },
        ),
    }
}

fn part_structure(raw: &[u8], parsed: &mail_parser::Message<'_>, at: usize, nesting: usize) -> BodyStructure<'static> {
    let Some(part) = parsed.parts.get(at) else {
        return structure(&[], MAX_NESTING + 1);
    };
    let kind = part.content_type();
    let subtype = kind.and_then(|kind| kind.subtype()).map(str::to_owned);
    if let PartType::Multipart(parts) = &part.body
        && let Ok(bodies) = Vec1::try_from(
            parts.iter().map(|&inner| part_structure(raw, parsed, inner as usize, nesting)).collect::<Vec<_>>(),
        )
    {
        let subtype = string(subtype.unwrap_or_else(|| "mixed".to_owned()));
        return BodyStructure::Multi { bodies, subtype, extension_data: None };
    }
    let body = span(raw, part).body;
    let lines = count(body.iter().filter(|&&byte| byte == b'\n').count());
    let fields = BasicFieldsOf {
        parameters: kind
            .and_then(|kind| kind.attributes())
            .unwrap_or_default()
            .iter()
            .map(|attribute| (string(attribute.name.as_ref()), string(attribute.value.as_ref())))
            .collect(),
        id: part.content_id().map(|id| Cow::Owned(format!("<{id}>"))),
        description: part.content_description().map(|text| Cow::Owned(text.to_owned())),
        encoding: part.content_transfer_encoding().map(|encoding| Cow::Owned(encoding.to_owned())),
    };
    let specific = match &part.body {
        PartType::Message(_) if nesting < MAX_NESTING => SpecificFields::Message {
            envelope: Box::new(envelope(body)),
            body_structure: Box::new(structure(body, nesting + 1)),
            number_of_lines: lines,
        },
        PartType::Text(_) | PartType::Html(_) => SpecificFields::Text {
            subtype: string(subtype.unwrap_or_else(|| "plain".to_owned())),
            number_of_lines: lines,
        },
        _ => SpecificFields::Basic {
            r#type: string(kind.map_or("application", |kind| kind.ctype())),
            subtype: string(subtype.unwrap_or_else(|| "octet-stream".to_owned())),
        },
    };
    single(body.len(), fields, specific)
}

/// What a single part says of itself, where it says something.
#[derive(Default)]
struct BasicFieldsOf {
    parameters: Vec<(IString<'static>, IString<'static>)>,
    id: Option<Cow<'static, str>>,
    description: Option<Cow<'static, str>>,
    encoding: Option<Cow<'static, str>>,
}

fn single(size: usize, fields: BasicFieldsOf, specific: SpecificFields<'static>) -> BodyStructure<'static> {
    BodyStructure::Single {
        body: Body {
            basic: BasicFields {
                parameter_list: fields.parameters,
                id: nstring(fields.id.map(Cow::into_owned)),
                description: nstring(fields.description.map(Cow::into_owned)),
                content_transfer_encoding: string(fields.encoding.map_or_else(|| "7bit".to_owned(), Cow::into_owned)),
                size: count(size),
            },
            specific,
        },
        extension_data: None,
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
