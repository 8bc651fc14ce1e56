//! What a failed connection says of itself: the server's words, all of them, and cures that can be true.

use std::net::SocketAddr;
use std::process::Command;

use mailconn::protocol::Protocol;
use serde_json::Value;

use super::process::{Ended, PASSWORD, end, is_sound, list, mailconn};
use crate::protocol::scripted::{GREETING, POP3, Peer, Rules, SMTP, Server};
use crate::protocol::tls::authority;

/// What `check` or `run` says of it, as joe. The URL has `{}` for the server.
fn said(url: &str, server: SocketAddr, args: &str) -> Ended {
    let mut words = args.split_whitespace();
    let (command, server_flag) = match words.next() {
        Some("run") => ("run", Some("--server")),
        _ => ("check", None),
    };
    let url = url.replace("{}", &server.to_string());
    let words = [command].into_iter().chain(server_flag).chain([&*url]).chain(words);
    end(mailconn(words).env("MAILCONN_PASSWORD", PASSWORD))
}

/// From the failure to the next part of a check's report, or the failures of a run's; without line breaks.
#[track_caller]
fn failure(ended: &Ended) -> String {
    let text = &ended.stdout;
    let from = text.find("FAILED").or_else(|| text.find("\nFailures")).unwrap_or_else(|| panic!("{text}"));
    let text = &text[from..];
    let text = &text[..text.find("\n\n").unwrap_or(text.len())];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn says(ended: &Ended, said: &[&str], unsaid: &[&str]) {
    let text = failure(ended);
    for said in said {
        assert!(text.contains(said), "{said:?} is missing: {}", ended.stdout);
    }
    for unsaid in unsaid {
        assert!(!text.contains(unsaid), "{unsaid:?} is said: {}", ended.stdout);
    }
}

/// An IMAP server: a line whose command begins like that is answered like that, and any other with OK.
fn imap(greeting: &'static str, rules: Rules) -> Server {
    Server::start(move |peer| {
        peer.send(greeting);
        answer(peer, rules);
    })
}

fn answer(peer: &mut Peer, rules: Rules) {
    while let Some(line) = peer.line() {
        let (tag, command) = line.split_once(' ').unwrap();
        let reply = rules.iter().find(|(start, _)| command.starts_with(start)).map_or("{t} OK\r\n", |(_, reply)| reply);
        if reply.is_empty() || !peer.send(&reply.replace("{t}", tag)) || command == "LOGOUT" {
            return;
        }
    }
}

/// A server of lines behind TLS, and the flag that trusts it.
fn behind_tls(protocol: Protocol, rules: Rules) -> (Server, tempfile::TempDir, String) {
    let authority = authority("ours");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let config = authority.server(|_| {});
    let usual = if protocol == Protocol::Smtp { SMTP } else { POP3 };
    let server = Server::of(protocol, "127.0.0.1:0", move |peer| {
        peer.start_tls(std::sync::Arc::clone(&config));
        peer.obey(rules, usual);
    });
    let trust = format!("check --ca-file {}", file.display());
    (server, directory, trust)
}

#[track_caller]
fn json(url: &str, server: SocketAddr, args: &str) -> Value {
    serde_json::from_str(&said(url, server, &format!("{args} --format json")).stdout).unwrap()
}

#[test]
fn what_is_said_before_a_refusal_is_shown_with_it_owncloud_mail_934() {
    let server = imap(
        "* OK [CAPABILITY IMAP4rev1] hi\r\n",
        &[(
            "LOGIN",
            "* NO [WEBALERT https://accounts.example/ContinueSignIn?sarp=1] Web login required.\r\n\
             * OK [ALERT] Maintenance at noon\r\n* OK nothing to tell\r\n* BAD pa55-w0rd-of-joe?\r\n\
             {t} NO [ALERT] Please log in via your web browser (Failure)\r\n",
        )],
    );
    let ended = said("imap://joe@{}", server.address, "check");
    assert_eq!(ended.code, 5, "{}", ended.stdout);
    says(
        &ended,
        &["the server said: NO [ALERT] Please", "accounts.example/ContinueSignIn?sarp=1]", "Maintenance", "* BAD ***?"],
        &["nothing to tell"],
    );
    let check = json("imap://joe@{}", server.address, "check");
    let failure = &list(&check["failures"])[0];
    assert_eq!(failure["server_line"], "NO [ALERT] Please log in via your web browser (Failure)");
    let further: Vec<_> = list(&failure["further_lines"]).iter().map(|line| line.as_str().unwrap()).collect();
    assert_eq!(
        further,
        [
            "* NO [WEBALERT https://accounts.example/ContinueSignIn?sarp=1] Web login required.",
            "* OK [ALERT] Maintenance at noon",
            "* BAD ***?"
        ]
    );
    // A run shows it too, in each form, and its file is sound.
    let run = "run --ops noop -n 1 -t 2 --progress never";
    says(&said("imap://joe@{}", server.address, run), &["ContinueSignIn", "Maintenance"], &[]);
    let report = json("imap://joe@{}", server.address, run);
    assert_eq!(list(&report["failures"])[0]["further_lines"], failure["further_lines"]);
    let file = said("imap://joe@{}", server.address, &format!("{run} --format ndjson")).stdout;
    assert!(file.contains("ContinueSignIn"), "{file}");
    is_sound(&file);
}

#[test]
fn a_refusal_of_several_lines_is_shown_whole() {
    let refusal = "535-5.7.8 Username and Password not accepted. For\r\n535 5.7.8 more see example.org/badcreds\r\n";
    let server = Server::smtp(Box::leak(Box::new([("AUTH", refusal)])));
    let ended = said("smtp://joe@{}", server.address, "check");
    says(&ended, &["535 5.7.8 Username and Password not accepted. For more see example.org/badcreds"], &[]);
    let server = Server::pop3(&[
        ("CAPA", "-ERR what?\r\n"),
        ("PASS", "-ERR [AUTH] Web login required\r\n-ERR see example.org/signin for pa55-w0rd-of-joe\r\n"),
    ]);
    let ended = said("pop3://joe@{}", server.address, "check");
    says(&ended, &["-ERR [AUTH] Web login required", "and with it: -ERR see example.org/signin for ***"], &[]);
    // One that breaks off is the server's word too.
    let server = Server::smtp(&[("AUTH", "535-5.7.8 Username and\r\n535-5.7.8 Password\r\n53")]);
    let ended = said("smtp://joe@{}", server.address, "check --connect-timeout 400ms");
    says(&ended, &["timeout", "535-5.7.8 Username and", "535-5.7.8 Password"], &[]);
}

#[test]
fn a_late_greeting_shows_what_came_of_it_python_slimta_89() {
    let server =
        Server::of(Protocol::Smtp, "127.0.0.1:0", |peer| drop((peer.send("220-mail.example\r\n"), peer.line())));
    let ended = said("smtp://{}", server.address, "check --connect-timeout 500ms");
    assert_eq!(ended.code, 4);
    says(&ended, &["timeout", "220-mail.example", "--connect-timeout, now 500 ms"], &["TLS first"]);
    let silent = Server::start(|peer| drop(peer.line()));
    let ended = said("imap://joe@{}", silent.address, "check --connect-timeout 300ms");
    says(&ended, &["TLS first (imaps://)", "--connect-timeout"], &["the server said"]);
}

#[test]
fn a_busy_server_is_no_wrong_port_mailkit_1100() {
    let server = Server::start(|peer| assert!(peer.send("421 Server is busy, try again later.\r\n")));
    let ended = said("imap://joe@{}", server.address, "check");
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    says(&ended, &["421 Server is busy", "try again later"], &["check host and port", "check the port"]);
}

#[test]
fn a_refused_name_is_shown_with_the_flag_that_gives_another_chatmail_core_1847() {
    let helo = "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname\r\n";
    let server = Server::smtp(Box::leak(Box::new([("EHLO", helo), ("HELO", helo)])));
    let ended = said("smtp://{}", server.address, "check");
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    says(&ended, &["[127.0.0.1]", "--ehlo NAME"], &["another name", "sign us in"]);
    let ended = said("smtp://{}", server.address, "check --ehlo me");
    says(&ended, &["ourselves me;", "another name with --ehlo"], &[]);
    let barred = Server::smtp(&[("EHLO", "550 5.7.1 blocked using zen.example.org\r\n")]);
    says(&said("smtp://{}", barred.address, "check"), &["see what it says"], &["--ehlo"]);
}

#[test]
fn a_password_that_worked_is_not_called_wrong_node_poplib_34() {
    let server = Server::of(Protocol::Pop3, "127.0.0.1:0", |peer| {
        let rules: Rules = match peer.number {
            // It hangs up, so that the next operation signs in anew.
            0 => &[("NOOP", "")],
            _ => &[("PASS", "-ERR Logon failure: unknown user name or bad password.\r\n")],
        };
        peer.obey(rules, POP3);
    });
    let run = "run -t 1 --ops noop -n 2 --auth user-pass --progress never";
    let ended = said("pop3://joe@{}", server.address, run);
    says(&ended, &["the same password signed in before"], &["check both", "the user or the password"]);
    let first = Server::pop3(&[("PASS", "-ERR unknown user name or bad password.\r\n")]);
    let ended = said("pop3://joe@{}", first.address, "check --auth user-pass");
    says(&ended, &["refused"], &["signed in before"]);
}

#[test]
fn under_tls_the_cure_is_never_tls_nodemailer_1714() {
    let (server, _directory, trust) = behind_tls(
        Protocol::Smtp,
        &[
            ("EHLO", "250-mail.example\r\n250 AUTH PLAIN XOAUTH2\r\n"),
            ("AUTH", "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.\r\n"),
        ],
    );
    let ended = said(&format!("smtps://joe@localhost:{}", server.address.port()), server.address, &trust);
    assert_eq!(ended.code, 5, "{}", ended.stdout);
    says(&ended, &["--token-command", "XOAUTH2"], &["use TLS", "check both"]);
    let weak = "534 5.7.9 Authentication mechanism is too weak\r\n";
    let rules = Box::leak(Box::new([("EHLO", "250-m\r\n250 AUTH PLAIN LOGIN\r\n"), ("AUTH", weak)]));
    let (server, _directory, trust) = behind_tls(Protocol::Smtp, rules);
    let url = format!("smtps://joe@localhost:{}", server.address.port());
    let ended = said(&url, server.address, &trust);
    says(&ended, &["by PLAIN, our choice", "LOGIN (--auth login)"], &["use TLS", "--starttls"]);
    let ended = said(&url, server.address, &format!("{trust} --auth plain"));
    says(&ended, &["by PLAIN, as --auth says", "LOGIN (--auth login)"], &["our choice"]);
}

#[test]
fn without_tls_it_is_named_as_it_can_be_had() {
    const REFUSED: (&str, &str) = ("LOGIN", "{t} NO [PRIVACYREQUIRED] Plaintext authentication disallowed\r\n");
    let server = imap("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", &[REFUSED]);
    says(&said("imap://joe@{}", server.address, "check"), &["--starttls", "imaps://"], &["--plaintext"]);
    let server = imap("* OK [CAPABILITY IMAP4rev1] hi\r\n", &[REFUSED]);
    says(&said("imap://joe@{}", server.address, "check"), &["imaps://"], &["--starttls", "--plaintext"]);
    let server = imap("* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] hi\r\n", &[]);
    says(&said("imap://joe@{}", server.address, "check"), &["imaps://"], &["--starttls", "--plaintext"]);
    // What --auth asks for and is not there.
    let ended = said("imap://joe@{}", imap(GREETING, &[]).address, "check --auth plain");
    says(&ended, &["leave it out"], &["one of these"]);
    let ended = said("imap://joe@{}", imap(GREETING, &[]).address, "check --auth xoauth2");
    says(&ended, &["not what --auth asks for"], &["leave it out"]);
    let ended = said("imap://joe@{}", imap(GREETING, &[]).address, "check --starttls");
    says(&ended, &["leave --starttls out"], &["--plaintext"]);
}

#[test]
fn where_nobody_can_sign_in_the_url_may_do_without_a_user() {
    let none: Rules = &[("EHLO", "250-mail.example\r\n250 PIPELINING\r\n")];
    let ended = said("smtp://joe@{}", Server::smtp(none).address, "check");
    says(&ended, &["smtps://", "name no user in the URL (smtp://host)"], &["--starttls", "--plaintext"]);
    let (server, _directory, trust) = behind_tls(Protocol::Smtp, none);
    let ended = said(&format!("smtps://joe@localhost:{}", server.address.port()), server.address, &trust);
    says(&ended, &["name no user in the URL (smtps://host)"], &["TLS", "--auth"]);
}

#[test]
fn a_limit_that_is_met_alone_is_held_by_others() {
    let full =
        "{t} NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)\r\n";
    let rules: Rules = Box::leak(Box::new([("LOGIN", full)]));
    let ended = said("imap://joe@{}", imap(GREETING, rules).address, "check");
    assert_eq!(ended.code, 6);
    says(&ended, &["other clients of the account"], &["use fewer", "dispose"]);
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        if peer.number == 0 { answer(peer, &[]) } else { answer(peer, rules) }
    });
    let run = "run --mode use-default -t 2 -n 20 --pause 20ms --ops noop --progress never";
    says(&said("imap://joe@{}", server.address, run), &["use fewer"], &["other clients"]);
}

