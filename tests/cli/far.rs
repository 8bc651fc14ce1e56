//! `--rtt`: a sandbox as far away as a real server is, in every command that dials it.

use std::time::Duration;

use serde_json::Value;

use super::process::{end, findings, mailconn, run};
use crate::sandbox::command::serving;

/// In microseconds, as reports have it.
const RTT: u64 = 80_000;

#[track_caller]
fn at_least(figure: &Value, round_trips: u64) {
    let figure = figure.as_u64().unwrap();
    assert!(figure >= round_trips * RTT && figure < 20 * round_trips * RTT, "{figure} us for {round_trips}");
}

#[test]
fn a_far_sandbox_costs_a_run_what_a_far_server_does() {
    let ended = run("--rtt 80ms --mode use-default -t 2 -n 6 --ops noop --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)), (0, vec![]), "{report:#}");
    at_least(&report["service_us"]["p50"], 1);
    // The greeting takes two, the sign-in one.
    at_least(&report["dial_us"]["p50"], 3);
    assert_eq!(report["sandbox"]["rtt_us"], RTT);
    assert_eq!(run("-n 1 --rtt 0s --format json").json()["sandbox"]["rtt_us"], Value::Null);
}

#[test]
fn fifty_threads_are_served_at_once_however_far_it_is() {
    let ended = run("--rtt 80ms --mode use-default -t 50 -n 8 --ops noop --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report), &report["operations"]["ok"]), (0, vec![], &Value::from(400)));
    let rate = report["operations_per_second"].as_f64().unwrap();
    assert!(rate > 60.0 && rate <= 50.0 / 0.08, "one connection has 12.5 at most: {rate}");
}

#[test]
fn the_farthest_server_is_left_in_good_order_in_every_protocol() {
    for (server, args) in [
        ("sandbox", "--mode use-default --executor pool --tasks 4 --dispose task"),
        ("sandbox+imaps", "--mode use-default"),
        ("sandbox+smtp", "--mode use-main-or-default --default-for all --starttls"),
        ("sandbox+pop3", "--mode use-main"),
    ] {
        let ended = run(&format!("--server {server} --rtt 500ms -t 2 -n 1 --fail-on hazard,leak,fault {args}"));
        assert_eq!(ended.code, 0, "{server}: {}{}", ended.stdout, ended.stderr);
        assert!(ended.stdout.starts_with(&format!("{server} (rtt 500 ms), ")), "{}", ended.stdout);
    }
}

#[test]
fn a_stored_run_tells_how_far_its_server_was_and_is_compared_with_its_equals() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("far.ndjson");
    let file = file.to_str().unwrap();
    assert_eq!(run(&format!("--rtt 20ms -t 2 -n 3 --format ndjson -o {file}")).code, 0);
    let told = end(&mut mailconn(["report", file]));
    assert!(told.stdout.starts_with("sandbox (rtt 20 ms), use-main-or-default, 2 threads, "), "{}", told.stdout);
    assert_eq!(end(&mut mailconn(["verify", file])).code, 0);
    let gate = ["--baseline", file, "--fail-if", "service.p50 regressed > 10%", "--progress", "never"];
    for (rtt, differs) in [("0s", "none"), ("30ms", "30ms")] {
        let ended = end(&mut mailconn(["run", "-t", "2", "-n", "3", "--rtt", rtt].iter().chain(&gate)));
        assert_eq!(ended.code, 2);
        let due = format!("the baseline's sandbox's rtt: 20ms, this run's: {differs};");
        assert!(ended.stderr.contains(&due), "{}", ended.stderr);
    }
}

#[test]
fn every_command_that_has_a_sandbox_can_have_it_far_away() {
    let check = end(&mut mailconn(["check", "sandbox+imaps", "--rtt", "80ms", "--format", "json"]));
    let check: Value = serde_json::from_str(&check.stdout).unwrap();
    let step = |name: &str| {
        let mut steps = check["steps"].as_array().unwrap().iter().filter(|step| step["step"] == name);
        steps.next().unwrap()["took_us"].as_u64().unwrap()
    };
    // The client of a test knows that it is connected a moment after the server does.
    at_least(&Value::from(step("connect") + step("tls") + step("greeting")), 3);
    at_least(&Value::from(step("sign-in")), 1);
    let limits = end(&mut mailconn(["limits", "sandbox", "--rtt", "20ms", "--max", "2", "--format", "json"]));
    let told: Value = serde_json::from_str(&limits.stdout).unwrap();
    assert_eq!((limits.code, &told["sandbox"]["rtt_us"]), (0, &Value::from(20_000)));
    let name = "k1-main-is-one-connection-for-every-thread";
    let scenario = end(&mut mailconn(["scenario", name, "--rtt", "80ms"]));
    assert!(scenario.code == 0 && scenario.took > Duration::from_micros(4 * RTT), "{}", scenario.stdout);
}

#[test]
fn a_client_of_a_sandbox_in_another_process_is_far_away_too() {
    let server = serving(&["--listen", "imap", "--rtt", "80ms"], 3);
    let url = format!("imap://sandbox@{}", server.address("imap"));
    let args = ["run", "--server", &url, "-t", "1", "-n", "3", "--ops", "noop", "--format", "json"];
    let ended = end(mailconn(args).env("MAILCONN_PASSWORD", server.password()));
    at_least(&ended.json()["service_us"]["p50"], 1);
}

#[test]
fn a_real_server_is_as_far_away_as_it_is() {
    for (mut command, place, named_by) in [
        (mailconn(["run", "--rtt", "80ms", "--server", "imap://joe@localhost"]), "", "--server"),
        (mailconn(["check", "--rtt", "80ms", "imap://joe@localhost"]), "", "URL"),
        (mailconn(["run", "--rtt", "80ms"]), "MAILCONN_SERVER: ", "--server"),
    ] {
        let ended = end(command.env("MAILCONN_SERVER", "imap://joe@localhost"));
        let due =
            format!("mailconn: {place}--rtt shapes the sandbox, but {named_by} names a real server; leave one out\n");
        assert_eq!((ended.code, &*ended.stderr), (2, &*due));
    }
    for (rtt, due) in [("501ms", "give at most 500ms"), ("5", "give a number and a unit, like 20ms"), ("-1ms", "")] {
        for command in ["run", "sandbox"] {
            let ended = end(&mut mailconn([command, &format!("--rtt={rtt}")]));
            assert!(ended.code == 2 && ended.stderr.contains(due), "{}", ended.stderr);
            assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        }
    }
}
