//! What a check makes of what it saw: findings, conclusion and text, from plain data.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use mailconn::event::Micros;
use mailconn::probe::{Check, CheckEvent, CheckHeader, Level, Phase, check_ends, check_json, check_step};
use mailconn::protocol::{Capabilities, Certificate, Failure, FailureKind, Protocol, Security, Stage, TlsDetails};
use mailconn::report::Layout;

fn check(protocol: Protocol, security: Security) -> Check {
    Check::new(CheckHeader {
        tool_version: "0.0.0".to_owned(),
        run_id: "run-1".into(),
        started: SystemTime::UNIX_EPOCH,
        server: "imap://joe@mail.example.org:143".into(),
        protocol,
        security,
        signs_in: true,
        by_token: false,
    })
}

/// Adds these steps, ten milliseconds each.
fn seen(mut check: Check, steps: impl IntoIterator<Item = CheckEvent>) -> Check {
    for happened in steps {
        let at = check.elapsed_us.duration() + Duration::from_millis(10);
        check.see(at, &happened);
    }
    check
}

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn connected(to: &str) -> CheckEvent {
    CheckEvent::Connected { address: address(to), local_port: 50_000 }
}

fn offers(words: &str) -> CheckEvent {
    CheckEvent::Offered(offered(words))
}

fn offered(words: &str) -> Capabilities {
    words.split(", ").collect()
}

fn tls(version: &str) -> CheckEvent {
    let agreed = TlsDetails { version: version.into(), cipher: "TLS_X".into(), ..TlsDetails::default() };
    CheckEvent::Secured(TlsDetails { verified: true, ..agreed })
}

fn ids(check: &Check) -> Vec<&'static str> {
    check.diagnostics().iter().map(|diagnostic| diagnostic.id).collect()
}

const FAR: &str = "192.0.2.7:143";

#[test]
fn a_password_in_the_clear_is_worse_off_loopback() {
    for (to, level) in [(FAR, Level::Warning), ("127.0.0.1:143", Level::Advice), ("[::1]:143", Level::Advice)] {
        let steps = [connected(to), CheckEvent::SigningIn("PLAIN"), CheckEvent::SignedIn];
        let check = seen(check(Protocol::Imap, Security::Plain), steps);
        let diagnostics = check.diagnostics();
        assert_eq!((diagnostics[0].id, diagnostics[0].level), ("password-in-the-clear", level), "{to}");
    }
    let proven = seen(check(Protocol::Imap, Security::Plain), [connected(FAR), CheckEvent::SigningIn("SCRAM-SHA-256")]);
    assert_eq!(ids(&proven), [""; 0], "SCRAM does not say it");
    let hidden = seen(check(Protocol::Imap, Security::Tls), [connected(FAR), CheckEvent::SigningIn("PLAIN")]);
    assert_eq!(ids(&hidden), [""; 0]);
}

#[test]
fn a_server_that_takes_a_password_before_tls_is_told_of() {
    for (protocol, before, found) in [
        (Protocol::Imap, "IMAP4rev1, STARTTLS", true),
        (Protocol::Imap, "IMAP4rev1, STARTTLS, LOGINDISABLED", false),
        (Protocol::Smtp, "STARTTLS, AUTH PLAIN", true),
        (Protocol::Smtp, "STARTTLS", false),
        (Protocol::Pop3, "STLS, USER", true),
        (Protocol::Pop3, "STLS, SASL SCRAM-SHA-256", false),
    ] {
        let steps = [connected(FAR), offers(before), tls("TLSv1.3"), offers("AUTH PLAIN, PIPELINING")];
        let check = seen(check(protocol, Security::StartTls), steps);
        assert_eq!(ids(&check).contains(&"password-before-tls"), found, "{protocol} {before}");
        assert_eq!(check.offered(Phase::BeforeTls), Some(&offered(before)));
    }
}

#[test]
fn what_plaintext_leaves_out_is_told_off_loopback() {
    let steps = || [connected(FAR), offers("IMAP4rev1, STARTTLS, LOGINDISABLED")];
    assert_eq!(ids(&seen(check(Protocol::Imap, Security::Plain), steps())), ["starttls-unused", "login-disabled"]);
    let steps = [connected("127.0.0.1:143"), offers("IMAP4rev1, STARTTLS")];
    assert_eq!(ids(&seen(check(Protocol::Imap, Security::Plain), steps)), [""; 0]);
}

