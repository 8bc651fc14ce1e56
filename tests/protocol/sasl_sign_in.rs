//! Signing in by SASL, as each protocol carries it.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mailconn::protocol::FailureKind::{self, AuthInvalid, AuthUnsupported};
use mailconn::protocol::{
    DialFailure, MailConnection, MailConnector, Mechanism, Protocol, Secret, Settings, Stage, Tokens, Way,
};
use ring::{digest, hmac, pbkdf2};

use super::scripted::{Peer, Server, session};

/// One server's side of a sign-in, whatever the protocol.
struct Desk<'peer> {
    peer: &'peer mut Peer,
    protocol: Protocol,
    tag: String,
}

/// What the client begins with: the mechanism or the command, and its first answer where it came along.
type Beginning = (String, Option<String>);

impl Desk<'_> {
    /// Greets, says what is offered, and hears how the client begins to sign in. `None` when it leaves.
    fn open(&mut self, offered: &str) -> Option<Beginning> {
        let mechanisms = offered.split(' ').filter(|name| *name != "SASL-IR" && *name != "USER");
        let greeting = match self.protocol {
            Protocol::Imap => {
                let ir = if offered.contains("SASL-IR") { " SASL-IR" } else { "" };
                let auth: String = mechanisms.map(|name| format!(" AUTH={name}")).collect();
                format!("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED{ir}{auth}] hi\r\n")
            }
            Protocol::Smtp => "220 hi\r\n".to_owned(),
            Protocol::Pop3 => "+OK hi\r\n".to_owned(),
        };
        self.peer.send(&greeting);
        loop {
            let line = self.peer.line()?;
            let mut words = line.split(' ').map(str::to_owned);
            if self.protocol == Protocol::Imap {
                self.tag = words.next()?;
            }
            match words.next()?.as_str() {
                "EHLO" => self.peer.send(&format!("250-mx\r\n250 AUTH {offered}\r\n")),
                "CAPA" => self.peer.send(&format!("+OK\r\nSASL {offered}\r\n.\r\n")),
                "AUTH" | "AUTHENTICATE" => return Some((words.next()?, words.next())),
                "QUIT" | "LOGOUT" => {
                    self.say(true, "bye");
                    return None;
                }
                _ => self.say(false, "what?"),
            };
        }
    }

    /// Asks, and hears the answer, decoded.
    fn ask(&mut self, challenge: &[u8]) -> Option<Vec<u8>> {
        let sign = if self.protocol == Protocol::Smtp { "334" } else { "+" };
        self.peer.send(&format!("{sign} {}\r\n", STANDARD.encode(challenge)));
        Some(STANDARD.decode(self.peer.line()?).unwrap())
    }

    /// The client's first answer, asked for where it did not come along.
    fn first(&mut self, initial: Option<String>) -> Option<Vec<u8>> {
        match initial.as_deref() {
            None => self.ask(b""),
            Some("=") => Some(Vec::new()),
            Some(initial) => Some(STANDARD.decode(initial).unwrap()),
        }
    }

    /// The verdict on a command, in the protocol's form.
    fn say(&mut self, good: bool, text: &str) -> bool {
        let tag = &self.tag;
        let line = match (self.protocol, good) {
            (Protocol::Imap, true) => format!("{tag} OK [CAPABILITY IMAP4rev1] {text}\r\n"),
            (Protocol::Imap, false) => format!("{tag} NO [AUTHENTICATIONFAILED] {text}\r\n"),
            (Protocol::Smtp, true) => format!("235 {text}\r\n"),
            (Protocol::Smtp, false) => format!("535 5.7.8 {text}\r\n"),
            (Protocol::Pop3, true) => format!("+OK {text}\r\n"),
            (Protocol::Pop3, false) => format!("-ERR [AUTH] {text}\r\n"),
        };
        self.peer.send(&line)
    }

    /// The verdict on a sign-in. After a refusal the client leaves.
    fn judge(&mut self, good: bool) {
        self.say(good, if good { "in" } else { "Authentication failed" });
        while let Some(line) = self.peer.line() {
            if line.ends_with("QUIT") || line.ends_with("LOGOUT") {
                return;
            }
        }
    }
}

