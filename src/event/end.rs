//! How a run ends: its totals, what was found, and what it was judged by.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::micros::Micros;
use super::probe::LimitsFound;
use crate::allocator::Mode;

/// The run is over: what it came to.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunEnd {
    /// From the start to the close of the last connection.
    pub elapsed_us: Micros,
    /// The number of the signal that ended it early.
    pub interrupted: Option<i32>,
    /// Operations of all workers.
    pub operations: Counts,
    /// The client's connections.
    pub connections: Connections,
    /// Waits of all operations.
    pub wait_us: Latency,
    /// Service times of all operations that reached a server.
    pub service_us: Latency,
    /// What all operations together waited.
    pub total_wait_us: Micros,
    /// What all operations together were served.
    pub total_service_us: Micros,
    /// From the beginning of the first operation to the end of the last: what a rate is over.
    pub worked_us: Micros,
    /// Operations that were waiting when the time ran out: their waits are in `wait_us`, they are in no count.
    pub cut_off: CutOff,
    /// For how long workers stood still because the report's reader was slow. Files of version 2 do not say it, nor does a
    /// scenario, which nobody's reading slows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_up_us: Option<Micros>,
    /// The processor time of the threads that did the work. Files before version 6 do not say it, nor does a scenario, whose
    /// threads work for several clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_us: Option<Micros>,
    /// One for each mode that was in force, in order: the first 128 of them.
    pub sections: Vec<Section>,
    /// How many more there were.
    #[serde(default, skip_serializing_if = "is_none")]
    pub other_sections: u64,
    /// What was found, worst first.
    pub findings: Vec<Finding>,
    /// What its gates came to, in the order of `judged_by`. Files before version 4 have none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gated>,
    /// What a probe found out; missing in what is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Box<LimitsFound>>,
    /// What was checked.
    pub verdict: Proof,
    /// What the exit code was decided by.
    pub judged_by: Policy,
    /// What the process exited with.
    pub exit_code: u8,
}

/// The most sections of a run's end: no event grows with the run.
pub const SECTIONS: usize = 128;

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it so")]
const fn is_false(it: &bool) -> bool {
    !*it
}

const fn is_none(count: &u64) -> bool {
    *count == 0
}

/// How the run ended, before anybody judges it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ending {
    /// From the start to the close of the last connection.
    pub elapsed: Micros,
    /// The number of the signal that ended it early.
    pub interrupted: Option<i32>,
    /// Whether the reader of the report ended it early, by going away. A stored end had a reader.
    pub is_unread: bool,
    /// Connections still open when all was over.
    pub still_open: usize,
    /// For how long workers stood still because the report's reader was slow, if that is known.
    pub held_up: Option<Micros>,
    /// The processor time of the threads that did the work, if that is known.
    pub cpu: Option<Micros>,
}

impl RunEnd {
    /// How it ended.
    #[must_use]
    pub const fn ending(&self) -> Ending {
        Ending {
            elapsed: self.elapsed_us,
            interrupted: self.interrupted,
            is_unread: false,
            still_open: self.connections.still_open,
            held_up: self.held_up_us,
            cpu: self.cpu_us,
        }
    }
}

/// Operations: asked = issued + not issued, issued = ok + failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Asked for; under a duration: as many as were issued.
    pub asked: u64,
    /// Begun.
    pub issued: u64,
    /// Succeeded.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
    /// Asked for, but never begun.
    pub not_issued: u64,
}

impl Counts {
    /// Of those that were issued, where `asked` were asked for, if a number was.
    #[must_use]
    pub fn of(asked: Option<u64>, ok: u64, failed: u64) -> Self {
        let issued = ok + failed;
        let asked = asked.unwrap_or(issued);
        Self { asked, issued, ok, failed, not_issued: asked.saturating_sub(issued) }
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            asked: self.asked.saturating_add(other.asked),
            issued: self.issued.saturating_add(other.issued),
            ok: self.ok.saturating_add(other.ok),
            failed: self.failed.saturating_add(other.failed),
            not_issued: self.not_issued.saturating_add(other.not_issued),
        }
    }
}

/// Connections of a client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Connections {
    /// Sessions opened.
    pub opened: usize,
    /// Most sessions open at once.
    pub peak: usize,
    /// Whether main was ever opened.
    pub main_opened: bool,
    /// Still open when all was over.
    pub still_open: usize,
}

/// The outline of a distribution of times.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half were no longer.
    pub p50: Micros,
    /// 99 % were no longer.
    pub p99: Micros,
    /// The longest.
    pub max: Micros,
}

/// Operations that were still waiting when the time ran out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CutOff {
    /// How many.
    pub operations: u64,
    /// What one of them waited at most.
    #[serde(rename = "longest_wait_us")]
    pub longest: Micros,
}

/// What was done under one mode, until another was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Section {
    /// The mode.
    pub mode: Mode,
    /// When it came into force, since the start.
    pub began_us: Micros,
    /// Operations that were issued under it.
    pub operations: Issued,
    /// How many of them had each reason.
    pub reasons: BTreeMap<String, u64>,
}

/// Operations that were issued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Issued {
    /// In all.
    pub issued: u64,
    /// Succeeded.
    pub ok: u64,
    /// Failed.
    pub failed: u64,
}

