//! Whom we trust, and what the refusal to says. Certificates are made here and now.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use mailconn::protocol::FailureKind::{Protocol, Timeout, TlsCertificate, TlsHandshake};
use mailconn::protocol::{
    Certificate, DialEvent, DialFailure, ImapConnection, ImapConnector, ImapOperation, Security, Settings, Stage,
    TlsSettings, TlsVersion,
};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use tempfile::TempDir;

use super::scripted::{Server, session, settings};

pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pub pem: String,
}

pub fn authority(name: &str) -> Authority {
    authority_with(name, KeyPair::generate().unwrap())
}

fn authority_with(name: &str, key: KeyPair) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { issuer: Issuer::new(params, key), pem }
}

impl Authority {
    pub fn server(&self, adjust: impl FnOnce(&mut CertificateParams)) -> Arc<ServerConfig> {
        self.strict_server(adjust, None, &[&TLS12, &TLS13])
    }

    /// One that speaks these versions, and only to clients that `clients` signed.
    fn strict_server(
        &self,
        adjust: impl FnOnce(&mut CertificateParams),
        clients: Option<&Self>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Arc<ServerConfig> {
        let (certificate, key) = self.issue(adjust);
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(CertificateDer::from_pem_slice(authority.pem.as_bytes()).unwrap()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                config.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap())
    }

    /// A certificate for localhost, unless it is adjusted, and its key in PEM.
    fn issue(&self, adjust: impl FnOnce(&mut CertificateParams)) -> (rcgen::Certificate, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        adjust(&mut params);
        (params.signed_by(&key, &self.issuer).unwrap(), key.serialize_pem())
    }

    pub fn settings(&self, address: SocketAddr, security: Security) -> Settings {
        self.settings_with(address, security, |_| {})
    }

    /// Whoever trusts this authority and is otherwise told to.
    fn settings_with(
        &self,
        address: SocketAddr,
        security: Security,
        adjust: impl FnOnce(&mut TlsSettings),
    ) -> Settings {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("ca.pem");
        fs::write(&path, &self.pem).unwrap();
        let mut settings = settings(address);
        settings.endpoint.security = security;
        settings.endpoint.host = "localhost".into();
        let mut tls = TlsSettings { ca_file: Some(path), ..TlsSettings::default() };
        adjust(&mut tls);
        settings.tls = Some(tls.client().unwrap());
        settings
    }
}

/// Signs everyone in over TLS; with `preface`, says that in plaintext first and hears one line after each part.
pub fn serve(config: Arc<ServerConfig>, preface: &'static [&'static str]) -> SocketAddr {
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
    assert!(message.starts_with("unknown issuer (CN=theirs)") && message.contains("--ca-file"), "{message}");
    let message = failure(serve(authority("ours").server(|_| {}), &[]));
    assert!(message.starts_with("bad signature: an authority of that name (CN=ours)"), "{message}");
    let names = ["mx.example.org", "*.example.com", "192.0.2.7", "2001:db8::7"].map(str::to_owned);
    let elsewhere = ours.server(|params| *params = CertificateParams::new(names).unwrap());
    let message = failure(serve(elsewhere, &[]));
    let got = "expected localhost, the certificate is for mx.example.org, *.example.com, 192.0.2.7, 2001:db8::7; use";
    assert!(message.starts_with("wrong name: ") && message.contains(got), "{message}");
    let many = (0..20).map(|number| format!("mx{number}.example.org")).collect::<Vec<_>>();
    let message = failure(serve(ours.server(|params| *params = CertificateParams::new(many).unwrap()), &[]));
    assert!(message.contains("mx7.example.org and 12 more;"), "{message}");
    let nameless = ours.server(|params| params.subject_alt_names.clear());
    let message = failure(serve(nameless, &[]));
    assert!(message.contains("the certificate is for no name;"), "{message}");
    let message = failure(serve(ours.server(|params| params.not_after = date_time_ymd(2020, 1, 1)), &[]));
    assert!(message.starts_with("expired (2020-01-01 00:00 UTC, and it is 20"), "{message}");
    let message = failure(serve(ours.server(|params| params.not_before = date_time_ymd(2300, 1, 1)), &[]));
    assert!(message.starts_with("not yet valid (2300-01-01 00:00 UTC, and it is 20"), "{message}");
}

