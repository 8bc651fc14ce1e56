//! Which connections the three modes open, and who runs on them.

use std::collections::{BTreeMap, BTreeSet};

use super::process::{Ended, findings, list, number, of_kind, run};

fn held_for(ended: &Ended, operations: u64) -> serde_json::Value {
    let report = ended.json();
    assert_eq!(ended.code, 0, "{report:#}");
    assert_eq!(ended.complaints(), "");
    assert_eq!(number(&report["operations"]["ok"]), operations);
    for agreement in ["rules", "witness"] {
        assert_eq!(number(&report["verdict"][agreement]["checked"]), operations, "{agreement}");
    }
    report
}

#[test]
fn use_default_gives_each_of_eight_threads_its_own_and_never_opens_main() {
    let report = held_for(&run("--mode use-default --threads 8 --format json"), 800);
    assert_eq!(report["connections"]["opened"], 8);
    assert_eq!(report["connections"]["peak"], 8, "each is held until all are done");
    assert_eq!(report["connections"]["main_opened"], false);
    assert_eq!(findings(&report), Vec::<&str>::new());
    let mut used = BTreeSet::new();
    for worker in list(&report["workers"]) {
        let own = list(&worker["connections"]);
        assert_eq!(own.len(), 1, "{worker}");
        assert_eq!(worker["reasons"], serde_json::json!({"default": 99, "default-created": 1}));
        assert!(used.insert(own[0].as_str().unwrap()), "{worker} shares its connection");
    }
    assert!(!used.contains("#0"));
    assert!(list(&report["sessions"]).iter().all(|session| session["closed"] == "logged-out"));
}

#[test]
fn use_default_says_so_of_each_operation_in_ndjson() {
    let ended = run("--mode use-default --threads 8 --format ndjson");
    let events = ended.events();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let mut reasons: BTreeMap<&str, u32> = BTreeMap::new();
    for operation in of_kind(&events, "operation") {
        let reason = operation["reason"].as_str().unwrap();
        assert_eq!(operation["had_default"], reason == "default");
        assert_ne!(operation["connection"], "#0");
        *reasons.entry(reason).or_default() += 1;
    }
    assert_eq!(reasons, BTreeMap::from([("default", 792), ("default-created", 8)]));
    assert_eq!(of_kind(&events, "session-opened").count(), 8);
    assert_eq!(of_kind(&events, "session-closed").count(), 8);
    let end = events.last().unwrap();
    assert_eq!(end["verdict"]["rules"]["held"], 800);
    assert_eq!(end["verdict"]["witness"]["agreed"], 800);
}

#[test]
fn use_main_runs_everything_on_one_connection() {
    let report = held_for(&run("--mode use-main --threads 8 --format json"), 800);
    assert_eq!(report["connections"]["opened"], 1);
    assert_eq!(report["connections"]["main_opened"], true);
    for worker in list(&report["workers"]) {
        assert_eq!(worker["connections"], serde_json::json!(["#0"]));
        assert_eq!(worker["reasons"], serde_json::json!({"main": 100}));
    }
    assert!(findings(&report).iter().all(|id| *id == "MC050"), "waiting in line is all there is to say");
}

#[test]
fn use_main_serves_all_alike() {
    let ended = run("--mode use-main --threads 8 --duration 2s --sandbox-latency 2ms --format json");
    let report = ended.json();
    assert_eq!(ended.code, 0);
    let did: Vec<u64> = list(&report["workers"]).iter().map(|it| number(&it["operations"]["issued"])).collect();
    let (least, most) = (*did.iter().min().unwrap(), *did.iter().max().unwrap());
    assert!(least > 20 && most * 10 <= least * 11, "{did:?}");
}

#[test]
fn use_main_or_default_mixes_all_three_kinds() {
    let ended = run(
        "--mode use-main-or-default --threads 8 --default-for w0-w3 --independent-for w7 --mailbox INBOX --mailbox \
         Archive --ops noop,list,status,fetch,search --format json",
    );
    let report = held_for(&ended, 800);
    assert_eq!(report["connections"]["opened"], 6);
    let mut own = BTreeSet::new();
    for (number, worker) in list(&report["workers"]).iter().enumerate() {
        let reason = ["default", "default", "default", "default", "main", "main", "main", "explicit"][number];
        assert_eq!(worker["reasons"], serde_json::json!({reason: 100}), "w{number}");
        let connection = worker["connections"][0].as_str().unwrap();
        match reason {
            "main" => assert_eq!(connection, "#0"),
            _ => assert!(connection != "#0" && own.insert(connection), "w{number} on {connection}"),
        }
    }
    let kinds: Vec<&str> = list(&report["sessions"]).iter().map(|it| it["kind"].as_str().unwrap()).collect();
    let of = |kind| kinds.iter().filter(|it| **it == kind).count();
    assert_eq!((of("main"), of("default"), of("independent")), (1, 4, 1));
}

#[test]
fn the_default_mode_without_a_default_is_main_and_the_sandbox_is_the_default_server() {
    let report = held_for(&run("-n 3 --format json"), 12);
    assert_eq!(report["mode"], "use-main-or-default");
    assert_eq!(report["server"], "sandbox");
    assert_eq!(report["threads"], 4);
    assert_eq!(report["connections"]["opened"], 1);
}

#[test]
fn the_same_seed_makes_the_same_operations_for_each_worker() {
    let did = |seed: u32| {
        let ended = run(&format!(
            "--mode use-default --threads 3 -n 40 --ops noop,status,fetch,list --mailbox INBOX --mailbox Sent --seed \
             {seed} --format ndjson"
        ));
        let mut did: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for operation in of_kind(&ended.events(), "operation") {
            let step = format!("{} {}", operation["operation"], operation["mailbox"]);
            did.entry(operation["worker"].to_string()).or_default().push(step);
        }
        did
    };
    let first = did(7);
    assert_eq!(first, did(7));
    assert_ne!(first, did(8));
    assert_ne!(first["\"w0\""], first["\"w1\""], "workers do not march in step");
}
