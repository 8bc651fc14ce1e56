//! One thread of a scenario: does what it is told, one step after the other, and says what came of it.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::asking::Asking;
use super::script::{Act, Action, LaneStep, Script, Unit};
use crate::allocator::{
    Client, Connection, ConnectionId, Decision, DefaultConnection, Error, Lease, Refusal, SessionId,
};
use crate::event::{DefaultRefused, DefaultRule, Leaves, Selection, TaskEnded, TaskId, TaskStarted, WorkerId};
use crate::protocol::{
    self, DialFailure, Failure, FailureKind, Job, MailConnection, MailConnector, Reply, Stage, Stationery,
};
use crate::record::{Did, Ran};
use crate::workload::{Control, Issued, Issuer, Recorded, Recorder, Recording, Serving, failure_of};

/// What all threads of a scenario share.
pub(super) struct Floor {
    pub(super) script: Script,
    /// Each client once its line was reached.
    pub(super) clients: Vec<OnceLock<Room>>,
    /// Independent connections, from their creation on, whichever thread created them; disposed ones too.
    pub(super) connections: Vec<Mutex<Option<Arc<Connection<Recording>>>>>,
    /// What each session of each client has selected: every command that selects is one of ours.
    pub(super) selected: Mutex<HashMap<(usize, SessionId), Arc<str>>>,
    /// Where each task that is not over is on record: it begins there when it first comes to the client.
    pub(super) tasks: Mutex<BTreeMap<TaskId, BTreeSet<usize>>>,
    /// Who asks for a connection.
    pub(super) asking: Asking,
    pub(super) letters: Option<Stationery>,
    pub(super) control: Arc<Control>,
}

/// A client, and where what it does is written down.
pub(super) struct Room {
    /// None once the scenario has let go of it.
    pub(super) client: Mutex<Option<Client<Recording>>>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) connector: Arc<MailConnector>,
    /// Leases that threads keep: a close cannot close these.
    pub(super) held: AtomicUsize,
    /// Threads that have it for as long as their step lasts.
    pub(super) users: AtomicUsize,
}

impl Room {
    /// One more handle to the client, if there is any.
    pub(super) fn client(&self) -> Option<Client<Recording>> {
        locked(&self.client).clone()
    }

    /// The scenario's own handle, which it has no more.
    pub(super) fn let_go(&self) -> Option<Client<Recording>> {
        locked(&self.client).take()
    }
}

/// A thread's handle to a client, for a step.
struct Using<'a> {
    number: usize,
    /// None only while it is dropped.
    client: Option<Client<Recording>>,
    room: &'a Room,
}

