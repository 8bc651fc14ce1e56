//! Runs a scenario: gives each thread its step when the line is reached, waits for the result, and has it judged.

use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::client::run_start;
use super::context::{Context, Shared};
use super::faults::Faults;
use super::script::{ClientPlan, Expected, Script, Step, StepKind, ThreadStep};
use super::stream::{Audience, Seen, Stream};
use super::thread::{Response, noted};
use super::thread_states::Begun;
use super::threads::Threads;
use super::told::expected_and_happened;
use crate::event::{self, Action, Did, Expectation, Independent, Policy, ScenarioEnd, ScenarioStart};
use crate::judge::expectations::Evaluation;
use crate::protocol::{MailConnector, Stationery};
use crate::workload::{Control, GRACE, RunError};

/// How often a wait checks for an interruption, and collects what was recorded.
const TICK: Duration = Duration::from_millis(50);
/// An action may take its client's deadlines together, and this much more.
const MARGIN: Duration = Duration::from_secs(5);
/// How long closing a client may take.
pub(super) const CLOSE: Duration = Duration::from_secs(5);
/// A thread that ends signs out within a second (D3); a busy machine may take longer to run it.
const EXIT: Duration = Duration::from_secs(5);
/// How long the server may take to notice that a connection was closed.
const SETTLING: Duration = Duration::from_secs(2);

/// What a scenario is performed on.
pub struct Setup<'a> {
    /// The server's name in reports.
    pub server: String,
    /// Certificates are not verified, as was asked for.
    pub insecure: bool,
    /// The server is spoken to under TLS.
    pub tls: bool,
    /// Names the runs: the first client's; the others' follow from it. 12 hexadecimal digits.
    pub run_id: String,
    /// When it begins: every time counts from here.
    pub clock: Instant,
    /// The same by the wall clock.
    pub started: SystemTime,
    /// Makes a client's connector.
    pub connector: &'a dyn Fn(&ClientSetup<'_>) -> MailConnector,
    /// How long a dial may take.
    pub connect_timeout: Duration,
    /// How long an operation may take.
    pub operation_timeout: Duration,
    /// How long an operation may wait for its connection.
    pub wait_timeout: Duration,
    /// What `send` is to send; a scenario may have such steps only with it.
    pub letters: Option<Stationery>,
    /// The server, where it can be told to misbehave.
    pub faults: Option<&'a dyn Faults>,
}

/// How one client is to reach the server.
#[derive(Clone, Copy, Debug)]
pub struct ClientSetup<'a> {
    /// Names its run in labels.
    pub run_id: &'a str,
    /// Whom it signs in as, if not as the server's usual user.
    pub user: Option<&'a str>,
    /// It signs in with a password that is not the right one.
    pub wrong_password: bool,
    /// How long a dial may take.
    pub connect_timeout: Duration,
    /// How long an operation may take.
    pub operation_timeout: Duration,
}

/// A scenario whose threads have ended and whose clients are closed.
pub struct Performed<'a> {
    stream: Stream<'a>,
    /// Steps that speak of findings: they are judged when all is over.
    findings: Vec<event::Step>,
    interrupted: Option<i32>,
}

/// Performs the scenario to its end, or until `control` interrupts it; `audience` hears of all that happens. Every thread has
/// ended when it returns, and every connection is closed.
///
/// # Errors
/// The threads could not all be started, or a client's start is longer than a line; then nothing was dialled.
pub fn perform<'a>(
    script: &Script,
    setup: &Setup<'_>,
    control: &Arc<Control>,
    audience: &'a mut Audience<'a>,
) -> Result<Performed<'a>, RunError> {
    script.clients.iter().try_for_each(|plan| run_start(script, setup, plan, &setup.run_id).fits(Some(&plan.name)))?;
    let context = Arc::new(Context::new(script, setup.letters.clone(), control));
    let threads = Threads::start(&context)?;
    let start = ScenarioStart {
        schema_version: event::SCHEMA_VERSION,
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        started: setup.started,
        name: script.name.clone(),
        server: setup.server.clone(),
        protocol: script.protocol,
    };
    let mut interpreter = Interpreter {
        setup,
        patience: script.clients.iter().map(|plan| patience(plan, setup)).max().unwrap_or(MARGIN),
        context: &context,
        threads,
        begun: HashMap::new(),
        lost: false,
        stream: Stream::begin(start, script.clients.len(), audience),
        findings: Vec::new(),
    };
    for step in &script.steps {
        if interpreter.lost || control.interrupted().is_some() {
            break;
        }
        interpreter.perform(step);
    }
    Ok(interpreter.end())
}

