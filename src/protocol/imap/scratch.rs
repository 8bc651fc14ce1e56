//! Where the mailboxes of `append` are made: names at the top are not every account's to use.

use super::text;

/// Where the mailboxes of [`append`](super::ImapConnection::append) are made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scratch {
    /// At the top, and nothing is asked.
    #[default]
    Top,
    /// In the account's personal namespace (RFC 2342), which each dial asks for where the server offers it; else at the top.
    Personal,
    /// Under the mailbox of that name, as people write it. Each dial asks for the hierarchy's delimiter.
    Under(String),
}

/// The first personal namespace that a server names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Namespace {
    prefix: String,
    delimiter: Option<char>,
}

impl Namespace {
    /// `(("INBOX." ".")) NIL NIL`.
    pub(super) fn read(response: &[u8]) -> Option<Self> {
        let (prefix, rest) = quoted(response.trim_ascii_start().strip_prefix(b"((")?)?;
        Some(Self { prefix: text::decoded(&prefix), delimiter: delimiter(rest) })
    }

    /// What stands before a name in it.
    pub(super) fn prefix(&self) -> String {
        // Some servers leave the delimiter out.
        if self.prefix.is_empty() { String::new() } else { under(&self.prefix, self.delimiter) }
    }
}

/// What stands before a name under that mailbox.
pub(super) fn under(mailbox: &str, delimiter: Option<char>) -> String {
    let missing = delimiter.filter(|delimiter| !mailbox.ends_with(*delimiter));
    mailbox.chars().chain(missing).collect()
}

/// The delimiter of `(\Noselect) "/" ""`; none where the server has no hierarchy.
pub(super) fn listed_delimiter(response: &[u8]) -> Option<char> {
    let end = response.iter().position(|byte| *byte == b')')?;
    delimiter(&response[end + 1..])
}

fn delimiter(text: &[u8]) -> Option<char> {
    quoted(text.trim_ascii_start()).and_then(|(delimiter, _)| delimiter.chars().next())
}

/// A quoted string (RFC 3501 §9), and what follows it.
fn quoted(text: &[u8]) -> Option<(String, &[u8])> {
    let mut rest = text.strip_prefix(b"\"")?;
    let mut inside = Vec::new();
    loop {
        match rest {
            [b'"', after @ ..] => return Some((String::from_utf8(inside).ok()?, after)),
            [b'\\', byte, after @ ..] | [byte, after @ ..] => {
                inside.push(*byte);
                rest = after;
            }
            [] => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_personal_namespace_gives_the_prefix() {
        for (response, prefix) in [
            (r#"(("" "/")) NIL NIL"#, Some("")),
            (r#"(("INBOX." ".")) NIL NIL"#, Some("INBOX.")),
            (r#"(("INBOX" ".")) NIL NIL"#, Some("INBOX.")),
            (r##"(("INBOX/" "/" "X-PARAM" ("a")) ("#mh/" "/")) (("~" "/")) NIL"##, Some("INBOX/")),
            (r##"(("#mhinbox" NIL)) NIL NIL"##, Some("#mhinbox")),
            (r#"(("a\"b\\" "\\")) NIL NIL"#, Some(r#"a"b\"#)),
            (r#"(("Entw&APw-rfe/" "/")) NIL NIL"#, Some("Entwürfe/")),
            (r#"(("&&&" "/")) NIL NIL"#, Some("&&&/")),
            (r#"NIL NIL (("" "/"))"#, None),
            ("((", None),
            (r#"(("INBOX."#, None),
            ("(( )) NIL NIL", None),
            ("", None),
        ] {
            let read = Namespace::read(response.as_bytes()).map(|namespace| namespace.prefix());
            assert_eq!(read.as_deref(), prefix, "{response}");
        }
    }

    #[test]
    fn a_listed_delimiter_joins_names() {
        for (response, joined) in [
            (r#"(\Noselect) "/" """#, "Tests/"),
            (r#"(\Noselect \HasChildren) "." """#, "Tests."),
            (r#"() "\\" """#, r"Tests\"),
            (r#"(\Noselect) NIL """#, "Tests"),
            ("", "Tests"),
        ] {
            assert_eq!(under("Tests", listed_delimiter(response.as_bytes())), joined, "{response}");
        }
        assert_eq!(under("Tests/", Some('/')), "Tests/");
    }
}
