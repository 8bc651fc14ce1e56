//! A run in, bytes out: what the reports promise to people and to scripts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use mailconn::allocator::{ConnectionId, Disposal, Kind, Mode, Reason, SessionId};
use mailconn::protocol::{Failure, FailureKind, Phases, Protocol, Stage, TlsDetails};
use mailconn::record::{
    Agreement, Answer, Asked, Closed, Command, Conclusion, Counts, CutOff, Dispose, End, Entry, Executor, FailOn,
    FailureRow, Finding, Header, HowClosed, Latency, Lock, Names, OpenFailed, Opened, Operation, Role, Run, SessionRow,
    Severity, Summary, TaskId, Verdict, What, WhyOpened, WitnessedCommand, WitnessedSession, WorkerId, WorkerRow,
};
use mailconn::report::{Format, Ndjson, Output, Progress, ProgressKind, TableOptions, Tally, Unwritable, json, table};
use serde_json::Value;

const DOVECOT: &str = "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=3)";

/// A report's three ingredients, made by hand: a run of `threads` workers under use-default, all well.
struct Sample {
    run: Run,
    summary: Summary,
    verdict: Verdict,
}

impl Sample {
    fn new(threads: u32, operations: u64) -> Self {
        let asked = u64::from(threads) * operations;
        let counts = |asked| Counts { asked, issued: asked, ok: asked, failed: 0, not_issued: 0 };
        let mut sample = Self {
            run: Run {
                header: Header {
                    run_id: "5f0c2d9e81ab".to_owned(),
                    tool_version: "0.1.0".to_owned(),
                    started: SystemTime::UNIX_EPOCH + Duration::from_millis(1_790_000_000_250),
                    server: "sandbox".to_owned(),
                    protocol: Protocol::Imap,
                    tls: false,
                    insecure: false,
                    mode: Mode::UseDefault,
                    switches: Vec::new(),
                    workers: vec![Role::default(); threads as usize],
                    executor: Executor::Threads,
                    tasks: Vec::new(),
                    dispose: Dispose::Never,
                    asked: Asked::Operations(operations),
                    mix: "noop=3,status=1,fetch=1".to_owned(),
                    mailboxes: vec!["INBOX".to_owned(), "Archive".to_owned()],
                    seed: 42,
                    max_connections: None,
                    lock: Lock::Unit,
                    fail_on: FailOn::default(),
                    names: Names::default(),
                    scripted: false,
                },
                entries: Vec::new(),
                end: End { elapsed: Duration::from_millis(1230), interrupted: None, still_open: 0 },
                witness: Some(Vec::new()),
            },
            summary: Summary {
                operations: counts(asked),
                workers: Vec::new(),
                tasks: Vec::new(),
                sections: Vec::new(),
                sessions: Vec::new(),
                failures: Vec::new(),
                cut_off: CutOff::default(),
                worked: Duration::from_millis(1000),
                opened: threads as usize,
                peak: threads as usize,
                main_opened: false,
                wait: latency(0, 12, 20),
                service: latency(480, 2100, 3900),
                total_wait: Duration::from_millis(3),
                total_service: Duration::from_millis(700),
            },
            verdict: Verdict {
                rules: Agreement { checked: asked, held: asked },
                witness: Some(Agreement { checked: asked, held: asked }),
                findings: Vec::new(),
                conclusion: Conclusion::Held,
                because: None,
            },
        };
        for worker in 0..threads {
            let session = first_session(worker + 1);
            let opened = opened(session, worker);
            let closed = closed(session, HowClosed::LoggedOut);
            sample.push(What::Created {
                connection: session.connection,
                kind: Kind::Default,
                worker: Some(WorkerId(worker)),
                task: None,
                by_hand: false,
            });
            sample.push(What::Opened(Box::new(opened.clone())));
            for number in 0..operations {
                let reason = if number == 0 { Reason::DefaultCreated } else { Reason::Default };
                let operation = operation(worker, u64::from(worker) * operations + number + 1, session, reason);
                sample.push(What::Operation(Box::new(operation)));
            }
            sample.push(What::Closed(Box::new(closed.clone())));
            sample.push(What::Disposed { connection: session.connection, cause: Disposal::ThreadExit });
            sample.summary.workers.push(WorkerRow {
                worker: WorkerId(worker),
                operations: counts(operations),
                connections: BTreeMap::from([(session.connection, Kind::Default)]),
                reasons: BTreeMap::from([("default", operations.saturating_sub(1)), ("default-created", 1)]),
                wait: latency(0, 12, 20),
                service: latency(480 + u64::from(worker) * 3, 2100, 3900),
                stopped: None,
            });
            sample.summary.sessions.push(SessionRow {
                session,
                kind: Kind::Default,
                owner: Some(WorkerId(worker)),
                why: WhyOpened::FirstUse,
                dial: Ok(opened),
                operations,
                closed: Some(closed),
            });
            if let Some(witness) = &mut sample.run.witness {
                witness.push(WitnessedSession {
                    peer_port: port(worker),
                    run_id: Some("5f0c2d9e81ab".to_owned()),
                    label: Some(session.to_string()),
                    logged_out: true,
                    open: false,
                    commands: vec![WitnessedCommand {
                        tag: "a4".to_owned(),
                        verb: "NOOP".to_owned(),
                        selected: None,
                        at: Some(Duration::from_micros(1500)),
                    }],
                });
            }
        }
        sample
    }

