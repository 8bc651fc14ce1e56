//! Commands as they left on a socket.

use std::fmt;

use super::operation::Operation;

/// Which command of its connection one is: our IMAP tags are an `a` and a number that grows by one, from 1; the commands of
/// SMTP and POP3, which have no tags, are counted alike. [`Protocol::tag`](super::Protocol::tag) writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

/// The verb of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Verb(&'static str);

/// The verbs that no operation's unit is made of: those of a dial and of a goodbye, and those that come within a unit only
/// at times.
const BESIDE: [Verb; 16] = [
    Verb("CAPABILITY"),
    Verb("STARTTLS"),
    Verb::LOGIN,
    Verb::AUTHENTICATE,
    Verb("ID"),
    Verb("NAMESPACE"),
    Verb("LOGOUT"),
    Verb("EHLO"),
    Verb("HELO"),
    Verb("AUTH"),
    Verb("QUIT"),
    Verb("CAPA"),
    Verb("STLS"),
    Verb::USER,
    Verb("PASS"),
    Verb("RETR"),
];

impl Verb {
    /// Signing in with a password.
    pub const LOGIN: Self = Self("LOGIN");
    /// Signing in to IMAP with a SASL mechanism.
    pub const AUTHENTICATE: Self = Self("AUTHENTICATE");
    /// Signing in to POP3: the user.
    pub const USER: Self = Self("USER");
    /// Putting a message into a mailbox.
    pub(super) const APPEND: Self = Self("APPEND");
    /// A message's sender.
    pub(super) const MAIL: Self = Self("MAIL");
    /// A message's recipient.
    pub(super) const RCPT: Self = Self("RCPT");
    /// Any that is none of ours.
    pub const OTHER: Self = Self("OTHER");

    /// The verbs of the operations' units, and the others of ours.
    fn known() -> impl Iterator<Item = Self> {
        Operation::ALL.iter().flat_map(|operation| operation.spec().verbs).map(|name| Self(name)).chain(BESIDE)
    }

    /// The verb as the protocol writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }

    /// The verb of that [`name`](Self::name); none if there is no such.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::known().chain([Self::OTHER]).find(|verb| verb.0 == name)
    }

    pub(super) fn read(word: &[u8]) -> Self {
        Self::known().find(|verb| verb.0.as_bytes().eq_ignore_ascii_case(word)).unwrap_or(Self::OTHER)
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One command as it left on the socket. Its arguments, a password among them, are not kept anywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Command {
    /// Which one of its connection.
    pub tag: Tag,
    /// Its verb.
    pub verb: Verb,
}
