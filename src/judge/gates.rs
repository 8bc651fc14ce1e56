//! Gates: figures that fail a run. `METRIC OPERATOR NUMBER` fails it where that is so: `service.p95 > 200ms`; so does
//! `METRIC regressed OPERATOR PERCENT`, against an earlier run: `service.p95 regressed > 10%`.

use serde_json::Number;

use super::metrics::{METRICS, Measured, Metric, Reading, Unit, Worse, key};
use crate::event::{Baseline, Gated, Policy};
use crate::figures::Wanted;
use crate::protocol::printable;

/// The most gates of a run, and the longest, in bytes: the event that ends a run names them all.
pub const MOST: usize = 100;
const LONGEST: usize = 120;

/// Between a metric and its operator: the bound is on the difference from the baseline.
const REGRESSED: &str = "regressed";

/// So many near metrics are named.
const NEAR: usize = 6;

/// Whether it is so of a figure and a bound.
pub(super) type Is = fn(&f64, &f64) -> bool;

/// The longer ones first.
const OPERATORS: [(&str, Is); 6] =
    [(">=", f64::ge), ("<=", f64::le), ("==", f64::eq), ("!=", f64::ne), (">", f64::gt), ("<", f64::lt)];

/// The operator that a condition begins with, and what stands behind it.
pub(super) fn operator(condition: &str) -> Option<(Is, &str)> {
    OPERATORS.iter().find_map(|(sign, is)| Some((*is, condition.strip_prefix(sign)?.trim())))
}

/// A condition as it is told: its operator stands apart.
pub(super) fn apart(condition: &str) -> String {
    let is_sign = |c: char| "<>=!".contains(c);
    let (before, rest) = condition.split_at(condition.find(is_sign).unwrap_or(condition.len()));
    let bound = rest.trim_start_matches(is_sign);
    let sign = &rest[..rest.len() - bound.len()];
    [before, sign, bound].into_iter().flat_map(str::split_whitespace).collect::<Vec<_>>().join(" ")
}

/// All of them, for people.
pub(super) fn operators() -> String {
    OPERATORS.map(|(sign, _)| sign).join(" ")
}

/// A metric, with the keys of the row that it is of.
#[derive(Clone, Debug)]
pub(super) struct Figure {
    pub(super) metric: &'static Metric,
    keys: Vec<String>,
}

/// A gate, understood.
#[derive(Clone, Debug)]
pub struct Gate {
    figure: Figure,
    is: Is,
    bound: f64,
    /// The name of its metric as it was written, and the condition: `> 200ms`.
    written: [String; 2],
    /// The bound is on how far it is worse than in the baseline, in per cent.
    compares: bool,
}

/// Why a text is no gate: one line, with the cure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct NoGate {
    sentence: String,
    /// What was written for a metric, where nothing is called so or nearly so.
    unknown: Option<String>,
}

impl From<String> for NoGate {
    fn from(sentence: String) -> Self {
        Self { sentence, unknown: None }
    }
}

impl NoGate {
    /// What was written for a metric, where no metric is called so or nearly so.
    #[must_use]
    pub fn unknown(&self) -> Option<&str> {
        self.unknown.as_deref()
    }
}

impl Figure {
    pub(super) fn parse(name: &str) -> Result<Self, NoGate> {
        metric(name).map(|(metric, keys)| Self { metric, keys })
    }

    /// The name of its metric, with the keys.
    pub(super) fn name(&self) -> String {
        let mut parts = self.metric.name.split("[]");
        let first = parts.next().unwrap_or_default().to_owned();
        self.keys.iter().zip(parts).fold(first, |name, (key, part)| format!("{name}[{key}]{part}"))
    }

    /// What there is of it.
    pub(super) fn read(&self, measured: &Measured) -> Reading {
        measured.read(self.metric, &self.keys)
    }

    /// The row that it is in; none where it is of the run.
    fn row(&self) -> Option<(&'static str, &String)> {
        Some((self.metric.name.split_once("[]")?.0, self.keys.first()?))
    }
}

