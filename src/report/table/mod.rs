//! The report for people: the request, the result, who used which connection, failures and the verdict.

pub(super) mod comparison;
pub(super) mod gates;
mod heading;
pub(super) mod limits;
mod operations;
mod ranges;
mod sections;
mod sessions;
mod tasks;
pub(super) mod verdict;
mod workers;

use std::io::{self, Write};

use heading::{heading, origin};
use super::layout::{Layout, Sheet, Tone};
use operations::OperationRows;

use super::format::{Form, Live, Render, Spec};
use super::model::{Report, RunReport, Told};
use super::scenario;
use super::words::{count, figure, many, per_second, printable, signal, span};
use crate::event::{Asked, CutOff, Event, Lock, Micros, What, Within};
use crate::figures::{FailureRow, Summary};

pub(super) const SPEC: Spec =
    Spec { name: "table", purpose: "For people", ending: Some("txt"), form: Form::Either(&Tables, |layout| Box::new(Lines { layout, rows: None })) };

/// The most rows of a section.
pub(super) const SCREENFUL: usize = 20;
/// A shorter delay changes no figure in the report.
const WORTH_SAYING: Micros = Micros(1_000);
/// Dials that start together wait for the first sign-in: that is usual, and shorter.
const LONG_HELD: Micros = Micros(1_000_000);

/// A screenful of tables for each run; for each scenario its steps.
struct Tables;

impl Render for Tables {
    fn render(&self, report: &Report, out: &mut dyn Write) -> io::Result<()> {
        let layout = report.layout;
        for (at, told) in report.told.iter().enumerate() {
            match told {
                Told::Run(run) => {
                    // A scenario ends with an empty line of its own.
                    let follows_run = at > 0 && matches!(report.told.get(at - 1), Some(Told::Run(_)));
                    write!(out, "{}{}", if follows_run { "\n" } else { "" }, table(layout, run, Some(SCREENFUL)))?;
                }
                Told::Scenario(of) => out.write_all(of.text(layout).as_bytes())?,
                Told::Comparison(of) => {
                    write!(out, "{}{}", if at > 0 { "\n" } else { "" }, comparison::table(layout, of))?;
                }
            }
        }
        Ok(())
    }
}

/// A row for each operation of a run, then its tables with all their rows; a line for each step of a scenario.
struct Lines {
    layout: Layout,
    rows: Option<OperationRows>,
}

impl Live for Lines {
    fn see(&mut self, within: Within<'_>, event: &Event, text: &mut Vec<u8>) {
        let line = match (&event.what, &self.rows) {
            // The steps tell what the clients did, and the end of a comparison what its runs came to.
            _ if within.client.is_some() || within.run.is_some() => return,
            (What::RunStart(start), _) => self.rows.insert(OperationRows::new(self.layout, start)).begin(),
            (What::Operation(operation), Some(rows)) => rows.row(operation),
            (What::ScenarioStart(start), _) => scenario::scenario_begins(self.layout, start),
            (What::Step(step), _) => scenario::scenario_step(self.layout, step),
            _ => return,
        };
        text.extend_from_slice(line.as_bytes());
    }

    fn over(&mut self, told: &Told, text: &mut Vec<u8>) {
        let layout = self.layout;
        let end = match told {
            Told::Run(run) => format!("\n{}", table(layout, run, None)),
            Told::Scenario(of) => of.ends(layout),
            Told::Comparison(of) => comparison::table(layout, of),
        };
        text.extend_from_slice(end.as_bytes());
    }
}