/// How long one action may take: the sum of the deadlines that can apply to it.
fn patience(plan: &ClientPlan, setup: &Setup<'_>) -> Duration {
    plan.connect_timeout.unwrap_or(setup.connect_timeout)
        + plan.operation_timeout.unwrap_or(setup.operation_timeout)
        + plan.wait_timeout.unwrap_or(setup.wait_timeout)
        + CLOSE
        + MARGIN
}

impl Performed<'_> {
    /// Whether every step held so far.
    #[must_use]
    pub const fn held(&self) -> bool {
        self.stream.steps().failed == 0
    }

    /// What it comes to, with what the server saw, by that policy.
    #[must_use]
    pub fn end(mut self, seen: Vec<Seen>, judged_by: Policy) -> ScenarioEnd {
        self.stream.end_clients(seen, &judged_by);
        let at = self.stream.ended();
        // What was cut short has not come to what was to be found.
        for step in self.findings.into_iter().filter(|_| self.interrupted.is_none()) {
            let step = judged(&mut self.stream, step, None, &[]);
            self.stream.done(at, step);
        }
        self.stream.end(self.interrupted, judged_by)
    }
}

pub(super) struct Interpreter<'a, 's> {
    pub(super) setup: &'a Setup<'a>,
    /// How long any action may take.
    patience: Duration,
    pub(super) context: &'a Arc<Context>,
    threads: Threads,
    /// What each thread began and has not finished.
    begun: HashMap<usize, usize>,
    /// A thread did not answer in time: the scenario ends here.
    lost: bool,
    pub(super) stream: Stream<'s>,
    findings: Vec<event::Step>,
}

/// The result of a step that the interpreter did itself.
pub(super) struct Outcome {
    did: Option<String>,
    /// What was expected and what happened, if they differ.
    failed: Option<(String, String)>,
}

impl Outcome {
    pub(super) fn noted(text: impl Into<String>) -> Self {
        Self { did: Some(text.into()), failed: None }
    }

    pub(super) fn failed(expected: impl Into<String>, happened: impl Into<String>) -> Self {
        Self { did: None, failed: Some((expected.into(), happened.into())) }
    }

    /// The same; failed unless it held.
    pub(super) fn unless(self, held: bool, expected: &str, happened: impl Into<String>) -> Self {
        Self { failed: (!held).then(|| (expected.to_owned(), happened.into())), ..self }
    }
}

