//! Lies, each told with care: numbers, counts and sums are right, and `run-end` says what the lie comes to.

use serde_json::{Value, json};

use super::traces::{doctored, doubts, file_of, mixed, number, trace_in_which, trace_of};
use crate::support::tool::{self, verify};
use crate::support::written::bytes;

/// The lie is found out by that rule, whatever else it offends.
#[track_caller]
pub fn is_caught_by(rule: &str, trace: Vec<Value>, lie: impl FnOnce(&mut Vec<Value>)) {
    assert_eq!(doubts(&trace), Vec::<String>::new(), "before the lie");
    let mut told = trace.clone();
    lie(&mut told);
    assert_ne!(told, trace, "it is a lie");
    let said = doubts(&doctored(told));
    assert!(said.iter().any(|doubt| doubt.starts_with(&format!("{rule}: "))), "{rule}: {said:#?}");
}

#[track_caller]
pub fn find(trace: &mut [Value], what: impl Fn(&Value) -> bool) -> &mut Value {
    trace.iter_mut().find(|event| what(event)).expect("the run has such an event")
}

pub fn is(kind: &'static str) -> impl Fn(&Value) -> bool {
    move |event| event["event"] == kind
}

/// The last operation whose connection was chosen for that reason.
#[track_caller]
pub fn because<'a>(trace: &'a mut [Value], reason: &str) -> &'a mut Value {
    trace.iter_mut().rfind(|event| event["event"] == "operation" && event["reason"] == reason).expect("such a reason")
}

/// Without what the server saw: the file must stand by itself.
pub fn unwitnessed(trace: Vec<Value>) -> Vec<Value> {
    let mut trace: Vec<Value> = trace.into_iter().filter(|event| event["event"] != "witness-session").collect();
    (trace[0]["server"], trace[0]["witnessed"]) = (json!("imap://ann@mail.example.org"), json!(false));
    let end = trace.last_mut().unwrap();
    end["verdict"]["witness"]["available"] = json!(false);
    doctored(trace)
}

#[test]
fn that_an_operation_on_its_default_ran_on_main() {
    is_caught_by("A1-A3, A7", unwitnessed(mixed()), |trace| {
        let opened = trace.iter().find(|event| event["event"] == "session-opened" && event["session"] == "#0");
        let port = opened.unwrap()["local_port"].clone();
        let operation = because(trace, "default");
        (operation["connection"], operation["session"], operation["local_port"]) = (json!("#0"), json!("#0"), port);
    });
}

#[test]
fn that_an_operation_on_main_was_passed_its_connection() {
    is_caught_by("A1-A3, A7", unwitnessed(mixed()), |trace| because(trace, "main")["reason"] = json!("explicit"));
}

#[test]
fn that_a_thread_had_no_default() {
    is_caught_by("A1-A3, A7", unwitnessed(mixed()), |trace| because(trace, "default")["had_default"] = json!(false));
}

#[test]
fn that_another_mode_was_in_force() {
    is_caught_by("A1-A3, A7", unwitnessed(mixed()), |trace| because(trace, "main")["mode"] = json!("use-main"));
}

#[test]
fn that_a_fetch_did_without_its_examine() {
    is_caught_by("A1-A3, A7", trace_of("-n 3 -t 1 --ops fetch"), |trace| {
        drop(find(trace, is("operation"))["commands"].as_array_mut().unwrap().remove(0));
    });
}

#[test]
fn that_a_default_belongs_to_another_thread() {
    is_caught_by("sessions", unwitnessed(mixed()), |trace| {
        let other = json!("w3");
        find(trace, |event| event["event"] == "connection-created" && event["kind"] == "default")["worker"] = other;
    });
}

#[test]
fn that_an_operation_read_another_mailbox() {
    is_caught_by("witness", trace_of("-n 4 -t 2 --ops fetch --mailbox INBOX --mailbox Archive"), |trace| {
        let operation = find(trace, is("operation"));
        operation["mailbox"] = json!(if operation["mailbox"] == "INBOX" { "Archive" } else { "INBOX" });
    });
}

#[test]
fn that_an_operation_was_another_one() {
    is_caught_by("witness", trace_of("-n 6 -t 1 --ops noop,list"), |trace| {
        let operation = find(trace, |event| event["operation"] == "noop");
        operation["operation"] = json!("list");
        operation["commands"][0]["verb"] = json!("LIST");
    });
}

