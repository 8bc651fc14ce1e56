//! Lies about what is told of tasks, of a naive lock, of a mode that changes, and of who stopped when: each as careful as those
//! of the others.

use serde_json::{Value, json};

use super::lies::{because, find, is, is_caught_by, unwitnessed};
use super::traces::{
    ALIKE, BROKEN, DISPOSED, LEFT, NAIVE, POOLED, RUNS, SCATTERED, SWITCHED, doubts, number, trace_in_which, trace_of,
};

/// Where such an event is.
#[track_caller]
fn at(trace: &[Value], what: impl Fn(&Value) -> bool) -> usize {
    trace.iter().position(what).expect("the run has such an event")
}

/// Moves a line to an earlier place or a later one: at the time of its new neighbour, and whoever was issued meanwhile knows of it
/// or does not.
fn moved(trace: &mut Vec<Value>, from: usize, to: usize) {
    let mut event = trace.remove(from);
    let (first, last) = (from.min(to) as u64, from.max(to) as u64);
    for unit in trace.iter_mut().filter(|event| event["event"] == "operation") {
        let known = number(unit, "issued_after");
        if (first + 1..last + 1).contains(&known) {
            unit["issued_after"] = json!(if to < from { known + 1 } else { known.saturating_sub(1) });
        }
    }
    let neighbour = &trace[to.checked_sub(1).unwrap()];
    (event["at_us"], event["time"]) = (neighbour["at_us"].clone(), neighbour["time"].clone());
    trace.insert(to, event);
}

/// Takes out a line, and whoever knew of it knows one less.
fn without(trace: &mut Vec<Value>, at: usize) -> Value {
    let gone = trace.remove(at);
    for unit in trace.iter_mut().filter(|event| event["event"] == "operation") {
        let known = number(unit, "issued_after");
        unit["issued_after"] = json!(known - u64::from(known > at as u64));
    }
    gone
}

/// Two operations change what they say under that name.
fn exchanged(trace: &mut [Value], one: usize, other: usize, name: &str) {
    let said = trace[one][name].take();
    trace[one][name] = trace[other][name].take();
    trace[other][name] = said;
}

/// The tasks that had that thread, in order.
fn tasks_on(trace: &[Value], worker: &Value) -> Vec<Value> {
    let started = trace.iter().filter(|event| event["event"] == "task-started" && event["worker"] == *worker);
    started.map(|event| event["task"].clone()).collect()
}

/// A thread on which one task came after another, and the two.
#[track_caller]
fn succession(trace: &[Value]) -> (Value, Value, Value) {
    let found = ["w0", "w1", "w2"].map(Value::from).into_iter().find_map(|worker| {
        let [first, second, ..] = &*tasks_on(trace, &worker) else { return None };
        Some((worker, first.clone(), second.clone()))
    });
    found.expect("a thread with two tasks")
}

#[test]
fn that_an_operation_was_of_the_task_that_came_next() {
    is_caught_by("threads", unwitnessed(trace_of(POOLED)), |trace| {
        let (_, first, second) = succession(trace);
        let last = trace.iter().rposition(|event| event["event"] == "operation" && event["task"] == first).unwrap();
        let next = at(trace, |event| event["event"] == "operation" && event["task"] == second);
        exchanged(trace, last, next, "task");
    });
}

#[test]
fn that_an_operation_was_of_a_task_on_another_thread() {
    is_caught_by("threads", unwitnessed(trace_of(POOLED)), |trace| {
        let one = at(trace, is("operation"));
        let there = trace[one]["worker"].clone();
        let other = at(trace, |event| event["event"] == "operation" && event["worker"] != there);
        exchanged(trace, one, other, "task");
    });
}

#[test]
fn that_a_default_was_needed_by_an_operation_of_another_task() {
    is_caught_by("dials", unwitnessed(trace_of(SCATTERED)), |trace| {
        let one = at(trace, |event| event["reason"] == "default-created");
        let task = trace[one]["task"].clone();
        let other = trace.iter().rposition(|event| event["event"] == "operation" && event["task"] != task).unwrap();
        exchanged(trace, one, other, "task");
    });
}

