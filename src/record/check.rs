//! A check: what one connection came to, step by step, from the name's resolution to the goodbye.

mod concerns;
mod matters;

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use crate::judge::{Conclusion, is_limit, is_refused_sign_in};
use crate::protocol::{
    Capabilities, Failure, FailureKind, Mechanism, Operation, Protocol, Security, Stage, TlsDetails,
};

pub use concerns::{Concern, Weight};
pub use matters::Matter;

/// Everything that a check saw.
#[derive(Clone, Debug)]
pub struct Check {
    /// What was known before the first step.
    pub header: CheckHeader,
    /// What happened, in order.
    pub steps: Vec<Step>,
    /// From its beginning to its last step.
    pub elapsed: Duration,
    /// The signal that ended it early.
    pub interrupted: Option<i32>,
}

/// What is known before the first step.
#[derive(Clone, Debug)]
pub struct CheckHeader {
    /// The version of this crate.
    pub tool_version: String,
    /// Names the check in the label that the session gives itself.
    pub run_id: String,
    /// When it began.
    pub started: SystemTime,
    /// Whom it is about: `sandbox`, or `imaps://user@host:993`.
    pub server: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// How the connection is to be protected.
    pub security: Security,
    /// Whether anybody signs in.
    pub signs_in: bool,
    /// Whether by a token, which is fetched when it is needed.
    pub by_token: bool,
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Step {
    /// Since the step before it.
    pub took: Duration,
    /// What it was.
    pub happened: Happened,
}

/// What can happen, in the order in which it does.
#[derive(Clone, Debug)]
pub enum Happened {
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
    /// The sign-in begins, by that mechanism: what is to be presented is there.
    SigningIn(&'static str),
    /// The server did not understand the sign-in with the client's first answer, in these words; it was asked once more
    /// without.
    FirstAnswerRefused(Option<String>),
    /// The server refused the token, and is dialled once more with a newer one.
    TokenRefused,
    /// The server accepted it.
    SignedIn,
    /// The name by which the server's log knows the session.
    Labelled(String),
    /// An operation succeeded.
    Ran {
        /// Which one.
        operation: Operation,
        /// On which mailbox, if it needs one.
        mailbox: Option<&'static str>,
        /// How many items the server named.
        items: u32,
    },
    /// The session was signed out.
    SignedOut,
    /// A step failed. Only the goodbye is tried after an operation that did.
    Failed(Failure),
}

/// How far a connection is when the server says what it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before STARTTLS.
    BeforeTls,
    /// Protected as far as it will be, but nobody has signed in.
    BeforeSignIn,
    /// After the sign-in.
    AfterSignIn,
}

impl Check {
    /// A check that has not begun.
    #[must_use]
    pub fn new(header: CheckHeader) -> Self {
        Self { header, steps: Vec::new(), elapsed: Duration::ZERO, interrupted: None }
    }

    /// Takes down what happened, `at` that time since the beginning.
    pub fn add(&mut self, at: Duration, happened: Happened) {
        let took = at.saturating_sub(self.elapsed);
        self.elapsed = self.elapsed.max(at);
        self.steps.push(Step { took, happened });
    }

    /// Every list of what the server offers, with how far the connection was.
    pub fn offers(&self) -> impl Iterator<Item = (When, &Capabilities)> {
        let first = match self.header.security {
            Security::StartTls => When::BeforeTls,
            Security::Plain | Security::Tls => When::BeforeSignIn,
        };
        let mut when = first;
        self.steps.iter().filter_map(move |step| {
            match &step.happened {
                Happened::TokenRefused => when = first,
                Happened::Secured(_) => when = When::BeforeSignIn,
                Happened::SignedIn => when = When::AfterSignIn,
                Happened::Offered(offers) => return Some((when, offers)),
                _ => {}
            }
            None
        })
    }

    /// What the server offered then, at last.
    #[must_use]
    pub fn offered(&self, when: When) -> Option<&Capabilities> {
        self.offers().filter(|(then, _)| *then == when).map(|(_, offers)| offers).last()
    }

