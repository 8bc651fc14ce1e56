//! The three modes, plain, under STARTTLS and under TLS: is every claim of the report in the server's record?

use super::agreement::assert_recorded;
use super::tool::{Protection, Report, Tool, assert_sums_hold, finding_ids};
use crate::support::dovecot::PrivateDovecot;
use std::collections::{BTreeMap, BTreeSet};

const ALL_OPERATIONS: &str =
    "--ops noop=2,list,status=2,fetch=2,search=2 --mailbox INBOX --mailbox Archive --mailbox Sent";

/// Which connections carried each worker's operations, and why.
pub fn used(report: &Report) -> BTreeMap<&str, BTreeSet<(&str, &str)>> {
    let mut used: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for operation in report.events("operation") {
        let word = |name: &str| operation[name].as_str().unwrap();
        used.entry(word("worker")).or_default().insert((word("connection"), word("reason")));
    }
    used
}

pub fn assert_all_held(report: &Report, operations: u64) {
    let totals = report.totals();
    assert_sums_hold(totals);
    assert_eq!(totals["operations"]["ok"], operations, "{totals:#}");
    assert_eq!(totals["exit_code"], 0);
    let verdict = &totals["verdict"];
    assert_eq!((&verdict["rules"]["checked"], &verdict["rules"]["held"]), (&operations.into(), &operations.into()));
    // What cannot be read agrees with nothing.
    assert_eq!(
        verdict["witness"],
        serde_json::json!({ "available": false, "checked": 0, "agreed": 0, "not_compared": 0 })
    );
    assert_eq!(finding_ids(totals), [""; 0], "{totals:#}");
}

/// A1–A3 and A6, on one server: a user for each mode, so that the record of each is whole.
fn every_claim_is_in_the_servers_record(protection: Protection) {
    let server = PrivateDovecot::start();
    let run = |user: &str, flags: &str| {
        let tool = Tool::on(&server, user, protection).with(ALL_OPERATIONS).with(flags);
        let (finished, report) = tool.streamed();
        assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
        assert_recorded(&server, user, &report);
        report
    };

    let report = run("u1", "--mode use-main -t 4 -n 12");
    assert_all_held(&report, 48);
    assert_eq!(report.events("session-opened").count(), 1);
    assert!(used(&report).values().all(|used| *used == BTreeSet::from([("#0", "main")])), "{:?}", used(&report));

    let report = run("u2", "--mode use-default -t 4 -n 12");
    assert_all_held(&report, 48);
    assert_eq!(report.events("session-opened").count(), 4);
    assert!(report.events("session-opened").all(|opened| opened["session"] != "#0"), "A4");
    for (worker, used) in used(&report) {
        let [(created, "default-created"), (then, "default")] = Vec::from_iter(used.iter().rev().copied())[..] else {
            panic!("{worker}: {used:?}")
        };
        assert_eq!(created, then);
    }

    // w1 has both a default and an independent connection, which is used; w2 and w3 have neither.
    let report = run("u3", "--mode use-main-or-default -t 5 -n 12 --default-for w0,w1 --independent-for w1,w4");
    assert_all_held(&report, 60);
    assert_eq!(report.events("session-opened").count(), 5);
    let used = used(&report);
    let reasons = |worker: &str| used[worker].iter().map(|(_, reason)| *reason).collect::<Vec<_>>();
    assert_eq!(
        ["w0", "w1", "w2", "w3", "w4"].map(reasons),
        [["default"], ["explicit"], ["main"], ["main"], ["explicit"]]
    );
}

#[test]
fn every_claim_is_in_the_servers_record_without_tls() {
    every_claim_is_in_the_servers_record(Protection::Plain);
}

#[test]
fn every_claim_is_in_the_servers_record_under_starttls() {
    every_claim_is_in_the_servers_record(Protection::StartTls);
}

#[test]
fn every_claim_is_in_the_servers_record_under_tls() {
    every_claim_is_in_the_servers_record(Protection::Tls);
}

#[test]
fn the_table_never_says_that_a_record_agrees_which_nobody_reads() {
    let server = PrivateDovecot::start();
    let finished = Tool::on(&server, "u1", Protection::Plain).with("-n 3").finish();
    assert_eq!(finished.code, 0, "{}", finished.stdout);
    let said = finished.words();
    assert!(said.contains("rules held for 12 of 12"), "{}", finished.stdout);
    assert!(said.contains("the server's own record: not available"), "{}", finished.stdout);
    assert!(!said.contains("agree"), "{}", finished.stdout);
}
