//! MC010 and MC011: found where they are, nowhere else, and a task that panics hangs nobody.

use mailconn::allocator::Mode;
use mailconn::event::{Dispose, Executor, Role};
use mailconn::workload::Plan;
use serde_json::{Value, json};

use super::real::{agreement, all_held, ids, is_clean, lines, plan, run_by_way_of, sandbox, verdict};
use crate::cli::process::{list, number, of_kind};
use crate::support::written::{Written, operation};

/// Twelve tasks on three threads.
const TASKS: &str = "-t 3 --tasks 12 --mailbox INBOX --mailbox Archive --seed 11";
const MIX: &str = "-n 4 --ops noop,status,fetch";

fn hazards(verdict: &Value) -> Vec<(&str, u64)> {
    let hazards = list(&verdict["findings"]).iter().filter(|finding| finding["severity"] == "hazard");
    hazards.map(|finding| (finding["id"].as_str().unwrap(), number(&finding["count"]))).collect()
}

#[test]
fn h1_tasks_of_a_pool_inherit_defaults_unless_each_disposes_its_own() {
    for (mode, creates) in [("use-main-or-default", "all"), ("use-default", "none")] {
        let tasks = format!("{TASKS} {MIX} --mode {mode} --default-for {creates}");
        let run = lines(&format!("{tasks} --executor pool"));
        let created = of_kind(&run, "connection-created").count() as u64;
        let verdict = verdict(&run);
        assert_eq!(hazards(&verdict), [("MC010", (12 - created) * 4)], "{mode}");
        assert_eq!((&verdict["exit_code"], agreement(&verdict)[1]), (&json!(1), Some(48)));
        let refused = of_kind(&run, "default-refused").count() as u64;
        assert_eq!(refused, if creates == "all" { 12 - created } else { 0 }, "C3");

        for executor in ["pool", "tasks"] {
            let verdict = is_clean(&lines(&format!("{tasks} --executor {executor} --dispose task")));
            assert_eq!((&verdict["connections"]["opened"], list(&verdict["tasks"]).len()), (&json!(12), 12));
            for row in list(&verdict["tasks"]) {
                assert_eq!((&row["operations_on"]["own_default"], &row["default_refused"]), (&json!(4), &Value::Null));
                assert_eq!(list(&row["workers"]).len(), 1, "{row:#}");
            }
        }
    }
}

#[test]
fn tasks_without_defaults_share_main_and_that_is_all_that_is_found() {
    for executor in ["pool", "tasks"] {
        let verdict = verdict(&lines(&format!("{TASKS} {MIX} --mode use-main-or-default --executor {executor}")));
        let advised: Vec<&str> = ids(&verdict).into_iter().filter(|id| *id != "MC050").collect();
        assert_eq!(advised, ["MC053"]);
        assert!(list(&verdict["tasks"]).iter().all(|row| row["operations_on"]["main"] == 4));
    }
}

#[test]
fn tasks_that_share_main_under_the_lock_for_a_command_get_in_each_other_s_way_as_workers_do() {
    for executor in ["pool", "tasks"] {
        let naive = "--mode use-main --lock command -n 30 --ops fetch";
        let run = lines(&format!("{TASKS} {naive} --executor {executor}"));
        let verdict = verdict(&run);
        let [("MC020", wrong)] = hazards(&verdict)[..] else { panic!("{:#}", verdict["findings"]) };
        assert!(wrong < 360, "{wrong}");
        assert!(of_kind(&run, "operation").all(|it| it["task"].is_string() && it["relied_on"].is_object()));
        all_held(&verdict, 360);
    }
}

#[test]
fn tasks_on_defaults_left_by_others_hold_the_rules_under_the_lock_for_a_command_too() {
    let verdict = verdict(&lines(&format!("{TASKS} {MIX} --mode use-default --executor pool --lock command")));
    let hazards = hazards(&verdict);
    // No thread shares its default while a unit is under way: what is inherited is the connection, and no mailbox.
    assert!(hazards.iter().all(|(id, _)| *id == "MC010") && !hazards.is_empty(), "{hazards:?}");
    all_held(&verdict, 48);
}

/// A run of two tasks on two threads, written by hand: w0 has t0's #1, w1 has t1's #2.
struct Two(Written);

impl Two {
    fn new() -> Self {
        let mut run = Written::new("use-main-or-default");
        run.start()["executor"] = json!("tasks");
        let role = |number| {
            let task = format!("t{number}");
            json!({"task": task, "name": null, "creates_default": true, "creates_independent": false})
        };
        run.start()["tasks"] = (0..2).map(role).collect();
        run.start()["asked"] = json!({"operations_per_worker": 2});
        for number in [0, 1] {
            let task = format!("t{number}");
            run.enter("task-started", json!({"task": task, "worker": format!("w{number}")}));
            run.create(number + 1, "default", number, true)["task"] = json!(task);
            run.open(number + 1);
        }
        Self(run)
    }

