//! `mailconn verify --dovecot-log`: a run's file against what a real server wrote down.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::tool::{Finished, Protection, Protocol, Report, SOON, Tool};
use crate::cli::process::{Ended, end, mailconn};
use crate::support::dovecot::PrivateDovecot;

/// The file of such a run, when the server has written down the end of every session.
fn trace(server: &PrivateDovecot, protocol: Protocol, protection: Protection, flags: &str) -> String {
    let (finished, report): (Finished, _) = Tool::speaking(protocol, server, "u1", protection).with(flags).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    written_down(server, &report);
    finished.stdout
}

/// The same under a naive lock, whatever it comes to; while it runs, sessions are ended that many times.
fn naive(server: &PrivateDovecot, flags: &str, ended: usize) -> String {
    let flags = format!(
        "--lock command --mode use-main -t 6 --ops fetch --mailbox INBOX --mailbox Archive --format ndjson {flags}"
    );
    let running = Tool::speaking(Protocol::Imap, server, "u1", Protection::Plain).with(&flags).start();
    for _ in 0..ended {
        std::thread::sleep(Duration::from_millis(120));
        for pid in server.imap_pids() {
            // It may have ended by itself.
            drop(Command::new("kill").arg(pid.to_string()).output());
        }
    }
    let finished = running.finish();
    written_down(server, &finished.report());
    finished.stdout
}

fn written_down(server: &PrivateDovecot, report: &Report) {
    let opened: Vec<u64> = report.events("session-opened").map(|it| it["local_port"].as_u64().unwrap()).collect();
    server.wait_for(SOON, |log| {
        let ended =
            |port: &u64| log.on_port(u16::try_from(*port).unwrap()).is_some_and(|session| session.end.is_some());
        opened.iter().all(ended)
    });
}

fn verify(server: &PrivateDovecot, trace: &str) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    std::fs::write(&path, trace).unwrap();
    let (log, rawlog) = server.record();
    let mut command = mailconn(["verify"]);
    end(command.arg(path).arg("--dovecot-log").arg(log).arg("--rawlog").arg(rawlog))
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn a_run_is_borne_out_by_the_servers_log_and_transcripts() {
    let server = PrivateDovecot::start();
    let ops = "--ops noop,status,fetch,search,append --allow-writes --mailbox INBOX --mailbox Archive -n 8 -t 4";
    for (protocol, protection, flags, joined) in [
        (
            Protocol::Imap,
            Protection::Plain,
            format!("--mode use-default {ops}"),
            "4, 4 were joined by their label and 0",
        ),
        (Protocol::Imap, Protection::Tls, format!("--mode use-main {ops}"), "1, 1 were joined by their label and 0"),
        (
            Protocol::Pop3,
            Protection::StartTls,
            "--mode use-main -n 9".to_owned(),
            "1, 0 were joined by their label and 1",
        ),
    ] {
        let trace = trace(&server, protocol, protection, &flags);
        let verified = verify(&server, &trace);
        assert_eq!((verified.code, &*verified.stderr), (0, ""), "{}", verified.stdout);
        let said = words(&verified.stdout);
        assert!(said.contains(&format!("of the run's {joined}")), "{said}");
        assert!(said.contains("the server's log agrees, session by session"), "{said}");
    }
}