    /// The server takes three connections; the other workers stop at their first operation.
    fn limited() -> Self {
        let mut sample = Self::new(8, 100);
        sample.run.header.server = "imaps://joe@mail.example.org:993".to_owned();
        sample.run.witness = None;
        let refusal = limit();
        for index in 3..8 {
            let row = &mut sample.summary.workers[index];
            row.operations = Counts { asked: 100, issued: 1, ok: 0, failed: 1, not_issued: 99 };
            row.connections.clear();
            row.reasons = BTreeMap::from([("default-created", 1)]);
            row.service = Latency::default();
            row.stopped = Some(refusal.clone());
            let row = &mut sample.summary.sessions[index];
            row.operations = 0;
            row.closed = None;
            row.dial = Err(OpenFailed {
                session: row.session,
                worker: row.owner,
                local_port: Some(port(index as u32)),
                phases: phases(true),
                took: Duration::from_millis(7),
                sign_in_attempted: true,
                open: 3,
                dialling: 0,
                failed: Duration::from_millis(7),
                failure: refusal.clone(),
            });
        }
        for row in &mut sample.summary.sessions {
            if let Ok(opened) = &mut row.dial {
                opened.phases = phases(true);
                opened.tls = Some(TlsDetails {
                    version: "TLSv1.3".to_owned(),
                    cipher: "TLS13_AES_256_GCM_SHA384".to_owned(),
                    ..TlsDetails::default()
                });
            }
        }
        sample.push(What::OpenFailed(Box::new(sample.summary.sessions[7].dial.clone().unwrap_err())));
        sample.push(What::Stopped { worker: WorkerId(7), not_issued: 99, failure: Some(Box::new(refusal.clone())) });
        sample.summary.operations = Counts { asked: 800, issued: 305, ok: 300, failed: 5, not_issued: 495 };
        sample.summary.opened = 3;
        sample.summary.peak = 3;
        sample.summary.failures = vec![FailureRow {
            kind: FailureKind::LimitConnections,
            stage: Stage::Auth,
            count: 5,
            operation: None,
            command: None,
            mailbox: None,
            message: refusal.message,
            server_line: refusal.server_line,
            further_lines: Vec::new(),
        }];
        sample.verdict = Verdict {
            rules: Agreement { checked: 305, held: 305 },
            witness: None,
            findings: vec![Finding {
                id: "MC030",
                severity: Severity::Limit,
                count: 5,
                sentence: "the server refused a connection because too many are open: 3 of this client were; use \
                           --max-connections 3 or --mode use-main"
                    .to_owned(),
                evidence: vec!["#4, #5, #6, #7, #8".to_owned(), DOVECOT.to_owned()],
            }],
            conclusion: Conclusion::Limited,
            because: None,
        };
        sample
    }

    /// Everything longer, larger and stranger than anyone would like.
    fn nasty() -> Self {
        let mut sample = Self::new(2000, 3);
        let line = format!("BAD {} \x1b[31mred\u{202e}\r\n{}", "x".repeat(400), "sorry ".repeat(80));
        sample.run.header.server =
            format!("imaps://{}@example.org@[2001:db8:85a3:8d3:1319:8a2e:370:7348]:65535", "j".repeat(90));
        sample.run.header.mode = Mode::UseMainOrDefault;
        sample.run.header.seed = u64::MAX;
        sample.run.header.asked = Asked::Operations(u64::MAX);
        sample.run.end = End { elapsed: Duration::from_secs(90_061), interrupted: Some(2), still_open: 1_999_999 };
        sample.run.witness = None;
        let counts = Counts { asked: u64::MAX, issued: u64::MAX, ok: 1, failed: u64::MAX, not_issued: u64::MAX };
        sample.summary.operations = counts;
        let failure = |kind, stage| Failure {
            kind,
            stage,
            message: format!("the server answered {line}"),
            server_line: Some(line.clone()),
            further_lines: Vec::new(),
        };
        for (index, row) in sample.summary.workers.iter_mut().enumerate() {
            match index % 5 {
                0 => row.operations = counts,
                1 => row.wait = latency(59_999_000, 3_600_000_000, 4_000_000_000_000),
                2 => {
                    row.connections = (0..9).map(|id| (ConnectionId(u32::MAX - id), Kind::Independent)).collect();
                    row.reasons =
                        [("explicit", u64::MAX), ("main", u64::MAX), ("default", 7), ("default-created", 9)].into();
                }
                3 => row.stopped = Some(failure(FailureKind::TlsCertificate, Stage::Greeting)),
                _ => row.worker = WorkerId(u32::MAX),
            }
        }
        for (index, row) in sample.summary.sessions.iter_mut().enumerate() {
            let session = SessionId { connection: ConnectionId(u32::MAX), number: u32::MAX };
            match index % 4 {
                0 => {
                    row.kind = Kind::Independent;
                    row.owner = Some(WorkerId(u32::MAX));
                    row.session = session;
                    row.operations = u64::MAX;
                    row.closed = Some(Closed {
                        session,
                        how: HowClosed::WithoutLogout(failure(FailureKind::Timeout, Stage::Logout)),
                        sent: u64::MAX,
                        received: u64::MAX,
                        commands: Box::default(),
                        carried: 1,
                    });
                }
                1 => {
                    row.dial = Err(OpenFailed {
                        session,
                        worker: None,
                        local_port: None,
                        phases: Phases { connect: Some(Duration::from_secs(86_400)), ..phases(true) },
                        took: Duration::from_millis(7),
                        sign_in_attempted: false,
                        open: usize::MAX,
                        dialling: 0,
                        failed: Duration::from_millis(7),
                        failure: failure(FailureKind::LimitConnections, Stage::Operation),
                    });
                }
                2 => row.closed = None,
                _ => row.closed = Some(closed(session, HowClosed::Discarded)),
            }
        }
        for kind in [FailureKind::LimitConnections, FailureKind::AuthUnsupported, FailureKind::LocalResources] {
            sample.summary.failures.push(FailureRow {
                kind,
                stage: Stage::Operation,
                count: u64::MAX,
                operation: Some("fetch"),
                command: Some("EXAMINE"),
                mailbox: Some(line.clone()),
                message: line.clone(),
                server_line: Some(format!("\u{30e1}\u{30fc}\u{30eb}{}", "\u{30b5}".repeat(200))),
                further_lines: Vec::new(),
            });
        }
        sample.verdict.findings = vec![Finding {
            id: "MC001",
            severity: Severity::Broken,
            count: u64::MAX,
            sentence: line.clone(),
            evidence: vec![line.clone(), String::new()],
        }];
        sample.verdict.conclusion = Conclusion::Interrupted(2);
        for entry in &mut sample.run.entries {
            if let What::Operation(operation) = &mut entry.what {
                match operation.number % 3 {
                    0 => {
                        operation.outcome = Err(Box::new(failure(FailureKind::LimitConnections, Stage::Operation)));
                        operation.session = None;
                        operation.reason = None;
                        operation.number = u64::from(u32::MAX);
                    }
                    1 => operation.wait = Duration::from_secs(100_000),
                    _ => {
                        operation.outcome = Ok(u32::MAX);
                        operation.worker = WorkerId(u32::MAX);
                        operation.session = Some(SessionId { connection: ConnectionId(u32::MAX), number: 9 });
                    }
                }
            }
        }
        sample
    }

