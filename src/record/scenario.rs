//! What came of a scenario: each of its steps with what it did and whether that was expected, and one [`Run`] for each of
//! its clients, to be judged like any other.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use super::run::Run;
use crate::allocator::{ConnectionId, Reason, SessionId};
use crate::event::{Finding, Policy, Severity};
use crate::judge::{Conclusion, Verdict};
use crate::protocol::{Failure, Protocol};

/// A step that was done.
#[derive(Clone, Debug)]
pub struct StepDone {
    /// Its line in the file, from 1.
    pub line: usize,
    /// As it was written, without its comment.
    pub text: String,
    /// The thread that did it, as the scenario names it; of a pool `P.2`.
    pub thread: Option<String>,
    /// The task that did it there, on a pool, as the scenario names it; one without a name after its line: `P:8`.
    pub task: Option<String>,
    /// When it began, since the start.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// What it did, action by action.
    pub did: Vec<Did>,
    /// Whose connections each action was about, where there are several clients.
    pub whose: Vec<Option<String>>,
    /// What was expected of it, as written, or understood where nothing was written; none if nothing is.
    pub expected: Option<String>,
    /// What happened instead of what was expected.
    pub instead: Option<String>,
    /// What was expected, as data.
    pub expectation: Option<crate::event::Expectation>,
}

impl StepDone {
    /// Whether what was expected happened.
    #[must_use]
    pub const fn held(&self) -> bool {
        self.instead.is_none()
    }
}

/// What one action did.
#[derive(Clone, Debug)]
pub enum Did {
    /// Nothing that has a result: in a few words.
    Noted(String),
    /// An operation ran on a connection.
    Ran(Box<Ran>),
    /// A connection was created by hand.
    Created {
        /// The connection.
        connection: ConnectionId,
        /// The name that the scenario gives it.
        name: Option<String>,
    },
    /// A connection was disposed.
    Disposed {
        /// The connection.
        connection: ConnectionId,
    },
    /// It would use that connection: nothing was used.
    Would {
        /// The rule's answer.
        reason: Reason,
        /// The connection that would be passed, and the name that the scenario gives it.
        passed: Option<(ConnectionId, Option<String>)>,
    },
    /// There was nothing to dispose, or to leave.
    Nothing,
    /// The rules refused it.
    Refused {
        /// The rule's number.
        rule: &'static str,
        /// The rule and the cure.
        message: String,
    },
    /// It came to no connection.
    Failed {
        /// The session that was dialled in vain, if one was.
        session: Option<SessionId>,
        /// Why.
        failure: Failure,
    },
    /// It panicked, with that message.
    Panicked(String),
}

/// An operation that ran.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its protocol's word for it; `select` and `fetch-selected` are IMAP's halves of one.
    pub operation: &'static str,
    /// Where it ran.
    pub session: SessionId,
    /// The name that the scenario gives that connection.
    pub name: Option<String>,
    /// Why there.
    pub reason: Reason,
    /// The mailbox that answered: the one that the session has selected.
    pub from: Option<String>,
    /// How many items the server named, or why it failed.
    pub outcome: Result<u32, Failure>,
}

/// What an action did, in words: `noop on #0, main`; of several clients `noop on A #0, main`.
struct Told<'a> {
    did: &'a Did,
    client: Option<&'a str>,
}

impl Did {
    /// In words, with the name of the client whose connection it was, if there is one.
    #[must_use]
    pub fn of<'a>(&'a self, client: Option<&'a str>) -> impl fmt::Display {
        Told { did: self, client }
    }
}

impl fmt::Display for Did {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.of(None).fmt(f)
    }
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of = self.client.map_or_else(String::new, |client| format!("{client} "));
        match self.did {
            Did::Noted(text) => f.write_str(text),
            Did::Ran(ran) => ran.told(&of, f),
            Did::Created { connection, .. } => write!(f, "opened {of}{connection}"),
            Did::Disposed { connection } => write!(f, "disposed {of}{connection}"),
            Did::Would { reason, passed: Some((connection, _)) } => write!(f, "would use {of}{connection}, {reason}"),
            Did::Would { reason, passed: None } => write!(f, "would use {reason}"),
            Did::Nothing => f.write_str("nothing"),
            // The message begins with the rule.
            Did::Refused { message, .. } => f.write_str(message),
            Did::Failed { session: Some(session), failure } => write!(f, "{of}{session} fails: {failure}"),
            Did::Failed { session: None, failure } => write!(f, "fails: {failure}"),
            Did::Panicked(message) => write!(f, "panics: {message}"),
        }
    }
}

impl Ran {
    fn told(&self, of: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, session, reason, .. } = self;
        write!(f, "{operation} on {of}{session}, {reason}")?;
        match &self.outcome {
            Ok(items) => {
                if *items > 0 {
                    write!(f, ": {items} items")?;
                }
                self.from.as_ref().map_or(Ok(()), |mailbox| write!(f, " from {mailbox}"))
            }
            Err(failure) => write!(f, " fails: {failure}"),
        }
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.told("", f)
    }
}

