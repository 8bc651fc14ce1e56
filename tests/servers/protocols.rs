//! The three modes over SMTP and POP3, plain, under STARTTLS and under TLS: is every claim of the report in the server's
//! record?

use super::agreement::Claim;
use super::modes::{assert_all_held, used};
use super::tool::{Protection, Protocol, Report, SOON, Tool};
use crate::support::dovecot::PrivateDovecot;
use std::collections::BTreeMap;

/// A1–A3 and A6, on one server: a user for each mode.
fn three_modes(
    server: &PrivateDovecot,
    protocol: Protocol,
    protection: Protection,
    flags: &str,
    recorded: impl Fn(&PrivateDovecot, &str, &Report),
) {
    let run = |user: &str, more: &str| {
        let tool = Tool::speaking(protocol, server, user, protection).with(flags).with(more);
        let (finished, report) = tool.streamed();
        assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
        for opened in report.events("session-opened") {
            assert_eq!(opened["tls"].is_null(), protection == Protection::Plain, "{opened}");
            assert_eq!(opened["signed_in_by"], "SCRAM-SHA-256", "the strongest way: {opened}");
        }
        recorded(server, user, &report);
        report
    };

    let report = run("u1", "--mode use-main -t 4 -n 12");
    assert_all_held(&report, 48);
    assert_eq!(report.events("session-opened").count(), 1);
    assert!(used(&report).values().flatten().all(|used| *used == ("#0", "main")), "{:?}", used(&report));

    let report = run("u2", "--mode use-default -t 4 -n 12");
    assert_all_held(&report, 48);
    assert_eq!(report.events("session-opened").count(), 4);
    assert!(report.events("session-opened").all(|opened| opened["session"] != "#0"), "A4");
    for used in used(&report).values() {
        let reasons: Vec<_> = used.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(reasons, ["default", "default-created"]);
    }

    let report = run("u3", "--mode use-main-or-default -t 4 -n 12 --default-for w0,w1 --independent-for w1,w3");
    assert_all_held(&report, 48);
    assert_eq!(report.events("session-opened").count(), 5);
    let used = used(&report);
    let reasons = |worker: &str| used[worker].iter().map(|(_, reason)| *reason).collect::<Vec<_>>();
    assert_eq!(["w0", "w1", "w2", "w3"].map(reasons), [["default"], ["explicit"], ["main"], ["explicit"]]);
}

fn counted(claim: &Claim<'_>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for (_, verb) in claim.commands() {
        *counts.entry(verb.to_lowercase()).or_default() += 1;
    }
    counts
}

/// Ports, names and each command's count, in Postfix's own log; nothing extra there.
fn recorded_by_postfix(server: &PrivateDovecot, user: &str, report: &Report) {
    let claims = Claim::all(report);
    let log = server.wait_for_postfix(SOON, |log| {
        claims.iter().all(|claim| log.on_port(claim.port).is_some_and(|session| session.counts.is_some()))
    });
    let of_run = format!(".r{}.", report.run_id());
    let named = log.sessions.iter().filter(|session| session.names.iter().any(|name| name.contains(&of_run)));
    assert_eq!(named.count(), claims.len(), "as many sessions as were claimed");
    for claim in &claims {
        let session = log.on_port(claim.port).unwrap();
        assert!(claim.is_logged_out(), "{}", claim.name);
        assert_eq!(session.tls.is_some(), !claim.opened["tls"].is_null(), "{}", claim.name);
        let label = claim.opened["label"].as_str().unwrap();
        assert!(session.names.iter().all(|name| name == label), "{} is {label}: {session:?}", claim.name);
        assert!(label.starts_with(&format!("c{}-1.r", claim.name.trim_start_matches('#'))), "{label}");
        let claimed = counted(claim);
        let all: u64 = claimed.values().sum();
        let mut logged: BTreeMap<String, u64> =
            session.counts.as_ref().unwrap().iter().map(|(name, count)| (name.clone(), count.total)).collect();
        assert_eq!(logged.remove("commands"), Some(all), "{}: {logged:?}", claim.name);
        assert_eq!(logged, claimed, "{}", claim.name);
        if let Some((_, signed_in)) = &session.signed_in {
            assert_eq!(signed_in, user);
        }
        // A6 of each operation was judged by the verdict; here: what went over this port is what it is said to be.
        assert!(claim.operations.iter().all(|operation| operation["local_port"] == claim.port), "{}", claim.name);
    }
}

/// Ports, users, each command in its order and the bytes of each session, in Dovecot's own log and transcripts.
fn recorded_by_dovecot(server: &PrivateDovecot, user: &str, report: &Report) {
    let claims = Claim::all(report);
    let log = super::agreement::ended(server, user, claims.len());
    for claim in &claims {
        let session = log.on_port(claim.port).unwrap_or_else(|| panic!("{} is on no port of the log", claim.name));
        assert_eq!((session.user.as_str(), session.tls), (user, !claim.opened["tls"].is_null()), "{}", claim.name);
        assert_eq!(session.end.as_ref().unwrap().reason, "Logged out", "{}", claim.name);
        let mut claimed: Vec<String> = claim.commands().into_iter().map(|(_, verb)| verb).collect();
        let sign_in = claimed.iter().position(|verb| verb == "AUTH").expect("a sign-in");
        let after = claimed.split_off(sign_in + 1);
        let logged: Vec<&str> = session.commands.iter().map(|command| command.verb.as_str()).collect();
        assert_eq!(logged, after, "{}", claim.name);
        for operation in &claim.operations {
            assert_eq!(operation["local_port"], claim.port, "{operation}");
        }
        let (read, written) = session.end.as_ref().unwrap().bytes.unwrap();
        let (sent, received) = (&claim.closed["bytes_sent"], &claim.closed["bytes_received"]);
        // What came before the sign-in was over is in ours alone.
        assert!(sent.as_u64().unwrap() > read && received.as_u64().unwrap() > written, "{}", claim.name);
    }
}

const SMTP: &str = "--ops noop=2,verify,send=2 --allow-writes --to u4@localhost --ehlo-label";
const POP3: &str = "--ops noop,stat,list,retrieve=2";

#[test]
fn smtp_every_claim_is_in_the_servers_record_without_tls() {
    let server = PrivateDovecot::builder().postfix().start();
    three_modes(&server, Protocol::Smtp, Protection::Plain, SMTP, recorded_by_postfix);
}

#[test]
fn smtp_every_claim_is_in_the_servers_record_under_starttls() {
    let server = PrivateDovecot::builder().postfix().start();
    three_modes(&server, Protocol::Smtp, Protection::StartTls, SMTP, recorded_by_postfix);
}

#[test]
fn smtp_every_claim_is_in_the_servers_record_under_tls() {
    let server = PrivateDovecot::builder().postfix().start();
    three_modes(&server, Protocol::Smtp, Protection::Tls, SMTP, recorded_by_postfix);
}

#[test]
fn pop3_every_claim_is_in_the_servers_record_without_tls() {
    three_modes(&PrivateDovecot::start(), Protocol::Pop3, Protection::Plain, POP3, recorded_by_dovecot);
}

#[test]
fn pop3_every_claim_is_in_the_servers_record_under_stls() {
    three_modes(&PrivateDovecot::start(), Protocol::Pop3, Protection::StartTls, POP3, recorded_by_dovecot);
}

#[test]
fn pop3_every_claim_is_in_the_servers_record_under_tls() {
    three_modes(&PrivateDovecot::start(), Protocol::Pop3, Protection::Tls, POP3, recorded_by_dovecot);
}
