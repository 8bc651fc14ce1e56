//! Starts a scenario's threads, sends them requests and receives their responses.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::context::Context;
use super::script::{ActionKind, ThreadStep};
use super::thread::{Request, Response, work};
use crate::workload::RunError;

/// How many steps of one thread can wait in a parallel block: more than a file has lines.
const QUEUE: usize = 2048;

pub(super) struct Threads {
    threads: Vec<Option<Thread>>,
    responses: Receiver<Response>,
    /// Responses that were not asked for yet.
    arrived: HashMap<usize, Response>,
    /// Requests so far: the next one's number.
    requests: usize,
    /// How long each request may take that has no response yet.
    allowed: HashMap<usize, Duration>,
}

struct Thread {
    /// None once it was dismissed.
    requests: Option<SyncSender<Request>>,
    thread: JoinHandle<()>,
}

impl Threads {
    pub(super) fn start(context: &Arc<Context>) -> Result<Self, RunError> {
        let (responding, responses) = channel();
        let (arrived, allowed) = (HashMap::new(), HashMap::new());
        let mut threads = Self { threads: Vec::new(), responses, arrived, requests: 0, allowed };
        let names = &context.script.threads;
        for (number, name) in names.iter().enumerate() {
            let (requests, taken) = sync_channel(QUEUE);
            let (context, responding) = (Arc::clone(context), responding.clone());
            let thread =
                thread::Builder::new().name(name.clone()).spawn(move || work(&context, number, &taken, &responding));
            match thread {
                Ok(thread) => threads.threads.push(Some(Thread { requests: Some(requests), thread })),
                Err(source) => {
                    let started = threads.threads.len();
                    threads.join_all();
                    return Err(RunError::Threads { started, asked: names.len(), source });
                }
            }
        }
        Ok(threads)
    }

    /// Gives a thread its step; each action may take `each`. Returns the number that the response will have, or none if the
    /// thread's queue is full.
    pub(super) fn request(&mut self, step: &ThreadStep, each: Duration) -> Option<usize> {
        let number = self.requests;
        self.requests += 1;
        let allowed = step.actions.iter().map(|action| match action.kind {
            ActionKind::Pause(pause) => pause,
            _ => each,
        });
        self.allowed.insert(number, allowed.sum::<Duration>().max(each));
        let thread = self.threads.get(step.thread).and_then(Option::as_ref);
        if let Some(requests) = thread.and_then(|thread| thread.requests.as_ref()) {
            // A thread that is gone is found missing when its response is waited for.
            let given = requests.try_send(Request { number, step: step.clone() });
            if matches!(given, Err(TrySendError::Full(_))) {
                return None;
            }
        }
        Some(number)
    }

    /// How long all requests without a response may take together.
    pub(super) fn allowed(&self) -> Duration {
        self.allowed.values().sum()
    }

    /// The response with that number, if it comes within `wait`.
    pub(super) fn response(&mut self, number: usize, wait: Duration) -> Result<Response, RecvTimeoutError> {
        let by = Instant::now() + wait;
        loop {
            if let Some(response) = self.arrived.remove(&number) {
                return Ok(response);
            }
            let response = self.responses.recv_timeout(by.saturating_duration_since(Instant::now()))?;
            self.arrive(response);
        }
    }

    /// Whether the response is there.
    pub(super) fn has_responded(&mut self, number: usize) -> bool {
        while let Ok(response) = self.responses.try_recv() {
            self.arrive(response);
        }
        self.arrived.contains_key(&number)
    }

    fn arrive(&mut self, response: Response) {
        self.allowed.remove(&response.number);
        self.arrived.insert(response.number, response);
    }

    /// Ends one thread by closing its queue. True if it ended by then.
    pub(super) fn exit(&mut self, number: usize, by: Instant) -> bool {
        let Some(Thread { requests, thread }) = self.threads.get_mut(number).and_then(Option::take) else {
            return true;
        };
        drop(requests);
        while !thread.is_finished() && Instant::now() < by {
            thread::sleep(Duration::from_millis(1));
        }
        let in_time = thread.is_finished();
        // Its own variables are gone only then. A panic of its own was caught, and told, where it happened.
        let _ = thread.join();
        in_time
    }

    /// Each thread ends after the steps that it has, and lets go of what it keeps.
    pub(super) fn dismiss_all(&mut self) {
        self.threads.iter_mut().flatten().for_each(|thread| thread.requests = None);
    }

    pub(super) fn join_all(&mut self) {
        let all: Vec<Thread> = self.threads.iter_mut().filter_map(Option::take).collect();
        let threads: Vec<JoinHandle<()>> = all.into_iter().map(|thread| thread.thread).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}
