//! What the flags mean together: checked, resolved, nothing dialled yet.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::args::{GateArgs, RunArgs, ServerArgs, SignInArgs, TlsArgs};
use super::baseline::{BaselineFile, no_baseline_of_its_own};
use super::destinations::{self, Destination};
use super::operations;
use super::sandbox::limits;
use super::sandbox::listen::Listen;
use super::secrets;
use super::workers::{self, Who};
use mailconn::allocator::may_create_default;
use mailconn::event::{Asked, Executor, Lock, NewPolicy, Policy, Role, SandboxOptions, Severity};
use mailconn::protocol::{
    Credentials, EhloName, Endpoint, Family, Mechanism, Operation, Protocol, Scratch, Security, SmtpOperation, Tls,
    TlsSettings, Way,
};
use mailconn::report::{Format, ProgressKind};
use mailconn::sandbox::{Like, Limit, Maildrops};
use mailconn::workload::{self, Mix, Plan, Setup};

/// The environment variable that names the server.
pub const SERVER: &str = "MAILCONN_SERVER";
/// A seed of our own choosing is short: it stands in the report's first line, and is typed again from there.
const SEEDS: u64 = 1_000_000;
/// Operations of a worker: those of all workers together can still be counted.
const MOST_OPERATIONS: u64 = 1_000_000_000_000;

/// As many threads as rayon gives a pool, and more than tokio was tried with.
const MOST_POOLED: u32 = 65_535;
/// Tasks stand in line from the start, all of them.
const MOST_TASKS: u32 = 100_000;

/// The operations in all of a run on a named SMTP server, where no mail is sent and no flag names a number: Exim ends a
/// session after ten commands without mail, and the sign-in may count.
const WITHOUT_MAIL: u32 = 8;

/// Everything a run needs to know.
pub struct Settings {
    /// What is done.
    pub plan: Plan,
    /// The sender of mail; none for the user who signs in.
    pub from: Option<String>,
    /// The recipient of mail; none for the user who signs in.
    pub to: Option<String>,
    /// Where append makes its mailboxes.
    pub scratch: Scratch,
    /// To whom it is done.
    pub reach: Reach,
    /// How it is reported.
    pub reporting: Reporting,
    /// Which findings fail the run.
    pub policy: Policy,
    /// What is told meanwhile.
    pub progress: ProgressKind,
    /// What is to be said before it begins: why it does so little.
    pub note: Option<String>,
}

/// How to reach the server, and how long anything may take there.
pub struct Reach {
    /// Whom to dial.
    pub server: Server,
    /// What SMTP sessions call themselves.
    pub ehlo: EhloName,
    /// For how long a dial may take.
    pub connect_timeout: Duration,
    /// For how long an operation may take.
    pub operation_timeout: Duration,
    /// For how long an operation may wait.
    pub wait_timeout: Duration,
    /// The cap on connections.
    pub max_connections: Option<usize>,
    /// The directory of the sessions' transcripts, if they are wanted.
    pub transcripts: Option<PathBuf>,
    /// The usual POP3 maildrops of the sandbox.
    pub maildrops: Maildrops,
}

/// How to report.
pub struct Reporting {
    /// In which forms, and where each goes.
    pub destinations: Vec<Destination>,
    /// Whether a table lists every operation.
    pub each: bool,
}

/// Whom to dial.
pub enum Server {
    /// The one in the box.
    Sandbox {
        /// As it was asked for: `sandbox+smtps`.
        name: String,
        /// What is spoken, how protected, and who signs in; its port is known when it listens.
        endpoint: Endpoint,
        /// The same, for the server.
        listen: Listen,
        /// How to sign in, if not by the strongest way.
        auth: Option<Way>,
        /// Its limit on connections of a user.
        connections: Option<usize>,
        /// Its other limits.
        limits: Vec<Limit>,
        /// In whose words it refuses.
        like: Option<Like>,
        /// Whether a POP3 session has its maildrop to itself, if that was said.
        maildrops: Option<Maildrops>,
        /// How late it replies.
        latency: Duration,
        /// How far away it is, as a round trip.
        rtt: Duration,
    },
    /// A real one.
    Real {
        /// Where it is, and who signs in.
        endpoint: Endpoint,
        /// With what; none where nobody does.
        credentials: Option<Credentials>,
        /// How, if not by the strongest way.
        auth: Option<Way>,
        /// Which of its addresses are dialled, if not all.
        family: Option<Family>,
        /// Whom to trust and as whom; none in plaintext.
        tls: Option<Tls>,
    },
}

