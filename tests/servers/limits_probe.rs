//! `mailconn limits` on a real Dovecot: the number, what kind of limit it is, and whom it disturbed, by the server's own log.

use super::tool::{Finished, Protection, Protocol, SOON, Tool};
use crate::support::dovecot::PrivateDovecot;
use crate::support::dovecot_log::Log;
use serde_json::Value;

const HOLD: &str = "--hold 1s";

fn probe(protocol: Protocol, server: &PrivateDovecot) -> Tool {
    Tool::probing(&protocol.url(server, "u1", Protection::Plain)).flag("--password-file", server.password_file())
}

/// The result of the streamed probe, which was answered.
fn answered(tool: Tool) -> (Finished, Value) {
    let (finished, report) = tool.with(HOLD).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let limits = report.totals()["limits"].clone();
    assert_eq!(limits["answered"], true, "{limits:#}");
    (finished, limits)
}

/// Each session that was signed in has signed out, none has met anything but that, and nobody was refused for a password.
fn assert_left_as_found(log: &Log, sessions: usize) {
    assert_eq!((log.sessions.len(), log.refused_sign_ins.len()), (sessions, 0), "{log:#?}");
    for session in &log.sessions {
        let end = session.end.as_ref().unwrap_or_else(|| panic!("it is open yet: {session:#?}"));
        assert_eq!(end.reason, "Logged out", "{session:#?}");
    }
}

fn all_ended(log: &Log) -> bool {
    !log.sessions.is_empty() && log.sessions.iter().all(|session| session.end.is_some())
}

#[test]
fn the_number_that_dovecot_is_set_to_is_found_with_its_scope_stage_and_setting() {
    std::thread::scope(|scope| {
        for number in [3, 7, 10] {
            scope.spawn(move || its_number_is_found(number));
        }
    });
}

fn its_number_is_found(number: usize) {
    let server = PrivateDovecot::builder().max_connections(number).start();
    let (_, limits) = answered(probe(Protocol::Imap, &server));
    assert_eq!((&limits["given"], &limits["ended"]), (&number.into(), &0.into()), "{limits:#}");
    let met = &limits["met"];
    assert_eq!(
        (&met["kind"], &met["kept_by"], &met["stage"], &met["stated"]),
        (&"count".into(), &"refusing-newest".into(), &"auth".into(), &number.into()),
        "{limits:#}"
    );
    assert_eq!(met["scopes"], serde_json::json!(["user-and-address"]), "{limits:#}");
    assert!(limits["release"]["free_after_us"].as_u64().is_some_and(|free| free < 5_000_000), "{limits:#}");

    let log = server.wait_for(SOON, |log| all_ended(log) && log.sessions.len() > number);
    assert_left_as_found(&log, number + 1);
    assert_eq!(log.limit_refusals().count(), 2, "{:#?}", log.turned_away);
    assert_eq!(log.turned_away.len(), 2, "{:#?}", log.turned_away);
}

#[test]
fn its_report_says_what_to_set_in_this_client_in_thunderbird_and_in_dovecot() {
    let server = PrivateDovecot::builder().max_connections(7).start();
    let finished = probe(Protocol::Imap, &server).with(HOLD).finish();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let words = finished.words();
    for said in [
        "7 connections, beside those",
        "(mail_max_userip_connections=7)",
        "lived on",
        "use-default: at most 7 threads",
        "use-main-or-default: at most 6 threads",
        "--max-connections 7",
        "Maximum number of server connections to cache",
        "On the server, Dovecot: this raises it: mail_max_userip_connections (10 unless set)",
        "exit 0:",
    ] {
        assert!(words.contains(said), "{said}: {}", finished.stdout);
    }
}

/// Each protocol has a limit of its own. Dovecot's POP3 may let one more in, where the sign-in before it has yet to be counted.
#[test]
fn pop3_has_its_own_count() {
    let server = PrivateDovecot::builder().max_connections(4).start();
    let (_, limits) = answered(probe(Protocol::Pop3, &server).with("--pace 100ms"));
    assert_eq!((&limits["given"], &limits["met"]["stated"]), (&4.into(), &4.into()), "{limits:#}");
    assert_eq!(limits["met"]["scopes"], serde_json::json!(["user-and-address"]), "{limits:#}");
    let log = server.wait_for(SOON, |log| all_ended(log) && log.sessions.len() > 4);
    assert_left_as_found(&log, 5);
}

#[test]
fn where_another_client_holds_some_the_rest_is_found_and_that_client_is_not_disturbed() {
    let server = PrivateDovecot::builder().max_connections(5).start();
    let other = Tool::on(&server, "u1", Protection::Plain).with("--mode use-default -t 2 -n 1000 --pause 20ms").start();
    server.wait_for(SOON, |log| log.sessions.len() == 2);
    let (_, limits) = answered(probe(Protocol::Imap, &server));
    assert_eq!((&limits["given"], &limits["met"]["stated"]), (&3.into(), &5.into()), "{limits:#}");
    other.signal("INT");
    let other = other.finish();
    assert!(other.stdout.contains(" 0 failed"), "{}", other.stdout);
    let log = server.wait_for(SOON, |log| all_ended(log) && log.sessions.len() == 6);
    assert_left_as_found(&log, 6);
}

/// Ctrl-C while it counts, and while it holds: all is signed out, and the result so far is told.
#[test]
fn an_interrupted_probe_signs_out_of_all() {
    let server = PrivateDovecot::builder().max_connections(6).start();
    for (flags, open, total) in [("--pace 300ms", 3, 3), ("--hold 60s", 6, 9)] {
        let running = probe(Protocol::Imap, &server).with(flags).with("--format ndjson").start();
        server.wait_for(SOON, |log| log.sessions.iter().filter(|session| session.end.is_none()).count() == open);
        if open == 6 {
            server.wait_for(SOON, |log| log.limit_refusals().count() == 1);
        }
        running.signal("INT");
        let finished = running.finish();
        assert_eq!(finished.code, 130, "{}{}", finished.stdout, finished.stderr);
        let report = finished.report();
        let limits = &report.totals()["limits"];
        assert!(limits["given"].as_u64().is_some_and(|given| given >= open as u64), "{limits:#}");
        let log = server.wait_for(SOON, |log| all_ended(log) && log.sessions.len() >= total);
        let sessions = log.sessions.len();
        assert_left_as_found(&log, sessions);
    }
}

/// Fewer than are needed is an exit code of its own.
#[test]
fn a_need_beyond_the_limit_is_not_met() {
    let server = PrivateDovecot::builder().max_connections(3).start();
    for (need, code) in [(3, 0), (4, 6)] {
        let finished = probe(Protocol::Imap, &server).with(HOLD).with(&format!("--need {need}")).finish();
        assert_eq!(finished.code, code, "{}{}", finished.stdout, finished.stderr);
    }
}
