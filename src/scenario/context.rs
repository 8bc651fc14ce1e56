//! What all threads of a scenario share.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use super::script::Script;
use super::thread_states::ThreadStates;
use crate::allocator::{Client, Connection, ConnectionId, SessionId};
use crate::event::{TaskEnded, TaskId, TaskStarted, WorkerId};
use crate::protocol::{MailConnector, Stationery};
use crate::workload::{Control, Recorder, Recording};

pub(super) struct Context {
    pub(super) script: Script,
    /// Each client once its line was reached.
    pub(super) clients: Vec<OnceLock<Shared>>,
    /// Independent connections, from their creation on, whichever thread created them; disposed ones too.
    pub(super) connections: Vec<Mutex<Option<Arc<Connection<Recording>>>>>,
    /// What each session of each client has selected: every command that selects is one of ours.
    pub(super) selected: Mutex<HashMap<(usize, SessionId), Arc<str>>>,
    /// The clients that have recorded each task's beginning: a task begins there when it first uses the client.
    tasks: Mutex<BTreeMap<TaskId, BTreeSet<usize>>>,
    /// Who asks for a connection.
    pub(super) thread_states: ThreadStates,
    pub(super) letters: Option<Stationery>,
    pub(super) control: Arc<Control>,
}

/// A client and its recorder.
pub(super) struct Shared {
    /// None once the scenario has let go of it.
    client: Mutex<Option<Client<Recording>>>,
    pub(super) recorder: Arc<Recorder>,
    pub(super) connector: Arc<MailConnector>,
    /// Leases that threads hold: closing the client cannot close these.
    pub(super) held: AtomicUsize,
    /// Threads that use it in their present step.
    pub(super) users: AtomicUsize,
}

impl Context {
    pub(super) fn new(script: &Script, letters: Option<Stationery>, control: &Arc<Control>) -> Self {
        Self {
            clients: script.clients.iter().map(|_| OnceLock::new()).collect(),
            connections: script.connections.iter().map(|_| Mutex::default()).collect(),
            selected: Mutex::default(),
            tasks: Mutex::default(),
            thread_states: ThreadStates::new(script.threads.len()),
            letters,
            control: Arc::clone(control),
            script: script.clone(),
        }
    }

    pub(super) fn client(&self, number: usize) -> Option<&Shared> {
        self.clients.get(number)?.get()
    }

    pub(super) fn connection(&self, number: usize) -> Option<Arc<Connection<Recording>>> {
        self.connections.get(number).and_then(|place| locked(place).clone())
    }

    /// The client's independent connections that exist, with the scenario's names for them.
    pub(super) fn independent(&self, client: usize) -> impl Iterator<Item = (&str, ConnectionId)> {
        let all = self.script.connections.iter().zip(&self.script.owners).enumerate();
        let owned = all.filter(move |(_, (_, owner))| **owner == client);
        owned.filter_map(|(number, (name, _))| Some((name.as_str(), self.connection(number)?.id())))
    }

    /// The scenario's name for a client's independent connection.
    pub(super) fn name_of(&self, client: usize, id: ConnectionId) -> Option<String> {
        self.independent(client).find(|(_, other)| *other == id).map(|(name, _)| name.to_owned())
    }

    /// The task comes to that client, on that thread.
    pub(super) fn begins(&self, task: TaskId, worker: WorkerId, client: usize) {
        if locked(&self.tasks).entry(task).or_default().insert(client)
            && let Some(shared) = self.client(client)
        {
            shared.recorder.record(TaskStarted { task, worker });
        }
    }

    /// The task is over, wherever it was.
    pub(super) fn ends(&self, task: TaskId) {
        let clients = locked(&self.tasks).remove(&task).unwrap_or_default();
        for shared in clients.into_iter().filter_map(|client| self.client(client)) {
            shared.recorder.record(TaskEnded { task, worker: None, operations: None, left_mailbox: false });
        }
    }

    /// Tasks that no line has ended are over when their threads are.
    pub(super) fn end_tasks(&self) {
        let left: Vec<TaskId> = locked(&self.tasks).keys().copied().collect();
        left.into_iter().for_each(|task| self.ends(task));
    }

    pub(super) fn mailbox(&self, index: u16) -> Option<&Arc<str>> {
        self.script.mailboxes.get(usize::from(index))
    }
}

impl Shared {
    pub(super) fn new(client: Client<Recording>, recorder: Arc<Recorder>, connector: Arc<MailConnector>) -> Self {
        let (held, users) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Self { client: Mutex::new(Some(client)), recorder, connector, held, users }
    }

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
pub(super) struct Using<'a> {
    pub(super) number: usize,
    /// None only while it is dropped.
    pub(super) client: Option<Client<Recording>>,
    shared: &'a Shared,
}

impl<'a> Using<'a> {
    pub(super) fn of(number: usize, shared: &'a Shared) -> Option<Self> {
        shared.users.fetch_add(1, Ordering::SeqCst);
        let using = Self { number, client: shared.client(), shared };
        using.client.is_some().then_some(using)
    }
}

impl Drop for Using<'_> {
    fn drop(&mut self) {
        // It may be the last one: then this closes the client.
        drop(self.client.take());
        self.shared.users.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
