//! Real runs with one thing changed afterwards, in our record or in the server's.

use serde_json::{Value, json};

use super::real::{
    agreement, all_held, commands, ids, is_broken, is_clean, last_of, lines, mixed, operations, own, verdict, witness,
};
use crate::cli::process::{number, of_kind};
use crate::support::sample::{is_thorough, places};
use crate::support::written::{failed, failure, numbered};

/// Where the last line of that kind is.
fn last(run: &[Value], event: &str) -> usize {
    run.iter().rposition(|line| line["event"] == event).unwrap()
}

#[test]
fn runs_as_they_were_are_clean_and_both_records_agree_on_all() {
    for (run, issued) in [(mixed(), 60), (own(), 36)] {
        all_held(&is_clean(&run), issued);
    }
}

#[test]
fn an_operation_on_any_other_socket_is_mc001() {
    let ports: Vec<Value> = of_kind(&mixed(), "witness-session").map(|session| session["peer_port"].clone()).collect();
    for worker in 0..5 {
        let own = last_of(&mut mixed(), worker)["local_port"].clone();
        for port in ports.iter().filter(|port| **port != own).chain([&json!(1)]) {
            let mut run = mixed();
            last_of(&mut run, worker)["local_port"] = port.clone();
            let verdict = is_broken(&run, "MC001", &format!("w{worker} on port {port}"));
            assert_eq!(agreement(&verdict)[1], Some(59));
            let finding = &verdict["findings"][0];
            assert_eq!((&finding["id"], &finding["count"]), (&json!("MC001"), &json!(1)));
            assert!(finding["evidence"][0].as_str().unwrap().contains(&format!(" of w{worker}: ")), "{finding:#}");
        }
    }
}

/// Moved whole, with the session and without a contradiction between the two: still the wrong connection.
#[test]
fn an_operation_on_another_ones_session_and_socket_is_mc001() {
    const PLACE: [&str; 3] = ["connection", "session", "local_port"];
    let mut whole = mixed();
    let places: Vec<[Value; 3]> =
        (0..5).map(|worker| PLACE.map(|name| last_of(&mut whole, worker)[name].clone())).collect();
    for worker in 0..4 {
        for place in places.iter().filter(|place| **place != places[worker as usize]) {
            let mut run = mixed();
            let operation = last_of(&mut run, worker);
            PLACE.iter().zip(place).for_each(|(name, value)| operation[name] = value.clone());
            is_broken(&run, "MC001", &format!("w{worker} at {place:?}"));
        }
    }
}

#[test]
fn an_operation_with_another_reason_is_mc001() {
    for worker in 0..4 {
        let right = last_of(&mut mixed(), worker)["reason"].clone();
        let others = ["explicit", "main", "default", "default-created"].map(Value::from);
        for reason in others.into_iter().chain([Value::Null]).filter(|reason| *reason != right) {
            let mut run = mixed();
            last_of(&mut run, worker)["reason"] = reason.clone();
            is_broken(&run, "MC001", &format!("w{worker} because {reason}"));
        }
    }
}

#[test]
fn an_operation_that_misremembers_its_inputs_is_mc001() {
    for worker in 0..4 {
        let whole = last_of(&mut mixed(), worker).clone();
        let passed = if worker == 2 { Value::Null } else { json!("#99") };
        for (name, lie) in [
            ("had_default", json!(whole["had_default"] == false)),
            ("mode", json!("use-main")),
            ("passed", passed),
            ("session", json!(format!("{}.2", whole["session"].as_str().unwrap()))),
        ] {
            let mut run = mixed();
            last_of(&mut run, worker)[name] = lie;
            is_broken(&run, "MC001", &format!("w{worker}: {name}"));
        }
    }
}

