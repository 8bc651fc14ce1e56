//! What workers and tasks did: as much as was asked, of the kind that was asked, one thing after the other.

use std::collections::{HashMap, VecDeque};
use std::mem::replace;

use super::checks::{Checks, Rule};
use super::seen::{Seen, selected};
use crate::allocator::{ConnectionId, Disposal, Kind};
use crate::event::{
    Asked, ConnectionCreated, Dispose, Executor, HALVES, Lock, Micros, Operation, Outcome, Role, RunStart, TaskEnded,
    TaskId, What, WorkerEnded, WorkerId,
};
use crate::ledger::Ledger;
use crate::protocol::{self, Failure, FailureKind, Protocol, Stage};

/// So many events' times are remembered: what an operation knew of when it was issued was not later.
const TIMES: usize = 1 << 14;

/// The work of all.
#[derive(Debug, Default)]
pub(super) struct Work {
    workers: HashMap<WorkerId, Doer>,
    /// Where they do the work: those that are not over.
    tasks: HashMap<TaskId, Doer>,
    /// Tasks that are over, by their numbers.
    over: Vec<bool>,
    /// Which task has a thread, where a task has one from its beginning to its end.
    busy: HashMap<WorkerId, TaskId>,
    /// Which task began there last: until it has what it creates, the thread does nothing else.
    latest: HashMap<WorkerId, TaskId>,
    operations: u64,
    /// The times of the last events, and the number of the first of them.
    times: VecDeque<Micros>,
    first: u64,
}

/// Where a worker or a task stands.
#[derive(Debug, Default)]
struct Doer {
    /// A task's beginning is written down, and where that was.
    began: bool,
    on: Option<WorkerId>,
    /// Where a task was last.
    latest: Option<WorkerId>,
    ended: bool,
    issued: u64,
    not_issued: u64,
    stopped: u32,
    /// It stopped because a connection of its own could not be created.
    created_nothing: bool,
    panicked: bool,
    left: u32,
    default: bool,
    independent: Option<ConnectionId>,
    /// How many events there were when it ended what it did last, and when that was.
    known: u64,
    last: Micros,
    /// Why its connection could not be opened, and which could not be: it stops with that.
    refused: Option<Failure>,
    never_opened: Option<ConnectionId>,
}

/// A sandbox that was some way off, or slow, answered no sooner. Replies that another command was answered by may lie ready.
fn from_as_far(seen: &mut Seen<'_>, operation: &Operation) {
    let Some(sandbox) = seen.start.sandbox.as_ref().filter(|_| seen.start.lock == Lock::Unit) else { return };
    let due = sandbox.rtt_us.unwrap_or_default() + sandbox.latency_us;
    let Operation { number, service_us, ref commands, outcome, .. } = *operation;
    let is_answered = outcome == Outcome::Ok && !commands.is_empty();
    seen.check(Rule::Header, !is_answered || service_us >= due, || {
        format!("operation {number} took {service_us}, and the sandbox was to reply after {due}")
    });
}

