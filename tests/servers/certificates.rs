//! Certificates that are not to be trusted, and an upgrade to TLS that somebody takes away: by each protocol, nothing is
//! said to such a server.

use super::tool::{Protection, Protocol, Tool, assert_sums_hold};
use crate::support::dovecot::PrivateDovecot;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

fn assert_refused_with(fault: &'static str, sentence: &str) {
    let server = PrivateDovecot::builder().postfix().certificate(fault).start();
    for protocol in Protocol::ALL {
        for protection in [Protection::StartTls, Protection::Tls] {
            let tool = Tool::speaking(protocol, &server, "u1", protection).with("-t 2 -n 2 --format json");
            let finished = tool.finish();
            assert_eq!(finished.code, 4, "{protocol:?} {protection:?}: {}{}", finished.stdout, finished.stderr);
            let report = finished.json();
            assert_sums_hold(&report);
            let failures = report["failures"].as_array().unwrap();
            let tried = |failure: &&serde_json::Value| !failure["message"].as_str().unwrap().starts_with("not tried");
            let [failure] = failures.iter().filter(tried).collect::<Vec<_>>()[..] else { panic!("{report:#}") };
            assert_eq!((&failure["kind"], &failure["stage"]), (&"tls-certificate".into(), &"tls".into()));
            assert!(failure["message"].as_str().unwrap().starts_with(sentence), "{protocol:?}: {failure}");
            assert!(report["sessions"].as_array().unwrap().iter().all(|it| it["sign_in_attempted"] == false));
        }
    }
}

#[test]
fn an_expired_certificate_is_refused_as_expired() {
    assert_refused_with("expired", "expired (");
}

#[test]
fn a_certificate_of_the_future_is_refused_as_not_yet_valid() {
    assert_refused_with("notyet", "not yet valid (");
}

#[test]
fn a_certificate_for_another_name_is_refused_as_a_wrong_name() {
    assert_refused_with("wrongname", "wrong name: ");
}

#[test]
fn a_certificate_of_a_stranger_is_refused_as_of_an_unknown_issuer() {
    assert_refused_with("unknown", "unknown issuer");
}

/// What the client said, in the clear, through a relay that takes the offer of TLS out of what the server says.
fn stripped(port: u16, offer: &'static str) -> (u16, Arc<Mutex<Vec<u8>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let relay = listener.local_addr().unwrap().port();
    let said = Arc::new(Mutex::new(Vec::new()));
    let all_said = Arc::clone(&said);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (client, server) = (client.unwrap(), TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap());
            let (mut from_client, mut to_client) = (client.try_clone().unwrap(), client);
            let (mut from_server, mut to_server) = (server.try_clone().unwrap(), server);
            let said = Arc::clone(&all_said);
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from_client.read(&mut buffer) {
                    said.lock().unwrap().extend_from_slice(&buffer[..count]);
                    let _ = to_server.write_all(&buffer[..count]);
                }
                let _ = to_server.shutdown(Shutdown::Both);
            });
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                while let Ok(count @ 1..) = from_server.read(&mut buffer) {
                    let told = String::from_utf8_lossy(&buffer[..count]).replace(offer, &"X".repeat(offer.len()));
                    let _ = to_client.write_all(told.as_bytes());
                }
                let _ = to_client.shutdown(Shutdown::Both);
            });
        }
    });
    (relay, said)
}

#[test]
fn where_the_offer_of_tls_is_taken_away_nothing_is_signed_in_in_the_clear() {
    let server = PrivateDovecot::builder().postfix().start();
    for (protocol, port, offer) in [
        ("imap", server.imap_port(), "STARTTLS"),
        ("smtp", server.smtp_port(), "STARTTLS"),
        ("pop3", server.pop3_port(), "STLS"),
    ] {
        let (relay, said) = stripped(port, offer);
        let tool = Tool::dialling(&format!("{protocol}://u1@127.0.0.1:{relay}")).password("pw-in-the-clear");
        let finished = tool.with("--starttls -t 2 -n 2").finish();
        assert_eq!(finished.code, 4, "{protocol}: {}{}", finished.stdout, finished.stderr);
        assert!(finished.words().contains(&format!("the server offers no {offer}")), "{}", finished.stdout);
        let said = String::from_utf8_lossy(&said.lock().unwrap()).to_uppercase();
        for word in ["AUTH", "LOGIN", "USER", "PASS", "PW-IN", "U1"] {
            assert!(!said.contains(word), "{protocol}: {said}");
        }
        let goodbye = if protocol == "imap" { "LOGOUT" } else { "QUIT" };
        assert!(said.contains(goodbye), "{protocol} says goodbye: {said}");
    }
}
