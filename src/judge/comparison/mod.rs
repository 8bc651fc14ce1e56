//! What a comparison comes to. Each run is judged by a judge of its own; what is kept of it does not grow with its operations.

mod blame;
mod chance;
mod gates;
mod order;
mod run;
mod told;
mod trouble;

pub use blame::ServersEnd;
pub use gates::{comparison_gate, gated_figure, gated_figures, is_of_a_comparison};
pub use order::{order, seed_of};
pub use run::{ComparedRun, RunFigures, Tried};
pub use told::{Counted, VariantFigures};
pub use trouble::Trouble;

use std::collections::BTreeMap;

use serde_json::Number;

use super::gates::{Figure, NoGate, rows_of};
use super::metrics::{Reading, Unit, Worse};
use super::{Conclusion, Judge, Verdict, conclusion};
use crate::event::{
    ComparisonEnd, ComparisonEnding, ComparisonStart, ComparisonVerdict, Decision, Gated, Policy, RunOf, WARM_UP,
};
use crate::figures::{NEEDED, Summary, paired};

/// A metric that a comparison can be about, by its name.
///
/// # Errors
/// There is no such metric, or its being more is neither better nor worse.
pub fn compared_metric(name: &str) -> Result<String, NoGate> {
    let figure = Figure::parse(name.trim())?;
    match figure.metric.worse {
        Worse::Neither => Err(format!(
            "{} is neither better nor worse for being more, so it decides nothing; choose one like operations_per_second or \
             service.p95",
            figure.name()
        )
        .into()),
        _ => Ok(figure.name()),
    }
}

/// The samples that a percentile is taken of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sampled {
    /// Operations of a run.
    Operations,
    /// Dials of a run.
    Dials,
}

/// What of a run the metric of that name is measured by, and how many it needs; none where it is no percentile.
#[must_use]
pub fn samples_of(metric: &str) -> Option<(Sampled, u64)> {
    let figure = Figure::parse(metric).ok()?;
    let name = &figure.metric.name;
    let (spread, needed) = NEEDED.iter().find_map(|(part, needed)| {
        let spread = name.strip_suffix(part)?.strip_suffix('.')?;
        Some((spread.rsplit(['.', ']']).next()?, *needed))
    })?;
    match spread {
        "dial" => Some((Sampled::Dials, needed)),
        "wait" | "service" => Some((Sampled::Operations, needed)),
        _ => None,
    }
}

/// The runs of a comparison, as far as they were seen.
#[derive(Clone, Debug)]
pub struct Comparison {
    start: ComparisonStart,
    /// What the verdict is about; none where this version does not know it.
    metric: Option<Figure>,
    /// What the gates are about, in the order of the start.
    figures: Vec<Option<Figure>>,
    runs: Vec<ComparedRun>,
    /// Where the run of a variant in a round stands among them.
    places: BTreeMap<(usize, u32), usize>,
}

impl Comparison {
    /// One that begins so.
    #[must_use]
    pub fn new(start: ComparisonStart) -> Self {
        let metric = Figure::parse(&start.metric).ok();
        let figures = start.figures.iter().map(|name| Figure::parse(name).ok()).collect();
        Self { start, metric, figures, runs: Vec::new(), places: BTreeMap::new() }
    }

    /// How it began.
    #[must_use]
    pub const fn start(&self) -> &ComparisonStart {
        &self.start
    }

    /// Its runs, in the order in which they were made.
    #[must_use]
    pub fn runs(&self) -> &[ComparedRun] {
        &self.runs
    }

    /// A run is over: its judge has seen all of it. The summary is that judge's, and so is the verdict, by the policy of a run
    /// of this comparison. A run of no variant is none of it.
    pub fn add(&mut self, run: RunOf<'_>, judge: &Judge, summary: &Summary, verdict: &Verdict) {
        let Some(variant) = self.place(run.variant) else { return };
        let wanted = rows_of(self.metric.iter().chain(self.figures.iter().flatten()));
        let Verdict { findings, proof, unjudged, .. } = verdict;
        let measured = judge.figures_of(summary, findings, None, *proof, unjudged, &wanted);
        let read = |figure: Option<&Figure>| match figure {
            Some(figure) => figure.read(&measured),
            None => Reading::None("this version knows no such metric".to_owned()),
        };
        let compared = read(self.metric.as_ref());
        let gated = self.figures.iter().map(|figure| read(figure.as_ref())).collect();
        self.places.entry((variant, run.round)).or_insert(self.runs.len());
        self.runs.push(ComparedRun::of((variant, run), judge, summary, verdict, (compared, gated)));
    }

