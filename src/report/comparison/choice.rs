//! Which variant to choose, why, and at what cost. The first sentence is the answer.

use serde_json::Number;

use super::{USUAL, interval, ratio, subject, verdict, why_stopped};
use crate::event::{ComparisonVerdict, Decision, WhyStopped};
use crate::figures::paired;
use crate::judge::{Comparison, Counted, VariantFigures};
use crate::report::known;
use crate::report::model::ComparisonReport;
use crate::report::words::{many, printable};

/// What to choose, why, and at what cost.
pub(in crate::report) fn choice(report: &ComparisonReport) -> String {
    in_a_row(&sentences(report))
}

/// The same in two: the answer, and what is to be known of it.
pub(in crate::report) fn answer(report: &ComparisonReport) -> (String, String) {
    let mut said = sentences(report);
    let behind = said.split_off(1);
    (said.concat(), in_a_row(&behind))
}

fn in_a_row(sentences: &[String]) -> String {
    sentences.iter().map(|it| format!("{it}.")).collect::<Vec<_>>().join(" ")
}

fn sentences(report: &ComparisonReport) -> Vec<String> {
    let all = Candidate::all(report);
    let sound: Vec<&Candidate<'_>> = all.iter().filter(|it| it.ran && it.flaw().is_none()).collect();
    let chosen = if report.rounds.is_empty() { fits(report, &sound) } else { choose(&sound) };
    let mut said = match chosen {
        Some(chosen) if report.rounds.is_empty() => what_fits(report, chosen, &all),
        Some(chosen) => why(report, chosen, &sound),
        None if report.rounds.is_empty() => vec![format!("No choice: {}", nothing_compared(report))],
        None => vec!["No choice: something speaks against each of them".to_owned()],
    };
    said.extend(all.iter().filter_map(|it| Some(format!("Not {}: {}", it.name, it.flaw()?))));
    said.extend(limit(report));
    said.extend(chosen.and_then(|chosen| allowed_elsewhere(&report.comparison, chosen)));
    said
}

/// A variant that may be chosen.
struct Candidate<'a> {
    name: String,
    is_reference: bool,
    figures: VariantFigures,
    verdict: Option<&'a ComparisonVerdict>,
    did_the_same: bool,
    was_limited: bool,
    /// It ran to its end: in a round that counts, or where there is none in any.
    ran: bool,
}

impl<'a> Candidate<'a> {
    fn all(report: &'a ComparisonReport) -> Vec<Self> {
        let ComparisonReport { comparison, rounds, end, .. } = report;
        let start = comparison.start();
        let any = |at: usize| -> Vec<u32> {
            comparison
                .runs()
                .iter()
                .filter(|run| run.variant == at && !run.is_interrupted())
                .map(|run| run.round)
                .collect()
        };
        let candidate = |at: usize| {
            let name = &start.variants[at].name;
            let its = if rounds.is_empty() { any(at) } else { rounds.clone() };
            Candidate {
                name: printable(name),
                is_reference: *name == start.reference,
                figures: comparison.figures_of(at, &its),
                verdict: end.verdicts.iter().find(|it| it.variant == *name),
                did_the_same: comparison.did_the_same(name, rounds),
                was_limited: comparison.runs().iter().any(|run| run.variant == at && run.is_refused_more()),
                ran: !its.is_empty(),
            }
        };
        (0..start.variants.len()).map(candidate).collect()
    }

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