impl<'s> Interpreter<'_, 's> {
    fn perform(&mut self, step: &Step) {
        let (at, began) = (self.setup.clock.elapsed(), Instant::now());
        let outcome = match &step.kind {
            StepKind::Thread(thread) => {
                let number = self.request(thread);
                return self.finish(step, at, number, thread.expected.as_ref());
            }
            StepKind::Finish { thread, expected } => {
                let number = self.begun.remove(thread);
                return self.finish(step, at, number, expected.as_ref());
            }
            StepKind::Parallel(steps) => return self.parallel(steps),
            StepKind::Expect(expectation) => return self.expect(step, at, expectation),
            StepKind::Named(text) => Outcome::noted(text),
            StepKind::MakeClient(client) => self.make(*client),
            StepKind::Begin(thread) => self.begin(thread),
            StepKind::SetMode { clients, mode } => self.set_mode(clients, *mode),
            StepKind::Exit { thread } => self.exit(*thread),
            StepKind::Close { client } => self.close(*client),
            StepKind::Drop { client } => self.let_go_of(*client),
            StepKind::Pause(pause) => {
                self.context.control.rest(*pause);
                Outcome::noted("")
            }
            StepKind::Fault(fault) => self.inject(fault),
        };
        self.did(step, at, began.elapsed(), outcome);
    }

    /// Tells a step that the interpreter did itself; no expectation is evaluated.
    fn did(&mut self, step: &Step, at: Duration, took: Duration, outcome: Outcome) {
        let did = outcome.did.map(|text| Action { client: None, did: noted(text) });
        let mut step = event::Step { took_us: took.into(), did: did.into_iter().collect(), ..self.event_of(step) };
        (step.expected, step.happened) = outcome.failed.unzip();
        step.held = step.happened.is_none();
        self.stream.done(at.into(), step);
    }

    /// The step's event, before it was done.
    fn event_of(&self, step: &Step) -> event::Step {
        let (thread, task) = match &step.kind {
            StepKind::Thread(step) | StepKind::Begin(step) => (Some(step.thread), step.task),
            StepKind::Finish { thread, .. } | StepKind::Exit { thread } => (Some(*thread), None),
            _ => (None, None),
        };
        let script = &self.context.script;
        event::Step {
            line: step.line,
            text: step.text.clone(),
            thread: thread.and_then(|thread| script.threads.get(thread).cloned()),
            task: task.and_then(|task| script.tasks.get(task as usize).cloned()),
            took_us: Duration::ZERO.into(),
            held: true,
            expected: None,
            happened: None,
            did: Vec::new(),
            expectation: None,
            events_before: None,
        }
    }

    /// Gives a thread its step; the response has that number.
    fn request(&mut self, step: &ThreadStep) -> Option<usize> {
        let number = self.threads.request(step, self.patience);
        self.lost |= number.is_none();
        number
    }

    /// Waits for the response; none if it did not come in time, or the scenario was interrupted.
    fn response(&mut self, number: usize) -> Option<Response> {
        // It may come after all the others.
        let by = Instant::now() + self.threads.allowed();
        loop {
            match self.threads.response(number, TICK) {
                Ok(response) => return Some(response),
                Err(RecvTimeoutError::Timeout)
                    if Instant::now() < by && self.context.control.interrupted().is_none() =>
                {
                    self.stream.collect();
                }
                Err(_) => return None,
            }
        }
    }

    /// Waits for the response to a thread's step, and has it judged.
    fn finish(&mut self, step: &Step, at: Duration, number: Option<usize>, expected: Option<&Expected>) {
        let Some(response) = number.and_then(|number| self.response(number)) else {
            if self.context.control.interrupted().is_none() {
                self.lost = true;
                let waited = self.setup.clock.elapsed().saturating_sub(at);
                let outcome = Outcome::failed("an answer", format!("no answer within {waited:.1?}"));
                self.did(step, at, waited, outcome);
            }
            return;
        };
        let Response { did, names, took, .. } = response;
        let expectation = expected.map_or(Expectation::Success, |expected| expected.expectation.clone());
        let step = event::Step { took_us: took.into(), did, expectation: Some(expectation), ..self.event_of(step) };
        let step = judged(&mut self.stream, step, expected.map(|expected| &*expected.text), &names);
        self.stream.done(at.into(), step);
    }

    /// Gives each thread its steps before it waits for any.
    fn parallel(&mut self, steps: &[Step]) {
        let at = self.setup.clock.elapsed();
        let threads = steps.iter().filter_map(|step| match &step.kind {
            StepKind::Thread(thread) => Some((step, thread)),
            _ => None,
        });
        let requested: Vec<_> =
            threads.map(|(step, thread)| (step, self.request(thread), thread.expected.as_ref())).collect();
        for (step, number, expected) in requested {
            if !self.lost {
                self.finish(step, at, number, expected);
            }
        }
    }

    fn begin(&mut self, step: &ThreadStep) -> Outcome {
        self.context.thread_states.starts(step.thread);
        let begun = Outcome::noted("begun");
        let Some(number) = self.request(step) else { return begun };
        self.begun.insert(step.thread, number);
        let has_begun = self.has_begun(step.thread, number);
        begun.unless(has_begun, "an answer", format!("it had not begun within {:.1?}", self.patience))
    }

    /// Waits until that thread has its connection or is on the way to it, in line or dialling: what the next line does
    /// comes after that. False if it did not come so far in time.
    fn has_begun(&mut self, thread: usize, number: usize) -> bool {
        let by = Instant::now() + self.patience;
        loop {
            let come = match self.context.thread_states.begun(thread) {
                Begun::No => false,
                Begun::Yes => true,
                // Each that asks stands in line or dials, and nobody moved meanwhile: so does this one. From the line one
                // comes to the dial, so that dials are counted first, and none twice.
                Begun::Waiting { client, together, changes } => self.context.client(client).is_some_and(|shared| {
                    let dialling = shared.recorder.dialling.load(Ordering::SeqCst);
                    // A thread that asks a client which was dropped is known to have begun before.
                    let waiting = shared.client().map_or(together, |client| client.waiting());
                    dialling + waiting >= together && self.context.thread_states.stood_still(changes)
                }),
            };
            if come || self.threads.has_responded(number) || self.context.control.interrupted().is_some() {
                return true;
            }
            if Instant::now() >= by {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn exit(&mut self, thread: usize) -> Outcome {
        let in_time = self.threads.exit(thread, Instant::now() + EXIT);
        Outcome::noted("ended").unless(in_time, "the thread's end", format!("it took longer than {EXIT:.1?}"))
    }

    fn expect(&mut self, step: &Step, at: Duration, expectation: &Expectation) {
        let began = Instant::now();
        let mut step = self.event_of(step);
        match expectation {
            Expectation::Finding { .. } | Expectation::NoFindings => {
                self.findings.push(event::Step { expectation: Some(expectation.clone()), ..step });
                return;
            }
            Expectation::Sessions { open } => {
                let sessions = self.counted(*open).map(|sessions| Did::Counted { sessions });
                step.did = sessions.into_iter().map(|did| Action { client: None, did }).collect();
            }
            _ => {}
        }
        step.expectation = Some(self.with_all_independent(expectation));
        let mut step = judged(&mut self.stream, step, None, &[]);
        step.took_us = began.elapsed().into();
        self.stream.done(at.into(), step);
    }

    /// What is expected to be open, with every independent connection of the client that there is by now.
    fn with_all_independent(&self, expectation: &Expectation) -> Expectation {
        let mut expectation = expectation.clone();
        if let Expectation::Open { client, independent, .. } = &mut expectation {
            let named = |plan: &ClientPlan| plan.name == *client;
            let number = self.context.script.clients.iter().position(named).unwrap_or_default();
            for (name, connection) in self.context.independent(number) {
                let connection = Some(connection);
                match independent.iter_mut().find(|it| it.name == name) {
                    Some(known) => known.connection = connection,
                    None => independent.push(Independent { name: name.to_owned(), connection, open: false }),
                }
            }
            let order = |name: &str| self.context.script.connections.iter().position(|other| other == name);
            independent.sort_by_key(|it| order(&it.name));
        }
        expectation
    }

    /// How many sessions the server has open, where it can be asked: it is given a moment to come to what is expected.
    fn counted(&self, expected: usize) -> Option<usize> {
        let server = self.setup.faults?;
        let by = Instant::now() + SETTLING;
        while server.open_sessions() != expected && Instant::now() < by {
            thread::sleep(Duration::from_millis(2));
        }
        Some(server.open_sessions())
    }

    /// Lets nothing wait for a server any longer. An interrupted scenario signs out first, as long as an interrupted run may.
    fn hurry(&mut self) {
        let clients: Vec<&Shared> = self.context.clients.iter().filter_map(OnceLock::get).collect();
        clients.iter().for_each(|shared| shared.recorder.lift());
        if let (false, Some(when)) = (self.lost, self.context.control.interrupted()) {
            // What a thread keeps is free once the thread is told that it has nothing more to do.
            self.threads.dismiss_all();
            thread::scope(|scope| {
                for client in clients.iter().filter_map(|shared| shared.client()) {
                    let close = move || client.close(when + GRACE);
                    // Without a thread to close it, it is cut off.
                    let _ = thread::Builder::new().name("close".to_owned()).spawn_scoped(scope, close);
                }
            });
        }
        clients.iter().for_each(|shared| shared.connector.cancel());
    }

    /// Ends every thread, and closes every client.
    fn end(mut self) -> Performed<'s> {
        if self.lost || self.context.control.interrupted().is_some() {
            self.hurry();
        }
        self.threads.join_all();
        self.context.end_tasks();
        let interrupted = self.context.control.signal();
        for number in 0..self.context.clients.len() {
            let Some(shared) = self.context.client(number) else { continue };
            let open = shared.client().map(|client| client.close(Instant::now() + CLOSE));
            self.stream.close(number, interrupted, open);
        }
        Performed { stream: self.stream, findings: self.findings, interrupted }
    }
}

/// The step with what it came to, in words. `written` is what was expected of it, `names` its actions.
fn judged(stream: &mut Stream<'_>, mut step: event::Step, written: Option<&str>, names: &[&str]) -> event::Step {
    let Some(came) = stream.evaluate(&step) else { return step };
    if let (Evaluation::State { found, .. }, true) = (&came, step.did.is_empty()) {
        step.did.push(Action { client: None, did: noted(found.clone()) });
    }
    step.held = came.held();
    (step.expected, step.happened) = expected_and_happened(came, &step.did, written, names);
    step
}
