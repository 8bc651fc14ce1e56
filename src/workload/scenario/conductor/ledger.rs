//! What is open now, by each client's own record.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use crate::allocator::{ConnectionId, Kind, SessionId};
use crate::record::{Entry, What, WorkerId};
use crate::workload::scenario::script::{Victim, Which};

impl Conductor<'_> {
    /// Takes over what a client's recorder holds.
    pub(super) fn collect(&mut self, client: usize) {
        let Some(room) = self.floor.clients.get(client).and_then(|place| place.get()) else { return };
        if let Some(entries) = self.entries.get_mut(client) {
            entries.append(&mut room.recorder.take(Vec::new()));
        }
    }

    /// What a client's record holds by now.
    pub(super) fn entries(&mut self, client: usize) -> &[Entry] {
        self.collect(client);
        self.entries.get(client).map_or(&[], Vec::as_slice)
    }

    /// The open session of that connection, and its port.
    pub(super) fn port_of(&mut self, victim: &Victim) -> Option<(SessionId, u16)> {
        let id = match victim.which {
            Which::Main => ConnectionId::MAIN,
            Which::Connection(number) => self.floor.connection(number)?.id(),
            Which::DefaultOf(thread) => self.default_of(victim.client, thread)?,
        };
        let open = open(self.entries(victim.client));
        open.into_iter().find(|(session, _)| session.connection == id)
    }

    fn default_of(&mut self, client: usize, thread: usize) -> Option<ConnectionId> {
        let thread = WorkerId(u32::try_from(thread).ok()?);
        let mut found = None;
        for entry in self.entries(client) {
            match entry.what {
                What::Created { connection, kind: Kind::Default, worker, .. } if worker == Some(thread) => {
                    found = Some(connection);
                }
                What::Disposed { connection, .. } if found == Some(connection) => found = None,
                _ => {}
            }
        }
        found
    }
}

/// The sessions that are open, with their ports.
pub(super) fn open(entries: &[Entry]) -> BTreeMap<SessionId, u16> {
    let mut open = BTreeMap::new();
    for entry in entries {
        match &entry.what {
            What::Opened(opened) => {
                open.insert(opened.session, opened.local_port);
            }
            What::Closed(closed) => {
                open.remove(&closed.session);
            }
            _ => {}
        }
    }
    open
}

/// The names of all connections that are defaults.
pub(super) fn defaults(entries: &[Entry]) -> BTreeSet<ConnectionId> {
    let created = entries.iter().filter_map(|entry| match entry.what {
        What::Created { connection, kind: Kind::Default, .. } => Some(connection),
        _ => None,
    });
    created.collect()
}
