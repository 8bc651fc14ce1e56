//! A password or a token, kept from every output.

use std::sync::{Arc, PoisonError, RwLock};

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

/// So many bytes of a secret in a row are masked without the rest: servers break long lines, and tokens with them.
const RUN: usize = 12;

/// Finds passwords and tokens in what a server sends back: some repeat the command that they refuse.
///
/// One for all sessions of an account, which learns each secret before it is first sent: a server may repeat to one
/// session what it heard in another. Like [`Secret`] it can be shown in no way, and its memory is cleared. By default it
/// finds nothing.
#[derive(Default)]
pub(super) struct Mask(RwLock<Known>);

#[derive(Default)]
struct Known {
    /// Those whose forms these are.
    secrets: Vec<Secret>,
    /// Each secret in each form that it is sent in: never empty, and the longest first.
    forms: Vec<Form>,
    /// Every [`RUN`] of the forms, in order; of those in base64 apart.
    runs: Runs,
    runs_in_base64: Runs,
    /// Passwords that are too short to be masked wherever they stand.
    shorts: Vec<Zeroizing<Vec<u8>>>,
}

type Runs = Zeroizing<Vec<[u8; RUN]>>;

struct Form {
    bytes: Zeroizing<Vec<u8>>,
    /// What stands around it in the same base64 text goes with it: the user, and pieces of the secret's ends.
    in_base64: bool,
}