fn desk(protocol: Protocol, serve: impl Fn(&mut Desk<'_>) -> Option<()> + Send + Sync + 'static) -> Server {
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        let mut desk = Desk { peer, protocol, tag: String::new() };
        serve(&mut desk);
    })
}

fn with_password(server: &Server, password: &str) -> Settings {
    Settings { credentials: Some(Secret::new(password.to_owned()).into()), ..server.settings() }
}

/// Tokens called `token-0`, `token-1` …, each of so many characters at least, and how many were fetched.
fn with_tokens(server: &Server, length: usize) -> (Settings, Arc<AtomicUsize>) {
    let fetched = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&fetched);
    let tokens = Tokens::new(move |_, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        Ok(Secret::new(format!("{}token-{number}", "x".repeat(length))))
    });
    let credentials = Some(mailconn::protocol::Credentials::Token(tokens));
    (Settings { credentials, ..server.settings() }, fetched)
}

fn dial(settings: Settings) -> Result<MailConnection, DialFailure> {
    MailConnector::new(settings).dial(session(3))
}

/// Each sign-in: whether its answer came with the command, and the answer.
type Met = Arc<Mutex<Vec<(bool, String)>>>;

/// Serves by PLAIN.
fn plain_server(protocol: Protocol, offered: &'static str) -> (Server, Met) {
    let met = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&met);
    let server = desk(protocol, move |desk| {
        let (mechanism, initial) = desk.open(offered)?;
        assert_eq!(mechanism, "PLAIN");
        let at_once = initial.is_some();
        let answer = String::from_utf8(desk.first(initial)?).unwrap();
        record.lock().unwrap().push((at_once, answer.clone()));
        desk.judge(true);
        Some(())
    });
    (server, met)
}

#[test]
fn plain_carries_any_password_that_is_text() {
    for protocol in Protocol::ALL {
        for password in ["s3cret", "a\"b\\c d", "pässwört", "with\r\nline end", " blank ", "=", "*", "+OK"] {
            let (server, met) = plain_server(protocol, "PLAIN SASL-IR");
            let connection = dial(with_password(&server, password)).unwrap();
            assert_eq!(connection.established().signed_in_by, Some("PLAIN"));
            assert_eq!(*met.lock().unwrap(), [(true, format!("\0joe\0{password}"))], "{protocol}");
            assert!(server.heard().iter().all(|line| !line.contains("line end")));
        }
        let (server, met) = plain_server(protocol, "PLAIN SASL-IR");
        let failure = dial(with_password(&server, "a\0b")).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (AuthUnsupported, Stage::Auth), "{failure}");
        assert!(met.lock().unwrap().is_empty() && !failure.sign_in_attempted);
    }
}

#[test]
fn a_first_answer_waits_to_be_asked_for_where_the_command_cannot_carry_it() {
    let (server, met) = plain_server(Protocol::Imap, "PLAIN");
    dial(with_password(&server, "s3cret")).unwrap();
    assert!(!met.lock().unwrap()[0].0, "IMAP without SASL-IR");
    for (protocol, longest, length, at_once) in [
        (Protocol::Smtp, 512, 350, true),
        (Protocol::Smtp, 512, 400, false),
        (Protocol::Smtp, 512, 10_000, false),
        (Protocol::Pop3, 255, 140, true),
        (Protocol::Pop3, 255, 180, false),
        (Protocol::Pop3, 255, 10_000, false),
    ] {
        let (server, met) = plain_server(protocol, "PLAIN");
        let password = "p".repeat(length);
        dial(with_password(&server, &password)).unwrap();
        assert_eq!(*met.lock().unwrap(), [(at_once, format!("\0joe\0{password}"))], "{protocol} {length}");
        let line = server.heard().into_iter().find(|line| line.starts_with("AUTH")).unwrap();
        assert!(line.len() + 2 <= longest, "{protocol}: {} bytes", line.len());
    }
}

