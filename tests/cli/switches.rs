//! `--switch-mode`: the mode changes in the course of a run, and the report splits there.

use serde_json::Value;

use super::process::{is_sound, list, mailconn, number, of_kind, run, start};

/// Mode and operations of each section.
fn sections(report: &Value) -> Vec<(&str, u64)> {
    let sections = list(&report["sections"]).iter();
    sections.map(|it| (it["mode"].as_str().unwrap(), number(&it["operations"]["issued"]))).collect()
}

#[test]
fn m1_the_mode_is_set_when_that_many_operations_were_issued() {
    let args = "--mode use-default --threads 8 -n 100 --switch-mode 500=use-main --switch-mode 700=use-main-or-default";
    let ended = run(&format!("{args} --format json"));
    let report = ended.json();
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{report:#}");
    assert_eq!(sections(&report), [("use-default", 500), ("use-main", 200), ("use-main-or-default", 100)]);
    let [first, second, third] = list(&report["sections"]) else { panic!("{report:#}") };
    let created = number(&first["reasons"]["default-created"]);
    // With a hundred for each, five workers at least had a turn by then.
    assert!((5..=8).contains(&created), "{first}");
    assert_eq!(first["connections"].as_object().unwrap().len() as u64, created);
    let main = (serde_json::json!({"main": 200}), serde_json::json!({"#0": 200}));
    assert_eq!((&second["reasons"], &second["connections"]), (&main.0, &main.1));
    // M2: what use-default created is there still, and serves use-main-or-default.
    assert!(number(&third["reasons"]["default"]) > 0, "{third}");
    assert_eq!(number(&report["connections"]["opened"]), created + 1, "the switch to use-main closed nothing");
}

#[test]
fn a_run_without_a_switch_is_one_section() {
    let report = run("--threads 2 -n 3 --format json").json();
    assert_eq!(sections(&report), [("use-main-or-default", 6)]);
    assert!(!run("--threads 2 -n 3").stdout.contains("after"), "and the table has nothing to split");
}

#[test]
fn the_switches_are_in_the_record_and_in_the_ndjson() {
    let ended = run("--mode use-main --threads 3 -n 10 --switch-mode 9=use-default --format ndjson");
    let events = ended.events();
    assert_eq!(ended.code, 0);
    assert_eq!(events[0]["switches"], serde_json::json!([{"after": 9, "mode": "use-default"}]));
    let changed: Vec<_> = of_kind(&events, "mode-changed").map(|it| (&it["from"], &it["to"])).collect();
    assert_eq!(changed, [(&"use-main".into(), &"use-default".into())]);
    assert_eq!(of_kind(&events, "operation").filter(|it| it["mode"] == "use-main").count(), 9);
    assert_eq!(sections(events.last().unwrap()), [("use-main", 9), ("use-default", 21)]);
}

#[test]
fn the_table_has_a_row_for_each_mode() {
    let ended =
        run("--mode use-main --threads 1 -n 100 --ops noop --switch-mode 40=use-default --switch-mode 60=use-main");
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let words = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "use-main, use-default after 40, use-main after 60, 1 thread",
        "after mode ops failed on reasons",
        "0 use-main 40 0 main main 40",
        "40 use-default 20 0 1 default default 19, default-created 1",
        "60 use-main 40 0 main main 40",
    ] {
        assert!(words.contains(expected), "{expected}: {}", ended.stdout);
    }
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
}

#[test]
fn a_switch_that_cannot_be_is_one_clear_line() {
    for (args, said) in [
        ("--switch-mode use-main", "write N=MODE, like 500=use-main"),
        ("--switch-mode 0=use-main", "at least 1; --mode sets the first mode"),
        ("--switch-mode x=use-main", "N is a number of operations"),
        ("--switch-mode 5=main", "the modes are use-main, use-default, use-main-or-default"),
        ("--switch-mode 9=use-main --switch-mode 9=use-default", "in ascending order, each number once"),
        ("--switch-mode 9=use-main --switch-mode 5=use-default", "in ascending order, each number once"),
        ("--threads 2 -n 5 --switch-mode 10=use-main", "the run issues 10 operation(s), so none would follow"),
        (
            "--executor pool --default-for all --switch-mode 10=use-main",
            "tasks that begin after it could not create theirs",
        ),
    ] {
        let ended = start(&mut mailconn(["run"].into_iter().chain(args.split_whitespace()))).end();
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{args}: {}", ended.stderr);
    }
}

#[test]
fn a_run_of_hundreds_of_switches_writes_a_file_that_holds() {
    let switch =
        |at: usize| format!("--switch-mode {at}={} ", if at.is_multiple_of(2) { "use-main" } else { "use-default" });
    let switches: String = (1..=700).map(switch).collect();
    let ended = run(&format!("--mode use-main --threads 2 -n 400 --ops noop {switches} --format ndjson"));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.lines().skip(1).all(|line| line.len() <= 1 << 16), "no event grows with the run");
    is_sound(&ended.stdout);
    let end: Value = serde_json::from_str(ended.stdout.lines().last().unwrap()).unwrap();
    let told = list(&end["sections"]).len() as u64 + number(&end["other_sections"]);
    assert_eq!(told, 701, "the others are counted");
}
