//! What clients that nobody here wrote do to the server, and what they may expect of it.

use super::{Raw, end, serve};
use mailconn::sandbox::Options;

fn append(raw: &mut Raw, mailbox: &str, flags: &str, message: &str) {
    raw.send(format!("app APPEND {mailbox} {flags}{{{}+}}\r\n{message}\r\n", message.len()));
    let reply = raw.reply("app");
    assert!(reply.contains("app OK "), "{message:?}: {reply}");
}

/// The reply to `FETCH *` of that item.
fn last(raw: &mut Raw, item: &str) -> String {
    raw.ask(&format!("lst FETCH * {item}"))
}

#[test]
fn a_message_may_nest_as_deep_as_it_likes() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    let nested = |levels: usize, kind: &dyn Fn(usize) -> String| {
        (0..levels).map(kind).chain(["Content-Type: text/plain\r\n\r\ninnermost\r\n".to_owned()]).collect::<String>()
    };
    for (kind, message) in [
        (
            "multiparts",
            nested(1000, &|level| format!("Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n")),
        ),
        ("messages", nested(20_000, &|_| "Content-Type: message/rfc822\r\n\r\n".to_owned())),
        (
            "digests",
            nested(1000, &|level| {
                format!("Content-Type: multipart/digest; boundary=b{level}\r\n\r\n--b{level}\r\n\r\n")
            }),
        ),
    ] {
        append(&mut raw, "INBOX", "", &message);
        raw.ask("n NOOP");
        for item in ["BODYSTRUCTURE", "BODY", "ENVELOPE", "BODY.PEEK[1.1.1.1]", "BODY.PEEK[1.1.1.1.1.MIME]"] {
            let shown = last(&mut raw, item);
            assert!(shown.ends_with("lst OK Fetch completed.\r\n"), "{kind} {item}: {shown}");
        }
        let found = raw.ask("s SEARCH BODY innermost");
        assert!(found.contains("s OK "), "{kind}: {found}");
    }
    end(server);
}

#[test]
fn odd_messages_end_no_session() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    for message in [
        "\r\n",
        "\n",
        "",
        " ",
        ":",
        "\r\n\r\n",
        "\r",
        "Subject:",
        "Subject:\r\n",
        " folded\r\n first\r\n\r\n",
        "From:\r\nTo: ,;:<>\r\n\r\n",
        "From: (((\r\n\r\n",
        "From: \"\r\n\r\n",
        "To: g: a@b, c;, d\r\n\r\n",
        "Content-Type: multipart/mixed\r\n\r\n--x\r\n",
        "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\n----\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x--\r\n",
        "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n--x\r\n--x--",
        "Content-Type: message/rfc822\r\n",
        "Content-Type: message/rfc822\r\n\r\n",
        "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nDQo=\r\n",
        ":Content-Type:multipart/;boundary=b\nContent-Type:multipart/;boundary=c b\n\n--c b\
         Content-Type:message/rfc822\n\nContent-Type:message/rfc822\n\n\n--c b--",
        "Content-Type:multipart/digest;boundary=b\n\nb--b\n\nh\nContent-Type:message/rfc822\n\n\n--b--",
        "Content-Type: /\r\n\r\n",
        "Content-Type: text\r\n\r\nx",
        "Date: \r\nMessage-ID: <\r\n\r\n",
        "X\u{fffd}: \u{85}\r\n\r\n",
    ] {
        append(&mut raw, "INBOX", "", message);
        raw.ask("n NOOP");
        let items =
            "(ENVELOPE BODYSTRUCTURE BODY.PEEK[1] BODY.PEEK[1.MIME] BODY.PEEK[HEADER.FIELDS (From)] BODY.PEEK[2.1])";
        let shown = last(&mut raw, items);
        assert!(shown.ends_with("lst OK Fetch completed.\r\n"), "{message:?}: {shown}");
        let found = raw.ask("s SEARCH OR FROM x OR SUBJECT x OR BODY x SENTBEFORE 1-Jan-2020");
        assert!(found.ends_with("s OK Search completed.\r\n"), "{message:?}: {found}");
    }
    end(server);
}

#[test]
fn a_message_within_a_message_is_one_only_where_it_was_taken_apart() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    let kind = "Content-Type: message/rfc822\r\n";
    for message in [
        format!("{kind}Content-Transfer-Encoding: base64\r\n\r\nDQo=\r\n"),
        format!("{kind}Content-Transfer-Encoding: Quoted-Printable\r\n\r\n=\r\n"),
        format!("{kind}\r\n").repeat(40),
    ] {
        append(&mut raw, "INBOX", "", &message);
        raw.ask("n NOOP");
        let shown = last(&mut raw, "BODYSTRUCTURE");
        // Without an envelope and a body of its own a message/rfc822 is no body structure (RFC 3501 §9).
        assert!(shown.contains("(\"application\" \"octet-stream\" NIL NIL NIL "), "{message}: {shown}");
        assert!(!shown.contains("\"message\" \"rfc822\""), "{message}: {shown}");
    }
    end(server);
}

