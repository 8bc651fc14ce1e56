//! A stream as a file: one event on each line.

use std::borrow::Cow;
use std::io::{self, BufRead, Read, Write};
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::codec::{self, Envelope, Event, LONGEST, NotRead, What, Within};
use super::line;
use super::micros::Micros;
use super::model::SCHEMA_VERSION;
use super::probe::ProbeStep;

/// The oldest form that is read.
const OLDEST: u32 = 2;
/// This version's starts list each worker and each task, and are as long as that makes them.
const LISTS_EACH: u32 = 2;
/// How long: of a run of hundreds of thousands of workers.
const LONGEST_START: u64 = 16 << 20;
/// A line is read up to this: a later version's may be longer than ours.
const LONGEST_READ: u64 = 16 * LONGEST as u64;
/// No number of a run is as big: not the operations asked of all workers together, nor a year in microseconds.
const BIGGEST: f64 = 1e18;
/// It has so many digits at least.
const DIGITS: usize = 19;
/// So many lines, and about so many bytes, go from thread to thread at once: each time one of them wakes the other.
pub(super) const BATCH: usize = 512;
const BATCH_BYTES: usize = 256 * 1024;
/// So many names of what is not known are kept.
const NAMED: usize = 5;

/// Writes a stream, or the part of it that is one client's.
#[derive(Debug)]
pub struct Writer<W> {
    out: W,
    started: SystemTime,
    client: Option<String>,
    /// The step of a probe that is under way.
    step: Option<ProbeStep>,
    /// A batch is written in one go: no reader sees half a line, and a line costs no system call of its own.
    batch: Vec<u8>,
}

impl<W: Write> Writer<W> {
    /// Times count from `started`; `client` is named where a stream has several.
    pub fn new(out: W, started: SystemTime, client: Option<String>) -> Self {
        Self { out, started, client, step: None, batch: Vec::new() }
    }

    /// Writes these events, and flushes them.
    ///
    /// # Errors
    /// What `out` answers.
    pub fn write<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) -> io::Result<()> {
        for event in events {
            if let What::ProbeStep(step) = event.what {
                self.step = Some(step);
            }
            let within = Within { client: self.client.as_deref(), step: self.step, ..Within::default() };
            codec::write(event, self.started, within, &mut self.batch);
        }
        let written = self.out.write_all(&self.batch);
        self.batch.clear();
        written?;
        self.out.flush()
    }

    /// What was written, in exchange for nothing.
    pub fn take(&mut self) -> W
    where
        W: Default,
    {
        std::mem::take(&mut self.out)
    }

    /// What it wrote to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

