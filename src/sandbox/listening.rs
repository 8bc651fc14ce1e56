//! What a listener speaks.

use std::fmt;
use std::net::TcpListener;

/// A mail protocol. It is the sandbox's own word: this room knows no other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// IMAP4rev1 (RFC 3501).
    Imap,
    /// SMTP as mail is submitted with it (RFC 5321, RFC 6409).
    Smtp,
    /// POP3 (RFC 1939).
    Pop3,
}

/// Whether a listener encrypts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// In the clear; TLS is not offered.
    Plain,
    /// In the clear at first. STARTTLS (STLS in POP3) is offered, and nobody signs in without it.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// A listener, and what it is for.
#[derive(Debug)]
pub struct Listening {
    /// Bound already.
    pub listener: TcpListener,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// How.
    pub security: Security,
}

impl fmt::Display for Protocol {
    /// `imap`, `smtp`, `pop3`: the scheme of a URL.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
        })
    }
}
