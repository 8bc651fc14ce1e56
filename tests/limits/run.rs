//! `mailconn limits` as a process: what it counts, what it says, how it ends.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::Protocol;
use serde_json::{Value, json};

use crate::cli::process::{Ended, PASSWORD, end, eventually, is_sound, mailconn, number, obey, of_kind, shell, start};
use crate::protocol::scripted::{GREETING, Peer, SMTP, Server};
use crate::sandbox::command::serving;

/// What a probe may take to end once it is told to.
const SOON: Duration = Duration::from_secs(5);

pub fn limits(args: &str) -> Ended {
    end(&mut mailconn(["limits"].into_iter().chain(args.split_whitespace())))
}

/// The command against a server of the test's own, as joe.
pub fn against(scheme: &str, server: SocketAddr, args: &str) -> Command {
    let url = format!("{scheme}://joe@{server}");
    let mut command = mailconn(["limits", &url].into_iter().chain(args.split_whitespace()));
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

/// Real maildrops have one owner; the sandbox's can be told to have more.
#[test]
fn a_locked_maildrop_of_the_sandbox_has_a_cure_that_a_real_one_has_not() {
    const CURE: &str = "--sandbox-maildrops shared lets more in";
    let to_set = |args: &str| limits(&format!("{args} --hold 1s --format json")).json()["to_set"].to_string();
    assert!(to_set("sandbox+pop3").contains(CURE));
    let shared = to_set("sandbox+pop3 --sandbox-maildrops shared --sandbox-connections 1");
    assert!(shared.contains("use-main") && !shared.contains(CURE), "{shared}");
    let locked = "-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n";
    let server = Server::of(Protocol::Pop3, "127.0.0.1:0", move |peer: &mut Peer| {
        peer.send("+OK hello\r\n");
        peer.answer("-ERR no\r\n");
        peer.answer("+OK\r\n");
        peer.answer(locked);
        peer.wait_for_close();
    });
    let ended = end(&mut against("pop3", server.address, "--hold 1s --format json"));
    let to_set = ended.json()["to_set"].to_string();
    assert!(
        to_set.contains("Not even one was let in: close what other clients hold.") && !to_set.contains(CURE),
        "{to_set}"
    );
}

/// What the end of the stream says of the limits.
#[track_caller]
pub fn found(ended: &Ended) -> Value {
    ended.events().last().unwrap()["limits"].clone()
}

/// What it says on stderr, line by line, without its name.
pub fn said(ended: &Ended) -> Vec<&str> {
    ended.stderr.lines().map(|line| line.strip_prefix("mailconn: ").unwrap()).collect()
}

#[test]
fn the_number_of_the_server_is_recovered_exactly() {
    thread::scope(|scope| {
        // In SMTP its words go for a rate, too: that takes two attempts more, and a hold in which no rate gives as many.
        let servers = [("sandbox", "auth", 2), ("sandbox+smtp", "greeting", 3), ("sandbox+pop3", "auth", 2)];
        for (server, stage, refused) in servers {
            for number in [3, 7, 10] {
                scope.spawn(move || {
                    let args = format!(
                        "{server} --sandbox-connections {number} --sandbox-maildrops shared --hold 6s --format ndjson"
                    );
                    let ended = limits(&args);
                    let found = found(&ended);
                    assert_eq!(ended.code, 0, "{args}: {found:#}");
                    assert_eq!(found["answered"], true);
                    assert_eq!(found["given"], number, "{args}: {found:#}");
                    assert_eq!(found["refused"], refused, "{found:#}");
                    assert_eq!(found["ended"], 0);
                    assert_eq!(found["met"]["kind"], "count");
                    assert_eq!(found["met"]["kept_by"], "refusing-newest");
                    assert_eq!(found["met"]["stage"], stage);
                    let free = found["release"]["free_after_us"].as_u64().unwrap();
                    assert!((2_000_000..4_000_000).contains(&free), "{free}");
                });
            }
        }
    });
}

#[test]
fn a_server_without_a_limit_is_asked_for_no_more_than_max() {
    for server in ["sandbox", "sandbox+smtp", "sandbox+pop3"] {
        let ended = limits(&format!("{server} --max 4 --sandbox-maildrops shared --format ndjson"));
        let found = found(&ended);
        assert_eq!(ended.code, 0);
        assert_eq!((&found["answered"], &found["given"], &found["attempts"]), (&json!(true), &json!(4), &json!(4)));
        assert_eq!((&found["met"], &found["refused"]), (&Value::Null, &json!(0)));
    }
}

#[test]
fn need_is_a_question_with_yes_and_no() {
    for (need, code) in [(2, 0), (3, 6)] {
        let ended = limits(&format!("--sandbox-connections 2 --hold 1s --need {need} --format ndjson"));
        assert_eq!((ended.code, number(&found(&ended)["given"])), (code, 2), "--need {need}");
    }
    let ended = limits("--max 3 --need 3 --format ndjson");
    assert_eq!((ended.code, number(&found(&ended)["given"])), (0, 3));
}

#[test]
fn what_makes_no_sense_is_one_line_and_nothing_is_dialled() {
    let server = Server::start(|peer| peer.wait_for_close());
    for (args, cure) in [
        ("--max 0", "give at least 1"),
        ("--max 5000", "give at most"),
        ("--max 3 --need 4", "raise --max"),
        ("--need 0", "leave it out"),
        ("--hold 300ms", "give at least 1s"),
        ("--hold 0s", "longer than 0"),
        ("--pace often", "a number and a unit"),
        ("--sandbox-connections 3", "names a real server"),
        ("--fail-if nonsense", "--fail-if"),
        ("-o /no/such/directory/file", "there is no directory"),
    ] {
        let ended = end(&mut against("imap", server.address, args));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(cure) && ended.stderr.lines().count() == 1, "{args}: {}", ended.stderr);
    }
    assert_eq!(server.accepted(), 0);
    let ended = limits("imap://joe:secret@127.0.0.1 --max 3");
    assert_eq!(ended.code, 2);
    assert!(!ended.stderr.contains("secret"), "{}", ended.stderr);
}