/// Why a file cannot be read at all, or no further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unreadable {
    /// It could not be read.
    #[error("it could not be read")]
    Io(#[from] io::Error),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It does not begin as a stream does.
    #[error(
        "it does not begin with a run-start line of `mailconn run --format ndjson` (or `limits`), nor with the scenario-start line of a \
         scenario or the comparison-start line of `mailconn compare --format ndjson`: {0}"
    )]
    NoStart(String),
    /// It begins as a stream does, and no run or scenario can begin so.
    #[error("line {line} is no {event} that can be: {why}")]
    BadStart {
        /// In which line.
        line: u64,
        /// `run-start` or `scenario-start`.
        event: String,
        /// What is wrong with it.
        why: String,
    },
    /// Of a form that is not read any more.
    #[error(
        "it is of schema version {found}, which mailconn {by} wrote: this one reads version {OLDEST} and later ones"
    )]
    Version {
        /// The version that it says.
        found: u32,
        /// The version of mailconn that wrote it.
        by: String,
    },
    /// It begins in words of a later version.
    #[error(
        "it is of schema version {found}, which mailconn {by} wrote, and its {event} says {word}, which this version does \
         not know: read it with that one"
    )]
    Newer {
        /// The version that it says.
        found: u32,
        /// The version of mailconn that wrote it.
        by: String,
        /// How it begins.
        event: String,
        /// What is not known, quoted.
        word: String,
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

/// One line, read.
#[derive(Debug)]
pub struct Line {
    /// Its number in the file, from 1.
    pub number: u64,
    /// What stands before the event; none if the line is no event.
    pub envelope: Option<Envelope<'static>>,
    /// The event; none if it is not understood, or not known.
    pub event: Option<Event>,
    /// What is wrong with it. What a later version added is not.
    pub fault: Option<String>,
    /// What a later version added to it, which was passed over.
    pub passed_over: Vec<String>,
    /// The event is one of this version in words of a later one, and was passed over.
    pub is_lost: bool,
}

impl Line {
    /// Whether a later version added something to that field.
    #[must_use]
    pub fn adds_to(&self, field: &str) -> bool {
        self.passed_over.iter().any(|name| name.split('.').next() == Some(field))
    }
}

/// Reads a stream, a line at a time; nothing is kept.
#[derive(Debug)]
pub struct Reader<R> {
    from: R,
    line: Vec<u8>,
    number: u64,
    /// What the last start says of the stream's form.
    form: Option<Form>,
    passed_over: PassedOver,
}

/// Events, fields, words and findings that a later version added, and that this one passes over.
#[derive(Clone, Debug, Default)]
pub struct PassedOver {
    /// How many.
    pub count: u64,
    /// The names of the first.
    pub names: Vec<String>,
}

impl PassedOver {
    /// One more.
    pub fn add(&mut self, name: &str) {
        self.count += 1;
        if self.names.len() < NAMED && self.names.iter().all(|other| other != name) {
            self.names.push(name.to_owned());
        }
    }
}

/// What a stream's first line says of its form.
#[derive(Debug, Deserialize)]
struct Form {
    schema_version: u32,
    tool_version: String,
}

impl<R: BufRead> Reader<R> {
    /// Of that file.
    pub fn new(from: R) -> Self {
        Self { from, line: Vec::new(), number: 0, form: None, passed_over: PassedOver::default() }
    }

    /// The next line; none at the end.
    ///
    /// # Errors
    /// It is no stream, or one that cannot be read further. A line that is wrong is no error: it says so.
    pub fn next_line(&mut self) -> Result<Option<Line>, Unreadable> {
        if !self.take_line()? {
            return if self.number == 0 { Err(Unreadable::Empty) } else { Ok(None) };
        }
        match self.at_once() {
            Some(line) => Ok(Some(line)),
            None => self.thoroughly(),
        }
    }

    /// Adds the next lines, at most [`BATCH`] and about [`BATCH_BYTES`]. False at the end.
    pub(super) fn next_lines(&mut self, to: &mut Vec<Line>) -> Result<bool, Unreadable> {
        let mut bytes = 0;
        while to.len() < BATCH && bytes < BATCH_BYTES {
            let Some(line) = self.next_line()? else { return Ok(false) };
            to.push(line);
            bytes += self.line.len();
        }
        Ok(true)
    }

    /// The line if all is well with it.
    fn at_once(&self) -> Option<Line> {
        let may_be = self.number > 1 && self.line.len() <= LONGEST;
        let (envelope, what) = may_be.then(|| line::read(&self.line))??;
        let event = Event { seq: envelope.seq, at: envelope.at_us, what };
        let begins = codec::STARTS.contains(&event.what.name());
        (!begins).then(|| self.right(envelope.called(event.what.name().into()), event))
    }

    /// The line, and what is wrong with it.
    fn thoroughly(&mut self) -> Result<Option<Line>, Unreadable> {
        let envelope = match serde_json::from_slice::<Envelope<'_>>(&self.line) {
            Ok(envelope) => envelope.into_owned(),
            Err(error) if self.number == 1 => return Err(Unreadable::NoStart(no_json(&self.line, &error))),
            Err(error) => return Ok(Some(self.wrong(None, format!("no event: {}", no_json(&self.line, &error))))),
        };
        let starts = codec::STARTS.contains(&&*envelope.event);
        if starts {
            self.begin(&envelope.event)?;
        } else if self.number == 1 {
            return Err(Unreadable::NoStart(format!("the first line is {:?}", envelope.event)));
        }
        let version = self.form.as_ref().map_or(SCHEMA_VERSION, |form| form.schema_version);
        if self.line.len() > LONGEST && version <= SCHEMA_VERSION && !(starts && version == LISTS_EACH) {
            return self.no_event(envelope, format!("it is longer than {LONGEST} bytes"));
        }
        let mut unknown = Vec::new();
        let read = codec::read_body(&envelope.event, &self.line, &mut unknown);
        let newer = self.form.as_ref().filter(|form| form.schema_version > SCHEMA_VERSION);
        match (read, newer) {
            (Ok(what), newer) => {
                let known = newer.is_some() || unknown.is_empty();
                let fault = (!known).then(|| format!("not understood by this version: {}", unknown.join(", ")));
                let event = Event { seq: envelope.seq, at: envelope.at_us, what };
                let passed_over = if newer.is_some() { self.pass_over(unknown) } else { Vec::new() };
                Ok(Some(Line { fault, passed_over, ..self.right(envelope, event) }))
            }
            (Err(NotRead::Word { word, .. }), Some(form)) if starts => Err(Unreadable::Newer {
                found: form.schema_version,
                by: form.tool_version.clone(),
                event: envelope.event.into_owned(),
                word,
            }),
            (Err(NotRead::Unknown(name)), Some(_)) => Ok(Some(self.added(envelope, name, false))),
            (Err(NotRead::Word { word, .. }), Some(_)) => {
                let name = format!("{} {word}", envelope.event);
                Ok(Some(self.added(envelope, name, true)))
            }
            (Err(error), _) => self.no_event(envelope, error.to_string()),
        }
    }

    /// What was passed over, because a later version added it.
    #[must_use]
    pub const fn passed_over(&self) -> &PassedOver {
        &self.passed_over
    }

    /// A line of that envelope that cannot be: without the first there is no stream.
    fn no_event(&self, envelope: Envelope<'static>, why: String) -> Result<Option<Line>, Unreadable> {
        match self.number {
            1 => Err(self.bad_start(&envelope.event, why)),
            _ => Ok(Some(self.wrong(Some(envelope), why))),
        }
    }

    fn bad_start(&self, event: &str, why: String) -> Unreadable {
        Unreadable::BadStart { line: self.number, event: event.to_owned(), why }
    }

    fn right(&self, envelope: Envelope<'static>, event: Event) -> Line {
        let (envelope, event, passed_over) = (Some(envelope), Some(event), Vec::new());
        Line { number: self.number, envelope, event, fault: None, passed_over, is_lost: false }
    }

    fn wrong(&self, envelope: Option<Envelope<'static>>, fault: String) -> Line {
        let passed_over = Vec::new();
        Line { number: self.number, envelope, event: None, fault: Some(fault), passed_over, is_lost: false }
    }

    /// A line that a later version added, or wrote in words of its own.
    fn added(&mut self, envelope: Envelope<'static>, name: String, is_lost: bool) -> Line {
        let passed_over = self.pass_over(vec![name]);
        Line { number: self.number, envelope: Some(envelope), event: None, fault: None, passed_over, is_lost }
    }

    fn begin(&mut self, event: &str) -> Result<(), Unreadable> {
        let form: Form =
            serde_json::from_slice(&self.line).map_err(|error| self.bad_start(event, error.to_string()))?;
        if form.schema_version < OLDEST {
            return Err(Unreadable::Version { found: form.schema_version, by: form.tool_version });
        }
        self.form = Some(form);
        Ok(())
    }

    fn pass_over(&mut self, names: Vec<String>) -> Vec<String> {
        names.iter().for_each(|name| self.passed_over.add(name));
        names
    }

    /// The next line, without its end; the last may have none.
    fn take_line(&mut self) -> Result<bool, Unreadable> {
        self.line.clear();
        let most = LONGEST_START.max(LONGEST_READ);
        let read = (&mut self.from).take(most).read_until(b'\n', &mut self.line)?;
        if read == 0 {
            return Ok(false);
        }
        self.number += 1;
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        } else if read as u64 == most {
            return Err(Unreadable::TooLong { line: self.number, most });
        }
        match beyond(&self.line) {
            Some((field, number)) => Err(Unreadable::Beyond { line: self.number, field, number }),
            None => Ok(true),
        }
    }
}

