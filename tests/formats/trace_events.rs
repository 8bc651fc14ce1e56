//! What trace events say, and that slices of a track are nested.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tempfile::tempdir;

use super::{within, written};
use crate::cli::process::{end, events, mailconn};
use crate::golden::stored;

/// The slices by their tracks: process and thread.
type Tracks = BTreeMap<(u64, u64), Vec<(u64, u64, String)>>;

fn number(of: &Value) -> u64 {
    of.as_u64().unwrap_or_else(|| panic!("{of}"))
}

/// The slices of a trace in which every process and every track that has one is named.
fn tracks(text: &str) -> Tracks {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    let (mut tracks, mut named) = (Tracks::new(), BTreeSet::new());
    for it in &all {
        let (pid, tid) = (number(&it["pid"]), number(&it["tid"]));
        match it["ph"].as_str().unwrap() {
            "M" => drop(named.insert((it["name"].as_str().unwrap(), pid, tid))),
            "X" => {
                assert!(named.contains(&("process_name", pid, 0)), "{it}");
                assert!(named.contains(&("thread_name", pid, tid)), "{it}");
                let (began, took) = (number(&it["ts"]), number(&it["dur"]));
                let name = it["name"].as_str().unwrap().to_owned();
                tracks.entry((pid, tid)).or_default().push((began, began + took, name));
            }
            "i" => assert!(it["s"].is_string(), "{it}"),
            other => panic!("{other}: {it}"),
        }
    }
    tracks
}

/// No two slices of a track overlap, unless one of them lies in the other.
fn are_nested(of: &str, tracks: &Tracks) {
    for (track, slices) in tracks {
        let mut slices = slices.clone();
        slices.sort_by_key(|(began, ended, _)| (*began, std::cmp::Reverse(*ended)));
        let mut around: Vec<u64> = Vec::new();
        for (began, ended, name) in slices {
            while around.last().is_some_and(|end| *end <= began) {
                around.pop();
            }
            assert!(around.last().is_none_or(|end| ended <= *end), "{of}: {track:?}: {name} at {began} to {ended}");
            around.push(ended);
        }
    }
}

#[test]
fn the_slices_of_each_stored_run_are_nested() {
    for file in stored() {
        let told = end(&mut mailconn(["report", file.to_str().unwrap(), "--format", "trace-events"]));
        assert_eq!((told.code, &*told.stderr), (0, ""), "{}", file.display());
        are_nested(&file.display().to_string(), &tracks(&told.stdout));
    }
}

#[test]
fn the_slices_of_runs_in_all_modes_are_nested_and_each_operation_has_one() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    for args in [
        "--mode use-main -t 8",
        "--mode use-default -t 8",
        "--mode use-main-or-default -t 8 --default-for half --independent-for w1",
        "--mode use-main -t 8 --lock command",
        "--mode use-default --executor pool -t 3 --tasks 9",
        "--mode use-default --executor tasks -t 3 --tasks 9",
        "--mode use-default -t 6 --max-connections 3 --wait-timeout 50ms",
        "--mode use-default -t 6 --sandbox-connections 3",
        "--mode use-main -t 4 --switch-mode 20=use-default --sandbox-latency 1ms",
    ] {
        let files = "--progress never -o run.ndjson --trace-events run.trace";
        within(here, &format!("run {args} -n 12 --ops noop,fetch --mailbox INBOX --mailbox Archive {files}"));
        let tracks = tracks(&written(here, "run.trace"));
        are_nested(args, &tracks);
        let served = |it: &&Value| it["event"] == "operation" && it["local_port"].is_u64();
        let served = events(&written(here, "run.ndjson")).iter().filter(served).count();
        let slices = tracks.values().flatten().filter(|(.., name)| ["noop", "fetch"].contains(&&**name)).count();
        assert!(served > 0 && served == slices, "{args}: {served} operations, {slices} slices");
    }
}

#[test]
fn connections_are_processes_workers_threads_and_waits_have_a_process_of_their_own() {
    let directory = tempdir().unwrap();
    let args = "run -t 3 -n 4 --mode use-main --ops fetch --sandbox-latency 2ms --progress never -o run.txt --trace-events run.trace";
    within(directory.path(), args);
    let text = written(directory.path(), "run.trace");
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    let names = |what: &str| -> BTreeSet<&str> {
        all.iter().filter(|it| it["name"] == what).map(|it| it["args"]["name"].as_str().unwrap()).collect()
    };
    assert_eq!(names("process_name"), BTreeSet::from(["waits", "connection #0"]));
    assert_eq!(names("thread_name"), BTreeSet::from(["w0", "w1", "w2"]));
    let waits = all.iter().filter(|it| it["name"] == "wait for #0").count();
    assert!(waits >= 8, "{waits} waits: {text}");
}

