//! The streaming state and those who ask it: they hold of every run, and remember no more than they must.

mod found;

use std::collections::HashMap;

use mailconn::event::{Agreement, Ending, Event, Micros, Policy, What, WitnessCommands, WorkerId};
use mailconn::judge::{ALL, Judge, Rules, Witness};
use mailconn::ledger::{Analysis, Ledger};

use crate::cli::process::{end, mailconn, run};
use crate::support::tool;
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

/// Each operation is judged, and compared or told to be beyond that; and it does not matter when the server's record comes.
#[track_caller]
fn hold(events: &[Event], of: &str) {
    let operations = events.iter().filter(|event| matches!(event.what, What::Operation(_))).count() as u64;
    let of_both = [events.to_vec(), as_it_happens(events.to_vec())].map(|events| {
        let (rules, witness, _) = judged(&events);
        assert_eq!(
            (rules.agreement.checked, rules.agreement.held),
            (operations, operations),
            "{of}: {:?}",
            rules.wrong
        );
        assert_eq!((witness.wrong, witness.disagreements), (Vec::new(), 0), "{of}");
        let Agreement { checked, held } = witness.agreement;
        assert_eq!(checked, held, "{of}");
        assert!(!witness.available || checked + witness.not_compared == operations, "{of}: {checked}");
        (witness.available, checked)
    });
    assert_eq!(of_both[0], of_both[1], "{of}");
}

/// Runs that show what the short ones do not: each is long enough for the past to be forgotten on the way.
const LONGER: [&str; 6] = [
    "-t 6 --mode use-default --duration 2300ms --pause 150ms --ops noop",
    "-t 6 --mode use-default --duration 2200ms --pause 8ms --ops noop,fetch",
    "-t 5 -n 200 --mode use-main --lock command --ops fetch,noop --mailbox INBOX --mailbox Archive",
    "-t 4 -n 60 --mode use-main --lock command --ops fetch,search --mailbox INBOX --mailbox Archive --switch-mode 40=use-default \
     --switch-mode 90=use-main --switch-mode 150=use-default",
    "-t 3 --tasks 90 -n 4 --executor tasks --lock command --mode use-default --ops fetch --mailbox INBOX --mailbox Archive",
    "-t 4 --tasks 400 -n 1 --executor pool --default-for all --ops noop",
];

#[test]
fn rules_and_witness_hold_event_by_event_whenever_the_servers_record_comes() {
    for args in RUNS.into_iter().chain(LONGER) {
        hold(&tool::events(file_of(args).as_bytes()), args);
    }
    for name in ["pool-hazard", "c5-two-clients-on-one-thread", "b2-places-survive-their-sessions"] {
        let file = end(&mut mailconn(["scenario", name, "--format", "ndjson"])).stdout;
        tool::events_of(file.as_bytes()).iter().for_each(|run| hold(run, name));
    }
}

/// What no operation under way can refer to is forgotten, however long the run goes on.
#[test]
fn the_ledger_remembers_what_is_under_way_and_no_more() {
    for (args, most) in [
        ("--executor pool -t 4 --tasks 3000 -n 1 --ops noop --default-for all --dispose task", 2500),
        ("--executor tasks -t 4 --tasks 3000 -n 1 --ops noop --mode use-default --dispose task", 2500),
        ("-t 4 -n 500 --ops noop --mode use-default", 60),
    ] {
        let file = run(&format!("{args} --format ndjson")).stdout;
        let (rules, witness, remembered) = judged(&as_it_happens(tool::events(file.as_bytes())));
        assert_eq!((witness.agreement.held, witness.disagreements), (rules.agreement.held, 0), "{args}");
        assert_eq!((rules.agreement.held, rules.wrong), (rules.agreement.checked, Vec::new()), "{args}");
        assert!(remembered <= most, "{args}: {remembered}");
    }
}

