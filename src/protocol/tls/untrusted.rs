//! Why a server's certificate is not trusted, in sentences: the likely cause, and the cure.
//!
//! The libraries' own texts are names of variants, lists of bytes and seconds since 1970.

use std::borrow::Cow;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use rustls::pki_types::pem::Error as PemError;
use rustls::{CertificateError, Error as TlsError, ExtendedKeyPurpose, OtherError};
use webpki::Error as WebPki;
use x509_parser::der_parser::oid::Oid;
use x509_parser::objects::{oid_registry, oid2sn};

use super::Certificate;

/// So many of a certificate's names are shown.
const NAMES: usize = 8;

/// Why that certificate is not trusted, which is none where the handshake failed behind it. `own_roots`: whether the
/// authorities are those of a file that somebody named.
pub(super) fn of_certificate(
    error: &CertificateError,
    certificate: Option<&Certificate>,
    name: &str,
    own_roots: bool,
) -> String {
    use CertificateError as Bad;
    let issuer = certificate.map_or_else(String::new, |certificate| format!(" ({})", certificate.issuer));
    let self_signed = certificate.is_some_and(Certificate::is_self_signed);
    match error {
        Bad::UnknownIssuer if self_signed => format!(
            "unknown issuer{issuer}: the server's certificate is self-signed; if you know that it is the server's, pass \
             it with --ca-file"
        ),
        Bad::UnknownIssuer => format!(
            "unknown issuer{issuer}: no trusted authority signed the server's certificate; pass the CA that did with \
             --ca-file, or mend the server's chain"
        ),
        Bad::BadSignature | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } if certificate.is_some() => {
            stale_authority(&issuer, own_roots)
        }
        Bad::BadSignature | Bad::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "bad signature: the server does not prove that it holds its certificate's key; administrator: certificate and \
             key must belong together, and an RSA key needs 2048 bits"
                .to_owned()
        }
        Bad::UnsupportedSignatureAlgorithmContext { signature_algorithm_id, .. } => {
            old_signature(&issuer, &format!(" ({})", algorithm(signature_algorithm_id)))
        }
        Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
            let names = certificate.map_or_else(|| "another".to_owned(), |certificate| listed(&certificate.names));
            format!(
                "wrong name: expected {name}, the certificate is for {names}; use a name that it is for, or give \
                 it with --server-name"
            )
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            let limit = certificate.map(|certificate| certificate.not_after);
            if limit.is_some_and(|limit| limit > SystemTime::now()) {
                let said = match error {
                    Bad::ExpiredContext { not_after, .. } => dates(moment(not_after.as_secs())),
                    _ => String::new(),
                };
                return format!(
                    "expired{said}: the server's own certificate is valid, one between it and its authority is not; renew \
                     the server's chain"
                );
            }
            let dates = limit.map_or_else(String::new, dates);
            format!(
                "expired{dates}: the server's certificate is no longer valid; renew it, or check this machine's clock"
            )
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            let dates = certificate.map_or_else(String::new, |certificate| dates(certificate.not_before));
            format!("not yet valid{dates}: the server's certificate starts later; check this machine's clock")
        }
        Bad::BadEncoding => format!(
            "broken certificate{issuer}: the server's certificate, or one that leads to it, cannot be read; administrator: \
             install it anew"
        ),
        Bad::Revoked => {
            format!("revoked{issuer}: the authority took the server's certificate back; administrator: get another")
        }
        Bad::UnknownRevocationStatus | Bad::ExpiredRevocationList | Bad::ExpiredRevocationListContext { .. } => {
            format!(
                "unknown revocation{issuer}: nobody can say whether the server's certificate was revoked; try again later"
            )
        }
        Bad::UnhandledCriticalExtension => critical_extension(&issuer),
        Bad::InvalidPurpose => unfit(&issuer, "is not meant for a server"),
        Bad::InvalidPurposeContext { presented, .. } => {
            let purposes: Vec<String> = presented.iter().map(purpose).collect();
            let what = match purposes.as_slice() {
                [] => "is not meant for a server".to_owned(),
                some => format!("is not meant for a server, but for {}", some.join(", ")),
            };
            unfit(&issuer, &what)
        }
        Bad::InvalidOcspResponse => {
            format!(
                "bad OCSP answer{issuer}: the server's proof that its certificate is not revoked cannot be read; administrator: \
                 switch OCSP stapling off, or mend it"
            )
        }
        Bad::Other(OtherError(inner)) => of_webpki(inner.downcast_ref(), certificate, &issuer),
        // Deprecated ones, which carry less than those above, and what later versions add.
        _ => not_accepted(&issuer),
    }
}

