//! Whom to trust and as whom, and what a failed handshake means.

mod certificate;
mod identity;
mod meaning;
mod pem;
mod untrusted;
mod verifier;

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, RootCertStore};

use identity::Identity;
use verifier::Verifier;

pub use certificate::Certificate;
pub(super) use meaning::{broke_off, handshake_failure, late_refusal};
pub use pem::{PemFile, TlsSettingsError};

/// What the TLS connections of one account have in common. A clone is the same one: sessions of either resume those of
/// the other.
#[derive(Clone)]
pub struct Tls {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    identity: Arc<Identity>,
    /// The name to verify and to ask for, where it is not the endpoint's host.
    server_name: Option<ServerName<'static>>,
    min_version: TlsVersion,
    /// The authorities are those of a file that somebody named.
    own_roots: bool,
}

impl Tls {
    /// Whether a server has to show a certificate that can be trusted; else anyone may be the server.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.verifier.verifies
    }

    pub(super) fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// The name that the certificate of that host is verified for; it goes to the server as SNI unless it is an address.
    pub(super) fn name_for(&self, host: &str) -> Result<ServerName<'static>, String> {
        match &self.server_name {
            Some(name) => Ok(name.clone()),
            None => ServerName::try_from(host.to_owned()).map_err(|error| {
                format!("{host} cannot stand in a certificate ({error}); give the name that does with --server-name")
            }),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .field("min_version", &self.min_version)
            .field("verifies", &self.verifies())
            .field("client_certificate", &self.identity.is_some())
            .finish_non_exhaustive()
    }
}

/// The versions of TLS that are still safe.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    #[default]
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// No version of TLS that is still safe has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the versions of TLS are 1.2 and 1.3")]
pub struct UnknownTlsVersion;

impl FromStr for TlsVersion {
    type Err = UnknownTlsVersion;

    fn from_str(name: &str) -> Result<Self, UnknownTlsVersion> {
        match name {
            "1.2" => Ok(Self::Tls12),
            "1.3" => Ok(Self::Tls13),
            _ => Err(UnknownTlsVersion),
        }
    }
}

/// Whom to trust, as whom, and under which name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsSettings {
    /// A PEM file: exactly the authorities in it are trusted. Without one, those of the operating system, or those of
    /// Mozilla where it has none.
    pub ca_file: Option<PathBuf>,
    /// The same given whole, instead of a file.
    pub ca_pem: Option<String>,
    /// A PEM file with the certificate to show to servers that ask for one, followed by those that lead from it to an
    /// authority; it may hold the private key too.
    pub client_cert: Option<PathBuf>,
    /// A PEM file with the private key of `client_cert`, unencrypted.
    pub client_key: Option<PathBuf>,
    /// The name to verify and to send as SNI, instead of the endpoint's host.
    pub server_name: Option<String>,
    /// The lowest version to accept; without one, TLS 1.2.
    pub min_version: Option<TlsVersion>,
    /// Certificates are not verified: whoever sits between here and the server can read and change everything.
    pub insecure: bool,
}

impl TlsSettings {
    /// Reads the files, once for all connections. Touches no network.
    ///
    /// # Errors
    /// [`TlsSettingsError`] when a file is missing, empty, longer than 1 MiB or not PEM, when the private key may be
    /// written by others or does not fit the certificate, or when the name is none.
    pub fn client(&self) -> Result<Tls, TlsSettingsError> {
        let unusable = |error: &dyn fmt::Display| TlsSettingsError::Unusable { reason: error.to_string() };
        let server_name = match &self.server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone()).map_err(|_| TlsSettingsError::ServerName { name: name.clone() })?,
            ),
            None => None,
        };
        let roots = match (&self.ca_pem, &self.ca_file) {
            (Some(pem), _) => pem::roots_of(pem).map_err(|error| unusable(&error))?,
            (None, Some(path)) => pem::roots(path)?,
            (None, None) => usual_roots(),
        };
        let provider = Arc::new(ring::default_provider());
        let webpki = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|error| unusable(&error))?;
        let verifier = Arc::new(Verifier::new(webpki, !self.insecure));
        let key = match (&self.client_cert, &self.client_key) {
            (Some(certificate), key) => Some(pem::client_key(certificate, key.as_deref(), &provider)?),
            (None, Some(path)) => return Err(TlsSettingsError::KeyAlone { path: path.clone() }),
            (None, None) => None,
        };
        let identity = Arc::new(Identity::new(key));
        let min_version = self.min_version.unwrap_or_default();
        let versions = [&TLS13, &TLS12];
        let versions = match min_version {
            TlsVersion::Tls12 => &versions[..],
            TlsVersion::Tls13 => &versions[..1],
        };
        // The provider is named: `ClientConfig::builder()` panics as soon as another crate brings a second one in.
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(|error| unusable(&error))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::<Verifier>::clone(&verifier))
            .with_client_cert_resolver(Arc::<Identity>::clone(&identity));
        let own_roots = self.ca_file.is_some();
        Ok(Tls { config: Arc::new(config), verifier, identity, server_name, min_version, own_roots })
    }
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
