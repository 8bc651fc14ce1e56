//! Features of a server that change how many connections a client needs and what they cost.

use schemars::JsonSchema;
use serde::Serialize;

use super::{Check, Phase};
use crate::protocol::{Capabilities, Protocol, Security};

/// A feature that a server may offer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Feature {
    /// Its keyword.
    pub name: &'static str,
    /// Whether it is offered; none where the server does not say what it can do.
    pub offered: Option<bool>,
    /// The keyword's arguments, if any: the sign-in mechanisms, the size.
    pub value: Option<String>,
    /// Why it matters to connections.
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

/// Listed only where they are offered: few servers do.
const RARE: [Row; 5] = [
    ("LITERAL-", "an APPEND of up to 4096 bytes does not wait for the server's go-ahead"),
    ("NOTIFY", "one connection can watch several mailboxes"),
    ("UNAUTHENTICATE", "a connection can be handed on to another user instead of being opened anew"),
    ("LIMITS", "how many messages and recipients one connection may carry"),
    (LOGIN_DELAY, "seconds that are to pass between two sign-ins: connections have to be kept, not opened anew"),
];

pub(super) const LOGIN_DELAY: &str = "LOGIN-DELAY";

/// Part of IMAP4rev2, so that a server of it need not name them (RFC 9051, appendix E).
const IN_REV2: [&str; 3] = ["SASL-IR", "IDLE", "LITERAL-"];

impl Check {
    /// What the server offers, or lacks, that changes how many connections a client needs and what they cost.
    #[must_use]
    pub fn features(&self) -> Vec<Feature> {
        if self.offers.is_empty() {
            return Vec::new();
        }
        let offers = Offers::of(self);
        let rows: &[Row] = match offers.protocol {
            Protocol::Imap => &IMAP,
            Protocol::Smtp => &SMTP,
            Protocol::Pop3 => &POP3,
        };
        // IMAP servers say little before the sign-in: what is missing from that list may be offered all the same.
        let is_complete = offers.protocol != Protocol::Imap || self.offered(Phase::AfterSignIn).is_some();
        let usual = rows.iter().filter_map(|row| offers.feature(row, is_complete));
        let rare = RARE.iter().filter_map(|row| offers.feature(row, false));
        start_tls(self, &offers).into_iter().chain([auth(self, &offers)]).chain(usual).chain(rare).collect()
    }
}

/// The lists that count: what was said before TLS counts only if nothing was said since.
struct Offers<'a> {
    protocol: Protocol,
    lists: Vec<&'a (Phase, Capabilities)>,
    /// None of the lists says anything.
    unsaid: bool,
}

impl<'a> Offers<'a> {
    fn of(check: &'a Check) -> Self {
        let later = |(phase, _): &&(Phase, Capabilities)| *phase != Phase::BeforeTls;
        let mut lists: Vec<_> = check.offers.iter().filter(later).collect();
        if lists.is_empty() {
            lists = check.offers.iter().collect();
        }
        let unsaid = lists.iter().all(|(_, offers)| offers.is_unsaid());
        Self { protocol: check.header.protocol, lists, unsaid }
    }

    /// Whether it is offered: not known of a server that does not say what it can do.
    fn offered(&self, found: bool) -> Option<bool> {
        (found || !self.unsaid).then_some(found)
    }

    /// The latest arguments of the keyword, if it is offered.
    fn arguments(&self, keyword: &str) -> Option<&'a str> {
        self.lists.iter().rev().find_map(|(_, offers)| {
            let words = offers.iter().map(|line| line.split_once(' ').unwrap_or((line, "")));
            words.filter(|(word, _)| word.eq_ignore_ascii_case(keyword)).last().map(|(_, rest)| rest)
        })
    }

    /// None if it is not offered, and not to be listed then.
    fn feature(&self, &(name, why): &Row, listed_if_missing: bool) -> Option<Feature> {
        let in_rev2 = || {
            let implied = self.protocol == Protocol::Imap && IN_REV2.contains(&name);
            (implied && self.arguments("IMAP4rev2").is_some()).then_some("")
        };
        let arguments = self.arguments(name).or_else(in_rev2);
        let arguments = arguments.filter(|arguments| name != LOGIN_DELAY || !is_no_delay(arguments));
        if arguments.is_none() && !listed_if_missing {
            return None;
        }
        let value = arguments.filter(|value| !value.is_empty()).map(str::to_owned);
        Some(Feature { name, offered: self.offered(arguments.is_some()), value, why })
    }
}

/// `LOGIN-DELAY 0` (RFC 2449 §6.6).
fn is_no_delay(arguments: &str) -> bool {
    arguments.split(' ').next().is_some_and(|seconds| seconds.parse() == Ok(0_u64))
}

/// None where the connection begins with TLS.
fn start_tls(check: &Check, offers: &Offers<'_>) -> Option<Feature> {
    let name = offers.protocol.start_tls();
    let was_done = check.header.security == Security::StartTls && check.tls.is_some();
    let was_offered = check.offers.iter().any(|(_, offers)| offers.has(name));
    (check.header.security != Security::Tls).then(|| Feature {
        name,
        offered: offers.offered(was_done || was_offered),
        value: None,
        why: "the connection can be encrypted before anything secret is said",
    })
}

fn auth(check: &Check, offers: &Offers<'_>) -> Feature {
    let before_sign_in = offers.lists.iter().filter(|(phase, _)| *phase != Phase::AfterSignIn);
    let mut ways: Vec<&str> = before_sign_in.flat_map(|(_, list)| list.mechanisms(offers.protocol)).collect();
    ways.sort_unstable();
    ways.dedup();
    let before = check.offered(Phase::BeforeSignIn).or_else(|| check.offered(Phase::BeforeTls));
    ways.extend(before.and_then(|list| list.own_command(offers.protocol)));
    let value = (!ways.is_empty()).then(|| ways.join(", "));
    Feature { name: "AUTH", offered: offers.offered(value.is_some()), value, why: MECHANISMS }
}
