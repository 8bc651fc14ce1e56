//! The ways in which a run's operations, creations and dials failed: a row for each that differs.

use std::collections::HashMap;

use super::run::Operation;
use crate::protocol::{Failure, FailureKind, Stage};

/// One way of failing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureRow {
    /// What.
    pub kind: FailureKind,
    /// Where.
    pub stage: Stage,
    /// How often.
    pub count: u64,
    /// The operation that failed, if a connection carried it: what fails before is no operation's own.
    pub operation: Option<&'static str>,
    /// The command of it that the server refused, or left unanswered.
    pub command: Option<&'static str>,
    /// The mailbox that it worked on.
    pub mailbox: Option<String>,
    /// In words, from the first of them.
    pub message: String,
    /// The server's own line, from the first of them that has one.
    pub server_line: Option<String>,
    /// What else it said with that line.
    pub further_lines: Vec<String>,
}

/// Failures, as they are counted.
#[derive(Default)]
pub(super) struct Failures {
    rows: Vec<(FailureRow, Option<u16>)>,
    /// Where each is.
    index: HashMap<Way, usize>,
}

/// What makes two failures one row.
#[derive(PartialEq, Eq, Hash)]
struct Way {
    kind: FailureKind,
    stage: Stage,
    operation: Option<&'static str>,
    command: Option<&'static str>,
    mailbox: Option<u16>,
    message: String,
    server_line: String,
}

impl Failures {
    /// Counts a failure, that of an operation or of none.
    pub(super) fn add(&mut self, failure: &Failure, operation: Option<&Operation>) {
        let carried = operation.filter(|operation| operation.local_port.is_some());
        let way = Way {
            kind: failure.kind,
            stage: failure.stage,
            operation: carried.map(|operation| operation.name),
            command: carried.and_then(|operation| operation.failed_command),
            mailbox: carried.and_then(|operation| operation.mailbox),
            message: without_figures(&failure.message, 0),
            // The first words are its code: `550 5.1.1`, `NO [LIMIT]`.
            server_line: without_figures(failure.server_line.as_deref().unwrap_or_default(), 2),
        };
        let (operation, command, mailbox) = (way.operation, way.command, way.mailbox);
        let next = self.rows.len();
        match self.index.entry(way).or_insert(next) {
            at if *at < next => self.rows[*at].0.count += 1,
            _ => self.rows.push((
                FailureRow {
                    kind: failure.kind,
                    stage: failure.stage,
                    count: 1,
                    operation,
                    command,
                    mailbox: None,
                    message: failure.message.clone(),
                    server_line: failure.server_line.clone(),
                    further_lines: failure.further_lines.clone(),
                },
                mailbox,
            )),
        }
    }

    /// A row for each way, most frequent first.
    pub(super) fn rows(self, mailboxes: &[String]) -> Vec<FailureRow> {
        let named = |(row, mailbox): (FailureRow, Option<u16>)| {
            let mailbox = mailbox.and_then(|index| mailboxes.get(usize::from(index)).cloned());
            FailureRow { mailbox, ..row }
        };
        let mut rows: Vec<FailureRow> = self.rows.into_iter().map(named).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.count));
        rows
    }
}

/// The text without what differs from one failure to the next: times, sessions, a server's own numbers. The first so many
/// words stay as they are.
fn without_figures(text: &str, kept: usize) -> String {
    let words = text.split_whitespace().enumerate().map(|(at, word)| {
        let figures = at >= kept && word.contains(|c: char| c.is_ascii_digit());
        if figures { "0" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}
