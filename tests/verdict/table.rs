//! The whole truth table, each cell obeyed once and violated in every way, and the order of the conclusions.

use std::time::{Duration, SystemTime};

use mailconn::allocator::{ConnectionId, Kind, Mode, Reason, SessionId};
use mailconn::protocol::{Failure, FailureKind, Phases, Protocol, Stage};
use mailconn::record::{
    Asked, Command, Conclusion, Dispose, Entry, Executor, FailOn, Header, Lock, Names, OpenFailed, Opened, Operation,
    Role, Run, What, WorkerId,
};

use super::real::{ids, verdict};

const MAIN: u32 = 0;
const OWN_DEFAULT: u32 = 1;
const PASSED: u32 = 2;
const ANOTHERS_DEFAULT: u32 = 3;
const ANOTHER_INDEPENDENT: u32 = 4;
const CREATED_FOR_IT: u32 = 5;
const ALL: [u32; 6] = [MAIN, OWN_DEFAULT, PASSED, ANOTHERS_DEFAULT, ANOTHER_INDEPENDENT, CREATED_FOR_IT];

/// A run written by hand, entry after entry.
pub struct Written(pub Run);

impl Written {
    pub fn new(mode: Mode) -> Self {
        let header = Header {
            run_id: "0123456789ab".into(),
            tool_version: "0".to_owned(),
            started: SystemTime::UNIX_EPOCH,
            server: "by hand".into(),
            protocol: Protocol::Imap,
            tls: false,
            insecure: false,
            mode,
            switches: Vec::new(),
            workers: vec![Role::default(); 2],
            executor: Executor::Threads,
            tasks: Vec::new(),
            dispose: Dispose::Never,
            asked: Asked::Duration(Duration::from_secs(1)),
            mix: "noop=1".into(),
            mailboxes: vec!["INBOX".into()],
            seed: 0,
            max_connections: None,
            lock: Lock::Unit,
            fail_on: FailOn::default(),
            names: Names::default(),
            scripted: false,
        };
        Self(Run { header, entries: Vec::new(), end: Default::default(), witness: None })
    }

    pub fn enter(&mut self, what: What) -> u64 {
        let seq = self.0.entries.len() as u64;
        self.0.entries.push(Entry { seq, at: Duration::from_millis(seq), what });
        seq + 1
    }

    pub fn create(&mut self, connection: u32, kind: Kind, worker: u32, by_hand: bool) {
        let (connection, worker) = (ConnectionId(connection), Some(WorkerId(worker)));
        self.enter(What::Created { connection, kind, worker, task: None, by_hand });
    }

    pub fn open(&mut self, connection: u32) {
        self.enter(What::Opened(Box::new(Opened {
            session: session(connection),
            worker: Some(WorkerId(0)),
            began: Duration::ZERO,
            local_port: port(connection),
            phases: Phases::default(),
            tls: None,
            label: None,
            signed_in_by: None,
            signed_in: Duration::from_millis(self.0.entries.len() as u64),
            commands: Box::default(),
        })));
    }

    pub fn close(&mut self, connection: u32, how: mailconn::record::HowClosed) {
        self.enter(What::Closed(Box::new(mailconn::record::Closed {
            session: session(connection),
            how,
            sent: 1,
            received: 1,
            commands: Box::default(),
            carried: 1,
        })));
    }

    pub fn refused(&mut self, connection: u32, number: u32, open: usize, kind: FailureKind) {
        self.enter(What::OpenFailed(Box::new(OpenFailed {
            session: SessionId { number, ..session(connection) },
            worker: Some(WorkerId(0)),
            local_port: None,
            phases: Phases::default(),
            took: Duration::from_millis(7),
            sign_in_attempted: true,
            open,
            dialling: 0,
            failed: Duration::from_millis(self.0.entries.len() as u64),
            failure: Failure::new(kind, Stage::Auth, "refused").with_line(b"NO because"),
        })));
    }
}

pub fn session(connection: u32) -> SessionId {
    SessionId { connection: ConnectionId(connection), number: 1 }
}

pub fn port(connection: u32) -> u16 {
    1000 + u16::try_from(connection).unwrap()
}

/// An operation of w0 on that connection.
pub fn operation(connection: u32, issued_after: u64, mode: Mode, reason: Reason) -> Operation {
    Operation {
        worker: WorkerId(0),
        task: None,
        number: 1,
        name: "noop",
        mailbox: None,
        issued_after,
        issued_at: Duration::ZERO,
        mode,
        had_default: false,
        passed: None,
        reason: Some(reason),
        session: Some(session(connection)),
        opened: false,
        local_port: Some(port(connection)),
        commands: Box::new([Command { tag: 9, verb: "NOOP" }]),
        failed_command: None,
        wait: Duration::ZERO,
        dial: Duration::ZERO,
        service: Duration::from_micros(9),
        outcome: Ok(0),
        answered_by: None,
        relied_on: None,
    }
}

