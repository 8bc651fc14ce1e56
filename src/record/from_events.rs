//! The stream of events back as the run that it is to take the place of.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::run::{
    Asked, Closed, Command, End, Entry, Header, HowClosed, Names, OpenFailed, Opened, Operation, Run, Selection, What,
    WitnessedCommand, WitnessedSession,
};
use crate::event;
use crate::protocol::{Failure, FailureKind, Phases, Stage, TlsDetails};

impl Run {
    /// The run that the events tell of; none if they hold no `run-start`.
    ///
    /// A server's record without a session is none: no event tells of it.
    #[must_use]
    pub fn from_events<E: Borrow<event::Event>>(events: impl IntoIterator<Item = E>) -> Option<Self> {
        let mut reading: Option<(Entries, Self)> = None;
        let mut read: HashMap<u16, Vec<WitnessedCommand>> = HashMap::new();
        for event in events {
            let event = event.borrow();
            if let event::What::RunStart(start) = &event.what {
                let header = Header::from_start(start);
                let (entries, end, witness) = (Vec::new(), End::default(), start.witnessed.then(Vec::new));
                reading = Some((Entries::of(start, event.seq), Self { header, entries, end, witness }));
                continue;
            }
            let Some((entries, run)) = &mut reading else { continue };
            match &event.what {
                event::What::WitnessCommands(some) => {
                    read.entry(some.peer_port).or_default().extend(some.commands.iter().map(witnessed));
                }
                event::What::WitnessSession(session) => run.witness.get_or_insert_default().push(WitnessedSession {
                    peer_port: session.peer_port,
                    run_id: session.run_id.clone(),
                    label: session.label.clone(),
                    logged_out: session.logged_out,
                    open: session.open,
                    commands: read.remove(&session.peer_port).unwrap_or_default(),
                }),
                event::What::RunEnd(end) => run.ended(end.ending()),
                _ => {}
            }
            run.entries.extend(entries.entry(event));
        }
        reading.map(|(_, run)| run)
    }

    /// It ended so.
    pub fn ended(&mut self, ending: event::Ending) {
        let event::Ending { elapsed, interrupted, still_open, .. } = ending;
        self.end = End { elapsed: elapsed.duration(), interrupted, still_open };
        if self.header.scripted {
            // Nothing was asked of anybody: as much as there was time for.
            self.header.asked = Asked::Duration(self.end.elapsed);
        }
    }
}

impl Header {
    /// What was asked for, as the event says it.
    #[must_use]
    pub fn from_start(start: &event::RunStart) -> Self {
        let asked = match start.asked {
            Some(event::Asked::Operations(each)) => Asked::Operations(each),
            Some(event::Asked::InAll(all)) => Asked::InAll(all),
            Some(event::Asked::Duration(time)) => Asked::Duration(time.duration()),
            None => Asked::Duration(Duration::ZERO),
        };
        Self {
            run_id: start.run_id.clone(),
            tool_version: start.tool_version.clone(),
            started: start.started,
            server: start.server.clone(),
            protocol: start.protocol,
            tls: start.certificates_verified.is_some(),
            insecure: start.certificates_verified == Some(false),
            mode: start.mode,
            switches: start.switches.clone(),
            workers: start.workers.iter().map(|it| it.role).collect(),
            executor: start.executor,
            tasks: start.tasks.iter().map(|it| it.role).collect(),
            dispose: start.dispose,
            asked,
            mix: start.mix.clone().unwrap_or_default(),
            mailboxes: start.mailboxes.iter().map(|name| (**name).to_owned()).collect(),
            seed: start.seed.unwrap_or_default(),
            max_connections: start.max_connections,
            lock: start.lock,
            names: Names {
                workers: names(start.workers.iter().map(|it| it.name.as_deref())),
                tasks: names(start.tasks.iter().map(|it| it.name.as_deref())),
            },
            scripted: start.scripted,
        }
    }
}

/// Either all of them have names, or none does.
fn names<'a>(names: impl Iterator<Item = Option<&'a str>>) -> Vec<String> {
    names.map(|name| name.map(str::to_owned)).collect::<Option<_>>().unwrap_or_default()
}

