//! Runs a scenario: tells each thread its next step when its line is reached, waits for what comes of it, and judges that.

mod expectations;
mod ledger;

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use self::ledger::open;
use super::asking::{Asking, Come};
use super::lane::{Floor, Order, Report, Room, work};
use super::script::{Act, ClientPlan, Cut, Deed, Expectation, Expected, LaneStep, Script, ServerDeed, Step, Victim};
use crate::allocator::{Client, Mode};
use crate::event::{
    self, Dispose, Ending, Event, Executor, Lock, Role, RunStart, TaskId, TaskRole, WorkerId, WorkerRole,
};
use crate::protocol::{FailureKind, MailConnector, Protocol, Stationery};
use crate::record::{Did, FindingExpected, Run, Scenario, StepDone};
use crate::workload::{Control, Reach, Recorder, Recording, RunError};

/// Whoever waits looks around this often for an interruption.
const TICK: Duration = Duration::from_millis(50);
/// An action may take as long as its client's own deadlines together, and this much more.
const MARGIN: Duration = Duration::from_secs(5);
/// How long closing a client may take.
const CLOSE: Duration = Duration::from_secs(5);
/// A thread that ends signs out within a second (D3); a busy machine may take longer to run it.
const EXIT: Duration = Duration::from_secs(5);
/// So many steps of one thread wait in a parallel block; more than a file has lines.
const QUEUE: usize = 2048;

/// A server that can be told to misbehave: the sandbox. A session is known by the client's port.
pub trait Provocateur {
    /// Cuts the session's connection; false if there is none.
    fn cut(&self, port: u16, how: Cut) -> bool;
    /// The session says nothing more, or goes on; false if there is none.
    fn stall(&self, port: u16, stalled: bool) -> bool;
    /// The session says goodbye with that text, and ends; false if there is none.
    fn goodbye(&self, port: u16, text: &str) -> bool;
    /// New connections are refused, or taken again.
    fn refuse_connections(&self, refuse: bool);
    /// The limit on connections, from now on.
    fn limit(&self, connections: Option<usize>);
    /// Every reply is so late from now on.
    fn delay(&self, by: Duration);
    /// A POP3 session has its maildrop to itself, from the next one on, or shares it.
    fn lock_maildrops(&self, lock: bool);
    /// How many sessions the server has open now.
    fn open_sessions(&self) -> usize;
}

/// What a scenario is performed on.
pub struct Stage<'a> {
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
    /// Makes a client's connector.
    pub connector: &'a dyn Fn(&Dialling<'_>) -> MailConnector,
    /// How long a dial may take.
    pub connect_timeout: Duration,
    /// How long an operation may take.
    pub operation_timeout: Duration,
    /// How long an operation may wait for its connection.
    pub wait_timeout: Duration,
    /// What `send` is to send; a scenario may have such steps only with it.
    pub letters: Option<Stationery>,
    /// The server, where it can be told to misbehave.
    pub provocateur: Option<&'a dyn Provocateur>,
}

/// How one client is to reach the server.
#[derive(Clone, Copy, Debug)]
pub struct Dialling<'a> {
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

/// Performs the scenario to its end, or until `control` interrupts it; `told` hears of each step when it is done. Every
/// thread has ended when it returns, and every connection is closed.
///
/// # Errors
/// The threads could not all be started; then nothing was dialled.
pub fn perform(
    script: &Script,
    stage: &Stage<'_>,
    control: &Arc<Control>,
    told: &mut dyn FnMut(&StepDone),
) -> Result<Scenario, RunError> {
    let floor = Arc::new(Floor {
        clients: script.clients.iter().map(|_| OnceLock::new()).collect(),
        connections: script.connections.iter().map(|_| Mutex::default()).collect(),
        selected: Mutex::default(),
        tasks: Mutex::default(),
        asking: Asking::new(script.threads.len()),
        letters: stage.letters.clone(),
        control: Arc::clone(control),
        script: script.clone(),
    });
    let (lanes, reports) = Lanes::start(&floor)?;
    let mut conductor = Conductor {
        stage,
        patience: script.clients.iter().map(|plan| patience(plan, stage)).max().unwrap_or(MARGIN),
        floor: &floor,
        lanes,
        reports,
        arrived: HashMap::new(),
        given: 0,
        allowed: HashMap::new(),
        begun: HashMap::new(),
        events: script.clients.iter().map(|_| Vec::new()).collect(),
        lost: false,
        steps: Vec::new(),
        findings: Vec::new(),
        told,
    };
    for step in &floor.script.steps {
        if conductor.lost || control.interrupted().is_some() {
            break;
        }
        conductor.perform(step);
    }
    Ok(conductor.end())
}