impl Server {
    /// How the sandbox is to behave, where it is the server; with such maildrops unless it was asked for others.
    pub fn sandbox(&self, usual: Maildrops) -> Option<SandboxOptions> {
        let Self::Sandbox { connections, limits, like, maildrops, latency, rtt, .. } = self else { return None };
        let locks_maildrops = maildrops.unwrap_or(usual) == Maildrops::Locked;
        let limits = limits.iter().map(Limit::to_string).collect();
        let like = like.map(|like| like.name().to_owned());
        let (latency_us, rtt_us) = ((*latency).into(), (!rtt.is_zero()).then(|| (*rtt).into()));
        Some(SandboxOptions { connections: *connections, limits, like, locks_maildrops, latency_us, rtt_us })
    }

    /// How many threads of this process a connection has at the server's end.
    pub const fn threads_of_a_connection(&self) -> usize {
        match self {
            Self::Real { .. } => 0,
            Self::Sandbox { rtt, .. } if rtt.is_zero() => 1,
            // One for each direction carries its bytes.
            Self::Sandbox { .. } => 3,
        }
    }

    /// Fetches the secret for a real server.
    ///
    /// # Errors
    /// There is none, or it does not fit the way to sign in: one line.
    pub fn signed_in(mut self, args: &ServerArgs) -> Result<Self> {
        if let Self::Real { endpoint, credentials, auth, .. } = &mut self
            && endpoint.signs_in()
        {
            let patience = connect_timeout(args, endpoint.protocol);
            let secret = secrets::credentials(&args.sign_in, &*endpoint, &endpoint.user, patience)?;
            if let (Credentials::Token(_), Some(way)) = (&secret, auth) {
                ensure!(
                    matches!(way, Way::Sasl(Mechanism::OAuthBearer | Mechanism::XOAuth2)),
                    "--token-command gets a token, and this --auth would send it as a password; use oauthbearer or xoauth2, or \
                     --password-command"
                );
            }
            *credentials = Some(secret);
        }
        Ok(self)
    }

    /// How a client of it is set up, as far as that shapes a run's start.
    fn setup(&self, args: &RunArgs) -> Setup {
        let (server, tls, insecure) = match self {
            Self::Sandbox { name, endpoint, .. } => (name.clone(), endpoint.security != Security::Plain, false),
            Self::Real { endpoint, tls, .. } => {
                (endpoint.to_string(), tls.is_some(), tls.as_ref().is_some_and(|tls| !tls.verifies()))
            }
        };
        Setup {
            run_id: String::new(),
            server,
            sandbox: self.sandbox(Maildrops::Locked),
            clock: Instant::now(),
            wait_timeout: args.wait_timeout,
            max_connections: args.max_connections,
            letters: None,
            tls,
            insecure,
        }
    }

    /// What is spoken there.
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Sandbox { endpoint, .. } | Self::Real { endpoint, .. } => endpoint.protocol,
        }
    }
}

