//! What a unit's reply held, counted while it passes; no line is kept.

use super::home::home;
use super::scratch::{self, Namespace};
use crate::protocol::capabilities::Capabilities;

/// What one unit brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// Mailboxes listed (list), messages fetched (fetch) or found (search), messages in the mailbox (status).
    pub items: u32,
    /// How many messages the mailbox holds, where the server said so (EXISTS, STATUS MESSAGES).
    pub messages: Option<u32>,
    /// How many of them are unseen, by STATUS or SEARCH.
    pub unseen: Option<u32>,
    /// The next unique identifier, by STATUS or EXAMINE.
    pub uid_next: Option<u32>,
    /// The mailbox's UIDVALIDITY: with its name it tells one mailbox from another.
    pub uid_validity: Option<u32>,
    /// Bytes of the protocol read during the unit.
    pub received: u64,
}

/// What a reply proves of the mailbox that it came from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The mailbox that each of its messages names as its own; none unless all of them name the same.
    pub mailbox: Option<Box<str>>,
    /// The UIDVALIDITY of the mailbox that was selected on the session.
    pub uid_validity: Option<u32>,
}

/// The mailbox that the messages of a unit name.
#[derive(Default)]
pub(super) enum Home {
    /// No message came.
    #[default]
    Unsaid,
    /// All of them name this one.
    Named(Box<str>),
    /// They name none, or several: people's own mail, or copies.
    Unclear,
}

fn capabilities<'word>(words: impl Iterator<Item = &'word [u8]>) -> Capabilities {
    let mut capabilities = Capabilities::default();
    words.for_each(|word| capabilities.add(word));
    capabilities
}

/// What untagged responses say, counted where they are many.
#[derive(Default)]
pub(super) struct Answers {
    pub(super) exists: Option<u32>,
    pub(super) uid_validity: Option<u32>,
    pub(super) uid_next: Option<u32>,
    pub(super) unseen: Option<u32>,
    pub(super) messages: Option<u32>,
    pub(super) listed: u32,
    pub(super) fetched: u32,
    /// `None` until a SEARCH or ESEARCH response came.
    pub(super) found: Option<u32>,
    pub(super) capabilities: Option<Capabilities>,
    pub(super) home: Home,
    pub(super) namespace: Option<Namespace>,
    /// The hierarchy's delimiter, by the last LIST response.
    pub(super) delimiter: Option<char>,
}

impl Answers {
    /// A command is about to leave: what was said before answers nothing that it asks for. What the server says of itself,
    /// and for a later command of the unit what it says of the selected mailbox, stays known.
    pub(super) fn ask(&mut self, is_first: bool) {
        let before = std::mem::take(self);
        self.capabilities = before.capabilities;
        if !is_first {
            (self.exists, self.uid_validity, self.uid_next) = (before.exists, before.uid_validity, before.uid_next);
        }
    }

    /// One untagged response without its `* `, its line end and the contents of its literals.
    pub(super) fn untagged(&mut self, response: &[u8]) {
        let mut words = response.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        let Some(first) = words.next() else { return };
        if let Some(number) = number(first) {
            match words.next() {
                Some(word) if word.eq_ignore_ascii_case(b"EXISTS") => self.exists = Some(number),
                // A FETCH without a body is the server telling of a changed flag: not what was asked for.
                Some(word) if word.eq_ignore_ascii_case(b"FETCH") && contains(response, b"BODY[") => {
                    self.fetched = self.fetched.saturating_add(1);
                }
                _ => {}
            }
            return;
        }
        match first.to_ascii_uppercase().as_slice() {
            b"LIST" => {
                self.listed = self.listed.saturating_add(1);
                self.delimiter = scratch::listed_delimiter(&response[first.len()..]);
            }
            b"NAMESPACE" => self.namespace = Namespace::read(&response[first.len()..]),
            b"SEARCH" => {
                let found = u32::try_from(words.filter(|word| number(word).is_some()).count()).unwrap_or(u32::MAX);
                self.found = Some(self.found.unwrap_or(0).saturating_add(found));
            }
            b"ESEARCH" => self.extended_search(words),
            b"STATUS" => self.status(response),
            b"CAPABILITY" => self.capabilities = Some(capabilities(words)),
            b"OK" | b"PREAUTH" => self.code(response),
            _ => {}
        }
    }

    /// The beginning of a fetched message.
    pub(super) fn message(&mut self, beginning: &[u8]) {
        let said = home(beginning);
        self.home = match (std::mem::take(&mut self.home), said) {
            (Home::Unsaid, Some(name)) => Home::Named(name.into()),
            (Home::Named(known), Some(name)) if *known == *name => Home::Named(known),
            _ => Home::Unclear,
        };
    }

