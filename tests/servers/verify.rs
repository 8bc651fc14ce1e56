//! `mailconn verify --dovecot-log`: a run's file against what a real server wrote down.

use super::tool::{Finished, Protection, Protocol, SOON, Tool};
use crate::cli::process::{Ended, end, mailconn};
use crate::support::dovecot::PrivateDovecot;

/// The file of such a run, when the server has written down the end of every session.
fn trace(server: &PrivateDovecot, protocol: Protocol, protection: Protection, flags: &str) -> String {
    let (finished, report): (Finished, _) = Tool::speaking(protocol, server, "u1", protection).with(flags).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    let opened: Vec<u64> = report.events("session-opened").map(|it| it["local_port"].as_u64().unwrap()).collect();
    server.wait_for(SOON, |log| {
        let ended =
            |port: &u64| log.on_port(u16::try_from(*port).unwrap()).is_some_and(|session| session.end.is_some());
        opened.iter().all(ended)
    });
    finished.stdout
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

#[test]
fn a_log_of_others_joins_nothing_and_says_so() {
    let server = PrivateDovecot::start();
    let ended = end(&mut mailconn("run -n 2 -t 1 --format ndjson".split(' ')));
    let verified = verify(&server, &ended.stdout);
    assert_eq!(verified.code, 0, "{}", verified.stdout);
    assert!(words(&verified.stdout).contains("is not in the log"), "{}", verified.stdout);
}
