//! Which commands left on a socket: read off the bytes as they are written, not taken from whoever wrote them.

use std::fmt;

/// The tag of a command, `a12`: our tags are an `a` and a number that grows by one within a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(pub u32);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a{}", self.0)
    }
}

/// The verb of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Verb {
    /// What the server can do.
    Capability,
    /// The upgrade to TLS.
    StartTls,
    /// Signing in with a password.
    Login,
    /// Signing in with a SASL mechanism.
    Authenticate,
    /// The session's label (RFC 2971).
    Id,
    /// Nothing.
    Noop,
    /// The mailboxes.
    List,
    /// A mailbox's counters.
    Status,
    /// Selecting a mailbox, read-only.
    Examine,
    /// Reading messages.
    Fetch,
    /// Finding messages.
    Search,
    /// Signing out.
    Logout,
    /// Any other.
    Other,
}

impl Verb {
    const KNOWN: [Self; 12] = [
        Self::Capability,
        Self::StartTls,
        Self::Login,
        Self::Authenticate,
        Self::Id,
        Self::Noop,
        Self::List,
        Self::Status,
        Self::Examine,
        Self::Fetch,
        Self::Search,
        Self::Logout,
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
            Self::Status => "STATUS",
            Self::Examine => "EXAMINE",
            Self::Fetch => "FETCH",
            Self::Search => "SEARCH",
            Self::Logout => "LOGOUT",
            Self::Other => "OTHER",
        }
    }

    fn read(word: &[u8]) -> Self {
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
    /// Its tag.
    pub tag: Tag,
    /// Its verb.
    pub verb: Verb,
}

/// How much of a line's start is looked at: the longest tag, a space and the longest verb fit.
const HEAD: usize = 32;

/// Reads tag and verb of each command off the written bytes, however they are cut.
#[derive(Default)]
pub(super) struct Written {
    head: [u8; HEAD],
    length: usize,
    /// The head is complete; the rest of the line is arguments, passed over.
    in_arguments: bool,
    /// AUTHENTICATE has been sent and not answered: what follows are credentials, not commands.
    in_authenticate: bool,
}

impl Written {
    pub(super) fn push(&mut self, mut bytes: &[u8], commands: &mut Vec<Command>) {
        while let Some((&byte, rest)) = bytes.split_first() {
            if self.in_arguments {
                let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else { return };
                bytes = &bytes[end + 1..];
                self.in_arguments = false;
                continue;
            }
            let ends_verb =
                byte == b'\r' || byte == b'\n' || (byte == b' ' && self.head[..self.length].contains(&b' '));
            if ends_verb || self.length == HEAD {
                self.finish(commands);
                self.in_arguments = byte != b'\n';
            } else {
                self.head[self.length] = byte;
                self.length += 1;
            }
            bytes = rest;
        }
    }

    /// A tagged reply came: what is written next is a command again.
    pub(super) fn answered(&mut self) {
        self.in_authenticate = false;
    }

    fn finish(&mut self, commands: &mut Vec<Command>) {
        let head = &self.head[..self.length];
        if !self.in_authenticate
            && let Some(command) = read_head(head)
        {
            self.in_authenticate = command.verb == Verb::Authenticate;
            commands.push(command);
        }
        self.head = [0; HEAD];
        self.length = 0;
    }
}

fn read_head(head: &[u8]) -> Option<Command> {
    let head = std::str::from_utf8(head).ok()?;
    let (tag, verb) = head.split_once(' ')?;
    let tag = Tag(tag.strip_prefix('a')?.parse().ok()?);
    Some(Command { tag, verb: Verb::read(verb.as_bytes()) })
}
