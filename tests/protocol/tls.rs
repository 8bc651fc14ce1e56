//! Whom we trust, and what the refusal to says. Certificates are made here and now.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use mailconn::protocol::FailureKind::{Protocol, Timeout, TlsCertificate, TlsHandshake};
use mailconn::protocol::{
    DialFailure, ImapConnection, ImapConnector, ImapOperation, Security, Settings, Stage, TlsSettings,
};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tempfile::TempDir;

use super::scripted::{Server, session, settings};

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

impl Authority {
    fn server(&self, adjust: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        adjust(&mut params);
        let certificate: CertificateDer<'static> = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Arc::new(config)
    }

    fn settings(&self, address: SocketAddr, security: Security) -> Settings {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("ca.pem");
        fs::write(&path, &self.pem).unwrap();
        let mut settings = settings(address);
        settings.endpoint.security = security;
        settings.endpoint.host = "localhost".into();
        settings.tls = Some(TlsSettings { ca_file: Some(path) }.client_config().unwrap());
        settings
    }
}

/// Signs everyone in over TLS; with `preface`, says that in plaintext first and hears one line after each part.
fn serve(config: Arc<ServerConfig>, preface: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let config = Arc::clone(&config);
            thread::spawn(move || answer(stream.unwrap(), config, preface));
        }
    });
    address
}

