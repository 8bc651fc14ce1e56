//! Which mailbox a message says that it is in.
//!
//! The mail of the server in the box, and of the private Dovecot that the tests start, names its mailbox: in its subject,
//! and in its Message-ID. So a reply with such messages proves which mailbox it came from, whatever was asked for.

/// The mailbox that this header names, if it does so in both places. People write subjects like these; nobody writes the
/// Message-ID that goes with them. Every fetched message comes by here, so nothing is copied.
pub(super) fn home(header: &[u8]) -> Option<&str> {
    let (number, mailbox) = numbered(field(header, b"subject")?)?;
    let id = field(header, b"message-id")?.strip_prefix('<')?;
    let begins = |first: &str, second: &str| after(id, first).and_then(|rest| after(rest, second)).is_some();
    (begins(number, mailbox) || begins(mailbox, number)).then_some(mailbox)
}

/// `message 7 of Archive`, or `Archive message 7 of ann`: the number and the mailbox.
fn numbered(subject: &str) -> Option<(&str, &str)> {
    let (before, after) = subject.split_once("message ")?;
    let (number, owner) = after.split_once(" of ")?;
    let mailbox = if before.is_empty() { owner } else { before.strip_suffix(' ')? };
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    (is_number && !mailbox.is_empty()).then_some((number, mailbox))
}

/// What follows that part of an identifier and its dot.
fn after<'id>(id: &'id str, part: &str) -> Option<&'id str> {
    let (begin, rest) = id.split_at_checked(part.len())?;
    rest.strip_prefix('.').filter(|_| begin.eq_ignore_ascii_case(part))
}

/// A field that stands on one line.
fn field<'header>(header: &'header [u8], name: &[u8]) -> Option<&'header str> {
    header.split(|byte| *byte == b'\n').find_map(|line| {
        let (key, rest) = line.split_at_checked(name.len())?;
        let value = rest.strip_prefix(b":").filter(|_| key.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok().map(str::trim)
    })
}

#[cfg(test)]
mod tests {
    use super::home;

    fn header(subject: &str, id: &str) -> Vec<u8> {
        format!("Date: today\r\nSubject: {subject}\r\nMESSAGE-ID: {id}\r\n\r\n").into_bytes()
    }

    #[test]
    fn a_message_names_its_mailbox_by_subject_and_id_alike() {
        for (subject, id, names) in [
            ("message 7 of Archive", "<7.archive.ann@sandbox.example>", Some("Archive")),
            ("Sent message 12 of u1", "<Sent.12.u1@localhost>", Some("Sent")),
            ("message 7 of my notes", "<7.my notes.ann@sandbox.example>", Some("my notes")),
            ("message 7 of Archive", "<8.archive.ann@sandbox.example>", None),
            ("message 7 of Archive", "<7.sent.ann@sandbox.example>", None),
            ("message 7 of Archive", "<CAF=abc@mail.example.org>", None),
            ("a message 7 of Archive", "<7.archive.ann@sandbox.example>", None),
            ("message seven of Archive", "<seven.archive.ann@sandbox.example>", None),
            ("message 7 of ", "<7..ann@sandbox.example>", None),
            ("Lunch?", "<7.archive.ann@sandbox.example>", None),
        ] {
            assert_eq!(home(&header(subject, id)), names, "{subject} {id}");
        }
        assert_eq!(home(b"Subject: message 7 of Archive\r\n"), None, "without an id it may be anybody's");
        assert_eq!(home(b"\xff\xfe\r\nno header at all"), None);
    }
}
