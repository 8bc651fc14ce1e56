//! The workers and the tasks that a run's start lists: of many, those alike stand together, and the line stays short.

use std::fs;

use mailconn::event::{self, Event, LONGEST, Micros, Role, RunStart, Stretches, TaskRole, What};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::cli::process::{Ended, end, mailconn, run};
use crate::support::written::Written;

const NONE: Role = Role { creates_default: false, creates_independent: false };
const DEFAULT: Role = Role { creates_default: true, creates_independent: false };
const BOTH: Role = Role { creates_default: true, creates_independent: true };

/// The start of a run that is written by hand, with these workers and tasks.
fn start(workers: &Value, tasks: &Value, threads: usize) -> String {
    let mut line = Written::new("use-main").lines.remove(0);
    (line["seq"], line["time"]) = (json!(0), line["started"].clone());
    (line["workers"], line["tasks"], line["threads"]) = (workers.clone(), tasks.clone(), json!(threads));
    line.to_string()
}

fn read(line: &str) -> Result<(RunStart, Vec<String>), String> {
    match event::read(line.as_bytes()) {
        Ok((Event { what: What::RunStart(start), .. }, _, unknown)) => Ok((*start, unknown)),
        Ok(_) => panic!("{line} is no start"),
        Err(error) => Err(error.to_string()),
    }
}

fn written(start: &RunStart) -> String {
    let event = Event { seq: 0, at: Micros::ZERO, what: Box::new(start.clone()).into() };
    let mut line = Vec::new();
    event::write(&event, start.started, event::Within::default(), &mut line);
    String::from_utf8(line).unwrap()
}

/// A start with these workers and tasks, none of which has a name.
fn of(workers: &[Role], tasks: &[Role]) -> RunStart {
    let mut start = read(&start(&json!([]), &json!([]), 0)).unwrap().0;
    let list = |roles: &[Role]| roles.iter().map(|role| (None, *role)).collect::<Vec<_>>();
    start.threads = workers.len();
    (start.workers, start.tasks) = (Stretches::of(list(workers).into_iter()), Stretches::of(list(tasks).into_iter()));
    start
}

/// What a line says of workers and tasks is what was told to them, one by one.
#[track_caller]
fn round_trip(workers: &[Role], tasks: &[Role]) -> Value {
    let line = written(&of(workers, tasks));
    let (start, unknown) = read(&line).unwrap();
    assert_eq!((written(&start), unknown), (line.clone(), Vec::new()));
    assert_eq!((start.workers.len(), start.tasks.len()), (workers.len(), tasks.len()));
    for (number, role) in (0..).zip(workers) {
        assert_eq!(start.workers.get(number).map(|it| it.role), Some(*role), "w{number}");
    }
    for (number, role) in (0..).zip(tasks) {
        assert_eq!(start.tasks.get(number).map(|it| it.role), Some(*role), "t{number}");
    }
    assert!(start.tasks.get(tasks.len() as u32).is_none());
    serde_json::from_str(&line).unwrap()
}

fn worker(number: u32) -> Value {
    json!({"worker": format!("w{number}"), "name": null, "creates_default": false, "creates_independent": false})
}

fn task(number: u32, to: Option<u32>, role: Role) -> Value {
    let Role { creates_default, creates_independent } = role;
    let mut entry = json!({"task": format!("t{number}"), "name": null, "creates_default": creates_default, "creates_independent": creates_independent});
    if let Some(to) = to {
        entry["to"] = json!(format!("t{to}"));
    }
    entry
}

