//! What a run came to, in the form that its JSON document has: gates read their figures from it.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Serialize, Serializer};

use super::connections::ConnectionRow;
use super::failures::FailureRow;
use super::lists::{CONNECTIONS, List, OPERATIONS, SECTIONS, SESSIONS, TASKS, WORKERS};
use super::operations::OperationRow;
use super::sections::SectionRow;
use super::sessions::{Rest, SessionRow};
use super::summary::Summary;
use super::tasks::{OperationsOn, TaskRow};
use super::times::Spread;
use super::work::WorkerRow;
use crate::event::{
    Connections, Counts, CutOff, Dispose, Ending, Executor, Finding, LimitsFound, Micros, Proof, RunStart,
};
use crate::protocol::FailureKind;

/// The computed part of a run's document: its figures, and what was found.
#[derive(Clone, Copy, Debug)]
pub struct Results<'a> {
    /// What was asked for; none if the run never began.
    pub start: Option<&'a RunStart>,
    /// How it ended.
    pub ending: Ending,
    /// Its figures.
    pub summary: &'a Summary,
    /// What a probe found out; none of a run that is none.
    pub limits: Option<&'a LimitsFound>,
    /// What was found, worst first.
    pub findings: &'a [Finding],
    /// What was checked, and how much of it held.
    pub proof: Proof,
    /// What could not be judged, and why.
    pub unjudged: &'a [String],
    /// None before the run's end.
    pub exit_code: Option<u8>,
    /// The rows to show; if none, all of them.
    pub wanted: Option<&'a Wanted>,
}

/// Rows by the name of their kind and their keys: `task` and `t5`.
pub type Wanted = BTreeMap<String, BTreeSet<String>>;

/// Rows of one kind, those that are wanted: there may be a hundred thousand.
struct Rows<'a, R> {
    list: List,
    rows: &'a [R],
    key: fn(&R) -> String,
    wanted: Option<&'a Wanted>,
}

impl<R: Serialize> Serialize for Rows<'_, R> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let is_key =
            |wanted: &Wanted, row| wanted.get(self.list.row).is_some_and(|keys| keys.contains(&(self.key)(row)));
        to.collect_seq(self.rows.iter().filter(|row| self.wanted.is_none_or(|wanted| is_key(wanted, row))))
    }
}