impl<'a> Using<'a> {
    fn of(number: usize, room: &'a Room) -> Option<Self> {
        room.users.fetch_add(1, Ordering::SeqCst);
        let using = Self { number, client: room.client(), room };
        using.client.is_some().then_some(using)
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        // It may be the last one: then this closes the client.
        drop(self.client.take());
        self.room.users.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One thing to do.
pub(super) struct Order {
    pub(super) number: usize,
    pub(super) step: LaneStep,
}

/// What came of it.
pub(super) struct Report {
    pub(super) number: usize,
    pub(super) did: Vec<Did>,
    /// The client of each action that was done.
    pub(super) clients: Vec<usize>,
    /// The words for the actions of the step.
    pub(super) names: Vec<&'static str>,
    pub(super) took: Duration,
}

impl Floor {
    pub(super) fn connection(&self, number: usize) -> Option<Arc<Connection<Recording>>> {
        self.connections.get(number).and_then(|place| locked(place).clone())
    }

    /// The scenario's name for a client's independent connection.
    fn name_of(&self, client: usize, id: ConnectionId) -> Option<String> {
        let mut owned = self.script.connections.iter().zip(&self.script.owners).enumerate();
        let found = owned.find(|(number, (_, owner))| {
            **owner == client && self.connection(*number).is_some_and(|connection| connection.id() == id)
        });
        found.map(|(_, (name, _))| name.clone())
    }

    /// The task comes to that client, on that thread.
    fn begins(&self, task: TaskId, worker: WorkerId, client: usize, room: &Room) {
        if locked(&self.tasks).entry(task).or_default().insert(client) {
            room.recorder.record(TaskStarted { task, worker });
        }
    }

    /// The task is over, wherever it was.
    fn ends(&self, task: TaskId) {
        let clients = locked(&self.tasks).remove(&task).unwrap_or_default();
        for room in clients.into_iter().filter_map(|client| self.clients.get(client)?.get()) {
            room.recorder.record(TaskEnded { task, worker: None, operations: None, left_mailbox: false });
        }
    }

    /// Tasks that no line has ended are over when their threads are.
    pub(super) fn end_tasks(&self) {
        let left: Vec<TaskId> = locked(&self.tasks).keys().copied().collect();
        left.into_iter().for_each(|task| self.ends(task));
    }

    fn mailbox(&self, index: u16) -> Option<&Arc<str>> {
        self.script.mailboxes.get(usize::from(index))
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Unit {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Safe(operation, _) => operation.name(),
            Self::Select(_) => protocol::SELECT.name,
            Self::FetchSelected => protocol::FETCH_SELECTED.name,
        }
    }

    const fn mailbox(self) -> Option<u16> {
        match self {
            Self::Safe(_, mailbox) => mailbox,
            Self::Select(mailbox) => Some(mailbox),
            Self::FetchSelected => None,
        }
    }

    /// Whether its reply comes from the mailbox that is selected.
    const fn is_of_the_selected(self) -> bool {
        match self {
            Self::Select(_) | Self::FetchSelected => true,
            Self::Safe(operation, _) => operation.selects(),
        }
    }
}

/// Does what it is told until nobody can tell it anything more.
pub(super) fn work(floor: &Floor, thread: usize, orders: &Receiver<Order>, reports: &Sender<Report>) {
    let worker = WorkerId(u32::try_from(thread).unwrap_or(u32::MAX));
    let mut lane = Lane {
        floor,
        worker,
        introduced: vec![false; floor.clients.len()],
        defaults: Vec::new(),
        held: Vec::new(),
        using: Vec::new(),
        believed: HashMap::new(),
        task: None,
        issued: 0,
    };
    while let Ok(Order { number, step }) = orders.recv() {
        let began = Instant::now();
        let did = lane.step(&step);
        let clients = step.actions.iter().map(|action| action.client).take(did.len()).collect();
        let names = step.actions.iter().map(|action| action.what.name()).collect();
        if reports.send(Report { number, did, clients, names, took: began.elapsed() }).is_err() {
            break;
        }
    }
    lane.let_go();
}

struct Lane<'a> {
    floor: &'a Floor,
    worker: WorkerId,
    /// To which clients' recorders.
    introduced: Vec<bool>,
    /// The defaults it created and did not leave.
    defaults: Vec<Kept>,
    /// The leases it keeps, with their clients.
    held: Vec<(usize, Lease<Recording>)>,
    /// The clients that its step is about: it holds them until the step is over.
    using: Vec<Using<'a>>,
    /// What it has selected (rule A7), by client and passed connection, and once for all that are not passed: what it
    /// takes for selected still. A thread keeps it from task to task, as it keeps its default.
    believed: HashMap<(usize, Option<usize>), (Arc<str>, Selection)>,
    /// The task that it serves, on a pool.
    task: Option<TaskId>,
    issued: u64,
}

struct Kept {
    client: usize,
    name: Option<String>,
    handle: DefaultConnection<Recording>,
}

impl<'a> Lane<'a> {
    fn step(&mut self, step: &LaneStep) -> Vec<Did> {
        self.task = step.task.map(TaskId);
        let _serving = self.task.map(Serving::task);
        for Action { client, what } in &step.actions {
            if what.asks_the_client() && self.using.iter().all(|using| using.number != *client) {
                let room = self.floor.clients.get(*client).and_then(OnceLock::get);
                self.using.extend(room.and_then(|room| Using::of(*client, room)));
            }
        }
        let mut did = Vec::with_capacity(step.actions.len());
        let done = catch_unwind(AssertUnwindSafe(|| self.actions(&step.actions, &mut did)));
        if let Err(panic) = done {
            did.push(Did::Panicked(words_of(&*panic)));
        }
        if step.lets_go {
            self.let_go();
        }
        self.using.clear();
        if let Some(task) = self.task.filter(|_| step.ends) {
            self.floor.ends(task);
        }
        did
    }

