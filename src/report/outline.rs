//! What a report says first: how it went, in a sentence, and the figures that answer most questions.

use super::comparison::answer;
use super::model::{ComparisonReport, RunReport, ScenarioReport};
use super::table::limits::words::result;
use super::table::verdict::CUT;
use super::words::{count, many, per_second, printable, span};
use crate::event::{Decision, Finding, Severity};
use crate::judge::{ALL, Article, Conclusion};

/// How something went.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Held,
    Look,
    Wrong,
}

impl Sign {
    const fn of_exit(code: Option<u8>) -> Self {
        match code {
            Some(0) => Self::Held,
            Some(_) => Self::Wrong,
            None => Self::Look,
        }
    }

    /// How much a finding asks for.
    pub(super) const fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Broken | Severity::Hazard | Severity::Limit => Self::Wrong,
            Severity::Leak | Severity::Fault | Severity::Advice => Self::Look,
        }
    }
}

/// How it went, and that in a sentence.
pub(super) struct Outline {
    pub(super) sign: Sign,
    pub(super) sentence: String,
}

impl Outline {
    /// The worst that was found, else why it ended as it did.
    pub(super) fn of_run(report: &RunReport) -> Self {
        let verdict = &report.verdict;
        let by_exit = Sign::of_exit(report.exit_code());
        if let (Some(probed), Some(probe)) = (verdict.probed.as_deref(), report.start.probe) {
            return Self::new(by_exit, &result(probed, probe, report.start.protocol));
        }
        let worst = verdict.findings.iter().find(|it| it.severity != Severity::Advice);
        match (worst, report.exit_code()) {
            (_, None) => Self::new(Sign::Look, CUT),
            (Some(worst), _) if !matches!(verdict.conclusion, Conclusion::SignInRefused | Conclusion::NotConnected) => {
                let sign = if by_exit == Sign::Wrong { by_exit } else { Sign::of_severity(worst.severity) };
                // What failed comes before a remark on how.
                let failed = report.summary.operations.failed;
                let all = report.summary.operations.issued;
                let found = headline(worst);
                match Sign::of_severity(worst.severity) {
                    Sign::Look if failed > 0 => {
                        let failed = format!("{} of {} failed", count(failed), many(all, "operation"));
                        Self::new(sign, &format!("{failed}: {found}"))
                    }
                    _ => Self::new(sign, &found),
                }
            }
            (None, Some(0)) if matches!(verdict.conclusion, Conclusion::Held) => {
                let operations = many(report.summary.operations.ok, "operation");
                let all_held = format!("all held: {operations}, each on the connection that the rules give it");
                Self::new(Sign::Held, &all_held)
            }
            _ => Self::new(by_exit, &report.reason()),
        }
    }

    /// How many steps went as expected.
    pub(super) fn of_scenario(report: &ScenarioReport) -> Self {
        let code = report.end.as_ref().map(|end| end.exit_code);
        let sentence = report.reason().map_or_else(|| CUT.to_owned(), |reason| printable(&reason));
        Self::new(Sign::of_exit(code), &sentence)
    }

    /// What to choose.
    pub(super) fn of_comparison(report: &ComparisonReport) -> Self {
        let undecided = report.end.verdicts.iter().any(|it| it.decision == Decision::CannotTell);
        let sign = match Sign::of_exit(report.exit_code()) {
            Sign::Held if undecided => Sign::Look,
            sign => sign,
        };
        Self::new(sign, &printable(&answer(report).0))
    }

    fn new(sign: Sign, sentence: &str) -> Self {
        let mut characters = sentence.chars();
        let first = characters.next().into_iter().flat_map(char::to_uppercase);
        Self { sign, sentence: first.chain(characters).collect() }
    }
}

/// A finding as a headline: what was found with its figures, without the cure; the finding's title where that is long.
fn headline(finding: &Finding) -> String {
    const LONGEST: usize = 160;
    let found = finding.sentence.split("; ").next().unwrap_or_default();
    let title = article(finding).filter(|_| found.chars().count() > LONGEST).map(|article| article.title);
    printable(title.unwrap_or(found))
}

/// What is known of it beyond this run.
pub(super) fn article(finding: &Finding) -> Option<&'static Article> {
    ALL.iter().find(|spec| spec.id == finding.id).map(|spec| &spec.article)
}

/// The figures that answer most questions: a label, the figure, and what stands beside it.
pub(super) fn figures(report: &RunReport) -> Vec<(&'static str, String, String)> {
    let summary = &report.summary;
    let proof = report.verdict.proof;
    let of = |held: u64, all: u64| match held == all {
        true => format!("all {}", count(all)),
        false => format!("{} of {}", count(held), count(all)),
    };
    let (opened, peak) = (summary.connections.opened as u64, summary.connections.peak as u64);
    let mut rows = vec![
        ("connections", count(opened), format!("{} at once", count(peak))),
        ("operations", count(summary.operations.ok), format!("{} failed", count(summary.operations.failed))),
        ("wait, median", span(summary.wait.p50), format!("longest {}", span(summary.wait.max))),
        ("service, median", span(summary.service.p50), format!("longest {}", span(summary.service.max))),
        ("rules held", of(proof.rules.held, proof.rules.checked), "operations".to_owned()),
    ];
    if let Some(rate) = summary.rate() {
        rows.insert(2, ("per second", per_second(rate), format!("first to last: {}", span(summary.worked))));
    }
    if proof.witness.available {
        rows.push((
            "the server agrees",
            of(proof.witness.agreed, proof.witness.checked),
            "by its own record".to_owned(),
        ));
    }
    rows
}
