//! A row for each kind of operation.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::times::{Durations, Spreads};
use crate::event::{Event, Issued, Operation, OperationName, What, Word};
use crate::ledger::{Analysis, Ledger};

/// What the operations of one name come to.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct OperationRow {
    /// Their protocol's word for them: `noop`, `fetch`, `send`, ….
    #[serde(rename = "operation")]
    #[schemars(with = "OperationName")]
    pub name: Word,
    /// How many there were.
    pub operations: Issued,
    /// How long they took. Of dials only those that an operation needed.
    #[serde(flatten)]
    pub spreads: Spreads,
}

/// The operations by their names: there is a word for each in a fixed list, so there are few.
#[derive(Debug, Default)]
pub(super) struct Operations {
    names: BTreeMap<Word, (Issued, Durations)>,
}

impl Analysis for Operations {
    fn see(&mut self, event: &Event, _: &Ledger) {
        if let What::Operation(operation) = &event.what {
            self.add(operation);
        }
    }
}

impl Operations {
    /// A row for each name, by the alphabet.
    pub(super) fn rows(&self) -> Vec<OperationRow> {
        let row = |(name, (operations, durations)): (&Word, &(Issued, Durations))| OperationRow {
            name,
            operations: *operations,
            spreads: durations.spreads(),
        };
        self.names.iter().map(row).collect()
    }

    fn add(&mut self, operation: &Operation) {
        let (operations, durations) = self.names.entry(operation.name).or_default();
        operations.add(operation.is_ok());
        durations.wait.add(operation.wait_us);
        if operation.local_port.is_some() {
            durations.service.add(operation.service_us);
            if operation.opened {
                durations.dial.add(operation.dial_us);
            }
        }
    }
}
