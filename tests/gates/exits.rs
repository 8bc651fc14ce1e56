//! What a gate does to the exit code, and what is told of it: the same of a run, of its file and of a report.

use std::fs;
use std::net::TcpListener;

use serde_json::Value;

use crate::cli::process::{end, mailconn, run, run_against};
use crate::golden;
use crate::support::tool::doubts;

/// It always fails.
const FAILS: &str = "operations.issued>=0";

#[test]
fn a_failed_gate_is_exit_3_and_one_sentence_and_each_is_a_line_with_its_figure() {
    let args = ["run", "-t", "2", "-n", "10", "--mode", "use-default", "--progress", "never"];
    let gates = ["--fail-if", "connections.peak > 1", "--fail-if", "connection[main].operations > 0"];
    let ended = end(&mut mailconn(args.iter().chain(&gates)));
    assert_eq!((ended.code, &*ended.stderr), (3, ""), "{}", ended.stdout);
    let due = "gate FAILED: connections.peak is 2 (fails if > 1)\n\
               gate passed: connection[main].operations is 0 (fails if > 0)\n\
               exit 3: a gate failed: connections.peak is 2 (fails if > 1)\n";
    assert!(ended.stdout.ends_with(due), "{}", ended.stdout);

    let json = end(&mut mailconn(args.iter().chain(&gates).chain(&["--format", "json"])));
    let json_of: Value = serde_json::from_str(&json.stdout).unwrap();
    let due = serde_json::json!([
        {"gate": "connections.peak > 1", "value": 2, "unit": "count", "failed": true, "sentence": "connections.peak is 2 (fails if > 1)"},
        {"gate": "connection[main].operations > 0", "value": 0, "unit": "count", "failed": false, "sentence": "connection[main].operations is 0 (fails if > 0)"},
    ]);
    assert_eq!((json.code, &json_of["gates"], &json_of["exit_code"]), (3, &due, &Value::from(3)));
}

#[test]
fn the_file_of_a_run_names_its_gates_and_comes_to_the_same_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run.ndjson");
    let path = file.to_str().unwrap();
    let ended = run(&format!("-t 2 -n 10 --fail-if connections.peak>0 --fail-if elapsed>1h --format ndjson -o {path}"));
    let due = "mailconn: exit 3: a gate failed: connections.peak is 1 (fails if > 0)\n";
    assert_eq!((ended.code, &*ended.stderr), (3, due));
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(doubts(text.as_bytes()), [""; 0]);
    let end_of: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    assert_eq!(end_of["judged_by"]["gates"], serde_json::json!(["connections.peak>0", "elapsed>1h"]));
    assert_eq!((&end_of["gates"][0]["value"], &end_of["gates"][0]["failed"]), (&Value::from(1), &Value::from(true)));

    for lie in ["\"value\":1,", "\"failed\":true", "\"exit_code\":3"] {
        let lied = text.replacen(lie, &lie.replace(['1', '3'], "0").replace("true", "false"), 1);
        assert_ne!(lied, text);
        assert!(doubts(lied.as_bytes())[0].starts_with("run-end: "), "{lie}: {:?}", doubts(lied.as_bytes()));
    }

    let told = |command: &str, args: &[&str]| {
        let told = end(&mut mailconn([command, path].iter().chain(args)));
        (told.code, told.stdout)
    };
    let (code, text) = told("report", &[]);
    assert_eq!(code, 0, "told, whatever it came to");
    assert!(
        text.ends_with(
            "exit 3: a gate failed: connections.peak is 1 (fails if > 0) (the run's exit code; this report's is 0)\n"
        ),
        "{text}"
    );
    let (code, text) = told("verify", &[]);
    assert!(code == 0 && text.contains("gate FAILED: connections.peak is 1 (fails if > 0)\n"), "{text}");
    let by_these =
        "exit 3: the trace is sound, and by these flags a gate failed: connections.peak is 1 (fails if == 1)\n";
    let (code, text) = told("verify", &["--fail-if", "connections.peak==1"]);
    assert!(code == 3 && text.ends_with(by_these), "{text}");
    for (args, due) in [
        (&["--fail-on", "hazard"][..], 3),
        (&["--fail-if", "connections.peak>1"], 0),
        (&["--fail-if", "connections.peak>1", "--fail-if", "connections.peak==1"], 3),
    ] {
        for command in ["verify", "report"] {
            assert_eq!(told(command, args).0, due, "{command} {args:?}");
        }
    }
}

