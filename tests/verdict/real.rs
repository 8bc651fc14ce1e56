//! Real runs on a sandbox, and what the tests ask of a verdict.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use mailconn::allocator::Mode;
use mailconn::event::{Asked, Dispose, Event, Executor, Lock, Role};
use mailconn::protocol::{Endpoint, MailConnector, Protocol, Secret, Settings};
use mailconn::sandbox::{CloseCause, Options, Sandbox, SessionRecord};
use mailconn::workload::{Mix, Plan};
use serde_json::{Value, json};

use crate::cli::process::{events, of_kind, run};
use crate::support::tool;
use crate::support::written::{bytes, numbered};

const PATIENCE: Duration = Duration::from_secs(10);
const RUN_ID: &str = "0123456789ab";

/// The lines of `mailconn run` with these arguments.
pub fn lines(args: &str) -> Vec<Value> {
    events(&run(&format!("{args} --format ndjson")).stdout)
}

/// Two mailboxes, and each kind of operation.
const MIX: &str = "--mailbox INBOX --mailbox Archive --ops noop,list,status,fetch,search --seed 11";

/// A run with every kind of connection: w0 and w1 have defaults, w2 passes an independent one, w3 and w4 use main.
pub fn mixed() -> Vec<Value> {
    static RUN: OnceLock<Vec<Value>> = OnceLock::new();
    let make = || lines(&format!("-t 5 -n 12 --default-for w0-w1 --independent-for w2 {MIX}"));
    RUN.get_or_init(make).clone()
}

/// A run of three threads with defaults that their first operation created.
pub fn own() -> Vec<Value> {
    static RUN: OnceLock<Vec<Value>> = OnceLock::new();
    RUN.get_or_init(|| lines(&format!("-t 3 -n 12 --mode use-default {MIX}"))).clone()
}

pub fn sandbox() -> Sandbox {
    Sandbox::start(TcpListener::bind("127.0.0.1:0").unwrap(), Options::default()).unwrap()
}

/// A plan to be performed here: what no command line can ask for.
pub fn plan(mode: Mode, workers: usize, operations: u64, mix: &str) -> Plan {
    Plan {
        protocol: Protocol::Imap,
        mode,
        switches: Vec::new(),
        workers: vec![Role::default(); workers],
        executor: Executor::Threads,
        tasks: Vec::new(),
        dispose: Dispose::Never,
        asked: Asked::Operations(operations),
        mix: Mix::parse(Protocol::Imap, mix).unwrap(),
        mailboxes: vec!["INBOX".into()],
        seed: 11,
        pause: Duration::ZERO,
        lock: Lock::Unit,
    }
}

/// The file of a plan that is performed here and dials `address`, without the server's own record.
pub fn perform(address: SocketAddr, plan: &Plan, clock: Instant) -> String {
    tool::perform(plan, &connector(address), RUN_ID, clock)
}

/// What a plan tells of itself while it is performed here.
pub fn heard(address: SocketAddr, plan: &Plan) -> Vec<Event> {
    tool::heard(plan, &connector(address), RUN_ID, Instant::now())
}

fn connector(address: SocketAddr) -> Arc<MailConnector> {
    Arc::new(MailConnector::new(Settings {
        connect_timeout: PATIENCE,
        operation_timeout: PATIENCE,
        run_id: RUN_ID.to_owned(),
        ..Settings::new(
            Endpoint::parse(&format!("imap://user@{address}"), None).unwrap(),
            Secret::new("secret".into()).into(),
        )
    }))
}

/// The lines of a plan that is performed here: it dials `address`, and the record is the sandbox's.
pub fn run_by_way_of(address: SocketAddr, sandbox: Sandbox, plan: &Plan) -> Vec<Value> {
    let clock = Instant::now();
    let file = perform(address, plan, clock);
    let mut lines: Vec<Value> = file.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    while sandbox.open_sessions() > 0 && clock.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(2));
    }
    let end = lines.pop().unwrap();
    lines[0]["witnessed"] = json!(true);
    let seen = sandbox.stop(PATIENCE).into_iter().map(|session| witness_session(session, clock, &end["at_us"]));
    lines.extend(seen);
    lines.push(end);
    numbered(lines)
}