#[test]
fn an_envelope_keeps_groups_comments_and_encoded_words() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    for (field, expected) in [
        ("ann@a.example", "((NIL NIL \"ann\" \"a.example\"))"),
        ("Ann A <ann@a.example>", "((\"Ann A\" NIL \"ann\" \"a.example\"))"),
        ("ann@a.example (Ann A)", "((\"Ann A\" NIL \"ann\" \"a.example\"))"),
        ("\"A, nn\" <ann@a.example>", "((\"A, nn\" NIL \"ann\" \"a.example\"))"),
        (
            "friends: ann@a.example, Ben <ben@b.example>;",
            "((NIL NIL \"friends\" NIL)(NIL NIL \"ann\" \"a.example\")(\"Ben\" NIL \"ben\" \"b.example\")(NIL NIL NIL NIL))",
        ),
        ("undisclosed-recipients:;", "((NIL NIL \"undisclosed-recipients\" NIL)(NIL NIL NIL NIL))"),
        ("=?utf-8?q?J=C3=BCrgen?= <j@a.example>", "((\"=?utf-8?q?J=C3=BCrgen?=\" NIL \"j\" \"a.example\"))"),
    ] {
        append(&mut raw, "INBOX", "", &format!("From: x@y.example\r\nTo: {field}\r\nSubject: s\r\n\r\ntext\r\n"));
        raw.ask("n NOOP");
        let envelope = last(&mut raw, "ENVELOPE");
        // From, Sender and Reply-To come before To.
        let from = "((NIL NIL \"x\" \"y.example\"))";
        assert!(
            envelope.contains(&format!("\"s\" {from} {from} {from} {expected} NIL NIL NIL NIL)")),
            "{field}: {envelope}"
        );
    }
    end(server);
}

#[test]
fn a_search_for_an_address_looks_at_the_envelopes() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    append(
        &mut raw,
        "INBOX",
        "",
        "From: \"Ann\\\"s Post\" <ann@a.example>\r\nTo: club: =?utf-8?q?J=C3=BCrgen?= <j@a.example>;\r\n\r\n",
    );
    raw.ask("n NOOP");
    for (key, is_found) in [
        ("FROM ann@a.example", true),
        ("FROM \"ANN@A\"", true),
        ("FROM \"ann\\\"s post\"", true),
        ("FROM \"Post <ann\"", true),
        ("TO j@a.example", true),
        ("TO club", true),
        ("CHARSET UTF-8 TO {7+}\r\nJ\u{fc}rgen", true),
        ("TO ann", false),
        ("CC ann", false),
    ] {
        raw.send(format!("s SEARCH {key}\r\n"));
        let found = raw.reply("s");
        assert_eq!(found.contains(" 31"), is_found, "{key}: {found}");
    }
    end(server);
}

#[test]
fn recent_messages_are_shown_as_such_and_an_examine_leaves_them_so() {
    let server = serve(Options::default());
    let mut writer = Raw::signed_in(server.address());
    append(&mut writer, "INBOX", "", "Subject: new\r\n\r\n");
    let mut looker = Raw::signed_in(server.address());
    let examined = looker.ask("e EXAMINE INBOX");
    assert!(examined.contains("* 1 RECENT\r\n"), "{examined}");
    assert!(looker.ask("f FETCH 31 FLAGS").contains("FLAGS (\\Recent)"));
    assert!(looker.ask("s SEARCH RECENT").contains("* SEARCH 31\r\n"));
    assert!(writer.ask("t STATUS INBOX (RECENT)").contains("RECENT 1"));
    let mut first = Raw::signed_in(server.address());
    assert!(first.ask("s SELECT INBOX").contains("* 1 RECENT\r\n"));
    assert!(first.ask("f FETCH 31 FLAGS").contains("FLAGS (\\Recent)"));
    let mut second = Raw::signed_in(server.address());
    assert!(second.ask("s SELECT INBOX").contains("* 0 RECENT\r\n"));
    assert!(second.ask("f FETCH 31 FLAGS").contains("FLAGS ()"));
    assert!(looker.ask("e EXAMINE INBOX").contains("* 0 RECENT\r\n"));
    end(server);
}