#[test]
fn few_are_listed_one_by_one_and_of_many_those_that_are_alike_stand_together() {
    for (count, entries) in [(0, 0), (1, 1), (2, 2), (256, 256), (257, 1), (20_000, 1), (100_000, 1)] {
        let line = round_trip(&[NONE; 4], &vec![DEFAULT; count]);
        assert_eq!(line["workers"], (0..4).map(worker).collect::<Value>());
        let tasks = line["tasks"].as_array().unwrap();
        assert_eq!(tasks.len(), entries, "{count}");
        if count == entries {
            assert!((0..).zip(tasks).all(|(number, entry)| *entry == task(number, None, DEFAULT)));
        } else {
            assert_eq!(tasks, &[task(0, Some(count as u32 - 1), DEFAULT)]);
        }
        let threads = round_trip(&vec![NONE; count], &[]);
        assert_eq!(threads["workers"].as_array().unwrap().len(), entries);
    }
    let mixed = [&[BOTH; 2][..], &[DEFAULT], &[NONE; 300], &[DEFAULT; 3], &[NONE]].concat();
    let expected = [
        task(0, Some(1), BOTH),
        task(2, None, DEFAULT),
        task(3, Some(302), NONE),
        task(303, Some(305), DEFAULT),
        task(306, None, NONE),
    ];
    assert_eq!(round_trip(&[NONE], &mixed)["tasks"], json!(expected));
    assert!(written(&of(&[NONE; 256], &[BOTH; 256])).len() < LONGEST * 2 / 3 + 1000);
}

/// Its name is what tells one from the other, however many there are.
#[test]
fn who_has_a_name_stands_alone() {
    let each = (0..400).map(|number| ((100..200).contains(&number).then(|| format!("P:{number}")), NONE));
    let each: Vec<_> = each.collect();
    let listed: Stretches<TaskRole> = Stretches::of(each.clone().into_iter());
    assert_eq!((listed.len(), listed.entries().count()), (400, 102));
    for (number, (name, _)) in (0..).zip(each) {
        assert_eq!(listed.get(number).unwrap().name, name);
    }
}

proptest! {
    #[test]
    fn whatever_roles_they_have(lengths in prop::collection::vec((1_usize..400, 0_usize..3), 0..20)) {
        let roles: Vec<Role> =
            lengths.into_iter().flat_map(|(length, role)| vec![[NONE, DEFAULT, BOTH][role]; length]).collect();
        round_trip(&roles, &roles);
    }
}

#[test]
fn a_list_that_cannot_be_is_one_sentence() {
    let stretch = |from: u32, to: u32| task(from, Some(to), NONE);
    let named = |mut entry: Value| {
        entry["name"] = json!("T");
        entry
    };
    let workers = |from: u32, to: u32| json!([{"worker": format!("w{from}"), "to": format!("w{to}"), "name": null, "creates_default": false, "creates_independent": false}]);
    for (tasks, said) in [
        (vec![task(1, None, NONE)], "t1 stands where t0 is due"),
        (vec![stretch(0, 4), task(6, None, NONE)], "t6 stands where t5 is due"),
        (vec![stretch(0, 4), stretch(4, 9)], "t4 stands where t5 is due"),
        (vec![task(0, None, NONE), stretch(1, 0)], "t1 to t0 is no stretch of tasks"),
        (vec![named(stretch(0, 4))], "t0 to t4 have one name"),
        (vec![stretch(0, 1_000_000)], "there are more than 1000000 tasks"),
        (vec![stretch(0, u32::MAX)], "there are more than 1000000 tasks"),
        (vec![stretch(0, 600_000), stretch(600_001, 1_200_000)], "there are more than 1000000 tasks"),
    ] {
        assert_eq!(read(&start(&json!([worker(0)]), &json!(tasks), 1)).unwrap_err(), said);
    }
    assert_eq!(read(&start(&workers(0, 4), &json!([]), 4)).unwrap_err(), "4 threads, and 5 workers");
    assert_eq!(read(&start(&workers(1, 4), &json!([]), 4)).unwrap_err(), "w1 stands where w0 is due");
    assert_eq!(read(&start(&workers(0, 999_999), &json!([]), 1_000_000)).unwrap().0.workers.len(), 1_000_000);
    for (from, to, said) in
        [("\"t9\"", "\"w9\"", "\"w9\" is no task's name"), ("\"t9\"", "9", "invalid type: integer `9`")]
    {
        let line = start(&json!([worker(0)]), &json!([stretch(0, 9)]), 1).replace(from, to);
        let error = read(&line).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

#[test]
fn what_is_not_known_of_a_stretch_or_of_one_is_told() {
    for at in [0, 1] {
        let mut tasks = [task(0, Some(99), NONE), task(100, None, DEFAULT)];
        tasks[at]["weight"] = json!(7);
        let (_, unknown) = read(&start(&json!([worker(0)]), &json!(tasks), 1)).unwrap();
        assert_eq!(unknown, ["tasks.weight"]);
    }
}

fn verify(file: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("it"), file).unwrap();
    end(mailconn(["verify", "it"]).current_dir(directory.path()))
}

#[test]
fn no_line_of_a_run_of_many_tasks_is_long_and_all_of_it_is_read_again() {
    let args = "--executor pool --threads 4 --tasks 5000 -n 1 --ops noop --default-for t0-t4 --dispose task --mode \
                use-main-or-default --format ndjson";
    let ran = run(args);
    assert_eq!((ran.code, &*ran.stderr), (0, ""));
    assert!(ran.stdout.lines().all(|line| line.len() < LONGEST));
    let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!(first["tasks"], json!([task(0, Some(4), DEFAULT), task(5, Some(4_999), NONE)]));
    let verified = verify(&ran.stdout);
    assert_eq!((verified.code, &*verified.stderr), (0, ""), "{}", verified.stdout);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("it"), &ran.stdout).unwrap();
    let report = end(mailconn(["report", "it", "--format", "json"]).current_dir(directory.path())).json();
    assert_eq!((report["tasks"].as_array().unwrap().len(), &report["threads"]), (5_000, &json!(4)));
    assert_eq!(report["operations_on"]["own_default"], 5);

    // The same, each told apart: only a file of version 2 may do so.
    let each: Vec<Value> =
        (0..5_000).map(|number| task(number, None, if number < 5 { DEFAULT } else { NONE })).collect();
    let mut long = first;
    long["tasks"] = json!(each);
    let rest = ran.stdout.split_once('\n').unwrap().1;
    let refused = verify(&format!("{long}\n{rest}"));
    let said = "mailconn: it cannot be read: line 1 is no run-start that can be: it is longer than 65536 bytes\n";
    assert_eq!((refused.code, &*refused.stderr), (2, said));
    long["schema_version"] = json!(2);
    let verified = verify(&format!("{long}\n{rest}"));
    assert_eq!((verified.code, &*verified.stderr), (0, ""), "{}", verified.stdout);
}

