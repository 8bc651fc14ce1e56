//! What is in an account's mailboxes at the start: always the same, and always saying where it is.

use chrono::{DateTime, TimeDelta};

use super::message::Message;

/// Each mailbox and how many messages it begins with.
pub(super) const MAILBOXES: [(&str, u32); 3] = [("INBOX", 30), ("Archive", 20), ("Sent", 10)];

/// 2026-01-01 00:00:00 UTC, the hour of the first message of every mailbox.
const FIRST: i64 = 1_767_225_600;

/// The given message of the mailbox: its subject and its text name mailbox and user, so that a reader
/// who is shown the wrong one can tell.
pub(super) fn message(user: &str, mailbox: &str, number: u32) -> Message {
    let date = DateTime::from_timestamp(FIRST, 0).unwrap_or_default() + TimeDelta::hours(number.into());
    let id = format!("{number}.{mailbox}.{user}").to_lowercase().replace('@', ".");
    let address = if user.contains('@') { user.to_owned() } else { format!("{user}@sandbox.example") };
    let text = format!(
        "Date: {}\r\n\
         From: Ada Example <ada@sandbox.example>\r\n\
         To: {address}\r\n\
         Subject: message {number} of {mailbox}\r\n\
         Message-ID: <{id}@sandbox.example>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=us-ascii\r\n\
         \r\n\
         This is message {number} of {mailbox}, a mailbox of {user}.\r\n",
        date.format("%a, %d %b %Y %H:%M:%S +0000")
    );
    Message::new(text.as_bytes(), date.fixed_offset())
}
