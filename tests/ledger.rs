//! The streaming state and those who ask it: they come to what the whole run comes to, and remember no more than they must.

mod found;

use std::collections::HashMap;
use std::fs;

use mailconn::event::{Ending, Event, Micros, Policy, What, WitnessCommands, WorkerId};
use mailconn::figures::{Failures, Rest, Sections, Sessions, Tasks, Work};
use mailconn::judge::{ALL, Judge, Rules, Witness};
use mailconn::ledger::{Analysis, Ledger};
use mailconn::record::{Run, Summary, Verdict};
use mailconn::report::{Recorded, ScenarioVerification};

use crate::cli::process::{end, mailconn, run};
use crate::golden::stored;
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
        assert_eq!(witness.available, verdict.witness.is_some(), "{of}");
        let disagrees = verdict.findings.iter().any(|finding| finding.id == "MC002");
        assert_eq!(witness.disagreements > 0, disagrees, "{of}: {:?}", witness.wrong);
        let operations = run.operations().count() as u64;
        assert!(!witness.available || witness.agreement.checked + witness.not_compared == operations, "{of}");
    }
}

/// What the figures come to event by event is what they come to from the whole run.
#[track_caller]
fn figures_agree(run: &Run, of: &str) {
    let (mut ledger, mut work, mut sessions) = (Ledger::default(), Work::default(), Sessions::default());
    let (mut failures, mut sections, mut tasks) = (Failures::default(), Sections::default(), Tasks::default());
    for event in run.events() {
        ledger.see(&event);
        let all: [&mut dyn Analysis; 5] = [&mut sessions, &mut work, &mut failures, &mut sections, &mut tasks];
        all.into_iter().for_each(|analysis| analysis.see(&event, &ledger));
    }
    sessions.end(&ledger);
    let old = Summary::of(run);
    // The record's own times are those of its file already: whole microseconds.
    let time = Micros::from;
    assert_eq!((work.wait.total(), work.service.total()), (time(old.total_wait), time(old.total_service)), "{of}");
    assert_eq!((work.wait.latency().max, work.service.latency().max), (time(old.wait.max), time(old.service.max)));
    assert_eq!(work.worked(), time(old.worked), "{of}");
    assert_eq!((work.cut_off.operations, work.cut_off.longest), (old.cut_off.operations, time(old.cut_off.longest)));
    let said = |value: &dyn std::fmt::Debug| format!("{value:?}");
    let latency = |old: &mailconn::record::Latency| (time(old.p50), time(old.p99), time(old.max));
    let rows = work.rows(&ledger);
    assert_eq!(rows.len(), old.workers.len(), "{of}");
    for (row, old) in rows.iter().zip(&old.workers) {
        assert_eq!(said(&row.operations), said(&old.operations), "{of}");
        assert_eq!((&row.connections, &row.reasons), (&old.connections, &old.reasons), "{of}");
        assert_eq!((row.wait.p50, row.wait.p99, row.wait.max), latency(&old.wait), "{of}");
        assert_eq!((row.service.p50, row.service.p99, row.service.max), latency(&old.service), "{of}");
        assert_eq!(row.stopped, old.stopped, "{of}");
    }
    assert_eq!(said(&failures.rows()), said(&old.failures), "{of}");
    let rows: Vec<_> = tasks.rows(&ledger).collect();
    assert_eq!(said(&rows), said(&old.tasks), "{of}");
    let totals = (sessions.opened, sessions.peak, sessions.main_opened, sessions.carried);
    assert_eq!(totals, (old.opened, old.peak, old.main_opened, old.carried()), "{of}");
    let rows = sessions.rows();
    assert_eq!((rows.len(), sessions.rest), (old.sessions.len(), Rest::default()), "{of}");
    for (row, old) in rows.iter().zip(&old.sessions) {
        let of = format!("{of}: {}", row.session);
        assert_eq!((row.session, row.kind, row.owner), (old.session, old.kind, old.owner), "{of}");
        assert_eq!((row.why.name(), row.operations), (old.why.name(), old.operations), "{of}");
        let open = row.dial.as_ref().err().map(|refused| (refused.open, &refused.failure));
        assert_eq!(open, old.dial.as_ref().err().map(|refused| (refused.open, &refused.failure)), "{of}");
        let bytes = row.closed.as_ref().map(|closed| (closed.bytes_sent, closed.closed.name()));
        assert_eq!(bytes, old.closed.as_ref().map(|closed| (closed.sent, closed.how.name())), "{of}");
    }
    assert_eq!(sections.rows().count(), old.sections.len(), "{of}");
    for (row, old) in sections.rows().zip(&old.sections) {
        assert_eq!((row.mode, row.began, row.ok, row.failed), (old.mode, time(old.began), old.ok, old.failed), "{of}");
        assert_eq!((&row.connections, &row.reasons), (&old.connections, &old.reasons), "{of}");
    }
}

