//! Events to lines and back.
//!
//! A line is the envelope's fields, then the event's own. Both are read from the same bytes, and what neither knows is
//! told: in a file of this version it is a fault of the file, in a later one an addition that is passed over.

use std::borrow::Cow;
use std::time::SystemTime;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::comparison::{ComparisonEnd, ComparisonStart};
use super::end::RunEnd;
use super::micros::Micros;
use super::model::{
    ConnectionCreated, ConnectionDisposed, DefaultRefused, MailboxLeft, ModeChanged, Operation, Outcome, RunStart,
    SessionClosed, SessionOpened, SessionRefused, TaskEnded, TaskStarted, TaskStopped, WitnessCommands, WitnessSession,
    WorkerEnded, WorkerStopped,
};
use super::named::KNOWN;
use super::probe::{ProbeStep, ServerGreeted};
use super::scenario::{ScenarioEnd, ScenarioStart, Step};
use super::wall::{Wall, wall_clock};
use crate::allocator::{ConnectionId, SessionId};

/// No line is longer, in bytes. In a file of version 2 a run's first one may be, which lists each worker and each task.
pub const LONGEST: usize = 64 * 1024;

macro_rules! events {
    ($($(#[doc = $doc:literal])* $kind:ident($body:ty) = $name:literal;)+) => {
        /// What happened.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub enum What {
            $($(#[doc = $doc])* $kind($body),)+
        }

        impl What {
            /// The event's name, as its line says it.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)+
                }
            }

            fn write(&self, envelope: &Envelope<'_>, to: &mut Vec<u8>) -> serde_json::Result<()> {
                match self {
                    $(Self::$kind(body) => serde_json::to_writer(to, &Line { envelope, body }),)+
                }
            }

            /// The event of that name, as it stands there; none if no event has that name.
            pub(super) fn read<'a, D: Deserializer<'a>>(name: &str, from: D) -> Result<Option<Self>, D::Error> {
                Ok(Some(match name {
                    $($name => Self::$kind(Deserialize::deserialize(from)?),)+
                    _ => return Ok(None),
                }))
            }
        }

        /// One line of a stream: the envelope's fields, then the event's own.
        impl JsonSchema for What {
            fn schema_name() -> Cow<'static, str> {
                "Line".into()
            }

            fn json_schema(generator: &mut SchemaGenerator) -> Schema {
                let lines = [$(line($name, concat!($($doc,)+), <Line<'_, $body>>::json_schema(generator), generator),)+];
                json_schema!({ "description": "One line of a stream: an event", "oneOf": lines })
            }
        }

        $(
            impl From<$body> for What {
                fn from(body: $body) -> Self {
                    Self::$kind(body)
                }
            }
        )+
    };
}

events! {
    /// The run begins.
    RunStart(Box<RunStart>) = "run-start";
    /// A connection's place came into being.
    ConnectionCreated(ConnectionCreated) = "connection-created";
    /// A session was opened.
    SessionOpened(Box<SessionOpened>) = "session-opened";
    /// A session could not be opened.
    SessionRefused(Box<SessionRefused>) = "session-refused";
    /// A session ended.
    SessionClosed(Box<SessionClosed>) = "session-closed";
    /// A connection's place is no more.
    ConnectionDisposed(ConnectionDisposed) = "connection-disposed";
    /// The mode was set.
    ModeChanged(ModeChanged) = "mode-changed";
    /// An operation ended.
    Operation(Box<Operation>) = "operation";
    /// A worker's scratch mailbox may still be on the server.
    MailboxLeft(MailboxLeft) = "mailbox-left";
    /// A worker stopped early.
    WorkerStopped(WorkerStopped) = "worker-stopped";
    /// A task began.
    TaskStarted(TaskStarted) = "task-started";
    /// A task found a default connection where it was to create one.
    DefaultRefused(DefaultRefused) = "default-refused";
    /// A task stopped early.
    TaskStopped(TaskStopped) = "task-stopped";
    /// A task ended.
    TaskEnded(TaskEnded) = "task-ended";
    /// A worker ended.
    WorkerEnded(WorkerEnded) = "worker-ended";
    /// A step of a probe begins.
    ProbeStep(ProbeStep) = "probe-step";
    /// The server greeted a probe.
    ServerGreeted(ServerGreeted) = "server-greeted";
    /// The server read commands.
    WitnessCommands(WitnessCommands) = "witness-commands";
    /// A session is over to the server.
    WitnessSession(WitnessSession) = "witness-session";
    /// The run is over.
    RunEnd(Box<RunEnd>) = "run-end";
    /// A scenario begins.
    ScenarioStart(Box<ScenarioStart>) = "scenario-start";
    /// A step of a scenario was done.
    Step(Box<Step>) = "step";
    /// A scenario is over.
    ScenarioEnd(Box<ScenarioEnd>) = "scenario-end";
    /// A comparison begins.
    ComparisonStart(Box<ComparisonStart>) = "comparison-start";
    /// A comparison is over.
    ComparisonEnd(Box<ComparisonEnd>) = "comparison-end";
}

/// The schema of such a line, as a definition that has the event's name.
fn line(name: &str, description: &str, mut schema: Schema, generator: &mut SchemaGenerator) -> Schema {
    schema.insert("description".to_owned(), description.trim().into());
    if let Some(event) = schema.pointer_mut("/properties/event").and_then(Value::as_object_mut) {
        event.insert("const".to_owned(), name.into());
    }
    generator.definitions_mut().insert(name.to_owned(), schema.into());
    Schema::new_ref(format!("#/$defs/{name}"))
}

/// One thing that happened.
#[derive(Clone, Debug)]
pub struct Event {
    /// 0, 1, 2, …: the order in which things happened; what a thread did itself is in its own order.
    pub seq: u64,
    /// When, since the start (monotonic).
    pub at: Micros,
    /// What.
    pub what: What,
}

/// What every line has, before its own.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Envelope<'a> {
    /// The event's number.
    pub seq: u64,
    /// Its name.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// When, since the start (monotonic).
    pub at_us: Micros,
    /// The same by the wall clock.
    #[serde(borrow)]
    #[schemars(with = "Wall")]
    pub time: Cow<'a, str>,
    /// Whose: the client, where a stream has several.
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub client: Option<Cow<'a, str>>,
    /// Of which variant of a comparison.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<Cow<'a, str>>,
    /// In which round of a comparison: 0 is the one that warms up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<u32>,
    /// In which step of a probe.
    #[serde(borrow, default, skip_serializing_if = "Option::is_none")]
    pub step: Option<Cow<'a, str>>,
    /// Which shard of a run that was spread over machines wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shard: Option<u32>,
}

/// The events that a stream begins with.
pub(super) const STARTS: [&str; 3] = ["run-start", "scenario-start", "comparison-start"];

pub(super) const ENVELOPE: [&str; 9] = ["seq", "event", "at_us", "time", "client", "variant", "round", "step", "shard"];

#[derive(Serialize, JsonSchema)]
struct Line<'a, B> {
    #[serde(flatten)]
    envelope: &'a Envelope<'a>,
    #[serde(flatten)]
    body: &'a B,
}

/// Why a line is no event.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotRead {
    /// It is no JSON object with an envelope, or an event whose fields are not as they should be.
    #[error("{0}")]
    Malformed(String),
    /// No event of that name is known.
    #[error("not understood by this version: an event {0:?}")]
    Unknown(String),
    /// A word in it is not known: it may be one of a later version.
    #[error("{said}")]
    Word {
        /// The word, quoted.
        word: String,
        /// The same in a sentence.
        said: String,
    },
    /// Its fields contradict each other.
    #[error("{0}")]
    Odd(String),
}

