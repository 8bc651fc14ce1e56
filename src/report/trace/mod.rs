//! The record read back: bytes in, a run out, and whether what the file says can have been so.
//!
//! The file is read as a stream, a line at a time, and no line without a bound: what is kept is the run. A line that is not
//! understood is told of and passed over; so a file that was cut, or written by a later version, is still checked as far as
//! it goes.

mod scenario;
mod verification;

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::events::{self, Envelope, Event, RunStart, WitnessSession};
use super::names;
use super::shapes::{SCHEMA_VERSION, TotalsShape};
use super::words::{us, wall};
use crate::record::{Audit, CLOCK, End, Entry, LINES, Names, Run, SEQUENCE};

pub use scenario::{
    ScenarioTrace, ScenarioVerification, scenario_text, scenario_verification_json, scenario_verification_text,
    scenarios_json,
};
pub use verification::{Verification, verification_json, verification_text};

/// The longest first line: a run of hundreds of thousands of workers. Whatever is no trace is told from one in so much.
const FIRST: u64 = 16 << 20;
/// The longest other line: what the server saw of a session with some millions of commands.
const LONGEST: u64 = 256 << 20;

/// No number of a run is as big: not the operations asked of all workers together, nor a year in microseconds.
const MOST: f64 = 1e18;
/// It has so many digits at least.
const DIGITS: usize = 19;

/// A run's file, read.
#[derive(Debug)]
pub struct Trace {
    /// The run, as far as it was understood.
    pub run: Run,
    /// How many lines it has.
    pub lines: u64,
    /// The number of its first line, from 0.
    first: u64,
    /// What the file says that it all came to; none if the file has no such line.
    claims: Option<Value>,
    /// What was found wrong with the file's form.
    form: Audit,
}

/// Why a file cannot be checked at all.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoTrace {
    /// It could not be read.
    #[error("it could not be read")]
    Unreadable(#[from] io::Error),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It does not begin as one.
    #[error(
        "it does not begin with a run-start line of `mailconn run --format ndjson`, nor with the scenario-start line of a scenario: {0}"
    )]
    NoStart(String),
    /// Of another form.
    #[error("it is of schema version {found}, this mailconn reads version {SCHEMA_VERSION}")]
    Version {
        /// The version that it says.
        found: u64,
    },
    /// A number that no run comes to.
    #[error("line {line}: {field} is {number}, and no run comes to as much")]
    Beyond {
        /// In which line.
        line: u64,
        /// What is so big: `operations.not_issued`.
        field: String,
        /// As it stands there.
        number: String,
    },
    /// A line without an end.
    #[error("line {line} is longer than {most} bytes")]
    TooLong {
        /// Which.
        line: u64,
        /// The bound.
        most: u64,
    },
}

impl Trace {
    /// Reads a run's file to its end.
    ///
    /// # Errors
    /// It is none, or cannot be read. A line that is wrong is no error: the verification tells of it.
    pub fn read(from: impl Read) -> Result<Self, NoTrace> {
        match Recorded::read(from)? {
            Recorded::Run(trace) => Ok(*trace),
            Recorded::Scenarios(_) => Err(NoTrace::NoStart("it is a scenario's".to_owned())),
        }
    }

    /// Begins with its `run-start`, the line with that number; as the part of a scenario's file, whose workers and tasks go
    /// by names.
    fn begin(line: &[u8], first: u64, in_scenario: bool) -> Result<(Self, Reading), NoTrace> {
        let no_start = |error: &dyn std::fmt::Display| NoTrace::NoStart(error.to_string());
        let envelope: Envelope<'_> = events::read(line).map_err(|error| no_start(&error))?;
        if envelope.event != RunStart::NAME {
            return Err(no_start(&format!("the first line is {:?}", envelope.event)));
        }
        let client = in_scenario.then(|| Client::of(line)).transpose().map_err(|error| no_start(&error))?;
        let counted =
            client.as_ref().map(|client| client.counted(line)).transpose().map_err(|error| no_start(&error))?;
        let line = counted.as_deref().unwrap_or(line);
        let start: RunStart<'_> = events::read(line).map_err(|error| no_start(&error))?;
        if start.schema_version != SCHEMA_VERSION {
            return Err(NoTrace::Version { found: u64::from(start.schema_version) });
        }
        let odd = start.odd();
        let mut header = start.header().map_err(|error| no_start(&error))?;
        let odd = odd.or_else(|| {
            let beyond = header.scripted != in_scenario;
            beyond.then(|| "it is scripted if and only if it is a scenario's".to_owned())
        });
        if let Some(client) = &client {
            header.names = client.names.clone();
        }
        let started = header.started;
        let run = Run { header, entries: Vec::new(), end: End::default(), witness: None };
        let mut trace = Self { run, first, lines: 1, claims: None, form: Audit::default() };
        let at = first.checked_sub(1);
        trace.form.check(LINES, at, odd.is_none(), || format!("run-start: {}", odd.unwrap_or_default()));
        let mut reading =
            Reading { started, next: first, first, due: first, last: Duration::ZERO, part: Part::Start, client };
        reading.place(&mut trace, &envelope);
        Ok((trace, reading))
    }