#[test]
fn rules_witness_and_figures_come_to_the_same_event_by_event() {
    for args in RUNS {
        let Recorded::Run(trace) = Recorded::read(file_of(args).as_bytes()).unwrap() else { panic!("{args}") };
        agree(&trace.run, args);
        figures_agree(&trace.run, args);
    }
    for file in stored() {
        let of = file.display().to_string();
        if let Recorded::Run(trace) = Recorded::read(&*fs::read(&file).unwrap()).unwrap() {
            figures_agree(&trace.run, &of);
        }
    }
    for name in ["pool-hazard", "c5-two-clients-on-one-thread", "b2-places-survive-their-sessions"] {
        let file = end(&mut mailconn(["scenario", name, "--format", "ndjson"])).stdout;
        let Recorded::Scenarios(all) = Recorded::read(file.as_bytes()).unwrap() else { panic!("{name}") };
        all.into_iter().map(ScenarioVerification::of).for_each(|it| it.runs().for_each(|run| agree(run, name)));
    }
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

/// What the judge finds, and what it all comes to, is what the whole run comes to.
#[track_caller]
fn verdicts_agree(run: &Run, of: &str, all: &[&str]) {
    let old = Verdict::on(run, &Summary::of(run));
    let mut judge = Judge::default();
    let (mut end, mut ending) = (None, Ending::default());
    for event in run.events() {
        match event.what {
            What::RunEnd(it) => (ending, end) = (it.ending(), Some(it)),
            _ => judge.see(&event),
        }
    }
    judge.end(ending);
    let (summary, policy) = (judge.summary(), end.unwrap().judged_by);
    let new = judge.verdict(&summary, &policy);
    let ours = |id: &str| all.contains(&id);
    let found: Vec<_> = new.findings.iter().map(|it| (&*it.id, it.count, &*it.sentence, &it.evidence)).collect();
    let old_found = old.findings.iter().filter(|it| ours(it.id));
    let mut old_found: Vec<_> = old_found.map(|it| (it.id, it.count, &*it.sentence, &it.evidence)).collect();
    // Of one severity, they come in the order of their names.
    old_found.sort_by_key(|(id, ..)| old.findings.iter().find(|it| it.id == *id).map(|it| (it.severity, *id)));
    assert_eq!(found, old_found, "{of}");
    if old.findings.iter().all(|it| ours(it.id)) {
        assert_eq!((new.conclusion.exit_code(), new.because), (old.conclusion.exit_code(), old.because), "{of}");
    }
}

#[test]
fn what_is_found_event_by_event_is_what_the_whole_run_shows() {
    let all: Vec<&str> = ALL.iter().map(|spec| spec.id).collect();
    for args in RUNS.into_iter().chain(LONGER) {
        let Recorded::Run(trace) = Recorded::read(file_of(args).as_bytes()).unwrap() else { panic!("{args}") };
        verdicts_agree(&trace.run, args, &all);
    }
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_none_or(|it| it != "ndjson") {
            continue;
        }
        match Recorded::read(std::fs::read(&file).unwrap().as_slice()).unwrap() {
            Recorded::Run(trace) => verdicts_agree(&trace.run, &file.display().to_string(), &all),
            Recorded::Scenarios(scenarios) => {
                for of in scenarios.into_iter().map(ScenarioVerification::of) {
                    of.runs().for_each(|run| verdicts_agree(run, &file.display().to_string(), &all));
                }
            }
        }
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
        let Recorded::Run(trace) = Recorded::read(file.as_bytes()).unwrap() else { panic!("{args}") };
        let (rules, witness, remembered) = judged(&as_it_happens(trace.run.events()));
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
            if event.seq % 400 == 0 {
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
        let Recorded::Run(trace) = Recorded::read(file.as_bytes()).unwrap() else { panic!("{args}") };
        for (id, most) in kept(&trace.run.events()) {
            assert!(most < limit, "{args}: {id} keeps {most}");
        }
    }
}

/// One operation takes ten seconds, and 20,000 others end in the meantime: what they used is told before it.
#[test]
fn one_long_operation_counts_beside_thousands_of_short_ones() {
    let file = run("-t 4 -n 1 --mode use-default --ops noop --format ndjson").stdout;
    let Recorded::Run(trace) = Recorded::read(file.as_bytes()).unwrap() else { panic!() };
    let (operations, mut events): (Vec<Event>, Vec<Event>) = trace
        .run
        .events()
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