impl Gate {
    /// Reads a gate.
    ///
    /// # Errors
    /// It is none.
    pub fn parse(text: &str) -> Result<Self, NoGate> {
        let text = text.trim();
        if text.len() > LONGEST {
            return Err(format!("a gate has at most {LONGEST} bytes").into());
        }
        let (name, rest) = Self::parts(text);
        if name.is_empty() || rest.is_empty() {
            return Err("write METRIC OPERATOR NUMBER, like 'service.p95 > 200ms'".to_owned().into());
        }
        let figure = Figure::parse(name)?;
        let metric = figure.metric;
        let condition = apart(rest);
        let regressed = rest.strip_prefix(REGRESSED).map(str::trim_start);
        let rest = regressed.unwrap_or(rest);
        if regressed.is_some() && metric.worse == Worse::Neither {
            let neither = "is neither better nor worse for being more; give the figure itself a bound";
            return Err(format!("{name} {neither}").into());
        }
        let operator = operator(rest);
        let bound = match (operator, regressed) {
            (None, _) => Err(format!("{rest:?} begins with no operator; there are {}", operators())),
            (Some((is, bound)), Some(_)) => percent(bound).map(|bound| (is, bound)),
            (Some((is, bound)), None) => number(metric.unit, bound).map(|bound| (is, bound)),
        };
        let meant = |cure: String| match in_per_cent(rest).filter(|_| metric.worse != Worse::Neither) {
            Some(percent) => format!("to compare with an earlier run, write '{name} {REGRESSED} > {percent}'"),
            None if operator.is_some() => format!("{name} {cure}"),
            None => cure,
        };
        let (is, bound) = bound.map_err(meant)?;
        Ok(Self { figure, is, bound, written: [name.to_owned(), condition], compares: regressed.is_some() })
    }

    /// Whether a text is about a metric that there is, whether or not the rest of it is a condition.
    pub(super) fn names_a_metric(text: &str) -> bool {
        let (name, rest) = Self::parts(text);
        !rest.is_empty() && Figure::parse(name).is_ok()
    }

    /// The metric's name, and what stands behind it.
    fn parts(text: &str) -> (&str, &str) {
        let text = text.trim();
        let end = text.find(|c: char| c.is_whitespace() || "<>=!".contains(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at(end);
        (name, rest.trim_start())
    }

    /// Whether it compares with an earlier run.
    #[must_use]
    pub const fn compares(&self) -> bool {
        self.compares
    }

    /// What it is about.
    pub(super) const fn figure(&self) -> &Figure {
        &self.figure
    }

    /// The name of its metric, with the keys.
    pub(super) fn name(&self) -> String {
        self.figure.name()
    }

    /// The figure.
    pub(super) fn read(&self, measured: &Measured) -> Option<Number> {
        match self.figure.read(measured) {
            Reading::Is(number) => Some(number),
            Reading::None(_) => None,
        }
    }

    fn judge(&self, text: &str, measured: &Measured, baseline: Option<&Baseline>) -> Gated {
        let unit = self.figure.metric.unit;
        let value = match self.figure.read(measured) {
            Reading::Is(value) => value,
            Reading::None(why) => return gated(text, None, unit.name(), true, self.sentence(&format!(": {why}"))),
        };
        let now = value.as_f64().unwrap_or(f64::NAN);
        let is = format!(" is {}", unit.shown(&value));
        if !self.compares {
            return gated(text, Some(value), unit.name(), (self.is)(&now, &self.bound), self.sentence(&is));
        }
        let was = baseline.and_then(|baseline| baseline.figures.get(&self.name()).cloned().flatten());
        let (failed, behind) = match &was {
            None => (true, ", and the baseline has no such figure".to_owned()),
            Some(was) => {
                let worse = worse(self.figure.metric.worse, now, was.as_f64().unwrap_or(f64::NAN));
                ((self.is)(&worse, &self.bound), format!(", and was {}{}", unit.shown(was), in_words(worse)))
            }
        };
        Gated { was, ..gated(text, Some(value), unit.name(), failed, self.sentence(&(is + &behind))) }
    }

    /// What it comes to, of what there is of its figure in each round: a count must not be so in any of them, of others the
    /// median.
    pub(super) fn judge_rounds<'a>(&self, text: &str, rounds: impl Iterator<Item = &'a Reading>) -> Gated {
        let metric = self.figure.metric;
        let mut values = Vec::new();
        for reading in rounds {
            match reading {
                Reading::Is(value) => values.push(value.as_f64().unwrap_or(f64::NAN)),
                Reading::None(why) => {
                    return gated(text, None, metric.unit.name(), true, self.sentence(&format!(": {why}")));
                }
            }
        }
        values.sort_by(f64::total_cmp);
        let value = match metric.unit {
            Unit::Count => {
                let so: Vec<f64> = values.iter().copied().filter(|value| (self.is)(value, &self.bound)).collect();
                let those = if so.is_empty() { &values } else { &so };
                if metric.worse == Worse::Less { those.first() } else { those.last() }.copied()
            }
            _ => median(&values),
        };
        let Some(value) = value else {
            return gated(text, None, metric.unit.name(), true, self.sentence(": there was no whole round"));
        };
        let number = metric.unit.number(value);
        let of = if metric.unit == Unit::Count { "" } else { ", the median of the rounds," };
        let is = format!("{of} is {}", metric.unit.shown(&number));
        gated(text, Some(number), metric.unit.name(), (self.is)(&value, &self.bound), self.sentence(&is))
    }

    /// What is so of its metric, and what would fail: `connections.peak is 8 (fails if > 10)`.
    fn sentence(&self, so: &str) -> String {
        let [name, condition] = &self.written;
        format!("{name}{so} (fails if {condition})")
    }
}

/// The rows that gates are about.
pub(super) fn wanted(gates: &[String]) -> Wanted {
    let parsed: Vec<_> = gates.iter().map(|gate| Gate::parse(gate)).collect();
    rows(&parsed)
}

fn rows(gates: &[Result<Gate, NoGate>]) -> Wanted {
    rows_of(gates.iter().flatten().map(Gate::figure))
}

/// The rows that those figures are in.
pub(super) fn rows_of<'a>(figures: impl Iterator<Item = &'a Figure>) -> Wanted {
    let mut rows = Wanted::new();
    for (row, key) in figures.filter_map(Figure::row) {
        rows.entry(row.to_owned()).or_default().insert(key.clone());
    }
    rows
}

