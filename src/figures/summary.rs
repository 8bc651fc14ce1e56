//! A run in figures, all of them.

use std::collections::BTreeMap;

use super::connections::{self, ConnectionRow};
use super::failures::{FailureRow, Failures};
use super::operations::{OperationRow, Operations};
use super::sections::{SectionRow, Sections};
use super::sessions::{Protection, Rest, SessionRow, Sessions};
use super::tasks::{TaskRow, Tasks};
use super::times::Spreads;
use super::work::{Work, WorkerRow};
use crate::event::{Connections, Counts, CutOff, Event, Latency, Micros, What};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::FailureKind;

/// Counts a run as it goes by.
#[derive(Debug, Default)]
pub struct Figures {
    /// The sessions.
    pub sessions: Sessions,
    /// The failures.
    pub failures: Failures,
    /// The operations.
    pub work: Work,
    operations: Operations,
    connections: connections::Connections,
    sections: Sections,
    tasks: Tasks,
    /// One for each worker or task at most.
    left_mailboxes: Vec<String>,
}

/// A run in figures.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Operations in all: the sum of the tasks' where there are tasks, else of the workers'.
    pub operations: Counts,
    /// A row for each worker, in their order.
    pub workers: Vec<WorkerRow>,
    /// A row for each task, in their order; none if the workers do the work themselves.
    pub tasks: Vec<TaskRow>,
    /// A row for each kind of operation.
    pub by_operation: Vec<OperationRow>,
    /// A row for each connection that has one, in the order of their numbers.
    pub by_connection: Vec<ConnectionRow>,
    /// How many operations were given a connection that has no row.
    pub on_other_connections: u64,
    /// A row for each stretch of the run between two changes of the mode, in their order: one if there was none.
    pub sections: Vec<SectionRow>,
    /// A row for each session that has one, in the order of their dials.
    pub sessions: Vec<SessionRow>,
    /// What the other sessions come to.
    pub rest: Rest,
    /// How all sessions that were opened are protected.
    pub protection: Protection,
    /// Each way of failing, most frequent first.
    pub failures: Vec<FailureRow>,
    /// How often it failed in ways that have no row, because there were too many.
    pub other_failures: u64,
    /// How often each kind of failure was met, in whatever way.
    pub failures_by_kind: BTreeMap<FailureKind, u64>,
    /// The scratch mailboxes that may still be on the server.
    pub left_mailboxes: Vec<String>,
    /// The client's connections.
    pub connections: Connections,
    /// Dials that failed.
    pub refused: usize,
    /// Sessions opened in the place of another.
    pub opened_again: usize,
    /// Sign-ins that were tried, refused ones too.
    pub sign_ins: u64,
    /// Operations that a session carried.
    pub carried: u64,
    /// How long dials waited for other sign-ins of the account (rule B6): in all, and the longest.
    pub held: (Micros, Micros),
    /// Those that stood in line when the time was over.
    pub cut_off: CutOff,
    /// From the beginning of the first operation that a session carried to the end of the last.
    pub worked: Micros,
    /// How much of that had passed when the last session was there.
    pub connecting: Micros,
    /// Waits of all operations.
    pub wait: Latency,
    /// Service times of all operations that reached a server.
    pub service: Latency,
    /// All of that in full, and the dials of all sessions.
    pub spreads: Spreads,
    /// What all operations together waited.
    pub total_wait: Micros,
    /// What the dials of all sessions together took.
    pub total_dial: Micros,
    /// What all operations together were served.
    pub total_service: Micros,
}

impl Analysis for Figures {
    fn see(&mut self, event: &Event, known: &Ledger) {
        self.sessions.see(event, known);
        self.failures.see(event, known);
        self.work.see(event, known);
        self.operations.see(event, known);
        self.connections.see(event, known);
        self.sections.see(event, known);
        self.tasks.see(event, known);
        if let What::MailboxLeft(left) = &event.what {
            self.left_mailboxes.push(left.mailbox.clone());
        }
    }

    fn end(&mut self, known: &Ledger) {
        self.sessions.end(known);
    }
}

impl Figures {
    /// The figures so far.
    #[must_use]
    pub fn summary(&self, known: &Ledger) -> Summary {
        let (workers, tasks) = (self.work.rows(known), self.tasks.rows(known).collect::<Vec<_>>());
        let operations = if tasks.is_empty() {
            workers.iter().fold(Counts::default(), |sum, row| sum.plus(row.operations))
        } else {
            tasks.iter().fold(Counts::default(), |sum, row| sum.plus(row.operations))
        };
        let Self { sessions, failures, work, sections, left_mailboxes, .. } = self;
        Summary {
            operations,
            workers,
            tasks,
            by_operation: self.operations.rows(),
            by_connection: self.connections.rows(),
            on_other_connections: self.connections.others,
            sections: sections.rows().cloned().collect(),
            sessions: sessions.rows().into_iter().cloned().collect(),
            rest: sessions.rest,
            protection: sessions.protection.clone(),
            failures: failures.rows(),
            other_failures: failures.others,
            failures_by_kind: failures.kinds.clone(),
            left_mailboxes: left_mailboxes.clone(),
            connections: Connections {
                opened: sessions.opened,
                peak: sessions.peak,
                main_opened: sessions.main_opened,
                still_open: known.ending().map_or(0, |ending| ending.still_open),
            },
            refused: sessions.refused,
            opened_again: sessions.opened_again,
            sign_ins: sessions.sign_ins,
            carried: sessions.carried,
            held: sessions.held,
            cut_off: work.cut_off,
            worked: work.worked(),
            connecting: work.connecting(),
            wait: work.all.wait.latency(),
            service: work.all.service.latency(),
            spreads: work.all.spreads(),
            total_wait: work.all.wait.total(),
            total_dial: work.all.dial.total(),
            total_service: work.all.service.total(),
        }
    }
}
