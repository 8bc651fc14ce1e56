//! Files of real runs, and the tool that doctors them: whoever changes one puts its numbers, counts and sums right too.

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use serde_json::{Value, json};

use crate::cli::process::{events, run};
use crate::support::tool::{self, verify};
use crate::support::written::bytes;

/// Runs of each mode, protocol and trouble that a file can be of; small, since each line of them is tried in turn.
pub const RUNS: [&str; 29] = [
    "-n 4 --mode use-main -t 3",
    "-n 4 --mode use-default -t 3",
    "-n 3 -t 4 --default-for w0-w1 --independent-for w1-w2 --mailbox INBOX --mailbox Archive --ops noop,list,status,fetch,search",
    "--duration 30ms --pause 8ms -t 2 --mode use-main",
    "-n 3 -t 3 --mode use-default --server sandbox+smtp",
    "-n 3 -t 2 --mode use-main --server sandbox+smtps --allow-writes --ops send,verify,noop",
    "-n 4 -t 3 --mode use-main --server sandbox+pop3 --ops noop,stat,list,retrieve",
    "-n 2 -t 3 --mode use-default --server sandbox+pop3 --connect-timeout 500ms",
    "-n 2 -t 2 --mode use-default --server sandbox+imaps",
    "-n 3 -t 2 --mode use-default --allow-writes --ops append,noop",
    "-n 2 -t 4 --mode use-default --sandbox-connections 2",
    "-n 2 -t 3 --default-for all --independent-for w2 --sandbox-connections 2",
    "-n 2 -t 3 --mode use-default --max-connections 1 --wait-timeout 20ms",
    "-n 2 -t 3 --mode use-main --wait-timeout 2ms --sandbox-latency 4ms",
    "-n 3 -t 2 --mode use-main --timeout 10ms --sandbox-latency 15ms",
    "-n 3 -t 2 --independent-for all --timeout 10ms --sandbox-latency 15ms",
    BROKEN,
    LEFT,
    SWITCHED,
    ALIKE,
    NAIVE,
    "-n 3 -t 4 --mode use-main --lock command --ops fetch --wait-timeout 4ms --sandbox-latency 2ms",
    "-n 2 -t 3 --lock command --independent-for all --ops fetch,noop --timeout 5ms --sandbox-latency 8ms",
    POOLED,
    SCATTERED,
    DISPOSED,
    "-n 2 -t 2 --tasks 5 --executor tasks --default-for t1-t2 --independent-for t0-t1 --ops noop",
    "-n 2 -t 2 --tasks 5 --executor pool --dispose task --mode use-default --allow-writes --ops append,noop",
    "-n 2 -t 2 --tasks 3 --executor tasks --mode use-default --allow-writes --ops append --timeout 10ms --sandbox-latency 15ms",
];
/// Every session breaks in its first operation, and nobody is asked for a number of them.
pub const BROKEN: &str =
    "--duration 40ms --pause 4ms -t 2 --mode use-default --ops noop --timeout 6ms --sandbox-latency 9ms";
/// A scratch mailbox stays behind.
pub const LEFT: &str = "-n 1 -t 2 --mode use-default --allow-writes --ops append --timeout 10ms --sandbox-latency 15ms";
/// Another mode comes, under which nothing is decided otherwise.
pub const ALIKE: &str = "-n 4 -t 2 --mode use-main --switch-mode 3=use-main-or-default --ops noop";
/// The mode changes twice.
pub const SWITCHED: &str = "-n 6 -t 3 --mode use-default --switch-mode 7=use-main --switch-mode 12=use-main-or-default";
/// Selects in one lease and reads in the next, so that some read from the wrong mailbox.
pub const NAIVE: &str =
    "-n 6 -t 4 --mode use-main --lock command --ops fetch --mailbox INBOX --mailbox Archive --sandbox-latency 1ms";
/// Tasks that leave their default to a pool's thread, and the next one there finds it.
pub const POOLED: &str = "-n 2 -t 2 --tasks 5 --executor pool --default-for all --ops noop --sandbox-latency 1ms";
/// Tasks whose operations are now on one thread, now on another.
pub const SCATTERED: &str = "-n 4 -t 3 --tasks 4 --executor tasks --mode use-default --ops noop --sandbox-latency 1ms";
/// Tasks that dispose what they create.
pub const DISPOSED: &str =
    "-n 2 -t 2 --tasks 5 --executor tasks --dispose task --default-for all --independent-for t3 --ops noop";

/// The file of such a run, the same one for all tests.
pub fn file_of(args: &'static str) -> String {
    static FILES: OnceLock<Mutex<BTreeMap<&'static str, String>>> = OnceLock::new();
    let mut files = FILES.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
    files.entry(args).or_insert_with(|| run(&format!("{args} --seed 5 --format ndjson")).stdout).clone()
}

/// Its events.
pub fn trace_of(args: &'static str) -> Vec<Value> {
    events(&file_of(args))
}

/// The events of such a run of which that is so: on a busy machine not all of them are alike.
#[track_caller]
pub fn trace_in_which(args: &str, holds: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let traces = std::iter::repeat_with(|| events(&run(&format!("{args} --format ndjson")).stdout));
    traces.take(20).find(|trace| holds(trace)).expect("it is so of one of twenty runs")
}

/// A run with every kind of connection.
pub fn mixed() -> Vec<Value> {
    trace_of(RUNS[2])
}

/// Puts right whatever a careful hand would: lines are numbered anew, each run's operations too, and what a run, or a
/// scenario, is said to end with is what the events come to.
pub fn doctored(mut events: Vec<Value>) -> Vec<Value> {
    let mut next: BTreeMap<Option<String>, (u64, u64)> = BTreeMap::new();
    for event in &mut events {
        let (seq, operations) = next.entry(event["client"].as_str().map(str::to_owned)).or_default();
        event["seq"] = json!(*seq);
        *seq += 1;
        if event["event"] == "operation" {
            *operations += 1;
            event["number"] = json!(*operations);
        }
    }
    let Ok(verified) = verify(&bytes(&events)) else { return events };
    let due = &verified["traces"][0];
    for event in &mut events {
        let due = match (event["event"].as_str().unwrap(), event["client"].as_str()) {
            ("run-end", Some(client)) => &due["runs"][client],
            ("run-end" | "scenario-end", None) => &due["recomputed"],
            _ => continue,
        };
        for (name, due) in due.as_object().into_iter().flatten() {
            event[name] = due.clone();
        }
    }
    events
}

/// What does not hold in that file.
pub fn doubts(events: &[Value]) -> Vec<String> {
    tool::doubts(&bytes(events))
}

pub fn number(event: &Value, name: &str) -> u64 {
    event[name].as_u64().unwrap_or_else(|| panic!("{name} of {event}"))
}
