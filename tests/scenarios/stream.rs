//! The file of a scenario is the stream of what happened, as it happened.

use serde_json::{Value, json};

use super::telling::perform;

fn lines(text: &str) -> Vec<Value> {
    let ended = perform(text, "--format ndjson");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_a_client_did_in_a_step_stands_before_that_step_and_what_it_came_to_before_the_end() {
    let text = "client A use-main\nclient B use-main\nT1 noop on A\nT1 noop on B\nT1 fetch on A\nexpect no findings\n";
    let events = lines(text);
    let told = events.iter().filter_map(|event| match (event["event"].as_str()?, event["client"].as_str()) {
        ("step", None) => Some(format!("line {}", event["line"])),
        ("operation", Some(client)) => Some(format!("{} of {client}", event["operation"].as_str()?)),
        ("run-end", Some(client)) => Some(format!("end of {client}")),
        ("scenario-end", None) => Some("end".to_owned()),
        _ => None,
    });
    let due = [
        "line 1",
        "line 2",
        "noop of A",
        "line 3",
        "noop of B",
        "line 4",
        "fetch of A",
        "line 5",
        "end of A",
        "end of B",
        "line 6",
        "end",
    ];
    assert_eq!(told.collect::<Vec<_>>(), due);
}

#[test]
fn what_is_expected_stands_in_the_step_as_data() {
    let text = "client use-main-or-default\nT1 create k => opened\nT1 noop via k => k\nT1 fetch Sent => main or default from Sent session 1\n\
                T2 create-default; leave\nT1 dispose k\nT1 noop via k => refused D2\nT1 fetch NOSUCH => fails\n\
                T1 dispose-default => nothing\nT1 panic => panics\nexpect open: main default\nexpect sessions: 2\nexpect opened: 3\n\
                expect sign-ins: 3\nexpect mode use-main-or-default\nexpect order: T1\nexpect no finding MC010\nexpect no findings\n";
    let events = lines(text);
    let expectation = |line: usize| {
        let step = events.iter().find(|event| event["line"] == line).unwrap_or_else(|| panic!("{line}"));
        (step["expectation"].clone(), step["did"].clone())
    };
    let result = |any_of: Value| json!({"what": "result", "any_of": any_of, "from": null, "session": null});
    let mut sent = result(json!([{"what": "because", "reason": "main"}, {"what": "because", "reason": "default"}]));
    (sent["from"], sent["session"]) = (json!("Sent"), json!(1));
    let k = json!([{"name": "k", "connection": "#1", "open": false}]);
    for (line, due) in [
        (1, Value::Null),
        (2, result(json!([{"what": "opened"}]))),
        (3, result(json!([{"what": "on", "name": "k"}]))),
        (4, sent),
        (5, json!({"what": "success"})),
        (7, result(json!([{"what": "refused", "rule": "D2"}]))),
        (8, result(json!([{"what": "fails", "kind": null}]))),
        (9, result(json!([{"what": "nothing"}]))),
        (10, result(json!([{"what": "panics"}]))),
        (11, json!({"what": "open", "client": "", "main": true, "independent": k, "defaults": 1})),
        (12, json!({"what": "sessions", "open": 2})),
        (13, json!({"what": "opened", "client": "", "sessions": 3})),
        (14, json!({"what": "sign-ins", "client": "", "tried": 3})),
        (15, json!({"what": "mode", "client": "", "mode": "use-main-or-default"})),
        (16, json!({"what": "order", "threads": ["T1"]})),
        (17, json!({"what": "finding", "id": "MC010", "there": false})),
        (18, json!({"what": "no-findings"})),
    ] {
        assert_eq!(expectation(line).0, due, "line {line}");
    }
    assert_eq!(expectation(12).1, json!([{"client": null, "what": "counted", "sessions": 2}]));
}
