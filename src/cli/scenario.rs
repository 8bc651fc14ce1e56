//! `mailconn scenario`: read, performed, told step by step.

mod shipped;

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use super::anonymize::Anonymize;
use super::args::ScenarioArgs;
use super::baseline::first_that_compares;
use super::descriptors;
use super::destinations::{destinations, replace_none_of};
use super::interrupt::Interrupts;
use super::operations;
use super::settings::{self, Reporting, Server};
use super::stderr;
use super::target::Target;
use super::teller::Teller;
use super::testimony;
use mailconn::event::{self, Event, Policy, What, Within};
use mailconn::judge::first_of;
use mailconn::protocol::{self, Credentials, EhloName, MailConnector, Protocol, Secret, Stationery, Transcripts};
use mailconn::report::{Layout, Output, ScenarioReport, Told};
use mailconn::sandbox::{self, Maildrops, Sandbox};
use mailconn::scenario::{ClientSetup, Faults, Script, ServerFault, SessionFault, Setup, perform};
use mailconn::workload::Control;

/// How long the sandbox may take to see that its clients are gone.
const SANDBOX_STOP: Duration = Duration::from_secs(2);
/// The longest file of a scenario, in bytes; a longer one is not read.
const MOST_BYTES: u64 = 1 << 20;

/// The cure where there is no room.
const FEWER: &str = "a scenario with fewer threads and connections";

/// What speaks of several connections is to be seen by POP3 too, as on a real server that locks no maildrop. A scenario that
/// is about the lock asks for it.
const MAILDROPS: Maildrops = Maildrops::Shared;

/// Performs scenarios, or lists the shipped ones.
///
/// # Errors
/// A scenario cannot be read, or nothing could be run, or the report could not be written: one line.
pub fn scenario(args: &ScenarioArgs, layout: Layout) -> Result<u8> {
    if args.list {
        let list = shipped::list(io::stdout().is_terminal().then_some(layout));
        Output::Stdout.write_whole(list.as_bytes()).context("writing the list")?;
        return Ok(0);
    }
    let policy = settings::policy(&args.fail_on, &args.gates)?;
    if let Some(gate) = first_that_compares(&policy.gates) {
        bail!("{gate:?} compares runs, and a scenario is none; leave it out");
    }
    let destinations = destinations(&args.output, layout)?;
    replace_none_of(&args.files, "to be performed", &args.output)?;
    let anonymize = Anonymize::of(args.output.anonymize, &args.transcripts)?;
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
    descriptors::make_room_in_memory(most, most * server.threads_of_a_connection(), FEWER)?;
    descriptors::make_room_for(most, ends + u64::from(transcripts.is_some()), FEWER)?;
    let control = Arc::new(Control::default());
    let _interrupts = Interrupts::reach(&control).context("listening for signals")?;
    let mut teller = Teller::begin(Reporting { destinations, each: true, anonymize }, &control)?;
    let mut performance = Performance {
        args,
        ehlo: settings::ehlo(&args.reach)?,
        policy,
        transcripts: transcripts.clone(),
        control,
        teller: &mut teller,
    };
    let mut real = if in_the_box { None } else { Some(Target::of(server, MAILDROPS)?) };
    if real.as_ref().and_then(|target| target.account.tls.as_ref()).is_some_and(|tls| !tls.verifies()) {
        stderr::complain(stderr::UNVERIFIED);
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
        worst = first_of(worst, performance.perform(script, target)?);
        if performance.control.interrupted().is_some() {
            break;
        }
    }
    teller.end()?;
    if let Some(failure) = transcripts.and_then(|transcripts| transcripts.failure()) {
        stderr::complain(&failure);
    }
    Ok(worst)
}

fn is_stdin(file: &Path) -> bool {
    file.as_os_str() == "-"
}

/// The name and the text of the shipped scenario of that name, else of the file.
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
struct Performance<'a> {
    args: &'a ScenarioArgs,
    ehlo: EhloName,
    policy: Policy,
    transcripts: Option<Arc<Transcripts>>,
    control: Arc<Control>,
    teller: &'a mut Teller,
}

