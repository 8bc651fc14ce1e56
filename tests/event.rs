//! Events are their own lines: written, read back, and written again to the byte.

mod stretches;

use std::collections::BTreeMap;
use std::fs;

use mailconn::allocator::Mode;
use mailconn::event::{self, Event, LONGEST, Micros, NotRead, Role, Switch, What, WorkerId};
use mailconn::judge::Rules;
use mailconn::ledger::{Analysis, Ledger};
use mailconn::workload::Plan;

use crate::cli::process::{end, mailconn};
use crate::golden::stored;
use crate::support::tool;
use crate::verdict::real::{heard, plan, sandbox};
use crate::verify::traces::{RUNS, SWITCHED, file_of};

fn lines(events: &[Event]) -> Vec<Vec<u8>> {
    let started = event::started(&events[0].what).unwrap();
    let line = |event: &Event| {
        let mut line = Vec::new();
        event::write(event, started, event::Within::default(), &mut line);
        line
    };
    events.iter().map(line).collect()
}

#[track_caller]
fn read_back(events: &[Event], of: &str) {
    let started = event::started(&events[0].what).unwrap();
    for line in lines(events) {
        let text = String::from_utf8_lossy(&line);
        assert!(line.len() <= LONGEST, "{of}: {text}");
        let (event, envelope, unknown) = event::read(&line).unwrap_or_else(|error| panic!("{of}: {error}: {text}"));
        assert_eq!(unknown, Vec::<String>::new(), "{of}: {text}");
        assert_eq!(envelope.event, event.what.name());
        let mut again = Vec::new();
        event::write(&event, started, event::Within::default(), &mut again);
        assert_eq!(String::from_utf8_lossy(&again), text, "{of}");
    }
}

#[test]
fn every_event_of_every_kind_of_run_is_read_back_as_it_was_written() {
    for args in RUNS {
        read_back(&tool::events(file_of(args).as_bytes()), args);
    }
    for file in stored() {
        let of = file.display().to_string();
        tool::events_of(&fs::read(&file).unwrap()).iter().for_each(|run| read_back(run, &of));
    }
    for name in ["pool-hazard", "c5-two-clients-on-one-thread", "b6-one-refused-sign-in-ends-them-all"] {
        let file = end(&mut mailconn(["scenario", name, "--format", "ndjson"])).stdout;
        tool::events_of(file.as_bytes()).iter().for_each(|run| read_back(run, name));
    }
}

/// An operation could know of as many events as there were: of its worker's last one, at least.
#[test]
fn whoever_issues_an_operation_knows_of_the_one_before() {
    for args in [RUNS[0], RUNS[2], SWITCHED] {
        let mut last: BTreeMap<WorkerId, u64> = BTreeMap::new();
        for event in tool::events(file_of(args).as_bytes()) {
            let What::Operation(operation) = &event.what else { continue };
            let before = last.insert(operation.worker, event.seq).unwrap_or_default();
            assert!((before + 1..=event.seq).contains(&operation.issued_after), "{args}: {before}, {event:?}");
        }
    }
}

/// From its start on, which is an event like the others: judged while it goes on, and written as it is.
#[test]
fn a_run_tells_of_itself_in_events_from_its_start_on() {
    let role = |creates_default, creates_independent| Role { creates_default, creates_independent };
    let plan = Plan {
        workers: vec![role(true, false), role(false, true), role(false, false)],
        switches: vec![Switch { after: 30, mode: Mode::UseDefault }],
        mailboxes: vec!["INBOX".into(), "Archive".into()],
        ..plan(Mode::UseMainOrDefault, 3, 20, "noop,status,fetch")
    };
    let sandbox = sandbox();
    let events = heard(sandbox.address(), &plan);
    let (mut ledger, mut rules) = (Ledger::default(), Rules::default());
    let mut first_line = None;
    for (seq, event) in (0..).zip(&events) {
        assert_eq!(event.seq, seq);
        ledger.see(event);
        rules.see(event, &ledger);
        let (start, mut line, mut again) = (ledger.start().unwrap(), Vec::new(), Vec::new());
        event::write(event, start.started, event::Within::default(), &mut line);
        event::write(&event::read(&line).unwrap().0, start.started, event::Within::default(), &mut again);
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&line));
        first_line.get_or_insert(String::from_utf8(line).unwrap());
    }
    let (start, first_line) = (ledger.start().unwrap(), first_line.unwrap());
    assert!(first_line.contains(&format!("\"time\":\"{}\"", event::wall_clock(start.started, Micros::ZERO))));
    assert_eq!(start.workers.entries().map(|it| it.role).collect::<Vec<_>>(), plan.workers);
    assert_eq!((rules.agreement.checked, rules.agreement.held, rules.wrong), (60, 60, Vec::new()));
    let of = |event: &Event| matches!(&event.what, What::Operation(it) if it.mailbox.as_deref() == Some("Archive"));
    assert!(events.iter().any(of), "mailboxes go by their names");
}

