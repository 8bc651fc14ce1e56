//! A check as one JSON object.

use serde::Serialize;

use super::word;
use crate::event::TlsAgreed;
use crate::protocol::{Capabilities, Failure, TlsDetails};
use crate::record::{Check, Happened, When};
use crate::report::json::{Head, indented};
use crate::report::words::{us, wall};

/// The check as one JSON object, indented, with a newline at its end.
///
/// Scripts depend on its names: under one `schema_version` names are added, never renamed.
#[must_use]
pub fn check_json(check: &Check) -> Vec<u8> {
    let header = &check.header;
    let connected = check.connected();
    let said = |offers: &&Capabilities| !offers.is_unsaid();
    let offered = |when| check.offered(when).filter(said).map(|offers: &Capabilities| offers.iter().collect());
    let conclusion = check.conclusion();
    let report = Report {
        head: Head::new(&header.tool_version, &header.run_id, header.started, &header.server, header.protocol),
        security: header.security.name(),
        elapsed_us: us(check.elapsed),
        interrupted: check.interrupted,
        steps: check.steps.iter().filter(|step| is_told(check, &step.happened)).map(step).collect(),
        addresses: check.addresses().iter().map(|address| address.ip().to_string()).collect(),
        address: connected.map(|(address, _)| address.to_string()),
        local_port: connected.map(|(_, port)| port),
        tls: check.tls().map(tls),
        greeting: check.greeting(),
        capabilities: CapabilitiesShape {
            before_tls: offered(When::BeforeTls),
            before_sign_in: offered(When::BeforeSignIn),
            after_sign_in: offered(When::AfterSignIn),
        },
        sign_in_tried_by: check.tried_by(),
        signed_in: check.is_signed_in(),
        label: check.label(),
        matters: check
            .matters()
            .into_iter()
            .map(|matter| MatterShape {
                name: matter.name,
                offered: matter.offered,
                value: matter.value,
                why: matter.why,
            })
            .collect(),
        findings: check
            .concerns()
            .into_iter()
            .map(|concern| ConcernShape { id: concern.id, severity: concern.weight.name(), sentence: concern.sentence })
            .collect(),
        failures: check.failures().collect(),
        exit_code: conclusion.exit_code(),
    };
    indented(&report)
}

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    head: Head<'a>,
    security: &'static str,
    elapsed_us: u64,
    /// The number of the signal that ended it early; else null.
    interrupted: Option<i32>,
    steps: Vec<StepShape<'a>>,
    addresses: Vec<String>,
    /// Which of them answered, with its port.
    address: Option<String>,
    local_port: Option<u16>,
    tls: Option<CheckedTlsShape<'a>>,
    greeting: Option<&'a str>,
    capabilities: CapabilitiesShape<'a>,
    sign_in_tried_by: Option<&'static str>,
    signed_in: bool,
    /// The name by which the server's log knows the session.
    label: Option<&'a str>,
    matters: Vec<MatterShape>,
    findings: Vec<ConcernShape>,
    failures: Vec<&'a Failure>,
    exit_code: u8,
}

/// What TLS agreed on, and with whom.
#[derive(Serialize)]
struct CheckedTlsShape<'a> {
    #[serde(flatten)]
    agreed: TlsAgreed,
    server_name: &'a str,
    verified: bool,
    certificate: Option<CertificateShape<'a>>,
}

#[derive(Serialize)]
struct CertificateShape<'a> {
    names: &'a [String],
    subject: &'a str,
    issuer: &'a str,
    not_before: String,
    not_after: String,
}

fn tls(tls: &TlsDetails) -> CheckedTlsShape<'_> {
    CheckedTlsShape {
        agreed: tls.into(),
        server_name: &tls.server_name,
        verified: tls.verified,
        certificate: tls.certificate.as_ref().map(|certificate| CertificateShape {
            names: &certificate.names,
            subject: &certificate.subject,
            issuer: &certificate.issuer,
            not_before: wall(certificate.not_before),
            not_after: wall(certificate.not_after),
        }),
    }
}

/// Each null if the server was not heard to offer anything at that time.
#[derive(Serialize)]
struct CapabilitiesShape<'a> {
    before_tls: Option<Vec<&'a str>>,
    before_sign_in: Option<Vec<&'a str>>,
    after_sign_in: Option<Vec<&'a str>>,
}

#[derive(Serialize)]
struct StepShape<'a> {
    step: &'static str,
    took_us: u64,
    ok: bool,
    /// Which operation, where the step is one that succeeded.
    operation: Option<&'static str>,
    /// How many items the server named.
    items: Option<u32>,
    failure: Option<&'a Failure>,
}

#[derive(Serialize)]
struct MatterShape {
    name: &'static str,
    /// Null where the server does not say what it can do.
    offered: Option<bool>,
    /// What the keyword comes with: the sign-in mechanisms, the size.
    value: Option<String>,
    why: &'static str,
}

#[derive(Serialize)]
struct ConcernShape {
    id: &'static str,
    severity: &'static str,
    sentence: String,
}

/// A password needs no fetching, and a label is no step of its own: it stands in a field.
fn is_told(check: &Check, happened: &Happened) -> bool {
    match happened {
        Happened::SigningIn(_) => check.header.by_token,
        Happened::Labelled(_) => false,
        _ => true,
    }
}

fn step(step: &crate::record::Step) -> StepShape<'_> {
    let failure = match &step.happened {
        Happened::Failed(failure) => Some(failure),
        _ => None,
    };
    let ran = match &step.happened {
        Happened::Ran { operation, items, .. } => Some((operation.name(), *items)),
        _ => None,
    };
    StepShape {
        step: word(&step.happened),
        took_us: us(step.took),
        ok: failure.is_none() && !matches!(step.happened, Happened::TokenRefused | Happened::FirstAnswerRefused(_)),
        operation: ran.map(|(name, _)| name),
        items: ran.map(|(_, items)| items),
        failure,
    }
}
