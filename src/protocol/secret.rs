//! A password or a token, kept from every output.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use zeroize::Zeroizing;

/// A password or a token. It has no Debug, no Display and no serialised form; its memory is cleared when it is dropped.
pub struct Secret(Arc<Zeroizing<String>>);

impl Secret {
    /// Takes a password over; the caller keeps no copy.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Arc::new(Zeroizing::new(password)))
    }

    /// The password itself, for the one command that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The same secret, not a second copy of it.
    pub(super) fn share(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// What stands in a server's line where it repeated the password.
const MASKED: &[u8] = b"***";
/// A password of fewer bytes is a piece of many words: masked wherever it stands, it would turn lines into riddles
/// that give it away.
const SHORTEST: usize = 4;

/// Finds a password or a token in what a server sends back: some repeat the command that they refuse.
///
/// Like [`Secret`] it can be shown in no way, and its memory is cleared. By default it finds nothing.
#[derive(Default)]
pub(super) struct Mask {
    /// The secret in each form that it is sent in: never empty, and the longest first.
    forms: Vec<Form>,
    /// A password that is too short to be masked wherever it stands; else empty.
    short: Zeroizing<Vec<u8>>,
}

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    /// What stands around it in the same base64 text goes with it: the user, and pieces of the secret's ends.
    in_base64: bool,
}

/// Which part of a line is confidential by its position, whatever stands there: for transcripts, which hold what the
/// client sends too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Confidential {
    /// Nothing. The secret is looked for all the same.
    Nothing,
    /// What follows the first so many words: 2 of `a1 LOGIN …`, 3 of `a1 AUTHENTICATE PLAIN …`, 2 of `AUTH PLAIN …`, 1
    /// of `PASS …`; and 1 of a server's `+ …` or `334 …` while a SASL exchange runs, because with both sides' lines of a
    /// SCRAM exchange a password can be guessed at leisure.
    After(usize),
    /// All of it: an answer to a challenge, or a literal of a sign-in.
    All,
}

impl Mask {
    pub(super) fn new(user: &str, secret: &Secret) -> Self {
        let password = secret.expose();
        let mut mask = Self::default();
        if password.is_empty() {
            return mask;
        }
        let escaped = Zeroizing::new(password.replace('\\', "\\\\").replace('"', "\\\""));
        let alone = Zeroizing::new(STANDARD_NO_PAD.encode(password));
        if password.len() < SHORTEST {
            mask.add(format!("\"{}\"", escaped.as_str()).into_bytes(), false);
            // Its base64 is a piece of many words too, unless it is taken with what stands before and behind it.
            for around in [format!("\0{user}\0{password}"), format!("auth=Bearer {password}\x01")] {
                mask.add_base64(Zeroizing::new(around).as_bytes());
            }
            let whole = if alone.len() < SHORTEST { STANDARD.encode(password) } else { alone.as_str().to_owned() };
            mask.add(whole.into_bytes(), false);
            mask.short = Zeroizing::new(password.as_bytes().to_vec());
        } else {
            mask.add(password.as_bytes().to_vec(), false);
            mask.add(escaped.as_bytes().to_vec(), false);
            mask.add_base64(password.as_bytes());
        }
        mask.forms.sort_by_key(|form| std::cmp::Reverse(form.bytes.len()));
        mask
    }

    fn add(&mut self, bytes: Vec<u8>, in_base64: bool) {
        self.forms.push(Form { bytes: Zeroizing::new(bytes), in_base64 });
    }

    /// The secret inside a longer base64 text. Three bytes make four characters, so it can begin at three places of a
    /// group; the characters that it shares with its neighbours are left out.
    fn add_base64(&mut self, secret: &[u8]) {
        for (before, shared) in [(0, 0), (1, 2), (2, 3)] {
            let text = Zeroizing::new([&[0; 2][..before], secret].concat());
            let encoded = Zeroizing::new(STANDARD_NO_PAD.encode(text.as_slice()));
            self.add(encoded.as_bytes()[shared..text.len() * 8 / 6].to_vec(), true);
        }
    }

    /// The line without the password. A short one is looked for only as a word of an answer to a sign-in, past the
    /// line's first word, and between quotes. Where the line was `cut`, its end may be a password's beginning.
    pub(super) fn cover(&self, line: &[u8], signing_in: bool, cut: bool) -> Vec<u8> {
        let first_word = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let is_word_at = |at: usize| {
            let end = at + self.short.len();
            let apart = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
            at > first_word && apart(line.get(at - 1)) && apart(line.get(end))
        };
        let mut covered = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            let rest = &line[at..];
            let form = || {
                let form = self.forms.iter().find(|form| rest.starts_with(&form.bytes));
                form.map(|form| (form.bytes.len(), form.in_base64))
            };
            let short = || {
                let found = signing_in && !self.short.is_empty() && rest.starts_with(&self.short) && is_word_at(at);
                found.then_some((self.short.len(), false))
            };
            let beginning = || {
                let cut = cut && rest.len() >= SHORTEST;
                let form = self.forms.iter().find(|form| cut && form.bytes.starts_with(rest));
                form.map(|form| (rest.len(), form.in_base64))
            };
            if let Some((length, in_base64)) = form().or_else(short).or_else(beginning) {
                at += length;
                if in_base64 {
                    let kept = covered.iter().rposition(|byte| !is_base64(*byte)).map_or(0, |last| last + 1);
                    covered.truncate(kept);
                    at += line[at..].iter().take_while(|byte| is_base64(**byte)).count();
                }
                covered.extend_from_slice(MASKED);
            } else {
                covered.push(line[at]);
                at += 1;
            }
        }
        covered
    }

    /// A line of either side as a transcript may hold it, its line end kept.
    pub(super) fn transcribe(&self, line: &[u8], confidential: Confidential, signing_in: bool) -> Vec<u8> {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        let text = text.strip_suffix(b"\r").unwrap_or(text);
        let open = match confidential {
            Confidential::Nothing => text.len(),
            Confidential::After(words) => after_words(text, words),
            Confidential::All => 0,
        };
        let mut shown = self.cover(&text[..open], signing_in, false);
        if open < text.len() {
            shown.extend_from_slice(MASKED);
        }
        shown.extend_from_slice(&line[text.len()..]);
        shown
    }
}

