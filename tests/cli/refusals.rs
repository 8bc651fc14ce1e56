//! What servers refuse, as a check and a run tell it: the right word and the right exit code. Each is one that people were
//! met with.

use serde_json::Value;

use super::check::{fails, findings, imap, steps};
use super::process::{Ended, PASSWORD, end, is_sound, list, mailconn};
use crate::protocol::scripted::{Rules, Server};

const GREETING: &str = "* OK [CAPABILITY IMAP4rev1] ready\r\n";

/// A run of one worker against that server, as ann; its report in JSON.
fn run(server: &Server, url: &str, args: &str) -> (Ended, Value) {
    let url = format!("{url}@{}", server.address);
    let args = ["run", "--server", &url, "-t", "1", "--progress", "never"].into_iter().chain(args.split_whitespace());
    let ended = end(mailconn(args.chain(["--format", "json"])).env("MAILCONN_PASSWORD", PASSWORD));
    let report = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    (ended, report)
}

/// The kinds of what failed.
fn kinds(report: &Value) -> Vec<&str> {
    list(&report["failures"]).iter().map(|row| row["kind"].as_str().unwrap()).collect()
}

/// An IMAP server with an empty INBOX that answers EXAMINE so.
fn examined(reply: &'static str) -> Server {
    Server::start(move |peer| {
        peer.send(GREETING);
        while let Some(line) = peer.line() {
            let (tag, command) = line.split_once(' ').unwrap();
            let reply = match command.split(' ').next().unwrap() {
                "EXAMINE" => reply,
                "STATUS" => "{t} NO STATUS refused: {name}\r\n",
                "LOGOUT" => "* BYE bye\r\n{t} OK\r\n",
                _ => "{t} OK\r\n",
            };
            let name = command.split('"').nth(1).unwrap_or_default();
            peer.send(&reply.replace("{t}", tag).replace("{name}", name));
        }
    })
}

#[test]
fn a_busy_server_that_greets_imap_with_421_is_no_wrong_port_mailkit_1100() {
    let server = imap("421 Server is busy, try again later.\r\n", &[]);
    let said = ["421 Server is busy, try again later.", "exit 4: "];
    let json = fails("imap", server.address, "", 4, "server-unavailable at greeting", &said);
    assert!(!json.to_string().contains("check host and port"), "{json:#}");
    let other = Server::pop3(&[("", "421 4.3.2 too busy\r\n")]);
    fails("pop3", other.address, "", 4, "server-unavailable at greeting", &["421 4.3.2 too busy"]);
    let strange = Server::smtp(&[("", "554 mx.example.org go away\r\n")]);
    fails("smtp", strange.address, "", 4, "greeting at greeting", &["554 mx.example.org go away"]);
}

#[test]
fn a_sign_in_that_is_refused_has_the_cause_that_the_words_state() {
    for (reply, code, kind) in [
        (
            "{t} NO [ALERT] Please log in via your web browser: https://support.example/78754 (Failure)\r\n",
            5,
            "auth-policy",
        ),
        ("{t} NO Temporary authentication failure (rate-limit)\r\n", 6, "limit-rate"),
        ("{t} NO LOGIN System error\r\n", 4, "server-unavailable"),
        ("{t} NO [AUTHENTICATIONFAILED] Too many login failures, try again in 15 minutes\r\n", 6, "limit-rate"),
        ("{t} NO LOGIN failed.\r\n", 5, "auth-refused"),
        ("{t} NO [OVERQUOTA] mailbox full\r\n", 5, "auth-policy"),
        ("{t} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n", 5, "auth-invalid"),
        ("{t} BAD Unknown command\r\n", 5, "server-bad"),
        ("* BYE Internal error occurred\r\n", 4, "server-unavailable"),
    ] {
        let rules: &[(&str, &str)] = vec![("LOGIN", reply)].leak();
        let server = imap(GREETING, rules);
        let json = fails("imap", server.address, "", code, &format!("{kind} at auth"), &[]);
        let message = json["failures"][0]["message"].as_str().unwrap();
        assert_eq!(message.contains("refused the user or the password"), kind == "auth-invalid", "{message}");
        assert_eq!(message.contains("wait 15 min"), reply.contains("15 minutes"), "{message}");
    }
}

#[test]
fn a_server_that_lost_its_authentication_server_says_so_of_the_password_neomutt_2690() {
    for (reply, code, kind) in [
        (
            "535 5.7.8 Error: authentication failed: Connection lost to authentication server\r\n",
            4,
            "server-unavailable",
        ),
        ("454 4.7.0 Temporary authentication failure\r\n", 4, "server-unavailable"),
        ("535 5.7.8 Error: authentication failed: authentication failure\r\n", 5, "auth-invalid"),
        ("535 Authentication failed\r\n", 5, "auth-refused"),
        ("535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n", 5, "auth-policy"),
        ("500 what\r\n", 5, "server-bad"),
    ] {
        let rules: Rules = vec![("AUTH", reply)].leak();
        let server = Server::smtp(rules);
        fails("smtp", server.address, "", code, &format!("{kind} at auth"), &[]);
    }
}

