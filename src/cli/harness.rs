//! What runs and probes have in common: the server that is dialled, the signals, and the report of what happened.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::descriptors;
use super::exit;
use super::interrupt::Interrupts;
use super::settings::{Reach, Server};
use super::stderr;
use super::target::Target;
use super::teller::Teller;
use super::testimony::Witness;
use mailconn::event::{Event, Policy, Within};
use mailconn::judge::Judge;
use mailconn::protocol::{self, Transcripts};
use mailconn::report::{Progress, RunReport, Told};
use mailconn::sandbox::Sandbox;
use mailconn::workload::{Audience, Control, Ended, RunError, Setup, Source};

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// Threads that do no operations: those that listen, write, accept and drive tasks.
const THREADS_BESIDE: usize = 8;

/// What has to fit into this process.
pub struct Room {
    /// Threads that do operations.
    pub workers: u32,
    /// Connections at once.
    pub connections: usize,
    /// The cure where there is too little: `fewer --threads`.
    pub fewer: &'static str,
}

impl Room {
    /// Makes it, for what is reached so.
    ///
    /// # Errors
    /// The system has too little: one line, and the cure.
    pub fn make(&self, reach: &Reach) -> Result<()> {
        let Self { workers, connections, fewer } = *self;
        let in_the_box = matches!(reach.server, Server::Sandbox { .. });
        let of_the_sandbox = connections * reach.server.threads_of_a_connection();
        let ends = if in_the_box { 2 } else { 1 };
        descriptors::make_room_for_threads(workers, of_the_sandbox, fewer)?;
        descriptors::make_room_in_memory(workers as usize + THREADS_BESIDE, of_the_sandbox, fewer)?;
        descriptors::make_room_for(connections, ends + u64::from(reach.transcripts.is_some()), fewer)
    }
}

/// A server that is there to be dialled.
pub struct Harness {
    /// How the client is set up.
    pub setup: Setup,
    /// The server, where it is in the box.
    sandbox: Option<Sandbox>,
    transcripts: Option<Arc<Transcripts>>,
}

impl Harness {
    /// Makes room, and starts the sandbox if that is the server. It dials nothing. Returns the account's settings, too.
    ///
    /// # Errors
    /// One line: what is missing, and the cure.
    pub fn set_up(reach: Reach, room: &Room) -> Result<(Self, protocol::Settings)> {
        room.make(&reach)?;
        let Reach { server, maildrops, .. } = reach;
        let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
        let transcripts = reach.transcripts.as_deref().map(|directory| Transcripts::create(directory, &run_id));
        let transcripts = transcripts.transpose().context("--transcript")?.map(Arc::new);
        let options = server.sandbox(maildrops);
        let Target { account, name, sandbox } = Target::recorded(server, maildrops)?;
        let setup = Setup {
            run_id: run_id.clone(),
            server: name,
            sandbox: options,
            clock: Instant::now(),
            started: SystemTime::now(),
            wait_timeout: reach.wait_timeout,
            max_connections: reach.max_connections,
            letters: None,
            tls: account.tls.is_some(),
            insecure: account.tls.as_ref().is_some_and(|tls| !tls.verifies()),
        };
        let account = protocol::Settings {
            connect_timeout: reach.connect_timeout,
            operation_timeout: reach.operation_timeout,
            run_id,
            ehlo: reach.ehlo,
            may_dial: reach.may_dial,
            transcripts: transcripts.clone(),
            ..account
        };
        Ok((Self { setup, sandbox, transcripts }, account))
    }

    /// Counts the run's start from the start of what it is part of. A wall clock that is set between two runs changes nothing.
    pub fn by_the_clock_of(&mut self, whole: SystemTime, clock: Instant) {
        self.setup.started = whole + self.setup.clock.saturating_duration_since(clock);
    }

