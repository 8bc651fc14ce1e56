//! The record read back: bytes in, a run out, and whether what the file says can have been so.
//!
//! The file is read as a stream, a line at a time, and no line without a bound: what is kept is the run. A line that is not
//! understood is told of and passed over; so a file that was cut, or written by a later version, is still checked as far as
//! it goes.

mod scenario;

use std::io::{BufRead, BufReader, Read};
use std::time::SystemTime;

use super::model::Report;
use super::words::many;
use crate::event::{self, Event, Line, Micros, Policy, Reader, RunEnd, RunStart, Unreadable};
use crate::judge::Judge;
use crate::record::{Audit, CLOCK, LINES, Run, SEQUENCE};

pub use scenario::{ScenarioTrace, ScenarioVerification, scenario_text, scenarios_json};

/// A run's file, read.
#[derive(Debug)]
pub struct Trace {
    /// The run, as far as it was understood.
    pub run: Run,
    /// What it comes to, by the policy that it was judged by.
    pub report: Report,
    /// How many lines it has.
    pub lines: u64,
    /// The lines of its entries, by their numbers.
    places: Vec<u64>,
    /// What the file says that it all came to, and in which line; none if the file has no such line.
    claims: Option<(u64, RunEnd)>,
    /// What a later version added and this one passed over, in words; none if there was nothing.
    pub passed_over: Option<String>,
    /// What was found wrong with the file's form.
    form: Audit,
    /// What the judge says of the specification's table and of the server's record.
    judged: Audit,
}

/// The doubt's entry that is told of as that line: entries are counted from the second line of a file.
const fn at_line(line: u64) -> Option<u64> {
    line.checked_sub(2)
}

impl Trace {
    /// Reads a run's file to its end.
    ///
    /// # Errors
    /// It is none, or cannot be read. A line that is wrong is no error: the verification tells of it.
    pub fn read(from: impl Read) -> Result<Self, Unreadable> {
        match Recorded::read(from)? {
            Recorded::Run(trace) => Ok(*trace),
            Recorded::Scenarios(_) => Err(Unreadable::NoStart("it is a scenario's".to_owned())),
        }
    }

    /// Whether every line was understood, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.form.holds()
    }

    /// Of all the events of a stream.
    fn of(stream: Stream) -> Option<Self> {
        let Stream { events, lines, read, form, claims, .. } = stream;
        let mut run = Run::from_events(&events)?;
        let is_entry = |event: &Event| {
            use event::What::{RunEnd, RunStart, WitnessCommands, WitnessSession};
            !matches!(event.what, RunStart(_) | RunEnd(_) | WitnessCommands(_) | WitnessSession(_))
        };
        let places = events.iter().zip(&lines).filter(|(event, _)| is_entry(event)).map(|(_, line)| *line).collect();
        for (number, entry) in (0..).zip(&mut run.entries) {
            entry.seq = number;
        }
        let judge = Judge::of(&events);
        let line_of = |seq| events.iter().zip(&lines).find(|(event, _)| event.seq == seq).map(|(_, line)| *line);
        let judged = Audit::judged(&judge).renumbered(|seq| line_of(seq).and_then(at_line).unwrap_or_default());
        let policy = claims.as_ref().map_or_else(Policy::default, |(_, end)| end.judged_by.clone());
        let report = Report::of(&judge, policy)?;
        let mut trace = Self { run, report, lines: read, places, claims, passed_over: None, form, judged };
        if trace.claims.is_none() {
            let missing = "there is no run-end: the file ends before its run, or what came after is missing";
            trace.form.check(LINES, None, false, || missing.to_owned());
        }
        Some(trace)
    }

    /// The doubt's entry that is told of as the line where that entry of the run stands.
    fn place(places: &[u64], entry: u64) -> u64 {
        let line = usize::try_from(entry).ok().and_then(|at| places.get(at)).copied();
        line.and_then(at_line).unwrap_or_default()
    }
}

/// What a file is of.
#[derive(Debug)]
pub enum Recorded {
    /// A run.
    Run(Box<Trace>),
    /// Scenarios that were performed one after the other, at least one.
    Scenarios(Vec<ScenarioTrace>),
}

impl Recorded {
    /// Reads a run's or a scenario's file to its end.
    ///
    /// # Errors
    /// It is neither, or cannot be read. A line that is wrong is no error: the verification tells of it.
    pub fn read(from: impl Read) -> Result<Self, Unreadable> {
        let mut lines = Reader::new(BufReader::new(from));
        let first = lines.next_line()?.ok_or(Unreadable::Empty)?;
        if matches!(first.event.as_ref().map(|event| &event.what), Some(event::What::ScenarioStart(_))) {
            return Ok(Self::Scenarios(ScenarioTrace::read_all(&mut lines, first)?));
        }
        let mut stream = Stream::default();
        stream.take(first);
        while let Some(line) = lines.next_line()? {
            stream.take(line);
        }
        let no_start = || Unreadable::NoStart("there is no run in it".to_owned());
        let mut trace = Trace::of(stream).ok_or_else(no_start)?;
        trace.passed_over = passed_over(&lines);
        Ok(Self::Run(Box::new(trace)))
    }
}

