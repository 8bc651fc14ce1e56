//! A reply came from a mailbox other than the one its unit selected.

use std::collections::HashMap;
use std::sync::Arc;

use crate::event::{Event, Operation, RunStart, Severity, What};
use crate::figures::count;
use crate::judge::elsewhere::{Elsewhere, elsewhere};
use crate::judge::finding::{Article, Detector, Evidence, Found, NAMED, Proven, Spec};
use crate::judge::selections::{Reading, Selections};
use crate::judge::witness::is_same_mailbox;
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC020",
    severity: Severity::Hazard,
    article: Article {
        title: "a reply came from a mailbox other than the one its unit selected",
        means: "In IMAP a connection has one selected mailbox, and FETCH and SEARCH read from it. If two threads share \
                the connection and it is locked for each command only, the other's EXAMINE comes between ours and our \
                FETCH: the reply is complete, well-formed, and from the wrong mailbox. A client that stores it has \
                filed mail under the wrong folder. The proof is in the reply: mail of the sandbox names its mailbox; \
                elsewhere the UIDVALIDITY of the selection tells, unless \
                mailboxes have the same one. The report says so where that left replies unjudged. Of the first 1000 \
                UIDVALIDITYs of a run it is known which mailboxes have them.",
        example: || sentence(501, 800),
        cure: "Hold the connection from the unit's first command to its last reply: one lease, one lock, one transaction. Or \
               give each thread a connection of its own (use-default), which costs the server more sessions. To see it happen: \
               mailconn run --lock command --mode use-main -t 8 --ops fetch --mailbox INBOX --mailbox Archive. With one mailbox \
               nothing can be seen: a gate on it needs a second --mailbox.",
        rules: &["A7"],
        met: &["postalsys/imapflow#304", "mustang-im/mustang#276", "overseers-desk/courier#82", "ikvk/imap_tools#131"],
    },
    detector: || Box::<Detects>::default(),
};

/// The most UIDVALIDITYs that are told apart. A run's mailboxes have fewer, unless the server invents one each time.
const VALIDITIES: usize = 1000;

#[derive(Debug, Default)]
struct Detects {
    selections: Selections,
    /// Replies that show that they came from elsewhere; the first of them.
    wrong: u64,
    named: Vec<Piece>,
    /// Replies that name the mailbox that was asked for.
    right: u64,
    validities: HashMap<u32, Validity>,
}

/// A reply that came from elsewhere, in words. As long as there is a reading, whose selection it came from is not known.
#[derive(Debug)]
struct Piece {
    text: String,
    reading: Option<Reading>,
    /// It selected by itself, a moment before.
    selected: bool,
}

/// A UIDVALIDITY of the run's mailboxes.
#[derive(Debug)]
struct Validity {
    mailbox: Arc<str>,
    /// Another mailbox that has it, too: those made in one second often do. So it proves nothing.
    shared_with: Option<Arc<str>>,
    /// Replies that have the one that was expected.
    answers: u64,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, known: &Ledger) {
        let (What::Operation(operation), Some(start)) = (&event.what, known.start()) else { return };
        let waiting = self.named.iter_mut().filter_map(|piece| piece.reading.as_mut());
        let reading = self.selections.add(event, operation, waiting);
        if let Some(asked) = &operation.mailbox {
            self.validity(operation, asked);
            if let Some(how) = self.wrong(operation) {
                self.wrong += 1;
                if self.named.len() < NAMED {
                    let session = operation.session.map(|session| format!(" on {session}")).unwrap_or_default();
                    let worker = start.worker_name(operation.worker);
                    let text = format!("operation {} of {worker}{session} asked for {asked}, {how}", operation.number);
                    let selected = operation.relied_on.as_deref().is_some_and(|it| !it.commands.is_empty());
                    self.named.push(Piece { text, reading, selected });
                }
            }
        }
        if self.selections.forget(known) {
            for piece in &mut self.named {
                if piece.reading.as_ref().is_some_and(|reading| reading.is_settled(known)) {
                    piece.text = piece.whole(start);
                    piece.reading = None;
                }
            }
        }
    }
}