impl Settings {
    /// Resolves the flags and the environment.
    ///
    /// # Errors
    /// One line: what is wrong, and the cure.
    pub fn resolve(args: RunArgs) -> Result<Self> {
        let destinations = destinations::destinations(&args.reporting.output)?;
        ensure!(
            !args.each || destinations::include(&destinations, Format::Table),
            "--each lists operations above the table; --format ndjson holds every operation, --format json none"
        );
        let server = unsigned(args.server.as_deref(), "--server", &args.reach)?;
        let connect_timeout = connect_timeout(&args.reach, server.protocol());
        let is_named = matches!(server, Server::Real { .. });
        let plan = plan(&args, server.protocol(), is_named)?;
        only_where_they_matter(&args, &plan)?;
        let scratch = scratch(&args, &plan)?;
        let told = &args.reporting;
        let mut policy = policy(&told.fail_on, &told.gates)?;
        for file in destinations::files(&told.output) {
            no_baseline_of_its_own(args.baseline.baseline.as_deref(), Some(file))?;
        }
        let reporting = Reporting { destinations, each: args.each };
        ensure!(args.max_connections != Some(0), "--max-connections 0 allows no connection; give at least 1");
        let ehlo = ehlo(&args.reach)?;
        if let Some(file) = BaselineFile::read(args.baseline.baseline.as_deref(), &policy.gates)? {
            let start = workload::start(&plan, &server.setup(&args), false);
            policy.baseline = Some(file.figures(&start, &policy.gates)?);
        }
        // What is refused asks for no secret.
        let server = server.signed_in(&args.reach)?;
        Ok(Self {
            note: is_spared(&args, &plan.mix, is_named).then(why_so_few),
            plan,
            from: args.from.clone(),
            to: args.to.clone(),
            scratch,
            reach: Reach {
                server,
                ehlo,
                connect_timeout,
                operation_timeout: args.reach.timeout,
                wait_timeout: args.wait_timeout,
                max_connections: args.max_connections,
                transcripts: args.reporting.transcripts.transcript,
                maildrops: Maildrops::Locked,
            },
            reporting,
            policy,
            progress: args.reporting.progress,
        })
    }
}

/// The longest name of a mailbox that an operation's line has room for, many times over.
const NAME: usize = 1000;

fn plan(args: &RunArgs, protocol: Protocol, is_named: bool) -> Result<Plan> {
    ensure!(args.threads >= 1, "--threads 0 leaves no worker; give at least 1");
    ensure!(args.threads <= 100_000, "--threads {} is more than any machine runs; give at most 100000", args.threads);
    ensure!(args.operations != Some(0), "--operations 0 leaves nothing to do; give at least 1");
    ensure!(args.operations <= Some(MOST_OPERATIONS), "--operations: give at most {MOST_OPERATIONS}, or a --duration");
    ensure!(args.mailbox.len() <= usize::from(u16::MAX), "at most {} mailboxes can be named", u16::MAX);
    for name in &args.mailbox {
        a_mailbox("--mailbox", name)?;
    }
    let mode = args.mode;
    let executor = args.executor;
    let mix = mix(args, protocol)?;
    let is_spared = is_spared(args, &mix, is_named);
    let tasks = tasks(args, executor, is_spared)?;
    let (who, total) = tasks.map_or((Who::Workers, args.threads), |tasks| (Who::Tasks, tasks));
    let default_for = workers::parse(&args.default_for, who, total).context("--default-for")?;
    let independent_for = workers::parse(&args.independent_for, who, total).context("--independent-for")?;
    if default_for.contains(&true) {
        may_create_default(mode, None).map_err(|refusal| anyhow::anyhow!("--default-for: {refusal}"))?;
    }
    if tasks.is_some() && default_for.contains(&true) {
        // Those that begin after the switch create theirs under its mode.
        let refused = args.switch_mode.iter().find_map(|switch| may_create_default(switch.mode, None).err());
        if let Some(refusal) = refused {
            bail!("--switch-mode with --default-for: tasks that begin after it could not create theirs: {refusal}");
        }
    }
    let roles = default_for.into_iter().zip(independent_for);
    let roles = roles.map(|(creates_default, creates_independent)| Role { creates_default, creates_independent });
    let (workers, tasks) = match tasks {
        None => (roles.collect(), Vec::new()),
        Some(_) => (vec![Role::default(); args.threads as usize], roles.collect()),
    };
    let plan = Plan {
        protocol,
        mode,
        switches: args.switch_mode.clone(),
        workers,
        executor,
        tasks,
        dispose: args.dispose.unwrap_or_default(),
        asked: match (args.duration, args.operations) {
            (Some(duration), _) => Asked::Duration(duration.into()),
            (None, Some(each)) => Asked::Operations(each),
            (None, None) if is_spared => Asked::InAll(u64::from(WITHOUT_MAIL)),
            (None, None) => Asked::Operations(100),
        },
        mailboxes: match &*args.mailbox {
            [] => vec!["INBOX".into()],
            named => named.iter().map(|name| name.as_str().into()).collect(),
        },
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..SEEDS)),
        pause: args.pause,
        lock: lock(args, &mix)?,
        mix,
    };
    switches(&plan)?;
    Ok(plan)
}