    /// The place of that variant among all.
    fn place(&self, variant: &str) -> Option<usize> {
        self.start.variants.iter().position(|it| it.name == variant)
    }

    /// The place of the reference.
    #[must_use]
    pub fn reference(&self) -> Option<usize> {
        self.place(&self.start.reference)
    }

    /// The rounds that count: without the one that warms up, each with a run of every variant that no signal ended, and none
    /// in which all of it stopped.
    #[must_use]
    pub fn whole_rounds(&self, ending: &ComparisonEnding) -> Vec<u32> {
        let mut rounds: Vec<u32> = self.runs.iter().map(|run| run.round).filter(|round| *round != WARM_UP).collect();
        rounds.sort_unstable();
        rounds.dedup();
        let stopped = ending.stopped.as_ref().map(|stopped| stopped.round);
        let ran = |round: u32, variant: usize| self.run(variant, round).is_some_and(|run| !run.was_interrupted);
        rounds.retain(|round| {
            Some(*round) != stopped && (0..self.start.variants.len()).all(|variant| ran(*round, variant))
        });
        rounds
    }

    /// The variant's run in that round.
    #[must_use]
    pub fn run(&self, variant: usize, round: u32) -> Option<&ComparedRun> {
        self.runs.get(*self.places.get(&(variant, round))?)
    }

    /// What those of its rounds that count come to by that policy.
    #[must_use]
    pub fn comes_to(&self, rounds: &[u32], ending: &ComparisonEnding, policy: &Policy) -> ComparisonEnd {
        let verdicts = self.verdicts(rounds);
        let gates: Vec<Gated> = policy.gates.iter().map(|gate| self.gate(gate, rounds, &verdicts, policy)).collect();
        let undecided = policy.require_decision && verdicts.iter().any(|it| self.is_open(it, rounds));
        let fails = undecided || gates.iter().any(|gate| gate.failed);
        let is_empty = verdicts.iter().all(|it| it.rounds == 0);
        // How a run ends that the bound or a signal ends, the comparison says itself.
        let codes = self.runs.iter().filter(|run| !run.was_interrupted).map(|run| run.exit_code);
        let hung = self.hung_at_the_end().then_some(Conclusion::Failed.exit_code());
        let codes = codes.chain(hung);
        let ComparisonEnding { elapsed, interrupted, stopped } = ending.clone();
        ComparisonEnd {
            elapsed_us: elapsed,
            rounds: u32::try_from(rounds.len()).unwrap_or(u32::MAX),
            stopped,
            interrupted,
            verdicts,
            gates,
            judged_by: policy.clone(),
            exit_code: conclusion::of_comparison(codes, ending, is_empty, fails),
        }
    }

    fn verdicts(&self, rounds: &[u32]) -> Vec<ComparisonVerdict> {
        let Some(reference) = self.reference() else { return Vec::new() };
        let others = (0..self.start.variants.len()).filter(|variant| *variant != reference);
        others.map(|variant| self.verdict(variant, reference, rounds)).collect()
    }

