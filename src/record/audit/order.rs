//! What workers and tasks did: as much as was asked, of the kind that was asked, one thing after the other.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{ASKED, Audit, HEADER, NUMBERS, OUTCOMES, THREADS};
use crate::allocator::{ConnectionId, Disposal, Kind};
use crate::event::HALVES;
use crate::protocol::{self, FailureKind, Protocol, Stage};
use crate::record::run::{Asked, Dispose, Entry, Executor, Header, Operation, Role, Run, TaskId, What, WorkerId};

pub(super) fn check(run: &Run, audit: &mut Audit) {
    let mut order = Order {
        run,
        audit,
        workers: BTreeMap::new(),
        tasks: BTreeMap::new(),
        owners: BTreeMap::new(),
        creators: BTreeMap::new(),
        busy: BTreeMap::new(),
        latest: BTreeMap::new(),
        operations: 0,
    };
    for entry in &run.entries {
        order.entry(entry);
    }
    order.did_what_was_asked();
}

struct Order<'a> {
    run: &'a Run,
    audit: &'a mut Audit,
    workers: BTreeMap<WorkerId, Doer>,
    /// Where they do the work.
    tasks: BTreeMap<TaskId, Doer>,
    /// Who created each connection.
    owners: BTreeMap<ConnectionId, (Kind, Option<WorkerId>)>,
    /// For which task.
    creators: BTreeMap<ConnectionId, TaskId>,
    /// Which task has a thread, where a task has one from its beginning to its end.
    busy: BTreeMap<WorkerId, TaskId>,
    /// Which task began there last: until it has what it creates, the thread does nothing else.
    latest: BTreeMap<WorkerId, TaskId>,
    operations: u64,
}

/// Where a worker or a task stands.
#[derive(Default)]
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
    /// How many entries there were when it ended what it did last, and when that was.
    known: u64,
    last: Duration,
}

impl Doer {
    /// It stopped early. Whether it did so once, and whether it had done nothing where it could not create its connection.
    fn stops(&mut self, not_issued: u64, failure: Option<FailureKind>) -> (bool, bool) {
        let panicked = failure == Some(FailureKind::Internal);
        self.panicked |= panicked;
        self.created_nothing |= failure.is_some() && !panicked;
        self.not_issued = self.not_issued.saturating_add(not_issued);
        self.stopped += u32::from(!panicked);
        let once = self.stopped <= 1 && self.left == 0;
        (once, self.issued == 0 || failure.is_none() || panicked)
    }
}

