//! Replies that were there before their command: they answer nothing, whatever their tag (rule B1).

use std::thread;
use std::time::{Duration, Instant};

use mailconn::protocol::FailureKind::{self, Protocol as OutOfStep, ServerBye, ServerNo};
use mailconn::protocol::Protocol::{Imap, Pop3, Smtp};
use mailconn::protocol::{
    Failure, ImapConnection, ImapOperation, Job, MailConnection, Mechanism, Operation, Protocol, Security, Settings,
    SmtpOperation, Stage, Stationery, Way,
};

use super::scripted::{POP3, Peer, Rules, SMTP, Server};
use super::upgrade::trusted;

/// A server that takes everything; `{t}` stands for the command's tag, `{n}` for the next one's.
const IMAP: Rules = &[
    ("", "* OK hi\r\n"),
    ("CAPABILITY", "* CAPABILITY IMAP4rev1 ID STARTTLS\r\n{t} OK\r\n"),
    ("STARTTLS", "{t} OK begin\r\n"),
    ("LOGIN", "{t} OK in\r\n"),
    ("ID", "* ID NIL\r\n{t} OK\r\n"),
    ("NOOP", "{t} OK\r\n"),
    ("STATUS", "* STATUS x (MESSAGES 3 UNSEEN 1 UIDNEXT 9)\r\n{t} OK\r\n"),
    ("EXAMINE", "* 2 EXISTS\r\n{t} OK\r\n"),
    ("FETCH", "* 1 FETCH (BODY[HEADER] {2}\r\n\r\n)\r\n* 2 FETCH (BODY[HEADER] {2}\r\n\r\n)\r\n{t} OK\r\n"),
    ("SEARCH", "* SEARCH 1\r\n{t} OK\r\n"),
    ("CREATE", "{t} OK\r\n"),
    ("APPEND", "+ go on\r\n"),
    ("literal", "{t} OK\r\n"),
    ("DELETE", "{t} OK\r\n"),
    ("LOGOUT", "* BYE\r\n{t} OK\r\n"),
];

/// What is said in one segment; `|` parts it where a pause is made.
fn say(peer: &mut Peer, reply: &str, tag: &str) -> bool {
    let number: u32 = tag.strip_prefix('a').and_then(|number| number.parse().ok()).unwrap_or(0);
    let reply = reply.replace("{t}", tag).replace("{n}", &format!("a{}", number + 1));
    reply.split('|').enumerate().all(|(part, text)| {
        thread::sleep(Duration::from_millis(if part == 0 { 0 } else { 30 }));
        peer.send(text)
    })
}

fn imap(peer: &mut Peer, own: Rules) {
    let find = |line: &str| {
        let fits = |(start, _): &&(&str, &str)| if line.is_empty() { start.is_empty() } else { first(line) == *start };
        own.iter().chain(IMAP).find(fits).map_or("{t} BAD what?\r\n", |(_, reply)| *reply)
    };
    if !say(peer, find(""), "") {
        return;
    }
    while let Some(line) = peer.line() {
        let (tag, command) = line.split_once(' ').unwrap_or((&line, "?"));
        if !say(peer, find(command), tag) {
            return;
        }
        let announced = command.strip_suffix('}').and_then(|line| line.rsplit_once('{')).map(|(_, length)| length);
        if let (Some(length), true) = (announced, find(command).starts_with('+')) {
            // Where the connection is given up the literal never comes.
            let Ok(length) = length.parse::<usize>() else { return };
            let mut heard = 0;
            while heard < length {
                let Some(line) = peer.line() else { return };
                heard += line.len() + 2;
            }
            peer.line();
            say(peer, find("literal"), tag);
        }
    }
}

fn first(line: &str) -> &str {
    line.split(' ').next().unwrap_or_default()
}

fn server(protocol: Protocol, own: Rules) -> Server {
    Server::of(protocol, "127.0.0.1:0", move |peer| match protocol {
        Imap => imap(peer, own),
        Smtp => lines(peer, own, SMTP),
        Pop3 => lines(peer, own, POP3),
    })
}

