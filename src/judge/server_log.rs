//! A real server's log, a second witness: what it wrote down of each session, as plain rows, against a stream.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::integrity::{Checks, Rule};
use crate::allocator::SessionId;
use crate::event::{Command, Event, HowClosed, Micros, Operation, RunStart, SessionClosed, SessionOpened, What};
use crate::protocol::{Endpoint, Protocol};

/// A session as a server's log has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoggedSession {
    /// When it signed in, by the server's clock in the server's zone, as if that were UTC; none if the log does not say.
    pub at: Option<SystemTime>,
    /// The client's port; none if the log does not say.
    pub port: Option<u16>,
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

/// A client's sessions, each with its end and all it sent: as many as its server's log has.
#[derive(Debug, Default)]
pub struct OurSessions {
    start: Option<Arc<RunStart>>,
    sessions: BTreeMap<SessionId, Ours>,
}

#[derive(Debug)]
struct Ours {
    line: u64,
    at: Micros,
    opened: SessionOpened,
    closed: Option<SessionClosed>,
    commands: Vec<Command>,
}

/// What a comparison with a server's log came to.
#[derive(Clone, Debug, Default)]
pub struct AgainstLog {
    /// What was checked, and what does not hold.
    pub checks: Checks,
    /// Sessions of the run that signed in.
    pub signed_in: u64,
    /// Those of its sessions that were found in the log, so compared.
    pub sessions: u64,
    /// Those of them of which the server kept a transcript.
    pub transcripts: u64,
    /// The commands in these.
    pub commands: u64,
    /// Whether there were to be transcripts.
    pub with_transcripts: bool,
    /// In words: what was joined, and what could not be.
    pub said: Vec<String>,
}

/// What a sign-in may take of bytes, for each command that it needs: a token of OAuth has a few thousand.
const BEFORE: u64 = 8 << 10;

/// From the last time zone to the first, and an hour: so far apart can two clocks be that show the same time.
const ZONES: Duration = Duration::from_secs(15 * 3600);

impl OurSessions {
    /// Takes the event in, which stands in that line.
    pub fn see(&mut self, line: u64, event: &Event) {
        match &event.what {
            What::RunStart(start) => self.start = Some(Arc::new((**start).clone())),
            What::SessionOpened(opened) => {
                let commands = opened.commands.to_vec();
                let ours = Ours { line, at: event.at, opened: (**opened).clone(), closed: None, commands };
                self.sessions.insert(opened.session, ours);
            }
            What::Operation(operation) => self.sent(operation),
            What::SessionClosed(closed) => {
                if let Some(ours) = self.sessions.get_mut(&closed.session) {
                    ours.commands.extend_from_slice(&closed.commands);
                    ours.closed = Some((**closed).clone());
                }
            }
            _ => {}
        }
    }

    fn sent(&mut self, operation: &Operation) {
        let earlier = operation.relied_on.as_deref().map(|selection| (selection.session, &selection.commands));
        let last = operation.session.map(|session| (session, &operation.commands));
        for (session, commands) in earlier.into_iter().chain(last) {
            if let Some(ours) = self.sessions.get_mut(&session) {
                ours.commands.extend_from_slice(commands);
            }
        }
    }