#[test]
fn rarer_faults_of_a_certificate_are_sentences_too() {
    let ours = authority("ours");
    let failure = |server| {
        let failure = dial(ours.settings(serve(server, &[]), Security::Tls)).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (TlsCertificate, Stage::Tls), "{failure}");
        failure.failure.message
    };
    let message = failure(ours.server(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]));
    assert!(message.starts_with("unfit certificate (CN=ours)") && message.contains("but for clients;"), "{message}");
    let old = authority_with("ours", KeyPair::generate_for(&PKCS_ED25519).unwrap());
    let address = serve(ours.server(|_| {}), &[]);
    let failure = dial(old.settings(address, Security::Tls)).err().unwrap();
    assert!(failure.failure.message.contains("probably an older one of the same name"), "{failure}");
}

#[test]
fn an_older_authority_of_the_same_name_is_said_to_be_the_likely_cause() {
    // It had a key of the same kind, or of another.
    for kind in [&PKCS_ECDSA_P256_SHA256, &PKCS_ED25519] {
        let old = authority_with("ours", KeyPair::generate_for(kind).unwrap());
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), &old.pem).unwrap();
        let address = serve(authority("ours").server(|_| {}), &[]);
        let url = format!("imaps://joe@localhost:{}", address.port());
        for args in [&["check", &url][..], &["run", "-n", "1", "-t", "1", "--server", &url]] {
            let mut command = crate::cli::process::mailconn(args);
            command.arg("--ca-file").arg(file.path()).env("MAILCONN_PASSWORD", "s3cret");
            let ended = crate::cli::process::end(&mut command);
            let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            assert_eq!(ended.code, 4, "{said}");
            let cause = "bad signature: an authority of that name (CN=ours) is trusted, but another key signed the server's \
                         certificate; the file of --ca-file is probably an older one of the same name";
            assert!(said.contains(cause) && !said.contains("Algorithm") && !said.contains('{'), "{said}");
        }
    }
}

#[test]
fn a_self_signed_certificate_is_trusted_if_it_is_passed_and_no_authority() {
    let self_signed = |is_ca: IsCa| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "localhost");
        params.is_ca = is_ca;
        let certificate = params.self_signed(&key).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap();
        (serve(Arc::new(config), &[]), Authority { issuer: Issuer::new(params, key), pem: certificate.pem() })
    };
    let (address, itself) = self_signed(IsCa::ExplicitNoCa);
    assert!(dial(itself.settings(address, Security::Tls)).is_ok());
    let failure = dial(authority("ours").settings(address, Security::Tls)).err().unwrap();
    let expected = "unknown issuer (CN=localhost): the server's certificate is self-signed; ";
    assert!(failure.failure.message.starts_with(expected), "{failure}");
    let (address, itself) = self_signed(IsCa::Ca(BasicConstraints::Unconstrained));
    for authority in [itself, authority("ours")] {
        let failure = dial(authority.settings(address, Security::Tls)).err().unwrap();
        assert_eq!(failure.failure.kind, TlsCertificate, "{failure}");
        assert!(failure.failure.message.contains("marked as an authority's own (CA:TRUE)"), "{failure}");
    }
}

