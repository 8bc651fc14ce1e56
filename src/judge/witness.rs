//! Does the server's own record agree about each operation's connection?
//!
//! Both records are matched by the client's port and the command's tag, as they come: each command of ours must be in the
//! server's record once, on that port, with that verb, in that mailbox, at that time; and the server must have read nothing
//! that we do not account for. What is matched is dropped; what remains when a session is over is what disagrees.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::{EVIDENCE, Wrong};
use crate::allocator::SessionId;
use crate::event::{
    Agreement, Command, Event, HowClosed, Micros, Operation, RunStart, SessionClosed, Tag, What, WitnessSession,
    WitnessedCommand, WorkerId,
};
use crate::ledger::{Analysis, Ledger};
use crate::protocol::{OperationSpec, Protocol};

/// Verbs that carry no operation: a dial that failed may have sent any of them.
const SIGN_IN: [&str; 17] = [
    "CAPABILITY",
    "STARTTLS",
    "LOGIN",
    "AUTHENTICATE",
    "ID",
    "LOGOUT",
    "NOOP",
    "NAMESPACE",
    "LIST",
    "EHLO",
    "HELO",
    "AUTH",
    "QUIT",
    "CAPA",
    "STLS",
    "USER",
    "PASS",
];

/// The number of events between two searches for sessions that are over on both sides.
const SWEEP_AFTER: usize = 256;

/// How the server's own record agrees with the operations.
#[derive(Debug, Default)]
pub struct Witness {
    /// Operations that were compared, and those that it confirms.
    pub agreement: Agreement,
    /// Operations that could not be compared: they sent nothing, or their connection broke before the server had read it.
    pub not_compared: u64,
    /// Where it disagrees, as far as it is kept.
    pub wrong: Vec<Wrong>,
    /// How often it disagrees.
    pub disagreements: u64,
    /// Whether there is such a record at all: the stream's start says so.
    pub available: bool,
    interrupted: bool,
    ports: BTreeMap<u16, Port>,
    /// Which of a port's sessions each of ours is.
    sessions: BTreeMap<SessionId, (u16, u64)>,
    /// Operations of several commands, some of which are not matched yet, by their numbers.
    operations: BTreeMap<u64, Pending>,
    seen: usize,
}

/// The sessions that used a port, one after the other: the first that we dialled is the first that the server saw.
#[derive(Debug, Default)]
struct Port {
    pairs: VecDeque<Pair>,
    /// How many were dropped from the front.
    dropped: u64,
    /// How many we have dialled, and how many have ended to the server.
    ours: u64,
    theirs: u64,
}

/// One session, by our record and by the server's.
#[derive(Debug, Default)]
struct Pair {
    ours: Option<OwnSession>,
    theirs: Option<ServerSession>,
    /// Commands of ours that the server's record has not shown yet.
    sent: BTreeMap<u32, OwnCommand>,
    /// Commands that the server read and that we have not accounted for yet.
    read: BTreeMap<u32, WitnessedCommand>,
    /// Commands that cannot be ours: their tags are none of ours. The first of them, and how many more there were.
    strange: Vec<WitnessedCommand>,
    more_strange: u64,
    matched: Matched,
}

/// A session by our record.
#[derive(Debug)]
struct OwnSession {
    session: SessionId,
    /// It was dialled in vain: what it sent is not known.
    refused: bool,
    /// The server answered the dial, so it has it on record.
    answered: bool,
    label: Option<String>,
    closed: Option<HowClosed>,
}

/// A session that is over, by the server's record.
#[derive(Debug)]
struct ServerSession {
    label: Option<String>,
    logged_out: bool,
    spoke: bool,
}

/// A command of ours.
#[derive(Debug)]
struct OwnCommand {
    verb: &'static str,
    /// The operation that sent it; none for the commands of a sign-in or a goodbye.
    by: Option<Sender>,
    may_be_lost: bool,
}