    fn push(&mut self, what: What) {
        let seq = self.run.entries.len() as u64;
        self.run.entries.push(Entry { seq, at: Duration::from_micros(250 * (seq + 1)), what });
    }

    fn table(&self, each: bool, rows: Option<usize>) -> String {
        table(&self.run, &self.summary, &self.verdict, &TableOptions { each, rows })
    }

    fn json(&self) -> Value {
        let bytes = json(&self.run, &self.summary, &self.verdict);
        assert!(bytes.ends_with(b"}\n"));
        serde_json::from_slice(&bytes).unwrap()
    }

    fn ndjson(&self) -> Vec<Value> {
        let mut file = Ndjson::start(Vec::new(), &self.run.header).unwrap();
        for batch in self.run.entries.chunks(7) {
            file.entries(batch).unwrap();
        }
        let bytes = file.end(&self.run, &self.summary, &self.verdict).unwrap();
        assert!(bytes.ends_with(b"\n"));
        String::from_utf8(bytes).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn latency(p50: u64, p99: u64, max: u64) -> Latency {
    Latency { p50: Duration::from_micros(p50), p99: Duration::from_micros(p99), max: Duration::from_micros(max) }
}

fn first_session(connection: u32) -> SessionId {
    SessionId { connection: ConnectionId(connection), number: 1 }
}

fn port(worker: u32) -> u16 {
    65_535 - worker as u16
}

fn phases(tls: bool) -> Phases {
    Phases {
        resolve: None,
        connect: Some(Duration::from_micros(140)),
        tls: tls.then_some(Duration::from_micros(4_210)),
        greeting: Some(Duration::from_micros(95)),
        sign_in: Some(Duration::from_micros(12_480)),
    }
}

fn opened(session: SessionId, worker: u32) -> Opened {
    Opened {
        began: Duration::ZERO,
        session,
        worker: Some(WorkerId(worker)),
        local_port: port(worker),
        phases: phases(false),
        tls: None,
        signed_in_by: Some("LOGIN"),
        signed_in: Duration::ZERO,
        label: Some(session.to_string()),
        commands: Box::new([Command { tag: 1, verb: "LOGIN" }, Command { tag: 2, verb: "ID" }]),
    }
}

fn closed(session: SessionId, how: HowClosed) -> Closed {
    Closed {
        session,
        how,
        sent: 4_112,
        received: 88_340,
        commands: Box::new([Command { tag: 104, verb: "LOGOUT" }]),
        carried: 104,
    }
}

fn operation(worker: u32, number: u64, session: SessionId, reason: Reason) -> Operation {
    Operation {
        worker: WorkerId(worker),
        task: None,
        number,
        name: "fetch",
        mailbox: Some(1),
        issued_after: number,
        issued_at: Duration::from_micros(200 * number),
        mode: Mode::UseDefault,
        had_default: reason == Reason::Default,
        passed: None,
        reason: Some(reason),
        session: Some(session),
        opened: reason == Reason::DefaultCreated,
        local_port: Some(port(worker)),
        commands: Box::new([Command { tag: 3, verb: "EXAMINE" }, Command { tag: 4, verb: "FETCH" }]),
        failed_command: None,
        wait: Duration::from_nanos(800),
        dial: if reason == Reason::DefaultCreated { Duration::from_micros(12_700) } else { Duration::ZERO },
        service: Duration::from_micros(480),
        outcome: Ok(20),
        answered_by: Some(Answer { mailbox: Some("Archive".into()), uid_validity: Some(2) }),
        relied_on: None,
    }
}

fn limit() -> Failure {
    Failure {
        kind: FailureKind::LimitConnections,
        stage: Stage::Auth,
        message: "too many connections are open".to_owned(),
        server_line: Some(DOVECOT.to_owned()),
        further_lines: Vec::new(),
    }
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

fn names(names: &str) -> BTreeSet<&str> {
    names.split_whitespace().collect()
}

/// As many cells of a terminal as a line takes: the characters in these tests are narrow, but for Japanese ones.
fn width(line: &str) -> usize {
    line.chars().map(|character| if character >= '\u{1100}' { 2 } else { 1 }).sum()
}

mod table {
    use super::*;

    #[test]
    fn no_line_is_wider_than_80_columns() {
        for sample in [Sample::new(8, 100), Sample::limited(), Sample::nasty(), Sample::new(2000, 2), Sample::new(0, 0)]
        {
            for (each, rows) in [(false, Some(20)), (true, Some(12)), (true, Some(0)), (true, None)] {
                let text = sample.table(each, rows);
                for line in text.lines() {
                    assert!(width(line) <= 80, "{} columns: {line}", width(line));
                    assert_eq!(line.trim_end(), line, "blanks at the end");
                }
            }
        }
    }

    #[test]
    fn an_ordinary_run_fits_its_rows_on_one_line_each() {
        let text = Sample::new(8, 100).table(false, Some(20));
        assert_eq!(
            text.lines().take(8).collect::<Vec<_>>(),
            [
                "sandbox, use-default, 8 threads, 800 operations, seed 42",
                "8 connections opened (peak 8), 100 operations on each; main not used",
                "800 operations ok, 0 failed; 1.23 s, 800 operations/s (first to last: 1.00 s)",
                "",
                "                                                       wait ms    service ms",
                "worker  connection  reason          ops failed   p50  p99  max      p50  p99",
                "w0      #1 default  default, 1 new  100      0     0 0.01 0.02     0.48 2.10",
                "w1      #2 default  default, 1 new  100      0     0 0.01 0.02     0.48 2.10",
            ]
        );
        assert_eq!(
            text.lines().skip(15).take(3).collect::<Vec<_>>(),
            [
                "                                            dial ms         bytes",
                "session  kind        why     port  conn greet login  ops  out  in  closed",
                "#1       default w0  first  65535  0.14  0.10  12.5  100 4.1k 88k  logout",
            ]
        );
        assert!(text.ends_with(
            "\nrules held for 800 of 800 operations\nthe server's own record agrees for 800 of 800\nexit 0: all held\n"
        ));
        assert!(text.is_ascii());

        let mut wide = Sample::limited();
        wide.summary.sessions.truncate(3);
        wide.summary.sessions[1].owner = Some(WorkerId(199));
        let text = wide.table(false, None);
        assert!(text.contains("\n#2       default w199  first  65534  0.14 4.21"), "{text}");
    }

    #[test]
    fn a_fold_says_what_it_leaves_out_and_keeps_what_matters() {
        let mut sample = Sample::new(2000, 20);
        sample.summary.workers[1234].operations.failed = 2;
        sample.summary.workers[1500].wait = latency(5, 9, 77_000);
        sample.summary.sessions[900].closed = None;
        let text = sample.table(true, Some(16));
        assert!(text.contains("\n... 1,984 more workers: 39,680 operations, 0 failed (--format json lists all)\n"));
        assert!(
            text.contains("\n... 1,984 more sessions: 39,680 operations, all ended by logout (--format json\n  lists")
        );
        assert!(text.contains("\n... 39,984 more operations, 0 failed (--format ndjson lists all)\n"));
        for row in ["\nw0 ", "\nw7 ", "\nw1234 ", "\nw1500 ", "\n#1 ", "\n#901 "] {
            assert!(text.contains(row), "{row:?} is missing:\n{text}");
        }
        assert!(text.lines().count() < 80, "{text}");

        let whole = Sample::new(300, 4).table(true, None);
        assert!(!whole.contains("..."));
        assert!(whole.lines().count() > 300 + 300 + 1_200);
    }

    #[test]
    fn one_row_too_many_is_shown_and_not_talked_about() {
        let text = Sample::new(5, 1).table(false, Some(4));
        assert!(text.contains("\nw4 ") && !text.contains("..."), "{text}");
    }

    #[test]
    fn a_record_that_cannot_be_had_never_agrees() {
        let text = Sample::limited().table(false, Some(20));
        assert!(text.contains("\nthe server's own record: not available (a real server's log is not read)\n"));
        assert!(!text.contains("agrees"));
        let mut nothing = Sample::new(1, 0);
        nothing.verdict.witness = Some(Agreement::default());
        assert!(!nothing.table(false, None).contains("agrees"));
    }

    #[test]
    fn a_limit_is_told_with_the_servers_own_words_and_who_stopped() {
        let text = Sample::limited().table(false, Some(20));
        let kind = FailureKind::LimitConnections.name();
        let stage = Stage::Auth.name();
        assert!(
            text.contains(&format!("\nstopped: w3-w7 by {kind} at {stage}; 495 operations not issued\n")),
            "{text}"
        );
        assert!(text.contains(&format!("\n5x {kind} at {stage}: too many connections are open\n")), "{text}");
        assert!(text.contains("   server: NO [LIMIT] Maximum number of connections from user+IP exceeded\n"));
        assert!(text.contains("\n300 operations ok, 5 failed, 495 not issued; "));
        assert!(text.contains("\n#8       default w7  first  65528    3 7.00  "), "{text}");
        assert!(text.contains("\nMC030 limit, 5 times: the server refused"));
        assert!(text.ends_with("\nexit 6: refused by a connection limit\n"));
    }

    #[test]
    fn a_server_cannot_write_to_the_terminal() {
        let text = Sample::nasty().table(true, None);
        assert!(text.chars().all(|character| character == '\n' || !character.is_control()));
        assert!(!text.contains('\u{202e}'));
        assert!(text.contains("\\u{1b}[31mred\\u{202e}"));
    }

    #[test]
    fn an_interrupted_run_says_so_first_and_last() {
        let mut sample = Sample::new(2, 5);
        sample.run.end.interrupted = Some(15);
        sample.verdict.conclusion = Conclusion::Interrupted(15);
        let text = sample.table(false, None);
        assert!(text.contains("seed 42\ninterrupted by SIGTERM: this is as far as it came\n"));
        assert!(text.ends_with("\nexit 143: interrupted by SIGTERM\n"));
    }

    #[test]
    fn a_run_of_a_duration_shows_how_evenly_it_was_shared() {
        let mut sample = Sample::new(4, 50);
        sample.run.header.asked = Asked::Duration(Duration::from_secs(2));
        sample.summary.workers[2].operations.issued = 46;
        let text = sample.table(false, None);
        assert!(text.contains(", 4 threads, 2.00 s, seed 42\n"));
        assert!(text.contains("\nthe busiest worker did 50 operations, the idlest 46\n"));
    }
}

mod exit {
    use super::*;

    #[test]
    fn every_conclusion_has_its_code() {
        let codes = [
            (Conclusion::Held, 0),
            (Conclusion::Failed, 1),
            (Conclusion::NotConnected, 4),
            (Conclusion::SignInRefused, 5),
            (Conclusion::Limited, 6),
            (Conclusion::Broken, 7),
            (Conclusion::Interrupted(2), 130),
            (Conclusion::Interrupted(15), 143),
        ];
        for (conclusion, code) in codes {
            assert_eq!(conclusion.exit_code(), code, "{conclusion:?}");
        }
        assert_eq!(Format::ALL.map(Format::name), ["table", "json", "ndjson"]);
        assert_eq!(ProgressKind::ALL.map(ProgressKind::name), ["auto", "never"]);
    }
}

mod json {
    use super::*;

    const COUNTS: &str = "asked issued ok failed not_issued";
    const FAILURE: &str = "kind stage message server_line further_lines";

    #[test]
    fn every_promised_name_is_there() {
        let report = Sample::limited().json();
        assert_eq!(
            keys(&report),
            names(
                "schema_version tool_version run_id started server protocol certificates_verified mode threads seed \
                 asked mix mailboxes max_connections lock fail_on left_mailboxes elapsed_us interrupted operations connections wait_us service_us total_wait_us \
                 total_service_us worked_us cut_off findings verdict exit_code failures workers executor dispose operations_on tasks sections sessions"
            )
        );
        assert_eq!(keys(&report["operations"]), names(COUNTS));
        assert_eq!(keys(&report["connections"]), names("opened peak main_opened still_open"));
        assert_eq!(keys(&report["asked"]), names("operations_per_worker duration_us"));
        let latency = names("p50 p99 max");
        assert_eq!(keys(&report["wait_us"]), latency);
        for worker in report["workers"].as_array().unwrap() {
            assert_eq!(
                keys(worker),
                names(
                    "worker creates_default creates_independent operations connections kinds reasons wait_us \
                     service_us stopped"
                )
            );
            assert_eq!(keys(&worker["operations"]), names(COUNTS));
            assert_eq!((keys(&worker["wait_us"]), keys(&worker["service_us"])), (latency.clone(), latency.clone()));
        }
        for session in report["sessions"].as_array().unwrap() {
            assert_eq!(
                keys(session),
                names(
                    "connection session kind owner needed_by reason opened local_port label tls tls_details \
                     signed_in_by dial_us operations failed_after_us bytes_sent bytes_received closed close_failure failure open_at_failure sign_in_attempted"
                )
            );
            assert_eq!(keys(&session["dial_us"]), names("resolve connect tls greeting sign_in"));
        }
        assert_eq!(keys(&report["sessions"][7]["failure"]), names(FAILURE));
        assert_eq!(keys(&report["workers"][7]["stopped"]), names(FAILURE));
        assert_eq!(
            keys(&report["failures"][0]),
            names("kind stage count operation command mailbox message server_line further_lines")
        );
        assert_eq!(keys(&report["findings"][0]), names("id severity count sentence evidence"));
        assert_eq!(keys(&report["verdict"]), names("rules witness"));
        assert_eq!(keys(&report["verdict"]["rules"]), names("checked held"));
        assert_eq!(keys(&report["verdict"]["witness"]), names("available checked agreed"));
    }

    #[test]
    fn values_have_their_types_and_units() {
        let report = Sample::new(8, 100).json();
        for (pointer, value) in [
            ("/schema_version", Value::from(1)),
            ("/tool_version", "0.1.0".into()),
            ("/run_id", "5f0c2d9e81ab".into()),
            ("/started", "2026-09-21T14:13:20.250000Z".into()),
            ("/server", "sandbox".into()),
            ("/mode", "use-default".into()),
            ("/threads", 8.into()),
            ("/seed", 42.into()),
            ("/asked/operations_per_worker", 100.into()),
            ("/operations/issued", 800.into()),
            ("/connections/peak", 8.into()),
            ("/connections/main_opened", false.into()),
            ("/elapsed_us", 1_230_000.into()),
            ("/interrupted", Value::Null),
            ("/exit_code", 0.into()),
            ("/verdict/rules/held", 800.into()),
            ("/verdict/witness/available", true.into()),
            ("/verdict/witness/agreed", 800.into()),
            ("/workers/3/worker", "w3".into()),
            ("/workers/3/connections/0", "#4".into()),
            ("/workers/3/kinds/#4", "default".into()),
            ("/workers/3/reasons/default", 99.into()),
            ("/workers/3/reasons/default-created", 1.into()),
            ("/workers/3/wait_us/max", 20.into()),
            ("/workers/3/stopped", Value::Null),
            ("/sessions/3/connection", "#4".into()),
            ("/sessions/3/session", "#4".into()),
            ("/sessions/3/kind", "default".into()),
            ("/sessions/3/owner", "w3".into()),
            ("/sessions/3/reason", "first-use".into()),
            ("/sessions/3/local_port", 65_532.into()),
            ("/sessions/3/operations", 100.into()),
            ("/sessions/3/closed", "logged-out".into()),
            ("/sessions/3/dial_us/connect", 140.into()),
            ("/sessions/3/dial_us/tls", Value::Null),
            ("/sessions/3/bytes_received", 88_340.into()),
        ] {
            assert_eq!(report.pointer(pointer), Some(&value), "{pointer}");
        }
    }

    #[test]
    fn a_record_that_cannot_be_had_counts_nothing() {
        let witness = &Sample::limited().json()["verdict"]["witness"];
        assert_eq!((&witness["available"], &witness["agreed"]), (&Value::from(false), &Value::from(0)));
    }

    #[test]
    fn no_input_is_too_large_for_it() {
        let report = Sample::nasty().json();
        assert_eq!(report["seed"], u64::MAX);
        assert_eq!(report["interrupted"], 2);
        let mut early = Sample::new(1, 1);
        early.run.header.started = SystemTime::UNIX_EPOCH - Duration::from_secs(1);
        early.run.header.asked = Asked::Duration(Duration::MAX);
        assert_eq!(early.json()["asked"]["duration_us"], u64::MAX);
        assert_eq!(early.json()["started"], "1970-01-01T00:00:00.000000Z");
    }
}

mod ndjson {
    use super::*;

    #[test]
    fn lines_are_numbered_without_a_gap_from_run_start_to_run_end() {
        for sample in [Sample::new(4, 5), Sample::limited(), Sample::nasty(), Sample::new(0, 0)] {
            let lines = sample.ndjson();
            for (number, line) in lines.iter().enumerate() {
                assert_eq!(line["seq"], number as u64);
                assert!(line["event"].is_string() && line["at_us"].is_u64() && line["time"].is_string(), "{line}");
            }
            assert_eq!(lines.first().unwrap()["event"], "run-start");
            assert_eq!(lines.last().unwrap()["event"], "run-end");
            assert_eq!(lines.iter().filter(|line| line["event"] == "run-end").count(), 1);
        }
    }

    #[test]
    fn run_start_tells_all_that_was_asked_for() {
        let mut sample = Sample::new(2, 5);
        sample.run.header.workers[1].creates_default = true;
        sample.run.header.max_connections = Some(9);
        let start = &sample.ndjson()[0];
        assert_eq!(
            keys(start),
            names(
                "seq event at_us time schema_version tool_version run_id started server protocol \
                 certificates_verified mode threads seed asked mix mailboxes max_connections lock fail_on workers executor dispose tasks scripted switches"
            )
        );
        assert_eq!(start["max_connections"], 9);
        assert_eq!(
            (&start["lock"], &start["fail_on"]),
            (&"unit".into(), &serde_json::json!(["hazard", "leak", "fault"]))
        );
        assert_eq!(start["mailboxes"], serde_json::json!(["INBOX", "Archive"]));
        assert_eq!(
            start["workers"],
            serde_json::json!([
                {"worker": "w0", "creates_default": false, "creates_independent": false},
                {"worker": "w1", "creates_default": true, "creates_independent": false},
            ])
        );
    }

    #[test]
    fn an_operation_can_be_judged_from_its_line() {
        let mut sample = Sample::new(1, 2);
        let mut failed = operation(0, 3, SessionId { connection: ConnectionId(1), number: 2 }, Reason::Explicit);
        failed.passed = Some(ConnectionId(1));
        failed.outcome = Err(Box::new(limit()));
        sample.push(What::Operation(Box::new(failed)));
        let lines = sample.ndjson();
        let operations: Vec<&Value> = lines.iter().filter(|line| line["event"] == "operation").collect();
        let first = serde_json::json!({
            "seq": 3, "event": "operation", "at_us": 750, "time": "2026-09-21T14:13:20.250750Z",
            "number": 1, "worker": "w0", "task": null, "operation": "fetch", "mailbox": "Archive",
            "mode": "use-default", "had_default": false, "passed": null, "reason": "default-created",
            "connection": "#1", "session": "#1", "opened": true, "local_port": 65_535,
            "commands": [{"tag": "a3", "verb": "EXAMINE"}, {"tag": "a4", "verb": "FETCH"}],
            "failed_command": null,
            "issued_after": 1, "issued_at_us": 200, "wait_us": 0, "dial_us": 12_700, "service_us": 480,
            "outcome": "ok", "items": 20, "failure": null,
            "answered_by": {"mailbox": "Archive", "uid_validity": 2}, "relied_on": null,
        });
        assert_eq!(*operations[0], first);
        let last = operations.last().unwrap();
        assert_eq!(
            (&last["passed"], &last["connection"], &last["session"]),
            (&"#1".into(), &"#1".into(), &"#1.2".into())
        );
        assert_eq!((&last["outcome"], &last["items"]), (&"failed".into(), &Value::Null));
        assert_eq!(last["failure"]["server_line"], DOVECOT);
    }

    #[test]
    fn issued_after_is_the_number_of_a_line_that_is_there() {
        let mut sample = Sample::new(1, 1);
        // It was issued when there were two entries: the connection's creation and its session.
        let mut late = operation(0, 2, first_session(1), Reason::Default);
        late.issued_after = 2;
        sample.push(What::Operation(Box::new(late)));
        let lines = sample.ndjson();
        let operation = lines.iter().rfind(|line| line["event"] == "operation").unwrap();
        assert_eq!(lines[operation["issued_after"].as_u64().unwrap() as usize]["event"], "session-opened");
    }

    #[test]
    fn every_event_has_its_line() {
        let mut sample = Sample::limited();
        sample.push(What::ModeChanged { from: Mode::UseDefault, to: Mode::UseMain });
        sample.push(What::Closed(Box::new(closed(first_session(9), HowClosed::WithoutLogout(limit())))));
        let (task, worker) = (TaskId(0), WorkerId(0));
        sample.push(What::TaskStarted { task, worker });
        sample.push(What::DefaultRefused { task, worker, existing: ConnectionId(3) });
        sample.push(What::TaskStopped { task, not_issued: 2, failure: Some(Box::new(limit())) });
        sample.push(What::TaskEnded { task, worker: Some(worker), operations: Some(3), left_mailbox: false });
        sample.push(What::WorkerEnded {
            worker,
            operations: 3,
            not_begun: 0,
            not_begun_wait: Duration::ZERO,
            left_mailbox: false,
        });
        sample.run.witness = Sample::new(1, 1).run.witness;
        let lines = sample.ndjson();
        let events: BTreeSet<&str> = lines.iter().map(|line| line["event"].as_str().unwrap()).collect();
        assert_eq!(
            events,
            names(
                "run-start connection-created session-opened session-refused session-closed connection-disposed \
                 mode-changed operation worker-stopped task-started default-refused task-stopped task-ended \
                 worker-ended witness-session run-end"
            )
        );
        let tasks: Vec<&Value> = lines.iter().filter(|line| !line["task"].is_null()).collect();
        assert_eq!((&tasks[0]["task"], &tasks[0]["worker"]), (&"t0".into(), &"w0".into()));
        assert_eq!((&tasks[1]["existing"], &tasks[1]["rule"]), (&"#3".into(), &"C3".into()));
        assert_eq!((&tasks[2]["not_issued"], &tasks[2]["failure"]["server_line"]), (&2.into(), &DOVECOT.into()));
        let witness = &lines[lines.len() - 2];
        assert_eq!(
            witness["commands"][0],
            serde_json::json!({"tag": "a4", "verb": "NOOP", "selected": null, "at_us": 1500})
        );
        assert_eq!((&witness["peer_port"], &witness["label"]), (&65_535.into(), &"#1".into()));
        let end = lines.last().unwrap();
        assert_eq!((&end["exit_code"], &end["operations"]["not_issued"]), (&6.into(), &495.into()));
        assert_eq!(end["verdict"]["rules"]["checked"], 305);
    }

    /// Counts its flushes, and breaks when it is told to.
    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<(Vec<u8>, usize, bool)>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut sink = self.0.lock().unwrap();
            if sink.2 {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            sink.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            self.0.lock().unwrap().1 += 1;
            Ok(())
        }
    }

    #[test]
    fn each_batch_is_out_when_the_call_returns_and_a_broken_pipe_is_told() {
        let sample = Sample::new(2, 2);
        let sink = Sink::default();
        let mut file = Ndjson::start(sink.clone(), &sample.run.header).unwrap();
        assert_eq!(sink.0.lock().unwrap().1, 1);
        file.entries(&sample.run.entries[..3]).unwrap();
        {
            let sink = sink.0.lock().unwrap();
            assert_eq!((sink.1, sink.0.iter().filter(|&&byte| byte == b'\n').count()), (2, 4));
        }
        sink.0.lock().unwrap().2 = true;
        let error = file.entries(&sample.run.entries[3..]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}

mod output {
    use super::*;

    fn file(path: &Path) -> Output {
        Output::File(path.to_owned())
    }

    fn entries(directory: &Path) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_whole_and_readable_as_any_new_file_is() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("report.json");
        let usual = directory.path().join("usual");
        fs::write(&usual, "").unwrap();
        file(&path).writable().unwrap();
        assert_eq!(entries(directory.path()), ["usual"], "the check leaves nothing behind");
        file(&path).write_whole(b"one\n").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), mode(&usual));
        assert_eq!(entries(directory.path()), ["report.json", "usual"]);

        // Whoever has the old one open goes on reading the old one: it was replaced, not written over.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let mut old = fs::File::open(&path).unwrap();
        file(&path).writable().unwrap();
        file(&path).write_whole(b"two\n").unwrap();
        let mut text = String::new();
        old.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fs::read_to_string(&path).unwrap().as_str()), ("one\n", "two\n"));
        assert_eq!(mode(&path), 0o640, "it keeps the permissions that it was given");
    }

    #[test]
    fn a_link_keeps_pointing_to_the_file_behind_it() {
        let directory = tempfile::tempdir().unwrap();
        fs::create_dir(directory.path().join("sub")).unwrap();
        let link = directory.path().join("latest");
        symlink("sub/report", &link).unwrap();
        for text in ["one", "two"] {
            file(&link).writable().unwrap();
            file(&link).write_whole(text.as_bytes()).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(directory.path().join("sub/report")).unwrap(), text);
        }
        symlink("loop", directory.path().join("loop")).unwrap();
        assert!(matches!(file(&directory.path().join("loop")).writable(), Err(Unwritable::Denied { .. })));
    }

    #[test]
    fn a_file_that_cannot_be_written_is_told_in_one_line_and_nothing_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        fs::write(at("plain"), "").unwrap();
        let cases = [
            ("missing/report", "cannot write to {}/missing/report: there is no directory {}/missing; create it first"),
            ("plain/report", "cannot write to {}/plain/report: {}/plain is not a directory"),
            ("", "cannot write to {}/: it is a directory; name a file in it"),
            ("new/", "cannot write to {}/new/: it is a directory; name a file in it"),
        ];
        for (name, said) in cases {
            let error = file(&at(name)).writable().unwrap_err();
            assert_eq!(error.to_string(), said.replace("{}", directory.path().to_str().unwrap()));
        }
        assert!(matches!(file(Path::new("")).writable(), Err(Unwritable::NoName { .. })));
        let long = file(&at(&"x".repeat(300))).writable().unwrap_err().to_string();
        assert!(long.starts_with("cannot write to ") && !long.contains('\n'), "{long}");
        let denied = file(Path::new("/proc/report")).writable().unwrap_err().to_string();
        assert_eq!(denied, "cannot write to /proc/report", "the cause is its source");
        assert_eq!(entries(directory.path()), ["plain"]);
    }

    #[test]
    fn devices_and_pipes_are_written_to_and_not_replaced() {
        let null = file(Path::new("/dev/null"));
        null.writable().unwrap();
        null.write_whole(b"nothing").unwrap();
        null.stream().unwrap().write_all(b"nothing").unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());

        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        file(&pipe).writable().unwrap();
        let reader = {
            let pipe = pipe.clone();
            std::thread::spawn(move || fs::read_to_string(pipe).unwrap())
        };
        file(&pipe).write_whole(b"through the pipe").unwrap();
        assert_eq!(reader.join().unwrap(), "through the pipe");
        assert_eq!(entries(directory.path()), ["pipe"]);

        file(Path::new("/dev/stdout")).writable().unwrap();
        file(Path::new("/dev/stderr")).write_whole(b"").unwrap();
    }

    #[test]
    fn a_descriptor_that_leads_to_a_file_is_added_to_and_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let mut log = fs::File::create(&path).unwrap();
        log.write_all(b"before\n").unwrap();
        let link = directory.path().join("link");
        symlink(format!("/proc/self/fd/{}", log.as_raw_fd()), &link).unwrap();
        file(&link).writable().unwrap();
        file(&link).write_whole(b"report\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "before\nreport\n");
    }

    #[test]
    fn a_reader_who_has_gone_away_is_no_error() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let output = Output::File(format!("/proc/self/fd/{}", writer.as_raw_fd()).into());
        output.writable().unwrap();
        output.write_whole(&[b'x'; 100_000]).unwrap();
        // Who streams hears of it, and may stop.
        let error = output.stream().unwrap().write_all(b"x").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        Output::Stdout.writable().unwrap();
    }

    #[test]
    fn a_stream_can_be_read_while_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run.ndjson");
        fs::write(&path, "an older run, which was longer").unwrap();
        let sample = Sample::new(1, 1);
        let mut stream = Ndjson::start(file(&path).stream().unwrap(), &sample.run.header).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        stream.entries(&sample.run.entries).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1 + sample.run.entries.len());
    }
}

