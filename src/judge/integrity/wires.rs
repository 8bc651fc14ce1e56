//! What each session carried, in the order of its tags: no hole, one operation at a time, at least so many bytes, and what was
//! read came from what was selected last.
//!
//! Operations are told of in the order of their ends, and the next one on a connection may be faster: those that come too soon
//! wait for the ones before them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::checks::{Checks, Rule};
use super::places::Places;
use super::seen::{GRAIN, Seen, selected};
use crate::allocator::{ConnectionId, Disposal, SessionId};
use crate::event::{
    Command, Ending, HALVES, HowClosed, Leaves, Lock, Micros, Operation, RunStart, SessionClosed, SessionOpened, Tag,
    What, WorkerId,
};
use crate::judge::is_same_mailbox;
use crate::ledger::Ledger;
use crate::protocol::{FailureKind, Protocol};

/// After so many sessions' ends it is looked for those of which nothing more can be told, at least.
const SETTLE_AFTER: usize = 256;

/// Whoever closes a client waits longer than this for its sessions' ends before it counts those that are open.
const WAITED: Micros = Micros(1_000_000);

/// All sessions of which something may be told yet.
#[derive(Debug, Default)]
pub(super) struct Wires {
    wires: HashMap<SessionId, Wire>,
    ended: usize,
    /// The UIDVALIDITY that each mailbox was selected with, under a naive lock.
    validities: BTreeMap<Arc<str>, BTreeSet<u32>>,
    /// When the client's close had begun, and how many sessions have ended since.
    client_closed: Option<Micros>,
    ended_since: usize,
    /// What each thread of a scenario selected last, on what it passes or on any that it does not.
    own: HashMap<(WorkerId, Option<ConnectionId>), (Arc<str>, SessionId)>,
}

/// A session.
#[derive(Debug)]
struct Wire {
    /// The next command's number.
    due: u32,
    /// Whether the first may be 2: the client's library counts a sign-in that is not sent where the server has signed it in by
    /// itself (PREAUTH).
    may_begin_at_2: bool,
    /// Leases that came before those that are due, by the number of their first command and their event.
    early: BTreeMap<(u32, u64, bool), (Micros, Operation)>,
    /// When the last operation was over, as far as times tell: they tell of operations, not of each lease of one.
    free: Micros,
    naive: bool,
    /// What its commands, and the replies to them, take at least.
    sent: u64,
    received: u64,
    /// What was selected last, if it is known for sure.
    selected: Option<Made>,
    last: Option<Last>,
    closed: Option<Closed>,
}

/// A selection.
#[derive(Clone, Debug)]
struct Made {
    by: u64,
    mailbox: Arc<str>,
    uid_validity: Option<u32>,
}

/// The operation that had a session last.
#[derive(Debug)]
struct Last {
    issued_after: u64,
    seq: u64,
    gave_up: bool,
    broke: bool,
}

/// How a session ended.
#[derive(Debug)]
struct Closed {
    seq: u64,
    at: Micros,
    what: SessionClosed,
}