fn lines(peer: &mut Peer, own: Rules, otherwise: Rules) {
    let rules = [own, otherwise].concat();
    let find = |line: &str| {
        let fits = |(start, _): &&(&str, &str)| start.is_empty() == line.is_empty() && line.starts_with(start);
        rules.iter().find(fits).map_or("500 -ERR what?\r\n", |(_, reply)| *reply)
    };
    let mut said = find("");
    while say(peer, said, "") {
        let Some(mut line) = peer.line() else { return };
        while said.starts_with("354") && line != "." {
            let Some(next) = peer.line() else { return };
            line = next;
        }
        said = find(&line);
    }
}

/// The rules with that reply in the place of another.
fn with(at: &'static str, reply: String) -> Rules {
    vec![(at, &*reply.leak())].leak()
}

/// What the server says there by itself, with more behind it.
fn behind(protocol: Protocol, own: Rules, at: &'static str, more: &str) -> Rules {
    let all = match protocol {
        Imap => IMAP,
        Smtp => SMTP,
        Pop3 => POP3,
    };
    let reply = own.iter().chain(all).find(|(start, _)| *start == at).unwrap().1;
    [with(at, format!("{reply}{more}")), own].concat().leak()
}

/// Dials, runs the operations one after the other, and signs out: the first failure.
fn first_failure(server: &Server, settings: Settings, operations: &[Operation], pause: Duration) -> Option<Failure> {
    let mut connection = match server.dial_with(settings) {
        Ok(connection) => connection,
        Err(failed) => return Some(*failed.failure),
    };
    let letter = Stationery::new(&server.settings().endpoint, Some("a@example.org"), Some("b@example.org"), "run-1")
        .unwrap()
        .letter("w0", 0);
    for operation in operations {
        thread::sleep(pause);
        if let Err(failure) = connection.run(*operation, &Job { mailbox: "x", letter: Some(&letter) }) {
            assert!(connection.is_broken(), "{failure}");
            return Some(failure);
        }
    }
    thread::sleep(pause);
    connection.logout(Instant::now() + Duration::from_secs(2)).err()
}

fn operation(protocol: Protocol, name: &str) -> Operation {
    Operation::parse(protocol, name).unwrap()
}

/// How often the server heard that command.
fn heard(server: &Server, verb: &str) -> usize {
    server.heard().iter().filter(|line| line.split(' ').take(2).any(|word| word == verb)).count()
}

/// In the segment of which reply it comes, what is asked for, where that fails, and the command that does not leave.
type Row = (Protocol, Rules, &'static str, &'static [&'static str], Stage, &'static str);

const ONE_BY_ONE: Rules = &[("EHLO", "250-mx\r\n250 AUTH PLAIN\r\n")];
const BY_NAME: Rules = &[("CAPA", "+OK\r\nTOP\r\nUSER\r\n.\r\n")];

const ROWS: [Row; 28] = [
    (Imap, &[], "", &[], Stage::Auth, "CAPABILITY"),
    (Imap, &[], "CAPABILITY", &[], Stage::Auth, "LOGIN"),
    (Imap, &[], "LOGIN", &[], Stage::Auth, "ID"),
    (Imap, &[], "ID", &["fetch"], Stage::Operation, "EXAMINE"),
    (Imap, &[], "ID", &[], Stage::Logout, "LOGOUT"),
    (Imap, &[], "NOOP", &["noop", "list"], Stage::Operation, "LIST"),
    (Imap, &[], "STATUS", &["status", "noop"], Stage::Operation, "NOOP"),
    (Imap, &[], "EXAMINE", &["fetch"], Stage::Operation, "FETCH"),
    (Imap, &[], "EXAMINE", &["search"], Stage::Operation, "SEARCH"),
    (Imap, &[], "FETCH", &["fetch", "noop"], Stage::Operation, "NOOP"),
    (Imap, &[], "CREATE", &["append"], Stage::Operation, "APPEND"),
    (Imap, &[], "literal", &["append"], Stage::Operation, "DELETE"),
    (Imap, &[], "DELETE", &["append"], Stage::Logout, "LOGOUT"),
    (Smtp, &[], "", &[], Stage::Auth, "EHLO"),
    (Smtp, &[], "EHLO", &[], Stage::Auth, "AUTH"),
    (Smtp, &[], "AUTH", &["send"], Stage::Operation, "MAIL"),
    (Smtp, &[], "NOOP", &["noop", "verify"], Stage::Operation, "RSET"),
    (Smtp, ONE_BY_ONE, "MAIL", &["send"], Stage::Operation, "RCPT"),
    (Smtp, ONE_BY_ONE, "RCPT", &["send"], Stage::Operation, "DATA"),
    (Smtp, &[], "DATA", &["send"], Stage::Operation, "."),
    (Smtp, &[], ".", &["send"], Stage::Logout, "QUIT"),
    (Pop3, &[], "", &[], Stage::Auth, "CAPA"),
    (Pop3, &[], "CAPA", &[], Stage::Auth, "AUTH"),
    (Pop3, BY_NAME, "USER", &[], Stage::Auth, "PASS"),
    (Pop3, &[], "AUTH", &["stat"], Stage::Operation, "STAT"),
    (Pop3, &[], "STAT", &["retrieve"], Stage::Operation, "TOP"),
    (Pop3, &[], "TOP", &["retrieve", "noop"], Stage::Operation, "NOOP"),
    (Pop3, &[], "LIST", &["list"], Stage::Logout, "QUIT"),
];

const fn yes(protocol: Protocol) -> &'static str {
    match protocol {
        Imap => "{n} OK done\r\n",
        Smtp => "250 2.0.0 ok\r\n",
        Pop3 => "+OK\r\n",
    }
}