#[test]
fn a_refused_message_says_what_of_it_can_be_changed_docker_mailserver_3824() {
    let send = "run --ops send --allow-writes --to ann@example.org -n 1 -t 1 --progress never";
    let rules: Rules = &[
        ("EHLO", "250-mail.example\r\n250 AUTH PLAIN\r\n"),
        ("RCPT", "553 5.7.1 <joe@localhost>: Sender address rejected: not owned by user joe\r\n"),
    ];
    let ended = said("smtp://joe@{}", Server::smtp(rules).address, send);
    assert_eq!(ended.code, 1, "{}", ended.stdout);
    says(&ended, &["it was sent as joe", "--from ADDRESS"], &["--to"]);
    let rules: Rules = &[
        ("EHLO", "250-mail.example\r\n250 AUTH PLAIN\r\n"),
        ("RCPT", "554 5.7.1 <ann@example.org>: Relay access denied\r\n"),
    ];
    let server = Server::smtp(rules);
    says(&said("smtp://{}", server.address, send), &["name a user in the URL"], &["--from"]);
    says(&said("smtp://joe%40example.net@{}", server.address, send), &["--to ADDRESS"], &["name a user"]);
    let rules: Rules = &[("MAIL", "530 5.7.0 Authentication required\r\n")];
    says(&said("smtp://{}", Server::smtp(rules).address, send), &["name a user in the URL"], &["TLS"]);
}

