//! POP3 in raw bytes: the maildrop, its lock, its snapshot, and the bounds.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, CommandStatus, Limit, Maildrops, Options, Protocol, Sandbox, Security, User};

use super::PATIENCE;
use super::talk::{Talk, eventually, serving, speaking, trust};

fn plain() -> Sandbox {
    speaking(Protocol::Pop3, Security::Plain)
}

fn greeted(address: SocketAddr) -> Talk<TcpStream> {
    let mut talk = Talk::to(address);
    talk.expect("+OK mailconn sandbox ready.\r\n");
    talk
}

fn signed_in(address: SocketAddr) -> Talk<TcpStream> {
    let mut talk = greeted(address);
    talk.ask("USER user");
    assert_eq!(talk.ask("PASS secret"), "+OK Logged in.\r\n");
    talk
}

/// Says a line, and hears up to the dot.
fn ask_all<S: Read + Write>(talk: &mut Talk<S>, line: &str) -> String {
    talk.say(format!("{line}\r\n"));
    talk.until(|line| line == ".\r\n")
}

/// A server with one POP3 and one IMAP listener, and the client of the latter, with its INBOX selected.
fn beside_imap() -> (Sandbox, Talk<TcpStream>) {
    let server = serving(&[(Protocol::Pop3, Security::Plain), (Protocol::Imap, Security::Plain)], Options::default());
    let mut imap = Talk::to(server.addresses()[1]);
    imap.hear();
    imap.ask("a LOGIN user secret");
    imap.say("b SELECT INBOX\r\n");
    imap.until(|line| line.starts_with("b "));
    (server, imap)
}

#[test]
fn a_session_byte_for_byte() {
    let server = plain();
    let mut talk = greeted(server.address());
    assert_eq!(
        ask_all(&mut talk, "CAPA"),
        "+OK Capability list follows.\r\nTOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n\
         IMPLEMENTATION mailconn-sandbox\r\nUSER\r\nSASL PLAIN LOGIN\r\n.\r\n"
    );
    for (line, said) in [
        ("STAT", "-ERR Sign in first."),
        ("PASS secret", "-ERR No username given."),
        ("USER user", "+OK"),
        ("PASS wrong", "-ERR [AUTH] Authentication failed."),
        ("PASS secret", "-ERR No username given."),
        ("USER nobody", "+OK"),
        ("PASS secret", "-ERR [AUTH] Authentication failed."),
        ("user user", "+OK"),
        ("pass secret", "+OK Logged in."),
        ("USER user", "-ERR Already signed in."),
        ("STAT", "+OK 30 8823"),
        ("LIST 1", "+OK 1 292"),
        ("LIST 31", "-ERR There's no such message."),
        ("UIDL 30", "+OK 30 6955b9000000001e"),
        ("DELE 2", "+OK Marked to be deleted."),
        ("DELE 2", "-ERR There's no such message."),
        ("RETR 2", "-ERR There's no such message."),
        ("STAT", "+OK 29 8531"),
        ("RSET", "+OK"),
        ("NOOP", "+OK"),
        ("STAT", "+OK 30 8823"),
        ("TOP 1", "-ERR Invalid arguments."),
        ("APOP user x", "-ERR Unknown command."),
    ] {
        assert_eq!(talk.ask(line), format!("{said}\r\n"), "{line}");
    }
    let list = ask_all(&mut talk, "LIST");
    assert!(list.starts_with("+OK 30 messages:\r\n1 292\r\n2 292\r\n"), "{list}");
    assert_eq!(ask_all(&mut talk, "UIDL").lines().count(), 32);
    let text = ask_all(&mut talk, "RETR 7");
    assert!(text.starts_with("+OK 292 octets\r\nDate: Thu, 01 Jan 2026 07:00:00 +0000\r\n"), "{text}");
    assert_eq!(text.len(), "+OK 292 octets\r\n.\r\n".len() + 292);
    let top = ask_all(&mut talk, "TOP 7 0");
    assert!(top.ends_with("Content-Type: text/plain; charset=us-ascii\r\n\r\n.\r\n"), "{top}");
    assert_eq!(ask_all(&mut talk, "TOP 7 100").split_once("\r\n").unwrap().1, text.split_once("\r\n").unwrap().1);
    assert_eq!(talk.ask("QUIT"), "+OK Logging out.\r\n");
    assert_eq!(talk.rest(), "");
    let record = server.stop(PATIENCE);
    let session = &record[0];
    assert_eq!((session.protocol, session.peer_port), (Protocol::Pop3, talk.port()));
    assert_eq!((session.user.as_deref(), session.closed.unwrap().1), (Some("user"), CloseCause::Logout));
    use CommandStatus::{Bad, No, Ok};
    let commands: Vec<_> = session.commands.iter().take(5).map(|c| (&*c.tag, c.verb, c.status)).collect();
    assert_eq!(
        commands,
        [("1", "CAPA", Ok), ("2", "STAT", Bad), ("3", "PASS", Bad), ("4", "USER", Ok), ("5", "PASS", No)]
    );
    let told = format!("{record:?}");
    assert!(!told.contains("secret") && !told.contains("wrong"), "{told}");
}

