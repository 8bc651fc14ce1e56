//! `mailconn check`: what it shows of a connection, when, and with what code it exits.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;

use super::process::{Ended, PASSWORD, end, eventually, list, mailconn, number, shell, start, start_unread};
use crate::protocol::scripted::{GREETING, Peer, Server};
use crate::protocol::tls::authority;

/// What a server answers where it does not do as usual: to that command, this. An empty answer closes.
pub(super) type Unusual = &'static [(&'static str, &'static str)];

fn check<'a>(url: &'a str, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = mailconn(["check", url].into_iter().chain(args));
    command.env("MAILCONN_PASSWORD", PASSWORD);
    command
}

/// As joe, with short deadlines.
fn on(protocol: &str, server: SocketAddr, args: &str) -> Command {
    let url = format!("{protocol}://joe@{server}");
    check(&url, ["--connect-timeout=600ms", "--timeout=600ms"].into_iter().chain(args.split_whitespace()))
}

/// The report for people and the JSON report, which must agree on the exit code.
#[track_caller]
fn both(protocol: &str, server: SocketAddr, args: &str) -> (Ended, Value) {
    let text = end(&mut on(protocol, server, args));
    assert!(!text.stdout.contains('\x1b'), "{:?}", text.stdout);
    // Scripts look for the last line: it is never broken.
    let wide = text.stdout.lines().find(|line| line.chars().count() > 80 && !line.starts_with("exit "));
    assert_eq!(wide, None, "{}", text.stdout);
    assert_eq!(text.stderr, "");
    let json = json(&end(&mut on(protocol, server, &format!("{args} --format json"))));
    assert_eq!(json["exit_code"], text.code, "{json:#}\n{}", text.stdout);
    assert!(text.stdout.contains(&format!("\nexit {}: ", text.code)), "{}", text.stdout);
    (text, json)
}

#[track_caller]
fn json(ended: &Ended) -> Value {
    let json: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    assert_eq!(json["exit_code"], ended.code, "{json:#}");
    assert_eq!(json["schema_version"], 1);
    json
}

/// It fails like that, and says so in both forms; the text in the words given.
#[track_caller]
pub(super) fn fails(protocol: &str, server: SocketAddr, args: &str, code: i32, failure: &str, said: &[&str]) -> Value {
    let (text, json) = both(protocol, server, args);
    assert_eq!(text.code, code, "{}", text.stdout);
    let first = &list(&json["failures"])[0];
    let found = format!("{} at {}", first["kind"].as_str().unwrap(), first["stage"].as_str().unwrap());
    assert_eq!(found, failure, "{json:#}");
    assert_eq!(list(&json["steps"]).iter().find(|step| step["failure"].is_object()).unwrap()["failure"], *first);
    let unwrapped = text.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for said in said {
        assert!(unwrapped.contains(said), "{said:?} is missing: {}", text.stdout);
    }
    assert!(text.took < Duration::from_secs(8), "{:?}", text.took);
    json
}

/// The steps of the JSON report, in order.
pub(super) fn steps(json: &Value) -> Vec<&str> {
    list(&json["steps"]).iter().map(|step| step["step"].as_str().unwrap()).collect()
}

pub(super) fn findings(json: &Value) -> Vec<&str> {
    list(&json["findings"]).iter().map(|finding| finding["id"].as_str().unwrap()).collect()
}

/// What matters: `ID`, `no IDLE`, `SIZE=1000`.
fn matters(json: &Value) -> Vec<String> {
    let shown = |matter: &Value| {
        let no = match matter["offered"].as_bool() {
            Some(true) => "",
            Some(false) => "no ",
            None => "perhaps ",
        };
        let value = matter["value"].as_str().map(|value| format!("={value}")).unwrap_or_default();
        assert!(!matter["why"].as_str().unwrap().is_empty());
        format!("{no}{}{value}", matter["name"].as_str().unwrap())
    };
    list(&json["matters"]).iter().map(shown).collect()
}

