//! What is wrong with a server as a check found it, in plain sentences that say the cure.

use std::time::Duration;

use super::matters::LOGIN_DELAY;
use super::{Check, Happened, Step, When};
use crate::judge::is_limit;
use crate::protocol::{Capabilities, FailureKind, Protocol, Security, Stage};

/// Something that a check found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concern {
    /// Its stable name, for scripts: `password-in-the-clear`.
    pub id: &'static str,
    /// How much it matters.
    pub weight: Weight,
    /// What was found, and the cure.
    pub sentence: String,
}

/// How much a concern matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Secrets, mail or connections are at risk.
    Warning,
    /// It works, but whoever opens connections should know.
    Advice,
}

impl Weight {
    /// `warning` or `advice`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Advice => "advice",
        }
    }
}

pub(super) fn of(check: &Check) -> Vec<Concern> {
    let single = [
        limit_met(check),
        said_in_the_clear(check),
        clear_sign_in_offered(check),
        start_tls_unused(check),
        login_disabled(check),
        anybody(check),
        expiry(check),
        old_tls(check),
        first_answer_refused(check),
        no_auth(check),
        address_passed_over(check),
        no_goodbye(check),
        no_label(check),
        no_pipelining(check),
        login_delay(check),
        one_owner(check),
    ];
    let mut concerns: Vec<Concern> = single.into_iter().flatten().chain(slow(check)).collect();
    concerns.sort_by_key(|concern| concern.weight);
    concerns
}

fn warning(id: &'static str, sentence: impl Into<String>) -> Option<Concern> {
    Some(Concern { id, weight: Weight::Warning, sentence: sentence.into() })
}

fn advice(id: &'static str, sentence: impl Into<String>) -> Option<Concern> {
    Some(Concern { id, weight: Weight::Advice, sentence: sentence.into() })
}

/// A limit is no fault of the server, but whoever opens connections must know of it.
fn limit_met(check: &Check) -> Option<Concern> {
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

fn said_in_the_clear(check: &Check) -> Option<Concern> {
    if check.header.security != Security::Plain || !check.presented_legibly() {
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
                "the {secret} was said in the clear, which only this machine could hear (loopback); elsewhere use \
                 {scheme}s://"
            ),
        );
    }
    warning(
        id,
        format!(
            "the {secret} went over the network in the clear, for everybody on the way to read: {cure}, and use \
             {scheme}s://, or {scheme}:// without --plaintext"
        ),
    )
}

