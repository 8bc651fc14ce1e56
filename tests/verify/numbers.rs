//! Files with numbers that no run comes to: one sentence, and never a sum that overflows.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::cli::process::{end, mailconn};
use crate::support::sample::is_thorough;
use crate::support::tool::{verify, verify_text};
use crate::support::written::bytes;

/// Those at which something ends, or one below that.
const NUMBERS: [u64; 6] = [u64::MAX, 1 << 63, BEYOND, BEYOND - 1, 1 << 32, u32::MAX as u64];
/// No run comes to as much.
const BEYOND: u64 = 1_000_000_000_000_000_000;

/// A run's file, or a scenario's, in which everything happens that has a line of its own.
fn files() -> Vec<Vec<Value>> {
    let runs = [
        "run -n 3 -t 3 --mode use-default --sandbox-connections 2 --ops fetch,noop --switch-mode 2=use-main-or-default",
        "run -n 2 -t 2 --tasks 3 --executor pool --default-for all --independent-for t1 --ops append --allow-writes",
        "run -n 8 -t 3 --mode use-main --lock command --ops fetch --mailbox INBOX --mailbox Sent",
        "run --duration 40ms -t 2 --mode use-main --sandbox-latency 30ms --server sandbox+imaps",
        "scenario pool-hazard",
    ];
    runs.map(|args| {
        let ended = end(&mut mailconn(args.split(' ').chain(["--format", "ndjson"])));
        ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    })
    .into()
}

/// The paths of all that is a number, or holds one.
fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, value)| leaves(value, &format!("{path}/{name}"), found))
        }
        Value::Array(values) => {
            values.iter().enumerate().for_each(|(at, value)| leaves(value, &format!("{path}/{at}"), found))
        }
        Value::Number(_) => found.push(path.to_owned()),
        Value::String(text) if text.contains(|c: char| c.is_ascii_digit()) => found.push(path.to_owned()),
        _ => {}
    }
}

/// The text with its last number replaced.
fn renumbered(text: &str, number: u64) -> String {
    let end = text.rfind(|c: char| c.is_ascii_digit()).unwrap() + 1;
    let begin = text[..end].rfind(|c: char| !c.is_ascii_digit()).map_or(0, |at| at + 1);
    format!("{}{number}{}", &text[..begin], &text[end..])
}

#[test]
fn a_number_that_no_run_comes_to_is_an_error_of_the_file_and_no_other_one_overflows() {
    let mut tried = 0;
    let mut seen = std::collections::BTreeSet::new();
    for events in files() {
        for (at, event) in events.iter().enumerate() {
            let mut paths = Vec::new();
            leaves(event, "", &mut paths);
            for path in paths {
                // One of a kind: the same field of the same event, with one index for all.
                let kind: String =
                    path.split('/').map(|part| if part.parse::<u32>().is_ok() { "n/" } else { part }).collect();
                if !seen.insert(format!("{} {kind}", event["event"])) {
                    continue;
                }
                // Each of the numbers is somewhere, and a third of them at every field.
                let every = if is_thorough() { 1 } else { 3 };
                for number in NUMBERS.into_iter().skip(seen.len() % every).step_by(every) {
                    let mut events = events.clone();
                    let leaf = events[at].pointer_mut(&path).unwrap();
                    let is_number = leaf.is_number();
                    *leaf = match &*leaf {
                        Value::String(text) => json!(renumbered(text, number)),
                        _ => json!(number),
                    };
                    let file = bytes(&events);
                    let told = catch_unwind(AssertUnwindSafe(|| verify_text(&file).and(verify(&file))));
                    let what = format!("{}: {path} = {number}", event["event"]);
                    let told = told.unwrap_or_else(|_| panic!("{what}: verify panicked"));
                    if is_number && number >= BEYOND && path != "/seed" {
                        let error = told.expect_err(&what);
                        let field = path[1..].split('/').filter(|part| part.parse::<u32>().is_err());
                        let field = field.collect::<Vec<_>>().join(".");
                        assert!(error.contains(&format!("line {}: ", at + 1)), "{what}: {error}");
                        assert!(error.contains(&format!("{field} is {number}")), "{what}: {error}");
                    }
                    tried += 1;
                }
            }
        }
    }
    assert!(tried > if is_thorough() { 1000 } else { 330 }, "{tried}");
}

#[test]
fn many_numbers_that_are_big_and_possible_overflow_no_sum() {
    let mut seen = std::collections::BTreeSet::new();
    for events in files() {
        for (at, event) in events.iter().enumerate() {
            let mut paths = Vec::new();
            leaves(event, "", &mut paths);
            for path in paths.into_iter().filter(|path| event.pointer(path).is_some_and(Value::is_number)) {
                let kind: String =
                    path.split('/').map(|part| if part.parse::<u32>().is_ok() { "n/" } else { part }).collect();
                if !seen.insert(format!("{} {kind}", event["event"])) {
                    continue;
                }
                let mut big = event.clone();
                *big.pointer_mut(&path).unwrap() = json!(BEYOND - 1);
                let (before, after) = events.split_at(at);
                // Eighteen of them are a number that does not overflow.
                let big = std::iter::repeat_n(big, 20);
                let file = bytes(&before.iter().cloned().chain(big).chain(after.iter().cloned()).collect::<Vec<_>>());
                assert!(
                    catch_unwind(AssertUnwindSafe(|| verify_text(&file).and(verify(&file)))).is_ok(),
                    "{}: {path}",
                    event["event"]
                );
            }
        }
    }
}

#[test]
fn the_command_says_it_in_one_line_and_exits_2() {
    let folder = tempfile::tempdir().unwrap();
    let ran = end(&mut mailconn("run -n 2 -t 2 --format ndjson".split(' ')));
    let file = ran.stdout.replacen(r#""at_us":"#, r#""at_us":1844674407370955161"#, 3);
    std::fs::write(folder.path().join("it"), file).unwrap();
    let ended = end(mailconn(["verify", "it"]).current_dir(folder.path()));
    assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
    assert!(
        ended.stderr.starts_with("mailconn: it cannot be read: line 1: at_us is 1844674407370955"),
        "{}",
        ended.stderr
    );
}