#[test]
fn that_whoever_inherited_a_default_had_created_it() {
    is_caught_by("threads", unwitnessed(trace_of(POOLED)), |trace| {
        let (worker, first, second) = succession(trace);
        let created = at(trace, |event| event["event"] == "connection-created" && event["worker"] == worker);
        trace[created]["task"] = second.clone();
        let refused = find(trace, |event| event["event"] == "default-refused" && event["task"] == second);
        refused["task"] = first;
    });
}

#[test]
fn that_the_creator_had_ended_and_its_heir_begun_when_the_default_was_created() {
    is_caught_by("threads", unwitnessed(trace_of(POOLED)), |trace| {
        let (worker, first, second) = succession(trace);
        let created = at(trace, |event| event["event"] == "connection-created" && event["worker"] == worker);
        trace[created]["task"] = second.clone();
        let ended = at(trace, |event| event["event"] == "task-ended" && event["task"] == first);
        moved(trace, ended, created);
        let started = at(trace, |event| event["event"] == "task-started" && event["task"] == second);
        moved(trace, started, created + 1);
    });
}

#[test]
fn that_a_task_did_not_change_its_thread() {
    // Where an operation of the task went that had another one on its default, and on which thread that one was.
    let elsewhere = |trace: &[Value]| {
        let first = trace.iter().rfind(|event| event["event"] == "operation" && event["reason"] == "default")?;
        let (task, worker) = (&first["task"], &first["worker"]);
        let of_the_task = |event: &Value| event["event"] == "operation" && event["task"] == *task;
        Some((trace.iter().position(|event| of_the_task(event) && event["worker"] != *worker)?, worker.clone()))
    };
    let trace = trace_in_which(SCATTERED, |trace| elsewhere(trace).is_some());
    is_caught_by("A1-A3, A7", unwitnessed(trace), |trace| {
        let (at, worker) = elsewhere(trace).unwrap();
        trace[at]["worker"] = worker;
    });
}

#[test]
fn that_a_default_was_disposed_by_the_next_task() {
    is_caught_by("connections", unwitnessed(trace_of(DISPOSED)), |trace| {
        let (worker, first, second) = succession(trace);
        let created =
            at(trace, |event| event["kind"] == "default" && event["worker"] == worker && event["task"] == first);
        let connection = trace[created]["connection"].clone();
        for kind in ["connection-disposed", "session-closed"] {
            let from = at(trace, |event| event["event"] == kind && event["connection"] == connection);
            let next = at(trace, |event| event["event"] == "task-started" && event["task"] == second);
            moved(trace, from, next + usize::from(kind == "session-closed"));
        }
    });
}

#[test]
fn that_a_default_which_was_left_to_its_thread_was_disposed() {
    is_caught_by("header", unwitnessed(trace_of(POOLED)), |trace| {
        find(trace, |event| event["cause"] == "thread-exit")["cause"] = json!("by-hand");
    });
}

#[test]
fn that_a_task_passed_the_connection_of_another() {
    is_caught_by("header", unwitnessed(trace_of(DISPOSED)), |trace| {
        let created = find(trace, |event| event["kind"] == "independent");
        created["task"] = json!("t0");
    });
}

#[test]
fn that_threads_did_the_work_themselves() {
    is_caught_by("header", unwitnessed(trace_of(POOLED)), |trace| trace[0]["executor"] = json!("threads"));
}

#[test]
fn that_fewer_operations_ran_on_an_earlier_tasks_default() {
    let mut told = trace_of(POOLED);
    let findings = told.last_mut().unwrap()["findings"].as_array_mut().unwrap();
    let found = findings.iter_mut().find(|finding| finding["id"] == "MC010").expect("MC010");
    let count = number(found, "count");
    let evidence = found["evidence"].as_array_mut().unwrap();
    drop(evidence.pop());
    (found["count"], found["sentence"]) = (
        json!(count - 2),
        json!(found["sentence"].as_str().unwrap().replacen(&count.to_string(), &(count - 2).to_string(), 1)),
    );
    let said = doubts(&told);
    assert!(!said.is_empty() && said.iter().all(|doubt| doubt.starts_with("run-end: findings")), "{said:#?}");
}

