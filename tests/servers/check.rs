//! `mailconn check` on each listener of a private Dovecot and Postfix: what it claims is in their logs.

use super::tool::{Protection, Protocol, SOON, Tool};
use crate::support::dovecot::PrivateDovecot;
use serde_json::Value;

fn steps(report: &Value) -> Vec<&str> {
    report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect()
}

/// Whether the server's own log has a session on that port, as protected as it should be, which ended.
fn is_logged(server: &PrivateDovecot, protocol: Protocol, protection: Protection, report: &Value) -> bool {
    let port = u16::try_from(report["local_port"].as_u64().unwrap()).unwrap();
    let encrypted = protection != Protection::Plain;
    if protocol == Protocol::Smtp {
        let log =
            server.wait_for_postfix(SOON, |log| log.on_port(port).is_some_and(|session| session.counts.is_some()));
        return log.on_port(port).unwrap().tls.is_some() == encrypted;
    }
    let log = server.wait_for(SOON, |log| log.on_port(port).is_some_and(|session| session.end.is_some()));
    let session = log.on_port(port).unwrap();
    session.tls == encrypted && session.label("x-mailconn-session") == report["label"].as_str()
}

#[test]
fn every_listener_is_shown_as_it_is_and_has_it_in_its_own_log() {
    let server = PrivateDovecot::builder().postfix().start();
    for protocol in Protocol::ALL {
        for protection in [Protection::Plain, Protection::StartTls, Protection::Tls] {
            let tool = || Tool::checking(protocol, &server, "u1", protection);
            let text = tool().finish();
            assert_eq!((text.code, &*text.stderr), (0, ""), "{protocol:?} {protection:?}: {}", text.stdout);
            assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
            assert!(text.stdout.contains("  by SCRAM-SHA-256\n"), "{}", text.stdout);
            let report: Value = serde_json::from_str(&tool().with("--format json").finish().stdout).unwrap();
            let before: &[&str] = match protection {
                Protection::Plain => &["resolve", "connect", "greeting", "offers", "sign-in"],
                Protection::StartTls => &["resolve", "connect", "greeting", "offers", "tls", "offers", "sign-in"],
                Protection::Tls => &["resolve", "connect", "tls", "greeting", "offers", "sign-in"],
            };
            let after: &[&str] = match protocol {
                Protocol::Imap => &["offers", "operation", "operation", "logout"],
                Protocol::Smtp => &["operation", "logout"],
                Protocol::Pop3 => &["offers", "operation", "logout"],
            };
            assert_eq!(steps(&report), [before, after].concat(), "{report:#}");
            assert!(is_logged(&server, protocol, protection, &report), "{report:#}");
        }
    }
}
