//! Every way to sign in that the private servers know, by each protocol; and what a refusal costs (rule B6).

use super::tool::{Protection, Protocol, SOON, Tool, assert_sums_hold};
use crate::support::dovecot::PrivateDovecot;
use mailconn::allocator::{ConnectionId, SessionId};
use mailconn::protocol::{Credentials, Endpoint, ImapConnector, Secret, Settings, Tokens};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

fn signs_in_by(report: &super::tool::Report) -> Vec<&str> {
    report.events("session-opened").map(|opened| opened["signed_in_by"].as_str().unwrap()).collect()
}

#[test]
fn each_mechanism_signs_in_by_each_protocol() {
    let server = PrivateDovecot::builder().postfix().start();
    for protocol in Protocol::ALL {
        for mechanism in ["scram-sha-256", "plain", "login"] {
            let tool = Tool::speaking(protocol, &server, "u1", Protection::StartTls).flag("--auth", mechanism);
            let (finished, report) = tool.with("-t 2 -n 2").streamed();
            assert_eq!(finished.code, 0, "{protocol:?} {mechanism}: {}{}", finished.stdout, finished.stderr);
            assert_eq!(signs_in_by(&report), [mechanism.to_uppercase()], "{protocol:?}");
        }
        for mechanism in ["xoauth2", "oauthbearer"] {
            let token = format!("cat {}", server.token_file("u1").display());
            let tool = Tool::bare(protocol, &server, "u1", Protection::Tls).flag("--token-command", token);
            let (finished, report) = tool.flag("--auth", mechanism).with("-t 2 -n 2").streamed();
            assert_eq!(finished.code, 0, "{protocol:?} {mechanism}: {}{}", finished.stdout, finished.stderr);
            assert_eq!(signs_in_by(&report), [mechanism.to_uppercase()], "{protocol:?}");
        }
    }
}

#[test]
fn the_protocols_own_commands_sign_in_too() {
    let server = PrivateDovecot::start();
    for (protocol, by) in [(Protocol::Imap, "LOGIN"), (Protocol::Pop3, "USER")] {
        let tool = Tool::speaking(protocol, &server, "u1", Protection::Tls).with("--auth user-pass -t 2 -n 2");
        let (finished, report) = tool.streamed();
        assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
        assert_eq!(signs_in_by(&report), [by]);
    }
}

#[test]
fn a_mechanism_that_the_server_does_not_offer_is_no_wrong_password() {
    let server = PrivateDovecot::builder().mechanisms("plain").start();
    let tool = Tool::speaking(Protocol::Imap, &server, "u1", Protection::Tls).with("--auth scram-sha-256 -t 2 -n 2");
    let finished = tool.finish();
    assert_eq!(finished.code, 5, "{}{}", finished.stdout, finished.stderr);
    let said = finished.words();
    assert!(said.contains("auth-unsupported at auth") && said.contains("PLAIN"), "{}", finished.stdout);
}

fn lines_in(file: &Path) -> usize {
    std::fs::read_to_string(file).unwrap_or_default().lines().count()
}

#[test]
fn an_expired_token_is_fetched_once_more_and_then_it_is_over() {
    let server = PrivateDovecot::builder().postfix().start();
    let dir = tempfile::tempdir().unwrap();
    for protocol in Protocol::ALL {
        for mechanism in ["xoauth2", "oauthbearer"] {
            let fetched = dir.path().join(format!("{protocol:?}-{mechanism}"));
            let token = server.expired_token_file("u1");
            let command = format!("echo x >>{}; cat {}", fetched.display(), token.display());
            let tool = Tool::bare(protocol, &server, "u1", Protection::Plain).flag("--token-command", command);
            let tool = tool.flag("--auth", mechanism).with("--mode use-default -t 8 -n 2");
            let (finished, report) = tool.streamed();
            assert_eq!(finished.code, 5, "{protocol:?} {mechanism}: {}{}", finished.stdout, finished.stderr);
            assert_sums_hold(report.totals());
            assert_eq!(lines_in(&fetched), 2, "{protocol:?} {mechanism}: one fetch and one more");
            for failed in report.failed() {
                assert_eq!(failed["failure"]["kind"], "auth-invalid", "{failed}");
            }
            // It was the same one again.
            let attempts = report.events("session-refused").filter(|refused| refused["sign_in_attempted"] == true);
            assert_eq!(attempts.count(), 1, "{protocol:?} {mechanism}");
            let token = std::fs::read_to_string(&token).unwrap();
            assert!(!finished.stdout.contains(token.trim()) && !finished.stderr.contains(token.trim()));
        }
    }
}