/// What the server's record of an operation's command must fit.
#[derive(Debug)]
struct Sender {
    number: u64,
    seq: u64,
    worker: WorkerId,
    /// It sent no other command.
    alone: bool,
    issued_at: Micros,
    ended: Micros,
    mailbox: Option<Arc<str>>,
}

/// An operation of several commands, some of which are not matched yet.
#[derive(Debug)]
struct Pending {
    commands: usize,
    /// The first thing that is wrong.
    wrong: Option<String>,
    /// One command may never have reached the server, and was not seen.
    lost: bool,
}

/// The tags that were matched: all up to a number, and a few beyond.
#[derive(Debug, Default)]
struct Matched {
    up_to: u32,
    beyond: BTreeSet<u32>,
}

impl Matched {
    fn has(&self, tag: u32) -> bool {
        tag <= self.up_to || self.beyond.contains(&tag)
    }

    fn add(&mut self, tag: u32) {
        self.beyond.insert(tag);
        while self.beyond.remove(&(self.up_to + 1)) {
            self.up_to += 1;
        }
    }
}

impl Port {
    fn pair(&mut self, number: u64) -> Option<&mut Pair> {
        let at = usize::try_from(number.checked_sub(self.dropped)?).ok()?;
        while self.pairs.len() <= at {
            self.pairs.push_back(Pair::default());
        }
        self.pairs.get_mut(at)
    }
}

impl Analysis for Witness {
    fn see(&mut self, event: &Event, known: &Ledger) {
        let Some(start) = known.start().filter(|start| start.witnessed) else { return };
        match &event.what {
            What::RunStart(_) => self.available = true,
            What::SessionOpened(opened) => {
                let (session, label) = (opened.session, opened.label.clone());
                self.dialled(
                    opened.local_port,
                    OwnSession { session, refused: false, answered: true, label, closed: None },
                );
                self.claim_all(start, session, &opened.commands, false);
            }
            What::SessionRefused(refused) => {
                if let Some(port) = refused.local_port {
                    let session = refused.session;
                    let answered = refused.sign_in_attempted || refused.dial_us.greeting.is_some();
                    self.dialled(port, OwnSession { session, refused: true, answered, label: None, closed: None });
                }
            }
            What::SessionClosed(closed) => self.closed(start, closed),
            What::Operation(operation) => self.operation(start, event, operation),
            What::WitnessCommands(read) => {
                for command in &read.commands {
                    self.read(start, read.peer_port, command);
                }
            }
            What::WitnessSession(over) => self.over(start, over),
            _ => {}
        }
        self.seen += 1;
        if self.seen >= SWEEP_AFTER.max(self.sessions.len()) {
            self.seen = 0;
            self.sweep(start, |pair| pair.is_over() && pair.session().is_none_or(|id| known.session(id).is_none()));
        }
    }

    fn end(&mut self, known: &Ledger) {
        let Some(start) = known.start().filter(|start| start.witnessed) else { return };
        self.interrupted = known.interrupted();
        self.sweep(start, |_| true);
    }
}

impl Witness {
    fn dialled(&mut self, at: u16, ours: OwnSession) {
        let port = self.ports.entry(at).or_default();
        let number = port.ours;
        port.ours += 1;
        self.sessions.insert(ours.session, (at, number));
        if let Some(pair) = port.pair(number) {
            pair.ours = Some(ours);
        }
    }

    fn pair_of(&mut self, session: SessionId) -> Option<(u16, &mut Pair)> {
        let (at, number) = *self.sessions.get(&session)?;
        Some((at, self.ports.get_mut(&at)?.pair(number)?))
    }

    fn disagree(&mut self, seq: Option<u64>, sentence: String) {
        self.disagreements += 1;
        if self.wrong.len() < EVIDENCE {
            self.wrong.push(Wrong { seq, sentence });
        }
    }