impl Work {
    pub(super) fn see(&mut self, seen: &mut Seen<'_>) {
        let start = seen.start;
        self.remember(seen.seq, seen.at);
        match seen.what {
            What::ConnectionCreated(it) => {
                self.created_for_a_task(seen, it);
                if let (Some(worker), true) = (it.worker, it.by_hand) {
                    self.created_by_hand(seen, it, worker);
                }
            }
            What::ConnectionDisposed(it) => self.disposed(seen, it.connection, it.cause),
            What::SessionOpened(it) => self.dialled(seen, it.connection, it.session.number, None),
            What::SessionRefused(it) => self.dialled(seen, it.connection, it.session.number, Some(&it.failure)),
            What::Operation(operation) => self.operation(seen, operation),
            What::WorkerStopped(it) => {
                self.knows(seen, it.worker);
                let name = start.worker_name(it.worker);
                let doer = self.workers.entry(it.worker).or_default();
                let ended = doer.ended;
                doer.stops(seen, it.not_issued, it.failure.as_deref(), &name.to_string());
                seen.check(Rule::Asked, !ended, || format!("{name} stopped, and had ended"));
            }
            What::TaskStarted(it) => self.task_begins(seen, it.task, it.worker),
            What::DefaultRefused(it) => {
                self.knows(seen, it.worker);
                let role = role_of_task(start, it.task);
                let place = seen.known.place(it.existing);
                let had = place.is_some_and(|place| (place.kind, place.worker) == (Kind::Default, Some(it.worker)));
                // It goes on with what is there.
                let begins = self.latest.get(&it.worker) == Some(&it.task);
                let doer = self.task(seen, it.task);
                let first = !replace(&mut doer.default, true) && doer.issued == 0 && doer.independent.is_none();
                let holds = start.scripted || (first && begins && !doer.ended);
                doer.known = seen.seq + 1;
                self.workers.entry(it.worker).or_default().known = seen.seq + 1;
                let (task, worker) = (start.task_name(it.task), start.worker_name(it.worker));
                seen.check(Rule::Threads, holds, || {
                    format!("{task} was refused a default, and was not at its beginning on {worker}")
                });
                seen.check(Rule::Header, start.scripted || role.creates_default, || {
                    format!("{task} was not asked to create a default connection, yet it was refused one")
                });
                seen.check(Rule::Threads, had, || {
                    format!("{task} was refused a default because of {}, which is no default of {worker}", it.existing)
                });
            }
            What::TaskStopped(it) => {
                let name = start.task_name(it.task).to_string();
                self.task(seen, it.task).stops(seen, it.not_issued, it.failure.as_deref(), &name);
            }
            What::TaskEnded(it) => self.task_ends(seen, it),
            What::WorkerEnded(it) => self.worker_ends(seen, it),
            What::MailboxLeft(it) => self.leaves(seen, it.worker, &it.mailbox),
            _ => {}
        }
    }

    pub(super) fn end(&mut self, start: &RunStart, known: &Ledger, checks: &mut Checks) {
        let tasked = start.executor != Executor::Threads;
        let count = if tasked { start.tasks.len() } else { start.workers.len() };
        for number in (0..).take(count) {
            if tasked {
                if !self.over.get(number as usize).is_some_and(|over| *over) {
                    let doer = self.tasks.remove(&TaskId(number)).unwrap_or_default();
                    // An interruption finds tasks that have not begun.
                    doer.settle(start, number, doer.began || known.ending().is_none(), None, checks);
                    let holds = doer.began == doer.ended;
                    checks.check(Rule::Asked, None, holds, || format!("t{number} began, and did not end"));
                }
            } else {
                let doer = self.workers.remove(&WorkerId(number)).unwrap_or_default();
                doer.settle(start, number, true, None, checks);
                let holds = doer.ended || doer.panicked || start.scripted;
                checks.check(Rule::Asked, None, holds, || format!("w{number} began, and did not end"));
            }
        }
    }

    fn remember(&mut self, seq: u64, at: Micros) {
        if self.first + self.times.len() as u64 != seq || self.times.len() == TIMES {
            // A gap: lines are missing, which is told of elsewhere.
            let keep = if self.first + self.times.len() as u64 == seq { 1 } else { self.times.len() };
            self.times.drain(..keep);
            self.first = seq - self.times.len() as u64;
        }
        self.times.push_back(at);
    }

    /// When that event was, if it is remembered.
    fn time(&self, seq: u64) -> Option<Micros> {
        self.times.get(usize::try_from(seq.checked_sub(self.first)?).ok()?).copied()
    }

    fn knows(&self, seen: &mut Seen<'_>, worker: WorkerId) {
        let workers = seen.start.workers.len();
        seen.check(Rule::Header, (worker.0 as usize) < workers, || {
            format!("there are {workers} workers, and no {worker}")
        });
    }

    /// Where the task stands, of those that there are.
    fn task(&mut self, seen: &mut Seen<'_>, task: TaskId) -> &mut Doer {
        let tasks = seen.start.tasks.len();
        seen.check(Rule::Header, (task.0 as usize) < tasks, || format!("there are {tasks} tasks, and no {task}"));
        let over = self.over.get(task.0 as usize).is_some_and(|over| *over);
        self.tasks.entry(task).or_insert_with(|| Doer { began: over, ended: over, ..Doer::default() })
    }

