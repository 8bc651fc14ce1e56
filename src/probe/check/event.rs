//! What happens while a connection is checked, in the order in which it can.

use std::net::SocketAddr;

use crate::protocol::{Capabilities, DialEvent, Failure, Operation, Stage, TlsDetails};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum CheckEvent {
    /// The host has these addresses.
    Resolved(Vec<SocketAddr>),
    /// One of them answered.
    Connected {
        /// Which one.
        address: SocketAddr,
        /// Our port.
        local_port: u16,
    },
    /// The TLS handshake is done; with STARTTLS, the command included.
    Secured(TlsDetails),
    /// The server's first line, fit to be shown.
    Greeted(String),
    /// What the server offers now.
    Offered(Capabilities),
    /// The sign-in begins, by that mechanism or command: the password or token is there.
    SigningIn(&'static str),
    /// The server's line, where it did not understand a sign-in with the client's first answer. It is sent alone next.
    FirstAnswerRefused(Option<String>),
    /// The server refused the token: all begins anew, with a newer one.
    TokenRefused,
    /// The server accepted the sign-in.
    SignedIn,
    /// The label by which the server's log knows the session.
    Labelled(String),
    /// An operation succeeded.
    Ran {
        /// Which one.
        operation: Operation,
        /// Its mailbox, if it needs one.
        mailbox: Option<&'static str>,
        /// How many items the server named.
        items: u32,
    },
    /// The session was signed out.
    SignedOut,
    /// A step failed. After a failed operation only the goodbye is tried.
    Failed(Failure),
}

impl CheckEvent {
    /// The step's name, in every report.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Resolved(_) => "resolve",
            Self::Connected { .. } => "connect",
            Self::Secured(_) => "tls",
            Self::Greeted(_) => "greeting",
            Self::Offered(_) => "offers",
            Self::SigningIn(_) => "token",
            Self::SignedIn | Self::TokenRefused | Self::FirstAnswerRefused(_) => "sign-in",
            Self::Labelled(_) => "label",
            Self::Ran { .. } => "operation",
            Self::SignedOut => "logout",
            Self::Failed(failure) => match failure.stage {
                Stage::Auth => "sign-in",
                stage => stage.name(),
            },
        }
    }
}

impl From<DialEvent<'_>> for CheckEvent {
    fn from(event: DialEvent<'_>) -> Self {
        match event {
            DialEvent::Resolved(addresses) => Self::Resolved(addresses.to_vec()),
            DialEvent::Connected { address, local_port } => Self::Connected { address, local_port },
            DialEvent::Secured(tls) => Self::Secured(tls.clone()),
            DialEvent::Greeted(line) => Self::Greeted(line.to_owned()),
            DialEvent::Offered(offers) => Self::Offered(offers.clone()),
            DialEvent::SigningIn(by) => Self::SigningIn(by),
            DialEvent::FirstAnswerRefused(failure) => Self::FirstAnswerRefused(failure.server_line.clone()),
            DialEvent::TokenRefused => Self::TokenRefused,
            DialEvent::SignedIn => Self::SignedIn,
        }
    }
}