    fn claim_all(&mut self, start: &RunStart, session: SessionId, commands: &[Command], may_be_lost: bool) {
        for command in commands {
            let own = OwnCommand { verb: command.verb, by: None, may_be_lost };
            if let Err((why, _)) = self.sent(start, session, command.tag, own) {
                self.disagree(None, format!("{session}: {why}"));
            }
        }
    }

    /// One command of ours: it is matched with what the server read already, or waits for that. One that can be neither
    /// comes back, with the reason.
    fn sent(
        &mut self,
        start: &RunStart,
        session: SessionId,
        tag: Tag,
        own: OwnCommand,
    ) -> Result<(), (String, OwnCommand)> {
        let Some((at, pair)) = self.pair_of(session) else {
            return Err((format!("the server never saw its session {session}"), own));
        };
        if pair.matched.has(tag.number) || pair.sent.contains_key(&tag.number) {
            return Err((format!("two operations claim {tag} {} on port {at}", own.verb), own));
        }
        match pair.read.remove(&tag.number) {
            Some(read) => {
                pair.matched.add(tag.number);
                self.compare(start, at, session, &own, &read);
            }
            None => drop(pair.sent.insert(tag.number, own)),
        }
        Ok(())
    }

    /// One command that the server read.
    fn read(&mut self, start: &RunStart, at: u16, command: &WitnessedCommand) {
        let port = self.ports.entry(at).or_default();
        let number = port.theirs;
        let Some(pair) = port.pair(number) else { return };
        let tag = command.tag.parse::<Tag>().ok().filter(|tag| *tag == start.tag(tag.number)).map(|tag| tag.number);
        let tag = tag.filter(|tag| !pair.matched.has(*tag));
        let Some(tag) = tag else {
            pair.add_strange(command.clone());
            return;
        };
        match (pair.sent.remove(&tag), pair.session()) {
            (Some(own), Some(session)) => {
                pair.matched.add(tag);
                self.compare(start, at, session, &own, command);
            }
            _ => {
                if let Some(twice) = pair.read.insert(tag, command.clone()) {
                    pair.add_strange(twice);
                }
            }
        }
    }

    /// A command of ours, and the server's record of it.
    fn compare(&mut self, start: &RunStart, at: u16, session: SessionId, own: &OwnCommand, read: &WitnessedCommand) {
        let wrong = if read.verb == own.verb {
            own.by.as_ref().and_then(|by| by.wrong(own, read))
        } else {
            Some(format!("the server saw {} on port {at}, not {}", name(read), own.verb))
        };
        match (&own.by, wrong) {
            (Some(by), wrong) => self.settle(start, by, wrong, false),
            (None, Some(wrong)) if !own.may_be_lost => self.disagree(None, format!("{session}: {wrong}")),
            (None, _) => {}
        }
    }

    /// One command of an operation is matched, or never will be.
    fn settle(&mut self, start: &RunStart, by: &Sender, wrong: Option<String>, lost: bool) {
        if by.alone {
            return self.settled(start, by, wrong, lost);
        }
        let Some(pending) = self.operations.get_mut(&by.number) else { return };
        pending.commands -= 1;
        pending.lost |= lost;
        if pending.wrong.is_none() {
            pending.wrong = wrong;
        }
        if pending.commands == 0 {
            let Some(Pending { wrong, lost, .. }) = self.operations.remove(&by.number) else { return };
            self.settled(start, by, wrong, lost);
        }
    }

    /// All commands of an operation are settled.
    fn settled(&mut self, start: &RunStart, by: &Sender, wrong: Option<String>, lost: bool) {
        match wrong {
            Some(why) => {
                self.agreement.checked += 1;
                let worker = start.worker_name(by.worker);
                self.disagree(Some(by.seq), format!("operation {} of {worker}: {why}", by.number));
            }
            None if lost => self.not_compared += 1,
            None => {
                self.agreement.checked += 1;
                self.agreement.held += 1;
            }
        }
    }

