//! Whether a message answers to a SEARCH.

use imap_codec::imap_types::core::AString;
use imap_codec::imap_types::flag::Flag;
use imap_codec::imap_types::search::SearchKey;
use mail_parser::HeaderName;

use super::view::{Target, ranges};
use crate::sandbox::mailbox::Letter;

/// A message, as one session sees it.
pub(super) struct Candidate<'a> {
    pub target: Target,
    pub letter: &'a Letter,
    pub recent: bool,
    /// The highest sequence number and UID: what `*` stands for.
    pub last: Target,
}

impl Candidate<'_> {
    pub fn answers(&self, key: &SearchKey<'_>) -> bool {
        let message = &self.letter.message;
        match key {
            SearchKey::And(keys) => keys.as_ref().iter().all(|key| self.answers(key)),
            SearchKey::Or(one, other) => self.answers(one) || self.answers(other),
            SearchKey::Not(key) => !self.answers(key),
            SearchKey::All => true,
            SearchKey::SequenceSet(set) => {
                ranges(set, self.last.sequence.get()).iter().any(|range| range.contains(&self.target.sequence.get()))
            }
            SearchKey::Uid(set) => {
                ranges(set, self.last.uid.get()).iter().any(|range| range.contains(&self.target.uid.get()))
            }
            SearchKey::Answered => self.has(&Flag::Answered),
            SearchKey::Unanswered => !self.has(&Flag::Answered),
            SearchKey::Deleted => self.has(&Flag::Deleted),
            SearchKey::Undeleted => !self.has(&Flag::Deleted),
            SearchKey::Draft => self.has(&Flag::Draft),
            SearchKey::Undraft => !self.has(&Flag::Draft),
            SearchKey::Flagged => self.has(&Flag::Flagged),
            SearchKey::Unflagged => !self.has(&Flag::Flagged),
            SearchKey::Seen => self.has(&Flag::Seen),
            SearchKey::Unseen => !self.has(&Flag::Seen),
            SearchKey::Keyword(name) => self.has_keyword(name.as_ref()),
            SearchKey::Unkeyword(name) => !self.has_keyword(name.as_ref()),
            SearchKey::New => self.recent && !self.has(&Flag::Seen),
            SearchKey::Old => !self.recent,
            SearchKey::Recent => self.recent,
            SearchKey::Larger(size) => message.raw().len() > *size as usize,
            SearchKey::Smaller(size) => message.raw().len() < *size as usize,
            SearchKey::Before(date) => message.received().date_naive() < *date.as_ref(),
            SearchKey::On(date) => message.received().date_naive() == *date.as_ref(),
            SearchKey::Since(date) => message.received().date_naive() >= *date.as_ref(),
            SearchKey::SentBefore(date) => message.sent().is_some_and(|sent| sent < *date.as_ref()),
            SearchKey::SentOn(date) => message.sent().is_some_and(|sent| sent == *date.as_ref()),
            SearchKey::SentSince(date) => message.sent().is_some_and(|sent| sent >= *date.as_ref()),
            SearchKey::Bcc(text) => message.address_contains(HeaderName::Bcc, &words(text)),
            SearchKey::Cc(text) => message.address_contains(HeaderName::Cc, &words(text)),
            SearchKey::From(text) => message.address_contains(HeaderName::From, &words(text)),
            SearchKey::Subject(text) => message.header_contains("subject", &words(text)),
            SearchKey::To(text) => message.address_contains(HeaderName::To, &words(text)),
            SearchKey::Header(name, text) => message.header_contains(&words(name), &words(text)),
            SearchKey::Body(text) => message.body_contains(&words(text)),
            SearchKey::Text(text) => message.text_contains(&words(text)),
        }
    }

    fn has(&self, flag: &Flag<'_>) -> bool {
        self.letter.flags.contains(flag)
    }

    fn has_keyword(&self, name: &str) -> bool {
        self.letter
            .flags
            .iter()
            .any(|flag| matches!(flag, Flag::Keyword(keyword) if keyword.as_ref().eq_ignore_ascii_case(name)))
    }
}

fn words(text: &AString<'_>) -> String {
    String::from_utf8_lossy(text.as_ref()).into_owned()
}