fn is_base64(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'
}

/// Where the word behind the first so many begins; the line's end if there is none.
fn after_words(line: &[u8], words: usize) -> usize {
    let blanks = line.iter().enumerate().filter(|(_, byte)| **byte == b' ');
    words.checked_sub(1).map_or(0, |last| blanks.map(|(at, _)| at + 1).nth(last).unwrap_or(line.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "ya29.Cafe-Tok3n_x";

    fn cover(mask: &Mask, line: &str) -> String {
        String::from_utf8(mask.cover(line.as_bytes(), true, false)).unwrap()
    }

    /// No piece of the secret's base64, wherever it began, that tells more than a byte or two.
    #[track_caller]
    fn tells_nothing(shown: &str, secret: &str) {
        assert!(!shown.contains(secret), "{shown}");
        for before in 0..3 {
            let text = ["x".repeat(before).as_str(), secret].concat();
            let encoded = STANDARD_NO_PAD.encode(text);
            for piece in encoded.as_bytes()[4..].windows(4) {
                assert!(!shown.contains(std::str::from_utf8(piece).unwrap()), "{shown}");
            }
        }
    }

    #[test]
    fn every_base64_text_that_holds_the_secret_is_masked_whole() {
        for secret in [SECRET, "pass", "pässwörd", "0123456789"] {
            for user in ["", "j", "jo", "joe", "joe@example.org"] {
                let mask = Mask::new(user, &Secret::new(secret.to_owned()));
                for text in [
                    secret.to_owned(),
                    format!("\0{user}\0{secret}"),
                    format!("{user}\0{user}\0{secret}"),
                    format!("user={user}\x01auth=Bearer {secret}\x01\x01"),
                    format!("n,a={user},\x01host=h\x01port=993\x01auth=Bearer {secret}\x01\x01"),
                ] {
                    let encoded = STANDARD.encode(&text);
                    let shown = cover(&mask, &format!("NO bad: {encoded}; try again"));
                    tells_nothing(&shown, secret);
                    assert_eq!(shown.replace('=', ""), "NO bad: ***; try again", "{text:?}");
                }
            }
        }
    }

    #[test]
    fn a_short_password_is_found_in_each_exchange_and_leaves_other_base64_alone() {
        for password in ["x", "no", "abc"] {
            let mask = Mask::new("joe", &Secret::new(password.to_owned()));
            for text in [format!("\0joe\0{password}"), format!("user=joe\x01auth=Bearer {password}\x01\x01")] {
                let shown = cover(&mask, &format!("NO {}", STANDARD.encode(&text)));
                assert_eq!(shown.replace('=', ""), "NO ***");
            }
            let innocent = "NO dGhpcyBpcyBub25lIG9mIGl0";
            assert_eq!(cover(&mask, innocent), innocent);
        }
    }

    #[test]
    fn where_the_line_was_cut_the_beginning_is_masked_with_what_stands_before_it() {
        let mask = Mask::new("joe", &Secret::new(SECRET.to_owned()));
        let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {SECRET}\x01\x01"));
        let secret_begins = "user=joe\x01auth=Bearer ".len() * 4 / 3 + 1;
        for end in secret_begins + 4..encoded.len() {
            let line = format!("NO {}", &encoded[..end]);
            let shown = String::from_utf8(mask.cover(line.as_bytes(), true, true)).unwrap();
            assert_eq!(shown.trim_end_matches('='), "NO ***", "cut at {end}");
        }
    }

    #[test]
    fn a_transcript_holds_no_sign_in_whatever_its_words_are() {
        let mask = Mask::new("joe", &Secret::new(SECRET.to_owned()));
        let shown =
            |line: &str, confidential| String::from_utf8(mask.transcribe(line.as_bytes(), confidential, true)).unwrap();
        for (line, confidential, expected) in [
            ("a1 LOGIN \"other\" \"a b\"\r\n", Confidential::After(2), "a1 LOGIN ***\r\n"),
            ("PASS two words\r\n", Confidential::After(1), "PASS ***\r\n"),
            ("AUTH PLAIN AGpvZQB4\r\n", Confidential::After(2), "AUTH PLAIN ***\r\n"),
            ("AUTH PLAIN\r\n", Confidential::After(2), "AUTH PLAIN\r\n"),
            ("AGpvZQB4\n", Confidential::All, "***\n"),
            ("\r\n", Confidential::All, "\r\n"),
            ("+ cj0x\r\n", Confidential::After(1), "+ ***\r\n"),
            ("a2 NOOP\r\n", Confidential::Nothing, "a2 NOOP\r\n"),
            ("a2 NO ya29.Cafe-Tok3n_x?\r\n", Confidential::Nothing, "a2 NO ***?\r\n"),
        ] {
            assert_eq!(shown(line, confidential), expected);
        }
    }

    #[test]
    fn a_mask_for_nothing_finds_nothing() {
        for mask in [Mask::default(), Mask::new("joe", &Secret::new(String::new()))] {
            assert_eq!(cover(&mask, "NO AGpvZQA= joe"), "NO AGpvZQA= joe");
        }
    }
}