/// What a line belongs to, where a stream is of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Within<'a> {
    /// Whose it is: a client of a scenario.
    pub client: Option<&'a str>,
    /// The run of a comparison that it is of.
    pub run: Option<RunOf<'a>>,
    /// The step of a probe.
    pub step: Option<ProbeStep>,
}

impl<'a> Within<'a> {
    /// That client's part of a scenario.
    #[must_use]
    pub fn client(name: &'a str) -> Self {
        Self { client: Some(name), ..Self::default() }
    }

    /// That run's part of a comparison.
    #[must_use]
    pub fn run(variant: &'a str, round: u32) -> Self {
        Self { run: Some(RunOf { variant, round }), ..Self::default() }
    }
}

/// A run of a comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunOf<'a> {
    /// Its variant.
    pub variant: &'a str,
    /// Its round.
    pub round: u32,
}

/// Adds the event's line, with its end, to `to`. `started` is the run's start by the wall clock.
pub fn write(event: &Event, started: SystemTime, within: Within<'_>, to: &mut Vec<u8>) {
    let envelope = Envelope {
        seq: event.seq,
        event: Cow::Borrowed(event.what.name()),
        at_us: event.at,
        time: Cow::Owned(wall_clock(started, event.at)),
        client: within.client.map(Cow::Borrowed),
        variant: within.run.map(|run| Cow::Borrowed(run.variant)),
        round: within.run.map(|run| run.round),
        step: within.step.map(|step| Cow::Owned(step.to_string())),
        shard: None,
    };
    let whole = to.len();
    // String keys and plain numbers: nothing in an event can fail to serialise, and memory takes whatever is written to it.
    if event.what.write(&envelope, to).is_err() {
        to.truncate(whole);
    }
    to.push(b'\n');
}