#[test]
fn a_start_that_contradicts_itself_is_told_as_that() {
    let ran = run("-n 1 --threads 4 --ops noop --format ndjson");
    for (from, to, why) in [
        ("\"threads\":4", "\"threads\":5", "5 threads, and 4 workers"),
        ("\"worker\":\"w2\"", "\"worker\":\"w2\",\"to\":\"w1\"", "w2 to w1 is no stretch of workers"),
        ("\"mailboxes\":", "\"mailbags\":", "missing field `mailboxes`"),
        ("\"schema_version\":6,", "", "missing field `schema_version`"),
    ] {
        let lie = ran.stdout.replacen(from, to, 1);
        assert_ne!(lie, ran.stdout, "{from}");
        let refused = verify(&lie);
        let said = format!("mailconn: it cannot be read: line 1 is no run-start that can be: {why}");
        assert_eq!((refused.code, &*refused.stdout, refused.stderr.lines().count()), (2, "", 1));
        assert!(refused.stderr.starts_with(&said), "{}", refused.stderr);
    }
}

/// Nothing is dialled: what cannot be written down is not begun.
#[test]
fn a_start_that_has_no_room_in_a_line_is_refused() {
    let mut mailboxes = mailconn(["run", "-n", "1"]);
    mailboxes.args((0..2_000).map(|number| format!("--mailbox=Archive/of/the/year/{number:020}")));
    let tasks: Vec<String> = (0..1_000).map(|number| format!("t{}", 2 * number)).collect();
    let args = ["run", "--executor", "pool", "--tasks", "2000", "-n", "1", "--independent-for", &tasks.join(",")];
    let pool: String = (0..1_000).map(|_| "P noop\n").collect();
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("long"), format!("client use-main\npool P threads=2\n{pool}")).unwrap();
    let mut scenario = mailconn(["scenario", "long"]);
    scenario.current_dir(directory.path());
    for command in [&mut mailboxes, &mut mailconn(args), &mut scenario] {
        let ended = end(command);
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconn: the run-start line would take "), "{}", ended.stderr);
        assert!(ended.stderr.contains(" bytes, and no line takes more than 65536: name fewer "), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
    }
}
