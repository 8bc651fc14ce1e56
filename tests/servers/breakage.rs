//! Sessions that the server ends while each has an operation held up in it (rules B1 to B3).

use super::agreement::{assert_recorded, ended};
use super::tool::{Protection, Report, SOON, Tool, assert_sums_hold, hold_up};
use crate::support::dovecot::{PrivateDovecot, signal};
use crate::support::dovecot_log::Session;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How the server ends them.
#[derive(Clone, Copy)]
enum End {
    /// `doveadm kick`: what has arrived is still answered, then comes BYE.
    Kick,
    /// The process is killed: not a word.
    Kill,
}

/// Runs until each of the `sessions` has done something, holds all of them up, ends them, and lets the run finish.
fn run_through(end: End, flags: &str, sessions: usize) -> (PrivateDovecot, Report) {
    let server = PrivateDovecot::start();
    let tool = Tool::on(&server, "u1", Protection::Plain).with(flags);
    let running = tool.with("-n 60 --pause 40ms --mailbox INBOX --mailbox Sent --format ndjson").start();
    // Each has sent its label and something else.
    let at_work = |session: &&Session| session.commands.len() > 2;
    let log = server.wait_for(SOON, |log| log.sessions.iter().filter(at_work).count() == sessions);
    let held: Vec<&Session> = log.sessions.iter().collect();
    hold_up(&server, &held);
    match end {
        End::Kick => {
            server.kick("u1");
            held.iter().for_each(|session| signal(session.pid, "CONT"));
        }
        End::Kill => held.iter().for_each(|session| signal(session.pid, "KILL")),
    }
    let finished = running.finish();
    assert_eq!(finished.code, 1, "{}{}", finished.stdout, finished.stderr);
    (server, finished.report())
}

fn name<'a>(line: &'a Value, field: &str) -> &'a str {
    line[field].as_str().unwrap()
}

/// The sessions of each connection that was opened: name, end, why.
fn sessions(report: &Report) -> BTreeMap<&str, Vec<(&str, &str)>> {
    let mut sessions: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for opened in report.events("session-opened") {
        let session = name(opened, "session");
        let closed = report.events("session-closed").find(|closed| closed["session"] == session);
        let closed = closed.unwrap_or_else(|| panic!("{session} never ends: {report:#?}"));
        sessions.entry(name(opened, "connection")).or_default().push((session, name(closed, "closed")));
    }
    sessions
}

/// Each broken connection failed one operation, and one only; until it every operation there ran on the first session,
/// and all that followed on the second.
fn assert_each_failed_once(report: &Report) {
    let mut broken = BTreeSet::new();
    // By their numbers on the wire: those who take turns on main may write theirs down in another order.
    let mut by_connection: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    let served = |operation: &&Value| !operation["session"].is_null();
    for operation in report.events("operation").filter(served) {
        by_connection.entry(name(operation, "connection")).or_default().push(operation);
    }
    for (connection, operations) in by_connection {
        let (first, second) = (connection.to_owned(), format!("{connection}.2"));
        for operation in operations {
            let kind = operation["failure"]["kind"].as_str();
            match kind {
                None => {}
                Some("server-bye" | "closed") => {
                    assert!(broken.insert(connection), "{connection} failed twice: {operation}");
                    assert_eq!(operation["session"], *first);
                    continue;
                }
                Some(other) => panic!("{other}: {operation}"),
            }
            let session = name(operation, "session");
            assert!(session == first || session == second, "{operation}");
        }
    }
    let opened: BTreeSet<&str> = report.events("session-opened").map(|opened| name(opened, "connection")).collect();
    assert_eq!(broken, opened);
}

/// Every thread has a connection of its own: what it did is in its own order.
fn assert_its_next_operations_run_on_the_second_session(report: &Report) {
    let mut failed = BTreeSet::new();
    for operation in report.events("operation") {
        let worker = name(operation, "worker");
        let connection = name(operation, "connection");
        if operation["outcome"] == "failed" {
            failed.insert(worker);
        } else if failed.contains(worker) {
            assert_eq!(operation["session"], format!("{connection}.2"), "{operation}");
        } else {
            assert_eq!(operation["session"], connection, "{operation}");
        }
    }
    assert_eq!(failed.len(), 4);
}

fn of_their_own(end: End, reason: &str) {
    let (server, report) = run_through(end, "--mode use-default -t 4 --ops noop,status,fetch", 4);
    assert_sums_hold(report.totals());
    let operations = &report.totals()["operations"];
    assert_eq!((&operations["issued"], &operations["failed"]), (&240.into(), &4.into()), "{operations}");
    assert_each_failed_once(&report);
    assert_its_next_operations_run_on_the_second_session(&report);
    for (connection, sessions) in sessions(&report) {
        let second = format!("{connection}.2");
        assert_eq!(sessions, [(connection, "discarded"), (&*second, "logged-out")]);
    }
    // Both sessions are in the server's record, each under its own label.
    assert_recorded(&server, "u1", &report);
    let log = ended(&server, "u1", 8);
    let ends = log.sessions.iter().filter(|session| session.end.as_ref().unwrap().reason == reason);
    assert_eq!(ends.count(), 4);
    assert_eq!(report.totals()["verdict"]["rules"]["held"], 240);
}

#[test]
fn a_kick_fails_one_operation_of_each_default_connection() {
    of_their_own(End::Kick, "Server shutting down.");
}

#[test]
fn a_killed_process_fails_one_operation_of_each_default_connection() {
    of_their_own(End::Kill, "killed with signal 9");
}

/// Three threads on main, two with defaults, one with an independent connection, which does not come back (B2).
fn of_every_kind(end: End) {
    let flags = "--mode use-main-or-default -t 6 --default-for w0,w1 --independent-for w5 --ops noop,search,list";
    let (server, report) = run_through(end, flags, 4);
    assert_sums_hold(report.totals());
    assert_each_failed_once(&report);
    assert_recorded(&server, "u1", &report);
    let sessions = sessions(&report);
    assert_eq!(sessions.len(), 4);
    assert_eq!(sessions["#0"], [("#0", "discarded"), ("#0.2", "logged-out")]);
    let independent = report.events("connection-created").find(|created| created["kind"] == "independent").unwrap();
    let independent = name(independent, "connection");
    assert_eq!(sessions[independent], [(independent, "discarded")]);
    // Its worker is told so once, and stops.
    let disposed: Vec<&str> =
        report.failed().filter(|failed| failed["failure"]["kind"] == "disposed").map(|op| name(op, "worker")).collect();
    assert_eq!(disposed, ["w5"]);
    assert_eq!(report.totals()["operations"]["failed"], 5);
}

#[test]
fn a_kick_fails_one_operation_of_each_kind_of_connection() {
    of_every_kind(End::Kick);
}

#[test]
fn a_killed_process_fails_one_operation_of_each_kind_of_connection() {
    of_every_kind(End::Kill);
}

/// One session that all share: one operation fails, whoever's it was, and nobody else notices.
#[test]
fn a_kick_fails_one_operation_of_a_shared_connection() {
    let (server, report) = run_through(End::Kick, "--mode use-main -t 4", 1);
    assert_sums_hold(report.totals());
    assert_each_failed_once(&report);
    assert_eq!(report.totals()["operations"]["failed"], 1);
    assert_eq!(sessions(&report)["#0"], [("#0", "discarded"), ("#0.2", "logged-out")]);
    assert_recorded(&server, "u1", &report);
}