impl Wires {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>, places: &mut Places) {
        match seen.what {
            What::SessionOpened(it) => drop(self.wires.insert(it.session, Wire::new(seen, it))),
            What::ConnectionDisposed(it) if it.cause == Disposal::ClientClosed => {
                self.client_closed.get_or_insert(seen.at);
            }
            What::SessionClosed(it) => {
                self.ended_since += usize::from(self.client_closed.is_some());
                let wire = self.wires.get_mut(&it.session);
                seen.check(Rule::Sessions, wire.is_some(), || format!("{} ended, and was never opened", it.session));
                let Some(wire) = wire else { return };
                let closed = Closed { seq: seen.seq, at: seen.at, what: (**it).clone() };
                let before = wire.closed.replace(closed);
                seen.check(Rule::Sessions, before.is_none(), || format!("{} had ended before", it.session));
                self.ended += 1;
                if self.ended >= SETTLE_AFTER.max(self.wires.len() / 2) {
                    let horizon = seen.known.horizon().seq;
                    self.settle(seen.start, places, seen.checks, |wire| {
                        wire.closed.as_ref().is_some_and(|closed| closed.seq < horizon)
                    });
                    places.forget(horizon);
                }
            }
            What::Operation(operation) => self.operation(seen, operation),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, start: &RunStart, known: &Ledger, places: &mut Places, checks: &mut Checks) {
        let open = self.wires.values().filter(|wire| wire.closed.is_none()).count();
        let Ending { elapsed, still_open, .. } = known.ending().unwrap_or_default();
        // Who waits for them in vain counts those that end in that moment too; and under an interruption each thread may dial.
        let waited = elapsed - self.client_closed.unwrap_or(elapsed) >= WAITED;
        let ending = if waited || known.interrupted() { self.ended_since } else { 0 };
        let dialling = if known.interrupted() { start.workers.len() } else { 0 };
        checks.check(Rule::Sessions, None, (open..=open + ending + dialling).contains(&still_open), || {
            format!("{still_open} were still open at the end, {open} never ended")
        });
        self.settle(start, places, checks, |_| true);
        // A mailbox does not have another one's UIDVALIDITY beside its own. (Two can share theirs from the start.)
        for (mailbox, its_own) in self.validities.iter().filter(|(_, validities)| validities.len() > 1) {
            let others = self.validities.iter().filter(|(other, _)| !is_same_mailbox(other, mailbox));
            let shared = others.flat_map(|(_, others)| others.intersection(its_own)).next();
            checks.check(Rule::Outcomes, None, shared.is_none(), || {
                let validity = shared.copied().unwrap_or_default();
                format!("{mailbox} was selected with the UIDVALIDITY of another mailbox, {validity}")
            });
        }
    }

    fn settle(&mut self, start: &RunStart, places: &mut Places, checks: &mut Checks, is_over: impl Fn(&Wire) -> bool) {
        self.ended = 0;
        let mut over: Vec<_> = self.wires.extract_if(|_, wire| is_over(wire)).collect();
        over.sort_unstable_by_key(|(session, _)| *session);
        for (session, wire) in over {
            let mut life = places.life(session.connection);
            let disposed = life.as_ref().and_then(|life| life.disposed);
            if let Some(life) = &mut life {
                life.sessions = life.sessions.saturating_sub(1);
            }
            wire.settle(start, session, disposed, checks);
        }
    }

    fn operation(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        let (start, number) = (seen.start, operation.number);
        if start.scripted {
            self.relies_on_its_own(seen, operation);
        }
        if start.lock == Lock::Command {
            // Whoever selects under a naive lock has the connection for no command more. (A scenario's steps are units.)
            let unit = matches!(&*operation.commands, [first, .., last]
                if first.verb == "EXAMINE" && ["FETCH", "SEARCH"].contains(&last.verb));
            seen.check(Rule::Outcomes, !unit || start.scripted, || {
                format!("operation {number} selected and read in one lease, under a lock for each command")
            });
            let validity = operation.relied_on.as_deref().and_then(|selection| selection.uid_validity);
            if let (Some(mailbox), Some(validity)) = (&operation.mailbox, validity) {
                self.validities.entry(Arc::clone(mailbox)).or_default().insert(validity);
            }
        }
        let earlier = operation.relied_on.as_deref().map(|selection| (selection.session, &selection.commands, true));
        let last = operation.session.filter(|_| operation.local_port.is_some());
        for (session, commands, earlier) in earlier.into_iter().chain(last.map(|it| (it, &operation.commands, false))) {
            let wire = self.wires.get_mut(&session);
            seen.check(Rule::Sessions, wire.is_some(), || {
                format!("operation {number} ran, or relied on what was selected, on {session}, which was not open")
            });
            let Some(wire) = wire.filter(|_| !(earlier && commands.is_empty())) else { continue };
            if let Some(closed) = wire.closed.as_ref().filter(|_| !earlier) {
                let broke = closed.what.closed == HowClosed::Discarded && operation.issued_after <= closed.seq;
                seen.checks.check_unless_interrupted(Rule::Sessions, closed.seq, broke, || {
                    format!("{session} ended before operation {number} on it")
                });
            }
            let first = commands.first().map_or(u32::MAX, |command| command.tag.number);
            wire.begins_at(first);
            if first == wire.due {
                wire.carry(start, session, (seen.seq, seen.at), operation, earlier, seen.checks);
                while let Some(entry) = wire.early.first_entry().filter(|entry| entry.key().0 == wire.due) {
                    let ((_, seq, earlier), (at, operation)) = entry.remove_entry();
                    wire.carry(start, session, (seq, at), &operation, earlier, seen.checks);
                }
            } else {
                wire.early.insert((first, seen.seq, earlier), (seen.at, operation.clone()));
            }
        }
    }

