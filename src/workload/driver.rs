//! Collects what a client does while others work with it, and ends it in time whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::barrier::Barrier;
use super::control::Control;
use super::executor::{RunError, stopped_by_a_panic};
use super::recorder::Recorder;
use super::recording::Recording;
use crate::allocator::Client;
use crate::event::{Ending, Event, Micros, What, WorkerId};
use crate::protocol::MailConnector;

/// The collector empties the recorder this often.
const TICK: Duration = Duration::from_millis(10);
/// An interrupted run has this long to sign out; then its sockets are shut down.
pub(crate) const GRACE: Duration = Duration::from_millis(1500);
/// How long the end of a run that was not interrupted may take to sign out.
const CLOSE: Duration = Duration::from_secs(5);

/// How soon the end of a run notices that it is interrupted.
const HURRIES: Duration = Duration::from_millis(2);

/// Hears of a run while it goes on, on the thread that drives it.
pub trait Audience {
    /// The next events, in order: the run's start first, before anything else happens. Called about a hundred times a
    /// second, even with none.
    ///
    /// Until it returns, nobody collects: the workers go on until the recorder is full, then they wait, and an interruption
    /// waits too. So a wait in here needs a deadline, and must end once the run is interrupted.
    fn goes_on(&mut self, events: &[Event]);

    /// For how long the calls so far waited for a reader.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// The server's own record, while the run goes on.
pub trait Source {
    /// What the server saw since the last call. It does not wait.
    fn news(&mut self) -> Vec<What>;
    /// All the rest, once the client is closed. It waits as long as it must for a server to notice.
    fn rest(&mut self) -> Vec<What>;
}

/// How a run ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// When, and by what.
    pub ending: Ending,
    /// How many events there were: the number of the one that says so.
    pub events: u64,
}

/// A client at work, and where what it does is written down.
#[derive(Clone)]
pub(crate) struct Driver {
    pub(crate) client: Client<Recording>,
    pub(crate) connector: Arc<MailConnector>,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) control: Arc<Control>,
    /// Of those who work with it.
    barrier: Arc<Barrier>,
}

impl Driver {
    /// Of a client with which that number of workers work, or of tasks.
    pub(crate) fn of(
        client: Client<Recording>,
        connector: Arc<MailConnector>,
        recorder: Arc<Recorder>,
        control: Arc<Control>,
        workers: usize,
    ) -> Self {
        Self { client, connector, recorder, control, barrier: Arc::new(Barrier::of(workers)) }
    }

    /// Where those who work with it meet.
    pub(super) const fn barrier(&self) -> &Arc<Barrier> {
        &self.barrier
    }

    /// Drives one worker, on a thread of its own. What `work` returns is dropped once the client is closed: connections
    /// that are still open are signed out together, by one deadline.
    ///
    /// # Errors
    /// The system gave no thread; then nothing was dialled.
    pub(crate) fn drive_one<T: Send>(
        self,
        worker: WorkerId,
        source: Option<&mut dyn Source>,
        audience: &mut dyn Audience,
        work: impl FnOnce() -> T + Send,
    ) -> Result<Ended, RunError> {
        let (recorder, participant) = (Arc::clone(&self.recorder), self.barrier.join());
        let mut kept = None;
        self.drive(source, audience, |collect| {
            thread::scope(|scope| {
                let recorder = &recorder;
                let alone = move || {
                    let _participant = participant;
                    recorder.introduce(worker);
                    work()
                };
                let thread = thread::Builder::new().name(worker.to_string()).spawn_scoped(scope, alone);
                let thread = thread.map_err(|source| RunError::Threads { started: 0, asked: 1, source })?;
                collect();
                match thread.join() {
                    Ok(returned) => kept = Some(returned),
                    Err(_) => recorder.record(stopped_by_a_panic(worker)),
                }
                Ok(())
            })
        })
    }

