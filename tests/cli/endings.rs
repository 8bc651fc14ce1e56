//! How a run ends when the server misbehaves: in time, in one clear line, with the right exit code.

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use super::process::{Ended, against, end, failures, findings, list, number, obey, run, run_against};
use crate::protocol::scripted::{GREETING, Peer, Server};

const SHORT: &str = "--mode use-default --threads 2 -n 5 --ops noop --connect-timeout 400ms --timeout 400ms";

/// Runs against that server, and expects one way of failing that the report tells in one line.
#[track_caller]
fn ends(script: impl Fn(&mut Peer) + Send + Sync + 'static, code: i32, failure: &str) -> Ended {
    let server = Server::start(script);
    let ended = run_against(server.address, &format!("{SHORT} --format json"));
    fails(&ended, code, failure);
    let table = run_against(server.address, SHORT);
    assert_eq!(table.code, code, "{}", table.stdout);
    assert!(table.stdout.contains(failure), "{}", table.stdout);
    ended
}

#[track_caller]
fn fails(ended: &Ended, code: i32, failure: &str) {
    let report = ended.json();
    // Until the first has signed in the others wait for it, and may have no time left (B6).
    let found = failures(&report);
    let (waiting, failed): (Vec<_>, Vec<_>) = found.keys().partition(|kind| kind.ends_with("at wait"));
    assert_eq!(failed, [failure], "{report:#}");
    assert!(waiting.iter().all(|kind| kind.split(' ').next() == failure.split(' ').next()), "{report:#}");
    assert_eq!(ended.code, code, "{report:#}");
    assert_eq!(ended.complaints(), "");
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
    let message = list(&report["failures"])[0]["message"].as_str().unwrap();
    assert!(!message.is_empty() && !message.contains('\n'), "{message:?}");
}

#[test]
fn a_server_that_does_not_come_to_a_greeting_is_4() {
    ends(|peer| drop(peer.line()), 4, "timeout at greeting");
    ends(|_| {}, 4, "closed at greeting");
    ends(|peer| drop((peer.send("SSH-2.0-OpenSSH\r\n"), peer.line())), 4, "greeting at greeting");
    ends(|peer| drop((peer.send("* OK [CAPABI"), peer.line())), 4, "timeout at greeting");
}

#[test]
fn a_server_without_an_end_or_in_no_hurry_is_4_too() {
    ends(|peer| while peer.send_bytes(&[b'x'; 65536]) {}, 4, "protocol at greeting");
    let dripping = |peer: &mut Peer| {
        for byte in GREETING.bytes().cycle() {
            if !peer.send_bytes(&[byte]) {
                return;
            }
            thread::sleep(Duration::from_millis(90));
        }
    };
    ends(dripping, 4, "timeout at greeting");
}

#[test]
fn nobody_there_is_4() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = run_against(address, &format!("{SHORT} --format json"));
    fails(&ended, 4, "connect-refused at connect");
    assert_eq!(number(&ended.json()["operations"]["not_issued"]), 8, "a worker whose dial failed stops");
}

#[test]
fn a_greeting_that_says_goodbye_is_4_or_if_for_a_limit_6() {
    ends(|peer| assert!(peer.send("* BYE maintenance\r\n")), 4, "server-unavailable at greeting");
    ends(|peer| assert!(peer.send("* BYE go away\r\n")), 4, "greeting at greeting");
    let full = "* BYE [ALERT] Too many simultaneous connections. (Failure)";
    let ended = ends(move |peer| assert!(peer.send(&format!("{full}\r\n"))), 6, "limit-connections at greeting");
    let report = ended.json();
    assert_eq!(findings(&report), ["MC030"]);
    assert_eq!(list(&report["failures"])[0]["server_line"], full);
}