/// A server that answers a first answer like that, and takes it when it is asked for.
fn half_hearted(protocol: Protocol, refusal: &'static str) -> Server {
    desk(protocol, move |desk| {
        let (mechanism, initial) = desk.open("PLAIN XOAUTH2 SASL-IR")?;
        assert!(initial.is_some());
        desk.peer.send(&refusal.replace("{t}", &desk.tag));
        let again = desk.peer.line()?;
        let verb = if protocol == Protocol::Imap { "AUTHENTICATE" } else { "AUTH" };
        if !again.ends_with(&format!("{verb} {mechanism}")) {
            desk.say(true, "bye");
            return None;
        }
        desk.tag = again.split(' ').next()?.to_owned();
        desk.ask(b"")?;
        desk.judge(true);
        Some(())
    })
}

#[test]
fn a_first_answer_that_is_not_understood_is_given_when_it_is_asked_for() {
    for (protocol, refusal) in [
        (Protocol::Imap, "{t} BAD Request not ending with\r\n"),
        (Protocol::Imap, "{t} BAD [CLIENTBUG] Invalid arguments\r\n"),
        (Protocol::Smtp, "501 5.5.4 Syntax error in parameters or arguments\r\n"),
    ] {
        let server = half_hearted(protocol, refusal);
        let connection = dial(server.settings()).unwrap();
        assert_eq!(connection.established().signed_in_by, Some("PLAIN"), "{refusal}");
        let server = half_hearted(protocol, refusal);
        let (settings, fetched) = with_tokens(&server, 0);
        let connection = dial(settings).unwrap();
        assert_eq!((connection.established().signed_in_by, fetched.load(Ordering::SeqCst)), (Some("XOAUTH2"), 1));
        assert_eq!(server.accepted(), 1, "in the same connection");
    }
}

#[test]
fn a_server_that_hangs_up_with_its_bad_is_quoted() {
    let server = desk(Protocol::Imap, |desk| {
        desk.open("PLAIN SASL-IR")?;
        desk.peer.send(&format!("{} BAD what is this?\r\n", desk.tag));
        None
    });
    let failure = dial(server.settings()).err().unwrap().failure;
    assert_eq!(failure.server_line.as_deref(), Some("BAD what is this?"), "{failure}");
}

#[test]
fn a_refusal_that_is_one_is_no_reason_to_sign_in_once_more() {
    for (protocol, refusal) in [
        (Protocol::Imap, "{t} NO no\r\n"),
        (Protocol::Imap, "{t} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n"),
        (Protocol::Imap, "{t} NO [UNAVAILABLE] Temporary authentication failure.\r\n"),
        (Protocol::Smtp, "535 5.7.8 Error: authentication failed\r\n"),
        (Protocol::Smtp, "454 4.7.0 Temporary authentication failure\r\n"),
        (Protocol::Pop3, "-ERR [AUTH] Authentication failed.\r\n"),
    ] {
        let server = half_hearted(protocol, refusal);
        dial(server.settings()).err().unwrap();
        let attempts = server.heard().iter().filter(|line| line.contains("AUTH")).count();
        assert_eq!(attempts, 1, "{refusal}: {:?}", server.heard());
    }
}

#[test]
fn login_answers_one_question_after_the_other() {
    for protocol in Protocol::ALL {
        let server = desk(protocol, |desk| {
            let (mechanism, initial) = desk.open("LOGIN SASL-IR")?;
            assert_eq!((mechanism.as_str(), initial), ("LOGIN", None));
            let user = desk.ask(b"User Name\0")?;
            let password = desk.ask(b"Password\0")?;
            desk.judge(user == b"joe" && password == "pässwört".as_bytes());
            Some(())
        });
        let connection = dial(with_password(&server, "pässwört")).unwrap();
        assert_eq!(connection.established().signed_in_by, Some("LOGIN"));
        let failure = dial(with_password(&server, "other")).err().unwrap();
        assert_eq!((failure.failure.kind, failure.failure.stage), (AuthInvalid, Stage::Auth), "{protocol}: {failure}");
    }
}

