//! The server's certificate, made when it starts, and the authority that signed it.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::PrivateKeyDer;

/// What a server needs to speak TLS, and its clients to trust it.
pub(super) struct Identity {
    /// The certificate of the authority: whoever trusts it trusts this server, and no other one.
    pub ca_pem: String,
    pub config: Arc<ServerConfig>,
}

impl Identity {
    /// A new authority, and a certificate it signs for `localhost`, both loopback addresses and `addresses`. The
    /// authority's key is forgotten at once.
    pub fn new(addresses: impl Iterator<Item = IpAddr>) -> io::Result<Self> {
        let (issuer, ca_pem) = authority().map_err(io::Error::other)?;
        let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        for address in addresses.filter(|address| !address.is_unspecified()).map(|address| address.to_string()) {
            if !names.contains(&address) {
                names.push(address);
            }
        }
        let key = KeyPair::generate().map_err(io::Error::other)?;
        let certificate = certificate(names).and_then(|params| params.signed_by(&key, &issuer));
        let certificate = certificate.map_err(io::Error::other)?.der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).map_err(io::Error::other)?;
        // The provider is named: `ServerConfig::builder()` panics as soon as another crate brings a second one in.
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(|config| config.with_no_client_auth().with_single_cert(vec![certificate], key))
            .map_err(io::Error::other)?;
        // Tickets carry the session themselves: a memory of sessions would forget under many clients.
        config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        Ok(Self { ca_pem, config: Arc::new(config) })
    }
}

fn authority() -> Result<(Issuer<'static, KeyPair>, String), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name.push(DnType::CommonName, "mailconn sandbox authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let pem = params.self_signed(&key)?.pem();
    Ok((Issuer::new(params, key), pem))
}

fn certificate(names: Vec<String>) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names)?;
    params.distinguished_name.push(DnType::CommonName, "localhost");
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    // Strict verifiers, Python's among them, ask for it.
    params.use_authority_key_identifier_extension = true;
    Ok(params)
}

/// Why a handshake failed, in words for whoever set up the client.
pub(super) fn handshake_failure(error: &io::Error) -> String {
    use rustls::{AlertDescription as Alert, Error};
    let known = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>());
    match (known, error.kind()) {
        (Some(Error::AlertReceived(alert)), _) => match alert {
            Alert::UnknownCA | Alert::BadCertificate | Alert::CertificateUnknown => {
                "the client does not trust the certificate; give it the sandbox's authority (--ca-file)".to_owned()
            }
            Alert::CertificateExpired => "the client says that the certificate has expired".to_owned(),
            Alert::ProtocolVersion => "the client speaks no version of TLS that this server does (1.2, 1.3)".to_owned(),
            Alert::HandshakeFailure | Alert::InsufficientSecurity => "the client found no cipher in common".to_owned(),
            Alert::UnrecognisedName => "the client objects to the server's name".to_owned(),
            Alert::CloseNotify | Alert::UserCanceled => "the client gave up".to_owned(),
            other => format!("the client ended it (TLS alert {})", u8::from(*other)),
        },
        (Some(Error::InvalidMessage(_)), _) => "what the client sent is not TLS".to_owned(),
        (Some(Error::PeerIncompatible(_)), _) => {
            "the client has no version or cipher of TLS in common with this server (1.2, 1.3)".to_owned()
        }
        (Some(other), _) => other.to_string(),
        (None, io::ErrorKind::UnexpectedEof) => "the client closed the connection in the middle of it".to_owned(),
        (None, io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock) => {
            "the client said nothing for too long".to_owned()
        }
        (None, io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            "the client reset the connection".to_owned()
        }
        (None, _) => error.to_string(),
    }
}