    /// The addresses of the host.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.last(|happened| match happened {
            Happened::Resolved(addresses) => Some(addresses.as_slice()),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// The address that answered, and our port.
    #[must_use]
    pub fn connected(&self) -> Option<(SocketAddr, u16)> {
        self.last(|happened| match happened {
            Happened::Connected { address, local_port } => Some((*address, *local_port)),
            _ => None,
        })
    }

    /// What TLS agreed on.
    #[must_use]
    pub fn tls(&self) -> Option<&TlsDetails> {
        self.last(|happened| match happened {
            Happened::Secured(tls) => Some(tls),
            _ => None,
        })
    }

    /// For how many whole days from the beginning of the check the server's certificate is still valid. None where there
    /// is none, and where it has expired, which nobody accepts who looks.
    #[must_use]
    pub fn certificate_days(&self) -> Option<u64> {
        let left = self.tls()?.certificate.as_ref()?.not_after.duration_since(self.header.started).ok()?;
        Some(left.as_secs() / (24 * 60 * 60))
    }

    /// The server's first line.
    #[must_use]
    pub fn greeting(&self) -> Option<&str> {
        self.last(|happened| match happened {
            Happened::Greeted(line) => Some(line.as_str()),
            _ => None,
        })
    }

    /// How the sign-in was tried: the mechanism, or the protocol's own command.
    #[must_use]
    pub fn tried_by(&self) -> Option<&'static str> {
        self.last(|happened| match happened {
            Happened::SigningIn(by) => Some(*by),
            _ => None,
        })
    }

    /// Whether the server took it.
    #[must_use]
    pub fn is_signed_in(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.happened, Happened::SignedIn))
    }

    /// The name by which the server's log knows the session.
    #[must_use]
    pub fn label(&self) -> Option<&str> {
        self.last(|happened| match happened {
            Happened::Labelled(label) => Some(label.as_str()),
            _ => None,
        })
    }

    /// What failed: nothing, one thing, or an operation and then the goodbye.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.steps.iter().filter_map(|step| match &step.happened {
            Happened::Failed(failure) => Some(failure),
            _ => None,
        })
    }

    /// What the server offers, or does not, that matters to whoever opens connections to it.
    #[must_use]
    pub fn matters(&self) -> Vec<Matter> {
        matters::of(self)
    }

    /// What is wrong, or could be better, with the cure.
    #[must_use]
    pub fn concerns(&self) -> Vec<Concern> {
        concerns::of(self)
    }

    /// What it all comes to: the first that applies, in the order of a run's.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        let failed = |is: fn(&Failure) -> bool| self.failures().any(is);
        if let Some(signal) = self.interrupted {
            Conclusion::Interrupted(signal)
        } else if failed(|failure| failure.kind == FailureKind::Internal) {
            Conclusion::Broken
        } else if self
            .failures()
            .any(|failure| is_dial(failure) && is_refused_sign_in(failure, self.tried_by().is_some()))
        {
            Conclusion::SignInRefused
        } else if failed(|failure| is_limit(failure.kind)) {
            Conclusion::Limited
        } else if failed(is_dial) {
            Conclusion::NotConnected
        } else if failed(|_| true) {
            Conclusion::Failed
        } else {
            Conclusion::Held
        }
    }

    /// Whether what was presented would be legible to whoever sees the bytes.
    fn presented_legibly(&self) -> bool {
        self.tried_by().is_some_and(|by| by != Mechanism::ScramSha256.name())
    }

    /// What was presented, in a word.
    fn secret(&self) -> &'static str {
        let takes_token = |by: &str| [Mechanism::XOAuth2, Mechanism::OAuthBearer].iter().any(|it| it.name() == by);
        if self.header.by_token || self.tried_by().is_some_and(takes_token) { "token" } else { "password" }
    }

    fn is_loopback(&self) -> bool {
        self.connected().is_some_and(|(address, _)| address.ip().is_loopback())
    }

    fn last<'check, T>(&'check self, pick: impl FnMut(&'check Happened) -> Option<T>) -> Option<T> {
        self.steps.iter().rev().map(|step| &step.happened).find_map(pick)
    }
}

fn is_dial(failure: &Failure) -> bool {
    failure.stage <= Stage::Auth
}
