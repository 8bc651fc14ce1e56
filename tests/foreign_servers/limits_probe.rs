//! `mailconn limits` on Courier, Cyrus, Exim and Postfix: the number, its scope, the stage, and the setting's name.

use super::ROOM;
use crate::servers::tool::{SOON, Tool, finding_ids};
use crate::support::dovecot::PrivateDovecot;
use crate::support::foreign::{ForeignServer, Kind, PASSWORD, Service};
use crate::support::postfix_log::SmtpSession;
use serde_json::{Value, json};
use std::time::Duration;

/// For what holds for a minute.
const PATIENCE: Duration = Duration::from_secs(90);

/// No rate that gives nothing during it gives two places in the time after it, which grows with the slowest sign-in. On a busy
/// machine one takes seconds.
const HOLD: &str = "--hold 30s";

/// What a setting comes to: as many connections as `given`, refused at that stage.
struct Expected {
    given: usize,
    kind: &'static str,
    stage: &'static str,
    scopes: Value,
    /// What is said of the setting.
    setting: &'static str,
}

/// A probe: what it found out, and what it says.
fn probed(url: &str, flags: &str) -> (Value, String) {
    let probe = Tool::probing(url).password(PASSWORD).with(flags).with("--format ndjson");
    let finished = probe.start().finish_within(PATIENCE);
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let report = finished.report();
    let totals = report.totals();
    assert!(finding_ids(totals).iter().all(|id| *id == "MC030"), "{totals:#}");
    (totals["limits"].clone(), told(&finished.stdout))
}

/// What `report` says of that stream, once it is stored.
fn told(stream: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let stored = folder.path().join("probe.ndjson");
    std::fs::write(&stored, stream).unwrap();
    let told = Tool::telling(&stored).finish();
    assert_eq!(told.code, 0, "{}{}", told.stdout, told.stderr);
    told.words()
}

fn assert_found(limits: &Value, words: &str, expected: &Expected) {
    let met = &limits["met"];
    assert_eq!(
        (&limits["answered"], &limits["given"], &limits["ended"]),
        (&true.into(), &expected.given.into(), &0.into()),
        "{limits:#}"
    );
    assert_eq!(
        (&met["kind"], &met["stage"], &met["scopes"]),
        (&expected.kind.into(), &expected.stage.into(), &expected.scopes),
        "{limits:#}"
    );
    let raised = expected.setting.replacen(": ", ": this raises it: ", 1);
    assert!(words.contains(&format!("On the server, {raised} (")), "{raised}: {words}");
}

/// Every session that the probes had is over, by the server's own log: `ended` is said of each.
fn assert_limited(kind: Kind, setting: &str, limit: usize, service: Service, expected: &Expected, ended: &str) {
    let server = ForeignServer::limited(kind, setting, limit);
    let (limits, words) = probed(&server.url(service), HOLD);
    assert_found(&limits, &words, expected);
    // Some of them in the places of those that had signed out.
    let number = |name: &str| limits[name].as_u64().expect("it is a number") as usize;
    let sessions = number("attempts") - number("refused");
    let log = server.wait_for("the end of each session", |log| log.count(ended) >= sessions);
    assert_eq!((log.count(ended), log.refused.len()), (sessions, 0), "{log:#?}");
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn couriers_maxperip_is_found_where_it_closes_without_a_word() {
    for service in [Service::Imap, Service::Pop3] {
        let expected = Expected {
            given: 4,
            kind: "count",
            stage: "greeting",
            scopes: json!(["address", "server"]),
            setting: "Courier: MAXPERIP",
        };
        assert_limited(Kind::Courier, "MAXPERIP", 4, service, &expected, " LOGOUT, user=u1");
    }
}

/// One more gets no answer until another ends.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn couriers_maxdaemons_is_found_where_it_lets_one_more_wait() {
    let server = ForeignServer::limited(Kind::Courier, "MAXDAEMONS", 4);
    let (limits, words) = probed(&server.url(Service::Imap), &format!("{HOLD} --connect-timeout 2s"));
    let expected = Expected {
        given: 4,
        kind: "count",
        stage: "greeting",
        scopes: json!(["address", "server"]),
        setting: "Courier: MAXDAEMONS",
    };
    assert_found(&limits, &words, &expected);
    // Two of them in the places of those that had signed out.
    server.wait_for("the end of each session", |log| log.count(" LOGOUT, user=u1") == 6);
}

