//! A session that a dial established, whatever its protocol; and what is told of a dial while it is under way.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::capabilities::Capabilities;
use super::command::Command;
use super::endpoint::Security;
use super::failure::Failure;
use super::stream::TlsDetails;

/// What a dial came to.
#[derive(Clone, Debug)]
pub struct Established {
    /// Our port: servers log it.
    pub local_port: u16,
    /// How long each phase of the dial took.
    pub phases: Phases,
    /// How the connection is protected.
    pub security: Security,
    /// What TLS agreed on; `None` in plaintext.
    pub tls: Option<TlsDetails>,
    /// The name by which the server's own log knows the session, where the protocol carries one and the server took it:
    /// `#3.2` by IMAP's ID, a host name by SMTP's EHLO.
    pub label: Option<String>,
    /// How it signed in: a SASL mechanism's name, or the protocol's own command; `None` where nobody had to.
    pub signed_in_by: Option<&'static str>,
    /// When it was signed in: from then on servers count it.
    pub signed_in_at: Instant,
    /// The commands of the dial, as they left on the socket.
    pub commands: Vec<Command>,
}

/// How long each phase of a dial took; `None` for those that were not reached, or not needed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Turning the name into addresses.
    pub resolve: Option<Duration>,
    /// Opening the TCP connection.
    pub connect: Option<Duration>,
    /// The TLS handshake; with STARTTLS from the command on.
    pub tls: Option<Duration>,
    /// Waiting for the server's first line.
    pub greeting: Option<Duration>,
    /// From asking what the server can do to being signed in, without the wait for earlier sign-ins (rule B6).
    pub sign_in: Option<Duration>,
}

/// What happens while a connection is opened, in this order.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum DialEvent<'a> {
    /// The host has these addresses.
    Resolved(&'a [SocketAddr]),
    /// One of them answered.
    Connected {
        /// Which one.
        address: SocketAddr,
        /// Our port.
        local_port: u16,
    },
    /// The TLS handshake is done: at once, or after STARTTLS.
    Secured(&'a TlsDetails),
    /// The server's first line, fit to be shown.
    Greeted(&'a str),
    /// What the server offers, told again when it offers something else: after TLS, after the sign-in.
    Offered(&'a Capabilities),
    /// What signs in is there and goes to the server, by that mechanism or command.
    SigningIn(&'static str),
    /// The server did not understand the sign-in's command with the client's first answer: it gets the command alone, in the
    /// same session.
    FirstAnswerRefused(&'a Failure),
    /// The server refused the token as expired: all begins anew, with a newer one.
    TokenRefused,
    /// The server accepted it.
    SignedIn,
}

/// Hears of every dial of a connector, on the thread that dials, which waits for it.
pub type DialWatch = Arc<dyn Fn(DialEvent<'_>) + Send + Sync>;
