//! What one session has been told of the mailbox it selected.
//!
//! Sequence numbers are a session's own: they change only when it is told so. A view holds them, and
//! tells the session what has changed when a command's reply gives the occasion.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use imap_codec::imap_types::core::Vec1;
use imap_codec::imap_types::fetch::MessageDataItem;
use imap_codec::imap_types::flag::{Flag, FlagFetch, FlagPerm};
use imap_codec::imap_types::response::{Code, Data};
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};

use super::{flags as kept, reply};
use crate::sandbox::mailbox::{Letter, Mail, Mailbox, Validity, Version};

/// A selected mailbox as this session knows it.
pub(super) struct View {
    pub name: Arc<str>,
    pub validity: Validity,
    pub read_only: bool,
    /// The message with sequence number n is at n - 1.
    uids: Vec<NonZeroU32>,
    /// The messages this session was the first to see.
    recent: BTreeSet<NonZeroU32>,
    /// The keywords this session was told the mailbox has.
    keywords: Vec<Flag<'static>>,
    /// The mailbox's version up to which the session has been told everything, but for expunged messages it is owed.
    told: u64,
    owes_expunges: bool,
    version: Version,
}

/// A message by both its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub sequence: NonZeroU32,
    pub uid: NonZeroU32,
}

impl View {
    pub fn new(name: Arc<str>, mailbox: &mut Mailbox, read_only: bool) -> Self {
        let mut view = Self {
            name,
            validity: mailbox.validity(),
            read_only,
            uids: Vec::with_capacity(mailbox.letters().len()),
            recent: BTreeSet::new(),
            keywords: kept::keywords(mailbox.letters()),
            told: mailbox.version().load(Ordering::Acquire),
            owes_expunges: false,
            version: Arc::clone(mailbox.version()),
        };
        view.learn(mailbox);
        view
    }

    pub fn len(&self) -> usize {
        self.uids.len()
    }

    pub fn recent(&self) -> usize {
        self.recent.len()
    }

    pub fn is_recent(&self, uid: NonZeroU32) -> bool {
        self.recent.contains(&uid)
    }