/// A finding that should be there at the end, or should not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FindingExpected {
    /// The line that says so, from 1.
    pub line: usize,
    /// As it was written.
    pub text: String,
    /// Which; any but advice, if none.
    pub id: Option<String>,
    /// Whether it should be there.
    pub there: bool,
}

/// A scenario that was run, whole.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// The server, without secrets.
    pub server: String,
    /// What was spoken.
    pub protocol: Protocol,
    /// Its steps, in order, as far as it came.
    pub steps: Vec<StepDone>,
    /// What is judged when all is over.
    pub findings: Vec<FindingExpected>,
    /// Each client's run, with its name; empty if it has none.
    pub clients: Vec<(String, Run)>,
    /// The signal that ended it early.
    pub interrupted: Option<i32>,
}

/// What a scenario comes to.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// What it was judged by.
    pub judged_by: Policy,
    /// The verdict on each client's run, in their order.
    pub verdicts: Vec<Verdict>,
    /// The expectations of findings, as steps at the end.
    pub findings: Vec<StepDone>,
    /// Expectations that did not hold, those of findings among them.
    pub failed: usize,
    /// The findings that fail it though nobody expected them, by their names: an invariant of ours is broken, or they are
    /// of those that were to fail it.
    pub failing: Vec<String>,
    /// The process's exit code: 0 as expected, 1 not, or a finding fails it that nobody expected, 7 if an invariant of ours is broken, 129, 130 or 143 interrupted.
    pub exit_code: u8,
}

impl Scenario {
    /// The findings that fail it: one that was to be found fails nothing, unless it is a broken invariant.
    fn failing(&self, verdicts: &[Verdict], policy: &Policy) -> BTreeSet<String> {
        let is_expected = |id: &str| self.findings.iter().any(|it| it.there && it.id.as_deref() == Some(id));
        let fails = |finding: &&Finding| {
            let asked_for = policy.fails_on(finding.severity) && !is_expected(&finding.id);
            finding.severity == Severity::Broken || asked_for
        };
        let all = verdicts.iter().flat_map(|verdict| &verdict.findings);
        all.filter(fails).map(|finding| finding.id.clone()).collect()
    }

    /// Judges it by that policy: each client's run by the rules, and what was expected of the findings.
    #[must_use]
    pub fn outcome(&self, policy: Policy) -> Outcome {
        let verdict = |run: &Run| {
            let judge = run.judge();
            judge.verdict(&judge.summary(), &policy)
        };
        let verdicts = self.clients.iter().map(|(_, run)| verdict(run)).collect();
        self.outcome_of(verdicts, policy)
    }

    /// What it comes to where these are the verdicts on its clients' runs, in their order, by that policy.
    #[must_use]
    pub fn outcome_of(&self, verdicts: Vec<Verdict>, judged_by: Policy) -> Outcome {
        let found: Vec<&Finding> = verdicts.iter().flat_map(|verdict| &verdict.findings).collect();
        let at = self.clients.iter().map(|(_, run)| run.end.elapsed).max().unwrap_or_default();
        let findings: Vec<StepDone> = if self.interrupted.is_some() {
            Vec::new()
        } else {
            self.findings.iter().map(|expected| expected.judge(&found, at)).collect()
        };
        let failed = self.steps.iter().chain(&findings).filter(|step| !step.held()).count();
        let failing = self.failing(&verdicts, &judged_by);
        let broken = |verdict: &Verdict| verdict.findings.iter().any(|finding| finding.severity == Severity::Broken);
        let exit_code = match self.interrupted {
            Some(signal) => Conclusion::Interrupted(signal).exit_code(),
            None if verdicts.iter().any(broken) => 7,
            None => u8::from(failed > 0 || !failing.is_empty()),
        };
        Outcome { judged_by, verdicts, findings, failed, failing: failing.into_iter().collect(), exit_code }
    }
}

impl FindingExpected {
    fn judge(&self, found: &[&Finding], at: Duration) -> StepDone {
        let ids: Vec<&str> = match &self.id {
            Some(_) => found.iter().map(|finding| &*finding.id).collect(),
            // How much was waited, or how often a connection was used again, is no matter of a few steps.
            None => found.iter().filter(|it| it.severity != Severity::Advice).map(|finding| &*finding.id).collect(),
        };
        let there = self.id.as_ref().map_or(!ids.is_empty(), |id| ids.contains(&id.as_str()));
        let all = if ids.is_empty() { "no findings".to_owned() } else { format!("found {}", ids.join(", ")) };
        StepDone {
            line: self.line,
            text: self.text.clone(),
            thread: None,
            task: None,
            at,
            took: Duration::ZERO,
            did: vec![Did::Noted(all.clone())],
            whose: Vec::new(),
            expected: Some(match (&self.id, self.there) {
                (Some(id), true) => id.clone(),
                (Some(id), false) => format!("no {id}"),
                (None, _) => "no findings".to_owned(),
            }),
            instead: (there != self.there).then_some(all),
            expectation: None,
        }
    }
}
