//! `mailconn` on Courier, Cyrus and Exim, each judged by its own log. Only root can start them, and what they need is
//! downloaded: so these run when they are asked for, and then fail where they cannot.

mod limits_probe;

use crate::servers::tool::{SOON, Tool, assert_sums_hold, finding_ids, hold_up_process};
use crate::support::dovecot::signal;
use crate::support::foreign::{ForeignServer, Kind, PASSWORD, Service};
use serde_json::Value;
use std::net::TcpStream;
use std::time::Instant;

/// More than any test here opens.
const ROOM: usize = 40;

fn run(server: &ForeignServer, service: Service, flags: &str) -> Tool {
    Tool::dialling(&server.url(service)).password(PASSWORD).with(flags)
}

/// Exim takes ten commands without mail: what it is asked there is to take mail.
fn work(service: Service) -> &'static str {
    match service {
        Service::Smtp | Service::Smtps => "--ops send --allow-writes --to u1@localhost",
        _ => "",
    }
}

/// `check` on each listener, in the clear and encrypted, is as the server's log has it.
fn assert_checked(kind: Kind, services: &[Service]) {
    let server = ForeignServer::start(kind, ROOM);
    let mut checks = 0;
    for service in services {
        for flags in ["", "--starttls"] {
            let is_encrypted = service.scheme().ends_with('s');
            if is_encrypted && !flags.is_empty() {
                continue;
            }
            let is_encrypted = is_encrypted || !flags.is_empty();
            let check = || {
                let tool = Tool::checking_url(&server.url(*service)).password(PASSWORD).with(flags);
                if is_encrypted { tool.flag("--ca-file", server.ca_file()) } else { tool }
            };
            let text = check().finish();
            assert_eq!((text.code, &*text.stderr), (0, ""), "{service:?} {flags}: {}", text.stdout);
            assert!(text.stdout.lines().all(|line| line.chars().count() <= 80), "{}", text.stdout);
            let report = check().with("--format json").finish().json();
            let steps: Vec<_> =
                report["steps"].as_array().unwrap().iter().map(|step| step["step"].as_str().unwrap()).collect();
            assert_eq!(steps.contains(&"tls"), is_encrypted, "{report:#}");
            for step in ["resolve", "connect", "greeting", "offers", "sign-in", "operation", "logout"] {
                assert!(steps.contains(&step), "no {step}: {report:#}");
            }
            checks += 2;
            let log = server.wait_for("a sign-in for each check", |log| log.signed_in.len() >= checks);
            assert_eq!(log.signed_in.len(), checks, "{log:#?}");
            if let Some(ports) = log.ports() {
                assert!(ports.contains(&report["local_port"].as_u64().unwrap()), "{report:#}{log:#?}");
            }
            assert!(log.refused.is_empty(), "{log:#?}");
        }
    }
}

/// Eight threads in each mode; the log has the sessions of the report, and no others.
fn assert_modes_agree(kind: Kind, services: &[Service]) {
    for service in services {
        for (mode, expected) in [("use-main", 1), ("use-default", 8), ("use-main-or-default", 1)] {
            let server = ForeignServer::start(kind, ROOM);
            let tool = run(&server, *service, work(*service)).with(&format!("--mode {mode} -t 8 -n 3"));
            let (finished, report) = tool.streamed();
            assert_eq!(finished.code, 0, "{service:?} {mode}: {}{}", finished.stdout, finished.stderr);
            let totals = report.totals();
            assert_sums_hold(totals);
            assert_eq!((&totals["operations"]["ok"], &totals["operations"]["failed"]), (&24.into(), &0.into()));
            assert_eq!(finding_ids(totals), [""; 0], "{totals:#}");
            let mut ports: Vec<u64> =
                report.events("session-opened").map(|it| it["local_port"].as_u64().unwrap()).collect();
            ports.sort_unstable();
            assert_eq!(ports.len(), expected, "{mode}: {totals:#}");
            let log = server.wait_for("the sessions", |log| log.signed_in.len() >= expected);
            assert_eq!(log.signed_in.len(), expected, "{log:#?}");
            assert!(log.ports().is_none_or(|logged| logged == ports), "{ports:?} {log:#?}");
            if kind == Kind::Exim {
                server.wait_for("the messages", |log| log.count(" <= ") == 24);
            }
        }
    }
}

/// A password that is wrong is said once, however many threads there are.
fn assert_one_attempt(kind: Kind, services: &[Service]) {
    for service in services {
        let server = ForeignServer::start(kind, ROOM);
        let (finished, report) = run(&server, *service, "--mode use-default -t 8 -n 3").password("wrong").streamed();
        assert_eq!(finished.code, 5, "{service:?}: {}{}", finished.stdout, finished.stderr);
        assert_sums_hold(report.totals());
        for operation in report.failed() {
            let kind = operation["failure"]["kind"].as_str().unwrap();
            assert!(kind.starts_with("auth-"), "{operation:#}");
        }
        let log = server.wait_for("the refused sign-in", |log| !log.refused.is_empty());
        assert_eq!(log.refused.len(), 1, "{log:#?}");
        // Nothing more is on its way.
        assert_eq!(server.log().refused.len(), 1, "{log:#?}");
    }
}

