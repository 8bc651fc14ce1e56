//! The lines of a scenario's file that are its own: a shape each, in which it is written and read back.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::allocator::{ConnectionId, Reason, Refusal, SessionId};
use crate::protocol::{Failure, Protocol};
use crate::record::{Did, FindingExpected, Outcome, Ran, Scenario, StepDone};
use crate::report::events::{self, Event};
use crate::report::names::{Named, Us};
use crate::report::shapes::{AgreementShape, FailureShape, FindingShape, SCHEMA_VERSION, finding};

impl Event for Start<'_> {
    const NAME: &'static str = "scenario-start";
}

impl Event for StepShape<'_> {
    const NAME: &'static str = "step";
}

impl Event for EndShape<'_> {
    const NAME: &'static str = "scenario-end";
}

#[derive(Serialize, Deserialize)]
pub(in crate::report) struct Start<'a> {
    pub(in crate::report) schema_version: u32,
    pub(in crate::report) tool_version: Cow<'a, str>,
    pub(in crate::report) started: Cow<'a, str>,
    pub(in crate::report) name: Cow<'a, str>,
    pub(in crate::report) server: Cow<'a, str>,
    pub(in crate::report) protocol: Named<Protocol>,
}

impl<'a> Start<'a> {
    pub(in crate::report) fn new(started: String, name: &'a str, server: &'a str, protocol: Protocol) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").into(),
            started: started.into(),
            name: name.into(),
            server: server.into(),
            protocol: Named(protocol),
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(in crate::report) struct StepShape<'a> {
    line: usize,
    text: Cow<'a, str>,
    thread: Option<Cow<'a, str>>,
    task: Option<Cow<'a, str>>,
    took_us: Us,
    held: bool,
    expected: Option<Cow<'a, str>>,
    /// What happened instead.
    happened: Option<Cow<'a, str>>,
    did: Vec<Whose<'a>>,
}

impl<'a> From<&'a StepDone> for StepShape<'a> {
    fn from(step: &'a StepDone) -> Self {
        let said = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        Self {
            line: step.line,
            text: Cow::Borrowed(&step.text),
            thread: said(&step.thread),
            task: said(&step.task),
            took_us: Us(step.took),
            held: step.held(),
            expected: said(&step.expected),
            happened: said(&step.instead),
            did: step
                .did
                .iter()
                .enumerate()
                .map(|(at, did)| Whose {
                    client: step.whose.get(at).and_then(|whose| whose.as_deref()).map(Cow::Borrowed),
                    did: DidShape::from(did),
                })
                .collect(),
        }
    }
}

impl StepShape<'_> {
    /// The step, which began then.
    pub(in crate::report) fn step(self, protocol: Protocol, at: Duration) -> Result<StepDone, String> {
        if self.held == self.happened.is_some() {
            return Err("a step that did not hold says what happened instead, and no other does".to_owned());
        }
        let said = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        let (whose, did): (Vec<_>, Vec<_>) = self.did.into_iter().map(|Whose { client, did }| (client, did)).unzip();
        let whose = whose.into_iter().map(said).collect();
        let did = did.into_iter().map(|did| did.did(protocol)).collect::<Result<_, _>>()?;
        Ok(StepDone {
            line: self.line,
            text: self.text.into_owned(),
            thread: said(self.thread),
            task: said(self.task),
            at,
            took: self.took_us.0,
            did,
            whose,
            expected: said(self.expected),
            instead: said(self.happened),
        })
    }
}

/// What a step that is judged at the end expects of the findings.
pub(in crate::report) fn finding_expected(step: &StepDone) -> Option<FindingExpected> {
    let words: Vec<&str> = step.text.split_whitespace().collect();
    let (id, there) = match words[..] {
        ["expect", "finding", id] => (Some(id.to_owned()), true),
        ["expect", "no", "finding", id] => (Some(id.to_owned()), false),
        ["expect", "no", "findings"] => (None, false),
        _ => return None,
    };
    Some(FindingExpected { line: step.line, text: step.text.clone(), id, there })
}

/// What an action did, and with which client, where there are several.
#[derive(Serialize, Deserialize)]
struct Whose<'a> {
    client: Option<Cow<'a, str>>,
    #[serde(flatten)]
    did: DidShape<'a>,
}

/// Each with `what`: `ran`, `would`, `created`, `disposed`, `nothing`, `refused`, `failed`, `panics`, `noted`.
#[derive(Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
enum DidShape<'a> {
    Ran {
        operation: Cow<'a, str>,
        connection: Named<ConnectionId>,
        session: Named<SessionId>,
        name: Option<Cow<'a, str>>,
        reason: Named<Reason>,
        from: Option<Cow<'a, str>>,
        items: Option<u32>,
        failure: Option<FailureShape<'a>>,
    },
    Would {
        reason: Named<Reason>,
        connection: Option<Named<ConnectionId>>,
        name: Option<Cow<'a, str>>,
    },
    Created {
        connection: Named<ConnectionId>,
        name: Option<Cow<'a, str>>,
    },
    Disposed {
        connection: Named<ConnectionId>,
    },
    Nothing,
    Refused {
        rule: Cow<'a, str>,
        message: Cow<'a, str>,
    },
    Failed {
        session: Option<Named<SessionId>>,
        failure: FailureShape<'a>,
    },
    Panics {
        message: Cow<'a, str>,
    },
    Noted {
        text: Cow<'a, str>,
    },
}

