//! Messages that say what they are: what `append` stores and `send` sends.

use lettre::Address;
use lettre::address::AddressError;
use lettre::message::header::{
    ContentTransferEncoding, ContentType, Date, From, Headers, MIME_VERSION_1_0, MessageId, Subject, To,
};
use lettre::message::{Mailbox, Mailboxes};

use super::endpoint::Endpoint;

/// The domain of every Message-ID; no mail can be sent to it (RFC 2606).
const DOMAIN: &str = "mailconn.invalid";

/// One message, as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Letter {
    pub(super) from: Address,
    pub(super) to: Address,
    /// RFC 5322, lines ended by CRLF.
    pub(super) message: Vec<u8>,
}

/// Writes the letters of one run.
#[derive(Clone, Debug)]
pub struct Stationery {
    from: Address,
    to: Address,
    run_id: String,
}

/// Why no letter can be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LetterError {
    /// An address that is none.
    #[error("{text:?} is no address that mail can be sent to ({reason}); write user@domain")]
    NoAddress {
        /// What was given, or made of user and host.
        text: String,
        /// What is wrong with it.
        reason: AddressError,
    },
    /// There is neither a user nor a recipient.
    #[error("nobody signs in, so the recipient is not known")]
    Nobody,
}

impl Stationery {
    /// From `from`, or whoever signs in at the endpoint; to `to`, or whoever signs in. A user without a domain is one of
    /// that host.
    ///
    /// # Errors
    /// Sender or recipient is no address; or there is neither a user nor a recipient.
    pub fn new(endpoint: &Endpoint, from: Option<&str>, to: Option<&str>, run_id: &str) -> Result<Self, LetterError> {
        let host = match endpoint.host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            Ok(address) => format!("[{address}]"),
            Err(_) => endpoint.host.clone(),
        };
        let user = match (endpoint.user.as_str(), to) {
            // Who does not sign in sends to the recipient in the recipient's own name.
            ("", Some(to)) => to.to_owned(),
            ("", None) => return Err(LetterError::Nobody),
            (user, _) if user.contains('@') => user.to_owned(),
            (user, _) => format!("{user}@{host}"),
        };
        let from = address(from.unwrap_or(&user))?;
        let to = address(to.unwrap_or(&user))?;
        Ok(Self { from, to, run_id: run_id.to_owned() })
    }

    /// The letter of an operation, the `number`th of `who`: `w3`.
    #[must_use]
    pub fn letter(&self, who: &str, number: u64) -> Letter {
        let Self { from, to, run_id } = self;
        // Not through the crate's builder: that reads the header back, and takes user@[192.0.2.1] for no address.
        let mut header = Headers::new();
        header.set(Date::now());
        header.set(From::from(Mailboxes::new().with(Mailbox::new(Some("mailconn".to_owned()), from.clone()))));
        header.set(To::from(Mailboxes::new().with(Mailbox::new(None, to.clone()))));
        header.set(Subject::from(format!("mailconn run {run_id}, {who}, operation {number}")));
        header.set(MessageId::from(format!("<{run_id}.{who}.{number}@{DOMAIN}>")));
        header.set(MIME_VERSION_1_0);
        header.set(ContentType::TEXT_PLAIN);
        header.set(ContentTransferEncoding::SevenBit);
        let text = format!(
            "mailconn wrote this message to see which connection it would take.\r\n\
             It is operation {number} of {who} in run {run_id}, and may be deleted.\r\n"
        );
        let message = format!("{header}\r\n{text}").into_bytes();
        Letter { from: from.clone(), to: to.clone(), message }
    }
}

fn address(text: &str) -> Result<Address, LetterError> {
    text.parse().map_err(|reason| LetterError::NoAddress { text: text.to_owned(), reason })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn letter(url: &str, from: Option<&str>, to: Option<&str>) -> String {
        let endpoint = Endpoint::parse(url, None).unwrap();
        let letter = Stationery::new(&endpoint, from, to, "0123456789ab").unwrap().letter("w3", 17);
        String::from_utf8(letter.message).unwrap()
    }

    #[test]
    fn a_letter_names_its_run_worker_and_operation_whatever_the_host_is_called() {
        let (bob, eve) = (Some("bob@x.org"), Some("eve@y.org"));
        for (url, from, to, from_line, to_line) in [
            ("smtp://ann@localhost", None, None, "mailconn <ann@localhost>", "ann@localhost"),
            ("smtp://ann@127.0.0.1", None, None, "mailconn <ann@[127.0.0.1]>", "ann@[127.0.0.1]"),
            ("imaps://ann@[::1]", None, None, "mailconn <ann@[IPv6:::1]>", "ann@[IPv6:::1]"),
            ("smtps://ann%40example.org@mx", None, bob, "mailconn <ann@example.org>", "bob@x.org"),
            ("smtp://127.0.0.1", None, bob, "mailconn <bob@x.org>", "bob@x.org"),
            ("smtp://ann@localhost", eve, None, "mailconn <eve@y.org>", "ann@localhost"),
            ("smtp://ann@localhost", eve, bob, "mailconn <eve@y.org>", "bob@x.org"),
            ("smtp://127.0.0.1", eve, bob, "mailconn <eve@y.org>", "bob@x.org"),
        ] {
            let letter = letter(url, from, to);
            let (header, text) = letter.split_once("\r\n\r\n").unwrap();
            let field = |name: &str| header.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
            assert_eq!((field("From:"), field("To:")), (from_line, to_line), "{url}: {letter}");
            assert_eq!(field("Message-ID:"), "<0123456789ab.w3.17@mailconn.invalid>", "{letter}");
            assert!(!field("Date:").is_empty() && field("Subject:").contains("operation 17"), "{letter}");
            assert!(text.contains("run 0123456789ab") && text.ends_with("\r\n") && letter.is_ascii(), "{letter}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_said_in_one_line() {
        let endpoint = Endpoint::parse("smtp://ann@localhost", None).unwrap();
        for to in ["", "bob", "bob@", "@x.org", "a b@x.org", "bob@x.org\r\nBcc: all@x.org"] {
            for (from, to) in [(None, Some(to)), (Some(to), None)] {
                let error = Stationery::new(&endpoint, from, to, "run").unwrap_err().to_string();
                assert!(error.contains("user@domain") && !error.contains('\n'), "{error}");
            }
        }
    }
}
