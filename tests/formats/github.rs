//! GitHub's annotations, and what `--ci github` adds to a command.

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::Path;

use serde_json::Value;
use tempfile::tempdir;

use super::{HOSTILE, golden, told, told_of_hostile};
use crate::cli::process::{Ended, against, end, mailconn};
use crate::golden::stored;

/// A workflow command, read as GitHub's runner reads it.
#[derive(Debug)]
struct Annotation {
    level: String,
    title: String,
    message: String,
}

fn read(line: &str) -> Annotation {
    let (head, message) =
        line.strip_prefix("::").and_then(|it| it.split_once("::")).unwrap_or_else(|| panic!("{line}"));
    let (level, title) = head.split_once(" title=").unwrap_or_else(|| panic!("{line}"));
    assert!(["error", "warning", "notice"].contains(&level), "{line}");
    assert!(!title.contains([':', ',']), "it would end the title: {line}");
    let decoded = |text: &str| {
        text.replace("%0A", "\n").replace("%0D", "\r").replace("%3A", ":").replace("%2C", ",").replace("%25", "%")
    };
    Annotation { level: level.to_owned(), title: decoded(title), message: decoded(message) }
}

fn read_all(text: &str) -> Vec<Annotation> {
    text.lines().map(read).collect()
}

/// The command as a step runs it.
fn step(directory: &Path, summary: Option<&str>, args: &str) -> Ended {
    let mut command = mailconn(args.split_whitespace());
    command.current_dir(directory).env_remove("GITHUB_STEP_SUMMARY");
    if let Some(summary) = summary {
        command.env("GITHUB_STEP_SUMMARY", summary);
    }
    end(&mut command)
}

#[test]
fn each_stored_file_has_errors_exactly_if_it_failed_and_the_reason_is_the_first() {
    let mut levels = BTreeMap::<String, usize>::new();
    for file in stored() {
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let annotations = read_all(&told(&file, "github"));
        let document: Value = serde_json::from_str(&told(&file, "json")).unwrap();
        let documents = document["scenarios"].as_array().cloned().unwrap_or_else(|| vec![document]);
        let failed = documents.iter().find_map(|it| it["exit_code"].as_u64().filter(|code| *code != 0));
        let first = annotations.iter().find(|it| it.level == "error");
        match (failed, first) {
            (None, None) => {}
            (Some(code), Some(first)) => {
                assert!(first.title.ends_with(": exit code"), "{name}: {first:?}");
                assert!(first.message.contains(&format!("exit {code}: ")), "{name}: {first:?}");
            }
            _ => panic!("{name}: exit {failed:?}, {annotations:?}"),
        }
        annotations.into_iter().for_each(|it| *levels.entry(it.level).or_default() += 1);
    }
    assert!(levels.len() == 3 && levels.values().all(|it| *it >= 3), "{levels:?}");
}

#[test]
fn what_failed_is_an_error_what_was_found_a_warning_and_advice_a_notice() {
    for (file, level, title, message) in [
        ("lock-command", "error", ": MC020: ", "hazard: 14 of the 40 replies"),
        ("lock-command", "notice", ": MC050: ", "advice: operations waited"),
        ("limit", "error", "operations", "failed"),
        ("scenario-pool-hazard", "warning", ": MC010", "hazard: "),
        ("scenario-not-as-expected", "error", "2: T1 noop", "expected: main; happened: noop on #1"),
    ] {
        let annotations = read_all(&told(&golden(file), "github"));
        let is = |it: &&Annotation| it.level == level && it.title.contains(title) && it.message.contains(message);
        assert!(annotations.iter().any(|it| is(&it)), "{file}: {level} {title} {message}\n{annotations:#?}");
    }
}

#[test]
fn foreign_words_begin_no_command_of_their_own() {
    for words in HOSTILE {
        let text = told_of_hostile(words, "github");
        assert!(!text.contains('\r'), "{words:?}");
        assert!(text.lines().all(|line| !read(line).level.is_empty()), "{words:?}");
    }
}

#[test]
fn there_are_no_more_than_github_shows() {
    let directory = tempdir().unwrap();
    let steps = "client use-main\n".to_owned() + &"T1  noop  => fails server-bye\n".repeat(15);
    fs::write(directory.path().join("wrong.txt"), steps).unwrap();
    let ended = step(directory.path(), None, "scenario wrong.txt --format github");
    let annotations = read_all(&ended.stdout);
    assert_eq!((ended.code, annotations.len()), (1, 10), "{}{}", ended.stdout, ended.stderr);
    assert!(annotations[0].message.contains("15 not as expected"), "{annotations:?}");
    assert_eq!(annotations[9].message, "7 more: the report has them all");
}

