//! What the server refused is called what its own line means: a limit is no wrong password (B4).
//!
//! The run told it from the line as it came, without what its commands had brought along. The record holds the line as it is
//! shown, and not all of these names: so a kind is right if one way of reading the line gives it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Audit, REFUSALS};
use crate::protocol::{Endpoint, Failure, FailureKind, Protocol, Stage, mailbox_as_sent, refusal_of};
use crate::record::run::{Entry, Run, What};

/// So many words are looked at for a name that the record does not hold.
const WORDS: usize = 100;

pub(super) fn check(run: &Run, audit: &mut Audit) {
    let mut known = Known::of(run);
    for entry in &run.entries {
        if let Some(failure) = failure(entry) {
            judge(entry, failure, &mut known, audit);
        }
    }
}

fn failure(entry: &Entry) -> Option<&Failure> {
    match &entry.what {
        What::OpenFailed(failed) => Some(&failed.failure),
        What::Operation(operation) => operation.outcome.as_ref().err().map(|failure| &**failure),
        What::Stopped { failure, .. } | What::TaskStopped { failure, .. } => failure.as_deref(),
        What::Closed(closed) => closed.how.failure(),
        _ => None,
    }
}

fn judge(entry: &Entry, failure: &Failure, known: &mut Known, audit: &mut Audit) {
    use FailureKind::{
        AuthInvalid, AuthPolicy, AuthRefused, AuthUnsupported, LimitConnections, LimitRate, ServerBad, ServerBye,
        ServerNo, ServerUnavailable,
    };
    let seq = Some(entry.seq);
    let kind = failure.kind;
    // Nobody but the server says so.
    let its_own =
        matches!(kind, AuthInvalid | AuthPolicy | AuthRefused | ServerUnavailable | LimitConnections | LimitRate);
    // The server's deed said so, while it went on with others of ours.
    if kind == LimitConnections && failure.stage <= Stage::Greeting && failure.gives_no_reason() {
        let others = known.others(entry, failure);
        audit.check(REFUSALS, seq, others, || {
            format!("it is called {kind} and has no line of the server's, and no other connection was open")
        });
        return;
    }
    let Some(line) = &failure.server_line else {
        audit.check(REFUSALS, seq, !its_own, || format!("{kind} is a server's answer, and there is none of its lines"));
        return;
    };
    // Of a line that was cut the end is not known; other kinds are told from more than the line.
    let refused = its_own || matches!(kind, AuthUnsupported | ServerNo | ServerBad | ServerBye);
    // What stands behind a mask decided, and is not known here.
    if !refused || line.ends_with('…') || line.contains("***") {
        return;
    }
    let readings = [line.clone().into_bytes(), unescaped(line)];
    let mailbox = match &entry.what {
        What::Operation(operation) => operation.mailbox,
        _ => None,
    };
    let mut means = ServerNo;
    // A goodbye is one whatever its words, and nothing is a wrong password before anybody signed in; but a limit is a limit.
    let mut holds = |cut: &[String]| {
        readings.iter().any(|reading| {
            means = refusal_of(reading, failure.stage, cut).kind;
            means == kind || !(its_own || matches!(means, LimitConnections | LimitRate))
        })
    };
    let right = known.cuttings(mailbox).iter().any(|cut| holds(cut)) || {
        let key = (line.clone(), failure.stage, kind);
        let found = known.guessed.get(&key).copied();
        found.unwrap_or_else(|| {
            let right = known.guesses(entry, failure.stage, &readings).iter().any(|cut| holds(cut));
            known.guessed.insert(key, right);
            right
        })
    };
    audit.check(REFUSALS, seq, right, || {
        let means = refusal_of(&readings[1], failure.stage, &known.user).kind;
        format!("it is called {kind}, the server's line means {means}: {line}")
    });
}

/// What the run's commands brought along, as far as its record knows.
struct Known {
    protocol: Protocol,
    user: Vec<String>,
    /// Each mailbox as it is written, and as it is sent.
    mailboxes: Vec<[String; 2]>,
    /// From when to when each session was open, or being opened.
    sessions: Vec<(Duration, Duration)>,
    /// The messages of dials that failed.
    dials: BTreeSet<String>,
    /// What was found of names that the record does not hold.
    guessed: BTreeMap<(String, Stage, FailureKind), bool>,
}

impl Known {
    fn of(run: &Run) -> Self {
        let user = Endpoint::parse(&run.header.server, None).map(|endpoint| endpoint.user).unwrap_or_default();
        let local = user.rsplit_once('@').map(|(local, _)| local.to_owned());
        let written = |name: &String| [name.clone(), mailbox_as_sent(name).trim_matches('"').to_owned()];
        Self {
            protocol: run.header.protocol,
            user: [user].into_iter().chain(local).collect(),
            mailboxes: run.header.mailboxes.iter().map(written).collect(),
            sessions: sessions(run),
            dials: run
                .entries
                .iter()
                .filter_map(|entry| match &entry.what {
                    What::OpenFailed(failed) => Some(failed.failure.message.clone()),
                    _ => None,
                })
                .collect(),
            guessed: BTreeMap::new(),
        }
    }