#[test]
fn that_a_switch_was_to_come_an_operation_later() {
    for args in [SWITCHED, ALIKE] {
        is_caught_by("M1", trace_of(args), |trace| {
            let after = &mut trace[0]["switches"][0]["after"];
            *after = json!(after.as_u64().unwrap() + 1);
        });
    }
}

#[test]
fn that_a_switch_was_to_another_mode() {
    is_caught_by("M1", trace_of(SWITCHED), |trace| trace[0]["switches"][1]["mode"] = json!("use-default"));
}

#[test]
fn that_a_switch_was_never_asked_for() {
    is_caught_by("M1", trace_of(SWITCHED), |trace| drop(trace[0]["switches"].as_array_mut().unwrap().pop()));
}

#[test]
fn that_a_switch_never_came() {
    is_caught_by("M1", unwitnessed(trace_of(ALIKE)), |trace| {
        let gone = at(trace, is("mode-changed"));
        without(trace, gone);
        for event in trace.iter_mut().filter(|event| event["event"] == "operation") {
            event["mode"] = json!("use-main");
        }
    });
}

#[test]
fn that_the_first_operation_after_a_switch_was_the_last_before_it() {
    is_caught_by("M1", unwitnessed(trace_of(ALIKE)), |trace| {
        let change = trace[at(trace, is("mode-changed"))].clone();
        let first = |event: &Value| event["mode"] == "use-main-or-default" && event["event"] == "operation";
        let unit =
            trace.iter_mut().filter(|event| first(event)).min_by_key(|event| number(event, "issued_after")).unwrap();
        (unit["mode"], unit["issued_at_us"]) = (json!("use-main"), change["at_us"].clone());
        unit["issued_after"] = change["seq"].clone();
    });
}

#[test]
fn that_an_operation_after_a_switch_had_the_mode_of_before() {
    is_caught_by("M1", unwitnessed(trace_of(ALIKE)), |trace| {
        let last = trace.iter_mut().rfind(|event| event["event"] == "operation").unwrap();
        last["mode"] = json!("use-main");
    });
}

#[test]
fn that_an_operation_after_a_switch_had_its_default() {
    is_caught_by("A1-A3, A7", unwitnessed(trace_of(SWITCHED)), |trace| {
        because(trace, "main")["reason"] = json!("default")
    });
}

/// A naive unit that was answered from another mailbox.
fn misread(trace: &mut [Value]) -> &mut Value {
    find(trace, |event| {
        let answer = &event["answered_by"]["mailbox"];
        answer.is_string() && *answer != event["mailbox"]
    })
}

#[test]
fn that_a_wrong_mailboxs_reply_was_the_right_ones() {
    let hide = |trace: &mut Vec<Value>| {
        let unit = misread(trace);
        unit["answered_by"]["mailbox"] = unit["mailbox"].clone();
        unit["answered_by"]["uid_validity"] = unit["relied_on"]["uid_validity"].clone();
    };
    is_caught_by("witness", trace_of(NAIVE), hide);
    is_caught_by("outcomes", unwitnessed(trace_of(NAIVE)), hide);
}

#[test]
fn that_a_naive_unit_had_asked_for_the_mailbox_that_answered() {
    is_caught_by("outcomes", unwitnessed(trace_of(NAIVE)), |trace| {
        let unit = misread(trace);
        unit["mailbox"] = unit["answered_by"]["mailbox"].clone();
    });
}