/// One operation of w0, on any of six connections.
fn judged(mode: Mode, had_default: bool, passed: bool, used: u32, reason: Reason) -> bool {
    let mut run = Written::new(mode);
    run.open(MAIN);
    if had_default {
        run.create(OWN_DEFAULT, Kind::Default, 0, true);
        run.open(OWN_DEFAULT);
    }
    run.create(PASSED, Kind::Independent, 0, true);
    run.create(ANOTHERS_DEFAULT, Kind::Default, 1, true);
    run.create(ANOTHER_INDEPENDENT, Kind::Independent, 1, true);
    for connection in [PASSED, ANOTHERS_DEFAULT, ANOTHER_INDEPENDENT] {
        run.open(connection);
    }
    let issued_after = run.0.entries.len() as u64;
    if used == CREATED_FOR_IT {
        run.create(CREATED_FOR_IT, Kind::Default, 0, false);
        run.open(CREATED_FOR_IT);
    }
    let mut operation = operation(used, issued_after, mode, reason);
    operation.had_default = had_default;
    operation.passed = passed.then_some(ConnectionId(PASSED));
    run.enter(What::Operation(Box::new(operation)));
    let verdict = verdict(&run.0);
    let held = verdict.rules.held == 1;
    assert_eq!(ids(&verdict).contains(&"MC001"), !held, "{:?}", verdict.findings);
    assert_eq!(verdict.conclusion == Conclusion::Broken, !held);
    held
}

/// The table of rules A1–A3, by hand a third time.
#[rustfmt::skip]
const TABLE: [(Mode, bool, bool, u32, Reason); 12] = [
    (Mode::UseMain,          false, false, MAIN,           Reason::Main),
    (Mode::UseMain,          true,  false, MAIN,           Reason::Main),
    (Mode::UseMain,          false, true,  PASSED,         Reason::Explicit),
    (Mode::UseMain,          true,  true,  PASSED,         Reason::Explicit),
    (Mode::UseDefault,       false, false, CREATED_FOR_IT, Reason::DefaultCreated),
    (Mode::UseDefault,       true,  false, OWN_DEFAULT,    Reason::Default),
    (Mode::UseDefault,       false, true,  PASSED,         Reason::Explicit),
    (Mode::UseDefault,       true,  true,  PASSED,         Reason::Explicit),
    (Mode::UseMainOrDefault, false, false, MAIN,           Reason::Main),
    (Mode::UseMainOrDefault, true,  false, OWN_DEFAULT,    Reason::Default),
    (Mode::UseMainOrDefault, false, true,  PASSED,         Reason::Explicit),
    (Mode::UseMainOrDefault, true,  true,  PASSED,         Reason::Explicit),
];

#[test]
fn each_cell_of_the_table_holds_for_its_connection_and_its_reason_alone() {
    for (mode, had_default, passed, due, reason) in TABLE {
        for used in ALL {
            let held = judged(mode, had_default, passed, used, reason);
            assert_eq!(held, used == due, "{mode}, had {had_default}, passed {passed}: #{used} for {reason}");
        }
        for other in [Reason::Main, Reason::Default, Reason::DefaultCreated, Reason::Explicit] {
            let held = judged(mode, had_default, passed, due, other);
            assert_eq!(held, other == reason, "{mode}, had {had_default}, passed {passed}: {other}");
        }
    }
}

#[test]
fn a_default_that_was_there_before_was_not_created_for_it() {
    let mode = Mode::UseDefault;
    let disposed = What::Disposed { connection: ConnectionId(1), cause: mailconn::allocator::Disposal::ByHand };
    for (by_hand, worker, early, holds) in
        [(false, 0, false, true), (true, 0, false, false), (false, 1, false, false), (false, 0, true, false)]
    {
        let mut run = Written::new(mode);
        let before = run.0.entries.len() as u64;
        run.create(1, Kind::Default, worker, by_hand);
        run.open(1);
        if early {
            run.enter(disposed.clone());
        }
        let issued_after = if early { run.0.entries.len() as u64 } else { before };
        run.enter(What::Operation(Box::new(operation(1, issued_after, mode, Reason::DefaultCreated))));
        assert_eq!(verdict(&run.0).rules.held == 1, holds, "{by_hand} {worker} {early}");
    }
}

