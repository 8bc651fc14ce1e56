//! The one taxonomy of mail failures: what went wrong, at which stage, and what the server itself said.

use std::fmt;
use std::io;

use super::tls::broke_off;

/// What went wrong. The names are the words of every output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FailureKind {
    /// The host name did not resolve.
    Dns,
    /// The host answered that nobody listens there, or the network that it cannot be reached.
    ConnectRefused,
    /// No answer to the TCP connect in time.
    ConnectTimeout,
    /// The TCP connection was reset while it opened.
    ConnectReset,
    /// TLS could not be agreed on, for any reason but the certificate.
    TlsHandshake,
    /// The server's certificate is not one to trust for this host.
    TlsCertificate,
    /// What came first was not a greeting of the protocol.
    Greeting,
    /// The server refused the user or the password.
    AuthInvalid,
    /// The server does not let this account in, or not this way: access switched off, an app password wanted, blocked.
    AuthPolicy,
    /// The server refused the sign-in and does not say why.
    AuthRefused,
    /// Client and server share no way to sign in.
    AuthUnsupported,
    /// The server has trouble of its own: busy, overloaded, its user database does not answer.
    ServerUnavailable,
    /// The server allows no more connections.
    LimitConnections,
    /// The server throttles: too much in too short a time.
    LimitRate,
    /// A tagged NO: the command failed, the connection goes on.
    ServerNo,
    /// A tagged BAD: the server did not accept the command, the connection goes on.
    ServerBad,
    /// The server said goodbye, with its reason.
    ServerBye,
    /// The server closed the connection without a word, or it was reset once it was open; the message says which.
    Closed,
    /// No whole answer in time.
    Timeout,
    /// The answer is not the protocol, or passes a bound.
    Protocol,
    /// No connection became free in time (rules W1, W2).
    WaitTimeout,
    /// Forbidden by the assignment rules.
    Refused,
    /// The connection or its client was disposed, or the run was cancelled.
    Disposed,
    /// This machine ran out of descriptors, ports, memory or threads.
    LocalResources,
    /// A fault of our own.
    Internal,
}

impl FailureKind {
    /// Every kind, in the order of the taxonomy.
    pub const ALL: [Self; 25] = [
        Self::Dns,
        Self::ConnectRefused,
        Self::ConnectTimeout,
        Self::ConnectReset,
        Self::TlsHandshake,
        Self::TlsCertificate,
        Self::Greeting,
        Self::AuthInvalid,
        Self::AuthPolicy,
        Self::AuthRefused,
        Self::AuthUnsupported,
        Self::ServerUnavailable,
        Self::LimitConnections,
        Self::LimitRate,
        Self::ServerNo,
        Self::ServerBad,
        Self::ServerBye,
        Self::Closed,
        Self::Timeout,
        Self::Protocol,
        Self::WaitTimeout,
        Self::Refused,
        Self::Disposed,
        Self::LocalResources,
        Self::Internal,
    ];

    /// The word used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::ConnectRefused => "connect-refused",
            Self::ConnectTimeout => "connect-timeout",
            Self::ConnectReset => "connect-reset",
            Self::TlsHandshake => "tls-handshake",
            Self::TlsCertificate => "tls-certificate",
            Self::Greeting => "greeting",
            Self::AuthInvalid => "auth-invalid",
            Self::AuthPolicy => "auth-policy",
            Self::AuthRefused => "auth-refused",
            Self::AuthUnsupported => "auth-unsupported",
            Self::ServerUnavailable => "server-unavailable",
            Self::LimitConnections => "limit-connections",
            Self::LimitRate => "limit-rate",
            Self::ServerNo => "server-no",
            Self::ServerBad => "server-bad",
            Self::ServerBye => "server-bye",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Protocol => "protocol",
            Self::WaitTimeout => "wait-timeout",
            Self::Refused => "refused",
            Self::Disposed => "disposed",
            Self::LocalResources => "local-resources",
            Self::Internal => "internal",
        }
    }
}