    fn task_begins(&mut self, seen: &mut Seen<'_>, task: TaskId, worker: WorkerId) {
        self.knows(seen, worker);
        let (seq, at) = (seen.seq, seen.at);
        let doer = self.task(seen, task);
        let first = !replace(&mut doer.began, true);
        (doer.on, doer.latest, doer.known, doer.last) = (Some(worker), Some(worker), seq + 1, at);
        let (name, there) = (seen.start.task_name(task), seen.start.worker_name(worker));
        seen.check(Rule::Asked, first, || format!("{name} began before"));
        self.latest.insert(worker, task);
        let on = self.workers.entry(worker).or_default();
        on.known = seq + 1;
        seen.check(Rule::Threads, !on.ended, || format!("{name} began on {there}, which had ended"));
        if keeps_its_thread(seen.start) {
            let other = self.busy.insert(worker, task);
            seen.check(Rule::Threads, other.is_none(), || {
                format!("{name} began on {there}, which had {} to do", seen.start.task_name(other.unwrap_or(task)))
            });
        }
    }

    fn task_ends(&mut self, seen: &mut Seen<'_>, it: &TaskEnded) {
        let start = seen.start;
        let stays = keeps_its_thread(start);
        let name = start.task_name(it.task);
        let doer = self.task(seen, it.task);
        let holds = doer.began && !replace(&mut doer.ended, true);
        let (on, did, left) = (doer.on, doer.issued, doer.left > 0);
        let counted = if start.scripted { None } else { Some(did) };
        // What it was at when it panicked is not written down.
        let said = doer.panicked || (it.operations, it.left_mailbox) == (counted, left);
        seen.check(Rule::Asked, holds, || format!("{name} ended, and had ended before or never begun"));
        seen.check(Rule::Header, it.worker == on.filter(|_| stays), || {
            format!("{name} was on {on:?}, it says that it was on {:?}", it.worker)
        });
        seen.check(Rule::Asked, said, || {
            let (operations, mailbox) = (it.operations.unwrap_or_default(), it.left_mailbox);
            format!("{name} says {operations} operations, a mailbox left: {mailbox}; there are {did}, and {left}")
        });
        if let Some(worker) = on.filter(|_| stays) {
            self.busy.remove(&worker);
            let home = self.workers.entry(worker).or_default();
            home.known = seen.seq + 1;
            let there = start.worker_name(worker);
            seen.check(Rule::Threads, !home.ended, || format!("{name} ended on {there}, which had ended"));
        }
        if let Some(doer) = self.tasks.remove(&it.task) {
            doer.settle(start, it.task.0, true, Some(seen.seq), seen.checks);
        }
        let number = it.task.0 as usize;
        if number < start.tasks.len() {
            self.over.resize(start.tasks.len(), false);
            self.over[number] = true;
        }
    }

    fn worker_ends(&mut self, seen: &mut Seen<'_>, it: &WorkerEnded) {
        self.knows(seen, it.worker);
        let start = seen.start;
        let name = start.worker_name(it.worker);
        let may_miss = u64::from(matches!(start.asked, Some(Asked::Duration(_))));
        let doer = self.workers.entry(it.worker).or_default();
        let first = !replace(&mut doer.ended, true) && start.executor == Executor::Threads && !doer.panicked;
        let (did, left) = (doer.issued, doer.left > 0);
        let waited = if it.not_begun > 0 { seen.at - doer.last } else { Micros::ZERO };
        seen.check(Rule::Asked, it.not_begun_wait_us <= waited && it.not_begun <= may_miss, || {
            let (count, wait) = (it.not_begun, it.not_begun_wait_us);
            format!("{name} says that it did not begin {count}, and waited {wait} for that")
        });
        seen.check(Rule::Asked, first, || {
            format!("{name} ended, and had ended before or is none that does the work itself")
        });
        seen.check(Rule::Asked, (did, left) == (it.operations, it.left_mailbox), || {
            let (operations, mailbox) = (it.operations, it.left_mailbox);
            format!("{name} says {operations} operations, a mailbox left: {mailbox}; there are {did}, and {left}")
        });
    }