/// How much each detector keeps at most, in the length of all that it would show of itself.
fn kept(events: &[Event]) -> Vec<(&'static str, usize)> {
    let mut ledger = Ledger::default();
    let mut detectors: Vec<_> = ALL.iter().map(|spec| (spec.id, (spec.detector)(), 0)).collect();
    for event in events {
        ledger.see(event);
        for (_, detector, most) in &mut detectors {
            detector.see(event, &ledger);
            // To show it costs more than all else here, and what grows with the run is there at the end too.
            if event.seq % 6000 == 0 {
                *most = format!("{detector:?}").len().max(*most);
            }
        }
    }
    detectors.into_iter().map(|(id, _, most)| (id, most)).collect()
}

#[test]
fn a_detector_keeps_what_is_under_way_and_no_more() {
    // All selections of the last two would be 2 MB.
    for (args, limit) in [
        ("--executor pool -t 4 --tasks 3000 -n 1 --ops noop --default-for all --dispose task", 60_000),
        ("--executor tasks -t 4 --tasks 3000 -n 1 --ops noop --mode use-default --dispose task", 60_000),
        ("-t 4 -n 4000 --ops fetch --lock command --mode use-main --mailbox INBOX --mailbox Archive", 400_000),
        ("-t 4 -n 4000 --ops fetch --lock command --mode use-default --mailbox INBOX --mailbox Archive", 1_200_000),
    ] {
        let file = run(&format!("{args} --format ndjson")).stdout;
        for (id, most) in kept(&tool::events(file.as_bytes())) {
            assert!(most < limit, "{args}: {id} keeps {most}");
        }
    }
}

/// One operation takes ten seconds, and 20,000 others end in the meantime: what they used is told before it.
#[test]
fn one_long_operation_counts_beside_thousands_of_short_ones() {
    let file = run("-t 4 -n 1 --mode use-default --ops noop --format ndjson").stdout;
    let (operations, mut events): (Vec<Event>, Vec<Event>) = tool::events(file.as_bytes())
        .into_iter()
        .filter(|event| !matches!(event.what, What::SessionClosed(_) | What::ConnectionDisposed(_)))
        .filter(|event| !matches!(event.what, What::WorkerEnded(_) | What::RunEnd(_)))
        .partition(|event| matches!(event.what, What::Operation(_)));
    let mut add = |worker: u32, began: u64, took: u64| {
        let mut operation = operations.iter().find_map(|event| match &event.what {
            What::Operation(operation) if operation.worker == WorkerId(worker) => Some(operation.clone()),
            _ => None,
        });
        let operation_of = operation.as_mut().unwrap();
        (operation_of.issued_at_us, operation_of.service_us) = (Micros(began), Micros(took));
        (operation_of.wait_us, operation_of.dial_us) = (Micros::ZERO, Micros::ZERO);
        events.push(Event { seq: 0, at: Micros(began + took), what: What::Operation(operation.unwrap()) });
    };
    (1..4).for_each(|worker| add(worker, 1_000_000, 1000));
    (1..20_000).for_each(|nth| add(1, 1_010_000 + nth * 500, 50));
    (2..4).for_each(|worker| add(worker, 11_020_000, 1000));
    add(0, 1_000_000, 10_030_000);
    for (seq, event) in (0..).zip(&mut events) {
        event.seq = seq;
    }
    let mut judge = Judge::default();
    events.iter().for_each(|event| judge.see(event));
    judge.end(Ending::default());
    let verdict = judge.verdict(&judge.summary(), &Policy::default());
    let found = verdict.findings.iter().find(|finding| finding.sentence.contains("were held for most of")).unwrap();
    assert!(found.sentence.contains("4 connections were held for most of 10.0s and used for 27.5 %"), "{found:?}");
    assert!(found.sentence.contains("more than 2 at once for hardly any of it"), "{found:?}");
    assert_eq!(found.evidence, ["4 held, 4 in use at once at most"]);
}
