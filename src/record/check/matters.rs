//! What a server offers that matters to whoever opens connections to it.

use super::{Check, When};
use crate::protocol::{Capabilities, Protocol, Security};

/// One thing that a server may offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matter {
    /// Its keyword.
    pub name: &'static str,
    /// Whether it is offered; none where the server does not say what it can do.
    pub offered: Option<bool>,
    /// What the keyword comes with, if anything.
    pub value: Option<String>,
    /// Why it matters.
    pub why: &'static str,
}

/// A keyword, and why it matters.
type Row = (&'static str, &'static str);

const MECHANISMS: &str = "SCRAM proves the password without saying it, PLAIN and LOGIN say it; XOAUTH2 and OAUTHBEARER take a \
                          token";

const IMAP: [Row; 6] = [
    ("SASL-IR", "a sign-in takes one round trip less"),
    ("ID", "sessions name themselves, so that the server's log tells one from another"),
    ("IDLE", "the server reports news by itself: nobody polls, but each mailbox watched holds a connection"),
    ("COMPRESS=DEFLATE", "fewer bytes for more memory and CPU of each connection, at both ends"),
    ("LITERAL+", "an APPEND, or a name with odd characters, does not wait for the server's go-ahead"),
    ("QRESYNC", "a new session is up to date after one round trip, so that a lost connection costs little"),
];

const SMTP: [Row; 4] = [
    ("PIPELINING", "several commands go out at once; without it each of a message's commands waits for its reply"),
    ("CHUNKING", "a message goes out as it is, without DATA and its wait for the server's go-ahead"),
    ("SIZE", "the largest message in bytes: a larger one can be refused before it is sent"),
    ("ENHANCEDSTATUSCODES", "refusals carry a code that tells a limit from a fault"),
];

const POP3: [Row; 5] = [
    ("PIPELINING", "several commands go out at once instead of each waiting for its reply"),
    ("UIDL", "messages keep a name from one session to the next, so that a new one reads only what is new"),
    ("TOP", "a message's headers can be read without the whole of it"),
    ("RESP-CODES", "refusals say whether the maildrop is locked (IN-USE) or the sign-in came too soon (LOGIN-DELAY)"),
    ("AUTH-RESP-CODE", "a refused sign-in says whether the password or the server is at fault"),
];

/// Told of only where they are offered: few servers do, and nobody misses them elsewhere.
const RARE: [Row; 5] = [
    ("LITERAL-", "an APPEND of up to 4096 bytes does not wait for the server's go-ahead"),
    ("NOTIFY", "one connection can watch several mailboxes"),
    ("UNAUTHENTICATE", "a connection can be handed on to another user instead of being opened anew"),
    ("LIMITS", "how many messages and recipients one connection may carry"),
    (LOGIN_DELAY, "seconds that are to pass between two sign-ins: connections have to be kept, not opened anew"),
];

pub(super) const LOGIN_DELAY: &str = "LOGIN-DELAY";

/// `LOGIN-DELAY 0` (RFC 2449 §6.6).
fn is_no_delay(arguments: &str) -> bool {
    arguments.split(' ').next().is_some_and(|seconds| seconds.parse() == Ok(0_u64))
}

/// What IMAP4rev2 holds already, so that a server need not name it (RFC 9051, appendix E).
const IN_REV2: [&str; 3] = ["SASL-IR", "IDLE", "LITERAL-"];

pub(super) fn of(check: &Check) -> Vec<Matter> {
    let protocol = check.header.protocol;
    let lists: Vec<(When, &Capabilities)> = check.offers().collect();
    if lists.is_empty() {
        return Vec::new();
    }
    // What was said in the clear before TLS counts only while nothing was said since.
    let protected = lists.iter().any(|(when, _)| *when != When::BeforeTls);
    let counts = |when: When| !protected || when != When::BeforeTls;
    let lines: Vec<&str> =
        lists.iter().filter(|(when, _)| counts(*when)).flat_map(|(_, offers)| offers.iter()).collect();
    // Who says nothing may be able to do all the same.
    let silent = lists.iter().filter(|(when, _)| counts(*when)).all(|(_, offers)| offers.is_unsaid());
    let offered = |found: bool| if found || !silent { Some(found) } else { None };
    let arguments = |keyword: &str| {
        lines.iter().rev().find_map(|line| {
            let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
            word.eq_ignore_ascii_case(keyword).then_some(rest)
        })
    };

    let mut matters = Vec::new();
    if check.header.security != Security::Tls {
        let start_tls = protocol.start_tls();
        let done = check.header.security == Security::StartTls && check.tls().is_some();
        let offered = offered(done || lists.iter().any(|(_, offers)| offers.has(start_tls)));
        let why = "the connection can be encrypted before anything secret is said";
        matters.push(Matter { name: start_tls, offered, value: None, why });
    }
    let mut mechanisms: Vec<&str> = lists
        .iter()
        .filter(|(when, _)| counts(*when) && *when != When::AfterSignIn)
        .flat_map(|(_, offers)| offers.mechanisms(protocol))
        .collect();
    mechanisms.sort_unstable();
    mechanisms.dedup();
    let before = check.offered(When::BeforeSignIn).or_else(|| check.offered(When::BeforeTls));
    mechanisms.extend(before.and_then(|offers| offers.own_command(protocol)));
    let value = (!mechanisms.is_empty()).then(|| mechanisms.join(", "));
    matters.push(Matter { name: "AUTH", offered: offered(value.is_some()), value, why: MECHANISMS });

    let rows: &[Row] = match protocol {
        Protocol::Imap => &IMAP,
        Protocol::Smtp => &SMTP,
        Protocol::Pop3 => &POP3,
    };
    let rev2 = protocol == Protocol::Imap && arguments("IMAP4rev2").is_some();
    // IMAP servers say little to strangers: what is not among that may be offered all the same.
    let all_is_said = protocol != Protocol::Imap || check.offered(When::AfterSignIn).is_some();
    let rows = rows.iter().map(|row| (row, all_is_said)).chain(RARE.iter().map(|row| (row, false)));
    for (&(name, why), told_if_missing) in rows {
        let arguments = arguments(name).or_else(|| (rev2 && IN_REV2.contains(&name)).then_some(""));
        let arguments = arguments.filter(|arguments| name != LOGIN_DELAY || !is_no_delay(arguments));
        if arguments.is_some() || told_if_missing {
            let value = arguments.filter(|value| !value.is_empty()).map(str::to_owned);
            matters.push(Matter { name, offered: offered(arguments.is_some()), value, why });
        }
    }
    matters
}