    /// Before the name of a scratch mailbox may stand the namespace that it is in.
    fn leaves(&mut self, seen: &mut Seen<'_>, worker: WorkerId, mailbox: &str) {
        self.knows(seen, worker);
        let start = seen.start;
        let prefix = format!("mailconn-{}-", start.run_id);
        let whose = mailbox.rsplit_once(&prefix).map(|(_, whose)| whose);
        if start.executor == Executor::Threads {
            let doer = self.workers.entry(worker).or_default();
            doer.left += 1;
            let once = doer.left == 1 && !doer.ended;
            seen.check(Rule::Asked, once, || format!("{worker} left its mailbox behind before"));
            let holds = whose == Some(&worker.to_string());
            seen.check(Rule::Header, holds, || format!("{mailbox} is no scratch mailbox of {worker}"));
            return;
        }
        let number = whose.and_then(|whose| whose.strip_prefix('t')?.parse().ok());
        let task = number.map(TaskId).filter(|task| whose == Some(&task.to_string()));
        seen.check(Rule::Header, task.is_some(), || format!("{mailbox} is no task's scratch mailbox"));
        let Some(task) = task else { return };
        let doer = self.task(seen, task);
        doer.left += 1;
        let (once, there) = (doer.left == 1 && !doer.ended, doer.latest == Some(worker));
        seen.check(Rule::Asked, once, || format!("{task} left its mailbox behind before"));
        seen.check(Rule::Threads, there, || {
            format!("{task} left its mailbox behind on {worker}, where it was not last")
        });
    }

    /// A connection is created for the task that its thread serves, if it serves any.
    fn created_for_a_task(&mut self, seen: &mut Seen<'_>, it: &ConnectionCreated) {
        let start = seen.start;
        if start.scripted {
            return;
        }
        let due = start.executor != Executor::Threads;
        let connection = it.connection;
        seen.check(Rule::Header, it.task.is_some() == due, || {
            format!("{connection} was created for {} task", if due { "no" } else { "a" })
        });
        let Some(task) = it.task else { return };
        let begins = it.worker.is_some_and(|worker| self.latest.get(&worker) == Some(&task));
        let doer = self.task(seen, task);
        let place = if it.by_hand { begins } else { !keeps_its_thread(start) || doer.on == it.worker };
        let holds = doer.began && !doer.ended && place && !(it.by_hand && doer.issued > 0);
        seen.check(Rule::Threads, holds, || {
            let task = start.task_name(task);
            format!("{connection} was created for {task}, which was not under way there, or not at its beginning")
        });
    }

    fn created_by_hand(&mut self, seen: &mut Seen<'_>, it: &ConnectionCreated, worker: WorkerId) {
        self.knows(seen, worker);
        let (start, seq) = (seen.start, seen.seq);
        self.workers.entry(worker).or_default().known = seq + 1;
        let (role, doer) = match it.task {
            Some(task) => (role_of_task(start, task), self.task(seen, task)),
            None => (role_of_worker(start, worker), self.workers.entry(worker).or_default()),
        };
        doer.known = seq + 1;
        let asked = match it.kind {
            // One that it was refused it does not create.
            Kind::Default => !replace(&mut doer.default, true) && role.creates_default,
            Kind::Independent => {
                doer.independent = Some(it.connection);
                role.creates_independent
            }
            Kind::Main => false,
        };
        seen.check(Rule::Header, asked || start.scripted, || {
            let (worker, kind, connection) = (start.worker_name(worker), it.kind, it.connection);
            format!("{worker} was not asked to create a connection of that kind ({kind}), yet it created {connection}")
        });
    }

