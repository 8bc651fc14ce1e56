//! An earlier run, from its JSON document or its stream: what its figures are compared with.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;

use super::gates::Gate;
use super::metrics::{Measured, Metric, Reading};
use super::stored::{Content, Stored};
use crate::event::{Baseline, RunStart, Unreadable};

/// A document is no longer, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What must be the same of two runs whose figures are compared: the field, and what people call it.
const CONDITIONS: [(&str, &str); 7] = [
    ("protocol", "protocol"),
    ("server", "server"),
    ("sandbox", "sandbox's options"),
    ("certificates_verified", "TLS"),
    ("mode", "mode"),
    ("threads", "threads"),
    ("mix", "mix"),
];

type Conditions = [String; CONDITIONS.len()];

/// A run that was told of, with its figures.
pub struct Earlier {
    run_id: String,
    /// What it says of each of [`CONDITIONS`].
    conditions: Conditions,
    measured: Measured,
}

/// Why a file holds no run to compare with.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoRun {
    /// The system refuses.
    #[error("it cannot be read")]
    Unread(#[from] io::Error),
    /// It is neither form.
    #[error("it is neither the JSON nor the NDJSON of a run (mailconn run --format json, or ndjson)")]
    Neither,
    /// It is of several, or of a scenario.
    #[error("it is not of one run; name the file of one")]
    NotOne,
    /// Its stream cannot be read.
    #[error(transparent)]
    Stream(#[from] Unreadable),
}

/// A condition in which two runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Differs {
    /// What people call it.
    pub what: &'static str,
    /// The one run's.
    pub one: String,
    /// The other's.
    pub other: String,
}

impl Earlier {
    /// Reads a run's document, or its stream, for the figures of the run and of the rows that those gates are about.
    ///
    /// # Errors
    /// There is none.
    pub fn read(from: impl Read + Send, gates: &[String]) -> Result<Self, NoRun> {
        let mut from = BufReader::new(from);
        let mut first = Vec::new();
        from.by_ref().take(MOST_BYTES).read_until(b'\n', &mut first)?;
        let is_event = serde_json::from_slice::<Value>(&first).is_ok_and(|line| line.get("event").is_some());
        let whole = first.chain(from);
        if is_event { Self::of_stream(whole, gates) } else { Self::of_document(whole) }
    }

    fn of_stream(from: impl Read + Send, gates: &[String]) -> Result<Self, NoRun> {
        let Content::Run(run) = Stored::read(from, |_| ())?.content else { return Err(NoRun::NotOne) };
        let start = run.judge.known().start().ok_or(NoRun::Neither)?;
        Ok(Self { run_id: start.run_id.clone(), conditions: conditions_of(start), measured: run.judge.measured(gates) })
    }

    fn of_document(from: impl Read) -> Result<Self, NoRun> {
        let mut text = Vec::new();
        from.take(MOST_BYTES).read_to_end(&mut text)?;
        let document: Value = serde_json::from_slice(&text).map_err(|_| NoRun::Neither)?;
        if document.get("reports").is_some() || document.get("scenarios").is_some() {
            return Err(NoRun::NotOne);
        }
        let run_id = document["run_id"].as_str().filter(|_| document.get("sessions").is_some());
        let run_id = run_id.ok_or(NoRun::Neither)?.to_owned();
        Ok(Self { run_id, conditions: conditions(&document), measured: Measured::of_document(document) })
    }

    /// Its name.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The conditions in which it differs from a run that begins so.
    #[must_use]
    pub fn differs(&self, start: &RunStart) -> Vec<Differs> {
        differences(&self.conditions, &conditions_of(start))
    }

    /// The conditions in which it differs from the other one.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Vec<Differs> {
        differences(&self.conditions, &other.conditions)
    }

    /// Its figures, as far as those gates compare with them.
    #[must_use]
    pub fn baseline(&self, gates: &[String]) -> Baseline {
        let compared = gates.iter().filter_map(|gate| Gate::parse(gate).ok()).filter(Gate::compares);
        let figures = compared.map(|gate| (gate.name(), gate.read(&self.measured))).collect();
        Baseline { run_id: self.run_id.clone(), figures }
    }

    /// What there is of a metric of the run itself, for people.
    #[must_use]
    pub fn shown(&self, metric: &Metric) -> Option<(f64, String)> {
        match self.measured.read(metric, &[]) {
            Reading::Is(number) => Some((number.as_f64()?, metric.unit.shown(&number))),
            Reading::None(_) => None,
        }
    }
}

fn differences(one: &Conditions, other: &Conditions) -> Vec<Differs> {
    let pairs = CONDITIONS.iter().zip(one.iter().zip(other)).filter(|(_, (one, other))| one != other);
    pairs.map(|((_, what), (one, other))| Differs { what, one: one.clone(), other: other.clone() }).collect()
}

/// Of a run that begins so.
fn conditions_of(start: &RunStart) -> Conditions {
    conditions(&serde_json::to_value(start).unwrap_or_default())
}

/// Of a run whose document, or first line, says so.
fn conditions(asked: &Value) -> Conditions {
    CONDITIONS.map(|(field, _)| condition(field, asked))
}

fn condition(field: &str, asked: &Value) -> String {
    match (field, &asked[field]) {
        // Whoever signs in: not the server.
        ("server", Value::String(server)) => match server.split_once("://") {
            Some((scheme, rest)) => format!("{scheme}://{}", rest.rsplit('@').next().unwrap_or(rest)),
            None => server.clone(),
        },
        ("certificates_verified", Value::Bool(true)) => "verified".to_owned(),
        ("certificates_verified", Value::Bool(false)) => "not verified".to_owned(),
        (_, Value::String(text)) => text.clone(),
        (_, Value::Null) => "none".to_owned(),
        (_, Value::Object(fields)) => {
            let field = |(name, value): (&String, &Value)| match value {
                Value::Null => format!("{name} none"),
                value => format!("{name} {value}"),
            };
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        (_, other) => other.to_string(),
    }
}
