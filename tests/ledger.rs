//! The streaming state and those who ask it: they come to what the whole run comes to, and remember no more than they must.

use mailconn::judge::{Analysis, Rules};
use mailconn::ledger::Ledger;
use mailconn::record::{Run, Summary, Verdict};
use mailconn::report::{Recorded, ScenarioVerification};

use crate::cli::process::{end, mailconn, run};
use crate::verify::traces::{RUNS, file_of};

/// The rules' answer, and the most that was remembered on the way.
fn judged(run: &Run) -> (Rules, usize) {
    let (mut ledger, mut rules, mut most) = (Ledger::default(), Rules::default(), 0);
    for event in run.events() {
        ledger.see(&event);
        rules.see(&event, &ledger);
        most = most.max(ledger.remembered());
    }
    (rules, most)
}

#[track_caller]
fn agree(run: &Run, of: &str) {
    let (rules, _) = judged(run);
    let verdict = Verdict::on(run, &Summary::of(run));
    let old = (verdict.rules.checked, verdict.rules.held);
    assert_eq!((rules.agreement.checked, rules.agreement.held), old, "{of}: {:?}", rules.wrong);
}

#[test]
fn the_rules_come_to_the_same_event_by_event() {
    for args in RUNS {
        let Recorded::Run(trace) = Recorded::read(file_of(args).as_bytes()).unwrap() else { panic!("{args}") };
        agree(&trace.run, args);
    }
    for name in ["pool-hazard", "c5-two-clients-on-one-thread", "b2-places-survive-their-sessions"] {
        let file = end(&mut mailconn(["scenario", name, "--format", "ndjson"])).stdout;
        let Recorded::Scenarios(all) = Recorded::read(file.as_bytes()).unwrap() else { panic!("{name}") };
        all.into_iter().map(ScenarioVerification::of).for_each(|it| it.runs().for_each(|run| agree(run, name)));
    }
}

/// What no operation under way can refer to is forgotten, however long the run goes on.
#[test]
fn the_ledger_remembers_what_is_under_way_and_no_more() {
    for (args, most) in [
        ("--executor pool -t 4 --tasks 3000 -n 1 --ops noop --default-for all --dispose task", 1200),
        ("--executor tasks -t 4 --tasks 3000 -n 1 --ops noop --mode use-default --dispose task", 1200),
        ("-t 4 -n 500 --ops noop --mode use-default", 60),
    ] {
        let file = run(&format!("{args} --format ndjson")).stdout;
        let Recorded::Run(trace) = Recorded::read(file.as_bytes()).unwrap() else { panic!("{args}") };
        let (rules, remembered) = judged(&trace.run);
        assert_eq!((rules.agreement.held, rules.wrong), (rules.agreement.checked, Vec::new()), "{args}");
        assert!(remembered <= most, "{args}: {remembered}");
    }
}