#[test]
fn a_sign_in_that_took_all_the_time_does_not_blame_an_earlier_one() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        while peer.line().is_some() {}
    });
    let run = "run --mode use-default -t 3 -n 1 --ops noop --connect-timeout 500ms --format json";
    let report: Value = serde_json::from_str(&said("imap://joe@{}", server.address, run).stdout).unwrap();
    let rows: Vec<(u64, &str)> = list(&report["failures"])
        .iter()
        .map(|row| (row["count"].as_u64().unwrap(), row["message"].as_str().unwrap()))
        .collect();
    let earlier = |(_, message): &&(u64, &str)| message.contains("the one under way took all the time");
    assert_eq!(rows.iter().find(earlier).map(|(count, _)| *count), Some(2), "{rows:?}");
    assert!(rows.iter().any(|(count, message)| *count == 1 && message.contains("--connect-timeout")), "{rows:?}");
}

#[test]
fn a_token_in_the_clear_is_no_password() {
    let server = imap("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] hi\r\n", &[]);
    let token = |args: &str| {
        let url = format!("imap://joe@{}", server.address);
        let words = ["check", &url].into_iter().chain(args.split_whitespace());
        let mut command: Command = mailconn(words);
        end(command.arg("--token-command=printf tok").env("MAILCONN_PASSWORD", "tok-of-joe"))
    };
    for ended in [token(""), said("imap://joe@{}", server.address, "check --auth xoauth2")] {
        let findings = &ended.stdout[ended.stdout.find("Findings").unwrap()..];
        assert!(findings.contains("the token was sent in the clear"), "{}", ended.stdout);
        assert!(!findings.contains("password"), "{}", ended.stdout);
    }
    let report: Value = serde_json::from_str(&token("--format json").stdout).unwrap();
    assert_eq!(list(&report["findings"])[0]["id"], "token-in-the-clear", "{report:#}");
    let server = imap(
        "* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] hi\r\n",
        &[("AUTHENTICATE", "{t} NO [LIMIT] Too many connections\r\n")],
    );
    says(
        &said("imap://joe@{}", server.address, "check --auth xoauth2"),
        &["the token is not the matter"],
        &["password"],
    );
}

