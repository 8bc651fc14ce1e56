//! A run: its figures, what was found, its gates and failures, and its ledger. Of a probe its facts and what to set instead.

use super::blocks::{details, exit, findings, foot, gates, headers, heading, list, paragraph, sheet, table};
use super::inert::{At, code, prose};
use super::parts::{Part, Rank, ledger};
use crate::event::Probe;
use crate::figures::FailureRow;
use crate::judge::Probed;
use crate::report::layout::Layout;
use crate::report::model::RunReport;
use crate::report::outline::{Outline, figures};
use crate::report::table::verdict::{rules, whose, witness};
use crate::report::table::{SCREENFUL, asked, failed_at, ledger as sheets, limits, remarks, setting};
use crate::report::words::{count, origin};

pub(super) fn parts(report: &RunReport) -> Vec<Part> {
    let verdict = &report.verdict;
    let probe = report.start.probe.zip(verdict.probed.as_deref());
    let mut parts = vec![Part::new(Rank::Verdict, "a verdict", verdict_of(report))];
    let found = findings(&verdict.findings) + &list(verdict.unjudged.iter().cloned());
    let found = if found.is_empty() { found } else { format!("#### Findings\n{found}") };
    parts.push(Part::new(Rank::Found, "findings", found));
    parts.push(Part::new(Rank::Found, "gates", gates(&verdict.gates)));
    match probe {
        Some((probe, probed)) => parts.extend(of_probe(report, probe, probed)),
        None => {
            let rows = figures(report)
                .into_iter()
                .map(|(label, figure, beside)| vec![label.to_owned(), format!("**{figure}**"), beside]);
            parts.push(Part::new(
                Rank::Figures,
                "figures",
                table(headers(["what", "figure", "beside it"]), rows).trim_start().to_owned(),
            ));
            parts.push(Part::new(Rank::Figures, "failures", failures(report)));
            parts.extend(ledger(sheets(Layout::UNBROKEN, &report.summary, Some(SCREENFUL))));
        }
    }
    let start = &report.start;
    let foot = foot(&origin(&start.tool_version, Some(&start.run_id), start.started));
    parts.push(Part::new(Rank::Verdict, "a foot", foot));
    parts
}

fn verdict_of(report: &RunReport) -> String {
    let verdict = &report.verdict;
    let code = report.exit_code();
    let is_probe = report.start.probe.is_some();
    let mut text = heading(&Outline::of_run(report)) + &paragraph(&asked(Layout::UNBROKEN, report));
    text += &exit(code, &report.reason(), &whose("run", report.told_again, code.unwrap_or_default()));
    let checked = [rules(verdict.proof.rules, is_probe), witness(verdict.proof.witness)];
    text + &list(setting(report).into_iter().chain(remarks(report)).chain(checked))
}

fn of_probe(report: &RunReport, probe: Probe, probed: &Probed) -> Vec<Part> {
    let tried = [("attempts", limits::tried(probed))];
    let facts = tried.into_iter().chain(limits::facts(probed, probe, report.start.protocol));
    let facts = facts.map(|(label, text)| vec![label.to_owned(), prose(&text, At::Cell)]);
    let facts: Vec<Vec<String>> = facts.collect();
    let advice = list(report.to_set().unwrap_or_default());
    let ramp = limits::ramp(Layout::UNBROKEN, &probed.attempts, Some(SCREENFUL));
    let mut parts =
        vec![Part::new(Rank::Figures, "facts", table(headers(["what", "found"]), facts).trim_start().to_owned())];
    if !advice.is_empty() {
        parts.push(Part::new(Rank::Found, "what to set", format!("#### What to set\n{advice}")));
    }
    parts.push(Part::new(Rank::Ledger, ramp.title, details(ramp.title, &sheet(&ramp), false)));
    parts
}

/// The ways of failing, the most frequent ones first.
fn failures(report: &RunReport) -> String {
    let all = &report.summary.failures;
    if all.is_empty() {
        return String::new();
    }
    let row = |row: &FailureRow| {
        let words = row.server_line.iter().chain(&row.further_lines).map(|line| code(line, At::Cell));
        let words: Vec<String> = words.filter(|it| !it.is_empty()).collect();
        let failed = format!("{} at {}{}", row.kind.name(), row.stage.name(), failed_at(row));
        vec![count(row.count), prose(&failed, At::Cell), prose(&row.message, At::Cell), words.join("<br>")]
    };
    let rows = all.iter().take(SCREENFUL).map(row);
    let mut text =
        format!("#### Failures\n{}", table(headers(["times", "what", "that is", "the server's words"]), rows));
    let others = all.iter().skip(SCREENFUL).map(|row| row.count).sum::<u64>() + report.summary.other_failures;
    if others > 0 {
        text += &paragraph(&format!("{} more failures in other ways", count(others)));
    }
    text
}