fn witness_session(session: SessionRecord, clock: Instant, at: &Value) -> Value {
    let label = |name: &str| session.label.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.clone());
    let cause = session.closed.as_ref().map(|(_, cause)| *cause);
    let command = |command: &mailconn::sandbox::CommandRecord| {
        let at = command.at.saturating_duration_since(clock).as_micros() as u64;
        json!({"tag": &*command.tag, "verb": command.verb, "selected": command.selected.as_deref(), "at_us": at})
    };
    json!({
        "event": "witness-session", "at_us": at, "peer_port": session.peer_port, "run_id": label("x-mailconn-run"),
        "label": label("x-mailconn-session"), "logged_out": cause == Some(CloseCause::Logout),
        "open": matches!(cause, None | Some(CloseCause::Server)),
        "commands": session.commands.iter().map(command).collect::<Vec<_>>(),
    })
}

/// What `mailconn report` says of those lines, in JSON.
#[track_caller]
pub fn verdict(run: &[Value]) -> Value {
    serde_json::from_str(&tool::report(&bytes(run))).unwrap()
}

/// How its table ends.
#[track_caller]
pub fn conclusion(run: &[Value]) -> String {
    let table = tool::told(&bytes(run), false, None);
    table.split_once("\nexit ").unwrap_or_else(|| panic!("{table}")).1.replace("\n ", "").trim_end().to_owned()
}

pub fn ids(verdict: &Value) -> Vec<&str> {
    crate::cli::process::findings(verdict)
}

/// That finding, if it was found.
pub fn found<'a>(verdict: &'a Value, id: &str) -> Option<&'a Value> {
    verdict["findings"].as_array().unwrap().iter().find(|finding| finding["id"] == id)
}

/// Its sentence.
#[track_caller]
pub fn says(finding: &Value) -> &str {
    finding["sentence"].as_str().unwrap()
}

/// So many checked by the rules or compared with the server's record, so many held.
pub fn agreement(verdict: &Value) -> [Option<u64>; 4] {
    let verdict = &verdict["verdict"];
    let (rules, witness) = (&verdict["rules"], &verdict["witness"]);
    [&rules["checked"], &rules["held"], &witness["checked"], &witness["agreed"]].map(Value::as_u64)
}

/// All of that many held, by the rules and by the server's own record.
#[track_caller]
pub fn all_held(verdict: &Value, operations: u64) {
    assert_eq!(agreement(verdict), [Some(operations); 4], "{:#}", verdict["findings"]);
}

/// The verdict must be that the run is broken, for this reason among others.
#[track_caller]
pub fn is_broken(run: &[Value], id: &str, what: &str) -> Value {
    let verdict = verdict(run);
    assert!(ids(&verdict).contains(&id), "{what}: {id} is missing in {:#}", verdict["findings"]);
    assert_eq!(verdict["exit_code"], 7, "{what}");
    verdict
}

/// Everything held, and nothing was found but what waiting in line costs.
#[track_caller]
pub fn is_clean(run: &[Value]) -> Value {
    let verdict = verdict(run);
    assert!(ids(&verdict).iter().all(|id| *id == "MC050"), "{:#}", verdict["findings"]);
    assert_eq!(verdict["exit_code"], 0);
    let issued = Some(of_kind(run, "operation").count() as u64);
    assert_eq!(agreement(&verdict)[..2], [issued; 2]);
    verdict
}

pub fn operations(run: &mut [Value]) -> impl Iterator<Item = &mut Value> {
    run.iter_mut().filter(|line| line["event"] == "operation")
}

/// The last operation of that worker.
#[track_caller]
pub fn last_of(run: &mut [Value], worker: u32) -> &mut Value {
    operations(run).filter(|operation| operation["worker"] == format!("w{worker}")).last().unwrap()
}

/// What the server saw of each session.
pub fn witness(run: &mut [Value]) -> Vec<&mut Value> {
    run.iter_mut().filter(|line| line["event"] == "witness-session").collect()
}

pub fn commands(session: &mut Value) -> &mut Vec<Value> {
    session["commands"].as_array_mut().unwrap()
}