/// What a process is called, and when its first and its last slice begin.
fn processes(text: &str) -> Vec<(String, Option<(u64, u64)>)> {
    let all: Vec<Value> = serde_json::from_str(text).unwrap();
    let named = all.iter().filter(|it| it["name"] == "process_name");
    let of = |it: &Value| {
        let slices = all.iter().filter(|slice| slice["ph"] == "X" && slice["pid"] == it["pid"]);
        let at: Vec<u64> = slices.map(|slice| number(&slice["ts"])).collect();
        let times = at.iter().min().zip(at.iter().max()).map(|(first, last)| (*first, *last));
        (it["args"]["name"].as_str().unwrap().to_owned(), times)
    };
    named.map(of).collect()
}

fn each_is_called_differently(all: &[(String, Option<(u64, u64)>)]) {
    let names: BTreeSet<&str> = all.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names.len(), all.len(), "{all:?}");
}

#[test]
fn the_runs_of_a_comparison_lie_one_behind_the_other_and_say_whose_their_connections_are() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let compared = "compare -t 2 -n 3 --rounds 8 --variant use-main --variant use-default --progress never";
    within(here, &format!("{compared} -o compared.ndjson --trace-events compared.trace"));
    let text = written(here, "compared.trace");
    are_nested("a comparison", &tracks(&text));
    let all = processes(&text);
    each_is_called_differently(&all);
    let mut last = 0;
    let mut runs = 0;
    for of in
        all.chunk_by(|(one, _), (other, _)| one.split_once(" of ").unwrap().1 == other.split_once(" of ").unwrap().1)
    {
        let slices = || of.iter().filter_map(|(_, times)| *times);
        let (first, latest) = (slices().map(|it| it.0).min().unwrap(), slices().map(|it| it.1).max().unwrap());
        assert!(first >= last, "{of:?} begins before {last}");
        (last, runs) = (latest, runs + 1);
    }
    assert!(runs >= 16, "{runs}");
    assert!(all.iter().any(|(name, _)| name == "connection #1 of use-default in round 3"), "{all:?}");
    // Told again, it is the same.
    within(here, "report compared.ndjson -o told.txt --trace-events told.trace");
    assert_eq!(written(here, "told.trace"), text);
}

#[test]
fn the_clients_of_a_scenario_are_told_apart_and_stand_on_one_clock() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    let steps = "client A use-main\nT1 noop on A\npause 200ms\nclient B use-main\nT1 noop on B\n";
    std::fs::write(here.join("two.txt"), steps).unwrap();
    assert_eq!(within(here, "scenario two.txt -o told.txt --trace-events two.trace").code, 0);
    let all = processes(&written(here, "two.trace"));
    let names: Vec<&str> = all.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["waits of A", "connection #0 of A", "waits of B", "connection #0 of B"]);
    let (of_a, of_b) = (all[1].1.unwrap(), all[3].1.unwrap());
    assert!(of_b.0 >= of_a.1 + 200_000, "{all:?}");

    std::fs::write(here.join("one.txt"), "client use-main\nT1 noop\n").unwrap();
    within(here, "scenario one.txt -o told.txt --trace-events one.trace");
    let all = processes(&written(here, "one.trace"));
    assert_eq!(all.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["waits", "connection #0"]);
}

#[test]
fn runs_that_are_told_again_together_lie_one_behind_the_other() {
    let directory = tempdir().unwrap();
    let here = directory.path();
    for name in ["first", "second"] {
        within(here, &format!("run -t 1 -n 3 --mode use-main --progress never -o {name}.ndjson"));
    }
    within(here, "report second.ndjson first.ndjson -o told.txt --trace-events told.trace");
    let all = processes(&written(here, "told.trace"));
    each_is_called_differently(&all);
    let served: Vec<(u64, u64)> = all.iter().filter_map(|(_, times)| *times).collect();
    assert!(served.len() == 2 && served[0].1 < served[1].0, "{all:?}");
}
