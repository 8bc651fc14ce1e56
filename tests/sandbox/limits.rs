//! How many connections the sandbox takes: by whom it counts, where, within which time, and what becomes of one too many.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, Cut, Maildrops, Options, Protocol, Sandbox, Security, User};

use super::talk::{Talk, eventually, serving};

mod likes;
mod written;

const ALL: [Protocol; 3] = [Protocol::Imap, Protocol::Smtp, Protocol::Pop3];

/// AHVzZXIAc2VjcmV0 is `user` with `secret`; the other is called `more`.
const TOKENS: [(&str, &str); 2] = [("user", "AHVzZXIAc2VjcmV0"), ("more", "AG1vcmUAc2VjcmV0")];

/// A server of all protocols with these limits, and two users.
fn limited(limits: &[&str]) -> Sandbox {
    let users = TOKENS.iter().map(|(name, _)| User::new(*name, "secret")).collect();
    let limits = limits.iter().map(|limit| limit.parse().unwrap()).collect();
    let speaks = ALL.map(|protocol| (protocol, Security::Plain));
    serving(&speaks, Options { users, limits, maildrops: Maildrops::Shared, ..Options::default() })
}

fn address(server: &Sandbox, protocol: Protocol) -> SocketAddr {
    server.addresses()[ALL.iter().position(|it| *it == protocol).unwrap()]
}

/// A client that has come as far as it was let.
struct Client {
    talk: Talk<TcpStream>,
    protocol: Protocol,
    /// The line that refused it, and `accept`, `greeting`, `sign-in` or `after`.
    refused: Option<(&'static str, String)>,
}

impl Client {
    /// Goes as far as the first command behind the sign-in.
    fn of(server: &Sandbox, protocol: Protocol, user: &str) -> Self {
        let talk = Talk::to(address(server, protocol));
        let mut client = Self { talk, protocol, refused: None };
        let token = TOKENS.iter().find(|(name, _)| *name == user).unwrap().1;
        let greeting = client.hear();
        if !client.took("accept", &greeting, !greeting.is_empty())
            || !client.took(
                "greeting",
                &greeting,
                greeting.starts_with(['*', '2', '+']) && !greeting.starts_with("* BYE"),
            )
        {
            return client;
        }
        let sign_in = match protocol {
            Protocol::Imap => client.ask(&format!("a AUTHENTICATE PLAIN {token}")),
            Protocol::Smtp => {
                client.ask("EHLO test");
                client.talk.until(|line| line.starts_with("250 "));
                client.ask(&format!("AUTH PLAIN {token}"))
            }
            Protocol::Pop3 => client.ask(&format!("AUTH PLAIN {token}")),
        };
        if client.took("sign-in", &sign_in, sign_in.starts_with(['2', '+']) || sign_in.starts_with("a OK")) {
            let first = client.command();
            client.took("after", &first, first.starts_with(['2', '+']) || first.starts_with("b OK"));
        }
        client
    }

    fn took(&mut self, stage: &'static str, line: &str, let_in: bool) -> bool {
        if !let_in {
            self.refused = Some((stage, line.trim_end().to_owned()));
        }
        let_in
    }