/// How long one action may take: whatever it does has deadlines, and these are all of them.
fn patience(plan: &ClientPlan, stage: &Stage<'_>) -> Duration {
    plan.connect_timeout.unwrap_or(stage.connect_timeout)
        + plan.operation_timeout.unwrap_or(stage.operation_timeout)
        + plan.wait_timeout.unwrap_or(stage.wait_timeout)
        + CLOSE
        + MARGIN
}

/// A scenario's threads.
struct Lanes(Vec<Option<Lane>>);

struct Lane {
    orders: SyncSender<Order>,
    thread: JoinHandle<()>,
}

impl Lanes {
    fn start(floor: &Arc<Floor>) -> Result<(Self, Receiver<Report>), RunError> {
        let (reports, receiver) = channel();
        let mut lanes = Self(Vec::new());
        let names = &floor.script.threads;
        for (number, name) in names.iter().enumerate() {
            let (orders, taken) = sync_channel(QUEUE);
            let (floor, reports) = (Arc::clone(floor), reports.clone());
            let thread =
                thread::Builder::new().name(name.clone()).spawn(move || work(&floor, number, &taken, &reports));
            match thread {
                Ok(thread) => lanes.0.push(Some(Lane { orders, thread })),
                Err(source) => {
                    let started = lanes.0.len();
                    lanes.join_all();
                    return Err(RunError::Threads { started, asked: names.len(), source });
                }
            }
        }
        Ok((lanes, receiver))
    }

    /// Ends one thread: nobody can tell it anything any more. True if it was joined in time.
    fn exit(&mut self, number: usize, by: Instant) -> bool {
        let Some(Lane { orders, thread }) = self.0.get_mut(number).and_then(Option::take) else { return true };
        drop(orders);
        while !thread.is_finished() && Instant::now() < by {
            thread::sleep(Duration::from_millis(1));
        }
        let in_time = thread.is_finished();
        // Its own variables are gone only then. A panic of its own was caught, and told, where it happened.
        let _ = thread.join();
        in_time
    }

