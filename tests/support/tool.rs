//! What the tool says of a file, in process: all that tests know of how a file is written, read, judged and told.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconn::event::{self, Ending, Event, Micros, Policy};
use mailconn::judge::{Judge, run_end};
use mailconn::protocol::MailConnector;
use mailconn::record::{Audit, Run};
use mailconn::report::{
    self, Recorded, ScenarioVerification, Trace, Verification, scenario_verification_json, scenario_verification_text,
    verification_json, verification_text,
};
use mailconn::workload::{self, Audience, Control, Plan, Setup, Tally};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::folded::unfold;

/// `mailconn report FILE --format json`, of a run whose lines are all understood.
#[track_caller]
pub fn report(file: &[u8]) -> String {
    String::from_utf8(report::json(&whole(file).report)).unwrap()
}

/// `mailconn report FILE`, with a row for each operation and with so many rows a section, or all.
#[track_caller]
pub fn told(file: &[u8], each: bool, rows: Option<usize>) -> String {
    let Trace { run, report, .. } = whole(file);
    let table = report::table(&report, rows);
    if each { report::each(&run) + &table } else { table }
}

#[track_caller]
fn whole(file: &[u8]) -> Trace {
    let trace = Trace::read(file).unwrap();
    assert!(trace.is_whole(), "{:#?}", doubts(file));
    trace
}

/// `mailconn verify FILE --format json`: of a run, or of each scenario in the file. Why it cannot be, if it cannot.
pub fn verify(file: &[u8]) -> Result<Vec<Value>, String> {
    let value = |document: Vec<u8>| serde_json::from_slice(&document).unwrap();
    verified(file, |run| value(verification_json(run)), |scenario| value(scenario_verification_json(scenario)))
}

/// `mailconn verify FILE`.
pub fn verify_text(file: &[u8]) -> Result<Vec<String>, String> {
    verified(file, verification_text, scenario_verification_text)
}

fn verified<T>(
    file: &[u8],
    of_run: impl Fn(&Verification) -> T,
    of_scenario: impl Fn(&ScenarioVerification) -> T,
) -> Result<Vec<T>, String> {
    match Recorded::read(file).map_err(|error| error.to_string())? {
        Recorded::Run(trace) => Ok(vec![of_run(&Verification::of(*trace))]),
        Recorded::Scenarios(all) => Ok(all.into_iter().map(|it| of_scenario(&ScenarioVerification::of(it))).collect()),
    }
}

/// What does not hold in a file, as `rule: sentence`; none if all does. A file that is no trace any more is one doubt.
pub fn doubts(file: &[u8]) -> Vec<String> {
    let said = |audit: &Audit, holds, code| {
        let doubts = audit.doubts.iter().map(|doubt| format!("{}: {}", doubt.rule, doubt.sentence));
        let doubts: Vec<String> = doubts.collect();
        assert_eq!((holds, code), if doubts.is_empty() { (true, 0) } else { (false, 7) });
        doubts
    };
    let of_run = |it: &Verification| said(&it.audit, it.holds(), it.exit_code());
    let of_scenario = |it: &ScenarioVerification| said(&it.audit, it.holds(), it.exit_code());
    match verified(file, of_run, of_scenario) {
        Ok(doubts) => doubts.concat(),
        Err(error) => vec![format!("no trace: {error}")],
    }
}

/// A run's file, written anew while its run seems to go on.
pub struct Again<W> {
    events: Vec<Event>,
    file: event::Writer<W>,
}

impl<W: Write> Again<W> {
    pub fn start(file: &[u8], out: W) -> io::Result<Self> {
        let Trace { run, report, .. } = Trace::read(file).unwrap();
        let mut again =
            Self { events: run.events(&report.policy), file: event::Writer::new(out, run.header.started, None) };
        again.events(1)?;
        Ok(again)
    }

    /// The next ones, so many at most.
    pub fn events(&mut self, most: usize) -> io::Result<()> {
        let most = most.min(self.events.len());
        self.file.write(&self.events.drain(..most).collect::<Vec<_>>())
    }
}

/// The events of those lines, as far as they can be read.
pub fn heard_again(lines: &[Value]) -> Vec<Event> {
    let read = |line: Value| event::read(line.to_string().as_bytes()).ok().map(|(event, ..)| event);
    unfold(lines).into_iter().filter_map(read).collect()
}

/// Completes the last line, a `run-end` that says how the run ended and what it is judged by: with what the lines before it
/// come to.
pub fn end(lines: &mut [Value]) {
    let Some((end, before)) = lines.split_last_mut() else { return };
    let mut judge = Judge::default();
    heard_again(before).iter().for_each(|event| judge.see(event));
    let interrupted = end["interrupted"].as_i64().and_then(|signal| i32::try_from(signal).ok());
    let still_open = end["connections"]["still_open"].as_u64().unwrap() as usize;
    let ending = Ending { elapsed: Micros(end["at_us"].as_u64().unwrap()), interrupted, still_open };
    judge.end(ending);
    let (summary, policy) = (judge.summary(), Policy::deserialize(&end["judged_by"]).unwrap());
    let mut due = json!(run_end(ending, &summary, &judge.verdict(&summary, &policy), policy));
    for (name, due) in due.as_object_mut().unwrap() {
        end[name] = due.take();
    }
}

/// A run's file as it is written when it was read.
pub fn rewritten(file: &[u8]) -> String {
    let mut lines = event::Reader::new(file);
    let mut events = Vec::new();
    while let Some(line) = lines.next_line().unwrap() {
        events.push(line.event.unwrap());
    }
    let started = event::started(&events[0].what).unwrap();
    let mut again = event::Writer::new(Vec::new(), started, None);
    for batch in events.chunks(7) {
        again.write(batch).unwrap();
    }
    String::from_utf8(again.into_inner()).unwrap()
}

/// The file of a plan that is performed here from `clock` on, without the server's own record.
pub fn perform(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> String {
    written(&performed(plan, connector, run_id, clock).1, &Policy::default())
}

/// The events that such a plan tells of while it goes on.
pub fn heard(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> Vec<Event> {
    performed(plan, connector, run_id, clock).0
}

fn performed(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> (Vec<Event>, Run) {
    struct Hears(Vec<Event>);

    impl Audience for Hears {
        fn goes_on(&mut self, events: &[Event], _: &Tally) {
            self.0.extend_from_slice(events);
        }
    }

    let setup = Setup {
        run_id: run_id.to_owned(),
        server: "sandbox".into(),
        clock,
        wait_timeout: Duration::from_secs(10),
        max_connections: None,
        letters: None,
        tls: false,
        insecure: false,
    };
    let mut hears = Hears(Vec::new());
    let control = Arc::new(Control::default());
    let ended = workload::run(plan, connector, &setup, &control, None, &mut hears).unwrap();
    let mut run = Run::from_events(&hears.0).unwrap();
    run.ended(ended.ending);
    (hears.0, run)
}

fn written(run: &Run, policy: &Policy) -> String {
    let mut file = event::Writer::new(Vec::new(), run.header.started, None);
    for batch in run.events(policy).chunks(7) {
        file.write(batch).unwrap();
    }
    String::from_utf8(file.into_inner()).unwrap()
}