    /// Whether every line was understood, and the last one says what it all came to.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.form.holds()
    }

    /// It has that many lines.
    fn ends(&mut self, lines: u64) {
        self.lines = lines;
        if let Some(claims) = &self.claims {
            self.run.end = end(claims);
            if says_witness(claims) {
                self.run.witness.get_or_insert_default();
            }
        }
        if self.claims.is_none() {
            let missing = "there is no run-end: the file ends before its run, or what came after is missing";
            self.form.check(LINES, None, false, || missing.to_owned());
        }
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
    pub fn read(from: impl Read) -> Result<Self, NoTrace> {
        let mut lines = Lines { from: io::BufReader::new(from), line: Vec::new(), number: 0 };
        let first = lines.next(FIRST)?.ok_or(NoTrace::Empty)?;
        let envelope: Envelope<'_> = events::read(first).map_err(NoTrace::NoStart)?;
        if envelope.event == scenario::START {
            let mut scenarios = Vec::new();
            let mut goes_on = true;
            while goes_on {
                let (scenario, another) = ScenarioTrace::read(&mut lines)?;
                scenarios.push(scenario);
                goes_on = another;
            }
            return Ok(Self::Scenarios(scenarios));
        }
        let (mut trace, mut reading) = Trace::begin(first, 0, false)?;
        while let Some(line) = lines.next(LONGEST)? {
            reading.line(&mut trace, line);
        }
        trace.ends(lines.number);
        Ok(Self::Run(Box::new(trace)))
    }
}

/// One of a scenario's clients: its name, and what the scenario calls its workers and tasks.
struct Client {
    name: Value,
    names: Names,
}

impl Client {
    /// As its `run-start` says.
    fn of(line: &[u8]) -> Result<Self, String> {
        let mut start: Value = events::read(line)?;
        let names = names::given(&start);
        let called = |all: &[String]| {
            all.iter().all(|name| !name.is_empty()) && all.iter().collect::<BTreeSet<_>>().len() == all.len()
        };
        if !called(&names.workers) || !called(&names.tasks) {
            return Err("each worker and each task of a scenario has a name of its own".to_owned());
        }
        Ok(Self { name: start["client"].take(), names })
    }

    /// The line as a run of its own would have it.
    fn counted(&self, line: &[u8]) -> Result<Vec<u8>, String> {
        let mut line: Value = events::read(line)?;
        if line["client"] != self.name {
            return Err(format!("it is of the client {}, in the run of {}", line["client"], self.name));
        }
        names::count(&mut line, &self.names);
        serde_json::to_vec(&line).map_err(|error| error.to_string())
    }
}

/// Lines, each bounded.
struct Lines<R> {
    from: R,
    line: Vec<u8>,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    /// The next one, without its end; the last may have none.
    fn next(&mut self, most: u64) -> Result<Option<&[u8]>, NoTrace> {
        self.line.clear();
        let read = (&mut self.from).take(most).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(None);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read as u64 == most {
            return Err(NoTrace::TooLong { line: self.number, most });
        }
        match beyond(&self.line) {
            Some((field, number)) => Err(NoTrace::Beyond { line: self.number, field, number }),
            None => Ok(Some(&self.line)),
        }
    }
}

/// The first number of a line that is beyond what any run comes to, and where it stands. So sums of a file's numbers stay
/// far from what a number can hold.
fn beyond(line: &[u8]) -> Option<(String, String)> {
    // Few lines have so many digits in a row; only those are looked at more closely.
    if !line.split(|byte| !byte.is_ascii_digit()).any(|digits| digits.len() >= DIGITS) {
        return None;
    }
    find_beyond(&serde_json::from_slice(line).ok()?, String::new())
}

fn find_beyond(value: &Value, field: String) -> Option<(String, String)> {
    let below = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match value {
        // Any number is a seed.
        Value::Number(number) if field != "seed" && number.as_f64().is_some_and(|it| it.abs() >= MOST) => {
            Some((field, number.to_string()))
        }
        Value::Array(values) => values.iter().find_map(|value| find_beyond(value, field.clone())),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| find_beyond(value, below(name))),
        _ => None,
    }
}