#[test]
fn the_name_to_verify_can_be_another_than_the_host() {
    let ours = authority("ours");
    let elsewhere = |params: &mut CertificateParams| {
        *params = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
    };
    let address = serve(ours.server(elsewhere), &[]);
    let named = |name: &str| {
        let name = name.to_owned();
        dial(ours.settings_with(address, Security::Tls, |tls| tls.server_name = Some(name)))
    };
    let connection = named("mx.example.org").unwrap();
    let tls = connection.established().tls.as_ref().unwrap();
    assert_eq!((tls.server_name.as_str(), tls.verified), ("mx.example.org", true));
    let failure = named("other.example.org").err().unwrap();
    assert!(failure.failure.message.contains("expected other.example.org"), "{failure}");
    for name in ["", "no name", "a..b", "host:993"] {
        let error = TlsSettings { server_name: Some(name.into()), ..TlsSettings::default() }.client().unwrap_err();
        assert!(error.to_string().contains("give a host name or an address"), "{error}");
    }
}

#[test]
fn a_server_that_wants_a_client_certificate_gets_it_or_the_failure_says_so() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let directory = TempDir::new().unwrap();
    let file = |name: &str, content: &str| {
        let path = directory.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        path
    };
    for version in [&TLS12, &TLS13] {
        let address = serve(ours.strict_server(|_| {}, Some(&theirs), &[version]), &[]);
        let without = dial(ours.settings(address, Security::Tls)).err().unwrap();
        assert_eq!((without.failure.kind, without.failure.stage), (TlsHandshake, Stage::Tls), "{without}");
        assert!(without.failure.message.starts_with("the server requires a client certificate ("), "{without}");
        assert!(without.failure.message.ends_with("give one with --client-cert and --client-key"), "{without}");
        assert!(!without.sign_in_attempted);

        let preface: &[&str] = &["* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", "a1 OK begin\r\n"];
        let upgrading = serve(ours.strict_server(|_| {}, Some(&theirs), &[version]), preface);
        // The server's alert races what we write: whichever is first, the reason is told.
        for _ in 0..20 {
            let without = dial(ours.settings(upgrading, Security::StartTls)).err().unwrap();
            assert!(without.failure.message.starts_with("the server requires a client certificate ("), "{without}");
        }

        let with = |authority: &Authority| {
            let (certificate, key) = authority.issue(|_| {});
            let certificate = file("cert.pem", &certificate.pem());
            let key = file("key.pem", &key);
            dial(ours.settings_with(address, Security::Tls, |tls| {
                (tls.client_cert, tls.client_key) = (Some(certificate), Some(key));
            }))
        };
        assert!(with(&theirs).is_ok());
        let refused = with(&ours).err().unwrap();
        assert_eq!((refused.failure.kind, refused.failure.stage), (TlsHandshake, Stage::Tls), "{refused}");
        assert!(refused.failure.message.starts_with("the server refused the client certificate ("), "{refused}");
    }
}

