//! An earlier run, from its JSON document or its stream: what its figures are compared with.

use std::io::{self, BufRead, BufReader, Read};

use serde_json::Value;

use super::findings::ALL;
use super::gates::Gate;
use super::metrics::{Measured, Metric, Reading};
use super::settings::{Differs, Setting, differences, settings, settings_of};
use super::stored::{Content, Stored};
use crate::event::{Baseline, RunStart, Unreadable};
use crate::figures::lists::{FAILURES, FINDINGS, SESSIONS};
use crate::protocol::FailureKind;

/// A document is no longer, in bytes.
const MOST_BYTES: u64 = 256 << 20;

/// What a probe finds out beside its figures, and where it stands in [`Earlier::limits`].
const FOUND: [(&str, &str); 5] = [
    ("limits.answered", "/answered"),
    ("limits.met.kind", "/met/kind"),
    ("limits.met.kept_by", "/met/kept_by"),
    ("limits.met.scopes", "/met/scopes"),
    ("limits.met.stage", "/met/stage"),
];

/// A run that was told of, with its figures.
pub struct Earlier {
    run_id: String,
    settings: Vec<Setting>,
    measured: Measured,
    exit_code: Option<u64>,
    /// What a probe found out: null where it is none, or has no end.
    limits: Value,
    /// Why it says not all that there was to say.
    flaw: Option<String>,
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
        let broken = || run.checks().doubts.first().map(|doubt| (doubt.line, doubt.sentence.clone()));
        let flaw = match broken().filter(|_| !run.is_whole()) {
            Some((Some(line), why)) => Some(format!("it is not whole: line {line}: {why}")),
            Some((None, why)) => Some(format!("it is not whole: {why}")),
            None => run.is_partial.then(|| "events of it are in words of a later version".to_owned()),
        };
        Ok(Self {
            run_id: start.run_id.clone(),
            settings: settings_of(start),
            measured: run.judge.measured(gates),
            exit_code: run.end.as_ref().map(|end| end.exit_code.into()),
            limits: serde_json::to_value(run.end.as_ref().map(|end| &end.limits)).unwrap_or_default(),
            flaw,
        })
    }

    fn of_document(from: impl Read) -> Result<Self, NoRun> {
        let mut text = Vec::new();
        from.take(MOST_BYTES).read_to_end(&mut text)?;
        let document: Value = serde_json::from_slice(&text).map_err(|_| NoRun::Neither)?;
        if document.get("reports").is_some() || document.get("scenarios").is_some() {
            return Err(NoRun::NotOne);
        }
        let run_id = document["run_id"].as_str().filter(|_| document.get(SESSIONS.name).is_some());
        let run_id = run_id.ok_or(NoRun::Neither)?.to_owned();
        let exit_code = document["exit_code"].as_u64();
        let limits = document["limits"].clone();
        let flaw = exit_code.is_none().then(|| "it is not whole: the run's end is not in it".to_owned());
        Ok(Self {
            run_id,
            settings: settings(&document),
            measured: Measured::of_document(document),
            exit_code,
            limits,
            flaw,
        })
    }

    /// Its name.
    #[must_use]
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// The code that it exited with; none if the file does not say it.
    #[must_use]
    pub const fn exit_code(&self) -> Option<u64> {
        self.exit_code
    }

    /// Why it says not all that there was to say, if it does not.
    #[must_use]
    pub fn flaw(&self) -> Option<&str> {
        self.flaw.as_deref()
    }

    /// The settings in which it differs from a run that begins so.
    #[must_use]
    pub fn differs(&self, start: &RunStart) -> Vec<Differs> {
        differences(&self.settings, &settings_of(start))
    }

    /// The settings in which it differs from the other one.
    #[must_use]
    pub fn differs_from(&self, other: &Self) -> Vec<Differs> {
        differences(&self.settings, &other.settings)
    }

    /// Its figures, as far as those gates compare with them.
    #[must_use]
    pub fn baseline(&self, gates: &[String]) -> Baseline {
        let compared = gates.iter().filter_map(|gate| Gate::parse(gate).ok()).filter(Gate::compares);
        let figures = compared.map(|gate| (gate.name(), gate.read(&self.measured))).collect();
        Baseline { run_id: self.run_id.clone(), figures }
    }

    /// How often each finding was made and each failure met, by the names of their metrics; none where that was not to be seen.
    pub fn counts(&self) -> impl Iterator<Item = (String, Option<u64>)> {
        let findings = ALL.iter().map(|spec| (FINDINGS.row, spec.id));
        let failures = FailureKind::ALL.iter().map(|kind| (FAILURES.row, kind.name()));
        findings.chain(failures).map(|(row, key)| {
            let name = format!("{row}[{key}].count");
            let gate = Gate::parse(&format!("{name} > 0")).ok();
            let count = gate.and_then(|gate| gate.read(&self.measured)).and_then(|count| count.as_u64());
            (name, count)
        })
    }

    /// What a probe found out of the limit that it met, each by its place in the document; none where it is no probe, or met
    /// none.
    pub fn found(&self) -> impl Iterator<Item = (&'static str, Option<String>)> {
        let told = |value: &Value| match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Array(all) => Some(all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")),
            other => Some(other.to_string()),
        };
        FOUND.into_iter().map(move |(name, place)| (name, self.limits.pointer(place).and_then(told)))
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