impl<'a> Results<'a> {
    const fn rows<R>(&self, list: List, rows: &'a [R], key: fn(&R) -> String) -> Rows<'a, R> {
        Rows { list, rows, key, wanted: self.wanted }
    }
}

/// How often each kind of failure was met, by the kinds' names: `{"closed": {"count": 2}}`.
type Kinds = BTreeMap<&'static str, BTreeMap<&'static str, u64>>;

fn kinds(met: &BTreeMap<FailureKind, u64>) -> Kinds {
    met.iter().map(|(kind, count)| (kind.name(), BTreeMap::from([("count", *count)]))).collect()
}

/// Gates are about kinds of failures, and a kind may have more ways than rows.
#[derive(Serialize)]
#[serde(untagged)]
enum FailuresShape<'a> {
    Ways(&'a [FailureRow]),
    Kinds(Kinds),
}

/// The results as they are written.
#[derive(Serialize, JsonSchema)]
struct Shape<'a> {
    /// From the start to the close of the last connection.
    elapsed_us: Micros,
    /// The number of the signal that ended the run early.
    interrupted: Option<i32>,
    /// Operations in all.
    operations: Counts,
    /// The client's connections.
    connections: Connections,
    /// What operations waited for their connection.
    wait_us: Spread,
    /// What the dials took of sessions that were opened.
    dial_us: Spread,
    /// What operations were served that reached a server.
    service_us: Spread,
    /// What all operations together waited.
    total_wait_us: Micros,
    /// What the dials of all sessions together took.
    total_dial_us: Micros,
    /// What all operations together were served.
    total_service_us: Micros,
    /// From the beginning of the first operation that a session carried to the end of the last.
    worked_us: Micros,
    /// Operations a second in that time; null if there were none.
    operations_per_second: Option<f64>,
    /// Operations that stood in line when the time was over.
    cut_off: CutOff,
    /// For how long workers stood still because the report's reader was slow; missing where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_up_us: Option<Micros>,
    /// The processor time of the threads that did the work; missing where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_us: Option<Micros>,
    /// A row for each stretch of the run between two changes of the mode.
    sections: &'a [SectionRow],
    /// What was found, worst first.
    findings: &'a [Finding],
    /// What was checked, and how much of it held.
    verdict: Proof,
    /// What a probe found out; missing of a run that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    limits: Option<&'a LimitsFound>,
    /// What could not be judged, and why; missing if all could be.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    unjudged: &'a [String],
    /// What the process exited with; null if the run has no end.
    exit_code: Option<u8>,
    /// A row for each way of failing, most frequent first.
    #[schemars(with = "&[FailureRow]")]
    failures: FailuresShape<'a>,
    /// How often it failed in ways that have no row, because there were too many.
    other_failures: u64,
    /// A row for each worker.
    #[schemars(with = "&[WorkerRow]")]
    workers: Rows<'a, WorkerRow>,
    /// A row for each kind of operation.
    #[schemars(with = "&[OperationRow]")]
    by_operation: Rows<'a, OperationRow>,
    /// A row for each connection that has one.
    by_connection: &'a [ConnectionRow],
    /// How many operations were given a connection that has no row.
    operations_on_other_connections: u64,
    /// Who did the work.
    executor: Option<Executor>,
    /// What becomes of a thread's default connection when a task ends.
    dispose: Option<Dispose>,
    /// On whose connections the tasks' operations ran.
    operations_on: OperationsOn,
    /// A row for each task; none if the workers do the work themselves.
    #[schemars(with = "&[TaskRow]")]
    tasks: Rows<'a, TaskRow>,
    /// A row for each session that has one, in the order of their dials.
    #[schemars(with = "&[SessionRow]")]
    sessions: Rows<'a, SessionRow>,
    /// What the other sessions come to.
    other_sessions: &'a Rest,
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { start, ending, summary: of, wanted, .. } = *self;
        // Their key is their place, or their number says whether all are there: if one is wanted, all are.
        let all_of = |list: List| wanted.is_none_or(|wanted| wanted.contains_key(list.row));
        let shape = Shape {
            elapsed_us: ending.elapsed,
            interrupted: ending.interrupted,
            operations: of.operations,
            connections: of.connections,
            wait_us: of.spreads.wait,
            dial_us: of.spreads.dial,
            service_us: of.spreads.service,
            total_wait_us: of.total_wait,
            total_dial_us: of.total_dial,
            total_service_us: of.total_service,
            worked_us: of.worked,
            operations_per_second: of.rate(),
            cut_off: of.cut_off,
            held_up_us: ending.held_up,
            cpu_us: ending.cpu,
            sections: if all_of(SECTIONS) { &of.sections } else { &[] },
            findings: self.findings,
            verdict: self.proof,
            limits: self.limits,
            unjudged: self.unjudged,
            exit_code: self.exit_code,
            failures: match wanted {
                None => FailuresShape::Ways(&of.failures),
                Some(_) => FailuresShape::Kinds(kinds(&of.failures_by_kind)),
            },
            other_failures: of.other_failures,
            workers: self.rows(WORKERS, &of.workers, |row| row.worker.to_string()),
            by_operation: self.rows(OPERATIONS, &of.by_operation, |row| row.name.to_owned()),
            by_connection: if all_of(CONNECTIONS) { &of.by_connection } else { &[] },
            operations_on_other_connections: of.on_other_connections,
            executor: start.map(|start| start.executor),
            dispose: start.map(|start| start.dispose),
            operations_on: OperationsOn::of(of.tasks.iter().flat_map(|task| &task.used)),
            tasks: self.rows(TASKS, &of.tasks, |row| row.task.to_string()),
            sessions: self.rows(SESSIONS, &of.sessions, |row| row.session.to_string()),
            other_sessions: &of.rest,
        };
        shape.serialize(to)
    }
}

impl JsonSchema for Results<'_> {
    fn schema_name() -> Cow<'static, str> {
        "Results".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Shape::json_schema(generator)
    }
}