    /// Compares them with a server's log.
    #[must_use]
    pub fn against(mut self, log: &[LoggedSession]) -> AgainstLog {
        let mut against = AgainstLog::default();
        let Some(start) = self.start.take() else { return against };
        let ours = &mut self.sessions;
        ours.values_mut().for_each(|ours| ours.commands.sort_by_key(|command| command.tag));
        let is_of_run = |logged: &&LoggedSession| logged.run_id.as_ref() == Some(&start.run_id);
        let mut labels: BTreeMap<&str, Vec<&LoggedSession>> = BTreeMap::new();
        let mut ports: BTreeMap<u16, Vec<&LoggedSession>> = BTreeMap::new();
        for logged in log {
            if is_of_run(&logged) {
                labels.entry(logged.label.as_deref().unwrap_or_default()).or_default().push(logged);
            } else if let (None, Some(port)) = (&logged.run_id, logged.port) {
                ports.entry(port).or_default().push(logged);
            }
        }
        let (mut by_label, mut by_port) = (0, 0);
        let (mut missing, mut without) = (Vec::new(), Vec::new());
        for (session, ours) in &*ours {
            let named = session.to_string();
            against.signed_in += u64::from(ours.opened.signed_in_by.is_some());
            // A label that the log does not have cannot be told from a log without labels.
            let by_name = labels.get(&*named);
            let found = by_name.or_else(|| ports.get(&ours.opened.local_port)).map(Vec::as_slice).unwrap_or_default();
            match *found {
                [logged] => {
                    *(if by_name.is_none() { &mut by_port } else { &mut by_label }) += 1;
                    against.compare(&start, *session, ours, logged);
                    if logged.commands.is_none() {
                        without.push((ours.line, *session));
                    }
                }
                [] if !labels.is_empty() && ours.opened.label.is_some() => {
                    let sentence = || format!("the log has this run, and no session of it called {named}");
                    against.checks.check(Rule::Log, ours.line, false, sentence);
                }
                [] => missing.push((ours, *session)),
                _ => against.said.push(format!(
                    "{named} was not compared: the log has {} sessions on its port, {}",
                    found.len(),
                    ours.opened.local_port
                )),
            }
        }
        against.sessions = by_label + by_port;
        // Where some are in it, it is that server's log of that time.
        for (ours, session) in missing {
            let line = format!("{session} (port {}) is not in the log", ours.opened.local_port);
            if against.sessions > 0 && ours.opened.signed_in_by.is_some() {
                let sentence = || format!("{line}, which has others of this run");
                against.checks.check(Rule::Log, ours.line, false, sentence);
            } else {
                against.said.push(line);
            }
        }
        for (line, session) in without.iter().filter(|_| against.transcripts > 0) {
            against.checks.check(Rule::Log, *line, false, || {
                format!("{session} has no transcript, and other sessions of this run have one")
            });
        }
        let names: BTreeSet<String> = ours.keys().map(ToString::to_string).collect();
        for logged in log.iter().filter(is_of_run) {
            let known = logged.label.as_deref().is_some_and(|label| names.contains(label));
            against.checks.check(Rule::Log, None, known, || {
                let label = logged.label.as_deref().unwrap_or("no name");
                let port = logged.port.map(|port| format!(" on port {port}")).unwrap_or_default();
                format!("the log has a session of this run, {label}{port}, that the trace has not")
            });
        }
        if against.signed_in == 0 {
            against.said.push("no session of the run signed in: a log of sign-ins has none of them".to_owned());
        }
        let (opened, in_all) = (ours.len(), log.len());
        against.said.insert(0, format!(
            "the server's log has {in_all} session(s); of the run's {opened}, {by_label} were joined by their label and \
             {by_port} by their port alone"
        ));
        against
    }
}

impl AgainstLog {
    /// Adds what another one came to: of another client's run.
    pub fn add(&mut self, other: Self) {
        self.checks.add(other.checks);
        self.signed_in += other.signed_in;
        self.sessions += other.sessions;
        self.transcripts += other.transcripts;
        self.commands += other.commands;
        self.said.extend(other.said);
    }

    fn compare(&mut self, start: &RunStart, session: SessionId, ours: &Ours, logged: &LoggedSession) {
        compare(&mut self.checks, start, session, ours, logged);
        if let Some(seen) = &logged.commands {
            self.transcripts += 1;
            self.commands += seen.len() as u64;
            transcript(&mut self.checks, start.protocol, session, ours, logged, seen);
        }
    }
}

