//! What people need to say to reach a server and to work there: a sender, a family of addresses, a place for the scratch
//! mailbox, the modes in the words of the reference.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;

use serde_json::{Value, json};

use super::process::{Ended, PASSWORD, against, end, events, findings, list, mailconn, of_kind, run, run_against};
use crate::protocol::scripted::{Peer, Server};

fn command<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = mailconn(args);
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

/// `mailconn run` on that SMTP server, as joe or as nobody.
fn sends(url: &str, args: &str) -> Ended {
    let fixed = "--ops send --allow-writes -n 1 -t 1";
    end(&mut command(["run", "--server", url].into_iter().chain(fixed.split(' ')).chain(args.split_whitespace())))
}

#[test]
fn from_is_the_sender_on_the_envelope_and_in_the_message() {
    let server = Server::smtp(&[]);
    let joe = format!("smtp://joe@{}", server.address);
    let nobody = format!("smtp://{}", server.address);
    for (url, args, mail, rcpt, header) in [
        (&joe, "", "joe@[127.0.0.1]", "joe@[127.0.0.1]", "joe@[127.0.0.1]"),
        (&joe, "--from eve@y.org", "eve@y.org", "joe@[127.0.0.1]", "eve@y.org"),
        (&joe, "--from eve@y.org --to ann@x.org", "eve@y.org", "ann@x.org", "eve@y.org"),
        (&nobody, "--to ann@x.org", "ann@x.org", "ann@x.org", "ann@x.org"),
        (&nobody, "--from eve@y.org --to ann@x.org", "eve@y.org", "ann@x.org", "eve@y.org"),
    ] {
        let before = server.heard().len();
        let ended = sends(url, args);
        assert_eq!(ended.code, 0, "{args}: {}{}", ended.stdout, ended.stderr);
        let heard = server.heard().split_off(before);
        for line in [
            format!("MAIL FROM:<{mail}>"),
            format!("RCPT TO:<{rcpt}>"),
            format!("From: mailconn <{header}>"),
            format!("To: {rcpt}"),
        ] {
            assert!(heard.contains(&line), "{args}: {line} in {heard:?}");
        }
    }
}

#[test]
fn a_sender_that_cannot_be_is_one_line_before_any_dial() {
    let server = Server::smtp(&[]);
    let joe = format!("smtp://joe@{}", server.address);
    for from in ["", "eve", "eve@", "@y.org", "eve@y.org>"] {
        let ended = sends(&joe, &format!("--from={from}"));
        assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{from}: {}", ended.stderr);
        assert!(ended.stderr.contains("user@domain"), "{}", ended.stderr);
    }
    let ended = sends(&format!("smtp://{}", server.address), "--from eve@y.org");
    assert!(ended.code == 2 && ended.stderr.contains("--to"), "{}", ended.stderr);
    let ended = end(&mut command(["run", "--server", &joe, "--ops", "noop", "--from", "eve@y.org"]));
    assert!(ended.code == 2 && ended.stderr.contains("--from is the sender of send"), "{}", ended.stderr);
    assert_eq!(server.accepted(), 0);
}

#[test]
fn scenarios_and_the_sandbox_take_a_sender_too() {
    let ended = run("--server sandbox+smtp --ops send --allow-writes --from eve@y.org -n 2 -t 2 --format ndjson");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    events(&ended.stdout);
    let server = Server::smtp(&[]);
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("sends.scenario");
    std::fs::write(&file, "client use-main\nT1 send\n").unwrap();
    let url = format!("smtp://joe@{}", server.address);
    let args = ["scenario", file.to_str().unwrap(), "--server", &url, "--allow-writes", "--from", "eve@y.org"];
    let ended = end(&mut command(args));
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    assert!(server.heard().contains(&"MAIL FROM:<eve@y.org>".to_owned()), "{:?}", server.heard());
}