/// Why a line is no envelope, in words for whoever named the file.
fn no_json(line: &[u8], error: &serde_json::Error) -> String {
    let text = line.trim_ascii();
    if text.is_empty() {
        "the line is empty".to_owned()
    } else if line.starts_with(&[0x1f, 0x8b]) {
        "it is compressed; unpack it with gunzip".to_owned()
    } else if line.starts_with("\u{feff}".as_bytes()) {
        "a byte order mark stands before it; remove its first three bytes".to_owned()
    } else if text == b"{" {
        "it is a JSON document of many lines, as --format json writes; --format ndjson keeps what can be read again"
            .to_owned()
    } else if !text.starts_with(b"{") {
        "the line is no JSON object".to_owned()
    } else {
        // Each line is a document of its own: only the column says something.
        error.to_string().replace(" at line 1 column ", " at column ")
    }
}

/// The first number of a line that is beyond what any run comes to, and where it stands. So sums of a file's numbers stay
/// far from what a number can hold.
fn beyond(line: &[u8]) -> Option<(String, String)> {
    // Few lines have so many digits in a row; only those are looked at more closely.
    if !has_a_long_number(line) {
        return None;
    }
    find_beyond(&serde_json::from_slice(line).ok()?, String::new())
}

/// Whether that many digits stand in a row anywhere. One of them stands at a multiple of that number.
fn has_a_long_number(line: &[u8]) -> bool {
    (0..line.len()).step_by(DIGITS).any(|at| {
        let (before, behind) = line.split_at(at);
        let count = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        count > 0 && count + before.iter().rev().take_while(|byte| byte.is_ascii_digit()).count() >= DIGITS
    })
}

