//! Mail that is sent and mail that is stored: each message once, and seen where it should be.

use super::tool::{Protection, Protocol, SOON, Tool, assert_sums_hold};
use crate::support::dovecot::PrivateDovecot;
use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpStream;

/// The Message-IDs in a mailbox, as another client sees it by IMAP.
fn message_ids(server: &PrivateDovecot, user: &str) -> Vec<String> {
    let password = std::fs::read_to_string(server.password_file()).unwrap();
    let mut client = imap::Client::new(TcpStream::connect(("127.0.0.1", server.imap_port())).unwrap());
    client.read_greeting().unwrap();
    let mut session = client.login(user, password).map_err(|(error, _)| error).unwrap();
    session.examine("INBOX").unwrap();
    let fetched = session.fetch("1:*", "BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)]").unwrap();
    let header = |fetch: &imap::types::Fetch<'_>| String::from_utf8(fetch.header().unwrap().to_vec()).unwrap();
    let ids = fetched.iter().map(|fetch| header(fetch).trim().replace("Message-ID: ", "")).collect();
    session.logout().unwrap();
    ids
}

#[test]
fn eight_threads_send_fifty_messages_each_and_every_one_arrives_once() {
    let server = PrivateDovecot::builder().postfix().start();
    let tool = Tool::speaking(Protocol::Smtp, &server, "u1", Protection::StartTls);
    let flags = "--mode use-default -t 8 -n 50 --ops send --allow-writes --to u2@localhost";
    let (finished, report) = tool.with(flags).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    assert_eq!(report.totals()["operations"]["ok"], 400);

    let log = server.wait_for_postfix(SOON, |log| {
        log.messages.iter().map(crate::support::postfix_log::Message::sent).sum::<usize>() >= 400
    });
    let expected: BTreeSet<String> = (0..8)
        .flat_map(|worker| (1..=50).map(move |number| (worker, number)))
        .map(|(worker, number)| format!("<{}.w{worker}.{number}@mailconn.invalid>", report.run_id()))
        .collect();
    let delivered: Vec<&str> = log
        .messages
        .iter()
        .flat_map(|message| std::iter::repeat_n(message.message_id.as_deref().unwrap(), message.sent()))
        .collect();
    assert_eq!(delivered.len(), 400);
    assert_eq!(delivered.iter().map(|id| (*id).to_owned()).collect::<BTreeSet<_>>(), expected);
    // Each went over the session that the report says.
    let mut by_port: BTreeMap<u64, usize> = BTreeMap::new();
    for operation in report.events("operation") {
        *by_port.entry(operation["local_port"].as_u64().unwrap()).or_default() += 1;
    }
    assert_eq!(by_port.len(), 8);
    for (port, sent) in by_port {
        let session = log.on_port(u16::try_from(port).unwrap()).unwrap();
        assert_eq!((session.queue_ids.len(), sent), (50, 50), "port {port}");
    }

    let seen: Vec<String> =
        message_ids(&server, "u2").into_iter().filter(|id| id.contains("@mailconn.invalid")).collect();
    assert_eq!(seen.len(), 400, "each of them once");
    assert_eq!(BTreeSet::from_iter(seen), expected);
}

#[test]
fn a_refused_recipient_fails_the_operation_and_the_connection_sends_on() {
    let server = PrivateDovecot::builder().postfix().start();
    let tool = Tool::speaking(Protocol::Smtp, &server, "u1", Protection::Tls);
    let flags = "--mode use-default -t 1 -n 12 --seed 7 --ops send,noop --allow-writes --to nobody@localhost";
    let (finished, report) = tool.with(flags).streamed();
    assert_eq!(finished.code, 1, "{}{}", finished.stdout, finished.stderr);
    assert_sums_hold(report.totals());
    assert_eq!(report.events("session-opened").count(), 1, "the connection is as good as before");
    let sends = report.events("operation").filter(|operation| operation["operation"] == "send").count();
    assert!(sends > 1 && sends < 12, "the seed mixes both: {sends}");
    assert_eq!(report.failed().count(), sends);
    for failed in report.failed() {
        assert_eq!(failed["failure"]["kind"], "server-no");
        assert!(failed["failure"]["server_line"].as_str().unwrap().starts_with("550 5.1.1"), "{failed}");
    }
}

