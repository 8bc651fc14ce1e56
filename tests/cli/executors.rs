//! Threads that outlive their tasks (H1), and who finds whose connection there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::process::{Ended, against, eventually, findings, list, mailconn, number, obey, of_kind, run, start};
use crate::protocol::scripted::Server;

const TASKS: &str = "--threads 4 --tasks 40 -n 5 --ops noop --default-for all --mode use-main-or-default --format json";

fn report(ended: &Ended, code: i32) -> Value {
    let report = ended.json();
    assert_eq!((ended.code, &*ended.complaints()), (code, ""), "{report:#}");
    assert_eq!(number(&report["operations"]["ok"]), 200);
    assert_eq!(list(&report["tasks"]).len(), 40);
    assert_eq!(number(&report["connections"]["still_open"]), 0);
    assert_eq!(report["verdict"]["witness"]["agreed"], 200);
    let gone = |session: &Value| session["closed"] == "logged-out";
    assert!(list(&report["sessions"]).iter().all(gone), "{report:#}");
    report
}

/// Hazards; what waiting costs depends on the machine.
fn hazards(report: &Value) -> Vec<&str> {
    findings(report).into_iter().filter(|id| id.starts_with("MC01")).collect()
}

#[test]
fn a_pools_later_tasks_run_on_what_the_earlier_ones_left_and_that_is_mc010() {
    let report = report(&run(&format!("--executor pool {TASKS}")), 1);
    assert_eq!(hazards(&report), ["MC010"]);
    let created = number(&report["connections"]["opened"]);
    assert!((1..=4).contains(&created), "a default for each thread that was quick enough: {created}");
    let finding = &report["findings"][0];
    assert_eq!((finding["severity"].as_str(), number(&finding["count"])), (Some("hazard"), 200 - created * 5));
    let sentence = finding["sentence"].as_str().unwrap();
    assert!(
        sentence.contains(&format!("{} operation(s) of {} task(s)", 200 - created * 5, 40 - created)),
        "{sentence}"
    );
    assert!(
        sentence.contains("(H1)") && sentence.contains("(C3)") && sentence.contains("--dispose task"),
        "{sentence}"
    );
    let on = &report["operations_on"];
    assert_eq!((number(&on["own_default"]), number(&on["inherited_default"])), (created * 5, 200 - created * 5));
    // A task keeps its thread, and was refused if and only if it inherited.
    for task in list(&report["tasks"]) {
        assert_eq!(list(&task["workers"]).len(), 1, "{task}");
        let connections: Vec<&String> = task["connections"].as_object().unwrap().keys().collect();
        let inherited = number(&task["operations_on"]["inherited_default"]);
        assert_eq!(task["default_refused"].as_str(), (inherited > 0).then_some(connections[0].as_str()), "{task}");
    }
    assert_eq!(report["failures"], serde_json::json!([]), "a refused default is no failure");
}

#[test]
fn a_task_that_disposes_its_default_leaves_nothing_to_the_next_one() {
    for executor in ["pool", "tasks"] {
        let report = report(&run(&format!("--executor {executor} --dispose task {TASKS}")), 0);
        assert_eq!(hazards(&report), [""; 0]);
        assert_eq!(number(&report["operations_on"]["own_default"]), 200);
        assert_eq!(number(&report["connections"]["opened"]), 40, "{executor}: a default for each task");
        assert!(number(&report["connections"]["peak"]) <= 4);
        assert!(list(&report["sessions"]).iter().all(|session| session["operations"] == 5));
        assert_eq!((&report["executor"], &report["dispose"]), (&executor.into(), &"task".into()));
    }
}

#[test]
fn asynchronous_tasks_change_threads_and_with_them_connections_and_that_is_mc011() {
    let report = report(&run(&format!("--executor tasks {TASKS} --sandbox-latency 1ms")), 1);
    assert_eq!(hazards(&report), ["MC010", "MC011"]);
    let scattered: Vec<&Value> =
        list(&report["tasks"]).iter().filter(|task| task["connections"].as_object().unwrap().len() > 1).collect();
    assert_eq!(number(&report["findings"][1]["count"]), scattered.len() as u64);
    assert!(scattered.iter().all(|task| list(&task["workers"]).len() > 1));
    let threads: BTreeSet<&str> =
        list(&report["tasks"]).iter().flat_map(|task| list(&task["workers"])).map(|it| it.as_str().unwrap()).collect();
    assert_eq!(threads, BTreeSet::from(["w0", "w1", "w2", "w3"]));
}

