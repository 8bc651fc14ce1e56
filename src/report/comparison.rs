//! What a comparison says, in sentences: each verdict, why it stopped, and why it came to its exit code.

mod candidate;
mod choice;
mod limit;

use serde_json::Number;

use super::model::ComparisonReport;
use super::words::{many, printable, signal};
use crate::event::{ComparisonEnd, ComparisonVerdict, Decision, Stopped, WARM_UP, WhyStopped};
use crate::figures::paired;
use crate::judge::{ComparedRun, Comparison, Conclusion, ServersEnd, Trouble, failed_gates};

pub(super) use choice::{answer, choice};

/// What the verdict is about, where nobody chose another metric.
pub(super) const USUAL: &str = "operations_per_second";

/// Why it came to its exit code.
pub(super) fn reason(comparison: &Comparison, rounds: &[u32], end: &ComparisonEnd) -> String {
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
            let mut variants = 0..start.variants.len();
            variants.find_map(|at| comparison.unmeasured(at, rounds)).map(printable)
        };
        let why = end.stopped.as_ref().map(|stopped| why_stopped(comparison, stopped)).or_else(unmeasured);
        let why = why.unwrap_or_else(|| "there was no whole round".to_owned());
        let why = if comparison.hung_at_the_end() {
            format!("a run took more than twice as long as before: {why}")
        } else {
            why
        };
        return if end.verdicts.iter().all(|it| it.rounds == 0) { format!("nothing was compared: {why}") } else { why };
    }
    let undecided =
        end.judged_by.require_decision.then(|| open(comparison, rounds, end)).filter(|names| !names.is_empty());
    let undecided =
        undecided.map(|names| format!("these rounds do not tell of {} (--require-decision)", names.join(", ")));
    let parts: Vec<String> = failed_gates(&end.gates).into_iter().chain(undecided).collect();
    if !parts.is_empty() {
        return parts.join("; ");
    }
    let held = match comparison.runs().last().filter(|run| run.is_interrupted()) {
        Some(cut) => {
            let name = start.variants.get(cut.variant).map_or("", |it| &it.name);
            format!("every run before that of {} in {} held, and this one was cut", printable(name), round(cut.round))
        }
        None => "every run held".to_owned(),
    };
    let same: Vec<String> = not_asked(comparison, rounds, end).map(|it| printable(&it.variant)).collect();
    match same.is_empty() {
        true => held,
        false => format!(
            "{held}; nothing was to be decided of {}, which did the same as {}",
            same.join(" and "),
            printable(&start.reference)
        ),
    }
}

/// Those of which nothing could be told, and for which a decision is required of the others alone: they did the same as the
/// reference, and no number of rounds tells more of that than the rules do.
fn not_asked<'a>(
    comparison: &'a Comparison,
    rounds: &'a [u32],
    end: &'a ComparisonEnd,
) -> impl Iterator<Item = &'a ComparisonVerdict> {
    let untold = end.verdicts.iter().filter(|it| end.judged_by.require_decision && it.decision == Decision::CannotTell);
    untold.filter(|it| !comparison.is_open(it, rounds))
}

/// Those of which more rounds may tell.
fn open(comparison: &Comparison, rounds: &[u32], end: &ComparisonEnd) -> Vec<String> {
    let open = end.verdicts.iter().filter(|it| comparison.is_open(it, rounds));
    open.map(|it| printable(&it.variant)).collect()
}

/// What it could not tell and passes all the same, a line for each variant.
pub(super) fn undecided(report: &ComparisonReport) -> Vec<String> {
    let ComparisonReport { comparison, rounds, end, .. } = report;
    let reference = printable(&comparison.start().reference);
    if end.judged_by.require_decision {
        let line = |it: &ComparisonVerdict| {
            let (name, same) = (printable(&it.variant), the_same(report, it));
            format!(
                "NOTHING TO DECIDE: {name} has {}, but {same}: --require-decision alone does not fail for it",
                ratio(it)
            )
        };
        return not_asked(comparison, rounds, end).map(line).collect();
    }
    // Of one that did the same nobody asks, unless a gate may.
    let is_asked = |it: &&ComparisonVerdict| comparison.is_open(it, rounds) || !end.gates.is_empty();
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
pub(super) fn why_stopped(comparison: &Comparison, stopped: &Stopped) -> String {
    let at = match &stopped.variant {
        Some(variant) => format!(", in {} of {}", round(stopped.round), printable(variant)),
        None => format!(", before {} was over", round(stopped.round)),
    };
    let why = match stopped.why {
        WhyStopped::Limit => match comparison.runs().last().and_then(ComparedRun::trouble) {
            Some(Trouble::Throttled) => "the server throttled",
            Some(Trouble::Locked) => "the maildrop was locked",
            _ => "the server's limit on connections was met",
        },
        WhyStopped::SignIn => "a sign-in was refused",
        WhyStopped::Time if stopped.variant.is_none() => {
            return format!("no time was left for {} (--for)", round(stopped.round));
        }
        WhyStopped::Time => "the time for all of it was over (--for)",
        WhyStopped::SignIns => "all sign-ins that it may make were made, since sessions broke",
        WhyStopped::Signal => "it was interrupted",
        WhyStopped::Failed => match comparison.end_of_the_server() {
            Some(ServersEnd::OutOfReach) => "the server could not be reached",
            Some(ServersEnd::NoAnswer) => "the server broke off, or answered nothing",
            _ => "a run could not be done",
        },
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
    let ComparisonReport { comparison, rounds, .. } = report;
    let said = measured(report, of);
    if !comparison.did_the_same(&of.variant, rounds) {
        return said + &to_decide(report, of);
    }
    let same = the_same(report, of);
    match of.decision {
        Decision::CannotTell => format!("{said}; {same}, so more rounds are not worth their time"),
        Decision::Same => format!("{said}; {same}"),
        _ => format!("{said}; but {same}, so that is not the mode's doing"),
    }
}

/// That it did the same as the reference, and on what.
fn the_same(report: &ComparisonReport, of: &ComparisonVerdict) -> String {
    let ComparisonReport { comparison, rounds, .. } = report;
    let on = if comparison.was_all_on_main(&of.variant, rounds) { "#0" } else { "one connection" };
    let reference = printable(&comparison.start().reference);
    format!("it did the same as {reference} in every round (all operations on {on})")
}

/// What these rounds show, and what they do not.
fn measured(report: &ComparisonReport, of: &ComparisonVerdict) -> String {
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
            let why = [place(&of.variant), place(&start.reference)]
                .into_iter()
                .flatten()
                .find_map(|variant| report.comparison.unmeasured(variant, &report.rounds));
            let why = why.map_or_else(|| "there was no round to compare".to_owned(), printable);
            format!("{name} cannot be compared with {reference}: {why}")
        }
        Decision::CannotTell if interval(of).is_none() => {
            format!("{said} in {}: too few to tell anything from chance", many(u64::from(of.rounds), "round"))
        }
        Decision::CannotTell => format!("{said}: that cannot be told from the noise of {noise}"),
    }
}

/// What it would take to decide what these rounds do not tell; empty where they are too few to say.
fn to_decide(report: &ComparisonReport, of: &ComparisonVerdict) -> String {
    if of.decision != Decision::CannotTell || interval(of).is_none() {
        return String::new();
    }
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
        None => {
            format!("; even {} rounds would hardly decide it: longer runs may, or a wider --noise", paired::MOST_ROUNDS)
        }
    };
    shows.unwrap_or_default() + &more
}
