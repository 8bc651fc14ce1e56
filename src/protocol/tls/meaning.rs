//! What it means that a handshake failed: what was expected, what came, and what to do.

use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, CertificateError, Error as TlsError, InvalidMessage, PeerIncompatible};

use super::{Certificate, Tls, TlsVersion};
use crate::protocol::endpoint::Protocol;
use crate::protocol::failure::{Failure, FailureKind, Stage};

/// So many of a certificate's names are shown.
const NAMES: usize = 8;

/// What a handshake's error means. It must be asked on the thread of the handshake.
pub(in crate::protocol) fn handshake_failure(
    error: &io::Error,
    tls: &Tls,
    name: &ServerName<'_>,
    protocol: Protocol,
) -> Failure {
    let refused = tls.verifier.take_refused();
    let Some(reason) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        let mut failure = Failure::from_io(error, Stage::Tls);
        if failure.kind == FailureKind::Closed {
            failure.kind = FailureKind::TlsHandshake;
            failure.message = "the server closed during the TLS handshake; check that this port speaks TLS".to_owned();
        }
        return failure;
    };
    let (kind, message) = match reason {
        TlsError::InvalidCertificate(reason) => {
            let certificate = refused.and_then(|der| Certificate::read(&der));
            (FailureKind::TlsCertificate, of_certificate(reason, certificate.as_ref(), &name.to_str()))
        }
        TlsError::NoCertificatesPresented => {
            (FailureKind::TlsCertificate, "the server presented no certificate".to_owned())
        }
        TlsError::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => (
            FailureKind::TlsHandshake,
            format!(
                "the server answered in plaintext, not TLS; use {}:// for {}, or the port for TLS ({})",
                protocol.name(),
                protocol.start_tls(),
                protocol.port(true)
            ),
        ),
        TlsError::AlertReceived(alert) => (FailureKind::TlsHandshake, of_alert(*alert, tls, &name.to_str())),
        TlsError::PeerIncompatible(
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig | PeerIncompatible::ServerDoesNotSupportTls12Or13,
        ) => (FailureKind::TlsHandshake, too_old(tls)),
        other => (FailureKind::TlsHandshake, format!("the TLS handshake failed: {other}")),
    };
    Failure::new(kind, Stage::Tls, message)
}

/// What it means that a server ends TLS before its first word: in TLS 1.3 its verdict on our certificate, or on the lack
/// of one, comes after the handshake. `None` for an error that is no such verdict.
pub(in crate::protocol) fn late_refusal(error: &TlsError, tls: &Tls, name: &ServerName<'_>) -> Option<Failure> {
    let TlsError::AlertReceived(alert) = error else { return None };
    Some(Failure::new(FailureKind::TlsHandshake, Stage::Tls, of_alert(*alert, tls, &name.to_str())))
}

fn of_alert(alert: AlertDescription, tls: &Tls, name: &str) -> String {
    use AlertDescription as Alert;
    match alert {
        Alert::ProtocolVersion => too_old(tls),
        Alert::UnrecognisedName => {
            format!("the server does not know the name {name}; give the one that it knows with --server-name")
        }
        Alert::CertificateRequired
        | Alert::HandshakeFailure
        | Alert::BadCertificate
        | Alert::NoCertificate
        | Alert::CertificateUnknown
        | Alert::AccessDenied
            if !tls.identity.is_some() && (tls.identity.was_asked() || alert == Alert::CertificateRequired) =>
        {
            format!(
                "the server requires a client certificate ({}); give one with --client-cert and --client-key",
                words(alert)
            )
        }
        Alert::CertificateRequired
        | Alert::BadCertificate
        | Alert::UnsupportedCertificate
        | Alert::CertificateRevoked
        | Alert::CertificateExpired
        | Alert::CertificateUnknown
        | Alert::UnknownCA
        | Alert::AccessDenied
        | Alert::DecryptError
        | Alert::HandshakeFailure
            if tls.identity.was_asked() =>
        {
            format!(
                "the server refused the client certificate ({}); see that it is valid and signed by an authority that \
                 the server trusts, or give another with --client-cert",
                words(alert)
            )
        }
        Alert::HandshakeFailure | Alert::InsufficientSecurity => format!(
            "the server found no cipher or key to agree on ({}); it is too old, or set up too strictly",
            words(alert)
        ),
        _ => format!("the server ended the TLS handshake ({}); its log says why", words(alert)),
    }
}

