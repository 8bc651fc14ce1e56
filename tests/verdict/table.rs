//! The whole truth table, each cell obeyed once and violated in every way, and the order of the conclusions.

use mailconn::allocator::Mode;
use mailconn::event::Event;
use mailconn::judge::rules::{self, Due, Row, Rules};
use mailconn::ledger::{Analysis, Ledger};
use serde_json::{Value, json};

use super::real::{agreement, ids, verdict};
use crate::support::tool;
use crate::support::written::{Written, failed, failure, operation};

const MAIN: u32 = 0;
const OWN_DEFAULT: u32 = 1;
const PASSED: u32 = 2;
const ANOTHERS_DEFAULT: u32 = 3;
const ANOTHER_INDEPENDENT: u32 = 4;
const CREATED_FOR_IT: u32 = 5;
const ALL: [u32; 6] = [MAIN, OWN_DEFAULT, PASSED, ANOTHERS_DEFAULT, ANOTHER_INDEPENDENT, CREATED_FOR_IT];

/// Whether the run's one operation had the right connection.
#[track_caller]
fn holds(run: &Written) -> bool {
    let verdict = verdict(&run.file());
    let [checked, held, ..] = agreement(&verdict);
    assert_eq!(checked, Some(1));
    assert_eq!(ids(&verdict).contains(&"MC001"), held == Some(0), "{:#}", verdict["findings"]);
    assert_eq!(verdict["exit_code"] == 7, held == Some(0));
    held == Some(1)
}

/// A run with one operation of w0, on any of six connections.
fn used(mode: &str, had_default: bool, passed: bool, used: u32, reason: &str) -> Written {
    let mut run = Written::new(mode);
    run.open(MAIN);
    if had_default {
        run.create(OWN_DEFAULT, "default", 0, true);
        run.open(OWN_DEFAULT);
    }
    run.create(PASSED, "independent", 0, true);
    run.create(ANOTHERS_DEFAULT, "default", 1, true);
    run.create(ANOTHER_INDEPENDENT, "independent", 1, true);
    for connection in [PASSED, ANOTHERS_DEFAULT, ANOTHER_INDEPENDENT] {
        run.open(connection);
    }
    let issued_after = run.known();
    if used == CREATED_FOR_IT {
        run.create(CREATED_FOR_IT, "default", 0, false);
        run.open(CREATED_FOR_IT);
    }
    let operation = run.operate(operation(used, issued_after, mode, reason));
    operation["had_default"] = json!(had_default);
    operation["passed"] = if passed { json!(format!("#{PASSED}")) } else { Value::Null };
    run
}

/// The table of rules A1–A3, by hand a third time.
#[rustfmt::skip]
const TABLE: [(&str, bool, bool, u32, &str); 12] = [
    ("use-main",            false, false, MAIN,           "main"),
    ("use-main",            true,  false, MAIN,           "main"),
    ("use-main",            false, true,  PASSED,         "explicit"),
    ("use-main",            true,  true,  PASSED,         "explicit"),
    ("use-default",         false, false, CREATED_FOR_IT, "default-created"),
    ("use-default",         true,  false, OWN_DEFAULT,    "default"),
    ("use-default",         false, true,  PASSED,         "explicit"),
    ("use-default",         true,  true,  PASSED,         "explicit"),
    ("use-main-or-default", false, false, MAIN,           "main"),
    ("use-main-or-default", true,  false, OWN_DEFAULT,    "default"),
    ("use-main-or-default", false, true,  PASSED,         "explicit"),
    ("use-main-or-default", true,  true,  PASSED,         "explicit"),
];

/// A cell, a run that uses it, and whether that run is right.
type Case = ((Mode, bool, bool), Written, bool);

/// Each cell used rightly, and in every wrong way.
fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, had_default, passed, due, reason) in TABLE {
        let cell = (name.parse().unwrap(), had_default, passed);
        for connection in ALL {
            cases.push((cell, used(name, had_default, passed, connection, reason), connection == due));
        }
        for other in REASONS.into_iter().filter(|other| *other != reason) {
            cases.push((cell, used(name, had_default, passed, due, other), false));
        }
    }
    cases
}

const REASONS: [&str; 4] = ["main", "default", "default-created", "explicit"];

/// The cells whose cases a judge with that table judges wrongly.
fn disagreements(table: &'static [Row], cases: &[(&Case, Vec<Event>)]) -> Vec<(Mode, bool, bool)> {
    let mut wrong = Vec::new();
    for ((cell, _, is_right), events) in cases {
        let (mut known, mut rules) = (Ledger::default(), Rules::by(table));
        for event in events {
            known.see(event);
            rules.see(event, &known);
        }
        assert_eq!(rules.agreement.checked, 1);
        if (rules.agreement.held == 1) != *is_right {
            wrong.push(*cell);
        }
    }
    wrong.dedup();
    wrong
}

#[test]
fn each_cell_of_the_table_holds_for_its_connection_and_its_reason_alone() {
    for (cell, run, is_right) in cases() {
        assert_eq!(holds(&run), is_right, "{cell:?}: {:#}", run.lines.last().unwrap());
    }
}

