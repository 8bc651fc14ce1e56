//! The record, taken part by part while the server runs: nothing is lost, twice or out of order, and nothing is kept.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, Cut, Limit, Options, Protocol, Sandbox, Security, SessionRecord};
use socket2::{Domain, SockRef, Socket, Type};

use super::faults::{ALL, Client, Words};
use super::talk::{Talk, eventually, serving};
use super::{PATIENCE, of_port};

/// Puts the parts of each session together, as a reader would.
#[derive(Default)]
struct Reader(BTreeMap<u64, SessionRecord>);

impl Reader {
    /// Takes what there is, and says how many commands that was.
    #[track_caller]
    fn take(&mut self, server: &Sandbox) -> usize {
        self.read(server.record().unwrap().take())
    }

    #[track_caller]
    fn read(&mut self, parts: Vec<SessionRecord>) -> usize {
        let numbers: Vec<u64> = parts.iter().map(|part| part.number).collect();
        assert!(numbers.windows(2).all(|pair| pair[0] < pair[1]), "a part of each, in order: {numbers:?}");
        let mut commands = 0;
        for mut part in parts {
            commands += part.commands.len();
            if let Some(before) = self.0.remove(&part.number) {
                assert_eq!(before.closed, None, "no part follows the last");
                assert_eq!((before.accepted, before.peer_port), (part.accepted, part.peer_port));
                part.commands.splice(0..0, before.commands);
                part.delivered.splice(0..0, before.delivered);
            }
            self.0.insert(part.number, part);
        }
        commands
    }

    /// The whole record, once the server has stopped.
    #[track_caller]
    fn end(mut self, server: Sandbox) -> Vec<SessionRecord> {
        self.read(server.stop(PATIENCE));
        self.0.into_values().collect()
    }
}

/// What the record says, without what differs from one server to the next.
fn said(record: &[SessionRecord]) -> Vec<String> {
    let said = record.iter().map(|it| {
        let commands = it.commands.iter();
        let commands: Vec<_> = commands.map(|it| (&it.tag, it.verb, &it.selected, it.status)).collect();
        // A client that goes without hearing all of an answer closes in order, or resets: the system's choice.
        let unheard = |cause| if cause == CloseCause::Reset { CloseCause::EndOfStream } else { cause };
        let cause = it.closed.map(|(_, cause)| unheard(cause));
        format!(
            "{} {:?} tls {} {:?} {:?} {cause:?} {commands:?} {:?}",
            it.number, it.protocol, it.tls, it.user, it.label, it.delivered
        )
    });
    said.collect()
}

fn options() -> Options {
    Options { limits: Limit::connections(3).into(), ..Options::default() }
}

/// Says it and hears the first line of the answer.
fn ask(client: &mut Client, line: &str) -> String {
    client.say(line);
    client.hear().unwrap_or_default()
}

fn is_over(server: &Sandbox, sessions: usize) {
    eventually(|| server.open_sessions() == sessions);
}

