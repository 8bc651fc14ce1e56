//! `mailconn report`: a stored run or scenario, told again.

use std::fs::{read_to_string, write};

use serde_json::{Value, json};

use super::process::{Ended, end, mailconn, run, shell};
use crate::support::tool;
use crate::verify::traces::{RUNS, file_of};

fn report(file: &str, args: &[&str]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("run.ndjson");
    write(&path, file).unwrap();
    end(&mut mailconn(["report", path.to_str().unwrap()].iter().chain(args)))
}

/// All that stands in `part` stands in `whole`, with the same value.
#[track_caller]
fn is_part(part: &Value, whole: &Value, at: &str) {
    match part {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| is_part(value, &whole[name], name)),
        Value::Array(values) => {
            assert_eq!(Some(values.len()), whole.as_array().map(Vec::len), "{at}");
            values.iter().enumerate().for_each(|(nth, value)| is_part(value, &whole[nth], at));
        }
        // A percentile of too few is null in the document.
        Value::Number(_) if at == "p99" && whole.is_null() => {}
        value => assert_eq!(value, whole, "{at}"),
    }
}

#[test]
fn a_run_of_every_kind_is_told_again_with_the_figures_it_ended_with() {
    for args in RUNS {
        let file = &file_of(args);
        let told = report(file, &["--format", "json"]);
        assert_eq!((told.code, &*told.stderr), (0, ""), "{args}");
        assert_eq!(told.stdout, tool::report(file.as_bytes()), "{args}");
        let json: Value = serde_json::from_str(&told.stdout).unwrap();
        let mut claims: Value = serde_json::from_str(file.lines().last().unwrap()).unwrap();
        for envelope in ["seq", "event", "at_us", "time"] {
            claims.as_object_mut().unwrap().remove(envelope);
        }
        claims["fail_on"] = claims["judged_by"]["fail_on"].take();
        claims.as_object_mut().unwrap().remove("judged_by");
        is_part(&claims, &json, args);
        let start: Value = serde_json::from_str(file.lines().next().unwrap()).unwrap();
        for name in ["run_id", "tool_version", "started", "server", "mode", "mix", "seed"] {
            assert_eq!(json[name], start[name], "{args}");
        }
        let table = report(file, &[]);
        assert_eq!((table.code, &*table.stderr), (0, ""), "{args}");
        let whose = " (the run's exit code; this report's is 0)\n";
        let as_told = table.stdout.strip_suffix(whose).map_or(table.stdout.clone(), |told| format!("{told}\n"));
        assert_eq!(as_told, tool::told(file.as_bytes(), false, Some(20)), "{args}");
        assert_eq!(as_told != table.stdout, json["exit_code"] != 0, "{args}");
        assert!(table.stdout.contains(&format!("\nexit {}: ", json["exit_code"])), "{}", table.stdout);
    }
}

#[test]
fn a_scenario_is_told_again_word_for_word() {
    for args in
        [["pool-hazard", "c5-two-clients-on-one-thread"], ["d6-another-accounts-mail-is-not-read", "pool-hazard"]]
    {
        let directory = tempfile::tempdir().unwrap();
        let text = directory.path().join("told.txt");
        let files = ["-o", "-", "--format", "ndjson", "-o", text.to_str().unwrap()];
        let lines = end(&mut mailconn(["scenario"].iter().chain(&files).chain(&args)));
        let told = report(&lines.stdout, &[]);
        assert_eq!((told.code, &*told.stderr), (0, ""));
        assert_eq!(told.stdout, std::fs::read_to_string(text).unwrap());
        let json: Value = serde_json::from_str(&report(&lines.stdout, &["--format", "json"]).stdout).unwrap();
        let names = [&json["scenarios"][0]["name"], &json["scenarios"][1]["name"]];
        assert_eq!(names, [args[0], args[1]]);
        let steps = lines.stdout.lines().filter(|line| line.contains("\"event\":\"step\"")).count();
        let done = |at: usize| json["scenarios"][at]["done"].as_array().unwrap().len();
        assert_eq!(done(0) + done(1), steps);
    }
}

#[test]
fn the_stream_is_told_again_as_it_is() {
    let run = file_of("-n 3 -t 2");
    let scenarios =
        end(&mut mailconn(["scenario", "pool-hazard", "c5-two-clients-on-one-thread", "--format", "ndjson"]));
    for file in [run, scenarios.stdout] {
        let told = report(&file, &["--format", "ndjson"]);
        assert_eq!((told.code, &*told.stderr), (0, ""));
        assert_eq!(told.stdout, file);
    }
}