    fn verdict(&self, variant: usize, reference: usize, rounds: &[u32]) -> ComparisonVerdict {
        // What a file says of more is not computed: it would take too long.
        let ratios = rounds.iter().take(paired::MOST_ROUNDS as usize);
        let ratios: Vec<f64> = ratios.map(|round| self.log_ratio(variant, reference, *round)).collect();
        let comparisons = u32::try_from(self.start.variants.len().saturating_sub(1)).unwrap_or(u32::MAX).max(1);
        let shown = paired::compare(&ratios, comparisons, self.start.noise);
        let less_is_worse = self.metric.as_ref().is_some_and(|figure| figure.metric.worse == Worse::Less);
        let (decision, could_show, more_rounds) = match shown.decision {
            paired::Decision::Different if (shown.ratio > Some(1.0)) == less_is_worse => {
                (Decision::DifferentBetter, None, None)
            }
            paired::Decision::Different => (Decision::DifferentWorse, None, None),
            paired::Decision::Same => (Decision::Same, None, None),
            paired::Decision::CannotTell { could_show, more_rounds } => (Decision::CannotTell, could_show, more_rounds),
        };
        // Infinity is no bound.
        let bound = |of: fn((f64, f64)) -> f64| shown.interval.map(of).and_then(rounded);
        ComparisonVerdict {
            variant: self.start.variants[variant].name.clone(),
            decision,
            rounds: u32::try_from(shown.rounds).unwrap_or(u32::MAX),
            ratio: shown.ratio.and_then(rounded),
            low: bound(|(low, _)| low),
            high: bound(|(_, high)| high),
            level: rounded(1.0 - 0.01 / f64::from(comparisons)).unwrap_or_else(|| 0.into()),
            could_show: could_show.and_then(rounded),
            more_rounds,
        }
    }

    /// Whether more rounds may decide what these do not tell: not where both did the same, so that there is nothing to decide.
    #[must_use]
    pub fn is_open(&self, verdict: &ComparisonVerdict, rounds: &[u32]) -> bool {
        verdict.decision == Decision::CannotTell && !self.did_the_same(&verdict.variant, rounds)
    }

    /// Whether that variant and the reference were asked for the same but for their modes, and both did all of it on one
    /// connection, in each round: by the rules there is no difference then.
    #[must_use]
    pub fn did_the_same(&self, variant: &str, rounds: &[u32]) -> bool {
        let (Some(one), Some(other)) = (self.place(variant), self.reference()) else { return false };
        let on_one = |variant, round| {
            let run = self.run(variant, round)?;
            let is_one = run.figures.connections.opened == 1 && run.figures.failures == 0;
            is_one.then_some((run.figures.connections.peak, run.figures.sign_ins))
        };
        let are_alike = |round: &u32| on_one(one, *round).is_some_and(|it| Some(it) == on_one(other, *round));
        let asked = |variant: usize| behind_the_mode(&self.start.variants[variant].arguments);
        asked(one) == asked(other) && !rounds.is_empty() && rounds.iter().all(are_alike)
    }

    /// Whether main was that one connection, of both.
    #[must_use]
    pub fn was_all_on_main(&self, variant: &str, rounds: &[u32]) -> bool {
        let those = [self.place(variant), self.reference()];
        let opened =
            |variant: usize, round: u32| self.run(variant, round).is_some_and(|it| it.figures.connections.main_opened);
        rounds.iter().all(|round| those.iter().all(|it| it.is_some_and(|variant| opened(variant, *round))))
    }

    /// How many times the reference's figure the variant's is in that round; no number where one of them has none, or where
    /// neither did anything.
    fn log_ratio(&self, variant: usize, reference: usize, round: u32) -> f64 {
        let figure = |variant| self.run(variant, round)?.compared()?.as_f64();
        let (Some(its), Some(other)) = (figure(variant), figure(reference)) else { return f64::NAN };
        let is_rate = self.metric.as_ref().is_some_and(|figure| figure.metric.unit == Unit::Rate);
        if its == other && !is_rate { 0.0 } else { (its / other).ln() }
    }

    /// Why the rounds have no figure to compare, if one has none.
    #[must_use]
    pub fn unmeasured(&self, variant: usize, rounds: &[u32]) -> Option<&str> {
        rounds.iter().filter_map(|round| self.run(variant, *round)).find_map(|run| match &run.compared {
            Reading::None(why) => Some(&**why),
            Reading::Is(_) => None,
        })
    }
}

/// What is asked for besides the mode, which comes first.
fn behind_the_mode(arguments: &str) -> &str {
    match arguments.split_once(char::is_whitespace) {
        Some((mode, rest)) if !mode.starts_with('-') => rest.trim(),
        None if !arguments.starts_with('-') => "",
        _ => arguments,
    }
}

/// In millionths; none of what no number is.
fn rounded(value: f64) -> Option<Number> {
    Number::from_f64((value * 1e6).round() / 1e6)
}
