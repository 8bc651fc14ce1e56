//! `mailconn scenario`: read, performed, told step by step.

mod shipped;

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::args::{ScenarioArgs, ScenarioFormatArg};
use super::check::Screen;
use super::descriptors;
use super::interrupt::Interrupts;
use super::settings::{self, Server};
use super::target::Target;
use super::testimony;
use mailconn::protocol::{self, Credentials, EhloName, MailConnector, Protocol, Secret, Stationery, Transcripts};
use mailconn::record::{Outcome, Scenario, StepDone};
use mailconn::report::{self, Output, ScenarioLines};
use mailconn::sandbox::{self, Faults, Maildrops, Sandbox};
use mailconn::workload::Control;
use mailconn::workload::scenario::{Cut, Dialling, Provocateur, Script, Stage, perform};

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// A scenario's file may be so long, in bytes; what is longer is not read.
const MOST_BYTES: u64 = 1 << 20;

/// What speaks of several connections is to be seen by POP3 too, as on a real server that locks no maildrop. A scenario that
/// is about the lock asks for it.
const MAILDROPS: Maildrops = Maildrops::Shared;

/// Performs scenarios, or lists the shipped ones.
///
/// # Errors
/// A scenario cannot be read, or nothing could be run, or the report could not be written: one line.
pub fn scenario(args: &ScenarioArgs) -> Result<u8> {
    if args.list {
        Output::Stdout.write_whole(shipped::list().as_bytes()).context("writing the list")?;
        return Ok(0);
    }
    let whom = || settings::server(args.server.as_deref(), "--server", &args.reach);
    let server = whom()?;
    let scripts = args.files.iter().map(|file| read(file, server.protocol())).collect::<Result<Vec<_>>>()?;
    for script in &scripts {
        possible(script, &server, args)?;
    }
    let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
    let transcripts = args.transcripts.transcript.as_deref();
    let transcripts = transcripts.map(|directory| Transcripts::create(directory, &run_id)).transpose();
    let transcripts = transcripts.context("--transcript")?.map(Arc::new);
    let most = scripts.iter().map(Script::most_connections).max().unwrap_or(0);
    let ends = if matches!(server, Server::Sandbox { .. }) { 2 } else { 1 };
    descriptors::make_room_for(most, ends + u64::from(transcripts.is_some()))?;
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let mut screen = Screen::open(&control)?;
    let mut theatre = Theatre {
        args,
        ehlo: settings::ehlo(&args.reach)?,
        connect_timeout: settings::connect_timeout(&args.reach, server.protocol()),
        transcripts: transcripts.clone(),
        control,
        screen: &mut screen,
    };
    let in_the_box = matches!(server, Server::Sandbox { .. });
    let mut target = Target::of(server, MAILDROPS)?;
    if target.account.tls.as_ref().is_some_and(|tls| !tls.verifies()) {
        super::complain(super::UNVERIFIED);
    }
    let mut worst = 0;
    for (number, script) in scripts.iter().enumerate() {
        // In the box, each begins with a server that nothing has happened to.
        if number > 0 && in_the_box {
            target = Target::of(whom()?, MAILDROPS)?;
        }
        worst = worst.max(theatre.play(script, &mut target)?);
        if theatre.control.interrupted().is_some() {
            break;
        }
    }
    screen.close()?;
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        super::complain(&failure);
    }
    Ok(worst)
}

/// The shipped scenario of that name, else the file.
fn read(file: &Path, protocol: Protocol) -> Result<Script> {
    let name = file.display().to_string();
    if let Some(text) = shipped::text(&name) {
        return Ok(Script::parse(&name, text, protocol)?);
    }
    let size = fs::metadata(file)
        .with_context(|| format!("{name}: no such scenario is shipped (see --list), and as a file"))?;
    ensure!(size.is_file() && size.len() <= MOST_BYTES, "{name} is no file that a scenario fits in");
    let text = fs::read(file).with_context(|| format!("reading {name}"))?;
    let text = String::from_utf8(text).with_context(|| format!("{name} is no UTF-8 text"))?;
    Ok(Script::parse(&name, &text, protocol)?)
}

/// Whether that server can be asked what the scenario asks of it.
fn possible(script: &Script, server: &Server, args: &ScenarioArgs) -> Result<()> {
    if matches!(server, Server::Sandbox { .. }) {
        return Ok(());
    }
    if let Some(line) = script.needs_sandbox() {
        bail!("{}:{line}:1: this line needs the sandbox: a real server does nothing wrong at our word", script.name());
    }
    ensure!(
        !script.writes() || args.allow_writes,
        "{}: send writes to the server; allow it with --allow-writes, or leave it out",
        script.name()
    );
    Ok(())
}

