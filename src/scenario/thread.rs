//! One thread of a scenario: does its steps, one after the other, and reports each result.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use super::context::{Context, Shared, Using, locked};
use super::script::{Action, ActionKind, ThreadStep, Unit};
use crate::allocator::{Client, Decision, DefaultConnection, Error, Lease};
use crate::event::{self, Did, Leaves, Selection, TaskId, WorkerId};
use crate::protocol::{self, DialFailure, Failure, FailureKind, Job, MailConnection, Reply, Stage};
use crate::workload::{Control, Issued, Issuer, Recorded, Recording, Serving, failure_of};

/// One step to do.
pub(super) struct Request {
    pub(super) number: usize,
    pub(super) step: ThreadStep,
}

/// What came of it.
pub(super) struct Response {
    pub(super) number: usize,
    pub(super) did: Vec<event::Action>,
    /// The words for the actions of the step.
    pub(super) names: Vec<&'static str>,
    pub(super) took: Duration,
}

/// Does the requested steps until the queue is closed.
pub(super) fn work(context: &Context, thread: usize, requests: &Receiver<Request>, responses: &Sender<Response>) {
    let mut thread = Thread {
        context,
        number: thread,
        worker: WorkerId(u32::try_from(thread).unwrap_or(u32::MAX)),
        introduced: vec![false; context.clients.len()],
        defaults: Vec::new(),
        held: Vec::new(),
        using: Vec::new(),
        believed: HashMap::new(),
        task: None,
        issued: 0,
    };
    while let Ok(Request { number, step }) = requests.recv() {
        let began = Instant::now();
        let did = thread.step(&step);
        let client = |action: &Action| context.script.whose(action.client);
        let did = did.into_iter().zip(&step.actions).map(|(did, action)| event::Action { client: client(action), did });
        let (did, names) = (did.collect(), step.actions.iter().map(|action| action.kind.name()).collect());
        if responses.send(Response { number, did, names, took: began.elapsed() }).is_err() {
            break;
        }
    }
    thread.let_go();
}

struct Thread<'a> {
    context: &'a Context,
    number: usize,
    worker: WorkerId,
    /// To which clients' recorders.
    introduced: Vec<bool>,
    /// The defaults it created and did not leave.
    defaults: Vec<Kept>,
    /// The leases it keeps, with their clients.
    held: Vec<(usize, Lease<Recording>)>,
    /// The clients that its step uses: it holds them until the step is over.
    using: Vec<Using<'a>>,
    /// What it takes for selected (rule A7): by client and passed connection, and once for all implicit ones. A thread keeps
    /// it from task to task, as it keeps its default.
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

/// A unit that is to run: of which client, and on which connection if one is passed.
#[derive(Clone, Copy)]
struct Asked {
    client: usize,
    via: Option<usize>,
    unit: Unit,
}

impl<'a> Thread<'a> {
    fn step(&mut self, step: &ThreadStep) -> Vec<Did> {
        self.task = step.task.map(TaskId);
        let _serving = self.task.map(Serving::task);
        for Action { client, kind } in &step.actions {
            if kind.asks_the_client() && self.using.iter().all(|using| using.number != *client) {
                self.using.extend(self.context.client(*client).and_then(|shared| Using::of(*client, shared)));
            }
        }
        let mut did = Vec::with_capacity(step.actions.len());
        let done = catch_unwind(AssertUnwindSafe(|| self.actions(&step.actions, &mut did)));
        if let Err(panic) = done {
            did.push(Did::Panics { message: words_of(&*panic) });
        }
        if step.lets_go {
            self.let_go();
        }
        self.using.clear();
        if let Some(task) = self.task.filter(|_| step.ends) {
            self.context.ends(task);
        }
        did
    }

