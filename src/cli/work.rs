//! What the flags on the work mean together: checked, resolved, nothing dialled yet.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::args::WorkArgs;
use super::harness::{Harness, Room};
use super::operations;
use super::settings::{Reach, Server};
use super::workers::{self, Who};
use mailconn::allocator::may_create_default;
use mailconn::compare::Needs;
use mailconn::event::{Asked, Executor, Lock, Role};
use mailconn::protocol::{self, Endpoint, MailConnector, Operation, Protocol, Scratch, SmtpOperation, Stationery};
use mailconn::workload::{Mix, Plan};

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
/// The longest name of a mailbox that an operation's line has room for, many times over.
const NAME: usize = 1000;

/// What is done, and on what terms.
#[derive(Clone)]
pub struct Work {
    /// What is done.
    pub plan: Plan,
    /// The sender of mail; none for the user who signs in.
    pub from: Option<String>,
    /// The recipient of mail; none for the user who signs in.
    pub to: Option<String>,
    /// Where append makes its mailboxes.
    pub scratch: Scratch,
    /// For how long an operation may wait.
    pub wait_timeout: Duration,
    /// The cap on connections.
    pub max_connections: Option<usize>,
    /// What is to be said before it begins: why it does so little.
    pub note: Option<String>,
}

impl Work {
    /// Resolves the flags, for that server; `usual` is how much a worker does without a flag for it.
    ///
    /// # Errors
    /// One line: what is wrong, and the cure.
    pub fn resolve(args: &WorkArgs, seed: Option<u64>, usual: Asked, server: &Server) -> Result<Self> {
        let is_named = matches!(server, Server::Real { .. });
        let seed = seed.unwrap_or_else(Self::new_seed);
        let plan = plan(args, seed, usual, server.protocol(), is_named)?;
        only_where_they_matter(args, &plan)?;
        let scratch = scratch(args, &plan)?;
        ensure!(args.max_connections != Some(0), "--max-connections 0 allows no connection; give at least 1");
        Ok(Self {
            note: is_spared(args, &plan.mix, is_named).then(why_so_few),
            plan,
            from: args.from.clone(),
            to: args.to.clone(),
            scratch,
            wait_timeout: args.wait_timeout,
            max_connections: args.max_connections,
        })
    }

    /// A seed for a run that is given none.
    pub fn new_seed() -> u64 {
        fastrand::u64(..SEEDS)
    }

    /// How many connections it can have open at once.
    pub fn most_connections(&self) -> usize {
        let most = self.plan.most_connections();
        self.max_connections.map_or(most, |max| max.min(most))
    }

    /// What it asks of the server.
    pub fn needs(&self) -> Needs {
        let connections = self.most_connections();
        let sessions = self.plan.most_sessions();
        // A thread that the cap keeps from its connection never has one.
        let kept = if self.plan.executor == Executor::Threads { connections as u64 } else { u64::MAX };
        Needs { connections, sessions: sessions.min(kept) }
    }

    /// What it takes of this process.
    pub fn room(&self) -> Room {
        let workers = u32::try_from(self.plan.workers.len()).unwrap_or(u32::MAX);
        Room { workers, connections: self.most_connections(), fewer: "fewer --threads" }
    }

    /// What it sends; none where it sends nothing.
    ///
    /// # Errors
    /// Nobody can send it, or get it: one line.
    pub fn letters(&self, endpoint: &Endpoint, run_id: &str) -> Result<Option<Stationery>> {
        if !self.plan.mix.operations().any(Operation::writes) {
            return Ok(None);
        }
        let letters = Stationery::new(endpoint, self.from.as_deref(), self.to.as_deref(), run_id);
        letters
            .map(Some)
            .context("what is sent needs an address for its sender and its recipient: name them with --from and --to")
    }

    /// Sets up the server, and who dials it; nothing is dialled yet.
    ///
    /// # Errors
    /// One line: what is missing, and the cure.
    pub fn set_up(&self, reach: Reach) -> Result<(Harness, Arc<MailConnector>)> {
        let (mut harness, account) = Harness::set_up(reach, &self.room())?;
        harness.setup.letters = self.letters(&account.endpoint, &account.run_id)?;
        let account = protocol::Settings { scratch: self.scratch.clone(), ..account };
        Ok((harness, Arc::new(MailConnector::new(account))))
    }
}

/// A flag that changes nothing was meant to change something.
fn only_where_they_matter(args: &WorkArgs, plan: &Plan) -> Result<()> {
    let protocol = plan.protocol;
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

fn plan(args: &WorkArgs, seed: u64, usual: Asked, protocol: Protocol, is_named: bool) -> Result<Plan> {
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
            (None, None) => usual,
        },
        mailboxes: match &*args.mailbox {
            [] => vec!["INBOX".into()],
            named => named.iter().map(|name| name.as_str().into()).collect(),
        },
        seed,
        pause: args.pause,
        lock: lock(args, &mix)?,
        mix,
    };
    switches(&plan)?;
    Ok(plan)
}

/// Whether the server is to be asked for few operations: it may end a session that brings no mail.
fn is_spared(args: &WorkArgs, mix: &Mix, is_named: bool) -> bool {
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
fn scratch(args: &WorkArgs, plan: &Plan) -> Result<Scratch> {
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
fn tasks(args: &WorkArgs, executor: Executor, is_spared: bool) -> Result<Option<u32>> {
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

fn lock(args: &WorkArgs, mix: &Mix) -> Result<Lock> {
    let lock = args.lock;
    ensure!(
        lock == Lock::Unit || mix.operations().any(Operation::selects),
        "--lock command is for operations that select a mailbox and read it: give --ops {} (IMAP has them), or leave it out",
        operations::in_words("or", Operation::selects)
    );
    Ok(lock)
}

fn mix(args: &WorkArgs, protocol: Protocol) -> Result<Mix> {
    let mix = match &args.ops {
        Some(text) => Mix::parse(protocol, text).context("--ops")?,
        None => Mix::usual(protocol),
    };
    if let Some(writes) = mix.operations().find(|operation| operation.writes()).filter(|_| !args.allow_writes) {
        bail!("--ops: {writes} writes to the server; allow it with --allow-writes, or leave it out");
    }
    Ok(mix)
}