#[test]
fn slow_steps_old_tls_and_deaf_addresses_are_told_with_the_cure() {
    let mut check = seen(check(Protocol::Imap, Security::Tls), []);
    let found = vec![address("[2001:db8::7]:993"), address("192.0.2.7:993")];
    let mut at = Duration::ZERO;
    for (seconds, happened) in [
        (2, CheckEvent::Resolved(found)),
        (3, connected("192.0.2.7:993")),
        (4, tls("TLSv1.2")),
        (6, CheckEvent::Greeted("* OK".into())),
        (0, offers("IMAP4rev1, ID")),
        (0, CheckEvent::SigningIn("PLAIN")),
        (5, CheckEvent::SignedIn),
        (0, offers("IMAP4rev1, ID")),
        (0, CheckEvent::SignedOut),
    ] {
        at += Duration::from_secs(seconds);
        check.see(at, &happened);
    }
    assert_eq!(
        ids(&check),
        [
            "address-without-answer",
            "slow-resolve",
            "slow-connect",
            "slow-tls",
            "slow-greeting",
            "slow-sign-in",
            "tls-1.2",
            "no-label"
        ]
    );
    let sentences: Vec<String> = check.diagnostics().into_iter().map(|diagnostic| diagnostic.sentence).collect();
    assert!(sentences[0].starts_with("2001:db8::7 did not take the connection, and 192.0.2.7 did"), "{sentences:?}");
    assert!(sentences[4].starts_with("the greeting took 6.0 s: "), "{sentences:?}");
    assert!(sentences[7].contains("refused our ID") && sentences[7].contains("50000"), "{sentences:?}");
    assert_eq!(check.elapsed_us.duration(), at);
}

#[test]
fn a_certificate_that_ends_soon_is_told_of_and_one_nobody_verified() {
    let hours = |hours: u64| SystemTime::UNIX_EPOCH + Duration::from_secs(hours * 60 * 60);
    for (until, verified, found, said) in [
        (hours(31 * 24), true, None, "until 1970-02-01 (31 days left)"),
        (hours(29 * 24 + 23), true, Some(("certificate-expires", Level::Advice)), "(29 days left)"),
        (hours(14 * 24), true, Some(("certificate-expires", Level::Advice)), "(14 days left)"),
        (hours(25), true, Some(("certificate-expires", Level::Warning)), "until 1970-01-02 (1 day left)"),
        (hours(23), true, Some(("certificate-expires", Level::Warning)), "(0 days left)"),
        (hours(31 * 24), false, Some(("certificate-not-verified", Level::Warning)), "NOT VERIFIED"),
        (
            SystemTime::UNIX_EPOCH - Duration::from_secs(1),
            false,
            Some(("certificate-not-verified", Level::Warning)),
            "(expired)",
        ),
    ] {
        let certificate = Certificate {
            names: (1..=6).map(|number| format!("mx{number}.example.org")).collect(),
            subject: "CN=mx1.example.org".into(),
            issuer: "CN=Some Authority".into(),
            not_before: hours(0),
            not_after: until,
            is_authority: false,
        };
        let version = "TLSv1.3".to_owned();
        let tls = TlsDetails { version, verified, certificate: Some(certificate), ..TlsDetails::default() };
        let secured = CheckEvent::Secured(tls);
        let check = seen(check(Protocol::Imap, Security::Tls), [connected(FAR), secured.clone()]);
        let diagnostics: Vec<_> =
            check.diagnostics().iter().map(|diagnostic| (diagnostic.id, diagnostic.level)).collect();
        assert_eq!(diagnostics, Vec::from_iter(found), "{said}");
        let shown = check_step(Layout::PLAIN, &check, Micros::ZERO, &secured);
        assert!(shown.contains(said), "{said:?} is missing: {shown}");
        assert!(shown.contains("mx4.example.org, 2 more, from CN=Some"), "{shown}");
    }
}

#[test]
fn what_imap4rev2_holds_needs_no_name_of_its_own() {
    let steps = [offers("IMAP4rev2, AUTH=PLAIN, LOGINDISABLED"), CheckEvent::SignedIn, offers("IMAP4rev2")];
    let check = seen(check(Protocol::Imap, Security::Tls), steps);
    let offered = check.features().into_iter().filter(|feature| feature.offered == Some(true));
    assert_eq!(offered.map(|feature| feature.name).collect::<Vec<_>>(), ["AUTH", "SASL-IR", "IDLE", "LITERAL-"]);
}

