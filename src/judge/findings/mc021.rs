//! A new session took the place of a broken one, and the operation relied on the old one's state.

use crate::allocator::SessionId;
use crate::event::{Event, Operation, RunStart, Severity, What};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, NAMED, Proven, Spec};
use crate::judge::selections::{Reading, Selections};
use crate::ledger::{Analysis, Ledger};

pub const SPEC: Spec = Spec {
    id: "MC021",
    severity: Severity::Hazard,
    article: Article {
        title: "a new session took the place of a broken one, and the operation relied on the old one's state",
        means: "When a connection breaks, the next operation there opens a new session: #0 goes on as #0.2. The server \
                knows nothing of the old one: no mailbox is selected. At best, an operation that relies on an earlier \
                SELECT is refused. If something else has selected INBOX there by then, another thread or the library's \
                own reconnect, it silently reads INBOX instead. The same happens to a thread whose connection changed \
                in the meantime, because the mode was changed, or its default was created or disposed. An operation \
                that selects anew on the new session relies on nothing old, and is not counted.",
        example: || sentence(1),
        cure: "Tie what you know of a session to that session: compare Assignment::session before you rely on it, and select \
               again when it has changed. Or select in each unit, as every operation of mailconn does.",
        rules: &["B3", "B2", "A7"],
        met: &["lefcha/imapfilter#2", "neomutt/neomutt#1038", "neomutt/neomutt#1248", "mscdex/node-imap#155"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    selections: Selections,
    evidence: Evidence,
    /// In the order of their ends.
    waiting: Vec<Suspect>,
}

/// An operation that ran on another session than the one whose selection it relied on.
#[derive(Debug)]
struct Suspect {
    /// In words, where there is room for it.
    text: String,
    /// The session was opened after the selection was made; else it counts if nothing was selected there.
    younger: bool,
    reading: Reading,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, known: &Ledger) {
        let (What::Operation(operation), Some(start)) = (&event.what, known.start()) else { return };
        let waiting = self.waiting.iter_mut().map(|suspect| &mut suspect.reading);
        let reading = self.selections.add(event, operation, waiting);
        if let (Some(reading), Some((relied_on, session))) = (reading, elsewhere(operation)) {
            let took_its_place = session.connection == relied_on.connection && session.number > relied_on.number;
            // A thread's connections that are not passed have one selection together, and come after each other too.
            let opened = known.session(session).map(|session| session.opened);
            let younger = took_its_place || reading.own.zip(opened).is_some_and(|(own, opened)| opened > own.seq);
            if younger || reading.last.is_none() {
                let named = self.evidence.named.len() < NAMED;
                let text = if named { in_words(operation, relied_on, session, start) } else { String::new() };
                self.waiting.push(Suspect { text, younger, reading });
            }
        }
        if self.selections.forget(known) {
            let settled = self.waiting.iter().take_while(|suspect| suspect.reading.is_settled(known)).count();
            for suspect in self.waiting.drain(..settled) {
                suspect.judge(&mut self.evidence);
            }
        }
    }
}

impl Detector for Detects {
    fn finding(&self, _: &Proven<'_>) -> Option<Found> {
        let mut evidence = self.evidence.clone();
        for suspect in &self.waiting {
            suspect.judge(&mut evidence);
        }
        evidence.says(|| sentence(evidence.count))
    }
}

fn sentence(operations: u64) -> String {
    format!(
        "{} operation(s) relied on what an earlier session had selected, and ran on another one, which knows nothing \
         of it; select again whenever the session has changed, or make it one unit (--lock unit)",
        count(operations)
    )
}

impl Suspect {
    fn judge(&self, evidence: &mut Evidence) {
        if self.younger || self.reading.last.is_none() {
            evidence.add(|| self.text.clone());
        }
    }
}

/// The session that the operation relied on, and the other one that it ran on.
fn elsewhere(operation: &Operation) -> Option<(SessionId, SessionId)> {
    let relied_on = operation.relied_on.as_ref()?.session;
    let session = operation.session.filter(|_| operation.local_port.is_some())?;
    (session != relied_on).then_some((relied_on, session))
}

fn in_words(operation: &Operation, relied_on: SessionId, session: SessionId, start: &RunStart) -> String {
    let mailbox = operation.mailbox.as_deref().unwrap_or("its mailbox");
    let answered_by = operation.answered_by.as_ref().and_then(|answer| answer.mailbox.as_deref());
    let came_of_it = match (operation.result(), answered_by) {
        (Err(failure), _) => failure.server_line.clone().unwrap_or_else(|| failure.message.clone()),
        (Ok(_), Some(mailbox)) => format!("{mailbox} answered"),
        (Ok(items), None) => format!("{items} items, and no failure"),
    };
    format!(
        "operation {} of {} had {mailbox} selected on {relied_on} and ran on {session}: {came_of_it}",
        operation.number,
        start.worker_name(operation.worker)
    )
}
