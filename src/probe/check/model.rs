//! A check, event by event: what is known so far, and what it comes to.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::event::CheckEvent;

use crate::event::{Micros, OperationName, Wall};
use crate::judge::{Conclusion, is_limit, is_refused_sign_in};
use crate::protocol::{Capabilities, Failure, FailureKind, Mechanism, Protocol, Security, Stage, TlsDetails};

/// What is known before the first step.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct CheckHeader {
    /// The version of this crate.
    pub tool_version: String,
    /// Names the check in the label that the session gives itself.
    pub run_id: String,
    /// When it began.
    #[serde(with = "Wall")]
    pub started: SystemTime,
    /// The server: `sandbox`, or `imaps://user@host:993`.
    pub server: String,
    /// What is spoken.
    pub protocol: Protocol,
    /// How the connection is to be protected.
    pub security: Security,
    /// Whether a user signs in.
    #[serde(skip)]
    pub signs_in: bool,
    /// Whether by a token, which is fetched when it is needed.
    #[serde(skip)]
    pub by_token: bool,
}

/// What is known so far. Its fields are those of the JSON report.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Check {
    /// What was known before the first step.
    #[serde(flatten)]
    pub header: CheckHeader,
    /// From the beginning to the last event.
    pub elapsed_us: Micros,
    /// The number of the signal that ended the check early.
    pub interrupted: Option<i32>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// The addresses of the host.
    pub addresses: Vec<IpAddr>,
    /// The one that answered, with its port.
    pub address: Option<SocketAddr>,
    /// Our port.
    pub local_port: Option<u16>,
    /// What TLS agreed on.
    pub tls: Option<TlsDetails>,
    /// The server's first line.
    pub greeting: Option<String>,
    /// What the server offered, as it says it, at each point at which it may.
    #[serde(rename = "capabilities", serialize_with = "by_phase")]
    #[schemars(with = "ByPhase")]
    pub(super) offers: Vec<(Phase, Capabilities)>,
    /// How the sign-in was tried: the mechanism, or the protocol's own command.
    pub sign_in_tried_by: Option<&'static str>,
    /// Whether the server accepted it.
    pub signed_in: bool,
    /// The label by which the server's log knows the session.
    pub label: Option<String>,
    #[serde(skip)]
    pub(super) first_answer_refused: bool,
    #[serde(skip)]
    pub(super) phase: Phase,
}

/// One step, as the JSON report has it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
#[schemars(rename = "CheckStep")]
pub struct Step {
    /// `resolve`, `connect`, `tls`, `greeting`, `offers`, `token`, `sign-in`, `operation`, `logout`.
    #[serde(rename = "step")]
    pub name: &'static str,
    /// Since the event before it.
    pub took_us: Micros,
    /// Whether it succeeded.
    pub ok: bool,
    /// The operation, where the step is one that succeeded.
    #[schemars(with = "Option<OperationName>")]
    pub operation: Option<&'static str>,
    /// How many items the server named.
    pub items: Option<u32>,
    /// Why it failed; none where the server refused something that is tried once more.
    pub failure: Option<Failure>,
}

/// How far a connection is when the server says what it offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Before STARTTLS.
    BeforeTls,
    /// Protected as far as it will be, but not signed in.
    BeforeSignIn,
    /// After the sign-in.
    AfterSignIn,
}

impl Phase {
    const fn first(security: Security) -> Self {
        match security {
            Security::StartTls => Self::BeforeTls,
            Security::Plain | Security::Tls => Self::BeforeSignIn,
        }
    }
}

impl Check {
    /// A check that has not begun.
    #[must_use]
    pub fn new(header: CheckHeader) -> Self {
        Self {
            phase: Phase::first(header.security),
            header,
            elapsed_us: Micros::ZERO,
            interrupted: None,
            steps: Vec::new(),
            addresses: Vec::new(),
            address: None,
            local_port: None,
            tls: None,
            greeting: None,
            offers: Vec::new(),
            sign_in_tried_by: None,
            signed_in: false,
            label: None,
            first_answer_refused: false,
        }
    }

