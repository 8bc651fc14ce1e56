//! What is known of servers: whom it recognises, what it says of them, and what it advises to set.

use mailconn::event::{KeptBy, LimitKind, LimitMet, LimitScope, LimitsFound, Micros};
use mailconn::protocol::{Failure, FailureKind, Protocol, Stage};
use mailconn::report::explain;
use mailconn::report::known::{advice, asked_for, by_greeting, by_host};

use crate::cli::process::{end, mailconn};

const SERVERS: &str = include_str!("../../src/report/known/servers.toml");

/// Each row of the file, with its lists of that name.
fn rows(list: &str) -> Vec<(String, Vec<toml::Table>)> {
    let file: toml::Table = SERVERS.parse().unwrap();
    let tables = |value: &toml::Value| {
        value.as_array().unwrap().iter().map(|it| it.as_table().unwrap().clone()).collect::<Vec<_>>()
    };
    let list_of = |row: &toml::Table| row.get(list).map(tables).unwrap_or_default();
    tables(&file["server"]).iter().map(|row| (row["name"].as_str().unwrap().to_owned(), list_of(row))).collect()
}

#[test]
fn each_statement_about_a_server_has_a_public_source_and_the_day_when_it_was_looked_up() {
    for (name, documented) in rows("documented") {
        assert!(!documented.is_empty(), "nothing is said of {name}");
        for statement in documented {
            let said = |key: &str| statement[key].as_str().unwrap_or_else(|| panic!("{name}: no {key}")).to_owned();
            assert!(said("source").starts_with("https://"), "{name}: {}", said("source"));
            let day = said("looked_up");
            assert!(day.len() == 10 && ("2026-11-01".."2100").contains(&&*day), "{name}: {day}");
            assert!(["first-hand", "third-party"].contains(&&*said("trust")), "{name}");
        }
    }
}

/// The greetings of Debian 12, of the providers, and of what their source says.
const GREETINGS: &[(Protocol, &str, &str)] = &[
    (Protocol::Imap, "* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] Dovecot (Debian) ready.", "Dovecot"),
    (Protocol::Pop3, "+OK Dovecot (Debian) ready.", "Dovecot"),
    (
        Protocol::Imap,
        "* OK [CAPABILITY IMAP4rev1 UIDPLUS STARTTLS] Courier-IMAP ready. Copyright 1998-2019 Double Precision, Inc.  See \
         COPYING for distribution information.",
        "Courier",
    ),
    (Protocol::Pop3, "+OK Hello there.", "Courier"),
    (
        Protocol::Imap,
        "* OK [CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE] localhost Cyrus IMAP 3.6.1-Debian-3.6.1-4+deb12u5 server ready",
        "Cyrus",
    ),
    (
        Protocol::Pop3,
        "+OK localhost Cyrus POP3 3.6.1-Debian-3.6.1-4+deb12u5 server ready <6929351244397752111.1795883074@localhost>",
        "Cyrus",
    ),
    (Protocol::Smtp, "220 localhost ESMTP Exim 4.96 Sat, 28 Nov 2026 16:24:58 +0000", "Exim"),
    (Protocol::Smtp, "220 localhost ESMTP Postfix", "Postfix"),
    (Protocol::Smtp, "220 mail.example.org ESMTP Postfix (Debian/GNU)", "Postfix"),
    (Protocol::Imap, "* OK Gimap ready for requests from 192.0.2.7 a1mb1", "Gmail"),
    (Protocol::Pop3, "+OK Gpop ready for requests from 192.0.2.7 a1mb1", "Gmail"),
    (Protocol::Smtp, "220 smtp.gmail.com ESMTP 4fb4d7f45d1cf-6 - gsmtp", "Gmail"),
    (Protocol::Imap, "* OK The Microsoft Exchange IMAP4 service is ready. [UwBJADIA]", "Microsoft Exchange"),
    (Protocol::Pop3, "+OK The Microsoft Exchange POP3 service is ready.", "Microsoft Exchange"),
    (
        Protocol::Smtp,
        "220 mail.example.org Microsoft ESMTP MAIL Service ready at Sat, 28 Nov 2026 16:24:58 +0000",
        "Microsoft Exchange",
    ),
    (Protocol::Imap, "* OK [CAPABILITY IMAP4rev2] Stalwart IMAP4rev2 at your service.", "Stalwart"),
    (Protocol::Pop3, "+OK Stalwart POP3 at your service.", "Stalwart"),
    (Protocol::Smtp, "220 mail.example.org Stalwart ESMTP at your service", "Stalwart"),
    (Protocol::Imap, "* OK [CAPABILITY IMAP4rev2 IMAP4rev1] mox imap", "mox"),
    (Protocol::Smtp, "220 mail.example.org ESMTP mox v0.0.15", "mox"),
    // A host may be called like another software.
    (Protocol::Smtp, "220 courier.example.org ESMTP Postfix", "Postfix"),
    (Protocol::Smtp, "220 dovecot ESMTP Exim 4.96", "Exim"),
    (Protocol::Imap, "* OK [CAPABILITY IMAP4rev1] dovecot.example.org Cyrus IMAP 3.6.1 server ready", "Cyrus"),
    (Protocol::Pop3, "+OK Cyrus POP3 3.6.1 server ready <1.2@dovecot>", "Cyrus"),
    (Protocol::Pop3, "+OK Hello there.<1.2@dovecot>", "Courier"),
];

