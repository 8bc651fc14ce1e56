//! The run as the stream of events that takes its place.

use std::sync::Arc;

use super::run::{Asked, Command, Header, HowClosed, Operation, Run, What, WitnessedSession};
use crate::event::{self, Micros};
use crate::judge::{Judge, run_end};
use crate::protocol::Protocol;

/// So many of a session's commands stand in one line.
const COMMANDS_A_LINE: usize = 256;

impl Run {
    /// Every event of the run, from its start to its end, which is judged by that policy.
    #[must_use]
    pub fn events(&self, policy: &event::Policy) -> Vec<event::Event> {
        let mut all = self.happened();
        let judge = self.judge_of(&all);
        let summary = judge.summary();
        let verdict = judge.verdict(&summary, policy);
        let end = run_end(self.ending(), &summary, &verdict, policy.clone());
        let seq = all.len() as u64;
        all.push(event::Event { seq, at: self.end.elapsed.into(), what: Box::new(end).into() });
        all
    }

    /// Who has seen the whole run.
    #[must_use]
    pub fn judge(&self) -> Judge {
        self.judge_of(&self.happened())
    }

    fn judge_of(&self, happened: &[event::Event]) -> Judge {
        let mut judge = Judge::of(happened);
        judge.end(self.ending());
        judge
    }

    fn ending(&self) -> event::Ending {
        event::Ending {
            elapsed: self.end.elapsed.into(),
            interrupted: self.end.interrupted,
            still_open: self.end.still_open,
            held_up: None,
        }
    }

    /// Every event but its end, which says what it all came to.
    #[must_use]
    pub fn happened(&self) -> Vec<event::Event> {
        let Self { header, entries, .. } = self;
        let mailboxes: Vec<Arc<str>> = header.mailboxes.iter().map(|name| name.as_str().into()).collect();
        let mut all: Vec<event::Event> = Vec::with_capacity(entries.len() + 2);
        let start = header.start(mailboxes.clone(), self.witness.is_some());
        all.push(event::Event { seq: 0, at: Micros::ZERO, what: Box::new(start).into() });
        // The run's start is an event too, and no entry.
        all.extend(entries.iter().map(|entry| event::Event {
            seq: entry.seq + 1,
            at: entry.at.into(),
            what: what(header.protocol, &mailboxes, &entry.what),
        }));
        let mut add = |at: Micros, what: event::What| {
            let seq = all.len() as u64;
            all.push(event::Event { seq, at, what });
        };
        for session in self.witness.iter().flatten() {
            for what in witnessed(session) {
                add(self.end.elapsed.into(), what);
            }
        }
        all
    }

    /// Those behind its entries: the server's own record, then the run's end.
    #[must_use]
    pub fn last_events(&self, policy: &event::Policy) -> Vec<event::Event> {
        self.events(policy).split_off(self.entries.len() + 1)
    }
}

impl Header {
    fn start(&self, mailboxes: Vec<Arc<str>>, witnessed: bool) -> event::RunStart {
        let header = self;
        let named = |names: &[String], at: u32| names.get(at as usize).cloned();
        let asked = match header.asked {
            Asked::Operations(each) => event::Asked::Operations(each),
            Asked::InAll(all) => event::Asked::InAll(all),
            Asked::Duration(time) => event::Asked::Duration(time.into()),
        };
        let unscripted = !header.scripted;
        event::RunStart {
            schema_version: event::SCHEMA_VERSION,
            tool_version: header.tool_version.clone(),
            run_id: header.run_id.clone(),
            started: header.started,
            server: header.server.clone(),
            protocol: header.protocol,
            certificates_verified: header.certificates_verified(),
            mode: header.mode,
            threads: header.workers.len(),
            seed: unscripted.then_some(header.seed),
            asked: unscripted.then_some(asked),
            mix: unscripted.then(|| header.mix.clone()),
            mailboxes,
            max_connections: header.max_connections,
            lock: header.lock,
            workers: (0..)
                .zip(&header.workers)
                .map(|(at, it)| event::WorkerRole {
                    worker: event::WorkerId(at),
                    name: named(&header.names.workers, at),
                    role: *it,
                })
                .collect(),
            executor: header.executor,
            dispose: header.dispose,
            tasks: (0..)
                .zip(&header.tasks)
                .map(|(at, it)| event::TaskRole {
                    task: event::TaskId(at),
                    name: named(&header.names.tasks, at),
                    role: *it,
                })
                .collect(),
            switches: header.switches.clone(),
            scripted: header.scripted,
            witnessed,
        }
    }
}

