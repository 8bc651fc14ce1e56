//! JUnit's XML: valid by Jenkins' schema, red exactly where the exit code is not 0, and free of what XML forbids.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use serde_json::Value;
use tempfile::tempdir;

use super::{HOSTILE, golden, told, told_of_hostile, within, written};
use crate::cli::process::{end, mailconn};
use crate::golden::stored;

/// junit-10.xsd of Jenkins' xunit plugin (MIT; its licence stands in it).
fn schema() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats/junit-10.xsd")
}

fn is_valid(files: &[PathBuf]) {
    let mut xmllint = Command::new("xmllint");
    let ended = xmllint.args(["--noout", "--nonet", "--schema"]).arg(schema()).args(files).output();
    let ended = ended.expect("xmllint: scripts/servers install installs it");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
}

fn read(xml: &str) -> Report {
    Report::deserialize_from_str(xml).unwrap_or_else(|error| panic!("{error}: {xml}"))
}

fn cases(of: &Report) -> impl Iterator<Item = &TestCase> {
    of.test_suites.iter().flat_map(|suite| &suite.test_cases)
}

fn is_red(case: &TestCase) -> bool {
    matches!(case.status, TestCaseStatus::NonSuccess { .. })
}

fn case<'a>(of: &'a Report, name: &str) -> &'a TestCase {
    let found = cases(of).find(|it| it.name.as_str().starts_with(name));
    found.unwrap_or_else(|| panic!("{name}: {:?}", cases(of).map(|it| it.name.as_str()).collect::<Vec<_>>()))
}

/// What it says, whether it went well or not.
fn said(case: &TestCase) -> String {
    let message = match &case.status {
        TestCaseStatus::NonSuccess { message, .. } | TestCaseStatus::Skipped { message, .. } => message.as_ref(),
        TestCaseStatus::Success { .. } => None,
    };
    message.or(case.system_out.as_ref()).map(|it| it.as_str().to_owned()).unwrap_or_default()
}

#[test]
fn each_stored_file_is_valid_and_red_exactly_if_it_failed() {
    let directory = tempdir().unwrap();
    let (mut files, mut red) = (Vec::new(), 0);
    for file in stored() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let xml = told(&file, "junit");
        let report = read(&xml);
        let document: Value = serde_json::from_str(&told(&file, "json")).unwrap();
        let documents = document["scenarios"].as_array().cloned().unwrap_or_else(|| vec![document]);
        assert_eq!(report.test_suites.len(), documents.len(), "{name}");
        for (suite, document) in report.test_suites.iter().zip(&documents) {
            let code = document["exit_code"].as_u64();
            assert_eq!(suite.test_cases.iter().any(is_red), code != Some(0), "{name}: exit {code:?}\n{xml}");
            red += usize::from(code != Some(0));
            // What the attributes count is there.
            let of = |kind| {
                let is =
                    |it: &&TestCase| matches!(it.status, TestCaseStatus::NonSuccess { kind: of, .. } if of == kind);
                suite.test_cases.iter().filter(is).count()
            };
            let counted = (suite.tests, suite.failures, suite.errors);
            assert_eq!(
                counted,
                (suite.test_cases.len(), of(NonSuccessKind::Failure), of(NonSuccessKind::Error)),
                "{name}"
            );
        }
        let sum = |of: fn(&TestSuite) -> usize| report.test_suites.iter().map(of).sum::<usize>();
        let counted = (sum(|it| it.tests), sum(|it| it.failures), sum(|it| it.errors));
        assert_eq!((report.tests, report.failures, report.errors), counted, "{name}");
        files.push(directory.path().join(format!("{name}.xml")));
        fs::write(files.last().unwrap(), xml).unwrap();
    }
    assert!(red > 10 && files.len() - red > 10, "{red} of {}", files.len());
    is_valid(&files);
}

#[test]
fn what_failed_a_run_is_a_failure_and_what_did_not_is_told() {
    let of = |name: &str| read(&told(&golden(name), "junit"));
    let lock = of("lock-command");
    let (wrong, waited) = (case(&lock, "no MC020"), case(&lock, "no MC050"));
    assert!(is_red(wrong) && said(wrong).starts_with("hazard: 14 of the 40 replies"), "{}", said(wrong));
    assert!(!is_red(waited) && said(waited).starts_with("advice: operations waited"), "{}", said(waited));
    assert!(said(case(&lock, "the server's own record")).ends_with("agrees for 40 of 40"));
    assert!(said(case(&lock, "exit code")).starts_with("exit 1: MC020 fails the run"));
    let limit = of("limit");
    assert!(is_red(case(&limit, "operations")) && is_red(case(&limit, "no MC030")));
    assert!(matches!(case(&limit, "the server's own record").status, TestCaseStatus::Skipped { .. }), "no such record");
    let probe = of("limits-count");
    assert!(said(case(&probe, "how many connections there are")).starts_with("3 connections, beside those"));
    assert!(!is_red(case(&probe, "no MC030")), "a limit is the answer");
    assert!(is_red(case(&of("limits-need"), "need ")));
    let steps = of("scenario-not-as-expected");
    assert_eq!(said(case(&steps, "2: T1 noop")), "expected: main; happened: noop on #1, default-created");
    assert!(is_red(case(&steps, "4: expect finding MC010")) && !is_red(case(&steps, "3: ")));
    let compared = of("comparison");
    assert!(said(case(&compared, "use-default against use-main")).contains("better, by more than the noise"));
    assert!(!is_red(case(&compared, "gate verdict(use-default)")));
    assert_eq!(cases(&compared).filter(|it| it.name.as_str().contains(" in round ")).count(), 16);
}

#[test]
fn a_gate_that_failed_and_one_that_held_are_cases() {
    let directory = tempdir().unwrap();
    let args = "run -n 3 --progress never --fail-if service.p50>0us --fail-if connections.peak>1 -o told.xml";
    assert_eq!(within(directory.path(), args).code, 3);
    let report = read(&written(directory.path(), "told.xml"));
    assert!(is_red(case(&report, "gate service.p50")) && !is_red(case(&report, "gate connections.peak")));
    assert!(said(case(&report, "gate connections.peak")).contains("connections.peak is 1"));
    is_valid(&[directory.path().join("told.xml")]);
}

#[test]
fn a_run_that_was_cut_is_an_error() {
    let directory = tempdir().unwrap();
    let text = fs::read_to_string(golden("use-main")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    fs::write(directory.path().join("cut.ndjson"), lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    let ended = end(mailconn(["report", "cut.ndjson", "--format", "junit"]).current_dir(directory.path()));
    let report = read(&ended.stdout);
    assert_eq!((report.errors, report.failures), (1, 0), "{}", ended.stdout);
    assert!(said(case(&report, "exit code")).starts_with("cut: "));
}

#[test]
fn what_xml_forbids_is_written_otherwise() {
    let directory = tempdir().unwrap();
    let mut files = Vec::new();
    for (at, words) in HOSTILE.iter().enumerate() {
        // Two documents, one behind the other.
        for (part, xml) in told_of_hostile(words, "junit").split("<?xml ").skip(1).enumerate() {
            files.push(directory.path().join(format!("{at}-{part}.xml")));
            fs::write(files.last().unwrap(), format!("<?xml {xml}")).unwrap();
            let report = read(&format!("<?xml {xml}"));
            let all: String = cases(&report).map(|it| format!("{}\n{}\n", it.name.as_str(), said(it))).collect();
            assert!(all.chars().all(|it| it == '\n' || !it.is_control()), "{words:?}");
        }
    }
    is_valid(&files);
}
