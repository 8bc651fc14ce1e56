//! What a server says in bytes that are no UTF-8, as some in China and older ones everywhere do: nothing of it is lost.

use std::process::Command;

use mailconn::protocol::Protocol;
use serde_json::Value;

use super::process::{PASSWORD, end, list, mailconn};
use crate::protocol::scripted::{Peer, Server};

/// A text in Latin-1, and one in GBK, and both as they are shown.
const SAID: &[u8] = b"d\xe9sol\xe9 \xb5\xc7\xca\xa7\xb0\xdc";
const SHOWN: &str = r"d\xe9sol\xe9 \xb5\xc7\xca\xa7\xb0\xdc";

/// Where the server says it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum At {
    Greeting,
    SignIn,
    Operation,
}

fn say(peer: &mut Peer, before: &str) {
    peer.send_bytes(&[before.as_bytes(), SAID, b"\r\n"].concat());
}

fn server(protocol: Protocol, at: At) -> Server {
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        let (no, bye, hi) = match protocol {
            Protocol::Imap => ("NO ", "* BYE ", "* OK [CAPABILITY IMAP4rev1] hi\r\n"),
            Protocol::Smtp => ("550 ", "554 ", "220 hi\r\n"),
            Protocol::Pop3 => ("-ERR ", "-ERR ", "+OK hi\r\n"),
        };
        if at == At::Greeting {
            return say(peer, bye);
        }
        peer.send(hi);
        while let Some(line) = peer.line() {
            let imap = protocol == Protocol::Imap;
            let (tag, command) = if imap { line.split_once(' ').unwrap() } else { ("", line.as_str()) };
            let tag = if imap { format!("{tag} ") } else { String::new() };
            match command.split(' ').next().unwrap() {
                "EHLO" => peer.send("250-mx\r\n250 AUTH PLAIN\r\n"),
                "CAPA" => peer.send("+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n"),
                "LOGIN" | "AUTH" if at == At::SignIn => {
                    say(peer, &format!("{tag}{}", if no == "550 " { "535 " } else { no }));
                    true
                }
                "LOGIN" => peer.send(&format!("{tag}OK [CAPABILITY IMAP4rev1] in\r\n")),
                "AUTH" if protocol == Protocol::Smtp => peer.send("235 in\r\n"),
                "AUTH" => peer.send("+OK in\r\n"),
                "LOGOUT" => {
                    peer.send(&format!("* BYE bye\r\n{tag}OK\r\n"));
                    return;
                }
                "QUIT" => {
                    peer.send(if no == "550 " { "221 bye\r\n" } else { "+OK bye\r\n" });
                    return;
                }
                _ => {
                    say(peer, &format!("{tag}{no}"));
                    true
                }
            };
        }
    })
}

fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = mailconn(args);
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

#[test]
fn bytes_that_are_no_text_are_shown_one_by_one_wherever_the_servers_words_are() {
    for protocol in Protocol::ALL {
        for at in [At::Greeting, At::SignIn, At::Operation] {
            let server = server(protocol, at);
            let url = format!("{}://joe@{}", protocol.name(), server.address);
            let directory = tempfile::tempdir().unwrap();
            let transcripts = directory.path().to_str().unwrap();
            let unwrapped = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
            let text = end(&mut command(["check", &url, "--transcript", transcripts])).stdout;
            assert!(unwrapped(&text).contains(SHOWN), "{protocol} {at:?}: {text}");
            let mut files = std::fs::read_dir(directory.path()).unwrap();
            let transcript = std::fs::read_to_string(files.next().unwrap().unwrap().path()).unwrap();
            assert!(transcript.contains(SHOWN), "{protocol} {at:?}: {transcript}");
            let report: Value =
                serde_json::from_str(&end(&mut command(["check", &url, "--format", "json"])).stdout).unwrap();
            let line = list(&report["failures"])[0]["server_line"].as_str().unwrap();
            assert!(line.ends_with(SHOWN), "{protocol} {at:?}: {line}");
            let run = ["run", "--server", &url, "-n", "1", "-t", "1", "--ops", "noop"];
            let text = end(&mut command(run)).stdout;
            assert!(unwrapped(&text).contains(SHOWN), "{protocol} {at:?}: {text}");
            let text = end(&mut command(run.into_iter().chain(["--format", "ndjson"]))).stdout;
            super::process::events(&text);
            assert!(text.contains(&SHOWN.replace('\\', r"\\")), "{protocol} {at:?}: {text}");
        }
    }
}
