//! `mailconn scenario`: read, performed, told step by step.

mod shipped;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::args::ScenarioArgs;
use super::check::Screen;
use super::descriptors;
use super::interrupt::Interrupts;
use super::operations;
use super::settings::{self, Server};
use super::target::Target;
use super::testimony;
use mailconn::event::{Policy, SCHEMA_VERSION, ScenarioStart, Step, to_the_microsecond};
use mailconn::protocol::{self, Credentials, EhloName, MailConnector, Protocol, Secret, Stationery, Transcripts};
use mailconn::record::{Outcome, Run, Scenario, StepDone};
use mailconn::report::{self, Format, Output, RunReport, ScenarioLines, ScenarioReport};
use mailconn::sandbox::{self, Faults, Maildrops, Sandbox};
use mailconn::scenario::{Cut, Dialling, Provocateur, Script, Stage, perform};
use mailconn::workload::Control;

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
        let list = shipped::list(io::stdout().is_terminal());
        Output::Stdout.write_whole(list.as_bytes()).context("writing the list")?;
        return Ok(0);
    }
    let policy = settings::policy(&args.fail_on)?;
    let output = settings::output(args.output.as_deref())?;
    let whom = |usual| settings::server_speaking(usual, args.server.as_deref(), "--server", &args.reach);
    let mut server = whom(Protocol::Imap)?;
    let in_the_box = matches!(server, Server::Sandbox { .. });
    let texts = args.files.iter().zip(1..).map(|(file, number)| {
        let is_again = args.files.iter().take(number - 1).any(|other| is_stdin(other));
        ensure!(!(is_stdin(file) && is_again), "- is standard input, and can be read once");
        read(file)
    });
    let texts = texts.collect::<Result<Vec<_>>>()?;
    let mut scripts = Vec::with_capacity(texts.len());
    for (name, text) in &texts {
        // In the box, each has a server that speaks what it needs.
        if in_the_box {
            server = whom(Script::first_protocol(text).unwrap_or(Protocol::Imap))?;
        }
        let script = Script::parse(name, text, server.protocol())?;
        possible(&script, &server, args)?;
        scripts.push(script);
    }
    let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
    let transcripts = args.transcripts.transcript.as_deref();
    let transcripts = transcripts.map(|directory| Transcripts::create(directory, &run_id)).transpose();
    let transcripts = transcripts.context("--transcript")?.map(Arc::new);
    let most = scripts.iter().map(Script::most_connections).max().unwrap_or(0);
    let ends = if in_the_box { 2 } else { 1 };
    descriptors::make_room_in_memory(most, if in_the_box { most } else { 0 })?;
    descriptors::make_room_for(most, ends + u64::from(transcripts.is_some()))?;
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let mut screen = Screen::open(&output, &control)?;
    let mut theatre = Theatre {
        args,
        ehlo: settings::ehlo(&args.reach)?,
        policy,
        transcripts: transcripts.clone(),
        control,
        screen: &mut screen,
    };
    let mut real = if in_the_box { None } else { Some(Target::of(server, MAILDROPS)?) };
    if real.as_ref().and_then(|target| target.account.tls.as_ref()).is_some_and(|tls| !tls.verifies()) {
        super::complain(super::UNVERIFIED);
    }
    let mut worst = 0;
    for script in &scripts {
        let mut boxed;
        let target = match &mut real {
            Some(target) => target,
            // In the box, each begins with a server that nothing has happened to.
            None => {
                let users: Vec<&str> = script.users().map(|(_, user)| user).collect();
                boxed = Target::with_users(whom(script.protocol())?, MAILDROPS, &users)?;
                &mut boxed
            }
        };
        worst = worst.max(theatre.play(script, target)?);
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

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The shipped scenario of that name, else the file: what it is called, and its text.
fn read(file: &Path) -> Result<(String, String)> {
    let name = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
    if let Some(text) = shipped::text(&name) {
        return Ok((name, text.to_owned()));
    }
    let source: Box<dyn Read> = if is_stdin(file) {
        Box::new(io::stdin().lock())
    } else {
        let found = fs::metadata(file)
            .with_context(|| format!("{name}: no such scenario is shipped (see --list), and as a file"))?;
        ensure!(!found.is_dir(), "{name} is a directory; name a file in it");
        ensure!(found.is_file() || found.file_type().is_fifo(), "{name} is neither a file nor a pipe");
        Box::new(File::open(file).with_context(|| format!("reading {name}"))?)
    };
    let mut text = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut text).with_context(|| format!("reading {name}"))?;
    ensure!(
        u64::try_from(text.len()).is_ok_and(|length| length <= MOST_BYTES),
        "{name} is too big for a scenario: more than {MOST_BYTES} bytes"
    );
    let text = String::from_utf8(text).with_context(|| format!("{name} is no UTF-8 text"))?;
    Ok((name, text))
}

/// Whether that server can be asked what the scenario asks of it.
fn possible(script: &Script, server: &Server, args: &ScenarioArgs) -> Result<()> {
    let Server::Real { endpoint, .. } = server else { return Ok(()) };
    if let Some(line) = script.needs_sandbox() {
        bail!("{}:{line}:1: this line needs the sandbox: a real server does nothing wrong at our word", script.name());
    }
    if let Some((line, user)) = script.users().find(|(_, user)| *user != endpoint.user) {
        bail!(
            "{}:{line}:1: user={user} needs the sandbox, or --server with that user; this one signs everybody in as {:?}",
            script.name(),
            endpoint.user
        );
    }
    ensure!(
        !script.writes() || args.allow_writes,
        "{}: {} writes to the server; allow it with --allow-writes, or leave it out",
        script.name(),
        operations::in_words("or", operations::are_writing_steps)
    );
    Ok(())
}