    /// What it is like beside the chosen one, and what it opens.
    fn beside(&self, reference: &str) -> String {
        let opens = format!("opens {}", connections(self));
        let ratio = self.verdict.filter(|it| it.ratio.is_some()).map(ratio);
        let shown = ratio.as_ref().map(|ratio| format!(" ({ratio})")).unwrap_or_default();
        let name = &self.name;
        if self.is_reference {
            return format!("{name} {opens}");
        }
        if self.did_the_same {
            return format!("{name} does the same as {reference} and {opens}");
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

/// What no number can say is infinite: the reference's figure is 0.
fn value(of: Option<&Number>) -> f64 {
    of.and_then(Number::as_f64).unwrap_or(f64::INFINITY)
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

/// Where nothing was compared because a variant needs more connections than the server gives: the one with the fewest.
fn fits<'a, 'b>(report: &ComparisonReport, sound: &[&'a Candidate<'b>]) -> Option<&'a Candidate<'b>> {
    let refused = report.comparison.refused_at().filter(|_| is_limited(report))?;
    let fit = sound.iter().filter(|it| it.peak() < refused as u64);
    fit.min_by_key(|it| it.peak()).copied()
}

fn is_limited(report: &ComparisonReport) -> bool {
    report.end.stopped.as_ref().is_some_and(|stopped| stopped.why == WhyStopped::Limit)
}

fn what_fits(report: &ComparisonReport, chosen: &Candidate<'_>, all: &[Candidate<'_>]) -> Vec<String> {
    let mut said = vec![format!("Choose {} for now: it fits, with {}", chosen.name, connections(chosen))];
    said.push(format!("Nothing was compared: {}", nothing_compared(report)));
    let others = all.iter().filter(|it| it.name != chosen.name && it.flaw().is_none());
    said.extend(others.map(|it| match it.ran {
        true => format!("{} opens {}", it.name, connections(it)),
        false => format!("{} did not run", it.name),
    }));
    said
}

/// Why there is no round that counts.
fn nothing_compared(report: &ComparisonReport) -> String {
    let no_round = || "there was no round in which every variant ran to its end".to_owned();
    report.end.stopped.as_ref().map_or_else(no_round, why_stopped)
}

/// Why it is chosen, and what it and the others cost.
fn why(report: &ComparisonReport, chosen: &Candidate<'_>, sound: &[&Candidate<'_>]) -> Vec<String> {
    let start = report.comparison.start();
    let (name, reference) = (&chosen.name, printable(&start.reference));
    let others: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.name != chosen.name).collect();
    let its_cost = format!("It opens {}", connections(chosen));
    if chosen.decision() == Decision::DifferentBetter {
        let mut said = vec![format!("Choose {name}: {}", faster(report, chosen)), its_cost];
        said.extend(others.iter().filter_map(|it| near(it, chosen, &reference)));
        return said;
    }
    let better = if start.metric == USUAL { "faster" } else { "better" };
    let costs = others.iter().map(|it| it.beside(&reference));
    let open: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.decision() == Decision::CannotTell).collect();
    let verdicts = || open.iter().filter_map(|it| it.verdict);
    let because = if others.is_empty() {
        "no other can be chosen".to_owned()
    } else if open.is_empty() {
        let is_last = chosen.decision() == Decision::DifferentWorse || sound.len() < start.variants.len();
        let those = if is_last { "of those that can be chosen " } else { "" };
        format!("{those}none is {better} here")
    } else if let Some(few) = verdicts().find(|it| it.ratio.is_some() && interval(it).is_none()) {
        let fewest = paired::fewest_rounds(report.end.verdicts.len() as u32);
        let those = many(u64::from(few.rounds), "round");
        let few = |to_tell: &str| format!("{those} {} too few to tell {to_tell}", be(few.rounds));
        let (mut said, told): (_, Vec<_>) = match is_limited(report) {
            true => (
                vec![
                    format!("Choose {name} for now: it fits, with {}", connections(chosen)),
                    few(&format!("which of those that fit is {better}")),
                ],
                others,
            ),
            false => {
                (vec![format!("No choice yet: {}", few("anything from chance")), format!("It takes {fewest}")], open)
            }
        };
        said.extend(told.iter().map(|it| it.beside(&reference)));
        return said;
    } else if let Some(unmeasured) = verdicts().find(|it| it.ratio.is_none()) {
        return vec![format!("No choice: {}", verdict(report, unmeasured))];
    } else {
        let untold: Vec<&str> = open.iter().map(|it| &*it.name).collect();
        let all = open.len() == others.iter().filter(|it| !it.did_the_same).count();
        return [
            match all {
                true => format!("Choose {name} for now: these rounds do not tell which is {better} here"),
                false => format!("Choose {name} for now: of {} these rounds do not tell", untold.join(" and ")),
            },
            its_cost,
        ]
        .into_iter()
        .chain(costs)
        .collect();
    };
    [format!("Choose {name}: {because}"), its_cost].into_iter().chain(costs).collect()
}

/// By how much the chosen one is better than the reference.
fn faster(report: &ComparisonReport, chosen: &Candidate<'_>) -> String {
    let (start, of) = (report.comparison.start(), subject(report));
    let reference = printable(&start.reference);
    match chosen.verdict.filter(|it| it.ratio.is_some()).map(ratio) {
        Some(ratio) if start.metric == USUAL => format!("it is {ratio} as fast as {reference} here"),
        Some(ratio) => format!("it has {ratio} {of} of {reference} here"),
        None => format!("{of} of {reference} is 0 here, and its own is not"),
    }
}

/// What is said of another one beside the best: of the reference its cost, of one that may be as good that it may.
fn near(it: &Candidate<'_>, chosen: &Candidate<'_>, reference: &str) -> Option<String> {
    if it.is_reference {
        return Some(it.beside(reference));
    }
    match it.decision() {
        Decision::DifferentBetter if overlap(chosen, it) => {
            Some(format!("{}; it may be no better than {}", it.beside(reference), chosen.name))
        }
        Decision::DifferentBetter => Some(it.beside(reference)),
        Decision::CannotTell if overlap(chosen, it) => {
            Some(format!("Whether {} is as good these rounds do not tell", it.name))
        }
        _ => None,
    }
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

/// The server's limit, where it was met, and what fits into it.
fn limit(report: &ComparisonReport) -> Vec<String> {
    let comparison = &report.comparison;
    let Some(refused) = comparison.refused_at() else { return Vec::new() };
    let ending = match (refused % 10, refused % 100) {
        (1, it) if it != 11 => "st",
        (2, it) if it != 12 => "nd",
        (3, it) if it != 13 => "rd",
        _ => "th",
    };
    let mut said = vec![format!("This server was seen to refuse the {refused}{ending} connection")];
    let fit = refused - 1;
    said.extend(match fit {
        0 => None,
        1 => Some("One fits: use-main".to_owned()),
        // Main is one of them, beside the defaults.
        _ if comparison.is_on_threads() => Some(format!(
            "{fit} fit: use-default with -t {fit}, use-main-or-default with --default-for {}",
            if fit == 2 { "w0".to_owned() } else { format!("w0-w{}", fit - 2) }
        )),
        _ => Some(format!("{fit} fit: use-default with -t {fit}")),
    });
    said
}

/// Which servers that are known allow fewer than that many: the one in the box has no limit unless it is given one.
fn allowed_elsewhere(comparison: &Comparison, chosen: &Candidate<'_>) -> Option<String> {
    if !comparison.is_on_the_sandbox() || comparison.refused_at().is_some() {
        return None;
    }
    let fewer: Vec<String> = known::allow_fewer(chosen.peak(), comparison.start().protocol)
        .map(|(name, most)| format!("{name} {most}"))
        .collect();
    let fewer = Some(fewer.join(", ")).filter(|it| !it.is_empty())?;
    Some(format!("Not every server allows so many, unless set otherwise: {fewer}"))
}
