//! What is wrong with a server as a check found it, in plain sentences with the cure.

use schemars::JsonSchema;
use serde::Serialize;

use super::features::LOGIN_DELAY;
use super::{Check, Phase};
use crate::event::Micros;
use crate::judge::is_limit;
use crate::protocol::{Capabilities, FailureKind, Protocol, Security, Stage};

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diagnostic {
    /// Its stable name, for scripts: `password-in-the-clear`.
    pub id: &'static str,
    /// How much it matters.
    #[serde(rename = "severity")]
    pub level: Level,
    /// What was found, and the cure.
    pub sentence: String,
}

/// How much a diagnostic matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Secrets, mail or connections are at risk.
    Warning,
    /// It works, but clients that open connections should know.
    Advice,
}

impl Level {
    /// `warning` or `advice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

/// All of them, in this order.
const DETECTORS: [fn(&Check) -> Option<Diagnostic>; 16] = [
    limit_met,
    said_in_the_clear,
    password_before_tls,
    start_tls_unused,
    login_disabled,
    not_verified,
    expiry,
    old_tls,
    first_answer_refused,
    no_auth,
    address_without_answer,
    no_goodbye,
    no_label,
    no_pipelining,
    login_delay,
    one_owner,
];

impl Check {
    /// What is wrong, or could be better, with the cure: warnings first.
    #[must_use]
    pub fn diagnostics(&self) -> Vec<Diagnostic> {
        let found = DETECTORS.iter().filter_map(|detect| detect(self));
        let mut found: Vec<Diagnostic> = found.chain(slow(self)).collect();
        found.sort_by_key(|diagnostic| diagnostic.level);
        found
    }
}

fn warning(id: &'static str, sentence: impl Into<String>) -> Option<Diagnostic> {
    Some(Diagnostic { id, level: Level::Warning, sentence: sentence.into() })
}

fn advice(id: &'static str, sentence: impl Into<String>) -> Option<Diagnostic> {
    Some(Diagnostic { id, level: Level::Advice, sentence: sentence.into() })
}

/// A limit is no fault of the server, but clients have to stay below it.
fn limit_met(check: &Check) -> Option<Diagnostic> {
    let failure = check.failures().find(|failure| is_limit(failure.kind))?;
    let what = match failure.kind {
        FailureKind::LimitConnections => "a limit on connections",
        _ => "a limit on how much may be asked in a time",
    };
    let said = failure.server_line.as_ref().map(|line| format!(", in its words {line}")).unwrap_or_default();
    warning(
        "limit-met",
        format!(
            "the server refused this one connection at {} for {what}{said}; others of the account, or of this address, \
             use it up: find them, or wait, or have the limit raised (the password is not the cause)",
            failure.stage
        ),
    )
}

fn said_in_the_clear(check: &Check) -> Option<Diagnostic> {
    if check.header.security != Security::Plain || !check.secret_is_legible() {
        return None;
    }
    let secret = check.secret();
    let (id, cure) = match secret {
        "token" => ("token-in-the-clear", "have it revoked"),
        _ => ("password-in-the-clear", "change it"),
    };
    let scheme = check.header.protocol.name();
    if check.is_loopback() {
        return advice(
            id,
            format!(
                "the {secret} was sent in the clear, but only within this machine (loopback); elsewhere use {scheme}s://"
            ),
        );
    }
    warning(
        id,
        format!(
            "the {secret} crossed the network in the clear, and anybody on the way could read it: {cure}, and use \
             {scheme}s://, or {scheme}:// without --plaintext"
        ),
    )
}

/// As long as the server takes a password without STARTTLS, only clients that insist on it are protected.
fn password_before_tls(check: &Check) -> Option<Diagnostic> {
    let offers = check.offered(Phase::BeforeTls)?;
    if check.is_loopback() || !takes_legible_password(offers, check.header.protocol) {
        return None;
    }
    warning(
        "password-before-tls",
        format!(
            "the server would take a password before {}, from clients that do not insist on TLS; switch that off there \
             (Dovecot: auth_allow_cleartext = no, before 2.4 disable_plaintext_auth = yes; Postfix: smtpd_tls_auth_only \
             = yes)",
            check.header.protocol.start_tls()
        ),
    )
}

fn takes_legible_password(offers: &Capabilities, protocol: Protocol) -> bool {
    let mut mechanisms = offers.mechanisms(protocol);
    let by_sasl = mechanisms.any(|name| ["PLAIN", "LOGIN"].iter().any(|legible| name.eq_ignore_ascii_case(legible)));
    let by_command = match protocol {
        Protocol::Imap => !offers.has("LOGINDISABLED"),
        Protocol::Smtp => false,
        Protocol::Pop3 => offers.has("USER"),
    };
    by_sasl || by_command
}

fn start_tls_unused(check: &Check) -> Option<Diagnostic> {
    let start_tls = check.header.protocol.start_tls();
    let unused =
        check.header.security == Security::Plain && check.offers.iter().any(|(_, offers)| offers.has(start_tls));
    if !unused || check.is_loopback() {
        return None;
    }
    warning("starttls-unused", format!("the server offers {start_tls} and it was not used; leave --plaintext out"))
}

fn login_disabled(check: &Check) -> Option<Diagnostic> {
    let disabled = check.offered(Phase::BeforeSignIn)?.has("LOGINDISABLED");
    if !disabled || check.signed_in || check.header.security != Security::Plain {
        return None;
    }
    warning(
        "login-disabled",
        match (check.offers.iter().any(|(_, offers)| offers.has("STARTTLS")), check.is_loopback()) {
            (true, true) => {
                "the server takes no password on an unprotected connection (LOGINDISABLED); use --starttls, or \
                             imaps://"
            }
            (true, false) => {
                "the server takes no password on an unprotected connection (LOGINDISABLED); leave --plaintext \
                              out, or use imaps://"
            }
            (false, _) => "the server takes no password on an unprotected connection (LOGINDISABLED); use imaps://",
        },
    )
}

fn not_verified(check: &Check) -> Option<Diagnostic> {
    if check.tls.as_ref()?.verified {
        return None;
    }
    let read = if check.secret_is_legible() { format!(", and read the {}", check.secret()) } else { String::new() };
    warning(
        "certificate-not-verified",
        format!(
            "the certificate was not verified (--insecure): somebody on the way may have answered{read}; leave the flag out, or trust the server's authority with --ca-file"
        ),
    )
}

/// Certificates of three months are renewed a month before the end: less than half of that left means that it failed.
fn expiry(check: &Check) -> Option<Diagnostic> {
    const SOON: u64 = 30;
    const AT_ONCE: u64 = 14;
    let days = check.certificate_days()?;
    let left = match days {
        0 => "in less than a day".to_owned(),
        1 => "in a day".to_owned(),
        days => format!("in {days} days"),
    };
    let sentence = format!(
        "the server's certificate expires {left}, and then clients that verify it refuse the server; renew it, or see why \
         it does not renew itself"
    );
    let level = if days < AT_ONCE { Level::Warning } else { Level::Advice };
    (days < SOON).then_some(Diagnostic { id: "certificate-expires", level, sentence })
}

fn old_tls(check: &Check) -> Option<Diagnostic> {
    let version = &check.tls.as_ref()?.version;
    if version != "TLSv1.2" {
        return None;
    }
    advice(
        "tls-1.2",
        "the server knows no newer TLS than 1.2: each connection costs a round trip more than with 1.3; ask its operator \
         to allow 1.3",
    )
}

fn first_answer_refused(check: &Check) -> Option<Diagnostic> {
    if !check.first_answer_refused {
        return None;
    }
    let by = check.sign_in_tried_by.unwrap_or_default();
    warning(
        "first-answer-refused",
        match check.header.protocol {
            Protocol::Imap => format!(
                "the server offers SASL-IR, and does not understand AUTHENTICATE {by} with a first answer: clients that \
                 believe it cannot sign in; administrator: do not offer SASL-IR"
            ),
            Protocol::Smtp | Protocol::Pop3 => format!(
                "the server does not understand AUTH {by} with a first answer, as the protocol asks: many clients cannot \
                 sign in; administrator: update it"
            ),
        },
    )
}

fn no_auth(check: &Check) -> Option<Diagnostic> {
    let offers = check.offered(Phase::BeforeSignIn)?;
    if check.header.protocol != Protocol::Smtp {
        return None;
    }
    let offered = offers.mechanisms(Protocol::Smtp).next().is_some();
    match (check.header.signs_in, offered) {
        (true, false) => warning(
            "no-auth",
            if check.header.security == Security::Plain {
                "the server offers no AUTH here: it may be the port for mail between servers (25), or want TLS first; users \
                 sign in on 465 (smtps://) or 587 (smtp://)"
            } else {
                "the server offers no AUTH here: it may be the port for mail between servers (25); users sign in on 465 \
                 (smtps://) or 587 (smtp://)"
            },
        ),
        (false, true) => advice(
            "nobody-signed-in",
            "nobody signed in, though the server offers it; name a user (smtp://user@host) to check that too",
        ),
        (false, false) => advice(
            "nobody-signed-in",
            "nobody signed in, and the server offers no way to; whether it takes mail shows only when some is sent",
        ),
        (true, true) => None,
    }
}

fn address_without_answer(check: &Check) -> Option<Diagnostic> {
    let answered = check.address?.ip();
    if check.is_loopback() {
        // Nothing is lost where the answer comes at once, and servers on ::1 are few.
        return None;
    }
    let first = check.addresses.first().filter(|first| **first != answered)?;
    warning(
        "address-without-answer",
        format!(
            "{first} did not take the connection, and {answered} did: each connection loses time on the first; have the \
             server listen there, or take it out of DNS"
        ),
    )
}

fn no_goodbye(check: &Check) -> Option<Diagnostic> {
    let silent = |kind| matches!(kind, FailureKind::Closed | FailureKind::Timeout);
    check.failures().find(|failure| failure.stage == Stage::Logout && silent(failure.kind))?;
    warning(
        "no-goodbye",
        format!(
            "the server did not answer {}: clients that wait for the answer lose time, and the session may still count \
             against a limit",
            check.header.protocol.goodbye()
        ),
    )
}

fn no_label(check: &Check) -> Option<Diagnostic> {
    let offers = check.offered(Phase::AfterSignIn)?;
    if check.header.protocol != Protocol::Imap || check.label.is_some() || offers.is_unsaid() {
        return None;
    }
    let port = check.local_port?;
    let why = if offers.has("ID") { "refused our ID" } else { "does not know ID" };
    advice(
        "no-label",
        format!("the server {why}, so sessions cannot name themselves; its log knows this one by our port, {port}"),
    )
}

fn no_pipelining(check: &Check) -> Option<Diagnostic> {
    let smtp = check.header.protocol == Protocol::Smtp;
    let offers = check.offered(Phase::BeforeSignIn).filter(|offers| smtp && !offers.has("PIPELINING"))?;
    let knows_ehlo = offers.iter().next().is_some();
    advice(
        "no-pipelining",
        if knows_ehlo {
            "the server takes no commands in groups (PIPELINING), so that each message costs three round trips instead of \
             two; with many messages, use more connections"
        } else {
            "the server offers no extension at all; something on the way (an antivirus, a firewall) may be hiding them"
        },
    )
}

fn login_delay(check: &Check) -> Option<Diagnostic> {
    if check.header.protocol != Protocol::Pop3 {
        return None;
    }
    let delay = check.features().into_iter().find(|feature| feature.name == LOGIN_DELAY)?.value?;
    let seconds: u64 = delay.split(' ').next()?.parse().ok()?;
    warning(
        "login-delay",
        format!(
            "the server wants {seconds} s between two sign-ins of a user and may refuse those that come sooner; keep one \
             connection (use-main) instead of opening others"
        ),
    )
}

fn one_owner(check: &Check) -> Option<Diagnostic> {
    if check.header.protocol != Protocol::Pop3 || !check.signed_in {
        return None;
    }
    advice(
        "one-owner",
        "POP3 gives a maildrop to one session at a time, and refuses the next one (IN-USE) on servers that lock it; work \
         with one connection: use-main, or one thread",
    )
}

/// A step that may take too long: `slow-` and its name, the most it should take, its description, and the cure.
type Slow = (&'static str, Micros, &'static str, &'static str);

const SLOW: [Slow; 5] = [
    (
        "slow-resolve",
        seconds(1),
        "the name's resolution",
        "a resolver in the system's list may be dead: look at /etc/resolv.conf",
    ),
    (
        "slow-connect",
        seconds(1),
        "the TCP connect",
        "packets are lost, the way is long, or the server's queue of connections is full",
    ),
    ("slow-tls", seconds(2), "the TLS handshake", "the server is short of CPU, or looks something up first"),
    (
        "slow-greeting",
        seconds(5),
        "the greeting",
        "the server holds it back on purpose (against spam), looks up our address in vain, or has no process free",
    ),
    (
        "slow-sign-in",
        seconds(2),
        "the sign-in",
        "the server delays it (after failed ones from this address, say), or its user database is slow; keep connections \
         open instead of signing in often",
    ),
];

const fn seconds(seconds: u64) -> Micros {
    Micros(seconds * 1_000_000)
}

fn slow(check: &Check) -> impl Iterator<Item = Diagnostic> {
    check.steps.iter().filter(|step| step.ok).filter_map(|step| {
        let &(id, most, what, cure) = SLOW.iter().find(|(id, ..)| id.split_once('-') == Some(("slow", step.name)))?;
        let cure = match (id, check.header.protocol) {
            ("slow-sign-in", Protocol::Pop3) => {
                "another connection had the maildrop, which has one owner at a time, or the server delays sign-ins"
            }
            _ => cure,
        };
        let sentence = format!("{what} took {:.1} s: {cure}", step.took_us.duration().as_secs_f64());
        (step.took_us > most).then_some(Diagnostic { id, level: Level::Warning, sentence })
    })
}