/// The event that the line holds, its envelope, and the names of what stands in the line and is not known.
///
/// # Errors
/// It is none.
pub fn read(line: &[u8]) -> Result<(Event, Envelope<'_>, Vec<String>), NotRead> {
    let envelope: Envelope<'_> = serde_json::from_slice(line).map_err(malformed)?;
    let mut unknown = Vec::new();
    let what = read_body(&envelope.event, line, &mut unknown)?;
    Ok((Event { seq: envelope.seq, at: envelope.at_us, what }, envelope, unknown))
}

/// What the line of that event says; the names of what is not known there are added to `unknown`.
pub(super) fn read_body(name: &str, line: &[u8], unknown: &mut Vec<String>) -> Result<What, NotRead> {
    let what = body(name, line, unknown).map_err(malformed)?.ok_or_else(|| NotRead::Unknown(name.to_owned()))?;
    what.unseen(line, unknown)?;
    unknown.sort_unstable();
    unknown.dedup();
    match what.odd() {
        Some(odd) => Err(unknown_word(&odd).unwrap_or(NotRead::Odd(odd))),
        None => Ok(what),
    }
}

fn body(name: &str, line: &[u8], unknown: &mut Vec<String>) -> serde_json::Result<Option<What>> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let mut is_unknown = |path: serde_ignored::Path<'_>| {
        let path = path.to_string();
        if !ENVELOPE.contains(&path.as_str()) {
            // Not which of several, nor that it might be null.
            let names = path.split('.').filter(|name| *name != "?" && name.parse::<usize>().is_err());
            unknown.push(names.collect::<Vec<_>>().join("."));
        }
    };
    What::read(name, serde_ignored::Deserializer::new(&mut deserializer, &mut is_unknown))
}

fn malformed(error: serde_json::Error) -> NotRead {
    let said = error.to_string();
    unknown_word(&said).unwrap_or(NotRead::Malformed(said))
}

/// The word, if it is one that a sentence of ours or of serde's says is not known.
fn unknown_word(said: &str) -> Option<NotRead> {
    let ours = || said.split_once(" is no ").filter(|(_, rest)| rest.contains(KNOWN)).map(|(word, _)| word.to_owned());
    let variant = || said.strip_prefix("unknown variant `")?.split_once('`').map(|(word, _)| format!("{word:?}"));
    Some(NotRead::Word { word: ours().or_else(variant)?, said: said.to_owned() })
}

impl What {
    /// Adds the names of what is not known inside a flattened part: serde reads over it in silence. So what has such a part
    /// is compared with its line. In such a part serde takes a word's number among all words for the word, too: that is none.
    ///
    /// # Errors
    /// There is a number for a word.
    pub(super) fn unseen(&self, line: &[u8], unknown: &mut Vec<String>) -> Result<(), NotRead> {
        let known = match self {
            Self::RunStart(start) => serde_json::to_value(start),
            Self::Step(step) => serde_json::to_value(step),
            _ => return Ok(()),
        };
        let (Ok(known), Ok(Value::Object(mut said))) = (known, serde_json::from_slice(line)) else { return Ok(()) };
        said.retain(|name, _| !ENVELOPE.contains(&&**name));
        add_unknown(&Value::Object(said), &known, "", unknown)
    }

