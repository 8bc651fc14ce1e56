//! Ctrl-C and SIGTERM while some of the server's processes hang (rules D4 and B5).

use super::tool::{Finished, Protection, Running, SOON, Tool, assert_sums_hold, finding_ids, hold_up};
use crate::support::dovecot::PrivateDovecot;
use crate::support::dovecot_log::Session;
use std::time::{Duration, Instant};

/// All that an interrupted run may take, to the end of its process: two seconds for the goodbyes, and a little.
const ALL: Duration = Duration::from_secs(3);

/// A run that would last, with the first `held` of its `sessions` held up in the server.
fn stalled(server: &PrivateDovecot, flags: &str, sessions: usize, held: usize) -> Running {
    let tool = Tool::on(server, "u1", Protection::Plain).with(flags);
    let running = tool.with("--duration 5m --pause 10ms --format json").start();
    let at_work = |session: &&Session| session.commands.len() > 2;
    let log = server.wait_for(SOON, |log| log.sessions.iter().filter(at_work).count() == sessions);
    hold_up(server, &log.sessions.iter().take(held).collect::<Vec<_>>());
    running
}

fn interrupt(running: Running, signal: &str) -> (Finished, Duration) {
    let since = Instant::now();
    running.signal(signal);
    let finished = running.finish();
    (finished, since.elapsed())
}

fn logged_out(server: &PrivateDovecot) -> usize {
    let log = server.log();
    let said = |session: &&Session| session.commands.last().is_some_and(|last| last.verb == "LOGOUT");
    let answered = |session: &&Session| session.replies.last().is_some_and(|last| last.status == "OK");
    // As it was on the wire: of processes that end together, the log may lose the last line of one.
    log.sessions.iter().filter(said).filter(answered).count()
}

#[test]
fn ctrl_c_signs_out_what_answers_and_reports_what_there_is() {
    let server = PrivateDovecot::start();
    let running = stalled(&server, "--mode use-default -t 4", 4, 2);
    let (finished, took) = interrupt(running, "INT");
    assert_eq!(finished.code, 130, "{}{}", finished.stdout, finished.stderr);
    assert!(took < ALL, "{took:?}");
    let report = finished.json();
    assert_sums_hold(&report);
    assert_eq!((&report["interrupted"], &report["exit_code"]), (&2.into(), &130.into()));
    assert_eq!(report["operations"]["failed"], 2, "those that were held up: {report:#}");
    assert_eq!(report["connections"]["still_open"], 0);
    let closed =
        |how: &str| report["sessions"].as_array().unwrap().iter().filter(|session| session["closed"] == how).count();
    assert_eq!((closed("logged-out"), closed("discarded")), (2, 2), "{report:#}");
    // The log may be a moment behind; the stalled two cannot get in it.
    server.wait_for(SOON, |_| logged_out(&server) == 2);
}

#[test]
fn sigterm_ends_a_run_whose_only_connection_hangs() {
    let server = PrivateDovecot::start();
    let running = stalled(&server, "--mode use-main -t 4", 1, 1);
    let (finished, took) = interrupt(running, "TERM");
    assert_eq!(finished.code, 143, "{}{}", finished.stdout, finished.stderr);
    assert!(took < ALL, "{took:?}");
    let report = finished.json();
    assert_sums_hold(&report);
    assert_eq!((&report["interrupted"], &report["connections"]["still_open"]), (&15.into(), &0.into()));
}

#[test]
fn ctrl_c_where_nothing_hangs_leaves_at_once_with_every_goodbye_said() {
    let server = PrivateDovecot::start();
    let flags = "--mode use-main-or-default -t 6 --default-for half --independent-for w5";
    let running = stalled(&server, flags, 5, 0);
    let (finished, took) = interrupt(running, "INT");
    assert_eq!(finished.code, 130, "{}{}", finished.stdout, finished.stderr);
    assert!(took < ALL, "{took:?}");
    let report = finished.json();
    // Whoever stood in line for main when it came was told that there is no more; nothing else failed.
    let failures = report["failures"].as_array().unwrap();
    assert!(failures.iter().all(|failure| failure["kind"] == "disposed" && failure["stage"] == "wait"), "{report:#}");
    assert_eq!(finding_ids(&report), [""; 0], "{report:#}");
    server.wait_for(SOON, |_| logged_out(&server) == 5);
}

#[test]
fn a_second_ctrl_c_waits_for_nobody() {
    let server = PrivateDovecot::start();
    let running = stalled(&server, "--mode use-default -t 2", 2, 2);
    running.signal("INT");
    // Two that come together are one: the kernel counts no signals.
    std::thread::sleep(Duration::from_millis(300));
    let (finished, took) = interrupt(running, "INT");
    assert_eq!(finished.code, 130);
    assert!(took < Duration::from_millis(1500), "the goodbyes take two seconds: {took:?}");
    assert_eq!(finished.stdout, "", "no report: it did not wait for one");
}