    /// Who creates by hand goes on when the first dial has ended, and stops if that failed.
    fn dialled(&mut self, seen: &mut Seen<'_>, connection: ConnectionId, number: u32, failure: Option<&Failure>) {
        let Some(place) = seen.known.place(connection).filter(|place| place.by_hand && number == 1) else { return };
        let Some(worker) = place.worker else { return };
        let on = self.workers.entry(worker).or_default();
        on.known = seen.seq + 1;
        let doer = match place.task {
            Some(task) => self.task(seen, task),
            None => on,
        };
        if !seen.start.scripted {
            doer.refused = failure.cloned();
        }
    }

    fn disposed(&mut self, seen: &mut Seen<'_>, connection: ConnectionId, cause: Disposal) {
        let start = seen.start;
        let Some(place) = seen.known.place(connection) else { return };
        let Some(worker) = place.worker else { return };
        match cause {
            Disposal::ThreadExit => {
                // Its last.
                let doer = self.workers.entry(worker).or_default();
                (doer.known, doer.ended) = (seen.seq + 1, true);
            }
            Disposal::ByHand => {
                // Only its own thread can have done it: what that thread issues afterwards, it issues afterwards. An
                // asynchronous task takes along what it passes, and disposes it anywhere; in a scenario any thread does.
                let taken = (start.executor == Executor::Tasks && !keeps_its_thread(start)) || start.scripted;
                if place.kind == Kind::Default || !taken {
                    self.workers.entry(worker).or_default().known = seen.seq + 1;
                }
                // And only its own task.
                if let Some(doer) = place.task.and_then(|task| self.tasks.get_mut(&task)).filter(|_| !start.scripted) {
                    doer.known = seen.seq + 1;
                }
            }
            Disposal::NeverOpened if place.by_hand && !start.scripted => {
                let doer = match place.task {
                    Some(task) => self.task(seen, task),
                    None => self.workers.entry(worker).or_default(),
                };
                doer.never_opened = Some(connection);
            }
            _ => {}
        }
    }

    fn operation(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        let start = seen.start;
        let Operation { worker, number, issued_after, issued_at_us, .. } = *operation;
        self.knows(seen, worker);
        self.operations += 1;
        let due = self.operations;
        seen.check(Rule::Numbers, number == due, || format!("this is operation {due}, it says {number}"));
        self.of_the_kind_asked(seen, operation);
        outcome(seen, operation);
        from_as_far(seen, operation);
        self.of_its_task(seen, operation);
        let told = issued_after.checked_sub(1).and_then(|seq| self.time(seq));
        let name = start.worker_name(worker);
        let doer = self.workers.entry(worker).or_default();
        doer.issued += 1;
        let (known, last) = (doer.known, doer.last);
        (doer.known, doer.last) = (seen.seq + 1, seen.at);
        let rested = doer.stopped == 0 && doer.left == 0 && !doer.ended;
        seen.check(Rule::Threads, rested, || format!("{name} had stopped before operation {number}"));
        seen.check(Rule::Threads, issued_after >= known && issued_at_us >= last, || {
            format!(
                "{name} issued operation {number} after {issued_after} events at {issued_at_us}, yet it did something else \
                 until there were {known}, at {last}"
            )
        });
        let in_order = issued_after <= seen.seq && told.is_none_or(|told| told <= issued_at_us);
        seen.check(Rule::Threads, in_order, || {
            format!("operation {number} was issued at {issued_at_us}, and knows of an event that is later")
        });
        let took = operation.wait_us + operation.dial_us + operation.service_us;
        let at = seen.at;
        seen.check(Rule::Threads, issued_at_us + took <= at, || {
            format!("operation {number} was issued at {issued_at_us} and took {took}, yet it ended at {at}")
        });
    }