impl Performance<'_> {
    /// Performs one, tells of it, and says with what code it ends.
    fn perform(&mut self, script: &Script, target: &mut Target) -> Result<u8> {
        let Target { account, name, sandbox } = target;
        let run_id = format!("{:012x}", fastrand::u64(..1 << 48));
        let letters = script
            .writes()
            .then(|| Stationery::new(&account.endpoint, self.args.from.as_deref(), self.args.to.as_deref(), &run_id));
        let letters = letters.transpose().context(
            "what is sent needs an address for its sender and its recipient: name them with --from and --to",
        )?;
        let connector = |client: &ClientSetup<'_>| {
            let mut endpoint = account.endpoint.clone();
            if let Some(user) = client.user {
                endpoint.user = user.to_owned();
            }
            let credentials = account.credentials.as_ref().map(|right| match client.wrong_password {
                true => Credentials::Password(Secret::new("not-the-password".to_owned())),
                false => right.share(),
            });
            MailConnector::new(protocol::Settings {
                credentials,
                auth: account.auth,
                family: account.family,
                tls: account.tls.clone(),
                connect_timeout: client.connect_timeout,
                operation_timeout: client.operation_timeout,
                run_id: client.run_id.to_owned(),
                ehlo: self.ehlo.clone(),
                transcripts: self.transcripts.clone(),
                starved: account.starved.clone(),
                ..protocol::Settings::without_sign_in(endpoint)
            })
        };
        let (clock, started) = (Instant::now(), event::to_the_microsecond(SystemTime::now()));
        let faults = sandbox.as_ref().map(|sandbox| SandboxFaults { sandbox, faults: sandbox.faults() });
        let setup = Setup {
            server: name.clone(),
            tls: account.tls.is_some(),
            insecure: account.tls.as_ref().is_some_and(|tls| !tls.verifies()),
            run_id,
            clock,
            started,
            connector: &connector,
            connect_timeout: settings::connect_timeout(&self.args.reach, account.endpoint.protocol),
            operation_timeout: self.args.reach.timeout,
            wait_timeout: self.args.wait_timeout,
            letters,
            faults: faults.as_ref().map(|faults| faults as &dyn Faults),
        };
        let mut report = None;
        let teller = &mut *self.teller;
        let mut audience = |client: Option<&str>, events: &[Event]| {
            let events = teller.anonymous(client.map(Within::client).unwrap_or_default(), events);
            events.iter().for_each(|event| take_in(&mut report, event));
            let client = client.map(|client| teller.anonymize().label(client));
            teller.see(client.as_deref().map(Within::client).unwrap_or_default(), &events);
        };
        let performed = perform(script, &setup, &self.control, &mut audience)?;
        if self.control.interrupted().is_some() && self.control.signal().is_none() {
            // Nobody reads it: the steps until then count.
            return Ok(u8::from(!performed.held()));
        }
        let seen = sandbox.take().map(|sandbox| testimony::of(sandbox, clock, SANDBOX_STOP)).unwrap_or_default();
        let exit_code = performed.end(seen, self.policy.clone()).exit_code;
        if let Some(report) = report {
            self.teller.over(&Told::Scenario(Box::new(report)));
        }
        Ok(exit_code)
    }
}

/// Takes the event into the report, which its first one begins.
fn take_in(report: &mut Option<ScenarioReport>, event: &Event) {
    match (&event.what, report) {
        (What::ScenarioStart(start), report) => *report = Some(ScenarioReport::new((**start).clone())),
        (_, Some(report)) => report.see(event),
        (_, None) => {}
    }
}

/// The sandbox, which does as it is told.
struct SandboxFaults<'a> {
    sandbox: &'a Sandbox,
    faults: sandbox::Faults,
}

impl Faults for SandboxFaults<'_> {
    fn on_session(&self, port: u16, fault: &SessionFault) -> bool {
        match fault {
            SessionFault::Close => self.faults.cut(port, sandbox::Cut::Fin),
            SessionFault::Reset => self.faults.cut(port, sandbox::Cut::Rst),
            SessionFault::Stall => self.faults.stall(port, true),
            SessionFault::Resume => self.faults.stall(port, false),
            SessionFault::Bye(text) => self.faults.goodbye(port, text),
        }
    }

    fn on_server(&self, fault: &ServerFault) {
        match *fault {
            ServerFault::RefuseConnections(refuse) => self.faults.refuse_connections(refuse),
            ServerFault::LimitConnections(limit) => self.faults.limit(limit),
            ServerFault::Delay(by) => self.faults.delay(by),
            ServerFault::LockMaildrops(true) => self.faults.maildrops(Maildrops::Locked),
            ServerFault::LockMaildrops(false) => self.faults.maildrops(Maildrops::Shared),
        }
    }

    fn open_sessions(&self) -> usize {
        self.sandbox.open_sessions()
    }
}
