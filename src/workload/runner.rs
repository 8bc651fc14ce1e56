//! Drives a plan through a client: starts the workers, collects what they record, ends in time whatever happens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::barrier::Barrier;
use super::breaker::Breaker;
use super::context::{Context, Setup};
use super::control::Control;
use super::executor::{RunError, execute};
use super::plan::Plan;
use super::recorder::Recorder;
use super::recording::{Recording, client};
use super::switching::Switching;
use crate::allocator::Client;
use crate::event::{self, Ending, Event, Executor, Micros, Role, RunStart, Stretches, What};
use crate::protocol::MailConnector;

/// The collector empties the recorder this often.
const TICK: Duration = Duration::from_millis(10);
/// An interrupted run has this long to sign out; then its sockets are shut down.
const GRACE: Duration = Duration::from_millis(1500);
/// How long the end of a run that was not interrupted may take to sign out.
const CLOSE: Duration = Duration::from_secs(5);

/// How soon the end of a run notices that it is interrupted.
const HURRIES: Duration = Duration::from_millis(2);

/// Hears of a run while it goes on, on the thread that called [`run`].
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

/// Runs the plan to its end, or until `control` interrupts it. What `source` saw becomes part of the stream. When it returns,
/// every thread it started has ended and every connection is closed.
///
/// # Errors
/// The workers could not all be started, or the run's start is longer than a line; then nothing was dialled.
pub fn run(
    plan: &Plan,
    connector: &Arc<MailConnector>,
    setup: &Setup,
    control: &Arc<Control>,
    source: Option<&mut dyn Source>,
    audience: &mut dyn Audience,
) -> Result<Ended, RunError> {
    let clock = setup.clock;
    let started = SystemTime::now() - clock.elapsed();
    let start = start(plan, setup, started, source.is_some());
    start.fits(None)?;
    let recorder = Arc::new(Recorder::new(clock, start));
    let recording =
        Recording { connector: Arc::clone(connector), recorder: Arc::clone(&recorder), breaker: Breaker::default() };
    let client = client(recording, plan.mode, setup.wait_timeout, setup.max_connections);
    let doers = if plan.executor == Executor::Threads { plan.workers.len() } else { plan.tasks.len() };
    let context = Arc::new(Context {
        plan: plan.clone(),
        setup: setup.clone(),
        client: client.clone(),
        switching: Switching::of(&plan.switches),
        recorder: Arc::clone(&recorder),
        control: Arc::clone(control),
        barrier: Arc::new(Barrier::of(doers)),
    });
    let mut collected = Collected { spare: Vec::new(), held_up: Duration::ZERO, source, audience };
    collected.take(&recorder);
    execute(&context, || {
        let bound = Bound(&recorder);
        collect_until_gone(&context, connector, &mut collected);
        drop(bound);
    })?;
    let still_open = close(client, connector, control);
    let elapsed = collected.end(&recorder);
    let held_up = Some(collected.held_up.into());
    let ending = Ending { elapsed, interrupted: control.signal(), still_open, held_up };
    Ok(Ended { ending, events: recorder.recorded() })
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

/// How the run begins: what was asked for.
#[must_use]
pub fn start(plan: &Plan, setup: &Setup, started: SystemTime, witnessed: bool) -> RunStart {
    let unnamed = |role: &Role| (None, *role);
    RunStart {
        schema_version: event::SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: setup.run_id.clone(),
        started: event::to_the_microsecond(started),
        server: setup.server.clone(),
        sandbox: setup.sandbox.clone(),
        protocol: plan.protocol,
        certificates_verified: setup.tls.then_some(!setup.insecure),
        mode: plan.mode,
        threads: plan.workers.len(),
        seed: Some(plan.seed),
        asked: Some(plan.asked),
        mix: Some(plan.mix.to_string()),
        mailboxes: plan.mailboxes.clone(),
        max_connections: setup.max_connections,
        lock: plan.lock,
        workers: Stretches::of(plan.workers.iter().map(unnamed)),
        executor: plan.executor,
        dispose: plan.dispose,
        tasks: Stretches::of(plan.tasks.iter().map(unnamed)),
        switches: plan.switches.clone(),
        scripted: false,
        witnessed,
        probe: None,
    }
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

/// Collects while the workers work. An interrupted run gets [`GRACE`] to sign out; then its sockets are shut down, which
/// ends every call that is still waiting for the server.
fn collect_until_gone(context: &Context, connector: &MailConnector, collected: &mut Collected<'_, '_>) {
    let mut shut_down = false;
    while !context.barrier.all_gone(TICK) {
        collected.take(&context.recorder);
        if let Some(when) = context.control.interrupted()
            && !shut_down
        {
            context.recorder.lift();
            context.barrier.release();
            context.client.clone().close(when + GRACE);
            connector.cancel();
            shut_down = true;
        }
    }
}

/// As long as somebody collects, what waits to be collected has a bound; a collector that panics leaves nobody waiting.
struct Bound<'a>(&'a Recorder);

impl Drop for Bound<'_> {
    fn drop(&mut self) {
        self.0.lift();
    }
}