#[test]
fn a_yes_in_the_segment_of_an_earlier_reply_answers_nothing() {
    for (protocol, own, at, names, stage, unheard) in ROWS {
        let own = behind(protocol, own, at, yes(protocol));
        let server = server(protocol, own);
        let operations: Vec<_> = names.iter().map(|name| operation(protocol, name)).collect();
        let failure = first_failure(&server, server.settings(), &operations, Duration::ZERO)
            .unwrap_or_else(|| panic!("{protocol} behind {at:?}: nothing failed, {:?}", server.heard()));
        assert_eq!((failure.kind, failure.stage), (OutOfStep, stage), "{protocol} behind {at:?}: {failure}");
        assert_eq!(heard(&server, unheard), 0, "{protocol} behind {at:?}: {:?}", server.heard());
    }
}

#[test]
fn a_yes_that_comes_while_nothing_is_asked_answers_nothing() {
    let pauses = |row: &&Row| row.3.len() > 1 || (matches!(row.4, Stage::Operation) && ["ID", "AUTH"].contains(&row.2));
    for (protocol, own, at, names, stage, unheard) in ROWS.iter().filter(pauses) {
        let server = server(*protocol, behind(*protocol, own, at, &format!("|{}", yes(*protocol))));
        let operations: Vec<_> = names.iter().map(|name| operation(*protocol, name)).collect();
        let failure = first_failure(&server, server.settings(), &operations, Duration::from_millis(150))
            .unwrap_or_else(|| panic!("{protocol} behind {at:?}: nothing failed, {:?}", server.heard()));
        assert_eq!((failure.kind, failure.stage), (OutOfStep, *stage), "{protocol} behind {at:?}: {failure}");
        assert_eq!(heard(&server, unheard), 0, "{protocol} behind {at:?}: {:?}", server.heard());
    }
}

#[test]
fn what_was_said_before_a_command_is_not_what_it_asks_for() {
    let early = "* STATUS x (MESSAGES 77 UNSEEN 1 UIDNEXT 9)\r\n* SEARCH 1 2 3\r\n* LIST () \"/\" a\r\n\
                 * 2 FETCH (BODY[HEADER] {2}\r\n\r\n)\r\n* 77 EXISTS\r\n";
    for (at, asks, answer) in [
        ("ID", "STATUS", "{t} OK\r\n"),
        ("ID", "EXAMINE", "{t} OK\r\n"),
        ("EXAMINE", "FETCH", "{t} OK\r\n"),
        ("EXAMINE", "SEARCH", "{t} OK\r\n"),
        ("ID", "LIST", "{t} OK\r\n"),
    ] {
        let server = server(Imap, [with(asks, answer.to_owned()), behind(Imap, &[], at, early)].concat().leak());
        let mut connection = imap_session(&server);
        let run = match asks {
            "STATUS" => ImapOperation::Status,
            "SEARCH" => ImapOperation::Search,
            "LIST" => ImapOperation::List,
            _ => ImapOperation::Fetch,
        };
        match connection.run(run, "x") {
            Ok(reply) => assert_eq!(reply.items, 0, "{asks}"),
            Err(failure) => assert_eq!(failure.kind, OutOfStep, "{asks}: {failure}"),
        }
    }
}

