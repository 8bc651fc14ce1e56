//! MC010 and MC011: found where they are, nowhere else, and a task that panics hangs nobody.

use mailconn::allocator::{ConnectionId, Kind, Mode, Reason};
use mailconn::record::{
    Asked, Conclusion, Dispose, Executor, Finding, Lock, Role, Run, Severity, Summary, TaskId, Verdict, What, Whose,
    WorkerId,
};
use mailconn::sandbox::Options;
use mailconn::workload::{Mix, Plan};

use super::real::{ids, is_clean, plan, run_on, sandbox, verdict};
use super::table::{Written, operation};

fn tasks(executor: Executor, dispose: Dispose, mode: Mode, creates_default: bool) -> Plan {
    let role = Role { creates_default, creates_independent: false };
    Plan { executor, tasks: vec![role; 12], dispose, ..plan(mode, vec![Role::default(); 3], 4, "noop,status,fetch") }
}

fn hazards(verdict: &Verdict) -> Vec<(&str, u64)> {
    let hazards = verdict.findings.iter().filter(|finding| finding.severity == Severity::Hazard);
    hazards.map(|finding| (finding.id, finding.count)).collect()
}

#[test]
fn h1_tasks_of_a_pool_inherit_defaults_unless_each_disposes_its_own() {
    for (mode, creates) in [(Mode::UseMainOrDefault, true), (Mode::UseDefault, false)] {
        let run = run_on(sandbox(Options::default()), &tasks(Executor::Pool, Dispose::Never, mode, creates));
        let created = run.entries.iter().filter(|entry| matches!(entry.what, What::Created { .. })).count() as u64;
        let found = verdict(&run);
        assert_eq!(hazards(&found), [("MC010", (12 - created) * 4)], "{mode}");
        assert_eq!((found.conclusion, found.rules.held), (Conclusion::Failed, 48));
        let refused =
            run.entries.iter().filter(|entry| matches!(entry.what, What::DefaultRefused { .. })).count() as u64;
        assert_eq!(refused, if creates { 12 - created } else { 0 }, "C3");

        let run = run_on(sandbox(Options::default()), &tasks(Executor::Pool, Dispose::Task, mode, creates));
        is_clean_of_hazards(&run, 12);
        let run = run_on(sandbox(Options::default()), &tasks(Executor::Tasks, Dispose::Task, mode, creates));
        is_clean_of_hazards(&run, 12);
    }
}

#[track_caller]
fn is_clean_of_hazards(run: &Run, defaults: usize) {
    is_clean(run);
    let summary = Summary::of(run);
    assert_eq!((summary.opened, summary.tasks.len()), (defaults, 12));
    for row in &summary.tasks {
        assert_eq!((row.on(|whose| whose == Whose::Own), row.refused, row.workers.len()), (4, None, 1), "{}", row.task);
    }
}

#[test]
fn tasks_without_defaults_share_main_and_that_is_all_that_is_found() {
    for executor in [Executor::Pool, Executor::Tasks] {
        let run = run_on(sandbox(Options::default()), &tasks(executor, Dispose::Never, Mode::UseMainOrDefault, false));
        let advised: Vec<Finding> = verdict(&run).findings.into_iter().filter(|it| it.id != "MC050").collect();
        assert!(matches!(&advised[..], [only] if only.id == "MC053"), "{advised:?}");
        assert!(Summary::of(&run).tasks.iter().all(|row| row.on(|whose| whose == Whose::Main) == 4));
    }
}

#[test]
fn tasks_that_share_main_under_the_lock_for_a_command_get_in_each_other_s_way_as_workers_do() {
    for executor in [Executor::Pool, Executor::Tasks] {
        let mut plan = tasks(executor, Dispose::Never, Mode::UseMain, false);
        plan.mix = Mix::parse(plan.protocol, "fetch").unwrap();
        plan.asked = Asked::Operations(30);
        plan.lock = Lock::Command;
        let run = run_on(sandbox(Options::default()), &plan);
        let found = verdict(&run);
        let [("MC020", wrong)] = hazards(&found)[..] else { panic!("{:?}", found.findings) };
        assert!(wrong < 360, "{wrong}");
        assert!(run.operations().all(|(_, operation)| operation.task.is_some() && operation.relied_on.is_some()));
        let witness = found.witness.unwrap();
        assert_eq!((found.rules.held, witness.checked, witness.held), (360, 360, 360));
    }
}

#[test]
fn tasks_on_defaults_left_by_others_hold_the_rules_under_the_lock_for_a_command_too() {
    let mut plan = tasks(Executor::Pool, Dispose::Never, Mode::UseDefault, false);
    plan.lock = Lock::Command;
    let found = verdict(&run_on(sandbox(Options::default()), &plan));
    let hazards = hazards(&found);
    // No thread shares its default while a unit is under way: what is inherited is the connection, and no mailbox.
    assert!(hazards.iter().all(|(id, _)| *id == "MC010") && !hazards.is_empty(), "{hazards:?}");
    assert_eq!((found.rules.held, found.witness.unwrap().held), (48, 48));
}

