//! Several reports at once, each in the form of its ending.

use std::os::unix::fs::symlink;

use serde_json::Value;
use tempfile::tempdir;

use super::{within, written};
use crate::cli::process::events;

const FILES: &str =
    "-o told.txt -o told.json -o told.ndjson -o told.html -o told.md -o told.csv -o told.xml --trace-events told.trace";

#[test]
fn each_file_is_in_the_form_of_its_ending() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -n 2 --progress never -o first.ndjson");
    for (command, subject) in [
        (format!("run -n 2 --progress never {FILES}"), "run-start"),
        (format!("scenario pool-hazard {FILES}"), "scenario-start"),
        (format!("report first.ndjson {FILES}"), "run-start"),
    ] {
        let ended = within(here, &command);
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""), "{command}");
        assert!(written(here, "told.txt").contains("exit 0: "), "{command}");
        assert!(serde_json::from_str::<Value>(&written(here, "told.json")).unwrap().is_object(), "{command}");
        let stream = written(here, "told.ndjson");
        let first: Value = serde_json::from_str(stream.lines().next().unwrap()).unwrap();
        assert_eq!(first["event"], subject, "{command}");
        assert!(written(here, "told.html").starts_with("<!DOCTYPE html>"), "{command}");
        assert!(written(here, "told.md").starts_with("### "), "{command}");
        assert!(written(here, "told.csv").starts_with("report,kind,section,"), "{command}");
        assert!(written(here, "told.xml").starts_with("<?xml "), "{command}");
        assert!(serde_json::from_str::<Value>(&written(here, "told.trace")).unwrap().is_array(), "{command}");
    }
}

#[test]
fn a_probe_is_told_in_several_forms() {
    let directory = tempdir().unwrap();
    let ended = within(
        directory.path(),
        "limits --sandbox-connections 2 --hold 1s --progress never -o - -o told.html -o told.json -o told.md -o told.csv -o told.xml",
    );
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert!(ended.stdout.contains("What to set"), "{}", ended.stdout);
    assert!(written(directory.path(), "told.html").contains("What to set"));
    assert!(written(directory.path(), "told.json").contains("\"to_set\""));
    assert!(written(directory.path(), "told.md").contains("\n- In a program, use-main: any number of threads"));
    assert!(written(directory.path(), "told.csv").contains("1,limits,limits,,,,,given,2,\n"));
    assert!(written(directory.path(), "told.xml").contains("name=\"how many connections there are\""));
}

#[test]
fn one_of_them_can_be_standard_output() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let ended = within(here, "run -n 2 --progress never -o told.json -o -");
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert!(ended.stdout.ends_with("exit 0: all held\n"), "{}", ended.stdout);
    drop(written(here, "told.json"));
    let ended = within(here, "run -n 2 --progress never --format ndjson -o told.html -o -");
    assert_eq!(events(&ended.stdout)[0]["event"], "run-start");
    assert!(written(here, "told.html").starts_with("<!DOCTYPE html>"));
    let ended = within(here, "run -n 2 --progress never --trace-events told.trace");
    assert!(ended.stdout.ends_with("exit 0: all held\n"), "the table is still for people: {}", ended.stdout);
}

#[test]
fn one_file_is_in_the_form_that_is_named_whatever_its_ending() {
    let directory = tempdir().unwrap();
    let ended = within(directory.path(), "run -n 2 --progress never --format ndjson -o told.json");
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert_eq!(events(&written(directory.path(), "told.json"))[0]["event"], "run-start");
}

#[test]
fn what_cannot_be_written_is_said_before_anything_is_dialled() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    symlink(".", here.join("here")).unwrap();
    symlink("told.json", here.join("link.json")).unwrap();
    for (args, said) in [
        (
            "-o told.pdf",
            "told.pdf: its ending names no form of the report; end it in one of .txt .json .ndjson .html .md .csv .xml",
        ),
        ("-o told.json -o told.pdf", "told.pdf: its ending"),
        ("-o told.json -o told.json", "told.json is named twice"),
        ("-o told.json --trace-events told.json", "told.json is named twice"),
        ("-o told.json -o ./told.json", "told.json is named twice"),
        ("-o told.ndjson --trace-events ./told.ndjson", "told.ndjson is named twice"),
        ("-o told.json -o here/told.json", "told.json is named twice"),
        ("-o told.json -o HERE/told.json", "told.json is named twice"),
        ("-o here/here/told.json -o HERE/here/told.json", "told.json is named twice"),
        ("-o link.json -o told.json", "link.json is named twice"),
        ("-o /dev/stdout -o -", "standard output can have one report"),
        ("-o - -o /dev/fd/1", "standard output can have one report"),
        ("-o /dev/null -o /dev/null", "/dev/null is named twice"),
        ("-o - -o -", "standard output can have one report"),
        ("-o - --trace-events -", "standard output can have one report"),
        ("-o told.json -o missing/told.html", "there is no directory missing"),
        ("-o told.html --each", "--each lists operations above the table"),
    ] {
        let args = args.replace("HERE", here.to_str().unwrap());
        let ended = within(here, &format!("run -n 1 --progress never {args}"));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(said) && ended.stderr.lines().count() == 1, "{args}: {}", ended.stderr);
        assert_eq!(std::fs::read_dir(here).unwrap().count(), 2, "{args}");
    }
}

#[test]
fn a_report_replaces_no_file_that_is_to_be_told() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -n 2 --progress never -o run.ndjson");
    for args in ["-o told.json -o run.ndjson", "-o told.json --trace-events run.ndjson"] {
        let ended = within(here, &format!("report run.ndjson {args}"));
        assert_eq!(ended.code, 2, "{args}");
        assert!(ended.stderr.contains("-o would replace run.ndjson"), "{args}: {}", ended.stderr);
    }
}

#[test]
fn a_report_replaces_no_scenario_that_is_to_be_performed() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    std::fs::write(here.join("mine.txt"), "client use-main\nT1 noop\n").unwrap();
    let ended = within(here, "scenario mine.txt -o ./mine.txt");
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("-o would replace mine.txt, which is to be performed"), "{}", ended.stderr);
    assert!(written(here, "mine.txt").starts_with("client"));
}

#[test]
fn an_error_of_writing_names_the_file() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    within(here, "run -n 1 --progress never -o run.ndjson");
    for command in ["run -n 1 --progress never", "scenario pool-hazard", "report run.ndjson"] {
        for files in
            ["-o told.html -o /dev/full --format table", "-o /dev/full --format ndjson", "--trace-events /dev/full"]
        {
            let ended = within(here, &format!("{command} {files}"));
            let said = "mailconn: writing the report to /dev/full: No space left on device (os error 28)\n";
            assert_eq!((ended.code, &*ended.stderr), (2, said), "{command} {files}");
        }
    }
}