    fn hear(&mut self) -> String {
        let mut line = String::new();
        match self.talk.try_hear(&mut line) {
            Ok(_) => line,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    fn ask(&mut self, line: &str) -> String {
        self.talk.say(format!("{line}\r\n"));
        self.hear()
    }

    fn command(&mut self) -> String {
        self.ask(if self.protocol == Protocol::Imap { "b NOOP" } else { "NOOP" })
    }

    #[track_caller]
    fn is_in(&self) {
        assert_eq!(self.refused, None);
    }

    /// The stage where it was refused.
    fn stage(&self) -> &'static str {
        self.refused.as_ref().map_or("", |(stage, _)| stage)
    }

    /// Says goodbye and hears the end.
    fn sign_out(mut self) {
        self.talk.say(if self.protocol == Protocol::Imap { "z LOGOUT\r\n" } else { "QUIT\r\n" });
        self.talk.rest();
    }
}

/// Of the newest session from that port: one on another listener may have had the port before.
fn cause(server: &Sandbox, port: u16) -> Option<CloseCause> {
    let record = server.witness();
    record.iter().rfind(|session| session.peer_port == port).and_then(|session| session.closed).map(|(_, cause)| cause)
}

/// How many come in, one after the other and all held, before one is refused; and where it was.
fn count(server: &Sandbox, protocol: Protocol, user: &str, held: &mut Vec<Client>) -> (usize, &'static str) {
    for come in 0..20 {
        let client = Client::of(server, protocol, user);
        if client.refused.is_some() {
            let refused = client.stage();
            eventually(|| cause(server, client.talk.port()) == Some(CloseCause::Refused));
            return (come, refused);
        }
        held.push(client);
    }
    panic!("there is no limit");
}

#[test]
fn each_scope_counts_at_each_stage_in_each_protocol() {
    for (limit, stage) in [
        ("address=3@accept", "accept"),
        ("total=3@accept", "accept"),
        ("address=3", "greeting"),
        ("total=3@greeting", "greeting"),
        ("user=3", "sign-in"),
        ("address=3@sign-in", "sign-in"),
        ("user+address=3", "sign-in"),
        ("total=3@sign-in", "sign-in"),
        ("user=3@after", "after"),
        ("address=3@after", "after"),
        ("user+address=3@after", "after"),
        ("total=3@after", "after"),
    ] {
        let server = limited(&[limit]);
        for protocol in ALL {
            let mut held = Vec::new();
            assert_eq!(count(&server, protocol, "user", &mut held), (3, stage), "{limit} {protocol}");
            let more = Client::of(&server, protocol, "more");
            assert_eq!(more.refused.is_none(), limit.starts_with("user"), "{limit} {protocol}: {:?}", more.refused);
            // Those who are in go on.
            assert!(held.iter_mut().all(|client| client.command().contains(['+', '2', 'O'])), "{limit} {protocol}");
            held.pop().unwrap().sign_out();
            Client::of(&server, protocol, "user").is_in();
        }
    }
}

#[test]
fn an_address_of_its_own_is_counted_by_itself() {
    for (limit, apart) in [("address=1", true), ("user+address=1", true), ("user=1", false), ("total=1", false)] {
        let server = limited(&[limit]);
        let _first = Client::of(&server, Protocol::Imap, "user");
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, 2], 0)).into()).unwrap();
        socket.connect(&address(&server, Protocol::Imap).into()).unwrap();
        let mut second = Talk::over(TcpStream::from(socket));
        let greeting = second.hear();
        let signed_in = greeting.starts_with("* OK") && second.ask("a LOGIN user secret").starts_with("a OK");
        assert_eq!(signed_in, apart, "{limit}");
    }
}

#[test]
fn the_one_of_two_limits_that_is_met_first_is_the_one_that_refuses() {
    for (limits, due) in [
        (["user=2", "total=4@accept"], (2, "sign-in")),
        (["user=4", "total=2@accept"], (2, "accept")),
        (["user=3@after", "address=4"], (3, "after")),
        (["imap:user=9", "imap:address=2@sign-in"], (2, "sign-in")),
        (["pop3:user=1", "imap:user=3"], (3, "sign-in")),
    ] {
        let server = limited(&limits);
        assert_eq!(count(&server, Protocol::Imap, "user", &mut Vec::new()), due, "{limits:?}");
    }
}

#[test]
fn the_oldest_makes_room_where_that_is_asked_for() {
    for limit in ["address=2@accept,oldest", "total=2@greeting,oldest", "user=2,oldest", "user=2@after,oldest"] {
        for protocol in ALL {
            let server = limited(&[limit]);
            let mut clients: Vec<Client> = (0..4).map(|_| Client::of(&server, protocol, "user")).collect();
            clients.iter().for_each(Client::is_in);
            for client in &mut clients[..2] {
                let goodbye = client.talk.rest();
                assert!(
                    goodbye.contains("Too many connections") || goodbye.contains("too many connections"),
                    "{goodbye}"
                );
                let port = client.talk.port();
                eventually(|| cause(&server, port) == Some(CloseCause::Supplanted));
            }
            for client in &mut clients[2..] {
                assert!(client.command().contains(['+', '2', 'O']), "{limit} {protocol}");
            }
            let others = Client::of(&server, protocol, "more");
            others.is_in();
            let third = clients[2].talk.port();
            if limit.starts_with("user") {
                assert_eq!(cause(&server, third), None, "{limit} {protocol}");
            } else {
                eventually(|| cause(&server, third) == Some(CloseCause::Supplanted));
            }
        }
    }
}

