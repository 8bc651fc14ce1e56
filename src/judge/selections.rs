//! Who selected which mailbox on which session: what an operation read, and what it could rely on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::allocator::SessionId;
use crate::event::{Event, Leaves, Operation, WorkerId};
use crate::ledger::Ledger;

/// The least number of selections between two searches for those that can be forgotten.
const FORGET_AFTER: usize = 256;
/// The most that are kept of one session, the newest. No operation is recorded as much later than it read.
const KEPT: usize = 1024;

/// The selections that an operation which is told of later can have read from.
///
/// Operations come in the order of their ends. So which selection was the last before a reading is known only when all that
/// were under way at its end have ended, too: until then a [`Reading`] waits for each further one.
#[derive(Debug, Default)]
pub(super) struct Selections {
    sessions: HashMap<SessionId, OfSession>,
    added: usize,
}

#[derive(Debug, Default)]
struct OfSession {
    /// In the order of their tags.
    made: Vec<Made>,
    /// Each worker's last one.
    own: HashMap<WorkerId, Own>,
}

/// A selection.
#[derive(Clone, Debug)]
pub(super) struct Made {
    session: SessionId,
    tag: u32,
    /// The operation that made it.
    pub(super) number: u64,
    /// Whose that was.
    pub(super) worker: WorkerId,
    /// What it selected.
    pub(super) mailbox: Arc<str>,
    /// The event of its end.
    pub(super) seq: u64,
}

/// The selection of its own that an operation relies on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Own {
    tag: u32,
    /// The operation that made it.
    pub(super) number: u64,
    /// The event of its end.
    pub(super) seq: u64,
}

/// An operation that read from whatever was selected where it ran.
#[derive(Debug)]
pub(super) struct Reading {
    session: SessionId,
    tag: u32,
    /// The event of its end.
    seq: u64,
    /// The operation.
    pub(super) number: u64,
    /// The selection that it relies on, if an operation of its thread made it before.
    pub(super) own: Option<Own>,
    /// The last selection before it on its session, as far as is known.
    pub(super) last: Option<Made>,
}

impl Selections {
    /// Adds what the operation selected, tells those that wait of it, and returns the operation's own reading.
    pub(super) fn add<'a>(
        &mut self,
        event: &Event,
        operation: &Operation,
        waiting: impl Iterator<Item = &'a mut Reading>,
    ) -> Option<Reading> {
        if operation.mailbox.is_none() && operation.relied_on.is_none() {
            return None;
        }
        let own = self.own(operation);
        let made = selected(event, operation);
        for reading in waiting {
            made.iter().for_each(|made| reading.meet(made));
        }
        for made in made {
            self.sessions.entry(made.session).or_default().add(made);
            self.added += 1;
        }
        let session = operation.session?;
        // Whatever sent nothing read nothing that was selected.
        let tag = operation.commands.last().map_or(0, |command| command.tag.number);
        let last = self.sessions.get(&session).and_then(|of| of.before(tag)).cloned();
        Some(Reading { session, tag, seq: event.seq, number: operation.number, own, last })
    }

    fn own(&self, operation: &Operation) -> Option<Own> {
        let relied_on = operation.relied_on.as_deref()?.session;
        self.sessions.get(&relied_on)?.own.get(&operation.worker).copied()
    }

    /// From time to time: forgets what no operation that is told of later can have read. True if it is that time.
    pub(super) fn forget(&mut self, known: &Ledger) -> bool {
        let made = || self.sessions.values().map(|of| of.made.len()).sum::<usize>();
        // As many came as were kept the last time.
        if self.added < FORGET_AFTER || self.added < made() / 2 {
            return false;
        }
        self.added = 0;
        let horizon = known.horizon().seq;
        let scripted = known.start().is_some_and(|start| start.scripted);
        self.sessions.retain(|session, of| {
            if !scripted {
                of.forget(horizon);
            }
            known.session(*session).is_some()
        });
        true
    }
}

/// What the operation selected, by its own commands.
fn selected(event: &Event, operation: &Operation) -> Vec<Made> {
    let Some(mailbox) = &operation.mailbox else { return Vec::new() };
    // What an earlier lease selected, it selected: the operation came to rely on it.
    let earlier = operation.relied_on.as_deref().map(|selection| (selection.session, &selection.commands));
    let last = operation.session.filter(|_| matches!(operation.leaves(), Leaves::Selected(_)));
    let last = last.map(|session| (session, &operation.commands));
    let leases = earlier.into_iter().chain(last);
    let examined = leases.flat_map(|(session, commands)| commands.iter().map(move |command| (session, command)));
    examined
        .filter(|(_, command)| command.verb == "EXAMINE")
        .map(|(session, command)| Made {
            session,
            tag: command.tag.number,
            number: operation.number,
            worker: operation.worker,
            mailbox: mailbox.clone(),
            seq: event.seq,
        })
        .collect()
}

impl OfSession {
    fn add(&mut self, made: Made) {
        let own = Own { tag: made.tag, number: made.number, seq: made.seq };
        let last = self.own.entry(made.worker).or_insert(own);
        if last.tag <= made.tag {
            *last = own;
        }
        let at = self.made.partition_point(|other| other.tag < made.tag);
        self.made.insert(at, made);
    }

    fn before(&self, tag: u32) -> Option<&Made> {
        let at = self.made.partition_point(|made| made.tag < tag);
        self.made.get(at.checked_sub(1)?)
    }

    /// Of those that ended before the horizon, the last one may still be read from.
    fn forget(&mut self, horizon: u64) {
        let last = self.made.iter().filter(|made| made.seq < horizon).map(|made| made.tag).max().unwrap_or_default();
        self.made.retain(|made| made.seq >= horizon || made.tag == last);
        self.made.drain(..self.made.len().saturating_sub(KEPT));
    }
}

impl Reading {
    /// Another selection is told, which may have come before it.
    fn meet(&mut self, made: &Made) {
        let between = self.last.as_ref().map_or(0, |last| last.tag)..self.tag;
        if made.session == self.session && between.contains(&made.tag) {
            self.last = Some(made.clone());
        }
    }

    /// Whether all is known that came before it.
    pub(super) fn is_settled(&self, known: &Ledger) -> bool {
        self.seq < known.horizon().seq
    }
}