impl Order<'_> {
    fn entry(&mut self, entry: &Entry) {
        let names = &self.run.header.names;
        match &entry.what {
            What::Created { connection, kind, worker, task, by_hand } => {
                self.owners.insert(*connection, (*kind, *worker));
                self.created_for_a_task(entry, *connection, *worker, *task, *by_hand);
                if let (Some(worker), true) = (worker, by_hand) {
                    self.created_by_hand(entry, *worker, *task, *connection, *kind);
                }
            }
            What::Disposed { connection, cause: Disposal::ThreadExit } => {
                if let Some((_, Some(worker))) = self.owners.get(connection) {
                    // Its last.
                    let state = self.workers.entry(*worker).or_default();
                    state.known = entry.seq + 1;
                    state.ended = true;
                }
            }
            What::Disposed { connection, cause: Disposal::ByHand } => {
                // Only its own thread can have done it: what that thread issues afterwards, it issues afterwards.
                // An asynchronous task takes along what it passes, and disposes it anywhere.
                // In a scenario any thread does.
                let Header { executor, scripted, .. } = self.run.header;
                let taken = (executor == Executor::Tasks && !self.keeps_its_thread()) || scripted;
                let stays = |kind| kind == Kind::Default || !taken;
                if let Some((_, Some(worker))) = self.owners.get(connection).filter(|(kind, _)| stays(*kind)) {
                    self.workers.entry(*worker).or_default().known = entry.seq + 1;
                }
                // And only its own task.
                if let Some(task) = self.creators.get(connection) {
                    self.tasks.entry(*task).or_default().known = entry.seq + 1;
                }
            }
            What::Operation(operation) => self.operation(entry, operation),
            What::Stopped { worker, not_issued, failure } => {
                self.knows(entry, *worker);
                let state = self.workers.entry(*worker).or_default();
                let (once, idle) = state.stops(*not_issued, failure.as_ref().map(|failure| failure.kind));
                let once = once && !state.ended;
                self.audit.check(ASKED, Some(entry.seq), once, || format!("{} stopped before", names.worker(*worker)));
                self.audit.check(ASKED, Some(entry.seq), idle, || {
                    format!("{} could not create its connection, yet it had issued operations", names.worker(*worker))
                });
            }
            What::TaskStarted { task, worker } => {
                self.task_begins(entry, *task, *worker);
            }
            What::DefaultRefused { task, worker, existing } => {
                self.knows(entry, *worker);
                let scripted = self.run.header.scripted;
                let asked = scripted || self.role_of_task(*task).creates_default;
                let had = self.owners.get(existing) == Some(&(Kind::Default, Some(*worker)));
                // It goes on with what is there.
                let begins = self.latest.get(worker) == Some(task);
                let state = self.task(entry, *task);
                let first = !std::mem::replace(&mut state.default, true) && state.issued == 0;
                let holds = scripted || (first && begins && !state.ended);
                state.known = entry.seq + 1;
                self.workers.entry(*worker).or_default().known = entry.seq + 1;
                self.audit.check(THREADS, Some(entry.seq), holds, || {
                    format!(
                        "{} was refused a default, and was not at its beginning on {}",
                        names.task(*task),
                        names.worker(*worker)
                    )
                });
                self.audit.check(HEADER, Some(entry.seq), asked, || {
                    format!(
                        "{} was not asked to create a default connection, yet it was refused one",
                        names.task(*task)
                    )
                });
                self.audit.check(THREADS, Some(entry.seq), had, || {
                    format!(
                        "{} was refused a default because of {existing}, which is no default of {}",
                        names.task(*task),
                        names.worker(*worker)
                    )
                });
            }
            What::TaskStopped { task, not_issued, failure } => {
                let state = self.task(entry, *task);
                let (once, idle) = state.stops(*not_issued, failure.as_ref().map(|failure| failure.kind));
                self.audit.check(ASKED, Some(entry.seq), once, || format!("{} stopped before", names.task(*task)));
                self.audit.check(ASKED, Some(entry.seq), idle, || {
                    format!("{} could not create its connection, yet it had issued operations", names.task(*task))
                });
            }
            What::TaskEnded { task, worker, operations, left_mailbox } => {
                let scripted = self.run.header.scripted;
                let stays = self.keeps_its_thread();
                let state = self.task(entry, *task);
                let holds = state.began && !state.ended;
                state.ended = true;
                let on = state.on;
                let did = (state.issued, state.left > 0);
                let counted = if scripted { None } else { Some(did.0) };
                // What it was at when it panicked is not written down.
                let said = state.panicked || (*operations, *left_mailbox) == (counted, did.1);
                self.audit.check(ASKED, Some(entry.seq), holds, || {
                    format!("{} ended, and had ended before or never begun", names.task(*task))
                });
                let home = on.filter(|_| stays);
                self.audit.check(HEADER, Some(entry.seq), *worker == home, || {
                    let on = |worker: Option<WorkerId>| {
                        worker.map_or_else(|| "on no one thread".to_owned(), |worker| format!("on {worker}"))
                    };
                    format!("{} was {}, it says that it was {}", names.task(*task), on(home), on(*worker))
                });
                self.audit.check(ASKED, Some(entry.seq), said, || {
                    let left = |left| if left { "left a mailbox" } else { "left none" };
                    let operations = operations.map_or_else(|| "no".to_owned(), |count| count.to_string());
                    let (said, did) = ((operations, left(*left_mailbox)), (did.0, left(did.1)));
                    let task = names.task(*task);
                    format!("{task} says {} operations, and {}; there are {}, and it {}", said.0, said.1, did.0, did.1)
                });
                if let Some(worker) = on.filter(|_| self.keeps_its_thread()) {
                    self.busy.remove(&worker);
                    let state = self.workers.entry(worker).or_default();
                    state.known = entry.seq + 1;
                    let ended = state.ended;
                    self.audit.check(THREADS, Some(entry.seq), !ended, || {
                        format!("{} ended on {}, which had ended", names.task(*task), names.worker(worker))
                    });
                }
            }
            What::WorkerEnded { worker, operations, not_begun, not_begun_wait, left_mailbox } => {
                self.knows(entry, *worker);
                let threads = self.run.header.executor == Executor::Threads;
                let may_miss = u64::from(matches!(self.run.header.asked, Asked::Duration(_)));
                let state = self.workers.entry(*worker).or_default();
                let first = !std::mem::replace(&mut state.ended, true) && threads && !state.panicked;
                let did = (state.issued, state.left > 0);
                let waited = if *not_begun > 0 { entry.at.saturating_sub(state.last) } else { Duration::ZERO };
                self.audit.check(ASKED, Some(entry.seq), *not_begun_wait <= waited, || {
                    format!(
                        "{} says that it waited {not_begun_wait:?} for what it did not begin",
                        names.worker(*worker)
                    )
                });
                self.audit.check(ASKED, Some(entry.seq), first, || {
                    let worker = names.worker(*worker);
                    format!("{worker} ended, and had ended before or is none that does the work itself")
                });
                self.audit.check(ASKED, Some(entry.seq), did == (*operations, *left_mailbox), || {
                    let left = |left| if left { "left a mailbox" } else { "left none" };
                    let (said, did) = ((*operations, left(*left_mailbox)), (did.0, left(did.1)));
                    let worker = names.worker(*worker);
                    format!(
                        "{worker} says {} operations, and {}; there are {}, and it {}",
                        said.0, said.1, did.0, did.1
                    )
                });
                self.audit.check(ASKED, Some(entry.seq), *not_begun <= may_miss, || {
                    format!("{} says that it did not begin {not_begun}", names.worker(*worker))
                });
            }
            What::LeftMailbox { worker, mailbox } if self.run.header.executor != Executor::Threads => {
                self.knows(entry, *worker);
                let prefix = format!("mailconn-{}-t", self.run.header.run_id);
                // Before it may stand the namespace that it is in.
                let number = mailbox.rsplit_once(&prefix).and_then(|(_, number)| number.parse().ok());
                let task = number.map(TaskId).filter(|task| mailbox.ends_with(&format!("{prefix}{}", task.0)));
                self.audit.check(HEADER, Some(entry.seq), task.is_some(), || {
                    format!("{mailbox} is no task's scratch mailbox")
                });
                if let Some(task) = task {
                    let state = self.task(entry, task);
                    state.left += 1;
                    let once = state.left == 1 && !state.ended;
                    let there = state.latest == Some(*worker);
                    self.audit.check(ASKED, Some(entry.seq), once, || format!("{task} left its mailbox behind before"));
                    self.audit.check(THREADS, Some(entry.seq), there, || {
                        format!("{task} left its mailbox behind on {worker}, where it was not last")
                    });
                }
            }
            What::LeftMailbox { worker, mailbox } => {
                self.knows(entry, *worker);
                let state = self.workers.entry(*worker).or_default();
                state.left += 1;
                let once = state.left == 1 && !state.ended;
                let due = format!("mailconn-{}-{worker}", self.run.header.run_id);
                self.audit.check(ASKED, Some(entry.seq), once, || format!("{worker} left its mailbox behind before"));
                // Before it may stand the namespace that it is in.
                self.audit.check(HEADER, Some(entry.seq), mailbox.ends_with(&due), || {
                    format!("{worker}'s scratch mailbox is {due}, not {mailbox}")
                });
            }
            _ => {}
        }
    }

    fn knows(&mut self, entry: &Entry, worker: WorkerId) {
        let known = (worker.0 as usize) < self.run.header.workers.len();
        let workers = self.run.header.workers.len();
        self.audit.check(HEADER, Some(entry.seq), known, || format!("there are {workers} workers, and no {worker}"));
    }

    /// Where the task stands, of those that there are.
    fn task(&mut self, entry: &Entry, task: TaskId) -> &mut Doer {
        let tasks = self.run.header.tasks.len();
        let known = (task.0 as usize) < tasks;
        self.audit.check(HEADER, Some(entry.seq), known, || format!("there are {tasks} tasks, and no {task}"));
        self.tasks.entry(task).or_default()
    }

    /// Whether a task has the thread it began on to itself, and does all its work there.
    fn keeps_its_thread(&self) -> bool {
        let Header { executor, dispose, scripted, .. } = self.run.header;
        !scripted && (executor == Executor::Pool || dispose == Dispose::Task)
    }

    fn task_begins(&mut self, entry: &Entry, task: TaskId, worker: WorkerId) {
        let seq = Some(entry.seq);
        let names = &self.run.header.names;
        self.knows(entry, worker);
        let state = self.task(entry, task);
        let first = !std::mem::replace(&mut state.began, true);
        (state.on, state.known, state.last) = (Some(worker), entry.seq + 1, entry.at);
        state.latest = Some(worker);
        self.audit.check(ASKED, seq, first, || format!("{} began before", names.task(task)));
        self.latest.insert(worker, task);
        let state = self.workers.entry(worker).or_default();
        let ended = state.ended;
        state.known = entry.seq + 1;
        self.audit.check(THREADS, seq, !ended, || {
            format!("{} began on {}, which had ended", names.task(task), names.worker(worker))
        });
        if self.keeps_its_thread() {
            let other = self.busy.insert(worker, task);
            self.audit.check(THREADS, seq, other.is_none(), || {
                let other = names.task(other.unwrap_or(task));
                format!("{} began on {}, which had {other} to do", names.task(task), names.worker(worker))
            });
        }
    }

    /// A connection is created for the task that its thread serves, if it serves any.
    fn created_for_a_task(
        &mut self,
        entry: &Entry,
        connection: ConnectionId,
        worker: Option<WorkerId>,
        task: Option<TaskId>,
        by_hand: bool,
    ) {
        if self.run.header.scripted {
            return;
        }
        let seq = Some(entry.seq);
        let names = &self.run.header.names;
        let due = self.run.header.executor != Executor::Threads;
        self.audit.check(HEADER, seq, task.is_some() == due, || {
            format!("{connection} was created for {} task", if due { "no" } else { "a" })
        });
        let Some(task) = task else { return };
        self.creators.insert(connection, task);
        let stays = self.keeps_its_thread();
        let begins = worker.is_some_and(|worker| self.latest.get(&worker) == Some(&task));
        let state = self.task(entry, task);
        let place = if by_hand { begins } else { !stays || state.on == worker };
        let holds = state.began && !state.ended && place && !(by_hand && state.issued > 0);
        self.audit.check(THREADS, seq, holds, || {
            let task = names.task(task);
            format!("{connection} was created for {task}, which was not under way there, or not at its beginning")
        });
    }

    fn role_of_task(&self, task: TaskId) -> Role {
        self.run.header.tasks.get(task.0 as usize).copied().unwrap_or_default()
    }

    fn created_by_hand(
        &mut self,
        entry: &Entry,
        worker: WorkerId,
        task: Option<TaskId>,
        connection: ConnectionId,
        kind: Kind,
    ) {
        let names = &self.run.header.names;
        self.knows(entry, worker);
        self.workers.entry(worker).or_default().known = entry.seq + 1;
        let role = match task {
            Some(task) => self.role_of_task(task),
            None => self.run.header.workers.get(worker.0 as usize).copied().unwrap_or_default(),
        };
        let state = match task {
            Some(task) => self.task(entry, task),
            None => self.workers.entry(worker).or_default(),
        };
        state.known = entry.seq + 1;
        let asked = match kind {
            // One that it was refused it does not create.
            Kind::Default => !std::mem::replace(&mut state.default, true) && role.creates_default,
            Kind::Independent => {
                state.independent = Some(connection);
                role.creates_independent
            }
            Kind::Main => false,
        };
        self.audit.check(HEADER, Some(entry.seq), asked || self.run.header.scripted, || {
            format!(
                "{} was not asked to create a connection of that kind ({kind}), yet it created {connection}",
                names.worker(worker)
            )
        });
    }

    fn operation(&mut self, entry: &Entry, operation: &Operation) {
        let names = &self.run.header.names;
        let seq = Some(entry.seq);
        let Operation { worker, number, .. } = *operation;
        self.knows(entry, worker);
        self.operations += 1;
        let due = self.operations;
        self.audit.check(NUMBERS, seq, number == due, || format!("this is operation {due}, it says {number}"));
        self.of_the_kind_asked(entry, operation);
        self.outcome(entry, operation);
        self.of_its_task(entry, operation);
        let state = self.workers.entry(worker).or_default();
        state.issued += 1;
        let (known, last) = (state.known, state.last);
        (state.known, state.last) = (entry.seq + 1, entry.at);
        let rested = state.stopped == 0 && state.left == 0 && !state.ended;
        let issued = (operation.issued_after, operation.issued_at);
        self.audit
            .check(THREADS, seq, rested, || format!("{} had stopped before operation {number}", names.worker(worker)));
        self.audit.check(THREADS, seq, issued.0 >= known && issued.1 >= last, || {
            format!(
                "{} issued operation {number} after line {} at {:?}, yet it did something else until line {} at {last:?}",
                names.worker(worker),
                issued.0 + 1,
                issued.1,
                known + 1,
            )
        });
        let told = usize::try_from(issued.0).ok().and_then(|count| self.run.entries.get(count.checked_sub(1)?));
        let in_order = issued.0 <= entry.seq && told.is_none_or(|told| told.at <= issued.1);
        self.audit.check(THREADS, seq, in_order, || {
            format!("operation {number} was issued at {:?}, and knows of line {} that is later", issued.1, issued.0 + 1)
        });
        let took = operation.wait.saturating_add(operation.dial).saturating_add(operation.service);
        let ended = issued.1.saturating_add(took);
        self.audit.check(THREADS, seq, ended <= entry.at, || {
            format!("operation {number} was issued at {:?} and took {took:?}, yet it ended at {:?}", issued.1, entry.at)
        });
    }

    /// Where there are tasks, each operation is of one of them, and after what that one did before, whichever the thread.
    fn of_its_task(&mut self, entry: &Entry, operation: &Operation) {
        let names = &self.run.header.names;
        let seq = Some(entry.seq);
        let number = operation.number;
        let due = self.run.header.executor != Executor::Threads;
        // A scenario has threads beside its pools.
        let holds = operation.task.is_some() == due || (due && self.run.header.scripted);
        self.audit
            .check(HEADER, seq, holds, || format!("operation {number} is {} task", if due { "of no" } else { "of a" }));
        let Some(task) = operation.task else { return };
        let stays = self.keeps_its_thread();
        let state = self.task(entry, task);
        let there = !stays || state.on == Some(operation.worker);
        state.latest = Some(operation.worker);
        state.issued += 1;
        let under_way = state.began && !state.ended && state.stopped == 0 && state.left == 0;
        let holds = under_way && operation.issued_after >= state.known && operation.issued_at >= state.last;
        (state.known, state.last) = (entry.seq + 1, entry.at);
        self.audit.check(THREADS, seq, holds, || {
            format!("operation {number} is of {}, which was not under way or in another operation", names.task(task))
        });
        self.audit.check(THREADS, seq, there, || {
            format!(
                "operation {number} is of {}, which was not on {}",
                names.task(task),
                names.worker(operation.worker)
            )
        });
    }

    fn of_the_kind_asked(&mut self, entry: &Entry, operation: &Operation) {
        let names = &self.run.header.names;
        let header = &self.run.header;
        let seq = Some(entry.seq);
        let Operation { worker, number, name, .. } = *operation;
        if header.scripted {
            let selects = name == "select" || operation.relied_on.is_some();
            let known = protocol::Operation::parse(header.protocol, name);
            let needs = known.as_ref().is_ok_and(|known| known.needs_mailbox());
            let is_one = known.is_ok() || (header.protocol == Protocol::Imap && HALVES.contains(&name));
            let holds = is_one && operation.mailbox.is_some() == (needs || selects);
            self.audit
                .check(HEADER, seq, holds, || format!("operation {number}, {name}, is none that a scenario knows"));
            return;
        }
        let in_mix = header.mix.split(',').any(|part| {
            let (asked, weight) = part.split_once('=').unwrap_or((part, "1"));
            asked.trim() == name && weight.trim() != "0"
        });
        self.audit.check(HEADER, seq, in_mix, || format!("{} was asked for, operation {number} is {name}", header.mix));
        let known = protocol::Operation::parse(header.protocol, name);
        let needs = known.is_ok_and(protocol::Operation::needs_mailbox);
        let holds = operation.mailbox.is_some() == needs;
        let works = if needs { "works on a mailbox" } else { "works on no mailbox" };
        self.audit.check(HEADER, seq, holds, || format!("{name} {works}, operation {number} says otherwise"));
        let (role, state) = match operation.task {
            Some(task) => (self.role_of_task(task), self.tasks.get(&task)),
            None => (header.workers.get(worker.0 as usize).copied().unwrap_or_default(), self.workers.get(&worker)),
        };
        let own = state.and_then(|state| state.independent);
        let passed = operation.passed.is_some() == role.creates_independent && operation.passed == own;
        self.audit.check(HEADER, seq, passed, || {
            let say = |id: Option<ConnectionId>| id.map_or_else(|| "none".to_owned(), |id| id.to_string());
            format!(
                "{} has {} to pass, operation {number} was passed {}",
                names.worker(worker),
                say(own),
                say(operation.passed)
            )
        });
    }

    fn outcome(&mut self, entry: &Entry, operation: &Operation) {
        let served = operation.local_port.is_some();
        let number = operation.number;
        let mut must = |holds: bool, sentence: &str| {
            self.audit.check(OUTCOMES, Some(entry.seq), holds, || format!("operation {number} {sentence}"));
        };
        must(served || operation.commands.is_empty(), "sent commands over no port");
        let failed_at_it = operation.failed_command.is_none_or(|failed| {
            operation.outcome.is_err() && operation.commands.iter().any(|command| command.verb == failed)
        });
        must(failed_at_it, "failed at a command that it did not send");
        must(served || operation.outcome.is_err(), "succeeded without a connection");
        // A naive one may have selected, and not come to read.
        let selected = operation.selected().is_some();
        must(served || selected || operation.service.is_zero(), "was served without a connection");
        must(!served || operation.session.is_some(), "has a port, and no session");
        must(operation.opened || operation.dial.is_zero(), "took time to dial, and opened nothing");
        must(!operation.opened || operation.session.is_some(), "opened a session, and does not say which");
        must(
            served || selected || operation.session.is_none() || operation.opened,
            "has a session that did not serve it",
        );
        if let Err(failure) = &operation.outcome {
            let at_work = matches!(failure.stage, Stage::Operation);
            must(served == at_work || failure.kind == FailureKind::Internal, "failed at a stage that it was not at");
        }
    }

    fn did_what_was_asked(self) {
        let Self { run, audit, mut workers, mut tasks, .. } = self;
        let tasked = run.header.executor != Executor::Threads;
        let roles = if tasked { &run.header.tasks } else { &run.header.workers };
        for (number, role) in (0u32..).zip(roles) {
            let (worker, task) = (WorkerId(number), TaskId(number));
            let (doer, state) = match tasked {
                true => (task.to_string(), tasks.remove(&task).unwrap_or_default()),
                false => (worker.to_string(), workers.remove(&worker).unwrap_or_default()),
            };
            let created =
                (state.default || !role.creates_default) && (state.independent.is_some() || !role.creates_independent);
            // An interruption finds tasks that have not begun.
            let never_began = tasked && !state.began && run.end.interrupted.is_some();
            audit.check(ASKED, None, created || state.created_nothing || state.panicked || never_began, || {
                format!("{doer} was to create a connection by hand; there is none, nor a reason")
            });
            let ended = match tasked {
                true => state.began == state.ended,
                false => state.ended || state.panicked || run.header.scripted,
            };
            audit.check(ASKED, None, ended, || format!("{doer} began, and did not end"));
            if let Some(asked) = run.header.asked.of(number, roles.len()) {
                let Doer { issued, not_issued, .. } = state;
                let sum = issued.saturating_add(not_issued);
                let says_so = (not_issued > 0) == (state.stopped > 0) || (asked == 0 && not_issued == 0);
                audit.check(ASKED, None, state.panicked || (sum == asked && says_so), || {
                    format!("{doer} was asked for {asked}: {issued} were issued, and {not_issued} said not to be")
                });
            }
        }
    }
}
