//! TLS, in each of the protocols: from the first byte, or when asked for; and nothing said before it counts after it.

use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, Limit, Options, Protocol, Security, SessionEventKind, User};

use super::PATIENCE;
use super::talk::{Talk, eventually, serving, speaking, trust};

/// How each protocol asks for TLS, agrees to it, and says that it can be had; and the goodbye.
struct Words {
    protocol: Protocol,
    /// Said by the server when connected, in the clear.
    greeting: &'static str,
    asks: &'static str,
    agreed: &'static str,
    /// How a client introduces itself, if it must.
    hello: Option<&'static str>,
    /// A sign-in, and how its answer begins in the clear and under TLS.
    sign_in: &'static str,
    refused: &'static str,
    accepted: &'static str,
    bye: &'static str,
}

const IMAP: Words = Words {
    protocol: Protocol::Imap,
    greeting: "* OK [CAPABILITY IMAP4REV1 SASL-IR LITERAL+ ID STARTTLS LOGINDISABLED] mailconn sandbox ready.\r\n",
    asks: "s STARTTLS",
    agreed: "s OK Begin TLS negotiation now.\r\n",
    hello: None,
    sign_in: "a LOGIN user secret",
    refused: "a NO [PRIVACYREQUIRED] ",
    accepted: "a OK [CAPABILITY ",
    bye: "b LOGOUT",
};

const SMTP: Words = Words {
    protocol: Protocol::Smtp,
    greeting: "220 localhost ESMTP mailconn sandbox\r\n",
    asks: "STARTTLS",
    agreed: "220 2.0.0 Ready to start TLS\r\n",
    hello: Some("EHLO tests"),
    sign_in: "AUTH PLAIN AHVzZXIAc2VjcmV0",
    refused: "530 5.7.0 ",
    accepted: "235 ",
    bye: "QUIT",
};

const POP3: Words = Words {
    protocol: Protocol::Pop3,
    greeting: "+OK mailconn sandbox ready.\r\n",
    asks: "STLS",
    agreed: "+OK Begin TLS negotiation now.\r\n",
    hello: None,
    sign_in: "AUTH PLAIN AHVzZXIAc2VjcmV0",
    refused: "-ERR Plaintext",
    accepted: "+OK Logged in.",
    bye: "QUIT",
};

const ALL: [Words; 3] = [IMAP, SMTP, POP3];

impl Words {
    /// Tries to sign in, and returns the answer.
    fn sign_in<S: Read + Write>(&self, talk: &mut Talk<S>) -> String {
        if let Some(hello) = self.hello {
            talk.say(format!("{hello}\r\n"));
            talk.until(|line| line.starts_with("250 "));
        }
        talk.ask(self.sign_in)
    }
}

#[test]
fn tls_is_had_by_asking_and_required_before_sign_in() {
    for words in ALL {
        let server = speaking(words.protocol, Security::StartTls);
        let mut clear = Talk::to(server.address());
        clear.expect(words.greeting);
        let refused = words.sign_in(&mut clear);
        assert!(refused.starts_with(words.refused), "{refused}");
        assert_eq!(clear.ask(words.asks), words.agreed);
        let mut talk = clear.encrypt(&trust(&server), "localhost");
        let accepted = words.sign_in(&mut talk);
        assert!(accepted.starts_with(words.accepted), "{accepted}");
        talk.say(format!("{}\r\n", words.bye));
        talk.rest();
        let record = server.stop(PATIENCE);
        assert_eq!((record[0].protocol, record[0].tls), (words.protocol, true));
        assert_eq!(record[0].user.as_deref(), Some("user"));
        assert_eq!(record[0].closed.unwrap().1, CloseCause::Logout);
    }
}

#[test]
fn what_is_pipelined_behind_starttls_in_the_clear_ends_the_session() {
    for words in ALL {
        let server = speaking(words.protocol, Security::StartTls);
        let mut talk = Talk::to(server.address());
        talk.expect(words.greeting);
        talk.say(format!("{}\r\n{}\r\n", words.asks, words.sign_in));
        let said = talk.rest();
        assert!(!said.contains(words.agreed) && said.contains("Nothing may follow"), "{said}");
        // The same a moment later, into the handshake.
        let mut late = Talk::to(server.address());
        late.expect(words.greeting);
        assert_eq!(late.ask(words.asks), words.agreed);
        let _ = (&mut late.socket()).write_all(format!("{}\r\n", words.sign_in).as_bytes());
        let _ = late.socket().set_read_timeout(Some(PATIENCE));
        drop(late);
        eventually(|| server.open_sessions() == 0);
        let record = server.stop(PATIENCE);
        assert!(record.iter().all(|session| session.user.is_none() && !session.tls));
        assert_eq!(record[0].closed.unwrap().1, CloseCause::Server);
        assert_eq!(record[1].closed.unwrap().1, CloseCause::Reset);
    }
}

