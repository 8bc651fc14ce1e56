//! `mailconn run`: one run, from its settings to its report.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::descriptors;
use super::exit;
use super::interrupt::Interrupts;
use super::settings::{Server, Settings};
use super::target::Target;
use super::testimony;
use super::writer::{self, Writer};
use mailconn::event::{self, Event, Policy, What};
use mailconn::protocol::{self, MailConnector, Operation, Stationery, Transcripts};
use mailconn::record::Run;
use mailconn::report::{self, Format, Output, Progress, Report};
use mailconn::sandbox::Maildrops;
use mailconn::workload::{self, Audience, Control, Plan, Setup, Tally};

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// The table shows so many rows of each kind; `--each` and the other formats show all.
pub const SCREENFUL: usize = 20;
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
    let Target { account, name, sandbox } = Target::of(settings.server, Maildrops::Locked)?;
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
        witnessed: sandbox.is_some(),
    };
    let mut teller =
        Teller::new(&setup, &settings.plan, settings.format, &settings.output, settings.progress, &control)?;
    let mut run = workload::run(&settings.plan, &connector, &setup, &control, &mut teller)?;
    run.witness = sandbox.map(|sandbox| testimony::of(sandbox, clock, SANDBOX_STOP));
    // Until the report is made it can say so.
    run.end.interrupted = control.signal();
    let run = run.in_microseconds();
    let (complete, exit_code) = teller.tell(&run, &settings.policy, settings.each, (&settings.output, &control))?;
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

/// Tells of the run, while it goes on and when it is over.
struct Teller {
    progress: Progress,
    format: Format,
    /// Where the events go as they happen, until the first is written.
    sink: Option<Writer>,
    /// The events as they happen; none once nobody reads them any more.
    stream: Option<event::Writer<Writer>>,
    /// Why streaming ended, if not because the reader went away.
    failed: Option<io::Error>,
}

impl Teller {
    fn new(
        setup: &Setup,
        plan: &Plan,
        format: Format,
        output: &Output,
        progress: report::ProgressKind,
        control: &Arc<Control>,
    ) -> Result<Self> {
        let streams = matches!(format, Format::Ndjson);
        let sink = streams.then(|| Writer::open(output, control)).transpose().context("opening the report")?;
        Ok(Self { progress: Progress::new(progress, plan.operations()), format, sink, stream: None, failed: None })
    }

    /// Goes on streaming, unless it failed; a reader that went away is no failure.
    fn streamed<T>(&mut self, written: io::Result<T>) -> Option<T> {
        written
            .map_err(|error| self.failed = Some(error).filter(|error| error.kind() != io::ErrorKind::BrokenPipe))
            .ok()
    }

    /// False if the end of the report is missing because nobody reads it; and the exit code that the report says.
    fn tell(
        mut self,
        run: &Run,
        policy: &Policy,
        each: bool,
        (output, control): (&Output, &Arc<Control>),
    ) -> Result<(bool, u8)> {
        self.progress.finish();
        let report = Report::of_run(run, policy.clone());
        let exit_code = report.as_ref().map_or(0, |report| report.verdict.conclusion.exit_code());
        let whole = |bytes: &[u8]| writer::write_whole(output, bytes, control).err();
        match self.format {
            Format::Table | Format::Json => {
                let Some(report) = report else { return Ok((true, exit_code)) };
                let bytes = match self.format {
                    Format::Json => report::json(&report),
                    _ => {
                        let each_row = if each { report::each(run) } else { String::new() };
                        (each_row + &report::table(&report, (!each).then_some(SCREENFUL))).into_bytes()
                    }
                };
                self.failed = whole(&bytes);
            }
            Format::Ndjson => {
                if let Some(mut stream) = self.stream.take() {
                    let written = stream.write(run.last_events(policy).iter());
                    let ended = written.and_then(|()| stream.into_inner().finish());
                    self.streamed(ended);
                }
            }
        }
        match self.failed {
            None => Ok((true, exit_code)),
            Some(error) if writer::is_unread(&error) => Ok((false, exit_code)),
            Some(error) => Err(error).context(WRITING),
        }
    }
}

impl Audience for Teller {
    fn goes_on(&mut self, events: &[Event], tally: &Tally) {
        if let Some(Event { what: What::RunStart(start), .. }) = events.first()
            && let Some(sink) = self.sink.take()
        {
            self.stream = Some(event::Writer::new(sink, start.started, None));
        }
        for some in events.chunks(AT_ONCE) {
            let Some(mut stream) = self.stream.take() else { break };
            let written = stream.write(some);
            self.stream = self.streamed(written).map(|()| stream);
        }
        self.progress.update(&report::Tally { operations: tally.operations, failed: tally.failed, open: tally.open });
    }
}
