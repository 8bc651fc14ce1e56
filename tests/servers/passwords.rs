//! Passwords, names and certificates; and a goodbye after every way out.

use super::agreement::assert_recorded;
use super::tool::{Protection, SOON, Tool, assert_sums_hold};
use crate::canary::words::{difference, neutral, steady};
use crate::support::dovecot::PrivateDovecot;
use std::io::Write as _;
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[test]
fn the_password_comes_from_a_file_or_the_environment_and_the_file_is_asked_first() {
    const PASSWORD: &str = r#"s"e\cret of u1"#;
    let server = PrivateDovecot::builder().set("PASSWORD", PASSWORD).start();
    let url = format!("imap://u1@127.0.0.1:{}", server.imap_port());
    let in_environment = Tool::dialling(&url).password(PASSWORD).with("-n 2").finish();
    let in_file = Tool::on(&server, "u1", Protection::Plain).password("wrong").with("-n 2").finish();
    let streamed = Tool::on(&server, "u1", Protection::Tls).with("-n 2 --format ndjson").finish();
    for finished in [in_environment, in_file, streamed] {
        assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
        for output in [&finished.stdout, &finished.stderr] {
            assert!(!output.contains(PASSWORD) && !output.contains("secret"), "{output}");
        }
    }
    // It never goes by the label or by anything else that the server logs.
    let log = server.wait_for(SOON, |log| log.sessions.len() == 3);
    assert!(!format!("{log:?}").contains("cret of u1"), "{log:#?}");
    assert!(log.refused_sign_ins.is_empty());
}

#[test]
fn a_password_that_no_quoted_string_can_carry_signs_in_by_login() {
    for password in ["pässwört of u1".to_owned(), "long".repeat(200)] {
        let server = PrivateDovecot::builder().set("PASSWORD", &password).start();
        for protection in [Protection::Plain, Protection::Tls] {
            let tool = Tool::speaking(super::tool::Protocol::Imap, &server, "u1", protection);
            let (finished, report) = tool.with("-n 2 -t 2 --auth user-pass --mode use-default").streamed();
            assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
            assert!(report.events("session-opened").all(|opened| opened["signed_in_by"] == "LOGIN"));
        }
        let url = format!("imap://u1@127.0.0.1:{}", server.imap_port());
        let wrong = Tool::dialling(&url).password("wröng").with("-n 2 --auth user-pass").finish();
        assert_eq!(wrong.code, 5, "{}{}", wrong.stdout, wrong.stderr);
    }
}

