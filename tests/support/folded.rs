//! A file as tests doctor it: what the server read on a session stands in one list, and the server's record at the end of
//! its run; in the file it comes line by line, as it happened.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value, json};

/// So many of a session's commands stand in one line of a file.
const COMMANDS_A_LINE: usize = 256;

const WITNESS: [&str; 2] = ["witness-commands", "witness-session"];

fn is_witness(line: &Value) -> bool {
    WITNESS.iter().any(|kind| line["event"] == *kind)
}

fn client(line: &Value) -> Option<String> {
    line["client"].as_str().map(str::to_owned)
}

/// The lines of a file, folded.
pub fn fold(lines: Vec<Value>) -> Vec<Value> {
    let mut gone: BTreeMap<Option<String>, Vec<u64>> = BTreeMap::new();
    let mut read: HashMap<(Option<String>, u64), Vec<Value>> = HashMap::new();
    let mut sessions: BTreeMap<Option<String>, Vec<Value>> = BTreeMap::new();
    let mut rest = Vec::new();
    for mut line in lines {
        let of = client(&line);
        if !is_witness(&line) {
            rest.push(line);
            continue;
        }
        gone.entry(of.clone()).or_default().push(line["seq"].as_u64().unwrap());
        let port = line["peer_port"].as_u64().unwrap();
        if line["event"] == "witness-commands" {
            let commands = line["commands"].as_array_mut().unwrap();
            read.entry((of, port)).or_default().append(commands);
        } else {
            line["commands"] = Value::Array(read.remove(&(of.clone(), port)).unwrap_or_default());
            sessions.entry(of).or_default().push(line);
        }
    }
    let mut folded = Vec::new();
    for mut line in rest {
        let of = client(&line);
        let before = |seq: &Value| {
            let seq = seq.as_u64().unwrap();
            seq - gone.get(&of).map_or(0, |gone| gone.partition_point(|gone| *gone < seq)) as u64
        };
        line["seq"] = json!(before(&line["seq"]));
        if line["event"] == "operation" {
            line["issued_after"] = json!(before(&line["issued_after"]));
        }
        if line["event"] == "run-end" {
            for mut session in sessions.remove(&of).unwrap_or_default() {
                (session["at_us"], session["time"]) = (line["at_us"].clone(), line["time"].clone());
                session["seq"] = line["seq"].clone();
                line["seq"] = json!(line["seq"].as_u64().unwrap() + 1);
                folded.push(session);
            }
        }
        folded.push(line);
    }
    folded.extend(sessions.into_values().flatten());
    folded
}

/// The same lines as the file has them.
pub fn unfold(lines: &[Value]) -> Vec<Value> {
    let mut more: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut unfolded = Vec::new();
    for line in lines {
        let more = more.entry(client(line)).or_default();
        let mut line = line.clone();
        let shift = |line: &mut Value, by: u64| {
            if let Some(seq) = line["seq"].as_u64() {
                line["seq"] = json!(seq + by);
            }
        };
        if let ("witness-session", Some(commands)) =
            (line["event"].as_str().unwrap_or_default(), line["commands"].as_array().cloned())
        {
            line["commands"] = json!(commands.len());
            for some in commands.chunks(COMMANDS_A_LINE) {
                let mut part = json!({"event": "witness-commands", "commands": some});
                for name in ["seq", "at_us", "time", "client", "peer_port"] {
                    if let Some(value) = line.get(name) {
                        part[name] = value.clone();
                    }
                }
                shift(&mut part, *more);
                unfolded.push(part);
                *more += 1;
            }
        }
        shift(&mut line, *more);
        unfolded.push(line);
    }
    unfolded
}
