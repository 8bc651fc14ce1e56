//! Faults made from outside, in each protocol, in the clear and under TLS: what the client hears, and what is on record.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, Cut, Faults, Limit, Options, Protocol, Sandbox, Security, SessionEventKind};

use super::talk::{Encrypted, Talk, eventually, serving, speaking, trust};
use super::{PATIENCE, of_port};

/// What must never be seen is waited for this long.
const A_WHILE: Duration = Duration::from_millis(80);

pub struct Words {
    pub protocol: Protocol,
    /// From the greeting to being signed in.
    sign_in: &'static [&'static str],
    /// Does nothing.
    pub noop: &'static str,
    done: &'static str,
    pub quit: &'static str,
    /// Before the text of a goodbye.
    bye: &'static str,
}

pub const ALL: [Words; 3] = [
    Words {
        protocol: Protocol::Imap,
        sign_in: &["a LOGIN user secret"],
        noop: "n NOOP",
        done: "n OK NOOP completed.\r\n",
        quit: "q LOGOUT",
        bye: "* BYE ",
    },
    Words {
        protocol: Protocol::Smtp,
        sign_in: &["HELO tests", "AUTH PLAIN AHVzZXIAc2VjcmV0"],
        noop: "NOOP",
        done: "250 2.0.0 Ok\r\n",
        quit: "QUIT",
        bye: "421 4.3.2 ",
    },
    Words {
        protocol: Protocol::Pop3,
        sign_in: &["USER user", "PASS secret"],
        noop: "NOOP",
        done: "+OK\r\n",
        quit: "QUIT",
        bye: "-ERR ",
    },
];

/// A client, in the clear or under TLS.
pub enum Client {
    Clear(Talk<TcpStream>),
    Encrypted(Box<Encrypted>),
}

impl Client {
    pub fn say(&mut self, line: &str) {
        match self {
            Self::Clear(talk) => talk.say(format!("{line}\r\n")),
            Self::Encrypted(talk) => talk.say(format!("{line}\r\n")),
        }
    }

    pub fn hear(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        match self {
            Self::Clear(talk) => talk.try_hear(&mut line),
            Self::Encrypted(talk) => talk.try_hear(&mut line),
        }
        .map(|_| line)
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Clear(talk) => talk.socket(),
            Self::Encrypted(talk) => talk.socket(),
        }
    }

    pub fn port(&self) -> u16 {
        self.socket().local_addr().unwrap().port()
    }

    fn security(&self) -> Security {
        match self {
            Self::Clear(_) => Security::Plain,
            Self::Encrypted(_) => Security::Tls,
        }
    }

    /// Whether the stream has ended, under TLS without close_notify.
    fn hears_the_end(&mut self) -> bool {
        match (self.security(), self.hear()) {
            (Security::Tls, heard) => heard.is_err_and(|error| error.kind() == ErrorKind::UnexpectedEof),
            (_, heard) => heard.is_ok_and(|heard| heard.is_empty()),
        }
    }

    /// Whether nothing has come for a while.
    fn hears_nothing(&mut self) -> bool {
        self.socket().set_read_timeout(Some(A_WHILE)).unwrap();
        let heard = self.hear();
        self.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        heard.is_err_and(|error| matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }
}

impl Words {
    pub fn client(&self, server: &Sandbox, security: Security) -> Client {
        let talk = Talk::to(server.address());
        let mut client = match security {
            Security::Tls => Client::Encrypted(Box::new(talk.encrypt(&trust(server), "localhost"))),
            _ => Client::Clear(talk),
        };
        client.hear().unwrap();
        for line in self.sign_in {
            client.say(line);
            assert!(!client.hear().unwrap().is_empty(), "{line}");
        }
        client
    }
}

/// Every protocol in the clear and under TLS, a server and a signed-in client each.
fn everywhere(test: impl Fn(&Words, Sandbox, Client)) {
    for words in &ALL {
        for security in [Security::Plain, Security::Tls] {
            let server = speaking(words.protocol, security);
            let client = words.client(&server, security);
            test(words, server, client);
        }
    }
}

fn cause(server: &Sandbox, port: u16) -> Option<CloseCause> {
    of_port(&server.witness(), port).closed.map(|(_, cause)| cause)
}