    /// Collects while `work` goes on, which gets what collects until all who work are gone, and calls it once all have begun.
    /// Then the client is closed. What `source` saw becomes part of the stream.
    ///
    /// # Errors
    /// Those of `work`; then nothing was dialled.
    pub(crate) fn drive(
        self,
        source: Option<&mut dyn Source>,
        audience: &mut dyn Audience,
        work: impl FnOnce(&mut dyn FnMut()) -> Result<(), RunError>,
    ) -> Result<Ended, RunError> {
        let mut collected = Collected { spare: Vec::new(), held_up: Duration::ZERO, source, audience };
        collected.take(&self.recorder);
        work(&mut || {
            let bound = Bound(&self.recorder);
            self.collect_until_gone(&mut collected);
            drop(bound);
        })?;
        let Self { client, connector, recorder, control, barrier: _ } = self;
        let still_open = close(client, &connector, &control);
        let elapsed = collected.end(&recorder);
        let held_up = Some(collected.held_up.into());
        let interrupted = control.signal();
        let is_unread = control.interrupted().is_some() && interrupted.is_none();
        let ending = Ending { elapsed, interrupted, is_unread, still_open, held_up, cpu: Some(recorder.spent()) };
        Ok(Ended { ending, events: recorder.recorded() })
    }

    /// Collects while the workers work. An interrupted run gets [`GRACE`] to sign out; then its sockets are shut down, which
    /// ends every call that is still waiting for the server.
    fn collect_until_gone(&self, collected: &mut Collected<'_, '_>) {
        let mut shut_down = false;
        while !self.barrier.all_gone(TICK) {
            collected.take(&self.recorder);
            if let Some(when) = self.control.interrupted()
                && !shut_down
            {
                self.recorder.lift();
                self.barrier.release();
                self.client.clone().close(when + GRACE);
                self.connector.cancel();
                shut_down = true;
            }
        }
    }
}

/// Closes the client within [`CLOSE`], or within [`GRACE`] of an interruption, and says how many connections are still open.
fn close(client: Client<Recording>, connector: &MailConnector, control: &Control) -> usize {
    let by = control.interrupted().map_or_else(|| Instant::now() + CLOSE, |when| when + GRACE);
    let closed = AtomicBool::new(false);
    thread::scope(|scope| {
        let hurry = || {
            while !closed.load(Ordering::Acquire) {
                if control.interrupted().is_some_and(|when| when.elapsed() >= GRACE) {
                    return connector.cancel();
                }
                thread::sleep(HURRIES);
            }
        };
        // Without a thread to watch for the interruption it takes as long as it may.
        let _ = thread::Builder::new().name("close".to_owned()).spawn_scoped(scope, hurry);
        let still_open = client.close(by);
        closed.store(true, Ordering::Release);
        still_open
    })
}

/// Takes the recorded events to the audience.
struct Collected<'s, 'a> {
    /// The recorder's list of the time before last, emptied.
    spare: Vec<Event>,
    /// For how long workers stood still while the audience waited for a reader.
    held_up: Duration,
    source: Option<&'s mut dyn Source>,
    audience: &'a mut dyn Audience,
}

impl Collected<'_, '_> {
    fn take(&mut self, recorder: &Recorder) {
        if let Some(source) = &mut self.source {
            recorder.record_all(source.news());
        }
        let mut fresh = recorder.take(std::mem::take(&mut self.spare));
        self.tell(recorder, &fresh);
        fresh.clear();
        self.spare = fresh;
    }

    /// The client is closed: what is left, the server's record to its end, and how long it all took.
    fn end(&mut self, recorder: &Recorder) -> Micros {
        let left = recorder.freeze();
        let elapsed = recorder.now().into();
        self.tell(recorder, &left);
        if let Some(source) = &mut self.source {
            // It speaks of the time until then.
            recorder.record_at(elapsed, source.rest());
            let rest = recorder.freeze();
            self.tell(recorder, &rest);
        }
        elapsed
    }

    fn tell(&mut self, recorder: &Recorder, events: &[Event]) {
        let (waited, held_up) = (self.audience.waited(), recorder.held_up());
        self.audience.goes_on(events);
        let waited = self.audience.waited().saturating_sub(waited);
        self.held_up += recorder.held_up().saturating_sub(held_up).min(waited);
    }
}

/// As long as somebody collects, what waits to be collected has a bound; a collector that panics leaves nobody waiting.
struct Bound<'a>(&'a Recorder);

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.0.lift();
    }
}
