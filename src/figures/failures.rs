//! The ways in which operations, creations and dials failed: a row for each that differs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::event::{Event, Operation, OperationName, What};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{Failure, FailureKind, Stage};

/// The most ways that are told apart, besides the first of each kind. Further ones count together, as [`Failures::others`].
pub const FAILURE_ROWS: usize = 1000;

/// One way of failing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FailureRow {
    /// What.
    pub kind: FailureKind,
    /// Where.
    pub stage: Stage,
    /// How often.
    pub count: u64,
    /// The operation that failed, if a connection carried it: what fails before is no operation's own.
    #[schemars(with = "Option<OperationName>")]
    pub operation: Option<&'static str>,
    /// The command of it that the server refused, or left unanswered.
    pub command: Option<&'static str>,
    /// The mailbox that it worked on.
    pub mailbox: Option<Arc<str>>,
    /// In words, from the first of them.
    pub message: String,
    /// The server's own line, from the first of them that has one.
    pub server_line: Option<String>,
    /// What else it said with that line.
    pub further_lines: Vec<String>,
}

/// Failures, as they are counted.
#[derive(Debug, Default)]
pub struct Failures {
    /// How often it failed in ways that have no row, because there were too many.
    pub others: u64,
    /// How often each kind was met, in whatever way.
    pub kinds: BTreeMap<FailureKind, u64>,
    rows: Vec<FailureRow>,
    /// Where each is.
    index: HashMap<Way, usize>,
}

/// What makes two failures one row.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Way {
    kind: FailureKind,
    stage: Stage,
    operation: Option<&'static str>,
    command: Option<&'static str>,
    mailbox: Option<Arc<str>>,
    message: String,
    server_line: String,
}

impl Analysis for Failures {
    fn see(&mut self, event: &Event, _: &Ledger) {
        match &event.what {
            What::Operation(operation) => {
                if let Some(failure) = &operation.failure {
                    self.add(failure, Some(operation));
                }
            }
            What::WorkerStopped(stopped) => {
                if let Some(failure) = &stopped.failure {
                    self.add(failure, None);
                }
            }
            What::TaskStopped(stopped) => {
                if let Some(failure) = &stopped.failure {
                    self.add(failure, None);
                }
            }
            _ => {}
        }
    }
}

impl Failures {
    /// Counts a failure, that of an operation or of none.
    fn add(&mut self, failure: &Failure, operation: Option<&Operation>) {
        let met = self.kinds.entry(failure.kind).or_default();
        *met += 1;
        let is_first = *met == 1;
        let carried = operation.filter(|operation| operation.local_port.is_some());
        let way = Way {
            kind: failure.kind,
            stage: failure.stage,
            operation: carried.map(|operation| operation.name),
            command: carried.and_then(|operation| operation.failed_command),
            mailbox: carried.and_then(|operation| operation.mailbox.clone()),
            message: without_figures(&failure.message, 0),
            // The first words are its code: `550 5.1.1`, `NO [LIMIT]`.
            server_line: without_figures(failure.server_line.as_deref().unwrap_or_default(), 2),
        };
        if let Some(row) = self.index.get(&way).and_then(|at| self.rows.get_mut(*at)) {
            row.count += 1;
            return;
        }
        // A kind without a row would seem never to have been met: what a run comes to rests on the kinds.
        if self.rows.len() >= FAILURE_ROWS && !is_first {
            self.others += 1;
            return;
        }
        self.rows.push(FailureRow {
            kind: failure.kind,
            stage: failure.stage,
            count: 1,
            operation: way.operation,
            command: way.command,
            mailbox: way.mailbox.clone(),
            message: failure.message.clone(),
            server_line: failure.server_line.clone(),
            further_lines: failure.further_lines.clone(),
        });
        self.index.insert(way, self.rows.len() - 1);
    }

    /// A row for each way, most frequent first.
    #[must_use]
    pub fn rows(&self) -> Vec<FailureRow> {
        let mut rows = self.rows.clone();
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