/// Whether the server is to be asked for few operations: it may end a session that brings no mail.
fn is_spared(args: &RunArgs, mix: &Mix, is_named: bool) -> bool {
    let mut operations = mix.operations();
    let brings_mail = operations.any(|operation| !matches!(operation, Operation::Smtp(_)) || operation.writes());
    is_named && !brings_mail && args.operations.is_none() && args.duration.is_none()
}

fn why_so_few() -> String {
    format!(
        "{WITHOUT_MAIL} operations in all, unless -n says how many each does: Exim ends a session after ten commands \
         without mail, Postfix after about a hundred"
    )
}

fn a_mailbox(flag: &str, name: &str) -> Result<()> {
    ensure!(!name.is_empty(), "{flag} needs a name");
    ensure!(
        name.len() <= NAME,
        "{flag} is {} bytes long; no server has a mailbox whose name is over {NAME}",
        name.len()
    );
    ensure!(
        !name.contains(|c: char| c.is_control()),
        "{flag} {name:?} holds a control character; no server has such a mailbox"
    );
    Ok(())
}

/// Nobody is asked for namespaces who has no use for them.
fn scratch(args: &RunArgs, plan: &Plan) -> Result<Scratch> {
    let appends = plan.mix.operations().any(|operation| operation.spec().needs_scratch());
    match &args.scratch_under {
        Some(name) => {
            a_mailbox("--scratch-under", name)?;
            ensure!(
                appends,
                "--scratch-under is about the mailbox of append, which is not among the operations: add it to --ops"
            );
            Ok(Scratch::Under(name.clone()))
        }
        None => Ok(if appends { Scratch::Personal } else { Scratch::Top }),
    }
}

/// Each must come after the one before it, and before the last operation.
fn switches(plan: &Plan) -> Result<()> {
    let all = plan.operations().unwrap_or(u64::MAX);
    let mut before = 0;
    for switch in &plan.switches {
        let named = format!("--switch-mode {}={}", switch.after, switch.mode);
        ensure!(
            switch.after > before,
            "{named} comes after {before}=…; give them in ascending order, each number once"
        );
        ensure!(
            switch.after < all,
            "{named}: the run issues {all} operation(s), so none would follow; give a number below it"
        );
        before = switch.after;
    }
    Ok(())
}

/// How many tasks; none if the workers do the work themselves.
fn tasks(args: &RunArgs, executor: Executor, is_spared: bool) -> Result<Option<u32>> {
    let name = executor.name();
    if executor == Executor::Threads {
        let cure = "its threads do the work themselves; add --executor pool or tasks, or leave it out";
        ensure!(args.tasks.is_none(), "--tasks says how many tasks, and --executor threads has none: {cure}");
        ensure!(
            args.dispose.is_none(),
            "--dispose is about the end of a task, and --executor threads has none: {cure}"
        );
        return Ok(None);
    }
    ensure!(
        args.duration.is_none(),
        "--duration is for workers that work side by side, and --executor {name} has tasks that may wait for each other: \
         give --tasks and --operations"
    );
    ensure!(args.threads <= MOST_POOLED, "--executor {name} has at most {MOST_POOLED} --threads");
    let usual = if is_spared { WITHOUT_MAIL } else { args.threads.saturating_mul(10).min(MOST_TASKS) };
    let tasks = args.tasks.unwrap_or(usual);
    ensure!(tasks >= 1, "--tasks 0 leaves nothing to do; give at least 1");
    ensure!(tasks <= MOST_TASKS, "--tasks {tasks} is more than the queue holds; give at most {MOST_TASKS}");
    Ok(Some(tasks))
}

