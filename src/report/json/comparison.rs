//! The document of a comparison: what was compared, every run, and the verdicts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Number;

use super::SCHEMA_VERSION;
use crate::event::{ComparisonVerdict, Gated, Micros, Severity, Stopped, Variant, Wall};
use crate::judge::{ComparedRun, Counted, RunFigures};
use crate::protocol::Protocol;
use crate::report::comparison::choice;
use crate::report::model::ComparisonReport;

/// A comparison: what was compared, every run, and the verdicts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Comparison")]
pub(in crate::report) struct Document<'a> {
    /// The version of the documents' form: 1. Under one number fields are added, and none is renamed or taken away.
    schema_version: u32,
    /// The version of mailconn that ran it.
    tool_version: &'a str,
    /// When it began.
    #[serde(with = "Wall")]
    started: SystemTime,
    /// The server, without secrets.
    server: &'a str,
    /// What was spoken.
    protocol: Protocol,
    /// What was compared, in the order in which it was named.
    variants: &'a [Variant],
    /// The name of the variant that the others are compared with.
    reference: &'a str,
    /// The metric that carries the verdict.
    metric: &'a str,
    /// Differences so small are none: 0.03 for 3 %.
    noise: f64,
    /// Decides the order within each round, and every choice of the runs.
    seed: u64,
    /// The rest between two runs.
    pace_us: Micros,
    /// The time for all of it; null without a bound.
    bound_us: Option<Micros>,
    /// The most sign-ins that it may make; null on the sandbox.
    most_sign_ins: Option<u64>,
    /// Rounds that were asked for, without the one that warms up.
    rounds: u32,
    /// The numbers of those that the verdicts are of.
    whole_rounds: &'a [u32],
    /// From its start to its end.
    elapsed_us: Micros,
    /// The number of the signal that ended it early.
    interrupted: Option<i32>,
    /// Why it ended before all rounds were done; null if all were.
    stopped: Option<&'a Stopped>,
    /// What to choose, for people.
    choice: String,
    /// One for each variant but the reference.
    verdicts: &'a [ComparisonVerdict],
    /// By the variants' names: what was counted, and in which of the whole rounds it was not the same.
    counts: BTreeMap<&'a str, BTreeMap<String, CountedShape>>,
    /// Every run, in the order in which they were made; round 0 warms up.
    runs: Vec<RunShape<'a>>,
    /// Findings of these severities fail a run.
    fail_on: &'a [Severity],
    /// Whether a comparison in which something cannot be told fails.
    require_decision: bool,
    /// What the gates came to, in their order.
    gates: &'a [Gated],
    /// What the process exited with; null if the comparison has no end.
    exit_code: Option<u8>,
}

/// What was counted in each of the whole rounds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Counted")]
struct CountedShape {
    /// In most of them.
    usual: u64,
    /// In the others, by the numbers of the rounds.
    others: BTreeMap<u32, u64>,
}

/// A run of a comparison.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "ComparedRun")]
struct RunShape<'a> {
    /// Its variant's name.
    variant: &'a str,
    /// Its round: 0 warms up.
    round: u32,
    /// Its name.
    run_id: &'a str,
    /// What it came to.
    exit_code: u8,
    /// Why, where that is not 0.
    because: Option<&'a str>,
    /// The figure that the verdict is about; null where the run has none.
    compared: Option<&'a Number>,
    #[serde(flatten)]
    figures: &'a RunFigures,
}

pub(super) fn document(report: &ComparisonReport) -> Document<'_> {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let start = comparison.start();
    let counted = |it: Counted| {
        let shape = CountedShape { usual: it.usual, others: it.others.into_iter().collect() };
        (it.what.replace(' ', "_"), shape)
    };
    let counts = start.variants.iter().enumerate().map(|(at, variant)| {
        let counts = comparison.figures_of(at, rounds).counts;
        (&*variant.name, counts.into_iter().flatten().map(counted).collect())
    });
    Document {
        schema_version: SCHEMA_VERSION,
        tool_version: &start.tool_version,
        started: start.started,
        server: &start.server,
        protocol: start.protocol,
        variants: &start.variants,
        reference: &start.reference,
        metric: &start.metric,
        noise: start.noise,
        seed: start.seed,
        pace_us: start.pace_us,
        bound_us: start.bound_us,
        most_sign_ins: start.most_sign_ins,
        rounds: start.rounds,
        elapsed_us: end.elapsed_us,
        interrupted: end.interrupted,
        stopped: end.stopped.as_ref(),
        choice: choice(report),
        verdicts: &end.verdicts,
        counts: counts.collect(),
        whole_rounds: rounds,
        runs: comparison.runs().iter().map(|it| run_shape(report, it)).collect(),
        fail_on: &end.judged_by.fail_on,
        require_decision: end.judged_by.require_decision,
        gates: &end.gates,
        exit_code: report.exit_code(),
    }
}

fn run_shape<'a>(report: &'a ComparisonReport, run: &'a ComparedRun) -> RunShape<'a> {
    let variants = &report.comparison.start().variants;
    RunShape {
        variant: variants.get(run.variant).map_or("", |it| &it.name),
        round: run.round,
        run_id: &run.run_id,
        exit_code: run.exit_code,
        because: run.because.as_deref(),
        compared: run.compared(),
        figures: &run.figures,
    }
}
