//! A healthy connection was left open, or closed without LOGOUT or QUIT.

use std::collections::{BTreeMap, BTreeSet};

use crate::allocator::SessionId;
use crate::event::{Event, HowClosed, ProbeStep, SessionClosed, Severity, What, WitnessSession};
use crate::figures::count;
use crate::judge::finding::{Article, Detector, Evidence, Found, NAMED, Proven, Spec};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{FailureKind, Protocol};

pub const SPEC: Spec = Spec {
    id: "MC040",
    severity: Severity::Leak,
    article: Article {
        title: "a healthy connection was left open, or closed without LOGOUT or QUIT",
        means: "A server counts a session until it is told that it is over, or notices: half an hour of silence in IMAP \
                (RFC 3501 says at least that), two hours of TCP keep-alive. Leave enough of them behind and the next \
                sign-in is refused (MC030) while nothing seems to be open. A goodbye that was said counts as one, \
                whatever the server answered; what an interrupted run or scenario had no time for is no leak. A session that was discarded, after a timeout for example, is closed \
                without a goodbye as well: it is MC041, and no leak of the client's, but the server may count it until \
                it notices. What the sandbox's record still has open is named, too, such a session included.",
        example: || sentence(1, Protocol::Imap),
        cure: "Dispose what you create on every path, also where something fails: a handle that goes out of scope does so here. \
               End threads by joining them, and close the client with a deadline. Administrator: doveadm who shows who holds \
               sessions that no program knows of.",
        rules: &["D1", "D3", "D4"],
        met: &["apache/jmeter#198", "MarimerLLC/calendar-mcp#69", "sweetrb/apple-mail-mcp#109", "mscdex/node-imap#882"],
    },
    detector: || Box::<Detects>::default(),
};

#[derive(Debug, Default)]
struct Detects {
    /// Closed without a goodbye: how many, and the first of them by the events that opened them.
    unsaid: u64,
    first: BTreeMap<u64, String>,
    /// Ports whose newest session the server may still have for reasons of its own: its dial was given up, or the goodbye had
    /// no good answer. No more than there are ports.
    its_own: BTreeSet<u16>,
    /// The step of a probe that is under way, and the newest session that was open when it began.
    step: Option<(ProbeStep, Option<SessionId>)>,
    /// What the server still had when its record was taken.
    held: Vec<(u16, Option<String>)>,
}

impl Analysis for Detects {
    fn see(&mut self, event: &Event, known: &Ledger) {
        match &event.what {
            What::SessionOpened(opened) => drop(self.its_own.remove(&opened.local_port)),
            What::SessionRefused(refused) => self.its_own.extend(refused.local_port),
            What::ProbeStep(step) => {
                let newest = known.open_sessions().max_by_key(|session| session.opened);
                self.step = Some((*step, newest.map(|session| session.id)));
            }
            What::SessionClosed(closed) if self.is_by_design(closed) => {
                self.its_own.extend(known.session(closed.session).map(|session| session.local_port));
            }
            What::SessionClosed(closed) if closed.closed == HowClosed::NoLogout => self.not_logged_out(closed, known),
            What::WitnessSession(WitnessSession { open: true, peer_port, label, .. }) => {
                self.held.push((*peer_port, label.clone()));
            }
            _ => {}
        }
    }
}

impl Detects {
    /// A probe finds out how soon the server misses one.
    fn is_by_design(&self, closed: &SessionClosed) -> bool {
        self.step.is_some_and(|(step, newest)| step.leaves_without_a_word() && newest == Some(closed.session))
    }

    fn not_logged_out(&mut self, closed: &SessionClosed, known: &Ledger) {
        let (Some(session), Some(failure)) = (known.session(closed.session), &closed.failure) else { return };
        // Who is told to end hangs up on a server that is late, and leaves nothing behind on purpose.
        let told_to_end = failure.kind == FailureKind::Disposed;
        if told_to_end || closed.said_goodbye() {
            self.its_own.insert(session.local_port);
            return;
        }
        self.unsaid += 1;
        self.first.insert(session.opened, format!("{} was closed without a goodbye: {failure}", session.id));
        if self.first.len() > NAMED {
            self.first.pop_last();
        }
    }
}

impl Detector for Detects {
    fn finding(&self, proven: &Proven<'_>) -> Option<Found> {
        let known = proven.known;
        // While the run lasts, what is open is in use.
        let left = known.ending().map(|_| known.open_sessions()).into_iter().flatten();
        let mut first = self.first.clone();
        first.extend(left.map(|session| (session.opened, format!("{} was open at the end", session.id))));
        let mut evidence = Evidence::default();
        evidence.extend(first.into_values());
        evidence.count += self.unsaid - self.first.len() as u64;
        // A server that replies late has not read all there is when an interrupted run ends, or a dial is given up.
        let held = self.held.iter().filter(|(port, _)| !known.interrupted() && !self.its_own.contains(port));
        evidence.extend(held.map(|(port, label)| {
            format!("the server still has {} open (port {port})", label.as_deref().unwrap_or("a session"))
        }));
        let protocol = known.start()?.protocol;
        evidence.says(|| sentence(evidence.count, protocol))
    }
}

fn sentence(connections: u64, protocol: Protocol) -> String {
    let goodbye = protocol.goodbye();
    format!(
        "{} connection(s) were left open or closed without {goodbye}; servers count them against the limit until \
         they notice",
        count(connections)
    )
}
