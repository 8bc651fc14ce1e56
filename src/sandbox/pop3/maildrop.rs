//! A maildrop: INBOX as it was when its owner signed in (RFC 1939, 4 and 5).

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::sandbox::mailbox::{Account, Lock, Validity};
use crate::sandbox::message::Message;

/// The messages of one session, by number. Numbers stay what they are until the session ends, whatever others do.
pub(super) struct Maildrop {
    account: Arc<Account>,
    validity: Option<Validity>,
    items: Vec<Item>,
    /// Held to the end: nobody else has this maildrop open meanwhile. None where maildrops are shared.
    _lock: Option<Lock>,
}

/// One message.
pub(super) struct Item {
    /// Counts from 1.
    pub number: usize,
    pub uid: NonZeroU32,
    /// In octets, as it is sent: lines end with CR LF, and stuffed dots do not count.
    pub size: usize,
    message: Arc<Message>,
    deleted: bool,
}

impl Maildrop {
    /// `None` if it is to be locked, while another session has it so.
    pub fn open(account: Arc<Account>, locks: bool) -> Option<Self> {
        let lock = if locks { Some(Account::lock_maildrop(&account)?) } else { None };
        let mut validity = None;
        let mut letters = Vec::new();
        if let Some((_, inbox)) = account.mail().find("INBOX") {
            validity = Some(inbox.validity());
            letters.extend(inbox.letters().iter().map(|letter| (letter.uid, Arc::clone(&letter.message))));
        }
        // Measured when the lock on the mail is released: there may be much of it.
        let items = letters.into_iter().zip(1..).map(|((uid, message), number)| {
            let size = lines(message.raw()).map(|line| line.len() + 2).sum();
            Item { number, uid, size, message, deleted: false }
        });
        Some(Self { items: items.collect(), account, validity, _lock: lock })
    }

    /// Those not marked as deleted.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.iter().filter(|item| !item.deleted)
    }

    /// How many there are, and how many octets.
    pub fn count(&self) -> (usize, usize) {
        self.items().fold((0, 0), |(count, size), item| (count + 1, size + item.size))
    }

    /// The message of this number, unless it is marked as deleted.
    pub fn item(&self, number: usize) -> Option<&Item> {
        self.items.get(number.checked_sub(1)?).filter(|item| !item.deleted)
    }

    /// Marks it as deleted; false if there is no such message.
    pub fn delete(&mut self, number: usize) -> bool {
        let item = number.checked_sub(1).and_then(|at| self.items.get_mut(at)).filter(|item| !item.deleted);
        item.map(|item| item.deleted = true).is_some()
    }

    /// Nothing is marked as deleted any more.
    pub fn reset(&mut self) {
        for item in &mut self.items {
            item.deleted = false;
        }
    }

    /// Removes what is marked as deleted. The lock is held on.
    pub fn update(&self) {
        let deleted: HashSet<_> = self.items.iter().filter(|item| item.deleted).map(|item| item.uid).collect();
        if let Some(validity) = self.validity.filter(|_| !deleted.is_empty()) {
            self.account.mail().expunge(validity, |letter| deleted.contains(&letter.uid));
        }
    }

    /// A name for the message that no other one of this user ever has.
    pub fn unique_id(&self, item: &Item) -> String {
        format!("{:08x}{:08x}", self.validity.map_or(0, Validity::get), item.uid)
    }
}

impl Item {
    /// The message as it is sent, dots stuffed and its end marked; of its body no more lines than `most`.
    pub fn send(&self, most: Option<usize>, out: &mut Vec<u8>) {
        let mut left = None;
        for line in lines(self.message.raw()) {
            match &mut left {
                Some(0) => break,
                Some(left) => *left -= 1,
                None if line.is_empty() => left = Some(most.unwrap_or(usize::MAX)),
                None => {}
            }
            if line.starts_with(b".") {
                out.push(b'.');
            }
            out.extend_from_slice(line);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b".\r\n");
    }
}

/// Without their line ends, which in a message that came by IMAP may be bare.
fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    raw.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        line.strip_suffix(b"\r").unwrap_or(line)
    })
}
