//! Servers and providers whose words are known: what they say when a limit is met, and the limits that they are documented
//! to keep.
//!
//! Words are theirs, letter by letter, or they are not here: for what is not known of them the sandbox has its own.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::limit::{Limit, LimitStage, Scope};
use super::listening::Protocol;
use super::words::{Refused, Words};

/// A server or a provider in whose words the sandbox refuses: `gmail`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Like {
    /// Courier.
    Courier,
    /// Cyrus.
    Cyrus,
    /// Dovecot.
    Dovecot,
    /// Exim.
    Exim,
    /// Gmail.
    Gmail,
    /// mox.
    Mox,
    /// Exchange Online.
    Outlook,
    /// Postfix.
    Postfix,
    /// Yahoo.
    Yahoo,
}

/// Nothing is known of that one. Says whom there is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the words of {0:?} are not known; those of {known} are", known = Like::ALL.map(Like::name).join(", "))]
pub struct UnknownLike(String);

impl Like {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Courier,
        Self::Cyrus,
        Self::Dovecot,
        Self::Exim,
        Self::Gmail,
        Self::Mox,
        Self::Outlook,
        Self::Postfix,
        Self::Yahoo,
    ];

    /// `courier`, `cyrus` and so on.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Courier => "courier",
            Self::Cyrus => "cyrus",
            Self::Dovecot => "dovecot",
            Self::Exim => "exim",
            Self::Gmail => "gmail",
            Self::Mox => "mox",
            Self::Outlook => "outlook",
            Self::Postfix => "postfix",
            Self::Yahoo => "yahoo",
        }
    }

    /// What is known of it.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::Courier => "IMAP, POP3: 4 from an address; SMTP: 5; one too many is closed without a word",
            Self::Cyrus => "IMAP, POP3: no limit; its words for too many of a user or from an address",
            Self::Dovecot => "IMAP, SMTP, POP3: 10 of a user from an address",
            Self::Exim => "SMTP: 20 in all; its words for those and for too many from an address",
            Self::Gmail => "IMAP: 15 of a user; SMTP: no limit, its words for too many sign-ins; POP3: nothing",
            Self::Mox => "IMAP, SMTP: 30 from an address, and 300 a minute",
            Self::Outlook => {
                "Exchange Online. IMAP: 16 of a user (known are 16 to 20), SMTP: 3; one too many signs in, and its first \
                 command fails"
            }
            Self::Postfix => "SMTP: 50 from an address; it has the same words for a rate",
            Self::Yahoo => "IMAP: no limit; its words for a rate",
        }
    }

    /// The limits that it has unless it is told otherwise, or says that it has; none where that is not documented.
    #[must_use]
    pub fn limits(self) -> Vec<Limit> {
        use Protocol::{Imap, Pop3, Smtp};
        let of = |protocol, scope, most| Limit { protocol: Some(protocol), ..Limit::new(scope, most) };
        let at = |stage, limit| Limit { stage, ..limit };
        match self {
            // MAXPERIP of imapd, pop3d and esmtpd.
            Self::Courier => [(Imap, 4), (Pop3, 4), (Smtp, 5)]
                .map(|(protocol, most)| at(LimitStage::Accept, of(protocol, Scope::Address, most)))
                .into(),
            // mail_max_userip_connections, of each service.
            Self::Dovecot => [Imap, Pop3, Smtp].map(|protocol| of(protocol, Scope::UserAndAddress, 10)).into(),
            // smtp_accept_max.
            Self::Exim => vec![of(Smtp, Scope::Total, 20)],
            // Google's "IMAP bandwidth and connection limits".
            Self::Gmail => vec![of(Imap, Scope::User, 15)],
            // Of one address; of its network there are larger ones.
            Self::Mox => [Imap, Smtp]
                .into_iter()
                .flat_map(|protocol| {
                    let open = of(protocol, Scope::Address, 30);
                    [Limit { most: 300, within: Some(Duration::from_secs(60)), ..open }, open]
                })
                .collect(),
            // Microsoft on IMAP4 throttling, and on SMTP AUTH submission.
            Self::Outlook => [(Imap, 16), (Smtp, 3)]
                .map(|(protocol, most)| at(LimitStage::After, of(protocol, Scope::User, most)))
                .into(),
            // smtpd_client_connection_count_limit.
            Self::Postfix => vec![of(Smtp, Scope::Address, 50)],
            // Those of Cyrus are off, those of Yahoo not documented.
            Self::Cyrus | Self::Yahoo => Vec::new(),
        }
    }

    /// What [`Limit::connections`] is in its place: in each protocol what it counts, refused where it refuses, if its words
    /// for that are known.
    #[must_use]
    pub fn connections(self, most: usize) -> [Limit; 3] {
        let own = match self {
            Self::Cyrus => [Protocol::Imap, Protocol::Pop3]
                .map(|protocol| Limit { protocol: Some(protocol), ..Limit::new(Scope::User, most) })
                .into(),
            _ => self.limits(),
        };
        let own = |protocol| own.iter().find(|limit| limit.protocol == protocol && limit.within.is_none());
        Limit::connections(most).map(|usual| own(usual.protocol).map_or(usual, |limit| Limit { most, ..*limit }))
    }

    /// What it says of such a refusal, where that is known. Words that do not say whose connections are counted are those of
    /// any count.
    pub(super) fn words(self, refused: &Refused) -> Option<Words> {
        use LimitStage::{After, Greeting, SignIn};
        use Protocol::{Imap, Pop3, Smtp};
        let Refused { limit, protocol, address, user, wait } = refused;
        let most = limit.most;
        let words = |code, text: &str| Some(Words::new(code, text));
        match (self, protocol, limit.scope, limit.stage, limit.within) {
            (Self::Cyrus, Imap | Pop3, scope @ (Scope::User | Scope::Address), SignIn, None) => {
                let whose = match user {
                    Some(user) if scope == Scope::User => format!("for {user}"),
                    _ => format!("from {address}"),
                };
                words("", &format!("Too many open connections ({} of {most} {whose})", most + 1))
            }
            (Self::Cyrus, Pop3, Scope::User, SignIn, Some(time)) if most == 1 => {
                let minutes = time.as_secs().div_ceil(60);
                let plural = if minutes > 1 { "s" } else { "" };
                words("LOGIN-DELAY", &format!("Logins must be at least {minutes} minute{plural} apart"))
            }
            (Self::Dovecot, _, Scope::UserAndAddress, SignIn, None) => Some(Words::of_dovecot(*protocol, most)),
            (Self::Exim, Smtp, Scope::Total, Greeting, None) => {
                words("421", "Too many concurrent SMTP connections; please try again later.")
            }
            (Self::Exim, Smtp, Scope::Address, Greeting, None) => {
                words("421", "Too many concurrent SMTP connections from this IP address; please try again later.")
            }
            (Self::Gmail, Imap, _, Greeting | SignIn | After, None) => {
                words("ALERT", "Too many simultaneous connections. (Failure)")
            }
            (Self::Gmail, Imap, _, After, Some(_)) => {
                words("OVERQUOTA", "Account exceeded command or bandwidth limits. (Failure)")
            }
            (Self::Gmail, Smtp, _, SignIn, Some(_)) => {
                words("454 4.7.0", "Too many login attempts, please try again later. l204sm333464qhl.34 - gsmtp")
            }
            (Self::Mox, Imap | Smtp, Scope::Address, Greeting, within) => words(
                if *protocol == Smtp { "421 4.7.0" } else { "" },
                if within.is_some() {
                    "connection rate from your ip or network too high, slow down please"
                } else {
                    "too many open connections from your ip or network"
                },
            ),
            (Self::Outlook, Imap, _, After, None) => {
                Some(Words { is_bad: true, farewell: Some("Connection closed. 14"), ..Words::new("", NOT_CONNECTED) })
            }
            (Self::Outlook, Imap, _, After, Some(_)) => {
                let text = format!("Request is throttled. Suggested Backoff Time: {} milliseconds", wait.as_millis());
                Some(Words { is_bad: true, ..Words::new("", &text) })
            }
            (Self::Outlook, Smtp, _, SignIn | After, None) => words(
                "432 4.3.2",
                "Concurrent connections limit exceeded. Visit https://aka.ms/concurrent_sending for more information. \
                 [Hostname=OS0PR01MB6099.jpnprd01.prod.outlook.com]",
            ),
            (Self::Outlook, Smtp, Scope::Total, Greeting, None) => words(
                "421 4.3.2",
                "The maximum number of concurrent server connections has exceeded a limit, closing transmission channel",
            ),
            (Self::Postfix, Smtp, Scope::Address, Greeting, _) => Some(Words::of_postfix(*address)),
            (Self::Yahoo, Imap, _, SignIn | After, Some(_)) => {
                Some(Words { names_command: true, ..Words::new("LIMIT", "Rate limit hit.") })
            }
            _ => None,
        }
    }

    /// The last line of a session that is ended because there are too many, where that is known.
    pub(super) const fn farewell(self, protocol: Protocol) -> Option<&'static str> {
        match (self, protocol) {
            (Self::Gmail, Protocol::Imap) => Some("* BYE [ALERT] Too many simultaneous connections. (Failure)"),
            _ => None,
        }
    }
}

const NOT_CONNECTED: &str = "User is authenticated but not connected.";

impl fmt::Display for Like {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Like {
    type Err = UnknownLike;

    fn from_str(name: &str) -> Result<Self, UnknownLike> {
        Self::ALL.into_iter().find(|like| like.name() == name).ok_or_else(|| UnknownLike(name.to_owned()))
    }
}
