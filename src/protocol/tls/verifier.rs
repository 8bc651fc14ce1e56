//! The verdict on a server's certificate: webpki's, kept or overruled.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, ThreadId};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error as TlsError, SignatureScheme};

/// Verifies as webpki does and remembers what was refused, because the error does not hold it and its issuer and dates
/// are what the user needs to know.
#[derive(Debug)]
pub(super) struct Verifier {
    webpki: Arc<WebPkiServerVerifier>,
    /// Otherwise every certificate counts. That the server has its private key is made sure of all the same.
    pub(super) verifies: bool,
    /// By the thread whose handshake it was, which takes it out again.
    refused: Mutex<HashMap<ThreadId, CertificateDer<'static>>>,
}

impl Verifier {
    pub(super) fn new(webpki: Arc<WebPkiServerVerifier>, verifies: bool) -> Self {
        Self { webpki, verifies, refused: Mutex::default() }
    }

    /// The certificate that was refused in this thread's last handshake.
    pub(super) fn take_refused(&self) -> Option<CertificateDer<'static>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).remove(&thread::current().id())
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if !self.verifies {
            return Ok(ServerCertVerified::assertion());
        }
        self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now).inspect_err(|_| {
            let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
            refused.insert(thread::current().id(), end_entity.clone().into_owned());
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}