impl<'a> From<&'a Did> for DidShape<'a> {
    fn from(did: &'a Did) -> Self {
        let shape = |failure: &'a Failure| FailureShape::from(failure);
        let said = |text: &'a Option<String>| text.as_deref().map(Cow::Borrowed);
        match did {
            Did::Ran(used) => Self::Ran {
                operation: used.operation.into(),
                connection: Named(used.session.connection),
                session: Named(used.session),
                name: said(&used.name),
                reason: Named(used.reason),
                from: said(&used.from),
                items: used.outcome.as_ref().ok().copied(),
                failure: used.outcome.as_ref().err().map(shape),
            },
            Did::Would { reason, passed } => Self::Would {
                reason: Named(*reason),
                connection: passed.as_ref().map(|(connection, _)| Named(*connection)),
                name: passed.as_ref().and_then(|(_, name)| said(name)),
            },
            Did::Created { connection, name } => Self::Created { connection: Named(*connection), name: said(name) },
            Did::Disposed { connection } => Self::Disposed { connection: Named(*connection) },
            Did::Nothing => Self::Nothing,
            Did::Refused { rule, message } => Self::Refused { rule: Cow::Borrowed(rule), message: message.into() },
            Did::Failed { session, failure } => Self::Failed { session: session.map(Named), failure: shape(failure) },
            Did::Panicked(message) => Self::Panics { message: message.into() },
            Did::Noted(text) => Self::Noted { text: text.into() },
        }
    }
}

impl DidShape<'_> {
    fn did(self, protocol: Protocol) -> Result<Did, String> {
        let said = |text: Option<Cow<'_, str>>| text.map(Cow::into_owned);
        Ok(match self {
            Self::Ran { operation, connection, session, name, reason, from, items, failure } => {
                if session.0.connection != connection.0 {
                    return Err(format!("{} is no session of {}", session.0, connection.0));
                }
                let outcome = match (items, failure) {
                    (Some(items), None) => Ok(items),
                    (None, Some(failure)) => Err(failure.into()),
                    _ => return Err("it has items or a failure, one of them".to_owned()),
                };
                let operation = events::operation(protocol, &operation)?;
                let (name, from, reason, session) = (said(name), said(from), reason.0, session.0);
                Did::Ran(Box::new(Ran { operation, session, name, reason, from, outcome }))
            }
            Self::Would { reason, connection, name } => {
                if connection.is_some() != (reason.0 == Reason::Explicit) || (name.is_some() && connection.is_none()) {
                    return Err("a connection is passed exactly where the reason is explicit".to_owned());
                }
                Did::Would { reason: reason.0, passed: connection.map(|connection| (connection.0, said(name))) }
            }
            Self::Created { connection, name } => Did::Created { connection: connection.0, name: said(name) },
            Self::Disposed { connection } => Did::Disposed { connection: connection.0 },
            Self::Nothing => Did::Nothing,
            Self::Refused { rule, message } => {
                let known = Refusal::RULES.into_iter().find(|known| *known == rule);
                let rule = known.ok_or_else(|| format!("{rule:?} is no rule that refuses"))?;
                Did::Refused { rule, message: message.into_owned() }
            }
            Self::Failed { session, failure } => {
                Did::Failed { session: session.map(|session| session.0), failure: failure.into() }
            }
            Self::Panics { message } => Did::Panicked(message.into_owned()),
            Self::Noted { text } => Did::Noted(text.into_owned()),
        })
    }
}

#[derive(Serialize)]
pub(in crate::report) struct EndShape<'a> {
    steps: usize,
    failed: usize,
    interrupted: Option<i32>,
    clients: Vec<ClientShape<'a>>,
    exit_code: u8,
}

impl<'a> EndShape<'a> {
    pub(in crate::report) fn new(scenario: &'a Scenario, outcome: &'a Outcome) -> Self {
        let clients = scenario.clients.iter().zip(&outcome.verdicts);
        Self {
            steps: scenario.steps.len() + outcome.findings.len(),
            failed: outcome.failed,
            interrupted: scenario.interrupted,
            clients: clients
                .map(|((name, run), verdict)| ClientShape {
                    name,
                    run_id: &run.header.run_id,
                    rules: verdict.rules.into(),
                    witness: verdict.witness.map(Into::into),
                    findings: verdict.findings.iter().map(finding).collect(),
                    still_open: run.end.still_open,
                })
                .collect(),
            exit_code: outcome.exit_code,
        }
    }
}

#[derive(Serialize)]
struct ClientShape<'a> {
    name: &'a str,
    run_id: &'a str,
    rules: AgreementShape,
    witness: Option<AgreementShape>,
    findings: Vec<FindingShape<'a>>,
    still_open: usize,
}
