//! A row for each connection, as far as there is room.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::times::{Durations, Spreads};
use crate::allocator::{ConnectionId, Kind};
use crate::event::{Event, What};
use crate::ledger::{Analysis, Ledger};

/// The most connections that have a row, besides main: the first ones. A pool's tasks may open one each.
pub const CONNECTION_ROWS: usize = 1000;

/// What one connection did.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct ConnectionRow {
    /// The connection.
    pub connection: ConnectionId,
    /// What it is.
    pub kind: Kind,
    /// How many operations it was given to.
    pub operations: u64,
    /// How long those took, and its dials.
    #[serde(flatten)]
    pub spreads: Spreads,
}

/// The connections of a run.
#[derive(Debug, Default)]
pub(super) struct Connections {
    /// How many operations were given a connection that has no row.
    pub(super) others: u64,
    rows: BTreeMap<ConnectionId, OfConnection>,
}

#[derive(Debug)]
struct OfConnection {
    kind: Kind,
    operations: u64,
    durations: Durations,
}

impl Analysis for Connections {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => {
                if let Some(row) = self.row(opened.connection, known) {
                    row.durations.dial.add(event.at - opened.began_us);
                }
            }
            What::Operation(operation) => {
                let Some(connection) = operation.connection else { return };
                let Some(row) = self.row(connection, known) else {
                    self.others += 1;
                    return;
                };
                row.operations += 1;
                row.durations.wait.add(operation.wait_us);
                if operation.local_port.is_some() {
                    row.durations.service.add(operation.service_us);
                }
            }
            _ => {}
        }
    }
}

impl Connections {
    /// A row for each, in the order of their numbers.
    pub(super) fn rows(&self) -> Vec<ConnectionRow> {
        let row = |(connection, of): (&ConnectionId, &OfConnection)| ConnectionRow {
            connection: *connection,
            kind: of.kind,
            operations: of.operations,
            spreads: of.durations.spreads(),
        };
        self.rows.iter().map(row).collect()
    }

    fn row(&mut self, connection: ConnectionId, known: &Ledger) -> Option<&mut OfConnection> {
        let others = self.rows.len() - usize::from(self.rows.contains_key(&ConnectionId::MAIN));
        let is_main = connection == ConnectionId::MAIN;
        if others >= CONNECTION_ROWS && !is_main && !self.rows.contains_key(&connection) {
            return None;
        }
        let kind = || known.place(connection).map_or(Kind::Main, |place| place.kind);
        let new = || OfConnection { kind: kind(), operations: 0, durations: Durations::default() };
        Some(self.rows.entry(connection).or_insert_with(new))
    }
}
