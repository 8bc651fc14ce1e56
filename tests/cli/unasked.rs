//! How a run ends when the server answers what was not asked, or leaves in the middle of a unit.

use std::time::Duration;

use super::process::{PASSWORD, end, events, failures, findings, list, mailconn, of_kind, run_against};
use crate::protocol::scripted::{Peer, Rules, Server};

/// Answers each command by its verb, `{t}` for its tag and `{n}` for the next one's; every other with OK.
fn answers(rules: Rules) -> Server {
    Server::start(move |peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1] hi\r\n");
        while let Some(line) = peer.line() {
            let Some((tag, command)) = line.split_once(' ') else { return };
            let verb = command.split(' ').next().unwrap();
            let rule = rules.iter().find(|(of, _)| *of == verb).map(|(_, reply)| *reply);
            let reply = rule.unwrap_or(match verb {
                "APPEND" => "+ go on\r\n",
                "LOGOUT" => "* BYE bye\r\n{t} OK\r\n",
                _ => "{t} OK done\r\n",
            });
            let next = format!("a{}", tag[1..].parse::<u32>().unwrap() + 1);
            peer.send(&reply.replace("{t}", tag).replace("{n}", &next));
            if verb == "APPEND" && reply.starts_with('+') {
                literal(peer, command);
                let done = rules.iter().find(|(of, _)| *of == "literal").map_or("{t} OK done\r\n", |(_, reply)| reply);
                peer.send(&done.replace("{t}", tag));
            }
        }
    })
}

fn literal(peer: &mut Peer, command: &str) {
    let length = command.rsplit_once('{').unwrap().1.trim_end_matches('}').parse().unwrap();
    peer.bytes(length);
    peer.line();
}

#[test]
fn a_goodbye_behind_the_answer_to_append_fails_the_unit_and_the_mailbox_is_named() {
    for at in ["CREATE", "literal"] {
        let rules: Rules = if at == "CREATE" {
            &[("CREATE", "{t} OK done\r\n* BYE going down\r\n")]
        } else {
            &[("literal", "{t} OK done\r\n* BYE going down\r\n")]
        };
        let server = answers(rules);
        let args = "--ops append --allow-writes -n 1 -t 1 --mode use-default --format";
        let ended = run_against(server.address, &format!("{args} ndjson"));
        assert_eq!(ended.code, 1, "{at}: {}{}", ended.stdout, ended.stderr);
        let told = ended.events();
        let operation = of_kind(&told, "operation").next().unwrap();
        assert_eq!(operation["failure"]["kind"], "server-bye", "{operation:#}");
        assert_eq!(of_kind(&told, "mailbox-left").count(), 1, "{at}");
        let report = run_against(server.address, &format!("{args} json")).json();
        assert_eq!(failures(&report).into_keys().collect::<Vec<_>>(), ["server-bye at operation"]);
        assert_eq!(list(&report["left_mailboxes"]).len(), 1);
    }
}

#[test]
fn a_message_that_the_server_does_not_forget_is_no_fault_of_ours() {
    for rules in [
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "500 what\r\n")][..],
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "554 Too many nonmail commands\r\n")],
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "421 leaving\r\n")],
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "")],
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "<html>\r\n")],
        &[("RCPT", "550 no\r\n"), ("DATA", "503 no\r\n"), ("RSET", "250 ok\r\n250 ok\r\n")],
    ] {
        let server = Server::smtp(rules);
        let url = format!("smtp://joe@{}", server.address);
        let args = "run --ops send --allow-writes --from joe@example.org --to ann@example.org -n 2 -t 1 --format ndjson \
                    --server";
        let mut command = mailconn(args.split_whitespace().chain([url.as_str()]));
        let ended = end(command.env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!(ended.code, 1, "{rules:?}: {}{}", ended.stdout, ended.stderr);
        let told = ended.events();
        let first = of_kind(&told, "operation").next().unwrap();
        assert_eq!(first["failure"]["kind"], "server-no", "{first:#}");
        assert_eq!(first["failure"]["server_line"], "550 no");
        let message = first["failure"]["message"].as_str().unwrap();
        let goes_on = rules[2].1.starts_with("250");
        assert_eq!(message.contains("the session was given up"), !goes_on, "{message}");
    }
}

#[test]
fn a_fetch_without_its_messages_is_not_done() {
    let server = answers(&[("EXAMINE", "* 20 EXISTS\r\n{t} OK done\r\n{n} OK done\r\n")]);
    let ended = run_against(server.address, "--ops fetch -n 1 -t 1 --mode use-default --format ndjson");
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    let report = run_against(server.address, "--ops fetch -n 1 -t 1 --mode use-default --format json").json();
    assert_eq!(failures(&report).into_keys().collect::<Vec<_>>(), ["protocol at operation"]);
    assert_eq!(findings(&report), ["MC041"]);
    events(&ended.stdout);
}

/// What comes behind the last reply meets nobody but the goodbye, which does not leave.
#[test]
fn a_yes_behind_the_last_reply_fails_no_operation() {
    let server = answers(&[("NOOP", "{t} OK done\r\n{n} OK done\r\n")]);
    let ended = run_against(server.address, "--ops noop -n 1 -t 1 --mode use-default --format ndjson");
    assert_eq!(ended.code, 0, "{}", ended.stdout);
    ended.events();
    assert_eq!(server.heard_verb("LOGOUT"), 0);
}

#[test]
fn what_nobody_asked_for_does_not_take_the_whole_timeout() {
    let server = answers(&[("NOOP", "{t} OK done\r\n* 3 FETCH (BODY[] {100}\r\n")]);
    let args = "--ops noop -n 2 -t 1 --mode use-default --timeout 20s --format";
    let ended = run_against(server.address, &format!("{args} ndjson"));
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    assert!(ended.took < Duration::from_secs(10), "{:?}", ended.took);
    let told = ended.events();
    let failed = of_kind(&told, "operation").find(|operation| operation["outcome"] == "failed").unwrap();
    assert_eq!(failed["failure"]["kind"], "protocol", "{failed:#}");
}
