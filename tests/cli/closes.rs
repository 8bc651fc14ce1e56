//! A close is judged in its context: by what the server does with other connections of ours, and by what it refused before.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use mailconn::protocol::Protocol;
use rustls::ServerConfig;
use serde_json::{Value, json};

use super::process::{Ended, PASSWORD, end, failures, findings, list, mailconn, number, obey, of_kind, run};
use crate::protocol::scripted::{GREETING, POP3, Peer, Rules, SMTP, Server};
use crate::protocol::tls::authority;
use crate::support::tool;
use crate::verify::lies::is_caught_by;

/// How a connection is protected.
#[derive(Clone, Copy, Debug, PartialEq)]
enum By {
    Nothing,
    StartTls,
    Tls,
}

/// Where a connection is cut that is one too many.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    BeforeTheGreeting,
    InTheGreeting,
    InTheHandshake,
    ByReset,
}

const PROTOCOLS: [Protocol; 3] = [Protocol::Imap, Protocol::Smtp, Protocol::Pop3];

fn tls() -> Arc<ServerConfig> {
    authority("closes").server(|_| {})
}

/// Serves whoever comes, as far as TLS and the sign-in; `true` once that is done.
fn begin(peer: &mut Peer, protocol: Protocol, by: By, config: &Arc<ServerConfig>) -> bool {
    if by == By::StartTls && !agree(peer, protocol) {
        return false;
    }
    if by != By::Nothing {
        peer.start_tls(Arc::clone(config));
    }
    true
}

/// The greeting in the clear, and the yes to STARTTLS.
fn agree(peer: &mut Peer, protocol: Protocol) -> bool {
    match protocol {
        Protocol::Imap => {
            peer.send("* OK [CAPABILITY IMAP4rev1 STARTTLS] ready\r\n") && peer.answer("{t} OK begin\r\n")
        }
        Protocol::Smtp => {
            peer.send("220 hi\r\n")
                && peer.answer("250-mx\r\n250-STARTTLS\r\n250 AUTH LOGIN\r\n")
                && peer.answer("220 go ahead\r\n")
        }
        Protocol::Pop3 => {
            peer.send("+OK hi\r\n") && peer.answer("+OK\r\nSTLS\r\nUSER\r\n.\r\n") && peer.answer("+OK begin\r\n")
        }
    }
}

/// What follows, with the greeting where there was none.
fn serve(peer: &mut Peer, protocol: Protocol, by: By) {
    match (protocol, by) {
        (Protocol::Imap, By::StartTls) => obey(peer),
        (Protocol::Imap, _) => {
            peer.send(GREETING);
            obey(peer);
        }
        (Protocol::Smtp, By::StartTls) => peer.go_on(SMTP),
        (Protocol::Smtp, _) => peer.obey(&[], SMTP),
        (Protocol::Pop3, By::StartTls) => peer.go_on(POP3),
        (Protocol::Pop3, _) => peer.obey(&[], POP3),
    }
}

fn cut(peer: &mut Peer, protocol: Protocol, by: By, cut: Cut, config: &Arc<ServerConfig>) {
    match cut {
        Cut::BeforeTheGreeting if by == By::Tls => {
            // Until the handshake is done.
            peer.start_tls(Arc::clone(config));
            peer.send("");
        }
        Cut::BeforeTheGreeting => {}
        Cut::InTheGreeting => {
            if by == By::Tls {
                peer.start_tls(Arc::clone(config));
            }
            peer.send(match protocol {
                Protocol::Imap => "* OK [CAPAB",
                Protocol::Smtp => "220 mx.exam",
                Protocol::Pop3 => "+OK rea",
            });
        }
        Cut::InTheHandshake => {
            if by == By::StartTls {
                agree(peer, protocol);
            }
            peer.bytes(5);
        }
        Cut::ByReset => peer.reset(),
    }
}