    fn actions(&mut self, actions: &[Action], did: &mut Vec<Did>) {
        // Dropped at the line's end, by a panic too: that is what it is for.
        let scoped = match actions.first() {
            Some(Action { client, what: Act::Scope }) => self.room(*client).and_then(|_| self.client(*client)),
            _ => None,
        };
        let scope = scoped.as_ref().map(Client::thread_scope);
        for action in actions {
            let done = match (self.act(action), &action.what) {
                // What is missing goes with what was refused before it.
                (Did::Nothing, Act::Leave(_) | Act::Release) if did.iter().any(came_to_nothing) => {
                    Did::Noted(format!("nothing to {}", action.what.name()))
                }
                (done, _) => done,
            };
            did.push(done);
        }
        drop(scope);
    }

    /// The handle that this step holds.
    fn client(&self, number: usize) -> Option<Client<Recording>> {
        self.using.iter().find(|using| using.number == number)?.client.clone()
    }

    /// The client; none before its line, where nothing can name it.
    fn room(&mut self, client: usize) -> Option<&'a Room> {
        let room = self.floor.clients.get(client)?.get()?;
        if let Some(introduced) = self.introduced.get_mut(client)
            && !std::mem::replace(introduced, true)
        {
            room.recorder.introduce(self.worker);
        }
        if let Some(task) = self.task {
            self.floor.begins(task, self.worker, client, room);
        }
        Some(room)
    }

    fn act(&mut self, action: &Action) -> Did {
        let lane = self.worker.0 as usize;
        match action.what {
            Act::Create(_) | Act::CreateDefault(_) | Act::Unit { .. } | Act::Hold { .. } => {
                self.floor.asking.asks(lane, action.client);
            }
            _ => self.floor.asking.works(lane),
        }
        let did = self.do_it(action);
        self.floor.asking.works(lane);
        did
    }

    fn do_it(&mut self, action: &Action) -> Did {
        let client = action.client;
        match &action.what {
            Act::Pause(pause) => {
                self.floor.control.rest(*pause);
                return Did::Noted(String::new());
            }
            Act::Panic => resume_unwind(Box::new("as the scenario asks")),
            _ => {}
        }
        let Some(room) = self.room(client) else { return Did::Nothing };
        let did = self.with(client, room, action);
        match (did, self.floor.script.whose(self.owner_of(action))) {
            // The rules speak of a client's connections by their numbers, which others have too.
            (Did::Refused { rule, message }, Some(owner)) => {
                Did::Refused { rule, message: message.replace('#', &format!("{owner} #")) }
            }
            (did, _) => did,
        }
    }

    /// The client whose connection it is about: the one that was passed may be another's (D6).
    fn owner_of(&self, action: &Action) -> usize {
        let (Act::Unit { via, .. } | Act::Would { via } | Act::Hold { via, .. }) = action.what else {
            return action.client;
        };
        via.and_then(|via| self.floor.script.owners.get(via).copied()).unwrap_or(action.client)
    }

    fn with(&mut self, client: usize, room: &'a Room, action: &Action) -> Did {
        match self.client(client).filter(|_| action.what.asks_the_client()) {
            Some(handle) => self.ask(client, &handle, room, action),
            None => self.by_handle(client, action),
        }
    }

    /// What is done with a handle of a connection, or with none.
    fn by_handle(&mut self, client: usize, action: &Action) -> Did {
        match &action.what {
            Act::Leave(name) => {
                let left = self.take_defaults(client, name.as_ref());
                let whose = self.floor.script.whose(client).map_or_else(String::new, |name| format!("{name} "));
                let ids: Vec<String> = left.iter().map(|kept| format!("{whose}{}", kept.handle.id())).collect();
                left.into_iter().for_each(|kept| kept.handle.leave());
                if ids.is_empty() { Did::Nothing } else { Did::Noted(format!("left {}", ids.join(", "))) }
            }
            Act::Dispose(number) => match self.floor.connection(*number) {
                Some(connection) => {
                    connection.dispose();
                    Did::Disposed { connection: connection.id() }
                }
                None => Did::Nothing,
            },
            Act::DisposeHandle(name) => match self.take_defaults(client, Some(name)).pop() {
                Some(kept) => {
                    let connection = kept.handle.id();
                    kept.handle.dispose();
                    Did::Disposed { connection }
                }
                None => Did::Nothing,
            },
            Act::Release => match self.release() {
                0 => Did::Nothing,
                _ => Did::Noted("released".to_owned()),
            },
            _ => Did::Nothing,
        }
    }