#[test]
fn a_default_of_another_thread_is_mc001() {
    let run = own();
    let opened = of_kind(&run, "operation").filter(|operation| operation["opened"] == true).count();
    assert_eq!((opened, of_kind(&run, "operation").count()), (3, 36));
    let created = |tamper: &dyn Fn(&mut Value)| {
        let mut run = own();
        run.iter_mut().filter(|line| line["event"] == "connection-created").for_each(tamper);
        run
    };
    // The threads' connections change hands, in the events alone.
    let next = |worker: &Value| ["w1", "w2", "w0"][usize::from(*worker == "w1") + 2 * usize::from(*worker == "w2")];
    let exchanged = created(&|line| line["worker"] = json!(next(&line["worker"])));
    is_broken(&exchanged, "MC001", "owners exchanged");
    let by_hand = created(&|line| line["by_hand"] = json!(true));
    assert_eq!(is_broken(&by_hand, "MC001", "created by hand")["findings"][0]["count"], 3);
}

#[test]
fn an_operation_on_a_connection_that_was_closed_is_mc001() {
    // All that ended ends before the first operation.
    let (mut closed, mut rest): (Vec<Value>, Vec<Value>) =
        own().into_iter().partition(|line| line["event"] == "session-closed");
    let opened = last(&rest, "session-opened");
    closed.iter_mut().for_each(|line| line["at_us"] = rest[opened]["at_us"].clone());
    rest.splice(opened + 1..opened + 1, closed);
    is_broken(&numbered(rest), "MC001", "closed too early");
}

/// Every command of every session, one after the other.
#[track_caller]
fn each_command(tamper: impl Fn(&mut [&mut Value], usize, usize)) -> usize {
    let mut whole = mixed();
    let were: Vec<Vec<Value>> = witness(&mut whole).into_iter().map(|session| commands(session).clone()).collect();
    let mut tampered = 0;
    for (session, were) in were.iter().enumerate() {
        for command in places(were.iter().map(|was| was["verb"].as_str())) {
            let was = &were[command];
            let mut run = mixed();
            tamper(&mut witness(&mut run), session, command);
            is_broken(&run, "MC002", &format!("{was} of session {session}"));
            tampered += 1;
        }
    }
    tampered
}

#[test]
fn one_command_dropped_from_the_server_s_record_is_mc002() {
    let dropped = each_command(|witness, session, command| drop(commands(witness[session]).remove(command)));
    // LOGIN, ID, LOGOUT of four sessions, and at least a command for each operation.
    assert!(dropped >= if is_thorough() { 4 * 3 + 60 } else { 4 * 4 }, "{dropped}");
}

#[test]
fn one_command_doubled_is_mc002() {
    each_command(|witness, session, command| {
        let again = commands(witness[session])[command].clone();
        commands(witness[session]).insert(command, again);
    });
}

#[test]
fn one_command_on_another_session_is_mc002() {
    each_command(|witness, session, command| {
        let moved = commands(witness[session]).remove(command);
        let other = (session + 1) % witness.len();
        commands(witness[other]).push(moved);
    });
}

#[test]
fn one_command_with_another_verb_or_tag_is_mc002() {
    each_command(|witness, session, command| {
        let verb = &mut witness[session]["commands"][command]["verb"];
        *verb = if *verb == "NOOP" { "CHECK".into() } else { "NOOP".into() };
    });
    each_command(|witness, session, command| {
        let tag = &mut witness[session]["commands"][command]["tag"];
        *tag = json!(format!("{}9", tag.as_str().unwrap()));
    });
}

#[test]
fn one_command_in_another_mailbox_is_mc002() {
    let mut whole = mixed();
    let sizes: Vec<usize> = witness(&mut whole).into_iter().map(|session| commands(session).len()).collect();
    let mut tampered = 0;
    for (session, command) in (0..sizes.len()).flat_map(|at| (0..sizes[at]).map(move |command| (at, command))) {
        for other in [Value::Null, json!("Sent")] {
            let mut run = mixed();
            let witnessed = &mut witness(&mut run)[session]["commands"][command];
            let verb = witnessed["verb"].as_str().unwrap();
            // An EXAMINE that was refused selects nothing.
            if !matches!(verb, "EXAMINE" | "FETCH" | "SEARCH") || (verb == "EXAMINE" && other.is_null()) {
                continue;
            }
            witnessed["selected"] = other;
            let what = witnessed.to_string();
            is_broken(&run, "MC002", &what);
            tampered += 1;
        }
    }
    assert!(tampered > 20, "{tampered}");
}