    /// The flags that messages here can have.
    pub fn flags(&self) -> Vec<Flag<'static>> {
        let system = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];
        system.into_iter().chain(self.keywords.iter().cloned()).collect()
    }

    /// Tells of keywords that are new here, before a message is shown with one (RFC 3501, 7.2.6).
    pub fn tell_keywords(&mut self, letters: &[Letter], out: &mut Vec<u8>) {
        let before = self.keywords.len();
        for keyword in kept::keywords(letters) {
            kept::add(&mut self.keywords, &keyword);
        }
        if self.keywords.len() > before {
            reply::data(out, Data::Flags(self.flags()));
            if !self.read_only {
                reply::untagged_ok(out, permanent(self.flags()), "Flags permitted.");
            }
        }
    }

    /// Every message, in order.
    pub fn all(&self) -> impl Iterator<Item = Target> {
        self.uids
            .iter()
            .zip(1..)
            .filter_map(|(&uid, sequence)| Some(Target { sequence: NonZeroU32::new(sequence)?, uid }))
    }

    /// The messages of the set, each once, in order; `None` if it names a sequence number that does not exist.
    /// UIDs that do not exist are passed over (RFC 3501, 6.4.8).
    pub fn targets(&self, set: &SequenceSet, uid: bool) -> Option<Vec<Target>> {
        let count = u32::try_from(self.uids.len()).unwrap_or(u32::MAX);
        let last = if uid { self.uids.last().map_or(0, |uid| uid.get()) } else { count };
        let ranges = ranges(set, last);
        if !uid && ranges.iter().any(|range| *range.start() == 0 || *range.end() > count) {
            return None;
        }
        let chosen = |target: &Target| {
            let number = if uid { target.uid } else { target.sequence };
            ranges.iter().any(|range| range.contains(&number.get()))
        };
        // One number is by far the most frequent set, and needs no walk.
        if let [range] = ranges.as_slice()
            && range.start() == range.end()
        {
            let at = if uid {
                NonZeroU32::new(*range.start()).and_then(|uid| self.uids.binary_search(&uid).ok())
            } else {
                Some(*range.start() as usize - 1)
            };
            return Some(at.and_then(|at| self.at(at)).into_iter().collect());
        }
        Some(self.all().filter(chosen).collect())
    }

    fn at(&self, at: usize) -> Option<Target> {
        let sequence = NonZeroU32::new(u32::try_from(at + 1).ok()?)?;
        Some(Target { sequence, uid: *self.uids.get(at)? })
    }

    /// Whether there may be something to tell. Costs no lock.
    pub fn is_stale(&self, expunges: bool) -> bool {
        (expunges && self.owes_expunges) || self.version.load(Ordering::Acquire) != self.told
    }

    /// Tells what has changed. Without `expunges` the sequence numbers stay as they are.
    pub fn tell(&mut self, mail: &mut Mail, expunges: bool, out: &mut Vec<u8>) {
        if !self.is_stale(expunges) {
            return;
        }
        let mailbox = mail.mailbox(self.validity);
        let letters: &[Letter] = mailbox.as_ref().map_or(&[], |mailbox| mailbox.letters());
        self.tell_keywords(letters, out);
        let mut at = 0;
        let mut kept: Vec<NonZeroU32> = Vec::with_capacity(self.uids.len());
        let mut owed = false;
        for &uid in &self.uids {
            let sequence = NonZeroU32::MIN.saturating_add(u32::try_from(kept.len()).unwrap_or(u32::MAX));
            match letters.get(at).filter(|letter| letter.uid == uid) {
                Some(letter) => {
                    at += 1;
                    if letter.changed > self.told {
                        let items = Vec1::from(MessageDataItem::Flags(flags(letter, self.recent.contains(&uid))));
                        reply::data(out, Data::Fetch { seq: sequence, items });
                    }
                }
                None if expunges => {
                    self.recent.remove(&uid);
                    reply::data(out, Data::Expunge(sequence));
                    continue;
                }
                None => owed = true,
            }
            kept.push(uid);
        }
        self.uids = kept;
        self.owes_expunges = owed;
        self.told = self.version.load(Ordering::Acquire);
        let before = self.uids.len();
        if let Some(mailbox) = mailbox {
            self.learn(mailbox);
        }
        if self.uids.len() > before {
            reply::data(out, Data::Exists(u32::try_from(self.uids.len()).unwrap_or(u32::MAX)));
            reply::data(out, Data::Recent(u32::try_from(self.recent.len()).unwrap_or(u32::MAX)));
        }
    }

    /// This session made the latest changes itself and has been, or will be, told of them in the reply.
    pub fn knows_its_own_changes(&mut self) {
        self.told = self.version.load(Ordering::Acquire);
    }

    /// Takes up the messages that came after those it knows.
    fn learn(&mut self, mailbox: &mut Mailbox) {
        let known = self.uids.last().copied();
        let first = mailbox.letters().partition_point(|letter| Some(letter.uid) <= known);
        self.uids.extend(mailbox.letters()[first..].iter().map(|letter| letter.uid));
        // A session that only looks is shown what is recent, and leaves it recent for the next one (RFC 3501, 6.3.2).
        let from = if self.read_only { mailbox.recent_from() } else { mailbox.claim_recent() };
        self.recent.extend(&self.uids[first.max(self.uids.partition_point(|&uid| uid < from))..]);
    }
}

/// The flags that a client may change for good, and that it may make keywords of its own.
pub(super) fn permanent(flags: Vec<Flag<'static>>) -> Code<'static> {
    Code::PermanentFlags(flags.into_iter().map(FlagPerm::Flag).chain([FlagPerm::Asterisk]).collect())
}

/// A letter's flags as FETCH shows them.
pub(super) fn flags(letter: &Letter, recent: bool) -> Vec<FlagFetch<'static>> {
    let flags = letter.flags.iter().cloned().map(FlagFetch::Flag);
    flags.chain(recent.then_some(FlagFetch::Recent)).collect()
}

/// The set as ranges, `*` being the highest number in use.
pub(super) fn ranges(set: &SequenceSet, last: u32) -> Vec<RangeInclusive<u32>> {
    let number = |number: SeqOrUid| match number {
        SeqOrUid::Value(value) => value.get(),
        SeqOrUid::Asterisk => last,
    };
    set.0
        .as_ref()
        .iter()
        .map(|sequence| match *sequence {
            Sequence::Single(one) => number(one)..=number(one),
            Sequence::Range(from, to) => number(from).min(number(to))..=number(from).max(number(to)),
        })
        .collect()
}