#[test]
fn a_client_certificate_that_cannot_be_used_is_one_clear_line_before_any_dial() {
    let ours = authority("ours");
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name);
    let (certificate, key) = ours.issue(|_| {});
    let certificate = certificate.pem();
    let (_, other_key) = ours.issue(|_| {});
    fs::write(path("cert.pem"), &certificate).unwrap();
    fs::write(path("key.pem"), &key).unwrap();
    fs::write(path("both.pem"), format!("{certificate}{key}")).unwrap();
    fs::write(path("other.pem"), other_key).unwrap();
    fs::write(path("empty.pem"), "").unwrap();
    fs::write(path("broken.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap();
    fs::write(path("nokey.pem"), "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").unwrap();
    fs::write(path("locked.pem"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .unwrap();
    fs::write(path("open.pem"), &key).unwrap();
    for (name, mode) in [("key.pem", 0o600), ("both.pem", 0o600), ("other.pem", 0o600), ("open.pem", 0o620)] {
        fs::set_permissions(path(name), Permissions::from_mode(mode)).unwrap();
    }
    let client = |certificate: Option<&str>, key: Option<&str>| {
        let settings =
            TlsSettings { client_cert: certificate.map(path), client_key: key.map(path), ..TlsSettings::default() };
        settings.client()
    };
    assert!(client(Some("cert.pem"), Some("key.pem")).is_ok());
    let both = client(Some("both.pem"), None).unwrap();
    let shown = format!("{both:?}");
    assert!(shown.contains("client_certificate: true") && shown.len() < 200, "{shown}");
    for (certificate, key, said) in [
        (Some("none.pem"), Some("key.pem"), "the client certificate"),
        (Some("cert.pem"), Some("none.pem"), "the client key"),
        (Some("empty.pem"), Some("key.pem"), "holds no certificate"),
        (Some("cert.pem"), None, "or name the file that has it with --client-key"),
        (Some("cert.pem"), Some("empty.pem"), "holds no private key"),
        (Some("cert.pem"), Some("locked.pem"), "holds no private key; it must be PEM and unencrypted"),
        (Some("cert.pem"), Some("nokey.pem"), "cannot be used"),
        (Some("broken.pem"), Some("key.pem"), "broken certificate"),
        (Some("cert.pem"), Some("other.pem"), "does not belong to the first certificate"),
        (Some("cert.pem"), Some("open.pem"), "can be written by others"),
        (Some("/dev/zero"), None, "it is no regular file"),
        (None, Some("key.pem"), "name it with --client-cert"),
    ] {
        let error = client(certificate, key).unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{certificate:?} {key:?}: {error}");
    }
}

#[test]
fn a_version_that_is_too_low_says_whose_fault_it_is() {
    let ours = authority("ours");
    let address = serve(ours.strict_server(|_| {}, None, &[&TLS12]), &[]);
    let at_least = |version| dial(ours.settings_with(address, Security::Tls, |tls| tls.min_version = version));
    for version in [None, Some(TlsVersion::Tls12)] {
        let connection = at_least(version).unwrap();
        assert_eq!(connection.established().tls.as_ref().unwrap().version, "TLSv1.2");
    }
    let failure = at_least(Some(TlsVersion::Tls13)).err().unwrap();
    assert_eq!((failure.failure.kind, failure.failure.stage), (TlsHandshake, Stage::Tls), "{failure}");
    assert!(failure.failure.message.contains("allow TLS 1.2 with --tls-min 1.2"), "{failure}");

    // A fatal alert, protocol_version: what a server with nothing newer than TLS 1.1 answers.
    let server = Server::start(|peer| {
        peer.send_bytes(b"\x15\x03\x01\x00\x02\x02\x46");
    });
    let failure = dial(ours.settings(server.address, Security::Tls)).err().unwrap();
    assert!(failure.failure.message.contains("speaks neither TLS 1.3 nor 1.2"), "{failure}");
}

#[test]
fn insecure_accepts_anyone_who_holds_the_key_and_the_session_says_so() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let expired = theirs.server(|params| {
        *params = CertificateParams::new(vec!["mx.example.org".to_owned()]).unwrap();
        params.not_after = date_time_ymd(2020, 1, 1);
    });
    let settings = ours.settings_with(serve(expired, &[]), Security::Tls, |tls| tls.insecure = true);
    assert!(!settings.tls.as_ref().unwrap().verifies());
    let connection = dial(settings).unwrap();
    assert!(!connection.established().tls.as_ref().unwrap().verified);

    let (certificate, _) = theirs.issue(|_| {});
    let (_, other_key) = theirs.issue(|_| {});
    let key =
        rustls::crypto::ring::sign::any_supported_type(&PrivateKeyDer::from_pem_slice(other_key.as_bytes()).unwrap());
    let stolen = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], key.unwrap());
    for version in [&TLS12, &TLS13] {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).unwrap();
        let resolver = rustls::sign::SingleCertAndKey::from(stolen.clone());
        let config = config.with_no_client_auth().with_cert_resolver(Arc::new(resolver));
        let address = serve(Arc::new(config), &[]);
        let failure = dial(ours.settings_with(address, Security::Tls, |tls| tls.insecure = true)).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (TlsCertificate, Stage::Tls), "{failure}");
    }
}