#[test]
fn servers_are_recognised_by_their_greetings_and_strangers_are_not() {
    for (protocol, greeting, name) in GREETINGS {
        let known = by_greeting(greeting, *protocol).unwrap_or_else(|| panic!("nobody greets with {greeting}"));
        assert_eq!(known.name, *name, "{greeting}");
    }
    for (protocol, greeting) in [
        (Protocol::Imap, "* OK [CAPABILITY IMAP4rev1] mail.example.org ready"),
        (Protocol::Pop3, "+OK ready"),
        (Protocol::Smtp, "220 mail.example.org ESMTP"),
        (Protocol::Smtp, "220 courier.example.org ESMTP"),
        (Protocol::Imap, "* OK courier.example.org ready"),
        (Protocol::Pop3, "+OK ready <1896.697170952@dovecot.example.org>"),
        (Protocol::Smtp, ""),
    ] {
        assert!(by_greeting(greeting, protocol).is_none(), "{greeting}");
    }
}

#[test]
fn providers_are_recognised_by_their_hosts_and_only_zoho_is_to_be_asked_for() {
    for (host, name) in [
        ("imap.gmail.com", "Gmail"),
        ("IMAP.GoogleMail.com.", "Gmail"),
        ("outlook.office365.com", "Exchange Online"),
        ("smtp-mail.outlook.com", "Exchange Online"),
        ("imap.mail.yahoo.com", "Yahoo"),
        ("imap.mail.me.com", "iCloud"),
        ("imap.fastmail.com", "Fastmail"),
        ("imappro.zoho.eu", "Zoho"),
        ("imap.qboxmail.com", "Qboxmail"),
    ] {
        let known = by_host(host).unwrap_or_else(|| panic!("nobody has {host}"));
        assert_eq!((&*known.name, known.needs_yes()), (name, name == "Zoho"), "{host}");
    }
    // Who is to be asked for is said before it is asked.
    let budget = explain("budget").unwrap();
    for name in asked_for() {
        assert!(budget.contains(name), "{name}: {budget}");
        assert!(end(&mut mailconn(["limits", "--help"])).stdout.contains(&format!("looks unusual: {name}")), "{name}");
    }
    for host in ["localhost", "mail.example.org", "notgmail.com", "gmail.com.example.org", "127.0.0.1", ""] {
        assert!(by_host(host).is_none(), "{host}");
    }
}

