//! What FETCH can show of a message.

use std::num::NonZeroU32;

use imap_codec::imap_types::core::{AString, IString, Literal, NString, Vec1};
use imap_codec::imap_types::datetime::DateTime;
use imap_codec::imap_types::fetch::{MacroOrMessageDataItemNames, MessageDataItem, MessageDataItemName, Part, Section};
use imap_codec::imap_types::response::Data;

use super::reply;
use super::view::{self, Target};
use crate::sandbox::mailbox::Letter;
use crate::sandbox::message::{Message, Piece};

/// The items asked for, macros written out.
pub(super) fn items<'a>(names: &'a MacroOrMessageDataItemNames<'a>, uid: bool) -> Vec<MessageDataItemName<'a>> {
    let mut items = match names {
        MacroOrMessageDataItemNames::Macro(shorthand) => shorthand.expand(),
        MacroOrMessageDataItemNames::MessageDataItemNames(items) => items.clone(),
    };
    if uid && !items.contains(&MessageDataItemName::Uid) {
        items.insert(0, MessageDataItemName::Uid);
    }
    items
}

/// Whether it is among the items this server has.
pub(super) fn is_served(item: &MessageDataItemName<'_>) -> bool {
    !matches!(item, MessageDataItemName::Binary { .. } | MessageDataItemName::BinarySize { .. })
}

/// Whether looking at it means having read the message.
pub(super) fn sets_seen(item: &MessageDataItemName<'_>) -> bool {
    matches!(
        item,
        MessageDataItemName::Rfc822
            | MessageDataItemName::Rfc822Text
            | MessageDataItemName::BodyExt { peek: false, .. }
    )
}

/// One message's FETCH response.
pub(super) fn show(
    out: &mut Vec<u8>,
    target: Target,
    letter: &Letter,
    recent: bool,
    names: &[MessageDataItemName<'_>],
) {
    let items: Vec<_> = names.iter().filter_map(|name| item(name, letter, recent)).collect();
    if let Ok(items) = Vec1::try_from(items) {
        reply::data(out, Data::Fetch { seq: target.sequence, items });
    }
}

fn item<'a>(name: &MessageDataItemName<'a>, letter: &'a Letter, recent: bool) -> Option<MessageDataItem<'a>> {
    let message: &Message = &letter.message;
    Some(match name {
        MessageDataItemName::Body => MessageDataItem::Body(message.structure()),
        MessageDataItemName::BodyStructure => MessageDataItem::BodyStructure(message.structure()),
        MessageDataItemName::BodyExt { section, partial, .. } => body(message, section.as_ref(), *partial),
        MessageDataItemName::Envelope => MessageDataItem::Envelope(message.envelope()),
        MessageDataItemName::Flags => MessageDataItem::Flags(view::flags(letter, recent)),
        MessageDataItemName::InternalDate => {
            MessageDataItem::InternalDate(DateTime::try_from(message.received()).ok()?)
        }
        MessageDataItemName::Rfc822 => MessageDataItem::Rfc822(literal(message.raw())),
        MessageDataItemName::Rfc822Header => MessageDataItem::Rfc822Header(literal(message.piece().header)),
        MessageDataItemName::Rfc822Text => MessageDataItem::Rfc822Text(literal(message.piece().body)),
        MessageDataItemName::Rfc822Size => {
            MessageDataItem::Rfc822Size(u32::try_from(message.raw().len()).unwrap_or(u32::MAX))
        }
        MessageDataItemName::Uid => MessageDataItem::Uid(letter.uid),
        MessageDataItemName::Binary { .. } | MessageDataItemName::BinarySize { .. } => return None,
    })
}

fn body<'a>(
    message: &'a Message,
    section: Option<&Section<'a>>,
    partial: Option<(u32, NonZeroU32)>,
) -> MessageDataItem<'a> {
    let data = match section {
        None => Some(literal(cut(message.raw(), partial))),
        Some(Section::Header(path)) => headed(message, path.as_ref()).map(|piece| literal(cut(piece.header, partial))),
        Some(Section::Text(path)) => headed(message, path.as_ref()).map(|piece| literal(cut(piece.body, partial))),
        Some(Section::HeaderFields(path, names)) => {
            headed(message, path.as_ref()).map(|piece| fields(piece, names, false, partial))
        }
        Some(Section::HeaderFieldsNot(path, names)) => {
            headed(message, path.as_ref()).map(|piece| fields(piece, names, true, partial))
        }
        Some(Section::Part(path)) => message.part(&numbers(path)).map(|piece| literal(cut(piece.body, partial))),
        Some(Section::Mime(path)) => message.part(&numbers(path)).map(|piece| literal(cut(piece.header, partial))),
    };
    MessageDataItem::BodyExt {
        section: section.cloned(),
        origin: partial.map(|(from, _)| from),
        data: data.unwrap_or(NString::NIL),
    }
}

/// HEADER and TEXT are a message's: the whole one, or one that is a part of it.
fn headed<'a>(message: &'a Message, path: Option<&Part>) -> Option<Piece<'a>> {
    match path {
        None => Some(message.piece()),
        Some(path) => message.part(&numbers(path)).filter(|piece| piece.is_message).map(|piece| piece.inner()),
    }
}

fn numbers(path: &Part) -> Vec<u32> {
    path.0.as_ref().iter().map(|number| number.get()).collect()
}

fn fields<'a>(
    piece: Piece<'_>,
    names: &Vec1<AString<'_>>,
    but: bool,
    partial: Option<(u32, NonZeroU32)>,
) -> NString<'a> {
    let names: Vec<&[u8]> = names.as_ref().iter().map(|name| name.as_ref()).collect();
    let chosen = piece.fields(&names, but);
    NString(Some(IString::Literal(Literal::unvalidated(cut(&chosen, partial).to_vec()))))
}

/// Always a literal, as servers do: no body is searched for what a quoted string cannot hold.
fn literal(bytes: &[u8]) -> NString<'_> {
    NString(Some(IString::Literal(Literal::unvalidated(bytes))))
}

fn cut(bytes: &[u8], partial: Option<(u32, NonZeroU32)>) -> &[u8] {
    let Some((from, length)) = partial else {
        return bytes;
    };
    let from = bytes.len().min(from as usize);
    let to = bytes.len().min(from.saturating_add(length.get() as usize));
    &bytes[from..to]
}