fn is_reset(heard: std::io::Result<String>) -> bool {
    heard.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn a_connection_is_cut_at_once_and_on_record_when_that_is_done() {
    everywhere(|_, server, mut client| {
        let port = client.port();
        let began = Instant::now();
        assert!(server.faults().cut(port, Cut::Fin));
        assert_eq!(cause(&server, port), Some(CloseCause::Fault));
        assert_eq!(server.open_sessions(), 0);
        assert!(client.hears_the_end());
        assert!(began.elapsed() < PATIENCE / 4, "nothing was waited for");
        assert!(!server.faults().cut(port, Cut::Fin), "no open session has the port any more");
    });
}

#[test]
fn a_reset_is_one() {
    everywhere(|_, server, mut client| {
        let port = client.port();
        assert!(server.faults().cut(port, Cut::Rst));
        assert_eq!(cause(&server, port), Some(CloseCause::Fault));
        assert!(is_reset(client.hear()));
    });
}

#[test]
fn what_was_unread_when_a_stream_was_cut_does_not_make_it_a_reset() {
    let server = speaking(Protocol::Imap, Security::Plain);
    let mut client = ALL[0].client(&server, Security::Plain);
    server.faults().stall(client.port(), true);
    // More than a session takes in while its replies are held back: the rest stays with the system.
    let Client::Clear(talk) = &mut client else { panic!() };
    let mut socket = talk.socket();
    socket.set_nonblocking(true).unwrap();
    let lines = "x CAPABILITY\r\n".repeat(4096);
    let began = Instant::now();
    while began.elapsed() < PATIENCE / 4 && socket.write(lines.as_bytes()).is_ok() {}
    socket.set_nonblocking(false).unwrap();
    assert!(began.elapsed() < PATIENCE / 4, "what is held back has a bound");
    assert!(server.faults().cut(client.port(), Cut::Fin));
    assert_eq!(client.hear().unwrap(), "");
}

#[test]
fn a_reply_can_be_cut_in_its_middle() {
    for security in [Security::Plain, Security::Tls] {
        for how in [Cut::Fin, Cut::Rst] {
            let server = speaking(Protocol::Imap, security);
            let mut client = ALL[0].client(&server, security);
            let size = 24 << 20;
            client.say(&format!("b APPEND INBOX {{{size}+}}\r\n{}", "x".repeat(size)));
            assert!(client.hear().unwrap().starts_with("b OK"));
            client.say("c SELECT INBOX");
            while !client.hear().unwrap().starts_with("c OK") {}
            client.say("d FETCH 31 BODY.PEEK[]");
            assert_eq!(client.hear().unwrap(), format!("* 31 FETCH (BODY[] {{{size}}}\r\n"));
            let began = Instant::now();
            assert!(server.faults().cut(client.port(), how));
            assert!(began.elapsed() < PATIENCE / 4, "a client that does not read is not waited for");
            assert_eq!(cause(&server, client.port()), Some(CloseCause::Fault));
            let mut rest = Vec::new();
            let end = match &mut client {
                Client::Clear(talk) => talk.inner().read_to_end(&mut rest),
                Client::Encrypted(talk) => talk.inner().read_to_end(&mut rest),
            };
            assert!(rest.len() < size, "the reply was whole");
            match how {
                Cut::Rst => assert_eq!(end.unwrap_err().kind(), ErrorKind::ConnectionReset),
                Cut::Fin => assert!(end.map_or_else(|error| error.kind() == ErrorKind::UnexpectedEof, |_| true)),
            }
        }
    }
}

#[test]
fn a_late_reply_is_not_waited_for() {
    let latency = Duration::from_secs(60);
    for how in [None, Some(Cut::Fin), Some(Cut::Rst)] {
        let server = serving(&[(Protocol::Imap, Security::Plain)], Options { latency, ..Options::default() });
        let mut talk = Talk::to(server.address());
        eventually(|| server.open_sessions() == 1);
        let began = Instant::now();
        let faults = server.faults();
        assert!(how.map_or_else(|| faults.goodbye(talk.port(), "enough"), |how| faults.cut(talk.port(), how)));
        assert_eq!(talk.rest(), if how.is_none() { "* BYE enough\r\n" } else { "" });
        assert!(began.elapsed() < PATIENCE / 4);
    }
}

#[test]
fn the_place_and_the_maildrop_are_free_when_a_session_has_been_ended() {
    let ends: [fn(&Faults, u16) -> bool; 3] = [
        |faults, port| faults.cut(port, Cut::Fin),
        |faults, port| faults.cut(port, Cut::Rst),
        |faults, port| faults.goodbye(port, "enough"),
    ];
    for words in &ALL {
        let options = Options { limits: Limit::connections(1).into(), ..Options::default() };
        let server = serving(&[(words.protocol, Security::Plain)], options);
        for end in ends.iter().cycle().take(30) {
            let mut client = words.client(&server, Security::Plain);
            client.say(words.noop);
            assert_eq!(client.hear().unwrap(), words.done);
            assert!(end(&server.faults(), client.port()));
        }
    }
}

#[test]
fn replies_are_held_back_and_commands_are_carried_out_meanwhile() {
    everywhere(|words, server, mut client| {
        let faults = server.faults();
        let before = words.sign_in.len();
        assert!(faults.stall(client.port(), true));
        for count in 1..=3 {
            client.say(words.noop);
            eventually(|| of_port(&server.witness(), client.port()).commands.len() >= before + count);
        }
        assert!(client.hears_nothing());
        assert_eq!(cause(&server, client.port()), None);
        assert!(faults.stall(client.port(), false));
        for _ in 1..=3 {
            assert_eq!(client.hear().unwrap(), words.done);
        }
        client.say(words.noop);
        assert_eq!(client.hear().unwrap(), words.done, "and all is as before");
    });
}

#[test]
fn a_session_that_is_stalled_ends_on_record_and_its_last_words_come_when_it_is_let_go() {
    everywhere(|words, server, mut client| {
        let port = client.port();
        server.faults().stall(port, true);
        client.say(words.quit);
        eventually(|| cause(&server, port) == Some(CloseCause::Logout));
        assert!(client.hears_nothing());
        server.faults().stall(port, false);
        assert!(!client.hear().unwrap().is_empty());
    });
}

#[test]
fn a_client_that_gives_up_on_a_stalled_session_is_seen_to() {
    everywhere(|words, server, mut client| {
        let port = client.port();
        server.faults().stall(port, true);
        client.say(words.noop);
        eventually(|| of_port(&server.witness(), port).commands.len() == words.sign_in.len() + 1);
        drop(client);
        eventually(|| server.open_sessions() == 0);
        assert!(matches!(cause(&server, port), Some(CloseCause::EndOfStream | CloseCause::Reset)));
    });
}

#[test]
fn a_stalled_session_can_be_cut_and_what_was_held_back_is_lost() {
    everywhere(|words, server, mut client| {
        server.faults().stall(client.port(), true);
        client.say(words.noop);
        eventually(|| of_port(&server.witness(), client.port()).commands.len() == words.sign_in.len() + 1);
        assert!(server.faults().cut(client.port(), Cut::Fin));
        assert!(client.hears_the_end());
    });
}

#[test]
fn a_server_that_stops_lets_go_of_what_it_held_back() {
    everywhere(|words, server, mut client| {
        server.faults().stall(client.port(), true);
        client.say(words.noop);
        eventually(|| of_port(&server.witness(), client.port()).commands.len() == words.sign_in.len() + 1);
        let began = Instant::now();
        server.stop(PATIENCE);
        assert!(began.elapsed() < PATIENCE / 4);
        assert_eq!(client.hear().unwrap(), words.done);
        assert!(client.hear().unwrap().contains("stopping"));
    });
}

#[test]
fn goodbye_is_said_unasked_in_one_line_and_nothing_after_it() {
    everywhere(|words, server, mut client| {
        let port = client.port();
        assert!(server.faults().goodbye(port, "Server is going down.\r\na OK not at all"));
        assert_eq!(cause(&server, port), Some(CloseCause::Fault));
        assert_eq!(client.hear().unwrap(), format!("{}Server is going down.  a OK not at all\r\n", words.bye));
        assert_eq!(client.hear().unwrap(), "", "under TLS it is a proper end");
        assert!(!server.faults().goodbye(port, "again"));
    });
}

#[test]
fn goodbye_takes_the_place_of_replies_that_were_held_back() {
    everywhere(|words, server, mut client| {
        server.faults().stall(client.port(), true);
        client.say(words.noop);
        eventually(|| of_port(&server.witness(), client.port()).commands.len() == words.sign_in.len() + 1);
        assert!(server.faults().goodbye(client.port(), "enough"));
        assert_eq!(client.hear().unwrap(), format!("{}enough\r\n", words.bye));
    });
}

#[test]
fn new_connections_are_reset_and_those_that_are_there_go_on() {
    everywhere(|words, server, mut client| {
        server.faults().refuse_connections(true);
        let mut refused = Talk::to(server.address());
        let port = refused.port();
        let mut line = String::new();
        assert_eq!(refused.try_hear(&mut line).unwrap_err().kind(), ErrorKind::ConnectionReset);
        let session = of_port(&server.witness(), port).clone();
        assert_eq!((session.closed.unwrap().1, session.commands.len()), (CloseCause::Fault, 0));
        assert!(!server.faults().cut(port, Cut::Fin));
        client.say(words.noop);
        assert_eq!(client.hear().unwrap(), words.done);
        server.faults().refuse_connections(false);
        words.client(&server, client.security());
    });
}

#[test]
fn the_limit_changes_for_those_who_come_and_not_for_those_who_are_here() {
    let server = speaking(Protocol::Imap, Security::Plain);
    let sign_in = |address: SocketAddr| {
        let mut talk = Talk::to(address);
        talk.hear();
        let answer = talk.ask("a LOGIN user secret");
        (talk, answer)
    };
    let (mut first, _) = sign_in(server.address());
    let (_second, _) = sign_in(server.address());
    server.faults().limit(Some(1));
    let (mut third, refused) = sign_in(server.address());
    assert!(refused.starts_with("a NO [LIMIT] ") && refused.contains("=1)"), "{refused}");
    assert_eq!(third.rest(), "");
    assert_eq!(first.ask("b NOOP"), "b OK NOOP completed.\r\n");
    server.faults().limit(None);
    assert!(sign_in(server.address()).1.starts_with("a OK "));
}

#[test]
fn a_port_that_no_open_session_has_is_no_ones() {
    let server = speaking(Protocol::Imap, Security::Plain);
    let gone = Talk::to(server.address());
    let port = gone.port();
    eventually(|| server.open_sessions() == 1);
    drop(gone);
    let faults = server.faults();
    eventually(|| !faults.stall(port, true));
    assert!(!faults.cut(port, Cut::Rst) && !faults.goodbye(port, "enough"));
    server.stop(PATIENCE);
    assert!(!faults.stall(port, true), "the controls outlive the server and do nothing");
}

#[test]
fn whoever_watches_may_cut_the_session_it_is_told_of() {
    let faults: Arc<OnceLock<Faults>> = Arc::default();
    let ended = Arc::new(Mutex::new(Vec::new()));
    let watch = {
        let (faults, ended) = (Arc::clone(&faults), Arc::clone(&ended));
        Arc::new(move |event: &mailconn::sandbox::SessionEvent| match &event.kind {
            SessionEventKind::SignedIn { .. } => {
                assert!(faults.get().unwrap().cut(event.peer.port(), Cut::Fin));
            }
            SessionEventKind::Closed { cause, .. } => ended.lock().unwrap().push(*cause),
            _ => {}
        })
    };
    let options = Options { watch: Some(watch), ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Plain)], options);
    faults.set(server.faults()).ok().unwrap();
    let mut talk = Talk::to(server.address());
    talk.hear();
    talk.say("a LOGIN user secret\r\n");
    assert_eq!(talk.rest(), "");
    assert_eq!(*ended.lock().unwrap(), [CloseCause::Fault]);
}

#[test]
fn many_threads_make_faults_while_sessions_run() {
    let server = speaking(Protocol::Imap, Security::Plain);
    thread::scope(|scope| {
        for how in [Some(Cut::Fin), Some(Cut::Rst), None, None] {
            let (faults, server) = (server.faults(), &server);
            scope.spawn(move || {
                for _ in 0..50 {
                    let client = ALL[0].client(server, Security::Plain);
                    faults.stall(client.port(), true);
                    faults.stall(client.port(), false);
                    assert!(match how {
                        Some(how) => faults.cut(client.port(), how),
                        None => faults.goodbye(client.port(), "enough"),
                    });
                }
            });
        }
    });
    let record = server.stop(PATIENCE);
    assert_eq!(record.len(), 200);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Fault));
}
