//! Does the server's own record agree about each operation's connection?
//!
//! The two records are joined by the client's port and the command's tag, command by command: each of ours must be in
//! the server's record once, on that port, with that verb, in that mailbox, at that time; and the server must have seen
//! nothing that we do not account for.

use std::collections::BTreeMap;
use std::time::Duration;

use super::run::{Command, Entry, HowClosed, Leased, Operation, Run, What, WitnessedCommand, WitnessedSession};
use super::verdict::{Agreement, Wrong};
use crate::allocator::SessionId;
use crate::protocol::{FailureKind, Protocol};

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

/// How many operations the server's record confirms, and where it disagrees. None if there is no such record.
pub(super) fn check(run: &Run) -> Option<(Agreement, Vec<Wrong>)> {
    let mut testimony = Testimony::of(run, run.witness.as_ref()?);
    let mut agreement = Agreement::default();
    for (entry, operation) in run.operations() {
        match testimony.confirm(run, entry, operation) {
            Confirmed::Yes => {
                agreement.checked += 1;
                agreement.held += 1;
            }
            Confirmed::No(why) => {
                agreement.checked += 1;
                let sentence =
                    format!("operation {} of {}: {why}", operation.number, run.header.names.worker(operation.worker));
                testimony.disagreements.push(Wrong { entry: Some(entry.seq), sentence });
            }
            Confirmed::CannotTell => {}
        }
    }
    testimony.account_for_the_rest(run);
    Some((agreement, testimony.disagreements))
}

enum Confirmed {
    Yes,
    No(String),
    /// It sent nothing, or its connection broke before the server had read it.
    CannotTell,
}

struct Testimony<'a> {
    protocol: Protocol,
    /// What the server saw of each of our sessions.
    sessions: BTreeMap<SessionId, Seen<'a>>,
    disagreements: Vec<Wrong>,
}

struct Seen<'a> {
    protocol: Protocol,
    witnessed: &'a WitnessedSession,
    by_tag: BTreeMap<&'a str, usize>,
    /// Which commands we have accounted for.
    claimed: Vec<bool>,
}

impl<'a> Testimony<'a> {
    fn of(run: &Run, witness: &'a [WitnessedSession]) -> Self {
        let protocol = run.header.protocol;
        let mut testimony = Self { protocol, sessions: BTreeMap::new(), disagreements: Vec::new() };
        let ours = |session: &&WitnessedSession| session.run_id.as_ref().is_none_or(|id| *id == run.header.run_id);
        // A port can serve one session after the other: the first dial on it is the first session the server saw.
        let mut by_port: BTreeMap<u16, Vec<&WitnessedSession>> = BTreeMap::new();
        for session in witness.iter().filter(ours).rev() {
            by_port.entry(session.peer_port).or_default().push(session);
        }
        for entry in &run.entries {
            match &entry.what {
                What::Opened(opened) => {
                    let seen = by_port.get_mut(&opened.local_port).and_then(Vec::pop);
                    testimony.opened(
                        opened.session,
                        opened.local_port,
                        opened.label.as_deref(),
                        &opened.commands,
                        seen,
                    );
                }
                What::OpenFailed(failed) => {
                    let seen = failed.local_port.and_then(|port| by_port.get_mut(&port)).and_then(Vec::pop);
                    let commands = seen.map(|seen| seen.commands.as_slice()).unwrap_or_default();
                    for command in commands.iter().filter(|command| !SIGN_IN.contains(&&*command.verb)) {
                        let line = format!("{} failed to open, yet the server saw {}", failed.session, name(command));
                        testimony.disagreements.push(line.into());
                    }
                }
                What::Closed(closed) => testimony.closed(closed.session, &closed.how, &closed.commands),
                _ => {}
            }
        }
        // Whoever connects to the server and says nothing is no session of anybody's.
        for session in by_port.into_values().flatten().filter(|session| session.spoke()) {
            let line = format!("the server saw a session on port {} that we never opened", session.peer_port);
            testimony.disagreements.push(line.into());
        }
        testimony
    }

    fn opened(
        &mut self,
        session: SessionId,
        port: u16,
        label: Option<&str>,
        commands: &[Command],
        seen: Option<&'a WitnessedSession>,
    ) {
        let Some(witnessed) = seen else {
            self.disagreements.push(format!("{session}: the server saw no session on port {port}").into());
            return;
        };
        if label != witnessed.label.as_deref() {
            let said = witnessed.label.as_deref().unwrap_or("none");
            self.disagreements.push(format!("{session}: the server has the label {said} on port {port}").into());
        }
        let by_tag = witnessed.commands.iter().enumerate().map(|(at, command)| (&*command.tag, at)).collect();
        let seen = Seen { protocol: self.protocol, witnessed, by_tag, claimed: vec![false; witnessed.commands.len()] };
        self.sessions.insert(session, seen);
        self.claim_all(session, commands);
    }

    fn closed(&mut self, session: SessionId, how: &HowClosed, commands: &[Command]) {
        if matches!(how, HowClosed::LoggedOut) {
            self.claim_all(session, commands);
            if self.sessions.get(&session).is_some_and(|seen| !seen.witnessed.logged_out) {
                self.disagreements.push(format!("{session}: we logged out, the server does not say so").into());
            }
        } else if let Some(seen) = self.sessions.get_mut(&session) {
            // The goodbye failed: the server may have read it or not.
            for command in commands {
                let _ = seen.claim(command);
            }
        }
    }

    fn claim_all(&mut self, session: SessionId, commands: &[Command]) {
        let Some(seen) = self.sessions.get_mut(&session) else { return };
        for command in commands {
            if let Err(why) = seen.claim(command) {
                self.disagreements.push(format!("{session}: {why}").into());
            }
        }
    }

