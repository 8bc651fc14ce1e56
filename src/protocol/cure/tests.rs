use std::collections::HashSet;
use std::mem::discriminant;
use std::slice;

use super::*;

fn offers(protocol: Protocol, words: &str) -> Circumstances {
    Circumstances {
        protocol: Some(protocol),
        security: Some(Security::Tls),
        offered: Some(words.split(", ").collect()),
        signs_in: SignsIn::WithPassword,
        connect_timeout: Some(Duration::from_secs(10)),
        ..Circumstances::default()
    }
}

fn imap(words: &str) -> Circumstances {
    offers(Protocol::Imap, words)
}

fn smtp(words: &str) -> Circumstances {
    offers(Protocol::Smtp, words)
}

fn pop3(words: &str) -> Circumstances {
    offers(Protocol::Pop3, words)
}

fn by(known: Circumstances, mechanism: Mechanism) -> Circumstances {
    let tried = Tried { name: mechanism.name(), way: Way::Sasl(mechanism), by_flag: false };
    Circumstances { tried: Some(tried), ..known }
}

fn by_flag(known: Circumstances, mechanism: Mechanism) -> Circumstances {
    let known = by(known, mechanism);
    Circumstances { tried: known.tried.map(|tried| Tried { by_flag: true, ..tried }), ..known }
}

fn plain(known: Circumstances, is_loopback: bool) -> Circumstances {
    Circumstances { security: Some(Security::Plain), is_loopback, ..known }
}

fn with(known: Circumstances, signs_in: SignsIn) -> Circumstances {
    Circumstances { signs_in, ..known }
}

fn named(by_flag: bool) -> Circumstances {
    Circumstances { named: Some(Named { name: "[192.0.2.1]".into(), by_flag }), is_naming: true, ..smtp("") }
}

fn open(known: Circumstances, others: usize) -> Circumstances {
    Circumstances { others_open: Some(others), ..known }
}

fn worked(known: Circumstances) -> Circumstances {
    Circumstances { worked_before: true, ..known }
}

fn sent(known: Circumstances) -> Circumstances {
    Circumstances { sender: Some("joe@example.org".into()), ..known }
}

const CHECK: &str = "check the user and the password";
const ASKS: &str = "what the provider asks of the account";

