//! What the reference model says of random scenarios, said in the language of scenarios: the command agrees with it.

use std::fs;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use super::shipped::all_held;
use crate::cli::process::{end, mailconn};
use crate::reference::scenario::seeds;

#[test]
fn a_scenario_of_the_reference_model_is_a_file_that_the_command_performs_as_the_model_says() {
    let mut runner = TestRunner::deterministic();
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = (0..60).map(|number| format!("{number}.txt")).collect();
    for name in &names {
        let scenario = seeds().new_tree(&mut runner).unwrap().current().scenario();
        fs::write(folder.path().join(name), scenario.text(scenario.lines.len())).unwrap();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let args = ["scenario", "--format", "ndjson"].into_iter().chain(names.iter().copied());
    let ended = end(mailconn(args).current_dir(folder.path()));
    all_held(&ended.stdout, &names, true);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
}