fn imap_session(server: &Server) -> ImapConnection {
    let Ok(MailConnection::Imap(connection)) = server.dial_with(server.settings()) else { panic!("no session") };
    connection
}

#[test]
fn what_follows_the_agreement_to_tls_is_injected_though_it_reads_like_it() {
    let (_, client) = trusted();
    for (protocol, at, more) in [
        (Imap, "STARTTLS", "{t} OK begin\r\n"),
        (Imap, "STARTTLS", "{n} OK\r\n"),
        (Imap, "STARTTLS", "* CAPABILITY IMAP4rev1\r\n"),
        (Imap, "STARTTLS", "+ \r\n"),
        (Imap, "STARTTLS", "*"),
        (Imap, "CAPABILITY", "{n} OK begin\r\n"),
        (Smtp, "STARTTLS", "220 begin\r\n"),
        (Pop3, "STLS", "+OK begin\r\n"),
    ] {
        let own: Rules = match protocol {
            Imap => &[],
            Smtp => &[("EHLO", "250-mx\r\n250 STARTTLS\r\n"), ("STARTTLS", "220 begin\r\n")],
            Pop3 => &[("CAPA", "+OK\r\nSTLS\r\n.\r\n"), ("STLS", "+OK begin\r\n")],
        };
        let server = server(protocol, behind(protocol, own, at, more));
        let mut settings = server.settings();
        settings.endpoint.security = Security::StartTls;
        settings.endpoint.host = "localhost".into();
        settings.tls = Some(client.clone());
        let failed = server.dial_with(settings).err().unwrap();
        assert_eq!(
            (failed.failure.kind, failed.failure.stage),
            (OutOfStep, Stage::Tls),
            "{protocol} {at} {more:?}: {failed}"
        );
        assert!(failed.failure.message.contains("injecting"), "{failed}");
        assert_eq!(heard(&server, "LOGIN") + heard(&server, "AUTH") + heard(&server, "USER"), 0);
    }
}

#[test]
fn a_sign_in_is_not_accepted_before_the_server_has_read_it() {
    const USERNAME: &str = "VXNlcm5hbWU6";
    let plain = Way::Sasl(Mechanism::Plain);
    let login = Way::Sasl(Mechanism::Login);
    let asks = |protocol| match protocol {
        Imap | Pop3 => "+ ",
        Smtp => "334 ",
    };
    let accepts = |protocol| match protocol {
        Imap => "{t} OK in\r\n",
        Smtp => "235 in\r\n",
        Pop3 => "+OK in\r\n",
    };
    for protocol in [Imap, Smtp, Pop3] {
        let (ask, accept) = (asks(protocol), accepts(protocol));
        for (way, reply) in [
            (login, accept.to_owned()),
            (login, format!("{ask}{USERNAME}\r\n{accept}")),
            (login, format!("{ask}{USERNAME}\r\n{ask}{USERNAME}\r\n")),
            (plain, format!("{ask}\r\n{accept}")),
            (plain, format!("{ask}\r\n{ask}\r\n")),
        ] {
            let (offer, begins): ((&str, &str), &str) = match protocol {
                Imap => (("CAPABILITY", "* CAPABILITY IMAP4rev1 AUTH=LOGIN AUTH=PLAIN\r\n{t} OK\r\n"), "AUTHENTICATE"),
                Smtp => (("EHLO", "250-mx\r\n250 AUTH PLAIN LOGIN\r\n"), "AUTH"),
                Pop3 => (("CAPA", "+OK\r\nSASL PLAIN LOGIN\r\n.\r\n"), "AUTH"),
            };
            let server = server(protocol, [with(begins, reply.clone()), &[offer]].concat().leak());
            let mut settings = server.settings();
            settings.auth = Some(way);
            let failed = server.dial_with(settings).err().unwrap_or_else(|| panic!("{protocol} {reply:?}: it is in"));
            assert_eq!(
                (failed.failure.kind, failed.failure.stage),
                (OutOfStep, Stage::Auth),
                "{protocol} {way:?} {reply:?}: {failed}"
            );
        }
    }
    // LOGIN, where a literal is waited for.
    let server = server(Imap, &[("LOGIN", "+ \r\n{t} OK in\r\n")]);
    let mut settings = server.settings();
    settings.credentials = Some(mailconn::protocol::Secret::new("pässwört".into()).into());
    let failed = server.dial_with(settings).err().unwrap();
    assert_eq!((failed.failure.kind, failed.failure.stage), (OutOfStep, Stage::Auth), "{failed}");
    assert!(!server.heard().iter().any(|line| line.contains("sswört")), "{:?}", server.heard());
}