#[test]
fn only_addresses_of_the_family_that_was_asked_for_are_dialled() {
    let server = Server::start(|peer| {
        peer.sign_in();
        super::process::obey(peer);
    });
    let port = server.address.port();
    let checked = |host: &str, flag: &str| {
        end(&mut command(["check", &format!("imap://joe@{host}:{port}"), flag, "--format", "json"]))
    };
    for flag in ["-4", "--ipv4"] {
        let report: Value = serde_json::from_str(&checked("localhost", flag).stdout).unwrap();
        assert_eq!(report["addresses"], json!(["127.0.0.1"]), "{report:#}");
        assert!(list(&report["steps"]).iter().any(|step| step["step"] == "greeting"), "{report:#}");
    }
    let before = server.accepted();
    let ended = checked("127.0.0.1", "-6");
    assert_eq!((ended.code, ended.stderr.lines().count()), (2, 1), "{}", ended.stderr);
    assert!(ended.stderr.contains("127.0.0.1 is no IPv6 address"), "{}", ended.stderr);
    let ended = checked("[::1]", "-4");
    assert!(ended.code == 2 && ended.stderr.contains("::1 is no IPv4 address"), "{}", ended.stderr);
    for args in [["run", "-4", "-6"], ["check", "-4", "-6"]] {
        let ended = end(&mut command(args));
        assert!(ended.code == 2 && ended.stderr.contains("cannot be used with"), "{}", ended.stderr);
    }
    let ended = end(&mut command(["run", "-6"]));
    assert!(ended.code == 2 && ended.stderr.contains("the sandbox listens on 127.0.0.1"), "{}", ended.stderr);
    assert_eq!(run("-4 -n 1 -t 1").code, 0, "the sandbox is on 127.0.0.1");
    assert_eq!(server.accepted(), before, "nobody was dialled");
}

#[test]
fn ipv6_alone_is_dialled_where_there_is_some() {
    let Ok(listener) = TcpListener::bind("[::1]:0") else { return };
    drop(listener);
    let server = Server::of(mailconn::protocol::Protocol::Imap, "[::1]:0", |peer| {
        peer.sign_in();
        super::process::obey(peer);
    });
    let ended = run_against(server.address, "-6 -n 2 -t 2 --ops noop");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
}

/// A server on which names must begin with that namespace's prefix, as it says itself where it is asked.
fn spaced(namespace: &'static str, prefix: &'static str, deletes: bool) -> Server {
    Server::start(move |peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 ID] hi\r\n");
        while let Some(line) = peer.line() {
            if !answers(peer, &line, namespace, prefix, deletes) {
                return;
            }
        }
    })
}

fn answers(peer: &mut Peer, line: &str, namespace: &str, prefix: &str, deletes: bool) -> bool {
    let (tag, command) = line.split_once(' ').unwrap();
    let verb = command.split(' ').next().unwrap();
    let inside = command.starts_with(&format!("{verb} \"{prefix}mailconn-"));
    let reply = match verb {
        // Some say little before the sign-in, and nothing with it.
        "LOGIN" if namespace.starts_with("((\"late") => "{t} OK in\r\n".to_owned(),
        "CAPABILITY" => "* CAPABILITY IMAP4rev1 ID NAMESPACE\r\n{t} OK done\r\n".to_owned(),
        "LOGIN" if namespace.is_empty() => "{t} OK [CAPABILITY IMAP4rev1] in\r\n".to_owned(),
        "LOGIN" => "{t} OK [CAPABILITY IMAP4rev1 NAMESPACE] in\r\n".to_owned(),
        "NAMESPACE" if namespace == "refused" => "{t} NO not now\r\n".to_owned(),
        "NAMESPACE" => format!("* NAMESPACE {namespace}\r\n{{t}} OK done\r\n"),
        "LIST" => "* LIST (\\Noselect) \".\" \"\"\r\n{t} OK done\r\n".to_owned(),
        "CREATE" | "DELETE" if !inside => "{t} NO Client tried to access nonexistent namespace.\r\n".to_owned(),
        "DELETE" if !deletes => "{t} NO it is in use\r\n".to_owned(),
        "APPEND" => {
            peer.send("+ go on\r\n");
            for _ in 0..2 {
                while peer.line().is_some_and(|line| !line.is_empty()) {}
            }
            "{t} OK done\r\n".to_owned()
        }
        "LOGOUT" => "* BYE bye\r\n{t} OK\r\n".to_owned(),
        _ => "{t} OK done\r\n".to_owned(),
    };
    peer.send(&reply.replace("{t}", tag)) && verb != "LOGOUT"
}

const APPENDS: &str = "--ops append --allow-writes -n 2 -t 2 --mode use-default --format ndjson";

