//! Messages that say what they are: what `append` stores and `send` sends.

use lettre::address::AddressError;
use lettre::message::{Mailbox, Message};
use lettre::{Address, message::header::ContentType};

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

/// Why no letter can be written: an address that is none.
#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no address that mail can be sent to ({reason}); write user@domain")]
pub struct LetterError {
    /// What was given, or made of user and host.
    pub text: String,
    /// What is wrong with it.
    pub reason: AddressError,
}

impl Stationery {
    /// From whoever signs in at the endpoint, to `to`, or to themselves. A user without a domain is one of that host.
    ///
    /// # Errors
    /// The recipient, or the user, is no address.
    pub fn new(endpoint: &Endpoint, to: Option<&str>, run_id: &str) -> Result<Self, LetterError> {
        let host = match endpoint.host.parse::<std::net::IpAddr>() {
            Ok(std::net::IpAddr::V6(address)) => format!("[IPv6:{address}]"),
            Ok(address) => format!("[{address}]"),
            Err(_) => endpoint.host.clone(),
        };
        let user = match (endpoint.user.as_str(), to) {
            // Who does not sign in sends to the recipient in the recipient's own name.
            ("", Some(to)) => to.to_owned(),
            (user, _) if user.contains('@') => user.to_owned(),
            (user, _) => format!("{user}@{host}"),
        };
        let from = address(&user)?;
        let to = to.map_or_else(|| Ok(from.clone()), address)?;
        Ok(Self { from, to, run_id: run_id.to_owned() })
    }

    /// The letter of that worker's operation, the worker's `number`th.
    #[must_use]
    pub fn letter(&self, worker: u32, number: u64) -> Letter {
        let Self { from, to, run_id } = self;
        let written = Message::builder()
            .from(Mailbox::new(Some("mailconn".to_owned()), from.clone()))
            .to(Mailbox::new(None, to.clone()))
            .subject(format!("mailconn run {run_id}, w{worker}, operation {number}"))
            .message_id(Some(format!("<{run_id}.w{worker}.{number}@{DOMAIN}>")))
            .header(ContentType::TEXT_PLAIN)
            .body(format!(
                "mailconn wrote this message to see which connection it would take.\r\n\
                 It is operation {number} of worker w{worker} in run {run_id}, and may be deleted.\r\n"
            ));
        // Sender and recipient are there, and the text is ASCII: there is nothing that the builder could refuse.
        let message = written.map(|message| message.formatted()).unwrap_or_default();
        Letter { from: from.clone(), to: to.clone(), message }
    }
}

fn address(text: &str) -> Result<Address, LetterError> {
    text.parse().map_err(|reason| LetterError { text: text.to_owned(), reason })
}