/// What a run said, and what its transcripts hold, without what differs from run to run.
fn told(tool: Tool, of: &str) -> String {
    let transcripts = tempfile::tempdir().unwrap();
    let tool = tool.flag("--transcript", transcripts.path()).with("-t 1 -n 2 --ops noop --format json");
    let finished = tool.finish();
    assert_eq!(finished.code, 0, "{of}: {}{}", finished.stdout, finished.stderr);
    let mut told = finished.stdout + &finished.stderr;
    for entry in std::fs::read_dir(transcripts.path()).unwrap() {
        told += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    // Dovecot tells there how long it took, if it took time.
    let is_steady = |line: &&str| !line.contains(" secs).");
    told.lines().filter(is_steady).map(steady).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_password_that_is_a_word_of_the_protocols_signs_in_by_each_mechanism_and_hides_no_word() {
    const PASSWORDS: [&str; 12] = [
        "scram",
        "auth",
        "plain",
        "login",
        "ok",
        "a",
        "dovecot",
        "Logged in",
        "pässwört",
        "quo\"te",
        "back\\slash",
        "a b",
    ];
    let server = PrivateDovecot::builder().postfix().start();
    let users = server.ca_file().parent().unwrap().with_file_name("users");
    let mut users = std::fs::OpenOptions::new().append(true).open(users).unwrap();
    for (number, password) in PASSWORDS.iter().enumerate() {
        writeln!(users, "p{number}:{{PLAIN}}{password}::::::\nq{number}:{{PLAIN}}{}::::::", neutral(password)).unwrap();
    }
    let mut wrong = Vec::new();
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        for protocol in super::tool::Protocol::ALL {
            for by in ["scram-sha-256", "plain", "login", "user-pass"] {
                if (protocol, by) == (super::tool::Protocol::Smtp, "user-pass") {
                    continue;
                }
                let of = format!("{password:?} {protocol:?} {by}");
                let told = [("p", password.to_owned()), ("q", neutral(password))].map(|(name, password)| {
                    let tool = Tool::bare(protocol, &server, &format!("{name}{number}"), Protection::Plain);
                    told(tool.flag("--auth", by).password(&password), &of)
                });
                wrong.extend(difference(&told[0], &told[1]).map(|it| format!("{of}:\n{it}")));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_user_may_be_called_like_a_mail_address() {
    const USER: &str = "ann@example.org";
    let server = PrivateDovecot::start();
    let users = server.ca_file().parent().unwrap().with_file_name("users");
    writeln!(std::fs::OpenOptions::new().append(true).open(users).unwrap(), "{USER}:{{PLAIN}}pw::::::").unwrap();
    for name in [USER, "ann%40example.org"] {
        let finished = Tool::on(&server, name, Protection::Plain).with("-n 2 --ops noop,list").finish();
        assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    }
    let log = server.wait_for(SOON, |log| log.sessions.len() == 2);
    assert!(log.sessions.iter().all(|session| session.user == USER), "{log:#?}");
}

/// Ends before anything is signed in, with the code for that and a line that says the cure.
fn assert_cannot_connect(tool: Tool, kind: &str, cure: &str) {
    let since = Instant::now();
    let finished = tool.with("-t 2 -n 2 --format json").finish();
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(finished.code, 4, "{}{}", finished.stdout, finished.stderr);
    let report = finished.json();
    assert_sums_hold(&report);
    let failures = report["failures"].as_array().unwrap().iter();
    let tried = |failure: &&serde_json::Value| !failure["message"].as_str().unwrap().starts_with("not tried");
    let [failure] = failures.filter(tried).collect::<Vec<_>>()[..] else { panic!("{report:#}") };
    assert_eq!(failure["kind"], kind, "{report:#}");
    assert!(failure["message"].as_str().unwrap().contains(cure), "{failure}");
    assert!(!finished.stderr.contains("panicked"), "{}", finished.stderr);
}

#[test]
fn a_certificate_of_another_authority_is_refused_before_anyone_signs_in() {
    let (server, other) = (PrivateDovecot::start(), PrivateDovecot::start());
    for protection in [Protection::Tls, Protection::StartTls] {
        // The last file that is named counts.
        let urls = match protection {
            Protection::Tls => format!("imaps://u1@127.0.0.1:{}", server.imaps_port()),
            _ => format!("imap://u1@127.0.0.1:{}", server.imap_port()),
        };
        let tool = Tool::dialling(&urls).password("pw").with(if protection == Protection::StartTls {
            "--starttls"
        } else {
            ""
        });
        let tool = tool.with(&format!("--ca-file {}", other.ca_file().display()));
        assert_cannot_connect(tool, "tls-certificate", "CA");
        let stranger = Tool::dialling(
            &urls
                .replace("imap://", "imaps://")
                .replace(&server.imap_port().to_string(), &server.imaps_port().to_string()),
        );
        assert_cannot_connect(stranger.password("pw"), "tls-certificate", "CA");
    }
    let log = server.log();
    assert!(log.sessions.is_empty() && log.refused_sign_ins.is_empty(), "{log:#?}");
}

#[test]
fn tls_to_the_plaintext_port_ends_quickly_in_one_clear_line() {
    let server = PrivateDovecot::start();
    let url = format!("imaps://u1@127.0.0.1:{}", server.imap_port());
    assert_cannot_connect(Tool::dialling(&url).password("pw"), "tls-handshake", "plaintext");
}

#[test]
fn plaintext_to_the_tls_port_ends_in_its_deadline_and_names_imaps() {
    let server = PrivateDovecot::start();
    let url = format!("imap://u1@127.0.0.1:{}", server.imaps_port());
    let tool = Tool::dialling(&url).password("pw").with("--connect-timeout 400ms");
    assert_cannot_connect(tool, "timeout", "imaps://");
}

#[test]
fn a_server_that_is_down_refuses_the_connection() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let tool = Tool::dialling(&format!("imap://u1@127.0.0.1:{port}")).password("pw");
    assert_cannot_connect(tool, "connect-refused", "check host and port");
}

/// A session whose operation was refused is healthy, is used again, and is signed out.
#[test]
fn a_mailbox_that_does_not_exist_fails_its_operations_and_breaks_no_session() {
    let server = PrivateDovecot::start();
    let tool = Tool::on(&server, "u1", Protection::Plain)
        .with("--mode use-default -t 3 -n 10 --ops status,fetch,search,noop --mailbox Nope --mailbox INBOX");
    let (finished, report) = tool.streamed();
    assert_eq!(finished.code, 1, "{}{}", finished.stdout, finished.stderr);
    assert_sums_hold(report.totals());
    assert_eq!(report.events("session-opened").count(), 3);
    assert!(report.failed().count() > 0);
    for failed in report.failed() {
        assert_eq!((&failed["mailbox"], &failed["failure"]["kind"]), (&"Nope".into(), &"server-no".into()));
        assert!(failed["failure"]["server_line"].as_str().unwrap().contains("Nope"), "{failed}");
    }
    // Each of them says LOGOUT.
    assert_recorded(&server, "u1", &report);
}

#[test]
fn a_run_that_ends_by_the_clock_signs_out_too() {
    let server = PrivateDovecot::start();
    let tool = Tool::on(&server, "u1", Protection::StartTls).with("--mode use-default -t 3 --duration 300ms");
    let (finished, report) = tool.streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    assert_sums_hold(report.totals());
    assert!(report.events("session-closed").all(|closed| closed["closed"] == "logged-out"));
    assert_recorded(&server, "u1", &report);
}