#[test]
fn the_ledger_names_the_task_of_each_operation_and_of_each_default_in_ndjson() {
    let args = "--executor pool --threads 2 --tasks 6 -n 3 --ops noop --default-for all --dispose task --format ndjson";
    let ended = run(args);
    let events = ended.events();
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    let start = &events[0];
    assert_eq!((&start["executor"], &start["dispose"]), (&"pool".into(), &"task".into()));
    assert_eq!(
        start["tasks"][5],
        serde_json::json!({"task": "t5", "name": null, "creates_default": true, "creates_independent": false})
    );
    let mut owner: BTreeMap<&str, &str> = BTreeMap::new();
    for created in of_kind(&events, "connection-created") {
        owner.insert(created["connection"].as_str().unwrap(), created["task"].as_str().unwrap());
    }
    assert_eq!((owner.len(), owner.values().collect::<BTreeSet<_>>().len()), (6, 6));
    let mut number_of: BTreeMap<&str, u32> = BTreeMap::new();
    for operation in of_kind(&events, "operation") {
        let task = operation["task"].as_str().unwrap();
        assert_eq!(owner[operation["connection"].as_str().unwrap()], task);
        *number_of.entry(task).or_default() += 1;
    }
    assert_eq!(number_of, ["t0", "t1", "t2", "t3", "t4", "t5"].map(|task| (task, 3)).into());
    // A task's life, in order: it starts, creates its default, disposes it, and is over.
    for (connection, task) in owner {
        let at = |event: &str, field: &str, value: &str| {
            let found = events.iter().position(|it| it["event"] == event && it[field] == value);
            found.unwrap_or_else(|| panic!("{event} of {value}"))
        };
        let order = [
            at("task-started", "task", task),
            at("connection-created", "task", task),
            at("connection-disposed", "connection", connection),
            at("task-ended", "task", task),
        ];
        assert!(order.is_sorted(), "{task}: {order:?}");
        assert_eq!(events[order[2]]["cause"], "by-hand");
    }
}

#[test]
fn what_is_left_on_a_thread_is_refused_to_the_next_task_and_goes_with_the_thread() {
    let args = "--executor pool --threads 1 --tasks 3 -n 1 --ops noop --default-for all --format ndjson";
    let events = run(args).events();
    let refused: Vec<_> =
        of_kind(&events, "default-refused").map(|it| (&it["task"], &it["existing"], &it["rule"])).collect();
    assert_eq!(refused, [(&"t1".into(), &"#1".into(), &"C3".into()), (&"t2".into(), &"#1".into(), &"C3".into())]);
    let disposed: Vec<_> =
        of_kind(&events, "connection-disposed").map(|it| (&it["connection"], &it["cause"])).collect();
    assert_eq!(disposed, [(&"#1".into(), &"thread-exit".into()), (&"#0".into(), &"client-closed".into())]);
}

#[test]
fn the_table_says_how_many_operations_ran_on_whose_connection() {
    let ended = run("--executor pool --threads 1 --tasks 3 -n 2 --ops noop --default-for t0");
    assert_eq!(ended.code, 1);
    let words = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "1 thread of a pool, 3 tasks, 6 operations",
        "tasks-ran-on ops tasks connections",
        "the task's own default 2 1 1",
        "another task's default 4 2 1",
        "MC010 hazard, 4 times",
        "t1: 2 operation(s) (numbers 3 to 4) on #1, created on w0 by t0",
    ] {
        assert!(words.contains(expected), "{expected}: {}", ended.stdout);
    }
    assert!(!words.contains("refused"), "it asked for none of its own: {words}");
    assert!(ended.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ended.stdout);
}

#[test]
fn each_operation_is_listed_with_its_task() {
    let ended = run("--executor pool --threads 1 --tasks 2 -n 1 --ops noop --each");
    let words = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in
        ["no worker task op session reason wait dial service outcome", "1 w0 t0 noop #0 main", "2 w0 t1 noop #0 main"]
    {
        assert!(words.contains(expected), "{expected}: {}", ended.stdout);
    }
    assert!(!run("--threads 1 -n 1 --each").stdout.contains("task"), "no tasks, no column");
}

#[test]
fn under_use_default_a_task_inherits_what_an_operation_created() {
    let ended = run("--executor pool --threads 1 --tasks 3 -n 2 --ops noop --mode use-default --format json");
    let report = ended.json();
    assert_eq!((ended.code, hazards(&report)), (1, vec!["MC010"]));
    assert_eq!(report["operations_on"]["inherited_default"], 4);

    let ended =
        run("--executor tasks --threads 3 --tasks 9 -n 2 --ops noop --mode use-default --dispose task --format json");
    let report = ended.json();
    assert_eq!((ended.code, hazards(&report)), (0, vec![]));
    assert_eq!((&report["operations_on"]["own_default"], &report["connections"]["opened"]), (&18.into(), &9.into()));
}

#[test]
fn main_and_independent_connections_are_nobodys_hazard() {
    for executor in ["pool", "tasks"] {
        let ended =
            run(&format!("--executor {executor} --threads 3 --tasks 9 -n 4 --independent-for t0-t4 --format json"));
        let report = ended.json();
        assert_eq!((ended.code, hazards(&report)), (0, vec![]), "{report:#}");
        let on = &report["operations_on"];
        assert_eq!((&on["independent"], &on["main"]), (&20.into(), &16.into()), "{executor}");
        assert_eq!(report["connections"]["opened"], 6);
    }
}