#[test]
fn an_append_is_not_done_before_the_server_has_read_the_message() {
    for (reply, kind) in [
        ("+ go on\r\n{t} OK done\r\n", OutOfStep),
        ("+ go on\r\n{t} NO full\r\n", OutOfStep),
        ("+ go on\r\n+ go on\r\n", OutOfStep),
        ("{t} OK done\r\n", OutOfStep),
        ("{t} NO [OVERQUOTA] full\r\n", ServerNo),
        ("* 1 EXISTS\r\n{t} NO [OVERQUOTA] full\r\n", ServerNo),
    ] {
        let server = server(Imap, with("APPEND", reply.to_owned()));
        let mut connection = imap_session(&server);
        let letter = Stationery::new(&server.settings().endpoint, None, None, "run-1").unwrap().letter("w0", 0);
        let failure = connection.append("scratch", &letter).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (kind, Stage::Operation), "{reply:?}: {failure}");
        assert_eq!(connection.is_broken(), kind == OutOfStep);
        assert_eq!(connection.left_behind(), Some(kind == OutOfStep), "{reply:?}");
        assert!(!server.heard().iter().any(|line| line.starts_with("Subject:")), "{:?}", server.heard());
    }
}

#[test]
fn a_goodbye_behind_a_yes_within_a_unit_ends_the_unit_at_once() {
    for (at, name, commands, left) in [
        ("CREATE", "append", "CREATE", Some(true)),
        ("literal", "append", "CREATE APPEND", Some(true)),
        ("EXAMINE", "fetch", "EXAMINE", None),
        ("EXAMINE", "search", "EXAMINE", None),
    ] {
        let server = server(Imap, behind(Imap, &[], at, "* BYE Server shutting down\r\n"));
        let mut connection = MailConnection::Imap(imap_session(&server));
        let letter = Stationery::new(&server.settings().endpoint, None, None, "run-1").unwrap().letter("w0", 0);
        let started = Instant::now();
        let job = Job { mailbox: "x", letter: Some(&letter) };
        let failure = connection.run(operation(Imap, name), &job).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (ServerBye, Stage::Operation), "{at}: {failure}");
        assert_eq!(failure.server_line.as_deref(), Some("* BYE Server shutting down"));
        assert!(started.elapsed() < Duration::from_millis(900), "it waits for nobody: {:?}", started.elapsed());
        let sent: Vec<_> = connection.commands().iter().map(|command| command.verb.name()).collect();
        assert_eq!(sent.join(" "), commands, "{at}");
        assert!(connection.is_broken());
        let MailConnection::Imap(connection) = connection else { unreachable!("it is one of IMAP") };
        assert_eq!(connection.left_behind(), left, "{at}");
    }
}

#[test]
fn a_part_of_a_line_that_nobody_asked_for_holds_nothing_up() {
    for (protocol, half) in [
        (Imap, "*"),
        (Imap, "* 3 EXI"),
        (Imap, "{n} O"),
        (Imap, "* 3 FETCH (BODY[] {100}\r\nabc\r\n"),
        (Imap, "* 3 EXISTS\r\n* 4 EX"),
        (Smtp, "2"),
        (Smtp, "250-2.0.0 ok\r\n"),
        (Smtp, "421"),
        (Pop3, "+"),
        (Pop3, "-ERR so lo"),
    ] {
        for (when, pause) in [("", 150), ("|", 150), ("", 10)] {
            let server = server(protocol, behind(protocol, &[], "NOOP", &format!("{when}{half}")));
            let noop = operation(protocol, "noop");
            let mut connection = server.dial_with(server.settings()).ok().unwrap();
            connection.run(noop, &Job::default()).unwrap();
            // A small write may wait for an acknowledgement of the one before it.
            thread::sleep(Duration::from_millis(pause));
            let started = Instant::now();
            let failure = connection.run(noop, &Job::default()).unwrap_err();
            let took = started.elapsed();
            assert_eq!((failure.kind, failure.stage), (OutOfStep, Stage::Operation), "{half:?}: {failure}");
            assert!(took < Duration::from_secs(1), "{half:?}: {took:?}");
            assert!(connection.is_broken() && connection.commands().is_empty());
            assert_eq!(heard(&server, "NOOP"), 1, "{:?}", server.heard());
        }
    }
}

