//! Which mailbox was selected when it was read: under a naive lock the last one that was selected on the session, whoever
//! did; and in a scenario which one the thread takes for selected.

use std::collections::{BTreeMap, BTreeSet};

use super::{Audit, OUTCOMES};
use crate::allocator::{ConnectionId, SessionId};
use crate::event::HALVES;
use crate::judge::is_same_mailbox;
use crate::record::run::{Leaves, Lock, Operation, Run, WorkerId};

/// A selection, as whoever made it knows it.
struct Made<'a> {
    by: u64,
    mailbox: &'a str,
    uid_validity: Option<u32>,
}

/// Only where others can come between selecting and reading; a unit is [`TABLE`](super::TABLE)'s.
pub(super) fn check(run: &Run, audit: &mut Audit) {
    if run.header.scripted {
        relies_on_its_own(run, audit);
    }
    if run.header.lock != Lock::Command {
        return;
    }
    gave_its_connection_back(run, audit);
    has_its_own_validity(run, audit);
    let mut selections: BTreeMap<(SessionId, u32), Option<Made<'_>>> = BTreeMap::new();
    for (_, operation) in run.operations() {
        let mailbox = asked(run, operation);
        for lease in operation.leases() {
            for command in lease.commands.iter().filter(|command| command.verb == "EXAMINE") {
                // One that may have failed leaves it open what is selected.
                let selection = operation.relied_on.as_deref();
                let sure = selection.is_some() || operation.outcome.is_ok();
                let uid_validity = selection.and_then(|selection| selection.uid_validity);
                let made = mailbox.filter(|_| sure);
                let made = made.map(|mailbox| Made { by: operation.number, mailbox, uid_validity });
                selections.insert((lease.session, command.tag), made);
            }
        }
    }
    for (entry, operation) in run.operations() {
        let Some(answer) = &operation.answered_by else { continue };
        let Some((session, reading)) = operation.session.zip(operation.commands.last()) else { continue };
        let last = selections.range((session, 0)..(session, reading.tag)).next_back();
        let Some((_, Some(made))) = last else { continue };
        let mailbox = answer.mailbox.as_deref().is_none_or(|mailbox| is_same_mailbox(mailbox, made.mailbox));
        let validity = answer.uid_validity.zip(made.uid_validity).is_none_or(|(answered, made)| answered == made);
        audit.check(OUTCOMES, Some(entry.seq), mailbox && validity, || {
            let (number, by) = (operation.number, made.by);
            format!("operation {number} was answered from another mailbox than {}, which operation {by} had selected on {session} last", made.mailbox)
        });
    }
}

/// A scenario's thread that reads what is selected relies on what it selected last: on the connection that it passes, or on
/// any of those that it does not pass (A7).
fn relies_on_its_own(run: &Run, audit: &mut Audit) {
    let mut selected: BTreeMap<(WorkerId, Option<ConnectionId>), (u16, SessionId)> = BTreeMap::new();
    for (entry, operation) in run.operations() {
        let place = (operation.worker, operation.passed);
        let due = selected.get(&place).copied().filter(|_| operation.name == HALVES[1]);
        let said = operation.relied_on.as_deref().map(|selection| selection.session);
        let holds = due.map(|(_, session)| session) == said
            && (operation.name != HALVES[1] || due.map(|(mailbox, _)| mailbox) == operation.mailbox);
        audit.check(OUTCOMES, Some(entry.seq), holds, || {
            let mailbox = due.and_then(|(mailbox, _)| run.header.mailboxes.get(usize::from(mailbox)));
            let due = due.zip(mailbox).map_or_else(
                || "nothing that it had selected".to_owned(),
                |((_, session), mailbox)| format!("{mailbox}, which its thread had selected on {session}"),
            );
            format!("operation {} relies on {due}; it says otherwise", operation.number)
        });
        match (operation.leaves(), operation.session) {
            (Leaves::Selected(mailbox), Some(session)) => drop(selected.insert(place, (mailbox, session))),
            (Leaves::Nothing, _) => drop(selected.remove(&place)),
            _ => {}
        }
    }
}

/// Whoever selects under a naive lock has the connection for no command more. (A scenario's steps are units beside others.)
fn gave_its_connection_back(run: &Run, audit: &mut Audit) {
    for (entry, operation) in run.operations().filter(|_| !run.header.scripted) {
        let [first, .., last] = &*operation.commands else { continue };
        let unit = first.verb == "EXAMINE" && ["FETCH", "SEARCH"].contains(&last.verb);
        audit.check(OUTCOMES, Some(entry.seq), !unit, || {
            format!("operation {} selected and read in one lease, under a lock for each command", operation.number)
        });
    }
}

/// A mailbox does not have another one's UIDVALIDITY beside its own. (Two can share theirs from the start.)
fn has_its_own_validity(run: &Run, audit: &mut Audit) {
    let mut told: BTreeMap<&str, BTreeSet<u32>> = BTreeMap::new();
    let selections = || {
        run.operations().filter_map(|(entry, operation)| {
            let validity = operation.relied_on.as_deref()?.uid_validity?;
            Some((entry, operation.number, asked(run, operation)?, validity))
        })
    };
    for (_, _, mailbox, validity) in selections() {
        told.entry(mailbox).or_default().insert(validity);
    }
    for (entry, number, mailbox, validity) in selections() {
        let own = told.get(mailbox).is_some_and(|validities| validities.len() > 1);
        let mut others = told.iter().filter(|(other, _)| !is_same_mailbox(other, mailbox));
        let other = others.find(|(_, validities)| own && validities.contains(&validity));
        audit.check(OUTCOMES, Some(entry.seq), other.is_none(), || {
            let other = other.map_or("another", |(other, _)| other);
            format!("operation {number} selected {mailbox} with the UIDVALIDITY of {other}, {validity}")
        });
    }
}

fn asked<'a>(run: &'a Run, operation: &Operation) -> Option<&'a str> {
    run.header.mailboxes.get(usize::from(operation.mailbox?)).map(String::as_str)
}