/// What the server saw under that tag on that port: which session, and which of its commands.
#[track_caller]
fn seen(run: &mut [Value], port: &Value, tag: &Value) -> (usize, usize) {
    let mut witness = witness(run);
    let session = witness.iter().position(|session| session["peer_port"] == *port).unwrap();
    (session, commands(witness[session]).iter().position(|command| command["tag"] == *tag).unwrap())
}

#[test]
fn one_command_at_another_time_is_mc002() {
    for later in [true, false] {
        let mut run = mixed();
        let operation = last_of(&mut run, 0).clone();
        let (session, command) = seen(&mut run, &operation["local_port"], &operation["commands"][0]["tag"]);
        let at = &mut witness(&mut run)[session]["commands"][command]["at_us"];
        *at = json!(if later { number(at) + 9_000_000 } else { number(&operation["issued_at_us"]) - 1 });
        let verdict = is_broken(&run, "MC002", if later { "later" } else { "earlier" });
        assert_eq!(agreement(&verdict)[3], Some(59));
    }
}

/// The server may read the last command of an operation that we have given up, or may never see it; nothing else of it.
#[test]
fn a_broken_operation_s_last_command_may_be_late_or_missing() {
    for kind in ["timeout", "disposed", "closed", "server-no"] {
        let lost = kind != "server-no";
        let disagree = |tamper: &dyn Fn(&mut Vec<Value>, usize)| {
            let mut run = mixed();
            let two = |it: &&mut Value| it["commands"].as_array().unwrap().len() == 2;
            let broken = operations(&mut run).filter(two).last().unwrap();
            let failure = failure(kind, "operation", "given up", None);
            *broken = failed(broken.take(), failure);
            let (port, tag) = (broken["local_port"].clone(), broken["commands"][1]["tag"].clone());
            let (session, at) = seen(&mut run, &port, &tag);
            tamper(commands(witness(&mut run)[session]), at);
            ids(&verdict(&run)).contains(&"MC002")
        };
        let late = |commands: &mut Vec<Value>, at: usize| {
            commands[at]["at_us"] = json!(number(&commands[at]["at_us"]) + 9_000_000);
        };
        assert_eq!(disagree(&late), !lost, "{kind}: late");
        assert_eq!(disagree(&|commands, at| drop(commands.remove(at))), !lost, "{kind}: missing");
        assert!(disagree(&|commands, at| commands[at]["at_us"] = json!(0)), "{kind}: early");
        assert!(disagree(&|commands, at| drop(commands.remove(at - 1))), "{kind}: the one before");
    }
}

/// One more session in the server's record.
fn with_session(mut run: Vec<Value>, session: Value) -> Vec<Value> {
    run.insert(run.len() - 1, session);
    numbered(run)
}

/// The server's record of a session, said to be of another port.
fn elsewhere(run: &mut [Value], session: usize) -> Value {
    let mut other = witness(run)[session].clone();
    other["peer_port"] = json!(1);
    other
}

#[test]
fn sessions_that_are_not_ours_that_are_missing_or_differ_are_mc002() {
    let count = witness(&mut mixed()).len();
    let first = mixed().iter().position(|line| line["event"] == "witness-session").unwrap();
    for session in 0..count {
        for (name, lie) in [
            ("label", json!("#77")),
            ("label", Value::Null),
            ("peer_port", json!(1)),
            ("logged_out", json!(false)),
            ("run_id", json!("another run")),
        ] {
            let mut run = mixed();
            witness(&mut run)[session][name] = lie.clone();
            is_broken(&run, "MC002", &format!("{name}: {lie}"));
        }
        let mut run = mixed();
        run.remove(first + session);
        is_broken(&numbered(run), "MC002", "missing");

        let mut run = mixed();
        let mut extra = elsewhere(&mut run, session);
        extra["commands"] = json!([]);
        is_broken(&with_session(run, extra), "MC002", "an extra session");

        let mut run = mixed();
        let mut witness = witness(&mut run);
        let other = (session + 1) % count;
        let port = witness[session]["peer_port"].clone();
        witness[session]["peer_port"] = witness[other]["peer_port"].clone();
        witness[other]["peer_port"] = port;
        is_broken(&run, "MC002", "two ports exchanged");
    }
}