#[test]
fn a_token_that_is_renewed_meanwhile_signs_in() {
    let server = PrivateDovecot::start();
    let dir = tempfile::tempdir().unwrap();
    let (seen, old, new) = (dir.path().join("seen"), server.expired_token_file("u1"), server.token_file("u1"));
    let (seen, old, new) = (seen.display(), old.display(), new.display());
    let command = format!("if [ -e {seen} ]; then cat {new}; else touch {seen}; cat {old}; fi");
    let tool = Tool::bare(Protocol::Imap, &server, "u1", Protection::Tls).flag("--token-command", command);
    let (finished, report) = tool.with("--mode use-default -t 4 -n 2").streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    assert_eq!(report.totals()["operations"]["ok"], 8);
}

/// nextcloud/mail#9156, by each protocol.
#[test]
fn a_wrong_password_costs_one_attempt_of_eight_threads_by_smtp_and_by_pop3() {
    const WRONG: &str = "not-the-password-of-anyone";
    let server = PrivateDovecot::builder().postfix().start();
    for (number, protocol) in [Protocol::Smtp, Protocol::Pop3].into_iter().enumerate() {
        let user = server.users()[number].to_owned();
        let tool = Tool::bare(protocol, &server, &user, Protection::StartTls).password(WRONG).with("--auth plain");
        let (finished, report) = tool.with("--mode use-default -t 8 -n 5").streamed();
        assert_eq!(finished.code, 5, "{protocol:?}: {}{}", finished.stdout, finished.stderr);
        assert_sums_hold(report.totals());
        let attempted = report.events("session-refused").filter(|refused| refused["sign_in_attempted"] == true);
        assert_eq!(attempted.count(), 1, "{protocol:?}");
        match protocol {
            Protocol::Smtp => {
                let refused = |log: &crate::support::postfix_log::PostfixLog| {
                    log.sessions.iter().map(|session| session.refused_sign_ins.len()).sum::<usize>()
                };
                assert_eq!(refused(&server.wait_for_postfix(SOON, |log| refused(log) > 0)), 1);
            }
            _ => {
                let refused = |log: &crate::support::dovecot_log::Log| {
                    log.refused_sign_ins.iter().filter(|refused| refused.user == user).count()
                };
                assert_eq!(refused(&server.wait_for(SOON, |log| refused(log) > 0)), 1);
            }
        }
        for output in [&finished.stdout, &finished.stderr] {
            assert!(!output.contains(WRONG), "{output}");
        }
    }
}

/// By the server's own clock: the second dial presents what has run out, unless its end is known.
#[test]
fn a_token_that_runs_out_is_replaced_and_where_its_end_is_known_before_it_is_refused() {
    const LASTS: Duration = Duration::from_secs(3);
    let server = PrivateDovecot::start();
    for (number, says_so) in [false, true].into_iter().enumerate() {
        let user = server.users()[number].to_owned();
        let tokens = Mutex::new(vec![server.token(&user, 100 * LASTS), server.token(&user, LASTS)]);
        let tokens = Tokens::expiring(move |_, _| {
            let token = tokens.lock().unwrap().pop().ok_or("a third was asked for")?;
            Ok((Secret::new(token), says_so.then_some(LASTS)))
        });
        let endpoint = Endpoint::parse(&format!("imap://{user}@127.0.0.1:{}", server.imap_port()), None).unwrap();
        let connector = ImapConnector::new(Settings::new(endpoint, Credentials::Token(tokens)));
        let dial = |number| connector.dial(SessionId { connection: ConnectionId(number), number: 1 }).unwrap();
        let at_hand = (dial(0), dial(1));
        thread::sleep(LASTS + Duration::from_secs(2));
        let renewed = (dial(2), dial(3));
        drop((at_hand, renewed));
        let log = server.wait_for(SOON, |log| log.sessions.iter().filter(|session| session.user == user).count() >= 4);
        let refused = log.refused_sign_ins.iter().filter(|refused| refused.user == user).count();
        assert_eq!(refused, usize::from(!says_so), "{says_so}");
    }
}
