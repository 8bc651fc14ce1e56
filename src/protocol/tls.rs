//! Whom to trust, and what a failed handshake means.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{CertificateError, ClientConfig, Error as TlsError, InvalidMessage, RootCertStore};

use super::endpoint::Protocol;
use super::failure::{Failure, FailureKind, Stage};

/// Which certificate authorities count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file: exactly the authorities in it are trusted. Without one, those of the operating system, or those of
    /// Mozilla where it has none.
    pub ca_file: Option<PathBuf>,
}

/// Why a [`TlsSettings`] cannot be used. One line, with the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSettingsError {
    /// The file cannot be read.
    #[error("the CA file {} cannot be read: {error}", .path.display())]
    Unreadable {
        /// The file asked for.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// The file is longer than any list of authorities, or has no end.
    #[error("the CA file {} is longer than 1 MiB; name a file that holds only the authorities to trust", .path.display())]
    TooLong {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file holds no PEM certificate.
    #[error("the CA file {} holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----", .path.display())]
    NoCertificate {
        /// The file asked for.
        path: PathBuf,
    },
    /// The file holds something that is not a certificate.
    #[error("the CA file {} is not valid PEM, or holds a broken certificate: {reason}", .path.display())]
    Invalid {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No TLS version can be used.
    #[error("TLS cannot be set up: {reason}")]
    Unusable {
        /// The TLS library's answer.
        reason: String,
    },
}

/// The longest CA file: several times the list that operating systems ship.
const MAX_CA_FILE: u64 = 1 << 20;

impl TlsSettings {
    /// Reads the authorities, once for all connections. Touches no network.
    ///
    /// # Errors
    /// [`TlsSettingsError`] when the CA file is missing, empty, longer than 1 MiB or not PEM.
    pub fn client_config(&self) -> Result<Arc<ClientConfig>, TlsSettingsError> {
        let roots = match &self.ca_file {
            Some(path) => roots_of(path)?,
            None => usual_roots(),
        };
        // The provider is named: `ClientConfig::builder()` panics as soon as another crate brings a second one in.
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| TlsSettingsError::Unusable { reason: error.to_string() })?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Arc::new(config))
    }
}

fn roots_of(path: &PathBuf) -> Result<RootCertStore, TlsSettingsError> {
    let mut pem = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_CA_FILE + 1).read_to_end(&mut pem))
        .map_err(|error| TlsSettingsError::Unreadable { path: path.clone(), error })?;
    if pem.len() as u64 > MAX_CA_FILE {
        return Err(TlsSettingsError::TooLong { path: path.clone() });
    }
    let broken = |reason: String| TlsSettingsError::Invalid { path: path.clone(), reason };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| broken(error.to_string()))?;
        roots.add(certificate).map_err(|error| broken(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(TlsSettingsError::NoCertificate { path: path.clone() });
    }
    Ok(roots)
}

fn usual_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    // Some systems ship roots that no longer parse: those are left out, the rest counts.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    }
    roots
}

/// What a handshake's error means, expected against got.
pub(super) fn handshake_failure(error: &io::Error, host: &str, protocol: Protocol) -> Failure {
    let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<TlsError>()) else {
        let mut failure = Failure::from_io(error, Stage::Tls);
        if failure.kind == FailureKind::Closed {
            failure.kind = FailureKind::TlsHandshake;
            failure.message = "the server closed during the TLS handshake; check that this port speaks TLS".to_owned();
        }
        return failure;
    };
    let (kind, message) = match tls {
        TlsError::InvalidCertificate(certificate) => (FailureKind::TlsCertificate, of_certificate(certificate, host)),
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
        other => (FailureKind::TlsHandshake, format!("the TLS handshake failed: {other}")),
    };
    Failure::new(kind, Stage::Tls, message)
}

fn of_certificate(error: &CertificateError, host: &str) -> String {
    use CertificateError as Bad;
    match error {
        Bad::UnknownIssuer => "unknown issuer: no trusted authority signed the server's certificate; pass the CA that \
                               did, or mend the server's chain"
            .to_owned(),
        Bad::BadSignature => {
            "bad signature: an authority of that name is trusted, but another key signed the server's \
                              certificate; pass the CA that did"
                .to_owned()
        }
        Bad::NotValidForNameContext { presented, .. } => {
            let names = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
            format!("wrong name: expected {host}, the certificate is for {names}; use a name that it is for")
        }
        Bad::NotValidForName => {
            format!("wrong name: the certificate is not for {host}; use a name that it is for")
        }
        Bad::Expired | Bad::ExpiredContext { .. } => {
            "expired: the server's certificate is no longer valid; renew it, or check this machine's clock".to_owned()
        }
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
            "not yet valid: the server's certificate starts later; check this machine's clock".to_owned()
        }
        other => format!("the server's certificate was not accepted: {other}"),
    }
}
