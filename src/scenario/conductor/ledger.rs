//! What is open now, by each client's own record.

use std::collections::{BTreeMap, BTreeSet};

use super::Conductor;
use crate::allocator::{ConnectionId, Kind, SessionId};
use crate::event::{ConnectionCreated, Event, What, WorkerId};
use crate::scenario::script::{Victim, Which};

impl Conductor<'_> {
    /// Takes over what a client's recorder holds.
    pub(super) fn collect(&mut self, client: usize) {
        let Some(room) = self.floor.clients.get(client).and_then(|place| place.get()) else { return };
        if let Some(events) = self.events.get_mut(client) {
            events.append(&mut room.recorder.take(Vec::new()));
        }
    }

    /// What a client's recorder was told by now.
    pub(super) fn events(&mut self, client: usize) -> &[Event] {
        self.collect(client);
        self.events.get(client).map_or(&[], Vec::as_slice)
    }

    /// The open session of that connection, and its port.
    pub(super) fn port_of(&mut self, victim: &Victim) -> Option<(SessionId, u16)> {
        let id = match victim.which {
            Which::Main => ConnectionId::MAIN,
            Which::Connection(number) => self.floor.connection(number)?.id(),
            Which::DefaultOf(thread) => self.default_of(victim.client, thread)?,
        };
        let open = open(self.events(victim.client));
        open.into_iter().find(|(session, _)| session.connection == id)
    }

    fn default_of(&mut self, client: usize, thread: usize) -> Option<ConnectionId> {
        let thread = WorkerId(u32::try_from(thread).ok()?);
        let mut found = None;
        for event in self.events(client) {
            match &event.what {
                What::ConnectionCreated(it) if it.kind == Kind::Default && it.worker == Some(thread) => {
                    found = Some(it.connection);
                }
                What::ConnectionDisposed(it) if found == Some(it.connection) => found = None,
                _ => {}
            }
        }
        found
    }
}

/// The sessions that are open, with their ports.
pub(super) fn open(events: &[Event]) -> BTreeMap<SessionId, u16> {
    let mut open = BTreeMap::new();
    for event in events {
        match &event.what {
            What::SessionOpened(opened) => {
                open.insert(opened.session, opened.local_port);
            }
            What::SessionClosed(closed) => {
                open.remove(&closed.session);
            }
            _ => {}
        }
    }
    open
}

/// The names of all connections that are defaults.
pub(super) fn defaults(events: &[Event]) -> BTreeSet<ConnectionId> {
    let created = events.iter().filter_map(|event| match event.what {
        What::ConnectionCreated(ConnectionCreated { connection, kind: Kind::Default, .. }) => Some(connection),
        _ => None,
    });
    created.collect()
}