#[test]
fn the_lines_for_builds_in_the_manual_name_flags_that_there_are() {
    let section = include_str!("../../src/ci.md");
    assert!(include_str!("../../src/manual.rs").contains("include_str!(\"ci.md\")"));
    let help = ["run", "compare"].map(|command| end(&mut mailconn([command, "--help"])).stdout).concat();
    let flags = section.split(|c: char| c.is_whitespace() || "`,[]".contains(c)).filter(|word| word.starts_with("--"));
    let flags: Vec<&str> = flags.collect();
    assert!(flags.len() > 15, "{flags:?}");
    flags.iter().for_each(|flag| assert!(help.contains(&format!("{flag} ")), "{flag}"));
    let told = end(&mut mailconn(["explain", "ci"]));
    for name in ["GitHub", "gitlab", "Kubernetes"] {
        assert_eq!(end(&mut mailconn(["explain", name])).stdout, told.stdout);
        assert!(told.stdout.to_lowercase().contains(&format!("\n{}", name.to_lowercase())), "{name}");
    }
}

/// A gate on a metric that only a later version knows is believed; in a file of ours it fails.
#[test]
fn a_gate_of_a_later_version_is_believed() {
    let file = run("-t 2 -n 10 --fail-if connections.peak>1 --fail-if elapsed>1h --format ndjson").stdout;
    let ours = file.replace("connections.peak>1", "connections.colour>1");
    let newer = ours.replace("\"schema_version\":6", "\"schema_version\":7");
    assert_eq!(doubts(newer.as_bytes()), [""; 0]);
    assert!(
        doubts(ours.as_bytes()).iter().any(|doubt| doubt.starts_with("run-end: exit_code: ")),
        "{:?}",
        doubts(ours.as_bytes())
    );
}

/// Whoever wrote a file may have put anything into it.
#[test]
fn what_a_file_calls_a_gate_is_shown_safely() {
    let file = run("-t 2 -n 10 --fail-if connections.peak>1 --format ndjson").stdout;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("it");
    fs::write(&path, file.replace("connections.peak>1", "\\u001b[31m\\nred")).unwrap();
    for command in ["report", "verify"] {
        let told = end(&mut mailconn([command, path.to_str().unwrap()])).stdout;
        assert!(told.contains("gate FAILED: \\u{1b}[31m\\nred"), "{told}");
        assert!(!told.contains('\u{1b}'), "{told}");
    }
}