#[test]
fn tls_from_the_first_byte_is_resumed_by_a_client_that_comes_back() {
    for words in ALL {
        let server = speaking(words.protocol, Security::Tls);
        let config = trust(&server);
        for (name, resumed) in [("localhost", false), ("localhost", true), ("127.0.0.1", false), ("::1", false)] {
            let mut talk = Talk::to(server.address()).encrypt(&config, name);
            let greeting = talk.hear();
            assert!(!greeting.contains("STARTTLS"), "{greeting}");
            assert!(words.sign_in(&mut talk).starts_with(words.accepted));
            let kind = talk.connection().handshake_kind();
            assert_eq!(kind == Some(rustls::HandshakeKind::Resumed), resumed, "{name}: {kind:?}");
            talk.say(format!("{}\r\n", words.bye));
            talk.rest();
        }
        assert!(server.stop(PATIENCE).iter().all(|session| session.tls));
    }
}

#[test]
fn tls_is_not_given_twice_nor_where_it_is_not_offered() {
    for words in ALL {
        let server = speaking(words.protocol, Security::Plain);
        let mut talk = Talk::to(server.address());
        talk.hear();
        assert_ne!(talk.ask(words.asks), words.agreed);
        assert!(words.sign_in(&mut talk).starts_with(words.accepted), "a refusal is not the end");
        assert!(server.ca_pem().is_none());

        let server = speaking(words.protocol, Security::Tls);
        let mut talk = Talk::to(server.address()).encrypt(&trust(&server), "localhost");
        talk.hear();
        assert_ne!(talk.ask(words.asks), words.agreed);
    }
}

#[test]
fn a_client_that_does_not_shake_hands_is_not_waited_for() {
    let options = Options { idle_limit: Some(Duration::from_millis(100)), ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Tls)], options);
    let start = Instant::now();
    let mut silent = Talk::to(server.address());
    assert_eq!(silent.rest(), "");
    assert!(start.elapsed() < PATIENCE / 2);
    let mut babbler = Talk::to(server.address());
    babbler.say("a LOGIN user secret\r\n");
    let mut alert = Vec::new();
    let _ = babbler.socket().read_to_end(&mut alert);
    let record = server.stop(PATIENCE);
    assert_eq!(record[0].closed.unwrap().1, CloseCause::Server);
    assert_eq!(record[1].closed.unwrap().1, CloseCause::Reset);
    assert!(record.iter().all(|session| session.commands.is_empty() && !session.tls));
}

#[test]
fn stop_ends_handshakes_and_says_goodbye_under_tls() {
    let server = serving(&[(Protocol::Imap, Security::Tls), (Protocol::Imap, Security::StartTls)], Options::default());
    let [tls, starttls] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    let _shaking = Talk::to(tls);
    let _clear = Talk::to(starttls);
    let mut talk = Talk::to(tls).encrypt(&trust(&server), "localhost");
    talk.hear();
    eventually(|| server.open_sessions() == 3);
    let start = Instant::now();
    server.stop(Duration::from_secs(10));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(talk.rest(), "* BYE Server is stopping.\r\n");
}

#[test]
fn who_watches_is_told_of_each_session() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let tells = Arc::clone(&seen);
    let options = Options {
        users: vec![User::new("user", "secret")],
        limits: Limit::connections(1).into(),
        watch: Some(Arc::new(move |event| tells.lock().unwrap().push(event.clone()))),
        ..Options::default()
    };
    let server = serving(&[(Protocol::Imap, Security::Tls)], options);
    let mut talk = Talk::to(server.address()).encrypt(&trust(&server), "localhost");
    talk.hear();
    talk.ask("a LOGIN user wrong");
    talk.ask("b LOGIN user secret");
    let mut other = Talk::to(server.address()).encrypt(&trust(&server), "localhost");
    other.hear();
    other.ask("a LOGIN user secret");
    other.rest();
    talk.say("c LOGOUT\r\n");
    talk.rest();
    server.stop(PATIENCE);
    let seen = seen.lock().unwrap();
    let of = |session| -> Vec<_> { seen.iter().filter(|e| e.session == session).map(|e| e.kind.clone()).collect() };
    let refused = |words: &str| SessionEventKind::Refused { words: words.to_owned() };
    assert_eq!(
        of(1),
        [
            SessionEventKind::Opened,
            SessionEventKind::Encrypted,
            refused("Authentication failed."),
            SessionEventKind::SignedIn { user: "user".to_owned() },
            SessionEventKind::Closed { cause: CloseCause::Logout, commands: 3 },
        ]
    );
    assert_eq!(
        of(2)[2..],
        [
            refused("[LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=1)"),
            SessionEventKind::Closed { cause: CloseCause::Refused, commands: 1 },
        ]
    );
    assert!(!format!("{seen:?}").contains("secret"));
}
