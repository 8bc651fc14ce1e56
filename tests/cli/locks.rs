//! `--lock command`, the naive lock, beside `--lock unit`; and which findings make the exit code 1.

use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::process::{Ended, end, failures, findings, list, mailconn, number, of_kind, run, run_against};
use crate::protocol::scripted::Server;

const SHARED: &str =
    "--mode use-main -t 8 --ops fetch --mailbox INBOX --mailbox Archive --mailbox Sent --progress never";

#[track_caller]
fn is_refused(args: &str, cure: &str) {
    let Ended { code, stdout, stderr, .. } = run(args);
    assert_eq!((code, &*stdout), (2, ""), "{stderr}");
    assert!(stderr.lines().count() == 1 && stderr.contains(cure), "{stderr}");
}

#[test]
fn a_lock_for_each_command_reads_from_wrong_mailboxes_and_exits_1() {
    let ended = run(&format!("--lock command {SHARED} --format json"));
    let report = ended.json();
    assert_eq!(ended.code, 1, "{report:#}");
    assert_eq!(report["lock"], "command");
    let finding = list(&report["findings"]).iter().find(|finding| finding["id"] == "MC020").expect("MC020");
    let wrong = number(&finding["count"]);
    assert!((100..700).contains(&wrong), "{wrong} of 800");
    assert_eq!(report["operations"]["failed"], 0, "and nothing failed");
    let table = run(&format!("--lock command {SHARED}")).stdout;
    assert!(table.contains("\nlock: command (") && table.contains("\nMC020 hazard, "), "{table}");
}

#[test]
fn its_ndjson_holds_what_proves_it() {
    let ended = run(&format!("--lock command {SHARED} -n 20 --format ndjson"));
    let events = ended.events();
    assert_eq!(events[0]["lock"], "command");
    let mut wrong = 0;
    for operation in of_kind(&events, "operation") {
        wrong += u64::from(operation["answered_by"]["mailbox"] != operation["mailbox"]);
        assert_eq!(operation["relied_on"]["commands"][0]["verb"], "EXAMINE", "{operation}");
        assert_eq!(operation["commands"][0]["verb"], "FETCH", "{operation}");
    }
    let end = events.last().unwrap();
    let finding = list(&end["findings"]).iter().find(|finding| finding["id"] == "MC020").expect("MC020");
    assert_eq!(number(&finding["count"]), wrong);
}

#[test]
fn a_lock_for_the_unit_reads_none_wrong_in_twenty_thousand() {
    let ended = run(&format!("--lock unit {SHARED} -n 2500 --format json"));
    let report = ended.json();
    assert_eq!((ended.code, number(&report["operations"]["ok"])), (0, 20_000));
    assert!(findings(&report).iter().all(|id| *id == "MC050"), "{report:#}");
}

#[test]
fn fail_on_says_which_findings_exit_1() {
    let naive = format!("--lock command {SHARED} -n 50");
    for (flag, code) in [
        ("", 1),
        ("--fail-on hazard", 1),
        ("--fail-on advice,hazard", 1),
        ("--fail-on leak,fault", 0),
        ("--fail-on none", 0),
    ] {
        assert_eq!(run(&format!("{naive} {flag}")).code, code, "{flag}");
    }
    let passed = run(&format!("{SHARED} --lock command -n 50 --fail-on none")).stdout;
    assert!(passed.ends_with("\nexit 0: nothing failed; MC020 fails no run with this --fail-on\n"), "{passed}");
    let waiting = "--mode use-main -t 8 -n 20 --sandbox-latency 1ms --format json";
    for (flag, code) in [("", 0), ("--fail-on advice", 1)] {
        let ended = run(&format!("{waiting} {flag}"));
        assert_eq!((ended.code, findings(&ended.json())), (code, vec!["MC050"]), "{flag}");
    }
    let limited = run("--mode use-default -t 3 --sandbox-connections 1 --fail-on none");
    assert_eq!(limited.code, 6, "a limit is no finding that one chooses");
}

/// One thread has its mailbox selected, the other's command breaks the session, and the first one reads on in the next.
#[test]
fn who_relied_on_a_session_that_is_gone_is_told_by_mc021_and_reads_no_other_mailbox() {
    let server = Server::start(|peer| {
        peer.sign_in();
        if peer.number == 0 {
            // So late that the other thread stands in line for the connection, and has it next.
            let examine = peer.line().unwrap();
            thread::sleep(Duration::from_millis(300));
            let tag = examine.split(' ').next().unwrap();
            peer.send(&format!("* 5 EXISTS\r\n* OK [UIDVALIDITY 7] ok\r\n{tag} OK done\r\n"));
            peer.line();
            return;
        }
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            let reply = if command.starts_with("FETCH") { "BAD No mailbox selected." } else { "OK done" };
            peer.send(&format!("{tag} {reply}\r\n"));
        }
    });
    let args = "--lock command --mode use-main -t 2 -n 1 --ops fetch --mailbox Archive --format json";
    let ended = run_against(server.address, args);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, findings(&report)[0]), (1, "MC021"), "{report:#}");
    let evidence = list(&list(&report["findings"])[0]["evidence"])[0].as_str().unwrap();
    assert!(evidence.ends_with("had Archive selected on #0 and ran on #0.2: BAD No mailbox selected."), "{evidence}");
    assert_eq!(report["verdict"]["rules"], serde_json::json!({"checked": 2, "held": 2}));
    let failures = failures(&report);
    assert_eq!(failures.keys().collect::<Vec<_>>(), ["closed at operation", "server-bad at operation"]);
}

#[test]
fn what_makes_no_sense_says_so() {
    is_refused("--lock command --ops noop", "--lock command is for operations that select a mailbox and read it");
    is_refused("--lock command --server sandbox+pop3", "--lock command");
    is_refused("--fail-on none,leak", "none stands alone");
    is_refused("--fail-on limit", "hazard, leak, fault, advice, none");
    assert_eq!(end(&mut mailconn(["run", "--fail-on", ""])).code, 2);
}