    /// An operation of that task on that thread, and so on that thread's default.
    fn operation(&mut self, task: u32, thread: u32) {
        let after = self.0.known();
        let line = self.0.operate(operation(thread + 1, after, "use-main-or-default", "default"));
        (line["worker"], line["task"]) = (json!(format!("w{thread}")), json!(format!("t{task}")));
        (line["number"], line["had_default"]) = (json!(after), json!(true));
    }

    fn refused(&mut self, task: u32, worker: u32, existing: u32) {
        let (task, worker) = (format!("t{task}"), format!("w{worker}"));
        let line = json!({"task": task, "worker": worker, "existing": format!("#{existing}"), "rule": "C3"});
        self.0.enter("default-refused", line);
    }

    /// What was found of tasks: id, count and evidence.
    #[track_caller]
    fn shows(&self, due: &[(&str, u64, &str)]) {
        let verdict = verdict(&self.0.file());
        let found = list(&verdict["findings"]).iter().filter(|it| it["id"].as_str().unwrap().starts_with("MC01"));
        let found: Vec<_> = found.map(|it| (it["id"].clone(), it["count"].clone(), it["evidence"].clone())).collect();
        let due: Vec<_> = due.iter().map(|(id, count, said)| (json!(id), json!(count), json!([said]))).collect();
        assert_eq!(found, due);
    }
}

/// Two operations of t0 on two threads, one of them on what t1 has left there.
fn on_two_threads() -> Two {
    let mut run = Two::new();
    for (task, thread) in [(0, 0), (0, 1), (1, 1), (1, 1)] {
        run.operation(task, thread);
    }
    run
}

pub fn scattered() -> Written {
    on_two_threads().0
}

/// A task on another one's default, that had asked for one of its own.
pub fn inherited() -> Written {
    let mut run = Two::new();
    run.0.start()["executor"] = json!("pool");
    run.operation(1, 0);
    run.refused(1, 0, 1);
    run.0
}

#[test]
fn a_task_on_its_own_default_is_no_hazard() {
    let mut run = Two::new();
    for task in [0, 1, 0, 1] {
        run.operation(task, task);
    }
    run.shows(&[]);
}

#[test]
fn a_task_on_another_ones_default_alone_is_mc010_and_not_mc011() {
    let mut run = Two::new();
    for task in [0, 1, 0, 1] {
        run.operation(task, 0);
    }
    let evidence = "t1: 2 operation(s) (numbers 8 to 10) on #1, created on w0 by t0";
    run.shows(&[("MC010", 2, evidence)]);
    run.refused(1, 0, 1);
    run.shows(&[("MC010", 2, &format!("{evidence}; refused one of its own by C3"))]);
}

#[test]
fn a_task_on_two_defaults_of_two_threads_is_mc011_too() {
    on_two_threads().shows(&[
        ("MC010", 1, "t0: 1 operation(s) (number 8) on #2, created on w1 by t1"),
        ("MC011", 1, "t0: 1 operation(s) (number 7) on #1 on w0, 1 operation(s) (number 8) on #2 on w1"),
    ]);
}

#[test]
fn an_operation_whose_bytes_no_socket_carried_is_no_evidence() {
    let mut run = Two::new();
    run.operation(1, 0);
    run.0.of("operation").for_each(|operation| operation["local_port"] = Value::Null);
    run.shows(&[]);
}

/// A plan without mailboxes for operations that need one is a mistake of whoever made it, and every task's first step panics.
#[test]
fn a_task_that_panics_is_counted_and_hangs_nobody_and_its_scope_has_disposed_its_default() {
    for (executor, dispose) in [
        (Executor::Pool, Dispose::Never),
        (Executor::Pool, Dispose::Task),
        (Executor::Tasks, Dispose::Never),
        (Executor::Tasks, Dispose::Task),
    ] {
        let role = Role { creates_default: true, creates_independent: false };
        let plan = plan(Mode::UseMainOrDefault, 3, 4, "status");
        let plan = Plan { executor, tasks: vec![role; 12], dispose, mailboxes: Vec::new(), ..plan };
        let sandbox = sandbox();
        let run = run_by_way_of(sandbox.address(), sandbox, &plan);
        let verdict = verdict(&run);
        assert_eq!(verdict["exit_code"], 7, "{:?}", ids(&verdict));
        assert_eq!((number(&verdict["operations"]["asked"]), number(&verdict["operations"]["not_issued"])), (48, 48));
        for row in list(&verdict["tasks"]) {
            let task = row["task"].as_str().unwrap();
            let due = format!("task {task} panicked; this is a defect of mailconn");
            assert_eq!(row["stopped"]["message"], due);
        }
        let ended = of_kind(&run, "task-ended").count();
        assert_eq!((ended, number(&verdict["connections"]["still_open"])), (12, 0));
        if dispose == Dispose::Task {
            assert_eq!(verdict["connections"]["opened"], 12, "each found its thread without a default");
        }
    }
}
