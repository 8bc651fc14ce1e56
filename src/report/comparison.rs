//! What a comparison says, in sentences: which variant to choose and at what cost, and each verdict.

use serde_json::Number;

use super::model::ComparisonReport;
use super::words::{many, printable, signal};
use crate::event::{ComparisonEnd, ComparisonVerdict, Decision, Stopped, Variant, WARM_UP, WhyStopped};
use crate::figures::paired;
use crate::judge::{Comparison, Conclusion, Counted, VariantFigures, failed_gates};

/// What the verdict is about, where nobody chose another metric.
const USUAL: &str = "operations_per_second";

/// Why it came to its exit code.
pub(super) fn reason(comparison: &Comparison, end: &ComparisonEnd) -> String {
    let start = comparison.start();
    if let Some(number) = end.interrupted {
        return format!("interrupted by {}", signal(number));
    }
    let mut failed = comparison.runs().iter().filter(|run| run.exit_code == end.exit_code);
    if let (Some(run), true) =
        (failed.next(), end.exit_code != 0 && end.exit_code != Conclusion::GateFailed.exit_code())
    {
        let name = start.variants.get(run.variant).map_or("", |it| &it.name);
        let because = printable(run.because.as_deref().unwrap_or_default());
        let more = match failed.count() {
            0 => String::new(),
            1 => ", and so did 1 more run".to_owned(),
            more => format!(", and so did {more} more runs"),
        };
        return format!("{name} in {} came to exit {}: {because}{more}", round(run.round), run.exit_code);
    }
    if let Some(stopped) = end.stopped.as_ref().filter(|_| ![0, 3].contains(&end.exit_code)) {
        return why_stopped(stopped);
    }
    let undecided = end.judged_by.require_decision.then(|| undecided_names(end)).filter(|names| !names.is_empty());
    let undecided =
        undecided.map(|names| format!("these rounds do not tell of {} (--require-decision)", names.join(", ")));
    let parts: Vec<String> = failed_gates(&end.gates).into_iter().chain(undecided).collect();
    if parts.is_empty() { "every run held".to_owned() } else { parts.join("; ") }
}

fn undecided_names(end: &ComparisonEnd) -> Vec<String> {
    let undecided = end.verdicts.iter().filter(|it| it.decision == Decision::CannotTell);
    undecided.map(|it| printable(&it.variant)).collect()
}

/// What it could not tell, a line for each variant.
pub(super) fn undecided(report: &ComparisonReport) -> Vec<String> {
    let undecided = report.end.verdicts.iter().filter(|it| it.decision == Decision::CannotTell);
    undecided.map(|it| format!("CANNOT TELL: {}", verdict(report, it))).collect()
}

fn round(round: u32) -> String {
    if round == WARM_UP { "the warm-up".to_owned() } else { format!("round {round}") }
}

/// Why it ended early.
pub(super) fn why_stopped(stopped: &Stopped) -> String {
    let at = match &stopped.variant {
        Some(variant) => format!(", in {} of {}", round(stopped.round), printable(variant)),
        None => format!(", before {} was over", round(stopped.round)),
    };
    let why = match stopped.why {
        WhyStopped::Limit => "the server's limit was met",
        WhyStopped::SignIn => "a sign-in was refused",
        WhyStopped::Time => "the time for all of it was over",
        WhyStopped::Signal => "it was interrupted",
        WhyStopped::Failed => "a run could not be done",
    };
    format!("{why}{at}")
}

/// `3.09x`, `0.97x`: three digits.
pub(super) fn times(ratio: &Number) -> String {
    let ratio = ratio.as_f64().unwrap_or_default();
    format!("{}x", digits(ratio))
}

fn digits(value: f64) -> String {
    match value {
        big if big >= 99.95 => format!("{big:.0}"),
        ten if ten >= 9.995 => format!("{ten:.1}"),
        one if one >= 0.0995 => format!("{one:.2}"),
        small => format!("{small:.4}"),
    }
}

/// `[2.94, 3.31]`; a side without a bound is open.
pub(super) fn interval(of: &ComparisonVerdict) -> Option<String> {
    let bound =
        |it: &Option<Number>, open: &str| it.as_ref().and_then(Number::as_f64).map_or_else(|| open.to_owned(), digits);
    let level = of.level.as_f64().unwrap_or_default();
    let comparisons = (0.01 / (1.0 - level)).round().max(1.0) as u32;
    let enough = of.rounds >= paired::fewest_rounds(comparisons);
    enough.then(|| format!("[{}, {}]", bound(&of.low, "0"), bound(&of.high, "any")))
}

/// `3 %`, `0.5 %`.
pub(super) fn percent(part: f64) -> String {
    let percent = part * 100.0;
    match percent {
        whole if (whole - whole.round()).abs() < 0.005 || whole >= 9.95 => format!("{whole:.0} %"),
        less => format!("{less:.1} %"),
    }
}

