//! What a run's report claims of waits, rates, failures and its own end: no more, and no less, than was so.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::process::{Ended, end, findings, list, mailconn, number, of_kind, run, run_against};
use crate::protocol::scripted::{GREETING, Peer, Rules, Server};

/// Answers command after command so late, NOOP and LOGOUT alike or not.
fn slow(peer: &mut Peer, noop: u64, logout: u64) {
    while let Some(line) = peer.line() {
        let (tag, command) = line.split_once(' ').unwrap();
        let late = if command == "LOGOUT" { logout } else { noop };
        thread::sleep(Duration::from_millis(late));
        if !peer.send(&format!("{tag} OK done\r\n")) || command == "LOGOUT" {
            return;
        }
    }
}

/// A run against a server of lines, as nobody in particular.
fn run_lines(scheme: &str, server: &Server, args: &str) -> Ended {
    let url = format!("{scheme}://joe@{}", server.address);
    let mut command = mailconn(["run", "--server", &url].into_iter().chain(args.split_whitespace()));
    end(command.env("MAILCONN_PASSWORD", super::process::PASSWORD))
}

#[track_caller]
fn says(ended: &Ended, text: &str) {
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains(text), "{text:?} is not in:\n{}", ended.stdout);
}

#[test]
fn who_still_waits_when_the_time_runs_out_has_waited() {
    let server = Server::start(|peer| {
        peer.sign_in();
        slow(peer, 700, 0);
    });
    let args = "--mode use-main --threads 8 --duration 1s --ops noop";
    let ended = run_against(server.address, &format!("{args} --format ndjson"));
    let events = ended.events();
    let totals = events.last().unwrap();
    assert_eq!((number(&totals["operations"]["ok"]), ended.code), (2, 0), "{totals:#}");
    let cut_off: Vec<u64> = of_kind(&events, "worker-ended").map(|ended| number(&ended["not_begun"])).collect();
    assert_eq!(number(&totals["cut_off"]["operations"]), cut_off.iter().sum::<u64>(), "{totals:#}");
    assert_eq!(number(&totals["cut_off"]["operations"]), 7, "{totals:#}");
    let longest = number(&totals["cut_off"]["longest_wait_us"]);
    assert!(longest > 1_200_000 && number(&totals["wait_us"]["max"]) == longest, "{totals:#}");
    assert!(number(&totals["total_wait_us"]) > 6 * 1_200_000, "{totals:#}");
    assert_eq!(findings(totals), ["MC050"], "{totals:#}");

    let table = run_against(server.address, args);
    says(&table, "7 operations were still waiting when the time ran out, the longest for 1.");
    says(&table, "MC050 advice");
}

/// 99 of a hundred are none of 99.
#[test]
fn a_worker_of_fewer_than_a_hundred_operations_has_no_p99() {
    for (args, header, cells) in [
        ("-n 99", "worker connection reason ops failed p50 max p50 max", 10),
        ("-n 100", "worker connection reason ops failed p50 p99 max p50 p99", 11),
    ] {
        let ended = run(&format!("--mode use-main --threads 2 --ops noop {args}"));
        says(&ended, header);
        let row = ended.stdout.lines().find(|line| line.starts_with("w0 ")).unwrap();
        // `#0 main` is one cell.
        assert_eq!(row.split_whitespace().count(), cells, "{row}");
    }
}

#[test]
fn a_rate_is_over_the_time_of_the_operations_alone() {
    let server = Server::start(|peer| {
        thread::sleep(Duration::from_millis(700));
        peer.sign_in();
        slow(peer, 100, 700);
    });
    let ended = run_against(server.address, "--mode use-main -t 1 -n 5 --ops noop --format json");
    let report = ended.json();
    assert!(number(&report["elapsed_us"]) > 1_900_000, "{report:#}");
    let worked = number(&report["worked_us"]);
    assert!((500_000..1_200_000).contains(&worked), "neither the dial nor the goodbye is in it: {report:#}");
    let table = run_against(server.address, "--mode use-main -t 1 -n 5 --ops noop");
    says(&table, " operations/s (first to last: ");
    assert!(
        !table.stdout.contains(", 2.3 operations/s") && !table.stdout.contains(", 2.5 operations/s"),
        "{}",
        table.stdout
    );
}

