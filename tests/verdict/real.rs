//! Real runs on a sandbox, and what the tests ask of a verdict.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mailconn::allocator::Mode;
use mailconn::protocol::{Endpoint, MailConnector, Protocol, Secret, Settings};
use mailconn::record::{
    Asked, Conclusion, Dispose, Entry, Executor, FailOn, Header, Lock, Operation, Role, Run, Summary, Verdict, What,
    WitnessedCommand, WitnessedSession,
};
use mailconn::sandbox::{CloseCause, Options, Sandbox, SessionRecord};
use mailconn::workload::{self, Audience, Control, Mix, Plan, Setup, Tally};

const PATIENCE: Duration = Duration::from_secs(10);

struct Nobody;

impl Audience for Nobody {
    fn begins(&mut self, _: &Header) {}
    fn goes_on(&mut self, _: &[Entry], _: &Tally) {}
}

pub fn plan(mode: Mode, workers: Vec<Role>, operations: u64, mix: &str) -> Plan {
    Plan {
        protocol: Protocol::Imap,
        mode,
        switches: Vec::new(),
        workers,
        executor: Executor::Threads,
        tasks: Vec::new(),
        dispose: Dispose::Never,
        asked: Asked::Operations(operations),
        mix: Mix::parse(Protocol::Imap, mix).unwrap(),
        mailboxes: vec!["INBOX".into(), "Archive".into()],
        seed: 11,
        pause: Duration::ZERO,
        lock: Lock::Unit,
    }
}

pub fn sandbox(options: Options) -> Sandbox {
    Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), options).unwrap()
}

pub fn run_on(sandbox: Sandbox, plan: &Plan) -> Run {
    let address = sandbox.address();
    run_by_way_of(address, sandbox, plan)
}

/// Dials `address`, and takes the sandbox's record.
pub fn run_by_way_of(address: SocketAddr, sandbox: Sandbox, plan: &Plan) -> Run {
    let run_id = "0123456789ab".to_owned();
    let connector = Arc::new(MailConnector::new(Settings {
        connect_timeout: PATIENCE,
        operation_timeout: PATIENCE,
        run_id: run_id.clone(),
        ..Settings::new(
            Endpoint::parse(&format!("imap://user@{address}"), None).unwrap(),
            Secret::new("secret".into()).into(),
        )
    }));
    let clock = Instant::now();
    let setup = Setup {
        run_id,
        server: "sandbox".into(),
        clock,
        wait_timeout: PATIENCE,
        max_connections: None,
        letters: None,
        tls: false,
        insecure: false,
        fail_on: FailOn::default(),
    };
    let mut run = workload::run(plan, &connector, &setup, &Arc::new(Control::default()), &mut Nobody).unwrap();
    while sandbox.open_sessions() > 0 && clock.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    run.witness = Some(sandbox.stop(PATIENCE).into_iter().map(|session| row(session, clock)).collect());
    run
}

fn row(session: SessionRecord, clock: Instant) -> WitnessedSession {
    let label = |name: &str| session.label.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone());
    let cause = session.closed.as_ref().map(|(_, cause)| *cause);
    WitnessedSession {
        peer_port: session.peer_port,
        run_id: label("x-mailconn-run"),
        label: label("x-mailconn-session"),
        logged_out: cause == Some(CloseCause::Logout),
        open: matches!(cause, None | Some(CloseCause::Server)),
        commands: session
            .commands
            .iter()
            .map(|command| WitnessedCommand {
                tag: command.tag.to_string(),
                verb: command.verb.to_owned(),
                selected: command.selected.as_deref().map(str::to_owned),
                at: Some(command.at.saturating_duration_since(clock)),
            })
            .collect(),
    }
}

/// A run with every kind of connection: w0 and w1 have defaults, w2 passes an independent one, w3 and w4 use main.
pub fn mixed() -> Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    let make = || {
        let roles = [(true, false), (true, false), (false, true), (false, false), (false, false)];
        let workers =
            roles.map(|(creates_default, creates_independent)| Role { creates_default, creates_independent }).to_vec();
        let plan = plan(Mode::UseMainOrDefault, workers, 12, "noop,list,status,fetch,search");
        run_on(sandbox(Options::default()), &plan)
    };
    RUN.get_or_init(make).clone()
}

/// A run of three threads with defaults that their first operation created.
pub fn own() -> Run {
    static RUN: OnceLock<Run> = OnceLock::new();
    let make = || {
        let plan = plan(Mode::UseDefault, vec![Role::default(); 3], 12, "noop,list,status,fetch,search");
        run_on(sandbox(Options::default()), &plan)
    };
    RUN.get_or_init(make).clone()
}

pub fn verdict(run: &Run) -> Verdict {
    Verdict::on(run, &Summary::of(run))
}

pub fn ids(verdict: &Verdict) -> Vec<&str> {
    verdict.findings.iter().map(|finding| finding.id).collect()
}

/// The verdict must be that the run is broken, for this reason among others.
#[track_caller]
pub fn is_broken(run: &Run, id: &str, what: &str) -> Verdict {
    let verdict = verdict(run);
    assert!(ids(&verdict).contains(&id), "{what}: {id} is missing in {:?}", verdict.findings);
    assert_eq!((verdict.conclusion, verdict.conclusion.exit_code()), (Conclusion::Broken, 7), "{what}");
    verdict
}

/// Everything held, and nothing was found but what waiting in line costs.
#[track_caller]
pub fn is_clean(run: &Run) -> Verdict {
    let verdict = verdict(run);
    let found: Vec<_> = verdict.findings.iter().filter(|finding| finding.id != "MC050").collect();
    assert!(found.is_empty(), "{found:?}");
    assert_eq!(verdict.conclusion, Conclusion::Held);
    let issued = run.operations().count() as u64;
    assert_eq!((verdict.rules.checked, verdict.rules.held), (issued, issued));
    verdict
}

pub fn operations(run: &mut Run) -> impl Iterator<Item = &mut Operation> {
    run.entries.iter_mut().filter_map(|entry| match &mut entry.what {
        What::Operation(operation) => Some(&mut **operation),
        _ => None,
    })
}

/// The last operation of that worker.
#[track_caller]
pub fn last_of(run: &mut Run, worker: u32) -> &mut Operation {
    operations(run).filter(|operation| operation.worker.0 == worker).last().unwrap()
}

pub fn witness(run: &mut Run) -> &mut Vec<WitnessedSession> {
    run.witness.as_mut().unwrap()
}
