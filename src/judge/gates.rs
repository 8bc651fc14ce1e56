//! Gates: figures that fail a run. `METRIC OPERATOR NUMBER` fails it where that is so: `service.p95 > 200ms`.

use serde_json::Number;

use super::metrics::{METRICS, Measured, Metric, Reading, Unit, key};
use crate::event::Gated;

/// The most gates of a run, and the longest, in bytes: the event that ends a run names them all.
pub const MOST: usize = 100;
const LONGEST: usize = 120;

/// So many near metrics are named.
const NEAR: usize = 6;

/// Whether it is so of a figure and a bound.
type Is = fn(&f64, &f64) -> bool;

/// The longer ones first.
const OPERATORS: [(&str, Is); 6] =
    [(">=", f64::ge), ("<=", f64::le), ("==", f64::eq), ("!=", f64::ne), (">", f64::gt), ("<", f64::lt)];

/// A gate, understood.
#[derive(Clone, Debug)]
pub struct Gate {
    metric: &'static Metric,
    keys: Vec<String>,
    is: Is,
    bound: f64,
}

/// Why a text is no gate: one line, with the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoGate(String);

impl Gate {
    /// Reads a gate.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, NoGate> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(NoGate(format!("a gate has at most {LONGEST} bytes")));
        }
        let end = text.find(|c: char| c.is_whitespace() || "<>=!".contains(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        let rest = rest.trim_start();
        if name.is_empty() || rest.is_empty() {
            return Err(NoGate("write METRIC OPERATOR NUMBER, like 'service.p95 > 200ms'".to_owned()));
        }
        let (metric, keys) = metric(name)?;
        let Some((is, bound)) = OPERATORS.iter().find_map(|(sign, is)| Some((*is, rest.strip_prefix(sign)?))) else {
            let signs: Vec<&str> = OPERATORS.iter().map(|(sign, _)| *sign).collect();
            return Err(NoGate(format!("{rest:?} begins with no operator; there are {}", signs.join(" "))));
        };
        let bound = number(metric.unit, bound.trim()).map_err(|cure| NoGate(format!("{name} {cure}")))?;
        Ok(Self { metric, keys, is, bound })
    }

    fn judge(&self, text: &str, measured: &Measured) -> Gated {
        let (value, failed, sentence) = match measured.read(self.metric, &self.keys) {
            Reading::Is(value) => {
                let failed = (self.is)(&value.as_f64().unwrap_or(f64::NAN), &self.bound);
                let sentence = format!("it is {}", self.metric.unit.shown(&value));
                (Some(value), failed, sentence)
            }
            Reading::None(why) => (None, true, why),
        };
        gated(text, value, self.metric.unit.name(), failed, sentence)
    }
}

/// What each of those gates comes to, in their order. One that is not understood fails: a later version wrote it.
pub(super) fn judge(gates: &[String], measured: impl FnOnce() -> Measured) -> Vec<Gated> {
    if gates.is_empty() {
        return Vec::new();
    }
    let measured = measured();
    let each = |text: &String| match Gate::parse(text) {
        Ok(gate) => gate.judge(text, &measured),
        Err(not) => gated(text, None, "", true, not.to_string()),
    };
    gates.iter().map(each).collect()
}

fn gated(gate: &str, value: Option<Number>, unit: &str, failed: bool, sentence: String) -> Gated {
    Gated { gate: gate.to_owned(), value, unit: unit.to_owned(), failed, sentence }
}

/// Whether one of them failed.
pub(super) fn any_failed(gates: &[Gated]) -> bool {
    gates.iter().any(|it| it.failed)
}

/// The gates that failed, in one sentence; none if none did.
#[must_use]
pub fn failed_gates(gates: &[Gated]) -> Option<String> {
    let failed: Vec<String> =
        gates.iter().filter(|it| it.failed).map(|it| format!("{} ({})", it.gate, it.sentence)).collect();
    match failed.as_slice() {
        [] => None,
        [one] => Some(format!("a gate failed: {one}")),
        more => Some(format!("{} gates failed: {}", more.len(), more.join("; "))),
    }
}

/// The metric of that name, and the keys in its brackets.
fn metric(name: &str) -> Result<(&'static Metric, Vec<String>), NoGate> {
    let (mut pattern, mut given) = (String::new(), Vec::new());
    for part in name.split_inclusive(']') {
        match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((before, key)) => {
                pattern += before;
                let row = pattern.rsplit(['.', ']']).next().unwrap_or_default();
                given.push((row.to_owned(), key));
                pattern += "[]";
            }
            None => pattern += part,
        }
    }
    let metric =
        METRICS.iter().find(|metric| metric.name == pattern).ok_or_else(|| NoGate(no_metric(name, &pattern)))?;
    let keys = given.iter().map(|(row, given)| key(row, given).map_err(NoGate));
    Ok((metric, keys.collect::<Result<_, _>>()?))
}

/// That there is none, and which ones were meant: those that begin so, else those with that text in
/// their name, else the most similar ones.
fn no_metric(name: &str, pattern: &str) -> String {
    let sought = pattern.to_lowercase();
    let named = |is: fn(&str, &str) -> bool| METRICS.iter().filter(|it| is(&it.name, &sought)).collect::<Vec<_>>();
    let mut near = named(|name, sought| name.starts_with(sought));
    if near.is_empty() {
        near = named(|name, sought| name.contains(sought));
    }
    if near.is_empty() {
        let alike = |metric: &&Metric| strsim::normalized_damerau_levenshtein(&sought, &metric.name);
        near = METRICS.iter().filter(|metric| alike(metric) >= 0.6).collect();
        near.sort_by(|one, other| alike(other).total_cmp(&alike(one)));
        near.truncate(3);
    }
    near.truncate(NEAR);
    let near: Vec<String> = near.into_iter().map(Metric::example).collect();
    let meant = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    format!("there is no metric {name:?}{meant} (mailconn explain metrics lists all)")
}

/// So many of that unit, as figures have them. The error is the cure.
fn number(unit: Unit, text: &str) -> Result<f64, String> {
    let plain =
        |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && !text.starts_with(['-', '+']));
    match unit {
        Unit::Time => {
            let time = humantime::parse_duration(text).ok();
            time.map(|time| time.as_micros() as f64)
                .ok_or_else(|| "is a time: give a number and a unit, like 20ms, 2s or 1m".to_owned())
        }
        Unit::Count => plain(text).ok_or_else(|| "is a count: give a number, like 10".to_owned()),
        Unit::Bytes => plain(text).ok_or_else(|| "is in bytes: give a number, like 4096".to_owned()),
        Unit::Rate => plain(text).ok_or_else(|| "is a rate: give the number in a second, like 500".to_owned()),
    }
}
