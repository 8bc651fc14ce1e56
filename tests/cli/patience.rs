//! B6: a server that asks for patience gets it, and one that refuses an account is not asked again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::process::{failures, obey, run_against};
use crate::protocol::scripted::{GREETING, Server};

/// A server that answers its first sign-ins with these, by number, and lets in whoever comes after. It notes when they came.
fn server(replies: &'static [&'static str], came: &'static Mutex<Vec<Instant>>) -> Server {
    let counted = AtomicUsize::new(0);
    Server::start(move |peer| {
        peer.send(GREETING);
        let Some(line) = peer.line() else { return };
        let tag = line.split(' ').next().unwrap_or_default();
        came.lock().unwrap().push(Instant::now());
        match replies.get(counted.fetch_add(1, Ordering::SeqCst)) {
            Some(reply) => {
                peer.send(&format!("{tag} {reply}\r\n"));
                obey(peer);
            }
            None => {
                peer.send(&format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n"));
                obey(peer);
            }
        }
    })
}

fn pauses(came: &Mutex<Vec<Instant>>) -> Vec<Duration> {
    came.lock().unwrap().windows(2).map(|pair| pair[1] - pair[0]).collect()
}

const RUN: &str = "--mode use-default --threads 4 -n 2 --ops noop --format json";

#[test]
fn after_trouble_the_next_sign_in_waits_a_second_and_then_all_go_on() {
    static CAME: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let server = server(&["NO [UNAVAILABLE] Busy"], &CAME);
    let ended = run_against(server.address, RUN);
    let report = ended.json();
    assert_eq!(failures(&report).into_iter().collect::<Vec<_>>(), [("server-unavailable at auth".to_owned(), 1)]);
    assert_eq!((ended.code, &report["operations"]["ok"]), (4, &6.into()), "{report:#}");
    let pauses = pauses(&CAME);
    assert_eq!(pauses.len(), 3);
    assert!((1000..1900).contains(&pauses[0].as_millis()), "{pauses:?}");
    assert!(pauses[1..].iter().all(|pause| pause.as_millis() < 900), "{pauses:?}");
}

#[test]
fn after_three_in_a_row_nobody_tries_any_more() {
    static CAME: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let server = server(&["NO [UNAVAILABLE] Busy", "NO [LIMIT] Rate limit hit", "NO System error", "NO again"], &CAME);
    let ended = run_against(server.address, "--mode use-default --threads 8 -n 2 --ops noop --format json");
    let report = ended.json();
    let pauses = pauses(&CAME);
    assert_eq!(pauses.len(), 2, "three sign-ins of eight: {report:#}");
    assert!((1000..1900).contains(&pauses[0].as_millis()), "{pauses:?}");
    assert!((2000..2900).contains(&pauses[1].as_millis()), "{pauses:?}");
    assert_eq!(ended.code, 6, "{report:#}");
    let told: Vec<_> = failures(&report).into_iter().filter(|(kind, _)| kind.ends_with("at wait")).collect();
    assert_eq!(told, [("server-unavailable at wait".to_owned(), 5)], "{report:#}");
}

#[test]
fn a_stated_wait_that_is_longer_than_a_dial_may_take_ends_those_that_would_wait() {
    static CAME: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let server = server(&["NO [AUTHENTICATIONFAILED] Too many login failures, try again in 15 minutes"], &CAME);
    let ended = run_against(server.address, RUN);
    let report = ended.json();
    assert_eq!(CAME.lock().unwrap().len(), 1, "{report:#}");
    assert_eq!(ended.code, 6, "{report:#}");
    let mut found: Vec<_> = failures(&report).into_iter().collect();
    found.sort();
    assert_eq!(found, [("limit-rate at auth".to_owned(), 1), ("limit-rate at wait".to_owned(), 3)]);
    let row = &report["failures"].as_array().unwrap().iter().find(|row| row["stage"] == "wait").unwrap();
    assert!(row["message"].as_str().unwrap().contains("the next one waits"), "{row}");
    assert!(row["server_line"].as_str().unwrap().contains("in 15 minutes"), "{row}");
}

#[test]
fn a_stated_wait_is_kept_to_where_there_is_time_for_it() {
    static CAME: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let server = server(&["NO [UNAVAILABLE] Busy, try again in 2 seconds"], &CAME);
    let ended = run_against(server.address, RUN);
    assert_eq!(ended.json()["operations"]["ok"], 6);
    let pauses = pauses(&CAME);
    assert!((2000..2900).contains(&pauses[0].as_millis()), "{pauses:?}");
}

#[test]
fn a_refusal_of_the_account_is_one_for_all_and_other_failures_hold_nothing_back() {
    for (reply, code, sign_ins) in [
        ("NO [AUTHENTICATIONFAILED] Authentication failed.", 5, 1),
        ("NO [ALERT] Please log in via your web browser", 5, 1),
        ("NO LOGIN failed.", 5, 1),
        ("BAD Unknown command", 5, 4),
    ] {
        let came: &'static Mutex<Vec<Instant>> = Box::leak(Box::default());
        let server = server(vec![reply; 4].leak(), came);
        let ended = run_against(server.address, RUN);
        assert_eq!(came.lock().unwrap().len(), sign_ins, "{reply}: {}", ended.stdout);
        assert_eq!(ended.code, code, "{reply}: {}", ended.stdout);
    }
}

/// Until one has signed in, nobody else opens a connection: the second and the third come together, and only then.
#[test]
fn until_one_has_signed_in_nobody_else_dials() {
    static CAME: Mutex<Vec<Instant>> = Mutex::new(Vec::new());
    let dials = std::sync::Arc::new(AtomicUsize::new(0));
    let counted = std::sync::Arc::clone(&dials);
    let server = Server::start(move |peer| {
        let first = counted.fetch_add(1, Ordering::SeqCst) == 0;
        if first {
            std::thread::sleep(Duration::from_millis(400));
            CAME.lock().unwrap().push(Instant::now());
            assert_eq!(counted.load(Ordering::SeqCst), 1);
        }
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1] in\r\n");
        obey(peer);
    });
    let ended = run_against(server.address, RUN);
    assert_eq!((ended.code, dials.load(Ordering::SeqCst)), (0, 4), "{}", ended.stdout);
}