#[test]
fn deletions_are_carried_out_at_quit_and_at_no_other_end() {
    let (server, mut imap) = beside_imap();
    let mut dropped = signed_in(server.address());
    dropped.ask("DELE 1");
    drop(dropped);
    eventually(|| server.open_sessions() == 1);
    assert_eq!(imap.ask("c NOOP"), "c OK NOOP completed.\r\n");
    let mut talk = signed_in(server.address());
    assert_eq!(talk.ask("STAT"), "+OK 30 8823\r\n");
    talk.ask("DELE 1");
    talk.ask("DELE 30");
    assert_eq!(imap.ask("d NOOP"), "d OK NOOP completed.\r\n", "not yet");
    talk.ask("QUIT");
    imap.say("e NOOP\r\n");
    imap.expect("* 1 EXPUNGE\r\n* 29 EXPUNGE\r\ne OK NOOP completed.\r\n");
    assert_eq!(signed_in(server.address()).ask("UIDL 1"), "+OK 1 6955b90000000002\r\n", "the lock is free at once");
}

#[test]
fn numbers_stay_what_they_are_whatever_others_do() {
    let (server, mut imap) = beside_imap();
    let mut talk = signed_in(server.address());
    imap.say("c STORE 3 +FLAGS.SILENT (\\Deleted)\r\nd EXPUNGE\r\n");
    imap.until(|line| line.starts_with("d "));
    // Bare line ends, a dot, and no line end at its end.
    imap.say("e APPEND INBOX {20+}\r\nSubject: x\n\n.y\n..\nz1\r\n");
    imap.until(|line| line.starts_with("e "));
    assert_eq!(talk.ask("STAT"), "+OK 30 8823\r\n");
    assert!(ask_all(&mut talk, "RETR 3").contains("This is message 3 of INBOX"), "gone elsewhere, still here");
    talk.ask("DELE 3");
    assert_eq!(talk.ask("QUIT"), "+OK Logging out.\r\n");
    let mut next = signed_in(server.address());
    assert_eq!(next.ask("LIST 30"), "+OK 30 26\r\n");
    assert_eq!(ask_all(&mut next, "RETR 30"), "+OK 26 octets\r\nSubject: x\r\n\r\n..y\r\n...\r\nz1\r\n.\r\n");
    assert_eq!(ask_all(&mut next, "TOP 30 1"), "+OK\r\nSubject: x\r\n\r\n..y\r\n.\r\n");
}

#[test]
fn a_maildrop_is_locked_by_its_owner_and_others_may_try_again() {
    let users = vec![User::new("user", "secret"), User::new("other", "secret")];
    let options = Options { users, limits: Limit::connections(2).into(), ..Options::default() };
    let server = serving(&[(Protocol::Pop3, Security::Plain)], options);
    let mut owner = signed_in(server.address());
    let mut second = greeted(server.address());
    let locked = "-ERR [IN-USE] Mailbox is locked by another POP3 session.\r\n";
    for _ in 0..3 {
        // More often than there are places: a refused sign-in keeps none.
        second.ask("USER user");
        assert_eq!(second.ask("PASS secret"), locked);
    }
    assert_eq!(second.ask("AUTH PLAIN AHVzZXIAc2VjcmV0"), locked);
    assert_eq!(second.ask("STAT"), "-ERR Sign in first.\r\n");
    let mut stranger = greeted(server.address());
    stranger.ask("USER other");
    assert_eq!(stranger.ask("PASS secret"), "+OK Logged in.\r\n", "a lock is each maildrop's own");
    owner.ask("QUIT");
    second.ask("USER user");
    assert_eq!(second.ask("PASS secret"), "+OK Logged in.\r\n");
}

