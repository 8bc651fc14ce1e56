//! Files of other versions, and what our own does not know: an older file is not read, what a newer one adds is passed over and
//! told of, and in our own it is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use mailconn::event::{Line, Reader};
use serde_json::{Value, json};

use super::traces::{RUNS, file_of};
use crate::cli::process::{Ended, end, mailconn};
use crate::support::tool;

const OURS: &str = "\"schema_version\":6";
const NEWER: &str = "\"schema_version\":7";
const NEW: &str = "of_another_version";

/// Files with every event, and everything that stands inside of one.
fn files() -> Vec<String> {
    let of_scenario = |name: &str| end(&mut mailconn(["scenario", name, "--format", "ndjson"])).stdout;
    let scenarios =
        ["pool-hazard", "c5-two-clients-on-one-thread", "b6-one-refused-sign-in-ends-them-all"].map(of_scenario);
    RUNS.into_iter().map(file_of).chain(scenarios).collect()
}

fn lines_of(file: &str) -> Vec<Value> {
    file.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn text_of(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn told(command: &str, file: &str, args: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("it"), file).unwrap();
    end(mailconn([command, "it"].iter().chain(args)).current_dir(directory.path()))
}

/// Where the objects in a line are.
fn objects(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            // Of one, a second key contradicts the first; the other has any names.
            if path != "/asked" && !path.ends_with("/reasons") {
                found.push(path.to_owned());
            }
            fields.iter().for_each(|(name, value)| objects(value, &format!("{path}/{name}"), found));
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| objects(value, &format!("{path}/{at}"), found));
        }
        _ => {}
    }
}

/// What a field of that object is called, of whichever of several.
fn name_in(path: &str) -> String {
    let parts = path.split('/').filter(|part| !part.is_empty() && part.parse::<u32>().is_err());
    parts.chain([NEW]).collect::<Vec<_>>().join(".")
}

fn add(line: &mut Value, path: &str) {
    line.pointer_mut(path).unwrap()[NEW] = json!({"some": ["thing"]});
}

#[test]
fn a_file_of_the_first_version_is_not_read_and_one_sentence_says_who_wrote_it() {
    for file in [&files()[0], files().last().unwrap()] {
        for (old, number) in [("\"schema_version\":1", 1), ("\"schema_version\":0", 0)] {
            let file = file.replace(OURS, old).replace("\"tool_version\":\"", "\"tool_version\":\"0.0.7-of-");
            for command in ["verify", "report"] {
                let Ended { code, stdout, stderr, .. } = told(command, &file, &[]);
                assert_eq!((code, &*stdout, stderr.lines().count()), (2, "", 1), "{stderr}");
                let said =
                    format!("mailconn: it cannot be read: it is of schema version {number}, which mailconn 0.0.7-of-");
                assert!(stderr.starts_with(&said), "{stderr}");
                assert!(stderr.ends_with(" wrote: this one reads version 2 and later ones\n"), "{stderr}");
            }
        }
    }
}

/// An event behind each, and a field in each object.
fn of_a_newer_version(file: &str) -> (String, u64) {
    let mut passed_over = 0;
    let mut next: BTreeMap<Option<String>, u64> = BTreeMap::new();
    let mut lines = Vec::new();
    for mut line in lines_of(&file.replace(OURS, NEWER)) {
        let mut paths = Vec::new();
        objects(&line, "", &mut paths);
        passed_over += 1 + paths.iter().map(|path| name_in(path)).collect::<BTreeSet<_>>().len() as u64;
        paths.iter().for_each(|path| add(&mut line, path));
        // Whoever knew of an event knew of the one behind it too.
        if let Some(known) = line["issued_after"].as_u64() {
            line["issued_after"] = json!(2 * known);
        }
        if let Some(before) = line["events_before"].as_u64() {
            line["events_before"] = json!(2 * before);
        }
        let mut another = json!({"event": "session-slept", "session": ["#0"], "connection": 7});
        for name in ["at_us", "time", "client"] {
            if let Some(value) = line.get(name) {
                another[name] = value.clone();
            }
        }
        let next = next.entry(line["client"].as_str().map(str::to_owned)).or_default();
        (line["seq"], another["seq"]) = (json!(*next), json!(*next + 1));
        *next += 2;
        lines.extend([line, another]);
    }
    (text_of(&lines), passed_over)
}

