//! The two ways to send a password by SASL: PLAIN (RFC 4616) and LOGIN.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// An exchange under way.
pub(super) enum Exchange {
    Plain,
    /// LOGIN, before the name.
    LoginName,
    /// LOGIN, before the password.
    LoginPassword(Vec<u8>),
}

/// What to do next.
pub(super) enum Step {
    /// Send this challenge, in base64, and wait for another line.
    Ask(&'static [u8]),
    /// It is over: who signs in, and with what.
    Credentials(Vec<u8>, Vec<u8>),
    /// It is over: the client has changed its mind.
    Cancelled,
    /// It is over: that was no base64.
    NotBase64,
    /// It is over: that was base64, and not credentials.
    NotCredentials,
}

impl Exchange {
    /// `None` for a mechanism that is not spoken here.
    pub fn of(mechanism: &[u8]) -> Option<Self> {
        match mechanism {
            name if name.eq_ignore_ascii_case(b"PLAIN") => Some(Self::Plain),
            name if name.eq_ignore_ascii_case(b"LOGIN") => Some(Self::LoginName),
            _ => None,
        }
    }

    /// What to ask for if the client has sent nothing yet.
    pub fn challenge(&self) -> &'static [u8] {
        match self {
            Self::Plain => b"",
            Self::LoginName => b"Username:",
            Self::LoginPassword(_) => b"Password:",
        }
    }

    /// A line of base64 from the client, or `*`. Its line end does not count.
    pub fn line(&mut self, line: &[u8]) -> Step {
        let line = line.trim_ascii_end();
        if line == b"*" {
            return Step::Cancelled;
        }
        match STANDARD.decode(line) {
            Ok(response) => self.response(&response),
            Err(_) => Step::NotBase64,
        }
    }

    /// What the client sent with its command; `=` stands for a response that is empty (RFC 4954, 4).
    pub fn initial(&mut self, line: &[u8]) -> Step {
        if line == b"=" { self.response(b"") } else { self.line(line) }
    }

    /// The same, decoded.
    pub fn response(&mut self, response: &[u8]) -> Step {
        match self {
            Self::Plain => {
                let mut parts = response.splitn(3, |&byte| byte == 0);
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(on_behalf_of), Some(user), Some(password))
                        if on_behalf_of.is_empty() || on_behalf_of == user =>
                    {
                        Step::Credentials(user.to_vec(), password.to_vec())
                    }
                    _ => Step::NotCredentials,
                }
            }
            Self::LoginName => {
                *self = Self::LoginPassword(response.to_vec());
                Step::Ask(self.challenge())
            }
            Self::LoginPassword(user) => Step::Credentials(std::mem::take(user), response.to_vec()),
        }
    }
}

/// A challenge as it goes over the wire.
pub(super) fn encoded(challenge: &[u8]) -> String {
    STANDARD.encode(challenge)
}