/// What webpki finds beyond what rustls has a name for.
fn of_webpki(error: Option<&WebPki>, certificate: Option<&Certificate>, issuer: &str) -> String {
    use WebPki as Bad;
    match error {
        Some(Bad::CaUsedAsEndEntity) => format!(
            "unfit certificate{issuer}: the server shows one that is marked as an authority's own (CA:TRUE); give it one \
             with CA:FALSE, and pass that or its authority's with --ca-file"
        ),
        _ if certificate.is_some_and(|certificate| certificate.is_authority) => {
            of_webpki(Some(&Bad::CaUsedAsEndEntity), None, issuer)
        }
        Some(Bad::EndEntityUsedAsCa) => format!(
            "unfit authority{issuer}: a certificate that signed another one is marked as no authority (CA:FALSE); \
             administrator: mend the server's chain, or pass the right CA with --ca-file"
        ),
        Some(Bad::UnsupportedCertVersion) => format!(
            "outdated certificate{issuer}: the server's certificate is not of X.509 version 3, so it cannot say which names \
             it is for; administrator: have it issued anew, with a subjectAltName"
        ),
        Some(Bad::UnsupportedCriticalExtension) => critical_extension(issuer),
        Some(Bad::NameConstraintViolation) => format!(
            "name not allowed{issuer}: the authority may not sign for the names of the server's certificate; \
             administrator: have it issued by another"
        ),
        Some(Bad::PathLenConstraintViolated) => format!(
            "chain too long{issuer}: an authority in the server's chain may not have others below it; administrator: have \
             the certificate issued by another"
        ),
        Some(
            Bad::MaximumPathDepthExceeded
            | Bad::MaximumPathBuildCallsExceeded
            | Bad::MaximumSignatureChecksExceeded
            | Bad::MaximumNameConstraintComparisonsExceeded,
        ) => format!(
            "chain too long{issuer}: the server shows more certificates than can be followed; administrator: send the \
             server's own and those between it and its authority, nothing else"
        ),
        Some(Bad::SignatureAlgorithmMismatch) => format!(
            "broken certificate{issuer}: the server's certificate, or one that leads to it, names two different ways in \
             which it was signed; administrator: have it issued anew"
        ),
        Some(Bad::EmptyEkuExtension) => unfit(issuer, "says that it is meant for nothing"),
        Some(Bad::UnsupportedNameType) => {
            format!("wrong name{issuer}: names of that kind cannot be verified; give another with --server-name")
        }
        Some(
            Bad::MalformedExtensions
            | Bad::ExtensionValueInvalid
            | Bad::MalformedDnsIdentifier
            | Bad::MalformedNameConstraint
            | Bad::InvalidNetworkMaskConstraint
            | Bad::InvalidSerialNumber
            | Bad::InvalidCertValidity
            | Bad::BadDer
            | Bad::BadDerTime
            | Bad::TrailingData(_),
        ) => format!(
            "broken certificate{issuer}: the server's certificate, or one that leads to it, does not follow the standard \
             (RFC 5280); administrator: have it issued anew"
        ),
        _ => not_accepted(issuer),
    }
}