    fn closed(&mut self, start: &RunStart, closed: &SessionClosed) {
        let said = closed.closed == HowClosed::LoggedOut;
        // The goodbye failed: the server may have read it or not.
        self.claim_all(start, closed.session, &closed.commands, !said);
        if let Some((_, pair)) = self.pair_of(closed.session)
            && let Some(ours) = &mut pair.ours
        {
            ours.closed = Some(closed.closed);
        }
    }

    fn operation(&mut self, start: &RunStart, event: &Event, operation: &Operation) {
        let earlier = operation.relied_on.as_deref().filter(|selection| !selection.commands.is_empty());
        let earlier = earlier.map(|it| (it.session, Some(it.local_port), &*it.commands));
        let last = operation.session.map(|session| (session, operation.local_port, &*operation.commands));
        let leases = || earlier.into_iter().chain(last);
        let total: usize = leases().map(|(_, _, commands)| commands.len()).sum();
        if total == 0 {
            self.not_compared += 1;
            return;
        }
        if total > 1 {
            self.operations.insert(operation.number, Pending { commands: total, wrong: None, lost: false });
        }
        let broke = operation.failure.as_ref().is_some_and(|failure| failure.ends_its_connection())
            || (!operation.is_ok() && operation.session.is_some_and(|session| self.was_discarded(session)));
        let mut left = total;
        let mut is_behind_refusal = false;
        for (session, local_port, commands) in leases() {
            let at = self.sessions.get(&session).map(|(at, _)| *at);
            let wrong_port = at.filter(|at| local_port != Some(*at));
            for command in commands {
                left -= 1;
                let by = Sender {
                    number: operation.number,
                    seq: event.seq,
                    worker: operation.worker,
                    alone: total == 1,
                    issued_at: operation.issued_at_us,
                    ended: event.at,
                    mailbox: worked_on(start.protocol, operation, command),
                };
                if let Some(at) = wrong_port {
                    let over = local_port.unwrap_or_default();
                    let why = format!("it went over port {over}, the server has {session} on port {at}");
                    self.settle(start, &by, Some(why), false);
                    continue;
                }
                // What a broken operation sent last may still be on its way to the server when we have given it up; a server
                // that refuses a command and hangs up does not read what was sent along with it.
                let may_be_lost = broke && (left == 0 || is_behind_refusal);
                is_behind_refusal |= operation.failed_command == Some(command.verb);
                let own = OwnCommand { verb: command.verb, by: Some(by), may_be_lost };
                if let Err((why, own)) = self.sent(start, session, command.tag, own)
                    && let Some(by) = own.by
                {
                    self.settle(start, &by, Some(why), false);
                }
            }
        }
    }

    /// Whether the session was dropped by now: what breaks it is told of after that.
    fn was_discarded(&mut self, session: SessionId) -> bool {
        let ours = self.pair_of(session).and_then(|(_, pair)| pair.ours.as_ref());
        ours.is_some_and(|ours| ours.closed == Some(HowClosed::Discarded))
    }

    fn over(&mut self, start: &RunStart, over: &WitnessSession) {
        let foreign = over.run_id.as_ref().is_some_and(|run| *run != start.run_id);
        let port = self.ports.entry(over.peer_port).or_default();
        let number = port.theirs;
        let Some(pair) = port.pair(number) else { return };
        if foreign {
            // Another run's: the next session on the port may be ours.
            pair.read.clear();
            pair.strange.clear();
            pair.more_strange = 0;
            return;
        }
        let number = self.skip_unseen(start, over, number);
        let Some(port) = self.ports.get_mut(&over.peer_port) else { return };
        let Some(pair) = port.pair(number) else { return };
        let spoke = over.commands > 0 || over.run_id.is_some() || over.label.is_some();
        pair.theirs = Some(ServerSession { label: over.label.clone(), logged_out: over.logged_out, spoke });
        port.theirs = number + 1;
    }