#[test]
fn another_run_s_sessions_are_no_concern_of_ours() {
    let mut run = mixed();
    let mut foreign = elsewhere(&mut run, 0);
    (foreign["run_id"], foreign["label"]) = (json!("another run"), json!("#1"));
    is_clean(&with_session(run, foreign));
}

#[test]
fn whoever_connects_to_the_server_and_says_nothing_is_no_concern_of_ours() {
    let mut run = mixed();
    let mut silent = elsewhere(&mut run, 0);
    (silent["run_id"], silent["label"]) = (Value::Null, Value::Null);
    (silent["logged_out"], silent["commands"]) = (json!(false), json!([]));
    is_clean(&with_session(run, silent));
}

#[test]
fn an_operation_that_we_forgot_or_claim_twice_is_mc002() {
    let whole = mixed();
    let last = last(&whole, "operation");
    let mut run = whole.clone();
    run.remove(last);
    is_broken(&numbered(run), "MC002", "forgotten");
    let mut run = whole;
    run.insert(last, run[last].clone());
    is_broken(&numbered(run), "MC002", "claimed twice");
}

/// A run without the server's record, or with an empty one.
fn unwitnessed(mut run: Vec<Value>, available: bool) -> Vec<Value> {
    run.retain(|line| line["event"] != "witness-session");
    run[0]["witnessed"] = json!(available);
    numbered(run)
}

#[test]
fn without_the_server_s_record_nothing_is_claimed_of_it() {
    let without = is_clean(&unwitnessed(mixed(), false));
    assert_eq!(
        without["verdict"]["witness"],
        json!({"available": false, "checked": 0, "agreed": 0, "not_compared": 0})
    );
    is_broken(&unwitnessed(mixed(), true), "MC002", "an empty record is one");
}

#[test]
fn an_empty_run_is_judged_too() {
    let mut run = own();
    run.retain(|line| line["event"] == "run-start" || line["event"] == "run-end");
    run[0]["asked"]["operations_per_worker"] = json!(0);
    let verdict = verdict(&unwitnessed(run, true));
    assert_eq!((ids(&verdict), agreement(&verdict)[0]), (vec![], Some(0)));
}

/// Two threads that share a connection without a lock for the unit send EXAMINE, EXAMINE, FETCH, FETCH.
#[test]
fn a7_units_whose_commands_are_interleaved_are_mc001() {
    let mut run = lines("--mode use-main -t 2 -n 5 --ops fetch --mailbox INBOX --mailbox Archive");
    is_clean(&run);
    let mut fetches: Vec<&mut Value> = operations(&mut run).take(2).collect();
    let (first, second) = fetches.split_at_mut(1);
    std::mem::swap(&mut first[0]["commands"][1], &mut second[0]["commands"][1]);
    let [checked, held, ..] = agreement(&is_broken(&run, "MC001", "two FETCHes exchanged"));
    assert_eq!(held, checked.map(|checked| checked - 2));
}

#[test]
fn an_operation_that_did_not_send_what_its_name_says_is_mc001() {
    let run = lines("--mode use-main -t 1 -n 3 --ops noop");
    for name in ["list", "status", "fetch", "search", "append"] {
        let mut run = run.clone();
        operations(&mut run).next().unwrap()["operation"] = json!(name);
        is_broken(&run, "MC001", name);
    }
}