/// The tables of a run, as text. A section has at most `most` rows, the first ones and
/// those that failed or took longest; without `most` it has all rows of the report.
#[must_use]
pub fn table(layout: Layout, report: &RunReport, most: Option<usize>) -> String {
    if let (Some(probed), Some(probe)) = (&report.verdict.probed, report.start.probe) {
        return limits::table(layout, report, probed, probe, most);
    }
    let summary = &report.summary;
    let start = &report.start;
    let mut parts = vec![heading(layout, start) + &origin(layout, start, None) + &headline(layout, report)];
    parts.extend(ledger(layout, summary, most).map(|sheet| sheet.text(layout)));
    parts.push(failures(layout, summary, most));
    parts.push(verdict::section(layout, report));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// Workers, modes, tasks and sessions, in tables of at most `most` rows.
pub(super) fn ledger(layout: Layout, summary: &Summary, most: Option<usize>) -> impl Iterator<Item = Sheet> {
    let [opened, failed] = sessions::sheets(layout, summary, most);
    let all = [Some(workers::sheet(layout, summary, most)), sections::sheet(layout, summary, most), Some(tasks::sheet(layout, summary)), opened, failed];
    all.into_iter().flatten()
}

/// What was asked for.
pub(super) fn asked(layout: Layout, report: &RunReport) -> String {
    match report.start.probe {
        Some(probe) => limits::heading(layout, report, probe),
        None => heading(layout, &report.start),
    }
}

/// The result in a few lines.
fn headline(layout: Layout, report: &RunReport) -> String {
    let before = setting(report);
    let lines = before.into_iter().chain(result(report)).chain(remarks(report));
    lines.map(|line| layout.paragraph(&line)).collect()
}

/// What to know before the figures are read.
pub(super) fn setting(report: &RunReport) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(number) = report.ending.interrupted {
        lines.push(format!("interrupted by {}: this is as far as it came", signal(number)));
    }
    if report.start.lock == Lock::Command {
        lines.push(
            "lock: command (each command of an operation took the connection anew; --lock unit is safe)".to_owned(),
        );
    }
    lines
}

/// Connections and operations.
fn result(report: &RunReport) -> [String; 2] {
    let RunReport { ending, ended, summary, .. } = report;
    let operations = &summary.operations;
    let opened = summary.connections.opened as u64;
    let mut connections = format!("{} opened", many(opened, "connection"));
    if opened > 0 {
        let peak = count(summary.connections.peak as u64);
        connections += &match (opened, carried_by_all(summary)) {
            (1, _) => format!(", {} on it", many(summary.carried, "operation")),
            (_, Some(each)) => format!(" (peak {peak}), {} on each", many(each, "operation")),
            (_, None) => {
                let each = match summary.carried_by_each().unwrap_or_default() {
                    whole if whole.fract() == 0.0 => many(whole as u64, "operation"),
                    each => format!("{each:.1} operations"),
                };
                format!(" (peak {peak}), on average {each} on each")
            }
        };
    }
    connections += if summary.connections.main_opened { "; main used" } else { "; main not used" };

    let mut done = format!("{} ok, {} failed", many(operations.ok, "operation"), count(operations.failed));
    if operations.not_issued > 0 {
        done += &format!(", {} not issued", count(operations.not_issued));
    }
    if *ended {
        done += &format!("; {}", span(ending.elapsed));
    }
    if let Some(rate) = summary.rate() {
        done += &format!(", {} operations/s (first to last: {})", per_second(rate), span(summary.worked));
    }
    [connections, done]
}

/// What else there is to know.
pub(super) fn remarks(report: &RunReport) -> Vec<String> {
    let RunReport { start, ending, summary, .. } = report;
    let mut lines = Vec::new();
    let (all, longest) = summary.held;
    if longest >= LONG_HELD {
        let (all, longest) = (span(all), span(longest));
        lines.push(format!("dials waited {all} in all, {longest} at most, for other sign-ins to this account (B6)"));
    }

    if let CutOff { operations: 1.., longest } = summary.cut_off {
        let (waiting, longest) = (summary.cut_off.operations, span(longest));
        let were = if waiting == 1 { "was" } else { "were" };
        let waiting = many(waiting, "operation");
        lines.push(format!("{waiting} {were} still waiting when the time ran out, the longest for {longest}"));
    }

    if let Some(held_up) = ending.held_up.filter(|held_up| *held_up >= WORTH_SAYING) {
        let held_up = span(held_up);
        lines.push(format!("the report's reader was slow: workers stood still for {held_up} until it had read"));
    }

    // A fixed number for each worker leaves nothing to share.
    if let (Some(Asked::Duration(_)), Some((most, least))) = (start.asked, summary.busiest_and_idlest()) {
        lines.push(format!("the busiest worker did {}, the idlest {}", many(most, "operation"), count(least)));
    }

    let left = &summary.left_mailboxes;
    if let Some(first) = left.first() {
        let others = if left.len() > 1 { format!(" and {} more", count(left.len() as u64 - 1)) } else { String::new() };
        lines.push(format!("left on the server, since it could not be removed: {first}{others}"));
    }
    lines.extend(warnings(report));
    lines
}

