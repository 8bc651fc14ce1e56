//! `mailconn run`: one run, from its flags to its report.

use std::time::{Instant, SystemTime};

use anyhow::{Result, ensure};

use super::anonymize::Anonymize;
use super::args::RunArgs;
use super::baseline::{BaselineFile, no_baseline_of_its_own};
use super::destinations;
use super::harness::Signals;
use super::settings::{self, Reach, Reporting, Server};
use super::stderr;
use super::teller::Teller;
use super::work::Work;
use mailconn::event::{Asked, Policy, Within};
use mailconn::protocol::Security;
use mailconn::report::{Format, Layout, Progress, ProgressKind};
use mailconn::sandbox::Maildrops;
use mailconn::workload::{self, Setup};

/// Runs, reports, and says with what code to exit.
///
/// # Errors
/// Nothing could be run, or the report could not be written: one line.
pub fn run(args: RunArgs, layout: Layout) -> Result<u8> {
    let Settings { work, reach, reporting, policy, progress } = Settings::resolve(args, layout)?;
    reach.server.warn();
    let (harness, connector) = work.set_up(reach)?;
    let signals = Signals::listen()?;
    if let Some(note) = &work.note {
        stderr::complain(note);
    }
    let progress = Progress::new(progress, work.plan.operations());
    let mut teller = Teller::begin(reporting, &signals.control)?;
    let driven = harness.drive(&mut teller, Within::default(), policy, progress, |setup, source, audience| {
        workload::run(&work.plan, &connector, setup, &signals.control, source, audience)
    })?;
    signals.conclude(teller, driven)
}

/// Everything a run needs to know.
struct Settings {
    /// What is done.
    work: Work,
    /// To whom it is done.
    reach: Reach,
    /// How it is reported.
    reporting: Reporting,
    /// Which findings fail the run.
    policy: Policy,
    /// What is told meanwhile.
    progress: ProgressKind,
}

impl Settings {
    /// Resolves the flags and the environment: nothing is dialled yet.
    fn resolve(args: RunArgs, layout: Layout) -> Result<Self> {
        let destinations = destinations::destinations(&args.reporting.output, layout)?;
        ensure!(
            !args.each || destinations::include(&destinations, Format::Table),
            "--each lists operations above the table; --format ndjson holds every operation, --format json none"
        );
        let server = settings::unsigned(args.server.as_deref(), "--server", &args.reach)?;
        let connect_timeout = settings::connect_timeout(&args.reach, server.protocol());
        let work = Work::resolve(&args.work, args.seed, Asked::Operations(100), &server)?;
        settings::only_where_they_matter(&args.reach, server.protocol())?;
        let told = &args.reporting;
        let mut policy = settings::policy(&told.fail_on, &told.gates)?;
        for file in destinations::files(&told.output) {
            no_baseline_of_its_own(args.baseline.baseline.as_deref(), Some(file))?;
        }
        let anonymize = Anonymize::of(told.output.anonymize, &told.transcripts)?;
        let reporting = Reporting { destinations, each: args.each, anonymize };
        let ehlo = settings::ehlo(&args.reach)?;
        if let Some(file) = BaselineFile::read(args.baseline.baseline.as_deref(), &policy.gates, &Anonymize::default())?
        {
            let start = workload::start(&work.plan, &to_be_compared(&server, &work), false);
            policy.baseline = Some(file.figures(&start, &policy.gates)?);
        }
        // What is refused asks for no secret.
        let server = server.signed_in(&args.reach)?;
        let reach = Reach {
            server,
            ehlo,
            connect_timeout,
            operation_timeout: args.reach.timeout,
            wait_timeout: work.wait_timeout,
            max_connections: work.max_connections,
            may_dial: None,
            transcripts: args.reporting.transcripts.transcript,
            maildrops: Maildrops::Locked,
        };
        Ok(Self { work, reach, reporting, policy, progress: args.reporting.progress })
    }
}

/// How the client of that server is set up, as far as that shapes a run's start.
fn to_be_compared(server: &Server, work: &Work) -> Setup {
    let (tls, insecure) = match server {
        Server::Sandbox { endpoint, .. } => (endpoint.security != Security::Plain, false),
        Server::Real { tls, .. } => (tls.is_some(), tls.as_ref().is_some_and(|tls| !tls.verifies())),
    };
    Setup {
        run_id: String::new(),
        server: server.name(),
        sandbox: server.sandbox(Maildrops::Locked),
        clock: Instant::now(),
        started: SystemTime::now(),
        wait_timeout: work.wait_timeout,
        max_connections: work.max_connections,
        letters: None,
        tls,
        insecure,
    }
}