/// The middle of them, which ascend; none of none.
pub(super) fn median(sorted: &[f64]) -> Option<f64> {
    let (below, above) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some(f64::midpoint(*below, *above))
}

/// What each of the gates comes to, in their order. One that is not understood is what `believed` says of it, else it fails.
pub(super) fn judge(policy: &Policy, believed: &[Gated], measured: impl FnOnce(&Wanted) -> Measured) -> Vec<Gated> {
    if policy.gates.is_empty() {
        return Vec::new();
    }
    let parsed: Vec<_> = policy.gates.iter().map(|gate| Gate::parse(gate)).collect();
    let measured = measured(&rows(&parsed));
    let each = |(text, gate): (&String, &Result<Gate, NoGate>)| match gate {
        Ok(gate) => gate.judge(text, &measured, policy.baseline.as_ref()),
        Err(not) => {
            let said = believed.iter().find(|it| it.gate == *text).cloned();
            said.unwrap_or_else(|| gated(text, None, "", true, format!("{text}: {not}")))
        }
    };
    policy.gates.iter().zip(&parsed).map(each).collect()
}

pub(super) fn gated(gate: &str, value: Option<Number>, unit: &str, failed: bool, sentence: String) -> Gated {
    Gated { gate: gate.to_owned(), value, was: None, unit: unit.to_owned(), failed, sentence }
}

/// How far a figure is worse than it was, in per cent.
fn worse(worse: Worse, now: f64, was: f64) -> f64 {
    let more = if worse == Worse::Less { was - now } else { now - was };
    match more {
        0.0 => 0.0,
        more => more / was * 100.0,
    }
}

fn in_words(worse: f64) -> String {
    let how = if worse < 0.0 { "better" } else { "worse" };
    match worse.abs() {
        0.0 => String::new(),
        percent if percent.is_finite() => format!(": {percent:.1} % {how}"),
        _ => format!(", {how}"),
    }
}

/// Whether one of them failed.
pub(super) fn any_failed(gates: &[Gated]) -> bool {
    gates.iter().any(|it| it.failed)
}