#[test]
fn a_step_has_annotations_and_its_summary_beside_its_report() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    fs::write(here.join("summary.md"), "# From another command\n").unwrap();
    let run = "run -n 3 --progress never --fail-if service.p50>0us --ci github";
    let ended = step(here, Some("summary.md"), &format!("{run} --format json"));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((ended.code, &document["exit_code"]), (3, &3.into()));
    let annotations = read_all(&ended.stderr.lines().filter(|it| it.starts_with("::")).collect::<Vec<_>>().join("\n"));
    assert!(annotations[0].message.starts_with("exit 3: "), "{}", ended.stderr);
    assert!(annotations.iter().any(|it| it.title.contains("gate service.p50>0us")), "{annotations:?}");
    let summary = fs::read_to_string(here.join("summary.md")).unwrap();
    assert!(summary.starts_with("# From another command\n### "), "{summary}");
    // Each command of a step adds to it, and creates it where it is missing.
    for file in ["summary.md", "new.md"] {
        let ended = step(here, Some(file), "scenario pool-hazard --ci github -o told.json");
        assert_eq!(&*ended.stdout, "", "{file}");
        let now = fs::read_to_string(here.join(file)).unwrap();
        assert!(now.contains("pool-hazard") && (file == "new.md" || now.starts_with(&summary)), "{now}");
    }
    let held = step(here, None, "run --mode use-default -n 9 --progress never --ci github");
    assert_eq!((held.code, &*held.stderr), (0, ""), "there is nothing to annotate, and no summary");
    assert!(held.stdout.ends_with("exit 0: all held\n"));
}

#[test]
fn a_summary_that_cannot_be_written_is_said_before_anything_is_dialled() {
    let directory = tempdir().unwrap();
    for (summary, args) in [(".", "run --ci github"), ("missing/summary.md", "scenario pool-hazard --ci github")] {
        let ended = step(directory.path(), Some(summary), args);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.stderr.contains("GITHUB_STEP_SUMMARY"), "{}", ended.stderr);
    }
}

#[test]
fn a_summary_shares_no_file_with_a_report() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    for args in ["-o summary.md", "-o ./summary.md", "-o told.json --trace-events summary.md --format table"] {
        let ended = step(here, Some("summary.md"), &format!("run -n 1 --progress never --ci github {args}"));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains("summary.md is the file of GITHUB_STEP_SUMMARY"), "{args}: {}", ended.stderr);
        assert_eq!(fs::read_dir(here).unwrap().count(), 0, "{args}");
    }
}

#[test]
fn a_line_of_an_annotation_is_as_long_as_it_is() {
    // Nobody listens there.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = end(&mut against(address, "-n 1 --progress never --format github"));
    assert_eq!(ended.code, 4);
    let annotations = read_all(&ended.stdout);
    let said = format!("{address}: Connection refused (os error 111); check host and port");
    assert!(annotations.iter().any(|it| it.message.lines().any(|line| line.ends_with(&said))), "{annotations:#?}");
}

#[test]
fn a_summary_begins_on_a_line_of_its_own() {
    let directory = tempdir().unwrap();
    fs::write(directory.path().join("summary.md"), "no end of a line").unwrap();
    step(directory.path(), Some("summary.md"), "scenario pool-hazard --ci github");
    let summary = fs::read_to_string(directory.path().join("summary.md")).unwrap();
    assert!(summary.starts_with("no end of a line\n### "), "{summary}");
}

#[test]
fn of_many_files_the_failed_ones_are_told_first() {
    let (held, failed) = (golden("limits-rate"), golden("pool"));
    let files: Vec<&str> = [vec![held.to_str().unwrap(); 12], vec![failed.to_str().unwrap()]].concat();
    let annotations = end(&mut mailconn([&["report"][..], &files, &["--format", "github"]].concat())).stdout;
    let first = read(annotations.lines().next().unwrap());
    assert!(first.title.ends_with(": exit code") && first.message.contains("MC010"), "{first:?}");
    let many = [vec![golden("use-main").to_str().unwrap().to_owned(); 300], vec![failed.to_str().unwrap().to_owned()]];
    let args = ["report".to_owned(), "--format".to_owned(), "markdown".to_owned()];
    let text = end(&mut mailconn(args.into_iter().chain(many.concat()))).stdout;
    assert!(text.contains("### ❌"), "the only failed one has room");
}