#[test]
fn what_a_newer_version_added_is_passed_over_counted_and_told() {
    for file in files() {
        let (newer, passed_over) = of_a_newer_version(&file);
        assert_eq!(tool::doubts(newer.as_bytes()), [""; 0], "{file}");
        let said = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ").replace(',', "");
        let due = format!("{passed_over} additions of a later version were passed over: of_another_version");
        let verified = told("verify", &newer, &[]);
        assert_eq!((verified.code, &*verified.stderr), (0, ""));
        assert!(said(&verified.stdout).contains(&due), "{due}: {}", verified.stdout);
        assert!(verified.stdout.contains("session-slept"), "{}", verified.stdout);
        let reported = told("report", &newer, &[]);
        assert_eq!((reported.code, reported.stderr.lines().count()), (0, 1), "{}", reported.stderr);
        assert!(said(&reported.stderr).contains(&due), "{due}: {}", reported.stderr);
        assert_eq!(reported.stdout, told("report", &file, &[]).stdout, "what is known is told as ever");
    }
}

/// A newer file is no licence: what is known of it is checked.
#[test]
fn a_lie_in_a_newer_file_is_caught() {
    let (newer, _) = of_a_newer_version(&file_of(RUNS[0]));
    // What it was judged by is known to the last word; else its exit code may have reasons of its own.
    let newer = newer.replace(
        r#""fail_on":["hazard","leak","fault"],"of_another_version":{"some":["thing"]}"#,
        r#""fail_on":["hazard","leak","fault"]"#,
    );
    for (from, to, rule) in [
        ("\"reason\":\"main\"", "\"reason\":\"default\"", "A1-A3, A7"),
        ("\"bytes_sent\":", "\"bytes_sent\":-", "lines"),
        ("\"event\":\"session-slept\",\"seq\":5,", "\"event\":\"session-slept\",\"seq\":6,", "sequence"),
        ("\"exit_code\":0", "\"exit_code\":1", "run-end"),
        ("\"peak\":", "\"peak\":9", "run-end"),
    ] {
        let lie = newer.replacen(from, to, 1);
        assert_ne!(lie, newer, "{from}");
        let doubts = tool::doubts(lie.as_bytes());
        assert!(doubts.iter().any(|doubt| doubt.starts_with(rule)), "{rule}: {doubts:#?}");
    }
}

#[test]
fn a_field_that_our_own_version_does_not_know_is_a_fault_wherever_it_stands() {
    let mut seen = BTreeSet::new();
    for file in files() {
        let lines = lines_of(&file);
        for (at, line) in lines.iter().enumerate() {
            let mut paths = Vec::new();
            objects(line, "", &mut paths);
            for path in paths {
                let name = name_in(&path);
                if !seen.insert(format!("{} {}: {name}", line["event"], line["did"][0]["what"])) {
                    continue;
                }
                let mut lie = lines.clone();
                add(&mut lie[at], &path);
                let said = format!("lines: not understood by this version: {name}");
                assert_eq!(tool::doubts(text_of(&lie).as_bytes()), [said], "{}", line["event"]);
            }
        }
    }
    let kinds = [
        "run-start\" null: workers.",
        "run-start\" null: tasks.",
        "\"ran\": did.",
        "scenario-end\" null: clients.findings.",
    ];
    for kind in kinds {
        assert!(seen.iter().any(|seen| seen.contains(kind)), "{kind}: {seen:#?}");
    }
    assert!(seen.len() > 40, "{seen:#?}");
}