/// Fit to be shown: a file may say anything.
fn shown(text: &str) -> String {
    printable(text.as_bytes())
}

/// The gates that failed, in one sentence; none if none did.
#[must_use]
pub fn failed_gates(gates: &[Gated]) -> Option<String> {
    let failed: Vec<String> = gates.iter().filter(|it| it.failed).map(|it| shown(&it.sentence)).collect();
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
        METRICS.iter().find(|metric| metric.name == pattern).ok_or_else(|| no_metric(name, &pattern, &given))?;
    let keys =
        given.iter().map(|(row, given)| key(row, given).map_err(|no| other_row(row, given).unwrap_or(no).into()));
    Ok((metric, keys.collect::<Result<_, NoGate>>()?))
}

/// Findings are counted in one kind of row, failures in the other: what was meant by one's key in the other's row.
fn other_row(row: &str, given: &str) -> Option<String> {
    let meant = counted(given)?;
    ["findings", "failures"].contains(&row).then(|| format!("there is no {row}[{given}]; did you mean {meant}?"))
}

/// The metric that counts that finding or that failure.
fn counted(given: &str) -> Option<String> {
    ["findings", "failures"].iter().find_map(|row| Some(format!("{row}[{}].count", key(row, given).ok()?)))
}

/// That there is none, and which ones were meant: of a finding or a failure its count; else those that begin so, those with
/// that text in their name, or the most similar ones. Keys stay as they were written.
fn no_metric(name: &str, pattern: &str, given: &[(String, &str)]) -> NoGate {
    let mut parts = name.split(['.', '[', ']']).filter(|part| !part.is_empty());
    let is_row = |part: &&str| ["findings", "finding", "failures", "failure"].contains(part);
    let first = parts.next().filter(|part| !is_row(part)).or_else(|| parts.next());
    let near: Vec<String> = match first.and_then(counted) {
        Some(count) => vec![count],
        None => near(pattern).into_iter().map(|metric| with_keys(metric, given)).collect(),
    };
    let meant = if near.is_empty() { String::new() } else { format!("; did you mean {}?", near.join(", ")) };
    let sentence = format!("there is no metric {name:?}{meant} (mailconn explain metrics lists all)");
    NoGate { sentence, unknown: near.is_empty().then(|| name.to_owned()) }
}

fn near(pattern: &str) -> Vec<&'static Metric> {
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
    near
}

/// The metric's name with those of the keys that there can be, and an example of each other.
fn with_keys(metric: &Metric, given: &[(String, &str)]) -> String {
    let mut name = metric.name.clone();
    for (row, given) in given.iter().filter(|(row, given)| key(row, given).is_ok()) {
        name = name.replacen(&format!("{row}[]"), &format!("{row}[{given}]"), 1);
    }
    Metric { name, ..metric.clone() }.example()
}

/// The percentage that a condition ends in.
fn in_per_cent(condition: &str) -> Option<&str> {
    let last = condition.rsplit(|c: char| c.is_whitespace() || "<>=!".contains(c)).next()?;
    percent(last).is_ok().then_some(last)
}

/// Per cent. The error is the cure.
fn percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').and_then(|number| number.trim_end().parse::<f64>().ok());
    number.filter(|number| number.is_finite()).ok_or_else(|| "regressed: give per cent, like 10%".to_owned())
}

/// So many of that unit, as figures have them. The error is the cure.
fn number(unit: Unit, text: &str) -> Result<f64, String> {
    let plain =
        |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite() && !text.starts_with(['-', '+']));
    match unit {
        Unit::Time => {
            let time = humantime::parse_duration(text).ok();
            time.map(|time| time.as_nanos() as f64 / 1e3)
                .ok_or_else(|| "is a time: give a number and a unit, like 20ms, 2s or 1m".to_owned())
        }
        Unit::Count => plain(text).ok_or_else(|| "is a count: give a number, like 10".to_owned()),
        Unit::Bytes => plain(text).ok_or_else(|| "is in bytes: give a number, like 4096".to_owned()),
        Unit::Rate => plain(text).ok_or_else(|| "is a rate: give the number in a second, like 500".to_owned()),
    }
}