/// What all scenarios of a call have in common.
struct Theatre<'a> {
    args: &'a ScenarioArgs,
    ehlo: EhloName,
    policy: Policy,
    transcripts: Option<Arc<Transcripts>>,
    control: Arc<Control>,
    screen: &'a mut Screen,
}

impl Theatre<'_> {
    /// Performs one, tells of it, and says with what code it ends.
    fn play(&mut self, script: &Script, target: &mut Target) -> Result<u8> {
        let Target { account, name, sandbox } = target;
        let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
        let letters = script
            .writes()
            .then(|| Stationery::new(&account.endpoint, self.args.from.as_deref(), self.args.to.as_deref(), &run_id));
        let letters = letters.transpose().context(
            "what is sent needs an address for its sender and its recipient: name them with --from and --to",
        )?;
        let connector = |dialling: &Dialling<'_>| {
            let mut endpoint = account.endpoint.clone();
            if let Some(user) = dialling.user {
                endpoint.user = user.to_owned();
            }
            let credentials = account.credentials.as_ref().map(|right| match dialling.wrong_password {
                true => Credentials::Password(Secret::new("not-the-password".to_owned())),
                false => right.share(),
            });
            MailConnector::new(protocol::Settings {
                credentials,
                auth: account.auth,
                family: account.family,
                tls: account.tls.clone(),
                connect_timeout: dialling.connect_timeout,
                operation_timeout: dialling.operation_timeout,
                run_id: dialling.run_id.to_owned(),
                ehlo: self.ehlo.clone(),
                transcripts: self.transcripts.clone(),
                starved: account.starved.clone(),
                ..protocol::Settings::without_sign_in(endpoint)
            })
        };
        let clock = Instant::now();
        let provoked = sandbox.as_ref().map(|sandbox| Provoked { sandbox, faults: sandbox.faults() });
        let stage = Stage {
            server: name.clone(),
            tls: account.tls.is_some(),
            insecure: account.tls.as_ref().is_some_and(|tls| !tls.verifies()),
            run_id,
            clock,
            connector: &connector,
            connect_timeout: settings::connect_timeout(&self.args.reach, account.endpoint.protocol),
            operation_timeout: self.args.reach.timeout,
            wait_timeout: self.args.wait_timeout,
            letters,
            provocateur: provoked.as_ref().map(|provoked| provoked as &dyn Provocateur),
        };
        let started = to_the_microsecond(SystemTime::now());
        let mut teller = Teller {
            start: ScenarioStart {
                schema_version: SCHEMA_VERSION,
                tool_version: env!("CARGO_PKG_VERSION").to_owned(),
                started,
                name: script.name().to_owned(),
                server: name.clone(),
                protocol: account.endpoint.protocol,
            },
            lines: (self.args.format == Format::Ndjson).then(|| ScenarioLines::new(started)),
        };
        self.screen.show(&teller.begins());
        let mut scenario = perform(script, &stage, &self.control, &mut |step| self.screen.show(&teller.step(step)))?;
        if self.control.interrupted().is_some() && self.control.signal().is_none() {
            // Nobody reads it: what counts is what was done until then.
            return Ok(u8::from(scenario.steps.iter().any(|step| !step.held())));
        }
        if let Some(sandbox) = sandbox.take() {
            scenario.witnessed(testimony::of(sandbox, clock, SANDBOX_STOP));
        }
        let scenario = scenario.in_microseconds();
        let outcome = scenario.outcome(self.policy.clone());
        self.screen.show(&teller.ends(&scenario, &outcome));
        Ok(outcome.exit_code)
    }
}

/// Puts what happens into words, for people or for programs.
struct Teller {
    start: ScenarioStart,
    /// None for people.
    lines: Option<ScenarioLines>,
}

impl Teller {
    fn begins(&mut self) -> String {
        let ScenarioStart { name, server, protocol, .. } = &self.start;
        match &mut self.lines {
            Some(lines) => lines.start(name, server, *protocol),
            None => report::scenario_begins(&self.start),
        }
    }

    fn step(&mut self, step: &StepDone) -> String {
        self.lines.as_mut().map_or_else(|| report::scenario_step(&step.step()), |lines| lines.step(step))
    }

    fn ends(&mut self, scenario: &Scenario, outcome: &Outcome) -> String {
        if let Some(lines) = &mut self.lines {
            return lines.end(scenario, outcome);
        }
        let policy = &outcome.judged_by;
        let run = |(name, run): &(String, Run)| Some((name.clone(), RunReport::of(&run.judge(), policy.clone())?));
        let clients = scenario.clients.iter().filter_map(run).collect();
        let steps: Vec<Step> = scenario.steps.iter().chain(&outcome.findings).map(StepDone::step).collect();
        let findings: String = outcome.findings.iter().map(|step| report::scenario_step(&step.step())).collect();
        let report =
            ScenarioReport::of(self.start.clone(), steps, clients, scenario.interrupted, outcome.judged_by.clone());
        findings + &report::scenario_ends(&report)
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

    fn delay(&self, by: Duration) {
        self.faults.delay(by);
    }

    fn lock_maildrops(&self, lock: bool) {
        self.faults.maildrops(if lock { Maildrops::Locked } else { Maildrops::Shared });
    }

    fn open_sessions(&self) -> usize {
        self.sandbox.open_sessions()
    }
}
