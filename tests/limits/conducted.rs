//! `mailconn limits` against servers that end sessions late, hang, talk nonsense or die.

use std::io::Write as _;
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::run::{against, found, said};
use crate::cli::process::{Ended, end, eventually, is_sound, mailconn, obey, of_kind, shell, start};
use crate::protocol::scripted::{GREETING, Peer, Server};

/// Probes it; what it writes down must hold.
#[track_caller]
fn probe(server: &Server, args: &str) -> (Ended, Value) {
    let ended = end(&mut against("imap", server.address, &format!("{args} --format ndjson")));
    is_sound(&ended.stdout);
    let found = found(&ended);
    (ended, found)
}

fn steps(ended: &Ended) -> Vec<String> {
    of_kind(&ended.events(), "probe-step").map(|it| it["step"].as_str().unwrap().to_owned()).collect()
}

/// Lets four live: for one more the oldest is ended, so much later.
fn ending_late(after: Duration) -> Server {
    ending_with(after, b"* BYE Too many connections\r\n")
}

fn ending_with(after: Duration, line: &'static [u8]) -> Server {
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    Server::start(move |peer: &mut Peer| {
        peer.sign_in();
        let oldest = {
            let mut open = open.lock().unwrap();
            open.push(peer.socket());
            (open.len() > 4).then(|| open.remove(0))
        };
        if let Some(mut oldest) = oldest {
            thread::spawn(move || {
                thread::sleep(after);
                let _ = oldest.write_all(line);
                let _ = oldest.shutdown(Shutdown::Both);
            });
        }
        obey(peer);
    })
}

#[test]
fn an_oldest_one_that_is_ended_late_gives_the_same_number() {
    thread::scope(|scope| {
        for (after, args) in [
            (0, "--max 9"),
            (200, "--max 9"),
            (600, "--max 9"),
            (950, "--max 9"),
            (950, "--max 32"),
            (2000, "--max 32"),
            (3000, "--max 64"),
            (1500, "--max 9 --pace 700ms"),
            (400, "--max 9 --pace 700ms"),
            (400, "--max 9 --pace 300ms"),
            // The last of the count ends one, too.
            (800, "--max 5"),
        ] {
            scope.spawn(move || {
                let (ended, found) = probe(&ending_late(Duration::from_millis(after)), args);
                assert_eq!((ended.code, &found["given"]), (0, &json!(4)), "{after} {args}: {found:#}");
                assert_eq!(found["met"]["kept_by"], "ending-oldest", "{after} {args}: {found:#}");
            });
        }
    });
}

/// Serves each session so many commands, and ends it by the next one, in that line.
fn ending_after(commands: usize, line: &'static str) -> Server {
    Server::start(move |peer: &mut Peer| {
        peer.sign_in();
        for _ in 0..commands {
            peer.answer("{t} OK done\r\n");
        }
        peer.answer(line);
    })
}

#[test]
fn a_session_that_the_looks_themselves_end_is_no_limit_on_connections() {
    thread::scope(|scope| {
        for line in ["* BYE too many commands\r\n", ""] {
            scope.spawn(move || {
                let (ended, found) = probe(&ending_after(6, line), "--max 12 --hold 1s");
                let due = (1, &json!(6), &json!(false), &Value::Null);
                assert_eq!((ended.code, &found["given"], &found["answered"], &found["met"]), due, "{line}: {found:#}");
            });
        }
        // Without a word, and unasked.
        scope.spawn(|| {
            let (ended, found) = probe(&ending_with(Duration::ZERO, b""), "--max 12");
            assert_eq!((ended.code, &found["given"]), (0, &json!(4)), "{found:#}");
            assert_eq!(found["met"]["kept_by"], "ending-oldest", "{found:#}");
        });
    });
}

