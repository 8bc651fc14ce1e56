//! The metrics: every count, time and rate of a run that a gate can be about. `mailconn explain metrics` prints this table.
//!
//! A metric's name is its place in the JSON document, without `_us`; of several rows the one whose key is in brackets.

use std::sync::LazyLock;

use serde_json::{Number, Value};

use super::findings;
use crate::allocator::{ConnectionId, Reason};
use crate::event::{Executor, HALVES, Micros};
use crate::figures::lists::{self, List};
use crate::figures::{CONNECTION_ROWS, FAILURE_ROWS, NEEDED, Results, SESSION_ROWS};
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
    /// In which direction it becomes worse.
    pub worse: Worse,
}

/// In which direction a figure becomes worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worse {
    /// More is worse.
    More,
    /// Less is worse.
    Less,
    /// Neither is.
    Neither,
}

/// Rows that have a key, with an example of one.
const KEYED: [(List, &str); 10] = [
    (lists::OPERATIONS, "fetch"),
    (lists::WORKERS, "w0"),
    (lists::CONNECTIONS, "main"),
    (lists::TASKS, "t0"),
    (lists::SECTIONS, "0"),
    (lists::SESSIONS, "#1"),
    (lists::FINDINGS, findings::CONNECTIONS),
    (lists::FAILURES, "limit-rate"),
    (lists::REASONS, "default"),
    (lists::GIVEN, "#1"),
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
        (&[RUN], "cpu", Time, "processor time of the threads that did the work"),
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
        (&[RUN], "limits.given", Count, "connections that a probe was given"),
        (&[RUN], "limits.attempts", Count, "dials of a probe"),
        (&[RUN], "limits.refused", Count, "those of them that were refused"),
        (&[RUN], "limits.ended", Count, "sessions that the server ended"),
        (&[RUN], "limits.met.stated", Count, "the limit in the server's words"),
        (&[RUN], "limits.met.stated_wait", Time, "how long the server says to wait"),
        (&[RUN], "limits.met.within", Time, "from the first dial to the refusal"),
        (&[RUN], "limits.met.again_within", Time, "from it to the dial let in after the hold"),
        (&[RUN], "limits.release.free_after", Time, "from a sign-out to a dial let in"),
        (&[RUN], "limits.release.taken_after", Time, "from it to the last dial refused"),
        (&[RUN], "limits.bare_close.free_after", Time, "from a bare close to a dial let in"),
        (&[RUN], "limits.bare_close.taken_after", Time, "from it to the last dial refused"),
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

/// Of the names, those of which less is worse, and those of which neither is. Of the others more is worse.
const LESS_IS_WORSE: [&str; 9] = [
    "operations.issued",
    "operations.ok",
    "operations_per_second",
    "verdict.rules.checked",
    "verdict.rules.held",
    "verdict.witness.checked",
    "verdict.witness.agreed",
    "limits.given",
    "limits.met.stated",
];
const NEITHER_IS_WORSE: [&str; 22] = [
    "operations.asked",
    "operations",
    "operations_on_other_connections",
    "held_up",
    "operations_on.main",
    "operations_on.own_default",
    "operations_on.inherited_default",
    "operations_on.thread_default",
    "operations_on.independent",
    "other_sessions.sessions",
    "other_sessions.operations",
    "other_sessions.bytes_sent",
    "other_sessions.bytes_received",
    "reasons[]",
    "connections[]",
    "began",
    "bytes_sent",
    "bytes_received",
    "open_at_failure",
    "limits.attempts",
    "limits.met.within",
    "limits.met.again_within",
];

fn worse(name: &str) -> Worse {
    match name {
        less if LESS_IS_WORSE.contains(&less) => Worse::Less,
        neither if NEITHER_IS_WORSE.contains(&neither) => Worse::Neither,
        _ => Worse::More,
    }
}

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
            let (name, worse) = (format!("{scope}{name}"), worse(name));
            all.push(Metric { name, unit: *unit, means: (*means).to_owned(), worse });
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
                let worse = if unit == Unit::Count { Worse::Neither } else { Worse::More };
                all.push(Metric {
                    name: format!("{scope}{name}.{figure}"),
                    unit,
                    means: format!("{means}: {says}"),
                    worse,
                });
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

    /// As a figure has it: whole, but of a rate in thousandths.
    pub(super) fn number(self, value: f64) -> Number {
        match self {
            Self::Rate => Number::from_f64((value * 1e3).round() / 1e3).unwrap_or_else(|| 0.into()),
            _ => Number::from(value.round() as u64),
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

/// Each kind of rows that have a key, with an example of one, and their list in the JSON document.
pub fn keyed() -> impl Iterator<Item = (&'static str, &'static str)> {
    static NAMES: LazyLock<Vec<String>> =
        LazyLock::new(|| KEYED.iter().map(|(list, key)| format!("{}[{key}]", list.row)).collect());
    NAMES.iter().zip(KEYED).map(|(name, (list, _))| (&**name, list.name))
}

impl Metric {
    /// Its name with an example of each key.
    #[must_use]
    pub fn example(&self) -> String {
        let mut name = self.name.clone();
        for (List { row, .. }, key) in KEYED {
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
        "connection" | "connections" if key.eq_ignore_ascii_case("main") => Ok(ConnectionId::MAIN.to_string()),
        "connection" | "connections" => numbered("#"),
        "session" => {
            // The first session of a connection is called as the connection is.
            let number = |text: &str| text.parse::<u32>().ok().filter(|number| number.to_string() == text);
            let is_session = key.strip_prefix('#').is_some_and(|numbers| match numbers.split_once('.') {
                Some((connection, later)) => number(connection).is_some() && number(later).is_some_and(|it| it >= 2),
                None => number(numbers).is_some(),
            });
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

/// What the connection of an operation was chosen by; the last one is no connection's.
const REASONS: [&str; 5] =
    [Reason::Explicit.name(), Reason::Main.name(), Reason::Default.name(), Reason::DefaultCreated.name(), "refused"];

/// What there is of a metric.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// A figure.
    Is(Number),
    /// None, and why.
    None(String),
}

/// A run's JSON document, or so much of it as is asked for.
pub(super) struct Measured(Value);

impl Measured {
    /// Of these results.
    pub(super) fn of(results: &Results<'_>) -> Self {
        Self(serde_json::to_value(results).unwrap_or_default())
    }

    /// Of a run that its JSON document tells of.
    pub(super) const fn of_document(document: Value) -> Self {
        Self(document)
    }

    /// What there is of that metric, of the rows with those keys.
    pub(super) fn read(&self, metric: &Metric, keys: &[String]) -> Reading {
        if let Some(why) = self.unseen(metric, keys) {
            return Reading::None(why);
        }
        let mut at = vec![&self.0];
        let mut keys = keys.iter();
        let mut rest = metric.name.as_str();
        while let Some((row, behind)) = rest.split_once("[]") {
            let Some(key) = keys.next() else { return not_measured() };
            at = at.into_iter().flat_map(|at| rows(at, row, key)).collect();
            if let Some(why) = self.left_out(row, key, at.is_empty()) {
                return Reading::None(why);
            }
            if at.is_empty() {
                return match is_nought(row, key, metric) {
                    true => Reading::Is(0.into()),
                    false => Reading::None(format!("the run had no {row} {key}")),
                };
            }
            rest = behind.trim_start_matches('.');
        }
        let found: Vec<&Number> = at.iter().filter_map(|at| place(at, rest)?.as_number()).collect();
        match *found.as_slice() {
            [] => at.iter().find_map(|at| too_few(at, rest)).map_or_else(not_measured, Reading::None),
            [figure] => Reading::Is(figure.clone()),
            // Ways of failing that are of one kind.
            ref all => Reading::Is(all.iter().filter_map(|it| it.as_u64()).fold(0, u64::saturating_add).into()),
        }
    }
}

impl Measured {
    /// Why a row of that name may be missing, or may say less than there was: there were too many.
    fn left_out(&self, row: &str, key: &str, is_missing: bool) -> Option<String> {
        let all = |list: List| self.0[list.name].as_array();
        let more = |name: &str| place(&self.0, name).and_then(Value::as_u64).is_some_and(|more| more > 0);
        let main = ConnectionId::MAIN.to_string();
        let others = || all(lists::CONNECTIONS).into_iter().flatten().filter(|row| row["connection"] != main).count();
        // Earlier versions left main out too, if it came late.
        let had_it = || key != main || self.0["connections"]["main_opened"] == true;
        match row {
            "connection" if is_missing && others() >= CONNECTION_ROWS && had_it() => {
                Some(format!("only main and the first {CONNECTION_ROWS} other connections have rows of their own"))
            }
            "session" if is_missing && more("other_sessions.sessions") => Some(format!(
                "only the first {SESSION_ROWS} bad sessions and the newest {SESSION_ROWS} others have rows of their own"
            )),
            // Where failures are no list, they are counted by their kinds.
            "failures" if all(lists::FAILURES).is_some() && more("other_failures") => {
                Some(format!("only the first {FAILURE_ROWS} ways of failing have rows of their own"))
            }
            _ => None,
        }
    }

    /// Why nothing could be seen of what it is about, if nothing could: a finding that was not looked for all over, the
    /// server's own record where there is none, or tasks.
    fn unseen(&self, metric: &Metric, keys: &[String]) -> Option<String> {
        if metric.name.starts_with("operations_on.") && self.0["executor"] == Executor::Threads.name() {
            return Some("the run had no tasks".to_owned());
        }
        let finding = keys.first().filter(|_| metric.name.starts_with("findings[]."));
        let by_record =
            metric.name.starts_with("verdict.witness.") || finding.is_some_and(|id| id == findings::OF_THE_RECORD);
        if by_record && self.0["verdict"]["witness"]["available"] != true {
            return Some("there was no record of the server's own to compare with".to_owned());
        }
        let unjudged = self.0["unjudged"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let mut of_it = unjudged.filter(|why| finding.is_some_and(|id| why.starts_with(&format!("{id} "))));
        of_it.next().map(str::to_owned)
    }
}

/// The rows of that name with that key.
fn rows<'a>(of: &'a Value, name: &str, key: &str) -> Vec<&'a Value> {
    let Some((List { name, key: id, .. }, _)) = KEYED.iter().find(|(list, _)| list.row == name) else {
        return Vec::new();
    };
    match &of[name] {
        Value::Array(rows) if id.is_empty() => {
            key.parse().ok().and_then(|at: usize| rows.get(at)).into_iter().collect()
        }
        Value::Array(rows) => rows.iter().filter(|row| row[*id] == key).collect(),
        named => named.get(key).into_iter().collect(),
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

/// What is at that path. The field of a time ends in `_us`, and a name may have a dot in it.
fn place<'a>(of: &'a Value, path: &str) -> Option<&'a Value> {
    if path.is_empty() {
        return Some(of);
    }
    let field = |name: &str| of.get(name).or_else(|| of.get(format!("{name}_us")));
    field(path).or_else(|| path.split_once('.').and_then(|(first, rest)| place(field(first)?, rest)))
}
