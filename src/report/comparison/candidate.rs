//! A variant that may be chosen: what speaks against it, and which of several is the best.

use std::cmp::Ordering;

use serde_json::Number;

use super::{ratio, round};
use crate::allocator::Mode;
use crate::event::{ComparisonVerdict, Decision, Severity, WARM_UP};
use crate::judge::{ALL, ComparedRun, Counted, Tried, Trouble, VariantFigures};
use crate::report::model::ComparisonReport;
use crate::report::words::{many, printable};

/// A variant that may be chosen.
pub(super) struct Candidate<'a> {
    pub(super) name: String,
    pub(super) is_reference: bool,
    figures: VariantFigures,
    verdict: Option<&'a ComparisonVerdict>,
    pub(super) did_the_same: bool,
    /// What speaks against it, however fast it is.
    pub(super) flaw: Option<String>,
    /// What is to be known of it besides.
    pub(super) notes: Vec<String>,
    /// What failed of it by chance, as far as can be told: it may be chosen all the same, but not unwarned.
    pub(super) by_chance: Option<Tried>,
    /// What is wrong with how it uses its connections, in the words of the findings.
    pub(super) hazards: Vec<String>,
    /// It ran to its end: in a round that counts, or where there is none in any, without trouble.
    pub(super) ran: bool,
    pub(super) mode: Mode,
}

impl<'a> Candidate<'a> {
    pub(super) fn all(report: &'a ComparisonReport) -> Vec<Self> {
        let ComparisonReport { comparison, rounds, end, .. } = report;
        let start = comparison.start();
        let candidate = |at: usize| {
            let variant = &start.variants[at].name;
            let name = printable(variant);
            let its: Vec<(usize, &ComparedRun)> =
                comparison.runs().iter().enumerate().filter(|(_, run)| run.variant == at).collect();
            let is_whole = |run: &ComparedRun| !run.is_interrupted() && run.trouble().is_none();
            let whole = || its.iter().filter(|(_, run)| is_whole(run)).map(|(_, run)| run.round).collect();
            let counted = if rounds.is_empty() { whole() } else { rounds.clone() };
            let by_chance = comparison.fails_by_chance(at, rounds);
            let (flaw, notes) = told(report, &name, &its, by_chance);
            let tried = comparison.tried(Some(at), rounds);
            Candidate {
                is_reference: *variant == start.reference,
                figures: comparison.figures_of(at, &counted),
                verdict: end.verdicts.iter().find(|it| it.variant == *variant),
                did_the_same: comparison.did_the_same(variant, rounds),
                ran: !counted.is_empty(),
                mode: its.first().map_or(Mode::UseMain, |(_, run)| run.mode),
                hazards: if flaw.is_some() { Vec::new() } else { hazards(&name, &its) },
                by_chance: (by_chance && flaw.is_none() && tried.failed > 0).then_some(tried),
                flaw,
                notes,
                name,
            }
        };
        (0..start.variants.len()).map(candidate).collect()
    }

