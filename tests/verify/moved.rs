//! Any single event taken out, put in twice or moved.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::traces::{RUNS, doctored, doubts, number, trace_of};
use crate::support::sample::places;

fn kind(event: &Value) -> Option<&str> {
    event["event"].as_str()
}

#[test]
fn a_file_as_it_was_written_holds_and_putting_it_right_changes_nothing() {
    for args in RUNS {
        let trace = trace_of(args);
        assert_eq!(doubts(&trace), Vec::<String>::new(), "{args}");
        assert_eq!(doctored(trace.clone()), trace, "{args}");
    }
}

#[test]
fn an_event_taken_out_put_in_twice_or_moved_breaks_the_sequence() {
    for args in RUNS {
        let trace = trace_of(args);
        for at in places(trace.iter().map(kind)) {
            let mut without = trace.clone();
            without.remove(at);
            assert!(!doubts(&without).is_empty(), "{args}: without {}", trace[at]);
            let mut twice = trace.clone();
            twice.insert(at, trace[at].clone());
            assert!(!doubts(&twice).is_empty(), "{args}: twice {}", trace[at]);
            if at > 0 {
                let mut moved = trace.clone();
                moved.swap(at - 1, at);
                assert!(!doubts(&moved).is_empty(), "{args}: moved {}", trace[at]);
            }
        }
    }
}

#[test]
fn an_event_taken_out_is_missed_though_all_numbers_are_put_right() {
    for args in RUNS {
        let trace = trace_of(args);
        for at in places(trace.iter().map(kind)) {
            let mut without = trace.clone();
            let gone = without.remove(at);
            know(&mut without, |known| known.saturating_sub(u64::from(known > at as u64)));
            assert!(!doubts(&doctored(without)).is_empty(), "{args}: without {gone}");
        }
    }
}

#[test]
fn an_event_put_in_twice_is_noticed_though_all_numbers_are_put_right() {
    for args in RUNS {
        let trace = trace_of(args);
        for at in places(trace.iter().map(kind)) {
            let mut twice = trace.clone();
            know(&mut twice, |known| known + u64::from(known > at as u64));
            twice.insert(at, twice[at].clone());
            assert!(!doubts(&doctored(twice)).is_empty(), "{args}: twice {}", trace[at]);
        }
    }
}

#[test]
fn two_events_that_change_places_are_noticed_unless_it_could_have_been_so() {
    let (mut noticed, mut equivalent) = (0, 0);
    for args in RUNS {
        let trace = trace_of(args);
        for before in places(trace.windows(2).map(|two| (kind(&two[0]), kind(&two[1])))) {
            let at = before + 1;
            let (first, second) = (&trace[before], &trace[at]);
            let mut moved = trace.clone();
            moved.swap(at - 1, at);
            // Each takes the other's time.
            for name in ["seq", "at_us", "time"] {
                moved[at - 1][name] = first[name].clone();
                moved[at][name] = second[name].clone();
            }
            let said = doubts(&doctored(moved));
            if could_have_been(&trace, first, second) {
                equivalent += 1;
                assert_eq!(said, Vec::<String>::new(), "{args}: {first}\n{second}");
            } else {
                noticed += 1;
                assert!(!said.is_empty(), "{args}: {first}\n{second}");
            }
        }
    }
    assert!(noticed > equivalent, "{noticed} noticed, {equivalent} equivalent");
}