impl Issued {
    /// Counts one more.
    pub const fn add(&mut self, is_ok: bool) {
        self.issued += 1;
        match is_ok {
            true => self.ok += 1,
            false => self.failed += 1,
        }
    }
}

/// How bad a finding is, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Our own invariant, or the proof of it, is broken.
    Broken,
    /// The server's limit was met.
    Limit,
    /// Mail can be read from, or written to, the wrong place.
    Hazard,
    /// A connection was left behind.
    Leak,
    /// A connection was discarded in the middle of a reply.
    Fault,
    /// It works, at more cost than it needs.
    Advice,
}

impl Severity {
    /// Every severity, worst first.
    pub const ALL: [Self; 6] = [Self::Broken, Self::Limit, Self::Hazard, Self::Leak, Self::Fault, Self::Advice];

    /// `broken`, `limit`, `hazard`, `leak`, `fault`, `advice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Broken => "broken",
            Self::Limit => "limit",
            Self::Hazard => "hazard",
            Self::Leak => "leak",
            Self::Fault => "fault",
            Self::Advice => "advice",
        }
    }
}

/// Something that the run proves, with its evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// Its stable name: `MC` and three digits.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// How often it was found.
    pub count: u64,
    /// What was found, with figures, and the cure: one sentence or two.
    pub sentence: String,
    /// Where: operation numbers, sessions, the server's line; at most a handful.
    pub evidence: Vec<String>,
}

/// What a gate came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gated {
    /// The gate, as it was given: `service.p95 > 200ms`.
    pub gate: String,
    /// The figure; null if there is none.
    pub value: Option<Number>,
    /// What it was in the baseline, where the gate compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub was: Option<Number>,
    /// What it is measured in: `count`, `us`, `bytes`, `per second`.
    pub unit: String,
    /// Whether it fails the run.
    pub failed: bool,
    /// The figure in words, or why there is none.
    pub sentence: String,
}

/// What was checked, and how much of it held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Proof {
    /// Operations whose connection was checked against the rules.
    pub rules: Agreement,
    /// Operations that were compared with the server's own record.
    pub witness: Witnessed,
}

/// How many of those checked held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Agreement {
    /// Checked.
    pub checked: u64,
    /// Held.
    pub held: u64,
}

/// How many operations the server's own record confirms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Witnessed {
    /// Whether there is such a record. If not, nothing was compared.
    pub available: bool,
    /// Compared.
    pub checked: u64,
    /// Confirmed.
    pub agreed: u64,
    /// Could not be compared: they sent nothing, or their connection broke before the server had read it.
    pub not_compared: u64,
}

/// What fails a run that nothing else fails. A limit and a broken invariant have exit codes of their own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Policy {
    /// Findings of these severities do: any of hazard, leak, fault and advice.
    pub fail_on: Vec<Severity>,
    /// Figures of which this is so do: `service.p95 > 200ms`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<String>,
    /// What the gates on what has regressed compare with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<Baseline>,
    /// A probe fails if it never has so many connections open at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub need: Option<usize>,
    /// A comparison in which something cannot be told does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_decision: bool,
}

/// The figures of an earlier run, as far as gates compare with them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// Which run.
    pub run_id: String,
    /// Each figure by the name of its metric; null if there is none.
    pub figures: BTreeMap<String, Option<Number>>,
}

impl Default for Policy {
    /// Hazards, leaks and faults.
    fn default() -> Self {
        Self {
            fail_on: vec![Severity::Hazard, Severity::Leak, Severity::Fault],
            gates: Vec::new(),
            baseline: None,
            need: None,
            require_decision: false,
        }
    }
}

impl Policy {
    /// Nothing that only a policy fails fails the run.
    pub const NONE: Self =
        Self { fail_on: Vec::new(), gates: Vec::new(), baseline: None, need: None, require_decision: false };

    /// What each run of a comparison is judged by that this judges: gates are about all of them.
    #[must_use]
    pub fn of_a_run(&self) -> Self {
        Self { fail_on: self.fail_on.clone(), ..Self::NONE }
    }

    /// Whether a finding so bad fails the run.
    #[must_use]
    pub fn fails_on(&self, severity: Severity) -> bool {
        self.fail_on.contains(&severity)
    }
}

/// What a stored run is judged by in place of its own policy, part by part.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewPolicy {
    /// Findings of these severities fail it.
    pub fail_on: Option<Vec<Severity>>,
    /// Figures of which this is so fail it.
    pub gates: Option<Vec<String>>,
    /// What those compare with.
    pub baseline: Option<Baseline>,
}

impl NewPolicy {
    /// Whether all of its own policy stays.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.fail_on.is_none() && self.gates.is_none()
    }

    /// The whole policy, for a run whose own is `own`.
    #[must_use]
    pub fn over(&self, own: Policy) -> Policy {
        let Self { fail_on, gates, baseline } = self.clone();
        let fail_on = fail_on.unwrap_or(own.fail_on);
        match gates {
            Some(gates) => Policy { fail_on, gates, baseline, ..own },
            None => Policy { fail_on, ..own },
        }
    }
}
