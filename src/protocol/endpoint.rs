//! Where the mail is and as whom: `imaps://user@host:993`, read strictly and shown in one normal form.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// The protocol of the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Protocol {
    /// RFC 3501.
    Imap,
    /// RFC 5321, on the port for submission (RFC 6409).
    Smtp,
    /// RFC 1939.
    Pop3,
}

impl Protocol {
    /// Every protocol.
    pub const ALL: [Self; 3] = [Self::Imap, Self::Smtp, Self::Pop3];

    /// The word used in every output: the scheme of its addresses.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Imap => "imap",
            Self::Smtp => "smtp",
            Self::Pop3 => "pop3",
        }
    }

    /// The usual port, with TLS from the first byte or without (RFC 8314 §3).
    #[must_use]
    pub const fn port(self, tls: bool) -> u16 {
        match (self, tls) {
            (Self::Imap, false) => 143,
            (Self::Imap, true) => 993,
            (Self::Smtp, false) => 587,
            (Self::Smtp, true) => 465,
            (Self::Pop3, false) => 110,
            (Self::Pop3, true) => 995,
        }
    }

    /// How a command is named in records: IMAP's by the tag it was sent with, the others', which have none, by their
    /// number on the connection.
    #[must_use]
    pub fn tag(self, number: u32) -> String {
        match self {
            Self::Imap => format!("a{number}"),
            Self::Smtp | Self::Pop3 => number.to_string(),
        }
    }

    /// The command that ends a session.
    #[must_use]
    pub const fn goodbye(self) -> &'static str {
        match self {
            Self::Imap => "LOGOUT",
            Self::Smtp | Self::Pop3 => "QUIT",
        }
    }

    /// The command that upgrades a session to TLS.
    #[must_use]
    pub const fn start_tls(self) -> &'static str {
        match self {
            Self::Imap | Self::Smtp => "STARTTLS",
            Self::Pop3 => "STLS",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Imap => "IMAP",
            Self::Smtp => "SMTP",
            Self::Pop3 => "POP3",
        })
    }
}

/// How the bytes on the wire are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Security {
    /// Not at all.
    Plain,
    /// Plaintext first, then upgraded before any credential is sent (RFC 3501 §6.2.1). Required, never "if offered".
    StartTls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

impl Security {
    /// The word used in every output.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::StartTls => "starttls",
            Self::Tls => "tls",
        }
    }
}

impl fmt::Display for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One account on one server. It never holds a password.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// What is spoken there.
    pub protocol: Protocol,
    /// How the connection is protected.
    pub security: Security,
    /// A name or an address; an IPv6 address without its brackets.
    pub host: String,
    /// The TCP port, never 0.
    pub port: u16,
    /// The user, decoded; empty where nobody signs in, which SMTP alone allows.
    pub user: String,
}

/// Why an address was not understood. No text repeats any part of it that could be a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// None of `imap://`, `imaps://`, `smtp://`, `smtps://`, `pop3://`, `pop3s://`.
    #[error(
        "unknown scheme{}; write imaps://user@host, or imap://user@host for STARTTLS; likewise smtp and pop3",
        shown(.scheme)
    )]
    UnknownScheme {
        /// What stood before `://`, when it is safe to repeat.
        scheme: Option<String>,
    },
    /// A password in the address would end up in shell histories and process lists.
    #[error(
        "the address holds a password (or an unescaped ':'); leave it out and give the password separately, and write \
         a ':' in the user as %3A"
    )]
    PasswordInUrl,
    /// No user before the `@`, or no `@`.
    #[error("the address names no user; write imaps://user@host")]
    MissingUser,
    /// The user is not text once decoded, or holds what no address may hold.
    #[error("the user in the address is not valid; percent-encode what is not plain text (%2F for '/', %25 for '%')")]
    InvalidUser,
    /// Nothing after the `@`.
    #[error("the address names no host; write imaps://user@host")]
    MissingHost,
    /// Neither a host name nor an IP address.
    #[error(
        "the host in the address is not a name or an IP address; write an IPv6 address in brackets and an \
         international name in its xn-- form"
    )]
    InvalidHost,
    /// Not a number from 1 to 65535.
    #[error("the port in the address is not a number from 1 to 65535; leave it out for the usual one")]
    InvalidPort,
    /// A path, query or fragment.
    #[error("the address goes on after the host; end it there and name the mailbox separately")]
    TrailingPath,
    /// `--starttls` or `--plaintext` with `imaps://` and its kin.
    #[error(
        "{scheme}s:// is TLS from the first byte; use {scheme}:// with --starttls or --plaintext, or drop the flag",
        scheme = .0.name()
    )]
    ForcedOnTls(Protocol),
    /// TLS from the first byte asked for `imap://` and its kin.
    #[error("{scheme}:// is not TLS from the first byte; write {scheme}s://", scheme = .0.name())]
    TlsOnPlainScheme(Protocol),
}

fn shown(scheme: &Option<String>) -> String {
    scheme.as_ref().map(|scheme| format!(" {scheme}://")).unwrap_or_default()
}

/// RFC 3986 unreserved characters stay; everything else in a user is escaped, so that the normal form is unambiguous.
const USER: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+');