/// An IMAP server's reply to a line; none if it hangs up instead.
fn imap_reply(line: &str, unusual: Unusual) -> Option<String> {
    let (tag, command) = line.split_once(' ')?;
    let verb = command.split(' ').next()?;
    let usual = match verb {
        "CAPABILITY" => "* CAPABILITY IMAP4rev1 ID IDLE\r\n{t} OK\r\n",
        "STATUS" => "* STATUS INBOX (MESSAGES 3 UNSEEN 1 UIDNEXT 4)\r\n{t} OK\r\n",
        "LOGOUT" => "* BYE bye\r\n{t} OK\r\n",
        _ => "{t} OK\r\n",
    };
    let reply = unusual.iter().find(|(unusual, _)| *unusual == verb).map_or(usual, |(_, reply)| reply);
    (!reply.is_empty()).then(|| reply.replace("{t}", tag))
}

pub(super) fn imap(greeting: &'static str, unusual: Unusual) -> Server {
    Server::start(move |peer| {
        peer.send(greeting);
        while let Some(reply) = peer.line().and_then(|line| imap_reply(&line, unusual)) {
            peer.send(&reply);
        }
    })
}

/// The same behind TLS. `before` is said in the clear first, a part before each line that is heard there.
fn imap_with_tls(config: Arc<ServerConfig>, before: &'static [&'static str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (config, stream) = (Arc::clone(&config), stream.unwrap());
            thread::spawn(move || speak_tls(stream, config, before));
        }
    });
    address
}

fn speak_tls(mut stream: TcpStream, config: Arc<ServerConfig>, before: &[&str]) {
    for (number, part) in before.iter().enumerate() {
        stream.write_all(part.as_bytes()).unwrap();
        // Byte by byte: nothing of the handshake may be swallowed.
        let mut byte = [0];
        while number + 1 < before.len() && byte[0] != b'\n' && stream.read(&mut byte).unwrap_or(0) == 1 {}
    }
    let mut tls = BufReader::new(StreamOwned::new(ServerConnection::new(config).unwrap(), stream));
    if before.is_empty() && tls.get_mut().write_all(GREETING.as_bytes()).is_err() {
        return;
    }
    let mut line = String::new();
    while tls.read_line(&mut line).is_ok_and(|read| read > 0) {
        let Some(reply) = imap_reply(line.trim_end(), &[]) else { return };
        if tls.get_mut().write_all(reply.as_bytes()).is_err() {
            return;
        }
        line.clear();
    }
}

/// A server of the others: `verb` in a line is answered like that. The rest of the line is of no interest.
fn lines(greeting: &'static str, replies: Unusual) -> Server {
    Server::start(move |peer: &mut Peer| {
        peer.send(greeting);
        while let Some(line) = peer.line() {
            let verb = line.split(' ').next().unwrap();
            let reply = replies.iter().find(|(known, _)| *known == verb).map_or("500 what?\r\n", |(_, reply)| reply);
            if reply.is_empty() || !peer.send(reply) || verb == "QUIT" {
                return;
            }
        }
    })
}

#[test]
fn the_sandbox_is_shown_step_by_step() {
    let ended = end(&mut mailconn(["check", "sandbox"]));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
    let labels: Vec<&str> = ended.stdout.lines().map_while(|line| line.get(..9)).map(str::trim).collect();
    let order: Vec<&str> = labels.into_iter().filter(|label| !label.is_empty()).take(12).collect();
    assert_eq!(
        order,
        [
            "check san",
            "mailconn",
            "resolve",
            "connect",
            "greeting",
            "offers",
            "sign-in",
            "offers",
            "label",
            "operation",
            "operation",
            "logout"
        ]
    );
    for said in
        ["from our port ", "by PLAIN", "after the sign-in: ", "status of INBOX: 30 messages", "\nexit 0: it works"]
    {
        assert!(ended.stdout.contains(said), "{said:?} is missing: {}", ended.stdout);
    }
    for line in ended.stdout.lines() {
        assert!(line.chars().count() <= 80, "{line}");
    }
}