    fn join_all(&mut self) {
        let all: Vec<Lane> = self.0.iter_mut().filter_map(Option::take).collect();
        let threads: Vec<JoinHandle<()>> = all.into_iter().map(|lane| lane.thread).collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

struct Conductor<'a> {
    stage: &'a Stage<'a>,
    /// How long any action may take.
    patience: Duration,
    floor: &'a Arc<Floor>,
    lanes: Lanes,
    reports: Receiver<Report>,
    /// Reports that nobody has asked for yet.
    arrived: HashMap<usize, Report>,
    /// Orders given so far: the next one's number.
    given: usize,
    /// How long each order may take that has not been reported.
    allowed: HashMap<usize, Duration>,
    /// What each thread began and has not finished.
    begun: HashMap<usize, usize>,
    /// What each client's recorder held so far.
    events: Vec<Vec<Event>>,
    /// A thread did not answer in time: nothing is known any more.
    lost: bool,
    steps: Vec<StepDone>,
    findings: Vec<FindingExpected>,
    told: &'a mut dyn FnMut(&StepDone),
}

impl Conductor<'_> {
    fn perform(&mut self, step: &Step) {
        let (at, began) = (self.stage.clock.elapsed(), Instant::now());
        let (did, judged) = match &step.deed {
            Deed::Named(text) => (vec![Did::Noted(text.clone())], Judged::held()),
            Deed::MakeClient(client) => (vec![Did::Noted(self.make(*client))], Judged::held()),
            Deed::Lane(lane) => {
                let number = self.order(lane);
                return self.finish(step, at, number, lane.expected.as_ref());
            }
            Deed::Begin(lane) => {
                self.floor.asking.told(lane.thread);
                let number = self.order(lane);
                self.begun.insert(lane.thread, number);
                let judged = match self.has_begun(lane.thread, number) {
                    true => Judged::held(),
                    false => Judged::not("an answer", format!("it had not begun within {:.1?}", self.patience)),
                };
                (vec![Did::Noted("begun".to_owned())], judged)
            }
            Deed::Finish { thread, expected } => {
                let number = self.begun.remove(thread).unwrap_or(usize::MAX);
                return self.finish(step, at, number, expected.as_ref());
            }
            Deed::Parallel(steps) => return self.parallel(steps),
            Deed::SetMode { clients, mode } => (vec![Did::Noted(self.set_mode(clients, *mode))], Judged::held()),
            Deed::Exit { thread } => self.exit(*thread),
            Deed::Close { client } => self.close(*client),
            Deed::Drop { client } => self.let_go_of(*client),
            Deed::Pause(pause) => {
                self.floor.control.rest(*pause);
                (vec![Did::Noted(String::new())], Judged::held())
            }
            Deed::Server(deed) => self.provoke(deed),
            Deed::Expect(Expectation::Finding { id, there }) => {
                let (id, there) = (Some(id.clone()), *there);
                self.findings.push(FindingExpected { line: step.line, text: step.text.clone(), id, there });
                return;
            }
            Deed::Expect(Expectation::NoFindings) => {
                let (line, text) = (step.line, step.text.clone());
                self.findings.push(FindingExpected { line, text, id: None, there: false });
                return;
            }
            Deed::Expect(expectation) => self.expect(expectation),
        };
        self.done(step, at, began.elapsed(), (did, Vec::new()), judged);
    }

    fn done(
        &mut self,
        step: &Step,
        at: Duration,
        took: Duration,
        (did, whose): (Vec<Did>, Vec<Option<String>>),
        judged: Judged,
    ) {
        let Judged { expected, instead } = judged;
        let (thread, task) = match &step.deed {
            Deed::Lane(lane) | Deed::Begin(lane) => (Some(lane.thread), lane.task),
            Deed::Finish { thread, .. } | Deed::Exit { thread } => (Some(*thread), None),
            _ => (None, None),
        };
        let script = &self.floor.script;
        let thread = thread.and_then(|thread| script.threads.get(thread).cloned());
        let task = task.and_then(|task| script.tasks.get(task as usize).cloned());
        let (line, text) = (step.line, step.text.clone());
        let done = StepDone { line, text, thread, task, at, took, did, whose, expected, instead };
        (self.told)(&done);
        self.steps.push(done);
    }

    /// Gives a thread its step; what comes of it is known by that number.
    fn order(&mut self, step: &LaneStep) -> usize {
        let number = self.given;
        self.given += 1;
        let allowed = step.actions.iter().map(|action| match action.what {
            Act::Pause(pause) => pause,
            _ => self.patience,
        });
        self.allowed.insert(number, allowed.sum::<Duration>().max(self.patience));
        if let Some(Some(lane)) = self.lanes.0.get(step.thread) {
            // A thread that is gone is found missing when its report is waited for.
            let given = lane.orders.try_send(Order { number, step: step.clone() });
            self.lost |= matches!(given, Err(TrySendError::Full(_)));
        }
        number
    }