#[test]
fn a_name_that_the_server_does_not_take_is_no_sign_in_chatmail_core_1847() {
    let rules: Rules = &[("EHLO", "504 5.5.2 <[127.0.0.1]>: Helo command rejected: need fully-qualified hostname\r\n")];
    let server = Server::smtp(rules);
    let json = fails("smtp", server.address, "", 4, "server-no at greeting", &["Helo command rejected"]);
    assert!(!steps(&json).contains(&"sign-in"), "{json:#}");
    assert!(!server.verbs().contains("HELO"), "it likes the name no better there: {}", server.verbs());
    let ended = end(&mut mailconn(["check", &format!("smtp://{}", server.address)]));
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    assert!(ended.stdout.contains("server-no"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("sign-in"), "nobody signs in: {}", ended.stdout);
}

#[test]
fn a_check_that_meets_a_limit_says_so_among_its_findings() {
    for (reply, kind) in [
        ("{t} NO [LIMIT] Maximum number of connections from user+IP exceeded\r\n", "limit-connections"),
        ("{t} NO Too many login attempts\r\n", "limit-rate"),
    ] {
        let rules: &[(&str, &str)] = vec![("LOGIN", reply)].leak();
        let server = imap(GREETING, rules);
        let said =
            ["warning the server refused this one connection at auth for a limit", "the password is not the cause"];
        let json = fails("imap", server.address, "", 6, &format!("{kind} at auth"), &said);
        assert!(findings(&json).contains(&"limit-met"), "{json:#}");
    }
    let server = imap(GREETING, &[("STATUS", "{t} NO [LIMIT] STATUS Rate limit hit.\r\n")]);
    let json = fails("imap", server.address, "", 6, "limit-rate at operation", &[]);
    assert!(findings(&json).contains(&"limit-met"), "{json:#}");
    let server = imap(GREETING, &[("LOGIN", "{t} NO [AUTHENTICATIONFAILED] no\r\n")]);
    let json = fails("imap", server.address, "", 5, "auth-invalid at auth", &[]);
    assert!(!findings(&json).contains(&"limit-met"), "{json:#}");
}

#[test]
fn a_throttle_in_the_middle_of_the_work_is_a_limit_imapflow_75() {
    for (reply, code, kind) in [
        ("{t} NO [LIMIT] EXAMINE Rate limit hit.\r\n", 6, "limit-rate"),
        ("{t} NO you have been rate limited\r\n", 6, "limit-rate"),
        ("{t} NO Exceeded the login limit for a 15 minute period\r\n", 6, "limit-rate"),
        ("{t} BAD Request is throttled. Suggested Backoff Time: 43000 milliseconds\r\n", 6, "limit-rate"),
        ("{t} NO [UNAVAILABLE] later\r\n", 1, "server-unavailable"),
        ("{t} NO [SERVERBUG] Internal error occurred\r\n", 1, "server-unavailable"),
        ("{t} NO [OVERQUOTA] mailbox full\r\n", 1, "server-no"),
        ("{t} NO System error\r\n", 1, "server-no"),
        ("* BYE Server shutting down\r\n", 1, "server-bye"),
    ] {
        let server = examined(reply);
        let (ended, report) = run(&server, "imap://ann", "--ops fetch -n 2");
        assert_eq!(ended.code, code, "{reply}: {report:#}");
        assert_eq!(kinds(&report), [kind], "{reply}");
        // Whatever is refused, the connection goes on.
        assert_eq!(server.heard_verb("LOGIN"), if kind == "server-bye" { 2 } else { 1 }, "{reply}");
        let again = examined(reply);
        let url = format!("imap://ann@{}", again.address);
        let args = ["run", "--server", &url, "-t", "1", "--progress", "never", "--ops", "fetch", "-n", "2"];
        is_sound(
            &end(mailconn(args.into_iter().chain(["--format", "ndjson"])).env("MAILCONN_PASSWORD", PASSWORD)).stdout,
        );
    }
}

#[test]
fn a_sending_quota_is_a_limit_and_a_full_mailbox_is_none_avideo_7527() {
    for (at, reply, code, kind) in [
        (
            ".",
            "552 C13yp Message would take you over your relay quota of 500 Current quota used: 487\r\n",
            6,
            "limit-rate",
        ),
        ("MAIL", "550 5.4.5 Daily user sending limit exceeded.\r\n", 6, "limit-rate"),
        ("RCPT", "454 Throttling failure: Maximum sending rate exceeded.\r\n", 6, "limit-rate"),
        ("RCPT", "552 5.2.2 mailbox full, over quota\r\n", 1, "server-no"),
        ("RCPT", "450 4.2.0 Greylisted; try again in 00:04:59\r\n", 1, "server-no"),
        // The recipient's name is no limit, wherever the server puts it.
        ("RCPT", "550 rate-limit@example.org: never heard of\r\n", 1, "server-no"),
    ] {
        let server = Server::smtp(vec![(at, reply)].leak());
        let args = "--ops send --allow-writes --to rate-limit@example.org -n 1";
        let (ended, report) = run(&server, "smtp://ann", args);
        assert_eq!((ended.code, kinds(&report)), (code, vec![kind]), "{reply}: {report:#}");
        assert_eq!(report.to_string().contains("wait 4 min 59 s"), reply.contains("00:04:59"), "{report:#}");
    }
}

#[test]
fn a_mailbox_that_is_called_like_a_limit_is_none() {
    let server = examined("{t} OK\r\n");
    let (ended, report) =
        run(&server, "imap://ann", "--ops status -n 1 --mailbox Rate-Limit --mailbox too-many-connections");
    assert_eq!((ended.code, kinds(&report)), (1, vec!["server-no"]), "{report:#}");
}
