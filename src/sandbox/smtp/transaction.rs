//! One message's envelope, and its way into the mailboxes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use mail_parser::{HeaderName, MessageParser};

use super::HOST;
use crate::sandbox::mailbox::{self, Account, Refusal};
use crate::sandbox::message::{Message, now};

/// The most recipients of one message (RFC 5321, 4.5.3.1.8: no fewer).
pub(super) const MAX_RECIPIENTS: usize = 100;

/// No Message-ID is longer than a line may be (RFC 5322, 2.1.1).
const MAX_ID: usize = 998;

/// From MAIL to the end of the message.
pub(super) struct Transaction {
    pub sender: String,
    /// By name, so that a user named twice gets one copy, and that all of them can be locked in one order.
    pub recipients: BTreeMap<Arc<str>, Arc<Account>>,
}

/// Where a message came from, for its Received field (RFC 5321, 4.4).
pub(super) struct Origin<'a> {
    pub hello: &'a str,
    pub address: IpAddr,
    /// The protocol, as RFC 3848 spells it.
    pub with: &'static str,
    /// Ours.
    pub id: &'a str,
}

/// A message that was taken.
pub(super) struct Delivered {
    pub message_id: String,
    pub recipients: usize,
}

impl Transaction {
    /// Puts the message, with what the server adds to it, into every recipient's INBOX, or into none.
    pub fn deliver(&self, text: &[u8], origin: &Origin<'_>) -> Result<Delivered, Refusal> {
        let (message_id, missing) = match message_id(text) {
            Some(id) => (id, Cow::Borrowed("")),
            None => {
                let id = format!("<{}@sandbox.example>", origin.id);
                let field = format!("Message-ID: {id}\r\n");
                (id, field.into())
            }
        };
        let now = now();
        let stamp = format!(
            "Return-Path: <{}>\r\nReceived: from {} ([{}])\r\n\tby {HOST} (mailconn sandbox) with {} id {};\r\n\t{}\r\n\
             {missing}{}",
            self.sender,
            origin.hello,
            origin.address,
            origin.with,
            origin.id,
            now.format("%a, %d %b %Y %H:%M:%S %z"),
            // Text that begins without a header is not to become one.
            if begins_with_a_field(text) || text.starts_with(b"\r\n") { "" } else { "\r\n" },
        );
        let message = Arc::new(Message::new(&[stamp.as_bytes(), text].concat(), now));
        mailbox::deliver(&self.recipients, &message)?;
        Ok(Delivered { message_id, recipients: self.recipients.len() })
    }
}

fn message_id(text: &[u8]) -> Option<String> {
    if !begins_with_a_field(text) {
        return None;
    }
    let parsed = MessageParser::default().parse_headers(text)?;
    let id = parsed.header_raw(HeaderName::MessageId)?.split_whitespace().next()?;
    Some(id.chars().take(MAX_ID).collect())
}

fn begins_with_a_field(text: &[u8]) -> bool {
    let name = text.iter().position(|&byte| byte == b':').map(|colon| &text[..colon]);
    name.is_some_and(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))
}