fn lock(args: &RunArgs, mix: &Mix) -> Result<Lock> {
    let lock = args.lock;
    ensure!(
        lock == Lock::Unit || mix.operations().any(Operation::selects),
        "--lock command is for operations that select a mailbox and read it: give --ops {} (IMAP has them), or leave it out",
        operations::in_words("or", Operation::selects)
    );
    Ok(lock)
}

/// What fails a run: findings that are named, and gates.
///
/// # Errors
/// They contradict each other, or a gate is none.
pub fn policy(named: &[Option<Severity>], gates: &GateArgs) -> Result<Policy> {
    Ok(Policy {
        fail_on: fail_on(named)?,
        gates: gates.resolve()?,
        baseline: None,
        need: None,
        require_decision: false,
    })
}

/// What stored runs are judged by in place of their own policies.
///
/// # Errors
/// Those of [`policy`].
pub fn new_policy(named: &[Option<Severity>], gates: &GateArgs) -> Result<NewPolicy> {
    let fail_on = (!named.is_empty()).then(|| fail_on(named)).transpose()?;
    Ok(NewPolicy { fail_on, gates: (!gates.is_empty()).then(|| gates.resolve()).transpose()?, baseline: None })
}

/// Which findings fail a run: those that are named, in the order of their severity. `none` stands alone.
fn fail_on(named: &[Option<Severity>]) -> Result<Vec<Severity>> {
    ensure!(
        !named.contains(&None) || named.len() == 1,
        "--fail-on: none stands alone; leave it out, or leave out the others"
    );
    Ok(Severity::ALL.into_iter().filter(|severity| named.contains(&Some(*severity))).collect())
}

/// A flag that changes nothing was meant to change something.
fn only_where_they_matter(args: &RunArgs, plan: &Plan) -> Result<()> {
    let protocol = plan.protocol;
    let named = args.reach.ehlo.is_some() || args.reach.ehlo_label;
    ensure!(
        !named || protocol == Protocol::Smtp,
        "--ehlo and --ehlo-label are for SMTP, and the server speaks {protocol}; leave them out"
    );
    ensure!(
        args.mailbox.is_empty() || protocol == Protocol::Imap,
        "--mailbox is for IMAP, and the server speaks {protocol}; leave it out"
    );
    let sends = plan.mix.operations().any(|operation| operation == Operation::Smtp(SmtpOperation::Send));
    for (flag, who, given) in [("--from", "sender", &args.from), ("--to", "recipient", &args.to)] {
        ensure!(
            given.is_none() || sends,
            "{flag} is the {who} of send, which is not among the operations: add it to --ops"
        );
    }
    Ok(())
}

fn mix(args: &RunArgs, protocol: Protocol) -> Result<Mix> {
    let mix = match &args.ops {
        Some(text) => Mix::parse(protocol, text).context("--ops")?,
        None => Mix::usual(protocol),
    };
    if let Some(writes) = mix.operations().find(|operation| operation.writes()).filter(|_| !args.allow_writes) {
        bail!("--ops: {writes} writes to the server; allow it with --allow-writes, or leave it out");
    }
    Ok(mix)
}

/// A host name as SMTP has it (RFC 5321 §4.1.2): labels of letters, digits and hyphens; or an address literal.
pub fn ehlo(args: &ServerArgs) -> Result<EhloName> {
    let Some(name) = &args.ehlo else {
        return Ok(if args.ehlo_label { EhloName::Label } else { EhloName::Address });
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    let is_literal = literal.is_some_and(|address| {
        address.parse::<Ipv4Addr>().is_ok()
            || address.strip_prefix("IPv6:").is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
    });
    ensure!(
        is_literal || (name.len() <= 253 && name.split('.').all(is_label)),
        "--ehlo {name:?} is neither a host name nor an address literal; write mail.example.org or [192.0.2.1]"
    );
    Ok(EhloName::Name(name.clone()))
}

/// Whom to dial: the server of that address, else the environment's, else the sandbox. `flag` is how the address is given.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn server(url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    unsigned(url, flag, args)?.signed_in(args)
}

