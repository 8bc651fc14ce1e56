//! Each source of a secret, right and refused: what it gave comes out nowhere.

use std::fs::File;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use mailconn::protocol::Protocol;

use super::echo::{Echo, Manner};
use super::flight::Nest;
use super::forms::{Eye, ODD, PLAIN, TOKEN};
use crate::cli::process::{end, eventually, mailconn};
use crate::cli::secrets::on_a_terminal;
use crate::protocol::scripted::Server;

/// How the secret is given.
type Give = fn(&mut Command, &Nest, &str);

const SOURCES: [(&str, Give); 5] = [
    ("the environment", |command, _, secret| {
        command.env("MAILCONN_PASSWORD", secret);
    }),
    ("a file", |command, nest, _| {
        command.arg("--password-file").arg(nest.secret());
    }),
    ("standard input", |command, nest, _| {
        command.arg("--password-stdin").stdin(File::open(nest.secret()).unwrap());
    }),
    ("a command", |command, nest, _| {
        command.arg("--password-command").arg(format!("cat {}", nest.secret().display()));
    }),
    ("a token's command", |command, nest, _| {
        command.arg("--token-command").arg(format!("cat {}", nest.secret().display()));
    }),
];

#[test]
fn whatever_the_source_is_nothing_repeats_what_it_gave() {
    let mut leaks = Vec::new();
    for (number, (source, give)) in SOURCES.into_iter().enumerate() {
        let (mechanism, secret) = match source {
            "a token's command" => ("OAUTHBEARER", TOKEN),
            _ => ("PLAIN", if number % 2 == 0 { ODD } else { PLAIN }),
        };
        let protocol = Protocol::ALL[number % 3];
        let eye = Eye::for_all(&[secret]);
        for manner in [Manner::Grudging, Manner::Refusing] {
            let echo = Echo::start(protocol, mechanism, manner);
            let nest = Nest::with(secret);
            let url = format!("{}://joe@{}", protocol.name(), echo.server.address);
            for words in [
                &["run", "-n", "1", "-t", "2", "--ops", "noop", "--transcript", "transcripts", "--server", &url][..],
                &["check", "--format", "json", &url],
            ] {
                let mut command = nest.command(words);
                give(&mut command, &nest, secret);
                let before = echo.repeated();
                let ended = end(&mut command);
                leaks.extend(nest.leaks(&format!("{source}, {} {manner:?}", words[0]), &ended, &eye));
                assert!(echo.repeated() > before, "{source}: it came too late: {}{}", ended.stdout, ended.stderr);
            }
        }
    }
    assert!(leaks.is_empty(), "{}", leaks.join("\n"));
}

#[test]
fn what_is_typed_at_the_prompt_is_shown_nowhere() {
    for (subcommand, manner) in [("run", Manner::Refusing), ("check", Manner::Refusing), ("check", Manner::Grudging)] {
        let echo = Echo::start(Protocol::Imap, "PLAIN", manner);
        let url = format!("imap://joe@{}", echo.server.address);
        let flag: &[&str] = if subcommand == "run" { &["--server"] } else { &[] };
        let mut command = on_a_terminal(&mailconn([&[subcommand], flag, &[&url]].concat()));
        let mut terminal = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keyboard, mut screen) = (terminal.stdin.take().unwrap(), terminal.stdout.take().unwrap());
        let mut shown = Vec::new();
        while !shown.ends_with(b"Password for joe: ") {
            let mut byte = [0];
            assert_eq!(screen.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&shown));
            shown.push(byte[0]);
        }
        let said = String::from_utf8_lossy(&shown).into_owned();
        let name = said.lines().next().unwrap();
        eventually("the terminal still echoes", || {
            let state = Command::new("stty").args(["-a", "-F", name]).output().unwrap();
            String::from_utf8_lossy(&state.stdout).split_whitespace().any(|word| word == "-echo")
        });
        writeln!(keyboard, "{ODD}").unwrap();
        screen.read_to_end(&mut shown).unwrap();
        terminal.wait().unwrap();
        assert!(echo.repeated() > 0, "{}", String::from_utf8_lossy(&shown));
        Eye::for_all(&[ODD]).sees_nothing_in(subcommand, &shown);
    }
}

/// A command that fails may have written the secret, or half of it, to any of its outputs that we read.
#[test]
fn a_source_that_fails_halfway_is_not_quoted() {
    let server = Server::smtp(&[]);
    let url = format!("smtp://joe@{}", server.address);
    for secret in [ODD, PLAIN, TOKEN] {
        let (eye, nest) = (Eye::for_all(&[secret]), Nest::with(secret));
        let path = nest.secret().display();
        for flag in ["--password-command", "--token-command"] {
            for script in [
                format!("cat {path}; exit 3"),
                format!("cat {path}; kill -9 $$"),
                format!("echo; cat {path}"),
                format!("cat {path}; printf '\\377'"),
                format!("cat {path}; sleep 5"),
                format!("while cat {path}; do :; done"),
            ] {
                let words = ["check", &url, "--connect-timeout", "300ms", flag, &script];
                let ended = end(&mut nest.command(&words));
                assert_ne!(ended.code, 0, "{script}");
                nest.is_clean(&script, &ended, &eye);
            }
        }
    }
}