    fn confirm(&mut self, run: &Run, entry: &Entry, operation: &Operation) -> Confirmed {
        let mut leases = operation.leases().peekable();
        let mut confirmed = Confirmed::CannotTell;
        while let Some(lease) = leases.next() {
            // What a broken operation sent last may still be on its way to the server when we have given it up.
            let may_be_lost = leases.peek().is_none() && broke(operation);
            confirmed = self.confirm_lease(run, entry, operation, &lease, may_be_lost);
            if matches!(confirmed, Confirmed::No(_)) {
                break;
            }
        }
        confirmed
    }

    fn confirm_lease(
        &mut self,
        run: &Run,
        entry: &Entry,
        operation: &Operation,
        lease: &Leased<'_>,
        may_be_lost: bool,
    ) -> Confirmed {
        let session = lease.session;
        let Some(seen) = self.sessions.get_mut(&session) else {
            return Confirmed::No(format!("the server never saw its session {session}"));
        };
        if Some(seen.witnessed.peer_port) != lease.local_port {
            return Confirmed::No(format!(
                "it went over port {}, the server has {session} on port {}",
                lease.local_port.unwrap_or_default(),
                seen.witnessed.peer_port
            ));
        }
        for (at, command) in lease.commands.iter().enumerate() {
            let may_be_lost = may_be_lost && at + 1 == lease.commands.len();
            let witnessed = match seen.claim(command) {
                Ok(witnessed) => witnessed,
                Err(_) if may_be_lost => return Confirmed::CannotTell,
                Err(why) => return Confirmed::No(why),
            };
            if let Some(wrong) = wrong_mailbox(command, witnessed, worked_on(run, operation, command)) {
                return Confirmed::No(wrong);
            }
            let by = if may_be_lost { Duration::MAX } else { entry.at };
            if witnessed.at.is_some_and(|time| time < operation.issued_at || time > by) {
                return Confirmed::No(format!("the server saw {} before or after the operation", name(witnessed)));
            }
        }
        Confirmed::Yes
    }

    /// What the server saw on our sessions must be ours.
    fn account_for_the_rest(&mut self, run: &Run) {
        let interrupted = run.end.interrupted.is_some();
        for (session, seen) in &self.sessions {
            let unclaimed = seen.witnessed.commands.iter().zip(&seen.claimed).filter(|(_, claimed)| !**claimed);
            for (command, _) in unclaimed {
                if !(interrupted && command.verb == self.protocol.goodbye()) {
                    let line = format!("{session}: the server saw {}, which no operation sent", name(command));
                    self.disagreements.push(line.into());
                }
            }
        }
    }
}

impl<'a> Seen<'a> {
    fn claim(&mut self, command: &Command) -> Result<&'a WitnessedCommand, String> {
        let tag = self.protocol.tag(command.tag);
        let port = self.witnessed.peer_port;
        let missing = || format!("the server saw no {tag} {} on port {port}", command.verb);
        let at = *self.by_tag.get(&*tag).ok_or_else(missing)?;
        let (witnessed, claimed) = self.witnessed.commands.get(at).zip(self.claimed.get_mut(at)).ok_or_else(missing)?;
        if witnessed.verb != command.verb {
            return Err(format!("the server saw {} on port {port}, not {}", name(witnessed), command.verb));
        }
        if std::mem::replace(claimed, true) {
            return Err(format!("two operations claim {} on port {port}", name(witnessed)));
        }
        Ok(witnessed)
    }
}

fn name(command: &WitnessedCommand) -> String {
    format!("{} {}", command.tag, command.verb)
}

fn broke(operation: &Operation) -> bool {
    use FailureKind::{Closed, Disposed, Internal, Protocol, ServerBye, Timeout};
    let kind = operation.outcome.as_ref().err().map(|failure| failure.kind);
    kind.is_some_and(|kind| matches!(kind, Closed | Disposed | Internal | Protocol | ServerBye | Timeout))
}

/// The mailbox that a command of the operation worked on, by our record: the one that was asked for; or, where the
/// operation relied on a selection that others could change, the one that its reply proves to be from (MC020 says what is
/// wrong with that), if it proves any.
fn worked_on<'a>(run: &'a Run, operation: &'a Operation, command: &Command) -> Option<&'a str> {
    if operation.relied_on.is_some() && command.verb != "EXAMINE" {
        operation.answered_by.as_ref()?.mailbox.as_deref()
    } else {
        run.header.mailboxes.get(usize::from(operation.mailbox?)).map(String::as_str)
    }
}

/// The server's word on the mailbox, where the command works on the selected one.
fn wrong_mailbox(command: &Command, witnessed: &WitnessedCommand, mailbox: Option<&str>) -> Option<String> {
    let mailbox = mailbox.filter(|_| matches!(command.verb, "EXAMINE" | "FETCH" | "SEARCH"))?;
    let selected = witnessed.selected.as_deref();
    let same = selected.is_some_and(|name| is_same_mailbox(name, mailbox));
    let refused = selected.is_none() && command.verb == "EXAMINE";
    (!same && !refused).then(|| {
        format!("it asked for {mailbox}, the server ran {} in {}", name(witnessed), selected.unwrap_or("no mailbox"))
    })
}

/// Whether both name one mailbox: INBOX is case-insensitive (RFC 3501 §5.1), all others are not.
pub(super) fn is_same_mailbox(one: &str, other: &str) -> bool {
    one == other || (one.eq_ignore_ascii_case("INBOX") && other.eq_ignore_ascii_case("INBOX"))
}