/// A code of the run's own comes before 3, whichever it is; and 2 before anything is judged.
#[test]
fn any_other_code_comes_before_that_of_a_gate() {
    let mut seen = std::collections::BTreeSet::new();
    for file in golden::stored() {
        let path = file.to_str().unwrap();
        let own = end(&mut mailconn(["report", path, "--fail-if", "elapsed < 0s"]));
        let with_gate = end(&mut mailconn(["report", path, "--fail-if", FAILS]));
        let due = if own.code == 0 { 3 } else { own.code };
        assert_eq!(with_gate.code, due, "{path}: {}", with_gate.stdout);
        if with_gate.code != 2 {
            assert!(with_gate.stdout.contains("gate FAILED: operations.issued is "), "{}", with_gate.stdout);
            let verified = end(&mut mailconn(["verify", path, "--fail-if", FAILS]));
            assert_eq!(verified.code, due, "{path}: {}", verified.stdout);
            // Who reads the last line alone, of either, is told of the gate too.
            for told in [&with_gate.stdout, &verified.stdout] {
                let last = told.trim_end().lines().last().unwrap();
                assert!(last.starts_with(&format!("exit {due}: ")), "{path}: {last}");
                assert!(last.contains("operations.issued is ") || path.contains("scenario"), "{path}: {last}");
            }
        }
        seen.insert(own.code);
    }
    assert!([0, 1, 4, 5, 6, 130].iter().all(|code| seen.contains(code)), "{seen:?}");

    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/use-main.ndjson");
    let broken = fs::read_to_string(stored).unwrap().replacen("\"reason\":\"main\"", "\"reason\":\"default\"", 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken");
    fs::write(&file, broken).unwrap();
    let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--fail-if", FAILS]));
    assert_eq!(told.code, 7, "{}", told.stdout);
    assert_eq!(run(&format!("--fail-if {FAILS} --threads 0")).code, 2);
}

#[test]
fn of_a_run_that_goes_wrong_the_gate_is_told_and_its_code_stays() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (ended, due) in [
        (run_against(nobody, &format!("--fail-if {FAILS}")), 4),
        (run(&format!("--mode use-default --sandbox-connections 2 --fail-if {FAILS}")), 6),
        (run(&format!("--mode use-default --fail-on advice -n 1 --fail-if {FAILS}")), 1),
        (run(&format!("--mode use-default --fail-on none -n 1 --fail-if {FAILS}")), 3),
    ] {
        assert_eq!(ended.code, due, "{}", ended.stdout);
        assert!(ended.stdout.contains("gate FAILED: operations.issued is "), "{}", ended.stdout);
        let last = ended.stdout.lines().last().unwrap();
        assert!(last.contains("a gate failed: operations.issued is ") && last.ends_with("(fails if >= 0)"), "{last}");
    }
}

#[test]
fn a_scenario_has_the_gates_of_each_of_its_clients() {
    let args = ["scenario", "c5-two-clients-on-one-thread", "--fail-if", "connections.opened > 1"];
    let ended = end(&mut mailconn(args));
    assert!(ended.stdout.contains("gate FAILED: connections.opened is "), "{}", ended.stdout);
    assert!(ended.stdout.contains("\nexit 3: ") && ended.code == 3, "{}", ended.stdout);
    let file = end(&mut mailconn(args.iter().chain(&["--format", "ndjson"])));
    assert_eq!((file.code, doubts(file.stdout.as_bytes())), (3, vec![]));
    let last = ended.stdout.trim_end().lines().last().unwrap();
    assert!(last.contains("a gate failed: B: connections.opened is "), "{last}");
    let names = ["pool-hazard", "c5-two-clients-on-one-thread"];
    let held = end(&mut mailconn(["scenario", "--fail-if", "connections.opened > 99"].iter().chain(&names)));
    assert_eq!(held.code, 0, "{}", held.stdout);
}

#[test]
fn a_gate_on_what_was_not_measured_fails_and_says_why() {
    let stored = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    for (gate, due) in [
        ("service.p99 < 0s", "n too small: p99 needs 100, and there were 15"),
        ("service.p99.9 < 0s", "n too small: p99.9 needs 1000, and there were 15"),
        ("worker[w1].service.p90 < 0s", "n too small: p90 needs 10, and there were 5"),
        ("operation[append].service.p50 < 0s", "the run had no operation append"),
        ("worker[w77].operations.ok < 0", "the run had no worker w77"),
        ("connection[#7].operations > 0", "the run had no connection #7"),
        ("held_up < 0s", "it was not measured in this run"),
        ("session[#0].failed_after < 0s", "it was not measured in this run"),
    ] {
        let told = end(&mut mailconn(["report", &stored("use-main"), "--fail-if", gate]));
        assert_eq!(told.code, 3, "{gate}: {}", told.stdout);
        let line = told.stdout.lines().find(|line| line.starts_with("gate ")).unwrap();
        let (name, condition) = gate.split_once(' ').unwrap();
        assert_eq!(line, format!("gate FAILED: {name}: {due} (fails if {condition})"));
    }
    // What was not met is counted, and so is the use of main.
    for gate in ["findings[mc020].count > 0", "failures[limit-rate].count > 0", "worker[w0].reasons[explicit] > 0"] {
        let told = end(&mut mailconn(["report", &stored("use-main"), "--fail-if", gate]));
        assert!(told.code == 0 && told.stdout.contains(" is 0 (fails if > 0)\n"), "{gate}: {}", told.stdout);
    }
}

