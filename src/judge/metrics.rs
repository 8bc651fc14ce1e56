//! The metrics: every count, time and rate of a run that a gate can be about. `mailconn explain metrics` prints this table.
//!
//! A metric's name is its place in the JSON document, without `_us`; of several rows the one whose key is in brackets.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::LazyLock;

use serde::Serialize;
use serde_json::{Map, Number, Value, json};

use super::findings;
use crate::allocator::{ConnectionId, Reason};
use crate::event::{Ending, Finding, HALVES, Micros, Proof};
use crate::figures::{
    ConnectionRow, NEEDED, OperationRow, OperationsOn, SectionRow, SessionRow, Summary, TaskRow, WorkerRow,
};
use crate::protocol::{FailureKind, Operation};

/// What a metric is measured in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A number of things.
    Count,
    /// Microseconds.
    Time,
    /// A number of bytes.
    Bytes,
    /// A number in each second.
    Rate,
}

/// A figure of a run.
#[derive(Clone, Debug)]
pub struct Metric {
    /// Its name, with `[]` for each key: `operation[].service.p95`.
    pub name: String,
    /// What it is measured in.
    pub unit: Unit,
    /// What it says.
    pub means: String,
}

/// Rows that have a key, and an example of it.
const KEYS: [(&str, &str); 10] = [
    ("operation", "fetch"),
    ("worker", "w0"),
    ("connection", "main"),
    ("task", "t0"),
    ("section", "0"),
    ("session", "#1"),
    ("findings", findings::CONNECTIONS),
    ("failures", "limit-rate"),
    ("reasons", "default"),
    ("connections", "#1"),
];

const RUN: &str = "";
const OPERATION: &str = "operation[].";
const WORKER: &str = "worker[].";
const CONNECTION: &str = "connection[].";
const TASK: &str = "task[].";
const SECTION: &str = "section[].";
const SESSION: &str = "session[].";

/// Each name with the rows that have it.
type Row = (&'static [&'static str], &'static str, Unit, &'static str);

