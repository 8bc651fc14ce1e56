//! Whether a reply shows that it came from another mailbox than the one that was asked for.

use super::witness::is_same_mailbox;
use crate::event::Operation;

/// Where a reply came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Elsewhere<'a> {
    /// Each of its messages says that it is in that mailbox.
    Mailbox(&'a str),
    /// The selection that it relied on had one UIDVALIDITY, and the one that it was answered from has another.
    Validity {
        /// That of the selection.
        expected: u32,
        /// That of the answer.
        other: u32,
    },
}

/// Where the operation's reply came from, if it shows that this is not the mailbox that was asked for. The messages' own word
/// counts before the selection's UIDVALIDITY, which two mailboxes can share.
#[must_use]
pub fn elsewhere(operation: &Operation) -> Option<Elsewhere<'_>> {
    let (asked, answer) = (operation.mailbox.as_deref()?, operation.answered_by.as_ref()?);
    if let Some(mailbox) = answer.mailbox.as_deref() {
        return (!is_same_mailbox(mailbox, asked)).then_some(Elsewhere::Mailbox(mailbox));
    }
    let (expected, other) = (operation.relied_on.as_deref()?.uid_validity?, answer.uid_validity?);
    (expected != other).then_some(Elsewhere::Validity { expected, other })
}