#[test]
fn a_provider_that_blocks_what_looks_unusual_is_not_dialled_unasked() {
    let probe = |args: &str| {
        let mut command = mailconn("limits imaps://joe@imap.zoho.com".split(' ').chain(args.split_whitespace()));
        end(command.env("MAILCONN_PASSWORD", PASSWORD))
    };
    let folder = tempfile::tempdir().unwrap();
    let asked = folder.path().join("asked");
    let ended = probe(&format!("--max 3 --password-command touch${{IFS}}{}", asked.display()));
    assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
    assert!(!asked.exists(), "it asks that before it asks for a secret");
    assert!(ended.stderr.contains("add --yes"), "{}", ended.stderr);
    // What is wrong behind that question shows that it was answered; nothing is dialled here either.
    let ended = probe("--max 3 --yes -o /no/such/directory/file");
    assert_eq!(ended.code, 2);
    assert!(!ended.stderr.contains("--yes") && ended.stderr.contains("no directory"), "{}", ended.stderr);
}

#[test]
fn what_is_documented_of_a_server_is_said_once_it_has_greeted() {
    let server = Server::start(|peer| {
        peer.send("* OK Gimap ready for requests from 192.0.2.1\r\n");
        peer.answer("* CAPABILITY IMAP4rev1\r\n{t} OK\r\n");
        peer.answer("{t} OK [CAPABILITY IMAP4rev1] in\r\n");
        obey(peer);
    });
    let ended = end(&mut against("imap", server.address, "--max 2"));
    let all = said(&ended);
    assert!(
        all[0].contains("at most 2 connections at once") && all[1].starts_with("Gmail: over IMAP 15 connections"),
        "{all:?}"
    );
    assert!(all[1].contains("looked up on") && all[1].contains("https://"), "with its source and date: {all:?}");
    assert_eq!(ended.code, 0);
}