/// What all scenarios of a call have in common.
struct Theatre<'a> {
    args: &'a ScenarioArgs,
    ehlo: EhloName,
    connect_timeout: Duration,
    transcripts: Option<Arc<Transcripts>>,
    control: Arc<Control>,
    screen: &'a mut Screen,
}

impl Theatre<'_> {
    /// Performs one, tells of it, and says with what code it ends.
    fn play(&mut self, script: &Script, target: &mut Target) -> Result<u8> {
        let Target { account, name, sandbox } = target;
        let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
        let letters = script.writes().then(|| Stationery::new(&account.endpoint, self.args.to.as_deref(), &run_id));
        let letters = letters
            .transpose()
            .context("what is sent needs an address for its sender and its recipient: name one with --to")?;
        let connector = |dialling: &Dialling<'_>| {
            let credentials = account.credentials.as_ref().map(|right| match dialling.wrong_password {
                true => Credentials::Password(Secret::new("not-the-password".to_owned())),
                false => right.share(),
            });
            MailConnector::new(protocol::Settings {
                credentials,
                auth: account.auth,
                tls: account.tls.clone(),
                connect_timeout: dialling.connect_timeout,
                operation_timeout: dialling.operation_timeout,
                run_id: dialling.run_id.to_owned(),
                ehlo: self.ehlo.clone(),
                transcripts: self.transcripts.clone(),
                ..protocol::Settings::without_sign_in(account.endpoint.clone())
            })
        };
        let clock = Instant::now();
        let provoked = sandbox.as_ref().map(|sandbox| Provoked { sandbox, faults: sandbox.faults() });
        let stage = Stage {
            server: name.clone(),
            insecure: account.tls.as_ref().is_some_and(|tls| !tls.verifies()),
            run_id,
            clock,
            connector: &connector,
            connect_timeout: self.connect_timeout,
            operation_timeout: self.args.reach.timeout,
            wait_timeout: self.args.wait_timeout,
            letters,
            provocateur: provoked.as_ref().map(|provoked| provoked as &dyn Provocateur),
        };
        let mut teller = Teller {
            lines: (self.args.format == ScenarioFormatArg::Ndjson).then(|| ScenarioLines::new(SystemTime::now())),
        };
        self.screen.show(&teller.begins(script, name, account.endpoint.protocol));
        let mut scenario = perform(script, &stage, &self.control, &mut |step| self.screen.show(&teller.step(step)))?;
        if let Some(sandbox) = sandbox.take() {
            scenario.witnessed(testimony::of(sandbox, clock, SANDBOX_STOP));
        }
        let scenario = scenario.in_microseconds();
        let outcome = scenario.outcome();
        self.screen.show(&teller.ends(&scenario, &outcome));
        Ok(outcome.exit_code)
    }
}

/// Puts what happens into words, for people or for programs.
struct Teller {
    /// None for people.
    lines: Option<ScenarioLines>,
}

impl Teller {
    fn begins(&mut self, script: &Script, server: &str, protocol: Protocol) -> String {
        match &mut self.lines {
            Some(lines) => lines.start(script.name(), server, protocol),
            None => report::scenario_begins(script.name(), server),
        }
    }

    fn step(&mut self, step: &StepDone) -> String {
        self.lines.as_mut().map_or_else(|| report::scenario_step(step), |lines| lines.step(step))
    }

    fn ends(&mut self, scenario: &Scenario, outcome: &Outcome) -> String {
        match &mut self.lines {
            Some(lines) => lines.end(scenario, outcome),
            None => report::scenario_ends(scenario, outcome) + "\n",
        }
    }
}

/// The sandbox, which does as it is told.
struct Provoked<'a> {
    sandbox: &'a Sandbox,
    faults: Faults,
}

impl Provocateur for Provoked<'_> {
    fn cut(&self, port: u16, how: Cut) -> bool {
        let how = match how {
            Cut::Fin => sandbox::Cut::Fin,
            Cut::Rst => sandbox::Cut::Rst,
        };
        self.faults.cut(port, how)
    }

    fn stall(&self, port: u16, stalled: bool) -> bool {
        self.faults.stall(port, stalled)
    }

    fn goodbye(&self, port: u16, text: &str) -> bool {
        self.faults.goodbye(port, text)
    }

    fn refuse_connections(&self, refuse: bool) {
        self.faults.refuse_connections(refuse);
    }

    fn limit(&self, connections: Option<usize>) {
        self.faults.limit(connections);
    }

    fn lock_maildrops(&self, lock: bool) {
        self.faults.maildrops(if lock { Maildrops::Locked } else { Maildrops::Shared });
    }

    fn open_sessions(&self) -> usize {
        self.sandbox.open_sessions()
    }
}
