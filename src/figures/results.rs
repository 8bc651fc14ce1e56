//! What a run came to, in the form that its JSON document has: gates read their figures from it.

use std::collections::{BTreeMap, BTreeSet};

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::lists::{CONNECTIONS, FAILURES, FINDINGS, List, OPERATIONS, SECTIONS, SESSIONS, TASKS, WORKERS};
use super::summary::Summary;
use super::tasks::OperationsOn;
use crate::event::{Ending, Finding, LimitsFound, Proof, RunStart};
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
fn kinds(met: &BTreeMap<FailureKind, u64>) -> BTreeMap<&'static str, BTreeMap<&'static str, u64>> {
    met.iter().map(|(kind, count)| (kind.name(), BTreeMap::from([("count", *count)]))).collect()
}

impl Serialize for Results<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let Self { start, ending, summary: of, wanted, .. } = self;
        let mut all = to.serialize_map(None)?;
        all.serialize_entry("elapsed_us", &ending.elapsed)?;
        // The number of the signal that ended the run early.
        all.serialize_entry("interrupted", &ending.interrupted)?;
        all.serialize_entry("operations", &of.operations)?;
        all.serialize_entry("connections", &of.connections)?;
        all.serialize_entry("wait_us", &of.spreads.wait)?;
        all.serialize_entry("dial_us", &of.spreads.dial)?;
        all.serialize_entry("service_us", &of.spreads.service)?;
        all.serialize_entry("total_wait_us", &of.total_wait)?;
        all.serialize_entry("total_dial_us", &of.total_dial)?;
        all.serialize_entry("total_service_us", &of.total_service)?;
        all.serialize_entry("worked_us", &of.worked)?;
        all.serialize_entry("operations_per_second", &of.rate())?;
        all.serialize_entry("cut_off", &of.cut_off)?;
        if let Some(held_up) = ending.held_up {
            all.serialize_entry("held_up_us", &held_up)?;
        }
        if let Some(cpu) = ending.cpu {
            all.serialize_entry("cpu_us", &cpu)?;
        }
        // A section's key is its place: if one is wanted, all are there.
        let sections = wanted.is_none_or(|wanted| wanted.contains_key(SECTIONS.row)).then_some(&*of.sections);
        all.serialize_entry(SECTIONS.name, sections.unwrap_or_default())?;
        all.serialize_entry(FINDINGS.name, self.findings)?;
        all.serialize_entry("verdict", &self.proof)?;
        if let Some(limits) = self.limits {
            all.serialize_entry("limits", limits)?;
        }
        if !self.unjudged.is_empty() {
            all.serialize_entry("unjudged", self.unjudged)?;
        }
        all.serialize_entry("exit_code", &self.exit_code)?;
        // Gates are about kinds of failures, and a kind may have more ways than rows.
        match wanted {
            None => all.serialize_entry(FAILURES.name, &of.failures)?,
            Some(_) => all.serialize_entry(FAILURES.name, &kinds(&of.failures_by_kind))?,
        }
        all.serialize_entry("other_failures", &of.other_failures)?;
        all.serialize_entry(WORKERS.name, &self.rows(WORKERS, &of.workers, |row| row.worker.to_string()))?;
        all.serialize_entry(OPERATIONS.name, &self.rows(OPERATIONS, &of.by_operation, |row| row.name.to_owned()))?;
        // Whether all connections have a row is seen from their number: if one is wanted, all are there.
        let connections =
            wanted.is_none_or(|wanted| wanted.contains_key(CONNECTIONS.row)).then_some(&*of.by_connection);
        all.serialize_entry(CONNECTIONS.name, connections.unwrap_or_default())?;
        all.serialize_entry("operations_on_other_connections", &of.on_other_connections)?;
        all.serialize_entry("executor", &start.map(|start| start.executor))?;
        all.serialize_entry("dispose", &start.map(|start| start.dispose))?;
        all.serialize_entry("operations_on", &OperationsOn::of(of.tasks.iter().flat_map(|task| &task.used)))?;
        all.serialize_entry(TASKS.name, &self.rows(TASKS, &of.tasks, |row| row.task.to_string()))?;
        all.serialize_entry(SESSIONS.name, &self.rows(SESSIONS, &of.sessions, |row| row.session.to_string()))?;
        all.serialize_entry("other_sessions", &of.rest)?;
        all.end()
    }
}
