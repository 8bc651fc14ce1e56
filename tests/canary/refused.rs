//! Wrong usage, and help: what stands in the arguments and in the environment is not read out.

use std::net::TcpListener;

use super::flight::Nest;
use super::forms::{Eye, ODD, PLAIN, TOKEN};
use crate::cli::process::end;

const WORDS: [&str; 3] = [PLAIN, ODD, TOKEN];

fn commands(secret: &str) -> Vec<Vec<String>> {
    let url = |scheme: &str| format!("{scheme}joe:{secret}@127.0.0.1");
    let lines: &[&[&str]] = &[
        &["run", "--server", &url("imap://")],
        &["run", "--server", &url("imaps://"), "--thraeds", "3"],
        &["run", "--server", &url("imap:")],
        &["run", "--server", &url("imap:/")],
        &["run", "--server", &url("imap//")],
        &["run", "--server", &url("")],
        &["run", "--server", &url("ftp://")],
        &["run", "--server", &url("sandbox+imap://")],
        &["run", "--server", &format!("{}/INBOX", url("imap://"))],
        &["run", "--server", &format!("{}?x#y", url("imap://"))],
        &["run", &format!("--server={}", url("imap://"))],
        &["run", &format!("--sever={}", url("imap://"))],
        &["run", "--sever", &url("imap://")],
        &["run", &url("imap://")],
        &["run", &url("imap:")],
        &["run", &url("")],
        &[&url("imap://")],
        &[&url("")],
        &["check", &url("imap://")],
        &["check", &url("imap:")],
        &["check", &url("")],
        &["check", &url("sandbox+imap://")],
        &["check", "sandbox", &url("imap://")],
        &["check", "sandbox", &url("")],
        &["check", "--server", &url("imap://")],
        &["check", &url("imap://"), "--format", "xml"],
        &["run", "--mode", &url("imap://")],
        &["run", "--threads", &url("")],
        &["run", "--ops", &url("imap://")],
        &["run", "--default-for", &url("")],
        &["run", "--connect-timeout", &url("")],
        &["run", "--ca-file", &url("imap://"), "--server", "imaps://joe@127.0.0.1"],
        &["run", "--auth", &url("imap://")],
        &["run", "--ehlo", &url("smtp://")],
        &["run", "-o", &format!("missing/{}", url("imap://"))],
        &["run", "--transcript", &format!("/proc/{}", url("imap://"))],
        &["sandbox", "--listen", &url("imap://")],
        &["sandbox", "--listen", &url("")],
        &["sandbox", &url("imap://")],
        // What people write who take the flag for one that exists, or that takes a value.
        &["run", "--password", secret],
        &["run", &format!("--password={secret}")],
        &["run", &format!("--pasword={secret}")],
        &["run", "--pasword", secret],
        &["run", "--token", secret],
        &["run", &format!("--token={secret}")],
        &["run", &format!("--password-stdin={secret}")],
        &["run", "--password-stdin", secret],
        &["check", "sandbox", "--password", secret],
        &["check", "sandbox", "--password-stdin", secret],
        &["check", "sandbox", &format!("--password-stdin={secret}")],
        &["run", "-p", secret],
        &["run", &format!("-p{secret}")],
        &["sandbox", "--password", secret],
        &["sandbox", &format!("--password={secret}")],
        &["run", &format!("MAILCONN_PASSWORD={secret}")],
        &["run", "--auth", "plain", "--password-command", "false", "--password-stdin", secret],
    ];
    lines.iter().map(|line| line.iter().map(|word| (*word).to_owned()).collect()).collect()
}

#[test]
fn wrong_usage_is_told_without_the_password_that_stands_in_it() {
    let mut leaks = Vec::new();
    for secret in WORDS {
        let eye = Eye::for_all(&[secret]);
        let nest = Nest::with(secret);
        for command in commands(secret) {
            let words: Vec<_> = command.iter().map(String::as_str).collect();
            let ended = end(nest.command(&words).env("MAILCONN_PASSWORD", secret));
            assert_eq!(ended.code, 2, "{words:?}: {}{}", ended.stdout, ended.stderr);
            leaks.extend(nest.leaks(&format!("{words:?}"), &ended, &eye));
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn an_address_in_the_environment_is_not_read_out_either() {
    let mut leaks = Vec::new();
    for secret in WORDS {
        let eye = Eye::for_all(&[secret]);
        let nest = Nest::with(secret);
        for start in ["imap://", "imap:", "", "ftp://", "sandbox+imap://", "sandbox+", "sandbox+joe", "sandbox"] {
            let url = format!("{start}joe:{secret}@127.0.0.1");
            for words in [&["run"][..], &["check"], &["run", "--starttls"], &["check", "--sandbox-connections", "3"]] {
                let ended = end(nest.command(words).env("MAILCONN_SERVER", &url).env("MAILCONN_PASSWORD", secret));
                assert_eq!(ended.code, 2, "{words:?}: {}{}", ended.stdout, ended.stderr);
                leaks.extend(nest.leaks(&format!("{words:?} MAILCONN_SERVER={url}"), &ended, &eye));
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn help_does_not_know_the_environment() {
    for secret in WORDS {
        let eye = Eye::for_all(&[secret]);
        let nest = Nest::with(secret);
        for words in [
            &["--help"][..],
            &["-h"],
            &["help"],
            &["run", "--help"],
            &["run", "-h"],
            &["check", "--help"],
            &["check", "-h"],
            &["sandbox", "--help"],
            &["help", "run"],
            &["--version"],
            &[],
        ] {
            let url = format!("imap://joe:{secret}@127.0.0.1");
            let ended = end(nest.command(words).env("MAILCONN_SERVER", url).env("MAILCONN_PASSWORD", secret));
            assert!(ended.stdout.len() + ended.stderr.len() > 10, "{words:?}");
            nest.is_clean(&format!("{words:?}"), &ended, &eye);
        }
    }
}

#[test]
fn a_server_that_is_not_there_changes_nothing() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for secret in [PLAIN, ODD] {
        let (eye, nest) = (Eye::for_all(&[secret]), Nest::with(secret));
        for scheme in ["imap", "imaps", "smtp", "pop3s"] {
            for words in [&["run", "--server"][..], &["run", "-n", "1", "--format", "json", "--server"], &["check"]] {
                let url = format!("{scheme}://joe@{free}");
                let ended = end(nest.command(&[words, &[&url]].concat()).env("MAILCONN_PASSWORD", secret));
                assert_eq!(ended.code, 4, "{words:?}: {}", ended.stderr);
                nest.is_clean(&url, &ended, &eye);
            }
        }
    }
}