/// What to know of the server, and of what was left with it.
fn warnings(report: &RunReport) -> impl Iterator<Item = String> {
    let insecure = (report.start.certificates_verified == Some(false))
        .then(|| "WARNING: certificates were not verified (--insecure): anyone may have been the server".to_owned());
    let left = report.ending.still_open as u64;
    let open = (left > 0).then(|| format!("{} still open at the end", many(left, "connection")));
    insecure.into_iter().chain(open)
}

/// How many operations each session carried, if all carried the same number.
fn carried_by_all(summary: &Summary) -> Option<u64> {
    let mut carried = summary.sessions.iter().filter(|row| row.dial.is_ok()).map(|row| row.operations);
    let first = carried.next().filter(|_| summary.rest.sessions == 0)?;
    carried.all(|other| other == first).then_some(first)
}

/// The ways of failing, with the server's own words: the most frequent ones, and a count of the others.
pub(super) fn failures(layout: Layout, summary: &Summary, most: Option<usize>) -> String {
    let all = &summary.failures;
    if all.is_empty() {
        return String::new();
    }
    // One row too many is shown: a line about it would take the same room.
    let shown = most.filter(|most| all.len() > most.saturating_add(1)).unwrap_or(all.len());
    let rows = all.iter().take(shown).map(|row| {
        let mut text = format!("{} at {}{}", row.kind.name(), row.stage.name(), failed_at(row));
        let line = row.server_line.as_deref().unwrap_or_default().trim();
        let message = row.message.trim();
        // A message that only repeats the server's line adds nothing to it.
        if !message.is_empty() && (line.is_empty() || !message.contains(line)) {
            text += &format!(": {}", printable(message));
        }
        if !line.is_empty() {
            text += &format!("\nserver: {}", printable(line));
        }
        for further in &row.further_lines {
            text += &format!("\n  also: {}", printable(further));
        }
        (Tone::Bad, format!("{}x", figure(row.count)), text)
    });
    let mut text = format!("Failures\n{}", layout.marked(rows));
    let left_out = &all[shown..];
    if !left_out.is_empty() {
        let times = left_out.iter().fold(0_u64, |sum, row| sum.saturating_add(row.count));
        let ways = many(left_out.len() as u64, "more way");
        text += &layout.paragraph(&format!(
            "... {ways} of failing, {} in all (--format json lists {})",
            many(times, "time"),
            if summary.other_failures > 0 { "them" } else { "all" }
        ));
    }
    if summary.other_failures > 0 {
        let times = many(summary.other_failures, "more failure");
        text += &layout.paragraph(&format!("... {times} in yet other ways (--format ndjson lists all)"));
    }
    text
}

/// The operation, its mailbox and the command that failed: ` (fetch of Archive, EXAMINE)`.
pub(super) fn failed_at(row: &FailureRow) -> String {
    let Some(operation) = row.operation else { return String::new() };
    let of = row.mailbox.as_deref().map(|mailbox| format!(" of {}", printable(mailbox))).unwrap_or_default();
    match row.command {
        Some(command) if !command.eq_ignore_ascii_case(operation) => format!(" ({operation}{of}, {command})"),
        _ => format!(" ({operation}{of})"),
    }
}