/// Whether the second event can have come before the first: nothing binds the two.
///
/// What the server saw of a port does not depend on what else is written down before it, once it had read it. Two events of the run are bound if one
/// thread did both, or both concern one connection (but for two units on it, of two threads: they are ordered by their tags, and
/// written down only after the connection was given on); if the second, an operation or a dial, was not over yet at the time of the
/// first; if the second was issued by somebody who knew of the first; if the first's thread had gone on to its next unit, or its
/// dial's unit to its service, before the second; if the first is a creation, or the end of a session under a cap, and a dial that needs it had begun before the second, or the
/// second is a refused dial that would have begun too soon; or if the second's unit had not begun at the first. The client is closed when all threads have ended.
///
/// What is said of threads holds of tasks too. And a change of the mode is bound to whatever comes between it and an operation
/// that was issued before or after it.
fn could_have_been(trace: &[Value], first: &Value, second: &Value) -> bool {
    let kinds = (first["event"].as_str().unwrap(), second["event"].as_str().unwrap());
    if kinds == ("witness-session", "witness-session") {
        return first["peer_port"] != second["peer_port"];
    }
    if ["run-start", "run-end"].iter().any(|kind| kinds.0 == *kind || kinds.1 == *kind) {
        return false;
    }
    let units = kinds == ("operation", "operation");
    let (threads, connections) = (subjects(trace, first), subjects(trace, second));
    // A thread may say that it stops before or after it gives back what it holds.
    let farewell = ["worker-stopped", "mailbox-left"].contains(&kinds.0) && second["cause"] == "by-hand";
    let switched = [first, second].into_iter().filter(|it| it["event"] == "mode-changed").any(|change| {
        operations(trace).any(|unit| {
            let known = number(unit, "issued_after");
            let before = known <= number(change, "seq") && number(unit, "issued_at_us") > number(first, "at_us");
            known == number(second, "seq") || before
        })
    });
    // Where tasks go from thread to thread, of two that begin on one thread one after the other either can be the first.
    // But a thread does nothing else until a task that begins there has what it creates.
    let creates =
        |it: &Value| it["task"] == second["task"] && (it["event"] == "default-refused" || it["by_hand"] == true);
    let two_begin = kinds == ("task-started", "task-started") && first["task"] != second["task"];
    let begin = two_begin && !stays(trace) && !trace.iter().any(creates);
    let one_thread = !threads.0.is_disjoint(&connections.0) && !farewell && !begin;
    let one_connection = !threads.1.is_disjoint(&connections.1) && !units;
    let over = match kinds.1 {
        "operation" => end_of_unit(second).max(seen_by(trace, second)),
        "session-opened" => (number(second, "began_us") + phases(second)).max(number(second, "signed_in_us")),
        "session-refused" => phases(second).max(number(second, "failed_us")),
        // The server had read what it says.
        "witness-session" => reads(second).map(|read| number(read, "at_us")).max().unwrap_or_default(),
        _ => 0,
    };
    // Its connection was free: the unit before it there was over, and so is the last one before the end.
    let in_turn = match kinds.1 {
        "operation" => last_on(trace, second) + number(second, "service_us") <= number(first, "at_us") + 2,
        "session-closed" => last_on(trace, second) <= number(first, "at_us"),
        _ => true,
    };
    let knew = kinds.1 == "operation" && number(second, "issued_after") > number(first, "seq");
    let within = |event: &Value, threads: &BTreeSet<String>| {
        let kinds = ["connection-created", "session-opened", "session-refused"];
        let of_a_unit = kinds.contains(&event["event"].as_str()?) || event["cause"] == "never-opened";
        let worker = threads.iter().find(|name| name.starts_with('w'));
        let unit = next_unit(trace, worker.map(String::as_str), number(event, "seq"))?;
        (of_a_unit && number(unit, "issued_after") <= number(event, "seq")).then_some(unit)
    };
    let begun = within(second, &connections.0).is_none_or(|unit| {
        number(unit, "issued_after") <= number(first, "seq") && number(unit, "issued_at_us") <= number(first, "at_us")
    });
    let went_on = match within(first, &threads.0) {
        Some(unit) => {
            let leased: u64 = ["issued_at_us", "wait_us", "dial_us"].iter().map(|name| number(unit, name)).sum();
            first["dial_us"].is_object() && number(second, "at_us") > leased + 2
        }
        None => threads.0.iter().filter_map(|it| next_unit(trace, Some(it), number(second, "seq"))).any(|next| {
            let known = number(next, "issued_after") <= number(second, "seq");
            known || number(next, "issued_at_us") < number(second, "at_us")
        }),
    };
    // A refused dial began so long before its line as it took: not before its connection was there, nor before its unit was issued.
    let early = kinds.1 == "session-refused" && {
        let created = |it: &&Value| it["event"] == "connection-created" && it["connection"] == second["connection"];
        let created = trace.iter().find(created).map_or(0, |it| number(it, "at_us"));
        let issued = within(second, &connections.0).map_or(0, |unit| number(unit, "issued_at_us"));
        number(first, "at_us") + 2 < number(second, "took_us") + created.max(issued)
    };
    // Under a cap a dial waits for another session's end.
    let capped = kinds.0 == "session-closed" && trace[0]["max_connections"].is_u64() && {
        let between = number(first, "at_us")..number(second, "at_us");
        trace.iter().any(|it| it["began_us"].as_u64().is_some_and(|began| between.contains(&began)))
    };
    let dialled =
        kinds.0 == "connection-created" && first_dial(trace, first).is_some_and(|at| number(second, "at_us") > at + 2);
    // A refusal says how many were open then.
    let counted = matches!(
        kinds,
        ("session-refused", "session-opened" | "session-closed")
            | ("session-opened" | "session-closed", "session-refused")
    );
    let joined = second["cause"] == "client-closed" && !threads.0.is_empty();
    let bound =
        dialled || early || capped || joined || counted || went_on || one_thread || one_connection || knew || switched;
    in_turn && begun && !bound && over <= number(first, "at_us")
}

/// When the first dial of what was created began.
fn first_dial(trace: &[Value], created: &Value) -> Option<u64> {
    let of_it = |it: &&Value| it["dial_us"].is_object() && it["session"] == created["connection"];
    let dial = trace.iter().find(of_it)?;
    Some(dial["began_us"].as_u64().unwrap_or_else(|| number(dial, "at_us") - number(dial, "took_us")))
}