/// Lets all in and serves them; those beyond four it ends itself, so much later.
fn refusing_late(after: Duration) -> Server {
    let open = Arc::new(AtomicUsize::new(0));
    Server::start(move |peer: &mut Peer| {
        peer.sign_in();
        let is_beyond = open.fetch_add(1, Ordering::SeqCst) >= 4;
        if is_beyond {
            let (mut socket, open) = (peer.socket(), Arc::clone(&open));
            thread::spawn(move || {
                thread::sleep(after);
                let _ = socket.write_all(b"* BYE Too many connections\r\n");
                let _ = socket.shutdown(Shutdown::Both);
                open.fetch_sub(1, Ordering::SeqCst);
            });
        }
        obey(peer);
        if !is_beyond {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    })
}

#[test]
fn a_newest_one_that_is_ended_late_was_refused_and_the_others_live_on() {
    thread::scope(|scope| {
        for (after, args) in [
            (20, "--max 9"),
            (300, "--max 9"),
            (300, "--max 32"),
            (1000, "--max 9"),
            (2000, "--max 64"),
            (300, "--max 9 --pace 700ms"),
            (1500, "--max 9 --pace 700ms"),
            // The last of the count is one too many.
            (800, "--max 5"),
        ] {
            scope.spawn(move || {
                let args = format!("{args} --hold 12s");
                let (ended, found) = probe(&refusing_late(Duration::from_millis(after)), &args);
                assert_eq!((ended.code, &found["given"]), (0, &json!(4)), "{after} {args}: {found:#}");
                let met = &found["met"];
                assert_eq!((&met["kept_by"], &met["stage"]), (&json!("refusing-newest"), &json!("operation")));
                assert_eq!((&met["kind"], &found["ended"]), (&json!("count"), &json!(0)), "{after} {args}: {found:#}");
                let last = ["release#1", "confirm#1", "repeat#1", "end#1"].map(str::to_owned);
                assert_eq!(steps(&ended).last_chunk(), Some(&last));
            });
        }
        scope.spawn(|| {
            let ended = end(&mut against("imap", refusing_late(Duration::from_millis(300)).address, "--hold 8s"));
            let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
            for part in [
                "4 connections, beside those that other clients hold now; one more is let in, and ended soon after",
                "refused at operation, while 4 were open",
                "in words * BYE Too many connections",
                "lived on: the server ended none of them; it ended",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
            assert!(!text.contains("whatever it is doing"), "{text}");
        });
    });
}

/// A bucket with so many places, that gives one back each time that so much has passed.
fn bucket(places: usize, every: Duration) -> Server {
    let (taken, started) = (AtomicUsize::new(0), Instant::now());
    Server::start(move |peer: &mut Peer| {
        let given = places + (started.elapsed().as_millis() / every.as_millis()) as usize;
        let takes = |taken| (taken < given).then_some(taken + 1);
        if taken.fetch_update(Ordering::SeqCst, Ordering::SeqCst, takes).is_err() {
            peer.send(GREETING);
            peer.answer("{t} NO Too many connections\r\n");
            return peer.wait_for_close();
        }
        peer.sign_in();
        obey(peer);
    })
}

/// What is let in when one has signed out may have the place that time has given.
#[test]
fn a_bucket_that_gives_one_place_at_a_time_is_no_count() {
    // During the two seconds after the sign-out.
    let (ended, found) = probe(&bucket(4, Duration::from_millis(7200)), "--hold 6s");
    assert_eq!((ended.code, &found["given"], &found["refused"]), (0, &json!(4), &json!(4)), "{found:#}");
    assert_eq!(found["met"]["kind"], "unclear", "{found:#}");
    let last = ["release#1", "confirm#1", "repeat#1", "end#1"].map(str::to_owned);
    assert_eq!(steps(&ended).last_chunk(), Some(&last));
}

/// For one more, so many of the oldest are ended, once five are open.
fn ending_several(ends: usize) -> Server {
    let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
    Server::start(move |peer: &mut Peer| {
        peer.sign_in();
        {
            let mut open = open.lock().unwrap();
            open.push(peer.socket());
            let oldest = if open.len() > 5 { ends } else { 0 };
            for mut oldest in open.drain(..oldest) {
                let _ = oldest.write_all(b"* BYE Too many connections\r\n");
                let _ = oldest.shutdown(Shutdown::Both);
            }
        }
        obey(peer);
    })
}

#[test]
fn a_server_that_ends_several_at_a_time_ends_the_oldest_within_the_budget() {
    thread::scope(|scope| {
        for ends in [2, 3] {
            scope.spawn(move || {
                let server = ending_several(ends);
                let ended = end(&mut against("imap", server.address, ""));
                let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
                let stay = 6 - ends;
                let due = format!("for one more the server ends the {ends} oldest, so that {stay} stay");
                assert!(text.contains("5 connections, beside those") && text.contains(&due), "{text}");
                assert_eq!((ended.code, server.accepted()), (0, 6 + ends), "{text}");
                // The time is the dial's, and no age of those that ended.
                let (line, _) = ended.stderr.split_once("; the server had ended #1").expect("it is told as it goes on");
                let line = line.lines().last().unwrap();
                assert!(line.contains("let in after ") && line.ends_with(" open"), "{line}");
                assert!(ended.took < Duration::from_secs(25), "{:?}", ended.took);
            });
        }
    });
}

/// A line that breaks once is no limit.
#[test]
fn a_session_that_breaks_once_is_no_limit() {
    let server = Server::start(|peer: &mut Peer| {
        peer.sign_in();
        if peer.number != 3 {
            obey(peer);
        }
    });
    let ended = end(&mut against("imap", server.address, "--max 6 --need 6 --hold 1s --format ndjson"));
    is_sound(&ended.stdout);
    let found = found(&ended);
    assert_eq!((ended.code, &found["given"], &found["met"]), (0, &json!(6), &Value::Null), "{found:#}");
    assert_eq!((server.accepted(), &found["refused"]), (7, &json!(1)), "{found:#}");
}

/// A limit of five, of which others hold two at first, and one from 4 s on.
fn shared_with_others(refusal: &'static str) -> Server {
    let (open, started) = (AtomicUsize::new(0), Instant::now());
    Server::start(move |peer: &mut Peer| {
        let others = if started.elapsed() < Duration::from_secs(4) { 2 } else { 1 };
        if open.load(Ordering::SeqCst) + others >= 5 {
            peer.send(GREETING);
            peer.answer(refusal);
            return peer.wait_for_close();
        }
        open.fetch_add(1, Ordering::SeqCst);
        peer.sign_in();
        obey(peer);
        open.fetch_sub(1, Ordering::SeqCst);
    })
}

#[test]
fn another_client_that_leaves_during_the_hold_is_no_rate() {
    // Without words of a limit one refusal may be anything; each of those takes a second.
    for (refusal, refused) in [("{t} NO Too many connections\r\n", 2), ("* BYE\r\n", 3)] {
        let (ended, found) = probe(&shared_with_others(refusal), "--hold 5s");
        assert_eq!((ended.code, &found["given"]), (0, &json!(3)), "{found:#}");
        assert_eq!((&found["met"]["kind"], &found["refused"]), (&json!("unclear"), &json!(refused)), "{found:#}");
        assert_eq!(steps(&ended).last_chunk(), Some(&["hold#1", "confirm#1", "end#1"].map(str::to_owned)));
    }
}

/// The one that was met first is told by its own refusals alone.
#[test]
fn another_limit_that_refuses_later_is_not_taken_for_the_one_that_was_met() {
    thread::scope(|scope| {
        for (limits, hold, kind) in [
            ("--sandbox-limit address=3/2s --sandbox-limit address=4@accept,release=5s", "3s", "rate"),
            ("--sandbox-limit user=4@after --sandbox-limit user=4/2s", "1s", "rate"),
            ("--sandbox-limit user=5 --sandbox-limit address=6/10s@accept", "1s", "unclear"),
        ] {
            scope.spawn(move || {
                let args = format!("limits sandbox {limits} --hold {hold} --format ndjson");
                let ended = end(&mut mailconn(args.split(' ')));
                is_sound(&ended.stdout);
                let found = found(&ended);
                assert_eq!((ended.code, &found["met"]["kind"]), (0, &json!(kind)), "{limits}: {found:#}");
                let taken = &found["release"]["taken_after_us"];
                assert!(taken.is_null(), "{limits}: nobody said that a slot was taken: {found:#}");
            });
        }
    });
}

/// It serves no more of what it let in: it is not asked on.
#[test]
fn a_server_that_throttles_what_it_let_in_is_left_alone() {
    for (refusal, kind) in [
        ("{t} BAD Request is throttled. Suggested Backoff Time: 2000 milliseconds\r\n", "limit-rate"),
        ("{t} NO [LIMIT] Too many connections for joe\r\n", "limit-connections"),
    ] {
        let server = Server::start(move |peer: &mut Peer| {
            peer.sign_in();
            if peer.number == 0 {
                for _ in 0..5 {
                    peer.answer("{t} OK\r\n");
                }
                peer.answer(refusal);
            }
            obey(peer);
        });
        let (ended, found) = probe(&server, "--hold 1s");
        assert_eq!((ended.code, server.accepted()), (1, 6), "{found:#}");
        assert_eq!((&found["silent"], &found["stopped"]["kind"]), (&json!("#1"), &json!(kind)), "{found:#}");
        assert_eq!((&found["met"], &found["ended"]), (&Value::Null, &json!(0)), "{found:#}");
    }
}

/// Nor is it asked for one more where that comes to light during the hold.
#[test]
fn a_server_that_throttles_during_the_hold_is_not_dialled_again() {
    for (last, silent) in
        [("{t} BAD Request is throttled. Suggested Backoff Time: 2000 milliseconds\r\n", false), ("", true)]
    {
        let server = Server::start(move |peer: &mut Peer| {
            if peer.number == 3 {
                peer.send(GREETING);
                peer.answer("{t} NO Too many connections\r\n");
                return peer.wait_for_close();
            }
            peer.sign_in();
            if peer.number == 0 {
                for _ in 0..4 {
                    peer.answer("{t} OK\r\n");
                }
                if silent {
                    while peer.line().is_some() {}
                }
                peer.answer(last);
            }
            obey(peer);
        });
        let (ended, found) = probe(&server, "--hold 1s --timeout 700ms");
        assert_eq!((ended.code, server.accepted()), (1, 4), "{found:#}");
        assert_eq!((&found["given"], &found["silent"]), (&json!(3), &json!("#1")), "{found:#}");
        assert_eq!(steps(&ended).last_chunk(), Some(&["hold#1", "end#1"].map(str::to_owned)));
    }
}

/// The report of a probe that was told to end when `is_due`.
#[track_caller]
fn interrupted(server: &Server, what: &str, is_due: impl Fn() -> bool) -> String {
    let running = start(&mut against("imap", server.address, "--timeout 50s --connect-timeout 50s"));
    eventually(what, is_due);
    thread::sleep(Duration::from_millis(100));
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 130, "{}", ended.stdout);
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for word in ["disposed", "not answered:", "failed", "lived on"] {
        let is_due = word == "lived on" && text.contains("called off at");
        assert!(is_due || !text.contains(word), "{word}: {text}");
    }
    text
}

/// The user ended it: that is no failure of the server's, and what did not answer by then is not known to live.
#[test]
fn what_is_called_off_is_told_as_that() {
    let server = Server::start(|peer: &mut Peer| {
        if peer.number == 5 {
            return peer.wait_for_close();
        }
        peer.sign_in();
        obey(peer);
    });
    let text = interrupted(&server, "the sixth is dialled", || server.accepted() == 6);
    for part in ["5 connections so far", "6 attempts, 1 of them called off in", "called off at greeting"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let server = Server::start(|peer: &mut Peer| {
        peer.sign_in();
        if peer.number != 2 {
            return obey(peer);
        }
        while peer.line().is_some() {}
    });
    let text =
        interrupted(&server, "the third is looked at", || server.accepted() == 3 && server.heard_verb("NOOP") == 4);
    for part in [
        "3 connections so far",
        "3 attempts, 0 of them refused in",
        "the server ended none of them; #3 had not answered when the probe was called off",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_greeting_that_the_deadline_cuts_off_is_no_word_of_a_refusal() {
    let server = Server::start(|peer: &mut Peer| {
        if peer.number < 3 || peer.number == 6 {
            peer.sign_in();
            return obey(peer);
        }
        for part in ["* OK ", "this g"] {
            peer.send(part);
        }
        peer.wait_for_close();
    });
    let ended = end(&mut against("imap", server.address, "--hold 1s --connect-timeout 1s"));
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ended.code, 0, "{text}");
    assert!(text.contains("in words none: no answer at greeting while others were open"), "{text}");
    assert!(!text.contains("this g"), "{text}");
    // Nor is it one at the first.
    let server = Server::start(|peer: &mut Peer| {
        peer.send("* OK this g");
        peer.wait_for_close();
    });
    let ended = end(&mut against("imap", server.address, "--hold 1s --connect-timeout 1s"));
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(
        ended.code == 4 && text.contains("not answered: timeout at greeting: only a part of the greeting came in time"),
        "{text}"
    );
}

/// The window of the rate is over after the hold, and before the release.
#[test]
fn a_rate_whose_time_is_over_by_the_release_is_no_count() {
    thread::scope(|scope| {
        for server in ["sandbox", "sandbox+smtp"] {
            scope.spawn(move || {
                let args = format!(
                    "limits {server} --sandbox-limit address=4/2900ms@accept --hold 1s --bare-close --format ndjson"
                );
                let ended = end(&mut mailconn(args.split(' ')));
                is_sound(&ended.stdout);
                let found = found(&ended);
                assert_eq!((ended.code, &found["given"]), (0, &json!(4)), "{found:#}");
                assert_eq!((&found["met"]["kind"], &found["refused"]), (&json!("rate"), &json!(3)), "{found:#}");
                assert!(found["met"]["again_within_us"].as_u64().unwrap() > 3_000_000, "{found:#}");
                let last = ["release#1", "repeat#1", "confirm#1", "end#1"].map(str::to_owned);
                assert_eq!(steps(&ended).last_chunk(), Some(&last));
            });
        }
    });
}

/// In Cyrus's words: `(3 of 2 for sandbox)`.
#[test]
fn the_sandbox_s_user_is_known_by_its_name() {
    let args = "limits --sandbox-like cyrus --sandbox-limit user=2 --hold 1s --format ndjson";
    let ended = end(&mut mailconn(args.split(' ')));
    assert_eq!(found(&ended)["met"]["scopes"], json!(["user"]));
}

#[test]
fn a_silent_refusal_at_the_sign_in_may_be_of_any_scope() {
    for (limit, scopes) in [
        ("total=2@sign-in", json!(["user", "user-and-address", "address", "server"])),
        ("total=2@greeting", json!(["address", "server"])),
    ] {
        let args = format!("limits --sandbox-limit {limit} --hold 1s --format ndjson");
        let ended = end(&mut mailconn(args.split(' ')));
        assert_eq!(found(&ended)["met"]["scopes"], scopes, "{limit}");
    }
}

#[test]
fn a_session_that_does_not_answer_ends_the_probe_and_is_told() {
    // Which session, at which of its NOOPs, and what is known by then.
    for (number, noop, given, step) in [(0, 3, 3, "count#3"), (2, 1, 3, "count#3")] {
        let server = Server::start(move |peer| {
            peer.sign_in();
            for _ in 1..noop {
                if peer.number == number {
                    peer.answer("{t} OK\r\n");
                }
            }
            if peer.number != number {
                return obey(peer);
            }
            while peer.line().is_some() {}
        });
        let (ended, found) = probe(&server, "--timeout 700ms");
        assert_eq!((ended.code, server.accepted()), (1, 3), "{found:#}");
        assert!(ended.took < Duration::from_secs(8), "each is not waited for: {:?}", ended.took);
        let due = (json!(format!("#{}", number + 1)), json!(given), json!("timeout"), json!(false));
        let is = ["silent", "given"].map(|name| found[name].clone());
        let is = (is[0].clone(), is[1].clone(), found["stopped"]["kind"].clone(), found["answered"].clone());
        assert_eq!(is, due, "{found:#}");
        assert_eq!((&found["met"], &found["ended"]), (&Value::Null, &json!(0)), "{found:#}");
        assert_eq!(steps(&ended).last_chunk(), Some(&[step, "end#1"].map(str::to_owned)));
    }
}

#[test]
fn a_session_that_does_not_answer_is_told_to_people() {
    let server = Server::start(|peer| {
        peer.sign_in();
        if peer.number != 1 {
            return obey(peer);
        }
        while peer.line().is_some() {}
    });
    let ended = end(&mut against("imap", server.address, "--timeout 500ms"));
    let text = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(ended.code, 1);
    assert!(text.contains("not answered: #2 did not answer NOOP (timeout: "), "{text}");
    assert!(text.contains("2 connections had been let in, how many more there are is not known"), "{text}");
    assert!(text.contains("#2 did not answer: whether it lives on is not known"), "{text}");
    assert!(!text.contains("no limit was met") && !text.contains("What to set"), "{text}");
    assert!(said(&ended).iter().any(|line| line.ends_with("2 open; #2 did not answer")), "{}", ended.stderr);
}

/// What stands in place of a mail server of its kind is told, and no limit.
#[test]
fn a_junk_greeting_is_no_limit_and_the_stream_holds() {
    for (junk, kind) in
        [("HTTP/1.1 503 Service Unavailable\r\n", "server-unavailable"), ("+OK not what you expect\r\n", "greeting")]
    {
        let server = Server::start(move |peer: &mut Peer| {
            if peer.number < 3 {
                peer.sign_in();
                return obey(peer);
            }
            peer.send(junk);
            peer.wait_for_close();
        });
        let (ended, found) = probe(&server, "--hold 1s");
        assert_eq!((ended.code, server.accepted(), &found["met"]), (1, 4, &Value::Null), "{found:#}");
        assert_eq!((&found["stopped"]["kind"], &found["refused"]), (&json!(kind), &json!(0)), "{found:#}");
    }
    // At the first dial it says nothing of a limit.
    let server = Server::start(|peer| {
        peer.send("+OK not what you expect\r\n");
        peer.wait_for_close();
    });
    let (ended, found) = probe(&server, "--hold 1s");
    assert_eq!((ended.code, &found["met"], server.accepted()), (4, &Value::Null, 1), "{found:#}");
}

/// At the fourth it ends all, and that one, too; or it lets that one live.
#[test]
fn a_server_that_dies_during_the_count_is_no_limit_and_the_stream_holds() {
    for (lets_in, attempts) in [(false, 4), (true, 4)] {
        let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
        let server = Server::start(move |peer: &mut Peer| {
            if peer.number >= 3 {
                for socket in open.lock().unwrap().drain(..) {
                    let _ = socket.shutdown(Shutdown::Both);
                }
                if !lets_in {
                    return;
                }
            }
            peer.sign_in();
            open.lock().unwrap().push(peer.socket());
            obey(peer);
        });
        let (ended, found) = probe(&server, "--hold 1s");
        assert_eq!((ended.code, server.accepted()), (1, attempts), "{found:#}");
        assert_eq!((&found["answered"], &found["ended"]), (&json!(false), &json!(3)), "{found:#}");
        assert_eq!((&found["met"], found["stopped"].is_object()), (&Value::Null, true), "{found:#}");
    }
}

/// Nobody is told of the question; `--need` asks for the exit code alone, and a fault is one whoever reads.
#[test]
fn a_reader_that_goes_away_leaves_the_question_open_and_need_unanswered() {
    for (args, code) in [("", "0"), ("--need 8", "1")] {
        let script = format!(
            "{{}} limits --sandbox-connections 3 --hold 50s {args} --format ndjson | head -1; echo ${{PIPESTATUS[0]}}"
        );
        let ended = end(&mut shell(&script));
        assert_eq!(ended.stdout.lines().last(), Some(code), "{args}: {}", ended.stdout);
    }
}

#[test]
fn two_probes_side_by_side_differ_in_what_they_were_asked_and_in_what_they_found() {
    let golden = |name: &str| format!("{}/tests/golden/limits-{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let folder = tempfile::tempdir().unwrap();
    let document = |name: &str| {
        let file = folder.path().join(format!("{name}.json")).to_str().unwrap().to_owned();
        let report = mailconn(["report", &golden(name), "--format", "json", "-o", &file]);
        assert_eq!(end(&mut { report }).code, 0);
        file
    };
    for [one, other] in [[golden("count"), golden("oldest")], [document("count"), document("oldest")]] {
        let told = end(&mut mailconn(["diff", &one, &other, "--format", "json"]));
        let told: Value = serde_json::from_str(&told.stdout).unwrap();
        let row = |list: &str, key: &str, name: &str| {
            let rows = told[list].as_array().unwrap();
            rows.iter().find(|row| row[key] == name).map_or(Value::Null, |row| row["values"].clone())
        };
        assert_eq!(row("outcomes", "name", "limits.met.kept_by"), json!(["refusing-newest", "ending-oldest"]));
        let scopes = json!(["address, server", "user, user-and-address, address, server"]);
        assert_eq!(row("outcomes", "name", "limits.met.scopes"), scopes);
        assert_eq!(row("outcomes", "name", "limits.met.stage"), json!(["greeting", "none"]));
        assert_eq!(row("differs", "setting", "probe's hold"), json!(["6s", "61s"]));
        assert_eq!(row("differs", "setting", "probe's bare close"), json!(["yes", "no"]));
        assert_eq!(row("differs", "setting", "probe's max"), Value::Null, "it is the same");
    }
    let told = end(&mut mailconn(["diff", &golden("count"), &golden("rate")])).stdout;
    assert!(told.contains("\nlimits.met.kind ") && told.contains(" rate"), "{told}");
}