/// The same; where nothing names a protocol, the sandbox speaks that one. One scenario may need a limit that is not of another's
/// protocol.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn server_speaking(usual: Protocol, url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    named(usual, url, flag, args)?.signed_in(args)
}

/// The server of that address, else the environment's, else the sandbox, before anybody was asked for a secret.
///
/// # Errors
/// One line: what is wrong, and the cure.
pub fn unsigned(url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    let server = named(Protocol::Imap, url, flag, args)?;
    let spoken = server.protocol();
    if let Some(limit) = args.sandbox_limit.iter().find(|limit| !holds_for(limit, spoken)) {
        bail!(
            "--sandbox-limit {limit} is for another protocol than {spoken}, which the server speaks; leave it out, or name a \
             sandbox like sandbox+smtp"
        );
    }
    Ok(server)
}

fn holds_for(limit: &Limit, spoken: Protocol) -> bool {
    limit.protocol.is_none_or(|protocol| protocol.to_string() == spoken.name())
}

fn named(usual: Protocol, url: Option<&str>, flag: &'static str, args: &ServerArgs) -> Result<Server> {
    let from_environment = || {
        let url = std::env::var_os(SERVER).filter(|url| !url.is_empty());
        url.map(|url| url.into_string().ok().with_context(|| format!("{SERVER} is not UTF-8 text"))).transpose()
    };
    let (url, named_by) = match url {
        Some(url) => (url.to_owned(), flag),
        None => from_environment()?.map_or_else(|| ("sandbox".to_owned(), "sandbox"), |url| (url, SERVER)),
    };
    match url.strip_prefix("sandbox") {
        Some("") if usual != Protocol::Imap => return sandbox(usual.name(), &format!("{url}+{}", usual.name()), args),
        Some("") => return sandbox("imap", &url, args),
        Some(scheme) if scheme.starts_with('+') => return sandbox(&scheme[1..], &url, args),
        _ => {}
    }
    let shapes = [
        ("--sandbox-connections", args.sandbox_connections.is_some()),
        ("--sandbox-limit", !args.sandbox_limit.is_empty()),
        ("--sandbox-like", args.sandbox_like.is_some()),
        ("--sandbox-maildrops", args.sandbox_maildrops.is_some()),
        ("--sandbox-latency", args.sandbox_latency.is_some()),
        ("--rtt", args.rtt.is_some()),
    ];
    if let Some((flag, _)) = shapes.into_iter().find(|(_, given)| *given) {
        bail!("{flag} shapes the sandbox, but {named_by} names a real server; leave one out");
    }
    let force = match (args.starttls, args.plaintext) {
        (true, _) => Some(Security::StartTls),
        (_, true) => Some(Security::Plain),
        _ => None,
    };
    let endpoint = Endpoint::parse(&url, force).context(named_by)?;
    let family = family(args);
    if let (Some(family), Ok(address)) = (family, endpoint.host.parse()) {
        ensure!(
            family.has(address),
            "-{} asks for {family} alone, and {address} is no {family} address; leave one out",
            if family == Family::V4 { 4 } else { 6 }
        );
    }
    let tls = tls(&args.tls, &endpoint)?;
    ensure!(
        endpoint.signs_in() || args.sign_in.is_empty(),
        "{endpoint} names no user, so nobody signs in: write smtp://user@host, or drop the sign-in flags"
    );
    Ok(Server::Real { endpoint, credentials: None, auth: args.sign_in.auth, family, tls })
}