    /// A scenario's thread that reads what is selected relies on what it selected last: on the connection that it passes, or
    /// on any of those that it does not pass (A7).
    fn relies_on_its_own(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        let place = (operation.worker, operation.passed);
        let reads = operation.name == HALVES[1];
        let due = self.own.get(&place).filter(|_| reads);
        let said = operation.relied_on.as_deref().map(|selection| selection.session);
        let holds = due.map(|(_, session)| *session) == said
            && (!reads || due.map(|(mailbox, _)| mailbox) == operation.mailbox.as_ref());
        seen.check(Rule::Outcomes, holds, || {
            let due = due.map_or_else(
                || "nothing that it had selected".to_owned(),
                |(mailbox, session)| format!("{mailbox}, which its thread had selected on {session}"),
            );
            format!("operation {} relies on {due}; it says otherwise", operation.number)
        });
        match (operation.leaves(), operation.session) {
            (Leaves::Selected(mailbox), Some(session)) => drop(self.own.insert(place, (mailbox, session))),
            (Leaves::Nothing, _) => drop(self.own.remove(&place)),
            _ => {}
        }
    }
}

impl Wire {
    fn new(seen: &mut Seen<'_>, opened: &SessionOpened) -> Self {
        let is_unsent = seen.start.protocol == Protocol::Imap && opened.signed_in_by.is_none();
        let mut wire = Self {
            due: 1,
            may_begin_at_2: is_unsent,
            early: BTreeMap::new(),
            free: seen.at,
            naive: false,
            sent: 0,
            received: 0,
            selected: None,
            last: None,
            closed: None,
        };
        let follow = (seen.start.protocol, opened.session, seen.seq);
        wire.follow(follow, &opened.commands, "the sign-in", seen.checks);
        wire
    }

    /// Its first command has that number, or it carried none but that one.
    fn begins_at(&mut self, first: u32) {
        if first == 2 && self.due == 1 && self.may_begin_at_2 {
            self.due = 2;
        }
    }

    /// One command after the other.
    fn follow(
        &mut self,
        (protocol, session, seq): (Protocol, SessionId, u64),
        commands: &[Command],
        what: &str,
        checks: &mut Checks,
    ) {
        if let Some(first) = commands.first() {
            self.begins_at(first.tag.number);
        }
        for Command { tag, verb } in commands {
            let (due, number) = (self.due, tag.number);
            let imap = protocol == Protocol::Imap;
            let due = Tag { number: due, imap };
            checks.check(Rule::Tags, seq, *tag == due, || {
                format!("command {due} of {session} is due, {verb} of {what} is {tag}")
            });
            self.due = number.saturating_add(1);
            let length = if imap { 2 + number.checked_ilog10().unwrap_or(0) as u64 + 1 } else { 0 };
            self.sent = self.sent.saturating_add(length + verb.len() as u64 + 2);
            self.received = self.received.saturating_add(3);
        }
    }

    /// What one lease carried of an operation.
    fn carry(
        &mut self,
        start: &RunStart,
        session: SessionId,
        (seq, at): (u64, Micros),
        operation: &Operation,
        earlier: bool,
        checks: &mut Checks,
    ) {
        let number = operation.number;
        let naive = selected(operation);
        let commands = if earlier { naive.map_or(&[][..], |it| &it.commands) } else { &operation.commands };
        self.follow((start.protocol, session, seq), commands, "an operation", checks);
        self.naive |= naive.is_some();
        if !self.naive {
            let began = at - operation.service_us + GRAIN;
            checks.check(Rule::Turns, seq, self.free <= began, || {
                let free = self.free;
                format!("operation {number} had {session} from {began} at the latest, it was taken until {free}")
            });
            self.free = operation.issued_at_us + operation.wait_us + operation.dial_us + operation.service_us;
        }
        if start.lock == Lock::Command {
            self.reads(session, seq, operation, earlier, commands, checks);
        }
        self.last = Some(Last {
            issued_after: operation.issued_after,
            seq,
            // A naive one that selected there may have gone on elsewhere.
            gave_up: !operation.is_ok() || operation.session != Some(session),
            broke: operation.session == Some(session) && breaks(operation),
        });
    }

