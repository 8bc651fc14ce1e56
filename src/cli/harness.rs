//! What a run and a probe have in common: the server that is dialled, the signals, and the report of what happened.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::descriptors;
use super::exit;
use super::interrupt::Interrupts;
use super::settings::{Reach, Reporting, Server};
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

/// A server that is there to be dialled, and what listens for signals meanwhile.
pub struct Harness {
    /// How the client is set up.
    pub setup: Setup,
    /// Interrupts it.
    pub control: Arc<Control>,
    /// The server, where it is in the box.
    sandbox: Option<Sandbox>,
    transcripts: Option<Arc<Transcripts>>,
    _interrupts: Interrupts,
}

impl Harness {
    /// Makes room, and starts the sandbox if that is the server. It dials nothing. Returns the account's settings, too.
    ///
    /// # Errors
    /// One line: what is missing, and the cure.
    pub fn set_up(reach: Reach, room: &Room) -> Result<(Self, protocol::Settings)> {
        let Reach { server, maildrops, .. } = reach;
        let in_the_box = matches!(server, Server::Sandbox { .. });
        let of_the_sandbox = room.connections * server.threads_of_a_connection();
        let ends = if in_the_box { 2 } else { 1 };
        descriptors::make_room_for_threads(room.workers, of_the_sandbox, room.fewer)?;
        descriptors::make_room_in_memory(room.workers as usize + THREADS_BESIDE, of_the_sandbox, room.fewer)?;
        let ends = ends + u64::from(reach.transcripts.is_some());
        descriptors::make_room_for(room.connections, ends, room.fewer)?;
        let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
        let transcripts = reach.transcripts.as_deref().map(|directory| Transcripts::create(directory, &run_id));
        let transcripts = transcripts.transpose().context("--transcript")?.map(Arc::new);
        let options = server.sandbox(maildrops);
        let Target { account, name, sandbox } = Target::recorded(server, maildrops)?;
        let insecure = account.tls.as_ref().is_some_and(|tls| !tls.verifies());
        if insecure {
            stderr::complain(stderr::UNVERIFIED);
        }
        let control = Arc::new(Control::default());
        let interrupts = Interrupts::reach(&control).context("listening for signals")?;
        let setup = Setup {
            run_id: run_id.clone(),
            server: name,
            sandbox: options,
            clock: Instant::now(),
            wait_timeout: reach.wait_timeout,
            max_connections: reach.max_connections,
            letters: None,
            tls: account.tls.is_some(),
            insecure,
        };
        let account = protocol::Settings {
            connect_timeout: reach.connect_timeout,
            operation_timeout: reach.operation_timeout,
            run_id,
            ehlo: reach.ehlo,
            transcripts: transcripts.clone(),
            ..account
        };
        Ok((Self { setup, control, sandbox, transcripts, _interrupts: interrupts }, account))
    }

    /// Lets `work` begin now, reports what happens by that policy, and says with what code to exit.
    ///
    /// # Errors
    /// Nothing could be run, or the report could not be written: one line.
    pub fn drive(
        self,
        reporting: Reporting,
        policy: Policy,
        meanwhile: impl Meanwhile,
        work: impl FnOnce(&Setup, &Arc<Control>, Option<&mut dyn Source>, &mut dyn Audience) -> Result<Ended, RunError>,
    ) -> Result<u8> {
        let Self { setup, control, sandbox, transcripts, _interrupts } = self;
        let Reporting { destinations, each } = reporting;
        let teller = Teller::begin(destinations, each, &control)?;
        let mut watched = Watched { meanwhile, judge: Judge::default(), teller };
        let mut witness = sandbox.map(|sandbox| Witness::of(sandbox, setup.clock, SANDBOX_STOP));
        let source = witness.as_mut().map(|witness| witness as &mut dyn Source);
        let ended = work(&setup, &control, source, &mut watched)?;
        let (complete, exit_code) = watched.end(ended, policy)?;
        if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
            stderr::complain(&failure);
        }
        // A report that is there in full says the code that the process ends with.
        let cut_short = control.signal().filter(|_| !complete).map(exit::interrupted_by);
        Ok(cut_short.unwrap_or(exit_code))
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
struct Watched<M> {
    meanwhile: M,
    judge: Judge,
    teller: Teller,
}

impl<M: Meanwhile> Watched<M> {
    /// The run is over: reports its verdict by that policy. Returns whether the report is complete, and the exit code.
    fn end(mut self, ended: Ended, policy: Policy) -> Result<(bool, u8)> {
        self.meanwhile.finish(&self.judge);
        let Ended { ending, events } = ended;
        self.judge.end(ending);
        let Some(report) = RunReport::of(&self.judge, policy) else { bail!("the run never began") };
        let exit_code = report.verdict.conclusion.exit_code();
        let end = Event { seq: events, at: ending.elapsed, what: Box::new(report.run_end()).into() };
        self.teller.see(Within::default(), &[end]);
        self.teller.over(&Told::Run(Box::new(report)));
        Ok((self.teller.end()?, exit_code))
    }
}

impl<M: Meanwhile> Audience for Watched<M> {
    fn goes_on(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.judge.see(event));
        self.teller.see(Within::default(), events);
        self.meanwhile.goes_on(events, &self.judge);
    }

    fn waited(&self) -> Duration {
        self.teller.waited()
    }
}