#[test]
fn of_many_who_open_the_same_maildrop_at_once_one_does() {
    let server = plain();
    let address = server.address();
    let start = Barrier::new(16);
    let talks: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16)
            .map(|_| {
                scope.spawn(|| {
                    let mut talk = greeted(address);
                    talk.ask("USER user");
                    start.wait();
                    let said = talk.ask("PASS secret");
                    (talk, said)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(talks.iter().filter(|(_, said)| said.starts_with("+OK")).count(), 1);
    assert_eq!(talks.iter().filter(|(_, said)| said.starts_with("-ERR [IN-USE]")).count(), 15);
}

#[test]
fn a_shared_maildrop_is_open_to_several_and_each_sees_what_was_there_when_it_came() {
    let options = Options { maildrops: Maildrops::Shared, ..Options::default() };
    let server = serving(&[(Protocol::Pop3, Security::Plain)], options);
    let (mut one, mut other) = (signed_in(server.address()), signed_in(server.address()));
    let before = one.ask("STAT");
    one.ask("DELE 3");
    other.ask("DELE 3");
    other.ask("DELE 4");
    assert_eq!(one.ask("QUIT"), "+OK Logging out.\r\n");
    assert!(ask_all(&mut other, "RETR 5").contains("This is message 5 of INBOX"));
    other.ask("RSET");
    assert_eq!(other.ask("STAT"), before, "gone elsewhere, still here");
    other.ask("DELE 3");
    assert_eq!(other.ask("QUIT"), "+OK Logging out.\r\n", "who deletes what is gone has it gone");
    let mut next = signed_in(server.address());
    assert!(ask_all(&mut next, "RETR 3").contains("This is message 4 of INBOX"), "one message is gone, once");
}

#[test]
fn maildrops_can_be_locked_and_shared_while_sessions_run() {
    let server = plain();
    let mut owner = signed_in(server.address());
    server.faults().maildrops(Maildrops::Shared);
    let _guest = signed_in(server.address());
    server.faults().maildrops(Maildrops::Locked);
    let mut late = greeted(server.address());
    late.ask("USER user");
    assert!(late.ask("PASS secret").starts_with("-ERR [IN-USE]"), "the first one's lock stands");
    owner.ask("QUIT");
    late.ask("USER user");
    assert_eq!(late.ask("PASS secret"), "+OK Logged in.\r\n", "a guest is in nobody's way");
}

#[test]
fn one_connection_too_many_is_refused_in_dovecots_words_pop3() {
    let options = Options { limits: Limit::connections(0).into(), ..Options::default() };
    let server = serving(&[(Protocol::Pop3, Security::Plain)], options);
    let mut talk = greeted(server.address());
    talk.ask("USER user");
    let words = "-ERR [IN-USE] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=0)\r\n";
    assert_eq!(talk.ask("PASS secret"), words);
    assert_eq!(talk.rest(), "");
    assert_eq!(server.witness()[0].closed.unwrap().1, CloseCause::Refused);
}

#[test]
fn the_credentials_may_come_in_lines_of_their_own_which_are_no_commands() {
    let server = plain();
    let mut talk = greeted(server.address());
    assert_eq!(talk.ask("AUTH"), "-ERR Invalid arguments.\r\n");
    assert_eq!(talk.ask("AUTH SCRAM-SHA-256"), "-ERR Unsupported authentication mechanism.\r\n");
    assert_eq!(talk.ask("AUTH PLAIN"), "+ \r\n");
    assert_eq!(talk.ask("*"), "-ERR Authentication cancelled.\r\n");
    assert_eq!(talk.ask("AUTH LOGIN dXNlcg=="), "+ UGFzc3dvcmQ6\r\n");
    assert_eq!(talk.ask("?"), "-ERR Invalid base64.\r\n");
    assert_eq!(talk.ask("AUTH PLAIN AHVzZXIAd3Jvbmc="), "-ERR [AUTH] Authentication failed.\r\n");
    assert_eq!(talk.ask("auth login"), "+ VXNlcm5hbWU6\r\n");
    assert_eq!(talk.ask("dXNlcg=="), "+ UGFzc3dvcmQ6\r\n");
    assert_eq!(talk.ask("c2VjcmV0"), "+OK Logged in.\r\n");
    assert_eq!(talk.ask("AUTH PLAIN AHVzZXIAc2VjcmV0"), "-ERR Already signed in.\r\n");
    talk.ask("QUIT");
    let record = server.stop(PATIENCE);
    let last = record[0].commands.last().unwrap();
    assert_eq!((&*last.tag, last.verb, record[0].commands.len()), ("8", "QUIT", 8));
}

#[test]
fn commands_are_counted_on_across_stls_and_nothing_else_survives_it() {
    let server = speaking(Protocol::Pop3, Security::StartTls);
    let mut clear = greeted(server.address());
    let offers = ask_all(&mut clear, "CAPA");
    assert!(offers.contains("STLS\r\n") && !offers.contains("USER") && !offers.contains("SASL"), "{offers}");
    for command in ["USER user", "PASS secret", "AUTH PLAIN"] {
        let said = clear.ask(command);
        assert!(said.starts_with("-ERR Plaintext authentication disallowed"), "{said}");
    }
    assert_eq!(clear.ask("STLS"), "+OK Begin TLS negotiation now.\r\n");
    let mut talk = clear.encrypt(&trust(&server), "localhost");
    let offers = ask_all(&mut talk, "CAPA");
    assert!(!offers.contains("STLS") && offers.contains("USER"), "{offers}");
    assert_eq!(talk.ask("PASS secret"), "-ERR No username given.\r\n");
    assert_eq!(talk.ask("STLS"), "-ERR TLS is already active.\r\n");
    talk.ask("USER user");
    talk.ask("PASS secret");
    assert!(ask_all(&mut talk, "RETR 1").contains("message 1 of INBOX"));
    talk.ask("QUIT");
    let record = server.stop(PATIENCE);
    let tags: Vec<_> = record[0].commands.iter().map(|command| command.tag.to_string()).collect();
    assert_eq!(tags, (1..=12).map(|number: u32| number.to_string()).collect::<Vec<_>>());
    assert!(record[0].tls);
}

#[test]
fn pipelined_commands_are_answered_in_order_pop3() {
    let server = plain();
    let mut talk = Talk::to(server.address());
    talk.say("USER user\r\nPASS secret\r\nSTAT\r\nRETR 1\r\nDELE 1\r\nRETR 1\r\nNOOP\r\nQUIT\r\n");
    let said = talk.rest();
    let answers: String = said.lines().filter_map(|line| line.get(..1)).filter(|c| "+-".contains(c)).collect();
    assert_eq!(answers, "++++++-++", "{said}");
    assert_eq!(said.lines().filter(|line| *line == ".").count(), 1);
    assert_eq!(server.stop(PATIENCE)[0].commands.len(), 8);
}

#[test]
fn lines_have_bounds_and_babblers_and_the_silent_are_left() {
    let options = Options { idle_limit: Some(Duration::from_millis(200)), ..Options::default() };
    let server = serving(&[(Protocol::Pop3, Security::Plain)], options);
    let mut endless = greeted(server.address());
    endless.say("USER ".to_owned() + &"x".repeat(20_000));
    assert_eq!(endless.rest(), "-ERR Command line is too long.\r\n");
    let mut babbler = greeted(server.address());
    babbler.say(b"\xff\x00\r\n".repeat(20));
    assert!(babbler.rest().ends_with("-ERR Unknown command.\r\n-ERR Too many bad commands.\r\n"));
    let start = Instant::now();
    assert_eq!(greeted(server.address()).rest(), "-ERR Disconnected for inactivity.\r\n");
    assert_eq!(signed_in(server.address()).rest(), "-ERR Disconnected for inactivity.\r\n");
    assert!(start.elapsed() < PATIENCE / 2);
    let record = server.stop(PATIENCE);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Server));
}

#[test]
fn latency_delays_each_reply() {
    let latency = Duration::from_millis(50);
    let server = serving(&[(Protocol::Pop3, Security::Plain)], Options { latency, ..Options::default() });
    let start = Instant::now();
    signed_in(server.address()).ask("NOOP");
    let taken = start.elapsed();
    assert!(taken >= 4 * latency && taken < 80 * latency, "{taken:?}");
}