    /// Where there are tasks, each operation is of one of them, and after what that one did before, whichever the thread.
    fn of_its_task(&mut self, seen: &mut Seen<'_>, operation: &Operation) {
        let (start, number) = (seen.start, operation.number);
        let due = start.executor != Executor::Threads;
        // A scenario has threads beside its pools.
        let holds = operation.task.is_some() == due || (due && start.scripted);
        seen.check(Rule::Header, holds, || {
            format!("operation {number} is {} task", if due { "of no" } else { "of a" })
        });
        let Some(task) = operation.task else { return };
        let (seq, at) = (seen.seq, seen.at);
        let doer = self.task(seen, task);
        let there = !keeps_its_thread(start) || doer.on == Some(operation.worker);
        doer.latest = Some(operation.worker);
        doer.issued += 1;
        let under_way = doer.began && !doer.ended && doer.stopped == 0 && doer.left == 0;
        let holds = under_way && operation.issued_after >= doer.known && operation.issued_at_us >= doer.last;
        (doer.known, doer.last) = (seq + 1, at);
        let name = start.task_name(task);
        seen.check(Rule::Threads, holds, || {
            format!("operation {number} is of {name}, which was not under way or in another operation")
        });
        seen.check(Rule::Threads, there, || {
            format!("operation {number} is of {name}, which was not on {}", start.worker_name(operation.worker))
        });
    }

    fn of_the_kind_asked(&self, seen: &mut Seen<'_>, operation: &Operation) {
        let start = seen.start;
        let Operation { worker, number, name, .. } = *operation;
        let spec = protocol::Operation::parse(start.protocol, name);
        let needs = spec.as_ref().is_ok_and(|spec| spec.needs_mailbox());
        if start.scripted {
            let selects = name == HALVES[0] || operation.relied_on.is_some();
            let is_one = spec.is_ok() || (start.protocol == Protocol::Imap && HALVES.contains(&name));
            let holds = is_one && operation.mailbox.is_some() == (needs || selects);
            seen.check(Rule::Header, holds, || format!("operation {number}, {name}, is none that a scenario knows"));
            return;
        }
        let mix = start.mix.as_deref().unwrap_or_default();
        let in_mix = mix.split(',').any(|part| {
            let (asked, weight) = part.split_once('=').unwrap_or((part, "1"));
            asked.trim() == name && weight.trim() != "0"
        });
        seen.check(Rule::Header, in_mix, || format!("{mix} was asked for, operation {number} is {name}"));
        let works = if needs { "works on a mailbox" } else { "works on no mailbox" };
        seen.check(Rule::Header, operation.mailbox.is_some() == needs, || {
            format!("{name} {works}, operation {number} says otherwise")
        });
        let chosen = operation.mailbox.as_ref().is_none_or(|mailbox| start.mailboxes.contains(mailbox));
        seen.check(Rule::Header, chosen, || {
            let mailbox = operation.mailbox.as_deref().unwrap_or_default();
            format!("operation {number} worked on {mailbox}, which is none of the run's mailboxes")
        });
        let (role, doer) = match operation.task {
            Some(task) => (role_of_task(start, task), self.tasks.get(&task)),
            None => (role_of_worker(start, worker), self.workers.get(&worker)),
        };
        let own = doer.and_then(|doer| doer.independent);
        let passed = operation.passed.is_some() == role.creates_independent && operation.passed == own;
        seen.check(Rule::Header, passed, || {
            let say = |id: Option<ConnectionId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            let (worker, own, passed) = (start.worker_name(worker), say(own), say(operation.passed));
            format!("{worker} has {own} to pass, operation {number} was passed {passed}")
        });
    }
}

impl Doer {
    /// It stops early, once, and for the reason that there was.
    fn stops(&mut self, seen: &mut Seen<'_>, not_issued: u64, failure: Option<&Failure>, name: &str) {
        let panicked = failure.is_some_and(|failure| failure.kind == FailureKind::Internal);
        self.panicked |= panicked;
        let could_not_create = failure.is_some() && !panicked;
        self.created_nothing |= could_not_create;
        self.not_issued = self.not_issued.saturating_add(not_issued);
        self.stopped += u32::from(!panicked);
        let once = self.stopped <= 1 && self.left == 0;
        seen.check(Rule::Asked, once, || format!("{name} stopped before"));
        seen.check(Rule::Asked, self.issued == 0 || !could_not_create, || {
            format!("{name} could not create its connection, yet it had issued operations")
        });
        let Some(failure) = failure else { return };
        self.never_opened = None;
        // What was interrupted is told in the words of the interruption.
        if let Some(dial) = self.refused.take() {
            seen.check_unless_interrupted(Rule::Dials, dial == *failure, || {
                format!("{name} stopped with {failure}, its dial failed with {dial}")
            });
        }
    }