const ROWS: &[Row] = {
    use Unit::{Bytes, Count, Rate, Time};
    &[
        (
            &[RUN, WORKER, TASK],
            "operations.asked",
            Count,
            "operations asked for; under a duration as many as were issued",
        ),
        (&[RUN, OPERATION, WORKER, TASK, SECTION], "operations.issued", Count, "operations that were issued"),
        (&[RUN, OPERATION, WORKER, TASK, SECTION], "operations.ok", Count, "operations that succeeded"),
        (&[RUN, OPERATION, WORKER, TASK, SECTION], "operations.failed", Count, "operations that failed"),
        (&[RUN, WORKER, TASK], "operations.not_issued", Count, "operations asked for that were never issued"),
        (&[CONNECTION], "operations", Count, "operations that it was given to"),
        (&[SESSION], "operations", Count, "operations that it carried"),
        (
            &[RUN],
            "operations_per_second",
            Rate,
            "operations a second, from the first one's beginning to the last one's end",
        ),
        (&[RUN], "operations_on_other_connections", Count, "operations on connections that have no row of their own"),
        (&[RUN], "connections.opened", Count, "sessions that were opened"),
        (&[RUN], "connections.peak", Count, "the most sessions that were open at once"),
        (&[RUN], "connections.still_open", Count, "connections that were open when all was over"),
        (&[RUN], "total_wait", Time, "what all operations together waited for their connection"),
        (&[RUN], "total_dial", Time, "what the dials of all sessions together took"),
        (&[RUN], "total_service", Time, "what all operations together were served"),
        (&[RUN], "elapsed", Time, "from the start to the close of the last connection"),
        (&[RUN], "worked", Time, "from the beginning of the first operation to the end of the last"),
        (&[RUN], "held_up", Time, "for how long workers stood still because the report's reader was slow"),
        (&[RUN], "cut_off.operations", Count, "operations that stood in line when the time ran out"),
        (&[RUN], "cut_off.longest_wait", Time, "what one of those had waited at most"),
        (&[RUN], "findings[].count", Count, "how often that was found"),
        (&[RUN], "failures[].count", Count, "how often it failed so, whatever failed"),
        (&[RUN], "other_failures", Count, "failures that are in no row, because they failed in too many ways"),
        (&[RUN], "verdict.rules.checked", Count, "operations whose connection was checked against the rules"),
        (&[RUN], "verdict.rules.held", Count, "those of them for which the rules held"),
        (&[RUN], "verdict.witness.checked", Count, "operations that were compared with the server's own record"),
        (&[RUN], "verdict.witness.agreed", Count, "those of them that the record confirms"),
        (&[RUN], "verdict.witness.not_compared", Count, "operations that could not be compared with it"),
        (&[RUN, TASK], "operations_on.main", Count, "operations of tasks on the main connection"),
        (&[RUN, TASK], "operations_on.own_default", Count, "operations of tasks on a default that the task created"),
        (&[RUN, TASK], "operations_on.inherited_default", Count, "operations of tasks on another task's default"),
        (&[RUN, TASK], "operations_on.thread_default", Count, "operations of tasks on a default that no task created"),
        (&[RUN, TASK], "operations_on.independent", Count, "operations of tasks on an independent connection"),
        (&[RUN], "other_sessions.sessions", Count, "sessions that have no row of their own"),
        (&[RUN], "other_sessions.bad", Count, "those of them that were not opened and closed as they should be"),
        (&[RUN], "other_sessions.operations", Count, "operations that those carried"),
        (&[RUN], "other_sessions.bytes_sent", Bytes, "bytes that were sent on those"),
        (&[RUN], "other_sessions.bytes_received", Bytes, "bytes that were received on those"),
        (&[WORKER, SECTION], "reasons[]", Count, "operations whose connection was chosen for that reason"),
        (&[TASK, SECTION], "connections[]", Count, "operations on that connection"),
        (&[SECTION], "began", Time, "when its mode came into force, since the start"),
        (&[SESSION], "bytes_sent", Bytes, "bytes that were sent on it"),
        (&[SESSION], "bytes_received", Bytes, "bytes that were received on it"),
        (&[SESSION], "dial.resolve", Time, "what turning the name into addresses took"),
        (&[SESSION], "dial.connect", Time, "what opening the TCP connection took"),
        (&[SESSION], "dial.tls", Time, "what the TLS handshake took"),
        (&[SESSION], "dial.greeting", Time, "what the server's first line took"),
        (&[SESSION], "dial.sign_in", Time, "what the sign-in took, with what the server was asked before"),
        (&[SESSION], "failed_after", Time, "what its dial took until it failed"),
        (&[SESSION], "open_at_failure", Count, "connections that were open when its dial failed"),
    ]
};

/// What is given by percentiles, and of which rows.
const SPREADS: [(&str, &str); 3] = [
    ("wait", "what operations waited for their connection"),
    ("dial", "what dials took, until the session was open"),
    ("service", "what operations took, from the first command to the last reply"),
];
const SPREAD: [&str; 4] = [RUN, OPERATION, WORKER, CONNECTION];

/// Every metric: first those of the run, then those of its rows.
pub static METRICS: LazyLock<Vec<Metric>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for scope in [RUN, OPERATION, WORKER, CONNECTION, TASK, SECTION, SESSION] {
        for (_, name, unit, means) in ROWS.iter().filter(|(scopes, ..)| scopes.contains(&scope)) {
            all.push(Metric { name: format!("{scope}{name}"), unit: *unit, means: (*means).to_owned() });
        }
        for (name, means) in SPREADS.iter().filter(|_| SPREAD.contains(&scope)) {
            let count = ("n", Unit::Count, "how many were measured".to_owned());
            let figures = NEEDED.into_iter().map(|(figure, needed)| (figure, Unit::Time, needed));
            let figures = figures.map(|(figure, unit, needed)| {
                let part = figure
                    .strip_prefix('p')
                    .map_or("the longest".to_owned(), |part| format!("{part} % took no longer"));
                let enough = if needed > 1 { format!("; of {needed} at least") } else { String::new() };
                (figure, unit, format!("{part}{enough}"))
            });
            for (figure, unit, says) in [count].into_iter().chain(figures) {
                all.push(Metric { name: format!("{scope}{name}.{figure}"), unit, means: format!("{means}: {says}") });
            }
        }
    }
    all
});

