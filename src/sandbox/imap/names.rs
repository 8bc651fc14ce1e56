//! Mailbox names as the protocol spells them.

use imap_codec::imap_types::mailbox::Mailbox;

use crate::sandbox::mailbox::DELIMITER;

/// The name, if it is one a mailbox here can have: printable ASCII (RFC 3501 spells the rest in modified UTF-7).
pub(super) fn of<'a>(mailbox: &'a Mailbox<'_>) -> Option<&'a str> {
    match mailbox {
        Mailbox::Inbox => Some("INBOX"),
        Mailbox::Other(name) => {
            let name = std::str::from_utf8(name.as_ref()).ok()?;
            name.bytes().all(|byte| matches!(byte, b' '..=b'~')).then_some(name)
        }
    }
}

/// The name as the client spelt it, to name it in a refusal.
pub(super) fn spelt<'a>(mailbox: &'a Mailbox<'_>) -> &'a [u8] {
    match mailbox {
        Mailbox::Inbox => b"INBOX",
        Mailbox::Other(name) => name.as_ref(),
    }
}

/// The name of a mailbox to be made: no wildcards, no empty level. A delimiter at the end only says that
/// there will be others below it.
pub(super) fn of_new<'a>(mailbox: &'a Mailbox<'_>) -> Option<&'a str> {
    let name = of(mailbox)?;
    let name = name.strip_suffix(DELIMITER).unwrap_or(name);
    let sound = !name.contains(['%', '*']) && name.split(DELIMITER).all(|level| !level.is_empty());
    sound.then_some(name)
}

/// Whether LIST's pattern matches: `*` stands for anything, `%` for anything within one level.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let same = |a: u8, b: u8| {
        if name == "INBOX" { a.eq_ignore_ascii_case(&b) } else { a == b }
    };
    // reachable[n]: the pattern so far matches the first n bytes of the name. No backtracking, so no pattern is slow.
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    for wanted in pattern.bytes() {
        match wanted {
            b'*' | b'%' => {
                for (at, byte) in name.bytes().enumerate() {
                    if reachable[at] && (wanted == b'*' || char::from(byte) != DELIMITER) {
                        reachable[at + 1] = true;
                    }
                }
            }
            _ => {
                for (at, byte) in name.bytes().enumerate().rev() {
                    reachable[at + 1] = reachable[at] && same(wanted, byte);
                }
                reachable[0] = false;
            }
        }
    }
    reachable[name.len()]
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn wildcards_match_as_rfc_3501_says() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("%/%", "a/b", true),
            ("*b", "a/b", true),
            ("%b", "a/b", false),
            ("inbox", "INBOX", true),
            ("archive", "Archive", false),
            ("", "a", false),
            ("a*a", "a", false),
            ("a**", "a", true),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern:?} {name:?}");
        }
    }
}
