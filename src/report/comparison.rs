//! What a comparison says, in sentences: which variant to choose and at what cost, and each verdict.

use serde_json::Number;

use super::known;
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
    if ![0, 3].contains(&end.exit_code) {
        let unmeasured = || {
            let rounds = comparison.whole_rounds(&end.ending());
            let mut variants = 0..start.variants.len();
            variants.find_map(|at| comparison.unmeasured(at, &rounds)).map(printable)
        };
        let why = end.stopped.as_ref().map(why_stopped).or_else(unmeasured);
        let why = why.unwrap_or_else(|| "there was no whole round".to_owned());
        return if end.verdicts.iter().all(|it| it.rounds == 0) { format!("nothing was compared: {why}") } else { why };
    }
    let undecided = end.judged_by.require_decision.then(|| open(comparison, end)).filter(|names| !names.is_empty());
    let undecided =
        undecided.map(|names| format!("these rounds do not tell of {} (--require-decision)", names.join(", ")));
    let parts: Vec<String> = failed_gates(&end.gates).into_iter().chain(undecided).collect();
    if parts.is_empty() { "every run held".to_owned() } else { parts.join("; ") }
}

/// Those of which more rounds may tell.
fn open(comparison: &Comparison, end: &ComparisonEnd) -> Vec<String> {
    let rounds = comparison.whole_rounds(&end.ending());
    let open = end.verdicts.iter().filter(|it| comparison.is_open(it, &rounds));
    open.map(|it| printable(&it.variant)).collect()
}

/// What it could not tell, a line for each variant.
pub(super) fn undecided(report: &ComparisonReport) -> Vec<String> {
    let ComparisonReport { comparison, end, .. } = report;
    let rounds = comparison.whole_rounds(&end.ending());
    let reference = printable(&comparison.start().reference);
    // Of one that did the same nobody asks, unless a gate may.
    let is_asked = |it: &&ComparisonVerdict| comparison.is_open(it, &rounds) || !end.gates.is_empty();
    let undecided = end.verdicts.iter().filter(|it| it.decision == Decision::CannotTell).filter(is_asked);
    let line = |it: &ComparisonVerdict| match it.ratio {
        // The report has the rest.
        Some(_) => {
            let (name, subject) = (printable(&it.variant), subject(report));
            format!("CANNOT TELL: {name} has {} {subject} of {reference}", ratio(it))
        }
        None => format!("CANNOT TELL: {}", verdict(report, it)),
    };
    undecided.map(line).collect()
}

pub(super) fn round(round: u32) -> String {
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
        WhyStopped::Time if stopped.variant.is_none() => {
            return format!(
                "no time was left for {}, which may take as long as the longest before it (--for)",
                round(stopped.round)
            );
        }
        WhyStopped::Time => "the time for all of it was over (--for)",
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
        0.0 => "0".to_owned(),
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
    (enough && of.ratio.is_some()).then(|| format!("[{}, {}]", bound(&of.low, "0"), bound(&of.high, "any")))
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
    let rounds = report.comparison.whole_rounds(&report.end.ending());
    if !report.comparison.did_the_same(&of.variant, &rounds) {
        return apart(report, of);
    }
    let told = match of.decision {
        Decision::CannotTell => "no more rounds would show any",
        _ => "what these rounds show of one is not its own",
    };
    format!(
        "{} has {} {} of {reference}, and there is no difference: it did the same as {reference} in every round (all operations \
         on #0); {told}",
        printable(&of.variant),
        ratio(of),
        subject(report),
        reference = printable(&report.comparison.start().reference),
    )
}