#[test]
fn a_line_that_drips_holds_nothing_up_either() {
    for (protocol, before, drips) in
        [(Imap, "* 3 FETCH (BODY[] {500}\r\n", "\r\n"), (Imap, "* OK ", "x"), (Smtp, "2", "5")]
    {
        let server = Server::of(protocol, "127.0.0.1:0", move |peer| {
            let rules = if protocol == Imap { IMAP } else { SMTP };
            let reply_to = |line: &str| {
                let verb = line.split(' ').nth(usize::from(protocol == Imap)).unwrap_or_default();
                rules.iter().find(|(start, _)| *start == verb).unwrap().1
            };
            say(peer, rules[0].1, "");
            while let Some(line) = peer.line() {
                say(peer, reply_to(&line), first(&line));
                if line.contains("NOOP") {
                    break;
                }
            }
            peer.send(before);
            while peer.send(drips) {
                thread::sleep(Duration::from_millis(20));
            }
        });
        let noop = operation(protocol, "noop");
        let mut connection = server.dial_with(server.settings()).ok().unwrap();
        connection.run(noop, &Job::default()).unwrap();
        thread::sleep(Duration::from_millis(150));
        let started = Instant::now();
        let failure = connection.run(noop, &Job::default()).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (OutOfStep, Stage::Operation), "{failure}");
        assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    }
}

#[test]
fn what_an_imap_server_may_say_by_itself_does_no_harm() {
    for more in [
        "* 3 EXISTS\r\n",
        "|* 3 EXISTS\r\n* 1 RECENT\r\n",
        "|* 3 EX|ISTS\r\n",
        "* 3|0 EXISTS\r\n",
        "* OK Still here\r\n",
        "* 2 FETCH (FLAGS (\\Seen))\r\n",
        "|* 2 FETCH (BODY[] {4}\r\nab|cd)\r\n",
        "* CAPABILITY IMAP4rev1 ID\r\n",
        "* NO [ALERT] nearly full\r\n",
    ] {
        for (at, names) in [("NOOP", ["noop", "fetch"]), ("EXAMINE", ["fetch", "noop"]), ("CREATE", ["append", "noop"])]
        {
            let server = server(Imap, behind(Imap, &[], at, more));
            let operations = names.map(|name| operation(Imap, name));
            for pause in [0, 100] {
                let failure = first_failure(&server, server.settings(), &operations, Duration::from_millis(pause));
                assert_eq!(failure, None, "{more:?} behind {at}");
            }
        }
    }
    for more in ["* OK welcome\r\n", "* CAPABILITY IMAP4rev1\r\n", "|* OK still here\r\n"] {
        for at in ["", "CAPABILITY", "LOGIN", "ID"] {
            let server = server(Imap, behind(Imap, &[], at, more));
            let failure = first_failure(&server, server.settings(), &[operation(Imap, "noop")], Duration::ZERO);
            assert_eq!(failure, None, "{more:?} behind {at:?}");
        }
    }
}

#[test]
fn a_refusal_that_nobody_asked_for_is_a_goodbye_only_where_the_server_leaves() {
    for (unasked, leaves, kind) in [
        ("550 5.1.1 no such user\r\n", false, OutOfStep),
        ("452 4.2.2 mailbox full\r\n", false, OutOfStep),
        ("554 5.7.0 enough\r\n", true, ServerBye),
        ("421 4.4.2 idle\r\n", false, ServerBye),
        ("421 4.4.2 idle\r\n", true, ServerBye),
    ] {
        let server = Server::of(Smtp, "127.0.0.1:0", move |peer| {
            peer.send("220 hi\r\n");
            peer.answer("250-mx\r\n250 AUTH PLAIN\r\n");
            peer.answer("235 in\r\n");
            peer.answer(&format!("250 ok\r\n{unasked}"));
            while !leaves && peer.line().is_some() {}
        });
        let mut connection = server.dial_smtp();
        connection.run(SmtpOperation::Noop).unwrap();
        let failure = connection.run(SmtpOperation::Verify).unwrap_err();
        assert_eq!((failure.kind, failure.stage), (kind, Stage::Operation), "{unasked:?} {leaves}: {failure}");
        assert!(failure.server_line.is_some() && connection.is_broken());
    }
}

