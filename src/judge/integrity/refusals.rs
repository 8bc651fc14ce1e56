//! What the server refused is called what its own line means: a limit is no wrong password (B4).
//!
//! The run told it from the line as it came, without what its commands had brought along. The file holds the line as it is
//! shown, and not all of these names: so a kind is right if one way of reading the line gives it, and what may repeat a name
//! that the file does not hold is not judged.

use std::collections::HashMap;

use super::checks::Rule;
use super::seen::Seen;
use crate::event::{RunStart, What};
use crate::protocol::{Endpoint, Failure, FailureKind, Protocol, Stage, comes_about_at, mailbox_as_sent, refusal_of};

/// So many readings are remembered.
const KEPT: usize = 256;

/// What was found of lines that came before.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    found: HashMap<Refusal, bool>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Refusal {
    line: String,
    stage: Stage,
    kind: FailureKind,
    mailbox: Option<String>,
}

impl Refusals {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        let (failure, mailbox) = match seen.what {
            What::SessionRefused(it) => {
                let failure = &it.failure;
                if is_by_deed(failure) {
                    // The server went on with others of ours.
                    seen.check(Rule::Refusals, it.open + it.dialling > 0, || {
                        "it is called a limit and has no line of the server's, and no other connection was open"
                            .to_owned()
                    });
                }
                (Some(failure), None)
            }
            What::Operation(it) => (it.failure.as_deref(), it.mailbox.as_deref()),
            What::WorkerStopped(it) => (it.failure.as_deref(), None),
            What::TaskStopped(it) => (it.failure.as_deref(), None),
            What::SessionClosed(it) => (it.failure.as_ref(), None),
            _ => return,
        };
        if let Some(failure) = failure {
            self.judge(seen, failure, mailbox);
        }
    }

    fn judge(&mut self, seen: &mut Seen<'_>, failure: &Failure, mailbox: Option<&str>) {
        let (kind, stage) = (failure.kind, failure.stage);
        seen.check(Rule::Outcomes, comes_about_at(kind, stage), || format!("nothing is called {kind} at {stage}"));
        // The line, if there is one, gives no reason.
        if is_by_deed(failure) {
            return;
        }
        let Some(line) = &failure.server_line else {
            let is_said = is_its_own(kind) || matches!(kind, FailureKind::ServerBad | FailureKind::ServerBye);
            seen.check(Rule::Refusals, !is_said, || {
                format!("it is called {kind}, which a server says, and there is none of its lines")
            });
            return;
        };
        if !is_read(seen.start, failure, line) {
            return;
        }
        let mailbox = mailbox.map(str::to_owned);
        let refusal = Refusal { line: line.clone(), stage: failure.stage, kind, mailbox };
        if self.found.len() >= KEPT {
            self.found.clear();
        }
        let right = *self.found.entry(refusal.clone()).or_insert_with(|| refusal.is_right(seen.start));
        seen.check(Rule::Refusals, right, || format!("it is called {kind}, the server's line means another: {line}"));
    }
}

impl Refusal {
    /// Whether one way of reading the line, with one choice of the names that may stand in it cut out, gives that kind.
    fn is_right(&self, start: &RunStart) -> bool {
        let user = Endpoint::parse(&start.server, None).map(|endpoint| endpoint.user).unwrap_or_default();
        let local = user.rsplit_once('@').map(|(local, _)| local.to_owned());
        let user: Vec<String> = [user].into_iter().chain(local).collect();
        let with = |mailboxes: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let written = mailboxes.flat_map(|it| [it.to_owned(), mailbox_as_sent(it).trim_matches('"').to_owned()]);
            user.iter().cloned().chain(written).collect()
        };
        let own = with(&mut self.mailbox.as_deref().into_iter());
        let all = with(&mut start.mailboxes.iter().map(|name| &**name));
        let is_limit = |kind| matches!(kind, FailureKind::LimitConnections | FailureKind::LimitRate);
        [self.line.clone().into_bytes(), unescaped(&self.line)].iter().any(|reading| {
            [&user, &own, &all, &Vec::new()].iter().any(|cut| {
                let means = refusal_of(reading, self.stage, cut).kind;
                // A goodbye is one whatever its words, and nothing is a wrong password before anybody signed in; but a limit is one.
                means == self.kind || !(is_its_own(self.kind) || is_limit(means))
            })
        })
    }
}

/// A limit that the server closed a dial for without a word.
fn is_by_deed(failure: &Failure) -> bool {
    failure.kind == FailureKind::LimitConnections && failure.stage <= Stage::Greeting && failure.gives_no_reason()
}

/// Nobody but the server says so.
const fn is_its_own(kind: FailureKind) -> bool {
    use FailureKind::{AuthInvalid, AuthPolicy, AuthRefused, LimitConnections, LimitRate, ServerUnavailable};
    matches!(kind, AuthInvalid | AuthPolicy | AuthRefused | ServerUnavailable | LimitConnections | LimitRate)
}

/// Whether the line alone decided, and the file has all of it.
fn is_read(start: &RunStart, failure: &Failure, line: &str) -> bool {
    use FailureKind::{AuthUnsupported, ServerBad, ServerBye, ServerNo};
    let refused =
        is_its_own(failure.kind) || matches!(failure.kind, AuthUnsupported | ServerNo | ServerBad | ServerBye);
    let names = match start.protocol {
        // Addresses of letters, and the name that EHLO gives.
        Protocol::Smtp => failure.stage == Stage::Operation || line.contains(['@', '-']),
        Protocol::Imap => line.contains("mailconn"),
        Protocol::Pop3 => false,
    };
    // Of a line that was cut the end is not known; nor what stands behind a mask.
    refused && !names && !line.ends_with('…') && !line.contains("***")
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