/// The parts of a file, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Start,
    Entries,
    Witness,
    End,
}

/// Where the reading stands.
struct Reading {
    started: SystemTime,
    /// The next line's number, from 0; and that of the first.
    next: u64,
    first: u64,
    /// What it must say, as far as the lines before it tell: a gap is told of once.
    due: u64,
    last: Duration,
    part: Part,
    /// Where it is a part of a scenario's file.
    client: Option<Client>,
}

impl Reading {
    fn line(&mut self, trace: &mut Trace, line: &[u8]) {
        // The record's entry n is line n + 1, from 0.
        let seq = self.next - 1;
        let counted = self.client.as_ref().map(|client| client.counted(line)).transpose();
        let line = match &counted {
            Ok(counted) => counted.as_deref().unwrap_or(line),
            Err(error) => {
                trace.form.check(LINES, Some(seq), false, || error.clone());
                line
            }
        };
        let envelope: Envelope<'_> = match events::read(line) {
            Ok(envelope) => envelope,
            Err(error) => {
                trace.form.check(LINES, Some(seq), false, || format!("no event: {error}"));
                self.next += 1;
                self.due += 1;
                return;
            }
        };
        self.place(trace, &envelope);
        let understood = self.event(trace, &envelope, line, seq);
        trace.form.check(LINES, Some(seq), understood.is_ok(), || understood.err().unwrap_or_default());
    }

    /// Its number and its time.
    fn place(&mut self, trace: &mut Trace, envelope: &Envelope<'_>) {
        let (due, seq) = (self.due, self.next.checked_sub(1));
        self.next += 1;
        self.due = envelope.seq.max(due.saturating_sub(1)).saturating_add(1);
        trace.form.check(SEQUENCE, seq, envelope.seq == due, || match envelope.seq {
            said if said == due + 1 => format!("number {due} is missing before it, it says {said}"),
            said if said > due => format!("numbers {due} to {} are missing before it, it says {said}", said - 1),
            said => format!("number {due} is due, it says {said}"),
        });
        let at = envelope.at_us.0;
        let last = self.last;
        self.last = at.max(last);
        trace.form.check(CLOCK, seq, at >= last, || format!("it is of {at:?}, a line before it of {last:?}"));
        let time = self.started.checked_add(at).map(wall);
        trace.form.check(CLOCK, seq, time.as_deref() == Some(&*envelope.time), || {
            format!("at_us makes it {}, it says {}", time.unwrap_or_default(), envelope.time)
        });
    }

    fn event(&mut self, trace: &mut Trace, envelope: &Envelope<'_>, line: &[u8], seq: u64) -> Result<(), String> {
        let part = match &*envelope.event {
            RunStart::NAME => return Err("the run begins a second time".to_owned()),
            TotalsShape::NAME => Part::End,
            WitnessSession::NAME => Part::Witness,
            _ => Part::Entries,
        };
        let before = self.part;
        self.part = part.max(before);
        if part < before {
            return Err(format!("{} does not belong here: the record had ended", envelope.event));
        }
        match part {
            Part::End if before == Part::End => return Err("the run ends a second time".to_owned()),
            Part::End => {
                let claims: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
                let (at, elapsed) = (us(envelope.at_us.0), us(end(&claims).elapsed));
                trace
                    .form
                    .check(CLOCK, Some(seq), elapsed == at, || format!("it is of {at} µs, the run took {elapsed} µs"));
                trace.claims = Some(claims);
            }
            Part::Witness => {
                let session = events::read::<WitnessSession<'_>>(line)?;
                trace.run.witness.get_or_insert_default().push(session.into());
            }
            _ => {
                let what = events::what(&trace.run.header, &envelope.event, envelope.at_us.0, line)?;
                trace.run.entries.push(Entry { seq: seq - self.first, at: envelope.at_us.0, what });
            }
        }
        Ok(())
    }
}

/// How the run ended, as far as its last line says.
fn end(claims: &Value) -> End {
    End {
        elapsed: Duration::from_micros(claims["elapsed_us"].as_u64().unwrap_or_default()),
        interrupted: claims["interrupted"].as_i64().and_then(|signal| i32::try_from(signal).ok()),
        still_open: claims["connections"]["still_open"]
            .as_u64()
            .map_or(0, |open| usize::try_from(open).unwrap_or(usize::MAX)),
    }
}

/// Whether there was a server's record, be it empty.
fn says_witness(claims: &Value) -> bool {
    claims["verdict"]["witness"]["available"] == Value::Bool(true)
}
