//! Passwords that are words of the protocols, and some that are awkward to write: each signs in, none is shown, and none
//! hides a word.

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::sandbox::{self, Listening, Options, Sandbox, Security, User};
use tempfile::TempDir;

use super::flight::Nest;
use crate::cli::process::{Ended, end, eventually, mailconn};
use crate::protocol::scripted::Server;

use mailconn::protocol::Protocol;

/// The password that hides a word, if any does.
const PASSWORDS: [&str; 28] = [
    "scram",
    "auth",
    "plain",
    "login",
    "ok",
    "a",
    "+",
    "a1",
    "no",
    "user",
    "sasl",
    "PLAIN",
    "SCRAM-SHA-256",
    "AUTH=PLAIN",
    "CAPABILITY",
    "authenticationfailed",
    "Authentication failed",
    "Logged in",
    "sandbox",
    "localhost",
    "INBOX",
    "250",
    "ions",
    "tika",
    "pässwört",
    "quo\"te",
    "back\\slash",
    "with space",
];

/// Another password, as long and as awkward to carry, that nothing a server says looks like.
pub fn neutral(password: &str) -> String {
    password.chars().map(|letter| if letter.is_ascii_alphanumeric() { '~' } else { letter }).collect()
}

/// A sandbox that keeps transcripts, where `user` and `limit` have that password.
fn serve(password: &str, transcripts: &TempDir) -> Sandbox {
    let protocols = [sandbox::Protocol::Imap, sandbox::Protocol::Smtp, sandbox::Protocol::Pop3];
    let listening = protocols.map(|protocol| Listening {
        listener: TcpListener::bind("127.0.0.1:0").unwrap(),
        protocol,
        security: Security::Plain,
    });
    let options = Options {
        users: USERS.map(|name| User::new(name, password)).to_vec(),
        transcripts: Some(Arc::new(sandbox::Transcripts::create(transcripts.path()).unwrap())),
        ..Options::default()
    };
    Sandbox::serve(listening.into(), options).unwrap()
}

const USERS: [&str; 2] = ["joe", "limit"];

/// How to sign in: the protocol's place among the sandbox's, and the flag.
const WAYS: [(Protocol, &str); 8] = [
    (Protocol::Imap, "plain"),
    (Protocol::Imap, "login"),
    (Protocol::Imap, "user-pass"),
    (Protocol::Smtp, "plain"),
    (Protocol::Smtp, "login"),
    (Protocol::Pop3, "plain"),
    (Protocol::Pop3, "login"),
    (Protocol::Pop3, "user-pass"),
];

/// All that a run said and wrote, without what differs from run to run.
fn told(ended: &Ended, nest: &Nest, sandbox: &TempDir) -> String {
    // Lines of a table end where the numbers in them let them.
    let said = if ended.stdout.starts_with('{') { ended.stdout.clone() } else { ended.stdout.replace('\n', " ") };
    let mut told = format!("{}\n{said}\n{}\n", ended.code, ended.stderr);
    let mut files = nest.files();
    for entry in fs::read_dir(sandbox.path()).unwrap() {
        let path = entry.unwrap().path();
        eventually("the sandbox's session does not end", || fs::read(&path).unwrap().ends_with(b" -- closed\n"));
        files.push((path.clone(), fs::read(path).unwrap()));
    }
    files.sort_by_key(|(path, _)| (path.starts_with(sandbox.path()), path.clone()));
    for (_, bytes) in files {
        told += &String::from_utf8(bytes).unwrap();
    }
    told.lines().map(steady).collect::<Vec<_>>().join("\n")
}

