//! What a server's certificate says of itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use x509_parser::prelude::{ASN1Time, FromDer, GeneralName, X509Certificate};

use crate::protocol::failure::printable;

/// What a server's certificate says of itself, fit to be shown. It is true only if the certificate was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The host names (`mail.example.org`, `*.example.org`) and addresses that it is for, in its order. Only the
    /// subjectAltName counts (RFC 9525 §6.3), so a certificate with nothing but a common name has none.
    pub names: Vec<String>,
    /// Its subject, like `CN=mail.example.org`.
    pub subject: String,
    /// Who signed it, like `C=US, O=Let's Encrypt, CN=R11`.
    pub issuer: String,
    /// From when on it is valid.
    pub not_before: SystemTime,
    /// Until when it is valid.
    pub not_after: SystemTime,
    /// Whether it is marked as an authority's own (CA:TRUE), which is not accepted from a server.
    pub is_authority: bool,
}

impl Certificate {
    /// Whether nobody but itself vouches for it.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.issuer == self.subject
    }

    /// `None` for what is no certificate.
    pub(in crate::protocol) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternatives = certificate.subject_alternative_name().ok().flatten();
        let names = alternatives.iter().flat_map(|extension| &extension.value.general_names);
        let validity = certificate.validity();
        Some(Self {
            names: names.filter_map(name).collect(),
            subject: printable(certificate.subject().to_string().as_bytes()),
            issuer: printable(certificate.issuer().to_string().as_bytes()),
            not_before: time(validity.not_before)?,
            not_after: time(validity.not_after)?,
            is_authority: certificate.is_ca(),
        })
    }
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(printable(name.as_bytes())),
        GeneralName::IPAddress(bytes) => {
            let four = <[u8; 4]>::try_from(*bytes).map(|address| IpAddr::from(Ipv4Addr::from(address)));
            let address = four.or_else(|_| <[u8; 16]>::try_from(*bytes).map(|all| Ipv6Addr::from(all).into()));
            address.ok().map(|address| address.to_string())
        }
        // Mailboxes, directories and the like: no server is reached by them.
        _ => None,
    }
}

fn time(time: ASN1Time) -> Option<SystemTime> {
    let distance = Duration::from_secs(time.timestamp().unsigned_abs());
    if time.timestamp() < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}