#[test]
fn the_json_report_holds_the_same() {
    let json = json(&end(&mut mailconn(["check", "--format", "json"])));
    assert_eq!(
        steps(&json),
        ["resolve", "connect", "greeting", "offers", "sign-in", "offers", "operation", "operation", "logout"]
    );
    assert!(list(&json["steps"]).iter().all(|step| step["ok"] == true && step["failure"].is_null()));
    let total: u64 = list(&json["steps"]).iter().map(|step| number(&step["took_us"])).sum();
    assert!(total <= number(&json["elapsed_us"]) && total > 0, "the steps are parts of the whole: {json:#}");
    assert_eq!(json["address"], format!("127.0.0.1:{}", json["address"].as_str().unwrap().rsplit(':').next().unwrap()));
    assert_eq!(json["addresses"], serde_json::json!(["127.0.0.1"]));
    assert!(number(&json["local_port"]) > 0);
    assert_eq!((&json["protocol"], &json["security"]), (&"imap".into(), &"plain".into()));
    assert_eq!(
        (&json["signed_in"], &json["sign_in_tried_by"], &json["label"]),
        (&true.into(), &"PLAIN".into(), &"#0".into())
    );
    assert_eq!((&json["tls"], &json["interrupted"]), (&Value::Null, &Value::Null));
    assert!(json["greeting"].as_str().unwrap().starts_with("* OK "));
    assert!(json["capabilities"]["before_tls"].is_null());
    assert!(list(&json["capabilities"]["before_sign_in"]).contains(&"AUTH=PLAIN".into()));
    assert!(list(&json["capabilities"]["after_sign_in"]).contains(&"NAMESPACE".into()));
    assert!(matters(&json).starts_with(&[
        "no STARTTLS".to_owned(),
        "AUTH=LOGIN, PLAIN, the LOGIN command".to_owned(),
        "SASL-IR".to_owned()
    ]));
    assert_eq!(findings(&json), ["password-in-the-clear"]);
    assert_eq!(list(&json["findings"])[0]["severity"], "advice", "only this machine heard it");
    assert_eq!(list(&json["failures"]).len(), 0);
}

#[test]
fn every_way_into_the_sandbox_works_and_shows_its_steps() {
    let plain: &[&str] = &["resolve", "connect", "greeting", "offers", "sign-in"];
    let upgraded: &[&str] = &["resolve", "connect", "greeting", "offers", "tls", "offers", "sign-in"];
    let implicit: &[&str] = &["resolve", "connect", "tls", "greeting", "offers", "sign-in"];
    for (protocol, after) in [
        ("imap", &["offers", "operation", "operation", "logout"][..]),
        ("smtp", &["operation", "logout"]),
        ("pop3", &["offers", "operation", "logout"]),
    ] {
        for (ending, args, before, security) in
            [("", "", plain, "plain"), ("", "--starttls", upgraded, "starttls"), ("s", "", implicit, "tls")]
        {
            let server = format!("sandbox+{protocol}{ending}");
            let args = args.split_whitespace().chain(["--format", "json"]);
            let json = json(&end(&mut mailconn(["check", &server].into_iter().chain(args))));
            assert_eq!(json["exit_code"], 0, "{json:#}");
            assert_eq!(steps(&json), [before, after].concat(), "{server} {security}");
            assert_eq!((&json["protocol"], &json["security"]), (&protocol.into(), &security.into()));
            assert_eq!(json["tls"]["verified"] == true, security != "plain", "{json:#}");
            let in_the_clear = findings(&json).contains(&"password-in-the-clear");
            assert_eq!(in_the_clear, security == "plain", "{json:#}");
        }
    }
}

#[test]
fn the_connection_can_be_transcribed_without_its_password() {
    let directory = tempfile::tempdir().unwrap();
    let server = imap(GREETING, &[]);
    let ended = end(&mut on("imap", server.address, &format!("--transcript {}", directory.path().display())));
    assert_eq!((ended.code, &*ended.stderr), (0, ""), "{}", ended.stdout);
    let files: Vec<_> = std::fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 1, "one connection, one file");
    let text = std::fs::read_to_string(&files[0]).unwrap();
    assert!(text.contains("LOGIN") && text.contains("NOOP") && !text.contains(PASSWORD), "{text}");
}

#[test]
fn the_server_may_come_from_the_environment() {
    let server = imap(GREETING, &[]);
    let url = format!("imap://joe@{}", server.address);
    let mut command = mailconn(["check", "--format", "json"]);
    let ended = end(command.env("MAILCONN_SERVER", &url).env("MAILCONN_PASSWORD", PASSWORD));
    assert_eq!((ended.code, &json(&ended)["server"]), (0, &url.into()));
}