/// The line without numbers and what they are written in: times, ports, and the name of a run. A number is one sign, however
/// long, so that it hides no `***`.
pub fn steady(line: &str) -> String {
    let mut steady = String::new();
    let mut word = String::new();
    for letter in line.chars().chain([' ']) {
        if letter.is_ascii_alphanumeric() || ".:µ".contains(letter) {
            word.push(letter);
            continue;
        }
        let known = ["SHA-256", "IMAP4rev1", "POP3", "8BITMIME", "c0-1", "c1-1"].contains(&word.as_str());
        let is_number = !known && word.contains(|letter: char| letter.is_ascii_digit());
        steady.push_str(if is_number { "#" } else { &word });
        word.clear();
        steady.push(letter);
    }
    // Columns are as wide as the numbers in them.
    steady
        .replace("#,#", "#")
        .replace("# µs", "# ms")
        .replace("# s", "# ms")
        .split_whitespace()
        .filter(|word| !word.starts_with("──"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[track_caller]
fn sign_in(
    server: &Sandbox,
    (protocol, by): (Protocol, &str),
    user: &str,
    password: &str,
    format: &str,
) -> (Ended, Nest) {
    let address = server.addresses()[Protocol::ALL.iter().position(|it| *it == protocol).unwrap()];
    let url = format!("{}://{user}@{address}", protocol.name());
    let ops = match (protocol, by) {
        (Protocol::Imap, "plain") => "list",
        (Protocol::Imap, "login") => "fetch",
        _ => "noop",
    };
    let nest = Nest::with(password);
    let words = ["run", "--server", &url, "--auth", by, "-t", "1", "-n", "3", "--ops", ops];
    let more = ["--mode", "use-default", "--transcript", "transcripts", "--format", format];
    let ended = end(nest.command(&[&words[..], &more].concat()).env("MAILCONN_PASSWORD", password));
    (ended, nest)
}

/// What differs between two texts, the first of it.
pub fn difference(one: &str, other: &str) -> Option<String> {
    let pairs = one.lines().zip(other.lines());
    let first = pairs.filter(|(one, other)| one != other).map(|(one, other)| format!("{one}\n{other}")).next();
    first.or_else(|| (one.lines().count() != other.lines().count()).then(|| format!("{one}\n---\n{other}")))
}

#[test]
fn each_password_signs_in_by_each_way_and_hides_no_word() {
    let mut wrong = Vec::new();
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        let other = neutral(password);
        let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
        let servers = [serve(password, &directories[0]), serve(&other, &directories[1])];
        for (way, (protocol, by)) in WAYS.into_iter().enumerate() {
            let user = USERS[(number + way) % 2];
            let format = ["ndjson", "table", "json"][(number + way) % 3];
            let of = format!("{password:?} {protocol} {by} {user} {format}");
            let (ended, nest) = sign_in(&servers[0], (protocol, by), user, password, format);
            let (expected, neutral_nest) = sign_in(&servers[1], (protocol, by), user, &other, format);
            assert_eq!(ended.code, 0, "{of}: {}{}", ended.stdout, ended.stderr);
            assert_eq!(expected.code, 0, "{of}: {}{}", expected.stdout, expected.stderr);
            let told = [told(&ended, &nest, &directories[0]), told(&expected, &neutral_nest, &directories[1])];
            wrong.extend(difference(&told[0], &told[1]).map(|it| format!("{of}:\n{it}")));
            for carried in [STANDARD.encode(password), STANDARD.encode(format!("\0{user}\0{password}"))] {
                let is_shown = told[0].split(|c: char| !c.is_ascii_alphanumeric() && c != '=').any(|it| it == carried);
                if is_shown {
                    wrong.push(format!("{of}: {carried} is shown"));
                }
            }
            for directory in &directories {
                fs::read_dir(directory.path()).unwrap().for_each(|it| fs::remove_file(it.unwrap().path()).unwrap());
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_password_is_refused_with_the_same_words() {
    let directories = [TempDir::new().unwrap(), TempDir::new().unwrap()];
    let server = serve("another", &directories[0]);
    let mut wrong = Vec::new();
    for (number, password) in PASSWORDS.into_iter().enumerate() {
        for (protocol, by) in WAYS.into_iter().skip(number % 3).step_by(3) {
            let of = format!("{password:?} {protocol} {by}");
            let told = [password.to_owned(), neutral(password)].map(|password| {
                let (ended, nest) = sign_in(&server, (protocol, by), "joe", &password, "ndjson");
                assert_eq!(ended.code, 5, "{of}: {}{}", ended.stdout, ended.stderr);
                told(&ended, &nest, &directories[1])
            });
            wrong.extend(difference(&told[0], &told[1]).map(|it| format!("{of}:\n{it}")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A client may write all of a sign-in at once, and try another when it is signed in.
#[test]
fn the_sandboxs_transcript_hides_a_sign_in_however_it_comes() {
    for (at, said) in [
        (
            0,
            "a1 NOOP\r\na2 LOGIN {3+}\r\njoe {6+}\r\nHushed\r\na3 NOOP\r\na4 LOGIN {5+}\r\nlimit {6+}\r\nHushed\r\na5 LOGOUT\r\n",
        ),
        (
            0,
            "a1 LOGIN joe {6+}\r\nHushed\r\n|a2 APPEND INBOX {12+}\r\nA: b\r\n\r\nok\r\n\r\na3 LOGIN joe Hushed\r\na4 LOGOUT\r\n",
        ),
        (1, "EHLO me\r\nNOOP\r\nAUTH LOGIN\r\nam9l\r\nSHVzaGVk\r\nNOOP\r\nAUTH PLAIN\r\nAGpvZQBIdXNoZWQ=\r\nQUIT\r\n"),
        (1, "EHLO me\r\nHushed\r\nSHVzaGVk\r\nAUTH PLAIN AGpvZQBIdXNoZWQ=\r\nAUTH PLAIN AGpvZQBIdXNoZWQ=\r\nQUIT\r\n"),
        (
            0,
            "a1 LOGIN joe Hushed\r\n|a2 NOOP Hushed\r\na3 AUTHENTICATE PLAIN\r\n|AGpvZQBIdXNoZWQ=\r\nb3RoZXI=\r\na4 LOGOUT\r\n",
        ),
        (
            1,
            "EHLO me\r\nVRFY Hushed\r\nAUTH PLAIN AGpvZQBIdXNoZWQ=\r\n|AUTH LOGIN\r\n|SHVzaGVk\r\nb3RoZXI=\r\nNOOP SHVzaGVk\r\nQUIT\r\n",
        ),
        (2, "NOOP\r\nUSER joe\r\nPASS Hushed\r\nSTAT\r\nPASS Hushed\r\nQUIT\r\n"),
        (2, "USER joe\r\nAUTH LOGIN\r\nam9l\r\nSHVzaGVk\r\nSTAT\r\nQUIT\r\n"),
    ] {
        let directory = TempDir::new().unwrap();
        let server = serve("Hushed", &directory);
        let mut stream = TcpStream::connect(server.addresses()[at]).unwrap();
        let (mut heard, mut byte) = (String::new(), [0]);
        for (piece, until) in said.split('|').zip(["Logged in|235 ", "a3 BAD|503 ", ""]) {
            stream.write_all(piece.as_bytes()).unwrap();
            let has_more = said.split('|').next_back() != Some(piece);
            while has_more && !until.split('|').any(|answer| heard.contains(answer)) {
                heard.push(char::from(byte[stream.read(&mut byte).unwrap() - 1]));
            }
        }
        stream.read_to_string(&mut heard).unwrap();
        let path = fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        eventually("the session does not end", || fs::read(&path).unwrap().ends_with(b" -- closed\n"));
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("Hushed") && !text.contains("SHVzaGVk") && !text.contains("SdXNoZWQ"), "{text}");
        assert!(!text.contains("b3RoZXI"), "{text}");
        assert!(text.matches("***").count() >= 2 && heard.contains("OK") || heard.contains("235"), "{heard}{text}");
        assert!(!said.contains("APPEND") || text.contains("C: A: b\n"), "a message is shown: {text}");
    }
}

/// What a server that refuses every token is told.
#[test]
fn a_token_that_is_a_word_hides_no_word_either() {
    for protocol in Protocol::ALL {
        for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
            let told = ["bearer", "xoauth", "status", "plain", "~~~~~~"].map(|token| {
                let server = refuses_tokens(protocol, mechanism);
                let nest = Nest::with(token);
                let url = format!("{}://joe@{}", protocol.name(), server.address);
                let fetch = format!("echo '{token}'");
                let words = ["run", "--server", &url, "-n", "1", "-t", "1", "--ops", "noop", "--token-command", &fetch];
                let words = [&words[..], &["--transcript", "transcripts", "--format", "ndjson"]].concat();
                let ended = end(&mut nest.command(&words));
                assert_eq!(ended.code, 5, "{}{}", ended.stdout, ended.stderr);
                assert!(ended.stdout.contains("bearer plain status"), "{}", ended.stdout);
                let token = STANDARD.encode(format!("auth=Bearer {token}"));
                let told = told(&ended, &nest, &TempDir::new().unwrap());
                assert!(!told.contains(&token[..token.len() - 4]), "{told}");
                told
            });
            let [expected] = &told[4..] else { unreachable!() };
            for told in &told[..4] {
                assert_eq!(difference(told, expected), None, "{protocol} {mechanism}");
            }
        }
    }
}

fn refuses_tokens(protocol: Protocol, mechanism: &'static str) -> Server {
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        let greeting = match protocol {
            Protocol::Imap => {
                &format!("* OK [CAPABILITY IMAP4rev1 SASL-IR LOGINDISABLED AUTH={mechanism} AUTH=PLAIN] hi\r\n")
            }
            Protocol::Smtp => "220 hi\r\n",
            Protocol::Pop3 => "+OK hi\r\n",
        };
        peer.send(greeting);
        while let Some(line) = peer.line() {
            let mut words = line.split(' ');
            let tag = if protocol == Protocol::Imap { format!("{} ", words.next().unwrap()) } else { String::new() };
            let verb = words.next().unwrap_or_default();
            let answer = match (protocol, verb) {
                (_, "EHLO") => format!("250-mx\r\n250 AUTH PLAIN {mechanism}"),
                (_, "CAPA") => format!("+OK\r\nSASL PLAIN {mechanism}\r\n."),
                (Protocol::Imap, "AUTHENTICATE") => "NO no bearer plain status xoauth".to_owned(),
                (Protocol::Smtp, "AUTH") => "535 5.7.8 no bearer plain status xoauth".to_owned(),
                (Protocol::Pop3, "AUTH") if line.split(' ').count() == 2 => "+ ".to_owned(),
                (Protocol::Pop3, "QUIT") => "+OK bye".to_owned(),
                (Protocol::Pop3, _) => "-ERR [AUTH] no bearer plain status xoauth".to_owned(),
                (Protocol::Smtp, _) => "221 bye".to_owned(),
                (Protocol::Imap, _) => "OK bye".to_owned(),
            };
            peer.send(&format!("{tag}{answer}\r\n"));
        }
    })
}

/// What a server that offers those mechanisms is signed in to by, with that password.
fn chosen(offered: &'static str, password: &str) -> Option<String> {
    let server = Server::of(Protocol::Smtp, "127.0.0.1:0", move |peer| {
        peer.send("220 hi\r\n");
        while let Some(line) = peer.line() {
            let reply = match line.split(' ').next() {
                Some("EHLO") => format!("250-mx\r\n250 AUTH {offered}\r\n"),
                Some("AUTH") => "535 5.7.8 no\r\n".to_owned(),
                _ => "221 bye\r\n".to_owned(),
            };
            peer.send(&reply);
        }
    });
    let url = format!("smtp://joe@{}", server.address);
    let ended = end(mailconn(["check", &url]).env("MAILCONN_PASSWORD", password));
    assert!(!ended.stdout.contains("***") && !ended.stderr.contains("***"), "{password}: {}", ended.stdout);
    assert!(ended.stdout.contains(offered.rsplit(' ').next().unwrap()), "{password}: {}", ended.stdout);
    server.heard().iter().find_map(|line| Some(line.strip_prefix("AUTH ")?.split(' ').next()?.to_owned()))
}

#[test]
fn the_strongest_mechanism_is_chosen_whatever_the_password_is() {
    for password in PASSWORDS.into_iter().chain(["sha-256", "SCRAM", "LOGIN", "AUTH PLAIN", "smtp"]) {
        for (offered, strongest) in
            [("PLAIN LOGIN SCRAM-SHA-256", "SCRAM-SHA-256"), ("LOGIN PLAIN", "PLAIN"), ("LOGIN", "LOGIN")]
        {
            assert_eq!(chosen(offered, password).as_deref(), Some(strongest), "{password:?} of {offered}");
        }
    }
}

/// What a server says of its own accord, and what is repeated to it, each with what is shown and what it means.
#[test]
fn a_refusal_means_what_the_server_says_and_shows_it_without_what_it_repeats() {
    for (protocol, password, reply, shown, kind) in [
        (Protocol::Imap, "many", "NO Too many connections", "NO Too many connections", "limit-connections"),
        (Protocol::Imap, "limit", "NO [LIMIT] limit reached", "NO [LIMIT] limit reached", "limit-connections"),
        (Protocol::Imap, "no", "NO no", "NO no", "auth-refused"),
        (Protocol::Imap, "ok", "BAD unknown: a1 LOGIN joe ok", "BAD unknown: a1 LOGIN joe ***", "server-bad"),
        (Protocol::Imap, "login", "BAD LOGIN: login \"joe\" \"login\"", "BAD LOGIN: login \"joe\" ***", "server-bad"),
        (Protocol::Imap, "rate limit", "NO LOGIN joe \"rate limit\"", "NO LOGIN joe ***", "auth-refused"),
        (Protocol::Imap, "rate-limit-7", "NO not rate-limit-7", "NO not ***", "auth-refused"),
        (
            Protocol::Imap,
            "authenticationfailed",
            "NO [AUTHENTICATIONFAILED] no",
            "NO [AUTHENTICATIONFAILED] no",
            "auth-invalid",
        ),
        (Protocol::Pop3, "ok", "-ERR unknown command: PASS ok", "-ERR unknown command: PASS ***", "server-bad"),
        (
            Protocol::Pop3,
            "a",
            "-ERR [AUTH] it has a fault: PASS a",
            "-ERR [AUTH] it has a fault: PASS ***",
            "auth-invalid",
        ),
        (Protocol::Imap, "too many", "NO \"too many\" logins", "NO \"too many\" logins", "limit-rate"),
        (Protocol::Imap, "unavailable", "NO service 'unavailable'", "NO service 'unavailable'", "server-unavailable"),
        (
            Protocol::Imap,
            "suspended",
            "NO [AUTHENTICATIONFAILED] account \"suspended\"",
            "NO [AUTHENTICATIONFAILED] account \"suspended\"",
            "auth-policy",
        ),
        (Protocol::Imap, "Sunshine", "NO Sunshine/locked/now", "NO ***/locked/now", "auth-policy"),
        (Protocol::Imap, "12345", "NO wrong password 12345 for joe", "NO wrong password *** for joe", "auth-invalid"),
        (
            Protocol::Imap,
            "secret",
            "BAD \"LOGIN {3+} joe {6+} secret\"",
            "BAD \"LOGIN {3+} joe {6+} ***\"",
            "server-bad",
        ),
        (Protocol::Pop3, "19840215123", "334 PASS 19840215123", "334 PASS ***", "protocol"),
        (
            Protocol::Pop3,
            "secret",
            "-ERR invalid command PASS secret (line 2)",
            "-ERR invalid command PASS *** (line 2)",
            "server-bad",
        ),
        (Protocol::Pop3, "auth", "-ERR [AUTH] auth failed", "-ERR [AUTH] auth failed", "auth-invalid"),
        (Protocol::Pop3, "sunshine", "-ERR [AUTH] sunshine?", "-ERR [AUTH] ***?", "auth-invalid"),
    ] {
        let server = Server::of(protocol, "127.0.0.1:0", move |peer| {
            let imap = protocol == Protocol::Imap;
            peer.send(if imap { "* OK [CAPABILITY IMAP4rev1] hi\r\n" } else { "+OK hi\r\n" });
            while let Some(line) = peer.line() {
                let tag = if imap { format!("{} ", line.split(' ').next().unwrap()) } else { String::new() };
                let answer = match line.split(' ').nth(usize::from(imap)) {
                    Some("LOGIN" | "PASS") => reply,
                    Some("CAPA") => "+OK\r\nUSER\r\n.",
                    _ if imap => "OK",
                    _ => "+OK",
                };
                peer.send(&format!("{tag}{answer}\r\n"));
            }
        });
        let nest = Nest::with(password);
        let url = format!("{}://joe@{}", protocol.name(), server.address);
        let words = ["run", "--server", &url, "-n", "1", "-t", "1", "--transcript", "t", "--format", "ndjson"];
        let ended = end(nest.command(&words).env("MAILCONN_PASSWORD", password));
        let of = format!("{password:?} {reply:?}: {}{}", ended.stdout, ended.stderr);
        let line = serde_json::to_string(shown).unwrap();
        assert!(ended.stdout.contains(&format!("\"kind\":\"{kind}\"")), "{of}");
        assert!(ended.stdout.contains(&format!("\"server_line\":{line}")), "{of}");
        let (_, transcript) = nest
            .files()
            .into_iter()
            .find(|(path, _)| path.ends_with("t") || path.to_str().unwrap().contains("/t/"))
            .unwrap();
        let transcript = String::from_utf8(transcript).unwrap();
        assert!(transcript.lines().any(|line| line.ends_with(shown)), "{of}{transcript}");
    }
}

/// Before it was sent, no server repeats it; and what a server offers is no echo.
#[test]
fn what_was_said_before_the_password_was_sent_is_shown_as_it_is() {
    let server = Server::of(Protocol::Smtp, "127.0.0.1:0", |peer| {
        peer.send("220 sunflower.example.net ESMTP Sunflower Mail\r\n");
        while let Some(line) = peer.line() {
            peer.send(match line.split(' ').next() {
                Some("EHLO") => {
                    "250-sunflower.example.net\r\n250-XSUNFLOWER SUNFLOWER\r\n250 AUTH PLAIN X-SUNFLOWER\r\n"
                }
                Some("AUTH") => "535 5.7.8 Sunflower: bad\r\n",
                _ => "221 bye\r\n",
            });
        }
    });
    let nest = Nest::with("Sunflower");
    let url = format!("smtp://joe@{}", server.address);
    let ended = end(nest.command(&["check", &url]).env("MAILCONN_PASSWORD", "Sunflower"));
    let said = ended.stdout + &ended.stderr;
    for shown in ["220 sunflower.example.net ESMTP Sunflower Mail", "X-SUNFLOWER", "535 5.7.8 ***: bad"] {
        assert!(said.contains(shown), "{shown}: {said}");
    }
    assert_eq!(said.matches("***").count(), said.matches("5.7.8 ***").count(), "{said}");
}

/// A user may be called like a word by which refusals are known.
#[test]
fn a_user_hides_no_word_of_a_refusal_either() {
    for user in ["many", "connections", "limit", "many@example.org"] {
        let server = Server::start(|peer| {
            peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
            while let Some(line) = peer.line() {
                peer.send(&format!("{} NO Too many connections for this limit\r\n", line.split(' ').next().unwrap()));
            }
        });
        let url = format!("imap://{user}@{}", server.address);
        let words = ["run", "--server", &url, "-n", "1", "-t", "1", "--format", "ndjson"];
        let ended = end(mailconn(words).env("MAILCONN_PASSWORD", "limit"));
        assert!(ended.stdout.contains("\"kind\":\"limit-connections\""), "{user}: {}", ended.stdout);
        assert_eq!(ended.code, 6, "{user}");
    }
    let server = Server::smtp(&[("EHLO", "421 4.7.0 Too many connections\r\n")]);
    let url = format!("smtp://{}", server.address);
    let ended = end(&mut mailconn(["run", "--server", &url, "-n", "1", "-t", "1", "--ehlo", "connections"]));
    assert_eq!(ended.code, 6, "{}{}", ended.stdout, ended.stderr);
}