/// Planted are every other connection, every other reason, and no row at all.
#[test]
fn each_wrong_cell_of_the_judges_table_is_seen_and_no_other() {
    let cases = cases();
    let cases: Vec<_> = cases.iter().map(|case| (case, tool::heard_again(&case.1.file()))).collect();
    assert_eq!(disagreements(&rules::TABLE, &cases), []);
    let mut planted = 0;
    for (at, &row) in rules::TABLE.iter().enumerate() {
        let (mode, had_default, passed, due, reason) = row;
        let connections = [Due::Passed, Due::Main, Due::OwnDefault, Due::NewDefault].into_iter();
        let connections =
            connections.filter(|other| *other != due).map(|other| vec![(mode, had_default, passed, other, reason)]);
        let reasons = REASONS.into_iter().filter(|other| *other != reason);
        let reasons = reasons.map(|other| vec![(mode, had_default, passed, due, other)]);
        for wrong in connections.chain(reasons).chain([vec![]]) {
            let mut table = rules::TABLE.to_vec();
            table.splice(at..=at, wrong.clone());
            assert_eq!(disagreements(table.leak(), &cases), [(mode, had_default, passed)], "{row:?} became {wrong:?}");
            planted += 1;
        }
    }
    assert_eq!(planted, 12 * (3 + 3 + 1));
}

#[test]
fn a_default_that_was_there_before_was_not_created_for_it() {
    let mode = "use-default";
    for (by_hand, worker, early, due) in
        [(false, 0, false, true), (true, 0, false, false), (false, 1, false, false), (false, 0, true, false)]
    {
        let mut run = Written::new(mode);
        let before = run.known();
        run.create(1, "default", worker, by_hand);
        run.open(1);
        if early {
            run.dispose(1, "by-hand");
        }
        let issued_after = if early { run.known() } else { before };
        run.operate(operation(1, issued_after, mode, "default-created"));
        assert_eq!(holds(&run), due, "{by_hand} {worker} {early}");
    }
}

#[test]
fn a_disposed_default_is_one_no_more() {
    let mode = "use-main-or-default";
    for disposed in [true, false] {
        let mut run = Written::new(mode);
        run.create(1, "default", 0, true);
        run.open(1);
        if disposed {
            run.dispose(1, "by-hand");
        }
        run.open(MAIN);
        run.operate(operation(MAIN, run.known(), mode, "main"));
        assert_eq!(holds(&run), disposed);
    }
}

#[test]
fn the_mode_that_counts_is_the_one_in_force() {
    let to = "use-default";
    for (claimed, issued_after, due) in
        [("use-main", 2, true), (to, 2, true), ("use-main", 3, false), (to, 3, true), ("use-main-or-default", 3, false)]
    {
        let mut run = Written::new("use-main");
        run.open(MAIN);
        run.enter("mode-changed", json!({"from": "use-main", "to": to}));
        let reason = if claimed == to { "default-created" } else { "main" };
        let used = if claimed == to { 1 } else { MAIN };
        run.create(1, "default", 0, false);
        run.open(1);
        run.operate(operation(used, issued_after, claimed, reason));
        assert_eq!(holds(&run), due, "{claimed} after {issued_after}");
    }
}

/// Each makes a run end with that exit code, if nothing above it does.
type Cause = (u8, fn(&mut Written));
const CAUSES: [Cause; 6] = [
    (130, |run| run.interrupted = Some(2)),
    (7, |run| {
        run.operate(operation(77, 0, "use-main", "main"));
    }),
    (5, |run| {
        run.refused(11, 1, 0, "auth-invalid");
    }),
    (6, |run| {
        run.refused(12, 1, 3, "limit-connections");
    }),
    (4, |run| {
        run.refused(13, 1, 0, "connect-refused");
    }),
    (1, |run| {
        let refused = failure("server-no", "operation", "no", None);
        run.operate(failed(operation(MAIN, run.known(), "use-main", "main"), refused));
    }),
];

#[test]
fn of_several_conclusions_the_first_counts_in_every_combination() {
    for chosen in 0..1u32 << CAUSES.len() {
        let mut run = Written::new("use-main");
        run.open(MAIN);
        let mut expected = 0;
        for (number, (code, cause)) in CAUSES.iter().enumerate().rev() {
            if chosen & (1 << number) != 0 {
                cause(&mut run);
                expected = *code;
            }
        }
        run.close(MAIN, "logged-out");
        assert_eq!(verdict(&run.file())["exit_code"], expected, "{chosen:06b}");
    }
}

#[test]
fn an_interrupted_run_ends_as_a_shell_would_have_it() {
    for (signal, code) in [(1, 129), (2, 130), (15, 143)] {
        let mut run = Written::new("use-main");
        run.interrupted = Some(signal);
        assert_eq!(verdict(&run.file())["exit_code"], code);
    }
}

#[test]
fn a_redial_that_fails_is_no_first_dial_but_a_limit_is_always_one() {
    for (kind, code) in [("connect-refused", 1), ("auth-invalid", 1), ("limit-connections", 6)] {
        let mut run = Written::new("use-main");
        run.open(MAIN);
        run.close(MAIN, "discarded");
        run.refused(MAIN, 2, 0, kind);
        let redialled = operation(MAIN, run.known() - 1, "use-main", "main");
        let line = run.operate(failed(redialled, failure(kind, "auth", "no", None)));
        (line["local_port"], line["session"]) = (Value::Null, json!("#0.2"));
        assert_eq!(verdict(&run.file())["exit_code"], code, "{kind}");
    }
}
