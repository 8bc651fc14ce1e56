//! What a server says it can do, as it says it.

use super::endpoint::Protocol;
use super::secret::Mask;

/// The most that is kept, whatever a server sends: several times what the most talkative ones offer.
const MOST: usize = 256;
/// The longest that is kept, in bytes.
const LONGEST: usize = 256;

/// The capabilities of IMAP (RFC 3501 §7.2.1), the extensions of SMTP (RFC 5321 §4.1.1.1), the capabilities of POP3
/// (RFC 2449): a keyword each, and for the latter two its arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    offered: Vec<String>,
    /// The server did not say: it may be able to do anything.
    unsaid: bool,
}

impl Capabilities {
    /// What a server can do that does not say so.
    #[must_use]
    pub fn unsaid() -> Self {
        Self { offered: Vec::new(), unsaid: true }
    }

    /// Whether the server did not say what it can do: nothing is known then, which is not the same as nothing offered.
    #[must_use]
    pub fn is_unsaid(&self) -> bool {
        self.unsaid
    }

    /// Adds one. Beyond a bound it is passed over; what is not printable ASCII is not the protocol's, and is too.
    pub(super) fn add(&mut self, offered: &[u8]) {
        let plain = offered.iter().all(|byte| (b' '..=b'~').contains(byte));
        if self.offered.len() < MOST && !offered.is_empty() && offered.len() <= LONGEST && plain {
            self.offered.push(String::from_utf8_lossy(offered).into_owned());
        }
    }

    /// The same to be shown, without a secret that the server repeats among them. Nothing is decided on these.
    pub(super) fn covered(&self, mask: &Mask) -> Self {
        let cover = |offered: &String| mask.cover_offer(offered);
        Self { offered: self.offered.iter().map(cover).collect(), unsaid: self.unsaid }
    }

    /// The same to be shown, each of them in other words. Nothing is decided on these.
    pub(crate) fn with(&self, words: impl Fn(&str) -> String) -> Self {
        Self { offered: self.iter().map(words).collect(), unsaid: self.unsaid }
    }

    /// All of them, in the server's order and spelling.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.offered.iter().map(String::as_str)
    }

    /// Whether that keyword is offered, with or without arguments.
    #[must_use]
    pub fn has(&self, keyword: &str) -> bool {
        self.iter().any(|offered| first_word(offered).eq_ignore_ascii_case(keyword))
    }

    /// The protocol's own command to sign in, where the server takes it. One that does not say what it can do knows the
    /// oldest way.
    #[must_use]
    pub fn own_command(&self, protocol: Protocol) -> Option<&'static str> {
        match protocol {
            Protocol::Imap => (!self.has("LOGINDISABLED")).then_some("the LOGIN command"),
            Protocol::Smtp => None,
            Protocol::Pop3 => (self.has("USER") || self.offered.is_empty()).then_some("USER and PASS"),
        }
    }

    /// The names of the SASL mechanisms offered: `AUTH=PLAIN` of IMAP, `AUTH PLAIN LOGIN` of SMTP, `SASL PLAIN` of POP3.
    pub fn mechanisms(&self, protocol: Protocol) -> impl Iterator<Item = &str> {
        self.iter().flat_map(move |offered| {
            let (keyword, arguments) = match protocol {
                Protocol::Imap => offered.split_once('=').unwrap_or_default(),
                // AUTH=LOGIN is how servers once wrote it for clients that knew no better.
                Protocol::Smtp => offered.split_once([' ', '=']).unwrap_or_default(),
                Protocol::Pop3 => offered.split_once(' ').unwrap_or_default(),
            };
            let wanted = if protocol == Protocol::Pop3 { "SASL" } else { "AUTH" };
            let arguments = if keyword.eq_ignore_ascii_case(wanted) { arguments } else { "" };
            arguments.split_ascii_whitespace()
        })
    }
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap_or(line)
}

impl<'a> FromIterator<&'a str> for Capabilities {
    /// As a server that says these, one by one.
    fn from_iter<T: IntoIterator<Item = &'a str>>(offered: T) -> Self {
        let mut capabilities = Self::default();
        offered.into_iter().for_each(|offered| capabilities.add(offered.as_bytes()));
        capabilities
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn capabilities(lines: &[&str]) -> Capabilities {
        let mut capabilities = Capabilities::default();
        lines.iter().for_each(|line| capabilities.add(line.as_bytes()));
        capabilities
    }

    #[test]
    fn mechanisms_are_found_where_each_protocol_puts_them() {
        for (protocol, lines, mechanisms) in [
            (Protocol::Imap, &["IMAP4rev1", "AUTH=PLAIN", "auth=SCRAM-SHA-256", "ID"][..], "PLAIN SCRAM-SHA-256"),
            (Protocol::Smtp, &["PIPELINING", "AUTH PLAIN LOGIN", "AUTH=LOGIN", "SIZE 1000"][..], "PLAIN LOGIN LOGIN"),
            (Protocol::Pop3, &["TOP", "SASL PLAIN LOGIN", "USER"][..], "PLAIN LOGIN"),
        ] {
            let capabilities = capabilities(lines);
            assert_eq!(capabilities.mechanisms(protocol).collect::<Vec<_>>().join(" "), mechanisms);
        }
    }

    #[test]
    fn keywords_are_whole_words_in_any_case() {
        let capabilities = capabilities(&["pipelining", "SIZE 1000", "LOGIN-DELAY 60"]);
        assert!(capabilities.has("PIPELINING") && capabilities.has("SIZE"));
        assert!(!capabilities.has("LOGIN") && !capabilities.has("1000"));
    }

    #[test]
    fn a_server_that_offers_without_end_is_cut_short() {
        let mut capabilities = Capabilities::default();
        (0..10_000).for_each(|_| capabilities.add(b"X"));
        capabilities.add(&[b'y'; 10_000]);
        capabilities.add(b"\xff\x1b[2J");
        assert_eq!(capabilities.iter().count(), MOST);
    }
}