#[test]
fn what_is_documented_is_said_with_its_source_and_day_and_what_is_not_stays_unknown() {
    let of_host = |host, protocol| by_host(host).unwrap().documented(protocol);
    assert_eq!(
        of_host("imap.mail.me.com", Protocol::Imap),
        "iCloud: over IMAP 5 connections at once for each account, as a third party says \
         (https://mailboxtaxi.com/troubleshooting/fix-too-many-imap-connections, looked up on 2026-11-28)"
    );
    assert_eq!(
        of_host("imap.fastmail.com", Protocol::Imap),
        "Fastmail: no limit on connections over IMAP is documented (https://www.fastmail.com/help/account/limits.html, \
         looked up on 2026-11-28)"
    );
    let exchange = of_host("outlook.office365.com", Protocol::Imap);
    assert!(
        exchange.starts_with("Exchange Online: over IMAP 16 to 20 connections at once for each account"),
        "{exchange}"
    );
    for (host, protocol, said) in [
        ("imap.mail.me.com", Protocol::Pop3, "iCloud: nothing is known of its limits over POP3"),
        ("smtp.gmail.com", Protocol::Smtp, "Gmail: nothing is known of its limits over SMTP"),
        ("pop.gmail.com", Protocol::Pop3, "Gmail: nothing is known of its limits over POP3"),
    ] {
        assert_eq!(of_host(host, protocol), said);
    }
    for (greeting, begins) in [
        (
            DOVECOT,
            "Dovecot: over IMAP 10 connections at once for each user and address, unless set otherwise (https://",
        ),
        ("* OK localhost Cyrus IMAP 3.6.1", "Cyrus: no limit on connections over IMAP, unless one is set (https://"),
    ] {
        let said = by_greeting(greeting, Protocol::Imap).unwrap().documented(Protocol::Imap);
        assert!(said.starts_with(begins), "{said}");
    }
    let mox = by_greeting("220 mail.example.org ESMTP mox v0.0.15", Protocol::Smtp).unwrap();
    let said = mox.documented(Protocol::Smtp);
    let limits = "mox: over SMTP 30 connections at once and 300 new connections in 60 s for each address (https://";
    assert!(said.starts_with(limits), "{said}");
}

fn met(kind: LimitKind, stage: Stage, line: Option<&str>, scopes: &[LimitScope]) -> LimitMet {
    let kind_of_failure = if kind == LimitKind::Rate { FailureKind::LimitRate } else { FailureKind::LimitConnections };
    let failure = Failure::new(kind_of_failure, stage, "refused");
    LimitMet {
        kind,
        kept_by: KeptBy::RefusingNewest,
        scopes: scopes.to_vec(),
        stage: Some(stage),
        failure: Some(match line {
            Some(line) => failure.with_line(line.as_bytes()),
            None => failure,
        }),
        stated: None,
        stated_wait_us: None,
        within_us: Micros::from(std::time::Duration::from_secs(3)),
        again_within_us: None,
    }
}

fn given(given: usize, met: LimitMet) -> LimitsFound {
    LimitsFound { answered: true, given, attempts: given + 2, refused: 2, met: Some(met), ..LimitsFound::default() }
}

const DOVECOT: &str = "* OK [CAPABILITY IMAP4rev1] Dovecot (Debian) ready.";
const DOVECOT_REFUSES: &str =
    "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)";

#[test]
fn a_refusal_in_another_server_s_words_leaves_unknown_which_it_is() {
    let line = "NO Too many open connections (4 of 3 for ann)";
    let met = met(LimitKind::Count, Stage::Auth, Some(line), &[LimitScope::User]);
    let of_cyrus = "* OK localhost Cyrus IMAP 3.6.1";
    for (greeting, is_known) in [(DOVECOT, false), (of_cyrus, true)] {
        let said = advice(&given(3, met.clone()), Some(greeting), "localhost", Protocol::Imap).join("\n");
        assert_eq!(said.contains("On the server"), is_known, "{greeting}: {said}");
    }
}

#[test]
fn where_no_limit_was_met_there_is_nothing_to_set() {
    let limits = LimitsFound { answered: true, given: 32, attempts: 32, ..LimitsFound::default() };
    assert!(advice(&limits, Some(DOVECOT), "localhost", Protocol::Imap).is_empty());
}