/// A server that lets two in, and cuts the others off so.
fn two_at_a_time(protocol: Protocol, by: By, how: Cut) -> Server {
    let config = tls();
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        if peer.number >= 2 {
            cut(peer, protocol, by, how, &config);
        } else if begin(peer, protocol, by, &config) {
            serve(peer, protocol, by);
        }
    })
}

fn against(server: &Server, protocol: Protocol, by: By, args: &str) -> Ended {
    let scheme = if by == By::Tls { format!("{protocol}s") } else { protocol.to_string() };
    let url = format!("{}://joe@{}", scheme.to_lowercase(), server.address);
    let tls = match by {
        By::Nothing => "",
        By::StartTls => "--starttls --insecure",
        By::Tls => "--insecure",
    };
    let flags = tls.split_whitespace().chain(["--ops", "noop"]).chain(args.split_whitespace());
    end(mailconn(["run", "--server", &url].into_iter().chain(flags)).env("MAILCONN_PASSWORD", PASSWORD))
}

#[test]
fn what_is_cut_off_while_others_of_ours_go_on_is_probably_a_limit() {
    for protocol in PROTOCOLS {
        for by in [By::Nothing, By::StartTls, By::Tls] {
            for how in [Cut::BeforeTheGreeting, Cut::InTheGreeting, Cut::InTheHandshake, Cut::ByReset] {
                if how == Cut::InTheHandshake && by == By::Nothing {
                    continue;
                }
                let case = format!("{protocol} {by:?} {how:?}");
                let server = two_at_a_time(protocol, by, how);
                // The others go on for long enough that a dial which comes late on a busy machine is cut off beside them.
                let ended = against(&server, protocol, by, "--mode use-default -t 5 -n 8 --pause 30ms --format ndjson");
                let events = ended.events();
                let end = events.last().unwrap();
                assert_eq!(ended.code, 6, "{case}: {end:#}");
                assert_eq!(findings(end), ["MC030"], "{case}: {end:#}");
                let sentence = end["findings"][0]["sentence"].as_str().unwrap();
                assert!(sentence.contains("probably") && sentence.contains("of ours were open"), "{case}: {sentence}");
                let failed: Vec<&Value> =
                    of_kind(&events, "operation").filter(|it| it["outcome"] == "failed").collect();
                assert_eq!(failed.len(), 3, "{case}: {end:#}");
                let refused = of_kind(&events, "session-refused");
                for failure in failed.into_iter().chain(refused).map(|event| &event["failure"]) {
                    assert_eq!(failure["kind"], "limit-connections", "{case}: {failure:#}");
                    let message = failure["message"].as_str().unwrap();
                    assert!(message.contains("probably a limit"), "{case}: {message}");
                    assert!(!message.contains("speaks TLS"), "{case}: {message}");
                }
            }
        }
    }
}

/// Those that are idle answer nothing because nobody asks: they stay open.
#[test]
fn a_dial_that_is_cut_off_while_others_of_ours_are_idle_is_probably_a_limit() {
    let server = two_at_a_time(Protocol::Pop3, By::Nothing, Cut::BeforeTheGreeting);
    let folder = tempfile::tempdir().unwrap();
    let (scenario, trace) = (folder.path().join("idle.txt"), folder.path().join("idle.ndjson"));
    let text = "client use-default\nT1 noop\nT2 noop\nT3 noop => fails limit-connections\nexpect finding MC030\n";
    std::fs::write(&scenario, text).unwrap();
    let url = format!("pop3://joe@{}", server.address);
    let args = ["scenario", "--server", &url, "--format", "ndjson", "-o", trace.to_str().unwrap()];
    let ended = end(mailconn(args.into_iter().chain([scenario.to_str().unwrap()])).env("MAILCONN_PASSWORD", PASSWORD));
    let told = std::fs::read_to_string(&trace).unwrap();
    assert_eq!(ended.code, 0, "{told}{}", ended.stderr);
    assert!(told.contains("which the server left open: probably a limit"), "{told}");
    assert!(told.contains("and left these open: probably its limit"), "{told}");
    assert!(ended.took < Duration::from_secs(8), "{:?}", ended.took);
    let verified = end(&mut mailconn(["verify", trace.to_str().unwrap()]));
    assert_eq!(verified.code, 0, "{}", verified.stdout);
}