    fn ask(&mut self, client: usize, handle: &Client<Recording>, room: &'a Room, action: &Action) -> Did {
        match &action.what {
            Act::Create(number) => match handle.create_connection() {
                Ok(connection) => {
                    let id = connection.id();
                    if let Some(place) = self.floor.connections.get(*number) {
                        *locked(place) = Some(Arc::new(connection));
                    }
                    Did::Created { connection: id, name: self.floor.script.connections.get(*number).cloned() }
                }
                Err(error) => not_given(&self.floor.control, &error),
            },
            Act::CreateDefault(name) => match handle.create_default_connection() {
                Ok(handle) => {
                    let connection = handle.id();
                    self.defaults.push(Kept { client, name: name.clone(), handle });
                    Did::Created { connection, name: name.clone() }
                }
                Err(error) => {
                    if let (Error::Refused(Refusal::DefaultExists { existing }), Some(task)) = (&error, self.task) {
                        let (worker, existing, rule) = (self.worker, *existing, DefaultRule::C3);
                        room.recorder.record(DefaultRefused { task, worker, existing, rule });
                    }
                    not_given(&self.floor.control, &error)
                }
            },
            Act::DisposeDefault => match handle.dispose_default_connection() {
                Some(connection) => Did::Disposed { connection },
                None => Did::Nothing,
            },
            Act::Unit { unit, via } => self.operate((client, *via), handle, room, *unit, false),
            Act::Hold { unit, via } => self.operate((client, *via), handle, room, *unit, true),
            Act::Would { via } => self.would((client, *via), handle),
            Act::SetMode(mode) => {
                handle.set_mode(*mode);
                Did::Noted(mode.to_string())
            }
            _ => Did::Noted(String::new()),
        }
    }

    /// What the rule answers now.
    fn would(&self, (client, via): (usize, Option<usize>), handle: &Client<Recording>) -> Did {
        let passed = via.map(|number| self.floor.connection(number));
        let decided = match &passed {
            // Its creation failed: there is nothing to pass.
            Some(None) => return Did::Nothing,
            Some(Some(connection)) => handle.decide_on(connection),
            None => handle.decide(false),
        };
        match decided {
            Ok(Decision { reason, .. }) => {
                let passed = passed.flatten().map(|connection| connection.id());
                Did::Would { reason, passed: passed.map(|id| (id, self.floor.name_of(client, id))) }
            }
            Err(error) => not_given(&self.floor.control, &error),
        }
    }

    /// Takes the handles of that client's defaults out of this thread's keeping: the named one, or all.
    fn take_defaults(&mut self, client: usize, name: Option<&String>) -> Vec<Kept> {
        let (taken, kept) = std::mem::take(&mut self.defaults)
            .into_iter()
            .partition(|kept| kept.client == client && name.is_none_or(|name| kept.name.as_ref() == Some(name)));
        self.defaults = kept;
        taken
    }

    /// Ends the leases that this thread keeps; how many.
    fn release(&mut self) -> usize {
        let held = std::mem::take(&mut self.held);
        let number = held.len();
        for (client, lease) in held {
            drop(lease);
            if let Some(room) = self.room(client) {
                room.held.fetch_sub(1, Ordering::SeqCst);
            }
        }
        number
    }

    fn let_go(&mut self) {
        self.release();
        self.defaults.clear();
    }

    /// Issues one operation and writes it down, when its connection is given back: unless that is to be kept, and fit for it.
    fn operate(
        &mut self,
        (client, via): (usize, Option<usize>),
        handle: &Client<Recording>,
        room: &Room,
        unit: Unit,
        keep: bool,
    ) -> Did {
        let passed = match via.map(|number| self.floor.connection(number)) {
            // Its creation failed: there is nothing to pass.
            Some(None) => return Did::Nothing,
            Some(connection) => connection,
            None => None,
        };
        self.issued += 1;
        let (recorder, control) = (&*room.recorder, &*self.floor.control);
        let issuer = Issuer { client: handle, recorder, control, worker: self.worker, task: self.task };
        let mailbox = unit.mailbox().and_then(|index| self.floor.mailbox(index));
        let mut issued = issuer.issue(unit.name(), mailbox.cloned(), passed.as_deref());
        if unit == Unit::FetchSelected
            && let Some((mailbox, selection)) = self.believed.get(&(client, via))
        {
            issued.operation.mailbox = Some(Arc::clone(mailbox));
            issued.operation.relied_on = Some(Box::new(selection.clone()));
        }
        let leased = issued.lease();
        self.floor.asking.works(self.worker.0 as usize);
        let did = match leased {
            Ok(mut lease) => {
                let did = self.serve((client, via), recorder, unit, &mut lease, &mut issued);
                if keep && issued.operation.is_ok() {
                    room.held.fetch_add(1, Ordering::SeqCst);
                    self.held.push((client, lease));
                }
                did
            }
            Err(error) => {
                issued.not_served(&error);
                not_given(control, &error)
            }
        };
        issued.record();
        did
    }