#[test]
fn the_yes_to_ehlo_is_250_alone() {
    for (rules, kind) in [
        (&[("EHLO", "220 mx.example.org ESMTP\r\n")][..], OutOfStep),
        (&[("EHLO", "251-mx\r\n251 AUTH PLAIN\r\n")], OutOfStep),
        (&[("EHLO", "235 2.7.0 in\r\n")], OutOfStep),
        (&[("EHLO", "354 go ahead\r\n")], OutOfStep),
        (&[("EHLO", "502 what?\r\n"), ("HELO", "220 mx.example.org ESMTP\r\n")], OutOfStep),
        (&[("EHLO", "550 5.7.1 not you\r\n")], FailureKind::ServerNo),
    ] {
        let server = Server::smtp(rules);
        let failed = server.dial_with(server.settings()).err().unwrap();
        assert_eq!((failed.failure.kind, failed.failure.stage), (kind, Stage::Greeting), "{rules:?}: {failed}");
        assert!(!failed.sign_in_attempted);
    }
}

#[test]
fn the_greeting_is_220_alone() {
    for greeting in ["250 mx.example.org\r\n", "221 bye\r\n", "235 in\r\n", "354 go ahead\r\n"] {
        let server = Server::smtp(with("", greeting.to_owned()));
        let failed = server.dial_with(server.settings()).err().unwrap();
        assert_eq!((failed.failure.kind, failed.failure.stage), (OutOfStep, Stage::Greeting), "{greeting:?}: {failed}");
        assert_eq!(heard(&server, "EHLO"), 0);
    }
}

#[test]
fn a_namespace_s_prefix_may_come_as_a_literal() {
    for (said, asked) in [
        ("* NAMESPACE (({6}\r\nINBOX. \".\")) NIL NIL\r\n", "\"INBOX.scratch\""),
        ("* NAMESPACE (({4}\r\na\"b/ \"/\")) NIL NIL\r\n", "\"a\\\"b/scratch\""),
        ("* NAMESPACE (({6}\r\nIN|BOX. {1}\r\n.)) NIL NIL\r\n", "\"INBOX.scratch\""),
        ("* NAMESPACE ((\"INBOX.\" \".\")) ((\"~\" \"/\")({3}\r\na/b \"/\")) NIL\r\n", "\"INBOX.scratch\""),
        ("* NAMESPACE (({0}\r\n \".\")) NIL NIL\r\n", "\"scratch\""),
    ] {
        let own = [
            with("NAMESPACE", format!("{said}{{t}} OK\r\n")),
            &[("CAPABILITY", "* CAPABILITY IMAP4rev1 NAMESPACE\r\n{t} OK\r\n")],
        ];
        let server = server(Imap, own.concat().leak());
        let mut settings = server.settings();
        settings.scratch = mailconn::protocol::Scratch::Personal;
        let Ok(MailConnection::Imap(mut connection)) = server.dial_with(settings) else { panic!("no session") };
        let letter = Stationery::new(&server.settings().endpoint, None, None, "run-1").unwrap().letter("w0", 0);
        connection.append("scratch", &letter).unwrap();
        let created = server.heard().iter().any(|line| line.ends_with(&format!("CREATE {asked}")));
        assert!(created, "{said:?}: {:?}", server.heard());
    }
}

#[test]
fn of_many_warnings_the_last_one_is_told() {
    let many = "* NO [ALERT] disk trouble\r\n".repeat(12);
    let server = Server::start(move |peer| {
        peer.sign_in();
        peer.answer(&format!("{many}* NO going down now\r\n"));
    });
    let failure = server.dial().unwrap().run(ImapOperation::Noop, "").unwrap_err();
    assert_eq!(failure.server_line.as_deref(), Some("* NO going down now"), "{failure}");
}
