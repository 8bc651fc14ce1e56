//! Ctrl-C: the first ends the run in order, the second at once.

use std::thread;
use std::time::{Duration, Instant};

use super::process::{
    PASSWORD, Running, against, end, eventually, failures, findings, list, mailconn, number, obey, start,
};
use crate::protocol::scripted::Server;
use crate::sandbox::command::serving;

/// Two seconds to sign out, and something for a busy machine.
const SOON: Duration = Duration::from_secs(4);

/// A server that signs everybody in and then goes silent, and a run of three threads that waits for it.
fn stalled() -> (Server, Running) {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    let args = "--mode use-default --threads 3 -n 7 --ops noop --timeout 50s --format json";
    let running = start(&mut against(server.address, args));
    eventually("three operations are held up", || server.heard_verb("NOOP") == 3);
    (server, running)
}

#[test]
fn an_interrupted_run_reports_how_far_it_came() {
    for (signal, number_of, code) in [("INT", 2, 130), ("TERM", 15, 143)] {
        let (_server, running) = stalled();
        let sent = Instant::now();
        running.signal(signal);
        let ended = running.end();
        assert!(sent.elapsed() < SOON, "{signal}: {:?}", sent.elapsed());
        let report = ended.json();
        assert_eq!((ended.code, &*ended.complaints()), (code, ""));
        assert_eq!(report["interrupted"], number_of);
        assert_eq!(number(&report["operations"]["failed"]), 3);
        assert_eq!(number(&report["operations"]["not_issued"]), 18);
        assert_eq!(failures(&report).keys().collect::<Vec<_>>(), ["disposed at operation"]);
    }
}

#[test]
fn what_stood_in_line_when_a_run_is_interrupted_was_not_issued() {
    for args in [
        "--mode use-main",
        "--mode use-default --max-connections 1",
        "--mode use-main --tasks 3 --executor pool",
        "--mode use-main --tasks 3 --executor tasks",
        "--mode use-main --switch-mode 2=use-main",
    ] {
        let server = Server::start(|peer| {
            peer.sign_in();
            while peer.line().is_some() {}
        });
        let args = format!("{args} --threads 3 -n 7 --ops noop --timeout 50s --format");
        let folder = tempfile::tempdir().unwrap();
        let mut command = against(server.address, &format!("{args} ndjson -o it.ndjson"));
        let running = start(command.current_dir(folder.path()));
        eventually("an operation is held up", || server.heard_verb("NOOP") == 1);
        thread::sleep(Duration::from_millis(300));
        running.signal("INT");
        assert_eq!(running.end().code, 130);
        let told = |args: &str| end(mailconn(args.split(' ')).current_dir(folder.path()));
        let report = told("report it.ndjson --format json").stdout;
        let report: serde_json::Value = serde_json::from_str(&report).unwrap();
        let verified = told("verify it.ndjson");
        assert_eq!(verified.code, 0, "{args}: {}", verified.stdout);
        let operations = ["issued", "failed", "not_issued"].map(|name| number(&report["operations"][name]));
        assert_eq!(operations, [1, 1, 20], "{args}");
        assert_eq!(failures(&report).keys().collect::<Vec<_>>(), ["disposed at operation"], "{args}");
    }
}

#[test]
fn a_second_signal_ends_it_at_once_without_a_report() {
    let (_server, running) = stalled();
    running.signal("INT");
    thread::sleep(Duration::from_millis(400));
    running.signal("INT");
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (130, ""));

    let (_server, running) = stalled();
    running.signal("INT");
    thread::sleep(Duration::from_millis(400));
    running.signal("TERM");
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (143, ""));
}

/// A terminal sends it, and a parent passes it on.
#[test]
fn the_same_signal_twice_within_a_moment_is_one() {
    let (_server, running) = stalled();
    running.signal("INT");
    thread::sleep(Duration::from_millis(10));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 130);
    assert_ne!(ended.stdout, "", "its report is written");
}

#[test]
fn connections_that_still_answer_are_signed_out() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let args = "--mode use-default --threads 3 --duration 50s --pause 40s --ops noop --format json";
    let running = start(&mut against(server.address, args));
    eventually("three workers rest", || server.heard_verb("NOOP") == 3);
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    let report = ended.json();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert_eq!((ended.code, findings(&report)), (130, vec!["MC051"]), "{report:#}");
    assert_eq!(server.heard_verb("LOGOUT"), 3);
    assert!(list(&report["sessions"]).iter().all(|session| session["closed"] == "logged-out"));
}