    fn actions(&mut self, actions: &[Action], did: &mut Vec<Did>) {
        // Dropped at the line's end, by a panic too: the lease ends there.
        let scoped = match actions.first() {
            Some(Action { client, kind: ActionKind::Scope }) => self.shared(*client).and_then(|_| self.client(*client)),
            _ => None,
        };
        let scope = scoped.as_ref().map(Client::thread_scope);
        for action in actions {
            let done = match (self.act(action), &action.kind) {
                // What is missing goes with what failed before it.
                (Did::Nothing, ActionKind::Leave(_) | ActionKind::Release) if did.iter().any(|did| !did.is_ok()) => {
                    noted(format!("nothing to {}", action.kind.name()))
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

    /// The client, once its recorder knows this thread and its task. None before the client's line.
    fn shared(&mut self, client: usize) -> Option<&'a Shared> {
        let shared = self.context.client(client)?;
        if let Some(introduced) = self.introduced.get_mut(client)
            && !std::mem::replace(introduced, true)
        {
            shared.recorder.introduce(self.worker);
        }
        if let Some(task) = self.task {
            self.context.begins(task, self.worker, client);
        }
        Some(shared)
    }

    fn act(&mut self, action: &Action) -> Did {
        use ActionKind::{Create, CreateDefault, Panic, Pause, Unit};
        match action.kind {
            Create(_) | CreateDefault(_) | Unit { .. } => {
                self.context.thread_states.waits_for(self.number, action.client)
            }
            _ => self.context.thread_states.runs(self.number),
        }
        let did = match &action.kind {
            Pause(pause) => {
                self.context.control.rest(*pause);
                noted(String::new())
            }
            Panic => resume_unwind(Box::new("as the scenario asks")),
            _ => self.on_client(action),
        };
        self.context.thread_states.runs(self.number);
        did
    }

    fn on_client(&mut self, action: &Action) -> Did {
        let client = action.client;
        let Some(shared) = self.shared(client) else { return Did::Nothing };
        let did = match self.client(client).filter(|_| action.kind.asks_the_client()) {
            Some(handle) => self.ask(client, &handle, shared, &action.kind),
            None => self.by_handle(client, &action.kind),
        };
        match (did, self.context.script.whose(self.owner_of(action))) {
            // The rules speak of a client's connections by their numbers, which others have too.
            (Did::Refused { rule, message }, Some(owner)) => {
                Did::Refused { rule, message: message.replace('#', &format!("{owner} #")) }
            }
            (did, _) => did,
        }
    }

    /// The client that owns the connection: one that is passed may be another client's (D6).
    fn owner_of(&self, action: &Action) -> usize {
        let (ActionKind::Unit { via, .. } | ActionKind::Would { via }) = action.kind else { return action.client };
        via.and_then(|via| self.context.script.owners.get(via).copied()).unwrap_or(action.client)
    }

    /// What is done with a handle of a connection, or with none.
    fn by_handle(&mut self, client: usize, action: &ActionKind) -> Did {
        match action {
            ActionKind::Leave(name) => {
                let left = self.take_defaults(client, name.as_ref());
                let whose = self.context.script.of(client);
                let ids: Vec<String> = left.iter().map(|kept| format!("{whose}{}", kept.handle.id())).collect();
                left.into_iter().for_each(|kept| kept.handle.leave());
                if ids.is_empty() { Did::Nothing } else { noted(format!("left {}", ids.join(", "))) }
            }
            ActionKind::Dispose(number) => self.context.connection(*number).map_or(Did::Nothing, |connection| {
                connection.dispose();
                Did::Disposed { connection: connection.id() }
            }),
            ActionKind::DisposeHandle(name) => {
                self.take_defaults(client, Some(name)).pop().map_or(Did::Nothing, |kept| {
                    let connection = kept.handle.id();
                    kept.handle.dispose();
                    Did::Disposed { connection }
                })
            }
            ActionKind::Release if self.release() > 0 => noted("released".to_owned()),
            _ => Did::Nothing,
        }
    }

    fn ask(&mut self, client: usize, handle: &Client<Recording>, shared: &Shared, action: &ActionKind) -> Did {
        let (context, control) = (self.context, &*self.context.control);
        match action {
            ActionKind::Create(number) => match handle.create_connection() {
                Ok(connection) => {
                    let id = connection.id();
                    if let Some(place) = context.connections.get(*number) {
                        *locked(place) = Some(Arc::new(connection));
                    }
                    Did::Created { connection: id, name: context.script.connections.get(*number).cloned() }
                }
                Err(error) => not_given(control, &error),
            },
            ActionKind::CreateDefault(name) => match self.issuer(handle, shared).create_default() {
                Ok(handle) => {
                    let connection = handle.id();
                    self.defaults.push(Kept { client, name: name.clone(), handle });
                    Did::Created { connection, name: name.clone() }
                }
                Err(error) => not_given(control, &error),
            },
            ActionKind::DisposeDefault => {
                handle.dispose_default_connection().map_or(Did::Nothing, |connection| Did::Disposed { connection })
            }
            ActionKind::Unit { unit, via, hold } => {
                self.operate(Asked { client, via: *via, unit: *unit }, handle, shared, *hold)
            }
            ActionKind::Would { via } => self.would(client, *via, handle),
            ActionKind::SetMode(mode) => {
                handle.set_mode(*mode);
                noted(mode.to_string())
            }
            _ => noted(String::new()),
        }
    }

    fn issuer<'b>(&self, client: &'b Client<Recording>, shared: &'b Shared) -> Issuer<'b>
    where
        'a: 'b,
    {
        let (recorder, control) = (&*shared.recorder, &*self.context.control);
        Issuer { client, recorder, control, worker: self.worker, task: self.task }
    }

    /// What the rule answers now.
    fn would(&self, client: usize, via: Option<usize>, handle: &Client<Recording>) -> Did {
        let passed = via.map(|number| self.context.connection(number));
        let decided = match &passed {
            // Its creation failed: there is nothing to pass.
            Some(None) => return Did::Nothing,
            Some(Some(connection)) => handle.decide_on(connection),
            None => handle.decide(false),
        };
        match decided {
            Ok(Decision { reason, .. }) => {
                let connection = passed.flatten().map(|connection| connection.id());
                Did::Would { reason, connection, name: connection.and_then(|id| self.context.name_of(client, id)) }
            }
            Err(error) => not_given(&self.context.control, &error),
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
            if let Some(shared) = self.context.client(client) {
                shared.held.fetch_sub(1, Ordering::SeqCst);
            }
        }
        number
    }

    fn let_go(&mut self) {
        self.release();
        self.defaults.clear();
    }

    /// Issues one operation, and records it once its connection is given back. `hold` keeps the connection of one that
    /// succeeded.
    fn operate(&mut self, asked: Asked, handle: &Client<Recording>, shared: &Shared, hold: bool) -> Did {
        let Asked { client, via, unit } = asked;
        let passed = match via.map(|number| self.context.connection(number)) {
            // Its creation failed: there is nothing to pass.
            Some(None) => return Did::Nothing,
            Some(connection) => connection,
            None => None,
        };
        self.issued += 1;
        let mailbox = unit.mailbox().and_then(|index| self.context.mailbox(index));
        let mut issued = self.issuer(handle, shared).issue(unit.name(), mailbox.cloned(), passed.as_deref());
        if unit == Unit::FetchSelected
            && let Some((mailbox, selection)) = self.believed.get(&(client, via))
        {
            issued.operation.mailbox = Some(Arc::clone(mailbox));
            issued.operation.relied_on = Some(Box::new(selection.clone()));
        }
        let leased = issued.lease();
        self.context.thread_states.runs(self.number);
        let did = match leased {
            Ok(mut lease) => {
                let did = self.serve(asked, &mut lease, &mut issued);
                if hold && issued.operation.is_ok() {
                    shared.held.fetch_add(1, Ordering::SeqCst);
                    self.held.push((client, lease));
                }
                did
            }
            Err(error) => {
                issued.not_served(&error);
                not_given(&self.context.control, &error)
            }
        };
        issued.record();
        did
    }

    fn serve(&mut self, asked: Asked, lease: &mut Lease<Recording>, issued: &mut Issued<'_>) -> Did {
        let Asked { client, via, unit } = asked;
        let assigned = *lease.assignment();
        let Recorded { mail, .. } = &mut **lease;
        let mut told = None;
        issued.serve(mail, |mail| {
            let reply = self.run(mail, unit)?;
            told = reply.uid_validity;
            Ok(reply.items)
        });
        let session = assigned.session;
        let mut selected = locked(&self.context.selected);
        match issued.operation.leaves() {
            Leaves::Selected(mailbox) => {
                // The commands belong to the operation that selected: one that relies on the selection has none of them.
                let local_port = mail.established().local_port;
                let uid_validity = told.or(mail.answered_by().and_then(|answer| answer.uid_validity));
                let selection = Selection { session, local_port, commands: Box::default(), uid_validity };
                self.believed.insert((client, via), (Arc::clone(&mailbox), selection));
                selected.insert((client, session), mailbox);
            }
            Leaves::Nothing => {
                self.believed.remove(&(client, via));
                selected.remove(&(client, session));
            }
            Leaves::Before => {}
        }
        let operation = &issued.operation;
        // The reply's messages may not say which mailbox it was: then it is the one that the session selected last.
        let there = selected.get(&(client, session)).filter(|_| operation.is_ok() && unit.is_of_the_selected());
        let there = there.map(|mailbox| (**mailbox).to_owned());
        drop(selected);
        let proven = mail.answered_by().and_then(|answer| answer.mailbox.as_deref()).map(str::to_owned);
        Did::Ran {
            operation: unit.name(),
            connection: session.connection,
            session,
            name: self.context.name_of(client, session.connection),
            reason: assigned.reason,
            from: proven.or(there),
            items: operation.items,
            failure: operation.failure.as_deref().cloned(),
        }
    }

    fn run(&self, mail: &mut MailConnection, unit: Unit) -> Result<Reply, Failure> {
        let mailbox = unit.mailbox().and_then(|index| self.context.mailbox(index)).map_or("", |name| &**name);
        match (unit, mail) {
            (Unit::Whole(operation, _), mail) => {
                let letters = self.context.letters.as_ref().filter(|_| operation.writes());
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

impl Unit {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Whole(operation, _) => operation.name(),
            Self::Select(_) => protocol::SELECT.name,
            Self::FetchSelected => protocol::FETCH_SELECTED.name,
        }
    }

    const fn mailbox(self) -> Option<u16> {
        match self {
            Self::Whole(_, mailbox) => mailbox,
            Self::Select(mailbox) => Some(mailbox),
            Self::FetchSelected => None,
        }
    }

    /// Whether its reply comes from the mailbox that is selected.
    const fn is_of_the_selected(self) -> bool {
        match self {
            Self::Select(_) | Self::FetchSelected => true,
            Self::Whole(operation, _) => operation.selects(),
        }
    }
}

pub(super) const fn noted(text: String) -> Did {
    Did::Noted { text }
}

fn not_given(control: &Control, error: &Error<DialFailure>) -> Did {
    match error {
        Error::Refused(refusal) => Did::Refused { rule: refusal.rule().to_owned(), message: refusal.to_string() },
        Error::Connect { session, .. } => Did::Failed { session: Some(*session), failure: failure_of(control, error) },
        Error::WaitTimeout { .. } => Did::Failed { session: None, failure: failure_of(control, error) },
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "without a word".to_owned())
}