#[test]
fn an_event_that_our_own_version_does_not_know_is_a_fault() {
    let file = file_of(RUNS[0]);
    let lie = file.replacen("\"event\":\"session-closed\"", "\"event\":\"session-slept\"", 1);
    let said = told("verify", &lie, &["--format", "json"]);
    assert_eq!(said.code, 7);
    assert!(said.stdout.contains(r#"not understood by this version: an event \"session-slept\""#), "{}", said.stdout);
    let told = told("report", &lie, &[]);
    assert_eq!(
        (told.code, &*told.stderr),
        (0, "mailconn: the file is not whole, or parts of it are not understood: mailconn verify says which\n")
    );
}

/// A file as a later version would write it that has another word in one place.
fn in_a_newer_version(file: &str, from: &str, to: &str) -> String {
    let newer = file.replace(OURS, NEWER);
    let said = newer.replacen(from, to, 1);
    assert_ne!(said, newer, "{from}");
    said
}

#[test]
fn an_event_in_words_of_a_later_version_is_passed_over_counted_and_told_and_what_it_belongs_to_is_not_compared() {
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    let (run, defaults) = (file_of(RUNS[0]), file_of(RUNS[1]));
    for (file, from, to, name) in [
        (&run, "\"operation\":\"noop\"", "\"operation\":\"idle\"", "operation \"idle\""),
        (&run, "\"outcome\":\"ok\"", "\"outcome\":\"halved\"", "operation \"halved\""),
        (&run, "\"reason\":\"main\"", "\"reason\":\"borrowed\"", "operation \"borrowed\""),
        (&defaults, "\"kind\":\"default\"", "\"kind\":\"shared\"", "connection-created \"shared\""),
        (&run, "\"closed\":\"logged-out\"", "\"closed\":\"parked\"", "session-closed \"parked\""),
        (&run, "\"fail_on\":[\"hazard\"", "\"fail_on\":[\"waste\"", "run-end \"waste\""),
        (&scenario, "\"what\":\"ran\"", "\"what\":\"hummed\"", "step \"hummed\""),
        (&scenario, "\"reason\":\"main\"", "\"reason\":\"borrowed\"", "operation \"borrowed\""),
        (&scenario, "\"fail_on\":[", "\"fail_on\":[\"waste\"", "run-end \"waste\""),
    ] {
        let newer = in_a_newer_version(file, from, to);
        let verified = told("verify", &newer, &[]);
        let said = verified.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!((verified.code, &*verified.stderr), (0, ""), "{name}: {}", verified.stdout);
        assert!(said.contains(&format!("1 addition of a later version was passed over: {name}")), "{name}: {said}");
        assert!(said.contains("order, figures and exit code were not compared"), "{name}: {said}");
        let reported = told("report", &newer, &[]);
        assert_eq!(reported.code, 0, "{name}: {}", reported.stderr);
        assert!(reported.stderr.contains("the report is of the others alone"), "{name}: {}", reported.stderr);
        assert!(reported.stderr.contains(&format!("passed over: {name}")), "{name}: {}", reported.stderr);
        // In our own version such a word is a fault.
        assert_eq!(told("verify", &file.replacen(from, to, 1), &[]).code, 7, "{name}");
    }
}

#[test]
fn a_run_that_begins_in_words_of_a_later_version_cannot_be_read_and_one_sentence_says_so() {
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    for (file, from, to, word) in [
        (&file_of(RUNS[0]), "\"mode\":\"use-", "\"mode\":\"dont-use-", "dont-use-"),
        (&file_of(RUNS[0]), "\"executor\":\"threads\"", "\"executor\":\"fibres\"", "\"fibres\""),
        (&scenario, "\"protocol\":\"imap\"", "\"protocol\":\"jmap\"", "\"jmap\""),
    ] {
        for command in ["verify", "report"] {
            let Ended { code, stdout, stderr, .. } = told(command, &in_a_newer_version(file, from, to), &[]);
            assert_eq!((code, &*stdout, stderr.lines().count()), (2, "", 1), "{stderr}");
            assert!(stderr.contains("it is of schema version 7, which mailconn 0.1.0 wrote"), "{stderr}");
            assert!(stderr.contains(word) && stderr.contains("-start says"), "{stderr}");
        }
    }
}

#[test]
fn a_finding_that_only_a_later_version_looks_for_is_believed_and_counts() {
    let finding =
        json!({"id": "MC099", "severity": "hazard", "count": 2, "sentence": "Two went astray.", "evidence": ["#1"]});
    let changed = |with_exit: bool| {
        let mut lines = lines_of(&file_of(RUNS[0]).replace(OURS, NEWER));
        let last = lines.last_mut().unwrap();
        last["findings"].as_array_mut().unwrap().insert(0, finding.clone());
        last["exit_code"] = json!(u8::from(with_exit));
        text_of(&lines)
    };
    let verified = told("verify", &changed(true), &[]);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(verified.stdout.contains("finding MC099"), "{}", verified.stdout);
    let reported = told("report", &changed(true), &[]);
    assert!(reported.stdout.contains("MC099") && reported.stdout.contains("Two went astray."), "{}", reported.stdout);
    assert_eq!(told("verify", &changed(false), &[]).code, 7, "a hazard fails a run");
    assert_eq!(told("verify", &changed(true).replace(NEWER, OURS), &[]).code, 7, "ours knows all");
}

/// The line behind that start.
fn read(start: &str, line: &str) -> Line {
    let file = format!("{start}\n{line}\n");
    let mut lines = Reader::new(file.as_bytes());
    lines.next_line().unwrap();
    lines.next_line().unwrap().unwrap()
}

/// Our writer puts the envelope first, and such a line is read in one pass; any other in two.
#[test]
fn a_line_is_read_alike_in_whatever_order_its_fields_stand() {
    let mut seen = BTreeSet::new();
    for file in files() {
        let mut lines = file.lines();
        let start = lines.next().unwrap();
        for line in lines {
            let sorted: Value = serde_json::from_str(line).unwrap();
            let mut paths = Vec::new();
            objects(&sorted, "", &mut paths);
            paths.iter_mut().for_each(|path| *path = name_in(path));
            if !seen.insert((sorted["event"].to_string(), paths)) {
                continue;
            }
            let alike = |line: &str| {
                let sorted: Value = serde_json::from_str(line).unwrap();
                let (as_written, sorted) = (read(start, line), read(start, &sorted.to_string()));
                assert_eq!(format!("{as_written:?}"), format!("{sorted:?}"), "{line}");
                as_written.fault
            };
            assert_eq!(alike(line), None);
            alike(&line.replacen("{\"seq\"", "{\"of_another_version\":{},\"seq\"", 1));
            for (at, _) in line.match_indices('}') {
                let comma = if line[..at].ends_with('{') { "" } else { "," };
                let more = format!("{}{comma}\"{NEW}\":7{}", &line[..at], &line[at..]);
                // Not where the brace is text.
                if serde_json::from_str::<Value>(&more).is_ok_and(|it| it.to_string().contains(&format!("\"{NEW}\""))) {
                    let fault = alike(&more);
                    // Of reasons there are any.
                    let reasons = line[..at].rsplit_once("\"reasons\"").is_some_and(|(_, since)| !since.contains('}'));
                    assert_eq!(fault.is_some(), !reasons, "{more}");
                }
            }
            let twice = line.replacen(",\"event\"", &format!(",\"seq\":{},\"event\"", sorted["seq"]), 1);
            let last = format!("{},\"seq\":{}}}", line.strip_suffix('}').unwrap(), sorted["seq"]);
            for line in [twice, last] {
                let fault = read(start, &line).fault.unwrap();
                assert!(fault.contains("duplicate field `seq`"), "{fault}: {line}");
            }
            let last = line.strip_prefix(&format!("{{\"seq\":{},", sorted["seq"])).unwrap();
            assert_eq!(alike(&format!("{{{},\"seq\":{}}}", last.strip_suffix('}').unwrap(), sorted["seq"])), None);
        }
    }
    assert!(seen.len() > 15, "{seen:?}");
}
