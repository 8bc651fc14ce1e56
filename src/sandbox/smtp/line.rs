//! A command line, understood or not.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use smtp_proto::{Error, Request};

/// The commands this server knows by name, even where the rest of the line is not to be understood.
const VERBS: [&str; 17] = [
    "EHLO", "HELO", "STARTTLS", "AUTH", "MAIL", "RCPT", "DATA", "RSET", "NOOP", "VRFY", "HELP", "QUIT", "EXPN", "BDAT",
    "LHLO", "ETRN", "BURL",
];

/// The name a line begins with, if it is a command's.
pub(super) fn verb(line: &[u8]) -> Option<&'static str> {
    let word = line.trim_ascii().split(|byte| byte.is_ascii_whitespace() || *byte == b':').next()?;
    VERBS.into_iter().find(|verb| word.eq_ignore_ascii_case(verb.as_bytes()))
}

/// The line with a domain in its path where it has none, or has an address literal: whoever is named like that is a user
/// here, as with Postfix. The parser knows addresses with a domain's name only.
pub(super) fn qualified(line: &[u8]) -> Cow<'_, [u8]> {
    if !matches!(verb(line), Some("MAIL" | "RCPT")) {
        return line.into();
    }
    let Some(open) = line.iter().position(|&byte| byte == b'<') else { return line.into() };
    let Some(length) = line[open..].iter().position(|&byte| byte == b'>') else { return line.into() };
    let close = open + length;
    let path = &line[open + 1..close];
    if path.is_empty() || path.contains(&b'"') {
        return line.into();
    }
    let user = match path.iter().position(|&byte| byte == b'@') {
        None => path.len(),
        Some(at) if is_literal(&path[at + 1..]) => at,
        Some(_) => return line.into(),
    };
    [&line[..open + 1], &path[..user], b"@localhost", &line[close..]].concat().into()
}

/// `[192.0.2.1]`, `[IPv6:2001:db8::1]` (RFC 5321, 4.1.3).
fn is_literal(domain: &[u8]) -> bool {
    let inside = domain.strip_prefix(b"[").and_then(|domain| domain.strip_suffix(b"]"));
    let Some(text) = inside.and_then(|inside| std::str::from_utf8(inside).ok()) else { return false };
    let v6 = |text: &str| text.strip_prefix("IPv6:").is_some_and(|text| text.parse::<Ipv6Addr>().is_ok());
    text.parse::<Ipv4Addr>().is_ok() || v6(text)
}

/// Reads one line, with its line end.
pub(super) fn read(line: &[u8]) -> Result<Request<Cow<'_, str>>, Error> {
    Request::parse(&mut line.iter())
}

/// What is wrong with it.
pub(super) fn complaint(error: &Error) -> Cow<'static, str> {
    match error {
        Error::UnknownCommand => "500 5.5.2 Error: command not recognized".into(),
        Error::InvalidSenderAddress => "501 5.1.7 Bad sender address syntax".into(),
        Error::InvalidRecipientAddress => "501 5.1.3 Bad recipient address syntax".into(),
        Error::SyntaxError { syntax } => format!("501 5.5.4 Syntax: {syntax}").into(),
        Error::InvalidParameter { param } => format!("501 5.5.4 Bad value of {param}").into(),
        Error::UnsupportedParameter { .. } => UNSUPPORTED.into(),
        Error::NeedsMoreData { .. } | Error::ResponseTooLong | Error::InvalidResponse { .. } => {
            "501 5.5.2 Error: bad syntax".into()
        }
    }
}

/// Said to a parameter of MAIL or RCPT that was not offered.
pub(super) const UNSUPPORTED: &str = "555 5.5.4 Unsupported option";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_a_user_here_and_nothing_else_is_touched() {
        for line in ["RCPT TO:<user> X\r\n", "RCPT TO:<user@[127.0.0.1]> X\r\n", "RCPT TO:<user@[IPv6:::1]> X\r\n"] {
            assert_eq!(&*qualified(line.as_bytes()), b"RCPT TO:<user@localhost> X\r\n", "{line}");
        }
        for line in [
            "MAIL FROM:<>\r\n",
            "RCPT TO:<a@b>\r\n",
            "RCPT TO:<\"a>b\"@c>\r\n",
            "EHLO <x>\r\n",
            "RCPT TO:>a<\r\n",
            "RCPT TO:<a@[b]>\r\n",
        ] {
            assert_eq!(&*qualified(line.as_bytes()), line.as_bytes());
        }
    }

    #[test]
    fn a_broken_line_still_has_its_verb() {
        assert_eq!(verb(b"mail from:nonsense\r\n"), Some("MAIL"));
        assert_eq!(verb(b"MAILBOX\r\n"), None);
        assert_eq!(verb(b"\r\n"), None);
    }
}