#[test]
fn several_files_are_told_in_their_order_and_are_one_document() {
    let directory = tempfile::tempdir().unwrap();
    let [one, two] = ["one", "two"].map(|name| directory.path().join(name).to_str().unwrap().to_owned());
    write(&one, file_of("-n 3 -t 2")).unwrap();
    write(&two, end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout).unwrap();
    let told = |files: &[&str], args: &[&str]| end(&mut mailconn(["report"].iter().chain(files).chain(args))).stdout;
    let (run, scenario) = (told(&[&one], &[]), told(&[&two], &[]));
    assert_eq!(told(&[&one, &one, &two, &one], &[]), format!("{run}\n{run}{scenario}{run}"));
    let json = ["--format", "json"];
    let document = |files: &[&str]| -> Value { serde_json::from_str(&told(files, &json)).unwrap() };
    let (run, scenario) = (document(&[&one]), document(&[&two])["scenarios"][0].take());
    assert_eq!(document(&[&one, &two]), json!({"reports": [run, scenario]}));
    assert_eq!(document(&[&two, &two]), json!({"scenarios": [scenario, scenario]}));
}

#[test]
fn a_scenario_takes_every_format_and_several_are_one_document() {
    let names = ["pool-hazard", "c5-two-clients-on-one-thread"];
    let told = end(&mut mailconn(["scenario"].iter().chain(&names).chain(&["--format", "json"])));
    assert_eq!((told.code, &*told.stderr), (0, ""));
    let mut performed: Value = serde_json::from_str(&told.stdout).unwrap();
    let lines = end(&mut mailconn(["scenario"].iter().chain(&names).chain(&["--format", "ndjson"]))).stdout;
    let mut stored: Value = serde_json::from_str(&report(&lines, &["--format", "json"]).stdout).unwrap();
    assert_eq!(performed["scenarios"].as_array().unwrap().len(), 2);
    for (at, name) in names.iter().enumerate() {
        let [one, other] = [&mut performed, &mut stored].map(|document| document["scenarios"][at].take());
        assert_eq!((&one["name"], &one["exit_code"]), (&json!(name), &json!(0)));
        let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            (names(&one), one["done"].as_array().map(Vec::len)),
            (names(&other), other["done"].as_array().map(Vec::len))
        );
    }
    let table = end(&mut mailconn(["scenario", names[0], "--format", "table"]));
    assert!(table.code == 0 && table.stdout.starts_with("scenario pool-hazard on sandbox"), "{}", table.stdout);
}

#[test]
fn a_command_says_which_formats_it_takes_and_refuses_the_others() {
    const ALL: &str = "table, json, ndjson, html, markdown, csv, junit, github, trace-events";
    for (command, takes) in [
        (&["check"][..], "text, json"),
        (&["verify", "-"], "text, json"),
        (&["sandbox"], "text, json"),
        (&["scenario", "pool-hazard"], ALL),
        (&["report", "-"], ALL),
        (&["run"], ALL),
    ] {
        let help = end(&mut mailconn([command[0], "-h"])).stdout;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(help.contains(&format!("[possible values: {takes}]")), "{help}");
        let refused = if takes.contains("ndjson") { "xml" } else { "ndjson" };
        let ended = end(&mut mailconn(command.iter().chain(&["--format", refused])));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        let said = format!("invalid value '{refused}' for '--format <FORMAT>' [possible values: {takes}]");
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }
}