#[test]
fn lsub_tells_of_the_parents_of_what_is_subscribed() {
    let server = serve(Options::default());
    let mut raw = Raw::signed_in(server.address());
    raw.ask("a SUBSCRIBE Lists/rust/users");
    raw.ask("b SUBSCRIBE Lists/mail");
    assert_eq!(
        raw.ask("c LSUB \"\" %"),
        "* LSUB () \"/\" Archive\r\n* LSUB () \"/\" INBOX\r\n* LSUB (\\Noselect) \"/\" Lists\r\n* LSUB () \"/\" Sent\r\nc OK Lsub completed.\r\n"
    );
    assert_eq!(
        raw.ask("d LSUB \"\" Lists/%"),
        "* LSUB () \"/\" Lists/mail\r\n* LSUB (\\Noselect) \"/\" Lists/rust\r\nd OK Lsub completed.\r\n"
    );
    assert_eq!(
        raw.ask("e LSUB \"\" Lists*"),
        "* LSUB () \"/\" Lists/mail\r\n* LSUB () \"/\" Lists/rust/users\r\ne OK Lsub completed.\r\n"
    );
    end(server);
}

#[test]
fn a_new_keyword_is_announced_before_a_message_has_it() {
    let server = serve(Options::default());
    let mut storer = Raw::selected(server.address(), "INBOX");
    let mut other = Raw::selected(server.address(), "INBOX");
    let flags = "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft";
    let stored = storer.ask("a STORE 1 +FLAGS (urgent)");
    assert!(stored.starts_with(&format!("{flags} urgent)\r\n* OK [PERMANENTFLAGS (")), "{stored}");
    assert!(stored.find("* FLAGS") < stored.find("* 1 FETCH"), "{stored}");
    assert!(!storer.ask("b STORE 2 +FLAGS (URGENT)").contains("* FLAGS"), "it is known by now");
    let told = other.ask("c NOOP");
    assert!(told.starts_with(&format!("{flags} urgent)\r\n")), "{told}");
    append(&mut storer, "INBOX", "(later) ", "Subject: x\r\n\r\n");
    let told = other.ask("d NOOP");
    assert!(told.starts_with(&format!("{flags} urgent later)\r\n")), "{told}");
    end(server);
}

#[test]
fn a_one_digit_day_is_borne() {
    let server = serve(Options::default());
    let mut raw = Raw::selected(server.address(), "INBOX");
    for date in ["\"1-Jul-2026 10:00:00 +0000\"", "\" 1-Jul-2026 10:00:00 +0000\"", "\"01-Jul-2026 10:00:00 +0000\""] {
        append(&mut raw, "INBOX", &format!("(\\Seen) {date} "), "Subject: x\r\n\r\n");
        raw.ask("n NOOP");
        assert!(last(&mut raw, "INTERNALDATE").contains("\"01-Jul-2026 10:00:00 +0000\""), "{date}");
    }
    end(server);
}

#[test]
fn an_error_names_what_it_is_about() {
    let server = serve(Options::default());
    let mut raw = Raw::greeted(server.address());
    // What is said before the sign-in may be a password.
    assert_eq!(raw.ask("a hunter2 secret"), "a BAD Syntax error or unknown command.\r\n");
    raw.ask("l LOGIN user secret");
    raw.ask("s SELECT INBOX");
    for (command, reply) in [
        ("x FROB 1", "x BAD Unknown command: FROB\r\n"),
        ("x FETCH 1:x FLAGS", "x BAD Syntax error in the arguments of FETCH: 1:x FLAGS\r\n"),
        ("x UID FETCH 1 (FLAGZ)", "x BAD Syntax error in the arguments of UID FETCH: FETCH 1 (FLAGZ)\r\n"),
        ("x FETCH 77 FLAGS", "x BAD No message has this number: 77\r\n"),
        ("x FETCH 3,77:* FLAGS", "x BAD No message has this number: 3,77:*\r\n"),
        ("x EXAMINE Nowhere", "x NO [NONEXISTENT] Mailbox doesn't exist: Nowhere\r\n"),
        ("x STATUS Nowhere (MESSAGES)", "x NO [NONEXISTENT] Mailbox doesn't exist: Nowhere\r\n"),
        ("x DELETE Nowhere", "x NO [NONEXISTENT] Mailbox doesn't exist: Nowhere\r\n"),
        ("x CREATE Sent", "x NO [ALREADYEXISTS] Mailbox already exists: Sent\r\n"),
        ("x CREATE a//b", "x NO [CANNOT] Invalid mailbox name: a//b\r\n"),
    ] {
        let heard = raw.ask(command);
        assert_eq!(heard, reply, "{command}");
        if command.contains("EXAMINE") {
            raw.ask("s SELECT INBOX");
        }
    }
    assert_eq!(raw.ask("x COPY 1 Nowhere"), "x NO [TRYCREATE] Mailbox doesn't exist: Nowhere\r\n");
    raw.ask("c CREATE Top/Sub");
    assert_eq!(raw.ask("x DELETE Top"), "x NO [HASCHILDREN] There are mailboxes below it: Top\r\n");
    assert_eq!(raw.ask("x RENAME Top Top/Sub/Deep"), "x NO [CANNOT] A mailbox cannot be below itself: Top\r\n");
    end(server);
}