/// The alert's name in RFC 8446 §6.2 words: `certificate required`.
fn words(alert: AlertDescription) -> String {
    let mut words = String::new();
    let mut before = ' ';
    for letter in format!("{alert:?}").chars() {
        if letter.is_ascii_uppercase() && before.is_ascii_lowercase() {
            words.push(' ');
        }
        words.extend(letter.to_lowercase());
        before = letter;
    }
    words
}

fn too_old(tls: &Tls) -> String {
    match tls.min_version {
        TlsVersion::Tls13 => {
            "the server does not speak TLS 1.3; allow TLS 1.2 with --tls-min 1.2, or update the server"
        }
        TlsVersion::Tls12 => {
            "the server speaks neither TLS 1.3 nor 1.2, and older versions are not safe; it must be updated"
        }
    }
    .to_owned()
}

fn of_certificate(error: &CertificateError, certificate: Option<&Certificate>, name: &str) -> String {
    use CertificateError as Bad;
    let issuer = certificate.map_or_else(String::new, |certificate| format!(" ({})", certificate.issuer));
    let self_signed = certificate.is_some_and(Certificate::is_self_signed);
    match error {
        Bad::UnknownIssuer if self_signed => format!(
            "unknown issuer{issuer}: the server's certificate is self-signed; if you know that it is the server's, pass \
             it with --ca-file"
        ),
        Bad::Other(_) if certificate.is_some_and(|certificate| certificate.is_authority) => format!(
            "unfit certificate{issuer}: the server shows one that is marked as an authority's own (CA:TRUE); give it one \
             with CA:FALSE, and pass that or its authority's with --ca-file"
        ),
        Bad::UnknownIssuer => format!(
            "unknown issuer{issuer}: no trusted authority signed the server's certificate; pass the CA that did with \
             --ca-file, or mend the server's chain"
        ),
        Bad::BadSignature => format!(
            "bad signature: an authority of that name{issuer} is trusted, but another key signed the server's \
             certificate; pass the CA that did with --ca-file"
        ),
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            let names = certificate.map_or_else(|| "another".to_owned(), |certificate| listed(&certificate.names));
            format!(
                "wrong name: expected {name}, the certificate is for {names}; use a name that it is for, or give \
                 it with --server-name"
            )
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            let dates = certificate.map_or_else(String::new, |certificate| dates(certificate.not_after));
            format!(
                "expired{dates}: the server's certificate is no longer valid; renew it, or check this machine's clock"
            )
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            let dates = certificate.map_or_else(String::new, |certificate| dates(certificate.not_before));
            format!("not yet valid{dates}: the server's certificate starts later; check this machine's clock")
        }
        other => format!("the server's certificate{issuer} was not accepted: {other}"),
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() {
        return "no name".to_owned();
    }
    let shown = names.iter().take(NAMES).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// ` (2020-01-01 00:00 UTC, and it is 2026-11-24 06:20 UTC)`: got against expected.
fn dates(limit: SystemTime) -> String {
    format!(" ({}, and it is {})", minute(limit), minute(SystemTime::now()))
}

fn minute(time: SystemTime) -> String {
    let seconds = match time.duration_since(UNIX_EPOCH) {
        Ok(after) => i64::try_from(after.as_secs()).ok(),
        Err(before) => i64::try_from(before.duration().as_secs()).ok().map(|seconds| -seconds),
    };
    let moment = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    moment.map_or_else(|| "another age".to_owned(), |moment| moment.format("%Y-%m-%d %H:%M UTC").to_string())
}
