//! The streaming state and those who ask it: they come to what the whole run comes to, and remember no more than they must.

use std::collections::HashMap;

use mailconn::event::{Event, Micros, What, WitnessCommands};
use mailconn::judge::{Analysis, Rules, Witness};
use mailconn::ledger::Ledger;
use mailconn::record::{Run, Summary, Verdict};
use mailconn::report::{Recorded, ScenarioVerification};

use crate::cli::process::{end, mailconn, run};
use crate::verify::traces::{RUNS, file_of};

/// What the rules and the witness say, and the most that was remembered on the way.
fn judged(events: &[Event]) -> (Rules, Witness, usize) {
    let (mut ledger, mut rules, mut witness, mut most) = (Ledger::default(), Rules::default(), Witness::default(), 0);
    for event in events {
        ledger.see(event);
        rules.see(event, &ledger);
        witness.see(event, &ledger);
        most = most.max(ledger.remembered() + witness.remembered());
    }
    witness.end(&ledger);
    (rules, witness, most)
}

/// The same events, but that the server's record comes as it happens: each command when the server read it.
fn as_it_happens(events: Vec<Event>) -> Vec<Event> {
    let mut timed: Vec<(Micros, u8, Event)> = Vec::new();
    let mut last: HashMap<u16, Micros> = HashMap::new();
    for event in events {
        match event.what {
            What::WitnessCommands(read) => {
                for command in read.commands {
                    let at = command.at_us.unwrap_or(event.at);
                    last.insert(read.peer_port, at);
                    let one = WitnessCommands { peer_port: read.peer_port, commands: vec![command] };
                    timed.push((at, 0, Event { seq: 0, at, what: one.into() }));
                }
            }
            What::WitnessSession(over) => {
                let at = last.remove(&over.peer_port).unwrap_or(event.at);
                timed.push((at, 0, Event { seq: 0, at, what: over.into() }));
            }
            _ => timed.push((event.at, 1, event)),
        }
    }
    timed.sort_by_key(|(at, order, _)| (*at, *order));
    timed.into_iter().map(|(_, _, event)| event).collect()
}

#[track_caller]
fn agree(run: &Run, of: &str) {
    let verdict = Verdict::on(run, &Summary::of(run));
    for events in [run.events(), as_it_happens(run.events())] {
        let (rules, witness, _) = judged(&events);
        let old = (verdict.rules.checked, verdict.rules.held);
        assert_eq!((rules.agreement.checked, rules.agreement.held), old, "{of}: {:?}", rules.wrong);
        let old = verdict.witness.map_or((0, 0), |old| (old.checked, old.held));
        assert_eq!((witness.agreement.checked, witness.agreement.held), old, "{of}: {:?}", witness.wrong);
        assert_eq!(witness.available, run.witness.as_ref().is_some_and(|all| !all.is_empty()), "{of}");
        let disagrees = verdict.findings.iter().any(|finding| finding.id == "MC002");
        assert_eq!(witness.disagreements > 0, disagrees, "{of}: {:?}", witness.wrong);
        let operations = run.operations().count() as u64;
        assert_eq!(witness.available && witness.agreement.checked + witness.not_compared != operations, false, "{of}");
    }
}

#[test]
fn the_rules_and_the_witness_come_to_the_same_event_by_event() {
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
        let (rules, witness, remembered) = judged(&as_it_happens(trace.run.events()));
        assert_eq!((witness.agreement.held, witness.disagreements), (rules.agreement.held, 0), "{args}");
        assert_eq!((rules.agreement.held, rules.wrong), (rules.agreement.checked, Vec::new()), "{args}");
        assert!(remembered <= most, "{args}: {remembered}");
    }
}