/// What is refused, of what, under which circumstances: what is to be said of it, and what must not.
type Row = (FailureKind, Stage, &'static str, Circumstances, &'static [&'static str], &'static [&'static str]);

/// What is missing, or said against the rows, where a case has those cures.
fn disagreements(rows: &[Row], mut cures: impl FnMut(&Case<'_>) -> Vec<Cure>) -> Vec<String> {
    let mut wrong = Vec::new();
    for (kind, stage, line, known, said, unsaid) in rows {
        let (kind, stage, text) = (*kind, *stage, line.to_lowercase());
        let case = Case { kind, stage, line: line.as_bytes(), text: &text, known };
        let message = wording::sentence(&case, &cures(&case));
        let missing = said.iter().filter(|said| !message.contains(**said)).map(|said| ("is missing", said));
        let too_much = unsaid.iter().filter(|unsaid| message.contains(**unsaid)).map(|unsaid| ("is said", unsaid));
        wrong.extend(
            missing.chain(too_much).map(|(how, what)| format!("{kind} {line:?} {known:?}: {what:?} {how}: {message}")),
        );
    }
    wrong
}

#[track_caller]
fn hold(rows: &[Row]) {
    let wrong = disagreements(rows, |case| case.cures());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Each cure of each row is left out. A case whose cures nobody counts on could lose them.
#[test]
fn each_cure_that_is_left_out_is_missed() {
    let rows = [policy(), passwords(), ways(), tls(), limits(), names(), messages(), time()].concat();
    let mut met = HashSet::new();
    for row in &rows {
        let mut at = 0;
        loop {
            let mut gone = None;
            let wrong = disagreements(slice::from_ref(row), |case| {
                let mut cures = case.cures();
                gone = (at < cures.len()).then(|| cures.remove(at));
                cures
            });
            let Some(gone) = gone else { break };
            assert!(!wrong.is_empty(), "{} {:?}: without {gone:?} nothing is missing", row.0, row.2);
            met.insert(discriminant(&gone));
            at += 1;
        }
    }
    assert_eq!(met.len(), CURES, "of each cure there is a row");
}

/// How many cures a refusal can have: all but `NameNobody`, which is for servers that offer no way to sign in.
const CURES: usize = 31;

use Mechanism::{Login, OAuthBearer, Plain, ScramSha256, XOAuth2};
use SignsIn::{Nobody, WithToken};
use Stage::{Auth, Greeting, Operation};

#[test]
fn an_account_that_may_not_come_in_is_told_what_lets_it_in() {
    hold(&policy());
}

fn policy() -> Vec<Row> {
    const BOTH: &str = "check both";
    vec![
        // Gmail; barbushin/php-imap#87.
        (
            AuthPolicy,
            Auth,
            "NO [ALERT] Please log in via your web browser: https://support.google.com/mail/accounts/answer/78754",
            imap("IMAP4rev1"),
            &["app password", "web page", "may be right"],
            &[BOTH, "--token-command", "use TLS"],
        ),
        (
            AuthPolicy,
            Auth,
            "NO [ALERT] Application-specific password required",
            imap("IMAP4rev1, AUTH=XOAUTH2, AUTH=OAUTHBEARER"),
            &["app password", "--token-command", "OAUTHBEARER and XOAUTH2"],
            &[BOTH],
        ),
        // Exchange Online; nodemailer/nodemailer#1714.
        (
            AuthPolicy,
            Auth,
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            by(smtp("AUTH LOGIN XOAUTH2"), Login),
            &["--token-command", "XOAUTH2"],
            &[BOTH, "use TLS", "another account"],
        ),
        (
            AuthPolicy,
            Auth,
            "535 5.7.139 Authentication unsuccessful, basic authentication is disabled.",
            by(smtp("AUTH LOGIN"), Login),
            &["administrator"],
            &["--token-command", "use TLS"],
        ),
        (
            AuthPolicy,
            Auth,
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant.",
            by(with(smtp("AUTH LOGIN XOAUTH2"), WithToken), XOAuth2),
            &["authenticated SMTP", "the token may be right"],
            &["--token-command", "password may"],
        ),
        (
            AuthPolicy,
            Auth,
            "-ERR [SYS/PERM] Your account is not enabled for POP access.",
            pop3("USER"),
            &["allow POP3"],
            &[BOTH, "app password"],
        ),
        (AuthPolicy, Auth, "NO [EXPIRED] Password expired", imap(""), &["new password"], &[BOTH]),
        (AuthPolicy, Auth, "NO [CONTACTADMIN] no", imap(""), &["administrator"], &[BOTH]),
        (AuthPolicy, Auth, "NO Account is locked for 15 minutes", imap(""), &["unlock", "wait 15 min"], &[BOTH]),
        (AuthPolicy, Auth, "NO [OVERQUOTA] mailbox full", imap(""), &["make room"], &[BOTH]),
        (AuthPolicy, Auth, "NO not like this", imap(""), &["see what it says"], &[BOTH]),
    ]
}

#[test]
fn a_password_that_signed_in_before_is_not_wrong() {
    hold(&passwords());
}

fn passwords() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let ours = || by(worked(pop3("USER, SASL PLAIN")), Plain);
    let line = "-ERR Logon failure: unknown user name or bad password.";
    for kind in [AuthInvalid, AuthRefused] {
        rows.append(&mut vec![
            (
                kind,
                Auth,
                line,
                ours(),
                &["the same password signed in before", "not wrong", "try again later", "sign in less often"],
                &["check both", "--auth"],
            ),
            (
                kind,
                Auth,
                line,
                by(worked(with(pop3("SASL XOAUTH2"), WithToken)), XOAuth2),
                &["token", "expired"],
                &["password"],
            ),
        ]);
    }
    rows.append(&mut vec![
        (AuthInvalid, Auth, line, pop3("USER"), &["the user or the password; check both"], &["signed in before"]),
        (AuthInvalid, Auth, "NO", by(with(imap(""), WithToken), OAuthBearer), &["token", "expired"], &["password"]),
        (
            AuthInvalid,
            Auth,
            "NO",
            Circumstances { renewal: Some(Renewal::Newer), ..by(with(imap(""), WithToken), OAuthBearer) },
            &["a newly fetched one too", "get one that is meant for this user"],
            &["password", "expired"],
        ),
        (AuthRefused, Auth, "NO LOGIN failed.", imap(""), &["does not say why", CHECK, ASKS], &["check both"]),
        (
            AuthRefused,
            Auth,
            "-ERR account is abnormal, service is not open, password is incorrect or login frequency limited",
            pop3("USER"),
            &["does not say which", CHECK, ASKS],
            &["does not say why"],
        ),
    ]);
    rows
}

#[test]
fn a_way_to_sign_in_that_was_refused_is_named_with_the_others() {
    hold(&ways());
}

fn ways() -> Vec<Row> {
    let offered = || imap("IMAP4rev1, AUTH=SCRAM-SHA-256, AUTH=PLAIN, AUTH=XOAUTH2");
    vec![
        (
            AuthRefused,
            Auth,
            "NO no",
            by(offered(), ScramSha256),
            &[
                CHECK,
                ASKS,
                "by SCRAM-SHA-256, our choice",
                "PLAIN (--auth plain)",
                "the LOGIN command (--auth user-pass)",
            ],
            &["--auth xoauth2", "--auth scram"],
        ),
        (
            AuthUnsupported,
            Auth,
            "534 5.7.9 Authentication mechanism is too weak",
            by_flag(smtp("AUTH PLAIN SCRAM-SHA-256"), Plain),
            &["by PLAIN, as --auth says", "--auth scram-sha-256"],
            &["our choice", "use TLS"],
        ),
        (
            ServerBad,
            Auth,
            "BAD what",
            by(imap("LOGINDISABLED, AUTH=PLAIN"), Plain),
            &["by PLAIN"],
            &["--auth", "offers"],
        ),
        (
            AuthUnsupported,
            Auth,
            "504 5.7.4 Unrecognized authentication type",
            by(smtp("AUTH PLAIN XOAUTH2"), Plain),
            &["--token-command"],
            &["use TLS"],
        ),
        (
            AuthUnsupported,
            Auth,
            "504 5.7.4 Unrecognized authentication type",
            by(smtp("AUTH PLAIN"), Plain),
            &[ASKS],
            &["use TLS", "--token-command"],
        ),
    ]
}

#[test]
fn tls_is_named_only_where_there_is_none_and_as_it_can_be_had() {
    hold(&tls());
}

fn tls() -> Vec<Row> {
    let line = "NO [PRIVACYREQUIRED] Plaintext authentication disallowed on non-secure (SSL/TLS) connections.";
    vec![
        (AuthUnsupported, Auth, line, plain(imap("STARTTLS"), true), &["--starttls", "imaps://"], &["--plaintext"]),
        (
            AuthUnsupported,
            Auth,
            line,
            plain(imap("STARTTLS"), false),
            &["leave --plaintext out", "imaps://"],
            &["--starttls"],
        ),
        (AuthUnsupported, Auth, line, plain(pop3("USER"), true), &["pop3s://"], &["--starttls", "--plaintext"]),
        (AuthUnsupported, Auth, line, imap("STARTTLS"), &[ASKS], &["use TLS", "--starttls", "imaps://"]),
        (
            AuthUnsupported,
            Operation,
            "530 5.7.0 Must issue a STARTTLS command first",
            plain(with(smtp("STARTTLS"), Nobody), true),
            &["--starttls"],
            &["name a user"],
        ),
        (
            AuthUnsupported,
            Operation,
            "530 5.5.1 Authentication Required",
            with(smtp("AUTH PLAIN"), Nobody),
            &["name a user in the URL"],
            &["TLS"],
        ),
    ]
}

#[test]
fn limits_know_whose_connections_are_open_and_waits_are_shown() {
    hold(&limits());
}

fn limits() -> Vec<Row> {
    let many = "NO [LIMIT] Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)";
    let locked = "-ERR [IN-USE] Mailbox is locked by another POP3 session.";
    vec![
        (LimitConnections, Auth, many, open(imap(""), 3), &["use fewer", "the password is not"], &["other clients"]),
        (LimitConnections, Auth, many, open(imap(""), 0), &["other clients"], &["use fewer", "dispose"]),
        (
            LimitConnections,
            Auth,
            many,
            by(with(imap(""), WithToken), XOAuth2),
            &["the token is not the matter", "use fewer"],
            &["password"],
        ),
        (LimitConnections, Greeting, "421 too many connections", with(smtp(""), Nobody), &["use fewer"], &["password"]),
        (LimitConnections, Auth, locked, open(pop3(""), 1), &["one owner", "use one connection"], &["another client"]),
        (LimitConnections, Auth, locked, open(pop3(""), 0), &["one owner", "another client"], &["use one connection"]),
        (
            LimitRate,
            Auth,
            "NO [AUTHENTICATIONFAILED] Too many login attempts, try again in 15 minutes",
            imap(""),
            &["wait 15 min", "keep connections open"],
            &["check both"],
        ),
        (
            LimitRate,
            Operation,
            "BAD throttled. Suggested Backoff Time: 300 milliseconds",
            imap(""),
            &["300 ms", "ask for less"],
            &[],
        ),
        (
            LimitRate,
            Operation,
            "421 slow down, retry in 900 seconds",
            smtp(""),
            &["wait 900 s", "ask for less"],
            &["sign in"],
        ),
        (
            LimitRate,
            Operation,
            "552 Message would take you over your relay quota of 500",
            smtp(""),
            &["try again later", "send less"],
            &["sign in", "make room"],
        ),
        (
            LimitRate,
            Operation,
            "421 4.7.0 too many errors",
            smtp(""),
            &["do fewer operations a session", "see what it refused before"],
            &["Exim", "ask for less"],
        ),
        (
            LimitRate,
            Operation,
            "554 too many nonmail commands",
            smtp(""),
            &["do fewer operations a session", "Exim bears ten"],
            &["see what it refused"],
        ),
        (LimitRate, Operation, "BAD Too many errors", imap(""), &["see what it refused before"], &["do fewer"]),
        (
            ServerUnavailable,
            Auth,
            "NO LOGIN System error",
            by(imap(""), Plain),
            &["not for the password", "try again later"],
            &["check", "--auth", "refused the user"],
        ),
        (
            ServerUnavailable,
            Greeting,
            "421 busy, back in 2 hours",
            with(smtp(""), Nobody),
            &["wait 2 h"],
            &["password"],
        ),
        (
            ServerUnavailable,
            Operation,
            "NO [UNAVAILABLE] later",
            imap(""),
            &["the connection goes on", "try again later"],
            &["password"],
        ),
    ]
}

#[test]
fn before_anyone_signs_in_the_name_is_the_matter_only_where_the_server_says_so() {
    hold(&names());
}

fn names() -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let helo = "504 5.5.2 <[192.0.2.1]>: Helo command rejected: need fully-qualified hostname";
    for kind in [ServerNo, ServerBad] {
        for stage in [Greeting, Auth] {
            rows.append(&mut vec![
                (kind, stage, helo, named(false), &["--ehlo NAME", "[192.0.2.1]"], &["sign us in", "another"]),
                (kind, stage, helo, named(true), &["another name with --ehlo"], &["sign us in"]),
                (
                    kind,
                    stage,
                    "550 5.7.1 Client host blocked using zen.example.org",
                    named(false),
                    &["see what it says"],
                    &["--ehlo"],
                ),
            ]);
        }
    }
    let later = Circumstances { is_naming: false, ..named(false) };
    rows.append(&mut vec![(ServerNo, Operation, helo, later, &["--ehlo NAME"], &["--from", "--to"])]);
    rows.append(&mut vec![(
        ServerNo,
        Auth,
        "NO not now",
        imap(""),
        &["before anyone signed in", "see what it says"],
        &["password"],
    )]);
    rows
}

#[test]
fn a_refused_message_names_what_of_it_can_be_changed() {
    hold(&messages());
}

fn messages() -> Vec<Row> {
    vec![
        (
            ServerNo,
            Operation,
            "553 5.7.1 <joe@example.org>: Sender address rejected: not owned by user joe",
            sent(smtp("")),
            &["it was sent as joe@example.org", "--from"],
            &["--to"],
        ),
        (
            ServerNo,
            Operation,
            "554 5.2.252 SendAsDenied; joe@example.org not allowed to send as ann@example.org",
            sent(smtp("")),
            &["--from"],
            &[],
        ),
        (
            ServerNo,
            Operation,
            "554 5.7.1 <ann@example.net>: Relay access denied",
            with(smtp("AUTH PLAIN"), Nobody),
            &["name a user in the URL"],
            &["--from"],
        ),
        (
            ServerNo,
            Operation,
            "554 5.7.1 <ann@example.net>: Relay access denied",
            sent(smtp("")),
            &["--to"],
            &["name a user"],
        ),
        (ServerNo, Operation, "550 5.1.1 <sender@relay.example>: no such user", sent(smtp("")), &["goes on"], &["--"]),
        (ServerNo, Operation, "NO [OVERQUOTA] full", imap(""), &["make room"], &[]),
    ]
}

#[test]
fn more_time_is_named_where_it_may_help() {
    hold(&time());
    for (seconds, said) in [(1, true), (10, false)] {
        let known = Circumstances { connect_timeout: Some(Duration::from_secs(seconds)), ..imap("") };
        let failure = known.judge(Failure::new(ConnectTimeout, Stage::Connect, "no answer"));
        assert_eq!(failure.message.contains("--connect-timeout"), said, "{failure}");
    }
}

fn time() -> Vec<Row> {
    let nothing = |security| Circumstances { security: Some(security), ..smtp("") };
    vec![
        (Timeout, Greeting, "", nothing(Security::Tls), &["--connect-timeout, now 10 s"], &["TLS first"]),
        (Timeout, Greeting, "", nothing(Security::Plain), &["--connect-timeout", "TLS first (smtps://)"], &[]),
        (
            Timeout,
            Greeting,
            "220-mail",
            nothing(Security::Plain),
            &["a part of the greeting", "--connect-timeout"],
            &["TLS first"],
        ),
        (
            Timeout,
            Greeting,
            "",
            plain(Circumstances { is_naming: true, ..smtp("") }, true),
            &["no whole answer", "--connect-timeout"],
            &["TLS first", "no greeting"],
        ),
        (ServerNo, Operation, "450 4.2.0 greylisted, try again in 5 minutes", smtp(""), &["wait 5 min"], &[]),
        (Timeout, Auth, "", by(pop3("SASL PLAIN"), Plain), &["have the maildrop", "--connect-timeout"], &[]),
    ]
}

#[test]
fn a_stated_wait_is_read_whatever_its_unit() {
    for (text, wait) in [
        ("suggested backoff time: 43000 milliseconds", Some("43000 ms")),
        ("try again in 15 minutes", Some("15 min")),
        ("retry after 900 seconds", Some("900 s")),
        ("wait 1 hour", Some("1 h")),
        ("451 4.7.1 greylisted", None),
        ("4 sessions", None),
    ] {
        assert_eq!(stated_wait(text).map(|wait| wait.shown).as_deref(), wait, "{text}");
    }
}