#[test]
fn a_server_that_is_silent_about_it_is_asked_again_what_it_offers() {
    let server = imap(GREETING, &[]);
    let (text, json) = both("imap", server.address, "");
    assert_eq!(text.code, 0, "{}", text.stdout);
    assert!(text.stdout.contains("after the sign-in: IMAP4rev1 ID IDLE\n"), "{}", text.stdout);
    let verbs: Vec<String> =
        server.heard().iter().take(6).map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(verbs, ["LOGIN", "CAPABILITY", "ID", "NOOP", "STATUS", "LOGOUT"]);
    assert_eq!(
        matters(&json),
        [
            "no STARTTLS",
            "AUTH=the LOGIN command",
            "no SASL-IR",
            "ID",
            "IDLE",
            "no COMPRESS=DEFLATE",
            "no LITERAL+",
            "no QRESYNC"
        ]
    );
}

#[test]
fn a_server_that_signs_in_by_itself_needs_no_password() {
    let server = imap("* PREAUTH [CAPABILITY IMAP4rev1 ID] joe it is\r\n", &[]);
    let (text, json) = both("imap", server.address, "");
    assert_eq!(text.code, 0, "{}", text.stdout);
    assert!(text.stdout.contains("not needed, the server has done it already (PREAUTH)"), "{}", text.stdout);
    assert_eq!((&json["sign_in_tried_by"], &json["signed_in"]), (&Value::Null, &true.into()));
    assert_eq!((server.heard_verb("LOGIN"), findings(&json).len()), (0, 0));
}

#[test]
fn a_wrong_password_is_5_with_the_servers_own_line_and_one_attempt() {
    let server = imap(GREETING, &[("LOGIN", "{t} NO [AUTHENTICATIONFAILED] Authentication failed.\r\n")]);
    let said = [
        "sign-in ",
        "auth-invalid the server said: NO [AUTHENTICATIONFAILED] Authentication failed. the server \
                 refused the user or the password; check both",
    ];
    let json = fails("imap", server.address, "", 5, "auth-invalid at auth", &said);
    assert_eq!(steps(&json), ["resolve", "connect", "greeting", "offers", "sign-in"]);
    assert_eq!((&json["signed_in"], &json["sign_in_tried_by"]), (&false.into(), &"LOGIN".into()));
    assert_eq!((server.heard_verb("LOGIN"), server.heard_verb("LOGOUT")), (2, 2), "once for each of the two forms");
    assert!(!matters(&json).iter().any(|matter| matter.contains("IDLE")), "who knows what it offers after a sign-in");
}

#[test]
fn a_limit_is_6_at_the_greeting_at_the_sign_in_and_after() {
    let full = "* BYE [ALERT] Too many simultaneous connections. (Failure)\r\n";
    let server = Server::start(move |peer| assert!(peer.send(full)));
    fails("imap", server.address, "", 6, "limit-connections at greeting", &["Too many simultaneous connections"]);
    let refusal =
        "{t} NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)\r\n";
    let server = Server::start(move |peer| {
        peer.send(GREETING);
        peer.answer(refusal);
        peer.wait_for_close();
    });
    fails("imap", server.address, "", 6, "limit-connections at auth", &["(the password is not the matter)"]);
    let throttled = "{t} BAD Request is throttled. Suggested Backoff Time: 300 milliseconds\r\n";
    let server = Server::start(move |peer| {
        peer.sign_in();
        while peer.line().is_some_and(|line| peer.send(&reply_or(&line, "STATUS", throttled))) {}
    });
    let json = fails("imap", server.address, "", 6, "limit-rate at operation", &["Suggested Backoff Time"]);
    assert_eq!(steps(&json).last(), Some(&"logout"), "it still signs out: {json:#}");
}

/// Its last line says what it objects to.
#[test]
fn a_throttle_is_not_called_a_limit_on_connections() {
    for (refusal, ends) in [
        ("{t} NO Too many login attempts\r\n", "\nexit 6: throttled by the server (limit-rate at auth)"),
        (
            "{t} NO [LIMIT] Too many connections\r\n",
            "\nexit 6: refused by a connection limit (limit-connections at auth)",
        ),
    ] {
        let server = Server::start(move |peer| {
            peer.send(GREETING);
            peer.answer(refusal);
            peer.wait_for_close();
        });
        let ended = end(&mut on("imap", server.address, "--plaintext"));
        assert_eq!(ended.code, 6, "{}", ended.stdout);
        assert!(ended.stdout.contains(ends), "{}", ended.stdout);
    }
}

