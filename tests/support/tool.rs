//! What the tool says of a file, in process: all that tests know of how a file is written, read, judged and told.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mailconn::event::{self, Ending, Event, Micros, NewPolicy, Policy, What};
use mailconn::judge::{Content, Judge, Passing, Stored, StoredRun, Verification, run_end};
use mailconn::protocol::MailConnector;
use mailconn::report::{self, Format, Layout, RunReport, Told, verification_json, verification_text};
use mailconn::workload::{self, Audience, Control, Plan, Setup};
use serde::Deserialize as _;
use serde_json::{Value, json};

use super::folded::unfold;

/// `mailconn report FILE --format json`, of a run whose lines are all understood.
#[track_caller]
pub fn report(file: &[u8]) -> String {
    in_format(Format::Json, &whole(file))
}

/// `mailconn report FILE` with so many rows a section, or all; or `--each`, a row for each operation and all rows.
#[track_caller]
pub fn told(file: &[u8], each: bool, rows: Option<usize>) -> String {
    let report = whole(file);
    if !each {
        return report::table(Layout::PLAIN, &report, rows);
    }
    let mut telling = Format::Table.telling(true, Layout::PLAIN);
    let mut text = Vec::new();
    Stored::read(file, |it| text.extend(telling.see(it.within, [it.event]))).unwrap();
    text.extend(telling.over(&Told::Run(Box::new(report))));
    String::from_utf8(text).unwrap()
}

/// The report of one run, in a format that is written at the end.
pub fn in_format(format: Format, report: &RunReport) -> String {
    let mut telling = format.telling(false, Layout::PLAIN);
    telling.over(&Told::Run(Box::new(report.clone())));
    let text = String::from_utf8(telling.end().unwrap()).unwrap();
    super::schemas::fit(&text);
    text
}

#[track_caller]
fn whole(file: &[u8]) -> RunReport {
    let run = stored(file);
    assert!(run.is_whole(), "{:#?}", doubts(file));
    RunReport::of(&run.judge, run.policy()).unwrap()
}

/// The report of a run, as far as its file comes.
#[track_caller]
pub fn begun(file: &[u8]) -> RunReport {
    let run = stored(file);
    RunReport::of(&run.judge, run.policy()).unwrap()
}

#[track_caller]
fn stored(file: &[u8]) -> StoredRun {
    let Content::Run(run) = Stored::read(file, |_| ()).unwrap().content else { panic!("it is a scenario's") };
    *run
}

/// All events of a run's file; of a scenario's, those of each client.
pub fn events_of(file: &[u8]) -> Vec<Vec<Event>> {
    let mut all: Vec<(Option<String>, Vec<Event>)> = Vec::new();
    let keep = |passing: Passing<'_>| match &passing.event.what {
        What::ScenarioStart(_) | What::Step(_) | What::ScenarioEnd(_) => {}
        What::ComparisonStart(_) | What::ComparisonEnd(_) => {}
        What::RunStart(_) => all.push((passing.within.client.map(str::to_owned), vec![passing.event.clone()])),
        _ => {
            let of_client = all.iter_mut().rfind(|(client, _)| client.as_deref() == passing.within.client);
            of_client.unwrap().1.push(passing.event.clone());
        }
    };
    Stored::read(file, keep).unwrap();
    all.into_iter().map(|(_, events)| events).collect()
}

/// All events of a run's file.
pub fn events(file: &[u8]) -> Vec<Event> {
    events_of(file).concat()
}

/// `mailconn verify FILE --format json`. Why it cannot be, if it cannot.
pub fn verify(file: &[u8]) -> Result<Value, String> {
    verified(file).map(|verification| serde_json::from_slice(&verification_json(&verification)).unwrap())
}

/// `mailconn verify FILE`.
pub fn verify_text(file: &[u8]) -> Result<String, String> {
    verified(file).map(|verification| verification_text(Layout::PLAIN, &verification))
}

fn verified(file: &[u8]) -> Result<Verification, String> {
    let stored = Stored::read(file, |_| ()).map_err(|error| error.to_string())?;
    Ok(Verification::of(stored, &NewPolicy::default(), None))
}

/// What does not hold in a file, as `rule: sentence`; none if all does. A file that is no trace any more is one doubt.
pub fn doubts(file: &[u8]) -> Vec<String> {
    let verification = match verified(file) {
        Ok(verification) => verification,
        Err(error) => return vec![format!("no trace: {error}")],
    };
    let doubts = verification.checks.doubts.iter().map(|it| format!("{}: {}", it.rule.name(), it.sentence));
    let doubts: Vec<String> = doubts.collect();
    let due = if doubts.is_empty() { (true, 0) } else { (false, 7) };
    assert_eq!((verification.holds(), verification.exit_code()), due, "{doubts:#?}");
    doubts
}

/// A run's file, written anew while its run seems to go on.
pub struct Again<W> {
    events: Vec<Event>,
    file: event::Writer<W>,
}

impl<W: Write> Again<W> {
    pub fn start(file: &[u8], out: W) -> io::Result<Self> {
        let events = events(file);
        let started = event::started(&events[0].what).unwrap();
        let mut again = Self { events, file: event::Writer::new(out, started, None) };
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
    let held_up = end["held_up_us"].as_u64().map(Micros);
    let ending = Ending {
        elapsed: Micros(end["at_us"].as_u64().unwrap()),
        interrupted,
        is_unread: false,
        still_open,
        held_up,
        cpu: None,
    };
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
    written(&events)
}

/// The file of a plan that is performed here from `clock` on, without the server's own record.
pub fn perform(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> String {
    let (mut events, ending) = performed(plan, connector, run_id, clock);
    let (mut judge, policy) = (Judge::of(&events), Policy::default());
    judge.end(ending);
    let summary = judge.summary();
    let end = run_end(ending, &summary, &judge.verdict(&summary, &policy), policy);
    events.push(Event { seq: events.len() as u64, at: ending.elapsed, what: Box::new(end).into() });
    written(&events)
}

/// The events that such a plan tells of while it goes on.
pub fn heard(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> Vec<Event> {
    performed(plan, connector, run_id, clock).0
}

fn performed(plan: &Plan, connector: &Arc<MailConnector>, run_id: &str, clock: Instant) -> (Vec<Event>, Ending) {
    struct Hears(Vec<Event>);

    impl Audience for Hears {
        fn goes_on(&mut self, events: &[Event]) {
            self.0.extend_from_slice(events);
        }
    }

    let setup = Setup {
        sandbox: None,
        run_id: run_id.to_owned(),
        server: "sandbox".into(),
        clock,
        started: std::time::SystemTime::now(),
        wait_timeout: Duration::from_secs(10),
        max_connections: None,
        letters: None,
        tls: false,
        insecure: false,
    };
    let mut hears = Hears(Vec::new());
    let control = Arc::new(Control::default());
    let ended = workload::run(plan, connector, &setup, &control, None, &mut hears).unwrap();
    (hears.0, ended.ending)
}

fn written(events: &[Event]) -> String {
    let started = event::started(&events[0].what).unwrap();
    let mut file = event::Writer::new(Vec::new(), started, None);
    for batch in events.chunks(7) {
        file.write(batch).unwrap();
    }
    String::from_utf8(file.into_inner()).unwrap()
}