#[test]
fn a_stored_run_can_be_judged_by_another_policy_and_exits_as_it_would() {
    let hazard = file_of("--executor pool --mode use-default -t 2 --tasks 8 -n 2");
    assert!(hazard.contains("MC010"), "{hazard}");
    let limit = file_of("--mode use-default -t 4 -n 2 --sandbox-connections 2");
    for (file, policy, code) in [
        (&hazard, &[][..], 0),
        (&hazard, &["--fail-on", "hazard"], 1),
        (&hazard, &["--fail-on", "none"], 0),
        (&hazard, &["--fail-on", "leak,fault"], 0),
        (&limit, &[], 0),
        (&limit, &["--fail-on", "none"], 6),
    ] {
        let told = report(file, &[&["--format", "json"], policy].concat());
        // Judged anew, a report for programs says to people why.
        let said = told.stderr.strip_prefix("mailconn: ").unwrap_or_default();
        assert!(said.starts_with(&format!("exit {code}: ")) == (code != 0), "{policy:?}: {}", told.stderr);
        assert_eq!((told.code, told.stderr.lines().count()), (code, usize::from(code != 0)), "{policy:?}");
        let json: Value = serde_json::from_str(&told.stdout).unwrap();
        if !policy.is_empty() {
            assert_eq!(json["exit_code"], code);
        }
    }
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    for (policy, code) in [("none", 0), ("advice", 1)] {
        assert_eq!(report(&scenario, &["--fail-on", policy]).code, code, "{policy}");
    }
}

#[test]
fn each_lists_every_operation_and_a_file_is_written_where_it_is_asked_for() {
    let file = run("-n 3 -t 2 --format ndjson").stdout;
    let short = report(&file, &[]).stdout;
    let each = report(&file, &["--each"]).stdout;
    assert!(each.lines().count() >= short.lines().count() + 6, "{each}");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("report.txt");
    let told = report(&file, &["-o", path.to_str().unwrap()]);
    assert_eq!((told.code, &*told.stdout, &*told.stderr), (0, "", ""));
    assert_eq!(read_to_string(path).unwrap(), short);
}

#[test]
fn a_file_that_was_cut_is_told_as_far_as_it_goes_and_said_to_be_cut() {
    let file = run("-n 3 -t 2 --format ndjson").stdout;
    let cut: String = file.lines().take(5).map(|line| format!("{line}\n")).collect();
    let told = report(&cut, &[]);
    assert_eq!(told.code, 0);
    assert_eq!(
        told.stderr,
        "mailconn: the file is not whole, or parts of it are not understood: mailconn verify says which\n"
    );
    assert!(told.stdout.contains("sandbox, "), "{}", told.stdout);
    // What it was to be judged by stands in the line that is missing.
    let json: Value = serde_json::from_str(&report(&cut, &["--format", "json"]).stdout).unwrap();
    assert_eq!(json["fail_on"], json!(["hazard", "leak", "fault"]));
    // What it came to is not known, and no gate opens for it.
    assert!(json["exit_code"].is_null() && !told.stdout.contains("\nexit "), "{}", told.stdout);
    assert!(told.stdout.ends_with("so what it came to is not known\n"), "{}", told.stdout);
    let judged = report(&cut, &["--fail-on", "none"]);
    assert_eq!(judged.code, 2);
    assert!(judged.stderr.contains("is not whole, so --fail-on cannot pass it"), "{}", judged.stderr);

    let file = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    let cut: String = file.lines().take(12).map(|line| format!("{line}\n")).collect();
    let told = report(&cut, &[]);
    assert!(told.stdout.ends_with("so what it came to is not known\n\n"), "{}", told.stdout);
    assert_eq!(report(&cut, &["--fail-on", "none"]).code, 2);
}

#[test]
fn a_report_does_not_replace_what_it_tells() {
    let folder = tempfile::tempdir().unwrap();
    let file = run("-n 1 -t 1 --format ndjson").stdout;
    std::fs::write(folder.path().join("run.ndjson"), &file).unwrap();
    std::os::unix::fs::symlink("run.ndjson", folder.path().join("link")).unwrap();
    for output in ["run.ndjson", "./run.ndjson", "link"] {
        let told = end(mailconn(["report", "run.ndjson", "-o", output]).current_dir(folder.path()));
        assert!(told.code == 2 && told.stderr.contains("would replace run.ndjson"), "{}", told.stderr);
    }
    assert_eq!(std::fs::read_to_string(folder.path().join("run.ndjson")).unwrap(), file);
}

#[test]
fn what_cannot_be_told_is_said_in_one_line() {
    let file = run("-n 1 -t 1 --format ndjson").stdout;
    let scenario = end(&mut mailconn(["scenario", "pool-hazard", "--format", "ndjson"])).stdout;
    for (file, args, said) in [
        ("", &[][..], "cannot be read: it is empty"),
        ("nonsense\n", &[], "cannot be read: it does not begin with a run-start line"),
        (&*file, &["--each", "--format", "json"], "--each is about the table"),
        (&*scenario, &["--each"], "--each is about runs"),
        (&*file, &["-o", "/nowhere/report"], "there is no directory /nowhere"),
    ] {
        let told = report(file, args);
        assert_eq!((told.code, &*told.stdout), (2, ""), "{}", told.stderr);
        assert!(told.stderr.contains(said) && told.stderr.lines().count() == 1, "{}", told.stderr);
    }
    let missing = end(&mut mailconn(["report", "/nowhere/run.ndjson"]));
    assert!(missing.code == 2 && missing.stderr.starts_with("mailconn: cannot read /nowhere/run.ndjson"));
}