#[test]
fn that_an_operation_of_another_kind_was_asked_for() {
    is_caught_by("header", unwitnessed(trace_of("-n 6 -t 1 --ops noop")), |trace| {
        let operation = find(trace, is("operation"));
        operation["operation"] = json!("list");
        operation["commands"][0]["verb"] = json!("LIST");
    });
}

#[test]
fn that_an_operation_never_was() {
    is_caught_by("tags", unwitnessed(trace_of("--duration 40ms --pause 5ms -t 1")), |trace| {
        let at = trace.iter().position(is("operation")).unwrap();
        trace.remove(at);
        for event in trace.iter_mut().filter(|event| event["event"] == "operation") {
            event["issued_after"] = json!(number(event, "issued_after") - 1);
        }
    });
}

#[test]
fn that_less_was_asked_for() {
    is_caught_by("asked", unwitnessed(mixed()), |trace| {
        let asked = &mut trace[0]["asked"]["operations_per_worker"];
        *asked = json!(asked.as_u64().unwrap() - 1);
    });
}

#[test]
fn that_a_worker_was_to_create_nothing() {
    is_caught_by("header", unwitnessed(mixed()), |trace| {
        let roles = trace[0]["workers"].as_array_mut().unwrap();
        for role in roles {
            (role["creates_default"], role["creates_independent"]) = (json!(false), json!(false));
        }
    });
}

#[test]
fn that_an_operation_was_served_sooner() {
    is_caught_by("threads", unwitnessed(trace_of("-n 4 -t 1")), |trace| {
        let operation = trace.iter_mut().rfind(|event| event["event"] == "operation").unwrap();
        operation["issued_at_us"] = json!(0);
    });
}

#[test]
fn that_waiting_took_longer() {
    is_caught_by("threads", unwitnessed(mixed()), |trace| {
        let operation = because(trace, "main");
        operation["wait_us"] = json!(number(operation, "wait_us") + 1_000_000);
    });
}

#[test]
fn that_two_operations_shared_a_session_at_once() {
    is_caught_by(
        "turns",
        unwitnessed(trace_of("-n 4 -t 2 --mode use-main --sandbox-latency 3ms --ops noop")),
        |trace| {
            // As if none of them had waited: each was served from its issue on.
            for operation in trace.iter_mut().filter(|event| event["event"] == "operation") {
                let wait = number(operation, "wait_us");
                operation["service_us"] = json!(number(operation, "service_us") + wait);
                operation["wait_us"] = json!(0);
            }
        },
    );
}

#[test]
fn that_a_session_was_never_closed() {
    is_caught_by("sessions", unwitnessed(mixed()), |trace| {
        let at = trace.iter().position(is("session-closed")).unwrap();
        trace.remove(at);
    });
}

#[test]
fn that_an_operation_succeeded_without_a_connection() {
    is_caught_by("outcomes", unwitnessed(trace_of("-n 1 -t 1 --timeout 10ms --sandbox-latency 15ms")), |trace| {
        let operation = find(trace, is("operation"));
        (operation["outcome"], operation["items"], operation["failure"]) = (json!("ok"), json!(0), Value::Null);
        operation["local_port"] = Value::Null;
    });
}

#[test]
fn that_a_refused_dial_failed_otherwise_than_whoever_needed_it_says() {
    is_caught_by("dials", trace_of("-n 2 -t 3 --mode use-default --sandbox-connections 1"), |trace| {
        let refused = find(trace, is("session-refused"));
        refused["failure"]["kind"] = json!("auth-invalid");
    });
}

#[test]
fn that_a_dial_was_quicker_than_its_phases() {
    is_caught_by("dials", unwitnessed(mixed()), |trace| {
        let opened = find(trace, is("session-opened"));
        opened["began_us"] = opened["at_us"].clone();
    });
}

#[test]
fn that_a_session_carried_nothing() {
    is_caught_by("bytes", unwitnessed(mixed()), |trace| find(trace, is("session-closed"))["bytes_sent"] = json!(0));
}

#[test]
fn that_more_connections_were_open_than_allowed() {
    is_caught_by("W2", unwitnessed(mixed()), |trace| trace[0]["max_connections"] = json!(2));
}

