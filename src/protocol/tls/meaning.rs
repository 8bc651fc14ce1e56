//! What it means that a handshake failed: what was expected, what came, and what to do.

use std::io;

use rustls::pki_types::ServerName;
use rustls::{AlertDescription, Error as TlsError, InvalidMessage, PeerIncompatible};

use super::broken::{broke_off, words};
use super::untrusted::of_certificate;
use super::{Certificate, Tls, TlsVersion};
use crate::protocol::endpoint::Protocol;
use crate::protocol::failure::{Failure, FailureKind, Stage};

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
            (FailureKind::TlsCertificate, of_certificate(reason, certificate.as_ref(), &name.to_str(), tls.own_roots))
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
        other => (FailureKind::TlsHandshake, broke_off(other)),
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
        Alert::Unknown(number) => {
            format!("the server ended the TLS handshake (alert {number}, which has no name); its log says why")
        }
        _ => format!("the server ended the TLS handshake ({}); its log says why", words(alert)),
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use rustls::pki_types::UnixTime;
    use rustls::{
        CertRevocationListError, CertificateError, ContentType, ExtendedKeyPurpose, HandshakeType, InconsistentKeys,
        OtherError, PeerMisbehaved,
    };
    use webpki::Error as WebPki;

    use super::*;
    use crate::protocol::tls::TlsSettings;

    /// What is said of that error, checked: words of people, and no text that only the library's authors understand.
    #[track_caller]
    fn said(error: &TlsError) -> String {
        let tls = TlsSettings::default().client().unwrap();
        let name = ServerName::try_from("mail.example.org").unwrap();
        let failure = handshake_failure(&io::Error::other(error.clone()), &tls, &name, Protocol::Imap);
        let late = Failure::from_io(&io::Error::new(io::ErrorKind::InvalidData, error.clone()), Stage::Operation);
        for message in [&failure.message, &late.message] {
            let is_name = |word: &str| {
                let inner = word.chars().zip(word.chars().skip(1));
                word != "subjectAltName"
                    && word.chars().all(|letter| letter.is_ascii_alphanumeric())
                    && inner.filter(|(one, next)| one.is_lowercase() && next.is_uppercase()).count() > 0
            };
            let words = message.split(|letter: char| !letter.is_ascii_alphanumeric());
            assert!(!words.clone().any(is_name), "{error:?}: {message}");
            assert!(!message.contains(['{', '[', '"', '\n']) && message.len() > 30, "{error:?}: {message}");
        }
        failure.message
    }

    fn certificates() -> Vec<CertificateError> {
        use CertificateError as Bad;
        let (time, other) = (UnixTime::since_unix_epoch(Duration::from_secs(9)), ServerName::try_from("a.b").unwrap());
        vec![
            Bad::BadEncoding,
            Bad::Expired,
            Bad::ExpiredContext { time, not_after: time },
            Bad::NotValidYet,
            Bad::NotValidYetContext { time, not_before: time },
            Bad::Revoked,
            Bad::UnhandledCriticalExtension,
            Bad::UnknownIssuer,
            Bad::UnknownRevocationStatus,
            Bad::ExpiredRevocationList,
            Bad::ExpiredRevocationListContext { time, next_update: time },
            Bad::BadSignature,
            Bad::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04\x05\x00".to_vec(),
                supported_algorithms: Vec::new(),
            },
            Bad::UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: vec![42, 3],
                public_key_algorithm_id: vec![42, 4],
            },
            Bad::NotValidForName,
            Bad::NotValidForNameContext { expected: other, presented: vec!["DnsName(\"x\")".to_owned()] },
            Bad::InvalidPurpose,
            Bad::InvalidPurposeContext {
                required: ExtendedKeyPurpose::ServerAuth,
                presented: vec![ExtendedKeyPurpose::ClientAuth, ExtendedKeyPurpose::Other(vec![1, 3, 6])],
            },
            Bad::InvalidOcspResponse,
            Bad::ApplicationVerificationFailure,
            Bad::Other(OtherError(Arc::new(io::Error::other("SomethingElse { odd: 1 }")))),
        ]
    }

    #[test]
    fn each_error_of_a_certificate_has_a_sentence_that_begins_with_what_is_wrong() {
        let mut all: Vec<String> =
            certificates().into_iter().map(|error| said(&TlsError::InvalidCertificate(error))).collect();
        let unfit = [
            WebPki::CaUsedAsEndEntity,
            WebPki::EndEntityUsedAsCa,
            WebPki::UnsupportedCertVersion,
            WebPki::UnsupportedCriticalExtension,
            WebPki::NameConstraintViolation,
            WebPki::PathLenConstraintViolated,
            WebPki::MaximumPathDepthExceeded,
            WebPki::MaximumPathBuildCallsExceeded,
            WebPki::MaximumSignatureChecksExceeded,
            WebPki::MaximumNameConstraintComparisonsExceeded,
            WebPki::SignatureAlgorithmMismatch,
            WebPki::EmptyEkuExtension,
            WebPki::UnsupportedNameType,
            WebPki::MalformedExtensions,
            WebPki::ExtensionValueInvalid,
            WebPki::MalformedNameConstraint,
            WebPki::InvalidSerialNumber,
            WebPki::BadDer,
            WebPki::CertDistrusted,
        ];
        all.extend(
            unfit
                .map(|error| said(&TlsError::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(error)))))),
        );
        for message in all {
            let (what, cure) = message.split_once(": ").unwrap_or_default();
            assert!(!what.is_empty() && cure.contains([';', ':']), "{message}");
        }
    }

    #[test]
    fn an_authority_of_the_same_name_and_an_old_signature_are_named() {
        let bad = |error| said(&TlsError::InvalidCertificate(error));
        assert!(bad(CertificateError::BadSignature).contains("2048 bits"));
        for (der, name) in [
            (&b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04\x05\x00"[..], "(MD5)"),
            (b"\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05\x05\x00", "(SHA-1)"),
            (b"\x06\x03\x2b\x65\x71", "(1.3.101.113)"),
        ] {
            let message = bad(CertificateError::UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: der.to_vec(),
                supported_algorithms: Vec::new(),
            });
            assert!(message.contains(name), "{message}");
        }
    }

    #[test]
    fn whatever_else_breaks_a_handshake_is_said_in_words() {
        let misbehaved = [
            PeerMisbehaved::AttemptedDowngradeToTls12WhenTls13IsSupported,
            PeerMisbehaved::SelectedUnofferedCipherSuite,
            PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme,
            PeerMisbehaved::TooManyRenegotiationRequests,
        ];
        let incompatible = [
            PeerIncompatible::NoCipherSuitesInCommon,
            PeerIncompatible::NoKxGroupsInCommon,
            PeerIncompatible::NoSignatureSchemesInCommon,
            PeerIncompatible::ExtendedMasterSecretExtensionRequired,
            PeerIncompatible::ServerDoesNotSupportTls12Or13,
            PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
            PeerIncompatible::ServerRejectedEncryptedClientHello(None),
        ];
        let unreadable = [
            InvalidMessage::InvalidContentType,
            InvalidMessage::UnknownProtocolVersion,
            InvalidMessage::MessageTooLarge,
            InvalidMessage::MissingData("ServerHelloPayload"),
            InvalidMessage::UnsupportedCurveType,
            InvalidMessage::DuplicateExtension(7),
        ];
        let others = [
            TlsError::InappropriateMessage {
                expect_types: vec![ContentType::Handshake],
                got_type: ContentType::ApplicationData,
            },
            TlsError::InappropriateHandshakeMessage {
                expect_types: vec![HandshakeType::ServerHello],
                got_type: HandshakeType::Finished,
            },
            TlsError::NoCertificatesPresented,
            TlsError::UnsupportedNameType,
            TlsError::DecryptError,
            TlsError::EncryptError,
            TlsError::General("an odd thing happened".to_owned()),
            TlsError::FailedToGetCurrentTime,
            TlsError::FailedToGetRandomBytes,
            TlsError::HandshakeNotComplete,
            TlsError::PeerSentOversizedRecord,
            TlsError::NoApplicationProtocol,
            TlsError::BadMaxFragmentSize,
            TlsError::InconsistentKeys(InconsistentKeys::KeyMismatch),
            TlsError::InvalidCertRevocationList(CertRevocationListError::ParseError),
            TlsError::Other(OtherError(Arc::new(io::Error::other("SomethingElse { odd: 1 }")))),
        ];
        let alerts = (0..=255).map(|number: u8| TlsError::AlertReceived(AlertDescription::from(number)));
        let all = misbehaved.into_iter().map(TlsError::PeerMisbehaved);
        let all = all.chain(incompatible.into_iter().map(TlsError::PeerIncompatible));
        let all = all.chain(unreadable.into_iter().map(TlsError::InvalidMessage)).chain(others).chain(alerts);
        all.for_each(|error| drop(said(&error)));
        assert!(said(&TlsError::AlertReceived(AlertDescription::Unknown(200))).contains("alert 200"));
    }
}
