//! A scenario's steps as the stream has them, and back.

use super::scenario::{Did, Outcome, Ran, Scenario, StepDone};
use crate::allocator::Refusal;
use crate::event::{self, Agreement, ClientEnd, Micros, Proof};

impl StepDone {
    /// The step as an event's.
    #[must_use]
    pub fn step(&self) -> event::Step {
        let client = |at: usize| self.whose.get(at).and_then(Clone::clone);
        let did = self.did.iter().enumerate().map(|(at, did)| event::Action { client: client(at), did: did.into() });
        event::Step {
            line: self.line,
            text: self.text.clone(),
            thread: self.thread.clone(),
            task: self.task.clone(),
            took_us: self.took.into(),
            held: self.held(),
            expected: self.expected.clone(),
            happened: self.instead.clone(),
            did: did.collect(),
            expectation: self.expectation.clone(),
        }
    }

    /// The step of an event of that time.
    ///
    /// # Errors
    /// It names a rule that refuses nothing.
    pub fn from_step(step: event::Step, at: Micros) -> Result<Self, String> {
        let (whose, did): (Vec<_>, Vec<_>) = step.did.into_iter().map(|action| (action.client, action.did)).unzip();
        Ok(Self {
            line: step.line,
            text: step.text,
            thread: step.thread,
            task: step.task,
            at: at.duration(),
            took: step.took_us.duration(),
            did: did.into_iter().map(TryInto::try_into).collect::<Result<_, _>>()?,
            whose,
            expected: step.expected,
            instead: step.happened,
            expectation: step.expectation,
        })
    }
}

impl From<&Did> for event::Did {
    fn from(did: &Did) -> Self {
        match did {
            Did::Ran(ran) => Self::Ran {
                operation: ran.operation,
                connection: ran.session.connection,
                session: ran.session,
                name: ran.name.clone(),
                reason: ran.reason,
                from: ran.from.clone(),
                items: ran.outcome.as_ref().ok().copied(),
                failure: ran.outcome.as_ref().err().cloned(),
            },
            Did::Would { reason, passed } => Self::Would {
                reason: *reason,
                connection: passed.as_ref().map(|(connection, _)| *connection),
                name: passed.as_ref().and_then(|(_, name)| name.clone()),
            },
            Did::Created { connection, name } => Self::Created { connection: *connection, name: name.clone() },
            Did::Disposed { connection } => Self::Disposed { connection: *connection },
            Did::Nothing => Self::Nothing,
            Did::Refused { rule, message } => Self::Refused { rule: (*rule).to_owned(), message: message.clone() },
            Did::Failed { session, failure } => Self::Failed { session: *session, failure: failure.clone() },
            Did::Panicked(message) => Self::Panics { message: message.clone() },
            Did::Noted(text) => Self::Noted { text: text.clone() },
        }
    }
}

impl TryFrom<event::Did> for Did {
    type Error = String;

    fn try_from(did: event::Did) -> Result<Self, String> {
        use event::Did as Said;
        Ok(match did {
            Said::Ran { operation, session, name, reason, from, items, failure, .. } => {
                let outcome = failure.map_or(Ok(items.unwrap_or_default()), Err);
                Self::Ran(Box::new(Ran { operation, session, name, reason, from, outcome }))
            }
            Said::Would { reason, connection, name } => {
                Self::Would { reason, passed: connection.map(|connection| (connection, name)) }
            }
            Said::Created { connection, name } => Self::Created { connection, name },
            Said::Disposed { connection } => Self::Disposed { connection },
            Said::Nothing => Self::Nothing,
            Said::Refused { rule, message } => {
                let known = Refusal::RULES.into_iter().find(|known| *known == rule);
                let rule = known.ok_or_else(|| format!("{rule:?} is no rule that refuses"))?;
                Self::Refused { rule, message }
            }
            Said::Failed { session, failure } => Self::Failed { session, failure },
            Said::Panics { message } => Self::Panicked(message),
            Said::Counted { sessions } => {
                Self::Noted(format!("{sessions} session{}", if sessions == 1 { "" } else { "s" }))
            }
            Said::Noted { text } => Self::Noted(text),
        })
    }
}

impl Scenario {
    /// Its last event.
    #[must_use]
    pub fn end(&self, outcome: &Outcome) -> event::ScenarioEnd {
        let clients = self.clients.iter().zip(&outcome.verdicts).map(|((name, run), verdict)| {
            let Proof { rules, witness } = verdict.proof;
            ClientEnd {
                name: name.clone(),
                run_id: run.header.run_id.clone(),
                rules,
                witness: witness.available.then_some(Agreement { checked: witness.checked, held: witness.agreed }),
                findings: verdict.findings.clone(),
                still_open: run.end.still_open,
            }
        });
        event::ScenarioEnd {
            steps: self.steps.len() + outcome.findings.len(),
            failed: outcome.failed,
            interrupted: self.interrupted,
            clients: clients.collect(),
            judged_by: outcome.judged_by.clone(),
            exit_code: outcome.exit_code,
        }
    }
}