/// The one in the box, spoken to by that scheme.
fn sandbox(scheme: &str, name: &str, args: &ServerArgs) -> Result<Server> {
    let SignInArgs { auth, .. } = &args.sign_in;
    ensure!(
        SignInArgs { auth: None, ..args.sign_in.clone() }.is_empty(),
        "the sandbox makes its own user: drop the flags for passwords and tokens, or name another server"
    );
    ensure!(!args.ipv6, "the sandbox listens on 127.0.0.1, and -6 asks for IPv6 alone; leave it out, or name a server");
    if let Some(flag) = given(&args.tls) {
        bail!("the sandbox brings its own certificate, which is trusted: drop {flag}, or name another server");
    }
    let force = args.starttls.then_some(Security::StartTls);
    // Port 9 stands for the one that it will have.
    let endpoint = Endpoint::parse(&format!("{scheme}://sandbox@127.0.0.1:9"), force);
    let endpoint = endpoint.with_context(|| {
        format!("{name}: there are sandbox, sandbox+imap, sandbox+imaps, and likewise smtp, smtps, pop3 and pop3s")
    })?;
    ensure!(args.sandbox_connections != Some(0), "--sandbox-connections 0 refuses every sign-in; give at least 1");
    let mut limits = limits(args.sandbox_connections, &args.sandbox_limit, args.sandbox_like);
    // The others are no business of this server's.
    limits.retain(|limit| holds_for(limit, endpoint.protocol));
    Ok(Server::Sandbox {
        name: name.to_owned(),
        endpoint,
        listen: Listen::parse(scheme, args.starttls, false)?,
        auth: *auth,
        connections: args.sandbox_connections,
        limits,
        like: args.sandbox_like,
        maildrops: args.sandbox_maildrops,
        latency: args.sandbox_latency.unwrap_or_default(),
        rtt: args.rtt.unwrap_or_default(),
    })
}

/// How long a dial may take. Servers wait ten seconds for a maildrop that another connection has locked, and then say so:
/// that is worth waiting for.
pub fn connect_timeout(args: &ServerArgs, protocol: Protocol) -> Duration {
    args.connect_timeout.unwrap_or(Duration::from_secs(if protocol == Protocol::Pop3 { 15 } else { 10 }))
}

const fn family(args: &ServerArgs) -> Option<Family> {
    match (args.ipv4, args.ipv6) {
        (true, _) => Some(Family::V4),
        (_, true) => Some(Family::V6),
        _ => None,
    }
}

/// How to encrypt; none in plaintext.
fn tls(args: &TlsArgs, endpoint: &Endpoint) -> Result<Option<Tls>> {
    if endpoint.security == Security::Plain {
        without_tls(args, &format!("{endpoint}"))?;
        return Ok(None);
    }
    let settings = TlsSettings {
        ca_file: args.ca_file.clone(),
        ca_pem: None,
        client_cert: args.client_cert.clone(),
        client_key: args.client_key.clone(),
        server_name: args.server_name.clone(),
        min_version: args.tls_min,
        insecure: args.insecure,
    };
    Ok(Some(settings.client()?))
}

/// A flag on TLS where there is none promises a protection that nobody has.
fn without_tls(args: &TlsArgs, server: &str) -> Result<()> {
    match given(args) {
        Some(flag) => bail!(
            "{flag} is about TLS, and {server} is spoken to in plaintext; drop it, or use TLS: an s behind the scheme \
             (imaps://), or --starttls"
        ),
        None => Ok(()),
    }
}

/// A flag on TLS that was given.
fn given(args: &TlsArgs) -> Option<&'static str> {
    let TlsArgs { ca_file, client_cert, client_key: _, server_name, tls_min, insecure } = args;
    let flags = [
        ("--ca-file", ca_file.is_some()),
        ("--client-cert", client_cert.is_some()),
        ("--server-name", server_name.is_some()),
        ("--tls-min", tls_min.is_some()),
        ("--insecure", *insecure),
    ];
    flags.into_iter().find(|(_, given)| *given).map(|(flag, _)| flag)
}