/// Where the report goes into a file, or is for a program, a person is told on stderr what failed, in one line.
#[test]
fn the_reason_of_a_code_is_said_to_a_person_wherever_the_report_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("it");
    let into = format!("-o {}", file.display());
    let fails = format!("--fail-if {FAILS}");
    for (args, code, due) in [
        (format!("-n 2 {fails} --format json"), 3, "exit 3: a gate failed: operations.issued is 8 (fails if >= 0)"),
        (format!("-n 2 {fails} --format ndjson"), 3, "exit 3: a gate failed: operations.issued is 8 (fails if >= 0)"),
        (format!("-n 2 {fails} {into}"), 3, "exit 3: a gate failed: operations.issued is 8 (fails if >= 0)"),
        (
            "--mode use-default --sandbox-connections 2 --format json".to_owned(),
            6,
            "exit 6: refused by a connection limit",
        ),
        ("-n 2 --format json".to_owned(), 0, ""),
    ] {
        let ended = run(&args);
        assert_eq!(ended.code, code, "{args}: {}", ended.stderr);
        let due = if due.is_empty() { String::new() } else { format!("mailconn: {due}\n") };
        assert_eq!(ended.stderr, due, "{args}");
    }
    let shown = run(&format!("-n 2 {fails}"));
    assert_eq!((shown.code, &*shown.stderr), (3, ""), "it is in the report");

    let stored = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/use-main.ndjson");
    for format in ["json", "ndjson"] {
        let told = end(&mut mailconn(["report", stored, "--format", format, "--fail-if", FAILS]));
        let due = "mailconn: exit 3: a gate failed: operations.issued is 15 (fails if >= 0)\n";
        assert_eq!((told.code, &*told.stderr), (3, due));
        let told = end(&mut mailconn(["report", stored, "--format", format]));
        assert_eq!((told.code, &*told.stderr), (0, ""));
    }
    let args = ["scenario", "pool-hazard", "--format", "ndjson", "--fail-if", FAILS];
    let told = end(&mut mailconn(args));
    assert!(told.stderr.starts_with("mailconn: scenario pool-hazard: exit 3: "), "{}", told.stderr);
    assert_eq!((told.code, told.stderr.lines().count()), (3, 1));
}

/// What nobody could see is no 0.
#[test]
fn a_gate_on_what_could_not_be_seen_fails() {
    let stored = |name: &str| format!("{}/tests/golden/{name}.ndjson", env!("CARGO_MANIFEST_DIR"));
    let text = fs::read_to_string(stored("use-main")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real");
    let lines = text.replace("\"witnessed\":true", "\"witnessed\":false");
    let lines = lines.lines().filter(|line| !line.contains("\"event\":\"witness"));
    fs::write(&real, lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    for (gate, here) in [
        ("findings[MC002].count > 0", 0),
        ("verdict.witness.checked < 1", 0),
        ("verdict.witness.not_compared > 0", 0),
        ("findings[MC001].count > 0", 0),
    ] {
        let told = end(&mut mailconn(["report", &stored("use-main"), "--fail-if", gate]));
        assert_eq!(told.code, here, "{gate}: {}", told.stdout);
        let told = end(&mut mailconn(["report", real.to_str().unwrap(), "--fail-if", gate]));
        let due = "there was no record of the server's own to compare with (fails if ";
        assert_eq!(told.stdout.contains(due), !gate.contains("MC001"), "{gate}: {}", told.stdout);
    }
}

#[test]
fn a_scenario_without_a_client_passes_no_gate() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.txt");
    fs::write(&file, "# nobody\n").unwrap();
    let path = file.to_str().unwrap();
    let plain = end(&mut mailconn(["scenario", path]));
    if plain.code == 2 {
        return;
    }
    let ended = end(&mut mailconn(["scenario", path, "--fail-if", FAILS]));
    assert_eq!(ended.code, 3, "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stdout.contains("its gates failed: it has no client to measure"), "{}", ended.stdout);
}