#[test]
fn a_wrong_password_is_5_after_one_attempt_of_eight_threads() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.answer("{t} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n");
        obey(peer);
    });
    let ended = run_against(server.address, "--mode use-default --threads 8 --format json");
    fails(&ended, 5, "auth-invalid at auth");
    assert_eq!(server.heard_verb("LOGIN"), 1, "one sign-in attempt in all");
    let report = ended.json();
    assert_eq!(number(&report["operations"]["failed"]), 8);
    assert_eq!(number(&report["operations"]["not_issued"]), 792);
    assert_eq!(list(&report["failures"])[0]["server_line"], "NO [AUTHENTICATIONFAILED] Authentication failed.");
    let tried = list(&report["sessions"]).iter().filter(|session| session["sign_in_attempted"] == true).count();
    assert_eq!(tried, 1);
}

#[test]
fn no_way_to_sign_in_is_5() {
    ends(
        |peer| {
            peer.send("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] ready\r\n");
            obey(peer);
        },
        5,
        "auth-unsupported at auth",
    );
}

/// Signs everyone in, and answers each operation like that; without an answer it closes.
fn after_sign_in(reply: &'static str) -> impl Fn(&mut Peer) + Send + Sync + 'static {
    move |peer: &mut Peer| {
        peer.sign_in();
        while let Some(line) = peer.line() {
            let tag = line.split(' ').next().unwrap().to_owned();
            if line.ends_with("LOGOUT") {
                peer.send(&format!("* BYE bye\r\n{tag} OK\r\n"));
            } else if reply.is_empty() || !peer.send(&reply.replace("{t}", &tag)) {
                return;
            }
        }
    }
}

/// Exchange Online takes the sign-in and refuses the work (node-imap#523); Gmail says goodbye (imapsync/imapsync#61).
#[test]
fn a_limit_that_is_told_after_the_sign_in_is_6_too() {
    for reply in [
        "{t} BAD User is authenticated but not connected.\r\n",
        "* BYE [ALERT] Too many simultaneous connections. (Failure)\r\n",
    ] {
        ends(after_sign_in(reply), 6, "limit-connections at operation");
    }
    ends(
        after_sign_in("{t} BAD Request is throttled. Suggested Backoff Time: 5 milliseconds\r\n"),
        6,
        "limit-rate at operation",
    );
}

#[test]
fn operations_that_fail_are_1() {
    ends(after_sign_in("{t} NO not now\r\n"), 1, "server-no at operation");
    ends(after_sign_in("{t} BAD what?\r\n"), 1, "server-bad at operation");
    ends(after_sign_in("* BYE shutting down\r\n"), 1, "server-bye at operation");
    ends(after_sign_in(""), 1, "closed at operation");
    let garbage = ends(after_sign_in("<html>\r\n"), 1, "protocol at operation");
    assert_eq!(findings(&garbage.json()), ["MC041"]);
}

#[test]
fn a_server_that_stops_answering_is_1_within_the_deadline() {
    let ended = ends(
        |peer| {
            peer.sign_in();
            while peer.line().is_some() {}
        },
        1,
        "timeout at operation",
    );
    let report = ended.json();
    assert!(findings(&report).contains(&"MC041"));
    assert_eq!(number(&report["operations"]["failed"]), 10, "each operation fails once, on a session of its own");
    assert_eq!(number(&report["connections"]["opened"]), 10);
    let sessions: Vec<&str> = list(&report["sessions"]).iter().map(|it| it["session"].as_str().unwrap()).collect();
    assert!(sessions.contains(&"#1") && sessions.contains(&"#1.5"), "{sessions:?}");
}

#[test]
fn a_redial_that_fails_is_a_failed_operation_and_1() {
    let server = Server::start(|peer| {
        if peer.number == 0 {
            peer.sign_in();
            peer.answer("{t} OK\r\n");
            peer.line();
        }
    });
    let ended = run_against(server.address, "--mode use-main --threads 1 -n 9 --ops noop --format json");
    let report = ended.json();
    assert_eq!(ended.code, 1, "{report:#}");
    assert_eq!(failures(&report).keys().collect::<Vec<_>>(), ["closed at greeting", "closed at operation"]);
    assert_eq!(number(&report["operations"]["ok"]), 1);
    assert_eq!(number(&report["operations"]["not_issued"]), 6);
}

#[test]
fn an_alert_inside_examine_harms_nobody() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while let Some(line) = peer.line() {
            let tag = line.split(' ').next().unwrap().to_owned();
            let reply = match line.split(' ').nth(1).unwrap() {
                "EXAMINE" => "* NO [ALERT] Mailbox is at 98% of quota\r\n* 3 EXISTS\r\n",
                "FETCH" => "* 1 FETCH (FLAGS ())\r\n* 2 FETCH (FLAGS ())\r\n* 3 FETCH (FLAGS ())\r\n",
                "LOGOUT" => "* BYE bye\r\n",
                _ => "",
            };
            peer.send(&format!("{reply}{tag} OK\r\n"));
        }
    });
    let ended = run_against(server.address, "--mode use-default --threads 2 -n 9 --ops fetch --format json");
    let report = ended.json();
    assert_eq!((ended.code, number(&report["operations"]["ok"])), (0, 18), "{report:#}");
    assert_eq!(report["verdict"]["witness"]["available"], false, "its record is its own");
}