#[test]
fn what_a_pop3_server_does_not_say_is_not_known() {
    let offered = |check: &Value, name: &str| {
        let matter = list(&check["matters"]).iter().find(|matter| matter["name"] == name).cloned();
        matter.map(|matter| matter["offered"].clone())
    };
    let server = Server::pop3(&[("CAPA", "-ERR what?\r\n")]);
    let check = json("pop3://joe@{}", server.address, "check");
    assert_eq!(check["exit_code"], 0, "{check:#}");
    for (name, is) in [("STLS", None), ("AUTH", Some(true)), ("UIDL", None), ("TOP", None), ("RESP-CODES", None)] {
        assert_eq!(offered(&check, name), Some(is.map_or(Value::Null, Value::Bool)), "{name}: {check:#}");
    }
    assert_eq!(check["capabilities"]["before_sign_in"], Value::Null);
    let text = said("pop3://joe@{}", server.address, "check").stdout;
    assert!(text.contains("UIDL                not known ") && text.contains("the server does not say"), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    // One that answers and names nothing offers nothing.
    let server = Server::pop3(&[("CAPA", "+OK\r\n.\r\n")]);
    let check = json("pop3://joe@{}", server.address, "check");
    assert_eq!(offered(&check, "UIDL"), Some(false.into()), "{check:#}");
    // A delay of none is none, and another may be kept or not.
    for (delay, is) in [("LOGIN-DELAY 0", false), ("LOGIN-DELAY 00 USER", false), ("LOGIN-DELAY 900", true)] {
        let capa: &'static str = format!("+OK\r\nUSER\r\n{delay}\r\n.\r\n").leak();
        let server = Server::pop3(Box::leak(Box::new([("CAPA", capa)])));
        let check = json("pop3://joe@{}", server.address, "check");
        assert_eq!(offered(&check, "LOGIN-DELAY").is_some(), is, "{delay}: {check:#}");
        let finding = list(&check["findings"]).iter().find(|finding| finding["id"] == "login-delay");
        let says_may = |finding: &Value| finding["sentence"].as_str().unwrap().contains("may refuse");
        assert_eq!(finding.map(says_may), is.then_some(true), "{delay}: {check:#}");
    }
}

#[test]
fn a_policy_and_the_servers_own_trouble_are_no_wrong_password_php_imap_87_mailpile_2242() {
    let web =
        "{t} NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts (Failure)\r\n";
    let rules = Box::leak(Box::new([("LOGIN", web)]));
    let ended = said("imap://joe@{}", imap("* OK [CAPABILITY IMAP4rev1] hi\r\n", rules).address, "check");
    assert_eq!(ended.code, 5, "{}", ended.stdout);
    says(&ended, &["auth-policy", "an app password"], &["refused the user or the password", "--token-command"]);
    let offered = "* OK [CAPABILITY IMAP4rev1 AUTH=OAUTHBEARER] hi\r\n";
    let ended = said("imap://joe@{}", imap(offered, rules).address, "check");
    says(&ended, &["an app password", "--token-command (the server offers OAUTHBEARER)"], &["check both"]);
    let server = imap("* OK [CAPABILITY IMAP4rev1] hi\r\n", &[("LOGIN", "{t} NO LOGIN System error\r\n")]);
    let ended = said("imap://joe@{}", server.address, "check");
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    says(&ended, &["server-unavailable", "not for the password", "try again later"], &["check", "--auth"]);
    let busy = "{t} NO [UNAVAILABLE] Busy, try again in 5 minutes\r\n";
    let server = imap("* OK [CAPABILITY IMAP4rev1] hi\r\n", Box::leak(Box::new([("LOGIN", busy)])));
    says(&said("imap://joe@{}", server.address, "check"), &["wait 5 min"], &["check both"]);
}

#[test]
fn a_server_that_does_not_know_the_upgrade_it_offers_is_server_bad() {
    let imap = imap("* OK [CAPABILITY IMAP4rev1 STARTTLS] hi\r\n", &[("STARTTLS", "{t} BAD Unknown command\r\n")]);
    let pop3 = Server::pop3(&[("CAPA", "+OK\r\nUSER\r\nSTLS\r\n.\r\n"), ("STLS", "-ERR unknown command\r\n")]);
    let smtp = Server::smtp(&[
        ("EHLO", "250-mail\r\n250 STARTTLS\r\n"),
        ("STARTTLS", "502 5.5.1 Command not implemented\r\n"),
    ]);
    for (scheme, server) in [("imap", imap), ("pop3", pop3), ("smtp", smtp)] {
        let ended = said(&format!("{scheme}://joe@{{}}"), server.address, "check --starttls");
        assert_eq!(ended.code, 4, "{}", ended.stdout);
        says(&ended, &["server-bad", &format!("{scheme}s://")], &["tls-handshake"]);
    }
}

#[test]
fn a_close_after_words_is_no_close_without_a_word() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        peer.line();
        peer.send("* NO [WEBALERT https://a.example/x] Web login required.\r\n");
    });
    let ended = said("imap://joe@{}", server.address, "check");
    says(&ended, &["WEBALERT", "before its answer was complete"], &["without a word"]);
}

/// A server that repeats the password in another encoding than ours shows it all the same.
#[test]
fn a_password_repeated_in_latin_1_is_masked() {
    let server = Server::start(|peer| {
        peer.send(GREETING);
        while let Some(line) = peer.line() {
            let tag = line.split(' ').next().unwrap().to_owned();
            if line.contains("LOGIN") && line.ends_with('}') {
                peer.send("+ go\r\n");
                peer.line();
            }
            peer.send_bytes(b"* NO you said topsecr\xe9t99\r\n");
            peer.send(&format!("{tag} NO no\r\n"));
        }
    });
    let url = format!("imap://joe@{}", server.address);
    let ended = end(mailconn(["check", &url, "--auth", "user-pass"]).env("MAILCONN_PASSWORD", "topsecr\u{e9}t99"));
    assert!(!ended.stdout.contains("topsec") && ended.stdout.contains("you said"), "{}", ended.stdout);
}