    /// A status response's code: `OK [UIDVALIDITY 7] …`, tagged or not.
    pub(super) fn code(&mut self, response: &[u8]) {
        let Some(open) = response.iter().position(|byte| *byte == b'[') else { return };
        let Some(close) = response[open..].iter().position(|byte| *byte == b']') else { return };
        let mut words = response[open + 1..open + close].split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        match words.next().map(<[u8]>::to_ascii_uppercase).as_deref() {
            Some(b"CAPABILITY") => self.capabilities = Some(capabilities(words)),
            Some(b"UIDVALIDITY") => self.uid_validity = words.next().and_then(number),
            Some(b"UIDNEXT") => self.uid_next = words.next().and_then(number),
            _ => {}
        }
    }

    /// `STATUS "a (b" (MESSAGES 3 UNSEEN 1)`: the list is the last thing in parentheses, whatever the name holds.
    fn status(&mut self, response: &[u8]) {
        let Some(open) = response.iter().rposition(|byte| *byte == b'(') else { return };
        let list = response[open + 1..].split(|byte| *byte == b')').next().unwrap_or_default();
        let mut words = list.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
        while let (Some(item), Some(value)) = (words.next(), words.next()) {
            match item.to_ascii_uppercase().as_slice() {
                b"MESSAGES" => self.messages = number(value),
                b"UNSEEN" => self.unseen = number(value),
                b"UIDNEXT" => self.uid_next = number(value),
                _ => {}
            }
        }
    }

    /// RFC 4731: `ESEARCH (TAG "a5") ALL 2,10:11`, or `COUNT 3`; nothing at all when nothing was found.
    fn extended_search<'word>(&mut self, mut words: impl Iterator<Item = &'word [u8]>) {
        let mut found = 0_u32;
        while let Some(word) = words.next() {
            if word.eq_ignore_ascii_case(b"COUNT") {
                found = words.next().and_then(number).unwrap_or(0);
                break;
            }
            if word.eq_ignore_ascii_case(b"ALL") {
                found = words.next().map_or(0, set_size);
            }
        }
        self.found = Some(self.found.unwrap_or(0).saturating_add(found));
    }
}

fn set_size(set: &[u8]) -> u32 {
    set.split(|byte| *byte == b',')
        .map(|range| {
            let mut ends = range.split(|byte| *byte == b':').filter_map(number);
            match (ends.next(), ends.next()) {
                (Some(start), Some(end)) => start.abs_diff(end).saturating_add(1),
                (Some(_), None) => 1,
                _ => 0,
            }
        })
        .fold(0, u32::saturating_add)
}

fn number(word: &[u8]) -> Option<u32> {
    if word.first().is_none_or(|byte| !byte.is_ascii_digit()) {
        return None;
    }
    std::str::from_utf8(word).ok()?.parse().ok()
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use super::Answers;

    fn answers(lines: &[&str]) -> Answers {
        let mut answers = Answers::default();
        lines.iter().for_each(|line| answers.untagged(line.as_bytes()));
        answers
    }

    #[test]
    fn search_answers_are_counted_in_both_forms() {
        assert_eq!(answers(&["SEARCH"]).found, Some(0));
        assert_eq!(answers(&["SEARCH 2 3 5", "SEARCH 9"]).found, Some(4));
        assert_eq!(answers(&["ESEARCH (TAG \"a5\") ALL 2,10:11"]).found, Some(3));
        assert_eq!(answers(&["ESEARCH (TAG \"a5\") COUNT 7 ALL 1:3"]).found, Some(7));
        assert_eq!(answers(&["ESEARCH (TAG \"a5\")"]).found, Some(0));
    }

    #[test]
    fn status_is_read_behind_any_mailbox_name() {
        let answers = answers(&["STATUS \"a (MESSAGES 9)\" (MESSAGES 3 UNSEEN 1 UIDNEXT 44) "]);
        assert_eq!((answers.messages, answers.unseen, answers.uid_next), (Some(3), Some(1), Some(44)));
    }

    #[test]
    fn a_flag_update_is_no_fetched_message() {
        let answers =
            answers(&["1 FETCH (FLAGS (\\Seen))", "1 FETCH (FLAGS () BODY[HEADER.FIELDS (FROM)] )", "5 EXISTS"]);
        assert_eq!((answers.fetched, answers.exists), (1, Some(5)));
    }

    #[test]
    fn numbers_too_large_and_lines_cut_short_are_passed_over() {
        let answers = answers(&["99999999999 EXISTS", "", "5", "OK [UIDVALIDITY", "STATUS", "ESEARCH"]);
        assert_eq!(answers.exists, None);
    }
}