    /// Only where others can come between selecting and reading.
    fn reads(
        &mut self,
        session: SessionId,
        seq: u64,
        operation: &Operation,
        earlier: bool,
        commands: &[Command],
        checks: &mut Checks,
    ) {
        for command in commands {
            if command.verb == "EXAMINE" {
                // One that may have failed leaves it open what is selected.
                let relied = operation.relied_on.as_deref();
                let mailbox = operation.mailbox.clone().filter(|_| relied.is_some() || operation.is_ok());
                let uid_validity = relied.and_then(|selection| selection.uid_validity);
                self.selected = mailbox.map(|mailbox| Made { by: operation.number, mailbox, uid_validity });
            }
        }
        let (Some(answer), Some(made), false) = (&operation.answered_by, &self.selected, earlier) else { return };
        let mailbox = answer.mailbox.as_deref().is_none_or(|mailbox| is_same_mailbox(mailbox, &made.mailbox));
        let validity = answer.uid_validity.zip(made.uid_validity).is_none_or(|(answered, made)| answered == made);
        checks.check(Rule::Outcomes, seq, mailbox && validity, || {
            let Made { by, mailbox, .. } = made;
            let number = operation.number;
            format!(
                "operation {number} was answered from another mailbox than {mailbox}, which operation {by} had selected on \
                 {session} last"
            )
        });
    }

    /// Nothing more can be told of it.
    fn settle(mut self, start: &RunStart, session: SessionId, disposed: Option<(u64, Disposal)>, checks: &mut Checks) {
        for ((_, seq, earlier), (at, operation)) in std::mem::take(&mut self.early) {
            self.carry(start, session, (seq, at), &operation, earlier, checks);
        }
        let Some(Closed { seq, at, what }) = self.closed.take() else { return };
        self.follow((start.protocol, session, seq), &what.commands, "the goodbye", checks);
        self.begins_at(what.carried.saturating_add(1));
        checks.check(Rule::Tags, seq, what.carried.checked_add(1) == Some(self.due), || {
            format!("{session} carried {} commands, {} are written down", what.carried, self.due - 1)
        });
        let free = self.free;
        checks.check(Rule::Turns, seq, free <= at, || format!("{session} ended at {at}, it was in use until {free}"));
        if what.closed == HowClosed::Discarded {
            self.broke(start, session, seq, disposed, checks);
            return;
        }
        // What a broken one sent last may never have left, and never been answered.
        let (sent, received) = (self.sent, self.received);
        let holds = what.bytes_sent >= sent && what.bytes_received.saturating_add(3) >= received;
        checks.check(Rule::Bytes, seq, holds, || {
            let (out, back) = (what.bytes_sent, what.bytes_received);
            format!("{session} sent {out} bytes and received {back}; its commands take {sent}, the replies {received}")
        });
    }

    /// Whoever finds a session broken drops it before anything else; or it is found when it is to be closed.
    fn broke(
        &self,
        start: &RunStart,
        session: SessionId,
        seq: u64,
        disposed: Option<(u64, Disposal)>,
        checks: &mut Checks,
    ) {
        let to_be_closed = disposed.is_some_and(|(at, cause)| at < seq && cause != Disposal::Broken);
        let by_last = self.last.as_ref().is_some_and(|last| {
            let during = last.issued_after..last.seq;
            let broken = disposed.is_none_or(|(at, cause)| cause != Disposal::Broken || during.contains(&at));
            during.contains(&seq) && broken && last.gave_up
        });
        let broke = self.last.as_ref().is_some_and(|last| last.broke);
        // A scenario's thread that keeps its connection finds it broken when it gives it back.
        let kept = start.scripted && !broke;
        checks.check_unless_interrupted(Rule::Sessions, seq, by_last || (to_be_closed && !broke) || kept, || {
            format!("{session} was discarded, neither by the operation that broke it nor at its end")
        });
    }
}

fn breaks(operation: &Operation) -> bool {
    use FailureKind::{Disposed, Internal};
    operation.failure.as_deref().is_some_and(|it| it.ends_its_connection() && !matches!(it.kind, Disposed | Internal))
}