#[test]
fn that_a_connection_was_disposed_by_the_client() {
    is_caught_by("threads", unwitnessed(mixed()), |trace| {
        let disposed = find(trace, |event| event["cause"] == "by-hand");
        disposed["cause"] = json!("client-closed");
    });
}

#[test]
fn that_the_run_was_of_another_day() {
    is_caught_by("clock", unwitnessed(mixed()), |trace| trace[0]["started"] = json!("2026-01-01T00:00:00.000000Z"));
}

#[test]
fn that_the_server_kept_no_record() {
    is_caught_by("witness", mixed(), |trace| {
        trace.retain(|event| event["event"] != "witness-session");
        trace[0]["witnessed"] = json!(false);
        trace.last_mut().unwrap()["verdict"]["witness"]["available"] = json!(false);
    });
}

#[test]
fn that_a_session_was_dropped_and_said_goodbye() {
    for how in ["discarded", "hung-up"] {
        is_caught_by("sessions", unwitnessed(mixed()), |trace| {
            find(trace, |event| event["closed"] == "logged-out")["closed"] = json!(how);
        });
    }
}

#[test]
fn that_a_line_is_another_shards() {
    is_caught_by("lines", mixed(), |trace| trace[5]["shard"] = json!(7));
}

/// What the server read on a session, in order.
fn read_by_the_server(trace: &mut [Value]) -> &mut Vec<Value> {
    let sessions = trace.iter_mut().filter(|event| event["event"] == "witness-session");
    sessions.map(|it| it["commands"].as_array_mut().unwrap()).max_by_key(|commands| commands.len()).unwrap()
}

#[test]
fn that_the_server_read_in_another_order_or_at_another_time() {
    is_caught_by("witness", mixed(), |trace| read_by_the_server(trace).reverse());
    is_caught_by("witness", mixed(), |trace| read_by_the_server(trace)[1]["at_us"] = Value::Null);
    is_caught_by("witness", mixed(), |trace| read_by_the_server(trace)[1]["at_us"] = json!(0));
    // What it read stands behind its time, but at the run's end.
    let file = file_of("-n 3 -t 2 --independent-for all --timeout 10ms --sandbox-latency 15ms");
    let early = file.lines().find(|line| line.contains("\"event\":\"witness-commands\"")).unwrap();
    let mut late: Value = serde_json::from_str(early).unwrap();
    late["commands"].as_array_mut().unwrap().last_mut().unwrap()["at_us"] = json!(number(&late, "at_us") + 1);
    let said = tool::doubts(file.replace(early, &late.to_string()).as_bytes());
    assert!(said.iter().any(|doubt| doubt.contains("has a command that was read later")), "{said:#?}");
}

#[test]
fn that_the_server_has_a_label_of_no_run() {
    is_caught_by("witness", mixed(), |trace| {
        find(trace, |event| event["event"] == "witness-session" && !event["label"].is_null())["run_id"] = Value::Null;
    });
}

/// A tag is a letter and a number in IMAP, and in no other protocol.
#[test]
fn that_a_tag_is_another_protocols() {
    let told = |event: &Value| event["event"] == "operation" && event["commands"][0].is_object();
    for (args, tag) in [("-n 3 -t 1 --ops noop", "3"), ("-n 3 -t 1 --ops noop --server sandbox+smtp", "a3")] {
        let trace = trace_of(args);
        is_caught_by("tags", trace.clone(), |trace| find(trace, told)["commands"][0]["tag"] = json!(tag));
        is_caught_by("witness", trace, |trace| {
            let third = &mut read_by_the_server(trace)[2];
            assert_ne!(third["tag"], tag);
            third["tag"] = json!(tag);
        });
    }
}

#[test]
fn that_another_protocol_was_spoken() {
    for server in ["sandbox+pop3", "sandbox+smtps"] {
        is_caught_by("header", mixed(), |trace| trace[0]["server"] = json!(server));
    }
    is_caught_by("header", unwitnessed(mixed()), |trace| trace[0]["server"] = json!("smtps://ann@mail.example.org"));
}

#[test]
fn that_a_worker_of_a_run_has_a_name() {
    is_caught_by("header", mixed(), |trace| trace[0]["workers"][0]["name"] = json!("T1"));
}

#[test]
fn that_an_operation_read_a_mailbox_that_was_not_asked_for() {
    is_caught_by("header", unwitnessed(mixed()), |trace| {
        find(trace, |event| event["mailbox"] == "INBOX")["mailbox"] = json!("Sent");
    });
}