#[test]
fn sending_and_appending_need_leave_to_write() {
    let server = PrivateDovecot::builder().postfix().start();
    for (protocol, operation) in [(Protocol::Smtp, "send"), (Protocol::Imap, "append")] {
        let tool = Tool::speaking(protocol, &server, "u1", Protection::Plain).with("--ops noop").with("-n 1");
        assert_eq!(tool.finish().code, 0);
        let refused = Tool::speaking(protocol, &server, "u1", Protection::Plain).with("-n 1 --ops").with(operation);
        let finished = refused.finish();
        assert_eq!(finished.code, 2);
        assert!(finished.stderr.contains("--allow-writes"), "{}", finished.stderr);
    }
}

#[test]
fn appends_leave_no_mailbox_behind_and_disturb_no_other() {
    let server = PrivateDovecot::start();
    let before = server.doveadm(&["mailbox", "list", "-u", "u1"]);
    let tool = Tool::speaking(Protocol::Imap, &server, "u1", Protection::StartTls);
    let flags = "--mode use-main -t 4 -n 6 --ops append,noop,fetch --allow-writes";
    let (finished, report) = tool.with(flags).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    assert_eq!(report.totals()["operations"]["ok"], 24);
    assert!(report.events("operation").any(|operation| operation["operation"] == "append"));
    assert_eq!(report.events("mailbox-left").count(), 0);
    assert_eq!(server.doveadm(&["mailbox", "list", "-u", "u1"]), before);
}

#[test]
fn a_scratch_mailbox_is_made_where_the_servers_names_begin() {
    for (prefix, args, under) in [
        ("INBOX.", "", "INBOX.mailconn-"),
        ("INBOX.", "--scratch-under INBOX.Tests", "INBOX.Tests.mailconn-"),
        ("", "--scratch-under Tests", "Tests.mailconn-"),
    ] {
        let server = PrivateDovecot::builder().set("NAMESPACE_PREFIX", prefix).start();
        let before = server.doveadm(&["mailbox", "list", "-u", "u1"]);
        let tool = Tool::speaking(Protocol::Imap, &server, "u1", Protection::Plain);
        let flags = format!("--mode use-default -t 2 -n 3 --ops append --allow-writes {args}");
        let (finished, report) = tool.with(&flags).streamed();
        assert_eq!(finished.code, 0, "{prefix} {args}: {}{}", finished.stdout, finished.stderr);
        assert_eq!(report.totals()["operations"]["ok"], 6);
        assert_eq!(
            server.doveadm(&["mailbox", "list", "-u", "u1"]).lines().filter(|name| name.contains("mailconn")).count(),
            0
        );
        let log = server.wait_for(SOON, |log| log.sessions.len() == 2);
        let created =
            log.sessions.iter().flat_map(|session| &session.commands).filter(|command| command.verb == "CREATE");
        assert_eq!(created.count(), 6, "{under} {before}");
    }
}

#[test]
fn mail_is_sent_in_the_name_that_from_gives() {
    let server = PrivateDovecot::builder().postfix().start();
    let tool = Tool::speaking(Protocol::Smtp, &server, "u1", Protection::StartTls);
    let flags = "-t 1 -n 2 --ops send --allow-writes --from u7@localhost --to u2@localhost";
    let (finished, _) = tool.with(flags).streamed();
    assert_eq!(finished.code, 0, "{}{}", finished.stdout, finished.stderr);
    server.wait_for_postfix(SOON, |log| log.messages.iter().filter(|message| message.sent() > 0).count() == 2);
    let senders = server.doveadm(&["fetch", "-u", "u2", "hdr.from", "mailbox", "INBOX"]);
    assert_eq!(senders.matches("mailconn <u7@localhost>").count(), 2, "{senders}");
}