#[test]
fn a_count_is_told_as_threads_for_each_mode_a_cap_thunderbird_and_the_servers_setting() {
    let met = met(LimitKind::Count, Stage::Auth, Some(DOVECOT_REFUSES), &[LimitScope::UserAndAddress]);
    let said = advice(&given(10, met), Some(DOVECOT), "mail.example.org", Protocol::Imap);
    assert_eq!(
        said,
        [
            "The account's clients at this address count together; another address has a limit of its own.",
            "In Thunderbird (Account Settings > Server Settings > Advanced > Maximum number of server connections to cache): leave \
             it at 5 on up to 2 devices. All clients at this address together must stay at 10.",
            "On the server, Dovecot: this raises it: mail_max_userip_connections (10 unless set) in `protocol imap { … }` of \
             dovecot.conf (conf.d/20-imap.conf).",
            "In a program, use-main: any number of threads, they share 1 connection.",
            "In a program, use-default: at most 10 threads, each with a connection of its own.",
            "In a program, use-main-or-default: at most 9 threads with a default connection beside main.",
            "In mailconn, --max-connections 10: this client never opens more. Threads beyond those numbers then wait for a \
             connection that nobody gives back, and fail: use fewer, or use-main.",
        ]
    );
}

/// The threads and the devices that few connections are enough for.
#[test]
fn few_connections_are_shared_out_without_promising_more_than_there_are() {
    for (number, use_default, beside_main, thunderbird) in [
        (1, "one thread, with a connection", "no thread can have a default", "set it to 1 or less"),
        (2, "at most 2 threads", "at most 1 thread with", "set it to 2 or less"),
        (4, "at most 4 threads", "at most 3 threads with", "set it to 4 or less"),
        (7, "at most 7 threads", "at most 6 threads with", "leave it at 5 on one device; on two set it to 3 each"),
        (15, "at most 15 threads", "at most 14 threads with", "leave it at 5 on up to 3 devices"),
    ] {
        let limits = given(number, met(LimitKind::Count, Stage::Auth, Some("NO too many"), &[]));
        let said = advice(&limits, None, "mail.example.org", Protocol::Imap).join("\n");
        for words in [use_default, beside_main, thunderbird, &format!("--max-connections {number}:")] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    let limits = given(0, met(LimitKind::Count, Stage::Auth, Some("NO too many"), &[]));
    let said = advice(&limits, None, "mail.example.org", Protocol::Imap);
    assert_eq!(said, ["Not even one was let in: close what other clients hold. Then probe again."]);
}

/// A server that was asked quickly let one more in than it names.
#[test]
fn the_number_in_the_servers_words_wins_where_it_gave_more() {
    let met = LimitMet { stated: Some(3), ..met(LimitKind::Count, Stage::Auth, Some(DOVECOT_REFUSES), &[]) };
    let said = advice(&given(4, met), Some(DOVECOT), "localhost", Protocol::Pop3).join("\n");
    assert!(said.contains("at most 3 threads") && !said.contains("Thunderbird"), "{said}");
}

/// The setting, by what refused and in which words.
#[test]
fn the_setting_that_keeps_the_limit_is_named_for_each_server() {
    const CYRUS: &str = "* OK [CAPABILITY IMAP4rev1] localhost Cyrus IMAP 3.6.1 server ready";
    const COURIER: &str = "* OK [CAPABILITY IMAP4rev1] Courier-IMAP ready.";
    const EXIM: &str = "220 localhost ESMTP Exim 4.96 Sat, 28 Nov 2026 16:24:58 +0000";
    const POSTFIX: &str = "220 localhost ESMTP Postfix";
    const POSTFIX_REFUSES: &str = "421 4.7.0 localhost Error: too many connections from 127.0.0.1";
    use LimitKind::{Count, Rate};
    use Protocol::{Imap, Pop3, Smtp};
    for (protocol, greeting, kind, stage, line, settings) in [
        (
            Imap,
            CYRUS,
            Count,
            Stage::Auth,
            Some("NO Too many open connections (3 of 3 for u1)"),
            &["maxlogins_per_user"] as &[_],
        ),
        (
            Imap,
            CYRUS,
            Count,
            Stage::Auth,
            Some("NO Too many open connections (3 of 3 from localhost [127.0.0.1])"),
            &["maxlogins_per_host", "counts the connection that signs in too"],
        ),
        (Imap, COURIER, Count, Stage::Greeting, None, &["MAXPERIP (4 unless set)", "/etc/courier/imapd-ssl"]),
        (Imap, COURIER, Count, Stage::Tls, None, &["MAXPERIP"]),
        (Imap, DOVECOT, Count, Stage::Auth, None, &["process_limit"]),
        (Pop3, "+OK Hello there.", Count, Stage::Greeting, None, &["MAXPERIP", "/etc/courier/pop3d-ssl"]),
        (
            Smtp,
            EXIM,
            Count,
            Stage::Greeting,
            Some("421 Too many concurrent SMTP connections from this IP address; please try again later."),
            &["smtp_accept_max_per_host"],
        ),
        (
            Smtp,
            EXIM,
            Count,
            Stage::Greeting,
            Some("421 Too many concurrent SMTP connections; please try again later."),
            &["smtp_accept_max ("],
        ),
        (Smtp, POSTFIX, Count, Stage::Greeting, Some(POSTFIX_REFUSES), &["smtpd_client_connection_count_limit"]),
        (Smtp, POSTFIX, Rate, Stage::Greeting, Some(POSTFIX_REFUSES), &["smtpd_client_connection_rate_limit"]),
    ] {
        let said = advice(&given(3, met(kind, stage, line, &[])), Some(greeting), "localhost", protocol);
        let server = said.iter().find(|text| text.starts_with("On the server, ")).unwrap();
        assert!(settings.iter().all(|setting| server.contains(setting)), "{line:?}: {server}");
        assert!(server.contains(": this raises it: "), "{line:?}: {server}");
    }
}

/// Above MAXDAEMONS Courier answers nothing until another ends; above MAXPERIP it closes.
#[test]
fn a_server_that_lets_one_more_wait_is_told_from_one_that_closes() {
    let mut met = met(LimitKind::Count, Stage::Greeting, None, &[LimitScope::Address, LimitScope::Server]);
    met.failure = Some(Failure::new(FailureKind::Timeout, Stage::Greeting, "no greeting in time"));
    let courier = Some("* OK [CAPABILITY IMAP4rev1] Courier-IMAP ready.");
    let said = advice(&given(3, met), courier, "localhost", Protocol::Imap);
    let raised = "On the server, Courier: this raises it: MAXDAEMONS (40 unless set)";
    assert!(said.iter().any(|text| text.starts_with(raised)), "{said:?}");
}

#[test]
fn a_providers_limit_is_its_own() {
    let line = "NO [ALERT] Too many simultaneous connections. (Failure)";
    let met = met(LimitKind::Count, Stage::Auth, Some(line), &[LimitScope::User]);
    let said = advice(&given(15, met), None, "imap.gmail.com", Protocol::Imap);
    assert_eq!(said[0], "Every client of the account counts, wherever it is.");
    assert_eq!(said[2], "On the server: the limit is Gmail's own, and cannot be raised.");
}

#[test]
fn a_rate_is_told_as_a_pace_for_opening_and_nothing_is_said_of_threads() {
    let line = "421 4.7.0 localhost Error: too many connections from 127.0.0.1";
    let rate = met(LimitKind::Rate, Stage::Greeting, Some(line), &[LimitScope::Address]);
    let said = advice(&given(7, rate.clone()), Some("220 localhost ESMTP Postfix"), "localhost", Protocol::Smtp);
    assert_eq!(
        said[..2],
        [
            "Keep connections open, and open them slowly: it let 7 in within 3.00 s.",
            "It counts in 60 s, unless that is set otherwise: one new connection every 9 s stays below.",
        ]
    );
    assert!(!said.join("\n").contains("threads"), "{said:?}");
    let waits = LimitMet { stated_wait_us: Some(Micros::from(std::time::Duration::from_secs(900))), ..rate };
    let said = advice(&given(7, waits), None, "localhost", Protocol::Smtp);
    assert_eq!(said[1], "After a refusal wait 15 min, as the server says.");
}

/// What its words say, how many were given, and what is told of both.
#[test]
fn what_others_hold_now_is_told_apart_from_what_there_is() {
    for (stated, number, lead, thunderbird) in [
        (
            7,
            4,
            "7 in all by its words: others hold 3 now, and 4 are left for this client.",
            "; while 3 of them are taken, set it to 4 or less. All clients together must stay at 7",
        ),
        (
            12,
            1,
            "12 in all by its words: others hold 11 now, and 1 is left for this client.",
            "while 11 of them are taken, set it to 1 or less. All clients together must stay at 12",
        ),
        // The refused one may be counted, too.
        (5, 4, "In Thunderbird (", "must stay at 4"),
        (4, 4, "In Thunderbird (", "must stay at 4"),
    ] {
        let met = LimitMet { stated: Some(stated), ..met(LimitKind::Count, Stage::Auth, Some(DOVECOT_REFUSES), &[]) };
        let said = advice(&given(number, met), None, "mail.example.org", Protocol::Imap);
        assert!(said[0].starts_with(lead), "{said:?}");
        assert!(said.join("\n").contains(thunderbird), "{said:?}");
        assert!(said.join("\n").contains(&format!("--max-connections {number}:")), "{said:?}");
    }
}

/// What others held then is no number for now where they have left since, or where it may have been this client's.
#[test]
fn what_others_held_then_sets_nothing_now() {
    let of = |again, ended| {
        let met = LimitMet {
            stated: Some(7),
            again_within_us: again,
            ..met(LimitKind::Count, Stage::Auth, Some(DOVECOT_REFUSES), &[])
        };
        let limits = LimitsFound { ended, ..given(4, met) };
        advice(&limits, None, "mail.example.org", Protocol::Imap).join("\n")
    };
    let later = Some(Micros::from(std::time::Duration::from_secs(61)));
    for (again, ended, is_now) in [(None, 0, true), (later, 0, false), (None, 1, false), (later, 1, false)] {
        let said = of(again, ended);
        assert_eq!(said.contains("are taken, set it to 4 or less"), is_now, "{again:?} {ended}: {said}");
        assert!(said.contains("must stay at 7"), "{said}");
    }
}

#[test]
fn a_rate_without_a_number_is_told_by_what_the_hold_showed() {
    let again = Some(Micros::from(std::time::Duration::from_secs(61)));
    let rate = LimitMet { again_within_us: again, ..met(LimitKind::Rate, Stage::Greeting, Some("421 no"), &[]) };
    let said = |rate| advice(&given(5, rate), None, "mail.example.org", Protocol::Smtp);
    let paced = "The next one was let in 1 min 1 s after the first: one new connection every 13 s is as many as it took in \
                 that time. Open them more slowly if it refuses that.";
    let raised = "On the server: the setting for rates raises it, and not the one for connections (in Postfix \
                  smtpd_client_connection_rate_limit).";
    assert_eq!(said(rate.clone())[1..], [paced, raised]);
    // Words with a time are better than what was seen once.
    let line = "421 no more than 5 connections per minute";
    let in_words = LimitMet { again_within_us: again, ..met(LimitKind::Rate, Stage::Greeting, Some(line), &[]) };
    let counts = "It counts in 1 min, as its words say: one new connection every 12 s stays below.";
    assert_eq!(said(in_words)[1], counts);
    // Where no words say it, other clients may have left.
    let vague = Failure::new(FailureKind::LimitConnections, Stage::Greeting, "it was refused");
    let raised = "On the server: the setting for rates (in Postfix smtpd_client_connection_rate_limit) raises it, or the one \
                  for connections if other clients left.";
    assert_eq!(said(LimitMet { failure: Some(vague), ..rate })[1..], [paced, raised]);
}

#[test]
fn nothing_is_advised_from_slow_sign_ins_or_where_nothing_was_answered() {
    let slow = LimitMet { kept_by: KeptBy::Slowing, failure: None, ..met(LimitKind::Unclear, Stage::Auth, None, &[]) };
    assert!(advice(&given(6, slow), Some(DOVECOT), "localhost", Protocol::Imap).is_empty());
    let limits = LimitsFound {
        answered: false,
        stopped: Some(Failure::new(FailureKind::Closed, Stage::Operation, "gone")),
        ..given(5, met(LimitKind::Unclear, Stage::Auth, None, &[]))
    };
    assert!(advice(&limits, Some(DOVECOT), "localhost", Protocol::Imap).is_empty());
}

#[test]
fn a_server_that_ends_the_oldest_is_not_to_be_tried() {
    let met = LimitMet { kept_by: KeptBy::EndingOldest, ..met(LimitKind::Count, Stage::Operation, None, &[]) };
    let said = advice(&given(5, met), None, "localhost", Protocol::Imap).join("\n");
    assert!(said.contains("One connection more is let in, and the oldest is ended"), "{said}");
}
