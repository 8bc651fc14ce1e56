//! Limits: the server's, and our own.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::process::{Ended, eventually, failures, findings, list, number, obey, of_kind, run, run_against};
use crate::protocol::scripted::{GREETING, Server};
use crate::support::tool::doubts;

fn done(ended: &Ended) -> Vec<u64> {
    list(&ended.json()["workers"]).iter().map(|worker| number(&worker["operations"]["ok"])).collect()
}

#[test]
fn three_of_eight_finish_where_the_server_allows_three() {
    let ended = run("--mode use-default --threads 8 -n 50 --sandbox-connections 3 --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)), (6, vec!["MC030"]), "{report:#}");
    let done = done(&ended);
    assert_eq!(done.iter().filter(|ok| **ok == 50).count(), 3, "{done:?}");
    assert_eq!(done.iter().filter(|ok| **ok == 0).count(), 5, "{done:?}");
    assert_eq!(report["connections"]["opened"], 3);
    assert_eq!(report["connections"]["main_opened"], false, "no falling back");
    assert_eq!(failures(&report).into_iter().collect::<Vec<_>>(), [("limit-connections at auth".to_owned(), 5)]);
    let refused: Vec<_> = list(&report["sessions"]).iter().filter(|session| session["opened"] == false).collect();
    assert_eq!(refused.len(), 5, "one attempt each");
    assert_eq!(refused.iter().map(|session| number(&session["open_at_failure"])).max(), Some(3), "{refused:?}");
    let sentence = report["findings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("refused 5 connection(s) while 3 of ours were open; stay at 3"), "{sentence}");
    let line = list(&report["failures"])[0]["server_line"].as_str().unwrap();
    assert!(line.contains("mail_max_userip_connections=3"), "in the server's own words: {line}");
}

/// Exchange Online lets a session in and refuses its first command, which goes out together with the next ones: what stands
/// behind a refusal that ends the session was never read.
#[test]
fn what_was_sent_along_with_a_refused_command_is_not_missed_in_the_servers_record() {
    for like in ["outlook", "postfix", "exim"] {
        for limit in ["", "--sandbox-limit address=3@after", "--sandbox-limit address=3@greeting"] {
            let flags = format!(
                "--server sandbox+smtp --mode use-default --threads 5 --sandbox-like {like} {limit} --ops send --allow-writes -n 2"
            );
            let ended = run(&format!("{flags} --format ndjson"));
            assert_eq!(doubts(ended.stdout.as_bytes()), [""; 0], "{flags}");
            assert!(!ended.stdout.contains("MC002"), "{flags}: {}", ended.stdout);
        }
    }
}

#[test]
fn main_or_a_default_comes_too_late_for_the_last_slot() {
    let ended = run("--threads 8 -n 9 --default-for w0-w2 --sandbox-connections 3 --format json");
    let report = ended.json();
    let main_was_late = report["connections"]["main_opened"] == false;
    assert_eq!(ended.code, 6, "{report:#}");
    assert_eq!(report["connections"]["opened"], 3);
    assert_eq!(findings(&report)[0], if main_was_late { "MC032" } else { "MC030" }, "{report:#}");
    assert_eq!(done(&ended).iter().filter(|ok| **ok == 9).count(), if main_was_late { 3 } else { 7 });
}

/// A server that lets main in only when the others are at work, and then finds that they are enough.
#[test]
fn main_finds_every_slot_taken_by_defaults() {
    let at_work = AtomicUsize::new(0);
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        peer.answer("{t} OK [CAPABILITY IMAP4rev1 ID] in\r\n");
        let Some(label) = peer.line() else { return };
        if label.contains("\"#0") {
            eventually("the others are at work", || at_work.load(Ordering::SeqCst) == 3);
            peer.send("* BYE Too many simultaneous connections\r\n");
            return;
        }
        peer.send(&format!("{} OK\r\n", label.split(' ').next().unwrap()));
        peer.answer("{t} OK\r\n");
        at_work.fetch_add(1, Ordering::SeqCst);
        obey(peer);
    });
    let args = "--threads 6 -n 9 --default-for w0-w2 --ops noop --format json";
    let ended = run_against(server.address, args);
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)[0]), (6, "MC032"), "{report:#}");
    assert!(!findings(&report).contains(&"MC030"), "one of the two is enough");
    assert_eq!(done(&ended), [9, 9, 9, 0, 0, 0]);
    assert_eq!(report["connections"]["main_opened"], false);
    let sentence = report["findings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("3 other connection(s) of this client hold every slot"), "{sentence}");
    assert_eq!(report["findings"][0]["count"], 3, "one attempt for each worker that needs main");
}

#[test]
fn whoever_finds_no_room_under_our_own_cap_waits_and_the_server_never_hears_of_it() {
    let ended =
        run("--mode use-default --threads 8 -n 50 --pause 20ms --max-connections 3 --wait-timeout 300ms --format json");
    let report = ended.json();
    assert_eq!(ended.code, 1);
    assert!(findings(&report).iter().all(|id| *id == "MC050"), "waiting is all there is to say: {report:#}");
    assert_eq!(failures(&report).into_iter().collect::<Vec<_>>(), [("wait-timeout at wait".to_owned(), 5)]);
    let done = done(&ended);
    assert_eq!(done.iter().filter(|ok| **ok == 50).count(), 3, "{done:?}");
    assert_eq!(done.iter().filter(|ok| **ok == 0).count(), 5, "{done:?}");
    assert_eq!(list(&report["sessions"]).len(), 3, "nothing else was dialled");
    assert_eq!(report["connections"]["peak"], 3);
    let message = list(&report["failures"])[0]["message"].as_str().unwrap();
    assert!(message.contains("one of 3 connections"), "{message}");
}

#[test]
fn our_own_cap_is_no_failure_where_there_is_time_to_wait() {
    let ended = run("--mode use-main --threads 8 -n 5 --max-connections 1 --format json");
    assert_eq!((ended.code, number(&ended.json()["connections"]["peak"])), (0, 1));
}

#[test]
fn a_connection_created_by_hand_that_is_refused_stops_its_worker_before_its_first_operation() {
    let ended = run("--threads 4 -n 5 --independent-for all --sandbox-connections 2 --format json");
    let report = ended.json();
    assert_eq!((ended.code, findings(&report)[0]), (6, "MC030"), "{report:#}");
    assert_eq!(number(&report["operations"]["issued"]), 10);
    assert_eq!(number(&report["operations"]["not_issued"]), 10);
    assert_eq!(failures(&report).into_iter().collect::<Vec<_>>(), [("limit-connections at auth".to_owned(), 2)]);
}

#[test]
fn workers_that_stop_say_so_in_ndjson() {
    let ended = run("--mode use-default --threads 5 -n 8 --sandbox-connections 2 --format ndjson");
    let events = ended.events();
    assert_eq!(ended.code, 6);
    assert_eq!(events.last().unwrap()["operations"]["not_issued"], 21);
    assert_eq!(of_kind(&events, "worker-stopped").count(), 3);
    assert_eq!(of_kind(&events, "session-refused").count(), 3);
}
