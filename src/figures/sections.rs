//! The stretches of a run between two changes of the mode.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::allocator::{ConnectionId, Kind, Mode, Reason};
use crate::event::{Event, Issued, Micros, Operation, What};
use crate::ledger::{Analysis, Ledger};

/// What was done under one mode, until another was set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SectionRow {
    /// The mode.
    pub mode: Mode,
    /// When it came into force, since the start.
    pub began_us: Micros,
    /// Operations that were issued under it.
    pub operations: Issued,
    /// The connections that they were given: how many operations each was given to, by its name.
    #[serde(serialize_with = "given")]
    #[schemars(with = "BTreeMap<String, u64>")]
    pub connections: BTreeMap<ConnectionId, (Kind, u64)>,
    /// How many operations had each reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

/// How many operations each connection was given to, by the connections' names.
fn given<S: Serializer>(connections: &BTreeMap<ConnectionId, (Kind, u64)>, to: S) -> Result<S::Ok, S::Error> {
    let given = connections.iter().map(|(connection, (_, given))| (connection.to_string(), given));
    given.collect::<BTreeMap<_, _>>().serialize(to)
}

/// The sections, in order.
#[derive(Debug, Default)]
pub struct Sections {
    /// Each, and how many events there were when it began.
    sections: Vec<(u64, SectionRow)>,
}

impl Analysis for Sections {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::RunStart(start) => self.begin(0, start.mode, Micros::ZERO),
            What::ModeChanged(changed) => self.begin(event.seq + 1, changed.to, event.at),
            What::Operation(operation) => {
                let kind = |connection| known.place(connection).map_or(Kind::Main, |place| place.kind);
                if let Some(section) = self.section_of(operation) {
                    section.add(operation, kind);
                }
            }
            _ => {}
        }
    }
}

impl Sections {
    /// A row for each section, in their order.
    pub fn rows(&self) -> impl Iterator<Item = &SectionRow> {
        self.sections.iter().map(|(_, row)| row)
    }

    fn begin(&mut self, since: u64, mode: Mode, began_us: Micros) {
        let (connections, reasons) = (BTreeMap::new(), BTreeMap::new());
        let operations = Issued::default();
        self.sections.push((since, SectionRow { mode, began_us, operations, connections, reasons }));
    }

    /// The section that the operation was issued in. The mode may change between the operation's beginning and the decision
    /// on its connection: then the operation belongs to the first section of its mode from there on.
    fn section_of(&mut self, operation: &Operation) -> Option<&mut SectionRow> {
        let began_in = self.sections.iter().rposition(|(since, _)| *since <= operation.issued_after)?;
        let of_its_mode = self.sections.iter().skip(began_in).position(|(_, section)| section.mode == operation.mode);
        self.sections.get_mut(began_in + of_its_mode.unwrap_or(0)).map(|(_, section)| section)
    }
}

impl SectionRow {
    fn add(&mut self, operation: &Operation, kind: impl Fn(ConnectionId) -> Kind) {
        self.operations.add(operation.is_ok());
        *self.reasons.entry(operation.reason.map_or("refused", Reason::name)).or_default() += 1;
        if let Some(connection) = operation.connection {
            self.connections.entry(connection).or_insert_with(|| (kind(connection), 0)).1 += 1;
        }
    }
}