fn answer(mut stream: TcpStream, config: Arc<ServerConfig>, preface: &[&str]) {
    let mut line = String::new();
    for part in preface {
        if !line.is_empty() || part.starts_with('*') {
            stream.write_all(part.as_bytes()).unwrap();
        }
        if !part.contains("begin") {
            line.clear();
            // Byte by byte: nothing of the handshake may be swallowed.
            let mut byte = [0];
            while std::io::Read::read(&mut stream, &mut byte).unwrap_or(0) == 1 && byte[0] != b'\n' {
                line.push(byte[0].into());
            }
        }
    }
    let mut tls = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    if preface.is_empty() && tls.get_mut().write_all(b"* OK [CAPABILITY IMAP4rev1] hi\r\n").is_err() {
        return;
    }
    let mut line = String::new();
    while tls.read_line(&mut line).is_ok_and(|read| read > 0) {
        let tag = line.split(' ').next().unwrap();
        let reply = if line.contains("CAPABILITY") {
            format!("* CAPABILITY IMAP4rev1\r\n{tag} OK\r\n")
        } else {
            format!("{tag} OK [CAPABILITY IMAP4rev1] done\r\n")
        };
        if tls.get_mut().write_all(reply.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

fn dial(settings: Settings) -> Result<ImapConnection, DialFailure> {
    ImapConnector::new(settings).dial(session(0))
}

#[test]
fn the_authority_in_the_file_is_trusted_and_the_session_tells_its_tls() {
    let authority = authority("ours");
    let address = serve(authority.server(|_| {}), &[]);
    let connector = ImapConnector::new(authority.settings(address, Security::Tls));
    let mut connection = connector.dial(session(0)).unwrap();
    for _ in 0..3 {
        connection.run(ImapOperation::Noop, "").unwrap();
    }
    let tls = connection.established().tls.as_ref().unwrap();
    assert_eq!((tls.version.as_str(), tls.resumed), ("TLSv1.3", false));
    assert!(tls.cipher.starts_with("TLS13_"), "{}", tls.cipher);
    let before = connection.bytes();
    connection.run(ImapOperation::Noop, "").unwrap();
    let after = connection.bytes();
    assert_eq!((after.send_calls - before.send_calls, after.receive_calls - before.receive_calls), (1, 1));
    assert_eq!(after.sent - before.sent, "a6 NOOP\r\n".len() as u64, "plaintext bytes are counted");
    let again = connector.dial(session(1)).unwrap();
    assert!(again.established().tls.as_ref().unwrap().resumed);
}

#[test]
fn a_certificate_that_is_not_to_be_trusted_says_why() {
    let ours = authority("ours");
    let theirs = authority("theirs");
    let failure = |address| {
        let failure = dial(ours.settings(address, Security::Tls)).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (TlsCertificate, Stage::Tls), "{failure}");
        assert!(!failure.sign_in_attempted && failure.phases.tls.is_none());
        failure.failure.message
    };
    let message = failure(serve(theirs.server(|_| {}), &[]));
    assert!(message.starts_with("unknown issuer"), "{message}");
    let elsewhere = ours.server(|params| *params = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap());
    let message = failure(serve(elsewhere, &[]));
    assert!(message.contains("expected localhost") && message.contains("mx.example.org"), "{message}");
    let message = failure(serve(ours.server(|params| params.not_after = date_time_ymd(2020, 1, 1)), &[]));
    assert!(message.starts_with("expired"), "{message}");
    let message = failure(serve(ours.server(|params| params.not_before = date_time_ymd(2300, 1, 1)), &[]));
    assert!(message.starts_with("not yet valid"), "{message}");
}

#[test]
fn plaintext_on_a_tls_port_and_tls_on_a_plaintext_port_are_told() {
    let authority = authority("ours");
    let server = Server::start(|peer| {
        peer.send("* OK plaintext here\r\n");
        peer.line();
    });
    let failure = dial(authority.settings(server.address, Security::Tls)).err().unwrap();
    assert_eq!(failure.failure.kind, TlsHandshake, "{failure}");
    assert!(failure.failure.message.contains("plaintext"), "{failure}");

    let address = serve(authority.server(|_| {}), &[]);
    let mut settings = authority.settings(address, Security::Plain);
    settings.connect_timeout = Duration::from_millis(300);
    let failure = dial(settings).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (Timeout, Stage::Greeting), "{failure}");
    assert!(failure.failure.message.contains("imaps://"), "{failure}");
}

#[test]
fn starttls_is_used_and_nothing_said_before_it_counts() {
    let authority = authority("ours");
    let address = serve(
        authority.server(|_| {}),
        &["* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n", "a1 OK begin\r\n"],
    );
    let connection = dial(authority.settings(address, Security::StartTls)).unwrap();
    assert!(connection.established().tls.as_ref().is_some());
    let setup: Vec<_> = connection.established().commands.iter().map(|c| format!("a{} {}", c.tag.0, c.verb)).collect();
    assert_eq!(setup, ["a1 STARTTLS", "a2 CAPABILITY", "a3 LOGIN"]);
}

#[test]
fn without_starttls_no_credential_is_sent() {
    let authority = authority("ours");
    for greeting in [
        "* OK [CAPABILITY IMAP4rev1] hi\r\n",
        "* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n",
        "* PREAUTH [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n",
    ] {
        let server = Server::start(move |peer| {
            peer.send(greeting);
            while peer.answer("{t} NO\r\n") {}
        });
        let failure = dial(authority.settings(server.address, Security::StartTls)).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (TlsHandshake, Stage::Tls), "{failure}");
        assert_eq!(server.heard_verb("LOGIN"), 0);
        assert!(!failure.sign_in_attempted);
    }
}

#[test]
fn plaintext_injected_after_starttls_is_refused() {
    let authority = authority("ours");
    let address = serve(
        authority.server(|_| {}),
        &["* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", "a1 OK begin\r\n* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n"],
    );
    let failure = dial(authority.settings(address, Security::StartTls)).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (Protocol, Stage::Tls), "{failure}");
}

#[test]
fn a_ca_file_that_cannot_be_used_is_one_clear_line_before_any_dial() {
    let directory = TempDir::new().unwrap();
    for (content, said) in [
        (None, "cannot be read"),
        (Some(""), "holds no certificate"),
        (Some("not pem"), "holds no certificate"),
        (Some("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), "not valid PEM"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "broken certificate"),
    ] {
        let path = directory.path().join("ca.pem");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = TlsSettings { ca_file: Some(path) }.client_config().unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    let endless = TlsSettings { ca_file: Some("/dev/zero".into()) }.client_config().unwrap_err().to_string();
    assert_eq!(
        endless,
        "the CA file /dev/zero is longer than 1 MiB; name a file that holds only the authorities to trust"
    );
}