/// The usual reply, but to that verb.
fn reply_or(line: &str, verb: &str, reply: &str) -> String {
    let (tag, command) = line.split_once(' ').unwrap();
    if command.starts_with(verb) { reply.replace("{t}", tag) } else { imap_reply(line, &[]).unwrap() }
}

#[test]
fn what_does_not_come_to_a_session_is_4() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let json = fails("imap", nobody, "", 4, "connect-refused at connect", &["check host and port"]);
    assert_eq!(steps(&json), ["resolve", "connect"]);
    assert_eq!((matters(&json).len(), findings(&json).len()), (0, 0));
    let ssh = Server::start(|peer| drop((peer.send("SSH-2.0-OpenSSH\r\n"), peer.line())));
    fails(
        "imap",
        ssh.address,
        "",
        4,
        "greeting at greeting",
        &["the server said: SSH-2.0-OpenSSH", "check host and port"],
    );
    let silent = Server::start(|peer| drop(peer.line()));
    fails("imap", silent.address, "", 4, "timeout at greeting", &["this port speaks TLS first (imaps://)"]);
    let mail = Server::start(|peer| drop((peer.send("220 mx ESMTP\r\n"), peer.line())));
    fails("pop3", mail.address, "", 4, "greeting at greeting", &["greets like SMTP, not POP3"]);
}

#[test]
fn an_operation_that_fails_is_1_and_so_is_a_goodbye() {
    let server = imap(GREETING, &[("STATUS", "{t} NO [NOPERM] not yours\r\n")]);
    let json =
        fails("imap", server.address, "", 1, "server-no at operation", &["the server said: NO [NOPERM] not yours"]);
    assert_eq!(steps(&json)[5..], ["offers", "operation", "operation", "logout"]);
    let server = imap(GREETING, &[("NOOP", "")]);
    let json = fails("imap", server.address, "", 1, "closed at operation", &["closed the connection without a word"]);
    assert_eq!(steps(&json).last(), Some(&"operation"), "there is nobody to say goodbye to");
    let server = Server::start(|peer| {
        peer.sign_in();
        while peer.line().is_some_and(|line| !line.ends_with("NOOP") && peer.send(&imap_reply(&line, &[]).unwrap())) {}
        while peer.line().is_some() {}
    });
    fails("imap", server.address, "", 1, "timeout at operation", &["it hangs"]);
    let server = imap(GREETING, &[("LOGOUT", "")]);
    let json = fails("imap", server.address, "", 1, "closed at logout", &["the server did not answer LOGOUT"]);
    assert!(findings(&json).contains(&"no-goodbye"), "{json:#}");
}

#[test]
fn tls_is_shown_with_what_it_agreed_on() {
    let authority = authority("ours");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &authority.pem).unwrap();
    let trust = format!("--ca-file={}", file.display());
    let address = imap_with_tls(authority.server(|_| {}), &[]);
    let url = format!("imaps://joe@localhost:{}", address.port());
    let text = end(&mut check(&url, [&*trust]));
    assert_eq!(text.code, 0, "{}", text.stdout);
    for said in
        ["  TLSv1.3, TLS13_", "  certificate for localhost, from CN=ours\n", " days left)\n", "\nFindings: none\n"]
    {
        assert!(text.stdout.contains(said), "{said:?} is missing: {}", text.stdout);
    }
    let over_tls = json(&end(&mut check(&url, [&*trust, "--format=json"])));
    assert_eq!(steps(&over_tls)[..4], ["resolve", "connect", "tls", "greeting"]);
    assert_eq!((&over_tls["tls"]["version"], &over_tls["security"]), (&"TLSv1.3".into(), &"tls".into()));
    assert_eq!(over_tls["tls"]["certificate"]["names"], serde_json::json!(["localhost"]));
    assert_eq!((&over_tls["tls"]["verified"], &over_tls["tls"]["server_name"]), (&true.into(), &"localhost".into()));
    assert!(!matters(&over_tls).iter().any(|matter| matter.contains("STARTTLS")), "there is no need for it");

    let before: &[&str] = &["* OK [CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED] hi\r\n", "a1 OK begin\r\n"];
    let address = imap_with_tls(authority.server(|_| {}), before);
    let url = format!("imap://joe@localhost:{}", address.port());
    let upgraded = json(&end(&mut check(&url, ["--starttls", &*trust, "--format=json"])));
    assert_eq!(steps(&upgraded)[..6], ["resolve", "connect", "greeting", "offers", "tls", "offers"], "{upgraded:#}");
    assert_eq!(upgraded["capabilities"]["before_tls"][1], "STARTTLS");
    assert_eq!(upgraded["capabilities"]["before_sign_in"], serde_json::json!(["IMAP4rev1", "ID", "IDLE"]));
    assert_eq!((&upgraded["exit_code"], &matters(&upgraded)[0]), (&0.into(), &"STARTTLS".to_owned()));
}