#[test]
fn the_result_is_on_stdout_and_the_rest_on_stderr() {
    let ended = limits("--sandbox-connections 2 --hold 1s");
    assert!(!ended.stdout.is_empty() && !ended.stdout.contains("mailconn: "), "{}", ended.stdout);
    let all = said(&ended);
    assert!(
        all[0].contains("at most 32 connections at once, 39 sign-ins, 4 refused attempts, 659 NOOPs"),
        "the budget comes first: {all:?}"
    );
    assert!(all[0].contains("up to about 1 min 21 s (more if the server is slow or asks for a wait)"), "{all:?}");
    let attempts: Vec<(&str, &str)> = all.iter().filter_map(|line| line.split_once(' ')).collect();
    let told =
        |step: &str, came: &str| attempts.iter().any(|(of, rest)| *of == step && rest.trim_start().starts_with(came));
    for (step, came) in [("count#1", "let in"), ("count#2", "let in"), ("count#3", "refused: limit-connections")] {
        assert!(told(step, came), "{step}: {all:?}");
    }
    for (step, came) in [("hold#1", "all are held for 1s"), ("hold#1", "refused"), ("release#1", "let in")] {
        assert!(told(step, came), "{step}: {all:?}");
    }
    let ended = limits("sandbox+smtp --max 2 --progress never --bare-close --pace 1s --hold 61s");
    assert_eq!(said(&ended).len(), 1, "the budget alone: {}", ended.stderr);
    assert!(
        ended.stderr.contains("at most 2 connections at once, 11 sign-ins, 6 refused attempts, 11 NOOPs"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("up to about 3 min 10 s ("), "{}", ended.stderr);
}

#[test]
fn the_stream_says_of_each_line_its_step_and_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = mailconn("limits --sandbox-connections 2 --hold 1s --format ndjson -o it.ndjson".split(' '));
    assert_eq!(end(command.current_dir(folder.path())).code, 0);
    let text = std::fs::read_to_string(folder.path().join("it.ndjson")).unwrap();
    is_sound(&text);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let steps = of_kind(&lines, "probe-step").map(|line| line["step"].as_str().unwrap().to_owned());
    assert_eq!(steps.collect::<Vec<_>>(), ["count#1", "count#2", "count#3", "hold#1", "release#1", "end#1"]);
    let greeted: Vec<&Value> = of_kind(&lines, "server-greeted").collect();
    assert_eq!((greeted.len(), &greeted[0]["step"]), (1, &json!("count#1")));
    assert!(greeted[0]["line"].as_str().unwrap().starts_with("* OK"));
    assert!(lines.iter().skip(1).all(|line| line["step"].is_string()), "{text}");
    assert_eq!(of_kind(&lines, "session-closed").filter(|line| line["closed"] == "logged-out").count(), 3);
    let told = |args: &str| end(mailconn(args.split(' ')).current_dir(folder.path()));
    assert_eq!(told("verify it.ndjson").code, 0);
    assert_eq!(told("report it.ndjson --format json").code, 0);
}

/// What the client's library takes for the first command is not sent then; what was sent is numbered as it was.
#[test]
fn the_stream_of_a_server_that_signs_in_by_itself_is_sound() {
    for (greeting, first) in [
        ("* PREAUTH [CAPABILITY IMAP4rev1 ID] welcome joe\r\n", "ID"),
        ("* PREAUTH [CAPABILITY IMAP4rev1] welcome joe\r\n", "NOOP"),
        ("* PREAUTH welcome joe\r\n", "CAPABILITY"),
    ] {
        let server = Server::start(move |peer: &mut Peer| {
            peer.send(greeting);
            if first == "CAPABILITY" {
                peer.answer("* CAPABILITY IMAP4rev1\r\n{t} OK\r\n");
            }
            obey(peer);
        });
        let ended = end(&mut against("imap", server.address, "--max 3 --format ndjson"));
        is_sound(&ended.stdout);
        assert_eq!((ended.code, number(&found(&ended)["given"])), (0, 3), "{greeting}: {}", ended.stdout);
        assert_eq!((server.heard_verb("LOGIN"), server.heard_verb(first) >= 3), (0, true), "{greeting}");
    }
}

#[test]
fn a_bare_close_says_no_goodbye_and_is_meant() {
    let ended = limits("--sandbox-connections 3 --hold 1s --bare-close --format ndjson");
    let events = ended.events();
    let closed = |how: &'static str| of_kind(&events, "session-closed").filter(move |it| it["closed"] == how);
    assert_eq!((ended.code, closed("logged-out").count(), closed("discarded").count()), (0, 4, 1));
    assert_eq!(closed("discarded").next().unwrap()["step"], "bare-close#1");
    let witnessed =
        of_kind(&events, "witness-session").filter(|it| it["logged_out"] == false && !it["label"].is_null());
    assert_eq!(witnessed.count(), 1, "the server's own record agrees");
    let limits = &events.last().unwrap()["limits"];
    assert!(number(&limits["bare_close"]["free_after_us"]) >= 2_000_000, "{limits:#}");
    assert_eq!(events.last().unwrap()["findings"].as_array().unwrap().len(), 1, "MC030 alone");
}