    /// How its fields contradict each other, if they do.
    pub(super) fn odd(&self) -> Option<String> {
        match self {
            Self::RunStart(start) => start.odd(),
            Self::SessionOpened(opened) => of_place(opened.connection, opened.session),
            Self::SessionRefused(refused) => of_place(refused.connection, refused.session),
            Self::SessionClosed(closed) => of_place(closed.connection, closed.session).or_else(|| closed.odd()),
            Self::Operation(operation) => operation.odd(),
            Self::Step(step) => step.odd(),
            _ => None,
        }
    }
}

/// Adds the names of the fields that `said` has and `known` has not.
fn add_unknown(said: &Value, known: &Value, within: &str, unknown: &mut Vec<String>) -> Result<(), NotRead> {
    match (said, known) {
        (Value::Object(said), Value::Object(known)) => {
            for (name, said) in said {
                let path = if within.is_empty() { name.clone() } else { format!("{within}.{name}") };
                match known.get(name) {
                    Some(known) => add_unknown(said, known, &path, unknown)?,
                    None => unknown.push(path),
                }
            }
            Ok(())
        }
        (Value::Array(said), Value::Array(known)) => {
            said.iter().zip(known).try_for_each(|(said, known)| add_unknown(said, known, within, unknown))
        }
        (Value::Number(number), Value::String(_)) => {
            Err(NotRead::Malformed(format!("{within}: {number} is a number, and a word is due")))
        }
        _ => Ok(()),
    }
}

fn of_place(connection: ConnectionId, session: SessionId) -> Option<String> {
    (session.connection != connection).then(|| format!("{session} is no session of {connection}"))
}

/// A run's start whose line nobody would read.
#[derive(Debug, thiserror::Error)]
#[error(
    "the run-start line would take {0} bytes, and no line takes more than {LONGEST}: name fewer mailboxes, workers, tasks or \
     changes of the mode, or give them shorter names"
)]
pub struct TooLong(usize);

impl RunStart {
    /// Its line is no longer than [`LONGEST`], in a stream of several clients that of this one.
    ///
    /// # Errors
    /// It is.
    pub fn fits(&self, client: Option<&str>) -> Result<(), TooLong> {
        let event = Event { seq: 0, at: Micros::ZERO, what: Box::new(self.clone()).into() };
        let mut line = Vec::new();
        write(&event, self.started, Within { client, ..Within::default() }, &mut line);
        if line.len() > LONGEST { Err(TooLong(line.len())) } else { Ok(()) }
    }

    fn odd(&self) -> Option<String> {
        let hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let asked = [self.seed.is_some(), self.asked.is_some(), self.mix.is_some()];
        if let Some(odd) = self.workers.odd().or_else(|| self.tasks.odd()) {
            Some(odd)
        } else if self.threads != self.workers.len() {
            Some(format!("{} threads, and {} workers", self.threads, self.workers.len()))
        } else if self.run_id.len() != 12 || !self.run_id.chars().all(hex) {
            Some("run_id is not 12 hexadecimal digits".to_owned())
        } else if asked.contains(&self.scripted) {
            Some("seed, asked and mix are there exactly where no scenario says what to do".to_owned())
        } else {
            None
        }
    }
}

impl SessionClosed {
    fn odd(&self) -> Option<String> {
        use super::model::HowClosed::{HungUp, NoLogout};
        let due = matches!(self.closed, NoLogout | HungUp);
        (due != self.failure.is_some()).then(|| {
            let with = if self.failure.is_some() { "with" } else { "without" };
            format!("a session does not end by {:?} {with} a failure", self.closed.name())
        })
    }
}

impl Operation {
    fn odd(&self) -> Option<String> {
        let ok = self.outcome == Outcome::Ok;
        if self.items.is_some() != ok || self.failure.is_some() == ok {
            return Some("the outcome does not go with its items and its failure".to_owned());
        }
        match (self.connection, self.session) {
            (None, None) => None,
            (Some(connection), Some(session)) => of_place(connection, session),
            _ => Some("a connection without its session, or a session without its connection".to_owned()),
        }
    }
}