fn find_beyond(value: &Value, field: String) -> Option<(String, String)> {
    let below = |name: &str| if field.is_empty() { name.to_owned() } else { format!("{field}.{name}") };
    match value {
        // Any number is a seed.
        Value::Number(number) if field != "seed" && number.as_f64().is_some_and(|it| it.abs() >= BIGGEST) => {
            Some((field, number.to_string()))
        }
        Value::Array(values) => values.iter().find_map(|value| find_beyond(value, field.clone())),
        Value::Object(fields) => fields.iter().find_map(|(name, value)| find_beyond(value, below(name))),
        _ => None,
    }
}

impl Envelope<'_> {
    /// The same, on its own.
    #[must_use]
    pub fn into_owned(mut self) -> Envelope<'static> {
        let event = std::mem::take(&mut self.event).into_owned();
        self.called(event.into())
    }

    /// The same, on its own, with the event's name, which need not be copied where it is known.
    fn called(self, event: Cow<'static, str>) -> Envelope<'static> {
        let Self { seq, event: _, at_us, time, client, variant, round, step, shard } = self;
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned());
        Envelope {
            seq,
            event,
            at_us,
            time: owned(time),
            client: client.map(owned),
            variant: variant.map(owned),
            round,
            step: step.map(owned),
            shard,
        }
    }
}

/// What a stream of that start counts from: none if it is no start.
#[must_use]
pub fn started(what: &What) -> Option<SystemTime> {
    match what {
        What::RunStart(start) => Some(start.started),
        What::ScenarioStart(start) => Some(start.started),
        What::ComparisonStart(start) => Some(start.started),
        _ => None,
    }
}

impl Micros {
    /// That moment of a run, by the wall clock.
    #[must_use]
    pub fn after(self, started: SystemTime) -> String {
        super::wall_clock(started, self)
    }
}
