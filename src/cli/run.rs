//! `mailconn run`: one run, from its settings to its report.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::descriptors;
use super::exit;
use super::interrupt::Interrupts;
use super::settings::{Server, Settings};
use super::target::Target;
use super::testimony::Witness;
use super::writer::{self, Writer};
use mailconn::event::{Event, Policy};
use mailconn::judge::Judge;
use mailconn::protocol::{self, MailConnector, Operation, Stationery, Transcripts};
use mailconn::report::{self, Output, Progress, RunReport, Telling, Told};
use mailconn::sandbox::Maildrops;
use mailconn::workload::{self, Audience, Control, Ended, Setup, Source, Tally};

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// So many events are put into words at once.
const AT_ONCE: usize = 1024;
/// Threads that do no operations: those that listen, write, accept and drive tasks.
const THREADS_BESIDE: usize = 8;
/// What failed, if the report could not be written.
const WRITING: &str = "writing the report";

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
    let Target { account, name, sandbox } = Target::recorded(settings.server, Maildrops::Locked)?;
    let tls = account.tls.is_some();
    if let Some(note) = &settings.note {
        super::complain(note);
    }
    let insecure = account.tls.as_ref().is_some_and(|tls| !tls.verifies());
    if insecure {
        super::complain(super::UNVERIFIED);
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
        clock,
        wait_timeout: settings.wait_timeout,
        max_connections: settings.max_connections,
        letters,
        tls,
        insecure,
    };
    let telling = settings.format.telling(settings.each);
    let out = telling.is_live().then(|| Writer::open(&settings.output, &control).map(Box::new));
    let mut teller = Teller {
        progress: Progress::new(settings.progress, settings.plan.operations()),
        judge: Judge::default(),
        policy: settings.policy,
        telling,
        out: out.transpose().context("opening the report")?,
        failed: None,
    };
    let mut witness = sandbox.map(|sandbox| Witness::of(sandbox, clock, SANDBOX_STOP));
    let source = witness.as_mut().map(|witness| witness as &mut dyn Source);
    let ended = workload::run(&settings.plan, &connector, &setup, &control, source, &mut teller)?;
    let (complete, exit_code) = teller.tell(ended, &settings.output, &control)?;
    if !complete {
        super::complain("the report is incomplete: nobody read it");
    }
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        super::complain(&failure);
    }
    // A report that is there in full says the code that the process ends with.
    let cut_short = control.signal().filter(|_| !complete).map(exit::interrupted_by);
    Ok(cut_short.unwrap_or(exit_code))
}

/// Judges the run and tells of it, while it goes on and when it is over.
struct Teller {
    progress: Progress,
    judge: Judge,
    policy: Policy,
    telling: Telling,
    /// Where what is told goes at once; none where all of it is told at the end, and once nobody reads it any more.
    out: Option<Box<Writer>>,
    /// Why telling ended early, if not because the reader went away.
    failed: Option<io::Error>,
}

impl Teller {
    /// Tells of these events, as far as somebody reads.
    fn see(&mut self, events: &[Event]) {
        let Some(out) = &mut self.out else { return };
        for some in events.chunks(AT_ONCE) {
            let text = self.telling.see(None, some);
            if text.is_empty() {
                continue;
            }
            if let Err(error) = out.write_all(&text) {
                // A reader that went away is no failure.
                self.failed = Some(error).filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
                self.out = None;
                return;
            }
        }
    }

    /// Whether the report is complete, which it is not if nobody reads it; and the exit code that it says.
    fn tell(mut self, ended: Ended, output: &Output, control: &Arc<Control>) -> Result<(bool, u8)> {
        self.progress.finish();
        let Ended { ending, events } = ended;
        self.judge.end(ending);
        let Some(report) = RunReport::of(&self.judge, self.policy.clone()) else { bail!("the run never began") };
        let exit_code = report.verdict.conclusion.exit_code();
        self.see(&[Event { seq: events, at: ending.elapsed, what: Box::new(report.run_end()).into() }]);
        match self.end(report, output, control) {
            Ok(()) => Ok((true, exit_code)),
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok((true, exit_code)),
            Err(error) if writer::is_unread(&error) => Ok((false, exit_code)),
            Err(error) => Err(error).context(WRITING),
        }
    }

    fn end(mut self, report: RunReport, output: &Output, control: &Arc<Control>) -> io::Result<()> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let is_live = self.telling.is_live();
        let mut text = self.telling.over(Told::Run(Box::new(report)));
        text.extend(self.telling.end()?);
        match self.out {
            Some(mut out) => {
                out.write_all(&text)?;
                out.finish()
            }
            None if is_live => Ok(()),
            None => writer::write_whole(output, &text, control),
        }
    }
}

impl Audience for Teller {
    fn goes_on(&mut self, events: &[Event], tally: &Tally) {
        events.iter().for_each(|event| self.judge.see(event));
        self.see(events);
        self.progress.update(&report::Tally { operations: tally.operations, failed: tally.failed, open: tally.open });
    }
}