impl Unit {
    /// `count`, `us`, `bytes`, `per second`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::Time => "us",
            Self::Bytes => "bytes",
            Self::Rate => "per second",
        }
    }

    /// That many of it, for people.
    pub(super) fn shown(self, value: &Number) -> String {
        match (self, value.as_u64()) {
            (Self::Time, Some(0)) => "0s".to_owned(),
            (Self::Time, Some(time)) => Micros(time).to_string(),
            (Self::Rate, _) => format!("{:.1} a second", value.as_f64().unwrap_or_default()),
            (Self::Bytes, _) => format!("{value} bytes"),
            _ => value.to_string(),
        }
    }
}

impl Metric {
    /// Its name with an example of each key.
    #[must_use]
    pub fn example(&self) -> String {
        let mut name = self.name.clone();
        for (row, key) in KEYS {
            name = name.replace(&format!("{row}[]"), &format!("{row}[{key}]"));
        }
        name
    }
}

/// That key as the figures have it, of a row of that name.
///
/// # Errors
/// There can be no such row: what is written there instead.
pub(super) fn key(row: &str, key: &str) -> Result<String, String> {
    let shown = key.escape_debug();
    let numbered = |sign: &str| {
        let number =
            key.strip_prefix(sign).filter(|number| number.parse::<u32>().is_ok_and(|it| it.to_string() == **number));
        number.map(|_| key.to_owned()).ok_or_else(|| format!("{row}[{shown}]: write {row}[{sign}0]"))
    };
    let one_of = |names: Vec<&str>| match names.iter().find(|name| name.eq_ignore_ascii_case(key)) {
        Some(name) => Ok((*name).to_owned()),
        None => Err(format!("there is no {row}[{shown}]; there are {}", names.join(", "))),
    };
    match row {
        "worker" => numbered("w"),
        "task" => numbered("t"),
        "section" => numbered(""),
        "connection" | "connections" if key == "main" => Ok(ConnectionId::MAIN.to_string()),
        "connection" | "connections" => numbered("#"),
        "session" => {
            let parts =
                key.strip_prefix('#').map(|numbers| numbers.split('.').map(str::parse::<u32>).collect::<Vec<_>>());
            let is_session = parts.is_some_and(|parts| parts.len() <= 2 && parts.iter().all(Result::is_ok));
            is_session
                .then(|| key.to_owned())
                .ok_or_else(|| format!("session[{shown}]: write session[#1] or session[#1.2]"))
        }
        "findings" => one_of(findings::ALL.iter().map(|spec| spec.id).collect()),
        "failures" => one_of(FailureKind::ALL.iter().map(|kind| kind.name()).collect()),
        "reasons" => one_of(REASONS.to_vec()),
        _ => {
            let mut names: Vec<&str> =
                Operation::ALL.iter().map(|operation| operation.spec().name).chain(HALVES).collect();
            names.sort_unstable();
            names.dedup();
            one_of(names)
        }
    }
}

/// The rows of a document: their field, what metrics call them, and the field that is their key.
const DOCUMENTED: [(&str, &str, &str); 8] = [
    ("by_operation", "operation", "operation"),
    ("workers", "worker", "worker"),
    ("by_connection", "connection", "connection"),
    ("tasks", "task", "task"),
    ("sections", "section", ""),
    ("sessions", "session", "session"),
    ("findings", "findings", "id"),
    ("failures", "failures", "kind"),
];

/// What the connection of an operation was chosen by; the last one is no connection's.
const REASONS: [&str; 5] =
    [Reason::Explicit.name(), Reason::Main.name(), Reason::Default.name(), Reason::DefaultCreated.name(), "refused"];

/// What there is of a metric.
pub(super) enum Reading {
    /// A figure.
    Is(Number),
    /// None, and why.
    None(String),
}

/// The figures of a run, each at its place.
pub(super) struct Measured(Value);

/// Rows that gates are about, by their name and key.
#[derive(Debug, Default)]
pub(super) struct Wanted(pub(super) BTreeSet<(String, String)>);