impl Endpoint {
    /// Reads `imaps://user@host[:port]` or `imap://user@host[:port]`, and the same of SMTP and POP3, each with its usual
    /// port. SMTP needs no user: then nobody signs in.
    ///
    /// The user may itself hold an `@`. `imap://` means STARTTLS, required, unless the host is this machine
    /// (`localhost`, 127.0.0.0/8, `::1`), where it means plaintext; `force` decides for `imap://` instead.
    ///
    /// # Errors
    /// [`EndpointError`], one line with the cure, which repeats neither user nor password.
    pub fn parse(url: &str, force: Option<Security>) -> Result<Self, EndpointError> {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").ok_or(EndpointError::UnknownScheme { scheme: None })?;
        let lower = scheme.to_ascii_lowercase();
        let found = Protocol::ALL.into_iter().find_map(|protocol| match lower.strip_prefix(protocol.name())? {
            "" => Some((protocol, false)),
            "s" => Some((protocol, true)),
            _ => None,
        });
        let Some((protocol, tls)) = found else {
            let harmless = lower.len() <= 12 && lower.bytes().all(|byte| byte.is_ascii_alphanumeric());
            return Err(EndpointError::UnknownScheme { scheme: harmless.then_some(lower) });
        };
        // The last '@' of the whole text, not of what stands before the first '/': a password may hold a slash, and
        // must still be recognised as one.
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, _)) if user.contains(':') => return Err(EndpointError::PasswordInUrl),
            Some((user, place)) => (parse_user(user)?, place),
            None if protocol == Protocol::Smtp => (String::new(), rest),
            None => return Err(EndpointError::MissingUser),
        };
        let (host, port) = parse_place(place)?;
        let security = match (tls, force) {
            (true, None | Some(Security::Tls)) => Security::Tls,
            (true, Some(_)) => return Err(EndpointError::ForcedOnTls(protocol)),
            (false, Some(Security::Tls)) => return Err(EndpointError::TlsOnPlainScheme(protocol)),
            (false, Some(forced)) => forced,
            (false, None) if is_this_machine(&host) => Security::Plain,
            (false, None) => Security::StartTls,
        };
        let port = port.unwrap_or(protocol.port(tls));
        Ok(Self { protocol, security, host, port, user })
    }

    /// Whether anybody signs in.
    #[must_use]
    pub fn signs_in(&self) -> bool {
        !self.user.is_empty()
    }

    /// Whether the host is this machine, judged by its spelling alone.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        is_this_machine(&self.host)
    }
}

fn parse_user(encoded: &str) -> Result<String, EndpointError> {
    if encoded.is_empty() {
        return Err(EndpointError::MissingUser);
    }
    if encoded.contains(['/', '?', '#']) {
        return Err(EndpointError::InvalidUser);
    }
    let bytes = encoded.as_bytes();
    let escaped = |at: usize| bytes.get(at + 1..at + 3).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit));
    if bytes.iter().enumerate().any(|(at, byte)| *byte == b'%' && !escaped(at)) {
        return Err(EndpointError::InvalidUser);
    }
    let user = percent_decode_str(encoded).decode_utf8().map_err(|_| EndpointError::InvalidUser)?;
    if user.chars().any(char::is_control) {
        return Err(EndpointError::InvalidUser);
    }
    Ok(user.into_owned())
}

fn parse_place(place: &str) -> Result<(String, Option<u16>), EndpointError> {
    if place.contains(['/', '?', '#']) {
        // A lone '/' at the end is what browsers and copy buttons add.
        return match place.strip_suffix('/') {
            Some(bare) if !bare.contains(['/', '?', '#']) => parse_place(bare),
            _ => Err(EndpointError::TrailingPath),
        };
    }
    let (host, port) = if let Some(bracketed) = place.strip_prefix('[') {
        let (address, after) = bracketed.split_once(']').ok_or(EndpointError::InvalidHost)?;
        let address: Ipv6Addr = address.parse().map_err(|_| EndpointError::InvalidHost)?;
        let port = match after {
            "" => None,
            _ => Some(after.strip_prefix(':').ok_or(EndpointError::InvalidHost)?),
        };
        (address.to_string(), port)
    } else {
        let (host, port) = match place.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (place, None),
        };
        if host.is_empty() {
            return Err(EndpointError::MissingHost);
        }
        if port.is_some_and(|port| port.contains(':')) || !is_host_name(host) {
            return Err(EndpointError::InvalidHost);
        }
        (host.to_ascii_lowercase(), port)
    };
    let port = match port {
        None => None,
        Some(digits) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Some(digits.parse::<u16>().ok().filter(|port| *port != 0).ok_or(EndpointError::InvalidPort)?)
        }
        Some(_) => return Err(EndpointError::InvalidPort),
    };
    Ok((host, port))
}

fn is_host_name(host: &str) -> bool {
    host.len() <= 253 && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = self.protocol.name();
        let tls = if self.security == Security::Tls { "s" } else { "" };
        let user = utf8_percent_encode(&self.user, USER);
        let at = if self.signs_in() { "@" } else { "" };
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{scheme}{tls}://{user}{at}{open}{}{close}:{}", self.host, self.port)
    }
}
