//! Which mailbox answered: replies that came from another one than was asked for, and reads on a session that had none
//! selected because another session's selection was relied on.

use std::collections::{BTreeMap, BTreeSet};

use super::finding;
use crate::allocator::SessionId;
use crate::protocol::Answer;
use crate::record::agreement::is_same_mailbox;
use crate::record::run::{Operation, Run, WorkerId};
use crate::record::verdict::{Finding, Severity};

/// MC020.
pub(super) fn wrong_mailbox(run: &Run) -> Option<Finding> {
    let shared = shared_validities(run);
    let mut told = 0_u64;
    let mut wrong = Vec::new();
    for (_, operation) in run.operations() {
        let Some((asked, answer)) = asked(run, operation).zip(operation.answered_by.as_ref()) else { continue };
        let proof = Proof::of(operation, asked, answer, &shared);
        told += u64::from(!matches!(proof, Proof::None));
        match proof {
            Proof::Wrong(how) => wrong.push((operation, asked, how)),
            Proof::Right | Proof::None => {}
        }
    }
    if wrong.is_empty() {
        return None;
    }
    let selections = Selections::of(run);
    let evidence: Vec<String> = wrong
        .into_iter()
        .map(|(operation, asked, how)| {
            let whose = |worker| run.header.names.worker(worker);
            let between = selections.last_before(operation).map_or_else(String::new, |(number, worker, mailbox)| {
                format!("; operation {number} of {} had selected {mailbox} there in between", whose(worker))
            });
            let session = operation.session.map(|session| format!(" on {session}")).unwrap_or_default();
            format!(
                "operation {} of {}{session} asked for {asked}, {how}{between}",
                operation.number,
                whose(operation.worker)
            )
        })
        .collect();
    let sentence = format!(
        "{} of the {told} replies that show their mailbox came from a mailbox other than the one that was asked for, and nothing failed; \
         hold the connection for the whole unit, from its EXAMINE to its last reply (--lock unit), or give each thread a \
         connection of its own (use-default)",
        evidence.len()
    );
    finding("MC020", Severity::Hazard, sentence, evidence)
}

/// MC021.
pub(super) fn state_of_another_session(run: &Run) -> Option<Finding> {
    let evidence: Vec<String> = run
        .operations()
        .filter_map(|(_, operation)| {
            let relied_on = operation.relied_on.as_ref()?.session;
            let session = operation.session?;
            let took_its_place = session.connection == relied_on.connection && session.number > relied_on.number;
            took_its_place.then(|| {
                let mailbox = asked(run, operation).unwrap_or("its mailbox");
                format!(
                    "operation {} of {} had {mailbox} selected on {relied_on} and ran on {session}: {}",
                    operation.number,
                    run.header.names.worker(operation.worker),
                    came_of_it(operation)
                )
            })
        })
        .collect();
    let sentence = format!(
        "{} operation(s) relied on what an earlier session had selected, and ran on the one that took its place, which \
         knows nothing of it; select again whenever the session has changed, or make it one unit (--lock unit)",
        evidence.len()
    );
    finding("MC021", Severity::Hazard, sentence, evidence)
}

fn asked<'a>(run: &'a Run, operation: &Operation) -> Option<&'a str> {
    run.header.mailboxes.get(usize::from(operation.mailbox?)).map(String::as_str)
}

fn came_of_it(operation: &Operation) -> String {
    match (&operation.outcome, operation.answered_by.as_ref().and_then(|answer| answer.mailbox.as_deref())) {
        (Err(failure), _) => failure.server_line.clone().unwrap_or_else(|| failure.message.clone()),
        (Ok(_), Some(mailbox)) => format!("{mailbox} answered"),
        (Ok(items), None) => format!("{items} items, and no failure"),
    }
}

/// What a reply says about where it came from.
enum Proof {
    Right,
    Wrong(String),
    None,
}

impl Proof {
    /// The messages' own word counts before the selection's UIDVALIDITY, which two mailboxes can share.
    fn of(operation: &Operation, asked: &str, answer: &Answer, shared: &BTreeSet<u32>) -> Self {
        if let Some(mailbox) = answer.mailbox.as_deref() {
            return if is_same_mailbox(mailbox, asked) {
                Self::Right
            } else {
                Self::Wrong(format!("each message of its reply says that it is in {mailbox}"))
            };
        }
        let expected = operation.relied_on.as_ref().and_then(|selection| selection.uid_validity);
        match expected.zip(answer.uid_validity) {
            Some((expected, other)) if expected != other => Self::Wrong(format!(
                "whose UIDVALIDITY is {expected}; the mailbox that was selected when it was answered has {other}"
            )),
            Some((expected, _)) if !shared.contains(&expected) => Self::Right,
            _ => Self::None,
        }
    }
}

/// The UIDVALIDITYs that more than one of the run's mailboxes has: those made in one second often do.
fn shared_validities(run: &Run) -> BTreeSet<u32> {
    let mut owners: BTreeMap<u32, &str> = BTreeMap::new();
    let mut shared = BTreeSet::new();
    for (_, operation) in run.operations() {
        let selection = operation.relied_on.as_ref().and_then(|selection| selection.uid_validity);
        let Some((validity, asked)) = selection.zip(asked(run, operation)) else { continue };
        if !is_same_mailbox(owners.entry(validity).or_insert(asked), asked) {
            shared.insert(validity);
        }
    }
    shared
}

/// Which operation selected what, by session and tag: a wrong reply came from the last one before it.
struct Selections<'a>(BTreeMap<(SessionId, u32), (u64, WorkerId, &'a str)>);

impl<'a> Selections<'a> {
    fn of(run: &'a Run) -> Self {
        let mut selections = BTreeMap::new();
        for (_, operation) in run.operations() {
            let Some(mailbox) = asked(run, operation) else { continue };
            for lease in operation.leases() {
                for command in lease.commands.iter().filter(|command| command.verb == "EXAMINE") {
                    let made = (operation.number, operation.worker, mailbox);
                    selections.insert((lease.session, command.tag), made);
                }
            }
        }
        Self(selections)
    }

    /// Another operation's selection, if it was the last on its session before this one's reading.
    fn last_before(&self, operation: &Operation) -> Option<(u64, WorkerId, &'a str)> {
        let (session, reading) = (operation.session?, operation.commands.last()?.tag);
        let (_, made) = self.0.range((session, 0)..(session, reading)).next_back()?;
        (made.0 != operation.number).then_some(*made)
    }
}