#[test]
fn tls_that_fails_is_4_with_the_cure() {
    let (ours, theirs) = (authority("ours"), authority("theirs"));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    std::fs::write(&file, &ours.pem).unwrap();
    let trust = format!("--ca-file={}", file.display());
    let unknown = imap_with_tls(theirs.server(|_| {}), &[]);
    fails("imaps", unknown, &trust, 4, "tls-certificate at tls", &["tls ", "unknown issuer (CN=theirs): "]);
    let waived = end(&mut on("imaps", unknown, "--insecure"));
    assert_eq!(waived.code, 0, "{}", waived.stdout);
    assert!(waived.stderr.contains("WARNING") && waived.stdout.contains("NOT VERIFIED"), "{}", waived.stdout);
    let plain = imap(GREETING, &[]);
    fails("imaps", plain.address, &trust, 4, "tls-handshake at tls", &["answered in plaintext, not TLS"]);
    let args = format!("--starttls {trust}");
    let stripped = fails("imap", plain.address, &args, 4, "tls-handshake at tls", &["offers no STARTTLS"]);
    assert_eq!(plain.heard_verb("LOGIN"), 0, "nothing is said in the clear");
    assert_eq!((&stripped["sign_in_tried_by"], findings(&stripped).len()), (&Value::Null, 0));
}

const SMTP: Unusual = &[
    ("EHLO", "250-mx.example.org\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n"),
    ("AUTH", "235 2.7.0 in\r\n"),
    ("RSET", "250 2.0.0 ok\r\n"),
    ("QUIT", "221 2.0.0 bye\r\n"),
];

#[test]
fn smtp_is_checked_with_rset_and_without_a_user_by_nobody() {
    let server = lines("220 mx.example.org ESMTP\r\n", SMTP);
    let (text, signed_in) = both("smtp", server.address, "--ehlo client.example.org");
    assert_eq!(text.code, 0, "{}", text.stdout);
    assert!(text.stdout.contains("offers") && text.stdout.contains("  SIZE 1000, 8BITMIME, AUTH PLAIN LOGIN\n"));
    assert!(text.stdout.contains("verify (RSET)"), "{}", text.stdout);
    assert_eq!(findings(&signed_in), ["password-in-the-clear", "no-pipelining"]);
    assert_eq!(
        matters(&signed_in),
        ["no STARTTLS", "AUTH=LOGIN, PLAIN", "no PIPELINING", "no CHUNKING", "SIZE=1000", "no ENHANCEDSTATUSCODES"]
    );
    assert_eq!(server.heard()[0], "EHLO client.example.org");

    let nobody = json(&end(&mut check(&format!("smtp://{}", server.address), ["--format=json"])));
    assert_eq!((&nobody["exit_code"], &nobody["signed_in"]), (&0.into(), &false.into()));
    assert_eq!(steps(&nobody), ["resolve", "connect", "greeting", "offers", "operation", "logout"]);
    assert_eq!(findings(&nobody), ["nobody-signed-in", "no-pipelining"]);
}

#[test]
fn an_smtp_server_without_auth_is_5_and_says_where_to_sign_in() {
    let server = lines("220 mx ESMTP\r\n", &[("EHLO", "250-mx\r\n250 PIPELINING\r\n"), ("QUIT", "221 bye\r\n")]);
    let said = ["users sign in on 465 (smtps://) or 587 (smtp://)"];
    let json = fails("smtp", server.address, "", 5, "auth-unsupported at auth", &said);
    assert_eq!(findings(&json), ["no-auth"]);
}