impl Wanted {
    /// Those of the rows of that name that are wanted: there may be a hundred thousand.
    fn of<K: Display, R>(&self, name: &str, rows: impl Iterator<Item = (K, R)>, value: fn(R) -> Value) -> Value {
        let mut found = Map::new();
        if self.0.iter().any(|(wanted, _)| wanted == name) {
            for (key, row) in rows {
                let wanted = (name.to_owned(), key.to_string());
                if self.0.contains(&wanted) {
                    found.insert(wanted.1, value(row));
                }
            }
        }
        Value::Object(found)
    }
}

impl Measured {
    /// Of a run, and of those of its rows that are wanted.
    pub(super) fn of(summary: &Summary, ending: Ending, findings: &[Finding], proof: Proof, wanted: &Wanted) -> Self {
        let found = findings.iter().map(|it| (it.id.clone(), json!({"count": it.count})));
        let mut failed: BTreeMap<&str, u64> = BTreeMap::new();
        for row in &summary.failures {
            *failed.entry(row.kind.name()).or_default() += row.count;
        }
        let failed = failed.into_iter().map(|(kind, count)| (kind.to_owned(), json!({"count": count})));
        let run = json!({
            "operations": summary.operations,
            "operations_per_second": summary.rate(),
            "operations_on_other_connections": summary.on_other_connections,
            "connections": summary.connections,
            "total_wait": summary.total_wait,
            "total_dial": summary.total_dial,
            "total_service": summary.total_service,
            "elapsed": ending.elapsed,
            "worked": summary.worked,
            "held_up": ending.held_up,
            "cut_off": plain(&summary.cut_off),
            "verdict": proof,
            "findings": found.collect::<Map<_, _>>(),
            "failures": failed.collect::<Map<_, _>>(),
            "other_failures": summary.other_failures,
            "operations_on": OperationsOn::of(&summary.tasks),
            "other_sessions": summary.rest,
            "operation": wanted.of("operation", summary.by_operation.iter().map(|row| (row.name, row)), of_operation),
            "worker": wanted.of("worker", summary.workers.iter().map(|row| (row.worker, row)), of_worker),
            "connection":
                wanted.of("connection", summary.by_connection.iter().map(|row| (row.connection, row)), of_connection),
            "task": wanted.of("task", summary.tasks.iter().map(|row| (row.task, row)), of_task),
            "section": wanted.of("section", summary.sections.iter().enumerate(), of_section),
            "session": wanted.of("session", summary.sessions.iter().map(|row| (row.session, row)), of_session),
        });
        Self(with(run, plain(&summary.spreads)))
    }