impl Detects {
    /// What is known of the UIDVALIDITY that the operation relied on.
    fn validity(&mut self, operation: &Operation, asked: &Arc<str>) {
        let Some(expected) = operation.relied_on.as_deref().and_then(|selection| selection.uid_validity) else { return };
        if self.validities.len() >= VALIDITIES && !self.validities.contains_key(&expected) {
            return;
        }
        let first = || Validity { mailbox: asked.clone(), shared_with: None, answers: 0 };
        let validity = self.validities.entry(expected).or_insert_with(first);
        if validity.shared_with.is_none() && !is_same_mailbox(&validity.mailbox, asked) {
            validity.shared_with = Some(asked.clone());
        }
    }

    /// How the reply shows that it came from elsewhere, if it does.
    fn wrong(&mut self, operation: &Operation) -> Option<String> {
        match elsewhere(operation) {
            Some(Elsewhere::Mailbox(mailbox)) => {
                return Some(format!("each message of its reply says that it is in {mailbox}"));
            }
            Some(Elsewhere::Validity { expected, other }) => {
                return Some(format!(
                    "whose UIDVALIDITY is {expected}; the mailbox that was selected when it was answered has {other}"
                ));
            }
            None => {}
        }
        let answer = operation.answered_by.as_ref()?;
        let expected = operation.relied_on.as_deref().and_then(|selection| selection.uid_validity);
        if answer.mailbox.is_some() {
            self.right += 1;
        } else if let Some(validity) = expected.filter(|_| answer.uid_validity == expected).and_then(|it| self.validities.get_mut(&it)) {
            validity.answers += 1;
        }
        None
    }
}

impl Detector for Detects {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let start = proven.known.start()?;
        let named = self.named.iter().map(|piece| piece.whole(start)).collect();
        let by_validity = self.validities.values().filter(|validity| validity.shared_with.is_none()).map(|validity| validity.answers);
        let told = self.wrong + self.right + by_validity.sum::<u64>();
        Evidence { count: self.wrong, named }.says(|| sentence(self.wrong, told))
    }

    fn unjudged(&self) -> Option<String> {
        let shared = self.validities.iter().filter_map(|(number, it)| Some((number, it, it.shared_with.as_ref()?)));
        let shared: Vec<_> = shared.filter(|(_, validity, _)| validity.answers > 0).collect();
        let replies: u64 = shared.iter().map(|(_, validity, _)| validity.answers).sum();
        shared.into_iter().min_by_key(|(number, ..)| **number).map(|(number, Validity { mailbox, .. }, other)| {
            format!(
                "{} replies: {mailbox} and {other} have the same UIDVALIDITY ({number}), and no message says which \
                 mailbox it is in",
                count(replies)
            )
        })
    }
}

fn sentence(wrong: u64, told: u64) -> String {
    format!(
        "{} of the {} replies that show their mailbox came from a mailbox other than the one that was asked for, and \
         nothing failed; hold the connection for the whole unit, from its EXAMINE to its last reply (--lock unit), or \
         give each thread a connection of its own (use-default)",
        count(wrong),
        count(told)
    )
}

impl Piece {
    /// With whose selection it came from, if that was another operation's.
    fn whole(&self, start: &RunStart) -> String {
        let by_whom = self.reading.as_ref().and_then(|reading| {
            let last = reading.last.as_ref().filter(|last| last.number != reading.number)?;
            let between = match reading.own {
                _ if self.selected => true,
                Some(own) if own.number == last.number => return None,
                Some(own) => last.seq > own.seq,
                None => false,
            };
            let (worker, when) = (start.worker_name(last.worker), if between { "in between" } else { "last" });
            Some(format!("; operation {} of {worker} had selected {} there {when}", last.number, last.mailbox))
        });
        format!("{}{}", self.text, by_whom.unwrap_or_default())
    }
}
