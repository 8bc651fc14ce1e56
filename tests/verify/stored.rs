//! Stored files, one line of which was renamed, taken out, put in twice or moved.

use std::fs;

use serde_json::Value;

use crate::cli::process::{end, mailconn};
use crate::golden::stored;
use crate::support::sample::is_thorough;
use crate::support::tool;

/// The lines that are tried, of which so many are enough: not the same ones in each file.
fn tried(lines: usize, enough: usize, file: usize) -> impl Iterator<Item = usize> {
    let every = lines.div_ceil(enough);
    (file % every..lines).step_by(every)
}

/// Each way to change the file at that line.
fn changed(lines: &[&str], at: usize) -> Vec<(&'static str, Vec<String>)> {
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        change(&mut lines);
        lines
    };
    let other = if lines[at].contains("\"event\":\"operation\"") { "mailbox-left" } else { "operation" };
    let renamed = |lines: &mut Vec<String>| {
        let (before, after) = lines[at].split_once("\"event\":\"").unwrap();
        let (_, after) = after.split_once('"').unwrap();
        lines[at] = format!("{before}\"event\":\"{other}\"{after}");
    };
    let mut all = vec![
        ("renamed", with(&renamed)),
        ("taken out", with(&|lines| drop(lines.remove(at)))),
        ("put in twice", with(&|lines| lines.insert(at, lines[at].clone()))),
    ];
    for to in [at + 1, (at + lines.len() / 2) % lines.len()] {
        if to < lines.len() && to != at {
            all.push((
                "moved",
                with(&|lines| {
                    let line = lines.remove(at);
                    lines.insert(to, line);
                }),
            ));
        }
    }
    all
}

#[test]
fn no_line_of_a_stored_file_is_renamed_taken_out_put_in_twice_or_moved_unnoticed() {
    let (mut done, enough) = (0, if is_thorough() { 40 } else { 8 });
    for (number, path) in stored().into_iter().enumerate() {
        let file = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = file.lines().collect();
        for at in tried(lines.len(), enough, number) {
            for (how, lines) in changed(&lines, at) {
                let file = lines.join("\n") + "\n";
                assert_ne!(tool::doubts(file.as_bytes()), [""; 0], "{}: line {} {how}", path.display(), at + 1);
                done += 1;
            }
        }
    }
    assert!(done > 125 * enough, "{done}");
}

#[test]
fn no_line_of_a_probe_is_renamed_taken_out_put_in_twice_or_moved_unnoticed() {
    let limits = "--sandbox-limit user=2 --sandbox-limit total=3,oldest --hold 1s --bare-close --progress never";
    for (number, protocol) in ["sandbox", "sandbox+smtp --plaintext"].into_iter().enumerate() {
        let words = format!("limits {protocol} {limits} --format ndjson");
        let file = end(&mut mailconn(words.split(' '))).stdout;
        let lines: Vec<&str> = file.lines().collect();
        for at in tried(lines.len(), if is_thorough() { usize::MAX } else { 20 }, number) {
            for (how, lines) in changed(&lines, at) {
                let file = lines.join("\n") + "\n";
                assert_ne!(tool::doubts(file.as_bytes()), [""; 0], "{protocol}: line {} {how}", at + 1);
            }
        }
    }
}

/// Scenarios as they are written today: the stored ones are of an earlier version, in which the steps stand together.
const SCENARIOS: [&str; 6] = [
    "pool-hazard",
    "c5-two-clients-on-one-thread",
    "b6-one-refused-sign-in-ends-them-all",
    "w1-first-come-first-served",
    "d4-the-last-holders-letting-go-closes-the-client",
    "h1-a-task-that-changes-threads-loses-its-default",
];

#[test]
fn no_line_of_a_scenario_is_renamed_taken_out_put_in_twice_or_moved_unnoticed() {
    let client = |line: &str| serde_json::from_str::<Value>(line).unwrap()["client"].as_str().map(str::to_owned);
    for (number, scenario) in SCENARIOS.into_iter().enumerate() {
        let file = end(&mut mailconn(["scenario", scenario, "--format", "ndjson"])).stdout;
        let lines: Vec<&str> = file.lines().collect();
        for at in tried(lines.len(), if is_thorough() { usize::MAX } else { 20 }, number) {
            for (how, changed) in changed(&lines, at) {
                // Neither client's stream knows of the other's.
                let apart = |next: &&str| client(lines[at]).zip(client(next)).is_some_and(|(one, other)| one != other);
                if how == "moved"
                    && changed[at] == lines[(at + 1).min(lines.len() - 1)]
                    && lines.get(at + 1).is_some_and(apart)
                {
                    continue;
                }
                let file = changed.join("\n") + "\n";
                assert_ne!(tool::doubts(file.as_bytes()), [""; 0], "{scenario}: line {} {how}: {}", at + 1, lines[at]);
            }
        }
    }
}