/// A run of three threads on a server that lets two in and then does that to everybody.
fn when_it_goes_down(then: impl Fn(&mut Peer) + Send + Sync + 'static) -> Ended {
    let down = AtomicBool::new(false);
    let server = Server::start(move |peer| {
        if peer.number >= 2 {
            down.store(true, Ordering::SeqCst);
            return;
        }
        peer.send(GREETING);
        while let Some(line) = peer.line() {
            if down.load(Ordering::SeqCst) {
                return then(peer);
            }
            let tag = line.split(' ').next().unwrap();
            if !peer.send(&format!("{tag} OK\r\n")) {
                return;
            }
        }
    });
    let args = "--mode use-default -t 3 -n 40 --pause 10ms --timeout 1s --connect-timeout 1s --format json";
    against(&server, Protocol::Imap, By::Nothing, args)
}

#[test]
fn a_server_that_goes_down_or_answers_nobody_has_no_limit() {
    let closes = when_it_goes_down(|_| {});
    let hangs = when_it_goes_down(|peer| thread::sleep(Duration::from_secs(if peer.number < 9 { 4 } else { 0 })));
    for ended in [closes, hangs] {
        let report = ended.json();
        let kinds = failures(&report);
        assert!(kinds.contains_key("closed at greeting"), "{report:#}");
        assert!(kinds.keys().all(|kind| !kind.starts_with("limit-")), "{report:#}");
        assert!(!findings(&report).contains(&"MC030"), "{report:#}");
        assert_ne!(ended.code, 6, "{report:#}");
    }
}

/// Servers count a session for a moment longer than its client does.
#[test]
fn a_dial_that_is_cut_off_as_others_of_ours_end_is_probably_a_limit_too() {
    let server = Server::start(|peer| {
        if peer.number == 3 {
            // Until the others of that time have ended.
            thread::sleep(Duration::from_millis(150));
            return;
        }
        peer.send(GREETING);
        while let Some(line) = peer.line() {
            thread::sleep(Duration::from_millis(10));
            let (tag, command) = line.split_once(' ').unwrap();
            let farewell = if command == "LOGOUT" { "* BYE bye\r\n" } else { "" };
            if !peer.send(&format!("{farewell}{tag} OK done\r\n")) {
                return;
            }
        }
    });
    let args = "--mode use-default --executor pool -t 4 --tasks 60 -n 1 --dispose task --format ndjson";
    let ended = against(&server, Protocol::Imap, By::Nothing, args);
    let events = ended.events();
    assert_eq!(ended.code, 6, "{:#}", events.last().unwrap());
    let refused: Vec<&Value> = of_kind(&events, "session-refused").collect();
    let [refused] = refused[..] else { panic!("{refused:#?}") };
    assert_eq!(refused["failure"]["kind"], "limit-connections", "{refused:#}");
}

