//! Which mailbox answered: replies that came from another one than was asked for, and reads on a session that had none
//! selected because another session's selection was relied on.

use std::collections::{BTreeMap, BTreeSet};

use super::finding;
use crate::allocator::SessionId;
use crate::protocol::Answer;
use crate::record::agreement::is_same_mailbox;
use crate::record::run::{Leaves, Operation, Run, What, WorkerId};
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
            let by_whom = selections.of_another(operation).map_or_else(String::new, |(made, when)| {
                let Made { number, worker, mailbox, .. } = made;
                format!("; operation {number} of {} had selected {mailbox} there {when}", whose(*worker))
            });
            let session = operation.session.map(|session| format!(" on {session}")).unwrap_or_default();
            format!(
                "operation {} of {}{session} asked for {asked}, {how}{by_whom}",
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
    let elsewhere = |operation: &Operation| {
        let relied_on = operation.relied_on.as_ref()?.session;
        let session = operation.session.filter(|_| operation.local_port.is_some())?;
        (session != relied_on).then_some((relied_on, session))
    };
    let elsewhere: Vec<_> =
        run.operations().filter_map(|(_, operation)| Some((operation, elsewhere(operation)?))).collect();
    if elsewhere.is_empty() {
        return None;
    }
    let selections = Selections::of(run);
    let evidence: Vec<String> = elsewhere
        .into_iter()
        .filter(|(operation, (relied_on, session))| {
            let took_its_place = session.connection == relied_on.connection && session.number > relied_on.number;
            // A thread's connections that are not passed have one selection together, and come after each other too.
            took_its_place || selections.knows_nothing(operation)
        })
        .map(|(operation, (relied_on, session))| {
            let mailbox = asked(run, operation).unwrap_or("its mailbox");
            format!(
                "operation {} of {} had {mailbox} selected on {relied_on} and ran on {session}: {}",
                operation.number,
                run.header.names.worker(operation.worker),
                came_of_it(operation)
            )
        })
        .collect();
    let sentence = format!(
        "{} operation(s) relied on what an earlier session had selected, and ran on another one, which knows nothing of \
         it; select again whenever the session has changed, or make it one unit (--lock unit)",
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

/// Who selected what.
struct Selections<'a> {
    /// By session and tag: a wrong reply came from the last one before it.
    made: BTreeMap<(SessionId, u32), Made<'a>>,
    /// When each session was opened, by the number of entries before.
    opened: BTreeMap<SessionId, u64>,
}

struct Made<'a> {
    number: u64,
    worker: WorkerId,
    mailbox: &'a str,
    /// When it was over, by the number of entries before.
    entry: u64,
}

impl<'a> Selections<'a> {
    fn of(run: &'a Run) -> Self {
        let mut made = BTreeMap::new();
        for (entry, operation) in run.operations() {
            let Some(mailbox) = asked(run, operation) else { continue };
            let Operation { number, worker, .. } = *operation;
            for lease in operation.leases() {
                // What an earlier lease selected, it selected: the operation came to rely on it.
                let last = std::ptr::eq(lease.commands, &*operation.commands);
                if last && !matches!(operation.leaves(), Leaves::Selected(_)) {
                    continue;
                }
                for command in lease.commands.iter().filter(|command| command.verb == "EXAMINE") {
                    made.insert((lease.session, command.tag), Made { number, worker, mailbox, entry: entry.seq });
                }
            }
        }
        let opened = run.entries.iter().filter_map(|entry| match &entry.what {
            What::Opened(opened) => Some((opened.session, entry.seq)),
            _ => None,
        });
        Self { made, opened: opened.collect() }
    }

    /// Another operation's selection, if it was the last on its session before this one's reading; and when that was.
    fn of_another(&self, operation: &Operation) -> Option<(&Made<'a>, &'static str)> {
        let last = self.before(operation).filter(|last| last.number != operation.number)?;
        let between = match operation.relied_on.as_deref() {
            // It selected by itself, a moment ago.
            Some(relied_on) if !relied_on.commands.is_empty() => true,
            _ => match self.own(operation) {
                Some(own) if own.number == last.number => return None,
                Some(own) => last.entry > own.entry,
                None => false,
            },
        };
        Some((last, if between { "in between" } else { "last" }))
    }

    /// The last selection on its session before the operation read there.
    fn before(&self, operation: &Operation) -> Option<&Made<'a>> {
        let (session, reading) = (operation.session?, operation.commands.last()?.tag);
        self.made.range((session, 0)..(session, reading)).next_back().map(|(_, made)| made)
    }

    /// The selection that it relies on, if an operation of its thread made it before.
    fn own(&self, operation: &Operation) -> Option<&Made<'a>> {
        let session = operation.relied_on.as_ref()?.session;
        let mut of_session = self.made.range((session, 0)..=(session, u32::MAX)).map(|(_, made)| made);
        of_session.rfind(|made| made.worker == operation.worker && made.number < operation.number)
    }

    /// Whether the session that it ran on is younger than the selection that it relies on, or had nothing selected.
    fn knows_nothing(&self, operation: &Operation) -> bool {
        let opened = operation.session.and_then(|session| self.opened.get(&session));
        let younger = self.own(operation).zip(opened).is_some_and(|(own, opened)| *opened > own.entry);
        younger || self.before(operation).is_none()
    }
}
