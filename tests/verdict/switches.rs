//! Modes that are set anew under load: each operation has the mode it was issued under, and the verdict follows.

use std::collections::{BTreeMap, BTreeSet};

use mailconn::allocator::{ConnectionId, Kind, Mode, Reason};
use mailconn::record::{Dispose, Executor, Lock, Role, Run, Summary, Switch, What};
use mailconn::sandbox::Options;
use mailconn::workload::Plan;

use super::real::{is_clean, plan, run_on, sandbox, verdict};
use super::table::{Written, operation};

const THREADS: u32 = 8;
const EACH: u64 = 40;

/// Several switches at random, some to the mode that is in force, some right after each other.
fn random(choose: &mut fastrand::Rng) -> Plan {
    let all = u64::from(THREADS) * EACH;
    let after: BTreeSet<u64> = (0..choose.usize(3..9)).map(|_| choose.u64(1..all)).collect();
    let mut mode = || Mode::ALL[choose.usize(0..3)];
    let first = mode();
    let switches = after.into_iter().map(|after| Switch { after, mode: mode() }).collect();
    let roles = (0..THREADS).map(|number| Role {
        creates_default: first == Mode::UseMainOrDefault && number % 3 == 0,
        creates_independent: number % 4 == 1,
    });
    Plan { switches, seed: choose.u64(..), ..plan(first, roles.collect(), EACH, "noop=4,status,fetch") }
}

/// How many operations each section must have: the thresholds are exact.
fn due(plan: &Plan) -> Vec<(Mode, u64)> {
    let ends = plan.switches.iter().map(|switch| switch.after).chain(plan.operations());
    let modes = std::iter::once(plan.mode).chain(plan.switches.iter().map(|switch| switch.mode));
    let begins = std::iter::once(0).chain(plan.switches.iter().map(|switch| switch.after));
    modes.zip(ends.zip(begins).map(|(end, begin)| end - begin)).collect()
}

#[track_caller]
fn holds(plan: &Plan, run: &Run) {
    is_clean(run);
    let summary = Summary::of(run);
    let sections: Vec<(Mode, u64)> = summary.sections.iter().map(|section| (section.mode, section.issued())).collect();
    assert_eq!(sections, due(plan));
    let mut by_mode: BTreeMap<&str, u64> = BTreeMap::new();
    for (_, operation) in run.operations() {
        *by_mode.entry(operation.mode.name()).or_default() += 1;
    }
    let mut due_by_mode: BTreeMap<&str, u64> = BTreeMap::new();
    for (mode, issued) in due(plan) {
        *due_by_mode.entry(mode.name()).or_default() += issued;
    }
    assert_eq!(by_mode, due_by_mode, "an operation has the mode that it was issued under");
    for section in &summary.sections {
        let mains = section.reasons.get("main").copied().unwrap_or_default();
        match section.mode {
            Mode::UseMain => {
                assert!(section.connections.values().all(|(kind, _)| *kind != Kind::Default), "{section:?}")
            }
            Mode::UseDefault => assert_eq!(mains, 0, "A4: {section:?}"),
            Mode::UseMainOrDefault => assert!(!section.reasons.contains_key("default-created"), "A3: {section:?}"),
        }
    }
    let witness = verdict(run).witness.unwrap();
    assert_eq!((witness.checked, witness.held), (plan.operations().unwrap(), plan.operations().unwrap()));
}

#[test]
fn m1_the_verdict_holds_and_the_thresholds_are_exact_with_switches_under_load() {
    let mut choose = fastrand::Rng::with_seed(20_261_124);
    for _ in 0..20 {
        let plan = random(&mut choose);
        let run = run_on(sandbox(Options::default()), &plan);
        holds(&plan, &run);
    }
}

#[test]
fn m1_tasks_have_the_mode_that_each_operation_was_issued_under_too() {
    let switch = |after, mode| Switch { after, mode };
    for executor in [Executor::Pool, Executor::Tasks] {
        let plan = Plan {
            executor,
            tasks: vec![Role::default(); 10],
            dispose: Dispose::Task,
            switches: vec![
                switch(30, Mode::UseDefault),
                switch(75, Mode::UseMainOrDefault),
                switch(110, Mode::UseMain),
            ],
            ..plan(Mode::UseMain, vec![Role::default(); 4], 15, "noop")
        };
        let run = run_on(sandbox(Options::default()), &plan);
        holds(&plan, &run);
    }
}

/// Doctored: an operation after a switch claims the mode before it, with all that follows from that.
#[test]
fn m1_an_operation_that_claims_the_mode_before_the_switch_is_caught() {
    for (from, to) in [(Mode::UseMain, Mode::UseDefault), (Mode::UseMainOrDefault, Mode::UseDefault)] {
        let mut run = Written::new(from);
        run.open(0);
        let before = run.0.entries.len() as u64;
        run.enter(What::ModeChanged { from, to });
        let after = run.0.entries.len() as u64;
        run.enter(What::Operation(Box::new(operation(0, before, from, Reason::Main))));
        assert_eq!(verdict(&run.0).rules.held, 1, "it was issued before");
        run.enter(What::Operation(Box::new(operation(0, after, from, Reason::Main))));
        assert_eq!(verdict(&run.0).rules.held, 1, "this one was not");
    }
}

#[test]
fn an_operation_belongs_to_the_section_it_was_issued_in_though_it_ends_in_another() {
    let (from, to) = (Mode::UseMain, Mode::UseMainOrDefault);
    let mut run = Written::new(from);
    run.open(0);
    let before = run.0.entries.len() as u64;
    run.enter(What::ModeChanged { from, to });
    run.enter(What::Operation(Box::new(operation(0, before, from, Reason::Main))));
    // Set between its beginning and the decision.
    run.enter(What::Operation(Box::new(operation(0, before, to, Reason::Main))));
    run.enter(What::Operation(Box::new(operation(0, before + 1, to, Reason::Main))));
    let sections = Summary::of(&run.0).sections;
    let found: Vec<_> = sections.iter().map(|section| (section.mode, section.issued())).collect();
    assert_eq!(found, [(from, 1), (to, 2)]);
    assert_eq!(sections[1].connections, BTreeMap::from([(ConnectionId::MAIN, (Kind::Main, 2))]));
    assert_eq!(sections[1].reasons, BTreeMap::from([("main", 2)]));
}

/// Both leases of a unit are taken under the mode that it was issued under, though another be set between them.
#[test]
fn a_unit_in_two_leases_keeps_its_mode_and_its_connection_across_a_switch() {
    let switches = [(60, Mode::UseDefault), (120, Mode::UseMain), (180, Mode::UseDefault)];
    let mut plan = plan(Mode::UseMain, vec![Role::default(); 4], 60, "fetch");
    plan.switches = switches.map(|(after, mode)| Switch { after, mode }).to_vec();
    plan.lock = Lock::Command;
    let run = run_on(sandbox(Options::default()), &plan);
    let found = verdict(&run);
    let witness = found.witness.unwrap();
    assert_eq!((found.rules.held, witness.checked, witness.held), (240, 240, 240), "{:?}", found.findings);
    let summary = Summary::of(&run);
    let sections: Vec<(Mode, u64)> = summary.sections.iter().map(|section| (section.mode, section.issued())).collect();
    assert_eq!(sections, due(&plan));
    for (_, operation) in run.operations() {
        let relied_on = operation.relied_on.as_ref().unwrap();
        assert_eq!(Some(relied_on.session), operation.session, "operation {}", operation.number);
        assert_eq!(relied_on.session.connection == ConnectionId::MAIN, operation.mode == Mode::UseMain);
    }
}