    /// Its verdict, if it can be one of its own.
    pub(super) fn verdict(&self) -> Option<&'a ComparisonVerdict> {
        self.verdict
    }

    pub(super) fn decision(&self) -> Decision {
        match self.verdict {
            Some(it) if !self.did_the_same => it.decision,
            _ => Decision::Same,
        }
    }

    /// What it is like beside the chosen one, and what it opens.
    pub(super) fn beside(&self, reference: &str) -> String {
        let opens = format!("opens {}", self.connections());
        let ratio = self.verdict.filter(|it| it.ratio.is_some()).map(ratio);
        let shown = ratio.as_ref().map(|ratio| format!(" ({ratio})")).unwrap_or_default();
        let name = &self.name;
        if self.is_reference {
            return format!("{name} {opens}");
        }
        if self.did_the_same {
            // What differs for certain is told: it is chance, or the server.
            let is_told = |it: &&ComparisonVerdict| !matches!(it.decision, Decision::Same | Decision::CannotTell);
            let though = self.verdict.filter(is_told).map(|_| format!(", though it had another figure{shown},"));
            return format!("{name} does the same as {reference}{} and {opens}", though.unwrap_or_default());
        }
        match self.decision() {
            Decision::DifferentBetter => format!("{name} is better{shown} and {opens}"),
            Decision::DifferentWorse => format!("{name} is worse{shown} and {opens}"),
            Decision::Same => format!("{name} is as good{shown} and {opens}"),
            Decision::CannotTell => match ratio {
                Some(ratio) => format!("{name} had {ratio} and {opens}"),
                None => format!("{name} {opens}"),
            },
        }
    }

    pub(super) fn peak(&self) -> u64 {
        self.figures.peak().map_or(u64::MAX, Counted::most)
    }

    /// How many it opens, and how many at once.
    pub(super) fn connections(&self) -> String {
        let opened = self.figures.opened().map_or(0, Counted::most);
        match self.peak() {
            1 if opened == 1 => "one connection".to_owned(),
            peak if peak == opened => many(peak, "connection"),
            peak => format!("{} ({} at once)", many(opened, "connection"), peak),
        }
    }

    /// What part of a run's time it connected.
    pub(super) const fn connecting(&self) -> Option<f64> {
        self.figures.connecting
    }

    fn bounds(&self) -> (f64, f64) {
        match self.verdict {
            None => (1.0, 1.0),
            Some(it) if it.low.is_none() && it.decision == Decision::CannotTell => (0.0, f64::INFINITY),
            Some(it) => (value(it.low.as_ref()), value(it.high.as_ref())),
        }
    }

    /// How far it is from the reference. Better is more for some metrics and less for others.
    fn far(&self) -> f64 {
        self.verdict.map_or(0.0, |it| value(it.ratio.as_ref()).ln().abs())
    }
}

/// What speaks against a variant by its runs, and what is to be known of it besides: what it suffered for others, and what
/// failed in the warm-up alone, which counts for nothing. What failed by chance is neither.
fn told(
    report: &ComparisonReport,
    name: &str,
    its: &[(usize, &ComparedRun)],
    by_chance: bool,
) -> (Option<String>, Vec<String>) {
    let comparison = &report.comparison;
    let met = its.iter().filter_map(|(at, run)| Some((comparison.trouble(*at)?, *run)));
    // The server, or something on the way, may have held up whichever run was on then.
    let is_chance = |(trouble, _): &(Trouble, &ComparedRun)| *trouble == Trouble::Hung && !report.rounds.is_empty();
    let (cut, met): (Vec<_>, Vec<_>) = met.partition(is_chance);
    let counts = |run: &ComparedRun| report.rounds.is_empty() || run.round != WARM_UP;
    let is_chance =
        |(trouble, run): &(Trouble, &ComparedRun)| by_chance && *trouble == Trouble::Failures && counts(run);
    let (chance, met): (Vec<_>, Vec<_>) = met.into_iter().partition(is_chance);
    let met = met.into_iter();
    let (warm_up, rounds): (Vec<_>, Vec<_>) = met.partition(|(_, run)| run.round == WARM_UP);
    let fails = |(trouble, _): &(Trouble, &ComparedRun)| *trouble == Trouble::Failures;
    let is_slight = !report.rounds.is_empty() && !rounds.iter().any(fails);
    let (slight, warm_up): (Vec<_>, Vec<_>) = warm_up.into_iter().partition(|met| is_slight && fails(met));
    let met = [warm_up, rounds].concat();
    let worst = met.iter().map(|(trouble, _)| *trouble).min();
    let runs =
        |worst: Trouble| met.iter().filter(|(trouble, _)| *trouble == worst).map(|(_, run)| *run).collect::<Vec<_>>();
    let flaw = worst.map(|worst| words(worst, &runs(worst), its.len()));
    // Of as few in the warm-up nothing is said besides.
    let failed = slight
        .iter()
        .filter(|_| chance.is_empty())
        .map(|(_, run)| format!("{name} had {}", failures(&[*run], its.len())));
    let suffered = its.iter().filter_map(|(at, run)| Some((comparison.suffered(*at)?, *run)));
    let suffered = suffered.filter_map(|(trouble, run)| for_others(report, name, trouble, run));
    let cut = cut.iter().map(|(_, run)| format!("{name} was {HELD_UP} in {}", round(run.round)));
    (flaw, failed.chain(suffered).chain(cut).collect())
}