fn stale_authority(issuer: &str, own_roots: bool) -> String {
    let cure = if own_roots {
        "the file of --ca-file is probably an older one of the same name; get the new one from whoever runs the server"
    } else {
        "it may have been made anew under its old name; pass the new one with --ca-file"
    };
    format!(
        "bad signature: an authority of that name{issuer} is trusted, but another key signed the server's certificate; \
         {cure}"
    )
}

fn old_signature(issuer: &str, algorithm: &str) -> String {
    format!(
        "old signature{issuer}: the server's certificate, or one that leads to it, is signed in a way that is not accepted \
         any more, or not known here{algorithm}; administrator: have it issued anew (SHA-256 with RSA or ECDSA)"
    )
}

fn critical_extension(issuer: &str) -> String {
    format!(
        "unknown condition{issuer}: the server's certificate holds a critical extension that is not known here; \
         administrator: have it issued without"
    )
}

fn unfit(issuer: &str, what: &str) -> String {
    format!(
        "unfit certificate{issuer}: the server's certificate {what}; administrator: get one for server authentication"
    )
}

fn not_accepted(issuer: &str) -> String {
    format!(
        "bad certificate{issuer}: the server's certificate does not pass the checks; look at it with openssl s_client \
         -showcerts, and have it issued anew"
    )
}

fn purpose(purpose: &ExtendedKeyPurpose) -> String {
    match purpose {
        ExtendedKeyPurpose::ServerAuth => "servers".to_owned(),
        ExtendedKeyPurpose::ClientAuth => "clients".to_owned(),
        ExtendedKeyPurpose::Other(numbers) => {
            let numbers: Vec<String> = numbers.iter().map(usize::to_string).collect();
            format!("the purpose {}", numbers.join("."))
        }
    }
}

/// What people call a signature's algorithm, else its numbers.
fn algorithm(der: &[u8]) -> String {
    // An object identifier with its length, and the parameters behind it.
    let bytes = match der {
        [6, length, rest @ ..] => rest.get(..usize::from(*length)).unwrap_or(rest),
        bare => bare,
    };
    let oid = Oid::new(Cow::Borrowed(bytes));
    let name = oid2sn(&oid, oid_registry()).unwrap_or_default().to_lowercase();
    let known = [("md5", "MD5"), ("sha1", "SHA-1")].into_iter().find(|(part, _)| name.contains(part));
    known.map_or_else(|| oid.to_id_string(), |(_, name)| name.to_owned())
}

/// Why a certificate that somebody named in a file cannot be taken.
pub(super) fn of_file(error: &TlsError) -> &'static str {
    match error {
        TlsError::InvalidCertificate(CertificateError::Other(OtherError(inner))) => match inner.downcast_ref() {
            Some(WebPki::UnsupportedCertVersion) => "a certificate is not of X.509 version 3; have it made anew",
            Some(WebPki::UnsupportedCriticalExtension) => {
                "a certificate holds a critical extension that is not known here"
            }
            _ => "a certificate in it does not follow the standard (RFC 5280)",
        },
        _ => "a certificate in it cannot be read; export it anew",
    }
}

/// Why a file is no PEM.
pub(super) fn of_pem(error: &PemError) -> String {
    match error {
        PemError::MissingSectionEnd { end_marker } => {
            let marker = String::from_utf8_lossy(end_marker);
            let what = marker.trim().trim_matches('-').trim_start_matches("END ").to_owned();
            format!("a section has no end; the line -----END {what}----- is missing")
        }
        PemError::IllegalSectionStart { .. } => {
            "a line that begins a section does not end with five hyphens".to_owned()
        }
        PemError::Base64Decode(_) => "a section is not base64; it may have been damaged as it was copied".to_owned(),
        PemError::Io(error) => error.to_string(),
        PemError::NoItemsFound => "it holds nothing of the kind".to_owned(),
        PemError::SectionTooLarge => "a section is too long".to_owned(),
        _ => "it is not PEM".to_owned(),
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

fn moment(seconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(UNIX_EPOCH)
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
