//! STARTTLS of SMTP and STLS of POP3: required, and nothing secret said before them.

use std::sync::Arc;
use std::time::Duration;

use mailconn::protocol::FailureKind::{
    AuthInvalid, Closed, Protocol, ServerBad, ServerUnavailable, TlsCertificate, TlsHandshake,
};
use mailconn::protocol::Protocol::{Pop3, Smtp};
use mailconn::protocol::{Security, Settings, Stage, Tls, TlsSettings};
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::scripted::{Rules, Server};

/// A server's certificate, and a client that trusts it.
pub fn trusted() -> (Arc<ServerConfig>, Tls) {
    let made = generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let certificate: CertificateDer<'static> = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let server = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let client = TlsSettings { ca_pem: Some(pem), ..TlsSettings::default() }.client().unwrap();
    (Arc::new(server), client)
}

fn starttls(server: &Server, client: Tls) -> Settings {
    let mut settings = server.settings();
    settings.endpoint.security = Security::StartTls;
    settings.endpoint.host = "localhost".into();
    settings.tls = Some(client);
    settings.connect_timeout = Duration::from_secs(2);
    settings
}

/// Agrees to the upgrade, then goes on by these rules.
fn upgrading(config: Arc<ServerConfig>, smtp: bool, then: Rules) -> Server {
    let (protocol, greeting, before, agreed) = if smtp {
        let before = "250-mx\r\n250-PIPELINING\r\n250-STARTTLS\r\n250 AUTH LOGIN\r\n";
        (Smtp, "220 hi\r\n", before, "220 2.0.0 go ahead\r\n")
    } else {
        (Pop3, "+OK hi\r\n", "+OK\r\nSTLS\r\nTOP\r\nUSER\r\n.\r\n", "+OK begin\r\n")
    };
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        peer.send(greeting);
        peer.answer(before);
        peer.answer(agreed);
        peer.start_tls(Arc::clone(&config));
        peer.go_on(then);
    })
}

#[test]
fn nothing_that_was_said_before_tls_counts_after_it() {
    let (config, client) = trusted();
    let server = upgrading(
        Arc::clone(&config),
        true,
        &[("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n"), ("AUTH", "235 in\r\n"), ("NOOP", "250 ok\r\n")],
    );
    let connection = server.dial_with(starttls(&server, client.clone())).unwrap();
    assert_eq!(connection.established().signed_in_by, Some("PLAIN"), "LOGIN was offered in the clear alone");
    assert!(connection.established().tls.is_some());
    let setup: Vec<_> = connection.established().commands.iter().map(|command| command.verb.name()).collect();
    assert_eq!(setup, ["EHLO", "STARTTLS", "EHLO", "AUTH"]);

    let server = upgrading(config, false, &[("CAPA", "+OK\r\nSASL PLAIN\r\n.\r\n"), ("AUTH", "+OK in\r\n")]);
    let connection = server.dial_with(starttls(&server, client)).unwrap();
    assert_eq!(connection.established().signed_in_by, Some("PLAIN"));
    let setup: Vec<_> = connection.established().commands.iter().map(|command| command.verb.name()).collect();
    assert_eq!(setup, ["CAPA", "STLS", "CAPA", "AUTH"]);
}

#[test]
fn without_the_upgrade_nothing_secret_is_sent() {
    let (_, client) = trusted();
    for (server, kind, heard) in [
        (Server::smtp(&[]), TlsHandshake, "EHLO QUIT"),
        (Server::smtp(&[("EHLO", "250-mx\r\n250-XXXXXXXA\r\n250 AUTH PLAIN\r\n")]), TlsHandshake, "EHLO QUIT"),
        (Server::smtp(&[("EHLO", "500 what\r\n"), ("HELO", "250 mx\r\n")]), TlsHandshake, "EHLO HELO QUIT"),
        (
            Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "454 4.7.0 TLS not available\r\n")]),
            ServerUnavailable,
            "EHLO STARTTLS QUIT",
        ),
        (
            Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "502 5.5.1 what\r\n")]),
            ServerBad,
            "EHLO STARTTLS QUIT",
        ),
        (
            Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "421 4.3.0 going down\r\n")]),
            ServerUnavailable,
            "EHLO STARTTLS",
        ),
        (Server::pop3(&[]), TlsHandshake, "CAPA QUIT"),
        (Server::pop3(&[("CAPA", "-ERR what\r\n"), ("STLS", "-ERR what\r\n")]), TlsHandshake, "CAPA STLS QUIT"),
        (
            Server::pop3(&[("CAPA", "+OK\r\nSTLS\r\n.\r\n"), ("STLS", "-ERR not now\r\n")]),
            TlsHandshake,
            "CAPA STLS QUIT",
        ),
    ] {
        let failure = server.dial_with(starttls(&server, client.clone())).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (kind, Stage::Tls), "{failure}");
        assert!(!failure.sign_in_attempted);
        assert_eq!(server.verbs(), heard);
    }
}

#[test]
fn plaintext_injected_behind_the_agreement_is_refused_cve_2011_0411() {
    let (_, client) = trusted();
    for server in [
        Server::smtp(&[
            ("EHLO", "250-mx\r\n250 STARTTLS\r\n"),
            ("STARTTLS", "220 go ahead\r\n250-mx\r\n250 AUTH PLAIN\r\n"),
        ]),
        Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go ahead\r\n2")]),
        Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n220 go ahead\r\n")]),
        Server::pop3(&[("CAPA", "+OK\r\nSTLS\r\n.\r\n"), ("STLS", "+OK begin\r\n+OK\r\nUSER\r\n.\r\n")]),
        Server::pop3(&[("CAPA", "+OK\r\nSTLS\r\n.\r\n+OK begin\r\n")]),
    ] {
        let failure = server.dial_with(starttls(&server, client.clone())).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (Protocol, Stage::Tls), "{failure}");
        let heard = server.verbs();
        assert!(!["AUTH", "USER", "PASS", "QUIT"].iter().any(|verb| heard.contains(verb)), "{heard}");
    }
}

#[test]
fn after_a_handshake_that_failed_no_byte_follows_in_the_clear() {
    let (config, _) = trusted();
    let (_, distrusting) = trusted();
    for smtp in [true, false] {
        let server = upgrading(Arc::clone(&config), smtp, &[]);
        let failure = server.dial_with(starttls(&server, distrusting.clone())).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (TlsCertificate, Stage::Tls), "{failure}");
        assert!(!server.verbs().contains("QUIT"), "{}", server.verbs());
    }
    // What looks like an agreement is none: the server goes on in plaintext.
    for server in [
        Server::smtp(&[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 go ahead\r\n")]),
        Server::pop3(&[("CAPA", "+OK\r\nSTLS\r\n.\r\n"), ("STLS", "+OK begin\r\n")]),
    ] {
        let failure = server.dial_with(starttls(&server, distrusting.clone())).err().unwrap();
        assert!(matches!(failure.failure.kind, TlsHandshake | Closed), "{failure}");
        assert!(!failure.sign_in_attempted && !server.verbs().contains("QUIT"));
    }
}

#[test]
fn a_sign_in_refused_under_tls_ends_with_goodbye_under_tls() {
    let (config, client) = trusted();
    let server = upgrading(
        config,
        true,
        &[("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n"), ("AUTH", "535 5.7.8 no\r\n"), ("QUIT", "221 bye\r\n")],
    );
    let failure = server.dial_with(starttls(&server, client)).err().unwrap();
    assert_eq!(failure.failure.kind, AuthInvalid, "{failure}");
    assert_eq!(server.verbs(), "EHLO STARTTLS EHLO AUTH QUIT");
}