/// Each task works on what its number chooses, whoever runs it and in whatever order.
#[test]
fn the_same_seed_makes_the_same_operations_for_each_task() {
    let did = |executor: &str| {
        let args = "--threads 3 --tasks 7 -n 9 --ops noop,status,fetch,list --mailbox INBOX --mailbox Sent --seed 5";
        let mut did: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for operation in of_kind(&run(&format!("--executor {executor} {args} --format ndjson")).events(), "operation") {
            let step = format!("{} {}", operation["operation"], operation["mailbox"]);
            did.entry(operation["task"].to_string()).or_default().push(step);
        }
        did
    };
    assert_eq!(did("pool"), did("tasks"));
}

#[test]
fn tasks_that_write_have_a_scratch_mailbox_each_and_leave_none() {
    for executor in ["pool", "tasks"] {
        let ended =
            run(&format!("--executor {executor} --threads 3 --tasks 6 -n 4 --ops append --allow-writes --format json"));
        let report = ended.json();
        assert_eq!(ended.code, 0, "{report:#}");
        assert_eq!(report["left_mailboxes"], serde_json::json!([]));
    }
}

#[test]
fn a_task_that_gets_no_connection_stops_and_the_next_one_is_begun() {
    let args =
        "--threads 2 --tasks 5 -n 3 --independent-for all --sandbox-connections 1 --sandbox-latency 3ms --format json";
    for executor in ["pool", "tasks"] {
        let ended = run(&format!("--executor {executor} {args}"));
        let report = ended.json();
        assert_eq!(ended.code, 6, "{report:#}");
        let stopped = list(&report["tasks"]).iter().filter(|task| task["operations"]["not_issued"] == 3);
        let kinds: BTreeSet<&str> = stopped.map(|task| task["stopped"]["kind"].as_str().unwrap()).collect();
        assert_eq!(kinds, BTreeSet::from(["limit-connections"]), "{executor}");
        assert_eq!(number(&report["connections"]["still_open"]), 0);
    }
}

#[test]
fn an_interrupted_run_of_tasks_reports_at_once_how_far_it_came() {
    for executor in ["pool", "tasks", "tasks --dispose task"] {
        let server = Server::start(|peer| {
            peer.sign_in();
            while peer.line().is_some() {}
        });
        let args = "--threads 3 --tasks 30 -n 7 --mode use-default --ops noop --timeout 50s --format json";
        let running = start(&mut against(server.address, &format!("--executor {executor} {args}")));
        eventually("three operations are held up", || server.heard_verb("NOOP") == 3);
        let sent = Instant::now();
        running.signal("INT");
        let ended = running.end();
        assert!(sent.elapsed() < Duration::from_secs(4), "{executor}: {:?}", sent.elapsed());
        let report = ended.json();
        assert_eq!((ended.code, &*ended.complaints()), (130, ""));
        assert_eq!(number(&report["operations"]["failed"]), 3, "{executor}");
        assert_eq!(number(&report["operations"]["not_issued"]), 207, "{executor}");
    }
}

#[test]
fn a_resting_task_is_interrupted_at_once_and_keeps_no_thread_from_the_others() {
    let server = Server::start(|peer| {
        peer.sign_in();
        obey(peer);
    });
    // All five rest at once on the one thread: they take none while they rest.
    let args = "--executor tasks --threads 1 --tasks 5 -n 2 --pause 40s --ops noop --format json";
    let running = start(&mut against(server.address, args));
    eventually("five tasks rest", || server.heard_verb("NOOP") == 5);
    let sent = Instant::now();
    running.signal("TERM");
    let ended = running.end();
    assert!(sent.elapsed() < Duration::from_secs(4), "{:?}", sent.elapsed());
    let report = ended.json();
    assert_eq!((ended.code, number(&report["operations"]["ok"])), (143, 5));
    assert_eq!(number(&report["operations"]["not_issued"]), 5);
}

#[test]
fn combinations_that_mean_nothing_are_one_clear_line() {
    for (args, said) in [
        ("--tasks 4", "--tasks says how many tasks, and --executor threads has none"),
        ("--dispose task", "--dispose is about the end of a task, and --executor threads has none"),
        ("--executor pool --duration 1s", "--duration is for workers that work side by side"),
        ("--executor tasks --duration 1s", "--duration is for workers that work side by side"),
        ("--executor pool --tasks 0", "--tasks 0 leaves nothing to do; give at least 1"),
        ("--executor pool --tasks 100001", "give at most 100000"),
        ("--executor pool --threads 70000", "at most 65535 --threads"),
        ("--executor pool --default-for w0", "names no tasks; write all, none, half, or a list like t0,t2-t5"),
        ("--executor pool --threads 2 --independent-for t20", "there is no task t20: 20 task(s) are t0 to t19"),
        ("--executor pool --mode use-main --default-for all", "--default-for: "),
        ("--executor processes", "invalid value 'processes'"),
    ] {
        let ended = start(&mut mailconn(["run"].into_iter().chain(args.split_whitespace()))).end();
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{args}: {}", ended.stderr);
        assert!(ended.stderr.contains(said), "{args}: {}", ended.stderr);
    }
}