/// STARTTLS protects only clients that insist on it, as long as the server takes a password without.
fn clear_sign_in_offered(check: &Check) -> Option<Concern> {
    let offers = check.offered(When::BeforeTls)?;
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

fn start_tls_unused(check: &Check) -> Option<Concern> {
    let start_tls = check.header.protocol.start_tls();
    let unused = check.header.security == Security::Plain && check.offers().any(|(_, offers)| offers.has(start_tls));
    if !unused || check.is_loopback() {
        return None;
    }
    warning("starttls-unused", format!("the server offers {start_tls} and it was not used; leave --plaintext out"))
}

fn login_disabled(check: &Check) -> Option<Concern> {
    let disabled = check.offered(When::BeforeSignIn)?.has("LOGINDISABLED");
    if !disabled || check.is_signed_in() || check.header.security != Security::Plain {
        return None;
    }
    warning(
        "login-disabled",
        match (check.offers().any(|(_, offers)| offers.has("STARTTLS")), check.is_loopback()) {
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

fn anybody(check: &Check) -> Option<Concern> {
    if check.tls()?.verified {
        return None;
    }
    let read = if check.presented_legibly() { format!(", and read the {}", check.secret()) } else { String::new() };
    warning(
        "certificate-not-verified",
        format!(
            "nobody looked whether the certificate is the server's (--insecure): whoever is on the way may have \
             answered{read}; leave the flag out, or trust the server's authority with --ca-file"
        ),
    )
}

/// Those who issue for three months renew a month before the end: less than half of that left means that it failed.
fn expiry(check: &Check) -> Option<Concern> {
    const SOON: u64 = 30;
    const AT_ONCE: u64 = 14;
    let days = check.certificate_days()?;
    let left = match days {
        0 => "in less than a day".to_owned(),
        1 => "in a day".to_owned(),
        days => format!("in {days} days"),
    };
    let sentence = format!(
        "the server's certificate expires {left}, and from then on clients that verify it refuse the server; renew it, or see \
         why that does not happen by itself"
    );
    let weight = if days < AT_ONCE { Weight::Warning } else { Weight::Advice };
    (days < SOON).then_some(Concern { id: "certificate-expires", weight, sentence })
}

fn old_tls(check: &Check) -> Option<Concern> {
    let version = &check.tls()?.version;
    if version != "TLSv1.2" {
        return None;
    }
    advice(
        "tls-1.2",
        "the server knows no newer TLS than 1.2: each connection costs a round trip more than with 1.3; ask its operator \
         to allow 1.3",
    )
}

fn first_answer_refused(check: &Check) -> Option<Concern> {
    let refused = |step: &Step| matches!(step.happened, Happened::FirstAnswerRefused(_));
    check.steps.iter().find(|step| refused(step))?;
    let by = check.tried_by().unwrap_or_default();
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

fn no_auth(check: &Check) -> Option<Concern> {
    let offers = check.offered(When::BeforeSignIn)?;
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

fn address_passed_over(check: &Check) -> Option<Concern> {
    let (address, _) = check.connected()?;
    if check.is_loopback() {
        // Nothing is lost where the answer comes at once, and servers on ::1 are few.
        return None;
    }
    let first = check.addresses().first().filter(|first| **first != address)?;
    warning(
        "address-without-answer",
        format!(
            "{} did not take the connection, and {} did: each connection loses time on the first; have the server listen \
             there, or take it out of DNS",
            first.ip(),
            address.ip()
        ),
    )
}

fn no_goodbye(check: &Check) -> Option<Concern> {
    let silent = |kind| matches!(kind, FailureKind::Closed | FailureKind::Timeout);
    check.failures().find(|failure| failure.stage == Stage::Logout && silent(failure.kind))?;
    warning(
        "no-goodbye",
        format!(
            "the server did not answer {}: whoever waits for that loses the time, and nobody knows whether the session \
             still counts against a limit",
            check.header.protocol.goodbye()
        ),
    )
}

fn no_label(check: &Check) -> Option<Concern> {
    let offers = check.offered(When::AfterSignIn)?;
    if check.header.protocol != Protocol::Imap || check.label().is_some() || offers.is_unsaid() {
        return None;
    }
    let (_, port) = check.connected()?;
    let why = if offers.has("ID") { "refused our ID" } else { "does not know ID" };
    advice(
        "no-label",
        format!("the server {why}, so sessions cannot name themselves; its log knows this one by our port, {port}"),
    )
}

fn no_pipelining(check: &Check) -> Option<Concern> {
    let smtp = check.header.protocol == Protocol::Smtp;
    let offers = check.offered(When::BeforeSignIn).filter(|offers| smtp && !offers.has("PIPELINING"))?;
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

fn login_delay(check: &Check) -> Option<Concern> {
    if check.header.protocol != Protocol::Pop3 {
        return None;
    }
    let delay = check.matters().into_iter().find(|matter| matter.name == LOGIN_DELAY)?.value?;
    let seconds: u64 = delay.split(' ').next()?.parse().ok()?;
    warning(
        "login-delay",
        format!(
            "the server wants {seconds} s between two sign-ins of a user and may refuse those that come sooner; keep one \
             connection (use-main) instead of opening others"
        ),
    )
}

fn one_owner(check: &Check) -> Option<Concern> {
    if check.header.protocol != Protocol::Pop3 || !check.is_signed_in() {
        return None;
    }
    advice(
        "one-owner",
        "POP3 gives a maildrop to one session at a time, and refuses the next one (IN-USE) on servers that lock it; work \
         with one connection: use-main, or one thread",
    )
}

fn slow(check: &Check) -> impl Iterator<Item = Concern> {
    let seconds = Duration::from_secs;
    check.steps.iter().filter_map(move |step| {
        let (id, most, what, cure) = match &step.happened {
            Happened::Resolved(_) => (
                "slow-resolve",
                seconds(1),
                "the name's resolution",
                "a resolver in the system's list may be dead: look at /etc/resolv.conf",
            ),
            Happened::Connected { .. } => (
                "slow-connect",
                seconds(1),
                "the TCP connect",
                "packets are lost, the way is long, or the server's queue of connections is full",
            ),
            Happened::Secured(_) => (
                "slow-tls",
                seconds(2),
                "the TLS handshake",
                "the server is short of CPU, or looks something up first",
            ),
            Happened::Greeted(_) => (
                "slow-greeting",
                seconds(5),
                "the greeting",
                "the server holds it back on purpose (against spam), looks up our address in vain, or has no process free",
            ),
            Happened::SignedIn if check.header.protocol == Protocol::Pop3 => (
                "slow-sign-in",
                seconds(2),
                "the sign-in",
                "another connection had the maildrop, which has one owner at a time, or the server delays sign-ins",
            ),
            Happened::SignedIn => (
                "slow-sign-in",
                seconds(2),
                "the sign-in",
                "the server delays it (after failed ones from this address, say), or its user database is slow; keep \
                 connections open instead of signing in often",
            ),
            _ => return None,
        };
        let took = step.took;
        let sentence = format!("{what} took {:.1} s: {cure}", took.as_secs_f64());
        (took > most).then_some(Concern { id, weight: Weight::Warning, sentence })
    })
}
