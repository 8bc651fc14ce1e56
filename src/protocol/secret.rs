//! A password, kept from every output.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// A password. It has no Debug, no Display and no serialised form; its memory is cleared when it is dropped.
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes a password over; the caller keeps no copy.
    #[must_use]
    pub fn new(password: String) -> Self {
        Self(Zeroizing::new(password))
    }

    /// The password itself, for the one command that sends it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// What stands in a server's line where it repeated the password.
const MASKED: &[u8] = b"***";
/// A password of fewer bytes is a piece of many words: masked wherever it stands, it would turn lines into riddles
/// that give it away.
const SHORTEST: usize = 4;

/// Finds a password in what a server sends back: some repeat the command that they refuse.
///
/// Like [`Secret`] it can be shown in no way, and its memory is cleared.
pub(super) struct Mask {
    /// The password in each form that it is sent in: never empty, and the longest first.
    forms: Vec<Zeroizing<Vec<u8>>>,
    /// A password that is too short to be masked wherever it stands; else empty.
    short: Zeroizing<Vec<u8>>,
}

impl Mask {
    pub(super) fn new(user: &str, secret: &Secret) -> Self {
        let password = secret.expose();
        let mut mask = Self { forms: Vec::new(), short: Zeroizing::default() };
        if password.is_empty() {
            return mask;
        }
        let escaped = Zeroizing::new(password.replace('\\', "\\\\").replace('"', "\\\""));
        let plain = Zeroizing::new(format!("\0{user}\0{password}"));
        let whole = Zeroizing::new(STANDARD.encode(plain.as_bytes()));
        let alone = Zeroizing::new(STANDARD.encode(password));
        let mut add = |form: &str| mask.forms.push(Zeroizing::new(form.as_bytes().to_vec()));
        for encoded in [&whole, &alone] {
            // Not everyone pads.
            let bare = encoded.trim_end_matches('=');
            add(if bare.len() < SHORTEST { encoded } else { bare });
        }
        if password.len() < SHORTEST {
            add(&Zeroizing::new(format!("\"{}\"", escaped.as_str())));
            mask.short = Zeroizing::new(password.as_bytes().to_vec());
        } else {
            add(password);
            add(&escaped);
        }
        mask.forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        mask
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
            let form = self.forms.iter().find(|form| rest.starts_with(form)).map(|form| form.len());
            let short = || {
                let found = signing_in && !self.short.is_empty() && rest.starts_with(&self.short) && is_word_at(at);
                found.then_some(self.short.len())
            };
            let beginning = || {
                let found = cut && rest.len() >= SHORTEST && self.forms.iter().any(|form| form.starts_with(rest));
                found.then_some(rest.len())
            };
            if let Some(length) = form.or_else(short).or_else(beginning) {
                covered.extend_from_slice(MASKED);
                at += length;
            } else {
                covered.push(line[at]);
                at += 1;
            }
        }
        covered
    }
}