#[test]
fn that_naive_units_had_selected_in_another_order() {
    is_caught_by("outcomes", unwitnessed(trace_of(NAIVE)), |trace| {
        let tag = |command: &Value| command["tag"].as_str().unwrap()[1..].parse::<u64>().unwrap();
        let mut selected: Vec<(u64, usize)> = Vec::new();
        let mut read = Vec::new();
        for (at, event) in trace.iter().enumerate().filter(|(_, event)| event["relied_on"].is_object()) {
            selected.push((tag(&event["relied_on"]["commands"][0]), at));
            read.push(tag(&event["commands"][0]));
        }
        selected.sort_unstable();
        // The second of two different selections, one right after the other, was read from.
        let pair = selected.windows(2).find(|pair| {
            let [(_, one), (last, other)] = **pair else { return false };
            trace[one]["mailbox"] != trace[other]["mailbox"] && read.contains(&(last + 1))
        });
        let [(_, one), (_, other)] = *pair.expect("such a pair") else { unreachable!() };
        exchanged(trace, one, other, "relied_on");
        let validity = trace[one]["relied_on"]["uid_validity"].take();
        trace[one]["relied_on"]["uid_validity"] = trace[other]["relied_on"]["uid_validity"].take();
        trace[other]["relied_on"]["uid_validity"] = validity;
    });
}

#[test]
fn that_the_naive_lock_was_for_the_unit() {
    is_caught_by("A1-A3, A7", unwitnessed(trace_of(NAIVE)), |trace| trace[0]["lock"] = json!("unit"));
}

#[test]
fn that_the_last_operation_of_a_broken_session_never_was() {
    let gone = |trace: &mut Vec<Value>| {
        let last = trace.iter().rposition(is("operation")).unwrap();
        without(trace, last)["worker"].clone()
    };
    is_caught_by("asked", unwitnessed(trace_of(BROKEN)), |trace| drop(gone(trace)));
    is_caught_by("tags", unwitnessed(trace_of(BROKEN)), |trace| {
        let worker = gone(trace);
        let ended = find(trace, |event| event["event"] == "worker-ended" && event["worker"] == worker);
        ended["operations"] = json!(number(ended, "operations") - 1);
    });
}

#[test]
fn that_more_operations_were_not_begun_than_can_be() {
    for (args, count) in [(BROKEN, 2), (RUNS[0], 1)] {
        is_caught_by("asked", unwitnessed(trace_of(args)), |trace| {
            find(trace, is("worker-ended"))["not_begun"] = json!(count);
        });
    }
}

/// What it did not begin it cannot have waited for, and not for longer than there was time.
#[test]
fn that_a_worker_waited_for_what_it_did_not_begin() {
    is_caught_by("asked", unwitnessed(trace_of(RUNS[0])), |trace| {
        find(trace, is("worker-ended"))["not_begun_wait_us"] = json!(1);
    });
}

#[test]
fn that_an_operation_failed_at_a_command_that_it_did_not_send() {
    is_caught_by("outcomes", unwitnessed(trace_of(RUNS[0])), |trace| {
        find(trace, is("operation"))["failed_command"] = json!("QUIT");
    });
}

/// Whoever was hung up on said no goodbye.
#[test]
fn that_a_server_hung_up_on_whoever_said_goodbye() {
    is_caught_by("sessions", unwitnessed(trace_of(RUNS[0])), |trace| {
        let closed = find(trace, is("session-closed"));
        closed["closed"] = json!("hung-up");
        closed["failure"] = json!({"kind": "closed", "stage": "logout", "message": "gone", "server_line": null});
    });
}

#[test]
fn that_no_mailbox_stayed_behind() {
    is_caught_by("asked", unwitnessed(trace_of(LEFT)), |trace| {
        let left = at(trace, is("mailbox-left"));
        without(trace, left);
    });
}

#[test]
fn that_fewer_connections_were_open_at_a_refusal() {
    is_caught_by(
        "dials",
        unwitnessed(trace_of("-n 2 -t 1 --default-for all --independent-for all --sandbox-connections 1")),
        |trace| {
            let refused = find(trace, |event| event["event"] == "session-refused" && event["open"] != 0);
            refused["open"] = json!(number(refused, "open") - 1);
        },
    );
}
