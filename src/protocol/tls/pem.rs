//! The files that TLS needs, each read once and within a bound.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error as TlsError, RootCertStore};
use zeroize::Zeroizing;

use super::untrusted::{of_file, of_pem};

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PemFile {
    /// The authorities to trust.
    Ca,
    /// The certificate to show to servers.
    ClientCertificate,
    /// Its private key.
    ClientKey,
}

impl PemFile {
    const fn holds(self) -> &'static str {
        match self {
            Self::Ca => "the authorities to trust",
            Self::ClientCertificate => "the certificate, those that lead to an authority, and its key",
            Self::ClientKey => "the private key",
        }
    }
}

impl fmt::Display for PemFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ca => "CA file",
            Self::ClientCertificate => "client certificate",
            Self::ClientKey => "client key",
        })
    }
}

/// Why a [`TlsSettings`](super::TlsSettings) cannot be used. One line, with the cure.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsSettingsError {
    /// The file cannot be read.
    #[error("the {file} {} cannot be read: {error}", .path.display())]
    Unreadable {
        /// What it is for.
        file: PemFile,
        /// The file asked for.
        path: PathBuf,
        /// The operating system's answer.
        error: io::Error,
    },
    /// The file is longer than any list of certificates, or has no end.
    #[error("the {file} {} is longer than 1 MiB; name a file that holds only {}", .path.display(), .file.holds())]
    TooLong {
        /// What it is for.
        file: PemFile,
        /// The file asked for.
        path: PathBuf,
    },
    /// The file holds no PEM certificate.
    #[error("the {file} {} holds no certificate; it must be PEM, with a line -----BEGIN CERTIFICATE-----", .path.display())]
    NoCertificate {
        /// What it is for.
        file: PemFile,
        /// The file asked for.
        path: PathBuf,
    },
    /// The file holds something that is not a certificate.
    #[error("the {file} {} is not valid PEM, or holds a broken certificate: {reason}", .path.display())]
    Invalid {
        /// What it is for.
        file: PemFile,
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file holds no private key that can be read without a passphrase.
    #[error(
        "the {file} {} holds no private key; it must be PEM and unencrypted, with a line -----BEGIN PRIVATE KEY-----, \
         or name the file that has it with --client-key",
        .path.display()
    )]
    NoKey {
        /// The file that should have held it.
        file: PemFile,
        /// The file asked for.
        path: PathBuf,
    },
    /// The private key is none, or of a kind that cannot sign.
    #[error("the private key in {} cannot be used: {reason}", .path.display())]
    InvalidKey {
        /// The file asked for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The private key may be replaced by someone else.
    #[error("the private key in {} can be written by others; chmod go-w it, and see that it is still yours", .path.display())]
    KeyWritable {
        /// The file asked for.
        path: PathBuf,
    },
    /// The private key is another certificate's.
    #[error(
        "the private key in {} does not belong to the first certificate in {}; name the certificate that was issued \
         for this key, and put it first in its file",
        .key.display(),
        .certificate.display()
    )]
    KeyMismatch {
        /// Where the certificate is.
        certificate: PathBuf,
        /// Where the key is.
        key: PathBuf,
    },
    /// A private key without its certificate.
    #[error("the client key {} needs its certificate; name it with --client-cert", .path.display())]
    KeyAlone {
        /// The file asked for.
        path: PathBuf,
    },
    /// Neither a host name nor an address.
    #[error("{name:?} cannot be a server's name; give a host name or an address, as its certificate has it")]
    ServerName {
        /// The name asked for.
        name: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up: {reason}")]
    Unusable {
        /// The TLS library's answer.
        reason: String,
    },
}

/// The longest file: several times the list of authorities that operating systems ship.
const MAX: u64 = 1 << 20;

struct Content {
    file: PemFile,
    path: PathBuf,
    /// Cleared when it is dropped: it may hold a private key.
    bytes: Zeroizing<Vec<u8>>,
    /// Somebody but its owner may write it.
    others_may_write: bool,
}