    /// A dial that failed may never have come to the server: then what the server says is of a later one that had the port.
    /// That shows by the label, or, where the protocol has none, by a command that no dial sends.
    fn skip_unseen(&mut self, start: &RunStart, over: &WitnessSession, number: u64) -> u64 {
        let at = over.peer_port;
        let Some(port) = self.ports.get_mut(&at) else { return number };
        let refused = |pair: &Pair| pair.ours.as_ref().is_some_and(|ours| ours.refused);
        let Some(first) = number.checked_sub(port.dropped).and_then(|at| usize::try_from(at).ok()) else {
            return number;
        };
        let unseen = port.pairs.iter().skip(first).take_while(|pair| refused(pair)).count();
        let Some(later) = port.pairs.get(first + unseen).filter(|_| unseen > 0) else { return number };
        let works = |pair: &Pair| pair.read.values().any(|command| !SIGN_IN.contains(&&*command.verb));
        let is_later = match (&over.label, &later.ours) {
            (Some(label), Some(ours)) => ours.label.as_ref() == Some(label),
            (None, Some(_)) => port.pairs.get(first).is_some_and(works),
            (_, None) => false,
        };
        if !is_later {
            return number;
        }
        let (mut read, mut more_strange) = (Vec::new(), 0);
        for pair in port.pairs.iter_mut().skip(first).take(unseen) {
            read.extend(std::mem::take(&mut pair.read).into_values().chain(std::mem::take(&mut pair.strange)));
            more_strange += std::mem::take(&mut pair.more_strange);
            pair.theirs = Some(ServerSession { label: None, logged_out: false, spoke: false });
        }
        if let Some(later) = port.pairs.get_mut(first + unseen) {
            later.more_strange += more_strange;
        }
        port.theirs = number + unseen as u64;
        for command in &read {
            self.read(start, at, command);
        }
        number + unseen as u64
    }

    /// How many things it keeps: what its memory grows with.
    #[must_use]
    pub fn remembered(&self) -> usize {
        let pairs = self.ports.values().flat_map(|port| &port.pairs);
        let kept = pairs.map(|pair| 1 + pair.sent.len() + pair.read.len() + pair.matched.beyond.len());
        kept.sum::<usize>() + self.sessions.len() + self.operations.len()
    }

    /// Drops the sessions that are over, and tells what remains of them.
    fn sweep(&mut self, start: &RunStart, is_over: impl Fn(&Pair) -> bool) {
        let mut over = Vec::new();
        self.ports.retain(|at, port| {
            while port.pairs.front().is_some_and(&is_over) {
                port.dropped += 1;
                over.extend(port.pairs.pop_front().map(|pair| (*at, pair)));
            }
            !port.pairs.is_empty()
        });
        for (at, pair) in over {
            self.remains(start, at, pair);
        }
    }