#[test]
fn pop3_says_what_its_lock_and_its_delay_mean() {
    let server = lines(
        "+OK POP3 ready\r\n",
        &[
            ("CAPA", "+OK\r\nTOP\r\nUSER\r\nLOGIN-DELAY 60 USER\r\nRESP-CODES\r\n.\r\n"),
            ("USER", "+OK\r\n"),
            ("PASS", "+OK\r\n"),
            ("STAT", "+OK 7 1000\r\n"),
            ("QUIT", "+OK\r\n"),
        ],
    );
    let (text, json) = both("pop3", server.address, "");
    assert_eq!(text.code, 0, "{}", text.stdout);
    assert!(text.stdout.contains("stat: 7 messages") && text.stdout.contains("after the sign-in: the same"));
    assert!(text.stdout.contains("the server wants 60 s between two sign-ins"), "{}", text.stdout);
    assert_eq!(findings(&json), ["login-delay", "password-in-the-clear", "one-owner"]);
    assert_eq!(
        matters(&json),
        [
            "no STLS",
            "AUTH=USER and PASS",
            "no PIPELINING",
            "no UIDL",
            "TOP",
            "RESP-CODES",
            "no AUTH-RESP-CODE",
            "LOGIN-DELAY=60 USER"
        ]
    );
}

#[test]
fn a_token_that_is_refused_is_fetched_once_more_and_that_is_shown() {
    let server = Server::start(|peer| {
        peer.send("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n");
        let refused = if peer.number % 2 == 0 { "{t} NO [AUTHENTICATIONFAILED] expired\r\n" } else { "{t} OK\r\n" };
        while peer.line().is_some_and(|line| peer.send(&reply_or(&line, "AUTHENTICATE", refused))) {}
    });
    let (text, json) = both("imap", server.address, "--token-command printf${IFS}token-%s${IFS}$$");
    assert_eq!(text.code, 0, "{}", text.stdout);
    for said in ["token ", "  fetched\n", "the token was refused; once more with a newer one", "by XOAUTH2"] {
        assert!(text.stdout.contains(said), "{said:?} is missing: {}", text.stdout);
    }
    let order = steps(&json);
    assert_eq!(order[3..8], ["offers", "token", "sign-in", "resolve", "connect"], "{order:?}");
    assert_eq!(list(&json["steps"])[5]["ok"], false);
    assert!(list(&json["failures"]).is_empty(), "it came to nothing in the end");
}

#[test]
fn a_token_that_cannot_be_sent_was_not_said_in_the_clear() {
    let server = imap("* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready\r\n", &[]);
    // Its output holds blanks.
    let json =
        fails("imap", server.address, "--token-command date", 5, "auth-unsupported at auth", &["it holds blanks"]);
    assert_eq!((&json["sign_in_tried_by"], findings(&json)), (&Value::Null, vec![]));
    assert_eq!(server.heard_verb("AUTHENTICATE"), 0);
}

#[test]
fn what_a_server_says_moves_no_cursor_and_repeats_no_password() {
    let server = Server::start(|peer| {
        peer.send("* OK \x1b[2J\u{202e}boo \x07\r\n");
        peer.answer("* CAPABILITY IMAP4rev1 \x1b[31mRED ID\r\n{t} OK\r\n");
        peer.answer(&format!("{{t}} NO [AUTHENTICATIONFAILED] not {PASSWORD}\x1b[0m\r\n"));
        peer.wait_for_close();
    });
    // `end` looks for the password in all that is said, `both` for escapes.
    let (text, json) = both("imap", server.address, "");
    assert_eq!(text.code, 5, "{}", text.stdout);
    assert!(!text.stdout.contains('\u{202e}') && text.stdout.contains("boo"), "{}", text.stdout);
    assert!(list(&json["failures"])[0]["server_line"].as_str().unwrap().contains("NO [AUTHENTICATIONFAILED] not "));
}

/// Everything up to the last line that holds `last`.
fn read_until(from: &mut impl BufRead, last: &str) -> String {
    let mut text = String::new();
    while !text.contains(last) {
        assert!(from.read_line(&mut text).unwrap() > 0, "{last:?} never came: {text}");
    }
    text
}

