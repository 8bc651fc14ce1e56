//! Arguments as IMAP wants them: quoted strings, and mailbox names in modified UTF-7.

use base64::Engine;
use base64::alphabet::IMAP_MUTF7;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

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

/// A quoted string of a text that [fits](fits_login): nothing of it is replaced, though control characters stand in it that
/// only servers can judge.
pub(super) fn quoted_whole(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A mailbox name as people write it, quoted and in modified UTF-7 (RFC 3501 §5.1.3). Control characters are encoded
/// too and so cannot break the line.
pub(super) fn mailbox(name: &str) -> String {
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&IMAP_MUTF7, NO_PAD);
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

/// Whether LOGIN can carry the text as a quoted string: 7-bit, without CR, LF and NUL (RFC 3501 §9, TEXT-CHAR).
pub(super) fn fits_login(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii() && !matches!(byte, 0 | b'\r' | b'\n'))
}

#[cfg(test)]
mod tests {
    use super::{mailbox, quoted};

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
        }
    }

    #[test]
    fn nothing_quoted_can_break_a_line() {
        assert_eq!(quoted("a\r\nb\0é"), r#""a??b??""#);
    }
}