/// A session whose process is killed while it has a command: that operation fails, once, and the next one has a new
/// session (rules B1 and B2).
fn assert_killed_once(kind: Kind, services: &[Service]) {
    for service in services {
        let server = ForeignServer::start(kind, ROOM);
        let tool =
            run(&server, *service, work(*service)).with("--mode use-main -t 2 -n 30 --pause 40ms --format ndjson");
        let running = tool.start();
        // Exim has a line of the connection before it is signed in.
        let is_at_work = |count| kind != Kind::Exim || count > 0;
        server.wait_for("the session", |log| log.signed_in.len() == 1 && is_at_work(log.count(" <= ")));
        let until = Instant::now() + SOON;
        let (process, client_port) = server.process_of_the_session(*service);
        hold_up_process(process, server.port(*service), client_port, until);
        signal(process, "KILL");
        let finished = running.finish();
        assert_eq!(finished.code, 1, "{service:?}: {}{}", finished.stdout, finished.stderr);
        let report = finished.report();
        let totals = report.totals();
        assert_sums_hold(totals);
        let [failed] = Vec::from_iter(report.failed())[..] else { panic!("{totals:#}") };
        assert_eq!((&failed["session"], &failed["failure"]["kind"]), (&"#0".into(), &"closed".into()), "{failed:#}");
        let sessions: Vec<&Value> = report.events("session-opened").map(|opened| &opened["session"]).collect();
        assert_eq!(sessions, ["#0", "#0.2"]);
        assert!(report.events("operation").filter(|it| it["outcome"] == "ok").any(|it| it["session"] == "#0.2"));
        let log = server.wait_for("both sessions", |log| log.signed_in.len() >= 2);
        assert_eq!(log.signed_in.len(), 2, "{log:#?}");
    }
}