/// A difference: in per cent, or where it is big how many times as much it is.
fn difference(part: f64) -> String {
    if part < 1.0 { percent(part) } else { format!("{}x", digits(1.0 + part)) }
}

fn ratio(of: &ComparisonVerdict) -> String {
    let ratio = of.ratio.as_ref().map_or_else(|| "no ratio".to_owned(), times);
    interval(of).map_or(ratio.clone(), |interval| format!("{ratio} {interval}"))
}

/// What the metric is called in a sentence.
fn subject(report: &ComparisonReport) -> String {
    let metric = &report.comparison.start().metric;
    if metric == USUAL { "the operations a second".to_owned() } else { format!("the {}", printable(metric)) }
}

/// A verdict in a sentence.
pub(super) fn verdict(report: &ComparisonReport, of: &ComparisonVerdict) -> String {
    let start = report.comparison.start();
    let (name, reference, noise) = (printable(&of.variant), printable(&start.reference), percent(start.noise));
    let said = format!("{name} has {} {} of {reference}", ratio(of), subject(report));
    match of.decision {
        Decision::DifferentBetter => format!("{said}: better, by more than the noise of {noise}"),
        Decision::DifferentWorse => format!("{said}: worse, by more than the noise of {noise}"),
        Decision::Same => format!("{said}: the same, within the noise of {noise}"),
        Decision::CannotTell if of.ratio.is_none() => {
            let variants = &start.variants;
            let place = |name: &str| variants.iter().position(|it| it.name == name);
            let rounds = report.comparison.whole_rounds(&report.end.ending());
            let why = [place(&of.variant), place(&start.reference)]
                .into_iter()
                .flatten()
                .find_map(|variant| report.comparison.unmeasured(variant, &rounds));
            let why = why.map_or_else(|| "there was no round to compare".to_owned(), printable);
            format!("{name} cannot be compared with {reference}: {why}")
        }
        Decision::CannotTell if interval(of).is_none() => {
            format!("{said} in {}: too few to tell anything from chance", many(u64::from(of.rounds), "round"))
        }
        Decision::CannotTell => {
            let shows = of.could_show.as_ref().and_then(Number::as_f64).map(|part| {
                format!(
                    "; {} with such a spread can show a difference of {}",
                    many(u64::from(of.rounds), "round"),
                    difference(part)
                )
            });
            let more = match of.more_rounds {
                Some(more) => {
                    let all = report.end.rounds.saturating_add(more);
                    format!("; about {} would decide it (--rounds {all})", many(u64::from(more), "more round"))
                }
                None => format!(
                    "; even {} rounds would hardly decide it: longer runs may, or a wider --noise",
                    paired::MOST_ROUNDS
                ),
            };
            format!("{said}: that cannot be told from the noise of {noise}{}{more}", shows.unwrap_or_default())
        }
    }
}

/// A variant that may be chosen.
struct Candidate<'a> {
    name: String,
    is_reference: bool,
    figures: VariantFigures,
    verdict: Option<&'a ComparisonVerdict>,
    was_limited: bool,
}

impl Candidate<'_> {
    /// What speaks against it, however fast it is.
    fn flaw(&self) -> Option<String> {
        let [.., wrong, failed] = self.figures.counts.as_ref()?;
        if wrong.most() > 0 {
            Some("replies came from the wrong mailbox".to_owned())
        } else if self.was_limited {
            Some("it met the server's limit".to_owned())
        } else if failed.most() > 0 {
            Some(format!("{} in a round", many(failed.most(), "failure")))
        } else {
            None
        }
    }

    fn decision(&self) -> Decision {
        self.verdict.map_or(Decision::Same, |it| it.decision)
    }

    fn peak(&self) -> u64 {
        self.figures.peak().map_or(u64::MAX, Counted::most)
    }

    fn bounds(&self) -> (f64, f64) {
        let bound = |it: Option<&Number>, open: f64| it.and_then(Number::as_f64).unwrap_or(open);
        match self.verdict {
            None => (1.0, 1.0),
            Some(it) => (bound(it.low.as_ref(), 0.0), bound(it.high.as_ref(), f64::INFINITY)),
        }
    }
}

