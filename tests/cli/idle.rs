//! Connections that the server ends: while nobody uses them, and as they are told goodbye.

use std::io::Read;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::process::{Ended, PASSWORD, end, findings, list, mailconn, number, of_kind, run, start_unread};
use crate::protocol::scripted::{POP3, Peer, SMTP, Server};

fn run_on(scheme: &str, server: &Server, args: &str) -> Ended {
    let url = format!("{scheme}://joe@{}", server.address);
    let mut command = mailconn(["run", "--server", &url, "--plaintext"].into_iter().chain(args.split_whitespace()));
    end(command.env("MAILCONN_PASSWORD", PASSWORD))
}

/// Answers NOOPs, so late each; then the test's own goodbye.
fn imap(peer: &mut Peer, noops: usize, late: u64) {
    peer.sign_in();
    for _ in 0..noops {
        thread::sleep(Duration::from_millis(late));
        peer.answer("{t} OK\r\n");
    }
}

#[track_caller]
fn closed(events: &[Value]) -> Vec<(&str, &str)> {
    of_kind(events, "session-closed")
        .map(|event| {
            let said = list(&event["commands"]).first().map_or("", |command| command["verb"].as_str().unwrap());
            (event["closed"].as_str().unwrap(), said)
        })
        .collect()
}