#[test]
fn a_scratch_mailbox_is_made_in_the_personal_namespace_or_where_it_is_told() {
    for (namespace, prefix, args, asked) in [
        (r#"(("INBOX." ".")) NIL NIL"#, "INBOX.", "", "NAMESPACE"),
        (r#"(("" "/")) NIL NIL"#, "", "", "NAMESPACE"),
        (r#"NIL NIL (("Shared/" "/"))"#, "", "", "NAMESPACE"),
        (r#"(("late/" "/")) NIL NIL"#, "late/", "", "NAMESPACE"),
        ("refused", "", "", "NAMESPACE"),
        ("", "", "", "APPEND"),
        (r#"(("INBOX." ".")) NIL NIL"#, "INBOX.Tests.", "--scratch-under INBOX.Tests", "LIST"),
        ("", "INBOX.Tests.", "--scratch-under INBOX.Tests.", "LIST"),
        ("", "Entw&APw-rfe.", "--scratch-under Entwürfe", "LIST"),
    ] {
        let server = spaced(namespace, prefix, true);
        let ended = run_against(server.address, &format!("{APPENDS} {args}"));
        assert_eq!(ended.code, 0, "{namespace} {args}: {}{}", ended.stdout, ended.stderr);
        events(&ended.stdout);
        let (before, after) = if asked == "APPEND" { (0, 4) } else { (2, 4) };
        assert_eq!(server.heard_verb(asked), if asked == "APPEND" { after } else { before }, "{:?}", server.heard());
        assert_eq!(server.heard_verb("APPEND"), after);
    }
}

#[test]
fn a_scratch_mailbox_that_is_left_behind_is_named_whole() {
    for args in ["", "--executor pool --tasks 2"] {
        let server = spaced(r#"(("INBOX." ".")) NIL NIL"#, "INBOX.", false);
        let ended = run_against(server.address, &format!("{APPENDS} {args}").replace("-n 2", "-n 1"));
        assert_eq!(ended.code, 1, "{}", ended.stderr);
        let told = events(&ended.stdout);
        let left: Vec<&str> = of_kind(&told, "mailbox-left").map(|event| event["mailbox"].as_str().unwrap()).collect();
        assert!(left.len() == 2 && left.iter().all(|name| name.starts_with("INBOX.mailconn-")), "{left:?}");
    }
}

#[test]
fn nobody_is_asked_for_namespaces_who_has_no_use_for_them() {
    let server = spaced(r#"(("INBOX." ".")) NIL NIL"#, "INBOX.", true);
    let ended = run_against(server.address, "--ops noop -n 2 -t 2");
    assert_eq!((ended.code, server.heard_verb("NAMESPACE")), (0, 0), "{}", ended.stderr);
    for (args, cure) in [
        ("--ops noop --scratch-under Tests", "add it to --ops"),
        ("--ops append --allow-writes --scratch-under=", "--scratch-under needs a name"),
    ] {
        let ended = run_against(server.address, args);
        assert!(ended.code == 2 && ended.stderr.contains(cure), "{}", ended.stderr);
    }
}

#[test]
fn the_sandboxs_record_agrees_on_where_the_scratch_mailbox_is() {
    for args in ["", "--scratch-under Archive"] {
        let ended = run(&format!("--ops append,noop --allow-writes -n 6 -t 3 --mode use-default --format json {args}"));
        let report = ended.json();
        assert_eq!((ended.code, findings(&report)), (0, Vec::new()), "{report:#}");
        let ended = run(&format!("--ops append,noop --allow-writes -n 6 -t 3 --format ndjson {args}"));
        let told = events(&ended.stdout);
        let asked = if args.is_empty() { "NAMESPACE" } else { "LIST" };
        let opened = of_kind(&told, "session-opened").next().unwrap();
        let verbs: Vec<&Value> = list(&opened["commands"]).iter().map(|command| &command["verb"]).collect();
        assert!(verbs.contains(&&json!(asked)), "{opened}");
    }
}

#[test]
fn the_modes_may_be_spelt_as_in_the_reference() {
    for (spelt, mode) in [
        ("UseMain", "use-main"),
        ("UseDefault", "use-default"),
        ("UseMainOrDefault", "use-main-or-default"),
        ("usemainordefault", "use-main-or-default"),
        ("ConnectionAsgmtType.UseDefault", "use-default"),
        ("USE-MAIN", "use-main"),
    ] {
        let report = run(&format!("--mode {spelt} -n 2 -t 2 --format json")).json();
        assert_eq!(report["mode"], mode, "{spelt}: {report:#}");
        let report = run(&format!("--switch-mode 2={spelt} -n 4 -t 1 --mode use-main --format json")).json();
        assert!(report.to_string().contains(&format!("\"{mode}\"")), "{spelt}: {report:#}");
        let text = format!("client {spelt}\nT1 noop\n");
        let scenario = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(scenario.path(), text).unwrap();
        let ended = end(&mut mailconn(["scenario", scenario.path().to_str().unwrap()]));
        assert_eq!(ended.code, 0, "{spelt}: {}{}", ended.stdout, ended.stderr);
        let ended = end(&mut mailconn(["explain", spelt]));
        assert!(ended.code == 0 && ended.stdout.starts_with(mode), "{spelt}: {}{}", ended.stdout, ended.stderr);
    }
    let ended = run("--mode UseNothing");
    assert!(ended.code == 2 && ended.stderr.contains("use-main-or-default"), "{}", ended.stderr);
    let ended = run("--switch-mode 2=UseNothing");
    assert!(ended.code == 2 && ended.stderr.contains("use-main-or-default"), "{}", ended.stderr);
}

/// A server that says that it offers SASL-IR, and answers a sign-in with a first answer like that.
fn half_hearted(refusal: &'static str) -> Server {
    Server::start(move |peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR] hi\r\n");
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap_or_default();
            let reply = match command.split(' ').next().unwrap() {
                "AUTHENTICATE" if command != "AUTHENTICATE PLAIN" => format!("{tag} {refusal}\r\n"),
                "AUTHENTICATE" => {
                    peer.send("+ \r\n");
                    peer.line();
                    format!("{tag} OK [CAPABILITY IMAP4rev1] in\r\n")
                }
                "STATUS" => format!("* STATUS INBOX (MESSAGES 0 UNSEEN 0 UIDNEXT 1)\r\n{tag} OK\r\n"),
                "LOGOUT" => format!("* BYE bye\r\n{tag} OK\r\n"),
                _ => format!("{tag} OK\r\n"),
            };
            if !peer.send(&reply) || command == "LOGOUT" {
                return;
            }
        }
    })
}

fn signs_in(server: SocketAddr, args: &str) -> Ended {
    end(&mut against(server, &format!("--ops noop -n 2 -t 2 --mode use-default --format ndjson {args}")))
}

#[test]
fn a_first_answer_that_is_not_understood_is_given_once_more_when_asked_for_and_that_is_said() {
    let server = half_hearted("BAD Request not ending with \\r\\n");
    let ended = signs_in(server.address, "");
    assert_eq!(ended.code, 0, "{}{}", ended.stdout, ended.stderr);
    let told = events(&ended.stdout);
    assert_eq!(of_kind(&told, "session-opened").count(), 2);
    for opened in of_kind(&told, "session-opened") {
        let verbs = list(&opened["commands"]).iter().map(|command| command["verb"].as_str().unwrap());
        assert_eq!(verbs.filter(|verb| *verb == "AUTHENTICATE").count(), 2, "{opened}");
        assert_eq!(opened["signed_in_by"], "PLAIN");
    }
    assert_eq!(server.accepted(), 2, "in the same connection");
    let ended = end(&mut command(["check", &format!("imap://joe@{}", server.address)]));
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    let said = ended.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "PLAIN with its first answer (SASL-IR) was not understood; once more without the server said: BAD Request not",
        "warning the server offers SASL-IR, and does not understand AUTHENTICATE PLAIN with a first answer",
    ] {
        assert!(said.contains(part), "{part}: {}", ended.stdout);
    }
    let ended = end(&mut command(["check", &format!("imap://joe@{}", server.address), "--format", "json"]));
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(list(&report["findings"]).iter().any(|finding| finding["id"] == "first-answer-refused"), "{report:#}");
}

#[test]
fn after_any_other_refusal_there_is_no_second_try() {
    for refusal in ["NO [AUTHENTICATIONFAILED] no", "NO no", "BAD [LIMIT] Too many connections"] {
        let server = half_hearted(refusal);
        let ended = signs_in(server.address, "");
        assert!(ended.code != 0, "{refusal}: {}", ended.stdout);
        let connections = if refusal.starts_with("NO") { 1 } else { 2 };
        assert_eq!(server.heard_verb("AUTHENTICATE"), connections, "{refusal}: {:?}", server.heard());
    }
}
