//! The report for a person: what was asked, what came of it, who used what, and at the end what it all comes to.

mod fold;
pub(super) mod grid;
mod operations;
mod sections;
mod sessions;
mod tasks;
mod verdict;
mod workers;

use super::words::{count, figure, many, printable, rate, signal, span};
use crate::record::{Asked, CutOff, Executor, FailureRow, Lock, Run, Summary, Verdict};

/// How much the table shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableOptions {
    /// A row for every operation.
    pub each: bool,
    /// At most so many rows of a section: the first, and those that failed or took longest. None: all of them.
    pub rows: Option<usize>,
}

impl Default for TableOptions {
    fn default() -> Self {
        Self { each: false, rows: Some(20) }
    }
}

/// The report for a person: plain text, no line wider than 80 columns.
#[must_use]
pub fn table(run: &Run, summary: &Summary, verdict: &Verdict, options: &TableOptions) -> String {
    let mut parts = vec![heading(run) + &headline(run, summary), workers::section(summary, options.rows)];
    parts.push(sections::section(summary, options.rows));
    parts.push(tasks::section(summary));
    parts.extend(sessions::sections(summary, options.rows));
    parts.push(failures(summary, options.rows));
    if options.each {
        parts.push(operations::section(run, summary, options.rows));
    }
    parts.push(verdict::section(verdict));
    parts.retain(|part| !part.is_empty());
    parts.join("\n")
}

/// What was asked for.
fn heading(run: &Run) -> String {
    let header = &run.header;
    let (threads, tasks) = (header.workers.len() as u64, header.tasks.len() as u64);
    let doers = if tasks > 0 { header.tasks.len() } else { header.workers.len() };
    let asked = match header.asked {
        Asked::Duration(duration) => span(duration),
        asked => many(asked.of_all(doers).unwrap_or_default(), "operation"),
    };
    let switches: String =
        header.switches.iter().map(|switch| format!(", {} after {}", switch.mode, count(switch.after))).collect();
    let (server, mode, threads) = (printable(&header.server), header.mode, many(threads, "thread"));
    let tasks = match header.executor {
        Executor::Threads => String::new(),
        Executor::Pool => format!(" of a pool, {}", many(tasks, "task")),
        Executor::Tasks => format!(", {}", many(tasks, "asynchronous task")),
    };
    let seed = header.seed;
    grid::paragraph(&format!("{server}, {mode}{switches}, {threads}{tasks}, {asked}, seed {seed}"))
}

/// What came of it.
fn headline(run: &Run, summary: &Summary) -> String {
    let operations = &summary.operations;
    let mut lines = Vec::new();
    if let Some(number) = run.end.interrupted {
        lines.push(format!("interrupted by {}: this is as far as it came", signal(number)));
    }

    if run.header.lock == Lock::Command {
        lines.push(
            "lock: command (each command of an operation took the connection anew; --lock unit is safe)".to_owned(),
        );
    }

    let opened = summary.opened as u64;
    let carried = summary.carried();
    let mut connections = format!("{} opened", many(opened, "connection"));
    if opened > 0 {
        let each = match carried % opened {
            0 => many(carried / opened, "operation"),
            _ => format!("{:.1} operations", carried as f64 / opened as f64),
        };
        connections += &match opened {
            1 => format!(", {each} on it"),
            _ => format!(" (peak {}), {each} on each", count(summary.peak as u64)),
        };
    }
    connections += if summary.main_opened { "; main used" } else { "; main not used" };
    lines.push(connections);

    let mut done = format!("{} ok, {} failed", many(operations.ok, "operation"), count(operations.failed));
    if operations.not_issued > 0 {
        done += &format!(", {} not issued", count(operations.not_issued));
    }
    done += &format!("; {}", span(run.end.elapsed));
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
    if let (Asked::Duration(_), Some(most), Some(least)) = (run.header.asked, shares.clone().max(), shares.min()) {
        lines.push(format!("the busiest worker did {}, the idlest {}", many(most, "operation"), count(least)));
    }

    let left: Vec<&str> = run.left_mailboxes().collect();
    if let Some(first) = left.first() {
        let others = if left.len() > 1 { format!(" and {} more", count(left.len() as u64 - 1)) } else { String::new() };
        lines.push(format!("left on the server, since it could not be removed: {first}{others}"));
    }
    if run.header.insecure {
        lines.push("WARNING: certificates were not verified (--insecure): anyone may have been the server".to_owned());
    }

    if run.end.still_open > 0 {
        lines.push(format!("{} still open at the end", many(run.end.still_open as u64, "connection")));
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
            "... {ways} of failing, {} in all (--format json lists all)",
            many(times, "time")
        ));
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