/// What a server does when it is told goodbye, and how that is called.
type Goodbye = (&'static str, fn(&mut Peer));

/// Closed, reset, refused, nonsense, or nothing at all: it was said, and is no leak of ours.
#[test]
fn a_goodbye_that_was_said_is_no_leak_whatever_the_answer() {
    let ends: [Goodbye; 5] = [
        ("closed", |peer| drop(peer.line())),
        // What was not read when a socket closes resets it.
        ("reset", |_| thread::sleep(Duration::from_millis(300))),
        ("refused", |peer| {
            peer.answer("{t} NO you stay\r\n");
        }),
        ("bad", |peer| {
            peer.answer("{t} BAD what\r\n");
        }),
        ("nonsense", |peer| {
            peer.answer("!!! ???\r\n");
        }),
    ];
    for (what, goodbye) in ends {
        let server = Server::start(move |peer| {
            imap(peer, 2, 0);
            goodbye(peer);
        });
        let ended = run_on("imap", &server, "--mode use-main -t 1 -n 2 --ops noop --format ndjson");
        let events = ended.events();
        let totals = events.last().unwrap();
        assert_eq!((ended.code, findings(totals)), (0, Vec::new()), "{what}: {totals:#}");
        assert_eq!(closed(&events), [("no-logout", "LOGOUT")], "{what}");
    }
    let lines: [(&str, &str, &str); 6] = [
        ("smtp", "", "noop"),
        ("smtp", "500 5.5.1 no\r\n", "noop"),
        ("smtp", "421 4.3.2 going down\r\n", "noop"),
        ("pop3", "", "noop"),
        ("pop3", "-ERR no\r\n", "noop"),
        ("pop3", "what?\r\n", "noop"),
    ];
    for (scheme, reply, ops) in lines {
        let rules: &'static [(&str, &str)] = Box::leak(Box::new([("QUIT", reply)]));
        let server = if scheme == "smtp" { Server::smtp(rules) } else { Server::pop3(rules) };
        let args = format!("--mode use-main -t 1 -n 2 --ops {ops} --format ndjson");
        let ended = run_on(scheme, &server, &args);
        let events = ended.events();
        let totals = events.last().unwrap();
        assert_eq!((ended.code, findings(totals)), (0, Vec::new()), "{scheme} {reply:?}: {totals:#}");
        assert_eq!(closed(&events), [("no-logout", "QUIT")], "{scheme} {reply:?}");
    }
}

#[test]
fn nor_is_one_that_is_answered_by_silence() {
    let server = Server::start(|peer| {
        imap(peer, 2, 0);
        peer.line();
        thread::sleep(Duration::from_secs(9));
    });
    let ended = run_on("imap", &server, "--mode use-main -t 1 -n 2 --ops noop --format ndjson");
    let events = ended.events();
    assert_eq!((ended.code, findings(events.last().unwrap())), (0, Vec::new()));
    assert_eq!(closed(&events), [("no-logout", "LOGOUT")]);
}

/// With a word or without: the first connection lies idle while the other is at work, and is gone when it is to be closed.
#[test]
fn a_server_that_hangs_up_on_an_idle_connection_is_mc042_and_fails_nothing() {
    let cases: [(&str, &str); 6] = [
        ("imap", ""),
        ("imap", "* BYE Autologout; idle for too long\r\n"),
        ("smtp", ""),
        ("smtp", "421 4.4.2 idle timeout\r\n"),
        ("pop3", ""),
        ("pop3", "-ERR idle for too long\r\n"),
    ];
    for (scheme, word) in cases {
        let hang_up = move |peer: &mut Peer| {
            thread::sleep(Duration::from_millis(200));
            peer.send(word);
        };
        let script = move |peer: &mut Peer| {
            let first = peer.number == 0;
            match scheme {
                "imap" => imap(peer, 2, if first { 0 } else { 400 }),
                scheme => {
                    let rules = if scheme == "smtp" { SMTP } else { POP3 };
                    peer.send(rules[0].1);
                    let mut noops = 0;
                    while noops < 2 {
                        let Some(line) = peer.line() else { return };
                        let is_noop = line == "NOOP";
                        noops += usize::from(is_noop);
                        if is_noop && !first {
                            thread::sleep(Duration::from_millis(400));
                        }
                        let reply = rules.iter().find(|(start, _)| !start.is_empty() && line.starts_with(start));
                        peer.send(reply.unwrap().1);
                    }
                }
            }
            if first {
                hang_up(peer);
            } else if scheme == "imap" {
                peer.wait_for_close();
            } else {
                peer.go_on(if scheme == "smtp" { SMTP } else { POP3 });
            }
        };
        let server = match scheme {
            "imap" => Server::start(script),
            "smtp" => Server::of(mailconn::protocol::Protocol::Smtp, "127.0.0.1:0", script),
            _ => Server::of(mailconn::protocol::Protocol::Pop3, "127.0.0.1:0", script),
        };
        let args = "--mode use-default -t 2 -n 2 --ops noop";
        let ended = run_on(scheme, &server, &format!("{args} --format ndjson"));
        let events = ended.events();
        let totals = events.last().unwrap();
        assert_eq!((ended.code, findings(totals)), (0, vec!["MC042"]), "{scheme} {word:?}: {totals:#}");
        let mut ends = closed(&events);
        ends.sort_unstable();
        let goodbye = if scheme == "imap" { "LOGOUT" } else { "QUIT" };
        assert_eq!(ends, [("hung-up", ""), ("logged-out", goodbye)], "{scheme} {word:?}");
        let evidence = totals["findings"][0]["evidence"][0].as_str().unwrap();
        assert!(
            evidence.contains(" at most: ") && evidence.contains(word.trim_start_matches("* ").trim()),
            "{evidence}"
        );
    }
}

/// The next operation fails, once, since nothing else could tell it; the finding says why.
#[test]
fn an_operation_that_meets_an_idle_time_out_fails_and_says_so() {
    let server = Server::start(|peer| {
        imap(peer, 1, 0);
        thread::sleep(Duration::from_millis(300));
        peer.send("* BYE Autologout; idle for too long\r\n");
    });
    let ended = run_on("imap", &server, "--mode use-main -t 1 -n 2 --pause 900ms --ops noop --format ndjson");
    let events = ended.events();
    let totals = events.last().unwrap();
    assert_eq!((ended.code, findings(totals)), (1, vec!["MC042"]), "{totals:#}");
    let failed = of_kind(&events, "operation").last().unwrap();
    assert_eq!((&failed["failure"]["kind"], &failed["commands"]), (&"server-bye".into(), &Value::Array(Vec::new())));
}

/// So soon that using it more often is no cure, unless the server says so.
#[test]
fn a_server_that_hangs_up_at_once_has_no_idle_time_out() {
    for (word, says, says_not) in [
        ("", "too soon for an idle time-out", "use them more often"),
        ("* BYE idle for too long\r\n", "use them more often", "too soon"),
    ] {
        let server = Server::start(move |peer| {
            imap(peer, 1, 0);
            peer.send(word);
        });
        let ended = run_on("imap", &server, "--mode use-main -t 1 -n 2 --pause 700ms --ops noop --format json");
        let report = ended.json();
        assert_eq!((ended.code, findings(&report)), (1, vec!["MC042"]), "{report:#}");
        let sentence = report["findings"][0]["sentence"].as_str().unwrap();
        assert!(sentence.contains(says) && !sentence.contains(says_not), "{sentence}");
    }
}

/// The mailbox was selected by an operation before it.
#[test]
fn an_operation_on_an_earlier_selection_meets_an_idle_time_out_too() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("idle.txt");
    let steps = "client use-main\nT1 select INBOX\nserver cuts main by fin\npause 300ms\n\
                 T1 fetch-selected => fails closed\nexpect finding MC042\n";
    std::fs::write(&path, steps).unwrap();
    let ended = end(&mut mailconn(["scenario", path.to_str().unwrap()]));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
}