/// The server's side of RFC 7677; `None` where the proof is wrong.
fn scram(desk: &mut Desk<'_>, hello: &[u8], password: &str) -> Option<String> {
    let hello = std::str::from_utf8(hello).unwrap();
    let bare = hello.strip_prefix("n,,").unwrap();
    let nonce = format!("{}server", bare.split_once(",r=").unwrap().1);
    let first = format!("r={nonce},s={},i=4096", STANDARD.encode("salt"));
    let answer = String::from_utf8(desk.ask(first.as_bytes())?).unwrap();
    let (without_proof, proof) = answer.split_once(",p=").unwrap();
    let mut salted = [0; 32];
    let rounds = NonZeroU32::new(4096).unwrap();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, b"salt", password.as_bytes(), &mut salted);
    let mac = |key: &[u8], text: &str| hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes());
    let messages = format!("{bare},{first},{without_proof}");
    let client_key = mac(&salted, "Client Key");
    let client_signature = mac(digest::digest(&digest::SHA256, client_key.as_ref()).as_ref(), &messages);
    let expected: Vec<u8> = client_key.as_ref().iter().zip(client_signature.as_ref()).map(|(a, b)| a ^ b).collect();
    let signature = STANDARD.encode(mac(mac(&salted, "Server Key").as_ref(), &messages));
    (proof == STANDARD.encode(expected)).then(|| format!("v={signature}"))
}

#[test]
fn scram_is_preferred_and_proves_both_sides() {
    for protocol in Protocol::ALL {
        for offered in ["PLAIN LOGIN SCRAM-SHA-256 SASL-IR", "PLAIN SCRAM-SHA-256"] {
            let server = desk(protocol, move |desk| {
                let (mechanism, initial) = desk.open(offered)?;
                assert_eq!(mechanism, "SCRAM-SHA-256");
                let hello = desk.first(initial)?;
                let last = scram(desk, &hello, "s3cret");
                if let Some(last) = &last {
                    assert_eq!(desk.ask(last.as_bytes())?, b"");
                }
                desk.judge(last.is_some());
                Some(())
            });
            let connection = dial(server.settings()).unwrap();
            assert_eq!(connection.established().signed_in_by, Some("SCRAM-SHA-256"));
            let failure = dial(with_password(&server, "other")).err().unwrap();
            assert_eq!(failure.failure.kind, AuthInvalid, "{protocol}: {failure}");
        }
    }
}

#[test]
fn a_server_that_does_not_know_the_password_gets_no_other_sign_in() {
    for protocol in Protocol::ALL {
        for accepts_at_once in [true, false] {
            let server = desk(protocol, move |desk| {
                let (_, initial) = desk.open("PLAIN SCRAM-SHA-256 SASL-IR")?;
                let hello = desk.first(initial)?;
                if !accepts_at_once {
                    let forged = format!("v={}", STANDARD.encode([7; 32]));
                    scram(desk, &hello, "s3cret");
                    desk.peer.send(&match protocol {
                        Protocol::Smtp => format!("334 {}\r\n", STANDARD.encode(forged)),
                        _ => format!("+ {}\r\n", STANDARD.encode(forged)),
                    });
                    assert_eq!(desk.peer.line()?, "*", "the exchange is called off");
                }
                desk.judge(accepts_at_once);
                Some(())
            });
            let connector = MailConnector::new(server.settings());
            for number in 0..3 {
                let failure = connector.dial(session(number)).err().unwrap().failure;
                assert_eq!(
                    (failure.kind, failure.stage),
                    (FailureKind::Protocol, Stage::Auth),
                    "{protocol}: {failure}"
                );
            }
            assert_eq!(server.accepted(), 1, "{protocol}");
        }
    }
}