#[test]
fn what_is_not_whole_passes_no_gate_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = run("-n 3 -t 2 --ops noop --format ndjson").stdout;
    let told = |text: &str, args: &[&str]| {
        std::fs::write(folder.path().join("it"), text).unwrap();
        end(mailconn(["report", "it"].iter().chain(args)).current_dir(folder.path()))
    };
    let without: String =
        file.lines().enumerate().filter(|(at, _)| *at != 5).map(|(_, line)| format!("{line}\n")).collect();
    for (what, text) in [
        ("two runs in one file", format!("{file}{file}")),
        ("a line is missing", without),
        ("a line is no event", file.replacen("{\"seq\":4,", "{\"seq\":4 ", 1)),
    ] {
        let passed = told(&text, &["--fail-on", "hazard"]);
        // What it says of itself may be worse.
        assert!([2, 7].contains(&passed.code), "{what}: {}", passed.stdout);
        assert!(passed.stderr.contains("is not whole"), "{what}: {}", passed.stderr);
        assert_eq!(told(&text, &[]).code, 0, "{what}");
    }
    assert_eq!(told(&file, &["--fail-on", "hazard"]).code, 0);
}

#[test]
fn nothing_is_written_of_several_files_that_cannot_all_be_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = run("-n 1 -t 1 --format ndjson").stdout;
    for name in ["one", "other"] {
        std::fs::write(folder.path().join(name), &file).unwrap();
    }
    for (args, said) in [
        ("one missing -o it", "cannot read missing"),
        ("one . -o it", "cannot read ."),
        ("one other --format ndjson -o it", "--format ndjson tells one FILE again"),
    ] {
        let told = end(mailconn(["report"].into_iter().chain(args.split(' '))).current_dir(folder.path()));
        assert_eq!((told.code, &*told.stdout, told.stderr.lines().count()), (2, "", 1), "{args}: {}", told.stderr);
        assert!(told.stderr.contains(said), "{args}: {}", told.stderr);
        assert!(!folder.path().join("it").exists(), "{args}");
    }
    // What is read from standard input is not replaced either.
    let mut shell = shell("exec {} report - -o one < one");
    let told = end(shell.current_dir(folder.path()));
    assert!(told.code == 2 && told.stderr.contains("would replace -"), "{}", told.stderr);
    assert_eq!(std::fs::read_to_string(folder.path().join("one")).unwrap(), file);
}

#[test]
fn a_file_that_is_no_stream_is_told_what_it_is() {
    let json = run("-n 1 -t 1 --format json").stdout;
    let lines = run("-n 1 -t 1 --format ndjson").stdout;
    let folder = tempfile::tempdir().unwrap();
    for (bytes, said) in [
        (json.into_bytes(), "it is a JSON document of many lines, as --format json writes"),
        (format!("\u{feff}{lines}").into_bytes(), "a byte order mark stands before it"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03".to_vec(), "it is compressed"),
        (b"\n".to_vec(), "the line is empty"),
        (format!("12:00 {lines}").into_bytes(), "the line is no JSON object"),
        (b"{\"seq\":0,\n".to_vec(), "EOF while parsing a value at column 9"),
    ] {
        write(folder.path().join("it"), &bytes).unwrap();
        for command in ["report", "verify"] {
            let told = end(mailconn([command, "it"]).current_dir(folder.path()));
            assert_eq!((told.code, &*told.stdout, told.stderr.lines().count()), (2, "", 1), "{said}: {}", told.stderr);
            assert!(told.stderr.contains(said), "{said}: {}", told.stderr);
        }
    }
    write(folder.path().join("it"), format!("{lines}\n")).unwrap();
    let told = end(mailconn(["verify", "it"]).current_dir(folder.path()));
    assert!(told.code == 7 && told.stdout.contains("no event: the line is empty"), "{}", told.stdout);
}