/// Where four connections are allowed, the others are refused as a limit. `refusal` is in the log for each.
fn assert_limited(kind: Kind, service: Service, stage: &str, refusal: &str) {
    let server = ForeignServer::start(kind, 4);
    let (finished, report) = run(&server, service, "--mode use-default -t 8 -n 3 --pause 1s").streamed();
    assert_eq!(finished.code, 6, "{service:?}: {}{}", finished.stdout, finished.stderr);
    let totals = report.totals();
    assert_sums_hold(totals);
    assert_eq!((&totals["connections"]["opened"], &totals["connections"]["peak"]), (&4.into(), &4.into()));
    assert_eq!(finding_ids(totals), ["MC030"], "{totals:#}");
    assert_eq!(report.failed().count(), 4);
    for operation in report.failed() {
        let failure = &operation["failure"];
        assert_eq!(
            (&failure["kind"], &failure["stage"]),
            (&"limit-connections".into(), &stage.into()),
            "{operation:#}"
        );
    }
    let log = server.wait_for("the refusals", |log| log.count(refusal) >= 4);
    assert_eq!((log.count(refusal), log.refused.len()), (4, 0), "{log:#?}");
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn courier_is_shown_by_check_as_its_log_has_it() {
    assert_checked(Kind::Courier, &[Service::Imap, Service::Imaps, Service::Pop3, Service::Pop3s]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn courier_has_the_sessions_of_each_mode_in_its_log() {
    assert_modes_agree(Kind::Courier, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn courier_hears_a_wrong_password_once() {
    assert_one_attempt(Kind::Courier, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn courier_ends_one_operation_where_a_session_is_killed() {
    assert_killed_once(Kind::Courier, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_is_shown_by_check_as_its_log_has_it() {
    assert_checked(Kind::Cyrus, &[Service::Imap, Service::Imaps, Service::Pop3, Service::Pop3s]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_has_the_sessions_of_each_mode_in_its_log() {
    assert_modes_agree(Kind::Cyrus, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_hears_a_wrong_password_once() {
    assert_one_attempt(Kind::Cyrus, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_ends_one_operation_where_a_session_is_killed() {
    assert_killed_once(Kind::Cyrus, &[Service::Imap, Service::Pop3]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_is_shown_by_check_as_its_log_has_it() {
    assert_checked(Kind::Exim, &[Service::Smtp, Service::Smtps]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_has_the_sessions_of_each_mode_in_its_log() {
    assert_modes_agree(Kind::Exim, &[Service::Smtp]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_hears_a_wrong_password_once() {
    assert_one_attempt(Kind::Exim, &[Service::Smtp]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_ends_one_operation_where_a_session_is_killed() {
    assert_killed_once(Kind::Exim, &[Service::Smtp]);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn cyrus_refuses_more_logins_of_a_user_than_it_allows() {
    for service in [Service::Imap, Service::Pop3] {
        assert_limited(Kind::Cyrus, service, "auth", "Too many open connections (4 of 4 for u1)");
    }
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn exim_refuses_more_connections_from_an_address_than_it_allows() {
    assert_limited(Kind::Exim, Service::Smtp, "greeting", "refused: too many connections from that IP address");
}

/// Mounts and processes are gone, and so is the directory.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn a_foreign_server_leaves_nothing_behind() {
    for (kind, service) in [(Kind::Courier, Service::Imap), (Kind::Cyrus, Service::Pop3), (Kind::Exim, Service::Smtp)] {
        let server = ForeignServer::start(kind, ROOM);
        let address = ("127.0.0.1", server.port(service));
        let directory = server.ca_file().parent().and_then(std::path::Path::parent).unwrap().to_owned();
        let _client = TcpStream::connect(address).unwrap();
        drop(server);
        assert!(TcpStream::connect(address).is_err(), "{kind:?} still listens");
        assert!(!directory.exists());
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains("target/foreign"), "{mounts}");
        assert!(!mounts.contains(directory.to_str().unwrap()), "{mounts}");
    }
}

/// Courier closes a connection above MAXPERIP without a word: while others of ours are open, and still answer after it,
/// that is probably a limit, and nothing is wrong with TLS.
fn assert_probably_limited(service: Service, flags: &str) {
    let server = ForeignServer::start(Kind::Courier, 4);
    let trusting = |tool: Tool| match service {
        Service::Imaps | Service::Pop3s => tool.flag("--ca-file", server.ca_file()),
        _ => tool,
    };
    let (finished, report) = trusting(run(&server, service, flags)).streamed();
    assert_eq!(finished.code, 6, "{service:?}: {}{}", finished.stdout, finished.stderr);
    let totals = report.totals();
    assert_sums_hold(totals);
    assert_eq!(finding_ids(totals), ["MC030"], "{totals:#}");
    let sentence = totals["findings"][0]["sentence"].as_str().unwrap();
    assert!(sentence.contains("probably"), "{sentence}");
    for operation in report.failed() {
        let failure = &operation["failure"];
        assert_eq!(failure["kind"], "limit-connections", "{operation:#}");
        assert!(!failure["message"].as_str().unwrap().contains("speaks TLS"), "{operation:#}");
    }
    let opened = report.events("session-opened").count();
    let log = server.wait_for("the sessions", |log| log.signed_in.len() >= opened);
    assert_eq!((log.signed_in.len(), log.refused.len()), (opened, 0), "{log:#?}");

    let text = trusting(run(&server, service, flags)).finish();
    assert_eq!(text.code, 6, "{}", text.stdout);
    assert!(text.stdout.contains("MC030") && !text.stdout.contains("speaks TLS"), "{}", text.stdout);
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn courier_closes_what_is_above_maxperip_and_that_is_probably_a_limit() {
    for service in [Service::Imap, Service::Imaps, Service::Pop3, Service::Pop3s] {
        // Nobody's place comes free before all have dialled.
        assert_probably_limited(service, "--mode use-default -t 8 -n 3 --pause 1s");
    }
}

#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn twenty_threads_on_a_courier_that_allows_four_connections_meet_a_limit() {
    assert_probably_limited(Service::Imap, "--mode use-default -t 20 -n 3");
}

/// Exim ends a session after ten commands without mail.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn the_default_mix_stays_below_what_exim_bears_and_says_why() {
    let server = ForeignServer::start(Kind::Exim, ROOM);
    let finished = run(&server, Service::Smtp, "").finish();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    assert!(finished.words().contains("8 operations ok, 0 failed"), "{}", finished.stdout);
    let said = finished.words() + &finished.stderr;
    assert!(said.contains("Exim"), "why so few? {said}");
    assert_eq!(server.log().count("too many nonmail commands"), 0);
}

/// What is asked for is tried. The refusal and the close behind it are one thing, a limit of rate; each session is given
/// up once.
#[test]
#[ignore = "needs root and what is downloaded for it: scripts/test all"]
fn more_commands_without_mail_than_exim_bears_are_a_limit_that_names_the_ten() {
    let server = ForeignServer::start(Kind::Exim, ROOM);
    let tool = || run(&server, Service::Smtp, "-n 20");
    let (finished, report) = tool().streamed();
    assert_eq!(finished.code, 6, "{}{}", finished.stdout, finished.stderr);
    assert_sums_hold(report.totals());
    for operation in report.failed() {
        let failure = &operation["failure"];
        assert_eq!(failure["kind"], "limit-rate", "{operation:#}");
        assert_eq!(failure["server_line"], "554 Too many nonmail commands", "{operation:#}");
    }
    let dropped = server.wait_for("the refusals", |log| log.count("too many nonmail commands") > 0);
    assert_eq!(report.failed().count(), dropped.count("too many nonmail commands"), "{dropped:#?}");

    let text = tool().finish();
    assert_eq!(text.code, 6, "{}", text.stdout);
    let words = text.words();
    assert!(words.contains("limit-rate") && !words.contains("without a word"), "{words}");
    assert!(["ten ", "10 commands"].iter().any(|ten| words.contains(ten)), "{words}");
}
