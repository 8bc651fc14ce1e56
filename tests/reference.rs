//! Random scenarios, each step of which must come out as the reference model says: on fakes by the thousand, on the
//! sandbox by the hundred. `PROPTEST_CASES` sets how many; a failure prints the smallest scenario that shows it, in the
//! language of `mailconn scenario`.

mod model;
mod player;
pub mod scenario;
mod turns;
mod worlds;

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use player::{World, play};
use worlds::{InMemory, OnSandbox};

/// Of `PROPTEST_CASES` one in `share` is played, if it is set, else `usual`.
fn cases(usual: u32, share: u32) -> Config {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse::<u32>().ok());
    let cases = asked.map_or(usual, |cases| (cases / share).max(1));
    Config { cases, failure_persistence: None, max_shrink_time: 60_000, ..Config::default() }
}

fn hold_to_the_model<W: World>(config: Config, world: impl Fn() -> W) {
    let held = TestRunner::new(config)
        .run(&scenario::seeds(), |seed| play(&world(), &seed.scenario()).map_err(TestCaseError::fail));
    match held {
        Ok(()) => {}
        Err(TestError::Fail(wrong, seed)) => panic!("not as the specification says.\n{wrong}\nIn all:{seed:?}"),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn every_client_does_what_the_model_says_in_memory() {
    hold_to_the_model(cases(2000, 1), InMemory::new);
}

#[test]
fn every_client_does_what_the_model_says_on_the_sandbox() {
    hold_to_the_model(cases(120, 10), OnSandbox::new);
}

#[test]
fn the_scenarios_reach_whatever_the_model_can_say() {
    let mut runner = TestRunner::deterministic();
    let (mut reached, mut longest) = (BTreeSet::new(), 0);
    for _ in 0..500 {
        let scenario = scenario::seeds().new_tree(&mut runner).unwrap().current().scenario();
        for line in &scenario.lines {
            reached.insert(line.outcome.text());
            reached.extend(line.finished.iter().map(|(_, outcome)| format!("finishes {}", outcome.text())));
            longest = longest.max(line.after.iter().map(|after| after.waiting).max().unwrap_or_default());
        }
    }
    assert_eq!(longest, scenario::LANES, "all threads wait at once, as they do where none makes room");
    for expected in [
        "=> opened",
        "=> explicit session 1",
        "=> main session 1",
        "=> main session 2",
        "=> default session 1",
        "=> default session 2",
        "=> default-created session 1",
        "=> fails",
        "=> fails closed",
        "=> refused C2",
        "=> refused C3",
        "=> refused D2",
        "=> refused D4",
        "=> refused D6",
        "=> refused W3",
        "=> fails wait-timeout",
        "finishes => opened",
        "finishes => main session 1",
        "finishes => main session 2",
        "finishes => default session 2",
        "finishes => default-created session 1",
        "finishes => explicit session 1",
        "finishes => fails",
        "finishes => fails closed",
        "finishes => refused D2",
        "finishes => refused D4",
        "=> disposed",
        "=> nothing",
        "",
    ] {
        assert!(reached.contains(expected), "{expected:?} is not among {reached:#?}");
    }
}
