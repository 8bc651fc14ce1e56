//! Modes that are set anew under load: each operation has the mode it was issued under, and the verdict follows.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::real::{agreement, all_held, is_clean, lines, verdict};
use crate::cli::process::{list, number, of_kind};
use crate::support::written::{Written, operation};

const MODES: [&str; 3] = ["use-main", "use-default", "use-main-or-default"];
const THREADS: u64 = 8;
const EACH: u64 = 40;

/// The mode that a run of so many operations begins with, and those that it is switched to.
struct Switched {
    first: &'static str,
    switches: Vec<(u64, &'static str)>,
    operations: u64,
}

impl Switched {
    fn run(&self, args: &str) -> Vec<Value> {
        let switches: String =
            self.switches.iter().map(|(after, mode)| format!(" --switch-mode {after}={mode}")).collect();
        let mailboxes = "--mailbox INBOX --mailbox Archive";
        lines(&format!("--mode {} {args} {mailboxes}{switches}", self.first))
    }

    /// How many operations each section must have: the thresholds are exact.
    fn due(&self) -> Vec<(&str, u64)> {
        let ends = self.switches.iter().map(|(after, _)| *after).chain([self.operations]);
        let begins = [0].into_iter().chain(self.switches.iter().map(|(after, _)| *after));
        let modes = [self.first].into_iter().chain(self.switches.iter().map(|(_, mode)| *mode));
        modes.zip(ends.zip(begins).map(|(end, begin)| end - begin)).collect()
    }

    #[track_caller]
    fn holds(&self, run: &[Value]) {
        let verdict = is_clean(run);
        assert_eq!(sections(&verdict), self.due());
        let mut by_mode: BTreeMap<&str, u64> = BTreeMap::new();
        for operation in of_kind(run, "operation") {
            *by_mode.entry(operation["mode"].as_str().unwrap()).or_default() += 1;
        }
        let mut due_by_mode: BTreeMap<&str, u64> = BTreeMap::new();
        for (mode, issued) in self.due() {
            *due_by_mode.entry(mode).or_default() += issued;
        }
        assert_eq!(by_mode, due_by_mode, "an operation has the mode that it was issued under");
        let defaults: BTreeSet<&str> = of_kind(run, "connection-created")
            .filter(|created| created["kind"] == "default")
            .map(|created| created["connection"].as_str().unwrap())
            .collect();
        for section in list(&verdict["sections"]) {
            let reasons = &section["reasons"];
            match section["mode"].as_str().unwrap() {
                "use-main" => {
                    let used = section["connections"].as_object().unwrap();
                    assert!(used.keys().all(|connection| !defaults.contains(&**connection)), "{section:#}");
                }
                "use-default" => assert_eq!(reasons["main"], Value::Null, "A4: {section:#}"),
                _ => assert_eq!(reasons["default-created"], Value::Null, "A3: {section:#}"),
            }
        }
        all_held(&verdict, self.operations);
    }
}

/// The mode of each section, and how many operations were issued in it.
fn sections(verdict: &Value) -> Vec<(&str, u64)> {
    let sections = list(&verdict["sections"]).iter();
    sections.map(|it| (it["mode"].as_str().unwrap(), number(&it["operations"]["issued"]))).collect()
}

#[test]
fn m1_the_verdict_holds_and_the_thresholds_are_exact_with_switches_under_load() {
    let mut choose = fastrand::Rng::with_seed(20_261_124);
    for _ in 0..20 {
        // Several switches at random, some to the mode that is in force, some right after each other.
        let after: BTreeSet<u64> = (0..choose.usize(3..9)).map(|_| choose.u64(1..THREADS * EACH)).collect();
        let mut mode = || MODES[choose.usize(0..3)];
        let first = mode();
        let switches = after.into_iter().map(|after| (after, mode())).collect();
        let switched = Switched { first, switches, operations: THREADS * EACH };
        let defaults = if first == "use-main-or-default" { "w0,w3,w6" } else { "none" };
        let roles = format!("--default-for {defaults} --independent-for w1,w5");
        let args = format!("-t {THREADS} -n {EACH} {roles} --ops noop=4,status,fetch --seed {}", choose.u32(..));
        switched.holds(&switched.run(&args));
    }
}

#[test]
fn m1_tasks_have_the_mode_that_each_operation_was_issued_under_too() {
    let switches = vec![(30, "use-default"), (75, "use-main-or-default"), (110, "use-main")];
    let switched = Switched { first: "use-main", switches, operations: 150 };
    for executor in ["pool", "tasks"] {
        let args = format!("-t 4 --tasks 10 -n 15 --executor {executor} --dispose task --ops noop");
        switched.holds(&switched.run(&args));
    }
}

/// Doctored: an operation after a switch claims the mode before it, with all that follows from that.
#[test]
fn m1_an_operation_that_claims_the_mode_before_the_switch_is_caught() {
    for (from, to) in [("use-main", "use-default"), ("use-main-or-default", "use-default")] {
        let mut run = Written::new(from);
        run.open(0);
        let before = run.known();
        run.enter("mode-changed", json!({"from": from, "to": to}));
        let after = run.known();
        run.operate(operation(0, before, from, "main"));
        assert_eq!(agreement(&verdict(&run.file()))[1], Some(1), "it was issued before");
        run.operate(operation(0, after, from, "main"));
        assert_eq!(agreement(&verdict(&run.file()))[1], Some(1), "this one was not");
    }
}

#[test]
fn an_operation_belongs_to_the_section_it_was_issued_in_though_it_ends_in_another() {
    let (from, to) = ("use-main", "use-main-or-default");
    let mut run = Written::new(from);
    run.open(0);
    let before = run.known();
    run.enter("mode-changed", json!({"from": from, "to": to}));
    run.operate(operation(0, before, from, "main"));
    // Set between its beginning and the decision.
    run.operate(operation(0, before, to, "main"));
    run.operate(operation(0, before + 1, to, "main"));
    let verdict = verdict(&run.file());
    assert_eq!(sections(&verdict), [(from, 1), (to, 2)]);
    let second = &verdict["sections"][1];
    assert_eq!((&second["connections"], &second["reasons"]), (&json!({"#0": 2}), &json!({"main": 2})));
}

/// Both leases of a unit are taken under the mode that it was issued under, though another be set between them.
#[test]
fn a_unit_in_two_leases_keeps_its_mode_and_its_connection_across_a_switch() {
    let switches = vec![(60, "use-default"), (120, "use-main"), (180, "use-default")];
    let switched = Switched { first: "use-main", switches, operations: 240 };
    let run = switched.run("-t 4 -n 60 --ops fetch --lock command");
    let verdict = verdict(&run);
    all_held(&verdict, 240);
    assert_eq!(sections(&verdict), switched.due());
    for operation in of_kind(&run, "operation") {
        assert_eq!(operation["relied_on"]["session"], operation["session"], "{operation}");
        assert_eq!(operation["connection"] == "#0", operation["mode"] == "use-main", "{operation}");
    }
}