/// A run of two tasks on two threads, written by hand: w0 has t0's #1, w1 has t1's #2.
struct Two(Written);

impl Two {
    fn new() -> Self {
        let mut run = Written::new(Mode::UseMainOrDefault);
        run.0.header.executor = Executor::Tasks;
        run.0.header.tasks = vec![Role { creates_default: true, creates_independent: false }; 2];
        run.0.header.asked = Asked::Operations(2);
        for number in [0, 1] {
            let (task, worker) = (TaskId(number), WorkerId(number));
            run.enter(What::TaskStarted { task, worker });
            let connection = ConnectionId(number + 1);
            let created = What::Created {
                connection,
                kind: Kind::Default,
                worker: Some(worker),
                task: Some(task),
                by_hand: true,
            };
            run.enter(created);
            run.open(number + 1);
        }
        Self(run)
    }

    /// An operation of that task on that thread, and so on that thread's default.
    fn operation(&mut self, task: u32, thread: u32) {
        let after = self.0.0.entries.len() as u64;
        let mut operation = operation(thread + 1, after, Mode::UseMainOrDefault, Reason::Default);
        operation.worker = WorkerId(thread);
        operation.task = Some(TaskId(task));
        operation.number = after;
        operation.had_default = true;
        self.0.enter(What::Operation(Box::new(operation)));
    }

    fn hazards(&self) -> Vec<(&'static str, u64, Vec<String>)> {
        let found = verdict(&self.0.0).findings.into_iter();
        found.filter(|it| it.id.starts_with("MC01")).map(|it| (it.id, it.count, it.evidence)).collect()
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

pub fn scattered() -> Run {
    on_two_threads().0.0
}

/// A task on another one's default, that had asked for one of its own.
pub fn inherited() -> Run {
    let mut run = Two::new();
    run.0.0.header.executor = Executor::Pool;
    run.operation(1, 0);
    run.0.enter(What::DefaultRefused { task: TaskId(1), worker: WorkerId(0), existing: ConnectionId(1) });
    run.0.0
}

#[test]
fn a_task_on_its_own_default_is_no_hazard() {
    let mut run = Two::new();
    for task in [0, 1, 0, 1] {
        run.operation(task, task);
    }
    assert_eq!(run.hazards(), []);
}

#[test]
fn a_task_on_another_ones_default_alone_is_mc010_and_not_mc011() {
    let mut run = Two::new();
    for task in [0, 1, 0, 1] {
        run.operation(task, 0);
    }
    assert_eq!(
        run.hazards(),
        [("MC010", 2, vec!["t1: 2 operation(s) (numbers 7 to 9) on #1, created on w0 by t0".to_owned()])]
    );

    let (task, worker, existing) = (TaskId(1), WorkerId(0), ConnectionId(1));
    run.0.enter(What::DefaultRefused { task, worker, existing });
    let evidence =
        "t1: 2 operation(s) (numbers 7 to 9) on #1, created on w0 by t0; refused one of its own by C3".to_owned();
    assert_eq!(run.hazards(), [("MC010", 2, vec![evidence])]);
}

#[test]
fn a_task_on_two_defaults_of_two_threads_is_mc011_too() {
    let run = on_two_threads();
    let inherited = ("MC010", 1, vec!["t0: 1 operation(s) (number 7) on #2, created on w1 by t1".to_owned()]);
    let scattered = (
        "MC011",
        1,
        vec!["t0: 1 operation(s) (number 6) on #1 on w0, 1 operation(s) (number 7) on #2 on w1".to_owned()],
    );
    assert_eq!(run.hazards(), [inherited, scattered]);
}

#[test]
fn an_operation_whose_bytes_no_socket_carried_is_no_evidence() {
    let mut run = Two::new();
    run.operation(1, 0);
    for entry in &mut run.0.0.entries {
        if let What::Operation(operation) = &mut entry.what {
            operation.local_port = None;
        }
    }
    assert_eq!(run.hazards(), []);
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
        let mut plan = tasks(executor, dispose, Mode::UseMainOrDefault, true);
        plan.mailboxes.clear();
        plan.mix = Mix::parse(plan.protocol, "status").unwrap();
        let run = run_on(sandbox(Options::default()), &plan);
        let found = verdict(&run);
        assert_eq!(found.conclusion, Conclusion::Broken, "{:?}", ids(&found));
        let summary = Summary::of(&run);
        assert_eq!((summary.operations.asked, summary.operations.not_issued), (48, 48));
        for row in &summary.tasks {
            let message = &row.stopped.as_ref().unwrap().message;
            assert_eq!(message, &format!("task {} panicked; this is a defect of mailconn", row.task));
        }
        let ended = run.entries.iter().filter(|entry| matches!(entry.what, What::TaskEnded { .. })).count();
        assert_eq!((ended, run.end.still_open), (12, 0));
        if dispose == Dispose::Task {
            assert_eq!(summary.opened, 12, "each found its thread without a default");
        }
    }
}