/// A file that calls a close a limit, where no other connection was open, is found out.
#[test]
fn a_limit_that_nothing_shows_does_not_hold() {
    let server = Server::start(|_| {});
    let args = "--mode use-default -t 2 -n 3 --format ndjson";
    let ended = against(&server, Protocol::Imap, By::Nothing, args);
    ended.events();
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("trace.ndjson");
    std::fs::write(&trace, ended.stdout.replace(r#""kind":"closed""#, r#""kind":"limit-connections""#)).unwrap();
    let verified = end(&mut mailconn(["verify", trace.to_str().unwrap()]));
    assert_eq!(verified.code, 7, "{}", verified.stdout);
    assert!(verified.stdout.contains("no other connection was open"), "{}", verified.stdout);
}

#[test]
fn a_port_that_spoke_tls_before_is_not_to_be_checked_for_it() {
    let config = tls();
    let server = Server::start(move |peer| {
        if peer.number > 0 {
            peer.bytes(5);
            return;
        }
        peer.start_tls(Arc::clone(&config));
        peer.send(GREETING);
        for _ in 0..3 {
            peer.answer("{t} OK\r\n");
        }
    });
    let ended = against(&server, Protocol::Imap, By::Tls, "--mode use-main -t 1 -n 4 --format json");
    let report = ended.json();
    assert!(failures(&report).contains_key("tls-handshake at tls"), "{report:#}");
    assert!(!ended.stdout.contains("speaks TLS"), "{report:#}");
    // Nobody ever spoke it here.
    let server = Server::start(|peer| drop(peer.bytes(5)));
    let ended = against(&server, Protocol::Imap, By::Tls, "--mode use-main -t 1 -n 1 --format json");
    assert_eq!(ended.code, 4);
    assert!(ended.stdout.contains("check that this port speaks TLS"), "{}", ended.stdout);
}

/// A server that says that to the second operation of its first session, and closes so much later.
fn refusing_once(protocol: Protocol, reply: &'static str, after: Duration) -> Server {
    Server::of(protocol, "127.0.0.1:0", move |peer| {
        if peer.number > 0 {
            return serve(peer, protocol, By::Nothing);
        }
        peer.send(match protocol {
            Protocol::Imap => GREETING,
            Protocol::Smtp => SMTP[0].1,
            Protocol::Pop3 => POP3[0].1,
        });
        let mut operations = 0;
        while let Some(line) = peer.line() {
            let rules: Rules = match protocol {
                Protocol::Imap => &[],
                Protocol::Smtp => SMTP,
                Protocol::Pop3 => POP3,
            };
            operations += u32::from(["NOOP", "MAIL"].iter().any(|verb| line.contains(verb)));
            let tag = line.split(' ').next().unwrap();
            if operations == 2 {
                peer.send(&reply.replace("{t}", tag));
                thread::sleep(after);
                return;
            }
            let usual = rules.iter().find(|(start, _)| !start.is_empty() && line.starts_with(start));
            peer.send(&usual.map_or("{t} OK\r\n", |(_, reply)| reply).replace("{t}", tag));
        }
    })
}

#[test]
fn a_refusal_and_the_close_behind_it_are_one_failure_of_one_operation() {
    for (protocol, reply, kind, code) in [
        (Protocol::Imap, "{t} NO not now\r\n", "server-no", 1),
        (Protocol::Imap, "{t} NO not now\r\n* BYE bye\r\n", "server-no", 1),
        (Protocol::Imap, "{t} BAD Too many invalid IMAP commands.\r\n", "limit-rate", 6),
        (Protocol::Pop3, "-ERR not now\r\n", "server-no", 1),
        (Protocol::Pop3, "-ERR Too many bad commands.\r\n", "limit-rate", 6),
        (Protocol::Smtp, "550 5.5.0 not now\r\n", "server-no", 1),
        (Protocol::Smtp, "502 what?\r\n", "server-bad", 1),
        (Protocol::Smtp, "554 Too many nonmail commands\r\n", "limit-rate", 6),
        (Protocol::Smtp, "550 Too many syntax or protocol errors\r\n", "limit-rate", 6),
        (Protocol::Smtp, "500 Too many unknown commands\r\n", "limit-rate", 6),
        (Protocol::Smtp, "421 4.7.0 mx.example.org Error: too many errors\r\n", "limit-rate", 6),
    ] {
        // In one segment, and a moment later.
        for after in [Duration::ZERO, Duration::from_millis(15)] {
            let server = refusing_once(protocol, reply, after);
            let args = "--mode use-main -t 1 -n 5 --format ndjson";
            let ended = against(&server, protocol, By::Nothing, args);
            let events = ended.events();
            let report = events.last().unwrap();
            assert_eq!(ended.code, code, "{reply:?}: {report:#}");
            let failed: Vec<&Value> = of_kind(&events, "operation").filter(|it| it["outcome"] == "failed").collect();
            let [failed] = failed[..] else { panic!("{reply:?}: {report:#}") };
            assert_eq!((&failed["failure"]["kind"], &failed["session"]), (&kind.into(), &"#0".into()), "{failed:#}");
            let sessions: Vec<&Value> = of_kind(&events, "session-opened").map(|it| &it["session"]).collect();
            assert_eq!(sessions, ["#0", "#0.2"], "{reply:?}: {report:#}");
            assert_eq!(number(&report["operations"]["ok"]), 4, "{reply:?}: {report:#}");
            assert!(!ended.stdout.contains("without a word"), "{reply:?}: {}", ended.stdout);
            assert!(!ended.stdout.contains("connection goes on"), "{reply:?}: {}", ended.stdout);
            assert!(!findings(report).contains(&"MC042"), "somebody used it: {report:#}");
        }
    }
}

/// One that takes its time is noticed by the next operation, which is told of the refusal.
#[test]
fn a_close_long_after_a_refusal_is_told_with_it() {
    for (protocol, reply) in [
        (Protocol::Imap, "{t} NO not now\r\n"),
        (Protocol::Pop3, "-ERR not now\r\n"),
        (Protocol::Smtp, "550 5.5.0 not now\r\n"),
    ] {
        let server = refusing_once(protocol, reply, Duration::from_millis(400));
        let ended = against(&server, protocol, By::Nothing, "--mode use-main -t 1 -n 4 --pause 800ms --format json");
        let report = ended.json();
        assert_eq!(number(&report["operations"]["failed"]), 2, "{report:#}");
        assert!(ended.stdout.contains("after it had refused the operation before: "), "{report:#}");
        assert!(!ended.stdout.contains("without a word"), "{report:#}");
    }
}

#[test]
fn a_message_that_is_refused_with_a_close_is_told_in_the_words_of_the_refusal() {
    let server = Server::smtp(&[("MAIL", "554 Too many nonmail commands\r\n"), ("RCPT", ""), ("RSET", "")]);
    let url = format!("smtp://joe@{}", server.address);
    let args = ["run", "--server", &url, "-t", "1", "-n", "1", "--ops", "send", "--allow-writes", "--to", "a@b.org"];
    let ended = end(mailconn(args.into_iter().chain(["--format", "json"])).env("MAILCONN_PASSWORD", PASSWORD));
    let report = ended.json();
    assert_eq!(failures(&report).into_iter().collect::<Vec<_>>(), [("limit-rate at operation".to_owned(), 1)]);
}

#[test]
fn what_helps_against_too_many_commands_in_a_session_is_named() {
    for (reply, says) in [
        ("554 Too many nonmail commands\r\n", &["ten commands without mail", "smtp_accept_max_nonmail", "-n"][..]),
        ("421 4.7.0 mx.example.org Error: too many errors\r\n", &["fewer operations a session", "send"][..]),
    ] {
        let server = refusing_once(Protocol::Smtp, reply, Duration::ZERO);
        let ended = against(&server, Protocol::Smtp, By::Nothing, "--mode use-main -t 1 -n 5 --format json");
        let report = ended.json();
        let message = report["failures"][0]["message"].as_str().unwrap();
        for words in says {
            assert!(message.contains(words), "{words}: {message}");
        }
        assert!(!message.contains("later"), "to wait is no use: {message}");
    }
}

/// A refusal is no end by itself: the session goes on, and none is served more slowly for it.
#[test]
fn a_session_goes_on_after_a_refusal_where_the_server_does() {
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.answer("{t} NO not now\r\n") {}
    });
    let ended = against(&server, Protocol::Imap, By::Nothing, "--mode use-main -t 1 -n 20 --format json");
    let report = ended.json();
    assert_eq!((ended.code, number(&report["connections"]["opened"])), (1, 1), "{report:#}");
    assert!(ended.stdout.contains("the connection goes on"), "{report:#}");
}

