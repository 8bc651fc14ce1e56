//! The stretches of a run between two changes of the mode: pure, from a [`Run`] alone.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run::{Entry, Operation, Run, What};
use crate::allocator::{ConnectionId, Kind, Mode, Reason};

/// What was done under one mode, until another was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SectionRow {
    /// The mode.
    pub mode: Mode,
    /// When it came into force, since the start.
    pub began: Duration,
    /// Operations that were issued under it and succeeded.
    pub ok: u64,
    /// Those that failed.
    pub failed: u64,
    /// The connections that they were given: what each is, and how many operations it was given to.
    pub connections: BTreeMap<ConnectionId, (Kind, u64)>,
    /// How many operations had each reason.
    pub reasons: BTreeMap<&'static str, u64>,
}

impl SectionRow {
    /// How many operations were issued under it.
    #[must_use]
    pub const fn issued(&self) -> u64 {
        self.ok + self.failed
    }

    fn new(mode: Mode, began: Duration) -> Self {
        Self { mode, began, ok: 0, failed: 0, connections: BTreeMap::new(), reasons: BTreeMap::new() }
    }
}

/// A row for each section, in their order.
pub(super) fn rows(run: &Run) -> Vec<SectionRow> {
    // Each section, and how many entries there were when it began.
    let mut sections = vec![(0, SectionRow::new(run.header.mode, Duration::ZERO))];
    let mut kinds = BTreeMap::from([(ConnectionId::MAIN, Kind::Main)]);
    for Entry { seq, at, what } in &run.entries {
        match what {
            What::ModeChanged { to, .. } => sections.push((seq + 1, SectionRow::new(*to, *at))),
            What::Created { connection, kind, .. } => {
                kinds.insert(*connection, *kind);
            }
            What::Operation(operation) => {
                if let Some(section) = section_of(&mut sections, operation) {
                    section.add(operation, &kinds);
                }
            }
            _ => {}
        }
    }
    sections.into_iter().map(|(_, section)| section).collect()
}

/// The section that the operation was issued in. Whoever sets the mode may do so between the operation's beginning and
/// the decision on its connection: then it belongs to the first section of its mode from there on.
fn section_of<'a>(sections: &'a mut [(u64, SectionRow)], operation: &Operation) -> Option<&'a mut SectionRow> {
    let began_in = sections.iter().rposition(|(since, _)| *since <= operation.issued_after)?;
    let of_its_mode = sections.iter().skip(began_in).position(|(_, section)| section.mode == operation.mode);
    sections.get_mut(began_in + of_its_mode.unwrap_or(0)).map(|(_, section)| section)
}

impl SectionRow {
    fn add(&mut self, operation: &Operation, kinds: &BTreeMap<ConnectionId, Kind>) {
        match operation.outcome {
            Ok(_) => self.ok += 1,
            Err(_) => self.failed += 1,
        }
        *self.reasons.entry(operation.reason.map_or("refused", Reason::name)).or_default() += 1;
        if let Some(session) = operation.session {
            let kind = kinds.get(&session.connection).copied().unwrap_or(Kind::Main);
            self.connections.entry(session.connection).or_insert((kind, 0)).1 += 1;
        }
    }
}