/// Signs everyone in but the connections from that number on; those get that refusal.
fn refusing(from: usize, refusal: &'static str) -> Server {
    Server::start(move |peer| {
        if peer.number < from {
            peer.sign_in();
            obey(peer);
        } else {
            peer.send(GREETING);
            peer.answer(refusal);
            peer.wait_for_close();
        }
    })
}

#[test]
fn a_refused_sign_in_ends_it() {
    let server = refusing(2, "{t} NO [AUTHENTICATIONFAILED] Invalid credentials\r\n");
    let ended = end(&mut against("imap", server.address, "--hold 1s --format ndjson"));
    assert_eq!((ended.code, server.accepted()), (5, 3), "{}", ended.stderr);
    assert_eq!(server.heard_verb("LOGOUT"), 3, "those that were open, and the refused one");
}

#[test]
fn a_wait_that_is_longer_than_the_hold_ends_it_and_is_told() {
    let server = refusing(2, "{t} NO [LIMIT] Too many connections, try again in 15 minutes\r\n");
    let ended = end(&mut against("imap", server.address, "--hold 1s --format ndjson"));
    let found = found(&ended);
    assert_eq!((ended.code, server.accepted()), (0, 3), "{found:#}");
    assert_eq!(found["met"]["stated_wait_us"], 900_000_000_u64);
}

/// B6 holds a client's next sign-in back after such an answer, and ends all after three: not a probe's.
#[test]
fn b6_does_not_hold_a_probe_back_which_has_a_pace_of_its_own() {
    // The one of a limit of one has signed out by the time of the last attempts: it may be a limit all the same.
    let probe = |given: usize| {
        let server = refusing(given, "{t} NO [UNAVAILABLE] Temporary failure, come back later\r\n");
        let ended = end(&mut against("imap", server.address, "--hold 1s --connect-timeout 2s --format ndjson"));
        let found = found(&ended);
        assert_eq!(server.accepted(), given + 4, "{given} are let in, and four are refused: {}", ended.stderr);
        assert_eq!((&found["given"], &found["refused"]), (&json!(given), &json!(4)), "{found:#}");
        assert_eq!((ended.code, &found["met"]["kind"]), (0, &json!("unclear")), "{found:#}");
        assert!(ended.took > Duration::from_secs(3), "it rests before the last attempts");
    };
    thread::scope(|scope| {
        for given in [1, 2] {
            scope.spawn(move || probe(given));
        }
    });
}

/// What it says of its rests is what it rests.
#[test]
fn a_stated_wait_is_kept_before_each_attempt_and_told() {
    let server = Server::start(|peer: &mut Peer| {
        if peer.number < 2 || peer.number == 4 {
            peer.sign_in();
            return obey(peer);
        }
        peer.send(GREETING);
        peer.answer("{t} NO Too many connections, try again in 3 seconds\r\n");
        peer.wait_for_close();
    });
    let ended = end(&mut against("imap", server.address, "--hold 3s"));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    for line in [
        "hold#1       all are held for 3s, then one more attempt",
        "release#1    one signs out, then one more attempt 3s after that",
        "confirm#1    one more attempt 3s after the last, with nothing given back",
        "repeat#1     another one signs out, then one more attempt 3s after that",
    ] {
        assert!(said(&ended).contains(&line), "{line}: {}", ended.stderr);
    }
    assert!(ended.took > Duration::from_secs(9), "{:?}", ended.took);
}

/// The budget bounds its looks.
#[test]
fn no_more_commands_are_sent_than_the_budget_says() {
    // As many as are asked for; a rate, which takes the most steps; and the oldest ended at the last.
    for (from, to) in [(9, 9), (3, 4), (4, 5)] {
        let server = Server::start(move |peer: &mut Peer| {
            if !(from..to).contains(&peer.number) {
                peer.sign_in();
                return obey(peer);
            }
            peer.send(GREETING);
            peer.answer("{t} NO Too many connections\r\n");
            peer.wait_for_close();
        });
        let ended = end(&mut against("imap", server.address, "--max 5 --hold 1s"));
        let (budget, _) = ended.stderr.split_once(" NOOPs").unwrap();
        let budget: usize = budget.rsplit(' ').next().unwrap().parse().unwrap();
        let heard = server.heard_verb("NOOP");
        assert!((10..=budget).contains(&heard), "{heard} of {budget}: {}", ended.stdout);
    }
}