/// `noop` once more than `status`, each refused in words of its own; two mailboxes that are missing.
#[test]
fn failures_of_different_operations_commands_and_mailboxes_have_rows_of_their_own() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            let reply = match command.split(' ').next().unwrap() {
                "EXAMINE" => format!("{tag} NO no such mailbox here (request {})\r\n", line.len() * 7919),
                "STATUS" => format!("{tag} NO no such mailbox here (request {})\r\n", tag.len() * 104_729),
                "LOGOUT" => format!("* BYE bye\r\n{tag} OK bye\r\n"),
                _ => format!("{tag} NO not today\r\n"),
            };
            peer.send(&reply);
        }
    });
    let args = "--mode use-main -t 2 -n 40 --seed 3 --ops noop=4,status=2,fetch=2 --mailbox Archive --mailbox Sent";
    let report = run_against(server.address, &format!("{args} --format json")).json();
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap_or("-").to_owned();
    let mut rows: Vec<[String; 3]> = list(&report["failures"])
        .iter()
        .map(|row| ["operation", "command", "mailbox"].map(|field| text(row, field)))
        .collect();
    let counts: Vec<u64> = list(&report["failures"]).iter().map(|row| number(&row["count"])).collect();
    assert!(counts.is_sorted_by(|one, other| one >= other), "most frequent first: {counts:?}");
    assert_eq!(counts.iter().sum::<u64>(), 80);
    rows.sort();
    let expected = [
        ["fetch", "EXAMINE", "Archive"],
        ["fetch", "EXAMINE", "Sent"],
        ["noop", "NOOP", "-"],
        ["status", "STATUS", "Archive"],
        ["status", "STATUS", "Sent"],
    ];
    assert_eq!(rows, expected, "{report:#}");

    let table = run_against(server.address, args);
    says(&table, "Failures ");
    says(&table, "x server-no at operation (fetch of Archive, EXAMINE)");
    says(&table, "x server-no at operation (status of Sent)");
    says(&table, "x server-no at operation (noop)");
    says(&table, "exit 1: 80 operations failed");
    assert_eq!(table.code, 1);
}

#[test]
fn of_a_message_the_command_that_was_refused_is_named_and_not_what_tidied_up() {
    let plain: Rules = &[("EHLO", "250-mx.example.org\r\n250 AUTH PLAIN LOGIN\r\n"), ("RCPT", "550 5.1.1 nobody\r\n")];
    let pipelined: Rules = &[("RCPT", "550 5.1.1 nobody\r\n"), ("DATA", "503 5.5.1 no recipient\r\n")];
    let sender: Rules = &[("MAIL", "550 5.7.1 not you\r\n"), ("RCPT", "503 no\r\n"), ("DATA", "503 no\r\n")];
    let message: Rules = &[(".", "552 5.3.4 too big\r\n")];
    for (rules, command) in [(plain, "RCPT"), (pipelined, "RCPT"), (sender, "MAIL"), (message, "DATA")] {
        let server = Server::smtp(rules);
        let args = "-t 1 -n 2 --ops send --allow-writes --to you@example.org --plaintext --format json";
        let ended = run_lines("smtp", &server, args);
        let report = ended.json();
        let failures = list(&report["failures"]);
        assert_eq!(failures.len(), 1, "{report:#}");
        assert_eq!(
            (&failures[0]["operation"], &failures[0]["command"]),
            (&"send".into(), &command.into()),
            "{report:#}"
        );
    }
}

/// A server with a new grievance for each command: the rows are bounded, and what is left out is counted.
#[test]
fn many_ways_of_failing_are_folded_and_counted() {
    const WORDS: [&str; 32] = [
        "ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kite", "lion", "mole", "newt", "owl",
        "pig", "quail", "rat", "seal", "toad", "urial", "vole", "wolf", "yak", "zebu", "ape", "boar", "crow", "deer",
        "elk", "frog", "goat",
    ];
    let server = Server::start(|peer| {
        peer.sign_in();
        for word in WORDS {
            peer.answer(&format!("{{t}} NO the {word} ate it\r\n"));
        }
        peer.wait_for_close();
    });
    let table = run_against(server.address, "--mode use-main -t 1 -n 32 --ops noop");
    says(&table, "1x server-no at operation (noop)");
    says(&table, "the ant ate it");
    says(&table, "... 12 more ways of failing, 12 times in all (--format json lists all)");
}

