//! The document of a comparison: what was compared, every run, and the verdicts.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Number;

use super::SCHEMA_VERSION;
use crate::event::{ComparisonVerdict, Gated, Micros, Severity, Stopped, Variant};
use crate::judge::{ComparedRun, Counted, RunFigures};
use crate::report::comparison::choice;
use crate::report::model::ComparisonReport;
use crate::report::words::wall;

#[derive(Serialize)]
pub(super) struct Document<'a> {
    schema_version: u32,
    tool_version: &'a str,
    started: String,
    server: &'a str,
    protocol: &'static str,
    variants: &'a [Variant],
    reference: &'a str,
    metric: &'a str,
    noise: f64,
    seed: u64,
    pace_us: Micros,
    bound_us: Option<Micros>,
    /// Rounds that were asked for, and the numbers of those that the verdicts are of.
    rounds: u32,
    whole_rounds: &'a [u32],
    elapsed_us: Micros,
    interrupted: Option<i32>,
    stopped: Option<&'a Stopped>,
    /// What to choose, for people.
    choice: String,
    verdicts: &'a [ComparisonVerdict],
    /// By the variants' names: what was counted, and in which of the whole rounds it was not the same.
    counts: BTreeMap<&'a str, BTreeMap<String, CountedShape>>,
    /// Every run, in the order in which they were made; round 0 warms up.
    runs: Vec<RunShape<'a>>,
    fail_on: &'a [Severity],
    require_decision: bool,
    gates: &'a [Gated],
    exit_code: Option<u8>,
}

#[derive(Serialize)]
struct CountedShape {
    usual: u64,
    /// By the numbers of the rounds.
    others: BTreeMap<u32, u64>,
}

#[derive(Serialize)]
struct RunShape<'a> {
    variant: &'a str,
    round: u32,
    run_id: &'a str,
    exit_code: u8,
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
        started: wall(start.started),
        server: &start.server,
        protocol: start.protocol.name(),
        variants: &start.variants,
        reference: &start.reference,
        metric: &start.metric,
        noise: start.noise,
        seed: start.seed,
        pace_us: start.pace_us,
        bound_us: start.bound_us,
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