    /// It is over: it did what was asked of it.
    fn settle(&self, start: &RunStart, number: u32, began: bool, seq: Option<u64>, checks: &mut Checks) {
        let tasked = start.executor != Executor::Threads;
        let name = || if tasked { TaskId(number).to_string() } else { WorkerId(number).to_string() };
        let role = if tasked { role_of_task(start, TaskId(number)) } else { role_of_worker(start, WorkerId(number)) };
        let created =
            (self.default || !role.creates_default) && (self.independent.is_some() || !role.creates_independent);
        let sentence = || format!("{} was to create a connection by hand; there is none, nor a reason", name());
        let holds = created || self.created_nothing || self.panicked;
        if began {
            checks.check(Rule::Asked, seq, holds, sentence);
        } else {
            checks.check_unless_interrupted(Rule::Asked, seq, holds, sentence);
        }
        let stopped = self.refused.is_none() && self.never_opened.is_none();
        checks.check_unless_interrupted(Rule::Dials, seq, stopped, || {
            format!("a connection of {} could not be opened, and it does not say so", name())
        });
        let among = if tasked { start.tasks.len() } else { start.workers.len() };
        if let Some(asked) = start.asked.and_then(|asked| asked.of(number, among)) {
            let Self { issued, not_issued, .. } = *self;
            let says_so = (not_issued > 0) == (self.stopped > 0) || (asked == 0 && not_issued == 0);
            let holds = self.panicked || (issued.saturating_add(not_issued) == asked && says_so);
            checks.check(Rule::Asked, seq, holds, || {
                let name = name();
                format!("{name} was asked for {asked}: {issued} were issued, and {not_issued} said not to be")
            });
        }
    }
}

/// Whether a task has the thread it began on to itself, and does all its work there.
pub(super) fn keeps_its_thread(start: &RunStart) -> bool {
    !start.scripted && (start.executor == Executor::Pool || start.dispose == Dispose::Task)
}

fn role_of_task(start: &RunStart, task: TaskId) -> Role {
    start.tasks.get(task.0).map(|it| it.role).unwrap_or_default()
}

fn role_of_worker(start: &RunStart, worker: WorkerId) -> Role {
    start.workers.get(worker.0).map(|it| it.role).unwrap_or_default()
}

fn outcome(seen: &mut Seen<'_>, operation: &Operation) {
    let served = operation.local_port.is_some();
    let failed = !operation.is_ok();
    // A naive one may have selected, and not come to read.
    let selected = selected(operation).is_some();
    let sent = |verb| operation.commands.iter().any(|command| command.verb == verb);
    let at_stage = operation.failure.as_deref().is_none_or(|failure| {
        use FailureKind::{Disposed, Internal, Refused, WaitTimeout};
        let in_line = failure.stage == Stage::Wait && matches!(failure.kind, Disposed | Refused | WaitTimeout);
        let at_stage = served == (failure.stage == Stage::Operation);
        failure.kind == Internal || (at_stage && (in_line || operation.session.is_some()))
    });
    let must = [
        (served || operation.commands.is_empty(), "sent commands over no port"),
        (operation.failed_command.is_none_or(|verb| failed && sent(verb)), "failed at a command that it did not send"),
        (served || failed, "succeeded without a connection"),
        (served || selected || operation.service_us.is_zero(), "was served without a connection"),
        (!served || operation.session.is_some(), "has a port, and no session"),
        (operation.opened || operation.dial_us.is_zero(), "took time to dial, and opened nothing"),
        (!operation.opened || operation.session.is_some(), "opened a session, and does not say which"),
        (served || selected || operation.session.is_none() || operation.opened, "has a session that did not serve it"),
        (at_stage, "failed at a stage that it was not at"),
    ];
    for (holds, sentence) in must {
        seen.check(Rule::Outcomes, holds, || format!("operation {} {sentence}", operation.number));
    }
}