    /// Of a run that its JSON document tells of.
    pub(super) fn of_document(document: &Value) -> Self {
        let mut run = match plain(document) {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        for (field, name, key) in DOCUMENTED {
            let rows = run.remove(field);
            let rows = rows.as_ref().and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            let mut by_key: Map<String, Value> = Map::new();
            for (at, row) in rows.iter().enumerate() {
                let row = plain(row);
                let key = row[key].as_str().map_or_else(|| at.to_string(), str::to_owned);
                match by_key.get_mut(&key) {
                    // Ways of failing that are one kind.
                    Some(known) => {
                        if let (Some(sum), Some(more)) = (known.get_mut("count"), row["count"].as_u64()) {
                            *sum = sum.as_u64().unwrap_or_default().saturating_add(more).into();
                        }
                    }
                    None => drop(by_key.insert(key, row)),
                }
            }
            run.insert(name.to_owned(), Value::Object(by_key));
        }
        if let Some(cut_off) = run.get("cut_off").map(plain) {
            run.insert("cut_off".to_owned(), cut_off);
        }
        Self(Value::Object(run))
    }

    /// What there is of that metric, of the rows with those keys.
    pub(super) fn read(&self, metric: &Metric, keys: &[String]) -> Reading {
        let mut at = &self.0;
        let mut keys = keys.iter();
        let mut rest = metric.name.as_str();
        while let Some((path, behind)) = rest.split_once("[]") {
            let row = path.rsplit('.').next().unwrap_or(path);
            let (Some(rows), Some(key)) = (place(at, path), keys.next()) else { return not_measured() };
            match rows.get(key) {
                Some(found) => at = found,
                None if is_nought(row, key, metric) => return Reading::Is(0.into()),
                None => return Reading::None(format!("the run had no {row} {key}")),
            }
            rest = behind.trim_start_matches('.');
        }
        match place(at, rest) {
            Some(Value::Number(number)) => Reading::Is(number.clone()),
            _ => too_few(at, rest).map_or_else(not_measured, Reading::None),
        }
    }
}

fn not_measured() -> Reading {
    Reading::None("it was not measured in this run".to_owned())
}

/// A count of what was not met; main that nobody used is no mistake either.
fn is_nought(row: &str, key: &str, metric: &Metric) -> bool {
    let is_main = row == "connection" && key == ConnectionId::MAIN.to_string();
    ["findings", "failures", "reasons", "connections"].contains(&row) || (is_main && metric.unit == Unit::Count)
}

/// Why there is no such percentile, if there were too few for it.
fn too_few(at: &Value, path: &str) -> Option<String> {
    let (spread, figure) =
        SPREADS.iter().find_map(|(name, _)| Some((*name, path.strip_prefix(name)?.strip_prefix('.')?)))?;
    let (_, needed) = NEEDED.into_iter().find(|(name, _)| *name == figure)?;
    let number = place(at, spread)?.get("n")?.as_u64()?;
    Some(format!("n too small: {figure} needs {needed}, and there were {number}"))
}

/// What is at that path. A name may have a dot in it.
fn place<'a>(of: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(of);
    }
    of.get(path).or_else(|| path.split_once('.').and_then(|(first, rest)| place(of.get(first)?, rest)))
}

/// As a value, with names that have no `_us`.
fn plain(of: &impl Serialize) -> Value {
    match serde_json::to_value(of) {
        Ok(Value::Object(fields)) => {
            let name = |name: String| name.strip_suffix("_us").map(str::to_owned).unwrap_or(name);
            Value::Object(fields.into_iter().map(|(field, value)| (name(field), value)).collect())
        }
        Ok(other) => other,
        Err(_) => Value::Null,
    }
}

/// The fields of both.
fn with(of: Value, more: Value) -> Value {
    match (of, more) {
        (Value::Object(of), Value::Object(more)) => Value::Object(of.into_iter().chain(more).collect()),
        (of, _) => of,
    }
}

fn of_operation(row: &OperationRow) -> Value {
    with(plain(&row.spreads), json!({"operations": row.operations}))
}

fn of_worker(row: &WorkerRow) -> Value {
    with(plain(&row.spreads), json!({"operations": row.operations, "reasons": row.reasons}))
}

fn of_connection(row: &ConnectionRow) -> Value {
    with(plain(&row.spreads), json!({"operations": row.operations}))
}

fn of_task(row: &TaskRow) -> Value {
    let used = row.used.iter().map(|(connection, used)| (connection, used.operations));
    let on = OperationsOn::of(std::slice::from_ref(row));
    json!({"operations": row.operations, "operations_on": on, "connections": named(used)})
}

fn of_section(row: &SectionRow) -> Value {
    let given = row.connections.iter().map(|(connection, (_, given))| (connection, *given));
    let operations = json!({"issued": row.issued(), "ok": row.ok, "failed": row.failed});
    json!({"began": row.began, "operations": operations, "connections": named(given), "reasons": row.reasons})
}

fn of_session(row: &SessionRow) -> Value {
    let closed = row.closed.as_ref();
    let (dial, refused) = match &row.dial {
        Ok(opened) => (opened.dial_us, None),
        Err(refused) => (refused.dial_us, Some(refused)),
    };
    json!({
        "operations": row.operations,
        "bytes_sent": closed.map(|it| it.bytes_sent),
        "bytes_received": closed.map(|it| it.bytes_received),
        "dial": dial,
        "failed_after": refused.map(|it| it.took_us),
        "open_at_failure": refused.map(|it| it.open),
    })
}

fn named<'a, N: Display + 'a>(counts: impl Iterator<Item = (&'a N, u64)>) -> Value {
    Value::Object(counts.map(|(name, count)| (name.to_string(), json!(count))).collect())
}