impl Content {
    fn read(file: PemFile, path: &Path) -> Result<Self, TlsSettingsError> {
        let mut bytes = Zeroizing::new(Vec::new());
        // A FIFO that nobody writes to would hold the opening up for ever.
        let nonblocking = OFlags::NONBLOCK.bits().cast_signed();
        let mode = OpenOptions::new()
            .read(true)
            .custom_flags(nonblocking)
            .open(path)
            .and_then(|opened| {
                let found = opened.metadata()?;
                if !found.is_file() {
                    return Err(io::Error::other("it is no regular file"));
                }
                let mode = found.permissions().mode();
                opened.take(MAX + 1).read_to_end(&mut bytes)?;
                Ok(mode)
            })
            .map_err(|error| TlsSettingsError::Unreadable { file, path: path.to_owned(), error })?;
        if bytes.len() as u64 > MAX {
            return Err(TlsSettingsError::TooLong { file, path: path.to_owned() });
        }
        Ok(Self { file, path: path.to_owned(), bytes, others_may_write: mode & 0o022 != 0 })
    }

    fn broken(&self, reason: impl Into<String>) -> TlsSettingsError {
        TlsSettingsError::Invalid { file: self.file, path: self.path.clone(), reason: reason.into() }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsSettingsError> {
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&self.bytes).collect();
        let all = all.map_err(|error| self.broken(of_pem(&error)))?;
        if all.is_empty() {
            return Err(TlsSettingsError::NoCertificate { file: self.file, path: self.path.clone() });
        }
        Ok(all)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsSettingsError> {
        let key = match PrivateKeyDer::from_pem_slice(&self.bytes) {
            Ok(key) => key,
            Err(PemError::NoItemsFound) => {
                return Err(TlsSettingsError::NoKey { file: self.file, path: self.path.clone() });
            }
            Err(error) => {
                return Err(TlsSettingsError::InvalidKey { path: self.path.clone(), reason: of_pem(&error) });
            }
        };
        if self.others_may_write {
            return Err(TlsSettingsError::KeyWritable { path: self.path.clone() });
        }
        Ok(key)
    }
}

pub(super) fn roots(path: &Path) -> Result<RootCertStore, TlsSettingsError> {
    let content = Content::read(PemFile::Ca, path)?;
    let mut roots = RootCertStore::empty();
    for certificate in content.certificates()? {
        roots.add(certificate).map_err(|error| content.broken(of_file(&error)))?;
    }
    Ok(roots)
}

/// Of a text that is no file.
pub(super) fn roots_of(pem: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        roots.add(certificate.map_err(|error| TlsError::General(of_pem(&error)))?)?;
    }
    Ok(roots)
}

/// The certificate with its private key, which is in its own file or in the certificate's.
pub(super) fn client_key(
    certificate: &Path,
    key: Option<&Path>,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, TlsSettingsError> {
    let content = Content::read(PemFile::ClientCertificate, certificate)?;
    let chain = content.certificates()?;
    let private = match key {
        Some(path) => Content::read(PemFile::ClientKey, path)?.private_key()?,
        None => content.private_key()?,
    };
    let key = key.unwrap_or(certificate).to_owned();
    let together = CertifiedKey::from_der(chain, private, provider).map_err(|error| match &error {
        TlsError::InconsistentKeys(_) => {
            TlsSettingsError::KeyMismatch { certificate: certificate.to_owned(), key: key.clone() }
        }
        TlsError::InvalidCertificate(_) => content.broken(of_file(&error)),
        TlsError::General(reason) => TlsSettingsError::InvalidKey { path: key.clone(), reason: reason.clone() },
        _ => TlsSettingsError::InvalidKey {
            path: key.clone(),
            reason: "it is of a kind that is not known here; use RSA, ECDSA or Ed25519".to_owned(),
        },
    })?;
    Ok(Arc::new(together))
}