#[test]
fn what_the_servers_log_knows_better_does_not_hold() {
    let server = PrivateDovecot::start();
    let trace =
        trace(&server, Protocol::Imap, Protection::Plain, "--mode use-default -t 2 -n 4 --auth plain --ops noop");
    let port = trace.split(r#""local_port":"#).nth(1).unwrap().split(',').next().unwrap().to_owned();
    for (what, lie) in [
        ("is in the log with another port", trace.replace(&format!(r#""local_port":{port}"#), r#""local_port":9"#)),
        ("signed in otherwise", trace.replacen(r#""signed_in_by":"PLAIN""#, r#""signed_in_by":"LOGIN""#, 1)),
        (
            "sent another command",
            trace.replacen("NOOP", "LIST", 1).replacen(r#""operation":"noop""#, r#""operation":"list""#, 1),
        ),
        ("calls itself another run", trace.replacen(r##""label":"#1""##, r##""label":"#2""##, 1)),
    ] {
        assert_ne!(lie, trace);
        let verified = verify(&server, &lie);
        assert_eq!(verified.code, 7, "{what}: {}", verified.stdout);
    }
    let port_lie = verify(&server, &trace.replace(&format!(r#""local_port":{port}"#), r#""local_port":9"#));
    assert!(words(&port_lie.stdout).contains("went over port 9, the log has it on port"), "{}", port_lie.stdout);
    let verb_lie = verify(&server, &trace.replacen(r#""verb":"NOOP""#, r#""verb":"LIST""#, 1));
    assert!(words(&verb_lie.stdout).contains("the server's transcript of it has"), "{}", verb_lie.stdout);
}

/// `mailconn verify` with that log and those transcripts.
fn against(trace: &str, log: &Path, rawlog: Option<&Path>) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("trace");
    std::fs::write(&path, trace).unwrap();
    let mut command = mailconn(["verify"]);
    command.arg(path).arg("--dovecot-log").arg(log);
    if let Some(rawlog) = rawlog {
        command.arg("--rawlog").arg(rawlog);
    }
    end(&mut command)
}

/// Stopped by its administrator in that moment: the client has its BYE, and takes it for the reply to LOGOUT.
#[test]
fn a_server_that_ended_a_session_as_it_signed_out_has_not_read_the_logout() {
    let server = PrivateDovecot::start();
    let trace = trace(&server, Protocol::Imap, Protection::Plain, "--mode use-main -t 1 -n 4 --ops noop");
    let (log, rawlog) = server.record();
    let directory = tempfile::tempdir().unwrap();
    let stopped = directory.path().join("dovecot.log");
    let text = std::fs::read_to_string(log).unwrap();
    assert!(text.contains("Disconnected: Logged out"), "{text}");
    std::fs::write(&stopped, text.replace("Disconnected: Logged out", "Disconnected: Server shutting down.")).unwrap();
    // Its last command is LOGOUT, the ones before it are NOOPs.
    for (unread, code) in [(0, 0), (1, 0), (2, 7)] {
        let raw = directory.path().join(format!("rawlog{unread}"));
        std::fs::create_dir(&raw).unwrap();
        for entry in std::fs::read_dir(rawlog).unwrap() {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines: Vec<&str> = text.split_inclusive('\n').collect();
            if path.extension().is_some_and(|extension| extension == "in") {
                lines.truncate(lines.len() - unread);
            }
            std::fs::write(raw.join(path.file_name().unwrap()), lines.concat()).unwrap();
        }
        let verified = against(&trace, &stopped, Some(&raw));
        assert_eq!(verified.code, code, "{unread}: {}{}", verified.stdout, verified.stderr);
    }
}

#[test]
fn a_record_that_says_nothing_of_the_run_bears_out_nothing() {
    let (server, other) = (PrivateDovecot::start(), PrivateDovecot::start());
    let flags = "--mode use-default -t 3 -n 3 --ops noop";
    let trace_there = trace(&server, Protocol::Imap, Protection::Plain, flags);
    trace(&other, Protocol::Imap, Protection::Plain, flags);
    let sandboxed = end(&mut mailconn("run -n 2 -t 1 --format ndjson".split(' '))).stdout;
    let empty = tempfile::tempdir().unwrap();
    let (log, rawlog) = server.record();
    for (what, trace, log, rawlog, why) in [
        ("no log", &trace_there, Path::new("/dev/null"), None, "shows no sign-in"),
        ("another text", &trace_there, Path::new("Cargo.toml"), None, "shows no sign-in"),
        ("another server", &trace_there, other.record().0, None, "none of the 3 sessions of the run that signed in"),
        ("the sandbox's run", &sandboxed, log, None, "none of the 1 sessions of the run that signed in"),
        ("no transcripts", &trace_there, log, Some(empty.path()), "has no transcript of any session"),
    ] {
        let verified = against(trace, log, rawlog);
        let lines = verified.stderr.lines().count();
        assert_eq!((verified.code, &*verified.stdout, lines), (2, "", 1), "{what}: {}", verified.stderr);
        assert!(verified.stderr.contains(why), "{what}: {}", verified.stderr);
    }

    // Of a log whose sign-ins name no port: the label will do, and without it the cure is said.
    let text = std::fs::read_to_string(log).unwrap();
    let without_ports: Vec<String> = text
        .lines()
        .map(|line| line.split(", ").filter(|it| !it.starts_with("rport=")).collect::<Vec<_>>().join(", "))
        .collect();
    let portless = empty.path().join("portless");
    std::fs::write(&portless, without_ports.join("\n") + "\n").unwrap();
    assert_eq!(against(&trace_there, &portless, None).code, 0);
    let nameless: Vec<&str> = without_ports.iter().map(|it| &**it).filter(|it| !it.contains("ID sent: ")).collect();
    std::fs::write(&portless, nameless.join("\n") + "\n").unwrap();
    let verified = against(&trace_there, &portless, None);
    assert_eq!(verified.code, 2, "{}", verified.stdout);
    assert!(
        verified.stderr.contains("name neither their port nor their run; it must be set up as"),
        "{}",
        verified.stderr
    );

    // Nobody signed in: that log has none of it, and need not.
    let refused = Tool::bare(Protocol::Imap, &server, "u1", Protection::Plain).password("wrong");
    let refused = refused.with(&format!("{flags} --format ndjson")).finish();
    let verified = against(&refused.stdout, log, None);
    assert_eq!(verified.code, 0, "{}{}", verified.stdout, verified.stderr);
    assert!(words(&verified.stdout).contains("no session of the run signed in"), "{}", verified.stdout);

    // Of one session the log, or the directory, has nothing; of the others it has.
    let port = trace_there.split(r#""local_port":"#).nth(1).unwrap().split(',').next().unwrap();
    let text = std::fs::read_to_string(log).unwrap();
    let (its_own, others): (Vec<&str>, Vec<&str>) =
        text.lines().partition(|line| line.contains(&format!("rport={port},")));
    let shorter = empty.path().join("log");
    std::fs::write(&shorter, others.join("\n") + "\n").unwrap();
    assert_eq!(against(&trace_there, &shorter, None).code, 7);
    let unlabelled: Vec<&str> = others.into_iter().filter(|line| !line.contains("ID sent: ")).collect();
    std::fs::write(&shorter, unlabelled.join("\n") + "\n").unwrap();
    let verified = against(&trace_there, &shorter, None);
    assert_eq!(verified.code, 7, "{}", verified.stdout);
    assert!(words(&verified.stdout).contains("is not in the log, which has others of this run"), "{}", verified.stdout);
    let pid = its_own[0].split("mpid=").nth(1).unwrap().split(',').next().unwrap();
    for entry in std::fs::read_dir(rawlog).unwrap().map(Result::unwrap) {
        if !entry.file_name().to_string_lossy().contains(&format!(".{pid}.")) {
            std::fs::copy(entry.path(), empty.path().join(entry.file_name())).unwrap();
        }
    }
    let verified = against(&trace_there, log, Some(empty.path()));
    assert_eq!(verified.code, 7, "{}", verified.stdout);
    assert!(words(&verified.stdout).contains("of the 3 that were joined, 2 were compared with their transcripts"));
    assert!(words(&verified.stdout).contains("has no transcript, and other sessions"), "{}", verified.stdout);
}

#[test]
fn who_signed_in_how_much_passed_and_on_which_day_the_log_knows() {
    let server = PrivateDovecot::start();
    let trace = trace(&server, Protocol::Imap, Protection::Plain, "--mode use-default -t 2 -n 4 --ops noop");
    let number = |name: &str| trace.split(&format!(r#""{name}":"#)).nth(1).unwrap().split([',', '}']).next().unwrap();
    let inflated =
        |name: &str| trace.replacen(&format!(r#""{name}":{}"#, number(name)), &format!(r#""{name}":{}"#, 1_000_000), 1);
    for (lie, said) in [
        (trace.replacen("imap://u1@", "imap://u3@", 1), "is one of u3, the log has u1 sign in"),
        (inflated("bytes_sent"), "after the sign-in, which takes"),
        (inflated("bytes_received"), "after the sign-in, which takes"),
        (two_days_earlier(&trace), "hours from the log's"),
    ] {
        let verified = verify(&server, &lie);
        assert_eq!(verified.code, 7, "{said}: {}", verified.stdout);
        assert!(words(&verified.stdout).contains(said), "{said}: {}", verified.stdout);
    }
}

/// With every date two days before its own.
fn two_days_earlier(trace: &str) -> String {
    let earlier = |time: &str| {
        let time = humantime::parse_rfc3339(time).unwrap() - Duration::from_secs(2 * 86_400);
        humantime::format_rfc3339_micros(time).to_string()
    };
    trace
        .lines()
        .map(|line| {
            let mut line = line.to_owned();
            for name in ["started", "time"] {
                let key = format!(r#""{name}":""#);
                if let Some((before, after)) = line.clone().split_once(&key) {
                    let (time, rest) = after.split_once('"').unwrap();
                    line = format!("{before}{key}{}\"{rest}", earlier(time));
                }
            }
            line + "\n"
        })
        .collect()
}

/// Whose commands come from several leases, on sessions that the server ends one after the other.
#[test]
fn a_naive_lock_is_borne_out_also_where_sessions_were_replaced() {
    let server = PrivateDovecot::start();
    let whole = naive(&server, "-n 20", 0);
    let verified = verify(&server, &whole);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    let said = words(&verified.stdout);
    assert!(said.contains("of the 1 that were joined, 1 was compared with their transcripts: 24"), "{said}");
    let replaced = naive(&server, "--duration 3s", 8);
    let sessions = replaced.matches(r#""event":"session-opened""#).count();
    assert!(sessions > 2, "{sessions} sessions");
    let verified = verify(&server, &replaced);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(words(&verified.stdout).contains("witness not available"), "{}", verified.stdout);
}
