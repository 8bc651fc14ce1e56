//! `mailconn run`: one run, from its settings to its report.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail};

use super::descriptors;
use super::exit;
use super::interrupt::Interrupts;
use super::settings::{Server, Settings};
use super::stderr;
use super::target::Target;
use super::teller::Teller;
use super::testimony::Witness;
use mailconn::event::{Event, Policy};
use mailconn::judge::Judge;
use mailconn::protocol::{self, MailConnector, Operation, Stationery, Transcripts};
use mailconn::report::{Progress, RunReport, Told};
use mailconn::sandbox::Maildrops;
use mailconn::workload::{self, Audience, Control, Ended, Setup, Source};

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// Threads that do no operations: those that listen, write, accept and drive tasks.
const THREADS_BESIDE: usize = 8;

/// Runs, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be run, or the report could not be written: one line.
pub fn run(settings: Settings) -> Result<u8> {
    let Settings { plan, server, .. } = &settings;
    let most = settings.max_connections.map_or(plan.most_connections(), |max| max.min(plan.most_connections()));
    let ends = if matches!(server, Server::Sandbox { .. }) { 2 } else { 1 };
    let of_the_sandbox = if matches!(server, Server::Sandbox { .. }) { most } else { 0 };
    let workers = u32::try_from(plan.workers.len()).unwrap_or(u32::MAX);
    descriptors::make_room_for_threads(workers, of_the_sandbox)?;
    descriptors::make_room_in_memory(plan.workers.len() + THREADS_BESIDE, of_the_sandbox)?;
    descriptors::make_room_for(most, ends + u64::from(settings.transcripts.is_some()))?;
    let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
    let transcripts = settings.transcripts.as_deref().map(|directory| Transcripts::create(directory, &run_id));
    let transcripts = transcripts.transpose().context("--transcript")?.map(Arc::new);
    let writes = plan.mix.operations().any(Operation::writes);
    let options = settings.server.sandbox(Maildrops::Locked);
    let Target { account, name, sandbox } = Target::recorded(settings.server, Maildrops::Locked)?;
    let tls = account.tls.is_some();
    if let Some(note) = &settings.note {
        stderr::complain(note);
    }
    let insecure = account.tls.as_ref().is_some_and(|tls| !tls.verifies());
    if insecure {
        stderr::complain(stderr::UNVERIFIED);
    }
    let letters = writes
        .then(|| Stationery::new(&account.endpoint, settings.from.as_deref(), settings.to.as_deref(), &run_id))
        .transpose()
        .context("what is sent needs an address for its sender and its recipient: name them with --from and --to")?;
    let connector = Arc::new(MailConnector::new(protocol::Settings {
        connect_timeout: settings.connect_timeout,
        operation_timeout: settings.operation_timeout,
        run_id: run_id.clone(),
        ehlo: settings.ehlo,
        scratch: settings.scratch,
        transcripts: transcripts.clone(),
        ..account
    }));
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let clock = Instant::now();
    let setup = Setup {
        run_id,
        server: name,
        sandbox: options,
        clock,
        wait_timeout: settings.wait_timeout,
        max_connections: settings.max_connections,
        letters,
        tls,
        insecure,
    };
    let mut policy = settings.policy;
    if let Some(baseline) = settings.baseline {
        let start = workload::start(&settings.plan, &setup, SystemTime::now(), sandbox.is_some());
        policy.baseline = Some(baseline.figures(&start, &policy.gates)?);
    }
    let mut watched = Watched {
        progress: Progress::new(settings.progress, settings.plan.operations()),
        judge: Judge::default(),
        teller: Teller::begin(settings.format, settings.each, settings.output, &control)?,
    };
    let mut witness = sandbox.map(|sandbox| Witness::of(sandbox, clock, SANDBOX_STOP));
    let source = witness.as_mut().map(|witness| witness as &mut dyn Source);
    let ended = workload::run(&settings.plan, &connector, &setup, &control, source, &mut watched)?;
    let (complete, exit_code) = watched.end(ended, policy)?;
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        stderr::complain(&failure);
    }
    // A report that is there in full says the code that the process ends with.
    let cut_short = control.signal().filter(|_| !complete).map(exit::interrupted_by);
    Ok(cut_short.unwrap_or(exit_code))
}

/// Judges the run and tells of it while it goes on.
struct Watched {
    progress: Progress,
    judge: Judge,
    teller: Teller,
}

impl Watched {
    /// The run is over: reports its verdict by that policy. Returns whether the report is complete, and the exit code.
    fn end(mut self, ended: Ended, policy: Policy) -> Result<(bool, u8)> {
        self.progress.finish();
        let Ended { ending, events } = ended;
        self.judge.end(ending);
        let Some(report) = RunReport::of(&self.judge, policy) else { bail!("the run never began") };
        let exit_code = report.verdict.conclusion.exit_code();
        let end = Event { seq: events, at: ending.elapsed, what: Box::new(report.run_end()).into() };
        self.teller.see(None, &[end]);
        self.teller.over(Told::Run(Box::new(report)));
        Ok((self.teller.end()?, exit_code))
    }
}

impl Audience for Watched {
    fn goes_on(&mut self, events: &[Event]) {
        events.iter().for_each(|event| self.judge.see(event));
        self.teller.see(None, events);
        self.progress.update(&self.judge.tally());
    }

    fn waited(&self) -> Duration {
        self.teller.waited()
    }
}