#[test]
fn being_throttled_is_a_limit_and_6() {
    let throttled = "BAD Request is throttled. Suggested Backoff Time: 299961 milliseconds";
    let server = Server::start(move |peer| {
        peer.sign_in();
        while let Some(line) = peer.line() {
            let tag = line.split(' ').next().unwrap().to_owned();
            let reply = if line.ends_with("LOGOUT") { "OK" } else { throttled };
            peer.send(&format!("{tag} {reply}\r\n"));
        }
    });
    let ended = run_against(server.address, "--mode use-main --threads 1 -n 2 --ops noop --format json");
    assert_eq!((ended.code, findings(&ended.json())), (6, vec!["MC031"]));
}

#[test]
fn all_well_is_0() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    let ended = run_against(server.address, "--mode use-default --threads 2 -n 9 --ops noop --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)), (0, vec![]), "{report:#}");
    assert_eq!(report["server"], format!("imap://joe@{}", server.address));
    assert_eq!(run("-n 1").code, 0);
}

#[test]
fn threads_that_share_a_connection_wait_once_for_a_server_that_never_answers() {
    let server = Server::start(|peer| drop(peer.line()));
    let args = "--mode use-main --threads 8 -n 5 --ops noop --connect-timeout 500ms --format json";
    let ended = run_against(server.address, args);
    fails(&ended, 4, "timeout at greeting");
    assert!(ended.took < Duration::from_millis(2_500), "eight times half a second would be four: {:?}", ended.took);
    assert_eq!(number(&ended.json()["operations"]["failed"]), 8);
}

#[test]
fn a_duration_ends_pauses_and_lines_too() {
    let paused = run("--duration 300ms --pause 20s -t 2 --format json");
    assert!(paused.took < Duration::from_secs(3), "{:?}", paused.took);
    // Thirty threads in line for one slow connection: whoever is not served in time has issued nothing.
    let lined = run("--mode use-main -t 30 --sandbox-latency 200ms --duration 500ms --format json");
    assert!(lined.took < Duration::from_secs(4), "{:?}", lined.took);
    assert_eq!(lined.code, 0, "{}", lined.stdout);
    assert!(number(&lined.json()["operations"]["ok"]) < 20, "{}", lined.stdout);
}

#[test]
fn a_password_that_the_server_repeats_is_in_no_output() {
    const CANARY: &str = r#"can"ary\s3"#;
    let server = Server::start(|peer| {
        peer.send(GREETING);
        let line = peer.line().unwrap();
        peer.send(&format!("a1 NO bad: {line} {CANARY}\r\n"));
        obey(peer);
    });
    for format in ["table", "json", "ndjson"] {
        let args = format!("--mode use-default --threads 2 -n 2 --format {format}");
        let ended = end(against(server.address, &args).env("MAILCONN_PASSWORD", CANARY));
        assert_eq!(ended.code, 5, "{}", ended.stdout);
        assert!(ended.stdout.contains("bad: a1 LOGIN"), "{}", ended.stdout);
        assert!(!ended.stdout.contains("ary") && !ended.stderr.contains("ary"), "{}{}", ended.stdout, ended.stderr);
    }
}