    /// Lets `work` begin now, tells what happens as part of `within`, and judges it by that policy.
    ///
    /// # Errors
    /// Nothing could be run: one line.
    pub fn drive(
        self,
        teller: &mut Teller,
        within: Within<'_>,
        policy: Policy,
        meanwhile: impl Meanwhile,
        work: impl FnOnce(&Setup, Option<&mut dyn Source>, &mut dyn Audience) -> Result<Ended, RunError>,
    ) -> Result<Driven> {
        let Self { setup, sandbox, transcripts } = self;
        let mut watched = Watched { meanwhile, judge: Judge::default(), teller, within };
        let mut witness = sandbox.map(|sandbox| Witness::of(sandbox, setup.clock, SANDBOX_STOP));
        let source = witness.as_mut().map(|witness| witness as &mut dyn Source);
        let ended = work(&setup, source, &mut watched)?;
        let driven = watched.end(ended, policy)?;
        Ok(Driven { unwritten: transcripts.and_then(|transcripts| transcripts.failure()), ..driven })
    }
}

/// What was run, and what it comes to.
pub struct Driven {
    /// All that is known of it.
    pub judge: Judge,
    /// Its report.
    pub report: RunReport,
    /// Why a transcript is missing, or ends early.
    pub unwritten: Option<String>,
}

/// Listens for signals, and interrupts what is under way.
pub struct Signals {
    /// Interrupts it.
    pub control: Arc<Control>,
    _interrupts: Interrupts,
}

impl Signals {
    /// From now on.
    ///
    /// # Errors
    /// The system refused the handler.
    pub fn listen() -> Result<Self> {
        let control = Arc::new(Control::default());
        let interrupts = Interrupts::reach(&control).context("listening for signals")?;
        Ok(Self { control, _interrupts: interrupts })
    }

    /// Ends the report of one run or probe, and says with what code to exit.
    ///
    /// # Errors
    /// The report could not be written: one line.
    pub fn conclude(self, mut teller: Teller, driven: Driven) -> Result<u8> {
        let Driven { report, unwritten, .. } = driven;
        let exit_code = report.verdict.conclusion.exit_code();
        teller.over(&Told::Run(Box::new(report)));
        let exit_code = self.code(teller.end()?, exit_code);
        if let Some(failure) = unwritten {
            stderr::complain(&failure);
        }
        Ok(exit_code)
    }

    /// A report that is there in full says the code that the process ends with.
    pub fn code(&self, complete: bool, exit_code: u8) -> u8 {
        let cut_short = self.control.signal().filter(|_| !complete).map(exit::interrupted_by);
        cut_short.unwrap_or(exit_code)
    }
}

/// What is shown on stderr while it goes on.
pub trait Meanwhile {
    /// These events happened; the judge has seen them. Called about a hundred times a second, even with none.
    fn goes_on(&mut self, events: &[Event], judge: &Judge);
    /// All is over.
    fn finish(&mut self, judge: &Judge);
}

impl Meanwhile for Progress {
    fn goes_on(&mut self, _: &[Event], judge: &Judge) {
        self.update(&judge.tally());
    }

    fn finish(&mut self, _: &Judge) {
        self.finish();
    }
}

/// Judges the run and tells of it while it goes on.
struct Watched<'a, M> {
    meanwhile: M,
    judge: Judge,
    teller: &'a mut Teller,
    within: Within<'a>,
}

impl<M: Meanwhile> Watched<'_, M> {
    /// The run is over: its verdict by that policy.
    fn end(mut self, ended: Ended, policy: Policy) -> Result<Driven> {
        self.meanwhile.finish(&self.judge);
        let Ended { ending, events } = ended;
        self.judge.end(ending);
        let Some(report) = RunReport::of(&self.judge, policy) else { bail!("the run never began") };
        let end = Event { seq: events, at: ending.elapsed, what: Box::new(report.run_end()).into() };
        self.teller.see(self.within, &[end]);
        Ok(Driven { judge: self.judge, report, unwritten: None })
    }
}

impl<M: Meanwhile> Audience for Watched<'_, M> {
    fn goes_on(&mut self, events: &[Event]) {
        let events = self.teller.anonymous(self.within, events);
        events.iter().for_each(|event| self.judge.see(event));
        self.teller.see(self.within, &events);
        self.meanwhile.goes_on(&events, &self.judge);
    }

    fn waited(&self) -> Duration {
        self.teller.waited()
    }
}