impl fmt::Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far things had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// Turning the host name into addresses.
    Resolve,
    /// Opening the TCP connection.
    Connect,
    /// The TLS handshake, and the STARTTLS that asks for it.
    Tls,
    /// Waiting for the server's first line, and being refused in answer to EHLO.
    Greeting,
    /// Signing in, and the commands that prepare it.
    Auth,
    /// Waiting for a connection to become free.
    Wait,
    /// Running an operation.
    Operation,
    /// Signing out.
    Logout,
}

impl Stage {
    /// Every stage, in the order of a connection's life.
    pub const ALL: [Self; 8] = [
        Self::Resolve,
        Self::Connect,
        Self::Tls,
        Self::Greeting,
        Self::Auth,
        Self::Wait,
        Self::Operation,
        Self::Logout,
    ];

    /// The word used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Greeting => "greeting",
            Self::Auth => "auth",
            Self::Wait => "wait",
            Self::Operation => "operation",
            Self::Logout => "logout",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One failure, fit to be shown as it is: `limit-connections at auth: NO [LIMIT] …; <what to do>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub kind: FailureKind,
    /// How far things had come.
    pub stage: Stage,
    /// One clear line, with the cure where there is one.
    pub message: String,
    /// The server's own line, without its tag: control characters escaped, at most 500 characters.
    pub server_line: Option<String>,
    /// What else it said in the same reply, line by line and as fit to be shown: the warnings before a tagged refusal.
    pub further_lines: Vec<String>,
}

impl Failure {
    /// A failure that the server said nothing about.
    #[must_use]
    pub fn new(kind: FailureKind, stage: Stage, message: impl Into<String>) -> Self {
        Self { kind, stage, message: message.into(), server_line: None, further_lines: Vec::new() }
    }

    /// The same failure with the server's own line, made printable and bounded.
    #[must_use]
    pub fn with_line(mut self, line: &[u8]) -> Self {
        self.server_line = Some(printable(line));
        self
    }

    /// The same failure with what else the server said, each line made printable and bounded.
    #[must_use]
    pub fn with_further<L: AsRef<[u8]>>(mut self, lines: impl IntoIterator<Item = L>) -> Self {
        self.further_lines.extend(lines.into_iter().map(|line| printable(line.as_ref())));
        self
    }

    /// Whether the server said nothing of why it closed: no line at all, or the beginning of one with which servers greet.
    #[must_use]
    pub(crate) fn gives_no_reason(&self) -> bool {
        gives_no_reason(self.server_line.as_deref(), &self.further_lines)
    }

    /// Whether the connection ended with it: by its kind, or since the line that says why is the server's goodbye.
    #[must_use]
    pub(crate) fn ends_its_connection(&self) -> bool {
        use FailureKind::{Closed, Disposed, Internal, Protocol, ServerBye, Timeout};
        let is_goodbye = |line: &str| {
            let line = line.as_bytes();
            line.starts_with(b"421") || line.get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"* BYE"))
        };
        matches!(self.kind, Closed | Disposed | Internal | Protocol | ServerBye | Timeout)
            || self.server_line.as_deref().is_some_and(is_goodbye)
    }

    /// What an I/O error means at that stage. One that holds a failure means that failure.
    #[must_use]
    pub fn from_io(error: &io::Error, stage: Stage) -> Self {
        if let Some(known) = error.get_ref().and_then(|inner| inner.downcast_ref::<Self>()) {
            return known.clone();
        }
        let kind = io_kind(error, stage);
        let message = match kind {
            FailureKind::LocalResources => {
                format!("this machine ran out of a resource ({error}); raise the limit or use fewer connections")
            }
            FailureKind::Timeout => {
                "no whole answer in time; the server or the network is slow, or it hangs".to_owned()
            }
            FailureKind::Closed
                if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted) =>
            {
                "the connection was reset: the server, or something on the way, dropped it at once".to_owned()
            }
            FailureKind::Closed => "the server closed the connection without a word".to_owned(),
            FailureKind::ConnectTimeout => "the host did not answer in time; check host, port and firewall".to_owned(),
            FailureKind::ConnectRefused => format!("{error}; check host and port"),
            _ => why(error),
        };
        Self::new(kind, stage, message)
    }
}

/// The same of a failure's lines.
pub(crate) fn gives_no_reason(line: Option<&str>, further: &[String]) -> bool {
    let greets = |line: &str| {
        let line = line.to_ascii_uppercase();
        ["* OK", "+OK", "220"].iter().any(|start| line.starts_with(start) || start.starts_with(&line))
    };
    line.is_none_or(greets) && further.iter().all(|line| greets(line))
}

/// What an I/O error says, in words of people where it comes from TLS.
pub(super) fn why(error: &io::Error) -> String {
    error.get_ref().and_then(|inner| inner.downcast_ref()).map_or_else(|| error.to_string(), broke_off)
}

fn io_kind(error: &io::Error, stage: Stage) -> FailureKind {
    use io::ErrorKind as Io;
    use rustix::io::Errno;
    if let Some(Errno::MFILE | Errno::NFILE | Errno::ADDRNOTAVAIL | Errno::NOMEM | Errno::NOBUFS) =
        Errno::from_io_error(error)
    {
        return FailureKind::LocalResources;
    }
    let opening = stage <= Stage::Connect;
    match error.kind() {
        Io::WouldBlock | Io::TimedOut if opening => FailureKind::ConnectTimeout,
        Io::WouldBlock | Io::TimedOut => FailureKind::Timeout,
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof if opening => {
            FailureKind::ConnectReset
        }
        Io::ConnectionReset | Io::ConnectionAborted | Io::BrokenPipe | Io::UnexpectedEof | Io::NotConnected => {
            FailureKind::Closed
        }
        Io::ConnectionRefused
        | Io::HostUnreachable
        | Io::NetworkUnreachable
        | Io::NetworkDown
        | Io::PermissionDenied => FailureKind::ConnectRefused,
        Io::OutOfMemory => FailureKind::LocalResources,
        Io::InvalidData if stage == Stage::Tls => FailureKind::TlsHandshake,
        Io::InvalidData => FailureKind::Protocol,
        _ if opening => FailureKind::ConnectRefused,
        _ => FailureKind::Internal,
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}: ", self.kind, self.stage)?;
        if let Some(line) = &self.server_line {
            write!(f, "{line}; ")?;
        }
        for further in &self.further_lines {
            write!(f, "with it {further}; ")?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How many characters of a server's line are kept.
const MAX_SHOWN: usize = 500;

/// A server's line made fit for a terminal: control characters and bytes that are not text escaped, and bounded.
#[must_use]
pub fn printable(line: &[u8]) -> String {
    escaped(line, MAX_SHOWN)
}

/// The same with another bound, in characters.
pub(super) fn escaped(line: &[u8], bound: usize) -> String {
    let mut shown = String::with_capacity(line.len().min(bound));
    let mut length = 0;
    let mut push = |piece: &str| {
        length += piece.chars().count();
        let fits = length < bound;
        shown.push_str(if fits { piece } else { "…" });
        fits
    };
    let mut rest = line;
    while let Some(first) = rest.first() {
        let end = rest.iter().position(|byte| byte.is_ascii() != first.is_ascii()).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        // A text of another coding has pairs of bytes that look like a character: beside bytes that are none they are none
        // either. A line that ends within a character may have been cut there.
        let is_text = match std::str::from_utf8(run) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none() && after.is_empty(),
        };
        for chunk in run.utf8_chunks() {
            for character in chunk.valid().chars() {
                let direction =
                    matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
                let fits = if character.is_control() || direction || character == '\u{2028}' || character == '\u{2029}'
                {
                    push(&character.escape_default().to_string())
                } else if character.len_utf8() == 2 && !is_text {
                    character.encode_utf8(&mut [0; 4]).bytes().all(|byte| push(&format!("\\x{byte:02x}")))
                } else {
                    push(character.encode_utf8(&mut [0; 4]))
                };
                if !fits {
                    return shown;
                }
            }
            for byte in chunk.invalid() {
                if !push(&format!("\\x{byte:02x}")) {
                    return shown;
                }
            }
        }
    }
    shown
}
