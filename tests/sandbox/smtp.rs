//! SMTP in raw bytes: what is said to each command, in which order, within which bounds; and where the mail ends up.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use mailconn::sandbox::{CloseCause, CommandStatus, Limit, Options, Protocol, Sandbox, Security, User};

use super::PATIENCE;
use super::talk::{Talk, eventually, serving, speaking, trust};

const PLAIN: &str = "AUTH PLAIN AHVzZXIAc2VjcmV0";

fn plain() -> Sandbox {
    speaking(Protocol::Smtp, Security::Plain)
}

/// Greeted, introduced, signed in.
fn signed_in(address: SocketAddr) -> Talk<TcpStream> {
    let mut talk = Talk::to(address);
    talk.expect("220 localhost ESMTP mailconn sandbox\r\n");
    talk.say("EHLO tests\r\n");
    talk.until(|line| line.starts_with("250 "));
    assert_eq!(talk.ask(PLAIN), "235 2.7.0 Authentication successful\r\n");
    talk
}

/// Sends a message the slow way, and returns the last reply.
fn send<S: Read + Write>(talk: &mut Talk<S>, to: &str, text: &str) -> String {
    assert_eq!(talk.ask("MAIL FROM:<ada@sandbox.example>"), "250 2.1.0 Ok\r\n");
    assert_eq!(talk.ask(&format!("RCPT TO:<{to}>")), "250 2.1.5 Ok\r\n");
    assert_eq!(talk.ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    talk.ask(&format!("{text}."))
}

/// The newest message of the user's INBOX, and how many there are, over IMAP.
fn newest(address: SocketAddr, user: &str) -> (usize, String) {
    let mut imap = Talk::to(address);
    imap.hear();
    imap.ask(&format!("a LOGIN {user} secret"));
    imap.say("b EXAMINE INBOX\r\n");
    let said = imap.until(|line| line.starts_with("b "));
    let exists = said.lines().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS")).unwrap().to_owned();
    imap.say(format!("c FETCH {exists} BODY.PEEK[]\r\n"));
    let first = imap.hear();
    let length: usize = first.split(['{', '}']).nth(1).unwrap().parse().unwrap();
    let rest = imap.until(|line| line.starts_with("c "));
    (exists.parse().unwrap(), rest[..length].to_owned())
}

#[test]
fn a_message_is_sent_byte_for_byte_and_imap_sees_it() {
    let speaks = [(Protocol::Smtp, Security::Plain), (Protocol::Imap, Security::Plain)];
    let server = serving(&speaks, Options::default());
    let [smtp, imap] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    let mut talk = Talk::to(smtp);
    talk.expect("220 localhost ESMTP mailconn sandbox\r\n");
    talk.say("EHLO [127.0.0.1]\r\n");
    talk.expect(
        "250-localhost\r\n250-PIPELINING\r\n250-SIZE 33554432\r\n250-AUTH PLAIN LOGIN\r\n\
         250-ENHANCEDSTATUSCODES\r\n250 8BITMIME\r\n",
    );
    assert_eq!(talk.ask("MAIL FROM:<ada@sandbox.example>"), "530 5.7.0 Authentication required\r\n");
    assert_eq!(
        talk.ask("auth plain AHVzZXIAd3Jvbmc="),
        "535 5.7.8 Error: authentication failed: authentication failure\r\n"
    );
    assert_eq!(talk.ask(PLAIN), "235 2.7.0 Authentication successful\r\n");
    assert_eq!(talk.ask(PLAIN), "503 5.5.1 Error: already authenticated\r\n");
    assert_eq!(talk.ask("MAIL FROM:<ada@sandbox.example> SIZE=100 BODY=8BITMIME"), "250 2.1.0 Ok\r\n");
    assert_eq!(talk.ask("MAIL FROM:<>"), "503 5.5.1 Error: nested MAIL command\r\n");
    assert_eq!(talk.ask("RCPT TO:<user@anywhere.example>"), "250 2.1.5 Ok\r\n");
    assert_eq!(talk.ask("RCPT TO:<user>"), "250 2.1.5 Ok\r\n");
    assert_eq!(talk.ask("DATA"), "354 End data with <CR><LF>.<CR><LF>\r\n");
    talk.say("Subject: hello\r\nMessage-ID: <one@tests>\r\n\r\n..one dot\r\n.. two\r\n\r\n.\r\n");
    assert_eq!(talk.hear(), "250 2.0.0 Ok: queued as 1.1\r\n");
    let (exists, message) = newest(imap, "user");
    assert_eq!(exists, 31, "named twice, delivered once");
    let (stamp, text) = message.split_once("Subject").unwrap();
    assert_eq!(text, ": hello\r\nMessage-ID: <one@tests>\r\n\r\n.one dot\r\n. two\r\n\r\n");
    let begins = "Return-Path: <ada@sandbox.example>\r\nReceived: from [127.0.0.1] ([127.0.0.1])\r\n\
                  \tby localhost (mailconn sandbox) with ESMTPA id 1.1;\r\n\t";
    assert!(stamp.starts_with(begins) && stamp.ends_with(" +0000\r\n"), "{stamp}");
    assert_eq!(talk.ask("QUIT"), "221 2.0.0 Bye\r\n");
    assert_eq!(talk.rest(), "");
    let record = server.stop(PATIENCE);
    let session = &record[0];
    assert_eq!((session.protocol, session.tls, session.peer_port), (Protocol::Smtp, false, talk.port()));
    assert_eq!(session.delivered, ["<one@tests>"]);
    assert_eq!(session.label, [("ehlo".to_owned(), Some("[127.0.0.1]".to_owned()))]);
    assert_eq!(session.closed.unwrap().1, CloseCause::Logout);
    use CommandStatus::{Bad, No, Ok};
    let commands: Vec<_> = session.commands.iter().map(|c| (&*c.tag, c.verb, c.status)).collect();
    assert_eq!(
        commands,
        [
            ("1", "EHLO", Ok),
            ("2", "MAIL", No),
            ("3", "AUTH", No),
            ("4", "AUTH", Ok),
            ("5", "AUTH", Bad),
            ("6", "MAIL", Ok),
            ("7", "MAIL", Bad),
            ("8", "RCPT", Ok),
            ("9", "RCPT", Ok),
            ("10", "DATA", Ok),
            ("11", "QUIT", Ok),
        ]
    );
    let told = format!("{record:?}");
    assert!(!told.contains("AHVzZXI") && !told.contains("secret"), "{told}");
}

#[test]
fn pipelined_commands_and_messages_are_answered_in_order() {
    let server = plain();
    let mut talk = Talk::to(server.address());
    talk.say(format!(
        "EHLO tests\r\n{PLAIN}\r\nMAIL FROM:<a@b>\r\nRCPT TO:<nobody@b>\r\nRCPT TO:<user@b>\r\nDATA\r\n\
         Message-ID: <1@tests>\r\n\r\nQUIT\r\n.\r\n\
         MAIL FROM:<>\r\nRCPT TO:<user>\r\nDATA\r\nMessage-ID:\r\n <2@tests>\r\n\r\nx\r\n.\r\n\
         MAIL FROM:<a@b>\r\nRCPT TO:<nobody>\r\nDATA\r\nRSET\r\nVRFY user\r\nVRFY nobody\r\nNOOP x\r\nHELP\r\nQUIT\r\n"
    ));
    let said = talk.rest();
    let codes: Vec<_> = said.lines().filter(|line| line.as_bytes()[3] == b' ').map(|line| &line[..3]).collect();
    let expected = "220 250 235 250 550 250 354 250 250 250 354 250 250 550 554 250 252 550 250 214 221";
    assert_eq!(codes.join(" "), expected, "{said}");
    let record = server.stop(PATIENCE);
    assert_eq!(record[0].delivered, ["<1@tests>", "<2@tests>"]);
    assert_eq!(record[0].commands.len(), 18);
}

#[test]
fn the_credentials_may_come_in_lines_of_their_own_which_are_no_commands() {
    let server = plain();
    let mut talk = Talk::to(server.address());
    talk.hear();
    assert_eq!(talk.ask("AUTH LOGIN"), "503 5.5.1 Error: send EHLO first\r\n");
    talk.ask("HELO tests");
    assert_eq!(talk.ask("AUTH LOGIN"), "503 5.5.1 Error: send EHLO first\r\n");
    talk.say("EHLO tests\r\n");
    talk.until(|line| line.starts_with("250 "));
    assert_eq!(talk.ask("AUTH SCRAM-SHA-256"), "504 5.5.4 Unrecognized authentication type\r\n");
    assert_eq!(talk.ask("AUTH PLAIN"), "334 \r\n");
    assert_eq!(talk.ask("*"), "501 5.7.0 Authentication aborted\r\n");
    assert_eq!(talk.ask("AUTH PLAIN ="), "535 5.7.8 Error: authentication failed: authentication failure\r\n");
    assert_eq!(talk.ask("AUTH LOGIN"), "334 VXNlcm5hbWU6\r\n");
    assert_eq!(talk.ask("dXNlcg=="), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(talk.ask("?"), "501 5.5.2 Error: invalid base64\r\n");
    assert_eq!(talk.ask("AUTH LOGIN dXNlcg=="), "334 UGFzc3dvcmQ6\r\n");
    assert_eq!(talk.ask("c2VjcmV0"), "235 2.7.0 Authentication successful\r\n");
    talk.ask("QUIT");
    let record = server.stop(PATIENCE);
    let last = record[0].commands.last().unwrap();
    assert_eq!((&*last.tag, last.verb), ("10", "QUIT"));
    assert_eq!(record[0].commands.len(), 10);
    assert_eq!(record[0].user.as_deref(), Some("user"));
}

#[test]
fn commands_are_counted_on_across_starttls_and_nothing_else_survives_it() {
    let server = speaking(Protocol::Smtp, Security::StartTls);
    let mut clear = Talk::to(server.address());
    clear.hear();
    clear.say("EHLO clear.example\r\n");
    let offers = clear.until(|line| line.starts_with("250 "));
    assert!(offers.contains("250-STARTTLS\r\n") && !offers.contains("AUTH"), "{offers}");
    for command in [PLAIN, "MAIL FROM:<a@b>", "RSET", "VRFY user"] {
        assert_eq!(clear.ask(command), "530 5.7.0 Must issue a STARTTLS command first\r\n", "{command}");
    }
    assert_eq!(clear.ask("STARTTLS"), "220 2.0.0 Ready to start TLS\r\n");
    let mut talk = clear.encrypt(&trust(&server), "localhost");
    assert_eq!(talk.ask(PLAIN), "503 5.5.1 Error: send EHLO first\r\n");
    assert_eq!(talk.ask("STARTTLS"), "503 5.5.1 Error: TLS already active\r\n");
    talk.say("EHLO tls.example\r\n");
    let offers = talk.until(|line| line.starts_with("250 "));
    assert!(offers.contains("250-AUTH PLAIN LOGIN\r\n") && !offers.contains("STARTTLS"), "{offers}");
    talk.ask(PLAIN);
    assert!(send(&mut talk, "user", "no header at all\r\n").starts_with("250 "));
    talk.ask("QUIT");
    let record = server.stop(PATIENCE);
    let tags: Vec<_> = record[0].commands.iter().map(|command| command.tag.to_string()).collect();
    assert_eq!(tags, (1..=14).map(|number: u32| number.to_string()).collect::<Vec<_>>());
    assert_eq!(record[0].label, [("ehlo".to_owned(), Some("tls.example".to_owned()))]);
    assert_eq!(record[0].delivered, ["<1.1@sandbox.example>"], "a message without a Message-ID gets one");
}

#[test]
fn a_message_for_several_users_reaches_each_and_is_recorded_once() {
    let users = ["user", "ann", "bob@example.org"].map(|name| User::new(name, "secret")).to_vec();
    let speaks = [(Protocol::Smtp, Security::Plain), (Protocol::Imap, Security::Plain)];
    let server = serving(&speaks, Options { users, ..Options::default() });
    let [smtp, imap] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    let mut talk = signed_in(smtp);
    talk.ask("MAIL FROM:<user>");
    for (to, said) in [
        ("ann@x", "250 2.1.5 Ok\r\n"),
        ("bob@example.org", "250 2.1.5 Ok\r\n"),
        ("bob@example.com", "550 5.1.1 Recipient address rejected: User unknown\r\n"),
        ("ann", "250 2.1.5 Ok\r\n"),
    ] {
        assert_eq!(talk.ask(&format!("RCPT TO:<{to}>")), said);
    }
    talk.ask("DATA");
    assert_eq!(talk.ask("Message-ID: <both@tests>\r\n\r\nhi\r\n."), "250 2.0.0 Ok: queued as 1.1\r\n");
    for (user, count) in [("user", 30), ("ann", 31), ("bob@example.org", 31)] {
        assert_eq!(newest(imap, user).0, count, "{user}");
    }
    assert_eq!(server.witness()[0].delivered, ["<both@tests>"]);
}

#[test]
fn what_cannot_be_understood_is_told_and_too_much_of_it_ends_the_session() {
    let server = plain();
    let mut talk = signed_in(server.address());
    for (line, said) in [
        ("FROBNICATE", "500 5.5.2 Error: command not recognized"),
        ("", "500 5.5.2 Error: command not recognized"),
        ("MAIL user", "501 5.5.4 Syntax: MAIL FROM:<reverse-path> [parameters]"),
        ("MAIL FROM:<a@b> SIZE=33554433", "552 5.3.4 Message size exceeds fixed limit"),
        ("MAIL FROM:<a@b> SMTPUTF8", "555 5.5.4 Unsupported option"),
        ("MAIL FROM:<a@b> X=Y", "555 5.5.4 Unsupported option"),
        ("MAIL FROM:<a@b@c>", "501 5.1.7 Bad sender address syntax"),
        ("RCPT TO:<user>", "503 5.5.1 Error: need MAIL command"),
        ("DATA", "503 5.5.1 Error: need MAIL command"),
        ("BDAT 10 LAST", "502 5.5.1 Error: command not implemented"),
        ("EXPN list", "502 5.5.1 Error: command not implemented"),
        ("STARTTLS", "502 5.5.1 TLS is not offered"),
    ] {
        assert_eq!(talk.ask(line), format!("{said}\r\n"), "{line}");
    }
    talk.ask("NOOP");
    for _ in 0..20 {
        talk.say(b"\xff\x00\r\n");
    }
    assert!(talk.rest().ends_with("\r\n421 4.7.0 localhost Error: too many errors\r\n"));
    let record = server.stop(PATIENCE);
    let verbs: Vec<_> = record[0].commands.iter().skip(2).take(4).map(|command| command.verb).collect();
    assert_eq!(verbs, ["UNKNOWN", "UNKNOWN", "MAIL", "MAIL"]);
    assert_eq!(record[0].closed.unwrap().1, CloseCause::Server);
}

#[test]
fn lines_recipients_and_messages_have_bounds() {
    let users = (0..101).map(|n| User::new(format!("u{n}"), "secret")).chain([User::new("user", "secret")]).collect();
    let server = serving(&[(Protocol::Smtp, Security::Plain)], Options { users, ..Options::default() });
    let mut talk = signed_in(server.address());
    talk.ask("MAIL FROM:<a@b>");
    for number in 0..100 {
        assert_eq!(talk.ask(&format!("RCPT TO:<u{number}>")), "250 2.1.5 Ok\r\n");
    }
    assert_eq!(talk.ask("RCPT TO:<u100>"), "452 4.5.3 Error: too many recipients\r\n");
    talk.ask("DATA");
    let chunk = "y".repeat(1022) + "\r\n";
    for _ in 0..33 {
        talk.say(chunk.repeat(1024));
    }
    assert_eq!(talk.ask("."), "552 5.3.4 Error: message file too big\r\n");
    assert_eq!(send(&mut talk, "user", "Subject: small\r\n\r\nx\r\n"), "250 2.0.0 Ok: queued as 1.1\r\n", "it goes on");

    talk.ask("MAIL FROM:<a@b>");
    talk.ask("RCPT TO:<user>");
    talk.ask("DATA");
    let mut socket = talk.socket().try_clone().unwrap();
    // A message without end: the server hangs up, and the write fails at last.
    let endless = thread::spawn(move || (0..1024).any(|_| socket.write_all(&vec![b'z'; 1024 * 1024]).is_err()));
    assert!(endless.join().unwrap());

    let mut babbler = Talk::to(server.address());
    babbler.hear();
    babbler.say("NOOP ".to_owned() + &"x".repeat(20_000));
    assert_eq!(babbler.rest(), "500 5.5.2 Error: line too long\r\n421 4.7.0 localhost Error: line too long\r\n");
    let record = server.stop(PATIENCE);
    assert!(record.iter().all(|session| session.closed.unwrap().1 == CloseCause::Server));
    assert_eq!(record[0].delivered.len(), 1);
}

#[test]
fn a_message_that_imap_could_not_show_is_refused_and_the_session_goes_on() {
    let server = serving(&[(Protocol::Smtp, Security::Plain)], Options::default());
    let mut talk = signed_in(server.address());
    for message in ["\0\r\n", "Subject: a\0b\r\n\r\nx\r\n", "Subject: s\r\n\r\n\0\r\n"] {
        assert_eq!(send(&mut talk, "user", message), "554 5.6.0 Error: message contains NUL\r\n", "{message:?}");
    }
    assert_eq!(send(&mut talk, "user", "Subject: s\r\n\r\nx\r\n"), "250 2.0.0 Ok: queued as 1.1\r\n");
    assert_eq!(server.stop(PATIENCE)[0].delivered.len(), 1);
}

#[test]
fn a_silent_client_is_told_and_left() {
    let options = Options { idle_limit: Some(Duration::from_millis(150)), ..Options::default() };
    let server = serving(&[(Protocol::Smtp, Security::Plain)], options);
    for silent_in in ["", "MAIL FROM:<a@b>\r\nRCPT TO:<user>\r\nDATA\r\nSubject: half"] {
        let mut talk = signed_in(server.address());
        talk.say(silent_in);
        let start = Instant::now();
        assert!(talk.rest().ends_with("421 4.4.2 localhost Error: timeout exceeded\r\n"));
        assert!(start.elapsed() < PATIENCE / 2);
    }
    assert!(server.witness().iter().all(|session| session.delivered.is_empty()), "half a message is none");
}

#[test]
fn one_connection_too_many_from_an_address_is_refused_at_once() {
    let options = Options { limits: Limit::connections(2).into(), ..Options::default() };
    let server = serving(&[(Protocol::Smtp, Security::Plain)], options);
    let mut first = signed_in(server.address());
    let _second = signed_in(server.address());
    let mut third = Talk::to(server.address());
    assert_eq!(third.rest(), "421 4.7.0 localhost Error: too many connections from 127.0.0.1\r\n");
    first.ask("QUIT");
    signed_in(server.address());
    let refused = &server.witness()[2];
    assert_eq!((refused.closed.unwrap().1, refused.commands.len()), (CloseCause::Refused, 0));
}

#[test]
fn messages_sent_at_once_by_many_arrive_each_exactly_once() {
    const THREADS: usize = 8;
    const EACH: usize = 25;
    let speaks = [(Protocol::Smtp, Security::Plain), (Protocol::Imap, Security::Plain)];
    let server = serving(&speaks, Options::default());
    let [smtp, imap] = *server.addresses() else { panic!("{:?}", server.addresses()) };
    thread::scope(|scope| {
        for worker in 0..THREADS {
            scope.spawn(move || {
                let mut talk = signed_in(smtp);
                for number in 0..EACH {
                    let said = send(&mut talk, "user", &format!("Message-ID: <{worker}.{number}@tests>\r\n\r\nx\r\n"));
                    assert!(said.starts_with("250 "), "{said}");
                }
                talk.ask("QUIT");
            });
        }
    });
    let mut reader = Talk::to(imap);
    reader.hear();
    reader.ask("a LOGIN user secret");
    reader.say("b EXAMINE INBOX\r\n");
    assert!(reader.until(|line| line.starts_with("b ")).contains(&format!("* {} EXISTS", 30 + THREADS * EACH)));
    reader.say("c FETCH 31:* BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]\r\n");
    let said = reader.until(|line| line.starts_with("c "));
    let seen: BTreeSet<_> = said.lines().filter_map(|line| line.strip_prefix("Message-ID: ")).collect();
    let expected: BTreeSet<_> =
        (0..THREADS).flat_map(|worker| (0..EACH).map(move |number| format!("<{worker}.{number}@tests>"))).collect();
    assert_eq!(seen, expected.iter().map(String::as_str).collect());
    let record = server.stop(PATIENCE);
    let delivered: Vec<_> = record.iter().flat_map(|session| &session.delivered).collect();
    assert_eq!(delivered.len(), THREADS * EACH);
    assert_eq!(delivered.into_iter().collect::<BTreeSet<_>>(), expected.iter().collect());
}

#[test]
fn stop_says_goodbye_in_the_midst_of_a_message() {
    let server = plain();
    let mut talk = signed_in(server.address());
    talk.ask("MAIL FROM:<a@b>");
    talk.ask("RCPT TO:<user>");
    talk.ask("DATA");
    talk.say("Subject: half\r\n");
    eventually(|| server.witness()[0].commands.len() == 5);
    let record = server.stop(Duration::from_secs(10));
    assert_eq!(talk.rest(), "421 4.3.2 localhost Error: server is stopping\r\n");
    assert_eq!((record[0].closed.unwrap().1, record[0].delivered.len()), (CloseCause::Server, 0));
}
