//! Comparisons made of stored ones: lines changed, and the last of them completed.

use std::io::Write as _;

use mailconn::event::{ComparisonEnding, Policy};
use mailconn::judge::{Content, Stored};
use serde::Deserialize as _;
use serde_json::{Value, json};
use tempfile::NamedTempFile;

use crate::cli::process::{Ended, end, mailconn};

/// The stored comparison of use-main and use-default in eight rounds.
pub fn stored() -> Vec<Value> {
    lines(include_str!("../golden/comparison.ndjson"))
}

pub fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Those of a run of the variant in that round.
pub fn is_of(line: &Value, variant: &str, round: u64) -> bool {
    line["variant"] == variant && line["round"] == round
}

/// The runs of a comparison, each with all its lines.
pub fn runs(lines: &[Value]) -> Vec<Vec<Value>> {
    let own = lines.iter().filter(|line| line.get("round").is_some());
    let mut runs: Vec<Vec<Value>> = Vec::new();
    for line in own {
        if line["event"] == "run-start" {
            runs.push(Vec::new());
        }
        runs.last_mut().unwrap().push(line.clone());
    }
    runs
}

/// The comparison of these runs: the first and the last line are those of `of`.
pub fn compared(of: &[Value], runs: Vec<Vec<Value>>) -> Vec<Value> {
    let (first, last) = (of[0].clone(), of[of.len() - 1].clone());
    [first].into_iter().chain(runs.into_iter().flatten()).chain([last]).collect()
}

/// The last line says what the runs come to, by the policy and for the ending that it names.
pub fn completed(mut lines: Vec<Value>) -> Vec<Value> {
    let text = text(&lines);
    let Content::Comparison(comparison) = Stored::read(text.as_bytes(), |_| ()).unwrap().content else { panic!() };
    let end = lines.last_mut().unwrap();
    let policy = Policy::deserialize(&end["judged_by"]).unwrap();
    let ending = ComparisonEnding {
        elapsed: serde_json::from_value(end["elapsed_us"].clone()).unwrap(),
        interrupted: serde_json::from_value(end["interrupted"].clone()).unwrap(),
        stopped: serde_json::from_value(end["stopped"].clone()).unwrap(),
    };
    let rounds = comparison.comparison.whole_rounds(&ending);
    let mut due = json!(comparison.comparison.comes_to(&rounds, &ending, &policy));
    for (name, due) in due.as_object_mut().unwrap() {
        end[name] = due.take();
    }
    lines
}

pub fn text(lines: &[Value]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// `mailconn COMMAND FILE ARGS` of these lines.
pub fn mailconn_on(lines: &[Value], command: &str, args: &[&str]) -> Ended {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text(lines).as_bytes()).unwrap();
    let file = file.path().to_str().unwrap().to_owned();
    let args: Vec<&str> = [command, &file].into_iter().chain(args.iter().copied()).collect();
    end(&mut mailconn(args))
}