/// What to choose, why, and at what cost.
pub(super) fn choice(report: &ComparisonReport) -> String {
    let ComparisonReport { comparison, end, .. } = report;
    let start = comparison.start();
    let rounds = comparison.whole_rounds(&end.ending());
    let limit = limit(comparison);
    if rounds.is_empty() {
        let why = end.stopped.as_ref().map(|stopped| format!("{}, and ", why_stopped(stopped))).unwrap_or_default();
        return format!("No choice: {why}there was no round in which every variant ran to its end{limit}");
    }
    let candidate = |(at, variant): (usize, &'_ Variant)| Candidate {
        name: printable(&variant.name),
        is_reference: variant.name == start.reference,
        figures: comparison.figures_of(at, &rounds),
        verdict: end.verdicts.iter().find(|it| it.variant == variant.name),
        was_limited: comparison.runs().iter().any(|run| run.variant == at && run.is_limited()),
    };
    let all: Vec<Candidate<'_>> = start.variants.iter().enumerate().map(candidate).collect();
    let sound: Vec<&Candidate<'_>> = all.iter().filter(|it| it.flaw().is_none()).collect();
    let flawed = all.iter().filter_map(|it| Some(format!("not {}: {}", it.name, it.flaw()?)));
    let flawed: Vec<String> = flawed.collect();
    match choose(&sound) {
        Some(chosen) => {
            let behind: String = flawed.iter().map(|it| format!("; {it}")).collect();
            format!("{}{limit}{behind}", why(report, chosen, &sound))
        }
        None => format!("No choice: {}{limit}", flawed.join("; ")),
    }
}

/// The best one; of those that are as good the one with the fewest connections.
fn choose<'a, 'b>(sound: &[&'a Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let better: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.decision() == Decision::DifferentBetter).collect();
    if better.is_empty() {
        // What cannot be told speaks against none.
        let not_worse = sound.iter().filter(|it| it.decision() != Decision::DifferentWorse);
        return not_worse.min_by_key(|it| it.peak()).or_else(|| sound.first()).copied();
    }
    // Better is more for some metrics and less for others: the farthest from 1 is the best.
    let far = |it: &Candidate<'_>| {
        let ratio = it.verdict.and_then(|it| it.ratio.as_ref()).and_then(Number::as_f64).unwrap_or(1.0);
        ratio.ln().abs()
    };
    let best = better.iter().max_by(|one, other| far(one).total_cmp(&far(other)))?;
    better.iter().filter(|it| overlap(best, it)).min_by_key(|it| it.peak()).map(|it| **it)
}

/// Why it is chosen, and what it costs.
fn why(report: &ComparisonReport, chosen: &Candidate<'_>, sound: &[&Candidate<'_>]) -> String {
    let start = report.comparison.start();
    let name = &chosen.name;
    let reference = printable(&start.reference);
    let others: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.name != chosen.name).collect();
    let costs = |it: &&Candidate<'_>| format!("; {} opens {}", it.name, connections(it));
    let untold = |it: &&&&Candidate<'_>| it.decision() == Decision::CannotTell;
    let better = if start.metric == USUAL { "faster" } else { "better" };
    if chosen.decision() == Decision::DifferentBetter {
        let verdict = chosen.verdict.map(ratio).unwrap_or_default();
        let is = match start.metric == USUAL {
            true => format!("it is {verdict} as fast as {reference} here"),
            false => format!("it has {verdict} {} of {reference} here", subject(report)),
        };
        let of_reference = others.iter().filter(|it| it.is_reference).map(|it| costs(it)).collect::<String>();
        let near = others
            .iter()
            .filter(untold)
            .filter(|it| overlap(chosen, it))
            .map(|it| format!("; whether {} is as good these rounds do not tell", it.name));
        let near: String = near.collect();
        return format!("Choose {name}: {is} and opens {}{of_reference}{near}", connections(chosen));
    }
    let costs: String = others.iter().map(|it| costs(it)).collect();
    if others.is_empty() {
        return format!("Choose {name}, which opens {}", connections(chosen));
    }
    let is_told = !others.iter().any(|it| untold(&it)) && chosen.decision() != Decision::CannotTell;
    match is_told {
        true => format!("Choose {name}: none is {better} here, and it opens {}{costs}", connections(chosen)),
        false => format!(
            "These rounds do not tell which is {better} here. Until some do, choose {name}, which opens {}{costs}",
            connections(chosen)
        ),
    }
}

/// Whether their intervals do.
fn overlap(one: &Candidate<'_>, other: &Candidate<'_>) -> bool {
    let ((low, high), (its_low, its_high)) = (one.bounds(), other.bounds());
    its_low <= high && low <= its_high
}

fn connections(it: &Candidate<'_>) -> String {
    let opened = it.figures.opened().map_or(0, Counted::most);
    match it.peak() {
        1 if opened == 1 => "one connection".to_owned(),
        peak if peak == opened => many(peak, "connection"),
        peak => format!("{} ({} at once)", many(opened, "connection"), peak),
    }
}

/// The server's limit, where it was met.
fn limit(comparison: &Comparison) -> String {
    let ordinal = |number: usize| {
        let ending = match (number % 10, number % 100) {
            (1, it) if it != 11 => "st",
            (2, it) if it != 12 => "nd",
            (3, it) if it != 13 => "rd",
            _ => "th",
        };
        format!("{number}{ending}")
    };
    let refused =
        comparison.refused_at().map(|number| format!("; this server was seen to refuse the {}", ordinal(number)));
    refused.unwrap_or_default()
}