#[test]
fn lines_appear_as_the_steps_complete_and_an_interruption_leaves_them() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let server = imap_that_hangs();
        let mut command = check(&format!("imap://joe@{}", server.address), ["--connect-timeout=50s"]);
        let mut running = start_unread(&mut command);
        let mut stdout = BufReader::new(running.stdout());
        let shown = read_until(&mut stdout, "offers");
        assert!(shown.contains("ready") && !shown.contains("sign-in"), "{shown}");
        eventually("the sign-in is under way", || server.heard_verb("LOGIN") == 1);
        let sent = Instant::now();
        running.signal(signal);
        let rest = read_until(&mut stdout, "\nexit ");
        let ended = running.end();
        assert!(sent.elapsed() < Duration::from_secs(4), "{:?}", sent.elapsed());
        assert_eq!((ended.code, &*ended.stderr), (code, ""), "{rest}");
        assert!(rest.contains("  interrupted\n") && rest.contains(&format!("exit {code}: interrupted by SIG{signal}")));
    }
    let server = imap_that_hangs();
    let url = format!("imap://joe@{}", server.address);
    let running = start(&mut check(&url, ["--connect-timeout=50s", "--format=json"]));
    eventually("the sign-in is under way", || server.heard_verb("LOGIN") == 1);
    running.signal("INT");
    let report = json(&running.end());
    assert_eq!((&report["exit_code"], &report["interrupted"]), (&130.into(), &2.into()));
}

/// It never answers a sign-in.
fn imap_that_hangs() -> Server {
    Server::start(|peer| {
        peer.send(GREETING);
        while peer.line().is_some() {}
    })
}

#[test]
fn a_command_that_fetches_no_token_does_not_hold_an_interruption_up() {
    let server = imap("* OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready\r\n", &[]);
    let url = format!("imap://joe@{}", server.address);
    // It outlives us, and must not hold our streams open.
    let fetch = "--token-command=exec 2>&-; exec sleep 9";
    let mut running = start_unread(&mut check(&url, ["--connect-timeout=50s", fetch]));
    let mut stdout = BufReader::new(running.stdout());
    read_until(&mut stdout, "offers");
    let sent = Instant::now();
    running.signal("INT");
    let ended = running.end();
    assert_eq!(ended.code, 130);
    assert!(sent.elapsed() < Duration::from_secs(6), "{:?}", sent.elapsed());
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure_and_a_full_disk_is_2() {
    let ended = end(&mut shell("{} check sandbox | head -1; exit ${PIPESTATUS[0]}"));
    assert_eq!((ended.code, &*ended.stderr), (0, ""));
    assert!(ended.stdout.starts_with("check sandbox") && ended.stdout.lines().count() == 1);
    for format in ["text", "json"] {
        let ended = end(&mut shell(&format!("{{}} check sandbox --format {format} >/dev/full")));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.starts_with("mailconn: writing the report: "), "{}", ended.stderr);
    }
}

#[test]
fn wrong_usage_is_2_in_one_line() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let url = format!("imap://joe@{address}");
    let secret = format!("imap://joe:{PASSWORD}@{address}");
    for (args, cure) in [
        (vec!["ftp://joe@127.0.0.1"], "URL: unknown scheme ftp://; write imaps://user@host"),
        (vec!["127.0.0.1"], "URL: unknown scheme"),
        (vec!["imap://127.0.0.1"], "names no user"),
        (vec![&*secret], "URL: the address holds a password"),
        (vec!["sandbox", &*secret], "a server is named by its URL, and a password never belongs in it"),
        (vec!["--format", "ndjson", &*url], "text, json"),
        (vec!["--threads", "3", &*url], "see mailconn check --help"),
        (vec!["--password-stdin", "sandbox"], "the sandbox"),
        (vec!["--sandbox-connections", "3", &*url], "URL names a real server"),
        (vec!["--ehlo", "not a name", &*url], "neither a host name nor an address literal"),
        (vec!["--ca-file", "/nowhere/ca.pem", "--starttls", &*url], "cannot be read"),
    ] {
        let ended = end(mailconn(["check"].iter().chain(&args)).env("MAILCONN_PASSWORD", PASSWORD));
        assert_eq!((ended.code, &*ended.stdout), (2, ""), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.lines().count() == 1 && ended.stderr.contains(cure), "{args:?}: {}", ended.stderr);
    }
    server.set_nonblocking(true).unwrap();
    assert!(server.accept().is_err(), "nobody is dialled");
    let help = end(&mut mailconn(["check", "--help"]));
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("[URL]") && help.stdout.contains("Exit codes:"), "{}", help.stdout);
}