#[test]
fn a_named_smtp_server_is_asked_for_eight_operations_where_nobody_says_how_many_and_no_mail_is_sent() {
    for args in [
        "",
        "-t 1",
        "-t 2",
        "-t 3",
        "-t 8",
        "-t 20",
        "--mode use-main -t 20",
        "--mode use-default",
        "--mode use-default -t 20",
        "--executor pool",
        "--executor pool --tasks 20",
        "--executor pool -t 20 --tasks 3",
        "--executor tasks --tasks 3",
        "--executor tasks --tasks 4",
        "--executor tasks -t 2 --tasks 20 --dispose task",
        "-t 20 --switch-mode 4=use-default --switch-mode 7=use-main",
        "--ops noop",
        "--ops noop,send=0",
    ] {
        let server = Server::smtp(&[]);
        let url = format!("smtp://joe@{}", server.address);
        let args: Vec<&str> =
            ["run", "--server", &url, "--format", "json"].into_iter().chain(args.split(' ')).collect();
        let args = args.into_iter().filter(|arg| !arg.is_empty()).collect::<Vec<_>>();
        let ended = end(mailconn(&args).env("MAILCONN_PASSWORD", PASSWORD));
        let report = ended.json();
        assert_eq!((ended.code, number(&report["operations"]["ok"])), (0, 8), "{args:?}: {}", ended.stdout);
        assert_eq!((number(&report["operations"]["asked"]), &report["asked"]["operations_in_all"]), (8, &json!(8)));
        let why = "8 operations in all, unless -n";
        assert!(ended.stderr.contains(why) && ended.stderr.contains("Exim"), "{args:?}: {}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
    for (args, all) in [("-n 20", 80), ("--ops send --allow-writes --to a@b.org -t 1", 100)] {
        let server = Server::smtp(&[]);
        let url = format!("smtp://joe%40example.org@{}", server.address);
        let args =
            ["run", "--server", &url, "--format", "json", "--progress", "never"].into_iter().chain(args.split(' '));
        let ended = end(mailconn(args).env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!((ended.code, number(&ended.json()["operations"]["ok"])), (0, all), "{}", ended.stdout);
        assert_eq!(ended.stderr, "", "what is asked for is tried");
    }
    let sandbox = run("--server sandbox+smtp --format json");
    assert_eq!(number(&sandbox.json()["operations"]["ok"]), 400);
    assert_eq!(list(&sandbox.json()["failures"]).len(), 0);
    assert_eq!(sandbox.stderr, "");
}

/// A run on an SMTP server that has a name, where nobody says how many operations: its events, and their file.
fn eight_in_all(args: &str) -> (Vec<Value>, String) {
    let server = Server::smtp(&[]);
    let url = format!("smtp://joe@{}", server.address);
    let args = ["run", "--server", &url, "--format", "ndjson"].into_iter().chain(args.split(' '));
    let ended = end(mailconn(args).env("MAILCONN_PASSWORD", PASSWORD));
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    (ended.events(), ended.stdout)
}

/// Those that have none to do open nothing by need, and have not stopped early.
#[test]
fn eight_operations_in_all_are_shared_out_evenly_and_the_first_do_one_more() {
    for (args, shares) in [
        ("-t 3", &[3, 3, 2][..]),
        ("-t 5", &[2, 2, 2, 1, 1]),
        ("--mode use-default -t 11", &[1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]),
        ("--mode use-main -t 3 --switch-mode 7=use-default", &[3, 3, 2]),
        ("--default-for all -t 11", &[1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0]),
        ("--executor pool -t 2 --tasks 10", &[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        ("--executor tasks -t 2 --tasks 3", &[3, 3, 2]),
    ] {
        let (events, file) = eight_in_all(args);
        let doer = if args.contains("tasks") { "task" } else { "worker" };
        let operations = |of: usize| {
            let name = format!("{}{of}", &doer[..1]);
            of_kind(&events, "operation").filter(|operation| operation[doer] == *name).count() as u64
        };
        assert_eq!((0..shares.len()).map(operations).collect::<Vec<_>>(), shares, "{args}");
        assert!(!file.contains("-stopped"), "{args}: {file}");
        if args.contains("--mode use-default") {
            assert_eq!(of_kind(&events, "session-opened").count(), 8, "{args}");
        }
        assert_eq!(tool::doubts(file.as_bytes()), Vec::<String>::new(), "{args}");
        let report: Value = serde_json::from_str(&tool::report(file.as_bytes())).unwrap();
        let rows = list(&report[format!("{doer}s")]).iter().map(|row| number(&row["operations"]["asked"]));
        assert_eq!(rows.collect::<Vec<_>>(), shares, "{args}");
        let table = tool::told(file.as_bytes(), false, None).replace("\n  ", " ");
        assert!(table.contains(", 8 operations,") && !table.contains("stopped"), "{args}: {table}");
    }
}

/// Whoever did one for another, and whatever was asked of all.
#[test]
fn a_share_that_is_not_the_workers_own_is_found_out() {
    let (events, _) = eight_in_all("--mode use-main -t 3");
    is_caught_by("asked", events.clone(), |trace| trace[0]["asked"]["operations_in_all"] = json!(9));
    is_caught_by("asked", events.clone(), |trace| {
        trace[0]["asked"] = json!({"operations_per_worker": 3});
    });
    is_caught_by("asked", events, |trace| {
        let at = |trace: &[Value], kind: &str, of: &str| {
            trace.iter().rposition(|event| event["event"] == kind && event["worker"] == of).unwrap()
        };
        let operation = at(trace, "operation", "w0");
        trace[operation]["worker"] = json!("w2");
        for (of, operations) in [("w0", 2), ("w2", 3)] {
            let ended = at(trace, "worker-ended", of);
            trace[ended]["operations"] = json!(operations);
        }
    });
}

/// However often the server refuses, and whatever its words: it is not waited for each time.
#[test]
fn a_server_that_refuses_again_and_again_is_not_waited_for_each_time() {
    for words in ["too many things", "closing nothing, goodbye", "[LIMIT] too many requests"] {
        let server = Server::start(move |peer| {
            peer.sign_in();
            let mut id = 0;
            while peer.answer(&format!("{{t}} NO {words} (request {id})\r\n")) {
                id += 1;
            }
        });
        let args = "--mode use-main -t 1 --duration 2s --timeout 5s --format json";
        let ended = against(&server, Protocol::Imap, By::Nothing, args);
        let report = ended.json();
        assert!(number(&report["operations"]["failed"]) >= 30, "{words}: {report:#}");
        assert_eq!(number(&report["connections"]["opened"]), 1, "{words}");
    }
}

/// A close behind the greeting is none of a dial that was one too many: SMTP without a sign-in, too.
#[test]
fn a_reset_behind_the_greeting_is_no_limit() {
    let server = Server::of(Protocol::Smtp, "127.0.0.1:0", |peer| match peer.number {
        0..3 => peer.obey(&[], SMTP),
        _ => {
            peer.send("220 hi\r\n");
            // A reset takes along what has not been read: the greeting has been once the client speaks.
            peer.line();
            peer.reset();
        }
    });
    let url = format!("smtp://{}", server.address);
    let args = "--mode use-default -t 4 -n 20 --ops noop --pause 20ms --format json";
    let ended = end(&mut mailconn(["run", "--server", &url].into_iter().chain(args.split(' '))));
    assert_ne!(ended.code, 6, "{}", ended.stdout);
    assert!(!findings(&ended.json()).contains(&"MC030"), "{}", ended.stdout);
}