/// Sessions of every kind, one after the other. `between` is called wherever nothing is under way.
fn sessions(words: &Words, server: &Sandbox, security: Security, mut between: impl FnMut()) {
    let mut step = |what: fn(&Words, &Sandbox, &mut Client)| {
        let mut client = words.client(server, security);
        between();
        what(words, server, &mut client);
        drop(client);
        is_over(server, 0);
        between();
    };
    // With a goodbye; without one; in the middle of a command; cut; sent away.
    step(|words, _, client| {
        for _ in 0..5 {
            assert!(!ask(client, words.noop).is_empty());
        }
        ask(client, words.quit);
    });
    step(|_, _, _| {});
    step(|words, _, client| {
        ask(client, words.noop);
        client.say("nonsense");
        client.hear().unwrap();
    });
    step(|words, server, client| {
        ask(client, words.noop);
        assert!(server.faults().cut(client.port(), Cut::Rst));
    });
    step(|words, server, client| {
        ask(client, words.noop);
        assert!(server.faults().goodbye(client.port(), "enough"));
    });
    // Who is not let in; who says nothing.
    let stranger = |lines: &[&str]| {
        let talk = Talk::to(server.address());
        if security == Security::Plain {
            let mut talk = talk;
            talk.hear();
            lines.iter().for_each(|line| drop(talk.ask(line)));
        }
    };
    match words.protocol {
        Protocol::Imap => stranger(&["a LOGIN user wrong", "b ID (\"x\" \"1\" \"y\" NIL)"]),
        Protocol::Smtp => stranger(&["EHLO one.two", "RSET", "AUTH PLAIN AHVzZXIAd3Jvbmc="]),
        Protocol::Pop3 => stranger(&["USER user", "PASS wrong"]),
    }
    is_over(server, 0);
    between();
    stranger(&[]);
    is_over(server, 0);
    between();
    special(words, server, security, &mut between);
}

/// What only one protocol has.
fn special(words: &Words, server: &Sandbox, security: Security, between: &mut dyn FnMut()) {
    let mut client = words.client(server, security);
    let lines: &[&str] = match words.protocol {
        Protocol::Imap => &["i ID (\"name\" \"tests\")", "s EXAMINE Archive", "u UNSELECT", "x FETCH 1 FLAGS"],
        Protocol::Smtp => &[
            "EHLO tests",
            "AUTH PLAIN AHVzZXIAc2VjcmV0",
            "MAIL FROM:<user@tests>",
            "RCPT TO:<user>",
            "DATA",
            "Message-ID: <one@tests>\r\n\r\nText\r\n.",
            "RSET",
        ],
        Protocol::Pop3 => &["STAT", "DELE 1", "RSET"],
    };
    for line in lines {
        client.say(line);
        let tag = line.split(' ').next().unwrap();
        let is_last = |heard: &str| match words.protocol {
            Protocol::Imap => heard.starts_with(tag),
            Protocol::Smtp => heard.as_bytes()[3] == b' ',
            Protocol::Pop3 => true,
        };
        while !is_last(&client.hear().unwrap()) {}
        between();
    }
    drop(client);
    is_over(server, 0);
}

#[test]
fn what_is_taken_part_by_part_is_what_is_on_record_at_the_end() {
    for words in &ALL {
        for security in [Security::Plain, Security::Tls] {
            let whole = serving(&[(words.protocol, security)], options());
            sessions(words, &whole, security, || ());
            let open = words.client(&whole, security);
            let whole = whole.stop(PATIENCE);
            drop(open);

            let server = serving(&[(words.protocol, security)], options());
            let (mut reader, mut parts) = (Reader::default(), 0);
            sessions(words, &server, security, || {
                let untaken = server.witness();
                let taken = server.record().unwrap().take();
                parts += taken.len();
                let is_more = |it: &SessionRecord| !it.commands.is_empty() || !it.delivered.is_empty();
                let with_news = |it: &SessionRecord| it.closed.is_some() || is_more(it);
                assert_eq!(taken, untaken.into_iter().filter(with_news).collect::<Vec<_>>());
                reader.read(taken);
                assert_eq!(server.record().unwrap().take(), [], "nothing has happened since");
            });
            assert!(parts > whole.len(), "several of some session: {parts}");
            let open = words.client(&server, security);
            reader.take(&server);
            let taken = reader.end(server);
            drop(open);

            assert_eq!(said(&taken), said(&whole), "{:?} {security:?}", words.protocol);
            assert_eq!(taken.last().unwrap().closed.unwrap().1, CloseCause::Server, "it was open at the end");
            let causes: Vec<_> = taken.iter().map(|it| it.closed.unwrap().1).collect();
            let delivered: usize = taken.iter().map(|it| it.delivered.len()).sum();
            assert_eq!(delivered, usize::from(words.protocol == Protocol::Smtp));
            assert!(causes.contains(&CloseCause::Logout) && causes.contains(&CloseCause::Fault), "{causes:?}");
        }
    }
}