fn compare(checks: &mut Checks, start: &RunStart, session: SessionId, ours: &Ours, logged: &LoggedSession) {
    let Ours { line, opened, .. } = ours;
    let mut check = |holds: bool, sentence: &dyn Fn() -> String| checks.check(Rule::Log, *line, holds, sentence);
    if let Some(port) = logged.port {
        check(port == opened.local_port, &|| {
            format!("{session} went over port {}, the log has it on port {port}", opened.local_port)
        });
    }
    if let Ok(Endpoint { user, .. }) = Endpoint::parse(&start.server, None) {
        check(is_same_user(&user, &logged.user), &|| {
            format!("{session} is one of {user}, the log has {} sign in", logged.user)
        });
    }
    if let (Some(there), Some(here)) = (logged.at, start.started.checked_add(ours.at.duration())) {
        let apart = there.duration_since(here).unwrap_or_else(|earlier| earlier.duration());
        check(apart <= ZONES, &|| {
            let hours = apart.as_secs() / 3600;
            format!("{session} signed in at a time that is {hours} hours from the log's: no time zone explains that")
        });
    }
    if let Some(tls) = logged.tls {
        check(tls == opened.tls.is_some(), &|| {
            let words = |tls| if tls { "under TLS" } else { "in the clear" };
            format!("{session} was {}, the log has it {}", words(opened.tls.is_some()), words(tls))
        });
    }
    if let (Some(ours), Some(method)) = (opened.signed_in_by, &logged.method) {
        // The log calls the protocol's own command PLAIN, which it amounts to.
        let own = method == "PLAIN" && opened.commands.iter().any(|command| command.verb == ours);
        check(own || method.eq_ignore_ascii_case(ours), &|| {
            format!("{session} signed in by {ours}, the log says {method}")
        });
    }
    let healthy = ours.closed.as_ref().is_some_and(|closed| closed.closed == HowClosed::LoggedOut);
    if let Some(end) = logged.end.as_ref().filter(|_| healthy) {
        let agrees = end.starts_with("Logged out") || has_crossed(logged);
        check(agrees, &|| format!("{session} logged out, the log says: {end}"));
    }
    if let (Some(closed), Some((received, sent))) = (ours.closed.as_ref().filter(|_| healthy), logged.bytes) {
        let before = BEFORE.saturating_mul(opened.commands.len() as u64 + 1);
        let holds = |ours: u64, theirs: u64| (theirs..=theirs.saturating_add(before)).contains(&ours);
        check(holds(closed.bytes_sent, received) && holds(closed.bytes_received, sent), &|| {
            format!(
                "{session} sent {} bytes and received {} in all; the log has {received} and {sent} after the sign-in, \
                 which takes {before} at most",
                closed.bytes_sent, closed.bytes_received
            )
        });
    }
}

/// The server said goodbye by itself (it was stopped, or an administrator ended the session). If our LOGOUT was on its way
/// then, its BYE was taken for the reply.
fn has_crossed(logged: &LoggedSession) -> bool {
    logged.end.as_ref().is_some_and(|end| end.starts_with("Server shutting down"))
}

/// A domain may have been put behind the name, or taken away, and its letters made small.
fn is_same_user(ours: &str, theirs: &str) -> bool {
    let local = |user: &str| user.split('@').next().unwrap_or_default().to_lowercase();
    let domain = |user: &str| user.split_once('@').map(|(_, domain)| domain.to_lowercase());
    let domains = domain(ours).zip(domain(theirs));
    local(ours) == local(theirs) && domains.is_none_or(|(ours, theirs)| ours == theirs)
}

/// The server's transcript begins after the sign-in: of a session that went well it has the last of our commands. What a broken
/// one sent last may never have been read.
fn transcript(
    checks: &mut Checks,
    protocol: Protocol,
    session: SessionId,
    ours: &Ours,
    logged: &LoggedSession,
    seen: &[(String, String)],
) {
    let healthy = ours.closed.as_ref().is_some_and(|closed| closed.closed == HowClosed::LoggedOut);
    let same = |sent: &[Command]| {
        sent.len() == seen.len()
            && sent.iter().zip(seen).all(|(ours, (tag, verb))| {
                (protocol == Protocol::Pop3 || *tag == ours.tag.to_string()) && verb == ours.verb
            })
    };
    let all = ours.commands.len();
    let holds = (0..=ours.opened.commands.len()).any(|skipped| {
        let end = skipped + seen.len();
        let goodbye = ours.commands.last().is_some_and(|last| ["LOGOUT", "QUIT"].contains(&last.verb));
        let is_whole = end == all || (end + 1 == all && goodbye && has_crossed(logged));
        (is_whole || !healthy) && ours.commands.get(skipped..end).is_some_and(same)
    });
    checks.check(Rule::Log, ours.line, holds, || {
        format!("{session} sent {all} commands, the server's transcript of it has {} others", seen.len())
    });
}
