//! Rows that were too many to keep: what a gate on one of them is told, and what is exact all the same.

use std::fs;

use serde_json::Value;

use crate::cli::process::{end, mailconn, run_against};
use crate::protocol::scripted::Server;
use crate::support::tool::doubts;

/// The lines about gates, without what would fail each.
fn gates(report: &str) -> Vec<&str> {
    let lines = report.lines().filter_map(|line| line.strip_prefix("gate "));
    lines.map(|line| line.split(" (fails").next().unwrap()).collect()
}

#[test]
fn main_has_a_row_whenever_it_came_and_a_row_that_was_left_out_is_not_measured() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.ndjson");
    let args = "run --executor pool -t 4 --tasks 1200 -n 1 --dispose task --mode use-default --switch-mode 1100=use-main \
                --progress never --format ndjson -o";
    let ended = end(&mut mailconn(args.split_whitespace().chain(file.to_str())));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    let on = ["connection[main]", "connection[#1]", "connection[#20000]", "session[#300]", "session[#1100]"];
    let gated = on.map(|row| format!("{row}.operations > 0"));
    let flags = gated.iter().flat_map(|gate| ["--fail-if", gate]);
    let told = end(&mut mailconn(["report", file.to_str().unwrap()].into_iter().chain(flags)));
    let left_out = "only main and the first 1000 other connections have rows of their own";
    let due = [
        "FAILED: connection[main].operations is 100",
        "FAILED: connection[#1].operations is 1",
        &format!("FAILED: connection[#20000].operations: {left_out}"),
        "FAILED: session[#300].operations: only the first 500 bad sessions and the newest 500 others have rows of their own",
        "FAILED: session[#1100].operations is 1",
    ];
    assert_eq!((told.code, gates(&told.stdout)), (3, due.to_vec()), "{}", told.stdout);
    let json = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", "json"])).json();
    let rows = json["by_connection"].as_array().unwrap();
    assert_eq!((rows.len(), &rows[0]["operations"]), (1001, &Value::from(100)));
    assert_eq!(json["operations_on_other_connections"], 100);
}

/// Each reply is a way of failing of its own, but for the last ones.
#[test]
fn failures_are_counted_by_their_kinds_behind_however_many_ways_and_decide_what_a_run_comes_to() {
    let server = Server::start(|peer| {
        peer.sign_in();
        for number in 0..1110_u32 {
            let word: String = number.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
            let no = match number {
                ..1010 => format!("{{t}} NO not {word}\r\n"),
                _ => format!("{{t}} NO [LIMIT] Rate limit hit {word}.\r\n"),
            };
            if !peer.answer(&no) {
                return;
            }
        }
        peer.wait_for_close();
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.ndjson");
    let path = file.to_str().unwrap();
    let args = "-t 1 -n 1110 --ops noop --mode use-main --progress never --format ndjson --fail-if failures[limit-rate].count==100 -o";
    let ended = run_against(server.address, &format!("{args} {path}"));
    assert_eq!(ended.code, 6, "{}", ended.stderr);
    assert_eq!(doubts(&fs::read(&file).unwrap()), [""; 0]);
    let flags = ["--fail-if", "failures[limit-rate].count > 0", "--fail-if", "failures[server-no].count > 0"];
    let told = end(&mut mailconn(["report", path].iter().chain(&flags)));
    let due = ["FAILED: failures[limit-rate].count is 100", "FAILED: failures[server-no].count is 1010"];
    assert_eq!(gates(&told.stdout), due, "{}", told.stdout);
    let json = end(&mut mailconn(["report", path, "--format", "json"])).stdout;
    let document: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["failures"].as_array().unwrap().len(), 1001, "of each kind at least one");

    // Of a document the rows are all that there is.
    let earlier = folder.path().join("run.json");
    fs::write(&earlier, &json).unwrap();
    let compares = ["--baseline", earlier.to_str().unwrap(), "--fail-if", "failures[limit-rate].count regressed > 0%"];
    let told = end(&mut mailconn(["report", path].iter().chain(&compares)));
    let due = ["FAILED: failures[limit-rate].count is 100, and the baseline has no such figure"];
    assert_eq!(gates(&told.stdout), due, "{}", told.stdout);
}

#[test]
fn a_bound_on_a_time_is_not_rounded_and_no_tasks_are_not_nought() {
    let gates_of = ["wait.p50 >= 500ns", "wait.max < 1500ns", "operations_on.main == 0"];
    let flags = gates_of.iter().flat_map(|gate| ["--fail-if", gate]);
    let args = ["run", "-t", "1", "-n", "3", "--mode", "use-main", "--progress", "never"];
    let told = end(&mut mailconn(args.into_iter().chain(flags)));
    let due = ["passed: wait.p50 is 0s", "FAILED: wait.max is 0s", "FAILED: operations_on.main: the run had no tasks"];
    assert_eq!((told.code, gates(&told.stdout)), (3, due.to_vec()), "{}", told.stdout);
}