fn operations(trace: &[Value]) -> impl Iterator<Item = &Value> {
    trace.iter().filter(|event| event["event"] == "operation")
}

/// When it was over, at the earliest.
fn end_of_unit(operation: &Value) -> u64 {
    ["issued_at_us", "wait_us", "dial_us", "service_us"].iter().map(|name| number(operation, name)).sum()
}

/// When the last unit on its session before it was over; one that is no unit comes after all.
fn last_on(trace: &[Value], event: &Value) -> u64 {
    let before = |it: &&Value| {
        let same = it["event"] == "operation" && it["session"] == event["session"] && !event["session"].is_null();
        same && (event["event"] != "operation" || first_tag(it) < first_tag(event))
    };
    trace.iter().filter(before).map(end_of_unit).max().unwrap_or_default()
}

/// What the server read on a session.
fn reads(session: &Value) -> impl Iterator<Item = &Value> {
    session["commands"].as_array().into_iter().flatten()
}

fn first_tag(operation: &Value) -> Option<u64> {
    operation["commands"][0]["tag"].as_str()?.trim_start_matches('a').parse().ok()
}

/// When the server saw the last of its commands, by which it was not over: but what a broken one sent may come later.
fn seen_by(trace: &[Value], operation: &Value) -> u64 {
    let sent = operation["commands"].as_array().unwrap();
    let sent = &sent[..sent.len() - usize::from(operation["outcome"] == "failed" && !sent.is_empty())];
    let seen = trace.iter().filter(|it| it["peer_port"].is_u64() && it["peer_port"] == operation["local_port"]);
    let commands = seen.flat_map(|it| it["commands"].as_array().unwrap());
    let its_own = commands.filter(|seen| sent.iter().any(|sent| sent["tag"] == seen["tag"]));
    its_own.map(|seen| number(seen, "at_us")).max().unwrap_or_default()
}

/// The thread's, or the task's, first unit that ended after that line.
fn next_unit<'a>(trace: &'a [Value], who: Option<&str>, seq: u64) -> Option<&'a Value> {
    let mut later = operations(trace).filter(|it| number(it, "seq") > seq);
    who.and_then(|who| later.find(|it| it["worker"] == who || it["task"] == who))
}

fn phases(event: &Value) -> u64 {
    event["dial_us"].as_object().unwrap().values().filter_map(Value::as_u64).sum()
}

/// Whether a task does all its work on the thread that it began on; else it takes what it passes along.
fn stays(trace: &[Value]) -> bool {
    trace[0]["executor"] != "tasks" || trace[0]["dispose"] == "task"
}

/// The threads and tasks that did it, and the connections that it concerns.
fn subjects(trace: &[Value], event: &Value) -> (BTreeSet<String>, BTreeSet<String>) {
    let connection = event["connection"].as_str().or(event["existing"].as_str());
    let find = |kind: &str| {
        trace
            .iter()
            .find(|it| it["event"] == kind && !it["connection"].is_null() && it["connection"].as_str() == connection)
    };
    let kind = event["event"].as_str().unwrap();
    let cause = match kind {
        "connection-disposed" => event["cause"].as_str(),
        "session-closed" => {
            find("connection-disposed").and_then(|it| it["cause"].as_str()).filter(|it| *it != "never-opened")
        }
        _ => None,
    };
    let stays = stays(trace);
    let by_its_thread = matches!(cause, Some("by-hand" | "never-opened" | "thread-exit"));
    let made = find("connection-created").filter(|_| by_its_thread);
    let (owner, creator) = (made.and_then(|it| it["worker"].as_str()), made.and_then(|it| it["task"].as_str()));
    let there = stays || made.is_some_and(|it| it["kind"] == "default") || cause == Some("never-opened");
    let ends = ["task-ended", "task-stopped"].contains(&kind) && stays;
    let home = trace.iter().find(|it| ends && it["event"] == "task-started" && it["task"] == event["task"]);
    // A task's mailbox bears its name; the thread is the one that it was on last, and may do something else by then.
    let scratch = event["mailbox"].as_str().filter(|_| kind == "mailbox-left" && trace[0]["executor"] != "threads");
    let doers = [
        event["worker"].as_str().filter(|_| scratch.is_none() || stays),
        event["task"].as_str(),
        scratch.and_then(|mailbox| mailbox.rsplit('-').next()),
        owner.filter(|_| there),
        creator.filter(|_| cause != Some("thread-exit")),
        home.and_then(|it| it["worker"].as_str()),
    ];
    let doers = doers.into_iter().flatten().map(str::to_owned).collect();
    (doers, connection.into_iter().map(str::to_owned).collect())
}

fn know(events: &mut [Value], change: impl Fn(u64) -> u64) {
    for event in events.iter_mut().filter(|event| event["event"] == "operation") {
        event["issued_after"] = json!(change(number(event, "issued_after")));
    }
}