    fn remains(&mut self, start: &RunStart, at: u16, pair: Pair) {
        let Pair { ours, theirs, sent, read, strange, more_strange, .. } = pair;
        let unseen = theirs.is_none() && read.is_empty() && strange.is_empty();
        let rest = read.into_values().chain(strange);
        let Some(ours) = ours else {
            // A connection on which nothing was said belongs to no session.
            if rest.count() > 0 || theirs.is_some_and(|theirs| theirs.spoke) {
                self.disagree(None, format!("the server saw a session on port {at} that we never opened"));
            }
            return;
        };
        let session = ours.session;
        self.sessions.remove(&session);
        for (tag, own) in sent {
            let tag = start.tag(tag);
            let why = match unseen {
                true => format!("the server never saw its session {session}"),
                false => format!("the server saw no {tag} {} on port {at}", own.verb),
            };
            match own.by {
                Some(by) if own.may_be_lost => self.settle(start, &by, None, true),
                Some(by) => self.settle(start, &by, Some(why), false),
                None if own.may_be_lost || unseen => {}
                None => self.disagree(None, format!("{session}: {why}")),
            }
        }
        if ours.refused {
            if ours.answered && unseen && !self.interrupted {
                self.disagree(
                    None,
                    format!("{session}: the server answered its dial, and saw no session on port {at}"),
                );
            }
            for command in rest.filter(|command| !SIGN_IN.contains(&&*command.verb)) {
                self.disagree(None, format!("{session} failed to open, yet the server saw {}", name(&command)));
            }
            return;
        }
        let Some(theirs) = theirs else {
            self.disagree(None, format!("{session}: the server saw no session on port {at}"));
            return;
        };
        if ours.label != theirs.label {
            let said = theirs.label.as_deref().unwrap_or("none");
            self.disagree(None, format!("{session}: the server has the label {said} on port {at}"));
        }
        if ours.closed == Some(HowClosed::LoggedOut) && !theirs.logged_out {
            self.disagree(None, format!("{session}: we logged out, the server does not say so"));
        }
        self.disagreements += more_strange;
        for command in rest {
            if !(self.interrupted && command.verb == start.protocol.goodbye()) {
                self.disagree(None, format!("{session}: the server saw {}, which no operation sent", name(&command)));
            }
        }
    }
}

impl Pair {
    fn session(&self) -> Option<SessionId> {
        self.ours.as_ref().map(|ours| ours.session)
    }

    fn add_strange(&mut self, command: WitnessedCommand) {
        match self.strange.len() < EVIDENCE {
            true => self.strange.push(command),
            false => self.more_strange += 1,
        }
    }

    fn is_over(&self) -> bool {
        self.theirs.is_some() && self.ours.as_ref().is_some_and(|ours| ours.refused || ours.closed.is_some())
    }
}

impl Sender {
    /// What is wrong with the server's record of the command, beside its verb.
    fn wrong(&self, own: &OwnCommand, read: &WitnessedCommand) -> Option<String> {
        wrong_mailbox(own.verb, read, self.mailbox.as_deref()).or_else(|| {
            let late = |time: Micros| time > self.ended && !own.may_be_lost;
            let outside = read.at_us.is_some_and(|time| time < self.issued_at || late(time));
            outside.then(|| format!("the server saw {} before or after the operation", name(read)))
        })
    }
}

fn name(command: &WitnessedCommand) -> String {
    format!("{} {}", command.tag, command.verb)
}

/// The mailbox that a command of the operation worked on while it was selected, by our record: the one that was asked for; or,
/// where the operation relied on a selection that others could change, the one that its reply proves to be from (MC020 says
/// what is wrong with that), if it proves any. None if the operation works on no selected mailbox.
fn worked_on(protocol: Protocol, operation: &Operation, command: &Command) -> Option<Arc<str>> {
    operation.mailbox.as_ref()?;
    OperationSpec::named(protocol, operation.name).filter(|spec| spec.selects)?;
    if operation.relied_on.is_some() && command.verb != "EXAMINE" {
        operation.answered_by.as_ref()?.mailbox.as_deref().map(Into::into)
    } else {
        operation.mailbox.clone()
    }
}

/// What is wrong with the server's word on the mailbox that was selected.
fn wrong_mailbox(verb: &str, read: &WitnessedCommand, mailbox: Option<&str>) -> Option<String> {
    let mailbox = mailbox?;
    let selected = read.selected.as_deref();
    let same = selected.is_some_and(|name| is_same_mailbox(name, mailbox));
    let refused = selected.is_none() && verb == "EXAMINE";
    (!same && !refused).then(|| {
        format!("it asked for {mailbox}, the server ran {} in {}", name(read), selected.unwrap_or("no mailbox"))
    })
}

/// Whether both name one mailbox: INBOX is case-insensitive (RFC 3501 §5.1), all others are not.
pub(crate) fn is_same_mailbox(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case("INBOX") && other.eq_ignore_ascii_case("INBOX"))
}