#[test]
fn the_conclusion_is_a_runs_and_the_text_says_it() {
    let fails = |kind, stage| CheckEvent::Failed(Failure::new(kind, stage, "so it is"));
    use FailureKind::{AuthInvalid, Closed, Dns, Internal, LimitConnections, ServerNo};
    for (steps, interrupted, code, said) in [
        (vec![CheckEvent::SignedOut], None, 0, "exit 0: it works"),
        (vec![fails(Dns, Stage::Resolve)], None, 4, "exit 4: no connection came to be (dns at resolve)"),
        (vec![fails(Closed, Stage::Auth)], None, 4, "exit 4: "),
        (vec![fails(AuthInvalid, Stage::Auth)], None, 5, "exit 5: sign-in refused"),
        (vec![fails(LimitConnections, Stage::Operation)], None, 6, "exit 6: "),
        (vec![fails(ServerNo, Stage::Operation), fails(Closed, Stage::Logout)], None, 1, "exit 1: "),
        (vec![fails(Internal, Stage::Auth)], None, 7, "exit 7: "),
        (vec![fails(Dns, Stage::Resolve)], Some(2), 130, "exit 130: interrupted by SIGINT\n"),
        (vec![], Some(15), 143, "exit 143: interrupted by SIGTERM\n"),
    ] {
        let mut check = seen(check(Protocol::Imap, Security::Tls), steps);
        check.interrupted = interrupted;
        assert_eq!(check.conclusion().exit_code(), code);
        assert!(check_ends(Layout::PLAIN, &check).contains(said), "{}", check_ends(Layout::PLAIN, &check));
    }
}

#[test]
fn a_step_is_shown_in_columns_that_stand_still() {
    let mut shown = String::new();
    let mut check = check(Protocol::Smtp, Security::StartTls);
    let steps = [
        (3, CheckEvent::Resolved(vec![address("[2001:db8::7]:587"), address("192.0.2.7:587")])),
        (2_000, connected("192.0.2.7:587")),
        (65_000, CheckEvent::Greeted(format!("220 {}", "mx ".repeat(40)))),
        (65_001, offers("STARTTLS, SIZE 1000")),
        (65_002, tls("TLSv1.3")),
        (65_003, offers("STARTTLS, SIZE 1000")),
        (65_004, CheckEvent::SigningIn("PLAIN")),
        (65_005, CheckEvent::SignedIn),
    ];
    for (at, happened) in steps {
        let took = check.see(Duration::from_millis(at), &happened);
        shown += &check_step(Layout::PLAIN, &check, took, &happened);
    }
    let mut lines = shown.lines();
    assert_eq!(lines.next(), Some("resolve     3.00 ms  2001:db8::7, 192.0.2.7"));
    assert_eq!(lines.next(), Some("connect      2.00 s  192.0.2.7 port 587, from our port 50000"));
    assert!(lines.next().unwrap().starts_with("greeting  1 min 3 s  220 mx mx"), "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 80 && (line.len() < 21 || &line[19..21] == "  ")), "{shown}");
    for said in ["before STARTTLS: STARTTLS, SIZE 1000", "  after STARTTLS: the same", "sign-in     1.00 ms  by PLAIN"]
    {
        assert!(shown.contains(said), "{said:?} is missing: {shown}");
    }
    assert!(!shown.contains("token"), "a password needs no fetching");
    let json: serde_json::Value = serde_json::from_slice(&check_json(&check)).unwrap();
    assert_eq!(json["capabilities"]["before_tls"], json["capabilities"]["before_sign_in"]);
}

#[test]
fn a_dial_that_begins_anew_speaks_of_starttls_only_where_there_was_one() {
    let lists = |security| {
        let (mut check, mut shown) = (check(Protocol::Imap, security), String::new());
        for happened in [offers("IMAP4rev1"), CheckEvent::SigningIn("XOAUTH2"), offers("IMAP4rev1")] {
            let took = check.see(Duration::ZERO, &happened);
            shown += &check_step(Layout::PLAIN, &check, took, &happened);
        }
        shown
    };
    let shown = lists(Security::Tls);
    assert!(shown.contains("the same") && !shown.contains("STARTTLS"), "{shown}");
}
