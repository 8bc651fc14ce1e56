//! Two thousand workers at once.

use super::process::{end, findings, list, number, run, shell};

const MANY: &str = "--threads 2000 -n 20 --progress never --format json";

#[test]
#[ignore = "needs the machine to itself: scripts/test all"]
fn two_thousand_workers_on_connections_of_their_own_all_succeed() {
    let ended = run(&format!("--mode use-default {MANY}"));
    let report = ended.json();
    assert_eq!((ended.code, &*ended.stderr, findings(&report)), (0, "", vec![]));
    assert_eq!(number(&report["operations"]["ok"]), 40_000);
    assert_eq!(number(&report["verdict"]["rules"]["held"]), 40_000);
    assert_eq!(number(&report["verdict"]["witness"]["agreed"]), 40_000);
    assert_eq!(number(&report["connections"]["opened"]), 2000);
    assert_eq!(number(&report["connections"]["peak"]), 2000);
}

#[test]
#[ignore = "needs the machine to itself: scripts/test all"]
fn two_thousand_workers_share_one_connection() {
    let ended = run(&format!("--mode use-main {MANY} --ops noop"));
    let report = ended.json();
    assert_eq!((ended.code, number(&report["operations"]["ok"])), (0, 40_000));
    assert_eq!(number(&report["verdict"]["witness"]["agreed"]), 40_000);
    assert_eq!(list(&report["sessions"]).len(), 1);
}

#[test]
fn too_few_descriptors_are_known_before_anything_is_dialled() {
    let ended = end(&mut shell(&format!("ulimit -n 1024; exec {{}} run --mode use-default {MANY}")));
    assert_eq!((ended.code, &*ended.stdout, ended.stderr.lines().count()), (2, "", 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("ulimit -n 4064") && ended.stderr.contains("fewer --threads"), "{}", ended.stderr);

    // The soft limit is ours to raise.
    let ended = end(&mut shell("ulimit -Sn 64; exec {} run --mode use-default --threads 100 -n 2 --format json"));
    assert_eq!(number(&ended.json()["operations"]["ok"]), 200);
}

#[test]
fn where_few_connections_are_allowed_few_descriptors_do() {
    let script = "ulimit -n 256; exec {} run --mode use-default --threads 500 -n 1 --max-connections 20 --wait-timeout \
                  200ms --pause 1s --progress never --format json";
    let ended = end(&mut shell(script));
    let report = ended.json();
    assert_eq!((ended.code, number(&report["operations"]["ok"])), (1, 20), "{}", ended.stderr);
    assert_eq!(number(&report["operations"]["failed"]), 480);
}