#[test]
fn a_disposed_default_is_one_no_more() {
    let mode = Mode::UseMainOrDefault;
    let mut run = Written::new(mode);
    run.create(1, Kind::Default, 0, true);
    run.open(1);
    let cause = mailconn::allocator::Disposal::ByHand;
    run.enter(What::Disposed { connection: ConnectionId(1), cause });
    run.open(MAIN);
    let issued_after = run.0.entries.len() as u64;
    run.enter(What::Operation(Box::new(operation(MAIN, issued_after, mode, Reason::Main))));
    assert_eq!(verdict(&run.0).rules.held, 1);
    let mut run = run.0;
    run.entries.retain(|entry| !matches!(entry.what, What::Disposed { .. }));
    assert_eq!(verdict(&run).rules.held, 0);
}

#[test]
fn the_mode_that_counts_is_the_one_in_force() {
    let to = Mode::UseDefault;
    for (claimed, issued_after, holds) in
        [(Mode::UseMain, 1, true), (to, 1, true), (Mode::UseMain, 2, false), (to, 2, true), (Mode::default(), 2, false)]
    {
        let mut run = Written::new(Mode::UseMain);
        run.open(MAIN);
        run.enter(What::ModeChanged { from: Mode::UseMain, to });
        let reason = if claimed == to { Reason::DefaultCreated } else { Reason::Main };
        let used = if claimed == to { 1 } else { MAIN };
        run.create(1, Kind::Default, 0, false);
        run.open(1);
        run.enter(What::Operation(Box::new(operation(used, issued_after, claimed, reason))));
        assert_eq!(verdict(&run.0).rules.held == 1, holds, "{claimed} after {issued_after}");
    }
}

/// Each makes a run end with that conclusion, if nothing above it does.
type Cause = (Conclusion, fn(&mut Written));
const CAUSES: [Cause; 6] = [
    (Conclusion::Interrupted(2), |run| run.0.end.interrupted = Some(2)),
    (Conclusion::Broken, |run| {
        let lost = operation(77, 0, run.0.header.mode, Reason::Main);
        run.enter(What::Operation(Box::new(lost)));
    }),
    (Conclusion::SignInRefused, |run| run.refused(11, 1, 0, FailureKind::AuthInvalid)),
    (Conclusion::Limited, |run| run.refused(12, 1, 3, FailureKind::LimitConnections)),
    (Conclusion::NotConnected, |run| run.refused(13, 1, 0, FailureKind::ConnectRefused)),
    (Conclusion::Failed, |run| {
        let issued_after = run.0.entries.len() as u64;
        let mut failed = operation(MAIN, issued_after, run.0.header.mode, Reason::Main);
        failed.outcome = Err(Box::new(Failure::new(FailureKind::ServerNo, Stage::Operation, "no")));
        run.enter(What::Operation(Box::new(failed)));
    }),
];

#[test]
fn of_several_conclusions_the_first_counts_in_every_combination() {
    for chosen in 0..1u32 << CAUSES.len() {
        let mut run = Written::new(Mode::UseMain);
        run.open(MAIN);
        let mut expected = Conclusion::Held;
        for (number, (conclusion, cause)) in CAUSES.iter().enumerate().rev() {
            if chosen & (1 << number) != 0 {
                cause(&mut run);
                expected = *conclusion;
            }
        }
        run.close(MAIN, mailconn::record::HowClosed::LoggedOut);
        assert_eq!(verdict(&run.0).conclusion, expected, "{chosen:06b}");
    }
    let codes = CAUSES.map(|(conclusion, _)| conclusion.exit_code());
    assert_eq!(codes, [130, 7, 5, 6, 4, 1]);
    assert_eq!((Conclusion::Interrupted(15).exit_code(), Conclusion::Held.exit_code()), (143, 0));
}

#[test]
fn a_redial_that_fails_is_no_first_dial_but_a_limit_is_always_one() {
    for (kind, expected) in [
        (FailureKind::ConnectRefused, Conclusion::Failed),
        (FailureKind::AuthInvalid, Conclusion::Failed),
        (FailureKind::LimitConnections, Conclusion::Limited),
    ] {
        let mut run = Written::new(Mode::UseMain);
        run.open(MAIN);
        run.close(MAIN, mailconn::record::HowClosed::Discarded);
        run.refused(MAIN, 2, 0, kind);
        let mut failed = operation(MAIN, run.0.entries.len() as u64 - 1, Mode::UseMain, Reason::Main);
        failed.local_port = None;
        failed.session = Some(SessionId { number: 2, ..session(MAIN) });
        failed.outcome = Err(Box::new(Failure::new(kind, Stage::Auth, "no")));
        run.enter(What::Operation(Box::new(failed)));
        assert_eq!(verdict(&run.0).conclusion, expected, "{kind}");
    }
}
