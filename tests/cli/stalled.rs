//! A reader who does not read, or reads slowly: it holds up neither the run nor its end.

use std::io::{BufReader, Read};
use std::mem::replace;
use std::thread;
use std::time::{Duration, Instant};

use super::process::{Running, events, mailconn, start_unread};
use crate::support::tool;

/// Time to sign out, the writer's two seconds, and something for a busy machine.
const SOON: Duration = Duration::from_secs(7);
const INCOMPLETE: &str = "mailconn: the report is incomplete: nobody read it\n";

fn unread(args: &str) -> Running {
    start_unread(&mut mailconn(["run", "--progress", "never"].into_iter().chain(args.split_whitespace())))
}

#[track_caller]
fn ends_at(running: Running, signal: &str, code: i32, said: &str) {
    let sent = Instant::now();
    running.signal(signal);
    let ended = running.end();
    assert!(sent.elapsed() < SOON, "{:?}", sent.elapsed());
    assert_eq!((ended.code, &*ended.complaints()), (code, said));
}

#[test]
fn an_interrupted_run_does_not_wait_for_whoever_does_not_read_its_events() {
    let mut running = unread("--mode use-main --duration 50s --format ndjson");
    let _open = running.stdout();
    // Time enough to fill the pipe and the queue.
    thread::sleep(Duration::from_secs(3));
    assert!(!running.is_over());
    ends_at(running, "INT", 130, INCOMPLETE);
}

#[test]
fn a_run_that_is_over_ends_at_a_signal_while_nobody_reads() {
    let mut running = unread("-n 500 --format ndjson");
    let _open = running.stdout();
    thread::sleep(Duration::from_secs(2));
    assert!(!running.is_over(), "it gives its reader time");
    ends_at(running, "TERM", 143, INCOMPLETE);

    for args in ["-n 1000 --each", "--mode use-default --threads 400 -n 1 --format json"] {
        let mut running = unread(args);
        let mut stdout = running.stdout();
        stdout.read_exact(&mut [0]).unwrap();
        // Rows come while the run lasts: it is over, and waits for its reader, when it computes no more.
        let mut worked = Duration::MAX;
        while worked != running.worked() {
            worked = running.worked();
            thread::sleep(Duration::from_millis(400));
        }
        assert!(!running.is_over(), "{args}: the report is longer than a pipe");
        ends_at(running, "INT", 130, INCOMPLETE);
    }
}

#[test]
fn a_named_pipe_without_a_reader_can_be_interrupted() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    for format in ["ndjson", "json"] {
        let running = unread(&format!("-n 1 --format {format} -o {}", pipe.display()));
        thread::sleep(Duration::from_secs(2));
        ends_at(running, "INT", 130, INCOMPLETE);
    }
}

#[test]
fn a_slow_reader_gets_every_event() {
    let mut running = unread("--mode use-default --threads 3 -n 2000 --format ndjson");
    let mut reader = BufReader::new(running.stdout());
    thread::sleep(Duration::from_secs(2));
    let mut text = Vec::new();
    while reader.by_ref().take(64 * 1024).read_to_end(&mut text).unwrap() > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert_eq!(events(&String::from_utf8(text).unwrap()).last().unwrap()["operations"]["issued"], 6000);
}

#[test]
fn the_report_says_for_how_long_its_reader_held_the_workers_up() {
    let mut running = unread("--mode use-default --threads 3 -n 16000 --ops noop --format ndjson");
    let mut stdout = running.stdout();
    let slow = Duration::from_secs(2);
    // It works until the pipe, the queue and the recorder are full.
    let mut worked = Duration::ZERO;
    loop {
        thread::sleep(Duration::from_secs(1));
        let before = replace(&mut worked, running.worked());
        if worked - before < Duration::from_millis(100) {
            break;
        }
    }
    thread::sleep(slow);
    let mut text = Vec::new();
    stdout.read_to_end(&mut text).unwrap();
    let ended = running.end();
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let file = String::from_utf8(text).unwrap();
    let end = events(&file).pop().unwrap();
    let held_up = Duration::from_micros(end["held_up_us"].as_u64().unwrap());
    assert!(held_up > slow && held_up.as_micros() < u128::from(end["elapsed_us"].as_u64().unwrap()), "{held_up:?}");
    let told = tool::told(file.as_bytes(), false, Some(20));
    assert!(told.contains("the report's reader was slow: workers stood still for "), "{told}");
    let json: serde_json::Value = serde_json::from_str(&tool::report(file.as_bytes())).unwrap();
    assert_eq!(json["held_up_us"], end["held_up_us"]);

    let fast = super::process::run("-n 3 -t 2 --format ndjson").stdout;
    assert_eq!(events(&fast).last().unwrap()["held_up_us"], 0);
    assert!(!tool::told(fast.as_bytes(), false, Some(20)).contains("stood still"));
}