#[test]
fn one_slow_dial_is_no_limit_and_two_in_a_row_are() {
    let probe = |slow: std::ops::Range<usize>| {
        let server = Server::start(move |peer| {
            if slow.contains(&peer.number) {
                thread::sleep(Duration::from_millis(1300));
            }
            peer.sign_in();
            obey(peer);
        });
        let ended = end(&mut against("imap", server.address, "--max 6 --hold 1s --format ndjson"));
        is_sound(&ended.stdout);
        let found = found(&ended);
        assert_eq!(ended.code, 0, "{found:#}");
        (server.accepted(), found["met"]["kept_by"].clone())
    };
    assert_eq!(probe(3..4), (6, Value::Null), "one in the middle");
    assert_eq!(probe(5..6), (6, Value::Null), "the last");
    assert_eq!(probe(3..6), (5, json!("slowing")));
}

/// Some servers let one in and refuse its first command, or end the session there.
#[test]
fn the_newest_whose_first_command_is_refused_is_not_let_in() {
    for refusal in ["{t} BAD User is authenticated but not connected.\r\n", "* BYE too many connections\r\n"] {
        let server = Server::start(move |peer| {
            peer.sign_in();
            // These come when one has signed out.
            if peer.number < 2 || [4, 6].contains(&peer.number) {
                return obey(peer);
            }
            peer.answer(refusal);
            if refusal.starts_with("{t}") {
                peer.wait_for_close();
            }
        });
        let ended = end(&mut against("imap", server.address, "--hold 6s --format ndjson"));
        is_sound(&ended.stdout);
        let found = found(&ended);
        assert_eq!((ended.code, server.accepted()), (0, 7), "{found:#}");
        assert_eq!(
            (&found["given"], &found["refused"], &found["ended"]),
            (&json!(2), &json!(3), &json!(0)),
            "{found:#}"
        );
        let met = &found["met"];
        assert_eq!((&met["kind"], &met["kept_by"]), (&json!("count"), &json!("refusing-newest")), "{found:#}");
        assert_eq!(met["stage"], "operation", "{found:#}");
    }
}

#[test]
fn nobody_there_is_no_limit() {
    let ended = limits("imap://joe@127.0.0.1:1 --format ndjson --password-command=echo");
    assert_eq!(ended.code, 2, "an empty password: {}", ended.stderr);
    let mut command = mailconn("limits imap://joe@127.0.0.1:1 --format ndjson".split(' '));
    let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD));
    let found = found(&ended);
    assert_eq!((ended.code, &found["given"], &found["met"]), (4, &json!(0), &Value::Null), "{found:#}");
    assert_eq!(found["attempts"], 1);
}

/// An SMTP server may count commands: what it says unasked is heard of without a further one.
#[test]
fn a_session_is_asked_for_one_command_when_it_is_new_and_its_end_is_heard_of_without_another() {
    static ACCEPTED: AtomicUsize = AtomicUsize::new(0);
    let server = Server::of(Protocol::Smtp, "127.0.0.1:0", |peer: &mut Peer| {
        ACCEPTED.fetch_max(peer.number, Ordering::SeqCst);
        if peer.number > 0 {
            return peer.obey(&[], SMTP);
        }
        peer.send("220 mx.example.org ESMTP\r\n");
        for reply in ["250-mx.example.org\r\n250 AUTH PLAIN\r\n", "235 2.7.0 in\r\n", "250 2.0.0 fine\r\n"] {
            peer.line();
            peer.send(reply);
        }
        eventually("the third is there", || ACCEPTED.load(Ordering::SeqCst) == 2);
        peer.send("421 4.7.0 idle for too long\r\n");
    });
    let ended = end(&mut against("smtp", server.address, "--pace 200ms --max 5 --format ndjson"));
    let events = ended.events();
    let hung_up: Vec<&Value> = of_kind(&events, "session-closed").filter(|it| it["closed"] == "hung-up").collect();
    assert_eq!((ended.code, hung_up.len(), &hung_up[0]["session"]), (0, 1, &json!("#1")));
    assert_eq!(hung_up[0]["failure"]["server_line"], "421 4.7.0 idle for too long");
    assert_eq!(events.last().unwrap()["limits"]["ended"], 1);
    assert_eq!(server.verbs().matches("NOOP").count(), 5, "one on each, when it is new: {}", server.verbs());
}