impl Form {
    /// Whether the text begins with it: as it is sent, or in other case, since servers shout commands back.
    fn begins(&self, text: &[u8]) -> bool {
        text.starts_with(&self.bytes)
            || (!self.in_base64
                && text.get(..self.bytes.len()).is_some_and(|start| start.eq_ignore_ascii_case(&self.bytes)))
    }
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
    /// From now on finds that secret of the user too.
    pub(super) fn learn(&self, user: &str, secret: &Secret) {
        let is_known = |known: &Known| known.secrets.iter().any(|other| other.expose() == secret.expose());
        if is_known(&self.0.read().unwrap_or_else(PoisonError::into_inner)) {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !is_known(&known) {
            known.add_secret(user, secret.expose());
            known.secrets.push(secret.share());
        }
    }

    /// The line without the secrets, and without pieces of them that are long enough to be no chance. A short one is
    /// looked for only as a word of an answer to a sign-in, past the line's first word, and between quotes. Where the
    /// line was `cut`, its end may be a secret's beginning.
    pub(super) fn cover(&self, line: &[u8], signing_in: bool, cut: bool) -> Vec<u8> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).cover(line, signing_in, cut)
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

impl Known {
    fn add_secret(&mut self, user: &str, password: &str) {
        if password.is_empty() {
            return;
        }
        let escaped = Zeroizing::new(password.replace('\\', "\\\\").replace('"', "\\\""));
        let alone = Zeroizing::new(STANDARD_NO_PAD.encode(password));
        if password.len() < SHORTEST {
            self.add(format!("\"{}\"", escaped.as_str()).into_bytes(), false);
            // Its base64 is a piece of many words too, unless it is taken with what stands before and behind it.
            for around in [format!("\0{user}\0{password}"), format!("auth=Bearer {password}\x01")] {
                self.add_base64(Zeroizing::new(around).as_bytes());
            }
            let whole = if alone.len() < SHORTEST { STANDARD.encode(password) } else { alone.as_str().to_owned() };
            self.add(whole.into_bytes(), false);
            self.shorts.push(Zeroizing::new(password.as_bytes().to_vec()));
            self.shorts.extend(latin1(password).map(Zeroizing::new));
        } else {
            self.add(password.as_bytes().to_vec(), false);
            if let Some(latin1) = latin1(password) {
                self.add(latin1, false);
            }
            self.add(escaped.as_bytes().to_vec(), false);
            self.add_base64(password.as_bytes());
        }
        self.forms.sort_by_key(|form| std::cmp::Reverse(form.bytes.len()));
        self.runs = runs(self.forms.iter().filter(|form| !form.in_base64));
        self.runs_in_base64 = runs(self.forms.iter().filter(|form| form.in_base64));
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

    fn cover(&self, line: &[u8], signing_in: bool, cut: bool) -> Vec<u8> {
        let first_word = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let is_word = |at: usize, length: usize| {
            let end = at + length;
            let apart = |byte: Option<&u8>| byte.is_none_or(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric());
            at > first_word && apart(line.get(at - 1)) && apart(line.get(end))
        };
        let mut covered = Vec::with_capacity(line.len());
        let mut at = 0;
        while at < line.len() {
            let rest = &line[at..];
            let form = || {
                let form = self.forms.iter().find(|form| form.begins(rest));
                form.map(|form| (form.bytes.len(), form.in_base64))
            };
            let run = || {
                let plain = run_length(&self.runs, rest).map(|length| (length, false));
                plain.or_else(|| run_length(&self.runs_in_base64, rest).map(|length| (length, true)))
            };
            let short = || {
                let stands_here = |short: &&Zeroizing<Vec<u8>>| rest.starts_with(short) && is_word(at, short.len());
                let short = self.shorts.iter().filter(|_| signing_in).find(stands_here);
                short.map(|short| (short.len(), false))
            };
            let beginning = || {
                let cut = cut && rest.len() >= SHORTEST;
                let form = self.forms.iter().find(|form| cut && form.bytes.starts_with(rest));
                form.map(|form| (rest.len(), form.in_base64))
            };
            if let Some((length, in_base64)) = form().or_else(run).or_else(short).or_else(beginning) {
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
}

fn runs<'forms>(forms: impl Iterator<Item = &'forms Form> + Clone) -> Runs {
    let of = |form: &'forms Form| form.bytes.windows(RUN).filter_map(|run| run.first_chunk::<RUN>().copied());
    // As long as it will be: a list that grows leaves copies behind.
    let mut runs = Zeroizing::new(Vec::with_capacity(forms.clone().map(|form| of(form).count()).sum()));
    runs.extend(forms.flat_map(of));
    runs.sort_unstable();
    runs
}

/// The text in ISO 8859-1, as old servers repeat it; none where that is the same, or cannot be.
fn latin1(text: &str) -> Option<Vec<u8>> {
    if text.is_ascii() { None } else { text.chars().map(|letter| u8::try_from(u32::from(letter)).ok()).collect() }
}

/// How much of the text's beginning is a piece of a secret.
fn run_length(runs: &Runs, text: &[u8]) -> Option<usize> {
    let is_run = |piece: &&[u8]| runs.binary_search_by(|run| run.as_slice().cmp(piece)).is_ok();
    let count = text.windows(RUN).take_while(is_run).count();
    (count > 0).then(|| count + RUN - 1)
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

    fn mask_of<'secrets>(user: &str, secrets: impl IntoIterator<Item = &'secrets Secret>) -> Mask {
        let mask = Mask::default();
        secrets.into_iter().for_each(|secret| mask.learn(user, secret));
        mask
    }

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
                let mask = mask_of(user, [&Secret::new(secret.to_owned())]);
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
            let mask = mask_of("joe", [&Secret::new(password.to_owned())]);
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
        let mask = mask_of("joe", [&Secret::new(SECRET.to_owned())]);
        let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {SECRET}\x01\x01"));
        let secret_begins = "user=joe\x01auth=Bearer ".len() * 4 / 3 + 1;
        for end in secret_begins + 4..encoded.len() {
            let line = format!("NO {}", &encoded[..end]);
            let shown = String::from_utf8(mask.cover(line.as_bytes(), true, true)).unwrap();
            assert_eq!(shown.trim_end_matches('='), "NO ***", "cut at {end}");
        }
    }

    #[test]
    fn where_the_server_breaks_its_lines_no_long_piece_of_the_secret_is_left() {
        let token = "ya29.a0AfH6SMBx-Cafe_Tok3n.".repeat(9);
        let mask = mask_of("joe", [&Secret::new(token.clone())]);
        let encoded = STANDARD.encode(format!("user=joe\x01auth=Bearer {token}\x01\x01"));
        for text in [token, encoded] {
            for (line, next) in [(40, 76), (76, 76), (17, 30)] {
                let (first, rest) = text.split_at(line + 40);
                for piece in [&first[40..], &rest[..next]] {
                    assert_eq!(cover(&mask, &format!("NO {piece}")), "NO ***", "{piece}");
                }
            }
        }
    }

    #[test]
    fn of_several_secrets_each_is_found() {
        let [one, two, short] = ["ya29.first", "ya29.second", "abc"].map(|word| Secret::new(word.to_owned()));
        let mask = mask_of("joe", [&one, &two, &short]);
        assert_eq!(cover(&mask, "NO ya29.first, ya29.second, abc, abcd"), "NO ***, ***, ***, abcd");
    }

    #[test]
    fn a_transcript_holds_no_sign_in_whatever_its_words_are() {
        let mask = mask_of("joe", [&Secret::new(SECRET.to_owned())]);
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
        for mask in [Mask::default(), mask_of("joe", [&Secret::new(String::new())])] {
            assert_eq!(cover(&mask, "NO AGpvZQA= joe"), "NO AGpvZQA= joe");
        }
    }
}