#[test]
fn a_dial_under_way_ends_too() {
    for mode in ["use-default", "use-main"] {
        let server = Server::start(|peer| while peer.line().is_some() {});
        let running = start(&mut against(
            server.address,
            &format!("--mode {mode} --threads 4 --connect-timeout 50s --wait-timeout 50s --format json"),
        ));
        eventually("somebody dials", || server.accepted() > 0);
        let sent = Instant::now();
        running.signal("INT");
        let ended = running.end();
        assert!(sent.elapsed() < SOON, "{mode}: {:?}", sent.elapsed());
        let report = ended.json();
        assert_eq!(ended.code, 130);
        assert_eq!(report["connections"]["opened"], 0);
        assert!(failures(&report).keys().all(|failure| failure.starts_with("disposed at ")), "{report:#}");
    }
}

#[test]
fn a_sandbox_that_is_late_does_not_hold_it_up_or_disagree() {
    let running = start(&mut mailconn(
        "run --mode use-default --threads 3 --sandbox-latency 700ms --duration 50s --format json".split_whitespace(),
    ));
    thread::sleep(Duration::from_millis(2500));
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    let report = ended.json();
    assert_eq!(ended.code, 130);
    assert!(!findings(&report).contains(&"MC002") && !findings(&report).contains(&"MC001"), "{report:#}");
}

#[test]
fn two_thousand_workers_that_have_just_started_stop_too() {
    for wait in [150, 900] {
        let running = start(&mut mailconn(
            "run --mode use-default --threads 2000 --duration 50s --progress never --format json".split_whitespace(),
        ));
        thread::sleep(Duration::from_millis(wait));
        let sent = Instant::now();
        running.signal("INT");
        let ended = running.end();
        assert!(sent.elapsed() < Duration::from_secs(12), "{:?}", sent.elapsed());
        let report = ended.json();
        assert_eq!((ended.code, &*ended.complaints()), (130, ""));
        assert_eq!(list(&report["workers"]).len(), 2000);
        assert!(!findings(&report).contains(&"MC001") && !findings(&report).contains(&"MC002"), "{report:#}");
    }
}

/// Has something open of each kind, in use and not, and then waits.
const PAUSED: &str = "\
client use-main-or-default
T1 noop
T2 create-default
T2 noop
T3 create k
T3 hold via k
pause 50s
";

#[test]
fn an_interrupted_scenario_signs_out_as_a_run_does() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("paused.txt"), PAUSED).unwrap();
    thread::scope(|scope| {
        for (scheme, goodbye) in [("imap", "LOGOUT"), ("smtp", "QUIT"), ("pop3", "QUIT")] {
            let folder = folder.path();
            scope.spawn(move || {
                for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
                    let args = ["--listen", scheme, "--log", "--maildrops", "shared"];
                    let mut server = serving(&args, 3);
                    let url = format!("{scheme}://sandbox@{}", server.address(scheme));
                    let mut command = mailconn(["scenario", "paused.txt", "--server", &url, "--format", "json"]);
                    let running = start(command.current_dir(folder).env("MAILCONN_PASSWORD", server.password()));
                    server.wait_for(&format!("#3 {scheme}"));
                    thread::sleep(Duration::from_millis(500));
                    let sent = Instant::now();
                    running.signal(signal);
                    let ended = running.end();
                    assert!(sent.elapsed() < SOON, "{scheme} {signal}: {:?}", sent.elapsed());
                    assert_eq!(ended.code, code, "{scheme} {signal}: {}", ended.stderr);
                    assert!(!ended.stdout.contains("MC040"), "{scheme} {signal}: {}", ended.stdout);
                    let log = server.end("INT");
                    let ended = format!("       3  ended with {goodbye}\n");
                    assert!(log.contains(&ended) && !log.contains("without"), "{scheme} {signal}: {log}");
                }
            });
        }
    });
}

#[test]
fn a_scenario_that_waits_for_its_server_ends_when_it_is_interrupted_and_leaks_nothing() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("stalled.txt"), "client use-main\nT1 create k\nT1 noop\n").unwrap();
    let url = format!("imap://joe@{}", server.address);
    let mut command = mailconn(["scenario", "stalled.txt", "--server", &url, "--timeout", "50s", "--format", "json"]);
    let running = start(command.current_dir(folder.path()).env("MAILCONN_PASSWORD", PASSWORD));
    eventually("an operation is held up", || server.heard_verb("NOOP") == 1);
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert_eq!((ended.code, server.heard_verb("LOGOUT")), (130, 1), "{}", ended.stdout);
    assert!(!ended.stdout.contains("MC040"), "{}", ended.stdout);
}
