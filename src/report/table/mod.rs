//! The report for a person: what was asked, what came of it, who used what, and at the end what it all comes to.

mod fold;
pub(super) mod grid;
mod heading;
mod operations;
mod sections;
mod sessions;
mod tasks;
mod verdict;
mod workers;

use super::model::Report;
pub use operations::OperationRows;

use heading::heading;

use super::words::{count, figure, many, printable, rate, signal, span};
use crate::event::{Asked, CutOff, Lock};
use crate::figures::{FailureRow, Summary};

/// The report for a person: plain text, no line wider than 80 columns. Of each section it shows `rows` rows at most, the
/// first and those that failed or took longest; none: all that the report has.
#[must_use]
pub fn table(report: &Report, rows: Option<usize>) -> String {
    let summary = &report.summary;
    let mut parts = vec![heading(&report.start) + &headline(report), workers::section(summary, rows)];
    parts.push(sections::section(summary, rows));
    parts.push(tasks::section(summary));
    parts.extend(sessions::sections(summary, rows));
    parts.push(failures(summary, rows));
    parts.push(verdict::section(&report.verdict));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What came of it.
fn headline(report: &Report) -> String {
    let Report { start, ending, summary, .. } = report;
    let operations = &summary.operations;
    let mut lines = Vec::new();
    if let Some(number) = ending.interrupted {
        lines.push(format!("interrupted by {}: this is as far as it came", signal(number)));
    }

    if start.lock == Lock::Command {
        lines.push(
            "lock: command (each command of an operation took the connection anew; --lock unit is safe)".to_owned(),
        );
    }

    let opened = summary.connections.opened as u64;
    let carried = summary.carried;
    let mut connections = format!("{} opened", many(opened, "connection"));
    if opened > 0 {
        let each = match carried % opened {
            0 => many(carried / opened, "operation"),
            _ => format!("{:.1} operations", carried as f64 / opened as f64),
        };
        connections += &match opened {
            1 => format!(", {each} on it"),
            _ => format!(" (peak {}), {each} on each", count(summary.connections.peak as u64)),
        };
    }
    connections += if summary.connections.main_opened { "; main used" } else { "; main not used" };
    lines.push(connections);

    let mut done = format!("{} ok, {} failed", many(operations.ok, "operation"), count(operations.failed));
    if operations.not_issued > 0 {
        done += &format!(", {} not issued", count(operations.not_issued));
    }
    done += &format!("; {}", span(ending.elapsed));
    if let Some(rate) = rate(carried, summary.worked) {
        done += &format!(", {rate} operations/s (first to last: {})", span(summary.worked));
    }
    lines.push(done);

    if let CutOff { operations: 1.., longest } = summary.cut_off {
        let (waiting, longest) = (summary.cut_off.operations, span(longest));
        let were = if waiting == 1 { "was" } else { "were" };
        let waiting = many(waiting, "operation");
        lines.push(format!("{waiting} {were} still waiting when the time ran out, the longest for {longest}"));
    }

    // With a fixed number for each worker there is nothing to share out.
    let shares = summary.workers.iter().map(|row| row.operations.issued);
    if let (Some(Asked::Duration(_)), Some(most), Some(least)) = (start.asked, shares.clone().max(), shares.min()) {
        lines.push(format!("the busiest worker did {}, the idlest {}", many(most, "operation"), count(least)));
    }

    let left = &summary.left_mailboxes;
    if let Some(first) = left.first() {
        let others = if left.len() > 1 { format!(" and {} more", count(left.len() as u64 - 1)) } else { String::new() };
        lines.push(format!("left on the server, since it could not be removed: {first}{others}"));
    }
    if start.certificates_verified == Some(false) {
        lines.push("WARNING: certificates were not verified (--insecure): anyone may have been the server".to_owned());
    }

    if ending.still_open > 0 {
        lines.push(format!("{} still open at the end", many(ending.still_open as u64, "connection")));
    }
    lines.into_iter().map(|line| grid::paragraph(&line)).collect()
}

/// Each way of failing, with the server's own words; the most frequent ones, and what is left out.
fn failures(summary: &Summary, most: Option<usize>) -> String {
    let all = &summary.failures;
    if all.is_empty() {
        return String::new();
    }
    // One row too many is shown all the same: to say that it is missing would take its line.
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
        (format!("{}x", figure(row.count)), text)
    });
    let mut text = format!("Failures\n{}", grid::labelled(rows));
    let left_out = &all[shown..];
    if !left_out.is_empty() {
        let times = left_out.iter().fold(0_u64, |sum, row| sum.saturating_add(row.count));
        let ways = many(left_out.len() as u64, "more way");
        text += &grid::paragraph(&format!(
            "... {ways} of failing, {} in all (--format json lists {})",
            many(times, "time"),
            if summary.other_failures > 0 { "them" } else { "all" }
        ));
    }
    if summary.other_failures > 0 {
        let times = many(summary.other_failures, "more failure");
        text += &grid::paragraph(&format!("... {times} in yet other ways (--format ndjson lists all)"));
    }
    text
}

/// Which operation failed, at which of its commands, on which mailbox: ` (fetch of Archive: EXAMINE)`.
fn failed_at(row: &FailureRow) -> String {
    let Some(operation) = row.operation else { return String::new() };
    let of = row.mailbox.as_deref().map(|mailbox| format!(" of {}", printable(mailbox))).unwrap_or_default();
    match row.command {
        Some(command) if !command.eq_ignore_ascii_case(operation) => format!(" ({operation}{of}, {command})"),
        _ => format!(" ({operation}{of})"),
    }
}
