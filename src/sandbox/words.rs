//! What is said to whom a limit turns away.

use std::net::IpAddr;

use super::limit::{Limit, LimitStage};
use super::listening::Protocol;

/// A connection that is turned away.
pub(super) struct Refused {
    /// By this limit.
    pub limit: Limit,
    pub protocol: Protocol,
    pub address: IpAddr,
}

/// A refusal's words.
pub(super) struct Words {
    /// Before the text: in IMAP and POP3 what stands in brackets, in SMTP the reply's codes. Empty for none.
    pub code: &'static str,
    pub text: String,
}

impl Words {
    /// Of what was refused there: those of Dovecot, in SMTP of Postfix, where they have some.
    pub fn of(refused: &Refused) -> Self {
        let Refused { limit, protocol, address, .. } = refused;
        let most = limit.most;
        match protocol {
            Protocol::Smtp => {
                Self { code: "421 4.7.0", text: format!("{HOST} Error: too many connections from {address}") }
            }
            Protocol::Imap | Protocol::Pop3 => {
                let code = if *protocol == Protocol::Imap { "LIMIT" } else { "IN-USE" };
                let text = match (limit.stage, limit.within) {
                    (LimitStage::Accept | LimitStage::Greeting, None) => "Too many connections.".to_owned(),
                    (_, Some(_)) => "Rate limit exceeded.".to_owned(),
                    (_, None) => format!(
                        "Maximum number of connections from user+IP exceeded (mail_max_userip_connections={most})"
                    ),
                };
                Self { code, text }
            }
        }
    }

    /// Behind `NO`, `BYE` or `-ERR`; in SMTP the whole line.
    pub fn line(&self, protocol: Protocol) -> String {
        let Self { code, text } = self;
        match protocol {
            _ if code.is_empty() => text.clone(),
            Protocol::Smtp => format!("{code} {text}"),
            Protocol::Imap | Protocol::Pop3 => format!("[{code}] {text}"),
        }
    }
}

/// What the server calls itself.
pub(super) const HOST: &str = "localhost";

/// The last line of a session that was the oldest.
pub(super) fn supplanted(protocol: Protocol, limit: &Limit) -> String {
    let most = limit.most;
    match protocol {
        Protocol::Imap => format!("* BYE [LIMIT] Too many connections: of {most} the oldest is ended."),
        Protocol::Smtp => format!("421 4.7.0 {HOST} Error: too many connections: of {most} the oldest is ended"),
        Protocol::Pop3 => format!("-ERR [IN-USE] Too many connections: of {most} the oldest is ended."),
    }
}
