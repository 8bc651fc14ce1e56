//! Commands as they left on a socket.

use std::fmt;

/// Which command of its connection one is: our IMAP tags are an `a` and a number that grows by one, from 1; the commands of
/// SMTP and POP3, which have no tags, are counted alike. [`Protocol::tag`](super::Protocol::tag) writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

/// The verb of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verb {
    /// What an IMAP server can do.
    Capability,
    /// The upgrade to TLS, of IMAP and SMTP.
    StartTls,
    /// Signing in with a password.
    Login,
    /// Signing in to IMAP with a SASL mechanism.
    Authenticate,
    /// The session's label (RFC 2971).
    Id,
    /// Nothing.
    Noop,
    /// The mailboxes of IMAP, the messages of POP3.
    List,
    /// Where names may begin (RFC 2342).
    Namespace,
    /// A mailbox's counters.
    Status,
    /// Selecting a mailbox, read-only.
    Examine,
    /// Reading messages.
    Fetch,
    /// Finding messages.
    Search,
    /// Making a mailbox.
    Create,
    /// Putting a message into a mailbox.
    Append,
    /// Removing a mailbox.
    Delete,
    /// Signing out of IMAP.
    Logout,
    /// The client's name, and what an SMTP server can do.
    Ehlo,
    /// The client's name, to an SMTP server that knows no EHLO.
    Helo,
    /// Signing in to SMTP or POP3 with a SASL mechanism.
    Auth,
    /// A message's sender.
    Mail,
    /// A message's recipient.
    Rcpt,
    /// A message.
    Data,
    /// Forgetting the message under way.
    Rset,
    /// Signing out of SMTP or POP3.
    Quit,
    /// What a POP3 server can do (RFC 2449).
    Capa,
    /// The upgrade to TLS, of POP3 (RFC 2595).
    Stls,
    /// Signing in to POP3: the user.
    User,
    /// Signing in to POP3: the password.
    Pass,
    /// A maildrop's counters.
    Stat,
    /// The beginning of a message.
    Top,
    /// A message.
    Retr,
    /// Any other.
    Other,
}

impl Verb {
    const KNOWN: [Self; 31] = [
        Self::Capability,
        Self::StartTls,
        Self::Login,
        Self::Authenticate,
        Self::Id,
        Self::Noop,
        Self::List,
        Self::Namespace,
        Self::Status,
        Self::Examine,
        Self::Fetch,
        Self::Search,
        Self::Create,
        Self::Append,
        Self::Delete,
        Self::Logout,
        Self::Ehlo,
        Self::Helo,
        Self::Auth,
        Self::Mail,
        Self::Rcpt,
        Self::Data,
        Self::Rset,
        Self::Quit,
        Self::Capa,
        Self::Stls,
        Self::User,
        Self::Pass,
        Self::Stat,
        Self::Top,
        Self::Retr,
    ];

    /// The verb as the protocol writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Capability => "CAPABILITY",
            Self::StartTls => "STARTTLS",
            Self::Login => "LOGIN",
            Self::Authenticate => "AUTHENTICATE",
            Self::Id => "ID",
            Self::Noop => "NOOP",
            Self::List => "LIST",
            Self::Namespace => "NAMESPACE",
            Self::Status => "STATUS",
            Self::Examine => "EXAMINE",
            Self::Fetch => "FETCH",
            Self::Search => "SEARCH",
            Self::Create => "CREATE",
            Self::Append => "APPEND",
            Self::Delete => "DELETE",
            Self::Logout => "LOGOUT",
            Self::Ehlo => "EHLO",
            Self::Helo => "HELO",
            Self::Auth => "AUTH",
            Self::Mail => "MAIL",
            Self::Rcpt => "RCPT",
            Self::Data => "DATA",
            Self::Rset => "RSET",
            Self::Quit => "QUIT",
            Self::Capa => "CAPA",
            Self::Stls => "STLS",
            Self::User => "USER",
            Self::Pass => "PASS",
            Self::Stat => "STAT",
            Self::Top => "TOP",
            Self::Retr => "RETR",
            Self::Other => "OTHER",
        }
    }

    /// The verb of that [`name`](Self::name); none if there is no such.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::KNOWN.into_iter().chain([Self::Other]).find(|verb| verb.name() == name)
    }

    pub(super) fn read(word: &[u8]) -> Self {
        Self::KNOWN.into_iter().find(|verb| verb.name().as_bytes().eq_ignore_ascii_case(word)).unwrap_or(Self::Other)
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