#[test]
fn a_session_that_is_refused_is_taken_like_any_other() {
    let options = Options { limits: Limit::connections(1).into(), ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Plain)], options);
    let first = ALL[0].client(&server, Security::Plain);
    let second = ALL[0].client(&server, Security::Plain);
    eventually(|| server.open_sessions() == 1);
    let mut reader = Reader::default();
    reader.take(&server);
    let record: Vec<SessionRecord> = reader.0.values().cloned().collect();
    assert_eq!(of_port(&record, second.port()).closed.unwrap().1, CloseCause::Refused);
    assert_eq!(of_port(&record, second.port()).commands.len(), 1);
    assert_eq!(of_port(&record, first.port()).closed, None);
}

#[test]
fn a_command_can_be_taken_when_its_reply_is_there() {
    let server = serving(&[(Protocol::Imap, Security::Plain)], Options::default());
    let mut talk = Talk::to(server.address());
    talk.hear();
    talk.ask("a LOGIN user secret");
    let mut reader = Reader::default();
    assert_eq!(reader.take(&server), 1);
    for _ in 0..200 {
        talk.ask("n NOOP");
        assert_eq!(reader.take(&server), 1);
    }
}

#[test]
fn after_many_commands_nothing_is_kept_of_those_that_were_taken() {
    let server = serving(&[(Protocol::Imap, Security::Plain)], Options::default());
    let mut talk = Talk::to(server.address());
    talk.hear();
    talk.ask("a LOGIN user secret");
    let record = server.record().unwrap();
    let (mut commands, mut most) = (0, 0);
    for _ in 0..100 {
        talk.say("n NOOP\r\n".repeat(1000));
        for _ in 0..1000 {
            assert_eq!(talk.hear(), "n OK NOOP completed.\r\n");
        }
        most = most.max(record.waiting());
        commands += record.take().iter().map(|part| part.commands.len()).sum::<usize>();
        assert_eq!(record.waiting(), 1, "the session, and no command");
        assert!(server.witness()[0].commands.is_empty());
    }
    assert_eq!(commands, 100_001);
    assert!(most <= 1002, "{most}");
}

#[test]
fn after_many_sessions_nothing_is_kept_of_those_that_were_taken() {
    let server = serving(&[(Protocol::Imap, Security::Plain)], Options::default());
    let record = server.record().unwrap();
    let (mut ended, mut most) = (0, 0);
    for _ in 0..20 {
        for _ in 0..100 {
            let mut talk = Talk::to(server.address());
            talk.hear();
            talk.say("q LOGOUT\r\n");
            talk.rest();
        }
        most = most.max(record.waiting());
        let parts = record.take();
        assert!(parts.iter().all(|part| part.commands.len() == 1 && part.closed.unwrap().1 == CloseCause::Logout));
        ended += parts.len();
        assert_eq!(record.waiting(), 0);
        assert_eq!(server.witness(), []);
    }
    assert_eq!(ended, 2000);
    assert!(most <= 200, "{most}");
}

#[test]
fn clients_wait_while_more_is_on_record_than_may_be() {
    const BOUND: usize = 500;
    const SENT: usize = 5000;
    let options = Options { record_bound: Some(BOUND), ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Plain)], options);
    let record = server.record().unwrap();
    let mut talk = Talk::to(server.address());
    talk.hear();
    talk.say("a LOGIN user secret\r\n".to_owned() + &"n NOOP\r\n".repeat(SENT));
    eventually(|| record.waiting() >= BOUND);
    thread::sleep(Duration::from_millis(100));
    let waiting = record.waiting();
    assert!(waiting <= BOUND + 100, "{waiting} commands are on record");
    let taken = Cell::new(0);
    eventually(|| {
        let new: usize = record.take().iter().map(|part| part.commands.len()).sum();
        assert!(new <= BOUND + 100, "{new} at a time");
        taken.set(taken.get() + new);
        taken.get() == SENT + 1
    });
}

