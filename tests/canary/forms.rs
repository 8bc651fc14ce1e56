//! What a secret looks like, however it is written.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// A password with all that is awkward to write: a quote, a backslash, a blank, and more than ASCII.
pub const ODD: &str = "Kanarienvogel-7f3a\"\\x é";
/// One that every mechanism can carry.
pub const PLAIN: &str = "Wellensittich_5e91.c0d2";
/// A bearer token, as long as they are.
pub const TOKEN: &str = "ya29.Stieglitz-4b7d_Zeisig-0a1bQHVGx8eT3nRw.Girlitz5MkZ7sJ2pD9vLcY6fUoB1iNqX0aStEhKwWgRzC4mP8yTdVjFl~Haenfling_c3f1";

/// So many bytes of a secret in a row are no chance.
const PIECE: usize = 12;

/// Each text that would give the secret away.
fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let escaped = secret.replace('\\', "\\\\").replace('"', "\\\"");
    let json = serde_json::to_string(secret).unwrap();
    let debug = format!("{secret:?}");
    let percent = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
    let in_query: String =
        secret.split(' ').map(|word| utf8_percent_encode(word, NON_ALPHANUMERIC).to_string() + "+").collect();
    let hex: String = secret.bytes().map(|byte| format!("{byte:02x}")).collect();
    let bytes: String = secret.bytes().map(|byte| byte.escape_ascii().to_string()).collect();
    let mut forms: BTreeSet<Vec<u8>> = [
        secret,
        &escaped,
        json.trim_matches('"'),
        debug.trim_matches('"'),
        &secret.escape_default().to_string(),
        &bytes,
        &percent,
        &percent.to_lowercase(),
        in_query.trim_end_matches('+'),
        &hex,
        &hex.to_uppercase(),
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect();
    for before in 0..3 {
        let text = [&[b'x'; 2][..before], secret.as_bytes()].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            let encoded = engine.encode(&text);
            // Without the characters that the secret shares with what stands around it.
            forms.insert(encoded.as_bytes()[[0, 2, 3][before]..text.len() * 8 / 6].to_vec());
        }
    }
    forms
}

/// Finds a secret, and pieces of it, in whatever is shown to it.
pub struct Eye {
    pieces: BTreeSet<Vec<u8>>,
    /// With which two bytes pieces begin: most of what is looked at ends here.
    beginnings: Vec<bool>,
}

fn beginning(piece: &[u8]) -> usize {
    usize::from(piece[0]) << 8 | usize::from(piece[1])
}

impl Eye {
    pub fn for_all(secrets: &[&str]) -> Self {
        let forms = secrets.iter().flat_map(|secret| forms(secret));
        let pieces = forms.flat_map(|form| form.windows(PIECE).map(<[u8]>::to_vec).collect::<Vec<_>>());
        let pieces: BTreeSet<_> = pieces.collect();
        let mut beginnings = vec![false; 1 << 16];
        pieces.iter().for_each(|piece| beginnings[beginning(piece)] = true);
        Self { pieces, beginnings }
    }

    /// What of the secret stands there first.
    pub fn sees(&self, text: &[u8]) -> Option<String> {
        let found = text.windows(PIECE).find(|piece| self.beginnings[beginning(piece)] && self.pieces.contains(*piece));
        found.map(|piece| String::from_utf8_lossy(piece).into_owned())
    }

    #[track_caller]
    pub fn sees_nothing_in(&self, place: &str, text: &[u8]) {
        assert_eq!(self.leak(place, text), None);
    }

    /// One line on where the secret stands, if it does.
    pub fn leak(&self, place: &str, text: &[u8]) -> Option<String> {
        let piece = self.sees(text)?;
        let line = text.split(|byte| *byte == b'\n').find(|line| self.sees(line).is_some()).unwrap_or(text);
        Some(format!("{place} gives {piece:?} away: {}", String::from_utf8_lossy(line)))
    }
}

#[test]
fn a_secret_is_seen_in_every_exchange_and_every_spelling() {
    for secret in [ODD, PLAIN, TOKEN] {
        let eye = Eye::for_all(&[secret]);
        let quoted = secret.replace('\\', "\\\\").replace('"', "\\\"");
        for user in ["", "j", "jo", "joe", "joe@example.org"] {
            for text in [
                format!("\0{user}\0{secret}"),
                format!("{user}\0{user}\0{secret}"),
                format!("user={user}\x01auth=Bearer {secret}\x01\x01"),
                format!("n,a={user},\x01host=localhost\x01port=993\x01auth=Bearer {secret}\x01\x01"),
                secret.to_owned(),
            ] {
                assert!(eye.sees(text.as_bytes()).is_some(), "{text:?}");
                assert!(eye.sees(format!("AUTH {}", STANDARD.encode(&text)).as_bytes()).is_some(), "{text:?}");
            }
        }
        for text in [
            format!("LOGIN \"joe\" \"{quoted}\""),
            format!("{{\"password\":{}}}", serde_json::to_string(secret).unwrap()),
            format!("Secret({secret:?})"),
            format!("{:?}", secret.as_bytes()[..3].to_vec()) + &secret.escape_default().to_string(),
            format!("imap://joe:{}@host", utf8_percent_encode(secret, NON_ALPHANUMERIC)),
            secret.bytes().map(|byte| format!("{byte:02X}")).collect(),
            secret[3..16].to_owned(),
        ] {
            assert!(eye.sees(text.as_bytes()).is_some(), "{text:?}");
        }
        assert!(eye.sees(b"NO [AUTHENTICATIONFAILED] Authentication failed.").is_none());
    }
}