/// That of a variant that did something else than the reference.
fn apart(report: &ComparisonReport, of: &ComparisonVerdict) -> String {
    let start = report.comparison.start();
    let (name, reference, noise) = (printable(&of.variant), printable(&start.reference), percent(start.noise));
    let said = format!("{name} has {} {} of {reference}", ratio(of), subject(report));
    let far = |than: &str| {
        format!("{} of {reference} is 0, and that of {name} is not: {than}, by more than any noise", subject(report))
    };
    match of.decision {
        Decision::DifferentBetter if of.ratio.is_none() => far("better"),
        Decision::DifferentWorse if of.ratio.is_none() => far("worse"),
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

/// What no number can say is infinite: the reference's figure is 0.
fn value(of: Option<&Number>) -> f64 {
    of.and_then(Number::as_f64).unwrap_or(f64::INFINITY)
}

/// A variant that may be chosen.
struct Candidate<'a> {
    name: String,
    is_reference: bool,
    figures: VariantFigures,
    verdict: Option<&'a ComparisonVerdict>,
    did_the_same: bool,
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
        match self.verdict {
            Some(it) if !self.did_the_same => it.decision,
            _ => Decision::Same,
        }
    }

    /// How it compares with the reference, as far as that is told.
    fn told(&self, reference: &str) -> Option<String> {
        let verdict = self.verdict?;
        let verdict = verdict.ratio.as_ref().map(|_| format!(" ({})", ratio(verdict))).unwrap_or_default();
        match self.decision() {
            _ if self.did_the_same => Some(format!("does the same as {reference}")),
            Decision::DifferentBetter => Some(format!("is better{verdict}")),
            Decision::DifferentWorse => Some(format!("is worse{verdict}")),
            Decision::Same => Some(format!("is as good{verdict}")),
            Decision::CannotTell => None,
        }
    }

    fn peak(&self) -> u64 {
        self.figures.peak().map_or(u64::MAX, Counted::most)
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
        did_the_same: comparison.did_the_same(&variant.name, &rounds),
        was_limited: comparison.runs().iter().any(|run| run.variant == at && run.is_refused_more()),
    };
    let all: Vec<Candidate<'_>> = start.variants.iter().enumerate().map(candidate).collect();
    let sound: Vec<&Candidate<'_>> = all.iter().filter(|it| it.flaw().is_none()).collect();
    let flawed = all.iter().filter_map(|it| Some(format!("not {}: {}", it.name, it.flaw()?)));
    let flawed: Vec<String> = flawed.collect();
    match choose(&sound) {
        Some(chosen) => {
            let behind: String = flawed.iter().map(|it| format!("; {it}")).collect();
            format!("{}{limit}{}{behind}", why(report, chosen, &sound), allowed_elsewhere(comparison, chosen))
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
        let least_bad = || sound.iter().min_by(|one, other| one.far().total_cmp(&other.far()));
        return not_worse.min_by_key(|it| it.peak()).or_else(least_bad).copied();
    }
    let best = better.iter().max_by(|one, other| one.far().total_cmp(&other.far()))?;
    better.iter().filter(|it| overlap(best, it)).min_by_key(|it| it.peak()).map(|it| **it)
}

/// Why it is chosen, and what it costs.
fn why(report: &ComparisonReport, chosen: &Candidate<'_>, sound: &[&Candidate<'_>]) -> String {
    let start = report.comparison.start();
    let name = &chosen.name;
    let reference = printable(&start.reference);
    let others: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.name != chosen.name).collect();
    let cost = |it: &&Candidate<'_>| match it.told(&reference) {
        Some(told) => format!("; {} {told} and opens {}", it.name, connections(it)),
        None => format!("; {} opens {}", it.name, connections(it)),
    };
    let is_open = |it: &&&Candidate<'_>| it.decision() == Decision::CannotTell;
    let better = if start.metric == USUAL { "faster" } else { "better" };
    if chosen.decision() == Decision::DifferentBetter {
        let verdict = chosen.verdict.map(ratio).unwrap_or_default();
        let is = match start.metric == USUAL {
            true => format!("it is {verdict} as fast as {reference} here"),
            false => format!("it has {verdict} {} of {reference} here", subject(report)),
        };
        let of_reference = others.iter().filter(|it| it.is_reference).map(|it| cost(it)).collect::<String>();
        let near = others
            .iter()
            .filter(|it| is_open(it))
            .filter(|it| overlap(chosen, it))
            .map(|it| format!("; whether {} is as good these rounds do not tell", it.name));
        let near: String = near.collect();
        return format!("Choose {name}: {is} and opens {}{of_reference}{near}", connections(chosen));
    }
    let costs: String = others.iter().map(|it| cost(it)).collect();
    if others.is_empty() {
        return format!("Choose {name}, which opens {}", connections(chosen));
    }
    let open: Vec<&&Candidate<'_>> = sound.iter().filter(is_open).collect();
    if open.is_empty() {
        let why = match chosen.decision() {
            Decision::DifferentWorse => format!("of those that can be chosen none is {better} here"),
            _ => format!("none is {better} here"),
        };
        return format!("Choose {name}: {why}, and it opens {}{costs}", connections(chosen));
    }
    if let Some(few) = open.iter().filter_map(|it| it.verdict).find(|it| it.ratio.is_some() && interval(it).is_none()) {
        let seen = |it: &&&Candidate<'_>| {
            Some(format!("; {} had {} and opens {}", it.name, ratio(it.verdict?), connections(it)))
        };
        let seen: String = open.iter().filter_map(seen).collect();
        let those = many(u64::from(few.rounds), "round");
        return format!("No choice yet: {those} {} too few to tell anything from chance{seen}", be(few.rounds));
    }
    if let Some(unmeasured) = open.iter().filter_map(|it| it.verdict).find(|it| it.ratio.is_none()) {
        return format!("No choice: {}", verdict(report, unmeasured));
    }
    let told = others.iter().filter(|it| !it.did_the_same);
    let told = told.filter_map(|it| Some(format!("{} {}", it.name, it.told(&reference)?)));
    let told: Vec<String> = told.collect();
    let untold = match told.is_empty() {
        true => format!("These rounds do not tell which is {better} here"),
        false => {
            let open: Vec<&str> = open.iter().map(|it| &*it.name).collect();
            format!("{}; of {} these rounds do not tell", told.join(", "), open.join(" and "))
        }
    };
    let costs = others.iter().map(|it| match it.did_the_same {
        true => cost(it),
        false => format!("; {} opens {}", it.name, connections(it)),
    });
    let costs: String = costs.collect();
    format!("{untold}. Until some do, choose {name}, which opens {}{costs}", connections(chosen))
}

const fn be(number: u32) -> &'static str {
    if number == 1 { "is" } else { "are" }
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
    let fits = |number: usize| match number.checked_sub(1).filter(|fit| *fit > 0) {
        Some(fit) => format!(": {fit} fit (-t {fit}, or --max-connections {fit})"),
        None => String::new(),
    };
    let refused = comparison
        .refused_at()
        .map(|number| format!("; this server was seen to refuse the {}{}", ordinal(number), fits(number)));
    refused.unwrap_or_default()
}

/// Which servers that are known allow fewer than that many: the one in the box has no limit unless it is given one.
fn allowed_elsewhere(comparison: &Comparison, chosen: &Candidate<'_>) -> String {
    if !comparison.is_on_the_sandbox() || comparison.refused_at().is_some() {
        return String::new();
    }
    let fewer: Vec<String> = known::allow_fewer(chosen.peak(), comparison.start().protocol)
        .map(|(name, most)| format!("{name} {most}"))
        .collect();
    match fewer.is_empty() {
        true => String::new(),
        false => format!("; not every server allows so many, unless set otherwise: {}", fewer.join(", ")),
    }
}
