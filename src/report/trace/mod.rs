//! The record read back: bytes in, a run out, and whether what the file says can have been so.
//!
//! The file is read as a stream, a line at a time, and no line without a bound: what is kept is the run. A line that is not
//! understood is told of and passed over; so a file that was cut, or written by a later version, is still checked as far as
//! it goes.

mod verification;

use std::io::{self, BufRead, Read};
use std::time::{Duration, SystemTime};

use serde_json::Value;

use super::events::{self, Envelope, Event, RunStart, WitnessSession};
use super::shapes::{SCHEMA_VERSION, TotalsShape};
use super::words::{us, wall};
use crate::record::{Audit, CLOCK, End, Entry, LINES, Run, SEQUENCE};

pub use verification::{Verification, verification_json, verification_text};

/// The longest first line: a run of hundreds of thousands of workers. Whatever is no trace is told from one in so much.
const FIRST: u64 = 16 << 20;
/// The longest other line: what the server saw of a session with some millions of commands.
const LONGEST: u64 = 256 << 20;

/// A run's file, read.
#[derive(Debug)]
pub struct Trace {
    /// The version of mailconn that wrote it.
    pub tool_version: String,
    /// The run, as far as it was understood.
    pub run: Run,
    /// How many lines the file has.
    pub lines: u64,
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
    #[error("it does not begin with a run-start line of `mailconn run --format ndjson`: {0}")]
    NoStart(String),
    /// Of another form.
    #[error("it is of schema version {found}, this mailconn reads version {SCHEMA_VERSION}")]
    Version {
        /// The version that it says.
        found: u64,
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
        let mut lines = Lines { from: io::BufReader::new(from), line: Vec::new(), number: 0 };
        let first = lines.next(FIRST)?.ok_or(NoTrace::Empty)?;
        let no_start = |error: &dyn std::fmt::Display| NoTrace::NoStart(error.to_string());
        let envelope: Envelope<'_> = events::read(first).map_err(|error| no_start(&error))?;
        if envelope.event != RunStart::NAME {
            return Err(no_start(&format!("the first line is {:?}", envelope.event)));
        }
        let start: RunStart<'_> = events::read(first).map_err(|error| no_start(&error))?;
        if start.schema_version != SCHEMA_VERSION {
            return Err(NoTrace::Version { found: u64::from(start.schema_version) });
        }
        let (tool_version, odd) = (start.tool_version.to_string(), start.odd());
        let header = start.header().map_err(|error| no_start(&error))?;
        let started = header.started;
        let run = Run { header, entries: Vec::new(), end: End::default(), witness: None };
        let mut trace = Self { tool_version, run, lines: 0, claims: None, form: Audit::default() };
        trace.form.check(LINES, None, odd.is_none(), || format!("line 1: {}", odd.unwrap_or_default()));
        let mut reading = Reading { started, next: 0, last: Duration::ZERO, part: Part::Start };
        reading.place(&mut trace, &envelope);
        while let Some(line) = lines.next(LONGEST)? {
            reading.line(&mut trace, line);
        }
        trace.lines = lines.number;
        if let Some(claims) = &trace.claims {
            trace.run.end = end(claims);
            if says_witness(claims) {
                trace.run.witness.get_or_insert_default();
            }
        }
        let ended = trace.claims.is_some();
        trace.form.check(LINES, None, ended, || {
            "there is no run-end: the file ends before its run, or what came after is missing".to_owned()
        });
        Ok(trace)
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
        Ok(Some(&self.line))
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
    /// The next line's number, from 0.
    next: u64,
    last: Duration,
    part: Part,
}

impl Reading {
    fn line(&mut self, trace: &mut Trace, line: &[u8]) {
        // The record's entry n is line n + 1, from 0.
        let seq = self.next - 1;
        let envelope: Envelope<'_> = match events::read(line) {
            Ok(envelope) => envelope,
            Err(error) => {
                trace.form.check(LINES, Some(seq), false, || format!("no event: {error}"));
                self.next += 1;
                return;
            }
        };
        self.place(trace, &envelope);
        let understood = self.event(trace, &envelope, line, seq);
        trace.form.check(LINES, Some(seq), understood.is_ok(), || understood.err().unwrap_or_default());
    }

    /// Its number and its time.
    fn place(&mut self, trace: &mut Trace, envelope: &Envelope<'_>) {
        let (due, seq) = (self.next, self.next.checked_sub(1));
        self.next += 1;
        trace
            .form
            .check(SEQUENCE, seq, envelope.seq == due, || format!("number {due} is due, it says {}", envelope.seq));
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
                let what = events::what(&trace.run.header, &envelope.event, line)?;
                trace.run.entries.push(Entry { seq, at: envelope.at_us.0, what });
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