fn what(protocol: Protocol, mailboxes: &[Arc<str>], what: &What) -> event::What {
    match what {
        What::Created { connection, kind, worker, task, by_hand } => event::ConnectionCreated {
            connection: *connection,
            kind: *kind,
            worker: *worker,
            task: *task,
            by_hand: *by_hand,
        }
        .into(),
        What::Opened(opened) => Box::new(event::SessionOpened {
            connection: opened.session.connection,
            session: opened.session,
            worker: opened.worker,
            began_us: opened.began.into(),
            local_port: opened.local_port,
            label: opened.label.clone(),
            tls: opened.tls.as_ref().map(Into::into),
            signed_in_by: opened.signed_in_by,
            signed_in_us: opened.signed_in.into(),
            dial_us: (&opened.phases).into(),
            commands: commands(protocol, &opened.commands),
        })
        .into(),
        What::OpenFailed(failed) => Box::new(event::SessionRefused {
            connection: failed.session.connection,
            session: failed.session,
            worker: failed.worker,
            local_port: failed.local_port,
            dial_us: (&failed.phases).into(),
            took_us: failed.took.into(),
            sign_in_attempted: failed.sign_in_attempted,
            open: failed.open,
            dialling: failed.dialling,
            failed_us: failed.failed.into(),
            failure: failed.failure.clone(),
        })
        .into(),
        What::Closed(closed) => Box::new(event::SessionClosed {
            connection: closed.session.connection,
            session: closed.session,
            closed: match closed.how {
                HowClosed::LoggedOut => event::HowClosed::LoggedOut,
                HowClosed::WithoutLogout(_) => event::HowClosed::NoLogout,
                HowClosed::HungUp(_) => event::HowClosed::HungUp,
                HowClosed::Discarded => event::HowClosed::Discarded,
            },
            bytes_sent: closed.sent,
            bytes_received: closed.received,
            commands: commands(protocol, &closed.commands),
            carried: closed.carried,
            failure: closed.how.failure().cloned(),
        })
        .into(),
        What::Disposed { connection, cause } => {
            event::ConnectionDisposed { connection: *connection, cause: *cause }.into()
        }
        What::ModeChanged { from, to } => event::ModeChanged { from: *from, to: *to }.into(),
        What::Operation(operation) => Box::new(self::operation(protocol, mailboxes, operation)).into(),
        What::LeftMailbox { worker, mailbox } => {
            event::MailboxLeft { worker: *worker, mailbox: mailbox.clone() }.into()
        }
        What::Stopped { worker, not_issued, failure } => {
            event::WorkerStopped { worker: *worker, not_issued: *not_issued, failure: failure.clone() }.into()
        }
        What::TaskStarted { task, worker } => event::TaskStarted { task: *task, worker: *worker }.into(),
        What::DefaultRefused { task, worker, existing } => {
            let rule = event::DefaultRule::C3;
            event::DefaultRefused { task: *task, worker: *worker, existing: *existing, rule }.into()
        }
        What::TaskStopped { task, not_issued, failure } => {
            event::TaskStopped { task: *task, not_issued: *not_issued, failure: failure.clone() }.into()
        }
        What::TaskEnded { task, worker, operations, left_mailbox } => {
            event::TaskEnded { task: *task, worker: *worker, operations: *operations, left_mailbox: *left_mailbox }
                .into()
        }
        What::WorkerEnded { worker, operations, not_begun, not_begun_wait, left_mailbox } => event::WorkerEnded {
            worker: *worker,
            operations: *operations,
            not_begun: *not_begun,
            not_begun_wait_us: (*not_begun_wait).into(),
            left_mailbox: *left_mailbox,
        }
        .into(),
    }
}

fn operation(protocol: Protocol, mailboxes: &[Arc<str>], operation: &Operation) -> event::Operation {
    let mut event = event::Operation {
        number: operation.number,
        worker: operation.worker,
        task: operation.task,
        name: operation.name,
        mailbox: operation.mailbox.and_then(|index| mailboxes.get(usize::from(index)).cloned()),
        mode: operation.mode,
        had_default: operation.had_default,
        passed: operation.passed,
        reason: operation.reason,
        connection: operation.session.map(|session| session.connection),
        session: operation.session,
        opened: operation.opened,
        local_port: operation.local_port,
        commands: commands(protocol, &operation.commands),
        failed_command: operation.failed_command,
        // The run's start is an event too, and no entry.
        issued_after: operation.issued_after + 1,
        issued_at_us: operation.issued_at.into(),
        wait_us: operation.wait.into(),
        dial_us: operation.dial.into(),
        service_us: operation.service.into(),
        outcome: event::Outcome::Ok,
        items: None,
        failure: None,
        answered_by: operation.answered_by.clone(),
        relied_on: operation.relied_on.as_deref().map(|selection| {
            Box::new(event::Selection {
                session: selection.session,
                local_port: selection.local_port,
                commands: commands(protocol, &selection.commands),
                uid_validity: selection.uid_validity,
            })
        }),
    };
    event.came_to(operation.outcome.clone().map_err(|failure| *failure));
    event
}

fn commands(protocol: Protocol, commands: &[Command]) -> Box<[event::Command]> {
    let tag = |number| event::Tag { number, imap: protocol == Protocol::Imap };
    commands.iter().map(|command| event::Command { tag: tag(command.tag), verb: command.verb }).collect()
}

fn witnessed(session: &WitnessedSession) -> Vec<event::What> {
    let command = |command: &super::run::WitnessedCommand| event::WitnessedCommand {
        tag: command.tag.clone(),
        verb: command.verb.clone().into(),
        selected: command.selected.as_deref().map(Into::into),
        at_us: command.at.map(Micros::from),
    };
    let lines = session.commands.chunks(COMMANDS_A_LINE).map(|some| {
        let commands = some.iter().map(command).collect();
        event::What::from(event::WitnessCommands { peer_port: session.peer_port, commands })
    });
    let end = event::WitnessSession {
        peer_port: session.peer_port,
        run_id: session.run_id.clone(),
        label: session.label.clone(),
        logged_out: session.logged_out,
        open: session.open,
        commands: session.commands.len() as u64,
    };
    lines.chain([end.into()]).collect()
}