/// What was found in its runs that is its own doing, however fast it is: it may be chosen all the same, but not unwarned.
fn hazards(name: &str, its: &[(usize, &ComparedRun)]) -> Vec<String> {
    let is_its_fault = |severity| matches!(severity, Severity::Hazard | Severity::Leak | Severity::Fault);
    let found = |id: &str| its.iter().filter(|(_, run)| run.figures.findings.contains_key(id)).count();
    let told = ALL.iter().filter(|spec| is_its_fault(spec.severity));
    told.filter_map(|spec| {
        let title = spec.article.title;
        let runs = match found(spec.id) {
            0 => return None,
            some if some == its.len() => "in each of its runs".to_owned(),
            some => format!("in {some} of its {} runs", its.len()),
        };
        Some(format!("Mind {} of {name} {runs}: {title}", spec.id))
    })
    .collect()
}

/// It hung, or the server answered late.
const HELD_UP: &str = "cut after more than twice the time that it took before";

fn words(worst: Trouble, runs: &[&ComparedRun], all: usize) -> String {
    let first = runs.first().map_or(WARM_UP, |run| run.round);
    let of = |what: &str| match runs.len() {
        1 => format!("{what} in {}", round(first)),
        some => format!("{what} in {some} of its {all} runs"),
    };
    match worst {
        Trouble::Broken => of("an invariant of ours was broken"),
        Trouble::OtherMailbox => of("replies came from the wrong mailbox"),
        Trouble::SignInRefused => of("its sign-in was refused"),
        Trouble::Locked => of("another connection had the maildrop locked"),
        Trouble::Connections => of("it met the server's limit on connections"),
        Trouble::Throttled => of("the server throttled it"),
        Trouble::Failures => failures(runs, all),
        Trouble::Hung => of(&format!("it was {HELD_UP}")),
    }
}

/// `4 failures in the warm-up`, `12 failures in 3 of its 13 runs`.
fn failures(runs: &[&ComparedRun], all: usize) -> String {
    let failed = many(runs.iter().map(|run| run.figures.failures).sum(), "failure");
    match runs {
        [run] => format!("{failed} in {}", round(run.round)),
        runs => format!("{failed} in {} of its {all} runs", runs.len()),
    }
}

/// What a run suffered that was not its variant's own doing; none where that ended all, which is said of all.
fn for_others(report: &ComparisonReport, name: &str, trouble: Trouble, run: &ComparedRun) -> Option<String> {
    let pace = longer(report.comparison.start().pace_us.0);
    let at = round(run.round);
    match trouble {
        Trouble::Throttled => {
            return Some(format!(
                "In {at} the server throttled {name}, for what all runs together asked: ask less often (--pace {pace})"
            ));
        }
        Trouble::Connections => {}
        _ => return None,
    }
    let within = match run.figures.stated_limit {
        Some(stated) => format!("within the limit of {stated} that it names"),
        None => "though it gave as many before".to_owned(),
    };
    Some(format!(
        "In {at} the server refused {name} a connection, {within}: it may still have counted those of the run before, or those of \
         other clients; a longer rest tells (--pace {pace})"
    ))
}

/// A longer rest, for people.
fn longer(pace: u64) -> String {
    format!("{}s", (pace * 2).div_ceil(1_000_000).max(10))
}

/// What no number can say is infinite: the reference's figure is 0.
fn value(of: Option<&Number>) -> f64 {
    of.and_then(Number::as_f64).unwrap_or(f64::INFINITY)
}

/// Whether their intervals do.
pub(super) fn overlap(one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    let ((low, high), (its_low, its_high)) = (one.bounds(), other.bounds());
    its_low <= high && low <= its_high
}

