//! Files of scenarios: what each thread did is told twice, by the steps and by each client's record, and neither can be
//! changed alone; nor both, since the record has to agree with itself and with the server.

use std::fs;

use crate::support::{folded::fold, tool};
use mailconn::judge::{Content, Rule, Stored};
use serde_json::{Value, json};

use super::traces::{doctored, doubts, number};
use crate::cli::process::{end, mailconn};

/// The file of the scenario with that text.
fn file_of(text: &str) -> Vec<Value> {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.txt"), text).unwrap();
    let ended = end(mailconn(["scenario", "it.txt", "--format", "ndjson"]).current_dir(folder.path()));
    let events: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events = fold(events);
    assert_eq!(doubts(&events), [""; 0], "{text}");
    events
}

/// The lie is caught by that rule; without it, the doctor's work is not seen.
#[track_caller]
fn is_caught(by: &str, text: &str, lie: impl FnOnce(&mut Vec<Value>)) {
    let mut events = file_of(text);
    assert_eq!(doubts(&doctored(events.clone())), [""; 0], "the doctor leaves no trace");
    lie(&mut events);
    let doubts = doubts(&doctored(events));
    assert!(doubts.iter().any(|doubt| doubt.starts_with(by)), "{by} did not catch it: {doubts:#?}");
}

/// The step in that line.
#[track_caller]
fn step(events: &mut [Value], line: usize) -> &mut Value {
    events.iter_mut().find(|event| event["event"] == "step" && event["line"] == line).unwrap()
}

/// The nth operation.
#[track_caller]
fn operation(events: &mut [Value], nth: usize) -> &mut Value {
    events.iter_mut().filter(|event| event["event"] == "operation").nth(nth).unwrap()
}

const NAIVE: &str = "client use-main\nT1 select Sent\nT2 select INBOX\nT1 fetch-selected => main from Sent\n";
const TWO_DEFAULTS: &str = "client use-default\nT1 noop => default-created\nT2 noop => default-created\n\
                            T1 noop => default\nT2 noop => default\n";

#[test]
fn a_step_that_did_not_hold_is_told_as_one_that_did() {
    is_caught("steps", NAIVE, |events| {
        let step = step(events, 4);
        assert_eq!(step["held"], false);
        step["held"] = json!(true);
        step["happened"] = Value::Null;
    });
}

/// What a thread reads from is what it selected there, not what hides a hazard.
#[test]
fn what_a_reading_relied_on_is_said_to_be_another_selection() {
    let text = "client use-main\nT1 create k; select Sent; select Archive via k\nT2 select INBOX\nT1 fetch-selected\n";
    let reading = |events: &[Value]| events.iter().rposition(|event| event["event"] == "operation").unwrap();
    is_caught("outcomes", text, |events| {
        let at = reading(events);
        (events[at]["mailbox"], events[at]["relied_on"]) = (Value::Null, Value::Null);
    });
    is_caught("outcomes", text, |events| {
        let (at, other) = (reading(events), operation(events, 2).clone());
        assert_ne!(events[at]["mailbox"], other["mailbox"]);
        events[at]["mailbox"] = other["mailbox"].clone();
    });
}

#[test]
fn what_failed_before_an_expected_panic_is_told_as_held() {
    is_caught("steps", "client use-main\nT1 create-default; noop; panic => panics\n", |events| {
        let step = step(events, 2);
        assert_eq!(step["held"], false);
        step["held"] = json!(true);
        step["happened"] = Value::Null;
    });
}

#[test]
fn the_reply_came_from_the_mailbox_that_was_wanted_as_the_step_alone_tells_it() {
    is_caught("steps", NAIVE, |events| {
        let step = step(events, 4);
        step["held"] = json!(true);
        step["happened"] = Value::Null;
        step["did"][0]["from"] = json!("Sent");
    });
}

#[test]
fn an_operation_ran_on_the_other_threads_default_by_step_and_record() {
    is_caught("A1-A3", TWO_DEFAULTS, |events| {
        let other = operation(events, 3).clone();
        let lie = operation(events, 2);
        for name in ["connection", "session", "local_port"] {
            lie[name] = other[name].clone();
        }
        for name in ["connection", "session"] {
            step(events, 4)["did"][0][name] = other[name].clone();
        }
    });
}

#[test]
fn another_thread_did_it_by_step_and_record() {
    is_caught("A1-A3", TWO_DEFAULTS, |events| {
        operation(events, 2)["worker"] = json!("w1");
        step(events, 4)["thread"] = json!("T2");
    });
}

#[test]
fn what_a_step_did_is_told_by_no_step() {
    is_caught("steps", TWO_DEFAULTS, |events| events.retain(|event| event["line"] != 4));
}

#[test]
fn a_hazard_is_left_out_of_the_findings_and_of_what_was_expected_of_them() {
    let text = NAIVE.replace(" => main from Sent", "") + "expect no finding MC020\n";
    let mut lie = file_of(&text);
    let step = step(&mut lie, 5);
    (step["held"], step["happened"]) = (json!(true), Value::Null);
    for event in &mut lie {
        for findings in ["/findings", "/clients/0/findings"] {
            if let Some(findings) = event.pointer_mut(findings) {
                findings.as_array_mut().unwrap().retain(|finding| finding["id"] != "MC020");
            }
        }
        if event["exit_code"].is_u64() {
            event["exit_code"] = json!(0);
        }
    }
    let doubts = doubts(&lie);
    let told = ["steps: expect no finding MC020: ", "run-end: findings: the events come to", "run-end: exit_code"];
    for told in told {
        assert!(doubts.iter().any(|doubt| doubt.starts_with(told)), "{told}: {doubts:#?}");
    }
}