mod progress {
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Sink {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    #[test]
    fn a_run_shorter_than_the_interval_shows_nothing() {
        let sink = Sink::default();
        let mut progress = Progress::lines(Box::new(sink.clone()), Duration::from_secs(3600), Some(800));
        progress.update(&Tally { operations: 800, failed: 0, open: 8 });
        progress.finish();
        assert_eq!(sink.text(), "");
    }

    #[test]
    fn plain_lines_tell_how_far_it_has_come() {
        let sink = Sink::default();
        let mut progress = Progress::lines(Box::new(sink.clone()), Duration::ZERO, Some(2_000));
        progress.update(&Tally { operations: 1_412, failed: 3, open: 8 });
        let text = sink.text();
        assert!(text.contains(": 1,412 of 2,000 operations, ") && text.ends_with(", 8 open, 3 failed\n"), "{text}");
        progress.finish();
        progress.update(&Tally { operations: 2_000, failed: 3, open: 0 });
        assert_eq!(sink.text(), text, "nothing comes after the end");
    }

    #[test]
    fn never_is_never() {
        let mut progress = Progress::new(ProgressKind::Never, None);
        progress.update(&Tally::default());
        progress.finish();
    }
}

#[test]
fn no_report_shows_more_of_the_server_than_the_header_does() {
    let sample = Sample::limited();
    for text in [sample.table(true, None), sample.json().to_string(), format!("{:?}", sample.ndjson())] {
        assert!(text.contains("imaps://joe@mail.example.org:993"));
        assert!(!text.to_lowercase().contains("password"), "no field is named for a secret");
    }
}
