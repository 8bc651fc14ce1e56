//! A real server's log, joined to a run: what it wrote down of each session, as plain rows.

use std::collections::{BTreeMap, BTreeSet};

use super::{Audit, LOG};
use crate::allocator::SessionId;
use crate::protocol::Protocol;
use crate::record::run::{Closed, Command, Entry, HowClosed, Opened, Run, What};

/// A session as a server's log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedSession {
    /// The client's port.
    pub port: u16,
    /// Who signed in.
    pub user: String,
    /// How.
    pub method: Option<String>,
    /// Whether under TLS; none if the log does not say.
    pub tls: Option<bool>,
    /// The run that the client said it was of.
    pub run_id: Option<String>,
    /// The session that the client said it was.
    pub label: Option<String>,
    /// How it ended, if the log says: `Logged out`.
    pub end: Option<String>,
    /// Bytes from and to the client after it had signed in.
    pub bytes: Option<(u64, u64)>,
    /// Tag (empty in POP3) and verb of each command after the sign-in, where the server kept a transcript.
    pub commands: Option<Vec<(String, String)>>,
}

/// A session of the run, with its end and all it sent.
struct Ours<'a> {
    entry: &'a Entry,
    opened: &'a Opened,
    closed: Option<&'a Closed>,
    commands: Vec<Command>,
}

impl Audit {
    /// Compares a run with a server's log. In words beside it: what was joined, and what could not be.
    #[must_use]
    pub fn against_log(run: &Run, log: &[LoggedSession]) -> (Self, Vec<String>) {
        let mut audit = Self::default();
        let mut said = Vec::new();
        let mut ours = sessions(run);
        let is_of_run = |logged: &&LoggedSession| logged.run_id.as_ref() == Some(&run.header.run_id);
        let mut labels: BTreeMap<&str, Vec<&LoggedSession>> = BTreeMap::new();
        let mut ports: BTreeMap<u16, Vec<&LoggedSession>> = BTreeMap::new();
        for logged in log {
            if is_of_run(&logged) {
                labels.entry(logged.label.as_deref().unwrap_or_default()).or_default().push(logged);
            } else if logged.run_id.is_none() {
                ports.entry(logged.port).or_default().push(logged);
            }
        }
        let (mut by_label, mut by_port) = (0, 0);
        for (session, ours) in &mut ours {
            let named = session.to_string();
            // A label that the log does not have cannot be told from a log without labels.
            let by_name = labels.get(&*named);
            let found = by_name.or_else(|| ports.get(&ours.opened.local_port)).map(Vec::as_slice).unwrap_or_default();
            match *found {
                [logged] => {
                    *(if by_name.is_none() { &mut by_port } else { &mut by_label }) += 1;
                    compare(&mut audit, run.header.protocol, *session, ours, logged);
                }
                [] if !labels.is_empty() && ours.opened.label.is_some() => {
                    let seq = Some(ours.entry.seq);
                    audit.check(LOG, seq, false, || {
                        format!("the log has this run, and no session of it called {named}")
                    });
                }
                [] => said.push(format!("{named} (port {}) is not in the log", ours.opened.local_port)),
                _ => said.push(format!(
                    "{named} cannot be joined: the log has {} sessions on port {}",
                    found.len(),
                    ours.opened.local_port
                )),
            }
        }
        let names: BTreeSet<String> = ours.keys().map(ToString::to_string).collect();
        for logged in log.iter().filter(is_of_run) {
            let known = logged.label.as_deref().is_some_and(|label| names.contains(label));
            audit.check(LOG, None, known, || {
                let label = logged.label.as_deref().unwrap_or("no name");
                format!("the log has a session of this run, {label} on port {}, that the trace has not", logged.port)
            });
        }
        let (opened, in_all) = (ours.len(), log.len());
        said.insert(0, format!(
            "the server's log has {in_all} sessions; of the run's {opened}, {by_label} were joined by their label and \
             {by_port} by their port alone"
        ));
        (audit, said)
    }
}

fn sessions(run: &Run) -> BTreeMap<SessionId, Ours<'_>> {
    let mut sessions: BTreeMap<SessionId, Ours<'_>> = BTreeMap::new();
    for entry in &run.entries {
        match &entry.what {
            What::Opened(opened) => {
                let commands = opened.commands.to_vec();
                sessions.insert(opened.session, Ours { entry, opened, closed: None, commands });
            }
            What::Operation(operation) => {
                if let Some(ours) = operation.session.and_then(|session| sessions.get_mut(&session)) {
                    ours.commands.extend_from_slice(&operation.commands);
                }
            }
            What::Closed(closed) => {
                if let Some(ours) = sessions.get_mut(&closed.session) {
                    ours.closed = Some(closed);
                    ours.commands.extend_from_slice(&closed.commands);
                }
            }
            _ => {}
        }
    }
    for ours in sessions.values_mut() {
        ours.commands.sort_by_key(|command| command.tag);
    }
    sessions
}

fn compare(audit: &mut Audit, protocol: Protocol, session: SessionId, ours: &Ours<'_>, logged: &LoggedSession) {
    let seq = Some(ours.entry.seq);
    let opened = ours.opened;
    audit.check(LOG, seq, logged.port == opened.local_port, || {
        format!("{session} went over port {}, the log has it on port {}", opened.local_port, logged.port)
    });
    if let Some(tls) = logged.tls {
        audit.check(LOG, seq, tls == opened.tls.is_some(), || {
            let words = |tls| if tls { "under TLS" } else { "in the clear" };
            format!("{session} was {}, the log has it {}", words(opened.tls.is_some()), words(tls))
        });
    }
    if let (Some(ours), Some(method)) = (opened.signed_in_by, &logged.method) {
        // The log calls the protocol's own command PLAIN, which it amounts to.
        let own = method == "PLAIN" && opened.commands.iter().any(|command| command.verb == ours);
        audit.check(LOG, seq, own || method.eq_ignore_ascii_case(ours), || {
            format!("{session} signed in by {ours}, the log says {method}")
        });
    }
    let healthy = ours.closed.is_some_and(|closed| matches!(closed.how, HowClosed::LoggedOut));
    if let Some(end) = logged.end.as_ref().filter(|_| healthy) {
        audit.check(LOG, seq, end.starts_with("Logged out"), || format!("{session} logged out, the log says: {end}"));
    }
    if let (Some(closed), Some((received, sent))) = (ours.closed.filter(|_| healthy), logged.bytes) {
        audit.check(LOG, seq, received <= closed.sent && sent <= closed.received, || {
            format!(
                "{session} sent {} bytes and received {} in all; the log has {received} and {sent} after the sign-in alone",
                closed.sent, closed.received
            )
        });
    }
    if let Some(seen) = logged.commands.as_ref().filter(|_| healthy) {
        // The server's transcript begins after the sign-in: what it has are the last of ours.
        let skipped = ours.commands.len().saturating_sub(seen.len());
        let units = ours.commands.len() - skipped;
        let set_up = skipped <= opened.commands.len();
        let same = ours.commands.iter().skip(skipped).zip(seen).all(|(ours, (tag, verb))| {
            (protocol == Protocol::Pop3 || *tag == protocol.tag(ours.tag)) && verb == ours.verb
        });
        audit.check(LOG, seq, set_up && same && units == seen.len(), || {
            let all = ours.commands.len();
            format!("{session} sent {all} commands, the server's transcript of it has {} others", seen.len())
        });
    }
}