/// A probe of a sandbox in another process, told to end 300 ms after the sandbox's log has said `moment`; and what the log
/// said from then on.
fn interrupted_at(moment: &str, args: &str, signal: &str) -> (Ended, String) {
    let mut server = serving(&["--listen", "imap", "--connections", "3", "--log"], 3);
    let url = format!("imap://sandbox@{}", server.address("imap"));
    let mut command = mailconn(["limits", &url, "--format", "ndjson"].into_iter().chain(args.split_whitespace()));
    let running = start(command.env("MAILCONN_PASSWORD", server.password()));
    server.wait_for(moment);
    thread::sleep(Duration::from_millis(300));
    let sent = Instant::now();
    running.signal(signal);
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{moment}: {:?}", sent.elapsed());
    (ended, server.end("INT"))
}

#[test]
fn an_interrupted_probe_signs_out_of_all_and_says_what_it_knows() {
    let cases = [
        ("the pace", "#2 imap", "--pace 1s", "INT", 130, 2),
        ("the hold", "refused", "--hold 50s", "TERM", 143, 3),
        ("the release", "signed out", "--hold 1s", "INT", 130, 3),
    ];
    thread::scope(|scope| {
        for (when, moment, args, signal, code, given) in cases {
            scope.spawn(move || {
                let (ended, log) = interrupted_at(moment, args, signal);
                let found = found(&ended);
                assert_eq!((ended.code, &found["given"]), (code, &json!(given)), "{when}: {found:#}");
                assert_eq!(found["answered"], false, "{when}: {found:#}");
                let open =
                    log.lines().find(|line| line.ends_with("without LOGOUT: servers count these until they notice"));
                assert_eq!(open, None, "{when}: {log}");
                let row =
                    |what: &str| log.lines().find(|line| line.ends_with(what)).map(|line| line[..8].trim().to_owned());
                assert_eq!(row("  ended with LOGOUT"), row("  signed in"), "{when}: {log}");
            });
        }
    });
}

#[test]
fn an_interrupted_dial_ends_and_the_others_sign_out() {
    let server = Server::start(|peer| {
        if peer.number < 2 {
            peer.sign_in();
            obey(peer);
        } else {
            peer.wait_for_close();
        }
    });
    let running = start(&mut against("imap", server.address, "--connect-timeout 50s --format ndjson"));
    eventually("the third is dialled", || server.accepted() == 3);
    thread::sleep(Duration::from_millis(100));
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert_eq!((ended.code, &found(&ended)["given"], server.heard_verb("LOGOUT")), (130, &json!(2), 2));
}

#[test]
fn an_interrupted_look_ends_and_the_others_sign_out() {
    let server = Server::start(|peer| {
        peer.sign_in();
        if peer.number > 0 {
            return obey(peer);
        }
        peer.answer("{t} OK\r\n");
        while peer.line().is_some() {}
    });
    let running = start(&mut against("imap", server.address, "--timeout 50s --format ndjson"));
    eventually("the first is looked at once more", || server.heard_verb("NOOP") == 3);
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert_eq!((ended.code, server.heard_verb("LOGOUT")), (130, 1), "{}", ended.stdout);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some() {}
    });
    let running = start(&mut against("imap", server.address, "--timeout 50s"));
    eventually("it waits", || server.heard_verb("NOOP") == 1);
    running.signal("INT");
    thread::sleep(Duration::from_millis(400));
    running.signal("TERM");
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stdout), (143, ""));
}

#[test]
fn a_reader_that_goes_away_ends_it() {
    let script = "{} limits --sandbox-connections 3 --hold 50s --format ndjson | head -1; echo ${PIPESTATUS[0]}";
    let ended = end(&mut shell(script));
    assert_eq!(ended.stdout.lines().last(), Some("0"), "{}", ended.stdout);
    assert!(ended.took < SOON, "{:?}", ended.took);
}
