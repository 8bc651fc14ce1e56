//! Which variant to choose, why, and at what cost. The first sentence is the answer.

use super::candidate::{Candidate, choose, left_over, overlap};
use super::{USUAL, interval, limit, percent, ratio, subject, verdict, why_stopped};
use crate::event::{Decision, WhyStopped};
use crate::figures::paired;
use crate::judge::{Tried, Trouble};
use crate::report::model::ComparisonReport;
use crate::report::words::{count, many, printable};

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
    let sound: Vec<&Candidate<'_>> = all.iter().filter(|it| it.ran && it.flaw.is_none()).collect();
    let chosen = if report.rounds.is_empty() { left_over(&all) } else { choose(&sound) };
    let mut said = match chosen {
        Some(chosen) if report.rounds.is_empty() => what_ran(report, chosen, &all),
        Some(chosen) => why(report, chosen, &sound),
        None if report.rounds.is_empty() => vec![format!("No choice: {}", nothing_compared(report))],
        None => vec!["No choice: something speaks against each of them".to_owned()],
    };
    said.extend(all.iter().filter_map(|it| Some(format!("Not {}: {}", it.name, it.flaw.as_ref()?))));
    said.extend(connecting(report, &all));
    said.extend(stopped(report));
    said.extend(by_chance(&all));
    said.extend(all.iter().flat_map(|it| it.notes.iter().chain(&it.hazards).cloned()));
    said.extend(limit::met(&report.comparison));
    said.extend(chosen.into_iter().flat_map(|it| limit::elsewhere(&report.comparison, it.peak(), it.mode)));
    said
}

/// What the server did that ended all, where that was not said for the answer itself.
fn stopped(report: &ComparisonReport) -> Option<String> {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let stopped = end.stopped.as_ref().filter(|_| !rounds.is_empty() && comparison.end_of_the_server().is_some())?;
    Some(format!("It stopped early, which is no variant's doing: {}", why_stopped(comparison, stopped)))
}

/// What failed of those that may be chosen.
fn by_chance(all: &[Candidate<'_>]) -> Option<String> {
    let failed = all.iter().filter_map(|it| {
        let Tried { all, failed } = it.by_chance?;
        Some((failed, count(all), &it.name))
    });
    let failed: Vec<_> = failed.collect();
    let ((first, tried, name), others) = failed.split_first()?;
    let first = format!("{} of {tried} of {name}", many(*first, "failed operation"));
    let others = others.iter().map(|(failed, tried, name)| format!("{} of {tried} of {name}", count(*failed)));
    let each: Vec<String> = [first].into_iter().chain(others).collect();
    Some(format!("Mind {}: no more than chance may give", each.join(", ")))
}

fn is_limited(report: &ComparisonReport) -> bool {
    let by_limit = report.end.stopped.as_ref().is_some_and(|stopped| stopped.why == WhyStopped::Limit);
    by_limit && !report.comparison.met(Trouble::Throttled)
}

fn what_ran(report: &ComparisonReport, chosen: &Candidate<'_>, all: &[Candidate<'_>]) -> Vec<String> {
    let mut said =
        vec![format!("Choose {} for now: it ran without a failure, on {}", chosen.name, chosen.connections())];
    said.push(format!("Nothing was compared: {}", nothing_compared(report)));
    let others = all.iter().filter(|it| it.name != chosen.name && it.flaw.is_none() && it.notes.is_empty());
    said.extend(others.map(|it| match it.ran {
        true => format!("{} opens {}", it.name, it.connections()),
        false => format!("{} did not run", it.name),
    }));
    said
}

/// Why there is no round that counts.
fn nothing_compared(report: &ComparisonReport) -> String {
    let no_round = || "there was no round in which every variant ran to its end".to_owned();
    report.end.stopped.as_ref().map_or_else(no_round, |stopped| why_stopped(&report.comparison, stopped))
}

/// Why it is chosen, and what it and the others cost.
fn why(report: &ComparisonReport, chosen: &Candidate<'_>, sound: &[&Candidate<'_>]) -> Vec<String> {
    let start = report.comparison.start();
    let (name, reference) = (&chosen.name, printable(&start.reference));
    let others: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.name != chosen.name).collect();
    let its_cost = format!("It opens {}", chosen.connections());
    if chosen.decision() == Decision::DifferentBetter {
        let mut said = vec![format!("Choose {name}: {}", faster(report, chosen)), its_cost];
        said.extend(others.iter().filter_map(|it| near(it, chosen, &reference)));
        return said;
    }
    let better = if start.metric == USUAL { "faster" } else { "better" };
    let costs = others.iter().map(|it| it.beside(&reference));
    let open: Vec<&&Candidate<'_>> = sound.iter().filter(|it| it.decision() == Decision::CannotTell).collect();
    let verdicts = || open.iter().filter_map(|it| it.verdict());
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
                    format!("Choose {name} for now: it fits, with {}", chosen.connections()),
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
    match chosen.verdict().filter(|it| it.ratio.is_some()).map(ratio) {
        Some(ratio) if start.metric == USUAL => format!("it is {ratio} as fast as {reference} here"),
        Some(ratio) => format!("it has {ratio} {of} of {reference} here"),
        None => format!("{of} of {reference} is 0 here, and its own is not"),
    }
}

/// The variants whose rate would be another one without their connecting. The first dial is in no rate, for it is over when the
/// first operation begins; those that follow it are.
fn connecting(report: &ComparisonReport, all: &[Candidate<'_>]) -> Option<String> {
    /// It is as much as differences that are none.
    const MATTERS: f64 = 0.03;
    let is_about_rates = report.comparison.start().metric == USUAL && !report.rounds.is_empty();
    let parts =
        all.iter().filter(|it| is_about_rates && it.flaw.is_none()).filter_map(|it| Some((&it.name, it.connecting()?)));
    let parts = parts.filter(|(_, part)| *part > MATTERS);
    let parts: Vec<String> = parts.map(|(name, part)| format!("{} of a run of {name}", percent(part))).collect();
    (!parts.is_empty()).then(|| {
        format!(
            "Connecting is in these figures, for the first {}: longer runs (--duration, -n) take it out",
            parts.join(" and ")
        )
    })
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
