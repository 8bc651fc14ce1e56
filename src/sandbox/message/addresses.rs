//! Addresses as ENVELOPE has them (RFC 3501 §7.4.2): groups kept, a comment as the name where there is no other, and
//! encoded words left as they stand.

use imap_codec::imap_types::core::NString;
use imap_codec::imap_types::envelope::Address;
use mail_parser::{HeaderName, Message};

use super::nstring;
use super::parts::fields;

/// Stands within `=?` while the field is read, so that the parser, which knows no other way, decodes no words.
const GUARD: &str = "=\u{1a}?";

/// The addresses of the field; none if it is not there.
pub(super) fn of(parsed: &Message<'_>, name: HeaderName<'static>) -> Vec<Address<'static>> {
    let Some(value) = parsed.header_raw(name.clone()) else { return Vec::new() };
    let guarded = format!("{}: {}\r\n\r\n", name.as_str(), value.trim().replace("=?", GUARD));
    let parsed = fields(guarded.as_bytes());
    let mut found = Vec::new();
    match parsed.header(name).and_then(|value| value.as_address()) {
        Some(mail_parser::Address::List(list)) => found.extend(list.iter().map(address)),
        Some(mail_parser::Address::Group(groups)) => {
            for group in groups {
                let named = group.name.as_deref();
                found.extend(named.map(|name| of_parts(None, Some(name), None)));
                found.extend(group.addresses.iter().map(address));
                found.extend(named.map(|_| of_parts(None, None, None)));
            }
        }
        None => {}
    }
    found
}

/// Each address as text, as ENVELOPE has it and decoded, for searching.
pub(super) fn texts(parsed: &Message<'_>, name: HeaderName<'static>) -> Vec<String> {
    let text = |part: &NString<'_>| part.0.as_ref().map(|text| String::from_utf8_lossy(text.as_ref()).into_owned());
    let enveloped = of(parsed, name.clone()).into_iter().map(|address| {
        let mailbox = text(&address.mailbox).unwrap_or_default();
        let at = text(&address.host).map(|host| format!("@{host}")).unwrap_or_default();
        format!("{} <{mailbox}{at}>", text(&address.name).unwrap_or_default())
    });
    let decoded = parsed.header(name).and_then(|value| value.as_address());
    let decoded =
        decoded.into_iter().flat_map(|list| list.iter()).filter_map(|address| address.name().map(str::to_owned));
    enveloped.chain(decoded).collect()
}

fn address(address: &mail_parser::Addr<'_>) -> Address<'static> {
    match address
        .address()
        .map(|full| full.rsplit_once('@').map_or((full, None), |(mailbox, host)| (mailbox, Some(host))))
    {
        Some((mailbox, host)) => of_parts(address.name(), Some(mailbox), host),
        None => of_parts(address.name(), None, None),
    }
}

fn of_parts(name: Option<&str>, mailbox: Option<&str>, host: Option<&str>) -> Address<'static> {
    let part = |text: Option<&str>| nstring(text.map(|text| text.replace(GUARD, "=?")));
    Address { name: part(name), adl: NString::NIL, mailbox: part(mailbox), host: part(host) }
}