#[test]
fn insecure_is_said_at_the_start_and_in_the_report() {
    let address = serve(authority("theirs").server(|_| {}), &[]);
    let run = |flags: &[&str]| {
        let url = format!("imaps://joe@{address}");
        let args = ["run", "--server", &url, "-t", "1", "-n", "1", "--ops", "noop"];
        let mut command = crate::cli::process::mailconn(args.iter().chain(flags));
        let output = command.env("MAILCONN_PASSWORD", "s3cret").output().unwrap();
        let (said, told) = (String::from_utf8(output.stderr).unwrap(), String::from_utf8(output.stdout).unwrap());
        (output.status.code(), said, told)
    };
    let (code, said, told) = run(&["--format", "json"]);
    assert_eq!((code, said.matches("WARNING").count()), (Some(4), 0), "{said}");
    assert!(told.contains("unknown issuer (CN=theirs)") && told.contains("\"certificates_verified\": true"), "{told}");

    let (code, said, told) = run(&["--format", "json", "--insecure"]);
    let warning = "mailconn: WARNING: certificates are not verified (--insecure): anyone may be the server\n";
    assert_eq!((code, said.starts_with(warning)), (Some(0), true), "{said}{told}");
    assert!(told.contains("\"certificates_verified\": false"), "{told}");
    let (code, _, told) = run(&["--insecure"]);
    assert!(code == Some(0) && told.contains("WARNING: certificates were not verified (--insecure)"), "{told}");
}

#[test]
fn whoever_watches_a_dial_is_told_what_the_certificate_says() {
    let ours = authority("ours");
    let (start, end) = (date_time_ymd(2020, 2, 3), date_time_ymd(2300, 4, 5));
    let address = serve(
        ours.server(|params| {
            *params = CertificateParams::new(["localhost", "*.example.org", "127.0.0.1"].map(str::to_owned)).unwrap();
            params.distinguished_name.push(DnType::CommonName, "mail\u{202e}");
            (params.not_before, params.not_after) = (start, end);
        }),
        &[],
    );
    let seen = Arc::new(Mutex::new(Vec::new()));
    let mut settings = ours.settings(address, Security::Tls);
    let told = Arc::clone(&seen);
    settings.watch = Some(Arc::new(move |event| {
        if let DialEvent::Secured(tls) = event {
            told.lock().unwrap().push((tls.certificate.clone(), tls.resumed));
        }
    }));
    let connector = ImapConnector::new(settings);
    for number in 0..2 {
        connector.dial(session(number)).unwrap().run(ImapOperation::Noop, "").unwrap();
    }
    let expected = Certificate {
        names: ["localhost", "*.example.org", "127.0.0.1"].map(str::to_owned).to_vec(),
        subject: "CN=mail\\u{202e}".to_owned(),
        issuer: "CN=ours".to_owned(),
        not_before: start.into(),
        not_after: end.into(),
        is_authority: false,
    };
    assert_eq!(*seen.lock().unwrap(), [(Some(expected.clone()), false), (Some(expected), true)]);
    let unwatched = dial(ours.settings(address, Security::Tls)).unwrap();
    assert_eq!(unwatched.established().tls.as_ref().unwrap().certificate, None);
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
        (Some("-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n"), "a section is not base64"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n"), "the line -----END CERTIFICATE----- is missing"),
        (Some("-----BEGIN CERTIFICATE\nAAAA\n"), "does not end with five hyphens"),
        (Some("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "broken certificate"),
    ] {
        let path = directory.path().join("ca.pem");
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        let error = TlsSettings { ca_file: Some(path), ..TlsSettings::default() }.client().unwrap_err().to_string();
        assert!(error.contains(said) && !error.contains('\n'), "{error}");
    }
    let endless = TlsSettings { ca_file: Some("/dev/zero".into()), ..TlsSettings::default() };
    let endless = endless.client().unwrap_err().to_string();
    assert_eq!(endless, "the CA file /dev/zero cannot be read: it is no regular file");
}