#[test]
fn that_connections_were_still_open() {
    for open in [1, 77] {
        is_caught_by("sessions", unwitnessed(mixed()), |trace| {
            trace.last_mut().unwrap()["connections"]["still_open"] = json!(open);
        });
    }
}

/// What a failure is called goes with how far things had come.
#[test]
fn that_a_failure_was_of_a_kind_that_does_not_come_about_there() {
    let failed = |event: &Value| event["event"] == "operation" && event["failure"]["stage"] == "wait";
    for kind in ["server-no", "closed", "timeout", "dns", "auth-refused", "limit-rate"] {
        let line = "-n 2 -t 3 --mode use-main --wait-timeout 4ms --sandbox-latency 40ms";
        let trace = trace_in_which(line, |trace| trace.iter().any(failed));
        is_caught_by("outcomes", trace, |trace| find(trace, failed)["failure"]["kind"] = json!(kind));
    }
    for kind in ["dns", "connect-reset", "tls-certificate", "wait-timeout", "refused", "greeting"] {
        let limit = "-n 2 -t 3 --mode use-default --sandbox-connections 1";
        is_caught_by("outcomes", trace_of(limit), |trace| {
            for event in trace.iter_mut().filter(|event| event["failure"]["kind"] == "limit-connections") {
                event["failure"]["kind"] = json!(kind);
            }
        });
    }
    for kind in ["server-bad", "server-bye"] {
        let timeout = |event: &Value| event["failure"]["kind"] == "timeout";
        let trace = trace_in_which("-n 3 -t 2 --mode use-main --timeout 10ms --sandbox-latency 15ms", |trace| {
            trace.iter().any(timeout)
        });
        is_caught_by("B4", trace, |trace| find(trace, timeout)["failure"]["kind"] = json!(kind));
    }
}

#[test]
fn that_certificates_were_verified_where_there_was_no_tls() {
    is_caught_by("sessions", mixed(), |trace| trace[0]["certificates_verified"] = json!(true));
    is_caught_by("sessions", trace_of("-n 2 -t 2 --mode use-default --server sandbox+imaps"), |trace| {
        trace[0]["certificates_verified"] = Value::Null;
    });
}

#[test]
fn that_more_dialled_than_there_are_threads() {
    is_caught_by("dials", trace_of("-n 2 -t 3 --mode use-default --sandbox-connections 1"), |trace| {
        find(trace, is("session-refused"))["dialling"] = json!(3);
    });
}

#[test]
fn that_the_server_saw_a_logout_that_nobody_sent() {
    let lost = |event: &Value| event["event"] == "witness-session" && event["logged_out"] == false;
    let broken = trace_in_which("-n 3 -t 2 --mode use-main --timeout 10ms --sandbox-latency 15ms", |trace| {
        trace.iter().any(lost)
    });
    is_caught_by("witness", broken, |trace| find(trace, lost)["logged_out"] = json!(true));
    let left = |event: &Value| event["event"] == "witness-session" && event["logged_out"] == true;
    is_caught_by("witness", mixed(), |trace| find(trace, left)["open"] = json!(true));
}

#[test]
fn that_it_came_to_less_than_it_did() {
    let trace = trace_of("-n 2 -t 3 --mode use-default --sandbox-connections 1");
    for (name, value) in [("exit_code", json!(0)), ("findings", json!([])), ("total_wait_us", json!(77))] {
        let mut told = trace.clone();
        told.last_mut().unwrap()[name] = value;
        let said = doubts(&told);
        assert!(!said.is_empty() && said.iter().all(|doubt| doubt.starts_with("run-end: ")), "{name}: {said:#?}");
    }
}

#[test]
fn what_is_no_trace_is_said_to_be_none() {
    let said = |file: &[u8]| verify(file).err().unwrap_or_default();
    assert_eq!(said(b""), "it is empty");
    let no_start = "it does not begin with a run-start line of `mailconn run --format ndjson` (or `limits`), ";
    assert!(said(b"hello\n").starts_with(no_start), "{}", said(b"hello\n"));
    let whole = bytes(&mixed());
    // Cut anywhere, it is no trace, or does not hold.
    for end in (1..whole.len() - 1).step_by(97) {
        assert_ne!(tool::doubts(&whole[..end]), [""; 0], "cut at {end}");
    }
}