    /// Takes in what happened `at` that time since the beginning. Returns how long after the event before it.
    pub fn see(&mut self, at: Duration, event: &CheckEvent) -> Micros {
        let took = Micros::from(at) - self.elapsed_us;
        self.elapsed_us += took;
        match event {
            CheckEvent::Resolved(addresses) => self.addresses = addresses.iter().map(SocketAddr::ip).collect(),
            CheckEvent::Connected { address, local_port } => {
                (self.address, self.local_port) = (Some(*address), Some(*local_port));
            }
            CheckEvent::Secured(tls) => (self.tls, self.phase) = (Some(tls.clone()), Phase::BeforeSignIn),
            CheckEvent::Greeted(line) => self.greeting = Some(line.clone()),
            CheckEvent::Offered(offers) => self.offers.push((self.phase, offers.clone())),
            CheckEvent::SigningIn(by) => self.sign_in_tried_by = Some(by),
            CheckEvent::FirstAnswerRefused(_) => self.first_answer_refused = true,
            CheckEvent::TokenRefused => self.phase = Phase::first(self.header.security),
            CheckEvent::SignedIn => (self.signed_in, self.phase) = (true, Phase::AfterSignIn),
            CheckEvent::Labelled(label) => self.label = Some(label.clone()),
            CheckEvent::Ran { .. } | CheckEvent::SignedOut | CheckEvent::Failed(_) => {}
        }
        self.steps.extend(self.step(took, event));
        took
    }

    /// The event's step. A password needs no fetching, and a label stands in a field: these two have none.
    fn step(&self, took_us: Micros, event: &CheckEvent) -> Option<Step> {
        let mut step = Step { name: event.name(), took_us, ok: true, operation: None, items: None, failure: None };
        match event {
            CheckEvent::SigningIn(_) if !self.header.by_token => return None,
            CheckEvent::Labelled(_) => return None,
            CheckEvent::TokenRefused | CheckEvent::FirstAnswerRefused(_) => step.ok = false,
            CheckEvent::Ran { operation, items, .. } => {
                (step.operation, step.items) = (Some(operation.name()), Some(*items));
            }
            CheckEvent::Failed(failure) => (step.ok, step.failure) = (false, Some(failure.clone())),
            _ => {}
        }
        Some(step)
    }

    /// What the server offered in that phase, at last.
    #[must_use]
    pub fn offered(&self, phase: Phase) -> Option<&Capabilities> {
        self.offers.iter().rev().find(|(then, _)| *then == phase).map(|(_, offers)| offers)
    }

    /// For how many whole days the server's certificate is still valid. None where there is none, or where it has expired,
    /// which only `--insecure` accepts.
    #[must_use]
    pub fn certificate_days(&self) -> Option<u64> {
        let certificate = self.tls.as_ref()?.certificate.as_ref()?;
        let left = certificate.not_after.duration_since(self.header.started).ok()?;
        Some(left.as_secs() / (24 * 60 * 60))
    }

    /// What failed: nothing, one thing, or an operation and then the goodbye.
    pub fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.steps.iter().filter_map(|step| step.failure.as_ref())
    }

    /// What the check comes to: the first that applies, in the order of a run's.
    #[must_use]
    pub fn conclusion(&self) -> Conclusion {
        let failed = |is: fn(&Failure) -> bool| self.failures().any(is);
        let refused =
            |failure: &Failure| is_dial(failure) && is_refused_sign_in(failure, self.sign_in_tried_by.is_some());
        if let Some(signal) = self.interrupted {
            Conclusion::Interrupted(signal)
        } else if failed(|failure| failure.kind == FailureKind::Internal) {
            Conclusion::Broken
        } else if self.failures().any(refused) {
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

    /// Whether those who see the bytes can read the password or token.
    pub(super) fn secret_is_legible(&self) -> bool {
        self.sign_in_tried_by.is_some_and(|by| by != Mechanism::ScramSha256.name())
    }

    /// `password` or `token`: what was presented.
    pub(super) fn secret(&self) -> &'static str {
        let takes_token = |by: &str| [Mechanism::XOAuth2, Mechanism::OAuthBearer].iter().any(|it| it.name() == by);
        if self.header.by_token || self.sign_in_tried_by.is_some_and(takes_token) { "token" } else { "password" }
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.ip().is_loopback())
    }
}

fn is_dial(failure: &Failure) -> bool {
    failure.stage <= Stage::Auth
}

/// The latest list of each phase; null if there was none, or if the server does not say what it can do.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Capabilities")]
struct ByPhase {
    /// Before STARTTLS.
    before_tls: Option<Vec<String>>,
    /// Protected as far as it will be, but not signed in.
    before_sign_in: Option<Vec<String>>,
    /// After the sign-in.
    after_sign_in: Option<Vec<String>>,
}

fn by_phase<S: Serializer>(offers: &[(Phase, Capabilities)], serializer: S) -> Result<S::Ok, S::Error> {
    let latest = |phase| offers.iter().rev().find(|(then, _)| *then == phase).map(|(_, offers)| offers);
    let said = |phase| {
        let offers = latest(phase).filter(|offers| !offers.is_unsaid());
        offers.map(|offers| offers.iter().map(str::to_owned).collect())
    };
    let by_phase = ByPhase {
        before_tls: said(Phase::BeforeTls),
        before_sign_in: said(Phase::BeforeSignIn),
        after_sign_in: said(Phase::AfterSignIn),
    };
    by_phase.serialize(serializer)
}