/// One client's stream, as far as it was read: all its events, and what is wrong with their form.
#[derive(Debug, Default)]
struct Stream {
    events: Vec<Event>,
    /// The line of each.
    lines: Vec<u64>,
    /// How many lines were read.
    read: u64,
    claims: Option<(u64, RunEnd)>,
    started: Option<SystemTime>,
    /// Whether the server's own record is part of it.
    witnessed: bool,
    /// Whose it is, in a scenario's file.
    client: Option<String>,
    order: Order,
    form: Audit,
}

/// What the lines before say of the next one's number and time.
#[derive(Debug, Default)]
struct Order {
    due: u64,
    last: Micros,
}

impl Stream {
    fn take(&mut self, line: Line) {
        self.read += 1;
        let at = at_line(line.number);
        let started = line.event.as_ref().and_then(|event| event::started(&event.what));
        self.started = self.started.or(started);
        if let Some(envelope) = &line.envelope {
            self.order.place(&mut self.form, self.started, at, envelope);
        } else {
            self.order.due += 1;
        }
        if let Some(event::What::RunStart(start)) = line.event.as_ref().map(|event| &event.what) {
            self.witnessed |= start.witnessed;
        }
        let misplaced = self.fault(line.envelope.as_ref(), line.event.as_ref());
        // What is not known of an event is a fault, and what is known of it counts all the same.
        let event = line.event.filter(|_| misplaced.is_none());
        let fault = line.fault.or(misplaced);
        self.form.check(LINES, at, fault.is_none(), || fault.unwrap_or_default());
        let Some(event) = event else { return };
        if let event::What::RunEnd(end) = &event.what {
            let (said, took) = (event.at.0, end.elapsed_us.0);
            self.form.check(CLOCK, at, took == said, || format!("it is of {said} µs, the run took {took} µs"));
            self.claims = Some((line.number, (**end).clone()));
        }
        self.events.push(event);
        self.lines.push(line.number);
    }

    /// Why the event does not belong here.
    fn fault(&self, envelope: Option<&event::Envelope<'_>>, event: Option<&Event>) -> Option<String> {
        use event::What::{RunEnd, RunStart, ScenarioEnd, ScenarioStart, Step, WitnessCommands, WitnessSession};
        let client = envelope.and_then(|envelope| envelope.client.as_deref());
        if client != self.client.as_deref() {
            let name = |client: Option<&str>| client.map_or_else(|| "nobody".to_owned(), |name| format!("{name:?}"));
            return Some(format!("it is of {}, in the run of {}", name(client), name(self.client.as_deref())));
        }
        let what = &event?.what;
        match what {
            RunStart(start) => self.no_start(start),
            RunEnd(_) if self.claims.is_some() => Some("the run ends a second time".to_owned()),
            ScenarioStart(_) | ScenarioEnd(_) | Step(_) => Some(format!("{:?} does not belong here", what.name())),
            WitnessCommands(_) | WitnessSession(_) if !self.witnessed => {
                Some("the stream has no record of the server's own".to_owned())
            }
            _ if self.claims.is_some() => Some(format!("{} does not belong here: the record had ended", what.name())),
            _ => None,
        }
    }

    fn no_start(&self, start: &RunStart) -> Option<String> {
        let named = |names: &mut dyn Iterator<Item = Option<&str>>| {
            let names: Vec<_> = names.collect();
            let distinct: std::collections::BTreeSet<_> = names.iter().collect();
            distinct.len() == names.len() && names.iter().all(|name| name.is_some_and(|name| !name.is_empty()))
        };
        if !self.events.is_empty() {
            Some("the run begins a second time".to_owned())
        } else if start.scripted != self.client.is_some() {
            Some("run-start: it is scripted if and only if it is a scenario's".to_owned())
        } else if start.scripted
            && !(named(&mut start.workers.iter().map(|it| it.name.as_deref()))
                && named(&mut start.tasks.iter().map(|it| it.name.as_deref())))
        {
            Some("each worker and each task of a scenario has a name of its own".to_owned())
        } else {
            None
        }
    }
}

/// What a later version added was passed over; it is told of.
fn passed_over<R: BufRead>(lines: &Reader<R>) -> Option<String> {
    let (count, names) = lines.passed_over();
    (count > 0).then(|| {
        format!(
            "{} of a later version {} passed over: {}",
            many(count, "addition"),
            if count == 1 { "was" } else { "were" },
            names.join(", ")
        )
    })
}

impl Order {
    /// The number and the time of a line.
    fn place(
        &mut self,
        form: &mut Audit,
        started: Option<SystemTime>,
        at: Option<u64>,
        envelope: &event::Envelope<'_>,
    ) {
        let (due, said) = (self.due, envelope.seq);
        self.due = said.max(due.saturating_sub(1)).saturating_add(1);
        form.check(SEQUENCE, at, said == due, || match said {
            said if said == due + 1 => format!("number {due} is missing before it, it says {said}"),
            said if said > due => format!("numbers {due} to {} are missing before it, it says {said}", said - 1),
            said => format!("number {due} is due, it says {said}"),
        });
        let (time, last) = (envelope.at_us, self.last);
        self.last = time.max(last);
        form.check(CLOCK, at, time >= last, || format!("it is of {time}, a line before it of {last}"));
        let wall = started.map(|started| time.after(started));
        form.check(CLOCK, at, wall.as_deref() == Some(&*envelope.time), || {
            format!("at_us makes it {}, it says {}", wall.unwrap_or_default(), envelope.time)
        });
    }
}
