//! Lies about why things came about: what a refusal meant, who disposed a connection, for which task it was created, how the
//! run was set up.

use serde_json::{Value, json};

use super::lies::{find, is, is_caught_by, unwitnessed};
use super::traces::{DISPOSED, LEFT, NAIVE, POOLED, RUNS, SCATTERED, doubts, mixed, number, trace_of};

/// Connections refused by the server.
const LIMITED: &str = "-n 2 -t 4 --mode use-default --sandbox-connections 2";
/// Connections that come one after the other, as they must.
const CAPPED: &str =
    "-n 1 -t 1 --tasks 3 --executor pool --dispose task --mode use-default --max-connections 1 --ops noop";

/// Everywhere.
fn replaced(trace: &mut Vec<Value>, what: &str, by: &str) {
    let text = serde_json::to_string(trace).unwrap().replace(what, by);
    *trace = serde_json::from_str(&text).unwrap();
}

fn disposed_by(trace: &mut [Value], cause: &str, kind: &str, instead: &str) {
    let created = |connection: &Value, trace: &[Value]| {
        trace
            .iter()
            .any(|it| it["event"] == "connection-created" && it["connection"] == *connection && it["kind"] == kind)
    };
    let all: Vec<usize> = (0..trace.len())
        .filter(|at| trace[*at]["cause"] == cause && created(&trace[*at]["connection"], trace))
        .collect();
    assert!(!all.is_empty(), "no {kind} connection was disposed by {cause}");
    for at in all {
        trace[at]["cause"] = json!(instead);
    }
}

#[test]
fn that_a_limit_was_a_wrong_password() {
    is_caught_by("B4", trace_of(LIMITED), |trace| replaced(trace, "limit-connections", "auth-invalid"));
    is_caught_by("B4", trace_of(LIMITED), |trace| replaced(trace, "limit-connections", "server-no"));
}

#[test]
fn that_nobody_said_so() {
    is_caught_by("B4", trace_of(LIMITED), |trace| {
        for event in trace.iter_mut().filter(|event| event["failure"].is_object()) {
            event["failure"]["server_line"] = Value::Null;
        }
    });
}

#[test]
fn that_a_dial_began_before_its_connection_was_created() {
    is_caught_by("dials", unwitnessed(trace_of(DISPOSED)), |trace| {
        let last = trace.iter_mut().rfind(|it| it["event"] == "session-opened" && it["connection"] != "#0").unwrap();
        last["began_us"] = json!(0);
    });
}

#[test]
fn that_an_independent_connection_went_with_its_thread() {
    is_caught_by("connections", unwitnessed(mixed()), |trace| {
        disposed_by(trace, "by-hand", "independent", "thread-exit");
    });
}

#[test]
fn that_a_default_went_with_a_thread_that_went_on() {
    is_caught_by("asked", unwitnessed(mixed()), |trace| disposed_by(trace, "by-hand", "default", "thread-exit"));
    is_caught_by("threads", unwitnessed(trace_of(DISPOSED)), |trace| {
        disposed_by(trace, "by-hand", "default", "thread-exit");
    });
}

#[test]
fn that_a_default_stayed_open_when_its_thread_had_ended() {
    for args in [POOLED, SCATTERED] {
        is_caught_by("connections", unwitnessed(trace_of(args)), |trace| {
            disposed_by(trace, "thread-exit", "default", "client-closed");
        });
    }
}

#[test]
fn that_fewer_connections_were_allowed_than_were_dialled_at_once() {
    is_caught_by("W2", unwitnessed(trace_of(CAPPED)), |trace| {
        let closed = number(find(trace, is("session-closed")), "at_us");
        let later = find(trace, |it| it["event"] == "session-opened" && number(it, "began_us") >= closed);
        later["began_us"] = json!(closed - 1);
    });
}

#[test]
fn that_no_task_created_what_others_inherited() {
    is_caught_by("header", unwitnessed(trace_of(POOLED)), |trace| {
        let events = trace.clone();
        let refused = |seq: u64| events[usize::try_from(seq).unwrap()]["event"] == "default-refused";
        for event in trace.iter_mut().filter(|event| event["event"] == "operation") {
            let known = number(event, "issued_after");
            let gone = (0..known).filter(|seq| refused(*seq)).count() as u64;
            event["issued_after"] = json!(known - gone);
        }
        trace.retain(|event| event["event"] != "default-refused");
        for event in trace.iter_mut().filter(|event| event["event"] == "connection-created") {
            event["task"] = Value::Null;
        }
        for (roles, creates) in [("workers", true), ("tasks", false)] {
            for role in trace[0][roles].as_array_mut().unwrap() {
                role["creates_default"] = json!(creates);
            }
        }
    });
}

#[test]
fn that_two_creations_were_of_each_others_tasks() {
    is_caught_by("threads", unwitnessed(trace_of(DISPOSED)), |trace| {
        let created = |event: &&mut Value| event["event"] == "connection-created" && event["kind"] == "default";
        let [one, other, ..] = &mut *trace.iter_mut().filter(created).collect::<Vec<_>>() else { panic!("two") };
        let task = one["task"].take();
        one["task"] = other["task"].take();
        other["task"] = task;
    });
}

#[test]
fn that_a_task_created_and_was_refused_before_it_began() {
    for (kind, args) in [("connection-created", POOLED), ("default-refused", POOLED), ("connection-created", DISPOSED)]
    {
        is_caught_by("threads", unwitnessed(trace_of(args)), |trace| {
            let at = trace.iter().rposition(|event| event["event"] == kind && event["task"].is_string()).unwrap();
            let task = trace[at]["task"].clone();
            let began = trace.iter().position(|it| it["event"] == "task-started" && it["task"] == task).unwrap();
            let mut event = trace.remove(at);
            (event["at_us"], event["time"]) = (trace[began]["at_us"].clone(), trace[began]["time"].clone());
            trace.insert(began, event);
        });
    }
}

#[test]
fn that_tasks_were_to_dispose_or_to_leave_what_they_did_not() {
    for (args, dispose) in [(POOLED, "task"), (DISPOSED, "never")] {
        let mut told = trace_of(args);
        told[0]["dispose"] = json!(dispose);
        assert!(!doubts(&super::traces::doctored(told)).is_empty(), "{args}: {dispose}");
    }
    is_caught_by("header", unwitnessed(trace_of(POOLED)), |trace| trace[0]["executor"] = json!("tasks"));
    // Its tasks went from thread to thread.
    is_caught_by("threads", unwitnessed(trace_of(SCATTERED)), |trace| trace[0]["executor"] = json!("pool"));
}

#[test]
fn that_a_units_lock_was_for_each_command() {
    is_caught_by("outcomes", unwitnessed(mixed()), |trace| trace[0]["lock"] = json!("command"));
    assert_eq!(doubts(&trace_of(NAIVE)), Vec::<String>::new());
}

#[test]
fn that_a_session_signed_in_by_what_it_never_sent() {
    is_caught_by("sessions", unwitnessed(mixed()), |trace| {
        find(trace, is("session-opened"))["signed_in_by"] = Value::Null
    });
}

#[test]
fn that_a_mailbox_was_left_behind_by_a_thread_that_there_is_not() {
    is_caught_by("header", unwitnessed(trace_of(RUNS[28])), |trace| {
        find(trace, is("mailbox-left"))["worker"] = json!("w2");
    });
    is_caught_by("header", unwitnessed(trace_of(LEFT)), |trace| {
        find(trace, is("mailbox-left"))["worker"] = json!("w7");
    });
}