    /// Whether a dial that failed like that did so while another session was there; what a dial came to is told again by
    /// whoever needed it.
    fn others(&self, entry: &Entry, failure: &Failure) -> bool {
        let What::OpenFailed(failed) = &entry.what else { return self.dials.contains(&failure.message) };
        let dialled = entry.at.saturating_sub(failed.took);
        self.sessions.iter().any(|(began, ended)| *began <= failed.failed && *ended >= dialled)
    }

    /// The names that may have been cut: none, the user's, with it the operation's own mailbox, or all.
    fn cuttings(&self, mailbox: Option<u16>) -> Vec<Vec<String>> {
        let with = |mailboxes: &[[String; 2]]| -> Vec<String> {
            self.user.iter().chain(mailboxes.iter().flatten()).cloned().collect()
        };
        let own = mailbox.and_then(|index| self.mailboxes.get(usize::from(index))).map(std::slice::from_ref);
        let mut cuttings = vec![with(&[])];
        cuttings.extend(own.map(with));
        cuttings.extend([with(&self.mailboxes), Vec::new()]);
        cuttings
    }

    /// The parts of the line that may be a name of which the record says nothing: an address that a letter is from or to, the
    /// name that EHLO gives, a scratch mailbox. Each alone, and all together.
    fn guesses(&self, entry: &Entry, stage: Stage, readings: &[Vec<u8>]) -> Vec<Vec<String>> {
        let is_scratch = match &entry.what {
            What::Operation(operation) => operation.name == "append",
            What::Stopped { .. } | What::TaskStopped { .. } => true,
            _ => false,
        };
        let dials = stage <= Stage::Wait;
        let may_be: fn(&str) -> bool = match self.protocol {
            Protocol::Smtp if dials => |part| !part.contains(char::is_whitespace),
            // Servers name a recipient by the local part alone too. Of plain words none is taken for one: else every limit could
            // be called something else.
            Protocol::Smtp => |part| !part.contains(char::is_whitespace) && part.contains(['@', '-', '_', '.', '+']),
            Protocol::Imap if is_scratch && !dials => |part| part.contains("mailconn"),
            Protocol::Imap | Protocol::Pop3 => return Vec::new(),
        };
        let mut all = self.user.clone();
        let mut guesses = Vec::new();
        for reading in readings {
            let text = String::from_utf8_lossy(reading);
            for part in parts(&text).into_iter().filter(|part| may_be(part)) {
                if !part.contains(char::is_whitespace) && !dials {
                    all.push(part.to_owned());
                }
                guesses.push(self.user.iter().cloned().chain([part.to_owned()]).collect());
            }
        }
        all.sort_by_key(|name| std::cmp::Reverse(name.len()));
        guesses.push(all);
        guesses
    }
}

/// From when to when each session was open, or being opened; one that is not seen to end is open for ever.
fn sessions(run: &Run) -> Vec<(Duration, Duration)> {
    let mut sessions = BTreeMap::new();
    for entry in &run.entries {
        match &entry.what {
            What::Opened(opened) => drop(sessions.insert(opened.session, (opened.began, Duration::MAX))),
            What::Closed(closed) => {
                if let Some((_, ended)) = sessions.get_mut(&closed.session) {
                    *ended = entry.at;
                }
            }
            _ => {}
        }
    }
    sessions.into_values().collect()
}

/// What stands between two edges of words.
fn parts(text: &str) -> Vec<&str> {
    let mut edges = vec![0];
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        if at > 0 && !(c.is_alphanumeric() && before.is_alphanumeric()) {
            edges.push(at);
        }
        before = c;
    }
    edges.push(text.len());
    edges.truncate(2 * WORDS);
    let from = |(index, from): (usize, &usize)| {
        let from = *from;
        edges[index + 1..].iter().take(WORDS / 4).map(move |to| &text[from..*to]).collect::<Vec<_>>()
    };
    edges.iter().enumerate().flat_map(from).filter(|part| part.contains(char::is_alphanumeric)).collect()
}

/// The bytes that a shown line stands for: `\xe9`, `\t`, `\u{1}`. What looks like an escape and is none stays.
fn unescaped(line: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(line.len());
    let mut rest = line;
    while let Some(at) = rest.find('\\') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        let (meant, length) = escape(rest).unwrap_or_else(|| (b"\\".to_vec(), 1));
        bytes.extend(meant);
        rest = &rest[length..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

/// What an escape at the text's beginning means, and how long it is.
fn escape(text: &str) -> Option<(Vec<u8>, usize)> {
    match text.as_bytes().get(1)? {
        b't' => Some((b"\t".to_vec(), 2)),
        b'r' => Some((b"\r".to_vec(), 2)),
        b'n' => Some((b"\n".to_vec(), 2)),
        b'x' => Some((vec![u8::from_str_radix(text.get(2..4)?, 16).ok()?], 4)),
        b'u' => {
            let digits = text.strip_prefix("\\u{")?.split_once('}')?.0;
            let character = char::from_u32(u32::from_str_radix(digits, 16).ok()?)?;
            Some((character.to_string().into_bytes(), digits.len() + 4))
        }
        _ => None,
    }
}