#[test]
fn an_operation_of_one_client_is_put_down_to_another() {
    let text = "client A use-main\nclient B use-main\nT1 noop on A\nT1 noop on B\nT1 noop on A\n";
    is_caught("tags", text, |events| operation(events, 2)["client"] = json!("B"));
    is_caught("tags", text, |events| {
        let from = events.iter().rposition(|event| event["event"] == "operation" && event["client"] == "A").unwrap();
        let mut moved = events.remove(from);
        moved["client"] = json!("B");
        let to = events.iter().rposition(|event| event["event"] == "operation").unwrap();
        events.insert(to + 1, moved);
    });
}

#[test]
fn a_name_that_the_scenario_does_not_give_is_nobodys() {
    let is_told = |by: &str, what: &str, lie: &dyn Fn(&mut Vec<Value>)| {
        let mut events = file_of(TWO_DEFAULTS);
        lie(&mut events);
        let said = doubts(&events);
        assert!(said.iter().any(|doubt| doubt.starts_with(by) && doubt.contains(what)), "{by}, {what}: {said:#?}");
    };
    is_told("lines", "\"T1\" is no worker's name", &|events| operation(events, 0)["worker"] = json!("T1"));
    is_told("header", "w2", &|events| operation(events, 0)["worker"] = json!("w2"));
    is_told("steps", "T7", &|events| step(events, 2)["thread"] = json!("T7"));
    is_told("lines", "a name of its own", &|events| {
        let start = events.iter_mut().find(|event| event["event"] == "run-start").unwrap();
        start["workers"][1]["name"] = json!("T1");
    });
}

/// A step that did nothing on a connection leaves nothing behind; each that did, and each line of a record, is missed.
#[test]
fn whatever_is_dropped_or_doubled_of_a_scenario_is_missed() {
    let text = "client use-main-or-default\npool P threads=2\nT1 create k => opened\nT1 noop via k => k\ntask J on P\n\
                J create-default; leave => opened\nJ noop => default\nJ moves to P.2\nJ noop => main\nJ ends\n\
                P.1 create-default => refused C3\nall mode use-main\nT1 noop => main\nT1 exit\n";
    let events = file_of(text);
    for at in 0..events.len() {
        let event = &events[at];
        let did = event["did"].as_array().into_iter().flatten();
        let leaves_nothing =
            event["event"] == "step" && !did.clone().any(|did| did["what"] == "ran" || did["what"] == "created");
        if at == 0 || leaves_nothing {
            continue;
        }
        let mut dropped = events.clone();
        dropped.remove(at);
        let mut doubled = events.clone();
        doubled.insert(at, event.clone());
        for (mut lie, what) in [(dropped, "dropped"), (doubled, "doubled")] {
            // Whoever knows of later lines knows of one more, or one less.
            for (seq, event) in lie.iter_mut().enumerate() {
                event["seq"] = json!(seq);
                if event["event"] == "operation" && event["issued_after"].is_u64() {
                    let first = events.iter().position(|event| event["event"] == "run-start").unwrap() as u64;
                    let known = number(event, "issued_after");
                    let beyond = at as u64 > first && known > at as u64 - first;
                    let more = if what == "dropped" { known.saturating_sub(1) } else { known + 1 };
                    event["issued_after"] = json!(if beyond { more } else { known });
                }
            }
            assert_ne!(doubts(&doctored(lie)), [""; 0], "{what}: {event}");
        }
    }
}

/// No scenario is a client's.
#[test]
fn a_scenario_that_begins_in_a_clients_name_is_none_and_what_stands_behind_is_read() {
    let [text, other] = [(), ()].map(|()| end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout);
    let of_a_client = other.replacen("{\"seq\":0,", "{\"client\":\"A\",\"seq\":0,", 1);
    assert_eq!(tool::doubts(format!("{text}{other}").as_bytes()), [""; 0]);
    assert_eq!(tool::doubts(format!("{text}{text}").as_bytes()).len(), 1, "once is enough");
    let doubts = tool::doubts(format!("{text}{of_a_client}nonsense\n").as_bytes());
    assert!(doubts.iter().any(|doubt| doubt.contains("it is of \"A\", in the stream of nobody")), "{doubts:#?}");
    assert!(doubts.iter().any(|doubt| doubt.starts_with("lines: no event")), "{doubts:#?}");
    assert!(tool::verify(of_a_client.as_bytes()).unwrap_err().starts_with("it does not begin with a run-start line"));
}

/// Each change from one client to the other is a gap in the numbers of both.
#[test]
fn a_doubt_names_its_line_however_often_clients_take_turns() {
    let turns = "T1 noop on A\nT1 noop on B\n".repeat(100);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("it.txt"), format!("client A use-main\nclient B use-main\n{turns}")).unwrap();
    let file = end(mailconn(["scenario", "it.txt", "--format", "ndjson"]).current_dir(folder.path())).stdout;
    let (at, last) =
        file.lines().enumerate().filter(|(_, line)| line.contains("\"event\":\"operation\"")).last().unwrap();
    let lie = file.replace(last, &last.replace("\"reason\":\"main\"", "\"reason\":\"default\""));
    assert_eq!(tool::doubts(file.as_bytes()), [""; 0]);
    let Content::Scenarios(all) = Stored::read(lie.as_bytes(), |_| ()).unwrap().content else { panic!("{lie}") };
    let doubts: Vec<_> = all[0].clients.iter().flat_map(|(_, run)| run.checks().doubts).collect();
    let of_the_table: Vec<_> = doubts.iter().filter(|doubt| doubt.rule == Rule::Table).collect();
    assert!(matches!(&*of_the_table, [doubt] if doubt.line == Some(at as u64 + 1)), "{}: {doubts:#?}", at + 1);
}
