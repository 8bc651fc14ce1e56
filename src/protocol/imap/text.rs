//! Arguments as IMAP wants them: quoted strings, and mailbox names in modified UTF-7.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

const ENGINE: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);

/// No quoted string of ours is longer, in bytes: servers take lines of a thousand (RFC 2683 §3.2.1.5).
const LONGEST_QUOTED: usize = 480;

/// A quoted string (RFC 3501 §9). The caller makes sure that it is printable ASCII; what is not becomes `?`, so that
/// no argument can ever break a line.
pub(super) fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

/// A quoted string of a text that [fits](fits_quotes): nothing of it is replaced, though control characters stand in it that
/// only servers can judge.
pub(super) fn quoted_whole(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A mailbox name as people write it, quoted and in modified UTF-7 (RFC 3501 §5.1.3). Control characters are encoded
/// too and so cannot break the line.
pub(crate) fn mailbox(name: &str) -> String {
    let mut encoded = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    let unshift = |shifted: &mut Vec<u8>, encoded: &mut String| {
        if !shifted.is_empty() {
            encoded.push('&');
            ENGINE.encode_string(&*shifted, encoded);
            encoded.push('-');
            shifted.clear();
        }
    };
    for character in name.chars() {
        if matches!(character, ' '..='~') {
            unshift(&mut shifted, &mut encoded);
            encoded.push(character);
            if character == '&' {
                encoded.push('-');
            }
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shifted.extend(unit.to_be_bytes());
            }
        }
    }
    unshift(&mut shifted, &mut encoded);
    quoted(&encoded)
}

/// A mailbox name as it stands on the wire, as people write it. What is no modified UTF-7 is left as it is.
pub(super) fn decoded(name: &str) -> String {
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some((before, shifted)) = rest.split_once('&') {
        decoded.push_str(before);
        let Some((shifted, after)) = shifted.split_once('-') else { return name.to_owned() };
        if shifted.is_empty() {
            decoded.push('&');
        } else {
            let bytes = ENGINE.decode(shifted).unwrap_or_default();
            let units: Vec<u16> = bytes.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            match String::from_utf16(&units) {
                Ok(text) if !text.is_empty() => decoded.push_str(&text),
                _ => return name.to_owned(),
            }
        }
        rest = after;
    }
    decoded + rest
}

/// Whether LOGIN can carry the text at all: NUL stands in no string (RFC 3501 §9, CHAR8).
pub(super) fn fits_login(text: &str) -> bool {
    !text.contains('\0')
}

/// Whether it can do so as a quoted string: 7-bit, without CR and LF (TEXT-CHAR), and short. Else it takes a literal.
pub(super) fn fits_quotes(text: &str) -> bool {
    text.len() <= LONGEST_QUOTED && text.bytes().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::{decoded, mailbox, quoted};

    #[test]
    fn mailbox_names_are_quoted_and_in_modified_utf7() {
        for (name, wire) in [
            ("INBOX", r#""INBOX""#),
            (r#"a"b\c"#, r#""a\"b\\c""#),
            ("Tom & Jerry", r#""Tom &- Jerry""#),
            ("Entwürfe", r#""Entw&APw-rfe""#),
            ("台北", r#""&U,BTFw-""#),
            ("📬/x", r#""&2D3c7A-/x""#),
            ("a\r\nb LOGOUT", r#""a&AA0ACg-b LOGOUT""#),
        ] {
            assert_eq!(mailbox(name), wire);
            let bare = wire[1..wire.len() - 1].replace('\\', "");
            assert_eq!(decoded(&bare), name.replace('\\', ""), "{wire}");
        }
    }

    #[test]
    fn nothing_quoted_can_break_a_line() {
        assert_eq!(quoted("a\r\nb\0é"), r#""a??b??""#);
    }
}