#[test]
fn a_rate_lets_in_so_many_within_its_time_however_many_are_open() {
    for (limit, stage) in [
        ("address=3/2s@accept", "accept"),
        ("total=3/2s", "greeting"),
        ("user=3/2s", "sign-in"),
        ("user+address=3/2s@after", "after"),
    ] {
        let server = limited(&[limit]);
        for protocol in ALL {
            let begin = Instant::now();
            for _ in 0..3 {
                Client::of(&server, protocol, "user").sign_out();
            }
            let fourth = Client::of(&server, protocol, "user");
            // On a busy machine the first may be forgotten by now.
            assert!(fourth.stage() == stage || begin.elapsed() > Duration::from_secs(2), "{limit} {protocol}");
        }
        thread::sleep(Duration::from_millis(2100));
        for protocol in ALL {
            Client::of(&server, protocol, "user").is_in();
        }
    }
}

#[test]
fn a_slot_comes_free_as_late_as_was_asked_for() {
    const LATE: Duration = Duration::from_millis(700);
    for protocol in ALL {
        for (limit, after_goodbye, after_none) in [
            ("user=1", false, false),
            ("user=1,release=700ms", true, true),
            ("user=1,bare-release=700ms", false, true),
            ("address=1@accept,release=700ms,bare-release=0s", true, false),
        ] {
            for (goodbye, late) in [(true, after_goodbye), (false, after_none)] {
                let server = limited(&[limit]);
                let client = Client::of(&server, protocol, "user");
                client.is_in();
                let (port, begin) = (client.talk.port(), Instant::now());
                if goodbye {
                    client.sign_out()
                } else {
                    drop(client)
                }
                eventually(|| {
                    server.witness().iter().rfind(|it| it.peer_port == port).is_some_and(|it| it.closed.is_some())
                });
                let at_once = Client::of(&server, protocol, "user");
                let busy = begin.elapsed() > LATE;
                assert!(
                    busy || at_once.refused.is_some() == late,
                    "{limit} {protocol} {goodbye}: {:?}",
                    at_once.refused
                );
                if late {
                    thread::sleep(LATE + Duration::from_millis(50));
                    Client::of(&server, protocol, "user").is_in();
                }
            }
        }
    }
}

#[test]
fn whom_the_server_ended_it_does_not_miss() {
    for protocol in ALL {
        let server = limited(&["user=1,bare-release=60s"]);
        let mut client = Client::of(&server, protocol, "user");
        assert!(server.faults().cut(client.talk.port(), Cut::Fin));
        client.talk.rest();
        Client::of(&server, protocol, "user").is_in();
    }
}

#[test]
fn a_limit_that_comes_later_counts_those_who_are_here_and_leaves_the_others_alone() {
    let server = limited(&["total=3"]);
    let mut held = vec![Client::of(&server, Protocol::Imap, "user"), Client::of(&server, Protocol::Imap, "user")];
    server.faults().limit(Some(1));
    assert_eq!(Client::of(&server, Protocol::Imap, "user").stage(), "sign-in");
    let other = Client::of(&server, Protocol::Imap, "more");
    other.is_in();
    assert_eq!(Client::of(&server, Protocol::Imap, "more").stage(), "greeting", "of all there may be three");
    other.sign_out();
    held.pop().unwrap().sign_out();
    assert_eq!(Client::of(&server, Protocol::Imap, "user").stage(), "sign-in", "one is here");
    server.faults().limit(None);
    assert_eq!(count(&server, Protocol::Imap, "user", &mut held), (2, "greeting"));
}