/// Takes bearer tokens that end like that, by the mechanism, and refuses all others as it wants them refused.
fn token_server(protocol: Protocol, mechanism: &'static str, good: &'static str) -> Server {
    desk(protocol, move |desk| {
        let offered = format!("PLAIN {mechanism} SASL-IR");
        let (begun, initial) = desk.open(&offered)?;
        assert_eq!(begun, mechanism);
        let answer = String::from_utf8(desk.first(initial)?).unwrap();
        let token = answer.split_once("auth=Bearer ").unwrap().1.trim_end_matches('\x01');
        let is_good = token.ends_with(good);
        if !is_good {
            let farewell = desk.ask(br#"{"status":"invalid_token","scope":"mail"}"#)?;
            assert_eq!(farewell, if mechanism == "OAUTHBEARER" { b"\x01".as_slice() } else { b"" });
        }
        desk.judge(is_good);
        Some(())
    })
}

fn sign_ins(server: &Server) -> usize {
    server.heard().iter().filter(|line| line.contains("AUTH")).count()
}

#[test]
fn an_expired_token_costs_one_fetch_and_one_dial_more() {
    for protocol in Protocol::ALL {
        for mechanism in ["XOAUTH2", "OAUTHBEARER"] {
            for length in [0, 2000] {
                let server = token_server(protocol, mechanism, "token-1");
                let (settings, fetched) = with_tokens(&server, length);
                let connection = dial(settings).unwrap();
                assert_eq!(connection.established().signed_in_by, Some(mechanism));
                assert_eq!((fetched.load(Ordering::SeqCst), server.accepted(), sign_ins(&server)), (2, 2, 2));
            }
            let server = token_server(protocol, mechanism, "none");
            let (settings, fetched) = with_tokens(&server, 0);
            let connector = MailConnector::new(settings);
            let failure = connector.dial(session(0)).err().unwrap();
            assert_eq!((failure.failure.kind, failure.failure.stage), (AuthInvalid, Stage::Auth), "{failure}");
            assert!(failure.failure.message.starts_with("the server refused the token"), "{failure}");
            assert!(failure.failure.message.contains("invalid_token"), "{failure}");
            let late = connector.dial(session(1)).err().unwrap().failure;
            assert!(late.message.starts_with("not tried: ") && late.message.contains("with this token"), "{late}");
            assert_eq!((fetched.load(Ordering::SeqCst), server.accepted(), sign_ins(&server)), (2, 2, 2));
            assert!(
                server.heard().iter().filter(|line| line.ends_with("QUIT") || line.ends_with("LOGOUT")).count() == 2
            );
        }
    }
}

/// Eight dials of one connector that start together.
fn eight(connector: &MailConnector) -> Vec<Result<MailConnection, DialFailure>> {
    let start = Barrier::new(8);
    thread::scope(|scope| {
        let dials: Vec<_> = (0..8)
            .map(|number| {
                let start = &start;
                scope.spawn(move || {
                    start.wait();
                    connector.dial(session(number))
                })
            })
            .collect();
        dials.into_iter().map(|dial| dial.join().unwrap()).collect()
    })
}

#[test]
fn eight_threads_with_an_expired_token_fetch_one_more_between_them() {
    for protocol in Protocol::ALL {
        let server = token_server(protocol, "XOAUTH2", "token-1");
        let (settings, fetched) = with_tokens(&server, 0);
        let opened = eight(&MailConnector::new(settings));
        assert!(opened.iter().all(Result::is_ok));
        assert_eq!((fetched.load(Ordering::SeqCst), sign_ins(&server)), (2, 9), "{protocol}");
    }
}

#[test]
fn eight_threads_with_a_wrong_password_cost_one_sign_in_nextcloud_mail_9156() {
    for protocol in Protocol::ALL {
        let server = desk(protocol, |desk| {
            let (_, initial) = desk.open("PLAIN SASL-IR")?;
            desk.first(initial)?;
            desk.judge(false);
            Some(())
        });
        let connector = MailConnector::new(server.settings());
        for failed in eight(&connector) {
            let failure = failed.err().unwrap().failure;
            assert_eq!((failure.kind, failure.stage), (AuthInvalid, Stage::Auth), "{protocol}: {failure}");
            assert!(failure.server_line.unwrap().contains("Authentication failed"));
        }
        assert_eq!(sign_ins(&server), 1, "{protocol}");
        let left = server.heard().iter().filter(|line| line.ends_with("QUIT") || line.ends_with("LOGOUT")).count();
        assert_eq!(left, server.accepted(), "everyone leaves politely");
    }
}

#[test]
fn eight_threads_with_a_wrong_password_by_user_and_pass_cost_one_sign_in() {
    let server = Server::pop3(&[("CAPA", "+OK\r\nUSER\r\n.\r\n"), ("PASS", "-ERR [AUTH] no\r\n")]);
    let connector = MailConnector::new(server.settings());
    assert!(eight(&connector).into_iter().all(|failed| failed.err().unwrap().failure.kind == AuthInvalid));
    assert_eq!(server.verbs().matches("PASS").count(), 1);
}

#[test]
fn a_way_that_is_asked_for_and_not_offered_is_no_reason_to_take_another() {
    for protocol in Protocol::ALL {
        for way in [Way::Sasl(Mechanism::ScramSha256), Way::Sasl(Mechanism::XOAuth2), Way::Native] {
            let (server, met) = plain_server(protocol, "PLAIN GSSAPI SASL-IR");
            let failure = dial(Settings { auth: Some(way), ..server.settings() }).err().unwrap();
            assert_eq!((failure.failure.kind, failure.failure.stage), (AuthUnsupported, Stage::Auth), "{failure}");
            assert!(failure.failure.message.contains("PLAIN, GSSAPI"), "{failure}");
            assert!(met.lock().unwrap().is_empty() && !failure.sign_in_attempted);
        }
        let (server, met) = plain_server(protocol, "SCRAM-SHA-256 PLAIN SASL-IR");
        dial(Settings { auth: Some(Way::Sasl(Mechanism::Plain)), ..server.settings() }).unwrap();
        assert_eq!(met.lock().unwrap().len(), 1, "the weaker one, because it was asked for");
    }
}

#[test]
fn a_user_or_password_that_user_and_pass_cannot_carry_is_not_sent() {
    for (user, password) in [("joe", "a\r\nDELE 1"), ("joe", "a\nb"), ("jo\r\ne", "x"), ("joe", "a\0b")] {
        let server = Server::pop3(&[("CAPA", "+OK\r\nUSER\r\n.\r\n")]);
        let mut settings = with_password(&server, password);
        settings.endpoint.user = user.into();
        let failure = dial(settings).err().unwrap();
        assert_eq!(failure.failure.kind, AuthUnsupported, "{failure}");
        assert_eq!(server.verbs(), "CAPA QUIT");
    }
    for password in ["two words", " \"quoted\" ", "pässwört"] {
        let server = Server::pop3(&[("CAPA", "+OK\r\nUSER\r\n.\r\n")]);
        dial(with_password(&server, password)).unwrap();
        assert!(
            server.heard().iter().any(|line| *line == format!("PASS {password}").trim_end()),
            "{:?}",
            server.heard()
        );
    }
}

#[test]
fn a_password_that_the_server_repeats_is_masked_in_each_protocol() {
    for (server, shown) in [
        (Server::smtp(&[("AUTH", "535 5.7.8 bad: AUTH PLAIN AGpvZQBzM2NyZXQ=\r\n")]), "535 5.7.8 bad: AUTH PLAIN ***="),
        (Server::smtp(&[("AUTH", "535-5.7.8 s3cret\r\n535 5.7.8 is wrong\r\n")]), "535 5.7.8 *** is wrong"),
        (
            Server::pop3(&[("CAPA", "+OK\r\nUSER\r\n.\r\n"), ("PASS", "-ERR wrong: PASS s3cret\r\n")]),
            "-ERR wrong: PASS ***",
        ),
        (Server::pop3(&[("AUTH", "s3cret?\r\n")]), "***?"),
    ] {
        let failure = dial(server.settings()).err().unwrap();
        assert_eq!(failure.failure.server_line.as_deref(), Some(shown), "{failure}");
    }
}

#[test]
fn a_challenge_that_is_no_base64_is_answered_only_where_nothing_was_to_be_asked() {
    // Stalwart asks for the first answer in words.
    let server = Server::of(Protocol::Smtp, "127.0.0.1:0", |peer| {
        peer.send("220 hi\r\n");
        peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
        peer.answer("334 Go ahead.\r\n");
        peer.answer("235 2.7.0 Authentication succeeded.\r\n");
        peer.wait_for_close();
    });
    dial(with_password(&server, &"p".repeat(1000))).unwrap();
    let server = Server::smtp(&[("AUTH", "334 5.7.8 Missing TOTP token, try with 's3cret$totp_code'.\r\n")]);
    let failure = dial(server.settings()).err().unwrap().failure;
    assert_eq!((failure.kind, failure.stage), (FailureKind::Protocol, Stage::Auth), "{failure}");
    assert_eq!(failure.server_line.as_deref(), Some("5.7.8 Missing TOTP token, try with '***$totp_code'."));
    assert_eq!(server.verbs(), "EHLO AUTH * QUIT");
}