/// Dovecot lets one more wait for ten seconds, and closes it without a word.
#[test]
#[ignore = "takes a quarter of a minute: scripts/test all"]
fn dovecots_process_limit_is_found_where_it_closes_a_sign_in_without_a_word() {
    let server = PrivateDovecot::builder().set("IMAP_PROCESSES", "4").start();
    let url = format!("imap://u1@localhost:{}", server.imap_port());
    let (limits, words) = probed(&url, &format!("{HOLD} --connect-timeout 20s"));
    let expected = Expected {
        given: 4,
        kind: "count",
        stage: "auth",
        scopes: json!(["user", "user-and-address", "address", "server"]),
        setting: "Dovecot: process_limit",
    };
    assert_found(&limits, &words, &expected);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_maxlogins_per_user_is_found() {
    for service in [Service::Imap, Service::Pop3] {
        let expected = Expected {
            given: 4,
            kind: "count",
            stage: "auth",
            scopes: json!(["user"]),
            setting: "Cyrus: maxlogins_per_user",
        };
        assert_limited(Kind::Cyrus, "maxlogins_per_user", 4, service, &expected, "USAGE u1 ");
    }
}

/// Cyrus counts the connection that signs in, too.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_maxlogins_per_host_lets_in_one_less_than_it_is_set_to() {
    for service in [Service::Imap, Service::Pop3] {
        let expected = Expected {
            given: 3,
            kind: "count",
            stage: "auth",
            scopes: json!(["address"]),
            setting: "Cyrus: maxlogins_per_host",
        };
        assert_limited(Kind::Cyrus, "maxlogins_per_host", 4, service, &expected, "USAGE u1 ");
    }
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exims_limits_are_told_from_each_other() {
    for (setting, scopes, named) in [
        ("smtp_accept_max_per_host", json!(["address"]), "Exim: smtp_accept_max_per_host"),
        ("smtp_accept_max", json!(["address", "server"]), "Exim: smtp_accept_max"),
    ] {
        let expected = Expected { given: 4, kind: "count", stage: "greeting", scopes, setting: named };
        assert_limited(Kind::Exim, setting, 4, Service::Smtp, &expected, " closed by QUIT");
    }
}

/// More than there are asked for: no limit is met, though Exim bears ten commands without mail only.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_is_asked_for_many_connections_without_one_command_too_many() {
    let server = ForeignServer::start(Kind::Exim, ROOM);
    let (finished, report) = Tool::probing(&server.url(Service::Smtp)).password(PASSWORD).with("--max 20").streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let limits = &report.totals()["limits"];
    assert_eq!((&limits["given"], &limits["met"]), (&20.into(), &Value::Null), "{limits:#}");
    let log = server.wait_for("the end of each session", |log| log.count(" closed by QUIT") >= 20);
    assert_eq!((log.count(" closed by QUIT"), log.count("too many nonmail commands")), (20, 0), "{log:#?}");
}

/// No session of Postfix's was left without QUIT, nor ended by it.
fn assert_signed_out(server: &PrivateDovecot) {
    let log = server.wait_for_postfix(SOON, |log| log.sessions.iter().all(|session| session.counts.is_some()));
    let is_left = |session: &SmtpSession| session.lost_after.is_some() || session.too_many_errors_after.is_some();
    assert!(!log.sessions.iter().any(is_left), "{log:#?}");
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn postfix_count_is_found() {
    let server = PrivateDovecot::builder().postfix().max_smtp_connections(4).start();
    let url = format!("smtp://u1@localhost:{}", server.smtp_port());
    let (limits, words) = probed(&url, HOLD);
    let expected = Expected {
        given: 4,
        kind: "count",
        stage: "greeting",
        scopes: json!(["address"]),
        setting: "Postfix: smtpd_client_connection_count_limit",
    };
    assert_found(&limits, &words, &expected);
    assert_signed_out(&server);
}

/// Postfix says the same of a rate as of a count, and counts in 60 s: the hold tells them apart.
#[test]
#[ignore = "takes more than a minute: scripts/test all"]
fn postfix_rate_is_told_from_a_count_by_a_hold_of_61_seconds() {
    let server = PrivateDovecot::builder().postfix().set("SMTP_CLIENT_RATE", "4").start();
    let url = format!("smtp://u1@localhost:{}", server.smtp_port());
    let (limits, words) = probed(&url, "");
    assert_eq!((&limits["answered"], &limits["given"], &limits["refused"]), (&true.into(), &4.into(), &1.into()));
    let met = &limits["met"];
    assert_eq!(
        (&met["kind"], &met["stage"], &met["scopes"]),
        (&"rate".into(), &"greeting".into(), &json!(["address"]))
    );
    for said in [
        "one new connection every 15 s",
        "On the server, Postfix: this raises it: smtpd_client_connection_rate_limit (no limit unless set)",
    ] {
        assert!(words.contains(said), "{said}: {words}");
    }
    assert_signed_out(&server);
}