#[test]
fn nobody_waits_for_a_reader_for_ever() {
    let options = Options { record_bound: Some(1), ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Plain)], options);
    let mut talk = Talk::to(server.address());
    talk.hear();
    talk.say("a CAPABILITY\r\n".repeat(64));
    (0..64).for_each(|_| drop(talk.until(|line| line.starts_with('a'))));
    let began = Instant::now();
    assert_eq!(talk.ask("n NOOP"), "n OK NOOP completed.\r\n");
    let waited = began.elapsed();
    assert!((Duration::from_secs(4)..PATIENCE).contains(&waited), "{waited:?}");
    // A client that waits does not hold up the end either.
    talk.say("n NOOP\r\n");
    thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    server.stop(PATIENCE);
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_record_that_is_not_kept_is_not_there_to_be_taken() {
    let options = Options { keeps_record: false, ..Options::default() };
    let server = serving(&[(Protocol::Imap, Security::Plain)], options);
    assert!(server.record().is_none());
    assert_eq!(server.stop(PATIENCE), []);
}

/// A connection from a port that is used elsewhere, or was a moment ago; from any if that is 0. Nobody else dials from its
/// address, so nobody else takes the port.
fn from_port(port: u16, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 77], port)).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn the_sessions_of_a_port_are_taken_one_after_the_other() {
    let server = serving(&[(Protocol::Imap, Security::Plain)], Options::default());
    let record = server.record().unwrap();
    let mut former = Talk::over(from_port(0, server.address()));
    former.hear();
    let port = former.port();
    // While its reply is on the way the server does not see that the client is gone.
    server.faults().delay(Duration::from_secs(2));
    former.say("f NOOP\r\n");
    eventually(|| record.waiting() == 2);
    server.faults().delay(Duration::ZERO);
    SockRef::from(former.socket()).set_linger(Some(Duration::ZERO)).unwrap();
    drop(former);

    let mut latter = Talk::over(from_port(port, server.address()));
    latter.hear();
    assert_eq!(latter.ask("l NOOP"), "l OK NOOP completed.\r\n");
    assert_eq!(server.open_sessions(), 2, "the former is not over");
    let tags = |parts: &[SessionRecord]| {
        assert!(parts.iter().all(|part| part.peer_port == port));
        let commands = parts.iter().flat_map(|part| &part.commands);
        commands.map(|command| command.tag.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tags(&record.take()), ["f"]);
    assert_eq!(record.take(), []);
    latter.ask("m NOOP");
    eventually(|| server.open_sessions() == 1);
    let parts = record.take();
    assert_eq!(tags(&parts), ["l", "m"]);
    assert_eq!([parts[0].closed.is_some(), parts[1].closed.is_some()], [true, false]);
    latter.ask("n NOOP");
    assert_eq!(tags(&record.take()), ["n"]);
}

#[test]
fn sessions_of_one_port_on_two_listeners_do_not_wait_for_each_other() {
    let speaks = [(Protocol::Imap, Security::Plain), (Protocol::Smtp, Security::Plain)];
    let server = serving(&speaks, Options::default());
    let mut first = Talk::over(from_port(0, server.addresses()[0]));
    first.hear();
    let mut second = Talk::over(from_port(first.port(), server.addresses()[1]));
    second.hear();
    second.ask("NOOP");
    let verbs = |parts: Vec<SessionRecord>| parts.iter().map(|part| part.commands[0].verb).collect::<Vec<_>>();
    assert_eq!(verbs(server.record().unwrap().take()), ["NOOP"]);
    first.ask("a CAPABILITY");
    assert_eq!(verbs(server.record().unwrap().take()), ["CAPABILITY"]);
}