    /// Waits for a report; none if it did not come in time, or the scenario was interrupted.
    fn report(&mut self, number: usize) -> Option<Report> {
        // It may stand behind all the others.
        let by = Instant::now() + self.allowed.values().sum::<Duration>();
        loop {
            if let Some(report) = self.arrived.remove(&number) {
                return Some(report);
            }
            match self.reports.recv_timeout(TICK) {
                Ok(report) => {
                    self.allowed.remove(&report.number);
                    self.arrived.insert(report.number, report);
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() < by && self.floor.control.interrupted().is_none() => {
                }
                Err(_) => return None,
            }
        }
    }

    /// Waits until that thread has its connection or is on the way to it, in line or dialling: what the next line does
    /// comes after that. False if it did not come so far in time.
    fn has_begun(&mut self, thread: usize, number: usize) -> bool {
        let by = Instant::now() + self.patience;
        loop {
            while let Ok(report) = self.reports.try_recv() {
                self.allowed.remove(&report.number);
                self.arrived.insert(report.number, report);
            }
            let come = match self.floor.asking.come(thread) {
                Come::No => false,
                Come::Yes => true,
                // Each that asks stands in line or dials, and nobody moved meanwhile: so does this one. From the line one
                // comes to the dial, so that dials are counted first, and none twice.
                Come::Asks { client, together, changes } => self.room(client).is_some_and(|room| {
                    let dialling = room.recorder.dialling.load(Ordering::SeqCst);
                    // A thread that asks a client which was dropped is known to have begun before.
                    let waiting = room.client().map_or(together, |client| client.waiting());
                    dialling + waiting >= together && self.floor.asking.stood_still(changes)
                }),
            };
            if come || self.arrived.contains_key(&number) || self.floor.control.interrupted().is_some() {
                return true;
            }
            if Instant::now() >= by {
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits for what comes of a step, judges it and tells of it.
    fn finish(&mut self, step: &Step, at: Duration, number: usize, expected: Option<&Expected>) {
        let Some(report) = self.report(number) else {
            if self.floor.control.interrupted().is_none() {
                self.lost = true;
                let waited = self.stage.clock.elapsed().saturating_sub(at);
                let judged = Judged::not("an answer", format!("no answer within {waited:.1?}"));
                self.done(step, at, waited, (Vec::new(), Vec::new()), judged);
            }
            return;
        };
        let whose: Vec<Option<String>> = report.clients.iter().map(|client| self.floor.script.whose(*client)).collect();
        let judged = self.judge(&report, &whose, expected);
        self.done(step, at, report.took, (report.did, whose), judged);
    }

    /// All at once: each thread has its steps before any is waited for.
    fn parallel(&mut self, steps: &[Step]) {
        let at = self.stage.clock.elapsed();
        let lanes = steps.iter().filter_map(|step| match &step.deed {
            Deed::Lane(lane) => Some((step, lane)),
            _ => None,
        });
        let given: Vec<(&Step, usize, Option<&Expected>)> =
            lanes.map(|(step, lane)| (step, self.order(lane), lane.expected.as_ref())).collect();
        for (step, number, expected) in given {
            if !self.lost {
                self.finish(step, at, number, expected);
            }
        }
    }

    fn make(&mut self, number: usize) -> String {
        let Some(plan) = self.floor.script.clients.get(number) else { return String::new() };
        let run_id = self.run_id(number);
        let connector = Arc::new((self.stage.connector)(&Dialling {
            run_id: &run_id,
            user: plan.user.as_deref(),
            wrong_password: plan.wrong_password,
            connect_timeout: plan.connect_timeout.unwrap_or(self.stage.connect_timeout),
            operation_timeout: plan.operation_timeout.unwrap_or(self.stage.operation_timeout),
        }));
        let recorder = Arc::new(Recorder::new(self.stage.clock, self.start(plan, &run_id)));
        let recording = Recording {
            connector: Arc::clone(&connector),
            recorder: Arc::clone(&recorder),
            reach: Reach::of_a_script(),
        };
        let builder = Client::builder(recording)
            .mode(plan.mode)
            .lease_timeout(plan.wait_timeout.unwrap_or(self.stage.wait_timeout))
            .observer(Arc::clone(&recorder));
        let client = match plan.max_connections {
            Some(max) => builder.max_connections(max),
            None => builder,
        }
        .build();
        if let Some(place) = self.floor.clients.get(number) {
            // Each client has one line.
            let _ = place.set(Room {
                client: Mutex::new(Some(client)),
                recorder,
                connector,
                held: AtomicUsize::new(0),
                users: AtomicUsize::new(0),
            });
        }
        String::new()
    }

    /// Each client is a run of its own, so that servers and the verdict can tell them apart.
    fn run_id(&self, client: usize) -> String {
        if client == 0 {
            return self.stage.run_id.clone();
        }
        let first = u64::from_str_radix(&self.stage.run_id, 16).unwrap_or_default();
        format!("{:012x}", first.wrapping_add(client as u64) & ((1 << 48) - 1))
    }

    fn room(&self, client: usize) -> Option<&Room> {
        self.floor.clients.get(client)?.get()
    }

    fn set_mode(&self, clients: &[usize], mode: Mode) -> String {
        let rooms = clients.iter().filter_map(|client| self.room(*client));
        rooms.filter_map(Room::client).for_each(|client| client.set_mode(mode));
        mode.to_string()
    }

    fn exit(&mut self, thread: usize) -> (Vec<Did>, Judged) {
        let in_time = self.lanes.exit(thread, Instant::now() + EXIT);
        let judged = if in_time {
            Judged::held()
        } else {
            Judged::not("the thread's end", format!("it took longer than {EXIT:.1?}"))
        };
        (vec![Did::Noted("ended".to_owned())], judged)
    }

    fn close(&mut self, client: usize) -> (Vec<Did>, Judged) {
        let found = self.room(client).and_then(|room| Some((room, room.client()?)));
        let Some((room, client)) = found else { return (vec![Did::Nothing], Judged::held()) };
        let held = room.held.load(Ordering::SeqCst);
        // What a thread keeps is closed when it lets go: there is nothing to wait for.
        let patience = if held > 0 { Duration::from_millis(200) } else { CLOSE };
        let open = client.close(Instant::now() + patience);
        let text = match open {
            0 => "closed".to_owned(),
            open => format!("closed but for {open} in use"),
        };
        let judged = if open <= held { Judged::held() } else { Judged::not("all closed", text.clone()) };
        (vec![Did::Noted(text)], judged)
    }

    /// Whoever uses it then is its last holder; if nobody does, this closes it.
    fn let_go_of(&mut self, client: usize) -> (Vec<Did>, Judged) {
        let Some(room) = self.room(client) else { return (vec![Did::Nothing], Judged::held()) };
        let mine = room.let_go();
        let (held, users) = (room.held.load(Ordering::SeqCst), room.users.load(Ordering::SeqCst));
        drop(mine);
        let open = open(self.events(client)).len();
        let (text, holds) = match open {
            _ if users > 0 => ("let go; a thread holds it still".to_owned(), true),
            0 => ("let go, and closed".to_owned(), true),
            open => (format!("let go, and closed but for {open} in use"), open <= held),
        };
        let judged = if holds { Judged::held() } else { Judged::not("all closed", text.clone()) };
        (vec![Did::Noted(text)], judged)
    }

    fn provoke(&mut self, deed: &ServerDeed) -> (Vec<Did>, Judged) {
        let Some(server) = self.stage.provocateur else {
            return (Vec::new(), Judged::not("the sandbox", "a real server, which cannot be told to"));
        };
        let on = |conductor: &mut Self, victim: &Victim, act: &dyn Fn(u16) -> bool| match conductor.port_of(victim) {
            Some((session, port)) if act(port) => {
                let whose =
                    conductor.floor.script.whose(victim.client).map_or_else(String::new, |name| format!("{name} "));
                (vec![Did::Noted(format!("{whose}{session}, port {port}"))], Judged::held())
            }
            Some((session, _)) => {
                (Vec::new(), Judged::not("an open session", format!("the server has closed {session}")))
            }
            None => (Vec::new(), Judged::not("an open session", "none is open there")),
        };
        match deed {
            ServerDeed::Cut { victim, by } => on(self, victim, &|port| server.cut(port, *by)),
            ServerDeed::Stall { victim, stalled } => on(self, victim, &|port| server.stall(port, *stalled)),
            ServerDeed::Bye { victim, text } => on(self, victim, &|port| server.goodbye(port, text)),
            ServerDeed::Refuse(refuse) => {
                server.refuse_connections(*refuse);
                (vec![Did::Noted(String::new())], Judged::held())
            }
            ServerDeed::Limit(limit) => {
                server.limit(*limit);
                // Whoever signs in is known by name; by SMTP the limit comes before that.
                let each = if self.floor.script.protocol == Protocol::Smtp { "address" } else { "user" };
                let whose = limit.map_or_else(String::new, |limit| format!("{limit} for each {each}"));
                (vec![Did::Noted(whose)], Judged::held())
            }
            ServerDeed::Delay(by) => {
                server.delay(*by);
                (vec![Did::Noted(String::new())], Judged::held())
            }
            ServerDeed::LockMaildrops(lock) => {
                server.lock_maildrops(*lock);
                (vec![Did::Noted(String::new())], Judged::held())
            }
        }
    }

    /// Ends every thread, closes every client, and hands over what there is.
    fn end(mut self) -> Scenario {
        if self.lost || self.floor.control.interrupted().is_some() {
            // Whatever waits for a server waits no longer.
            for room in self.floor.clients.iter().filter_map(OnceLock::get) {
                room.recorder.lift();
                room.connector.cancel();
            }
        }
        self.lanes.join_all();
        self.floor.end_tasks();
        let interrupted = self.floor.control.signal();
        let mut clients = Vec::new();
        for (number, plan) in self.floor.script.clients.iter().enumerate() {
            let Some(room) = self.room(number) else { continue };
            let closed = room.client().map(|client| client.close(Instant::now() + CLOSE));
            let open = open(self.events(number)).len();
            let still_open = closed.unwrap_or(open);
            let events = self.events.get_mut(number).map(std::mem::take).unwrap_or_default();
            // It began with its start.
            let Some(mut run) = Run::from_events(events) else { continue };
            run.ended(Ending { elapsed: self.stage.clock.elapsed().into(), interrupted, still_open });
            clients.push((plan.name.clone(), run));
        }
        Scenario {
            name: self.floor.script.name.clone(),
            server: self.stage.server.clone(),
            protocol: self.floor.script.protocol,
            steps: self.steps,
            findings: self.findings,
            clients,
            interrupted,
        }
    }

    fn start(&self, plan: &ClientPlan, run_id: &str) -> RunStart {
        let script = &self.floor.script;
        let role = Role::default();
        let worker = |(number, name): (u32, &String)| {
            let (worker, name) = (WorkerId(number), Some(name.clone()));
            WorkerRole { worker, name, role }
        };
        let task = |(number, name): (u32, &String)| {
            let (task, name) = (TaskId(number), Some(name.clone()));
            TaskRole { task, name, role }
        };
        RunStart {
            schema_version: event::SCHEMA_VERSION,
            tool_version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: run_id.to_owned(),
            started: event::to_the_microsecond(SystemTime::now() - self.stage.clock.elapsed()),
            server: self.stage.server.clone(),
            protocol: script.protocol,
            certificates_verified: self.stage.tls.then_some(!self.stage.insecure),
            mode: plan.mode,
            threads: script.threads.len(),
            // Nothing was asked in advance: the scenario says what to do.
            seed: None,
            asked: None,
            mix: None,
            mailboxes: script.mailboxes.clone(),
            max_connections: plan.max_connections,
            lock: Lock::Unit,
            workers: (0..).zip(&script.threads).map(worker).collect(),
            executor: if script.tasks.is_empty() { Executor::Threads } else { Executor::Pool },
            dispose: Dispose::Never,
            tasks: (0..).zip(&script.tasks).map(task).collect(),
            switches: Vec::new(),
            scripted: true,
            witnessed: self.stage.provocateur.is_some(),
        }
    }
}

/// What was expected, and what happened instead if it did not.
struct Judged {
    expected: Option<String>,
    instead: Option<String>,
}

impl Judged {
    const fn held() -> Self {
        Self { expected: None, instead: None }
    }

    fn not(expected: impl Into<String>, instead: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), instead: Some(instead.into()) }
    }
}

/// Whether a failure of that kind is what the scenario means by it.
fn is_kind(kind: FailureKind, wanted: Option<FailureKind>) -> bool {
    wanted.is_none_or(|wanted| wanted == kind)
}