/// Events one after the other, from one number to before another, that are no entries.
#[derive(Debug)]
struct Others {
    from: u64,
    to: u64,
    /// How many there are before them.
    before: u64,
}

/// Puts events back into entries, one after the other.
#[derive(Debug)]
pub struct Entries {
    mailboxes: Vec<Arc<str>>,
    /// The events that are no entries, in order: those before an event are what its number and an entry's differ by. Those
    /// that are missing are among them: a later version's, which were passed over.
    others: Vec<Others>,
    next: u64,
}

impl Entries {
    /// Of the run that begins with that event.
    #[must_use]
    pub fn of(start: &event::RunStart, seq: u64) -> Self {
        Self {
            mailboxes: start.mailboxes.clone(),
            others: vec![Others { from: seq, to: seq + 1, before: 0 }],
            next: seq + 1,
        }
    }

    /// The entry of the next event; none if it is the run's start or end, or of the server's record.
    pub fn entry(&mut self, event: &event::Event) -> Option<Entry> {
        self.is_other(self.next, event.seq);
        self.next = self.next.max(event.seq.saturating_add(1));
        let Some(mut what) = self.what(&event.what) else {
            self.is_other(event.seq, event.seq.saturating_add(1));
            return None;
        };
        if let What::Operation(operation) = &mut what {
            operation.issued_after = self.entries_before(operation.issued_after);
        }
        Some(Entry { seq: self.entries_before(event.seq), at: event.at.duration(), what })
    }

    /// How many entries there are among the events before that one.
    fn entries_before(&self, seq: u64) -> u64 {
        let later = self.others.partition_point(|others| others.from < seq);
        let before = later.checked_sub(1).and_then(|at| self.others.get(at));
        seq.saturating_sub(before.map_or(0, |others| others.before + seq.min(others.to) - others.from))
    }

    /// The events from one number to before another are no entries. Numbers that were there before change nothing.
    fn is_other(&mut self, from: u64, to: u64) {
        match self.others.last_mut() {
            _ if from >= to => {}
            Some(last) if last.to > from => {}
            Some(last) if last.to == from => last.to = to,
            Some(last) => {
                let before = last.before + last.to - last.from;
                self.others.push(Others { from, to, before });
            }
            None => self.others.push(Others { from, to, before: 0 }),
        }
    }

    fn what(&self, what: &event::What) -> Option<What> {
        Some(match what {
            event::What::ConnectionCreated(it) => What::Created {
                connection: it.connection,
                kind: it.kind,
                worker: it.worker,
                task: it.task,
                by_hand: it.by_hand,
            },
            event::What::SessionOpened(it) => What::Opened(Box::new(opened(it))),
            event::What::SessionRefused(it) => What::OpenFailed(Box::new(OpenFailed {
                session: it.session,
                worker: it.worker,
                local_port: it.local_port,
                phases: phases(&it.dial_us),
                took: it.took_us.duration(),
                sign_in_attempted: it.sign_in_attempted,
                open: it.open,
                dialling: it.dialling,
                failed: it.failed_us.duration(),
                failure: it.failure.clone(),
            })),
            event::What::SessionClosed(it) => What::Closed(Box::new(Closed {
                session: it.session,
                how: how(it),
                sent: it.bytes_sent,
                received: it.bytes_received,
                commands: commands(&it.commands),
                carried: it.carried,
            })),
            event::What::ConnectionDisposed(it) => What::Disposed { connection: it.connection, cause: it.cause },
            event::What::ModeChanged(it) => What::ModeChanged { from: it.from, to: it.to },
            event::What::Operation(it) => What::Operation(Box::new(self.operation(it))),
            event::What::MailboxLeft(it) => What::LeftMailbox { worker: it.worker, mailbox: it.mailbox.clone() },
            event::What::WorkerStopped(it) => {
                What::Stopped { worker: it.worker, not_issued: it.not_issued, failure: it.failure.clone() }
            }
            event::What::TaskStarted(it) => What::TaskStarted { task: it.task, worker: it.worker },
            event::What::DefaultRefused(it) => {
                What::DefaultRefused { task: it.task, worker: it.worker, existing: it.existing }
            }
            event::What::TaskStopped(it) => {
                What::TaskStopped { task: it.task, not_issued: it.not_issued, failure: it.failure.clone() }
            }
            event::What::TaskEnded(it) => What::TaskEnded {
                task: it.task,
                worker: it.worker,
                operations: it.operations,
                left_mailbox: it.left_mailbox,
            },
            event::What::WorkerEnded(it) => What::WorkerEnded {
                worker: it.worker,
                operations: it.operations,
                not_begun: it.not_begun,
                not_begun_wait: it.not_begun_wait_us.duration(),
                left_mailbox: it.left_mailbox,
            },
            event::What::RunStart(_)
            | event::What::WitnessCommands(_)
            | event::What::WitnessSession(_)
            | event::What::RunEnd(_)
            | event::What::ScenarioStart(_)
            | event::What::Step(_)
            | event::What::ScenarioEnd(_) => return None,
        })
    }