const DISPOSED: &str = r##"{"seq":3,"event":"connection-disposed","at_us":7,"time":"2026-01-01T00:00:00.000007Z","connection":"#1","cause":"by-hand"}"##;

#[test]
fn what_is_not_known_is_told_and_what_is_no_event_is_none() {
    assert!(event::read(DISPOSED.as_bytes()).unwrap().2.is_empty());
    let with = |more: &str| DISPOSED.replace("\"cause\"", &format!("{more},\"cause\""));
    let known = with("\"client\":\"A\",\"shard\":4");
    let (_, envelope, unknown) = event::read(known.as_bytes()).unwrap();
    assert_eq!((envelope.client.as_deref(), envelope.shard, unknown.len()), (Some("A"), Some(4), 0));
    assert_eq!(event::read(with("\"weight\":[1,{}]").as_bytes()).unwrap().2, ["weight"]);
    for (line, said) in [
        (DISPOSED.replace("#1", "#01"), "\"#01\" is no connection's name"),
        (DISPOSED.replace("by-hand", "by-foot"), "\"by-foot\" is no word that this version knows there"),
        (DISPOSED.replace(",\"cause\":\"by-hand\"", ""), "missing field `cause`"),
        (DISPOSED.replace("\"seq\":3", "\"seq\":-3"), "invalid value: integer `-3`"),
        (DISPOSED.replace("-disposed", "-forgotten"), "an event \"connection-forgotten\""),
        ("[]".to_owned(), "invalid length"),
        ("{".to_owned(), "EOF while parsing"),
    ] {
        let error = event::read(line.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(said), "{line}: {error}");
        assert_eq!(matches!(error, NotRead::Unknown(_)), line.contains("forgotten"));
    }
}

#[test]
fn fields_that_contradict_each_other_are_a_fault_of_the_line() {
    let file = file_of(RUNS[0]);
    let lines: Vec<&str> = file.lines().collect();
    let of = |name: &str| lines.iter().find(|line| line.contains(&format!("\"event\":\"{name}\""))).unwrap();
    for (line, from, to, said) in [
        (of("run-start"), "\"threads\":3", "\"threads\":4", "4 threads, and 3 workers"),
        (of("run-start"), "\"worker\":\"w1\"", "\"worker\":\"w7\"", "w7 stands where w1 is due"),
        (of("run-start"), "\"seed\":5", "\"seed\":null", "seed, asked and mix are there exactly where"),
        (of("operation"), "\"session\":\"#0\"", "\"session\":\"#3\"", "#3 is no session of #0"),
        (of("operation"), "\"session\":\"#0\"", "\"session\":null", "a connection without its session"),
        (of("operation"), "\"outcome\":\"ok\"", "\"outcome\":\"failed\"", "the outcome does not go with"),
        (of("session-closed"), "\"logged-out\"", "\"hung-up\"", "does not end by \"hung-up\" without a failure"),
    ] {
        assert!(line.contains(from), "{from}: {line}");
        let error = event::read(line.replacen(from, to, 1).as_bytes()).unwrap_err();
        assert!(matches!(&error, NotRead::Odd(odd) if odd.contains(said)), "{to}: {error}");
    }
}