#[test]
fn each_shows_the_mailbox() {
    let table = run("--mode use-main -t 1 -n 3 --ops fetch=1,noop=0 --mailbox Archive --each");
    assert_eq!(table.stdout.matches(" fetch Archive  #0 ").count(), 3, "{}", table.stdout);
    let table = run("--mode use-main -t 1 -n 3 --ops noop --each");
    assert_eq!(table.stdout.matches(" noop  #0 ").count(), 3, "{}", table.stdout);
}

#[test]
fn the_end_says_what_it_rests_on() {
    // There was no room for its connection: it issued nothing, so no operation failed.
    let refused = run("--default-for all -t 2 -n 5 --ops noop --max-connections 1 --wait-timeout 200ms");
    says(&refused, "5 operations ok, 0 failed, 5 not issued");
    says(&refused, "exit 1: a connection could not be created (wait-timeout)");
    assert!(!refused.stdout.contains("operations failed"), "{}", refused.stdout);
    assert_eq!(refused.code, 1);

    let advised = run("--mode use-default -t 3 -n 1 --ops noop --fail-on advice");
    says(&advised, "exit 1: MC051 fails the run (--fail-on advice)");
    assert_eq!(advised.code, 1);
}

#[test]
fn where_connections_came_to_be_it_does_not_say_that_none_did() {
    let server = Server::start(|peer| {
        if peer.number >= 2 {
            peer.send("* BYE maintenance\r\n");
            return;
        }
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1 ID] in\r\n");
        peer.answer("{t} OK\r\n");
        slow(peer, 100, 0);
    });
    let ended = run_against(server.address, "--mode use-default -t 3 -n 4 --ops noop");
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    says(&ended, "exit 4: 1 of 3 connections could not be opened");
    assert!(!ended.stdout.contains("no connection came to be"), "{}", ended.stdout);
}

/// The first to sign in is refused, and kept waiting for its goodbye: the others sign in meanwhile, and none had before.
#[test]
fn a_refusal_counts_what_was_open_at_that_moment() {
    let refused = AtomicBool::new(false);
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        let Some(line) = peer.line() else { return };
        let tag = line.split(' ').next().unwrap();
        if !refused.swap(true, Ordering::SeqCst) {
            peer.send(&format!("{tag} NO [LIMIT] too many connections\r\n"));
            peer.line();
            thread::sleep(Duration::from_millis(600));
            return;
        }
        // So late that the refusal has been read, on a busy machine too.
        thread::sleep(Duration::from_millis(200));
        peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1 ID] in\r\n"));
        peer.answer("{t} OK\r\n");
        slow(peer, 200, 0);
    });
    let ended = run_against(server.address, "--mode use-default -t 4 -n 3 --ops noop --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)[0]), (6, "MC030"), "{report:#}");
    let sentence = report["findings"][0]["sentence"].as_str().unwrap();
    assert!(
        sentence.contains("while 3 of ours were open or being opened; stay at 3 connections at most"),
        "{sentence}"
    );
    assert!(!sentence.contains("other clients hold"), "{sentence}");
}

#[test]
fn where_nothing_was_reached_no_mode_behaved_like_another() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run_against(nobody, "--threads 4 -n 1 --format json");
    assert_eq!(findings(&ended.json()), [""; 0], "{}", ended.stdout);
}

#[test]
fn what_was_not_tried_is_told_with_what_came_before_it() {
    let mut command = mailconn("run --server imaps://joe@mail.invalid -t 3 -n 1".split_whitespace());
    let ended = end(command.env("MAILCONN_PASSWORD", super::process::PASSWORD));
    says(&ended, "not tried: an earlier dial did not find the server (");
    assert!(!ended.stdout.contains("in time"), "it was answered at once:\n{}", ended.stdout);
}
