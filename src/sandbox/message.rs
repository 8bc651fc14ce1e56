//! One message, and the views of it that IMAP can ask for.

use std::borrow::Cow;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, FixedOffset};
use imap_codec::imap_types::body::{BasicFields, Body, BodyStructure, SpecificFields};
use imap_codec::imap_types::core::{IString, NString, Vec1};
use imap_codec::imap_types::envelope::{Address, Envelope};
use mail_parser::{ContentType, HeaderName, MimeHeaders};

mod addresses;
mod parts;

pub(super) use parts::Piece;
use parts::{Inner, Part, fields, split};

/// A message as it was delivered. It never changes: what changes is kept beside it, in its mailbox.
pub(super) struct Message {
    raw: Box<[u8]>,
    received: DateTime<FixedOffset>,
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
        Part::of(&self.raw).at(path)
    }

    pub fn envelope(&self) -> Envelope<'static> {
        envelope(self.piece().header)
    }

    pub fn structure(&self) -> BodyStructure<'static> {
        structure(&Part::of(&self.raw))
    }

    /// Whether one of the field's addresses, as ENVELOPE has them or decoded, has this in it.
    pub fn address_contains(&self, name: HeaderName<'static>, needle: &str) -> bool {
        let parsed = fields(self.piece().header);
        addresses::texts(&parsed, name).iter().any(|text| contains(text, needle))
    }

    /// A header field's value as it reads, decoded, for searching.
    pub fn header_contains(&self, name: &str, needle: &str) -> bool {
        let parsed = fields(self.piece().header);
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
        Part::of(&self.raw).leaves().any(|leaf| leaf.text().is_some_and(|text| contains(&text, needle)))
    }

    pub fn text_contains(&self, needle: &str) -> bool {
        contains(&String::from_utf8_lossy(self.piece().header), needle) || self.body_contains(needle)
    }

    /// The day of the Date field, for the SENT searches.
    pub fn sent(&self) -> Option<chrono::NaiveDate> {
        let parsed = fields(self.piece().header);
        let date = parsed.date()?;
        chrono::NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())
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

fn envelope(header: &[u8]) -> Envelope<'static> {
    let parsed = fields(header);
    // As it stands in the header, unfolded: decoding it is the client's business.
    let verbatim = |name: HeaderName<'static>| {
        nstring(parsed.header_raw(name).map(|value| value.trim().replace("\r\n", "").replace('\n', "")))
    };
    let addresses = |name| addresses::of(&parsed, name);
    let or_from = |list: Vec<Address<'static>>| if list.is_empty() { addresses(HeaderName::From) } else { list };
    Envelope {
        date: verbatim(HeaderName::Date),
        subject: verbatim(HeaderName::Subject),
        from: addresses(HeaderName::From),
        sender: or_from(addresses(HeaderName::Sender)),
        reply_to: or_from(addresses(HeaderName::ReplyTo)),
        to: addresses(HeaderName::To),
        cc: addresses(HeaderName::Cc),
        bcc: addresses(HeaderName::Bcc),
        in_reply_to: verbatim(HeaderName::InReplyTo),
        message_id: verbatim(HeaderName::MessageId),
    }
}

fn structure(part: &Part<'_>) -> BodyStructure<'static> {
    let kind = part.fields.content_type();
    let subtype = kind.and_then(|kind| kind.subtype()).map(str::to_owned);
    let body = part.piece.body;
    let lines = count(body.iter().filter(|&&byte| byte == b'\n').count());
    let specific = match &part.inner {
        Inner::Parts(parts) => {
            if let Ok(bodies) = Vec1::try_from(parts.iter().map(structure).collect::<Vec<_>>()) {
                let subtype = string(subtype.unwrap_or_else(|| "mixed".to_owned()));
                return BodyStructure::Multi { bodies, subtype, extension_data: None };
            }
            octets()
        }
        Inner::Message(message) => SpecificFields::Message {
            envelope: Box::new(envelope(message.piece.header)),
            body_structure: Box::new(structure(message)),
            number_of_lines: lines,
        },
        // Of a multipart or a message that was not taken apart, nobody can say what such a one must say.
        Inner::None if kind.is_some_and(has_inner) => octets(),
        Inner::None => match kind {
            Some(kind) if kind.ctype() != "text" => SpecificFields::Basic {
                r#type: string(kind.ctype()),
                subtype: string(subtype.unwrap_or_else(|| "octet-stream".to_owned())),
            },
            _ => SpecificFields::Text {
                subtype: string(subtype.unwrap_or_else(|| "plain".to_owned())),
                number_of_lines: lines,
            },
        },
    };
    let fields = BasicFieldsOf {
        parameters: kind
            .and_then(|kind| kind.attributes())
            .unwrap_or_default()
            .iter()
            .map(|attribute| (string(attribute.name.as_ref()), string(attribute.value.as_ref())))
            .collect(),
        id: part.fields.content_id().map(|id| Cow::Owned(format!("<{id}>"))),
        description: part.fields.content_description().map(|text| Cow::Owned(text.to_owned())),
        encoding: part.fields.content_transfer_encoding().map(|encoding| Cow::Owned(encoding.to_owned())),
    };
    single(body.len(), fields, specific)
}

fn has_inner(kind: &ContentType<'_>) -> bool {
    let is_message = || kind.subtype().is_some_and(|subtype| subtype.eq_ignore_ascii_case("rfc822"));
    kind.ctype() == "multipart" || (kind.ctype() == "message" && is_message())
}

fn octets() -> SpecificFields<'static> {
    SpecificFields::Basic { r#type: string("application"), subtype: string("octet-stream") }
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