    fn serve(
        &mut self,
        asked: (usize, Option<usize>),
        recorder: &Recorder,
        unit: Unit,
        lease: &mut Lease<Recording>,
        issued: &mut Issued<'_>,
    ) -> Did {
        let leased_at = recorder.now();
        let assigned = *lease.assignment();
        let Recorded { mail, .. } = &mut **lease;
        let outcome = self.run(mail, unit);
        let told = outcome.as_ref().ok().and_then(|reply| reply.uid_validity);
        let outcome = outcome.map(|reply| reply.items);
        issued.served(leased_at, mail, outcome.clone());
        let session = assigned.session;
        let mut selected = locked(&self.floor.selected);
        match issued.operation.leaves() {
            Leaves::Selected(mailbox) => {
                // The commands are the selecting operation's own: whoever relies on them later does not have them.
                let local_port = mail.established().local_port;
                let uid_validity = told.or(mail.answered_by().and_then(|answer| answer.uid_validity));
                let selection = Selection { session, local_port, commands: Box::default(), uid_validity };
                self.believed.insert(asked, (Arc::clone(&mailbox), selection));
                selected.insert((asked.0, session), mailbox);
            }
            Leaves::Nothing => {
                self.believed.remove(&asked);
                selected.remove(&(asked.0, session));
            }
            Leaves::Before => {}
        }
        // By all that was said on the session, where the reply's messages do not say which it was.
        let there = selected.get(&(asked.0, session)).filter(|_| outcome.is_ok() && unit.is_of_the_selected());
        let there = there.map(|mailbox| (**mailbox).to_owned());
        drop(selected);
        let proven = mail.answered_by().and_then(|answer| answer.mailbox.as_deref()).map(str::to_owned);
        Did::Ran(Box::new(Ran {
            operation: unit.name(),
            session,
            name: self.floor.name_of(asked.0, session.connection),
            reason: assigned.reason,
            from: proven.or(there),
            outcome,
        }))
    }

    fn run(&self, mail: &mut MailConnection, unit: Unit) -> Result<Reply, Failure> {
        let mailbox = unit.mailbox().and_then(|index| self.floor.mailbox(index)).map_or("", |name| &**name);
        match (unit, mail) {
            (Unit::Safe(operation, _), mail) => {
                let letters = self.floor.letters.as_ref().filter(|_| operation.writes());
                let letter = letters.map(|letters| letters.letter(&self.worker.to_string(), self.issued));
                let done = mail.run(operation, &Job { mailbox, letter: letter.as_ref() });
                done.map(|items| Reply { items, ..Reply::default() })
            }
            (Unit::Select(_), MailConnection::Imap(imap)) => imap.select(mailbox),
            (Unit::FetchSelected, MailConnection::Imap(imap)) => imap.fetch_selected(),
            (unit, _) => {
                let message = format!("{} is no operation of this connection's protocol", unit.name());
                Err(Failure::new(FailureKind::Internal, Stage::Operation, message))
            }
        }
    }
}

/// Whether an action of the same line that came before did not do what it was told.
const fn came_to_nothing(did: &Did) -> bool {
    match did {
        Did::Refused { .. } | Did::Failed { .. } | Did::Nothing | Did::Panicked(_) => true,
        Did::Ran(ran) => ran.outcome.is_err(),
        Did::Noted(_) | Did::Created { .. } | Did::Disposed { .. } | Did::Would { .. } => false,
    }
}

fn not_given(control: &Control, error: &Error<DialFailure>) -> Did {
    match error {
        Error::Refused(refusal) => Did::Refused { rule: refusal.rule(), message: refusal.to_string() },
        Error::Connect { session, .. } => Did::Failed { session: Some(*session), failure: failure_of(control, error) },
        Error::WaitTimeout { .. } => Did::Failed { session: None, failure: failure_of(control, error) },
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