#[test]
fn the_sandbox_s_own_idle_time_out_is_mc042_too() {
    for (scheme, protocol) in [("imap", "imap"), ("smtp", "smtp"), ("pop3", "pop3")] {
        let mut sandbox = start_unread(&mut mailconn(["sandbox", "--listen", protocol, "--idle-limit", "700ms"]));
        let mut said = String::new();
        let mut out = sandbox.stdout();
        let mut byte = [0];
        while !said.contains("password") || !said.ends_with('\n') {
            assert_eq!(out.read(&mut byte).unwrap(), 1, "{said}");
            said.push(char::from(byte[0]));
        }
        let url = said.lines().find(|line| line.contains("://")).unwrap().trim().to_owned();
        let password = said.lines().find_map(|line| line.strip_prefix("password ")).unwrap().trim();
        let password = password.split(' ').next().unwrap();
        let mut command =
            mailconn(["run", "--server", &url, "--plaintext", "-t", "1", "-n", "2", "--mode", "use-main"]);
        command.args(["--pause", "1500ms", "--ops", "noop", "--format", "json"]).env("MAILCONN_PASSWORD", password);
        let ended = end(&mut command);
        let report = ended.json();
        assert_eq!((ended.code, findings(&report)), (1, vec!["MC042"]), "{scheme}: {report:#}");
        assert_eq!(number(&report["operations"]["failed"]), 1);
        sandbox.signal("TERM");
        drop(sandbox.end());
    }
}

#[test]
fn without_tls_nobody_verified_a_certificate_and_none_was_waived() {
    let plain = run("-t 1 -n 1 --format json").json();
    assert_eq!(plain["certificates_verified"], Value::Null, "{plain:#}");
    let secured = run("--server sandbox+imaps -t 1 -n 1 --format json").json();
    assert_eq!(secured["certificates_verified"], true, "{secured:#}");
    let events = run("-t 1 -n 1 --format ndjson").events();
    assert_eq!(events[0]["certificates_verified"], Value::Null);
}

#[test]
fn the_mode_s_default_alone_behaves_as_use_main_and_says_so() {
    for (args, found) in
        [("-t 2 -n 5", true), ("-t 2 -n 5 --default-for w0", false), ("-t 2 -n 5 --mode use-main", false)]
    {
        let report = run(&format!("{args} --format json")).json();
        assert_eq!(findings(&report).contains(&"MC053"), found, "{args}: {report:#}");
        assert_eq!(report["exit_code"], 0);
    }
}

#[test]
fn connections_that_rest_are_mc052_and_those_that_work_are_not() {
    let rests = "--mode use-default -t 6 --duration 2600ms --pause 250ms --ops noop --format json";
    let works = "--mode use-default -t 6 --duration 2600ms --sandbox-latency 20ms --ops noop --format json";
    let short = "--mode use-default -t 6 -n 5 --pause 50ms --ops noop --format json";
    for (args, found) in [(rests, true), (works, false), (short, false)] {
        let report = run(args).json();
        assert_eq!(findings(&report).contains(&"MC052"), found, "{args}: {report:#}");
        assert_eq!(report["exit_code"], 0, "{report:#}");
    }
}

/// A BYE within a command's reply is no hanging up on a connection that nobody used.
#[test]
fn a_goodbye_before_the_yes_is_no_idle_time_out() {
    let server = Server::start(|peer| {
        peer.sign_in();
        peer.answer("* BYE idle too long\r\n{t} OK\r\n");
    });
    let ended = run_on("imap", &server, "--mode use-main -t 1 -n 2 --ops noop --format json");
    assert!(!findings(&ended.json()).contains(&"MC042"), "{}", ended.stdout);
}
