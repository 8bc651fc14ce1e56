//! What is said to whom a limit turns away.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::like::Like;
use super::limit::{Limit, LimitStage, Scope};
use super::listening::Protocol;

/// What the server calls itself.
pub(super) const HOST: &str = "localhost";

/// A connection that is turned away.
pub(super) struct Refused {
    /// By this limit.
    pub limit: Limit,
    pub protocol: Protocol,
    pub address: IpAddr,
    /// From the sign-in on.
    pub user: Option<Arc<str>>,
    /// When the next one may come, of a rate.
    pub wait: Duration,
}

/// A refusal's words.
#[derive(Clone)]
pub(super) struct Words {
    /// Before the text: in IMAP and POP3 what stands in brackets, in SMTP the reply's codes. Empty for none.
    pub code: &'static str,
    pub text: String,
    /// In IMAP: `BAD`, not `NO`.
    pub is_bad: bool,
    /// In IMAP: the command's name stands before the text.
    pub names_command: bool,
    /// In IMAP: the session goes on, the next command is answered by the same words, and by these the session ends.
    pub farewell: Option<&'static str>,
}

impl Words {
    pub fn new(code: &'static str, text: impl Into<String>) -> Self {
        Self { code, text: text.into(), is_bad: false, names_command: false, farewell: None }
    }

    /// In the words of that one where they are known. The sandbox's own are Dovecot's and Postfix's for what those two count,
    /// and name what is counted for the rest.
    pub fn of(refused: &Refused, like: Option<Like>) -> Self {
        if let Some(words) = like.and_then(|like| like.words(refused)) {
            return words;
        }
        let Refused { limit, protocol, address, .. } = refused;
        match (protocol, limit.scope, limit.stage, limit.within) {
            (Protocol::Imap | Protocol::Pop3, Scope::UserAndAddress, LimitStage::SignIn, None) => {
                Self::of_dovecot(*protocol, limit.most)
            }
            (Protocol::Smtp, Scope::Address, LimitStage::Greeting, None) => Self::of_postfix(*address),
            _ => Self::own(limit, *protocol),
        }
    }

    pub fn of_dovecot(protocol: Protocol, most: usize) -> Self {
        let code = match protocol {
            Protocol::Imap => "LIMIT",
            Protocol::Pop3 => "IN-USE",
            Protocol::Smtp => "421 4.7.0",
        };
        let text = format!("Maximum number of connections from user+IP exceeded (mail_max_userip_connections={most})");
        Self::new(code, text)
    }

    pub fn of_postfix(address: IpAddr) -> Self {
        Self::new("421 4.7.0", format!("{HOST} Error: too many connections from {address}"))
    }

    fn own(limit: &Limit, protocol: Protocol) -> Self {
        let whose = match limit.scope {
            Scope::User => " of this user",
            Scope::Address => " from this address",
            Scope::UserAndAddress => " of this user from this address",
            Scope::Total => "",
        };
        match (protocol, limit.within.is_some()) {
            (Protocol::Smtp, false) => Self::new("421 4.7.0", format!("{HOST} Error: too many connections{whose}")),
            (Protocol::Smtp, true) => Self::new("421 4.7.0", format!("{HOST} Error: connection rate{whose} too high")),
            (protocol, is_rate) => {
                let code = match protocol {
                    Protocol::Pop3 if is_rate => "LOGIN-DELAY",
                    Protocol::Pop3 => "IN-USE",
                    _ => "LIMIT",
                };
                let what = if is_rate {
                    format!("Connection rate{whose} is too high.")
                } else {
                    format!("Too many connections{whose}.")
                };
                Self::new(code, what)
            }
        }
    }

    /// Behind `NO`, `BYE` or `-ERR`; in SMTP the whole line.
    pub fn line(&self, protocol: Protocol) -> String {
        let Self { code, text, .. } = self;
        match protocol {
            _ if code.is_empty() => text.clone(),
            Protocol::Smtp => format!("{code} {text}"),
            Protocol::Imap | Protocol::Pop3 => format!("[{code}] {text}"),
        }
    }
}

/// The last line of a session that was the oldest.
pub(super) fn supplanted(protocol: Protocol, like: Option<Like>) -> String {
    if let Some(words) = like.and_then(|like| like.farewell(protocol)) {
        return words.to_owned();
    }
    match protocol {
        Protocol::Imap => "* BYE [LIMIT] Too many connections: the oldest is ended.".to_owned(),
        Protocol::Smtp => format!("421 4.7.0 {HOST} Error: too many connections: the oldest is ended"),
        Protocol::Pop3 => "-ERR [IN-USE] Too many connections: the oldest is ended.".to_owned(),
    }
}