/// The best one; of those that are as good the one with the fewest connections.
pub(super) fn choose<'a, 'b>(sound: &[&'a Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let by_distance =
        |one: &&&Candidate<'_>, other: &&&Candidate<'_>| -> Ordering { one.far().total_cmp(&other.far()) };
    let better: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.decision() == Decision::DifferentBetter).collect();
    if better.is_empty() {
        // What cannot be told speaks against none.
        let not_worse = sound.iter().filter(|it| it.decision() != Decision::DifferentWorse);
        return not_worse.min_by_key(|it| it.peak()).or_else(|| sound.iter().min_by(by_distance)).copied();
    }
    let best = better.iter().max_by(|one, other| by_distance(one, other))?;
    better.iter().filter(|it| overlap(best, it)).min_by_key(|it| it.peak()).map(|it| **it)
}

/// Where nothing was compared because of what speaks against a variant: of the others the one with the fewest connections.
pub(super) fn left_over<'a, 'b>(all: &'a [Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let is_one_out = all.iter().any(|it| it.flaw.is_some() || !it.notes.is_empty());
    let fit = all.iter().filter(|it| is_one_out && it.ran && it.flaw.is_none());
    fit.min_by_key(|it| it.peak())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(of: f64) -> Option<Number> {
        Number::from_f64(of)
    }

    fn verdict(decision: Decision, [low, ratio, high]: [f64; 3]) -> ComparisonVerdict {
        ComparisonVerdict {
            variant: String::new(),
            decision,
            rounds: 12,
            ratio: number(ratio),
            low: number(low),
            high: number(high),
            level: 1.into(),
            could_show: None,
            more_rounds: None,
        }
    }

    fn candidate<'a>(name: &str, peak: u64, verdict: Option<&'a ComparisonVerdict>) -> Candidate<'a> {
        let count = |usual| Counted { what: "", usual, others: Vec::new() };
        let counts = Some([count(peak), count(peak), count(peak), count(0), count(0)]);
        Candidate {
            name: name.to_owned(),
            is_reference: verdict.is_none(),
            figures: VariantFigures { counts, ..VariantFigures::default() },
            verdict,
            did_the_same: false,
            flaw: None,
            notes: Vec::new(),
            by_chance: None,
            hazards: Vec::new(),
            ran: true,
            mode: Mode::UseDefault,
        }
    }

    /// The reference opens one connection.
    #[test]
    fn what_is_better_for_certain_is_chosen_and_of_as_good_ones_the_cheapest() {
        use Decision::{CannotTell, DifferentBetter, DifferentWorse, Same};
        let better = (8, DifferentBetter, [2.4, 2.57, 2.8]);
        for (others, chosen) in [
            (vec![better], "0"),
            (vec![better, (1, CannotTell, [0.5, 1.0, 1.9])], "0"),
            (vec![(1, CannotTell, [0.9, 1.2, 2.6]), better], "1"),
            (vec![better, (4, DifferentBetter, [2.3, 2.5, 2.6])], "1"),
            (vec![better, (4, DifferentBetter, [1.3, 1.5, 1.6])], "0"),
            (vec![better, (1, Same, [0.99, 1.0, 1.01]), (2, DifferentWorse, [0.1, 0.2, 0.3])], "0"),
            (vec![(8, CannotTell, [0.9, 1.3, 1.7])], "reference"),
            (vec![(8, DifferentWorse, [0.2, 0.3, 0.4])], "reference"),
        ] {
            let verdicts: Vec<ComparisonVerdict> = others.iter().map(|(_, is, of)| verdict(*is, *of)).collect();
            let mut all = vec![candidate("reference", 1, None)];
            let each = others.iter().zip(&verdicts).enumerate();
            all.extend(each.map(|(at, ((peak, ..), verdict))| candidate(&at.to_string(), *peak, Some(verdict))));
            let sound: Vec<&Candidate<'_>> = all.iter().collect();
            assert_eq!(choose(&sound).map(|it| &*it.name), Some(chosen), "{others:?}");
        }
    }
}