    fn operation(&self, event: &event::Operation) -> Operation {
        let place = |name: &Arc<str>| self.mailboxes.iter().position(|known| known == name);
        Operation {
            worker: event.worker,
            task: event.task,
            number: event.number,
            name: event.name,
            mailbox: event.mailbox.as_ref().and_then(place).and_then(|place| u16::try_from(place).ok()),
            issued_after: event.issued_after,
            issued_at: event.issued_at_us.duration(),
            mode: event.mode,
            had_default: event.had_default,
            passed: event.passed,
            reason: event.reason,
            session: event.session,
            opened: event.opened,
            local_port: event.local_port,
            commands: commands(&event.commands),
            failed_command: event.failed_command,
            wait: event.wait_us.duration(),
            dial: event.dial_us.duration(),
            service: event.service_us.duration(),
            outcome: event.result().map_err(|failure| Box::new(failure.clone())),
            answered_by: event.answered_by.clone(),
            relied_on: event.relied_on.as_deref().map(|selection| {
                Box::new(Selection {
                    session: selection.session,
                    local_port: selection.local_port,
                    commands: commands(&selection.commands),
                    uid_validity: selection.uid_validity,
                })
            }),
        }
    }
}

fn opened(event: &event::SessionOpened) -> Opened {
    Opened {
        session: event.session,
        worker: event.worker,
        began: event.began_us.duration(),
        local_port: event.local_port,
        phases: phases(&event.dial_us),
        // The event says no more of it, and no report of a run does.
        tls: event.tls.as_ref().map(|tls| TlsDetails {
            version: tls.version.clone(),
            cipher: tls.cipher.clone(),
            resumed: tls.resumed,
            ..TlsDetails::default()
        }),
        label: event.label.clone(),
        signed_in_by: event.signed_in_by,
        signed_in: event.signed_in_us.duration(),
        commands: commands(&event.commands),
    }
}

fn how(event: &event::SessionClosed) -> HowClosed {
    // It is there where it is due: an event that is read from a line is refused otherwise.
    let failure = || {
        let unsaid = || Failure::new(FailureKind::Internal, Stage::Logout, "not said");
        event.failure.clone().unwrap_or_else(unsaid)
    };
    match event.closed {
        event::HowClosed::LoggedOut => HowClosed::LoggedOut,
        event::HowClosed::NoLogout => HowClosed::WithoutLogout(failure()),
        event::HowClosed::HungUp => HowClosed::HungUp(failure()),
        event::HowClosed::Discarded => HowClosed::Discarded,
    }
}

fn phases(dial: &event::Dial) -> Phases {
    let event::Dial { resolve, connect, tls, greeting, sign_in } = *dial;
    let [resolve, connect, tls, greeting, sign_in] =
        [resolve, connect, tls, greeting, sign_in].map(|time| time.map(event::Micros::duration));
    Phases { resolve, connect, tls, greeting, sign_in }
}

fn commands(commands: &[event::Command]) -> Box<[Command]> {
    commands.iter().map(|command| Command { tag: command.tag.number, verb: command.verb }).collect()
}

fn witnessed(command: &event::WitnessedCommand) -> WitnessedCommand {
    WitnessedCommand {
        tag: command.tag.clone(),
        verb: command.verb.to_string(),
        selected: command.selected.as_deref().map(str::to_owned),
        at: command.at_us.map(event::Micros::duration),
    }
}
